"""How HubSpot writes times, pages, batches and refusals, and how it reads the parameters of a request."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from warehouse_pipelines.simulators.core.wire import Answer, BadRequestError, Request, answer_json

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (UTC throughout; the zone would cost a third of the time of a page)


def iso(ms: int) -> str:
    """As HubSpot writes times: milliseconds, or no fraction at all on a whole second."""
    text = (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
    return f"{text}Z"


def day(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).date().isoformat()


class Refusal(ValueError):
    """Answer the request with an error."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = error_answer(status, category, message, **more)


def error_answer(status: int, category: str, message: str, **more: Any) -> Answer:
    body = {"status": "error", "message": message, "correlationId": str(uuid4()), "category": category}
    return answer_json(status, {**body, **{name: value for name, value in more.items() if value}})


def results_answer(results: list[Any]) -> Answer:
    return answer_json(200, {"results": results}, list_key="results")


def page_answer(
    records: list[bytes], following: str | None, *, page_size: int, total: int | None = None, link: str = ""
) -> Answer:
    head = b"{" if total is None else b'{"total":%d,' % total
    paging = b""
    if following is not None:
        paging = b',"paging":' + msgspec.json.encode({"next": {"after": following, "link": link}})
    body = b'%b"results":[%b]%b}' % (head, b",".join(records), paging)
    return Answer(200, body, list_key="results", page_size=page_size)


def batch_answer(records: list[bytes], errors: list[dict[str, Any]], size: int) -> Answer:
    now = iso(int(time.time() * 1000)).encode()
    tail = b',"startedAt":"%b","completedAt":"%b"' % (now, now)
    if errors:
        tail = b',"numErrors":%d,"errors":%b%b' % (len(errors), msgspec.json.encode(errors), tail)
    body = b'{"status":"COMPLETE","results":[%b]%b}' % (b",".join(records), tail)
    return Answer(207 if errors else 200, body, list_key="results", page_size=size)


def batch_inputs(body: Any, most: int) -> list[dict[str, Any]]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise Refusal(400, "VALIDATION_ERROR", "Some required fields were not set: [inputs]")
    if len(inputs) > most:
        raise Refusal(400, "VALIDATION_ERROR", f"The maximum number of inputs supported in a batch request is {most}")
    return inputs


def page_limit(request: Request, default: int, most: int) -> int:
    text = request.first("limit") or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal(
            400, "VALIDATION_ERROR", f"Invalid limit {text}: 1 to {most}", errors=[{"code": "INVALID_INTEGER"}]
        )
    return int(text)


def query_words(request: Request, name: str) -> tuple[str, ...]:
    return tuple(word for value in request.query.get(name, ()) for word in value.split(",") if word)


def json_or_empty(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except BadRequestError:
        return {}
    return body if isinstance(body, dict) else {}
