"""Jobs that read months again: ``backfill_<crm>_<entity>``, with a partition a month.

The assets have no partitions, so that one click is a delta. A job of assets takes its partitions from them alone: with
a partitioned configuration the UI of Dagster 1.13 shows it without any, and starts it without one. Therefore each of
these jobs is one op, which loads its table and says so to the asset.

Months of one entity run one after the other, because only one run may load it: they have its ``TAG``, of which
``dagster.yaml`` starts one run at a time. So has the job that syncs the entity alone, and a scheduled sync while a
month is being read; both go before the next month (``after_the_month``). A run of several entities can have no such
tag, as it has one value, and one of *Materialize* has none: a month that meets their sync of the entity waits in its
own run.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of, metadata
from warehouse_pipelines.orchestration.assets import step_key
from warehouse_pipelines.orchestration.io_manager import load

TAG = "warehouse/backfill"


def after_the_month(source: Source, entity: Entity) -> dict[str, str]:
    """Return the tags of a sync that waits in the queue for the month that is being read, and before the next one.

    A month that is queued waits for that sync.
    """
    return {TAG: f"{source.name} {entity.name}", "dagster/priority": "1"}


def jobs(sources: Sequence[Source], url: Callable[[], str]) -> Iterator[dg.JobDefinition]:
    """Yield the job of each entity that can be asked by date; ``url`` finds the warehouse."""
    for source in sources:
        for entity in source.entities:
            if since := entity.cadence.backfill_since:
                yield job(source, entity, since, url)


def job(source: Source, entity: Entity, since: date, url: Callable[[], str]) -> dg.JobDefinition:
    """Return the job of one entity, whose first partition is the month of ``since``."""
    first_month = since.replace(day=1).isoformat()
    about = (
        f"{source.title} {entity.name} of a month, read again. The watermark stays where it is. "
        "Other days: start_date and end_date in the Launchpad."
    )

    @dg.op(
        name=f"read_again_{step_key(entity)}",
        description=about,
        required_resource_keys={"sync"},
        pool=source.pool_name,
        out=dg.Out(dg.Nothing),
    )
    def read_again(context: dg.OpExecutionContext) -> None:
        from warehouse_pipelines.loading.dlt_source import dlt_resource

        options = context.resources.sync.options()
        unread = dlt_resource(source, entity)
        result = load(context, source, entity, options, url=url, unread=unread, until_free=True)
        key, facts = key_of(entity.table), metadata(result)
        if options.dry_run:
            context.log_event(dg.AssetObservation(key, metadata=facts, description="a dry run"))
        else:
            context.log_event(dg.AssetMaterialization(key, metadata=facts))

    @dg.monthly_partitioned_config(start_date=first_month, end_offset=1)
    def month(start: datetime, end: datetime) -> dict[str, Any]:
        last = end.date() - timedelta(days=1)
        days = {"start_date": start.date().isoformat(), "end_date": last.isoformat()}
        return {"resources": {"sync": {"config": days}}}

    @dg.job(
        name=f"backfill_{source.name}_{entity.name}",
        description=about,
        config=month,
        tags={
            "warehouse/crm": source.name,
            "warehouse/sync_type": entity.name,
            TAG: f"{source.name} {entity.name}",
        },
    )
    def made() -> None:
        read_again.alias(step_key(entity))()

    return made
