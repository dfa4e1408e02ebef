"""What strangers send to keep ``serve`` from others, or to fill its memory; and that it does not help them."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from warehouse_pipelines.serving import guard, inbox
from warehouse_pipelines.serving import server as server_program
from warehouse_pipelines.serving.sign_in import network
from warehouse_pipelines_tests.harness.serving import Serving, contact_event, events, hubspot, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def serve(database_url: str) -> Iterator[Serving]:
    with serving(database_url) as found:
        yield found


@pytest.fixture(scope="module")
def shared_serve(shared_url: str) -> Iterator[Serving]:
    with serving(shared_url, warehouse_allowed_hosts="serve, ,other.test") as found:
        yield found


def _connection(serve: Serving) -> socket.socket:
    host, _, port = serve.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _is_ended(one: socket.socket, more: bytes, seconds: float) -> bool:
    """Send a piece again and again; return whether the connection was ended within the time."""
    one.settimeout(0.1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            try:
                one.sendall(more)
                if one.recv(65_536) == b"":
                    return True
            except (ConnectionError, BrokenPipeError):
                return True
    return False


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (GET, b"\r\n"),
        (b"POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", b"x"),
        (
            b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n" + b"x" * 16384,
            b"1\r\nx\r\n",
        ),
    ],
    ids=["empty lines", "the rest of a refused body", "chunks of a refused body"],
)
def test_what_is_no_request_keeps_no_connection(
    serve: Serving, monkeypatch: pytest.MonkeyPatch, first: bytes, more: bytes
) -> None:
    monkeypatch.setattr(server_program, "HEADER_SECONDS", 0.5)
    with _connection(serve) as one:
        one.sendall(first)
        assert one.recv(65_536).startswith(b"HTTP/1.1 ")
        assert _is_ended(one, more, 20.0)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (server_program.MOST_HEADERS + 2),
        b"GET / HTTP/1.1\r\na: " + b"x" * 400_000,
        b"GET /" + b"x" * 400_000,
        GET * (server_program.MOST_PIPELINED * 20),
    ],
    ids=["many headers", "a long header", "a long address", "many requests at once"],
)
@pytest.mark.slow("megabytes that are sent bit by bit")
def test_a_head_that_does_not_end_is_refused(serve: Serving, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """Each header that came before the end of the head was kept, however many there were."""
    monkeypatch.setattr(server_program, "HEADER_SECONDS", 3600.0)
    with _connection(serve) as one:
        with contextlib.suppress(ConnectionError):
            one.sendall(head)
        assert _is_ended(one, b"", 20.0)
    assert serve.client.get("/health").status_code == 200


def test_many_headers_and_the_longest_filter_are_still_taken(serve: Serving) -> None:
    with program(serve.address, serve.url, "admin") as client:
        wanted = '{"field": "source", "op": "in", "value": ["' + "x" * 19_900 + '"]}'
        assert client.get("/api/leads", params={"filter": wanted}).status_code == 200
        assert client.get("/api/crms", headers={f"x-{n}": "y" for n in range(100)}).status_code == 200


def test_a_stranger_sends_no_large_body(serve: Serving) -> None:
    """Two thousand connections with a megabyte each were two gigabytes, before anybody had signed in."""
    browser = Browser(serve.address)
    fits, too_large = ("x" * (guard.LARGEST_OF_STRANGERS // 2), "x" * guard.LARGEST_OF_STRANGERS)
    assert browser.post("/login", {"csrf_token": fits}).status_code == 403
    assert browser.post("/login", {"csrf_token": too_large}).status_code == 413


def test_bodies_of_users_have_room_together_and_give_it_back(serve: Serving) -> None:
    with program(serve.address, serve.url, "operator") as client:
        lead = {"first_name": "Jo", "source_metadata": {"note": "x" * 300_000}}
        app_room = serve.app.state.room
        app_room._most = 200_000
        assert client.post("/api/leads", json=lead).status_code == 503
        app_room._most = guard.MOST_HELD
        assert client.post("/api/leads", json=lead).status_code == 201
        assert app_room.held == 0


def test_health_is_asked_of_the_database_once_a_second(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    ask = inbox.Inbox.ask

    async def counted(self: inbox.Inbox, statement: str, *given: object) -> object:
        nonlocal asked
        asked += "min(received_at)" in statement
        return await ask(self, statement, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(inbox.Inbox, "ask", counted)
    monkeypatch.setattr(inbox, "DEPTH_SECONDS", 3600.0)
    for _ in range(20):
        assert serve.client.get("/health").status_code == 200
    assert asked <= 1


def test_tries_from_the_addresses_of_one_customer_count_together() -> None:
    """Whoever has IPv6 has 2^64 addresses, and tried a password under each of them."""
    assert network("2001:db8:1:2::7") == network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::7") != network("2001:db8:1:2::7")
    assert network("::ffff:192.0.2.7") == network("192.0.2.7") == "192.0.2.7"
    assert len(network("x" * 5_000)) <= 100


def test_a_link_of_another_site_is_no_command_however_it_is_spelled(serve: Serving) -> None:
    """Dagster decodes the path, and takes commands by GET: a link to /%67raphql ran one as whoever followed it."""
    browser = Browser(serve.address)
    browser.login(add_user(serve.url, "operator", password=PASSWORD))
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "X-Forwarded-Method": "GET"}
    for uri in (
        "/graphql",
        "/GraphQL",
        "/%67raphql",
        "/graphq%6C",
        "/%2567raphql",
        "//graphql",
        "/%2e/graphql",
        "/x/%47raphql",
    ):
        answer = browser.get("/auth/check", headers={**link, "X-Forwarded-Uri": f"{uri}?query=mutation"})
        assert answer.status_code == 403, uri
    assert browser.get("/auth/check", headers={**link, "X-Forwarded-Uri": "/runs?q=graphql"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:8080", True), ("LOCALHOST", True), ("localhost.", True), ("127.0.0.1:8080", True),
        ("[::1]:8080", True), ("192.0.2.7", True), ("hooks.example.test", True), ("hooks.example.test:443", True),
        ("serve:8080", True), ("", True), ("evil.test", False), ("evil.test:8080", False), ("[::1", False),
        ("localhost.evil.test", False), ("127.0.0.1.evil.test", False), ("hooks.example.test.evil.test", False),
        ("user@evil.test", False),
    ],
)  # fmt: skip
@pytest.mark.every_case
def test_names_that_are_none_of_ours_are_not_answered_to(shared_serve: Serving, host: str, answered: bool) -> None:
    """A name of a stranger's that leads here (DNS rebinding) let his page read the metrics."""
    for path in ("/metrics", "/health", "/login", "/api/openapi.json"):
        answer = shared_serve.client.get(path, headers={"Host": host})
        assert answer.status_code == (200 if answered else 421), path
        assert answered or "evil" not in answer.text


def test_deliveries_prove_themselves_under_any_name(shared_serve: Serving) -> None:
    body = events(contact_event(1))
    assert shared_serve.post("hubspot", body, Host="a-proxy.test", **hubspot(body)) == 200
    assert shared_serve.post("hubspot", body, Host="a-proxy.test") == 401
