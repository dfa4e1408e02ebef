"""The shared client: bodies that are not quite JSON or none at all, refusals that only the body explains, sessions."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    WarehouseError,
    WritePostponed,
    masked,
)
from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request
from warehouse_pipelines.sources import _http
from warehouse_pipelines.sources._http import ATTEMPTS, Client, NotModified, retry_after
from warehouse_pipelines.sources._json import decoded


class Things(msgspec.Struct):
    results: list[msgspec.Raw]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'{"results": ["\ud800"]}', "\ufffd"),
        (rb'{"results": ["a\udc00b"]}', "a\ufffdb"),
        (rb'{"results": ["\ud83d\ude00"]}', "\U0001f600"),
        (rb'{"results": ["\\ud800"]}', "\\ud800"),
        (rb'{"results": ["\\\ud800"]}', "\\\ufffd"),
    ],
)
def test_half_a_character_costs_neither_its_page_nor_its_record(body: bytes, expected: str) -> None:
    [record] = decoded(body, Things).results
    assert msgspec.json.decode(record) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'{"results": [{"a": NaN, "b": "NaN, -Infinity"}]}', {"a": "NaN", "b": "NaN, -Infinity"}),
        (rb'{"results": [{"a": -Infinity,"b":[Infinity]}]}', {"a": "-Infinity", "b": ["Infinity"]}),
        (rb'{"results": [{"a": "a \" NaN \\", "b": NaN}]}', {"a": 'a " NaN \\', "b": "NaN"}),
        (b'{"results": [{"a": "two\nlines\tand \x01"}]}', {"a": "two\nlines\tand \x01"}),
        (rb'{"results": [{"a": "C:\new \x \\x"}]}', {"a": "C:\new \\x \\x"}),
        (b'\xef\xbb\xbf{"results": [{"a": 1}]}', {"a": 1}),
    ],
)
def test_what_is_not_quite_json_costs_neither_its_page_nor_its_record(body: bytes, expected: Any) -> None:
    """As Python's ``json`` writes ``NaN``, as Windows begins a file, and as a note is pasted."""
    [record] = decoded(body, Things).results
    assert msgspec.json.decode(record) == expected


@pytest.mark.parametrize("body", [b'{"results": [{"a": ', b"<html>", b"", b'{"results": [1]'])
def test_a_body_cut_short_is_still_no_answer(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoded(body, Things)


def test_an_answer_without_its_list_is_another_form() -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(b'{"message": "ok"}', Things)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("Sat, 21 Nov 2026 09:00:30 GMT", 30.0), ("soon", None), (None, None), ("-3", 0.0)],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("status", [304, 409])
def test_nothing_newer_is_told_apart_from_a_refusal(status: int) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return Answer(status)

    listener = Listener("127.0.0.1", 0, answer)
    try:
        client = Client(ReadContext(), title="Any", base_url=listener.url, headers={"Authorization": "key"})
        with pytest.raises(RequestRefused) as raised:
            client.get("/things", Things, headers={"If-Modified-Since": "then"})
    finally:
        listener.close()
    assert isinstance(raised.value, NotModified) == (status == 304)
    assert [(one.headers["if-modified-since"], one.headers["authorization"]) for one in asked] == [("then", "key")]


