"""``marts.activity_timeline``: what each source tells of, whose it is, and runs of what changed."""

from decimal import Decimal

import pytest
from psycopg import sql

from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import columns, marts
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines.unified.marts import activity, changes
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES, NO_ACTIVITIES
from warehouse_pipelines.unified.marts.declared import CRM_USERS
from warehouse_pipelines.unified.marts.rows import MARTS
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows

NEAR = ("activity_timeline", "sale", "lead_journey")
"""The timeline and what is computed from it at once; of all marts ``test_truth`` asks the same."""


def timeline(fed: FeedDatabase, **wanted: object) -> list[Row]:
    marts.run(fed.session, NEAR)
    return [
        row
        for row in rows(fed.session, "activity_timeline")
        if all(row[name] == value for name, value in wanted.items())
    ]


def test_every_table_is_an_activity_or_says_why_not() -> None:
    tables = {entity.table for source in SOURCES for entity in source.entities}
    declared = {row.table for row in ACTIVITIES if row.crm != "crm"}
    assert declared | {table for table in NO_ACTIVITIES if not table.startswith("crm.")} == tables
    assert not declared & NO_ACTIVITIES.keys()


def test_what_an_activity_names_is_there() -> None:
    entities = columns.entities()
    for row in ACTIVITIES:
        activity.select(row)
        for table in (row.of, *row.tables.values()):
            assert not table or table in ("crm.leads", ENTERED.table) or BY_TABLE[table].kind != "staff", row
        assert row.user_table in ("", CRM_USERS) or BY_TABLE[row.user_table].kind == "staff", row
        assert all(join.table in entities for join in row.joins), row


def test_a_kind_is_once_per_row_of_a_table() -> None:
    known = [(row.table, row.kind) for row in ACTIVITIES]
    assert len(known) == len(set(known))


