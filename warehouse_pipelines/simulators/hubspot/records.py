"""How the simulated portal answers what is asked for records: lists, searches, reads, batches and changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.hubspot.answers import (
    Refusal,
    batch_answer,
    batch_inputs,
    error_answer,
    page_answer,
    page_limit,
    query_words,
)
from warehouse_pipelines.simulators.hubspot.portal import Portal
from warehouse_pipelines.simulators.hubspot.search import Search, SearchError
from warehouse_pipelines.simulators.hubspot.store import Projection, Row, Store
from warehouse_pipelines.simulators.hubspot.writes import BatchWrites

MAX_LIST, MAX_LIST_WITH_HISTORY, MAX_BATCH = 100, 50, 100


class RecordRequests:
    """Requests below the path of an object type."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._writes = BatchWrites(portal)

    def answer(self, request: Request, store: Store, rest: str) -> Answer:
        match request.method, rest:
            case "GET", "":
                return self._list(request, store)
            case "POST", "":
                return answer_json(
                    201, self._portal.shown(store, self._portal.create(store, request.json().get("properties") or {}))
                )
            case "POST", "search":
                return self._search(request, store)
            case "POST", "batch/read":
                return self._batch_read(request, store)
            case "POST", "batch/create" | "batch/update" | "batch/archive":
                return self._writes.answer(request, store)
            case "POST", "merge":
                body = request.json()
                survivor = self._portal.merge(
                    store, body.get("primaryObjectId"), body.get("objectIdToMerge"), new_id=False
                )
                return answer_json(200, self._portal.shown(store, survivor))
            case "POST", "gdpr-delete":
                return self._gdpr(request, store)
            case "GET", _ if "/" not in rest:
                return self._read(request, store, rest)
            case "PATCH", _ if rest.isdigit():
                self._portal.edit(store, rest, request.json().get("properties") or {}, bump=True)
                return answer_json(200, self._portal.shown(store, self._portal.live_number(store, rest)))
            case "DELETE", _ if rest.isdigit():
                self._portal.archive(store, rest)
                return Answer(204)
        return error_answer(405, "VALIDATION_ERROR", f"{request.method} is not possible here")

    def _list(self, request: Request, store: Store) -> Answer:
        history = bool(request.query.get("propertiesWithHistory"))
        limit = page_limit(request, 10, MAX_LIST_WITH_HISTORY if history else MAX_LIST)
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
        projection = store.projection(query_words(request, "properties"))
        targets = [self._portal.at_path(name) for name in query_words(request, "associations")]
        records = []
        for number in numbers:
            inline = self._inline(store, number, targets) if targets else b""
            records.append(store.render(number, store.row(number), projection, inline))
        following = store.id_of(numbers[-1]) if more else None
        link = f"https://api.hubapi.com{request.path}?limit={limit}&after={following}"
        return page_answer(records, following, link=link, page_size=limit)

    def _inline(self, store: Store, number: int, targets: list[Store]) -> bytes:
        found = {}
        for target in targets:
            edges = self._portal.associations.edges(store.kind.name, target.kind.name, number)
            kind = f"{store.kind.singular}_to_{target.kind.singular}"
            if edges:
                results = [{"id": target.id_of(neighbour), "type": kind} for neighbour, _ in edges]
                found[target.kind.name] = {"results": results}
        return b',"associations":' + msgspec.json.encode(found) if found else b""

    def _search(self, request: Request, store: Store) -> Answer:
        body = request.json()
        counted = request.body
        if self._portal.settings.search_body_counts == "filters":
            counted = msgspec.json.encode([body.get("filterGroups"), body.get("sorts"), body.get("query")])
        if len(counted) > self._portal.settings.search_body_limit:
            raise SearchError(f"The request is longer than {self._portal.settings.search_body_limit} characters")
        if not self._portal.index_is_held:
            store.settle_index(time.monotonic())

        def neighbours(name: str, number: int) -> set[str]:
            target = self._portal.at_path(name)
            edges = self._portal.associations.edges(store.kind.name, target.kind.name, number)
            return {target.id_of(neighbour) for neighbour, _ in edges}

        settings = self._portal.settings
        search = Search(store, body, id_order=settings.id_order, pages=settings.search_pages, neighbours=neighbours)
        found = search.run()
        projection = store.projection(tuple(body.get("properties") or ()))
        rows: Callable[[int], Row] = store.indexed_row
        if settings.search_shows == "current":
            rows = store.row
        records = [store.render(number, rows(number), projection) for number in found.numbers]
        total = min(found.total, 10_000) if settings.search_total_cut else found.total
        return page_answer(records, found.next_after, total=total, page_size=search.limit)

    def _read(self, request: Request, store: Store, key: str) -> Answer:
        number = self._find(store, key, request.first("idProperty"), request.first("archived") == "true")
        if number is None:
            return error_answer(404, "OBJECT_NOT_FOUND", "resource not found")
        targets = [self._portal.at_path(name) for name in query_words(request, "associations")]
        projection = store.projection(query_words(request, "properties"))
        return Answer(200, store.render(number, store.row(number), projection, self._inline(store, number, targets)))

    def _find(self, store: Store, key: str, id_property: str, archived: bool) -> int | None:
        """The number of the record that a key stands for now."""
        if id_property and id_property != "hs_object_id":
            return store.having(id_property).get(key)
        number = store.number_of(key)
        if number is None:
            return None
        row = store.row(number)
        while row.merged_into is not None and self._portal.settings.merged_read == "survivor":
            number, row = row.merged_into, store.row(row.merged_into)
        return number if row.state == ("archived" if archived else "live") else None

    def _batch_read(self, request: Request, store: Store) -> Answer:
        body = request.json()
        inputs = batch_inputs(body, MAX_BATCH)
        archived = request.first("archived") == "true"
        id_property = str(body.get("idProperty") or "")
        projection: Projection = store.projection(tuple(body.get("properties") or ()))
        found: dict[int, None] = {}
        missing = []
        by_value = store.having(id_property) if id_property else None
        if id_property and not getattr(store.definitions.get(id_property), "unique", id_property == "email"):
            raise Refusal(400, "VALIDATION_ERROR", f"{id_property} is not a unique property")
        for item in inputs:
            key = str(item.get("id"))
            number = self._find(store, key, "", archived) if by_value is None else by_value.get(key)
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
        return batch_answer(records, errors, len(inputs))

    def _gdpr(self, request: Request, store: Store) -> Answer:
        body = request.json()
        number = self._find(store, str(body.get("objectId")), str(body.get("idProperty") or ""), archived=False)
        if store.kind.name != "contacts":
            return error_answer(405, "VALIDATION_ERROR", "only contacts can be deleted for good")
        if number is not None:
            self._portal.erase(store, number)
        return Answer(204)
