"""What a test does to the simulated SalesPro behind the client's back, and the truth that it compares with."""

from __future__ import annotations

import re
import time
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.salespro.athena import Athena
from warehouse_pipelines.simulators.salespro.engine import Engine
from warehouse_pipelines.simulators.salespro.records import COLUMNS, KEYS, Records, Row, moment
from warehouse_pipelines.simulators.salespro.settings import SalesProSettings
from warehouse_pipelines.simulators.salespro.trino_query import canonical


class SalesProOperations(Simulator):
    settings_type = SalesProSettings
    settings: SalesProSettings

    def __init__(self, population: Population, settings: SalesProSettings) -> None:
        super().__init__(population, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.records = Records(population, settings.contacts, self.now_ms())
        self.engine = Engine(settings.database, COLUMNS, self.records.rows)
        self.athena = Athena(settings, self.engine, population.seed)
        self._deleted: dict[tuple[str, str], list[tuple[Any, ...]]] = {}

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def _key(self, table: str) -> str:
        if table not in KEYS:
            raise ValueError(f"no table {table!r}; there are {', '.join(KEYS)}")
        self.engine.need(table)
        return KEYS[table]

    def _change(self, table: str, key: str, fields: dict[str, Any]) -> None:
        name = self._key(table)
        if unknown := fields.keys() - self.engine.columns[table].keys():
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        settings = ", ".join(f'"{column}" = ?' for column in fields)
        done = self.engine.db.execute(
            f'UPDATE "{table}" SET {settings} WHERE "{name}" = ?',
            [*map(_held, fields.values()), key],
        )
        if not done.rowcount:
            raise ValueError(f"nothing with the key {key} in {table}")

    @operation
    def insert(self, table: str, **fields: Any) -> str:
        """A row as it is given; what is not given is NULL. Times are written as Athena prints them."""
        name = self._key(table)
        if unknown := fields.keys() - self.engine.columns[table].keys():
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        columns = ", ".join(f'"{column}"' for column in fields)
        self.engine.db.execute(
            f'INSERT INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(fields))})',
            [*map(_held, fields.values())],
        )
        return str(fields.get(name))

    @operation
    def create(self, table: str, **fields: Any) -> str:
        """A new row like the first one, with a key of its own, made and changed now."""
        name = self._key(table)
        like: Row = dict(next(iter(self.records.rows(table))))
        now = moment(self.now_ms())
        times: Row = {column: now for column in ("created_at", "updated_at") if column in self.engine.columns[table]}
        own = f"{table[:3]}new{next(self._serial):08d}"
        row: Row = {**like, name: own, **times, **fields}
        if table == "customer" and "estimate_id" not in fields:
            row["estimate_id"] = f"for-{own}"
        if table == "lead_results" and "lead_results" not in fields:
            row = self.records.lead_result(own, row["created_at"], [("Notes", "new"), ("Job Type 1", "-Roofing")])
        known = self.engine.columns[table]
        return self.insert(table, **{column: value for column, value in row.items() if column in known})

    @operation
    def edit(self, table: str, key: str, **fields: Any) -> None:
        """Change a row, of a customer all of them; its `updated_at` moves where there is one."""
        if "updated_at" in self.engine.columns[table] and "updated_at" not in fields:
            fields["updated_at"] = moment(self.now_ms())
        self._change(table, key, fields)

    @operation
    def edit_silently(self, table: str, key: str, **fields: Any) -> None:
        """Change a row without a trace."""
        self._change(table, key, fields)

    @operation
    def answers(self, estimate_id: str, **answers: str) -> None:
        """Replace the answers of a lead result; nothing tells when."""
        row = self.records.lead_result(estimate_id, "", list(answers.items()))
        self._change("lead_results", estimate_id, {"lead_results": row["lead_results"]})

    @operation
    def delete(self, table: str, key: str) -> None:
        """Rows that the next snapshot does not hold."""
        name = self._key(table)
        rows = self.engine.db.execute(f'SELECT * FROM "{table}" WHERE "{name}" = ?', [key]).fetchall()
        if not rows:
            raise ValueError(f"nothing with the key {key} in {table}")
        self._deleted[table, key] = rows
        self.engine.db.execute(f'DELETE FROM "{table}" WHERE "{name}" = ?', [key])

    @operation
    def restore(self, table: str, key: str) -> None:
        rows = self._deleted.pop((table, key))
        places = ", ".join("?" * len(rows[0]))
        self.engine.db.executemany(f'INSERT INTO "{table}" VALUES ({places})', rows)

    @operation
    def empty(self, table: str) -> None:
        self._key(table)
        self.engine.db.execute(f'DELETE FROM "{table}"')

    @operation
    def retype(self, table: str, **types: str | None) -> None:
        """Declare columns of a table otherwise, add them, or with None take them away."""
        known: dict[str, str | None] = dict(self.engine.columns[table])
        known.update(types)
        self.engine.recreate(table, {name: type_ for name, type_ in known.items() if type_ is not None})

    @operation
    def drop(self, table: str) -> None:
        self.engine.drop(table)

    @operation
    def deny(self, table: str) -> None:
        """The account sees the table in the catalogue, and may not read it."""
        self.engine.denied.add(table)

    @operation
    def fail_next(
        self,
        reason: str,
        category: int = 2,
        retryable: bool = False,
        error_type: int = 1006,
        state: str = "FAILED",
        times: int = 1,
    ) -> None:
        """The next queries end so."""
        error = {"ErrorCategory": category, "ErrorType": error_type, "Retryable": retryable, "ErrorMessage": reason}
        failure = {"state": state, "reason": reason, "error": error if state == "FAILED" else None}
        self.athena.failures += [failure] * times

    @operation
    def ids(self, table: str) -> list[str]:
        """The keys of a table, the oldest first."""
        name = self._key(table)
        rows = self.engine.db.execute(f'SELECT "{name}" FROM "{table}" GROUP BY 1 ORDER BY max(created_at), 1')
        return [row[0] for row in rows]

    @operation
    def rows(self, table: str, key: str) -> list[Row]:
        """The rows of a key."""
        name = self._key(table)
        found = self.engine.db.execute(f'SELECT * FROM "{table}" WHERE "{name}" = ?', [key])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: how many keys each table has."""
        return {table: len(self.ids(table)) for table in self.engine.columns}

    @operation
    def executions(self) -> list[dict[str, Any]]:
        """Every query so far, and how it stands."""
        return [{"id": query.id, "query": query.text, "state": query.state} for query in self.athena.queries.values()]


def _held(value: Any) -> Any:
    """A value as the tables hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    return canonical(value) or value if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d ", value) else value
