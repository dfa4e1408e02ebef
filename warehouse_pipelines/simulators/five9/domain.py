"""The simulated Five9 domain: its fields, and the formula from a number to a contact.

Contact `i` is person `i` of the population: most have the number of the HubSpot contact, ten digits of it, one in
twelve shares the number of the contact before, one in fifty has none, one in two hundred has one that is not made of
digits alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Population, words
from warehouse_pipelines.simulators.five9.settings import Five9Settings

FIRST_ID = 100_000_000
LISTS = words("Web Leads|Home Show|Reactivation|Everybody", "|")
DISPOSITIONS = words("Appointment Set|No Answer|Not Interested|Callback|Wrong Number", "|")
AGENTS = words("agent.one@example.test agent.two@example.test agent.three@example.test")
STATES = words("New Working Sold Dead")
MODIFIED = "Last Modified"
ISO = (("DateFormat", "yyyy-MM-dd"), ("TimeFormat", "HH:mm:ss.SSS"))
AMERICAN = (("DateFormat", "MM/dd/yyyy"), ("TimeFormat", "hh:mm a"))
DIVISION_NAMES = words("Dayton Cincinnati Columbus Cleveland Toledo")


@dataclass
class Field:
    """A field of the domain; restrictions are pairs of type and value."""

    name: str
    type: str = "STRING"
    map_to: str = "None"
    restrictions: Sequence[tuple[str, str]] = ()
    system: bool = False
    value: Callable[[Contact], str | None] = field(default=lambda contact: None)


@dataclass
class Contact:
    """What a formula makes of a contact's number, before anything was changed."""

    number: int
    random_bytes: bytes
    created: int
    values: dict[str, str | None]


