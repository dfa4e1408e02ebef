"""What webhooks missed, and which entities are polled less often because theirs deliver."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import cli
from warehouse_pipelines.loading import webhook_cadence
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.leadconduit import LEADCONDUIT
from warehouse_pipelines_tests.harness.source_harness import looking

CONTACTS = next(one for one in HUBSPOT.entities if one.name == "contacts")
HOUR = timedelta(hours=1)


class History:
    """Runs of HubSpot's contacts, as long ago as said."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, minutes_ago: float, mode: str = "delta", *, changes: int = 0, entity: str = "contacts",
            status: str = "success", **more: Any) -> None:  # fmt: skip
        configuration = {"mode": mode, "dry_run": False, "max_records": 0, "narrowed": False, "previous_cursor": None}
        looking(self.url).execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status,"
            " records_created, records_updated, records_processed, configuration, performance_metrics, error_message)"
            " VALUES ('hubspot', %s, now() - make_interval(secs => %s), now(), %s, %s, %s, %s, %s, %s, %s)",
            [
                entity, 60 * minutes_ago, status, changes // 2, changes - changes // 2, changes,
                json.dumps(configuration | more), json.dumps({"deleted": 0, "restored": 0}),
                "no answer" if status == "failed" else None,
            ],
        )  # fmt: skip

    def slower(self) -> list[webhook_cadence.WebhookCadence]:
        with warehouse.session(self.url) as session:
            return webhook_cadence.slower(session, HUBSPOT, [CONTACTS])

    def gap(self) -> list[dict[str, Any]]:
        return looking(self.url).execute("SELECT * FROM orchestration.webhook_gap ORDER BY entity, day").fetchall()


@pytest.fixture
def history(database_url: str) -> History:
    return History(database_url)


def test_without_webhooks_nothing_is_polled_less_often(history: History) -> None:
    history.run(15, changes=40)
    assert history.slower() == []
    assert history.gap() == []


def test_while_webhooks_deliver_an_entity_is_polled_at_its_longer_cadence(history: History) -> None:
    history.run(20)
    history.run(10, "webhook", changes=3)
    [pace] = history.slower()
    assert (pace.entity, pace.every, pace.is_due) == ("contacts", HOUR, False)
    assert pace.reason == "its webhooks deliver, so it is polled every hour (last 20 minutes ago)"


@pytest.mark.parametrize(("minutes", "due"), [(44, False), (52, False), (53, True), (59, True), (75, True)])
def test_a_run_begins_later_than_its_tick(history: History, minutes: float, due: bool) -> None:
    """Else the tick of an hour later would come too early for it, and the one after it do the work."""
    history.run(minutes)
    history.run(1, "webhook", changes=3)
    assert [pace.is_due for pace in history.slower()] == [due]


def test_what_only_polls_find_ends_it_with_the_next_tick(history: History) -> None:
    history.run(100, "webhook", changes=50)
    history.run(90, changes=5)
    history.run(60, "webhook", changes=6)
    assert len(history.slower()) == 1, "5 of 61 is a twelfth"
    history.run(15, changes=3)
    assert history.slower() == [], "8 of 64 is an eighth"


def test_a_quiet_night_says_nothing_against_webhooks(history: History) -> None:
    history.run(60 * 23, "webhook", changes=1)
    history.run(30)
    assert len(history.slower()) == 1
    looking(history.url).execute(
        "UPDATE orchestration.sync_history SET start_time = start_time - interval '61 minutes'"
    )
    assert history.slower() == [], "nothing was told for a day"


def test_failed_polls_and_reads_do_not_count(history: History) -> None:
    history.run(30, "webhook", status="failed")
    history.run(20)
    assert history.slower() == []
    history.run(10, "webhook", changes=1)
    assert [pace.polled // timedelta(minutes=1) for pace in history.slower()] == [20]
    history.run(5, status="failed")
    assert [pace.polled // timedelta(minutes=1) for pace in history.slower()] == [20]
    history.run(4, max_records=5)
    history.run(3, dry_run=True)
    assert [pace.polled // timedelta(minutes=1) for pace in history.slower()] == [20]


def test_a_delta_that_a_delivery_asked_for_is_told_and_a_poll(history: History) -> None:
    """LeadConduit names no record, so what its deliveries have read is all that is new."""
    history.run(10, for_webhooks=True, changes=4)
    [pace] = history.slower()
    assert pace.polled // timedelta(minutes=1) == 10
    [row] = history.gap()
    assert (row["changes"], row["by_webhook"], row["only_polled"]) == (4, 4, 0)


def test_the_gap_counts_what_only_polls_have_found_by_day(history: History) -> None:
    day = 24 * 60
    history.run(3 * day, changes=1_000)  # before there were any webhooks
    history.run(2 * day, "webhook", changes=30)
    history.run(2 * day - 1, changes=10)
    history.run(2 * day - 2, "full", changes=500, previous_cursor="2026-01-01T00:00:00+00:00")
    history.run(2 * day - 3, "backfill", changes=70)
    history.run(2 * day - 4, changes=9, dry_run=True)
    history.run(2 * day - 5, changes=9, status="failed")
    history.run(10, changes=0)
    history.run(2 * day, changes=8, entity="deals")
    [first, *rest] = history.gap()
    shown = {key: first[key] for key in ("crm_source", "entity", "changes", "by_webhook", "only_polled")}
    assert shown == {"crm_source": "hubspot", "entity": "contacts", "changes": 40, "by_webhook": 30, "only_polled": 10}
    assert float(first["lost_share"]) == 0.25
    assert [(row["entity"], row["changes"], row["lost_share"]) for row in rest] == [("contacts", 0, None)]


def test_a_day_without_a_delivery_is_lost_whole(history: History) -> None:
    history.run(2 * 24 * 60, "webhook", changes=5)
    history.run(30, changes=12)
    assert [float(row["lost_share"]) for row in history.gap()] == [0, 1]


def test_entities_without_a_cursor_are_polled_in_full(history: History) -> None:
    history.run(20, "webhook", changes=5, entity="owners")
    history.run(10, "full", changes=5, entity="owners")
    assert [float(row["lost_share"]) for row in history.gap()] == [0.5]


def test_status_names_what_is_polled_less_often(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", history.url)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "a-token")
    history.run(20)
    history.run(10, "webhook", changes=3)
    answer = CliRunner().invoke(cli.main, ["status", "--crm", "hubspot"])
    assert "Polled less often, because webhooks deliver: hubspot contacts every hour." in answer.output
    listed = CliRunner().invoke(cli.main, ["schedule", "list", "leadconduit"], terminal_width=200)
    assert LEADCONDUIT.name in listed.output


def test_a_longer_cadence_must_be_longer() -> None:
    with pytest.raises(ValueError, match="not longer"):
        Cadence(every=HOUR, with_webhooks=HOUR)
    assert Cadence(every=HOUR).longest_gap == 2 * HOUR
    assert Cadence(every=HOUR, with_webhooks=3 * HOUR).longest_gap == 4 * HOUR
    assert Cadence(every=timedelta(minutes=15), with_webhooks=HOUR).longest_gap == timedelta(minutes=75)
