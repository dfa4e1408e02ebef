"""An opt-out by the link in a message is the person's, whatever became of the lead; a consent taken back stays so."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from warehouse_pipelines.queries import query
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

pytestmark = pytest.mark.on_oldest(
    "test_the_link_in_a_mail_to_a_lead_that_was_merged_ends_the_messages_of_the_person",
    "test_a_number_that_the_person_gets_later_is_listed_by_the_next_feed",
)

PHONE, SECOND, THIRD, REP = "+12165550110", "+12165550111", "+12165550112", "+12165550113"
OLD, NEW = "ada@old.example", "ada@new.example"
CHANNELS = ("call", "sms", "email")
CONSENT = json.dumps([
    {"channel": channel, "at": "2026-01-01T00:00:00Z", "source": "form", "text_version": "1"} for channel in CHANNELS
])  # fmt: skip
NOBODY = dict.fromkeys(CHANNELS)
ALL = dict.fromkeys(CHANNELS, "dnc")


def contact(fed: FeedDatabase, key: int, **values: Any) -> tuple[str, str]:
    given = {"lastmodifieddate": "2026-02-01T10:00:00Z", "createdate": f"2026-01-0{key}T10:00:00Z", **values}
    return fed.source("hubspot_contact", id=str(key), **given)


def opt_out(fed: FeedDatabase, lead: UUID, channels: Sequence[str] = CHANNELS) -> None:
    """Follow the link in a message to the lead, as the page does."""
    given = {"organization": ORGANIZATION, "lead": lead, "channels": list(channels)}
    with fed.session.transaction():
        fed.session.execute("SET LOCAL ROLE crm_app")
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute(query("sequence_opt_out"), given)
        fed.session.execute(query("sequence_stop"), given)


def blocked(fed: FeedDatabase, person: UUID) -> dict[str, str | None]:
    """Return what keeps messages from the live lead of a person, which agreed to all of them."""
    lead = fed.lead(person)["id"]
    fed.edit(lead, consent=CONSENT)
    return {
        channel: fed.one(
            "SELECT crm.lead_block_reason(l, %s) AS why FROM crm.leads AS l WHERE id = %s",
            [channel, lead],
        )["why"]
        for channel in CHANNELS
    }


def enrolled(fed: FeedDatabase, lead: UUID) -> UUID:
    row = fed.one(
        "WITH s AS (INSERT INTO crm.nurture_sequences (organization_id, name, steps)"
        " VALUES (%s, 'Welcome', '[{\"channel\": \"email\"}]') RETURNING id)"
        " INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id, sequence_id)"
        " SELECT %s, %s, s.id FROM s RETURNING id",
        [ORGANIZATION, ORGANIZATION, lead],
    )
    made: UUID = row["id"]
    return made


def merged(fed: FeedDatabase) -> tuple[UUID, UUID, UUID]:
    """Make two people with a lead each one: its id, the lead that stays, and the one that became part of it."""
    first = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada", email=OLD)
    second = fed.person(contact(fed, 2), phones=(SECOND,), first_name="Ada", email=NEW)
    fed.feed()
    fed.join(first, second)
    fed.touch(first, emails=[OLD, NEW], phones=[PHONE, SECOND])
    fed.feed()
    (gone,) = fed.leads("deleted_at IS NOT NULL")
    return first, fed.lead(first)["id"], gone["id"]


def test_the_link_in_a_mail_to_a_lead_that_was_merged_ends_the_messages_of_the_person(fed: FeedDatabase) -> None:
    person, lead, gone = merged(fed)
    assert blocked(fed, person) == NOBODY
    enrollment = enrolled(fed, lead)
    opt_out(fed, gone)
    assert blocked(fed, person) == ALL
    row = fed.one("SELECT status, stop_reason FROM crm.lead_sequence_enrollments WHERE id = %s", [enrollment])
    assert (row["status"], row["stop_reason"]) == ("stopped", "dnc")
    entries = len(fed.all("SELECT FROM crm.dnc_list"))
    opt_out(fed, gone)
    opt_out(fed, lead)
    assert len(fed.all("SELECT FROM crm.dnc_list")) == entries, "who asks again changes nothing more"


def test_a_number_that_the_person_gets_later_is_listed_by_the_next_feed(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada", email=OLD)
    fed.feed()
    opt_out(fed, fed.lead(person)["id"], ["call", "sms"])
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [True, False]
    fed.touch(person, phones=[PHONE, SECOND])
    assert fed.feed().counts["listed"] == 1
    assert [fed.listed(phone, "sms") for phone in (PHONE, SECOND)] == [True, True]
    fed.touch(person)
    assert fed.feed().counts["listed"] == 0


def test_what_somebody_ended_is_not_listed_for_a_later_number(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada", email=OLD)
    fed.feed()
    opt_out(fed, fed.lead(person)["id"], ["call", "sms"])
    fed.session.execute(
        "UPDATE crm.dnc_list SET ended_at = now(), end_reason = 'asked for a call', ended_by = %s", [uuid4()]
    )
    fed.touch(person, phones=[PHONE, SECOND])
    assert fed.feed().counts["listed"] == 0


def test_the_link_is_good_between_the_merge_of_people_and_the_next_feed(fed: FeedDatabase) -> None:
    first = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada", email=OLD)
    second = fed.person(contact(fed, 2), phones=(SECOND,), first_name="Ada", email=NEW)
    fed.feed()
    lead = fed.lead(second)["id"]
    fed.join(first, second)
    opt_out(fed, lead)
    assert blocked(fed, first) == ALL
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [True, True]


def test_a_lead_that_was_entered_and_became_part_of_another_is_the_persons(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada", email=OLD)
    fed.feed()
    gone = fed.one(
        "INSERT INTO crm.leads (organization_id, email, deleted_at, source_metadata)"
        " VALUES (%s, %s, now(), jsonb_build_object('feed_deleted', 'merged', 'merged_into', %s::uuid)) RETURNING id",
        [ORGANIZATION, NEW, fed.lead(person)["id"]],
    )["id"]
    opt_out(fed, gone, ["email"])
    assert blocked(fed, person) == {**NOBODY, "email": "dnc"}


def test_who_is_a_person_of_its_own_again_does_not_speak_for_the_other(fed: FeedDatabase) -> None:
    person, _, gone = merged(fed)
    other = fed.one("SELECT golden_id FROM crm.leads WHERE id = %s", [gone])["golden_id"]
    fed.part(other, ("hubspot_contact", "2"), first_name="Ben")
    fed.touch(other, email=NEW, emails=[NEW], phone=SECOND, phones=[SECOND])
    fed.touch(person, emails=[OLD], phones=[PHONE])
    opt_out(fed, gone)
    assert blocked(fed, person) == NOBODY
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [False, True]


def test_an_opt_out_by_mail_stays_with_the_mailbox_when_the_person_is_split(fed: FeedDatabase) -> None:
    first, second = contact(fed, 1, email=OLD), contact(fed, 2, email=NEW)
    person = fed.person(first, second, first_name="Ada", email=OLD)
    fed.feed()
    opt_out(fed, fed.lead(person)["id"], ["email"])
    other = uuid4()
    fed.session.execute(
        "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'x')", [other, person]
    )
    fed.part(other, first, first_name="Ada")
    fed.touch(other, email=OLD, emails=[OLD])
    fed.touch(person, email=NEW, emails=[NEW], first_name="Ben")
    fed.feed()
    assert fed.lead(other)["email"] == OLD
    assert blocked(fed, other)["email"] == "dnc"


def test_a_link_that_is_followed_after_the_split_ends_messages_to_whom_they_went(fed: FeedDatabase) -> None:
    first, second = contact(fed, 1, email=OLD), contact(fed, 2, email=NEW)
    person = fed.person(first, second, first_name="Ada", email=OLD)
    fed.feed()
    lead = fed.lead(person)["id"]
    fed.session.execute(
        "INSERT INTO crm.sequence_message (organization_id, enrollment_id, step, lead_id, channel, status, recipient,"
        " settled_at) VALUES (%s, %s, 0, %s, 'email', 'sent', %s, now())",
        [ORGANIZATION, enrolled(fed, lead), lead, OLD],
    )
    other = uuid4()
    fed.session.execute(
        "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'x')", [other, person]
    )
    fed.part(other, first, first_name="Ada")
    fed.touch(other, email=OLD, emails=[OLD])
    fed.touch(person, email=NEW, emails=[NEW], first_name="Ben")
    fed.feed()
    opt_out(fed, lead, ["email"])
    assert blocked(fed, other)["email"] == "dnc"


def test_an_opt_out_by_link_holds_for_all_numbers_of_the_person_but_those_of_the_staff(fed: FeedDatabase) -> None:
    fed.source("salesrabbit_user", id=1, phone_e164=REP)
    fed.person(("salesrabbit_user", "1"), phones=(REP,), kind="staff")
    person = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada")
    fed.record(contact(fed, 2), person, phones=(SECOND,))
    fed.touch(person, phones=[PHONE, SECOND, REP])
    fed.feed()
    lead = fed.lead(person)["id"]
    opt_out(fed, lead, ["email"])
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, REP)] == [False, False, False]
    opt_out(fed, lead)
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, REP)] == [True, True, False]
    assert [fed.listed(phone, "sms") for phone in (PHONE, SECOND, REP)] == [True, True, False]
    assert {row["lead_id"] for row in fed.all("SELECT lead_id FROM crm.dnc_list")} == {lead}


def test_who_shares_a_number_is_not_called_on_it_after_the_opt_out(fed: FeedDatabase) -> None:
    ada = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada")
    ben = fed.person(contact(fed, 2), phones=(PHONE, SECOND), first_name="Ben", email=NEW)
    fed.feed()
    assert (fed.lead(ada)["phone"], fed.lead(ben)["phone"]) == (PHONE, None)
    opt_out(fed, fed.lead(ben)["id"])
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [True, True]
    assert blocked(fed, ada) == {"call": "dnc", "sms": "dnc", "email": None}
    assert blocked(fed, ben) == ALL


def test_numbers_that_only_the_lead_knows_are_the_persons_too(fed: FeedDatabase) -> None:
    lead = fed.one(
        "INSERT INTO crm.leads (organization_id, phone, source_metadata) VALUES (%s, %s, %s) RETURNING id",
        [ORGANIZATION, PHONE, json.dumps({"shared_phones": [SECOND], "other_phones": [THIRD, "no number", 7]})],
    )["id"]
    opt_out(fed, lead)
    assert [fed.listed(phone, "sms") for phone in (PHONE, SECOND, THIRD)] == [True, True, True]
    assert len(fed.all("SELECT FROM crm.dnc_list")) == 3


def test_what_was_ended_after_somebody_said_it_stays_ended(fed: FeedDatabase) -> None:
    """And what is said anew is listed anew."""
    person = fed.person(contact(fed, 1), phones=(PHONE,), first_name="Ada")
    fed.touch(person, phones=[PHONE, SECOND])
    fed.feed()
    lead = fed.lead(person)["id"]
    opt_out(fed, lead)
    with fed.session.transaction():
        fed.session.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [ORGANIZATION, str(uuid4())],
        )
        fed.session.execute(
            "SELECT crm.end_dnc_entry(id, 'asked for a call') FROM crm.dnc_list WHERE phone = %s", [SECOND]
        )
        fed.session.execute(
            "SELECT crm.add_person_to_dnc_list(d.lead_id, d.channels, since => d.created_at)"
            " FROM crm.dnc_list AS d WHERE d.ended_at IS NULL"
        )
    assert not fed.listed(SECOND, "call")
    opt_out(fed, lead)
    assert fed.listed(SECOND, "call")


def test_who_writes_consents_as_they_were_before_a_source_took_them_back_revives_none(fed: FeedDatabase) -> None:
    given = {"lead_is_express_consent": True, "lead_express_consent_set_on": "2026-01-10T00:00:00Z"}
    person = fed.person(contact(fed, 1, **given), phones=(PHONE,), first_name="Ada")
    fed.feed()
    lead = fed.lead(person)
    assert has_consent(fed, person)
    contact(fed, 1, lead_is_express_consent=False, lastmodifieddate="2026-06-01T00:00:00Z")
    fed.feed(full=True)
    taken_back = fed.lead(person)["consent"]
    mail = {"channel": "email", "at": "2026-06-02T00:00:00Z", "source": "phone", "text_version": "1"}
    fed.edit(lead["id"], consent=json.dumps([*lead["consent"], mail]))
    assert fed.lead(person)["consent"] == [*taken_back, mail]
    assert not has_consent(fed, person)
    fed.edit(lead["id"], consent="[]")
    assert fed.lead(person)["consent"] == taken_back
    # The source may say it anew, and its record may be another person's.
    contact(fed, 1, **given, lastmodifieddate="2026-07-01T00:00:00Z")
    fed.feed(full=True)
    assert has_consent(fed, person)
    assert fed.feed(full=True).counts["consent"] == 0


def has_consent(fed: FeedDatabase, person: UUID) -> bool:
    row = fed.one("SELECT crm.has_consent(consent, 'sms') AS holds FROM crm.leads WHERE golden_id = %s", [person])
    return bool(row["holds"])
