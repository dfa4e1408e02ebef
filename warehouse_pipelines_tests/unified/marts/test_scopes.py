"""A run of what changed ends as a run of everything does, and looks at nothing else."""

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.accounts import Account, expanded
from warehouse_pipelines.sources import SOURCES as DECLARED
from warehouse_pipelines.unified import columns, marts
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines.unified.marts import accounts, refresh, sums
from warehouse_pipelines.unified.marts import mart as declaration
from warehouse_pipelines.unified.marts.rows import BY_NAME
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase, Name
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows

pytestmark = pytest.mark.on_oldest(
    "test_what_changes_by_chance_is_as_from_nothing",
    "test_nothing_but_what_changed_is_computed",
    "test_duplicates_go_by_records_and_costs",
    "test_after_an_erasure_everything_is_summed",
    "test_no_run_of_marts_is_under_way_while_somebody_is_erased",
    "test_costs_go_by_the_name_that_a_source_has_now",
    "test_who_changes_the_company_loses_the_colleagues_of_before",
    "test_a_company_of_a_further_account_makes_pairs_of_whom_it_has_now",
)

MARTS = (
    "activity_timeline", "sale", "lead_journey", "lead_lifecycle", "funnel_daily", "attribution_credit", "source_roi",
    "zip_performance", "duplicates", "relationships",
)  # fmt: skip
PEOPLE, COMPANIES, HOMES = 24, 4, 5
CROWD = 52
"""People of the first company, whose groups are too large for pairs while there are more than fifty."""
SOURCES = ("Radio", "Google Ads", "Referral")


