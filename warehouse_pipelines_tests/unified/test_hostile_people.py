"""What nobody should do to people and their leads: decide against oneself, at a time, with clocks that go wrong."""

import contextlib
import random
import threading
import uuid
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified import decisions, erasure, export, resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

PHONE, OTHER_PHONE = "+12162230101", "+12162230102"
FAR = "2999-01-01T00:00:00Z"
OTHER_SEEDS = pytest.mark.slow("the other seeds say the same")


def contact(fed: FeedDatabase, number: int, **values: Any) -> str:
    given = {"firstname": "Ada", "lastname": "Example", "email": f"ada{number}@example.com", **values}
    fed.source("hubspot_contact", id=str(number), **given)
    return f"hubspot_contact:{number}"


def people(fed: FeedDatabase) -> set[frozenset[str]]:
    found = fed.all("SELECT array_agg(source_key) AS keys FROM identity.member GROUP BY person_id")
    return {frozenset(row["keys"]) for row in found}


def unify(fed: FeedDatabase, *, full: bool = False) -> None:
    resolve.run(fed.session, full=full)
    fed.feed(full=full)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=OTHER_SEEDS) for seed in (1, 2))])
def test_decisions_that_contradict_end_as_a_run_from_nothing(fed: FeedDatabase, seed: int) -> None:
    """Confirmed, rejected, split and withdrawn in any order: each is done or refused in a sentence."""
    chance = random.Random(seed)  # noqa: S311
    names = [contact(fed, number, phone_e164=PHONE if number < 3 else OTHER_PHONE) for number in range(5)]
    resolve.run(fed.session)
    for _ in range(12):
        a, b = chance.choice(names), chance.choice(names)
        if chance.random() < 0.3:
            a = str(fed.one("SELECT person_id FROM identity.person ORDER BY random() LIMIT 1")["person_id"])
        with contextlib.suppress(WrongUse):
            match chance.randrange(4):
                case 0:
                    decisions.confirm(fed.session, a, b, by="x")
                case 1:
                    decisions.reject(fed.session, a, b, by="x")
                case 2:
                    decisions.split(fed.session, b, by="x")
                case _:
                    if holding := decisions.holding(fed.session):
                        decisions.withdraw(fed.session, [chance.choice(holding).decision_id])
        resolve.run(fed.session)
    now = people(fed)
    resolve.run(fed.session, full=True)
    assert people(fed) == now
    apart = [one for one in decisions.holding(fed.session) if one.verdict == "apart"]
    assert not [one for one in apart for keys in now if {one.a[1], one.b[1]} <= keys]


