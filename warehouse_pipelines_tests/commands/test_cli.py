"""The command line: its words, its exit codes, and that it does what Dagster does."""

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result
from rich.console import Console

from warehouse_pipelines import settings
from warehouse_pipelines.commands import cli, job_processes
from warehouse_pipelines.commands.console import Progress, report
from warehouse_pipelines.commands.outcome import Outcome, worst
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.model.source import Flag
from warehouse_pipelines.observability import logs
from warehouse_pipelines.simulators.registry import available, simulated
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import SOURCES

EVERY_ENTITY = [(source.name, entity.name) for source in SOURCES for entity in source.entities]
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

GUIDE = [
    ("sync_hubspot_contacts", "hubspot contacts", "--since=2025-01-01 --force --test --verbose"),
    ("sync_hubspot_contacts", "hubspot contacts", "--start-date=2025-01-01 --force --debug"),
    ("sync_hubspot_contacts", "hubspot contacts", ""),
    ("sync_salesrabbit_users", "salesrabbit users", ""),
    ("sync_callrail_calls", "callrail calls", ""),
    ("sync_arrivy_bookings", "arrivy bookings", ""),
    ("sync_hubspot_contacts", "hubspot contacts", "--full --debug"),
    ("sync_salesrabbit_users", "salesrabbit users", "--full --debug"),
    ("sync_callrail_calls", "callrail calls", "--dry-run --debug"),
    ("sync_arrivy_tasks", "arrivy tasks", "--dry-run --debug"),
    ("sync_hubspot_deals", "hubspot deals", "--debug --skip-validation"),
    ("sync_hubspot_contacts", "hubspot contacts", "--batch-size=50 --max-records=1000"),
    ("sync_salesrabbit_users", "salesrabbit users", "--batch-size=25 --max-records=250"),
    ("sync_callrail_calls", "callrail calls", "--batch-size=100 --max-records=500"),
    ("sync_hubspot_deals", "hubspot deals", "--start-date=2025-01-01 --force"),
    ("sync_arrivy_bookings", "arrivy bookings", "--start-date=2025-01-01 --force"),
    ("sync_hubspot_contacts", "hubspot contacts", "--full --force --debug"),
    ("sync_salesrabbit_leads", "salesrabbit leads", "--full --force --debug"),
    ("sync_hubspot_contacts", "hubspot contacts", "--batch-size=50 --max-records=1000 --debug"),
    ("sync_hubspot_deals", "hubspot deals", "--start-date=2025-01-01 --force --debug"),
    ("sync_hubspot_contacts", "hubspot contacts", "--full --force --batch-size=200"),
    ("sync_salesrabbit_users", "salesrabbit users", "--batch-size=25 --max-records=250 --debug"),
    ("sync_salesrabbit_leads", "salesrabbit leads", "--batch-size=100 --max-records=2000 --debug"),
    ("sync_salesrabbit_users", "salesrabbit users", "--start-date=2025-01-01 --force"),
    ("sync_arrivy_bookings", "arrivy bookings", "--high-performance --concurrent-pages=4 --batch-size=100"),
    ("sync_arrivy_tasks", "arrivy tasks", "--task-status=active --high-performance --max-records=1000 --debug"),
    ("sync_arrivy_all", "arrivy all", "--high-performance --concurrent-pages=8 --debug --force"),
    ("sync_callrail_calls", "callrail calls", "--batch-size=200 --max-records=5000 --debug"),
    ("sync_callrail_companies", "callrail companies", "--start-date=2025-01-01 --force --debug"),
    ("sync_callrail_all", "callrail all", "--full --batch-size=150 --dry-run"),
    ("sync_hubspot_contacts", "hubspot contacts", "--max-records=50 --dry-run --debug"),
    ("sync_salesrabbit_users", "salesrabbit users", "--max-records=100 --dry-run --debug"),
    ("sync_callrail_calls", "callrail calls", "--max-records=25 --dry-run --batch-size=10"),
    ("sync_salesrabbit_users", "salesrabbit users", "--batch-size=10 --max-records=100 --debug"),
    ("sync_arrivy_bookings", "arrivy bookings", "--batch-size=50 --max-records=200 --debug"),
    ("sync_arrivy_bookings", "arrivy bookings", "--high-performance --dry-run --concurrent-pages=2 --batch-size=25"),
    ("sync_callrail_calls", "callrail calls", "--since=2024-12-01 --force --batch-size=100 --verbose"),
    ("sync_callrail_calls", "callrail calls", "--start-date=2024-12-01 --force --batch-size=100 --debug"),
    ("sync_hubspot_contacts", "hubspot contacts", "--start-date=2025-01-01 --force --batch-size=50 --max-records=1000"),
    ("sync_callrail_calls", "callrail calls", "--start-date=2024-12-01 --force --batch-size=200 --max-records=5000"),
]
"""Every example of S2's guide: ``python manage.py`` <this>, which is our ``warehouse sync`` <that>, and the flags."""

