"""Take a person out of the schema ``crm``, by its own functions: leads with their logs, and the do-not-call list.

The number stays blocked where it was: of an entry the keyed hash is kept.
"""

from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.acting import act_for, as_role
from warehouse_pipelines.unified.erasing.emptying import Part
from warehouse_pipelines.unified.erasing.subject import Rows, Subject
from warehouse_pipelines.unified.identity.entered import ENTERED

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def leads(session: "Session", whom: Subject) -> list[dict[str, Any]]:
    """Return id and organization of the leads of these persons, deleted ones too."""
    given = {
        "persons": list(whom.person_ids), "emails": list(whom.emails), "phones": list(whom.phones),
        "leads": list(whom.records.get(ENTERED.table, ())),
    }  # fmt: skip
    with as_role(session, "crm_definer"):
        return session.execute(query("erasing_leads"), given).fetchall()


def erase(session: "Session", whom: Subject, rows: Rows) -> list[Part]:
    """Erase the leads, and the numbers of the do-not-call list; return what was done."""
    found = leads(session, whom)
    done = _forget_feed(session, whom, rows, [lead["id"] for lead in found])
    for lead in found:
        act_for(session, lead["organization_id"])
        for table, changed in _as_owner(session, "SELECT crm.erase_lead(%s)", lead["id"]).items():
            done[table] = done.get(table, 0) + changed
    listed = 0
    for organization in _listing(session, whom):
        act_for(session, organization)
        listed += _as_owner(session, "SELECT crm.erase_dnc_numbers(%s)", list(whom.phones))
    parts = [Part(f"crm.{table}", "erase", changed) for table, changed in done.items() if table != "dnc_list"]
    return [*parts, Part("crm.dnc_list", "hash", done.get("dnc_list", 0) + listed)]


def _forget_feed(session: "Session", whom: Subject, rows: Rows, ids: list[Any]) -> dict[str, int]:
    """Delete what the feed noted of the leads and of these records; nothing where there is no feed yet."""
    if not warehouse.has_table(session, "crm.consent_fact"):
        return {}
    with as_role(session, "crm_definer"):
        fed = session.execute("DELETE FROM crm.lead_feed WHERE lead_id = ANY(%s)", [ids]).rowcount
        facts = session.execute("DELETE FROM crm.consent_fact WHERE phone = ANY(%s)", [list(whom.phones)]).rowcount
        for table, keys in rows.items():
            facts += session.execute(
                "DELETE FROM crm.consent_fact WHERE source_table = %s AND source_key = ANY(%s)", [table, list(keys)]
            ).rowcount
    return {"lead_feed": fed, "consent_fact": facts}


def _listing(session: "Session", whom: Subject) -> list[Any]:
    with as_role(session, "crm_definer"):
        found = session.execute(
            "SELECT DISTINCT organization_id FROM crm.dnc_list WHERE phone = ANY(%s) ORDER BY 1", [list(whom.phones)]
        )
        return [row["organization_id"] for row in found.fetchall()]


def _as_owner(session: "Session", statement: str, given: Any) -> Any:
    with as_role(session, "crm_owner"):
        return warehouse.value(session, statement, [given])
