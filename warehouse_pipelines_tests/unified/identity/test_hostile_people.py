"""What nobody should do to people and their leads: decide against oneself, at a time, with clocks that go wrong."""

import contextlib
import os
import random
import signal
import threading
import uuid
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified import bulk, feed
from warehouse_pipelines.unified.erasing import erasure, export
from warehouse_pipelines.unified.identity import candidates, decisions, households, persons, resolve, touches
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase
from warehouse_pipelines_tests.harness.subprocesses import forked

PHONE, OTHER_PHONE = "+12162230101", "+12162230102"
FAR = "2999-01-01T00:00:00Z"
OTHER_SEEDS = pytest.mark.slow("the other seeds say the same")
pytestmark = pytest.mark.slow("people in other orders of edits, decisions and erasures")


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


NOBODY = (
    "", ":", "hubspot_contact:", "hubspot_contact:1' OR true --", "x; DROP TABLE identity.person:1", "%s:%(a)s",
    "identity.person:1", "0a0a0a0a-0000-4000-8000-00000000dead", "\udcff:\udcff", "hubspot_contact:" + "9" * 5000,
    "../../etc:passwd",
)  # fmt: skip


def test_what_names_nobody_is_refused(fed: FeedDatabase) -> None:
    known = contact(fed, 1)
    resolve.run(fed.session)
    taken: list[str] = []
    for text in NOBODY:
        for decide in (decisions.confirm, decisions.reject):
            for pair in ((text, known), (known, text)):
                with contextlib.suppress(WrongUse):
                    decide(fed.session, *pair, by="'; DROP TABLE identity.decision; --")
                    taken.append(text)
        with contextlib.suppress(WrongUse):
            decisions.split(fed.session, text, by="x")
            taken.append(text)
        assert decisions.holding(fed.session) == [], text
    assert taken == []


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


NAMES = {
    "Иван Петров": ("Иван", "Петров"), "Петров, Иван": ("Иван", "Петров"), "ИВАН ПЕТРОВ": ("Иван", "Петров"),
    "Łukasz Żółć": ("Łukasz", "Żółć"), "김 철수": ("김", "철수"), "محمد علي": ("محمد", "علي"),
    "王 小明": ("王", "小明"), "नरेंद्र मोदी": ("नरेंदर", "मोदी"), "Ελένη Παππά": ("Ελένη", "Παππά"),
}  # fmt: skip


def test_names_in_any_script_are_shown_as_they_are_written(fed: FeedDatabase) -> None:
    for number, name in enumerate(NAMES):
        fed.source("callrail_form_submission", id=str(number), customer_name=name,
                   customer_phone_number_e164=f"+1216223{number:04}", submitted_at="2026-01-01")  # fmt: skip
    unify(fed)
    found = fed.all(
        "SELECT source_key, p.display_name, p.first_name, p.last_name FROM identity.member JOIN identity.person AS p"
        " USING (person_id) ORDER BY source_key"
    )
    shown = {**{name: name for name in NAMES}, "Петров, Иван": "Иван Петров", "ИВАН ПЕТРОВ": "Иван Петров"}
    assert {row["display_name"] for row in found} == set(shown.values())
    assert [(row["first_name"], row["last_name"]) for row in found] == list(NAMES.values())
    assert len(fed.leads()) == len(NAMES)


def test_neighbours_whose_names_have_no_latin_letter_are_two_households(fed: FeedDatabase) -> None:
    home = {"address": "1 Elm St", "zip": "44101"}
    contact(fed, 1, firstname="小明", lastname="王", **home)
    contact(fed, 2, firstname="Ольга", lastname="Петрова", **home)
    contact(fed, 3, firstname="Иван", lastname="Петрова", **home)
    unify(fed)
    households = fed.all("SELECT count(*) AS n FROM identity.person GROUP BY household_id ORDER BY n")
    assert [row["n"] for row in households] == [1, 2]


def test_a_crowd_on_one_phone_or_one_address_is_nobody_and_costs_no_pairs(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "CAP", 10)
    monkeypatch.setattr(persons, "MOST_SHARING", 10)
    monkeypatch.setattr(touches, "MOST_SHARING", 10)
    for number in range(60):
        contact(fed, number, firstname=f"Ann{chr(97 + number % 26)}", lastname=f"Bell{number}",
                phone_e164=PHONE, email="everybody@example.com")  # fmt: skip
    fed.source("callrail_call", id="c", customer_phone_number_e164=PHONE, start_time="2026-01-01")
    summary = resolve.run(fed.session)
    assert (summary.pairs, summary.persons) == (0, 60)
    assert fed.one("SELECT certainty FROM identity.touch") == {"certainty": "unknown"}
    fed.feed()
    leads = fed.leads("deleted_at IS NULL")
    assert len(leads) == 60
    assert [lead["phone"] for lead in leads if lead["phone"]] == [PHONE]
    now = people(fed)
    unify(fed, full=True)
    assert people(fed) == now
    assert len(fed.leads("deleted_at IS NULL")) == 60