# A CRM that has no source yet is left out; its lines count from the moment it has one.
GUIDE_LINES = [
    f"{ours} {flags}".strip() for _, ours, flags in GUIDE if ours.split()[0] in {source.name for source in SOURCES}
]
RENAMED = {"since": "start_date", "test": "debug", "verbose": "debug"}


def config_of(line: str) -> dict[str, Any]:
    """Return the config of the run that a line of the guide must lead to."""
    crm, _, *words = line.split()
    config: dict[str, Any] = {}
    own = {flag.name for source in SOURCES if source.name == crm for flag in source.flags}
    for word in words:
        flag, _, value = word.removeprefix("--").partition("=")
        flag = flag.replace("-", "_")
        place = config.setdefault("vendor", {}) if flag in own else config
        place[RENAMED.get(flag, flag)] = int(value) if value.isdigit() else value or True
    return config


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Something for each setting that a source lacks, and an address where nobody listens."""
    found = {"WAREHOUSE_RETRY_SECONDS": "0.001"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "env_file", lambda: tmp_path_factory.getbasetemp() / "none" / ".env")
        for source in SOURCES:
            for name in source.missing_settings():
                scheme = "mysql+pymysql" if source.name == "genius" else "postgresql"
                url = f"{scheme}://planted:planted-password@127.0.0.1:1/none"
                found[name] = url if name.endswith("DATABASE_URL") else f"planted-{name.lower()}"
            if "base_url" in source.settings.model_fields:
                found[f"{source.settings.model_config['env_prefix']}BASE_URL"] = "http://127.0.0.1:1"
    return found


@pytest.fixture(autouse=True)
def configured(planted: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every source is configured. No .env is read."""
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    for name, value in planted.items():
        monkeypatch.setenv(name, value)


class Fake:
    """Stands in for what runs jobs, to see what the command line asks of it."""

    asked: list[tuple[str, str, Mapping[str, Any], Any]]
    endings: dict[str, str]

    @classmethod
    def run_jobs(cls, jobs: Sequence[job_processes.Job], *, config: Any, days: Any, **_: Any) -> list[Outcome]:
        cls.asked += [(crm, entity, config, days) for crm, entity in jobs]
        statuses = [(crm, entity, cls.endings.get(f"{crm} {entity}", "success")) for crm, entity in jobs]
        return [
            Outcome(crm=crm, sync_type=entity, status=status, reason=None if status == "success" else "planted")
            for crm, entity, status in statuses
        ]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    Fake.asked, Fake.endings = [], {}
    monkeypatch.setattr(job_processes, "run_jobs", Fake.run_jobs)
    monkeypatch.setattr("warehouse_pipelines.local.database.database_url", lambda: "postgresql://nobody@nowhere/none")
    return Fake


def warehouse(*words: str) -> Result:
    return CliRunner().invoke(cli.main, list(words))


@pytest.mark.parametrize("crm", [source.name for source in SOURCES])
def test_flag_matrix(fake: type[Fake], crm: str) -> None:
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


