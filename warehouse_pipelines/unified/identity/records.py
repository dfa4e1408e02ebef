"""Read the rows of the sources that changed into ``identity.record``.

    changed = refresh(session)                 # since the last refresh
    changed = refresh(session, full=True)      # all rows, and remove records whose row was deleted

What it reads is right although loaders write meanwhile. A row's ``sync_updated_at`` is the beginning of the transaction
that loads it, so a row may be committed with a time that lies long before. ``read_until`` therefore does not pass the
beginning of the oldest transaction of the database. That is asked for before the rows are read, and each statement sees
what was committed when it began: a transaction that ran at the question is read from again the next time, and one that
began later has later times. What is read twice is known by its fingerprint, and counts as unchanged.

Decided:

- A row that a source deleted stays a record, ``deleted``: it still tells who a person is. So does the row of a user who
  left. Where its table has the row no longer (as after an erasure), a full refresh removes the record.
- A change of only the times, or of how a name is shown, does not compare anything again: ``Changed.edited``.
- Records are read without the numbers and addresses of the business and its staff, ``own``. Of which ones the last
  refresh knew, ``identity.crowded_key`` has the marks; when one is added or left, the records that have its key, or its
  mark, are read again.
- More than ``LISTED`` changed records, or than a tenth of all, are not listed: ``Changed.everything`` says that all
  must be resolved, which costs a tenth as much a record. The GIN indexes are then made anew at the end: entering each
  of a record's eight keys by itself costs more.
- A row of a list (MarketSharp's addresses) that goes from one contact to another is found at the one that has it now;
  the other's record follows in the next full refresh.
"""

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import errors, sql
from psycopg.rows import tuple_row

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.identity import entered, source_rows
from warehouse_pipelines.unified.identity import own as own_values
from warehouse_pipelines.unified.identity.normalise import Own, block_keys, keys_without, normalise
from warehouse_pipelines.unified.identity.record_lines import COLUMNS, copy_line
from warehouse_pipelines.unified.identity.source_rows import Reading
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)

if TYPE_CHECKING:
    from uuid import UUID

    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

RULES = 2
"""By which rules records are read and compared. Raise it where ``people_rows``, ``normalise`` or ``compare`` decide
otherwise than before: the next run reads and compares everything again."""

LISTED = 50_000
"""Changed records that are listed by their ids and keys, at most; of more, all records are resolved."""

FEW = 2_000
"""Changed records that are listed however few records there are."""

AT_ONCE = 10_000
"""Rows in memory at a time."""

KNOWN = frozenset([*BY_TABLE, entered.ENTERED.table])
"""Tables that have records."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""The position of a table that was read when it could not be seen what is loaded later."""

OVERLAP = timedelta(seconds=5)
"""How far before the oldest transaction reading begins again: a transaction has its time before others can see it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a refresh changed.

    ``ids``         records that are new, or whose compared values differ
    ``edited``      records of which only the times or the shown name differ: nobody else's, but perhaps a better value
    ``removed``     records that are no more, each with the person it was of, if any
    ``keys_before``, ``keys_after``  the block keys of ``ids``, and of the removed ones
    ``everything``  so many changed that none is listed above
    ``read``        rows that were read
    ``changed``     how many records are new or differ
    """

    ids: frozenset[int] = frozenset()
    edited: frozenset[int] = frozenset()
    removed: Mapping[int, "UUID | None"] = field(default_factory=dict)
    keys_before: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    keys_after: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    everything: bool = False
    read: int = 0
    changed: int = 0


