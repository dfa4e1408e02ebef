"""What goes on running beyond a command: it is ended by name, and the demo's simulators lend their settings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from warehouse_pipelines import running, settings
from warehouse_pipelines.commands import cli
from warehouse_pipelines.sources.callrail import CALLRAIL

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
SIMULATED = {"CALLRAIL_API_KEY": "of the simulator's", "CALLRAIL_BASE_URL": "http://127.0.0.1:9"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of a machine on which nothing is set up."""
    for name in ("WAREHOUSE_DATABASE_URL", *SIMULATED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path))
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    return tmp_path


@pytest.fixture
def child() -> "Iterator[subprocess.Popen[bytes]]":
    started = subprocess.Popen(SLEEPER, start_new_session=True)
    yield started
    started.kill()
    started.wait()


@pytest.fixture
def simulators(folder: Path, child: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    running.note(folder, "simulators", child.pid)
    running.keep_simulated_settings(folder, SIMULATED)
    return child


def test_stop_ends_what_was_noted_and_no_stranger(folder: Path, child: "subprocess.Popen[bytes]") -> None:
    stranger = subprocess.Popen(SLEEPER)
    try:
        running.note(folder, "ui", child.pid)
        running.note(folder, "simulators", stranger.pid)
        noted = json.loads((folder / "running.json").read_text())
        noted["simulators"]["started"] = "at another time"
        (folder / "running.json").write_text(json.dumps(noted))
        assert not running.alive(folder, "simulators")
        result = CliRunner().invoke(cli.main, ["stop"])
        assert result.stdout == "Stopped: ui\n", result.output
        assert child.wait(timeout=60) != 0
        assert stranger.poll() is None
        assert CliRunner().invoke(cli.main, ["stop"]).stdout == "Stopped: nothing was running\n"
    finally:
        stranger.kill()
        stranger.wait()


def test_the_demo_leaves_alone_what_runs_in_a_terminal(folder: Path, child: "subprocess.Popen[bytes]") -> None:
    running.note(folder, "ui in a terminal", child.pid)
    assert running.stop(folder, ["ui", "simulators"]) == []
    assert running.alive(folder, "ui in a terminal")


def test_the_simulators_lend_their_settings_while_they_run(folder: Path, simulators: "subprocess.Popen[bytes]") -> None:
    assert CALLRAIL.missing_settings() == []
    assert CALLRAIL.settings().base_url == "http://127.0.0.1:9"  # type: ignore[attr-defined]
    origins = {name: origin for name, _, origin in settings.shown([CALLRAIL.settings])}
    assert origins["CALLRAIL_API_KEY"] == "the demo"
    simulators.kill()
    simulators.wait()
    assert CALLRAIL.missing_settings() == ["CALLRAIL_API_KEY"]


@pytest.mark.parametrize("real", ["CALLRAIL_API_KEY", "CALLRAIL_API_KEY_FILE", "WAREHOUSE_DATABASE_URL", ".env"])
def test_what_is_set_up_for_real_never_meets_a_simulator(
    folder: Path, simulators: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, real: str
) -> None:
    if real == ".env":
        (folder / ".env").touch()
    else:
        (folder / "key").write_text("real")
        monkeypatch.setenv(real, str(folder / "key") if real.endswith("_FILE") else "postgresql://real@h/d")
    assert "127.0.0.1:9" not in str(CALLRAIL.settings_problem())
    if real.startswith("CALLRAIL"):
        assert CALLRAIL.settings().base_url == "https://api.callrail.com"  # type: ignore[attr-defined]
    else:
        assert CALLRAIL.missing_settings() == ["CALLRAIL_API_KEY"]
