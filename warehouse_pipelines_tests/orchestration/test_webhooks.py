"""The sensor and the job that work the inbox of webhooks off."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.test_utils import create_run_for_test

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import cli
from warehouse_pipelines.definitions import defs
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.loading import webhook_inbox
from warehouse_pipelines.orchestration import webhooks
from warehouse_pipelines.orchestration.ticks import TickFailed
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import work as program
from warehouse_pipelines.serving.inbox import Inbox, Kept
from warehouse_pipelines.serving.work import Batch, Worked, work, work_keys
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines_tests.harness.serving import contact_event, events
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, looking, source_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

AWAY = "postgresql://a:b@127.0.0.1:1/none"


@pytest.fixture
def contacts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("hubspot_contact", database_url, monkeypatch) as harness:
        harness.sync()
        yield harness


def put(harness: SourceHarness, count: int = 1) -> list[str]:
    """Edit contacts and put an event of each into the inbox; return their ids."""
    keys: list[str] = harness.simulator.ids("contacts")[:count]
    for key in keys:
        harness.simulator.edit("contacts", key, {"city": "Elyria"})
        harness.execute(
            "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, body, signature_valid)"
            " VALUES ('hubspot', %s, %s, true)",
            f"hubspot:{key}:{len(statuses(harness))}",
            events(contact_event(key)).decode(),
        )
    return keys


def statuses(harness: SourceHarness) -> list[str]:
    return [row["status"] for row in harness.query("SELECT status FROM orchestration.webhook_inbox ORDER BY id")]


def look(url: str, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    [sensor] = webhooks.sensors([HUBSPOT], lambda: url)
    found = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor by itself, without the thread that looks between its looks."""
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(webhooks, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(webhooks, "GATHER_SECONDS", 0.0)


def test_it_runs_by_default() -> None:
    [sensor] = webhooks.sensors([HUBSPOT], lambda: AWAY)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert "webhook_inbox" in {each.name for each in defs.sensors or ()}


def test_a_few_deliveries_are_worked_off_by_the_sensor(contacts: SourceHarness) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert look(contacts.url, instance) == dg.SkipReason("nothing is due")
        [key] = put(contacts)
        assert look(contacts.url, instance) == dg.SkipReason("worked off 1 deliveries")
    assert contacts.rows()[key,]["city"] == "Elyria"
    assert statuses(contacts) == ["done"]


def test_more_are_left_to_one_run(contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "FEW", 1)
    put(contacts, 3)
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(look(contacts.url, instance), dg.RunRequest)
        create_run_for_test(instance, job_name=webhooks.JOB, status=dg.DagsterRunStatus.STARTED)
        assert look(contacts.url, instance) == dg.SkipReason(f"{webhooks.JOB} is at it")
    assert statuses(contacts) == ["pending"] * 3


@pytest.mark.slow("the same in other circumstances")
def test_what_it_worked_off_in_its_time_needs_no_run(contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch takes longer than the time that the sensor gives itself; nothing is left after it."""

    def slowly(*given: Any, **options: Any) -> Worked | None:
        time.sleep(1)
        return work(*given, **options)

    monkeypatch.setattr("warehouse_pipelines.serving.work.work", slowly)
    monkeypatch.setattr(webhooks, "OWN_SECONDS", 1.0)
    put(contacts)
    with dg.DagsterInstance.ephemeral() as instance:
        assert look(contacts.url, instance) == dg.SkipReason("worked off 1 deliveries")


def test_it_leaves_the_inbox_to_whoever_is_at_it(contacts: SourceHarness) -> None:
    put(contacts)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        warehouse.session(contacts.url) as session,
        webhook_inbox.working(session, "hubspot"),
    ):
        assert look(contacts.url, instance) == dg.SkipReason("another process is at it")


def test_between_two_looks_a_thread_works_deliveries_off(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look says what it did, however much came; the thread ends when the sensor no longer looks."""
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 60.0)
    monkeypatch.setattr(webhooks, "FEW", 1)
    watch = webhooks.Watch([HUBSPOT])
    assert watch.go_on(contacts.url) == webhooks.Done()
    put(contacts, 3)
    eventually(lambda: statuses(contacts) == ["done"] * 3, "the thread works them off")
    thread = watch._thread
    assert thread is not None
    eventually(lambda: watch._done.closed == 3, "the thread has counted them")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    assert str(watch.go_on(contacts.url)) == "worked off 3 deliveries"
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_the_thread_is_notified_of_a_delivery_that_is_committed(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another session, when the server has ended its own."""
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 600.0)
    monkeypatch.setattr(webhooks, "PAUSE_SECONDS", 300.0)
    watch = webhooks.Watch([HUBSPOT])
    watch.go_on(contacts.url)
    for count in range(3):
        if count:
            contacts.execute("SELECT pg_terminate_backend(%s)", waiting(contacts))
        eventually(lambda: waiting(contacts), "the thread waits")
        deliver(contacts.url, contacts.simulator.ids("contacts")[count])
        eventually(lambda: statuses(contacts) == ["done"] * (count + 1), "it works the delivery off", 60)  # noqa: B023
        eventually(lambda: waiting(contacts), "the thread waits")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    thread = watch._thread
    watch.go_on(contacts.url)
    contacts.execute("NOTIFY webhook_inbox")
    assert thread is not None
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_a_delivery_that_is_committed_while_it_counts_is_not_waited_for(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notification comes with the answer to the count, and nothing is left to wake up for."""
    key = contacts.simulator.ids("contacts")[0]
    inbox, count = webhooks.Listener(), webhook_inbox.count_due

    def count_and_deliver(session: Any) -> dict[str, int]:
        found = count(session)
        deliver(contacts.url, key)
        session.execute("SELECT 1")
        return found

    monkeypatch.setattr(webhook_inbox, "count_due", count_and_deliver)
    assert inbox.count_due(contacts.url) == {}
    monkeypatch.setattr(webhook_inbox, "count_due", count)
    began = time.monotonic()
    inbox.wait(300.0)
    assert time.monotonic() - began < 200
    assert inbox.count_due(contacts.url) == {"hubspot": 1}
    inbox.close()


def waiting(harness: SourceHarness) -> int | None:
    """Return the process of the session that hears of deliveries, while nothing runs in it."""
    found = harness.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
        " AND starts_with(query, %s)",
        query("webhook_count_due").partition("\n")[0],
    )
    return int(found[0]["pid"]) if found else None


def deliver(url: str, key: str) -> None:
    """Commit an event of a contact as ``serve`` does."""

    async def put() -> None:
        inbox = Inbox(url)
        writer = asyncio.create_task(inbox.run())
        body = events(contact_event(key)).decode()
        assert await inbox.put(Kept("hubspot", f"hubspot:{key}", [key], {}, body))
        writer.cancel()
        await inbox.close()

    asyncio.run(put())


def test_what_ended_the_thread_fails_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 60.0)
    watch = webhooks.Watch([HUBSPOT])
    watch.go_on(AWAY)
    eventually(lambda: watch._error, "the thread has ended")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    with pytest.raises(DatabaseUnavailable):
        watch.go_on(AWAY)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_the_thread_otherwise_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def ends(*_: object) -> dict[str, int]:
        called.append("")
        raise SystemExit

    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 60.0)
    monkeypatch.setattr(webhooks.Listener, "count_due", ends)
    watch = webhooks.Watch([HUBSPOT])
    for _ in range(2):
        watch.go_on(AWAY)
        thread = watch._thread
        assert thread is not None
        thread.join(timeout=20)
    assert len(called) == 2


