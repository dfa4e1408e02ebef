"""``warehouse init``: what it asks, what it writes, and what it runs then."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from dotenv import dotenv_values

from warehouse_pipelines import settings
from warehouse_pipelines.commands import cli, setup
from warehouse_pipelines.commands import init as program
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES

DATABASE = "WAREHOUSE_DATABASE_URL"


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty clone, whose ``.env`` is not ours."""
    file = tmp_path / ".env"
    monkeypatch.setattr(settings, "env_file", lambda: file)
    for source in SOURCES:
        for name in program.required(source):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(DATABASE)
    return file


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are run instead of being run."""
    done: list[str] = []

    def step(said: str, words: Sequence[str]) -> None:
        done.append(" ".join(words))

    monkeypatch.setattr(setup, "_step", step)
    return done


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "may_ask", lambda: True)


def init(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.main, ["init", *words], input=typed)


def test_it_asks_for_what_is_missing_writes_it_and_runs_what_comes_next(
    env_file: Path, steps: list[str], terminal: None
) -> None:
    done = init(typed="callrail marketsharp\n\ncallrail-secret\n4711\nms-key\nms-secret\n")
    assert done.exit_code == 0, done.output
    assert dotenv_values(env_file) == {
        "CALLRAIL_API_KEY": "callrail-secret",
        "MARKETSHARP_COMPANY_ID": "4711",
        "MARKETSHARP_API_KEY": "ms-key",
        "MARKETSHARP_SECRET_KEY": "ms-secret",
    }
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert "4711" in done.output
    for secret in ("callrail-secret", "ms-key", "ms-secret"):
        assert secret not in done.output
    assert steps == [
        "migrate",
        "check callrail",
        "check marketsharp",
        "sync callrail calls --max-records 100",
        "sync marketsharp data --max-records 100",
    ]


def test_what_is_set_already_is_not_asked_for(
    env_file: Path, steps: list[str], terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLRAIL_API_KEY", "there")
    monkeypatch.setenv(DATABASE, "postgresql://u:p@h/d")
    done = init("callrail", "--no-sync")
    assert done.exit_code == 0, done.output
    assert "API_KEY" not in done.output
    assert not env_file.exists()
    assert steps == ["migrate", "check callrail"]


def test_the_file_that_is_there_is_kept(env_file: Path, steps: list[str]) -> None:
    env_file.write_text("# mine\nCALLRAIL_API_KEY=\n#HUBSPOT_ACCESS_TOKEN=\nOTHER=1 # stays\n")
    env_file.chmod(0o644)
    done = init("callrail", "hubspot", "--set", "callrail_api_key=k", "--set", "HUBSPOT_ACCESS_TOKEN=pat # 'x'")
    assert done.exit_code == 0, done.output
    assert env_file.read_text().startswith("# mine\nCALLRAIL_API_KEY=k\n")
    assert "\nOTHER=1 # stays\n" in env_file.read_text()
    assert dotenv_values(env_file)["HUBSPOT_ACCESS_TOKEN"] == "pat # 'x'"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert [one.name for one in env_file.parent.iterdir()] == [".env"]


@pytest.mark.parametrize("value", ["plain", "a b", "#1", "it's", 'a "b" $c', "back\\slash", "x=y", "p%40ss"])
def test_a_value_is_read_as_it_was_given(tmp_path: Path, value: str) -> None:
    file = tmp_path / ".env"
    program.write(file, {"A_SETTING": value, "ANOTHER": "1"})
    assert dotenv_values(file, interpolate=False) == {"A_SETTING": value, "ANOTHER": "1"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Name the CRMs, for example `warehouse init hubspot`. There are: hubspot, callrail"),
        (
            ["callrail", "marketsharp"],
            "--set NAME=value: CALLRAIL_API_KEY, MARKETSHARP_COMPANY_ID, MARKETSHARP_API_KEY,",
        ),
        (["callral"], "There is no CRM callral"),
        (["callrail", "--set", "CALLRAIL_API_KEY"], "--set CALLRAIL_API_KEY: write --set NAME=value"),
        (["callrail", "--database-url", "mysql://u@h/d"], "WAREHOUSE_DATABASE_URL is no URL of this kind"),
    ],
)
def test_without_a_terminal_all_that_is_missing_is_named_and_nothing_is_written(
    env_file: Path, steps: list[str], words: list[str], says: str
) -> None:
    done = init(*words)
    assert (done.exit_code, steps, env_file.exists()) == (2, [], False)
    assert says in done.output


@pytest.mark.slow("the same in other circumstances")
def test_a_step_that_fails_ends_it_with_its_exit_code(env_file: Path, database_url: str) -> None:
    """The check, since nobody answers under this address."""
    os.environ[DATABASE] = database_url
    os.environ |= {"CALLRAIL_API_KEY": "k", "CALLRAIL_BASE_URL": "http://127.0.0.1:9", "WAREHOUSE_RETRY_SECONDS": "0"}
    try:
        done = init("callrail")
    finally:
        for name in ("CALLRAIL_API_KEY", "CALLRAIL_BASE_URL", "WAREHOUSE_RETRY_SECONDS"):
            del os.environ[name]
    assert done.exit_code == 1
    assert "`warehouse check callrail` ended with exit code 1; mend that, then `warehouse init` again." in done.output


@pytest.fixture
def callrail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with start(("callrail",), contacts=60) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        yield simulators.named("callrail")


def test_from_nothing_to_the_first_records(
    env_file: Path, callrail: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(said: str, words: Sequence[str]) -> None:
        done = CliRunner().invoke(cli.main, list(words))
        assert done.exit_code == 0, done.output

    monkeypatch.setattr(setup, "_step", step)
    monkeypatch.setenv(DATABASE, database_url)
    done = init("callrail")
    assert done.exit_code == 0, done.output
    with psycopg.connect(database_url) as connection:
        ((loaded,),) = connection.execute("SELECT count(*) FROM callrail_call").fetchall()
        found = connection.execute("SELECT sync_type, status FROM orchestration.sync_history").fetchall()
    assert 0 < loaded <= program.FIRST_RECORDS
    assert found == [("calls", "success")]
