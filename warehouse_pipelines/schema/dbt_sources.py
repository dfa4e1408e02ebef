"""A ``sources.yml`` for dbt: every relation that ``warehouse_read`` may read, a dbt source per CRM and per schema.

The form is that of dbt 1.10.8 and newer: ``freshness`` and ``loaded_at_field`` below ``config``, what a test is given
below ``arguments``.

- Descriptions are the comments in the database, so the warehouse must have been migrated.
- A key is tested to be unique and not null, one of several columns as a JSON array of them. ``refs`` and foreign keys
  are ``relationships``, which warn only: a delta may be ahead of the other table's, as in our own checks.
- Fresh is a table whose last good run is as young as ``health`` expects, not one that has new rows: nobody edits a list
  of divisions for months. So ``loaded_at_field`` asks ``orchestration.sync_history``; dbt allows an expression there.
  It warns where ``warehouse status`` calls a run late, and fails after the time that the rate of good runs is of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.model.entity import Entity, target
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.health import limits
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.comments import Name, plain
from warehouse_pipelines.schema.readable import Relation

SCHEMA_NAMES: Mapping[str, str] = {"orchestration": "warehouse_runs", "crm": "warehouse_crm"}
"""What the dbt sources of our own schemas are called, where the schema's name would be taken for a vendor's."""

Node = dict[str, Any]


def document(
    relations: Sequence[Relation],
    sources: Iterable[Source],
    comments: Mapping[Name, str | None],
    schemas: Mapping[str, str | None],
    references: Mapping[Name, Name],
) -> Node:
    """Return the whole file; ``references`` are the foreign keys of one column."""
    declared = [(source, entity) for source in sources for entity in source.entities]
    crms = {entity.table: source for source, entity in declared}
    entities = {entity.table: entity for _, entity in declared}
    found: dict[str, Node] = {}
    names = {(one.schema, one.name): _source_name(one, crms) for one in relations}
    # What the columns of a view of all accounts refer to is another table in each account.
    for relation in (replace(one, entity=None) if one.schema == "accounts" else one for one in relations):
        name = names[relation.schema, relation.name]
        crm = crms[relation.entity.table] if relation.entity else None
        node = found.setdefault(
            name,
            {
                "name": name,
                "description": _safe(
                    f"{crm.title}, by {crm.transport}." if crm else plain(schemas[relation.schema] or "")
                ),
                "schema": relation.schema,
                "loader": "warehouse_pipelines",
                "tables": [],
            },
        )
        refers = {
            column: other for (schema, table, column), other in references.items()
            if column and (schema, table) == (relation.schema, relation.name)
        }  # fmt: skip
        for column, ref in (relation.entity.refs if relation.entity else {}).items():
            other, key = target(ref, entities)
            refers[column] = (other.schema, other.table_name, key)
        node["tables"].append(_table(relation, crm, comments, refers, names))
    return {"version": 2, "sources": [found[name] for name in sorted(found)]}


def _source_name(relation: Relation, crms: Mapping[str, Source]) -> str:
    if relation.entity and relation.entity.table in crms and relation.schema != "accounts":
        return crms[relation.entity.table].name
    if relation.schema == "public":  # a view of ours
        return relation.name.partition("_")[0]
    return SCHEMA_NAMES.get(relation.schema, relation.schema)


def _table(
    relation: Relation,
    crm: Source | None,
    comments: Mapping[Name, str | None],
    refers: Mapping[str, Name],
    names: Mapping[tuple[str, str], str],
) -> Node:
    node: Node = {
        "name": relation.name,
        "description": _safe(plain(comments.get((relation.schema, relation.name, None)) or "")),
    }
    if crm and relation.entity:
        node["config"] = _freshness(crm, relation.entity)
    if len(relation.keys) > 1:
        whole = f"jsonb_build_array({', '.join(relation.keys)})"
        node["data_tests"] = [{"unique": {"arguments": {"column_name": whole}}}]
    node["columns"] = []
    for column, pg_type in relation.columns.items():
        tests: list[Any] = [] if column not in relation.keys else ["not_null"]
        if relation.keys == (column,):
            tests.insert(0, "unique")
        if (other := refers.get(column)) and other[:2] in names:
            to = f"source('{names[other[:2]]}', '{other[1]}')"
            tests.append(
                {"relationships": {"arguments": {"to": to, "field": other[2]}, "config": {"severity": "warn"}}}
            )
        text = _safe(comments.get((relation.schema, relation.name, column)) or "")
        node["columns"].append(
            {"name": column, "description": text, "data_type": pg_type, **({"data_tests": tests} if tests else {})}
            | ({} if column == column.lower() else {"quote": True})
        )
    return node


def _freshness(crm: Source, entity: Entity) -> Node:
    error_hours, warn_hours = limits(entity)
    last = (
        sql.SQL(
            "(SELECT max(g.start_time) FROM orchestration.good_run AS g WHERE g.crm_source = {} AND g.sync_type = {})"
        )
        .format(crm.name, entity.name)
        .as_string()
    )
    return {
        "loaded_at_field": last,
        "freshness": {"warn_after": _span(warn_hours), "error_after": _span(max(error_hours, warn_hours))},
    }


def _span(hours: float) -> Node:
    return (
        {"count": int(hours), "period": "hour"}
        if hours == int(hours)
        else {"count": round(hours * 60), "period": "minute"}
    )


def _safe(text: str) -> str:
    """Return a description in which dbt's templates find nothing of theirs."""
    return f"{{% raw %}}{text}{{% endraw %}}" if any(mark in text for mark in ("{{", "{%", "{#")) else text


def of_warehouse(connection: sa.Connection, relations: Sequence[Relation], sources: Iterable[Source]) -> Node:
    """Return the file of this warehouse."""
    schemas = sorted({one.schema for one in relations})
    rows = connection.execute(sa.text(query("comments")), {"schemas": schemas})
    comments: dict[Name, str | None] = {(row.schema, row.relation, row.column): row.comment for row in rows}
    said = connection.execute(
        sa.text("SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ANY(:names)"),
        {"names": schemas},
    )
    keys = connection.execute(sa.text(query("references_of_one_column")), {"schemas": schemas})
    references: dict[Name, Name] = {
        (row.schema, row.relation, row.column): (row.to_schema, row.to_relation, row.to_column) for row in keys
    }
    return document(relations, sources, comments, dict(said.tuples().all()), references)
