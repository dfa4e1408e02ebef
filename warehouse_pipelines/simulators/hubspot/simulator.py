"""The simulated HubSpot: paths, refusals, rate limits, and the operations behind the scenes.

Written from the vendor notes. What the notes could not confirm is a setting, with the stricter reading as its default.
Records come from hubspot_store.py, search from hubspot_search.py.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import msgspec

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Town
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, BadRequestError, Request, answer_json
from warehouse_pipelines.simulators.hubspot.associations import Associations, type_json
from warehouse_pipelines.simulators.hubspot.lookups import Lookups
from warehouse_pipelines.simulators.hubspot.objects import (
    DAY_MS,
    FIELD_TYPES,
    PORTAL,
    ObjectType,
    Property,
    iso,
    object_types,
)
from warehouse_pipelines.simulators.hubspot.search import Search, SearchError
from warehouse_pipelines.simulators.hubspot.store import Projection, Row, Store

MAX_LIST, MAX_LIST_WITH_HISTORY, MAX_BATCH, MAX_ASSOCIATIONS = 100, 50, 100, 1000
PLENTY = 1_000_000
OBJECTS = re.compile(r"/crm/(?:v3/objects|objects/(?:v3|20\d\d-\d\d))/([^/]+)(?:/(.+))?")
ASSOCIATIONS = re.compile(
    r"/crm/(?:(v3|v4)/associations|associations/(v3|v4|20\d\d-\d\d))/([^/]+)/([^/]+)/(batch/read|labels)"
)
NEIGHBOURS = re.compile(r"/crm/v4/objects/([^/]+)/(\d+)/associations/([^/]+)")
PROPERTIES = re.compile(r"/crm/(?:v3/properties|properties/(?:v3|20\d\d-\d\d))/([^/]+)(?:/(.+))?")
SCHEMAS = re.compile(r"/(?:crm-object-schemas/(?:v3|20\d\d-\d\d)|crm/v3)/schemas(?:/([^/]+))?")
OWNERS = re.compile(r"/crm/(?:v3/owners|owners/v3)/?")
PIPELINES = re.compile(r"/crm/(?:v3/pipelines|pipelines/v3)/([^/]+)")


@dataclass
class HubSpotSettings:
    token: str = "simulated-hubspot-token"  # noqa: S105  (nobody's key)
    contacts: int = 1000  # fixed at start
    appointment: str = "standard"  # fixed at start: standard | custom | both
    extra_properties: int = 0  # fixed at start: so many more property definitions of contacts, with long names
    now: float | None = None  # fixed at start: seconds since 1970; the base ends an hour before
    url_limit: int = 8_000
    burst: int | None = None  # requests in 10 seconds
    daily: int | None = None
    searches_per_second: int | None = None
    retry_after_seconds: int | None = None  # on the limits' own 429; not promised by the vendor
    missing_scopes: list[str] = field(default_factory=list)  # names of objects
    index_lag_seconds: float = 0.0
    search_shows: str = "indexed"  # indexed | current: which values a search answers with
    id_order: str = "numeric"  # numeric | text
    search_pages: str = "full"  # full | short | empty: short or empty pages that have a next one
    search_total_cut: bool = False  # whether total stops at 10,000
    search_body_limit: int = 3_000
    search_body_counts: str = "all"  # all | filters: what those characters count
    merged_read: str = "survivor"  # survivor | missing: what an absorbed id answers with
    restore_bumps: bool = False
    association_page: int = 500


class Refusal(ValueError):
    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = _error(status, category, message, **more)


class HubSpot(Vendor):
    settings_type = HubSpotSettings
    settings: HubSpotSettings

    def __init__(self, town: Town, settings: HubSpotSettings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        end = int((started + self._ahead - 3600) * 1000)
        journeys = Journeys(town, settings.contacts, end + 3_600_000)
        kinds = object_types(town, journeys, settings.contacts, settings.appointment)
        extra = {f"intake_questionnaire_{n:04d}_how_did_the_homeowner_answer" for n in range(settings.extra_properties)}
        extra_properties = {name: Property(name, "string", "textarea", custom=True) for name in sorted(extra)}
        self.stores = {
            name: Store(
                kind,
                start=end - 3 * 365 * DAY_MS,
                end=end,
                seed=town.seed * 1000 + place,
                extra_properties=extra_properties if name == "contacts" else {},
                journeys=journeys,
            )
            for place, (name, kind) in enumerate(kinds.items())
        }
        self.associations = Associations(self.stores)
        self.lookups = Lookups(town)
        self._held = False
        self._paths = {path: store for store in self.stores.values() for path in store.kind.path_names}
        self._recent: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._today = (0, 0)

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    # What a request meets, in this order: the edge, the key, the limits, the path.

    def environment(self) -> dict[str, str]:
        return {
            "HUBSPOT_ACCESS_TOKEN": self.settings.token,
            "HUBSPOT_BASE_URL": self.url,
            "HUBSPOT_REQUESTS_PER_10_SECONDS": "100000",
            "HUBSPOT_SEARCHES_PER_SECOND": "100000",
        }

    def answer(self, request: Request) -> Answer:
        if len(request.target) > self.settings.url_limit:
            return Answer(414, b"<html><h1>414 Request-URI Too Large</h1></html>", content_type="text/html")
        if request.headers.get("authorization") != f"Bearer {self.settings.token}":
            return self.refused()
        is_search = request.method == "POST" and request.path.endswith("/search")
        limited = self._take(is_search)
        if limited is not None:
            return replace(limited, route=self.route_of(request))
        try:
            answer = self._route(request)
        except Refusal as refusal:
            answer = refusal.answer
        except SearchError as error:
            errors = [{"message": str(error), "code": error.code}] if error.code else []
            answer = _error(400, "VALIDATION_ERROR", str(error), errors=errors)
        answer.route = self.route_of(request)
        if not is_search:
            answer.headers = self._limit_headers()
        return answer

    def refused(self) -> Answer:
        message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
        return _error(401, "INVALID_AUTHENTICATION", message)

    def rate_limited(self, policy: str) -> Answer:
        word = {"SECONDLY": "secondly", "DAILY": "daily"}.get(policy, "ten_secondly_rolling")
        body = {
            "status": "error",
            "message": f"You have reached your {word} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": str(uuid4()),
            "policyName": policy or "TEN_SECONDLY_ROLLING",
            "requestId": uuid4().hex,
        }
        seconds = self.settings.retry_after_seconds
        return answer_json(429, body, headers={} if seconds is None else {"Retry-After": str(seconds)})

    def _take(self, is_search: bool) -> Answer | None:
        settings, now = self.settings, time.monotonic()
        if settings.burst is not None:
            _forget(self._recent, now - 10)
            if len(self._recent) >= settings.burst:
                return self.rate_limited("TEN_SECONDLY_ROLLING")
        if is_search and settings.searches_per_second is not None:
            _forget(self._searches, now - 1)
            if len(self._searches) >= settings.searches_per_second:
                return self.rate_limited("SECONDLY")
            self._searches.append(now)
        today = self.now_ms() // DAY_MS
        used = self._today[1] if self._today[0] == today else 0
        if settings.daily is not None and used >= settings.daily:
            return self.rate_limited("DAILY")
        self._today = (today, used + 1)
        if settings.burst is not None:
            self._recent.append(now)
        return None

    def _limit_headers(self) -> dict[str, str]:
        burst, daily = self.settings.burst or PLENTY, self.settings.daily or PLENTY
        return {
            "X-HubSpot-RateLimit-Max": str(burst),
            "X-HubSpot-RateLimit-Remaining": str(max(0, burst - len(self._recent))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, daily - self._today[1])),
        }

    def route_of(self, request: Request) -> str:
        def named(text: str) -> str:
            return self._paths[text].kind.name if text in self._paths else text

        path = re.sub(r"/\d+(?=/|$)", "/{id}", request.path)
        for pattern in (ASSOCIATIONS, OBJECTS, NEIGHBOURS, PROPERTIES, PIPELINES):
            if match := pattern.fullmatch(path):
                for text in match.groups():
                    if text in self._paths:
                        path = path.replace(f"/{text}", f"/{named(text)}", 1)
        return path

    def _route(self, request: Request) -> Answer:
        if match := OBJECTS.fullmatch(request.path):
            return self._objects(request, self._store(match[1]), match[2] or "")
        if match := ASSOCIATIONS.fullmatch(request.path):
            version = match[1] or ("v3" if match[2] == "v3" else "v4")
            source, target = self._store(match[3]), self._store(match[4])
            if match[5] == "labels":
                types = self.associations.types(source.kind.name, target.kind.name)
                return _results([type_json(kind) for kind in types])
            return self._associated(request, source, target, version)
        if match := NEIGHBOURS.fullmatch(request.path):
            return self._neighbours(request, self._store(match[1]), match[2], self._store(match[3]))
        if match := PROPERTIES.fullmatch(request.path):
            return self._definitions(request, self._store(match[1]), match[2] or "")
        if match := SCHEMAS.fullmatch(request.path):
            return self._schemas(match[1])
        if OWNERS.fullmatch(request.path):
            return self._owners(request)
        if match := PIPELINES.fullmatch(request.path):
            if self._store(match[1]).kind.name != "deals":
                return _results([])
            return answer_json(200, {"results": self.lookups.all("pipelines")}, list_key="results")
        return _error(404, "OBJECT_NOT_FOUND", f"No such path: {request.path}")

    def _owners(self, request: Request) -> Answer:
        limit = _limit(request, 100, 500)
        archived = request.first("archived") == "true"
        listed = [one for one in self.lookups.owners if one["archived"] == archived]
        email = request.first("email")
        listed = [one for one in listed if not email or one["email"] == email]
        start = int(request.first("after") or 0)
        body: dict[str, Any] = {"results": listed[start : start + limit]}
        if start + limit < len(listed):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return answer_json(200, body, list_key="results", page_size=limit)

    def _store(self, name: str) -> Store:
        store = self._paths.get(name)
        if store is None:
            raise Refusal(400, "VALIDATION_ERROR", f"Unable to infer object type from: {name}")
        if store.kind.name in self.settings.missing_scopes:
            scope = "custom" if store.kind.custom else store.kind.name
            context = {"requiredGranularScopes": [f"crm.objects.{scope}.read"]}
            message = "This app hasn't been granted all required scopes to make this call."
            errors = [{"message": "One or more of the following scopes are required.", "context": context}]
            raise Refusal(403, "MISSING_SCOPES", message, errors=errors)
        return store

    # Records

    def _objects(self, request: Request, store: Store, rest: str) -> Answer:
        match request.method, rest:
            case "GET", "":
                return self._list(request, store)
            case "POST", "":
                return answer_json(201, self._shown(store, self._create(store, request.json().get("properties") or {})))
            case "POST", "search":
                return self._search(request, store)
            case "POST", "batch/read":
                return self._batch_read(request, store)
            case "POST", "batch/create" | "batch/update":
                return self._batch_write(request, store)
            case "POST", "batch/archive":
                for item in _inputs(request.json(), MAX_BATCH):
                    self._archive(store, item.get("id"))
                return Answer(204)
            case "POST", "merge":
                body = request.json()
                survivor = self._merge(store, body.get("primaryObjectId"), body.get("objectIdToMerge"), new_id=False)
                return answer_json(200, self._shown(store, survivor))
            case "POST", "gdpr-delete":
                return self._gdpr(request, store)
            case "GET", _ if "/" not in rest:
                return self._read(request, store, rest)
            case "PATCH", _ if rest.isdigit():
                self.edit(store.kind.name, rest, request.json().get("properties") or {})
                return answer_json(200, self._shown(store, self._live_number(store, rest)))
            case "DELETE", _ if rest.isdigit():
                self._archive(store, rest)
                return Answer(204)
        return _error(405, "VALIDATION_ERROR", f"{request.method} is not possible here")

    def _list(self, request: Request, store: Store) -> Answer:
        history = bool(request.query.get("propertiesWithHistory"))
        limit = _limit(request, 10, MAX_LIST_WITH_HISTORY if history else MAX_LIST)
        after = request.first("after")
        if after and not after.isdigit():
            raise Refusal(400, "VALIDATION_ERROR", f"Invalid after: {after}")
        last = int(after) - store.kind.first_id if after else -1
        archived = request.first("archived") == "true"
        rows = iter(n for n in store.archived() if n > last) if archived else store.live_after(last)
        numbers = []
        for number in rows:
            numbers.append(number)
            if len(numbers) > limit:
                break
        more = len(numbers) > limit
        numbers = numbers[:limit]
        projection = store.projection(_words(request, "properties"))
        targets = [self._store(name) for name in _words(request, "associations")]
        records = []
        for number in numbers:
            inline = self._inline(store, number, targets) if targets else b""
            records.append(store.render(number, store.row(number), projection, inline))
        following = store.id_of(numbers[-1]) if more else None
        link = f"https://api.hubapi.com{request.path}?limit={limit}&after={following}"
        return _page(records, following, link=link, page_size=limit)

    def _inline(self, store: Store, number: int, targets: list[Store]) -> bytes:
        found = {}
        for target in targets:
            edges = self.associations.edges(store.kind.name, target.kind.name, number)
            kind = f"{store.kind.singular}_to_{target.kind.singular}"
            if edges:
                results = [{"id": target.id_of(neighbour), "type": kind} for neighbour, _ in edges]
                found[target.kind.name] = {"results": results}
        return b',"associations":' + msgspec.json.encode(found) if found else b""

    def _search(self, request: Request, store: Store) -> Answer:
        body = request.json()
        counted = request.body
        if self.settings.search_body_counts == "filters":
            counted = msgspec.json.encode([body.get("filterGroups"), body.get("sorts"), body.get("query")])
        if len(counted) > self.settings.search_body_limit:
            raise SearchError(f"The request is longer than {self.settings.search_body_limit} characters")
        if not self._held:
            store.settle_index(time.monotonic())

        def neighbours(name: str, number: int) -> set[str]:
            target = self._store(name)
            edges = self.associations.edges(store.kind.name, target.kind.name, number)
            return {target.id_of(neighbour) for neighbour, _ in edges}

        settings = self.settings
        search = Search(store, body, id_order=settings.id_order, pages=settings.search_pages, neighbours=neighbours)
        found = search.run()
        projection = store.projection(tuple(body.get("properties") or ()))
        rows: Callable[[int], Row] = store.indexed_row
        if settings.search_shows == "current":
            rows = store.row
        records = [store.render(number, rows(number), projection) for number in found.numbers]
        total = min(found.total, 10_000) if settings.search_total_cut else found.total
        return _page(records, found.next_after, total=total, page_size=search.limit)

    def _read(self, request: Request, store: Store, key: str) -> Answer:
        number = self._find(store, key, request.first("idProperty"), request.first("archived") == "true")
        if number is None:
            return _error(404, "OBJECT_NOT_FOUND", "resource not found")
        targets = [self._store(name) for name in _words(request, "associations")]
        projection = store.projection(_words(request, "properties"))
        return Answer(200, store.render(number, store.row(number), projection, self._inline(store, number, targets)))

    def _find(self, store: Store, key: str, id_property: str, archived: bool) -> int | None:
        """The number of the record that a key stands for now."""
        if id_property and id_property != "hs_object_id":
            matches = (n for n in store.live_after(-1) if store.properties(n, store.row(n)).get(id_property) == key)
            return next(matches, None)
        number = store.number_of(key)
        if number is None:
            return None
        row = store.row(number)
        while row.merged_into is not None and self.settings.merged_read == "survivor":
            number, row = row.merged_into, store.row(row.merged_into)
        return number if row.state == ("archived" if archived else "live") else None

    def _batch_read(self, request: Request, store: Store) -> Answer:
        body = request.json()
        inputs = _inputs(body, MAX_BATCH)
        archived = request.first("archived") == "true"
        id_property = str(body.get("idProperty") or "")
        projection: Projection = store.projection(tuple(body.get("properties") or ()))
        found: dict[int, None] = {}
        missing = []
        for item in inputs:
            key = str(item.get("id"))
            number = self._find(store, key, id_property, archived)
            if number is None:
                missing.append(key)
            else:
                found[number] = None
        # The order of results is not promised; this one is no client's expectation, and always the same.
        numbers = sorted(found, key=lambda number: (number * 7_919 % 101, number))
        records = [store.render(number, store.row(number), projection) for number in numbers]
        errors: list[dict[str, Any]] = []
        if missing:
            message = "Could not get some objects, they may be deleted or not exist. Check that ids are valid."
            common = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message}
            errors.append({**common, "context": {"ids": missing}})
        return _batch(records, errors, len(inputs))

    def _batch_write(self, request: Request, store: Store) -> Answer:
        numbers = []
        for item in _inputs(request.json(), MAX_BATCH):
            properties = item.get("properties") or {}
            if request.path.endswith("create"):
                numbers.append(self._create(store, properties))
            else:
                numbers.append(self._edit(store, item.get("id"), properties, bump=True))
        projection = store.projection(())
        return _batch([store.render(n, store.row(n), projection) for n in numbers], [], len(numbers))

    def _gdpr(self, request: Request, store: Store) -> Answer:
        body = request.json()
        number = self._find(store, str(body.get("objectId")), str(body.get("idProperty") or ""), archived=False)
        if store.kind.name != "contacts":
            return _error(405, "VALIDATION_ERROR", "only contacts can be deleted for good")
        if number is not None:
            self._vanish(store, number)
        return Answer(204)

    # Associations

    def _associated(self, request: Request, source: Store, target: Store, version: str) -> Answer:
        page = self.settings.association_page
        inputs = _inputs(request.json(), MAX_ASSOCIATIONS)
        names = source.kind.name, target.kind.name
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        word = f"{source.kind.singular}_to_{target.kind.singular}"
        for item in inputs:
            key = str(item.get("id"))
            number = source.number_of(key)
            edges = [] if number is None else self.associations.edges(*names, number)
            start = int(item.get("after") or 0)
            if not edges:
                errors.append(_no_association(source.kind, target.kind, key))
                continue
            entry: dict[str, Any] = {"from": {"id": key}}
            if version == "v4":
                entry["to"] = [_target(target, edge) for edge in edges[start : start + page]]
            else:
                entry["to"] = [{"id": target.id_of(n), "type": word} for n, _ in edges[start : start + page]]
            if start + page < len(edges):
                entry["paging"] = {"next": {"after": str(start + page)}}
            results.append(entry)
        return _batch([msgspec.json.encode(entry) for entry in results], errors, len(inputs))

    def _neighbours(self, request: Request, source: Store, key: str, target: Store) -> Answer:
        limit = _limit(request, 500, 500)
        number = source.number_of(key)
        if number is None or not source.is_live(number):
            return _error(404, "OBJECT_NOT_FOUND", "resource not found")
        edges = self.associations.edges(source.kind.name, target.kind.name, number)
        start = int(request.first("after") or 0)
        records = [msgspec.json.encode(_target(target, edge)) for edge in edges[start : start + limit]]
        following = str(start + limit) if start + limit < len(edges) else None
        return _page(records, following, page_size=limit)

    # The portal's own description

    def _definitions(self, request: Request, store: Store, rest: str) -> Answer:
        known = store.definitions
        if request.method == "POST" and rest == "batch/read":
            names = [str(item.get("name")) for item in _inputs(request.json(), MAX_BATCH)]
            return _batch([msgspec.json.encode(known[n].definition()) for n in names if n in known], [], len(names))
        if rest == "groups":
            return _results(
                [{"name": "contactinformation", "label": "Information", "displayOrder": 1, "archived": False}]
            )
        if rest:
            if rest not in known:
                return _error(404, "OBJECT_NOT_FOUND", f"No property {rest}")
            return answer_json(200, known[rest].definition())
        if request.first("archived") == "true":
            return _results([])
        return _results([known[name].definition() for name in sorted(known)])

    def _schemas(self, which: str | None) -> Answer:
        custom = [store for store in self.stores.values() if store.kind.custom]
        if which is None:
            return _results([self._schema(store) for store in custom])
        for store in custom:
            if which in (*store.kind.path_names, store.kind.singular):
                return answer_json(200, self._schema(store))
        return _error(404, "OBJECT_NOT_FOUND", f"No schema {which}")

    def _schema(self, store: Store) -> dict[str, Any]:
        kind = store.kind
        shown = kind.search_text[0]
        edges = []
        for other in self.stores.values():
            for _, type_id, _ in self.associations.types(kind.name, other.kind.name):
                name = f"{kind.singular}_to_{other.kind.singular}"
                ends = {"fromObjectTypeId": kind.type_id, "toObjectTypeId": other.kind.type_id}
                edges.append({"id": str(type_id), **ends, "name": name})
        return {
            "id": kind.type_id[2:],
            "objectTypeId": kind.type_id,
            "name": kind.singular,
            "fullyQualifiedName": f"p{PORTAL}_{kind.singular}",
            "labels": {"singular": kind.singular.capitalize(), "plural": f"{kind.singular.capitalize()}s"},
            "primaryDisplayProperty": shown,
            "secondaryDisplayProperties": [],
            "requiredProperties": [shown],
            "searchableProperties": [shown],
            "metaType": "PORTAL_SPECIFIC",
            "archived": False,
            "properties": [known.definition() for known in store.definitions.values()],
            "associations": edges,
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
        }

    # Changes

    def _write(self, store: Store, number: int, row: Row) -> None:
        store.write(number, row, time.monotonic() + self.settings.index_lag_seconds)
        if self.settings.index_lag_seconds <= 0 and not self._held:
            store.settle_index(time.monotonic(), everything=True)

    def _live_number(self, store: Store, object_id: Any) -> int:
        number = store.number_of(object_id)
        if number is None or not store.is_live(number):
            raise Refusal(404, "OBJECT_NOT_FOUND", f"no {store.kind.singular} {object_id}")
        return number

    def _bumped(self, row: Row) -> int:
        return max(self.now_ms(), row.modified + 1)

    def _edit(self, store: Store, object_id: Any, properties: dict[str, Any], *, bump: bool) -> int:
        number = self._live_number(store, object_id)
        row = store.row(number)
        texts = {name: None if value is None else str(value) for name, value in properties.items()}
        self._write(store, number, store.edited(number, texts, self._bumped(row) if bump else row.modified))
        return number

    def _create(self, store: Store, properties: dict[str, Any]) -> int:
        texts = {name: None if value is None else str(value) for name, value in properties.items()}
        at = self.now_ms()
        number = store.create(texts, at, time.monotonic() + self.settings.index_lag_seconds)
        if self.settings.index_lag_seconds <= 0 and not self._held:
            store.settle_index(time.monotonic(), everything=True)
        return number

    def _archive(self, store: Store, object_id: Any) -> None:
        number = store.number_of(object_id)
        if number is not None and store.is_live(number):
            self._write(store, number, replace(store.row(number), state="archived", archived_at=self.now_ms()))

    def _vanish(self, store: Store, number: int, merged_into: int | None = None) -> None:
        self._write(store, number, replace(store.row(number), state="gone", merged_into=merged_into))

    def _merge(self, store: Store, primary: Any, secondary: Any, *, new_id: bool) -> int:
        if not store.kind.can_merge:
            raise Refusal(400, "VALIDATION_ERROR", f"{store.kind.name} cannot be merged")
        winner, loser = self._live_number(store, primary), self._live_number(store, secondary)
        if winner == loser:
            raise Refusal(400, "VALIDATION_ERROR", "a record cannot be merged with itself")
        kept, lost = store.row(winner), store.row(loser)
        absorbed = [kept.changes.get("hs_merged_object_ids"), lost.changes.get("hs_merged_object_ids"), str(secondary)]
        if new_id:
            absorbed.append(str(primary))
        merged = ";".join(ids for ids in absorbed if ids)
        changes: dict[str, str | None] = {"hs_merged_object_ids": merged}
        if store.kind.name == "contacts":
            at = self.now_ms()
            changes["hs_calculated_merged_vids"] = ";".join(f"{each}:{at}" for each in merged.split(";"))
        survivor = winner
        if new_id:
            survivor = self._create(store, {**store.properties(winner, kept), **changes, "hs_object_id": None})
            row = store.row(survivor)
            own = {store.kind.created_property, store.kind.modified_property, "hs_object_id"}
            kept_changes = {name: value for name, value in row.changes.items() if name not in own}
            self._write(store, survivor, replace(row, changes=kept_changes))
            self.associations.inherit(store.kind.name, winner, survivor)
        else:
            self._write(store, winner, store.edited(winner, changes, self._bumped(kept)))
        self.associations.inherit(store.kind.name, loser, survivor)
        self._vanish(store, loser, survivor)
        if new_id:
            self._vanish(store, winner, survivor)
        return survivor

    def _shown(self, store: Store, number: int) -> Any:
        return msgspec.json.decode(store.render(number, store.row(number), store.projection(tuple(store.known))))

    def _named(self, name: str) -> Store:
        if name not in self.stores:
            raise ValueError(f"no object {name!r}; there are {', '.join(self.stores)}")
        return self.stores[name]

    def _number(self, store: Store, object_id: Any) -> int:
        number = store.number_of(object_id)
        if number is None:
            raise ValueError(f"no {store.kind.singular} {object_id}")
        return number

    # Operations from behind the scenes

    @operation
    def lookup_ids(self, kind: str) -> list[str]:
        """The ids of the `owners`, `pipelines` or `stages` that are not archived."""
        return [record["id"] for record in self.lookups.all(kind)]

    @operation
    def create_lookup(self, kind: str) -> str:
        return self.lookups.create(kind)

    @operation
    def edit_lookup(self, kind: str, id: str, **fields: Any) -> None:
        self.lookups.find(kind, id)[1].update(fields)

    @operation
    def remove_lookup(self, kind: str, id: str) -> None:
        """An owner is archived, a pipeline or a stage deleted."""
        self.lookups.remove(kind, id)

    @operation
    def clear_lookup(self, kind: str) -> None:
        """All are gone, and of owners those that were archived."""
        self.lookups.clear(kind)

    @operation
    def restore_lookup(self, kind: str, id: str) -> None:
        self.lookups.restore(kind, id)

    @operation
    def edit(self, object: str, id: str, properties: dict[str, Any], bump: bool = True) -> dict[str, Any]:
        """Change properties; without `bump` the modified time stays, as after a change by formula."""
        store = self._named(object)
        result: dict[str, Any] = self._shown(store, self._edit(store, id, properties, bump=bump))
        return result

    @operation
    def create(self, object: str, properties: dict[str, Any] | None = None) -> str:
        store = self._named(object)
        return store.id_of(self._create(store, properties or {}))

    @operation
    def archive(self, object: str, id: str) -> None:
        self._live_number(self._named(object), id)
        self._archive(self._named(object), id)

    @operation
    def restore(self, object: str, id: str) -> None:
        store = self._named(object)
        number = self._number(store, id)
        row = store.row(number)
        if row.state != "archived":
            raise ValueError(f"{object} {id} is not archived")
        modified = self._bumped(row) if self.settings.restore_bumps else row.modified
        self._write(store, number, replace(row, state="live", archived_at=None, modified=modified))

    @operation
    def expire(self, object: str, id: str) -> None:
        """Ninety days after archiving: gone from the archived list too."""
        store = self._named(object)
        self._vanish(store, self._number(store, id))

    @operation
    def merge(self, object: str, primary: str, secondary: str, new_id: bool = False) -> str:
        """The id of the survivor, which is a third one when `new_id` is set."""
        store = self._named(object)
        return store.id_of(self._merge(store, primary, secondary, new_id=new_id))

    @operation
    def gdpr_delete(self, id: str, object: str = "contacts") -> None:
        """Erase a record for good, live or archived: in no list, no search, no batch read and no pair any more."""
        store = self._named(object)
        number = self._number(store, id)
        if store.row(number).state == "gone":
            raise ValueError(f"{object} {id} is gone already")
        self._vanish(store, number)

    @operation
    def define_property(self, object: str, name: str, type: str = "string") -> None:
        """Give an object a property of the customer's own, or the property another type."""
        self._named(object).define(name, Property(name, type, FIELD_TYPES[type], custom=True))

    @operation
    def archive_property(self, object: str, name: str) -> None:
        self._named(object).define(name, None)

    @operation
    def associate(
        self,
        from_object: str,
        from_id: str,
        to_object: str,
        to_id: str,
        type_id: int | None = None,
        bump: bool = False,
    ) -> None:
        source, target = self._named(from_object), self._named(to_object)
        one, other = self._live_number(source, from_id), self._live_number(target, to_id)
        self.associations.join(from_object, one, to_object, other, type_id)
        if bump:
            self._edit(source, from_id, {}, bump=True)

    @operation
    def dissociate(self, from_object: str, from_id: str, to_object: str, to_id: str, bump: bool = False) -> None:
        source, target = self._named(from_object), self._named(to_object)
        self.associations.part(from_object, self._number(source, from_id), to_object, self._number(target, to_id))
        if bump:
            self._edit(source, from_id, {}, bump=True)

    @operation
    def bulk_touch(
        self,
        object: str,
        ids: list[str] | None = None,
        count: int | None = None,
        at: int | None = None,
        properties: dict[str, Any] | None = None,
    ) -> int:
        """Give many records one identical modified millisecond, as an import does. Returns that millisecond."""
        store = self._named(object)
        numbers = [self._live_number(store, each) for each in ids] if ids is not None else list(store.live_after(-1))
        at = self.now_ms() if at is None else at
        texts = {name: None if value is None else str(value) for name, value in (properties or {}).items()}
        visible = time.monotonic() + self.settings.index_lag_seconds
        for number in numbers[:count]:
            store.write(number, store.edited(number, texts, at), visible)
        if self.settings.index_lag_seconds <= 0 and not self._held:
            store.settle_index(time.monotonic(), everything=True)
        return at

    @operation
    def hold_index(self) -> None:
        """From now on search sees nothing of what is written."""
        for store in self.stores.values():
            store.settle_index(time.monotonic())
        self._held = True

    @operation
    def release_index(self) -> None:
        self._held = False
        for store in self.stores.values():
            store.settle_index(time.monotonic(), everything=True)

    @operation
    def counts(self) -> dict[str, Any]:
        """The truth: how many records of each object live, and how many are archived."""
        live = {name: store.live_count() for name, store in self.stores.items()}
        archived = {name: len(store.archived()) for name, store in self.stores.items()}
        return {"live": live, "archived": archived}

    @operation
    def ids(self, object: str, state: str = "live") -> list[str]:
        store = self._named(object)
        numbers: Iterable[int] = store.live_after(-1) if state == "live" else store.archived()
        return [store.id_of(number) for number in numbers]

    @operation
    def record(self, object: str, id: str) -> dict[str, Any]:
        """A record with every property, whatever its state."""
        store = self._named(object)
        result: dict[str, Any] = self._shown(store, self._number(store, id))
        return result

    @operation
    def pairs(self, from_object: str, to_object: str) -> list[list[str]]:
        """Every association between two objects, as pairs of ids."""
        source, target = self._named(from_object), self._named(to_object)
        return [
            [source.id_of(number), target.id_of(neighbour)]
            for number in source.live_after(-1)
            for neighbour, _ in self.associations.edges(from_object, to_object, number)
        ]

    # Faults

    def spoil(self, fault: Fault, request: Request, body: dict[str, Any], list_key: str) -> None:
        records = body.get(list_key) or []
        following = body.get("paging", {}).get("next", {}).get("after")
        asked = request.first("after") or str(_json_or_empty(request).get("after") or "")
        # A search counts places, a list remembers the last id.
        if records and not request.path.endswith("/search"):
            beyond = str(records[-1].get("id", asked))
        else:
            beyond = str(int(asked or 0) + max(1, len(records)))
        match fault.kind:
            case "repeat_page":
                body["paging"] = {"next": {"after": asked or "0", "link": ""}}
            case "endless":
                body["paging"] = {"next": {"after": following or beyond, "link": ""}}
            case "lying_total":
                body["total"] = body.get("total", len(records)) + fault["add"]
            case "missing_list":
                body.pop(fault["key"] or list_key, None)
            case "null_last_page":
                if not following and records:
                    body["paging"] = {"next": {"after": beyond, "link": ""}}
                elif not records:
                    body[list_key] = None
            case "malformed":
                for place in range(min(fault["records"], len(records))):
                    _spoil_record(fault, records, place, self._paths)


