"""Enrollments of one organization as the worker reads and writes them, and the messages of their steps.

Each method is part of a transaction (``transaction``) as ``crm_owner``, below row-level security.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.acting import acting

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Due = Mapping[str, Any]
"""An enrollment that is due: id, lead_id, step, and what ``sequence_due`` has beside."""


class Enrollments:
    """Those of an organization. A step that was handed out is due again after ``lease``."""

    def __init__(self, session: "Session", organization: UUID, lease: timedelta) -> None:
        self.session, self.organization, self._lease = session, organization, lease

    def transaction(self) -> AbstractContextManager[None]:
        """Act for the organization until the block ends; waits 5 s for a lock at most."""
        return acting(self.session, self.organization, "sequence", lock_timeout="5s")

    def _run(self, statement: str, **given: Any) -> int:
        return self.session.execute(statement, {"organization": self.organization, **given}).rowcount

    def _row(self, statement: str, **given: Any) -> dict[str, Any] | None:
        return self.session.execute(statement, {"organization": self.organization, **given}).fetchone()

    def fill(self, limit: int) -> tuple[int, int]:
        """Enroll leads of segments; return how many were, and how many could not be."""
        import psycopg.errors as refused

        # Listed, closed or deleted meanwhile, or somebody is writing the lead.
        not_now = (refused.CheckViolation, refused.NoDataFound, refused.LockNotAvailable, refused.DeadlockDetected)
        found = self.session.execute(
            query("sequence_segments"), {"organization": self.organization, "limit": limit}
        ).fetchall()
        enrolled = 0
        for row in found:
            with suppress(*not_now), self.session.transaction():
                enrolled += self._run(query("sequence_enroll"), **row)
        return enrolled, len(found) - enrolled

    def take(self) -> dict[str, Any] | None:
        """Return the enrollment that has been due for longest, locked; None where none is."""
        return self._row(query("sequence_due"))

    def lead(self, due: Due, channel: str) -> dict[str, Any] | None:
        """Return the lead, held as it is; None while somebody is writing it."""
        return self._row(query("sequence_lead"), lead=due["lead_id"], channel=channel)

    def message(self, due: Due) -> dict[str, Any] | None:
        """Return the message of the step, if it has one."""
        return self.session.execute(
            "SELECT status, channel, sender FROM crm.sequence_message"
            " WHERE organization_id = %s AND enrollment_id = %s AND step = %s",
            [self.organization, due["id"], due["step"]],
        ).fetchone()

    def begin(self, due: Due, **message: Any) -> int:
        """Write down what is about to be handed over, or left to a person; return how many attempts it took so far."""
        row = self._row(query("sequence_begin"), enrollment=due["id"], step=due["step"], lead=due["lead_id"], **message)
        assert row is not None  # noqa: S101  (the enrollment is locked, so nobody settled its message)
        return int(row["attempts"])

    def withdraw(self) -> None:
        """Withhold the messages of enrollments that were stopped from elsewhere, such as by the link in a message."""
        self._run(query("sequence_withdraw"))

    def left(self) -> dict[str, Any] | None:
        """Return a message, locked, that a dead worker left and whose enrollment has ended; None if there is none."""
        return self._row(query("sequence_left"), lease=self._lease)

    def uncount(self, due: Due) -> None:
        """Take back the attempt that was counted: it failed on settings, and not on the message."""
        self._run(query("sequence_attempts"), enrollment=due["id"], step=due["step"], change=-1)

    def note(self, due: Due, channel: str, status: str, problem: str) -> None:
        """Write down why the message of the step was not sent."""
        given = {"enrollment": due["id"], "step": due["step"], "lead": due["lead_id"]}
        self._run(query("sequence_note"), **given, channel=channel, status=status, problem=problem)

    def sent(self, due: Due, reference: str, status: str = "sent") -> None:
        """Write down that the message of the step was sent, or ``recorded`` and not sent; go on to the next."""
        self._run(query("sequence_settle"), enrollment=due["id"], step=due["step"], status=status, reference=reference)
        # A lease of nothing: the next step may be due at once, and is taken like any other.
        self.advance(due, done=due["step"], lease=timedelta(0), status=status)

    def pause(self, due: Due, reason: str) -> None:
        """Have the enrollment wait until a person has it go on."""
        self._run(query("sequence_pause"), enrollment=due["id"], reason=reason)

    def skip(self, due: Due) -> None:
        """Leave the step out."""
        self._run(query("sequence_skip"), enrollment=due["id"], step=due["step"])

    def later(self, due: Due, wait: timedelta) -> None:
        """Have the enrollment be due after ``wait``, by the clock of the database."""
        self.session.execute(
            "UPDATE crm.lead_sequence_enrollments SET next_run_at = now() + %s"
            " WHERE organization_id = %s AND id = %s AND status = 'active'",
            [wait, self.organization, due["id"]],
        )

    def advance(
        self, due: Due, done: int | None = None, lease: timedelta | None = None, status: str = "sent"
    ) -> dict[str, Any]:
        """Ask for the next step, as ``crm.advance_enrollment`` says; ``status`` is that of the step ``done``."""
        outcome = None if done is None else json.dumps({"status": status})
        [row] = self.session.execute(
            "SELECT * FROM crm.advance_enrollment(%s, done_step => %s, outcome => %s, lease => %s)",
            [due["id"], done, outcome, self._lease if lease is None else lease],
        )
        return row


def key_of(due: Due) -> str:
    """Return the key of the step's message, as ``crm.advance_enrollment`` makes it."""
    return f"{due['id']}:{due['step']}"


def answered_until(due: Due) -> datetime:
    """Return since when a reply is new: since the person was enrolled, or since a person here last acted on the lead.

    That is who had the sequence go on, or did a step. Messages that were sent do not count: a reply that the marts get
    after the next message is as new as one that they get before it.
    """
    found: list[datetime] = [due["enrolled_at"]]
    for entry in due["log"]:
        if isinstance(entry, dict) and (entry.get("event") == "resumed" or _did_a_person(entry)):
            with suppress(TypeError, ValueError):  # applications may write the log
                found.append(datetime.fromisoformat(str(entry.get("at"))).astimezone(UTC))
    return max(found)


def _did_a_person(entry: dict[str, Any]) -> bool:
    outcome = entry.get("outcome")
    status = outcome.get("status") if isinstance(outcome, dict) else None
    return entry.get("event") == "done" and status not in ("sent", "recorded")
