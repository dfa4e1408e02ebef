"""Is the warehouse being filled? Asked of ``orchestration.sync_history`` by ``warehouse status`` and Dagster's checks.

Each entity is judged by itself: one of ten that always fails would leave its CRM at 90 %, and nobody would notice.

- *rate*: of the runs that ended within ``hours`` at least 80 % were a ``success``. A ``partial`` run does not count as
  one: it met bad records that nobody knew, or could not read a column. Those that wait in the dead letters are
  ``pending`` until they are loaded or waived; they are shown and not judged. Runs that are still running have no
  outcome yet, a cancelled one has none. Dry runs, replays, refused runs, runs of webhooks or of some days, and those
  with ``--max-records`` or another narrowing did not ask for all that is new. None of them is counted; backfills and
  limited runs are shown. How many were refused since the last run began is shown beside it.
- *recovery*: the same, but a success makes up for what failed before it. `warehouse status` judges by this one.
- *none*: no such run is unhealthy.
- *age*: the last good run (``orchestration.good_run``) began within ``expected_hours``.
- *started*: the last run began within ``expected_hours``, however it ended.
- *deletes*: no record whose key could not be made out is pending. It may be any row, so no full read counts a row as
  deleted, and each of these reads is a success.
- *values*: no column loses its values, and none is missing that was filled (``lost_values``).

The defaults, 24 and 2 hours, fit an hourly cadence; an entity that runs less often gets twice its cadence, or what its
polls may be apart while webhooks deliver.
A CRM that nobody means to have synced is listed and not judged (``observability.judged``). One that is judged and whose
settings are missing or cannot be used is unhealthy.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.judged import judged
from warehouse_pipelines.observability.lost_values import Standing
from warehouse_pipelines.queries import query

ENOUGH = 0.8
HOURS = 24.0
EXPECTED_HOURS = 2.0

STATUS = ("recovery", "age", "values")
"""The rules of `warehouse status`, the API and the pages."""

CHECK = ("rate", "age", "values", "deletes")
"""The rules of Dagster's check ``health``."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """How one entity does. ``problems`` are sentences; none means healthy. Times are None before the first run.

    ``settings_problem`` says why its CRM cannot be read, one of the problems of each of its entities.
    """

    crm: str
    sync_type: str
    judged: bool
    problems: tuple[str, ...] = ()
    runs: int = 0
    successes: int = 0
    status: str | None = None
    started_at: datetime | None = None
    age: timedelta | None = None
    seconds: float | None = None
    created: int = 0
    updated: int = 0
    failed: int = 0
    pending: int = 0
    error: str | None = None
    last_error: str | None = None
    """Of the newest run that was no success, within the hours of the rate; what came after it may be well."""
    last_error_at: datetime | None = None
    refusals: int = 0
    refusal: str | None = None
    settings_problem: str | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; an entity that is not judged counts as healthy."""
        return not self.problems

    @property
    def rate(self) -> float | None:
        """The share of runs that were a success."""
        return self.successes / self.runs if self.runs else None


def limits(entity: Entity, hours: float | None = None, expected_hours: float | None = None) -> tuple[float, float]:
    """Return the hours that the rate is taken over and that the last run may be old; what is given is used as it is."""
    gap = entity.cadence.longest_gap / timedelta(hours=1)
    return (
        max(HOURS, gap) if hours is None else hours,
        max(EXPECTED_HOURS, gap) if expected_hours is None else expected_hours,
    )


def problems(
    *,
    runs: int,
    successes: int,
    age: timedelta | None,
    hours: float,
    expected_hours: float,
    rules: Iterable[str],
    recovered: bool = False,
    started: timedelta | None = None,
) -> tuple[str, ...]:
    """Return what is wrong, by the ``rules`` ``rate`` or ``recovery``, ``age`` and ``started``.

    ``age`` is that of the last good run, ``started`` that of the last run; ``recovered`` says that this was a success.
    """
    found = []
    if "rate" in rules or "recovery" in rules:
        if not runs:
            found.append(f"no run ended in the last {hours:g} h")
        elif successes / runs < ENOUGH and not ("recovery" in rules and recovered):
            found.append(f"{successes} of {runs} runs in {hours:g} h succeeded, less than {ENOUGH:.0%}")
    if "age" in rules:
        if age is None:
            found.append("no good run yet")
        elif age > timedelta(hours=expected_hours):
            found.append(f"last good run {age / timedelta(hours=1):.1f} h ago, expected within {expected_hours:g} h")
    if "started" in rules:
        if started is None:
            found.append("never started")
        elif started > timedelta(hours=expected_hours):
            found.append(f"last start {started / timedelta(hours=1):.1f} h ago, expected within {expected_hours:g} h")
    return tuple(found)


def judge(
    sources: Iterable[Source],
    *,
    url: str,
    hours: float | None = None,
    expected_hours: float | None = None,
    rules: Iterable[str] = CHECK,
) -> list[Health]:
    """Return the health of every entity of ``sources``, in their order. The clock is the database's.

    Raises ``DatabaseUnavailable``.
    """
    sources, rules = tuple(sources), frozenset(rules)
    entities = [
        (source, entity, *limits(entity, hours, expected_hours)) for source in sources for entity in source.entities
    ]
    asked = {
        "crms": [source.name for source, *_ in entities],
        "sync_types": [entity.name for _, entity, *_ in entities],
        "hours": [rate_hours for _, _, rate_hours, _ in entities],
    }
    with warehouse.session(url) as session:
        found = session.execute(query("health"), asked).fetchall()
        crms = judged(session, sources)
    return [
        _health(
            source.name,
            entity.name,
            row,
            judged=source.name in crms,
            settings_problem=crms.get(source.name),
            problems=_problems(row, rate_hours, age_hours, rules) if source.name in crms else (),
        )
        for (source, entity, rate_hours, age_hours), row in zip(entities, found, strict=True)
    ]


def _problems(row: Mapping[str, Any], hours: float, expected_hours: float, rules: Set[str]) -> tuple[str, ...]:
    """Return what is wrong with an entity by its row of the query ``health``."""
    values = Standing.read(row["loaded_metrics"]).problems if "values" in rules else ()
    keyless = row["keyless"] if "deletes" in rules else 0
    deletes = (f"no row is counted as deleted while {keyless} dead letters without a key are pending",)
    return (
        *problems(
            runs=row["runs"],
            successes=row["successes"],
            age=row["good_age"],
            hours=hours,
            expected_hours=expected_hours,
            rules=rules,
            recovered=row["last_ending"] == "success",
            started=row["started_age"],
        ),
        *values,
        *(deletes if keyless else ()),
    )


def _health(
    crm: str,
    sync_type: str,
    row: Mapping[str, Any],
    *,
    judged: bool,
    settings_problem: str | None,
    problems: tuple[str, ...],
) -> Health:
    """Return the health of an entity by its row of the query ``health``."""
    return Health(
        crm=crm,
        sync_type=sync_type,
        judged=judged,
        settings_problem=settings_problem,
        problems=(settings_problem, *problems) if settings_problem else problems,
        runs=row["runs"],
        successes=row["successes"],
        status=row["status"],
        started_at=row["start_time"],
        age=row["age"],
        seconds=(row["end_time"] - row["start_time"]).total_seconds() if row["end_time"] else None,
        created=row["records_created"] or 0,
        updated=row["records_updated"] or 0,
        failed=row["records_failed"] or 0,
        pending=row["pending"],
        error=row["error_message"],
        last_error=row["last_error"],
        last_error_at=row["last_error_at"],
        refusals=row["refusals"],
        refusal=row["refusal"],
    )
