"""What several sources say of one sale, and words that nobody mapped."""

import logging

import psycopg
import pytest

from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

JAN, FEB, MAR = "2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z", "2026-03-10T00:00:00Z"

SAID = {
    "the most advanced of the open ones": (("Appointment Set", JAN), ("Working", MAR), "appointment_set"),
    "won whatever came later": (("Sold", JAN), ("Dead", MAR), "won"),
    "lost when that came last": (("Appointment Set", JAN), ("Dead", MAR), "lost"),
    "open again when somebody went on": (("Appointment Set", MAR), ("Dead", JAN), "appointment_set"),
    "lost although a new form came": (("Not Interested", JAN), ("New", MAR), "lost"),
}
"""By why: what SalesRabbit says and since when, what Five9 does, and what stands."""


def tell(fed: FeedDatabase, number: int = 1, **said: tuple[str, str]) -> list[tuple[str, str]]:
    names = []
    if "rabbit" in said:
        word, at = said["rabbit"]
        names.append(fed.source("salesrabbit_lead", id=number, status=word, status_modified=at))
    if "five9" in said:
        word, at = said["five9"]
        names.append(fed.source("five9_contact", id=str(number), status=word, last_modified_date=at))
    return names


def test_which_of_several_statuses_stands(fed: FeedDatabase) -> None:
    people = [
        fed.person(*tell(fed, number, rabbit=rabbit, five9=five9))
        for number, (rabbit, five9, _) in enumerate(SAID.values())
    ]
    fed.feed()
    stands = {why: fed.lead(person)["status"] for why, person in zip(SAID, people, strict=True)}
    assert stands == {why: status for why, (_, _, status) in SAID.items()}


def test_a_sale_that_was_called_off_is_lost(fed: FeedDatabase) -> None:
    """A contract that Genius cancelled ends the sale that others told of, unless another contract stands."""
    fed.source("genius_job_status", id=4, label="Finished")
    fed.source("genius_job_status", id=5, label="Cancelled")
    prospect = fed.source("genius_prospect", prospect_id=9)
    fed.source("genius_job", id=1, prospect_id=9, status=5, contract_amount=8000, modified=MAR)
    person = fed.person(*tell(fed, rabbit=("Sold", JAN)), prospect)
    fed.feed()
    assert (fed.lead(person)["status"], fed.lead(person)["value_usd"]) == ("lost", None)
    fed.source("genius_job", id=2, prospect_id=9, status=4, contract_amount=5000, modified=FEB)
    fed.feed()
    assert (fed.lead(person)["status"], fed.lead(person)["value_usd"]) == ("won", 5000)


