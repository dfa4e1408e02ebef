"""``feed.consent``: opt-outs and consents of all sources, on the do-not-call list and in ``leads.consent``."""

import json
from typing import Any

import pytest

from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

pytestmark = pytest.mark.on_oldest(
    "test_an_opt_out_in_one_crm_stops_all_numbers_of_the_person",
    "test_a_time_before_which_nobody_calls_ends_by_itself",
    "test_a_text_message_that_says_stop_and_a_status_that_does",
    "test_a_text_of_somebody_known_that_says_stop_is_listed_by_the_next_feed_of_what_changed",
    "test_who_says_stop_again_in_a_conversation_is_listed_again",
    "test_a_status_that_forbids_and_comes_again_lists_anew",
    "test_who_ends_the_entry_of_one_person_does_not_lift_what_another_of_the_number_said",
    "test_a_number_that_was_a_rep_s_or_a_tracker_s_is_listed_for_who_has_it_now",
    "test_calls_after_the_listing_are_conflicts",
    "test_a_consent_goes_with_its_crm_to_another_organization_and_an_opt_out_stays",
    "test_a_consent_without_a_date_does_not_supersede_one_that_was_taken_back",
)

PHONE, SECOND, OWN, REP = "+12165550101", "+12165550102", "+12165550103", "+12165550104"
OTHER = "00000000-0000-0000-0000-0000000000bb"
"""Another organization."""


def contact(fed: FeedDatabase, **values: Any) -> tuple[str, str]:
    return fed.source("hubspot_contact", id="1", **{"lastmodifieddate": "2026-02-01T10:00:00Z", **values})


def channels(fed: FeedDatabase, person: Any) -> set[tuple[str, bool]]:
    return {(given["channel"], "revoked_at" in given) for given in fed.lead(person)["consent"]}


def test_an_opt_out_in_one_crm_stops_all_numbers_of_the_person(fed: FeedDatabase) -> None:
    """But neither a number of the business nor one of its reps."""
    fed.source("callrail_tracker", id="t", tracking_number_e164=OWN)
    fed.source("salesrabbit_user", id=1, phone_e164=REP)
    fed.person(("salesrabbit_user", "1"), phones=(REP,), kind="staff")
    lead = fed.source("genius_lead", lead_id=4, is_dnc=True, modified="2026-01-15T00:00:00Z")
    person = fed.person(contact(fed), phones=(PHONE, SECOND), first_name="Ada")
    fed.record(lead, person, phones=(OWN, REP))
    summary = fed.feed()
    assert summary.counts["listed"] == 2
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, OWN, REP)] == [True, True, False, False]
    assert (fed.listed(PHONE, "sms"), fed.listed(PHONE, "email")) == (True, False)
    entry = fed.one("SELECT * FROM crm.dnc_list WHERE phone = %s", [SECOND])
    assert (entry["reason"], entry["detected_by"], entry["evidence"]) == ("opt_out", "import", "genius_lead 4: is_dnc")
    assert (entry["lead_id"], entry["since"].date().isoformat()) == (fed.lead(person)["id"], "2026-01-15")
    assert channels(fed, person) == {("call", True), ("sms", True)}


def test_an_opt_out_is_as_old_as_the_last_edit_that_is_not_ours(fed: FeedDatabase) -> None:
    fed.person(contact(fed, lead_is_dnc=True, source_edited_at="2026-01-20T10:00:00Z"), phones=(PHONE,))
    fed.feed()
    entry = fed.one("SELECT since FROM crm.dnc_list WHERE phone = %s", [PHONE])
    assert entry["since"].date().isoformat() == "2026-01-20"


def test_a_withdrawn_flag_lifts_nothing_and_a_new_one_lists_anew(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,))
    fed.feed()
    contact(fed, lead_is_dnc=False)
    fed.feed(full=True)
    assert fed.listed(PHONE, "call")
    # A person lifts it, with a reason; what the source says still, or again by itself, does not list it anew.
    end(fed)
    fed.feed(full=True)
    assert not fed.listed(PHONE, "call")
    contact(fed, lead_is_dnc=True, lastmodifieddate="2026-09-01T00:00:00Z")
    fed.feed()
    assert fed.listed(PHONE, "call")
    # A number that turns up later is listed too.
    fed.record(("hubspot_contact", "1"), person, phones=(PHONE, SECOND))
    fed.feed()
    assert fed.listed(SECOND, "call")


