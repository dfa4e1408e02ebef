"""``warehouse export dbt``: what it writes is what dbt documents, and its SQL is answered by this warehouse.

The properties are those of https://docs.getdbt.com/reference/source-properties, for dbt 1.10.8 and newer.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from click.testing import CliRunner
from psycopg import sql

from warehouse_pipelines.commands import cli
from warehouse_pipelines.observability.health import limits
from warehouse_pipelines.sources import SOURCES

SOURCE = {"name", "description", "database", "schema", "loader", "config", "quoting", "tables"}
TABLE = {"name", "description", "identifier", "config", "data_tests", "columns"}
COLUMN = {"name", "description", "data_type", "quote", "data_tests", "config"}
TESTS = {"unique", "not_null", "relationships"}

ENTITIES = {entity.table: (source, entity) for source in SOURCES for entity in source.entities}

Node = dict[str, Any]


@pytest.fixture(scope="module")
def printed(shared_url: str) -> str:
    result = CliRunner(env={"WAREHOUSE_DATABASE_URL": shared_url}).invoke(cli.main, ["export", "dbt"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def document(printed: str) -> Node:
    found: Node = yaml.load(printed, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    return found


def tables(document: Node) -> Iterator[tuple[Node, Node]]:
    for source in document["sources"]:
        for table in source["tables"]:
            yield source, table


def name(source: Node, table: Node) -> str:
    return table["name"] if source["schema"] == "public" else f"{source['schema']}.{table['name']}"


def given_tests(node: Node) -> Iterator[tuple[str, Node]]:
    for test in node.get("data_tests", []):
        yield (test, {}) if isinstance(test, str) else next(iter(test.items()))


def test_the_properties_are_those_that_dbt_documents(document: Node) -> None:
    assert document["version"] == 2
    names = [source["name"] for source in document["sources"]]
    assert names == sorted(set(names))
    for source, table in tables(document):
        assert source.keys() <= SOURCE
        assert table.keys() <= TABLE, table["name"]
        assert re.fullmatch(r"\w+", source["name"])
        for column in table["columns"]:
            assert column.keys() <= COLUMN, (table["name"], column["name"])
        for node in (table, *table["columns"]):
            assert len(node["description"]) > 3, (table["name"], node["name"])
            shown = re.sub(r"^\{% raw %\}.*\{% endraw %\}$", "", node["description"])
            assert not re.search(r"\{[{%#]|\[\w{12}\]$", shown), "a template, or the hash of a view"
            for test, given in given_tests(node):
                assert test in TESTS
                assert given.keys() <= {"arguments", "config"}


def test_every_entity_is_there_and_nothing_that_readers_may_not_read(document: Node) -> None:
    found = {name(source, table): table for source, table in tables(document)}
    assert found.keys() >= ENTITIES.keys()
    assert found.keys() >= {"identity.person", "crm.leads", "marts.sale", "orchestration.sync_history"}
    assert not found.keys() & {"identity.erasure_key", "identity.mask_key", "identity.tombstone"}
    assert not [table for table in found if table.startswith("masked.")]
    letters = {column["name"] for column in found["orchestration.dead_letter"]["columns"]}
    assert "rule" in letters
    assert "payload" not in letters
    for table, (_, entity) in ENTITIES.items():
        columns = {column["name"]: column for column in found[table]["columns"]}
        assert columns.keys() >= entity.pg_types.keys()
        keys = {key for key in columns if "not_null" in dict(given_tests(columns[key]))}
        assert keys == set(entity.keys), table
        assert ("unique" in dict(given_tests(found[table]))) == (len(entity.keys) > 1)
        assert ("unique" in dict(given_tests(columns[entity.keys[0]]))) == (len(entity.keys) == 1)
        related = {column for column in columns if "relationships" in dict(given_tests(columns[column]))}
        assert related >= set(entity.refs), table


def test_what_a_column_refers_to_is_in_the_file(document: Node) -> None:
    there = {
        (source["name"], table["name"], column["name"])
        for source, table in tables(document)
        for column in table["columns"]
    }
    found = 0
    for _, table in tables(document):
        for column in table["columns"]:
            for test, given in given_tests(column):
                if test == "relationships":
                    to = re.fullmatch(r"source\('(\w+)', '(\w+)'\)", given["arguments"]["to"])
                    assert to is not None
                    assert (to[1], to[2], given["arguments"]["field"]) in there
                    assert given["config"] == {"severity": "warn"}
                    found += 1
    assert found > sum(len(entity.refs) for _, entity in ENTITIES.values())


def test_a_table_is_fresh_as_long_as_the_health_of_its_entity_says(document: Node, shared_url: str) -> None:
    """By its last good run, and not by its newest row."""
    with psycopg.connect(shared_url) as connection:
        connection.execute(
            """
            INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, configuration)
            VALUES ('hubspot', 'contacts', '2026-01-02 03:04:05+00', now(), 'success', '{"mode": "delta"}')
            """
        )
        connection.execute("INSERT INTO hubspot_contact (id, raw_data) VALUES ('1', '{}')")
        for source, table in tables(document):
            if name(source, table) not in ENTITIES:
                assert "config" not in table
                continue
            _, entity = ENTITIES[name(source, table)]
            config = table["config"]
            spans = [config["freshness"][word] for word in ("warn_after", "error_after")]
            hours = [span["count"] / (60 if span["period"] == "minute" else 1) for span in spans]
            assert {span["period"] for span in spans} <= {"minute", "hour"}
            assert all(isinstance(span["count"], int) and span["count"] > 0 for span in spans)
            rate, age = limits(entity)
            assert hours == [age, max(rate, age)]
            # As dbt asks it.
            asked = sql.SQL("SELECT max({}), now() FROM {}").format(
                sql.SQL(config["loaded_at_field"]), sql.Identifier(source["schema"], table["name"])
            )
            row = connection.execute(asked).fetchone()
            assert row is not None
            assert (row[0] is not None) == (table["name"] == "hubspot_contact")
        connection.rollback()


def test_the_tests_of_keys_are_answered(document: Node, shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        for source, table in tables(document):
            for _, given in given_tests(table):
                key = sql.SQL(given["arguments"]["column_name"])
                asked = sql.SQL(
                    "SELECT {0} AS unique_field, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY {0}"
                    " HAVING count(*) > 1"
                ).format(key, sql.Identifier(source["schema"], table["name"]))
                assert connection.execute(asked).fetchall() == []


def test_a_warehouse_that_was_not_migrated_is_told_so(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute("SELECT 1")
    result = CliRunner(env={"WAREHOUSE_DATABASE_URL": empty_url}).invoke(cli.main, ["export", "dbt"])
    assert result.exit_code == 2
    assert "warehouse migrate" in result.output


@pytest.mark.slow("the same in other circumstances")
def test_the_folder_is_made_for_the_file(printed: str, shared_url: str, tmp_path: Path) -> None:
    result = CliRunner(env={"WAREHOUSE_DATABASE_URL": shared_url}).invoke(
        cli.main, ["export", "dbt", "--to", str(tmp_path / "a" / "b")]
    )
    assert result.stdout.startswith(f"{tmp_path}/a/b/sources.yml: ")
    assert (tmp_path / "a" / "b" / "sources.yml").read_text(encoding="utf-8") == printed
