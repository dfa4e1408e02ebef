"""Read the contacts of Five9: everything in each run, and report what proves that it is everything.

Contacts are read by SOAP, as every known client does, and not by REST. ``getContactRecords`` cannot be asked for edited
records, so each run reads everything (``reader``). An unchanged row costs only its lookup. The size of an answer is the
vendor's, so ``--batch-size`` is noted and changes nothing.

**Completeness**: no dialing list may be larger than what was read, and the reader's proofs must hold. A run without
proof is partial, with its reason; with ``FIVE9_ALL_CONTACTS_NUMBERED=true`` a person vouches that every contact has a
``number1`` of digits only. Parts that were crowded are remembered (``state``); for ``PROVEN_FOR`` they are not asked
for again only to be split.

**A record** is ``{"id", "contact", "received", "mapped"}`` (``domain``). ``contact`` holds all fields of the domain,
by its own names; those that no column declares are ``custom_properties``. Dates and times are read by their field's
DateFormat and TimeFormat in the domain's zone (the first of an hour that occurs twice) and written in ISO 8601;
``received`` has the original. One that its field's format refuses stays as it came and is counted (``unread_dates``);
it is no date of any column, because by another format it would be another one. ``mapped`` has, by the column's name,
fields that each domain calls otherwise.

Deletes leave no trace: a row absent from a complete read counts as deleted.

Left out: ``contactIdField`` of the lookup, of which nothing is known; reports, whose definitions each domain must have
first; membership of dialing lists. Verified against the simulator only; no live domain has been read yet.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from warehouse_pipelines.model.reading import Page, Pages, Portal, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.five9.domain import Domain
from warehouse_pipelines.sources.five9.reader import LONGEST, Five9Reader
from warehouse_pipelines.sources.five9.service import Service, Settings

PROVEN_FOR = timedelta(days=7)
"""How long a remembered split is trusted before the crowded part is asked for again, as a proof of its parts."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield all contacts of the domain."""
    settings = context.settings(Settings)
    service = Service(context)
    service.keep_to_limits()
    domain = Domain(service.fields(), settings)
    largest = service.largest_list()
    known, proven_at = remembered(request.state, request.window.until)
    reader = Five9Reader(service, domain, known)
    for records in reader.contacts():
        yield Page(records)
    for records in reader.moved(context.known.keys(request.entity.table)):
        yield Page(records)
    reasons = sorted(reader.reasons)
    for name, contacts in sorted(reader.unproven):
        if name != "number1":
            reasons.append(f"it is not proven that {contacts} are found")
        elif not settings.all_contacts_numbered:
            reasons.append(
                f"it is not proven that {contacts} are found (if every contact has a number1 of digits only, set "
                f"{context.setting('FIVE9_ALL_CONTACTS_NUMBERED')}=true)"
            )
    if largest > reader.found.number:
        largest = service.largest_list()
    if largest > reader.found.number:
        reasons.append(f"a dialing list has, asked twice, {largest} contacts, and {reader.found.number} were found")
    context.note(
        fields=len(domain.names),
        fields_not_there=domain.missing,
        unread_dates=dict(domain.unread),
        listed_again=reader.found.again,
        largest_list=largest,
    )
    if reasons:
        return ReadReport(
            unproven=f"Five9 may have contacts that were not read: {'; '.join(reasons)}. No row was counted as deleted."
        )
    crowded = msgspec.json.encode(sorted(reader.crowded)).decode()
    return ReadReport(next_state={"crowded": crowded, "proven_at": proven_at.isoformat()})


def inspect(request: ReadRequest, context: ReadContext) -> Portal:
    """Return the fields of the domain, and the contacts of one lookup; for one record, that a lookup is allowed."""
    service = Service(context)
    domain = Domain(service.fields(), context.settings(Settings))
    value = "%" if request.limit > 1 else "0" * LONGEST
    shown = Five9Reader(service, domain).ask(("number1", value))
    records = [domain.record(key, shown.names, row) for key, _, row in domain.contacts(shown)]
    has = {f"contact.{name}": type_ for name, type_ in domain.types.items()}
    has |= {f"mapped.{column}": domain.types.get(name, "STRING") for column, name in domain.mapped.items()}
    return Portal({"id": "made here", **has}, records[: request.limit])


def remembered(state: Mapping[str, str], now: datetime) -> tuple[frozenset[str], datetime]:
    """Return the parts that were crowded in the last run and the time of their proof; none if that is too old."""
    if state and now - (proven_at := datetime.fromisoformat(state["proven_at"])) < PROVEN_FOR:
        return frozenset(msgspec.json.decode(state["crowded"], type=list[str])), proven_at
    return frozenset(), now
