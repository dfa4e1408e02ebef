"""Evaluate the rules: ask each for its faults, settle them into incidents, write what is to be told, and send it.

Dagster's sensor does so every minute (``orchestration.alerts``), and `warehouse serve` for the rules about Dagster
(``serving.alert_loop``). One process evaluates at a time, by an advisory lock that ends with its session. A rule that
cannot be asked keeps its incidents as they are, stops no other rule, and is itself alerted of (`rule_failing`). Rules
that failed the last time are asked last, and what cannot be asked within ``ASKING_SECONDS`` waits for the next time:
Dagster gives its sensors a minute. Incidents of a rule that was switched off are closed, and nobody is told.

``now`` is given, so that a year can be evaluated in a minute.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.observability.alerts import deliveries, incidents, messages, rules
from warehouse_pipelines.observability.alerts.incidents import Change, Incident, Silence
from warehouse_pipelines.observability.alerts.rules import Circumstances, Fault, Rule
from warehouse_pipelines.observability.alerts.settings import quiet_until
from warehouse_pipelines.observability.redaction import redacted

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.alerts")

LOCK = "alerts"

ASKING_SECONDS = 20.0

UTC = ZoneInfo("UTC")

Collector = Callable[[Rule], Sequence[Fault]]
"""Asks what no SELECT knows. May raise anything."""


@dataclass(frozen=True)
class MessageOptions:
    """How messages are written: for which channels, in which zone, how late, and where their links lead."""

    channels: Sequence[str] = ()
    zone: ZoneInfo = UTC
    quiet_hours: str = ""
    dagster_url: str = ""


@dataclass
class Evaluated:
    """What an evaluation came to: the changes that are told, and the rules that could not be asked, with why."""

    asked: int = 0
    changes: list[Change] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def evaluate(
    url: str,
    circumstances: Circumstances,
    options: MessageOptions,
    *,
    collectors: Mapping[str, Collector] | None = None,
    warehouse_rules: bool = True,
) -> Evaluated | None:
    """Evaluate the rules that are due: those of the warehouse, and those that ``collectors`` ask, by name.

    Returns None while another process evaluates. Raises ``DatabaseUnavailable``.
    """
    collectors = collectors or {}
    now = circumstances.now
    with warehouse.session(url) as session, warehouse.try_lock(session, LOCK) as free:
        if not free:
            return None
        due, failing = _due(session, now)
        due = [rule for rule in due if (rule.reads == "warehouse" and warehouse_rules) or rule.name in collectors]
        asked, failed = _ask(session, sorted(due, key=lambda rule: rule.name in failing), circumstances, collectors)
        found = Evaluated(len(asked) + len(failed), [], failed)
        with session.transaction():
            incidents.close_switched_off(session, now)
            known = _by_rule(incidents.unresolved(session))
            silenced = incidents.silences(session, now)
            for rule in due:
                if rule.name in asked:
                    found.changes += _settle(session, rule, asked[rule.name], known, silenced, now)
            _tell(session, found.changes, options, now)
            _note(session, now, {name: len(faults) for name, faults in asked.items()}, failed)
        return found


def _ask(
    session: "Session", due: Sequence[Rule], circumstances: Circumstances, collectors: Mapping[str, Collector]
) -> tuple[dict[str, Sequence[Fault]], dict[str, str]]:
    """Return the faults by rule, and of the rules that could not be asked why; those in neither were not reached."""
    asked: dict[str, Sequence[Fault]] = {}
    failed: dict[str, str] = {}
    deadline = time.monotonic() + ASKING_SECONDS
    with rules.asking(session):
        for rule in due:
            if time.monotonic() > deadline:
                log.warning("the rule %s is not asked: those before it took %.0f s", rule.name, ASKING_SECONDS)
                continue
            collector = collectors.get(rule.name)
            try:
                asked[rule.name] = collector(rule) if collector else rules.ask(session, rule, circumstances)
            except Exception as error:
                if session.closed:
                    raise
                failed[rule.name] = redacted(masked(f"{type(error).__name__}: {error}", 300))
                log.warning("the rule %s could not be asked: %s", rule.name, failed[rule.name])
    return asked, failed


def _due(session: "Session", now: datetime) -> tuple[list[Rule], set[str]]:
    """Return the rules whose last evaluation is long enough ago, and the names of those that failed then.

    One that failed is asked again at once.
    """
    rows = session.execute("SELECT rule, evaluated_at, error FROM orchestration.alert_evaluation").fetchall()
    last = {row["rule"]: row["evaluated_at"] for row in rows if row["error"] is None}
    due = [rule for rule in rules.enabled(session) if rule.name not in last or now - last[rule.name] >= rule.every]
    return due, {row["rule"] for row in rows} - last.keys()


def _by_rule(found: Sequence[Incident]) -> dict[str, list[Incident]]:
    sorted_out: dict[str, list[Incident]] = {}
    for incident in found:
        sorted_out.setdefault(incident.rule, []).append(incident)
    return sorted_out


def _settle(
    session: "Session",
    rule: Rule,
    faults: Sequence[Fault],
    known: dict[str, list[Incident]],
    silenced: Sequence[Silence],
    now: datetime,
) -> list[Change]:
    """Bring the incidents of a rule up to date, in ``known`` too; return what is to be told."""
    before = known.get(rule.name, [])
    if not faults and not before:
        return []
    counted = incidents.unexplained(rule, faults, [one for of in known.values() for one in of])
    after, changes = incidents.settle(rule, counted, before, silenced, now)
    for incident in after:
        incidents.keep(session, incident)
    known[rule.name] = [one for one in after if not one.resolved_at and (one.opened_at or not one.cleared_at)]
    return changes


def _tell(session: "Session", changes: Sequence[Change], options: MessageOptions, now: datetime) -> None:
    for change in changes:
        message = messages.of(change, options.zone, options.dagster_url)
        quiet = None if message.severity == "critical" else quiet_until(options.quiet_hours, now, options.zone)
        wanted = set(options.channels)
        if change.kind == "resolved":
            wanted -= deliveries.drop_untold(session, change.incident.id, now)
        deliveries.write(session, message, [one for one in options.channels if one in wanted], now, quiet or now)


def _note(session: "Session", now: datetime, faults: Mapping[str, int], errors: Mapping[str, str]) -> None:
    """Write down when each rule was asked, and what came of it."""
    names = [*faults, *errors]
    session.execute(
        """
        INSERT INTO orchestration.alert_evaluation AS e (rule, evaluated_at, faults, failing_since, error)
        SELECT a.rule, %(now)s, a.faults, CASE WHEN a.error IS NOT NULL THEN %(now)s END, a.error
        FROM unnest(%(rules)s::text[], %(faults)s::integer[], %(errors)s::text[]) AS a (rule, faults, error)
        ON CONFLICT (rule) DO UPDATE SET evaluated_at = excluded.evaluated_at, error = excluded.error,
            faults = CASE WHEN excluded.error IS NULL THEN excluded.faults ELSE e.faults END,
            failing_since = CASE WHEN excluded.error IS NOT NULL
                THEN coalesce(e.failing_since, excluded.failing_since) END
        """,
        {
            "now": now,
            "rules": names,
            "faults": [faults.get(name, 0) for name in names],
            "errors": [errors.get(name) for name in names],
        },
    )
