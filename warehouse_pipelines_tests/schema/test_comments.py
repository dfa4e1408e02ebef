"""Comments in the database: everything of ours has one, a changed text is applied, and what is not ours is left."""

import json
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_pipelines.model import column_texts
from warehouse_pipelines.schema import comments
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.crm_database import add

ENTITIES = [entity for source in SOURCES for entity in source.entities]

SILENT = """
    SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, '') FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT 0 AS number, NULL::name AS attname UNION ALL
            SELECT attnum, attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS a
        LEFT JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
            AND d.objsubid = a.number
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm')
        AND coalesce(d.description, '') !~ '[[:alpha:]]{2}'
    UNION ALL SELECT n.nspname FROM pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND coalesce(obj_description(n.oid, 'pg_namespace'), '') IN ('', 'standard public schema')
    ORDER BY 1
    """


def said(connection: "psycopg.Connection[Any]", column: str) -> str | None:
    relation, _, name = column.rpartition(".")
    row = connection.execute(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
        [relation, name],
    ).fetchone()
    assert row is not None, column
    text: str | None = row[0]
    return text


def test_no_schema_no_relation_and_no_column_is_without_a_comment(shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        assert connection.execute(SILENT.encode()).fetchall() == []
        relations = connection.execute("SELECT count(*) FROM pg_description WHERE objsubid > 0").fetchone()
    assert relations is not None
    assert relations[0] > 3_500


@pytest.mark.slow("a schema that is migrated again")
def test_the_months_of_a_log_say_what_they_are_in_the_archive_too(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        add(connection, "lead_audit_log", lead_id="00000000-0000-0000-0000-0000000000a1", created_at="2020-01-15")
        connection.execute("SELECT crm.archive_partitions()")
        connection.execute("COMMENT ON COLUMN crm_archive.lead_audit_log_2020_01.action IS NULL")
    with psycopg.connect(database_url) as connection:
        assert connection.execute(SILENT.encode()).fetchall() != []
    assert migrate(database_url)[-1].startswith("comments of ")
    with psycopg.connect(database_url) as connection:
        assert connection.execute(SILENT.encode()).fetchall() == []
        archived = said(connection, "crm_archive.lead_audit_log_2020_01.action")
        assert archived == said(connection, "crm.lead_audit_log.action") is not None


@pytest.mark.slow("a schema that is migrated again")
def test_a_text_that_changed_is_applied_by_the_next_migration_and_reaches_the_view(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that SQL could take for its own in it; and nothing else is written."""
    text = "It's 100 %, %s; \\'; -- $$ ?\nand the next line."
    before = column_texts.text
    monkeypatch.setattr(
        column_texts, "text",
        lambda entity, name: text if (entity.table, name) == ("pipedesk.leads", "legal_name") else before(entity, name),
    )  # fmt: skip
    changed = migrate(database_url)
    assert [line for line in changed if line.startswith("comments")] == changed
    with psycopg.connect(database_url) as connection:
        assert said(connection, "pipedesk.leads.legal_name") == text
        assert said(connection, "pipedesk.leads_v.legal_name") == text
        assert said(connection, "pipedesk.leads_v.title") != text
    assert migrate(database_url) == []


def test_a_file_says_what_columns_of_views_are(database_url: str, tmp_path: Path) -> None:
    for path in (sql_folder() / "views").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    file = tmp_path / "columns.toml"
    file.write_text(
        file.read_text().replace('["pipedesk.leads_v"]', '["pipedesk.leads_v"]\npriority_score = "100 % \'now\'"')
    )
    with engine(database_url).begin() as connection:
        assert comments.align(connection, ENTITIES, tmp_path) == ["comments of 1 column"]
    with psycopg.connect(database_url) as session:
        assert said(session, "pipedesk.leads_v.priority_score") == "100 % 'now'"


def test_the_file_names_columns_that_are_there(shared_url: str) -> None:
    document = tomllib.loads((sql_folder() / "views" / "columns.toml").read_text())
    with psycopg.connect(shared_url) as connection:
        for view, columns in document.items():
            for column, text in columns.items():
                assert said(connection, f"{view}.{column}") == text


@pytest.mark.slow("a schema that is migrated again")
def test_nothing_is_said_of_what_is_somebody_else_s(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT legal_name FROM pipedesk.leads")
        connection.execute("CREATE TABLE public.notes (id int)")
    assert migrate(database_url) == []
    with psycopg.connect(database_url) as connection:
        assert said(connection, "public.mine.legal_name") is None


@pytest.mark.slow("a schema that is migrated again")
def test_what_is_right_is_not_written_again(database_url: str) -> None:
    """A repetition changes no row of the catalog, so loads and autovacuum are not held up."""
    seen = (
        "SELECT json_agg(xmin::text ORDER BY classoid, objoid, objsubid)::text FROM pg_description WHERE objoid > 16384"
    )
    with psycopg.connect(database_url) as connection:
        first = connection.execute(seen).fetchone()
    assert migrate(database_url) == []
    with psycopg.connect(database_url) as connection:
        again = connection.execute(seen).fetchone()
    assert first == again
    assert len(json.loads(first[0])) > 3_500  # type: ignore[index]