class Business:
    """People with records in several CRMs, and edits of them that chance draws."""

    def __init__(self, fed: FeedDatabase, seed: int) -> None:
        self.fed, self.chance = fed, random.Random(seed)  # noqa: S311
        one = fed.one
        self.homes = [
            (one("INSERT INTO identity.household DEFAULT VALUES RETURNING household_id")["household_id"],
             one("INSERT INTO identity.property (street, zip) VALUES (%s, '45402') RETURNING property_id",
                 [f"{n} elm st"])["property_id"])
            for n in range(HOMES)
        ]  # fmt: skip
        self.employers = [uuid.UUID(int=n + 1) for n in range(2)]
        for n, employer in enumerate(self.employers):
            fed.source("pipedesk.companies", id=str(employer), name=f"Employer {n}")
        for n in range(COMPANIES):
            fed.source("hubspot_company", id=f"c{n}")
        fed.source("hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
        for word, status in (("lead", "new"), ("customer", "won"), ("unqualified", "lost")):
            fed.session.execute(
                "INSERT INTO crm.status_mapping (source, source_status, status)"
                " VALUES ('hubspot.lifecyclestage', %s, %s) ON CONFLICT DO NOTHING",
                [word, status],
            )
        self.people: list[uuid.UUID] = []
        for n in range(PEOPLE):
            records = [self.contact(n), self.lead(n), self.prospect(n), self.bought_lead(n), self.employee(n)]
            self.people.append(fed.person(*records[: 1 + n % 5], first_name=self.draw("Ada", "Ben", "Cy"),
                                          last_name=self.draw("Example", "Novak"), zip=self.draw("45402", "43001"),
                                          phones=(f"+1206555{n:04}",),
                                          household_id=self.homes[n % HOMES][0]))  # fmt: skip
            self.employ(n)
            self.job(n)
            self.deal(n)
        for n in range(PEOPLE, PEOPLE + CROWD):
            self.fed.person(self.contact(n))
            self.associate(n, "c0")

    def draw(self, *of: Any) -> Any:
        return self.chance.choice(of)

    def contact(self, n: int) -> Name:
        return self.fed.source(
            "hubspot_contact", id=f"{n}", lead_cost=self.draw(None, "5.25", "7.50"), createdate=self.time(),
            hge_primary_source=self.draw(*SOURCES), lifecyclestage=self.draw("lead", "customer", "unqualified"),
            archived=self.chance.random() < 0.1,
        )  # fmt: skip

    def time(self) -> str:
        return f"2026-0{self.draw(1, 2, 3)}-{self.draw(10, 11, 12)}T12:00:00Z"

    def lead(self, n: int) -> Name:
        return self.fed.source(
            "genius_lead", lead_id=n, created=self.time(), dead_on=self.draw(None, "2026-04-01T00:00:00Z"),
            is_estimate_set=self.draw(True, False), lead_cost=self.draw(1, 2), archived=self.chance.random() < 0.2,
        )  # fmt: skip

    def prospect(self, n: int) -> Name:
        return self.fed.source("genius_prospect", prospect_id=n, add_date=self.time())

    def bought_lead(self, n: int) -> Name:
        for step in "ab":
            self.fed.source("leadconduit_event", id=f"{n}{step}", lead_id=f"l{n}", cost=self.draw("1.25", "2.50"))
        return self.fed.source("leadconduit_lead", lead_id=f"l{n}", outcome=self.draw("success", "failure"))

    def employee(self, n: int) -> Name:
        key = str(uuid.UUID(int=n + 100))
        return self.fed.source("pipedesk.contacts", id=key, name="x", company_id=str(self.draw(*self.employers)))

    def employ(self, n: int) -> None:
        self.associate(n, f"c{self.chance.randrange(COMPANIES)}", archived=self.chance.random() < 0.3)

    def associate(self, contact: int, company: str, **values: Any) -> None:
        self.fed.source("hubspot_contact_to_company_association", contact_id=str(contact), company_id=company,
                        association_type_id=1, **values)  # fmt: skip

    def job(self, n: int) -> None:
        self.fed.source("genius_job", id=n, prospect_id=self.chance.randrange(PEOPLE), contract_amount=f"{n}00.25",
                        contract_date=self.time()[:10], sold_user_id=1,
                        cancel_date=self.draw(None, None, "2026-05-01"))  # fmt: skip
        if n % 2:
            self.fed.source("genius_job_financing", job_id=n, co_applicant=f"{self.draw('ada', 'ben')} example")

    def deal(self, n: int) -> None:
        """A sale, which may be one with a job of somebody of the household."""
        self.fed.source("hubspot_deal", id=f"d{n}", dealstage="won", closedate=self.time(),
                        amount=self.draw(f"{n}00.25", None), archived=self.chance.random() < 0.1)  # fmt: skip
        self.fed.source("hubspot_contact_to_deal_association", contact_id=str(n), deal_id=f"d{n}",
                        association_type_id=3, archived=self.chance.random() < 0.1)  # fmt: skip

    def anybody(self) -> uuid.UUID:
        row = self.fed.one("SELECT person_id FROM identity.person ORDER BY md5(person_id::text || %s) LIMIT 1",
                           [str(self.chance.random())])  # fmt: skip
        person: uuid.UUID = row["person_id"]
        return person

    def merge(self) -> None:
        stays, goes = self.anybody(), self.anybody()
        if stays != goes:
            self.fed.join(stays, goes)

    def split(self) -> None:
        """A record becomes a person of its own, as the resolver does it: both are written."""
        of = self.fed.one("SELECT person_id, record_id FROM identity.member"
                          " ORDER BY md5(record_id::text || %s) LIMIT 1", [str(self.chance.random())])  # fmt: skip
        new = self.fed.person(first_name="Ada", last_name="Example")
        self.fed.session.execute("UPDATE identity.member SET person_id = %s, since = now() WHERE record_id = %s",
                                 [new, of["record_id"]])  # fmt: skip
        self.fed.touch(of["person_id"])

    def forget(self) -> None:
        """A record is one no more, and neither is its person when it was the last."""
        of = self.fed.one("DELETE FROM identity.record WHERE record_id = (SELECT record_id FROM identity.member"
                          " ORDER BY md5(record_id::text || %s) LIMIT 1) RETURNING source_table",
                          [str(self.chance.random())])  # fmt: skip
        assert of
        self.fed.session.execute("DELETE FROM identity.person AS p WHERE NOT EXISTS"
                                 " (SELECT FROM identity.member AS m WHERE m.person_id = p.person_id)")  # fmt: skip

    def delete_record(self) -> None:
        self.fed.session.execute("UPDATE identity.record SET deleted = NOT deleted, changed_at = now() WHERE record_id"
                                 " = (SELECT record_id FROM identity.record ORDER BY md5(record_id::text || %s)"
                                 " LIMIT 1)", [str(self.chance.random())])  # fmt: skip

    def move_house(self) -> None:
        household, property_id = self.draw(*self.homes)
        other = self.draw(household, self.draw(*self.homes)[0], None)
        self.fed.touch(self.anybody(), household_id=other, property_id=self.draw(property_id, None))

    def rename(self) -> None:
        self.fed.touch(self.anybody(), last_name=self.draw("Example", "Novak"), zip=self.draw("45402", "43001", None),
                       kind=self.draw("customer", "customer", "staff"))  # fmt: skip

    def change_company(self) -> None:
        self.fed.source("hubspot_company", id=f"c{self.chance.randrange(COMPANIES)}", archived=self.draw(True, False))
        self.fed.source("pipedesk.companies", id=str(self.draw(*self.employers)), name="x",
                        archived=self.draw(True, False))  # fmt: skip

    def thin_the_crowd(self) -> None:
        """One or two of the large company leave it, or come back."""
        for n in self.chance.sample(range(PEOPLE, PEOPLE + 6), 2):
            self.associate(n, "c0", archived=self.draw(True, False))

    def change_meaning(self) -> None:
        self.fed.session.execute(
            "UPDATE crm.status_mapping SET status = %s"
            " WHERE source = 'hubspot.lifecyclestage' AND source_status = 'lead'",
            [self.draw("new", "qualified", "lost")],
        )

    def refer(self) -> None:
        by = self.draw(f"(206) 555-{self.chance.randrange(PEOPLE):04}", str(self.anybody()), "nobody")
        self.fed.session.execute(
            "INSERT INTO crm.leads (organization_id, golden_id, source_metadata) VALUES (%s, %s,"
            " jsonb_build_object('referred_by', %s::text))",
            [ORGANIZATION, self.anybody(), by],
        )

    def unrefer(self) -> None:
        self.fed.session.execute(
            "UPDATE crm.leads SET golden_id = %s"
            " WHERE id = (SELECT id FROM crm.leads ORDER BY md5(id::text || %s) LIMIT 1)",
            [self.anybody(), str(self.chance.random())],
        )
        self.fed.session.execute("DELETE FROM crm.leads WHERE id = (SELECT id FROM crm.leads"
                                 " ORDER BY md5(id::text || %s) LIMIT 1)", [str(self.chance.random())])  # fmt: skip

    def change_phone(self) -> None:
        self.fed.touch(self.anybody(), phones=[f"+1206555{self.chance.randrange(PEOPLE):04}"],
                       record_count=self.draw(1, 2, 3))  # fmt: skip

    def edits(self) -> list[Callable[[], Any]]:
        some = range(PEOPLE)
        of_row = (
            self.contact,
            self.lead,
            self.prospect,
            self.bought_lead,
            self.employee,
            self.employ,
            self.job,
            self.deal,
        )
        return [
            *((lambda edit=edit: edit(self.chance.choice(some))) for edit in of_row),
            self.merge, self.split, self.forget, self.delete_record, self.move_house, self.move_house, self.rename,
            self.change_company, self.thin_the_crowd, self.thin_the_crowd, self.change_meaning, self.refer,
            self.unrefer, self.change_phone,
        ]  # fmt: skip


def run(fed: FeedDatabase) -> dict[str, marts.Summary]:
    """Run the marts, and let what was done until now lie before what they read the next time."""
    done = {one.name: one for one in marts.run(fed.session, MARTS)}
    fed.session.execute("UPDATE marts.position SET read_until = clock_timestamp()")
    return done


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow("the other seeds say the same")) for seed in range(1, 3))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_changes_by_chance_is_as_from_nothing(fed: FeedDatabase, seed: int) -> None:
    business = Business(fed, seed)
    run(fed)
    for turn in range(12):
        for edit in business.chance.sample(business.edits(), business.chance.randint(1, 6)):
            edit()
        done = run(fed)
        assert not [name for name, one in done.items() if one.full and name not in ("lead_lifecycle", "source_roi")]
        if turn % 3 == 2:
            assert_as_from_nothing(fed.session, MARTS)
            fed.session.execute("UPDATE marts.position SET read_until = clock_timestamp()")


