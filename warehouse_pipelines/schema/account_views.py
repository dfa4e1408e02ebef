"""The schema ``accounts``: for each table of a CRM with several accounts a view of all of them together.

    SELECT account, count(*) FROM accounts.hubspot_contact GROUP BY account

``account`` is what the history calls it (``crm_source``): ``hubspot`` for the one without a name, ``hubspot_west``. The
other columns are those that the CRM's table declares; a column that the database keeps and nobody declares is not
among them. A condition, also on ``account``, is applied to each table before they are put together, so a lookup by key
is one by index in each.

The accounts of a warehouse are rows of ``orchestration.account``, which are written here (``declared_accounts``).
"""

import functools
import hashlib
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.model.accounts import tables_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema import declared_accounts, masked_views, remade_views, scripts

SCHEMA = "accounts"

_ACCOUNT = sql.quote("Whose account the row is of, as crm_source of orchestration.sync_history: hubspot, hubspot_west.")


def align(connection: sa.Connection, sources: Sequence[Source]) -> list[str]:
    """Write the rows of the accounts, and make the views; return a line for each change.

    Raises ``NotConfigured`` when the warehouse has an account that is not declared, or had one of a declared name.
    """
    done = _register(connection, sources)
    wanted = {name: view for source in sources if not source.account for name, view in _views(source, sources).items()}
    there = _there(connection)
    if left := sorted(there.keys() - wanted.keys()):
        masked_views.drop(connection)
        scripts.run(connection, f"DROP VIEW {', '.join(map(_identifier, left))}")
    changed = {name: view for name, view in wanted.items() if there.get(name) != _hash(view)}
    if changed:
        about = "For each table of a CRM with several accounts a view of all of them together."
        scripts.run(
            connection, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}; COMMENT ON SCHEMA {SCHEMA} IS {sql.quote(about)}"
        )
    for name, view in changed.items():
        remade_views.replace(
            connection, _identifier(name), view, make_way=functools.partial(masked_views.drop, connection)
        )
        about = f"The rows of all accounts; the first column names the account. [{_hash(view)}]"
        column = sql.Identifier(SCHEMA, name, "account").as_string()
        scripts.run(
            connection,
            f"COMMENT ON VIEW {_identifier(name)} IS {sql.quote(about)}; COMMENT ON COLUMN {column} IS {_ACCOUNT}",
        )
    counts = ((len(changed), "made"), (len(left), "dropped"))
    changes = [f"{count} {what}" for count, what in counts if count]
    return [*done, *([f"views of all accounts: {', '.join(changes)}"] if changes else [])]


def drop(connection: sa.Connection, only: Collection[str] | None = None) -> None:
    """Drop the views, or only these, which would keep their tables from being changed.

    Those that something is built upon stay.
    """
    names = [name for name in sorted(_there(connection)) if only is None or name in only]
    remade_views.drop(connection, [_identifier(name) for name in names])


def _register(connection: sa.Connection, sources: Sequence[Source]) -> list[str]:
    known = list(connection.scalars(sa.text(declared_accounts.KNOWN)))
    declared_accounts.require(known, sources)
    declared_accounts.require_new(list(connection.scalars(sa.text(declared_accounts.REMOVED))), sources)
    new = [source for source in sources if source.account and source.name not in known]
    for source in new:
        connection.execute(
            sa.text("INSERT INTO orchestration.account (source, crm, name) VALUES (:source, :crm, :name)"),
            {"source": source.name, "crm": source.vendor, "name": source.account},
        )
    for source in new:
        about = sql.quote(f"The tables of {source.title}, an account of its own; the schema accounts has all accounts.")
        scripts.run(connection, f"COMMENT ON SCHEMA {sql.Identifier(source.name).as_string()} IS {about}")
        own = {entity.table for entity in source.entities}
        tables = [(declared, table) for declared, table in source.tables.items() if table in own]
        # A new account inherits the trust in its CRM's tables; a person may change it.
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
                sql.Literal(account), names, by_table[table].identifier
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


def _identifier(name: str) -> str:
    return sql.Identifier(SCHEMA, name).as_string()
