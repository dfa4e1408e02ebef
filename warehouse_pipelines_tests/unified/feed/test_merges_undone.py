"""People who were made one by a decision that is withdrawn: each lead is again what it was, whoever wrote it."""

import json
import random
import uuid
from itertools import pairwise
from typing import Any

import pytest

from warehouse_pipelines.unified.identity import decisions, resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase
from warehouse_pipelines_tests.unified.feed.test_feed_leads import AS_THEY_WERE, CONSENT

NUMBERS = ("+12162230101", "+12162230102", "+12162230103")
OTHER_SEEDS = pytest.mark.slow("people in other orders of edits, decisions and erasures")


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
