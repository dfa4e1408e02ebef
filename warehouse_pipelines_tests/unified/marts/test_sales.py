"""``marts.sale`` and what is credited for it: vectors by hand."""

from decimal import Decimal
from uuid import UUID

import pytest

from warehouse_pipelines.unified import marts
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase, Name, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows, settle

SALES = ("activity_timeline", "sale", "lead_journey", "funnel_daily", "attribution_credit", "source_roi")
"""What is asked here, and what it is computed from. Of all marts ``test_truth`` asks the same."""

MS_VISIT = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "UTC")


def buyer(fed: FeedDatabase, *more: Name) -> UUID:
    """A customer whom Genius, MarketSharp and HubSpot know under the key 1."""
    fed.source("hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3)
    return fed.person(
        fed.source("genius_prospect", prospect_id=1), fed.source("marketsharp_contact", id="m1"),
        fed.source("hubspot_contact", id="1"), *more,
    )  # fmt: skip


def job(fed: FeedDatabase, number: int, day: str, amount: str = "1000.00", **more: object) -> None:
    fed.source("genius_job", id=number, prospect_id=1, contract_date=day, contract_amount=amount, **more)


def deal(fed: FeedDatabase, day: str, amount: str = "1000.00", name: str = "d") -> None:
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id=name, association_type_id=3)
    fed.source("hubspot_deal", id=name, dealstage="won", closedate=f"{day}T12:00:00Z", amount=amount)


def sales(fed: FeedDatabase) -> list[tuple[list[str], Decimal | None, str]]:
    marts.run(fed.session, SALES)
    found = sorted(rows(fed.session, "sale"), key=lambda row: (row["sold_at"], row["source_key"]))
    assert_as_from_nothing(fed.session, SALES)
    return [(row["records"], row["amount"], row["matched_by"]) for row in found]


def test_one_sale_of_three_crms_is_one(fed: FeedDatabase) -> None:
    buyer(fed)
    job(fed, 1, "2026-03-01", "1000.00")
    deal(fed, "2026-03-09", "1000.00")
    fed.source("marketsharp_job", id="j", contact_id="m1", sale_date="2026-03-02T10:00:00Z")
    assert sales(fed) == [
        (["genius_job 1", "marketsharp_job j", "hubspot_deal d"], Decimal("1000.00"),
         "same person, near in time, same amount")
    ]  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_what_names_the_same_visit_is_the_same_however_far_apart(fed: FeedDatabase) -> None:
    visit = fed.source("genius_appointment", appointment_id=9, appointment_date="2026-01-01", marketsharp_id=MS_VISIT)
    other = fed.source("hubspot_appointment", id="h9", genius_appointment_id=9, start_time="2026-01-01T10:00:00Z")
    buyer(fed, visit, other)
    fed.source("genius_quote", id=1, job_id=1, appointment_id=9)
    job(fed, 1, "2026-01-05")
    fed.source("hubspot_appointment_to_deal_association", appointment_id="h9", deal_id="d", association_type_id=1)
    deal(fed, "2026-06-20", "900.00")
    fed.source("marketsharp_job", id="j", contact_id="m1", appointment_id=MS_VISIT, sale_date="2026-04-01T10:00:00Z")
    assert sales(fed) == [(["genius_job 1", "marketsharp_job j", "hubspot_deal d"], Decimal("1000.00"), "same visit")]


