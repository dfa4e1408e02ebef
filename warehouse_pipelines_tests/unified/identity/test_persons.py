"""The best values of a person: which one stands in identity.person, and what is said of where it came from."""

from collections.abc import Iterator
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.identity import persons
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines_tests.harness.identity_rows import ANNA, ELM, OAK, Session, day, person, record, row_of

OLD, NEW = day("2024-01-01"), day("2025-06-01")


@pytest.fixture
def session(shared_url: str) -> Iterator[Session]:
    with warehouse.connect(shared_url) as connection, connection.transaction(force_rollback=True):
        yield connection


def best(session: Session, *values: dict[str, Any]) -> Any:
    """Return the person that records with these values make, each of its table."""
    made = []
    for number, one in enumerate(values):
        given = dict(one)
        made.append(record(session, given.pop("table", "hubspot_contact"), str(number), **given))
    who = person(session, *made)
    persons.refresh(session, [who])
    return row_of(session, "person", "person_id", who)


def test_the_most_frequent_complete_name_in_its_display_spelling(session: Session) -> None:
    found = best(
        session,
        {"first_name": "a", "last_name": "obrien", "display_name": "A O'BRIEN"},
        {"first_name": "a", "last_name": "obrien", "display_name": "A O'BRIEN"},
        {"first_name": "anna", "last_name": "obrien", "display_name": "ANNA O'BRIEN"},
        {"first_name": "anna", "last_name": "obrien", "display_name": "Anna O'Brien"},
        {"first_name": "anne", "last_name": "obrien", "display_name": "Anne O'Brien"},
    )
    assert (found["display_name"], found["first_name"], found["last_name"]) == ("Anna O'Brien", "Anna", "O'Brien")
    assert found["origins"]["name"] == {
        "source_table": "hubspot_contact", "source_key": "3", "at": None, "rule": "frequent",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "first", "last", "expected"),
    [
        ("ANNA LOPEZ", "anna", "lopez", ("Anna Lopez", "Anna", "Lopez")),
        ("anna o'brien", "anna", "obrien", ("Anna O'Brien", "Anna", "O'Brien")),
        ("Lopez, Anna", "anna", "lopez", ("Anna Lopez", "Anna", "Lopez")),
        ("Ana María Núñez", "ana", "nunez", ("Ana María Núñez", "Ana", "Núñez")),
        ("Juan de la Cruz", "juan", "de la cruz", ("Juan de la Cruz", "Juan", "de la Cruz")),
        ("Mary-Jo Smith-Jones", "mary jo", "smith jones", ("Mary-Jo Smith-Jones", "Mary-Jo", "Smith-Jones")),
        ("Mr. Something Else", "anna", "lopez", ("Anna Lopez", "Anna", "Lopez")),
        (None, "anna", "lopez", ("Anna Lopez", "Anna", "Lopez")),
        ("Anna", "anna", None, ("Anna", "Anna", None)),
    ],
)
def test_a_name_is_shown_as_it_is_spelled(
    session: Session, shown: str | None, first: str, last: str | None, expected: tuple[str, str, str | None]
) -> None:
    found = best(session, {"display_name": shown, "first_name": first, "last_name": last})
    assert (found["display_name"], found["first_name"], found["last_name"]) == expected


def test_a_name_in_capitals_keeps_its_suffix(session: Session) -> None:
    found = best(
        session, {"display_name": "JOHN SMITH III", "first_name": "john", "last_name": "smith", "suffix": "iii"}
    )
    assert found["display_name"] == "John Smith III"


def test_an_email_address_of_the_trusted_source_then_the_newest(session: Session) -> None:
    found = best(
        session,
        {"table": "salesrabbit_lead", "emails": ["door@x.example"], "updated_at": NEW},
        {"table": "hubspot_contact", "emails": ["old@x.example"], "updated_at": OLD},
        {"table": "marketsharp_contact", "emails": ["new@x.example"], "updated_at": NEW},
    )
    assert found["email"] == "new@x.example"
    assert found["emails"] == ["new@x.example", "old@x.example", "door@x.example"]
    assert found["origins"]["email"] == {
        "source_table": "marketsharp_contact", "source_key": "2", "at": "2025-06-01T00:00:00+00:00", "rule": "newest",
    }  # fmt: skip


def test_a_placeholder_stands_only_where_there_is_nothing_else(session: Session) -> None:
    found = best(session, {"table": "genius_prospect", "emails": ["0000@x.example"]}, {"emails": ["anna@x.example"]})
    assert (found["email"], found["origins"]["email"]["rule"]) == ("anna@x.example", "usable")


