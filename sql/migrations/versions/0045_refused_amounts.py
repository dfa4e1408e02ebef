"""Amounts that count nowhere are named, and a lead's first status has begun when its source says. SQL for psql."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.schema import online, scripts

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

revision = "0045_refused_amounts"
down_revision = "0044_followed_records"

BATCH = """
    WITH batch AS MATERIALIZED (
        SELECT l.organization_id, l.id, l.status_changed_at FROM crm.leads AS l
        WHERE %(position)s::text IS NULL OR (l.organization_id, l.id)
            > (split_part(%(position)s, ' ', 1)::uuid, split_part(%(position)s, ' ', 2)::uuid)
        ORDER BY l.organization_id, l.id LIMIT %(batch)s
    ), moved AS (
        UPDATE crm.lead_status_history AS h SET created_at = b.began_at
        FROM (
            SELECT b.organization_id, b.id, coalesce(n.began_at, b.status_changed_at) AS began_at
            FROM batch AS b LEFT JOIN LATERAL (
                SELECT c.created_at - c.time_in_previous AS began_at FROM crm.lead_status_history AS c
                WHERE c.organization_id = b.organization_id AND c.lead_id = b.id AND c.from_status IS NOT NULL
                ORDER BY c.created_at LIMIT 1) AS n ON true
        ) AS b
        WHERE h.organization_id = b.organization_id AND h.lead_id = b.id AND h.from_status IS NULL
            AND h.triggered_by = 'import' AND b.began_at < h.created_at
    ) SELECT (array_agg(concat(b.organization_id, ' ', b.id) ORDER BY b.organization_id DESC, b.id DESC))[1] AS last,
        count(*) AS rows FROM batch AS b
"""


@dataclass(frozen=True)
class FirstStatuses:
    """The first status of each lead of a source or a file gets the time at which it began, as new ones have it.

    A lead whose status changed says when by the change: how long it had been what it was. The batches are of leads.
    """

    name: str = "times of first statuses"
    table: str = "crm.leads"
    batch: int = online.BATCH

    def run(self, session: "Session", progress: online.Progress) -> None:
        """Move them, from where it was left."""

        def move(position: str | None) -> dict[str, Any]:
            with session.transaction():
                # Each batch looks its leads up, and never reads the history as a whole.
                for kind in ("seqscan", "hashjoin", "mergejoin"):
                    session.execute(f"SET LOCAL enable_{kind} = off".encode())
                row = session.execute(BATCH.encode(), {"position": position, "batch": self.batch}).fetchone()
                assert row is not None  # noqa: S101  (an aggregate)
                if row["last"] is not None:
                    progress.move(row["last"])
                return row

        position, rows = progress.position(), self.batch
        while rows == self.batch:
            row = online.patiently(session, "Moving first statuses", functools.partial(move, position))
            position, rows = row["last"], row["rows"]


steps = (
    online.Index(
        "activity_timeline_refused", "marts.activity_timeline", "(source_table) WHERE refused_amount IS NOT NULL"
    ),
    FirstStatuses(),
)


def upgrade() -> None:
    """Add the column, and what tells of it."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Drop the column; the timeline is computed anew by its next run."""
    scripts.run_file(Path(__file__).with_name("0045_refused_amounts_down.sql"))
