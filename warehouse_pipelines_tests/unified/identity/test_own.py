"""Numbers and addresses of the business, of its staff, and of offices: they make no two people one."""

import random
from typing import Any

import pytest

from warehouse_pipelines.unified.identity import candidates, resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

PHONE, OTHER_PHONE, REPS_PHONE = "+12162230101", "+12162230102", "+12162230109"
REP = "rep@dealer.example"
pytestmark = pytest.mark.on_oldest("test_an_address_of_staff_joins_nobody_until_they_are_no_staff")


def contact(fed: FeedDatabase, number: int, **values: Any) -> None:
    fed.source("hubspot_contact", id=str(number), **{"firstname": "Ada", "lastname": f"Bell{number}", **values})


def people(fed: FeedDatabase) -> set[frozenset[str]]:
    """The customers: the keys of the records of each."""
    found = fed.all(
        "SELECT array_agg(m.source_key) AS keys FROM identity.member AS m JOIN identity.person AS p USING (person_id)"
        " WHERE p.kind = 'customer' GROUP BY person_id"
    )
    return {frozenset(row["keys"]) for row in found}


def reached_by(fed: FeedDatabase, key: str) -> tuple[list[str], list[str]]:
    row = fed.one(
        "SELECT p.phones, p.emails FROM identity.member AS m JOIN identity.person AS p USING (person_id)"
        " WHERE m.source_key = %s AND p.kind = 'customer'",
        [key],
    )
    return row["phones"], row["emails"]


def test_an_address_of_staff_joins_nobody_until_they_are_no_staff(fed: FeedDatabase) -> None:
    """Nor does it make a household, stand among the ways to reach a customer, or make a person of nobody."""
    fed.source("hubspot_owner", id="7", first_name="Rep", last_name="Stone", email="Rep@Dealer.example")
    contact(fed, 1, email=REP, phone_e164=PHONE)
    contact(fed, 2, firstname=None, lastname="Novak", email=f"{REP} real@example.com")
    contact(fed, 3, firstname=None, lastname="Bell1", email=REP)
    contact(fed, 4, firstname=None, lastname=None, email=REP)
    resolve.run(fed.session)
    assert people(fed) == {frozenset(key) for key in "123"}
    assert fed.all("SELECT FROM identity.edge") == []
    assert reached_by(fed, "1") == ([PHONE], [])
    assert reached_by(fed, "2") == ([], ["real@example.com"])
    fed.session.execute("DELETE FROM hubspot_owner")
    resolve.run(fed.session, full=True)
    assert any({"1", "3"} <= group for group in people(fed))
    assert reached_by(fed, "1") == ([PHONE], [REP])


def test_an_address_of_former_staff_may_be_written_to_and_is_no_evidence(fed: FeedDatabase) -> None:
    fed.source("genius_user", user_id=1, firstname="Rep", lastname="Stone", email=REP)
    contact(fed, 1, email=REP)
    contact(fed, 2, firstname=None, lastname="Bell1", email=REP)
    resolve.run(fed.session)
    assert reached_by(fed, "1") == ([], [])
    fed.source("genius_user", user_id=1, is_inactive=True)
    resolve.run(fed.session)
    assert reached_by(fed, "1") == ([], [REP])
    assert people(fed) == {frozenset("1"), frozenset("2")}
    resolve.run(fed.session, full=True)
    assert people(fed) == {frozenset("1"), frozenset("2")}


@pytest.mark.parametrize("address", ["info@dealer.example", "noemail12@x.example", "john@none.com"])
def test_an_address_of_an_office_or_of_nobody_joins_nobody(fed: FeedDatabase, address: str) -> None:
    home = {"address": "12 Maple Ave", "zip": "45402", "city": "Dayton"}
    contact(fed, 1, lastname="Bell", email=address, **home)
    contact(fed, 2, firstname=None, lastname="Bell", email=address, **home)
    contact(fed, 3, firstname=None, lastname=None, email=address, phone_e164=PHONE)
    resolve.run(fed.session)
    assert frozenset("1") in people(fed)
    assert not any(len(group) > 1 for group in people(fed))


