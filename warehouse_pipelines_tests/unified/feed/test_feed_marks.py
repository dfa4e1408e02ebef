"""``feed.marks``: a do-not-call that people set at HubSpot or CallRail, where the warehouse writes it too."""

import json
from typing import Any

import pytest

from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

pytestmark = pytest.mark.on_oldest(
    "test_a_mark_that_a_person_set_at_hubspot_stops_all_numbers_of_the_person",
    "test_a_tag_that_a_person_gave_a_call_stops_its_number_and_those_of_its_person",
)

PHONE, SECOND, OTHER = "+12165550101", "+12165550102", "+12165550103"
BEFORE, WRITTEN, AFTER = "2026-02-01T10:00:00Z", "2026-03-01T10:00:00Z", "2026-04-01T10:00:00Z"


def contact(
    fed: FeedDatabase, mark: str | None, edited: str = BEFORE, key: str = "1", **values: Any
) -> tuple[str, str]:
    return fed.source(
        "hubspot_contact", id=key, lastmodifieddate=edited, raw_data={"properties": {"genius_do_not_call": mark}},
        **values,
    )  # fmt: skip


def call(fed: FeedDatabase, *tags: Any, phone: str = PHONE, key: str = "CAL1") -> tuple[str, str]:
    return fed.source(
        "callrail_call", id=key, customer_phone_number_e164=phone, start_time=BEFORE, tags=list(tags),
        raw_data={"tags": list(tags)},
    )  # fmt: skip


def wrote(
    fed: FeedDatabase, target: str, key: str, field: str, stored: str | None, at: str = WRITTEN, status: str = "written"
) -> None:
    """Write a receipt of ours."""
    said = {"before": None, "sent": stored, **({"stored": stored} if status == "written" else {})}
    fed.session.execute(
        "INSERT INTO reverse_etl.receipt (operation_id, plan_id, target, action, source_key, object_id, fields, status,"
        " sent_at, settled_at) VALUES (gen_random_uuid(), 1, %s, 'update', %s, %s, %s, %s, %s, %s)",
        [target, key, key, json.dumps({field: said}), status, at, at if status == "written" else None],
    )


def end_entries(fed: FeedDatabase) -> None:
    with fed.session.transaction():
        fed.session.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [ORGANIZATION, "00000000-0000-0000-0000-0000000000a1"],
        )
        fed.session.execute("SELECT crm.end_dnc_entry(id, 'asked to be called') FROM crm.dnc_list")


def test_a_mark_that_a_person_set_at_hubspot_stops_all_numbers_of_the_person(fed: FeedDatabase) -> None:
    ada = fed.person(contact(fed, None), phones=(PHONE, SECOND), first_name="Ada")
    fed.person(contact(fed, None, key="2"), phones=(OTHER,), first_name="Ben")
    fed.feed()
    contact(fed, "true", AFTER)
    assert fed.feed().counts["listed"] == 2
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, OTHER)] == [True, True, False]
    assert (fed.listed(PHONE, "sms"), fed.listed(PHONE, "email")) == (True, False)
    entry = fed.one("SELECT * FROM crm.dnc_list WHERE phone = %s", [SECOND])
    assert (entry["reason"], entry["evidence"]) == ("opt_out", "hubspot_contact 1: genius_do_not_call")
    assert (entry["lead_id"], entry["since"].date().isoformat()) == (fed.lead(ada)["id"], "2026-04-01")


def test_a_mark_that_the_warehouse_wrote_is_no_opt_out(fed: FeedDatabase) -> None:
    wrote(fed, "hubspot_do_not_call", "1", "genius_do_not_call", "true")
    fed.person(contact(fed, "true", AFTER), phones=(PHONE,), first_name="Ada")
    fed.feed()
    fed.feed(full=True)
    assert not fed.listed(PHONE)


@pytest.mark.parametrize("listed", [False, True])
def test_a_mark_that_came_with_a_record_that_became_part_of_this_one_is_ours_until_we_wrote_it_here(
    fed: FeedDatabase, listed: bool
) -> None:
    wrote(fed, "hubspot_do_not_call", "8", "genius_do_not_call", "true", "2026-01-01T00:00:00Z")
    if listed:
        wrote(fed, "hubspot_do_not_call", "1", "genius_do_not_call", "false")
    fed.person(contact(fed, "true", AFTER, hs_merged_object_ids="8;9"), phones=(PHONE,), first_name="Ada")
    fed.feed()
    assert fed.listed(PHONE, "call") is listed


