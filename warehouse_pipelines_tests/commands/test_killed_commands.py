"""``kill -9`` of ``warehouse sync`` at every stage: the next command closes what it left."""

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually, prepare_at_once

pytestmark = [
    pytest.mark.slow("commands, which are killed"),
    pytest.mark.xdist_group("killed_commands"),
    pytest.mark.timeout(900),
]

POOL = "hubspot_api"
SLOTS = 3


@pytest.fixture(scope="module")
def shared_harness(
    test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterHarness]:
    name = f"killed_{uuid.uuid4().hex[:8]}"
    with dagster_harness(test_server, template, tmp_path_factory.mktemp(name), name, vendors=["hubspot"]) as it:
        yield it


@pytest.fixture
def harness(shared_harness: DagsterHarness) -> DagsterHarness:
    """The harness with an empty history and no faults."""
    with psycopg.connect(shared_harness.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history, hubspot_contact CASCADE")
    shared_harness.simulators.control("hubspot", "clear_faults")
    return shared_harness


@pytest.fixture
def harness_in_sqlite(harness: DagsterHarness, tmp_path: Path) -> DagsterHarness:
    """The same warehouse and vendors with another storage of Dagster's."""
    environment = {**harness.environment, "DAGSTER_HOME": str(tmp_path), "DAGSTER_STORAGE_URL": "sqlite"}
    prepare_at_once([environment])
    return replace(harness, home=tmp_path, environment=environment)


def command(harness: DagsterHarness, *words: str, **environment: str) -> Command:
    count = len(list(harness.home.glob("command-*")))
    return Command(list(words), harness.environment | environment, harness.home / f"command-{count}.log")


def sync(harness: DagsterHarness, *flags: str, **environment: str) -> Command:
    return command(harness, "sync", "hubspot", "contacts", *flags, **environment)


def query(harness: DagsterHarness, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.url) as connection:
        return connection.execute(text).fetchall()


def statuses(harness: DagsterHarness) -> list[str]:
    return [row[0] for row in query(harness, "SELECT status FROM orchestration.sync_history ORDER BY id")]


def runs(harness: DagsterHarness) -> list[dg.DagsterRunStatus]:
    """Return the statuses of the runs, newest first."""
    with harness.instance() as found:
        return [run.status for run in found.get_runs()]


def waits(harness: DagsterHarness, statement: str) -> Callable[[], bool]:
    """Return whether the loader waits for a lock with a statement that begins so."""
    return lambda: bool(
        query(
            harness,
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            f"AND query LIKE '%{statement}%' AND application_name = 'warehouse-loader'",
        )
    )


@contextlib.contextmanager
def held(harness: DagsterHarness, statement: str) -> Iterator[None]:
    """Hold what a statement locks."""
    with psycopg.connect(harness.url) as holder:
        holder.execute(statement)
        yield


def before_its_row(harness: DagsterHarness) -> None:
    """It has its slot and waits for the lock of the entity, which a stranger holds."""
    with held(harness, "SELECT pg_advisory_lock(hashtextextended('hubspot:contacts', 0))"):
        child = sync(harness)
        eventually(lambda: "contacts waits at most 30 s for" in child.said, "it waits", 180)
        child.kill()


def begun(harness: DagsterHarness) -> Callable[[], bool]:
    """Return whether a run has begun since now; the row of the one killed before may still be running."""
    before = len(statuses(harness))
    return lambda: statuses(harness)[before:] == ["running"]


def before_the_first_answer(harness: DagsterHarness) -> None:
    harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200)
    has_begun = begun(harness)
    child = sync(harness)
    eventually(has_begun, "the row is there", 180)
    child.kill()
    harness.simulators.control("hubspot", "clear_faults")


def while_reading(harness: DagsterHarness) -> None:
    harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200, times=1, after=4)
    child = sync(harness, "--batch-size", "5", "--full")
    eventually(
        lambda: harness.simulators.control("hubspot", "list_faults")[0]["fired"] == 1, "some pages were read", 180
    )
    child.kill()


def while_merging(harness: DagsterHarness) -> None:
    with held(harness, "LOCK TABLE hubspot_contact IN EXCLUSIVE MODE"):
        child = sync(harness, "--full")
        eventually(waits(harness, ""), "it merges", 180)
        child.kill()


def while_committing(harness: DagsterHarness) -> None:
    harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200)
    has_begun = begun(harness)
    child = sync(harness, "--full")
    eventually(has_begun, "the row is there", 180)
    with held(harness, "SELECT FROM orchestration.sync_history WHERE status = 'running' FOR UPDATE"):
        harness.simulators.control("hubspot", "clear_faults")
        eventually(waits(harness, "UPDATE orchestration.sync_history"), "it wants to close its row", 180)
        child.kill()


STAGES = (before_its_row, before_the_first_answer, while_reading, while_merging, while_committing)


def check_clean(harness: DagsterHarness, slots: int = SLOTS) -> None:
    """A clean run waits for nothing, succeeds, and nothing is left open."""
    harness.simulators.control("hubspot", "clear_faults")
    code, text = sync(harness).ended()
    assert code == 0, text
    assert "waits" not in text
    assert "running" not in statuses(harness)
    assert statuses(harness)[-1] == "success"
    assert query(harness, "SELECT count(*) FROM hubspot_contact") == [(60,)]
    assert not {*run_lock.LAUNCHED} & {*runs(harness)}
    with harness.instance() as found:
        info = found.event_log_storage.get_concurrency_info(POOL)
    assert (info.slot_count, info.claimed_slots, info.pending_steps) == (slots, [], [])


