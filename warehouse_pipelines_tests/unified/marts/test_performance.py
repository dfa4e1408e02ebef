"""``marts.rep_performance``, ``call_performance`` and ``zip_performance``, on rows that are counted by hand."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.marts.rows import BY_NAME, MARTS
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase, Name, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows, settle

OWNER = "00000000-0000-0000-0000-0000000000a1"
REPS = ("activity_timeline", "sale", "job_change_orders", "rep_performance")
CALLS = ("activity_timeline", "sale", "lead_journey", "call_conversion", "call_performance", "zip_performance")


def reps(fed: FeedDatabase) -> dict[str, Row]:
    marts.run(fed.session, REPS)
    return {row["rep_id"]: row for row in rows(fed.session, "rep_performance")}


def user(fed: FeedDatabase, *records: Name, **values: Any) -> str:
    return str(fed.person(*records, kind="staff", **values))


def genius_user(fed: FeedDatabase, number: int) -> Name:
    return fed.source("genius_user", user_id=number)


def prospect(fed: FeedDatabase, number: int, *more: Name, **values: Any) -> UUID:
    return fed.person(fed.source("genius_prospect", prospect_id=number), *more, **values)


def visit(fed: FeedDatabase, number: int, of: int, outcome: str | None, **values: Any) -> Name:
    """Write a visit of Genius' and give it to the prospect's person."""
    outcomes = {"Sold": 1, "No sale": 2, "Not home": 3}
    for label, key in outcomes.items():
        fed.source("genius_appointment_outcome", id=key, label=label)
    given = {
        "appointment_id": number, "prospect_id": of, "add_date": "2026-03-01T10:00:00Z",
        "appointment_date": "2026-03-05", "appointment_time": "10:00:00", "is_complete": outcome is not None,
        "complete_outcome_id": outcomes.get(outcome or ""), **values,
    }  # fmt: skip
    name = fed.source("genius_appointment", **given)
    row = fed.one(
        "SELECT person_id FROM identity.member WHERE source_table = 'genius_prospect' AND source_key = %s", [str(of)]
    )
    fed.record(name, row["person_id"])
    return name


def test_a_rep_sets_holds_and_sells(fed: FeedDatabase) -> None:
    ann, ben = user(fed, genius_user(fed, 1), display_name="Ann"), user(fed, genius_user(fed, 2), display_name="Ben")
    for number, outcome in enumerate(("Sold", "No sale", "Not home", None), 1):
        prospect(fed, number)
        visit(fed, number, number, outcome, add_user_id=1, user_id=2)
    fed.source("genius_job", id=1, prospect_id=1, sold_user_id=2, contract_amount="1000.10",
               contract_date="2026-03-06")  # fmt: skip
    found = reps(fed)
    names = "appointments_set", "appointments_held", "sold", "revenue", "close_rate"
    assert [found[ann][name] for name in names] == [4, 0, 0, 0, None]
    assert [found[ben][name] for name in names] == [0, 2, 1, Decimal("1000.10"), Decimal("0.5")]
    assert (found[ben]["rep"], found[ben]["person_id"], found[ben]["crms"]) == ("Ben", UUID(ben), ["genius_user"])
    assert set(found) == {ann, ben}


@pytest.mark.slow("other causes of a change in a mart")
def test_an_appointment_of_several_crms_is_one_and_genius_says_whose(fed: FeedDatabase) -> None:
    ann = user(fed, genius_user(fed, 1))
    eve = user(fed, fed.source("marketsharp_employee", id="e", name="Eve"))
    fed.source("marketsharp_inquiry", id="i", contact_id="c")
    fed.source("marketsharp_appointment_result", id="r", name="Sold", sold=True)
    fed.source("marketsharp_appointment", id="a", inquiry_id="i", set_by_id="e", salesperson1_id="e",
               created_date="2026-03-01T10:20:00Z", appointment_date="2026-03-05T17:00:00Z", result_id="r")  # fmt: skip
    fed.source("marketsharp_appointment", id="b", inquiry_id="i", set_by_id="e", salesperson1_id="e",
               created_date="2026-05-01T10:20:00Z", appointment_date="2026-05-05T17:00:00Z", result_id="r")  # fmt: skip
    prospect(fed, 1, fed.source("marketsharp_contact", id="c"))
    visit(fed, 1, 1, "Not home", add_user_id=1, user_id=1)
    found = reps(fed)
    counts = {rep: (found[rep]["appointments_set"], found[rep]["appointments_held"]) for rep in (ann, eve)}
    # The one of March was held, as MarketSharp says; that of May is MarketSharp's alone.
    assert counts == {ann: (1, 1), eve: (1, 1)}


@pytest.mark.slow("other causes of a change in a mart")
def test_a_rep_is_one_over_the_crms_that_know_the_same_user(fed: FeedDatabase) -> None:
    ann = user(fed, genius_user(fed, 1), fed.source("salespro_user", user_object_id="u", email="ann@example.com"),
               fed.source("hubspot_owner", id="7"), email="ann@example.com")  # fmt: skip
    customer = fed.source("salespro_customer", customer_id="s")
    estimate = fed.source("salespro_estimate", estimate_id="e", customer_id="s", sales_rep_id="u", total_amount="100",
                          created_at="2026-03-05T10:00:00Z")  # fmt: skip
    prospect(fed, 1, customer, estimate)
    visit(fed, 1, 1, "Sold", add_user_id=1, user_id=1)
    found = reps(fed)
    assert found.keys() == {ann}
    assert (found[ann]["appointments_set"], found[ann]["estimates"], found[ann]["email"]) == (1, 1, "ann@example.com")


def test_story_3_10_a_row_for_each_user_with_assignments(fed: FeedDatabase) -> None:
    """A user of crm, one without an e-mail address, one whom nobody knows, and not one to whom nothing is assigned."""
    nameless = user(fed, genius_user(fed, 1))
    idle = user(fed, genius_user(fed, 2), display_name="Idle")
    unknown = "genius_user 9"
    for number, whose in ((1, 1), (2, 9)):
        prospect(fed, number)
        visit(fed, number, number, None, add_user_id=whose, user_id=whose)
    lead = fed.one(
        "INSERT INTO crm.leads (organization_id, owner_id) VALUES (%s, %s) RETURNING id", [ORGANIZATION, OWNER]
    )["id"]
    found = reps(fed)
    assert found.keys() == {nameless, unknown, OWNER}
    assert idle not in found
    assert (found[nameless]["rep"], found[nameless]["email"]) == (None, None)
    assert (found[unknown]["person_id"], found[unknown]["crms"], found[unknown]["appointments_set"]) == (None, [], 1)
    assert found[OWNER]["leads"] == 1
    # A lead that somebody else has now was assigned all the same.
    fed.session.execute("UPDATE crm.leads SET owner_id = %s WHERE id = %s", [nameless, lead])
    found = reps(fed)
    assert (found[OWNER]["leads"], found[nameless]["leads"]) == (0, 1)
    assigned = fed.one("SELECT count(DISTINCT to_user_id) AS n FROM crm.lead_assignments")["n"]
    assert assigned == sum(row["leads_assigned"] > 0 for row in found.values())
    assert (found[OWNER]["leads_assigned"], found[unknown]["leads_assigned"]) == (1, 0)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_user_whose_id_was_merged_is_not_two(fed: FeedDatabase) -> None:
    ann, other = user(fed, genius_user(fed, 1)), user(fed, fed.source("hubspot_owner", id="7"))
    for owner in (ann, other):
        fed.session.execute("INSERT INTO crm.leads (organization_id, owner_id) VALUES (%s, %s)", [ORGANIZATION, owner])
    assert {rep: row["leads"] for rep, row in reps(fed).items()} == {ann: 1, other: 1}
    fed.join(UUID(ann), UUID(other))
    assert {rep: (row["leads"], row["leads_assigned"]) for rep, row in reps(fed).items()} == {ann: (2, 2)}
    assert_as_from_nothing(fed.session, REPS)


@pytest.mark.slow("other causes of a change in a mart")
def test_cancelled_sales_and_change_orders_are_told_apart(fed: FeedDatabase) -> None:
    ann = user(fed, genius_user(fed, 1))
    for number, cancelled in enumerate((None, "2026-03-08", None), 1):
        prospect(fed, number)
        fed.source("genius_job", id=number, prospect_id=number, sold_user_id=1, contract_amount=f"{number}00.25",
                   contract_date="2026-03-06", cancel_date=cancelled)  # fmt: skip
        fed.source("genius_job_change_order", id=number, job_id=number, total_amount="-10.01")
    row = reps(fed)[ann]
    assert (row["sold"], row["revenue"]) == (2, Decimal("400.50"))
    assert (row["cancelled"], row["cancelled_amount"]) == (1, Decimal("200.25"))
    assert (row["change_orders"], row["change_order_amount"]) == (3, Decimal("-30.03"))
    settle(fed.session)
    fed.source("genius_job", id=1, prospect_id=1, sold_user_id=1, contract_amount="100.25", contract_date="2026-03-06",
               cancel_date="2026-03-09")  # fmt: skip
    row = reps(fed)[ann]
    assert (row["sold"], row["revenue"], row["cancelled"]) == (1, Decimal("300.25"), 2)
    assert_as_from_nothing(fed.session, REPS)


def calls(fed: FeedDatabase) -> dict[tuple[str, str, int], Row]:
    marts.run(fed.session, CALLS)
    return {
        (f"{row['month']:%Y-%m}", row["tracker_id"], row["hour"]): row for row in rows(fed.session, "call_performance")
    }


def call(fed: FeedDatabase, key: str, at: str, of: UUID | None = None, **values: Any) -> None:
    given = {"id": key, "start_time": at, "tracker_id": "t", "direction": "inbound", "answered": True, **values}
    name = fed.source("callrail_call", **given)
    fed.record(name, of)


def test_calls_are_counted_by_month_tracker_and_hour(fed: FeedDatabase) -> None:
    """In the zone of the business, which had another month at that time."""
    fed.source("callrail_tracker", id="t", name="Website")
    call(fed, "1", "2026-04-01T03:30:00Z", first_call=True)
    call(fed, "2", "2026-04-01T03:59:59Z", answered=False)
    call(fed, "3", "2026-04-01T03:00:00Z", answered=False, voicemail=True)
    call(fed, "4", "2026-04-01T03:10:00Z", direction="outbound")
    call(fed, "5", "2026-04-01T04:00:00Z", tracker_id=None, source_name="Pool", answered=None)
    call(fed, "6", "2026-04-01T03:00:00Z", archived=True)
    found = calls(fed)
    assert found.keys() == {("2026-03", "t", 23), ("2026-04", "", 0)}
    row = found["2026-03", "t", 23]
    assert [row[n] for n in ("tracker", "calls", "answered", "voicemails", "missed", "first_calls", "outbound")] == [
        "Website", 3, 1, 1, 2, 1, 1,
    ]  # fmt: skip
    assert row["answer_rate"] == Decimal("0.3333")
    row = found["2026-04", "", 0]
    assert (row["tracker"], row["calls"], row["answered"], row["missed"], row["answer_rate"]) == ("Pool", 1, 0, 1, 0)


def test_an_hour_of_our_own_calls_has_no_answer_rate(fed: FeedDatabase) -> None:
    call(fed, "1", "2026-04-01T12:00:00Z", direction="outbound")
    (row,) = calls(fed).values()
    assert (row["calls"], row["outbound"], row["answer_rate"]) == (0, 1, None)


@pytest.mark.slow("other causes of a change in a mart")
def test_an_appointment_counts_for_the_last_call_before_it(fed: FeedDatabase) -> None:
    """And so does the sale; not for calls after it, ours, those of others, or those of long ago."""
    ada = prospect(fed, 1)
    visit(fed, 1, 1, "Sold", add_user_id=1, user_id=1)  # made on 1 March at 10:00
    fed.source("genius_job", id=1, prospect_id=1, contract_amount="1000.10", contract_date="2026-03-06")
    call(fed, "long ago", "2025-11-01T12:00:00Z", ada, tracker_id="a")
    call(fed, "before", "2026-02-20T12:00:00Z", ada, tracker_id="b")
    call(fed, "last", "2026-03-01T09:59:00Z", ada, tracker_id="c")
    call(fed, "ours", "2026-03-01T09:59:30Z", ada, tracker_id="d", direction="outbound")
    call(fed, "after", "2026-03-02T12:00:00Z", ada, tracker_id="e")
    call(fed, "another", "2026-03-01T09:59:00Z", None, tracker_id="f")
    found = {tracker: row for (_, tracker, _), row in calls(fed).items()}
    assert {t: row["appointments"] for t, row in found.items() if row["appointments"]} == {"c": 1}
    assert {t: (row["jobs"], row["revenue"]) for t, row in found.items() if row["jobs"]} == {
        "c": (1, Decimal("1000.10"))
    }
    settle(fed.session)
    call(fed, "last", "2026-03-01T09:59:00Z", ada, tracker_id="c", archived=True)
    found = {tracker: row for (_, tracker, _), row in calls(fed).items()}
    assert {t: row["jobs"] for t, row in found.items() if row["jobs"]} == {"b": 1}
    assert_as_from_nothing(fed.session, CALLS)


def test_each_sale_counts_for_the_call_of_its_own_appointment_or_of_its_day(fed: FeedDatabase) -> None:
    """And each appointment once, however many CRMs tell of it."""
    ada = prospect(fed, 1, fed.source("hubspot_contact", id="h"))
    visit(fed, 1, 1, "Sold", add_user_id=1, user_id=1)  # made on 1 March at 10:00
    told = fed.source("hubspot_appointment", id="a", add_date="2026-03-02T10:00:00Z")
    fed.record(told, ada)
    visit(fed, 2, 1, "Sold", add_date="2026-08-02T10:00:00Z", appointment_date="2026-08-04")
    for number, (day, amount) in enumerate((("2026-03-06", 100), ("2026-06-10", 20), ("2026-08-04", 3)), 1):
        fed.source("genius_job", id=number, prospect_id=1, contract_amount=amount, contract_date=day)
    for key, at in (
        ("first", "2026-02-20T12:00:00Z"), ("nothing", "2026-03-07T12:00:00Z"), ("day of sale", "2026-06-10T20:00:00Z"),
        ("next day", "2026-06-11T12:00:00Z"), ("third", "2026-08-01T12:00:00Z"), ("visit", "2026-08-04T12:00:00Z"),
    ):  # fmt: skip
        call(fed, key, at, ada, tracker_id=key)
    found = {
        tracker: (row["appointments"], row["jobs"], row["revenue"])
        for (_, tracker, _), row in calls(fed).items()
        if row["appointments"] or row["jobs"]
    }
    assert found == {"first": (1, 1, 100), "day of sale": (0, 1, 20), "third": (1, 1, 3)}
    settle(fed.session)
    fed.source("genius_job", id=2, prospect_id=1, contract_amount=20, contract_date="2026-06-11")
    assert {t: row["jobs"] for (_, t, _), row in calls(fed).items() if row["jobs"]} == {
        "first": 1, "next day": 1, "third": 1,
    }  # fmt: skip
    assert_as_from_nothing(fed.session, CALLS)


def test_only_the_hours_that_changed_are_counted_again(fed: FeedDatabase) -> None:
    """A call that moves leaves its hour, one that is deleted its own; a tracker's new name is every hour's.

    In the night in which clocks are set back two hours are one.
    """
    fed.source("callrail_tracker", id="t", name="Website")
    for month in (1, 2, 3, 4):
        call(fed, f"{month}", f"2026-0{month}-10T12:00:00Z")
        call(fed, f"{month} too", f"2026-0{month}-10T13:00:00Z")
    call(fed, "summer", "2025-11-02T05:59:59Z")
    call(fed, "winter", "2025-11-02T06:00:00Z")
    calls(fed)
    settle(fed.session)
    for table, column in (("marts.touched_hour", "touched_at"), ("callrail_call", "sync_updated_at"),
                          ("callrail_tracker", "sync_updated_at")):  # fmt: skip
        fed.session.execute(f"UPDATE {table} SET {column} = '2020-01-01'")
    call(fed, "1", "2026-02-10T12:00:00Z")
    call(fed, "3", "2026-03-10T12:00:00Z", archived=True)
    call(fed, "winter", "2025-11-02T06:59:59Z")
    fed.session.execute("UPDATE marts.call_performance SET tracker = 'not read'")
    found = {(month, hour): (row["calls"], row["tracker"]) for (month, _, hour), row in calls(fed).items()}
    assert found == {
        ("2025-11", 1): (2, "Website"), ("2026-01", 8): (1, "not read"), ("2026-02", 7): (2, "Website"),
        ("2026-02", 8): (1, "not read"), ("2026-03", 9): (1, "not read"), ("2026-04", 8): (1, "not read"),
        ("2026-04", 9): (1, "not read"),
    }  # fmt: skip
    fed.source("callrail_tracker", id="t", name="Radio")
    assert {row["tracker"] for row in calls(fed).values()} == {"Radio"}
    assert_as_from_nothing(fed.session, CALLS)


@pytest.mark.slow("other causes of a change in a mart")
def test_an_hour_that_two_months_share_is_counted_as_a_whole(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Havana clocks were set back at one o'clock on the first of November, and it was midnight twice."""
    monkeypatch.setattr("warehouse_pipelines.unified.marts.activity.zone", lambda: "America/Havana")
    call(fed, "first", "2020-11-01T04:30:00Z")
    call(fed, "again", "2020-11-01T05:30:00Z")
    calls(fed)
    settle(fed.session)
    fed.session.execute("UPDATE marts.touched_hour SET touched_at = '2020-01-01'")
    call(fed, "again", "2020-11-01T05:30:00Z", answered=False)
    assert [(at, row["calls"], row["answered"]) for at, row in calls(fed).items()] == [(("2020-11", "t", 0), 2, 1)]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_conversion_whose_call_moves_leaves_its_hour(fed: FeedDatabase) -> None:
    """Also when the calls are counted between the timeline and the conversions."""
    ada = prospect(fed, 1)
    visit(fed, 1, 1, None, add_user_id=1, user_id=1)  # made on 1 March at 10:00
    call(fed, "1", "2026-01-10T12:00:00Z", ada)
    call(fed, "2", "2026-01-10T12:01:00Z")
    calls(fed)
    settle(fed.session)
    call(fed, "1", "2026-02-10T12:00:00Z", ada)
    marts.run(fed.session, ["activity_timeline", "call_performance"])
    fed.session.execute("UPDATE marts.touched_hour SET touched_at = '2020-01-01'")
    found = {month: row["appointments"] for (month, _, _), row in calls(fed).items()}
    assert found == {"2026-01": 0, "2026-02": 1}


