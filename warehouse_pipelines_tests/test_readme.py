"""What the README and the pages it was cut into claim: their commands, flags, settings, files and numbers exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from warehouse_pipelines.commands import cli
from warehouse_pipelines.sources import SOURCES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("columns", "deploy", "operations", "runs")))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for block in SHELL
        for line in block.splitlines()
        if line.startswith(("./run ", "warehouse "))
    }
    | set(re.findall(r"`((?:\./run|warehouse) [^`]+)`", TEXT))
)
SCRIPT = ("test", "--version")
"""What is no command of the command line."""


def command(words: list[str]) -> click.Command:
    found = cli.main.commands.get(words[0])
    assert found is not None, f"no such command: {words[0]}"
    return found


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.split()[1] not in SCRIPT])
def test_every_command_can_be_parsed(line: str) -> None:
    _, *words = shlex.split(line)
    found = command(words)
    if not words[1:]:
        return  # the name of a command, which may take more
    with click.Context(cli.main) as parent:
        found.make_context(words[0], words[1:], parent=parent)


def test_dagsters_own_commands_are_given_the_instance_of_the_ui() -> None:
    """Without ``./run`` they need a ``DAGSTER_HOME``, which nobody is told to set."""
    lines = [line for block in SHELL for line in block.splitlines()]
    assert any(line.startswith("./run dagster job launch") for line in lines)
    assert not [line for line in lines if line.startswith(("dagster ", "dg "))]


@pytest.mark.parametrize(
    "line", [line for line in COMMANDS if line.split()[1] in {"sync", "backfill", "replay", "check"}]
)
def test_the_entities_of_the_commands_exist(line: str) -> None:
    words = [word for word in shlex.split(line)[2:] if not word.startswith("-")]
    known = {source.name: {entity.name for entity in source.entities} | {"all"} for source in SOURCES}
    if words and words[0] != "all":
        assert words[0] in known
        assert len(words) == 1 or words[1] in known[words[0]]


def test_the_table_of_flags_is_that_of_sync() -> None:
    told = set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE))
    real = {
        option
        for param in cli.main.commands["sync"].params
        if isinstance(param, click.Option) and not param.hidden
        for option in param.opts
    }
    assert told == real


def test_the_numbers_are_right() -> None:
    entities = sum(len(source.entities) for source in SOURCES)
    assert f"There are {len(SOURCES)} sources and {entities} entities so far" in README
    for source in SOURCES:
        assert source.title in README


def test_the_settings_exist() -> None:
    of_sources = {
        f"{source.settings.model_config.get('env_prefix', '')}{name}".upper()
        for source in SOURCES
        for name in source.settings.model_fields
    }
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    # README's example of one that is warned of, and one of boto3's
    others = {"HUBSPOT_ACESS_TOKEN", "AWS_CA_BUNDLE"}
    for setting in {*re.findall(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`", TEXT)} - others:
        assert setting in of_sources or re.search(rf"^#? ?{setting}=", example, re.MULTILINE), setting
    for setting in sorted(of_sources):
        if setting.endswith(("_TOKEN", "_KEY", "_BASE_URL", "_PASSWORD")):
            assert re.search(rf"^#? ?{setting}=", example, re.MULTILINE), f"{setting} is not in .env.example"


def test_the_jobs_exist() -> None:
    from warehouse_pipelines.definitions import defs

    for job in set(re.findall(r"sync_[a-z0-9]+_[a-z_]+", README)):
        if job != "sync_history":
            assert defs.resolve_job_def(job).name == job


@pytest.mark.parametrize(
    "path",
    sorted(
        (
            {
                str((page.parent / target).resolve().relative_to(ROOT))
                for page in PAGES
                for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
                if "://" not in target
            }
            | set(re.findall(r"`((?:warehouse_pipelines|docs|sql|config)/[^` ]*)`", TEXT))
            | {"run", "requirements.lock", "workspace.yaml", ".env.example"}
        )
        - {"config/columns.toml", "config/accounts.toml"}  # an installation's own
    ),
)
def test_the_files_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_example_of_an_entity_is_one() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scope: dict[str, object] = {}
    exec(f"from warehouse_pipelines.model.entity import Entity, columns\n{example}", scope)  # noqa: S102
    assert getattr(scope["TAGS"], "table", None) == "callrail_tag"