@pytest.mark.slow("other causes of a change in a mart")
def test_two_jobs_of_one_crm_are_two_sales(fed: FeedDatabase) -> None:
    """And each goes with the deal of its time."""
    buyer(fed)
    job(fed, 1, "2026-03-01")
    job(fed, 2, "2026-03-20", "50.00")
    deal(fed, "2026-03-03", "1.00")
    deal(fed, "2026-03-22", "2.00", "e")
    assert [(records, amount) for records, amount, _ in sales(fed)] == [
        (["genius_job 1", "hubspot_deal d"], Decimal("1000.00")),
        (["genius_job 2", "hubspot_deal e"], Decimal("50.00")),
    ]  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_of_two_deals_of_one_visit_the_contract_is_the_one_whose_amount_is_nearest(fed: FeedDatabase) -> None:
    """Whichever was closed first: the other is a sale of its own, of what it is worth itself."""
    buyer(fed)
    job(fed, 1, "2026-03-01", "26021.10")
    deal(fed, "2026-03-03", "538.25", "a")
    deal(fed, "2026-03-03", "25017.39", "b")
    assert sorted((records, amount) for records, amount, _ in sales(fed)) == [
        (["genius_job 1", "hubspot_deal b"], Decimal("26021.10")),
        (["hubspot_deal a"], Decimal("538.25")),
    ]  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_a_sale_half_a_year_later_is_another(fed: FeedDatabase) -> None:
    buyer(fed)
    job(fed, 1, "2026-01-05")
    deal(fed, "2026-07-20", "900.00")
    assert [records for records, _, _ in sales(fed)] == [["genius_job 1"], ["hubspot_deal d"]]


