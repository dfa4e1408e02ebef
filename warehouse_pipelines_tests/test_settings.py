"""Which ``.env`` is read: that of the checkout, from wherever the command is typed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import warehouse_pipelines
from warehouse_pipelines import cli, settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.sources.hubspot import HUBSPOT

SECRETS = {
    f"{source.settings.model_config['env_prefix']}{name}".upper(): f"from-{name}"
    for source in SOURCES
    for name, field in source.settings.model_fields.items()
    if field.is_required()
} | {
    "GENIUS_DATABASE_URL": "mysql+pymysql://from:the@env.example.test/file",
    "PIPEDESK_DATABASE_URL": "postgresql://from:the@env.example.test/file",
}


@pytest.mark.parametrize(
    ("checkout", "where", "read"),
    [(True, "elsewhere", True), (True, "project", True), (False, "elsewhere", False), (False, "project", True)],
)
def test_every_source_reads_the_env_file_of_the_top_level(
    tmp_path: Path, checkout: bool, where: str, read: bool
) -> None:
    """A copy of the package beside a ``pyproject.toml`` is a checkout; without one it is installed, and cwd counts."""
    project = tmp_path / "project"
    (tmp_path / "elsewhere").mkdir()
    installed = project if checkout else tmp_path / "site"
    assert warehouse_pipelines.__file__
    shutil.copytree(Path(warehouse_pipelines.__file__).parent, installed / "warehouse_pipelines")
    project.mkdir(exist_ok=True)
    (project / "pyproject.toml").touch()
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    done = subprocess.run(
        [sys.executable, "-m", "warehouse_pipelines.cli", "entities", "--format", "json"],
        cwd=tmp_path / where,
        env={**environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        check=True,
    )
    assert {one["configured"] for one in json.loads(done.stdout)} == {read}


def test_the_settings_of_every_source_are_read_alike() -> None:
    """One place decides what is read; a source that decides for itself would read another ``.env``."""
    for source in SOURCES:
        assert issubclass(source.settings, FromEnvironment)
        assert source.settings.model_config["env_file"] is None


def test_an_empty_setting_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    for name in SECRETS:
        monkeypatch.setenv(name, "")
    assert {name for source in SOURCES for name in source.missing_settings()} == SECRETS.keys()


@pytest.mark.parametrize("around", ["abc\n", " abc ", "abc\u200b", "\ufeffabc", "\u00a0abc\r\n"])
def test_what_a_copy_leaves_around_a_setting_is_dropped(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", around)
    found = HUBSPOT.settings().model_dump()["access_token"]
    assert found.get_secret_value() == "abc"


@pytest.mark.parametrize(
    ("value", "said"), [("ab\u200bc", "character 3 is U\\+200B"), ("a\nbc", "character 2 is U\\+000A")]
)
def test_a_character_that_cannot_be_seen_is_named_and_the_value_is_not(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", value)
    with pytest.raises(NotConfigured, match=f"HUBSPOT_ACCESS_TOKEN cannot be used .{said}") as raised:
        HUBSPOT.require_settings()
    assert value not in str(raised.value)
    done = CliRunner().invoke(cli.main, ["check"])
    assert done.exit_code == cli.WRONG_USE
    assert "HUBSPOT_ACCESS_TOKEN cannot be used" in done.output


def test_a_setting_of_nothing_but_blanks_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", " \n")
    assert HUBSPOT.missing_settings() == ["HUBSPOT_ACCESS_TOKEN"]
