"""The marts against the truth of the simulated population: times of each stage, counts, and money to the cent."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.genius.business import price_of
from warehouse_pipelines.unified import marts
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows
from warehouse_pipelines_tests.harness.simulated_business import fill, number_of

PEOPLE = 100
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)


class Known:
    """A warehouse with the rows of one seed, its marts, and the truth."""

    def __init__(self, url: str, seed: int) -> None:
        self.population = Population(seed, PEOPLE)
        self.journeys = Journeys(self.population, PEOPLE, MS)
        self.session = warehouse.connect(url)
        fill(self.session, self.population, PEOPLE, NOW)
        marts.run(self.session)

    def one(self, query: str) -> dict[str, Any]:
        found = self.session.execute(query.encode()).fetchone()
        assert found is not None
        return found

    def at(self, person: int, lag: int) -> datetime:
        return datetime.fromtimestamp(self.journeys.after(person, lag) / 1000, UTC)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow("the other seeds say the same")) for seed in range(1, 4))]


@pytest.fixture(params=SEEDS)
def known(request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Known]:
    monkeypatch.setenv("WAREHOUSE_TIME_ZONE", "UTC")
    found = Known(database_url, request.param)
    yield found
    found.session.close()


def test_journeys_sales_and_money_are_those_of_the_population(known: Known) -> None:
    """In one test, because what is dear is to write the rows."""
    jobs = {4 * number: number for number in range(1, PEOPLE // 4 + 1)}
    cancelled = {person for person, number in jobs.items() if number % 12 == 5}
    told = {number_of(row["person_id"]): row for row in rows(known.session, "lead_journey")}
    visited = {2 * number for number in range(1, PEOPLE // 2 + 1)}
    for person, row in told.items():
        if person in visited:
            # Genius keeps whole seconds, HubSpot milliseconds.
            assert row["appointment_at"] == known.at(person, journey.APPOINTMENT).replace(microsecond=0), person
        if 0 < person < PEOPLE:
            first = known.at(person, journey.LEAD).replace(microsecond=0)
            if not journey.is_double(person):
                first = min(first, known.at(person, journey.CONTACT))
            assert row["lead_at"] == first, person
    for person, number in jobs.items():
        row = told[person]
        if person in cancelled:
            continue
        assert row["sold_at"].date() == known.at(person, journey.SALE).date(), person
        finished = known.journeys.first(person) + journey.INSTALLED
        assert (row["installed_at"] is not None) == (finished < MS), person
        assert (row["paid_at"] is not None) == (finished < MS and known.journeys.first(person) + journey.PAID < MS)
        assert row["paid_amount"] == (Decimal(price_of(number)) if row["paid_at"] else 0)
    _compare_sales(known, jobs, cancelled)
    _compare_sums(known)
    assert_as_from_nothing(known.session)


def _compare_sales(known: Known, jobs: dict[int, int], cancelled: set[int]) -> None:
    """A person has as many sales as the CRM that knows of most of them; Genius' contracts are what they are worth."""
    told: dict[int, dict[str, list[tuple[datetime, Decimal | None]]]] = defaultdict(lambda: defaultdict(list))
    for row in known.session.execute(
        "SELECT person_id, crm_source, occurred_at, amount FROM marts.activity_timeline WHERE kind IN ('job', 'sale')"
        " ORDER BY occurred_at, source_key"
    ).fetchall():
        told[number_of(row["person_id"])][row["crm_source"]].append((row["occurred_at"], row["amount"]))
    sales = defaultdict(list)
    for row in rows(known.session, "sale"):
        sales[number_of(row["person_id"])].append(row)
    assert {person: len(found) for person, found in sales.items()} == {
        person: max(len(of_crm) for of_crm in crms.values()) for person, crms in told.items()
    }
    by_contract = {
        person: row for person, found in sales.items() for row in found if row["source_table"] == "genius_job"
    }
    assert by_contract.keys() == jobs.keys()
    for person, number in jobs.items():
        assert by_contract[person]["amount"] == Decimal(price_of(number)), person
        assert by_contract[person]["is_standing"] == (person not in cancelled), person
        others = {crm for crm, found in told[person].items() if crm != "genius"}
        assert {record.split("_")[0] for record in by_contract[person]["records"]} == others | {"genius"}, person


