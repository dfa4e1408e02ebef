"""DAGSTER_HOME: prepared once, by whoever comes first, and cheap to ask for again."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._grpc.utils import default_grpc_timeout
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage
from psycopg import sql

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration.dagster_storage import UNREAD, keep_connections
from warehouse_pipelines.simulators.server import start_process
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually, prepare_at_once


@dg.job
def nothing() -> None:
    """Run no step."""


def limits(home: Path) -> dict[str, int]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}


def test_dagster_waits_for_a_code_server_whose_first_run_imports_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_GRPC_TIMEOUT_SECONDS", raising=False)
    dagster_home.prepare(tmp_path, pools={})
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert 120 < default_grpc_timeout() < instance.run_monitoring_start_timeout_seconds


@pytest.mark.slow("programs of their own")
def test_three_at_once_leave_one_sound_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock all failed, and so did every later run."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    prepare_at_once([dict(os.environ)] * 3)
    assert limits(tmp_path / "home") == dagster_home.declared_pools()
    command = [sys.executable, "-m", "warehouse_pipelines.local.dagster_home"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{tmp_path / 'home'}\n"


def test_a_prepared_folder_costs_nothing_and_does_not_import_dagster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    dagster_home.prepare()
    monkeypatch.setattr(dagster_home, "_migrate", lambda *_: pytest.fail("migrated again"))
    began = time.process_time()
    dagster_home.prepare()
    assert time.process_time() - began < 0.5  # it takes 3 ms
    program = "import sys; from warehouse_pipelines.local import dagster_home; dagster_home.prepare(); "
    program += "sys.exit('dagster' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_limit_set_by_hand_stays_until_another_is_declared(tmp_path: Path) -> None:
    dagster_home.prepare(tmp_path, pools={"a_api": 2, "b_api": 2})
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.event_log_storage.set_concurrency_slots("a_api", 7)
    dagster_home.prepare(tmp_path, pools={"a_api": 2, "b_api": 5})
    assert limits(tmp_path) == {"a_api": 7, "b_api": 5}
    dagster_home.prepare(tmp_path, pools={"a_api": 3, "b_api": 5})
    assert limits(tmp_path) == {"a_api": 3, "b_api": 5}


def test_the_configuration_follows_ours_and_leaves_another_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    monkeypatch.setattr(settings, "project_root", lambda: project)
    with pytest.raises(NotConfigured, match=r"There is no .*dagster\.yaml"):
        dagster_home.configure(home)
    (project / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    dagster_home.configure(home)
    (project / "dagster.yaml").write_text("nux: {enabled: false}\n")
    dagster_home.configure(home)
    written = (home / "dagster.yaml").read_text()
    assert written == dagster_home.HEADER + "nux: {enabled: false}\n"
    monkeypatch.delenv("DAGSTER_STORAGE_URL")
    dagster_home.configure(home)
    written = (home / "dagster.yaml").read_text()
    assert written.startswith(dagster_home.HEADER + "nux: {enabled: false}\n\nstorage:\n  custom:")
    (home / "dagster.yaml").write_text("# mine\n")
    dagster_home.configure(home)
    assert (home / "dagster.yaml").read_text() == "# mine\n"


@pytest.mark.slow("four processes that prepare Dagster's storage")
def test_four_at_once_leave_one_sound_storage_in_postgresql(
    tmp_path: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch, test_server: Server
) -> None:
    """Also from folders of their own, as containers have."""
    monkeypatch.delenv("DAGSTER_STORAGE_URL")
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", empty_url)

    homes = [tmp_path / f"home {number % 2}" for number in range(4)]
    prepare_at_once([{**os.environ, "DAGSTER_HOME": str(home)} for home in homes])
    assert limits(tmp_path / "home 0") == limits(tmp_path / "home 1") == dagster_home.declared_pools()
    test_server.drop_database(f"{name_of(empty_url)}_dagster")


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def default_url(tmp_path: Path, test_server: Server, bare_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The storage beside a warehouse that a setting names, as it is without another setting."""
    monkeypatch.delenv("DAGSTER_STORAGE_URL")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    dagster_home.prepare(tmp_path, pools={"a_api": 2})
    yield test_server.url(f"{name_of(bare_url)}_dagster")
    test_server.drop_database(f"{name_of(bare_url)}_dagster")


