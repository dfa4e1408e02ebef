"""``orchestration.alert_rule``: what is alerted of, and how its facts are asked for.

A rule is a row, and a SELECT that returns a row for each subject at fault now: the file ``sql/alerts/<name>.sql``, or
the row's own ``statement``. A rule whose facts are in Dagster or in ``warehouse serve`` has a function there instead,
by its name. Shipped rows stand in ``sql/defaults/orchestration.sql``; those that somebody edited stay as they are.

A SELECT is given ``now``, the rule's ``threshold``, ``crms`` (those of ``observability.judged``), ``zone`` (of the
business), and the settings that cannot be used (``Circumstances``). It runs read-only and for ``SECONDS`` at most, and
names at most ``MOST_SUBJECTS``.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.queries import alert_query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SECONDS = 15
MOST_SUBJECTS = 2_000
"""An incident keeps each of its subjects; a rule that finds more is one that counts rows."""


OPTIONAL = ("crm", "entity", "cause")
"""Columns that a rule's SELECT may leave out."""


@dataclass(frozen=True)
class Fault:
    """A subject that is at fault now. Those with one ``cause`` are one incident; without a cause each is its own.

    It explains other faults of its ``entity``, of its ``crm``, or of everything, by which of these are given; with
    ``entities``, of no others than these of its CRM.
    """

    subject: str
    text: str
    crm: str | None = None
    entity: str | None = None
    cause: str | None = None
    entities: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """A row of ``orchestration.alert_rule``, whose columns' comments say what each is."""

    name: str
    title: str
    advice: str
    severity: str
    reads: str
    statement: str | None
    threshold: float | None
    every: timedelta
    hold: timedelta
    calm: timedelta
    remind_after: timedelta | None
    unless: tuple[str, ...]


@dataclass(frozen=True)
class Circumstances:
    """What every rule is asked with: the time, the CRMs that are judged, the zone.

    ``settings_problems`` says what is wrong with the settings of some of the CRMs, ``alert_problems`` with settings of
    alerts.
    """

    now: datetime
    crms: Sequence[str]
    zone: str
    settings_problems: Mapping[str, str] = field(default_factory=dict)
    alert_problems: Mapping[str, str] = field(default_factory=dict)

    def parameters(self, rule: Rule) -> dict[str, Any]:
        """Return the parameters of a rule's SELECT."""
        return {
            "now": self.now,
            "threshold": rule.threshold,
            "crms": list(self.crms),
            "zone": self.zone,
            "crms_without_settings": list(self.settings_problems),
            "settings_problems": list(self.settings_problems.values()),
            "alert_settings": list(self.alert_problems),
            "alert_problems": list(self.alert_problems.values()),
        }


def enabled(session: "Session", names: Sequence[str] | None = None) -> list[Rule]:
    """Return the rules that are on, or those of ``names``: what explains others before these."""
    rows = session.execute(
        """
        SELECT name, title, advice, severity, reads, statement, threshold, every, hold, calm, remind_after, unless
        FROM orchestration.alert_rule WHERE enabled AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s))
        ORDER BY name
        """,
        {"names": None if names is None else list(names)},
    ).fetchall()
    return in_order([Rule(**{**row, "unless": tuple(row["unless"])}) for row in rows])


def titles(session: "Session") -> dict[str, str]:
    """Return the titles of all rules by name, those that are off as well."""
    rows = session.execute("SELECT name, title FROM orchestration.alert_rule ORDER BY name").fetchall()
    return {row["name"]: row["title"] for row in rows}


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules so that each comes after those that explain it; of a circle the first by name is first."""
    left = {rule.name: rule for rule in rules}
    ordered: list[Rule] = []
    while left:
        ready = [rule for rule in left.values() if not left.keys() & (set(rule.unless) - {rule.name})]
        for rule in ready or [next(iter(left.values()))]:
            ordered.append(left.pop(rule.name))
    return ordered


@contextlib.contextmanager
def asking(session: "Session") -> Iterator[None]:
    """Let the session read only, and for ``SECONDS`` at most for each statement, until the end of the block."""
    session.execute(f"SET default_transaction_read_only = on; SET statement_timeout = '{SECONDS}s'")
    try:
        yield
    finally:
        if not session.closed:
            session.execute("RESET default_transaction_read_only; RESET statement_timeout")


def ask(session: "Session", rule: Rule, circumstances: Circumstances) -> list[Fault]:
    """Return the subjects at fault, each once; within ``asking``, outside of a transaction.

    Raises ``psycopg.Error`` for a SELECT that PostgreSQL refuses, and ``ValueError`` for one that returns something
    else than subjects.
    """
    statement = rule.statement or alert_query(rule.name)
    rows = session.execute(statement, circumstances.parameters(rule)).fetchall()
    if len(rows) > MOST_SUBJECTS:
        raise ValueError(f"it names {len(rows):,} subjects, more than {MOST_SUBJECTS:,}")
    faults = [_fault(row) for row in rows]
    return list({fault.subject: fault for fault in reversed(faults)}.values())[::-1]


def _fault(row: Mapping[str, Any]) -> Fault:
    named = {name: None if row.get(name) is None else str(row[name]) for name in ("subject", "text", *OPTIONAL)}
    subject, text = named["subject"], named["text"]
    if not subject or not text:
        raise ValueError("its SELECT must return `subject` and `text`, and neither may be null or empty")
    return Fault(subject, text, crm=named["crm"], entity=named["entity"], cause=named["cause"])
