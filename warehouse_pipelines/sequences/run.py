"""The worker: takes enrollments that are due, asks whether the lead may be reached, writes the message, hands it over.

    result = run.run(url, settings)        # once; several at a time share the work

One enrollment is one short transaction (``_take``), a hand-over outside of any, and one short transaction that settles
it. In the first, with the enrollment locked (``FOR UPDATE SKIP LOCKED``) and the lead held as it is:

1. A reply that nobody here has answered pauses it; a lead that is won, lost, deleted or must not be reached stops it.
2. Outside of the hours where the lead is, it waits for them.
3. The message is written. What cannot be written parks the step and pauses the enrollment, with the problem.
4. ``crm.advance_enrollment`` asks the do-not-call list and the consent for the step's channel once more, after the
   message was written, and the row of the message is committed as ``sending``.

Decided:

- **A step is handed over at most once.** The row with the key (enrollment, step) is committed before the hand-over. A
  worker that dies after that leaves it ``sending``; when ``LEASE`` has passed the next one asks the sender whether it
  has the message, by its key. If nobody can tell, as of SMTP, the step is ``uncertain`` and a person decides
  (``warehouse sequences settle``), also where the sequence was stopped meanwhile.
  ``WAREHOUSE_SEQUENCES_AT_LEAST_ONCE=true`` sends it again instead, under the same key and ``Message-ID``.
- What was surely not taken is tried again, ever more rarely (``hand_over``), and asks everything anew each time.
- Calls, voicemail, post and tasks are rows that wait for a person. While they wait they are looked at every hour, and
  withdrawn when the lead must not be reached any more.
- It works as ``crm_owner`` for one organization at a time: applications, as ``crm_app``, can read messages and write
  none.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines import settings as common
from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import BadRecord, WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.sequences import hours, step
from warehouse_pipelines.sequences.enrollments import Due, Enrollments, answered_until
from warehouse_pipelines.sequences.hand_over import LOOK_AGAIN, WAITS, WAITS_FOR_CHANNEL, HandOver, HandOvers
from warehouse_pipelines.sequences.replies import Replies
from warehouse_pipelines.sequences.senders import Message
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines.unified.acting import as_role

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

LIMIT = 500
"""Enrollments that a run works on at most; the next goes on."""

LEASE = timedelta(minutes=15)
"""How long a hand-over may take before its worker counts as dead: thirty times the timeout of a sender."""


@dataclass
class Result:
    """What a run did, counted by outcome, and what a person should know."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        said = (f"{number} {outcome}" for outcome, number in sorted(self.counts.items()) if number)
        return ", ".join(said) or "nothing was due"


_DECIDED = ("sent", "recorded", "done", "withheld", "uncertain")
"""Statuses of a message that no worker hands over again."""


class _Changed(Exception):
    """The sequence was changed while its step was written."""