def refresh(session: "Session", *, full: bool = False, tables: Collection[str] | None = None) -> Changed:
    """Read what changed in the ``tables`` of people, all by default, and return what it changed in identity.record.

    ``full`` reads all rows and removes the records whose row was deleted. Whoever calls it holds a lock against another
    refresh. Raises ``NotConfigured`` when the warehouse has an account that is not declared, whose records would be
    removed; ``ValueError`` for a table that holds no people, and in a transaction with one snapshot for all its
    statements, which could not see what is committed after it began.
    """
    require_declared(session)
    if unknown := sorted(set(tables or ()) - KNOWN):
        raise ValueError(f"no people are known in {', '.join(unknown)}")
    wanted = [row for row in (*PEOPLE, entered.ENTERED) if tables is None or row.table in tables]
    with session.transaction():
        _prepare(session)
        [until] = session.execute(query("identity_read_until"))
        own = own_values.read(session)
        positions = {
            row["source_table"]: row["read_until"]
            for row in session.execute("SELECT source_table, read_until FROM identity.read_position")
        }
        readings = [source_rows.reading(row) for row in wanted]
        whole = {one.row.table for one in readings if full or one.row.table not in positions}
        read = 0
        due = _due(session, readings, positions, whole)
        strays = _strays(session, own, whole)
        excluded: dict[int, tuple[UUID | None, tuple[str, ...]]] = {}
        for one in readings:
            table = one.row.table
            given = {"organizations": entered.organizations(session)} if one.row.within else {}
            if table in whole:
                read += _copy(session, one, sql.SQL("{} WHERE {}").format(one.select, one.only), given, own)
            elif condition := _changed_rows(one, due.get(table, ()), strays.get(table, ())):
                since = {"since": positions[table], "strays": strays.get(table, [])}
                select = sql.SQL("{} {} AND {}").format(one.select, condition, one.only)
                read += _copy(session, one, select, since | given, own)
                if one.excluded:
                    excluded |= _remove_excluded(session, one, positions[table])
        if tables is None:
            _keep_marks(session, own)
        changed = _write(session, read, sorted(whole) if full else [], tables is None, excluded)
        if until["hidden"]:
            log.warning(
                "%s transactions of other users run in the warehouse, and this one may not see since when: the rows of"
                " people are read again next time; the role pg_read_all_stats would show it",
                until["hidden"],
            )
            reached = [one for one in readings if one.row.table not in positions]
        else:
            reached = readings
        session.cursor().executemany(
            "INSERT INTO identity.read_position AS p (source_table, read_until, rules) VALUES (%s, %s, %s)"
            " ON CONFLICT (source_table) DO UPDATE"
            " SET read_until = greatest(p.read_until, excluded.read_until), read_at = now()",
            [(one.row.table, BEGINNING if until["hidden"] else until["until"] - OVERLAP, RULES) for one in reached],
        )
    return changed


def are_of_other_rules(session: "Session") -> bool:
    """Return whether records were read or compared by other rules than ``RULES``."""
    asked = "SELECT EXISTS (SELECT FROM identity.read_position WHERE rules <> %s)"
    return bool(warehouse.value(session, asked, [RULES]))


def note_rules(session: "Session") -> None:
    """Note that everything was read and compared by ``RULES``."""
    session.execute("UPDATE identity.read_position SET rules = %(rules)s WHERE rules <> %(rules)s", {"rules": RULES})


def _remove_excluded(
    session: "Session", one: Reading, since: datetime
) -> dict[int, tuple["UUID | None", tuple[str, ...]]]:
    """Remove the records whose row says since then that it is none; return each with its person and keys."""
    assert one.excluded is not None  # noqa: S101  (asked by the caller)
    rows = session.execute(
        sql.SQL(query("identity_remove_excluded")).format(
            table=columns.table(one.row.table), key=columns.own_key(one.row.table), excluded=one.excluded
        ),
        {"table": one.row.table, "since": since},
    )
    return {row["record_id"]: (row["person_id"], tuple(row["block_keys"])) for row in rows}


