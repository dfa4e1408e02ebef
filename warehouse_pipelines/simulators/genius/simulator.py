"""The simulated Genius: a database of the vendor's tables on a real MariaDB, and what happens behind the scenes there.

Written from the vendor notes. There is no API: a client connects to a port and asks in SQL, as an account that may
read the listed tables and nothing else. What stands in the way between the two, the proxy, counts the queries as
requests (path = `/<table>`) and gives the faults of all vendors the form they have in a database:

    rate_limit    error 1226, the account has used up its share
    status        an error number of the server; any of HTTP's stands for 1205, a lock that was waited for in vain
    unauthorized  error 1045
    slow          a query that takes its time
    reset, truncated  the connection ends in the middle of the rows
    repeat_page   the rows of the query before, once more
    malformed     `bad_date`, `bad_number`: a column has become text, and one row holds words;
                  `non_object`: the key has another name

The rest has no counterpart and is refused. What the notes could not confirm is a setting.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.proxy import DatabaseSimulator, Proxy, Treatment
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.genius import mariadb
from warehouse_pipelines.simulators.genius.mariadb import MySQLProxyConnection, MySQLRefusal
from warehouse_pipelines.simulators.genius.rows import Rows
from warehouse_pipelines.simulators.genius.tables import CONTACT, TABLES, columns, create_table, key_of

if TYPE_CHECKING:
    import pymysql

READ, ASKED = re.compile(r"\bFROM `(\w+)` t\b"), re.compile(r"\bFROM `(\w+)`")
RESERVED = re.compile(r"\b(?:FROM|JOIN) (lead|lag|rank|groups|system|function)\b", re.IGNORECASE)
"""A name that MySQL 8 does not take without quotation marks and MariaDB does."""
LIMIT = re.compile(r"\bLIMIT (\d+)\s*$")
AT_ONCE = 500


@dataclass
class GeniusSettings:
    token: str = "simulated-genius-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start: leads; everything else is in proportion
    now: float | None = None  # fixed at start: seconds since 1970; when the newest rows were written
    zone: str = "America/Los_Angeles"  # fixed at start: of the server's clock and of the application that writes
    contact_table: bool = False  # fixed at start: whether there is a table of contacts


class Genius(DatabaseSimulator):
    settings_type = GeniusSettings
    settings: GeniusSettings

    def __init__(self, population: Population, settings: GeniusSettings) -> None:
        super().__init__(population, settings)
        self._server = mariadb.server(settings.zone)
        self.name = f"genius_{uuid.uuid4().hex[:12]}"
        self._admin = self._server.connect()
        self._proxy: Proxy | None = None
        self._removed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._transactions: list[pymysql.Connection[Any]] = []
        self._fill()

    def _fill(self) -> None:
        now = datetime.fromtimestamp(self.settings.now or time.time(), ZoneInfo(self.settings.zone)).replace(
            tzinfo=None
        )
        self.sql(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
        self._admin.select_db(self.name)
        self.sql(f"CREATE USER `{self.name}`@localhost IDENTIFIED BY %s", self.settings.token)
        for table, declared in TABLES.items():
            self.sql(create_table(table, declared))
            self.grant(table)
        with self._admin.cursor() as cursor:
            cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
        self._admin.begin()
        for table, rows in Rows(self.population, self.settings.contacts, now).tables():
            self._insert(table, rows)
        self._admin.commit()
        if self.settings.contact_table:
            self.add_contact_table()

    @operation
    def add_contact_table(self) -> None:
        """The table that S1 speaks of and that nobody has seen."""
        self.sql(create_table("contact", CONTACT))
        self.grant("contact")
        at = self._clock()
        self._insert("contact", (_contact(self.population, number, at) for number in range(1, 5)))

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
        return _run(self._admin, statement, values)

    def listen(self, host: str, port: int) -> None:
        """The port is the database's; the control endpoint takes a free one."""
        self._proxy = Proxy(host, port, self._server.socket, self._treat, MySQLProxyConnection)
        super().listen(host, 0)

    def environment(self) -> dict[str, str]:
        if self._proxy is None:
            raise RuntimeError("the simulator does not listen yet")
        where = f"127.0.0.1:{self._proxy.port}/{self.name}"
        return {
            "GENIUS_DATABASE_URL": f"mysql+pymysql://{self.name}:{self.settings.token}@{where}?ssl_disabled=true",
            "GENIUS_TIME_ZONE": self.settings.zone,
        }

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        super().close()
        with self.lock:
            if not self._admin.open:
                return
            for connection in self._transactions:
                connection.close()
            self.sql(f"DROP USER IF EXISTS `{self.name}`@localhost")
            self.sql(f"DROP DATABASE `{self.name}`")
            self._admin.close()

    def answer(self, request: Request) -> Answer:
        return answer_json(404, {"error": "Genius is a database; ask its port in SQL"})

    def _treat(self, statement: str) -> Treatment:
        """Count a query, and say what becomes of it."""
        # A look-up in the list of columns comes before the table that is read; that one has the alias `t`.
        table, limit = READ.search(statement) or ASKED.search(statement), LIMIT.search(statement)
        path = f"/{table[1]}" if table else "/"
        request = Request("QUERY", path, {}, statement.encode(), "127.0.0.1")
        request.target = path
        self.counters.begin()
        treatment = Treatment()
        if word := RESERVED.search(statement):
            said = f"You have an error in your SQL syntax; check the manual for the right syntax near '{word[1]}'"
            treatment = Treatment(MySQLRefusal(1064, "42000", said))
        for fault in self.faults.firing(request):
            match fault.kind:
                case "slow":
                    time.sleep(fault["seconds"])
                case "rate_limit":
                    refusal = MySQLRefusal(1226, "42000", "User has exceeded the 'max_queries_per_hour' resource")
                    treatment = Treatment(refusal)
                case "status":
                    number = fault["status"] if fault["status"] >= 1000 else 1205
                    treatment = Treatment(MySQLRefusal(number, "HY000", f"simulated error {number}"))
                case "unauthorized":
                    treatment = Treatment(
                        MySQLRefusal(1045, "28000", f"Access denied for user '{self.name}'@'localhost'")
                    )
                case "reset" | "truncated":
                    treatment = Treatment(cut=400, reset=fault.kind == "reset")
                case "repeat_page":
                    treatment = Treatment(repeat=True)
        status = treatment.refusal.number if treatment.refusal else 200
        self.counters.end(request, Answer(status, page_size=int(limit[1]) if limit else None))
        return treatment

    @operation
    def keys(self, table: str) -> list[list[str]]:
        names = key_of(table)
        listed = ", ".join(f"`{name}`" for name in names)
        found = self.sql(f"SELECT {listed} FROM `{table}` ORDER BY {listed}")
        return [[str(row[name]) for name in names] for row in found]

    @operation
    def count(self, table: str) -> int:
        (row,) = self.sql(f"SELECT count(*) AS n FROM `{table}`")
        return int(row["n"])

    @operation
    def edit(self, table: str, key: Iterable[Any], touch: bool = True, **changes: Any) -> None:
        """Change a row. Without `touch` as a script would: `updated_at` stays as it is."""
        if touch and "updated_at" in columns(TABLES.get(table, CONTACT)):
            changes.setdefault("updated_at", self._clock())
        self._update(self._admin, table, key, changes)

    @operation
    def create(self, table: str, touched: bool = True, **values: Any) -> list[str]:
        """Add a row like the last one under the next number; returns its key. Not `touched`: `updated_at` is NULL."""
        names = key_of(table)
        order = ", ".join(f"`{name}` DESC" for name in names)
        (row,) = self.sql(f"SELECT * FROM `{table}` ORDER BY {order} LIMIT 1")
        last = row[names[0]]
        row[names[0]] = last + 1 if isinstance(last, int) else f"{last}x"
        for name in ("created_at", "add_date", "added_on", "add_datetime", "updated_at"):
            if name in row:
                row[name] = self._clock()
        if not touched:
            row["updated_at"] = None
        row |= values
        self._insert(table, [row])
        return [str(row[name]) for name in names]

    @operation
    def remove(self, table: str, key: Iterable[Any]) -> None:
        """A hard delete, as nothing tells of."""
        where, values = _where(table, key)
        (row,) = self.sql(f"SELECT * FROM `{table}` WHERE {where}", *values)
        self._removed[table, tuple(map(str, key))] = row
        self.sql(f"DELETE FROM `{table}` WHERE {where}", *values)

    @operation
    def restore(self, table: str, key: Iterable[Any]) -> None:
        self._insert(table, [self._removed.pop((table, tuple(map(str, key))))])

    @operation
    def empty(self, table: str) -> None:
        self.sql(f"DELETE FROM `{table}`")

    @operation
    def many(self, table: str, rows: int, at: str | None = None) -> None:
        """Add so many rows like the last one, all of one second: `at`, or now. The server makes them, in seconds."""
        (name,) = key_of(table)
        (found,) = self.sql(f"SELECT max(`{name}`) AS last FROM `{table}`")
        last = found["last"]
        clock = at or self._clock()
        types = columns(TABLES.get(table, CONTACT))
        times = {"created_at", "add_date", "added_on", "updated_at"} & types.keys()
        own = dict.fromkeys(times, "%s")
        own[name] = f"{int(last)} + s.seq"
        chosen = ", ".join(own.get(column, f"t.`{column}`") for column in types)
        values = [clock] * len(times)
        self.sql(
            f"INSERT INTO `{table}` ({', '.join(f'`{column}`' for column in types)})"
            f" SELECT {chosen} FROM `{table}` t JOIN seq_1_to_{int(rows)} s WHERE t.`{name}` = %s",
            *values, last,
        )  # fmt: skip

    @operation
    def spread(self, table: str, seconds: int) -> None:
        """Give the rows of a table an `updated_at` each, so many seconds long, in the order of their keys."""
        (name,) = key_of(table)
        self.sql(
            f"UPDATE `{table}` t JOIN (SELECT `{name}` AS k, row_number() OVER (ORDER BY `{name}`) AS n,"
            f" count(*) OVER () AS c FROM `{table}`) o ON o.k = t.`{name}`"
            " SET t.updated_at = now() - INTERVAL (3600 + %s * (o.c - o.n) DIV o.c) SECOND",
            seconds,
        )

    @operation
    def begin(self, table: str, key: Iterable[Any], **changes: Any) -> int:
        """Change a row in a transaction that stays open; returns what `commit` wants."""
        connection = self._server.connect(autocommit=False, database=self.name)
        self._update(connection, table, key, changes)
        self._transactions.append(connection)
        return len(self._transactions) - 1

    @operation
    def commit(self, transaction: int) -> None:
        """A late commit: what becomes visible now carries the time at which it was written."""
        self._transactions[transaction].commit()

    @operation
    def kill_connections(self) -> int:
        """Every connection of a client ends, in the middle of whatever it was reading."""
        return self._proxy.hang_up() if self._proxy else 0

    @operation
    def revoke(self, table: str) -> None:
        self.sql(f"REVOKE SELECT ON `{self.name}`.`{table}` FROM `{self.name}`@localhost")

    @operation
    def grant(self, table: str) -> None:
        self.sql(f"GRANT SELECT ON `{self.name}`.`{table}` TO `{self.name}`@localhost")

    @operation
    def change_password(self, token: str) -> None:
        """Connections that are open stay so."""
        self.sql(f"ALTER USER `{self.name}`@localhost IDENTIFIED BY %s", token)

    @operation
    def drop_table(self, table: str) -> None:
        self.sql(f"DROP TABLE `{table}`")

    @operation
    def rename_column(self, table: str, name: str, to: str) -> None:
        self.sql(f"ALTER TABLE `{table}` RENAME COLUMN `{name}` TO `{to}`")

    @operation
    def corrupt_column(self, table: str, name: str) -> None:
        """The vendor makes a column text, and somebody types words into the newest row."""
        self.sql(f"ALTER TABLE `{table}` MODIFY `{name}` varchar(64) NULL")
        *_, key = self.keys(table)
        self.edit(table, key, touch=False, **{name: "as agreed"})

    def _update(self, connection: Any, table: str, key: Iterable[Any], changes: Mapping[str, Any]) -> None:
        where, values = _where(table, key)
        changed = ", ".join(f"`{name}` = %s" for name in changes)
        _run(connection, f"UPDATE `{table}` SET {changed} WHERE {where}", [*changes.values(), *values])

    def _clock(self) -> str:
        (row,) = self.sql("SELECT DATE_FORMAT(NOW(), '%%Y-%%m-%%d %%H:%%i:%%s') AS now")
        return str(row["now"])


def _contact(population: Population, number: int, at: str) -> dict[str, Any]:
    person = population.person(number)
    names = {"first_name": person.first_name, "last_name": person.last_name, "email": person.email}
    return {"id": number, **names, "created_at": at, "updated_at": at}


def _run(connection: Any, statement: str, values: Iterable[Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


def _where(table: str, key: Iterable[Any]) -> tuple[str, list[Any]]:
    return " AND ".join(f"`{name}` = %s" for name in key_of(table)), list(key)


SIMULATOR = Genius