def test_the_storage_is_a_database_beside_the_warehouse(default_url: str, tmp_path: Path) -> None:
    assert dagster_home.storage_url() == default_url
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert type(instance.run_storage) is PostgresRunStorage
    with psycopg.connect(default_url) as connection:
        connection.execute("SELECT FROM runs")
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    password = default_url.split(":")[2].split("@", maxsplit=1)[0]
    assert password not in (tmp_path / "dagster.yaml").read_text()
    assert limits(tmp_path) == {"a_api": 2}


def test_events_that_nobody_reads_are_not_stored(default_url: str, tmp_path: Path) -> None:
    """The asset, its check and the steps are there as Dagster shows them, and a check is not left planned."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("filled", asset="thing")])
    def thing() -> Iterator[dg.Output[int] | dg.AssetCheckResult]:
        yield dg.Output(1, metadata={"rows": 1})
        yield dg.AssetCheckResult(passed=True, description="it is")

    job = dg.define_asset_job("things")
    defined = dg.Definitions(assets=[thing], jobs=[job], resources={"io_manager": dg.mem_io_manager})
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        done = defined.resolve_job_def("things").execute_in_process(instance=instance)
        stored = {entry.dagster_event_type for entry in instance.all_logs(done.run_id)}
        [last] = instance.get_asset_records([thing.key])
        check = dg.AssetCheckKey(thing.key, "filled")
        evaluated = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
        steps = [(step.step_key, step.status) for step in instance.get_run_step_stats(done.run_id)]
    assert {event.event_type for event in done.all_events} & UNREAD
    assert not stored & UNREAD
    assert {dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.RUN_SUCCESS} <= stored
    materialized = last.asset_entry.last_materialization
    assert materialized is not None
    assert materialized.asset_materialization is not None
    assert materialized.asset_materialization.metadata["rows"].value == 1
    assert evaluated.status == AssetCheckExecutionRecordStatus.SUCCEEDED
    assert steps == [("thing", StepEventStatus.SUCCESS)]


@pytest.mark.slow("the same in other circumstances")
def test_a_run_is_written_and_read_by_another_process(default_url: str, tmp_path: Path) -> None:
    """The run's reference to its instance travels as text, to subprocesses of the code server."""
    from dagster._core.instance import InstanceRef
    from dagster._serdes import deserialize_value, serialize_value

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_id = nothing.execute_in_process(instance=instance).run_id
        written = serialize_value(instance.get_ref())
    assert default_url.split("@", maxsplit=1)[0] not in written
    with dg.DagsterInstance.from_ref(deserialize_value(written, InstanceRef)) as other:
        run = other.get_run_by_id(run_id)
        assert run is not None
        assert run.is_success


@pytest.mark.slow("programs of their own")
def test_connections_are_kept_where_many_events_are_written(default_url: str, tmp_path: Path) -> None:
    opened = count_connections(default_url)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        keep_connections(instance)
        nothing.execute_in_process(instance=instance)
        before = count_connections(default_url)
        nothing.execute_in_process(instance=instance)
        assert count_connections(default_url) - before <= 2, "the one that counts, and none for events"
    assert before - opened < 10


@pytest.mark.slow("programs of their own")
def test_instances_of_a_process_share_their_connections(default_url: str, tmp_path: Path) -> None:
    """Dagster opens an instance for each tick of a sensor."""

    def tick() -> None:
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert instance.all_instigator_state() == []
            assert instance.get_runs_count() == 0

    tick()
    before = count_connections(default_url)
    for _ in range(5):
        tick()
    assert count_connections(default_url) - before <= 1, "the one that counts"