class Couple:
    """Ada, whom HubSpot knows, and Ben, whom Genius knows, of one household."""

    def __init__(self, fed: FeedDatabase) -> None:
        self.fed = fed
        fed.source("hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
        self.home = fed.one("INSERT INTO identity.household DEFAULT VALUES RETURNING household_id")["household_id"]
        self.ada = fed.person(fed.source("hubspot_contact", id="1"), household_id=self.home)
        self.ben = fed.person(
            fed.source("genius_prospect", prospect_id=1), fed.source("marketsharp_contact", id="m1"),
            household_id=self.home,
        )  # fmt: skip


def test_one_sale_of_a_couple_is_one_though_two_crms_name_different_spouses(fed: FeedDatabase) -> None:
    """It is Ben's, whom the contract names, and is credited to what brought Ada too. Who moves out, has another."""
    couple = Couple(fed)
    form = fed.source("callrail_form_submission", id="f", submitted_at="2026-02-01T10:00:00Z", source="Radio")
    fed.record(form, couple.ada)
    job(fed, 1, "2026-03-01", "10000.00")
    deal(fed, "2026-03-09", "9500.00")
    assert sales(fed) == [
        (["genius_job 1", "hubspot_deal d"], Decimal("10000.00"), "same household, near in time"),
    ]  # fmt: skip
    [sale] = rows(fed.session, "sale")
    assert (sale["person_id"], sale["person_ids"]) == (couple.ben, sorted([couple.ada, couple.ben]))
    assert {source: row["linear_amount"] for source, row in credit(fed).items()} == {"radio": Decimal("10000.00")}
    settle(fed.session)
    fed.touch(couple.ada, household_id=None)
    assert [records for records, _, _ in sales(fed)] == [["genius_job 1"], ["hubspot_deal d"]]
    settle(fed.session)
    fed.touch(couple.ada, household_id=couple.home)
    deal(fed, "2026-03-09", "10000.00")
    assert sales(fed) == [
        (["genius_job 1", "hubspot_deal d"], Decimal("10000.00"), "same household, near in time, same amount"),
    ]  # fmt: skip


def test_two_sales_of_a_household_are_two(fed: FeedDatabase) -> None:
    """A roof in March and windows in August, and what is near in time and has another price. Each has its own deal."""
    Couple(fed)
    job(fed, 1, "2026-03-01", "20000.00")
    job(fed, 2, "2026-03-02", "5000.00")
    deal(fed, "2026-08-20", "20000.00", "august")
    deal(fed, "2026-03-03", "5100.00", "near")
    deal(fed, "2026-03-03", "700.00", "other")
    assert sorted((records, amount) for records, amount, _ in sales(fed)) == [
        (["genius_job 1"], Decimal("20000.00")),
        (["genius_job 2", "hubspot_deal near"], Decimal("5000.00")),
        (["hubspot_deal august"], Decimal("20000.00")),
        (["hubspot_deal other"], Decimal("700.00")),
    ]  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_two_sales_of_a_household_with_one_price_are_two(fed: FeedDatabase) -> None:
    """Each job has one deal, whichever is the nearest of both."""
    Couple(fed)
    for number, day in ((1, "2026-03-01"), (2, "2026-03-02")):
        job(fed, number, day)
    for name, day in (("a", "2026-03-01"), ("b", "2026-03-20")):
        deal(fed, day, name=name)
    assert [records for records, _, _ in sales(fed)] == [
        ["genius_job 1", "hubspot_deal a"], ["genius_job 2", "hubspot_deal b"],
    ]  # fmt: skip


def test_a_visit_at_a_couple_says_what_is_one_sale(fed: FeedDatabase) -> None:
    """However far apart, whatever the price, and whose record the visit is; two visits of Genius are two sales."""
    couple = Couple(fed)
    for number in (8, 9):
        fed.record(fed.source("genius_appointment", appointment_id=number, appointment_date="2026-01-01"), couple.ben)
        fed.source("genius_quote", id=number, job_id=number, appointment_id=number)
        job(fed, number, "2026-01-05")
        at_hubspot = fed.source("hubspot_appointment", id=f"h{number}", genius_appointment_id=number,
                           start_time="2026-01-01T10:00:00Z")  # fmt: skip
        fed.record(at_hubspot, couple.ada if number == 9 else couple.ben)
    for name, visit, day in (("far", "h9", "2026-06-20"), ("near", "h8", "2026-01-05")):
        deal(fed, day, "500.00", name)
        fed.source("hubspot_appointment_to_deal_association", appointment_id=visit, deal_id=name, association_type_id=1)
    assert sorted((records, said) for records, _, said in sales(fed)) == [
        (["genius_job 8", "hubspot_deal near"], "same household, same visit"),
        (["genius_job 9", "hubspot_deal far"], "same household, same visit"),
    ]  # fmt: skip


def test_the_sale_of_nobody_known_is_one_by_itself(fed: FeedDatabase) -> None:
    """Money is not lost because nobody knows whose it is: it is credited to no source."""
    fed.source("genius_job", id=1, prospect_id=77, contract_date="2026-03-01", contract_amount="70.01")
    fed.source("genius_job", id=2, prospect_id=78, contract_date="2026-03-01", contract_amount="30.02")
    assert [records for records, _, _ in sales(fed)] == [["genius_job 1"], ["genius_job 2"]]
    (roi,) = rows(fed.session, "source_roi")
    assert (roi["source"], roi["revenue_first"], roi["revenue_linear"]) == (
        "unattributed", Decimal("100.03"), Decimal("100.03"),
    )  # fmt: skip


def test_a_deal_whose_contact_was_deleted_stays_with_the_visit_that_it_names(fed: FeedDatabase) -> None:
    """And goes to another one's when it names that, so no money is counted twice."""
    buyer(fed)
    for key, prospect in (("9", 1), ("8", 2)):
        fed.source(
            "genius_job", id=int(key), prospect_id=prospect, contract_date="2026-03-01", contract_amount="1000.00"
        )
        fed.source("genius_quote", id=int(key), job_id=int(key), appointment_id=int(key))
        visit = fed.source(
            "hubspot_appointment", id=f"h{key}", genius_appointment_id=int(key), start_time="2026-01-01T10:00Z"
        )
        if prospect == 1:
            fed.record(visit, fed.one("SELECT person_id FROM identity.member LIMIT 1")["person_id"])
        else:
            fed.person(fed.source("genius_prospect", prospect_id=2), visit)
    fed.source("hubspot_appointment_to_deal_association", appointment_id="h9", deal_id="d", association_type_id=1)
    deal(fed, "2026-03-09")
    both = [["genius_job 8"], ["genius_job 9", "hubspot_deal d"]]
    assert sorted(records for records, _, _ in sales(fed)) == both
    settle(fed.session)
    fed.source("hubspot_contact", id="1", archived=True)
    fed.session.execute("DELETE FROM identity.member WHERE source_table = 'hubspot_contact'")
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3, archived=True)
    assert sorted(records for records, _, _ in sales(fed)) == both
    settle(fed.session)
    fed.source(
        "hubspot_appointment_to_deal_association",
        appointment_id="h9",
        deal_id="d",
        association_type_id=1,
        archived=True,
    )
    fed.source("hubspot_appointment_to_deal_association", appointment_id="h8", deal_id="d", association_type_id=1)
    assert sorted(records for records, _, _ in sales(fed)) == [["genius_job 8", "hubspot_deal d"], ["genius_job 9"]]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_deal_of_two_companies_and_a_merged_deal_count_once(fed: FeedDatabase) -> None:
    buyer(fed)
    deal(fed, "2026-03-01", "100.00")
    for company in "12":
        fed.source("hubspot_deal_to_company_association", deal_id="d", company_id=company, association_type_id=5)
    fed.source(
        "hubspot_deal", id="old", dealstage="won", closedate="2026-03-01T12:00:00Z", amount="100.00", archived=True,
        delete_reason="merged into d",
    )  # fmt: skip
    assert [(records, amount) for records, amount, _ in sales(fed)] == [(["hubspot_deal d"], Decimal("100.00"))]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_sale_that_was_called_off_is_no_money(fed: FeedDatabase) -> None:
    person = buyer(fed)
    job(fed, 1, "2026-03-01", "1000.00", cancel_date="2026-03-04")
    sales(fed)
    (journey,) = [row for row in rows(fed.session, "lead_journey") if row["person_id"] == person]
    assert (journey["jobs"], journey["sold_amount"], journey["sold_at"]) == (0, 0, None)
    assert journey["lost_at"].date().isoformat() == "2026-03-04"
    assert not [row for row in rows(fed.session, "attribution_credit") if row["conversion"] == "sale"]


