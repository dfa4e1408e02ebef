"""From JSON to columns: the vectorised path against the one-value reference, and what becomes of the unreadable."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import phonenumbers
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.record_decoder import read_json_texts
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.rules import KINDS
from warehouse_pipelines.model.validate import Unreadable
from warehouse_pipelines_tests.harness.coercing import coerced, entity_of, one
from warehouse_pipelines_tests.harness.examples import examples

QUICK = settings(max_examples=examples(40, of=120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
decode = msgspec.json.Decoder(float_hook=str).decode


def without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(each) for each in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(member) for name, member in value.items()}
    return value


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


moments = st.datetimes(timezones=st.timezones() | st.none() | st.just(UTC))
spelt_moments = st.one_of(
    moments.map(str),
    moments.map(datetime.isoformat),
    moments.map(lambda at: at.isoformat(timespec="milliseconds")),
    moments.map(lambda at: at.isoformat(timespec="minutes")),
    moments.map(lambda at: f"{at.replace(tzinfo=None).isoformat()}Z"),
    moments.map(lambda at: f"{at.replace(tzinfo=None).isoformat(sep=' ')} UTC"),
    moments.map(lambda at: f"{at.replace(tzinfo=None).isoformat(sep=' ', timespec='seconds')} -0500"),
    moments.map(lambda at: f"{at.replace(tzinfo=None).isoformat(sep=' ', timespec='seconds')} +05:30"),
    st.dates().map(str),
    moments.map(lambda at: at.replace(tzinfo=None).isoformat()),
    moments.map(lambda at: at.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")),
    moments.map(lambda at: at.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")),
    moments.map(lambda at: at.isoformat(sep=" ", timespec="seconds")),
    moments.map(lambda at: at.strftime("%m/%d/%Y")),
    moments.map(lambda at: at.strftime("%m/%d/%Y %I:%M %p")),
    moments.map(lambda at: at.strftime("%b %d, %Y")),
    moments.map(lambda at: at.strftime("%Y%m%d")),
    st.integers(-(10**15), 10**15).map(str),
    st.integers(10**7, 10**11).map(str),
)
spelt_numbers = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.integers().map(str),
    st.integers(-(10**20), 10**20).map(lambda n: f"{n}.0"),
    st.floats().map(str),
    st.integers(0, 10**12).map(lambda n: f"{n:,}"),
)
spelt_uuids = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda one: str(one).upper()),
    st.uuids().map(lambda one: one.hex),
    st.uuids().map(lambda one: f" {{{one}}} "),
    st.uuids().map(lambda one: str(one)[:-1]),
    st.uuids().map(lambda one: f"urn:uuid:{one}"),
)
AWKWARD_TEXT = [
    "", " ", "\t\n", "\0", "a\0b", "null", "None", "NaN", "-Infinity", "0", "-0", "007", "+5", "1e3", "1E-3", "1e400",
    "1e99999", "1_000", "1,000", "1,00", "12.5", "12.0", "9223372036854775807", "9223372036854775808", "9" * 400,
    "0x1F", "\u0663", "true", "FALSE", " yes ", "t", "on", "2", "2024-02-29", "2023-02-29", "2024-02-30T00:00:00Z",
    "0000-01-01", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31",
    "10000-01-01", "2024-13-01", "02/29/2024", "02/29/2023", "02/30/2024", "12/31/0999", "2024-01-01T00:00:00.1234567",
    "2024-03-10 02:30:00", "2024-11-03 01:30:00", "0999-12-31 23:59:59", "9999-12-31 23:59:59.999999",
    "2024-02-30 00:00:00", "2024-01-01 24:00:00", "9999-12-31 23:59:59-01:00", "1000-01-01T00:00:00+01:00",
    "12." + "0" * 41, "-0.0", "0012.00", "9223372036854775807.0",
    "2024-01-01T24:00:00Z", "2024-01-01T23:59:60Z", "2024-01-01T00:00:00+25:00",
    "2024-01-01T00:00:00.1234567Z", "2024-01-01T00:00:00.1Z", "2024-01-01T00:00Z", "2024-01-01T00Z",
    "2024-01-01 00:00:00",
    "2024-01-01 00:00:00 +0000", "20240101", "2024-W01-1", "01/02/2024", "1704067200000", "1704067200", "999",
    "a@b.co", " A@B.Co ", "a@b", "a b@c.de", "x" * 70_000, "{}", "[1,2", '{"a": 1}', "[]", '"quoted"', "\u00a0a\u00a0",
    "\x1c5\x1c", "\u2028", "\ufeff1", "http://x.y/z", "ftp:/x", "(937) 555-0142", "+44 20 7946 0958", "555-0142", "n/a",
]  # fmt: skip
AWKWARD_JSON = [
    "0", "-0", "1.0", "1.50", "12.5", "1e3", "1E+2", "1e-7", "1e400", "123456789012345678901234567890", "-1", "true",
    "false", "null", "{}", "[]", '{"a":{"b":[1,2.50,null,"x"]}}', "[[]]", '"\\u0000"', '"\\\\u0000"', '"a\\\\\\u0000b"',
    '"\\u00e9"', '"\\ud83d\\ude00"', '["\\u0000"]', '"{\\"a\\":\\"\\\\u0000\\"}"', '{"a\\u0000":1}', "0.1", "1e15",
    "1e16",
]  # fmt: skip
plain_values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
nested_values = st.recursive(
    plain_values | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
fragments = st.one_of(
    st.sampled_from(AWKWARD_JSON),
    st.sampled_from(AWKWARD_TEXT).map(dumped),
    st.text(max_size=20).map(dumped),
    spelt_moments.map(dumped),
    spelt_numbers.map(dumped),
    spelt_uuids.map(dumped),
    st.emails().map(dumped),
    nested_values.map(dumped),
    st.integers(-(10**19), 10**19).map(str),
)
columns_of_values = st.one_of(
    st.lists(fragments, max_size=12),
    *(
        st.lists(each.map(dumped), min_size=1, max_size=12)
        for each in (spelt_moments, spelt_numbers, spelt_uuids, st.text(max_size=9))
    ),
    st.lists(st.sampled_from(AWKWARD_TEXT).map(dumped), max_size=12),
    st.lists(st.sampled_from(AWKWARD_JSON), max_size=12),
    st.lists(st.integers(-(2**65), 2**65).map(str), max_size=8),
    st.lists(st.booleans().map(dumped), max_size=8),
)


def reference(kind: str, fragment: str) -> tuple[Any, bool]:
    """Return what a value is read as one by one, and whether it is good."""
    cleaned = re.sub(validate.NUL, r"\1", fragment)
    value = msgspec.Raw(cleaned.encode()) if kind == "jsonb" else without_nul(decode(fragment))
    try:
        read = validate.READERS[kind](value)
    except Unreadable:
        return None, False
    return read, kind not in validate.SHAPES or read is None or bool(re.search(validate.SHAPES[kind], read))


def same(kind: str, found: Any, expected: Any) -> bool:
    if found is None or expected is None:
        return found is expected
    if kind == "numeric":
        return bool(Decimal(found) == Decimal(expected))
    if kind == "jsonb":
        return bool(json.loads(expected) == json.loads(found)) and "\0" not in str(json.loads(found))
    return bool(found == expected) and type(found) is type(expected)


@pytest.mark.parametrize("kind", KINDS)
@given(values=columns_of_values, severity=st.sampled_from([None, "reject", "warn", "info"]))
@settings(max_examples=examples(30, of=100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_column_is_read_as_its_values_are(kind: str, values: list[str], severity: str | None) -> None:
    """The reference is loading.validate. Bad rows are isolated exactly; with warn or info only their value suffers."""
    entity = entity_of(kind, severity)
    expected = [reference(kind, value) for value in values]
    rejecting = entity.severity_of("x") == "reject"  # by default only a key does
    bad = {str(row) for row, (_, good) in enumerate(expected) if not good and rejecting}
    table, coercer = coerced(entity, values)
    assert {reject.key for reject in coercer.rejects} == bad
    assert {reject.raw for reject in coercer.rejects} == {
        re.sub(rb"(?<!\\)((?:\\\\)*)\\u0000", rb"\1", f'{{"id":"{key}","x":{values[int(key)]}}}'.encode())
        for key in bad
    }
    kept = dict(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True))
    assert kept.keys() == {str(row) for row in range(len(values))} - bad
    for key, found in kept.items():
        assert same(kind, found, expected[int(key)][0]), (values[int(key)], found, expected[int(key)][0])
    # A number that is no valid phone number is noticed beside its shape; it has a test of its own.
    if not rejecting and kind != "phone":
        assert coercer.warnings.total() == sum(not good for _, good in expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_awkward_value_alone_and_among_others(kind: str) -> None:
    """What the property test may find is looked at each time."""
    awkward = [*map(dumped, AWKWARD_TEXT), *AWKWARD_JSON]
    entity = entity_of(kind, "reject")
    together, coercer = coerced(entity, awkward)
    kept = dict(zip(together["id"].to_pylist(), together["x"].to_pylist(), strict=True))
    for row, value in enumerate(awkward):
        expected, good = reference(kind, value)
        good = good or kind == "phone"
        alone, _ = coerced(entity, [value])
        assert (alone.num_rows, str(row) in kept) == (good, good), value[:50]
        if good:
            assert same(kind, alone["x"][0].as_py(), expected), value[:50]
            assert same(kind, kept[str(row)], expected), value[:50]
    assert len(coercer.rejects) == len(awkward) - len(kept)


UUID = "0b5f3a9c-1d2e-4f60-8a7b-9c0d1e2f3a4b"
GOOD: dict[str, list[tuple[str, Any]]] = {
    "text": [('"x"', "x"), ("5", "5"), ("1.50", "1.50"), ("true", "true"), ('""', ""), ('{"a":1}', '{"a":1}')],
    "id": [('"abc-1"', "abc-1"), ("17", "17"), ('" 5 "', "5"), ('""', None)],
    "uuid": [
        (f'"{UUID}"', UUID),
        (f'" {UUID.upper()} "', UUID),
        (f'"{{{UUID}}}"', UUID),
        (f'"{UUID.replace("-", "")}"', UUID),
        ('""', None),
    ],
    "email": [('" Ann.Lee@Example.COM "', "ann.lee@example.com"), ('""', None)],
    "phone": [('" (937) 555-0142 "', "(937) 555-0142"), ('""', None)],
    "url": [('"https://a.b/c?d=e"', "https://a.b/c?d=e"), ('""', None)],
    "boolean": [
        ("true", True),
        ('"False"', False),
        ('"yes"', True),
        ("0", False),
        ('"1"', True),
        ('"N "', False),
        ('"Y"', True),
        ('""', None),
    ],
    "integer": [("5", 5), ('"5"', 5), ('"5.0"', 5), ("5e2", 500), ('"1,234"', 1234), ('"$1,250"', 1250), ('""', None)],
    "numeric": [
        ("1.10", "1.10"),
        ('"-3"', "-3"),
        ('"1,234.5"', "1234.5"),
        ('"1e3"', "1000"),
        ('"$1,250.00"', "1250.00"),
        ('"-$5"', "-5"),
        ('"$ 5.5"', "5.5"),
        ('"1,250.00 USD"', "1250.00"),
        ('"(1,250.00)"', "-1250.00"),
        ('"($1,250.00)"', "-1250.00"),
        ('"\u00a012\u200b"', "12"),
        ('""', None),
    ],
    "date": [
        ('"2024-02-29"', date(2024, 2, 29)),
        ('"2024-01-01T23:00:00-05:00"', date(2024, 1, 1)),
        ('"1980-05-17T20:00:00-07:00"', date(1980, 5, 17)),
        ('"1980-05-17T20:00:00Z"', date(1980, 5, 17)),
        ('"9999-12-31T23:59:59-01:00"', date(9999, 12, 31)),
        ('"1704067200000"', date(2024, 1, 1)),
        ('"20250131"', date(2025, 1, 31)),
        ("20250131", date(2025, 1, 31)),
        ("20250131.0", date(2025, 1, 31)),
        ('"05/19/2026"', date(2026, 5, 19)),
        ('"5/9/26"', date(2026, 5, 9)),
        ('"5/9/30"', date(1930, 5, 9)),
        ('"12-31-2025 11:30 PM"', date(2025, 12, 31)),
        ('"Jan 5, 2026"', date(2026, 1, 5)),
        ('"5 January 2026"', date(2026, 1, 5)),
        ('"\u00a02024-02-29\u200b"', date(2024, 2, 29)),
        ('""', None),
    ],
    "timestamptz": [
        ('"2024-01-01T00:00:00Z"', datetime(2024, 1, 1, tzinfo=UTC)),
        ('"2024-01-01T00:00:00.250-05:00"', datetime(2024, 1, 1, 5, 0, 0, 250_000, tzinfo=UTC)),
        ('"2024-01-01 00:00:00 -0500"', datetime(2024, 1, 1, 5, tzinfo=UTC)),
        ('"2024-01-01T00:00:00 UTC"', datetime(2024, 1, 1, tzinfo=UTC)),
        ('"2024-01-01"', datetime(2024, 1, 1, tzinfo=UTC)),
        ('"2024-01-01T12:30"', datetime(2024, 1, 1, 12, 30, tzinfo=UTC)),
        ("1704067200000", datetime(2024, 1, 1, tzinfo=UTC)),
        ("1738341000", datetime(2025, 1, 31, 16, 30, tzinfo=UTC)),
        ('"1738341000"', datetime(2025, 1, 31, 16, 30, tzinfo=UTC)),
        ("1.738341E9", datetime(2025, 1, 31, 16, 30, tzinfo=UTC)),
        ('"20250131"', datetime(2025, 1, 31, tzinfo=UTC)),
        ("20250131163000", datetime(2025, 1, 31, 16, 30, tzinfo=UTC)),
        ('"20250131T163000Z"', datetime(2025, 1, 31, 16, 30, tzinfo=UTC)),
        ('"01/02/2024"', datetime(2024, 1, 2, tzinfo=UTC)),
        ('"12/31/2025 14:05"', datetime(2025, 12, 31, 14, 5, tzinfo=UTC)),
        ('"12/31/2025 2:05:09 PM"', datetime(2025, 12, 31, 14, 5, 9, tzinfo=UTC)),
        ('"12/31/2025, 12:05 a.m."', datetime(2025, 12, 31, 0, 5, tzinfo=UTC)),
        ('"2025/1/3 9:05"', datetime(2025, 1, 3, 9, 5, tzinfo=UTC)),
        ('"Mon, 05 Jan 2026 10:00:00 -0500"', datetime(2026, 1, 5, 15, tzinfo=UTC)),
        ('"1704067200000"', datetime(2024, 1, 1, tzinfo=UTC)),
        ('""', None),
    ],
    "jsonb": [('{"a":[1]}', '{"a":[1]}'), ("[]", "[]"), ('"{\\"a\\":1}"', '{"a":1}'), ('"x"', '"x"'), ('""', None)],
}
BAD = {
    "id": ['"a b"', f'"{"x" * 256}"', '"é"', '"Ann Agent"', '"JOB 8813"', '"Müller-9"'],
    "uuid": ['"lead-17"', f'"{UUID[:-1]}"', f'"{UUID}0"', f'"{UUID[:-2]}_a"', "17", "true", "{}", f'["{UUID}"]'],
    "email": ['"ann"', '"ann@home"', '"a b@c.de"', '"a@b@c.de"'],
    "phone": ['"555-0142"', '"call me"', '"123"'],
    "url": ['"example.com"', '"http://a b"'],
    "boolean": ['"maybe"', "2", "[]"],
    "integer": ['"twelve"', "12.5", "1e30", "true", "{}", '"not assigned"'],
    "numeric": ['"twelve"', '"NaN"', '"1e99999"', '"1,00"', "true", "[]", '"12%"', '"€5"', '"(5"', '"-(5)"', "1e9999"],
    "date": [
        '"not a date"',
        '"2023-02-29"',
        "true",
        '"0001-01-01"',
        '"0000-00-01"',
        '"31/12/2025"',
        '"20251301"',
        "45688",
        "2024",
        "0",
        '"12/31/20251"',
    ],
    "timestamptz": [
        '"not a date"',
        '"2024-02-30T00:00:00Z"',
        "true",
        "{}",
        f'"{"9" * 400}"',
        '"0000-12-31T00:00:00.000Z"',
        '"0001-01-01T00:00:00Z"',
        '"10000-01-01T00:00:00Z"',
        '"31/12/2025 10:00"',
        '"12/31/2025 25:00"',
        "0",
        '"2024"',
        "202501311200",
    ],
}


@pytest.mark.parametrize(
    ("kind", "value", "expected"), [(kind, *case) for kind, cases in GOOD.items() for case in cases]
)
def test_good_values(kind: str, value: str, expected: Any) -> None:
    """Every kind takes its forms; alone, and beside a value that is not of its form."""
    assert one(kind, value) == expected
    table, _ = coerced(entity_of(kind, "warn"), [value, '"?? ??"', value])
    assert table["x"][0].as_py() == table["x"][2].as_py() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_none_passes_through(kind: str) -> None:
    """A null stays null; a member that is not there is none as well."""
    assert one(kind, "null") is None
    coercer = Coercer("store", entity_of(kind))
    assert coercer.table([b'{"id":"1"}'])["x"].to_pylist() == [None]
    assert (coercer.rejects, coercer.warnings.total()) == ([], 0)


LEVELS = [
    (kind, value, severity)
    for kind, values in BAD.items()
    for value in values
    for severity in ("reject", "warn", "info")
]


def rejects(kind: str, severity: str) -> bool:
    """Whether a bad value costs its record: a number that is none is a text still."""
    return severity == "reject" and kind != "phone"


@pytest.mark.parametrize(("kind", "value", "severity"), [case for case in LEVELS if rejects(case[0], case[2])])
def test_a_bad_value_is_rejected(kind: str, value: str, severity: str) -> None:
    table, coercer = coerced(entity_of(kind, severity), ["null", value])
    (reject,) = coercer.rejects
    assert (reject.key, reject.stage, reject.rule) == ("1", "coerce", KINDS[kind].validator)
    assert reject.message.startswith("x: ")
    assert table["id"].to_pylist() == ["0"]


@pytest.mark.parametrize(("kind", "value", "severity"), [case for case in LEVELS if not rejects(case[0], case[2])])
def test_a_bad_value_is_loaded_as_its_kind_allows_and_counted(kind: str, value: str, severity: str) -> None:
    table, coercer = coerced(entity_of(kind, severity), ["null", value])
    assert coercer.rejects == []
    found = table["x"][1].as_py()
    assert (found is None) == (not KINDS[kind].shape_only)
    assert coercer.lost["x"] == (found is None)
    level = "warn" if severity == "reject" else severity
    assert dict(coercer.warnings) == {f"{level}:x": 1} or kind == "phone"
    if kind == "phone":
        assert table["x_e164"][1].as_py() is None
        assert coercer.warnings.total() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_validation_never_skips_a_type(kind: str) -> None:
    table, coercer = coerced(entity_of(kind), ['"?? ??"'], skip_validation=True)
    typed = KINDS[kind].pg_type not in ("text", "jsonb")
    assert coercer.rejects == []
    assert coercer.warnings.total() == coercer.lost["x"] == typed
    assert (table["x"][0].as_py() is None) == typed


@pytest.mark.parametrize("record", [b'{"x":"a"}', b'{"id":null,"x":"a"}', b'{"id":"","x":"a"}', b'{"id":"  ","x":"a"}'])
@pytest.mark.parametrize("skip_validation", [False, True])
def test_a_record_without_its_key_is_rejected(record: bytes, skip_validation: bool) -> None:
    coercer = Coercer("store", entity_of("text"), skip_validation=skip_validation)
    assert coercer.table([record, b'{"id":"1"}'])["id"].to_pylist() == ["1"]
    (reject,) = coercer.rejects
    assert (reject.raw, reject.key, reject.rule) == (record, None, "key_missing")


@pytest.mark.parametrize(
    "record",
    [
        b'"not a record"', b"17", b"null", b"[]", b"", b"{", b'{"id":"2","x":tru}', b'{"id":"2","x":NaN', b"NaN",
        b'{"id":"2","y":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_record_is_rejected_alone(record: bytes) -> None:
    """Not an object, not JSON, too deep: the neighbours are loaded."""
    coercer = Coercer("store", entity_of("text"))
    assert coercer.table([b'{"id":"1"}', record, b'{"id":"3"}'])["id"].to_pylist() == ["1", "3"]
    (reject,) = coercer.rejects
    assert (reject.raw, reject.rule) == (record, "shape")


@pytest.mark.parametrize(
    ("member", "kept", "x"),
    [
        (b'"x":NaN', b'"x":"NaN"', None),
        (b'"x": -Infinity', b'"x": "-Infinity"', None),
        (b'"x":1,"y":{"z":[Infinity,NaN]}', b'"x":1,"y":{"z":["Infinity","NaN"]}', "1"),
        (b'"x":1,"y":"NaN, \\"NaN\\\\"', b'"x":1,"y":"NaN, \\"NaN\\\\"', "1"),
        (b'"x":1,"y":"a\\"b","z":NaN', b'"x":1,"y":"a\\"b","z":"NaN"', "1"),
        (b'"x":1,"y":"\xff"', '"x":1,"y":"\ufffd"'.encode(), "1"),
        (b'"x":1,"y":"a\\ud83d"', '"x":1,"y":"a\ufffd"'.encode(), "1"),
        (b'"x":1,"y":"\\udE00b"', '"x":1,"y":"\ufffdb"'.encode(), "1"),
        (b'"x":1,"y":"\\ud83d\\ud83d\\ude00"', '"x":1,"y":"\ufffd\\ud83d\\ude00"'.encode(), "1"),
        (b'"x":1,"y":"\\\\ud83d"', b'"x":1,"y":"\\\\ud83d"', "1"),
        (b'"x":1e200000', b'"x":"1e200000"', None),
    ],
)
def test_what_postgresql_cannot_hold_is_mended_and_costs_no_record(member: bytes, kept: bytes, x: str | None) -> None:
    """NaN is no JSON, and half an emoji is no text: they cost themselves, with a warning, and not their record."""
    coercer = Coercer("store", entity_of("numeric"))
    record = b'{"id":"2",' + member + b"}"
    table = coercer.table([b'{"id":"1","x":5}', record, b'{"id":"3","x":"6"}'])
    assert coercer.rejects == []
    assert table["x"].to_pylist() == ["5", x, "6"]
    assert table["raw_data"][1].as_py().encode() == b'{"id":"2",' + kept + b"}"
    assert json.loads(table["raw_data"][1].as_py())["id"] == "2"
    if b"e200000" not in member:
        assert coercer.warnings["warn:raw_data"] == (kept != member)
    assert coercer.lost["x"] == (x is None)


def test_the_key_of_a_mended_record_is_read_like_others() -> None:
    """A record that is refused for its key is refused as it came."""
    coercer = Coercer("store", entity_of("numeric"))
    assert coercer.table([b'{"id":null,"x":NaN}']).num_rows == 0
    assert [(reject.rule, reject.key) for reject in coercer.rejects] == [("key_missing", None)]


@pytest.mark.parametrize("key", ["ABC 123", "M\u00fcller-9", "x" * 300])
def test_a_key_may_look_as_it_likes(key: str) -> None:
    coercer = Coercer("store", entity_of("text"))
    table = coercer.table([msgspec.json.encode({"id": key})])
    assert (table["id"].to_pylist(), coercer.rejects, dict(coercer.warnings)) == ([key], [], {"warn:id": 1})


def test_a_text_that_is_too_long_for_its_index_is_null() -> None:
    """PostgreSQL would refuse the whole row."""
    table, coercer = coerced(entity_of("text", index="x"), [f'"{"x" * 2_600}"', f'"{"é" * 1_301}"', "null"])
    assert table["x"].to_pylist() == ["x" * 2_600, None, None]
    assert (coercer.rejects, coercer.lost["x"]) == ([], 1)
    table, coercer = coerced(entity_of("text"), [f'"{"x" * 70_000}"'])
    assert (table["x"][0].as_py(), coercer.lost["x"]) == ("x" * 70_000, 0)


SECONDS_2100 = 4_102_444_800


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (99_999_999, None),
        (10**8, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (-(10**8), datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC)),
        (SECONDS_2100 - 1, datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (SECONDS_2100, None),
        (10**10 - 1, None),
        (10**10, datetime(1970, 4, 26, 17, 46, 40, tzinfo=UTC)),
        (SECONDS_2100 * 1000, datetime(2100, 1, 1, tzinfo=UTC)),
        (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        (253_402_300_800_000, None),
        (10**15 - 1, None),
        (10**15, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)),
        (SECONDS_2100 * 10**6 - 1, datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        (SECONDS_2100 * 10**6, None),
        (18_991_231, None),
        (19_000_101, datetime(1900, 1, 1, tzinfo=UTC)),
        (21_001_231, datetime(2100, 12, 31, tzinfo=UTC)),
        (21_010_101, None),
        (20_230_229, None),
        (19_000_101_000_000, datetime(1900, 1, 1, tzinfo=UTC)),
        (21_001_231_235_959, datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (20_251_301_000_000, None),
        (202_501_311_200, None),
        (199_843_200_000, datetime(1976, 5, 2, tzinfo=UTC)),
    ],
)
def test_the_magnitude_of_a_number_says_what_it_counts(number: int, expected: datetime | None) -> None:
    """At the borders, as a number and as text, alone and beside a date; what may be two things is null."""
    for value in (str(number), f'"{number}"', f"{number}.0"):
        table, coercer = coerced(entity_of("timestamptz"), ['"2024-01-01T00:00:00Z"', value])
        assert table["x"].to_pylist() == [datetime(2024, 1, 1, tzinfo=UTC), expected], value
        assert coercer.lost["x"] == (expected is None)
        table, _ = coerced(entity_of("date"), [value, value])
        assert table["x"][1].as_py() == (expected and expected.date()), value


def test_a_sheet_may_have_the_day_first() -> None:
    assert validate.read_date("03/04/2025", day_first=True) == date(2025, 4, 3)
    assert validate.read_datetime("31/12/2025 14:05", day_first=True) == datetime(2025, 12, 31, 14, 5, tzinfo=UTC)


nanp = st.integers(2_000_000_000, 9_999_999_999).map(str)
extensions = st.text(alphabet="0123456789", max_size=5)
phone_texts = st.one_of(
    nanp,
    nanp.map(lambda d: f"({d[:3]}) {d[3:6]}-{d[6:]}"),
    nanp.map(lambda d: f"+1 {d[:3]}.{d[3:6]}.{d[6:]}"),
    nanp.map(lambda d: f"1-{d[:3]}-{d[3:6]}-{d[6:]}"),
    nanp.map(lambda d: f"{d} x123"),
    st.tuples(
        nanp, st.sampled_from(["x", " x", " x ", "ext", " ext ", " ext. ", "X", " xx", ", ext ", "#"]), extensions
    ).map("".join),
    st.tuples(nanp, extensions).map(lambda d: f"+1 ({d[0][:3]}) {d[0][3:6]}-{d[0][6:]} ext. {d[1]}"),
    nanp.map(lambda d: f"{d[:3]}-{d[3:7]}"),
    nanp.map(lambda d: d[:7]),
    nanp.map(lambda d: f"{d[:3]}.{d[3:7]} x{d[7:]}"),
    st.tuples(nanp, nanp).map(" / ".join),
    nanp.map(lambda d: f"555-0142 or {d}"),
    st.sampled_from(
        [
            "+442079460958",
            "+49 30 123456",
            "911",
            "310-4087",
            "3104087",
            "310-4087 x1",
            "1-800-FLOWERS",
            "+1",
            "",
            "0",
            "937/555/0142",
            "19375550142x",
        ]
    ),
    st.text(alphabet="0123456789 +-().x/", max_size=18),
    st.text(max_size=12),
)


@given(st.lists(phone_texts, min_size=1, max_size=20))
@QUICK
def test_e164_is_what_phonenumbers_says(texts: list[str]) -> None:
    table, coercer = coerced(entity_of("phone"), [dumped(text) for text in texts])
    assert coercer.rejects == []
    wrong = 0
    for text, kept, found in zip(texts, table["x"].to_pylist(), table["x_e164"].to_pylist(), strict=True):
        cleaned = text.replace("\0", "").strip()
        assert kept == (cleaned or None)
        numbers = [number for part in [cleaned, *re.split("[/,;|&\n]| or ", cleaned)] if (number := parsed(part))]
        assert found == (numbers[0] if numbers else None)
        wrong += not numbers and bool(cleaned)
    assert coercer.warnings["warn:x"] == wrong


def parsed(text: str) -> str | None:
    """Return what ``phonenumbers`` makes of one number."""
    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(number)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)) if valid else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("310 867 5309 / 310 867 5310", "+13108675309"),
        ("310-867-5309, 310-867-5310", "+13108675309"),
        ("call 555-0142 or (310) 867-5310 x12", "+13108675310"),
        ("(310) 867-5309 x12", "+13108675309"),
        ("310 867 5309 ext. 4 / 310 867 5310", "+13108675309"),
        ("310/867/5309", "+13108675309"),
        ("555-0142 / 555-0143", None),
    ],
)
def test_of_several_numbers_in_one_field_the_first_valid_one_is_taken(text: str, expected: str | None) -> None:
    table, coercer = coerced(entity_of("phone"), [dumped(text), '"310 867 5399"'])
    assert table["x"].to_pylist() == [text, "310 867 5399"]
    assert table["x_e164"].to_pylist() == [expected, "+13108675399"]
    assert coercer.warnings.total() == (expected is None)
    assert coercer.lost.total() == 0


json_within = st.one_of(
    nested_values.map(json.dumps),
    nested_values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.sampled_from(
        [
            "", " ", "[", "{", "[1] ", " {}", "[1],[2]", "[01]", "text", "1", '"[1]"', "[" * 3000 + "]" * 3000,
            "[NaN]", '["NaN"]', "[Infinity]", "[1e99999]", "[1E+99999]", "[1e9999]", '["1e99999"]',
            r'["\u0000"]', r'["\\u0000"]', r'["\ud800"]', r'["\ud83d\ude00"]', '["\0"]', "[\0]", '["\n"]',
            '["a"', '{"a":1,}', '{"a":1,"a":2}', "\u2003[1]\u2003", "\ufeff[1]",
        ]
    ),
    st.text(alphabet='[]{}",:\\u01eE+- ntf\0', max_size=12),
)  # fmt: skip


@given(st.lists(json_within, max_size=8), st.booleans())
@QUICK
def test_texts_that_hold_json_are_read_as_one_by_one(texts: list[str], ascii_only: bool) -> None:
    raws = [json.dumps(text, ensure_ascii=ascii_only).encode() for text in texts]
    assert read_json_texts(raws) == list(map(validate.read_json, raws))


@given(st.lists(st.dictionaries(st.text(max_size=4), nested_values, max_size=3), max_size=8), st.booleans())
@QUICK
@example([{"x": "\\u0000"}], True)
def test_raw_data_is_kept_byte_for_byte(records: list[dict[str, Any]], ascii_only: bool) -> None:
    """But for NUL; test_unmapped_field_survives_in_raw is a part of it."""
    raws = []
    for number, record in enumerate(records):
        body = json.dumps({**record, "id": f"k{number}", "x": "é  "}, ensure_ascii=ascii_only, indent=number % 3)
        raws.append(body.encode())
    table = Coercer("store", entity_of("text")).table(raws)
    for raw, kept in zip(raws, table["raw_data"].to_pylist(), strict=True):
        if "\0" in json.dumps(json.loads(raw), ensure_ascii=False) or rb"\u0000" in raw:
            assert json.loads(kept) == without_nul(json.loads(raw))
        else:
            assert kept.encode() == raw


def test_the_six_characters_of_a_nul_escape_may_be_harmless() -> None:
    """``\\\\u0000`` in a document is a backslash and text; only an odd number of backslashes makes it a NUL."""
    assert one("text", r'"a\\u0000b"') == r"a\u0000b"
    assert one("text", r'"a\u0000b"') == "ab"
    assert one("text", r'"a\\\u0000b"') == "a\\b"
