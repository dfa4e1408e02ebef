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
