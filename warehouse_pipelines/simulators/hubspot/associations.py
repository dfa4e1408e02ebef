"""Who belongs to whom in the simulated portal: a formula over numbers, and the pairs that were added or taken away.

An edge is shown only while both its ends live, so archiving and merging need not touch the pairs. The functions below
`Associations` answer what is asked for pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.hubspot.answers import (
    batch_answer,
    batch_inputs,
    error_answer,
    page_answer,
    page_limit,
)
from warehouse_pipelines.simulators.hubspot.formulas import contact_of_deal
from warehouse_pipelines.simulators.hubspot.objects import ObjectType
from warehouse_pipelines.simulators.hubspot.store import Store

MAX_ASSOCIATIONS = 1000
MAX_CREATED, MAX_ARCHIVED = 2000, 100

Type = tuple[str, int, str | None]  # category, typeId, label
Kind = tuple[str, int]
Edge = tuple[int, tuple[Type, ...]]

HUBSPOT_TYPES = {
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("deals", "line_items"): 19,
    ("line_items", "deals"): 20,
    ("contacts", "appointments"): 907,
    ("appointments", "contacts"): 906,
    ("appointments", "companies"): 908,
    ("companies", "appointments"): 909,
    ("appointments", "deals"): 944,
    ("deals", "appointments"): 945,
}
PRIMARY = {
    ("contacts", "companies"): 1,
    ("companies", "contacts"): 2,
    ("deals", "companies"): 5,
    ("companies", "deals"): 6,
}
USER_TYPES = {
    ("contacts", "divisions"): 61,
    ("divisions", "contacts"): 62,
    ("geniususers", "divisions"): 63,
    ("divisions", "geniususers"): 64,
    ("zipcodes", "divisions"): 65,
    ("divisions", "zipcodes"): 66,
    ("custom_appointments", "contacts"): 71,
    ("contacts", "custom_appointments"): 72,
    ("custom_appointments", "deals"): 73,
    ("deals", "custom_appointments"): 74,
}


class Associations:
    def __init__(self, stores: dict[str, Store]) -> None:
        self._stores = stores
        self._made: dict[tuple[str, str], list[Type]] = defaultdict(list)
        self._changed: dict[tuple[str, str], dict[int, dict[int, tuple[Type, ...] | None]]] = defaultdict(dict)
        divisions = stores["divisions"].count
        companies = stores["companies"].count
        deals = stores["deals"].count
        appointments = {name: stores[name].count for name in ("appointments", "custom_appointments") if name in stores}

        def companies_of_contact(contact: int) -> list[int]:
            first = contact // 10
            if contact % 10 == 7 or first >= companies:
                return []
            second = (first + 1) % companies
            return [first, second] if contact % 10 == 3 and second != first else [first]

        def contacts_of_company(company: int) -> list[int]:
            previous = (company - 1) % companies
            near = [10 * company + k for k in range(10)] + [10 * previous + 3]
            return sorted({contact for contact in near if company in companies_of_contact(contact)})

        def deals_of_contact(contact: int) -> list[int]:
            near = range(contact // 3, contact // 3 + 3)
            return [deal for deal in near if deal < deals and contact_of_deal(deal) == contact]

        def deals_of_company(company: int) -> list[int]:
            return sorted(deal for contact in contacts_of_company(company) for deal in deals_of_contact(contact))

        formulas: dict[tuple[str, str], Callable[[int], list[int]]] = {
            ("contacts", "companies"): companies_of_contact,
            ("companies", "contacts"): contacts_of_company,
            ("contacts", "deals"): deals_of_contact,
            ("deals", "contacts"): lambda deal: [contact_of_deal(deal)],
            ("deals", "companies"): lambda deal: companies_of_contact(contact_of_deal(deal)),
            ("companies", "deals"): deals_of_company,
            ("deals", "line_items"): lambda deal: [2 * deal, 2 * deal + 1],
            ("line_items", "deals"): lambda item: [item // 2],
        }
        for name in ("contacts", "geniususers", "zipcodes"):
            formulas[name, "divisions"] = lambda number: [number % divisions]
            formulas["divisions", name] = lambda division, count=stores[name].count: (  # type: ignore[misc]
                list(range(division, count, divisions))
            )
        for name, count in appointments.items():

            def appointments_of_contact(contact: int, count: int = count) -> list[int]:
                return [contact // 2] if contact % 2 == 0 and contact // 2 < count else []

            def appointments_of_deal(
                deal: int, of_contact: Callable[[int], list[int]] = appointments_of_contact
            ) -> list[int]:
                return of_contact(contact_of_deal(deal))

            formulas[name, "contacts"] = lambda appointment: [2 * appointment]
            formulas["contacts", name] = appointments_of_contact
            formulas[name, "deals"] = lambda appointment: deals_of_contact(2 * appointment)
            formulas["deals", name] = appointments_of_deal
        self._formulas = formulas

    def types(self, source: str, target: str) -> list[Type]:
        source, target = (
            "custom_appointments" if name == "appointments" and self._stores[name].kind.custom else name
            for name in (source, target)
        )
        found: list[Type] = []
        if (source, target) in PRIMARY:
            found.append(("HUBSPOT_DEFINED", PRIMARY[source, target], "Primary"))
        if (source, target) in HUBSPOT_TYPES:
            found.append(("HUBSPOT_DEFINED", HUBSPOT_TYPES[source, target], None))
        elif (source, target) in USER_TYPES:
            found.append(("USER_DEFINED", USER_TYPES[source, target], None))
        return found + self._made.get((source, target), [])

    def make_type(self, source: str, target: str, label: str) -> list[Type]:
        """Give two objects a type of association of the customer's own, in both directions."""
        made: list[Type] = []
        for ends in ((source, target), (target, source)):
            number = 1 + sum(map(len, self._made.values()))
            made.append(("USER_DEFINED", number, label))
            self._made[ends].append(made[-1])
        return made

    def edges(self, source: str, target: str, number: int) -> list[Edge]:
        """The live neighbours of a record, by number."""
        if not self._stores[source].is_live(number):
            return []
        there = self._stores[target]
        kinds = self.types(source, target)
        unlabelled = tuple(kinds[-1:])
        found: dict[int, tuple[Type, ...]] = {}
        formula = self._formulas.get((source, target))
        if formula is not None and number < self._stores[source].count:
            for place, neighbour in enumerate(formula(number)):
                if neighbour < there.count:
                    found[neighbour] = tuple(kinds) if place == 0 else unlabelled
        for neighbour, types in self._changed[source, target].get(number, {}).items():
            if types is None:
                found.pop(neighbour, None)
            else:
                found[neighbour] = types
        return sorted((neighbour, types) for neighbour, types in found.items() if there.is_live(neighbour))

    def join(self, source: str, number: int, target: str, neighbour: int, type_id: int | None = None,
             category: str | None = None) -> None:  # fmt: skip
        """Give two records a type of association beside those that they have."""
        for here, there, one, other in ((source, target, number, neighbour), (target, source, neighbour, number)):
            kinds = self.types(here, there)
            chosen = tuple(kinds[-1:])
            if type_id is not None and here == source:
                alike = tuple(kind for kind in kinds if kind[1] == type_id and category in (None, kind[0]))
                chosen = alike[:1] or (("USER_DEFINED", type_id, None),)
                if chosen[0][2] == "Primary":
                    chosen += tuple(kinds[-1:])
            elif type_id is not None:
                place = [kind[1] for kind in self.types(there, here)].index(type_id)
                chosen = tuple(kinds[place : place + 1])
            has = dict(self.edges(here, there, one)).get(other, ())
            self._changed[here, there].setdefault(one, {})[other] = tuple(dict.fromkeys((*has, *chosen)))

    def part(self, source: str, number: int, target: str, neighbour: int) -> None:
        """Take all types of association from two records."""
        self._changed[source, target].setdefault(number, {})[neighbour] = None
        self._changed[target, source].setdefault(neighbour, {})[number] = None

    def unlabel(self, source: str, number: int, target: str, neighbour: int, kind: Kind) -> None:
        """Take one type of association from two records; with the one without a label all others go."""
        there = dict(self.edges(source, target, number)).get(neighbour, ())
        left = tuple(one for one in there if one[:2] != kind)
        if not left or any(one[:2] == kind and one[2] is None for one in there):
            self.part(source, number, target, neighbour)
            return
        self._changed[source, target].setdefault(number, {})[neighbour] = left
        inverse = dict(zip(self.types(source, target), self.types(target, source), strict=True))
        self._changed[target, source].setdefault(neighbour, {})[number] = tuple(inverse[one] for one in left)

    def inherit(self, name: str, absorbed: int, survivor: int) -> None:
        """A merge hands the edges of the absorbed record to the survivor. To be called while both live."""
        for target in self._stores:
            if self.types(name, target):
                have = {neighbour for neighbour, _ in self.edges(name, target, survivor)}
                for neighbour, _ in self.edges(name, target, absorbed):
                    if neighbour not in have:
                        self.join(name, survivor, target, neighbour)