def _prepare(session: "Session") -> None:
    """Set what holds until the end of the transaction, and make the table that takes the records."""
    if warehouse.value(session, "SELECT current_setting('transaction_isolation')") != "read committed":
        raise ValueError("records are read in a transaction that sees what others commit: READ COMMITTED")
    settings = {"jit": "off", "work_mem": "64MB", "maintenance_work_mem": "256MB", "cursor_tuple_fraction": "1"}
    if warehouse.has_table(session, "pg_temp.incoming_record"):
        session.execute("DROP TABLE pg_temp.incoming_record, pg_temp.changed_record")
    with contextlib.suppress(errors.InvalidParameterValue), session.transaction():
        # A session that has had temporary tables keeps the buffers that it has, even if it was cleaned since.
        session.execute("SELECT set_config('temp_buffers', '64MB', true)")
    for name, value in settings.items():
        session.execute("SELECT set_config(%s, %s, true)", [name, value])
    session.execute("SELECT pg_stat_clear_snapshot()")  # or what ran at the first question of the transaction is shown
    session.execute(
        sql.SQL("CREATE TEMP TABLE incoming_record ON COMMIT DROP AS SELECT {} FROM identity.record LIMIT 0").format(
            sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
    )


def _due(
    session: "Session", readings: Iterable[Reading], positions: Mapping[str, Any], whole: set[str]
) -> dict[str, set[str]]:
    """Return for each table of people those tables of it, itself or a joined one, that have rows since its position."""
    asked = [
        (one.row.table, table)
        for one in readings
        if one.row.table not in whole
        for table in dict.fromkeys((one.row.table, *(joined for joined, _ in one.reached)))
    ]
    due: dict[str, set[str]] = {}
    if asked:
        statement = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, {} WHERE EXISTS (SELECT FROM {} WHERE sync_updated_at >= {})").format(
                people, table, columns.table(table), positions[people]
            )
            for people, table in asked
        )
        with session.cursor(row_factory=tuple_row) as cursor:
            for people, table in cursor.execute(statement):
                due.setdefault(people, set()).add(table)
    return due


def _strays(session: "Session", own: Own, whole: set[str]) -> dict[str, list[str]]:
    """Return the keys of the records, by table, that have a value which is ours by now, or lack one that is no more."""
    marks = own.marks()
    known = {row["key"] for row in session.execute("SELECT key FROM identity.crowded_key WHERE left(key, 2) = 'o:'")}
    keys = [*(key for mark in marks - known for key in keys_without(mark)), *(known - marks)]
    found: dict[str, list[str]] = {}
    if keys:
        rows = session.execute(
            "SELECT source_table, source_key FROM identity.record WHERE block_keys && %s AND source_table <> ALL (%s)",
            [keys, sorted(whole)],
        )
        for row in rows:
            found.setdefault(row["source_table"], []).append(row["source_key"])
    return found


