"""What a test does to the simulated Genius behind the client's back, and the truth that it compares with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.genius.database import GeniusDatabase, key_condition
from warehouse_pipelines.simulators.genius.tables import CONTACT, TABLES, columns, key_of


class GeniusOperations(GeniusDatabase):
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
        where, values = key_condition(table, key)
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
        """Add so many rows like the last one, all of one second: `at`, or now. The server makes them, in seconds.

        Its statistics are as they would be some time later.
        """
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
        self.sql(f"ANALYZE TABLE `{table}`")

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