@pytest.mark.parametrize("line", GUIDE_LINES)
def test_guide_examples(fake: type[Fake], line: str) -> None:
    """Each example of the guide is understood as what it says."""
    crm, entity, *_ = line.split()
    result = warehouse("sync", *line.split())
    assert result.exit_code == 0, result.output
    assert fake.asked == [(crm, entity, config_of(line), None)]


def test_the_commands_of_the_guide_are_names_of_jobs() -> None:
    from warehouse_pipelines.definitions import defs

    for old, ours, _ in GUIDE:
        assert old == f"sync_{ours.replace(' ', '_')}"
        if ours.split()[0] in {source.name for source in SOURCES}:
            assert defs.resolve_job_def(old).name == old


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
def test_deprecated_flags_work_and_warn(fake: type[Fake], old: list[str], new: str, config: dict[str, Any]) -> None:
    """The old spelling does what the new one does, and the warning names the new one."""
    result = warehouse("sync", "hubspot", "deals", *old)
    assert result.exit_code == 0
    assert f"{old[0]} is deprecated; use {new}" in result.stderr
    assert fake.asked[0][2] == config


def test_the_new_spelling_wins_over_the_old(fake: type[Fake]) -> None:
    warehouse("sync", "hubspot", "deals", "--since", "2024-01-01", "--start-date", "2025-01-01")
    assert fake.asked[0][2] == {"start_date": "2025-01-01"}


def test_help_lists_the_eight_flags_and_no_deprecated_one() -> None:
    text = warehouse("sync", "hubspot", "contacts", "--help").output
    for flag in EIGHT_FLAGS:
        assert flag in text
    for flag in ("--since", "--test", "--verbose", "--force-overwrite"):
        assert flag not in text


@pytest.mark.parametrize("wrong", ["2025-13-01", "01/31/2025", "20250131", "2025-W01-1", "yesterday", ""])
def test_a_wrong_date_names_the_format(fake: type[Fake], wrong: str) -> None:
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
        (["status", "--crm", "nosuch"], ["No such CRM"]),
        (["check", "nosuch"], ["No such CRM"]),
        (["replay", "nosuch"], ["No such CRM"]),
        (["replay", "hubspot", "nosuch"], ["No such entity of hubspot"]),
    ],
)
def test_wrong_use_is_exit_code_2(fake: type[Fake], words: list[str], says: list[str]) -> None:
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
def test_flags_of_one_vendor_reach_its_run(fake: type[Fake], flagged: None, words: str, config: dict[str, Any]) -> None:
    result = warehouse("sync", "callrail", *words.split())
    assert result.exit_code == 0, result.output
    assert fake.asked[0][2] == config
    assert ("--begin is deprecated; use --start-date" in result.stderr) == ("--begin" in words)


