"""The demo, after one that loaded a part, and what it refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from warehouse_pipelines import running, warehouse
from warehouse_pipelines.commands import demo, job_processes
from warehouse_pipelines.errors import ActionNeeded
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.registry import available, lacking
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.browser import ask
from warehouse_pipelines_tests.harness.visitors import Browser

CONTACTS = "20"

OF_ONE_CRM = """
import sys

from warehouse_pipelines.commands import cli, demo, job_processes
from warehouse_pipelines.commands.outcome import worst

demo._sync = lambda url: worst(job_processes.run_jobs([("leadconduit", "all")], url=url))
demo._unify = demo._write_back = lambda url: 0
cli.main(sys.argv[1:])
"""
"""A demo that ends after the first CRM; the other steps find what a demo leaves, not what was loaded."""


@dataclass(frozen=True)
class Demo:
    """Two demos in one warehouse, first of one CRM, then of all with the UI; ``said`` is what each printed."""

    url: str
    home: Path
    address: str
    environment: Mapping[str, str]
    said: list["subprocess.CompletedProcess[str]"] = field(default_factory=list)
    alive: list[bool] = field(default_factory=list)
    """Whether the simulators went on after each."""
    command: Sequence[str] = ("-m", "warehouse_pipelines.commands.cli")

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run ``warehouse demo`` with these words."""
        return subprocess.run(
            [sys.executable, *self.command, "demo", *words],
            env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip


@pytest.fixture(scope="module")
def twice(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Both, on Dagster's storage as it is by default, beside the warehouse."""
    home = tmp_path_factory.mktemp("demo")
    name = f"demo_{uuid.uuid4().hex[:12]}"
    given = {
        f"{source.settings.model_config['env_prefix']}{setting}".upper()
        for source in SOURCES
        for setting in source.settings.model_fields
    }
    kept = {setting: value for setting, value in os.environ.items() if not setting.startswith("DAGSTER_")}
    environment = {setting: value for setting, value in kept.items() if setting not in given}
    environment |= {"WAREHOUSE_HOME": str(home), "WAREHOUSE_DATABASE_URL": test_server.url(name)}
    with socket.socket() as free, socket.socket() as taken:
        free.bind(("127.0.0.1", 0))
        taken.bind(("127.0.0.1", 0))
        port, serve_port = (str(one.getsockname()[1]) for one in (free, taken))
    url = test_server.create_database(name, template=template)
    made = Demo(url, home, f"http://127.0.0.1:{port}", environment)
    try:
        ui = ("--ui", "--port", port, "--serve-port", serve_port)
        for one, words in ((replace(made, command=("-c", OF_ONE_CRM)), ()), (made, ui)):
            made.said.append(one.run("--contacts", CONTACTS, *words))
            made.alive.append(running.alive(home, "simulators"))
        yield made
    finally:
        running.stop(home)
        for database in (name, f"{name}_dagster"):
            test_server.drop_database(database)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow("a program of its own, which is killed")
def test_who_is_who_whose_process_died_is_an_error_in_one_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job_processes, "_execute", die)
    assert demo._unify(database_url) == 1
    said = capsys.readouterr().err
    assert said.startswith("unify failed: its process died")
    assert "Traceback" not in said


def test_a_plan_is_shown_applied_verified_and_undone(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with start(["hubspot"], contacts=20) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        hubspot = simulators.of(HubSpot)
        with warehouse.session(database_url) as session:
            session.execute(
                "INSERT INTO genius_division (id, label, raw_data)"
                " SELECT i, 'Branch ' || i, '{}' FROM generate_series(1, 3) AS i"
            )
        before = hubspot.counts()["live"]
        for _ in range(2):
            assert demo._write_back(database_url) == 0
            said = capsys.readouterr().out
            assert "hubspot_divisions: 3 to create, 0 to update" in said
            assert "division_name: - -> Branch 1" in said
            assert "Applied: 3 written, 0 unchanged; read back, 3 of 3 hold. Undone: 3 written" in said
            assert hubspot.counts()["live"] == before


@pytest.mark.slow("the whole demo")
@pytest.mark.timeout(900)
def test_the_demo_loads_every_entity_also_after_one_that_ended_early(twice: Demo) -> None:
    here = [source for source in SOURCES if source.name in available()]
    assert twice.alive == [True, True]
    for done in twice.said:
        assert done.returncode == 0, done.stdout + done.stderr
        assert [name for name in lacking() if f"{name}, because this machine lacks" not in done.stderr] == []
        assert "./run psql" in done.stdout
        assert twice.url.split(":")[2].split("@", maxsplit=1)[0] not in done.stdout + done.stderr, "the password"
    said = twice.said[-1].stdout
    for source in here:
        for entity in source.entities:
            assert f"{source.name} {entity.name} " in said
    assert re.search(r"Plan \d+ of hubspot_divisions: .*Applied: .* hold\. Undone: ", said, re.DOTALL)
    with psycopg.connect(twice.url) as connection:
        rows = connection.execute(
            "SELECT crm_source, count(*), count(*) FILTER (WHERE status = 'success'),"
            " count(*) FILTER (WHERE configuration ->> 'mode' = 'delta') > 0 FROM orchestration.sync_history GROUP BY 1"
        ).fetchall()
    entities = {source.name: len(source.entities) * (1 + (source.name == "leadconduit")) for source in here}
    assert {crm: (runs, good) for crm, runs, good, _ in rows} == {crm: (n, n) for crm, n in entities.items()}
    assert [crm for crm, _, _, deltas in rows if deltas] == ["leadconduit"], "the second loads what changed"


SHOWN = """
query {
    runsOrError { ... on Runs { results { jobName status } } }
    assetNodeOrError(assetKey: {path: ["callrail_tag"]}) { ... on AssetNode {
        assetMaterializations(limit: 1) { metadataEntries { label } }
        assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
    } }
}
"""


@pytest.mark.slow("the whole demo")
@pytest.mark.timeout(900)
def test_the_ui_of_the_demo_shows_its_runs_assets_and_checks(twice: Demo) -> None:
    """As its pages ask for them; how these show them is what ``orchestration/test_ui.py`` looks at in a browser."""
    assert twice.address in twice.said[-1].stdout
    shown = ask(twice.address, SHOWN)
    runs = {(run["jobName"], run["status"]) for run in shown["runsOrError"]["results"]}
    assert {("unify", "SUCCESS"), ("sync_callrail_all", "SUCCESS")} <= runs
    asset = shown["assetNodeOrError"]
    [materialized] = asset["assetMaterializations"]
    assert "sync_history_id" in {entry["label"] for entry in materialized["metadataEntries"]}
    checks = asset["assetChecksOrError"]["checks"]
    assert "SUCCEEDED" in {(check["executionForLatestMaterialization"] or {}).get("status") for check in checks}


@pytest.mark.slow("the whole demo")
def test_the_demo_says_how_to_sign_in_to_the_pages(twice: Demo) -> None:
    said = re.search(r"pages: +(\S+)\n.*as demo with the password (\S+),", twice.said[-1].stdout)
    assert said
    browser = Browser(said[1])
    assert browser.login("demo", said[2]).status_code == 303
    page = browser.get("/").text
    assert "entities are healthy" in page or "entities of" in page
    assert f"{twice.address}/runs" in page, "and the way into Dagster"


@pytest.mark.slow("the whole demo")
def test_the_demo_is_stopped(twice: Demo) -> None:
    stopped = twice.run("--stop").stdout
    assert "ui" in stopped
    assert "serve" in stopped
    assert not running.alive(twice.home, "simulators")


@pytest.mark.slow("the same in other circumstances")
def test_the_pages_of_the_demo_are_served_and_each_demo_makes_another_password(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_folder", lambda: tmp_path)
    began: list[subprocess.Popen[bytes]] = []
    detached = demo._detached

    def kept(name: str, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
        began.append(detached(name, command, log))
        return began[-1]

    monkeypatch.setattr(demo, "_detached", kept)
    for name in (
        "WAREHOUSE_SERVE_HOST",
        "WAREHOUSE_SERVE_PORT",
        "WAREHOUSE_DAGSTER_API_URL",
        "WAREHOUSE_DAGSTER_PUBLIC_URL",
    ):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", database_url)
    first, second = demo._sign_in(database_url), demo._sign_in(database_url)
    passwords = [said.split("password ")[1].partition(",")[0] for said in (first, second)]
    assert len({*passwords}) == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = demo._serve(taken.getsockname()[1], "http://127.0.0.1:1")
    try:
        assert urlsplit(address).hostname == "127.0.0.1"
        browser = Browser(address)
        assert [browser.login("demo", word).status_code for word in passwords] == [401, 303]
        assert browser.get("/").status_code == 200
    finally:
        assert running.stop(tmp_path) == ["serve"]
        began[0].wait()
    assert demo._sign_in("postgresql://a@db.example.test/x") == "./run users add NAME --role admin"


def test_the_demo_refuses_a_warehouse_that_may_hold_real_people(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_vendors", lambda: ["https://api.hubapi.com"])
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", database_url)
    demo._claim(database_url)  # empty, so it becomes the demo's
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time)"
            " VALUES ('hubspot', 'contacts', now())"
        )
    migrate(database_url)
    demo._claim(database_url)  # as it is still marked
    with psycopg.connect(database_url) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(database))
    with pytest.raises(ActionNeeded, match="not the demo's") as refused:
        demo._claim(database_url)
    password = database_url.split(":")[2].split("@", maxsplit=1)[0]
    assert password not in str(refused.value)
    monkeypatch.setattr(demo, "_vendors", list)
    with pytest.raises(ActionNeeded, match="not the demo's"):
        demo._claim(database_url)
    monkeypatch.setattr(demo, "_vendors", lambda: ["http://127.0.0.1:9000"])
    demo._claim(database_url)
