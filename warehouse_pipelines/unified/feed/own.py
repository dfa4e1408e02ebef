"""Numbers that are the business's or its people's: which they are, and whose they may be since they are so no more."""

from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.unified.feed import columns
from warehouse_pipelines.unified.lead_rows import OUT_OF_USE
from warehouse_pipelines.unified.people import OWN_NUMBERS, PEOPLE

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

COLUMNS: tuple[tuple[str, str], ...] = (
    *OWN_NUMBERS,
    *((row.table, column) for row in PEOPLE if row.kind == "staff" for column in row.phones.split()),
)
"""Tables with such numbers, and the columns."""


def find(session: "Session") -> None:
    """Fill ``feed_own`` with the numbers of rows that are in use."""
    for table, column in COLUMNS:
        session.execute(
            sql.SQL("INSERT INTO feed_own SELECT {0} FROM {1} AS t WHERE {0} IS NOT NULL AND NOT {2}").format(
                columns.e164("t", table, column), columns.table(table), _is_left(table)
            )
        )
    session.execute("ANALYZE feed_own")


def add_people(session: "Session") -> None:
    """Add those to ``feed_person`` who have the number of a row that changed, and is in use no more."""
    numbers: set[str] = set()
    for table, column in COLUMNS:
        rows = session.execute(
            sql.SQL(
                """
                SELECT {0} AS number FROM {1} AS t
                WHERE {0} IS NOT NULL AND {2} AND t.sync_updated_at > coalesce(
                    (SELECT p.read_until FROM crm.feed_position AS p WHERE p.source_table = {3}), '-infinity')
                """
            ).format(columns.e164("t", table, column), columns.table(table), _is_left(table), sql.Literal(table))
        )
        numbers.update(row["number"] for row in rows)
    if numbers:
        session.execute(
            "INSERT INTO feed_person SELECT DISTINCT m.person_id FROM identity.record AS r"
            " JOIN identity.member AS m USING (record_id) WHERE r.phones && %s ON CONFLICT DO NOTHING",
            [sorted(numbers)],
        )


def _is_left(table: str) -> sql.Composable:
    """Return the condition that a row is in use no more."""
    if table not in OUT_OF_USE:
        return sql.SQL("t.archived")
    column, value = OUT_OF_USE[table]
    return sql.SQL("(t.archived OR lower({}::text) IS NOT DISTINCT FROM {})").format(
        columns.one("t", table, column), sql.Literal(value)
    )
