"""Logs in files and as JSON by setting, of commands and of runs that Dagster starts."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from warehouse_pipelines.observability import dagster_logs, logs
from warehouse_pipelines.observability.log_files import LogFiles
from warehouse_pipelines_tests.harness import record_store

WRITER = """
import sys
from pathlib import Path
from warehouse_pipelines.observability import log_files
import logging
made = log_files.LogFiles(Path(sys.argv[1]), lambda name: "general", most_bytes=5_000, files=50)
made.setFormatter(logging.Formatter("%(message)s"))
logger = logging.getLogger("writer")
logger.addHandler(made)
logger.setLevel(logging.INFO)
for number in range(500):
    logger.info("%s %d %s", sys.argv[2], number, "x" * 60)
"""


@pytest.fixture
def as_before() -> Iterator[None]:
    """Leave the handlers of the root logger, and the levels of ours, as they were."""
    root, ours = logging.getLogger(), (logs.general, logs.ingestion, logs.sync)
    handlers, levels = list(root.handlers), [one.level for one in ours]
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    for one, level in zip(ours, levels, strict=True):
        one.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_before: None) -> Path:
    monkeypatch.setenv("WAREHOUSE_LOG_FOLDER", str(tmp_path / "logs"))
    return tmp_path / "logs"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def writes(folder: Path, *, most_bytes: int = 1_000, files: int = 3) -> logging.Handler:
    made = LogFiles(folder, lambda name: name, most_bytes=most_bytes, files=files)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def log(handler: logging.Handler, stream: str, message: str) -> None:
    handler.handle(logging.LogRecord(stream, logging.INFO, __file__, 1, message, (), None))


def test_each_stream_has_a_file_of_json_lines(folder: Path) -> None:
    logs.configure("text")
    logs.started("hubspot", "contacts", 3)
    logs.ingestion.warning("slow vendor")
    logs.general.info("migrated by ann@example.org")
    assert lines(folder / "sync.log")[0]["record_count"] == 3
    assert lines(folder / "ingestion.log")[0]["message"] == "slow vendor"
    [general] = lines(folder / "general.log")
    assert "ann@example.org" not in str(general)
    assert (folder / "sync.log").stat().st_mode & 0o007 == 0


def test_without_a_folder_nothing_is_written(tmp_path: Path, as_before: None) -> None:
    logs.configure("text")
    assert not any(isinstance(one, LogFiles) for one in logging.getLogger().handlers)


def test_the_form_is_that_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, as_before: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAREHOUSE_LOG_FORMAT", "json")
    logs.configure()
    logs.general.info("here")
    assert json.loads(capsys.readouterr().out)["message"] == "here"


def test_full_files_are_renamed_and_the_oldest_goes(tmp_path: Path) -> None:
    made = writes(tmp_path)
    for number in range(100):
        log(made, "sync", f"{number:03} {'x' * 95}")
    files = sorted(file.name for file in tmp_path.glob("sync.log*"))
    assert files == ["sync.log", "sync.log.1", "sync.log.2", "sync.log.3"]
    assert all((tmp_path / name).stat().st_size <= 1_000 for name in files)
    kept = "".join((tmp_path / name).read_text() for name in reversed(files))
    numbers = [int(line[:3]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 100))


def test_a_line_longer_than_a_file_is_written_all_the_same(tmp_path: Path) -> None:
    made = writes(tmp_path, most_bytes=50)
    for word in ("a", "b" * 200, "c"):
        log(made, "sync", word)
    assert sum(len(file.read_text().split()) for file in tmp_path.glob("sync.log*")) == 3


@pytest.mark.slow("programs of their own")
def test_processes_that_write_at_a_time_lose_no_line(tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    children = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in names]
    assert [child.wait() for child in children] == [0, 0, 0]
    text = "".join(file.read_text() for file in tmp_path.glob("general.log*"))
    found = sorted((line.split()[0], int(line.split()[1])) for line in text.splitlines())
    assert found == sorted((name, number) for name in names for number in range(500))
    assert len(list(tmp_path.glob("general.log.*"))) > 10


def test_a_file_that_somebody_moved_away_is_made_anew(tmp_path: Path) -> None:
    made = writes(tmp_path)
    log(made, "sync", "before")
    (tmp_path / "sync.log").rename(tmp_path / "elsewhere")
    log(made, "sync", "after")
    assert (tmp_path / "sync.log").read_text() == "after\n"


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log(writes(tmp_path / "file"), "sync", "lost")


@pytest.mark.slow("the same in other circumstances")
def test_a_run_of_dagster_writes_what_the_settings_ask_for(
    folder: Path, bare_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its run and step, and without a command having configured anything."""
    monkeypatch.setenv("STORE_KEY", "set")
    monkeypatch.setenv("WAREHOUSE_LOG_FORMAT", "json")
    made = record_store.definitions(record_store.RecordStore(), bare_url)
    for one in list(logging.getLogger().handlers):
        if isinstance(one.formatter, logs.JsonLines | logs.Text):
            logging.getLogger().removeHandler(one)
    dagster_logs.configure()
    with dg.DagsterInstance.ephemeral(settings={"python_logs": {
        "managed_python_loggers": ["warehouse", "warehouse.sync"], "python_log_level": "INFO",
    }}) as instance:  # fmt: skip
        result = record_store.run(made, "sync_store_gadgets", instance)
    assert result.success
    ended = [line for line in lines(folder / "sync.log") if line["message"].startswith("Completed store gadgets")]
    [line] = ended
    assert (line["run_id"], line["job"], line["step"]) == (result.run_id, "sync_store_gadgets", "store_gadget")
    printed = [json.loads(one) for one in capsys.readouterr().out.splitlines() if one.startswith("{")]
    assert [one["message"] for one in printed if one.get("message") == line["message"]] == [line["message"]]


def test_a_program_that_has_configured_its_logs_keeps_them(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = logs.configure("text")
    monkeypatch.setenv("WAREHOUSE_LOG_FORMAT", "json")
    dagster_logs.configure()
    ours = [one for one in logging.getLogger().handlers if isinstance(one.formatter, logs.JsonLines | logs.Text)]
    assert ours == [made]
