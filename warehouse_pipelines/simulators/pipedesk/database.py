"""The database of the simulated PipeDesk: filled when it starts, dropped when it is closed."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.proxy import DatabaseSimulator, Proxy
from warehouse_pipelines.simulators.pipedesk import postgresql
from warehouse_pipelines.simulators.pipedesk.tables import KEYS, SCHEMA, Rows

SMALL = 2_000


@dataclass
class PipeDeskSettings:
    token: str = "simulated-pipedesk-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start: contacts, and as many leads; everything else is in proportion
    now: float | None = None  # fixed at start: seconds since 1970; when the newest rows were written
    text_ids: bool = False  # fixed at start: ids are text and not uuid
    profiles: bool = False  # fixed at start: the table of users is called profiles and has no e-mail addresses
    qualify_deletes: bool = True  # whether qualify_lead sets deleted_at as well


class PipeDeskDatabase(DatabaseSimulator):
    settings_type = PipeDeskSettings
    settings: PipeDeskSettings

    def __init__(self, population: Population, settings: PipeDeskSettings) -> None:
        super().__init__(population, settings)
        self._cluster = postgresql.cluster()
        self.name = f"pipedesk_{uuid.uuid4().hex[:12]}"
        self._proxy: Proxy | None = None
        self._removed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._transactions: list[psycopg.Connection] = []
        kind = (
            population.seed,
            population.people,
            settings.contacts,
            settings.now,
            settings.text_ids,
            settings.profiles,
        )
        if settings.contacts <= SMALL:
            self._cluster.copied(self.name, kind, self._fill)
        else:
            self._cluster.server.create_database(self.name)
            self._fill(self.name)
        self._admin = psycopg.connect(self._cluster.server.url(self.name), autocommit=True, row_factory=dict_row)
        for role in (self.name, self._plain):
            self.run(
                sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {} IN ROLE pipedesk_readers").format(
                    sql.Identifier(role), sql.SQL("BYPASSRLS" if role == self.name else ""), settings.token
                )
            )

    @property
    def _plain(self) -> str:
        return f"{self.name}_plain"

    def _fill(self, database: str) -> None:
        now = datetime.fromtimestamp(self.settings.now or time.time(), UTC)
        schema = SCHEMA
        if self.settings.text_ids:
            schema = re.sub(r"(\w*id|created_by) uuid\b", r"\1 text", schema)
            schema = schema.replace("(p_lead_id text", "(p_lead_id uuid").replace("p_user_id text", "p_user_id uuid")
            schema = schema.replace("company uuid := gen_random_uuid()", "company text := gen_random_uuid()")
            schema = schema.replace("deal uuid := gen_random_uuid()", "deal text := gen_random_uuid()")
            schema = schema.replace("WHERE id = p_lead_id", "WHERE id = p_lead_id::text")
        with self._cluster.server.connect(database) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = 'pipedesk_readers'").fetchone() is None:
                connection.execute("CREATE ROLE pipedesk_readers NOLOGIN")
            connection.execute(schema)
            connection.execute("SET session_replication_role = replica")
            for table, rows in Rows(self.population, self.settings.contacts, now).tables():
                names: list[str] = []
                with connection.cursor() as cursor:
                    first = next(rows, None)
                    if first is None:
                        continue
                    names = list(first)
                    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
                        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
                    )
                    with cursor.copy(copy) as writing:
                        writing.write_row(list(first.values()))
                        for row in rows:
                            writing.write_row(list(row.values()))
            if self.settings.profiles:
                connection.execute("ALTER TABLE users RENAME TO profiles; ALTER TABLE profiles DROP email")

    @classmethod
    def lacking(cls) -> str | None:
        return postgresql.lacking()

    def run(self, statement: str | sql.Composed, *values: Any) -> list[dict[str, Any]]:
        """Run a statement as the administrator, as no client can."""
        asked = statement.encode() if isinstance(statement, str) else statement
        cursor = self._admin.execute(asked, values or None)
        return cursor.fetchall() if cursor.description else []

    def _unseen(self, statement: sql.Composed, *values: Any) -> None:
        """Run a statement that no trigger and no foreign key notices."""
        with self._admin.transaction():
            self._admin.execute("SET LOCAL session_replication_role = replica")
            self._admin.execute(statement, values or None)

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        super().close()
        with self.lock:
            if self._admin.closed:
                return
            for connection in self._transactions:
                connection.close()
            self._admin.close()
            self._cluster.server.drop_database(self.name)
            with self._cluster.server.connect("postgres") as connection:
                for role in (self.name, self._plain):
                    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def key_of(self, table: str) -> tuple[str, ...]:
        return key_of(table)

    def _row(self, table: str, key: Iterable[Any]) -> dict[str, Any]:
        (row,) = self.run(
            sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(table), key_condition(table)), *key
        )
        return row

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table), column_list(row), sql.SQL(", ").join([sql.Placeholder()] * len(row))
        )
        self._unseen(statement, *row.values())

    def types(self, table: str) -> dict[str, str]:
        """The columns of a table and their types."""
        found = self.run(
            "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
        return {row["attname"]: row["type"] for row in found}


def key_of(table: str) -> tuple[str, ...]:
    return KEYS.get(table, ("id",))


def column_list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def key_condition(table: str) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key_of(table))
