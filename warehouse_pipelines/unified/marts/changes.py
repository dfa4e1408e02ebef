"""Whether something that a mart reads changed since it was computed, told without reading it.

Decided:

- A table of a source says it by ``sync_updated_at``: its rows are tombstoned, and never deleted. A mart says it by
  ``marts.position``.
- Of our own tables ``STAMPED`` names the column of the time. Their rows are deleted too, by a merge of people or with
  a lead. Those leave a row in ``identity.deletion``, because to count ten million touches takes longer than all else
  that a delta does.
- Small tables without such a column are hashed whole. The hash is kept in ``marts.position.counts``; it is asked before
  the rows are read, so what is written meanwhile is found by the next run.
- Of a table that is none of these it is not known, so the mart is computed each time; a test allows no such table.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified import columns

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
        table: f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} AS t"  # noqa: S608
        for table in HASHED
    },
    # Months go to the archive.
    "crm.lead_audit_log": "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'crm.lead_audit_log'::regclass",
}
"""What of a table is kept in ``marts.position.counts``."""


TOMBSTONES = "SELECT removed::text FROM orchestration.retention_policy WHERE kind = 'tombstones'"
"""How many rows that vendors had deleted were removed for good so far."""


def counts(session: "Session", tables: Iterable[str], *, tombstones: bool = False) -> dict[str, str]:
    """Return what is kept of those of the tables whose rows vanish without a trace, as it is now.

    ``tombstones``: rows of sources too.
    """
    found = {}
    if tombstones:
        found["tombstones"] = warehouse.value(session, TOMBSTONES) or ""
    for table in tables:
        if table in COUNTS:
            found[table] = warehouse.value(session, COUNTS[table])
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
        asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > %s)").format(
            sql.Identifier(*table.split(".")), sql.Identifier(STAMPED[table])
        )
        return bool(warehouse.value(session, asked, [since])) or is_deleted(session, [table], since)
    if table.startswith("marts."):
        asked = sql.SQL("SELECT coalesce(changed_at > %s, false) FROM marts.position WHERE mart = {}").format(
            table.removeprefix("marts.")
        )
        return warehouse.value(session, asked, [since]) in (True, None)
    if table in columns.entities():
        asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE sync_updated_at > %s)").format(columns.table(table))
        return bool(warehouse.value(session, asked, [since]))
    return True


def is_deleted(session: "Session", tables: Iterable[str], since: Any) -> bool:
    """Whether rows of one of these tables of ``identity`` and ``crm`` were deleted since."""
    asked = "SELECT EXISTS (SELECT FROM identity.deletion WHERE table_name = ANY (%s) AND deleted_at > %s)"
    return bool(warehouse.value(session, asked, [list(tables), since]))
