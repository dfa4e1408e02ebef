"""The marts that answer, against the truth of the simulated population: exact counts, and money to the cent."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.simulators.callrail import formulas
from warehouse_pipelines.simulators.callrail.account import Account
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.genius.business import price_of
from warehouse_pipelines.simulators.genius.rows import Rows
from warehouse_pipelines.unified import marts
from warehouse_pipelines_tests.harness.mart_rows import Row, assert_as_from_nothing, rows
from warehouse_pipelines_tests.harness.simulated_business import fill, number_of, person_id

PEOPLE = 100
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
JOBS, ORDERS, APPOINTMENTS = PEOPLE // 4, PEOPLE // 5, PEOPLE // 2
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow("the other seeds say the same")) for seed in range(1, 4))]


class Business:
    """A warehouse of one seed: Genius, HubSpot, MarketSharp, CallRail's calls, Genius' users, and their marts."""

    def __init__(self, url: str, seed: int) -> None:
        self.population = Population(seed, PEOPLE)
        self.journeys = Journeys(self.population, PEOPLE, MS)
        self.genius = Rows(self.population, PEOPLE, NOW.replace(tzinfo=None))
        self.session = warehouse.connect(url)
        fill(self.session, self.population, PEOPLE, NOW)
        self._add_words()
        self.users = {number: self._add_user(number) for number in range(1, journey.GENIUS_USERS + 1)}
        self.calls = self._add_calls(Account(self.population, PEOPLE, MS))
        marts.run(self.session)

    def _add_words(self) -> None:
        for table, label in (("status", "Draft Signed Void"), ("reason", "Request Damage Measured Price")):
            for number, word in enumerate(label.split(), 1):
                self.session.execute(
                    f"INSERT INTO genius_job_change_order_{table} (id, label, raw_data)"
                    f" VALUES (%s, %s, '{{}}')".encode(),
                    [number, word],
                )

    def _add_user(self, number: int) -> str:
        self.session.execute("INSERT INTO genius_user (user_id, raw_data) VALUES (%s, '{}')", [number])
        return self._own("genius_user", str(number), person_id(900_000 + number), "staff", f"User {number}")

    def _own(self, table: str, key: str, person: str, kind: str, name: str | None = None) -> str:
        self.session.execute(
            "INSERT INTO identity.person (person_id, kind, display_name, record_count, source_tables)"
            " VALUES (%s, %s, %s, 1, '{}') ON CONFLICT DO NOTHING",
            [person, kind, name],
        )
        self.session.execute(
            "WITH made AS (INSERT INTO identity.record (source_table, source_key, kind, fingerprint)"
            " VALUES (%s, %s, %s, 'x') RETURNING record_id)"
            " INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
            " SELECT record_id, %s, %s, %s FROM made",
            [table, key, kind, person, table, key],
        )
        return person

    def _add_calls(self, account: Account) -> list[dict[str, Any]]:
        """Write the calls, each of the person who made it, and return them."""
        made = []
        for number in range(account.calls.count):
            call = formulas.call(account, number, "objects")
            person = formulas._caller(account, number).number
            given = {
                name: call[name] for name in ("id", "tracker_id", "direction", "answered", "voicemail", "first_call")
            }
            given["start_time"] = datetime.fromisoformat(call["start_time"])
            self.session.execute(
                f"INSERT INTO callrail_call ({', '.join(given)}, raw_data)"
                f" VALUES ({', '.join(f'%({name})s' for name in given)}, '{{}}')".encode(),
                given,
            )
            self._own("callrail_call", call["id"], person_id(person), "customer")
            made.append({**given, "person": person})
        return made


@pytest.fixture(params=SEEDS)
def business(request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Business]:
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "UTC")
    found = Business(database_url, request.param)
    yield found
    found.session.close()


def test_answers_are_those_of_the_population(business: Business) -> None:
    """In one test, because what is dear is to write the rows."""
    orders = _change_orders(business)
    _compare_change_orders(business, orders)
    _compare_reps(business, orders)
    _compare_duplicates(business)
    _compare_calls(business)
    _compare_zips(business)
    assert_as_from_nothing(business.session)


def _change_orders(business: Business) -> dict[int, list[Decimal]]:
    """Return the amounts of the change orders that are signed, by job."""
    found = defaultdict(list)
    for number in range(1, ORDERS + 1):
        row = business.genius._job_change_order(number)
        if row["status_id"] == 2:
            found[row["job_id"]].append(Decimal(row["total_amount"]))
    return found


def _compare_change_orders(business: Business, orders: dict[int, list[Decimal]]) -> None:
    told = {row["job_id"]: row for row in rows(business.session, "job_change_orders")}
    assert told.keys() == orders.keys()
    for job, amounts in orders.items():
        price, row = Decimal(price_of(job)), told[job]
        assert (row["contract_amount"], row["changed_amount"], row["change_orders"]) == (
            price, sum(amounts), len(amounts),
        )  # fmt: skip
        assert row["passes_limit"] == (abs(sum(amounts, Decimal())) > price / 10), job
        assert number_of(row["person_id"]) == 4 * job
        assert row["rep_id"] == business.users[journey.genius_user(4 * job)]


def _held(business: Business, appointment: int) -> bool:
    """Whether HubSpot or MarketSharp says that it is over, or Genius that somebody was there."""
    person = 2 * appointment
    row = business.genius._appointment(appointment)
    told = row["is_complete"] and row["complete_outcome_id"] in (1, 2, 3)  # sold, follow up, no sale
    in_hubspot = appointment < APPOINTMENTS
    over = business.journeys.visit(person) // 900_000 * 900_000 < MS
    return bool(told or (in_hubspot and (journey.sold(person) or over)))


def _compare_reps(business: Business, orders: dict[int, list[Decimal]]) -> None:
    told = {row["rep_id"]: row for row in rows(business.session, "rep_performance")}
    jobs = range(1, JOBS + 1)
    for number, rep in business.users.items():
        made = sum(business.genius.user(n) == number for n in range(1, APPOINTMENTS + 1))
        held = sum(journey.genius_user(2 * n) == number and _held(business, n) for n in range(1, APPOINTMENTS + 1))
        own = [job for job in jobs if journey.genius_user(4 * job) == number]
        kept = [job for job in own if job % 12 != 5]
        lost = [job for job in own if job % 12 == 5]
        row = told.get(rep)
        names = (
            "appointments_set", "appointments_held", "sold", "revenue", "cancelled", "cancelled_amount",
            "change_orders", "change_order_amount",
        )  # fmt: skip
        wanted = (
            made, held, len(kept), sum(Decimal(price_of(job)) for job in kept), len(lost),
            sum(Decimal(price_of(job)) for job in lost), sum(len(orders.get(job, ())) for job in own),
            sum((sum(orders.get(job, ())) for job in own), Decimal()),
        )  # fmt: skip
        assert row is None or tuple(row[name] for name in names) == wanted, number
        assert row is not None or not any(wanted), number


def _compare_duplicates(business: Business) -> None:
    cost = {
        row["id"]: row["lead_cost"] for row in business.session.execute("SELECT id, lead_cost FROM hubspot_contact")
    }
    wanted = {
        journey.original(number): cost[str(journey.HUBSPOT_CONTACT + number)] or 0
        for number in range(PEOPLE)
        if journey.is_double(number)
    }
    told = {number_of(row["person_id"]): row for row in rows(business.session, "duplicates")}
    assert {person: row["surplus_cost"] for person, row in told.items()} == wanted
    assert {(row["source_table"], row["records"]) for row in told.values()} == {("hubspot_contact", 2)}


def _compare_calls(business: Business) -> None:
    told = {(row["month"], row["tracker_id"], row["hour"]): row for row in rows(business.session, "call_performance")}
    wanted: dict[Any, Counter[str]] = defaultdict(Counter)
    place = {}
    for call in business.calls:
        at = call["start_time"].astimezone(UTC)
        place[call["id"]] = at.date().replace(day=1), call["tracker_id"], at.hour
        count = wanted[place[call["id"]]]
        if call["direction"] == "outbound":
            count["outbound"] += 1
            continue
        count["calls"] += 1
        count["answered"] += call["answered"]
        count["voicemails"] += call["voicemail"]
        count["first_calls"] += call["first_call"]
    money: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows(business.session, "lead_journey"):
        last = _last_call(business, row)
        if last is not None:
            wanted[place[last]]["appointments"] += row["appointment_at"] is not None
            wanted[place[last]]["jobs"] += row["jobs"]
            money[place[last]] += row["sold_amount"]
    names = "calls", "answered", "voicemails", "first_calls", "outbound", "appointments", "jobs"
    assert {key: tuple(row[name] for name in names) for key, row in told.items()} == {
        key: tuple(count[name] for name in names) for key, count in wanted.items()
    }
    assert {key: row["revenue"] for key, row in told.items() if row["revenue"]} == {
        key: amount for key, amount in money.items() if amount
    }
    assert sum(row["appointments"] for row in told.values()) > PEOPLE // 10


def _last_call(business: Business, row: Row) -> str | None:
    until = row["appointment_at"] or row["sold_at"]
    own = [
        (call["start_time"], call["id"])
        for call in business.calls
        if call["person"] == number_of(row["person_id"]) and call["direction"] == "inbound"
        if until is not None and until - timedelta(days=90) < call["start_time"] <= until
    ]
    return max(own)[1] if own else None


def _compare_zips(business: Business) -> None:
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(business.session, "lead_journey"):
        count = wanted[business.population.person(number_of(row["person_id"])).place.zip]
        count["leads"] += 1
        count["visits"] += row["visited_at"] is not None
        count["sold"] += row["sold_at"] is not None
        count["revenue"] += row["sold_amount"]
    told = {row["zip"]: row for row in rows(business.session, "zip_performance")}
    names = "leads", "visits", "sold", "revenue"
    assert {code: tuple(row[name] for name in names) for code, row in told.items()} == {
        code: tuple(count[name] for name in names) for code, count in wanted.items()
    }
