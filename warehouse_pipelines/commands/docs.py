"""Writes ``docs/entities.md`` from the rows of the sources: ``python -m warehouse_pipelines.commands.docs``.

Also ``docs/lineage.md`` and ``sql/marts/lineage.json`` from the SQL of the marts and of ``crm.leads``, and the tables
of ``docs/api.md`` from the routes of ``serve``.

With ``--schemas`` it also writes what is generated of ``docs/crm-schema.md``, ``docs/pipedesk-schema.md`` and
``docs/alerts.md``, from the
migrated warehouse, and with ``--answers`` docs/answers.md, from the warehouse of a demo. A test fails
when a committed page is not what this writes.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.model import column_texts, describe
from warehouse_pipelines.model.entity import BOOKKEEPING, Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import psycopg

    from warehouse_pipelines.unified.marts.lineage import Lineage

PAGE = Path(__file__).parents[2] / "docs" / "entities.md"
LINEAGE_PAGE = PAGE.with_name("lineage.md")
SCHEMA_PAGES = {schema: PAGE.with_name(f"{schema}-schema.md") for schema in ("crm", "pipedesk")}


def _columns(entity: Entity) -> Iterable[str]:
    yield "| column | kind | type | meaning |"
    yield "|---|---|---|---|"
    for name, spelled in entity.pg_types.items():
        if name not in BOOKKEEPING:
            kind = entity.columns[name].kind if name in entity.columns else ""
            about = column_texts.text(entity, name).replace("|", "\\|")
            yield f"| `{name}` | {kind} | {spelled.partition(' ')[0]} | {about} |"


def _entity(source: Source, entity: Entity) -> Iterable[str]:
    yield f"### {source.name} {entity.name}"
    yield ""
    yield entity.about
    yield ""
    yield f"- Table `{entity.table}`, key {', '.join(f'`{key}`' for key in entity.keys)}."
    yield f"- A run reads {describe.reading(entity)}."
    seen = describe.seen_within(entity)
    yield f"- Deleted: {describe.deletes(entity)}. Without a trace, it is noticed within {seen}."
    yield f"- Runs {describe.cadence(entity)}: `warehouse sync {source.name} {entity.name}`."
    if flags := [flag for flag in source.flags if flag.concerns(entity) and not flag.stands_for]:
        yield f"- Flags of its own: {'; '.join(f'`{flag.spelled}`: {flag.help}' for flag in flags)}"
    if since := entity.cadence.backfill_since:
        job = f"backfill_{source.name}_{entity.name}"
        yield f"- Can be backfilled: `warehouse backfill`, or the job `{job}` by month since {since:%Y-%m}."
    for fact in (describe.retention(entity), describe.parent(entity)):
        if fact:
            yield f"- {describe.sentence(fact)}"
    if entity.refs:
        yield f"- Refers to: {', '.join(f'`{column}` → `{ref}`' for column, ref in entity.refs.items())}."
    for rule in entity.rules:
        yield f"- Rule ({rule.severity}): {rule.message}."
    yield ""
    yield f"<details><summary>{len(entity.columns)} columns</summary>"
    yield ""
    yield from _columns(entity)
    yield ""
    yield "</details>"
    yield ""


def page(sources: Iterable[Source]) -> str:
    """Return the whole page."""
    sources = list(sources)
    count = sum(len(source.entities) for source in sources)
    lines = [
        "# Entities",
        "",
        "Written by `python -m warehouse_pipelines.commands.docs` from the rows in `warehouse_pipelines/sources/`.",
        "",
        f"{len(sources)} sources, {count} entities. Beside its own columns every table has:",
        "",
        *(f"- `{name}`: {column_texts.KEPT[name]}" for name in BOOKKEEPING),
        "",
        "`source_created_at` and `source_updated_at` say when a record was created and last edited at its vendor,",
        "under the same names in every table that has such facts, beside the vendor's own. PostgreSQL generates them.",
        "",
        "A record may be deleted without a trace: no flag, no list, no change of its date. The last column says after",
        "what time such a record is a tombstone here at the latest, where the runs succeed. What is read by its cursor",
        "is read in full once in a while for this, each table at a moment of its own, so that they do not all fall due",
        "in the same hour. What a vendor tells of deletions is noticed by the next run.",
        "",
        "A tombstone's `delete_reason` is `archived` (the vendor itself calls it deleted, and may restore it),",
        "`merged into <key>`, `erased` (deleted for good: the vendor lists what is deleted, and not this) or `missing`",
        "(no longer shown, and this vendor does not say why).",
        "",
        "| CRM | sync_type | table | read by | every | deletions without a trace |",
        "|---|---|---|---|---|---|",
    ]
    for source in sources:
        for entity in source.entities:
            name = f"[{entity.name}](#{source.name}-{entity.name})"
            cells = (
                source.name,
                name,
                f"`{entity.table}`",
                describe.read_by(entity),
                describe.duration(entity.cadence.every),
                describe.seen_within(entity),
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for source in sources:
        settings = ", ".join(f"`{name}`" for name in source.required_settings)
        lines += [f"## {source.title}", "", f"Read by {source.transport}. Settings: {settings or 'none'}.", ""]
        for entity in source.entities:
            lines += _entity(source, entity)
    return "\n".join(lines).rstrip() + "\n"


TABLES = """
    SELECT c.oid, c.relname AS name, c.relkind = 'v' AS is_view,
        regexp_replace(obj_description(c.oid, 'pg_class'), ' \\[\\w{12}\\]$', '') AS about
    FROM pg_class AS c
    WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
    ORDER BY c.relkind = 'v', c.relname
    """

COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
        CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default,
        col_description(a.attrelid, a.attnum) AS about,
        EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = a.attrelid AND k.contype = 'p'
                AND a.attnum = ANY (k.conkey)) AS is_key,
        EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = a.attrelid AND k.contype = 'f'
                AND a.attnum = ANY (k.conkey)) AS is_reference
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    """

