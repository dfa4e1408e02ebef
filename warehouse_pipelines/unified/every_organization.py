"""The schema ``crm`` across organizations, for a user whom its row-level security binds.

A superuser sees all rows at once. Any other sees those of one organization at a time, as ``crm_owner``; which
organizations there are ``crm_definer`` may see. Within a transaction, whose settings these are.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.acting import act_for, as_role
from warehouse_pipelines.unified.erasing.holdings import DatabaseTable

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

TABLES = ("leads", "lead_audit_log", "dnc_list", "segments", "system_config", "budget_transactions")


def organizations(session: "Session") -> list[Any]:
    """Return the ids of all organizations."""
    there = " UNION ".join(f"SELECT organization_id AS id FROM crm.{table}" for table in TABLES)  # noqa: S608
    with as_role(session, "crm_definer"):
        return [row["id"] for row in session.execute(f"{there} ORDER BY 1").fetchall()]


def every_organization(session: "Session", table: DatabaseTable) -> Iterator[None]:
    """Yield for each organization whose rows of ``table`` can be seen then: once for a table without policies."""
    if table.schema not in ("crm", "crm_archive") or _sees_all(session):
        yield
        return
    for organization in organizations(session):
        act_for(session, organization)
        with as_role(session, "crm_owner"):
            yield


def _sees_all(session: "Session") -> bool:
    return bool(warehouse.value(session, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"))
