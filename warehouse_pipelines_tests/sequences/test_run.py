"""Sequences that run: enroll, advance, hours, replies, what stops them, what is parked, two workers at a time."""

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.loading import retention
from warehouse_pipelines.sequences import messages, rendering, run
from warehouse_pipelines.sequences.hand_over import IN_A_ROW, WAITS
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines_tests.harness.crm_database import CONSENT, A, B
from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService
from warehouse_pipelines_tests.harness.sequence_rows import CALL, EMAIL, KEY, NOON, SMS, SequenceRows, live
from warehouse_pipelines_tests.harness.source_harness import looking

pytestmark = pytest.mark.on_oldest(
    "test_a_message_that_is_past_its_age_loses_its_text_and_is_never_sent_again",
    "test_story_3_5_leads_of_a_segment_are_enrolled_once",
    "test_story_3_5_at_night_where_the_lead_is_nobody_is_texted_or_called",
    "test_what_goes_on_waits_as_long_as_it_would_have",
    "test_sequence_skips_dnc",
    "test_story_3_5_who_opts_out_while_the_message_is_written_does_not_get_it",
    "test_a_parked_step_is_mended_and_handed_over_again_or_left_out",
    "test_the_same_refusal_of_several_in_a_row_stops_the_channel_and_the_parked_are_decided_at_once",
    "test_a_call_is_left_to_a_person_and_withdrawn_from_who_must_not_be_called",
    "test_an_enrollment_that_another_worker_has_is_passed_by",
    "test_a_sequence_that_is_switched_off_waits",
    "test_a_log_that_somebody_spoilt_stops_no_other",
    "test_an_application_reads_messages_and_writes_none",
    "test_a_user_who_is_no_superuser_works_for_each_organization_apart",
)

NIGHT = datetime(2026, 6, 15, 4, tzinfo=UTC)
"""Midnight in New York."""


def decide(rows: SequenceRows, message: dict[str, Any], outcome: Any, said: str = "") -> str:
    return messages.settle(looking(rows.url), message["organization_id"], message["id"], outcome, said)


