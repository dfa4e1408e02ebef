"""The assets of the marts (group ``marts``), one for each row of ``unified.marts.rows``, with their checks.

Each mart is a step of its own, so one that fails stops what is built on it and nothing else; so does a check that is
``blocking``. The job ``unify`` runs them after ``crm``; ``refresh_marts_job`` is what ``warehouse marts`` runs.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.orchestration.asset_facts import key_of, table_metadata
from warehouse_pipelines.orchestration.assets import OWNERS
from warehouse_pipelines.orchestration.failures import failures, session_of_step
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER
from warehouse_pipelines.orchestration.unified import UnifyOptions
from warehouse_pipelines.unified.marts.mart import Check, Mart
from warehouse_pipelines.unified.marts.rows import MARTS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

GROUP = "marts"
JOB = "refresh_marts_job"
KEY_CHECK = "key_is_unique"

HAS_KEY = """
    SELECT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = %(table)s::regclass AND i.indisprimary AND i.indisvalid
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute AS a
                 WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = %(key)s)
    """


def step_name(mart: Mart) -> str:
    """Return what the step of a mart is called."""
    return f"mart_{mart.name}"


def assets(url: Callable[[], str]) -> list[dg.AssetsDefinition]:
    """Return an asset for each mart, in the warehouse at ``url()``."""
    return [_asset(mart, url) for mart in MARTS]


def _asset(mart: Mart, url: Callable[[], str]) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        key_of(mart.table),
        deps=[key_of(table) for table in mart.reads],
        group_name=GROUP,
        description=f"{mart.about}\n\nA row is: {mart.grain}",
        kinds={"postgres", "table"},
        owners=OWNERS,
        metadata={"dagster/table_name": mart.table},
    ).with_io_manager_key(IO_MANAGER)
    checks = [
        dg.AssetCheckSpec(KEY_CHECK, asset=spec.key, description="PostgreSQL keeps its key unique.", blocking=True),
        *(
            dg.AssetCheckSpec(check.name, asset=spec.key, description=check.about, blocking=check.blocking)
            for check in mart.checks
        ),
    ]

    @dg.multi_asset(name=step_name(mart), specs=[spec], check_specs=checks)
    def refreshed(
        context: dg.AssetExecutionContext, config: UnifyOptions
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        from warehouse_pipelines.unified import marts

        with failures(context), session_of_step(url()) as session:
            summary = marts.run_one(session, mart.name, full=config.full)
            facts = {**table_metadata(session, mart.table), **dataclasses.asdict(summary)}
            yield dg.MaterializeResult(spec.key, metadata=facts)
            yield _key_result(session, mart)
            for check in mart.checks:
                yield _result(session, mart, check)

    return refreshed


def _key_result(session: "Session", mart: Mart) -> dg.AssetCheckResult:
    has_key = warehouse.value(session, HAS_KEY, {"table": mart.table, "key": sorted(mart.keys)})
    return dg.AssetCheckResult(check_name=KEY_CHECK, passed=has_key, metadata={"key": ", ".join(mart.keys)})


def _result(session: "Session", mart: Mart, check: Check) -> dg.AssetCheckResult:
    from psycopg import sql

    from warehouse_pipelines.unified.marts.refresh import as_declared

    asked = sql.SQL(as_declared(check.faults, mart.reads))
    faults = warehouse.value(session, sql.SQL("SELECT count(*) FROM ({}) AS found").format(asked))
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        metadata={"faults": faults},
    )


def jobs() -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return the job of all marts."""
    return [
        dg.define_asset_job(
            JOB,
            selection=dg.AssetSelection.assets(*(key_of(mart.table) for mart in MARTS)),
            description="Bring the marts up to date with identity, crm and the sources.",
        )
    ]
