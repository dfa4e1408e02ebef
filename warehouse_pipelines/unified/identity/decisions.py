"""What people decide of two records: rows of ``identity.decision``, which hold in every run.

    confirm(session, "hubspot_contact:1", "five9_contact:7", by="ann")    # one person, whatever they are called
    reject(session, person, other_person, by="ann")                      # two people
    split(session, "five9_contact:7", by="ann")                          # not with those it is with now
    withdraw(session, [decision_id])

A record is called ``table:key``; a person by its id, or by one that was merged into it. Decisions are of records,
because people come and go: of two people the pair with the best edge is taken, else the first records by name. The next
run acts on them: the functions note the records in ``identity.pending``.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.identity.resolve import lock

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Name = tuple[str, str]
Command = Literal["confirm", "reject", "split"]


@dataclass(frozen=True)
class Decision:
    """A row of ``identity.decision``."""

    decision_id: int
    verdict: Literal["same", "apart"]
    a: Name
    b: Name
    command: Command
    decided_by: str


@dataclass(frozen=True)
class Meant:
    """What somebody means by a text: a person, and the one record where it names one."""

    person_id: uuid.UUID | None
    record: Name | None
    kind: str


def find(session: "Session", text: str) -> Meant:
    """Return what is meant by ``table:key`` or an id. Raises ``WrongUse`` when there is no such record or person."""
    text = text.encode(errors="replace").decode()  # an argument may be no UTF-8
    table, colon, key = text.strip().partition(":")
    if colon:
        row = session.execute(
            "SELECT r.source_table, r.source_key, r.kind, m.person_id"
            " FROM identity.record AS r LEFT JOIN identity.member AS m USING (record_id)"
            " WHERE (r.source_table, r.source_key) = (%s, %s)",
            [table, key],
        ).fetchone()
        if row is None:
            raise WrongUse(f"there is no record {text}: nothing of it was read, or it has no name and no number")
        return Meant(row["person_id"], (row["source_table"], row["source_key"]), row["kind"])
    try:
        person = uuid.UUID(text.strip())
    except ValueError:
        raise WrongUse(f"{text!r} is no person's id, and no record such as hubspot_contact:123") from None
    row = session.execute(
        "SELECT p.person_id, p.kind FROM identity.person AS p"
        " WHERE p.person_id IN (%(id)s, (SELECT a.person_id FROM identity.alias AS a WHERE a.alias_id = %(id)s))",
        {"id": person},
    ).fetchone()
    if row is None:
        raise WrongUse(f"there is no person {person}")
    return Meant(row["person_id"], None, row["kind"])


def confirm(session: "Session", a: str, b: str, *, by: str, reason: str | None = None) -> Decision:
    """Decide that two records, or people, are one person.

    Raises ``WrongUse`` for staff with a customer, what cannot be found, and while another decision keeps them apart.
    """
    with session.transaction():
        lock(session)
        one, other = find(session, a), find(session, b)
        if one.kind != other.kind or "touch" in (one.kind, other.kind):
            raise WrongUse(f"{a} is {_a(one.kind)}, {b} is {_a(other.kind)}: they are no one person")
        if one.record is not None and one.record == other.record:
            raise WrongUse(f"{a} is one record")
        if one.person_id == other.person_id and None in (one.record, other.record):
            raise WrongUse("they are one person already")
        pair = standing_for(session, one, other)
        for found in between(session, (one.person_id, other.person_id)):
            if {found.a, found.b} != set(pair):
                raise WrongUse(
                    f"decision {found.decision_id} of {found.decided_by} keeps {_text(found.a)} and {_text(found.b)}"
                    " apart: withdraw it first"
                )
        return _decide(session, "same", "confirm", pair, by, reason)


def reject(session: "Session", a: str, b: str, *, by: str, reason: str | None = None) -> Decision:
    """Decide that two records, or people, are two. Raises ``WrongUse`` for what cannot be found, or is one record."""
    with session.transaction():
        lock(session)
        one, other = find(session, a), find(session, b)
        if one.person_id == other.person_id and None in (one.record, other.record):
            raise WrongUse("they are one person: name the two records that are not, or split one")
        if one.record is not None and one.record == other.record:
            raise WrongUse(f"{a} is one record")
        return _decide(session, "apart", "reject", standing_for(session, one, other), by, reason)


def split(session: "Session", record: str, *, by: str, reason: str | None = None) -> list[Decision]:
    """Decide that a record is nobody of those it is with. Raises ``WrongUse`` when it is alone, or no record."""
    with session.transaction():
        lock(session)
        meant = find(session, record)
        if meant.record is None:
            raise WrongUse(f"{record} is a person: name the record that is somebody else's")
        others = session.execute(
            "SELECT source_table, source_key FROM identity.member"
            " WHERE person_id = %s AND (source_table, source_key) <> (%s, %s) ORDER BY source_table, source_key",
            [meant.person_id, *meant.record],
        ).fetchall()
        if not others:
            raise WrongUse(f"{record} is alone already")
        return [
            _decide(session, "apart", "split", (meant.record, (row["source_table"], row["source_key"])), by, reason)
            for row in others
        ]


def withdraw(session: "Session", decision_ids: Collection[int]) -> list[Decision]:
    """Take decisions back. Raises ``WrongUse`` for one that does not hold."""
    with session.transaction():
        lock(session)
        rows = session.execute(
            "UPDATE identity.decision SET withdrawn_at = now() WHERE decision_id = ANY (%s) AND withdrawn_at IS NULL"
            " RETURNING *",
            [list(decision_ids)],
        ).fetchall()
        if missing := set(decision_ids) - {row["decision_id"] for row in rows}:
            raise WrongUse(f"no such decision holds: {', '.join(map(str, sorted(missing)))}")
        found = [_decision(row) for row in rows]
        for one in found:
            _note(session, (one.a, one.b))
        return found


def holding(session: "Session", names: Sequence[Name] | None = None) -> list[Decision]:
    """Return the decisions that hold, of these records or all, the earliest first."""
    wanted = None if names is None else set(names)
    rows = session.execute("SELECT * FROM identity.decision WHERE withdrawn_at IS NULL ORDER BY decision_id").fetchall()
    return [one for one in map(_decision, rows) if wanted is None or {one.a, one.b} & wanted]


def _decide(
    session: "Session", verdict: Literal["same", "apart"], command: Command, pair: tuple[Name, Name], by: str,
    reason: str | None,
) -> Decision:  # fmt: skip
    a, b = sorted(pair)
    session.execute(
        "UPDATE identity.decision SET withdrawn_at = now() WHERE (a_table, a_key, b_table, b_key) = (%s, %s, %s, %s)"
        " AND withdrawn_at IS NULL AND verdict <> %s",
        [*a, *b, verdict],
    )
    [row] = session.execute(
        """
        INSERT INTO identity.decision AS d (verdict, command, a_table, a_key, b_table, b_key, reason, decided_by)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (a_table, a_key, b_table, b_key) WHERE withdrawn_at IS NULL
                DO UPDATE SET reason = coalesce(excluded.reason, d.reason)
            RETURNING *
        """,
        [verdict, command, *a, *b, reason, by],
    )
    _note(session, (a, b))
    return _decision(row)


def standing_for(session: "Session", one: Meant, other: Meant) -> tuple[Name, Name]:
    """Return the two records that stand for what was meant. Raises ``WrongUse`` when one is nobody yet."""
    if one.record is not None and other.record is not None:
        return one.record, other.record
    row = session.execute(
        """
        SELECT a.source_table AS a_table, a.source_key AS a_key, b.source_table AS b_table, b.source_key AS b_key
        FROM identity.member AS a
            CROSS JOIN identity.member AS b
            LEFT JOIN identity.edge AS e
                ON e.a_id = least(a.record_id, b.record_id) AND e.b_id = greatest(a.record_id, b.record_id)
        WHERE a.person_id = %(one)s AND b.person_id = %(other)s
            AND (%(a_table)s::text IS NULL OR (a.source_table, a.source_key) = (%(a_table)s, %(a_key)s))
            AND (%(b_table)s::text IS NULL OR (b.source_table, b.source_key) = (%(b_table)s, %(b_key)s))
        ORDER BY e.score DESC NULLS LAST, a.source_table, a.source_key, b.source_table, b.source_key
        LIMIT 1
        """,
        {
            "one": one.person_id,
            "other": other.person_id,
            **dict(zip(("a_table", "a_key"), one.record or (None, None), strict=True)),
            **dict(zip(("b_table", "b_key"), other.record or (None, None), strict=True)),
        },
    ).fetchone()
    if row is None:
        raise WrongUse("one of the two is nobody yet: run `warehouse identity run` first")
    return (row["a_table"], row["a_key"]), (row["b_table"], row["b_key"])


def between(session: "Session", persons: tuple[uuid.UUID | None, uuid.UUID | None]) -> list[Decision]:
    """Return the decisions that keep two people apart."""
    rows = session.execute(
        """
        SELECT d.*
        FROM identity.decision AS d
            JOIN identity.member AS a ON a.source_table = d.a_table AND a.source_key = d.a_key
            JOIN identity.member AS b ON b.source_table = d.b_table AND b.source_key = d.b_key
        WHERE d.withdrawn_at IS NULL AND d.verdict = 'apart' AND a.person_id <> b.person_id
            AND a.person_id = ANY (%s) AND b.person_id = ANY (%s)
        ORDER BY d.decision_id
        """,
        [list(persons), list(persons)],
    ).fetchall()
    return [_decision(row) for row in rows]


def _note(session: "Session", names: Collection[Name]) -> None:
    for name in names:
        session.execute(
            "INSERT INTO identity.pending (record_id) SELECT record_id FROM identity.record"
            " WHERE (source_table, source_key) = (%s, %s) ON CONFLICT DO NOTHING",
            name,
        )


def _decision(row: dict[str, Any]) -> Decision:
    return Decision(
        row["decision_id"], row["verdict"], (row["a_table"], row["a_key"]), (row["b_table"], row["b_key"]),
        row["command"], row["decided_by"],
    )  # fmt: skip


def _text(name: Name) -> str:
    return ":".join(name)


def _a(kind: str) -> str:
    return "of staff" if kind == "staff" else f"a {kind}"
