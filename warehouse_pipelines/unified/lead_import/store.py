"""What an import writes to and asks of ``crm``, in its transaction: leads, do-not-call entries, what became of rows."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.acting import as_role
from warehouse_pipelines.unified.lead_import.merging import Outcome
from warehouse_pipelines.unified.lead_import.refusals import CHANNELS
from warehouse_pipelines.unified.lead_import.values import LeadRow

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

STATUSES = (
    "new", "contacted", "qualified", "appointment_set", "proposal", "nurturing", "won", "lost", "disqualified",
)  # fmt: skip

TYPES = {
    "id": "uuid", "first_name": "text", "last_name": "text", "email": "text", "phone": "text", "status": "text",
    "source": "text", "source_metadata": "jsonb", "tags": "text[]", "timezone": "text", "division": "text",
    "postal_code": "text", "owner_id": "uuid", "value_usd": "numeric", "consent": "jsonb",
}  # fmt: skip
"""The columns of ``crm.leads`` that an import writes."""

NO_PHONE: Sequence[str | None] = (None,)

_COLUMNS = ", ".join(TYPES)
_RECORD = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
_SET = ", ".join(f"{name} = r.{name}" for name in TYPES if name != "id")

INSERT = f"""INSERT INTO crm.leads (organization_id, {_COLUMNS}, created_at, status_changed_at)
    SELECT %s, {", ".join(f"r.{name}" for name in TYPES)}, coalesce(r.created_at, now()), coalesce(r.created_at, now())
    FROM jsonb_to_recordset(%s::jsonb) AS r ({_RECORD}, created_at timestamptz)"""  # noqa: S608 - names of ours

UPDATE = f"""UPDATE crm.leads AS l SET {_SET} FROM jsonb_to_recordset(%s::jsonb) AS r ({_RECORD})
    WHERE l.organization_id = %s AND l.id = r.id"""  # noqa: S608 - names of ours

ROWS = """WITH l AS MATERIALIZED (
        SELECT l.id, crm.lead_fingerprint(l) AS fingerprint FROM crm.leads AS l
        WHERE l.organization_id = %(organization_id)s AND l.id = ANY (%(changed)s::uuid[]))
    INSERT INTO crm.lead_import_row
        (organization_id, import_id, row_number, outcome, lead_id, same_as_row, remarks, changes, fingerprint)
    SELECT %(organization_id)s, %(import_id)s, r.row, r.outcome, r.lead_id, r.same_as_row, r.remarks, r.changes,
        CASE WHEN r.outcome IN ('created', 'updated') THEN l.fingerprint END
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (row integer, outcome text, lead_id uuid, same_as_row integer,
        remarks text[], changes jsonb) LEFT JOIN l ON l.id = r.lead_id"""

COUNTED = """UPDATE crm.lead_import SET rows_read = %(number)s, created = created + %(created)s,
    updated = updated + %(updated)s, duplicates = duplicates + %(duplicate)s, refused = refused + %(refused)s
    WHERE organization_id = %(organization_id)s AND id = %(import_id)s"""

READ_AGAIN = """DELETE FROM crm.lead_import_row
    WHERE organization_id = %(organization_id)s AND import_id = %(import_id)s AND outcome = 'unread'"""

UNREAD = """INSERT INTO crm.lead_import_row (organization_id, import_id, row_number, outcome, remarks)
    VALUES (%(organization_id)s, %(import_id)s, %(row)s, 'unread', ARRAY[%(why)s])"""

END = """UPDATE crm.lead_import SET
    status = CASE WHEN %(row)s::integer IS NULL THEN 'complete' ELSE status END,
    finished_at = CASE WHEN %(row)s::integer IS NULL THEN now() END
    WHERE organization_id = %(organization_id)s AND id = %(import_id)s RETURNING *"""


def as_json(rows: object) -> str:
    """Return rows as JSON. An amount is a text, so that no float comes between."""

    def other(value: object) -> str:
        if isinstance(value, Decimal):
            return str(value)
        if hasattr(value, "isoformat"):
            return str(value.isoformat())
        raise TypeError(type(value).__name__)

    return json.dumps(rows, default=other)


def allowed_statuses(session: "Session") -> dict[str, Sequence[str]]:
    """Return, by status, those that the state machine allows after it."""
    found = session.execute(
        "SELECT s AS status, crm.next_statuses(s) AS next FROM unnest(%s::text[]) AS s", [list(STATUSES)]
    )
    return {row["status"]: row["next"] for row in found}


def mapped_statuses(session: "Session") -> dict[str, tuple[str, Sequence[str]]]:
    """Return what status words of files mean, by ``crm.status_mapping``, and the channels that they forbid."""
    found = session.execute(
        "SELECT source_status, status, opt_out FROM crm.status_mapping WHERE source = 'import'"
    ).fetchall()
    return {
        row["source_status"]: (row["status"], [one for one in row["opt_out"] or () if one in CHANNELS]) for row in found
    }


def listed_keys(session: "Session", organization_id: UUID, rows: Sequence[LeadRow]) -> frozenset[str]:
    """Return the numbers and addresses of the rows that are on the do-not-call list."""
    given = {
        "organization_id": organization_id,
        "phones": list({phone for row in rows for phone in row.phones}),
        "emails": list({email for row in rows for email in row.emails}),
    }
    return frozenset(row["listed"] for row in session.execute(query("lead_import_listed"), given))


def rows_that_made(session: "Session", organization_id: UUID, import_id: str, ids: Sequence[str]) -> dict[str, int]:
    """Return, of these leads, the row of this import that made each."""
    found = session.execute(
        "SELECT lead_id::text, row_number FROM crm.lead_import_row WHERE organization_id = %s AND import_id = %s"
        " AND lead_id = ANY (%s::uuid[]) AND outcome = 'created'",
        [organization_id, import_id, list(ids)],
    )
    return {row["lead_id"]: row["row_number"] for row in found}


def insert_leads(session: "Session", organization_id: UUID, leads: Sequence[dict[str, Any]]) -> None:
    """Add new leads."""
    if leads:
        session.execute(INSERT, [organization_id, as_json(leads)])


def update_leads(session: "Session", organization_id: UUID, leads: Sequence[dict[str, Any]]) -> None:
    """Write changed leads."""
    if leads:
        session.execute(UPDATE, [as_json(leads), organization_id])


def forbid(session: "Session", organization_id: UUID, import_id: str, outcomes: Sequence[Outcome]) -> None:
    """Put who must not be reached on the do-not-call list: numbers and addresses of rows, and the person of each lead.

    A lead that the row made has nothing but what the row says; of a person it is part of later, the feed sees to it.
    """
    numbers, addresses, persons = [], [], []
    for one in outcomes:
        evidence = f"row {one.row} of the file of import {import_id}"
        entry = {"channels": one.forbidden, "lead_id": one.lead_id, "evidence": evidence}
        if not one.forbidden:
            continue
        numbers += [entry | {"phone": phone} for phone in (one.phones or NO_PHONE) if phone or one.lead_id]
        if "email" in one.forbidden:
            addresses += [{"email": email, "lead_id": one.lead_id, "evidence": evidence} for email in one.emails]
        if one.lead_id and one.outcome != "created":
            persons.append(entry)
    _forbid(session, organization_id, query("lead_import_forbid"), numbers)
    if addresses or persons:
        with as_role(session, "crm_definer"):
            _forbid(session, organization_id, query("lead_import_forbid_addresses"), addresses)
            _forbid(session, organization_id, query("lead_import_forbid_persons"), persons)


def _forbid(session: "Session", organization_id: UUID, statement: str, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries, of equal ones that of the first row."""
    unique = {as_json(entry | {"evidence": ""}): entry for entry in reversed(entries)}
    if unique:
        given = {"organization_id": organization_id, "rows": as_json(list(unique.values()))}
        session.execute(statement, given)


