"""What ``POST /webhooks/<vendor>`` keeps, refuses and answers, over HTTP and in PostgreSQL."""

import asyncio
import contextlib
import functools
import hashlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import webhook_inbox
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.serving import inbox, limits
from warehouse_pipelines.serving import server as program
from warehouse_pipelines_tests.harness.serving import Serving, callrail, contact_event, events, hubspot, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import eventually

pytestmark = pytest.mark.on_oldest(
    "test_503_while_the_inbox_is_away_and_200_when_it_is_back",
    "test_503_while_the_disk_is_full",
    "test_an_ended_session_is_replaced",
    "test_the_same_bytes_that_come_while_the_first_are_worked_off_are_due_after_them",
    "test_a_stopped_channel_is_answered_and_ignored",
    "test_a_channel_that_was_made_just_now_is_known",
    "test_one_row_that_the_table_refuses_costs_no_other",
)


@pytest.fixture
def serve(database_url: str) -> Iterator[Serving]:
    with serving(database_url) as found:
        yield found


def test_a_signed_delivery_is_committed_before_it_is_answered(serve: Serving) -> None:
    body = events(contact_event(101), contact_event(102, "contact.creation", eventId=32))
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    [row] = serve.inbox()
    assert (row["source"], row["status"], row["signature_valid"], row["attempts"]) == ("hubspot", "pending", True, 0)
    assert row["event_ids"] == ["31", "32"]
    assert json.loads(row["body"]) == json.loads(body)
    assert "x-hubspot-request-timestamp" in row["headers"]
    assert not any("signature-v3" in name for name in row["headers"])


def test_a_second_delivery_of_the_same_is_a_duplicate(serve: Serving) -> None:
    """Another try of HubSpot's differs in the count of its tries only."""
    first, again = events(contact_event(101)), events(contact_event(101, attemptNumber=3))
    other = events(contact_event(102))
    for body in (first, first, again, other):
        assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert len(serve.inbox()) == 2
    assert serve.outcomes("hubspot") == {"accepted": 2, "duplicate": 2}


def test_the_same_bytes_are_due_again_when_they_were_worked_off(serve: Serving) -> None:
    """A call is a good lead, then none, then one again; and what failed is sent once more by hand."""

    def work_off(source: str, error: str = "") -> list[str]:
        with warehouse.session(serve.url) as session:
            due = webhook_inbox.due(session, source, 100)
            if error:
                webhook_inbox.fail(session, {row.id: error for row in due}, for_good=True)
            else:
                webhook_inbox.close(session, {row.id: row.received_at for row in due}, "done")
        return [row.body for row in due]

    good, bad = (b'{"id":"CAL%032d","lead_status":"%s","note":""}' % (7, one) for one in (b"good_lead", b"not_a_lead"))
    for body in (good, bad, good):
        assert serve.post("callrail", body, **callrail(body)) == 200
        assert serve.post("callrail", body, **callrail(body)) == 200, "while it waits, it is one"
        assert work_off("callrail") == [body.decode()]
    assert serve.outcomes("callrail") == {"accepted": 3, "duplicate": 3}
    assert len(serve.inbox()) == 2
    event = events(contact_event(101))
    for error in ("the vendor was away", ""):
        assert serve.post("hubspot", event, **hubspot(event)) == 200
        assert work_off("hubspot", error) == [event.decode()]


def test_the_same_bytes_that_come_while_the_first_are_worked_off_are_due_after_them(serve: Serving) -> None:
    """LeadConduit tells of each lead with an empty body: what is read for the first may not have the second."""
    body = b'{"id":"CAL%032d"}' % 7
    post = functools.partial(serve.post, "callrail", body, **callrail(body))
    assert post() == 200
    looking(serve.url).execute(
        "UPDATE orchestration.webhook_inbox SET received_at = received_at - interval '1 h', attempts = 2,"
        " not_before = not_before - interval '1 h', error_message = 'the vendor was away'"
    )
    with warehouse.session(serve.url) as session:
        [taken] = webhook_inbox.due(session, "callrail", 10)
        assert post() == 200
        [row] = serve.inbox()
        assert row["received_at"] > taken.received_at
        assert (row["attempts"], row["error_message"]) == (2, "the vendor was away")
        depth = session.execute(query("webhook_depth")).fetchone()
        assert depth is not None
        assert depth["coalesce"] > 3_000, "one that comes again and again makes what waits look no younger"
        webhook_inbox.close(session, {taken.id: taken.received_at}, "done")
        [again] = webhook_inbox.due(session, "callrail", 10)
        assert (again.id, again.body) == (taken.id, body.decode())
        webhook_inbox.close(session, {again.id: again.received_at}, "done")
    assert [one["status"] for one in serve.inbox()] == ["done"]
    assert serve.outcomes("callrail") == {"accepted": 1, "duplicate": 1}