@pytest.mark.parametrize("stage", [None, "customer"])
def test_a_merge_back_and_forth_twice_ends_with_the_ids_of_before(fed: FeedDatabase, stage: str | None) -> None:
    """Also where the lead of the younger person is further, and stays."""
    a = contact(fed, 1, phone_e164=PHONE)
    b = contact(fed, 2, firstname="Ben", phone_e164=OTHER_PHONE, lifecyclestage=stage)
    unify(fed)
    for lead in fed.leads():
        fed.edit(lead["id"], tags=[lead["first_name"].lower()], timezone="America/New_York")
    his = "SELECT source_key, person_id FROM identity.member ORDER BY 1"
    live = "SELECT id, golden_id, first_name, phone, email, tags, timezone, status FROM crm.leads"
    live += " WHERE deleted_at IS NULL ORDER BY id"
    before = fed.all(his), fed.all(live)
    assert len(before[1]) == 2
    for full in (False, True):
        decision = decisions.confirm(fed.session, a, b, by="ann")
        unify(fed, full=full)
        assert len(people(fed)) == 1
        [lead] = fed.all(live)
        assert lead["id"] in {one["id"] for one in before[1]}
        decisions.withdraw(fed.session, [decision.decision_id])
        unify(fed, full=full)
        assert (fed.all(his), fed.all(live)) == before
    assert fed.all("SELECT FROM identity.alias") == []


def test_a_decision_about_a_record_that_was_deleted_waits_for_it(fed: FeedDatabase) -> None:
    a, b = contact(fed, 1, phone_e164=PHONE), contact(fed, 2, firstname="Ben", phone_e164=OTHER_PHONE)
    resolve.run(fed.session)
    decisions.confirm(fed.session, a, b, by="ann")
    resolve.run(fed.session)
    assert people(fed) == {frozenset("12")}
    fed.session.execute("DELETE FROM hubspot_contact WHERE id = '2'")
    resolve.run(fed.session, full=True)
    assert people(fed) == {frozenset("1")}
    assert len(decisions.holding(fed.session)) == 1
    contact(fed, 2, firstname="Ben", phone_e164=OTHER_PHONE)
    resolve.run(fed.session)
    assert people(fed) == {frozenset("12")}
    fed.session.execute("DELETE FROM hubspot_contact")
    resolve.run(fed.session, full=True)
    assert people(fed) == set()
    decisions.withdraw(fed.session, [one.decision_id for one in decisions.holding(fed.session)])
    assert fed.all("SELECT FROM identity.alias AS a JOIN identity.person AS p ON p.person_id = a.alias_id") == []


def test_two_runs_at_a_time_make_each_person_once(fed: FeedDatabase) -> None:
    for number in range(30):
        contact(fed, number, phone_e164=f"+1216223{number // 2:04}")
    failed: list[BaseException] = []

    def run(full: bool) -> None:
        try:
            with warehouse.session(fed.url) as session:
                resolve.run(session, full=full)
                feed.run(session, full=full)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(full,)) for full in (False, True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert len(people(fed)) == 15
    assert len(fed.leads("deleted_at IS NULL")) == 15
    assert fed.all("SELECT FROM identity.alias") == []


MADE_OF = """
    SELECT pg_get_constraintdef(oid) AS made FROM pg_constraint WHERE connamespace = 'identity'::regnamespace
    UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'identity' ORDER BY 1
"""


def resolve_until(step: str, url: str) -> None:
    """Begin a run that is killed when it comes to a step."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    bulk.MANY = 1
    for module in (persons, households, touches):
        if module.__name__.endswith(step):
            module.refresh = die  # type: ignore[attr-defined]
    resolve.run(warehouse.connect(url))


@pytest.mark.parametrize("step", ["persons", "households", "touches"])
def test_a_run_that_is_killed_leaves_what_was_there_before(fed: FeedDatabase, step: str) -> None:
    """A first run, whose indexes and foreign keys are set aside meanwhile."""
    for number in range(6):
        contact(fed, number, phone_e164=f"+1216223{number // 2:04}")
    schema = fed.all(MADE_OF)
    assert forked(resolve_until, step, fed.url) == -signal.SIGKILL
    assert people(fed) == set()
    unify(fed)
    assert len(people(fed)) == 3
    assert fed.all(MADE_OF) == schema


def test_empty_strings_and_nulls_are_no_evidence(fed: FeedDatabase) -> None:
    for number, nothing in enumerate((None, "", " ", "\t", "N/A", "null", "-", "unknown")):
        fed.source("hubspot_contact", id=f"n{number}", firstname=nothing, lastname=nothing, email=nothing,
                   phone=nothing, address=nothing, zip=nothing, city=nothing)  # fmt: skip
        contact(fed, number, email=nothing, address=nothing, zip=nothing, city=nothing)
    unify(fed)
    assert all(len(group) == 1 for group in people(fed))
    assert fed.all("SELECT FROM identity.edge") == []
    assert fed.all("SELECT FROM identity.person WHERE '' IN (email, phone, first_name, last_name, street, zip)") == []
