"""One company of MarketSharp: its record stores, and whose record each of them holds.

Contact `i` is person `i` of the population; inquiries, appointments, jobs and the rest belong to contacts. Times are
the zoneless wall clock that such a database holds, in milliseconds as if it were UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, HOUR_MS, Journeys
from warehouse_pipelines.simulators.core.population import SOURCES, Population
from warehouse_pipelines.simulators.marketsharp.record_store import RecordStore
from warehouse_pipelines.simulators.marketsharp.sets import SUBSETS

KINDS = ("Lead", "Prospect", "Customer")
STATUSES = ("New", "Set", "Demo No Sale", "Sold", "Dead & Gone")
RESULTS = ("Sold", "Demo No Sale", "No Demo", "Reset")
STAGES = {
    "Contacts": journey.OFFICE, "Inquiries": journey.OFFICE + HOUR_MS, "Appointments": journey.APPOINTMENT,
    "Activities": journey.APPOINTMENT + HOUR_MS, "Jobs": journey.SALE,
}  # fmt: skip
"""How long after a person's first touch a record of theirs is made, by the set's name."""
EDITED = 3 * DAY_MS


class Office:
    """The records of a company; ``now`` is a wall clock in milliseconds."""

    def __init__(self, population: Population, contacts: int, now: int, company: str) -> None:
        self.population, self.contacts, self.company = population, max(1, contacts), company
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
        self.journeys = Journeys(population, self.contacts, now)
        self.stores = {
            name: RecordStore(name, count, now, population.seed, self._edited(name))
            for name, count in {**few, **many}.items()
        }

    def _edited(self, name: str) -> Callable[[int], int] | None:
        if name not in STAGES:
            return None
        return lambda number: self.journeys.after(self.person_of(name, number), STAGES[name] + EDITED)

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
        inquiries = self.stores["Inquiries"]
        return str(inquiries.id_of(min(3 * (person // 4) + min(person % 4, 2), inquiries.count - 1)))

    def store(self, name: str) -> RecordStore:
        return self.stores["Contacts" if name in SUBSETS else name]

    def kind_of(self, number: int) -> str:
        """Whether a contact is a lead, a prospect or a customer."""
        changed = self.store("Contacts").changes.get(number, {})
        return str(changed.get("@kind") or KINDS[journey.visited(number) + journey.sold(number)])

    def time_of(self, store: RecordStore, number: int) -> int:
        time = store.timeline.time_of(number)
        return time if time is not None else store.deleted.get(number) or 0

    def created(self, name: str, number: int) -> int:
        """When a record was made."""
        store = self.stores[name]
        if number >= store.count:
            return self.time_of(store, number)
        return self.journeys.after(self.person_of(name, number), STAGES[name])

    def employee(self, number: int) -> Any:
        """The id of an employee."""
        return self.stores["Employees"].id_of(number % self.stores["Employees"].count)
