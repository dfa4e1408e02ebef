"""Erase a person from the warehouse: a plan, the erasure, its certificate.

What is done, in one transaction, so that an erasure that is killed has done nothing:

1. Rows of sources that are the person's (``holdings``) lose what says something of them (``personal``), ``raw_data``
   with it. The row itself stays, with its key, times, amounts and statuses: sums and counts do not change.
2. Their records, evidence, decisions and the person itself are deleted from ``identity``; a household without anybody
   goes too.
3. ``crm.erase_lead`` takes their leads out of ``crm``, its logs and filters; their numbers stay listed by a keyed hash.
4. Their dead letters and received events are deleted, and so are all rows of marts that wait to be summed.
5. Wherever else something of them is found (``token_scan``), ``[erased]`` stands in its place.
6. Their keys, addresses and numbers are listed as hashes, by which ``loading.erased`` keeps them out.
7. Everything is searched once more, and the certificate says what is left, and why.

The plan is the erasure itself, undone: so it says exactly what would be done.

Files (``erasing_files``) come first, before the transaction: once the rows are erased nobody knows what to look for.
Who is killed between the two has masked a few lines of logs, and does the same again.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import psycopg
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import TryAgain
from warehouse_pipelines.loading.erased import LOCK, record_digest
from warehouse_pipelines.loading.erased_values import listed
from warehouse_pipelines.unified.erasing import (
    crm as erasing_crm,
)
from warehouse_pipelines.unified.erasing import (
    emptying,
)
from warehouse_pipelines.unified.erasing import (
    files as erasing_files,
)
from warehouse_pipelines.unified.erasing import (
    identity as erasing_identity,
)
from warehouse_pipelines.unified.erasing.emptying import Part
from warehouse_pipelines.unified.erasing.files import FoundFile, Places
from warehouse_pipelines.unified.erasing.holdings import DatabaseTable, rows_of, tables
from warehouse_pipelines.unified.erasing.subject import By, Rows, Subject, subject
from warehouse_pipelines.unified.erasing.token_scan import Hit, Tokens
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines.unified.marts import sums
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

AskedBy = Literal["email", "phone", "person", "record", "proposal"]

DELETED_WHOLE = frozenset({
    "orchestration.change_log", "orchestration.dead_letter", "orchestration.webhook_inbox",
    "pipedesk.calendar_events_archive", "reverse_etl.plan_item", "reverse_etl.receipt",
})  # fmt: skip
"""Tables of what vendors sent, of what was sent to them, and of cancelled events: a row that has something of the
person is deleted."""

SENT = ("plan_item", "receipt")
"""Tables of ``reverse_etl`` that name of whom a row is."""

RUNS = ("warehouse:marts", "warehouse:identity", "warehouse:feed")
"""Locks of the runs that must not be under way, or what they have read would come back by them. That of the marts comes
first, because it may be waited for the longest. A plan does without it: what it does is undone."""

PASSES = 3
"""Triggers write what was replaced into a log, which is searched in the next pass."""


@dataclass(frozen=True)
class Left:
    """Rows of a table that still have something of the person, and why."""

    table: str
    rows: int
    why: Literal["another person's", "cannot be changed"]


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What was done, or would be: rows by table, and what is left. Nothing in it names anybody.

    ``shared`` counts addresses and numbers that somebody else has too: they stay with the others.
    """

    number: int = 0
    persons: int = 0
    parts: tuple[Part, ...] = ()
    left: tuple[Left, ...] = ()
    shared: int = 0
    files: tuple[FoundFile, ...] = ()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing of this person."""
        return not self.persons and not self.rows and not self.files


def plan(
    session: "Session", by: By, value: str, person_ids: Sequence[UUID], places: Places | None = None
) -> Certificate:
    """Return what erasing would do. Raises as ``erase`` does."""
    files = erasing_files.search(subject(session, person_ids, by, value), places, change=False)
    with session.transaction(force_rollback=True):
        return _erase(session, RUNS[1:], by, value, person_ids, files, asked_by=by, erased_by="nobody")


def erase(
    session: "Session", by: By, value: str, person_ids: Sequence[UUID], *, erased_by: str,
    asked_by: AskedBy | None = None, places: Places | None = None,
) -> Certificate:  # fmt: skip
    """Erase these persons, who are known by ``value``, here and in the files at these ``places``.

    Raises ``TryAgain`` when a run holds rows of theirs for too long, and ``WrongUse`` for a value that cannot be one.
    """
    files = erasing_files.search(subject(session, person_ids, by, value), places, change=True)
    with session.transaction():
        done = _erase(session, RUNS, by, value, person_ids, files, asked_by=asked_by or by, erased_by=erased_by)
    _vacuum(session, done)
    return done


def _vacuum(session: "Session", done: Certificate) -> None:
    """Let PostgreSQL forget the old versions of the rows, which it keeps until then."""
    found = session.execute(
        "SELECT n.nspname AS schema, c.relname AS name FROM unnest(%s::text[]) AS label"
        " JOIN pg_class AS c ON c.oid = to_regclass(label) JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r'",
        [sorted({part.table for part in done.parts if part.rows})],
    ).fetchall()
    for table in found:
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            session.execute(sql.SQL("VACUUM (SKIP_LOCKED) {}").format(sql.Identifier(table["schema"], table["name"])))


def _erase(
    session: "Session", runs: Sequence[str], by: By, value: str, person_ids: Sequence[UUID],
    files: Sequence[FoundFile], *, asked_by: AskedBy, erased_by: str,
) -> Certificate:  # fmt: skip
    try:
        session.execute(
            "SELECT set_config('lock_timeout', '30s', true), set_config('jit', 'off', true),"
            " set_config('warehouse.erasing', 'on', true)"  # mirrored rows and logs that nothing else changes
        )
        for run in runs:
            session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [run])
        session.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        return _locked(session, subject(session, person_ids, by, value), person_ids, files, asked_by, erased_by)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TryAgain(
            "a run of people, leads or marts is under way, or holds rows of this person; nothing was erased. Try again"
            " when it has ended: `warehouse status`."
        ) from error


def _locked(
    session: "Session", whom: Subject, person_ids: Sequence[UUID], files: Sequence[FoundFile], asked_by: AskedBy,
    erased_by: str,
) -> Certificate:  # fmt: skip
    sums.forget_rows(session)
    there, tokens = tables(session), Tokens(whom)
    rows = rows_of(session, there, whom)
    entered = frozenset(str(lead["id"]) for lead in erasing_crm.leads(session, whom))
    parts = _take_out(session, there, whom, rows, {ENTERED.table: entered})
    parts += erasing_crm.erase(session, whom, rows)
    left: list[Left] = []
    searched = there
    for _ in range(PASSES):
        hits = {label: found for label, table in searched.items() if (found := tokens.rows(session, table))}
        searched = {label: table for label, table in there.items() if label in hits or table.schema.startswith("crm")}
        if unknown := _own_rows(session, there, tokens, hits):
            more = rows_of(session, there, whom, unknown)
            new = {label: keys - rows.get(label, frozenset()) for label, keys in more.items()}
            done = _take_out(session, there, whom, new)
            rows = more
        else:
            left, done = _replace(session, there, tokens, whom, hits)
        parts += done
        if not any(part.rows for part in done):
            break
    certificate = Certificate(
        persons=len(person_ids), parts=tuple(merged(parts)), left=tuple(left), shared=len(whom.shared),
        files=tuple(files),
    )  # fmt: skip
    if certificate.nothing:
        return certificate
    number = _certify(session, certificate, asked_by, erased_by)
    _list(session, number, whom, rows)
    return replace(certificate, number=number)


def _take_out(
    session: "Session", there: dict[str, DatabaseTable], whom: Subject, rows: Rows, entered: Rows | None = None
) -> list[Part]:
    """Empty rows of sources that are theirs, and forget the records made of them and of ``entered`` leads."""
    return [
        *emptying.empty(session, there, rows),
        *erasing_identity.erase(session, whom, {**rows, **(entered or {})}),
        Part("orchestration.dead_letter", "delete", emptying.delete_dead_letters(session, rows)),
        Part("orchestration.change_log", "delete", emptying.delete_changes(session, rows)),
        Part("pipedesk.audit_logs", "empty", emptying.empty_audit(session, rows), ("reason",)),
        *(Part(f"reverse_etl.{table}", "delete", emptying.delete_sent(session, table, rows)) for table in SENT),
    ]


def _own_rows(
    session: "Session", there: dict[str, DatabaseTable], tokens: Tokens, hits: dict[str, list[Hit]]
) -> dict[str, frozenset[str]]:
    """Return the rows of people that are theirs though identity does not know them, or not yet.

    Those are rows whose own address or number it is; somebody's note that has it is none.
    """
    found = {}
    for label, row in BY_TABLE.items():
        if label in hits and row.kind != "staff":
            keys = emptying.own(session, there[label], tokens, [hit.place for hit in hits[label]])
            if keys:
                found[label] = frozenset(keys)
    return found


def _replace(
    session: "Session", there: dict[str, DatabaseTable], tokens: Tokens, whom: Subject, hits: dict[str, list[Hit]]
) -> tuple[list[Left], list[Part]]:
    """Replace what was found; return what cannot be replaced, and what was done."""
    left, parts = [], []
    for label, found in hits.items():
        table = there[label]
        if label in DELETED_WHOLE:
            deleted = emptying.delete_places(session, table, [hit.place for hit in found])
            parts.append(Part(label, "delete", deleted))
            continue
        others = emptying.others(session, table, whom, found)
        everything = [hit.place for hit in found if hit.key not in others]
        strong = [hit.place for hit in found if hit.key in others and hit.strong]
        for places, strong_only in ((everything, False), (strong, True)):
            done = _scrub(session, table, tokens, places, strong_only=strong_only)
            parts.append(Part(label, "replace", done))
            if len(places) > done:
                left.append(Left(label, len(places) - done, "cannot be changed"))
        if theirs := sum(hit.key in others and not hit.strong for hit in found):
            left.append(Left(label, theirs, "another person's"))
    return left, parts


def _scrub(
    session: "Session", table: DatabaseTable, tokens: Tokens, places: Sequence[str], *, strong_only: bool
) -> int:
    """Replace what was found in rows; 0 where a rule of the table refuses it."""
    try:
        with session.transaction():
            return tokens.scrub(session, table, places, strong_only=strong_only)
    except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.InsufficientPrivilege):
        return 0


def _certify(session: "Session", found: Certificate, asked_by: AskedBy, erased_by: str) -> int:
    number = warehouse.value(
        session,
        "INSERT INTO identity.erasure (asked_by, erased_by, persons, rows, counts, residual, files)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING erasure_id",
        [
            asked_by,
            erased_by,
            found.persons,
            found.rows,
            json.dumps([{"table": one.table, "action": one.action, "rows": one.rows} for one in found.parts]),
            json.dumps([asdict(one) for one in found.left]),
            json.dumps([asdict(one) for one in found.files]),
        ],
    )
    return int(number)


def _list(session: "Session", number: int, whom: Subject, rows: Rows) -> None:
    """List what must not come back. What an employee is known by stands in customers' records, which must come back."""
    key = bytes(warehouse.value(session, "SELECT key FROM identity.erasure_key"))
    entries: list[tuple[str, bytes, str | None]] = [
        ("record", record_digest(key, table, source_key), table) for table, keys in rows.items() for source_key in keys
    ]
    if not whom.staff:
        entries += [(*one, None) for one in listed(key, whom.emails, whom.mailboxes, whom.phones)]
    with session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO identity.tombstone (kind, digest, source_table, erasure_id) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [(*one, number) for one in entries],
        )


def merged(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with one for each table and action."""
    found: dict[tuple[str, str], Part] = {}
    for part in parts:
        if not part.rows:
            continue
        before = found.get((part.table, part.action))
        columns = tuple(dict.fromkeys((*(before.columns if before else ()), *part.columns)))
        found[part.table, part.action] = Part(
            part.table, part.action, part.rows + (before.rows if before else 0), columns
        )
    return sorted(found.values(), key=lambda part: (part.table, part.action))
