"""``GET /metrics``: what it says of the warehouse, who may read it, and that the dashboard asks for what there is."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from warehouse_pipelines.serving import metrics
from warehouse_pipelines.settings import project_root
from warehouse_pipelines_tests.harness.serving import Serving, contact_event, events, hubspot, serving
from warehouse_pipelines_tests.harness.source_harness import looking

DASHBOARD = json.loads((project_root() / "config" / "grafana.json").read_text(encoding="utf-8"))
EMAIL = "wilhelmina.planted@example.org"

PLANTED = f"""
    INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, records_processed,
        records_created, records_updated, records_failed, error_message, configuration, performance_metrics)
    SELECT crm, entity, now() - ago, now() - ago + interval '30 seconds', status, created + updated, created, updated,
        0, CASE status WHEN 'failed' THEN '{EMAIL}' END,
        jsonb_build_object('mode', mode, 'dry_run', dry),
        jsonb_build_object('total_api_calls', 4, 'total_rows', 12, 'living_rows', 10)
    FROM (VALUES
        ('hubspot', 'contacts', interval '2 days', 'success', 100, 0, 'full', false),
        ('hubspot', 'contacts', interval '3 hours', 'success', 7, 2, 'delta', false),
        ('hubspot', 'contacts', interval '150 minutes', 'success', 0, 0, 'backfill', false),
        ('hubspot', 'contacts', interval '2 hours', 'failed', 0, 0, 'delta', false),
        ('hubspot', 'contacts', interval '1 hours', 'success', 5, 0, 'delta', true),
        ('hubspot', 'deals', interval '1 hours', 'success', 1, 1, 'delta', false),
        ('undeclared', 'things', interval '1 hours', 'success', 1, 1, 'delta', false)
    ) AS v (crm, entity, ago, status, created, updated, mode, dry)
    ORDER BY ago DESC
    """


@pytest.fixture
def serve(database_url: str) -> Iterator[Serving]:
    looking(database_url).execute(PLANTED.encode())
    with serving(database_url) as found:
        yield found


def scraped(served: Serving) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples by name and by the values of their labels, whose names are in order of the alphabet."""
    answer = served.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_runs_and_freshness_are_those_of_the_history(serve: Serving) -> None:
    found = scraped(serve)
    assert found["warehouse_up"] == {(): 1.0}
    assert found["warehouse_sync_runs"] == {
        ("hubspot", "contacts", "success"): 2.0,
        ("hubspot", "contacts", "failed"): 1.0,
        ("hubspot", "deals", "success"): 1.0,
    }
    assert found["warehouse_sync_records"]["hubspot", "contacts", "created"] == 7.0
    assert found["warehouse_sync_records"]["hubspot", "contacts", "updated"] == 2.0
    assert found["warehouse_sync_api_calls"]["hubspot", "contacts"] == 12.0
    contacts = ("hubspot", "contacts")
    age = time.time() - found["warehouse_sync_last_good_timestamp_seconds"][contacts]
    assert age == pytest.approx(3 * 3600, abs=20)
    assert found["warehouse_sync_last_failed"][contacts] == 1.0
    assert found["warehouse_sync_last_failed"]["hubspot", "deals"] == 0.0
    assert found["warehouse_sync_last_duration_seconds"][contacts] == pytest.approx(30)
    assert found["warehouse_rows"]["hubspot", "contacts", "living"] == 10.0
    assert found["warehouse_rows"]["hubspot", "contacts", "deleted"] == 2.0
    assert found["warehouse_sync_stale_after_seconds"][contacts] >= 7200.0


def test_dead_letters_budgets_and_the_inbox_are_counted(serve: Serving) -> None:
    connection = looking(serve.url)
    connection.execute(
        "INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, stage, rule, error_message,"
        " payload) SELECT 1, 'hubspot', 'deals', 'coerce', 'r', 'm', to_jsonb(n) FROM generate_series(1, 3) AS n"
    )
    for _ in range(3):
        connection.execute("SELECT orchestration.take_requests('a hash', 'day', 10, 86400, 2, 'hubspot')")
    connection.execute("SELECT orchestration.take_requests('another hash', 'day', 10, 86400, 2, 'hubspot')")
    body = events(contact_event(101))
    assert serve.post("hubspot", body, **hubspot(body)) == 200
    assert serve.post("hubspot", body) == 401
    assert serve.post("a-vendor-that-there-is-not") == 404
    found = scraped(serve)
    assert found["warehouse_dead_letters"]["hubspot", "deals", "pending"] == 3.0
    assert found["warehouse_request_budget_used_ratio"] == {("day", "hubspot"): pytest.approx(0.6)}
    assert found["warehouse_webhook_inbox_pending"] == {(): 1.0}
    deliveries = found["warehouse_webhook_deliveries_total"]
    assert deliveries["accepted", "hubspot"] == 1.0
    assert deliveries["not found", "unknown"] == 1.0
    assert sum(deliveries.values()) == 3.0


