"""Leads that become one, and are parted again: nothing is lost, and each is again what it was, whoever wrote it."""

import json
import random
import uuid
from itertools import pairwise
from typing import Any

import pytest

from warehouse_pipelines.unified.identity import decisions, resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

NUMBERS = ("+12162230101", "+12162230102", "+12162230103")
OTHER_SEEDS = pytest.mark.slow("people in other orders of edits, decisions and erasures")
CONSENT = '[{"channel": "sms", "at": "2026-01-01", "source": "phone", "text_version": "1"}]'
AS_THEY_WERE = (
    "SELECT id, golden_id, first_name, last_name, email, phone, status, source, tags, timezone, division, postal_code,"
    " owner_id, value_usd, consent, created_at, deleted_at, source_metadata - 'crm_status' AS metadata"
    " FROM crm.leads WHERE deleted_at IS NULL ORDER BY id"
)


def test_when_two_leads_become_one_nothing_is_lost(fed: FeedDatabase) -> None:
    """Status, consent, owner, tags, what was entered, the earliest time: all in the one that stays."""
    won = fed.contact(1, lifecyclestage="customer", createdate="2026-02-01")
    new = fed.contact(2, lifecyclestage="lead", createdate="2025-11-01")
    stays = fed.person(won, phones=(NUMBERS[0],), first_name="Ada", last_name="Example")
    goes = fed.person(new, phones=(NUMBERS[1],), first_name="Ada", last_name="Example")
    fed.feed()
    user = "00000000-0000-0000-0000-0000000000a1"
    other = fed.lead(goes)["id"]
    fed.edit(other, tags=["hot"], owner_id=user, timezone="America/New_York", email="entered@example.com",
             consent=CONSENT)  # fmt: skip
    fed.join(stays, goes)
    summary = fed.feed()
    assert summary.counts["merged"] == 1
    lead = fed.lead(stays)
    assert (lead["status"], lead["owner_id"], lead["tags"], lead["timezone"], lead["email"]) == (
        "won", uuid.UUID(user), ["hot"], "America/New_York", "entered@example.com",
    )  # fmt: skip
    assert [given["channel"] for given in lead["consent"]] == ["sms"]
    assert lead["created_at"].date().isoformat() == "2025-11-01"
    removed = fed.leads("id = %s", other)[0]
    assert removed["deleted_at"] is not None
    assert removed["source_metadata"]["merged_into"] == str(lead["id"])
    assert fed.feed(full=True).counts["merged"] == 0
    assert fed.lead(stays)["email"] == "entered@example.com"


@pytest.mark.parametrize("won_is", ["stays", "goes"])
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_won_is_not_overwritten_by_new(fed: FeedDatabase, won_is: str) -> None:
    first = fed.person(fed.contact(1, lifecyclestage="customer" if won_is == "stays" else "lead"), first_name="Ada")
    second = fed.person(fed.contact(2, lifecyclestage="lead" if won_is == "stays" else "customer"), first_name="Ada")
    fed.feed()
    fed.join(first, second)
    fed.feed()
    assert fed.lead(first)["status"] == "won"


