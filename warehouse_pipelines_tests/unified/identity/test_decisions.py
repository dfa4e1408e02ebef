"""What people decide holds, is undone exactly, and is explained."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.identity import decisions
from warehouse_pipelines.unified.identity.explain import explain
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines_tests.unified.identity.identity_records import people, person_of, run

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ANNA = Record(
    "hubspot_contact", "1", "customer", first_name="anna", last_name="smith", emails=("anna@example.com",),
    phones=("+19372010001",), street="12 maple ave", city="dayton", zip="45402", ids=("hubspot_contact:1",),
)  # fmt: skip
CALL = Record("callrail_call", "c1", "customer", first_name="anna", last_name="smith", phones=ANNA.phones)
MARRIED = Record(
    "five9_contact", "f1", "customer", first_name="anna", last_name="jones", phones=("+19372010002",), zip="45402"
)
MARRIED_TOO = replace(MARRIED, source_table="salesrabbit_lead", source_key="s1")
HUSBAND = replace(ANNA, source_key="2", first_name="peter", emails=("peter@example.com",), ids=("hubspot_contact:2",))


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.session(database_url) as lent:
        yield lent


def ids(session: "Session") -> dict[str, str]:
    """Return whose each record is."""
    rows = session.execute("SELECT source_key, person_id::text AS person FROM identity.member").fetchall()
    return {row["source_key"]: row["person"] for row in rows}


def born(session: "Session") -> dict[str, object]:
    rows = session.execute("SELECT person_id::text AS person, created_at FROM identity.person").fetchall()
    return {row["person"]: row["created_at"] for row in rows}


def test_a_merge_undone_is_exact(session: "Session") -> None:
    run(session, [ANNA, CALL])
    run(session, [MARRIED, MARRIED_TOO, HUSBAND])
    before, partition, births = ids(session), people(session), born(session)
    assert len(partition) == 3

    decision = decisions.confirm(session, "hubspot_contact:1", "five9_contact:f1", by="ann")
    summary = run(session)
    assert not summary.full
    assert summary.merged == 1
    assert {ids(session)[key] for key in ("1", "c1", "f1", "s1")} == {before["1"]}
    run(session, full=True)
    assert {ids(session)[key] for key in ("1", "c1", "f1", "s1")} == {before["1"]}
    assert decisions.find(session, before["f1"]).person_id == decisions.find(session, before["1"]).person_id

    decisions.withdraw(session, [decision.decision_id])
    assert run(session).split == 1
    assert (ids(session), people(session), born(session)) == (before, partition, births)
    assert session.execute("SELECT FROM identity.alias").fetchone() is None
    assert session.execute("SELECT FROM identity.former_member").fetchone() is None


def test_a_rejected_pair_stays_apart_until_it_is_withdrawn(session: "Session") -> None:
    run(session, [ANNA, CALL, HUSBAND])
    whose = person_of(session, ANNA)
    decision = decisions.reject(session, "callrail_call:c1", "hubspot_contact:1", by="ann", reason="her mother")
    run(session)
    assert people(session) == {
        frozenset({name}) for name in ("hubspot_contact:1", "callrail_call:c1", "hubspot_contact:2")
    }
    assert session.execute("SELECT FROM identity.review").fetchone() is None, "it is not asked again"
    run(session, [replace(CALL, emails=ANNA.emails)])
    assert len(people(session)) == 3
    assert len(people(session)) == 3
    decisions.withdraw(session, [decision.decision_id])
    run(session, [CALL])
    assert person_of(session, ANNA) == person_of(session, CALL) == whose


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_record_that_was_split_off_stays_alone(session: "Session") -> None:
    another = replace(CALL, source_key="c2")
    run(session, [ANNA, CALL, another])
    made = decisions.split(session, "callrail_call:c1", by="ann")
    assert len(made) == 2
    run(session)
    alone = frozenset({"callrail_call:c1"})
    assert people(session) == {alone, frozenset({"hubspot_contact:1", "callrail_call:c2"})}
    run(session, full=True)
    assert alone in people(session)
    decisions.withdraw(session, [one.decision_id for one in made])
    run(session)
    assert len(people(session)) == 1


def test_people_are_confirmed_by_their_ids_and_by_merged_ones(session: "Session") -> None:
    run(session, [ANNA, CALL])
    run(session, [MARRIED, MARRIED_TOO])
    a, b = person_of(session, ANNA), person_of(session, MARRIED)
    decision = decisions.confirm(session, a, b, by="ann")
    assert {decision.a[0], decision.b[0]} == {"callrail_call", "five9_contact"}, "nothing joins them: the first by name"
    run(session)
    assert decisions.find(session, b).person_id == decisions.find(session, a).person_id
    with pytest.raises(WrongUse, match="one person already"):
        decisions.confirm(session, a, b, by="ann")


def test_what_cannot_be_decided_is_refused(session: "Session") -> None:
    staff = replace(ANNA, source_table="genius_user", kind="staff", ids=())
    run(session, [ANNA, CALL, MARRIED, staff])
    for a, b, why in [
        ("hubspot_contact:1", "genius_user:1", "no one person"),
        ("hubspot_contact:1", "hubspot_contact:1", "one record"),
        ("hubspot_contact:1", "hubspot_contact:77", "no record hubspot_contact:77"),
        ("hubspot_contact:1", "ann", "no person's id"),
        ("hubspot_contact:1", "00000000-0000-0000-0000-000000000001", "no person 0000"),
    ]:
        with pytest.raises(WrongUse, match=why):
            decisions.confirm(session, a, b, by="ann")
    with pytest.raises(WrongUse, match="alone already"):
        decisions.split(session, "five9_contact:f1", by="ann")
    with pytest.raises(WrongUse, match="no such decision"):
        decisions.withdraw(session, [99])
    decisions.reject(session, "callrail_call:c1", "five9_contact:f1", by="ann")
    with pytest.raises(WrongUse, match="keeps callrail_call:c1 and five9_contact:f1 apart"):
        decisions.confirm(session, "hubspot_contact:1", "five9_contact:f1", by="ann")
    made = decisions.confirm(session, "callrail_call:c1", "five9_contact:f1", by="ben")
    assert [one.decision_id for one in decisions.holding(session)] == [made.decision_id], "the latter holds"


def sql_explains(session: "Session", a: Record, b: Record) -> str:
    row = session.execute("SELECT identity.explain(%s, %s, %s, %s) AS said", [*a.name, *b.name]).fetchone()
    assert row is not None
    return str(row["said"])


def test_why_two_records_are_one_person(session: "Session") -> None:
    run(session, [ANNA, CALL, MARRIED, MARRIED_TOO])
    said = explain(session, "callrail_call:c1", "hubspot_contact:1").splitlines()
    assert said[0] == f"callrail_call:c1 and hubspot_contact:1 are one person: {person_of(session, ANNA)}."
    assert said[1].startswith(
        "- hubspot_contact:1 and callrail_call:c1: given name equal, surname equal, phone number equal"
    )
    assert "13 are enough (phone_e164)" in said[1]
    assert "are one person" in sql_explains(session, ANNA, CALL)

    decision = decisions.confirm(session, "hubspot_contact:1", "five9_contact:f1", by="ann")
    run(session)
    said = explain(session, "callrail_call:c1", "salesrabbit_lead:s1").splitlines()
    assert len(said) == 4
    assert said[2].endswith(f"ann decided that they are (decision {decision.decision_id}).")
    assert "other records join them" in sql_explains(session, CALL, MARRIED_TOO)
    assert "ann decided" in sql_explains(session, MARRIED, ANNA)
    assert "is a record of person" in explain(session, "callrail_call:c1", person_of(session, ANNA))


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_why_two_records_are_not_one_person(session: "Session") -> None:
    stranger = Record("five9_contact", "x", "customer", first_name="olga", last_name="novak", phones=("+19372019999",))
    staff = replace(ANNA, source_table="genius_user", kind="staff", ids=())
    touch = Record("callrail_call", "t", "touch", phones=ANNA.phones)
    namesake = replace(ANNA, source_key="9", emails=(), phones=(), street="9 elm st", ids=())
    run(session, [ANNA, CALL, HUSBAND, stranger, staff, touch, namesake])
    said = explain(session, "hubspot_contact:1", "hubspot_contact:2")
    assert "are not one person" in said
    assert "The gate keeps them apart: given names differ; they share a household." in said
    assert "household" in sql_explains(session, ANNA, HUSBAND)
    assert "no key in common" in explain(session, "hubspot_contact:1", "five9_contact:x")
    assert "no key in common" in sql_explains(session, ANNA, stranger)
    assert "nothing but the name is equal" in explain(session, "hubspot_contact:1", "hubspot_contact:9")
    assert "Staff are never joined" in explain(session, "hubspot_contact:1", "genius_user:1")
    assert "no name of its own" in explain(session, "hubspot_contact:1", "callrail_call:t")
    assert "no record of a person" in sql_explains(session, ANNA, replace(ANNA, source_key="77"))
    decisions.reject(session, "hubspot_contact:1", "callrail_call:c1", by="ann")
    run(session)
    assert "ann decided that" in explain(session, "hubspot_contact:1", "callrail_call:c1")
    assert "two people" in sql_explains(session, CALL, ANNA)
    assert "hubspot_contact:1" in explain(session, person_of(session, ANNA), person_of(session, HUSBAND))