def test_each_flag_stops_the_channels_that_it_names(fed: FeedDatabase) -> None:
    sharp = fed.source("marketsharp_contact", id="m", has_dne_email=True, do_not_mail=True, email1="a@example.com")
    other = fed.source(
        "marketsharp_contact", id="n", email1="b@example.com", email1_can_mail=False, email2_can_mail=False
    )
    five9 = fed.source("five9_contact", id="f", raw_data={"contact": {"DoNotDial": "1"}})
    first = fed.person(sharp, phones=(PHONE,), first_name="Ada", email="a@example.com")
    second = fed.person(other, phones=(SECOND,), first_name="Ben", email="b@example.com")
    third = fed.person(five9, phones=(OWN,), first_name="Cleo")
    fed.feed()
    blocked = {
        (person, channel): fed.one(
            "SELECT crm.lead_block_reason(l, %s) = 'dnc' AS dnc FROM crm.leads AS l WHERE golden_id = %s",
            [channel, person],
        )["dnc"] is True
        for person in (first, second, third) for channel in ("call", "sms", "email", "mail")
    }  # fmt: skip
    assert [blocked[first, c] for c in ("call", "sms", "email", "mail")] == [False, False, True, True]
    assert [blocked[second, c] for c in ("call", "sms", "email")] == [False, False, True]
    assert [blocked[third, c] for c in ("call", "sms", "email")] == [True, True, False]


def test_a_time_before_which_nobody_calls_ends_by_itself(fed: FeedDatabase) -> None:
    fed.person(contact(fed, lead_do_not_call_before="2999-01-01T00:00:00Z"), phones=(PHONE,))
    past = fed.source("genius_lead", lead_id=4, do_not_call_before="2020-01-01T00:00:00Z")
    fed.person(past, phones=(SECOND,))
    fed.feed()
    entry = fed.one("SELECT * FROM crm.dnc_list")
    assert (entry["phone"], entry["reason"], entry["expires_at"].year) == (PHONE, "temporary", 2999)
    fed.feed(full=True)
    assert len(fed.all("SELECT * FROM crm.dnc_list")) == 1


def test_a_text_message_that_says_stop_and_a_status_that_does(fed: FeedDatabase) -> None:
    said = [
        {"direction": "incoming", "content": " Stop. ", "created_at": "2026-03-01T10:00:00.000-05:00"},
        {"direction": "outgoing", "content": "Are you sure?", "created_at": "2026-03-02T10:00:00.000-05:00"},
    ]
    text = fed.source("callrail_text_message", id="t", customer_phone_number_e164=PHONE, recent_messages=said)
    fed.source("callrail_text_message", id="u", customer_phone_number_e164=SECOND,
               recent_messages=[{"direction": "incoming", "content": "Do not stop by before noon"}])  # fmt: skip
    fed.record(text, None, phones=(PHONE,))
    rabbit = fed.source("salesrabbit_lead", id=1, status="Do Not Call", status_modified="2026-01-01")
    fed.person(rabbit, phones=(OWN,), first_name="Cleo")
    summary = fed.feed()
    assert (fed.listed(PHONE, "sms"), fed.listed(PHONE, "call"), fed.listed(SECOND)) == (True, False, False)
    assert fed.listed(OWN, "call")
    # Somebody wrote to the number after that.
    assert summary.counts["conflicts"] == 1
    conflict = fed.one("SELECT * FROM marts.dnc_conflicts")
    assert (conflict["channel"], conflict["source_key"], conflict["phone"]) == ("sms", "t", PHONE)
    assert fed.feed(full=True).counts["listed"] == 0


STOP = {"direction": "incoming", "content": "STOP", "created_at": "2026-03-01T10:00:00.000-05:00"}


def text(fed: FeedDatabase, *said: Any, key: str = "t", phone: str = PHONE, **values: Any) -> tuple[str, str]:
    """Write a conversation by text messages."""
    return fed.source(
        "callrail_text_message", id=key, customer_phone_number_e164=phone, recent_messages=list(said), **values
    )


def blocked(fed: FeedDatabase, person: Any, channel: str | None) -> str | None:
    """Return why the person's lead must not be reached."""
    row = fed.one(
        "SELECT crm.lead_block_reason(l, %s) AS why FROM crm.leads AS l WHERE golden_id = %s AND deleted_at IS NULL",
        [channel, person],
    )
    why: str | None = row["why"]
    return why


