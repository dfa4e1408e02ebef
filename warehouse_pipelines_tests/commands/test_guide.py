"""Every example of the guide to the commands: understood as what it says, and run."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.simulators.registry import available, simulated
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.command_line import FakeJobs, rows, warehouse

pytestmark = pytest.mark.usefixtures("configured")


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


@pytest.mark.parametrize("line", GUIDE_LINES)
def test_guide_examples(fake: type[FakeJobs], line: str) -> None:
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


def to_run(lines: Sequence[str]) -> list[Any]:
    """Return one line of each combination of flags, with those whose CRM or a flag was in none before.

    All but the latter are slow. A log that says more makes no other combination, and all are dry runs.
    """
    seen: set[str] = set()
    combinations: set[frozenset[str]] = set()
    found: list[Any] = []
    for line in lines:
        crm, name, *words = line.split()
        given = {word.removeprefix("--").partition("=")[0] for word in words}
        new = {crm, "all" if name == "all" else "", *given} - seen
        seen |= new
        combination = frozenset({RENAMED.get(one, one.replace("-", "_")) for one in given} - {"debug", "dry_run"})
        if new:
            found.append(line)
        elif combination not in combinations:
            found.append(pytest.param(line, marks=SLOW_LINE))
        combinations.add(combination)
    return found


@pytest.mark.parametrize("line", to_run([line for line in GUIDE_LINES if line.split()[0] in simulated()]))
def test_guide_examples_run(
    untouched: tuple[str, Mapping[str, str]], one_run: None, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """As a dry run, so that nothing is written; the history tells what it was taken for."""
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
