"""Hand messages to what sends them, outside of any transaction, and settle what became of each in a short one.

What was surely not taken is tried again, ever more rarely (``WAITS``). What nobody can tell is left to a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from warehouse_pipelines.errors import ActionNeeded, BadRecord, OutcomeUnknown, VendorUnavailable
from warehouse_pipelines.sequences.enrollments import Due, Enrollments, key_of
from warehouse_pipelines.sequences.senders import Message, Outbox, Sender, senders
from warehouse_pipelines.sequences.settings import SequenceSettings

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720))
"""How long a step waits after each attempt that was surely not taken; after the last it is parked."""

LOOK_AGAIN = timedelta(hours=1)
"""How often a step that waits for a person, or for settings, is looked at."""


@dataclass(frozen=True)
class HandOver:
    """A message that is committed as ``sending``, and what takes it."""

    due: Due
    attempts: int
    message: Message
    sender: Sender


class HandOvers:
    """Those of one organization. ``without`` says why there is no sender for a channel; ``problems`` collects."""

    def __init__(self, enrollments: Enrollments, settings: SequenceSettings, problems: dict[str, None]) -> None:
        self._enrollments, self._settings, self._problems = enrollments, settings, problems
        self.senders, self.without = senders(settings)

    def hand_over(self, taken: HandOver) -> str:
        """Hand a message over, and return what became of it."""
        due, channel, enrollments = taken.due, taken.message.channel, self._enrollments
        try:
            reference = taken.sender.send(taken.message)
        except VendorUnavailable as error:
            with enrollments.transaction():
                return self._not_taken(taken, str(error))
        except OutcomeUnknown as error:
            with enrollments.transaction():
                return self._after_lost_answer(taken, str(error))
        except BadRecord as error:
            with enrollments.transaction():
                return self.leave(due, channel, "parked", str(error))
        except ActionNeeded as error:
            self.without[channel] = str(error)
            self._problems[str(error)] = None
            with enrollments.transaction():
                enrollments.note(due, channel, "retry", str(error))
                enrollments.uncount(due)
                return self.later(due, LOOK_AGAIN, "waiting for settings")
        sends = taken.sender.name != Outbox.name
        self._settle_sent(due, reference, "sent" if sends else "recorded")
        return "sent" if sends else "kept in the outbox"

    def _settle_sent(self, due: Due, reference: str, status: str) -> None:
        """Write down what became of it, although somebody holds the rows: an erasure does so for seconds."""
        import psycopg

        for attempt in range(3):
            try:
                with self._enrollments.transaction():
                    self._enrollments.sent(due, reference, status)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if attempt == 2:
                    raise
            else:
                return

    def _not_taken(self, taken: HandOver, problem: str) -> str:
        channel = taken.message.channel
        if taken.attempts > len(WAITS):
            return self.leave(taken.due, channel, "parked", f"{problem}, {taken.attempts} times")
        self._enrollments.note(taken.due, channel, "retry", problem)
        return self.later(taken.due, WAITS[taken.attempts - 1], "not taken, tried again")

    def _after_lost_answer(self, taken: HandOver, problem: str) -> str:
        """Ask the sender whether it took a message after all; else leave it to a person, or send it again."""
        reference = taken.sender.look_up(taken.message.key)
        if reference:
            self._enrollments.sent(taken.due, reference)
            return "sent"
        if reference == "" or self._settings.warehouse_sequences_at_least_once:
            return self._not_taken(taken, problem)
        return self.leave(taken.due, taken.message.channel, "uncertain", problem)

    def after_dead_worker(self, due: Due, before: Mapping[str, Any]) -> str | None:
        """Settle a message whose worker died, as far as the sender knows of it; None to hand it over again."""
        sender = self.senders.get(before["channel"])
        if sender is not None and sender.name == before["sender"]:
            reference = sender.look_up(key_of(due))
            if reference:
                self._enrollments.sent(due, reference)
                return "sent"
            if reference == "":
                return None
        if self._settings.warehouse_sequences_at_least_once:
            return None
        problem = "a worker ended after it began to hand the message over"
        return self.leave(due, before["channel"], "uncertain", problem)

    def leave(self, due: Due, channel: str, status: str, problem: str) -> str:
        """Leave a step to a person: it is parked, or uncertain."""
        self._enrollments.note(due, channel, status, problem)
        self._enrollments.pause(due, status)
        self._problems[f"step {due['step']} of enrollment {due['id']} is {status}: {problem}"] = None
        return status

    def later(self, due: Due, wait: timedelta, why: str) -> str:
        """Look at an enrollment again after ``wait``; return ``why``."""
        self._enrollments.later(due, wait)
        return why