def test_a_source_that_hangs_fails_the_looks_until_it_is_done_and_holds_up_no_other(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock of what its vendor delivers, so every other look would be skipped. It tells what it did."""
    going_on = threading.Event()

    def hangs(sources: Any, name: str, **how: Any) -> Batch | None:
        if name == "callrail":
            going_on.wait(60)
        return work_keys(sources, name, **how)

    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 600.0)
    monkeypatch.setattr(program, "work_keys", hangs)
    contacts.execute(
        "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, body, signature_valid)"
        " VALUES ('callrail', 'callrail:1', 'no JSON', true)"
    )
    watch = webhooks.Watch([HUBSPOT])
    watch.go_on(contacts.url)
    eventually(lambda: watch._began, "the thread has begun")
    put(contacts)
    eventually(lambda: statuses(contacts) == ["pending", "done"], "what the other vendor delivered is done")
    eventually(lambda: list(watch._began) == ["callrail"], "its thread has ended")
    monkeypatch.setattr(webhooks, "STUCK_SECONDS", 0.0)
    for _ in range(2):
        with pytest.raises(TickFailed, match="deliveries of callrail have been worked off for 0 minutes in one go"):
            watch.go_on(contacts.url)
    going_on.set()
    eventually(lambda: statuses(contacts) == ["failed", "done"], "it goes on")
    eventually(lambda: not watch._began, "the thread has ended")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    thread = watch._thread
    assert watch.go_on(contacts.url).closed == 2
    assert thread is not None
    thread.join(timeout=20)


def test_a_list_that_is_read_holds_up_no_record_of_its_vendor(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What names the list waits for the next look at it, and is not taken again by the one that reads it."""
    going_on, read = threading.Event(), Batch.read_lists

    def slowly(batch: Batch) -> None:
        with warehouse.session(contacts.url) as session, webhook_inbox.working(session, "hubspot", lists=True):
            going_on.wait(60)
        read(batch)

    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 600.0)
    monkeypatch.setattr(Batch, "read_lists", slowly)
    put_pairs(contacts)
    watch = webhooks.Watch([HUBSPOT])
    watch.go_on(contacts.url)
    taken = "SELECT FROM orchestration.webhook_inbox WHERE not_before > received_at + interval '3 s'"
    eventually(lambda: contacts.query(taken), "the list is being read")
    put(contacts)
    eventually(lambda: statuses(contacts) == ["pending", "done"], "the record is read meanwhile")
    eventually(lambda: watch._done.closed, "the record is counted before the list is read")
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "LISTS_STUCK_SECONDS", 0.0)
        with pytest.raises(TickFailed, match="lists for deliveries of hubspot have been worked off for 0 minutes"):
            watch.go_on(contacts.url)
    going_on.set()
    eventually(lambda: statuses(contacts) == ["done", "done"], "the list is read")
    eventually(lambda: watch._done.closed >= 2, "both were counted")
    eventually(lambda: not watch._lists_began, "the thread of the list has ended")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    thread = watch._thread
    watch.go_on(contacts.url)
    assert thread is not None
    thread.join(timeout=20)


