"""The jobs that keep the schema ``crm`` healthy, each a row of ``TASKS``; without them nobody makes partitions.

``crm_upkeep`` has those of the database, ``crm_review`` those whose report a person reads.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from warehouse_pipelines.orchestration.crm_review import (
    anomalies,
    dnc_review,
    reconcile_budget,
    score_distribution,
    scoring_weights,
    stuck_sequences,
)
from warehouse_pipelines.orchestration.crm_session import Crm
from warehouse_pipelines.orchestration.crm_upkeep import (
    archive_audit,
    index_review,
    make_partitions,
    slow_queries,
    vacuum_analyze,
)
from warehouse_pipelines.orchestration.maintenance import Report, Task

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def _crm(run: Callable[[Crm], Report]) -> "Callable[[Session], Report]":
    @functools.wraps(run)
    def on(connection: "Session") -> Report:
        return run(Crm(connection))

    return on


def score_leads(connection: "Session") -> Report:
    """Score all leads: a score grows old by itself, and the feed scores only the leads that it reached."""
    from warehouse_pipelines.unified import feed

    return Report({"changed": feed.score(connection)})


TASKS = [
    Task("daily_score_leads", "5 3 * * *", score_leads),
    Task("daily_slow_query_report", "10 3 * * *", _crm(slow_queries)),
    Task("daily_stuck_sequences", "20 3 * * *", _crm(stuck_sequences)),
    Task("daily_dnc_review", "30 3 * * *", _crm(dnc_review)),
    Task("weekly_vacuum_analyze", "0 4 * * 0", _crm(vacuum_analyze)),
    Task("weekly_score_distribution", "30 4 * * 0", _crm(score_distribution), told=True),
    Task("weekly_anomalies", "45 4 * * 0", _crm(anomalies), told=True),
    Task("monthly_make_partitions", "0 2 1 * *", _crm(make_partitions)),
    Task("monthly_archive_audit", "15 2 1 * *", _crm(archive_audit)),
    Task("monthly_index_review", "0 5 1 * *", _crm(index_review), told=True),
    Task("monthly_scoring_weights", "15 5 1 * *", _crm(scoring_weights), told=True),
    Task("reconcile_budget_monthly", "30 5 1 * *", _crm(reconcile_budget), told=True),
]