def test_hours_are_noted_of_all_that_a_mart_of_hours_reads(fed: FeedDatabase) -> None:
    """A mart of people that has an hour notes it; a table of crm loses rows without a trace, so it may not be read."""
    for mart in MARTS:
        for table in mart.reads if mart.scope == "hours" else ():
            assert not table.startswith("crm."), mart.name
            if table.startswith("marts."):
                assert BY_NAME[table.removeprefix("marts.")].scope == "persons", mart.name
                fed.session.execute(f"SELECT month, hour FROM {table}")


@pytest.mark.slow("other causes of a change in a mart")
def test_an_appointment_that_moves_is_counted_in_the_month_of_another_call(fed: FeedDatabase) -> None:
    ada, eve = prospect(fed, 1), prospect(fed, 2)
    visit(fed, 1, 1, None, add_user_id=1, user_id=1)  # made on 1 March at 10:00
    call(fed, "January", "2026-01-10T12:00:00Z", ada)
    call(fed, "February", "2026-02-10T12:00:00Z", ada)

    def months() -> dict[str, int]:
        return {month: row["appointments"] for (month, _, _), row in calls(fed).items() if row["appointments"]}

    assert months() == {"2026-02": 1}
    settle(fed.session)
    visit(fed, 1, 1, None, add_date="2026-02-01T10:00:00Z")
    assert months() == {"2026-01": 1}
    settle(fed.session)
    call(fed, "January", "2026-01-10T12:00:00Z", eve)
    assert months() == {}
    settle(fed.session)
    visit(fed, 2, 2, None)
    assert months() == {"2026-01": 1}
    assert_as_from_nothing(fed.session, CALLS)


