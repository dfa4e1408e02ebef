"""A relation that can be browsed, as one visitor sees it: its columns, its key, and what an index can find or order.

    catalogue = Catalogue(pool)
    table = await catalogue.table("hubspot_contact", clear=False, of_all=True)    # raises Refusal

Names come from the catalog alone: what a request says is looked up there, and what is found is quoted. What a table
looks like is kept for ``KEPT_SECONDS``: to ask for it takes longer than to read a page of it.
"""

import re
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import masked_views
from warehouse_pipelines.serving.database import READ, READ_MASKED
from warehouse_pipelines.serving.problems import Refusal, other_organization

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Pool

NAME = re.compile(r"(?:(?P<schema>[a-z_][a-z0-9_]{0,62})\.)?(?P<name>[a-z_][a-z0-9_]{0,62})")
KEPT_SECONDS = 60.0
MOST_KEPT = 500

TIES = 20_000
"""Rows with one value of a column, of which more are sorted in time for a page."""

NUMBERS = ("smallint", "integer", "bigint", "numeric", "double precision", "real")
TIMES = ("timestamp", "date")


@dataclass(frozen=True)
class Column:
    """A column as the visitor sees it.

    ``plain``      its values are those of the table, not masks of them
    ``indexed``    an index begins with it, and holds what the visitor sees
    ``ordered``    rows can be shown in its order: it is indexed, and no value is that of too many rows
    ``bytewise``   texts are in the order of their bytes
    """

    name: str
    type: str
    meaning: str | None
    shown_meaning: str | None
    key_place: int | None
    required: bool
    plain: bool
    indexed: bool
    ordered: bool
    bytewise: bool

    @property
    def identifier(self) -> sql.Identifier:
        """The name, quoted."""
        return sql.Identifier(self.name)

    @property
    def kind(self) -> str:
        """What can be asked of it: ``number``, ``time``, ``text``, ``list``, ``boolean``, ``uuid``, ``other``."""
        if self.type.startswith(NUMBERS) and not self.type.endswith("[]"):
            return "number"
        if self.type.startswith(TIMES) and not self.type.endswith("[]"):
            return "time"
        if self.type == "text" or self.type.startswith("character"):
            return "list" if self.type.endswith("[]") else "text"
        return {"text[]": "list", "boolean": "boolean", "uuid": "uuid"}.get(self.type, "other")

    def cast(self) -> sql.Composed:
        """Return a parameter of the column's type."""
        return sql.SQL("%s::{}").format(sql.SQL(self.type))


@dataclass(frozen=True)
class Table:
    """A relation; ``shown`` is what is read: a view of the schema ``masked``, or with ``clear`` the relation itself.

    A view that only chooses rows and columns of one table has the key and the indexes of that table. A view of all the
    ``accounts`` of a CRM has those of their tables; with ``account`` it is read for one of them. ``token`` tells rows
    apart whose key is masked, and is no column that is shown.
    """

    schema: str
    name: str
    shown: tuple[str, str]
    clear: bool
    about: str | None
    rows: int | None
    is_view: bool
    is_of_organization: bool
    columns: tuple[Column, ...]
    token: Column | None = None
    accounts: tuple[str, ...] = ()
    account: str | None = None

    @property
    def label(self) -> str:
        """What it is called in addresses, in the docs and in ``Entity.table``."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def relation(self) -> str:
        """The name with its schema."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        """What is read, quoted."""
        return sql.Identifier(*self.shown)

    @property
    def source(self) -> sql.Composed:
        """What stands behind FROM; its rows are ``t``."""
        if self.account is None:
            return sql.SQL("{} AS t").format(self.identifier)
        return sql.SQL("(SELECT * FROM {} WHERE account = {}) AS t").format(self.identifier, sql.Literal(self.account))

    @property
    def has_rows_of_others(self) -> bool:
        """Whether rows of all organizations are there and no policy keeps them apart: marts are of all."""
        return not self.is_of_organization and not self.is_of_all

    @property
    def is_of_all(self) -> bool:
        """Whether no column says which organization a row is of: of ``pipedesk`` policies say who, and not which."""
        return self.schema not in ("crm", "marts") or "organization_id" not in self.by_name

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key in its order; none where the visitor does not see them all."""
        found = [(column.key_place, column) for column in self.columns if column.key_place is not None]
        return tuple(column for _, column in sorted(found, key=lambda one: one[0]))

    @cached_property
    def has_plain_key(self) -> bool:
        """Whether a row can be found again by its key."""
        return bool(self.key) and all(column.plain for column in self.key)

    def order(self, by: str | None = None) -> tuple[Column, ...]:
        """Return the columns that rows are in the order of: a column and the key, or the key, or none.

        Where the key is masked no index has its order. Then a column leads that an index does have, and that is never
        null. Two keys may have one mask, so the token comes last: without it pages would leave out rows. Raises
        ``Refusal`` for a column that rows cannot be shown in the order of.
        """
        key = self.key
        if key and not self.has_plain_key:
            key = (*key, self.token) if self.token else ()
        if by is not None:
            lead = self.by_name.get(by)
            if lead is None or not lead.ordered or not key:
                raise Refusal(422, "Rows cannot be shown in the order of this column: no index has it.")
            return (lead, *(column for column in key if column is not lead))
        if self.has_plain_key or (self.rows is not None and 0 <= self.rows <= TIES):
            return key
        lead = next((one for one in reversed(self.columns) if one.ordered and one.required), None)
        return (lead, *(one for one in key if one is not lead)) if lead and key else ()


