"""``warehouse check`` and ``warehouse discover``: ask the vendors what they have, and write nothing to the warehouse.

``commands.portal`` asks, ``commands.discover`` makes the proposal for ``config/columns.toml``.
"""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import (
    WRONG_USE,
    complete_crms,
    entity_named,
    source_named,
    sources,
    warn_of_misspelt_settings,
)
from warehouse_pipelines.errors import CredentialRefused, NotConfigured, TryAgain, WarehouseError
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    from warehouse_pipelines.model.source import Source

MANY = 10
"""Sentences about one schema."""


@click.command()
@click.argument("crm", required=False, shell_complete=complete_crms)
def check(crm: str | None) -> None:
    """Ask whether the settings are there, whether the database and the vendors answer, and for every entity.

    Names the entities whose sync would fail, and the columns that would be null; exit code 1 when one would fail.

    Without CRM all of them are asked; one of which no setting of its own is there counts as not used, one of which some
    are there as forgotten, and so does an account that config/accounts.toml names.
    """
    chosen = [source_named(crm)] if crm else list(sources().values())
    warn_of_misspelt_settings()
    absent = {source.name: source.wrong_settings() for source in chosen}
    codes = [_check_database()]
    migrated = codes == [0]
    if codes == [0] and (crm is None or crm == "pipedesk"):
        codes.append(_check_pipedesk(asked=crm is not None))
    for source in chosen:
        if wrong := absent[source.name]:
            # Of a setting that vendors share nobody knows for which it is meant, but one that cannot be used is wrong.
            forgotten = crm is not None or source.account or source.has_own_settings() or any(wrong.values())
            click.echo(f"{source.name}: {source.settings_problem()}")
            codes.append(WRONG_USE if forgotten else 0)
            continue
        try:
            source.require_settings()
        except NotConfigured as error:
            click.echo(f"{source.name}: {redaction.redacted(str(error))}")
            codes.append(WRONG_USE)
            continue
        codes.append(_check_source(source, migrated=migrated))
    if all(absent.values()):
        codes.append(WRONG_USE)
    sys.exit(next((code for code in (WRONG_USE, 1) if code in codes), 0))


def _check_source(source: "Source", *, migrated: bool) -> int:
    """Ask one CRM, and for each of its entities what a sync of it would ask for; return the exit code."""
    from warehouse_pipelines.commands import portal

    try:
        message = source.check()
        if migrated:
            _check_account(source)
        if source.mirrored:
            from warehouse_pipelines.loading.mirroring import check_mirroring

            check_mirroring(database_url(), source)
    except (CredentialRefused, TryAgain) as error:
        click.echo(f"{source.name}: {redaction.redacted(str(error))}")
        return 1
    except WarehouseError as error:
        click.echo(f"{source.name}: {redaction.redacted(str(error))}")
        message = ""
    try:
        found = portal.check(source)
    except WarehouseError as error:
        click.echo(f"{source.name}: {redaction.redacted(str(error))}")
        return 1
    click.echo(f"{source.name}: {'; '.join(filter(None, (redaction.redacted(message), found.lines[0])))}")
    for line in found.lines[1:]:
        click.echo(f"  {line}")
    return 0 if message and not found.failing else 1


def _check_account(source: "Source") -> None:
    """Ask whose the credential is. Raises ``WrongAccount`` where a sync would be refused for it."""
    from warehouse_pipelines.loading import vendor_account
    from warehouse_pipelines.model.reading import ReadContext

    with warehouse.session(database_url()) as session:
        vendor_account.require(source, vendor_account.known(session, source), ReadContext())


@click.command()
@click.argument("crm")
@click.argument("entity", required=False)
@click.option("--sample", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Records to look at.")
@click.option(
    "--least",
    type=click.FloatRange(0, 100),
    default=10,
    show_default=True,
    help="Percent of the records that must have a value, or the column is proposed as a comment.",
)
@click.option("--write", is_flag=True, help="Add the proposal to config/columns.toml, without what is a comment.")
def discover(crm: str, entity: str | None, sample: int, least: float, write: bool) -> None:
    """Propose columns for what a CRM has and no column reads: a piece of config/columns.toml.

    Each line has the type and how many records of the sample have a value. No value is printed.
    """
    source = source_named(crm)
    if entity:
        entity_named(source, entity)
    source.require_settings()
    from warehouse_pipelines.commands import discover as program
    from warehouse_pipelines.model import column_config
    from warehouse_pipelines.sources import DECLARED

    proposals = list(program.discover(source, records=sample, only=entity))
    # Columns are the CRM's: an account has those of all its accounts.
    source = replace(source, name=source.declared_name, vendor="", account="")
    if not write:
        click.echo(program.toml(source, proposals, least=least))
    else:
        added = program.write(source, proposals, DECLARED, least=least)
        click.echo(
            f"{added} columns added to {column_config.columns_file()}; `warehouse migrate --dry-run` says what follows."
        )
    for one in proposals:
        if one.problem:
            click.echo(f"{crm} {one.entity.name} could not be asked: {one.problem}", err=True)
    sys.exit(1 if any(one.problem for one in proposals) else 0)


def _check_pipedesk(*, asked: bool) -> int:
    """Say what the schema ``pipedesk`` lacks of what migrations make; return the exit code."""
    if asked:
        from warehouse_pipelines.schema.verify import verify

        found = verify(database_url(), ("pipedesk",))
    else:  # without what takes longer to import than all vendors to answer
        from warehouse_pipelines.queries import query

        with warehouse.session(database_url()) as session:
            found = [row["sentence"] for row in session.execute(query("pipedesk_lacking"))]
    for sentence in found[:MANY]:
        click.echo(f"schema pipedesk: {sentence}")
    if found[MANY:]:
        click.echo(f"schema pipedesk: {len(found) - MANY} more; see `warehouse db verify`")
    if asked and not found:
        click.echo("schema pipedesk: as migrations make it")
    return 1 if found else 0


def _check_database() -> int:
    try:
        with warehouse.session(database_url()) as session:
            version = session.info.server_version // 10_000
            is_migrated = warehouse.has_table(session, "orchestration.sync_history")
    except WarehouseError as error:
        click.echo(f"database: does not answer: {redaction.redacted(str(error).splitlines()[0])}")
        return 1
    if version < 15:
        click.echo(f"database: PostgreSQL {version}; at least 15 is needed")
        return 1
    if not is_migrated:
        click.echo(f"database: PostgreSQL {version}, not migrated; run `warehouse migrate`")
        return 1
    click.echo(f"database: PostgreSQL {version}, migrated")
    return 0
