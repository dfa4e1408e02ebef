"""Numbers and e-mail addresses of the business and of its staff: which they are, while their rows are in use.

    found = own.read(session, tables)     # what customers' records are read without, see ``normalise``

A rep types his own number or address into contacts who gave none, and a tracker's number stands in others. The feed
lists none of these numbers as an opt-out, by the same rule.

Decided:

- A row that is archived or out of use has left its number: a carrier gives it to somebody else, who may be a customer.
- The address of an office (``info@``) stays in the records: it may be written to, and is no evidence.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.unified.identity.normalise import Own, address_keys
from warehouse_pipelines.unified.identity.tables import Tables
from warehouse_pipelines.unified.people_rows import (
    OUT_OF_USE,
    OWN_NUMBERS,
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

STAFF = tuple(row for row in PEOPLE if row.kind == "staff")

NUMBERS: tuple[tuple[str, str], ...] = (
    *OWN_NUMBERS,
    *((row.table, column) for row in STAFF for column in row.phones.split()),
)
"""Tables with numbers of the business or of its staff, and the columns."""


def read(session: "Session", tables: Tables) -> Own:
    """Return what rows in use have. The tables are small: they are read as a whole."""
    business = frozenset(_values(session, tables, OWN_NUMBERS, "{}_e164"))
    numbers = frozenset(_values(session, tables, NUMBERS[len(OWN_NUMBERS) :], "{}_e164"))
    columns = tuple((row.table, column) for row in STAFF for column in row.emails.split())
    addresses = frozenset(key for text in _values(session, tables, columns, "{}") for key in address_keys(text))
    return Own(business, numbers, addresses)


def numbers(tables: Tables) -> sql.Composed:
    """Return the statement that selects the numbers of rows in use, as ``value``."""
    return _selected(tables, NUMBERS, "{}_e164")


def is_left(tables: Tables, table: str, alias: str = "t") -> sql.Composable:
    """Return the condition that a row of the table is in use no more."""
    column, value = OUT_OF_USE.get(table, ("", ""))
    called = tables.column(table, column) if column else None
    if called is None:
        return sql.SQL("{}.archived").format(sql.Identifier(alias))
    return sql.SQL("({}.archived OR lower({}::text) IS NOT DISTINCT FROM {})").format(
        sql.Identifier(alias), sql.Identifier(alias, called), sql.Literal(value)
    )


def _values(session: "Session", tables: Tables, columns: tuple[tuple[str, str], ...], spelt: str) -> Iterator[str]:
    for row in session.execute(_selected(tables, columns, spelt)):
        yield row["value"]


def _selected(tables: Tables, columns: tuple[tuple[str, str], ...], spelt: str) -> sql.Composed:
    selects: list[sql.Composable] = [
        sql.SQL("SELECT {0}::text AS value FROM {1} AS t WHERE {0} IS NOT NULL AND NOT {2}").format(
            sql.Identifier("t", called), tables.identifier(table), is_left(tables, table)
        )
        for table, column in columns
        if (called := tables.column(table, spelt.format(column)))
    ]
    return sql.SQL(" UNION ").join(selects or [sql.SQL("SELECT NULL::text AS value WHERE false")])
