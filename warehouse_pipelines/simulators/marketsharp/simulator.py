"""The simulated MarketSharp: the read-only OData service, in Atom.

Written from the vendor notes; where these say "standard behaviour", what WCF Data Services does. The service checks
the signature of each request, understands a `$filter` of comparisons, `and`, `or`, `not` and one step of navigation,
refuses what it does not know, and compares times as the zoneless values that the database holds. What the notes could
not confirm is a setting. JSON, `$select` and changes are left out; of `$metadata` there are properties and sets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from dataclasses import replace
from itertools import islice
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.marketsharp.atom import ROOT, Atom, error_answer
from warehouse_pipelines.simulators.marketsharp.corruption import corrupt_entry
from warehouse_pipelines.simulators.marketsharp.filter_syntax import BadQueryError
from warehouse_pipelines.simulators.marketsharp.operations import MarketSharpOperations
from warehouse_pipelines.simulators.marketsharp.queries import Queries
from warehouse_pipelines.simulators.marketsharp.sets import NAVIGATION, SETS, SUBSETS
from warehouse_pipelines.simulators.marketsharp.settings import MarketSharpSettings

OPTIONS = {"$filter", "$orderby", "$top", "$skip", "$expand", "$inlinecount", "$skiptoken"}


class MarketSharp(MarketSharpOperations):
    def __init__(self, population: Population, settings: MarketSharpSettings) -> None:
        super().__init__(population, settings)
        self._queries = Queries(self.office, settings, self.zone)
        self._atom = Atom(self._queries, lambda: self.url)
        self._shown: dict[str, bytes] = {}  # the first page of each set, for a fault that repeats it

    @property
    def secret(self) -> str:
        return base64.b64encode(self.settings.token.encode()).decode()

    def environment(self) -> dict[str, str]:
        return {
            "MARKETSHARP_COMPANY_ID": self.settings.company,
            "MARKETSHARP_API_KEY": self.settings.api_key,
            "MARKETSHARP_SECRET_KEY": self.secret,
            "MARKETSHARP_BASE_URL": self.url,
        }

    def answer(self, request: Request) -> Answer:
        if not self._signed(request):
            return replace(self.refused(), route=self.route_of(request))
        try:
            answer = self._route(request)
        except BadQueryError as error:
            answer = error_answer(400, str(error))
        answer.route = self.route_of(request)
        return answer

    def route_of(self, request: Request) -> str:
        return re.sub(r"\('[^']*'\)|\(\d+\)", "({id})", request.path)

    def _signed(self, request: Request) -> bool:
        company, _, rest = request.headers.get("authorization", "").partition(":")
        key, _, rest = rest.partition(":")
        stamp, _, given = rest.partition(":")
        if (company, key) != (self.settings.company, self.settings.api_key) or not stamp.isdigit():
            return False
        message = f"{company}{key}{stamp}".encode()
        right = base64.b64encode(hmac.digest(self.settings.token.encode(), message, hashlib.sha256)).decode()
        fresh = abs(time.time() + self._ahead - int(stamp)) <= self.settings.skew_seconds + 1
        return fresh and hmac.compare_digest(right, given)

    def refused(self) -> Answer:
        return Answer(401, b"Unauthorized", content_type="text/plain; charset=utf-8")

    def rate_limited(self, policy: str) -> Answer:
        """Nothing is known of such an answer here."""
        return Answer(429, b"", content_type="text/plain; charset=utf-8")

    def _route(self, request: Request) -> Answer:
        if request.method != "GET":
            return error_answer(405, "Method Not Allowed")
        if request.path == f"{ROOT}/$metadata" and "$metadata" not in self.settings.absent.split():
            return self._metadata()
        found = re.fullmatch(rf"{re.escape(ROOT)}/(\w+)(?:\(('[^']*'|\d+)\))?(?:/(\w+|\$count))?", request.path)
        if not found or found[1] not in SETS or found[1] in self.settings.absent.split():
            return error_answer(404, "Resource not found for the segment.")
        name, key, more = found.groups()
        if unknown := {option for option in request.query if option.startswith("$")} - OPTIONS:
            raise BadQueryError(f"The query parameter '{min(unknown)}' begins with a system-reserved '$' character.")
        if key is None:
            if more == "$count":
                count = sum(1 for _ in self._queries.matching(request, name))
                return Answer(200, str(count).encode(), content_type="text/plain")
            return (
                self._feed(request, name) if more is None else error_answer(404, "Resource not found for the segment.")
            )
        store = self.office.store(name)
        number = store.find(int(key) if store.numbered and key.isdigit() else key.strip("'"))
        if number is None or (name in SUBSETS and self.office.kind_of(number) != SUBSETS[name]):
            return error_answer(404, f"Resource not found for the segment '{name}'.")
        if more is None:
            return self._atom.single(self._atom.entry(name, number, {}))
        if more not in NAVIGATION.get(store.name, {}):
            return error_answer(404, f"Resource not found for the segment '{more}'.")
        there, numbers, many = self._queries.linked(store.name, number, more)
        if many:
            return self._atom.document(more, [self._atom.entry(there, one, {}) for one in numbers])
        return self._atom.single(self._atom.entry(there, numbers[0], {})) if numbers else Answer(204)

    def _metadata(self) -> Answer:
        """EDMX: a type for each set, and the sets."""
        there = {name: one for name, one in SETS.items() if name not in self.settings.absent.split()}
        types = "".join(
            f'<EntityType Name="{one.title}"><Key><PropertyRef Name="{one.key}" /></Key>'
            + "".join(f'<Property Name="{name}" Type="{type_}" />' for name, type_ in one.properties.items())
            + "</EntityType>"
            for one in there.values()
        )
        sets = "".join(f'<EntitySet Name="{name}" EntityType="Model.{one.title}" />' for name, one in there.items())
        body = (
            '<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" '
            'xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>'
            f'<Schema Namespace="Model" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{types}'
            f'<EntityContainer Name="Service">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
        )
        return Answer(200, body.encode(), content_type="application/xml;charset=utf-8")

    def _expansions(self, request: Request, name: str) -> dict[str, Any]:
        """The tree of what is to be expanded."""
        tree: dict[str, Any] = {}
        if not (text := request.first("$expand")) or self.settings.expands == "ignored":
            return tree
        if self.settings.expands == "refused":
            raise BadQueryError("Query option $expand cannot be applied to the requested resource.")
        for path in text.split(","):
            here, branch = self.office.store(name).name, tree
            for step in path.strip().split("/"):
                if step not in NAVIGATION.get(here, {}) or step in self.settings.absent.split():
                    raise BadQueryError(f"No navigation property '{step}' exists in type '{SETS[here].title}'.")
                branch = branch.setdefault(step, {})
                here = NAVIGATION[here][step].to
        return tree

    def _feed(self, request: Request, name: str) -> Answer:
        numbers = self._queries.matching(request, name)
        top, skip = (_whole(request.first(word, default)) for word, default in (("$top", "1000000000"), ("$skip", "0")))
        tree = self._expansions(request, name)
        count = None
        if request.first("$inlinecount") == "allpages":
            if not self.settings.inlinecount:
                raise BadQueryError("Query option $inlinecount is not supported.")
            bare = replace(request)
            bare.query = {word: value for word, value in request.query.items() if word != "$skiptoken"}
            count = sum(1 for _ in self._queries.matching(bare, name))
        most = min(top, self.settings.most_per_page)
        page = list(islice(numbers, skip, skip + most))
        link = None
        if self.settings.links and most < top and len(page) == most and next(numbers, None) is not None:
            link = self._link(request, name, page[-1], top - most)
        answer = self._atom.document(name, [self._atom.entry(name, number, tree) for number in page], link, count)
        answer.page_size = top if "$top" in request.query else None
        if "$skiptoken" not in request.query and " gt " not in request.first("$filter"):
            self._shown[name] = answer.body
        return answer

    def _link(self, request: Request, name: str, last: int | None, left: int) -> str:
        query = {word: values[0] for word, values in request.query.items() if word != "$skip"}
        if "$top" in query:
            query["$top"] = str(left)
        token = "none" if last is None else str(self.office.store(name).id_of(last))
        return f"{self.settings.link_base or self.url}{ROOT}/{name}?{urlencode(query | {'$skiptoken': token})}"

    def corrupted(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        """A fault of the payload. The next link of a list is what goes on here."""
        name = request.path.rpartition("/")[2]
        body = answer.body
        match fault.kind:
            case "repeat_page":
                body = self._shown.get(name, body)
                body = self._with_link(body, self._link(request, name, None, 1000))
            case "endless":
                body = self._with_link(body, self._link(request, name, None, 1000))
            case "null_last_page":
                if b'rel="next"' not in body and b"<entry>" in body:
                    body = self._with_link(body, self._link(request, name, None, 1000))
            case "lying_total":
                added = fault["add"]
                body = re.sub(
                    rb"(?<=<m:count>)\d+", lambda found: b"%d" % (int(found[0]) + added), body
                )  # fmt: skip
            case "missing_list":
                body = b'<service xmlns="http://www.w3.org/2007/app"><workspace /></service>'
            case "malformed":
                head, *entries = body.decode().split("\n<entry>")
                for place in range(min(len(entries), fault["records"])):
                    entries[place] = corrupt_entry(fault, entries[place], name)
                body = "\n<entry>".join([head, *entries]).encode()
        return replace(answer, body=body)

    def _with_link(self, body: bytes, link: str) -> bytes:
        return body.replace(b"\n</feed>", f'\n<link rel="next" href={quoteattr(link)} />\n</feed>'.encode())


def _whole(text: str) -> int:
    if not text.isdigit():
        raise BadQueryError("Invalid value for a count.")
    return int(text)


SIMULATOR = MarketSharp
