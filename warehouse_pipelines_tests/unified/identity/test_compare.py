"""Pairs of records: which are one person, which are asked about, which share a roof."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse_pipelines.unified.identity import likeness
from warehouse_pipelines.unified.identity.compare import Levels, compare, gate, judge, levels, words
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.weights import DEFAULT

BOB = Record(
    "hubspot_contact",
    "1",
    "customer",
    first_name="robert",
    last_name="rivera",
    emails=("bob@example.com",),
    phones=("+19372010001",),
    street="12 maple ave",
    city="dayton",
    state="oh",
    zip="45402",
    ids=("hubspot_contact:1",),
)
BARE = Record("callrail_call", "c1", "customer")


def other(**values: object) -> Record:
    return replace(BARE, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "relation", "gate"),
    [
        ({"first_name": "bob", "last_name": "rivera", "phones": BOB.phones}, "person", ""),
        ({"first_name": "robret", "last_name": "rivera", "phones": BOB.phones}, "person", ""),
        ({"first_name": "rivera", "last_name": "robert", "phones": BOB.phones}, "person", ""),
        ({"first_name": "r", "last_name": "rivera", "phones": BOB.phones}, "person", ""),
        ({"first_name": "robert", "last_name": "rivera lopez", "emails": BOB.emails}, "person", ""),
        ({"emails": BOB.emails}, "person", ""),
        ({"first_name": "robert", "last_name": "rivera", "zip": "45402"}, "apart", "nothing but the name is equal"),
        ({"first_name": "maria", "last_name": "rivera", "phones": BOB.phones}, "household", "given names differ"),
        (
            {"first_name": "maria", "last_name": "rivera", "phones": BOB.phones, "emails": BOB.emails},
            "household",
            "given names differ",
        ),
        (
            {"last_name": "rivera", "phones": BOB.phones},
            "household",
            "a given name is missing, and no e-mail address is equal",
        ),
        (
            {"first_name": "robert", "last_name": "hollis", "phones": BOB.phones, "emails": BOB.emails},
            "review",
            "surnames differ",
        ),
        ({"first_name": "robert", "last_name": "hollis", "phones": BOB.phones}, "household", "surnames differ"),
        (
            {"first_name": "robert", "last_name": "rivera", "suffix": "jr", "phones": BOB.phones, "emails": ("x@y.z",)},
            "review",
            "one has a generation, the other none",
        ),
        (
            {"first_name": "robert", "last_name": "rivera", "street": BOB.street, "zip": BOB.zip, "phones": ("+1",)},
            "review",
            "name and address are equal, and the phone numbers differ",
        ),
        ({"first_name": "robert", "last_name": "rivera", "street": BOB.street, "zip": BOB.zip}, "person", ""),
        (
            {"emails": BOB.emails, "phones": ("+1",)},
            "household",
            "a given name is missing, and the phone numbers differ",
        ),
        ({"first_name": "maria", "last_name": "hollis", "ids": BOB.ids}, "review", "given names differ"),
        ({"first_name": "bob", "last_name": "rivera", "ids": BOB.ids}, "person", ""),
        ({"business": "rivera roofing", "phones": BOB.phones}, "apart", "one is a business, the other a person"),
        ({"first_name": "maria", "last_name": "hollis"}, "apart", "given names differ"),
    ],
)
def test_who_is_one_person(values: dict[str, object], relation: str, gate: str) -> None:
    found = compare(BOB, other(**values), DEFAULT)
    assert (found.relation, found.gate) == (relation, gate), found


GMAIL = replace(BOB, emails=("j.doe@gmail.com",), phones=(), ids=(), street=None, zip=None, city=None)


@pytest.mark.parametrize("spelt", ["jdoe@gmail.com", "J.D.O.E@gmail.com", "jdoe+roof@gmail.com", "jdoe@googlemail.com"])
def test_spellings_of_one_mailbox_are_one_address_where_the_names_agree(spelt: str) -> None:
    same = other(first_name="bob", last_name="rivera", emails=(spelt.lower(),))
    assert compare(GMAIL, same, DEFAULT).relation == compare(same, GMAIL, DEFAULT).relation == "person"


@pytest.mark.parametrize(
    "values",
    [
        {"first_name": "maria", "last_name": "rivera"},  # a family's mailbox
        {"last_name": "rivera"},
        {},
        {"first_name": "robert", "last_name": "rivera", "suffix": "jr"},
        {"first_name": "robert", "last_name": "hollis"},
        {"first_name": "robert", "last_name": "rivera", "emails": ("j.doe@example.com",)},  # dots count elsewhere
        {"first_name": "robert", "last_name": "rivera", "emails": ("jdoe2@gmail.com",)},
    ],
)
def test_spellings_of_one_mailbox_open_no_gate(values: dict[str, object]) -> None:
    assert compare(GMAIL, other(**{"emails": ("jdoe@gmail.com",), **values}), DEFAULT).relation != "person"


def test_spellings_of_one_mailbox_do_not_outweigh_another_number() -> None:
    one = replace(GMAIL, phones=("+19372010001",))
    two = other(first_name="robert", last_name="rivera", emails=("jdoe@gmail.com",), phones=("+16142019999",))
    assert levels(one, two).email != "equal"


def test_staff_is_never_a_customer() -> None:
    assert compare(BOB, replace(BOB, source_key="2", kind="staff"), DEFAULT).relation == "apart"
    assert compare(replace(BOB, kind="touch"), replace(BOB, source_key="2", kind="touch"), DEFAULT).relation == "apart"


def test_a_father_and_his_son_are_two() -> None:
    senior, junior = replace(BOB, suffix="sr"), replace(BOB, source_key="2", suffix="jr")
    assert compare(senior, junior, DEFAULT).gate == "generations differ"
    assert compare(senior, junior, DEFAULT).relation == "review", "they have one id"
    assert compare(senior, replace(junior, ids=()), DEFAULT).relation == "household"


def test_businesses_of_one_name_and_number_are_one() -> None:
    roofing = other(business="rivera and sons", phones=BOB.phones)
    found = compare(roofing, replace(roofing, source_key="c2", business="rivera and son"), DEFAULT)
    assert found.relation == "person"
    assert (
        compare(roofing, replace(roofing, source_key="c2", business="hollis plumbing"), DEFAULT).relation == "household"
    )


def test_an_id_names_its_rule() -> None:
    rules = {("hubspot_contact", "marketsharp_contact"): "hubspot_marketsharp_id"}
    a = replace(BOB, ids=("hubspot_contact:1", "marketsharp_contact:7"))
    b = replace(BOB, source_table="marketsharp_contact", source_key="7", ids=("marketsharp_contact:7",))
    found = compare(a, b, DEFAULT, rules)
    assert found.rules == ("email", "phone_e164", "name_address", "hubspot_marketsharp_id")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("robert", "bob", "nickname"),
        ("bob", "rob", "nickname"),
        ("patrick", "patricia", "different"),
        ("daniel", "danielle", "different"),
        ("ana", "anna", "alike"),
        ("eric", "erik", "alike"),
        ("jonh", "john", "alike"),
        ("mary ann", "maryann", "equal"),
        ("mary ann", "mary", "nickname"),
        ("j", "john", "initial"),
        ("j", "mary", "different"),
        (None, "mary", "missing"),
    ],
)
def test_given_names(a: str | None, b: str | None, expected: str) -> None:
    assert likeness.given(a, b) == likeness.given(b, a) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("garcia-lopez", "garcia", "part"),
        ("garcia lopez", "lopez", "part"),
        ("van der berg", "vanderberg", "equal"),
        ("de silva", "de souza", "different"),
        ("kowalski", "kowalsky", "alike"),
        ("novak", "marsh", "different"),
    ],
)
def test_surnames(a: str, b: str, expected: str) -> None:
    assert likeness.surname(a, b) == likeness.surname(b, a) == expected


SOME = st.sampled_from
RECORDS = st.builds(
    Record,
    source_table=SOME(["hubspot_contact", "five9_contact"]),
    source_key=SOME(["1", "2", "3"]),
    kind=SOME(["customer", "staff"]),
    first_name=SOME([None, "r", "robert", "bob", "maria", "mario", "rivera"]),
    middle_name=SOME([None, "a", "ann"]),
    last_name=SOME([None, "rivera", "rivera lopez", "hollis", "robert"]),
    suffix=SOME([None, "jr", "sr"]),
    business=SOME([None, "rivera roofing", "hollis"]),
    emails=SOME([(), ("bob@example.com",), ("bob@example.org", "m@example.com"), ("bpb@example.com",)]),
    phones=SOME([(), ("+19372010001",), ("+19372010002",)]),
    street=SOME([None, "12 maple ave", "12 mapel ave", "9 elm st"]),
    unit=SOME([None, "4", "5"]),
    city=SOME([None, "dayton"]),
    zip=SOME([None, "45402", "45429"]),
    ids=SOME([(), ("hubspot_contact:1",)]),
)


@settings(deadline=None)  # the first examples import what the others have
@given(RECORDS, RECORDS)
def test_the_order_of_two_records_does_not_matter(a: Record, b: Record) -> None:
    assert compare(a, b, DEFAULT) == compare(b, a, DEFAULT)


@settings(deadline=None)  # the first examples import what the others have
@given(RECORDS, RECORDS)
def test_a_person_has_passed_the_gate(a: Record, b: Record) -> None:
    found = compare(a, b, DEFAULT)
    if found.relation == "person":
        assert not found.gate
        assert found.levels.first != "different"
        assert found.levels.last != "different"
        assert "different" not in (found.levels.suffix,)


@settings(deadline=None)  # the first examples import what the others have
@given(RECORDS, RECORDS)
def test_every_level_has_bits(a: Record, b: Record) -> None:
    for name, level in zip(Levels._fields, levels(a, b), strict=True):
        assert level in DEFAULT.bits[name]


def test_levels_are_said_in_words() -> None:
    found = compare(BOB, other(first_name="bob", last_name="rivera", phones=BOB.phones), DEFAULT)
    assert words(found.levels) == "given name nickname, surname equal, phone number equal"


def test_likeness_is_that_of_duckdb() -> None:
    """The rebuild asks DuckDB, the run asks rapidfuzz: both see one likeness and one distance."""
    duckdb = pytest.importorskip("duckdb")
    from rapidfuzz.distance import OSA, JaroWinkler

    chance = random.Random(7)  # noqa: S311
    texts = ["".join(chance.choices("aeioulmnrst", k=chance.randint(1, 12))) for _ in range(300)]
    pairs = [(chance.choice(texts), chance.choice(texts)) for _ in range(2000)]
    pairs += [(text, text[:-1] + text[-1:] * 2) for text in texts]
    connection = duckdb.connect()
    connection.execute("CREATE TABLE pairs (n INTEGER, a VARCHAR, b VARCHAR)")
    connection.executemany("INSERT INTO pairs VALUES (?, ?, ?)", [(n, *pair) for n, pair in enumerate(pairs)])
    for n, alike, distance in connection.execute(
        "SELECT n, jaro_winkler_similarity(a, b), damerau_levenshtein(a, b) FROM pairs"
    ).fetchall():
        a, b = pairs[n]
        assert round(alike, 6) == round(JaroWinkler.similarity(a, b), 6), (a, b)
        assert (distance <= 1) == (OSA.distance(a, b) <= 1), (a, b)


def test_judging_is_by_levels_alone() -> None:
    found = levels(BOB, other(first_name="bob", last_name="rivera", phones=BOB.phones))
    assert judge(found, DEFAULT) is judge(Levels(*found), DEFAULT)
    assert gate(found) is None
