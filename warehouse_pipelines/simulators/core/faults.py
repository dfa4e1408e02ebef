"""What can go wrong with a vendor, and when.

A fault is a kind, its own parameters, and when it fires: on requests whose path contains `path`, not before `after` of
them, on one in `every`, and `times` times in all. Kinds and parameters are listed in `KINDS`; another kind or another
parameter is refused, because a test whose fault was misspelt would pass for no reason.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json

KINDS: dict[str, dict[str, Any]] = {
    # retry_after: None (no header), a number of seconds, or "date" for an HTTP date `seconds` ahead
    "rate_limit": {"retry_after": None, "seconds": 1, "policy": "TEN_SECONDLY_ROLLING"},
    "status": {"status": 503, "body": "json", "retry_after": None},  # body: json | html | text | empty
    "html": {"status": 502},  # a page for people, with 502 or, worse, with 200
    "unauthorized": {"body": "json"},  # a revoked token; body: json | text
    "slow": {"seconds": 1.0},  # or until the faults are cleared
    "reset": {},  # the connection is reset in the middle of the body
    "truncated": {
        "mode": "length"
    },  # length: promised more; chunked: well-formed HTTP, cut JSON; cut: the same by length
    "repeat_page": {},  # the same page again, with a next cursor
    "endless": {},  # there is always a next page
    "lying_total": {"add": 100, "pages": 0},
    "missing_list": {"key": None},  # 200, but the list is not there
    # what: bad_date | out_of_range | bad_number | nul | missing_id | non_object; property: which one; records: how many
    "malformed": {"what": "bad_date", "property": None, "records": 1},
    "lost_answer": {"status": 502},  # what was asked is done, and the answer is lost
    "lost_inputs": {"keep": 0},  # of a batch so many inputs are done, and the answer has them alone
    "null_last_page": {},  # one page more than there are, and its list is null
}
BEFORE = {"rate_limit", "status", "html", "unauthorized"}
PAYLOAD = {"repeat_page", "endless", "lying_total", "missing_list", "malformed", "null_last_page"}

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center>cloudfront</center></body></html>\n"


@dataclass
class Fault:
    kind: str
    path: str = ""
    times: int | None = None
    every: int = 1
    after: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")
        if unknown := set(self.parameters) - set(KINDS[self.kind]):
            raise ValueError(f"{self.kind} has no parameter {', '.join(sorted(unknown))}")
        self.parameters = {**KINDS[self.kind], **self.parameters}

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def fires(self, request: Request) -> bool:
        if self.path not in request.path:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after - 1) % self.every:
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        self.fired += 1
        return True

    def delay(self) -> None:
        """Keep a request waiting that is slow."""
        self.lifted.wait(self["seconds"])

    def report(self) -> dict[str, Any]:
        limits = {"path": self.path, "times": self.times, "every": self.every, "after": self.after}
        return {"kind": self.kind, **limits, **self.parameters, "seen": self.seen, "fired": self.fired}


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def set(
        self,
        kind: str,
        *,
        path: str = "",
        times: int | None = None,
        every: int = 1,
        after: int = 0,
        **parameters: Any,
    ) -> None:
        fault = Fault(kind, path, times, every, after, parameters)
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            lifted, self._faults = self._faults, []
        for fault in lifted:
            fault.lifted.set()

    def firing(self, request: Request) -> list[Fault]:
        if not self._faults:
            return []
        with self._lock:
            return [fault for fault in self._faults if fault.fires(request)]

    def report(self) -> list[dict[str, Any]]:
        return [fault.report() for fault in self._faults]


def answer_before(fault: Fault, rate_limited: Answer, refused: Answer) -> Answer:
    """The answer of a fault that leaves nothing of the real one; how a vendor words its 429 and 401 is the vendor's."""
    match fault.kind:
        case "lost_answer":
            return answer_json(fault["status"], {"status": "error", "message": "The service is not available."})
        case "rate_limit":
            answer = rate_limited
            if (headers := _retry_after(fault)) is not None:
                answer.headers |= headers
            return answer
        case "unauthorized":
            if fault["body"] == "text":
                return Answer(401, b"HTTP Token: Access denied.\n", content_type="text/plain; charset=utf-8")
            return refused
        case "html":
            return Answer(fault["status"], HTML, content_type="text/html; charset=utf-8")
        case _:
            headers = _retry_after(fault) or {}
            if fault["body"] == "html":
                return Answer(fault["status"], HTML, headers, content_type="text/html")
            if fault["body"] == "text":
                return Answer(fault["status"], b"upstream connect error", headers, content_type="text/plain")
            if fault["body"] == "empty":
                return Answer(fault["status"], b"", headers)
            body = {"status": "error", "message": "The service is not available.", "error": "unavailable"}
            return answer_json(fault["status"], body, headers=headers)


def _retry_after(fault: Fault) -> dict[str, str] | None:
    value = fault["retry_after"]
    if value is None:
        return None
    if value == "date":
        return {"Retry-After": formatdate(time.time() + fault.parameters.get("seconds", 1), usegmt=True)}
    return {"Retry-After": str(value)}


BAD_VALUES: dict[str, Any] = {
    "bad_date": "not a date",
    "out_of_range": "9" * 400,
    "bad_number": "twelve",
    "nul": "before\x00after",
}
