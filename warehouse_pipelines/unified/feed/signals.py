"""What the sources say of leads, read by the rows of ``lead_rows`` into the temporary table ``feed_signal``.

Read are the records of the people in ``feed_person``: those that changed, or that a changed record reaches, since the
positions in ``crm.feed_position``; in a full run all. A position is the start of the oldest transaction that was open
when the run began: what that one commits later has an older ``sync_updated_at``, and is read next time. What is
read twice changes nothing, because the feed computes each lead from all that is said of it.

A job says who its customer is now, and not who it was. So ``crm.lead_feed.records`` has the rows that a lead was
computed from beside its person's own, and the staff whom they name, known to identity or not.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.accounts import tables_of
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.feed import own
from warehouse_pipelines.unified.identity.own import NUMBERS
from warehouse_pipelines.unified.lead_rows import SIGNALS, TAG_QUERIES, TAG_TABLES, Signal
from warehouse_pipelines.unified.people_rows import (
    PEOPLE,
)
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

FOLDED = r"nullif(lower(btrim(regexp_replace({}, '^\s*\[[^]]*\]', ''))), '')"
"""A status word as the mapping has it: in lower case, without a mark in brackets before it, as SalesPro's have."""

RULES = 5
"""One more whenever an existing warehouse must be computed anew as a whole, once, by what the feed does differently."""

_CHANGED = "SELECT max(sync_updated_at) > %s FROM {}"


def tables() -> dict[str, list[Signal]]:
    """Return each table that the feed reads, with the signals that depend on it."""
    found: dict[str, list[Signal]] = {}
    for signal in SIGNALS:
        read = [signal.table, *(join.table for join in signal.joins)]
        read += TAG_TABLES.get(signal.tags, ())
        for name in dict.fromkeys(read):
            found.setdefault(name, []).append(signal)
    for name in (*(row.table for row in PEOPLE), *(name for name, _ in NUMBERS)):
        found.setdefault(name, [])
    return found


def find_people(session: "Session", *, full: bool) -> bool:
    """Fill ``feed_person`` with the people to compute, and return whether that is all of them.

    A run without a position reads all, and so does one after a change of the mappings or of ``RULES``.
    """
    session.execute(query("feed_temp"))
    [mappings] = session.execute(query("feed_mappings"), {"rules": RULES})
    full = full or mappings["known"] != mappings["fingerprint"]
    if full:
        session.execute("INSERT INTO feed_person SELECT person_id FROM identity.person WHERE kind = 'customer'")
    else:
        run_script(session, query("feed_touched"), {})
        for name, signals in tables().items():
            _add_changed(session, name, signals)
        own.add_people(session)
        texts = list(tables_of("callrail_text_message", SOURCES))
        since = read_until(session, "identity.person")
        run_script(session, query("feed_touched_people"), {"texts": texts, "since": since})
    session.execute(query("feed_member"))
    return full


def read_until(session: "Session", table: str) -> Any:
    """Return the feed's position in a table, ``-infinity`` where it has none."""
    asked = "SELECT read_until FROM crm.feed_position WHERE source_table = %s"
    return warehouse.value(session, asked, [table]) or "-infinity"


def _add_changed(session: "Session", name: str, signals: list[Signal]) -> None:
    """Put the records into ``feed_changed`` that rows of this table, changed since its position, tell of."""
    since = read_until(session, name)
    if not warehouse.value(session, sql.SQL(_CHANGED).format(columns.table(name)), [since]):
        return
    for signal in signals:
        joined = Joined(signal.table, signal.joins)
        of = signal.of or signal.table
        key = joined.value(signal.key) if signal.key else columns.key("t", signal.table)
        if changed_tags := TAG_TABLES.get(signal.tags, {}).get(name):
            session.execute(changed_tags, {"of": of, "since": since})
            continue
        aliases = ["t"] if signal.table == name else []
        aliases += [join.name for join in signal.joins if join.table == name]
        for alias in aliases:
            session.execute(
                sql.SQL("INSERT INTO feed_changed SELECT %s, {} FROM {} WHERE {} > %s").format(
                    key, joined.from_clause(every=True), sql.Identifier(alias, "sync_updated_at")
                ),
                [of, since],
            )
        if _may_move(signal) and signal.table == name:
            session.execute(
                sql.SQL("INSERT INTO feed_followed SELECT {} FROM {} AS t WHERE t.sync_updated_at > %s").format(
                    _record(signal), columns.table(name)
                ),
                [since],
            )


