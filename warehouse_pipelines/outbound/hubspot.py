"""HubSpot as a partner: objects, their associations, and the properties and schemas that they need.

- A batch has 100 records at most, each once. A batch answered 207 was done in part: ``errors`` name the records that
  were refused, by id or by the trace id that each record of a create carries, which is the operation's id.
- Reading a batch by id or by a unique property shows what was just written; the search does not, and is not used.
- A record that we create has ``warehouse_operation_id``. Its key is a property with ``hasUniqueValue``, so the vendor
  itself refuses a second one.
- Associations are written after the properties (``hubspot_links``).

Unconfirmed, and harmless where it is otherwise: that ``updatedAt`` in the answer to a write is the record's until the
next change, that trace ids come back in errors, that the unique value of an archived record may be used again.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from warehouse_pipelines.errors import AnswerChanged, masked
from warehouse_pipelines.model.reading import ReadContext, ReadRequest, Window
from warehouse_pipelines.outbound.hubspot_links import HubSpotLinks, send_once
from warehouse_pipelines.outbound.hubspot_schema import Schema
from warehouse_pipelines.outbound.partner import Action, Record, Reply, Write
from warehouse_pipelines.outbound.target import BOOKKEEPING, Target
from warehouse_pipelines.outbound.values import link_value
from warehouse_pipelines.sources.hubspot.answers import Answer, Id
from warehouse_pipelines.sources.hubspot.client import OBJECTS
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

MOST = 100


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


class HubSpotPartner:
    """The records of one target in the portal of the settings."""

    most = MOST

    def __init__(self, target: Target, context: ReadContext) -> None:
        self._target = target
        self._plain = [field for field in target.fields if not field.link]
        entity = next(one for one in OBJECT_ENTITIES if target.object in (one.path, f"custom:{one.path}"))
        request = ReadRequest(entity=entity, window=Window(None, datetime.now(UTC)))
        self._reader = HubSpotReader(request, context)
        self.client = self._reader.client
        self._schema = Schema(target, self._reader)
        self._links = HubSpotLinks(target, self._reader, self._schema)

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
        answer = self.client.post(f"{self._path}/batch/read", _Batch, body=body)
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
        links = self._links.read([one.id for one in shown])
        return [
            Record(
                one.id,
                {
                    **{field.name: one.properties.get(field.name) or None for field in self._plain},
                    **{name: link_value({*found.get(one.id, ())}) for name, found in links.items()},
                },
                one.updated_at,
                one.properties.get(BOOKKEEPING),
                {name: self._links.shared(name, found.get(one.id, {})) for name, found in links.items()},
            )
            for one in shown
        ]

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

    def associated_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return with how many records of each object these are associated, beside our own associations."""
        return self._links.of_others(ids)

    def unreadable(self, id_: str) -> str | None:
        """Return None: what was not found is not there."""
        return None

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Write a batch once; an association is written after the properties of all."""
        if action == "archive":
            self._send("archive", [{"id": one.object_id} for one in writes])
            return Reply()
        if action == "create":
            inputs = [self._creation(one) for one in writes]
            return self._reply(writes, self._send("create", inputs))
        inputs = [
            {"id": one.object_id, "properties": properties} for one in writes if (properties := self._properties(one))
        ]
        reply = Reply()
        if inputs:
            reply = self._reply(writes, self._send("update", inputs))
        left = self._links.write([one for one in writes if one.operation not in reply.refused])
        return Reply({**reply.refused, **left}, reply.updated_at)

    def _send(self, action: Action, inputs: Sequence[Mapping[str, Any]]) -> _Batch:
        return send_once(self.client, f"{self._path}/batch/{action}", {"inputs": inputs}, _Batch)

    def _properties(self, write: Write) -> dict[str, str]:
        plain = {field.name for field in self._plain}
        return {name: value or "" for name, value in write.values.items() if name in plain}

    def _creation(self, write: Write) -> dict[str, Any]:
        properties = {**self._properties(write), BOOKKEEPING: write.operation}
        return {
            "properties": properties,
            "associations": self._links.creation(write),
            "objectWriteTraceId": write.operation,
        }

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