@pytest.mark.parametrize(("stored", "status", "edited", "listed"), [
    ("true", "sending", AFTER, False),
    ("false", "written", BEFORE, False),  # what is read is of before it was taken back
    (None, "written", BEFORE, False),  # and of before an undo
    ("false", "written", AFTER, True),
    ("true", "refused", AFTER, True),
])  # fmt: skip
def test_a_mark_is_a_persons_once_the_warehouse_has_written_another(
    fed: FeedDatabase, stored: str | None, status: str, edited: str, listed: bool
) -> None:
    wrote(fed, "hubspot_do_not_call", "1", "genius_do_not_call", "true", "2026-01-01T00:00:00Z")
    wrote(fed, "hubspot_do_not_call", "1", "genius_do_not_call", stored, status=status)
    if status == "refused":
        fed.session.execute("DELETE FROM reverse_etl.receipt WHERE status = 'written'")
    fed.person(contact(fed, "true", edited), phones=(PHONE,), first_name="Ada")
    fed.feed()
    assert fed.listed(PHONE, "call") is listed


@pytest.mark.parametrize("cleared", ["false", None])
def test_a_mark_that_a_person_lifted_stays_lifted_until_it_is_set_anew(fed: FeedDatabase, cleared: str | None) -> None:
    fed.person(contact(fed, "true"), phones=(PHONE,), first_name="Ada")
    fed.feed()
    end_entries(fed)
    fed.feed(full=True)
    assert not fed.listed(PHONE)
    contact(fed, cleared, WRITTEN)
    fed.feed()
    assert not fed.listed(PHONE)
    contact(fed, "true", AFTER)
    fed.feed()
    assert fed.listed(PHONE, "call")
    # A mark that goes lifts nothing: a person ends the entry.
    contact(fed, cleared, AFTER)
    fed.feed(full=True)
    assert fed.listed(PHONE, "call")


@pytest.mark.parametrize("tag", ["do_not_call", {"name": "do_not_call"}], ids=["name", "object"])
def test_a_tag_that_a_person_gave_a_call_stops_its_number_and_those_of_its_person(fed: FeedDatabase, tag: Any) -> None:
    fed.record(call(fed, "quote"), None, phones=(PHONE,))
    named = call(fed, phone=SECOND, key="CAL2")
    fed.person(named, phones=(SECOND, OTHER), first_name="Ada")
    fed.feed()
    assert not fed.all("SELECT FROM crm.dnc_list")
    call(fed, "quote", tag)
    call(fed, tag, phone=SECOND, key="CAL2")
    fed.feed()
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND, OTHER)] == [True, True, True]
    assert fed.listed(PHONE, "sms")
    end_entries(fed)
    call(fed, "quote")
    fed.feed(full=True)
    assert not fed.listed(PHONE)
    call(fed, "quote", tag)
    fed.feed()
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [True, False]


def test_a_tag_on_a_call_that_is_certainly_of_a_person_stops_all_its_numbers(fed: FeedDatabase) -> None:
    ada = fed.person(contact(fed, None), phones=(PHONE, SECOND), first_name="Ada")
    fed.record(call(fed, "do_not_call"), None, phones=(PHONE,))
    fed.session.execute(
        "INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule,"
        " reason) SELECT record_id, source_table, source_key, %s, 'certain', 'phone', 'a test'"
        " FROM identity.record WHERE kind = 'touch'",
        [ada],
    )
    fed.feed(full=True)
    assert [fed.listed(phone, "call") for phone in (PHONE, SECOND)] == [True, True]


def test_a_tag_that_the_warehouse_gave_a_call_is_no_opt_out(fed: FeedDatabase) -> None:
    wrote(fed, "callrail_do_not_call", "CAL1", "do_not_call", "true")
    fed.record(call(fed, "do_not_call"), None, phones=(PHONE,))
    # Read before the tag was taken back.
    fed.record(call(fed, "do_not_call", phone=SECOND, key="CAL2"), None, phones=(SECOND,))
    wrote(fed, "callrail_do_not_call", "CAL2", "do_not_call", None, at="2999-01-01T00:00:00Z")
    fed.feed(full=True)
    assert not fed.all("SELECT FROM crm.dnc_list")