def concerned_tables(session: "Session") -> set[str]:
    """Return whose records the people in ``feed_member`` have: what joins the others is not worth a plan."""
    return {row["source_table"] for row in session.execute("SELECT DISTINCT source_table FROM feed_member").fetchall()}


def read(session: "Session", organization: UUID) -> int:
    """Fill ``feed_signal`` with what is said of the people in ``feed_person``; return the rows.

    ``organization`` is that of CRMs without a row in ``crm.feed_source``.
    """
    rows, concerned = 0, concerned_tables(session)
    for signal in SIGNALS:
        if (signal.of or signal.table) not in concerned:
            continue
        rows += session.execute(insert(signal), {"organization": organization}).rowcount
    session.execute("CREATE INDEX ON feed_signal (organization_id, person_id)")
    session.execute("ANALYZE feed_signal")
    return rows


def insert(signal: Signal) -> sql.Composed:
    """Return what fills ``feed_signal`` with what a signal says of the people in ``feed_member``."""
    joined = Joined(signal.table, signal.joins)
    of = signal.of or signal.table
    deleted: sql.Composable = sql.SQL("m.deleted") if not signal.of else sql.SQL("false")
    if signal.of:
        deleted = sql.SQL("t.archived OR m.deleted")
        named = {join.name for join in signal.joins} & {signal.origin[1].partition(".")[0]}
        for name in sorted(named):
            deleted = sql.SQL("{} OR {} IS NOT FALSE").format(deleted, sql.Identifier(name, "archived"))
    if signal.alive:
        deleted = sql.SQL("({}) AND {} IS NULL").format(deleted, joined.value(signal.alive))
    word = sql.SQL(FOLDED).format(status_word(joined, signal))
    leads: sql.Composable = sql.SQL("true" if signal.makes_lead else "false")
    if signal.lead_words:
        leads = sql.SQL("coalesce({} = ANY ({}), false)").format(word, sql.Literal(list(signal.lead_words)))
    # Of what is joined through a table of pairs, the time is its own: a pair does not change with it.
    alias, dot, _ = signal.origin[1].partition(".")
    told = (signal.origin[0], alias) if dot else (signal.table, "t")
    edited = columns.edited(told[1], told[0], columns.time_of(*told, "source_created_at"), sql.SQL("t.sync_created_at"))
    return sql.SQL(
        """
        INSERT INTO feed_signal
        SELECT m.person_id, coalesce(f.organization_id, %(organization)s), {crm}, {origin_table}, {origin_key},
            {leads}, {word_source}, {word}, {fallback}, least(coalesce({said}, {edited}), {loaded}), {source},
            {owner_table}, {owner}, {tags}, {value}, {value_rank}, {division}, {created}, least({edited}, {loaded}),
            coalesce({said}, {created}), {calls_off}, {record}
        FROM {tables}
            JOIN feed_member AS m ON m.source_table = {of} AND {key} = m.source_key{cast}
            LEFT JOIN crm.feed_source AS f ON f.crm = {crm}
        WHERE NOT ({deleted})
        """
    ).format(
        crm=sql.Literal(signal.crm),
        origin_table=sql.Literal(signal.origin[0] or signal.table),
        origin_key=sql.SQL("{}::text").format(joined.column(signal.origin[1]))
        if signal.origin[1]
        else columns.key("t", signal.table),
        leads=leads,
        word_source=sql.Literal(signal.word or None),
        word=word,
        fallback=_fallback(joined, signal),
        said=joined.value(signal.said, "timestamptz"),
        edited=edited,
        loaded=_loaded(signal),
        source=sql.SQL("lower({})").format(joined.value(signal.source)),
        owner_table=sql.Literal(signal.owner_table or None),
        owner=joined.value(signal.owner),
        tags=_tags(joined, signal),
        value=_value(joined, signal, edited),
        value_rank=sql.Literal(signal.value_rank),
        division=joined.value(signal.division),
        created=columns.time_of(signal.table, "t", "source_created_at"),
        calls_off=sql.Literal(signal.calls_off),
        record=_record(signal) if _may_move(signal) else sql.SQL("NULL::text"),
        tables=joined.from_clause(),
        of=sql.Literal(of),
        key=joined.column(signal.key) if signal.key else columns.own_key(signal.table),
        # In the type of the column, so that its index serves.
        cast=sql.SQL(f"::{joined.type_of(signal.key) if signal.key else columns.key_type(signal.table)}"),
        deleted=deleted,
    )


