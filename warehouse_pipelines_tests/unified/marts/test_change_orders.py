"""``marts.job_change_orders``: which change orders count, by how much they change a contract, and whose job it is."""

from decimal import Decimal
from typing import Any

from warehouse_pipelines.unified import marts
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows, settle


def jobs(fed: FeedDatabase) -> dict[int, Row]:
    marts.run(fed.session, ["job_change_orders"])
    return {row["job_id"]: row for row in rows(fed.session, "job_change_orders")}


def job(fed: FeedDatabase, number: int, amount: Any, **values: Any) -> None:
    fed.source("genius_job", **{"id": number, "contract_amount": amount, "contract_date": "2026-03-01", **values})


def order(fed: FeedDatabase, number: int, of: int, amount: Any, **values: Any) -> None:
    fed.source("genius_job_change_order", id=number, job_id=of, total_amount=amount, **values)


def test_more_than_a_tenth_passes_the_limit_up_or_down(fed: FeedDatabase) -> None:
    for number, amount in enumerate(("100.00", "100.01", "-100.00", "-100.01"), 1):
        job(fed, number, 1000)
        order(fed, number, number, amount)
    assert {number: row["passes_limit"] for number, row in jobs(fed).items()} == {1: False, 2: True, 3: False, 4: True}


def test_several_orders_add_up_to_the_cent(fed: FeedDatabase) -> None:
    job(fed, 1, "999.99")
    for number, amount in enumerate(("50.10", "-20.05", "70.07"), 1):
        order(fed, number, 1, amount, effective_date=f"2026-03-0{number}")
    row = jobs(fed)[1]
    assert (row["change_orders"], row["changed_amount"], row["added_amount"], row["deducted_amount"]) == (
        3, Decimal("100.12"), Decimal("120.17"), Decimal("-20.05"),
    )  # fmt: skip
    assert (row["changed_share"], row["passes_limit"]) == (Decimal("0.1001"), True)
    assert (str(row["first_on"]), str(row["last_on"])) == ("2026-03-01", "2026-03-03")


def test_void_drafted_and_cancelled_orders_do_not_count(fed: FeedDatabase) -> None:
    for number, label in enumerate(("Draft", "Signed", "VOID", "Voided by the office"), 1):
        fed.source("genius_job_change_order_status", id=number, label=label)
        job(fed, number, 1000)
        order(fed, number, number, 500, status_id=number)
    job(fed, 5, 1000)
    order(fed, 5, 5, 500, cancel_date="2026-03-02T00:00:00Z")
    job(fed, 6, 1000)
    order(fed, 6, 6, 500, archived=True)
    job(fed, 7, 1000, archived=True)
    order(fed, 7, 7, 500)
    # "Voided" is another word than "void", and nobody said that it does not count.
    assert set(jobs(fed)) == {2, 4}


def test_whose_job_it_is(fed: FeedDatabase) -> None:
    """Who sold it, else whose it is; by the CRM's own id where nobody is known, and nobody where none is named."""
    seller = fed.person(fed.source("genius_user", user_id=7), kind="staff", display_name="Ann Example")
    customer = fed.person(fed.source("genius_prospect", prospect_id=4), display_name="Ada")
    job(fed, 1, 1000, sold_user_id=7, user_id=8, prospect_id=4)
    job(fed, 2, 1000, user_id=8)
    job(fed, 3, 1000)
    for number in (1, 2, 3):
        order(fed, number, number, 1)
    found = jobs(fed)
    assert [(found[n]["rep_id"], found[n]["rep"]) for n in (1, 2, 3)] == [
        (str(seller), "Ann Example"), ("genius_user 8", None), (None, None),
    ]  # fmt: skip
    assert [found[n]["person_id"] for n in (1, 2)] == [customer, None]


def test_a_contract_without_an_amount_has_no_share(fed: FeedDatabase) -> None:
    job(fed, 1, None, job_value=2000)
    job(fed, 2, None)
    job(fed, 3, 0)
    job(fed, 4, 0)
    for number, amount in ((1, 100), (2, 100), (3, 0), (4, 1)):
        order(fed, number, number, amount)
    found = jobs(fed)
    assert [found[n]["changed_share"] for n in (1, 2, 3, 4)] == [Decimal("0.05"), None, None, None]
    assert [found[n]["passes_limit"] for n in (1, 2, 3, 4)] == [False, True, False, True]


def test_what_changes_later_is_as_from_nothing(fed: FeedDatabase) -> None:
    job(fed, 1, 1000)
    order(fed, 1, 1, 500)
    jobs(fed)
    settle(fed.session)
    order(fed, 1, 1, 50)
    job(fed, 2, 1000)
    order(fed, 2, 2, 200)
    found = jobs(fed)
    assert {n: row["changed_amount"] for n, row in found.items()} == {1: 50, 2: 200}
    assert_as_from_nothing(fed.session, ["job_change_orders"])


def test_no_orders_no_rows(fed: FeedDatabase) -> None:
    job(fed, 1, 1000)
    assert jobs(fed) == {}


def test_a_job_of_which_only_the_entry_is_known_is_of_the_day_here(fed: FeedDatabase) -> None:
    """As in the timeline: late in the evening it is the next day in UTC."""
    job(fed, 1, 1000, contract_date=None, add_date="2026-04-01T03:30:00Z")
    order(fed, 1, 1, 100)
    assert str(jobs(fed)[1]["sold_on"]) == "2026-03-31"
