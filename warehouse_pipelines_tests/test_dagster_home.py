"""DAGSTER_HOME: prepared once, by whoever comes first, and cheap to ask for again."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.local.postgres import Server


def limits(home: Path) -> dict[str, int]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}


def test_six_at_once_leave_one_sound_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock all six failed, and so did every later run."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))

    def prepare(_: int) -> str:
        command = [sys.executable, "-m", "warehouse_pipelines.local.dagster_home"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(6) as pool:
        assert {*pool.map(prepare, range(6))} == {f"{tmp_path / 'home'}\n"}
    assert limits(tmp_path / "home") == dagster_home.declared_pools()


def test_a_prepared_folder_costs_nothing_and_does_not_import_dagster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    dagster_home.prepare()
    monkeypatch.setattr(dagster_home, "_migrate", lambda *_: pytest.fail("migrated again"))
    began = time.perf_counter()
    dagster_home.prepare()
    assert time.perf_counter() - began < 0.5  # 3 ms on a quiet machine
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
    assert written.startswith(dagster_home.HEADER + "nux: {enabled: false}\n\nevent_log_storage:")
    (home / "dagster.yaml").write_text("# mine\n")
    dagster_home.configure(home)
    assert (home / "dagster.yaml").read_text() == "# mine\n"


def test_a_setting_puts_the_storage_into_postgresql(
    tmp_path: Path, test_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = test_server.url("dagster_of_a_test")
    monkeypatch.setenv("DAGSTER_STORAGE_URL", url)
    dagster_home.prepare(tmp_path, pools={"a_api": 2})
    written = (tmp_path / "dagster.yaml").read_text()
    assert written.endswith("postgres_url: {env: DAGSTER_STORAGE_URL}\n")
    assert url.split("@")[0] not in written  # the password stays in the environment
    assert limits(tmp_path) == {"a_api": 2}
    with test_server.connect("dagster_of_a_test") as connection:
        connection.execute("SELECT FROM runs")
    test_server.drop_database("dagster_of_a_test")