# The pieces of a reference to a partitioned table have constraints of their own.
REFERENCES = """
    SELECT a.relname AS source, b.relname AS target, string_agg(att.attname, ', ' ORDER BY u.n) AS columns,
        bool_and(att.attnotnull) AS required
    FROM pg_constraint AS k JOIN pg_class AS a ON a.oid = k.conrelid JOIN pg_class AS b ON b.oid = k.confrelid,
        unnest(k.conkey) WITH ORDINALITY AS u (attnum, n)
        JOIN pg_attribute AS att ON att.attnum = u.attnum
    WHERE k.connamespace = %s::regnamespace AND k.contype = 'f' AND NOT a.relispartition
        AND att.attrelid = k.conrelid AND att.attname <> 'organization_id'
    GROUP BY k.oid, a.relname, b.relname ORDER BY 1, 2, 3
    """


def diagram(schema: str, connection: "psycopg.Connection[dict[str, Any]]") -> list[str]:
    """Return the tables with their keys, and the foreign keys, as a diagram of Mermaid."""
    lines = ["```mermaid", "erDiagram"]
    for table in connection.execute(TABLES, [schema]).fetchall():
        if table["is_view"]:
            continue
        lines.append(f"    {table['name']} {{")
        for column in connection.execute(COLUMNS, [table["oid"]]).fetchall():
            marks = [mark for mark, has in (("PK", column["is_key"]), ("FK", column["is_reference"])) if has]
            if column["name"] == "organization_id" and not column["is_key"]:
                continue  # it is in every table
            if marks or column["name"] == "lead_id":
                lines.append(f"        {_short(column['type'])} {column['name']} {', '.join(marks)}".rstrip())
        lines.append("    }")
    for found in connection.execute(REFERENCES, [schema]).fetchall():
        end = "||" if found["required"] else "|o"
        lines.append(f'    {found["target"]} {end}--o{{ {found["source"]} : "{found["columns"]}"')
    return [*lines, "```"]