def _spoil_record(fault: Fault, records: list[Any], place: int, stores: dict[str, Store]) -> None:
    what, record = fault["what"], records[place]
    if what == "non_object":
        records[place] = "not a record"
        return
    if what == "missing_id":
        del record["id"]
        record.get("properties", {}).pop("hs_object_id", None)
        return
    if "properties" not in record:  # an owner, a pipeline
        record[fault["property"]] = BAD_VALUES[what]
        return
    store = next(store for store in stores.values() if f"/{store.kind.type_id}/" in record.get("url", ""))
    wanted = {
        "bad_date": ("datetime", "date"),
        "out_of_range": ("number",),
        "bad_number": ("number",),
        "nul": ("string",),
    }[what]
    name = fault["property"]
    if name is None:
        own = {"hs_object_id", store.kind.created_property, store.kind.modified_property}
        kinds = store.definitions
        choices = [
            each for each in record["properties"] if each in kinds and kinds[each].type in wanted and each not in own
        ]
        name = choices[0] if choices else store.kind.created_property
    record["properties"][name] = BAD_VALUES[what]


def _json_or_empty(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except BadRequestError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(status: int, category: str, message: str, **more: Any) -> Answer:
    body = {"status": "error", "message": message, "correlationId": str(uuid4()), "category": category}
    return answer_json(status, {**body, **{name: value for name, value in more.items() if value}})


def _results(results: list[Any]) -> Answer:
    return answer_json(200, {"results": results}, list_key="results")


def _page(
    records: list[bytes], following: str | None, *, page_size: int, total: int | None = None, link: str = ""
) -> Answer:
    head = b"{" if total is None else b'{"total":%d,' % total
    paging = b""
    if following is not None:
        paging = b',"paging":' + msgspec.json.encode({"next": {"after": following, "link": link}})
    body = b'%b"results":[%b]%b}' % (head, b",".join(records), paging)
    return Answer(200, body, list_key="results", page_size=page_size)


def _batch(records: list[bytes], errors: list[dict[str, Any]], size: int) -> Answer:
    now = iso(int(time.time() * 1000)).encode()
    tail = b',"startedAt":"%b","completedAt":"%b"' % (now, now)
    if errors:
        tail = b',"numErrors":%d,"errors":%b%b' % (len(errors), msgspec.json.encode(errors), tail)
    body = b'{"status":"COMPLETE","results":[%b]%b}' % (b",".join(records), tail)
    return Answer(207 if errors else 200, body, list_key="results", page_size=size)


def _inputs(body: Any, most: int) -> list[dict[str, Any]]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise Refusal(400, "VALIDATION_ERROR", "Some required fields were not set: [inputs]")
    if len(inputs) > most:
        raise Refusal(400, "VALIDATION_ERROR", f"The maximum number of inputs supported in a batch request is {most}")
    return inputs


def _limit(request: Request, default: int, most: int) -> int:
    text = request.first("limit") or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal(
            400, "VALIDATION_ERROR", f"Invalid limit {text}: 1 to {most}", errors=[{"code": "INVALID_INTEGER"}]
        )
    return int(text)


def _words(request: Request, name: str) -> tuple[str, ...]:
    return tuple(word for value in request.query.get(name, ()) for word in value.split(",") if word)


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


def _target(target: Store, edge: tuple[int, tuple[tuple[str, int, str | None], ...]]) -> dict[str, Any]:
    neighbour, types = edge
    return {"toObjectId": target.kind.first_id + neighbour, "associationTypes": [type_json(kind) for kind in types]}


def _no_association(source: ObjectType, target: ObjectType, key: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target.singular} is associated with {source.singular} {key}.",
        "context": {"fromObjectId": [key], "fromObjectType": [source.singular], "toObjectType": [target.singular]},
    }
