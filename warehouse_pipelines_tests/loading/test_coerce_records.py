"""From whole records to rows: rules, versions of one key, paths and parts, flags of deletion, keys."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Column, Entity, columns
from warehouse_pipelines.model.rules import Rule, between, not_negative, one_of
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.coercing import coerced, entity_of, one
from warehouse_pipelines_tests.harness.examples import examples

QUICK = settings(max_examples=examples(40, of=120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
decode = msgspec.json.Decoder(float_hook=str).decode


def test_transform_order() -> None:
    """A record is read, typed, then the rules see the typed values, then the bookkeeping."""
    seen: list[pa.Array] = []

    def broken(values: pa.Array) -> pa.Array:
        seen.append(values)
        return pa.array([value == 3 for value in values.to_pylist()])

    entity = entity_of("integer", rules=(Rule("not_three", "x", "reject", "x is three", broken),))
    table, coercer = coerced(entity, ['"1"', "2.0", '"3"', '"four"'])
    assert seen[0].type == pa.int64()
    assert [(reject.key, reject.stage, reject.rule) for reject in coercer.rejects] == [("2", "validate", "not_three")]
    assert table["x"].to_pylist() == [1, 2, None]
    assert "raw_data" in table.column_names


@pytest.mark.parametrize("severity", ["reject", "warn", "info"])
def test_a_rule_has_a_severity(severity: Any) -> None:
    entity = entity_of("numeric", rules=(not_negative("x", severity),))
    table, coercer = coerced(entity, ['"-1"', "0", "null", '"-0.0"'])
    assert table["x"].to_pylist()[-3:] == ["0", None, "-0.0"]
    assert len(coercer.rejects) == (severity == "reject")
    assert coercer.warnings.total() == (severity != "reject")
    _, lenient = coerced(entity, ['"-1"'], skip_validation=True)
    assert (lenient.rejects, lenient.warnings.total()) == ([], 0)


def test_rules_read_what_a_column_may_hold() -> None:
    """A number of four hundred digits is a number; and a value that is none of the listed is noticed."""
    entity = entity_of("numeric", rules=(not_negative("x", "reject"),))
    table, coercer = coerced(entity, [f'"{"9" * 400}"', f'"-{"9" * 400}"', '"1e-300"'])
    assert table["id"].to_pylist() == ["0", "2"]
    assert [reject.rule for reject in coercer.rejects] == ["x_not_negative"]
    table, coercer = coerced(
        entity_of("numeric", rules=(between("x", -90, 90, "reject"),)), ["-90", "90.5", "null", '"-91"']
    )
    assert table["id"].to_pylist() == ["0", "2"]
    table, coercer = coerced(
        entity_of("text", rules=(one_of("x", "a", "b", severity="reject"),)), ['"a"', '"c"', "null"]
    )
    assert table["id"].to_pylist() == ["0", "2"]


@pytest.mark.parametrize("rule", [not_negative("x"), between("x", 0, 9)])
def test_a_rule_costs_no_record_unless_it_says_so(rule: Rule) -> None:
    """A deal of less than nothing is what the vendor says."""
    table, coercer = coerced(entity_of("numeric", rules=(rule,)), ["-1200.50"])
    assert (table["x"].to_pylist(), coercer.rejects) == (["-1200.50"], [])
    assert (dict(coercer.warnings), coercer.lost.total()) == ({"warn:x": 1}, 0)


def versioned(version: bool = True) -> Entity:
    timed: dict[str, Any] = {"cursor": "at", "cadence": Cadence(never_full="a test has no warehouse")}
    timed = timed if version else {}
    return entity_of("text", columns=columns(timestamptz="at"), **timed)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(1, 4), st.integers()), max_size=12),
    st.booleans(),
)
@QUICK
def test_of_the_same_key_the_newest_stays_and_of_equals_the_last(
    rows: list[tuple[str, int | None, int]], version: bool
) -> None:
    expected: dict[str, tuple[int, int]] = {}
    for key, day, mark in rows:
        age = (day or 0) if version else 0
        if key not in expected or age >= expected[key][0]:
            expected[key] = (age, mark)
    coercer = Coercer("store", versioned(version))
    table = coercer.table(
        [
            json.dumps({"id": key, "at": day and f"2024-01-0{day}T00:00:00Z", "x": str(mark)}).encode()
            for key, day, mark in rows
        ]
    )
    assert dict(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True)) == {
        key: str(mark) for key, (_, mark) in expected.items()
    }
    assert coercer.superseded == len(rows) - len(expected)


@given(st.lists(st.sampled_from(['"a"', "1", "null", '"x y"', "{}", "[1]"]), min_size=1, max_size=8))
@QUICK
def test_paths_lead_into_objects_and_lists(values: list[str]) -> None:
    """An object, a list, its length and a member of it may be declared at once; what is not there is null."""
    entity = entity_of(
        "text",
        columns={
            "deep": Column("text", "a.b.c"),
            "first": Column("text", "list.0.v"),
            "whole": Column("jsonb", "list"),
            "inner": Column("jsonb", "a.b"),
        },
    )
    records = [
        f'{{"id":"{n}","a":{{"b":{{"c":{value}}}}},"list":[{{"v":{value}}}]}}'.encode()
        for n, value in enumerate(values)
    ]
    table = Coercer("store", entity).table(records)
    expected = [validate.read_text(decode(value)) for value in values]
    assert table["deep"].to_pylist() == table["first"].to_pylist() == expected
    assert [json.loads(text) for text in table["whole"].to_pylist()] == [[{"v": json.loads(v)}] for v in values]
    assert [json.loads(text) for text in table["inner"].to_pylist()] == [{"c": json.loads(v)} for v in values]


@pytest.mark.parametrize(
    ("wrong", "lost"), [('"text"', 1), ("5", 1), ("[7]", 1), ("[]", 0), ('""', 0), ("null", 0), ("{}", 0), ("false", 0)]
)
def test_an_object_that_is_something_else_costs_what_it_hides(wrong: str, lost: int) -> None:
    """Not its record, whose other values are as they were: a number, a document, a number in a text."""
    more = {"deep": Column("text", "a.b"), "other": Column("text", "a.b|n"), "n": Column("text", "n")}
    entity = entity_of("jsonb", columns={**more, "sum": Column("numeric", "sum")})
    coercer = Coercer("store", entity)
    rest = '"x":{"y":[1.50,1e3]},"n":2.50,"sum":1.10'
    record = f'{{"id":"2","a":{wrong},{rest}}}'.encode()
    table = coercer.table([b'{"id":"1","a":{"b":"x"}}', record])
    assert coercer.rejects == []
    assert table["raw_data"][1].as_py().encode() == record
    row = table.to_pylist()[1]
    assert (row["deep"], row["other"], row["n"], row["sum"]) == (None, "2.50", "2.50", "1.10")
    assert json.loads(row["x"]) == {"y": [1.5, 1000]}
    assert (dict(coercer.lost), coercer.warnings.total()) == ({"deep": 1} if lost else {}, lost)


@pytest.mark.parametrize(
    ("flag", "expected"), [('"yes"', True), ('"perhaps"', False), ("null", False), ("{}", False), ('"false"', False)]
)
def test_a_deletion_flag_that_cannot_be_read_costs_no_record(flag: str, expected: bool) -> None:
    table, coercer = coerced(replace(entity_of("text"), deletes=Deletes(flag="x")), [flag])
    assert (bool(table["archived"][0].as_py()), coercer.rejects) == (expected, [])


def test_a_time_of_deletion_that_cannot_be_read_is_one_nevertheless() -> None:
    entity = replace(entity_of("text"), deletes=Deletes(time="x"))
    table, coercer = coerced(entity, ['"2024-01-01T00:00:00Z"', '"some day"', "null", '""'])
    assert table["archived"].to_pylist() == [True, True, False, False]
    assert (table["deleted_at"][1].as_py(), coercer.rejects, coercer.lost["deleted_at"]) == (None, [], 1)


@pytest.mark.parametrize("beside", ["null", "12"])  # a column of texts is read at once, a mixed one one by one
def test_a_uuid_is_in_lower_case_and_no_other_id_is(beside: str) -> None:
    """Two systems spell one UUID in two ways, and are joined by it; of other ids the case may make two."""
    guid = "0B5E93C1-6D73-4A0F-8001-00000000ABCD"
    spelt = [f'"{guid}"', f'" {guid.lower()} "', '"ABC-7"', f'"X{guid[1:]}"', '"abcDEF"', beside]
    table, coercer = coerced(entity_of("id"), spelt)
    assert table["x"].to_pylist()[:-1] == [guid.lower(), guid.lower(), "ABC-7", f"X{guid[1:]}", "abcDEF"]
    assert not coercer.rejects
    assert [validate.READERS["id"](msgspec.json.decode(one)) for one in spelt] == table["x"].to_pylist()


@pytest.mark.parametrize(
    ("record", "city", "tags", "key"),
    [
        ({"id": 1, "city": "Dayton", "address": {"city": "Mason"}}, "Dayton", None, 1),
        ({"id": 1, "city": "", "address": {"city": "Mason"}}, "Mason", None, 1),
        ({"id": 1, "city": None, "address": {"city": "Mason", "tags": ["a"]}}, "Mason", '["a"]', 1),
        ({"key": 2, "town": "Akron", "tags": {"b": 1}, "address": {"tags": []}}, "Akron", '{"b":1}', 2),
        ({"id": 1, "city": ""}, "", None, 1),
        ({"id": 1}, None, None, 1),
    ],
)
def test_of_several_places_the_first_that_says_something_is_taken(
    record: dict[str, Any], city: str | None, tags: str | None, key: int
) -> None:
    entity = Entity(
        name="things",
        table="thing",
        about="Things.",
        path="things",
        key="id",
        columns=columns(integer="id=id|key", text="city=city|address.city|town", jsonb="tags=tags|address.tags"),
    )
    coercer = Coercer("crm", entity)
    row = coercer.table([msgspec.json.encode(record)]).to_pylist()[0]
    assert (row["city"], row["tags"], row["id"]) == (city, tags, key)
    assert not coercer.rejects


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"first": "Ana", "last": "Rivera", "firm": "Rivera & Sons"}, "Ana Rivera"),
        ({"first": "", "last": " Rivera "}, "Rivera"),
        ({"first": "", "last": None, "firm": "Rivera & Sons"}, "Rivera & Sons"),
        ({"first": 7, "person": {"last": "Rivera"}}, "7"),
        ({"person": {"first": "Ana", "last": "Rivera"}}, "Ana Rivera"),
        ({"first": ""}, None),
    ],
)
def test_a_text_in_parts_is_joined(record: dict[str, Any], name: str | None) -> None:
    entity = Entity(
        name="things",
        table="thing",
        about="Things.",
        path="things",
        key="id",
        columns=columns(integer="id", text="name=first+last|person.first+person.last|firm first"),
    )
    coercer = Coercer("crm", entity)
    row = coercer.table([msgspec.json.encode({"id": 1, **record})]).to_pylist()[0]
    assert row["name"] == name
    assert not coercer.rejects


def test_only_texts_can_be_joined() -> None:
    with pytest.raises(ValueError, match="only texts"):
        columns(integer="size=width+height")


def test_long_columns_are_read_in_parts_alike() -> None:
    """More records than are decoded at a time, and a type that changes between the parts."""
    values = ['"5"'] * 600 + ["5"] * 600 + ['"x"'] + ["5.0"] * 10
    table, coercer = coerced(entity_of("integer"), values)
    assert table["x"].to_pylist() == [5] * 1200 + [None] + [5] * 10
    assert (coercer.lost["x"], coercer.filled["x"], coercer.filled["id"]) == (1, 1210, 1211)


def test_offsets_of_every_zone_are_read() -> None:
    for hours in range(-14, 15):
        zone = timezone(timedelta(hours=hours, minutes=30 if 0 <= hours < 14 else 0))
        at = datetime(2024, 1, 1, tzinfo=zone)
        assert one("timestamptz", json.dumps(at.isoformat())) == at


ENTITIES = {entity.table: (source.name, entity) for source in SOURCES for entity in source.entities}


@pytest.mark.parametrize("table", ENTITIES)
def test_only_a_key_may_cost_a_record(table: str) -> None:
    """No column and no rule of any source refuses a record; whoever adds one must say why here."""
    _, entity = ENTITIES[table]
    assert {name for name in entity.columns if entity.severity_of(name) == "reject"} == set(entity.keys)
    assert [rule.name for rule in entity.rules if rule.severity == "reject"] == []


@pytest.mark.parametrize(
    ("table", "record", "expected", "lost"),
    [
        ("arrivy_task", '{"id":1,"external_id":"JOB 8813"}', {"external_id": "JOB 8813"}, 0),
        ("arrivy_task", '{"id":1,"external_id":"Müller-9"}', {"external_id": "Müller-9"}, 0),
        ("arrivy_task", f'{{"id":1,"external_id":"{"9" * 300}"}}', {"external_id": "9" * 300}, 0),
        ("arrivy_task", '{"id":1,"created_by":"Ann Agent"}', {"created_by": "Ann Agent"}, 0),
        ("arrivy_task", '{"id":1,"rating":NaN,"mileage":2}', {"rating": None, "mileage": "2"}, 1),
        ("salespro_estimate", '{"estimate_id":"E1","customer_id":"ABC 123"}', {"customer_id": "ABC 123"}, 0),
        ("salespro_customer", '{"customer_id":"ABC 123"}', {"customer_id": "ABC 123"}, 0),
        ("salesrabbit_lead", '{"id":1,"userId":"not assigned"}', {"user_id": None}, 1),
        (
            "salesrabbit_lead",
            '{"id":1,"dateOfBirth":"1980-05-17T20:00:00-07:00"}',
            {"date_of_birth": date(1980, 5, 17)},
            0,
        ),
        ("salesrabbit_lead", '{"id":1,"latitude":"91.5"}', {"latitude": "91.5"}, 0),
        ("hubspot_deal", '{"id":"1","properties":{"amount":"-1200.50"}}', {"amount": "-1200.50"}, 0),
        ("hubspot_deal", '{"id":"1","properties":{"hs_lastmodifieddate":"soon"}}', {"hs_lastmodifieddate": None}, 1),
        ("gsheet_marketing_spend", '{"_id":1,"amount":"$1,250.00","date":"05/19/2026"}', {"amount": "1250.00"}, 0),
        ("gsheet_marketing_spend", '{"_id":1,"amount":"n/a"}', {"amount": None}, 1),
        (
            "pipedesk.calendar_events",
            '{"calendarId":"c","id":"e","created":"0000-12-31T00:00:00.000Z","status":"postponed"}',
            {"created_at": None, "status": "postponed"},
            1,
        ),
        ("callrail_call", '{"id":"1","direction":"sideways"}', {"direction": "sideways"}, 0),
    ],
)
def test_cases_from_the_field(table: str, record: str, expected: dict[str, Any], lost: int) -> None:
    """Each was refused or wrong once."""
    crm, entity = ENTITIES[table]
    coercer = Coercer(crm, entity)
    coerced_table = coercer.table([record.encode()])
    assert coercer.rejects == []
    (row,) = coerced_table.to_pylist()
    assert {name: row[name] for name in expected} == expected
    assert coercer.lost.total() == lost


@pytest.mark.parametrize("kind", ["date", "timestamptz"])
@pytest.mark.parametrize("text", ["0000-00-00", "0000-00-00 00:00:00", "0000-00-00T00:00:00.000"])
def test_a_zero_date_is_an_empty_value_and_no_lost_one(kind: str, text: str) -> None:
    """MySQL writes it where a column may not be NULL; a job that is not sold yet has no lost date."""
    table, coercer = coerced(entity_of(kind), [f'"{text}"'])
    assert table["x"].to_pylist() == [None]
    assert (coercer.rejects, dict(coercer.warnings), coercer.lost.total()) == ([], {}, 0)
