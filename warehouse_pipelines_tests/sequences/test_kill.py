"""A worker that is killed at any point: no step is sent twice, and what nobody knows is said."""

import os
import signal
import subprocess
import sys

import pytest

from warehouse_pipelines.sequences import outbox
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService
from warehouse_pipelines_tests.harness.sequence_rows import EMAIL, KEY, SMS, SequenceRows, live
from warehouse_pipelines_tests.harness.source_harness import looking

PROGRAM = """
import os, signal, sys
from datetime import UTC, datetime
from warehouse_pipelines.sequences import run, senders, settings

point, url = sys.argv[1:]

def around(owner, name, when):
    function = getattr(owner, name)
    def killed(self, *args, **kwargs):
        if when == "before" and args[:1] != ("sequence_due",):
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(self, *args, **kwargs)
        if when == "after" and args[:1] in ((), ("sequence_begin",)) or when == "after" and name != "_row":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, killed)

if point == "writing":
    around(run.Worker, "_row", "after")
elif point == "settling":
    around(run.Worker, "_sent", "after")
else:
    for sender in (senders.Smtp, senders.TextMessages):
        around(sender, "send", {"begun": "before", "sent": "after"}[point])
run.run(url, settings.read(), clock=lambda: datetime(2026, 6, 15, 16, tzinfo=UTC))
"""


def kill(rows: SequenceRows, point: str, mail: MailServer, texts: TextService) -> None:
    """Run the worker in another process, which is killed at this point."""
    environment = {
        "WAREHOUSE_SEQUENCES_SENDER": "live", "WAREHOUSE_PUBLIC_URL": "https://hooks.example.test",
        "WAREHOUSE_UNSUBSCRIBE_KEY": KEY, "WAREHOUSE_BUSINESS_ADDRESS": "1 Main St", "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail.port), "SMTP_SECURITY": "none", "SMTP_FROM": "hello@acme.example", "SMS_URL": texts.url,
        "SMS_TOKEN": "an-invented-token",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, point, rows.url],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


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
    outbox.settle(looking(rows.url), message["organization_id"], message["id"], "done" if received else "again")
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


def test_an_erasure_while_a_message_is_handed_over_leaves_nothing(
    rows: SequenceRows, mail: MailServer, texts: TextService
) -> None:
    """The worker settles the row; what was written to the person does not come back."""
    lead = rows.lead(email="ada@people.example")
    enrollment = rows.enrolled(EMAIL, lead=lead)
    kill(rows, "sent", mail, texts)
    rows.rows("SELECT crm.erase_lead(%s)", lead)
    message = rows.message(enrollment)
    assert (message["status"], message["recipient"], message["body"]) == ("sending", None, None)
    rows.make_due()
    assert rows.run(live(mail, texts)).counts == {}
    assert "ada" not in str(rows.rows("SELECT * FROM crm.sequence_message WHERE organization_id = %s", A))