def test_nothing_but_what_changed_is_computed(fed: FeedDatabase) -> None:
    """Rows that a person or lead who did not change has are left as they are, wrong as they were made here."""
    business = Business(fed, 0)
    business.associate(1, "c1")
    business.associate(2, "c1")
    run(fed)
    last = PEOPLE + CROWD - 1
    marked = {
        "lead_lifecycle": "UPDATE marts.lead_lifecycle SET lifecycle = 'not read' WHERE source_id <> %s",
        "duplicates": "INSERT INTO marts.duplicates SELECT m.person_id, 'not read', 2, 1, '{}', NULL, NULL, 0"
        " FROM identity.member AS m WHERE source_table = 'hubspot_contact' AND source_key <> %s",
        "relationships": "UPDATE marts.relationships SET reason = 'not read' WHERE reason <> %s",
    }
    for statement in marked.values():
        fed.session.execute(statement, [str(last)])
    before = {name: rows(fed.session, name) for name in marked}
    assert all(before.values())
    fed.source("hubspot_contact", id=str(last), lead_cost="9.99", createdate="2026-02-10T12:00:00Z")
    done = run(fed)
    assert done["funnel_daily"].inserted + done["funnel_daily"].updated <= 2
    assert done["zip_performance"].updated <= 1
    for name in marked:
        after = [row for row in rows(fed.session, name) if row.get("source_id") != str(last)]
        assert after == [row for row in before[name] if row.get("source_id") != str(last)], name


