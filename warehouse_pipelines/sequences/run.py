"""The worker: takes enrollments that are due, asks whether the lead may be reached, writes the message, hands it over.

    result = run.run(url, settings)        # once; several at a time share the work

One enrollment is one short transaction (``_take``), a hand-over outside of any, and one short transaction that settles
it. In the first, with the enrollment locked (``FOR UPDATE SKIP LOCKED``) and the lead held as it is:

1. A reply since the last step pauses it; a lead that is won, lost, deleted or must not be reached stops it.
2. Outside of the hours where the lead is, it waits for them.
3. The message is written. What cannot be written parks the step and pauses the enrollment, with the problem.
4. ``crm.advance_enrollment`` asks the do-not-call list and the consent for the step's channel once more, after the
   message was written, and the row of the message is committed as ``sending``.

Decided:

- **A step is handed over at most once.** The row with the key (enrollment, step) is committed before the hand-over. A
  worker that dies after that leaves it ``sending``; when ``LEASE`` has passed the next one asks the sender whether it
  has the message, by its key. If nobody can tell, as of SMTP, the step is ``uncertain`` and a person decides
  (``warehouse sequences settle``). ``WAREHOUSE_SEQUENCES_AT_LEAST_ONCE=true`` sends it again instead, under the same
  key and ``Message-ID``.
- What was surely not taken is tried again, ever more rarely (``WAITS``), and asks everything anew each time.
- Calls, voicemail, post and tasks are rows that wait for a person. While they wait they are looked at every hour, and
  withdrawn when the lead must not be reached any more.
- It works as ``crm_owner`` for one organization at a time: applications, as ``crm_app``, can read messages and write
  none.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines import settings as common
from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, BadRecord, OutcomeUnknown, VendorUnavailable
from warehouse_pipelines.queries import query
from warehouse_pipelines.sequences import hours, step
from warehouse_pipelines.sequences.replies import Replies
from warehouse_pipelines.sequences.senders import Message, Sender, senders
from warehouse_pipelines.sequences.settings import SequenceSettings

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sequences")

LIMIT = 500
"""Enrollments that a run works on at most; the next goes on."""

LEASE = timedelta(minutes=15)
"""How long a hand-over may take before its worker counts as dead: thirty times the timeout of a sender."""

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720))
"""How long a step waits after each attempt that was surely not taken; after the last it is parked."""

LOOK_AGAIN = timedelta(hours=1)
"""How often a step that waits for a person, or for settings, is looked at."""


@dataclass
class Result:
    """What a run did, counted by outcome, and what a person should know."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.counts.items())) or "nothing was due"


@dataclass(frozen=True)
class HandOver:
    """A message that is committed as ``sending``, and what takes it."""

    enrollment: UUID
    step: int
    lead: UUID
    attempts: int
    message: Message
    sender: Sender


_DECIDED = ("sent", "done", "withheld", "uncertain")
"""What a worker does not hand over, whoever had the enrollment go on."""


class _Changed(Exception):
    """The sequence was changed while its step was written."""


