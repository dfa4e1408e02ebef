"""The tables of leads whose lives ``marts.lead_lifecycle`` tells, and the SQL of what they say.

What a status word means stands in ``crm.status_mapping``, as for the feed; the words are those of ``lead_rows``. A
source that keeps a time of qualifying or disqualifying says so by a column, which goes before its words.

A run tells the lives of the leads in the temporary table ``mart_record``: those whose row, or a row that has their
status word, was loaded since, and those whom identity gave to somebody else, or to nobody.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk, columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.feed import signals
from warehouse_pipelines.unified.lead_rows import SIGNALS, Signal
from warehouse_pipelines.unified.marts.declared import LIVES, Life

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

RECORDS = "source_system text, source_table text, source_key text, PRIMARY KEY (source_system, source_key)"


def leads(rows: str = "") -> sql.Composed:
    """Return the SELECT of what each source says of its leads, a row for each word; of all, or of those in ``rows``."""
    return sql.SQL(" UNION ALL ").join(_said(life, signal, rows) for life, signal in _words())


def find(session: "Session", since: Any) -> int:
    """Fill ``mart_record`` with the leads to tell of, and return how many they are."""
    bulk.temporary(session, "mart_record", RECORDS)
    for life, signal in _words():
        joined = Joined(signal.table, signal.joins)
        for alias in ("t", *sorted(_used(signal))):
            table = columns.table(joined.table_of(alias))
            if not _changed(session, table, since):
                continue
            session.execute(
                sql.SQL(
                    "INSERT INTO mart_record SELECT {}, {}, {} FROM {} WHERE {} > %s ON CONFLICT DO NOTHING"
                ).format(
                    sql.Literal(life.system), sql.Literal(life.table), columns.key("t", life.table),
                    joined.from_clause(every=True), sql.Identifier(alias, "sync_updated_at"),
                ),
                [since],
            )  # fmt: skip
    given = {"systems": [one.system for one in LIVES], "tables": [one.table for one in LIVES], "since": since}
    session.execute(query("marts_lives_moved"), given)
    bulk.analyze(session, "mart_record")
    return int(warehouse.value(session, "SELECT count(*) FROM mart_record"))


def _words() -> Iterator[tuple[Life, Signal]]:
    for life in LIVES:
        for signal in SIGNALS:
            if signal.table == life.table and not signal.of and signal.word:
                yield life, signal


def _used(signal: Signal) -> set[str]:
    """Return the joins by which the row tells its word: the others say nothing of its life."""
    written = "|".join((signal.status, signal.said, *signal.flags))
    return {join.name for join in signal.joins if f"{join.name}." in written}


def _changed(session: "Session", table: sql.Composable, since: Any) -> bool:
    asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE sync_updated_at > %s)").format(table)
    return bool(warehouse.value(session, asked, [since]))


def _said(life: Life, signal: Signal, rows: str) -> sql.Composed:
    joined = Joined(signal.table, signal.joins)
    return sql.SQL(
        "SELECT {system} AS source_system, {key} AS source_id, {table} AS source_table,"
        " {word_source} AS word_source, {word} AS word, coalesce({said}, {created}, {loaded}) AS said_at,"
        " coalesce({created}, {loaded}) AS created_at, {qualified} AS qualified_at,"
        " {disqualified} AS disqualified_at, t.archived,"
        " CASE WHEN t.archived THEN coalesce(t.deleted_at, t.sync_updated_at) END AS deleted_at"
        " FROM {tables}{within}"
    ).format(
        system=sql.Literal(life.system),
        key=columns.key("t", life.table),
        table=sql.Literal(life.table),
        word_source=sql.Literal(signal.word),
        word=sql.SQL(signals.FOLDED).format(signals.status_word(joined, signal)),
        said=joined.value(signal.said, "timestamptz"),
        created=columns.time_of(life.table, "t", "source_created_at"),
        loaded=sql.Identifier("t", "sync_created_at"),
        qualified=joined.value(life.qualified, "timestamptz"),
        disqualified=joined.value(life.disqualified, "timestamptz"),
        tables=joined.from_clause(),
        within=sql.SQL(" WHERE {}").format(columns.is_among(life.table, rows)) if rows else sql.SQL(""),
    )
