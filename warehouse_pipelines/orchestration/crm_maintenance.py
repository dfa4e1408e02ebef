"""What keeps the schema ``crm`` healthy, each a row of ``TASKS``; without the schedules nobody makes partitions.

Row-level security is forced, so nobody sees all organizations at once. A job therefore lists the organizations as
``crm_definer``, which may see every row, and reads them one by one as ``crm_owner`` with ``app.organization_id`` set,
read-only. It needs a database user that may take both roles. A superuser may; so may the user that ran the migration,
which grants them to it. Any other needs ``GRANT crm_owner, crm_definer TO user``. Neither a superuser nor BYPASSRLS is
asked for. To see the statements of other users, ``daily_slow_query_report`` also needs pg_read_all_stats.
"""

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines.orchestration import maintenance
from warehouse_pipelines.orchestration.maintenance import Report, Row, Task

if TYPE_CHECKING:
    from warehouse_pipelines.orchestration.maintenance import Connection

SLOW_MS = 100
LONG_SECONDS = 60
STUCK = "1 day"
KEEP = "12 months"
ENOUGH_CLOSED = 30
"""Fewer won, or fewer lost, leads of an organization say nothing about its weights."""

ORGANIZATIONS = " UNION ".join(
    # A walk along an index that begins with the organization: one look-up for each, however many rows it has.
    f"""(WITH RECURSIVE found AS (
            (SELECT organization_id FROM crm.{table} ORDER BY organization_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.organization_id FROM crm.{table} AS t WHERE t.organization_id > found.organization_id
                    ORDER BY t.organization_id LIMIT 1)
            FROM found WHERE found.organization_id IS NOT NULL)
        SELECT organization_id FROM found WHERE organization_id IS NOT NULL)"""  # noqa: S608
    for table in ("leads", "dnc_list", "budget_transactions", "system_config")
)


class Crm:
    """A session of the warehouse's own user, which takes the roles of the schema as it needs them."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    @contextlib.contextmanager
    def role(self, name: str) -> "Iterator[Connection]":
        """Take a role for the block, outside a transaction."""
        import psycopg
        from psycopg import sql

        try:
            self.connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            user = self.connection.info.user
            raise dg.Failure(
                f"the database user {user} may not act as {name}, and no other role sees what this job reads; as a "
                f"superuser: GRANT crm_owner, crm_definer TO {user}",
                allow_retries=False,
            ) from error
        try:
            yield self.connection
        finally:
            if not self.connection.closed:
                self.connection.execute("RESET ROLE")

    def organizations(self) -> list[Any]:
        """Return the id of every organization that has leads, a do-not-call list, a ledger or settings."""
        with self.role("crm_definer") as connection:
            return [row["organization_id"] for row in connection.execute(f"{ORGANIZATIONS} ORDER BY 1".encode())]

    def each(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query for every organization, below its policies, and return all rows with their organization."""
        rows: list[Row] = []
        organizations = self.organizations()
        with self.role("crm_owner") as connection:
            for organization in organizations:
                with connection.transaction():
                    connection.execute("SET TRANSACTION READ ONLY")
                    connection.execute("SELECT set_config('app.organization_id', %s, true)", [str(organization)])
                    found = connection.execute(query.encode(), parameters)
                    rows += ({"organization_id": str(organization), **row} for row in found)
        return rows


def slow_queries(crm: Crm) -> Report:
    """List statements whose mean is over ``SLOW_MS``, the costliest first."""
    import psycopg

    fact = crm.connection.execute(
        "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS all_users, "
        "(SELECT format('%I.pg_stat_statements', n.nspname) FROM pg_extension e "
        " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements') AS statements"
    ).fetchone()
    known = fact or {"all_users": False, "statements": None}
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
        "SELECT relname AS table, seq_scan AS whole_reads, seq_tup_read / greatest(seq_scan, 1) AS rows_each, "
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