def run(
    url: str, settings: SequenceSettings, *, limit: int = LIMIT, lease: timedelta = LEASE,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Result:  # fmt: skip
    """Enroll the leads of segments, and work on what is due. Raises ``NotConfigured`` where links cannot be signed."""
    settings.require_links()
    result = Result()
    with warehouse.session(url) as session:
        with session.transaction():
            session.execute("SET LOCAL ROLE crm_definer")
            found = session.execute(query("sequence_organizations")).fetchall()
        for row in found:
            Worker(session, row["organization_id"], settings, result, lease, clock).work(limit)
    return result


class Worker:
    """Works for one organization."""

    def __init__(
        self, session: "Session", organization: UUID, settings: SequenceSettings, result: Result, lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._session, self._organization, self._settings = session, organization, settings
        self._result, self._lease, self._clock = result, lease, clock
        self._senders, self._without = senders(settings)
        self._business = common.settings().warehouse_time_zone
        self._replies = Replies(session)
        self._taken: dict[str, Any] | None = None

    def work(self, limit: int) -> None:
        """Enroll, then take what is due until nothing is, or ``limit``."""
        self._enroll(limit)
        for _ in range(limit):
            taken = self._take_safely()
            if taken is None:
                return
            if isinstance(taken, HandOver):
                taken = self._hand_over(taken)
            self._result.counts[taken] += 1

    def _take_safely(self) -> HandOver | str | None:
        """Take one; an enrollment that the database refuses to work on waits, and stops no other."""
        import psycopg

        self._taken = None
        try:
            with self._transaction():
                return self._take()
        except (_Changed, psycopg.errors.DeadlockDetected):
            return "tried again"
        except psycopg.DatabaseError as error:
            if self._session.closed or self._taken is None:
                raise
            said = f"enrollment {self._taken['id']} cannot be worked on: {type(error).__name__}"
            self._result.problems[said] = None
            with self._transaction():
                return self._later(self._taken, LOOK_AGAIN, "failed")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._session.transaction():
            self._session.execute(
                "SELECT set_config('app.organization_id', %s, true), set_config('app.triggered_by', 'sequence', true)",
                [str(self._organization)],
            )
            self._session.execute("SET LOCAL ROLE crm_owner")
            yield
            self._session.execute("RESET ROLE")

    def _run(self, name: str, **given: Any) -> int:
        return self._session.execute(query(name), {"organization": self._organization, **given}).rowcount

    def _row(self, name: str, **given: Any) -> dict[str, Any] | None:
        return self._session.execute(query(name), {"organization": self._organization, **given}).fetchone()

    def _enroll(self, limit: int) -> None:
        import psycopg

        with self._transaction():
            self._session.execute("SELECT set_config('lock_timeout', '5s', true)")
            found = self._session.execute(
                query("sequence_segments"), {"organization": self._organization, "limit": limit}
            ).fetchall()
            for row in found:
                try:
                    with self._session.transaction():
                        self._session.execute("SELECT crm.enroll_lead(%(lead_id)s, %(sequence_id)s)", row)
                    self._result.counts["enrolled"] += 1
                except (psycopg.errors.CheckViolation, psycopg.errors.LockNotAvailable):  # listed, closed or at work on
                    self._result.counts["not enrolled"] += 1

    def _take(self) -> HandOver | str | None:
        """Return what to hand over, or what became of an enrollment; None where none is due."""
        self._taken = due = self._row("sequence_due")
        if due is None:
            return None
        if due["step"] >= len(due["steps"]):
            return str(self._advance(due["id"])["state"])
        action = due["steps"][due["step"]]
        channel = action["channel"]
        lead = self._row("sequence_lead", lead=due["lead_id"], channel=channel)
        if lead is None:  # somebody is writing it
            return self._later(due, WAITS[0], "tried again")
        before = self._session.execute(
            "SELECT status, channel, attempts, sender FROM crm.sequence_message"
            " WHERE organization_id = %s AND enrollment_id = %s AND step = %s",
            [self._organization, due["id"], due["step"]],
        ).fetchone()
        if before and before["status"] in _DECIDED:
            return self._settled(due, before["status"])
        if before and before["status"] == "sending" and (ended := self._unconfirmed(due, before)):
            return ended
        if lead["golden_id"] and self._replies.since(lead["golden_id"], _last_contact(due)):
            if before:
                self._note(due, channel, "retry" if channel in step.SENT else "waiting", "the person replied")
            self._run("sequence_pause", enrollment=due["id"], reason="reply")
            return "paused by a reply"
        if lead["blocked"]:
            return self._stopped(due, channel)
        if before and before["status"] == "waiting":
            return self._later(due, LOOK_AGAIN, "waiting for a person")
        return self._written(due, action, lead)

    def _settled(self, due: Mapping[str, Any], status: str) -> str:
        """Go on from a step whose message says already what became of it."""
        if status in ("sent", "done"):
            return str(self._advance(due["id"], done=due["step"])["state"])
        if status == "withheld":
            self._run("sequence_skip", enrollment=due["id"], step=due["step"])
            return "left out"
        self._run("sequence_pause", enrollment=due["id"], reason=status)
        return status

    def _written(self, due: Mapping[str, Any], action: Mapping[str, Any], lead: Mapping[str, Any]) -> HandOver | str:
        channel, now = action["channel"], self._clock()
        if channel in self._without:
            self._result.problems[self._without[channel]] = None
            return self._later(due, LOOK_AGAIN, "waiting for settings")
        if channel in hours.RINGS:
            zones = hours.zones_of(lead["timezone"], lead["postal_code"], lead["phone"], self._business)
            allowed = hours.next_allowed(now, zones, self._settings.hours)
            if allowed is None:
                return self._parked(due, channel, "no hour is allowed in all the zones that the lead may be in")
            if allowed > now:
                return self._later(due, allowed - now, "waiting for the hour")
        try:
            text = step.write(
                self._session, action, due["sequence"], lead, self._organization, due["lead_id"], self._settings
            )
        except BadRecord as error:
            return self._parked(due, channel, str(error))
        asked = self._advance(due["id"])
        if asked["state"] != "run":
            return self._stopped(due, channel, asked)
        if asked["action"] != action or asked["step"] != due["step"]:
            raise _Changed
        sender = self._senders.get(channel)
        made = self._row(
            "sequence_begin", enrollment=due["id"], step=due["step"], lead=due["lead_id"], channel=channel,
            status="sending" if sender else "waiting", recipient=text.recipient, subject=text.subject or None,
            body=text.body, sender=sender.name if sender else "person",
        )  # fmt: skip
        if made is None:
            raise BadRecord(f"The message of step {due['step']} of enrollment {due['id']} was settled meanwhile.")
        if sender is None:
            return self._later(due, LOOK_AGAIN, "left to a person")
        message = Message(
            asked["idempotency_key"], channel, text.recipient, text.subject, text.body, text.unsubscribe_url
        )
        return HandOver(due["id"], due["step"], due["lead_id"], made["attempts"], message, sender)

    def _hand_over(self, taken: HandOver) -> str:
        channel, due = taken.message.channel, {"id": taken.enrollment, "step": taken.step, "lead_id": taken.lead}
        try:
            reference = taken.sender.send(taken.message)
        except VendorUnavailable as error:
            with self._transaction():
                if taken.attempts > len(WAITS):
                    return self._parked(due, channel, f"{error}, {taken.attempts} times")
                self._note(due, channel, "retry", str(error))
                return self._later(due, WAITS[taken.attempts - 1], "not taken, tried again")
        except OutcomeUnknown as error:
            with self._transaction():
                return self._not_confirmed(due, taken, str(error))
        except BadRecord as error:
            with self._transaction():
                return self._parked(due, channel, str(error))
        except ActionNeeded as error:
            self._without[channel] = str(error)
            self._result.problems[str(error)] = None
            with self._transaction():
                self._note(due, channel, "retry", str(error))
                return self._later(due, LOOK_AGAIN, "waiting for settings")
        with self._transaction():
            self._sent(due, reference)
        return "sent" if taken.sender.name != "outbox" else "kept in the outbox"

    def _not_confirmed(self, due: Mapping[str, Any], taken: HandOver, problem: str) -> str:
        """Ask the sender whether it took a message after all; else leave it to a person, or send it again."""
        reference = taken.sender.look_up(taken.message.key)
        if reference:
            self._sent(due, reference)
            return "sent"
        if reference == "" or self._settings.warehouse_sequences_at_least_once:
            self._note(due, taken.message.channel, "retry", problem)
            return self._later(
                due, WAITS[min(taken.attempts, len(WAITS)) - 1], "not taken, tried again"
            )
        return self._uncertain(due, taken.message.channel, problem)

    def _unconfirmed(self, due: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
        """Settle a message whose worker died, as far as the sender knows of it; None to hand it over again."""
        sender = self._senders.get(before["channel"])
        if sender is not None and sender.name == before["sender"]:
            reference = sender.look_up(f"{due['id']}:{due['step']}")
            if reference:
                self._sent(due, reference)
                return "sent"
            if reference == "":
                return None
        if self._settings.warehouse_sequences_at_least_once:
            return None
        return self._uncertain(due, before["channel"], "a worker ended after it began to hand the message over")

    def _uncertain(self, due: Mapping[str, Any], channel: str, problem: str) -> str:
        self._note(due, channel, "uncertain", problem)
        self._run("sequence_pause", enrollment=due["id"], reason="uncertain")
        self._result.problems[f"step {due['step']} of enrollment {due['id']} is uncertain: {problem}"] = None
        return "uncertain"

    def _sent(self, due: Mapping[str, Any], reference: str) -> None:
        self._run("sequence_settle", enrollment=due["id"], step=due["step"], status="sent", reference=reference)
        # A lease of nothing: the next step may be due at once, and is taken like any other.
        self._advance(due["id"], done=due["step"], lease=timedelta(0))

    def _stopped(self, due: Mapping[str, Any], channel: str, asked: Mapping[str, Any] | None = None) -> str:
        asked = asked or self._advance(due["id"])
        if asked["state"] == "stopped":
            self._note(due, channel, "withheld", f"stopped: {asked['stop_reason']}", only_open=True)
            return f"stopped: {asked['stop_reason']}"
        return str(asked["state"])

    def _parked(self, due: Mapping[str, Any], channel: str, problem: str) -> str:
        self._note(due, channel, "parked", problem)
        self._run("sequence_pause", enrollment=due["id"], reason="parked")
        self._result.problems[f"step {due['step']} of enrollment {due['id']} is parked: {problem}"] = None
        return "parked"

    def _note(
        self, due: Mapping[str, Any], channel: str, status: str, problem: str, *, only_open: bool = False
    ) -> None:
        if (
            only_open
            and not self._session.execute(
                "SELECT FROM crm.sequence_message WHERE organization_id = %s AND enrollment_id = %s AND step = %s",
                [self._organization, due["id"], due["step"]],
            ).fetchall()
        ):
            return
        self._run(
            "sequence_note", enrollment=due["id"], step=due["step"], lead=due["lead_id"], channel=channel,
            status=status, problem=problem,
        )  # fmt: skip

    def _later(self, due: Mapping[str, Any], wait: timedelta, why: str) -> str:
        self._session.execute(
            "UPDATE crm.lead_sequence_enrollments SET next_run_at = now() + %s WHERE organization_id = %s AND id = %s",
            [wait, self._organization, due["id"]],
        )
        return why

    def _advance(self, enrollment: UUID, done: int | None = None, lease: timedelta | None = None) -> dict[str, Any]:
        row = self._session.execute(
            "SELECT * FROM crm.advance_enrollment(%s, done_step => %s, outcome => %s, lease => %s)",
            [enrollment, done, None if done is None else '{"status": "sent"}', self._lease if lease is None else lease],
        ).fetchone()
        assert row is not None  # noqa: S101  (a function that returns one row)
        return row


def _last_contact(due: Mapping[str, Any]) -> datetime:
    """Return since when a reply counts: the last step that was done, or when a person had it go on, or was enrolled."""
    found = [due["enrolled_at"]]
    for entry in due["log"]:
        if isinstance(entry, dict) and entry.get("event") in ("done", "resumed", "skipped"):
            with suppress(TypeError, ValueError):  # applications may write the log
                found.append(datetime.fromisoformat(entry.get("at")).astimezone(UTC))
    return max(found)
