"""The workload: contacts as HubSpot sends them, made from a seed, and what must come of loading them.

A page is an answer of HubSpot's list, whole and in bytes, with 100 records of about 1.4 kB; values of properties are
strings, as HubSpot's are. ``CONTACT`` is a row of its own: ``hubspot_contact`` narrowed to forty columns and widened by
three of JSON, of which the real one has none, so that every kind of column is measured. It differs in three more
things. It has no ``custom``, because all properties of these pages are declared; its values are rejected where the
real row only warns, because a benchmark of bad records needs some; and it has four indexes, the key's included,
between the two that most entities have and the seven of ``hubspot_contact`` (each costs PostgreSQL 2 to 4 µs a record).

The datasets of N records:

- ``base``   all new
- ``delta``  of each twenty: 17 of ``base`` unchanged, 2 changed, 1 new. All of ``base`` was modified within the hour
             that is the cursor's overlap, so a delta run reads the unchanged ones again, as after an import
- ``edited`` every record of ``base`` changed; about twenty of its columns are others
- ``dirty``  ``base`` with one record in a thousand corrupt, in five ways in turn
- ``refused``  ``base`` with every record corrupt, in the same ways; ``unloadable`` with every record of a kind that
  PostgreSQL alone refuses
- ``absorbing``  ``base``, of which one record in a hundred absorbed another that is not there
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
from pydantic_settings import BaseSettings

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Column, Entity, columns
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source

PAGE = 100
SEED = 20250602

TEXTS = """
    firstname lastname address city state zip country company jobtitle lifecyclestage hs_lead_status
    hubspot_owner_id division campaign_name original_lead_source hs_analytics_source comments
"""

_properties = columns(
    text=f"{TEXTS} hs_merged_object_ids",
    email="email",
    phone="phone",
    integer="lead_id num_notes hs_analytics_num_visits hs_analytics_num_page_views num_conversion_events prospect_id",
    numeric="price lead_cost hs_analytics_revenue",
    timestamptz="""
        createdate lastmodifieddate notes_last_updated hs_latest_source_timestamp last_scheduled_appointment_start_time
    """,
    boolean="hs_is_unworked lead_is_dnc lead_is_mobile_lead",
    jsonb="attendees preferences consent",
)

CONTACT = Entity(
    name="contacts",
    table="benchmark_contact",
    about="A contact of the benchmark.",
    path="contacts",
    key="id",
    cursor="lastmodifieddate",
    cadence=Cadence(overlap=timedelta(hours=1), full_every=timedelta(days=1), backfill_since=date(2024, 1, 1)),
    deletes=Deletes(flag="archived", time="archivedAt", merged_keys="hs_merged_object_ids"),
    index="email phone",
    # What a bad record costs is measured, and no source has one by its kind alone.
    severity=dict.fromkeys(("boolean", "integer", "numeric", "date", "timestamptz"), "reject"),
    columns={
        **columns(id="id"),
        **{name: Column(kind, f"properties.{path}") for name, (kind, path) in _properties.items()},
    },
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


_FIRST = _words("Anna Ben Carla David Elena Frank Grace Hector Irene José Karen Liam María Noah Olivia Paul")
_LAST = _words("""
    Adams Baker Castillo Dunn Evans Fischer Gómez Hughes Ivanov Jones Kowalski Lopez Müller Nguyen Ortiz Price
