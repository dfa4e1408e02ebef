"""When a column loses values, or is no longer sent: what a run keeps of it in its history row, and what is an alarm.

A value is *lost* when the record has it and it cannot be read as the column's kind: the column is null, ``raw_data``
has it still. A column is *absent* when it was filled the last time and no record has its member any more, not even as
null. Its stored values are kept until a full read finds the member again, the column's path is changed, or a run with
``--force`` empties it; if a later record of the run has the member, rows whose record lacks it are emptied. The
vendor's deleted flag is such a column too (``archived``, or ``deleted_at`` where a time is the flag). A backfill keeps
the values that its records lack and adds nothing to what is absent: months from before a field existed say nothing of
what the vendor sends now.

In ``performance_metrics`` of each run:

    values_lost     {column: {"lost": 40, "of": 200}}: in this run, of the values that are not empty
    losses          the same, added up over the runs since the last full one, or since one that read ``CLEAN`` values of
                    the column and lost none; a run that lost a greater share counts by itself
    columns_filled  {column: 160}: values that are not null
    columns_absent  the columns whose stored values are kept
    columns_unseen  {column: 19}: of a column that was filled, how many records came since one had its member: too few
                    to judge by, so the runs add up
    flag_sent       [19, 20]: of how many records of a sample so many had the vendor's deleted flag, be it null

An alarm is a loss of more than ``SHARE`` of a column's values, but at least ``FEWEST``, or of ``JUMP``, but at least
``FEWEST_OF_JUMP``: one typing error in a delta of one record says nothing about the column. The run in which an alarm
begins, or in which the loss doubles or grows by ``JUMP``, is partial. The runs after it are not, because a full read
meets the same records each time; ``warehouse status`` and the check ``values`` show the column until a run ends it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SHARE, FEWEST = 0.01, 5
JUMP, FEWEST_OF_JUMP = 0.2, 3
CLEAN = 20

SHOWN = 5
"""Columns that a sentence names; the history row has all."""

ENOUGH_RECORDS = 20
EXPECTED_VALUES = 10
"""A column counts as absent after so many records without its member, if so many of them should have had a value."""


def _few(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


class Loss(NamedTuple):
    """How many of a column's values are lost."""

    lost: int
    of: int

    @property
    def share(self) -> float:
        """The lost part, from 0 to 1."""
        return self.lost / self.of if self.of else 0.0

    @property
    def alarming(self) -> bool:
        """Whether somebody should look."""
        return (self.lost >= FEWEST and self.share > SHARE) or (self.lost >= FEWEST_OF_JUMP and self.share >= JUMP)


class Sent(NamedTuple):
    """Of how many records so many had a member, be it null."""

    sent: int
    of: int


NONE_SENT = Sent(0, 0)


@dataclass(frozen=True)
class Standing:
    """How the columns of an entity stand after a run."""

    losses: Mapping[str, Loss] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    flag: Sent = NONE_SENT
    """How often the vendor's deleted flag was sent."""
    unseen: Mapping[str, int] = field(default_factory=dict)
    """By column that was filled before, how many records came since one had its member."""

    @classmethod
    def read(cls, metrics: Mapping[str, Any] | None) -> "Standing":
        """Return what the metrics of a run say."""
        metrics = metrics or {}
        losses = {name: Loss(each["lost"], each["of"]) for name, each in (metrics.get("losses") or {}).items()}
        flag = Sent(*(metrics.get("flag_sent") or (0, 0)))
        return cls(losses, frozenset(metrics.get("columns_absent") or ()), flag, metrics.get("columns_unseen") or {})

    @property
    def losing(self) -> dict[str, Loss]:
        """The columns with an alarming loss."""
        return {name: loss for name, loss in self.losses.items() if loss.alarming}

    @property
    def problems(self) -> list[str]:
        """Sentences for a person; none when all is well."""
        sentences = []
        if losing := sorted(self.losing.items()):
            each = [f"{name} {loss.lost:,} of {loss.of:,} ({loss.share:.0%})" for name, loss in losing]
            sentences.append(f"values lost: {_few(each)}")
        if self.absent:
            sentences.append(f"no longer sent, values kept: {_few(sorted(self.absent))}")
        return sentences

    def after(
        self,
        lost: Mapping[str, int],
        filled: Mapping[str, int],
        absent: Collection[str],
        *,
        full: bool,
        flag: Sent = NONE_SENT,
        unseen: Mapping[str, int] | None = None,
    ) -> "Standing":
        """Return how they stand after a run that lost and read so many values; ``full`` if it read everything."""
        losses = {}
        for name in self.losses.keys() | {name for name, count in lost.items() if count}:
            run = Loss(lost.get(name, 0), lost.get(name, 0) + filled.get(name, 0))
            if full or (not run.lost and run.of >= CLEAN):
                found = run
            else:
                before = self.losses.get(name, Loss(0, 0))
                found = Loss(before.lost + run.lost, before.of + run.of)
                if run.alarming and run.share > found.share:
                    found = run
            if found.lost:
                losses[name] = found
        if flag.of < ENOUGH_RECORDS:
            flag = Sent(self.flag.sent + flag.sent, self.flag.of + flag.of)
        return Standing(losses, frozenset(absent), flag, unseen or {})

    def reason(self, before: "Standing") -> str | None:
        """Return why a run that found the columns so after ``before`` is partial; None where nothing is new."""
        reasons = []
        old = before.losing
        worse = [
            f"{name} {loss.lost:,} of {loss.of:,}"
            for name, loss in sorted(self.losing.items())
            if name not in old or loss.share >= min(2 * old[name].share, old[name].share + JUMP)
        ]
        if worse:
            reasons.append(
                f"values_lost: {_few(worse)} values cannot be read as what their columns hold. They are null "
                "there and whole in raw_data. Correct the vendor's records or the column's kind, then run with --full."
            )
        if new := sorted(self.absent - before.absent):
            reasons.append(
                f"columns_absent: {_few(new)} had values the last time and no record has them now. The values "
                "that are stored are kept. If the vendor renamed them, change their paths; if it removed them, "
                "--force empties them."
            )
        return " ".join(reasons) or None

    def metrics(self) -> dict[str, Any]:
        """Return what the next run will read."""
        return {
            "losses": {name: loss._asdict() for name, loss in sorted(self.losses.items())},
            "columns_absent": sorted(self.absent),
            "flag_sent": list(self.flag),
            "columns_unseen": dict(sorted(self.unseen.items())),
        }