def test_who_was_given_up_and_asks_again_is_not_lost(fed: FeedDatabase) -> None:
    """Not by what came on the day of which no time is known, what we did, a visit that was called off, or a copy."""
    visit = {"appointment_date": "2026-03-05", "add_date": "2026-02-01T10:00:00Z", "is_complete": True}
    for label, key in (("No sale", 1), ("Cancelled", 2)):
        fed.source("genius_appointment_outcome", id=key, label=label)
    later: tuple[tuple[bool, str, dict[str, object]], ...] = (
        (False, "callrail_call", {"id": "0", "start_time": "2026-03-04T23:30:00Z", "direction": "inbound"}),
        (True, "callrail_call", {"id": "1", "start_time": "2026-03-05T00:30:00Z", "direction": "inbound"}),
        (False, "callrail_call", {"id": "2", "start_time": "2026-03-05T00:30:00Z", "direction": "outbound"}),
        (True, "leadconduit_lead", {"lead_id": "3", "created_at": "2026-03-05T12:00:00Z"}),
        (True, "salespro_estimate", {"estimate_id": "4", "created_at": "2026-03-05T12:00:00Z"}),
        (True, "genius_appointment", {"appointment_id": 5, "complete_outcome_id": 1, **visit}),
        (False, "genius_appointment", {"appointment_id": 6, "complete_outcome_id": 2, **visit}),
        (False, "marketsharp_contact", {"id": "7", "created_date": "2026-03-05T12:00:00Z"}),
    )
    fed.source("genius_prospect_source", id=1, prospect_id=8, source_date="2026-02-27T12:00:00Z")
    people = []
    for number, (_, table, values) in enumerate(later, 1):
        fed.source("genius_job", id=number, prospect_id=number, contract_date="2026-03-01", cancel_date="2026-03-04")
        people.append(fed.person(fed.source("genius_prospect", prospect_id=number), fed.source(table, **values)))
    marts.run(fed.session, SALES)
    lost = {row["person_id"]: row["lost_at"] is not None for row in rows(fed.session, "lead_journey")}
    assert [not lost[person] for person in people] == [resumes for resumes, _, _ in later]


