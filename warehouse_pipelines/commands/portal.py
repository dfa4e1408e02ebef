"""What the portal of a CRM has, entity by entity, asked as a sync would ask: ``warehouse check`` and ``discover``.

Each entity is asked for through its source's own code: by ``Source.inspect`` where the vendor lists what a record may
have, else by the first page of ``fetch``. So a scope, an object, a table or a header that a sync would fail for fails
here, for a request or few. Nothing is written, and no value is shown.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from warehouse_pipelines.errors import CredentialRefused, WarehouseError
from warehouse_pipelines.loading.record_paths import ANY, has_member
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json, Portal, ReadContext, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import redaction

FEW = 25
"""Records by which it is judged which columns have no place, where the vendor has no list of its own."""

CALLS = 10
"""Requests after which a vendor that shows no record is taken to have none."""


class Checked(NamedTuple):
    """A line for each entity of a CRM that there is something to say of, and how many would fail."""

    lines: list[str]
    failing: int


def check(source: Source) -> Checked:
    """Ask for every entity. Raises ``CredentialRefused`` at once, since it concerns all of them."""
    lines: list[str] = []
    failing = 0
    for declared in source.entities:
        entity = source.configured(declared)
        try:
            found = look(source, entity, 1)
        except CredentialRefused:
            raise
        except WarehouseError as error:
            failing += 1
            lines.append(f"{entity.name} would fail: {redaction.redacted(str(error))}")
            continue
        null = nowhere(entity, found)
        named = [f"{name} ({why})" if (why := found.reasons.get(name)) else name for name in null]
        if named and found.has is None:
            lines.append(f"{entity.name} would be null, not in the {_records(found.records)} seen: {', '.join(named)}")
        elif named:
            lines.append(f"{entity.name} would be null, the portal has no place for it: {', '.join(named)}")
        lines += [f"{entity.name}: {remark}" for remark in found.remarks]
    good = len(source.entities) - failing
    return Checked([f"{good} of {len(source.entities)} entities can be read", *lines], failing)


def look(source: Source, entity: Entity, records: int) -> Portal:
    """Return what the vendor has of an entity, with so many records, or ``FEW`` where only they tell."""
    if source.inspect and (found := source.inspect(_request(source, entity, records), ReadContext())):
        return found
    request = _request(source, entity, max(records, FEW))
    return Portal(records=list(first_records(source, request, ReadContext())))


def first_records(source: Source, request: ReadRequest, context: ReadContext) -> Iterator[Json]:
    """Yield the first records of a read of everything, as many as its limit says."""
    left = request.limit
    with contextlib.closing(source.fetch(request, context)) as pages:
        for page in pages:
            for record in page.records[:left]:
                yield bytes(record)
                left -= 1
            if not left or (left == request.limit and context.calls > CALLS):
                return


def nowhere(entity: Entity, found: Portal) -> list[str]:
    """Return the columns that would be null, because nothing of what was found is where they are read."""
    names = {*entity.local.added, *entity.local.mapped} if found.already_named else set(entity.columns)
    if found.has is not None:
        has = found.has
        return [
            name
            for name in entity.columns
            if name in names and not any(_listed(path, has) for path in entity.columns[name].members)
        ]
    records = [ANY.decode(record) for record in found.records]
    return [
        name
        for name, column in entity.columns.items()
        if name in names
        and records
        and not any(has_member(record, path.split(".")) for record in records for path in column.members)
    ]


def _listed(path: str, has: Any) -> bool:
    """Whether a list of what a record may have names a path, or what it is a part of."""
    parts = path.split(".")
    return any(".".join(parts[: length + 1]) in has for length in range(len(parts)))


def _records(records: Sequence[Json]) -> str:
    return f"{len(records)} record{'s' * (len(records) != 1)}"


def _request(source: Source, entity: Entity, records: int) -> ReadRequest:
    size = min(records, entity.page_size or source.page_size)
    until = datetime.now(UTC) + entity.cadence.lookahead
    return ReadRequest(entity=entity, window=Window(None, until), page_size=size, limit=records)
