"""How many rows tables have, where that is told beside other facts: small tables are counted, large ones estimated.

PostgreSQL's estimate is no substitute for small ones: autovacuum analyses no table that never had 50 changed rows, and
of an empty table that it looked at it says 0 until there are as many.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import sql

COUNTED_BYTES = 4 * 2**20
"""Up to this size a table is counted: some ten milliseconds."""


def counting(tables: Sequence[str]) -> "sql.Composed":
    """Return the statement that counts the rows of tables: ``name`` as it is given here, and ``rows``."""
    from psycopg import sql  # Dagster's definitions import this file, and no driver

    one = sql.SQL("SELECT {} AS name, count(*) AS rows FROM {}")
    return sql.SQL(" UNION ALL ").join(
        one.format(sql.Literal(table), sql.Identifier(*table.split("."))) for table in tables
    )
