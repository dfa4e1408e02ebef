"""Bring one mart up to date: find what changed, run its SELECT for that, and write the difference.

Decided:

- A run computes people (or activities, or everything) anew from what the tables say now, and never from what the mart
  said before. So a run of what changed and a run of everything end alike, and a run repeated writes nothing.
- What is equal is not touched: the rows of the SELECT stand in a temporary table first, and only the difference is
  written. Readers see the mart of before or of after.
- ``marts.position`` says until when the sources were read, as the feed does it: not past the start of the oldest open
  transaction, because rows are stamped with the start of theirs.
- ``marts.touched_person`` says of whom a row of which mart was written, and when: whom the marts that read it compute
  again.
- ``marts.touched_month`` says of which months a row of a source or of a mart was written, as it was or as it is.
- A mart is computed again when its SQL changed, the declared activities, ``WAREHOUSE_TIME_ZONE``, a name of a
  source or a rate of a currency.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.feed import columns
from warehouse_pipelines.unified.marts import activity, changes, lifecycle, timeline
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.marts.mart import Mart, Summary

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

TOLD = frozenset(one.table for one in ACTIVITIES)
"""The tables of sources whose months the timeline notes."""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('warehouse:marts', 0))"

BEGINNING = "-infinity"

IS_OLD = "SELECT date_trunc('hour', %s::timestamptz) < date_trunc('hour', now()) AS it"
"""Whether a mart that depends on the time is to be computed again although nothing changed: in another hour."""


def refresh(session: "Session", mart: Mart, summary: Summary, *, full: bool = False) -> None:
    """Bring ``mart`` up to date and say in ``summary`` what was done.

    Raises ``NotConfigured`` when the warehouse has an account that is not declared; ``psycopg.Error``.
    """
    require_declared(session)
    with bulk.step(session, memory="128MB"):
        session.execute(LOCK)
        position = session.execute("SELECT * FROM marts.position WHERE mart = %s", [mart.name]).fetchone()
        until = session.execute(query("feed_until")).fetchone()
        fingerprint = _fingerprint(session, mart)
        summary.full = (
            full or position is None or position["fingerprint"] != fingerprint or _is_forgotten(session, position)
        )
        since: Any = BEGINNING if summary.full or position is None else position["read_until"]
        counts = changes.counts(session, mart.reads)
        before = position["counts"] if position else {}
        if mart.scope == "activities":
            made = timeline.compute(session, since, full=summary.full, leads_deleted=counts != before)
        else:
            left = 0
            if mart.scope == "persons":
                summary.persons = _find_persons(session, mart, since, full=summary.full)
                left = 0 if summary.full else _find_left(session, mart, since)
            if mart.scope == "months":
                months = _find_months(session, mart, since, summary, before, counts)
                made = summary.full or bool(months)
            else:
                made = (
                    summary.full
                    or bool(summary.persons)
                    or bool(left)
                    or _is_old(session, mart, position)
                    or changes.found(session, mart.reads, since, before, counts)
                )
        if made:
            if mart.scope != "activities":
                session.execute("DROP TABLE IF EXISTS pg_temp.mart_made")
                session.execute(b"CREATE TEMP TABLE mart_made ON COMMIT DROP AS " + statement(mart).encode())
            _write(session, mart, summary)
        session.execute(
            query("marts_position"),
            {
                "mart": mart.name,
                "until": until["read_until"] if until else None,
                "fingerprint": fingerprint,
                "changed": bool(summary.inserted or summary.updated or summary.deleted),
                "made": made,
                "counts": json.dumps(counts),
            },
        )


PARTS: Mapping[str, Callable[[], sql.Composable]] = {
    "{zone}": lambda: sql.Literal(activity.zone()),
    "{leads}": lifecycle.leads,
}
"""What stands in a SELECT for what this installation has set, or for SQL that is made of rows."""


def statement(mart: Mart) -> str:
    """Return the SELECT of a mart with its parts in their places."""
    text = mart.select
    for place, part in PARTS.items():
        if place in text:
            text = text.replace(place, part().as_string())
    return as_declared(text, mart.reads)


def as_declared(select: str, reads: Iterable[str]) -> str:
    """Return a SELECT that names columns of sources as they are declared, so that it runs in this installation.

    A table whose columns ``config/columns.toml`` changed stands before it under its own name, with the declared ones; a
    column that was dropped, or has hashes, is null.
    """
    found = []
    for table in dict.fromkeys(reads):
        if table not in columns.entities() or (made := columns.as_declared(table)) is None:
            continue
        name = table.rpartition(".")[2]
        if name != table:
            name = table.replace(".", "_")
            select = re.sub(rf"\b{re.escape(table)}(?=\s+AS\b)", name, select)
        found.append(f"{name} AS NOT MATERIALIZED ({made.as_string()})")
    if not found:
        return select
    return f"WITH {', '.join(found)}" + (f", {select[5:]}" if select.startswith("WITH ") else f" {select}")


def _fingerprint(session: "Session", mart: Mart) -> str:
    text = statement(mart)
    if mart.scope == "activities":
        names = session.execute(query("marts_source_names")).fetchone()
        text = timeline.fingerprint() + str(names and names["fingerprint"])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find_persons(session: "Session", mart: Mart, since: Any, *, full: bool) -> int:
    """Fill ``mart_person`` with the people to compute, and return how many they are."""
    bulk.temporary(session, "mart_person", "person_id uuid PRIMARY KEY")
    if full:
        session.execute("INSERT INTO mart_person SELECT person_id FROM identity.person")
    else:
        # Scores change each night, so who has a lead is changed where the mart reads leads.
        given = {"since": since, "marts": mart.reads_of_persons, "by_leads": "crm.leads" in mart.reads}
        session.execute(query("marts_touched"), given)
    bulk.analyze(session, "mart_person")
    row = session.execute("SELECT count(*) AS n FROM mart_person").fetchone()
    return int(row["n"]) if row else 0


def _find_months(
    session: "Session", mart: Mart, since: Any, summary: Summary, before: Mapping[str, str], counts: Mapping[str, str]
) -> int:
    """Fill ``mart_month`` with the months to compute, and return how many they are.

    Everything is computed, which ``summary`` then says, when a table changed of which months are not noted.
    """
    bulk.temporary(session, "mart_month", "month date, begins_at timestamptz NOT NULL, ends_at timestamptz NOT NULL")
    noted = [table for table in mart.reads if table.startswith("marts.") or table in TOLD]
    others = [table for table in mart.reads if table not in noted]
    summary.full = summary.full or changes.found(session, others, since, before, counts)
    if summary.full:
        return session.execute("INSERT INTO mart_month VALUES (NULL, '-infinity', 'infinity')").rowcount
    given = {"zone": activity.zone(), "tables": noted, "since": since}
    found = session.execute(query("marts_months"), given)
    bulk.analyze(session, "mart_month")
    return found.rowcount


def _find_left(session: "Session", mart: Mart, since: Any) -> int:
    """Fill ``mart_left`` with the people who were deleted since and of whom the mart has rows; return their number."""
    bulk.temporary(session, "mart_left", "person_id uuid PRIMARY KEY")
    much = timeline.is_much_deleted(session, since)
    statement = query("marts_left_of_all") if much else query("marts_left")
    found = session.execute(sql.SQL(statement).format(table=sql.Identifier("marts", mart.name)), {"since": since})
    bulk.analyze(session, "mart_left")
    return found.rowcount


def _is_forgotten(session: "Session", position: Any) -> bool:
    """Whether retention may have removed from ``identity.deletion`` what was deleted since the mart was computed."""
    row = session.execute(
        "SELECT coalesce(bool_or(%s < now() - keep_days * interval '1 day'), false) AS it"
        " FROM orchestration.retention_policy WHERE kind = 'identity_deletions'",
        [position["read_until"]],
    ).fetchone()
    return row is None or bool(row["it"])


def _is_old(session: "Session", mart: Mart, position: Any) -> bool:
    if not mart.ages:
        return False
    row = session.execute(IS_OLD, [position["computed_at"]]).fetchone()
    return row is None or row["it"] is not False


def _write(session: "Session", mart: Mart, summary: Summary) -> None:
    """Write what of ``mart_made`` differs from the mart, and delete what is no more.

    In one statement, so a row that is deleted and one that is written never have one key.
    """
    session.execute(sql.SQL("CREATE UNIQUE INDEX ON pg_temp.mart_made ({})").format(_names(mart.keys)))
    bulk.analyze(session, "mart_made")
    names = [
        row["name"]
        for row in session.execute(
            "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = 'pg_temp.mart_made'::regclass"
            " AND attnum > 0 ORDER BY attnum"
        ).fetchall()
    ]
    values = [name for name in names if name not in mart.keys]
    table = sql.Identifier("marts", mart.name)
    old_is_new = sql.SQL(" AND ").join(sql.SQL("o.{0} = n.{0}").format(sql.Identifier(name)) for name in mart.keys)
    differs: sql.Composable = sql.SQL("false")
    if values:
        differs = sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(_names(values, "o"), _names(values, "n"))
    month: sql.Composable = sql.SQL("NULL::date")
    months_before: sql.Composable = sql.SQL("")
    if mart.scope == "persons" and "month" in names:
        month = sql.Identifier("o", "month")
        # The statement does not see what it writes.
        months_before = sql.SQL("UNION SELECT o.month FROM mart_made AS n JOIN {} AS o ON {} WHERE {}").format(
            table, old_is_new, differs
        )
    given = {
        "table": table,
        "mart": sql.Literal(mart.name),
        "names": _names(names),
        "new_names": _names(names, "n"),
        "keys": _names(mart.keys),
        "old_is_new": old_is_new,
        "old_key": sql.Identifier("o", mart.keys[0]),
        "person": sql.Identifier("o", "person_id") if "person_id" in names else sql.SQL("NULL::uuid"),
        "month": month,
        "months_before": months_before,
        "within": _within(mart, full=summary.full),
        "differs": differs,
        "set": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values or mart.keys[:1]
        ),
    }
    written = session.execute(sql.SQL(query("marts_write")).format(**given)).fetchone()
    if written:
        summary.inserted, summary.updated, summary.deleted = (
            written[name] for name in ("inserted", "updated", "deleted")
        )
    if summary.inserted > bulk.MANY // 10:
        session.execute(sql.SQL("ANALYZE {}").format(table))


def _within(mart: Mart, *, full: bool) -> sql.Composable:
    """Return the condition of the rows that the SELECT was to make: what of them it did not make is no more."""
    if full or mart.scope == "everything":
        return sql.SQL("true")
    if mart.scope == "months":
        return sql.SQL("o.month IN (SELECT month FROM mart_month)")
    if mart.scope == "activities":
        return sql.SQL("(o.source_table, o.source_key) IN (SELECT source_table, source_key FROM mart_row)")
    # Of a person who is no more nothing is made, and of nobody all is made.
    of_nobody = sql.SQL(" OR o.person_id IS NULL" if mart.nobody else "")
    return sql.SQL(
        "(o.person_id = ANY (ARRAY(SELECT person_id FROM mart_person UNION SELECT person_id FROM mart_left)){})"
    ).format(of_nobody)


def _names(names: Any, alias: str = "") -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names)