def stuck_sequences(crm: Crm) -> Report:
    """List enrollments that have been due for a day, and those that wait for a sequence which is switched off."""
    rows = crm.each(
        """
        SELECT e.sequence_id::text AS sequence_id, s.is_active AS sequence_is_active, count(*) AS enrollments,
            min(e.next_run_at) AS oldest_due, (array_agg(e.id::text ORDER BY e.next_run_at))[1] AS oldest_enrollment
        FROM crm.lead_sequence_enrollments AS e
            JOIN crm.nurture_sequences AS s ON s.organization_id = e.organization_id AND s.id = e.sequence_id
        WHERE e.status = 'active' AND (e.next_run_at IS NULL OR e.next_run_at < now() - %(stuck)s::interval)
        GROUP BY e.sequence_id, s.is_active ORDER BY 3 DESC
        """,
        {"stuck": STUCK},
    )
    stuck = sum(row["enrollments"] for row in rows if row["sequence_is_active"])
    waiting = sum(row["enrollments"] for row in rows) - stuck
    return Report(
        {"stuck": stuck, "in_switched_off_sequences": waiting, "organizations": _organizations(rows)},
        {"sequences": rows},
        f"{stuck} enrollments have been due for over {STUCK}: does the worker run?" if stuck else "",
    )


def dnc_review(crm: Crm) -> Report:
    """List the entries that the AI added to the do-not-call lists in the last week, the least certain first."""
    rows = crm.each(
        """
        SELECT id::text AS id, reason, detection_confidence::float8 AS confidence, created_at, expires_at,
            created_at > now() - interval '1 day' AS new
        FROM crm.dnc_list WHERE detected_by = 'ai' AND created_at > now() - interval '7 days'
        ORDER BY detection_confidence NULLS FIRST, created_at
        """
    )
    new = sum(row["new"] for row in rows)
    unsure = sum(row["confidence"] is None or row["confidence"] < 0.8 for row in rows)
    return Report(
        {"new": new, "last_7_days": len(rows), "unsure": unsure, "organizations": _organizations(rows)},
        {"entries": sorted(rows, key=lambda row: (not row["new"], row["confidence"] or 0))},
        f"{new} entries of the last day were detected by the AI and wait for a review" if new else "",
    )


def vacuum_analyze(crm: Crm) -> Report:
    """VACUUM (ANALYZE) every table of the schema, and say what that brought."""
    from psycopg import sql

    query = """
        SELECT coalesce(p.relname, c.relname)::text AS table, sum(s.n_live_tup)::bigint AS rows,
            sum(s.n_dead_tup)::bigint AS dead,
            round(sum(pg_total_relation_size(c.oid)) / 2 ^ 20::numeric, 1)::float8 AS mb
        FROM pg_class AS c JOIN pg_stat_all_tables AS s ON s.relid = c.oid
            LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r'
        GROUP BY 1 ORDER BY 1
        """
    before = {row["table"]: row for row in crm.connection.execute(query)}
    with crm.role("crm_owner") as connection:
        for table in before:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier("crm", table)))
    rows = [{**row, "dead_before": before[row["table"]]["dead"]} for row in crm.connection.execute(query)]
    return Report(
        {
            "tables": len(rows),
            "dead_rows_before": sum(row["dead_before"] for row in rows),
            "dead_rows": sum(row["dead"] for row in rows),
            "mb": round(sum(row["mb"] for row in rows), 1),
        },
        {"by_table": rows},
    )


def score_distribution(crm: Crm) -> Report:
    """Count the living leads of each ten points, by organization."""
    rows = crm.each(
        """
        SELECT count(*) AS leads, round(avg(l.lead_score), 1)::float8 AS mean,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY l.lead_score) AS median,
            count(*) FILTER (WHERE l.lead_score_factors = '{}') AS never_scored,
            array_agg(least(l.lead_score / 10, 9)) AS tens
        FROM crm.leads AS l WHERE l.deleted_at IS NULL HAVING count(*) > 0
        """
    )
    totals = [0] * 10
    for row in rows:
        tens = row.pop("tens")
        for ten in range(10):
            count = tens.count(ten)
            totals[ten] += count
            row[f"from_{10 * ten}"] = count
    never = sum(row["never_scored"] for row in rows)
    leads = sum(row["leads"] for row in rows)
    return Report(
        {
            "leads": leads,
            "never_scored": never,
            **{f"from_{10 * ten}": count for ten, count in enumerate(totals)},
            "mean": round(sum(row["mean"] * row["leads"] for row in rows) / leads, 1) if leads else 0.0,
        },
        {"by_organization": rows},
        f"{never} of {leads} leads were never scored" if never * 2 > leads else "",
    )


