"""Google's push channels: made, told of, replaced before they end, stopped."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import NotConfigured, RequestRefused, WrongUse
from warehouse_pipelines.orchestration import maintenance, pipedesk_maintenance
from warehouse_pipelines.serving import channels, push_channels
from warehouse_pipelines.serving.vendors import BY_CRM
from warehouse_pipelines.serving.work import work
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines.simulators.google.drive import SHARED_DRIVE, SHARED_ROOT
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.sources import SOURCES, _google_push
from warehouse_pipelines.sources.webhooks import DELIVERED_ENTITIES
from warehouse_pipelines_tests.harness.serving import SECRETS, Serving, callrail, serving
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, looking, source_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

pytestmark = pytest.mark.on_oldest(
    "test_a_change_is_told_and_read",
    "test_a_channel_is_replaced_before_it_ends_and_without_a_gap",
    "test_channels_that_ended_while_nobody_could_renew_them_are_made_anew",
    "test_the_commands",
)


@pytest.fixture
def serve(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(channels, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(channels, "KEPT_SECONDS", 0.0)
    with serving(database_url) as found:
        monkeypatch.setenv("WAREHOUSE_PUBLIC_URL", found.address)
        yield found


@pytest.fixture
def events(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("pipedesk.calendar_events", serve.url, monkeypatch, plain_addresses=True) as harness:
        yield harness


@pytest.fixture
def files(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("pipedesk.drive_files", serve.url, monkeypatch, plain_addresses=True) as harness:
        yield harness


def register(url: str, crm: str) -> list[str]:
    with warehouse.session(url) as session:
        made, failed = push_channels.register(session, crm)
    assert failed == []
    return made


def renew(url: str) -> tuple[list[str], list[str], int]:
    with warehouse.session(url) as session:
        return push_channels.renew(session)


def calendar_rows(url: str) -> list[dict[str, Any]]:
    return (
        looking(url)
        .execute("SELECT * FROM pipedesk.calendar_sync_states WHERE channel_id IS NOT NULL ORDER BY id")
        .fetchall()
    )


def states(serve: Serving) -> list[tuple[str, str]]:
    return [(row["headers"]["x-goog-resource-state"], row["status"]) for row in serve.inbox()]


def test_channel_registration_row(events: SourceHarness, serve: Serving) -> None:
    """Our UUID first, what Google calls it after; the token is kept by its hash alone."""
    assert len(register(serve.url, "gcalendar")) == 2
    found = calendar_rows(serve.url)
    made = {one["id"]: one for one in events.simulator.list_channels()}
    assert {row["channel_id"] for row in found} == made.keys()
    google: Google = events.simulator
    for row in found:
        channel = google.channels[row["channel_id"]]
        assert (row["resource_id"], row["calendar_id"], row["active"]) == (channel.resource_id, channel.watched, True)
        assert bytes(row["token_sha256"]) == hashlib.sha256(channel.token.encode()).digest()
        assert len(channel.token) > 40
        assert abs(row["expiration"].timestamp() - channel.ends_at) < 1
        assert not any(channel.token in str(value) for value in row.values())
    assert register(serve.url, "gcalendar") == [], "they last"
    eventually(lambda: len(serve.inbox()) == 2, "the first messages")
    assert {state for state, _ in states(serve)} == {"sync"}


def test_a_change_is_told_and_read(events: SourceHarness, serve: Serving) -> None:
    events.sync()
    register(serve.url, "gcalendar")
    calendar = next(iter(events.simulator.calendars))
    made = events.simulator.create_event(
        calendar, summary="told", status="confirmed", start={"date": "2026-05-05"}, end={"date": "2026-05-06"}
    )
    eventually(lambda: len(serve.inbox()) == 3, "the notification")
    events.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '1 hour'")
    worked = work((events.source,), url=serve.url)
    assert worked is not None
    assert [entity.name for _, entity, _ in worked.reads] == ["events"]
    assert (calendar, made) in events.rows()
    assert sorted(states(serve)) == [("exists", "done"), ("sync", "ignored"), ("sync", "ignored")]


def test_a_channel_is_replaced_before_it_ends_and_without_a_gap(events: SourceHarness, serve: Serving) -> None:
    register(serve.url, "gcalendar")
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = now() + interval '24 hours'")
    made, failed, _ = renew(serve.url)
    assert (len(made), failed) == (2, [])
    rows = calendar_rows(serve.url)
    assert [row["active"] for row in rows] == [False, False, True, True]
    assert {one["id"] for one in events.simulator.list_channels()} == {row["channel_id"] for row in rows[2:]}
    log = [
        entry["path"]
        for entry in events.simulator.requests()["log"]
        if "watch" in entry["path"] or "stop" in entry["path"]
    ]
    assert [path.rpartition("/")[2] for path in log] == ["watch", "watch", "watch", "stop", "watch", "stop"]
    left = events.query(
        "SELECT count(*) AS n FROM pipedesk.calendar_sync_states WHERE active AND channel_id IS NOT NULL"
        " AND expiration < now() + interval '24 hours'"
    )
    assert left[0]["n"] == 0


def test_what_google_refuses_leaves_the_old_channel(events: SourceHarness, serve: Serving) -> None:
    register(serve.url, "gcalendar")
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = now() + interval '2 hours'")
    events.simulator.configure(plain_addresses=False)
    made, failed, _ = renew(serve.url)
    assert made == []
    assert len(failed) == 2
    rows = calendar_rows(serve.url)
    assert [row["active"] for row in rows] == [True, True], "no row is left of what was not made"
    assert len(events.simulator.list_channels()) == 2


def test_a_calendar_that_google_refuses_keeps_no_other_from_a_channel(
    events: SourceHarness, serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = push_channels.SERVICES["gcalendar"]
    first, second = service.watched()

    def watch(what: str, **more: Any) -> Any:
        if what == first:
            raise RequestRefused("Google Calendar: 404, there is no such calendar")
        return service.watch(what, **more)

    monkeypatch.setitem(push_channels.SERVICES, "gcalendar", replace(service, watch=watch))
    with warehouse.session(serve.url) as session:
        made, failed = push_channels.register(session, "gcalendar")
    assert [line.split(":")[0] for line in made] == [f"gcalendar {second}"]
    assert [line.split(":")[0] for line in failed] == [f"gcalendar {first}"]
    assert [row["active"] for row in calendar_rows(serve.url)] == [True]


def test_a_refused_credential_leaves_the_channels_and_fails_the_run(events: SourceHarness, serve: Serving) -> None:
    """So that somebody hears of it while the old channels still deliver."""
    register(serve.url, "gcalendar")
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = now() + interval '2 hours'")
    events.simulator.set_fault("unauthorized")
    jobs = maintenance.jobs({"pipedesk": pipedesk_maintenance.TASKS}, lambda: serve.url)
    job = next(one for one in jobs if one.name == "hourly_renew_push_channels")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not done.success
        [failed] = done.get_step_failure_events()
    assert ": CredentialRefused: " in str(failed.step_failure_data.error)
    events.simulator.clear_faults()
    rows = [row for row in calendar_rows(serve.url) if row["resource_id"]]
    assert [row["active"] for row in rows] == [True, True]
    assert {one["id"] for one in events.simulator.list_channels()} == {row["channel_id"] for row in rows}
    assert len(renew(serve.url)[0]) == 2


def test_ended_channels_are_marked(events: SourceHarness, serve: Serving) -> None:
    register(serve.url, "gcalendar")
    events.simulator.expire_channels()
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = now() - interval '1 minute'")
    events.simulator.configure(plain_addresses=False)  # so none is made in their place
    made, failed, marked = renew(serve.url)
    assert (made, len(failed), marked) == ([], 2, 2)
    assert [row["active"] for row in calendar_rows(serve.url)] == [False, False]


def test_stopped_channels_go_on_for_a_while(events: SourceHarness, serve: Serving) -> None:
    register(serve.url, "gcalendar")
    eventually(lambda: len(serve.inbox()) == 2, "the first messages")
    with warehouse.session(serve.url) as session:
        assert push_channels.remove(session, "gcalendar") == 2
        assert push_channels.remove(session, "gcalendar") == 0
    assert events.simulator.list_channels() == []
    eventually(lambda: sum(serve.outcomes("google").values()) == 4, "a last word of each")
    assert "refused" not in serve.outcomes("google")


def test_the_log_of_drive_is_watched(files: SourceHarness, serve: Serving) -> None:
    assert len(register(serve.url, "gdrive")) == 1
    [row] = looking(serve.url).execute("SELECT * FROM pipedesk.drive_webhook_channels").fetchall()
    assert (row["resource_type"], row["watched_resource_id"], row["active"]) == ("changes", None, True)
    first, *_ = files.simulator.file_ids()
    files.simulator.edit_file(first, name="told")
    eventually(lambda: len(serve.inbox()) == 2, "the notification")
    logged = looking(serve.url).execute("SELECT resource_state FROM pipedesk.drive_change_logs ORDER BY id").fetchall()
    assert sorted(one["resource_state"] for one in logged) == ["change", "sync"]


def test_the_channel_of_a_shared_drive_is_replaced_without_a_gap(
    files: SourceHarness, serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes at any moment of a renewal is told: by the old channel, the new one, or both."""
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", SHARED_ROOT)
    first, *_ = files.simulator.file_ids(folders=True, drive_id=SHARED_DRIVE)
    assert register(serve.url, "gdrive")[0].startswith(f"gdrive {SHARED_DRIVE}: a channel until")
    told = set()

    def change(moment: str) -> None:
        files.simulator.edit_file(first, name=moment)
        told.add(moment)
        eventually(lambda: len(told & heard()) == len(told), moment)

    def heard() -> set[str]:
        found = looking(serve.url).execute(
            "SELECT channel_id, resource_state FROM pipedesk.drive_change_logs ORDER BY id"
        )
        changes = [row for row in found.fetchall() if row["resource_state"] == "change"]
        return told if len(changes) >= len(told) else set()

    change("before")
    files.execute("UPDATE pipedesk.drive_webhook_channels SET expires_at = now() + interval '24 hours'")
    stop = _google_push.stop

    def stopping(*which: str) -> None:
        change("while both are there")
        stop(*which)

    monkeypatch.setattr(_google_push, "stop", stopping)
    made, failed, _ = renew(serve.url)
    assert (len(made), failed) == (1, [])
    change("after")
    assert told == {"before", "while both are there", "after"}
    rows = (
        looking(serve.url)
        .execute("SELECT watched_resource_id, active FROM pipedesk.drive_webhook_channels ORDER BY id")
        .fetchall()
    )
    assert [tuple(row.values()) for row in rows] == [(SHARED_DRIVE, False), (SHARED_DRIVE, True)]


