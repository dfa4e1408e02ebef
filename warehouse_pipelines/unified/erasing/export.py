"""All that the warehouse knows of a person, as one document: what somebody may ask for who asks what is known of them.

It has their rows of every source, whole, as erasing would find them (``holdings``), what was logged of changes in them
and what could not be loaded; the person with its household, the records as they are compared, and the evidence; leads
with their history, consent and do-not-call entries; and rows of other tables in which they are recognised, such as an
event that they attend. So each table in which an erasure does something is here; a test compares the two. What is ours
and says nothing of them is left out: hashes and the keys of hashes. What is another person's is left out too, even
where the two share a number.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import sql

from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.acting import act_for, as_role
from warehouse_pipelines.unified.erasing import crm as erasing_crm
from warehouse_pipelines.unified.erasing import emptying
from warehouse_pipelines.unified.erasing.holdings import DatabaseTable, rows_of, tables
from warehouse_pipelines.unified.erasing.subject import By, Rows, Subject, subject
from warehouse_pipelines.unified.erasing.token_scan import Tokens
from warehouse_pipelines.unified.every_organization import every_organization

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Row = dict[str, Any]

OURS = [
    "sync_hash",
    "phone_hash",
    "email_hash",
    "payload_hash",
    "open_key",
    "open_payload",
    "fingerprint",
    "block_keys",
]
"""Columns that are hashes, or made of values that stand beside them."""

HISTORY = (
    "lead_status_history", "lead_audit_log", "lead_score_history", "lead_assignments", "lead_sequence_enrollments",
    "lead_feed", "lead_import_row", "sequence_message",
)  # fmt: skip
"""The tables of ``crm`` that have a lead's id, but for the do-not-call list."""

PARTS = ("crm.lead_audit_log_", "crm.lead_status_history_")
"""Of tables of ``HISTORY`` that are in parts."""

OF_PERSON: Mapping[str, tuple[str, str]] = {
    "household": ("identity.household", "household_id = (SELECT p.household_id FROM identity.person AS p"
                  " WHERE p.person_id = %(id)s)"),
    "property": ("identity.property", "property_id = (SELECT p.property_id FROM identity.person AS p"
                 " WHERE p.person_id = %(id)s)"),
    "former_ids": ("identity.alias", "person_id = %(id)s"),
    "members": ("identity.member", "person_id = %(id)s"),
    "touches": ("identity.touch", "person_id = %(id)s"),
    "compared": ("identity.record", "record_id = ANY(%(records)s)"),
    "pairs": ("identity.edge", "a_id = ANY(%(records)s) OR b_id = ANY(%(records)s)"),
    "to_decide": ("identity.review", "a_id = ANY(%(records)s) OR b_id = ANY(%(records)s)"),
    "decided": ("identity.decision", "a_table || ' ' || a_key = ANY(%(names)s)"
                " OR b_table || ' ' || b_key = ANY(%(names)s)"),
    "merged_with": ("identity.former_member", "source_table || ' ' || source_key = ANY(%(names)s)"),
    "proposed": ("identity.erasure_proposal", "source_table || ' ' || source_key = ANY(%(names)s)"),
}  # fmt: skip
"""What the schema ``identity`` has of a person: its table, and the condition of the rows."""


