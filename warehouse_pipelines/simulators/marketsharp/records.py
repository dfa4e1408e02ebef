"""What the simulated MarketSharp holds: its entity sets, their properties, and the formulas of their records.

Contact `i` is person `i` of the town, under the name that the office wrote down; inquiries, appointments, jobs and the
rest belong to contacts. Times are the zoneless wall clock that such a database holds, in milliseconds as if it were
UTC. Properties without a formula are empty, as most are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, HOUR_MS, Journeys
from warehouse_pipelines.simulators.core.population import SOURCES, Town, marketsharp_id, spell_phone, words
from warehouse_pipelines.simulators.core.timeline import Timeline, spread

STRING, BOOLEAN, INT, DECIMAL, DATETIME = "Edm.String", "Edm.Boolean", "Edm.Int32", "Edm.Decimal", "Edm.DateTime"
KINDS = ("Lead", "Prospect", "Customer")
STATUSES = ("New", "Set", "Demo No Sale", "Sold", "Dead & Gone")
RESULTS = ("Sold", "Demo No Sale", "No Demo", "Reset")
STAGES = {
    "Contacts": journey.OFFICE, "Inquiries": journey.OFFICE + HOUR_MS, "Appointments": journey.APPOINTMENT,
    "Activities": journey.APPOINTMENT + HOUR_MS, "Jobs": journey.SALE,
}  # fmt: skip
"""How long after a person's first touch a record of theirs is made, by the set's name."""
EDITED = 3 * DAY_MS

Record = dict[str, Any]


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


class Shelf:
    """The records of one set: `count` by formula, and what has become of them since."""

    def __init__(self, name: str, count: int, now: int, seed: int, time_of: Callable[[int], int] | None) -> None:
        self.name = name
        self.count = count
        self.added = 0
        self.shape = SETS[name]
        self.numbered = self.shape.properties[self.shape.key] == INT
        self.changes: dict[int, Record] = {}
        self.gone: dict[int, int | None] = {}
        dice: Callable[[int], int] = lambda number: (number + seed) * 2_654_435_761 >> 8 & 0xFFFFFFFF  # noqa: E731
        self.base_time = time_of or spread(count, now - 700 * DAY_MS, now - 3 * DAY_MS, dice)
        self.timeline = Timeline(count, self.base_time)
        self._salt = "Contacts" if name in ("Contacts", "ContactPhones") else name
        self._sorted: list[tuple[Any, int]] | None = None

    def id_of(self, number: int) -> Any:
        return number + 1 if self.numbered else marketsharp_id(number, self._salt)

    def by_id(self) -> list[tuple[Any, int]]:
        """The ids of what is there, each with its number, in the order of ids."""
        if self._sorted is None:
            living = (number for number in range(self.count + self.added) if number not in self.gone)
            self._sorted = sorted((self.id_of(number), number) for number in living)
        return self._sorted

    def find(self, key: Any) -> int | None:
        rows = self.by_id()
        place = bisect_left(rows, (key, -1))
        return rows[place][1] if place < len(rows) and rows[place][0] == key else None

    def in_order(self, low: int | None) -> Iterator[int]:
        """The numbers by time, ties by id, from a time on; as lazily as the timeline allows."""
        window = self.timeline.window(low, None)
        offset, at = 0, None
        tied: list[int] = []
        while page := window.page(offset, 500, by_time=True):
            offset += len(page)
            for number in page:
                time = self.timeline.time_of(number)
                if time != at:
                    yield from sorted(tied, key=self.id_of)
                    tied, at = [], time
                tied.append(number)
        yield from sorted(tied, key=self.id_of)

    def add(self, time: int) -> int:
        number = self.count + self.added
        self.added += 1
        self.timeline.place(number, time)
        self._sorted = None
        return number

    def remove(self, number: int) -> None:
        self.gone[number] = self.timeline.time_of(number)
        self.timeline.place(number, None)
        self._sorted = None

    def restore(self, number: int) -> None:
        self.timeline.place(number, self.gone.pop(number))
        self._sorted = None


class Office:
    """One company and all that it wrote down."""

    def __init__(self, town: Town, contacts: int, now: int, company: str) -> None:
        self.town, self.contacts, self.company = town, max(1, contacts), company
        few = {
            "Companies": 2, "Employees": 8, "InquiryStatuses": len(STATUSES), "ActivityReferences": 4,
            "ActivityResults": 5, "AppointmentResults": len(RESULTS), "InquirySourcePrimaries": len(SOURCES),
            "InquirySourceSecondaries": 6, "ProductTypes": 3, "ProductDetails": 6,
        }  # fmt: skip
        many = {
            "Contacts": self.contacts, "Addresses": self.contacts, "ContactPhones": self.contacts,
            "Inquiries": self.contacts * 3 // 4 + 2, "Appointments": self.contacts // 2 + 2,
            "Activities": self.contacts // 2 + 2, "Jobs": self.contacts // 5 + 2,
            "ProductInterests": self.contacts // 2 + 2, "ContactTypes": self.contacts // 2 + 2,
            "CustomFields": self.contacts // 4 + 2,
        }  # fmt: skip
        self._journeys = Journeys(town, self.contacts, now)
        self.shelves = {
            name: Shelf(name, count, now, town.seed, self._edited(name)) for name, count in {**few, **many}.items()
        }
        self._formulas: dict[str, Callable[[int, int], Record]] = {
            "Contacts": self._contact, "Addresses": self._address, "ContactPhones": self._phone,
            "Inquiries": self._inquiry, "Appointments": self._appointment, "Activities": self._activity,
            "Jobs": self._job,
        }  # fmt: skip

    def _edited(self, name: str) -> Callable[[int], int] | None:
        if name not in STAGES:
            return None
        return lambda number: self._journeys.after(self.person_of(name, number), STAGES[name] + EDITED)

    def person_of(self, name: str, number: int) -> int:
        """Whose record it is: three of four people inquired, every second one is visited, every fifth is a job's."""
        match name:
            case "Inquiries":
                number = number * 4 // 3
            case "Appointments" | "Activities" | "ProductInterests":
                number = 2 * number
            case "Jobs":
                number = 20 * (number // 4) + 4 * (number % 4)
        return min(number, self.contacts - 1)

    def inquiry_of(self, person: int) -> str:
        """The id of the inquiry of a person who is visited."""
        inquiries = self.shelves["Inquiries"]
        return str(inquiries.id_of(min(3 * (person // 4) + min(person % 4, 2), inquiries.count - 1)))

    def shelf(self, name: str) -> Shelf:
        return self.shelves["Contacts" if name in SUBSETS else name]

    def kind_of(self, number: int) -> str:
        """Whether a contact is a lead, a prospect or a customer."""
        changed = self.shelf("Contacts").changes.get(number, {})
        return str(changed.get("@kind") or KINDS[journey.visited(number) + journey.sold(number)])

    def time_of(self, shelf: Shelf, number: int) -> int:
        time = shelf.timeline.time_of(number)
        return time if time is not None else shelf.gone.get(number) or 0

    def record(self, shelf: Shelf, number: int) -> Record:
        """The properties that are not empty."""
        time = self.time_of(shelf, number)
        formula = self._formulas.get(shelf.name)
        made = formula(number, time) if formula else self._small(shelf.name, number, time)
        record = {"isActive": True, **made, **shelf.changes.get(number, {})}
        record[shelf.shape.key] = shelf.id_of(number)
        if shelf.shape.times:
            record["lastUpdate"] = time
        return {name: value for name, value in record.items() if name in shelf.shape.properties}

    def _created(self, name: str, number: int) -> int:
        shelf = self.shelves[name]
        if number >= shelf.count:
            return self.time_of(shelf, number)
        return self._journeys.after(self.person_of(name, number), STAGES[name])

    def _by(self, number: int) -> Any:
        return self.shelves["Employees"].id_of(number % self.shelves["Employees"].count)

    def _contact(self, number: int, time: int) -> Record:
        person = self.town.person(number)
        dice = self.town.dice("ms", number)
        created = self._created("Contacts", number)
        given = (person.first_name, person.nickname, person.first_name.upper())[dice[1] % 3]
        return {
            "companyId": self.company,
            "firstName": given,
            "lastName": person.last_name.upper() if dice[1] % 3 == 2 else person.last_name,
            "businessName": f"{person.last_name} & Sons" if dice[2] < 20 else "",
            "email1": person.email if dice[3] < 200 else "",
            "email2": None,
            "email1CanMail": dice[3] < 200,
            "contactPhoneId": marketsharp_id(number, "Contacts"),
            "primaryAddressId": marketsharp_id(number, "Addresses") if dice[4] < 240 else None,
            "source": person.source,
            "yearHomeBuilt": str(person.year_built) if dice[6] & 1 else "",
            "doNotMail": dice[7] < 20,
            "isTagged": False,
            "hasDNCPhone": person.do_not_call and dice[8] < 230,
            "hasDNEEmail": dice[9] < 10,
            "qbSyncData": False,
            # Recorded: the wall clock of the Pacific under the offset of the East.
            "creationDate": created - 3 * 3_600_000,
            "createdDate": created,
        }

    def _address(self, number: int, time: int) -> Record:
        person = self.town.person(number)
        place = person.place
        dice = self.town.dice("ms", number)
        return {
            "contactId": marketsharp_id(number, "Contacts"),
            "line1": person.street.replace(" Ave", " Avenue") if dice[10] & 1 else person.street,
            "line2": f"Apt {dice[11] % 20}" if dice[12] < 20 else "",
            "city": place.city,
            "state": "OH",
            "coounty": place.county,
            "zip": place.zip,
            "country": "USA",
            "latitude": f"{place.latitude:.6f}",
            "longitude": f"{place.longitude:.6f}",
        }

    def _phone(self, number: int, time: int) -> Record:
        person = self.town.person(number)
        dice = self.town.dice("ms", number)
        place = ("homePhone", "cellPhone", "cellPhone", "workPhone")[dice[13] & 3]
        other = self.town.person(number + self.contacts + 50).phone
        return {
            place: spell_phone(person.phone, dice[14]),
            "otherPhone": spell_phone(other, dice[15]) if dice[16] < 40 else "",
        }

    def _inquiry(self, number: int, time: int) -> Record:
        contact = self.person_of("Inquiries", number)
        person = self.town.person(contact)
        dice = self.town.dice("inquiry", number)
        status = 4 if journey.sold(contact) else 3 if journey.visited(contact) else (1, 2, 5)[dice[2] % 3]
        created = self._created("Inquiries", number)
        site = {
            "jobSiteAddressLine1": person.street,
            "jobSiteCity": person.place.city,
            "jobSiteState": "OH",
            "jobSiteZip": person.place.zip,
            "jobSiteDirections": "Left at the mill,\r\nthen <straight> on.",
        }
        primary = SOURCES.index(person.source)
        return {
            "contactId": marketsharp_id(contact, "Contacts"),
            "description": ("Roof", "Siding & gutters", "Windows")[dice[1] % 3],
            "division": person.place.city,
            "inquirySourcePrimaryId": self.shelves["InquirySourcePrimaries"].id_of(primary),
            "inquirySourceSecondaryId": self.shelves["InquirySourceSecondaries"].id_of(dice[0] % 6),
            "inquiryStatusId": status if dice[3] < 240 else None,
            "setById": self._by(dice[4]) if dice[4] < 128 else None,
            "note": "Dog in the yard." if dice[5] < 60 else "",
            "inquiryDate": created,
            "setDate": created + DAY_MS if dice[4] < 128 else None,
            **(site if dice[6] < 128 else {}),
            "createdBy": self._by(dice[7]),
            "lastUpdateBy": self._by(dice[8]),
            "creationDate": created - 3 * 3_600_000,
            "createdDate": created,
        }

    def _appointment(self, number: int, time: int) -> Record:
        dice = self.town.dice("appointment", number)
        created = self._created("Appointments", number)
        person = self.person_of("Appointments", number)
        at = self._journeys.visit(person)
        result = 0 if journey.sold(person) else 1 + dice[5] % (len(RESULTS) - 1)
        return {
            "inquiryId": self.inquiry_of(person),
            "appointmentDate": at,
            "setDate": created,
            "setById": self._by(dice[1]),
            "issuedDate": created + DAY_MS if dice[2] < 200 else None,
            "salesperson1Id": self._by(dice[3]),
            "salesperson2Id": self._by(dice[4]) if dice[4] < 40 else None,
            "resultId": self.shelves["AppointmentResults"].id_of(result) if at < self._journeys.now else None,
            "resultReason": "Price" if dice[6] < 60 else "",
            "subject": "Estimate",
            "type": "Sales",
            "createdBy": self._by(dice[7]),
            "createdDate": created,
        }

    def _activity(self, number: int, time: int) -> Record:
        dice = self.town.dice("activity", number)
        created = self._created("Activities", number)
        return {
            "contactId": marketsharp_id(self.person_of("Activities", number), "Contacts"),
            "appointmentId": marketsharp_id(number, "Appointments"),
            "inquiryId": self.inquiry_of(self.person_of("Activities", number)),
            "name": ("Call back", "Send a brochure", "Confirm")[dice[0] % 3],
            "type": ("Call", "Mail", "Task")[dice[0] % 3],
            "notes": "Ring twice." if dice[1] < 60 else "",
            "dueDate": created + DAY_MS,
            "completedDate": created + 2 * DAY_MS if dice[2] < 128 else None,
            "reminderMinutes": 15 if dice[3] < 128 else None,
            "reminderDismissed": dice[3] < 64,
            "assignToEmployeeId": self._by(dice[4]),
            "scheduledByEmployeeId": self._by(dice[5]),
            "activityResultId": dice[6] % 5 + 1 if dice[2] < 128 else None,
            "activityReferenceId": dice[7] % 4 + 1,
            "createdBy": "office",
            "lastUpdatedBy": "office",
            "createdDate": created,
        }

    def _job(self, number: int, time: int) -> Record:
        contact = self.person_of("Jobs", number)
        person = self.town.person(contact)
        created = self._created("Jobs", number)
        now, started, completed = self._journeys.now, created + 20 * DAY_MS, created + 37 * DAY_MS
        return {
            "contactId": marketsharp_id(contact, "Contacts"),
            "inquiryId": self.inquiry_of(contact),
            "appointmentId": marketsharp_id(contact // 2, "Appointments"),
            "number": f"J-{1000 + number}",
            "name": f"{person.last_name} roof",
            "type": "Roof",
            "status": "Completed" if completed < now else "Started" if started < now else "Sold",
            "addressLine1": person.street,
            "city": person.place.city,
            "state": "OH",
            "zip": person.place.zip,
            "saleDate": created,
            "startDate": started if started < now else None,
            "completedDate": completed if completed < now else None,
            "exportedToGuildQuality": number % 5 == 0,
            "createdDate": created,
        }

    def _small(self, name: str, number: int, time: int) -> Record:
        record: Record = {"companyId": self.company, "name": f"{SETS[name].title} {number + 1}"}
        match name:
            case "Companies":
                record |= {
                    "number": number + 1, "name": f"Invented Home Improvement {number + 1}", "owner": "O. Wner",
                    "addressCity": "Dayton", "addressState": "OH", "timeZone": "Eastern Standard Time",
                    "website": "https://www.example.test", "email": "office@example.test",
                }  # fmt: skip
            case "InquiryStatuses":
                record |= {"name": STATUSES[number % len(STATUSES)], "lastUpdateUtc": time, "createdDateUtc": time}
            case "ActivityReferences":
                record |= {"inquiryRequired": False, "appointmentRequired": number == 1}
                record |= {"lastUpdateUtc": time, "createdDateUtc": time}
            case "ActivityResults":
                record |= {"confirmed": number == 1, "createdDate": time, "countAsContacted": True}
            case "AppointmentResults":
                record |= {"name": RESULTS[number % len(RESULTS)], "presentation": True, "sold": number == 0}
            case "InquirySourcePrimaries":
                record |= {"name": SOURCES[number % len(SOURCES)]}
            case "InquirySourceSecondaries":
                record |= {"inquirySourcePrimaryId": self.shelves["InquirySourcePrimaries"].id_of(number)}
            case "ProductDetails":
                record |= {"productTypeId": self.shelves["ProductTypes"].id_of(number % 3)}
            case "ProductInterests":
                record |= {
                    "inquiryId": self.inquiry_of(self.person_of("ProductInterests", number)),
                    "productTypeId": self.shelves["ProductTypes"].id_of(number % 3),
                    "productDetailId": self.shelves["ProductDetails"].id_of(number % 6),
                    "priceQuoted": f"{number * 37}.5000" if number % 4 else None,
                }
            case "ContactTypes":
                contact = 2 * number % self.contacts
                record |= {"contactId": marketsharp_id(contact, "Contacts"), "contactType": self.kind_of(contact)}
            case "CustomFields":
                owner = marketsharp_id(number * 4 % self.contacts, "Contacts")
                record |= {"contactId": owner, "name": "Roof Age", "value": str(number % 40)}
        return record