@pytest.mark.parametrize("advanced", ["stays", "goes"])
@pytest.mark.every_case
def test_a_merge_undone_gives_each_lead_back_what_it_lent(fed: FeedDatabase, advanced: str) -> None:
    """Whichever lead stayed; what somebody changed meanwhile stays where it was changed."""
    ranks = {"stays": ("customer", "lead"), "goes": ("lead", "customer")}[advanced]
    one = fed.contact(1, lifecyclestage=ranks[0], division="Dayton", createdate="2026-02-01", hge_primary_source="Fair")
    two = fed.contact(2, lifecyclestage=ranks[1], createdate="2025-11-01")
    stays = fed.person(one, phones=(NUMBERS[0],), first_name="Ada", last_name="Example", email="ada@example.com")
    goes = fed.person(two, phones=(NUMBERS[1],), first_name="Ida", last_name="Example", zip="44101")
    fed.feed()
    for person, tag, user in ((stays, "cold", "a1"), (goes, "hot", "a2")):
        fed.edit(fed.lead(person)["id"], tags=[tag], owner_id=f"00000000-0000-0000-0000-0000000000{user}")
    fed.edit(fed.lead(goes)["id"], timezone="America/New_York", email="ida@example.com", consent=CONSENT, value_usd=5)
    fed.feed(full=True)
    before = fed.all(AS_THEY_WERE)
    fed.join(stays, goes)
    fed.feed()
    [merged] = fed.all(AS_THEY_WERE)
    assert (merged["tags"], merged["timezone"], merged["email"], [c["channel"] for c in merged["consent"]]) == (
        ["cold", "hot"], "America/New_York", "ida@example.com", ["sms"],
    )  # fmt: skip
    fed.part(goes, two, first_name="Ida", last_name="Example")
    fed.touch(goes, phone=NUMBERS[1], phones=[NUMBERS[1]], zip="44101")
    fed.touch(stays)
    fed.feed()
    assert fed.all(AS_THEY_WERE) == before
    assert fed.feed(full=True).counts["updated"] == 0
    fed.join(stays, goes)
    fed.feed()
    [merged] = fed.all(AS_THEY_WERE)
    revoked = CONSENT.replace("}]", ', "revoked_at": "2026-03-01T00:00:00Z"}]')
    fed.edit(merged["id"], timezone="America/Chicago", consent=revoked)
    fed.part(goes, two, first_name="Ida", last_name="Example")
    fed.touch(goes, phone=NUMBERS[1], phones=[NUMBERS[1]], zip="44101")
    fed.touch(stays)
    fed.feed()
    found = {lead["id"]: lead for lead in fed.all(AS_THEY_WERE)}
    assert found[merged["id"]]["timezone"] == "America/Chicago"
    assert fed.lead(goes)["consent"][0]["revoked_at"]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_what_a_lead_lent_goes_from_all_that_had_it_since(fed: FeedDatabase) -> None:
    """Of three leads that became one, one after the other, the first is somebody else."""
    stages = ("lead", "opportunity", "customer")
    rows = [fed.contact(number, lifecyclestage=stage) for number, stage in enumerate(stages)]
    first, second, third = (fed.person(row, first_name="Ada", last_name="Example") for row in rows)
    fed.feed()
    fed.edit(fed.lead(second)["id"], tags=["second"])
    before = fed.lead(third)
    fed.edit(fed.lead(first)["id"], tags=["first"], timezone="America/New_York", consent=CONSENT)
    fed.join(second, first)
    fed.feed()
    fed.join(third, second)
    fed.session.execute("UPDATE identity.alias SET person_id = %s", [third])
    fed.feed()
    lead = fed.lead(third)
    assert (lead["tags"], lead["timezone"], len(lead["consent"])) == (["first", "second"], "America/New_York", 1)
    fed.part(first, rows[0], first_name="Ada", last_name="Example")
    fed.touch(third)
    fed.feed()
    lead = fed.lead(third)
    assert (lead["tags"], lead["timezone"], lead["consent"]) == (["second"], before["timezone"], [])
    lead = fed.lead(first)
    assert (lead["tags"], lead["timezone"], len(lead["consent"])) == (["first"], "America/New_York", 1)


@pytest.mark.parametrize("stays", [0, 1])
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_number_that_the_other_lead_had_meanwhile_comes_back_with_its_own(fed: FeedDatabase, stays: int) -> None:
    """In whatever order the two leads are written: a number is one live lead's."""
    numbers = NUMBERS[:2]
    records = [fed.source("hubspot_contact", id=str(n), lifecyclestage="lead", phone_e164=numbers[n]) for n in (0, 1)]
    people = [fed.person(records[n], phones=(numbers[n],), first_name=f"Ann{n}") for n in (0, 1)]
    fed.feed()
    live = "SELECT id, golden_id, phone FROM crm.leads WHERE deleted_at IS NULL ORDER BY phone"
    before = fed.all(live)
    assert [row["phone"] for row in before] == [*numbers]
    goes = 1 - stays
    fed.join(people[stays], people[goes])
    fed.touch(people[stays], phone=numbers[goes], phones=[*numbers])
    fed.feed()
    [lead] = fed.all(live)
    assert lead["phone"] == numbers[goes]
    fed.part(people[goes], records[goes], first_name=f"Ann{goes}")
    for n in (0, 1):
        fed.touch(people[n], phone=numbers[n], phones=[numbers[n]])
    fed.feed()
    assert fed.all(live) == before


