"""Leads, sequences and enrollments in a warehouse of a test, and a worker that runs them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from warehouse_pipelines.sequences import run
from warehouse_pipelines.sequences.run import Result
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines_tests.harness.crm_database import CONSENT, A
from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService

KEY = "an-invented-key-that-links-are-signed-with"
NOON = datetime(2026, 6, 15, 16, tzinfo=UTC)
"""Noon in New York, nine in Los Angeles."""

EMAIL = {"channel": "email", "subject": "For {{ lead.first_name }}", "body": "Hello {{ lead.first_name }}."}
SMS = {"channel": "sms", "body": "Hello {{ lead.first_name }}."}
CALL = {"channel": "call", "script": "Call {{ lead.first_name }}."}


def live(mail: MailServer | None = None, texts: TextService | None = None, **more: Any) -> SequenceSettings:
    """Return settings that send to these."""
    given: dict[str, Any] = {
        "warehouse_sequences_sender": "live", "warehouse_public_url": "https://hooks.example.test",
        "warehouse_unsubscribe_key": KEY, "warehouse_business_address": "1 Main St, Springfield",
    }  # fmt: skip
    if mail:
        given |= {
            "smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_security": "none",
            "smtp_from": "Acme Roofs <hello@acme.example>",
        }  # fmt: skip
    if texts:
        given |= {"sms_url": texts.url, "sms_token": "an-invented-token", "sms_signing_key": "an-invented-signing-key"}
    return SequenceSettings(**{**given, **more})


class SequenceRows:
    """Rows of organization A, and what became of them."""

    def __init__(self, url: str) -> None:
        self.url, self._numbers = url, itertools.count(1000)
        self.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.connection.execute("SELECT set_config('app.organization_id', %s, false)", [A])

    def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(statement, given or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *given: Any) -> dict[str, Any]:
        (row,) = self.rows(statement, *given)
        return row

    def lead(self, **values: Any) -> UUID:
        """Add a lead of New York who agreed to everything."""
        number = next(self._numbers)
        row = {
            "organization_id": A, "first_name": "Ada", "email": f"ada{number}@people.example",
            "phone": f"+1212555{number}", "consent": CONSENT, **values,
        }  # fmt: skip
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        made: UUID = self.one(f"INSERT INTO crm.leads ({names}) VALUES ({places}) RETURNING id", *row.values())["id"]
        return made

    def sequence(self, *steps: Mapping[str, Any], **values: Any) -> UUID:
        row = {"organization_id": A, "name": "Welcome", "steps": json.dumps(steps), **values}
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        statement = f"INSERT INTO crm.nurture_sequences ({names}) VALUES ({places}) RETURNING id"
        made: UUID = self.one(statement, *row.values())["id"]
        return made

    def enrolled(self, *steps: Mapping[str, Any], lead: UUID | None = None, **values: Any) -> UUID:
        """Enroll a lead in a new sequence of these steps, and return the enrollment."""
        sequence = self.sequence(*steps)
        made: UUID = self.one("SELECT crm.enroll_lead(%s, %s) AS id", lead or self.lead(**values), sequence)["id"]
        return made

    def person(self, lead: UUID) -> UUID:
        """Give a lead a person of its own."""
        person = uuid4()
        self.rows("UPDATE crm.leads SET golden_id = %s WHERE id = %s", person, lead)
        return person

    def activity(self, person: UUID, kind: str, direction: str | None = "inbound", **values: Any) -> None:
        """Add something that a person did just now to the timeline."""
        row = {
            "source_table": "callrail_call", "source_key": uuid4().hex, "kind": kind, "person_id": person,
            "certainty": 1, "crm_source": "callrail", "occurred_at": datetime.now(UTC),
            "occurred_day": datetime.now(UTC).date(), "direction": direction, **values,
        }  # fmt: skip
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.rows(f"INSERT INTO marts.activity_timeline ({names}) VALUES ({places})", *row.values())

    def run(self, settings: SequenceSettings, now: datetime = NOON, **given: Any) -> Result:
        """Run the worker once at a time of day."""
        result = run.run(self.url, settings, clock=lambda: now, **given)
        result.counts = +result.counts  # without what there was none of
        return result

    def enrollment(self, key: UUID) -> dict[str, Any]:
        return self.one("SELECT * FROM crm.lead_sequence_enrollments WHERE id = %s", key)

    def message(self, enrollment: UUID, step: int = 0) -> dict[str, Any]:
        return self.one("SELECT * FROM crm.sequence_message WHERE enrollment_id = %s AND step = %s", enrollment, step)

    def events(self, enrollment: UUID) -> Sequence[str]:
        return [entry["event"] for entry in self.enrollment(enrollment)["execution_log"]]

    def waits(self, enrollment: UUID) -> timedelta:
        """Return how long an enrollment waits, in whole minutes."""
        row = self.one(
            "SELECT next_run_at - now() AS left FROM crm.lead_sequence_enrollments WHERE id = %s", enrollment
        )
        return timedelta(minutes=round(row["left"] / timedelta(minutes=1)))

    def make_due(self, after: timedelta = timedelta(0)) -> None:
        """Let the time pass until every open enrollment is due."""
        self.rows(
            "UPDATE crm.lead_sequence_enrollments SET next_run_at = now() + %s WHERE status IN ('active', 'paused')",
            after,
        )