Serve = Callable[[Callable[[Request], Answer]], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0")
    listeners: list[Listener] = []

    def begin(respond: Callable[[Request], Answer]) -> str:
        listeners.append(Listener("127.0.0.1", 0, respond))
        return listeners[-1].url

    yield begin
    for listener in listeners:
        listener.close()


def client_of(url: str, **more: object) -> Client:
    return Client(ReadContext(), title="Vendor", base_url=url, headers={"Accept": "text/xml"}, **more)  # type: ignore[arg-type]


def test_a_body_that_is_not_json_is_sent_and_read_as_its_vendor_has_it(serve: Serve) -> None:
    def respond(request: Request) -> Answer:
        return Answer(200, f"{request.headers['content-type']} {request.headers['accept']} ".encode() + request.body)

    sent = client_of(serve(respond)).send(
        "POST", "/", bytes.decode, content=b"<a/>", headers={"Content-Type": "text/xml"}
    )
    assert sent == "text/xml text/xml <a/>"


def test_a_body_that_its_reader_cannot_read_is_asked_for_again(serve: Serve) -> None:
    def cut(content: bytes) -> str:
        raise msgspec.DecodeError("it ends too early")

    http = client_of(serve(lambda request: Answer(200, b"<a>")))
    with pytest.raises(AnswerChanged, match="too early"):
        http.send("GET", "/", cut)
    assert http.context.calls == ATTEMPTS


def test_a_body_explains_what_a_status_leaves_open(serve: Serve) -> None:
    def explain(answer: httpx.Response) -> None:
        raise PermissionMissing(answer.text)

    http = client_of(serve(lambda request: Answer(500, b"no right to see it")), explain=explain)
    with pytest.raises(PermissionMissing, match="no right"):
        http.send("GET", "/", bytes.decode)
    assert http.context.calls == 1


def set_session(request: Request) -> Answer:
    return Answer(200, request.headers.get("cookie", "none").encode(), {"Set-Cookie": "session=one; Path=/"})


def test_a_session_can_be_forgotten(serve: Serve) -> None:
    http = client_of(serve(set_session), session=True)
    assert [http.send("GET", "/", bytes.decode) for _ in range(2)] == ["none", "session=one"]
    http.forget_session()
    assert http.send("GET", "/", bytes.decode) == "none"


def test_no_cookie_is_sent_with_another_login(serve: Serve) -> None:
    """Of an address that two accounts share; without a session no cookie is kept at all."""
    url = serve(set_session)
    for session in (True, False):
        first, second = (client_of(url, session=session) for _ in range(2))
        assert [http.send("GET", "/", bytes.decode) for http in (first, second)] == ["none", "none"]
    assert second.send("GET", "/", bytes.decode) == "none"


def asked_with_login(statuses: list[int], **how: Any) -> list[str]:
    """Ask once of a server that answers with these statuses; return the credential of each request."""
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.headers["authorization"])
        return Answer(statuses[len(seen) - 1], b"{}")

    def login(renew: bool) -> dict[str, str]:
        tokens.extend(["new"] if renew else [])
        return {"Authorization": tokens[-1]}

    tokens = ["old"]
    listener = Listener("127.0.0.1", 0, answer)
    client = Client(ReadContext(), title="It", base_url=listener.url, headers={}, login=login, **how)
    try:
        client.get("/", dict)
    except WarehouseError as error:
        seen.append(type(error).__name__)
    finally:
        listener.close()
    return seen


@pytest.mark.parametrize("limit", range(1, 40))
def test_what_a_vendor_says_is_cut_between_words(limit: int) -> None:
    said = "the quick, brown fox. jumps over the lazy dog"
    shown = masked(said, limit)
    assert len(shown) <= limit
    if limit > len("the…"):
        assert said.startswith(shown.removesuffix("…"))
        assert shown[-1] == "…"
        assert re.match(r"[ ,.]", said[len(shown) - 1 :])
    assert masked(said, len(said)) == said


def test_of_a_refusal_in_xml_the_words_are_told() -> None:
    body = b'<?xml version="1.0"?><m:error xmlns:m="urn:m"><m:code/><m:message>No   such\n option</m:message></m:error>'
    listener = Listener("127.0.0.1", 0, lambda request: Answer(400, body))
    try:
        with pytest.raises(RequestRefused, match=r"answered 400 to GET /: No such option\. The request"):
            Client(ReadContext(), title="It", base_url=listener.url, headers={}).get("/", dict)
    finally:
        listener.close()


def test_a_credential_that_expired_is_renewed_once() -> None:
    assert asked_with_login([200]) == ["old"]
    assert asked_with_login([401, 200]) == ["old", "new"]
    assert asked_with_login([401, 401]) == ["old", "new", "CredentialRefused"]