def put_pairs(harness: SourceHarness) -> None:
    """Put an event into the inbox that names a list."""
    harness.execute(
        "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, body, signature_valid)"
        " VALUES ('hubspot', 'hubspot:pairs', %s, true)",
        '[{"eventId":1,"subscriptionType":"contact.associationChange","associationType":"CONTACT_TO_DEAL"}]',
    )


def test_while_a_list_is_read_elsewhere_no_thread_is_started_for_it_and_nothing_counts(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Batch] = []
    put_pairs(contacts)
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 600.0)
    monkeypatch.setattr(Batch, "read_lists", lambda batch: started.append(batch))  # noqa: PLW0108
    watch = webhooks.Watch([HUBSPOT])
    with (
        warehouse.session(contacts.url) as session,
        webhook_inbox.working(session, "hubspot", lists=True),
    ):
        watch.go_on(contacts.url)
        waits = "SELECT FROM orchestration.webhook_inbox WHERE not_before > received_at + interval '20 s'"
        eventually(lambda: contacts.query(waits), "it waits for longer than for a record")
        eventually(lambda: not watch._began, "the thread of the source has ended")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    thread = watch._thread
    assert (started, watch.go_on(contacts.url)) == ([], webhooks.Done())
    assert thread is not None
    thread.join(timeout=20)


