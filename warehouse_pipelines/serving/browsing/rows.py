"""Pages of a table's rows: every statement that reads them for the API, the pages and the export is composed here.

    page = await read_page(session, table, Wanted(size=50, filters=...))

A page begins behind a position: the values by which rows are ordered, as PostgreSQL writes them. So pages neither
repeat nor leave out a row when others are added, and the last one costs what the first does. Each statement reads an
index in its order and ends at a limit, or takes the at most ``CANDIDATES`` rows that an index finds for a filter:

    no filter               the index of the order, so many rows as the page has
    an index finds a filter all that it finds, if it is not too many: filtered and ordered in memory
    else                    the index of the order, ``WALKED`` rows, filtered; the page says where it ended, to go on

So none is slower for a large table, whatever is asked; ``PLAN`` keeps the planner from reading a table as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg import sql

from warehouse_pipelines.serving.browsing.filters import Filter
from warehouse_pipelines.serving.browsing.table import Column, Table
from warehouse_pipelines.serving.problems import Refusal

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

CANDIDATES = 5_000
WALKED = 20_000
COST = 200_000
"""What a walk may cost: a value that is looked at counts 1, a mask of one ``MASKED_COST``, for it is a hash or so."""
MASKED_COST = 20
FEWEST = 1_000

PLAN = """
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
"""

AS_THEY_ARE = ("boolean", "smallint", "integer", "bigint", "double precision", "real", "json", "jsonb", "text[]")
POSITION, PLACE, MEETS, KEY = " position ", " place ", " meets ", " key "
"""Names of what is read beside the columns, which no column of ours has."""


@dataclass(frozen=True)
class Search:
    """Texts that contain a word, in one of these columns, whether in capitals or not."""

    columns: tuple[Column, ...]
    word: str

    @property
    def condition(self) -> sql.Composable:
        """The condition; it takes the word once for each column."""
        found = [sql.SQL("{} ILIKE %s").format(column.identifier) for column in self.columns]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(found)) if found else sql.SQL("false")

    @property
    def given(self) -> tuple[Any, ...]:
        """The parameters of the condition."""
        escaped = self.word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return (f"%{escaped}%",) * len(self.columns)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a table. ``position`` is that of the row before the page, or ``backwards`` behind it.

    ``columns`` are read, or all; texts to ``longest`` characters, or whole.
    """

    size: int
    order: tuple[Column, ...]
    descending: bool = False
    position: tuple[str, ...] | None = None
    backwards: bool = False
    filters: tuple[Filter, ...] = ()
    search: Search | None = None
    columns: tuple[Column, ...] = ()
    longest: int | None = None

    @property
    def reads_down(self) -> bool:
        """Whether the index is read from its end."""
        return self.descending != self.backwards


@dataclass(frozen=True)
class Page:
    """Rows, and the positions to go on from; None where nothing is there.

    ``walked`` is how many rows were looked at by a walk that ended at its limit; then there may be others behind it.
    """

    rows: list[dict[str, Any]]
    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None
    walked: int | None = None
    positions: list[tuple[str, ...]] = field(default_factory=list)


def read_position(given: str, order: Sequence[Column]) -> tuple[str, ...]:
    """Return the position that an address has. Raises ``Refusal``."""
    try:
        found = msgspec.json.decode(given, type=tuple[str, ...])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError):
        found = ()
    if len(found) != len(order) or not found:
        raise Refusal(422, "The cursor is none that was given for this table.")
    return found


def write_position(position: tuple[str, ...] | None) -> str | None:
    """Return a position as an address has it."""
    return None if position is None else msgspec.json.encode(position).decode()


async def read_page(session: "Session", table: Table, wanted: Wanted) -> Page:
    """Return a page of rows, within a transaction that reads. Raises ``psycopg.Error``."""
    await session.execute(PLAN)
    if not wanted.order:
        return await _unordered(session, table, wanted)
    return await (_of_accounts if table.accounts else _ordered)(session, table, wanted)


async def _ordered(session: "Session", table: Table, wanted: Wanted) -> Page:
    if not wanted.filters and wanted.search is None:
        rows = await _ask(session, _in_order(table, wanted, _values(table, wanted), wanted.size + 1))
        return _page(rows, wanted)
    if (page := await _sought(session, table, wanted)) is not None:
        return page
    return await _walk(session, table, wanted)