def test_story_3_5_a_sequence_goes_on_step_by_step_to_its_end(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    enrollment = rows.enrolled(EMAIL, {**SMS, "delay_minutes": 60}, EMAIL, first_name="Ada", email="ada@people.example")
    assert rows.run(live(mail, texts)).counts == {"sent": 1}
    assert rows.run(live(mail, texts)).counts == {}, "the second step is an hour away"
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {"sent": 2}, "the third follows at once"
    assert rows.enrollment(enrollment)["status"] == "completed"
    assert [message["Subject"] for _, message in mail.received] == ["For Ada", "For Ada"]
    assert texts.sent[0]["text"].startswith("Hello Ada.\nNo more texts: https://")
    assert rows.message(enrollment, 1)["body"] == "Hello Ada.\nNo more texts: [link]"
    first = rows.message(enrollment)
    assert (first["status"], first["recipient"], first["sender"]) == ("sent", "ada@people.example", "smtp")
    assert first["reference"] == f"<{enrollment}.0@acme.example>"
    assert rows.rows("SELECT kind, outcome FROM crm.sequence_step ORDER BY done_at") == [
        {"kind": "email", "outcome": "sent"}, {"kind": "text", "outcome": "sent"}, {"kind": "email", "outcome": "sent"},
    ]  # fmt: skip


def test_a_message_that_is_past_its_age_loses_its_text_and_is_never_sent_again(
    rows: SequenceRows, mail: MailServer
) -> None:
    enrollment = rows.enrolled(EMAIL, EMAIL, email="ada@people.example")
    assert rows.run(live(mail)).counts == {"sent": 2}
    with warehouse.connect(rows.url) as session:
        [amount] = [one for one in retention.plan(session, []) if one.policy.kind == "sequence_messages"]
        assert (amount.rows, amount.due) == (2, 0)
        in_years = datetime.now(UTC) + timedelta(days=1000)
        [done] = retention.run(session, [], only=["sequence_messages"], now=in_years)
        assert (done.removed, done.problem) == (2, None)
        assert retention.run(session, [], only=["sequence_messages"], now=in_years)[0].removed == 0
    message = rows.message(enrollment)
    assert (message["status"], message["recipient"], message["body"], message["reference"]) == (
        "sent",
        None,
        None,
        None,
    )
    rows.rows("UPDATE crm.lead_sequence_enrollments SET status = 'active', completed_at = NULL, next_run_at = now()")
    rows.rows("UPDATE crm.lead_sequence_enrollments SET current_step = 0, execution_log = '[]'")
    rows.run(live(mail))
    assert len(mail.received) == 2


def test_story_3_5_leads_of_a_segment_are_enrolled_once(rows: SequenceRows, mail: MailServer) -> None:
    hot, cold = rows.lead(tags=["hot"]), rows.lead()
    won, without_consent = rows.lead(tags=["hot"], status="won"), rows.lead(tags=["hot"], consent="[]")
    listed, contacted = rows.lead(tags=["hot"]), rows.lead(tags=["hot"], status="contacted")
    rows.rows("INSERT INTO crm.dnc_list (organization_id, lead_id, reason) VALUES (%s, %s, 'opt_out')", A, listed)
    twin = rows.lead(tags=["hot"])
    rows.rows("UPDATE crm.leads SET golden_id = %s WHERE id = ANY (%s)", rows.person(hot), [hot, twin])
    filter_ = json.dumps({"field": "tags", "op": "has", "value": "hot"})
    segment = rows.one(
        "INSERT INTO crm.segments (organization_id, name, filter_criteria) VALUES (%s, 'hot', %s) RETURNING id",
        A,
        filter_,
    )["id"]
    rows.sequence(EMAIL, segment_id=segment, trigger_conditions='{"status": "new"}')
    rows.run(live(mail))
    enrolled = {row["lead_id"] for row in rows.rows("SELECT lead_id FROM crm.lead_sequence_enrollments")}
    assert enrolled <= {hot, twin}
    assert not enrolled & {cold, won, without_consent, listed, contacted}
    sent = len(mail.received)
    assert rows.run(live(mail)).counts == {}, "whoever was in it does not begin anew"
    assert len(mail.received) == sent == 1


@pytest.mark.parametrize("step", [SMS, CALL], ids=["text", "call"])
def test_story_3_5_at_night_where_the_lead_is_nobody_is_texted_or_called(
    rows: SequenceRows, texts: TextService, step: dict[str, str]
) -> None:
    enrollment = rows.enrolled(step, phone="+12065550101", postal_code="10001")
    assert rows.run(live(texts=texts), NOON - timedelta(hours=2)).counts == {"waiting for the hour": 1}
    assert rows.waits(enrollment) == timedelta(hours=1), "until eight in Seattle"
    assert texts.sent == []
    assert rows.rows("SELECT FROM crm.sequence_message") == []


def test_the_link_in_a_text_message_is_sent_and_not_kept(rows: SequenceRows, texts: TextService) -> None:
    enrollment = rows.enrolled({"channel": "sms", "body": "Hello. No more: {{ unsubscribe_url }}"})
    rows.run(live(texts=texts))
    assert "https://hooks.example.test/unsubscribe/" in texts.sent[0]["text"]
    assert rows.message(enrollment)["body"] == "Hello. No more: [link]"


def test_an_e_mail_wakes_nobody(rows: SequenceRows, mail: MailServer) -> None:
    rows.enrolled(EMAIL)
    assert rows.run(live(mail), NIGHT).counts == {"sent": 1}


@pytest.mark.parametrize("kind", ["call", "form", "text", "email"])
def test_story_3_5_a_reply_pauses_until_a_person_has_it_go_on(rows: SequenceRows, mail: MailServer, kind: str) -> None:
    lead = rows.lead()
    person, enrollment = rows.person(lead), rows.enrolled(EMAIL, EMAIL, lead=lead)
    rows.activity(person, kind, occurred_at=datetime(2020, 1, 1, tzinfo=UTC))
    rows.activity(person, kind, "outbound")
    assert rows.run(live(mail), limit=1).counts == {"sent": 1}
    rows.activity(person, kind)
    assert rows.run(live(mail)).counts == {"paused by a reply": 1}
    assert rows.enrollment(enrollment)["status"] == "paused"
    assert rows.run(live(mail)).counts == {}
    messages.resume(looking(rows.url), rows.enrollment(enrollment)["organization_id"], enrollment)
    assert rows.run(live(mail)).counts == {"sent": 1}, "the reply of before is answered"
    assert rows.enrollment(enrollment)["status"] == "completed"
    assert rows.events(enrollment).count("paused") == 1


def test_a_reply_that_the_marts_get_after_the_next_message_pauses_too(rows: SequenceRows, mail: MailServer) -> None:
    lead = rows.lead()
    person, enrollment = rows.person(lead), rows.enrolled(EMAIL, {**EMAIL, "delay_minutes": 60}, lead=lead)
    replied = datetime.now(UTC)
    assert rows.run(live(mail)).counts == {"sent": 1}
    rows.activity(person, "call", occurred_at=replied)
    rows.make_due()
    assert rows.run(live(mail)).counts == {"paused by a reply": 1}
    assert rows.enrollment(enrollment)["status"] == "paused"


def test_what_goes_on_waits_as_long_as_it_would_have(rows: SequenceRows, mail: MailServer) -> None:
    enrollment = rows.enrolled({**EMAIL, "delay_minutes": 60})
    rows.rows("UPDATE crm.lead_sequence_enrollments SET status = 'paused'")
    messages.resume(looking(rows.url), rows.enrollment(enrollment)["organization_id"], enrollment)
    assert rows.waits(enrollment) == timedelta(hours=1)
    assert rows.run(live(mail)).counts == {}


@pytest.mark.parametrize(("direction", "pauses"), [("incoming", True), ("outgoing", False)])
def test_story_3_5_of_a_conversation_only_what_the_person_wrote_is_a_reply(
    rows: SequenceRows, mail: MailServer, direction: str, pauses: bool
) -> None:
    lead = rows.lead()
    person, _ = rows.person(lead), rows.enrolled(EMAIL, lead=lead)
    texts = json.dumps([{"direction": direction, "content": "Yes", "created_at": datetime.now(UTC).isoformat()}])
    rows.rows("INSERT INTO callrail_text_message (id, recent_messages, raw_data) VALUES ('c1', %s, '{}')", texts)
    # The timeline has the conversation as it was: it may be older than the messages.
    before = datetime.now(UTC) - timedelta(days=40)
    rows.activity(person, "text", "outbound", source_table="callrail_text_message", source_key="c1", occurred_at=before)
    assert rows.run(live(mail)).counts == ({"paused by a reply": 1} if pauses else {"sent": 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE crm.leads SET status = 'lost'", "lost"),
        ("UPDATE crm.leads SET status = 'disqualified'", "disqualified"),
        ("UPDATE crm.leads SET status = 'appointment_set'; UPDATE crm.leads SET status = 'won'", "won"),
        ("UPDATE crm.leads SET deleted_at = now()", "deleted"),
        ("UPDATE crm.leads SET consent = '[]'", "consent"),
        ("INSERT INTO crm.dnc_list (organization_id, phone, reason) SELECT organization_id, phone, 'opt_out'"
         " FROM crm.leads", "dnc"),
        ("INSERT INTO crm.dnc_list (organization_id, lead_id, reason, channels) SELECT organization_id, id, 'opt_out',"
         " '{email}' FROM crm.leads", "dnc"),
    ],
)  # fmt: skip
def test_story_3_5_what_stops_a_sequence_stops_it_before_the_next_step(
    rows: SequenceRows, mail: MailServer, change: str, reason: str
) -> None:
    enrollment = rows.enrolled(EMAIL, EMAIL)
    rows.run(live(mail), limit=1)
    rows.rows(change)
    assert rows.run(live(mail)).counts == {f"stopped: {reason}": 1}
    assert rows.enrollment(enrollment)["stop_reason"] == reason
    assert len(mail.received) == 1


def test_sequence_skips_dnc(rows: SequenceRows, mail: MailServer) -> None:
    """The list is asked for the channel of the step: who wants no calls gets e-mails."""
    reached, not_reached = rows.enrolled(EMAIL), rows.enrolled(CALL)
    rows.rows(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason, channels) SELECT organization_id, phone, 'opt_out',"
        " '{call}' FROM crm.leads"
    )
    rows.run(live(mail))
    assert rows.enrollment(reached)["status"] == "completed"
    assert rows.enrollment(not_reached)["stop_reason"] == "dnc"


