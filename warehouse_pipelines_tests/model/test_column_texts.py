"""Every column of every entity says what it means."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.column_names import derived
from warehouse_pipelines.model.column_texts import KEPT, MEANINGS, by_hand, crm, text, thing, written
from warehouse_pipelines.model.entity import BOOKKEEPING, EDITED_AT, Entity, Local, columns, target
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
    assert said["thing_id"] == "Id of the thing; joins `store_thing`. From `thing_id`."
    assert said["door_colour"] == "Door colour of the visit. From `door_colour`."
    assert said["full"].endswith("From `first` and `last` or, where that is empty, `whole`.")
    assert said["is_paid"] == "Whether the visit is paid. From `is_paid`."
    assert said["walk_minutes"] == "Walk of the visit, in minutes. From `walk_minutes`."
    assert "an amount of money" in said["door_price"]
    assert "the cursor" in said["changed_on"]
    assert said["home_phone_e164"].startswith("`home_phone` in E.164")
    assert said["raw_data"] == KEPT["raw_data"]


def test_the_most_particular_text_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {
        "any": {"": {"size": "Any {thing}"}},
        "store": {
            "": {"size": "Of the store"},
            "store_gadget": {"size": "Of the gadget"},
            "kinds": {"text": "as typed"},
        },
        "other": {"": {}},
    }
    monkeypatch.setattr(column_texts, "written", documents.__getitem__)
    other = replace(record_store.GADGETS, table="store_other")
    note = "; as typed" if record_store.GADGETS.columns["size"].kind == "text" else ""
    assert text(record_store.GADGETS, "size") == f"Of the gadget{note}. From `size`."
    assert text(other, "size") == f"Of the store{note}. From `size`."
    assert text(replace(record_store.GADGETS, table="other_gadget"), "size") == "Any gadget. From `size`."


def test_what_is_written_is_of_a_column_that_there_is() -> None:
    """Nothing is written of a CRM, a table, a column or a kind that is not declared."""
    crms = {crm(entity) for entity in ENTITIES}
    assert {path.stem for path in MEANINGS.glob("*.toml")} <= crms | {"any"}
    assert written("any")[""].keys() <= {name for entity in ENTITIES for name in entity.columns}
    for name in crms:
        of_table = {entity.table: {*entity.columns} for entity in ENTITIES if crm(entity) == name}
        kinds: set[str] = {
            column.kind for entity in ENTITIES if crm(entity) == name for column in entity.columns.values()
        }
        there = {"": set().union(*of_table.values()), "kinds": kinds, **of_table}
        unknown = {table: sorted({*keys} - there.get(table, set())) for table, keys in written(name).items()}
        assert not {table: keys for table, keys in unknown.items() if keys}, name
    assert BOOKKEEPING.keys() | {"custom_properties", EDITED_AT} == KEPT.keys()


def test_what_is_written_is_the_beginning_of_a_sentence() -> None:
    """A capital, a number or a quoted value begins it, no full stop ends it, and it is not the name once more."""
    for name in ("any", *sorted({crm(entity) for entity in ENTITIES})):
        for table, texts in written(name).items():
            for column, said in texts.items():
                where = f"{name}.toml, {table}.{column}: {said}"
                first = r"[a-z`]" if table == "kinds" else r"[A-Z0-9`]"
                assert re.fullmatch(rf"{first}\S*( \S+)*(?<![.,;:])", said), where
                assert said.lower().replace(" ", "_") != column, where
                assert set(re.findall(r"{.*?}", said)) <= {"{thing}"}, where


def test_what_is_written_to_join_can_be_joined() -> None:
    """``joins `table(column)` `` names a column of the same type, or says that it is a number there, or one of many."""
    by_table = {entity.table: entity for entity in ENTITIES}
    for entity in ENTITIES:
        for name in entity.columns:
            for ref in re.findall(r"joins `([^`]+)`", said := by_hand(entity, name) or ""):
                other, found = target(ref, by_table)
                alike = entity.pg_types[name].split(" ")[0] == other.pg_types[found].split(" ")[0]
                assert alike or "as a number" in said or "each joins" in said, f"{entity.table}.{name}: {said}"


def test_a_column_of_this_installation_keeps_its_meaning() -> None:
    """A renamed column has the text of its declared name; one that is hashed says so."""
    call = next(entity for entity in ENTITIES if entity.table == "callrail_call")
    mine = {("caller" if name == "customer_name" else name): column for name, column in call.columns.items()}
    local = Local(renamed={"caller": "customer_name"}, hashed=frozenset({"caller"}))
    said = text(replace(call, columns=mine, local=local), "caller")
    assert said.startswith("Name of the customer")
    assert said.endswith(
        "kept here as a hash of it. From `customer_name`. Renamed from `customer_name` (config/columns.toml)."
    )


def test_what_is_written_is_read_when_it_is_asked_for() -> None:
    """The command line imports the model, and must not wait for a vendor's texts."""
    asked = "import sys, warehouse_pipelines.model.column_texts as t; print(t.written.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "0\n"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("timestamptz", "confirm_date", "When the visit was confirmed"),
        ("timestamptz", "estimate_confirmed_on", "When the estimate was confirmed"),
        ("timestamptz", "materials_ordered", "When the materials were ordered"),
        ("timestamptz", "status_updated", "When the status was updated"),
        ("timestamptz", "last_email_at", "Time of the last e-mail"),
        ("timestamptz", "visit_date", "When the visit takes place"),
        ("timestamptz", "due_date", "When the visit is due"),
        ("date", "measure_date", "Day on which the visit was measured"),
        ("date", "deadline_date", "Day of the deadline"),
        ("boolean", "disabled", "Whether the visit is disabled"),
        ("boolean", "is_complete", "Whether the visit is complete"),
        ("boolean", "is_estimate_set", "Whether the estimate is set"),
        ("boolean", "is_valid_email", "Whether the e-mail is valid"),
        ("boolean", "lead_scoring_enabled", "Whether lead scoring is enabled"),
        ("boolean", "sms_enabled", "Whether text messages are enabled"),
        ("boolean", "has_credit_app", "Whether the visit has a credit application"),
        ("boolean", "can_change_settings", "Whether the visit may change settings"),
        ("boolean", "form_capture", "Whether form capture applies to the visit"),
        ("integer", "confirm_user_id", "Id of the user who confirmed the visit"),
        ("integer", "call_screen_viewed_by", "Id of the user who viewed the call screen"),
        ("text", "hs_product_id", "Id of the product"),
        ("text", "hs_all_team_ids", "Ids of the all teams"),
        ("integer", "inbound_sms_count", "Number of inbound text messages"),
        ("integer", "total_emails", "Number of e-mails"),
        ("integer", "lag_ms", "Lag of the visit, in milliseconds"),
        ("integer", "talk_seconds", "Talk of the visit, in seconds"),
        ("numeric", "added_by_latitude", "Added by latitude of the visit, in degrees"),
        ("numeric", "deposit_amount", "Deposit amount of the visit; an amount of money"),
        ("integer", "payment_type", "Payment type of the visit"),
        ("text", "customer_first_name", "First name of the customer"),
        ("text", "visit_level", "Level of the visit"),
        ("text", "group_visit", "Group visit"),
        ("email", "personal_email", "Personal e-mail address of the visit, as the vendor has it"),
        ("phone", "phone2", "Phone number 2 of the visit, as the vendor writes it"),
        ("url", "photo_url", "Link to the photo of the visit"),
        ("jsonb", "milestones", "Milestones of the visit, as JSON in the vendor's form"),
    ],
)
def test_what_a_name_says(kind: str, name: str, said: str) -> None:
    assert derived(name, kind, "visit") == said


def test_a_row_is_one_thing() -> None:
    things = {entity.table: thing(entity) for entity in ENTITIES}
    assert things["callrail_form_submission"] == "form submission"
    assert things["pipedesk.lead_statuses"] == "lead status"
    assert things["pipedesk.companies"] == "company"
