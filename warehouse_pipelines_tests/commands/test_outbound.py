"""``warehouse outbound``, from the list of targets to the undo, as docs/outbound.md tells it."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.outbound import applying
from warehouse_pipelines.outbound.targets import TARGETS
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.server import start

DOCS = (Path(__file__).parents[2] / "docs" / "outbound.md").read_text(encoding="utf-8")
LINES = re.findall(r"^warehouse (outbound [^#\n]+)", DOCS, re.MULTILINE)


@pytest.fixture
def hubspot(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubSpot]:
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path))
    with start(["hubspot"], contacts=20) as simulators, warehouse.session(database_url) as session:
        for name, value in {**simulators.environment(), "WAREHOUSE_RETRY_SECONDS": "0.001"}.items():
            monkeypatch.setenv(name, value)
        session.execute("INSERT INTO genius_division (id, label, raw_data) VALUES (7, 'Akron', '{}')")
        yield simulators.of(HubSpot)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["outbound", *words])


def test_a_target_is_prepared_planned_applied_verified_and_undone(hubspot: HubSpot) -> None:
    before = hubspot.counts()["live"]["divisions"]
    refused = run("plan", "hubspot_divisions")
    assert refused.exit_code == 1
    assert "outbound prepare hubspot_divisions --yes" in refused.output
    assert "Nothing was made" in run("prepare", "hubspot_divisions").output
    assert "made: the property genius_division_id" in run("prepare", "hubspot_divisions", "--yes").output
    planned = run("plan", "hubspot_divisions")
    assert planned.exit_code == 0
    assert "1 to create, 0 to update, 0 to archive, 0 unchanged, 0 refused" in planned.output
    assert "division_name: - -> Akron" in planned.output
    assert "repeat with --yes" in run("apply", "hubspot_divisions").output
    assert hubspot.counts()["live"]["divisions"] == before
    assert "is applied: 1 written" in run("apply", "hubspot_divisions", "--yes").output
    assert hubspot.counts()["live"]["divisions"] == before + 1
    assert "1 of 1 hold" in run("verify", "hubspot_divisions").output
    assert "no undo of plan" in run("undo", "hubspot_divisions", "--give-up").output
    assert "Nothing was written" in run("undo", "hubspot_divisions").output
    assert "is applied: 1 written" in run("undo", "hubspot_divisions", "--yes").output
    assert hubspot.counts()["live"]["divisions"] == before
    assert "undone" in run("list").output


def test_what_somebody_changed_is_told_by_verify(hubspot: HubSpot) -> None:
    run("prepare", "hubspot_divisions", "--yes")
    run("plan", "hubspot_divisions")
    run("apply", "hubspot_divisions", "--yes")
    hubspot.edit("divisions", hubspot.ids("divisions")[-1], {"division_name": "by hand"})
    told = run("verify", "hubspot_divisions")
    assert told.exit_code == 3
    assert "changed since: division_name" in told.output


def test_the_plan_of_an_undo_is_not_applied_by_the_name_of_its_target(hubspot: HubSpot) -> None:
    run("prepare", "hubspot_divisions", "--yes")
    run("plan", "hubspot_divisions")
    run("apply", "hubspot_divisions", "--yes")
    before = hubspot.counts()["live"]["divisions"]
    run("undo", "hubspot_divisions")
    told = run("apply", "hubspot_divisions", "--yes")
    assert told.exit_code == 2
    assert "make a new one" in told.output
    assert hubspot.counts()["live"]["divisions"] == before


@pytest.mark.parametrize("word", ["9" * 30, "²", "१२"])
def test_a_word_that_is_no_number_of_a_plan_is_wrong_use(hubspot: HubSpot, word: str) -> None:
    told = run("apply", word)
    assert (told.exit_code, "No such target" in told.output) == (2, True)


def test_nothing_is_made_at_the_vendor_while_the_stop_file_is_there(hubspot: HubSpot) -> None:
    applying.stop_file().parent.mkdir(parents=True, exist_ok=True)
    applying.stop_file().touch()
    told = run("prepare", "hubspot_divisions", "--yes")
    assert (told.exit_code, "nothing is written to any vendor" in told.output) == (2, True)


def test_a_target_that_there_is_not_is_wrong_use(hubspot: HubSpot) -> None:
    told = run("plan", "hubspot_division")
    assert told.exit_code == 2
    assert "Did you mean 'hubspot_divisions'?" in told.output


@pytest.mark.parametrize("line", LINES)
def test_the_commands_of_the_documentation_can_be_parsed(line: str) -> None:
    words = line.split()
    found: click.Command = main
    with click.Context(main) as parent:
        while isinstance(found, click.Group):
            found = found.commands[words.pop(0)]
        found.make_context(found.name, words, parent=parent)


def test_the_documentation_has_every_target() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", DOCS, re.MULTILINE)) == {target.name for target in TARGETS}
