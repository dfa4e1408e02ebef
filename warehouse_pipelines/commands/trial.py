"""``warehouse try``: read some records of a CRM and say what a sync would make of them; nothing is written."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from warehouse_pipelines.commands.arguments import (
    Stop,
    complete_crms,
    complete_entities,
    entity_named,
    source_named,
    sources,
    warn_of_misspelt_settings,
)
from warehouse_pipelines.errors import CredentialRefused, WarehouseError
from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    from warehouse_pipelines.loading.trial import Trial
    from warehouse_pipelines.model.source import Source

LEVELS = ("MOCKED", "MINIMAL", "SAMPLE", "RECENT", "FULL")
PARTIAL = 3
NAMED = 12
"""Empty columns that are named."""


@click.command("try")
@click.argument("crm", shell_complete=complete_crms)
@click.argument("entity", required=False, shell_complete=complete_entities)
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="MINIMAL",
    show_default=True,
    help="MOCKED: of the simulated vendor; MINIMAL: 10 records; SAMPLE: 100; RECENT: seven days, at most 1,000; "
    "FULL: all.",
)
def try_(crm: str, entity: str | None, level: str) -> None:
    """Read some records of a CRM, or of one ENTITY of it, and say what a sync would make of them.

    Nothing is written to the warehouse, which need not be there; where it is, it says what is new or changed. Values of
    people are masked. Exit code 3 when some records would go to the dead letters, 1 when an entity could not be read.
    """
    source = source_named(crm)
    chosen = [entity_named(source, entity)] if entity else list(source.entities)
    warn_of_misspelt_settings()
    logging.getLogger("warehouse").setLevel(logging.CRITICAL)  # each bad value would be a line; they are counted below
    from warehouse_pipelines.loading.trial import Level, trial

    mocked = level == "MOCKED"
    failed = bad = 0
    with _simulated(source) if mocked else contextlib.nullcontext():
        url = None if mocked else _database_url()
        for one in chosen:
            try:
                found = trial(source, one, Level[level], url)
            except CredentialRefused as error:
                raise Stop(f"{crm}: {redaction.redacted(str(error))}") from error
            except WarehouseError as error:
                failed += 1
                click.echo(f"{one.name}: failed: {redaction.redacted(str(error))}")
                continue
            bad += found.rejects.total()
            for line in lines(found, sample=entity is not None):
                click.echo(line)
    click.echo("Nothing was written.", err=True)
    sys.exit(1 if failed else PARTIAL if bad else 0)


def lines(found: "Trial", *, sample: bool) -> list[str]:
    """Return what is said of one entity."""
    counts = [f"{found.read:,} read"]
    if found.new is not None:
        counts += [f"{found.new:,} new", f"{found.changed or 0:,} changed", f"{found.unchanged or 0:,} unchanged"]
    else:
        counts.append(f"{found.good:,} would be loaded")
    counts += [f"{found.rejects.total():,} bad"] if found.rejects else []
    counts += [f"{found.filtered:,} outside of the window"] if found.filtered else []
    said = [f"{found.entity.name}: {', '.join(counts)} ({found.calls} requests, {found.seconds:.1f} s)"]
    said += [f"  bad: {rule}, {count:,} records" for rule, count in found.rejects.most_common()]
    said += [f"  lost: {name}, {count:,} values" for name, count in found.lost.most_common()]
    warned = {name: count for name, count in found.warnings.most_common() if name.partition(":")[2] not in found.lost}
    said += [f"  {name.replace(':', ': ')}, {count:,} values" for name, count in warned.items()]
    if found.empty:
        more = f" and {len(found.empty) - NAMED} more" if len(found.empty) > NAMED else ""
        said.append(f"  empty in all of {len(found.entity.columns)} columns: {', '.join(found.empty[:NAMED])}{more}")
    said += [f"  {remark}" for remark in found.remarks]
    if sample:
        said += [f"  {' '.join(f'{name}={value}' for name, value in row.items() if value)}" for row in found.shown]
    return said


def _database_url() -> str | None:
    """Return the warehouse if there is one: none is started for this."""
    from warehouse_pipelines import settings
    from warehouse_pipelines.local import database, postgres

    if settings.settings().warehouse_database_url is None and not postgres.running(settings.state_folder()):
        return None
    return database.database_url()


@contextlib.contextmanager
def _simulated(source: "Source") -> Iterator[None]:
    """Let the settings name the simulated vendor, which runs in this process. Raises ``Stop`` where it cannot."""
    from warehouse_pipelines.simulators.registry import lacking
    from warehouse_pipelines.simulators.server import start

    if what := lacking([source.declared_name]).get(source.declared_name):
        raise Stop(f"{source.title} cannot be simulated on this machine, which lacks {what}.")
    before = dict(os.environ)
    with start([source.declared_name], contacts=200) as simulators:
        vendor, account = source.declared_name.upper(), source.name.upper()
        os.environ.update({name.replace(vendor, account, 1): value for name, value in simulators.environment().items()})
        try:
            sources()  # hides the simulator's secrets
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
