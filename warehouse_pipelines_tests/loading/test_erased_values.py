"""In which spellings an erased person's address or number is kept out, and whose records stay."""

import json
from dataclasses import replace
from typing import Any

import pytest

from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.erased import Erased
from warehouse_pipelines.loading.erased_values import MARK, ErasedValues, digest, listed
from warehouse_pipelines.loading.hash_and_drop import HASH
from warehouse_pipelines.model.entity import Local
from warehouse_pipelines.outbound.withheld import ERASED, Withheld
from warehouse_pipelines_tests.harness.fake_source import PEOPLE, person

KEY = b"k" * 32
LISTED = frozenset(
    one
    for _, one in listed(
        KEY,
        ["jo@example.com", "o'brien@oc.example", "plain@oc.example", "jo.ann@gmail.com"],
        ["joann@gmail.com"],
        ["+19375550103", "+5511912345678", "+4915123456789"],
    )
) | {digest(KEY, "phone", "2065550101")}
"""The last as it was listed formerly."""

EN_DASH, NO_BREAK, SOFT = "\u2013", "\u00a0", "\u00ad"

THEIRS: list[dict[str, Any]] = [
    {"email": "o'brien@oc.example"},
    {"email": "O'Brien@OC.example "},
    {"email": "mailto:jo@example.com"},
    {"email": "other@example.com, jo@example.com"},
    {"email": "other@example.com|jo@example.com"},
    {"email": "a=other@example.com; jo@example.com"},
    {"email": "Jo <jo@example.com>"},
    {"email": "jo@example.com."},
    {"email": "joann@gmail.com"},
    {"email": "J.O.Ann+news@googlemail.com"},
    {"phone": f"937{EN_DASH}555{EN_DASH}0103"},
    {"phone": f"(937){NO_BREAK}555{NO_BREAK}0103"},
    {"phone": f"937{SOFT}5550103"},
    {"phone": "\uff0b\uff11 \uff19\uff13\uff17 5550103"},
    {"phone": "937-555-0103 ext. 12"},
    {"phone": "tel:+1-937-555-0103"},
    {"phone": "937*555*0103"},
    {"phone": "+55 11 91234-5678"},
    {"phone": "5511912345678"},
    {"phone": 5511912345678},
    {"phone": "011 55 11 91234-5678"},
    {"phone": "206/555/0101"},
]

OTHERS: list[dict[str, Any]] = [
    {"email": "o'plain@oc.example"},
    {"email": "brien@oc.example"},
    {"email": "d.plain@oc.example"},
    {"email": "r&plain@oc.example"},
    {"email": "a=plain@oc.example"},
    {"email": "a=plain@oc.example, other@example.com"},
    {"email": "...@gmail.com"},
    {"email": "plain@oc.example.org"},
    {"email": "jo+news@example.com"},
    {"phone": "+1 512 345 6789"},  # the last ten digits of a number in Germany
    {"phone": "+49 937-555-0103"},
    {"phone": "937-555-0104"},
]


def coercer(**local: Any) -> Coercer:
    entity = replace(PEOPLE, local=Local(**local))
    return Coercer(
        "fake", entity, erased=Erased(entity, key=KEY, last=1, values=ErasedValues(KEY, LISTED), listed=True)
    )


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("own", THEIRS, ids=repr)
def test_a_record_of_an_erased_person_is_left_out_in_every_spelling(own: dict[str, Any], escaped: bool) -> None:
    made = coercer()
    table = made.table([record(person(7, **own), escaped), record(person(8, note="André"), escaped)])
    assert table["id"].to_pylist() == ["8"]
    assert made.erased.dropped == 1


@pytest.mark.parametrize("own", OTHERS, ids=repr)
def test_nobody_else_is_dropped_in_their_place(own: dict[str, Any]) -> None:
    made = coercer()
    raw = record(person(7, **own))
    table = made.table([raw])
    assert table["id"].to_pylist() == ["7"]
    assert table["raw_data"].to_pylist() == [raw.decode()]


