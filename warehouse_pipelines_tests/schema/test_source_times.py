"""When a record was created and edited at its vendor stands under one pair of names, whatever the vendor calls it."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import SOURCE_TIMES, columns
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE

ENTITIES = {table: entity for table, (_, entity) in BY_TABLE.items()}

WITHOUT = """
    genius_appointment_type genius_division_region genius_job_financing genius_job_status
    genius_job_change_order_reason genius_job_change_order_status genius_job_change_order_type
    genius_integration_field_definition gsheet_marketing_spend
    marketsharp_address marketsharp_appointment_result marketsharp_company marketsharp_contact_phone
    marketsharp_contact_type marketsharp_custom_field marketsharp_inquiry_source_primary
    marketsharp_inquiry_source_secondary marketsharp_product_detail marketsharp_product_type
    pipedesk.lead_tags pipedesk.tags pipedesk.user_roles pipedesk.users
"""
"""Tables of which the vendor tells neither; associations have no times at all."""


def test_every_table_whose_vendor_tells_has_the_names() -> None:
    without = {table for table, entity in ENTITIES.items() if not entity.source_times and not entity.parent}
    assert without == set(WITHOUT.split())
    assert {"source_created_at", "source_updated_at"} == SOURCE_TIMES.keys()


@pytest.mark.parametrize(
    ("table", "created", "updated"),
    [
        ("hubspot_contact", "createdate", "lastmodifieddate"),
        ("genius_lead", "created", "modified"),
        ("marketsharp_inquiry", "created_date", "last_update"),
        ("salesrabbit_user", "date_created", "date_modified"),
        ("arrivy_task", "created", "updated"),
        ("five9_contact", "created_date", "last_modified_date"),
        ("leadconduit_lead", "created_at", "last_event_at"),
        ("callrail_form_submission", "submitted_at", None),
        ("leadconduit_event", "start_timestamp", None),
        ("pipedesk.companies", None, "updated_at"),
    ],
)
def test_the_vendors_own_columns_are_named(table: str, created: str | None, updated: str | None) -> None:
    wanted = {"source_created_at": created, "source_updated_at": updated}
    assert ENTITIES[table].source_times == {name: column for name, column in wanted.items() if column}


def test_a_row_cannot_declare_them() -> None:
    with pytest.raises(ValueError, match="columns that every table has anyway: source_created_at"):
        replace(ENTITIES["callrail_tag"], columns=columns(text="id", timestamptz="source_created_at"))


@pytest.mark.slow("a schema that is migrated again")
def test_they_follow_what_is_loaded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, entity = BY_TABLE["callrail_tag"]
    with start(["callrail"], contacts=20) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        assert sync(source, entity, Options(), url=database_url).status == "success"
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT created_at, source_created_at FROM callrail_tag").fetchall()
        assert rows
        assert all(created == ours for created, ours in rows)
        connection.execute("UPDATE callrail_tag SET created_at = '2020-01-01Z'")
        found = connection.execute("SELECT DISTINCT source_created_at FROM callrail_tag").fetchone()
    assert found == (datetime(2020, 1, 1, tzinfo=UTC),)


@pytest.mark.slow("a schema that is migrated again")
def test_a_table_that_is_there_gets_both_for_the_rows_that_it_has(database_url: str) -> None:
    dropped = "ALTER TABLE salesrabbit_user DROP source_created_at CASCADE, DROP source_updated_at CASCADE"
    with psycopg.connect(database_url) as connection:
        connection.execute(dropped)
        connection.execute(
            "INSERT INTO salesrabbit_user (id, date_created, date_modified, raw_data)"
            " VALUES (1, '2024-01-02Z', '2024-03-04Z', '{}')"
        )
    changes = migrate(database_url)
    made = ["column salesrabbit_user.source_created_at", "column salesrabbit_user.source_updated_at"]
    assert changes == [*made, "comments of 2 columns", "masked views: 1 made", "comments of masked views"]
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT source_created_at, source_updated_at FROM salesrabbit_user").fetchone()
    assert found == (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 3, 4, tzinfo=UTC))
    with engine(database_url).connect() as connection:
        assert tables.differences(connection, [entity for source in SOURCES for entity in source.entities]) == []
