"""Take a person out of rows: empty those of sources, delete records as they were sent, tell whose a row is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from psycopg import sql

from warehouse_pipelines.loading.erased import ERASED_RECORD, own_columns
from warehouse_pipelines.schema.personal import treatment
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.erasing.holdings import DatabaseColumn, DatabaseTable
from warehouse_pipelines.unified.erasing.subject import Rows, Subject
from warehouse_pipelines.unified.erasing.token_scan import UNKNOWN, Hit, Tokens
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Action = Literal["empty", "delete", "replace", "erase", "hash"]


@dataclass(frozen=True)
class Part:
    """What is done to rows of a table.

    ``empty`` takes personal columns out, ``delete`` the row, ``replace`` puts ``[erased]`` in place of what was found,
    ``erase`` is what the schema crm does itself, ``hash`` leaves a number of the do-not-call list as a hash.
    """

    table: str
    action: Action
    rows: int
    columns: tuple[str, ...] = ()


def empty(session: "Session", there: Mapping[str, DatabaseTable], rows: Rows) -> list[Part]:
    """Empty these rows of what says something of a person; those that are emptied already do not count."""
    parts = []
    for label, keys in rows.items():
        if keys:
            parts.append(_empty(session, there[label], keys))
    return parts


def _empty(session: "Session", table: DatabaseTable, keys: Collection[str]) -> Part:
    entity = table.entity
    assert entity is not None  # noqa: S101  (rows of sources)
    changes: list[sql.Composable] = []
    named = []
    for column in table.columns:
        how = "keep" if column.generated or column.in_key else treatment(entity, column.name, column.type)
        if how == "keep" or column.name in ("raw_data", "sync_hash"):
            continue
        name, nothing = sql.Identifier(column.name), _nothing(column)
        if how == "clear":
            changes.append(sql.SQL("{} = {}").format(name, nothing))
        else:
            changes.append(
                sql.SQL(
                    "{c} = CASE WHEN EXISTS (SELECT FROM {table} AS o WHERE o.{c} = t.{c} AND NOT ({mine}))"
                    " THEN t.{c} ELSE {nothing} END"
                ).format(c=name, table=table.identifier, mine=table.having(keys, "o"), nothing=nothing)
            )
        named.append(column.name)
    if table.schema == "pipedesk":  # of a row that was made here it is somebody's sentence
        changes.append(sql.SQL("delete_reason = CASE WHEN t.sync_hash IS NOT NULL THEN t.delete_reason END"))
    statement = sql.SQL(
        "UPDATE {table} AS t SET {changes} raw_data = {record}, {unknown}, sync_updated_at = now()"
        " WHERE {mine} AND t.raw_data <> {record}"
    ).format(
        table=table.identifier,
        changes=sql.SQL("").join(sql.SQL("{}, ").format(change) for change in changes),
        record=sql.SQL("{}::jsonb").format(ERASED_RECORD),
        unknown=UNKNOWN,
        mine=table.having(keys),
    )
    done = session.execute(statement).rowcount
    return Part(table.label, "empty", done, (*named, "raw_data"))


def _nothing(column: DatabaseColumn) -> sql.Composable:
    """Return the empty value of a column."""
    if not column.required:
        return sql.SQL("NULL")
    return sql.SQL("'{}'" if column.type.startswith("json") or column.type.endswith("[]") else "''")


def own(session: "Session", table: DatabaseTable, tokens: Tokens, places: Sequence[str]) -> list[str]:
    """Return the keys of those of these rows whose own address or number was found."""
    entity = table.entity
    assert entity is not None  # noqa: S101  (a table of people)
    e164 = {phone: name for name, phone in entity.e164.items()}
    columns = [one for name in own_columns(entity) for one in (name, e164.get(name)) if one]
    if not columns or not places or not tokens.strong:
        return []
    texts = sql.SQL(", ").join(sql.Identifier("t", name) for name in columns)
    statement = sql.SQL(
        "SELECT {} AS key FROM {} AS t WHERE t.ctid = ANY({}::text[]::tid[]) AND concat_ws(' ', {}) ~* {}"
    )
    found = session.execute(
        statement.format(table.key(), table.identifier, sql.Literal(list(places)), texts, tokens.strong)
    )
    return [row["key"] for row in found]


def others(session: "Session", table: DatabaseTable, whom: Subject, hits: Sequence[Hit]) -> set[str]:
    """Return the keys of those rows that are another person's: of them an address or a number alone is replaced."""
    keys = [hit.key for hit in hits]
    if table.schema == "identity" or table.label == "crm.leads":
        return set(keys)
    row = BY_TABLE.get(table.label)
    if row is None:
        return set()
    if row.kind == "staff":
        return set(keys)
    found = session.execute(
        """
        SELECT source_key AS key FROM identity.member WHERE source_table = %(table)s AND source_key = ANY(%(keys)s)
            AND person_id <> ALL(%(ids)s)
        UNION ALL
        SELECT source_key FROM identity.touch WHERE source_table = %(table)s AND source_key = ANY(%(keys)s)
            AND person_id <> ALL(%(ids)s)
        """,
        {"table": table.label, "keys": keys, "ids": list(whom.person_ids)},
    )
    return {one["key"] for one in found}


def delete_dead_letters(session: "Session", rows: Rows) -> int:
    """Delete the dead letters of these records."""
    done = 0
    names = {entity.table: [source.name, entity.name] for source in SOURCES for entity in source.entities}
    for label, keys in rows.items():
        if label in names:
            done += session.execute(
                "DELETE FROM orchestration.dead_letter WHERE crm_source = %s AND sync_type = %s"
                " AND record_key = ANY(%s)",
                [*names[label], list(keys)],
            ).rowcount
    return done


def delete_changes(session: "Session", rows: Rows) -> int:
    """Delete what is logged of changes in these rows."""
    done = 0
    for label, keys in rows.items():
        done += session.execute(
            "DELETE FROM orchestration.change_log WHERE table_name = %s AND record_key = ANY(%s)", [label, list(keys)]
        ).rowcount
    return done


def empty_audit(session: "Session", rows: Rows) -> int:
    """Empty why these rows were deleted or restored, in the audit log of ``pipedesk``."""
    done = 0
    for label, keys in rows.items():
        done += session.execute(
            "UPDATE pipedesk.audit_logs SET reason = NULL WHERE source_table = %s AND source_key = ANY(%s)"
            " AND reason IS NOT NULL",
            [label, list(keys)],
        ).rowcount
    return done


def delete_sent(session: "Session", table: str, rows: Rows) -> int:
    """Delete what was planned for these records, or sent to a vendor, from a table of ``reverse_etl``."""
    subjects = [f"{label}:{key}" for label, keys in rows.items() for key in keys]
    statement = sql.SQL("DELETE FROM {} WHERE subject = ANY(%s)").format(sql.Identifier("reverse_etl", table))
    return session.execute(statement, [subjects]).rowcount if subjects else 0


def delete_places(session: "Session", table: DatabaseTable, places: Sequence[str]) -> int:
    """Delete the rows at these places."""
    statement = sql.SQL("DELETE FROM {} AS t WHERE t.ctid = ANY({}::text[]::tid[])")
    return session.execute(statement.format(table.identifier, sql.Literal(list(places)))).rowcount
