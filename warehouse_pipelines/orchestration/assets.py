"""From rows to assets: one asset per entity, and the resource ``sync`` that holds the options of a run.

An asset's body yields a dlt resource that nobody has read yet; ``io_manager`` reads it before the body goes on.
What follows then are the entity's checks: in the same step, because a step of its own would cost more than they do.
A run may also select the checks alone.

No asset is partitioned, so that to materialize one is a delta by cursor and asks for nothing. Partitions belong to the
jobs ``backfill_<crm>_<entity>`` (``backfills``).

dlt and pyarrow are imported when an asset runs: definitions would otherwise take twice as long to load.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.model import describe
from warehouse_pipelines.model.column_texts import text
from warehouse_pipelines.model.entity import Entity, target
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of, vendor_key
from warehouse_pipelines.orchestration.checks import at_once, judge_at_once, specs
from warehouse_pipelines.orchestration.failures import failures
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER

OWNERS = ["team:data-platform"]

VENDORS = "vendors"
"""The group of the external assets."""


class SyncOptions(dg.ConfigurableResource[Any]):
    """How this run behaves; the defaults are a delta run. Wrong values fail the step with one clear message.

    No default is null: the Launchpad's scaffold leaves such fields out.
    """

    full: bool = Field(
        default=False, description="Read everything again; rows that the vendor no longer has are marked deleted."
    )
    force: bool = Field(default=False, description="Replace values even where the warehouse has newer ones.")
    dry_run: bool = Field(default=False, description="Read, check and count; write nothing but the history row.")
    skip_validation: bool = Field(default=False, description="Skip business rules and shapes; never keys or types.")
    debug: bool = Field(default=False, description="Log at DEBUG.")
    batch_size: int | None = Field(
        default=0, description="Records per request, 1 to 10000; 0 is the source's own page, as large as it allows."
    )
    max_records: int = Field(default=0, description="Stop after so many records; 0 is no limit.")
    start_date: str | None = Field(
        default="", description="Read what changed since this day, YYYY-MM-DD, UTC; empty goes by the cursor."
    )
    end_date: str | None = Field(
        default="",
        description="Read from start_date to this day, YYYY-MM-DD, which is included: a backfill, which leaves the "
        "watermark alone.",
    )
    vendor: dict[str, Any] = Field(
        default={},
        description="The flags of one vendor alone, by name, such as {booking_status: CONFIRMED}; "
        "`warehouse sync arrivy --help` lists those of Arrivy.",
    )

    def options(self) -> Options:
        """Return the options; raise ``dg.Failure`` for a value that cannot be used."""
        try:
            return Options(
                full=self.full,
                force=self.force,
                dry_run=self.dry_run,
                skip_validation=self.skip_validation,
                debug=self.debug,
                batch_size=self.batch_size or None,
                max_records=self.max_records,
                start_date=_day("start_date", self.start_date),
                end_date=_day("end_date", self.end_date),
                vendor=self.vendor,
            )
        except ValueError as error:
            raise dg.Failure(f"resources.sync.config: {error}", allow_retries=False) from error


def _day(name: str, given: str | None) -> date | None:
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{name} is {given!r}; it must be a day written YYYY-MM-DD, such as 2025-01-31") from None


def assets(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return one asset per entity of ``sources``, with the checks that follow each sync, and one per vendor."""
    by_table = {entity.table: entity for source in sources for entity in source.entities}
    made = [asset(source, entity, by_table, url) for source in sources for entity in source.entities]
    return [*made, *map(vendor, sources)]


def vendor(source: Source) -> dg.AssetSpec:
    """Return the external asset that stands for a vendor's system: what its entities are read from.

    All vendors are in a group of their own: Dagster counts an external asset as missing on the tile of its group.
    """
    names = ", ".join(f"`{name}`" for name in source.required_settings)
    return dg.AssetSpec(
        vendor_key(source),
        group_name=VENDORS,
        kinds={source.declared_name, source.transport},
        description=(
            f"{source.title} itself, read by {source.transport}: {len(source.entities)} entities. "
            f"Settings: {names or 'none'}. Nothing of it is written here; `warehouse check {source.name}` asks whether "
            "it answers."
        ),
    )


