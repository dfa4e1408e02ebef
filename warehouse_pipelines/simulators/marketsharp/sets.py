"""The entity sets of the simulated MarketSharp: their properties with their types, and where they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from warehouse_pipelines.simulators.core.population import words

STRING, BOOLEAN, INT, DECIMAL, DATETIME = "Edm.String", "Edm.Boolean", "Edm.Int32", "Edm.Decimal", "Edm.DateTime"


class Shape(NamedTuple):
    """An entity set: the name of its type, its properties with their types, and its key."""

    title: str
    properties: Mapping[str, str]
    key: str = "id"

    @property
    def times(self) -> bool:
        return "lastUpdate" in self.properties


def shape(title: str, key: str = "id", **names: str) -> Shape:
    types = {"text": STRING, "boolean": BOOLEAN, "integer": INT, "decimal": DECIMAL, "at": DATETIME}
    return Shape(title, {name: types[kind] for kind, some in names.items() for name in words(some)}, key)


CONTACT = shape(
    "Contact",
    text="""
        id companyId firstName lastName middleInitial title businessName email1 email2 email3 website1 website2 website3
        contactPhoneId primaryAddressId source reference incomeCode ageCode structureAgeCode structureValueCode
        yearHomeBuilt maritalStatus lengthOfResidence styleOfHome mailMergeName qbId qbName qbEditSequence
    """,
    boolean="email1CanMail email2CanMail email3CanMail doNotMail isTagged isActive hasDNCPhone hasDNEEmail qbSyncData",
    at="qbSyncDate creationDate createdDate lastUpdate",
)
SETS: Mapping[str, Shape] = {
    "Contacts": CONTACT,
    "Leads": CONTACT._replace(title="Lead"),
    "Prospects": CONTACT._replace(title="Prospect"),
    "Customers": CONTACT._replace(title="Customer"),
    "Inquiries": shape(
        "Inquiry",
        text="""
            id contactId description division inquirySourcePrimaryId inquirySourceSecondaryId setById promoterId
            canvasserId telemarketerId note jobSiteAddressLine1 jobSiteAddressLine2 jobSiteCity jobSiteState jobSiteZip
            jobSiteDirections createdBy lastUpdateBy
        """,
        integer="inquiryStatusId",
        boolean="isActive",
        at="inquiryDate setDate creationDate createdDate lastUpdate",
    ),
    "Appointments": shape(
        "Appointment",
        text="""
            id inquiryId setById salesperson1Id salesperson2Id resultId resultReason subject type note createdBy
            lastUpdateBy
        """,
        boolean="isActive",
        at="appointmentDate setDate issuedDate createdDate lastUpdate",
    ),
    "Activities": shape(
        "Activity",
        text="""
            id contactId name type notes appointmentId assignToEmployeeId scheduledByEmployeeId inquiryId lastUpdatedBy
            createdBy
        """,
        integer="reminderMinutes activityResultId activityReferenceId",
        boolean="reminderDismissed isActive",
        at="completedDate dueDate createdDate lastUpdate",
    ),
    "Jobs": shape(
        "Job",
        text="""
            id contactId inquiryId appointmentId site number name description type status addressLine1 addressLine2 city
            state zip structureValueCode note
        """,
        boolean="isActive exportedToGuildQuality",
        at="startDate saleDate completedDate createdDate lastUpdate",
    ),
    "ProductInterests": shape(
        "ProductInterest",
        text="id inquiryId productTypeId productDetailId",
        decimal="priceQuoted",
        boolean="isActive",
        at="lastUpdate",
    ),
    "Addresses": shape(
        "Address",
        text="""
            id contactId line1 line2 city state coounty zip zip4 country latitude longitude carrierRoute cass dpbc2
            barCode
        """,
        boolean="isActive",
    ),
    "ContactPhones": shape(
        "ContactPhone",
        key="contactId",
        text="""
            contactId homePhone homePhone2 cellPhone cellPhone2 workPhone workPhone2 otherPhone otherPhone2 companyPhone
            assistantPhone homeFax workFax companyFax pager
        """,
    ),
    "ContactTypes": shape("ContactType", text="id contactId contactType", boolean="isActive"),
    "CustomFields": shape("CustomField", text="id contactId name value"),
    "Companies": shape(
        "Company",
        integer="id number",
        text="""
            name owner addressLine1 addressLine2 addressCity addressState addressZip email website contactName
            contactTitle phone fax timeZone
        """,
    ),
    "Employees": shape("Employee", text="id companyId name", boolean="isActive", at="lastUpdate"),
    "InquiryStatuses": shape(
        "InquiryStatus",
        integer="id",
        text="companyId name lastUpdateBy createdBy",
        boolean="isActive",
        at="lastUpdateUtc createdDateUtc",
    ),
    "ActivityReferences": shape(
        "ActivityReference",
        integer="id",
        text="companyId name lastUpdateBy createdBy",
        boolean="inquiryRequired appointmentRequired isActive",
        at="lastUpdateUtc createdDateUtc",
    ),
    "ActivityResults": shape(
        "ActivityResult",
        integer="id",
        text="companyId name lastUpdateBy createdBy",
        boolean="emailSuccess emailFailure confirmed countAsApptConfirmed countAsApptCreated countAsContacted isActive",
        at="createdDate lastUpdate",
    ),
    "AppointmentResults": shape("AppointmentResult", text="id name", boolean="presentation sold isActive"),
    "InquirySourcePrimaries": shape("InquirySourcePrimary", text="id companyId name", boolean="isActive"),
    "InquirySourceSecondaries": shape(
        "InquirySourceSecondary", text="id companyId inquirySourcePrimaryId name", boolean="isActive"
    ),
    "ProductTypes": shape("ProductType", text="id companyId name", boolean="isActive"),
    "ProductDetails": shape("ProductDetail", text="id companyId productTypeId name", boolean="isActive"),
}
SUBSETS = {"Leads": "Lead", "Prospects": "Prospect", "Customers": "Customer"}
UNTIMED = frozenset({"ProductInterests"})
"""Sets whose lastUpdate is there and moves, and which the notes count among those without one all the same."""


class Navigation(NamedTuple):
    """From one set to another: which property holds the key there; `many` when it answers with a feed."""

    to: str
    by: str
    many: bool = False


NAVIGATION: Mapping[str, Mapping[str, Navigation]] = {
    "Inquiries": {
        "Contact": Navigation("Contacts", "contactId"),
        "InquiryStatus": Navigation("InquiryStatuses", "inquiryStatusId"),
    },
    "Contacts": {
        "Address": Navigation("Addresses", "id", many=True),
        "ContactPhone": Navigation("ContactPhones", "id"),
    },
}
ALIGNED = ("Contacts", "Addresses", "ContactPhones")
"""A contact has an address and a phone record of its own number."""
