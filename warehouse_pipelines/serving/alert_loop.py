"""The alert rules that `warehouse serve` evaluates, as it lives outside of Dagster: a dead daemon cannot say so.

    daemon_silent     Dagster's daemon, by its heartbeats in Dagster's own storage
    alerts_silent     the sensor that evaluates alerts, by the row it leaves in ``orchestration.heartbeat``; it runs in
                      Dagster's code server, without which the daemon still has heartbeats
    webhook_refused   deliveries that were answered 401, by source

They are rules like any other, told through the same channels (``observability.alerts``). Whoever never ran Dagster's
daemon is told nothing of it.

When no evaluation ends, no incident can be written: because the warehouse does not answer, because it answers and takes
no writes, or because a process hangs while it evaluates and keeps all others from it. The channels are told from memory
then, once and then every hour, and when it is over. So they are when ``WAREHOUSE_ALERT_URLS`` cannot be used any more,
at the URLs that it had last.

This program writes a heartbeat too, which the sensor of Dagster watches, and deletes it when it ends as it should.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import WarehouseError, masked
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.observability.alerts import program, rules
from warehouse_pipelines.observability.alerts import settings as alert_settings
from warehouse_pipelines.observability.alerts.channels import ChannelRefused, channels
from warehouse_pipelines.observability.alerts.evaluate import Collector
from warehouse_pipelines.observability.alerts.rules import Fault, Rule
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.sources import SOURCES

log = logging.getLogger("warehouse.alerts")

LOOK_SECONDS = 60.0
AWAY = timedelta(minutes=3)
"""How long no evaluation may end before anybody is told: as long as a restart of the warehouse takes."""

AGAIN = timedelta(hours=1)
REFUSED_WITHIN = timedelta(minutes=10)

HEARTBEATS = "SELECT body FROM daemon_heartbeats"
EVALUATED = "SELECT max(evaluated_at) FROM orchestration.alert_evaluation"


class Trouble(NamedTuple):
    """What the channels are told of from memory; ``verb``: what cannot be done with an alert then."""

    title: str
    verb: str


NO_ANSWER = Trouble("The warehouse does not answer", "evaluated")
NO_EVALUATION = Trouble("Alerts cannot be evaluated", "evaluated")
NO_URLS = Trouble("Alerts cannot be sent", "sent")

HELD = "another process is at it and does not end, Dagster's code server as a rule; restart that"
ENDLESS = "it does not end; the warehouse, its disk or Dagster's storage hangs as a rule"


class AlertLoop:
    """Evaluates its rules every minute, until it is cancelled; in a thread, so that deliveries do not wait for it."""

    def __init__(self, url: str, outcomes: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        """``outcomes`` returns how many deliveries of each source ended how, since the program began."""
        self._url, self._outcomes = url, outcomes
        self._refused: deque[tuple[datetime, Mapping[str, int]]] = deque()
        self._away_since: datetime | None = None
        self._notified: dict[Trouble, datetime] = {}
        self._evaluated_at: datetime | None = None
        self._has_heartbeat = False
        self._urls: list[str] = []

    def prepare(self) -> None:
        """Import what sends messages, which takes two seconds, before the first delivery has to wait for it."""
        try:
            channels(self._read_urls()[0])
        except WarehouseError as error:
            log.warning("alerts cannot be sent: %s", error)

    async def run(self) -> None:
        """Look, again and again; a look that does not end is told of as one that fails."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            looking = asyncio.create_task(asyncio.to_thread(self.look))
            while not (await asyncio.wait({looking}, timeout=LOOK_SECONDS))[0]:
                await asyncio.to_thread(self._away, datetime.now(UTC), NO_EVALUATION, ENDLESS)
            await looking

    async def close(self) -> None:
        """Delete the heartbeat of this program."""
        if self._has_heartbeat:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(program.delete_heartbeat, self._url, "serve")

    def look(self, now: datetime | None = None) -> None:
        """Evaluate what is watched here, and send what is due. Logs and returns whatever goes wrong."""
        at = now or datetime.now(UTC)
        self._count_refused(at)
        try:
            collectors: dict[str, Collector] = {
                "daemon_silent": lambda rule: _silent(
                    rule, "Dagster's daemon", last_heartbeat(), now or datetime.now(UTC)
                ),
                "alerts_silent": lambda rule: self._sensor_silent(rule, now),
                "webhook_refused": self._refusals,
            }
            program.write_heartbeat(self._url, "serve", now)
            self._has_heartbeat = True
            found, _, _ = program.run(self._url, SOURCES, collectors=collectors, warehouse_rules=False, now=now)
            problem = self._read_urls()[1]
            if found is None and not self._others_evaluate():
                log.warning("alerts could not be evaluated: another process is at it")
                self._away(at, NO_EVALUATION, HELD)
            elif problem:
                self._away(at, NO_URLS, problem)
            else:
                self._back(at)
        except Exception as error:
            why = redacted(masked(f"{type(error).__name__}: {' '.join(str(error).split())}", 300))
            log.warning("alerts could not be evaluated: %s", why)
            if self._answers():
                self._away(at, NO_EVALUATION, f"the warehouse answers, but {why}")
            else:
                self._away(at, NO_ANSWER, "no session could be opened")

    def _sensor_silent(self, rule: Rule, now: datetime | None) -> Sequence[Fault]:
        """Find the sensor silent, by the clock of the warehouse; of the daemon that of this machine counts."""
        with warehouse.session(self._url) as session, rules.asking(session):
            alive_at = warehouse.value(
                session, "SELECT last_alive_at FROM orchestration.heartbeat WHERE name = 'alerts'"
            )
        return _silent(rule, "the sensor that evaluates alerts", alive_at, now or program.clock(self._url))

    def _count_refused(self, now: datetime) -> None:
        counts = {source: outcomes.get("refused", 0) for source, outcomes in self._outcomes().items()}
        self._refused.append((now, counts))
        while self._refused[0][0] < now - REFUSED_WITHIN and len(self._refused) > 1:
            self._refused.popleft()

    def _refusals(self, rule: Rule) -> Sequence[Fault]:
        before, last = self._refused[0][1], self._refused[-1][1]
        new = {source: count - before.get(source, 0) for source, count in last.items()}
        return [
            Fault(source, f"{count} deliveries of the last ten minutes were answered 401", source)
            for source, count in new.items()
            if count > (rule.threshold or 0)
        ]

    def _others_evaluate(self) -> bool:
        """Return whether an evaluation has ended since this was last asked: another process is merely at it, then."""
        with warehouse.session(self._url) as session, rules.asking(session):
            at = warehouse.value(session, EVALUATED)
        before, self._evaluated_at = self._evaluated_at, at
        return self._evaluated_at != before

    def _answers(self) -> bool:
        try:
            with warehouse.session(self._url) as session, rules.asking(session):
                session.execute("SELECT")
        except Exception:
            return False
        return True

    def _away(self, now: datetime, trouble: Trouble, why: str) -> None:
        """Tell the channels that no evaluation ends, if that has lasted for long enough."""
        self._away_since = self._away_since or now
        told = self._notified.get(trouble)
        if now - self._away_since >= AWAY and (told is None or now - told >= AGAIN):
            minutes = (now - self._away_since).total_seconds() / 60
            body = f"For {minutes:.0f} minutes no alert could be {trouble.verb}: {why}."
            if self._say(f"[critical] {trouble.title}", body):
                self._notified[trouble] = now

    def _back(self, now: datetime) -> None:
        since, told = self._away_since or now, self._notified
        self._away_since, self._notified = None, {}
        minutes = (now - since).total_seconds() / 60
        for title, verb in told:
            self._say(f"[critical] Resolved: {title}", f"No alert could be {verb} for {minutes:.0f} minutes.")

    def _say(self, title: str, body: str) -> bool:
        """Send a message to all channels; return whether one took it."""
        taken = False
        for channel in channels(self._read_urls()[0])[0]:
            try:
                channel.send(title, body, "critical")
                taken = True
            except ChannelRefused:
                log.warning("the channel %s refused a message", channel.name)
        return taken

    def _read_urls(self) -> tuple[list[str], str | None]:
        """Return the URLs of the channels, and what is wrong with the setting; then they are those that it had last."""
        problem = alert_settings.problems().get("WAREHOUSE_ALERT_URLS")
        if problem is None:
            self._urls = alert_settings.read().urls
        return self._urls, problem


def _silent(rule: Rule, name: str, alive_at: datetime | None, at: datetime) -> Sequence[Fault]:
    """Return the fault of what was last alive too long ago; what never was is not missed."""
    if alive_at is None or at - alive_at <= timedelta(minutes=rule.threshold or 0):
        return []
    return [Fault(name, f"it was last alive at {alive_at:%Y-%m-%d %H:%M} UTC", cause="Dagster")]


def last_heartbeat() -> datetime | None:
    """Return when any of Dagster's daemons was last alive; None before the first time, or where that cannot be read."""
    url = dagster_home.storage_url()
    try:
        if url is None:
            file = settings.dagster_home() / "history" / "runs.db"
            if not file.exists():
                return None
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                bodies = [body for (body,) in connection.execute(HEARTBEATS)]
        else:
            with warehouse.connect(url, application_name="warehouse-serve") as session, rules.asking(session):
                bodies = [row["body"] for row in session.execute(HEARTBEATS)]
    except Exception as error:
        log.warning("Dagster's storage could not be asked for heartbeats: %s", type(error).__name__)
        return None
    times = [json.loads(body)["timestamp"] for body in bodies]
    return datetime.fromtimestamp(max(times), UTC) if times else None