def consented(fed: FeedDatabase, person: Any, at: str, *channels: str) -> None:
    """Enter that the person agreed, as a user of the application does."""
    given = [{"channel": one, "at": at, "source": "form", "text_version": "1"} for one in channels]
    fed.edit(fed.lead(person)["id"], consent=json.dumps(given))


def test_a_text_of_somebody_known_that_says_stop_is_listed_by_the_next_feed_of_what_changed(fed: FeedDatabase) -> None:
    """As identity, and nobody by hand, says whose it is."""
    contact(fed, firstname="Ada", email="ada@example.com", phone="216-555-0101", phone_e164=PHONE)
    resolve.run(fed.session)
    fed.feed()
    person = fed.one("SELECT person_id FROM identity.person")["person_id"]
    consented(fed, person, "2026-01-01T00:00:00Z", "sms")
    fed.feed()
    fed.settle()
    assert (fed.feed().people, blocked(fed, person, "sms")) == (0, None)
    fed.settle()
    text(fed, STOP)
    resolve.run(fed.session)
    assert fed.one("SELECT certainty, person_id FROM identity.touch") == {"certainty": "certain", "person_id": person}
    summary = fed.feed()
    assert (summary.full, summary.people) == (False, 1)
    assert (fed.listed(PHONE, "sms"), fed.listed(PHONE, "call")) == (True, False)
    assert blocked(fed, person, "sms") == "dnc"
    assert ("sms", True) in channels(fed, person)


def test_a_text_that_says_stop_stops_all_numbers_of_who_turns_out_to_have_sent_it(fed: FeedDatabase) -> None:
    """The number itself at once, and also where no record of the person has it any more."""
    person = fed.person(contact(fed), phones=(SECOND,), first_name="Ada")
    said = text(fed, STOP)
    fed.record(said, None, phones=(PHONE,))
    fed.feed()
    assert (fed.listed(PHONE, "sms"), fed.listed(SECOND, "sms")) == (True, False)
    fed.settle()
    fed.reached(said, person)
    assert (fed.feed().people, fed.listed(SECOND, "sms")) == (1, True)
    assert fed.feed(full=True).counts["listed"] == 0


def test_a_text_that_is_not_surely_somebody_s_stops_its_number_alone(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed), phones=(SECOND,), first_name="Ada")
    said = text(fed, STOP)
    fed.record(said, None, phones=(PHONE,))
    fed.reached(said, person, certainty="likely")
    fed.feed()
    assert (fed.listed(PHONE, "sms"), fed.listed(SECOND, "sms")) == (True, False)


def test_a_text_of_who_is_taken_for_staff_stops_the_number(fed: FeedDatabase) -> None:
    said = text(fed, STOP)
    owner = fed.source("hubspot_owner", id="9")
    fed.record(said, None, phones=(PHONE,))
    fed.reached(said, fed.person(owner, kind="staff"))
    fed.feed()
    assert fed.listed(PHONE, "sms")


def end(fed: FeedDatabase, condition: str = "true", *parameters: Any) -> None:
    """End entries of the list, as a user does who gives a reason."""
    with fed.session.transaction():
        fed.session.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [ORGANIZATION, "00000000-0000-0000-0000-0000000000a1"],
        )
        fed.all(f"SELECT crm.end_dnc_entry(id, 'asked for it') FROM crm.dnc_list WHERE {condition}", *parameters)


WROTE = {"direction": "outgoing", "content": "Hello.", "created_at": "2026-05-01T10:00:00.000-05:00"}
AGAIN = {"direction": "incoming", "content": "stop", "created_at": "2026-05-02T10:00:00.000-05:00"}


