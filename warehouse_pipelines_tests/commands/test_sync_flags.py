"""The flags of ``sync`` and ``backfill``: what each asks of the job, what is wrong use, and the exit codes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from warehouse_pipelines.commands.outcome import worst
from warehouse_pipelines.model.source import Flag
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.command_line import EVERY_ENTITY, FakeJobs, warehouse

pytestmark = pytest.mark.usefixtures("configured")


EIGHT_FLAGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "--full": ([], {"full": True}),
    "--force": ([], {"force": True}),
    "--dry-run": ([], {"dry_run": True}),
    "--skip-validation": ([], {"skip_validation": True}),
    "--debug": ([], {"debug": True}),
    "--batch-size": (["50"], {"batch_size": 50}),
    "--max-records": (["10"], {"max_records": 10}),
    "--start-date": (["2025-01-31"], {"start_date": "2025-01-31"}),
}


@pytest.mark.parametrize("crm", [source.name for source in SOURCES])
def test_flag_matrix(fake: type[FakeJobs], crm: str) -> None:
    """Every entity takes all eight flags; each alone is what it says, for an entity of each CRM."""
    entities = [entity for name, entity in EVERY_ENTITY if name == crm]
    every = [word for flag, (value, _) in EIGHT_FLAGS.items() for word in (flag, *value)]
    together = {name: value for _, config in EIGHT_FLAGS.values() for name, value in config.items()}
    lines = [(entity, every, together) for entity in entities]
    lines += [(entities[0], [flag, *value], config) for flag, (value, config) in EIGHT_FLAGS.items()]
    for entity, words, config in lines:
        fake.asked = []
        result = warehouse("sync", crm, entity, *words)
        assert result.exit_code == 0, result.output
        assert fake.asked == [(crm, entity, config, None)]


def test_the_config_of_every_flag_is_accepted_by_dagster() -> None:
    from dagster import validate_run_config

    from warehouse_pipelines.definitions import defs

    job = defs.resolve_job_def("sync_hubspot_contacts")
    for _, config in EIGHT_FLAGS.values():
        validate_run_config(job, {"resources": {"sync": {"config": config}}})


@pytest.mark.parametrize(
    ("old", "new", "config"),
    [
        (["--since", "2025-01-01"], "--start-date", {"start_date": "2025-01-01"}),
        (["--test"], "--debug", {"debug": True}),
        (["--verbose"], "--debug", {"debug": True}),
        (["--force-overwrite"], "--force", {"force": True}),
    ],
)
def test_deprecated_flags_work_and_warn(fake: type[FakeJobs], old: list[str], new: str, config: dict[str, Any]) -> None:
    """The old spelling does what the new one does, and the warning names the new one."""
    result = warehouse("sync", "hubspot", "deals", *old)
    assert result.exit_code == 0
    assert f"{old[0]} is deprecated; use {new}" in result.stderr
    assert fake.asked[0][2] == config


def test_the_new_spelling_wins_over_the_old(fake: type[FakeJobs]) -> None:
    warehouse("sync", "hubspot", "deals", "--since", "2024-01-01", "--start-date", "2025-01-01")
    assert fake.asked[0][2] == {"start_date": "2025-01-01"}


def test_help_lists_the_eight_flags_and_no_deprecated_one() -> None:
    text = warehouse("sync", "hubspot", "contacts", "--help").output
    for flag in EIGHT_FLAGS:
        assert flag in text
    for flag in ("--since", "--test", "--verbose", "--force-overwrite"):
        assert flag not in text


@pytest.mark.parametrize("wrong", ["2025-13-01", "01/31/2025", "20250131", "2025-W01-1", "yesterday", ""])
def test_a_wrong_date_names_the_format(fake: type[FakeJobs], wrong: str) -> None:
    result = warehouse("sync", "hubspot", "contacts", "--start-date", wrong)
    assert result.exit_code == 2
    assert "YYYY-MM-DD" in result.stderr
    assert fake.asked == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sync", "hubspott", "contacts"], ["Did you mean 'hubspot'?", "callrail"]),
        (["sync", "hubspot", "contact"], ["Did you mean 'contacts'?", "line_items", "all"]),
        (["sync", "hubspot"], ["Which entity", "contacts", "all"]),
        (["sync", "all", "contacts"], ["takes no entity"]),
        (["snyc", "hubspot", "contacts"], ["Did you mean 'sync'?"]),
        (["sync", "hubspot", "contacts", "--batch-size", "0"], ["--batch-size"]),
        (["sync", "hubspot", "contacts", "--max-records", "-1"], ["--max-records"]),
        (["sync", "hubspot", "contacts", "--booking-status", "x"], ["--booking-status", "only Arrivy"]),
        (["backfill", "hubspot", "contacts", "--from", "2025-02-01", "--to", "2025-01-01"], ["is after"]),
        (["backfill", "callrail", "tags", "--from", "2025-01-01", "--to", "2025-01-02"], ["cannot be asked by date"]),
        (["backfill", "callrail", "calls", "--from", "1970-01-01", "--to", "1970-01-02"], ["keeps calls for"]),
        (["backfill", "callrail", "calls", "--from", "2924-01-01", "--to", "2924-01-02"], ["is in the future"]),
        (["backfill", "callrail", "calls", "--from", "2025-01-01", "--to", "9999-12-31"], ["name an earlier one"]),
        (["status", "--crm", "nosuch"], ["No such CRM"]),
        (["check", "nosuch"], ["No such CRM"]),
        (["replay", "nosuch"], ["No such CRM"]),
        (["replay", "hubspot", "nosuch"], ["No such entity of hubspot"]),
    ],
)
def test_wrong_use_is_exit_code_2(fake: type[FakeJobs], words: list[str], says: list[str]) -> None:
    result = warehouse(*words)
    assert result.exit_code == 2, result.output
    for part in says:
        assert part in result.stderr
    assert fake.asked == []


@pytest.fixture
def flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """CallRail has three flags of its own: one narrows the calls, one is an old spelling."""
    flags = (
        Flag(name="call_direction", help="Only these calls.", entities=("calls",), narrows=True),
        Flag(name="at_once", help="So many at a time.", type="number", most=8),
        Flag(name="quickly", help="Faster.", type="switch"),
        Flag(name="begin", help="The first day.", stands_for="start_date"),
    )
    monkeypatch.setattr(
        "warehouse_pipelines.sources.SOURCES", [replace(s, flags=flags * (s.name == "callrail")) for s in SOURCES]
    )


def test_flags_of_one_vendor_are_offered_for_it_alone(flagged: None) -> None:
    own, legacy = "Only of CallRail:", "Legacy flags of CallRail:"
    text = warehouse("sync", "callrail", "calls", "--help").output
    assert text.index("--full") < text.index(own) < text.index("--call-direction TEXT") < text.index(legacy)
    assert "--at-once N" in text
    assert "[ENTITY]" not in text.partition("Options:")[2], "arguments are no options"
    assert text.index(legacy) < text.index("--begin")
    for words in (["hubspot", "contacts"], ["all"], []):
        assert "--at-once" not in warehouse("sync", *words, "--help").output


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ("calls --call-direction inbound", {"vendor": {"call_direction": "inbound"}}),
        ("calls --at-once=8 --quickly --full", {"full": True, "vendor": {"at_once": 8, "quickly": True}}),
        ("all --call-direction inbound", {"vendor": {"call_direction": "inbound"}}),
        ("calls --begin 2025-01-31", {"start_date": "2025-01-31"}),
    ],
)
def test_flags_of_one_vendor_reach_its_run(
    fake: type[FakeJobs], flagged: None, words: str, config: dict[str, Any]
) -> None:
    result = warehouse("sync", "callrail", *words.split())
    assert result.exit_code == 0, result.output
    assert fake.asked[0][2] == config
    assert ("--begin is deprecated; use --start-date" in result.stderr) == ("--begin" in words)


def test_the_legacy_flags_of_leadconduit_work_and_are_listed(
    fake: type[FakeJobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stands for one of all vendors, and is told of once."""
    monkeypatch.setenv("LEADCONDUIT_API_KEY", "any")
    _, legacy = warehouse("sync", "leadconduit", "leads", "--help").output.split("Legacy flags of LeadConduit:")
    for flag in ("--since", "--force-overwrite", "--test", "--verbose"):
        assert flag in legacy
    result = warehouse("sync", "leadconduit", "leads", "--since", "2025-01-31", "--force-overwrite", "--verbose")
    assert result.exit_code == 0, result.output
    assert fake.asked[0][2] == {"start_date": "2025-01-31", "force": True, "debug": True}
    assert result.stderr.count("--since is deprecated; use --start-date") == 1
    assert "Legacy" not in warehouse("sync", "hubspot", "contacts", "--help").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hubspot contacts --at-once 2", "--at-once: only CallRail has this flag"),
        ("all --at-once 2", "only CallRail"),
        ("callrail tags --call-direction inbound", "--call-direction is for callrail calls, not for tags"),
        ("callrail calls --at-once 9", "--at-once"),
        ("callrail calls --nonsense", "No such option"),
    ],
)
def test_a_flag_where_it_means_nothing_is_wrong_use(fake: type[FakeJobs], flagged: None, words: str, says: str) -> None:
    result = warehouse("sync", *words.split())
    assert (result.exit_code, fake.asked) == (2, [])
    assert says in result.stderr


