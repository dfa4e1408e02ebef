"""``warehouse accounts``: which accounts of CRMs there are beside the first of each, and how one is removed."""

import json
from typing import Any

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, Stop, sources, unknown
from warehouse_pipelines.commands.console import out

DELETED_WITH_ACCOUNT = (
    "DELETE FROM orchestration.dead_letter WHERE crm_source = %(account)s",
    "DELETE FROM orchestration.webhook_inbox WHERE source = %(account)s",
    "DELETE FROM orchestration.sync_schedule WHERE crm_source = %(account)s",
    "DELETE FROM orchestration.change_log WHERE starts_with(table_name, %(tables)s)",
    "DELETE FROM identity.source_trust WHERE starts_with(source_table, %(tables)s)",
    "DELETE FROM identity.read_position WHERE starts_with(source_table, %(tables)s)",
    "DELETE FROM crm.feed_position WHERE starts_with(source_table, %(tables)s)",
    "DELETE FROM orchestration.account WHERE source = %(account)s",
)
"""Rows deleted with the schema of an account; the history of its runs stays."""


@click.group()
def accounts() -> None:
    """List the accounts of CRMs that have several, and remove one; config/accounts.toml declares them."""


@accounts.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(form: str) -> None:
    """List all accounts of the CRMs that have several: their schema, what settings lack, when one was last read.

    Of an account that the warehouse has and config/accounts.toml does not declare, it says so.
    """
    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.schema.declared_accounts import known_accounts

    rows = _declared()
    with warehouse.session(database_url()) as session:
        read = session.execute(
            "SELECT crm_source, max(start_time) AS at FROM orchestration.good_run GROUP BY crm_source"
        ).fetchall()
        known = known_accounts(session)
    last = {row["crm_source"]: row["at"] for row in read}
    for name, crm in known.items():
        rows.setdefault(name, {"crm": crm, "schema": name, "declared": False, "missing": ""})
    listed = [
        {
            "account": name,
            **row,
            "tables": "made" if row["schema"] == "public" or name in known else "by `warehouse migrate`",
            "last_read_at": last.get(name),
        }
        for name, row in rows.items()
    ]
    if form == "json":
        click.echo(json.dumps(listed, default=str, indent=1))
        return
    if not listed:
        click.echo("Each CRM has one account. docs/accounts.md says how a second one is declared.")
        return
    from rich.table import Table

    shown = Table("account", "CRM", "schema", "tables", "settings", "last read (UTC)")
    for one in listed:
        at = one["last_read_at"]
        missing = f"missing: {one['missing']}" if one["missing"] else "there"
        settings = missing if one["declared"] else "not declared"
        when = f"{at:%Y-%m-%d %H:%M}" if at else "never"
        shown.add_row(one["account"], one["crm"], one["schema"], one["tables"], settings, when)
    out().print(shown)


def _declared() -> dict[str, dict[str, Any]]:
    """Return all accounts of the CRMs that have several, by the name of the source."""
    found = sources()
    several = {source.vendor for source in found.values() if source.account}
    return {
        source.name: {
            "crm": source.declared_name,
            "schema": source.name if source.account else source.entities[0].schema,
            "declared": True,
            "missing": ", ".join(source.missing_settings()),
        }
        for source in sorted(found.values(), key=lambda one: (one.declared_name, one.account))
        if source.declared_name in several
    }


@accounts.command()
@click.argument("account")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(account: str, yes: bool) -> None:
    """Delete the tables of ACCOUNT, such as hubspot_west, for good, once config/accounts.toml declares it no more.

    Views that somebody built upon them go too; the history of its runs stays. What only this account knew of people
    leaves identity, crm and marts by a full run of each, which this command names.
    """
    from psycopg import sql

    from warehouse_pipelines.local.database import database_url
    from warehouse_pipelines.schema.declared_accounts import known_accounts
    from warehouse_pipelines.schema.migrate import migrate

    if account in sources():
        raise Misused(f"{account} is declared in config/accounts.toml; take it out there first, and restart what runs.")
    url = database_url()
    with warehouse.session(url) as session:
        known = known_accounts(session)
        if account not in known:
            raise Misused(unknown("account of this warehouse", account, [*known]))
        running = session.execute(
            "SELECT count(*) AS n FROM orchestration.sync_history WHERE crm_source = %s AND status = 'running'",
            [account],
        ).fetchone()
        if running and running["n"]:
            raise Stop(f"{account} has {running['n']} unfinished run(s); stop them first.")
        if not yes:
            click.confirm(f"Delete all tables of {account} and its dead letters, for good?", abort=True)
        with session.transaction():
            session.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(account)))
            for statement in DELETED_WITH_ACCOUNT:
                session.execute(statement, {"account": account, "tables": f"{account}."})
    for line in migrate(url):
        click.echo(line)
    click.echo(
        f"{account} is removed. Now run `warehouse identity run --full`, `warehouse feed --full` and `warehouse marts "
        "--full`, so that nothing is left of its people, and take its settings out of the environment."
    )
