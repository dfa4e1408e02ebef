"""Rows of three simulated CRMs in a warehouse, without a network, and the people whose they are, as the truth has them.

``fill`` writes what Genius, HubSpot and MarketSharp hold of so many people at a moment, and who is who: identity is not
what is tested with it. A vendor's wall clock is UTC here, so times compare with ``simulators.core.journey`` directly.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.types.json import Jsonb

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.core import journey, truth
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.genius.rows import Rows
from warehouse_pipelines.simulators.hubspot.lookups import STAGES
from warehouse_pipelines.simulators.hubspot.portal import HubSpotSettings, Portal
from warehouse_pipelines.simulators.marketsharp.formulas import record_of
from warehouse_pipelines.simulators.marketsharp.office import Office
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Row = Mapping[str, Any]

GENIUS = (
    "genius_lead", "genius_prospect", "genius_prospect_source", "genius_appointment", "genius_appointment_outcome",
    "genius_quote", "genius_job", "genius_job_status", "genius_job_change_order", "genius_marketing_source",
    "genius_division",
)  # fmt: skip
MARKETSHARP = {
    "marketsharp_contact": "Contacts", "marketsharp_inquiry": "Inquiries", "marketsharp_appointment": "Appointments",
    "marketsharp_job": "Jobs", "marketsharp_appointment_result": "AppointmentResults",
    "marketsharp_inquiry_source_primary": "InquirySourcePrimaries",
}  # fmt: skip
HUBSPOT = {"hubspot_contact": "contacts", "hubspot_deal": "deals", "hubspot_appointment": "appointments"}


def fill(session: "Session", population: Population, people: int, now: datetime) -> None:
    """Write the rows of so many people, as they are at ``now``, and their identity."""
    entities = columns.entities()
    by_path = {entities[table].path: entities[table] for table in GENIUS}
    for path, made in Rows(population, people, now.replace(tzinfo=None)).tables():
        if path in by_path:  # rows are made while they are read
            _write(session, by_path[path], [_decoded(by_path[path], row) for row in made])
    portal = Portal(population, HubSpotSettings(contacts=people, now=now.timestamp()))
    for table, name in HUBSPOT.items():
        store = portal.named(name)
        rows = [
            {"id": store.id_of(number), "properties": store.properties(number, store.row(number))}
            for number in range(store.count)
        ]
        _write(session, entities[table], [_decoded(entities[table], row) for row in rows])
    _pairs(session, portal, "hubspot_contact_to_deal_association", "contacts", "deals")
    _pairs(session, portal, "hubspot_deal_to_company_association", "deals", "companies")
    _pairs(session, portal, "hubspot_appointment_to_deal_association", "appointments", "deals")
    stages = [
        {"id": name, "label": label, "is_closed": name.startswith("closed"), "probability": chance}
        for name, label, chance in STAGES
    ]
    _write(session, entities["hubspot_pipeline_stage"], stages)
    office = Office(population, people, int(now.timestamp() * 1000), "company")
    for table, name in MARKETSHARP.items():
        kept = office.store(name)
        rows = [record_of(office, kept, number) for number in range(kept.count)]
        _write(session, entities[table], [_decoded(entities[table], row) for row in rows])
    _identity(session, population, people)


def _decoded(entity: Entity, row: Row) -> dict[str, Any]:
    values = {name: next((found for path in column.paths if (found := _at(row, path)) not in (None, "")), None)
              for name, column in entity.columns.items()}  # fmt: skip
    return {
        name: _read(value, entity.columns[name].kind)
        for name, value in values.items()
        if value is not None and entity.columns[name].kind != "jsonb"
    }


def _at(row: Row, path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _read(value: Any, kind: str) -> Any:
    if kind == "timestamptz":
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
    if kind == "date" and str(value).startswith("0000"):
        return None
    if kind == "boolean":
        return str(value).lower() in ("1", "true", "yes")
    if kind in ("integer", "numeric"):
        digits = str(value).removeprefix("-")
        return str(value) if digits.replace(".", "", 1).isdigit() else None
    return str(value).lower() if kind == "id" else str(value)


def _pairs(session: "Session", portal: Portal, table: str, source: str, target: str) -> None:
    entity = columns.entities()[table]
    asked, found, kind = entity.keys
    store, other = portal.named(source), portal.named(target)
    rows = [
        {asked: store.id_of(number), found: other.id_of(edge[0]), kind: place}
        for number in range(store.count)
        for place, edge in enumerate(portal.associations.edges(source, target, number))
    ]
    _write(session, entity, rows)


def _write(session: "Session", entity: Entity, rows: Iterable[Row]) -> None:
    names = [*entity.columns, "raw_data"]
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        columns.table(entity.table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(sql.Placeholder() for _ in names),
    )
    with session.cursor() as cursor:
        cursor.executemany(insert, [[*(row.get(name) for name in entity.columns), Jsonb({})] for row in rows])


def _identity(session: "Session", population: Population, people: int) -> None:
    owners = {
        key: person
        for key, person in truth.owners(population, people).items()
        if key[0] in {*GENIUS, *MARKETSHARP, *HUBSPOT}
    }
    owners |= {("genius_appointment", str(number)): 2 * number for number in range(1, people // 2 + 1)}
    persons = sorted(set(owners.values()))
    with session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO identity.person (person_id, kind, zip, record_count, source_tables)"
            " VALUES (%s, 'customer', %s, 1, '{}')",
            [(person_id(number), population.person(number).place.zip) for number in persons],
        )
        cursor.executemany(
            "WITH made AS (INSERT INTO identity.record (source_table, source_key, kind, fingerprint)"
            " VALUES (%s, %s, %s, 'x') RETURNING record_id, source_table, source_key)"
            " INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
            " SELECT record_id, %s, source_table, source_key FROM made",
            [(*name, BY_TABLE[name[0]].kind, person_id(number)) for name, number in owners.items()],
        )


def person_id(number: int) -> str:
    """Return the id in identity of a person of the population."""
    return f"00000000-0000-0000-0000-{number:012d}"


def number_of(person: object) -> int:
    """Return whose id it is."""
    return int(str(person)[-12:])


__all__ = ["fill", "journey", "number_of", "person_id"]
