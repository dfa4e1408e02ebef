"""Writes ``docs/entities.md`` from the rows of the sources: ``python -m warehouse_pipelines.docs``.

A test fails when the committed page is not what this writes.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from warehouse_pipelines.entity import BOOKKEEPING, Entity, Source
from warehouse_pipelines.rules import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "entities.md"


def duration(span: timedelta) -> str:
    """Return a time span in words: ``15 minutes``, ``1 hour``, ``30 days``."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def deletes(entity: Entity) -> str:
    """Say how a deleted record is noticed."""
    ways = []
    if entity.archived:
        ways.append(f"the vendor's flag `{entity.archived}`")
    elif entity.archived_at:
        ways.append(f"the vendor's time `{entity.archived_at}`")
    if entity.merged:
        ways.append(f"`{entity.merged}` lists the keys a record absorbed")
    if entity.missing == "window":
        ways.append(f"absent from a read of the window that its `{entity.cursor}` lies in")
    else:
        ways.append("absent from a read of everything")
    return "; ".join(ways)


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
        parts.append(f"and everything once in {duration(entity.whole_every)}")
    return ", ".join(parts)


def _columns(entity: Entity) -> Iterable[str]:
    yield "| column | kind | type | from |"
    yield "|---|---|---|---|"
    for name, column in entity.columns.items():
        path = "" if column.path == name else " or ".join(f"`{path}`" for path in column.paths)
        yield f"| `{name}` | {column.kind} | {KINDS[column.kind].pg_type} | {path} |"
    for name, phone in entity.e164.items():
        yield f"| `{name}` | | text | `{phone}`, in E.164 |"
    if entity.custom:
        yield f"| `custom_properties` | | jsonb | the undeclared members of `{entity.custom}` |"


def _entity(source: Source, entity: Entity) -> Iterable[str]:
    yield f"### {source.name} {entity.name}"
    yield ""
    yield entity.about
    yield ""
    yield f"- Table `{entity.table}`, key {', '.join(f'`{key}`' for key in entity.keys)}."
    yield f"- A run reads {reading(entity)}."
    yield f"- Deleted: {deletes(entity)}."
    yield f"- Runs every {duration(entity.every)}: `warehouse sync {source.name} {entity.name}`."
    if flags := [flag for flag in source.flags if flag.concerns(entity) and not flag.stands_for]:
        yield f"- Flags of its own: {'; '.join(f'`{flag.spelled}`: {flag.help}' for flag in flags)}"
    if entity.days_since:
        yield f"- Can be backfilled by day since {entity.days_since}."
    if entity.retention:
        yield f"- The vendor keeps {duration(entity.retention)}; older rows stay and are never counted as deleted."
    if entity.parent:
        yield f"- Asked for each living row of `{entity.parent}`."
    if entity.refs:
        yield f"- Refers to: {', '.join(f'`{column}` → `{table}`' for column, table in entity.refs.items())}."
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
        "Written by `python -m warehouse_pipelines.docs` from the rows in `warehouse_pipelines/sources/`.",
        "",
        f"{len(sources)} sources, {count} entities. Beside its own columns every table has "
        f"{', '.join(f'`{name}`' for name in BOOKKEEPING)}.",
        "",
        "| CRM | sync_type | table | cursor | every |",
        "|---|---|---|---|---|",
    ]
    for source in sources:
        for entity in source.entities:
            name = f"[{entity.name}](#{source.name}-{entity.name})"
            cursor = f"`{entity.cursor}`" if entity.cursor else "none, read whole"
            lines.append(f"| {source.name} | {name} | `{entity.table}` | {cursor} | {duration(entity.every)} |")
    lines.append("")
    for source in sources:
        required = [name for name, field in source.settings.model_fields.items() if field.is_required()]
        prefix = source.settings.model_config.get("env_prefix", "")
        settings = ", ".join(f"`{f'{prefix}{name}'.upper()}`" for name in required)
        lines += [f"## {source.title}", "", f"Read by {source.transport}. Settings: {settings or 'none'}.", ""]
        for entity in source.entities:
            lines += _entity(source, entity)
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    from warehouse_pipelines.sources import SOURCES

    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(SOURCES), encoding="utf-8")


if __name__ == "__main__":
    main()
