"""Processes that are killed, databases that go away, networks that break: nothing half-loaded, no row left running."""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import CredentialRefused, CursorStuck, DatabaseUnavailable, SyncRunning
from warehouse_pipelines.loading import lease, resource, sync_history
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.fake_source import FakeSource, thing
from warehouse_pipelines_tests.harness.prepared_server import start_migrated
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness
from warehouse_pipelines_tests.harness.subprocesses import Child, eventually

OpenHarness = Callable[..., SourceHarness]


def other(table: str) -> Any:
    """A table that is read as another of the same test."""
    return pytest.param(table, marks=pytest.mark.slow("other tables"))


@pytest.fixture
def open_harness(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenHarness]:
    """Open the harness of a table; every page is a batch of its own."""
    monkeypatch.setattr(resource, "CHUNK", 2)
    with ExitStack() as stack:
        yield lambda table, **more: stack.enter_context(source_harness(table, database_url, monkeypatch, **more))


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    monkeypatch.setattr(resource, "CHUNK", 1)
    return FakeSource(bare_url)


def check_repaired(it: SourceHarness, before: dict[Any, Any]) -> None:
    """The table is as it was; `close_stale_runs` closes the row; the next run loads everything."""
    assert it.rows() == before
    (dead,) = [row for row in it.history() if row["status"] == "running"]
    # A backend notices a moment later that its client is dead.
    eventually(lambda: sync_history.close_stale_runs(it.url) == [dead["id"]], "the row of the dead run is closed")
    closed = next(row for row in it.history() if row["id"] == dead["id"])
    assert (closed["status"], closed["end_time"] is None) == ("failed", False)
    assert "process died" in closed["error_message"]
    assert sync_history.close_stale_runs(it.url) == []
    assert it.sync().status == "success"
    assert it.rows().keys() == it.driver.keys(it.entity)


def with_changes(it: SourceHarness) -> dict[Any, Any]:
    """Load once, change something over there, and return the rows."""
    it.sync()
    for _ in range(6):
        it.driver.create(it.entity)
    it.driver.edit(it.entity)
    it.simulator.reset_counters()
    return it.rows()


def test_killed_before_the_first_page(open_harness: OpenHarness) -> None:
    it = open_harness("hubspot_deal")
    before = with_changes(it)
    it.simulator.set_fault("slow", seconds=200)
    child = Child(it)
    eventually(lambda: it.history()[-1]["status"] == "running", "the row is there")
    assert child.send() == -signal.SIGKILL
    it.simulator.clear_faults()
    check_repaired(it, before)


@pytest.mark.slow("a program of its own, which is killed")
def test_killed_while_reading(open_harness: OpenHarness) -> None:
    """Some batches are loaded, the vendor is still answering."""
    it = open_harness("hubspot_deal")
    before = with_changes(it)
    it.simulator.set_fault("slow", path="/batch/read", seconds=3, after=2, times=1)
    child = Child(it, batch_size=2)
    assert child.has_loaded() > 0
    assert child.send() == -signal.SIGKILL
    it.simulator.clear_faults()
    check_repaired(it, before)


def test_killed_while_loading(open_harness: OpenHarness) -> None:
    it = open_harness("callrail_form_submission")
    before = with_changes(it)
    child = Child(it, wait=True)
    assert child.has_loaded() > 0
    assert child.send() == -signal.SIGKILL
    check_repaired(it, before)


