"""What a terminal shows of a run: the table at its end, and a line for each entity."""

import io
import json

import pytest
from rich.console import Console

from warehouse_pipelines.commands.console import Progress, out, report
from warehouse_pipelines.commands.outcome import Outcome
from warehouse_pipelines.observability import logs


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_figure_is_cut_off_however_narrow_the_terminal(width: int) -> None:
    outcome = Outcome(crm="hubspot", sync_type="contact_to_company_associations", status="success", created=1234567)
    console = Console(width=width, file=io.StringIO())
    report([outcome], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "contact_to_company_associations" in text
    assert "1,234,567" in text
    assert "…" not in text


def test_an_entity_that_ended_is_a_line_with_its_number() -> None:
    """Without a terminal too; the line that the log has of it is left out of the text form, not of JSON."""
    shown, texts, lines = io.StringIO(), io.StringIO(), io.StringIO()
    progress = Progress(Console(file=shown), 3)
    handlers = [logs.handler("text", stream=texts), logs.handler("json", stream=lines)]
    for handler in handlers:
        logs.sync.addHandler(handler)
    try:
        with progress.listening():
            logs.sync.setLevel("INFO")
            logs.completed("hubspot", "deals", 1000, 2, 0, status="success", seconds=1.25)
            logs.sync_failed("hubspot", "contacts", RuntimeError("planted"))
            logs.completed("hubspot", "contacts", 1, 0, 1, status="partial", seconds=0.5)
        progress.rest([Outcome(crm="hubspot", sync_type=name, status="failed") for name in ("deals", "tickets")])
        logs.completed("hubspot", "later", 0, 0, 0)
    finally:
        for handler in handlers:
            logs.sync.removeHandler(handler)
    assert shown.getvalue().splitlines() == [
        "1 of 3  hubspot deals  success, 1,000 created, 2 updated, 0 failed, 1.2 s",
        "2 of 3  hubspot contacts  failed",
        "2 of 3  hubspot contacts  partial, 1 created, 0 updated, 1 failed, 0.5 s",
        "3 of 3  hubspot tickets  failed",
    ]
    assert "Completed hubspot deals" not in texts.getvalue()
    assert "Completed hubspot later" in texts.getvalue()
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["sync_type"] for line in said] == ["deals", "contacts", "contacts", "later"]
    assert "warehouse_ended" not in said[0]


def test_a_line_that_ended_counts_no_more_seconds() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    progress = Progress(console, 2)
    with progress.listening():
        progress.moved("hubspot", "deals", 10, 100)
        progress.moved("callrail", "calls", 5, None)
        progress.ended("hubspot", "deals", "success", "10 created")
        assert progress._bars is not None
        assert [task.description for task in progress._bars.tasks] == ["all", "callrail calls"]
        assert progress._bars.tasks[0].fields["count"] == "1 of 2"


def test_a_word_between_colons_is_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    out().print("the column :smile: is not there")
    assert capsys.readouterr().out == "the column :smile: is not there\n"
