"""Dagster's own command lines where they are told nothing: they find the project by pyproject.toml."""

import json
import os
import sys
from pathlib import Path

import psycopg
import pytest

from warehouse_pipelines.simulators.server import start_process
from warehouse_pipelines_tests.harness.subprocesses import Command

pytestmark = [pytest.mark.slow("Dagster's processes"), pytest.mark.timeout(900)]


def run(folder: Path, *words: str, **more: str) -> str:
    """Return what a program prints that succeeds."""
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environment |= {"VIRTUAL_ENV": sys.prefix, **more}
    code, said = Command(words[1:], environment, folder / "said", program=words[0]).ended()
    assert code == 0, said
    return said


def test_definitions_are_found_and_load(tmp_path: Path) -> None:
    assert "All definitions loaded successfully" in run(tmp_path, "dg", "check", "defs")
    run(tmp_path, "dagster", "definitions", "validate")
    said = run(tmp_path, "dg", "list", "defs", "--json")
    found, _ = json.JSONDecoder().raw_decode(said, said.index("{"))
    assert {"hubspot_contact", "callrail_call"} <= {asset["asset_key"] for asset in found["assets"]}
    assert {"sync_hubspot_contacts", "sync_callrail_all"} <= {job["name"] for job in found["jobs"]}


def test_dg_launches_a_sync_on_the_instance_of_the_project(database_url: str, tmp_path: Path) -> None:
    """Through ``warehouse dg``, which prepares the instance that the UI shows."""
    with start_process(["callrail"], contacts=20, wait_seconds=240) as simulators:
        run(
            tmp_path, "warehouse", "dg", "launch", "--job", "sync_callrail_tags",
            WAREHOUSE_HOME=str(tmp_path), DAGSTER_HOME=str(tmp_path / "dagster"), **simulators.environment(),
        )  # fmt: skip
    assert (tmp_path / "dagster" / "prepared.json").exists()
    with psycopg.connect(database_url) as connection:
        synced = connection.execute("SELECT crm_source, sync_type, status FROM orchestration.sync_history").fetchall()
    assert synced == [("callrail", "tags", "success")]
