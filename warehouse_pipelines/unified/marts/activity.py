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
from warehouse_pipelines.unified.columns import Scope
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


class ActivityScope(Scope):
    """The tables of an activity; of several rows that could be joined the first is taken."""

    def from_clause(self) -> sql.Composable:
        parts = [sql.SQL("{} AS t").format(columns.table(self.own))]
        for join in self.joins:
            equal = sql.SQL("{} = {}").format(columns.one(join.name, join.table, join.column), self.column(join.equals))
            if not join.first:
                parts.append(
                    sql.SQL("LEFT JOIN {} AS {} ON {}").format(
                        columns.table(join.table), sql.Identifier(join.name), equal
                    )
                )
                continue
            parts.append(
                sql.SQL(
                    "LEFT JOIN LATERAL (SELECT * FROM {} AS {} WHERE {} AND NOT {} ORDER BY {} LIMIT 1) AS {} ON true"
                ).format(
                    columns.table(join.table),
                    sql.Identifier(join.name),
                    equal,
                    sql.Identifier(join.name, "archived"),
                    sql.SQL(join.first),
                    sql.Identifier(join.name),
                )
            )
        return sql.SQL(" ").join(parts)


@functools.cache
def template() -> str:
    """Return the SELECT that all activities share, with the places of their parts."""
    text = (sql_folder() / "marts" / "activity_timeline.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def select(activity: Activity, rows: str = "") -> sql.Composed:
    """Return the SELECT of an activity, of all its rows or of those in the temporary table ``rows``."""
    scope = ActivityScope(activity.table, activity.joins)
    within: sql.Composable = sql.SQL("")
    if rows:
        keys = columns.entities()[activity.table].keys
        kind = columns.entities()[activity.table].pg_types[keys[0]].split()[0] if len(keys) == 1 else "text"
        own = sql.Identifier("t", keys[0]) if len(keys) == 1 else columns.key("t", activity.table)
        within = sql.SQL("AND {} IN (SELECT r.source_key::{} FROM {} AS r WHERE r.source_table = {})").format(
            own, sql.SQL(kind), sql.Identifier(rows), sql.Literal(activity.table)
        )
    return sql.SQL(template()).format(
        table_name=sql.Literal(activity.table),
        key=columns.key("t", activity.table),
        kind=sql.Literal(activity.kind),
        person_table=_person_table(activity, scope),
        person_key=sql.SQL("{}::text").format(scope.column(activity.key))
        if activity.key
        else columns.key("t", activity.table),
        crm=sql.Literal(activity.crm),
        at=_at(scope, activity),
        zone=sql.Literal(zone()),
        direction=_direction(scope, activity),
        user_table=sql.Literal(activity.user_table) if activity.user_table else sql.SQL("NULL::text"),
        user_key=scope.value(activity.user) if activity.user else sql.SQL("NULL::text"),
        user_name=scope.value(activity.user_name),
        outcome=_outcome(scope, activity),
        amount=_amount(activity, scope),
        source=sql.SQL("lower({})").format(scope.value(activity.source)),
        title=scope.value(activity.title),
        division=scope.value(activity.division),
        golden=scope.column(activity.person) if activity.person else sql.SQL("NULL::uuid"),
        our_id=_our_id(activity, scope),
        links=_links(scope, activity),
        may_be_held=sql.SQL("true" if activity.may_be_held else "false"),
        not_held=sql.Literal(rf"^\s*(\[[^]]*\]\s*)?({NOT_HELD})\s*$"),
        tables=scope.from_clause(),
        there=_there(scope, activity),
        within=within,
    )


def zone() -> str:
    """Return the time zone in which the business has its days."""
    return settings().warehouse_time_zone.key


def _amount(activity: Activity, scope: Scope) -> sql.Composable:
    amount = scope.value(activity.amount, "numeric")
    if not activity.currency:
        return amount
    converted = scope.value(activity.converted, "numeric")
    return columns.dollars(amount, scope.value(activity.currency), converted, moment(scope, activity.at))


def _our_id(activity: Activity, scope: Scope) -> sql.Composable:
    if activity.user_table != CRM_USERS:
        return sql.SQL("NULL::uuid")
    return sql.SQL("identity.current_person({})").format(scope.column(activity.user))


def _person_table(activity: Activity, scope: Scope) -> sql.Composable:
    if not activity.by:
        return sql.Literal(activity.of or activity.table)
    cases = [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(word), sql.Literal(name))
        for word, name in activity.tables.items()
    ]
    return sql.SQL("CASE {} {} END").format(scope.column(activity.by), sql.SQL(" ").join(cases))


def moment(scope: Scope, written: str) -> sql.Composable:
    """Return the time that ``Activity.at`` names."""
    found = [_part(scope, part) for part in written.split("|")]
    return found[0] if len(found) == 1 else sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))


