"""Views that a migration drops and makes again, and what others built upon them or granted on them.

A view keeps its table's columns from being changed, so ours are out of the way of a written migration. One that
something of somebody else's is built upon stays where it is: most migrations do not touch its table. A migration that
does, in a way that the view forbids, is refused by a sentence that names theirs (``naming_views_of_others``). Grants of
an administrator are noted before (``granted``) and made again on the views that were made anew (``grant_again``).
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import psycopg
import sqlalchemy as sa

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import scripts

OURS = (
    "crm_owner", "crm_definer", "crm_app", "crm_read", "warehouse_masking", "warehouse_read", "warehouse_read_masked",
    "pipedesk_app",
)  # fmt: skip
"""Roles to which migrations grant what they need, and no more than that."""

CLOSED = ("access", "accounts", "answers", "crm", "crm_archive", "identity", "marts", "orchestration", "pipedesk")
"""Schemas whose views are all ours."""


@dataclass(frozen=True)
class View:
    """A view as it was; ``grants`` has statements, each after the column that it is of, if it is of one."""

    oid: int
    columns: Sequence[str]
    grants: Sequence[tuple[str | None, str]]


Views = Mapping[tuple[str, str], View]


def granted(connection: sa.Connection) -> Views:
    """Return the views of the schemas in which a migration makes views anew, with what was granted on them."""
    asked = {"schemas": ["accounts", "answers", "masked", "orchestration", "pipedesk", "public"], "roles": [*OURS]}
    return {
        (row.schema, row.name): View(row.oid, row.columns, [tuple(one) for one in row.grants])
        for row in connection.execute(sa.text(query("view_grants")), asked)
    }


def grant_again(connection: sa.Connection, before: Views) -> None:
    """Grant what was granted on views that have been made anew, but on columns that they no longer have."""
    if not any(view.grants for view in before.values()):
        return
    now = granted(connection)
    for name, view in before.items():
        if name in now and now[name].oid != view.oid:
            for column, statement in view.grants:
                if column is None or column in now[name].columns:
                    scripts.run(connection, statement)


def drop(connection: sa.Connection, views: Sequence[str]) -> None:
    """Drop the views but those that something is built upon."""
    if views and not _dropped(connection, views):
        for view in views:
            _dropped(connection, [view])


def _dropped(connection: sa.Connection, views: Sequence[str]) -> bool:
    try:
        with connection.begin_nested():
            scripts.run(connection, f"DROP VIEW {', '.join(views)}")
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.DependentObjectsStillExist):
            raise
        return False
    return True


def replace(
    connection: sa.Connection, view: str, definition: str, options: str = "", make_way: Callable[[], None] | None = None
) -> None:
    """Make a view, or replace it in place, which succeeds if its columns stay and others come behind them.

    Else it is made anew, after ``make_way``.
    """
    statement = f"VIEW {view}{options} AS\n{definition}"
    try:
        with connection.begin_nested():
            scripts.run(connection, f"CREATE OR REPLACE {statement}")
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.InvalidTableDefinition):
            raise
        if make_way:
            make_way()
        scripts.run(connection, f"DROP VIEW {view}; CREATE {statement}")


@contextlib.contextmanager
def naming_views_of_others(url: str) -> Iterator[None]:
    """Run the block, whose transaction ends in it.

    Raises ``WrongUse`` where something of somebody else's is built upon what the block drops or changes.
    """
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        detail = cause.diag.message_detail or "" if isinstance(cause, psycopg.Error) else ""
        if not (
            isinstance(cause, psycopg.errors.DependentObjectsStillExist)
            or (isinstance(cause, psycopg.errors.FeatureNotSupported) and "_RETURN" in detail)
        ):
            raise
        raise WrongUse(_sentence(url, detail)) from error


def _sentence(url: str, detail: str) -> str:
    with warehouse.connect(url, application_name="warehouse-migrate") as session:
        views = {row["name"]: row for row in session.execute(query("views_of_others"), {"schemas": [*CLOSED]})}
    found = [name for name, row in views.items() if any(_is_in(one, detail) for one in (name, *row["reads"]))]
    for name in found:  # grows: what is built upon theirs has to go as well
        found += [other for other, row in views.items() if name in row["reads"] and other not in found]
    upon = {name: {*views[name]["reads"]} & {*found} for name in found}
    named = list(TopologicalSorter(upon).static_order())
    said = "; ".join(detail.splitlines())
    if not named:
        return f"Something is built upon what has to change: {said}. Drop it, and do this again."
    drops = [f"DROP {'MATERIALIZED ' if views[name]['materialized'] else ''}VIEW {name}" for name in reversed(named)]
    return (
        f"{', '.join(named)} {'is' if len(named) == 1 else 'are'} built upon what has to change: {said}. Keep what"
        f" pg_get_viewdef says of {'it' if len(named) == 1 else 'them'}, {'; '.join(drops)}, do this again, and make"
        f" {'it' if len(named) == 1 else 'them'} anew."
    )


def _is_in(name: str, detail: str) -> bool:
    return re.search(rf'(?<![\w."]){re.escape(name)}(?![\w."])', detail) is not None
