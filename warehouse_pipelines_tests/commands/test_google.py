"""``warehouse google``, as docs/google-writes.md tells it: shown first, written with --yes, taken back by its plan."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines_tests.harness.google_target import COMPANY, CREW, GoogleTarget, google_target

DOCS = (Path(__file__).parents[2] / "docs" / "google-writes.md").read_text(encoding="utf-8")
LINES = re.findall(r"^warehouse ((?:google|outbound) [^#\n]+)", DOCS, re.MULTILINE)


@pytest.fixture
def works(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GoogleTarget]:
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path))
    with google_target(database_url, monkeypatch) as one:
        yield one


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words])


def plan_of(result: Result) -> str:
    found = re.search(r"Plan (\d+) of", result.output)
    assert found, result.output
    return found[1]


def test_an_event_is_shown_written_changed_and_taken_back(works: GoogleTarget) -> None:
    line = ("google", "event", "create", CREW, "Inspection", "--start", "2026-12-01T09:30", "--guest", "a@example.test")
    shown = run(*line)
    assert shown.exit_code == 0
    assert "summary: - -> Inspection" in shown.output
    assert "Nothing was written" in shown.output
    assert works.writes() == []
    assert (
        f"Plan {plan_of(shown)} of google_events is applied: 1 written"
        in run("outbound", "apply", plan_of(shown), "--yes").output
    )
    (row,) = works.query("SELECT * FROM pipedesk.calendar_events WHERE summary = 'Inspection'")
    changed = run("google", "event", "update", CREW, row["google_event_id"], "--summary", "Other", "--meet", "--yes")
    assert "summary: Inspection -> Other" in changed.output
    assert "1 of 1 hold" in run("outbound", "verify", plan_of(changed)).output
    assert run("outbound", "undo", plan_of(changed), "--yes").exit_code == 0
    assert works.event(f"{CREW} {row['google_event_id']}")["summary"] == "Inspection"
    assert run("google", "event", "cancel", CREW, row["google_event_id"], "--why", "rain", "--yes").exit_code == 0
    assert works.event(f"{CREW} {row['google_event_id']}")["status"] == "cancelled"
    assert "nothing to write" in run("google", "event", "cancel", CREW, row["google_event_id"], "--yes").output


def test_a_series_is_cancelled_only_by_name(works: GoogleTarget) -> None:
    made = run("google", "event", "create", CREW, "Round", "--start", "2026-12-01T09:30", "--key", "round", "--yes")
    assert made.exit_code == 0
    (row,) = works.query("SELECT * FROM pipedesk.calendar_events WHERE summary = 'Round'")
    works.google.edit_event(CREW, row["google_event_id"], recurrence=["RRULE:FREQ=WEEKLY"])
    line = ("google", "event", "cancel", CREW, row["google_event_id"])
    refused = run(*line, "--yes")
    assert refused.exit_code != 0
    assert "is a series (RRULE:FREQ=WEEKLY)" in f"{refused.output} {refused.exception}"
    assert "all events of the series RRULE:FREQ=WEEKLY" in run(*line, "--series").output


def test_a_template_is_made_shared_and_its_folders_are_changed(works: GoogleTarget) -> None:
    line = ("google", "folder", "template", "company", str(COMPANY), "--share", "writer:anna@example.test")
    assert "7 to create" in run(*line).output
    assert works.tree() == []
    made = run(*line, "--yes")
    assert made.exit_code == 0, made.output
    assert "role: - -> writer" in made.output
    assert len(works.tree()) == 7
    again = run(*line, "--yes")
    assert (again.exit_code, again.output.count("nothing to write")) == (0, 2)
    (folder,) = [one["id"] for one in works.google.children(_top(works)) if one["name"] == "Finance"]
    assert run("google", "folder", "rename", folder, "Money", "--yes").exit_code == 0
    assert works.folder(folder)["name"] == "Money"
    assert run("google", "folder", "trash", folder, "--yes").exit_code == 2
    assert run("google", "folder", "trash", folder, "--why", "empty", "--yes").exit_code == 0
    assert works.folder(folder)["delete_reason"] == "empty"
    assert run("google", "folder", "restore", folder, "--yes").exit_code == 0
    assert not works.folder(folder)["archived"]
    moved = run("google", "folder", "move", folder, "--to", folder, "--yes")
    assert (moved.exit_code, "lies in it" in moved.output) == (2, True)


def _top(works: GoogleTarget) -> str:
    from warehouse_pipelines.simulators.google.drive import ROOT

    return next(str(one["id"]) for one in works.google.children(ROOT) if "appProperties" in one)


def test_a_folder_in_the_trash_is_told_and_not_made_again(works: GoogleTarget) -> None:
    line = ("google", "folder", "template", "company", str(COMPANY), "--yes")
    run(*line)
    (folder,) = [one["id"] for one in works.google.children(_top(works)) if one["name"] == "Finance"]
    works.google.trash_file(folder)
    told = run(*line)
    assert told.exit_code == 3
    assert "somebody trashed it" in told.output
    assert "0 to create, 0 to update" in told.output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("event", "create", CREW, "x"), "--start is missing"),
        (("event", "create", "nobody@example.test", "x", "--start", "2026-12-01"), "GCALENDAR_IDS"),
        (("event", "update", CREW, "abcde"), "Nothing is to be changed"),
        (("event", "cancel", CREW, "abcde"), "has no event"),
        (("folder", "template", "person", "1"), "has no folders"),
        (("folder", "share", "x", "boss:anna@example.test"), "does not say with whom"),
        (("folder", "rename", "x", " "), "name is empty"),
        (("folder", "rename", "nowhere", "y"), "shows no file"),
        (("folder", "rename", "https://drive.google.com/x' or '", "y"), "is no id"),
        (("event", "cancel", CREW, "a b"), "is no id"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(works: GoogleTarget, line: tuple[str, ...], message: str) -> None:
    told = run("google", *line, "--yes")
    assert told.exit_code == 2, told.output
    assert message in told.output
    assert works.writes() == []


@pytest.mark.parametrize(
    "line", [("event", "cancel", CREW, "abcde"), ("folder", "template", "company", str(COMPANY))], ids=lambda of: of[0]
)
def test_a_missing_setting_is_named(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    told = run("google", *line)
    assert told.exit_code == 2, told.output
    assert "not configured: set GOOGLE_APPLICATION_CREDENTIALS" in told.output


def test_there_is_no_query_to_plan_from(works: GoogleTarget) -> None:
    told = run("outbound", "plan", "google_events")
    assert (told.exit_code, "warehouse google --help" in told.output) == (2, True)


def test_check_says_which_scopes_are_granted(works: GoogleTarget) -> None:
    assert (
        "granted: calendar.readonly; for writing: calendar.events for the user of GOOGLE_WRITE_AS"
        in run("check", "gcalendar").output
    )
    works.google.configure(delegated_scopes=())
    works.google.expire_tokens()
    checked = run("check", "gdrive")
    assert "not granted, for writing: drive" in checked.output
    assert checked.exit_code == 0


@pytest.mark.parametrize("line", LINES)
def test_the_commands_of_the_documentation_can_be_parsed(line: str) -> None:
    import shlex

    words = shlex.split(line)
    found: click.Command = main
    with click.Context(main) as parent:
        while isinstance(found, click.Group):
            found = found.commands[words.pop(0)]
        found.make_context(found.name, words, parent=parent)
