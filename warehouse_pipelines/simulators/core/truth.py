"""Whose each simulated record is: what a resolver is measured by, and must not see.

Tests and benchmarks import it, the product never; a test says so. ``owners`` has the records of the simulated vendors:
only those that the formulas make, not those that a test adds, and people only, for who rang without a name has no
record of a person. ``invented`` has no vendor behind it: it says what seven CRMs would hold of so many people, with the
holes that each of them has, as fast as a million records need.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import Person, Population, marketsharp_id


def owners(population: Population, contacts: int) -> dict[tuple[str, str], int]:
    """The person's number by the table and the key of each record, as the vendors have it with so many ``contacts``."""
    return {(table, str(key)): number for table, key, number in _owned(population, contacts)}


def _owned(population: Population, contacts: int) -> Iterator[tuple[str, str | int, int]]:
    from warehouse_pipelines.simulators.five9.domain import FIRST_ID
    from warehouse_pipelines.simulators.pipedesk.tables import pipedesk_id

    for number in range(contacts):
        yield "hubspot_contact", journey.HUBSPOT_CONTACT + number, journey.original(number)
        yield "marketsharp_contact", marketsharp_id(number), number
        yield "salesrabbit_lead", journey.salesrabbit_lead(number), number
        yield "five9_contact", FIRST_ID + number, number
        if (appointment := journey.hubspot_appointment(number)) is not None:
            yield "hubspot_appointment", appointment, number
            yield "salespro_customer", journey.salespro_id("cus", population.seed, number // 2), number
    for number in range(1, contacts + 1):
        yield "genius_lead", number, number
        yield "pipedesk.contacts", pipedesk_id(population, "contact", number), number
        if (prospect := journey.genius_prospect(number)) is not None:
            yield "genius_prospect", prospect, number


CRMS = (
    # Table, and of 256: who stands in it, and whose e-mail address, phone number, street and given name are missing.
    ("hubspot_contact", 205, 20, 12, 40, 0),
    ("genius_lead", 140, 60, 8, 12, 0),
    ("five9_contact", 100, 70, 4, 60, 6),
    ("marketsharp_contact", 90, 60, 14, 20, 0),
    ("salesrabbit_lead", 60, 130, 60, 4, 50),
    ("leadconduit_lead", 70, 8, 8, 60, 0),
    ("pipedesk.contacts", 40, 32, 28, 256, 0),
)
_POINTERS = (("salesrabbit_lead", 4), ("marketsharp_contact", 3), ("genius_lead", 1))
"""To whom HubSpot's contact holds the id, and the place of the table in ``CRMS``; of each half that could."""


def invented(population: Population, people: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of so many people, about three each, and whose each is, in words that are equal for one owner.

    A record is what a source says: ``first``, ``last``, ``business``, ``emails``, ``phones``, the address, ``ids`` of
    other tables' rows. One in twenty of HubSpot's is there twice. One person in 64 has a business that bears the name,
    has its own records and shares the number: it is an owner of its own.
    """
    for number in range(people):
        person = population.person(number)
        chance = blake2b(b"crms" + person.random_bytes, digest_size=56).digest()
        there = [chance[at] < crm[1] for at, crm in enumerate(CRMS)]
        if not any(there):
            there[0] = True
        for at, crm in enumerate(CRMS):
            if there[at]:
                ids = tuple(
                    f"{table}:{number}" for table, place in _POINTERS
                    if at == 0 and there[place] and chance[50 + place] < 110
                )  # fmt: skip
                yield str(number), _record(person, crm, str(number), chance[7 + 5 * at : 12 + 5 * at], ids)
        if there[0] and chance[48] < 13:
            yield str(number), _record(person, CRMS[0], f"{number}-2", chance[42:47])
        if chance[49] < 4:
            yield from _business(person, chance)


def _record(
    person: Person, crm: tuple[str, int, int, int, int, int], key: str, chance: bytes, ids: tuple[str, ...] = ()
) -> dict[str, Any]:
    table, _, no_email, no_phone, no_street, no_first = crm
    told = person.told(f"{table} {key}")
    street = chance[2] >= no_street
    return {
        "source_table": table,
        "source_key": key,
        "first": told.first_name if chance[3] >= no_first else None,
        "last": told.last_name.upper() if chance[4] < 30 else told.last_name,
        "emails": (told.email,) if chance[0] >= no_email else (),
        "phones": (told.phone,) if chance[1] >= no_phone else (),
        "street": told.street if street else None,
        "city": told.place.city,
        "state": "OH",
        "zip": told.place.zip if street or chance[4] & 1 else None,
        "ids": ids,
    }


def _business(person: Person, chance: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of the business of a person."""
    name = f"{person.last_name} {('Roofing LLC', '& Sons', 'Builders Inc', 'Properties')[chance[47] & 3]}"
    for table in ("hubspot_contact", "pipedesk.contacts", "five9_contact")[: 1 + (chance[47] >> 2) % 3]:
        yield (
            f"business {person.number}",
            {
                "source_table": table,
                "source_key": f"{person.number}-b",
                "last": name,
                "emails": (f"office{person.number}@example.com",) if chance[46] & 1 else (),
                "phones": (person.phone,),
                "street": person.street,
                "city": person.place.city,
                "state": "OH",
                "zip": person.place.zip,
            },
        )