def write_rows(
    session: "Session", organization_id: UUID, import_id: str, outcomes: Sequence[Outcome], number: int
) -> None:
    """Write what became of rows, and how far the file was read."""
    given = {"organization_id": organization_id, "import_id": import_id}
    if outcomes:
        rows = [
            {"row": one.row, "outcome": one.outcome, "lead_id": one.lead_id, "same_as_row": one.same_as_row,
             "remarks": one.remarks, "changes": one.changes}
            for one in outcomes
        ]  # fmt: skip
        changed = list({one.lead_id for one in outcomes if one.outcome in ("created", "updated")})
        session.execute(ROWS, given | {"rows": as_json(rows), "changed": changed})
    counts = {
        name: sum(one.outcome == name for one in outcomes) for name in ("created", "updated", "duplicate", "refused")
    }
    session.execute(COUNTED, given | counts | {"number": number})


def read_again(session: "Session", organization_id: UUID, import_id: UUID) -> None:
    """Forget which row could not be read: it is tried again."""
    session.execute(READ_AGAIN, {"organization_id": organization_id, "import_id": import_id})


def end(session: "Session", organization_id: UUID, import_id: UUID, unread: tuple[int, str] | None) -> dict[str, Any]:
    """Note that the file was read to its end, or which row is the first that could not be, and why."""
    row, why = unread or (None, "")
    given = {
        "organization_id": organization_id, "import_id": import_id, "row": row,
        "why": f"neither this row nor any below it was read: {why}",
    }  # fmt: skip
    if unread:
        session.execute(UNREAD, given)
    [done] = session.execute(END, given)
    return done