def tables(schema: str, connection: "psycopg.Connection[dict[str, Any]]") -> list[str]:
    """Return the purpose and the columns of each table and view."""
    lines = []
    for table in connection.execute(TABLES, [schema]).fetchall():
        lines += [f"### {table['name']}", "", ("A view. " if table["is_view"] else "") + (table["about"] or ""), ""]
        columns = connection.execute(COLUMNS, [table["oid"]]).fetchall()
        lines += [f"<details><summary>{len(columns)} columns</summary>", ""]
        lines += ["| column | type | | default | |", "|---|---|---|---|---|"]
        for column in columns:
            default = f"`{column['default']}`" if column["default"] else ""
            needed = "not null" if column["not_null"] else ""
            cells = (f"`{column['name']}`", _short(column["type"]), needed, default, column["about"] or "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines += ["", "</details>", ""]
    return lines[:-1]


def _short(pg_type: str) -> str:
    return re.sub(r"\(.*\)", "", pg_type.replace("timestamp with time zone", "timestamptz"))


def schema_page(schema: str, page: str, connection: "psycopg.Connection[dict[str, Any]]") -> str:
    """Return the page with its generated parts as the catalog has them."""
    parts = {"diagram": diagram(schema, connection), "tables": tables(schema, connection)}
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: written by warehouse_pipelines.commands.docs -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = "".join([before, begin, "\n", "\n".join(lines), "\n\n", end, rest.partition(end)[2]])
    return page


def lineage_page(lineage: "Lineage") -> str:
    """Return the page of what each column of the marts and of crm.leads comes from."""
    from warehouse_pipelines.unified.marts.rows import BY_NAME

    lines = [
        "# Lineage",
        "",
        "Written by `python -m warehouse_pipelines.commands.docs` from the SQL of `sql/marts`, of the activities",
        "and of the feed, by sqlglot. A column comes from the columns that its value is made of; what rows are",
        "chosen, joined or grouped by is not told. Dagster has it at each table, as `dagster/column_lineage`.",
        "",
        "From HubSpot to what a source of leads was worth:",
        "",
        "```mermaid",
        "flowchart LR",
        *(f"    {start} --> {end}" for start, end in way(lineage, "hubspot_", "marts.source_roi")),
        "```",
        "",
    ]
    for table, of in lineage.items():
        mart = BY_NAME.get(table.removeprefix("marts."))
        lines += [f"## {table}", "", mart.about if mart else "One lead per organization and person.", ""]
        lines += ["| column | comes from |", "|---|---|"]
        for name, origins in of.items():
            told = ", ".join(f"`{origin}`" for origin in origins) or "what the SQL itself says"
            lines.append(f"| `{name}` | {told} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def way(lineage: "Lineage", start: str, end: str) -> list[tuple[str, str]]:
    """Return the steps from tables whose names begin with ``start`` to the table ``end``, each once."""
    reads = {
        table: {origin.rpartition(".")[0] for origins in of.values() for origin in origins} - {table}
        for table, of in lineage.items()
    }
    leads: dict[str, bool] = {}

    def comes_from_there(table: str) -> bool:
        if table not in leads:
            leads[table] = table.startswith(start) or any(map(comes_from_there, reads.get(table, ())))
        return leads[table]

    steps, todo, done = [], [end], set()
    while todo:
        table = todo.pop()
        if table in done:
            continue
        done.add(table)
        above = sorted(origin for origin in reads.get(table, ()) if comes_from_there(origin))
        steps += [(origin, table) for origin in above]
        todo += above
    return sorted(steps)


def main() -> None:
    """Write the pages."""
    from warehouse_pipelines.commands import api_page
    from warehouse_pipelines.sources import DECLARED
    from warehouse_pipelines.unified.marts import lineage

    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(DECLARED), encoding="utf-8")
    lineage.file().write_text(lineage.written(), encoding="utf-8")
    LINEAGE_PAGE.write_text(lineage_page(lineage.known()), encoding="utf-8")
    api_page.API_PAGE.write_text(api_page.page(api_page.API_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    if "--schemas" in sys.argv:
        from warehouse_pipelines.commands import alerts_page

        with warehouse.session(database_url()) as session:
            for schema, path in SCHEMA_PAGES.items():
                path.write_text(schema_page(schema, path.read_text(encoding="utf-8"), session), encoding="utf-8")
            told = alerts_page.page(alerts_page.ALERTS_PAGE.read_text(encoding="utf-8"), session)
            alerts_page.ALERTS_PAGE.write_text(told, encoding="utf-8")
    if "--answers" in sys.argv:
        from warehouse_pipelines.commands import answers_page

        with warehouse.session(database_url()) as session:
            answers_page.ANSWERS_PAGE.write_text(answers_page.page(answers_page.found(session)), encoding="utf-8")


if __name__ == "__main__":
    main()
