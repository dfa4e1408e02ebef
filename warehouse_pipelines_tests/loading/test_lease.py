"""Two processes and one entity: whoever lost the lease commits nothing, and the history says so."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, LeaseLost, SyncRunning
from warehouse_pipelines.loading import lease, resource, sync_history
from warehouse_pipelines_tests.harness.fake_source import THING, FakeSource, thing
from warehouse_pipelines_tests.harness.source_harness import source_harness
from warehouse_pipelines_tests.harness.subprocesses import Child, eventually


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    monkeypatch.setattr(resource, "CHUNK", 1)
    return FakeSource(bare_url)


def execute(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def end_lock(url: str) -> None:
    """End the session that holds the lock of an entity, and leave the transaction that loads."""
    held = (
        "FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' "
        "AND classid::bigint << 32 | objid::bigint = hashtextextended('fake:things', 0) "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert execute(url, f"SELECT pg_terminate_backend(pid) {held}") == [(True,)]
    eventually(lambda: not execute(url, f"SELECT {held}"), "the lock is free")


def standing(fake: FakeSource) -> list[tuple[str, str | None]]:
    return [(row["status"], row["run_id"]) for row in fake.history()]


def test_a_stopped_process_is_replaced_and_cannot_commit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP in the middle of a load, which keeps its sessions, its lock and its row locks; then it goes on."""
    monkeypatch.setattr(resource, "CHUNK", 2)
    monkeypatch.setattr(lease, "EXPIRED_SECONDS", 1.0)
    monkeypatch.setattr(lease, "SECOND_LOOK_SECONDS", 0.3)
    with source_harness("hubspot_deal", database_url, monkeypatch) as it:
        it.sync()
        for _ in range(6):
            it.driver.create(it.entity)
        it.driver.edit(it.entity)
        it.simulator.set_fault("slow", path="/batch/read", seconds=2, after=2, times=1)
        child = Child(it, batch_size=2)
        child.has_loaded()
        child.signal(signal.SIGSTOP)
        result = it.sync()
        assert (result.status, result.created) == ("success", 6)
        expected = it.rows()
        child.signal(signal.SIGCONT)
        assert child.ended() == 1
        assert it.rows() == expected
        assert expected.keys() == it.driver.keys(it.entity)
        first, silent, second = it.history()
        assert (first["status"], silent["status"], second["status"]) == ("success", "failed", "success")
        assert silent["error_message"] == lease.SILENT


def test_who_lost_its_lock_is_ended_by_the_next_and_commits_nothing(fake: FakeSource) -> None:
    """Its transaction, which has locked the very row that the next one writes, is ended and not waited for."""
    other = FakeSource(fake.url)

    def take_over() -> None:
        end_lock(fake.url)
        assert other.sync([thing("a", 3)], run_id="next").created == 1

    with pytest.raises(DatabaseUnavailable):
        fake.sync([thing("a", 2)], [thing("b", 2)], take_over, [thing("c", 2)], run_id="first")
    assert fake.rows().keys() == {("a",)}
    assert fake.row("a")["at"].day == 3
    assert standing(fake) == [("failed", "first"), ("success", "next")]