def test_each_attempt_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature of the moment has grown old when its request has waited."""
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0")
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.headers["authorization"])
        return Answer(200 if len(seen) == 3 else 503, b"{}")

    stamps = itertools.count()
    listener = Listener("127.0.0.1", 0, answer)
    client = Client(
        ReadContext(), title="It", base_url=listener.url, headers={},
        login=lambda renew: {"Authorization": f"stamp {next(stamps)}"}, credential="key",
    )  # fmt: skip
    try:
        client.get("/", dict)
    finally:
        listener.close()
    assert seen == ["stamp 0", "stamp 1", "stamp 2"]


def test_a_refusal_that_is_a_rate_limit_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0")
    assert asked_with_login([403, 200]) == ["old", "PermissionMissing"]
    assert asked_with_login([403, 200], again=lambda answer: True) == ["old", "old"]


def test_a_body_that_is_not_what_its_label_says_is_asked_for_again(serve: Serve) -> None:
    answers = iter([Answer(200, b'{"results": []}', {"Content-Encoding": "gzip"}), Answer(200, b'{"results": []}')])
    assert client_of(serve(lambda request: next(answers))).get("/", Things).results == []


@pytest.mark.parametrize(
    ("base_url", "token", "said"),
    [
        ("api.example.test", "abc", "base URL"),
        ("http://", "abc", "base URL"),
        ("http://host:port", "abc", "base URL"),
        ("http://127.0.0.1:{port}", "s3cr\u200bet", r"U\+200B at position 12"),
        ("http://127.0.0.1:{port}", "s3cr\net", "cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_not_tried_again(serve: Serve, base_url: str, token: str, said: str) -> None:
    """Seven attempts with backoff take minutes, and say of the vendor what is wrong with a setting."""
    asked: list[Request] = []

    def respond(request: Request) -> Answer:
        asked.append(request)
        return Answer(200, b"{}")

    url = base_url.replace("{port}", serve(respond).rpartition(":")[2])
    with pytest.raises(NotConfigured, match=said) as raised:
        Client(ReadContext(), title="It", base_url=url, headers={"Authorization": f"Bearer {token}"}).get("/", dict)
    assert "s3cr" not in str(raised.value)
    assert not asked


def test_a_budget_that_got_old_while_another_was_waited_for_is_acquired_once_more(serve: Serve) -> None:
    """That of the shortest time is waited for first; another one may take longer than the vendor's second."""
    taken = []

    def acquire(credential: str, budget: Budget, longest_wait: float | None) -> None:
        taken.append(budget.name)
        if slow and budget.name == "day":
            time.sleep(0.06)

    budgets = (Budget("day", 10, 86_400), Budget("second", 5, 1.0))
    client = Client(ReadContext(acquire=acquire), title="It", base_url=serve(lambda _: Answer(200, b"{}")), headers={},
                    budgets=budgets)  # fmt: skip
    slow = False
    client.get("/", dict)
    assert taken == ["second", "day"]
    slow = True
    client.get("/", dict)
    assert taken[2:] == ["second", "day", "second"]


def test_a_write_that_is_to_be_sent_at_once_is_not_sent_after_a_wait_for_the_budget(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its own wait nor that of a question before it; the next time all that they need is acquired before."""
    now = 0.0
    monkeypatch.setattr(_http, "time", SimpleNamespace(monotonic=lambda: now))
    methods: list[str] = []

    def respond(request: Request) -> Answer:
        methods.append(request.method)
        return Answer(200, b"{}")

    def acquire(credential: str, budget: Budget, longest_wait: float | None) -> None:
        nonlocal now
        now += 4

    client = Client(ReadContext(acquire=acquire), title="It", base_url=serve(respond), headers={},
                    budgets=(Budget("hour", 900, 3_600),))  # fmt: skip

    def look_and_write() -> None:
        client.hold()
        for _ in range(3):
            client.get("/", dict)
        with client.at_once():
            client.get("/", dict)
            client.request("PUT", "/", dict, repeat=False)

    with pytest.raises(WritePostponed):
        look_and_write()
    assert "PUT" not in methods
    look_and_write()
    assert methods[-1] == "PUT"


def test_a_write_that_the_vendor_puts_off_is_repeated_by_the_caller_alone(serve: Serve) -> None:
    """What the vendor asks to wait grows with the caller's attempts, and is told however many and however long."""
    answers = [Answer(429, b"")] * (ATTEMPTS + 1) + [Answer(429, b"", {"Retry-After": "3600"}), Answer(200, b"{}")]
    attempts: list[int] = []

    def wait_for(answer: httpx.Response, attempt: int) -> float:
        attempts.append(attempt)
        return 2.0 * attempt

    client = client_of(serve(lambda request: answers.pop(0)), wait_for=wait_for)
    for attempt in range(1, ATTEMPTS + 3):
        with pytest.raises(WritePostponed) as postponed, client.at_once(attempt) as block:
            client.request("PUT", "/", dict, repeat=False)
        assert not block.touched
    assert postponed.value.seconds >= 3600
    with client.at_once() as block:
        client.request("PUT", "/", dict, repeat=False)
    assert block.touched
    assert attempts == [*range(1, ATTEMPTS + 2)]