def test_a_job_is_called_off_by_its_status_as_by_its_date_in_marts_and_leads_alike(fed: FeedDatabase) -> None:
    """When nobody says when, that was when it was edited last; a word that is mapped later counts for what is there."""
    for number, label in ((4, "Sold"), (5, "[X] Cancelled"), (6, "Back out")):
        fed.source("genius_job_status", id=number, label=label)
    edited = "2026-03-10T10:00:00Z"
    people = [fed.person(fed.source("genius_prospect", prospect_id=number)) for number in range(4)]
    for number, (status, day) in enumerate([(4, None), (5, None), (4, "2026-03-04"), (6, None)]):
        fed.source("genius_job", id=number, prospect_id=number, contract_date="2026-03-01", contract_amount="10.00",
                   status=status, cancel_date=day, modified=edited)  # fmt: skip
    for number, word in ((4, "Completed"), (5, "Canceled")):
        people.append(fed.person(fed.source("marketsharp_contact", id=f"m{number}")))
        fed.source("marketsharp_job", id=f"j{number}", contact_id=f"m{number}", sale_date="2026-03-01T10:00:00Z",
                   status=word, last_update=edited)  # fmt: skip

    def called_off() -> list[tuple[str | None, bool]]:
        fed.feed()
        marts.run(fed.session, SALES)
        found = {row["person_id"]: row for row in rows(fed.session, "sale")}
        return [
            (at and at.date().isoformat(), fed.lead(person)["status"] == "lost")
            for person in people
            for at in [found[person]["cancelled_at"]]
        ]

    lost, kept = ("2026-03-10", True), (None, False)
    assert called_off() == [kept, lost, ("2026-03-04", True), kept, kept, lost]
    fed.session.execute(
        "INSERT INTO crm.status_mapping (source, source_status, status) VALUES ('genius.job', 'back out', 'lost')"
    )
    assert called_off() == [kept, lost, ("2026-03-04", True), lost, kept, lost]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_job_that_is_sold_again_takes_the_contract_from_the_one_that_was_called_off(fed: FeedDatabase) -> None:
    """Or the contract would be called off with the first."""
    buyer(fed)
    job(fed, 1, "2026-03-01")
    for key, day, status in (("j1", "02", "Cancelled"), ("j2", "12", "Sold")):
        fed.source("marketsharp_job", id=key, contact_id="m1", sale_date=f"2026-03-{day}T10:00:00Z", status=status)
    assert [records for records, _, _ in sales(fed)] == [["genius_job 1", "marketsharp_job j2"], ["marketsharp_job j1"]]
    assert [row["is_standing"] for row in rows(fed.session, "sale")] == [True, False]


def credit(fed: FeedDatabase, key: str = "genius_job 1") -> dict[str, Row]:
    marts.run(fed.session, SALES)
    assert_as_from_nothing(fed.session, SALES)
    return {row["source"]: row for row in rows(fed.session, "attribution_credit") if row["conversion_key"] == key}


def test_credit_of_three_touches_adds_up_to_the_cent(fed: FeedDatabase) -> None:
    forms = [
        fed.source(
            "callrail_form_submission", id=f"f{place}", submitted_at=f"2026-01-{day:02}T10:00:00Z", source=source
        )
        for place, (day, source) in enumerate([(1, "Radio"), (10, "Google Ads"), (25, "Referral")])
    ]
    buyer(fed, *forms)
    job(fed, 1, "2026-02-01", "100.00")
    found = credit(fed)
    assert {source: (row["first_credit"], row["last_credit"]) for source, row in found.items()} == {
        "radio": (1, 0), "google ads": (0, 0), "referral": (0, 1),
    }  # fmt: skip
    assert {source: row["linear_amount"] for source, row in found.items()} == {
        "radio": Decimal("33.33"), "google ads": Decimal("33.34"), "referral": Decimal("33.33"),
    }  # fmt: skip
    assert sum(row["linear_credit"] for row in found.values()) == 1


