"""How the simulated portal takes batches of records: created, updated, archived.

Written from HubSpot's reference of `batch/create`, `batch/update` and `batch/archive`: at most 100 inputs, each once;
an unknown property, a value that its type or a rule refuses, and a value that must be unique and is not refuse the
whole batch, with the first that is met. With `multi_status` a batch is done in part instead, and answered 207: errors
name the records by `context.ids`, those of a create by the `objectWriteTraceId` that each input may carry.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.simulators.hubspot.answers import Refusal, batch_answer, batch_inputs
from warehouse_pipelines.simulators.hubspot.portal import Portal
from warehouse_pipelines.simulators.hubspot.store import Store

MAX_BATCH = 100
UNWRITTEN = -1
"""Stands for a record of the same batch that is not written yet."""
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class BatchWrites:
    """Batches of one object type."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def answer(self, request: Request, store: Store) -> Answer:
        inputs = batch_inputs(request.json(), MAX_BATCH)
        ids = [str(item["id"]) for item in inputs if item.get("id") is not None]
        if len(ids) != len(set(ids)):
            raise Refusal(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        if request.path.endswith("archive"):
            for each in ids:
                self._portal.archive(store, each)
            return Answer(204)
        creating = request.path.endswith("create")
        good: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        taken = self._taken(store)
        for item in inputs:
            try:
                self._check(store, item, taken, creating=creating)
            except Refusal as refusal:
                if not self._portal.settings.multi_status:
                    raise
                said = msgspec.json.decode(refusal.answer.body)
                trace = item.get("objectWriteTraceId")
                named = {"objectWriteTraceId": [trace]} if creating and trace else {"ids": [str(item.get("id"))]}
                errors.append({"status": "error", "category": said["category"], "message": said["message"],
                               "context": named})  # fmt: skip
            else:
                good.append(item)
        results = [self._write(store, item, creating=creating) for item in good]
        answer = batch_answer(results, errors, len(results))
        answer.status = 207 if errors else 201 if creating else 200
        return answer

    def _taken(self, store: Store) -> dict[str, dict[str, int]]:
        return {name: store.having(name) for name, each in store.definitions.items() if each.unique}

    def _check(self, store: Store, item: dict[str, Any], taken: dict[str, dict[str, int]], *, creating: bool) -> None:
        """Raise the refusal of a record that cannot be written."""
        number = None if creating else self._portal.live_number(store, str(item.get("id")))
        for name, value in (item.get("properties") or {}).items():
            known = store.definitions.get(name)
            if known is None:
                raise Refusal(400, "VALIDATION_ERROR", f'Property "{name}" does not exist',
                              errors=[{"code": "PROPERTY_DOESNT_EXIST"}])  # fmt: skip
            text = "" if value is None else str(value)
            if text in self._portal.settings.refused_values:
                raise Refusal(400, "VALIDATION_ERROR", f'"{name}" breaks a validation rule of this account')
            if text and known.type == "number" and known.custom and not NUMBER.fullmatch(text):
                raise Refusal(400, "VALIDATION_ERROR", f"{text} was not a valid number",
                              errors=[{"code": "INVALID_INTEGER"}])  # fmt: skip
            if text and known.type == "bool" and text not in ("true", "false"):
                raise Refusal(400, "VALIDATION_ERROR", f"{text} was not one of the allowed options: [true, false]")
            if text and name in taken:
                other = taken[name].get(text)
                if other is not None and other != number:
                    raise Refusal(409, "CONFLICT", f"{store.kind.singular} already exists. {name} has the value {text}")
                taken[name][text] = UNWRITTEN if number is None else number

    def _write(self, store: Store, item: dict[str, Any], *, creating: bool) -> bytes:
        properties = {name: self._kept(store, name, value) for name, value in (item.get("properties") or {}).items()}
        if creating:
            number = self._portal.create(store, properties)
            for link in item.get("associations") or ():
                self._associate(store, number, link)
        else:
            number = self._portal.edit(store, item.get("id"), properties, bump=True)
        shown = store.render(number, store.row(number), store.projection((*store.kind.default_properties, *properties)))
        trace = item.get("objectWriteTraceId")
        return shown[:-1] + b',"objectWriteTraceId":' + msgspec.json.encode(trace) + b"}" if trace else shown

    def _kept(self, store: Store, name: str, value: Any) -> str | None:
        """The value as the portal keeps it; an empty text clears a property."""
        text = None if value is None else str(value)
        if not text:
            return None
        digits = re.sub(r"\D", "", text)
        is_phone = store.definitions[name].field_type == "phonenumber" and len(digits) in (10, 11)
        if is_phone and self._portal.settings.phones_as == "national":
            return f"({digits[-10:-7]}) {digits[-7:-4]}-{digits[-4:]}"
        return text

    def _associate(self, store: Store, number: int, link: dict[str, Any]) -> None:
        for each in link["types"]:
            for target in self._portal.stores.values():
                known = {
                    type_id for _, type_id, _ in self._portal.associations.types(store.kind.name, target.kind.name)
                }
                other = target.number_of(link["to"]["id"])
                if each["associationTypeId"] in known and other is not None and target.is_live(other):
                    self._portal.associations.join(
                        store.kind.name, number, target.kind.name, other, each["associationTypeId"]
                    )
