"""Read the rows of a table of people as ``Raw``: SQL made of its row in ``people_rows``, and what columns are called.

A column that the installation dropped says nothing. Neither does one that it hashes: of a hash no name, address or
number can be read, and it must not reach ``crm`` as if it were one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from warehouse_pipelines.loading.erased import ERASED_RECORD
from warehouse_pipelines.model.emails import BETWEEN
from warehouse_pipelines.unified.identity import own
from warehouse_pipelines.unified.identity.normalise import Raw, token
from warehouse_pipelines.unified.identity.tables import Tables
from warehouse_pipelines.unified.people import (
    Join,
    People,
    Pointer,
)

NOTHING = sql.SQL("NULL::text")

NOT_ERASED = sql.SQL("(pg_column_size(s.raw_data) > 60 OR s.raw_data <> {}::jsonb)").format(ERASED_RECORD)
"""Of an erased person there is no record. A longer document is none of these, and is not fetched to be compared."""


class Reading(NamedTuple):
    """How the rows of a table are read.

    ``select``  all rows of the table, which is ``s``; a condition may follow
    ``only``    the condition that a row is a record; ``excluded`` that it is none any more, where rows can come to that
    ``raw``     makes a ``Raw`` of a row of its result
    ``keys``    what the key's columns are called
    ``reached`` for each table that is joined, the keys of ``s`` whose record a change since ``%(since)s`` is part of
    """

    row: People
    select: sql.Composed
    only: sql.Composable
    excluded: sql.Composable | None
    raw: Callable[[Sequence[Any]], Raw]
    keys: tuple[str, ...]
    reached: tuple[tuple[str, sql.Composable], ...]


def reading(row: People, tables: Tables) -> Reading:
    """Return how the table of ``row`` is read. Raises ``KeyError`` for a table of no entity."""
    return _Composer(row, tables).reading()


class _Composer:
    def __init__(self, row: People, tables: Tables) -> None:
        self._row = row
        self._tables = tables
        self._entity = tables.by_name[row.table]
        self._joins = {join.name: join for join in row.joins}

    def reading(self) -> Reading:
        row = self._row
        keys = [sql.SQL("s.{}").format(sql.Identifier(one)) for one in self._entity.keys]
        key = sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(keys))
        # A user who left is no staff any more: crm.add_person_to_dnc_list asks whose a number is.
        deleted: sql.Composable = own.is_left(self._tables, row.table, "s")
        if row.made_up and (made_up := self._value(row.made_up)) != NOTHING:
            deleted = sql.SQL("({} OR {} IS TRUE)").format(deleted, made_up)
        times = [
            self._time((row.created or "source_created_at",), "sync_created_at"),
            self._time((row.edited,) if row.edited else self._entity.edit_times, "sync_updated_at"),
        ]
        singles = [self._value(one, "::text") for one in (row.first, row.middle, row.last, row.full, row.business)]
        emails = [self._email(one) for one in row.emails.split()]
        phones = [self._value("|".join(f"{part}_e164" for part in one.split("|"))) for one in row.phones.split()]
        places = [
            self._value(one, "::text")
            for place in row.places
            for one in (place.street, place.unit, place.city, place.state, place.zip)
        ]
        pointers = [pointer for pointer in row.ids if self._value(pointer.column) != NOTHING]
        ids = [self._pointer(pointer) for pointer in pointers]
        by = [self._value(pointer.by, "::text") for pointer in pointers]
        select = sql.SQL("SELECT {columns}\nFROM {table} AS s{joins}").format(
            columns=sql.SQL(", ").join([key, deleted, *times, *singles, *emails, *phones, *places, *ids, *by]),
            table=self._tables.identifier(row.table),
            joins=sql.SQL("").join(map(self._joined, row.joins)),
        )
        raw = _converter(row, len(emails), len(phones), pointers)
        reached = tuple((join.table, keys_of) for join in row.joins for keys_of in self._reached(join))
        return Reading(row, select, *self._limits(), raw, self._entity.keys, reached)

    def _limits(self) -> tuple[sql.Composable, sql.Composable | None]:
        """Return the condition that a row is a record, and the one that it is none any more."""
        flag = self._row.excluded
        excluded = sql.SQL("s.{}").format(sql.Identifier(flag)) if flag else None
        only: list[sql.Composable] = [NOT_ERASED]
        if excluded:
            only.append(sql.SQL("NOT {}").format(excluded))
        if self._row.within:
            only.append(sql.SQL("s.{} = ANY (%(organizations)s)").format(sql.Identifier(self._row.within)))
        return sql.SQL(" AND ").join(only), excluded

    def _column(self, written: str) -> sql.Composable | None:
        """Return the SQL of ``column`` or ``join.column``, None where the installation dropped or hashes it."""
        name, _, column = written.rpartition(".")
        called = self._tables.column(self._joins[name].table if name else self._row.table, column)
        return None if called is None else sql.SQL("{}.{}").format(sql.Identifier(name or "s"), sql.Identifier(called))

    def _value(self, written: str, cast: str = "") -> sql.Composable:
        """Return the SQL of one column, or of several with ``|`` between them, the first that is filled."""
        found = [column for one in written.split("|") if one and (column := self._column(one)) is not None]
        if not found:
            return NOTHING
        if len(found) == 1:
            return sql.Composed([found[0], sql.SQL(cast)])
        filled = [sql.SQL("nullif(btrim({}::text), '')").format(one) for one in found]
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(filled))

    def _time(self, written: Sequence[str], else_: str) -> sql.Composable:
        found = [column for one in written if (column := self._column(one)) is not None]
        found.append(sql.SQL("s.{}").format(sql.Identifier(else_)))
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))

    def _email(self, written: str) -> sql.Composable:
        value = self._value(written)
        if self._entity.pg_types.get(self._tables.column(self._row.table, written) or "", "") != "jsonb":
            return value
        return _of_list(value, "email", sql.SQL(""))

    def _pointer(self, pointer: Pointer) -> sql.Composable:
        if not pointer.member:
            return self._value(pointer.column, "::text")
        named = sql.SQL(" WHERE lower(one ->> 'name') = {}").format(sql.Literal(pointer.member))
        return _of_list(self._value(pointer.column), "value", named)

    def _joined(self, join: Join) -> sql.Composable:
        table, name = self._tables.identifier(join.table), sql.Identifier(join.name)
        column = sql.Identifier(self._tables.column(join.table, join.column) or join.column)
        equals = self._value(join.equals)
        if not join.first:
            return sql.SQL("\n    LEFT JOIN {} AS {} ON {}.{} = {}").format(table, name, name, column, equals)
        order = [one.split(" ", 1) for one in join.first.split(", ")]
        called = [
            sql.SQL("{}{}").format(
                sql.Identifier(self._tables.column(join.table, one) or one), sql.SQL(f" {how[0]}" if how else "")
            )
            for one, *how in order
        ]
        return sql.SQL(
            "\n    LEFT JOIN LATERAL (SELECT t.* FROM {} AS t WHERE t.{} = {} AND NOT t.archived ORDER BY {} LIMIT 1)"
            " AS {} ON true"
        ).format(table, column, equals, sql.SQL(", ").join(called), name)

    def _reached(self, join: Join) -> list[sql.Composable]:
        """Return the statements that select the keys of ``s`` whose record has a changed row of ``join`` in it."""
        keys = sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(one)) for one in self._entity.keys)
        found: list[sql.Composable] = []
        for equals in join.equals.split("|"):
            name, _, column = equals.rpartition(".")
            on = self._tables.column(self._joins[name].table if name else self._row.table, column)
            if on is None:
                continue
            between: sql.Composable = sql.SQL("")
            if name:
                middle = self._joins[name]
                between = sql.SQL(" JOIN {} AS m ON m.{} = j.{}").format(
                    self._tables.identifier(middle.table), sql.Identifier(on), sql.Identifier(join.column)
                )
                mine = self._tables.column(self._row.table, middle.equals) or middle.equals
                condition = sql.SQL("s.{} = m.{}").format(sql.Identifier(mine), sql.Identifier(middle.column))
            else:
                condition = sql.SQL("s.{} = j.{}").format(sql.Identifier(on), sql.Identifier(join.column))
            found.append(
                sql.SQL("SELECT {} FROM {} AS j{} JOIN {} AS s ON {} WHERE j.sync_updated_at >= %(since)s").format(
                    keys,
                    self._tables.identifier(join.table),
                    between,
                    self._tables.identifier(self._row.table),
                    condition,
                )
            )
        return found


def _of_list(value: sql.Composable, member: str, condition: sql.Composable) -> sql.Composable:
    """Return the SQL of one member of all objects of a JSON list, apart by blanks."""
    if value == NOTHING:
        return NOTHING
    return sql.SQL(
        "(SELECT string_agg(one ->> {1}, ' ') FROM jsonb_array_elements("
        "CASE jsonb_typeof({0}) WHEN 'array' THEN {0} ELSE '[]' END) AS one{2})"
    ).format(value, sql.Literal(member), condition)


_NO_KEYS = frozenset(["", "0", "null", "none"])


def _converter(row: People, emails: int, phones: int, pointers: Sequence[Pointer]) -> Callable[[Sequence[Any]], Raw]:
    """Return the function that makes a ``Raw`` of what ``select`` returns, in its order."""
    table, kind, caller_id = row.table, row.kind, row.caller_id
    of_phones = 9 + emails
    of_places = of_phones + phones
    of_ids = of_places + 5 * len(row.places)
    places = [slice(of_places + 5 * number, of_places + 5 * number + 5) for number in range(len(row.places))]
    first_place = places[0] if places else slice(0, 0)
    split = [(of_ids + at, of_ids + len(pointers) + at, pointer) for at, pointer in enumerate(pointers)]

    def addressed(values: Sequence[Any]) -> Sequence[Any]:
        found = values[first_place]
        if not found:
            return (None,) * 5
        if found[0] or len(places) == 1:
            return found
        others = [values[place] for place in places]
        return next((one for one in others if one[0]), None) or next((one for one in others if any(one)), found)

    def pointed(values: Sequence[Any]) -> tuple[str, ...]:
        tokens = []
        for at, by, pointer in split:
            value = values[at]
            if not value:
                continue
            where = pointer.table or pointer.tables.get((values[by] or "").strip().lower(), "")
            if not where:
                continue
            for key in value.replace(pointer.separator, " ").split() if pointer.separator else value.split():
                found = key.removeprefix(pointer.prefix)
                if found.lower() not in _NO_KEYS and key.startswith(pointer.prefix):
                    tokens.append(token(where, found))
        return tuple(tokens)

    def raw(values: Sequence[Any]) -> Raw:
        written = values[9:of_phones]
        for one in written:
            if one and BETWEEN.search(one):
                written = tuple(part for one in written if one for part in BETWEEN.split(one))
                break
        street, unit, city, state, zip_ = addressed(values)
        return Raw(
            table, values[0], kind, values[4], values[5], values[6], values[7], caller_id, values[8], tuple(written),
            tuple(values[of_phones:of_places]), street, unit, city, state, zip_, pointed(values) if split else (),
            values[2], values[3], values[1],
        )  # fmt: skip

    return raw
