"""The assets of what is written back (group ``outbound``), one for each target, with what it is made of as its lineage.

A run plans; with ``apply`` it sends the plan, within the same limits as the command. Each target has a job and a
schedule, which applies and is off until somebody turns it on. The check fails when records were refused, had moved, or
do not hold any more: the run itself succeeds, since the others are written.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from warehouse_pipelines.orchestration.asset_facts import column_lineage, key_of
from warehouse_pipelines.orchestration.assets import OWNERS
from warehouse_pipelines.orchestration.failures import failures
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.outbound.targets import TARGETS

if TYPE_CHECKING:
    from warehouse_pipelines.outbound.ledger import Plan

GROUP = "outbound"
CHECK = "everything_was_written"
CRON = "40 6 * * *"
"""After the nightly syncs and scores."""
BY = "dagster"


class OutboundOptions(dg.Config):
    """How this run behaves."""

    apply: bool = Field(default=False, description="Send the plan. Without it nothing is written to the vendor.")
    force: bool = Field(default=False, description="Change more records than is allowed without.")
    allow_archive: int = Field(default=0, ge=0, description="Archive up to so many records at the vendor.")


def job_name(target: Target) -> str:
    """Return what the job of a target is called."""
    return f"outbound_{target.name}"


def step_name(target: Target) -> str:
    """Return what the step of a target is called: no job may have the name of a step."""
    return f"write_{target.name}"


def asset_key(target: Target) -> dg.AssetKey:
    """Return the key of a target's asset."""
    return dg.AssetKey([GROUP, target.name])


def assets(url: Callable[[], str]) -> list[dg.AssetsDefinition]:
    """Return an asset for each target, from the warehouse at ``url()``."""
    return [_asset(target, url) for target in TARGETS]


def _asset(target: Target, url: Callable[[], str]) -> dg.AssetsDefinition:
    objects = {field.link for field in target.links}
    linked = [other for other in TARGETS if other.crm == target.crm and other.object in objects]
    spec = dg.AssetSpec(
        asset_key(target),
        deps=[*map(key_of, target.reads), *map(asset_key, linked)],
        group_name=GROUP,
        description=f"{target.about}\n\nNothing is written without `apply`. See docs/outbound.md.",
        kinds={target.crm},
        owners=OWNERS,
        metadata={
            "dagster/column_schema": _fields(target),
            "dagster/column_lineage": column_lineage(
                {field.name: [field.origin] for field in target.fields if field.origin}
            ),
        },
    ).with_io_manager_key(IO_MANAGER)
    about = "Nothing was refused by the vendor, and nothing had changed there since it was planned."

    @dg.multi_asset(
        name=step_name(target), specs=[spec], check_specs=[dg.AssetCheckSpec(CHECK, asset=spec.key, description=about)]
    )
    def written(
        context: dg.AssetExecutionContext, config: OutboundOptions
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        from warehouse_pipelines.outbound.run import connected

        with failures(context), connected(url(), target) as at_work:
            plan = at_work.plan(BY)
            holds = 0
            if config.apply:
                plan = at_work.apply(plan, BY, force=config.force, allow_archive=config.allow_archive)
                verdicts = at_work.verify(plan)
                holds = sum(verdict.holds for verdict in verdicts)
            yield dg.MaterializeResult(spec.key, metadata=_facts(plan, holds))
            yield _result(plan, holds, applied=config.apply)

    return written


def _fields(target: Target) -> dg.TableSchema:
    return dg.TableSchema(
        [dg.TableColumn(field.name, type=field.kind, description=field.about) for field in target.fields]
    )


def _facts(plan: "Plan", holds: int) -> dict[str, Any]:
    return {
        "plan": plan.plan_id,
        "status": plan.status,
        "rows": plan.rows,
        "unchanged": plan.unchanged,
        "fields_kept": plan.kept,
        "holds": holds,
        **{f"to_{action}": number for action, number in plan.actions.items()},
        **plan.statuses,
    }


def _result(plan: "Plan", holds: int, *, applied: bool) -> dg.AssetCheckResult:
    bad = {one: plan.statuses.get(one, 0) for one in ("refused", "partial", "moved")}
    broken = plan.statuses.get("written", 0) - holds if applied else 0
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not any(bad.values()) and not broken,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**bad, "changed_since": broken},
    )


def jobs() -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return a job for each target."""
    return [
        dg.define_asset_job(
            job_name(target), selection=dg.AssetSelection.assets(asset_key(target)), description=target.about
        )
        for target in TARGETS
    ]


def schedules() -> list[dg.ScheduleDefinition]:
    """Return a schedule for each target, off by default: it writes to a vendor."""
    return [
        dg.ScheduleDefinition(
            name=f"{job_name(target)}_schedule",
            job_name=job_name(target),
            cron_schedule=CRON,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            run_config={"ops": {step_name(target): {"config": {"apply": True}}}},
            description=f"Plans and applies: {target.about}",
        )
        for target in TARGETS
    ]