def test_who_loses_its_session_stops_reading_and_says_so(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    stopped: list[bool] = []

    def wait(context: Any) -> None:
        end_lock(fake.url)
        stopped.append(context.cancelled.wait(20))

    fake.before = wait
    with pytest.raises(LeaseLost, match="the lease of fake things was lost"):
        fake.sync([thing("a")])
    assert stopped == [True]
    fake.before = lambda context: None
    assert fake.sync([thing("a")]).created == 1
    assert [row["status"] for row in fake.history()] == ["failed", "success"]


def test_a_token_of_another_is_refused_at_the_commit(fake: FakeSource) -> None:
    """Even where nothing else tells: the row is running, both sessions stand."""
    bump = "UPDATE orchestration.entity_lease SET token = token + 1 RETURNING token"
    fake.sync([thing("a")])
    with pytest.raises(DatabaseUnavailable, match="another run has its entity"):
        fake.sync([thing("b", 2)], lambda: execute(fake.url, bump))
    assert fake.rows().keys() == {("a",)}
    assert fake.sync([thing("b", 2)]).created == 1
    assert execute(fake.url, "SELECT token FROM orchestration.entity_lease") == [(4,)]


@pytest.mark.slow("sessions that wait for each other")
def test_a_run_that_renews_its_lease_is_left_alone(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, and though it waits for its vendor."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(lease, "EXPIRED_SECONDS", 0.8)
    monkeypatch.setattr(lease, "SECOND_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(lease, "LOCK_SECONDS", 2.0)
    other = FakeSource(fake.url)

    def meet() -> None:
        with pytest.raises(SyncRunning):
            other.sync([thing("b")])

    assert fake.sync([thing("a")], meet).status == "success"
    assert fake.rows().keys() == {("a",)}


def test_one_that_was_interrupted_closes_no_row_of_another(fake: FakeSource) -> None:
    """The other took over and is still running."""
    other, ended = FakeSource(fake.url), threading.Event()
    begun = threading.Event()
    results: list[str] = []

    def go_on() -> None:
        begun.set()
        ended.wait(60)

    def sync_other() -> None:
        results.append(other.sync([thing("b")], go_on, run_id="next").status)

    after = threading.Thread(target=sync_other, daemon=True)

    def interrupt(records: int) -> None:
        end_lock(fake.url)
        after.start()
        assert begun.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fake.sync([thing("a")], progress=interrupt, run_id="first")
    ended.set()
    after.join(60)
    assert results == ["success"]
    assert standing(fake) == [("failed", "first"), ("success", "next")]


def test_a_commit_that_stands_still_is_ended(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has checked the token, which locks the lease."""
    monkeypatch.setattr(lease, "ACQUIRE_SECONDS", 0.2)
    fake.sync([thing("a")])
    with psycopg.connect(fake.url) as stuck:
        stuck.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('load:fake:things', 0))")
        stuck.execute("SELECT FROM orchestration.entity_lease FOR SHARE")
        assert fake.sync([thing("b", 2)]).created == 1
        with pytest.raises(psycopg.errors.AdminShutdown):
            stuck.execute("SELECT 1")


def test_a_lease_that_a_stranger_locks_is_refused(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "ACQUIRE_SECONDS", 0.2)
    fake.sync([thing("a")])
    with psycopg.connect(fake.url) as stranger:
        stranger.execute("SELECT FROM orchestration.entity_lease FOR SHARE")
        with pytest.raises(SyncRunning):
            fake.sync([thing("b", 2)], run_id="refused")
    assert standing(fake)[1:] == [("failed", "refused")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("EXPIRED_SECONDS", 0.0), ("SECOND_LOOK_SECONDS", 0.1), ("LOCK_SECONDS", 1.0)):
        monkeypatch.setattr(lease, name, seconds)


LOCK = "SELECT pg_advisory_lock(hashtextextended('fake:things', 0))"


@pytest.mark.usefixtures("impatient")
@pytest.mark.slow("the same in other circumstances")
def test_a_holder_without_a_lease_is_left_alone(fake: FakeSource) -> None:
    """A version that writes none runs beside this one."""
    with psycopg.connect(fake.url, autocommit=True) as holder:
        holder.execute(LOCK)
        with pytest.raises(SyncRunning):
            fake.sync([thing("a")])
        holder.execute("SELECT 1")


@pytest.mark.usefixtures("impatient")
@pytest.mark.slow("the same in other circumstances")
def test_a_holder_who_may_not_be_ended_is_named_once(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake.sync([thing("a")])
    refused = "DO 'BEGIN RAISE insufficient_privilege; END'"
    monkeypatch.setattr(lease, "query", {"lease_end_sessions": refused}.__getitem__)
    with psycopg.connect(fake.url, autocommit=True) as holder:
        holder.execute(LOCK)
        with pytest.raises(SyncRunning):
            fake.sync([thing("b", 2)])
    assert caplog.text.count("belongs to another user") == 1
    assert caplog.text.count("does not renew its lease") == 1


@pytest.mark.usefixtures("impatient")
def test_who_waits_until_its_entity_is_free_is_refused_where_the_lease_is_not_renewed(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process of another user, whose session may not be ended. It is waited for while it renews its lease."""
    fake.sync([thing("a")])
    monkeypatch.setattr(
        lease, "query", {"lease_end_sessions": "DO 'BEGIN RAISE insufficient_privilege; END'"}.__getitem__
    )
    ended = threading.Event()

    def renew() -> None:
        with psycopg.connect(fake.url, autocommit=True) as connection:
            for _ in range(12):
                connection.execute("UPDATE orchestration.entity_lease SET renewed_at = clock_timestamp()")
                time.sleep(0.1)
        ended.set()

    with psycopg.connect(fake.url, autocommit=True) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(LOCK)
        renewing = pool.submit(renew)
        with pytest.raises(SyncRunning), lease.hold(fake.url, fake.source(), THING, "month", until_free=True):
            pass
        assert ended.is_set()
        renewing.result()
    assert standing(fake) == [("success", None), ("failed", "month")]


def test_a_run_without_a_row_closes_none_of_its_successor(fake: FakeSource) -> None:
    """It was interrupted before it knew its row; it has the token that it took."""

    def close(token: int) -> None:
        with warehouse.session(fake.url) as session:
            error, metrics = KeyboardInterrupt(), {"total_records": 0}
            sync_history.fail(session, fake.source(), THING, error, metrics, history_id=0, token=token)

    assert fake.sync([thing("a")], lambda: close(0)).status == "success"
    with pytest.raises(DatabaseUnavailable, match="closed by someone else"):
        fake.sync([thing("a")], lambda: close(2))
    assert [row["status"] for row in fake.history()] == ["success", "cancelled"]
