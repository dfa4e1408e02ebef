"""SQL of the activities: each row of ``activity_rows`` becomes one SELECT of ``sql/marts/activity_timeline.sql``.

Decided:

- Whose an activity is, identity says of the record that ``person_table`` and ``person_key`` name: the row itself, or
  one that it points at. Both stand in the timeline, so a change in identity is found without the source's table.
- Where the vendor says a day alone, the time is when that day begins in ``WAREHOUSE_TIME_ZONE``.
- An archived row is no activity any more. It comes back when the vendor restores it.
- Amounts are in US dollars. One in another currency is what the source converts it to, else what ``crm.fx_rate`` makes
  of it, and without a rate it is null: it must not be added to the others. One of a billion or more is a slip of the
  hand: it is null too, and stands in ``refused_amount``, which ``answers.quality`` counts.
- A conversation by text is of the time of the person's last message, and inbound; outbound where all messages that are
  kept are ours.
- A job is called off by what calls off a lead (``lead_rows``): the day of that, or a status that means lost. Without a
  day it was when the job was last edited.
- Where several rows could be joined, ``Join.first`` orders them and the first that is not archived is taken, so that no
  activity is there twice.
"""

import functools
from collections.abc import Iterator

from psycopg import sql

from warehouse_pipelines.settings import settings, sql_folder
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.crm_views import LEADS
from warehouse_pipelines.unified.feed import signals
from warehouse_pipelines.unified.lead_rows import SIGNALS
from warehouse_pipelines.unified.marts.declared import CRM_USERS, Activity
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)

NOT_HELD = (
    "set|scheduled|rescheduled|confirmed|unconfirmed|new|open|pending|assigned|issued|reset|cancel.*|not home.*"
    "|no.?show.*|no demo.*|no sit.*|not covered.*"
)
"""A regular expression: words of an outcome, in lower case, by which a visit did not take place, or not yet.

SalesPro puts a mark in brackets before them, such as ``[CC] Rescheduled``.
"""

COLUMNS = (
    "source_table", "source_key", "kind", "person_table", "person_key", "person_id", "household_id", "certainty",
    "crm_source", "occurred_at", "occurred_day", "direction", "user_table", "user_key", "our_user_id", "our_user",
    "outcome", "is_held", "amount", "lead_source", "title", "division", "links", "refused_amount",
)  # fmt: skip
"""Those of the timeline, in the order of the SELECT."""


@functools.cache
def template() -> str:
    """Return the SELECT that all activities share, with the places of their parts."""
    text = (sql_folder() / "marts" / "activity_timeline.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def select(activity: Activity, rows: str = "") -> sql.Composed:
    """Return the SELECT of an activity, of all its rows or of those in the temporary table ``rows``."""
    joined = Joined(activity.table, activity.joins)
    return sql.SQL(template()).format(
        table_name=sql.Literal(activity.table),
        key=columns.key("t", activity.table),
        kind=sql.Literal(activity.kind),
        person_table=_person_table(activity, joined),
        person_key=sql.SQL("{}::text").format(joined.column(activity.key))
        if activity.key
        else columns.key("t", activity.table),
        crm=sql.Literal(activity.crm),
        at=_at(joined, activity),
        zone=sql.Literal(zone()),
        direction=_direction(joined, activity),
        user_table=sql.Literal(activity.user_table) if activity.user_table else sql.SQL("NULL::text"),
        user_key=joined.value(activity.user) if activity.user else sql.SQL("NULL::text"),
        user_name=joined.value(activity.user_name),
        outcome=_outcome(joined, activity),
        amount=_amount(activity, joined),
        source=sql.SQL("lower({})").format(joined.value(activity.source)),
        title=joined.value(activity.title),
        division=joined.value(activity.division),
        golden=joined.column(activity.person) if activity.person else sql.SQL("NULL::uuid"),
        our_id=_our_id(activity, joined),
        links=_links(joined, activity),
        may_be_held=sql.SQL("true" if activity.may_be_held else "false"),
        not_held=sql.Literal(rf"^\s*(\[[^]]*\]\s*)?({NOT_HELD})\s*$"),
        tables=joined.from_clause(),
        there=_there(joined, activity),
        within=sql.SQL("AND {}").format(columns.is_among(activity.table, rows)) if rows else sql.SQL(""),
    )


def zone() -> str:
    """Return the time zone in which the business has its days."""
    return settings().warehouse_time_zone.key


def _amount(activity: Activity, joined: Joined) -> sql.Composable:
    amount = joined.value(activity.amount, "numeric")
    if not activity.currency:
        return amount
    converted = joined.value(activity.converted, "numeric")
    return columns.dollars(amount, joined.value(activity.currency), converted, joined.moment(activity.at, zone()))


def _our_id(activity: Activity, joined: Joined) -> sql.Composable:
    if activity.user_table != CRM_USERS:
        return sql.SQL("NULL::uuid")
    return sql.SQL("identity.current_person({})").format(joined.column(activity.user))


def _person_table(activity: Activity, joined: Joined) -> sql.Composable:
    if not activity.by:
        return sql.Literal(activity.of or activity.table)
    cases = [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(word), sql.Literal(name))
        for word, name in activity.tables.items()
    ]
    return sql.SQL("CASE {} {} END").format(joined.column(activity.by), sql.SQL(" ").join(cases))