def test_a_scrape_costs_the_database_nothing_for_a_while(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scraped(serve)
    looking(serve.url).execute("DELETE FROM orchestration.sync_history")
    body = events(contact_event(101))
    serve.post("hubspot", body, **hubspot(body))
    again = scraped(serve)
    assert again["warehouse_sync_runs"] == before["warehouse_sync_runs"]
    assert "warehouse_webhook_deliveries_total" in again, "what the program counts itself is always of now"
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)
    assert "warehouse_sync_runs" not in scraped(serve)


def test_nothing_personal_and_no_name_that_is_not_declared_is_told(serve: Serving) -> None:
    text = serve.client.get("/metrics").text
    assert "planted" not in text
    assert "example.org" not in text
    found = scraped(serve)
    declared = {
        (row["crm_source"], row["sync_type"])
        for row in looking(serve.url).execute("SELECT crm_source, sync_type FROM orchestration.source_table")
    }
    assert ("undeclared", "things") not in declared
    told = {key[:2] for name, samples in found.items() if "sync" in name or "rows" in name for key in samples}
    assert told <= declared
    labels = {
        name for family in text_string_to_metric_families(text) for sample in family.samples for name in sample.labels
    }
    assert labels <= {"crm", "entity", "status", "outcome", "state", "budget", "source"}


def test_openmetrics_is_spoken_to_who_asks_for_it(serve: Serving) -> None:
    answer = serve.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "warehouse_up" in {one.name for one in openmetrics.text_string_to_metric_families(answer.text)}  # type: ignore[no-untyped-call]


def test_a_proxy_gets_nothing_unless_it_has_the_token(serve: Serving, database_url: str) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "Via"):
        assert serve.client.get("/metrics", headers={header: "192.0.2.7"}).status_code == 401
    with serving(database_url, warehouse_metrics_token="a word of ours") as guarded:
        for given in ({}, {"Authorization": "Bearer a guess"}, {"Authorization": "a word of ours"}):
            assert guarded.client.get("/metrics", headers=given).status_code == 401
        right = {"Authorization": "Bearer a word of ours", "X-Forwarded-For": "192.0.2.7"}
        assert guarded.client.get("/metrics", headers=right).status_code == 200


def test_while_the_database_is_away_that_is_told() -> None:
    with serving("postgresql://a:b@127.0.0.1:1/none") as served:
        assert scraped(served)["warehouse_up"] == {(): 0.0}


def plant_webhook_run(url: str) -> None:
    looking(url).execute(
        """
        INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, records_processed,
            records_created, configuration)
        VALUES ('hubspot', 'deals', now() - interval '70 minutes', now(), 'success', 6, 6,
            '{"mode": "webhook", "dry_run": false}')
        """
    )


def test_what_only_polls_have_found_is_told_of_what_webhooks_tell_of(serve: Serving) -> None:
    assert "warehouse_webhook_only_polled_ratio" not in scraped(serve)
    plant_webhook_run(serve.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "KEPT_SECONDS", 0.0)
        assert scraped(serve)["warehouse_webhook_only_polled_ratio"] == {("hubspot", "deals"): 0.25}


def asked_for(panel: dict[str, Any]) -> set[str]:
    return {name for target in panel["targets"] for name in re.findall(r"\bwarehouse_[a-z_]+", target["expr"])}


def test_the_dashboard_asks_for_metrics_that_there_are_and_for_all_of_them(serve: Serving) -> None:
    body = events(contact_event(101))
    serve.post("hubspot", body, **hubspot(body))
    looking(serve.url).execute("SELECT orchestration.take_requests('a hash', 'day', 10, 86400, 2, 'hubspot')")
    plant_webhook_run(serve.url)
    there = set(scraped(serve)) - {"warehouse_webhook_deliveries_created"}
    shown = set().union(*map(asked_for, DASHBOARD["panels"]))
    assert shown == there
    [variable] = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert "warehouse_sync_scheduled" in variable["query"]["query"]


def test_the_panels_have_a_place_of_their_own_and_name_labels_that_there_are() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert named <= {"crm", "entity", "status", "outcome", "state", "budget", "source"}


def test_prometheus_is_told_where_it_is() -> None:
    text = Path(project_root(), "config", "prometheus.yml").read_text(encoding="utf-8")
    assert "127.0.0.1:8080" in text
    assert "job_name: warehouse" in text
