"""What every relation and column is, written into the database, so that psql, BI tools and the docs say it too.

The texts have one place each: a table of a source its entity and ``model/meanings``, which ``tables`` writes; a table
of our own the migration or the file of ``sql/schemas`` that says so; a view of ``sql/views`` the file
``columns.toml`` there. What has none of its own takes over another's, which is done here: a column of a view that of
the same name where the view reads it, a part of a partitioned table that of the whole, a masked view that of its table.

One query of the catalog, and one batch of statements for what differs; so a text that changed is applied by the next
migration.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from psycopg.sql import Identifier, quote

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import scripts

SCHEMAS = (
    "access", "accounts", "answers", "crm", "crm_archive", "identity", "marts", "masked", "orchestration", "pipedesk",
    "public",
)  # fmt: skip
"""What is ours; of ``public`` only the tables of the entities and the views of ``sql/views``."""

OF_SCHEMAS: Mapping[str, str] = {
    "public": "The vendors' tables, a table per entity, and views of them. docs/entities.md lists them.",
    "crm_archive": "Months of crm.lead_audit_log that were moved out of it.",
}
"""Schemas that no file of ``sql/schemas`` speaks of."""

ALWAYS = ("crm.active_leads",)
"""Views of ours beside ``sql/views`` whose columns are the table's, and mean the same."""

Name = tuple[str, str, str | None]
"""Schema, relation and column; of the relation itself the column is None."""

_MONTH = re.compile(r"_\d{4}_\d{2}$")
_HASH = re.compile(r" \[\w{12}\]$")


def align(
    connection: sa.Connection,
    entities: Sequence[Entity],
    views: Path,
    of_others: Mapping[Name, tuple[Name, str]] | None = None,
) -> list[str]:
    """Write the comments that differ from what is said; return a line if there were any.

    ``of_others`` names for what has no text of its own another that has one, and a sentence to stand behind that.
    Nothing is written of what belongs to somebody else.
    """
    schemas = sorted({*SCHEMAS, *(entity.schema for entity in entities)})
    rows = connection.execute(sa.text(query("comments")), {"schemas": schemas}).all()
    known: dict[Name, str | None] = {(row.schema, row.relation, row.column): row.comment for row in rows}
    relations = {(row.schema, row.relation): row for row in rows if row.column is None}
    files = _views(views)
    ours = {(entity.schema, entity.table_name) for entity in entities} | set(files)
    wanted = _said_by(views)
    following = {}
    for (schema, name), row in relations.items():
        if schema == "masked" or (schema == "public" and (schema, name) not in ours):
            continue
        if whole := row.whole or _archived(schema, name):
            following[schema, name] = _Follows([whole], part=True)
        elif row.reads:
            always = (schema, name) in files or f"{schema}.{name}" in ALWAYS
            following[schema, name] = _Follows(row.reads, always=always)
    texts = _Texts(known, wanted, following)
    for name in known:
        texts.of(name)
    for name, (other, sentence) in (of_others or {}).items():
        base = wanted.get(other) or known.get(other) or ""
        if text := f"{plain(base) if other[2] is None else base} {sentence}".strip():
            wanted[name] = text
    changed = {name: text for name, text in wanted.items() if name in known and known[name] != text}
    done = _of_schemas(connection)
    if changed:
        scripts.run(
            connection,
            "\n".join(_statement(name, relations[name[:2]].kind, text) for name, text in changed.items()),
        )
        done.append(_line([name for name in changed if name[0] != "masked"]))
    return done


def _line(names: Sequence[Name]) -> str:
    """Return what was written; those of masked views follow their tables' and are not counted."""
    columns = sum(name[2] is not None for name in names)
    counts = [(columns, "column"), (len(names) - columns, "table")]
    said = [f"{count} {what}{'s' * (count != 1)}" for count, what in counts if count]
    return f"comments of {' and '.join(said) or 'masked views'}"


def plain(comment: str) -> str:
    """Return a comment without the hash that stands behind that of a view or a schema."""
    return _HASH.sub("", comment)


def _said_by(views: Path) -> dict[Name, str]:
    path = views / "columns.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        (view.rpartition(".")[0] or "public", view.rpartition(".")[2], column): text
        for view, columns in document.items()
        for column, text in columns.items()
    }


def _views(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the files of the views by schema and name."""
    parts = [(path.stem.rpartition("."), path) for path in sorted(folder.glob("*.sql"))]
    return {(schema or "public", name): path for (schema, _, name), path in parts}


@dataclass(frozen=True)
class _Follows:
    """A relation that takes over texts of ``others``: a part of a table all, a view those of its columns."""

    others: Sequence[str]
    part: bool = False
    always: bool = False

    def takes(self, column: str | None, here: str | None) -> bool:
        """Whether this one does; what somebody wrote of a view's column in SQL stays."""
        return self.part or (column is not None and (self.always or not here))


@dataclass(frozen=True)
class _Texts:
    """What is said of every name. What is taken over is added to ``wanted``."""

    known: Mapping[Name, str | None]
    wanted: dict[Name, str]
    following: Mapping[tuple[str, str], _Follows]
    _asked: set[Name] = field(default_factory=set)

    def of(self, name: Name) -> str | None:
        """Return what is said of ``name`` once all is written, which may come from what it reads in its turn."""
        schema, relation, column = name
        here = self.wanted.get(name) or self.known.get(name)
        follows = self.following.get((schema, relation))
        if not follows or name in self.wanted or name in self._asked or not follows.takes(column, here):
            return here
        self._asked.add(name)
        for other in follows.others:
            if text := self.of(_named(other, column)):
                self.wanted[name] = f"A part of {other}, by time. {text}" if column is None else text
                return self.wanted[name]
        return here


def _named(relation: str, column: str | None) -> Name:
    schema, _, name = relation.partition(".")
    return schema, name, column


def _archived(schema: str, name: str) -> str | None:
    """Return the table whose month a table of the archive is."""
    return f"crm.{_MONTH.sub('', name)}" if schema == "crm_archive" else None


def _statement(name: Name, kind: str, text: str) -> str:
    schema, relation, column = name
    if column is not None:
        return f"COMMENT ON COLUMN {Identifier(schema, relation, column).as_string()} IS {quote(text)};"
    return (
        f"COMMENT ON {'VIEW' if kind == 'v' else 'TABLE'} {Identifier(schema, relation).as_string()} IS {quote(text)};"
    )


def _of_schemas(connection: sa.Connection) -> list[str]:
    found = connection.execute(
        sa.text("""
            SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace
            WHERE nspname = ANY(:names) AND pg_has_role(nspowner, 'USAGE')
            """),
        {"names": list(OF_SCHEMAS)},
    )
    changed = [schema for schema, comment in found if comment != OF_SCHEMAS[schema]]
    for schema in changed:
        scripts.run(connection, f"COMMENT ON SCHEMA {Identifier(schema).as_string()} IS {quote(OF_SCHEMAS[schema])}")
    return [f"comment of the schema {schema}" for schema in changed]
