"""The assets of the unified CRM: who is who (group ``identity``), and the leads that come of it (group ``crm``).

Two steps make them: ``resolve_identity`` reads what changed in the tables that hold people and decides who is who,
``feed_crm`` brings the people into ``crm.leads``, with consent, do-not-call entries, costs and scores. Each writes all
of its tables in one transaction, so its assets are materialized together. The job ``unify`` runs both, and the marts;
its schedule is on as soon as a CRM is configured.

A tick asks for no run while nothing was written to any table that the last good run read or made, by PostgreSQL's own
counts, which see whoever writes. A tag of the run says what they were before it, so what is written meanwhile is read
by the next. What depends on settings or on the time alone, such as a do-not-call entry that ends or an appointment
whose time has come, is computed within the hour: the first tick of each hour asks for a run.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of, table_metadata
from warehouse_pipelines.orchestration.assets import OWNERS
from warehouse_pipelines.orchestration.failures import failures, session_of_step
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER
from warehouse_pipelines.orchestration.ticks import told_plainly
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.identity.entered import ENTERED
from warehouse_pipelines.unified.marts.rows import MARTS
from warehouse_pipelines.unified.people_rows import PEOPLE

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

JOB = "unify"
CRON = "7,22,37,52 * * * *"
"""A few minutes after most of the syncs have ended (``schedules.cron``)."""

WRITTEN_TAG = "warehouse/written"
"""Tag of a run: a digest of what had been written when it was asked for (``sql/queries/unify_written.sql``)."""

IDENTITY = {
    "identity.record": (
        "Records of all sources that are, or name, a person, in the form that is compared.",
        [*(row.table for row in PEOPLE), ENTERED.table],
    ),
    "identity.edge": ("Pairs of records that have to do with each other, with the evidence.", ["identity.record"]),
    "identity.review": ("Pairs that a person decides: `warehouse identity review`.", ["identity.edge"]),
    "identity.person": ("People, each with the best value of every field and where it comes from.", ["identity.edge"]),
    "identity.member": ("Which source records are which person.", ["identity.edge"]),
    "identity.household": ("People under one roof, or of one family with one phone.", ["identity.person"]),
    "identity.property": ("Houses, by their address.", ["identity.person"]),
    "identity.touch": (
        "Calls, texts and forms without a name, and whose they are as far as that can be told.",
        ["identity.record", "identity.person", "identity.household"],
    ),
}
"""Tables of the first step: what they are, and what they are made of."""

CRM = {
    "crm.leads": (
        "One lead per organization and person that a source calls a lead or a customer.",
        ["identity.person", "identity.member"],
    ),
    "crm.dnc_list": ("Numbers that must not be called or written to, with what every source says.", ["crm.leads"]),
    "crm.lead_source_costs": ("What a source of leads cost in a month.", ["gsheet_marketing_spend"]),
    "crm.lead_status_history": ("Each change of a lead's status.", ["crm.leads"]),
    "crm.lead_score_history": ("Each scoring of a lead, with the points of its factors.", ["crm.leads"]),
    "marts.unmapped_status": ("Statuses of sources that no row of crm.status_mapping translates.", ["crm.leads"]),
    "marts.dnc_conflicts": ("Who was called or written to although listed.", ["crm.dnc_list", "identity.touch"]),
}
"""Tables and views of the second step."""


class UnifyOptions(dg.Config):
    """How this run behaves."""

    full: bool = Field(
        default=False, description="Read and judge everything again. The result is that of the runs before."
    )


def assets(url: Callable[[], str]) -> list[dg.AssetsDefinition]:
    """Return the two steps, on the warehouse at ``url()``."""

    @dg.multi_asset(name="resolve_identity", specs=_specs("identity", IDENTITY), can_subset=False)
    def resolve_identity(
        context: dg.AssetExecutionContext, config: UnifyOptions
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Decide who is who among what has changed."""
        from warehouse_pipelines.unified.identity import resolve

        with failures(context), session_of_step(url()) as session:
            summary = resolve.run(session, full=config.full)
            yield from _results(session, IDENTITY, summary)

    @dg.multi_asset(name="feed_crm", specs=_specs("crm", CRM), can_subset=False)
    def feed_crm(context: dg.AssetExecutionContext, config: UnifyOptions) -> Iterator[dg.MaterializeResult[Any]]:
        """Bring the people, their consent, costs and scores into the schema crm."""
        from warehouse_pipelines.unified import feed

        with failures(context), session_of_step(url()) as session:
            summary = feed.run(session, full=config.full)
            yield from _results(session, CRM, summary)

    return [resolve_identity, feed_crm]


def _specs(group: str, tables: Mapping[str, tuple[str, Iterable[str]]]) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            key_of(table),
            deps=[key_of(source) for source in made_of],
            group_name=group,
            description=about,
            kinds={"postgres", "view" if table.startswith("marts.") else "table"},
            owners=OWNERS,
            metadata={"dagster/table_name": table},
        ).with_io_manager_key(IO_MANAGER)
        for table, (about, made_of) in tables.items()
    ]


def _results(session: "Session", tables: Iterable[str], summary: Any) -> Iterator[dg.MaterializeResult[Any]]:
    facts = {name: value for name, value in dataclasses.asdict(summary).items() if value is not None}
    for table in tables:
        yield dg.MaterializeResult(key_of(table), metadata={**table_metadata(session, table), **facts})


def jobs() -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return the job of both steps and the marts, and a job for each step: what the command line runs."""
    marts = [mart.table for mart in MARTS]
    return [
        dg.define_asset_job(
            JOB,
            selection=_of_tables([*IDENTITY, *CRM, *marts]),
            description="Decide who is who, bring the people into the schema crm, then bring the marts up to date.",
        ),
        dg.define_asset_job(
            "resolve_identity_job",
            selection=_of_tables(IDENTITY),
            description="Decide who is who among what has changed.",
        ),
        dg.define_asset_job(
            "feed_crm_job",
            selection=_of_tables(CRM),
            description="Bring the people, their consent, costs and scores into the schema crm.",
        ),
    ]


def _of_tables(tables: Iterable[str]) -> dg.AssetSelection:
    """Select these alone: a code location that has others beside them may have others of the same group."""
    return dg.AssetSelection.assets(*map(key_of, tables))


def schedules(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule of the job, four times an hour, for the warehouse at ``url()``."""
    configured = any(not source.missing_settings() for source in sources)

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with told_plainly(), warehouse.session(url()) as session:
            written = warehouse.value(session, query("unify_written"))
            since = written and _read_since(context.instance, written, context.scheduled_execution_time)
        if since:
            return dg.SkipReason(f"nothing was written since the run of {since:%H:%M} UTC")
        return dg.RunRequest(tags={WRITTEN_TAG: written} if written else None)

    return [
        dg.ScheduleDefinition(
            name="unify_schedule",
            job_name=JOB,
            cron_schedule=CRON,
            execution_timezone="UTC",
            execution_fn=tick,
            default_status=dg.DefaultScheduleStatus.RUNNING if configured else dg.DefaultScheduleStatus.STOPPED,
            description="Who is who and the feed of crm, of what was synced since.",
        )
    ]


def _read_since(instance: dg.DagsterInstance, written: str, now: datetime) -> datetime | None:
    """Return when the last run was asked for, if it was in this hour, succeeded, and had read all that is written."""
    for record in instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=1):
        run, asked_at = record.dagster_run, record.create_timestamp.astimezone(UTC)
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if run.is_success and run.tags.get(WRITTEN_TAG) == written and asked_at >= hour:
            return asked_at
    return None