def _part(scope: Scope, part: str) -> sql.Composable:
    if "&" in part:
        return sql.SQL("greatest({})").format(sql.SQL(", ").join(_part(scope, one) for one in part.split("&")))
    day, plus, time = part.partition("+")
    if plus:
        clock = scope.column(time)
        # A time of day that is none is left out.
        return sql.SQL(
            "(({} + CASE WHEN {} ~ '^([01]?[0-9]|2[0-3]):[0-5][0-9]' THEN substring({} FROM '^[0-9]+:[0-9]+')::time"
            " ELSE time '00:00' END) AT TIME ZONE {})"
        ).format(scope.column(day), clock, clock, sql.Literal(zone()))
    if _is_date(scope, part):
        return sql.SQL("({}::timestamp AT TIME ZONE {})").format(scope.column(part), sql.Literal(zone()))
    return scope.column(part)


def _is_date(scope: Scope, part: str) -> bool:
    alias, dot, name = part.rpartition(".")
    entity = columns.entities()[scope.table_of(alias) if dot else scope.own]
    declared = entity.local.dropped.get(name) or entity.columns.get(
        next((new for new, old in entity.local.renamed.items() if old == name), name)
    )
    return declared is not None and declared.kind == "date"


def _links(scope: Scope, activity: Activity) -> sql.Composable:
    if not activity.links:
        return sql.SQL("NULL::text[]")
    named = [
        sql.SQL("{} || {}").format(sql.Literal(f"{table} "), scope.value(column))
        for table, column in activity.links.items()
    ]
    return sql.SQL("array_remove(ARRAY[{}], NULL)").format(sql.SQL(", ").join(named))


def _at(scope: Scope, activity: Activity) -> sql.Composable:
    at = moment(scope, activity.at)
    return sql.SQL("coalesce({}, {})").format(_written(scope, activity), at) if activity.messages else at


def _written(scope: Scope, activity: Activity) -> sql.Composable:
    """Return when the person last wrote in a conversation; null where only we did."""
    messages = scope.column(activity.messages)
    return sql.SQL(
        "(SELECT max(CASE WHEN g.said ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (g.said ->> 'created_at')::timestamptz"
        " ELSE {at} END) FROM jsonb_array_elements("
        "CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS g (said)"
        " WHERE g.said ->> 'direction' IN ('incoming', 'inbound'))"
    ).format(at=moment(scope, activity.at), messages=messages)


def _direction(scope: Scope, activity: Activity) -> sql.Composable:
    if activity.messages:
        return sql.SQL("CASE WHEN {} IS NULL THEN 'outbound' ELSE 'inbound' END").format(_written(scope, activity))
    if activity.directions:
        return scope.value(activity.directions)
    return sql.Literal(activity.direction) if activity.direction else sql.SQL("NULL::text")


def _outcome(scope: Scope, activity: Activity) -> sql.Composable:
    parts = [scope.value(activity.outcome)] if activity.outcome else []
    parts += [
        sql.SQL("CASE WHEN {} THEN {} END").format(_filled(scope, column), sql.Literal(word))
        for column, word in activity.flags.items()
    ]
    if activity.otherwise:
        parts.append(sql.Literal(activity.otherwise))
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(parts)) if parts else sql.SQL("NULL::text")


def _filled(scope: Scope, column: str) -> sql.Composable:
    name, equals, word = column.partition("=")
    if equals:
        return sql.SQL("({} = {})").format(scope.value(name), sql.Literal(word))
    return sql.SQL("(nullif(btrim({}::text), '') !~ '^(false|f|0([.]0*)?)$') IS TRUE").format(scope.column(name))


def _there(scope: Scope, activity: Activity) -> sql.Composable:
    parts: list[sql.Composable] = [sql.SQL("NOT t.archived")]
    if activity.alive:
        parts = [sql.SQL("(NOT t.archived OR {} IS NOT NULL)").format(scope.column(activity.alive))]
    person = BY_TABLE.get(activity.table)
    if person and person.made_up:
        parts.append(sql.SQL("{} IS NOT TRUE").format(scope.column(person.made_up)))
    parts += [_filled(scope, column) for column in activity.when.split()]
    parts += [sql.SQL("NOT {}").format(_filled(scope, column)) for column in activity.unless.split()]
    if activity.called_off:
        signal = next(one for one in SIGNALS if one.calls_off and one.table == activity.table)
        parts.append(
            sql.SQL(
                "({} OR EXISTS (SELECT FROM crm.status_mapping AS c WHERE c.source = {} AND c.source_status = {}"
                " AND c.status = 'lost'))"
            ).format(
                signals.is_cancelled(scope, signal),
                sql.Literal(signal.word),
                sql.SQL(signals.FOLDED).format(signals.status_word(scope, signal)),
            )
        )
    return sql.SQL(" AND ").join(parts)


def changed(activity: Activity) -> Iterator[tuple[str, sql.Composed]]:
    """Yield each table of the activity, and the SELECT of the keys of its rows that changed there ``%(since)s``."""
    scope = Scope(activity.table, activity.joins)
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
                own, scope.from_clause(), sql.Identifier(join.name, "sync_updated_at")
            ),
        )
