"""``marts.duplicates``: who stands in one table twice, and what that cost."""

from decimal import Decimal
from uuid import UUID

from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.marts.answer_rows import CONTACTS
from warehouse_pipelines.unified.marts.rows import BY_NAME
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase, Name, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows


def twice(fed: FeedDatabase) -> dict[tuple[UUID, str], Row]:
    marts.run(fed.session, ["duplicates"])
    return {(row["person_id"], row["source_table"]): row for row in rows(fed.session, "duplicates")}


def contact(fed: FeedDatabase, key: str, cost: object = None, made: str = "2026-01-01") -> Name:
    return fed.source("hubspot_contact", id=key, lead_cost=cost, createdate=made)


def made_at(fed: FeedDatabase, **when: str) -> None:
    for key, at in when.items():
        fed.session.execute(
            "UPDATE identity.record SET created_at = %s WHERE source_key = %s", [at, key.removeprefix("k")]
        )


def test_the_records_after_the_first_are_too_many(fed: FeedDatabase) -> None:
    """The first costs what it has to; the key decides where the time does not."""
    ada = fed.person(contact(fed, "10", "5.25"), contact(fed, "9", "7.50"), contact(fed, "11", "1.01"))
    fed.person(contact(fed, "12", "100"))
    made_at(fed, k10="2026-01-01", k9="2026-02-01", k11="2026-02-01")
    row = twice(fed)[ada, "hubspot_contact"]
    assert (row["records"], row["surplus"], row["source_keys"]) == (3, 2, ["10", "9", "11"])
    assert row["surplus_cost"] == Decimal("8.51")
    assert len(twice(fed)) == 1


def test_one_record_in_each_of_several_crms_is_no_duplicate(fed: FeedDatabase) -> None:
    fed.person(contact(fed, "1"), fed.source("genius_lead", lead_id=1), fed.source("genius_prospect", prospect_id=1),
               fed.source("marketsharp_contact", id="a"), fed.source("marketsharp_lead", id="a"))  # fmt: skip
    assert twice(fed) == {}


def test_two_visits_are_no_duplicate_of_a_person(fed: FeedDatabase) -> None:
    fed.person(*(fed.source("genius_appointment", appointment_id=n) for n in (1, 2)))
    assert twice(fed) == {}


def test_a_deleted_record_is_not_there(fed: FeedDatabase) -> None:
    ada = fed.person(contact(fed, "1"), contact(fed, "2"))
    assert set(twice(fed)) == {(ada, "hubspot_contact")}
    fed.record(("hubspot_contact", "2"), ada, deleted=True)
    assert twice(fed) == {}
    assert_as_from_nothing(fed.session, ["duplicates"])


def test_a_lead_that_was_bought_twice_costs_what_leadconduit_says(fed: FeedDatabase) -> None:
    for key in ("a", "b"):
        for step, cost in enumerate(("1.25", "0.50")):
            fed.source("leadconduit_event", id=f"{key}{step}", lead_id=f"lead {key}", cost=cost, purchase_price="2")
    leads = [fed.source("leadconduit_lead", lead_id=f"lead {key}") for key in ("a", "b")]
    ada = fed.person(*leads)
    assert twice(fed)[ada, "leadconduit_lead"]["surplus_cost"] == Decimal("5.75")


def test_people_who_are_joined_later_and_parted_again(fed: FeedDatabase) -> None:
    one, two = contact(fed, "1", 3), contact(fed, "2", 4)
    ada, ida = fed.person(one, first_name="Ada"), fed.person(two, first_name="Ada")
    assert twice(fed) == {}
    fed.join(ada, ida)
    assert set(twice(fed)) == {(ada, "hubspot_contact")}
    fed.part(ida, two)
    assert twice(fed) == {}
    assert_as_from_nothing(fed.session, ["duplicates"])


def test_the_tables_hold_customers() -> None:
    assert {BY_TABLE[table].kind for table in CONTACTS} == {"customer"}
    assert all(f"'{table}'" in BY_NAME["duplicates"].select for table in CONTACTS)
