"""The associations of the records that a target writes in HubSpot: read, and written after the properties.

An association is of the type that the portal has for the two objects, without a label if there is one. Two records that
only have another label between them are not associated as we do it, and get ours beside theirs.

What is taken away is our type alone (``batch/labels/archive``). Where ours has no label HubSpot takes all labels of the
two away with it ("Deleting an unlabeled association will also delete all labeled associations between those two
objects", its reference of that endpoint), so an association that others labelled stays.

Unconfirmed: that a new type goes beside those that two records have, and that none stays where the last label goes.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from warehouse_pipelines.errors import ActionNeeded, AnswerChanged, OutcomeUnknown, PermissionMissing
from warehouse_pipelines.outbound.hubspot_schema import Schema
from warehouse_pipelines.outbound.partner import Write
from warehouse_pipelines.outbound.target import Field, Target
from warehouse_pipelines.outbound.values import linked
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources.hubspot.answers import PairsBatch
from warehouse_pipelines.sources.hubspot.client import ASSOCIATIONS
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

T = TypeVar("T")
Type = tuple[int, str | None]
Linked = Mapping[str, set[Type]]
"""With which records one is associated, each with all types of the pair."""

LABELLED = "others labelled the association, and their label would go with it: "


class _Associated(msgspec.Struct):
    """The answer to a batch of associations: what was done is read back."""


class HubSpotLinks:
    """The associations of one target's records."""

    def __init__(self, target: Target, reader: HubSpotReader, schema: Schema) -> None:
        self._target, self._reader, self._schema = target, reader, schema
        self._client = reader.client

    def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Linked]]:
        """Return with which records these are associated by our type, by the field and their id."""
        return {field.name: self._read(field, ids) for field in self._target.links}

    def shared(self, link: str, found: Linked) -> set[str]:
        """Return which records of a field are associated by labels of others too, that would go with our type."""
        ours = self._schema.association_type(self._target.by_name[link])
        if ours is None or ours.label:
            return set()
        return {other for other, types in found.items() if types - {(ours.type_id, ours.category)}}

    def creation(self, write: Write) -> list[dict[str, Any]]:
        """Return the associations that a record is created with."""
        return [
            {"to": {"id": one}, "types": [self._type(field)]}
            for field in self._target.links
            for one in sorted(linked(write.values.get(field.name)))
        ]

    def write(self, writes: Sequence[Write]) -> dict[str, str]:
        """Give records that are there the associations of their values; return why some stay, by operation."""
        left: dict[str, str] = {}
        for field in self._target.links:
            left |= self._write(field, [one for one in writes if field.name in one.values])
        return left

    def _path(self, field: Field, what: str) -> str:
        ends = [self._reader.type_of(one) for one in (self._target.object, field.link)]
        return f"{ASSOCIATIONS}/{'/'.join(ends)}/{what}"

    def _read(self, field: Field, ids: Sequence[str]) -> dict[str, dict[str, set[Type]]]:
        """Return with which records these are associated by our type."""
        ours = self._ours(field)
        return self._pairs(self._path(field, "batch/read"), ids, lambda types: ours in types)

    def _ours(self, field: Field) -> Type | None:
        found = self._schema.association_type(field)
        return (found.type_id, found.category) if found else None

    def _pairs(
        self, path: str, ids: Sequence[str], counts: Callable[[set[Type]], bool]
    ) -> dict[str, dict[str, set[Type]]]:
        """Return the records that a path associates these with, by id, as far as the types of the pair count."""
        found: dict[str, dict[str, set[Type]]] = defaultdict(dict)
        more: list[dict[str, str]] = [{"id": one} for one in ids]
        while more:
            answer = self._client.post(path, PairsBatch, body={"inputs": more})
            self._reader.check(path, answer.errors)
            more = []
            for pair in answer.results:
                for target in pair.to:
                    types = {(one.type_id, one.category) for one in target.association_types}
                    if counts(types):
                        found[pair.from_.id][str(target.to_object_id)] = types
                if pair.paging and pair.paging.next:
                    more.append({"id": pair.from_.id, "after": str(pair.paging.next.after)})
        return found

    def of_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return with how many records of each object these are associated, beside our own associations.

        Objects whose associations may not be read are named too: the record may be in use there.
        """
        found: dict[str, list[str]] = defaultdict(list)
        mine = self._reader.type_of(self._target.object)
        ours = {self._ours(field) for field in self._target.links}
        for other, name in self._schema.associated_objects().items() if ids else ():
            try:
                pairs = self._pairs(f"{ASSOCIATIONS}/{mine}/{other}/batch/read", ids, lambda types: bool(types - ours))
            except PermissionMissing:
                for one in ids:
                    found[one].append(f"associations with {name}, which the token may not read")
                continue
            for one, others in pairs.items():
                if others:
                    found[one].append(f"{len(others)} association{'s' if len(others) > 1 else ''} with {name}")
        return found

    def _type(self, field: Field) -> dict[str, Any]:
        found = self._schema.association_type(field)
        if found is None:
            raise ActionNeeded(f"HubSpot: there is no association from {self._target.object} to {field.link}")
        return {"associationCategory": found.category, "associationTypeId": found.type_id}

    def _write(self, field: Field, writes: Sequence[Write]) -> dict[str, str]:
        """Add and take away associations, so that each record has those of its value; return why some stay.

        Take away only from records that are shown to have what was added: else a lost addition would leave neither.
        """
        added: list[tuple[str, str]] = []
        dropped: list[tuple[Write, str]] = []
        for one in writes:
            new, old = linked(one.values[field.name]), linked(one.before.get(field.name))
            added += [(one.object_id or "", other) for other in sorted(new - old)]
            dropped += [(one, other) for other in sorted(old - new)]
        self._send(field, "batch/create", added)
        if not dropped:
            return {}
        has = self._read(field, list(dict.fromkeys(one.object_id or "" for one, _ in dropped)))
        lack = {one for one, other in added if other not in has.get(one, {})}
        left: dict[str, list[str]] = defaultdict(list)
        alone: list[tuple[str, str]] = []
        for one, other in dropped:
            record = one.object_id or ""
            if other in self.shared(field.name, has.get(record, {})):
                left[one.operation].append(other)
            elif record not in lack:
                alone.append((record, other))
        self._send(field, "batch/labels/archive", alone)
        return {operation: LABELLED + ", ".join(others) for operation, others in left.items()}

    def _send(self, field: Field, what: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Add or take away our type of association between these pairs."""
        inputs = [{"from": {"id": one}, "to": {"id": other}, "types": [self._type(field)]} for one, other in pairs]
        if inputs:
            send_once(self._client, self._path(field, what), {"inputs": inputs}, _Associated)


def send_once(client: Client, path: str, body: Any, into: type[T]) -> T:
    """Send a write once. Raises ``OutcomeUnknown`` for an answer that cannot be read."""
    content = msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}

    def read(answer: bytes) -> T:
        return msgspec.json.decode(answer or b"{}", type=into)

    try:
        return client.send("POST", path, read, content=content, headers=headers, repeat=False)
    except AnswerChanged as changed:
        raise OutcomeUnknown(str(changed)) from changed
