"""Numbers and e-mail addresses of the business and of its staff: which they are, while their rows are in use.

    found = own.read(session)             # what customers' records are read without, see ``normalise``

A rep types his own number or address into contacts who gave none, and a tracker's number stands in others. The feed
lists none of these numbers as an opt-out, by the same rule.

Decided:

- A row that is archived or out of use has left its number: a carrier gives it to somebody else, who may be a customer.
- The address of an office (``info@``) stays in the records: it may be written to, and is no evidence.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.identity.normalise import Own, address_keys
from warehouse_pipelines.unified.people_rows import (
    OUT_OF_USE,
    OWN_NUMBERS,
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Column = Callable[[str, str, str], sql.Composable]
"""Makes SQL of an alias, a table and a declared column: ``columns.one`` or ``columns.e164``."""

STAFF = tuple(row for row in PEOPLE if row.kind == "staff")

NUMBERS: tuple[tuple[str, str], ...] = (
    *OWN_NUMBERS,
    *((row.table, column) for row in STAFF for column in row.phones.split()),
)
"""Tables with numbers of the business or of its staff, and the columns."""


def read(session: "Session") -> Own:
    """Return what rows in use have. The tables are small: they are read as a whole."""
    addresses = [(row.table, column) for row in STAFF for column in row.emails.split()]
    return Own(
        frozenset(_values(session, columns.e164, OWN_NUMBERS)),
        frozenset(_values(session, columns.e164, NUMBERS[len(OWN_NUMBERS) :])),
        frozenset(key for text in _values(session, columns.one, addresses) for key in address_keys(text)),
    )


def numbers() -> sql.Composed:
    """Return the statement that selects the numbers of rows in use, as ``value``."""
    return _selected(columns.e164, NUMBERS)


def is_left(table: str) -> sql.Composable:
    """Return the condition that a row of the table, as ``t``, is in use no more."""
    if table not in OUT_OF_USE:
        return sql.SQL("t.archived")
    column, value = OUT_OF_USE[table]
    return sql.SQL("(t.archived OR lower({}::text) IS NOT DISTINCT FROM {})").format(
        columns.one("t", table, column), sql.Literal(value)
    )


def _values(session: "Session", read_as: Column, written: Sequence[tuple[str, str]]) -> Iterator[str]:
    for row in session.execute(_selected(read_as, written)):
        yield row["value"]


def _selected(read_as: Column, written: Sequence[tuple[str, str]]) -> sql.Composed:
    return sql.SQL(" UNION ").join(
        sql.SQL("SELECT {0}::text AS value FROM {1} AS t WHERE {0} IS NOT NULL AND NOT {2}").format(
            read_as("t", table, column), columns.table(table), is_left(table)
        )
        for table, column in written
    )
