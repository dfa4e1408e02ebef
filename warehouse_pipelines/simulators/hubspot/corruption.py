"""Faults of the payload, as they look in an answer of HubSpot: pages that repeat or never end, malformed records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.core.wire import Request
from warehouse_pipelines.simulators.hubspot.answers import json_or_empty
from warehouse_pipelines.simulators.hubspot.store import Store


def corrupt(fault: Fault, request: Request, body: dict[str, Any], list_key: str, stores: Mapping[str, Store]) -> None:
    """Apply a fault of the payload to a decoded answer, in place; `stores` are those of the object types by path."""
    records = body.get(list_key) or []
    following = body.get("paging", {}).get("next", {}).get("after")
    asked = request.first("after") or str(json_or_empty(request).get("after") or "")
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
                _corrupt_record(fault, records, place, stores)


def _corrupt_record(fault: Fault, records: list[Any], place: int, stores: Mapping[str, Store]) -> None:
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
