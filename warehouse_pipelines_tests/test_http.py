"""The shared client: what it makes of bodies that are not quite JSON, and of ``Retry-After``."""

from datetime import UTC, datetime

import msgspec
import pytest

from warehouse_pipelines.entity import Extraction, Window
from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.simulators.wire import Answer, Listener, Request
from warehouse_pipelines.sources._http import Client, NotModified, decoded, retry_after
from warehouse_pipelines.sources.callrail import CALLRAIL


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
        extraction = Extraction(entity=CALLRAIL.entities[0], window=Window(None, datetime.now(UTC)))
        client = Client(extraction, title="Any", base_url=listener.url, headers={"Authorization": "key"})
        with pytest.raises(RequestRefused) as raised:
            client.get("/things", Things, headers={"If-Modified-Since": "then"})
    finally:
        listener.close()
    assert isinstance(raised.value, NotModified) == (status == 304)
    assert [(one.headers["if-modified-since"], one.headers["authorization"]) for one in asked] == [("then", "key")]
