"""From which columns each column of a mart, and of ``crm.leads``, comes: read out of the SQL by sqlglot.

    lineage.known()["marts.source_roi"]["revenue_first"]     # ("marts.attribution_credit.first_amount", ...)

``known`` reads ``sql/marts/lineage.json``, which ``python -m warehouse_pipelines.commands.docs`` writes beside
``docs/lineage.md`` by ``compute``; a test fails when it is not what ``compute`` says. To compute it takes 2 s of the
processor, too long for each run. Columns are named as they are declared, whatever ``config/columns.toml`` made of them.

A column comes from the columns that its value is made of. What rows are chosen, joined or grouped by is not told.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warehouse_pipelines.queries import query
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.feed import signals
from warehouse_pipelines.unified.lead_rows import SIGNALS, TAG_QUERIES
from warehouse_pipelines.unified.marts import activity
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.marts.refresh import statement
from warehouse_pipelines.unified.marts.rows import MARTS

Lineage = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By table and column, the columns that it comes from, each as ``table.column``, the table as its asset is named."""

LEAD_COLUMNS = {
    "first_name": "first_name", "last_name": "last_name", "email": "email", "phone": "phone",
    "status": "status metadata",
    "source": "source", "source_metadata": "metadata", "tags": "tags", "division": "division",
    "postal_code": "postal_code", "owner_id": "owner_id", "value_usd": "value_usd", "golden_id": "person_id",
    "created_at": "created_at", "status_changed_at": "status_at",
}  # fmt: skip
"""Columns of crm.leads, and what the feed calls what it writes there; a status is that of a word in ``metadata``."""


def file() -> Path:
    """Return the file that ``known`` reads."""
    return sql_folder() / "marts" / "lineage.json"


@functools.cache
def known() -> Lineage:
    """Return the lineage as it was written last."""
    told = json.loads(file().read_text(encoding="utf-8"))
    return {table: {name: tuple(found) for name, found in of.items()} for table, of in told.items()}


def written() -> str:
    """Return what the file should hold."""
    told = {table: {name: list(found) for name, found in of.items()} for table, of in compute().items()}
    return json.dumps(told, indent=1) + "\n"


def compute() -> Lineage:
    """Return the lineage of all marts and of crm.leads, by their SQL."""
    from sqlglot.schema import MappingSchema

    tables: dict[str, Any] = {}
    for entity in columns.entities().values():
        types = {name: spelled.split()[0] for name, spelled in entity.pg_types.items()}
        tables.setdefault(entity.schema, {})[entity.table_name] = types
    schema = MappingSchema(tables, dialect="postgres")
    found: dict[str, Mapping[str, tuple[str, ...]]] = {"crm.leads": _leads(schema)}
    for mart in MARTS:
        selects = [statement(mart)]
        if mart.scope == "activities":
            selects = [activity.select(one).as_string() for one in ACTIVITIES]
        found[mart.table] = _united(_of_select(select, schema) for select in selects)
        schema.add_table(mart.table, dict.fromkeys(found[mart.table], "text"))
    return found


def _united(parts: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for part in parts:
        for name, origins in part.items():
            found.setdefault(name, set()).update(origins)
    return {name: tuple(sorted(origins)) for name, origins in found.items()}


def _leads(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the lineage of crm.leads: of ``feed_said`` and ``feed_wanted``, temporary tables of what signals say."""
    names = _temp_columns(query("feed_temp"), "feed_signal")
    made = {"feed_signal": _united(_signal(part, names, schema) for part in SIGNALS)}
    schema.add_table("public.feed_signal", dict.fromkeys(names, "text"))
    for part in (query("feed_said") + ";\n" + query("feed_wanted")).split(";\n"):
        found = re.match(r"(?:--.*\n)*CREATE TEMP TABLE (\w+) ON COMMIT DROP AS\s", part)
        if not found:
            continue
        told = _of_select(re.sub(r"--.*", "", part[found.end() :]), schema)
        made[found[1]] = {name: _replaced(origins, made) for name, origins in told.items()}
        schema.add_table(f"public.{found[1]}", dict.fromkeys(told, "text"))
    wanted = made["feed_wanted"]
    return {
        name: tuple(sorted({one for part in of.split() for one in wanted[part]})) for name, of in LEAD_COLUMNS.items()
    }


def _replaced(origins: Iterable[str], made: Mapping[str, Mapping[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Return the origins with those of a temporary table in place of its columns."""
    found: set[str] = set()
    for origin in origins:
        table, _, column = origin.rpartition(".")
        found.update(made[table].get(column, ()) if table in made else (origin,))
    return tuple(sorted(found))


def _signal(signal: Any, names: Sequence[str], schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the lineage of the columns of feed_signal by one signal."""
    select = signals.insert(signal).as_string().partition("INSERT INTO feed_signal")[2]
    told = _of_select(select.replace("%(organization)s", "NULL").replace("%%", "%"), schema, names)
    member = {f"feed_member.{column}": f"identity.member.{column}" for column in ("person_id", "deleted")}
    found = {name: tuple(sorted(member.get(origin, origin) for origin in told[name])) for name in names}
    if signal.tags and signal.tags not in TAG_QUERIES:  # elements of a JSON list, through which sqlglot does not see
        found["tags"] = (f"{signal.table}.{signal.tags}",)
    return found


def _temp_columns(script: str, table: str) -> list[str]:
    body = re.search(rf"CREATE TEMP TABLE {table} \((.*?)\) ON COMMIT", script, re.DOTALL)
    if body is None:
        raise ValueError(f"no temporary table {table} is made")
    return [line.split()[0] for line in body[1].replace("\n", " ").split(",") if line.strip()]


def _of_select(select: str, schema: Any, names: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return, by column of the SELECT, the columns of tables that it comes from; ``names`` are those of the columns."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.lineage import lineage

    tree: Any = sqlglot.parse_one(select, dialect="postgres")
    if names:
        tree.set(
            "expressions",
            [exp.alias_(one.unalias(), name) for one, name in zip(tree.expressions, names, strict=True)],
        )
    for aggregate in tree.find_all(exp.ArrayAgg):
        if isinstance(aggregate.this, exp.Order):  # which value is first, not what it is
            aggregate.set("this", aggregate.this.this)
    # Of each column's own SELECT, which trim_selects would make, nothing is asked.
    nodes: Any = lineage(
        None, tree, schema=schema, dialect="postgres", trim_selects=False, allow_partial_qualification=True
    )
    found = {}
    for name, node in nodes.items():
        leaves = [leaf for leaf in node.walk() if isinstance(leaf.expression, exp.Table)]
        origins = {f"{_table(leaf.expression)}.{leaf.name.rpartition('.')[2].strip(chr(34))}" for leaf in leaves}
        found[name] = tuple(sorted(origin for origin in origins if not origin.startswith(".")))
    return found


def _table(table: Any) -> str:
    if table.name == "mart_person":
        return "identity.person"
    return table.name if table.db in ("", "public") else f"{table.db}.{table.name}"
