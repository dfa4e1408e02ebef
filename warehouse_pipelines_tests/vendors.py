"""The simulated vendors as a test sees them: what is true there, and how to change it, for every entity alike.

``Vendor`` is what the battery needs to know of a vendor; a new source needs one more of them and is named by a failing
test until it has it. What a simulator has no operation for (a tag that is no longer listed) is done to its lists.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from warehouse_pipelines.entity import Entity, Source
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.simulators.callrail import LISTINGS, CallRail
from warehouse_pipelines.simulators.hubspot import HubSpot
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import SOURCES

Key = tuple[str, ...]
BY_TABLE = {entity.table: (source, entity) for source in SOURCES for entity in source.entities}


class Vendor(Protocol):
    """What is true at a vendor, and how it changes. A method that returns None: the vendor offers no such thing."""

    def prepare(self, entity: Entity) -> None:
        """Have at least two records that changed of late, so that a delta finds them."""

    def keys(self, entity: Entity) -> set[Key]:
        """The keys of all living records."""

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        """Change a recent record; returns its key, the column and the new text."""

    def create(self, entity: Entity) -> Key | None:
        """Add a record."""

    def delete(self, entity: Entity) -> Key:
        """Take a recent record away in the way this vendor does."""

    def bring_back(self, entity: Entity, key: Key) -> None:
        """Undo ``delete``."""

    def empty(self, entity: Entity) -> None:
        """Have no record any more, and say so without an error."""

    def path(self, entity: Entity) -> str:
        """Part of the path of those requests, and of no other, that are answered with records."""

    def poison(self, entity: Entity, what: str) -> str | None:
        """Spoil one record of the next answer; returns the spoilt column. None: records are not the vendor's own."""

    def bounds(self, entity: Entity) -> list[datetime]:
        """The lower bounds that were asked for."""

    def fixed_size(self, entity: Entity) -> bool:
        """Whether requests ask by something else than records (pairs: by contacts), so that pages do not tell."""


class HubSpotVendor:
    """Objects, and the pairs between them."""

    def __init__(self, simulator: HubSpot) -> None:
        self.simulator = simulator

    def _name(self, entity: Entity) -> str:
        return entity.path.removeprefix("custom:").removesuffix("s") + "s"

    def _ends(self, entity: Entity) -> tuple[str, str]:
        one, _, other = entity.path.partition("/")
        return one, other

    def prepare(self, entity: Entity) -> None:
        if not entity.parent:
            for _ in range(2):
                self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        if not entity.parent:
            return {(key,) for key in self.simulator.ids(self._name(entity))}
        one, other = self._ends(entity)
        source, target = self.simulator.stores[one], self.simulator.stores[other]
        return {
            (source.id_of(number), target.id_of(neighbour), str(type_id))
            for number in source.live_after(-1)
            for neighbour, types in self.simulator.associations.edges(one, other, number)
            for _, type_id, _ in types
        }

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if entity.parent:
            return None
        name = self._name(entity)
        key = self.simulator.ids(name)[-1]
        known = self.simulator.stores[name].kind.properties
        column, path = next(
            (column, path.removeprefix("properties."))
            for column, (kind, path) in entity.columns.items()
            if kind == "text" and path.removeprefix("properties.") in known and not column.startswith("hs_")
        )
        self.simulator.edit(name, key, {path: "edited over there"})
        return (key,), column, "edited over there"

    def create(self, entity: Entity) -> Key | None:
        if not entity.parent:
            return (self.simulator.create(self._name(entity)),)
        one, other = self._ends(entity)
        have = {key[:2] for key in self.keys(entity)}
        ids = ((here, there) for here in self.simulator.ids(one) for there in self.simulator.ids(other))
        here, there = next(pair for pair in ids if pair not in have)
        self.simulator.associate(one, here, other, there)
        return next(key for key in self.keys(entity) if key[:2] == (here, there))

    def delete(self, entity: Entity) -> Key:
        if not entity.parent:
            key = self.simulator.ids(self._name(entity))[-1]
            self.simulator.archive(self._name(entity), key)
            return (key,)
        before = self.keys(entity)
        key = min(key for key in before if sum(other[:2] == key[:2] for other in before) == 1)
        one, other = self._ends(entity)
        self.simulator.dissociate(one, key[0], other, key[1])
        return key

    def bring_back(self, entity: Entity, key: Key) -> None:
        if entity.parent:
            one, other = self._ends(entity)
            self.simulator.associate(one, key[0], other, key[1])
        else:
            self.simulator.restore(self._name(entity), key[0])

    def empty(self, entity: Entity) -> None:
        if entity.parent:
            one, other = self._ends(entity)
            for here, there in self.simulator.pairs(one, other):
                self.simulator.dissociate(one, here, other, there)
        else:
            for key in self.simulator.ids(self._name(entity)):
                self.simulator.expire(self._name(entity), key)

    def path(self, entity: Entity) -> str:
        return "/associations/" if entity.parent else "/objects/"

    def poison(self, entity: Entity, what: str) -> str | None:
        if entity.parent:
            return None
        assert entity.cursor
        path = entity.columns[entity.cursor].path.removeprefix("properties.")
        # A read of everything begins with the ids of the archived list.
        self.simulator.set_fault("malformed", path=self.path(entity), after=1, times=1, what=what, property=path)
        return entity.cursor

    def bounds(self, entity: Entity) -> list[datetime]:
        found = []
        for entry in self.simulator.requests()["log"]:
            if entry["path"].endswith("/search"):
                filters = entry["body"]["filterGroups"][0]["filters"]
                lower = next(int(one["value"]) for one in filters if one["operator"] == "GTE")
                found.append(datetime.fromtimestamp(lower / 1000, UTC))
            elif (
                entry["path"].count("/") == 4
                and entry["query"].get("archived") == ["false"]
                and "limit" in entry["query"]
            ):
                found.append(datetime.min.replace(tzinfo=UTC))
        return found

    def fixed_size(self, entity: Entity) -> bool:
        return entity.parent is not None


