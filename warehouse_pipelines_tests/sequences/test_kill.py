"""A worker that is killed at any point: no step is sent twice, and what nobody knows is said."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from warehouse_pipelines.sequences import messages, run, settings
from warehouse_pipelines.sequences.enrollments import Enrollments
from warehouse_pipelines.sequences.senders import Smtp, TextMessages
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService
from warehouse_pipelines_tests.harness.sequence_rows import EMAIL, KEY, SMS, SequenceRows, live
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import forked

ENVIRONMENT = {
    "WAREHOUSE_SEQUENCES_SENDER": "live", "WAREHOUSE_PUBLIC_URL": "https://hooks.example.test",
    "WAREHOUSE_UNSUBSCRIBE_KEY": KEY, "WAREHOUSE_BUSINESS_ADDRESS": "1 Main St", "SMTP_HOST": "127.0.0.1",
    "SMTP_SECURITY": "none", "SMTP_FROM": "hello@acme.example", "SMS_TOKEN": "an-invented-token",
}  # fmt: skip


def run_until_it_sent(url: str) -> None:
    """Run a worker that is killed when its first message has left."""
    senders: tuple[Any, ...] = (Smtp, TextMessages)
    for sender in senders:

        def send(self: Any, message: Any, send: Any = sender.send) -> None:
            send(self, message)
            os.kill(os.getpid(), signal.SIGKILL)

        sender.send = send
    run.run(url, settings.read(), clock=lambda: datetime(2026, 6, 15, 16, tzinfo=UTC))


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and the database rolls back what was not committed."""


def kill(rows: SequenceRows, point: str, mail: MailServer, texts: TextService) -> None:
    """Run the worker, which is killed at this point."""
    owners = {
        "writing": (Enrollments, "begin"), "settling": (Enrollments, "sent"),
        **{f"{point} {one.name}": (one, "send") for point in ("begun", "sent") for one in (Smtp, TextMessages)},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        for name, (owner, function) in owners.items():
            if name.partition(" ")[0] == point:
                patched.setattr(owner, function, killed(getattr(owner, function), before=point == "begun"))
        with pytest.raises(Killed):
            rows.run(live(mail, texts))


def killed(function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> None:
        if not before:
            function(*args, **kwargs)
        raise Killed

    return dying


@pytest.mark.parametrize(("step", "uncertain"), [(EMAIL, True), (SMS, False)], ids=["email", "sms"])
def test_story_3_5_a_process_that_is_killed_after_it_sent_sends_it_no_second_time(
    rows: SequenceRows, mail: MailServer, texts: TextService, step: dict[str, str], uncertain: bool
) -> None:
    rows.enrolled(step)
    given = {**ENVIRONMENT, "SMTP_PORT": str(mail.port), "SMS_URL": texts.url}
    assert forked(run_until_it_sent, rows.url, **given) == -signal.SIGKILL
    assert len(mail.received) + len(texts.sent) == 1
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == ({"uncertain": 1} if uncertain else {"sent": 1})
    assert len(mail.received) + len(texts.sent) == 1


@pytest.mark.parametrize(("point", "received"), [("writing", 0), ("begun", 0), ("sent", 1), ("settling", 1)])
def test_story_3_5_killed_at_any_point_no_e_mail_goes_twice_and_what_nobody_knows_is_said(
    rows: SequenceRows, mail: MailServer, texts: TextService, point: str, received: int
) -> None:
    enrollment = rows.enrolled(EMAIL, EMAIL)
    kill(rows, point, mail, texts)
    assert len(mail.received) == received
    if point == "writing":
        assert rows.run(live(mail, texts)).counts == {"sent": 2}
        return
    assert rows.run(live(mail, texts)).counts == {}, "the worker may be alive"
    rows.make_due()
    result = rows.run(live(mail, texts))
    assert result.counts == {"uncertain": 1}
    assert "uncertain" in next(iter(result.problems))
    rows.make_due()
    rows.rows("UPDATE crm.lead_sequence_enrollments SET status = 'active'")
    assert rows.run(live(mail, texts)).counts == {"uncertain": 1}, "whoever has it go on"
    assert len(mail.received) == received
    message = rows.message(enrollment)
    messages.settle(looking(rows.url), message["organization_id"], message["id"], "done" if received else "again")
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {"sent": 2 - received}
    assert rows.enrollment(enrollment)["status"] == "completed"
    assert len({str(one["Message-ID"]) for _, one in mail.received}) == len(mail.received) == 2


def test_at_least_once_is_a_choice_and_the_repetition_can_be_told(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    rows.enrolled(EMAIL)
    kill(rows, "sent", mail, texts)
    rows.make_due()
    chosen = live(mail, texts, warehouse_sequences_at_least_once=True)
    assert rows.run(chosen).counts == {"sent": 1}
    (first, second) = (str(one["Message-ID"]) for _, one in mail.received)
    assert first == second


@pytest.mark.parametrize("point", ["begun", "sent", "settling"])
def test_story_3_5_a_service_that_can_be_asked_sends_exactly_once_whatever_is_killed(
    rows: SequenceRows, mail: MailServer, texts: TextService, point: str
) -> None:
    enrollment = rows.enrolled(SMS)
    kill(rows, point, mail, texts)
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {"sent": 1}
    assert len(texts.sent) == 1
    assert rows.message(enrollment)["status"] == "sent"


@pytest.mark.parametrize(
    ("step", "point", "became"), [(EMAIL, "sent", "uncertain"), (SMS, "sent", "sent"), (SMS, "begun", "withheld")]
)
def test_a_message_that_a_dead_worker_left_is_settled_though_the_person_opted_out_meanwhile(
    rows: SequenceRows, mail: MailServer, texts: TextService, step: dict[str, str], point: str, became: str
) -> None:
    enrollment = rows.enrolled(step, step)
    kill(rows, point, mail, texts)
    left = len(mail.received) + len(texts.sent)
    rows.rows(
        "UPDATE crm.lead_sequence_enrollments SET status = 'stopped', stop_reason = 'dnc', next_run_at = NULL,"
        " completed_at = now()"
    )
    assert rows.run(live(mail, texts)).counts == {}, "the worker may be alive"
    rows.rows("UPDATE crm.sequence_message SET handed_over_at = handed_over_at - interval '1 hour'")
    assert rows.run(live(mail, texts)).counts == {became: 1}
    assert rows.run(live(mail, texts)).counts == {}
    assert len(mail.received) + len(texts.sent) == left
    message = rows.message(enrollment)
    assert message["status"] == became
    if became == "uncertain":
        assert messages.settle(looking(rows.url), message["organization_id"], message["id"], "done") == "stopped"


def test_an_erasure_while_a_message_is_handed_over_leaves_nothing(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    """The worker settles the row; what was written to the person does not come back."""
    lead = rows.lead(email="zoe.planted@people.example")
    enrollment = rows.enrolled(EMAIL, lead=lead)
    kill(rows, "sent", mail, texts)
    rows.rows("SELECT crm.erase_lead(%s)", lead)
    message = rows.message(enrollment)
    assert (message["status"], message["recipient"], message["body"]) == ("sending", None, None)
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {}
    rows.rows("UPDATE crm.sequence_message SET handed_over_at = handed_over_at - interval '1 hour'")
    assert rows.run(live(mail, texts)).counts == {"withheld": 1}
    assert "planted" not in str(rows.rows("SELECT * FROM crm.sequence_message WHERE organization_id = %s", A))