def test_a_sale_that_one_crm_calls_off_is_none_in_the_others_whichever_told_later(fed: FeedDatabase) -> None:
    """As in ``marts.sale``: the deal of the spouse too. What was sold long after that is another sale."""
    home = fed.one("INSERT INTO identity.household DEFAULT VALUES RETURNING household_id")["household_id"]
    fed.source("hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
    fed.source("hubspot_deal", id="d", dealstage="won", closedate=MAR, hs_lastmodifieddate=MAR, amount=1000)
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    contact = fed.source("hubspot_contact", id="1", lifecyclestage="customer", lastmodifieddate=MAR)
    ada = fed.person(contact, household_id=home)
    job = {"id": 1, "prospect_id": 9, "contract_date": "2026-02-08", "contract_amount": 1000}
    fed.source("genius_job", **job, modified=FEB)
    ben = fed.person(fed.source("genius_prospect", prospect_id=9), *tell(fed, rabbit=("Sold", JAN)), household_id=home)

    def stand() -> list[tuple[str, int | None]]:
        fed.feed()
        fed.settle()
        return [(lead["status"], lead["value_usd"]) for lead in (fed.lead(ada), fed.lead(ben))]

    assert stand() == [("won", 1000), ("won", 1000)]
    fed.source("genius_job", **job, modified=FEB, cancel_date="2026-02-10")
    assert stand() == [("new", None), ("lost", None)]
    tell(fed, rabbit=("Sold", "2026-09-01T00:00:00Z"))
    assert stand() == [("new", None), ("won", None)]
    assert fed.feed(full=True).counts["updated"] == 0
    fed.source("genius_job", **job, modified=FEB, cancel_date=None)
    assert stand() == [("won", 1000), ("won", 1000)]


def test_a_deal_of_two_contacts_of_one_person_is_counted_once(fed: FeedDatabase) -> None:
    contacts = [fed.source("hubspot_contact", id=key) for key in ("1", "2")]
    fed.source("hubspot_deal", id="d", dealstage="closedwon", amount=5600, hs_lastmodifieddate=FEB)
    for key in ("1", "2"):
        fed.source("hubspot_contact_to_deal_association", contact_id=key, deal_id="d", association_type_id=3)
    person = fed.person(*contacts)
    fed.feed()
    assert fed.lead(person)["value_usd"] == 5600


def test_the_value_of_a_deal_that_was_edited_later_goes_before_one_that_a_user_entered(fed: FeedDatabase) -> None:
    contact = fed.source("hubspot_contact", id="1")
    fed.source("hubspot_deal", id="d", dealstage="closedwon", amount=100, hs_lastmodifieddate=JAN)
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    person = fed.person(contact)
    fed.feed()
    fed.edit(fed.lead(person)["id"], value_usd=777)
    fed.source("hubspot_deal", id="d", dealstage="closedwon", amount=200, hs_lastmodifieddate="2999-01-01T00:00:00Z")
    fed.feed()
    assert fed.lead(person)["value_usd"] == 200


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_job_that_was_cancelled_after_a_deal_was_won_ends_it_whenever_it_was_sold(fed: FeedDatabase) -> None:
    contact = fed.source("hubspot_contact", id="1")
    fed.source("hubspot_deal", id="d", dealstage="closedwon", amount=100, closedate=FEB)
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    fed.source("marketsharp_job", id="j", contact_id="m", status="Cancelled", sale_date=JAN, last_update=MAR)
    person = fed.person(contact, fed.source("marketsharp_contact", id="m"))
    fed.feed()
    assert fed.lead(person)["status"] == "lost"


def test_a_deal_in_another_currency_is_worth_what_it_is_in_dollars(fed: FeedDatabase) -> None:
    """As HubSpot converts it, else by our rate of the day, else it is not known; a rate that comes later counts."""
    people = []
    for key, currency, home in (("1", "usd", None), ("2", "EUR", 110), ("3", "CAD", None), ("4", None, None)):
        people.append(fed.person(fed.source("hubspot_contact", id=key)))
        fed.source("hubspot_deal", id=key, dealstage="closedwon", amount=100, deal_currency_code=currency,
                   amount_in_home_currency=home, closedate=FEB)  # fmt: skip
        fed.source("hubspot_contact_to_deal_association", contact_id=key, deal_id=key, association_type_id=3)
    fed.feed()
    assert [fed.lead(person)["value_usd"] for person in people] == [100, 110, None, 100]
    fed.session.execute(
        "INSERT INTO crm.fx_rate (currency, since, rate_to_usd) VALUES ('CAD', '2026-01-01', 0.75),"
        " ('CAD', '2026-03-01', 0.5), ('EUR', '2026-01-01', 2)"
    )
    fed.feed()
    assert [fed.lead(person)["value_usd"] for person in people] == [100, 110, 75, 100]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_sale_that_three_crms_tell_of_is_counted_once(fed: FeedDatabase) -> None:
    fed.source("genius_job_status", id=4, label="Finished")
    prospect = fed.source("genius_prospect", prospect_id=9)
    for job, amount in ((1, 5000), (2, 700)):
        fed.source("genius_job", id=job, prospect_id=9, status=4, contract_amount=amount, modified=FEB)
    contact = fed.source("hubspot_contact", id="1")
    fed.source("hubspot_deal", id="d", dealstage="closedwon", amount=5600, hs_lastmodifieddate=FEB)
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    estimate = fed.source("salespro_estimate", estimate_id="e", is_sale=True, sale_amount=5500)
    person = fed.person(prospect, contact, estimate)
    fed.feed()
    assert fed.lead(person)["value_usd"] == 5700


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_what_a_vendor_says_is_taken_though_a_user_could_not_do_it(fed: FeedDatabase) -> None:
    person = fed.person(*tell(fed, rabbit=("Not Home", JAN)))
    fed.feed()
    lead = fed.lead(person)["id"]
    with pytest.raises(psycopg.errors.CheckViolation):
        fed.edit(lead, status="won")
    fed.source("salesrabbit_lead", id=1, status="Sold", status_modified=FEB)
    fed.feed()
    history = fed.all("SELECT * FROM crm.lead_status_history WHERE lead_id = %s ORDER BY created_at", lead)
    assert [(row["from_status"], row["to_status"], row["triggered_by"]) for row in history] == [
        (None, "contacted", "import"), ("contacted", "won", "import"),
    ]  # fmt: skip


def test_a_tenant_cannot_say_that_it_is_the_feed(fed: FeedDatabase) -> None:
    """The login decides, and not the setting: a member of an organization is refused."""
    person = fed.person(*tell(fed, rabbit=("Not Home", JAN)))
    fed.feed()
    lead = fed.lead(person)["id"]
    fed.session.execute("CREATE ROLE feed_tenant LOGIN PASSWORD 'x' IN ROLE crm_app")
    fed.session.execute(
        "INSERT INTO crm.organization_member (login, organization_id, user_id) VALUES ('feed_tenant', %s, %s)",
        [ORGANIZATION, "00000000-0000-0000-0000-0000000000a1"],
    )
    try:
        url = psycopg.conninfo.make_conninfo(fed.url, user="feed_tenant", password="x")
        with psycopg.connect(url) as tenant:
            tenant.execute(
                "SELECT set_config('app.organization_id', %s, true), set_config('app.triggered_by', 'import', true)",
                [ORGANIZATION],
            )
            assert tenant.execute("SELECT count(*) FROM crm.lead_feed").fetchone() == (1,)
            assert tenant.execute("SELECT count(*) FROM crm.source_status").fetchone() == (0,)
            with pytest.raises(psycopg.errors.CheckViolation):
                tenant.execute("UPDATE crm.leads SET status = 'won' WHERE id = %s", [lead])
    finally:
        fed.session.execute("DELETE FROM crm.organization_member WHERE login = 'feed_tenant'")
        fed.session.execute("DROP OWNED BY feed_tenant")
        fed.session.execute("DROP ROLE feed_tenant")


def test_an_unmapped_word_is_loaded_safely_listed_and_warned_about(
    fed: FeedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    person = fed.person(*tell(fed, rabbit=("Ghosted", JAN)))
    with caplog.at_level(logging.WARNING, "warehouse"):
        summary = fed.feed()
    assert fed.lead(person)["status"] == "new"
    assert summary.unmapped == {"salesrabbit.status": 1}
    assert "does not know 1 status words of salesrabbit.status" in caplog.text
    assert "ghosted" not in caplog.text.lower(), "a status may be free text of a rep's"
    listed = fed.one("SELECT * FROM marts.unmapped_status")
    assert (listed["source_status"], listed["loaded_as"], listed["records"]) == ("ghosted", "new", 1)
    fed.session.execute(
        "INSERT INTO crm.status_mapping (source, source_status, status)"
        " VALUES ('salesrabbit.status', 'ghosted', 'nurturing')"
    )
    summary = fed.feed()
    assert (summary.full, summary.unmapped, fed.lead(person)["status"]) == (True, {}, "nurturing")


@pytest.mark.parametrize(
    ("closed", "chance", "status"),
    [(True, 1, "won"), (True, 0, "lost"), (False, 0.9, "proposal"), (False, 0.3, "qualified")],
)
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_an_own_stage_of_deals_is_loaded_by_its_probability(
    fed: FeedDatabase, closed: bool, chance: float, status: str
) -> None:
    fed.source("hubspot_pipeline_stage", id="13000", is_closed=closed, probability=chance, label="Our own")
    fed.source("hubspot_deal", id="d", dealstage="13000", hs_lastmodifieddate=FEB)
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    person = fed.person(fed.source("hubspot_contact", id="1"))
    fed.feed()
    assert fed.lead(person)["status"] == status
