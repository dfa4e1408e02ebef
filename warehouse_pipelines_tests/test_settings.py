"""Which ``.env`` is read: that of the checkout, from wherever the command is typed."""

import importlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url

import warehouse_pipelines
from warehouse_pipelines import settings
from warehouse_pipelines.commands import cli, misspelt_settings
from warehouse_pipelines.commands.arguments import WRONG_USE
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.local import database
from warehouse_pipelines.model.account_settings import WebhookSecrets
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.hubspot.settings import Settings as HubSpotSettings
from warehouse_pipelines_tests.harness.command_line import warehouse
from warehouse_pipelines_tests.harness.source_harness import history

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
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "entities", "--format", "json"],
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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HUBSPOT_ACESS_TOKEN", "is no setting and is ignored; did you mean HUBSPOT_ACCESS_TOKEN?"),
        ("HUBSBOT_ACCESS_TOKEN", "did you mean HUBSPOT_ACCESS_TOKEN?"),
        ("GOOGLE_APLICATION_CREDENTIALS", "did you mean GOOGLE_APPLICATION_CREDENTIALS?"),
        ("CALLRAIL_COLOUR", "is no setting and is ignored; `warehouse config show` lists all there are"),
        ("WAREHOUSE_DATABASE_PASSWORD", None),
        ("WAREHOUSE_RETRY_SECONDS", None),
        ("AWS_CA_BUNDLE", None),
        ("GOOGLE_CLOUD_PROJECT", None),
        ("MY_TOKEN", None),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_misspelt_setting_is_warned_of_without_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, said: str | None, where: str
) -> None:
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    before = misspelt_settings.misspelt([source.settings for source in SOURCES])
    if where == ".env":
        (tmp_path / ".env").write_text(f"{name}=planted\n")
    else:
        monkeypatch.setenv(name, "planted")
    found = [one for one in misspelt_settings.misspelt([source.settings for source in SOURCES]) if one not in before]
    assert len(found) == (said is not None)
    for one in found:
        assert one.startswith(f"{name} in ")
        assert str(said) in one
        assert "planted" not in one


def test_sync_and_check_warn_of_a_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACESS_TOKEN", "planted")
    for words in (["check", "hubspot"], ["sync", "hubspot", "contacts"]):
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == WRONG_USE
        assert "Warning: HUBSPOT_ACESS_TOKEN in the environment is no setting" in done.stderr
        assert "planted" not in done.output


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
    assert done.exit_code == WRONG_USE
    assert "HUBSPOT_ACCESS_TOKEN cannot be used" in done.output


def test_a_setting_of_nothing_but_blanks_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", " \n")
    assert HUBSPOT.missing_settings() == ["HUBSPOT_ACCESS_TOKEN"]


PASSWORD = "S3cr@Zq9#Wx7/Kj5?Lm2 Vb4%zz6"
FRAGMENTS = ("S3cr", "Zq9", "Wx7", "Kj5", "Lm2", "Vb4", "zz6")
DATABASES = {
    "GENIUS_DATABASE_URL": "mysql+pymysql",
    "PIPEDESK_DATABASE_URL": "postgresql",
    "WAREHOUSE_DATABASE_URL": "postgresql",
}


@pytest.mark.parametrize("mark", ["@", "#", "/", "?", " ", "%", "@#/"])
@pytest.mark.parametrize("scheme", ["mysql+pymysql", "postgresql", "postgresql+psycopg"])
def test_a_password_must_be_percent_encoded_and_then_may_hold_anything(mark: str, scheme: str) -> None:
    password = f"S3cr{mark}et9{mark}x"
    url = f"{scheme}://user:{{}}@127.0.0.1:3306/db?connect_timeout=5"
    problem = settings.database_url_problem(url.format(password), re.escape(scheme), "the form")
    assert problem is not None
    assert "percent-encode the password" in problem
    assert not {"S3cr", "et9"} & set(re.findall(r"\w+", problem))
    assert settings.database_url_problem(url.format(quote(password, safe="")), re.escape(scheme), "the form") is None
    assert make_url(url.format(quote(password, safe=""))).password == password


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/db",
        "postgresql://h",
        "postgresql:///db?host=/tmp/socket&user=a.b",
        "postgresql://u:a:b!$&'()*+,;=~|^@%2Fvar%2Frun/db",
        "postgresql://u@h1:5432,h2:5433/db?target_session_attrs=any&sslrootcert=/etc/ca.pem",
        "postgresql://u.project:p@[2001:db8::1]:5432/db",
    ],
)
def test_what_drivers_understand_is_not_refused(url: str) -> None:
    conninfo_to_dict(url)
    assert settings.database_url_problem(url, settings.POSTGRESQL, "") is None


