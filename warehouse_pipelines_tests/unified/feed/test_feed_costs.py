"""``feed.costs``: the marketing sheet into ``crm.lead_source_costs``."""

from decimal import Decimal
from typing import Any

import pytest

from warehouse_pipelines_tests.harness.feed_database import FeedDatabase


def spend(fed: FeedDatabase, number: int, **values: Any) -> None:
    fed.source("gsheet_marketing_spend", id=number, **{"date": "2026-01-05", "channel": "Google Ads", **values})


def costs(fed: FeedDatabase) -> list[tuple[Any, ...]]:
    rows = fed.all("SELECT * FROM crm.lead_source_costs ORDER BY source, month, currency")
    return [(row["source"], str(row["month"]), row["currency"], row["amount"], row["amount_usd"]) for row in rows]


def test_costs_are_summed_by_source_and_month(fed: FeedDatabase) -> None:
    spend(fed, 1, amount=100)
    spend(fed, 2, amount=50.5, event_fee=10, date="2026-01-31", channel="google ads ")
    spend(fed, 3, amount=7, date="2026-02-01")
    fed.feed()
    wanted = [("google ads", "2026-01-01", "USD", 160.5, 160.5), ("google ads", "2026-02-01", "USD", 7, 7)]
    assert costs(fed) == wanted
    fed.feed()
    assert costs(fed) == wanted
    spend(fed, 3, amount=7, date="2026-02-01", archived=True)
    fed.feed()
    assert costs(fed) == wanted[:1]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_foreign_money_needs_a_rate(fed: FeedDatabase) -> None:
    spend(fed, 1, amount=100, raw_data={"amount": 100, "currency": "eur"})
    spend(fed, 2, raw_data={"amount": "£1,250.50"})
    spend(fed, 3, raw_data={"amount": "a lot"})
    spend(fed, 4, amount=5, channel=None)
    summary = fed.feed()
    assert (summary.counts["refused_costs"], costs(fed)) == (4, [])
    reasons = {row["source_key"]: row["reason"] for row in fed.all("SELECT * FROM marts.refused_costs")}
    assert reasons["1"] == reasons["2"] == "no rate of this currency in crm.fx_rate"
    assert (reasons["3"], reasons["4"]) == ("the amount cannot be read", "the row names no channel")
    fed.session.execute("INSERT INTO crm.fx_rate VALUES ('EUR', '2025-12-01', 1.1), ('GBP', '2026-02-01', 1.3)")
    fed.feed()
    assert costs(fed) == [("google ads", "2026-01-01", "EUR", 100, 110)]
    fed.session.execute("INSERT INTO crm.fx_rate VALUES ('GBP', '2026-01-01', 1.2)")
    assert fed.feed().counts["refused_costs"] == 2
    assert costs(fed)[1] == ("google ads", "2026-01-01", "GBP", Decimal("1250.50"), Decimal("1500.60"))


def test_an_amount_that_may_mean_two_is_for_a_person_to_read(fed: FeedDatabase) -> None:
    """A thousand times too much or too little would change what each sale is said to cost, and nobody would see it."""
    unclear = ("1.234,56 €", "12.000 €", "2 x 500", "$500 + $250", "5k", "1,2,3", "12,00", "-", "(500)")
    clear = {"$1,250.50": 1250.5, "300": 300, "USD 40": 40, "7.5 USD": 7.5}
    for number, written in enumerate((*unclear, *clear)):
        spend(fed, number, raw_data={"amount": written})
    fed.feed()
    reasons = {row["source_key"]: row["reason"] for row in fed.all("SELECT * FROM marts.refused_costs")}
    assert reasons == {str(number): "the amount cannot be read" for number in range(len(unclear))}
    assert [float(row[3]) for row in costs(fed)] == [sum(clear.values())]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_an_amount_that_was_entered_by_hand_stays(fed: FeedDatabase) -> None:
    """Until the sheet's own sum changes; a row that the feed never wrote is never touched."""
    spend(fed, 1, amount=100)
    spend(fed, 2, amount=30, channel="Radio")
    fed.session.execute(
        "INSERT INTO crm.lead_source_costs (organization_id, source, month, amount)"
        " VALUES ('00000000-0000-0000-0000-000000000001', 'radio', '2026-01-01', 1)"
    )
    fed.feed()
    fed.session.execute("UPDATE crm.lead_source_costs SET amount = 120 WHERE source = 'google ads'")
    fed.feed()
    assert [row[3] for row in costs(fed)] == [120, 1]
    spend(fed, 1, amount=101)
    fed.feed()
    assert [row[3] for row in costs(fed)] == [101, 1]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_costs_and_leads_meet_under_one_name(fed: FeedDatabase) -> None:
    """However the sheet, CallRail and HubSpot write it; what nobody mapped stays as it is, and is listed."""
    spend(fed, 1, amount=100, channel="Google Ads")
    spend(fed, 2, amount=20, channel="google-paid")
    spend(fed, 3, amount=7, channel=" Blimp  Ads")
    people = [
        fed.person(fed.source("callrail_form_submission", id="f1", source="google_paid"), first_name="Ann"),
        fed.person(fed.source("hubspot_contact", id="1", hge_primary_source="Google AdWords"), first_name="Bob"),
        fed.person(fed.source("hubspot_contact", id="2", hs_analytics_source="ORGANIC_SEARCH"), first_name="Cid"),
        fed.person(fed.source("hubspot_contact", id="3", hge_primary_source="Blimp  Ads "), first_name="Dan"),
    ]
    fed.feed()
    assert [fed.lead(person)["source"] for person in people] == [
        "google ads", "google ads", "organic search", "blimp  ads",
    ]  # fmt: skip
    assert [(row[0], row[3]) for row in costs(fed)] == [("blimp  ads", 7), ("google ads", 120)]
    unmapped = fed.all("SELECT * FROM marts.unmapped_lead_source")
    assert unmapped == [{"source": "blimp  ads", "leads": 1, "costs": 1}]
    fed.session.execute("INSERT INTO crm.lead_source_alias VALUES ('blimp ads', 'blimp')")
    fed.feed()
    assert fed.lead(people[3])["source"] == "blimp"
    assert [(row[0], row[3]) for row in costs(fed)] == [("blimp", 7), ("google ads", 120)]
    assert fed.all("SELECT * FROM marts.unmapped_lead_source") == []


def test_an_event_may_have_cost_its_fee_and_labor_alone(fed: FeedDatabase) -> None:
    spend(fed, 1, raw_data={"amount": " "}, event_fee=2500, event_labor_cost=800)
    spend(fed, 2, event_labor_cost=40)
    spend(fed, 3, raw_data={"amount": "a lot"}, event_fee=1)
    spend(fed, 4)
    assert fed.feed().counts["refused_costs"] == 2
    assert [row[3] for row in costs(fed)] == [3340]


def test_leads_and_costs_of_a_source_are_of_the_same_month(fed: FeedDatabase) -> None:
    """Of that where the business is: late on 31 March it is April in UTC."""
    late = fed.source("hubspot_contact", id="1", createdate="2026-04-01T03:30:00Z", hge_primary_source="Google Ads")
    fed.person(late, first_name="Ann")
    spend(fed, 1, amount=100, date="2026-03-31")
    fed.feed()
    asked = "SELECT source, spend_usd, leads FROM crm.source_roi(%s, %s)"
    assert fed.all(asked, "2026-03-01", "2026-03-01") == [{"source": "google ads", "spend_usd": 100, "leads": 1}]
    assert fed.all(asked, "2026-04-01", "2026-04-01") == []