async def _of_accounts(session: "Session", table: Table, wanted: Wanted) -> Page:
    """Read a view of all accounts, one account after the other: each table has an index of its key, all have none."""
    begun = wanted.position[0] if wanted.position else None
    named = [one.value for one in wanted.filters if one.column.name == "account" and one.operator == "is"]
    rows: list[dict[str, Any]] = []
    for account in sorted(table.accounts, reverse=wanted.reads_down):
        passed = begun is not None and (account > begun if wanted.reads_down else account < begun)
        if passed or any(account != one for one in named):
            continue
        position = wanted.position[1:] if wanted.position and account == begun else None
        asked = replace(wanted, size=wanted.size + 1 - len(rows), order=wanted.order[1:], position=position)
        page = await _ordered(session, replace(table, account=account), asked)
        found = [row | {POSITION: (account, *at)} for row, at in zip(page.rows, page.positions, strict=True)]
        rows += reversed(found) if wanted.backwards else found
        end = page.before if wanted.backwards else page.after
        if page.walked is not None and end is not None and len(rows) <= wanted.size:
            at = (account, *end)
            ended = replace(_page(rows, wanted), walked=page.walked)
            return replace(ended, before=at) if wanted.backwards else replace(ended, after=at)
        if len(rows) > wanted.size:
            break
    return _page(rows, wanted)


async def read_row(session: "Session", table: Table, key: Sequence[str], *, longest: int | None = None) -> Any:
    """Return the row of this key, or None. Raises ``psycopg.Error``, for a value that is none of its type too."""
    statement = sql.SQL("SELECT {} FROM {} WHERE ({}) = ({})").format(
        _shown(table.columns, longest), table.source, _names(table.key), _casts(table.key)
    )
    await session.execute(PLAN)
    return await (await session.execute(statement, list(key))).fetchone()


async def read_exact(session: "Session", table: Table, tries: Sequence[tuple[Column, str]], wanted: Wanted) -> Page:
    """Return rows in which an indexed column is exactly the value that is tried for it, at most a page of them."""
    await session.execute(PLAN)
    if not tries or not table.has_plain_key:
        return Page([])
    parts, given = [], []
    for column, value in tries:
        parts.append(
            sql.SQL("(SELECT {} FROM {} WHERE {} = {} LIMIT {})").format(
                _names(table.key), table.source, column.identifier, column.cast(), sql.Literal(wanted.size + 1)
            )
        )
        given.append(value)
    inner = sql.SQL(" UNION ").join(parts)
    statement = sql.SQL("SELECT {} FROM {} JOIN ({}) AS found ({}) USING ({}) ORDER BY {} LIMIT {}").format(
        _qualified(table, wanted), table.source, inner, _names(table.key), _names(table.key), _names(table.key),
        sql.Literal(wanted.size + 1),
    )  # fmt: skip
    rows = await (await session.execute(statement, given)).fetchall()
    return Page(rows[: wanted.size], None, None, None, [_taken(row, POSITION) for row in rows[: wanted.size]])


def value(column: Column, longest: int | None = None) -> sql.Composable:
    """Return a value as it is answered: exact numbers and times as texts, since no number of JSON holds them all."""
    name = column.identifier
    if longest is not None and column.kind == "text":
        return sql.SQL("left({}, {})").format(name, sql.Literal(longest))
    if longest is not None and (column.type in ("json", "jsonb") or column.type.endswith("[]")):
        # A large document is not unpacked to show its beginning.
        return sql.SQL("CASE WHEN pg_column_size({}) < 8000 THEN left({}::text, {}) ELSE '…' END").format(
            name, name, sql.Literal(longest)
        )
    if column.type in AS_THEY_ARE:
        return name
    if column.kind == "time":
        return sql.SQL("to_json({}) #>> '{{}}'").format(name)  # in the form of ISO 8601, infinity too
    return sql.SQL("{}::text").format(name)


def _shown(columns: Sequence[Column], longest: int | None) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(value(column, longest), column.identifier) for column in columns
    )


def _position(order: Sequence[Column]) -> sql.Composed:
    """Return the position of a row: what it is ordered by, as PostgreSQL writes it."""
    parts = sql.SQL(", ").join(sql.SQL("{}::text").format(column.identifier) for column in order)
    return sql.SQL("ARRAY[{}]::text[] AS {}").format(parts, sql.Identifier(POSITION))


def _values(table: Table, wanted: Wanted) -> sql.Composed:
    shown = _shown(wanted.columns or table.columns, wanted.longest)
    return sql.SQL("{}, {}").format(shown, _position(wanted.order)) if wanted.order else shown


def _qualified(table: Table, wanted: Wanted) -> sql.Composed:
    # The key is the columns' that were joined by USING, so names need no table.
    return sql.SQL("{}, {}").format(_shown(wanted.columns or table.columns, wanted.longest), _position(table.key))