class Domain:
    """The contacts of a domain, base ones by formula, and its fields."""

    def __init__(self, population: Population, settings: Five9Settings, now: int) -> None:
        self.population, self.settings = population, settings
        self.count = settings.contacts
        self.added = 0
        self.deleted: set[int] = set()
        self.changes: dict[int, dict[str, str | None]] = {}
        self.zone = ZoneInfo(settings.time_zone)
        way = Journeys(population, self.count, now)
        self._created: Callable[[int], int] = lambda number: way.after(number, journey.DIALER)
        self.computed: dict[int, dict[str, str | None]] = {}
        """Contacts that are remembered, as a lookup by another field walks over the same."""
        self.fields = self.standard_fields()

    def standard_fields(self) -> list[Field]:
        person = [Field(name, "PHONE", system=True) for name in ("number1", "number2", "number3")]
        person += [Field(n, system=True) for n in words("first_name last_name company street city state zip")]
        market = (
            ("Set", "Dayton"),
            ("Set", "Cincinnati"),
            ("Set", "Columbus"),
            ("Set", "Cleveland"),
            ("Set", "Toledo"),
        )
        amount = (("Precision", "10"), ("Scale", "2"))
        uuid = "f65d759a-2250-4b2d-89a9-60796f624f72"
        custom = [
            Field("email", "EMAIL"),
            Field("contactID"),
            Field("sys_created_date", "DATE_TIME", "CreatedDateTime", ISO),
            Field(MODIFIED, "DATE_TIME", "LastModifiedDateTime", ISO),
            Field("sys_last_agent", "STRING", "LastAgent", value=lambda c: AGENTS[c.random_bytes[21] % 3]),
            Field("sys_last_disposition", "STRING", "LastDisposition", value=_disposition),
            Field("sys_last_disposition_time", "DATE_TIME", "LastDispositionDateTime", ISO, value=self._called),
            Field("last_campaign", "STRING", "LastCampaign", value=lambda c: "Outbound" if _disposition(c) else None),
            Field("attempts", "NUMBER", "AttemptsForLastCampaign", value=lambda c: str(c.random_bytes[22] % 9)),
            Field("last_list", "STRING", "LastList", value=lambda c: LISTS[c.number % 3]),
            Field("Market", "STRING", restrictions=market, value=lambda c: c.values["division"]),
            Field("Lead Status", value=lambda c: STATES[c.random_bytes[23] % 4]),
            Field("HubSpot_ContactID", value=lambda c: c.values["hubspot"]),
            Field("Appointment Date and Time", "DATE_TIME", restrictions=AMERICAN, value=self._appointment),
            Field("PC_Work_Finished", "DATE", restrictions=(("DateFormat", "MM/dd/yyyy"),), value=self._finished),
            Field("best_time", "TIME", restrictions=(("TimeFormat", "hh:mm a"),), value=lambda c: "05:30 PM"),
            Field("DoNotDial", "BOOLEAN", value=self._do_not_dial),
            Field("Total_Job_Amount", "CURRENCY", restrictions=amount, value=lambda c: f"{c.random_bytes[25] * 37}.50"),
            Field(uuid, value=lambda c: "a & b <c>" if c.random_bytes[26] < 20 else None),
        ]
        return [*person, *custom]

    def shown_fields(self) -> list[Field]:
        absent = self.settings.contact_id == "absent"
        return [each for each in self.fields if not (absent and each.name == "contactID")]

    def local(self, ms: int, form: str = "%Y-%m-%d %H:%M:%S.%f") -> str:
        text = datetime.fromtimestamp(ms / 1000, self.zone).strftime(form)
        return text[:-3] if form.endswith("%f") else text

    def _do_not_dial(self, contact: Contact) -> str:
        return "1" if self.population.person(contact.number).do_not_call and contact.random_bytes[24] < 200 else "0"

    def _called(self, contact: Contact) -> str | None:
        return (
            self.local(contact.created + 3_600_000 * (1 + contact.random_bytes[27])) if _disposition(contact) else None
        )

    def _appointment(self, contact: Contact) -> str | None:
        at = contact.created + DAY_MS * contact.random_bytes[28]
        return self.local(at, "%m/%d/%Y %I:%M %p") if contact.random_bytes[28] < 90 else None

    def _finished(self, contact: Contact) -> str | None:
        return self.local(contact.created + 60 * DAY_MS, "%m/%d/%Y") if contact.random_bytes[29] < 30 else None

    def number1(self, number: int) -> str | None:
        """What stood in number1 before anything was changed."""
        if number >= self.count:
            return None
        if number < self.settings.crowd:
            return "0000000000"
        random_bytes = self.population.random_bytes("five9", number)
        if number % self.settings.unnumbered == self.settings.unnumbered - 1:
            return None
        shared = number > self.settings.crowd and random_bytes[8] < 21
        digits = self.population.person(number - 1 if shared else number).phone[2:]
        return f"+1{digits}" if number % 200 == 77 else digits

    def contact(self, number: int) -> dict[str, str | None]:
        """All fields of a contact by name; some are remembered, as a lookup by another field walks over the same."""
        if number not in self.computed:
            if len(self.computed) >= 4096:
                self.computed.clear()
            self.computed[number] = self._formula(number)
        return {**self.computed[number], **self.changes.get(number, {})}

    def value(self, number: int, name: str) -> str | None:
        """One field of a contact."""
        if number in self.changes or number not in self.computed:
            return self.contact(number).get(name)
        return self.computed[number].get(name)

    def _formula(self, number: int) -> dict[str, str | None]:
        random_bytes = self.population.random_bytes("five9", number)
        born = number < self.count
        created = self._created(number) if born else 0
        values: dict[str, str | None] = {}
        if born:
            person = self.population.person(number).told("five9")
            given = (person.first_name, person.nickname, person.first_name.upper())[random_bytes[9] % 3]
            surname = person.last_name.upper() if random_bytes[9] % 3 == 2 else person.last_name
            values = {
                "number1": self.number1(number),
                "number2": self.population.person(number + self.count + 50).phone[2:]
                if random_bytes[10] < 40
                else None,
                "first_name": given,
                "last_name": surname,
                "company": f"{person.last_name} & Sons" if random_bytes[11] < 20 else None,
                "street": person.street,
                "city": person.place.city,
                "state": "OH",
                "zip": person.place.zip,
                "email": person.email if random_bytes[12] < 200 else None,
                "sys_created_date": self.local(created),
                MODIFIED: self.local(created + 60_000 * random_bytes[13]),
                "division": DIVISION_NAMES[person.place.division],
                "hubspot": journey.hubspot_contact(number) if random_bytes[14] < 128 else None,
            }
        values["contactID"] = self._contact_id(number)
        contact = Contact(number, random_bytes, created, values)
        return {each.name: values.get(each.name) or (each.value(contact) if born else None) for each in self.fields}

    def _contact_id(self, number: int) -> str | None:
        match self.settings.contact_id:
            case "gaps" if number % 3 == 0:
                return None
            case "repeated":
                number -= number % 2
        return str(FIRST_ID + number)

    def living(self) -> Iterable[int]:
        return (number for number in range(self.count + self.added) if number not in self.deleted)


def _disposition(contact: Contact) -> str | None:
    return DISPOSITIONS[contact.random_bytes[20] % 5] if contact.random_bytes[20] < 180 else None
