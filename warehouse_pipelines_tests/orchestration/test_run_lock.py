"""Which runs are taken for dead, and what becomes of them; a living run keeps its slot."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.test_utils import create_run_for_test
from dagster._core.utils import make_new_run_id

from warehouse_pipelines import warehouse
from warehouse_pipelines.definitions import build_definitions
from warehouse_pipelines.errors import PoolBusy
from warehouse_pipelines.loading import sync_history
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines.serving.dagster import LAUNCH_BY
from warehouse_pipelines_tests.harness import record_store
from warehouse_pipelines_tests.harness.subprocesses import eventually

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
POOL = "store_api"


@pytest.fixture(
    scope="module", params=[pytest.param("sqlite", marks=pytest.mark.slow("the same with SQLite")), "postgresql"]
)
def shared_instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, test_server: Server
) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("lock")
    name = f"lock_{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        if request.param == "postgresql":
            patch.setenv("DAGSTER_STORAGE_URL", test_server.url(name))
        dagster_home.prepare(home, pools={POOL: 1})
        with dg.DagsterInstance.from_config(str(home)) as made:
            yield made
    test_server.drop_database(name)


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """An instance without runs, whose pool has one slot: emptying it is much cheaper than making one."""
    shared_instance.wipe()
    shared_instance.event_log_storage.set_concurrency_slots(POOL, 1)
    assert shared_instance.event_log_storage.get_concurrency_info(POOL).active_run_ids == set()
    return shared_instance


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look comes at once."""
    monkeypatch.setattr(run_lock, "PING_SECONDS", 0.1)


def started(
    instance: dg.DagsterInstance, url: str | None, tag: str = "", *, status: dg.DagsterRunStatus = STARTED
) -> str:
    """Make a run that holds the slot if it is free, and else waits for it; tagged if ``url`` or ``tag`` is given."""
    run_id = make_new_run_id()
    if url is not None:
        with warehouse.connect(url) as session:
            tag = run_lock.tag(session, run_id)
    own = {run_lock.TAG: tag} if tag else {}
    create_run_for_test(instance, run_id=run_id, job_name="sync_store_gadgets", status=status, tags=own)
    instance.event_log_storage.claim_concurrency_slot(POOL, run_id, "gadget")
    return run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info(POOL).active_run_ids