def test_the_rules_are_rows(session: Session) -> None:
    values = (
        {"table": "salesrabbit_lead", "emails": ["door@x.example"], "updated_at": NEW},
        {"table": "hubspot_contact", "emails": ["old@x.example"], "updated_at": OLD},
    )
    session.execute("UPDATE identity.survivorship SET rule = 'newest' WHERE field = 'email' AND position = 1")
    assert best(session, *values)["email"] == "door@x.example"
    session.execute("UPDATE identity.survivorship SET rule = 'trusted' WHERE field = 'email' AND position = 1")
    session.execute("INSERT INTO identity.source_trust VALUES ('salesrabbit_lead', 'email', 1)")
    persons.refresh(session)
    assert [row["email"] for row in session.execute("SELECT email FROM identity.person")] == ["door@x.example"]


def test_without_rules_the_first_record_decides(session: Session) -> None:
    session.execute("DELETE FROM identity.survivorship")
    found = best(session, {"emails": ["b@x.example"]}, {"emails": ["a@x.example"]})
    assert (found["email"], found["origins"]["email"]["rule"]) == ("b@x.example", "first")


def test_an_address_is_the_newest_and_whole(session: Session) -> None:
    found = best(
        session,
        {**OAK, "updated_at": OLD},
        {**ELM, "city": None, "updated_at": NEW},
        {"city": "spokane", "zip": "99201", "updated_at": day("2025-12-01")},
    )
    assert (found["street"], found["city"], found["zip"]) == ("9 elm ave", None, "98402")
    assert found["origins"]["address"]["rule"] == "newest"
    place = row_of(session, "property", "property_id", found["property_id"])
    assert (place["street"], place["unit"], place["zip"], place["state"]) == ("9 elm ave", "", "98402", "wa")


def test_two_persons_at_one_address_have_one_property(session: Session) -> None:
    one = person(session, record(session, "hubspot_contact", "1", **ANNA, **OAK))
    two = person(session, record(session, "hubspot_contact", "2", **OAK))
    persons.refresh(session, [one])
    persons.refresh(session, [two])
    assert row_of(session, "person", "person_id", one)["property_id"] is not None
    assert (
        row_of(session, "person", "person_id", one)["property_id"]
        == row_of(session, "person", "person_id", two)["property_id"]
    )


def test_a_phone_is_the_most_frequent_that_no_other_household_has(session: Session) -> None:
    shared, own = "+12065550101", "+12065550102"
    one = record(session, "hubspot_contact", "1", phones=[shared, own], **OAK)
    two = record(session, "genius_prospect", "2", phones=[shared], **OAK)
    anna = person(session, one, two)
    persons.refresh(session, [anna])
    assert row_of(session, "person", "person_id", anna)["phone"] == shared

    mate = person(session, record(session, "hubspot_contact", "3", phones=[shared], **OAK))
    persons.refresh(session, [mate])
    assert row_of(session, "person", "person_id", anna)["phone"] == shared

    key = record(session, "hubspot_contact", "4", phones=[shared], **ELM)
    stranger = person(session, key)
    persons.refresh(session, [stranger])
    found = row_of(session, "person", "person_id", anna)
    assert (found["phone"], found["phones"]) == (own, [own, shared])
    assert found["origins"]["phone"]["rule"] == "unshared"

    record(session, "hubspot_contact", "4", phones=[], **ELM)
    persons.refresh(session, [stranger])
    assert row_of(session, "person", "person_id", anna)["phone"] == shared


def test_a_phone_that_a_gone_person_had_is_one_s_own_again(session: Session) -> None:
    shared, own = "+12065550101", "+12065550102"
    records = [
        record(session, "hubspot_contact", "1", phones=[shared, own], **OAK),
        record(session, "hubspot_contact", "2", phones=[shared], **OAK),
    ]
    anna = person(session, *records)
    removed = person(session, record(session, "hubspot_contact", "3", phones=[shared], **ELM))
    persons.refresh(session)
    assert row_of(session, "person", "person_id", anna)["phone"] == own
    session.execute("DELETE FROM identity.person WHERE person_id = %s", [removed])
    assert persons.refresh(session, [], keys_before=[f"p:{shared}"]) == 1
    assert row_of(session, "person", "person_id", anna)["phone"] == shared


def test_a_number_of_very_many_persons_is_nobody_s(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons, "MOST_SHARING", 2)
    mass, own = "+12065550101", "+12065550102"
    anna = person(
        session,
        record(session, "hubspot_contact", "1", phones=[mass, own]),
        record(session, "hubspot_contact", "2", phones=[mass]),
    )
    others = [person(session, record(session, "hubspot_contact", str(key), phones=[mass])) for key in (3, 4)]
    persons.refresh(session, [anna, *others])
    assert row_of(session, "person", "person_id", anna)["phone"] == own


def test_a_deleted_record_gives_no_best_value(session: Session) -> None:
    found = best(
        session,
        {**ANNA, "emails": ["live@x.example"], "table": "salesrabbit_lead"},
        {**ANNA, **OAK, "emails": ["dead@x.example"], "phones": ["+12065550101"], "deleted": True},
    )
    assert (found["email"], found["phone"], found["street"]) == ("live@x.example", None, None)
    assert found["origins"]["email"]["rule"] == "live"
    assert (found["emails"], found["phones"]) == (["live@x.example", "dead@x.example"], ["+12065550101"])
    assert found["record_count"] == 2


