"""Dagster's own commands on our workspace, really run: what interface.md promises about them."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness
from warehouse_pipelines_tests.orchestration.conftest import UI

pytestmark = [pytest.mark.slow("Dagster's processes"), pytest.mark.timeout(900)]

THIS_MONTH = datetime.now(UTC).date().replace(day=1)
MONTHS = [(THIS_MONTH - timedelta(days=1)).replace(day=1).isoformat(), THIS_MONTH.isoformat()]


MODULE = ("-m", "warehouse_pipelines.definitions")


@pytest.fixture
def harness(ui: UI) -> DagsterHarness:
    return ui.harness


def workspace(harness: DagsterHarness) -> str:
    """Return a workspace whose code server runs; a command that is given it starts none of its own."""
    return str(harness.home / "workspace.yaml")


def test_jobs_are_listed_and_nothing_beta_is_used(harness: DagsterHarness) -> None:
    """That the definitions are valid is shown in ``test_dg``, workspace.yaml by what is launched with it."""
    jobs = harness.dagster("job", "list", "-w", workspace(harness))
    for name in ("sync_hubspot_contacts", "sync_hubspot_all", "sync_callrail_calls", "sync_callrail_all"):
        assert name in jobs
    assert "BetaWarning" not in (harness.home / "code.log").read_text()


def test_a_launched_job_is_a_delta_whose_options_are_the_config_of_one_resource(harness: DagsterHarness) -> None:
    job = "sync_callrail_calls"
    before = len(harness.runs(job))
    config = '{"resources": {"sync": {"config": {"dry_run": true}}}}'
    for number, (expected, words) in enumerate(
        [("full", ("-w", "workspace.yaml")), ("delta", ("-w", workspace(harness), "--config-json", config))], start=1
    ):
        harness.dagster("job", "launch", "-j", job, *words)
        [run, *_] = harness.finished(job, before + number)
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert harness.history("calls")[-1] == ("success", expected, run.run_id)
    harness.dagster("job", "execute", *MODULE, "-j", job, "-c", "config/full.yaml")
    assert [mode for _, mode, _ in harness.history("calls")] == ["full", "delta", "full"]
    with psycopg.connect(harness.url) as connection:
        dry = connection.execute(
            "SELECT (configuration ->> 'dry_run')::boolean FROM orchestration.sync_history"
            " WHERE sync_type = 'calls' ORDER BY id"
        ).fetchall()
    assert dry == [(False,), (True,), (False,)]


def test_a_backfill_from_the_command_line_is_a_run_per_month(harness: DagsterHarness) -> None:
    job = "backfill_callrail_text_messages"
    words = ("-j", job, "--from", MONTHS[0], "--to", MONTHS[-1], "--noprompt")
    harness.dagster("job", "backfill", "-w", workspace(harness), *words)
    runs = harness.finished(job, count=len(MONTHS))
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags["dagster/partition"] for run in runs} == set(MONTHS)
    assert {mode for _, mode, _ in harness.history("text_messages")} == {"backfill"}


def test_an_asset_is_materialized_by_name(harness: DagsterHarness) -> None:
    harness.dagster("asset", "materialize", *MODULE, "--select", "callrail_form_submission")
    assert [found[:2] for found in harness.history("form_submissions")] == [("success", "full")]