def test_who_says_stop_again_in_a_conversation_is_listed_again(fed: FeedDatabase) -> None:
    """And has not consented, by what was given in between. What was said before stays lifted."""
    person = fed.person(contact(fed), phones=(PHONE,), first_name="Ada")
    said = text(fed, STOP)
    fed.record(said, None, phones=(PHONE,))
    fed.reached(said, person)
    fed.feed()
    end(fed)
    consented(fed, person, "2026-04-01T00:00:00Z", "sms")
    text(fed, STOP, WROTE)
    fed.feed()
    assert (fed.listed(PHONE, "sms"), blocked(fed, person, "sms")) == (False, None)
    text(fed, WROTE, AGAIN)
    fed.feed()
    assert fed.listed(PHONE, "sms")
    entry = fed.one("SELECT since, evidence FROM crm.dnc_list WHERE ended_at IS NULL")
    assert entry["since"].isoformat() == "2026-05-02T15:00:00+00:00"
    assert entry["evidence"] == "callrail_text_message t: message 2026-05-02T15:00:00Z"
    end(fed, "ended_at IS NULL")
    fed.feed(full=True)
    assert (fed.listed(PHONE, "sms"), blocked(fed, person, "sms")) == (False, "consent")


def test_what_was_read_before_the_entry_was_ended_is_not_said_again(fed: FeedDatabase) -> None:
    """As where only the first STOP of a conversation was kept, and there were two when a person lifted it."""
    person = fed.person(contact(fed), phones=(PHONE,), first_name="Ada")
    said = text(fed, STOP, {**STOP, "created_at": "2026-03-02T10:00:00.000-05:00"})
    fed.record(said, None, phones=(PHONE,))
    fed.reached(said, person)
    fed.feed()
    fed.session.execute("DELETE FROM crm.consent_fact WHERE flag <> 'message'")
    fed.settle()
    end(fed)
    fed.feed(full=True)
    assert not fed.listed(PHONE, "sms")
    assert len(fed.all("SELECT * FROM crm.consent_fact")) == 2
    untimed = {"direction": "incoming", "content": "Stop"}
    text(fed, untimed, key="u", phone=SECOND, last_message_at="2026-03-01T10:00:00Z")
    fed.feed()
    assert fed.listed(SECOND, "sms")
    end(fed)
    text(fed, untimed, WROTE, key="u", phone=SECOND, last_message_at="2026-05-01T10:00:00Z")
    fed.feed()
    assert not fed.listed(SECOND, "sms")


def test_a_status_that_forbids_and_comes_again_lists_anew(fed: FeedDatabase) -> None:
    def rabbit(status: str | None, day: str) -> tuple[str, str]:
        return fed.source("salesrabbit_lead", id=1, status=status, status_modified=day)

    fed.person(rabbit("Do Not Call", "2026-01-01"), phones=(PHONE,), first_name="Cleo")
    fed.feed()
    rabbit("Interested", "2026-02-01")
    fed.feed()
    assert fed.listed(PHONE, "call")
    end(fed)
    fed.feed(full=True)
    assert not fed.listed(PHONE, "call")
    rabbit("Do Not Call", "2026-03-01")
    fed.feed()
    assert fed.listed(PHONE, "call")
    # Silence is no other word; another word that forbids is one.
    end(fed)
    rabbit(None, "2026-04-01")
    fed.feed()
    rabbit("Do Not Call", "2026-04-02")
    fed.feed()
    assert not fed.listed(PHONE, "call")
    rabbit("Do Not Contact", "2026-04-03")
    fed.feed()
    assert fed.listed(PHONE, "call")


def test_who_ends_the_entry_of_one_person_does_not_lift_what_another_of_the_number_said(fed: FeedDatabase) -> None:
    ada = fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,), first_name="Ada")
    other = fed.source("hubspot_contact", id="2", lastmodifieddate="2026-02-03T10:00:00Z", lead_is_dnc=True)
    ben = fed.person(other, phones=(SECOND, PHONE), first_name="Ben")
    fed.feed()
    end(fed, "lead_id = %s", fed.lead(ada)["id"])
    assert fed.feed(full=True).counts["listed"] == 0
    assert fed.listed(PHONE, "call")
    assert fed.all("SELECT lead_id FROM crm.dnc_list WHERE ended_at IS NULL AND phone = %s", PHONE) == [
        {"lead_id": fed.lead(ben)["id"]}
    ]
    end(fed, "lead_id = %s", fed.lead(ben)["id"])
    assert fed.feed(full=True).counts["listed"] == 0
    assert not fed.listed(PHONE, "call")