def _keep_marks(session: "Session", own: Own) -> None:
    """Note the marks of what is ours, by which the next refresh sees what is added or left."""
    marks = sorted(own.marks())
    session.execute("DELETE FROM identity.crowded_key WHERE left(key, 2) = 'o:' AND key <> ALL (%s)", [marks])
    session.execute("INSERT INTO identity.crowded_key (key) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [marks])


def _changed_rows(one: Reading, due: Collection[str], strays: Collection[str]) -> sql.Composed | None:
    """Return the condition for the rows to read again, None when there are none.

    The table is asked once where that is enough. Asked a second time for the keys of its own changed rows, a view whose
    rows the planner underestimates was read once for each of its rows: 50,000 leads were not read in 20 minutes.
    """
    keys = sql.SQL(", ").join(sql.Identifier("t", key) for key in one.keys)
    own: list[sql.Composable] = []
    if one.row.table in due:
        own.append(sql.SQL("t.sync_updated_at >= %(since)s"))
    if strays:
        own.append(_is_stray(one))
    reached = [statement for table, statement in one.reached if table in due]
    if not reached:
        return sql.SQL("WHERE ({})").format(sql.SQL(" OR ").join(own)) if own else None
    itself = columns.table(one.row.table)
    reached += [sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(keys, itself, condition) for condition in own]
    return sql.SQL("WHERE ({}) IN ({})").format(keys, sql.SQL(" UNION ").join(reached))


def _is_stray(one: Reading) -> sql.Composable:
    """Return the condition that a row is one of %(strays)s; by its index if the key is one column."""
    return sql.SQL("{} = ANY(%(strays)s::text[]::{}[])").format(
        columns.own_key(one.row.table), sql.SQL(columns.key_type(one.row.table))
    )


def _copy(session: "Session", one: Reading, select: sql.Composed, parameters: dict[str, Any], own: Own) -> int:
    """Copy the records of the rows that ``select`` returns into the table that takes them; return how many."""
    read = 0
    into = sql.SQL("COPY incoming_record ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
    with session.cursor(name="people", row_factory=tuple_row) as rows, session.cursor() as writing:
        rows.execute(select, parameters or None)
        while some := rows.fetchmany(AT_ONCE):
            read += len(some)
            lines = "".join(_lines(one, some, own))
            with writing.copy(into) as copy:
                copy.write(lines)
    return read


def _lines(one: Reading, rows: Iterable[tuple[Any, ...]], own: Own) -> Iterator[str]:
    raw = one.raw
    for row in rows:
        record = normalise(raw(row), own)
        yield copy_line(record, block_keys(record))


def _write(
    session: "Session",
    read: int,
    whole: list[str],
    all_tables: bool,
    excluded: Mapping[int, tuple["UUID | None", tuple[str, ...]]],
) -> Changed:
    """Write what was copied; remove, of the tables that were read in full, the records whose row was deleted.

    ``excluded`` are those that were removed before.
    """
    if read > LISTED:
        session.execute("ANALYZE incoming_record")
    session.execute("CREATE TEMP TABLE changed_record ON COMMIT DROP AS " + query("identity_changed_records"))
    changed = warehouse.value(session, "SELECT count(*) FROM changed_record")
    removed = {**excluded, **_removed(session, whole, all_tables)}
    if _are_many(session, max(changed, len(removed))):
        with _Rebuilt(session):
            session.execute(query("identity_write_records"))
        session.execute("ANALYZE identity.record")
        return Changed(everything=True, read=read, changed=changed)
    written = session.execute(query("identity_write_records") + " RETURNING record_id, block_keys, (xmax = 0) AS new")
    after = {row["record_id"]: tuple(row["block_keys"]) for row in written}
    before: dict[int, tuple[str, ...]] = {key: keys for key, (_, keys) in removed.items()}
    edited = set()
    for row in session.execute(
        "SELECT record_id, keys_before, is_compared FROM changed_record WHERE record_id IS NOT NULL"
    ):
        if row["is_compared"]:
            before[row["record_id"]] = tuple(row["keys_before"])
        else:
            edited.add(row["record_id"])
            del after[row["record_id"]]
    return Changed(
        ids=frozenset(after),
        edited=frozenset(edited),
        removed={key: person for key, (person, _) in removed.items()},
        keys_before=before,
        keys_after=after,
        read=read,
        changed=changed,
    )


def _are_many(session: "Session", changed: int) -> bool:
    if not FEW < changed <= LISTED:
        return changed > LISTED
    return bool(changed > warehouse.value(session, "SELECT count(*) FROM identity.record") / 10)


def _removed(
    session: "Session", whole: list[str], all_tables: bool
) -> dict[int, tuple["UUID | None", tuple[str, ...]]]:
    """Remove the records of ``whole`` tables whose row was deleted, and of tables that hold no people any more."""
    if not whole:
        return {}
    rows = session.execute(
        query("identity_remove_records"), {"tables": whole, "known": sorted(KNOWN) if all_tables else None}
    )
    return {row["record_id"]: (row["person_id"], tuple(row["block_keys"])) for row in rows}


class _Rebuilt:
    """While much is written the GIN indexes of identity.record are away; they are made anew, as they were."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._made: list[str] = []

    def __enter__(self) -> None:
        for row in self._session.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'identity' AND tablename = 'record'"
            " AND indexdef LIKE '%USING gin%'"
        ).fetchall():
            self._made.append(row["indexdef"])
            self._session.execute(sql.SQL("DROP INDEX identity.{}").format(sql.Identifier(row["indexname"])))

    def __exit__(self, *failed: object) -> None:
        if failed[0] is None:
            for definition in self._made:
                self._session.execute(definition)
