"""The simulated Genius speaks SQL and does what the vendor notes say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from pymysql.cursors import SSCursor

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.genius.database import GeniusSettings
from warehouse_pipelines.simulators.genius.simulator import Genius
from warehouse_pipelines.simulators.genius.tables import TABLES
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import child_environment
from warehouse_pipelines_tests.conftest import missing


def opened(**settings: Any) -> Genius:
    for what in lacking(["genius"]).values():
        missing(what)
    vendor = Genius(Population(1, 80), GeniusSettings(**{"contacts": 60, **settings}))
    vendor.listen("127.0.0.1", 0)
    return vendor


@pytest.fixture(scope="module")
def shared_genius() -> Iterator[Genius]:
    """For tests that change nothing."""
    vendor = opened()
    yield vendor
    vendor.close()


@pytest.fixture
def genius() -> Iterator[Genius]:
    vendor = opened()
    yield vendor
    vendor.close()


def client(vendor: Genius, **options: Any) -> Any:
    url = sa.make_url(vendor.environment()["GENIUS_DATABASE_URL"])
    _, given = url.get_dialect()().create_connect_args(url)
    return pymysql.connect(**{**given, "autocommit": True, "charset": "utf8mb4", **options})


def ask(vendor: Genius, statement: str, **options: Any) -> list[Any]:
    with client(vendor, **options) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def refused(vendor: Genius, statement: str, **options: Any) -> int:
    with pytest.raises(pymysql.MySQLError) as error:
        ask(vendor, statement, **options)
    return int(error.value.args[0])


def test_its_people_are_the_towns(shared_genius: Genius) -> None:
    population = Population(1, 80)
    for number, phone, first in ask(shared_genius, "SELECT lead_id, phone1, first_name FROM `lead`"):
        person = population.person(number).told("genius lead")
        assert person.phone[-10:] in "".join(filter(str.isdigit, phone))
        assert first == person.nickname
    assert ask(shared_genius, "SELECT count(*) FROM `lead`") == [(60,)]


def test_every_table_has_rows_and_the_habits_of_the_notes(shared_genius: Genius) -> None:
    for table in TABLES:
        assert ask(shared_genius, f"SELECT count(*) FROM `{table}`") > [(1,)], table
    habits = {
        "updated_at IS NULL": "lead",
        "CAST(end_date AS char) = '0000-00-00'": "marketing_source",
        "duration > '24:00:00'": "appointment",
        "carpentry_followup_notes LIKE 'Fenêtre%'": "lead",
    }
    for condition, table in habits.items():
        assert ask(shared_genius, f"SELECT count(*) FROM `{table}` WHERE {condition}") > [(0,)], condition
    assert ask(shared_genius, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'contact'") == [(0,)]


def test_the_same_seed_gives_the_same_rows(shared_genius: Genius) -> None:
    now = 1_790_000_000.0
    one, other = opened(now=now), opened(now=now)
    try:
        for table in TABLES:
            order = f"SELECT * FROM `{table}` ORDER BY 1, 2"
            assert ask(one, order) == ask(other, order)
    finally:
        one.close()
        other.close()


def test_the_account_reads_and_does_no_more(genius: Genius) -> None:
    assert refused(genius, "UPDATE `lead` SET status = 1") == 1142
    assert refused(genius, "SELECT * FROM mysql.user") == 1142
    genius.revoke("lead")
    assert refused(genius, "SELECT * FROM `lead`") == 1142
    assert ask(genius, "SELECT count(*) FROM prospect") == [(40,)]
    genius.grant("lead")
    assert ask(genius, "SELECT count(*) FROM `lead`") == [(60,)]
    genius.change_password("another")
    assert refused(genius, "SELECT 1") == 1045


def test_operations_change_what_is_read(genius: Genius) -> None:
    (key,) = genius.create("lead", touched=False, first_name="Zoë")
    assert ask(genius, f"SELECT first_name, updated_at FROM `lead` WHERE lead_id = {key}") == [("Zoë", None)]
    genius.edit("lead", [key], touch=False, first_name="Zo")
    assert ask(genius, f"SELECT first_name, updated_at FROM `lead` WHERE lead_id = {key}") == [("Zo", None)]
    genius.edit("lead", [key], first_name="Z")
    assert ask(genius, f"SELECT updated_at IS NULL FROM `lead` WHERE lead_id = {key}") == [(0,)]
    before = ask(genius, f"SELECT * FROM `lead` WHERE lead_id = {key}")
    genius.remove("lead", [key])
    assert [key] not in genius.keys("lead")
    genius.restore("lead", [key])
    assert ask(genius, f"SELECT * FROM `lead` WHERE lead_id = {key}") == before
    genius.many("job_change_order", 500, at="2026-01-01 00:00:00")
    same = "SELECT count(*), count(DISTINCT updated_at) FROM job_change_order WHERE updated_at = '2026-01-01 00:00:00'"
    assert ask(genius, same) == [(500, 1)]
    genius.empty("quote")
    assert ask(genius, "SELECT count(*) FROM quote") == [(0,)]


def test_a_late_commit_brings_an_older_time(genius: Genius) -> None:
    transaction = genius.begin("quote", [1], label="late", updated_at="2026-01-01 00:00:00")
    assert ask(genius, "SELECT count(*) FROM quote WHERE label = 'late'") == [(0,)]
    genius.commit(transaction)
    assert ask(genius, "SELECT label, CAST(updated_at AS char) FROM quote WHERE id = 1") == [
        ("late", "2026-01-01 00:00:00")
    ]


def test_queries_are_counted_by_table_and_page(genius: Genius) -> None:
    genius.reset_counters()
    ask(genius, "SELECT `id` FROM `quote` t ORDER BY id LIMIT 7")
    asked = genius.requests()
    assert (asked["routes"]["QUERY /quote"], asked["page_sizes"]) == (1, {"7": 1})
    assert "LIMIT 7" in asked["log"][-1]["body"]


@pytest.mark.parametrize(
    ("fault", "number"),
    [({"kind": "rate_limit"}, 1226), ({"kind": "status"}, 1205), ({"kind": "status", "status": 3024}, 3024),
     ({"kind": "unauthorized"}, 1045), ({"kind": "reset"}, 2013), ({"kind": "truncated"}, 2013)],
)  # fmt: skip
def test_faults_are_the_servers_errors(genius: Genius, fault: dict[str, Any], number: int) -> None:
    genius.set_fault(path="/quote", times=1, **fault)
    assert refused(genius, "SELECT * FROM `quote`", cursorclass=SSCursor) == number
    assert len(ask(genius, "SELECT * FROM `quote`")) == 20
    assert ask(genius, "SELECT count(*) FROM `job`") == [(15,)]


def test_faults_without_a_counterpart_are_refused(shared_genius: Genius) -> None:
    for kind in ("html", "endless", "lying_total", "missing_list", "null_last_page"):
        with pytest.raises(ValueError, match="no counterpart"):
            shared_genius.set_fault(kind)


def test_connections_end_when_they_are_killed(genius: Genius) -> None:
    with client(genius) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert genius.kill_connections() == 1
        with pytest.raises(pymysql.err.OperationalError, match=r"2006|2013"):
            cursor.execute("SELECT 1")


@pytest.mark.slow("a program of its own, which is killed")
def test_the_server_ends_with_its_process() -> None:
    for what in lacking(["genius"]).values():
        missing(what)
    program = (
        "import sys, time\n"
        "from warehouse_pipelines.simulators.genius import mariadb\n"
        "it = mariadb.server('UTC')\n"
        "print((it._folder / 'pid').read_text().strip(), it._folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    assert child.stdout is not None
    pid, folder = child.stdout.readline().split()
    os.kill(int(pid), 0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 20
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