def test_a_call_without_a_name_is_whose_it_certainly_is(fed: FeedDatabase) -> None:
    people = []
    for number, certainty in enumerate(("certain", "likely", "household"), 1):
        people.append(prospect(fed, number))
        visit(fed, number, number, None)
        call(fed, certainty, "2026-02-28T12:00:00Z", None, tracker_id=certainty)
        fed.session.execute(
            "INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)"
            " SELECT record_id, source_table, source_key, %s, %s, 'phone_e164', '' FROM identity.record"
            " WHERE source_table = 'callrail_call' AND source_key = %s",
            [people[-1], certainty, certainty],
        )
    found = {tracker: row["appointments"] for (_, tracker, _), row in calls(fed).items()}
    assert found == {"certain": 1, "likely": 1, "household": 0}


@pytest.mark.slow("other causes of a change in a mart")
def test_zip_codes_add_up(fed: FeedDatabase) -> None:
    for number, code in enumerate(("45402", "45402", "45011", None), 1):
        prospect(fed, number, zip=code)
        visit(fed, number, number, "Sold" if number != 2 else "No sale")
        if number != 2:
            fed.source("genius_job", id=number, prospect_id=number, contract_amount=f"{number}00.10",
                       contract_date="2026-03-06")  # fmt: skip
    marts.run(fed.session, CALLS)
    names = "leads", "visits", "sold", "revenue", "win_rate"
    found = {row["zip"]: tuple(row[name] for name in names) for row in rows(fed.session, "zip_performance")}
    assert found == {
        "45402": (2, 2, 1, Decimal("100.10"), Decimal("0.5")),
        "45011": (1, 1, 1, Decimal("300.10"), Decimal(1)),
        "": (1, 1, 1, Decimal("400.10"), Decimal(1)),
    }


@pytest.mark.slow("other causes of a change in a mart")
def test_empty_tables_make_empty_marts(fed: FeedDatabase) -> None:
    marts.run(fed.session)
    for name in ("rep_performance", "call_performance", "zip_performance", "job_change_orders", "duplicates",
                 "relationships", "follow_up_recommendations"):  # fmt: skip
        assert rows(fed.session, name) == []
    assert_as_from_nothing(fed.session)


def test_a_rate_of_hundreds_is_none(fed: FeedDatabase) -> None:
    """Of a rep whose sales are told and whose visits are not; it stopped the mart."""
    ann = user(fed, genius_user(fed, 1))
    prospect(fed, 1)
    visit(fed, 1, 1, "Sold", user_id=1)
    for number in range(1, 102):
        fed.source(
            "genius_job", id=number, prospect_id=1, sold_user_id=1, contract_amount=1, contract_date="2026-03-06"
        )
    row = reps(fed)[ann]
    assert (row["sold"], row["appointments_held"], row["close_rate"]) == (101, 1, None)