def run(
    url: str, settings: SequenceSettings, *, limit: int = LIMIT, lease: timedelta = LEASE,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Result:  # fmt: skip
    """Enroll the leads of segments, and work on what is due.

    Raises ``NotConfigured`` where links cannot be signed, and when the warehouse has an account that is not declared,
    in which who answered would not be seen; and ``WrongUse`` in a warehouse that was not restored to the end.
    """
    import psycopg

    settings.require_links()
    result = Result()
    with warehouse.session(url) as session:
        if warehouse.value(session, query("restore_unfinished")):
            raise WrongUse(
                "Running sequences: the restore of this warehouse did not end, so who opted out is not known. "
                "`warehouse db verify` says what to do."
            )
        with session.transaction(), as_role(session, "crm_definer"):
            found = session.execute(query("sequence_organizations")).fetchall()
        for row in found:
            try:
                Worker(session, row["organization_id"], settings, result, lease, clock).work(limit)
            except psycopg.DatabaseError as error:
                if session.closed:
                    raise
                said = f"organization {row['organization_id']} cannot be worked on: {type(error).__name__}"
                result.problems[said] = None
    return result


class Worker:
    """Works for one organization."""

    def __init__(
        self, session: "Session", organization: UUID, settings: SequenceSettings, result: Result, lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._session, self._settings, self._result, self._clock = session, settings, result, clock
        self._enrollments = Enrollments(session, organization, lease)
        self._hand_overs = HandOvers(self._enrollments, settings, result.problems)
        self._business = common.settings().warehouse_time_zone
        self._replies = Replies(session)
        self._taken: dict[str, Any] | None = None

    def work(self, limit: int) -> None:
        """Enroll, then take what is due until nothing is, or ``limit``."""
        with self._enrollments.transaction():
            self._enrollments.withdraw()
            self._result.counts["enrolled"], self._result.counts["not enrolled"] = self._enrollments.fill(limit)
        self._settle_left(limit)
        for _ in range(limit):
            taken = self._take_safely()
            if taken is None:
                return
            if isinstance(taken, HandOver):
                taken = self._hand_overs.hand_over(taken)
            self._result.counts[taken] += 1

    def _settle_left(self, limit: int) -> None:
        """Settle messages whose worker died and whose enrollment has ended, which is never due again."""
        for _ in range(limit):
            with self._enrollments.transaction():
                left = self._enrollments.left()
                if left is None:
                    return
                self._result.counts[self._hand_overs.after_stop(left)] += 1

    def _take_safely(self) -> HandOver | str | None:
        """Take one; an enrollment that cannot be worked on, whatever is wrong with it, waits and stops no other."""
        import psycopg

        self._taken = None
        try:
            with self._enrollments.transaction():
                return self._take()
        except (_Changed, psycopg.errors.DeadlockDetected):
            return "tried again"
        except Exception as error:
            if self._session.closed or self._taken is None:
                raise
            said = f"enrollment {self._taken['id']} cannot be worked on: {type(error).__name__}"
            self._result.problems[said] = None
            with self._enrollments.transaction():
                return self._hand_overs.later(self._taken, LOOK_AGAIN, "failed")

    def _take(self) -> HandOver | str | None:
        """Return what to hand over, or what became of an enrollment; None where none is due."""
        self._taken = due = self._enrollments.take()
        if due is None:
            return None
        if due["step"] >= len(due["steps"]):
            return str(self._enrollments.advance(due)["state"])
        action = due["steps"][due["step"]]
        channel = action["channel"]
        lead = self._enrollments.lead(due, channel)
        if lead is None:
            return self._hand_overs.later(due, WAITS[0], "tried again")
        before = self._enrollments.message(due)
        if before and before["status"] in _DECIDED:
            return self._decided(due, before["status"])
        if before and before["status"] == "sending" and (ended := self._hand_overs.after_dead_worker(due, before)):
            return ended
        if lead["golden_id"] and self._replies.since(lead["golden_id"], answered_until(due)):
            if before:
                self._enrollments.note(
                    due, channel, "retry" if channel in step.SENT else "waiting", "the person replied"
                )
            self._enrollments.pause(due, "reply")
            return "paused by a reply"
        if lead["blocked"]:
            return self._stopped(due, channel, self._enrollments.advance(due))
        if before and before["status"] == "waiting":
            return self._hand_overs.later(due, LOOK_AGAIN, "waiting for a person")
        return self._written(due, action, lead)

    def _decided(self, due: Due, status: str) -> str:
        """Go on from a step whose message says already what became of it."""
        if status in ("sent", "recorded", "done"):
            return str(self._enrollments.advance(due, done=due["step"], status=status)["state"])
        if status == "withheld":
            self._enrollments.skip(due)
            return "left out"
        self._enrollments.pause(due, status)
        return status

    def _written(self, due: Due, action: Mapping[str, Any], lead: Mapping[str, Any]) -> HandOver | str:
        channel, now = action["channel"], self._clock()
        if channel in self._hand_overs.without:
            self._result.problems[self._hand_overs.without[channel]] = None
            return self._hand_overs.later(due, LOOK_AGAIN, WAITS_FOR_CHANNEL)
        if channel in hours.RINGS:
            zones = hours.zones_of(lead["timezone"], lead["postal_code"], lead["phone"], self._business)
            allowed = hours.next_allowed(now, zones, self._settings.hours)
            if allowed is None:
                return self._hand_overs.leave(
                    due, channel, "parked", "no hour is allowed in all zones that the lead may be in"
                )
            if allowed > now:
                return self._hand_overs.later(due, allowed - now, "waiting for the hour")
        try:
            organization = self._enrollments.organization
            text = step.write(self._session, action, due, lead, organization, self._settings)
        except BadRecord as error:
            return self._hand_overs.leave(due, channel, "parked", str(error))
        asked = self._enrollments.advance(due)
        if asked["state"] != "run":
            return self._stopped(due, channel, asked)
        if asked["action"] != action or asked["step"] != due["step"]:
            raise _Changed
        sender = self._hand_overs.senders.get(channel)
        # Who may read messages may not end them: the link is no part of what is kept.
        subject, body = (part.replace(text.unsubscribe_url, "[link]") for part in (text.subject, text.body))
        attempts = self._enrollments.begin(
            due, channel=channel, status="sending" if sender else "waiting", recipient=text.recipient,
            subject=subject or None, body=body, sender=sender.name if sender else "person",
        )  # fmt: skip
        if sender is None:
            return self._hand_overs.later(due, LOOK_AGAIN, "left to a person")
        return HandOver(due, attempts, Message(asked["idempotency_key"], channel, *text), sender)

    def _stopped(self, due: Due, channel: str, asked: Mapping[str, Any]) -> str:
        if asked["state"] != "stopped":
            return str(asked["state"])
        if self._enrollments.message(due):
            self._enrollments.note(due, channel, "withheld", f"stopped: {asked['stop_reason']}")
        return f"stopped: {asked['stop_reason']}"
