"""Rows of the schema ``pipedesk`` as every constraint accepts them, and what they refer to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.reading import Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.crm_database import A, Connection
from warehouse_pipelines_tests.harness.fake_source import Record, Settings, page

ENTITIES = {entity.table: (source, entity) for source in SOURCES for entity in source.entities}
MIRRORED = sorted(table.removeprefix("pipedesk.") for table in ENTITIES if table.startswith("pipedesk."))

LEAST: Mapping[str, Mapping[str, Any]] = {
    "calendar_events": {"google_event_id": "e"},
    "drive_files": {"file_id": "f"},
    "google_drive_folders": {"folder_id": "f"},
    "drive_folder_links": {"id": 1},
    "users": {"id": A},
    "lead_statuses": {"code": "NEW", "label": "New"},
    "lead_origins": {"code": "WEB", "label": "Website"},
    "lead_contacts": {"lead_id": A, "contact_id": A},
    "lead_tags": {"lead_id": A, "tag_id": A},
    "lead_activity_stats": {"lead_id": A},
    "user_roles": {"role": "sales"},
    "drive_webhook_channels": {"channel_id": "c"},
    "drive_structure_templates": {"name": "t", "entity_type": "lead"},
    "drive_structure_nodes": {"name": "n"},
}
"""The least that each table asks for, besides what it refers to."""


REFERENCES = [
    ("leads", "lead_status_id", "lead_statuses"),
    ("leads", "lead_origin_id", "lead_origins"),
    ("leads", "owner_user_id", "users"),
    ("leads", "qualified_company_id", "companies"),
    ("leads", "qualified_master_deal_id", "master_deals"),
    ("master_deals", "company_id", "companies"),
    ("lead_contacts", "lead_id", "leads"),
    ("lead_contacts", "contact_id", "contacts"),
    ("lead_tags", "lead_id", "leads"),
    ("lead_tags", "tag_id", "tags"),
    ("lead_activity_stats", "lead_id", "leads"),
]


def add(connection: Connection, table: str, **values: Any) -> dict[str, Any]:
    """Insert a row of ours that every constraint accepts, but for ``values``; return it as it is stored."""
    row = {**LEAST.get(table, {}), **values}
    columns, places = ", ".join(f'"{name}"' for name in row), ", ".join(f"%({name})s" for name in row)
    what = f"({columns}) VALUES ({places})" if row else "DEFAULT VALUES"
    cursor = connection.execute(f"INSERT INTO pipedesk.{table} {what} RETURNING *", row)
    assert cursor.description is not None
    return dict(zip([column.name for column in cursor.description], cursor.fetchone() or (), strict=True))


def with_references(connection: Connection) -> None:
    """Add what the rows of ``LEAST`` refer to."""
    add(connection, "leads", id=A)
    add(connection, "contacts", id=A)
    add(connection, "tags", id=A)


def tree(connection: Connection, *parents: int | None, template: int) -> list[int]:
    """Add nodes, each below the one of that number among those before it; return their ids."""
    ids: list[int] = []
    for parent in parents:
        above = None if parent is None else ids[parent]
        ids.append(add(connection, "drive_structure_nodes", template_id=template, parent_id=above)["id"])
    return ids


def mirror(url: str, table: str, *records: Record, force: bool = False) -> Result:
    """Load records as the vendor's, through the loader."""
    source, entity = ENTITIES[f"pipedesk.{table}"]

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        yield page(*records)
        return ReadReport()

    shown: Source = replace(source, fetch=fetch, settings=Settings)
    return sync(shown, entity, Options(force=force), url=url)