ANOMALIES = {
    "status_is_not_the_last_of_its_history": """
        SELECT count(*) AS n FROM crm.leads AS l LEFT JOIN (
            SELECT DISTINCT ON (h.lead_id) h.lead_id, h.to_status FROM crm.lead_status_history AS h
            ORDER BY h.lead_id, h.created_at DESC) AS last ON last.lead_id = l.id
        WHERE l.status_changed_at > now() - interval '11 months' AND last.to_status IS DISTINCT FROM l.status
        """,
    "score_is_not_the_sum_of_its_factors": """
        SELECT count(*) AS n FROM crm.leads AS l WHERE l.lead_score_factors <> '{}' AND l.lead_score <> (
            SELECT sum(f.value::numeric) FROM jsonb_each_text(l.lead_score_factors) AS f)
        """,
    "won_without_a_value": """
        SELECT count(*) AS n FROM crm.leads WHERE status = 'won' AND value_usd IS NULL AND deleted_at IS NULL
        """,
    "created_in_the_future": "SELECT count(*) AS n FROM crm.leads WHERE created_at > now() + interval '1 day'",
    "open_without_an_owner_for_a_week": """
        SELECT count(*) AS n FROM crm.leads WHERE owner_id IS NULL AND deleted_at IS NULL
            AND status NOT IN ('won', 'lost', 'disqualified') AND created_at < now() - interval '7 days'
        """,
    "enrolled_though_deleted": """
        SELECT count(*) AS n FROM crm.lead_sequence_enrollments AS e
            JOIN crm.leads AS l ON l.organization_id = e.organization_id AND l.id = e.lead_id
        WHERE e.status IN ('active', 'paused') AND l.deleted_at IS NOT NULL
        """,
    "log_rows_without_a_month": """
        SELECT (SELECT count(*) FROM crm.lead_audit_log WHERE tableoid = 'crm.lead_audit_log_default'::regclass)
             + (SELECT count(*) FROM crm.lead_status_history
                WHERE tableoid = 'crm.lead_status_history_default'::regclass) AS n
        """,
}
"""Name and count. The constraints refuse what can be refused; this is what they cannot see."""

NEW_LEADS = """
    SELECT array_agg(n ORDER BY week) AS by_week FROM (
        SELECT week, (SELECT count(*) FROM crm.leads AS l
                      WHERE l.created_at >= now() - (week + 1) * interval '7 days'
                          AND l.created_at < now() - week * interval '7 days') AS n
        FROM generate_series(0, 8) AS week) AS weeks
    """


def anomalies(crm: Crm) -> Report:
    """Count what no constraint can refuse, and compare last week's new leads with those of eight weeks before."""
    found: list[Row] = []
    for name, query in ANOMALIES.items():
        found += [{"anomaly": name, **row} for row in crm.each(query) if row["n"]]
    for row in crm.each(NEW_LEADS):
        last, *before = row["by_week"]
        usual = statistics.median(before)
        if usual >= 20 and not usual / 3 <= last <= usual * 3:
            found.append(
                {
                    "anomaly": "new_leads_of_the_week",
                    "organization_id": row["organization_id"],
                    "n": last,
                    "usual": usual,
                }
            )
    counts = dict.fromkeys([*ANOMALIES, "new_leads_of_the_week"], 0)
    for row in found:
        counts[row["anomaly"]] += 1 if "usual" in row else row["n"]
    said = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
    return Report(dict(counts), {"found": [{"usual": "", **row} for row in found]}, said)