@pytest.mark.parametrize("name", DATABASES)
def test_no_part_of_a_password_that_is_not_encoded_is_printed(
    name: str, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """In `check`, in `sync`, in the log, in the history row: the setting is named, and what to do."""
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0.001")
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/c")
    monkeypatch.setenv(name, f"{DATABASES[name]}://user:{PASSWORD}@127.0.0.1:1/db")
    crm = name.partition("_")[0].lower()
    said = []
    for words in (["check"], ["sync", "pipedesk" if crm == "warehouse" else crm, "leads"], ["status"]):
        done = warehouse(*words)
        said.append(done.output)
        assert done.exit_code, words
    assert all(name in text and "percent-encode the password" in text for text in said[:2]), said
    with caplog.at_level(logging.DEBUG):
        if crm == "warehouse":
            with pytest.raises(NotConfigured, match=name) as caught:
                database.database_url()
        else:
            source = next(source for source in SOURCES if source.name == crm)
            with pytest.raises(NotConfigured, match=name) as caught:
                sync(source, source.entities[0], Options(), url=database_url)
            (row,) = history(database_url, source, source.entities[0])
            assert "percent-encode the password" in row["error_message"]
            said.append(json.dumps(row, default=str))
    said += [str(caught.value), repr(caught.value), caplog.text, str(settings.shown([settings.Settings]))]
    said += [str(settings.shown([source.settings])) for source in SOURCES]
    for fragment in FRAGMENTS:
        assert fragment not in " ".join(said)


def test_a_relative_path_is_from_the_top_level_whatever_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "project_root", lambda: tmp_path)
    (tmp_path / "token").write_text("pat-from-a-file")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("WAREHOUSE_HOME", "DAGSTER_HOME", "WAREHOUSE_COLUMNS_FILE", "WAREHOUSE_LOG_FOLDER"):
        monkeypatch.setenv(name, "data")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", "token")
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN", raising=False)
    found = settings.settings()
    assert {found.warehouse_columns_file, found.warehouse_log_folder} == {tmp_path / "data"}
    assert {settings.state_folder(), settings.dagster_home()} == {tmp_path / "data"}
    assert HUBSPOT.settings().access_token.get_secret_value() == "pat-from-a-file"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "line"), [("A=1\nB=M\xfcller\n".encode("latin-1"), 2), ("A=1\nB=2\n".encode("utf-16"), 1)]
)
def test_an_env_file_in_another_encoding_is_named_with_its_line(
    written: bytes, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    (tmp_path / ".env").write_bytes(written)
    for read in (settings.settings, HUBSPOT.settings_problem, lambda: settings.shown([HUBSPOT.settings])):
        with pytest.raises(NotConfigured, match=rf"\.env, line {line}, is not UTF-8"):
            read()


def test_a_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers are given them, with the end of line that an editor leaves."""
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN", raising=False)
    (tmp_path / "token").write_text("pat-from-a-file\n")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(tmp_path / "token"))
    assert HUBSPOT.settings().access_token.get_secret_value() == "pat-from-a-file"  # type: ignore[attr-defined]
    [(_, value, origin)] = [row for row in settings.shown([HUBSPOT.settings]) if row[0] == "HUBSPOT_ACCESS_TOKEN"]
    assert (value, origin) == ("***", str(tmp_path / "token"))
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-from-the-environment")
    assert HUBSPOT.settings().access_token.get_secret_value() == "pat-from-the-environment"  # type: ignore[attr-defined]


def test_a_secret_in_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN", raising=False)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(tmp_path / "absent"))
    problem = HUBSPOT.settings_problem() or ""
    assert (
        f"HUBSPOT_ACCESS_TOKEN cannot be used (the file {tmp_path / 'absent'} cannot be read: FileNotFound" in problem
    )
    assert HUBSPOT.has_own_settings(), "so it is meant to be synced"
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL_FILE", str(tmp_path / "absent"))
    monkeypatch.delenv("WAREHOUSE_DATABASE_URL")
    with pytest.raises(NotConfigured, match="WAREHOUSE_DATABASE_URL: Value error, the file"):
        settings.settings()


@pytest.mark.parametrize("content", ["", "\n", " \u200b\n"])
def test_an_empty_file_of_a_secret_is_named_and_is_no_secret(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    monkeypatch.delenv("ARRIVY_WEBHOOK_SECRET", raising=False)
    (tmp_path / "secret").write_text(content)
    monkeypatch.setenv("ARRIVY_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(NotConfigured, match=f"ARRIVY_WEBHOOK_SECRET: Value error, the file {tmp_path}/secret is empty"):
        settings.serve_settings()


def test_the_credential_that_vendors_share_does_not_say_that_each_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    gcalendar = next(source for source in SOURCES if source.name == "gcalendar")
    monkeypatch.setenv("GCALENDAR_IDS", "")
    assert not gcalendar.has_own_settings()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/run/secrets/google.json")
    assert not gcalendar.has_own_settings()
    monkeypatch.setenv("GCALENDAR_IDS", "team@example.com")
    assert gcalendar.has_own_settings()


def test_a_token_changed_in_the_env_file_counts_although_dagster_copied_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a code server that was started from the top level; what the environment alone has, stays."""
    monkeypatch.setattr(settings, "project_root", lambda: tmp_path)
    (tmp_path / ".env").write_text("HUBSPOT_ACCESS_TOKEN=old\nWAREHOUSE_RUN_DAYS=5\nOTHER=1\n")
    for name, value in {"HUBSPOT_ACCESS_TOKEN": "old", "WAREHOUSE_RUN_DAYS": "6", "OTHER": "1"}.items():
        monkeypatch.setenv(name, value)
    forms: list[type[BaseSettings]] = [settings.Settings, HUBSPOT.settings]
    (tmp_path / ".env").write_text((tmp_path / ".env").read_text().replace("old", "new"))
    assert token() == "old", "the environment comes first"
    (tmp_path / ".env").write_text((tmp_path / ".env").read_text().replace("new", "old"))
    settings.forget_copies(forms)
    assert token() == "old"
    assert "HUBSPOT_ACCESS_TOKEN" not in os.environ
    (tmp_path / ".env").write_text((tmp_path / ".env").read_text().replace("old", "new"))
    assert token() == "new"
    assert settings.settings().warehouse_run_days == 6
    assert os.environ["OTHER"] == "1"


def token() -> str:
    found = HubSpotSettings()
    return found.access_token.get_secret_value()


def test_reading_a_vendors_settings_makes_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a container the project's folder belongs to somebody else."""
    monkeypatch.setattr(settings, "project_root", lambda: tmp_path)
    monkeypatch.delenv("WAREHOUSE_HOME")
    monkeypatch.delenv("WAREHOUSE_DATABASE_URL")
    for source in SOURCES:
        source.missing_settings()
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_brings_dagsters_files_and_one_in_the_folder_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[1]
    included = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for file, place in included["force-include"].items():
        target = tmp_path / "site" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(root / file)
    (tmp_path / "site" / "sql").mkdir()  # another distribution's package
    monkeypatch.setattr(settings, "PACKAGE", tmp_path / "site" / "warehouse_pipelines")
    monkeypatch.chdir(tmp_path)
    assert (settings.sql_folder() / "queries").is_dir()
    for file in ("dagster.yaml", "workspace.yaml", "config/dagster.celery.yaml"):
        monkeypatch.setenv("WAREHOUSE_DAGSTER_CONFIG", file)
        for name in (file, settings.settings().warehouse_dagster_config):
            assert settings.shipped(name).read_text() == (root / file).read_text()
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    assert settings.shipped("dagster.yaml") == tmp_path / "dagster.yaml"


def test_every_setting_stands_in_the_example_and_nothing_else() -> None:
    """Those of the forms, those that the code takes from the environment itself, and those of the compose files.

    An account's secrets of webhooks are no names of their own: those of the vendor with the account's name in them.
    """
    root = settings.project_root()
    known: set[str] = set()
    for file in settings.PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        known |= set(re.findall(r'environ\.get\("((?:WAREHOUSE|PG)_\w+)"', text))
        if not re.search(r"^class \w+\((FromEnvironment|\w+Settings)\b", text, re.MULTILINE):
            continue
        module = importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))
        for form in vars(module).values():
            if isinstance(form, type) and issubclass(form, FromEnvironment) and form is not WebhookSecrets:
                known |= {settings.setting_name(form, field) for field in form.model_fields}
    for file in root.glob("docker-compose*.yml"):
        known |= set(re.findall(r"\$\{([A-Z_]+)", file.read_text(encoding="utf-8")))
    example = (root / ".env.example").read_text(encoding="utf-8")
    assert known == set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
