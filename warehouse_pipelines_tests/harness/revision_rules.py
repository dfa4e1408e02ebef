"""What a revision may do with a table that may be large, as ``migration_plan`` recorded it."""

import re
from collections.abc import Iterable

from warehouse_pipelines.schema.migration_plan import BLOCKS, Plan, Stage

NEVER_LARGE = re.compile(
    r"orchestration\.(account|alembic_version|migration_step|alert_rule|alert_silence|retention_policy|source_table|sync_schedule)"
    r"|identity\.(weight|weight_version|survivorship|source_trust|read_position)|access\..*|reverse_etl\..*"
    r"|crm\.(\w*_mapping|status_rank|source_status|dnc_reasons|fx_rate|system_config|message_template|feed_position)"
)
"""Tables of settings and of people who sign in: a revision may do with them what it likes."""


def long_locks(stages: Iterable[Stage]) -> list[str]:
    """Return a sentence for each table that may be large, and that a stage reads, writes or indexes as a whole."""
    found = []
    for stage in stages:
        for effect in stage.effects:
            if effect.is_long and not NEVER_LARGE.fullmatch(effect.table):
                what = "rewrites" if effect.rewritten else "reads all of" if effect.scans else "builds an index of"
                found.append(f"{'; '.join(stage.lines)} {what} {effect.table}, which may be large: see CONTRIBUTING.md")
    return found


def locked_seconds(plan: Plan, table: str) -> float:
    """Return how long a table is locked so that somebody waits; 0 where nobody does."""
    for place, stage in enumerate(plan.stages):
        for effect in stage.effects:
            if effect.table == table and BLOCKS.get(effect.lock, "").endswith("wait"):
                return plan.held_seconds(place)
    return 0.0