class CallRailVendor:
    """Lists that stand still, and shelves by date."""

    def __init__(self, simulator: CallRail) -> None:
        self.simulator = simulator

    def _name(self, entity: Entity) -> str:
        return entity.path.removesuffix(".json")

    def _rows(self, entity: Entity) -> list[dict[str, Any]]:
        return self.simulator._fixed[self._name(entity)]

    def prepare(self, entity: Entity) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=3)
        elif self._name(entity) in LISTINGS:
            for _ in range(2):
                self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(key,) for key in self.simulator.ids("accounts" if entity.name == "accounts" else self._name(entity))}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if entity.name == "accounts":
            return None
        key = self.simulator.ids(self._name(entity))[-1]
        new = "edited over there"
        match entity.name:
            case "calls":
                self.simulator.edit_call(key, note=new)
                return (key,), "note", new
            case "form_submissions":
                self.simulator.edit_form(key, note=new)
                return (key,), "note", new
            case "text_messages":
                shelf = self.simulator._shelves["text-messages"]
                number = shelf.find(key)
                assert number is not None
                shelf.changes.setdefault(number, {}).update(lead_status=new)
                return (key,), "lead_status", new
            case _:
                self._rows(entity)[-1].update(name=new)
                return (key,), "name", new

    def create(self, entity: Entity) -> Key | None:
        match entity.name:
            case "accounts":
                before = self.keys(entity)
                self.simulator.configure(accounts=len(before) + 1)
                return (self.keys(entity) - before).pop()
            case "calls":
                return (self.simulator.add_call(),)
            case "form_submissions":
                return (self.simulator.add_form(),)
            case "text_messages":
                minute = datetime.now(UTC) - timedelta(minutes=1)
                return (self.simulator.add_conversation(at=minute.isoformat(timespec="milliseconds")),)
            case _:
                row = dict(self._rows(entity)[-1])
                row["id"] = row["id"] + 1 if isinstance(row["id"], int) else f"{row['id'][:-4]}beef"
                self._rows(entity).append(row)
                return (str(row["id"]),)

    def delete(self, entity: Entity) -> Key:
        if entity.name == "accounts":
            before = self.keys(entity)
            self.simulator.configure(accounts=len(before) - 1)
            return (before - self.keys(entity)).pop()
        key = self.simulator.ids(self._name(entity))[-1]
        if self._name(entity) in LISTINGS:
            shelf = self.simulator._shelves[self._name(entity)]
            number = shelf.find(key)
            assert number is not None
            shelf.remove(number)
            self._gone: Any = number
        else:
            self._gone = self._rows(entity).pop()
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=len(self.keys(entity)) + 1)
        elif self._name(entity) in LISTINGS:
            shelf = self.simulator._shelves[self._name(entity)]
            shelf.gone.remove(self._gone)
            shelf.timeline.place(self._gone, shelf.time_of(self._gone))
        else:
            self._rows(entity).append(self._gone)

    def empty(self, entity: Entity) -> None:
        if entity.name == "accounts":
            self.simulator.configure(accounts=0)
        elif self._name(entity) in LISTINGS:
            while self.keys(entity):
                self.delete(entity)
        else:
            self._rows(entity).clear()

    def path(self, entity: Entity) -> str:
        return f"/{entity.path}"

    def poison(self, entity: Entity, what: str) -> str | None:
        column = entity.cursor or "created_at"
        path = entity.columns[column].path
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property=path)
        return column

    def bounds(self, entity: Entity) -> list[datetime]:
        return [
            datetime.fromisoformat(entry["query"]["start_date"][0])
            for entry in self.simulator.requests()["log"]
            if "start_date" in entry["query"]
        ]

    def fixed_size(self, entity: Entity) -> bool:
        return False


