"""The upkeep of the schema ``crm`` as a database: slow statements, vacuum, partitions, the archive, indexes.

To see the statements of other users, ``slow_queries`` needs pg_read_all_stats.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from warehouse_pipelines import warehouse
from warehouse_pipelines.orchestration.crm_session import Crm
from warehouse_pipelines.orchestration.maintenance import Report
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


SLOW_MS = 100

LONG_SECONDS = 60

KEEP = "12 months"


def slow_queries(crm: Crm) -> Report:
    """List statements whose mean is over ``SLOW_MS``, the costliest first."""
    import psycopg

    [known] = crm.connection.execute(
        "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS all_users, "
        "(SELECT format('%I.pg_stat_statements', n.nspname) FROM pg_extension e "
        " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements') AS statements"
    )
    if known["statements"]:
        try:
            # Its constants are $1, $2: no value of a row comes along.
            rows = crm.connection.execute(
                f"""
                SELECT queryid::text AS query_id, left(regexp_replace(query, '\\s+', ' ', 'g'), 300) AS query, calls,
                    round(mean_exec_time::numeric, 1)::float8 AS mean_ms,
                    round(max_exec_time::numeric, 1)::float8 AS max_ms,
                    round(total_exec_time::numeric / 1000, 1)::float8 AS total_seconds
                FROM {known["statements"]}
                WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND mean_exec_time >= %s
                    AND query ~* '^\\s*(select|insert|update|delete|merge|with)\\M'
                ORDER BY total_exec_time DESC LIMIT 100
                """.encode(),  # noqa: S608
                [SLOW_MS],
            ).fetchall()
        except psycopg.errors.ObjectNotInPrerequisiteState:
            pass  # the extension is there, and the server was not started with its library
        else:
            return Report(
                {"source": "pg_stat_statements", "sees_all_users": known["all_users"], "slow_statements": len(rows)},
                {"statements": rows},
                f"{len(rows)} statements take over {SLOW_MS} ms on average" if rows else "",
            )
    # The text of a running statement may hold values of rows, so it is not shown.
    running = crm.connection.execute(
        "SELECT pid, usename AS user, application_name AS application, state, wait_event, "
        "round(extract(epoch FROM clock_timestamp() - xact_start), 1)::float8 AS transaction_seconds "
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND clock_timestamp() - xact_start > %s * interval '1 second' ORDER BY xact_start",
        [LONG_SECONDS],
    ).fetchall()
    scanned = crm.connection.execute(
        "SELECT relname AS table, seq_scan AS full_scans, seq_tup_read / greatest(seq_scan, 1) AS rows_each, "
        "idx_scan AS index_reads FROM pg_stat_user_tables WHERE schemaname = 'crm' AND n_live_tup > 10000 "
        "AND seq_scan > 0 ORDER BY seq_tup_read DESC"
    ).fetchall()
    return Report(
        {
            "source": "pg_stat_activity and pg_stat_user_tables: what runs now, and which big tables were read whole. "
            "Past statements are known to pg_stat_statements alone, which is not active here",
            "sees_all_users": known["all_users"],
            "long_transactions": len(running),
            "tables_read_whole": len(scanned),
        },
        {"transactions": running, "tables": scanned},
        f"{len(running)} transactions have been open for over {LONG_SECONDS} seconds" if running else "",
    )


def vacuum_analyze(crm: Crm) -> Report:
    """VACUUM (ANALYZE) every table of the schema, and say what that brought."""
    from psycopg import sql

    sizes = query("crm_table_sizes")
    before = {row["table"]: row for row in crm.connection.execute(sizes)}
    with crm.role("crm_owner") as connection:
        for table in before:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier("crm", table)))
    rows = [{**row, "dead_before": before[row["table"]]["dead"]} for row in crm.connection.execute(sizes)]
    return Report(
        {
            "tables": len(rows),
            "dead_rows_before": sum(row["dead_before"] for row in rows),
            "dead_rows": sum(row["dead"] for row in rows),
            "mb": round(sum(row["mb"] for row in rows), 1),
        },
        {"by_table": rows},
    )


@contextlib.contextmanager
def _locking(crm: Crm) -> "Iterator[Session]":
    """Act as the owner, for work on partitions. Wait 5 s for a lock at most: every writer waits behind this one."""
    with crm.role("crm_owner") as connection, connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        yield connection


def make_partitions(crm: Crm) -> Report:
    """Make the partitions of this month and the next three."""
    with _locking(crm) as connection:
        made = [row["name"] for row in connection.execute("SELECT crm.ensure_partitions() AS name")]
    return Report({"made": len(made)}, {"partitions": [{"partition": name} for name in made]})


def archive_audit(crm: Crm) -> Report:
    """Move the months of the audit log that ended over a year ago into the schema crm_archive."""
    with _locking(crm) as connection:
        rows = connection.execute("SELECT * FROM crm.archive_partitions(%s::interval)", [KEEP]).fetchall()
    return Report(
        {"partitions_archived": len(rows), "rows_archived": sum(row["archived_rows"] for row in rows)},
        {"partitions": rows},
    )


def index_review(crm: Crm) -> Report:
    """List indexes that nothing has used, are invalid, or are contained in another. It drops none."""
    rows = crm.connection.execute(query("crm_indexes")).fetchall()
    contained = crm.connection.execute(query("crm_contained_indexes")).fetchall()
    since = warehouse.value(
        crm.connection, "SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()"
    )
    unused = [row for row in rows if not row["used"] and not row["is_unique"]]
    invalid = [row for row in rows if not row["is_valid"]]
    return Report(
        {
            "indexes": len(rows),
            "mb": round(sum(row["mb"] for row in rows), 1),
            "unused": len(unused),
            "unused_mb": round(sum(row["mb"] for row in unused), 1),
            "invalid": len(invalid),
            "contained_in_another": len(contained),
            "counted_since": str(since or "the server's first start"),
        },
        {"unused_indexes": unused, "invalid_indexes": invalid, "contained_indexes": contained, "by_size": rows},
        f"{len(invalid)} indexes are invalid: REINDEX them" if invalid else "",
    )
