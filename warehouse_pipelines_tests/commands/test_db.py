"""``warehouse db``: what the schema lacks, and what is too large; `check` says the former too."""

import psycopg
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands import db
from warehouse_pipelines.commands.cli import main


def warehouse(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize("schema", [[], ["--schema", "pipedesk"], ["--schema", "public"]])
def test_verify_ends_well_when_the_schema_is_as_migrations_make_it(database_url: str, schema: list[str]) -> None:
    result = warehouse("db", "verify", *schema)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1), result.output


def test_verify_and_check_name_what_somebody_switched_off(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE pipedesk.leads DISABLE TRIGGER track_interaction")
    missing = "pipedesk.leads has no trigger track_interaction, or it is off\n"
    result = warehouse("db", "verify", "--schema", "pipedesk")
    assert (result.exit_code, result.stdout) == (1, missing)
    assert warehouse("db", "verify", "--schema", "public").exit_code == 0
    assert f"schema pipedesk: {missing}" in warehouse("check", "pipedesk").stdout


def test_verify_names_revisions_that_are_not_applied(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", empty_url)
    result = warehouse("db", "verify")
    assert result.exit_code == 1
    assert result.stdout.startswith("revision 0001_orchestration is not applied\n")


def test_advise_names_the_large_tables(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rows that PostgreSQL estimates; a table that does not grow with time is no case for partitions."""
    result = warehouse("db", "advise")
    assert result.exit_code == 0, result.output
    assert "no partitions are needed" in result.stdout
    monkeypatch.setattr(db, "LARGE", 10)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO pipedesk.drive_change_logs (channel_id) SELECT 'c' FROM generate_series(1, 11)")
        connection.execute("INSERT INTO pipedesk.tags (name) SELECT n::text FROM generate_series(1, 12) AS n")
        connection.execute("ANALYZE pipedesk.drive_change_logs, pipedesk.tags")
    lines = warehouse("db", "advise").stdout.splitlines()
    assert lines[1].startswith("pipedesk.drive_change_logs: 11 rows")
    assert [line for line in lines if "partition" in line] == [
        "pipedesk.drive_change_logs: partition it by the month of received_at (docs/pipedesk-schema.md)"
    ]


def test_advise_says_when_postgresql_keeps_too_few_pages(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "shared_buffers" not in warehouse("db", "advise").stdout
    monkeypatch.setattr(db, "BUFFERED", 0.01)  # as if it had to hold a hundred times the warehouse
    assert "shared_buffers is 256 MiB, the warehouse " in warehouse("db", "advise").stdout
    monkeypatch.setattr(db, "ENOUGH", 2**28)
    assert "shared_buffers" not in warehouse("db", "advise").stdout
