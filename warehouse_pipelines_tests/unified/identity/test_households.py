"""Households: who lives together, and which id stays whose."""

from array import array
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_pipelines import queries, warehouse
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.identity import households, persons
from warehouse_pipelines_tests.harness.identity_rows import (
    ANNA,
    ELM,
    OAK,
    Session,
    day,
    edge,
    person,
    record,
    row_of,
)  # fmt: skip

PHONE = "+12065550101"
BEN = {"first_name": "ben", "last_name": "lopez", "display_name": "Ben Lopez"}
CARL = {"first_name": "carl", "last_name": "meyer", "display_name": "Carl Meyer"}


@pytest.fixture
def session(shared_url: str) -> Iterator[Session]:
    with warehouse.connect(shared_url) as connection, connection.transaction(force_rollback=True):
        yield connection


def one(session: Session, key: str, **values: Any) -> tuple[UUID, int]:
    """Make a person of one record; return both ids."""
    made = record(session, "hubspot_contact", key, **values)
    return person(session, made, kind=values.get("kind", "customer")), made


def refresh(session: Session, *record_ids: int) -> int:
    who = session.execute("SELECT person_id FROM identity.member WHERE record_id = ANY (%s)", [list(record_ids)])
    persons.refresh(session, [row["person_id"] for row in who])
    return households.refresh(session, record_ids)


def home(session: Session, who: UUID) -> UUID | None:
    found: UUID | None = row_of(session, "person", "person_id", who)["household_id"]
    return found


def test_no_household_is_compared_with_each(session: Session) -> None:
    """Where all have a household already, whatever the planner expects of it."""
    for name in ("household_person", "household_group"):
        bulk.temporary(session, name, households.TABLES[name])
    session.execute("""
        INSERT INTO household_person SELECT n, gen_random_uuid(), gen_random_uuid(), NULL, n, 'lopez', 1, '{p:1}'
        FROM generate_series(1, 20000) AS n
        """)
    session.execute("INSERT INTO household_group SELECT no, no FROM household_person")
    for name in ("household_person", "household_group"):
        bulk.analyze(session, name)
    session.execute("""
        INSERT INTO identity.household (household_id, person_count) SELECT household_id, 1 FROM household_person
        """)
    session.execute("ANALYZE identity.household")
    plan = session.execute(f"EXPLAIN {queries.query('households_made')}").fetchall()
    lines = [line for row in plan for line in row.values()]
    assert [line for line in lines if "Hash" in line or "Merge" in line]
    assert not [line for line in lines if "Join Filter" in line]


def test_persons_at_one_property_with_one_surname_are_a_household(session: Session) -> None:
    (anna, a), (ben, b), (carl, c) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", **BEN, **OAK),
        one(session, "3", **CARL, **OAK),
    )
    refresh(session, a, b, c)
    assert home(session, anna) == home(session, ben) != home(session, carl) is not None
    found = row_of(session, "household", "household_id", home(session, anna))
    assert (found["last_name"], found["person_count"]) == ("Lopez", 2)
    assert found["property_id"] == row_of(session, "person", "person_id", anna)["property_id"]


def test_a_part_of_a_surname_is_enough_at_one_property(session: Session) -> None:
    (anna, a), (other, b) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", first_name="eva", last_name="lopez meyer", display_name="Eva López-Meyer", **OAK),
    )
    refresh(session, a, b)
    assert home(session, anna) == home(session, other)


def test_a_shared_phone_joins_at_one_property_only(session: Session) -> None:
    (anna, a), (carl, c) = (
        one(session, "1", **ANNA, **OAK, phones=[PHONE]),
        one(session, "2", **CARL, **OAK, phones=[PHONE]),
    )
    (dora, d) = one(
        session, "3", first_name="dora", last_name="lopez", display_name="Dora Lopez", **ELM, phones=[PHONE]
    )
    edge(session, a, d, score=9)
    refresh(session, a, c, d)
    assert home(session, anna) == home(session, carl) != home(session, dora) is not None
    assert row_of(session, "household", "household_id", home(session, anna))["phones"] == [PHONE]


def test_an_edge_joins_who_has_no_address(session: Session) -> None:
    (anna, a), (carl, c), (alone, d) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", **CARL),
        one(session, "3", **BEN),
    )
    edge(session, a, c)
    refresh(session, a, c, d)
    assert home(session, anna) == home(session, carl)
    assert home(session, alone) is None


def test_who_may_belong_to_two_joins_by_the_stronger_edge(session: Session) -> None:
    (anna, a), (dora, d), (carl, c) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", **BEN, **ELM),
        one(session, "3", **CARL),
    )
    edge(session, a, c, score=2)
    edge(session, d, c, score=5)
    refresh(session, a, c, d)
    assert home(session, dora) == home(session, carl) != home(session, anna) is not None