def test_channels_that_ended_while_nobody_could_renew_them_are_made_anew(events: SourceHarness, serve: Serving) -> None:
    """And those that somebody stopped are not, before their end or after."""
    register(serve.url, "gcalendar")
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = now() - interval '1 hour'")
    with warehouse.session(serve.url) as session:
        session.execute("UPDATE pipedesk.calendar_sync_states SET active = false, updated_at = now()")
    assert len(renew(serve.url)[0]) == 2
    with warehouse.session(serve.url) as session:
        assert push_channels.remove(session, "gcalendar") == 2
    assert renew(serve.url) == ([], [], 0)
    events.execute("UPDATE pipedesk.calendar_sync_states SET expiration = updated_at - interval '1 second'")
    with warehouse.session(serve.url) as session:
        assert push_channels.remove(session, "gcalendar") == 0
    assert renew(serve.url) == ([], [], 0)


def test_a_sync_says_nothing_of_channels_that_were_stopped(events: SourceHarness, serve: Serving) -> None:
    """Its token stood on their rows too, whose time of change then told of a channel that lapsed."""
    register(serve.url, "gcalendar")
    with warehouse.session(serve.url) as session:
        push_channels.remove(session, "gcalendar")
    before = [(row["updated_at"], row["sync_token"]) for row in calendar_rows(serve.url)]
    events.sync()
    assert [(row["updated_at"], row["sync_token"]) for row in calendar_rows(serve.url)] == before