def test_an_entry_of_a_number_alone_is_ended_for_whoever_has_it(fed: FeedDatabase) -> None:
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute(
            "INSERT INTO crm.dnc_list (organization_id, phone, reason, channels)"
            " VALUES (%s, %s, 'opt_out', '{call,sms}')",
            [ORGANIZATION, PHONE],
        )
    fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,))
    assert fed.feed().counts["listed"] == 0
    end(fed)
    assert fed.feed(full=True).counts["listed"] == 0
    # Of an unknown number, too, whichever conversation said it.
    for key in ("t", "u"):
        fed.record(text(fed, STOP, key=key, phone=SECOND), None, phones=(SECOND,))
    fed.feed()
    end(fed)
    assert fed.feed(full=True).counts["listed"] == 0
    assert not fed.listed(SECOND, "sms")


def test_what_another_record_says_after_the_entry_was_ended_is_listed(fed: FeedDatabase) -> None:
    """And what the person's lead was relieved of stays so when it becomes part of another lead."""
    lead = fed.source("genius_lead", lead_id=4, is_dnc=True, modified="2026-01-15T00:00:00Z")
    person = fed.person(lead, phones=(PHONE,), first_name="Ada")
    fed.feed()
    end(fed)
    second = fed.person(contact(fed), phones=(SECOND,), first_name="Ada")
    fed.feed()
    fed.join(second, person)
    fed.feed()
    assert not fed.listed(PHONE, "call")
    contact(fed, lead_is_dnc=True, lastmodifieddate="2026-02-02T10:00:00Z")
    fed.feed()
    assert (fed.listed(PHONE, "call"), fed.listed(SECOND, "call")) == (True, True)


def test_a_number_that_was_a_rep_s_or_a_tracker_s_is_listed_for_who_has_it_now(fed: FeedDatabase) -> None:
    """As soon as the one or the other is out of use."""
    left = {"archived": {"archived": True}, "out of use": {"active": False}}
    numbers = {"archived": PHONE, "out of use": SECOND}
    rep = fed.source("salesrabbit_user", id=1, phone_e164=REP, active=True)
    fed.person(rep, phones=(REP,), kind="staff")
    for key, (name, values) in enumerate(left.items(), start=2):
        user = fed.source("salesrabbit_user", id=key, phone_e164=numbers[name], **values)
        fed.person(user, phones=(numbers[name],), kind="staff")
    fed.source("callrail_tracker", id="t", tracking_number_e164=OWN, status="disabled")
    people = {
        phone: fed.person(fed.source("hubspot_contact", id=str(key), lead_is_dnc=True), phones=(phone, other))
        for key, (phone, other) in enumerate(((PHONE, REP), (SECOND, REP), (OWN, REP)))
    }
    fed.feed()
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, OWN, REP)] == [True, True, True, False]
    assert {blocked(fed, person, "task") for person in people.values()} == {"dnc"}
    fed.settle()
    fed.source("salesrabbit_user", id=1, phone_e164=REP, active=False)
    assert (fed.feed().people, fed.listed(REP, "call")) == (3, True)


def test_who_has_no_number_but_one_of_ours_is_listed_as_a_lead(fed: FeedDatabase) -> None:
    fed.person(fed.source("salesrabbit_user", id=1, phone_e164=REP), phones=(REP,), kind="staff")
    person = fed.person(contact(fed, lead_is_dnc=True), phones=(REP,), first_name="Ada")
    fed.feed()
    consented(fed, person, "2026-05-01T00:00:00Z", "call")
    assert fed.feed(full=True).counts["listed"] == 0
    assert [blocked(fed, person, channel) for channel in ("call", "sms", "task", "email")] == [
        "dnc", "dnc", "dnc", "consent",
    ]  # fmt: skip


def test_calls_after_the_listing_are_conflicts(fed: FeedDatabase) -> None:
    fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,))
    for key, direction, at in (("before", "outbound", "2026-01-01"), ("theirs", "inbound", "2026-03-01"),
                               ("after", "outbound", "2026-03-01")):  # fmt: skip
        fed.source("callrail_call", id=key, customer_phone_number_e164=PHONE, direction=direction, start_time=at)
    fed.feed()
    assert [row["source_key"] for row in fed.all("SELECT * FROM marts.dnc_conflicts")] == ["after"]


