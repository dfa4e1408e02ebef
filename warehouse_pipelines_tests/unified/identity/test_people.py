"""``people_rows`` against the declared entities: a dropped column, or a table that is forgotten, shows."""

import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from warehouse_pipelines.model.entity import BOOKKEEPING, Entity
from warehouse_pipelines.sources import DECLARED
from warehouse_pipelines.unified.people import (
    Consent,
    People,
    Place,
    Pointer,
)
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    CRM_TABLES,
    NOT_PEOPLE,
    OWN_NUMBERS,
    PEOPLE,
)

ENTITIES = {entity.table: entity for source in DECLARED for entity in source.entities}

PERSONAL = re.compile(
    r"(first|last|given|sur|family)_?name|(customer|client|prospect|contact|signer|manager|person|caller|employee)_name"
    r"|(co_)?applicant|attendees"
)
"""Columns that read like a person's. What is named of reps and staff (agent_name, canvasser) is beside the record."""

SHARED_NUMBERS = {"arrivy_customer", "callrail_person", "marketsharp_appointment"}
"""What tokens of ids may name beside tables of people: numbers that several tables have under one name."""


def written(row: People | Place | Pointer | Consent) -> Iterator[tuple[str, str]]:
    """The texts of a row that name columns, with the field they stand in."""
    for field in fields(row):
        if field.name in {"table", "kind", "name", "rule", "says", "prefix", "separator", "member"}:
            continue
        value = getattr(row, field.name)
        if isinstance(value, str) and value:
            yield field.name, value
        elif isinstance(value, tuple) and field.name in {"places", "ids", "consent"}:
            for one in value:
                yield from written(one)


def named(row: People) -> Iterator[str]:
    for _, text in written(row):
        yield from re.split(r"[ |]", text)


@pytest.mark.parametrize("row", PEOPLE, ids=lambda row: row.table)
def test_every_column_of_a_row_exists(row: People) -> None:
    tables: dict[str, Entity] = {"": ENTITIES[row.table]}
    for join in row.joins:
        other = ENTITIES[join.table]
        assert join.column in other.pg_types
        for column in join.equals.split("|"):
            before, _, name = column.rpartition(".")
            assert name in tables[before].pg_types, column
        if join.first:
            ordered = [word.split()[0] for word in join.first.split(", ")]
            assert set(ordered) <= other.pg_types.keys()
            assert join.column == other.keys[0] or join.column in other.indexes, "searched without an index"
        else:
            assert other.keys == (join.column,), "several rows could be joined"
        tables[join.name] = other
    for column in named(row):
        join_name, _, name = column.rpartition(".")
        assert name in tables[join_name].pg_types, column
    for column in re.split(r"[ |]", row.phones) if row.phones else ():
        join_name, _, name = column.rpartition(".")
        assert tables[join_name].columns[name].kind == "phone", column
    for column in re.split(r"[ |]", row.emails) if row.emails else ():
        join_name, _, name = column.rpartition(".")
        assert tables[join_name].columns[name].kind in {"email", "jsonb"}, column
    assert row.created or "source_created_at" in tables[""].pg_types or "sync_created_at" in BOOKKEEPING


@pytest.mark.parametrize("row", PEOPLE, ids=lambda row: row.table)
def test_ids_point_at_people(row: People) -> None:
    def tables(pointer: Pointer) -> set[str]:
        assert bool(pointer.table) != bool(pointer.by), "a table, or the word that names it"
        return {pointer.table} if pointer.table else set(pointer.tables.values())

    for pointer in row.ids:
        assert pointer.rule == pointer.rule.lower()
        assert tables(pointer) <= BY_TABLE.keys() | SHARED_NUMBERS


def test_every_table_with_a_persons_columns_is_a_row_or_an_exception() -> None:
    personal = {
        table
        for table, entity in ENTITIES.items()
        if any(column.kind in {"email", "phone"} or PERSONAL.fullmatch(name) for name, column in entity.columns.items())
    }
    assert not BY_TABLE.keys() & NOT_PEOPLE.keys()
    assert personal <= BY_TABLE.keys() | NOT_PEOPLE.keys(), sorted(personal - BY_TABLE.keys() - NOT_PEOPLE.keys())
    assert NOT_PEOPLE.keys() <= ENTITIES.keys()


def test_all_sources_that_hold_people_are_there() -> None:
    with_people = {source.name for source in DECLARED if any(one.table in BY_TABLE for one in source.entities)}
    assert {source.name for source in DECLARED} - with_people == {"gdrive"}, "Drive has files, which are of nobody"


def test_a_table_has_one_row() -> None:
    assert len(BY_TABLE) == len(PEOPLE)


def test_the_tables_of_a_crm_and_the_own_numbers_exist() -> None:
    assert set(CRM_TABLES.values()) - SHARED_NUMBERS <= BY_TABLE.keys()
    assert all(ENTITIES[table].columns[column].kind == "phone" for table, column in OWN_NUMBERS)


def test_every_flag_of_consent_is_in_a_row() -> None:
    """A flag that a vendor's table has and no row names would be ignored, and somebody called who must not be."""
    flags = re.compile(
        r"(lead_)?is_dnc|has_dn[ce]_\w+|do_not_\w+|email\d_can_mail|(lead_)?is_express_consent|\w*optout\w*"
    )
    there = {(table, name) for table, entity in ENTITIES.items() for name in entity.columns if flags.fullmatch(name)}
    assert there == {(row.table, one.column) for row in PEOPLE for one in row.consent if flags.fullmatch(one.column)}