def test_duplicates_that_come_at_once_are_kept_once(serve: Serving) -> None:
    bodies = [events(contact_event(n)) for n in range(20)] * 10
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda body: serve.post("hubspot", body, **hubspot(body)), bodies))
    assert statuses == [200] * 200
    assert len(serve.inbox()) == 20


@pytest.mark.slow("2,000 deliveries")
def test_two_thousand_duplicates_are_kept_once(database_url: str) -> None:
    body = events(contact_event(1))
    with serving(database_url, warehouse_webhook_rate=100_000) as serve, ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda _: serve.post("hubspot", body, **hubspot(body)), range(2_000)))
        assert statuses == {200: 2_000}
        assert len(serve.inbox()) == 1
        assert serve.outcomes("hubspot") == {"accepted": 1, "duplicate": 1_999}


@pytest.mark.slow("a PostgreSQL that is restarted")
def test_a_database_that_is_restarted_loses_and_doubles_nothing(server: Server) -> None:
    """Meanwhile the vendor is told to try again, and does."""
    server.start()
    migrate(server.url())
    with serving(server.url()) as serve, ThreadPoolExecutor(4) as pool:
        bodies = [events(contact_event(number)) for number in range(40)]

        def deliver(body: bytes) -> int:
            for _ in range(600):
                if serve.post("hubspot", body, **hubspot(body)) == 200:
                    return 200
                time.sleep(0.1)
            return 503

        sent = [pool.submit(deliver, body) for body in bodies[:10]]
        assert {one.result() for one in sent} == {200}
        server.stop("immediate")
        assert serve.post("hubspot", bodies[10], **hubspot(bodies[10])) == 503
        sent = [pool.submit(deliver, body) for body in bodies]
        server.start()
        assert {one.result() for one in sent} == {200}
        with server.connect() as connection:
            rows = connection.execute("SELECT body FROM orchestration.webhook_inbox").fetchall()
        assert sorted(row[0] for row in rows) == sorted(body.decode() for body in bodies)


def test_what_is_forged_or_old_is_refused_and_counted_and_not_kept(serve: Serving) -> None:
    body = events(contact_event(101))
    assert serve.post("hubspot", body, **hubspot(body, secret="a guess")) == 401
    assert serve.post("hubspot", body, **hubspot(body, age=301)) == 401
    assert serve.post("hubspot", body, **hubspot(body, age=-310)) == 401, "from a clock that is ahead"
    assert serve.post("hubspot", body, **hubspot(body, path="/webhooks/callrail")) == 401
    assert serve.post("hubspot", body) == 401
    assert serve.post("hubspot", b"no JSON at all") == 401, "nothing is parsed before"
    assert serve.post("callrail", b"{}", **callrail(b"{}", "key-of-nobody")) == 401
    assert serve.post("arrivy", b"{}", X_Webhook_Secret="a guess") == 401
    assert serve.inbox() == []
    assert serve.outcomes("hubspot") == {"refused": 6}


def test_a_vendor_whose_secret_is_not_set_cannot_deliver(database_url: str) -> None:
    with serving(database_url, leadconduit_webhook_secret=None) as serve:
        assert serve.post("leadconduit", b"{}") == 401
        assert serve.post("leadconduit", b"{}", X_Webhook_Secret="") == 401


def test_strangers_are_not_found(serve: Serving) -> None:
    assert serve.post("salesforce", b"{}") == 404
    assert serve.post("hubspot/more", b"{}") == 404
    assert serve.client.get("/webhooks/hubspot").status_code == 405


