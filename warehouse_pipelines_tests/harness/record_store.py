"""A vendor without a network: three entities whose records lie in a store, for tests of what Dagster makes of rows."""

import functools
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import msgspec
import sqlalchemy as sa
from pydantic_settings import BaseSettings

from warehouse_pipelines.definitions import build_definitions
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Flag, Source
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness.source_harness import has_table


class Settings(BaseSettings, env_prefix="STORE_"):
    """One setting that must be there and one that need not."""

    key: str
    base_url: str = "http://nowhere.invalid"


THINGS = Entity(
    name="things",
    table="store_thing",
    about="Things.",
    path="things.json",
    key="id",
    cursor="updated_at",
    cadence=Cadence(overlap=timedelta(minutes=2), never_full="a test says when", backfill_since=date(2024, 1, 1)),
    columns=columns(text="id name", timestamptz="updated_at"),
)

PARTS = Entity(
    name="parts",
    table="store_annex.part",
    about="Parts, which belong to things.",
    path="parts.json",
    key="id thing_id",
    cadence=Cadence(every=timedelta(minutes=90)),
    parent="store_thing",
    refs={"thing_id": "store_thing"},
    columns=columns(text="id thing_id"),
)

GADGETS = Entity(
    name="gadgets",
    table="store_gadget",
    about="Gadgets.",
    path="gadgets.json",
    key="id",
    cadence=Cadence(every=timedelta(minutes=15)),
    columns=columns(text="id", integer="size"),
)

ENTITIES = (PARTS, THINGS, GADGETS)


class RecordStore:
    """What the vendor has: records by entity, or an error to raise, or several to raise one after another."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Be as new."""
        self.records: dict[str, list[Mapping[str, Any]]] = {
            "things": [
                {"id": str(n), "name": f"thing {n}", "updated_at": f"2024-02-0{n}T12:00:00Z"} for n in (1, 2, 3)
            ],
            "parts": [{"id": "p", "thing_id": "1"}],
            "gadgets": [{"id": "g", "size": 1}, {"id": "h", "size": 2}],
        }
        self.errors: dict[str, list[Exception]] = {}
        self.asked: list[ReadRequest] = []

    def fetch(self, request: ReadRequest, context: ReadContext) -> Pages:
        """Yield the records in the window, on one page."""
        self.asked.append(request)
        name = request.entity.name
        if self.errors.get(name):
            raise self.errors[name].pop(0)
        yield Page([msgspec.json.encode(record) for record in self.records[name]])
        return ReadReport()

    def source(self) -> Source:
        """Return the vendor."""
        return Source(
            name="store",
            title="Store",
            transport="file",
            settings=Settings,
            fetch=self.fetch,
            check=lambda: "fine",
            entities=ENTITIES,
            flags=(Flag(name="colour", help="Only these.", narrows=True),),
        )


def definitions(store: RecordStore, url: str) -> dg.Definitions:
    """Return the store's definitions, after making its tables where they are not there.

    A store that is used again has the same for the same warehouse: to make them takes longer than most runs.
    """
    if not has_table(url, THINGS.table):
        with engine(url).begin() as connection:
            connection.execute(sa.text("SET LOCAL client_min_messages = warning"))
            tables.align(connection, ENTITIES)
    return _made(store, url)


@functools.lru_cache(maxsize=8)
def _made(store: RecordStore, url: str) -> dg.Definitions:
    return build_definitions([store.source()], url=lambda: url)


def run(
    defs: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    *,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job in this process and never raise."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config={"resources": {"sync": {"config": dict(config or {})}}},
        raise_on_error=False,
    )
