"""A vendor without a network, for tests of the core: its pages are a list, some of them functions to call."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic_settings import BaseSettings

from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Column, Entity, columns
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.rules import not_negative
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness.drivers.driver import Key
from warehouse_pipelines_tests.harness.source_harness import has_table, history, rows


class Settings(BaseSettings, env_prefix="FAKE_"):
    """None."""


THING = Entity(
    name="things",
    table="fake_thing",
    about="Things.",
    path="things",
    key="id",
    cursor="at",
    cadence=Cadence(overlap=timedelta(minutes=5), never_full="a test says when", backfill_since=date(2024, 1, 1)),
    deletes=Deletes(flag="removed", time="removed_at", merged_keys="absorbed"),
    custom="more",
    index="name",
    rules=(not_negative("amount"),),
    severity={"size": "reject"},
    columns={
        **columns(
            text="id name absorbed", integer="size", numeric="amount", timestamptz="at", phone="phone", jsonb="doc"
        ),
        "shade": Column("text", "more.shade"),
    },
)
PAIR = Entity(
    name="pairs",
    table="fake.pair",
    about="Pairs, by two keys and without a cursor.",
    path="pairs",
    key="one two",
    columns=columns(text="one label", integer="two"),
)
TICKET = Entity(
    name="tickets",
    table="fake.ticket",
    about="Tickets, by a UUID.",
    path="tickets",
    key="id",
    columns=columns(uuid="id owner_id", text="label city=address.city"),
)
LOG = replace(
    THING, name="entries", table="fake_entry", deletes=Deletes(by_window=True),
    cadence=replace(THING.cadence, lookback=timedelta(days=30)),
)  # fmt: skip
PEOPLE = replace(
    THING, name="people", table="fake_people", deletes=Deletes(), rules=(),
    columns=columns(text="id name note", timestamptz="at", phone="phone", email="email agent_email", integer="size"),
    custom=None, index="", severity={"size": "reject"},
)  # fmt: skip
"""With columns of a person."""
ENTITIES = (THING, PAIR, TICKET, LOG)

Record = Mapping[str, Any]
Shown = Sequence[Record | bytes] | Page | Callable[[], object]


class FakeSource:
    """A source whose pages and report a test lays out."""

    def __init__(self, url: str, entity: Entity = THING) -> None:
        self.url, self.entity = url, entity
        self.pages: Iterable[Shown] = []
        self.asked: list[ReadRequest] = []
        self.before: Callable[[ReadContext], object] = lambda context: None
        self.report = ReadReport()
        self.mirrored = False
        if not has_table(url, THING.table):  # a look by SQLAlchemy takes longer than most tests
            with engine(url).begin() as connection:
                connection.execute(sa.schema.CreateSchema("fake"))
                tables.metadata(ENTITIES).create_all(connection, checkfirst=False)

    def source(self, *entities: Entity) -> Source:
        return Source(
            name="fake",
            title="Fake",
            transport="file",
            settings=Settings,
            fetch=self.fetch,
            check=lambda: "fine",
            entities=entities or ENTITIES,
            mirrored=self.mirrored,
        )

    def fetch(self, request: ReadRequest, context: ReadContext) -> Pages:
        self.asked.append(request)
        self.before(context)
        for shown in self.pages:
            if isinstance(shown, Page):
                yield shown
            elif callable(shown):
                shown()
            else:
                yield page(*shown)
        return self.report

    def sync(self, *pages: Shown, entity: Entity | None = None, **flags: Any) -> Result:
        """Show these pages to one run."""
        more = {name: flags.pop(name) for name in ("purpose", "run_id", "progress") if name in flags}
        self.pages = pages
        return sync(self.source(), entity or self.entity, Options(**flags), url=self.url, **more)

    def rows(self) -> dict[Key, dict[str, Any]]:
        return rows(self.url, self.entity)

    def row(self, *key: str) -> dict[str, Any]:
        return self.rows()[key]

    def history(self) -> list[dict[str, Any]]:
        return history(self.url, self.source(), self.entity)


def page(*records: Record | bytes, in_window: bool = True) -> Page:
    return Page([one if isinstance(one, bytes) else json.dumps(one).encode() for one in records], in_window)


def person(key: int, **more: Any) -> dict[str, object]:
    """Return a record of ``PEOPLE``."""
    return thing(key, name=f"person {key}", **more)


def thing(key: Any, day: int = 1, **more: Any) -> dict[str, Any]:
    """Return a record of ``THING`` that changed on a day of January 2024."""
    return {"id": str(key), "at": f"2024-01-{day:02}T00:00:00Z", "name": f"thing {key}", **more}