@contextlib.contextmanager
def _locking(crm: Crm) -> "Iterator[Connection]":
    """As the owner, for work on partitions. It does not wait long for its lock: every writer would wait behind it."""
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
    rows = crm.connection.execute(
        """
        SELECT coalesce(p.relname, i.relname)::text AS index, coalesce(pt.relname, t.relname)::text AS table,
            sum(s.idx_scan)::bigint AS used, round(sum(pg_relation_size(i.oid)) / 2 ^ 20::numeric, 1)::float8 AS mb,
            bool_or(x.indisunique) AS is_unique, bool_and(x.indisvalid) AS is_valid
        FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
            JOIN pg_stat_all_indexes AS s ON s.indexrelid = i.oid
            LEFT JOIN pg_inherits AS h ON h.inhrelid = i.oid LEFT JOIN pg_class AS p ON p.oid = h.inhparent
            LEFT JOIN pg_inherits AS th ON th.inhrelid = t.oid LEFT JOIN pg_class AS pt ON pt.oid = th.inhparent
        WHERE t.relnamespace = 'crm'::regnamespace AND t.relkind = 'r'
        GROUP BY 1, 2 ORDER BY sum(pg_relation_size(i.oid)) DESC
        """
    ).fetchall()
    # indkey as text ends with a blank, so that 1 2 is not taken for the beginning of 1 23.
    contained = crm.connection.execute(
        """
        SELECT a.indexrelid::regclass::text AS index, b.indexrelid::regclass::text AS contained_in
        FROM pg_index AS a JOIN pg_index AS b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
            JOIN pg_class AS t ON t.oid = a.indrelid
        WHERE t.relnamespace = 'crm'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
            AND NOT a.indisunique AND a.indexprs IS NULL AND b.indexprs IS NULL
            AND starts_with(b.indkey::text || ' ', a.indkey::text || ' ')
            AND a.indpred IS NOT DISTINCT FROM b.indpred AND a.indclass[0] = b.indclass[0]
        """
    ).fetchall()
    since = crm.connection.execute(
        "SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
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
            "counted_since": str((since and since["stats_reset"]) or "the server's first start"),
        },
        {"unused_indexes": unused, "invalid_indexes": invalid, "contained_indexes": contained, "by_size": rows},
        f"{len(invalid)} indexes are invalid: REINDEX them" if invalid else "",
    )


def scoring_weights(crm: Crm) -> Report:
    """Propose scoring weights: how much more of each factor's points the leads had that were won than those lost.

    The points are those of the last score before the lead was closed. Nothing is set: whoever agrees writes the
    proposal to ``scoring.weights`` of ``system_config``.
    """
    rows = crm.each(
        """
        WITH closed AS (
            SELECT l.id, l.organization_id, l.status, l.status_changed_at FROM crm.leads AS l
            WHERE l.status IN ('won', 'lost') AND l.status_changed_at > now() - interval '12 months'
        ), scored AS (
            SELECT c.id, c.status, s.factors FROM closed AS c, LATERAL (
                SELECT h.factors FROM crm.lead_score_history AS h
                WHERE h.organization_id = c.organization_id AND h.lead_id = c.id AND h.created_at < c.status_changed_at
                ORDER BY h.created_at DESC LIMIT 1) AS s
        ), weights AS (
            SELECT coalesce((SELECT value FROM crm.system_config WHERE key = 'scoring.weights'),
                '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}') AS of_now
        )
        SELECT w.key AS factor, w.value::float8 AS weight,
            count(*) FILTER (WHERE s.status = 'won') AS won, count(*) FILTER (WHERE s.status = 'lost') AS lost,
            avg((s.factors ->> w.key)::float8) FILTER (WHERE s.status = 'won')
                / nullif(w.value::float8, 0) AS share_won,
            avg((s.factors ->> w.key)::float8) FILTER (WHERE s.status = 'lost')
                / nullif(w.value::float8, 0) AS share_lost
        FROM weights, jsonb_each_text(weights.of_now) AS w LEFT JOIN scored AS s ON true
        GROUP BY w.key, w.value ORDER BY w.key
        """
    )
    by_organization: dict[str, list[Row]] = {}
    for row in rows:
        by_organization.setdefault(row["organization_id"], []).append(row)
    proposed = 0
    for factors in by_organization.values():
        enough = min(factors[0]["won"], factors[0]["lost"]) >= ENOUGH_CLOSED
        lifts = [max(0.0, (row["share_won"] or 0) - (row["share_lost"] or 0)) for row in factors]
        total = sum(lifts)
        for row, lift in zip(factors, lifts, strict=True):
            # Rounded down, so that they are never over 100 together.
            row["proposed_weight"] = int(100 * lift / total) if enough and total else None
        proposed += bool(enough and total)
    return Report(
        {"organizations": len(by_organization), "proposals": proposed, "closed_leads_needed": ENOUGH_CLOSED},
        {"factors": rows},
        f"{proposed} organizations have a proposal for scoring.weights" if proposed else "",
    )


