"""The demo, twice, and what it refuses."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from warehouse_pipelines import running
from warehouse_pipelines.commands import demo
from warehouse_pipelines.errors import ActionNeeded
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.simulators.registry import available, lacking
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.browser import ask, chromium, open_page


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_loads_every_entity_and_may_be_run_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for source in SOURCES:
        for name in source.settings.model_fields:
            monkeypatch.delenv(f"{source.settings.model_config['env_prefix']}{name}".upper(), raising=False)
    environment = {**os.environ, "WAREHOUSE_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    command = [sys.executable, "-m", "warehouse_pipelines.commands.cli", "demo", "--contacts", "30"]
    here = [source for source in SOURCES if source.name in available()]
    request.addfinalizer(lambda: running.stop(tmp_path))
    for _ in range(2):
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for source in here:
            for entity in source.entities:
                assert f"{source.name} {entity.name} " in done.stdout
        assert [name for name in lacking() if f"{name}, because this machine lacks" not in done.stderr] == []
        assert "./run psql" in done.stdout
        assert database_url.split(":")[2].split("@", maxsplit=1)[0] not in done.stdout + done.stderr, "the password"
        assert running.alive(tmp_path, "simulators")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE status = 'success') FROM orchestration.sync_history"
        )
        runs = 2 * sum(len(source.entities) for source in here)
        assert row.fetchone() == (runs, runs)


CHECKS = """
query { assetNodeOrError(assetKey: {path: ["callrail_tag"]}) { ... on AssetNode { assetChecksOrError {
    ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } } }
"""


@pytest.mark.ui
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ui_of_the_demo_shows_its_runs_assets_and_checks(
    database_url: str, test_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Dagster's storage as it is by default, beside the warehouse."""
    chromium()
    from playwright.sync_api import expect

    for source in SOURCES:
        for name in source.settings.model_fields:
            monkeypatch.delenv(f"{source.settings.model_config['env_prefix']}{name}".upper(), raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    environment["WAREHOUSE_HOME"] = str(tmp_path)
    command = [sys.executable, "-m", "warehouse_pipelines.commands.cli", "demo"]
    try:
        done = subprocess.run(
            [*command, "--ui", "--contacts", "20", "--port", port],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        address = f"http://127.0.0.1:{port}"
        assert address in done.stdout
        with open_page(60) as page:
            page.goto(f"{address}/runs")
            expect(page.get_by_text("sync_callrail_all").first).to_be_visible()
            page.goto(f"{address}/assets/callrail_tag")
            expect(page.get_by_text("sync_history_id").first).to_be_visible()
        checks = ask(address, CHECKS)["assetNodeOrError"]["assetChecksOrError"]["checks"]
        assert "SUCCEEDED" in {(check["executionForLatestMaterialization"] or {}).get("status") for check in checks}
    finally:
        stopped = subprocess.run([*command, "--stop"], env=environment, capture_output=True, text=True, check=False)
        test_server.drop_database(f"{database_url.rpartition('/')[2]}_dagster")
    assert "ui" in stopped.stdout


def test_the_demo_refuses_a_warehouse_that_may_hold_real_people(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_vendors", lambda: ["https://api.hubapi.com"])
    demo._claim(database_url)  # empty, so it becomes the demo's
    demo._claim(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("COMMENT ON SCHEMA orchestration IS NULL")
        connection.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time)"
            " VALUES ('hubspot', 'contacts', now())"
        )
    with pytest.raises(ActionNeeded, match="not the demo's") as refused:
        demo._claim(database_url)
    password = database_url.split(":")[2].split("@", maxsplit=1)[0]
    assert password not in str(refused.value)
    monkeypatch.setattr(demo, "_vendors", lambda: ["http://127.0.0.1:9000"])
    demo._claim(database_url)
