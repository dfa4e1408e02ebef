"""Marts whose values are sums over the rows of another mart: what a row was is taken away, and what it is is added.

When a mart is written that others sum, each of its rows that differs is kept in ``marts.changed_row`` as it was and as
it is, once for each of these readers. The reader sums these rows, with the weights -1 and 1, into ``mart_sum``, adds
what it has, and removes them, in the transaction that writes it. Counts and amounts are exact numbers, so this ends as
a sum of all rows does.

When the other mart was computed from nothing, more than ``MOST`` rows were written or deleted, or somebody was erased,
it is kept that everything is to be summed, and not the rows. An erasure deletes the rows that wait.
"""

from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.marts.mart import Mart

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

MOST = 20_000

MOST_WAITING = 10 * MOST
"""More rows than this do not wait for a reader that is not run."""


def is_uncounted(session: "Session", mart: Mart) -> bool:
    """Whether more was written of what the mart sums than was kept."""
    asked = "SELECT EXISTS (SELECT FROM marts.changed_row WHERE reader = %s AND weight = 0)"
    return bool(warehouse.value(session, asked, [mart.name]))


def find(session: "Session", mart: Mart, *, full: bool) -> bool:
    """Fill ``mart_counted`` with the rows to sum, unless ``full``; return whether there are some."""
    session.execute("DROP TABLE IF EXISTS pg_temp.mart_counted")
    if not full:
        session.execute(
            sql.SQL(
                "CREATE TEMP TABLE mart_counted ON COMMIT DROP AS SELECT r.weight::integer AS weight, j.*"
                " FROM (SELECT sum(c.weight) AS weight, c.content FROM marts.changed_row AS c WHERE c.reader = {}"
                " GROUP BY c.content HAVING sum(c.weight) <> 0) AS r"
                " CROSS JOIN LATERAL jsonb_populate_record(NULL::{}, r.content) AS j"
            ).format(sql.Literal(mart.name), sql.Identifier("marts", mart.sums_of))
        )
    session.execute("DELETE FROM marts.changed_row WHERE reader = %s", [mart.name])
    if full:
        return True
    bulk.analyze(session, "mart_counted")
    return bool(warehouse.value(session, "SELECT EXISTS (SELECT FROM mart_counted)"))


def make(session: "Session", mart: Mart, select: str) -> None:
    """Fill ``mart_sum`` with what ``select`` finds of ``mart_counted``, and ``mart_made`` with the rows after that."""
    session.execute("DROP TABLE IF EXISTS pg_temp.mart_sum")
    session.execute(f"CREATE TEMP TABLE mart_sum ON COMMIT DROP AS {select}")
    bulk.analyze(session, "mart_sum")
    values = [name for name in columns(session, "mart_sum") if name not in mart.keys]
    session.execute(
        sql.SQL(
            "CREATE TEMP TABLE mart_made ON COMMIT DROP AS SELECT {all} FROM (SELECT {keys}, {sums} FROM mart_sum AS d"
            " LEFT JOIN {table} AS o ON {same}) AS s WHERE {some}"
        ).format(
            all=sql.SQL(", ").join(
                [sql.SQL("s.*"), *(sql.SQL(f"{ratio} AS {name}") for name, ratio in mart.ratios.items())]
            ),
            keys=sql.SQL(", ").join(sql.Identifier("d", name) for name in mart.keys),
            sums=sql.SQL(", ").join(
                sql.SQL("coalesce(o.{0}, 0) + d.{0} AS {0}").format(sql.Identifier(name)) for name in values
            ),
            table=sql.Identifier("marts", mart.name),
            same=sql.SQL(" AND ").join(sql.SQL("o.{0} = d.{0}").format(sql.Identifier(name)) for name in mart.keys),
            some=sql.SQL(" OR ").join(sql.SQL("s.{} <> 0").format(sql.Identifier(name)) for name in values),
        )
    )


def columns(session: "Session", table: str) -> list[str]:
    """Return the columns of a temporary table."""
    rows = session.execute(
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        [f"pg_temp.{table}"],
    ).fetchall()
    return [row["name"] for row in rows]


def counting(session: "Session", readers: list[str]) -> list[str]:
    """Return those of the readers for which rows are kept: not those that are to sum everything anyway."""
    rows = session.execute(
        "SELECT r.reader,"
        " EXISTS (SELECT FROM marts.changed_row AS c WHERE c.reader = r.reader AND c.weight = 0) AS sums_all,"
        " EXISTS (SELECT FROM marts.changed_row AS c WHERE c.reader = r.reader OFFSET %s) AS is_full"
        " FROM unnest(%s::text[]) AS r (reader)",
        [MOST_WAITING, readers],
    ).fetchall()
    if full := [row["reader"] for row in rows if row["is_full"]]:
        keep_all(session, full)
    return [row["reader"] for row in rows if not (row["sums_all"] or row["is_full"])]


def keep_all(session: "Session", readers: list[str]) -> None:
    """Keep that all rows are to be summed, and no rows."""
    if readers:
        session.execute("DELETE FROM marts.changed_row WHERE reader = ANY (%s)", [readers])
        session.execute("INSERT INTO marts.changed_row (reader, weight) SELECT unnest(%s::text[]), 0", [readers])


def forget_rows(session: "Session") -> None:
    """Delete the rows that wait, whosever they are; who was to sum them sums everything."""
    waiting = session.execute("SELECT DISTINCT reader FROM marts.changed_row WHERE weight <> 0").fetchall()
    keep_all(session, [row["reader"] for row in waiting])
