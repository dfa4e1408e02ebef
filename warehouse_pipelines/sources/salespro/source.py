"""SalesPro as a source: its entities, and how its credential is checked."""

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources.salespro.athena import quoted
from warehouse_pipelines.sources.salespro.entities import (
    CREDIT_APPLICATIONS,
    CUSTOMERS,
    ESTIMATES,
    LEAD_RESULT_LINE_ITEMS,
    LEAD_RESULTS,
    OFFICES,
    USERS,
)
from warehouse_pipelines.sources.salespro.fetch import athena, fetch, inspect, table_of
from warehouse_pipelines.sources.salespro.settings import Settings


def check() -> str:
    """Ask for the tables of the database: a query that scans nothing, and needs all that others need but the data."""
    settings = Settings()
    sql = "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = ?"
    found: set[str] = set()
    for batch in athena(ReadContext()).rows(sql, ["table_name"], [quoted(settings.salespro_athena_database)]):
        found.update(batch.column(0).to_pylist())
    wanted = {table_of(entity) for entity in SALESPRO.entities}
    missing = f", not {', '.join(sorted(wanted - found))}" if wanted - found else ""
    return (
        f"SalesPro answers: the database {settings.salespro_athena_database!r} has {len(wanted & found)} of the "
        f"{len(wanted)} tables{missing}"
    )


SALESPRO = Source(
    name="salespro",
    title="SalesPro",
    transport="query",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    page_size=1_000,
    measures=("athena_bytes_scanned",),
    entities=(CREDIT_APPLICATIONS, CUSTOMERS, ESTIMATES, LEAD_RESULTS, LEAD_RESULT_LINE_ITEMS, OFFICES, USERS),
)
