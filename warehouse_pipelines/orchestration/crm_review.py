"""What a person should look at in the schema ``crm``: enrollments, do-not-call entries, scores, anomalies, budgets.

Each report lists ids and counts, and nothing that names a person. None of them changes a row.
"""

import statistics
from collections.abc import Sequence

from warehouse_pipelines.orchestration.crm_session import Crm
from warehouse_pipelines.orchestration.maintenance import Report, Row

STUCK = "1 day"


ENOUGH_CLOSED = 30
"""Fewer won, or fewer lost, leads of an organization say nothing about its weights."""


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
