"""What a test does to the simulated PipeDesk behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.pipedesk.database import PipeDeskDatabase, column_list, key_condition, key_of


class PipeDeskOperations(PipeDeskDatabase):
    @operation
    def keys(self, table: str) -> list[list[str]]:
        listed = column_list(key_of(table))
        found = self.run(sql.SQL("SELECT {0} FROM {1} ORDER BY {0}").format(listed, sql.Identifier(table)))
        return [[str(value) for value in row.values()] for row in found]

    @operation
    def count(self, table: str) -> int:
        (row,) = self.run(sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table)))
        return int(row["n"])

    @operation
    def edit(self, table: str, key: Iterable[Any], touch: bool = True, **changes: Any) -> None:
        """Change a row. Without `touch` as raw SQL would: `updated_at` stays as it is, but for deals."""
        if touch and "updated_at" in self.types(table):
            changes.setdefault("updated_at", datetime.now(UTC))
        self.run(_update(table, changes), *changes.values(), *key)

    @operation
    def create(self, table: str, **values: Any) -> list[str]:
        """Add a row like the last one, under another key; returns that."""
        names = key_of(table)
        row = self._row(table, self.keys(table)[-1])
        row[names[0]] = row[names[0]] + 1 if isinstance(row[names[0]], int) else str(uuid.uuid4())
        for name in {"name", "code", "folder_id"} & row.keys():
            row[name] = f"{row[name]} {next(self._serial)}"
        for name in {"created_at", "updated_at", "added_at"} & row.keys():
            row[name] = datetime.now(UTC)
        row |= values
        self._insert(table, row)
        return [str(row[name]) for name in names]

    @operation
    def remove(self, table: str, key: Iterable[Any], cascade: bool = False) -> None:
        """A hard delete, as nothing tells of; `cascade` takes what points at the row along, as its foreign keys do."""
        key = list(key)
        self._removed[table, tuple(map(str, key))] = self._row(table, key)
        statement = sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), key_condition(table))
        if cascade:
            self.run(statement, *key)
        else:
            self._unseen(statement, *key)

    @operation
    def restore(self, table: str, key: Iterable[Any]) -> None:
        self._insert(table, self._removed.pop((table, tuple(map(str, key)))))

    @operation
    def empty(self, table: str) -> None:
        self._unseen(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    @operation
    def many(self, rows: int, at: float | None = None) -> None:
        """Add so many leads like the last one, all of one `updated_at`. The server makes them, in seconds.

        Its statistics are as they would be some time later.
        """
        names = [name for name in self.types("leads") if name not in ("id", "updated_at")]
        own = "gen_random_uuid()::text" if self.settings.text_ids else "gen_random_uuid()"
        statement = sql.SQL(
            "INSERT INTO leads (id, updated_at, {0}) SELECT {1}, %s, {0}"
            " FROM (SELECT * FROM leads ORDER BY id DESC LIMIT 1) last, generate_series(1, %s)"
        ).format(column_list(names), sql.SQL(own))
        self._unseen(statement, datetime.fromtimestamp(at, UTC) if at else datetime.now(UTC), rows)
        self.run("ANALYZE leads")

    @operation
    def qualify(self, lead: str, name: str = "A company") -> None:
        """Call the product's `qualify_lead`; it leaves `updated_at` as it is."""
        deletes = "on" if self.settings.qualify_deletes else "off"
        self.run("SELECT set_config('pipedesk.qualify_deletes', %s, false)", deletes)
        self.run("SELECT qualify_lead(%s, jsonb_build_object('name', %s::text), NULL)", uuid.UUID(lead), name)

    @operation
    def begin(self, table: str, key: Iterable[Any], **changes: Any) -> int:
        """Change a row in a transaction that stays open; returns what `commit` wants."""
        connection = psycopg.connect(self._cluster.server.url(self.name))
        connection.execute(_update(table, changes), [*changes.values(), *key])
        self._transactions.append(connection)
        return len(self._transactions) - 1

    @operation
    def commit(self, transaction: int) -> None:
        """A late commit: what becomes visible now carries the time at which it was written."""
        self._transactions[transaction].commit()

    @operation
    def kill_connections(self) -> int:
        """The server ends every connection of a client, in the middle of whatever it was reading."""
        found = self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN (%s, %s)", self.name, self._plain
        )
        return len(found)

    @operation
    def bypass(self, allowed: bool) -> None:
        """Whether row-level security leaves the client's role alone."""
        word = sql.SQL("BYPASSRLS" if allowed else "NOBYPASSRLS")
        self.run(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(self.name), word))

    @operation
    def revoke(self, table: str) -> None:
        self.run(sql.SQL("REVOKE SELECT ON {} FROM pipedesk_readers").format(sql.Identifier(table)))

    @operation
    def change_password(self, token: str) -> None:
        """Connections that are open stay so."""
        self.run(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.name), token))

    @operation
    def drop_table(self, table: str) -> None:
        self.run(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(table)))

    @operation
    def add_column(self, table: str, name: str, type_: str, default: str | None = None) -> None:
        """The product grows a column."""
        made = sql.SQL("ALTER TABLE {} ADD {} {} DEFAULT {}").format(
            sql.Identifier(table), sql.Identifier(name), sql.SQL(type_), sql.Literal(default)
        )
        self.run(made)

    @operation
    def rename_column(self, table: str, name: str, to: str) -> None:
        self.run(sql.SQL("ALTER TABLE {} RENAME {} TO {}").format(*map(sql.Identifier, (table, name, to))))

    @operation
    def corrupt_column(self, table: str, name: str) -> None:
        """The vendor makes a column text, and somebody types words into the last row."""
        words = sql.SQL("ALTER TABLE {0} ALTER {1} DROP DEFAULT, ALTER {1} TYPE text USING {1}::text")
        for constraint in self.run(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass", table
        ):
            self.run(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                    sql.Identifier(table), sql.Identifier(constraint["conname"])
                )
            )
        self.run(words.format(sql.Identifier(table), sql.Identifier(name)))
        self.run(_update(table, [name]), "as agreed", *self.keys(table)[-1])


def _update(table: str, changes: Iterable[str]) -> sql.Composed:
    changed = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes)
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table), changed, key_condition(table))
