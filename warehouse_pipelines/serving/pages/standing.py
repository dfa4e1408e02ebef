"""How every entity does, as the pages of operations say it: health, freshness, last runs, dead letters, the next run.

Health is judged by the query that `warehouse status` asks. Freshness is the age of the last good run, its target how
far apart two starts may be while all is well (``health.limits``). All visitors see the same, which is asked at most
every ``KEPT_SECONDS``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.health import Health, limits
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving.api.crms import KEPT_SECONDS, Healths
from warehouse_pipelines.serving.database import Pool
from warehouse_pipelines.serving.kept import Kept
from warehouse_pipelines.sources import SOURCES

RUNS_SHOWN = 30

KINDS = {"success": "good", "partial": "warning", "failed": "bad", "running": "busy", "cancelled": "quiet"}
"""What the ending of a run is shown as."""


@dataclass(frozen=True, kw_only=True)
class EntityStanding:
    """How one entity does. ``statuses`` and ``seconds`` are those of its last runs, the oldest first.

    ``good_at`` is when its last good run began, ``rows`` how many living rows that left. ``next_at`` is None where
    Dagster asks for nothing, or has not said when.
    """

    source: Source
    entity: Entity
    health: Health
    target: timedelta
    good_at: datetime | None
    rows: int | None
    statuses: Sequence[str]
    seconds: Sequence[float]
    enabled: bool
    next_at: datetime | None
    dagster_status: str | None

    @property
    def state(self) -> tuple[str, str]:
        """How it is shown, and the word for it."""
        if not self.health.judged:
            return "quiet", "not configured"
        if self.health.problems:
            return "bad", "unhealthy"
        if self.health.status == "running":
            return "busy", "running"
        if self.health.status in ("failed", "partial"):
            return "warning", f"last run {self.health.status}"
        return "good", "healthy"

    @property
    def scheduled(self) -> str:
        """Why no schedule asks for it; empty where one does."""
        if not self.enabled:
            return "switched off"
        return "stopped in Dagster" if self.dagster_status == "stopped" else ""

    def freshness(self, now: datetime) -> float | None:
        """Return the age of the last good run as a share of its target; None before there is one."""
        return None if self.good_at is None else (now - self.good_at) / self.target

    def late(self, now: datetime) -> bool:
        """Whether the last good run is older than its target, or there is none."""
        share = self.freshness(now)
        return share is None or share > 1

    @property
    def said_of_runs(self) -> str:
        """The last runs in words."""
        if not self.statuses:
            return "no run yet"
        counts = {status: self.statuses.count(status) for status in KINDS if status in self.statuses}
        return f"last {len(self.statuses)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.items())


@dataclass(frozen=True)
class CrmStanding:
    """How the entities of a CRM do."""

    source: Source
    entities: Sequence[EntityStanding]

    @property
    def judged(self) -> bool:
        """Whether somebody means to have it synced (``observability.judged``)."""
        return any(one.health.judged for one in self.entities)

    @property
    def ill(self) -> Sequence[EntityStanding]:
        """Those that are unhealthy."""
        return [one for one in self.entities if one.health.problems]

    @property
    def started_at(self) -> datetime | None:
        """When its last run began."""
        return max((one.health.started_at for one in self.entities if one.health.started_at), default=None)

    @property
    def good_at(self) -> datetime | None:
        """When its last good run began."""
        return max((one.good_at for one in self.entities if one.good_at), default=None)

    @property
    def next_at(self) -> datetime | None:
        """When its next run is due."""
        return min((one.next_at for one in self.entities if one.next_at and not one.scheduled), default=None)

    @property
    def rows(self) -> int | None:
        """How many living rows its tables have."""
        counted = [one.rows for one in self.entities if one.rows is not None]
        return sum(counted) if counted else None

    @property
    def pending(self) -> int:
        """How many dead letters are pending."""
        return sum(one.health.pending for one in self.entities)

    @property
    def state(self) -> tuple[str, str]:
        """How it is shown, and the words for it."""
        if not self.judged:
            return "quiet", "not configured"
        if self.ill:
            return "bad", f"{len(self.ill)} unhealthy"
        doubtful = sum(one.state[0] == "warning" for one in self.entities)
        return ("warning", f"{doubtful} not a success") if doubtful else ("good", "healthy")


def standings_kept(pool: Pool, healths: Kept[Healths]) -> Kept[list[CrmStanding]]:
    """Return how all CRMs do, kept for a moment."""
    entities = [(source, entity) for source in SOURCES for entity in source.entities]
    asked = {
        "crms": [source.name for source, _ in entities], "sync_types": [entity.name for _, entity in entities],
        "most": RUNS_SHOWN,
    }  # fmt: skip

    async def ask() -> list[CrmStanding]:
        judged = await healths.now()
        async with pool.session() as session:
            rows = await (await session.execute(query("pages_standings"), asked)).fetchall()
        found = {(row["crm"], row["entity"]): row for row in rows}
        return [
            CrmStanding(source, [
                _standing(source, entity, judged[source.name, entity.name], found[source.name, entity.name])
                for entity in source.entities
            ])
            for source in SOURCES
        ]  # fmt: skip

    return Kept(ask, KEPT_SECONDS)


def _standing(source: Source, entity: Entity, health: Health, row: dict[str, Any]) -> EntityStanding:
    next_at = row["next_at"]
    return EntityStanding(
        source=source, entity=entity, health=health, target=timedelta(hours=limits(entity)[1]),
        good_at=row["good_at"], rows=row["rows"], statuses=row["statuses"], seconds=row["seconds"],
        enabled=row["enabled"], dagster_status=row["dagster_status"],
        next_at=next_at if next_at and next_at > datetime.now(UTC) - timedelta(minutes=5) else None,
    )  # fmt: skip
