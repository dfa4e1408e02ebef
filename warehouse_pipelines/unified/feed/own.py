"""Numbers that are the business's or its people's: which they are, and whose they may be since they are so no more."""

from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.identity.own import NUMBERS, is_left, numbers

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def find(session: "Session") -> None:
    """Fill ``feed_own`` with the numbers of rows that are in use."""
    session.execute(sql.SQL("INSERT INTO feed_own {}").format(numbers()))
    session.execute("ANALYZE feed_own")


def add_people(session: "Session") -> None:
    """Add those to ``feed_person`` who have the number of a row that changed, and is in use no more."""
    found = set[str]()
    for table, column in NUMBERS:
        rows = session.execute(
            sql.SQL(
                """
                SELECT {0} AS number FROM {1} AS t
                WHERE {0} IS NOT NULL AND {2} AND t.sync_updated_at > coalesce(
                    (SELECT p.read_until FROM crm.feed_position AS p WHERE p.source_table = {3}), '-infinity')
                """
            ).format(columns.e164("t", table, column), columns.table(table), is_left(table), sql.Literal(table))
        )
        found.update(row["number"] for row in rows)
    if found:
        session.execute(
            "INSERT INTO feed_person SELECT DISTINCT m.person_id FROM identity.record AS r"
            " JOIN identity.member AS m USING (record_id) WHERE r.phones && %s ON CONFLICT DO NOTHING",
            [sorted(found)],
        )
