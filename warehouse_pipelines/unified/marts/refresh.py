"""Bring one mart up to date: find what changed, run its SELECT for that, and write the difference.

Decided:

- A run computes people (or activities, leads, pairs, everything) anew from what the tables say now, and never from what
  the mart said before. So a run of what changed and a run of everything end alike, and a run repeated writes nothing.
  Sums are the exception: what was written of the rows that they sum is added to them (``sums``).
- What is equal is not touched: the rows of the SELECT stand in a temporary table first, and only the difference is
  written. Readers see the mart of before or of after.
- ``marts.position`` says until when the sources were read, as the feed does it: not past the start of the oldest open
  transaction, because rows are stamped with the start of theirs.
- ``marts.touched_person`` says of whom a row of which mart was written, and when: whom the marts that read it compute
  again.
- ``marts.touched_hour`` says of which months and hours of the day a row of a source or of a mart was written, as it was
  or as it is.
- A mart is computed again when its SQL changed, the declared activities, ``WAREHOUSE_TIME_ZONE``, a name of a
  source, a rate of a currency or a status by which jobs are called off.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.unified import bulk, columns
from warehouse_pipelines.unified.lead_rows import SIGNALS
from warehouse_pipelines.unified.marts import activity, changes, lifecycle, related, scopes, sums, timeline
from warehouse_pipelines.unified.marts.mart import Mart, Summary, select_of
from warehouse_pipelines.unified.marts.rows import MARTS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('warehouse:marts', 0))"

BEGINNING = "-infinity"

CALLED_OFF_BY = sorted({signal.word for signal in SIGNALS if signal.calls_off})
"""Under what source in ``crm.status_mapping`` the statuses stand by which jobs are called off."""


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
        by_rows = mart.scope in ("records", "pairs")
        counts = changes.counts(session, mart.reads, tombstones=by_rows)
        where = scopes.Position(
            since=since,
            before=position["counts"] if position else {},
            counts=counts,
            computed_at=position["computed_at"] if position else None,
            declared=lambda select: as_declared(select, mart.reads),
        )
        made = scopes.find(session, mart, where, summary)
        if made:
            _make(session, mart, full=summary.full)
            _write(session, mart, summary, since)
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


PARTS: Mapping[str, Callable[[], str]] = {
    "{zone}": lambda: sql.Literal(activity.zone()).as_string(),
    "{leads}": lambda: lifecycle.leads().as_string(),
    "{grouped}": related.grouped,
    "{sale_records}": lambda: select_of("sale_records").strip(),
    "{weight}": lambda: "1",
    "{others}": lambda: "true",
    **dict.fromkeys(related.AMONG, lambda: ""),
}
"""What stands in the SELECT of a run of everything for what is set in this installation, and for SQL made of rows."""


def statement(mart: Mart, parts: Mapping[str, str] | None = None) -> str:
    """Return the SELECT of a mart with ``parts``, and else those of ``PARTS``, in their places."""
    return _composed(mart.select, mart, parts or {})


def _composed(text: str, mart: Mart, parts: Mapping[str, str]) -> str:
    for place, part in parts.items():
        text = text.replace(place, part)
    for place, made in PARTS.items():
        if place in text:
            text = text.replace(place, made())
    return as_declared(text, mart.reads)


def _make(session: "Session", mart: Mart, *, full: bool) -> None:
    """Fill ``mart_made``, unless the scope has done so."""
    if mart.scope == "activities":
        return
    session.execute("DROP TABLE IF EXISTS pg_temp.mart_made")
    if mart.scope == "sums" and not full:
        rows = {f"marts.{mart.sums_of} AS j": "mart_counted AS j", "{weight}": "j.weight", "{others}": "false"}
        sums.make(session, mart, _composed(select_of(mart.name), mart, rows))
        return
    parts: Mapping[str, str] = {}
    if mart.scope == "records" and not full:
        parts = {"{leads}": lifecycle.leads("mart_record").as_string()}
    elif mart.scope == "pairs":
        parts = related.parts(full=full)
    session.execute(f"CREATE TEMP TABLE mart_made ON COMMIT DROP AS {statement(mart, parts)}")


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
    text = timeline.fingerprint() if mart.scope == "activities" else statement(mart)
    if mart.scope == "activities" or "crm.lead_source(" in text:
        text += str(warehouse.value(session, query("marts_source_names"), {"jobs": CALLED_OFF_BY}))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_forgotten(session: "Session", position: Any) -> bool:
    """Whether retention may have removed from ``identity.deletion`` what was deleted since the mart was computed."""
    asked = (
        "SELECT coalesce(bool_or(%s < now() - keep_days * interval '1 day'), false)"
        " FROM orchestration.retention_policy WHERE kind = 'identity_deletions'"
    )
    return bool(warehouse.value(session, asked, [position["read_until"]]))


def _write(session: "Session", mart: Mart, summary: Summary, since: Any) -> None:
    """Write what of ``mart_made`` differs from the mart, and delete what is no more.

    In one statement, so a row that is deleted and one that is written never have one key. Rows are kept for marts that
    sum them, unless they are many, or an erasure was ``since``.
    """
    session.execute(sql.SQL("CREATE UNIQUE INDEX ON pg_temp.mart_made ({})").format(scopes.names(mart.keys)))
    bulk.analyze(session, "mart_made")
    own = sums.columns(session, "mart_made")
    values = [name for name in own if name not in mart.keys]
    table = sql.Identifier("marts", mart.name)
    old_is_new = sql.SQL(" AND ").join(sql.SQL("o.{0} = n.{0}").format(sql.Identifier(name)) for name in mart.keys)
    differs: sql.Composable = sql.SQL("false")
    if values:
        differs = sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(
            scopes.names(values, "o"), scopes.names(values, "n")
        )
    readers = [reader.name for reader in MARTS if reader.sums_of == mart.name]
    no_more = sql.SQL("{} AND NOT EXISTS (SELECT FROM mart_made AS n WHERE {})").format(
        scopes.within(mart, full=summary.full), old_is_new
    )
    # Of whom was erased no row is kept.
    untold = summary.full or timeline.is_much_deleted(session, since)
    few = bool(readers) and not untold and _are_few(session, table, no_more)
    kept = sums.counting(session, readers) if few else []
    hour: sql.Composable = sql.SQL("NULL::date AS month, NULL::smallint AS hour")
    hours_before: sql.Composable = sql.SQL("")
    if mart.scope == "persons" and "hour" in own:
        hour = sql.SQL("o.month, o.hour")
        # The statement does not see what it writes.
        hours_before = sql.SQL("UNION SELECT o.month, o.hour FROM mart_made AS n JOIN {} AS o ON {} WHERE {}").format(
            table, old_is_new, differs
        )
    given = {
        "table": table,
        "mart": sql.Literal(mart.name),
        "names": scopes.names(own),
        "new_names": scopes.names(own, "n"),
        "keys": scopes.names(mart.keys),
        "old_is_new": old_is_new,
        "old_key": sql.Identifier("o", mart.keys[0]),
        "order": scopes.names(["person_id"] if "person_id" in own else mart.keys, "n"),
        "person": sql.Identifier("o", "person_id") if "person_id" in own else sql.SQL("NULL::uuid"),
        "hour": hour,
        "hours_before": hours_before,
        "readers": sql.Literal(kept),
        "is_kept": sql.Literal(bool(kept)),
        "content": sql.SQL("to_jsonb(o)" if kept else "NULL::jsonb"),
        "no_more": no_more,
        "differs": differs,
        "set": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values or mart.keys[:1]
        ),
    }
    with bulk.bare(session, f"marts.{mart.name}", rows=_first_rows(session, table)):
        written = session.execute(sql.SQL(query("marts_write")).format(**given)).fetchone()
    if written:
        summary.inserted, summary.updated, summary.deleted = (
            written[name] for name in ("inserted", "updated", "deleted")
        )
    if not few and (summary.inserted or summary.updated or summary.deleted):
        sums.keep_all(session, readers)
    if summary.inserted > bulk.MANY // 10:
        session.execute(sql.SQL("ANALYZE {}").format(table))


def _first_rows(session: "Session", table: sql.Composable) -> int:
    """Return how many rows are made for an empty mart; 0 for one that has rows, or that somebody is reading."""
    counted = sql.SQL("SELECT (SELECT count(*) FROM mart_made) WHERE NOT EXISTS (SELECT FROM {})")
    rows = int(warehouse.value(session, counted.format(table)) or 0)
    if rows < bulk.MANY:
        return 0
    try:
        with session.transaction():
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(table))
    except psycopg.errors.LockNotAvailable:
        return 0
    return rows


def _are_few(session: "Session", table: sql.Composable, no_more: sql.Composable) -> bool:
    """Whether so few rows are made, and of the table deleted, that they are kept for marts that sum them."""
    asked = sql.SQL(
        "SELECT (SELECT count(*) FROM mart_made)"
        " + (SELECT count(*) FROM (SELECT FROM {table} AS o WHERE {no_more} LIMIT {most} + 1) AS d) <= {most}"
    ).format(table=table, no_more=no_more, most=sql.Literal(sums.MOST))
    return bool(warehouse.value(session, asked))
