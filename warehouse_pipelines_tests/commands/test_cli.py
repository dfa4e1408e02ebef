"""The command line itself: how soon it answers, what it imports, what a shell completes."""

import json
import os
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from warehouse_pipelines.commands import cli
from warehouse_pipelines_tests.harness.command_line import EVERY_ENTITY, warehouse

pytestmark = pytest.mark.usefixtures("configured")


def test_every_entity_is_listed_with_its_transport() -> None:
    listed = json.loads(warehouse("entities", "list", "--format", "json").stdout)
    assert [(one["crm"], one["sync_type"]) for one in listed] == EVERY_ENTITY
    assert {one["transport"] for one in listed} <= {"api", "database", "file", "query"}
    assert EVERY_ENTITY[0][1] in warehouse("entities").stdout


def test_help_answers_at_once() -> None:
    """Nothing heavy is imported before a command needs it; processor time, because a busy machine makes it wait."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "--help"], capture_output=True, check=True
    )
    assert b"backfill" in done.stdout
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime < 0.5
    heavy = "dagster dlt pyarrow psycopg sqlalchemy pydantic httpx rich.table"
    code = f"import sys, warehouse_pipelines.commands.cli; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


HEAVY = ["dagster", "dlt", "pyarrow", "sqlalchemy", "alembic", "boto3", "httpx", "phonenumbers"]
LIGHT = ("--version", "entities", "sync hubspot -h", "dead-letters list", "status", "check")


def test_what_needs_no_dagster_does_not_wait_for_it(database_url: str) -> None:
    """By none of these anything is imported that takes a tenth of a second; no vendor is configured."""
    code = f"""
import sys
from pathlib import Path
from warehouse_pipelines import settings
from warehouse_pipelines.commands import cli
settings.env_file = lambda: Path("/none/.env")
for line in {LIGHT!r}:
    try:
        cli.main.main(line.split())
    except SystemExit as ended:
        print("ENDED", line, ended.code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    environment = {name: value for name, value in os.environ.items() if "127.0.0.1:1" not in value}
    environment = {name: value for name, value in environment.items() if not value.startswith("planted")}
    environment["WAREHOUSE_DATABASE_URL"] = database_url
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ended = [line for line in done.stderr.splitlines() if line.startswith("ENDED")]
    assert ended == [f"ENDED {line} {2 * (line in ('status', 'check'))} []" for line in LIGHT]


def test_the_version_is_that_of_the_project() -> None:
    version = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]
    assert warehouse("--version").stdout == f"warehouse {version}\n"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dea", ["dead-letters"]),
        ("sync hub", ["hubspot"]),
        ("sync a", ["arrivy", "all"]),
        ("sync callrail c", ["companies", "calls"]),
        ("sync callrail a", ["accounts", "all"]),
        ("backfill callrail al", []),
        ("check gd", ["gdrive"]),
        ("status --crm five", ["five9"]),
        ("dead-letters list --crm hubspot --entity deals", ["deals"]),
        ("sync arrivy --booking", ["--booking-status"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_commands_crms_and_entities_are_completed(line: str, offered: list[str]) -> None:
    *words, incomplete = line.split(" ")
    found = BashComplete(cli.main, {}, "warehouse", "_WAREHOUSE_COMPLETE").get_completions(words, incomplete)
    assert [one.value for one in found] == offered


def test_bash_completes_run_as_well() -> None:
    """The script is evaluated, and asked as bash asks it."""
    program = Path(sys.executable).with_name("warehouse")
    script = warehouse("completion", "bash").stdout
    asked = f"""{script}
complete -p ./run || exit 9
COMP_WORDS=(x sync callrail tr) COMP_CWORD=3
_warehouse_completion {program}
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("\ntrackers\n"), done.stderr


def test_zsh_and_fish_have_a_script_that_asks_the_program() -> None:
    zsh = warehouse("completion", "zsh").stdout
    assert "_WAREHOUSE_COMPLETE=zsh_complete $words[1]" in zsh
    assert "$+commands[warehouse]" not in zsh, "it need not be on the PATH"
    assert "compdef _warehouse_completion ./run" in zsh
    assert "fish_complete" in warehouse("completion", "fish").stdout


def test_psql_is_given_the_password_by_the_environment(database_url: str, tmp_path: Path) -> None:
    """A person pastes what the demo says; it must work, with nothing secret in the list of processes."""
    words = ["psql", "-At", "-c", "SELECT count(*) >= 0 FROM orchestration.sync_history"]
    done = subprocess.run(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.stdout == "t\n", done.stderr
    spy = tmp_path / "psql"
    spy.write_text('#!/bin/sh\necho "$@"\n')
    spy.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "psql"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    password = database_url.split(":")[2].split("@", maxsplit=1)[0]
    assert "postgresql://" in done.stdout
    assert password not in done.stdout
