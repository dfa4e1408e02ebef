"""The schema ``accounts``: for each table of a CRM with several accounts a view of all of them together.

    SELECT account, count(*) FROM accounts.hubspot_contact GROUP BY account

``account`` is what the history calls it (``crm_source``): ``hubspot`` for the one without a name, ``hubspot_west``. The
other columns are those that the CRM's table declares; a column that the database keeps and nobody declares is not
among them. A condition, also on ``account``, is applied to each table before they are put together, so a lookup by key
is one by index in each.

The accounts of a warehouse are rows of ``orchestration.account``. Whoever reads or erases people of all accounts asks
``require_declared`` first: a program that was started without ``config/accounts.toml`` would leave an account out.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.accounts import accounts_file, tables_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema import masked_views

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SCHEMA = "accounts"

_KNOWN = "SELECT source FROM orchestration.account ORDER BY source"


def align(connection: sa.Connection, sources: Sequence[Source]) -> list[str]:
    """Write the rows of the accounts, and make the views; return a line for each change.

    Raises ``NotConfigured`` when the warehouse has an account that is not declared.
    """
    done = _register(connection, sources)
    wanted = {name: view for source in sources if not source.account for name, view in _views(source, sources).items()}
    there = _there(connection)
    if left := sorted(there.keys() - wanted.keys()):
        masked_views.drop(connection)
        _run(connection, f"DROP VIEW {', '.join(map(_named, left))}")
    changed = {name: view for name, view in wanted.items() if there.get(name) != _hash(view)}
    if there.keys() & changed.keys():
        masked_views.drop(connection)
    if changed:
        _run(connection, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for name, view in changed.items():
        _run(connection, f"DROP VIEW IF EXISTS {_named(name)}; CREATE VIEW {_named(name)} AS {view}")
        about = f"The rows of all accounts; the first column names the account. [{_hash(view)}]"
        _run(connection, f"COMMENT ON VIEW {_named(name)} IS {sql.quote(about)}")
    counts = ((len(changed), "made"), (len(left), "dropped"))
    said = [f"{count} {what}" for count, what in counts if count]
    return [*done, *([f"views of all accounts: {', '.join(said)}"] if said else [])]


def drop(connection: sa.Connection) -> None:
    """Drop the views; they would keep their tables from being changed."""
    if names := sorted(_there(connection)):
        _run(connection, f"DROP VIEW {', '.join(map(_named, names))}")


def require_declared(session: "Session") -> None:
    """Raise ``NotConfigured`` when the warehouse has an account that this program does not know."""
    from warehouse_pipelines.sources import SOURCES

    _require([row["source"] for row in session.execute(_KNOWN)], SOURCES)


def _require(known: Sequence[str], sources: Sequence[Source]) -> None:
    declared = {source.name for source in sources if source.account}
    if lacking := [name for name in known if name not in declared]:
        raise NotConfigured(
            f"This warehouse has the account{'s' * (len(lacking) > 1)} {', '.join(lacking)}, and {accounts_file()} does "
            "not declare it, so people of it would be left out. Declare it again and restart what runs; or delete its "
            f"tables for good with `warehouse accounts remove {lacking[0]}`."
        )


def _register(connection: sa.Connection, sources: Sequence[Source]) -> list[str]:
    known = list(connection.scalars(sa.text(_KNOWN)))
    _require(known, sources)
    new = [source for source in sources if source.account and source.name not in known]
    for source in new:
        connection.execute(
            sa.text("INSERT INTO orchestration.account (source, crm, name) VALUES (:source, :crm, :name)"),
            {"source": source.name, "crm": source.vendor, "name": source.account},
        )
    # What a table is believed of a person holds for each account as for the first, until somebody changes it.
    for source in new:
        own = {entity.table for entity in source.entities}
        tables = [(declared, table) for declared, table in source.tables.items() if table in own]
        connection.execute(
            sa.text(
                "INSERT INTO identity.source_trust (source_table, field, rank) SELECT :table, t.field, t.rank"
                " FROM identity.source_trust AS t WHERE t.source_table = :declared ON CONFLICT DO NOTHING"
            ),
            [{"table": table, "declared": declared} for declared, table in tables],
        )
    return [f"account {source.name}" for source in new]


def _views(source: Source, sources: Sequence[Source]) -> dict[str, str]:
    """Return the definitions of the views of a CRM by name, none where it has one account."""
    by_table = {entity.table: entity for one in sources for entity in one.entities}
    found = {}
    for entity in source.entities:
        tables = tables_of(entity.table, sources)
        if len(tables) < 2:
            continue
        names = sql.SQL(", ").join(map(sql.Identifier, entity.pg_types))
        parts = [
            sql.SQL("SELECT {}::text AS account, {} FROM {}").format(
                sql.Literal(account), names, sql.Identifier(by_table[table].schema, by_table[table].table_name)
            )
            for table, account in tables.items()
        ]
        found[entity.table_name] = sql.SQL(" UNION ALL ").join(parts).as_string()
    return found


def _hash(view: str) -> str:
    return hashlib.sha256(view.encode()).hexdigest()[:12]


def _there(connection: sa.Connection) -> dict[str, str | None]:
    """Return the views that we made, with the hash of their definition."""
    statement = """
        SELECT relname::text, substring(obj_description(oid, 'pg_class') FROM '\\[(\\w{12})\\]$')
        FROM pg_class WHERE relnamespace = to_regnamespace('accounts') AND relkind = 'v'
            AND obj_description(oid, 'pg_class') ~ '\\[\\w{12}\\]$'
        """
    return {row[0]: row[1] for row in connection.execute(sa.text(statement))}


def _named(name: str) -> str:
    return sql.Identifier(SCHEMA, name).as_string()


def _run(connection: sa.Connection, statements: str) -> None:
    # Without parameters, so that % means itself.
    connection.execution_options(no_parameters=True).exec_driver_sql(statements)
