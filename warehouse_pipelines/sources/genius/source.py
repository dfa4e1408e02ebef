"""Genius as a source: its entities, and how its credential is checked."""

from collections.abc import Mapping

from warehouse_pipelines.errors import AnswerChanged
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources._sql import survey
from warehouse_pipelines.sources.genius.catalogue import GeniusTable
from warehouse_pipelines.sources.genius.client import GeniusClient
from warehouse_pipelines.sources.genius.entities import (
    APPOINTMENT_OUTCOME_TYPES,
    APPOINTMENT_OUTCOMES,
    APPOINTMENT_SERVICES,
    APPOINTMENT_TYPES,
    APPOINTMENTS,
    CONTACTS,
    DIVISION_GROUPS,
    DIVISION_REGIONS,
    DIVISIONS,
    INTEGRATION_FIELD_DEFINITIONS,
    INTEGRATION_FIELDS,
    JOB_CHANGE_ORDER_ITEMS,
    JOB_CHANGE_ORDER_REASONS,
    JOB_CHANGE_ORDER_STATUSES,
    JOB_CHANGE_ORDER_TYPES,
    JOB_CHANGE_ORDERS,
    JOB_FINANCINGS,
    JOB_STATUSES,
    JOBS,
    LEADS,
    MARKETING_SOURCE_TYPES,
    MARKETING_SOURCES,
    MARKETSHARP_APPOINTMENTS,
    MARKETSHARP_CONTACTS,
    MARKETSHARP_MARKETING_SOURCE_MAPS,
    MARKETSHARP_SOURCES,
    PROSPECT_SOURCES,
    PROSPECTS,
    QUOTES,
    SERVICES,
    USER_ASSOCIATIONS,
    USER_TITLES,
    USERS,
)
from warehouse_pipelines.sources.genius.fetch import PAGE, UNSEEN, fetch, inspect, prove
from warehouse_pipelines.sources.genius.settings import Settings


def check() -> str:
    """Connect, and compare clocks; count the tables that can be read, and name the columns that are not there.

    Raises ``AnswerChanged`` for a table without its key.
    """
    with GeniusClient(ReadContext()) as client:

        def absent(entity: Entity) -> Mapping[str, str]:
            table = GeniusTable(client, entity)
            prove(client, table)
            return table.absent

        own, utc = client.clocks()
        seen = {str(name) for (name,) in client.all(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
        )}  # fmt: skip
        without, changed = survey([entity for entity in GENIUS.entities if entity.path in seen], absent, UNSEEN)
        if changed:
            raise AnswerChanged(" ".join(changed))
        lacking = sorted({entity.path for entity in GENIUS.entities} - seen)
        tables = f"all of {len(GENIUS.entities)} tables" + (f" but {', '.join(lacking)}" if lacking else "")
        ahead = round((own - utc).total_seconds() / 900) / 4
        return "; ".join(
            [
                f"Genius answers ({client.version}): {tables}",
                *without,
                f"its clock is UTC{ahead:+g} h, times are read as {client.settings.time_zone}",
            ]
        )


GENIUS = Source(
    name="genius",
    title="Genius",
    transport="database",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    page_size=PAGE,
    entities=(
        LEADS,
        PROSPECTS,
        PROSPECT_SOURCES,
        APPOINTMENTS,
        APPOINTMENT_SERVICES,
        APPOINTMENT_TYPES,
        APPOINTMENT_OUTCOMES,
        APPOINTMENT_OUTCOME_TYPES,
        USERS,
        USER_TITLES,
        USER_ASSOCIATIONS,
        DIVISIONS,
        DIVISION_GROUPS,
        DIVISION_REGIONS,
        CONTACTS,
        QUOTES,
        SERVICES,
        MARKETING_SOURCES,
        MARKETING_SOURCE_TYPES,
        MARKETSHARP_SOURCES,
        MARKETSHARP_MARKETING_SOURCE_MAPS,
        MARKETSHARP_CONTACTS,
        MARKETSHARP_APPOINTMENTS,
        JOBS,
        JOB_STATUSES,
        JOB_FINANCINGS,
        JOB_CHANGE_ORDERS,
        JOB_CHANGE_ORDER_ITEMS,
        JOB_CHANGE_ORDER_REASONS,
        JOB_CHANGE_ORDER_STATUSES,
        JOB_CHANGE_ORDER_TYPES,
        INTEGRATION_FIELDS,
        INTEGRATION_FIELD_DEFINITIONS,
    ),
)
