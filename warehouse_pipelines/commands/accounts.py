"""``warehouse accounts``: which accounts of CRMs there are beside the first of each, how one is removed or emptied."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, Stop, sources, unknown
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.local.database import database_url

if TYPE_CHECKING:
    from psycopg import sql

    from warehouse_pipelines.model.source import Source
    from warehouse_pipelines.warehouse import Session


DELETED_WITH_ACCOUNT = (
    "DELETE FROM orchestration.dead_letter WHERE crm_source = %(account)s",
    "DELETE FROM orchestration.sync_schedule WHERE crm_source = %(account)s",
    "DELETE FROM orchestration.change_log WHERE starts_with(table_name, %(tables)s)",
    "DELETE FROM identity.source_trust WHERE starts_with(source_table, %(tables)s)",
    "DELETE FROM identity.read_position WHERE starts_with(source_table, %(tables)s)",
    "DELETE FROM crm.feed_position WHERE starts_with(source_table, %(tables)s)",
    "UPDATE orchestration.account SET removed_at = now() WHERE source = %(account)s",
    "SET LOCAL ROLE crm_definer",
    "DELETE FROM crm.consent_fact WHERE starts_with(source_table, %(tables)s)",
    "RESET ROLE",
    # Last, because a server that was not restarted takes deliveries meanwhile.
    "DELETE FROM orchestration.webhook_inbox WHERE source = %(account)s",
)
"""Done with the schema of an account, in order; the history of its runs and its name stay.

Who opted out remains so: ``crm.dnc_list`` keeps the numbers. What the account's records permitted is permitted no more;
what they took back stays in ``leads.consent``. Its leads stay, as those of any record that a source lost: they are what
the business did with people, may be known by another account soon, and are emptied by erasing a person alone.
"""

DELETED_WHEN_EMPTIED = (
    "DELETE FROM orchestration.dead_letter WHERE crm_source = %(account)s",
    "DELETE FROM orchestration.webhook_inbox WHERE source = %(account)s",
    "DELETE FROM orchestration.change_log WHERE table_name = ANY (%(tables)s)",
    "DELETE FROM reverse_etl.receipt WHERE target = ANY (%(targets)s)",
    "DELETE FROM reverse_etl.plan WHERE target = ANY (%(targets)s)",
    "DELETE FROM identity.decision WHERE a_table = ANY (%(tables)s) OR b_table = ANY (%(tables)s)",
    "DELETE FROM identity.erasure_proposal WHERE source_table = ANY (%(tables)s)",
    "DELETE FROM identity.tombstone WHERE kind = 'record' AND source_table = ANY (%(tables)s)",
    "SET LOCAL ROLE crm_definer",
    "DELETE FROM crm.consent_fact WHERE source_table = ANY (%(tables)s)",
    "RESET ROLE",
)
"""Done with the rows of an account that is emptied, in order: what is kept of its records by table and key.

