"""Runs of the resolver on a database: what changed ends where a run from nothing ends."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import records, resolve
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines_tests.unified.identity.identity_records import people, person_of, put, remove, run

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

pytestmark = pytest.mark.on_oldest(
    "test_a_couple_on_one_phone_is_two_people",
    "test_a_record_that_goes_takes_its_edges_along",
    "test_a_record_that_lost_its_name_is_nobody",
    "test_a_run_reads_the_sources",
)

BOB = Record(
    "hubspot_contact", "1", "customer", first_name="robert", last_name="rivera", emails=("bob@example.com",),
    phones=("+19372010001",), street="12 maple ave", city="dayton", zip="45402", ids=("hubspot_contact:1",),
)  # fmt: skip
CALL = Record("callrail_call", "c1", "customer", first_name="bob", last_name="rivera", phones=BOB.phones)
WIFE = replace(BOB, source_key="2", first_name="maria", emails=("maria@example.com",), ids=("hubspot_contact:2",))
LATER = Record("five9_contact", "f1", "customer", first_name="robert", last_name="rivera", emails=("bob@work.example",))


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.session(database_url) as lent:
        yield lent


def test_a_couple_on_one_phone_is_two_people(session: "Session") -> None:
    summary = run(session, [BOB, WIFE, CALL])
    assert people(session) == {
        frozenset({"hubspot_contact:1", "callrail_call:c1"}), frozenset({"hubspot_contact:2"})
    }  # fmt: skip
    assert summary.full
    assert (summary.records, summary.persons, summary.new) == (3, 2, 2)
    relations = session.execute("SELECT relation, count(*) AS n FROM identity.edge GROUP BY 1 ORDER BY 1").fetchall()
    assert [(row["relation"], row["n"]) for row in relations] == [("household", 2), ("person", 1)]
    member = session.execute("SELECT evidence FROM identity.member WHERE source_key = 'c1'").fetchone()
    assert member == {"evidence": {"with": "hubspot_contact 1", "rules": ["phone_e164"], "score": 18.5}} or member


def test_only_what_changed_is_compared(session: "Session") -> None:
    run(session, [BOB, WIFE])
    strangers = [replace(LATER, source_key=str(n), last_name=f"name{n}", emails=()) for n in range(20)]
    run(session, strangers)
    summary = run(session, [CALL])
    assert not summary.full
    assert (summary.changed, summary.pairs) == (1, 2)
    assert summary.records == 2
    assert run(session).changed == 0


def test_a_bridge_merges_two_people_and_the_older_id_stays(session: "Session") -> None:
    run(session, [BOB])
    run(session, [LATER])
    older, younger = person_of(session, BOB), person_of(session, LATER)
    assert older != younger
    summary = run(session, [replace(CALL, emails=LATER.emails)])
    assert summary.merged == 1
    assert person_of(session, BOB) == person_of(session, LATER) == person_of(session, CALL) == older
    alias = session.execute("SELECT alias_id::text, person_id::text, reason FROM identity.alias").fetchall()
    assert alias == [{"alias_id": younger, "person_id": older, "reason": "merged"}]

    run(session, [CALL])
    assert (person_of(session, BOB), person_of(session, LATER)) == (older, younger)
    assert person_of(session, CALL) == older
    assert session.execute("SELECT FROM identity.alias").fetchone() is None


def test_a_record_that_goes_takes_its_edges_along(session: "Session") -> None:
    run(session, [BOB, LATER, replace(CALL, emails=LATER.emails), WIFE])
    assert len(people(session)) == 2
    remove(session, [CALL.name, WIFE.name])
    run(session)
    assert people(session) == {frozenset({"hubspot_contact:1"}), frozenset({"five9_contact:f1"})}
    assert session.execute("SELECT FROM identity.edge").fetchone() is None
    row = session.execute("SELECT count(*) AS n FROM identity.person").fetchone()
    assert row == {"n": 2}


def test_a_record_that_lost_its_name_is_nobody(session: "Session") -> None:
    run(session, [BOB, CALL, replace(CALL, source_key="c2", first_name="olga", last_name="novak", phones=("+1",))])
    run(session, [replace(CALL, kind="touch"), replace(CALL, source_key="c2", kind="touch", phones=("+1",))])
    assert people(session) == {frozenset({"hubspot_contact:1"})}
    assert session.execute("SELECT count(*) AS n FROM identity.person").fetchone() == {"n": 1}


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_crowded_key_says_nothing_until_it_is_freed(session: "Session") -> None:
    """The number of a showroom: 101 records have it, and one less makes it somebody's again."""
    crowd = [
        Record("five9_contact", f"{n:03}", "customer", first_name="anna", last_name="smith", phones=("+19372010009",))
        for n in range(101)
    ]
    run(session, crowd[:100])
    assert len(people(session)) == 1
    run(session, crowd[100:])
    assert len(people(session)) == 101
    assert session.execute("SELECT key FROM identity.crowded_key").fetchall() == [{"key": "p:+19372010009"}]
    run(session, [replace(crowd[7], phones=())])
    assert sorted(map(len, people(session))) == [1, 100]
    run(session, [crowd[7]], full=True)
    assert len(people(session)) == 101
    assert session.execute("SELECT key FROM identity.crowded_key").fetchall() == [{"key": "p:+19372010009"}]