def test_duplicates_go_by_records_and_costs(fed: FeedDatabase) -> None:
    """A person of whom nothing but a record changed, or what a record cost, is computed again."""

    def computed() -> list[Any]:
        marts.run(fed.session, ["duplicates"])
        fed.session.execute("UPDATE marts.position SET read_until = clock_timestamp()")
        return [(row["records"], row["surplus_cost"]) for row in rows(fed.session, "duplicates")]

    names = [fed.source("leadconduit_lead", lead_id=key) for key in "abc"]
    for key in "abc":
        fed.source("leadconduit_event", id=key, lead_id=key, cost="1.25")
    fed.person(*names)
    assert computed() == [(3, Decimal("2.50"))]
    fed.source("leadconduit_event", id="b", lead_id="b", cost="2.00")
    assert computed() == [(3, Decimal("3.25"))]
    fed.session.execute("UPDATE identity.record SET deleted = true, changed_at = now() WHERE source_key = 'b'")
    assert computed() == [(2, Decimal("1.25"))]
    fed.session.execute("DELETE FROM identity.record WHERE source_key = 'c'")
    assert computed() == []


def test_more_rows_than_are_kept_are_all_summed_again(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    Business(fed, 0)
    run(fed)
    monkeypatch.setattr(sums, "MOST", 0)
    fed.source("hubspot_contact", id=str(PEOPLE), createdate="2026-02-20T12:00:00Z", archived=False)
    done = run(fed)
    assert done["lead_journey"].updated == 1
    assert done["funnel_daily"].full
    assert fed.one("SELECT count(*) AS n FROM marts.changed_row")["n"] == 0
    assert_as_from_nothing(fed.session, MARTS)


def test_what_a_failed_run_did_not_sum_is_summed_by_the_next(fed: FeedDatabase) -> None:
    """The rows wait in the warehouse, whichever marts are run meanwhile."""
    business = Business(fed, 0)
    run(fed)
    for turn in range(3):
        business.contact(turn)
        marts.run(fed.session, ["activity_timeline", "sale", "lead_journey"])
    assert fed.one("SELECT count(*) AS n FROM marts.changed_row WHERE reader = 'funnel_daily'")["n"] > 2
    assert not run(fed)["funnel_daily"].full
    assert_as_from_nothing(fed.session, MARTS)


def test_rows_do_not_wait_without_end(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a mart that nobody runs it is kept that everything is to be summed, once."""
    Business(fed, 0)
    run(fed)
    monkeypatch.setattr(sums, "MOST_WAITING", 3)
    for turn in range(4):
        fed.source("hubspot_contact", id=str(PEOPLE), createdate=f"2026-02-2{turn}T12:00:00Z", archived=False)
        marts.run(fed.session, ["activity_timeline", "sale", "lead_journey"])
    waiting = fed.all("SELECT reader, weight FROM marts.changed_row ORDER BY reader")
    assert [(row["reader"], row["weight"]) for row in waiting] == [("funnel_daily", 0), ("zip_performance", 0)]
    assert run(fed)["funnel_daily"].full
    assert_as_from_nothing(fed.session, MARTS)


def test_after_an_erasure_everything_is_summed(fed: FeedDatabase) -> None:
    """It replaces names in marts too, so what was counted under them is not known any more."""
    Business(fed, 0)
    run(fed)
    with fed.session.transaction():
        fed.session.execute("SET LOCAL warehouse.erasing = on")
        fed.session.execute("DELETE FROM identity.record WHERE source_table = 'hubspot_contact' AND source_key = '1'")
    done = run(fed)
    assert done["funnel_daily"].full
    assert done["relationships"].full
    assert_as_from_nothing(fed.session, MARTS)


JOURNEYS = ("activity_timeline", "sale", "lead_journey")


def waiting(fed: FeedDatabase) -> dict[str, set[int]]:
    """Return the weights of what waits, by the mart that is to sum it."""
    found: dict[str, set[int]] = {}
    for row in fed.all("SELECT reader, weight FROM marts.changed_row"):
        found.setdefault(row["reader"], set()).add(row["weight"])
    return found


ALL_ARE_SUMMED = {"funnel_daily": {0}, "zip_performance": {0}}


def test_nothing_of_whom_was_erased_is_kept_by_the_run_that_deletes_it(fed: FeedDatabase) -> None:
    business = Business(fed, 0)
    run(fed)
    erasure.erase(fed.session, "person", str(business.people[0]), [business.people[0]], erased_by="test")
    done = {one.name: one for one in marts.run(fed.session, JOURNEYS)}
    assert done["lead_journey"].deleted == 1
    assert waiting(fed) == ALL_ARE_SUMMED
    run(fed)
    assert_as_from_nothing(fed.session, MARTS)


def test_no_run_of_marts_is_under_way_while_somebody_is_erased(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would bring rows of theirs back that it has read before."""
    business = Business(fed, 0)
    free: list[bool] = []

    def ask(session: Any) -> None:
        with warehouse.connect(fed.url) as other, other.transaction():
            row = other.execute(refresh.LOCK.replace("pg_advisory", "pg_try_advisory") + " AS free").fetchone()
            free.append(bool(row and row["free"]))

    monkeypatch.setattr(sums, "forget_rows", ask)
    erasure.erase(fed.session, "person", str(business.people[0]), [business.people[0]], erased_by="test")
    assert free == [False]


def test_an_erasure_keeps_no_rows_that_wait(fed: FeedDatabase) -> None:
    business = Business(fed, 0)
    run(fed)
    fed.source("hubspot_contact", id="0", createdate="2026-02-20T12:00:00Z", archived=False)
    marts.run(fed.session, JOURNEYS)
    assert waiting(fed) == {"funnel_daily": {-1, 1}, "zip_performance": {-1, 1}}
    erasure.plan(fed.session, "person", str(business.people[0]), [business.people[0]])
    assert waiting(fed) == {"funnel_daily": {-1, 1}, "zip_performance": {-1, 1}}
    erasure.erase(fed.session, "person", str(business.people[0]), [business.people[0]], erased_by="test")
    assert waiting(fed) == ALL_ARE_SUMMED
    run(fed)
    assert_as_from_nothing(fed.session, MARTS)


def test_rows_that_are_deleted_count_among_those_that_are_kept(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    business = Business(fed, 0)
    run(fed)
    monkeypatch.setattr(sums, "MOST", 1)
    for person in business.people[:2]:
        fed.session.execute("DELETE FROM identity.person WHERE person_id = %s", [person])
    done = {one.name: one for one in marts.run(fed.session, JOURNEYS)}
    assert done["lead_journey"].deleted == 2
    assert waiting(fed) == ALL_ARE_SUMMED
    assert run(fed)["funnel_daily"].full
    assert_as_from_nothing(fed.session, MARTS)


def test_costs_go_by_the_name_that_a_source_has_now(fed: FeedDatabase) -> None:
    fed.session.execute(
        "INSERT INTO crm.lead_source_costs (organization_id, source, month, amount)"
        " VALUES (%s, 'Example Radio', '2026-02-01', 300)",
        [ORGANIZATION],
    )

    def spent() -> list[tuple[str, Decimal]]:
        run(fed)
        return [(row["source"], row["spent"]) for row in rows(fed.session, "source_roi")]

    assert spent() == [("example radio", Decimal(300))]
    fed.session.execute("INSERT INTO crm.lead_source_alias (spelling, source) VALUES ('example radio', 'radio')")
    assert spent() == [("radio", Decimal(300))]
    assert_as_from_nothing(fed.session, MARTS)


def pairs(fed: FeedDatabase, *, full: bool = False) -> set[tuple[frozenset[uuid.UUID], str]]:
    """Run the mart of pairs, of what changed unless ``full``, and return its pairs with their groups."""
    (done,) = marts.run(fed.session, ["relationships"])
    fed.session.execute("UPDATE marts.position SET read_until = clock_timestamp()")
    assert done.full == full
    return {(frozenset((row["a_id"], row["b_id"])), row["via"]) for row in rows(fed.session, "relationships")}


def test_who_changes_the_company_loses_the_colleagues_of_before(fed: FeedDatabase) -> None:
    old, new = (str(uuid.UUID(int=n + 1)) for n in range(2))
    for company in (old, new):
        fed.source("pipedesk.companies", id=company, name="x")

    def employ(n: int, company: str | None) -> Name:
        return fed.source("pipedesk.contacts", id=str(uuid.UUID(int=n)), name="x", company_id=company)

    ada, ben, cy = (fed.person(employ(n, new if n == 2 else old)) for n in range(3))
    in_old, in_new = f"pipedesk.companies {old}", f"pipedesk.companies {new}"
    assert pairs(fed, full=True) == {(frozenset((ada, ben)), in_old)}
    employ(0, new)
    assert pairs(fed) == {(frozenset((ada, cy)), in_new)}
    employ(0, None)
    assert pairs(fed) == set()
    employ(0, old)
    assert pairs(fed) == {(frozenset((ada, ben)), in_old)}
    assert_as_from_nothing(fed.session, ["relationships"])


@pytest.fixture
def west(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    """A second account of HubSpot, declared for the mart of pairs; what stands before the names of its tables."""
    sources = expanded(DECLARED, [Account("hubspot", "west")])
    made = [
        entity for entity in sources[-1].entities if entity.table_name.endswith(("contact", "company", "association"))
    ]
    fed.session.execute("CREATE SCHEMA hubspot_west")
    for entity in made:
        fed.session.execute(f"CREATE TABLE {entity.table} (LIKE public.{entity.table_name} INCLUDING ALL)")
    entities = {**columns.entities(), **{entity.table: entity for entity in made}}
    monkeypatch.setattr(columns, "entities", lambda: entities)
    monkeypatch.setattr(accounts, "SOURCES", sources)
    monkeypatch.setattr(declaration, "SOURCES", sources)
    monkeypatch.setitem(BY_NAME, "relationships", replace(BY_NAME["relationships"]))
    monkeypatch.setitem(BY_TABLE, "hubspot_west.hubspot_contact", BY_TABLE["hubspot_contact"])
    return "hubspot_west."


def test_a_company_of_a_further_account_makes_pairs_of_whom_it_has_now(fed: FeedDatabase, west: str) -> None:
    """One id is another company in each account."""

    def contact(schema: str, n: int) -> uuid.UUID:
        return fed.person(fed.source(f"{schema}hubspot_contact", id=str(n)))

    def work(schema: str, n: int, **values: Any) -> None:
        fed.source(f"{schema}hubspot_contact_to_company_association", contact_id=str(n), company_id="a",
                   association_type_id=1, **values)  # fmt: skip

    for schema in ("", west):
        fed.source(f"{schema}hubspot_company", id="a")
        contact(schema, 9)
    ada, ben, cy = (contact(west, n) for n in range(3))
    work("", 9)
    work(west, 0)
    work(west, 1)
    via = f"{west}hubspot_company a"
    assert pairs(fed, full=True) == {(frozenset((ada, ben)), via)}
    work(west, 2)
    assert pairs(fed) == {(frozenset(pair), via) for pair in ((ada, ben), (ada, cy), (ben, cy))}
    work(west, 0, archived=True)
    assert pairs(fed) == {(frozenset((ben, cy)), via)}
    fed.source(f"{west}hubspot_company", id="a", archived=True)
    assert pairs(fed) == set()
    assert_as_from_nothing(fed.session, ["relationships"])


def test_a_company_of_many_stays_one_though_each_is_of_it_in_several_ways(fed: FeedDatabase) -> None:
    """HubSpot has a row for each label that a contact has in a company."""
    fed.source("hubspot_company", id="a")
    for n in range(CROWD):
        fed.person(fed.source("hubspot_contact", id=str(n)))
        for label in range(5):
            fed.source("hubspot_contact_to_company_association", contact_id=str(n), company_id="a",
                       association_type_id=label)  # fmt: skip
    assert pairs(fed, full=True) == set()
    fed.source("hubspot_company", id="b")
    (done,) = marts.run(fed.session, ["relationships"])
    assert (done.full, done.persons) == (False, 0)
