"""The views of the schema ``masked``: one for every table, with its personal columns masked (``masks``).

A view is called as its table, with the schema before it where that is not ``public``: ``masked.identity_person``. It
belongs to ``warehouse_masking``, which may read what ``warehouse_read`` may and nothing more, and in whose name the
view reads. So row-level security binds a reader of the views like any other: the policies ask for the login.

Views keep columns from being changed, so they are dropped before a written migration runs, and made again after it;
not those that others have built upon (``remade_views``). What stands at the end of a view's comment is the hash of its
definition: one that has not changed is left alone, and one that only got columns is replaced in place. A column that
the installation drops (``config/columns.toml``) is in no view, so that ``warehouse migrate --redact`` can remove it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from psycopg import sql

from warehouse_pipelines.schema import remade_views, scripts
from warehouse_pipelines.schema.comments import Name
from warehouse_pipelines.schema.masks import Mask, mask_of, quoted
from warehouse_pipelines.schema.readable import Relation

MASKED, MASKING = "warehouse_read_masked", "warehouse_masking"

ROW_TOKEN = "row_token"  # noqa: S105  (the name of a column)
"""The column that tells rows apart where a part of the key is masked: masks of two postal codes are alike."""


@dataclass(frozen=True)
class View:
    """A view that is wanted; ``comments`` has what is said behind the comment of the table, and of its columns."""

    name: str
    definition: str
    comments: Mapping[Name, tuple[Name, str]]

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.definition.encode()).hexdigest()[:12]


def wanted(relations: Sequence[Relation], files: Path) -> list[View]:
    """Return the views. Other views have none: what they show is in the tables that they read."""
    with_files = {path.stem for path in files.glob("*.sql")}
    return [
        _view(relation)
        for relation in relations
        if relation.label != "crm.organization_member"
        and (
            relation.kind != "v"
            or relation.schema == "accounts"
            or (relation.schema == "marts" and relation.label not in with_files)
        )
    ]


def name_of(schema: str, relation: str) -> str:
    """Return what the view of a relation is called."""
    return (relation if schema == "public" else f"{schema}_{relation}")[:63]


def _view(relation: Relation) -> View:
    name = name_of(relation.schema, relation.name)
    dropped = set(relation.entity.local.dropped) if relation.entity else set()
    dropped |= {f"{column}_e164" for column in dropped}
    shown, said = [], {}
    for column, pg_type in relation.columns.items():
        if column in dropped and not (relation.entity and column in relation.entity.pg_types):
            continue
        mask = mask_of(relation, column)
        shown.append(f"{mask.of(column, pg_type) if mask else f't.{quoted(column)}'} AS {quoted(column)}")
        said[column] = mask.said if mask else ""
    if any(mask_of(relation, column) for column in relation.keys):
        shown.append(f"{_row_token(relation)} AS {ROW_TOKEN}")
        said[ROW_TOKEN] = "A token of the whole key, of which a part is masked: it tells rows apart that look alike."
    # Composed of names of the catalog, each quoted.
    definition = f"SELECT {', '.join(shown)} FROM {quoted(relation.schema)}.{quoted(relation.name)} AS t"  # noqa: S608
    view = View(name, definition, {})
    table = (relation.schema, relation.name)
    comments: dict[Name, tuple[Name, str]] = {
        ("masked", name, column): ((*table, column), said[column]) for column in said
    }
    comments["masked", name, None] = ((*table, None), f"Personal columns are masked. [{view.hash}]")
    return View(name, definition, comments)


def _row_token(relation: Relation) -> str:
    """Return a keyed token of the table and the key: no part of the key can be told by it, nor found elsewhere."""
    key = ", ".join([sql.quote(f"{relation.schema}.{relation.name}"), *(f"t.{quoted(one)}" for one in relation.keys)])
    return Mask("token", "", keyed=True).over(f"jsonb_build_array({key})::text")


def align(connection: sa.Connection, views: Sequence[View]) -> list[str]:
    """Make, replace and drop views until they are those; return a line if anything was done.

    Runs as ``warehouse_masking``. A view that somebody else made in the schema is left alone. Fails when somebody's own
    view depends on one that has to be dropped (``remade_views.naming_views_of_others``).
    """
    there = {row.name: row.hash for row in _ours(connection)}
    left = sorted(there.keys() - {view.name for view in views})
    changed = [view for view in views if there.get(view.name) != view.hash]
    if left:
        scripts.run(connection, f"DROP VIEW {_identifiers(left)}")
    new = [view for view in changed if view.name not in there]
    if new:
        scripts.run(
            connection, "\n".join(f"CREATE VIEW {_identifiers([view.name])} AS {view.definition};" for view in new)
        )
    for view in changed:
        if view.name in there:
            remade_views.replace(connection, _identifiers([view.name]), view.definition)
    if changed:
        scripts.run(connection, f"GRANT SELECT ON {_identifiers(view.name for view in changed)} TO {MASKED}")
    counts = ((len(changed), "made"), (len(left), "dropped"))
    said = [f"{count} {what}" for count, what in counts if count]
    return [f"masked views: {', '.join(said)}"] if said else []


def drop(connection: sa.Connection, only: Collection[str] | None = None) -> None:
    """Drop the views, or only these, which would keep their tables from being changed.

    Those that others have built upon stay.
    """
    names = [row.name for row in _ours(connection) if only is None or row.name in only]
    remade_views.drop(connection, [_identifiers([name]) for name in names])


def give_to_their_owner(connection: sa.Connection) -> None:
    """Give the views to ``warehouse_masking``: a dump that was restored without owners has them as somebody else's.

    Raises psycopg's ``InsufficientPrivilege`` where they are somebody's whom this user may not act for.
    """
    for row in _ours(connection):
        if row.owner != MASKING:
            scripts.run(connection, f"ALTER VIEW {_identifiers([row.name])} OWNER TO {MASKING}")


def _ours(connection: sa.Connection) -> Sequence[sa.Row[tuple[str, str, str]]]:
    """Return the views that we made: name, hash and owner."""
    statement = """
        SELECT relname::text AS name, substring(obj_description(oid, 'pg_class') FROM '\\[(\\w{12})\\]$') AS hash,
            pg_get_userbyid(relowner)::text AS owner
        FROM pg_class
        WHERE relnamespace = to_regnamespace('masked') AND relkind = 'v'
            AND obj_description(oid, 'pg_class') ~ '\\[\\w{12}\\]$'
        ORDER BY 1
        """
    return connection.execute(sa.text(statement)).all()


def _identifiers(names: Iterable[str]) -> str:
    return ", ".join(sql.Identifier("masked", name).as_string() for name in names)