def test_a_call_is_whose_number_it_is_as_sure_as_identity_is(fed: FeedDatabase) -> None:
    call = fed.source(
        "callrail_call", id="c1", direction="inbound", start_time="2026-03-01T03:30:00Z", answered=True,
        agent_email="ann@example.com", source="Google Ads",
    )  # fmt: skip
    fed.record(call, None)
    ada = fed.person(fed.source("hubspot_contact", id="1", createdate="2026-03-01T04:00:00Z"), first_name="Ada")
    fed.session.execute(
        "INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)"
        " SELECT record_id, source_table, source_key, %s, 'likely', 'phone_e164', '' FROM identity.record"
        " WHERE source_table = 'callrail_call'",
        [ada],
    )
    (row,) = timeline(fed, kind="call")
    wanted = {
        "person_id": ada, "crm_source": "callrail", "direction": "inbound", "our_user": "ann@example.com",
        "outcome": "answered", "lead_source": "google ads",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert float(row["certainty"]) == 0.8
    assert str(row["occurred_day"]) == "2026-02-28", "the day of the business, not of UTC"


def test_one_of_us_is_one_person_in_all_crms(fed: FeedDatabase) -> None:
    rep = fed.person(
        fed.source("genius_user", user_id=7, firstname="Rita"), fed.source("hubspot_owner", id="70"),
        kind="staff", display_name="Rita Rep",
    )  # fmt: skip
    prospect = fed.source("genius_prospect", prospect_id=1, add_date="2026-01-02T10:00:00Z")
    contact = fed.source("hubspot_contact", id="1", createdate="2026-01-01T10:00:00Z", hubspot_owner_id="70")
    ada = fed.person(prospect, contact)
    fed.source("genius_job", id=5, prospect_id=1, contract_date="2026-02-01", contract_amount="100.105", sold_user_id=7)
    told = {row["kind"]: row for row in timeline(fed, our_user_id=rep)}
    assert set(told) == {"lead", "job"}
    assert {row["our_user"] for row in told.values()} == {"Rita Rep"}
    assert {row["person_id"] for row in told.values()} == {ada}
    assert str(told["job"]["amount"]) == "100.11"
    assert str(told["job"]["occurred_day"]) == "2026-02-01"
    fed.touch(rep, display_name="Rita Rich")
    assert {row["our_user"] for row in timeline(fed, our_user_id=rep)} == {"Rita Rich"}
    assert_as_from_nothing(fed.session, NEAR)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_deal_of_two_contacts_and_two_companies_is_there_once(fed: FeedDatabase) -> None:
    fed.source("hubspot_pipeline_stage", id="won", label="Closed won", is_closed=True, probability="1.0")
    for number in "12":
        fed.source("hubspot_contact_to_deal_association", contact_id=number, deal_id="d", association_type_id=3)
        fed.source("hubspot_deal_to_company_association", company_id=number, deal_id="d", association_type_id=5)
    first = fed.person(fed.source("hubspot_contact", id="1"))
    second = fed.person(fed.source("hubspot_contact", id="2"))
    fed.source("hubspot_deal", id="d", dealstage="won", amount="10", closedate="2026-05-01T10:00:00Z")
    (sale,) = timeline(fed, kind="sale")
    assert sale["person_id"] == first
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d", association_type_id=3, archived=True)
    (sale,) = timeline(fed, kind="sale")
    assert sale["person_id"] == second
    assert_as_from_nothing(fed.session, NEAR)


def test_a_lost_deal_is_no_sale(fed: FeedDatabase) -> None:
    fed.source("hubspot_pipeline_stage", id="lost", is_closed=True, probability="0.0")
    fed.source("hubspot_deal", id="d", dealstage="lost", createdate="2026-01-01", closedate="2026-05-01T10:00:00Z")
    assert [row["kind"] for row in timeline(fed)] == ["deal", "deal_lost"]


@pytest.mark.parametrize(
    ("result", "held"),
    [("Not Home", False), ("[HRE] Not Home", False), (" [CC] Rescheduled ", False), ("[HRE] Demo, no sale", True)],
)
def test_a_visit_took_place_or_not_whatever_mark_stands_before_its_result(
    fed: FeedDatabase, result: str, held: bool
) -> None:
    fed.person(fed.source("salespro_estimate", estimate_id="e", created_at="2026-03-05T12:00:00Z"))
    fed.source(
        "salespro_lead_result", id="r", estimate_id="e", result_date="2026-03-06T12:00:00Z", appointment_result=result
    )
    (row,) = timeline(fed, kind="visit")
    assert row["is_held"] is held


def test_a_time_of_day_that_is_none_is_left_out(fed: FeedDatabase) -> None:
    fed.source("genius_appointment", appointment_id=1, appointment_date="2026-01-05", appointment_time="9:30:00")
    fed.source("genius_appointment", appointment_id=2, appointment_date="2026-01-05", appointment_time="afternoon")
    found = [row["occurred_at"].isoformat() for row in timeline(fed, kind="appointment")]
    assert found == ["2026-01-05T14:30:00+00:00", "2026-01-05T05:00:00+00:00"]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_row_that_goes_and_comes_back(fed: FeedDatabase) -> None:
    ada = fed.person(fed.source("hubspot_contact", id="1", createdate="2026-01-01"))
    assert [row["person_id"] for row in timeline(fed)] == [ada]
    fed.source("hubspot_contact", id="1", createdate="2026-01-01", archived=True)
    assert not timeline(fed)
    assert_as_from_nothing(fed.session, NEAR)
    fed.source("hubspot_contact", id="1", createdate="2026-01-01", archived=False)
    assert [row["person_id"] for row in timeline(fed)] == [ada]
    assert_as_from_nothing(fed.session, NEAR)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_lead_that_qualified_is_there_although_it_is_deleted(fed: FeedDatabase) -> None:
    lead = "00000000-0000-0000-0000-0000000000aa"
    fed.source("pipedesk.leads", id=lead, created_at="2026-01-01", qualified_at="2026-02-01", archived=True)
    assert [(row["kind"], row["outcome"]) for row in timeline(fed)] == [("lead", None), ("status_change", "qualified")]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_word_of_a_joined_table_that_changes(fed: FeedDatabase) -> None:
    fed.source("genius_job_status", id=2, label="Sold")
    fed.source("genius_job", id=5, status=2, contract_date="2026-02-01")
    assert [row["outcome"] for row in timeline(fed, kind="job")] == ["Sold"]
    fed.source("genius_job_status", id=2, label="Signed")
    assert [row["outcome"] for row in timeline(fed, kind="job")] == ["Signed"]
    assert_as_from_nothing(fed.session, NEAR)


@pytest.mark.slow("other causes of a change in a mart")
def test_people_who_are_joined_and_parted_again(fed: FeedDatabase) -> None:
    one, other = (fed.source("hubspot_contact", id=number, createdate="2026-01-01") for number in "12")
    ada, bob = fed.person(one), fed.person(other)
    assert {row["person_id"] for row in timeline(fed)} == {ada, bob}
    fed.join(ada, bob)
    assert {row["person_id"] for row in timeline(fed)} == {ada}
    assert_as_from_nothing(fed.session, NEAR)
    fed.part(bob, other)
    assert {row["source_key"]: row["person_id"] for row in timeline(fed)} == {"1": ada, "2": bob}
    assert_as_from_nothing(fed.session, NEAR)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_record_that_becomes_somebodys_later(fed: FeedDatabase) -> None:
    name = fed.source("hubspot_contact", id="1", createdate="2026-01-01")
    assert [row["person_id"] for row in timeline(fed)] == [None]
    ada = fed.person(name)
    assert [row["person_id"] for row in timeline(fed)] == [ada]
    assert_as_from_nothing(fed.session, NEAR)


def test_a_run_repeated_writes_nothing(fed: FeedDatabase) -> None:
    fed.person(fed.source("hubspot_contact", id="1", createdate="2026-01-01"))
    assert marts.run(fed.session, ["activity_timeline"])[0].inserted == 1
    for full in (False, True):
        (done,) = marts.run(fed.session, ["activity_timeline"], full=full)
        assert (done.inserted, done.updated, done.deleted) == (0, 0, 0)


@pytest.mark.slow("other causes of a change in a mart")
def test_another_zone_computes_everything(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    fed.source("hubspot_contact", id="1", createdate="2026-01-02T03:00:00Z")
    assert [str(row["occurred_day"]) for row in timeline(fed)] == ["2026-01-01"]
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "UTC")
    assert [str(row["occurred_day"]) for row in timeline(fed)] == ["2026-01-02"]


@pytest.mark.slow("other causes of a change in a mart")
def test_money_of_another_currency_is_converted_or_left_out(fed: FeedDatabase) -> None:
    """By the rate of its day; a rate that somebody enters later counts for what is there already."""
    for number, (currency, home) in enumerate(
        (("USD", None), (None, None), ("cad", None), ("EUR", None), ("GBP", "130.00")), 1
    ):
        fed.source("hubspot_deal", id=str(number), createdate="2026-05-02T12:00:00Z", amount="100.00",
                   deal_currency_code=currency, amount_in_home_currency=home)  # fmt: skip
    fed.session.execute(
        "INSERT INTO crm.fx_rate (currency, since, rate_to_usd) VALUES ('CAD', '2026-01-01', 0.75),"
        " ('CAD', '2026-06-01', 0.5)"
    )
    assert [str(row["amount"]) for row in timeline(fed, kind="deal")] == [
        "100.00", "100.00", "75.00", "None", "130.00",
    ]  # fmt: skip
    fed.session.execute("INSERT INTO crm.fx_rate (currency, since, rate_to_usd) VALUES ('EUR', '2026-05-01', 1.1)")
    assert [str(row["amount"]) for row in timeline(fed, kind="deal")] == [
        "100.00", "100.00", "75.00", "110.00", "130.00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "clock", "wanted"),
    [
        ("2026-03-08", "02:30:00", "2026-03-08T07:30:00+00:00"),  # an hour that there is not
        ("2026-11-01", "01:30:00", "2026-11-01T06:30:00+00:00"),  # an hour that comes twice: the second
        ("2026-03-08", "", "2026-03-08T05:00:00+00:00"),
        ("2026-11-01", "23:59:00", "2026-11-02T04:59:00+00:00"),
    ],
)
@pytest.mark.slow("other causes of a change in a mart")
def test_a_visit_on_the_day_when_the_clock_is_set(fed: FeedDatabase, day: str, clock: str, wanted: str) -> None:
    fed.source("genius_appointment", appointment_id=1, appointment_date=day, appointment_time=clock)
    (row,) = timeline(fed, kind="appointment")
    assert (row["occurred_at"].isoformat(), str(row["occurred_day"])) == (wanted, day)


def test_a_run_without_a_change_computes_no_mart(fed: FeedDatabase) -> None:
    """``computed_at`` stays, of those too that have to do with the time of day: for an hour."""
    fed.person(fed.source("hubspot_contact", id="1", createdate="2026-01-01"))
    fed.source("genius_job", id=1, prospect_id=77, contract_date="2026-03-01", contract_amount="70.01")
    fed.feed()
    marts.run(fed.session)
    asked = "SELECT mart, computed_at FROM marts.position ORDER BY mart"
    # As if what was written lay a second back.
    fed.session.execute("UPDATE marts.position SET read_until = now(), computed_at = now() + interval '30 minutes'")
    before = fed.all(asked)
    marts.run(fed.session)
    assert fed.all(asked) == before
    fed.session.execute("UPDATE marts.position SET read_until = now(), computed_at = now() - interval '90 minutes'")
    before = fed.all(asked)
    marts.run(fed.session)
    again = {row["mart"] for row, was in zip(fed.all(asked), before, strict=True) if row != was}
    assert again == {"follow_up_recommendations"}


def test_what_a_mart_reads_tells_that_it_changed() -> None:
    """Or the mart would be computed in each run."""
    known = {*columns.entities(), *changes.STAMPED, *changes.COUNTS, *(mart.table for mart in MARTS)}
    told = {"crm.lead_status_history", "crm.lead_sequence_enrollments"}  # the timeline asks their views
    assert not {table for mart in MARTS for table in mart.reads} - known - told


def test_each_activity_can_be_planned_although_its_table_is_empty(fed: FeedDatabase) -> None:
    """A run leaves out what has no row, so a column that is not there would show in the first installation that has."""
    with fed.session.transaction():
        fed.session.execute("CREATE TEMP TABLE some_row (source_table text, source_key text) ON COMMIT DROP")
        for one in ACTIVITIES:
            for rows_of in ("", "some_row"):
                fed.session.execute(sql.SQL("EXPLAIN {}").format(activity.select(one, rows_of)))


def test_an_amount_that_nobody_can_mean_counts_nowhere_and_is_named(fed: FeedDatabase) -> None:
    """A slip of the hand stops no mart, and is not the money of the year."""
    fed.source("hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
    fed.person(fed.source("hubspot_contact", id="1"), fed.source("genius_prospect", prospect_id=1))
    for number in (1, 2):
        fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id=f"{number}", association_type_id=3)
        fed.source("hubspot_deal", id=f"{number}", dealstage="won", createdate="2026-01-01",
                    closedate=f"2026-0{number}-01", amount=999999999999)  # fmt: skip
    fed.source("genius_job", id=1, prospect_id=1, contract_date="2026-06-01", contract_amount="0.01")
    fed.source("genius_job", id=2, prospect_id=1, contract_date="2026-09-01", contract_amount="999999999.99")
    for number, amount in enumerate(("1e12", "900000000", "5"), 1):
        fed.source("genius_job_change_order", id=number, job_id=1, total_amount=amount, sold_date="2026-06-02")
    fed.source("gsheet_marketing_spend", id=1, date="2026-01-05", channel="Radio", amount="1e20")
    fed.feed()
    marts.run(fed.session)
    (journey,) = rows(fed.session, "lead_journey")
    assert (journey["jobs"], journey["sold_amount"]) == (4, Decimal("1000000000.00"))
    refused = [row for row in rows(fed.session, "activity_timeline") if row["refused_amount"] is not None]
    assert {(row["source_table"], row["source_key"], row["kind"]) for row in refused} == {
        ("hubspot_deal", "1", "deal"), ("hubspot_deal", "1", "sale"), ("hubspot_deal", "2", "deal"),
        ("hubspot_deal", "2", "sale"), ("genius_job_change_order", "1", "change_order"),
    }  # fmt: skip
    assert {row["amount"] for row in refused} == {None}
    (orders,) = rows(fed.session, "job_change_orders")
    assert (orders["change_orders"], orders["changed_amount"], orders["changed_share"]) == (2, 900000005, None)
    assert fed.one("SELECT reason FROM marts.refused_costs")["reason"] == "the amount is a billion or more"
    told = {row["crm_source"]: row["refused_amounts"] for row in fed.all("SELECT * FROM answers.quality")}
    assert (told["hubspot"], told["genius"], told["marketsharp"]) == (2, 1, 0)
    for mart in MARTS:
        for check in mart.checks:
            assert fed.all(check.faults) == [], check.name