def _may_move(signal: Signal) -> bool:
    """Return whether a row may tell of somebody else after an edit; one of a table of pairs is another pair then."""
    return bool(signal.of) and signal.key not in columns.entities()[signal.table].keys


def _record(signal: Signal) -> sql.Composable:
    """Return the name of a row, as ``crm.lead_feed.records`` has it."""
    return sql.SQL("{} || {}").format(sql.Literal(f"{signal.table} "), columns.key("t", signal.table))


def _loaded(signal: Signal) -> sql.Composable:
    """Return when a row was loaded: nothing is said later. A time to come would supersede all that follows."""
    names = ["t", *(join.name for join in signal.joins)]
    return sql.SQL("greatest({})").format(sql.SQL(", ").join(sql.Identifier(name, "sync_updated_at") for name in names))


def status_word(joined: Joined, signal: Signal) -> sql.Composable:
    """Return the status word of a row as the source has it: of a column, of a flag, or of neither."""
    parts: list[sql.Composable] = []
    if signal.cancelled:
        parts.append(sql.SQL("CASE WHEN {} THEN 'cancelled' END").format(is_cancelled(joined, signal)))
    if signal.status:
        parts.append(joined.value(signal.status))
    for column, word in signal.flags.items():
        kind = joined.column(column)
        parts.append(
            sql.SQL("CASE WHEN {}::text NOT IN ('false', 'f', '0') THEN {} END").format(kind, sql.Literal(word))
        )
    if signal.otherwise:
        parts.append(sql.Literal(signal.otherwise))
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(parts)) if parts else sql.SQL("NULL::text")


def is_cancelled(joined: Joined, signal: Signal) -> sql.Composable:
    """Return the condition that a row is cancelled whatever its status."""
    return sql.SQL("{} IS NOT NULL").format(joined.column(signal.cancelled)) if signal.cancelled else sql.SQL("false")


def _value(joined: Joined, signal: Signal, edited: sql.Composable) -> sql.Composable:
    value = joined.value(signal.value, "numeric")
    if not signal.currency:
        return value
    at = sql.SQL("coalesce({}, {})").format(joined.value(signal.said, "timestamptz"), edited)
    return columns.dollars(value, joined.value(signal.currency), joined.value(signal.converted, "numeric"), at)


def _fallback(joined: Joined, signal: Signal) -> sql.Composable:
    """Return the status of a word that no row maps: by the stage of a deal where there is one."""
    plain: sql.Composable = sql.Literal(signal.unmapped)
    if signal.cancelled:
        plain = sql.SQL("CASE WHEN {} THEN 'lost' ELSE {} END").format(is_cancelled(joined, signal), plain)
    if not signal.closed:
        return plain
    return sql.SQL(
        "CASE WHEN {0} AND {1} >= 1 THEN 'won' WHEN {0} THEN 'lost' WHEN {1} >= 0.75 THEN 'proposal' ELSE {2} END"
    ).format(joined.value(signal.closed, "boolean"), joined.value(signal.chance, "numeric"), plain)


def _tags(joined: Joined, signal: Signal) -> sql.Composable:
    if not signal.tags:
        return sql.SQL("NULL::text[]")
    if signal.tags in TAG_QUERIES:
        return sql.SQL(TAG_QUERIES[signal.tags])
    return sql.SQL(
        "ARRAY(SELECT CASE jsonb_typeof(g.tag) WHEN 'object' THEN g.tag ->> 'name' ELSE g.tag #>> '{{}}' END"
        " FROM jsonb_array_elements(CASE jsonb_typeof({0}) WHEN 'array' THEN {0} ELSE '[]' END) AS g (tag))"
    ).format(joined.column(signal.tags))
