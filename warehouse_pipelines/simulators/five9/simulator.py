"""The simulated Five9 domain: SOAP over HTTP, lookups that show a thousand records at most, and the domain's limits.

Written from the vendor notes. A lookup has no pages, no order and no total; what it shows of too many is a stretch that
depends on the question. What the notes could not confirm is a setting.

All requests have one path; for faults and counters it ends in the name of the operation.
"""

from __future__ import annotations

import base64
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from zlib import crc32

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import CONTROL
from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.five9.corruption import corrupt_records
from warehouse_pipelines.simulators.five9.operations import Five9Operations
from warehouse_pipelines.simulators.five9.settings import Five9Settings
from warehouse_pipelines.simulators.five9.soap import NIL, SoapFaultError, escaped, fault_answer, result_answer

PATH = re.compile(r"/wsadmin/(v2|v9_5|v11|v12|v13)/AdminWebService")
HTML = "text/html; charset=utf-8"


class Five9(Five9Operations):
    def __init__(self, population: Population, settings: Five9Settings) -> None:
        super().__init__(population, settings)
        self._recent: deque[float] = deque()
        self._shown = (b"", b"")  # the answers to the last two lookups

    def environment(self) -> dict[str, str]:
        return {
            "FIVE9_USERNAME": self.settings.username,
            "FIVE9_PASSWORD": self.settings.token,
            "FIVE9_BASE_URL": self.url,
            "FIVE9_REQUESTS_PER_MINUTE": "1000000",
        }

    def respond(self, request: Request) -> Answer:
        if not request.path.startswith(CONTROL):
            found = re.search(rb"<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)", request.body)
            request.path = f"{request.path}/{found[1].decode() if found else '?'}"
        return super().respond(request)

    def answer(self, request: Request) -> Answer:
        path, _, name = request.path.rpartition("/")
        sent = f"{self.settings.username}:{self.settings.token}".encode()
        if request.headers.get("authorization") != f"Basic {base64.b64encode(sent).decode()}":
            return self.refused()
        if not PATH.fullmatch(path):
            return Answer(404, b"<html><body>Not Found</body></html>", content_type=HTML, route=path)
        if request.method != "POST":
            return Answer(405, b"", content_type=HTML, route=path)
        handler = getattr(self, f"_op_{name}", None)
        cookies: dict[str, str] = {}
        try:
            if handler is None:
                raise SoapFaultError("Server", f"no operation {name}")
            cookies = self._session(request)
            self._fail_if_told(name)
            if name != "getCallCountersState":
                self._count_query()
            answer: Answer = handler(ElementTree.fromstring(request.body))  # noqa: S314  (our own client's)
        except ElementTree.ParseError as error:
            answer = fault_answer(SoapFaultError("Server", f"not XML: {error}"))
        except SoapFaultError as error:
            answer = fault_answer(error)
        answer.route = request.path
        answer.headers |= cookies
        return answer

    def refused(self) -> Answer:
        headers = {"WWW-Authenticate": 'Basic realm="Five9"'}
        return Answer(401, b"<html><body>Unauthorized</body></html>", headers, content_type=HTML)

    def rate_limited(self, policy: str) -> Answer:
        """HTTP 429, as one integrator has it; the limits of the notes are a SOAP fault (`per_minute`)."""
        return Answer(429, b"<html><body>Too Many Requests</body></html>", content_type=HTML)

    def _session(self, request: Request) -> dict[str, str]:
        if not self.settings.sessions:
            return {}
        found = re.search(r"JSESSIONID=(\w+)", request.headers.get("cookie", ""))
        if found is None:
            session = f"s{next(self._serial)}"
            self._sessions.add(session)
            return {"Set-Cookie": f"JSESSIONID={session}; Path=/"}
        if found[1] not in self._sessions:
            raise SoapFaultError("AdminSessionClosed", "Session was closed")
        return {}

    def _fail_if_told(self, name: str) -> None:
        for told in self._failing:
            if told["times"] > 0 and told["operation"] in ("", name):
                told["times"] -= 1
                raise SoapFaultError(told["fault"], told["message"], **told["more"])

    def _counted(self, seconds: int) -> int:
        since = time.monotonic() - seconds
        return sum(at > since for at in self._recent) + sum(n for at, n in self._spent if at > since)

    def _limits(self) -> dict[int, int]:
        return {60: self.settings.per_minute, 3600: self.settings.per_hour, 86_400: self.settings.per_day}

    def _count_query(self) -> None:
        while self._recent and self._recent[0] < time.monotonic() - 86_400:
            self._recent.popleft()
        for seconds, most in self._limits().items():
            if most < 100_000 and self._counted(seconds) >= most:
                message = "The limit of operations is exceeded"
                raise SoapFaultError("OperationsLimitExceeded", message, limit=most, operationType="Query")
        self._recent.append(time.monotonic())

    def _op_getContactFields(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        pattern = envelope.findtext(".//namePattern") or ".*"
        parts = []
        for each in self.domain.shown_fields():
            if re.fullmatch(pattern, each.name):
                limits = "".join(
                    f"<restrictions><type>{kind}</type><value>{escape(value)}</value></restrictions>"
                    for kind, value in each.restrictions
                )
                parts.append(
                    f"<return><displayAs>Long</displayAs><mapTo>{each.map_to}</mapTo><name>{escape(each.name)}</name>"
                    f"{limits}<system>{str(each.system).lower()}</system><type>{each.type}</type></return>"
                )
        return result_answer("getContactFields", "".join(parts))

    def _op_getListsInfo(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        sizes = self.list_sizes()
        lists = "".join(f"<return><name>{name}</name><size>{size}</size></return>" for name, size in sizes.items())
        return result_answer("getListsInfo", lists, list_key="size")

    def _op_getCallCountersState(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        parts = []
        for seconds, most in self._limits().items():
            counted = {"Query": (most, self._counted(seconds)), "Modify": (most, 0)}
            states = "".join(
                f"<callCounterStates><limit>{limit}</limit><operationType>{name}</operationType>"
                f"<value>{value}</value></callCounterStates>"
                for name, (limit, value) in counted.items()
            )
            parts.append(f"<return>{states}<timeout>{seconds}</timeout></return>")
        return result_answer("getCallCountersState", "".join(parts))

    def _op_closeSession(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        return result_answer("closeSession", "")

    def _op_getContactRecords(self, envelope: ElementTree.Element) -> Answer:  # noqa: N802
        criteria = [(c.findtext("field") or "", c.findtext("value") or "") for c in envelope.iter("criteria")]
        if not criteria:
            raise SoapFaultError("MissedArgument", "criteria are missing")
        known = {each.name for each in self.domain.shown_fields()}
        for name, _ in criteria:
            if name not in known:
                raise SoapFaultError("CrmFieldNotFound", f"no field {name}", fieldName=name)
        if self.settings.empty_value == "fault" and any(not value for _, value in criteria):
            raise SoapFaultError("IncorrectArgument", "value is empty")
        if self.settings.empty_value in ("ignored", "dropped"):
            criteria = [(name, value) for name, value in criteria if value]
        # Of no criterion at all, everything meets all, or nothing is asked for.
        found = [] if not criteria and self.settings.empty_value == "dropped" else self.lookups.find(criteria)
        if len(found) > self.settings.limit:
            if self.settings.over_limit == "fault":
                raise SoapFaultError("Server", "Too many records match the criteria")
            start = crc32(repr(criteria).encode()) % len(found)
            found = [*found[start:], *found[:start]][: self.settings.limit]
        answer = self._records([self.domain.contact(number) for number in found])
        self._shown = (self._shown[1], answer.body)
        return replace(answer, page_size=len(found))

    def _records(self, contacts: Sequence[dict[str, str | None]]) -> Answer:
        names = [each.name for each in self.domain.shown_fields()]
        parts = [f"<fields>{escape(name)}</fields>" for name in names]
        if not contacts and self.settings.no_match == "bare":
            parts = []
        for contact in contacts:
            values = [contact.get(name) for name in names]
            if crc32(repr(values).encode()) % 3 == 0:
                while values and values[-1] is None:
                    values.pop()
            data = "".join(NIL if value is None else f"<data>{escaped(value)}</data>" for value in values)
            parts.append(f"<records><values>{data}</values></records>")
        content = f"<return>{''.join(parts)}</return>"
        return result_answer("getContactRecords", content, list_key="records")

    def corrupted(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        """Apply a fault of the payload. There are no pages: one that repeats is the answer to the question before."""
        if answer.list_key == "size":
            if fault.kind != "lying_total":
                return answer
            added = fault["add"]
            body = re.sub(rb"(?<=<size>)\d+", lambda found: b"%d" % (int(found[0]) + added), answer.body)
            return replace(answer, body=body)
        match fault.kind:
            case "repeat_page":
                return replace(answer, body=self._shown[0] or answer.body)
            case "endless":
                numbers = list(self.domain.living())[: self.settings.limit]
                again = -(-self.settings.limit // max(1, len(numbers)))
                shown = [self.domain.contact(number) for number in (numbers * again)[: self.settings.limit]]
                return replace(self._records(shown), route=answer.route)
            case "missing_list":
                return replace(answer, body=re.sub(rb"<return>.*</return>", b"", answer.body, flags=re.DOTALL))
            case "malformed":
                return replace(answer, body=corrupt_records(fault, answer.body))
        return answer


SIMULATOR = Five9