def test_a_crowded_id_still_leads_to_its_record(session: "Session") -> None:
    owner = replace(BOB, source_table="genius_prospect", ids=("genius_prospect:1",))
    visits = [
        Record("genius_appointment", f"{n:03}", "customer", first_name="robert", last_name="rivera", ids=owner.ids)
        for n in range(120)
    ]
    run(session, [owner, *visits])
    assert [len(one) for one in people(session)] == [121]
    full = {tuple(row.values()) for row in session.execute("SELECT a_id, b_id FROM identity.edge")}
    assert len(full) == 120
    run(session, [replace(visits[0], middle_name="a"), replace(owner, middle_name="a")])
    assert {tuple(row.values()) for row in session.execute("SELECT a_id, b_id FROM identity.edge")} == full


def test_new_weights_compare_everything(session: "Session") -> None:
    from warehouse_pipelines.unified.identity import weights

    run(session, [BOB, WIFE, CALL])
    kept = person_of(session, BOB)
    with session.transaction():
        weights.add(session, weights.DEFAULT.bits, 99.0, 98.0, "trained")
    assert run(session).full
    assert len(people(session)) == 3
    assert kept in {person_of(session, BOB), person_of(session, CALL)}
    assert session.execute("SELECT DISTINCT version FROM identity.edge").fetchall() == [{"version": 2}]
    assert not run(session).full


def test_records_of_other_rules_are_read_and_compared_again(
    session: "Session", monkeypatch: pytest.MonkeyPatch
) -> None:
    session.execute(
        "INSERT INTO hubspot_contact (id, firstname, lastname, raw_data) VALUES ('1', 'Bob', 'Rivera', '{}')"
    )
    resolve.run(session)
    assert not resolve.run(session).full
    monkeypatch.setattr(records, "RULES", records.RULES + 1)
    assert resolve.run(session).full
    assert not resolve.run(session).full


def test_staff_is_apart(session: "Session") -> None:
    run(session, [BOB, replace(BOB, source_table="genius_user", kind="staff")])
    assert len(people(session)) == 2
    assert session.execute("SELECT FROM identity.edge").fetchone() is None


def test_reviews_wait_once_for_two_people_and_go_when_they_are_settled(session: "Session") -> None:
    married = replace(BOB, source_key="9", last_name="hollis", ids=("hubspot_contact:9",))
    run(session, [BOB, CALL, married])
    waiting = session.execute("SELECT score, reason, evidence, since FROM identity.review").fetchall()
    assert len(waiting) == 1
    assert waiting[0]["reason"] == "surnames differ"
    assert waiting[0]["evidence"].startswith("given name equal, surname different, e-mail address equal")
    run(session, full=True)
    assert session.execute("SELECT score, reason, evidence, since FROM identity.review").fetchall() == waiting
    run(session, [replace(married, emails=())])
    assert session.execute("SELECT FROM identity.review").fetchone() is None


def test_texts_with_tabs_and_backslashes_come_back(session: "Session") -> None:
    odd = replace(BOB, source_key="a\\b\tc\\\\d", business="x\\y")
    run(session, [odd, CALL])
    assert person_of(session, odd) == person_of(session, CALL)
    assert put(session, [odd]) == (set(), set())


def test_a_run_reads_the_sources(session: "Session") -> None:
    """The whole way: rows of two CRMs, an edit that parts them, and one that joins them again."""
    session.execute(
        "INSERT INTO hubspot_contact (id, firstname, lastname, email, raw_data)"
        " VALUES ('1', 'Bob', 'Rivera', 'bob@example.test', '{}')"
    )
    session.execute(
        "INSERT INTO five9_contact (id, first_name, last_name, email, raw_data)"
        " VALUES ('7', 'Robert', 'Rivera', 'bob@example.test', '{}')"
    )
    assert (resolve.run(session).persons, len(people(session))) == (1, 1)
    person = session.execute("SELECT display_name, email, record_count, source_tables FROM identity.person").fetchone()
    assert person is not None
    assert (person["email"], person["record_count"]) == ("bob@example.test", 2)
    assert person["source_tables"] == ["five9_contact", "hubspot_contact"]
    whose = session.execute("SELECT DISTINCT person_id FROM identity.member").fetchall()
    session.execute("UPDATE five9_contact SET email = 'other@example.test', sync_updated_at = now()")
    summary = resolve.run(session)
    assert not summary.full
    assert (summary.changed, summary.split, len(people(session))) == (1, 1, 2)
    session.execute("UPDATE five9_contact SET email = 'bob@example.test', sync_updated_at = now()")
    summary = resolve.run(session)
    assert (summary.merged, len(people(session))) == (1, 1)
    assert session.execute("SELECT DISTINCT person_id FROM identity.member").fetchall() == whose
    session.execute("DELETE FROM five9_contact")
    assert resolve.run(session, full=True).records == 1
    assert {"read", "compare", "cluster", "review", "persons", "households", "touches"} <= resolve.run(
        session
    ).seconds.keys()