def reconcile_budget(crm: Crm) -> Report:
    """Add up every account from its first entry, and fail where the chain of balances does not hold."""
    rows = crm.each(
        """
        WITH chained AS (
            SELECT b.*, lag(b.balance_after_usd) OVER chain AS expected_before,
                lag(b.entry_no) OVER chain AS entry_before,
                last_value(b.balance_after_usd) OVER (chain ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
                    AS last_balance
            FROM crm.budget_transactions AS b WINDOW chain AS (PARTITION BY b.account_id ORDER BY b.entry_no)
        )
        SELECT account_id::text AS account_id, count(*) AS entries, sum(amount_usd)::text AS sum_usd,
            max(last_balance)::text AS balance_usd,
            count(*) FILTER (WHERE balance_before_usd <> coalesce(expected_before, 0)
                OR entry_no <> coalesce(entry_before, 0) + 1
                OR balance_after_usd <> balance_before_usd + amount_usd) AS breaks,
            sum(amount_usd) <> max(last_balance) AS differs,
            coalesce(sum(amount_usd) FILTER (WHERE amount_usd < 0 AND created_at >= date_trunc('month', now())
                - interval '1 month' AND created_at < date_trunc('month', now())), 0)::text AS spent_last_month_usd
        FROM chained GROUP BY account_id ORDER BY 5 DESC, 1
        """
    )
    wrong = [row for row in rows if row["breaks"] or row["differs"]]
    return Report(
        {
            "accounts": len(rows),
            "entries": sum(row["entries"] for row in rows),
            "accounts_that_do_not_add_up": len(wrong),
            "organizations": _organizations(rows),
        },
        {"wrong": wrong, "balances": rows},
        broken=f"{len(wrong)} accounts of crm.budget_transactions do not add up" if wrong else "",
    )


def _organizations(rows: Sequence[Row]) -> int:
    return len({row["organization_id"] for row in rows})


def _crm(run: Callable[[Crm], Report]) -> "Callable[[Connection], Report]":
    @functools.wraps(run)
    def on(connection: "Connection") -> Report:
        return run(Crm(connection))

    return on


TASKS = [
    Task("daily_slow_query_report", "10 3 * * *", _crm(slow_queries)),
    Task("daily_stuck_sequences", "20 3 * * *", _crm(stuck_sequences)),
    Task("daily_dnc_review", "30 3 * * *", _crm(dnc_review)),
    Task("weekly_vacuum_analyze", "0 4 * * 0", _crm(vacuum_analyze)),
    Task("weekly_score_distribution", "30 4 * * 0", _crm(score_distribution)),
    Task("weekly_anomalies", "45 4 * * 0", _crm(anomalies)),
    Task("monthly_make_partitions", "0 2 1 * *", _crm(make_partitions)),
    Task("monthly_archive_audit", "15 2 1 * *", _crm(archive_audit)),
    Task("monthly_index_review", "0 5 1 * *", _crm(index_review)),
    Task("monthly_scoring_weights", "15 5 1 * *", _crm(scoring_weights)),
    Task("reconcile_budget_monthly", "30 5 1 * *", _crm(reconcile_budget)),
]


def jobs(url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return a job for each task, on the warehouse at ``url()``."""
    return maintenance.jobs("crm", TASKS, url)


def schedules(url: Callable[[], str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule of each task."""
    return maintenance.schedules("crm", TASKS, url)
