"""The database of the simulated Genius: filled when it starts.

When it is closed, the next Genius of this process gets it, emptied, unless a table or a right was changed: to make the
tables and to drop them takes a server ten times as long as to write the rows.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.proxy import DatabaseSimulator, Proxy
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.genius import mariadb
from warehouse_pipelines.simulators.genius.rows import Rows
from warehouse_pipelines.simulators.genius.tables import CONTACT, TABLES, columns, create_table, key_of

if TYPE_CHECKING:
    import pymysql

AT_ONCE = 500
MANY = 20_000
"""Rows of which it is quicker to drop a table than to delete them."""
DEFINES = frozenset(("ALTER", "CREATE", "DROP", "GRANT", "RENAME", "REVOKE"))
"""How a statement begins that changes more than rows."""


@dataclass
class GeniusSettings:
    token: str = "simulated-genius-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start: leads; everything else is in proportion
    now: float | None = None  # fixed at start: seconds since 1970; when the newest rows were written
    zone: str = "America/Los_Angeles"  # fixed at start: of the server's clock and of the application that writes
    contact_table: bool = False  # fixed at start: whether there is a table of contacts


class GeniusDatabase(DatabaseSimulator):
    settings_type = GeniusSettings
    settings: GeniusSettings

    def __init__(self, population: Population, settings: GeniusSettings) -> None:
        super().__init__(population, settings)
        self._server = mariadb.server(settings.zone)
        self._spare = self._server.spare[settings.token]
        self._admin = self._server.connect()
        self._proxy: Proxy | None = None
        self._redefined = False
        self._removed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._transactions: list[pymysql.Connection[Any]] = []
        self._fill()

    def _fill(self) -> None:
        now = datetime.fromtimestamp(self.settings.now or time.time(), ZoneInfo(self.settings.zone)).replace(
            tzinfo=None
        )
        made = not self._spare
        self.name = f"genius_{uuid.uuid4().hex[:12]}" if made else self._spare.pop()
        if made:
            self._make()
        self._admin.select_db(self.name)
        self._redefined = False
        self.sql("SET unique_checks = 0, foreign_key_checks = 0")
        self._admin.begin()
        for table in () if made else TABLES:
            self.sql(f"DELETE FROM `{table}`")
        for table, rows in Rows(self.population, self.settings.contacts, now).tables():
            self._insert(table, rows)
        self._admin.commit()
        if self.settings.contact_table:
            self.add_contact_table()

    def _make(self) -> None:
        self.sql(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
        self._admin.select_db(self.name)
        self.sql(f"CREATE USER `{self.name}`@localhost IDENTIFIED BY %s", self.settings.token)
        for table, declared in TABLES.items():
            self.sql(create_table(table, declared))
            self.grant(table)

    @operation
    def add_contact_table(self) -> None:
        """A table of contacts, which some descriptions of the database have and nobody has seen."""
        self.sql(create_table("contact", CONTACT))
        self.grant("contact")
        at = self._clock()
        self._insert("contact", (_contact(self.population, number, at) for number in range(1, 5)))

    @operation
    def grant(self, table: str) -> None:
        self.sql(f"GRANT SELECT ON `{self.name}`.`{table}` TO `{self.name}`@localhost")

    def key_of(self, table: str) -> tuple[str, ...]:
        return key_of(table)

    @staticmethod
    def type_of(table: str, column: str) -> str:
        """The SQL type of a column, empty where there is none."""
        return columns(TABLES.get(table, CONTACT)).get(column, "")

    def _insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of a table all have the same columns."""
        waiting = iter(rows)
        while some := list(islice(waiting, AT_ONCE)):
            names = list(some[0])
            places = f"({', '.join(['%s'] * len(names))})"
            values = [row[name] for row in some for name in names]
            self.sql(
                f"INSERT INTO `{table}` ({', '.join(f'`{name}`' for name in names)})"
                f" VALUES {', '.join([places] * len(some))}",
                *values,
            )

    @classmethod
    def lacking(cls) -> str | None:
        return mariadb.lacking()

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement as the administrator, as no client can."""
        self._redefined = self._redefined or statement.split(maxsplit=1)[0].upper() in DEFINES
        return _run(self._admin, statement, values)

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        super().close()
        with self.lock:
            if not self._admin.open:
                return
            for connection in self._transactions:
                connection.close()
            if self._redefined or self._rows() > MANY:
                self.sql(f"DROP USER IF EXISTS `{self.name}`@localhost")
                self.sql(f"DROP DATABASE `{self.name}`")
            else:
                self._spare.append(self.name)
            self._admin.close()

    def _rows(self) -> int:
        """Return how many rows there are, by the server's estimate."""
        (row,) = self.sql(
            "SELECT coalesce(sum(table_rows), 0) AS n FROM information_schema.tables WHERE table_schema = %s", self.name
        )
        return int(row["n"])

    def _update(self, connection: Any, table: str, key: Iterable[Any], changes: Mapping[str, Any]) -> None:
        where, values = key_condition(table, key)
        changed = ", ".join(f"`{name}` = %s" for name in changes)
        _run(connection, f"UPDATE `{table}` SET {changed} WHERE {where}", [*changes.values(), *values])

    def _clock(self) -> str:
        (row,) = self.sql("SELECT DATE_FORMAT(NOW(), '%%Y-%%m-%%d %%H:%%i:%%s') AS now")
        return str(row["now"])


def _run(connection: Any, statement: str, values: Iterable[Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


def key_condition(table: str, key: Iterable[Any]) -> tuple[str, list[Any]]:
    return " AND ".join(f"`{name}` = %s" for name in key_of(table)), list(key)


def _contact(population: Population, number: int, at: str) -> dict[str, Any]:
    person = population.person(number)
    names = {"first_name": person.first_name, "last_name": person.last_name, "email": person.email}
    return {"id": number, **names, "created_at": at, "updated_at": at}