def type_json(kind: Type) -> dict[str, Any]:
    return {"category": kind[0], "typeId": kind[1], "label": kind[2]}


def _target(target: Store, edge: Edge) -> dict[str, Any]:
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


def batch_associations(
    associations: Associations, request: Request, source: Store, target: Store, *, version: str, page: int
) -> Answer:
    """Answer which records belong to each of a batch; `page` is how many of one record are shown."""
    inputs = batch_inputs(request.json(), MAX_ASSOCIATIONS)
    names = source.kind.name, target.kind.name
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    word = f"{source.kind.singular}_to_{target.kind.singular}"
    for item in inputs:
        key = str(item.get("id"))
        number = source.number_of(key)
        edges = [] if number is None else associations.edges(*names, number)
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
    return batch_answer([msgspec.json.encode(entry) for entry in results], errors, len(inputs))


def write_associations(associations: Associations, request: Request, source: Store, target: Store) -> Answer:
    """Make or end associations of a batch. One that names a record that is not there refuses the batch."""
    ending, of_labels = request.path.endswith("archive"), request.path.endswith("labels/archive")
    ends: list[tuple[int, int, dict[str, Any]]] = []
    for item in batch_inputs(request.json(), MAX_ARCHIVED if ending else MAX_CREATED):
        there = item.get("to") or []
        for other in there if isinstance(there, list) else [there]:
            one, two = source.number_of(item["from"]["id"]), target.number_of(other["id"])
            if one is None or two is None or not (source.is_live(one) and target.is_live(two)):
                return error_answer(404, "OBJECT_NOT_FOUND", f"no {source.kind.singular} or {target.kind.singular}")
            ends.append((one, two, item))
    known = {kind[:2] for kind in associations.types(source.kind.name, target.kind.name)}
    if (of_labels or not ending) and any(_kind(each) not in known for *_, item in ends for each in item["types"]):
        return error_answer(400, "VALIDATION_ERROR", "One or more association types are not valid")
    results = []
    for one, two, item in ends:
        for each in item["types"] if of_labels else ():
            associations.unlabel(source.kind.name, one, target.kind.name, two, _kind(each))
        if of_labels:
            continue
        if ending:
            associations.part(source.kind.name, one, target.kind.name, two)
            continue
        for each in item["types"]:
            category, type_id = _kind(each)
            associations.join(source.kind.name, one, target.kind.name, two, type_id, category)
        results.append({"fromObjectId": source.id_of(one), "toObjectId": target.id_of(two), "labels": []})
    if ending:
        return Answer(204)
    answer = batch_answer([msgspec.json.encode(result) for result in results], [], len(results))
    answer.status = 201
    return answer


def _kind(asked: dict[str, Any]) -> Kind:
    return asked["associationCategory"], asked["associationTypeId"]


def associations_of_record(
    associations: Associations, request: Request, source: Store, key: str, target: Store
) -> Answer:
    limit = page_limit(request, 500, 500)
    number = source.number_of(key)
    if number is None or not source.is_live(number):
        return error_answer(404, "OBJECT_NOT_FOUND", "resource not found")
    edges = associations.edges(source.kind.name, target.kind.name, number)
    start = int(request.first("after") or 0)
    records = [msgspec.json.encode(_target(target, edge)) for edge in edges[start : start + limit]]
    following = str(start + limit) if start + limit < len(edges) else None
    return page_answer(records, following, page_size=limit)
