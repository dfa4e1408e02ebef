"""What a person should look at in the schema ``crm``: enrollments, do-not-call entries, scores, anomalies, budgets.

Each report lists ids and counts, and nothing that names a person. None of them changes a row.
"""

import statistics
from collections.abc import Sequence

from warehouse_pipelines.orchestration.crm_session import Crm
from warehouse_pipelines.orchestration.maintenance import Report, Row
from warehouse_pipelines.queries import query

STUCK = "1 day"

ENOUGH_CLOSED = 30
"""Fewer won, or fewer lost, leads of an organization say nothing about its weights."""


def stuck_sequences(crm: Crm) -> Report:
    """List enrollments due for a day, those of sequences that are switched off, and messages that wait for a person."""
    rows = crm.each(
        query("crm_stuck_sequences"),
        {"stuck": STUCK},
    )
    stuck = sum(row["enrollments"] for row in rows if row["sequence_is_active"])
    waiting = sum(row["enrollments"] for row in rows) - stuck
    undecided = crm.each(query("crm_undecided_messages"))
    messages = sum(row["messages"] for row in undecided)
    attention = [f"{stuck} enrollments have been due for over {STUCK}: does the worker run?"] * bool(stuck)
    attention += [f"{messages} messages wait for a person: `warehouse sequences messages`"] * bool(messages)
    return Report(
        {
            "stuck": stuck, "in_switched_off_sequences": waiting, "undecided_messages": messages,
            "organizations": _organizations(rows),
        },
        {"sequences": rows, "messages": undecided},
        "; ".join(attention),
    )  # fmt: skip


def dnc_review(crm: Crm) -> Report:
    """List the entries that the AI added to the do-not-call lists in the last week, the least certain first."""
    rows = crm.each(query("crm_dnc_review"))
    new = sum(row["new"] for row in rows)
    unsure = sum(row["confidence"] is None or row["confidence"] < 0.8 for row in rows)
    return Report(
        {"new": new, "last_7_days": len(rows), "unsure": unsure, "organizations": _organizations(rows)},
        {"entries": sorted(rows, key=lambda row: (not row["new"], row["confidence"] or 0))},
        f"{new} entries of the last day were detected by the AI and wait for a review" if new else "",
    )


def score_distribution(crm: Crm) -> Report:
    """Count the living leads of each ten points, by organization."""
    rows = crm.each(query("crm_score_distribution"))
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
                WHERE tableoid = 'crm.lead_status_history_default'::regclass AND from_status IS NOT NULL) AS n
        """,
}
"""Name and count. The constraints refuse what can be refused; this is what they cannot see.

The first status of a lead may be from before the first month, and stands in the default partition: a partition for
each month of fifteen years would have every look at a lead's history take a thousand locks.
"""


def anomalies(crm: Crm) -> Report:
    """Count what no constraint can refuse, and compare last week's new leads with those of eight weeks before."""
    found: list[Row] = []
    for name, count in ANOMALIES.items():
        found += [{"anomaly": name, **row} for row in crm.each(count) if row["n"]]
    for row in crm.each(query("crm_new_leads_by_week")):
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
    attention = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
    return Report(dict(counts), {"found": [{"usual": "", **row} for row in found]}, attention)


def scoring_weights(crm: Crm) -> Report:
    """Propose scoring weights: how much more of each factor's points the leads had that were won than those lost.

    The points are those of the last score before the lead was closed. Nothing is set: whoever agrees writes the
    proposal to ``scoring.weights`` of ``system_config``.
    """
    rows = crm.each(query("crm_scoring_weights"))
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
    rows = crm.each(query("crm_reconcile_budget"))
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
