"""Which results of checks need not be stored: that a check passes, as it did the last time.

All checks are evaluated after each sync and every hour, and nearly all of them say what they said before. Each result
is three rows of Dagster's storage, which were a third of an idle day's. Therefore a run that a schedule asked for
yields a pass again only when its sentence is another one, or when ``AGAIN`` has passed. A failure is always yielded,
and so is whatever a person asks for, and a check that blocks: what follows in the run waits for its output.

Dagster shows the last result of a check. That holds because ``dagster_storage`` stores no plans of checks, which would
stand there until a result comes; so another storage gets every result.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.storage.tags import SCHEDULE_NAME_TAG
from dagster._serdes import deserialize_value

from warehouse_pipelines.orchestration.dagster_storage import EventLog

AGAIN = timedelta(hours=6)


def news(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, results: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results that are to be stored; each names its asset and its check."""
    passed: dict[dg.AssetCheckKey, str | None] = {}
    if SCHEDULE_NAME_TAG in context.run.tags:
        passed = last_passes(context.instance, context.selected_asset_check_keys)
    for result in results:
        asset, name = result.asset_key, result.check_name
        key = dg.AssetCheckKey(asset, name) if asset is not None and name is not None else None
        if key is None or not result.passed or key not in passed or passed[key] != result.description:
            yield result


def last_passes(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> dict[dg.AssetCheckKey, str | None]:
    """Return the sentence of each of these checks whose last result is a pass not older than ``AGAIN``."""
    storage: Any = instance.event_log_storage
    if not isinstance(storage, EventLog):
        return {}
    wanted = {(key.asset_key.to_string(), key.name): key for key in keys}
    latest = (
        sa.select(sa.func.max(Checks.c.id))
        .where(Checks.c.asset_key.in_(sorted({asset for asset, _ in wanted})))
        .group_by(Checks.c.asset_key, Checks.c.check_name)
    )
    oldest = (datetime.now(UTC) - AGAIN).replace(tzinfo=None)
    asked = sa.select(Checks.c.asset_key, Checks.c.check_name, Checks.c.evaluation_event).where(
        Checks.c.id.in_(latest),
        Checks.c.execution_status == "SUCCEEDED",
        Checks.c.evaluation_event_timestamp > oldest,
        Checks.c.check_name.in_(sorted({name for _, name in wanted})),
    )
    with storage.index_connection() as connection:
        rows = connection.execute(asked).fetchall()
    found = {}
    for asset, name, event in rows:
        evaluation = deserialize_value(event, EventLogEntry).asset_check_evaluation
        if (asset, name) in wanted and evaluation is not None and not evaluation.blocking:
            found[wanted[asset, name]] = evaluation.description
    return found