def test_what_the_feed_wrote_into_a_lead_that_became_part_of_another_is_no_entry_there(fed: FeedDatabase) -> None:
    """The sources may still change it, also where an older version took it for an entry; a user's own stays."""
    won = fed.contact(1, lifecyclestage="customer")
    more = {"lifecyclestage": "lead", "hge_primary_source": "Event", "createdate": "2026-02-01"}
    stays = fed.person(won, first_name="Ada")
    goes = fed.person(fed.contact(2, **more, division="Toledo"), first_name="Ada")
    fed.feed()
    fed.edit(fed.lead(goes)["id"], postal_code="43004")
    lead = fed.lead(stays)["id"]
    fed.join(stays, goes)
    fed.feed()
    assert (fed.lead(stays)["source"], fed.lead(stays)["division"]) == ("event", "Toledo")
    fed.contact(2, **more, division=None)
    fed.feed()
    after = fed.lead(stays)
    assert (after["id"], after["source"], after["division"], after["postal_code"]) == (lead, "event", None, "43004")
    fed.session.execute("UPDATE crm.lead_feed SET written = written || '{\"source\": null}' WHERE lead_id = %s", [lead])
    fed.contact(2, **more | {"hge_primary_source": "Direct mail"})
    fed.feed()
    assert fed.lead(stays)["source"] == "event"
    fed.feed(full=True)
    assert fed.lead(stays)["source"] == "direct mail"


def enter(fed: FeedDatabase, **values: Any) -> str:
    """Add a lead as a user of the application does; return what its record is called."""
    lead = uuid.uuid4()
    with fed.session.transaction():
        fed.session.execute("SET LOCAL ROLE crm_app")
        fed.session.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [ORGANIZATION, str(uuid.uuid4())],
        )
        fed.session.execute(
            "INSERT INTO crm.leads (id, organization_id, first_name, last_name, phone, email)"
            " VALUES (%s, %s, %s, 'Stone', %s, %s)",
            [lead, ORGANIZATION, values["first_name"], values["phone"], values["email"]],
        )
    return f"crm.entered_leads:{lead}"


def unify(fed: FeedDatabase, *, full: bool = False) -> None:
    resolve.run(fed.session)
    fed.feed(full=full)


