"""The migrations of the schema ``pipedesk``, and what is said of its tables: up with rows, down, and again."""

from pathlib import Path
from typing import Any

import alembic.command
import psycopg
import pytest
import sqlalchemy as sa
from alembic.config import Config

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.schema import repeatable, tables
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines_tests.harness.crm_database import A, dump, one, undone_by
from warehouse_pipelines_tests.harness.pipedesk_rows import (
    ENTITIES,
    MIRRORED,
    REFERENCES,
    add,
    tree,
    with_references,
)


def at_0003(url: str) -> None:
    """Bring an empty database to where it was before the schema's own tables."""
    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations"))
    with engine(url).begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003_crm")
        google = [entity for source, entity in ENTITIES.values() if source.name in {"gcalendar", "gdrive"}]
        tables.align(connection, google)


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_a_warehouse_with_rows_is_upgraded(empty_url: str) -> None:
    """With the odd ones that its rules let in, and the tokens that its history has."""
    at_0003(empty_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute("INSERT INTO pipedesk.calendar_events (calendar_id, google_event_id, status, raw_data,"
                           " sync_hash) SELECT 'a', 'e' || n, 'odd', '{}', n FROM generate_series(1, 5) n")  # fmt: skip
        connection.execute("INSERT INTO pipedesk.google_drive_folders (folder_id, entity_type, raw_data, sync_hash)"
                           " VALUES ('f', 'project', '{}', 1)")  # fmt: skip
        connection.execute("INSERT INTO pipedesk.drive_files (file_id, raw_data, sync_hash) VALUES ('f', '{}', 1)")
        for token in ("old", "new"):
            connection.execute(
                "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status,"
                " configuration) VALUES ('gcalendar', 'events', now(), now(), 'success',"
                " jsonb_build_object('state', jsonb_build_object('a', %s::text)))",
                [token],
            )
    done = migrate(empty_url)
    assert "revision 0004_pipedesk" in done
    assert "schema pipedesk" in done
    with psycopg.connect(empty_url) as connection:
        assert one(connection, "SELECT array_agg(id ORDER BY id) FROM pipedesk.calendar_events") == [1, 2, 3, 4, 5]
        assert one(connection, "SELECT sync_token FROM pipedesk.calendar_sync_states WHERE calendar_id = 'a'") == "new"
    assert migrate(empty_url) == []


@pytest.mark.slow("revisions down and up")
def test_up_down_up_leaves_the_same_schema(database_url: str) -> None:
    first = dump(database_url, "pipedesk", "orchestration")
    assert first.count("FOREIGN KEY") == len(REFERENCES) + 6, "those of orchestration are six"
    undone = undone_by("0004_pipedesk")
    assert migrate(database_url, down=len(undone)) == undone
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'pipedesk'").fetchall()
        assert {row[0] for row in found} == set(MIRRORED)
        assert one(connection, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'pipedesk'::regnamespace") == 0
    migrate(database_url)
    assert dump(database_url, "pipedesk", "orchestration") == first


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_down_refuses_with_rows(database_url: str) -> None:
    """It names the tables and their counts. What is copied from the history or can be fetched again is no reason."""
    with psycopg.connect(database_url) as connection:
        add(connection, "calendar_sync_states", active=False, sync_token="t")
        with_references(connection)
        connection.commit()
        with connection.transaction():
            template = add(connection, "drive_structure_templates")["id"]
            tree(connection, None, 0, template=template)
            add(connection, "calendar_sync_states", channel_id="c")
    undone = undone_by("0004_pipedesk")
    with pytest.raises(WrongUse, match=r"calendar_sync_states \(1\).*nodes \(14\).*templates \(5\).*--force"):
        migrate(database_url, down=len(undone))
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM pipedesk.drive_structure_templates WHERE id = %s", [template])
        connection.execute("DELETE FROM pipedesk.calendar_sync_states WHERE channel_id IS NOT NULL")
    assert migrate(database_url, down=len(undone)) == undone
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        add(connection, "drive_change_logs")
        assert one(connection, "SELECT count(*) FROM pipedesk.leads") == 1
    assert migrate(database_url, down=len(undone), force=True) == undone


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_what_was_erased_before_owned_rows_were_known_is_still_the_syncs(database_url: str) -> None:
    """It had no sync_hash, as rows of ours have none. The log of what was done to these keeps the revision."""
    undone = undone_by("0032_pipedesk_owned")
    assert migrate(database_url, down=len(undone)) == undone
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO pipedesk.tags (name, raw_data) VALUES ('erased', '{\"erased\": true}'), ('ours', '{}')"
        )
        role = connection.execute("INSERT INTO pipedesk.user_roles (role) VALUES ('admin') RETURNING id").fetchone()
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT name, sync_hash FROM pipedesk.tags ORDER BY name").fetchall()
        assert found == [("erased", 0), ("ours", None)]
        assert add(connection, "user_roles")["id"] < 0, role
        add(connection, "leads", id=A)
        connection.execute("SELECT pipedesk.soft_delete('leads', %s, NULL, 'a test')", [A])
    with pytest.raises(WrongUse, match="0032_pipedesk_owned"):
        migrate(database_url, down=len(undone))
    assert migrate(database_url, down=len(undone), force=True) == undone


@pytest.mark.slow("a schema that is migrated again")
def test_what_is_said_of_the_tables_can_be_said_again(database_url: str) -> None:
    before = dump(database_url, "pipedesk")
    with psycopg.connect(database_url) as connection:
        connection.execute((sql_folder() / "schemas" / "pipedesk.sql").read_bytes())
    assert dump(database_url, "pipedesk") == before
    assert migrate(database_url) == []


@pytest.mark.slow("a schema that is migrated again")
def test_a_table_that_is_made_anew_gets_what_is_said_of_it(database_url: str) -> None:
    before = dump(database_url, "pipedesk")
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE pipedesk.tags CASCADE")
    assert migrate(database_url) == [
        "table pipedesk.tags", "index idx_tags_deleted_at", "index idx_tags_sync_updated_at",
        "comments of 10 columns", "schema pipedesk",
        "warehouse_read may read 1 more relation", "masked views: 1 made", "pipedesk_app may do more: 3 grants",
        "comments of masked views",
    ]  # fmt: skip
    assert dump(database_url, "pipedesk") == before


def test_a_file_about_a_schema_runs_when_it_changed(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "pipedesk.sql"

    def align() -> list[str]:
        with engine(database_url).begin() as connection:
            return repeatable.align_schemas(connection, tmp_path, set())

    def default() -> Any:
        with engine(database_url).connect() as connection:
            (found,) = [column for column in sa.inspect(connection).get_columns("tags", "pipedesk")
                        if column["name"] == "color"]  # fmt: skip
            return found["default"]

    for color in ("red", "50% grey"):
        file.write_text(f"-- Tags.\nALTER TABLE pipedesk.tags ALTER color SET DEFAULT '{color}';")
        assert align() == ["schema pipedesk"]
        assert default() == f"'{color}'::text"
        assert align() == []
    with psycopg.connect(database_url) as connection:
        said = one(connection, "SELECT obj_description('pipedesk'::regnamespace, 'pg_namespace')")
    assert said.startswith("Tags. [")
