"""Writes ``docs/entities.md`` from the rows of the sources: ``python -m warehouse_pipelines.commands.docs``.

With ``--schemas`` it also writes what is generated of ``docs/crm-schema.md`` and ``docs/pipedesk-schema.md``, from the
catalog of the migrated warehouse. A test fails when a committed page is not what this writes.
"""

import re
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.model import column_texts
from warehouse_pipelines.model.entity import BOOKKEEPING, Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import psycopg

PAGE = Path(__file__).parents[2] / "docs" / "entities.md"
SCHEMA_PAGES = {schema: PAGE.with_name(f"{schema}-schema.md") for schema in ("crm", "pipedesk")}


def duration(span: timedelta) -> str:
    """Return a time span in words: ``15 minutes``, ``1 hour``, ``30 days``."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def read_by(entity: Entity) -> str:
    """Say in a word or two how an entity is read."""
    if entity.by_state:
        return "the vendor's state"
    return f"`{entity.cursor}`" if entity.cursor else "everything"


def deletes(entity: Entity) -> str:
    """Say how a deleted record is noticed."""
    ways = []
    if entity.archived:
        ways.append(f"the vendor's flag `{entity.archived}`")
    elif entity.archived_at:
        ways.append(f"the vendor's time `{entity.archived_at}`")
    if entity.merged:
        ways.append(f"`{entity.merged}` lists the keys a record absorbed")
    if entity.by_state:
        ways.append("what the vendor reports, or shows, as deleted since the last good run")
    if entity.missing == "window":
        ways.append(f"absent from a read of the window that its `{entity.cursor}` lies in")
    if entity.whole_every or not entity.cursor:
        ways.append("absent from a read of everything")
    return "; ".join(ways)


def seen_within(entity: Entity) -> str:
    """Say how late a deletion that leaves no trace is noticed, where runs succeed."""
    if entity.unseen_for is None:
        return f"never: {entity.never_whole}"
    span = about(entity.unseen_for)
    if entity.missing == "window":
        return f"{duration(entity.every)}; {span} if older than {duration(entity.lookback or entity.overlap)}"
    return span


def about(span: timedelta) -> str:
    """Return a time span in words, whole days first: ``7 days and 1 hour``."""
    days = timedelta(days=span.days)
    parts = [duration(part) for part in (days, span - days) if part]
    return " and ".join(parts)


def reading(entity: Entity) -> str:
    """Say what a run without flags reads."""
    if entity.by_state:
        return "what changed since the last good run, as the vendor tells by the token or version that run kept"
    if not entity.cursor:
        return "everything, each time"
    parts = [f"what `{entity.cursor}` says is new"]
    if entity.overlap:
        parts.append(f"beginning {duration(entity.overlap)} before the last high-water mark")
    if entity.lookback:
        parts.append(f"and the last {duration(entity.lookback)} again, because edits do not move it")
    if entity.lookahead:
        parts.append(f"up to {duration(entity.lookahead)} ahead")
    if entity.whole_every:
        parts.append(f"and everything every {duration(entity.whole_every)}")
    return ", ".join(parts)


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
    yield f"- A run reads {reading(entity)}."
    yield f"- Deleted: {deletes(entity)}. Without a trace, it is noticed within {seen_within(entity)}."
    yield f"- Runs every {duration(entity.every)}: `warehouse sync {source.name} {entity.name}`."
    if flags := [flag for flag in source.flags if flag.concerns(entity) and not flag.stands_for]:
        yield f"- Flags of its own: {'; '.join(f'`{flag.spelled}`: {flag.help}' for flag in flags)}"
    if entity.days_since:
        job = f"backfill_{source.name}_{entity.name}"
        yield f"- Can be backfilled: `warehouse backfill`, or the job `{job}` by month since {entity.days_since:%Y-%m}."
    if entity.retention:
        yield f"- The vendor keeps {duration(entity.retention)}; older rows stay and are never counted as deleted."
    if entity.parent:
        yield f"- Asked for each living row of `{entity.parent}`."
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
                read_by(entity),
                duration(entity.every),
                seen_within(entity),
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for source in sources:
        required = [name for name, field in source.settings.model_fields.items() if field.is_required()]
        prefix = source.settings.model_config.get("env_prefix", "")
        settings = ", ".join(f"`{f'{prefix}{name}'.upper()}`" for name in required)
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


def main() -> None:
    """Write the pages."""
    from warehouse_pipelines.sources import DECLARED

    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(DECLARED), encoding="utf-8")
    if "--schemas" in sys.argv:
        import psycopg
        from psycopg.rows import dict_row

        from warehouse_pipelines.local.database import database_url

        with psycopg.connect(database_url(), row_factory=dict_row) as connection:
            for schema, path in SCHEMA_PAGES.items():
                path.write_text(schema_page(schema, path.read_text(encoding="utf-8"), connection), encoding="utf-8")


if __name__ == "__main__":
    main()
