"""Dagster's own commands on our workspace, really run: what interface.md promises about them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness

pytestmark = [
    pytest.mark.slow("Dagster's processes"), pytest.mark.xdist_group("dagster_cli"), pytest.mark.timeout(900),
]  # fmt: skip

THIS_MONTH = datetime.now(UTC).date().replace(day=1)
MONTHS = [(THIS_MONTH - timedelta(days=1)).replace(day=1).isoformat(), THIS_MONTH.isoformat()]


@pytest.fixture(scope="module")
def harness(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHarness]:
    """A harness whose daemon and code server run; a command that is given ``workspace(it)`` starts none of its own."""
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("cli"), "dagster_cli") as made:
        made.start("dagster-daemon", "run", "-w", str(made.start_code_server()))
        yield made


def workspace(harness: DagsterHarness) -> str:
    return str(harness.home / "workspace.yaml")


def test_the_workspace_is_valid(harness: DagsterHarness) -> None:
    said = harness.dagster("definitions", "validate", "-w", "workspace.yaml")
    assert said.returncode == 0, said.stderr
    assert "BetaWarning" not in said.stderr


def test_jobs_are_listed(harness: DagsterHarness) -> None:
    jobs = harness.dagster("job", "list", "-m", "warehouse_pipelines.definitions").stdout
    for name in ("sync_hubspot_contacts", "sync_hubspot_all", "sync_callrail_calls", "sync_callrail_all"):
        assert name in jobs


def test_a_launched_job_is_a_delta(harness: DagsterHarness) -> None:
    for expected, given in ("full", "workspace.yaml"), ("delta", workspace(harness)):
        said = harness.dagster("job", "launch", "-w", given, "-j", "sync_callrail_calls")
        assert said.returncode == 0, said.stderr
        runs = harness.finished("sync_callrail_calls", count=1 if expected == "full" else 2)
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert harness.history("calls")[-1] == ("success", expected, runs[0].run_id)


def test_options_are_the_config_of_one_resource(harness: DagsterHarness) -> None:
    config = '{"resources": {"sync": {"config": {"dry_run": true}}}}'
    words = ("-w", workspace(harness), "-j", "sync_callrail_tags", "--config-json", config)
    said = harness.dagster("job", "launch", *words)
    assert said.returncode == 0, said.stderr
    [run] = harness.finished("sync_callrail_tags", count=1)
    assert run.status == dg.DagsterRunStatus.SUCCESS
    module = ("-m", "warehouse_pipelines.definitions")
    said = harness.dagster("job", "execute", *module, "-j", "sync_callrail_tags", "-c", "config/full.yaml")
    assert said.returncode == 0, said.stderr
    assert [mode for _, mode, _ in harness.history("tags")] == ["full", "full"]


def test_a_backfill_from_the_command_line_is_a_run_per_month(harness: DagsterHarness) -> None:
    job = "backfill_callrail_text_messages"
    said = harness.dagster(
        "job", "backfill", "-w", workspace(harness), "-j", job, "--from", MONTHS[0], "--to", MONTHS[-1], "--noprompt"
    )
    assert said.returncode == 0, said.stderr
    runs = harness.finished(job, count=len(MONTHS))
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags["dagster/partition"] for run in runs} == set(MONTHS)
    assert {mode for _, mode, _ in harness.history("text_messages")} == {"backfill"}


def test_an_asset_is_materialized_by_name(harness: DagsterHarness) -> None:
    module = ("-m", "warehouse_pipelines.definitions")
    said = harness.dagster("asset", "materialize", *module, "--select", "callrail_form_submission")
    assert said.returncode == 0, said.stderr
    assert [found[:2] for found in harness.history("form_submissions")] == [("success", "full")]
