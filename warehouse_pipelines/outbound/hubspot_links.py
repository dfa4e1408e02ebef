"""The associations of the records that a target writes in HubSpot: read, and written after the properties.

An association is of the type that the portal has for the two objects, without a label if there is one. Two records that
only have another label between them are not associated as we do it, and get ours beside theirs.
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


class _Associated(msgspec.Struct):
    """The answer to a batch of associations: what was done is read back."""


class HubSpotLinks:
    """The associations of one target's records."""

    def __init__(self, target: Target, reader: HubSpotReader, schema: Schema) -> None:
        self._target, self._reader, self._schema = target, reader, schema
        self._client = reader.client

    def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, set[str]]]:
        """Return with which records these are associated, by the field and their id."""
        return {field.name: self._read(field, ids) for field in self._target.links}

    def creation(self, write: Write) -> list[dict[str, Any]]:
        """Return the associations that a record is created with."""
        return [
            {"to": {"id": one}, "types": [self._type(field)]}
            for field in self._target.links
            for one in sorted(linked(write.values.get(field.name)))
        ]

    def write(self, writes: Sequence[Write]) -> None:
        """Give records that are there the associations of their values."""
        for field in self._target.links:
            self._write(field, [one for one in writes if field.name in one.values])

    def _path(self, field: Field, what: str) -> str:
        ends = [self._reader.type_of(one) for one in (self._target.object, field.link)]
        return f"{ASSOCIATIONS}/{'/'.join(ends)}/{what}"

    def _read(self, field: Field, ids: Sequence[str]) -> dict[str, set[str]]:
        """Return with which records these are associated."""
        ours = self._ours(field)
        return self._pairs(self._path(field, "batch/read"), ids, lambda types: ours in types)

    def _ours(self, field: Field) -> Type | None:
        found = self._schema.association_type(field)
        return (found.type_id, found.category) if found else None

    def _pairs(self, path: str, ids: Sequence[str], counts: Callable[[set[Type]], bool]) -> dict[str, set[str]]:
        """Return the records that a path associates these with, by id, as far as the types of the pair count."""
        found: dict[str, set[str]] = defaultdict(set)
        more: list[dict[str, str]] = [{"id": one} for one in ids]
        while more:
            answer = self._client.post(path, PairsBatch, body={"inputs": more})
            self._reader.check(path, answer.errors)
            more = []
            for pair in answer.results:
                found[pair.from_.id] |= {
                    str(target.to_object_id)
                    for target in pair.to
                    if counts({(one.type_id, one.category) for one in target.association_types})
                }
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

    def _write(self, field: Field, writes: Sequence[Write]) -> None:
        """Add and take away associations, so that each record has those of its value.

        Take away only from records that are shown to have what was added: else a lost addition would leave neither.
        """
        pairs: dict[str, list[tuple[str, str]]] = {"create": [], "archive": []}
        for one in writes:
            new, old = linked(one.values[field.name]), linked(one.before.get(field.name))
            pairs["create"] += [(one.object_id or "", other) for other in sorted(new - old)]
            pairs["archive"] += [(one.object_id or "", other) for other in sorted(old - new)]
        if pairs["create"]:
            inputs = [
                {"from": {"id": one}, "to": {"id": other}, "types": [self._type(field)]}
                for one, other in pairs["create"]
            ]
            send_once(self._client, self._path(field, "batch/create"), {"inputs": inputs}, _Associated)
        if pairs["create"] and pairs["archive"]:
            has = self._read(field, list(dict.fromkeys(one for one, _ in pairs["archive"])))
            lack = {one for one, other in pairs["create"] if other not in has.get(one, set())}
            pairs["archive"] = [(one, other) for one, other in pairs["archive"] if one not in lack]
        if pairs["archive"]:
            ends: dict[str, list[dict[str, str]]] = defaultdict(list)
            for here, there in pairs["archive"]:
                ends[here].append({"id": there})
            inputs = [{"from": {"id": here}, "to": others} for here, others in ends.items()]
            send_once(self._client, self._path(field, "batch/archive"), {"inputs": inputs}, _Associated)


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
