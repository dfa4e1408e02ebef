"""Writes ``docs/entities.md`` and ``.env.example`` from the sources: ``python -m warehouse_pipelines.docs``.

A test fails when what is committed is not what this writes.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from warehouse_pipelines.entity import BOOKKEEPING, Entity, Source
from warehouse_pipelines.rules import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "entities.md"
EXAMPLE = ROOT / ".env.example"

OF_THE_PROJECT = {
    "WAREHOUSE_DATABASE_URL": ("postgresql://user:password@host:5432/warehouse", "unset: a server in .warehouse/"),
    "WAREHOUSE_HOME": (".warehouse", "the folder of all that is kept on this machine"),
    "DAGSTER_HOME": (".warehouse/dagster", "Dagster's own folder"),
    "DAGSTER_STORAGE_URL": (
        "postgresql://user:password@host:5432/dagster",
        "where Dagster keeps its runs; unset: SQLite in DAGSTER_HOME",
    ),
}
"""The settings that belong to no vendor: an example or the default, and what it is for."""


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
    if entity.merged:
        ways.append(f"`{entity.merged}` lists the keys a record absorbed")
    if entity.missing == "window":
        ways.append(f"absent from a read of the window that its `{entity.cursor}` lies in")
    else:
        ways.append("absent from a read of everything")
    return "; ".join(ways)


def reading(entity: Entity) -> str:
    """Say what a run without flags reads."""
    if not entity.cursor:
        return "everything, each time"
    parts = [f"what `{entity.cursor}` says is new"]
    if entity.overlap:
        parts.append(f"beginning {duration(entity.overlap)} before the last high-water mark")
    if entity.lookback:
        parts.append(f"and the last {duration(entity.lookback)} again, because edits do not move it")
    return ", ".join(parts)


def _columns(entity: Entity) -> Iterable[str]:
    yield "| column | kind | type | from |"
    yield "|---|---|---|---|"
    for name, column in entity.columns.items():
        path = "" if column.path == name else f"`{column.path}`"
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


def example(sources: Iterable[Source]) -> str:
    """Return ``.env.example``: every setting there is, each as a comment, because an empty value is a value too."""
    lines = ["# Written by `python -m warehouse_pipelines.docs`. Copy to .env and uncomment what you need.", ""]
    for name, (value, about) in OF_THE_PROJECT.items():
        lines += [f"# {about}", f"# {name}={value}", ""]
    for source in sources:
        prefix = source.settings.model_config.get("env_prefix", "")
        lines.append(f"# {source.title}: {', '.join(entity.name for entity in source.entities)}")
        for name, field in source.settings.model_fields.items():
            value = "" if field.is_required() or field.default is None else field.default
            lines.append(f"# {f'{prefix}{name}'.upper()}={value}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write both."""
    from warehouse_pipelines.sources import SOURCES

    EXAMPLE.write_text(example(SOURCES), encoding="utf-8")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(SOURCES), encoding="utf-8")


if __name__ == "__main__":
    main()
