"""The job ``daily_retention`` removes what is past its age (``loading.retention``), and reports how much.

Runs of Dagster are deleted by the job ``prune_dagster`` (``dagster_maintenance``), by the ages of the same table.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.maintenance import Report, Task

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def tasks(sources: Sequence[Source]) -> list[Task]:
    """Return the task."""

    def remove_old(session: "Session") -> Report:
        """Remove or archive what is older than orchestration.retention_policy says."""
        from warehouse_pipelines.loading import retention

        done = retention.run(session, sources)
        problems = [f"{one.kind}: {one.problem}" for one in done if one.problem]
        return Report(
            {f"removed_{one.kind}": one.removed for one in done},
            lists={"kinds": [{"kind": one.kind, "removed": one.removed, "problem": one.problem} for one in done]},
            attention="; ".join(problems),
        )

    return [Task("daily_retention", "50 3 * * *", remove_old)]
