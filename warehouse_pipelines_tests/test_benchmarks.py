"""The benchmarks run and count rightly; how fast anything is depends on the machine and is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.prepared_server import prepared_server

pytestmark = pytest.mark.timeout(900)

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="session")
def prepared() -> dict[str, str]:
    """What is set for a benchmark here: its files are where those of the tests are, and its databases are migrated."""
    environment = {**os.environ, "TMPDIR": str(Path(os.environ["WAREHOUSE_TEST_FOLDER"]).parent)}
    if server := prepared_server():
        environment["WAREHOUSE_BENCHMARK_SERVER"] = str(server.home)
    return environment


def run(environment: dict[str, str], program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def last_line(environment: dict[str, str], program: str, *arguments: str) -> dict[str, Any]:
    done = run(environment, program, *arguments)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_load_counts_what_the_generator_made(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "load.py", "--records", "1000", "--rounds", "1")
    assert said["counts_exact"] is True
    ratios = {f"{path}_ratio_{load}" for path in ("floor", "dlt_default", "dlt_arrow") for load in ("initial", "delta")}
    rates = {"records_per_second_initial", "records_per_second_delta"}
    ratios |= {"dirty_ratio", "refused_ratio", "unloadable_ratio", "killed_ratio"}
    assert {*ratios, *rates, "peak_memory_ratio"} <= said.keys()
    assert all(said[name] > 0 for name in ratios | rates)


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_read_of_a_database_counts_what_is_there(prepared: dict[str, str]) -> None:
    for what in lacking(["genius"]).values():
        missing(what)
    said = last_line(prepared, "sql_source.py", "--records", "2000", "--rounds", "1")
    assert said["counts_exact"] is True
    assert min(said["records_per_second"], said["copy_ratio"], said["peak_memory_ratio"]) > 0


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_read_of_late_answers_asks_for_no_more_than_it_must(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "latency.py", "--contacts", "400", "--others", "20", "--latency", "0.01")
    assert said["rows_right"] is True
    assert said["hubspot_contacts_full_calls_ratio"] == 1.0
    assert {"hubspot_contacts_delta_over_least", "arrivy_tasks_full_share", "callrail_calls_full_share"} <= said.keys()


@pytest.mark.slow("a short run of a benchmark")
def test_a_short_sharing_of_a_budget_uses_it_evenly(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "budget.py", "--seconds", "4", "--processes", "2", "--period", "2", "--rounds", "2")
    assert said["used_2"] <= 1.1
    assert said["least_share_2"] > 0.25


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_hash_diff_finds_what_changed(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "hash_diff.py", "--leads", "500", "--rounds", "1")
    assert said["counts_exact"] is True
    assert said["hash_diff_mb"] < said["full_mb"]


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_the_crm_reads_no_big_table(prepared: dict[str, str]) -> None:
    """And ``crm_app`` gets the same answers as the owner, or the program would have stopped."""
    said = last_line(prepared, "crm.py", "--leads", "12000", "--rounds", "2", "--assert-ms", "100000")
    assert (said["role"], said["read_whole"]) == ("crm_app", [])
    assert (said["leads_rows"], said["lead_audit_log_rows"], said["lead_status_history_rows"]) == (12000, 120000, 24000)
    cases = (
        "lead_by_id",
        "transaction",
        "lead_list",
        "lead_search",
        "funnel_30d",
        "roi_all",
        "dnc_1000",
        "import_1000",
    )
    assert all(said[f"{case}_ms"] > 0 and said[f"{case}_price"] > 0 for case in cases)


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_identity_knows_who_is_who(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "identity.py", "--records", "6000", "--changed", "100", "--order", "600", "--no-sets")
    assert (said["changed"], said["order_changes_nothing"]) == (100, True)
    assert said["precision"] >= 0.985
    assert said["recall"] >= 0.90


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_case_that_takes_too_long_is_told_by_the_exit_code(prepared: dict[str, str]) -> None:
    """With a limit that none reaches the run of the crm above ends with 0."""
    words = ("--leads", "100", "--rounds", "1", "--case", "lead_by_id", "--assert-ms", "0.0001")
    done = run(prepared, "crm.py", *words)
    assert done.returncode == 1, done.stderr
    assert "role=crm_app" in done.stdout


def test_the_workload_is_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import contacts

    for dataset in ("base", "delta", "dirty"):
        assert list(contacts.pages(dataset, 300)) == list(contacts.pages(dataset, 300))
    records = [contacts.record(place) for place in range(300)]
    assert len(set(records)) == 300
    assert 1_300 < sum(map(len, records)) / 300 < 1_600


@pytest.mark.slow("imports Splink's parser of SQL")
def test_the_comparisons_can_be_said_in_the_sql_of_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark itself is no dependency: nothing is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import spark
    from sqlglot import exp, parse_one

    from warehouse_pipelines.unified.identity import rebuild

    macros = {macro.split("(", 1)[0] for macro in rebuild.MACROS}
    translate = spark.ToSpark(rebuild.MACROS)
    for one in rebuild.COMPARISONS:
        tree = parse_one(translate(one.case()), read="spark")
        assert not macros & {call.name.lower() for call in tree.find_all(exp.Anonymous)}
        assert {column.name[:-2] for column in tree.find_all(exp.Column) if len(column.name) > 1} == one.columns()
    assert translate("len(phone_list_l) > length(middle_name_r[1])") == (
        "SIZE(phone_list_l) > LENGTH(SUBSTRING(middle_name_r, 1, 1))"
    )
    monkeypatch.setattr(sys, "argv", ["spark.py"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="Spark is not installed: it needs Java 17 and pip install"):
        spark.main()


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_the_marts_ends_as_a_run_of_everything(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "marts.py", "--rows", "3000", "--changed", "40")
    assert said["same"] is True
    assert said["rows"] > 2000


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_the_api_answers_with_the_rows_that_it_has(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "api.py", "--leads", "6000", "--seconds", "3", "--rate", "20", "--port", "18082")
    assert said["all_right"], said["wrong"]
    assert said["requests"] == 60
    assert said["p99_ms"] > 0


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_with_the_log_of_changes_counts_the_same_as_without(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "change_log.py", "--records", "2000", "--rounds", "1")
    assert said["counts_exact"] is True
    assert said["rows_logged"] > 2000
    assert min(said["base_ratio"], said["delta_ratio"], said["edited_ratio"]) > 0


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_everybody_at_once_loses_nothing(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "together.py", "--rows", "5000", "--leads", "6000", "--seconds", "3", "--sync", "1000")
    assert said["all_right"], said["wrong"]
    assert said["nothing_lost_or_doubled"] is True
    assert (said["page"]["count"], said["api"]["count"], said["delivery"]["count"]) == (30, 150, 300)


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_random_plans_ends_where_it_began(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "plans.py", "--plans", "15", "--edits", "--kills", "--big", "0", "--bisect", "2")
    assert said["all_right"], said["wrong"]
    assert said["plans"] >= 15
    assert said["counts"]["killed at a point"] > 0
    assert said["bisect_extra_calls_worst"] <= said["bisect_extra_calls_allowed"]


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_idle_day_runs_what_its_schedules_ask_for(prepared: dict[str, str]) -> None:
    words = ("--contacts", "100", "--seconds", "5", "--warm", "5", "--only", "sync_gsheet")
    said = last_line(prepared, "idle_day.py", *words)
    assert said["failed"] == []
    assert (said["runs"], said["syncs"]) == (1, 48), "the others found nothing new themselves"
    assert min(said["runs_minutes"], said["megabytes"], said["api_calls"]) > 0


@pytest.mark.slow("a short run of a benchmark")
@pytest.mark.skipif(sys.platform != "linux", reason="the costs are read from /proc")
def test_a_short_run_of_many_rows_does_each_step_rightly(prepared: dict[str, str]) -> None:
    said = last_line(prepared, "many_rows.py", "--calls", "3000", "--contacts", "2000", "--base", "0")
    assert said["all_right"] is True
    assert {"first load, calls", "marts, delta", "pages", "retention"} <= said["steps"].keys()