@pytest.mark.slow("other causes of a change in a mart")
def test_a_touch_that_two_crms_tell_of_is_one_and_a_later_one_is_another(fed: FeedDatabase) -> None:
    told = [
        fed.source("callrail_form_submission", id="a", submitted_at="2026-01-01T10:00:00Z", source="Radio"),
        fed.source("leadconduit_lead", lead_id="a", created_at="2026-01-01T10:01:00Z", source="radio"),
        fed.source("callrail_form_submission", id="b", submitted_at="2026-01-03T10:00:00Z", source="Referral"),
        fed.source("callrail_form_submission", id="c", submitted_at="2026-01-20T10:00:00Z", source="Radio"),
    ]
    buyer(fed, *told)
    job(fed, 1, "2026-02-01", "90.00")
    found = credit(fed)
    assert {source: row["linear_amount"] for source, row in found.items()} == {
        "radio": Decimal("60.00"), "referral": Decimal("30.00"),
    }  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_one_touch_with_two_jobs_counts_for_both(fed: FeedDatabase) -> None:
    buyer(fed, fed.source("callrail_form_submission", id="a", submitted_at="2026-01-01T10:00:00Z", source="Radio"))
    job(fed, 1, "2026-02-01", "90.00")
    job(fed, 2, "2026-05-01", "10.00")
    assert credit(fed)["radio"]["first_amount"] == 90
    assert credit(fed, "genius_job 2")["radio"]["first_amount"] == 10
    assert sum(row["sold_first"] for row in rows(fed.session, "source_roi") if row["source"] == "radio") == 2


@pytest.mark.slow("other causes of a change in a mart")
def test_a_touch_after_the_sale_has_no_credit_of_it(fed: FeedDatabase) -> None:
    buyer(fed, fed.source("callrail_form_submission", id="a", submitted_at="2026-03-01T10:00:00Z", source="Radio"))
    job(fed, 1, "2026-02-01", "90.00")
    assert {source: row["last_amount"] for source, row in credit(fed).items()} == {"unattributed": 90}


@pytest.mark.slow("other causes of a change in a mart")
def test_a_call_of_ours_is_no_touch(fed: FeedDatabase) -> None:
    call = fed.source("callrail_call", id="a", start_time="2026-01-01T10:00:00Z", source="Radio", direction="outbound")
    buyer(fed, call)
    job(fed, 1, "2026-02-01", "90.00")
    assert set(credit(fed)) == {"unattributed"}


@pytest.mark.slow("other causes of a change in a mart")
def test_money_spent_is_that_of_crm_and_of_the_sheet(fed: FeedDatabase) -> None:
    """What cannot be posted to crm though it is in dollars is there too: without a channel, it is unattributed."""
    for number, (channel, amount) in enumerate([("Radio", "10.10"), ("Radio", "0.05"), (None, "5.00")], 1):
        fed.source("gsheet_marketing_spend", id=number, date="2026-02-03", channel=channel, amount=amount)
    fed.feed()
    marts.run(fed.session, SALES)
    found = {row["source"]: row["spent"] for row in rows(fed.session, "source_roi")}
    assert found == {"radio": Decimal("10.15"), "unattributed": Decimal("5.00")}


def test_qualified_goes_before_deleted(fed: FeedDatabase) -> None:
    keys = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(5)]
    fed.source("pipedesk.leads", id=keys[0], qualified_at="2026-02-01", archived=True, deleted_at="2026-02-01")
    fed.source("pipedesk.leads", id=keys[1], disqualified_at="2026-02-01", archived=True)
    fed.source("pipedesk.leads", id=keys[2], archived=True)
    fed.source("pipedesk.leads", id=keys[3])
    fed.source("pipedesk.leads", id=keys[4], qualified_at="2026-02-01", disqualified_at="2026-02-02")
    marts.run(fed.session, ["lead_lifecycle"])
    found = {row["source_id"]: row["lifecycle"] for row in rows(fed.session, "lead_lifecycle")}
    assert found == dict(zip(keys, ["qualified", "disqualified", "deleted", "open", "qualified"], strict=True))
    wrong = fed.all(
        "SELECT FROM pipedesk.leads AS l JOIN marts.lead_lifecycle AS m ON m.source_system = 'pipedesk'"
        " AND m.source_id = l.id::text WHERE l.qualified_at IS NOT NULL AND m.lifecycle <> 'qualified'"
    )
    assert not wrong