def row(url: str, run_id: str, message: str | None = None) -> None:
    """Plant a history row: running, or closed with a message."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, "
            "error_message, run_id) VALUES ('store', 'gadgets', now(), %s, %s, %s, %s)",
            [None if message is None else "now", "running" if message is None else "failed", message, run_id],
        )


def test_a_run_whose_lock_is_free_is_closed_and_its_slot_freed(instance: dg.DagsterInstance, bare_url: str) -> None:
    run_id = started(instance, bare_url)
    row(bare_url, run_id)
    assert holders(instance) == {run_id}
    assert run_lock.close_dead_runs(instance, bare_url) == [run_id]
    assert status(instance, run_id) == FAILURE
    assert holders(instance) == set()
    with psycopg.connect(bare_url) as connection:
        assert connection.execute("SELECT status, error_message FROM orchestration.sync_history").fetchall() == [
            ("failed", sync_history.DIED)
        ]
    assert run_lock.close_dead_runs(instance, bare_url) == []


@pytest.mark.slow("the same in other circumstances")
def test_one_that_was_being_cancelled_is_cancelled(instance: dg.DagsterInstance, bare_url: str) -> None:
    run_id = started(instance, bare_url, status=dg.DagsterRunStatus.CANCELING)
    assert run_lock.close_dead_runs(instance, bare_url) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_one_that_somebody_cancels_between_the_two_looks_is_cancelled(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = started(instance, bare_url)

    def cancel(seconds: float) -> None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceling(run)

    monkeypatch.setattr(time, "sleep", cancel)
    run_lock.close_dead_runs(instance, bare_url)
    assert status(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_living_runs_are_left_alone(instance: dg.DagsterInstance, bare_url: str, test_server: Server) -> None:
    """One holds its lock; one has the tag of the run that it tries again; one is of another warehouse; two have no tag,
    and no row that died.
    """
    with ExitStack() as stack:
        alive = started(instance, bare_url)
        stack.enter_context(run_lock.RunLock(bare_url, alive))
        with warehouse.connect(bare_url) as session:
            again = started(instance, None, run_lock.tag(session, "00000000-0000-0000-0000-000000000001"))
        elsewhere = started(instance, test_server.url("postgres"))
        unknown = started(instance, None)
        between = started(instance, None)
        row(bare_url, between, "failed for another reason")
        assert run_lock.close_dead_runs(instance, bare_url) == []
        assert {status(instance, run_id) for run_id in (alive, again, elsewhere, unknown, between)} == {STARTED}
        assert holders(instance) == {alive}


def test_a_run_without_a_tag_is_dead_when_its_row_says_so(instance: dg.DagsterInstance, bare_url: str) -> None:
    dead, alive = started(instance, None), started(instance, None)
    row(bare_url, dead)
    row(bare_url, alive, sync_history.DIED)
    row(bare_url, alive, "later it failed otherwise")
    assert run_lock.close_dead_runs(instance, bare_url) == [dead]
    assert status(instance, alive) == STARTED


def test_a_run_that_died_between_its_start_and_its_lock_is_closed(instance: dg.DagsterInstance, bare_url: str) -> None:
    """It is told from others without a tag by its events: there is none after that of its start."""
    dead, just_now, working = (started(instance, None, status=dg.DagsterRunStatus.STARTING) for _ in range(3))
    with warehouse.connect(bare_url) as session:
        parent = {run_lock.TAG: run_lock.tag(session, "00000000-0000-0000-0000-000000000001")}
    instance.add_run_tags(dead, parent)
    for run_id, ago in ((dead, 700), (just_now, 30), (working, 700)):
        event = DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name="sync_store_gadgets")
        instance.handle_new_event(
            EventLogEntry(
                error_info=None, level=20, user_message="", run_id=run_id, timestamp=time.time() - ago,
                dagster_event=event,
            )
        )  # fmt: skip
    run = instance.get_run_by_id(working)
    instance.report_engine_event("Executing steps in process", run)
    assert run_lock.close_dead_runs(instance, bare_url) == [dead]
    assert [status(instance, run_id) for run_id in (just_now, working)] == [STARTED, STARTED]


def test_a_run_that_was_created_long_ago_and_never_submitted_is_closed(
    instance: dg.DagsterInstance, bare_url: str
) -> None:
    """Else the schedules leave its entities out for ever."""
    dead, of_a_command, just_now = (
        started(instance, url, status=dg.DagsterRunStatus.NOT_STARTED) for url in (None, bare_url, None)
    )
    runs: Any = instance.run_storage
    with runs.connect() as storage:
        storage.execute(
            sa.update(RunsTable)
            .where(RunsTable.c.run_id != just_now)
            .values(create_timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        )
    with run_lock.RunLock(bare_url, of_a_command):
        assert run_lock.close_dead_runs(instance, bare_url) == [dead]
    assert status(instance, dead) == FAILURE
    assert {status(instance, one) for one in (of_a_command, just_now)} == {dg.DagsterRunStatus.NOT_STARTED}


@pytest.mark.slow("the same in other circumstances")
def test_slots_of_ended_and_deleted_runs_are_freed(instance: dg.DagsterInstance, bare_url: str) -> None:
    for dead in (started(instance, bare_url, status=FAILURE), dg._core.utils.make_new_run_id()):
        instance.event_log_storage.claim_concurrency_slot(POOL, dead, "gadget")
        assert holders(instance) == {dead}
        run_lock.close_dead_runs(instance, bare_url)
        assert holders(instance) == set()


def test_an_ended_run_whose_process_goes_on_keeps_its_slot(instance: dg.DagsterInstance, bare_url: str) -> None:
    run_id = started(instance, bare_url)
    with run_lock.RunLock(bare_url, run_id):
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_failed(run)
        run_lock.close_dead_runs(instance, bare_url)
        assert holders(instance) == {run_id}


def lock_holders(other: psycopg.Connection, run_id: str) -> list[int]:
    """Return the process ids of the sessions that hold the run's lock; a test before may have left others."""
    rows = other.execute(
        """
        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32 | objid::bigint) = hashtextextended('run:' || %s, 0)
        """,
        [run_id],
    )
    return [int(pid) for (pid,) in rows]