def test_story_3_5_who_opts_out_while_the_message_is_written_does_not_get_it(
    rows: SequenceRows, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrollment = rows.enrolled(EMAIL)
    render = rendering.render

    def opting_out(template: str, values: Any) -> str:
        rows.rows(
            "INSERT INTO crm.dnc_list (organization_id, lead_id, reason, channels) SELECT organization_id, lead_id,"
            " 'opt_out', '{email}' FROM crm.lead_sequence_enrollments"
        )
        return render(template, values)

    monkeypatch.setattr(rendering, "render", opting_out)
    assert rows.run(live(mail)).counts == {"stopped: dnc": 1}
    assert mail.received == []
    assert rows.enrollment(enrollment)["stop_reason"] == "dnc"
    assert rows.rows("SELECT FROM crm.sequence_message") == []


@pytest.mark.parametrize(
    ("step", "lead", "problem"),
    [
        ({**EMAIL, "body": "{{ lead.division }}"}, {}, "a value is missing"),
        ({**EMAIL, "body": "{{ lead.__class__ }}"}, {}, "there is no value"),
        ({"channel": "email", "template": "none"}, {}, "no template of this name"),
        ({"channel": "email", "body": "Hello"}, {}, "no subject"),
        ({"channel": "sms"}, {}, "neither a body nor a template"),
        ({"channel": "sms", "body": 7}, {}, "body is no text"),
        ({"channel": "sms", "body": "x" * 2_000}, {}, "more than 1,600"),
        (EMAIL, {"email": "a@b.example, c@d.example"}, "no e-mail address that can be used"),
        (EMAIL, {"email": None}, "no e-mail address that can be used"),
    ],
)
def test_story_3_5_what_cannot_be_written_is_parked_with_its_problem(
    rows: SequenceRows, mail: MailServer, texts: TextService, step: dict[str, Any], lead: dict[str, Any], problem: str
) -> None:
    parked, other = rows.enrolled(step, **lead), rows.enrolled(EMAIL)
    result = rows.run(live(mail, texts))
    assert result.counts == {"parked": 1, "sent": 1}, "one stops no other"
    assert any(problem in one for one in result.problems)
    assert problem in rows.message(parked)["problem"]
    assert rows.enrollment(parked)["status"] == "paused"
    assert rows.enrollment(other)["status"] == "completed"
    assert rows.run(live(mail, texts)).counts == {}


def test_a_parked_step_is_mended_and_handed_over_again_or_left_out(rows: SequenceRows, mail: MailServer) -> None:
    step = {"channel": "email", "template": "guide"}
    mended, left_out = rows.enrolled(step), rows.enrolled(step, EMAIL)
    rows.run(live(mail))
    with pytest.raises(WrongUse, match="settle"):
        messages.resume(looking(rows.url), rows.message(mended)["organization_id"], mended)
    rows.rows(
        "INSERT INTO crm.message_template (organization_id, name, channel, subject, body)"
        " VALUES (%s, 'guide', 'email', 'A guide', 'For {{ lead.first_name }}')", A
    )  # fmt: skip
    assert decide(rows, rows.message(mended), "again") == "active"
    assert decide(rows, rows.message(left_out), "skip") == "active"
    assert rows.run(live(mail)).counts == {"sent": 2}
    assert sorted(str(message["Subject"]) for _, message in mail.received) == ["A guide", "For Ada"]
    assert rows.message(left_out)["status"] == "withheld"
    assert rows.rows("SELECT kind FROM crm.sequence_step WHERE id LIKE %s", f"{left_out}%") == [{"kind": "email"}]
    with pytest.raises(WrongUse, match="nothing is to be decided"):
        decide(rows, rows.message(mended), "again")


def test_a_call_is_left_to_a_person_and_withdrawn_from_who_must_not_be_called(rows: SequenceRows) -> None:
    done, withdrawn = rows.enrolled(CALL, SMS), rows.enrolled(CALL, SMS, phone="+12125559999")
    settings = live(warehouse_sequences_sender="outbox")
    assert rows.run(settings).counts == {"left to a person": 2}
    assert rows.message(done)["body"] == "Call Ada."
    rows.make_due()
    assert rows.run(settings).counts == {"waiting for a person": 2}
    assert rows.events(done) == ["handed_out"], "looking again is no event"
    rows.rows("INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, '+12125559999', 'opt_out')", A)
    open_ = messages.shown(looking(rows.url), rows.message(done)["organization_id"], None, 10)
    assert {str(one["id"]): one["blocked"] for one in open_} == {
        str(rows.message(done)["id"]): None, str(rows.message(withdrawn)["id"]): "dnc",
    }  # fmt: skip
    rows.make_due()
    assert rows.run(settings).counts == {"waiting for a person": 1, "stopped: dnc": 1}
    assert rows.message(withdrawn)["status"] == "withheld"
    assert decide(rows, rows.message(done), "done", "wants a visit") == "active"
    assert rows.run(settings).counts == {"kept in the outbox": 1}
    assert rows.rows("SELECT kind, outcome FROM crm.sequence_step ORDER BY done_at") == [
        {"kind": "call", "outcome": "wants a visit"}, {"kind": "text", "outcome": "recorded"},
    ]  # fmt: skip


def test_what_was_surely_not_taken_is_tried_again_and_parked_in_the_end(rows: SequenceRows, mail: MailServer) -> None:
    enrollment = rows.enrolled(EMAIL)
    mail.answers = {"RCPT": "451 greylisted"}
    for attempt in range(len(WAITS)):
        assert rows.run(live(mail)).counts == {"not taken, tried again": 1}
        assert rows.waits(enrollment) == WAITS[attempt]
        rows.make_due()
    if_taken = rows.message(enrollment)
    assert (if_taken["status"], if_taken["attempts"]) == ("retry", len(WAITS))
    assert rows.run(live(mail)).counts == {"parked": 1}
    mail.answers = {}
    decide(rows, rows.message(enrollment), "again")
    assert rows.run(live(mail)).counts == {"sent": 1}
    assert len(mail.received) == 1


def test_an_attempt_asks_everything_anew(rows: SequenceRows, mail: MailServer) -> None:
    lead = rows.lead()
    enrollment = rows.enrolled(EMAIL, lead=lead)
    mail.answers = {"RCPT": "451 greylisted"}
    rows.run(live(mail))
    mail.answers = {}
    rows.rows("UPDATE crm.leads SET first_name = 'Grace' WHERE id = %s", lead)
    rows.rows("INSERT INTO crm.dnc_list (organization_id, lead_id, reason) VALUES (%s, %s, 'opt_out')", A, lead)
    rows.make_due()
    assert rows.run(live(mail)).counts == {"stopped: dnc": 1}
    assert (mail.received, rows.message(enrollment)["status"]) == ([], "withheld")


def test_a_refused_login_stops_the_channel_and_no_enrollment(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    texts.status = 401
    enrollments = [rows.enrolled(SMS) for _ in range(3)]
    rows.enrolled(EMAIL)
    result = rows.run(live(mail, texts))
    assert result.counts == {"waiting for the channel": 3, "sent": 1}
    assert len(texts.requests) == 1
    assert any("SMS_TOKEN" in problem for problem in result.problems)
    texts.status = 202
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {"sent": 3}
    assert {rows.enrollment(one)["status"] for one in enrollments} == {"completed"}


def test_what_concerns_every_message_stops_the_channel_and_parks_none(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    """However long it lasts; and the message that was answered so stays behind the others."""
    mail.answers, texts.status = {"RCPT": "550 5.4.5 Daily user sending limit exceeded."}, 402
    first, second = (rows.enrolled(EMAIL) for _ in range(2))
    rows.enrolled(SMS)
    for _ in range(len(WAITS) + 2):
        assert rows.run(live(mail, texts)).counts == {"waiting for the channel": 3}
        assert [rows.enrollment(one)["status"] for one in (first, second)] == ["active"] * 2
        assert rows.waits(first) > rows.waits(second)
        rows.make_due()
        rows.rows(
            "UPDATE crm.lead_sequence_enrollments SET next_run_at = next_run_at - interval '1 s' WHERE id = %s", first
        )
    mail.answers, texts.status = {}, 202
    assert rows.run(live(mail, texts)).counts == {"sent": 3}


def test_the_same_refusal_of_several_in_a_row_stops_the_channel_and_the_parked_are_decided_at_once(
    rows: SequenceRows, mail: MailServer
) -> None:
    organization = UUID(A)
    for _ in range(IN_A_ROW + 2):
        rows.enrolled(EMAIL)
    mail.answers = {"RCPT": "550 rejected"}
    result = rows.run(live(mail))
    assert result.counts == {"parked": IN_A_ROW - 1, "waiting for the channel": 3}
    assert any(f"{IN_A_ROW} times in a row" in one for one in result.problems)
    mail.answers = {}
    session = looking(rows.url)
    assert messages.settle_parked(session, organization, "something else", "again") == {}
    assert messages.settle_parked(session, organization, "RCPT: 550 Rejected", "again") == {"active": IN_A_ROW - 1}
    rows.make_due()
    assert rows.run(live(mail)).counts == {"sent": IN_A_ROW + 2}


def test_addresses_that_are_none_stop_no_channel(rows: SequenceRows, mail: MailServer) -> None:
    for _ in range(IN_A_ROW + 1):
        rows.enrolled(EMAIL)
    mail.answers = {"RCPT": "550 5.1.1 no such user"}
    assert rows.run(live(mail)).counts == {"parked": IN_A_ROW + 1}


def test_a_server_that_is_away_stops_the_channel_and_counts_no_attempt_of_the_others(
    rows: SequenceRows, mail: MailServer
) -> None:
    for _ in range(IN_A_ROW + 2):
        rows.enrolled(EMAIL)
    counts = rows.run(live(mail, smtp_port=1)).counts
    assert counts == {"not taken, tried again": IN_A_ROW - 1, "waiting for the channel": 3}


def test_a_channel_without_settings_waits_and_says_what_is_missing(rows: SequenceRows, mail: MailServer) -> None:
    rows.enrolled(SMS)
    result = rows.run(live(mail))
    assert result.counts == {"waiting for the channel": 1}
    assert "SMS_URL" in next(iter(result.problems))


def test_without_a_key_for_links_nothing_is_taken(rows: SequenceRows) -> None:
    enrollment = rows.enrolled(EMAIL)
    with pytest.raises(NotConfigured, match="WAREHOUSE_UNSUBSCRIBE_KEY"):
        rows.run(SequenceSettings())
    with pytest.raises(NotConfigured, match="WAREHOUSE_PUBLIC_URL"):
        rows.run(live(warehouse_public_url=""))
    assert rows.events(enrollment) == []


def test_story_3_5_two_workers_share_the_work_and_double_none(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    for _ in range(15):
        rows.enrolled(EMAIL, SMS)
    results: list[Any] = []
    workers = [threading.Thread(target=lambda: results.append(rows.run(live(mail, texts)))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(result.counts["sent"] for result in results) == 30
    assert set(mail.recipients().values()) == {1}
    assert len(mail.recipients()) == len(texts.sent) == 15


def test_a_lead_that_somebody_is_writing_waits_and_keeps_no_other_waiting(rows: SequenceRows, mail: MailServer) -> None:
    lead = rows.lead()
    rows.enrolled(EMAIL, lead=lead)
    rows.enrolled(EMAIL)
    with psycopg.connect(rows.url) as other:
        other.execute("UPDATE crm.leads SET tags = '{x}' WHERE id = %s", [lead])
        assert rows.run(live(mail)).counts == {"tried again": 1, "sent": 1}


def test_an_enrollment_that_another_worker_has_is_passed_by(rows: SequenceRows, mail: MailServer) -> None:
    taken = rows.enrolled(EMAIL)
    rows.enrolled(EMAIL)
    with psycopg.connect(rows.url) as other:
        other.execute("SELECT FROM crm.lead_sequence_enrollments WHERE id = %s FOR UPDATE", [taken])
        assert rows.run(live(mail)).counts == {"sent": 1}


def test_whatever_is_wrong_with_one_stops_no_other(
    rows: SequenceRows, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = rows.enrolled(EMAIL, first_name="Grace")
    rows.enrolled(EMAIL)
    render = rendering.render

    def failing(template: str, values: Any) -> str:
        if values["lead"]["first_name"] == "Grace":
            raise ZeroDivisionError("Grace")
        return render(template, values)

    monkeypatch.setattr(rendering, "render", failing)
    result = rows.run(live(mail))
    assert result.counts == {"failed": 1, "sent": 1}
    assert [*result.problems] == [f"enrollment {wrong} cannot be worked on: ZeroDivisionError"]
    assert rows.waits(wrong) == timedelta(hours=1)


def test_a_sequence_that_is_switched_off_waits(rows: SequenceRows, mail: MailServer) -> None:
    rows.enrolled(EMAIL)
    rows.rows("UPDATE crm.nurture_sequences SET is_active = false")
    assert rows.run(live(mail)).counts == {}
    rows.rows("UPDATE crm.nurture_sequences SET is_active = true, steps = '[]'")
    assert rows.run(live(mail)).counts == {"completed": 1}


def test_a_log_that_somebody_spoilt_stops_no_other(rows: SequenceRows, mail: MailServer) -> None:
    unusable = rows.enrolled(EMAIL)
    rows.rows(
        "UPDATE crm.lead_sequence_enrollments SET execution_log = '[{\"event\": \"done\", \"at\": \"soon\"}, 7]'"
        " WHERE id = %s", unusable
    )  # fmt: skip
    rows.enrolled(EMAIL)
    assert rows.run(live(mail)).counts == {"sent": 2}


def test_no_log_has_an_address_a_number_or_a_secret(
    rows: SequenceRows, mail: MailServer, texts: TextService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rows.enrolled(EMAIL, SMS, email="ada@people.example", phone="+12125550147")
    rows.enrolled({**EMAIL, "body": "{{ lead.division }}"}, email="ada2@people.example")
    result = rows.run(live(mail, texts))
    said = caplog.text + str(result) + str(result.problems)
    for word in ("ada", "people.example", "5550147", "an-invented", KEY):
        assert word not in said
    assert "an-invented" not in repr(live(mail, texts))
    assert KEY not in repr(live(mail, texts))


def test_an_application_reads_messages_and_writes_none(rows: SequenceRows, mail: MailServer) -> None:
    rows.enrolled(EMAIL)
    rows.run(live(mail))
    with rows.connection.transaction():
        rows.rows("SET LOCAL ROLE crm_app")
        assert rows.rows("SELECT status FROM crm.sequence_message") == [{"status": "sent"}]
        for statement in ("UPDATE crm.sequence_message SET status = 'retry'", "DELETE FROM crm.sequence_message",
                          "INSERT INTO crm.sequence_message SELECT * FROM crm.sequence_message"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege), rows.connection.transaction():
                rows.rows(statement)


def test_a_user_who_is_no_superuser_works_for_each_organization_apart(rows: SequenceRows, mail: MailServer) -> None:
    """It needs the roles that the migration gives to whoever runs it, and its own tables."""
    first = rows.enrolled(EMAIL, email="ada@people.example")
    rows.rows("SELECT set_config('app.organization_id', %s, false)", B)
    second = rows.one(
        "SELECT crm.enroll_lead(%s, %s) AS id",
        rows.lead(organization_id=B, first_name="Bea", email="bea@people.example"),
        rows.sequence({**EMAIL, "subject": "Of B"}, organization_id=B),
    )["id"]
    rows.person(rows.enrollment(second)["lead_id"])
    # What A says of this address is no matter of B's.
    rows.rows("SELECT set_config('app.organization_id', %s, false)", A)
    rows.rows(
        "INSERT INTO crm.dnc_list (organization_id, lead_id, reason) VALUES (%s, %s, 'opt_out')",
        A, rows.lead(email="bea@people.example"),
    )  # fmt: skip
    name = f"plain_{uuid4().hex[:12]}"
    rows.rows(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE crm_owner, crm_definer")
    try:
        rows.rows(f"GRANT USAGE ON SCHEMA marts, public TO {name}")
        rows.rows(f"GRANT SELECT ON marts.activity_timeline, callrail_text_message TO {name}")
        url = psycopg.conninfo.make_conninfo(rows.url, user=name, password="x")
        done = run.run(url, live(mail), clock=lambda: NOON)
        assert (done.counts["sent"], [*done.problems]) == (2, [])
    finally:
        warehouse.close_kept()
        rows.rows(f"DROP OWNED BY {name}")
        rows.rows(f"DROP ROLE {name}")
    assert {to: str(message["Subject"]) for to, message in mail.received} == {
        "ada@people.example": "For Ada", "bea@people.example": "Of B",
    }  # fmt: skip
    assert [str(rows.message(one)["organization_id"]) for one in (first, second)] == [A, B]


def test_the_consent_that_is_asked_is_that_of_the_channel(rows: SequenceRows, mail: MailServer) -> None:
    lead = rows.lead()
    enrollment = rows.enrolled(EMAIL, lead=lead)
    left = [one for one in json.loads(CONSENT) if one["channel"] != "email"]
    rows.rows("UPDATE crm.leads SET consent = %s WHERE id = %s", json.dumps(left), lead)
    rows.run(live(mail))
    assert rows.enrollment(enrollment)["stop_reason"] == "consent"