@contextlib.contextmanager
def one_slot(harness: DagsterHarness) -> Iterator[None]:
    with harness.instance() as found:
        found.event_log_storage.set_concurrency_slots(POOL, 1)
        try:
            yield
        finally:
            found.event_log_storage.set_concurrency_slots(POOL, SLOTS)


def check_kills(harness: DagsterHarness, *stages: Callable[[DagsterHarness], None]) -> None:
    """Kill a command at each of these stages. The next one waits for the only slot until it closes that run."""
    with one_slot(harness):
        for stage in stages:
            stage(harness)
            harness.simulators.control("hubspot", "clear_faults")
            assert runs(harness)[0] in run_lock.LAUNCHED, "Dagster cannot know yet"
        check_clean(harness, slots=1)
    assert runs(harness)[: 1 + len(stages)] == [
        dg.DagsterRunStatus.SUCCESS,
        *[dg.DagsterRunStatus.FAILURE] * len(stages),
    ]
    messages = query(harness, "SELECT DISTINCT error_message FROM orchestration.sync_history WHERE status = 'failed'")
    assert messages == [("its process died without closing it; nothing of it was committed",)]


def test_killed_at_every_stage_in_a_row(harness: DagsterHarness) -> None:
    check_kills(harness, *STAGES)


def test_what_a_kill_leaves_in_sqlite_is_closed(harness_in_sqlite: DagsterHarness) -> None:
    check_kills(harness_in_sqlite, while_reading)


def processes(mark: str) -> list[int]:
    """Return the processes that have this in their environment, those that ended and that nobody waited for not."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def test_the_processes_of_a_command_that_is_killed_end_with_it(harness: DagsterHarness) -> None:
    """Those of its parts, which another process forked for it, and that one."""
    harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200)
    mark = f"test-{uuid.uuid4()}"
    with (harness.home / "several.log").open("wb") as said:
        starter = subprocess.Popen(
            [sys.executable, "-m", "warehouse_pipelines.commands.cli", "sync", "hubspot", "all"],
            env=harness.environment | {"MARK": mark},
            stdout=said,
            stderr=said,
        )
    eventually(lambda: statuses(harness) == ["running"] * SLOTS, "it reads as many as the pool allows", 180)
    assert len(processes(mark)) > SLOTS + 1
    starter.kill()
    starter.wait()
    eventually(lambda: not processes(mark), "all have ended", 15)
    harness.simulators.control("hubspot", "clear_faults")
    assert statuses(harness) == ["cancelled"] * SLOTS
    check_clean(harness)


def test_a_command_that_waits_for_a_slot_gives_up_after_the_setting_or_takes_that_of_a_run_that_is_killed(
    harness: DagsterHarness,
) -> None:
    """A living run keeps its slot, whoever waits."""
    with one_slot(harness):
        harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200, path="/contacts")
        first = sync(harness)
        eventually(lambda: statuses(harness) == ["running"], "the first reads", 180)
        patient = command(harness, "sync", "hubspot", "deals")
        impatient = command(harness, "sync", "hubspot", "companies", "--full", WAREHOUSE_POOL_WAIT_SECONDS="1")
        eventually(lambda: "waits since" in patient.said, "it says what it waits for", 180)
        [line] = [line for line in patient.said.splitlines() if "waits since" in line]
        assert "hubspot_deal waits since 0 s, at most 600 s for the slot of hubspot_api, held by" in line
        assert "sync_hubspot_contacts (run " in line
        code, text = impatient.ended()
        assert code == 1
        assert "hubspot_company waited 1 s for the slot of hubspot_api, held by sync_hubspot_contacts (run " in text
        assert "WAREHOUSE_POOL_WAIT_SECONDS" in text
        refused = query(
            harness,
            "SELECT status, records_processed, configuration ->> 'mode', configuration ->> 'full', "
            "error_message LIKE 'PoolBusy: hubspot_comp%' "
            "FROM orchestration.sync_history WHERE sync_type = 'companies'",
        )
        assert refused == [("failed", 0, "refused", "true", True)]
        with harness.instance() as found:
            info = found.event_log_storage.get_concurrency_info(POOL)
            [holder] = [found.get_run_by_id(claimed.run_id) for claimed in info.claimed_slots]
        assert info.pending_step_count == 1, "the one that gave up waits no more"
        assert holder is not None
        assert (holder.job_name, holder.status) == ("sync_hubspot_contacts", dg.DagsterRunStatus.STARTED)
        assert statuses(harness) == ["running", "failed"]
        first.kill()
        harness.simulators.control("hubspot", "clear_faults")
        code, text = patient.ended()
        assert code == 0, text
        assert statuses(harness) == ["failed", "failed", "success"]
        assert [run for run in runs(harness)[:3] if run != dg.DagsterRunStatus.FAILURE] == [dg.DagsterRunStatus.SUCCESS]