def breaks(other: psycopg.Connection, run_id: str) -> int:
    """End the one session that holds the run's lock, and return its process id once it has ended."""
    [pid] = lock_holders(other, run_id)
    assert other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid]).fetchone() == (True,)
    return pid


def test_the_lock_is_taken_again_when_its_session_breaks(instance: dg.DagsterInstance, bare_url: str) -> None:
    run_id = started(instance, bare_url)
    with run_lock.RunLock(bare_url, run_id), psycopg.connect(bare_url, autocommit=True) as other:
        first = breaks(other, run_id)
        eventually(lambda: lock_holders(other, run_id) not in ([], [first]), "it is taken again")
        assert run_lock.close_dead_runs(instance, bare_url) == []
        assert status(instance, run_id) == STARTED


@pytest.mark.parametrize("ended", [False, True])
def test_a_living_run_that_lost_its_session_keeps_its_slot(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """Its lock is free until it notices; whoever looks in that moment looks a second time."""
    monkeypatch.setattr(run_lock, "PING_SECONDS", 2.0)
    run_id = started(instance, bare_url)
    row(bare_url, run_id)
    with ExitStack() as stack:
        stack.enter_context(run_lock.RunLock(bare_url, run_id))
        other = stack.enter_context(psycopg.connect(bare_url, autocommit=True))
        stack.enter_context(psycopg.connect(bare_url)).execute(
            "SELECT pg_advisory_lock(hashtextextended('store:gadgets', 0))"  # its loader's, which nothing broke
        )
        if ended:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            instance.report_run_failed(run)
        other.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid ="
                      " (hashtextextended('run:' || %s, 0) & 4294967295)::bigint", [run_id])  # fmt: skip
        with warehouse.connect(bare_url) as session:
            record = instance.get_run_record_by_id(run_id)
            assert record is not None
            assert run_lock.dead(session, record.dagster_run, record.create_timestamp), "the first look is deceived"
        assert run_lock.close_dead_runs(instance, bare_url) == []
        assert status(instance, run_id) == (FAILURE if ended else STARTED)
        assert holders(instance) == {run_id}
        assert other.execute("SELECT status FROM orchestration.sync_history").fetchall() == [("running",)]


