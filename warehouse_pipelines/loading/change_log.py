"""``orchestration.change_log``: what changed in the rows of an entity that is declared with ``change_log=True``.

A row for each column that changed: its old and its new value as text, and the run. It is written by the very statements
that change rows, so it commits with them or not at all. New rows are not in it, nor ``raw_data``: what a row began with
is what the oldest change says, or what stands there. Each member of ``custom_properties`` is a column of its own.

It holds personal data: an erasure deletes the rows of the person's records, and `warehouse migrate --redact` those of
an entity whose columns it hashes or drops (``schema.local_columns``).

``benchmarks/change_log.py`` measures what it costs: nothing for new and unchanged rows.
"""

from collections.abc import Mapping, Sequence

from psycopg import sql

from warehouse_pipelines.loading.stored_rows import StoredRows

INSERT = sql.SQL(
    "INSERT INTO orchestration.change_log (table_name, record_key, column_name, old_value, new_value, sync_history_id) "
)


class ChangeLog:
    """Composes what writes the changes of one run; it sends nothing. ``t`` is the row of the table in all of it."""

    def __init__(self, stored: StoredRows, history_id: int) -> None:
        self._stored, self._history_id = stored, history_id

    def merged(self, columns: Sequence[str]) -> sql.Composed:
        """Compose the CTEs ``logged`` of a merge, whose CTE ``fresh`` has the rows that are about to be written."""
        plain = [name for name in columns if name not in ("raw_data", "custom_properties")]
        pairs = sql.SQL(", ").join(
            sql.SQL("({}, t.{}::text, n.{}::text)").format(name, sql.Identifier(name), sql.Identifier(name))
            for name in plain
        )
        statement = sql.SQL(""", logged AS (
                {insert}
                SELECT {table}, {key}, c.name, c.old, c.new, {history}
                FROM fresh n CROSS JOIN LATERAL (SELECT t.* FROM {target} t WHERE {place}) t
                    CROSS JOIN LATERAL (VALUES {pairs}) AS c (name, old, new)
                WHERE n.was_archived IS NOT NULL AND c.old IS DISTINCT FROM c.new
            )""").format(**self._common(), pairs=pairs, place=self._stored.place("n"))
        return statement + self._merged_members() if "custom_properties" in columns else statement

    def _merged_members(self) -> sql.Composed:
        """Compose the CTE that logs the members of ``custom_properties``."""
        return sql.SQL(""", logged_members AS (
                {insert}
                SELECT {table}, {key}, 'custom_properties.' || c.name, t.custom_properties ->> c.name,
                    n.custom_properties ->> c.name, {history}
                FROM fresh n CROSS JOIN LATERAL (SELECT t.* FROM {target} t WHERE {place}) t
                    CROSS JOIN LATERAL (
                        SELECT jsonb_object_keys(coalesce(t.custom_properties, '{{}}')) AS name
                        UNION SELECT jsonb_object_keys(coalesce(n.custom_properties, '{{}}'))
                    ) AS c
                WHERE n.was_archived IS NOT NULL AND t.custom_properties IS DISTINCT FROM n.custom_properties
                    AND t.custom_properties -> c.name IS DISTINCT FROM n.custom_properties -> c.name
            )""").format(**self._common(), place=self._stored.place("n"))

    def set_to(self, values: Mapping[str, sql.Composable], which: sql.Composable) -> sql.Composed:
        """Compose the statement that logs, before it happens, that the rows of ``which`` get these values."""
        pairs = sql.SQL(", ").join(
            sql.SQL("({}, t.{}::text, ({})::text)").format(name, sql.Identifier(name), value)
            for name, value in values.items()
        )
        return sql.SQL("""
            {insert}
            SELECT {table}, {key}, c.name, c.old, c.new, {history}
            FROM {target} t CROSS JOIN LATERAL (VALUES {pairs}) AS c (name, old, new)
            WHERE ({which}) AND c.old IS DISTINCT FROM c.new
        """).format(**self._common("t"), pairs=pairs, which=which)

    def _common(self, row: str = "n") -> dict[str, sql.Composable]:
        texts = [sql.SQL("{}::text").format(sql.Identifier(row, key)) for key in self._stored.entity.keys]
        return {
            "insert": INSERT,
            "table": sql.Literal(self._stored.entity.table),
            "key": sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(texts)),
            "history": sql.Literal(self._history_id),
            "target": self._stored.table,
        }
