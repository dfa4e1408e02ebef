"""The command line in this process, and what it asks of what runs jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from click.testing import CliRunner, Result

from warehouse_pipelines.commands import cli, job_processes
from warehouse_pipelines.commands.outcome import Outcome
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.source_harness import asking

EVERY_ENTITY = [(source.name, entity.name) for source in SOURCES for entity in source.entities]


class FakeJobs:
    """Stands in for what runs jobs, to see what the command line asks of it."""

    asked: list[tuple[str, str, Mapping[str, Any], Any]]
    endings: dict[str, str]

    @classmethod
    def run_jobs(cls, jobs: Sequence[job_processes.Job], *, config: Any, days: Any, **_: Any) -> list[Outcome]:
        cls.asked += [(crm, entity, config, days) for crm, entity in jobs]
        statuses = [(crm, entity, cls.endings.get(f"{crm} {entity}", "success")) for crm, entity in jobs]
        return [
            Outcome(crm=crm, sync_type=entity, status=status, reason=None if status == "success" else "planted")
            for crm, entity, status in statuses
        ]


def warehouse(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli.main, list(words))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with asking(url) as session:
        return session.execute(query.encode()).fetchall()