Who opted out remains so by number, and who was erased by address and number.
"""

READ_ANEW = (
    "INSERT INTO orchestration.account (source, crm, name, created_at, account_since)"
    " VALUES (%(account)s, %(crm)s, %(name)s, clock_timestamp(), NULL)"
    " ON CONFLICT (source) DO UPDATE SET created_at = clock_timestamp()"
)
"""Done with the rows: whoever syncs from then on reads everything, of the former account as long as that is known."""

FORGOTTEN_WHEN_EMPTIED = (
    "DELETE FROM identity.former_member WHERE source_table = ANY (%(tables)s)",
    "UPDATE orchestration.account SET (created_at, account_since) = (SELECT t, t FROM clock_timestamp() AS t)"
    " WHERE source = %(account)s",
)
"""Done once identity and the feed know the rows no more. From then on another account may be loaded."""

PATIENCE = 10.0
"""Seconds that a removal waits for who uses the tables."""

LOCKED_WITHIN = "800ms"
"""How long all tables may take to be locked. Below ``deadlock_timeout``, so that whoever waits for one of them, and
reads another that is waited for here, is never the victim of the deadlock: this gives way, and tries again."""

AUTOVACUUM_WITHIN = "2s"
"""How long one table is waited for that an autovacuum works on. Above ``deadlock_timeout``, after which PostgreSQL ends
the autovacuum for who waits."""

NOTHING = "Nothing was removed."


@click.group()
def accounts() -> None:
    """List the accounts of CRMs that have several, remove or empty one; config/accounts.toml declares them."""


@accounts.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(form: str) -> None:
    """List all accounts of the CRMs that have several: their schema, what settings lack, when one was last read.

    Of an account that the warehouse has and config/accounts.toml does not declare, it says so.
    """
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
    out().print(shown, markup=False)


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
@click.argument("given", metavar="ACCOUNT...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(given: tuple[str, ...], yes: bool) -> None:
    """Delete the tables of each ACCOUNT, such as hubspot_west, for good, once config/accounts.toml declares it no more.

    All that it does not declare are removed at once. Views that somebody built upon them go too; the history of their
    runs stays, and their names cannot be used again. Consents that only they told of permit nothing from then on. By a
    full run of each, which this command names, what only they knew of people leaves identity and marts, and leads of
    whom nobody else knows are deleted softly: these keep name, number and log until `warehouse erase` empties one.
    """
    from warehouse_pipelines.schema.migrate import migrate

    names = sorted(set(given))
    if declared := [name for name in names if name in sources()]:
        raise Misused(
            f"{', '.join(declared)}: declared in config/accounts.toml; take it out there first, and restart what runs."
        )
    url = database_url()
    with warehouse.session(url) as session:
        _require_removable(session, names)
        _require_ended(session, names, NOTHING)
        listed = ", ".join(names)
        if not yes:
            click.confirm(f"Delete all tables of {listed} and the dead letters, for good?", abort=True)
        _delete(session, names)
    click.echo(
        f"Removed: {listed}. Now run `warehouse identity run --full`, `warehouse feed --full` and `warehouse marts "
        "--full`, so that identity and marts know these people no more and their leads count as deleted. Such a lead "
        "keeps name, number and log until `warehouse erase` empties it. Take the settings out of the environment."
    )
    for line in migrate(url):
        click.echo(line)


@accounts.command()
@click.argument("name", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask.")
def empty(name: str, yes: bool) -> None:
    """Delete all that was loaded of ACCOUNT, such as hubspot or hubspot_west, so that another one can be loaded.

    This is for tables that were loaded with a wrong credential. It deletes their rows for good, and all that is kept of
    these records by their keys: what they said of consent, what was decided of them, what was written back. Then it
    resolves all people and feeds all leads again. Numbers on the do-not-call list stay there. Switch the schedules of
    the account off before. If it is interrupted, repeat it.
    """
    from psycopg import sql

    from warehouse_pipelines.outbound.targets import TARGETS
    from warehouse_pipelines.schema.declared_accounts import require_declared
    from warehouse_pipelines.unified import feed
    from warehouse_pipelines.unified.erasing.erasure import RUNS
    from warehouse_pipelines.unified.identity import resolve

    source = sources().get(name)
    able = [one.name for one in sources().values() if one.account or one.check_in]
    if source is None or name not in able:
        raise Misused(unknown("account that can be emptied", name, able))
    values = {
        "account": name,
        "crm": source.declared_name,
        "name": source.account,
        "tables": [entity.table for entity in source.entities],
        "targets": [target.name for target in TARGETS if target.crm == name],
    }
    half = f"The rows of {name} are removed, and it is not emptied yet: repeat `warehouse accounts empty {name}`."
    url = database_url()
    _require_migrated(url)
    with warehouse.session(url) as session, ExitStack() as targets:
        require_declared(session)
        _require_ended(session, [name], NOTHING)
        for target in values["targets"]:
            if not targets.enter_context(warehouse.try_lock(session, f"warehouse:outbound:{target}")):
                raise Stop(f"A run writes to {target}; stop it first. {NOTHING}")
        if not yes:
            click.confirm(f"Delete all rows of {name} and what is known of their people, for good?", abort=True)
        with _told(NOTHING), _patient(session), session.transaction():
            for run in RUNS:  # which read several of the tables in one transaction
                session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [run])
            _lock(session, _tables(source), "ACCESS EXCLUSIVE")
            session.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(_tables(source))))
            _require_ended(session, [name], NOTHING)
            _take_consents(session, values)
            for statement in DELETED_WHEN_EMPTIED:
                session.execute(statement, values)
            _require_none_begins(session, source, NOTHING)
            session.execute(READ_ANEW, values)
        with _told(half):
            resolve.run(session, full=True)
            feed.run(session, full=True)
            with _patient(session), session.transaction():
                _lock(session, _tables(source), "SHARE")
                _require_ended(session, [name], half)
                _require_empty(session, source)
                _require_none_begins(session, source, half)
                for statement in FORGOTTEN_WHEN_EMPTIED:
                    session.execute(statement, values)
    click.echo(
        f"Emptied: {name}. Set the right credential and run `warehouse sync {name} all`, then `warehouse identity "
        "run`, `warehouse feed` and `warehouse marts --full`."
    )


def _tables(source: "Source") -> "list[sql.Identifier]":

    return [entity.identifier for entity in source.entities]


def _lock(session: "Session", tables: "Sequence[sql.Identifier]", mode: LiteralString) -> None:
    """Lock all tables, tried until none is missing after ``LOCKED_WITHIN``; others, and autovacuums, end in between.

    Raises ``LockNotAvailable`` after ``PATIENCE``.
    """
    from psycopg import errors

    until = time.monotonic() + PATIENCE
    while tables:
        try:
            with session.transaction():  # a savepoint: locks of a try that fails go with it
                _try_lock(session, tables, mode, LOCKED_WITHIN)
            return
        except (errors.QueryCanceled, errors.LockNotAvailable) as error:
            if time.monotonic() > until:
                raise errors.LockNotAvailable(str(error)) from error
        time.sleep(0.2)
        for table in tables:
            if time.monotonic() < until:
                _wait_for_autovacuum(session, table)


def _wait_for_autovacuum(session: "Session", table: "sql.Identifier") -> None:
    """Wait until no autovacuum works on a table, which is ended for it.

    The lock holds up nobody who reads or writes the table. It is given back before another is asked for, so nobody
    who waits for it can be waited for.
    """
    from psycopg import errors

    with suppress(errors.QueryCanceled, errors.LockNotAvailable), session.transaction(force_rollback=True):
        _try_lock(session, [table], "SHARE UPDATE EXCLUSIVE", AUTOVACUUM_WITHIN)


def _try_lock(session: "Session", tables: "Sequence[sql.Identifier]", mode: LiteralString, within: str) -> None:
    from psycopg import sql

    session.execute("SELECT set_config('statement_timeout', %s, true)", [within])
    session.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(sql.SQL(", ").join(tables), sql.SQL(mode)))
    session.execute("SET LOCAL statement_timeout = 0")


def _require_migrated(url: str) -> None:
    """Refuse a database that this program would not come to the end with. Raises ``WrongUse`` for a newer one."""
    from warehouse_pipelines.schema.migrate import engine, pending

    with engine(url).connect() as connection:
        if pending(connection):
            raise Stop(f"The database is not migrated; run `warehouse migrate`. {NOTHING}")


def _require_none_begins(session: "Session", source: "Source", left: str) -> None:
    """Let no run of the source begin until the transaction ends; refuse where one has, and may have read its cursor.

    To be called right before the end: a run takes a lock from who holds it for long.
    """
    from warehouse_pipelines.loading import entity_lock

    begun = session.execute(
        "SELECT FROM unnest(%s::text[]) AS k WHERE NOT pg_try_advisory_xact_lock(hashtextextended(k, 0))",
        [[entity_lock.key(source.name, entity.name) for entity in source.entities]],
    ).fetchall()
    if begun:
        raise Stop(f"Runs are not ended: {len(begun)} of {source.name}; stop them first. {left}")


def _require_empty(session: "Session", source: "Source") -> None:
    """Refuse to take tables for empty that a run has loaded meanwhile: its rows are of the account of before."""
    from psycopg import sql

    for entity in source.entities:
        if session.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(entity.identifier)).fetchone() is not None:
            raise Stop(
                f"A run loaded {entity.table} meanwhile. Switch its schedules off, `warehouse schedule off "
                f"{source.name}`, and repeat."
            )


def _require_removable(session: "Session", names: list[str]) -> None:
    """Refuse a name that is no account, and to leave another one undeclared, with which nothing can be migrated."""
    from warehouse_pipelines.schema.declared_accounts import known_accounts

    known = known_accounts(session)
    for name in names:
        if name not in known:
            raise Misused(unknown("account of this warehouse", name, [*known]))
    if left := known.keys() - sources().keys() - set(names):
        raise Misused(
            f"config/accounts.toml does not declare {', '.join(sorted(left))} either. Declare what stays, or remove "
            f"all at once: `warehouse accounts remove {' '.join(sorted(left | set(names)))}`."
        )


def _require_ended(session: "Session", names: list[str], left: str) -> None:
    """Refuse while runs of these accounts are under way; ``left`` says what was removed so far."""
    running = session.execute(
        "SELECT crm_source, count(*) AS n FROM orchestration.sync_history"
        " WHERE crm_source = ANY(%s) AND status = 'running' GROUP BY 1 ORDER BY 1",
        [names],
    ).fetchall()
    if running:
        counts = ", ".join(f"{row['n']} of {row['crm_source']}" for row in running)
        raise Stop(f"Runs are not ended: {counts}; stop them first. {left}")


def _delete(session: "Session", names: list[str]) -> None:
    """Delete all, or nothing where a run begins meanwhile: its tables are locked when runs are asked for again."""
    from psycopg import sql

    with _told(NOTHING), _patient(session), session.transaction():
        found = session.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY (%s) ORDER BY 1, 2", [names]
        ).fetchall()
        _lock(session, [sql.Identifier(row["schemaname"], row["tablename"]) for row in found], "ACCESS EXCLUSIVE")
        for name in names:
            session.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
        _require_ended(session, names, NOTHING)
        for name in names:
            _take_consents(session, {"account": name, "tables": []})
        for statement in DELETED_WITH_ACCOUNT:
            for name in names:
                session.execute(statement, {"account": name, "tables": f"{name}."})


def _take_consents(session: "Session", values: Mapping[str, Any]) -> None:
    """Take what records of an account, or of these tables, permitted out of all leads; what was taken back stays."""
    from warehouse_pipelines.queries import query
    from warehouse_pipelines.unified.acting import as_role

    session.execute("SELECT set_config('app.triggered_by', 'import', true)")
    with as_role(session, "crm_definer"):
        for statement in (query("account_consent"), query("account_consent_lent")):
            session.execute(statement, values)


@contextmanager
def _patient(session: "Session") -> Iterator[None]:
    """Wait for locks for so long and no longer."""
    session.execute("SELECT set_config('lock_timeout', %s, false)", [f"{PATIENCE * 1000:.0f}ms"])
    try:
        yield
    finally:
        session.execute("RESET lock_timeout")


@contextmanager
def _told(left: str) -> Iterator[None]:
    """Raise ``Stop`` for what others, or the session's user, keep from being done; ``left`` says what was so far."""
    from psycopg import errors

    try:
        yield
    except errors.LockNotAvailable as error:
        raise Stop(f"The tables are in use, for longer than {PATIENCE:g} s; end what uses them. {left}") from error
    except errors.DeadlockDetected as error:
        raise Stop(f"The tables are in use by who waits for this; try again. {left}") from error
    except errors.InsufficientPrivilege as error:
        raise Stop(f"{str(error).splitlines()[0]}; this needs the user who migrates. {left}") from error
    except (errors.UndefinedColumn, errors.UndefinedTable) as error:
        raise Stop(f"{str(error).splitlines()[0]}; run `warehouse migrate`. {left}") from error