def test_missing_settings_are_named_at_once(fake: type[FakeJobs], monkeypatch: pytest.MonkeyPatch) -> None:
    for source in SOURCES:
        for name, field in source.settings.model_fields.items():
            if field.is_required():
                monkeypatch.delenv(f"{source.settings.model_config['env_prefix']}{name}".upper(), raising=False)
    result = warehouse("sync", "hubspot", "contacts")
    assert result.exit_code == 2
    assert "HUBSPOT_ACCESS_TOKEN" in result.stderr
    result = warehouse("sync", "all")
    assert result.exit_code == 2
    assert "HUBSPOT_ACCESS_TOKEN" in result.stderr
    assert "CALLRAIL_API_KEY" in result.stderr
    assert fake.asked == []


def test_sync_all_leaves_out_what_is_not_configured(fake: type[FakeJobs], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLRAIL_API_KEY")
    result = warehouse("sync", "all", "--dry-run")
    assert result.exit_code == 0
    assert "Not configured, left out: callrail" in result.stderr
    assert ("hubspot", "all") in [asked[:2] for asked in fake.asked]
    assert "callrail" not in {asked[0] for asked in fake.asked}


@pytest.mark.parametrize(
    ("endings", "code"),
    [({}, 0), ({"callrail all": "partial"}, 3), ({"hubspot all": "failed", "callrail all": "partial"}, 1)],
)
def test_the_exit_code_is_that_of_the_worst(fake: type[FakeJobs], endings: dict[str, str], code: int) -> None:
    fake.endings = endings
    result = warehouse("sync", "all")
    assert result.exit_code == code
    assert len(fake.asked) == len(SOURCES)
    assert ("planted" in result.stdout) is bool(endings)


def test_no_outcome_at_all_is_a_failure() -> None:
    assert worst([]) == 1


def test_a_backfill_is_one_run_over_the_range(fake: type[FakeJobs]) -> None:
    result = warehouse("backfill", "callrail", "calls", "--from", "2025-02-01", "--to", "2025-02-03")
    assert result.exit_code == 0, result.output
    ((_, _, config, (first, last)),) = fake.asked
    assert (str(first), str(last), config) == ("2025-02-01", "2025-02-03", {})


def test_json_is_all_there_is_on_standard_output(fake: type[FakeJobs]) -> None:
    """So that a program can read it."""
    result = warehouse("sync", "callrail", "calls", "--dry-run", "--log-format", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["crm_source"], line["sync_type"], line["status"]) for line in lines] == [
        ("callrail", "calls", "success")
    ]
