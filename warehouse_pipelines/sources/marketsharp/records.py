"""Make records of MarketSharp's properties.

A record is its properties under the vendor's names, exactly the texts that were sent, null where ``m:null`` says so.
Names are matched in any case. A time without an offset is in ``MARKETSHARP_TIME_ZONE`` (the service does not say whose,
and Companies.timeZone is a text of unknown form), or UTC if its name ends so; the record has it a second time, with the
offset, under ``zoned``.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadRequest
from warehouse_pipelines.sources.marketsharp.atom import Entry, Properties
from warehouse_pipelines.sources.marketsharp.client import MarketSharpClient
from warehouse_pipelines.sources.marketsharp.reader import WALL_CLOCK, MarketSharpReader, note_absent


class Recorder:
    """Make records of properties."""

    def __init__(self, entity: Entity, zone: ZoneInfo) -> None:
        self._times = {column.paths[-1] for column in entity.columns.values() if column.kind == "timestamptz"}
        self._zone = zone.key

    def record(self, properties: Mapping[str, Any]) -> bytes:
        """Return the record of these properties."""
        zoned = {
            name: text + offset
            for name in self._times
            if (text := properties.get(name))
            and WALL_CLOCK.fullmatch(text)
            and (offset := offset_of(text[:13], "UTC" if name.endswith("Utc") else self._zone))
        }
        return msgspec.json.encode({**properties, "zoned": zoned} if zoned else properties)


@functools.lru_cache(maxsize=5_000)
def offset_of(hour: str, zone: str) -> str:
    """Return the offset of a zone in an hour, ``2024-01-31T10``, the first of two; empty for an invalid time."""
    try:
        return datetime.fromisoformat(hour).replace(tzinfo=ZoneInfo(zone)).isoformat()[19:]
    except ValueError:
        return ""


class Flattener:
    """Make one record of an inquiry and the records that it refers to; ``unproven`` is of the set of statuses."""

    def __init__(self, client: MarketSharpClient, request: ReadRequest, statuses: Entity) -> None:
        self._context, self._entity = client.context, request.entity
        self.unproven: str | None = None
        self._statuses: dict[str | None, Properties] = {}
        try:
            reader = MarketSharpReader(client, replace(request, entity=statuses))
            for entries in reader.pages():
                self._statuses |= {(entry.properties or {}).get("id"): entry.properties or {} for entry in entries}
            self.unproven = reader.unproven
        except RequestRefused as refused:
            if refused.status != 404:
                raise
            note_absent(self._context, self._entity, statuses.path, "InquiryStatus")

    def flat(self, entry: Entry) -> Mapping[str, Any]:
        """Return the inquiry with ``Contact``, ``Address``, ``ContactPhone`` and ``InquiryStatus`` as members.

        ``Address`` is the contact's primary one; without one it is the job site, under the names of an address.
        """
        inquiry = entry.properties or {}
        contacts = self._linked(entry, "Contact") if inquiry.get("contactId") or entry.linked else []
        person: Properties | None = None
        phone: Properties | None = None
        address: Properties | None = None
        for contact in contacts[:1]:
            person = contact.properties or {}
            phone = next((one.properties for one in self._linked(contact, "ContactPhone")), None)
            primary = (person.get("primaryAddressId") or "").lower()
            addresses = (one.properties or {} for one in self._linked(contact, "Address"))
            address = next((one for one in addresses if primary and (one.get("id") or "").lower() == primary), None)
        return {
            **inquiry,
            "Contact": person,
            "Address": address or job_site(inquiry),
            "ContactPhone": phone,
            "InquiryStatus": self._statuses.get(inquiry.get("inquiryStatusId") or None),
        }

    def _linked(self, entry: Entry, name: str) -> list[Entry]:
        """Return the expanded entries; none, and note it, if the service did not expand the navigation."""
        if name not in entry.linked:
            members = ("Contact", "Address", "ContactPhone") if name == "Contact" else (name,)
            note_absent(self._context, self._entity, f"expanded {name}", *members)
        return entry.linked.get(name, [])


def job_site(inquiry: Properties) -> Properties | None:
    """Return the job site under the names of an address; None for an empty one."""
    names = {"line1": "AddressLine1", "line2": "AddressLine2", "city": "City", "state": "State", "zip": "Zip"}
    site = {name: inquiry.get(f"jobSite{theirs}") for name, theirs in names.items()}
    return site if any(site.values()) else None
