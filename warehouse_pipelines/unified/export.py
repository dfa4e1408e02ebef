"""All that the warehouse knows of a person, as one document: what somebody may ask for who asks what is known of them.

It has their rows of every source, whole, as erasing would find them (``holdings``); the person with its household and
the evidence; leads with their history, consent and do-not-call entries; dead letters; and rows of other tables in
which they are recognised, such as an event that they attend. What is ours and says nothing of them is left out: hashes
and the keys of hashes. What is another person's is left out too, even where the two share a number.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import sql

from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import emptying, erasing_crm
from warehouse_pipelines.unified.every_organization import act_for, every_organization
from warehouse_pipelines.unified.holdings import DatabaseTable, rows_of, tables
from warehouse_pipelines.unified.subject import By, Rows, Subject, subject
from warehouse_pipelines.unified.token_scan import Tokens

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Row = dict[str, Any]

OURS = ["sync_hash", "phone_hash", "payload_hash", "open_key", "open_payload", "fingerprint", "block_keys"]
"""Columns that are hashes, or made of values that stand beside them."""

HISTORY = (
    "lead_status_history", "lead_audit_log", "lead_score_history", "lead_assignments", "lead_sequence_enrollments",
)  # fmt: skip


def person(session: "Session", by: By, value: str, person_ids: Sequence[UUID]) -> Row:
    """Return what is known of these persons, who are known by ``value``. Raises ``WrongUse`` for what is no value."""
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        whom = subject(session, person_ids, by, value)
        there = tables(session)
        rows = rows_of(session, whom)
        return {
            "exported_at": datetime.now(UTC).isoformat(),
            "known_by": {
                "emails": whom.emails, "phones": whom.phones, "shared_with_others": whom.shared,
            },
            "persons": _identity(session, whom),
            "records": {
                label: _rows(session, there[label], there[label].having(keys)) for label, keys in rows.items() if keys
            },
            "leads": _leads(session, whom),
            "do_not_call": _do_not_call(session, there["crm.dnc_list"], whom),
            "sent_to_vendors": _sent(session, rows),
            "could_not_be_loaded": _dead_letters(session, rows),
            "elsewhere": _elsewhere(session, there, whom, rows),
        }  # fmt: skip


def _select(session: "Session", statement: sql.SQL | sql.Composed, values: Any = None) -> list[Row]:
    return [_without_ours(row["found"]) for row in session.execute(statement, values).fetchall()]


def _without_ours(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in OURS and value is not None}


def _rows(session: "Session", table: DatabaseTable, condition: sql.Composable) -> list[Row]:
    statement = sql.SQL("SELECT to_jsonb(t) AS found FROM {} AS t WHERE {} ORDER BY {}").format(
        table.identifier, condition, table.key()
    )
    return [row for _ in every_organization(session, table) for row in _select(session, statement)]


def _identity(session: "Session", whom: Subject) -> list[Row]:
    ids = list(whom.person_ids)
    found = []
    for one in _select(
        session, sql.SQL("SELECT to_jsonb(p) AS found FROM identity.person AS p WHERE person_id = ANY(%s)"), [ids]
    ):
        value = [one["person_id"]]
        for name, statement in (
            ("household", "SELECT to_jsonb(h) AS found FROM identity.household AS h JOIN identity.person AS p"
             " USING (household_id) WHERE p.person_id = %s"),
            ("property", "SELECT to_jsonb(h) AS found FROM identity.property AS h JOIN identity.person AS p"
             " USING (property_id) WHERE p.person_id = %s"),
            ("former_ids", "SELECT to_jsonb(a) AS found FROM identity.alias AS a WHERE person_id = %s"),
            ("members", "SELECT to_jsonb(m) AS found FROM identity.member AS m WHERE person_id = %s"
             " ORDER BY record_id"),
            ("touches", "SELECT to_jsonb(t) AS found FROM identity.touch AS t WHERE person_id = %s"
             " ORDER BY record_id"),
        ):  # fmt: skip
            one[name] = _select(session, sql.SQL(statement), value)
        found.append(one)
    return found


def _leads(session: "Session", whom: Subject) -> list[Row]:
    found = []
    for lead in erasing_crm.leads(session, whom):
        act_for(session, lead["organization_id"])
        session.execute("SET LOCAL ROLE crm_owner")
        try:
            (row,) = _select(
                session, sql.SQL("SELECT to_jsonb(l) AS found FROM crm.leads AS l WHERE id = %s"), [lead["id"]]
            )
            for table in HISTORY:
                statement = sql.SQL("SELECT to_jsonb(h) AS found FROM {} AS h WHERE lead_id = %s ORDER BY 1").format(
                    sql.Identifier("crm", table)
                )
                row[table] = _select(session, statement, [lead["id"]])
            found.append(row)
        finally:
            session.execute("RESET ROLE")
    return found


def _do_not_call(session: "Session", table: DatabaseTable, whom: Subject) -> list[Row]:
    numbers = sorted({*whom.phones, *(one for one in whom.shared if one.startswith("+"))})
    return _rows(session, table, sql.SQL("t.phone = ANY({}::text[])").format(sql.Literal(numbers)))


def _sent(session: "Session", rows: Rows) -> list[Row]:
    """Return what was sent of these records to vendors; where only a name tells, ``elsewhere`` has it."""
    subjects = [f"{label}:{key}" for label, keys in rows.items() for key in keys]
    statement = "SELECT to_jsonb(r) AS found FROM reverse_etl.receipt AS r WHERE subject = ANY(%s) ORDER BY sent_at"
    return _select(session, sql.SQL(statement), [subjects])


def _dead_letters(session: "Session", rows: Rows) -> list[Row]:
    found: list[Row] = []
    for source in SOURCES:
        for entity in source.entities:
            if keys := rows.get(entity.table):
                found += _select(
                    session,
                    sql.SQL(
                        "SELECT to_jsonb(d) AS found FROM orchestration.dead_letter AS d"
                        " WHERE crm_source = %s AND sync_type = %s AND record_key = ANY(%s) ORDER BY id"
                    ),
                    [source.name, entity.name, list(keys)],
                )
    return found


def _elsewhere(session: "Session", there: dict[str, DatabaseTable], whom: Subject, rows: Rows) -> dict[str, list[Row]]:
    """Return the rows of other tables in which they are recognised, and that are nobody else's."""
    tokens, found = Tokens(whom), {}
    for label, table in there.items():
        if table.schema in ("identity", "crm", "crm_archive"):
            continue  # said above
        hits = tokens.rows(session, table)
        known = rows.get(label, frozenset()) | emptying.others(session, table, whom, hits)
        places = [hit.place for hit in hits if hit.key not in known]
        if places:
            here = sql.SQL("t.ctid = ANY({}::text[]::tid[])").format(sql.Literal(places))
            found[label] = _rows(session, table, here)
    return found
