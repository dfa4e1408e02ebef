"""Persons, households and touches, brought up to date batch by batch, equal those of one run over everything."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import households, persons, touches
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.identity_rows import ELM, OAK, Session, day, edge, person, record

PHONES = ["+12065550101", "+12065550102"]
PEOPLE = [
    {"first_name": "anna", "last_name": "lopez", "display_name": "Anna Lopez"},
    {"first_name": "ben", "last_name": "lopez", "display_name": "BEN LOPEZ"},
    {"first_name": "carl", "last_name": "meyer", "display_name": "Carl Meyer"},
    {"business": "acme", "display_name": "Acme"},
    {"display_name": None},
]
PLACES: list[dict[str, Any]] = [{}, OAK, ELM, OAK | {"city": None}]

values = st.fixed_dictionaries(
    {
        "people": st.sampled_from(PEOPLE),
        "place": st.sampled_from(PLACES),
        "phones": st.lists(st.sampled_from(PHONES), max_size=2, unique=True),
        "emails": st.lists(st.sampled_from(["a@x.example", "b@x.example"]), max_size=1),
        "kind": st.sampled_from(["customer", "customer", "customer", "touch", "staff"]),
        "deleted": st.sampled_from([False, False, False, True]),
        "created_at": st.sampled_from([day("2020-01-01"), day("2022-01-01"), day("2024-01-01"), None]),
    }
)
change = st.tuples(st.integers(0, 7), values, st.integers(0, 5))
"""A record, what it says now, and the person whose it is from now on."""
batch = st.tuples(
    st.lists(change, min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=2)
)

EMPTY = """
    TRUNCATE identity.record, identity.member, identity.person, identity.household, identity.property, identity.edge,
        identity.touch
    """


@pytest.fixture
def session(shared_url: str) -> Iterator[Session]:
    with warehouse.connect(shared_url) as connection:
        yield connection
        connection.execute(EMPTY)


def state(session: Session) -> list[Any]:
    """Return all that was derived, households and properties by what they are and not by their ids."""
    queries = (
        """
        SELECT p.person_id, p.kind, p.display_name, p.first_name, p.last_name, p.business, p.email, p.phone, p.emails,
            p.phones, p.street, p.city, p.zip, p.origins, p.record_count, p.source_tables, p.first_seen_at,
            p.last_seen_at, q.street AS property_street, q.city AS property_city, q.zip AS property_zip,
            h.last_name AS household_name, h.phones AS household_phones, h.person_count,
            h.property_id IS NOT DISTINCT FROM p.property_id AS lives_there,
            ARRAY(SELECT o.person_id FROM identity.person AS o WHERE o.household_id = p.household_id
                ORDER BY 1) AS mates
        FROM identity.person AS p LEFT JOIN identity.property AS q USING (property_id)
            LEFT JOIN identity.household AS h USING (household_id)
        ORDER BY 1
        """,
        """
        SELECT record_id, t.person_id, certainty, rule, reason, touched_at,
            ARRAY(SELECT o.person_id FROM identity.person AS o WHERE o.household_id = t.household_id
                ORDER BY 1) AS mates
        FROM identity.touch AS t ORDER BY 1
        """,
        "SELECT count(*) FROM identity.household",
        "SELECT street, unit, city, state, zip FROM identity.property ORDER BY 1, 2, 5",
    )
    return [session.execute(one.encode()).fetchall() for one in queries]


def apply(session: Session, changes: list[Any], edges: list[tuple[int, int]], ids: dict[int, UUID]) -> None:
    """Write a batch as the resolver does, then bring what is derived up to date for what it touched."""
    touched: set[int] = set()
    keys: set[str] = set()
    who: set[UUID] = set()
    for number, given_values, owner in changes:
        row = dict(given_values)
        row |= row.pop("people") | row.pop("place")
        key = str(number)
        old = session.execute(
            "SELECT r.block_keys, m.person_id"
            " FROM identity.record AS r LEFT JOIN identity.member AS m USING (record_id) WHERE r.source_key = %s",
            [key],
        ).fetchone()
        if old:
            keys |= set(old["block_keys"])
            who |= {old["person_id"]} - {None}
            session.execute("DELETE FROM identity.member WHERE source_key = %s", [key])
        blank = dict.fromkeys(("first_name", "last_name", "business", "street", "city", "state", "zip"))
        record_id = record(session, "hubspot_contact", key, **(blank | row))
        touched.add(record_id)
        if row["kind"] != "touch":
            if owner not in ids:
                ids[owner] = person(session)
            who.add(person(session, record_id, person_id=ids[owner]))
    numbers = session.execute("SELECT source_key, record_id FROM identity.record").fetchall()
    records = {int(row["source_key"]): row["record_id"] for row in numbers}
    for a, b in edges:
        if a != b and a in records and b in records:
            edge(session, records[a], records[b], score=a + b)
            touched |= {records[a], records[b]}
    removed = session.execute(
        "DELETE FROM identity.person AS p WHERE NOT EXISTS"
        " (SELECT FROM identity.member AS m WHERE m.person_id = p.person_id) RETURNING person_id"
    ).fetchall()
    lost = {row["person_id"] for row in removed}
    for owner in [owner for owner, one in ids.items() if one in lost]:
        del ids[owner]
    persons.refresh(session, who - lost, keys_before=keys)
    households.refresh(session, touched)
    touches.refresh(session, touched, keys_before=keys)


@settings(
    max_examples=examples(4, of=10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(st.lists(batch, min_size=1, max_size=4))
def test_batches_in_any_order_give_what_one_run_over_everything_gives(session: Session, batches: list[Any]) -> None:
    session.execute(EMPTY)
    ids: dict[int, UUID] = {}
    for changes, edges in batches:
        with session.transaction():
            apply(session, changes, edges, ids)
    reached = state(session)

    with session.transaction():
        again = [persons.refresh(session), households.refresh(session), touches.refresh(session)]
    assert (again, state(session)) == ([0, 0, 0], reached)

    with session.transaction():
        session.execute("TRUNCATE identity.touch")
        session.execute("UPDATE identity.person SET household_id = NULL, property_id = NULL")
        session.execute("DELETE FROM identity.household")
        session.execute("DELETE FROM identity.property")
        persons.refresh(session)
        households.refresh(session)
        touches.refresh(session)
    assert state(session) == reached