def test_an_address_of_a_crowd_is_no_evidence_where_something_else_is_equal(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a plain address, which one person has, joins two records of that person."""
    monkeypatch.setattr(candidates, "CAP", 3)
    home = {"address": "12 Maple Ave", "zip": "45402", "city": "Dayton"}
    contact(fed, 1, lastname="Bell", email="all@dealer.example", **home)
    contact(fed, 2, firstname=None, lastname="Bell", email="all@dealer.example", **home)
    resolve.run(fed.session)
    assert people(fed) == {frozenset("12")}
    contact(fed, 3, email="all@dealer.example")
    contact(fed, 4, email="all@dealer.example one@example.com")
    contact(fed, 5, firstname="Adah", lastname="Bell4", email="one@example.com")
    resolve.run(fed.session)
    expected = {frozenset("1"), frozenset("2"), frozenset("3"), frozenset("45")}
    assert people(fed) == expected
    resolve.run(fed.session, full=True)
    assert people(fed) == expected
    contact(fed, 3, email=None)
    resolve.run(fed.session)
    assert any({"1", "2"} <= group for group in people(fed))


def test_a_number_is_a_customer_s_when_the_tracker_or_the_rep_has_left_it(fed: FeedDatabase) -> None:
    """Calls from it are the customer's then, too, and an opt-out lists it, that of a source and one by a link."""
    fed.source("callrail_tracker", id="t", tracking_number_e164=PHONE, status="active")
    fed.source("salesrabbit_user", id=1, first_name="Rep", last_name="Stone", phone_e164=REPS_PHONE, active=True)
    contact(fed, 1, phone_e164=PHONE, lead_is_dnc=True)
    contact(fed, 2, phone_e164=REPS_PHONE)
    for key, phone in (("a", PHONE), ("b", REPS_PHONE)):
        fed.source("callrail_call", id=key, customer_phone_number_e164=phone, start_time="2026-01-01")
    whose = "SELECT t.source_key, p.kind, p.last_name FROM identity.touch AS t LEFT JOIN identity.person AS p"
    whose += " USING (person_id) ORDER BY 1"
    resolve.run(fed.session)
    fed.feed()
    assert [reached_by(fed, key) for key in "12"] == [([], []), ([], [])]
    assert [tuple(row.values()) for row in fed.all(whose)] == [("a", None, None), ("b", "staff", "Stone")]
    assert not fed.listed(PHONE, "call")
    fed.source("callrail_tracker", id="t", status="disabled")
    fed.source("salesrabbit_user", id=1, active=False)
    resolve.run(fed.session)
    fed.feed()
    assert [reached_by(fed, key) for key in "12"] == [([PHONE], []), ([REPS_PHONE], [])]
    assert [tuple(row.values()) for row in fed.all(whose)] == [("a", "customer", "Bell1"), ("b", "customer", "Bell2")]
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute("SELECT crm.add_person_to_dnc_list(id, '{call}') FROM crm.leads WHERE last_name = 'Bell2'")
    assert fed.listed(PHONE, "call")
    assert fed.listed(REPS_PHONE, "call")
    assert resolve.run(fed.session).changed == 0


OUTCOME = (
    "SELECT source_table, source_key, kind, emails, phones, block_keys FROM identity.record ORDER BY 1, 2",
    "SELECT t.source_key, t.certainty, p.first_name, p.last_name FROM identity.touch AS t"
    " LEFT JOIN identity.person AS p USING (person_id) ORDER BY 1",
    "SELECT key FROM identity.crowded_key ORDER BY 1",
)


def test_deltas_of_staff_trackers_and_customers_end_as_a_run_of_everything(fed: FeedDatabase) -> None:
    chance = random.Random(5)  # noqa: S311
    phones = [PHONE, OTHER_PHONE, REPS_PHONE]
    addresses = [REP, "info@dealer.example", "ada@example.com", "re.p@gmail.com", "rep+1@gmail.com"]
    for _ in range(10):
        for _ in range(3):
            key = chance.randrange(3)
            match chance.randrange(4):
                case 0:
                    fed.source("callrail_tracker", id=str(key), tracking_number_e164=chance.choice(phones),
                               status=chance.choice(["active", "disabled"]))  # fmt: skip
                case 1:
                    fed.source("salesrabbit_user", id=key, first_name="Rep", phone_e164=chance.choice(phones),
                               email=chance.choice(addresses), active=chance.random() < 0.6)  # fmt: skip
                case 2:
                    contact(fed, key, lastname=chance.choice(["Bell", None]), firstname=chance.choice(["Ada", None]),
                            email=chance.choice(addresses), phone_e164=chance.choice(phones))  # fmt: skip
                case _:
                    fed.source("callrail_form_submission", id=str(key), customer_email=chance.choice(addresses),
                               customer_name=chance.choice(["Ada Bell", None]), submitted_at="2026-01-01",
                               customer_phone_number_e164=chance.choice(phones))  # fmt: skip
        resolve.run(fed.session)
        by_deltas = people(fed), [fed.all(query) for query in OUTCOME]
        with fed.session.transaction(force_rollback=True):
            resolve.run(fed.session, full=True)
            assert (people(fed), [fed.all(query) for query in OUTCOME]) == by_deltas
