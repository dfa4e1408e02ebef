"""MarketSharp as a source: its entities, and how its credential is checked."""

from warehouse_pipelines.model.reading import Json, Pages, Portal, ReadContext, ReadRequest
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources.marketsharp.client import MarketSharpClient
from warehouse_pipelines.sources.marketsharp.entities import (
    ACTIVITIES,
    ACTIVITY_REFERENCES,
    ACTIVITY_RESULTS,
    ADDRESSES,
    APPOINTMENT_RESULTS,
    APPOINTMENTS,
    COMPANIES,
    CONTACT_PHONES,
    CONTACT_TYPES,
    CONTACTS,
    CUSTOM_FIELDS,
    CUSTOMERS,
    DATA,
    EMPLOYEES,
    INQUIRIES,
    INQUIRY_SOURCE_PRIMARIES,
    INQUIRY_SOURCE_SECONDARIES,
    INQUIRY_STATUSES,
    JOBS,
    LEADS,
    PRODUCT_DETAILS,
    PRODUCT_INTERESTS,
    PRODUCT_TYPES,
    PROSPECTS,
)
from warehouse_pipelines.sources.marketsharp.fetch import read
from warehouse_pipelines.sources.marketsharp.reader import PAGE
from warehouse_pipelines.sources.marketsharp.settings import Settings


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of one set."""
    return read(request, context, INQUIRY_STATUSES)


def inspect(request: ReadRequest, context: ReadContext) -> Portal | None:
    """Return the properties of a set, and its first records; None where the service does not describe itself."""
    described = MarketSharpClient(context).described(request.entity.path.partition("?")[0])
    if described is None or "?" in request.entity.path:
        return None
    records: list[Json] = []
    for page in read(request, context, INQUIRY_STATUSES):
        records += page.records
        if len(records) >= request.limit:
            break
    # Names are matched whatever their case, as those of a record are.
    ours = {path.lower(): path for column in request.entity.columns.values() for path in column.paths}
    return Portal({ours.get(name.lower(), name): type_ for name, type_ in described.items()}, records[: request.limit])


def check(context: ReadContext | None = None) -> str:
    """Ask for one company."""
    client = MarketSharpClient(context or ReadContext())
    seen = len(client.ask(COMPANIES.path, top="1").entries)
    return f"MarketSharp answers: the key reads {'a company' if seen else 'no company'}"


MARKETSHARP = Source(
    name="marketsharp",
    title="MarketSharp",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    inspect=inspect,
    place=lambda name, kind: f"zoned.{name}|{name}" if kind == "timestamptz" else name,
    page_size=PAGE,
    # Its limits are not published, and it answers 503 under load.
    pool=1,
    entities=(
        DATA,
        CONTACTS,
        LEADS,
        PROSPECTS,
        CUSTOMERS,
        CONTACT_PHONES,
        CONTACT_TYPES,
        CUSTOM_FIELDS,
        ADDRESSES,
        INQUIRIES,
        INQUIRY_SOURCE_PRIMARIES,
        INQUIRY_SOURCE_SECONDARIES,
        INQUIRY_STATUSES,
        APPOINTMENTS,
        APPOINTMENT_RESULTS,
        ACTIVITIES,
        ACTIVITY_REFERENCES,
        ACTIVITY_RESULTS,
        JOBS,
        PRODUCT_INTERESTS,
        PRODUCT_TYPES,
        PRODUCT_DETAILS,
        EMPLOYEES,
        COMPANIES,
    ),
)