def _names(columns: Sequence[Column]) -> sql.Composed:
    return sql.SQL(", ").join(column.identifier for column in columns)


def _casts(columns: Sequence[Column]) -> sql.Composed:
    return sql.SQL(", ").join(column.cast() for column in columns)


def _in_order(
    table: Table, wanted: Wanted, selected: sql.Composable, limit: int, also: Sequence[Filter] = ()
) -> tuple[sql.Composed, list[Any]]:
    """Compose a read of the index of the order, behind the position, which ends at the limit."""
    conditions: list[sql.Composable] = [one.condition for one in also]
    given: list[Any] = [value for one in also for value in one.given]
    lead = wanted.order[0]
    if lead.key_place is None and not lead.required:
        conditions.append(sql.SQL("{} IS NOT NULL").format(lead.identifier))
    behind, position = _behind(wanted)
    conditions += behind
    given += position
    statement = sql.SQL("SELECT {} FROM {}").format(selected, table.source)
    if conditions:
        statement += sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions))
    statement += sql.SQL(" ORDER BY {} LIMIT {}").format(_sorted(wanted), sql.Literal(limit))
    return statement, given


def _behind(wanted: Wanted) -> tuple[list[sql.Composable], list[str]]:
    if wanted.position is None:
        return [], []
    sign = sql.SQL("<" if wanted.reads_down else ">")
    return [sql.SQL("({}) {} ({})").format(_names(wanted.order), sign, _casts(wanted.order))], list(wanted.position)


def _sorted(wanted: Wanted) -> sql.Composed:
    """Return the order. Of ``t``: a bare name would be the value that is answered, which no index has the order of."""
    word = sql.SQL(" DESC" if wanted.reads_down else "")
    return sql.SQL(", ").join(sql.SQL("t.{}{}").format(column.identifier, word) for column in wanted.order)


def _asked(wanted: Wanted) -> tuple[sql.Composable, list[Any], tuple[Column, ...]]:
    """Return what rows must meet, its parameters, and the columns that it is asked of."""
    parts: list[Filter | Search] = [*wanted.filters, *([wanted.search] if wanted.search else [])]
    columns = [one.column for one in wanted.filters] + [*(wanted.search.columns if wanted.search else ())]
    given = [value for one in parts for value in one.given]
    return sql.SQL(" AND ").join(one.condition for one in parts), given, tuple(dict.fromkeys(columns))


async def _ask(session: "Session", asked: tuple[sql.Composed, list[Any]]) -> list[dict[str, Any]]:
    return await (await session.execute(*asked)).fetchall()


async def _unordered(session: "Session", table: Table, wanted: Wanted) -> Page:
    """Read what has no order to page by, such as a view that counts: its first rows, and whether it has more."""
    meets, given, _ = _asked(wanted) if wanted.filters or wanted.search else (sql.SQL("true"), [], ())
    statement = sql.SQL("SELECT {} FROM {} WHERE {} LIMIT {}").format(
        _values(table, wanted), table.source, meets, sql.Literal(wanted.size + 1)
    )
    rows = await _ask(session, (statement, given))
    return Page(rows[: wanted.size], walked=wanted.size if len(rows) > wanted.size else None)


async def _sought(session: "Session", table: Table, wanted: Wanted) -> Page | None:
    """Return the page of the rows that an index finds for a filter; None where no index does, or too many are found."""
    meets, values, columns = _asked(wanted)
    for lead in dict.fromkeys(one.column for one in wanted.filters if one.seeks):
        seeking = [one for one in wanted.filters if one.seeks and one.column is lead]
        if not table.has_plain_key:
            return None
        inner = tuple(dict.fromkeys((*wanted.order, *table.key, *columns)))
        condition = sql.SQL(" AND ").join(one.condition for one in seeking)
        behind, position = _behind(wanted)
        kept = sql.SQL(" AND ").join([
            meets, *behind, *(sql.SQL("{} IS NOT NULL").format(column.identifier) for column in wanted.order)
        ])  # fmt: skip
        statement = sql.SQL("""
            WITH candidate AS MATERIALIZED (SELECT {inner} FROM {table} WHERE {condition} LIMIT {most})
            SELECT (SELECT count(*) FROM candidate) AS seen, ARRAY(
                SELECT ARRAY[{key}]::text[] FROM candidate AS t WHERE {kept} ORDER BY {order} LIMIT {size}) AS keys
            """).format(
            inner=_names(inner), table=table.source, condition=condition, most=sql.Literal(CANDIDATES + 1),
            key=sql.SQL(", ").join(sql.SQL("{}::text").format(column.identifier) for column in table.key),
            kept=kept, order=_sorted(wanted), size=sql.Literal(wanted.size + 1),
        )  # fmt: skip
        given = [value for one in seeking for value in one.given] + values + position
        (row,) = await _ask(session, (statement, given))
        if row["seen"] <= CANDIDATES:
            return _page(await _by_key(session, table, wanted, row["keys"]), wanted)
    return None


