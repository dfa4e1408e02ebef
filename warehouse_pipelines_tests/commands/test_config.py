"""``config`` and ``check``: what is set, where it comes from, and whether it answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.simulators.server import Simulators
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.commands.conftest import served
from warehouse_pipelines_tests.harness.command_line import warehouse

pytestmark = pytest.mark.usefixtures("configured")


PLANTED = "planted-5f1c2ab9"


def shown_config(*words: str) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    result = warehouse("config", *words, "--format", "json")
    assert PLANTED not in result.output
    found = json.loads(result.stdout)
    return {one["setting"]: (one["value"], one["from"]) for one in found["settings"]}, found["sizes"]


def test_config_show_prints_the_three_sizes() -> None:
    """A page, a chunk, and what is merged at a time, which is the chunk."""
    text = warehouse("config", "show").stdout
    for size in ("API page size", "hubspot 100", "callrail 250", "stream chunk", "load sub-batch", "5,000"):
        assert size in text
    _, sizes = shown_config("show")
    assert {name: sizes["api_page_size"][name] for name in (s.name for s in SOURCES)} == {
        source.name: source.page_size for source in SOURCES
    }
    assert sizes["api_page_size"]["hubspot contact_to_deal_associations"] == 1000
    assert (sizes["stream_chunk"], sizes["load_sub_batch"]) == (5000, 5000)


def test_config_show_tells_where_each_setting_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [f"HUBSPOT_ACCESS_TOKEN={PLANTED}", "hubspot_searches_per_second=3", "CALLRAIL_REQUESTS_PER_HOUR=1"]
    (tmp_path / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "")
    monkeypatch.delenv("CALLRAIL_API_KEY")
    monkeypatch.setenv("CALLRAIL_REQUESTS_PER_HOUR", "many")
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", f"postgresql://me:{PLANTED}@db.example:5432/w?password={PLANTED}")
    found, _ = shown_config()
    assert found["HUBSPOT_ACCESS_TOKEN"] == ("***", ".env")
    assert found["HUBSPOT_SEARCHES_PER_SECOND"] == ("3", ".env")
    assert found["HUBSPOT_REQUESTS_PER_DAY"] == ("650000", "default")
    assert found["CALLRAIL_API_KEY"] == ("", "missing")
    assert found["CALLRAIL_REQUESTS_PER_HOUR"] == ("many", "environment")
    assert found["WAREHOUSE_DATABASE_URL"] == ("postgresql://db.example:5432/w", "environment")
    assert found["WAREHOUSE_SAFETY_LIMIT"] == ("10000000", "default")
    every = {f"{s.settings.model_config['env_prefix']}{n}".upper() for s in SOURCES for n in s.settings.model_fields}
    assert every <= found.keys()
    for odd in (f"postgresql://me:{PLANTED}/x@host/db", f"postgresql://me:{PLANTED}@x@host/db", PLANTED):
        monkeypatch.setenv("WAREHOUSE_DATABASE_URL", odd)
        assert shown_config()[0]["WAREHOUSE_DATABASE_URL"] == ("***", "environment")


def test_config_show_names_what_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_ALERT_QUIET_HOURS", "22-7")
    monkeypatch.setenv("HUBSPOT_REQUESTS_PER_DAY", "65O,000")
    found = json.loads(warehouse("config", "--format", "json").stdout)["settings"]
    wrong = {one["setting"]: one["problem"] for one in found if one["problem"]}
    assert wrong.keys() == {"WAREHOUSE_ALERT_QUIET_HOURS", "HUBSPOT_REQUESTS_PER_DAY"}
    assert wrong["WAREHOUSE_ALERT_QUIET_HOURS"] == "cannot be used (write two times, such as 22:00-07:00)"


def test_check_asks_settings_database_and_vendors(all_vendors: Simulators, monkeypatch: pytest.MonkeyPatch) -> None:
    result = warehouse("check")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("database: PostgreSQL ")
    # What HubSpot's portal lacks is told below its line.
    assert len([line for line in result.stdout.splitlines() if not line.startswith("  ")]) == 1 + len(SOURCES)
    result = warehouse("check", "pipedesk")
    assert (result.exit_code, "schema pipedesk: as migrations make it" in result.stdout) == (0, True), result.output
    monkeypatch.setenv("CALLRAIL_API_KEY", "planted-wrong-key")
    assert warehouse("check", "callrail").exit_code == 1
    monkeypatch.delenv("CALLRAIL_API_KEY")
    result = warehouse("check", "callrail")
    assert result.exit_code == 2
    assert "CALLRAIL_API_KEY" in result.stdout


def test_check_counts_a_vendor_as_used_by_its_own_settings(
    database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Drive and not Google's others: the login that they share says of none of them that it is used."""
    with served(("gdrive", "salesrabbit"), dagster_folder, monkeypatch):
        used = {"GOOGLE_APPLICATION_CREDENTIALS", "SALESRABBIT_API_TOKEN"}
        for name in {name for source in SOURCES for name in source.required_settings} - used:
            monkeypatch.delenv(name, raising=False)
        result = warehouse("check")
        assert result.exit_code == 0, result.output
        assert "not configured: set GSHEET_MARKETING_LEAD_SPREADSHEET_ID" in result.stdout
        assert "gsheet" in warehouse("status").stdout.partition("not judged:")[2]
        with monkeypatch.context() as patch:
            patch.setenv("GSHEET_MARKETING_LEAD_SPREADSHEET_ID", "planted")
            assert warehouse("check").exit_code == 2
        monkeypatch.setenv("GOOGLE_REQUESTS_PER_MINUTE", "many")
        assert warehouse("check").exit_code == 2, "what cannot be used is wrong, whoever it is for"


def test_check_says_when_a_mirrored_source_could_not_be_loaded(
    all_vendors: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor answers, and the warehouse's own role lacks a right."""
    from warehouse_pipelines.loading import mirroring

    def refused(url: str, source: Any) -> None:
        raise mirroring.may_not_mirror(source)

    monkeypatch.setattr(mirroring, "check_mirroring", refused)
    result = warehouse("check", "pipedesk")
    assert result.exit_code == 1
    assert "GRANT SET ON PARAMETER session_replication_role" in result.stdout
    assert warehouse("check", "genius").exit_code == 0
