"""Read the rows of a table of people as ``Raw``: SQL made of its row in ``people_rows``, by ``columns``."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from warehouse_pipelines.loading.erased import ERASED_RECORD
from warehouse_pipelines.model.emails import BETWEEN
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.identity import own
from warehouse_pipelines.unified.identity.normalise import Raw, token
from warehouse_pipelines.unified.people import (
    Join,
    People,
    Pointer,
)

NOT_ERASED = sql.SQL("(pg_column_size(t.raw_data) > 60 OR t.raw_data <> {}::jsonb)").format(ERASED_RECORD)
"""Of an erased person there is no record. A longer document is none of these, and is not fetched to be compared."""


class Reading(NamedTuple):
    """How the rows of a table are read.

    ``select``  all rows of the table, which is ``t``; a condition may follow
    ``only``    the condition that a row is a record; ``excluded`` that it is none any more, where rows can come to that
    ``raw``     makes a ``Raw`` of a row of its result
    ``keys``    what the key's columns are called
    ``reached`` for each table that is joined, the keys of ``t`` whose record a change since ``%(since)s`` is part of
    """

    row: People
    select: sql.Composed
    only: sql.Composable
    excluded: sql.Composable | None
    raw: Callable[[Sequence[Any]], Raw]
    keys: tuple[str, ...]
    reached: tuple[tuple[str, sql.Composable], ...]


def reading(row: People) -> Reading:
    """Return how the table of ``row`` is read. Raises ``KeyError`` for a table or a column that there is not."""
    joined = Joined(row.table, row.joins)
    # A user who left is no staff any more: crm.add_person_to_dnc_list asks whose a number is.
    deleted = own.is_left(row.table)
    if row.made_up:
        deleted = sql.SQL("({} OR {} IS TRUE)").format(deleted, joined.column(row.made_up))
    created = joined.column(row.created) if row.created else columns.time_of(row.table, "t", "source_created_at")
    updated = sql.SQL("t.sync_updated_at")
    edited = (
        sql.SQL("coalesce({}, {})").format(joined.column(row.edited), updated)
        if row.edited
        else columns.edited("t", row.table, updated)
    )
    emails = [_email(joined, one) for one in row.emails.split()]
    phones = [joined.number(one) for one in row.phones.split()]
    select = sql.SQL("SELECT {columns}\nFROM {tables}").format(
        columns=sql.SQL(", ").join(
            [
                columns.key("t", row.table),
                deleted,
                sql.SQL("coalesce({}, t.sync_created_at)").format(created),
                edited,
                *(_text(joined, one) for one in (row.first, row.middle, row.last, row.full, row.business)),
                *emails,
                *phones,
                *(
                    _text(joined, one)
                    for place in row.places
                    for one in (place.street, place.unit, place.city, place.state, place.zip)
                ),
                *(_pointer(joined, pointer) for pointer in row.ids),
                *(_text(joined, pointer.by) for pointer in row.ids),
            ]
        ),
        tables=joined.from_clause(),
    )
    raw = _converter(row, len(emails), len(phones))
    reached = tuple((join.table, keys_of) for join in row.joins for keys_of in _reached(joined, join))
    return Reading(row, select, *_limits(joined, row), raw, columns.entities()[row.table].keys, reached)


def _limits(joined: Joined, row: People) -> tuple[sql.Composable, sql.Composable | None]:
    """Return the condition that a row is a record, and the one that it is none any more."""
    excluded = joined.column(row.excluded) if row.excluded else None
    only: list[sql.Composable] = [NOT_ERASED]
    if excluded:
        only.append(sql.SQL("NOT {}").format(excluded))
    if row.within:
        only.append(sql.SQL("{} = ANY (%(organizations)s)").format(joined.column(row.within)))
    return sql.SQL(" AND ").join(only), excluded


def _text(joined: Joined, written: str) -> sql.Composable:
    """Return columns as a text. One alone is not trimmed: ``normalise`` does that, for each of a dozen columns."""
    if not written or "|" in written:
        return joined.value(written)
    return sql.SQL("{}::text").format(joined.column(written))


def _email(joined: Joined, written: str) -> sql.Composable:
    if "|" not in written and joined.kind(written) == "jsonb":
        return _of_list(joined.column(written), "email", sql.SQL(""))
    return _text(joined, written)


def _pointer(joined: Joined, pointer: Pointer) -> sql.Composable:
    if not pointer.member:
        return _text(joined, pointer.column)
    named = sql.SQL(" WHERE lower(one ->> 'name') = {}").format(sql.Literal(pointer.member))
    return _of_list(joined.column(pointer.column), "value", named)


def _reached(joined: Joined, join: Join) -> Iterator[sql.Composable]:
    """Yield the statements that select the keys of ``t`` whose record has a changed row of ``join`` in it.

    They begin at the changed rows, with a statement for each column that these may equal, so that indexes serve.
    """
    keys = sql.SQL(", ").join(sql.Identifier("t", one) for one in columns.entities()[joined.own].keys)
    for equals in join.equals.split("|"):
        name, dot, _ = equals.partition(".")
        between: sql.Composable = sql.SQL("")
        condition = joined.equal(join, equals)
        if dot:
            middle = joined.joins[name]
            between = sql.SQL(" JOIN {} AS {} ON {}").format(
                columns.table(middle.table), sql.Identifier(name), condition
            )
            condition = joined.equal(middle, middle.equals)
        yield sql.SQL("SELECT {} FROM {} AS {}{} JOIN {} AS t ON {} WHERE {} >= %(since)s").format(
            keys,
            columns.table(join.table),
            sql.Identifier(join.name),
            between,
            columns.table(joined.own),
            condition,
            sql.Identifier(join.name, "sync_updated_at"),
        )


def _of_list(value: sql.Composable, member: str, condition: sql.Composable) -> sql.Composable:
    """Return the SQL of one member of all objects of a JSON list, apart by blanks."""
    return sql.SQL(
        "(SELECT string_agg(one ->> {1}, ' ') FROM jsonb_array_elements("
        "CASE jsonb_typeof({0}) WHEN 'array' THEN {0} ELSE '[]' END) AS one{2})"
    ).format(value, sql.Literal(member), condition)


_NO_KEYS = frozenset(["", "0", "null", "none"])


def _converter(row: People, emails: int, phones: int) -> Callable[[Sequence[Any]], Raw]:
    """Return the function that makes a ``Raw`` of what ``select`` returns, in its order."""
    table, kind, caller_id = row.table, row.kind, row.caller_id
    of_phones = 9 + emails
    of_places = of_phones + phones
    of_ids = of_places + 5 * len(row.places)
    places = [slice(of_places + 5 * number, of_places + 5 * number + 5) for number in range(len(row.places))]
    first_place = places[0] if places else slice(0, 0)
    split = [(of_ids + at, of_ids + len(row.ids) + at, pointer) for at, pointer in enumerate(row.ids)]

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
