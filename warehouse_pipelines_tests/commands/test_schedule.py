"""``warehouse schedule``: which entities the schedules sync, and the switch of each."""

import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.warehouse import connect

CALLRAIL = next(source for source in SOURCES if source.name == "callrail")


@pytest.fixture
def warehouse(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", shared_url)
    return shared_url


def schedule(*words: str) -> Result:
    return CliRunner().invoke(main, ["schedule", *words])


def off(url: str) -> set[str]:
    with connect(url) as connection:
        return sync_schedule.switched_off(connection, CALLRAIL)


def test_an_entity_and_a_crm_are_switched(warehouse: str) -> None:
    assert schedule("off", "callrail", "tags").stdout == "Switched off: callrail tags\n"
    assert off(warehouse) == {"tags"}
    assert schedule("off", "callrail", "tags").stdout == "Nothing to do: it is off already.\n"
    assert "calls" in schedule("off", "callrail").stdout
    assert off(warehouse) == {entity.name for entity in CALLRAIL.entities}
    assert schedule("on", "callrail").exit_code == 0
    assert off(warehouse) == set()


def test_the_list_says_what_is_on_and_when_it_was_asked_for(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLRAIL_API_KEY", "a key")
    schedule("off", "callrail", "users")
    listed = schedule("list", "callrail")
    assert listed.exit_code == 0, listed.output
    lines = {line.split("│")[1].strip(): line for line in listed.stdout.splitlines() if "│ callrail" in line}
    assert len(lines) == len(CALLRAIL.entities)
    assert "off" in lines["callrail users"]
    assert "on" in lines["callrail calls"]
    assert "1 hour" in lines["callrail calls"]
    assert "never" in lines["callrail calls"]
    schedule("on", "callrail", "users")
    assert schedule("list").stdout.count("│ hubspot ") == len(SOURCES[0].entities)


@pytest.mark.parametrize(
    ("words", "says"),
    [(["off", "callrial"], "Did you mean 'callrail'?"), (["on", "callrail", "call"], "Did you mean 'calls'?")],
)
def test_a_name_that_there_is_not_is_wrong_use(words: list[str], says: str) -> None:
    result = schedule(*words)
    assert result.exit_code == 2
    assert says in result.output


def test_a_schedule_is_added_and_removed(warehouse: str) -> None:
    added = schedule("add", "callrail", "calls", "--mode", "full", "--cron", "0 2 * * 0")
    assert added.stdout == "Added: callrail calls full 0 2 * * 0\n"
    assert "already" in schedule("add", "callrail", "calls", "--mode", "full", "--cron", "0 2 * * 0").output
    assert schedule("add", "callrail", "tags", "--every", "6h", "--name", "often [/x]").exit_code == 0
    lines = schedule("list", "callrail").stdout
    assert "(often [/x])" in lines, "a bracket is no markup of the table"
    assert "0 2 * * 0" in lines
    assert "6 hours" in lines
    assert schedule("off", "callrail", "calls", "--mode", "full").stdout == "Switched off: callrail calls\n"
    assert off(warehouse) == set()
    for name in ("callrail calls full 0 2 * * 0", "often [/x]"):
        assert schedule("remove", name).exit_code == 0
    assert schedule("remove", "often [/x]").exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--every", "6h", "--cron", "0 2 * * *"], "Give one of"),
        (["--every", "6 h"], "is no interval"),
        (["--cron", "0 2 * *"], "is no crontab"),
        (["--cron", "61 2 * * *"], "is no crontab"),
    ],
)
def test_a_recurrence_that_cannot_be_is_wrong_use(words: list[str], says: str) -> None:
    result = schedule("add", "callrail", "calls", *words)
    assert result.exit_code == 2
    assert says in result.output


def test_a_mode_that_has_no_schedule_is_wrong_use(warehouse: str) -> None:
    result = schedule("on", "callrail", "tags", "--mode", "force7")
    assert result.exit_code == 2
    assert "warehouse schedule add" in result.output


def test_a_crm_is_switched_off_in_all_modes(warehouse: str) -> None:
    """What is off must not be read by a schedule that somebody added."""
    for words in (("calls", "--mode", "full", "--cron", "0 2 * * 0"), ("tags", "--every", "6h", "--name", "often")):
        assert schedule("add", "callrail", *words).exit_code == 0
    assert "calls, calls (full)," in schedule("off", "callrail").stdout
    with connect(warehouse) as connection:
        on = "SELECT name FROM orchestration.sync_schedule WHERE crm_source = 'callrail' AND enabled"
        assert connection.execute(on).fetchall() == []
    assert schedule("on", "callrail").stdout.splitlines()[1] == (
        "Off still: callrail calls full 0 2 * * 0; --mode switches them on."
    )
    assert off(warehouse) == set()
    for name in ("callrail calls full 0 2 * * 0", "often"):
        assert schedule("remove", name).exit_code == 0
