"""``marts.follow_up_recommendations``: whom to contact today and why, and never anybody who must not be."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.marts.rows import BY_NAME
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows

NOW = datetime.now(UTC)
PHONES = [f"+1206555{number:04}" for number in range(100, 200)]
CONSENT = '[{"channel": "call", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3"}]'


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


FOLLOW_UP = ("activity_timeline", "follow_up_recommendations")


def recommended(fed: FeedDatabase) -> dict[UUID, Row]:
    marts.run(fed.session, FOLLOW_UP)
    return {row["lead_id"]: row for row in rows(fed.session, "follow_up_recommendations")}


def lead(fed: FeedDatabase, number: int, person: UUID | None = None, **values: Any) -> UUID:
    """Write a lead with a number and consent to be called."""
    given = {
        "organization_id": ORGANIZATION, "golden_id": person, "phone": PHONES[number], "consent": CONSENT,
        "status": "new", **values,
    }  # fmt: skip
    names = ", ".join(given)
    row = fed.one(
        f"INSERT INTO crm.leads ({names}) VALUES ({', '.join(f'%({name})s' for name in given)}) RETURNING id".encode(),
        given,
    )
    made: UUID = row["id"]
    return made


def somebody(fed: FeedDatabase, number: int, **values: Any) -> UUID:
    return fed.person(fed.source("hubspot_contact", id=str(number)), first_name=f"n{number}", **values)


def codes(found: dict[UUID, Row]) -> dict[UUID, list[str]]:
    return {key: row["codes"] for key, row in found.items()}


def test_story_3_4_a_new_lead_is_contacted_by_what_it_agreed_to(fed: FeedDatabase) -> None:
    new = lead(fed, 1)
    lead(fed, 2, consent="[]")
    lead(fed, 3, phone=None)
    for number, status in enumerate(("won", "lost", "disqualified"), 4):
        lead(fed, number, status=status)
    lead(fed, 7, deleted_at=ago(days=1))
    found = recommended(fed)
    assert codes(found) == {new: ["new"]}
    row = found[new]
    assert (row["channel"], row["channels"], len(row["reasons"])) == ("call", ["call"], 1)
    assert row["reasons"][0].startswith("Is new since ")
    assert row["due_on"] < row["expires_at"].date() or row["expires_at"] > datetime.now(UTC)
    assert datetime.now(UTC) < row["expires_at"] <= datetime.now(UTC) + timedelta(days=1, hours=1)


def test_story_3_4_nobody_on_a_do_not_call_list_is_recommended(fed: FeedDatabase) -> None:
    """By the number, by the lead, for any channel; one that has ended blocks no more."""
    by_number, by_lead, by_channel, ended = (lead(fed, number) for number in range(1, 5))
    entries: tuple[dict[str, Any], ...] = (
        {"phone": PHONES[1]}, {"lead_id": by_lead, "phone": PHONES[50]},
        {"phone": PHONES[3], "channels": ["sms"]},
        {"phone": PHONES[4], "expires_at": ago(days=1), "reason": "temporary"},
    )  # fmt: skip
    for entry in entries:
        given = {"organization_id": ORGANIZATION, "reason": "opt_out", **entry}
        fed.session.execute(
            f"INSERT INTO crm.dnc_list ({', '.join(given)}) VALUES ({', '.join(f'%({n})s' for n in given)})",
            given,
        )
    found = recommended(fed)
    assert found.keys() == {ended}
    assert not found.keys() & {by_number, by_lead, by_channel}
    blocked = fed.all(
        "SELECT f.lead_id FROM marts.follow_up_recommendations AS f JOIN crm.leads AS l ON l.id = f.lead_id"
        " WHERE crm.lead_block_reason(l, NULL) = 'dnc'"
    )
    assert blocked == []


def test_a_wish_that_was_made_since_takes_the_lead_out(fed: FeedDatabase) -> None:
    wanted, revoked = lead(fed, 1), lead(fed, 2)
    assert recommended(fed).keys() == {wanted, revoked}
    fed.session.execute(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, %s, 'opt_out')",
        [ORGANIZATION, PHONES[1]],
    )
    fed.session.execute(
        "UPDATE crm.leads SET consent = jsonb_set(consent, '{0,revoked_at}', '\"2025-02-01T00:00:00Z\"') WHERE id = %s",
        [revoked],
    )
    assert recommended(fed) == {}
    assert_as_from_nothing(fed.session, FOLLOW_UP)


def test_post_needs_no_consent_and_an_address(fed: FeedDatabase) -> None:
    here = lead(fed, 1, somebody(fed, 1, street="1 elm st"), consent="[]")
    lead(fed, 2, somebody(fed, 2), consent="[]")
    assert {key: row["channels"] for key, row in recommended(fed).items()} == {here: ["mail"]}


REVOKED = (
    '[{"channel": "call", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3",'
    ' "revoked_at": "2025-02-01T00:00:00Z"}]'
)


@pytest.mark.slow("other causes of a change in a mart")
def test_who_came_to_us_is_called_back_by_hand_without_consent(fed: FeedDatabase) -> None:
    """For three months; whoever bought, for eighteen. A text takes consent, and what was taken back is no basis."""
    people = {number: somebody(fed, number) for number in range(1, 7)}
    leads = {
        number: lead(fed, number, people[number], email=f"n{number}@example.com",
                     consent=REVOKED if number == 3 else "[]")
        for number in people
    }  # fmt: skip
    for number, days in ((1, 2), (2, 100), (3, 2)):
        form = fed.source("callrail_form_submission", id=str(number), submitted_at=ago(days=days))
        fed.record(form, people[number])
    for number, days in ((4, 300), (5, 700)):
        fed.record(fed.source("genius_prospect", prospect_id=number), people[number])
        fed.source("genius_job", id=number, prospect_id=number, contract_date=ago(days=days)[:10], contract_amount="9")
    fed.record(fed.source("salesrabbit_lead", id=6, created_at=ago(days=2), status="Not Home"), people[6])
    marts.run(fed.session, ["activity_timeline", "sale", "follow_up_recommendations"])
    found = {row["lead_id"]: row for row in rows(fed.session, "follow_up_recommendations")}
    told = {number: (found[key]["channels"], found[key]["bases"]) for number, key in leads.items() if key in found}
    assert told == {
        1: (["call", "email"], ["inquiry", "inquiry"]),
        3: (["email"], ["inquiry"]),
        4: (["call", "email"], ["customer", "customer"]),
    }
    for check in BY_NAME["follow_up_recommendations"].checks:
        assert fed.all(check.faults) == []
    marts.run(fed.session)
    assert_as_from_nothing(fed.session)


def test_a_call_that_nobody_took_and_a_door_that_nobody_opened_reached_nobody(fed: FeedDatabase) -> None:
    ada = somebody(fed, 1)
    key = lead(fed, 1, ada)
    fed.record(fed.source("callrail_call", id="in", start_time=ago(days=3), direction="inbound", answered=False), ada)
    fed.record(fed.source("callrail_call", id="back", start_time=ago(days=2), direction="outbound",
                          answered=False), ada)  # fmt: skip
    fed.record(fed.source("five9_contact", id="9", sys_last_disposition="No Answer",
                          sys_last_disposition_time=ago(days=2)), ada)  # fmt: skip
    fed.record(fed.source("salesrabbit_lead", id=1, created_at=ago(days=1), status="Not Home"), ada)
    found = recommended(fed)
    assert (found[key]["codes"], found[key]["last_reached_at"]) == (["missed_call"], None)


def test_a_missed_call_is_returned_until_somebody_was_reached(fed: FeedDatabase) -> None:
    ada = somebody(fed, 1)
    key = lead(fed, 1, ada, status="contacted")
    call = {"direction": "inbound", "answered": False}
    fed.record(fed.source("callrail_call", id="old", start_time=ago(days=15), **call), ada)
    assert recommended(fed) == {}
    fed.record(fed.source("callrail_call", id="new", start_time=ago(days=1), **call), ada)
    assert codes(recommended(fed)) == {key: ["missed_call"]}
    back = fed.source("callrail_call", id="back", start_time=ago(hours=1), direction="outbound", answered=True)
    fed.record(back, ada)
    assert recommended(fed) == {}
    assert_as_from_nothing(fed.session, FOLLOW_UP)


def test_a_request_is_answered(fed: FeedDatabase) -> None:
    ada = somebody(fed, 1)
    key = lead(fed, 1, ada)
    fed.record(fed.source("callrail_form_submission", id="f", submitted_at=ago(days=2)), ada)
    found = recommended(fed)
    assert codes(found) == {key: ["unanswered_request"]}
    assert found[key]["reasons"][0].startswith("Asked on ")


@pytest.mark.parametrize(
    ("days", "outcome", "wanted"),
    [
        (-1, None, ["appointment_soon"]),
        (-5, None, None),
        (3, None, ["appointment_missed"]),
        (3, 1, None),
        (31, None, None),
    ],
)
@pytest.mark.slow("other causes of a change in a mart")
def test_an_appointment_is_confirmed_before_and_made_good_after(
    fed: FeedDatabase, days: int, outcome: int | None, wanted: list[str] | None
) -> None:
    """One that was held, and one of long ago, needs nothing; ``days`` ago, or ahead."""
    fed.source("marketsharp_appointment_result", id="1", name="Demo No Sale")
    fed.source("marketsharp_inquiry", id="i", contact_id="c")
    fed.source(
        "marketsharp_appointment", id="a", inquiry_id="i", created_date=ago(days=40),
        appointment_date=ago(days=days), result_id=None if outcome is None else str(outcome),
    )  # fmt: skip
    ada = fed.person(fed.source("marketsharp_contact", id="c"), first_name="Ada")
    key = lead(fed, 1, ada, status="appointment_set")
    assert codes(recommended(fed)).get(key) == wanted


def test_what_is_ours_or_has_no_source_is_no_inquiry(fed: FeedDatabase) -> None:
    """A text that we wrote, an import, a copy of a door knock: nobody asked for it, and nobody is called."""
    people = [
        fed.person(fed.source("hubspot_contact", id=f"{number}", createdate=ago(days=1), hge_primary_source=source))
        for number, source in enumerate((None, "OFFLINE", "CRM import", "Door Knocking", "Unknown", "Google Ads"))
    ]
    for number, directions in enumerate((["outgoing"], ["incoming", "outgoing"], [])):
        said = [{"direction": word, "created_at": ago(days=2 - place)} for place, word in enumerate(directions)]
        text = {"id": f"{number}", "last_message_at": ago(days=1), "recent_messages": said}
        people.append(fed.person(fed.source("callrail_text_message", **text)))
    leads = [lead(fed, number, ada, consent="[]") for number, ada in enumerate(people)]
    found = recommended(fed)
    assert [found[key]["bases"] if key in found else None for key in leads] == [
        None, None, None, None, None, ["inquiry"], None, ["inquiry"], None,
    ]  # fmt: skip
    texts = [row for row in rows(fed.session, "activity_timeline") if row["kind"] == "text"]
    assert [row["direction"] for row in texts] == ["outbound", "inbound", "outbound"]
    assert [row["occurred_at"].isoformat() for row in texts] == [ago(days=1), ago(days=2), ago(days=1)]
    assert_as_from_nothing(fed.session, FOLLOW_UP)


def test_an_appointment_that_a_crm_calls_off_is_neither_confirmed_nor_missed(fed: FeedDatabase) -> None:
    """Whichever of them says so; but what it calls off may be the old date of a new one."""
    leads = {}
    for number, (days, told) in enumerate((
        (-1, {"1": ("Canceled", 0)}), (3, {"1": ("[CC] Rescheduled", 5)}),
        (-1, {"1": ("Rescheduled", 24), "2": ("Scheduled", 0)}), (-1, {"1": ("Canceled", 60)}),
    )):  # fmt: skip
        at = NOW - timedelta(days=days)
        fed.source("marketsharp_inquiry", id=f"i{number}", contact_id=f"c{number}")
        fed.source("marketsharp_appointment", id=f"a{number}", inquiry_id=f"i{number}", appointment_date=at.isoformat())
        records = [fed.source("marketsharp_contact", id=f"c{number}")]
        records += [
            fed.source("hubspot_appointment", id=f"{number}{key}", appointment_status=status,
                       start_time=(at - timedelta(hours=before)).isoformat())
            for key, (status, before) in told.items()
        ]  # fmt: skip
        leads[lead(fed, number, fed.person(*records), status="appointment_set")] = days
    called_off, soon = ["appointment_called_off"], ["appointment_soon"]
    found = recommended(fed)
    assert [found[key]["codes"] for key in leads] == [called_off, called_off, soon, soon]
    assert found[next(iter(leads))]["reasons"][0].endswith(", which was called off: agree on another day.")


def test_an_open_estimate_says_how_much_and_since_when(fed: FeedDatabase) -> None:
    people = {}
    for number, days in enumerate((1, 3, 46), 1):
        ada = fed.person(
            fed.source("salespro_customer", customer_id=str(number)),
            fed.source("salespro_estimate", estimate_id=str(number), customer_id=str(number), total_amount="12345.6",
                       created_at=ago(days=days)),
        )  # fmt: skip
        people[days] = lead(fed, number, ada, status="proposal")
    found = recommended(fed)
    assert codes(found) == {people[3]: ["open_estimate"]}
    assert "of $12,345.60 since" in found[people[3]]["reasons"][0]


@pytest.mark.slow("other causes of a change in a mart")
def test_who_has_several_reasons_comes_first_and_forty_of_an_owner_are_enough(fed: FeedDatabase) -> None:
    owner = somebody(fed, 0)
    for number in range(1, 43):
        lead(fed, number, owner_id=str(owner))
    ada = somebody(fed, 99)
    first = lead(fed, 60, ada, owner_id=str(owner))
    fed.record(fed.source("callrail_form_submission", id="f", submitted_at=ago(days=2)), ada)
    fed.record(fed.source("callrail_call", id="c", start_time=ago(days=1), direction="inbound", answered=False), ada)
    another = lead(fed, 61)
    found = recommended(fed)
    assert len(found) == 41
    assert found[first]["codes"] == ["missed_call", "unanswered_request"]
    assert max(found.values(), key=lambda row: row["priority"])["lead_id"] == first
    assert another in found


def test_story_3_4_the_seeded_leads_have_recommendations(fed: FeedDatabase) -> None:
    """One of the ten is listed, and may be recommended by no channel."""
    fed.session.execute((sql_folder() / "seeds" / "crm.sql").read_bytes())
    marts.run(fed.session)
    waiting = "SELECT l.first_name FROM marts.follow_up_recommendations AS f JOIN crm.leads AS l ON l.id = f.lead_id"
    names = {row["first_name"] for row in fed.all(f"{waiting} WHERE f.expires_at > now()")}
    assert "Ada" in names
    assert "Jon" not in names
