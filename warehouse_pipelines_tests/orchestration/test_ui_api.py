"""What the API of ``serve`` asks of a Dagster that runs: a sync is launched, seen, cancelled."""

from uuid import uuid4

import pytest

from warehouse_pipelines_tests.harness.serving import serving
from warehouse_pipelines_tests.harness.subprocesses import eventually
from warehouse_pipelines_tests.harness.visitors import program
from warehouse_pipelines_tests.orchestration.conftest import UI


@pytest.mark.slow("Dagster's processes, and a sync that is cancelled")
@pytest.mark.timeout(900)
def test_dagster_runs_what_the_api_asks_for(ui: UI) -> None:
    """A sync is launched, seen while it runs, asked for twice under one key, cancelled."""
    harness = ui.harness
    with (
        serving(harness.url, warehouse_dagster_api_url=ui.address) as serve,
        program(serve.address, harness.url, "operator") as client,
    ):
        wanted = {"crm": "callrail", "entity": "tags", "full": True}
        key = {"Idempotency-Key": str(uuid4())}
        first = client.post("/api/syncs", json=wanted, headers=key)
        assert first.status_code == 202, first.text
        assert client.post("/api/syncs", json=wanted, headers=key).json() == first.json()
        at = first.headers["location"]
        eventually(lambda: client.get(at).json()["status"] == "success", "the run ends", 240, pause=0.2)
        [entity] = client.get(at).json()["entities"]
        assert (entity["entity"], entity["status"]) == ("tags", "success")
        assert entity["records_created"] > 0
        assert len(harness.history("tags")) == 1, "two requests under a key are one run"
        harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200, path="tags.json")
        at = client.post("/api/syncs", json=wanted).headers["location"]
        eventually(lambda: [one["status"] for one in client.get(at).json()["entities"]] == ["running"], "it runs", 120)
        assert client.post(f"{at}/cancel").status_code == 202
        eventually(lambda: client.get(at).json()["status"] == "canceled", "it is cancelled", 120)
        assert client.get(at).json()["entities"][0]["status"] == "cancelled"
        harness.simulators.control("callrail", "clear_faults")
        assert client.post(f"{at}/cancel").status_code == 409
        assert client.get(f"/api/syncs/{uuid4()}").status_code == 404
