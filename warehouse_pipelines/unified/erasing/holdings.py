"""Where the warehouse holds something of a person: its tables as the database has them, and the rows that are theirs.

``rows_of`` begins with the records that identity names, and goes on to rows that point at them: a contact's inquiries,
an appointment's visit, a job's change orders. It follows the declared ids (``Entity.refs``, ``People.ids``) against
their direction only, so it never gets from a customer to an employee, a branch or a list of words; from employees it
goes nowhere. ``THROUGH`` names the few tables of pairs behind which there is another row of the person.

A row that identity gave to another person is not theirs, whatever points where.
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.model.accounts import by_table, per_account
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.schema.personal import is_text
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.erasing.subject import Rows, Subject
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

SCHEMAS = (
    "public", "pipedesk", "orchestration", "access", "crm", "crm_archive", "identity", "marts", "reverse_etl",
    *(source.name for source in SOURCES if source.account),
)  # fmt: skip
"""What is ours; every table in them is searched."""

_THROUGH: Mapping[str, tuple[str, str]] = {
    "hubspot_contact_to_deal_association": ("contact_id", "deal_id"),
    "hubspot_appointment_to_contact_association": ("contact_id", "appointment_id"),
    "pipedesk.lead_contacts": ("contact_id", "lead_id"),
}
THROUGH: Mapping[str, tuple[str, str]] = by_table(_THROUGH, SOURCES)
"""Tables of pairs: who is in the first column alone has the row that the second one names, such as a deal."""

_SAME_KEY = (("marketsharp_contact", "marketsharp_lead", "marketsharp_prospect", "marketsharp_customer"),)
SAME_KEY = per_account(_SAME_KEY, SOURCES)
"""Four tables, in each account, that show the same contacts under the same key."""


@dataclass(frozen=True)
class DatabaseColumn:
    """A column as the database has it."""

    name: str
    type: str
    generated: bool
    required: bool
    in_key: bool

    @property
    def is_text(self) -> bool:
        return is_text(self.type)


@dataclass(frozen=True)
class DatabaseTable:
    """A table as the database has it; ``entity`` is the one that fills it, None for tables of our own."""

    schema: str
    name: str
    columns: tuple[DatabaseColumn, ...]
    entity: Entity | None

    @property
    def label(self) -> str:
        """What it is called: as its asset for a table of a source, with its schema for any other."""
        return self.entity.table if self.entity else f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def texts(self) -> tuple[DatabaseColumn, ...]:
        """The columns that can hold a word about somebody and can be written."""
        return tuple(column for column in self.columns if column.is_text and not column.generated)

    def key(self, row: str = "t") -> sql.Composable:
        """Return the key of a row that is called so, as a text."""
        names = self.entity.keys if self.entity else [column.name for column in self.columns if column.in_key]
        texts = [sql.SQL("{}::text").format(sql.Identifier(row, name)) for name in names]
        return sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(texts)) if texts else sql.SQL("''")

    def having(self, keys: Collection[str], row: str = "t") -> sql.Composable:
        """Return the condition that a row has one of these keys; by the index if the key is one column."""
        if self.entity and len(self.entity.keys) == 1:
            (name,) = self.entity.keys
            type_ = next(column.type for column in self.columns if column.name == name)
            return sql.SQL("{} = ANY({}::text[]::{}[])").format(
                sql.Identifier(row, name), sql.Literal(sorted(keys)), sql.SQL(type_)
            )
        return sql.SQL("{} = ANY({}::text[])").format(self.key(row), sql.Literal(sorted(keys)))


@functools.cache
def entities() -> Mapping[str, Entity]:
    """Return all entities by their table, with the columns of this installation."""
    return {entity.table: entity for source in SOURCES for entity in source.entities}


def tables(session: "Session") -> dict[str, DatabaseTable]:
    """Return the tables of ``SCHEMAS`` by their label, in order; of a table in parts the parts.

    Raises ``NotConfigured`` when there are tables of an account that is not declared.
    """
    require_declared(session)
    return tables_of_database(session)


def tables_of_database(session: "Session") -> dict[str, DatabaseTable]:
    """Return what ``tables`` does of whichever database the session is of, such as Dagster's storage."""
    rows = session.execute(
        """
        SELECT n.nspname AS schema, c.relname AS name, a.attname AS column, a.attnotnull AS required,
            format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' OR a.attidentity <> '' AS generated,
            coalesce(a.attnum = ANY(i.indkey), false) AS in_key
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
        WHERE n.nspname = ANY(%s) AND c.relkind = 'r' AND c.relpersistence <> 't'
        ORDER BY 1, 2, a.attnum
        """,
        [list(SCHEMAS)],
    ).fetchall()
    grouped: dict[tuple[str, str], list[DatabaseColumn]] = {}
    for row in rows:
        column = DatabaseColumn(row["column"], row["type"], row["generated"], row["required"], row["in_key"])
        grouped.setdefault((row["schema"], row["name"]), []).append(column)
    found = []
    for (schema, name), columns in grouped.items():
        entity = entities().get(name if schema == "public" else f"{schema}.{name}")
        found.append(DatabaseTable(schema, name, tuple(columns), entity))
    return {table.label: table for table in found}