def sessions(it: SourceHarness, where: str) -> bool:
    """Whether there are such sessions on the warehouse."""
    found = it.query(f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND {where}")
    return bool(found)


def test_killed_just_before_the_commit(open_harness: OpenHarness) -> None:
    """Everything is merged; only the closing of the history row waits, for a lock that we hold."""
    it = open_harness("callrail_call")
    before = with_changes(it)
    it.simulator.set_fault("slow", seconds=200)
    with psycopg.connect(it.url) as holder:
        child = Child(it, full=True)
        eventually(lambda: it.history()[-1]["status"] == "running", "the row is there")
        holder.execute("SELECT FROM orchestration.sync_history WHERE status = 'running' FOR UPDATE")
        it.simulator.clear_faults()
        waits = "wait_event_type = 'Lock' AND query LIKE '%%UPDATE orchestration.sync_history%%'"
        eventually(lambda: sessions(it, waits), "the child wants to close its row")
        assert child.send() == -signal.SIGKILL
    eventually(lambda: not sessions(it, "application_name = 'warehouse-loader'"), "PostgreSQL notices")
    check_repaired(it, before)


def test_an_interrupt_closes_the_row(open_harness: OpenHarness) -> None:
    """Control-C, and a cancel from the UI, while the vendor keeps us waiting."""
    it = open_harness("hubspot_deal")
    before = with_changes(it)
    it.simulator.set_fault("slow", seconds=200)
    child = Child(it)
    eventually(lambda: it.history()[-1]["status"] == "running", "the row is there")
    child.signal(signal.SIGINT)
    eventually(lambda: it.history()[-1]["status"] != "running", "the row is closed before the vendor answers")
    row = it.history()[-1]
    assert (row["status"], row["error_message"]) == ("cancelled", "cancelled after 0 records; nothing was loaded")
    it.simulator.clear_faults()
    child.ended()
    assert it.rows() == before


def test_a_second_interrupt_while_the_row_is_being_closed_leaves_it_closed(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ten seconds after the first, where the session for that is slow to come."""
    fail, interrupts = sync_history.fail, iter([KeyboardInterrupt()])

    def interrupted(*given: Any, **more: Any) -> None:
        for interrupt in interrupts:
            raise interrupt
        fail(*given, **more)

    def stop(records: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync_history, "fail", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fake.sync([thing("a")], [thing("b")], progress=stop)
    assert [row["status"] for row in fake.history()] == ["cancelled"]


def test_a_cancelled_run_for_which_the_server_has_no_session_left_closes_its_row_as_soon_as_there_is_one(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, refusals = warehouse.connect, iter([DatabaseUnavailable("sorry, too many clients already")])
    refusing: list[bool] = []

    def refused(*given: Any, **more: Any) -> Any:
        for refusal in refusals if refusing else ():
            raise refusal
        return connect(*given, **more)

    def stop(records: int) -> None:
        warehouse.close_kept()
        refusing.append(True)
        raise KeyboardInterrupt

    monkeypatch.setattr(warehouse, "connect", refused)
    with pytest.raises(KeyboardInterrupt):
        fake.sync([thing("a")], [thing("b")], progress=stop)
    assert next(refusals, None) is None
    assert [row["status"] for row in fake.history()] == ["cancelled"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_is_raised_closes_the_row(fake: FakeSource, interrupt: type[BaseException]) -> None:
    def stop(records: int) -> None:
        raise interrupt

    with pytest.raises(interrupt):
        fake.sync([thing("a")], [thing("b")], progress=stop)
    assert fake.rows() == {}
    assert [row["status"] for row in fake.history()] == ["cancelled"]


@pytest.mark.slow("a server of its own, which is stopped")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("moment", ["loading", "committing", "renewing"])
def test_db_down_fails_fast(new_server: Server, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """The run fails while the server is down, nothing is half-loaded after the restart, and the next run closes the row
    left open. A run that waited for the server would never end. Who finds it first may be the thread that renews the
    lease.
    """
    monkeypatch.setattr(resource, "CHUNK", 1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1 if moment == "renewing" else 60.0)
    server = new_server
    start_migrated(server)
    fake = FakeSource(server.create_database("warehouse_down"))
    fake.sync([thing("a")])
    before = fake.rows()
    batches: list[int] = []

    def stop(records: int) -> None:
        batches.append(records)
        if len(batches) == 2:
            server.stop("immediate")
            time.sleep(1.0 if moment == "renewing" else 0.0)

    pages = [[thing("a", 2)], [thing("b", 2)], *([] if moment == "committing" else [[thing("c", 2)]])]
    with pytest.raises(DatabaseUnavailable, match="Nothing was committed"):
        fake.sync(*pages, progress=stop)
    with pytest.raises(DatabaseUnavailable, match="WAREHOUSE_DATABASE_URL"):
        fake.sync()
    server.start()
    fake.url = server.url("warehouse_down")
    assert fake.rows() == before
    assert [row["status"] for row in fake.history()] == ["success", "running"]
    assert len(sync_history.close_stale_runs(fake.url)) == 1
    result = fake.sync([thing("a", 2)], [thing("b", 2)])
    assert (result.created, result.updated) == (1, 1)


@pytest.mark.slow("a server of its own, which is stopped")
def test_disk_full_fails_fast(new_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The table lies on a tablespace of a few megabytes."""
    monkeypatch.setattr(resource, "CHUNK", 100)
    server = new_server
    start_migrated(server)
    small = Path("/tmp") / f"warehouse-small-{tmp_path.name}-{server.data.stat().st_ino}"  # noqa: S108
    small.mkdir()
    owner = server.data.stat()
    options = f"size=3m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", small], capture_output=True, check=False)
    try:
        if mounted.returncode:
            missing("the right to mount a small file system (root)")
        url = server.create_database("warehouse_full")
        fake = FakeSource(url)
        fake.sync([thing("a")])
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{small}'")
            connection.execute("ALTER TABLE fake_thing SET TABLESPACE small")
        before = fake.rows()
        incompressible = [thing(n, 2, doc=[hash((n, k)) for k in range(60)]) for n in range(4000)]
        with pytest.raises(DatabaseUnavailable, match="53100"):
            fake.sync(*(incompressible[start : start + 100] for start in range(0, 4000, 100)))
        assert fake.rows() == before
        row = fake.history()[-1]
        assert (row["status"], row["error_message"][:19]) == ("failed", "DatabaseUnavailable")
        assert fake.sync([thing("b", 2)]).created == 1
    finally:
        server.stop("immediate")
        subprocess.run(["umount", "-l", small], capture_output=True, check=False)
        shutil.rmtree(small, ignore_errors=True)