async def _walk(session: "Session", table: Table, wanted: Wanted) -> Page:
    """Look at rows in their order, at most so many, for those that meet what is asked.

    The limits within keep the rows in the order of the index up to the outermost select.
    """
    meets, given, columns = _asked(wanted)
    lead = wanted.order[0]
    bounding = [one for one in wanted.filters if one.seeks and one.column is lead]
    by_key = table.has_plain_key
    if by_key:
        inner: tuple[Column, ...] = tuple(dict.fromkeys((*wanted.order, *table.key, *columns)))
        key = sql.SQL(", ").join(sql.SQL("{}::text").format(column.identifier) for column in table.key)
        selected: sql.Composable = sql.SQL("ARRAY[{}]::text[] AS {}").format(key, sql.Identifier(KEY))
        most = _affordable(columns)
    else:
        inner = tuple(dict.fromkeys((*table.columns, *wanted.order)))
        selected = _shown(wanted.columns or table.columns, wanted.longest)
        most = _affordable(inner)
    walked, walked_given = _in_order(table, wanted, _names(inner), most, bounding)
    statement = sql.SQL("""
        SELECT {selected}, {position}, {meets} AS {met}, {place}
        FROM (SELECT *, row_number() OVER () AS {place} FROM ({walked}) AS walked) AS numbered
        WHERE ({meets}) OR {place} = {most} LIMIT {size}
        """).format(
        selected=selected, position=_position(wanted.order), meets=meets, met=sql.Identifier(MEETS),
        place=sql.Identifier(PLACE), walked=walked, most=sql.Literal(most), size=sql.Literal(wanted.size + 2),
    )  # fmt: skip
    found = await _ask(session, (statement, [*given, *walked_given, *given]))
    hits = [row for row in found if row.pop(MEETS)]
    end = found[-1] if found and len(hits) <= wanted.size and found[-1][PLACE] == most else None
    end_position = None if end is None else tuple(end[POSITION])
    for row in hits:
        row.pop(PLACE)
    page = _page(await _by_key(session, table, wanted, [row[KEY] for row in hits]) if by_key else hits, wanted)
    if end_position is None:
        return page
    if wanted.backwards:
        return replace(page, before=end_position, walked=most)
    return replace(page, after=end_position, walked=most)


def _affordable(columns: Sequence[Column]) -> int:
    """Return how many rows a walk may look at these columns of."""
    cost = sum(1 if one.plain else MASKED_COST for one in columns)
    return max(min(WALKED, COST // max(cost, 1)), FEWEST)


async def _by_key(session: "Session", table: Table, wanted: Wanted, keys: Sequence[Sequence[str]]) -> list[Any]:
    """Return the rows of these keys in the order of the page."""
    if not keys:
        return []
    places = [list(part) for part in zip(*keys, strict=True)]
    lists = sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in places)
    casts = sql.SQL(", ").join(
        sql.SQL("k.{}::{}").format(sql.Identifier(f"k{place}"), sql.SQL(column.type))
        for place, column in enumerate(table.key)
    )
    found = sql.SQL(", ").join(sql.Identifier(f"k{place}") for place in range(len(places)))
    statement = sql.SQL(
        "SELECT {values} FROM {table} WHERE ({key}) IN (SELECT {casts} FROM unnest({lists}) AS k ({found}))"
        " ORDER BY {order}"
    ).format(
        values=_values(table, wanted), table=table.source, key=_names(table.key), casts=casts, lists=lists,
        found=found, order=_sorted(wanted),
    )  # fmt: skip
    return await _ask(session, (statement, places))


def _page(rows: list[dict[str, Any]], wanted: Wanted) -> Page:
    """Return a page of rows that were read in the order of the page, one more than it has where there are others."""
    more, rows = len(rows) > wanted.size, rows[: wanted.size]
    positions = [_taken(row, POSITION) for row in rows]
    if wanted.backwards:
        rows.reverse()
        positions.reverse()
    first, last = (positions[0], positions[-1]) if positions else (wanted.position, wanted.position)
    if wanted.backwards:
        return Page(rows, first if more else None, last, None, positions)
    return Page(rows, first if wanted.position else None, last if more else None, None, positions)


def _taken(row: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(row.pop(name))