@pytest.mark.slow("programs of their own")
def test_connections_are_opened_anew_after_the_server_dropped_them(default_url: str, tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_runs_count() == 0
        with psycopg.connect(default_url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert instance.get_runs_count() == 0


def count_connections(url: str) -> int:
    """Return how many sessions the database ever had."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        found = connection.execute(
            "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.slow("the same in other circumstances")
def test_only_its_owner_may_open_the_storage(default_url: str, test_server: Server) -> None:
    """Tenants of the CRM log in to the same server; runs and their configuration are none of their business."""
    role = f"tenant_{uuid.uuid4().hex[:8]}"
    with test_server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(default_url, user=role, password="secret")
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_a_login_that_may_not_create_it_is_told_both_ways_out(
    tmp_path: Path, test_server: Server, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"loader_{uuid.uuid4().hex[:8]}"
    monkeypatch.delenv("DAGSTER_STORAGE_URL")
    with test_server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        try:
            url = urlsplit(empty_url)
            other = url._replace(netloc=f"{role}:secret@{url.netloc.partition('@')[2]}").geturl()
            monkeypatch.setenv("WAREHOUSE_DATABASE_URL", other)
            with pytest.raises(NotConfigured) as refused:
                dagster_home.prepare(tmp_path, pools={})
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    said = str(refused.value)
    assert f"CREATE DATABASE {name_of(empty_url)}_dagster" in said
    assert "DAGSTER_STORAGE_URL" in said
    assert "sqlite" in said


def test_a_storage_that_was_made_anew_or_lost_a_limit_has_the_limits_again(
    default_url: str, tmp_path: Path, test_server: Server
) -> None:
    pools = {"a_api": 2, "b_api": 3}
    dagster_home.prepare(tmp_path, pools=pools)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.event_log_storage.set_concurrency_slots("a_api", 7)
        instance.event_log_storage.delete_concurrency_limit("b_api")
    dagster_home.prepare(tmp_path, pools=pools)
    assert limits(tmp_path) == {"a_api": 7, "b_api": 3}, "one that was set by hand stays"
    test_server.drop_database(name_of(default_url))
    test_server.create_database(name_of(default_url))
    dagster_home.prepare(tmp_path, pools=pools)
    assert limits(tmp_path) == pools


@pytest.mark.slow("the same in other circumstances")
def test_the_embedded_server_has_a_database_dagster_and_makes_it_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_STORAGE_URL")
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "")
    monkeypatch.setenv("WAREHOUSE_HOME", str(server.home))
    dagster_home.prepare(tmp_path / "dagster", pools={"a_api": 2})
    assert dagster_home.storage_url() == server.url("dagster")
    assert limits(tmp_path / "dagster") == {"a_api": 2}
    server.drop_database("dagster")
    dagster_home.prepare(tmp_path / "dagster", pools={"a_api": 2})
    assert limits(tmp_path / "dagster") == {"a_api": 2}
    server.stop()
    assert limits(tmp_path / "dagster") == {"a_api": 2}, "who opens the storage starts the server"


def test_sqlite_is_there_for_who_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_STORAGE_URL", "sqlite")
    dagster_home.prepare(tmp_path, pools={"a_api": 2})
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
    assert limits(tmp_path) == {"a_api": 2}


@pytest.mark.slow("a process that syncs")
@pytest.mark.timeout(900)
def test_a_run_of_another_process_is_seen_and_followed_in_sqlite(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the UI does it: it lists the run, watches its file while it goes on, and shows what it made."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    dagster_home.prepare()
    heard: list[dg.DagsterEventType | None] = []

    def hear(entry: dg.EventLogEntry, cursor: str) -> None:
        heard.append(entry.dagster_event_type)

    with start_process(["callrail"], contacts=20, wait_seconds=240) as simulators, dg.DagsterInstance.get() as instance:
        simulators.control("callrail", "set_fault", kind="slow", seconds=600, path="tags.json")
        environment = {**os.environ, **simulators.environment()}
        command = Command(["sync", "callrail", "tags"], environment, tmp_path / "command.log")
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        eventually(lambda: instance.get_runs(started), "the run is there")
        [run] = instance.get_runs()
        instance.watch_event_logs(run.run_id, None, hear)
        eventually(lambda: dg.DagsterEventType.STEP_START in heard, "what was written before is told")
        assert dg.DagsterEventType.ASSET_MATERIALIZATION not in heard
        simulators.control("callrail", "clear_faults")
        eventually(lambda: dg.DagsterEventType.RUN_SUCCESS in heard, "what is written now is told")
        instance.end_watch_event_logs(run.run_id, hear)
        assert command.ended() == (0, command.said)
        made = instance.get_latest_materialization_event(dg.AssetKey("callrail_tag"))
    assert made is not None
    assert made.run_id == run.run_id


@pytest.mark.slow("the same in other circumstances")
def test_a_setting_names_another_database(tmp_path: Path, test_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = test_server.url("dagster_of_a_test")
    monkeypatch.setenv("DAGSTER_STORAGE_URL", url.replace("://", "+psycopg2://"))
    dagster_home.prepare(tmp_path, pools={"a_api": 2})
    assert limits(tmp_path) == {"a_api": 2}
    with test_server.connect("dagster_of_a_test") as connection:
        connection.execute("SELECT FROM runs")
    test_server.drop_database("dagster_of_a_test")