@pytest.mark.parametrize("own", THEIRS, ids=repr)
def test_a_bad_record_of_theirs_is_no_dead_letter_in_any_spelling(own: dict[str, Any]) -> None:
    made = coercer()
    made.table([record(person(7, size="huge", **own)), record(person(8, size="huge"))])
    assert [reject.key for reject in made.take_rejects()] == ["8"]


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("ask o'brien@oc.example", f"ask {MARK}"),
        ("ask 'plain@oc.example'", f"ask '{MARK}'"),
        ("ask \u201cplain@oc.example\u201d", f"ask \u201c{MARK}\u201d"),
        ("ask\nplain@oc.example", f"ask\n{MARK}"),
        (r'{"a": "x\nplain@oc.example"}', rf'{{"a": "x\n{MARK}"}}'),
        ("https://x.example/?to=plain@oc.example&a=b", f"https://x.example/?to={MARK}&a=b"),
        ("https://x.example/?to=o%27brien%40oc.example", f"https://x.example/?to={MARK}"),
        ("ask o'plain@oc.example", "ask o'plain@oc.example"),
        ("mail Jo.Ann+x@gmail.com", f"mail {MARK}"),
        (f"call 937{EN_DASH}555{EN_DASH}0103 now", f"call {MARK} now"),
        (f"call (937){NO_BREAK}555-0103", f"call {MARK}"),
        ("call +55 11 91234-5678 or +49 151 23456780", f"call {MARK} or +49 151 23456780"),
        ("call 937-555-0103, 937-555-0104", f"call {MARK}, 937-555-0104"),
        ("order 99375550103, 512-345-6789", "order 99375550103, 512-345-6789"),
        ("at 39.9375550103", "at 39.9375550103"),
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_note_of_somebody_else_loses_the_address_or_number_alone(note: str, kept: str, escaped: bool) -> None:
    table = coercer().table([record(person(7, note=note), escaped), record(person(8), escaped)])
    assert (table["id"].to_pylist(), table["note"].to_pylist()[0]) == (["7", "8"], kept)
    assert json.loads(table["raw_data"].to_pylist()[0])["note"] == kept


def test_an_address_beside_a_key_that_looks_like_a_number_is_replaced() -> None:
    table = coercer().table([record(person(9375550103, note="jo@example.com"))])
    assert (table["id"].to_pylist(), table["note"].to_pylist()) == (["9375550103"], [MARK])


def test_an_employees_address_in_another_spelling_is_replaced_and_the_record_stays() -> None:
    table = coercer().table([record(person(7, agent_email="mailto:o'brien@oc.example."))])
    assert table["agent_email"].to_pylist() == [MARK]
    assert "brien" not in table["raw_data"].to_pylist()[0]


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HASH_KEY", "0123456789abcdef0123456789abcdef")


@pytest.mark.usefixtures("hashing")
def test_of_hashed_columns_theirs_are_left_out_and_others_stay() -> None:
    made = coercer(hashed=frozenset({"email", "phone"}))
    records = [
        person(1, email="o'brien@oc.example"),
        person(2, phone=f"937{EN_DASH}555{EN_DASH}0103"),
        person(3, email="other@example.com", note="referred by jo@example.com"),
        person(4, email="o'plain@oc.example", phone="937-555-0104"),
    ]
    table = made.table([*map(record, records)])
    assert table["id"].to_pylist() == ["3", "4"]
    assert table["note"].to_pylist()[0] == f"referred by {MARK}"
    assert all(HASH.fullmatch(one) for one in table["email"].to_pylist())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("o'brien@oc.example", ERASED),
        ("Ann <o'brien@oc.example>", ERASED),
        ("JoAnn@gmail.com", ERASED),
        (f"937{EN_DASH}555{EN_DASH}0103", ERASED),
        ("call 937-555-0103", ERASED),
        ("+55 11 91234-5678", ERASED),
        ("o'plain@oc.example", None),
        ("+1 512 345 6789", None),
    ],
)
def test_an_erased_person_is_sent_in_no_spelling(value: str, reason: str | None) -> None:
    assert Withheld(KEY, 1, frozenset(), ErasedValues(KEY, LISTED)).reason(None, [value]) == reason


def record(written: dict[str, Any], escaped: bool = False) -> bytes:
    return json.dumps(written, ensure_ascii=escaped).encode()