def person(session: "Session", by: By, value: str, person_ids: Sequence[UUID]) -> Row:
    """Return what is known of these persons, who are known by ``value``. Raises ``WrongUse`` for what is no value."""
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        whom = subject(session, person_ids, by, value)
        there = tables(session)
        rows = rows_of(session, there, whom)
        return {
            "exported_at": datetime.now(UTC).isoformat(),
            "known_by": {
                "emails": whom.emails, "phones": whom.phones, "shared_with_others": whom.shared,
            },
            "persons": _identity(session, whom),
            "records": {
                label: _rows(session, there[label], there[label].having(keys)) for label, keys in rows.items() if keys
            },
            "leads": _leads(session, there, whom),
            "do_not_call": _do_not_call(session, there["crm.dnc_list"], whom),
            "consent": _consent(session, there["crm.consent_fact"], whom, rows),
            "sent_to_vendors": _sent(session, rows),
            "could_not_be_loaded": _dead_letters(session, rows),
            "changes": _changes(session, rows),
            "deleted_and_restored": _audited(session, rows),
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
    found = []
    for one in _select(
        session,
        sql.SQL("SELECT to_jsonb(p) AS found FROM identity.person AS p WHERE person_id = ANY(%s)"),
        [list(whom.person_ids)],
    ):
        theirs = session.execute(
            "SELECT record_id, source_table || ' ' || source_key AS name FROM identity.record"
            " JOIN identity.member USING (record_id, source_table, source_key) WHERE person_id = %(id)s"
            " UNION SELECT record_id, source_table || ' ' || source_key FROM identity.touch WHERE person_id = %(id)s",
            {"id": one["person_id"]},
        ).fetchall()
        values = {
            "id": one["person_id"], "records": [row["record_id"] for row in theirs],
            "names": [row["name"] for row in theirs],
        }  # fmt: skip
        for name, (table, condition) in OF_PERSON.items():
            statement = f"SELECT to_jsonb(t) AS found FROM {table} AS t WHERE {condition} ORDER BY t"  # noqa: S608
            one[name] = _select(session, sql.SQL(statement), values)
        found.append(one)
    return found


def _leads(session: "Session", there: dict[str, DatabaseTable], whom: Subject) -> list[Row]:
    found = []
    for lead in erasing_crm.leads(session, whom):
        act_for(session, lead["organization_id"])
        with as_role(session, "crm_owner"):
            (row,) = _select(
                session, sql.SQL("SELECT to_jsonb(l) AS found FROM crm.leads AS l WHERE id = %s"), [lead["id"]]
            )
            archived = [(table.name, table.identifier) for table in there.values() if table.schema == "crm_archive"]
            for table, name in (*((table, sql.Identifier("crm", table)) for table in HISTORY), *archived):
                statement = sql.SQL("SELECT to_jsonb(h) AS found FROM {} AS h WHERE lead_id = %s ORDER BY 1")
                row[table] = _select(session, statement.format(name), [lead["id"]])
            found.append(row)
    return found


def _do_not_call(session: "Session", table: DatabaseTable, whom: Subject) -> list[Row]:
    numbers = sorted({*whom.phones, *(one for one in whom.shared if one.startswith("+"))})
    return _rows(session, table, sql.SQL("t.phone = ANY({}::text[])").format(sql.Literal(numbers)))


def _consent(session: "Session", table: DatabaseTable, whom: Subject, rows: Rows) -> list[Row]:
    keys = [f"{label} {key}" for label, some in rows.items() for key in some]
    condition = sql.SQL("t.phone = ANY({}::text[]) OR t.source_table || ' ' || t.source_key = ANY({}::text[])").format(
        sql.Literal(list(whom.phones)), sql.Literal(sorted(keys))
    )
    return _rows(session, table, condition)


def _changes(session: "Session", rows: Rows) -> list[Row]:
    """Return what was logged of changes in these rows."""
    return [
        row
        for label, keys in rows.items()
        for row in _select(
            session,
            sql.SQL(
                "SELECT to_jsonb(c) AS found FROM orchestration.change_log AS c"
                " WHERE table_name = %s AND record_key = ANY(%s) ORDER BY 1"
            ),
            [label, list(keys)],
        )
    ]


def _audited(session: "Session", rows: Rows) -> list[Row]:
    """Return who qualified, deleted or restored these rows of PipeDesk's, and why."""
    statement = sql.SQL(
        "SELECT to_jsonb(a) AS found FROM pipedesk.audit_logs AS a WHERE source_table = %s AND source_key = ANY(%s)"
        " ORDER BY id"
    )
    return [row for label, keys in rows.items() for row in _select(session, statement, [label, list(keys)])]


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
    said = {"identity.person", *(table for table, _ in OF_PERSON.values())}
    said |= {f"crm.{name}" for name in ("leads", "dnc_list", "consent_fact", *HISTORY)}
    for label, table in there.items():
        if label in said or label.startswith(PARTS):
            continue
        hits = tokens.rows(session, table)
        known = rows.get(label, frozenset()) | emptying.others(session, table, whom, hits)
        places = [hit.place for hit in hits if hit.key not in known]
        if places:
            here = sql.SQL("t.ctid = ANY({}::text[]::tid[])").format(sql.Literal(places))
            found[label] = _rows(session, table, here)
    return found