def test_calls_of_one_organization_are_no_conflict_with_the_list_of_another(fed: FeedDatabase) -> None:
    fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,))
    fed.source(
        "callrail_call", id="theirs", customer_phone_number_e164=PHONE, direction="outbound", start_time="2026-03-01"
    )
    fed.session.execute("INSERT INTO crm.feed_source VALUES ('callrail', %s)", [OTHER])
    assert fed.feed().counts["conflicts"] == 0
    assert fed.listed(PHONE, "call")
    fed.session.execute("UPDATE crm.feed_source SET organization_id = %s", [ORGANIZATION])
    assert fed.feed().counts["conflicts"] == 1


def test_a_consent_goes_with_its_crm_to_another_organization_and_an_opt_out_stays(fed: FeedDatabase) -> None:
    """Also one of a form, which is no record of the person."""
    given = {"lead_is_express_consent": True, "lead_express_consent_set_on": "2026-01-10T00:00:00Z"}
    agreed = fed.person(contact(fed, **given), fed.source("genius_lead", lead_id=4), phones=(PHONE,), first_name="Ada")
    refused = fed.person(fed.source("hubspot_contact", id="2", lead_is_dnc=True), phones=(SECOND,), first_name="Ben")
    fed.feed()
    lead = fed.lead(agreed)
    form = {
        "channel": "email",
        "at": "2026-01-10T00:00:00Z",
        "source": "hubspot",
        "text_version": "1",
        "record": "form 9",
    }
    fed.session.execute(
        "UPDATE crm.leads SET consent = consent || %s::jsonb WHERE id = %s", [json.dumps([form]), lead["id"]]
    )
    fed.feed(full=True)
    assert channels(fed, agreed) == {("call", False), ("sms", False), ("email", False)}
    fed.session.execute("INSERT INTO crm.feed_source VALUES ('hubspot', %s)", [OTHER])
    assert fed.feed().full
    consents = {str(row["organization_id"]): row["consent"] for row in fed.leads("golden_id = %s", agreed)}
    assert consents[ORGANIZATION] == []
    assert [one["channel"] for one in consents[OTHER]] == ["call", "sms"]
    told = {
        (str(row["organization_id"]), row["says"])
        for row in fed.all("SELECT organization_id, says FROM crm.consent_fact")
    }
    assert told == {(OTHER, "consent"), (OTHER, "opt_out"), (ORGANIZATION, "opt_out")}
    assert fed.listed(SECOND, "call")
    assert fed.leads("golden_id = %s AND organization_id = %s", refused, OTHER)


def test_an_element_of_a_removed_account_permits_nothing_and_what_it_took_back_ends_others(fed: FeedDatabase) -> None:
    """Although identity still knows its records, as it does until it is run in full."""
    person = fed.person(contact(fed, lead_is_express_consent=True), phones=(PHONE,), first_name="Ada")
    fed.feed()
    fed.session.execute(
        "WITH r AS (INSERT INTO identity.record (source_table, source_key, kind, fingerprint)"
        " VALUES ('hubspot_west.hubspot_contact', '7', 'customer', 'x') RETURNING *)"
        " INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
        " SELECT record_id, %s, source_table, source_key FROM r", [person]
    )  # fmt: skip
    element = {"at": "2026-05-01T00:00:00Z", "source": "hubspot_west", "text_version": "1",
               "record": "hubspot_west.hubspot_contact 7"}  # fmt: skip
    fed.session.execute(
        "UPDATE crm.leads SET consent = consent || %s::jsonb",
        [json.dumps([{**element, "channel": "email"}, {**element, "channel": "sms", "revoked_at": element["at"]}])],
    )
    fed.session.execute(
        "INSERT INTO orchestration.account (source, crm, name, removed_at)"
        " VALUES ('hubspot_west', 'hubspot', 'west', now())"
    )
    fed.feed(full=True)
    assert channels(fed, person) == {("call", False), ("sms", True)}


