"""Leads that were entered in ``crm``, by a file or by a user: a source of identity beside the vendors.

The view ``crm.entered_leads`` shows each as it was entered. What the feed wrote into it since is left out, and so is a
lead that the feed made: identity would read back what it said itself, and an error would confirm itself.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.settings import settings
from warehouse_pipelines.unified.people import (
    People,
    Place,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ENTERED = People(
    table="crm.entered_leads",
    kind="customer",
    first="first_name",
    last="last_name",
    business="company",
    emails="email",
    phones="phone phone2 phone3 phone4 phone5",
    places=(Place(street="street", unit="unit", city="city", state="state", zip="postal_code"),),
    created="created_at",
    edited="updated_at",
    excluded="is_excluded",
    within="organization_id",
)

ENTITY = Entity(
    name="entered_leads",
    table=ENTERED.table,
    about="Leads that a file or a user brought into the schema crm, as they were entered.",
    path="",
    key="id",
    columns=columns(
        text="id first_name last_name company email street unit city state postal_code",
        phone="phone phone2 phone3 phone4 phone5",
        uuid="organization_id",
        boolean="is_excluded",
        timestamptz="created_at updated_at",
    ),
)


def organizations(session: "Session") -> list[UUID]:
    """Return the organizations that the sources feed: a lead of another one is not read, or it would reach these."""
    rows = session.execute("SELECT organization_id FROM crm.feed_source").fetchall()
    return [settings().crm_organization_id, *(row["organization_id"] for row in rows)]