def test_what_is_received_is_listed_of_every_crm_that_delivers(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(crm: str) -> str:
        answer = CliRunner().invoke(cli.main, ["webhooks", "list", crm])
        assert answer.exit_code == 0, answer.output
        return " ".join(answer.output.split())

    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", serve.url)
    said = listed("callrail")
    assert "Read by key: calls, form_submissions. Read by a delta: text_messages." in said
    assert f"Deliveries come to {serve.address}/webhooks/callrail." in said
    assert "CALLRAIL_SIGNING_KEYS is not set: every delivery is answered 401." in said
    assert "Last delivery of callrail: none yet; within 24 h: none." in said
    monkeypatch.setenv("CALLRAIL_SIGNING_KEYS", SECRETS["callrail_signing_keys"])
    body = b'{"resource_id": "CAL019"}'
    assert [serve.post("callrail", body, **callrail(body)) for _ in range(2)] == [200, 200]
    assert serve.post("callrail", body) == 401
    eventually(lambda: "1 accepted, 1 duplicate, 1 refused" in listed("callrail"), "the counts")
    assert "none yet" not in listed("callrail")
    assert "1 wait to be worked off." in listed("callrail")
    assert "not set" not in listed("callrail")
    for crm in DELIVERED_ENTITIES:
        assert "Last delivery of" in listed(crm)
    answer = CliRunner().invoke(cli.main, ["webhooks", "list", "five9"])
    assert answer.exit_code == 2
    assert "five9 delivers no webhooks" in answer.output


def test_every_entity_that_deliveries_tell_of_is_there() -> None:
    entities = {source.name: {entity.name for entity in source.entities} for source in SOURCES}
    assert all(set(names) <= entities[crm] for crm, names in DELIVERED_ENTITIES.items())
    assert DELIVERED_ENTITIES.keys() == BY_CRM.keys()
    for setting in filter(None, (vendor.needs for vendor in BY_CRM.values())):
        assert setting.lower() in ServeSettings.model_fields


def test_google_is_told_no_address_without_https(
    serve: Serving, events: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("", "http://hooks.example.test", "ftp://127.0.0.1"):
        monkeypatch.setenv("WAREHOUSE_PUBLIC_URL", address)
        with pytest.raises(NotConfigured, match="HTTPS only"):
            register(serve.url, "gcalendar")
    assert calendar_rows(serve.url) == []
    monkeypatch.setenv("WAREHOUSE_PUBLIC_URL", serve.address)
    events.simulator.configure(plain_addresses=False)
    with warehouse.session(serve.url) as session:
        made, failed = push_channels.register(session, "gcalendar")
    assert made == []
    assert all("HTTPS" in line for line in failed)
    assert calendar_rows(serve.url) == []


def test_the_commands(events: SourceHarness, serve: Serving) -> None:
    def run(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(cli.main, ["webhooks", *words])
        return answer.exit_code, answer.output

    assert run("register", "gcalendar")[0] == 0
    code, listed = run("list", "gcalendar")
    assert code == 0
    assert listed.count("yes") == 2
    assert run("remove", "gcalendar") == (0, "Stopped 2 channel(s) of gcalendar.\n")
    code, said = run("register", "callrail")
    assert code == 2
    assert "hubspot, gcalendar, gdrive have" in said.replace("\n", " ")
    with pytest.raises(WrongUse):
        push_channels.service_of("callrail")
