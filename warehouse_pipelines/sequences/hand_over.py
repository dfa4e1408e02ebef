"""Hand messages to what sends them, outside of any transaction, and settle what became of each in a short one.

What was surely not taken is tried again, ever more rarely (``WAITS``). What nobody can tell is left to a person.

What concerns every message stops the channel for the run, and no message is parked for it: an answer that says so, or
the same answer to several messages in a row (``IN_A_ROW``). Who was answered so is tried after the others of the hour,
so that a message which alone is answered so keeps no other waiting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from warehouse_pipelines.errors import ActionNeeded, BadRecord, OutcomeUnknown, VendorUnavailable
from warehouse_pipelines.sequences.enrollments import Due, Enrollments, key_of
from warehouse_pipelines.sequences.senders import Message, MessageRefused, Outbox, PutOff, Sender, senders
from warehouse_pipelines.sequences.settings import SequenceSettings

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720))
"""How long a step waits after each attempt that was surely not taken; after the last it is parked."""

LOOK_AGAIN = timedelta(hours=1)
"""How often a step that waits for a person, or for its channel, is looked at."""

AFTER_OTHERS = LOOK_AGAIN + timedelta(minutes=10)
"""How long the message waits by which its channel was found to take none."""

IN_A_ROW = 3
"""Messages that got the same answer, after which it is taken for one about all."""

WAITS_FOR_CHANNEL = "waiting for the channel"
DEAD_WORKER = "a worker ended after it began to hand the message over"


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
        self._answers: dict[str, tuple[str, int]] = {}
        """The last answer of each channel by which a message was not taken, and to how many in a row."""

    def hand_over(self, taken: HandOver) -> str:
        """Hand a message over, and return what became of it."""
        due, channel, enrollments = taken.due, taken.message.channel, self._enrollments
        try:
            reference = taken.sender.send(taken.message)
        except VendorUnavailable as error:
            if not isinstance(error, PutOff) and self._is_repeated(channel, str(error)):
                return self._stop_channel(taken, f"{channel}: {error}, {IN_A_ROW} times in a row")
            with enrollments.transaction():
                return self._not_taken(taken, str(error))
        except OutcomeUnknown as error:
            with enrollments.transaction():
                return self._after_lost_answer(taken, str(error))
        except BadRecord as error:
            if isinstance(error, MessageRefused) and self._is_repeated(channel, error.code):
                return self._stop_channel(taken, f"{channel}: {error}, {IN_A_ROW} times in a row")
            with enrollments.transaction():
                return self.leave(due, channel, "parked", str(error))
        except ActionNeeded as error:
            return self._stop_channel(taken, str(error))
        self._answers.pop(channel, None)
        sends = taken.sender.name != Outbox.name
        self._settle_sent(due, reference, "sent" if sends else "recorded")
        return "sent" if sends else "kept in the outbox"

    def _is_repeated(self, channel: str, answer: str) -> bool:
        """Whether the channel gave this answer to so many messages in a row that it is about all; "" never is."""
        last, times = self._answers.get(channel, ("", 0))
        self._answers[channel] = (answer, times + 1 if answer == last else 1)
        return bool(answer) and self._answers[channel][1] >= IN_A_ROW

    def _stop_channel(self, taken: HandOver, problem: str) -> str:
        """Hand over nothing more by the channel in this run; the message is tried again as if it had not been."""
        due, channel = taken.due, taken.message.channel
        self.without[channel] = problem
        self._problems[problem] = None
        with self._enrollments.transaction():
            self._enrollments.note(due, channel, "retry", problem)
            self._enrollments.uncount(due)
            return self.later(due, AFTER_OTHERS, WAITS_FOR_CHANNEL)

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
        reference = self._look_up(due, before)
        if reference:
            self._enrollments.sent(due, reference)
            return "sent"
        if reference == "" or self._settings.warehouse_sequences_at_least_once:
            return None
        return self.leave(due, before["channel"], "uncertain", DEAD_WORKER)

    def after_stop(self, left: Due) -> str:
        """Settle a message whose worker died and whose enrollment has ended meanwhile; it is not handed over again."""
        reference = self._look_up(left, left)
        if reference:
            self._enrollments.sent(left, reference)
            return "sent"
        if reference == "" or left["reason"] == "erased":
            self._enrollments.note(left, left["channel"], "withheld", f"{left['stands']}: {left['reason']}")
            return "withheld"
        return self.leave(left, left["channel"], "uncertain", DEAD_WORKER)

    def _look_up(self, due: Due, message: Mapping[str, Any]) -> str | None:
        """Ask what the message was handed to, as ``Sender.look_up`` does; None where that is not there any more."""
        sender = self.senders.get(message["channel"])
        return sender.look_up(key_of(due)) if sender is not None and sender.name == message["sender"] else None

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