def test_the_legacy_flags_of_leadconduit_work_and_are_listed(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_flag_where_it_means_nothing_is_wrong_use(fake: type[Fake], flagged: None, words: str, says: str) -> None:
    result = warehouse("sync", *words.split())
    assert (result.exit_code, fake.asked) == (2, [])
    assert says in result.stderr


def test_missing_settings_are_named_at_once(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_sync_all_leaves_out_what_is_not_configured(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_the_exit_code_is_that_of_the_worst(fake: type[Fake], endings: dict[str, str], code: int) -> None:
    fake.endings = endings
    result = warehouse("sync", "all")
    assert result.exit_code == code
    assert len(fake.asked) == len(SOURCES)
    assert ("planted" in result.stdout) is bool(endings)


def test_no_outcome_at_all_is_a_failure() -> None:
    assert worst([]) == 1


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_figure_is_cut_off_however_narrow_the_terminal(width: int) -> None:
    outcome = Outcome(crm="hubspot", sync_type="contact_to_company_associations", status="success", created=1234567)
    console = Console(width=width, file=io.StringIO())
    report([outcome], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "contact_to_company_associations" in text
    assert "1,234,567" in text
    assert "…" not in text


def test_a_backfill_is_one_run_over_the_range(fake: type[Fake]) -> None:
    result = warehouse("backfill", "callrail", "calls", "--from", "2025-02-01", "--to", "2025-02-03")
    assert result.exit_code == 0, result.output
    ((_, _, config, (first, last)),) = fake.asked
    assert (str(first), str(last), config) == ("2025-02-01", "2025-02-03", {})


def test_json_is_all_there_is_on_standard_output(fake: type[Fake]) -> None:
    """So that a program can read it."""
    result = warehouse("sync", "callrail", "calls", "--dry-run", "--log-format", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["crm_source"], line["sync_type"], line["status"]) for line in lines] == [
        ("callrail", "calls", "success")
    ]


def test_every_entity_is_listed_with_its_transport() -> None:
    listed = json.loads(warehouse("entities", "list", "--format", "json").stdout)
    assert [(one["crm"], one["sync_type"]) for one in listed] == EVERY_ENTITY
    assert {one["transport"] for one in listed} <= {"api", "database", "file", "query"}
    assert EVERY_ENTITY[0][1] in warehouse("entities").stdout


PLANTED = "planted-5f1c2ab9"


def shown_config(*words: str) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    result = warehouse("config", *words, "--format", "json")
    assert PLANTED not in result.output
    found = json.loads(result.stdout)
    return {one["setting"]: (one["value"], one["from"]) for one in found["settings"]}, found["sizes"]


def test_config_show_prints_the_three_sizes() -> None:
    """A page, a chunk, and what is merged at a time, which is the chunk."""
    text = warehouse("config", "show").stdout
    for size in ("API page size", "hubspot 100", "callrail 250", "stream chunk", "load sub-batch", "5,000"):
        assert size in text
    _, sizes = shown_config("show")
    assert {name: sizes["api_page_size"][name] for name in (s.name for s in SOURCES)} == {
        source.name: source.page_size for source in SOURCES
    }
    assert sizes["api_page_size"]["hubspot contact_to_deal_associations"] == 1000
    assert (sizes["stream_chunk"], sizes["load_sub_batch"]) == (5000, 5000)


def test_config_show_tells_where_each_setting_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [f"HUBSPOT_ACCESS_TOKEN={PLANTED}", "hubspot_searches_per_second=3", "CALLRAIL_REQUESTS_PER_HOUR=1"]
    (tmp_path / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "")
    monkeypatch.delenv("CALLRAIL_API_KEY")
    monkeypatch.setenv("CALLRAIL_REQUESTS_PER_HOUR", "many")
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", f"postgresql://me:{PLANTED}@db.example:5432/w?password={PLANTED}")
    found, _ = shown_config()
    assert found["HUBSPOT_ACCESS_TOKEN"] == ("***", ".env")
    assert found["HUBSPOT_SEARCHES_PER_SECOND"] == ("3", ".env")
    assert found["HUBSPOT_REQUESTS_PER_DAY"] == ("650000", "default")
    assert found["CALLRAIL_API_KEY"] == ("", "missing")
    assert found["CALLRAIL_REQUESTS_PER_HOUR"] == ("many", "environment")
    assert found["WAREHOUSE_DATABASE_URL"] == ("postgresql://db.example:5432/w", "environment")
    assert found["WAREHOUSE_SAFETY_LIMIT"] == ("10000000", "default")
    every = {f"{s.settings.model_config['env_prefix']}{n}".upper() for s in SOURCES for n in s.settings.model_fields}
    assert every <= found.keys()
    for odd in (f"postgresql://me:{PLANTED}/x@host/db", f"postgresql://me:{PLANTED}@x@host/db", PLANTED):
        monkeypatch.setenv("WAREHOUSE_DATABASE_URL", odd)
        assert shown_config()[0]["WAREHOUSE_DATABASE_URL"] == ("***", "environment")


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


HEAVY = "dagster dlt pyarrow sqlalchemy alembic boto3 httpx phonenumbers"


@pytest.mark.parametrize("words", ["--version", "status", "check", "dead-letters list", "entities", "sync hubspot -h"])
def test_what_needs_no_dagster_does_not_wait_for_it(database_url: str, words: str) -> None:
    """Of each of these nothing is imported that takes a tenth of a second; no vendor is configured."""
    code = f"""
import sys
from pathlib import Path
from warehouse_pipelines import settings
from warehouse_pipelines.commands import cli
settings.env_file = lambda: Path("/none/.env")
try:
    cli.main.main({words.split()!r})
finally:
    print("HEAVY", [name for name in {HEAVY.split()!r} if name in sys.modules], file=sys.stderr)
"""
    environment = {name: value for name, value in os.environ.items() if "127.0.0.1:1" not in value}
    environment = {name: value for name, value in environment.items() if not value.startswith("planted")}
    environment["WAREHOUSE_DATABASE_URL"] = database_url
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    assert "HEAVY []" in done.stderr


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


@pytest.fixture(scope="module")
def dagster_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DAGSTER_HOME, which takes a second to prepare; each run in it has an id of its own."""
    return str(tmp_path_factory.mktemp("dagster"))


@contextlib.contextmanager
def served(names: Sequence[str], folder: str, patch: pytest.MonkeyPatch) -> Iterator[Simulators]:
    patch.setenv("DAGSTER_HOME", folder)
    with start(names, contacts=60) as simulators:
        for name, value in simulators.environment().items():
            patch.setenv(name, value)
        yield simulators


@pytest.fixture
def vendors(database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulators]:
    """HubSpot and CallRail, and an empty warehouse."""
    with served(("hubspot", "callrail"), dagster_folder, monkeypatch) as simulators:
        yield simulators


@pytest.fixture
def all_vendors(database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulators]:
    """All that this machine can simulate, and an empty warehouse."""
    with served(available(), dagster_folder, monkeypatch) as simulators:
        yield simulators


@pytest.fixture
def small_vendors(database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulators]:
    """Three CRMs with thirteen entities together, the others not configured, and an empty warehouse."""
    small = ("callrail", "leadconduit", "salesrabbit")
    for source in SOURCES:
        if source.name not in small:
            for field in source.settings.model_fields:
                monkeypatch.delenv(settings.setting_name(source.settings, field), raising=False)
    with served(small, dagster_folder, monkeypatch) as simulators:
        yield simulators


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def untouched(test_server: Server, template: str, dagster_folder: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A warehouse for dry runs, which may share it, and the settings by which it and the vendors are reached."""
    name = f"untouched_{uuid.uuid4().hex[:12]}"
    url = test_server.create_database(name, template=template)
    home = {"WAREHOUSE_DATABASE_URL": url, "DAGSTER_HOME": dagster_folder}
    with start({line.split()[0] for line in GUIDE_LINES} & set(available()), contacts=60) as simulators:
        yield url, {**home, **simulators.environment()}
    test_server.drop_database(name)


SLOW_LINE = pytest.mark.slow("the guide's other combinations of flags")


def first_with_each_flag(lines: Sequence[str]) -> list[Any]:
    """Return the lines; those whose CRM and flags, each by itself, were in one before are slow."""
    seen: set[str] = set()
    found: list[Any] = []
    for line in lines:
        crm, name, *words = line.split()
        new = {crm, "all" if name == "all" else "", *(word.partition("=")[0] for word in words)} - seen
        seen |= new
        found.append(line if new else pytest.param(line, marks=SLOW_LINE))
    return found


@pytest.mark.parametrize("line", first_with_each_flag([line for line in GUIDE_LINES if line.split()[0] in simulated()]))
def test_guide_examples_run(
    untouched: tuple[str, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Each example runs as a dry run, so that nothing is written; the history tells what it was taken for."""
    url, environment = untouched
    for setting, value in environment.items():
        monkeypatch.setenv(setting, value)
    ((before,),) = rows(url, "SELECT coalesce(max(id), 0) FROM orchestration.sync_history")
    crm, name, *_ = line.split()
    result = warehouse("sync", *line.split(), "--dry-run")
    assert result.exit_code == 0, result.output
    for old, new in RENAMED.items():
        if f"--{old}" in line:
            assert f"--{old} is deprecated; use --{new.replace('_', '-')}" in result.stderr
    (source,) = (source for source in SOURCES if source.name == crm)
    entities = [entity for entity in source.entities if name in (entity.name, "all")]
    ran = rows(
        url,
        "SELECT sync_type, status, configuration, records_processed FROM orchestration.sync_history"
        f" WHERE id > {before}",
    )
    assert {(sync_type, status) for sync_type, status, *_ in ran} == {(entity.name, "success") for entity in entities}
    wanted = config_of(line) | {"dry_run": True}
    wanted.pop("debug", None)
    for _, _, configuration, processed in ran:
        assert wanted.items() <= configuration.items()
        assert processed <= wanted.get("max_records", processed)
        assert processed or "-status=" in line  # the guide's statuses are nobody's
    for entity in entities:
        assert rows(url, f"SELECT count(*) FROM {entity.table}") == [(0,)]


LAST = (
    "SELECT status, records_processed, records_created, run_id FROM orchestration.sync_history ORDER BY id DESC LIMIT 1"
)


def test_a_sync_runs_the_job_of_the_ui_and_reports_the_history(vendors: Simulators, database_url: str) -> None:
    result = warehouse("sync", "hubspot", "contacts")
    assert result.exit_code == 0, result.output
    assert "strategy=full since=None" in result.stderr
    assert "dagster" not in result.stderr.lower()
    status, processed, created, run_id = rows(database_url, LAST)[0]
    assert (status, processed) == ("success", 60)
    assert " ".join(result.stdout.split()).find(f"contacts success {created}") > 0

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.job_name, run.is_success) == ("sync_hubspot_contacts", True)

    again = warehouse("sync", "hubspot", "contacts")
    assert again.exit_code == 0
    assert "strategy=delta" in again.stderr
    assert rows(database_url, LAST)[0][2] == 0


def test_all_crms_are_synced_side_by_side(small_vendors: Simulators, database_url: str) -> None:
    """All that are configured; the demo syncs the thirteen."""
    result = warehouse("sync", "all")
    assert result.exit_code == 0, result.output
    configured = [source for source in SOURCES if not source.missing_settings()]
    assert [source.name for source in configured] == ["callrail", "salesrabbit", "leadconduit"]
    ((runs, entities),) = rows(
        database_url,
        "SELECT count(DISTINCT run_id), count(*) FROM orchestration.sync_history WHERE status = 'success'",
    )
    assert (runs, entities) == (len(configured), sum(len(source.entities) for source in configured))
    together = """
        SELECT EXISTS (SELECT FROM orchestration.sync_history a JOIN orchestration.sync_history b
            ON a.crm_source < b.crm_source AND a.start_time < b.end_time AND b.start_time < a.end_time)
    """
    assert rows(database_url, together) == [(True,)]


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_died_is_the_failure_of_its_jobs(vendors: Simulators, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_processes, "_run_job", die)
    result = warehouse("sync", "all")
    assert result.exit_code == 1
    assert "its process died" in result.stdout


def test_a_limited_sync_leaves_the_cursor(vendors: Simulators, database_url: str) -> None:
    """What was left out is read by the next run."""
    assert warehouse("sync", "callrail", "calls", "--max-records", "25", "--batch-size", "10").exit_code in (0, 3)
    assert rows(database_url, LAST)[0][1] == 25
    assert rows(database_url, "SELECT configuration ->> 'cursor' FROM orchestration.sync_history") == [(None,)]


def test_a_dry_run_in_json_prints_json_lines_only(vendors: Simulators, database_url: str) -> None:
    """So that a program can read it."""
    result = warehouse("sync", "callrail", "calls", "--dry-run", "--log-format", "json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["stream"] for line in lines] == ["sync", "sync", "sync", "general"]
    assert lines[-1]["dry_run"] is True
    assert rows(database_url, "SELECT count(*) FROM callrail_call") == [(0,)]


def test_debug_prints_debug_lines(vendors: Simulators) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "sync", "callrail", "tags", "--dry-run", "--debug"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "DEBUG" in done.stderr


def test_all_goes_on_after_an_entity_failed(vendors: Simulators, database_url: str) -> None:
    vendors.control("callrail", "set_fault", kind="missing_list", path="tags.json")
    result = warehouse("sync", "callrail", "all")
    assert result.exit_code == 1, result.output
    found = dict(rows(database_url, "SELECT DISTINCT ON (sync_type) sync_type, status FROM orchestration.sync_history"))
    assert found.pop("tags") == "failed"
    assert set(found.values()) == {"success"}
    assert len(found) == 7
    assert "callrail tags failed" in result.stdout


def test_what_depends_on_a_failed_entity_is_named(vendors: Simulators, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "planted-wrong-token")
    result = warehouse("sync", "hubspot", "all")
    assert result.exit_code == 1
    assert "contact_to_deal_associations failed: not run, because what it is read from failed" in result.stdout
    assert "planted-wrong-token" not in result.output


def test_a_backfill_leaves_the_cursor(vendors: Simulators, database_url: str) -> None:
    today = datetime.now(UTC).date()
    days = ["--from", str(today - timedelta(days=3)), "--to", str(today - timedelta(days=1))]
    result = warehouse("backfill", "callrail", "calls", *days)
    assert result.exit_code == 0, result.output
    ((configuration,),) = rows(database_url, "SELECT configuration FROM orchestration.sync_history")
    assert configuration["mode"] == "backfill"
    assert configuration["cursor"] is None
    assert configuration["window_start"][:10] == str(today - timedelta(days=3))
    assert configuration["window_end"][:10] == str(today)


def test_check_asks_settings_database_and_vendors(all_vendors: Simulators, monkeypatch: pytest.MonkeyPatch) -> None:
    result = warehouse("check")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("database: PostgreSQL ")
    # What HubSpot's portal lacks is told below its line.
    assert len([line for line in result.stdout.splitlines() if not line.startswith("  ")]) == 1 + len(SOURCES)
    result = warehouse("check", "pipedesk")
    assert (result.exit_code, "schema pipedesk: as migrations make it" in result.stdout) == (0, True), result.output
    monkeypatch.setenv("CALLRAIL_API_KEY", "planted-wrong-key")
    assert warehouse("check").exit_code == 1
    monkeypatch.delenv("CALLRAIL_API_KEY")
    result = warehouse("check", "callrail")
    assert result.exit_code == 2
    assert "CALLRAIL_API_KEY" in result.stdout


def test_check_says_when_a_mirrored_source_could_not_be_loaded(
    all_vendors: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor answers, and the warehouse's own role lacks a right."""
    from warehouse_pipelines.loading import mirroring

    def refused(url: str, source: Any) -> None:
        raise mirroring.may_not_mirror(source)

    monkeypatch.setattr(mirroring, "check_mirroring", refused)
    result = warehouse("check", "pipedesk")
    assert result.exit_code == 1
    assert "GRANT SET ON PARAMETER session_replication_role" in result.stdout
    assert warehouse("check", "genius").exit_code == 0


def test_a_database_that_is_not_migrated_is_named(vendors: Simulators, test_server: Server) -> None:
    empty = test_server.create_database("not_migrated")
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("WAREHOUSE_DATABASE_URL", empty)
            result = warehouse("sync", "hubspot", "contacts")
            assert result.exit_code == 1
            assert "warehouse migrate" in result.stderr
            assert warehouse("check").exit_code == 1
            assert warehouse("migrate").exit_code == 0
            again = warehouse("migrate")
            assert (again.exit_code, again.stdout) == (0, "Nothing to do.\n")
            assert warehouse("migrate", "--down", "99").exit_code == 0
    finally:
        test_server.drop_database("not_migrated")


def test_a_database_that_is_away_ends_the_command_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "postgresql://ask:planted-password@127.0.0.1:1/none")
    for words in (["sync", "hubspot", "contacts"], ["status"], ["check"], ["replay"]):
        result = warehouse(*words)
        assert result.exit_code == 1, result.output
        assert "planted-password" not in result.output
        assert "Traceback" not in result.output


def test_replay_says_when_nothing_waits(vendors: Simulators) -> None:
    result = warehouse("replay", "hubspot", "contacts")
    assert (result.exit_code, result.stdout) == (0, "No dead letters are waiting.\n")


LETTERS = """
    INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage, rule,
        error_message, payload)
    VALUES (1, 'callrail', 'calls', 'CAL1', 'coerce', 'number', 'not a number', '{"customer_name": "Zoe Planted"}'),
        (1, 'callrail', 'calls', 'CAL2', 'coerce', 'number', 'not a number', '{"customer_name": "Zoe Planted"}'),
        (1, 'callrail', 'tags', 'TAG1', 'load', '22003', 'out of range', '{}')
"""


def test_dead_letters_are_listed_without_the_person_shown_with_it_and_waived_by_name(database_url: str) -> None:
    assert warehouse("dead-letters", "list").stdout == "There are none.\n"
    with psycopg.connect(database_url) as connection:
        connection.execute(LETTERS)
    for form in ("text", "json"):
        listed = warehouse("dead-letters", "list", "--crm", "callrail", "--format", form)
        assert listed.exit_code == 0, listed.output
        assert "number" in listed.stdout
        for personal in ("Planted", "CAL1"):
            assert personal not in listed.stdout
    assert len(json.loads(listed.stdout)) == 2
    ((first,), *_) = rows(database_url, "SELECT id FROM orchestration.dead_letter ORDER BY id")
    shown = warehouse("dead-letters", "show", str(first))
    assert "Zoe Planted" in shown.stdout
    assert "PERSONAL DATA" in warehouse("dead-letters", "show", "--help").stdout
    assert warehouse("dead-letters", "waive", str(first)).exit_code == 2, "not without a reason"
    assert warehouse("dead-letters", "waive", "--reason", "all of them").exit_code == 2
    assert warehouse("dead-letters", "waive", str(first), "--reason", " ").exit_code == 2
    assert warehouse("dead-letters", "waive", str(first), "--reason", "a test", "--by", "ann").stdout == "Waived 1.\n"
    again = warehouse("dead-letters", "waive", str(first), "--reason", "a test")
    assert (again.exit_code, "Not pending, or not there" in again.stderr) == (2, True)
    many = warehouse("dead-letters", "waive", "--crm", "callrail", "--rule", "number", "--reason", "tests")
    assert many.stdout == "Waived 1.\n", many.output
    assert rows(database_url, "SELECT status, waived_by, waive_reason FROM orchestration.dead_letter ORDER BY id") == [
        ("waived", "ann", "a test"), ("waived", getuser(), "tests"), ("pending", None, None),
    ]  # fmt: skip
    assert "22003" not in warehouse("dead-letters", "list", "--status", "waived").stdout
    assert "Pending in the dead letters: 1;" in warehouse("status").output


def test_an_interrupt_ends_the_sync_and_closes_its_row(vendors: Simulators, database_url: str) -> None:
    vendors.control("callrail", "set_fault", kind="slow", seconds=250, path="tags.json")
    child = subprocess.Popen(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "sync", "callrail", "tags"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "callrail tags: asking CallRail" in line:
            break
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=120)  # before the answer comes
    assert child.returncode == 130, out
    assert "Cancelled. 0 of 1 were done before. It was in the middle of callrail tags" in out
    ((status, run_id),) = rows(database_url, "SELECT status, run_id FROM orchestration.sync_history")
    assert status == "cancelled"

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.CANCELED