def _references() -> Iterator[tuple[str, str, str]]:
    """Yield the columns that point at a table's key: whose table, the column, the table that is pointed at."""
    for entity in entities().values():
        for column, target in entity.refs.items():
            if "(" not in target:
                yield entity.table, column, target
    for row in PEOPLE:
        called = {declared: name for name, declared in entities()[row.table].local.renamed.items()}
        for pointer in row.ids:
            plain = not (pointer.prefix or pointer.separator or pointer.member or pointer.by)
            if plain and pointer.table in entities() and not set("|.") & set(pointer.column):
                column = called.get(pointer.column, pointer.column)
                if column in entities()[row.table].columns:
                    yield row.table, column, pointer.table


@functools.cache
def pointing_at() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return, by table, which columns of which other tables point at its key."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for table, column, target in _references():
        row = BY_TABLE.get(target)
        if (row is None or row.kind != "staff") and table != target:
            found.setdefault(target, {})[table, column] = None
    return {target: tuple(columns) for target, columns in found.items()}


@functools.cache
def reachable() -> frozenset[str]:
    """Return the tables of sources that may hold rows of a person: those of people, and what points at them."""
    found = {row.table for row in PEOPLE}
    queue = [row.table for row in PEOPLE if row.kind != "staff"]
    while queue:
        target = queue.pop()
        more = [table for table, _ in pointing_at().get(target, ())]
        more += [] if target not in THROUGH else [entities()[target].refs[THROUGH[target][1]]]
        queue += [table for table in more if table not in found]
        found.update(more)
    return frozenset(found)


def rows_of(
    session: "Session", there: Mapping[str, DatabaseTable], subject: Subject, found: Rows | None = None
) -> dict[str, frozenset[str]]:
    """Return all rows of sources that are the subject's; ``there`` are the ``tables``.

    ``found`` are some that were found otherwise.
    """
    rows: dict[str, set[str]] = {}
    queue: list[tuple[str, frozenset[str]]] = []

    def add(table: str, keys: Collection[str]) -> None:
        new = set(keys) - rows.get(table, set())
        if not new or table not in there:
            return
        rows.setdefault(table, set()).update(new)
        queue.append((table, frozenset(new)))

    for given in (subject.records, found or {}):
        for table, keys in given.items():
            add(table, _not_of_others(session, subject, table, keys) if given is found else keys)
    while queue:
        target, keys = queue.pop()
        if (row := BY_TABLE.get(target)) and row.kind == "staff":
            continue
        for table, column in pointing_at().get(target, ()):
            if table in there:
                add(table, _not_of_others(session, subject, table, _pointing(session, there[table], column, keys)))
        for table in next((tables for tables in SAME_KEY if target in tables), ()):
            add(table, _not_of_others(session, subject, table, _existing(session, there[table], keys)))
        if target in THROUGH:
            mine, behind = THROUGH[target]
            person = entities()[target].refs[mine]
            alone = _behind(session, there[target], mine, behind, keys, rows.get(person, set()))
            other = entities()[target].refs[behind]
            add(other, _not_of_others(session, subject, other, alone))
    return {table: frozenset(keys) for table, keys in sorted(rows.items())}


def _pointing(session: "Session", table: DatabaseTable, column: str, keys: Collection[str]) -> set[str]:
    """Return the keys of the rows whose ``column`` has one of these values."""
    type_ = next((one.type for one in table.columns if one.name == column), None)
    if type_ is None:
        return set()
    # What cannot be of the column's type points nowhere.
    good = [key for key in keys if type_ not in ("bigint", "integer") or key.lstrip("-").isdigit()]
    if type_ == "uuid":
        good = [key for key in good if len(key) == 36]
    statement = sql.SQL("SELECT {} AS key FROM {} AS t WHERE t.{} = ANY({}::text[]::{}[])").format(
        table.key(), table.identifier, sql.Identifier(column), sql.Literal(good), sql.SQL(type_)
    )
    return {row["key"] for row in session.execute(statement)}


def _existing(session: "Session", table: DatabaseTable, keys: Collection[str]) -> set[str]:
    statement = sql.SQL("SELECT {} AS key FROM {} AS t WHERE {}").format(
        table.key(), table.identifier, table.having(keys)
    )
    return {row["key"] for row in session.execute(statement)}


def _behind(
    session: "Session", table: DatabaseTable, mine: str, behind: str, keys: Collection[str], own: Collection[str]
) -> set[str]:
    """Return what these pairs name on their other side, if all pairs that name it are the person's."""
    statement = sql.SQL("""
        SELECT t.{behind}::text AS key FROM {table} AS t
        WHERE t.{behind} IN (SELECT t.{behind} FROM {table} AS t WHERE {pairs})
        GROUP BY 1 HAVING bool_and(t.{mine}::text = ANY({own}::text[]))
    """).format(
        behind=sql.Identifier(behind),
        mine=sql.Identifier(mine),
        table=table.identifier,
        pairs=table.having(keys),
        own=sql.Literal(sorted(own)),
    )
    return {row["key"] for row in session.execute(statement)}


def _not_of_others(session: "Session", subject: Subject, table: str, keys: Collection[str]) -> set[str]:
    """Return those of the rows that identity gave to nobody else."""
    if table not in BY_TABLE or not keys:
        return set(keys)
    others = session.execute(
        """
        SELECT source_key FROM identity.member
        WHERE source_table = %(table)s AND source_key = ANY(%(keys)s) AND person_id <> ALL(%(ids)s)
        UNION ALL
        SELECT source_key FROM identity.touch
        WHERE source_table = %(table)s AND source_key = ANY(%(keys)s) AND person_id <> ALL(%(ids)s)
        """,
        {"table": table, "keys": list(keys), "ids": list(subject.person_ids)},
    ).fetchall()
    return set(keys) - {row["source_key"] for row in others}