def _compare_sums(known: Known) -> None:
    money = known.one(
        "SELECT sum(amount) FILTER (WHERE is_standing) AS m, count(*) FILTER (WHERE is_standing) AS n FROM marts.sale"
    )
    funnel = known.one(
        "SELECT sum(leads) AS leads, sum(sold) AS sold, sum(sold_amount) AS m, sum(cohort_sold_amount) AS c"
        " FROM marts.funnel_daily"
    )
    journeys = known.one("SELECT count(*) AS leads, count(sold_at) AS sold FROM marts.lead_journey")
    assert (funnel["leads"], funnel["sold"]) == (journeys["leads"], journeys["sold"])
    assert funnel["m"] == funnel["c"] == money["m"]
    roi = known.one(
        "SELECT sum(sold_first) AS f, sum(sold_last) AS l, sum(sold_linear) AS a, sum(revenue_first) AS rf,"
        " sum(revenue_last) AS rl, sum(revenue_linear) AS ra, sum(leads_linear) AS leads FROM marts.source_roi"
    )
    assert roi["f"] == roi["l"] == roi["a"] == money["n"]
    assert roi["rf"] == roi["rl"] == roi["ra"] == money["m"]
    assert roi["leads"] == journeys["leads"]


@pytest.mark.parametrize(
    "known", [3, pytest.param(11, marks=pytest.mark.slow("the other seeds say the same"))], indirect=True
)
def test_what_changes_later_is_as_from_nothing(known: Known) -> None:
    """Records are edited, deleted, restored, people merged and split: the marts are those of a run of everything."""
    chance = random.Random(7)  # noqa: S311
    session = known.session
    tables = ("genius_job", "hubspot_deal", "marketsharp_job", "genius_appointment", "hubspot_contact", "genius_lead")
    for turn in range(4):
        for table in tables:
            key = "lead_id" if table == "genius_lead" else "appointment_id" if table == "genius_appointment" else "id"
            session.execute(
                f"UPDATE {table} SET archived = NOT archived, sync_updated_at = now() WHERE {key} IN"
                f" (SELECT {key} FROM {table} ORDER BY md5({key}::text || %s) LIMIT 5)".encode(),
                [str(turn)],
            )
        session.execute(
            "UPDATE genius_job SET contract_amount = contract_amount + 0.01, contract_date = contract_date - 3,"
            " sync_updated_at = now() WHERE id %% 5 = %s",
            [turn],
        )
        one, other = (str(row["person_id"]) for row in session.execute(
            "SELECT person_id FROM identity.person ORDER BY md5(person_id::text || %s) LIMIT 2", [str(chance.random())]
        ).fetchall())  # fmt: skip
        if turn % 2 == 0:  # merged
            session.execute(
                "UPDATE identity.member SET person_id = %s, since = now() WHERE person_id = %s", [one, other]
            )
            session.execute("DELETE FROM identity.person WHERE person_id = %s", [other])
            session.execute(
                "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'merged')", [other, one]
            )
        else:  # split: a record becomes somebody of its own
            session.execute(
                "WITH made AS (INSERT INTO identity.person (kind, record_count, source_tables)"
                " VALUES ('customer', 1, '{}') RETURNING person_id) UPDATE identity.member SET person_id ="
                " (SELECT person_id FROM made), since = now() WHERE record_id IN (SELECT record_id FROM identity.member"
                " WHERE person_id = %s ORDER BY source_table LIMIT 1)",
                [one],
            )
        marts.run(session)
        assert_as_from_nothing(session)


def test_the_indexes_of_a_mart_are_there_after_its_first_rows(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run of many rows drops what it would fill row by row, and makes it again. A later one does not."""
    monkeypatch.setattr("warehouse_pipelines.unified.bulk.MANY", 1)
    listed = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'marts' ORDER BY 2"
    oid = "SELECT 'marts.activity_timeline_person'::regclass::oid AS oid"
    with warehouse.connect(database_url) as session:
        fill(session, Population(0, 12), 12, NOW)
        before, old = session.execute(listed).fetchall(), session.execute(oid).fetchone()
        with warehouse.connect(database_url) as reader, reader.transaction():
            reader.execute("SELECT FROM marts.activity_timeline")
            marts.run(session)
            assert session.execute(oid).fetchone() == old, "nobody is waited for"
        for table in ("activity_timeline", "position", "touched_person", "touched_hour"):
            session.execute(f"TRUNCATE marts.{table}")
        marts.run(session)
        first = session.execute(oid).fetchone()
        assert first != old
        marts.run(session, full=True)
        assert session.execute(oid).fetchone() == first
        assert session.execute(listed).fetchall() == before