def test_a_source_whose_thread_could_not_be_started_is_started_later(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refused = threading.Thread.start, threading.Event()

    def scarce(thread: threading.Thread) -> None:
        if thread.name == "webhooks of hubspot" and not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    put(contacts)
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 600.0)
    monkeypatch.setattr(threading.Thread, "start", scarce)
    watch = webhooks.Watch([HUBSPOT])
    watch.go_on(contacts.url)
    eventually(lambda: watch._error, "the machine gives no thread")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        watch.go_on(contacts.url)
    eventually(lambda: statuses(contacts) == ["done"], "the delivery is worked off")
    eventually(lambda: not watch._began, "the thread of the source has ended")
    monkeypatch.setattr(webhooks, "WATCH_SECONDS", 0.0)
    thread = watch._thread
    watch.go_on(contacts.url)
    assert thread is not None
    thread.join(timeout=20)


def test_what_the_thread_could_not_read_is_logged_whatever_the_look_returns(
    contacts: SourceHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    told = webhooks.Done(closed=1, failures={"hubspot contacts: no": None})
    put(contacts)
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=webhooks.JOB, status=dg.DagsterRunStatus.STARTED)
        found = webhooks._look(dg.build_sensor_context(instance=instance), [HUBSPOT], contacts.url, told)
        assert found == dg.SkipReason(f"{webhooks.JOB} is at it")
        with pytest.raises(DatabaseUnavailable):
            webhooks._look(dg.build_sensor_context(instance=instance), [HUBSPOT], AWAY, told)
    assert capsys.readouterr().err.count("WARNING - tried again later: hubspot contacts: no") == 2


def test_its_tick_fails_while_the_database_is_away() -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TickFailed, match="DatabaseUnavailable"):
        look(AWAY, instance)


def test_a_vendor_that_cannot_be_read_is_named(contacts: SourceHarness) -> None:
    """Its deliveries wait for another try, and so does the sensor: the tick has done its work."""
    put(contacts)
    contacts.simulator.set_fault("unauthorized")
    with dg.DagsterInstance.ephemeral() as instance:
        found = look(contacts.url, instance)
    assert isinstance(found, dg.SkipReason)
    said = str(found.skip_message)
    assert said.startswith("worked off 0 deliveries; tried again later: hubspot contacts: CredentialRefused")
    assert statuses(contacts) == ["pending"]


def test_the_job_works_off_what_is_due_and_observes_the_assets(
    contacts: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LINGER_SECONDS", 0.2)
    keys = put(contacts, 3)
    [job] = webhooks.jobs([HUBSPOT], lambda: contacts.url)
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance)
        assert done.success
        [observed] = [one for one in done.all_events if one.event_type_value == "ASSET_OBSERVATION"]
        assert observed.asset_key == dg.AssetKey("hubspot_contact")
        [record] = contacts.query("SELECT run_id FROM orchestration.sync_history ORDER BY id DESC LIMIT 1")
        assert record["run_id"] == done.run_id
    assert {contacts.rows()[key,]["city"] for key in keys} == {"Elyria"}
    assert statuses(contacts) == ["done"] * 3


def test_the_command_works_it_off_too(contacts: SourceHarness) -> None:
    put(contacts, 2)
    answer = CliRunner().invoke(cli.main, ["webhooks", "work"])
    assert answer.exit_code == 0, answer.output
    assert "hubspot contacts: 0 created, 2 updated, 0 deleted, 0 failed" in answer.output
    assert "2 deliveries were worked off." in answer.output
    assert CliRunner().invoke(cli.main, ["webhooks", "work"]).output.strip() == "Nothing is due."
    contacts.simulator.set_fault("unauthorized")
    looking(contacts.url).execute("UPDATE orchestration.webhook_inbox SET dedupe_key = 'other ' || dedupe_key")
    put(contacts, 1)
    failed = CliRunner().invoke(cli.main, ["webhooks", "work"])
    assert failed.exit_code == 1
    assert "CredentialRefused" in failed.output
