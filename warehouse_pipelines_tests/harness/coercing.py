"""Records of a key and one column ``x``, as the loader makes columns of them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.entity import Column, Entity


def entity_of(kind: str, severity: str | None = None, **more: Any) -> Entity:
    """Return an entity of a key and one column ``x`` of a kind."""
    return Entity(
        name="things",
        table="store_thing",
        about="Things.",
        path="things",
        key="id",
        columns={"id": Column("id", "id"), "x": Column(kind, "x"), **more.pop("columns", {})},  # type: ignore[arg-type]
        severity={"x": severity} if severity else {},  # type: ignore[dict-item]
        **more,
    )


def coerced(entity: Entity, values: Sequence[str], **more: Any) -> tuple[pa.Table, Coercer]:
    """Return what is made of records whose ``x`` are these pieces of JSON; their ids count from 0."""
    coercer = Coercer("store", entity, **more)
    return coercer.table([f'{{"id":"{n}","x":{value}}}'.encode() for n, value in enumerate(values)]), coercer


def one(kind: str, value: str, **more: Any) -> Any:
    """Return what is made of one value; fails when its record is rejected."""
    table, coercer = coerced(entity_of(kind), [value], **more)
    assert coercer.rejects == []
    return table["x"][0].as_py()
