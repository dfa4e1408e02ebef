"""Reports of maintenance jobs reach the channels of alerts, and no channel stops a job."""

from collections.abc import Iterator

import pytest

from warehouse_pipelines.orchestration import maintenance
from warehouse_pipelines.orchestration.crm_maintenance import TASKS
from warehouse_pipelines.orchestration.maintenance import Report, Task
from warehouse_pipelines_tests.harness.alerting import Receiver, receiving

EMAIL = "wilhelmina.planted@example.org"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("WAREHOUSE_ALERT_URLS", found.url)
        yield found


def run(url: str, report: Report, *, told: bool = False) -> bool:
    def look(session: object) -> Report:
        """Look after things."""
        return report

    [job] = maintenance.jobs({"crm": [Task("look", "0 3 * * *", look, told)]}, lambda: url)
    return job.execute_in_process(raise_on_error=False).success


def test_what_needs_a_person_is_sent_once_a_day(receiver: Receiver, database_url: str) -> None:
    report = Report({"rows_left": 3}, {"rows": [{"id": n} for n in range(12)]}, attention=f"ask {EMAIL}")
    assert run(database_url, report)
    assert run(database_url, report)
    [message] = receiver.got
    assert message["title"] == "[warning] look: Look after things."
    assert "rows left: 3" in message["message"]
    assert "rows: 12" in message["message"]
    assert "id 9" in message["message"]
    assert "id 10" not in message["message"]
    assert EMAIL not in message["message"]


def test_a_report_without_anything_to_do_is_sent_if_its_task_is_told(receiver: Receiver, database_url: str) -> None:
    assert run(database_url, Report({"rows_left": 3}))
    assert receiver.got == []
    assert run(database_url, Report({"rows_left": 3}), told=True)
    assert receiver.titles == ["[info] look: Look after things."]
    assert {task.name for task in TASKS if task.told} >= {"weekly_anomalies", "reconcile_budget_monthly"}


def test_what_is_broken_is_sent_and_fails_the_run(receiver: Receiver, database_url: str) -> None:
    assert not run(database_url, Report(broken="a partition is missing"))
    assert receiver.titles == ["[critical] look: Look after things."]


def test_a_channel_that_refuses_and_one_that_is_none_stop_no_job(
    receiver: Receiver, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 500
    assert run(database_url, Report(attention="look here"))
    monkeypatch.setenv("WAREHOUSE_ALERT_URLS", "no-url-at-all")
    assert run(database_url, Report(attention="look here"))
    monkeypatch.setenv("WAREHOUSE_ALERT_QUIET_HOURS", "soon")
    assert run(database_url, Report(attention="look here"))
