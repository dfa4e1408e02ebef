"""The tables of leads whose lives ``marts.lead_lifecycle`` tells, and the SQL of what they say.

What a status word means stands in ``crm.status_mapping``, as for the feed; the words are those of ``lead_rows``. A
source that keeps a time of qualifying or disqualifying says so by a column, which goes before its words.
"""

from psycopg import sql

from warehouse_pipelines.unified.feed import columns, signals
from warehouse_pipelines.unified.feed.columns import Scope
from warehouse_pipelines.unified.lead_rows import SIGNALS
from warehouse_pipelines.unified.marts.declared import LIVES


def leads() -> sql.Composed:
    """Return the SELECT of what each source says of its leads, a row for each word."""
    parts = []
    for life in LIVES:
        said = [signal for signal in SIGNALS if signal.table == life.table and not signal.of and signal.word]
        for signal in said:
            scope = Scope(signal.table, signal.joins)
            parts.append(
                sql.SQL(
                    "SELECT {system} AS source_system, {key} AS source_id, {table} AS source_table,"
                    " {word_source} AS word_source, {word} AS word, coalesce({said}, {created}, {loaded}) AS said_at,"
                    " coalesce({created}, {loaded}) AS created_at, {qualified} AS qualified_at,"
                    " {disqualified} AS disqualified_at, t.archived,"
                    " CASE WHEN t.archived THEN coalesce(t.deleted_at, t.sync_updated_at) END AS deleted_at"
                    " FROM {tables}"
                ).format(
                    system=sql.Literal(life.system),
                    key=columns.key("t", life.table),
                    table=sql.Literal(life.table),
                    word_source=sql.Literal(signal.word),
                    word=sql.SQL(signals.FOLDED).format(signals.status_word(scope, signal)),
                    said=scope.value(signal.said, "timestamptz"),
                    created=signals.time_of(scope, life.table, "source_created_at"),
                    loaded=sql.Identifier("t", "sync_created_at"),
                    qualified=scope.value(life.qualified, "timestamptz"),
                    disqualified=scope.value(life.disqualified, "timestamptz"),
                    tables=scope.from_clause(),
                )
            )
    return sql.SQL(" UNION ALL ").join(parts)