""")
_STREET = _words("Maple_Ave N_Main_St Ridgewood_Dr Old_Mill_Rd Lakeview_Ct Park_Blvd Cedar_Ln Sycamore_St")
_CITY = _words("Dayton Columbus Cincinnati Louisville Indianapolis Lexington Fort_Wayne Toledo")
_AREA = _words("937 614 513 502 317 859 260 419")
_STAGE = _words("lead marketingqualifiedlead salesqualifiedlead opportunity customer evangelist subscriber other")
_STATUS = _words("NEW OPEN WON LOST UNQUALIFIED ATTEMPTED CONNECTED TIMING")
_SOURCE = _words("ORGANIC PAID EMAIL SOCIAL REFERRALS DIRECT OFFLINE OTHER")
_SAID = (
    "Asked for a quote on windows and a door",
    "Wants to be called after five",
    "Has two dogs, use the side gate",
    "Compared us with three others on price and on the warranty",
    "Roof was done in 2011; gutters leak at the north corner",
    "Neighbour recommended us",
    "Spouse decides, both must be at home",
    "Asked about financing over 60 months",
)
_PHONE = ("({0}) {1}-{2:04d}", "+1{0}{1}{2:04d}", "{0}-{1}-{2:04d}", "1 {0} {1} {2:04d}")

_RECORD = (
    '{"id":"%s","properties":{"hs_object_id":"%s","email":"%s","phone":"%s","firstname":"%s","lastname":"%s",'
    '"address":"%s","city":"%s","state":"OH","zip":"%05d","country":"United States","company":"%s","jobtitle":"%s",'
    '"lifecyclestage":"%s","hs_lead_status":"%s","hubspot_owner_id":"%d","division":"%s","campaign_name":"%s",'
    '"original_lead_source":"%s","hs_analytics_source":"%s","comments":"%s","hs_merged_object_ids":null,'
    '"lead_id":"%s","num_notes":"%d","hs_analytics_num_visits":"%d","hs_analytics_num_page_views":"%d",'
    '"num_conversion_events":"%d","prospect_id":"%d","price":"%d.%02d","lead_cost":"%d.%02d",'
    '"hs_analytics_revenue":"%s","createdate":"%s","lastmodifieddate":"%s","notes_last_updated":"%s",'
    '"hs_latest_source_timestamp":"%s","last_scheduled_appointment_start_time":"%s","hs_is_unworked":"%s",'
    '"lead_is_dnc":"%s","lead_is_mobile_lead":"%s","attendees":"[{\\"id\\":%d,\\"role\\":\\"%s\\"}]",'
    '"preferences":"{\\"channel\\":\\"%s\\",\\"hours\\":[%d,%d]}","consent":"{\\"sms\\":%s,\\"email\\":true}"},'
    '"createdAt":"%s","updatedAt":"%s","archived":false}'
)

_MASK = 2**64 - 1


def record(index: int, version: int = 0) -> bytes:
    """Return a contact; a higher ``version`` is an edit of it."""
    h = (index + SEED) * 0x9E3779B97F4A7C15 & _MASK
    h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9 & _MASK
    h ^= h >> 32
    first, last = _FIRST[h & 15], _LAST[h >> 4 & 15]
    area, number = h >> 8 & 7, h >> 11
    key = f"51{index:010d}"
    second = (h >> 3) % 3540
    modified = f"2025-06-02T{12 + version:02d}:{second // 60:02d}:{second % 60:02d}.{index % 1000:03d}Z"
    created = f"2024-{h % 12 + 1:02d}-{h % 28 + 1:02d}T{h % 24:02d}:{h % 60:02d}:{number % 60:02d}.{h % 1000:03d}Z"
    later = f"2025-{h % 5 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:00Z"
    h += version  # what an edit changes
    return (
        _RECORD
        % (
            key,
            key,
            f"{first}.{last}.{index}@example-{h >> 8 & 63}.com",
            _PHONE[h & 3].format(_AREA[area], 222 + number % 700, number % 10_000),
            first,
            last,
            f"{number % 9_900 + 100} {_STREET[h >> 9 & 7]}",
            _CITY[area],
            40_000 + number % 9_999,
            f"{last} & {_LAST[h >> 12 & 15]} Home Improvement LLC" if h & 1 else "",
            "Owner" if h & 2 else "Facilities manager",
            _STAGE[h & 7],
            _STATUS[h >> 5 & 7],
            80_000_000 + number % 64,
            _CITY[h >> 21 & 7],
            f"2025 {_CITY[h >> 3 & 7]} windows {_SOURCE[h >> 16 & 7].lower()}",
            _SOURCE[h >> 16 & 7],
            _SOURCE[h >> 19 & 7],
            f"{_SAID[h & 7]}. {_SAID[h >> 13 & 7]}. {_SAID[h >> 17 & 7]}.",
            index + 1_000_000,
            h & 31,
            h >> 2 & 255,
            h >> 3 & 1023,
            h & 7,
            number % 5_000_000,
            number % 60_000,
            h % 100,
            number % 400,
            number % 100,
            "" if h & 4 else f"{number % 90_000}.{h % 90 + 10}",
            created,
            modified,
            later,
            created,
            later if h & 16 else "",
            "true" if h & 1 else "false",
            "false" if h & 6 else "true",
            "true" if h & 24 else "false",
            number % 100_000,
            "spouse" if h & 1 else "owner",
            "sms" if h & 2 else "email",
            h % 9 + 8,
            h % 4 + 17,
            "true" if h & 8 else "false",
            created,
            modified,
        )
    ).encode()


SPOILT_EVERY = 1000
"""One record of so many is bad in ``dirty``."""


def _spoilt(index: int, kind: int) -> bytes:
    """Return a contact with one thing wrong that costs the record."""
    good = record(index)
    if kind == 0:  # a word for a number
        return good.replace(b'"num_notes":"', b'"num_notes":"about ')
    if kind == 1:  # a day that does not exist
        return good.replace(b'"notes_last_updated":"2025-', b'"notes_last_updated":"2025-02-31T')
    if kind == 2:  # no key
        return good.replace(b'{"id":"51%010d"' % index, b'{"id":null')
    if kind == 3:  # more than 64 bits
        return good.replace(b'"prospect_id":"', b'"prospect_id":"99999999999999999999')
    return good.replace(b'"notes_last_updated":"2025-', b'"notes_last_updated":"some day in 2025-')  # words for a day


class Truth(NamedTuple):
    """What a load of a dataset must count; ``bad`` are the records that must become dead letters, by number."""

    created: int
    updated: int
    unchanged: int
    bad: tuple[int, ...] = ()


def truth(dataset: str, records: int) -> Truth:
    """Return what must come of a dataset; that of ``delta`` and ``edited`` after ``base``."""
    if dataset == "edited":
        return Truth(0, records, 0)
    if dataset == "delta":
        changed = sum(place % 20 in (3, 11) for place in range(records))
        new = sum(place % 20 == 7 for place in range(records))
        return Truth(new, changed, records - changed - new)
    bad: tuple[int, ...] = ()
    if dataset == "dirty":
        bad = tuple(range(SPOILT_EVERY // 2, records, SPOILT_EVERY))
    if dataset in {"refused", "unloadable"}:
        bad = tuple(range(records))
    return Truth(records - len(bad), 0, 0, bad)


def _record_of(dataset: str, records: int, place: int) -> bytes:
    if dataset == "delta":
        if place % 20 == 7:
            return record(records + place, 1)
        return record(place, int(place % 20 in (3, 11)))
    if dataset == "edited":
        return record(place, 1)
    if dataset == "dirty" and place % SPOILT_EVERY == SPOILT_EVERY // 2:
        return _spoilt(place, place // SPOILT_EVERY % 5)
    if dataset == "refused":
        return _spoilt(place, place % 5)
    if dataset == "unloadable":  # a number beyond numeric, where only jsonb looks
        return record(place)[:-1] + b',"strange":1e200000}'
    if dataset == "absorbing" and not place % 100:
        return record(place).replace(b'object_ids":null', b'object_ids":"52%010d"' % place)
    return record(place)


def pages(dataset: str, records: int) -> Iterator[bytes]:
    """Yield the answers of a dataset, made one by one."""
    for start in range(0, records, PAGE):
        made = [_record_of(dataset, records, place) for place in range(start, min(start + PAGE, records))]
        yield b'{"results":[%s],"paging":{"next":{"after":"%d"}}}' % (b",".join(made), start + PAGE)


class _Answer(msgspec.Struct):
    results: list[msgspec.Raw]


_answer = msgspec.json.Decoder(_Answer)


def split(page: bytes) -> list[bytes]:
    """Return the records of an answer as HubSpot's ``fetch`` does."""
    return [bytes(one) for one in _answer.decode(page).results]


class NoSettings(BaseSettings):
    """The benchmark needs none."""


def source(answers: Callable[[], Iterable[bytes]]) -> Source:
    """Return a source whose vendor has answered already; like HubSpot's, only a delta asks by the window."""

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        for page in answers():
            context.calls += 1
            yield Page(split(page), in_window=not request.full)
        return ReadReport()

    return Source(
        name="benchmark", title="The benchmark", transport="api", settings=NoSettings, fetch=fetch,
        check=lambda: "", entities=(CONTACT,),
    )  # fmt: skip