def _links(joined: Joined, activity: Activity) -> sql.Composable:
    if not activity.links:
        return sql.SQL("NULL::text[]")
    named = [
        sql.SQL("{} || {}").format(sql.Literal(f"{table} "), joined.value(column))
        for table, column in activity.links.items()
    ]
    return sql.SQL("array_remove(ARRAY[{}], NULL)").format(sql.SQL(", ").join(named))


def _at(joined: Joined, activity: Activity) -> sql.Composable:
    at = joined.moment(activity.at, zone())
    return sql.SQL("coalesce({}, {})").format(_written(joined, activity), at) if activity.messages else at


def _written(joined: Joined, activity: Activity) -> sql.Composable:
    """Return when the person last wrote in a conversation; null where only we did."""
    messages = joined.column(activity.messages)
    return sql.SQL(
        "(SELECT max(CASE WHEN g.said ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (g.said ->> 'created_at')::timestamptz"
        " ELSE {at} END) FROM jsonb_array_elements("
        "CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS g (said)"
        " WHERE g.said ->> 'direction' IN ('incoming', 'inbound'))"
    ).format(at=joined.moment(activity.at, zone()), messages=messages)


def _direction(joined: Joined, activity: Activity) -> sql.Composable:
    if activity.messages:
        return sql.SQL("CASE WHEN {} IS NULL THEN 'outbound' ELSE 'inbound' END").format(_written(joined, activity))
    if activity.directions:
        return joined.value(activity.directions)
    return sql.Literal(activity.direction) if activity.direction else sql.SQL("NULL::text")


def _outcome(joined: Joined, activity: Activity) -> sql.Composable:
    parts = [joined.value(activity.outcome)] if activity.outcome else []
    parts += [
        sql.SQL("CASE WHEN {} THEN {} END").format(_filled(joined, column), sql.Literal(word))
        for column, word in activity.flags.items()
    ]
    if activity.otherwise:
        parts.append(sql.Literal(activity.otherwise))
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(parts)) if parts else sql.SQL("NULL::text")


def _filled(joined: Joined, column: str) -> sql.Composable:
    name, equals, word = column.partition("=")
    if equals:
        return sql.SQL("({} = {})").format(joined.value(name), sql.Literal(word))
    return sql.SQL("(nullif(btrim({}::text), '') !~ '^(false|f|0([.]0*)?)$') IS TRUE").format(joined.column(name))


def _there(joined: Joined, activity: Activity) -> sql.Composable:
    parts: list[sql.Composable] = [sql.SQL("NOT t.archived")]
    if activity.alive:
        parts = [sql.SQL("(NOT t.archived OR {} IS NOT NULL)").format(joined.column(activity.alive))]
    person = BY_TABLE.get(activity.table)
    if person and person.made_up:
        parts.append(sql.SQL("{} IS NOT TRUE").format(joined.column(person.made_up)))
    parts += [_filled(joined, column) for column in activity.when.split()]
    parts += [sql.SQL("NOT {}").format(_filled(joined, column)) for column in activity.unless.split()]
    if activity.called_off:
        signal = next(one for one in SIGNALS if one.calls_off and one.table == activity.table)
        parts.append(
            sql.SQL(
                "({} OR EXISTS (SELECT FROM crm.status_mapping AS c WHERE c.source = {} AND c.source_status = {}"
                " AND c.status = 'lost'))"
            ).format(
                signals.is_cancelled(joined, signal),
                sql.Literal(signal.word),
                sql.SQL(signals.FOLDED).format(signals.status_word(joined, signal)),
            )
        )
    return sql.SQL(" AND ").join(parts)


def changed(activity: Activity) -> Iterator[tuple[str, sql.Composed]]:
    """Yield each table of the activity, and the SELECT of the keys of its rows that changed there ``%(since)s``."""
    joined = Joined(activity.table, activity.joins)
    own = columns.key("t", activity.table)
    yield (
        activity.table,
        sql.SQL("SELECT {} FROM {} AS t WHERE t.sync_updated_at > %(since)s").format(
            own, columns.table(activity.table)
        ),
    )
    if "lead_updated_at" in columns.entities()[activity.table].columns:
        yield (
            LEADS,
            sql.SQL("SELECT {} FROM {} AS t WHERE t.lead_updated_at > %(since)s").format(
                own, columns.table(activity.table)
            ),
        )
    for join in activity.joins:
        yield (
            join.table,
            sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} > %(since)s").format(
                own, joined.from_clause(every=True), sql.Identifier(join.name, "sync_updated_at")
            ),
        )
