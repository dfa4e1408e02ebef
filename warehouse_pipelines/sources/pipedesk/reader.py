"""One table of PipeDesk: what it has of the declared columns, and the statements that read it.

A record is the row as PostgreSQL writes it in JSON, so no digit and no microsecond is lost. Undeclared columns are in
it too, and named in ``undeclared_columns``; columns that may hold a secret are never asked for.

A walk is in order of the key and goes on behind the last row after a lost connection.
"""

import hashlib
import uuid
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from warehouse_pipelines.errors import AnswerChanged, VendorUnavailable
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.sources._sql import is_secret, missing_place
from warehouse_pipelines.sources.pipedesk.client import PipeDeskClient

if TYPE_CHECKING:
    from psycopg import sql

TEXTS = ("text", "character varying", "character")

INTEGERS = ("smallint", "integer", "bigint")

Place = tuple[str | int, ...]
"""A key. Both databases order it alike."""


class Columns(NamedTuple):
    """A table in the catalogue: about how many rows it has, which may be old, and the type of each column."""

    name: str
    rows: int
    types: dict[str, str]


class PipeDeskReader:
    """Read the table of one entity; raise ``AnswerChanged`` if the table or its key is not there."""

    def __init__(self, client: PipeDeskClient, entity: Entity) -> None:
        from psycopg import sql

        self.client, self.entity = client, entity
        found = _reflected(client, entity)
        if found is None:
            raise AnswerChanged(
                f"PipeDesk: schema {client.settings.schema_name} has no table {entity.path.replace('|', ' or ')}; "
                "nothing was loaded. If the tables are in another schema, set PIPEDESK_SCHEMA_NAME."
            )
        self.name, self.rows, types = found
        if lacking := [key for key in entity.keys if entity.columns[key].path not in types]:
            lacks = missing_place(self.name, lacking, types)
            raise AnswerChanged(f"PipeDesk: {lacks}, and that is the key of {entity.table}; nothing was loaded.")
        wanted = {"integer": INTEGERS, "uuid": ("uuid", *TEXTS)}
        for key in entity.keys:
            if (type_ := types[entity.columns[key].path]) not in wanted[entity.columns[key].kind]:
                raise AnswerChanged(f"PipeDesk: {self.name}.{key} is {type_} now; nothing was loaded.")
        dropped = {one.path for one in entity.local.dropped.values()} - {one.path for one in entity.columns.values()}
        self.types = {name: type_ for name, type_ in types.items() if not is_secret(name) and name not in dropped}
        declared = {column.path for column in entity.columns.values()} | {entity.deletes.time} - {None}
        if undeclared := sorted(types.keys() - declared):
            client.context.note(undeclared_columns=undeclared)
        self.absent = {
            name: missing_place(self.name, column.paths, undeclared)
            for name, column in entity.columns.items()
            if column.path not in types
        }
        """The declared columns that the table lacks, and the reason for each."""
        if entity.deletes.time and entity.deletes.time not in types:
            self.absent["deleted_at"] = missing_place(self.name, [entity.deletes.time], undeclared)
        self.state = {"read_as": hashlib.sha256(repr((entity.hash_seed, self.types)).encode()).hexdigest()[:16]}
        self._from = sql.SQL("FROM {} t").format(sql.Identifier(client.settings.schema_name, self.name))
        listed = sql.SQL(", ").join(sql.Identifier("t", name) for name in self.types)
        self.record = sql.SQL("(SELECT row_to_json(r) FROM (SELECT {}) r)::text").format(listed)
        self.digest = sql.SQL("hashtextextended({}, {})").format(self.record, entity.hash_seed)
        self._keys = [sql.Identifier("t", entity.columns[key].path) for key in entity.keys]
        # Text is compared by its bytes: for UUIDs that is the order of their own type.
        self._types = [types[entity.columns[key].path] for key in entity.keys]
        self._order = [
            sql.SQL('{} COLLATE "C"' if type_ in TEXTS else "{}").format(key)
            for key, type_ in zip(self._keys, self._types, strict=True)
        ]

    @property
    def numbered(self) -> bool:
        """Whether the key is one column of numbers or UUIDs, which are numbers, by whose index a range is read."""
        return len(self._types) == 1 and self._types[0] not in TEXTS

    def number(self, place: Place) -> int:
        """Return the key of a row as a number."""
        (part,) = place
        return part if isinstance(part, int) else uuid.UUID(part).int

    def at(self, number: int | None) -> Place | None:
        """Return the key that is this number."""
        if number is None:
            return None
        return (str(uuid.UUID(int=number)) if self._types[0] == "uuid" else number,)

    def ends(self) -> tuple[int | None, int | None]:
        """Return the lowest and the highest key as numbers; None of an empty table."""
        from psycopg import sql

        statement = sql.SQL(
            "(SELECT {0}::text {1} ORDER BY {0} LIMIT 1) UNION ALL (SELECT {0}::text {1} ORDER BY {0} DESC LIMIT 1)"
        )
        rows = self.client.all(statement.format(self._order[0], self._from))
        ends = sorted(self.number(self.place(row)) for row in rows)
        return (ends[0], ends[1]) if len(ends) == 2 else (None, None)

    def walk(
        self, what: "sql.Composable", size: int, client: PipeDeskClient | None = None,
        low: Place | None = None, high: Place | None = None,
    ) -> Generator[list[tuple[Place, Any]]]:  # fmt: skip
        """Yield the key of each row above ``low`` and up to ``high``, and the expression ``what`` of it, in order.

        Raises ``CursorStuck`` for rows that come again, ``VendorUnavailable`` after the last attempt.
        """
        from psycopg import sql

        session, last, attempt = client or self.client, low, 1
        while True:
            bounds = [(sign, place) for sign, place in ((">", last), ("<=", high)) if place is not None]
            conditions = [
                sql.SQL("({}) {} ({})").format(_listed(self._order), sql.SQL(sign), self._given()) for sign, _ in bounds
            ]
            statement = sql.SQL("SELECT {}, {} {} WHERE {} ORDER BY {}").format(
                _listed(self._keys, "{}::text"), what, self._from,
                sql.SQL(" AND ").join(conditions or [sql.SQL("true").format()]), _listed(self._order),
            )  # fmt: skip
            values = [part for _, place in bounds for part in place]
            try:
                for rows in session.rows(statement, values, size):
                    placed = []
                    for row in rows:
                        place = self.place(row)
                        if last is not None and place <= last:
                            raise session.rows_again(self.name)
                        last = place
                        placed.append((place, row[-1]))
                    attempt = 1
                    yield placed
                return
            except VendorUnavailable as error:
                session.wait(attempt, error)
                attempt += 1

    def records(self, places: Sequence[Place]) -> list[bytes]:
        """Return the rows of these keys. In a later snapshot than the diff's, one may have been deleted.

        Raises ``AnswerChanged`` for other rows than those asked for.
        """
        from psycopg import sql

        snapshot = self.client.snapshots
        given = [sql.SQL("%s::{}[]").format(sql.SQL(type_)) for type_ in self._types]
        statement = sql.SQL("SELECT {}, {} {} WHERE ({}) IN (SELECT * FROM unnest({}))").format(
            _listed(self._keys, "{}::text"), self.record, self._from, _listed(self._keys), sql.SQL(", ").join(given)
        )
        rows = {
            self.place(row): row[-1]
            for row in self.client.all(statement, [list(part) for part in zip(*places, strict=True)])
        }
        if rows.keys() - set(places) or (len(rows) < len(places) and snapshot == self.client.snapshots):
            raise AnswerChanged(f"PipeDesk: {self.name} does not answer with the rows that it was asked for.")
        return [rows[place].encode() for place in places if place in rows]

    def place(self, row: Sequence[Any]) -> Place:
        """Return the key of a row."""
        return tuple(
            int(part) if self.entity.columns[key].kind == "integer" else part
            for key, part in zip(self.entity.keys, row, strict=False)
        )

    def _given(self) -> "sql.Composed":
        from psycopg import sql

        return sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(type_)) for type_ in self._types)


def _listed(parts: "Sequence[sql.Composable]", form: str = "{}") -> "sql.Composed":
    from psycopg import sql

    return sql.SQL(", ").join(sql.SQL(form).format(part) for part in parts)


def _reflected(client: PipeDeskClient, entity: Entity) -> Columns | None:
    """Return the first table of the entity's ``path`` that exists."""
    from psycopg import sql

    statement = sql.SQL("""
        SELECT c.relname, c.reltuples::bigint, a.attname, format_type(a.atttypid, NULL)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    """)
    names = entity.path.split("|")
    found: dict[str, Columns] = {}
    for table, rows, column, type_ in client.all(statement, [client.settings.schema_name, names]):
        found.setdefault(table, Columns(table, rows, {})).types[column] = type_
    return next((found[name] for name in names if name in found), None)
