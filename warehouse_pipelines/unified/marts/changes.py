"""Whether something that a mart reads changed since it was computed, told without reading it.

Decided:

- A table of a source says it by ``sync_updated_at``: its rows are tombstoned, and never deleted. A mart says it by
  ``marts.position``.
- Of our own tables ``STAMPED`` names the column of the time. Their rows are deleted too, by a merge of people or with
  a lead. Those of ``identity`` leave a row in ``identity.deletion``, because to count ten million touches takes longer
  than all else that a delta does. Of ``crm`` the number of rows is kept in ``marts.position.counts``, and another one
  is a change; it is asked before the rows are read, so what is deleted meanwhile is found by the next run.
- Small tables without such a column are hashed whole.
- Of a table that is none of these it is not known, so the mart is computed each time; a test allows no such table.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.unified.feed import columns

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

STAMPED: Mapping[str, str] = {
    "identity.person": "updated_at",
    "identity.member": "since",
    "identity.record": "changed_at",
    "identity.touch": "updated_at",
    "identity.alias": "created_at",
    "crm.leads": "updated_at",
    "crm.lead_assignments": "created_at",
}
HASHED = ("crm.status_mapping", "crm.dnc_list", "crm.lead_source_costs", "marts.refused_costs")

COUNTS: Mapping[str, str] = {
    **{
        table: f"SELECT count(*)::text AS it FROM {table}"  # noqa: S608
        for table in STAMPED
        if not table.startswith("identity.")
    },
    **{
        table: f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS it FROM {table} AS t"  # noqa: S608
        for table in HASHED
    },
    # Months go to the archive.
    "crm.lead_audit_log": "SELECT count(*)::text AS it FROM pg_inherits"
    " WHERE inhparent = 'crm.lead_audit_log'::regclass",
}
"""What of a table is kept in ``marts.position.counts``."""


def counts(session: "Session", tables: Iterable[str]) -> dict[str, str]:
    """Return what is kept of those of the tables whose rows vanish without a trace, as it is now."""
    found = {}
    for table in tables:
        if table in COUNTS:
            row = session.execute(COUNTS[table].encode()).fetchone()
            found[table] = str(row["it"]) if row else ""
    return found


def found(
    session: "Session", tables: Iterable[str], since: Any, before: Mapping[str, str], now: Mapping[str, str]
) -> bool:
    """Whether something in the tables changed since; ``before`` and ``now`` are what is kept of them."""
    return before != now or any(_changed(session, table, since) for table in tables)


def _changed(session: "Session", table: str, since: Any) -> bool:
    if table in HASHED:
        return False
    if table in STAMPED:
        asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > %s) AS it").format(
            sql.Identifier(*table.split(".")), sql.Identifier(STAMPED[table])
        )
        row = session.execute(asked, [since]).fetchone()
        if table.startswith("identity.") and not (row and row["it"]):
            row = session.execute(
                "SELECT EXISTS (SELECT FROM identity.deletion WHERE table_name = %s AND deleted_at > %s) AS it",
                [table, since],
            ).fetchone()
    elif table.startswith("marts."):
        row = session.execute(
            "SELECT changed_at > %s AS it FROM marts.position WHERE mart = %s", [since, table.removeprefix("marts.")]
        ).fetchone()
    elif table in columns.entities():
        asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE sync_updated_at > %s) AS it").format(columns.table(table))
        row = session.execute(asked, [since]).fetchone()
    else:
        return True
    return row is None or bool(row["it"])