def test_consent_is_not_replaced_by_silence(fed: FeedDatabase) -> None:
    """Only by a flag that says the contrary; an opt-out ends the consents before it."""
    given = "2026-01-10T00:00:00Z"
    person = fed.person(
        contact(fed, lead_is_express_consent=True, lead_express_consent_set_on=given, trustedform_cert_url="https://c"),
        phones=(PHONE,), first_name="Ada",
    )  # fmt: skip
    fed.feed()
    assert channels(fed, person) == {("call", False), ("sms", False)}
    element = fed.lead(person)["consent"][0]
    assert (element["at"], element["source"], element["text_version"]) == (given, "hubspot", "https://c")
    contact(fed, lead_is_express_consent=None)
    form = fed.source("callrail_form_submission", id="f", customer_phone_number_e164=PHONE)
    fed.record(form, person, phones=(PHONE,))
    fed.feed()
    assert channels(fed, person) == {("call", False), ("sms", False)}
    contact(fed, lead_is_express_consent=False, lastmodifieddate="2026-06-01T00:00:00Z")
    fed.feed()
    assert channels(fed, person) == {("call", True), ("sms", True)}
    lead = fed.lead(person)
    assert lead["consent"][0]["revoked_at"] == "2026-06-01T00:00:00Z"
    score = lead["lead_score_factors"]["consent"]
    assert score == 0


def withdrawn(fed: FeedDatabase) -> Any:
    """Make a person who agreed in January, as Genius says, and took it back in June."""
    given = {"lead_id": 4, "is_express_consent": True, "express_consent_set_on": "2026-01-10T00:00:00Z"}
    person = fed.person(fed.source("genius_lead", modified="2026-01-10T00:00:00Z", **given), phones=(PHONE,))
    fed.feed()
    assert blocked(fed, person, "sms") is None
    fed.source("genius_lead", modified="2026-06-01T00:00:00Z", **{**given, "is_express_consent": False})
    fed.feed()
    assert blocked(fed, person, "sms") == "consent"
    return person


@pytest.mark.parametrize("created", ["2026-01-11T00:00:00Z", "2026-07-01T00:00:00Z", None])
def test_a_consent_without_a_date_does_not_supersede_one_that_was_taken_back(
    fed: FeedDatabase, created: str | None
) -> None:
    """Whenever its record was made, edited or loaded. One with a date does."""
    person = withdrawn(fed)
    said = {"lead_is_express_consent": True, "createdate": created, "lastmodifieddate": "2026-07-01T10:00:00Z"}
    fed.record(contact(fed, **said), person, phones=(PHONE,))
    fed.feed()
    assert (blocked(fed, person, "sms"), blocked(fed, person, "call")) == ("consent", "consent")
    # As a version before this one left it, too.
    fed.session.execute("UPDATE crm.consent_fact SET is_dated = NULL, given_at = '2026-07-01' WHERE crm = 'hubspot'")
    fed.feed(full=True)
    assert blocked(fed, person, "sms") == "consent"
    contact(fed, **said, lead_express_consent_set_on="2026-07-01T09:00:00Z")
    fed.feed()
    assert blocked(fed, person, "sms") is None


def test_a_consent_without_a_date_counts_while_nobody_took_one_back(fed: FeedDatabase) -> None:
    """By a record or by a user; and again when the flag is seen to be set again."""
    created = {"createdate": "2026-01-11T00:00:00Z"}
    person = fed.person(contact(fed, lead_is_express_consent=True, **created), phones=(PHONE,), first_name="Ada")
    fed.feed()
    assert blocked(fed, person, "sms") is None
    element = fed.lead(person)["consent"][0]
    assert (element["at"], element["undated"]) == ("2026-01-11T00:00:00Z", True)
    entered = {"channel": "sms", "at": "2025-01-01", "source": "phone", "text_version": "1", "revoked_at": "2025-06-01"}
    fed.edit(fed.lead(person)["id"], consent=json.dumps([entered, *fed.lead(person)["consent"]]))
    contact(fed, lead_is_express_consent=True, **created)
    fed.feed()
    assert (blocked(fed, person, "sms"), blocked(fed, person, "call")) == ("consent", None)
    for value, day in ((False, "2026-03-01"), (True, "2026-03-02")):
        contact(fed, lead_is_express_consent=value, **created, lastmodifieddate=f"{day}T10:00:00Z")
        fed.feed()
    assert blocked(fed, person, "sms") is None
    fed.feed(full=True)
    assert blocked(fed, person, "sms") is None


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_what_users_wrote_of_consent_stays(fed: FeedDatabase) -> None:
    person = fed.person(contact(fed, lead_is_dnc=True), phones=(PHONE,))
    fed.feed()
    written = '[{"channel": "email", "at": "2026-01-01", "source": "phone", "text_version": "1"}]'
    fed.edit(fed.lead(person)["id"], consent=written)
    fed.feed(full=True)
    assert channels(fed, person) == {("email", False), ("call", True), ("sms", True)}
