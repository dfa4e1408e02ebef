"""The rows of ``marts.activity_timeline`` that may differ, computed into the temporary table ``mart_made``.

    compute(session, since, full=False)

Which rows those are stands in ``mart_row`` (source_table, source_key, is_told): *told* are rows of sources that changed
since, or that a row of a joined table tells of; the others are rows whose person, household or one of us identity
changed. Of whom they are, or were, is written to ``marts.touched_person``, and the hours of those told to
``marts.touched_hour``.
"""

from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk, columns
from warehouse_pipelines.unified.marts import activity
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


NAMED = "SELECT DISTINCT source_table FROM mart_row"


def compute(session: "Session", since: Any, *, full: bool, leads_deleted: bool) -> bool:
    """Fill ``mart_made`` with the activities to write; return whether there may be something to write at all.

    ``leads_deleted``: leads may have been deleted without a trace, whose activities are searched for.
    """
    bulk.temporary(
        session,
        "mart_row",
        "source_table text, source_key text, is_told boolean DEFAULT false, PRIMARY KEY (source_table, source_key)",
    )
    if not full:
        _find_rows(session, since)
        _find_deleted(session, since, leads=leads_deleted)
    bulk.analyze(session, "mart_row")
    session.execute("DROP TABLE IF EXISTS pg_temp.mart_made")
    names = sql.SQL(", ").join(map(sql.Identifier, activity.COLUMNS))
    session.execute(
        sql.SQL("CREATE TEMP TABLE mart_made ON COMMIT DROP AS SELECT {} FROM marts.activity_timeline LIMIT 0").format(
            names
        )
    )
    there = {row["source_table"] for row in session.execute(_filled() if full else NAMED).fetchall()}
    for one in ACTIVITIES:
        if one.table in there:
            rows = "" if full else "mart_row"
            session.execute(sql.SQL("INSERT INTO mart_made ({}) {}").format(names, activity.select(one, rows)))
    run_script(session, query("marts_touch"), {"full": full, "zone": activity.zone()})
    return full or bool(there)


def _filled() -> sql.Composed:
    """Return the SELECT of the tables that have a row: to plan an activity takes 5 ms, and most CRMs are not there."""
    return sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {} AS source_table WHERE EXISTS (SELECT FROM {})").format(
            sql.Literal(table), columns.table(table)
        )
        for table in dict.fromkeys(one.table for one in ACTIVITIES)
    )


def _find_rows(session: "Session", since: Any) -> None:
    changed: dict[str, bool] = {}
    for one in ACTIVITIES:
        for table, select in activity.changed(one):
            if table not in changed:
                asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE sync_updated_at > %s)")
                changed[table] = warehouse.value(session, asked.format(columns.table(table)), [since])
            if changed[table]:
                session.execute(
                    sql.SQL("INSERT INTO mart_row (source_table, source_key)"
                            " SELECT {}, found.key FROM ({}) AS found (key) WHERE found.key IS NOT NULL"
                            " ON CONFLICT DO NOTHING").format(
                        sql.Literal(one.table), select
                    ),
                    {"since": since},
                )  # fmt: skip
    session.execute("UPDATE mart_row SET is_told = true")
    run_script(session, query("marts_activities_of_changed"), {"since": since})


def _find_deleted(session: "Session", since: Any, *, leads: bool) -> None:
    """Add the activities whose person or record is no more, and if asked, whose row of crm."""
    run_script(session, query("marts_activities_of_deleted"), {"since": since})
    if is_much_deleted(session, since):
        run_script(session, query("marts_activities_of_nobody"), {})
    if not leads:
        return
    for table in dict.fromkeys(one.table for one in ACTIVITIES if one.crm == "crm"):
        session.execute(
            sql.SQL(
                "INSERT INTO mart_row (source_table, source_key)"
                " SELECT a.source_table, a.source_key FROM marts.activity_timeline AS a"
                " WHERE a.source_table = {} AND NOT EXISTS (SELECT FROM {} AS t WHERE {} = a.source_key)"
                " ON CONFLICT DO NOTHING"
            ).format(sql.Literal(table), columns.table(table), columns.key("t", table))
        )


def is_much_deleted(session: "Session", since: Any) -> bool:
    """Whether so much of identity was deleted since that it was not noted row by row."""
    asked = (
        "SELECT EXISTS (SELECT FROM identity.deletion WHERE deleted_at > %s AND person_id IS NULL"
        " AND source_key IS NULL AND table_name IN ('identity.person', 'identity.member', 'identity.touch'))"
    )
    return bool(warehouse.value(session, asked, [since]))


def fingerprint() -> str:
    """Return what the rows of the timeline depend on beside the data: the SQL of all activities."""
    return "\n".join(activity.select(one).as_string() for one in ACTIVITIES)