class Catalogue:
    """What the tables look like, asked of the database and kept for a while."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._kept: dict[tuple[str, bool], tuple[float, Table]] = {}
        self._list: dict[bool, tuple[float, list[dict[str, Any]]]] = {}

    async def table(self, label: str, *, clear: bool, of_all: bool) -> Table:
        """Return the table of this name.

        Raises ``Refusal`` where there is none that analysts may read, and, unless ``of_all``, where its rows are of all
        organizations.
        """
        found = await self._table(label, clear)
        if found.is_of_all and not of_all:
            raise other_organization()
        return found

    async def _table(self, label: str, clear: bool) -> Table:
        at, kept = self._kept.get((label, clear), (0.0, None))
        if kept is not None and time.monotonic() - at < KEPT_SECONDS:
            return kept
        found = await self._ask(label, clear)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[label, clear] = (time.monotonic(), found)
        return found

    async def tables(self, *, clear: bool, of_all: bool) -> list[dict[str, Any]]:
        """Return what ``table`` gives, in order; with ``clear`` those too that are not there masked."""
        at, kept = self._list.get(clear, (0.0, None))
        if kept is None or time.monotonic() - at >= KEPT_SECONDS:
            async with self._pool.session() as session:
                given = {"role": READ, "masked_role": READ_MASKED}
                rows = await (await session.execute(query("browse_tables"), given)).fetchall()
            kept = [row for row in rows if row["masked"] or clear]
            self._list[clear] = (time.monotonic(), kept)
        return kept if of_all else [row for row in kept if not row["is_of_all"]]

    async def _ask(self, label: str, clear: bool) -> Table:
        named = NAME.fullmatch(label)
        if named is None:
            raise Refusal(404, "There is no such table to read.")
        schema, name = named["schema"] or "public", named["name"]
        shown = (schema, name) if clear else ("masked", masked_views.name_of(schema, name))
        given = {
            "schema": schema, "name": name, "role": READ if clear else READ_MASKED,
            "shown": sql.Identifier(*shown).as_string(),
        }  # fmt: skip
        async with self._pool.session() as session:
            rows = await (await session.execute(query("browse_columns"), given)).fetchall()
        if not rows:
            raise Refusal(404, "There is no such table to read.")
        first, columns = rows[0], [_column(row) for row in rows]
        if sum(one.key_place is not None for one in columns) < (first["key_size"] or 0):
            columns = [replace(one, key_place=None) for one in columns]
        token = None if clear else next((one for one in columns if one.name == masked_views.ROW_TOKEN), None)
        return Table(
            schema, name, shown, clear, first["about"], first["rows"], first["is_view"], first["is_of_organization"],
            tuple(one for one in columns if one is not token), token, tuple(sorted(first["accounts"] or ())),
        )  # fmt: skip


def _column(row: dict[str, Any]) -> Column:
    indexed = bool(row["plain"] and row["indexed"])
    few_ties = row["ties"] is None or row["ties"] <= TIES
    return Column(
        row["name"], row["type"], row["meaning"], row["shown_meaning"], row["key_place"], bool(row["required"]),
        bool(row["plain"]), indexed, indexed and few_ties and row["accounts"] is None, bool(row["bytewise"]),
    )  # fmt: skip