def test_a_person_whose_records_are_all_deleted_keeps_values(session: Session) -> None:
    found = best(session, {**ANNA, **OAK, "emails": ["dead@x.example"], "deleted": True})
    assert (found["display_name"], found["email"], found["street"]) == ("Anna Lopez", "dead@x.example", "12 oak st")


def test_a_business_is_shown_by_its_name(session: Session) -> None:
    found = best(session, {"display_name": "Rivera & Sons", "business": "rivera sons"})
    assert (found["display_name"], found["business"], found["first_name"]) == ("Rivera & Sons", "Rivera & Sons", None)
    found = best(session, {**ANNA, "business": "acme roofing"})
    assert (found["display_name"], found["business"]) == ("Anna Lopez", "Acme Roofing")


def test_what_all_records_say_together(session: Session) -> None:
    found = best(
        session,
        {"table": "hubspot_owner", "kind": "staff", "created_at": OLD, "updated_at": NEW},
        {"table": "genius_user", "kind": "staff", "created_at": NEW},
    )
    assert (found["kind"], found["source_tables"]) == ("staff", ["genius_user", "hubspot_owner"])
    assert (found["first_seen_at"], found["last_seen_at"]) == (OLD, NEW)


def test_a_person_without_records_has_no_values(session: Session) -> None:
    one = record(session, "hubspot_contact", "1", **ANNA, **OAK)
    who = person(session, one)
    persons.refresh(session, [who])
    session.execute("DELETE FROM identity.member")
    persons.refresh(session, [who])
    found = row_of(session, "person", "person_id", who)
    assert (found["display_name"], found["property_id"], found["record_count"], found["origins"]) == (None, None, 0, {})


def test_only_rows_that_changed_are_written(database_url: str) -> None:
    with warehouse.connect(database_url) as session:
        one = person(session, record(session, "hubspot_contact", "1", **ANNA, **OAK, phones=["+12065550101"]))
        two = person(session, record(session, "hubspot_contact", "2", **OAK, emails=["b@x.example"], updated_at=NEW))
        assert persons.refresh(session) == 2
        before = session.execute("SELECT person_id, updated_at FROM identity.person ORDER BY 1").fetchall()
        assert persons.refresh(session) == persons.refresh(session, [one, two]) == 0
        assert session.execute("SELECT person_id, updated_at FROM identity.person ORDER BY 1").fetchall() == before
        record(session, "hubspot_contact", "2", **OAK, emails=["c@x.example"], updated_at=NEW)
        assert persons.refresh(session) == 1
        changed = row_of(session, "person", "person_id", two)
        assert changed["updated_at"] > max(row["updated_at"] for row in before)


def test_indexes_are_there_after_many_rows(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first load drops what it would fill row by row, and makes it again."""
    monkeypatch.setattr("warehouse_pipelines.unified.bulk.MANY", 1)
    listed = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'person' AND schemaname = 'identity' ORDER BY 1"
    )
    keys = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'identity.person'::regclass ORDER BY 1"
    before, held = session.execute(listed).fetchall(), session.execute(keys).fetchall()
    oids = "SELECT 'identity.person_phones'::regclass::oid AS oid"
    old = session.execute(oids).fetchone()
    assert best(session, ANNA)["display_name"] == "Anna Lopez"
    assert session.execute(listed).fetchall() == before
    assert session.execute(keys).fetchall() == held
    assert session.execute(oids).fetchone() != old


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_migration_adds_missing_rules_and_keeps_those_that_a_user_edited(database_url: str) -> None:
    with warehouse.connect(database_url) as session:
        session.execute("DELETE FROM identity.survivorship WHERE field = 'email' AND position > 1")
        session.execute("UPDATE identity.survivorship SET rule = 'newest' WHERE field = 'email'")
        session.execute("DELETE FROM identity.survivorship WHERE field = 'name'")
        session.execute("UPDATE identity.source_trust SET rank = 7 WHERE source_table = 'hubspot_contact'")
        assert migrate(database_url) == ["default rows of identity: 4"]
        rules = session.execute("SELECT rule FROM identity.survivorship WHERE field = 'email'").fetchall()
        assert rules == [{"rule": "newest"}]
        assert row_of(session, "source_trust", "source_table", "hubspot_contact")["rank"] == 7
    assert migrate(database_url) == []


def test_trust_is_declared_of_tables_that_are_there(session: Session) -> None:
    tables = {entity.table.removeprefix("public.") for source in SOURCES for entity in source.entities}
    trusted = {row["source_table"] for row in session.execute("SELECT source_table FROM identity.source_trust")}
    assert trusted <= tables | {ENTERED.table}
