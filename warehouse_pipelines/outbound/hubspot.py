"""HubSpot as a partner: objects, their associations, and the properties and schemas that they need.

- A batch has 100 records at most, each once. A batch answered 207 was done in part: ``errors`` name the records that
  were refused, by id or by the trace id that each record of a create carries, which is the operation's id.
- Reading a batch by id or by a unique property shows what was just written; the search does not, and is not used.
- A record that we create has ``warehouse_operation_id``. Its key is a property with ``hasUniqueValue``, so the vendor
  itself refuses a second one.
- Associations are written after the properties, by the type that the portal has for the two objects without a label.

Unconfirmed, and harmless where it is otherwise: that ``updatedAt`` in the answer to a write is the record's until the
next change, that trace ids come back in errors, that the unique value of an archived record may be used again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from warehouse_pipelines.errors import ActionNeeded, AnswerChanged, OutcomeUnknown, masked
from warehouse_pipelines.model.reading import ReadContext, ReadRequest, Window
from warehouse_pipelines.outbound.hubspot_schema import Schema
from warehouse_pipelines.outbound.partner import Action, Record, Reply, Write
from warehouse_pipelines.outbound.target import BOOKKEEPING, Field, Target
from warehouse_pipelines.outbound.values import link_value, linked
from warehouse_pipelines.sources.hubspot.answers import Answer, Id, PairsBatch
from warehouse_pipelines.sources.hubspot.client import ASSOCIATIONS, OBJECTS
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

MOST = 100
T = TypeVar("T")


class _Shown(Id, rename="camel"):
    properties: dict[str, str | None] = msgspec.field(default_factory=dict)
    updated_at: str | None = None
    trace: str | None = msgspec.field(name="objectWriteTraceId", default=None)


class _Problem(msgspec.Struct, rename="camel"):
    message: str = ""
    category: str | None = None
    sub_category: Any = None
    context: dict[str, Any] = {}


class _Batch(msgspec.Struct):
    results: list[_Shown] = []
    errors: list[_Problem] = []


class _Associated(msgspec.Struct):
    """The answer to a batch of associations: what was done is read back."""


class HubSpotPartner:
    """The records of one target in the portal of the settings."""

    most = MOST

    def __init__(self, target: Target, context: ReadContext) -> None:
        self._target = target
        self._plain = [field for field in target.fields if not field.link]
        entity = next(one for one in OBJECT_ENTITIES if target.object in (one.path, f"custom:{one.path}"))
        request = ReadRequest(entity=entity, window=Window(None, datetime.now(UTC)))
        self._reader = HubSpotReader(request, context)
        self._client = self._reader.client
        self._schema = Schema(target, self._reader)

    @cached_property
    def _path(self) -> str:
        return f"{OBJECTS}/{self._reader.type_of(self._target.object)}"

    @cached_property
    def _names(self) -> list[str]:
        return [*(field.name for field in self._plain), *([BOOKKEEPING] if self._target.key else [])]

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the living records of these ids; one that answers with another id was merged, and is not there."""
        shown = self._shown([{"id": one} for one in ids], self._names)
        return {one.id: one for one in self._records([each for each in shown if each.id in set(ids)])}

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the living records that have these values of the key."""
        key = self._target.key
        shown = self._shown([{"id": one} for one in keys], self._names, id_property=key)
        return {value: one for one in self._records(shown) if (value := one.values.get(key))}

    def _shown(self, inputs: Sequence[Mapping[str, str]], names: Sequence[str], id_property: str = "") -> list[_Shown]:
        if not inputs:
            return []
        body: dict[str, Any] = {"inputs": list(inputs), "properties": list(names)}
        if id_property:
            body["idProperty"] = id_property
        answer = self._client.post(f"{self._path}/batch/read", _Batch, body=body)
        for problem in answer.errors:
            if problem.category != "OBJECT_NOT_FOUND":
                raise AnswerChanged(
                    f"HubSpot answered {self._path}/batch/read in part: {problem.category} {masked(problem.message)}"
                )
        return answer.results

    def everything(self) -> Iterator[Record]:
        """Yield all living records."""
        for page in self._reader.pages(
            self._path, Answer[_Shown], {"limit": str(MOST), "properties": ",".join(self._names)}, archived=False
        ):
            yield from self._records(page)

    def _records(self, shown: Sequence[_Shown]) -> list[Record]:
        links = {field.name: self._linked(field, [one.id for one in shown]) for field in self._target.links}
        return [
            Record(
                one.id,
                {
                    **{field.name: one.properties.get(field.name) or None for field in self._plain},
                    **{name: link_value(found.get(one.id, set())) for name, found in links.items()},
                },
                one.updated_at,
                one.properties.get(BOOKKEEPING),
            )
            for one in shown
        ]

    def _between(self, field: Field, what: str) -> str:
        ends = [self._reader.type_of(one) for one in (self._target.object, field.link)]
        return f"{ASSOCIATIONS}/{'/'.join(ends)}/{what}"

    def _linked(self, field: Field, ids: Sequence[str]) -> dict[str, set[str]]:
        """Return with which records these are associated."""
        found: dict[str, set[str]] = defaultdict(set)
        more: list[dict[str, str]] = [{"id": one} for one in ids]
        path = self._between(field, "batch/read")
        while more:
            answer = self._client.post(path, PairsBatch, body={"inputs": more})
            self._reader.check(path, answer.errors)
            more = []
            for pair in answer.results:
                found[pair.from_.id] |= {str(target.to_object_id) for target in pair.to}
                if pair.paging and pair.paging.next:
                    more.append({"id": pair.from_.id, "after": str(pair.paging.next.after)})
        return found

    def linked_ids(self, link: str) -> Mapping[str, str]:
        """Return the ids of the records that a link leads to, by their key."""
        field = self._target.by_name[link]
        path = f"{OBJECTS}/{self._reader.type_of(field.link)}"
        params = {"limit": str(MOST), "properties": field.link_key}
        pages = self._reader.pages(path, Answer[_Shown], params, archived=False)
        found = ((one.properties.get(field.link_key), one.id) for page in pages for one in page)
        return {key: id_ for key, id_ in found if key}

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return which properties beside ours and the vendor's own (``hs_``) have a value."""
        own = {*self._names, "createdate", "lastmodifieddate"}
        names = [name for name in self._reader.properties if name not in own and not name.startswith("hs_")]
        shown = self._shown([{"id": one} for one in ids], names)
        return {
            one.id: sorted(name for name, value in one.properties.items() if value and name in names) for one in shown
        }

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Write a batch once; an association is written after the properties of all."""
        if action == "archive":
            self._once(f"{self._path}/batch/archive", {"inputs": [{"id": one.object_id} for one in writes]}, _Batch)
            return Reply()
        if action == "create":
            inputs = [self._creation(one) for one in writes]
            return self._reply(writes, self._once(f"{self._path}/batch/create", {"inputs": inputs}, _Batch))
        inputs = [
            {"id": one.object_id, "properties": properties} for one in writes if (properties := self._properties(one))
        ]
        reply = Reply()
        if inputs:
            reply = self._reply(writes, self._once(f"{self._path}/batch/update", {"inputs": inputs}, _Batch))
        done = [one for one in writes if one.operation not in reply.refused]
        for field in self._target.links:
            self._associate(field, [one for one in done if field.name in one.values])
        return reply

    def _properties(self, write: Write) -> dict[str, str]:
        plain = {field.name for field in self._plain}
        return {name: value or "" for name, value in write.values.items() if name in plain}

    def _creation(self, write: Write) -> dict[str, Any]:
        links = [
            {"to": {"id": one}, "types": [self._type(field)]}
            for field in self._target.links
            for one in sorted(linked(write.values.get(field.name)))
        ]
        properties = {**self._properties(write), BOOKKEEPING: write.operation}
        return {"properties": properties, "associations": links, "objectWriteTraceId": write.operation}

    def _type(self, field: Field) -> dict[str, Any]:
        found = self._schema.association_type(field)
        if found is None:
            raise ActionNeeded(f"HubSpot: there is no association from {self._target.object} to {field.link}")
        return {"associationCategory": found.category, "associationTypeId": found.type_id}

    def _associate(self, field: Field, writes: Sequence[Write]) -> None:
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
            self._once(self._between(field, "batch/create"), {"inputs": inputs}, _Associated)
        if pairs["create"] and pairs["archive"]:
            has = self._linked(field, list(dict.fromkeys(one for one, _ in pairs["archive"])))
            lack = {one for one, other in pairs["create"] if other not in has.get(one, set())}
            pairs["archive"] = [(one, other) for one, other in pairs["archive"] if one not in lack]
        if pairs["archive"]:
            ends: dict[str, list[dict[str, str]]] = defaultdict(list)
            for here, there in pairs["archive"]:
                ends[here].append({"id": there})
            inputs = [{"from": {"id": here}, "to": others} for here, others in ends.items()]
            self._once(self._between(field, "batch/archive"), {"inputs": inputs}, _Associated)

    def _once(self, path: str, body: Any, into: type[T]) -> T:
        """Send a write once. Raises ``OutcomeUnknown`` for an answer that cannot be read."""
        content = msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}

        def read(answer: bytes) -> T:
            return msgspec.json.decode(answer or b"{}", type=into)

        try:
            return self._client.send("POST", path, read, content=content, headers=headers, repeat=False)
        except AnswerChanged as changed:
            raise OutcomeUnknown(str(changed)) from changed

    @staticmethod
    def _reply(writes: Sequence[Write], answer: _Batch) -> Reply:
        """Return what the answer says; an error that names no record refuses those that have no result."""
        by_id = {one.object_id: one.operation for one in writes if one.object_id}
        operations = {one.operation for one in writes}
        refused: dict[str, str] = {}
        unnamed = ""
        for problem in answer.errors:
            said = masked(f"{problem.category or 'error'}: {problem.message}")
            named = _named(problem.context)
            mine = [by_id[one] for one in named if one in by_id] + [one for one in named if one in operations]
            refused |= dict.fromkeys(mine, said)
            unnamed = unnamed or ("" if mine else said)
        if unnamed:
            seen = {by_id.get(one.id) or one.trace or one.properties.get(BOOKKEEPING) for one in answer.results}
            refused |= dict.fromkeys(operations - seen - refused.keys(), unnamed)
        return Reply(refused, {one.id: one.updated_at for one in answer.results if one.updated_at})

    def lacking(self) -> list[str]:
        """Return what the portal lacks: the object, properties, association types."""
        return self._schema.lacking()

    def prepare(self) -> list[str]:
        """Make what is lacking; return what was made. Raises ``RequestRefused`` where the portal does not let us."""
        return self._schema.prepare()


def _named(context: Mapping[str, Any]) -> list[str]:
    """Return all texts of an error's context: ids of records, or trace ids."""
    found: list[str] = []
    for value in context.values():
        found += [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return found