@pytest.mark.parametrize("shared_instance", ["sqlite"], indirect=True)
@pytest.mark.slow("programs of their own")
def test_nobody_is_called_dead_just_after_the_server_came_up(
    instance: dg.DagsterInstance, server: Server, template: str, test_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may not have noticed yet that its session broke. A run younger than the server is judged at once."""
    from warehouse_pipelines.schema.migrate import migrate

    server.start()
    url = server.create_database("warehouse_back")
    migrate(url)
    old = started(instance, url)
    time.sleep(1)
    server.stop("immediate")
    server.start()
    url = server.url("warehouse_back")
    young = started(instance, url)
    assert run_lock.close_dead_runs(instance, url) == [young]
    assert status(instance, old) == STARTED
    monkeypatch.setattr(run_lock, "SETTLING_SECONDS", 0.0)
    assert run_lock.close_dead_runs(instance, url) == [old]


def test_a_run_that_waits_frees_the_slot_of_a_dead_one(instance: dg.DagsterInstance, bare_url: str) -> None:
    dead = started(instance, bare_url)
    with run_lock.waiting(instance, bare_url, 60):
        claim = instance.event_log_storage.claim_concurrency_slot(POOL, "me", "gadget")
    assert claim.is_claimed
    assert status(instance, dead) == FAILURE
    assert "claim_concurrency_slot" not in vars(instance.event_log_storage), "it is Dagster's own again"


@pytest.mark.slow("the same in other circumstances")
def test_a_run_that_waits_says_so_and_gives_up(
    instance: dg.DagsterInstance, bare_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="warehouse")  # another test of this process may have left its own
    alive = started(instance, bare_url)
    said = f"the slot of {POOL}, held by sync_store_gadgets (run {alive}, 0 min)"
    with run_lock.RunLock(bare_url, alive), run_lock.waiting(instance, bare_url, 1) as waited:
        claim = instance.event_log_storage.claim_concurrency_slot
        with pytest.raises(PoolBusy, match="WAREHOUSE_POOL_WAIT_SECONDS"):
            any(claim(POOL, "me", "gadget").is_claimed for _ in range(1000))
    assert said in str(waited.gave_up)
    assert f"gadget waits since 0 s, at most 1 s for {said}" in caplog.text
    assert holders(instance) == {alive}


def test_a_run_of_the_daemon_holds_its_lock(
    instance: dg.DagsterInstance, bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the executor of the definitions, which ``execute_in_process`` would replace."""
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.execute_in_process import core_execute_in_process

    monkeypatch.setenv("STORE_KEY", "set")
    seen: list[str] = []

    @dg.op
    def look(context: dg.OpExecutionContext) -> None:
        seen.extend(run_lock.close_dead_runs(context.instance, bare_url))
        run = context.instance.get_run_by_id(context.run_id)
        assert run is not None
        assert run.tags[run_lock.TAG].startswith(context.run_id)

    @dg.job(executor_def=run_lock.executor(lambda: bare_url))
    def looks() -> None:
        look()

    result = core_execute_in_process({}, InMemoryJob(looks), instance, False, True)
    assert result.success
    assert seen == []
    made = build_definitions([record_store.RecordStore().source()], url=lambda: bare_url)
    for job in made.resolve_all_job_defs():
        making = job.executor_def.executor_creation_fn
        assert making is not None, job.name
        assert making.__qualname__.startswith("executor."), job.name


@pytest.mark.parametrize(("seconds", "done"), [(-60, []), (60, ["done"])])
def test_a_run_that_is_created_later_than_it_was_asked_for_does_nothing(
    instance: dg.DagsterInstance, seconds: float, done: list[str]
) -> None:
    """A repetition of the request may have made another meanwhile."""
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.execute_in_process import core_execute_in_process

    found: list[str] = []

    @dg.op
    def note() -> None:
        found.append("done")

    @dg.job(executor_def=run_lock.executor(lambda: "postgresql://a:b@127.0.0.1:1/none"))
    def noted() -> None:
        note()

    tags = {LAUNCH_BY: (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}
    core_execute_in_process({}, InMemoryJob(noted), instance, False, False, run_tags=tags)
    assert found == done
    status = dg.DagsterRunStatus.SUCCESS if done else dg.DagsterRunStatus.CANCELED
    assert [run.status for run in instance.get_runs()] == [status]


def test_a_run_whose_warehouse_is_away_runs_without_a_lock(instance: dg.DagsterInstance) -> None:
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.execute_in_process import core_execute_in_process

    @dg.op
    def nothing() -> None:
        pass

    @dg.job(executor_def=run_lock.executor(lambda: "postgresql://a:b@127.0.0.1:1/none"))
    def away() -> None:
        nothing()

    result = core_execute_in_process({}, InMemoryJob(away), instance, False, True)
    assert result.success
    assert run_lock.TAG not in result.dagster_run.tags