def vendor_of(source: Source, simulators: Simulators) -> Vendor:
    """Return what a test knows of the vendor."""
    match source.name:
        case "hubspot":
            return HubSpotVendor(simulators.hubspot)
        case "callrail":
            return CallRailVendor(simulators.callrail)
        case _:
            return pytest.fail(f"{source.title} has no Vendor in vendors.py, so the battery cannot test it")


class World:
    """One entity, its vendor, and a warehouse: what most tests need."""

    def __init__(self, source: Source, entity: Entity, simulators: Simulators, url: str) -> None:
        self.source, self.entity, self.simulators, self.url = source, entity, simulators, url
        self.vendor = vendor_of(source, simulators)

    @property
    def simulator(self) -> HubSpot | CallRail:
        return self.simulators._vendors[self.source.name]  # type: ignore[return-value]

    def sync(
        self, *, source: Source | None = None, entity: Entity | None = None, progress: Any = None, **flags: Any
    ) -> Result:
        """Run one sync with these flags; ``backfill`` and ``run_id`` are passed on."""
        more = {name: flags.pop(name) for name in ("backfill", "run_id") if name in flags}
        if progress:
            more["progress"] = progress
        return sync(source or self.source, entity or self.entity, Options(**flags), url=self.url, **more)

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(statement, values).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement, values)

    def rows(self, entity: Entity | None = None) -> dict[Key, dict[str, Any]]:
        """Every row by its key, with the transaction that wrote it (``xmin``)."""
        return rows(self.url, entity or self.entity)

    def living(self) -> set[Key]:
        return {key for key, row in self.rows().items() if not row["archived"]}

    def history(self) -> list[dict[str, Any]]:
        """The history rows of the entity, oldest first."""
        return history(self.url, self.source, self.entity)

    def letters(self, status: str = "pending") -> list[dict[str, Any]]:
        return self.query("SELECT * FROM orchestration.dead_letter WHERE status = %s ORDER BY id", status)

    def with_entity(self, **changes: Any) -> tuple[Source, Entity]:
        """Return the source with this entity declared otherwise."""
        changed = replace(self.entity, **changes)
        entities = tuple(changed if one is self.entity else one for one in self.source.entities)
        return replace(self.source, entities=entities), changed


def rows(url: str, entity: Entity) -> dict[Key, dict[str, Any]]:
    """Return every row of a table by its key, with the transaction that wrote it."""
    statement = sql.SQL("SELECT *, xmin::text FROM {}").format(sql.Identifier(entity.schema, entity.table_name))
    with psycopg.connect(url, row_factory=dict_row, options="-c TimeZone=UTC") as connection:
        found = connection.execute(statement).fetchall()
    return {tuple(str(row[key]) for key in entity.keys): row for row in found}


def history(url: str, source: Source, entity: Entity) -> list[dict[str, Any]]:
    """Return the history rows of an entity, oldest first."""
    with psycopg.connect(url, row_factory=dict_row, options="-c TimeZone=UTC") as connection:
        return connection.execute(
            "SELECT * FROM orchestration.sync_history WHERE crm_source = %s AND sync_type = %s ORDER BY id",
            [source.name, entity.name],
        ).fetchall()


@contextmanager
def world(table: str, url: str, patch: pytest.MonkeyPatch, *, contacts: int = 60, **settings: Any) -> Iterator[World]:
    """Serve the vendor of ``table`` and yield its world; ``settings`` are the simulator's."""
    source, entity = BY_TABLE[table]
    with start((source.name,), contacts=contacts, **{source.name: settings}) as simulators:
        for name, value in simulators.environment().items():
            patch.setenv(name, value)
        patch.setenv("WAREHOUSE_RETRY_SECONDS", "0.01")
        yield World(source, entity, simulators, url)
