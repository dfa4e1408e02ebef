"""Dagster's own command lines where they are told nothing: they find the project by pyproject.toml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from warehouse_pipelines.simulators.server import start_process

pytestmark = pytest.mark.slow("Dagster's processes")

ROOT = Path(__file__).parents[2]


def run(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:]],
        cwd=ROOT,
        env={**environment, "VIRTUAL_ENV": sys.prefix, **more},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_dg_finds_the_definitions_and_they_load() -> None:
    said = run("dg", "check", "defs")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "All definitions loaded successfully" in said.stdout


def test_dg_lists_assets_jobs_and_schedules() -> None:
    said = run("dg", "list", "defs", "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert {"hubspot_contact", "callrail_call"} <= {asset["asset_key"] for asset in found["assets"]}
    assert {"sync_hubspot_contacts", "sync_callrail_all"} <= {job["name"] for job in found["jobs"]}


def test_definitions_are_valid_without_a_workspace() -> None:
    said = run("dagster", "definitions", "validate")
    assert said.returncode == 0, said.stderr


def test_dg_launches_a_sync_on_the_instance_of_the_project(database_url: str, tmp_path: Path) -> None:
    """Through ``warehouse dg``, which prepares the instance that the UI shows."""
    with start_process(["callrail"], contacts=20) as simulators:
        said = run(
            "warehouse", "dg", "launch", "--job", "sync_callrail_tags",
            WAREHOUSE_HOME=str(tmp_path), DAGSTER_HOME=str(tmp_path / "dagster"), **simulators.environment(),
        )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert (tmp_path / "dagster" / "prepared.json").exists()
    with psycopg.connect(database_url) as connection:
        synced = connection.execute("SELECT crm_source, sync_type, status FROM orchestration.sync_history").fetchall()
    assert synced == [("callrail", "tags", "success")]