@pytest.mark.parametrize("seed", [10, *(pytest.param(seed, marks=OTHER_SEEDS) for seed in range(10))])
def test_each_lead_is_what_it_was(fed: FeedDatabase, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    names = []
    for number, first_name in enumerate(("Ada", "Ben", "Zoe")[: chance.choice([2, 2, 3])]):
        phone, email = chance.choice([None, NUMBERS[number]]), f"{first_name.lower()}@example.com"
        if chance.random() < 0.35:
            names.append(enter(fed, first_name=first_name, phone=phone, email=email))
            continue
        fed.source(
            "hubspot_contact", id=str(number), firstname=first_name, lastname="Bell", email=email, phone_e164=phone,
            lifecyclestage=chance.choice([None, "opportunity", "customer"]),
            createdate=f"2025-0{chance.randint(1, 9)}-01",
            division=chance.choice([None, "Dayton", "Toledo"]), lastmodifieddate=f"2026-0{chance.randint(1, 9)}-01",
            hge_primary_source=chance.choice([None, "fair", "radio"]),
        )  # fmt: skip
        names.append(f"hubspot_contact:{number}")
    unify(fed)
    for lead in fed.leads("deleted_at IS NULL"):
        edits = {"tags": [chance.choice("abc")], "timezone": chance.choice(["America/New_York", "America/Chicago"]),
                 "owner_id": str(uuid.uuid4()), "value_usd": chance.randrange(9), "division": "Akron",
                 "consent": CONSENT,
                 "source_metadata": json.dumps(lead["source_metadata"] | {chance.choice("xyz"): chance.choice("ab"),
                                                                          "city": "Reno"})}  # fmt: skip
        fed.edit(lead["id"], **{name: value for name, value in edits.items() if chance.random() < 0.4})
    unify(fed)
    fed.feed(full=True)
    before = fed.all(AS_THEY_WERE)
    made = []
    for a, b in pairwise(names):
        made.append(decisions.confirm(fed.session, a, b, by="ann").decision_id)
        unify(fed, full=chance.random() < 0.3)
    assert len(fed.all(AS_THEY_WERE)) == 1
    decisions.withdraw(fed.session, made)
    unify(fed)
    assert fed.all(AS_THEY_WERE) == before


def test_what_hangs_on_a_lead_goes_on_with_the_one_that_it_becomes_part_of(fed: FeedDatabase) -> None:
    """Notes, an address, and a sequence with the message that waits; and it is its own again afterwards."""
    fed.source("hubspot_contact", id="1", firstname="Ada", lastname="Bell", email="ada@example.com",
               phone_e164=NUMBERS[0], lifecyclestage="opportunity", createdate="2025-01-01")  # fmt: skip
    entered = enter(fed, first_name="Ida", phone=NUMBERS[1], email="ida@example.com")
    unify(fed)
    goes = uuid.UUID(entered.partition(":")[2])
    told = {"notes": "gate code 4711", "street": "1 Main St", "external_id": "X-99"}
    fed.edit(goes, source_metadata=json.dumps(told), consent=CONSENT)
    fed.session.execute("SELECT set_config('app.organization_id', %s, false)", [ORGANIZATION])
    steps = json.dumps([{"channel": "sms", "delay_minutes": 0, "body": "x"}] * 2)
    sequences = [
        fed.one(
            "INSERT INTO crm.nurture_sequences (organization_id, name, steps) VALUES (%s, %s, %s) RETURNING id",
            [ORGANIZATION, name, steps],
        )["id"]
        for name in ("one", "two")
    ]
    stays = fed.one("SELECT id FROM crm.leads WHERE first_name = 'Ada'")["id"]
    fed.edit(stays, consent=CONSENT)
    own = fed.one("SELECT crm.enroll_lead(%s, %s) AS id", [stays, sequences[1]])["id"]
    made, other = (fed.one("SELECT crm.enroll_lead(%s, %s) AS id", [goes, one])["id"] for one in sequences)
    fed.session.execute(
        "INSERT INTO crm.sequence_message (organization_id, enrollment_id, step, lead_id, channel, status, recipient)"
        " VALUES (%s, %s, 0, %s, 'sms', 'waiting', %s)", [ORGANIZATION, made, goes, NUMBERS[1]],
    )  # fmt: skip

    def enrolled() -> dict[uuid.UUID, uuid.UUID]:
        found = fed.all("SELECT id, lead_id FROM crm.lead_sequence_enrollments")
        return {row["id"]: row["lead_id"] for row in found}

    def waits() -> tuple[uuid.UUID, str]:
        row = fed.one("SELECT lead_id, recipient FROM crm.sequence_message")
        return row["lead_id"], row["recipient"]

    decision = decisions.confirm(fed.session, "hubspot_contact:1", entered, by="ann").decision_id
    unify(fed)
    [lead] = fed.leads("deleted_at IS NULL")
    assert (lead["id"], lead["source_metadata"] | told) == (stays, lead["source_metadata"])
    assert enrolled() == {made: stays, other: goes, own: stays}
    assert waits() == (stays, lead["phone"])
    decisions.withdraw(fed.session, [decision])
    unify(fed)
    assert not told.keys() & fed.leads("id = %s", stays)[0]["source_metadata"].keys()
    assert fed.leads("id = %s", goes)[0]["source_metadata"] | told == fed.leads("id = %s", goes)[0]["source_metadata"]
    assert enrolled() == {made: goes, other: goes, own: stays}
    assert waits() == (goes, NUMBERS[1])