def test_businesses_and_staff_have_no_household(session: Session) -> None:
    (firm, a), (rep, b) = (
        one(session, "1", business="acme", display_name="Acme", **OAK),
        one(session, "2", kind="staff", **ANNA, **OAK),
    )
    edge(session, a, b)
    refresh(session, a, b)
    assert home(session, firm) is home(session, rep) is None
    assert row_of(session, "person", "person_id", firm)["property_id"] is not None
    assert session.execute("SELECT FROM identity.household").fetchall() == []


def test_a_household_keeps_its_id_with_most_of_its_persons(session: Session) -> None:
    (anna, a), (ben, b), (eva, c) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", **BEN, **OAK),
        one(session, "3", first_name="eva", last_name="lopez", display_name="Eva Lopez", **OAK),
    )
    refresh(session, a, b, c)
    before = home(session, anna)
    record(session, "hubspot_contact", "2", **BEN, **ELM)
    assert refresh(session, b) == 1
    assert (home(session, anna), home(session, eva)) == (before, before)
    assert home(session, ben) not in (before, None)
    assert row_of(session, "household", "household_id", before)["person_count"] == 2

    # Back again: the larger part's id is that of all three, the other one ends.
    record(session, "hubspot_contact", "2", **BEN, **OAK)
    refresh(session, b)
    assert home(session, ben) == before
    assert [row["household_id"] for row in session.execute("SELECT household_id FROM identity.household")] == [before]


def test_of_two_households_that_become_one_the_heavier_keeps_its_id(session: Session) -> None:
    (anna, a), (ben, b) = one(session, "1", **ANNA, **OAK), one(session, "2", **BEN, **ELM)
    (eva, c) = one(session, "3", first_name="eva", last_name="lopez", display_name="Eva Lopez", **ELM)
    refresh(session, a, b, c)
    larger = home(session, ben)
    record(session, "hubspot_contact", "1", **ANNA, **ELM)
    refresh(session, a)
    assert home(session, anna) == home(session, eva) == larger
    assert [row["street"] for row in session.execute("SELECT street FROM identity.property")] == ["9 elm ave"]


def test_a_household_whose_person_is_gone_is_counted_again(session: Session) -> None:
    (anna, a), (ben, b), (carl, c) = (
        one(session, "1", **ANNA, **OAK),
        one(session, "2", **BEN, **OAK),
        one(session, "3", **CARL, **ELM),
    )
    refresh(session, a, b, c)
    kept, left = home(session, anna), home(session, carl)
    session.execute("DELETE FROM identity.person WHERE person_id = ANY (%s)", [[ben, carl]])
    households.refresh(session, [])
    assert row_of(session, "household", "household_id", kept)["person_count"] == 1
    assert not session.execute("SELECT FROM identity.household WHERE household_id = %s", [left]).fetchall()
    assert len(session.execute("SELECT FROM identity.property").fetchall()) == 1


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_only_what_changed_is_written(database_url: str) -> None:
    with warehouse.connect(database_url) as session:
        with session.transaction():
            (_, a), (_, b) = one(session, "1", **ANNA, **OAK, phones=[PHONE]), one(session, "2", **BEN, **OAK)
            assert refresh(session, a, b) == 2
        tables = ("person", "household", "property")
        before = [session.execute(f"SELECT * FROM identity.{table} ORDER BY 1").fetchall() for table in tables]
        assert households.refresh(session) == households.refresh(session, [a, b]) == 0
        after = [session.execute(f"SELECT * FROM identity.{table} ORDER BY 1").fetchall() for table in tables]
        assert after == before
        assert before[0][0]["created_at"] > day("2020-01-01")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=12),
    st.lists(st.tuples(st.integers(1, 11), st.integers(1, 11)), max_size=30),
)
def test_a_group_is_at_one_place_and_joined_wherever_it_can_be(places: list[int], links: list[tuple[int, int]]) -> None:
    last = len(places) - 1
    pairs = [(a, b) for a, b in links if a <= last and b <= last]
    seen = array("i", [0, *places[1:]])
    parents = households.join(seen, pairs)
    roots = [households._root(parents, no) for no in range(len(places))]
    for root in set(roots):
        there = {places[no] for no in range(1, len(places)) if roots[no] == root} - {0}
        assert len(there) <= 1
        assert root == 0 or seen[root] == max(there, default=0)
    for a, b in pairs:
        if roots[a] != roots[b]:
            assert 0 != seen[roots[a]] != seen[roots[b]] != 0