def test_of_two_decisions_at_a_time_one_holds(fed: FeedDatabase) -> None:
    a, b = contact(fed, 1, phone_e164=PHONE), contact(fed, 2, phone_e164=PHONE)
    resolve.run(fed.session)
    failed: list[BaseException] = []

    def decide(decision: Any, by: str) -> None:
        try:
            with warehouse.session(fed.url) as session:
                for _ in range(5):
                    decision(session, a, b, by=by)
        except BaseException as error:
            failed.append(error)

    threads = [
        threading.Thread(target=decide, args=(one, by))
        for one in (decisions.confirm, decisions.reject)
        for by in ("ann", "ben")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    [holds] = decisions.holding(fed.session)
    resolve.run(fed.session)
    assert (len(people(fed)) == 1) == (holds.verdict == "same")


@pytest.mark.parametrize(
    "text",
    ["", ":", "hubspot_contact:", "hubspot_contact:1' OR true --", "x; DROP TABLE identity.person:1", "%s:%(a)s",
     "identity.person:1", "0a0a0a0a-0000-4000-8000-00000000dead", "\udcff:\udcff",
     "hubspot_contact:" + "9" * 5000, "../../etc:passwd"],
)  # fmt: skip
def test_what_names_nobody_is_refused(fed: FeedDatabase, text: str) -> None:
    known = contact(fed, 1)
    resolve.run(fed.session)
    for decide in (decisions.confirm, decisions.reject):
        for pair in ((text, known), (known, text)):
            with pytest.raises(WrongUse):
                decide(fed.session, *pair, by="'; DROP TABLE identity.decision; --")
    with pytest.raises(WrongUse):
        decisions.split(fed.session, text, by="x")
    assert decisions.holding(fed.session) == []


def test_a_flag_that_goes_back_and_forth_lists_each_time(fed: FeedDatabase) -> None:
    """It is never lifted by the flag; by a person it is, until the flag is set anew."""
    contact(fed, 1, phone_e164=PHONE, lead_is_dnc=True, lastmodifieddate="2026-01-01")
    unify(fed)
    for number in range(3):
        assert fed.listed(PHONE, "call")
        contact(fed, 1, lead_is_dnc=False, lastmodifieddate=f"2026-02-0{number + 1}")
        unify(fed)
        assert fed.listed(PHONE, "call")
        with fed.session.transaction():
            fed.session.execute(
                "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
                [ORGANIZATION, str(uuid.uuid4())],
            )
            fed.session.execute("SELECT crm.end_dnc_entry(id, 'asked him') FROM crm.dnc_list WHERE ended_at IS NULL")
        unify(fed, full=True)
        assert not fed.listed(PHONE, "call"), number
        # Clocks of vendors go back too.
        contact(fed, 1, lead_is_dnc=True, lastmodifieddate=("2026-03-01", "2025-01-01", FAR)[number])
        unify(fed)
        assert fed.listed(PHONE, "call"), number
        entries = fed.one("SELECT count(*) AS n FROM crm.dnc_list WHERE ended_at IS NULL")["n"]
        unify(fed, full=True)
        assert fed.one("SELECT count(*) AS n FROM crm.dnc_list WHERE ended_at IS NULL")["n"] == entries
    assert fed.all("SELECT FROM crm.consent_fact WHERE given_at > now() OR withdrawn_at > now()") == []


def test_a_time_to_come_decides_nothing_for_ever(fed: FeedDatabase) -> None:
    """A call that was lost in 2999, by a clock that is wrong, is superseded by what is said after it was loaded."""
    fed.source("five9_contact", id="1", first_name="Ada", last_name="Example", phone_e164=PHONE,
               sys_last_disposition="Not Interested", sys_last_disposition_time=FAR)  # fmt: skip
    unify(fed)
    [lead] = fed.leads()
    assert lead["status"] == "lost"
    assert lead["status_changed_at"].year < 2999
    contact(fed, 1, phone_e164=PHONE, lifecyclestage="opportunity", lastmodifieddate=FAR)
    unify(fed)
    assert [lead["status"] for lead in fed.leads("deleted_at IS NULL")] == ["qualified"]
    history = fed.all("SELECT to_status FROM crm.lead_status_history ORDER BY created_at")
    unify(fed, full=True)
    assert fed.all("SELECT to_status FROM crm.lead_status_history ORDER BY created_at") == history
    assert fed.all("SELECT FROM crm.lead_feed AS f, jsonb_each(f.origins) AS o WHERE o.value ->> 'at' > '2900'"
                   " AND o.key = 'status'") == []  # fmt: skip


def couple(fed: FeedDatabase) -> None:
    """Ada and Ben on one number; Ben is two contacts, whose leads had become one."""
    contact(fed, 1, phone_e164=PHONE, email="ada@example.com", createdate="2026-01-01")
    contact(fed, 2, firstname="Ben", phone_e164=PHONE, mobilephone_e164=OTHER_PHONE, email="ben@example.com",
            createdate="2025-01-01")  # fmt: skip
    unify(fed)
    contact(fed, 3, firstname="Ben", phone_e164=PHONE, email="ben3@example.com", lifecyclestage="customer")
    unify(fed)


def test_the_spouse_stays_when_a_person_is_erased_twice(fed: FeedDatabase) -> None:
    couple(fed)
    fed.session.execute(  # a lead of his that became part of another, with the number that both have
        "INSERT INTO crm.leads (organization_id, first_name, last_name, phone, golden_id, deleted_at, source_metadata)"
        " SELECT organization_id, 'Benny', 'Example', %s, golden_id, now(), '{\"feed_deleted\": \"merged\"}'"
        " FROM crm.leads WHERE first_name = 'Ben' AND deleted_at IS NULL", [PHONE],
    )  # fmt: skip
    his = "SELECT to_jsonb(t) - 'source_metadata' AS t FROM {} AS t WHERE {} ORDER BY 1"
    places = {"hubspot_contact": "id IN ('2', '3')", "identity.record": "source_key IN ('2', '3')",
              "crm.leads": "first_name LIKE 'Ben%%'"}  # fmt: skip
    before = {table: fed.all(his.format(table, where)) for table, where in places.items()}
    assert [len(rows) for rows in before.values()] == [2, 2, 2]
    ada = fed.one("SELECT person_id FROM identity.member WHERE source_key = '1'")["person_id"]
    told = str(export.person(fed.session, "person", str(ada), [ada]))
    assert "Ben" not in told
    assert "ben@" not in told
    erasure.erase(fed.session, "person", str(ada), [ada], erased_by="test")
    for _ in range(2):
        assert {table: fed.all(his.format(table, where)) for table, where in places.items()} == before
        assert erasure.erase(fed.session, "email", "ada@example.com", [], erased_by="test").nothing
    unify(fed, full=True)
    assert [lead["first_name"] for lead in fed.leads("deleted_at IS NULL")] == ["Ben"]
    assert fed.all("SELECT FROM hubspot_contact WHERE firstname = 'Ada'") == []


def test_a_person_of_two_hundred_records_is_erased(fed: FeedDatabase) -> None:
    for number in range(200):
        contact(fed, number, email="ada@example.com", phone_e164=PHONE)
    ada = fed.person(*(("hubspot_contact", str(number)) for number in range(200)), phones=(PHONE,), first_name="Ada",
                     last_name="Example", email="ada@example.com")  # fmt: skip
    contact(fed, 500, firstname="Ben", email="ben@example.com")
    fed.person(("hubspot_contact", "500"), first_name="Ben", email="ben@example.com")
    fed.feed()
    erasure.erase(fed.session, "person", str(ada), [ada], erased_by="test")
    assert [row["id"] for row in fed.all("SELECT id FROM hubspot_contact WHERE firstname IS NOT NULL")] == ["500"]
    assert [lead["first_name"] for lead in fed.leads("deleted_at IS NULL")] == ["Ben"]
    assert people(fed) == {frozenset({"500"})}


def test_an_erasure_while_identity_runs_waits_and_leaves_nothing(fed: FeedDatabase) -> None:
    contact(fed, 1, email="ada@example.com", phone_e164=PHONE)
    unify(fed)
    ada = fed.one("SELECT person_id FROM identity.member WHERE source_key = '1'")["person_id"]
    done: list[Any] = []

    def erase() -> None:
        with warehouse.session(fed.url) as session:
            done.append(erasure.erase(session, "person", str(ada), [ada], erased_by="test"))

    thread = threading.Thread(target=erase)
    with fed.session.transaction():
        resolve.lock(fed.session)
        thread.start()
        with psycopg.connect(fed.url, autocommit=True) as other:
            contact(fed, 2, email="ada@example.com", phone_e164=PHONE)
            resolve.run(fed.session)
            assert other.execute("SELECT count(*) FROM identity.erasure").fetchone() == (0,)
    thread.join(120)
    assert len(done) == 1
    unify(fed, full=True)
    assert people(fed) == set()
    assert fed.leads("deleted_at IS NULL") == []