def asset(
    source: Source, entity: Entity, by_table: Mapping[str, Entity], url: Callable[[], str]
) -> dg.AssetsDefinition:
    """Return the asset of one entity. ``by_table`` finds its parent, ``url`` the warehouse for its checks.

    Raises ``ValueError`` for a parent that is no table.
    """
    if entity.parent and entity.parent not in by_table:
        raise ValueError(f"{entity.table}: its parent {entity.parent!r} is not the table of any entity")
    name = step_key(entity)
    out = dg.AssetOut(
        key=key_of(entity.table),
        is_required=False,
        group_name=source.name,
        kinds={"dlt", "postgres", source.declared_name},
        owners=OWNERS,
        description=description(source, entity),
        tags={"warehouse/sync_type": entity.name, "warehouse/transport": source.transport},
        metadata={
            "dagster/table_name": f"{entity.schema}.{entity.table_name}",
            "dagster/column_schema": column_schema(entity),
            **references(entity, by_table),
        },
        freshness_policy=freshness(entity),
        code_version=code_version(entity),
        io_manager_key=IO_MANAGER,
    )

    @dg.multi_asset(
        name=name,
        outs={name: out},
        check_specs=specs(at_once(entity)),
        can_subset=True,
        deps=[vendor_key(source), *([key_of(by_table[entity.parent].table)] if entity.parent else [])],
        pool=source.pool_name,
    )
    def sync(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        if context.selected_asset_keys:
            from warehouse_pipelines.loading.dlt_source import dlt_resource

            with failures(context):
                unread = dlt_resource(source, entity)
            yield dg.Output(unread, name)
        yield from judge_at_once(source, entity, url(), {key.name for key in context.selected_asset_check_keys})

    return sync


def step_key(entity: Entity) -> str:
    """Return the name of the entity's step in a run."""
    return entity.table.replace(".", "__")


def freshness(entity: Entity) -> dg.FreshnessPolicy:
    """Return the age rule of ``health`` for the UI: its longest gap, at least two hours; a warning before that."""
    fail = max(timedelta(hours=2), entity.cadence.longest_gap)
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=0.75 * fail)


def description(source: Source, entity: Entity) -> str:
    """Return the catalogue's text: the sentence of the row, and the facts that decide how it is read."""
    facts = [
        f"One row per `{', '.join(entity.keys)}` in `{entity.schema}.{entity.table_name}`, from {source.title} "
        f"(`{entity.path}`), {describe.cadence(entity)}.",
        f"A run reads {describe.reading(entity)}.",
        f"Deleted: {describe.deletes(entity)}." if describe.deletes(entity) else "",
    ]
    if entity.cadence.backfill_since:
        facts.append(
            f"Days are read again by the job `backfill_{source.name}_{entity.name}`, which has a partition a month and "
            "leaves the watermark alone."
        )
    facts += [describe.sentence(fact) for fact in (describe.retention(entity), describe.parent(entity)) if fact]
    return "\n\n".join([entity.about, " ".join(filter(None, facts))])


def references(entity: Entity, by_table: Mapping[str, Entity]) -> dict[str, dg.MetadataValue[Any]]:
    """Return what the columns refer to, as links to the assets.

    No edge of the lineage: nothing flows from there, and neither waits for the other. Whether it is found is the
    check ``references``.
    """
    return {
        f"refers to, by {column}": dg.MetadataValue.asset(key_of(target(ref, by_table)[0].table))
        for column, ref in entity.refs.items()
    }


def column_schema(entity: Entity) -> dg.TableSchema:
    """Return the table's columns for the UI."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=spelled.partition(" ")[0],
                description=text(entity, name),
                constraints=dg.TableColumnConstraints(
                    nullable="NOT NULL" not in spelled, unique=entity.keys == (name,)
                ),
            )
            for name, spelled in entity.pg_types.items()
        ]
    )


def code_version(entity: Entity) -> str:
    """Return a hash of what decides the content of a row, so that the UI can tell that a declaration has changed."""
    deletes = entity.deletes
    declared = {
        "types": dict(entity.pg_types),
        "columns": {name: tuple(column) for name, column in entity.columns.items()},
        "key": entity.key,
        "cursor": entity.cursor,
        # Spelt as in the hashes that Dagster has stored: another spelling marks every asset as changed.
        "deletes": ["window" if deletes.by_window else "everything", deletes.flag, deletes.time, deletes.merged_keys],
        "custom": entity.custom,
        "rules": [(rule.name, rule.column, rule.severity) for rule in entity.rules],
        "severity": dict(entity.severity),
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:12]
