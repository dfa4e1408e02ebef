"""To which entities a test of the battery applies: the decorator ``only``, and what it may ask of an entity."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines_tests.harness.drivers.driver import driver_of
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE

Applies = Callable[[Source, Entity], bool]
Test = TypeVar("Test", bound=Callable[..., None])
_APPLIES: dict[str, Applies] = {}


def tables(test: str) -> list[str]:
    """The tables of the entities to which a test applies."""
    applies = _APPLIES.get(test)
    return [table for table, one in BY_TABLE.items() if applies is None or applies(*one)]


def only(applies: Applies) -> Callable[[Test], Test]:
    """Generate the cases of a test for those entities alone."""

    def marked(test: Test) -> Test:
        _APPLIES[test.__name__] = applies
        return test

    return marked


def has_cursor(source: Source, entity: Entity) -> bool:
    return entity.cursor is not None


def has_no_cursor(source: Source, entity: Entity) -> bool:
    return entity.cursor is None


def has_window(source: Source, entity: Entity) -> bool:
    """Whether what a window does not show counts as deleted."""
    return entity.deletes.by_window


def has_bad_values(source: Source, entity: Entity) -> bool:
    """Whether a value can be bad: of texts all can be read, and pairs are built by our own fetch."""
    return driver_of(source.name).bad_column(entity, "bad_date") is not None


def has_no_bad_values(source: Source, entity: Entity) -> bool:
    return not has_bad_values(source, entity)


def can_lose_ids(source: Source, entity: Entity) -> bool:
    """Whether a record may come without its key: a database never sends one."""
    return driver_of(source.name).bad_column(entity, "missing_id") is not None


def kind(entity: Entity) -> tuple[object, ...]:
    """How an entity is read: what differs beside that are names and columns."""
    return (
        bool(entity.cursor),
        entity.state_based,
        bool(entity.deletes.flag),
        entity.deletes.by_window,
        len(entity.keys),
    )


def first_of_each_kind(applies: Applies = lambda source, entity: True) -> Applies:
    """Of those of a source to which ``applies`` applies the first that is read and merged so.

    For what the loader does and no entity changes.
    """

    def first(source: Source, entity: Entity) -> bool:
        def alike(one: Entity) -> bool:
            return (kind(one), bool(one.version)) == (kind(entity), bool(entity.version))

        return next((one for one in source.entities if applies(source, one) and alike(one)), None) is entity

    return first


def first_of_each_merge(source: Source, entity: Entity) -> bool:
    """Whether it is the first of all vendors' entities that is merged so: for what neither fetch nor entity changes."""

    def how(source: Source, entity: Entity) -> tuple[object, ...]:
        return (kind(entity), bool(entity.version), source.mirrored)

    alike = (one for of, one in BY_TABLE.values() if how(of, one) == how(source, entity))
    return next(alike) is entity


def local_values(entity: Entity) -> dict[str, Any]:
    """Values that somebody may write by hand, by column: where neither a rule nor a key has a say."""
    ruled = {rule.column for rule in entity.rules}
    values: Any = {"text": "local", "integer": 4711, "timestamptz": datetime(2001, 1, 1, tzinfo=UTC)}
    values |= dict.fromkeys(("id", "email", "phone", "url"), "local") | {"uuid": uuid.UUID(int=4711)}
    return {
        name: values[kind]
        for name, (kind, _) in entity.columns.items()
        if name not in (*entity.keys, entity.version, *ruled) and kind in values
    }


def has_local_values(source: Source, entity: Entity) -> bool:
    return bool(local_values(entity))
