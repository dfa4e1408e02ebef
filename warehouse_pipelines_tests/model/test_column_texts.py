"""Every column of every entity says what it means."""

import re
from dataclasses import replace

import pytest

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.column_texts import KEPT, MEANINGS, crm, text, thing
from warehouse_pipelines.model.entity import BOOKKEEPING, Entity, columns
from warehouse_pipelines.orchestration.assets import column_schema
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness import record_store

ENTITIES = [entity for source in SOURCES for entity in source.entities]


@pytest.mark.parametrize("entity", ENTITIES, ids=[entity.table for entity in ENTITIES])
def test_no_column_is_without_a_text(entity: Entity) -> None:
    """A sentence that begins with a word, ends, and has no two blanks: what was put together is whole."""
    for name in entity.pg_types:
        said = text(entity, name)
        assert re.fullmatch(r"[A-Za-z`]\S*( \S+)+\.", said), f"{name}: {said}"
        assert len(said) > len(name) + 5, f"{name}: {said}"


def test_the_ui_shows_the_text() -> None:
    shown = {column.name: column.description for column in column_schema(record_store.THINGS).columns}
    assert shown == {name: text(record_store.THINGS, name) for name in record_store.THINGS.pg_types}


def test_a_new_row_has_texts_at_once() -> None:
    visit = Entity(
        name="visits", table="store_visit", about="Visits.", path="visits", key="id", cursor="changed_on",
        cadence=Cadence(never_full="a test says when"), refs={"thing_id": "store_thing"},
        columns=columns(
            text="id thing_id door_colour full=first+last|whole", boolean="is_paid", integer="walk_minutes",
            numeric="door_price", timestamptz="changed_on", phone="home_phone",
        ),
    )  # fmt: skip
    said = {name: text(visit, name) for name in visit.pg_types}
    assert said["id"] == "The vendor's id of the visit; the key. From `id`."
    assert said["thing_id"] == "Id of the thing; refers to `store_thing`. From `thing_id`."
    assert said["door_colour"] == "Door colour of the visit. From `door_colour`."
    assert said["full"].endswith("From `first` and `last` or, where that is empty, `whole`.")
    assert said["is_paid"] == "Whether the visit is paid. From `is_paid`."
    assert said["walk_minutes"] == "Walk minutes of the visit, in minutes. From `walk_minutes`."
    assert "an amount of money" in said["door_price"]
    assert "the cursor" in said["changed_on"]
    assert said["home_phone_e164"].startswith("`home_phone` in E.164")
    assert said["raw_data"] == KEPT["raw_data"]


def test_the_most_particular_text_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    meanings = {"size": "any", "store.size": "of the store", "store_gadget.size": "of the gadget"}
    for key, meant in meanings.items():
        monkeypatch.setitem(MEANINGS, key, meant)
    other = replace(record_store.GADGETS, table="store_other")
    assert text(record_store.GADGETS, "size") == "of the gadget. From `size`."
    assert text(other, "size") == "of the store. From `size`."
    assert text(replace(record_store.GADGETS, table="other_gadget"), "size") == "any. From `size`."


def test_every_text_is_of_a_column_that_there_is() -> None:
    there = {
        key
        for entity in ENTITIES
        for name in entity.columns
        for key in (name, f"{crm(entity)}.{name}", f"{entity.table}.{name}")
    }
    assert sorted(MEANINGS.keys() - there) == []
    assert BOOKKEEPING.keys() | {"custom_properties"} == KEPT.keys()


def test_a_row_is_one_thing() -> None:
    things = {entity.table: thing(entity) for entity in ENTITIES}
    assert things["callrail_form_submission"] == "form submission"
    assert things["pipedesk.lead_statuses"] == "lead status"
    assert things["pipedesk.companies"] == "company"