def test_a_second_run_of_an_entity_is_refused_and_one_of_another_is_not(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The refused one says what it waits for, and leaves a row; that of the other run is not touched by it."""
    monkeypatch.setattr(lease, "LOCK_SECONDS", 0.5)
    other = FakeSource(fake.url)
    found: list[Any] = []

    def both() -> None:
        with pytest.raises(SyncRunning, match=r"by another run \(sync_history \d+, run the-run, 1 min\)"):
            other.sync([thing("b")], run_id="the-other", dry_run=True, max_records=5)
        from warehouse_pipelines_tests.harness.fake_source import LOG

        found.append(other.sync([thing("b")], entity=LOG).status)

    assert fake.sync([thing("a")], both, run_id="the-run").status == "success"
    assert found == ["success"]
    assert "waits at most 0 s for another run (sync_history" in caplog.text
    assert fake.rows().keys() == {("a",)}
    first, refused = fake.history()
    assert (first["status"], first["run_id"]) == ("success", "the-run")
    assert (refused["status"], refused["run_id"], refused["records_processed"]) == ("failed", "the-other", 0)
    asked = refused["configuration"]
    assert (asked["mode"], asked["dry_run"], asked["max_records"]) == ("refused", True, 5)
    assert all({"batch_size", "window_start", "window_end"} <= row["configuration"].keys() for row in (first, refused))
    assert refused["error_message"].startswith("SyncRunning: fake things is being synced by another run (sync_history")
    assert refused["end_time"] >= refused["start_time"]
    assert fake.sync([thing("a", 2)]).mode == "delta", "the cursor is that of the run before it"


@pytest.mark.parametrize(
    ("table", "delta"), [("callrail_call", False), ("hubspot_deal", True), ("hubspot_deal", False)]
)
def test_the_start_says_how_many_records_the_vendor_has(
    open_harness: OpenHarness, caplog: pytest.LogCaptureFixture, table: str, delta: bool
) -> None:
    """With its first answer, if that says so (a search of HubSpot does, its list does not); nothing more is asked."""
    it = open_harness(table)
    if delta:
        it.sync()
    it.simulator.reset_counters()
    caplog.clear()
    caplog.set_level("INFO", "warehouse.sync")
    result = it.sync()
    said = [record.getMessage() for record in caplog.records if record.name == "warehouse.sync"]
    start = f"Starting {it.source.name} {it.entity.name} sync with "
    asking, started = said[:2]
    assert asking == f"{it.source.name} {it.entity.name}: asking {it.source.title}"
    known = table == "callrail_call" or delta
    assert started == start + (f"{result.processed} records" if known else "an unknown number of records")
    assert sum(line.startswith("Starting") for line in said) == 1


@pytest.mark.slow("the same in other circumstances")
def test_a_second_run_waits_for_the_first(fake: FakeSource) -> None:
    other = FakeSource(fake.url)
    waited: list[Any] = []
    second = threading.Thread(target=lambda: waited.append(other.sync([thing("b", 2)])))

    def begin() -> None:
        second.start()
        time.sleep(0.5)
        assert waited == []

    fake.sync([thing("a")], begin)
    second.join(20)
    assert waited[0].mode == "delta", "it knows what the first one did"
    assert fake.rows().keys() == {("a",), ("b",)}


def test_an_orphan_cannot_commit_after_its_row_was_closed(fake: FakeSource) -> None:
    """Its Dagster run ended, a sensor closed the row, and the process goes on."""
    fake.sync([thing("a")])

    def close() -> None:
        assert sync_history.close_run(fake.url, "the-run", "canceled from the UI") == 1

    with pytest.raises(DatabaseUnavailable, match="closed by someone else"):
        fake.sync([thing("b", 2)], close, run_id="the-run")
    assert fake.rows().keys() == {("a",)}
    row = fake.history()[-1]
    assert (row["status"], row["error_message"]) == ("failed", "canceled from the UI")


def test_stale_runs_are_closed_and_living_ones_left_alone(fake: FakeSource) -> None:
    closed: list[Any] = []
    fake.sync([thing("a")], lambda: closed.extend(sync_history.close_stale_runs(fake.url)))
    assert closed == []
    assert [row["status"] for row in fake.history()] == ["success"]


BROKEN: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset", "every": 3},
    "length": {"kind": "truncated", "mode": "length", "every": 3},
    "chunked": {"kind": "truncated", "mode": "chunked", "every": 3},
    "cut": {"kind": "truncated", "mode": "cut", "every": 3},
    "503": {"kind": "status", "status": 503, "every": 2},
    "500 empty": {"kind": "status", "status": 500, "body": "empty", "every": 2},
    "html": {"kind": "html", "status": 502, "every": 2},
    "html with 200": {"kind": "html", "status": 200, "every": 3},
    "429 storm": {"kind": "rate_limit", "retry_after": 0, "times": 5},
    "429 silent": {"kind": "rate_limit", "times": 3},
    "429 seconds": {"kind": "rate_limit", "retry_after": 1, "times": 1, "after": 2},
    "429 date": {"kind": "rate_limit", "retry_after": "date", "seconds": 2, "times": 1, "after": 2},
}

ELSEWHERE = ("cut", "429 storm", "429 seconds")
"""Those of a vendor of which all are tried that another vendor, which shares the client, is tried with."""


@pytest.mark.parametrize(
    ("table", "how"), [*(("hubspot_deal", how) for how in BROKEN), *(("callrail_call", how) for how in ELSEWHERE)]
)
@pytest.mark.slow("the same in other circumstances")
def test_429_retry_after_and_backoff(open_harness: OpenHarness, table: str, how: str) -> None:
    """What another attempt mends is tried again; the rows are exact, in a first run and in a delta."""
    it = open_harness(table)
    fault = BROKEN[how]
    it.simulator.set_fault(**fault)
    began = time.monotonic()
    result = it.sync(batch_size=4)
    took = time.monotonic() - began
    assert (result.status, result.failed, result.filtered) == ("success", 0, 0)
    assert it.rows().keys() == it.driver.keys(it.entity)
    fired = sum(one["fired"] for one in it.simulator.control("list_faults"))
    assert fired > 0
    assert result.calls == it.simulator.requests()["total"], "calls that failed were calls"
    if how in ("429 seconds", "429 date"):
        assert took >= 0.9, "the vendor said how long to wait"
        assert result.metrics["waiting_seconds"] >= 0.9
    it.driver.create(it.entity)
    assert it.sync(batch_size=4).created == 1
    assert it.rows().keys() == it.driver.keys(it.entity)


@pytest.mark.parametrize("body", ["json", "text"])
@pytest.mark.parametrize("table", ["hubspot_deal", "callrail_call"])
def test_a_token_revoked_mid_run_fails_at_once(open_harness: OpenHarness, table: str, body: str) -> None:
    it = open_harness(table)
    it.simulator.set_fault("unauthorized", after=3, body=body)
    with pytest.raises(CredentialRefused, match="Renew the credential") as caught:
        it.sync(batch_size=2)
    assert it.source.title in str(caught.value)
    assert it.rows() == {}
    assert it.simulator.requests()["statuses"]["401"] == 1, "a refusal is not repeated"
    assert it.history()[-1]["error_message"].startswith("CredentialRefused: ")


@pytest.mark.parametrize("fault", ["repeat_page", "endless"])
@pytest.mark.parametrize(
    "table", ["hubspot_contact", "callrail_tag", *map(other, ("hubspot_zipcode", "callrail_call"))]
)
def test_reading_always_ends(open_harness: OpenHarness, table: str, fault: str) -> None:
    """A page that repeats or a list without end stops the run; where an empty page is the end, the rows are exact."""
    it = open_harness(table)
    it.simulator.set_fault(fault, path=it.driver.path(it.entity))
    try:
        result = it.sync(batch_size=2)
    except CursorStuck:
        assert it.rows() == {}
        assert it.history()[-1]["status"] == "failed"
    else:
        assert (table, fault, result.status) == ("callrail_tag", "endless", "success")
        assert it.rows().keys() == it.driver.keys(it.entity)
    assert it.simulator.requests()["total"] < 200
