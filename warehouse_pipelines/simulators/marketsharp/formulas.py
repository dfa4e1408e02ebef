"""The formulas of the simulated MarketSharp: from the number of a record to the properties that are not empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS
from warehouse_pipelines.simulators.core.population import SOURCES, marketsharp_id, spell_phone
from warehouse_pipelines.simulators.marketsharp.office import RESULTS, STATUSES, Office
from warehouse_pipelines.simulators.marketsharp.record_store import Record, RecordStore
from warehouse_pipelines.simulators.marketsharp.sets import SETS


def _contact(office: Office, number: int, time: int) -> Record:
    person = office.population.person(number).told("marketsharp")
    random_bytes = office.population.random_bytes("ms", number)
    created = office.created("Contacts", number)
    given = (person.first_name, person.nickname, person.first_name.upper())[random_bytes[1] % 3]
    return {
        "companyId": office.company,
        "firstName": given,
        "lastName": person.last_name.upper() if random_bytes[1] % 3 == 2 else person.last_name,
        "businessName": f"{person.last_name} & Sons" if random_bytes[2] < 20 else "",
        "email1": person.email if random_bytes[3] < 200 else "",
        "email2": None,
        "email1CanMail": random_bytes[3] < 200,
        "contactPhoneId": marketsharp_id(number, "Contacts"),
        "primaryAddressId": marketsharp_id(number, "Addresses") if random_bytes[4] < 240 else None,
        "source": person.source,
        "yearHomeBuilt": str(person.year_built) if random_bytes[6] & 1 else "",
        "doNotMail": random_bytes[7] < 20,
        "isTagged": False,
        "hasDNCPhone": person.do_not_call and random_bytes[8] < 230,
        "hasDNEEmail": random_bytes[9] < 10,
        "qbSyncData": False,
        # Recorded: the wall clock of the Pacific under the offset of the East.
        "creationDate": created - 3 * 3_600_000,
        "createdDate": created,
    }


def _address(office: Office, number: int, time: int) -> Record:
    person = office.population.person(number).told("marketsharp")
    place = person.place
    random_bytes = office.population.random_bytes("ms", number)
    return {
        "contactId": marketsharp_id(number, "Contacts"),
        "line1": person.street.replace(" Ave", " Avenue") if random_bytes[10] & 1 else person.street,
        "line2": f"Apt {random_bytes[11] % 20}" if random_bytes[12] < 20 else "",
        "city": place.city,
        "state": "OH",
        "coounty": place.county,
        "zip": place.zip,
        "country": "USA",
        "latitude": f"{place.latitude:.6f}",
        "longitude": f"{place.longitude:.6f}",
    }


def _phone(office: Office, number: int, time: int) -> Record:
    person = office.population.person(number)
    random_bytes = office.population.random_bytes("ms", number)
    place = ("homePhone", "cellPhone", "cellPhone", "workPhone")[random_bytes[13] & 3]
    other = office.population.person(number + office.contacts + 50).phone
    return {
        place: spell_phone(person.phone, random_bytes[14]),
        "otherPhone": spell_phone(other, random_bytes[15]) if random_bytes[16] < 40 else "",
    }


def _inquiry(office: Office, number: int, time: int) -> Record:
    contact = office.person_of("Inquiries", number)
    person = office.population.person(contact)
    random_bytes = office.population.random_bytes("inquiry", number)
    status = 4 if journey.sold(contact) else 3 if journey.visited(contact) else (1, 2, 5)[random_bytes[2] % 3]
    created = office.created("Inquiries", number)
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
        "description": ("Roof", "Siding & gutters", "Windows")[random_bytes[1] % 3],
        "division": person.place.city,
        "inquirySourcePrimaryId": office.stores["InquirySourcePrimaries"].id_of(primary),
        "inquirySourceSecondaryId": office.stores["InquirySourceSecondaries"].id_of(random_bytes[0] % 6),
        "inquiryStatusId": status if random_bytes[3] < 240 else None,
        "setById": office.employee(random_bytes[4]) if random_bytes[4] < 128 else None,
        "note": "Dog in the yard." if random_bytes[5] < 60 else "",
        "inquiryDate": created,
        "setDate": created + DAY_MS if random_bytes[4] < 128 else None,
        **(site if random_bytes[6] < 128 else {}),
        "createdBy": office.employee(random_bytes[7]),
        "lastUpdateBy": office.employee(random_bytes[8]),
        "creationDate": created - 3 * 3_600_000,
        "createdDate": created,
    }


def _appointment(office: Office, number: int, time: int) -> Record:
    random_bytes = office.population.random_bytes("appointment", number)
    created = office.created("Appointments", number)
    person = office.person_of("Appointments", number)
    at = office.journeys.visit(person)
    result = 0 if journey.sold(person) else 1 + random_bytes[5] % (len(RESULTS) - 1)
    return {
        "inquiryId": office.inquiry_of(person),
        "appointmentDate": at,
        "setDate": created,
        "setById": office.employee(random_bytes[1]),
        "issuedDate": created + DAY_MS if random_bytes[2] < 200 else None,
        "salesperson1Id": office.employee(random_bytes[3]),
        "salesperson2Id": office.employee(random_bytes[4]) if random_bytes[4] < 40 else None,
        "resultId": office.stores["AppointmentResults"].id_of(result) if at < office.journeys.now else None,
        "resultReason": "Price" if random_bytes[6] < 60 else "",
        "subject": "Estimate",
        "type": "Sales",
        "createdBy": office.employee(random_bytes[7]),
        "createdDate": created,
    }


def _activity(office: Office, number: int, time: int) -> Record:
    random_bytes = office.population.random_bytes("activity", number)
    created = office.created("Activities", number)
    return {
        "contactId": marketsharp_id(office.person_of("Activities", number), "Contacts"),
        "appointmentId": marketsharp_id(number, "Appointments"),
        "inquiryId": office.inquiry_of(office.person_of("Activities", number)),
        "name": ("Call back", "Send a brochure", "Confirm")[random_bytes[0] % 3],
        "type": ("Call", "Mail", "Task")[random_bytes[0] % 3],
        "notes": "Ring twice." if random_bytes[1] < 60 else "",
        "dueDate": created + DAY_MS,
        "completedDate": created + 2 * DAY_MS if random_bytes[2] < 128 else None,
        "reminderMinutes": 15 if random_bytes[3] < 128 else None,
        "reminderDismissed": random_bytes[3] < 64,
        "assignToEmployeeId": office.employee(random_bytes[4]),
        "scheduledByEmployeeId": office.employee(random_bytes[5]),
        "activityResultId": random_bytes[6] % 5 + 1 if random_bytes[2] < 128 else None,
        "activityReferenceId": random_bytes[7] % 4 + 1,
        "createdBy": "office",
        "lastUpdatedBy": "office",
        "createdDate": created,
    }


def _job(office: Office, number: int, time: int) -> Record:
    contact = office.person_of("Jobs", number)
    person = office.population.person(contact)
    created = office.created("Jobs", number)
    now, started, completed = office.journeys.now, created + 20 * DAY_MS, created + 37 * DAY_MS
    return {
        "contactId": marketsharp_id(contact, "Contacts"),
        "inquiryId": office.inquiry_of(contact),
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


def _small(office: Office, name: str, number: int, time: int) -> Record:
    record: Record = {"companyId": office.company, "name": f"{SETS[name].title} {number + 1}"}
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
            record |= {"inquirySourcePrimaryId": office.stores["InquirySourcePrimaries"].id_of(number)}
        case "ProductDetails":
            record |= {"productTypeId": office.stores["ProductTypes"].id_of(number % 3)}
        case "ProductInterests":
            record |= {
                "inquiryId": office.inquiry_of(office.person_of("ProductInterests", number)),
                "productTypeId": office.stores["ProductTypes"].id_of(number % 3),
                "productDetailId": office.stores["ProductDetails"].id_of(number % 6),
                "priceQuoted": f"{number * 37}.5000" if number % 4 else None,
            }
        case "ContactTypes":
            contact = 2 * number % office.contacts
            record |= {"contactId": marketsharp_id(contact, "Contacts"), "contactType": office.kind_of(contact)}
        case "CustomFields":
            owner = marketsharp_id(number * 4 % office.contacts, "Contacts")
            record |= {"contactId": owner, "name": "Roof Age", "value": str(number % 40)}
    return record


FORMULAS: Mapping[str, Callable[[Office, int, int], Record]] = {
    "Contacts": _contact,
    "Addresses": _address,
    "ContactPhones": _phone,
    "Inquiries": _inquiry,
    "Appointments": _appointment,
    "Activities": _activity,
    "Jobs": _job,
}


def record_of(office: Office, store: RecordStore, number: int) -> Record:
    """The properties that are not empty."""
    time = office.time_of(store, number)
    formula = FORMULAS.get(store.name)
    made = formula(office, number, time) if formula else _small(office, store.name, number, time)
    record = {"isActive": True, **made, **store.changes.get(number, {})}
    record[store.shape.key] = store.id_of(number)
    if store.shape.times:
        record["lastUpdate"] = time
    return {name: value for name, value in record.items() if name in store.shape.properties}