@pytest.mark.parametrize("source", ["callrail", "arrivy", "leadconduit"])
def test_other_vendors(serve: Serving, source: str) -> None:
    body = json.dumps({"resource_id": "CAL" + "0" * 32, "EVENT_ID": 991, "OBJECT_ID": 5, "note": "é\u0000"}).encode()
    words = {"arrivy": "invented-arrivy-word", "leadconduit": "invented-leadconduit-word"}
    headers = callrail(body) if source == "callrail" else {"X_Webhook_Secret": words[source]}
    assert serve.post(source, body, **headers) == 200
    [row] = serve.inbox()
    assert row["status"] == "pending"
    assert not any(word in str(row["headers"]) for word in words.values())


def test_a_signed_body_that_cannot_be_read_is_kept_as_failed(serve: Serving) -> None:
    """The vendor would send the same again, so it is not asked to."""
    body = b"\xff\x00 no JSON"
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    [row] = serve.inbox()
    assert (row["status"], row["error_message"]) == ("failed", "HubSpot delivered no array of events: DecodeError")


def test_too_large_a_body_is_refused_however_it_comes(serve: Serving) -> None:
    large = b"x" * (limits.LARGEST_BODY + 1)
    assert serve.post("hubspot", large) == 413
    chunks = (large[start : start + 50_000] for start in range(0, len(large), 50_000))
    assert serve.client.post("/webhooks/hubspot", content=chunks).status_code == 413
    fits = events(contact_event(1, note="x" * (limits.LARGEST_BODY - 400)))
    assert serve.post("hubspot", fits, **hubspot(fits)) == 200
    assert serve.outcomes("hubspot") == {"accepted": 1, "too large": 2}


def test_webhook_rate_limit_429(database_url: str) -> None:
    """One sender's deliveries to one source are limited, and another source is not concerned."""
    with serving(database_url, warehouse_webhook_rate=5) as serve:
        statuses = [serve.post("hubspot", b"[]") for _ in range(14)]
        assert statuses[:10] == [401] * 10
        assert 429 in statuses[10:]
        body = b'{"resource_id":"CAL1"}'
        assert serve.post("callrail", body, **callrail(body)) == 200
        answer = serve.client.post("/webhooks/hubspot", content=b"[]")
        assert answer.status_code in (401, 429)


def test_senders_that_are_quiet_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SENDERS", 3)
    rate = limits.Rate(1)
    assert [rate.allows("hubspot", "a") for _ in range(3)] == [True, True, False]
    for other in "bcd":
        assert rate.allows("hubspot", other)
    assert len(rate._buckets) == 3
    assert rate.allows("hubspot", "a")


