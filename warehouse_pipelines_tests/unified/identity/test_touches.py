"""Touches: whose number it was at that time, how certain that is, and why."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import households, persons, touches
from warehouse_pipelines_tests.harness.identity_rows import ANNA, ELM, OAK, Session, day, person, record, row_of

PHONE, OTHER = "+12065550101", "+12065550102"
BEN = {"first_name": "ben", "last_name": "lopez", "display_name": "Ben Lopez"}
CARL = {"first_name": "carl", "last_name": "meyer", "display_name": "Carl Meyer"}
EARLY, LATE = {"created_at": day("2019-01-01"), "updated_at": day("2020-01-01")}, {"created_at": day("2023-01-01")}


@pytest.fixture
def session(shared_url: str) -> Iterator[Session]:
    with warehouse.connect(shared_url) as connection, connection.transaction(force_rollback=True):
        yield connection


def customer(session: Session, key: str, **values: Any) -> UUID:
    return person(session, record(session, "hubspot_contact", key, **({"phones": [PHONE]} | values)))


def call(session: Session, key: str = "1", at: str | None = "2024-01-01", **values: Any) -> int:
    given = {"phones": [PHONE], "created_at": day(at) if at else None} | values
    return record(session, "callrail_call", key, kind="touch", **given)


def run(session: Session, *record_ids: int) -> None:
    """Everything for the records, or all."""
    if record_ids:
        who = session.execute("SELECT person_id FROM identity.member WHERE record_id = ANY (%s)", [list(record_ids)])
        persons.refresh(session, [row["person_id"] for row in who])
        households.refresh(session, record_ids)
        touches.refresh(session, record_ids)
    else:
        persons.refresh(session)
        households.refresh(session)
        touches.refresh(session)


def touch(session: Session, record_id: int) -> Mapping[str, Any]:
    return row_of(session, "touch", "record_id", record_id)


def test_the_only_person_with_the_number_certainly_called(session: Session) -> None:
    anna, called = customer(session, "1", **ANNA), call(session)
    run(session)
    found = touch(session, called)
    assert (found["person_id"], found["household_id"], found["certainty"]) == (anna, None, "certain")
    assert (found["rule"], found["reason"]) == ("phone_e164", "One person has this number.")
    assert found["touched_at"] == day("2024-01-01")
    evidence = session.execute("SELECT rule, a_table, b_table FROM identity.match_evidence").fetchall()
    assert evidence == [{"rule": "phone_e164", "a_table": "callrail_call", "b_table": "hubspot_contact"}]


def test_a_couple_s_number_is_the_household_s_or_hers_who_gives_her_name(session: Session) -> None:
    anna, ben = customer(session, "1", **ANNA, **OAK), customer(session, "2", **BEN, **OAK)
    called, named, initial = call(session), call(session, "2", first_name="anna"), call(session, "3", first_name="b")
    stranger = call(session, "4", first_name="zoe")
    both = call(session, "5", last_name="lopez")
    run(session)
    home = row_of(session, "person", "person_id", anna)["household_id"]
    for one in (called, stranger, both):
        found = touch(session, one)
        assert (found["person_id"], found["household_id"], found["certainty"]) == (None, home, "household")
    assert touch(session, called)["reason"] == "2 people of one household have this number."
    for one, who in ((named, anna), (initial, ben)):
        found = touch(session, one)
        assert (found["person_id"], found["household_id"], found["certainty"]) == (who, home, "likely")


@pytest.mark.parametrize(
    ("at", "whose", "certainty", "reason"),
    [
        ("2019-06-01", "anna", "certain", "one had it at that time"),
        ("2018-12-20", "anna", "certain", "one had it at that time"),
        ("2018-01-01", "anna", "likely", "none had it yet; one was the first"),
        ("2021-06-01", "anna", "likely", "one had it last before that time"),
        ("2022-12-15", "carl", "certain", "one had it at that time"),
        ("2025-01-01", "carl", "likely", "one had it last before that time"),
        (None, None, "unknown", "the time of the contact is not known"),
    ],
)
@pytest.mark.every_case
def test_a_reused_number_is_whose_it_was_at_that_time(
    session: Session, at: str | None, whose: str | None, certainty: str, reason: str
) -> None:
    who = {
        "anna": customer(session, "1", **ANNA, **OAK, **EARLY),
        "carl": customer(session, "2", **CARL, **ELM, **LATE),
        None: None,
    }
    called = call(session, at=at)
    run(session)
    found = touch(session, called)
    assert (found["person_id"], found["certainty"]) == (who[whose], certainty)
    assert reason in found["reason"]


def test_two_households_at_one_time_are_not_guessed(session: Session) -> None:
    customer(session, "1", **ANNA, **OAK, created_at=day("2019-01-01"), updated_at=day("2025-01-01"))
    carl = customer(session, "2", **CARL, **ELM, created_at=day("2023-01-01"), updated_at=day("2025-01-01"))
    called, named = call(session), call(session, "2", first_name="carl", last_name="meyer")
    run(session)
    found = touch(session, called)
    assert (found["person_id"], found["household_id"], found["certainty"]) == (None, None, "unknown")
    assert found["reason"] == "2 households have had this number, and not one of them alone at that time."
    assert (touch(session, named)["person_id"], touch(session, named)["certainty"]) == (carl, "likely")


def test_an_email_address_tells_before_a_phone(session: Session) -> None:
    customer(session, "1", **ANNA)
    carl = customer(session, "2", **CARL, phones=[], emails=["carl@x.example"])
    form = call(session, emails=["carl@x.example"])
    run(session)
    found = touch(session, form)
    assert (found["person_id"], found["certainty"], found["rule"]) == (carl, "certain", "email")


def test_who_is_unknown_and_why(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touches, "MOST_SHARING", 2)
    for key in range(3):
        customer(session, str(key), phones=["+12065550199"], **OAK)
    mass, nobody, silent = (
        call(session, "1", phones=["+12065550199"]), call(session, "2"), call(session, "3", phones=[]),
    )  # fmt: skip
    run(session)
    found = [touch(session, one) for one in (mass, nobody, silent)]
    assert {(one["certainty"], one["rule"], one["person_id"]) for one in found} == {("unknown", "none", None)}
    assert [one["reason"] for one in found] == [
        "More than 2 people have this number.",
        "Nobody is known with this number or e-mail address.",
        "It has no number and no e-mail address.",
    ]


def test_a_customer_goes_before_staff(session: Session) -> None:
    rep = person(session, record(session, "salesrabbit_user", "1", kind="staff", phones=[PHONE]), kind="staff")
    called = call(session)
    run(session)
    assert touch(session, called)["person_id"] == rep
    anna = record(session, "hubspot_contact", "1", **ANNA, phones=[PHONE])
    who = person(session, anna)
    run(session, anna)
    assert touch(session, called)["person_id"] == who


def test_a_deleted_record_still_tells_whose_number_it_was(session: Session) -> None:
    anna, called = customer(session, "1", **ANNA, deleted=True), call(session)
    run(session)
    assert touch(session, called)["person_id"] == anna


def test_a_touch_moves_when_its_number_does(session: Session) -> None:
    anna = customer(session, "1", **ANNA, **OAK)
    called = call(session)
    run(session)
    assert touch(session, called)["person_id"] == anna
    first = record(session, "hubspot_contact", "1", **ANNA, **OAK, phones=[])
    run(session, first)
    assert touch(session, called)["certainty"] == "unknown"
    later = record(session, "hubspot_contact", "2", **CARL, phones=[PHONE])
    carl = person(session, later)
    run(session, later)
    assert touch(session, called)["person_id"] == carl


def test_a_touch_whose_person_is_gone_is_attached_again(session: Session) -> None:
    anna = customer(session, "1", **ANNA)
    called = call(session)
    run(session)
    session.execute("DELETE FROM identity.person WHERE person_id = %s", [anna])
    touches.refresh(session, [])
    assert (touch(session, called)["person_id"], touch(session, called)["certainty"]) == (None, "unknown")


def test_an_uncertain_touch_is_looked_at_again_by_the_keys_that_a_record_had(session: Session) -> None:
    customer(session, "1", **ANNA, **OAK, **LATE)
    removed = customer(session, "2", **CARL, **ELM, **LATE)
    called = call(session, at="2023-01-01")
    run(session)
    assert touch(session, called)["certainty"] == "unknown"
    session.execute("DELETE FROM identity.person WHERE person_id = %s", [removed])
    session.execute("UPDATE identity.person SET updated_at = '2020-01-01'")
    touches.refresh(session, [], keys_before=[f"p:{PHONE}"])
    assert touch(session, called)["certainty"] == "certain"


def edit(session: Session, key: str, updated_at: str) -> None:
    """What a run does after the time of a record, and nothing else of it, changed."""
    session.execute("UPDATE identity.person SET updated_at = '2020-01-01'")
    found = session.execute(
        "UPDATE identity.record SET updated_at = %s WHERE source_table = 'hubspot_contact' AND source_key = %s"
        " RETURNING record_id",
        [day(updated_at), key],
    ).fetchone()
    assert found
    edited = [found["record_id"]]
    held = touches.held(session, edited, [])
    who = session.execute("SELECT person_id FROM identity.member WHERE record_id = ANY (%s)", [edited])
    persons.refresh(session, [row["person_id"] for row in who])
    households.refresh(session, edited)
    touches.refresh(session, edited, held_before=held)


@pytest.mark.parametrize("phones", [[PHONE], [PHONE, OTHER]], ids=["one phone", "two phones"])
def test_an_edit_decides_again_whose_a_number_of_two_households_was(session: Session, phones: list[str]) -> None:
    anna = customer(session, "1", **ANNA, **OAK, **EARLY)
    customer(session, "2", **CARL, **ELM, **LATE, phones=phones[-1:])
    called = call(session, at="2021-06-01", phones=phones)
    run(session)
    assert (touch(session, called)["person_id"], touch(session, called)["certainty"]) == (anna, "likely")
    edit(session, "1", "2022-01-01")
    assert (touch(session, called)["person_id"], touch(session, called)["certainty"]) == (anna, "certain")


@pytest.mark.parametrize("lives_with_ben", [False, True])
def test_an_edit_in_the_only_household_with_a_number_looks_at_no_call(session: Session, lives_with_ben: bool) -> None:
    customer(session, "1", **ANNA, **OAK)
    if lives_with_ben:
        customer(session, "2", **BEN, **OAK)
    called = call(session)
    run(session)
    session.execute("UPDATE identity.touch SET reason = 'not looked at'")
    edit(session, "1", "2025-01-01")
    assert touch(session, called)["reason"] == "not looked at"


def test_an_edit_that_moves_somebody_home_looks_at_the_calls(session: Session) -> None:
    at_oak = record(session, "hubspot_contact", "1", **ANNA, **OAK, **EARLY, phones=[PHONE])
    at_elm = record(session, "hubspot_contact", "2", **ANNA, **ELM, updated_at=day("2019-06-01"), phones=[PHONE])
    ben = [record(session, "hubspot_contact", key, **BEN, **ELM, phones=[OTHER]) for key in ("3", "4", "5")]
    anna, home = person(session, at_oak, at_elm), person(session, *ben)
    called = call(session)
    run(session)
    assert touch(session, called)["household_id"] != row_of(session, "person", "person_id", home)["household_id"]
    edit(session, "2", "2025-01-01")
    found = touch(session, called)
    assert found["person_id"] == anna
    assert found["household_id"] == row_of(session, "person", "person_id", home)["household_id"]
    assert touches.refresh(session) == 0


def test_a_record_that_got_a_name_is_no_touch_any_more(session: Session) -> None:
    called = call(session)
    run(session)
    record(session, "callrail_call", "1", kind="customer", **ANNA, phones=[PHONE])
    touches.refresh(session, [called])
    assert session.execute("SELECT FROM identity.touch").fetchall() == []


def test_only_rows_that_changed_are_written(session: Session) -> None:
    customer(session, "1", **ANNA)
    called = call(session)
    run(session)
    assert touches.refresh(session) == touches.refresh(session, [called]) == 0
