"""What of a mart a run computes again, by its ``scope``.

``find`` fills temporary tables that the SELECT joins, and ``within`` is the condition of the rows that it makes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.marts import activity, changes, lifecycle, related, sums, timeline
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.marts.mart import Mart, Summary, select_of

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NOTED_BY_TIMELINE = frozenset(one.table for one in ACTIVITIES)
"""The tables of sources whose hours the timeline notes."""

IS_OLD = "SELECT date_trunc('hour', %s::timestamptz) < date_trunc('hour', now())"
"""Whether a mart that depends on the time is to be computed again although nothing changed: in another hour."""


@dataclass(frozen=True)
class Position:
    """Where a mart stands: until when its sources were read, what was counted then and now, and when it was computed.

    ``declared`` makes of a SELECT one of this installation's columns.
    """

    since: Any
    before: Mapping[str, str]
    counts: Mapping[str, str]
    computed_at: Any
    declared: Callable[[str], str]


def find(session: "Session", mart: Mart, position: Position, summary: Summary) -> bool:
    """Fill the tables of the scope; return whether there may be something to write.

    ``summary.full`` becomes true when it cannot be told what changed.
    """
    if mart.scope == "activities":
        leads = position.counts != position.before or changes.is_deleted(
            session, [table for table in mart.reads if table.startswith("crm.")], position.since
        )
        return timeline.compute(session, position.since, full=summary.full, leads_deleted=leads)
    if mart.scope == "persons":
        if mart.touched:  # by the records that were deleted, too
            summary.full = summary.full or timeline.is_much_deleted(session, position.since)
        summary.persons = _persons(session, mart, position, full=summary.full)
        left = 0 if summary.full else _left(session, mart, position.since)
        return summary.full or bool(summary.persons or left) or _changed(session, mart, position)
    if mart.scope == "hours":
        hours = _hours(session, mart, position, summary)
        return summary.full or bool(hours)
    if mart.scope == "records":
        summary.full = summary.full or _is_untold(session, position)
        return summary.full or bool(lifecycle.find(session, position.since))
    if mart.scope == "pairs":
        summary.full = summary.full or _is_untold(session, position)
        made = summary.full or _changed(session, mart, position)
        if made:
            people = related.find(session, position.declared, position.since, full=summary.full)
            summary.persons = summary.persons if summary.full else people
        return made
    if mart.scope == "sums":
        # An erasure replaces words in rows that were summed.
        summary.full = (
            summary.full
            or position.before != position.counts
            or timeline.is_much_deleted(session, position.since)
            or sums.is_uncounted(session, mart)
        )
        return sums.find(session, mart, full=summary.full) or summary.full
    return summary.full or _is_old(session, mart, position.computed_at) or _changed(session, mart, position)


def within(mart: Mart, *, full: bool) -> sql.Composable:
    """Return the condition of the rows that the SELECT was to make: what of them it did not make is no more."""
    if full or mart.scope == "everything":
        return sql.SQL("true")
    if mart.scope == "hours":
        return sql.SQL("(o.month, o.hour) IN (SELECT month, hour FROM mart_hour)")
    if mart.scope == "activities":
        return sql.SQL("(o.source_table, o.source_key) IN (SELECT source_table, source_key FROM mart_row)")
    if mart.scope == "records":
        return sql.SQL("(o.source_system, o.source_id) IN (SELECT source_system, source_key FROM mart_record)")
    if mart.scope in ("pairs", "sums"):
        table = "mart_pair" if mart.scope == "pairs" else "mart_sum"
        return sql.SQL("({}) IN (SELECT {} FROM {})").format(
            names(mart.keys, "o"), names(mart.keys), sql.Identifier(table)
        )
    # Of a person who is no more nothing is made, and of nobody all is made.
    of_nobody = sql.SQL(" OR o.person_id IS NULL" if mart.nobody else "")
    return sql.SQL(
        "(o.person_id = ANY (ARRAY(SELECT person_id FROM mart_person UNION SELECT person_id FROM mart_left)){})"
    ).format(of_nobody)


def names(of: Any, alias: str = "") -> sql.Composable:
    """Return names of columns apart by commas, of the table ``alias`` if there is one."""
    return sql.SQL(", ").join(sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in of)


def _changed(session: "Session", mart: Mart, position: Position) -> bool:
    return changes.found(session, mart.reads, position.since, position.before, position.counts)


def _is_untold(session: "Session", position: Position) -> bool:
    """Whether something changed of which it is not told which records it is about."""
    return position.counts != position.before or timeline.is_much_deleted(session, position.since)


def _persons(session: "Session", mart: Mart, position: Position, *, full: bool) -> int:
    """Fill ``mart_person`` with the people to compute, and return how many they are."""
    bulk.temporary(session, "mart_person", "person_id uuid PRIMARY KEY")
    if full:
        session.execute("INSERT INTO mart_person SELECT person_id FROM identity.person")
    else:
        # Scores change each night, so who has a lead is changed where the mart reads leads.
        given = {"since": position.since, "marts": mart.reads_of_persons, "by_leads": "crm.leads" in mart.reads}
        session.execute(query("marts_touched"), given)
        if mart.touched:
            more = position.declared(select_of(f"{mart.name}_touched"))
            session.execute(sql.SQL(query("marts_touched_more")).format(found=sql.SQL(more)), given)
    bulk.analyze(session, "mart_person")
    return int(warehouse.value(session, "SELECT count(*) FROM mart_person"))


def _hours(session: "Session", mart: Mart, position: Position, summary: Summary) -> int:
    """Fill ``mart_hour`` with the hours to compute, and return how many spans of time they are.

    Everything is computed, which ``summary`` then says, when a table changed of which hours are not noted.
    """
    bulk.temporary(
        session,
        "mart_hour",
        "month date, hour smallint, begins_at timestamptz NOT NULL, ends_at timestamptz NOT NULL",
    )
    noted = [table for table in mart.reads if table.startswith("marts.") or table in NOTED_BY_TIMELINE]
    others = [table for table in mart.reads if table not in noted]
    summary.full = summary.full or changes.found(session, others, position.since, position.before, position.counts)
    if summary.full:
        return session.execute("INSERT INTO mart_hour VALUES (NULL, NULL, '-infinity', 'infinity')").rowcount
    given = {"zone": activity.zone(), "tables": noted, "since": position.since}
    found = session.execute(query("marts_hours"), given)
    bulk.analyze(session, "mart_hour")
    # PostgreSQL cannot tell how few rows lie in a span of time, and would read ten million calls.
    session.execute("SET LOCAL enable_seqscan = off")
    return found.rowcount


def _left(session: "Session", mart: Mart, since: Any) -> int:
    """Fill ``mart_left`` with the people who were deleted since and of whom the mart has rows; return their number."""
    bulk.temporary(session, "mart_left", "person_id uuid PRIMARY KEY")
    much = timeline.is_much_deleted(session, since)
    statement = query("marts_left_of_all") if much else query("marts_left")
    found = session.execute(sql.SQL(statement).format(table=sql.Identifier("marts", mart.name)), {"since": since})
    bulk.analyze(session, "mart_left")
    return found.rowcount


def _is_old(session: "Session", mart: Mart, computed_at: Any) -> bool:
    if not mart.ages:
        return False
    return warehouse.value(session, IS_OLD, [computed_at]) is not False