def test_a_body_that_comes_too_slowly_is_given_up(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse_pipelines.serving.receive.BODY_SECONDS", 0.3)
    with _connection(serve) as slow:
        slow.sendall(b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_headers_that_come_too_slowly_end_the_connection(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "HEADER_SECONDS", 0.3)
    with serving(database_url) as serve, _connection(serve) as slow:
        slow.sendall(b"POST /webhooks/hubspot HTTP/1.1\r\nHost:")
        assert slow.recv(100) == b""
        monkeypatch.setattr(program, "HEADER_SECONDS", 30.0)
        body = events(contact_event(1))
        assert serve.post("hubspot", body, **hubspot(body)) == 200


@pytest.mark.slow("the same in other circumstances")
def test_slow_senders_keep_no_other_waiting(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many connections whose headers or bodies come by the byte: others are taken meanwhile, and they are given up."""
    monkeypatch.setattr(program, "HEADER_SECONDS", 3.0)
    monkeypatch.setattr("warehouse_pipelines.serving.receive.BODY_SECONDS", 3.0)
    begun = (
        b"POST /webhooks/hubspot HTTP/1.1\r\nHost:",
        b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[",
    )
    with serving(database_url) as serve, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(_connection(serve)) for _ in range(200)]
        for number, one in enumerate(slow):
            one.sendall(begun[number % 2])
        for number in range(20):
            body = events(contact_event(number))
            assert serve.post("hubspot", body, **hubspot(body)) == 200
        ends = [one.recv(100)[:12] for one in slow]
        assert set(ends) == {b"", b"HTTP/1.1 408"}
        assert serve.outcomes("hubspot") == {"accepted": 20, "too slow": 100}


@pytest.mark.slow("the same in other circumstances")
def test_bodies_hold_no_more_memory_than_there_is_room_for(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_HELD", 3_000_000)
    bodies = [events(contact_event(number, note="x" * 900_000)) for number in range(8)]
    with _connection(serve) as slow:
        slow.sendall(b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + b"x" * 900_000)
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda body: serve.post("hubspot", body, **hubspot(body)), bodies))
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) == len(serve.inbox())
    for body in bodies:
        assert serve.post("hubspot", body, **hubspot(body)) == 200, "what was held is given back"
    assert len(serve.inbox()) == 8


def _connection(serve: Serving) -> socket.socket:
    host, _, port = serve.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_503_while_the_inbox_is_away_and_200_when_it_is_back(serve: Serving) -> None:
    """A vendor tries again what was not kept."""
    body = events(contact_event(1))
    looking(serve.url).execute("ALTER TABLE orchestration.webhook_inbox RENAME TO away")
    try:
        answer = serve.client.post("/webhooks/hubspot", content=body, headers=_sent(hubspot(body)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert serve.client.get("/health").status_code == 503
    finally:
        looking(serve.url).execute("ALTER TABLE orchestration.away RENAME TO webhook_inbox")
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert len(serve.inbox()) == 1
    assert serve.client.get("/health").json()["inbox"]["pending"] == 1


def test_503_while_the_disk_is_full(serve: Serving) -> None:
    body = events(contact_event(1))
    looking(serve.url).execute("""
        CREATE FUNCTION orchestration.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER no_room BEFORE INSERT ON orchestration.webhook_inbox
            FOR EACH ROW EXECUTE FUNCTION orchestration.no_room()
    """)
    assert serve.post("hubspot", body, **hubspot(body)) == 503
    looking(serve.url).execute("DROP FUNCTION orchestration.no_room() CASCADE")
    assert serve.post("hubspot", body, **hubspot(body)) == 200


def test_an_ended_session_is_replaced(serve: Serving) -> None:
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'warehouse-serve' AND datname = current_database()"  # noqa: E501
    for number in range(3):
        body = events(contact_event(number))
        statuses = {serve.post("hubspot", body, **hubspot(body)) for _ in range(3)}
        assert 200 in statuses
        assert statuses <= {200, 503}
        looking(serve.url).execute(ended)
    assert len(serve.inbox()) == 3


def test_a_lock_on_the_inbox_makes_no_delivery_wait_for_ever(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "SECONDS", 0.3)
    body = events(contact_event(1))
    looking(serve.url).execute("BEGIN; LOCK TABLE orchestration.webhook_inbox IN EXCLUSIVE MODE")
    try:
        assert serve.post("hubspot", body, **hubspot(body)) == 503
    finally:
        looking(serve.url).execute("ROLLBACK")
    monkeypatch.setattr(inbox, "SECONDS", 30.0)
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert len(serve.inbox()) == 1


@pytest.mark.parametrize("how", ["close", "fail", "wait"])
def test_receiving_and_working_off_lock_deliveries_in_one_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The order of the keys, which is not the one in which they came."""
    keys = ["hubspot:2", "hubspot:1"]
    given = {"ids": ["[]"] * 2, "headers": ["{}"] * 2, "bodies": ["[]"] * 2, "statuses": ["pending"] * 2}
    again = {"sources": ["hubspot"] * 2, "keys": keys, "errors": [""] * 2, **given}
    monkeypatch.setattr(webhook_inbox, "_change", lambda session, *how: session.execute(*how))
    with (
        warehouse.session(database_url) as first,
        warehouse.session(database_url) as second,
        warehouse.session(database_url) as third,
        ThreadPoolExecutor(2) as pool,
    ):
        for key in keys:
            first.execute("INSERT INTO orchestration.webhook_inbox (source, dedupe_key, signature_valid)"
                          " VALUES ('hubspot', %s, true)", [key])  # fmt: skip
        rows = webhook_inbox.due(first, "hubspot", 2)
        with third.transaction():
            third.execute("SELECT FROM orchestration.webhook_inbox WHERE dedupe_key = %s FOR UPDATE", [keys[1]])
            asked: list[Future[Any]] = [pool.submit(first.execute, query("webhook_receive"), again)]
            eventually(lambda: blocked(third) == 1, "the one that receives waits")
            work: dict[str, Callable[[], Any]] = {
                "close": lambda: webhook_inbox.close(second, {row.id: row.received_at for row in rows}, "done"),
                "fail": lambda: webhook_inbox.fail(second, {row.id: "no" for row in rows}),
                "wait": lambda: webhook_inbox.wait(second, [row.id for row in rows], 1.0),
            }
            asked.append(pool.submit(work[how]))
            eventually(lambda: blocked(third) == 2, "the one that works off waits")
        for one in asked:
            one.result(timeout=20)
        left = first.execute("SELECT status, not_before > received_at AS waits FROM orchestration.webhook_inbox")
        assert [(row["status"], row["waits"]) for row in left] == [("pending", how != "close")] * 2


def blocked(session: Any) -> int:
    """Return how many sessions of the database wait for a lock."""
    row = session.execute(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_deadlock_costs_one_more_try(serve: Serving) -> None:
    """Of whoever receives, and of whoever works off: what is old is deleted in another order."""
    session = looking(serve.url)
    session.execute(
        "CREATE SEQUENCE public.tries; CREATE FUNCTION public.deadlock() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF nextval('public.tries') = 1 THEN RAISE USING ERRCODE = 'deadlock_detected'; END IF;"
        " RETURN new; END $$;"
        "CREATE TRIGGER deadlock BEFORE INSERT OR UPDATE ON orchestration.webhook_inbox"
        " FOR EACH ROW EXECUTE FUNCTION public.deadlock()"
    )
    body = events(contact_event(101))
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    [row] = serve.inbox()
    session.execute("ALTER SEQUENCE public.tries RESTART")
    webhook_inbox.close(session, {row["id"]: row["received_at"]}, "done")
    assert [row["status"] for row in serve.inbox()] == ["done"]


CHANNEL, TOKEN = "7f0c2c2e-0000-4000-8000-000000000001", "an invented token"


def notify(serve: Serving, number: int = 2, token: str = TOKEN, channel: str = CHANNEL, **more: str) -> int:
    headers = {
        "X_Goog_Channel_ID": channel, "X_Goog_Message_Number": str(number), "X_Goog_Resource_ID": "o3hgv",
        "X_Goog_Resource_State": "update", "X_Goog_Channel_Token": token,
        "X_Goog_Resource_URI": "https://www.googleapis.com/drive/v3/files/1AbC?alt=json", **more,
    }  # fmt: skip
    return serve.post("google", b"", **{name: value for name, value in headers.items() if value})


@pytest.fixture
def channel(serve: Serving) -> None:
    looking(serve.url).execute(
        "INSERT INTO pipedesk.drive_webhook_channels (channel_id, resource_id, token_sha256) VALUES (%s, 'o3hgv', %s)",
        [CHANNEL, hashlib.sha256(TOKEN.encode()).digest()],
    )


@pytest.mark.usefixtures("channel")
def test_a_notification_needs_the_token_of_its_channel(serve: Serving) -> None:
    assert notify(serve, token="wrong") == 401
    assert notify(serve, token="") == 401
    assert notify(serve, channel="unknown") == 401
    assert notify(serve, X_Goog_Resource_ID="another") == 401
    assert serve.inbox() == []
    assert notify(serve) == 200
    [row] = serve.inbox()
    assert "x-goog-channel-token" not in row["headers"]


@pytest.mark.usefixtures("channel")
def test_drive_notification_logged(serve: Serving) -> None:
    for number in (1, 2, 2, 3):
        assert notify(serve, number, X_Goog_Changed="content,parents") == 200
    logged = looking(serve.url).execute("SELECT * FROM pipedesk.drive_change_logs ORDER BY id").fetchall()
    assert len(logged) == 3
    assert {(row["channel_id"], row["resource_id"], row["changed_resource_id"]) for row in logged} == {
        (CHANNEL, "o3hgv", "1AbC")
    }
    assert {(row["resource_state"], row["event_type"]) for row in logged} == {("update", "content,parents")}
    assert "x-goog-message-number" in logged[0]["raw_headers"]


@pytest.mark.usefixtures("channel")
def test_a_stopped_channel_is_answered_and_ignored(serve: Serving) -> None:
    looking(serve.url).execute("UPDATE pipedesk.drive_webhook_channels SET active = false")
    assert notify(serve) == 200
    assert [row["status"] for row in serve.inbox()] == ["ignored"]
    assert serve.outcomes("google") == {"ignored": 1}


def test_a_channel_that_was_made_just_now_is_known(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first message may come before Google has told its resource."""
    monkeypatch.setattr("warehouse_pipelines.serving.channels.AGAIN_SECONDS", 0.0)
    assert notify(serve, 1) == 401
    looking(serve.url).execute(
        "INSERT INTO pipedesk.calendar_sync_states (channel_id, token_sha256) VALUES (%s, %s)",
        [CHANNEL, hashlib.sha256(TOKEN.encode()).digest()],
    )
    assert notify(serve, 1, X_Goog_Resource_State="sync") == 200


def test_nothing_personal_and_no_secret_is_logged(serve: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    body = events(contact_event(1, propertyValue="ann@example.test"))
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert serve.post("hubspot", body, **hubspot(body, secret="a guess")) == 401
    looking(serve.url).execute("ALTER TABLE orchestration.webhook_inbox RENAME TO away")
    try:
        assert serve.post("hubspot", body + b" ", **hubspot(body + b" ")) == 503
    finally:
        looking(serve.url).execute("ALTER TABLE orchestration.away RENAME TO webhook_inbox")
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("warehouse"))
    assert "away" in ours
    assert "ann@" not in ours
    assert "invented" not in ours


def _sent(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def put_at_once(url: str, bodies: Sequence[str], patch: pytest.MonkeyPatch) -> list[bool | BaseException]:
    """Have these deliveries wait for one commit, and return what became of each."""
    patch.setattr(inbox, "SECONDS", 60.0)

    async def put() -> list[bool | BaseException]:
        writer = inbox.Inbox(url)
        kept = [inbox.Kept("hubspot", f"hubspot:{number}", (), {}, body) for number, body in enumerate(bodies)]
        waiting = [asyncio.create_task(writer.put(one)) for one in kept]
        await asyncio.sleep(0)
        running = asyncio.create_task(writer.run())
        try:
            return await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            running.cancel()
            await writer.close()

    return asyncio.run(put())


def test_deliveries_that_wait_together_are_committed_together(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert put_at_once(database_url, ["[]"] * 60, monkeypatch) == [True] * 60
    rows = looking(database_url).execute("SELECT xmin::text AS run FROM orchestration.webhook_inbox").fetchall()
    assert len(rows) == 60
    assert len({row["run"] for row in rows}) == 1


def test_one_row_that_the_table_refuses_costs_no_other(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looking(database_url).execute(
        "ALTER TABLE orchestration.webhook_inbox ADD CONSTRAINT odd CHECK (body NOT LIKE '%refuse%')"
    )
    done = put_at_once(database_url, [*"abc", "refuse", *"defg"], monkeypatch)
    assert [isinstance(one, inbox.Unstorable) for one in done] == [False] * 3 + [True] + [False] * 4
    rows = looking(database_url).execute("SELECT body FROM orchestration.webhook_inbox ORDER BY body").fetchall()
    assert [row["body"] for row in rows] == [*"abcdefg"]


def test_too_many_that_wait_are_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with a database that is slow."""
    monkeypatch.setattr(inbox, "MOST_WAITING", 3)
    done = put_at_once(database_url, ["[]"] * 5, monkeypatch)
    assert [isinstance(one, inbox.InboxAway) for one in done] == [False] * 3 + [True] * 2
