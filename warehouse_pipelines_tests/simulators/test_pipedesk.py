"""The simulated PipeDesk speaks SQL and does what the vendor notes say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.pipedesk.database import PipeDeskSettings
from warehouse_pipelines.simulators.pipedesk.simulator import PipeDesk
from warehouse_pipelines.simulators.pipedesk.tables import TABLES
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import child_environment
from warehouse_pipelines_tests.conftest import missing


def opened(**settings: Any) -> PipeDesk:
    for what in lacking(["pipedesk"]).values():
        missing(what)
    vendor = PipeDesk(Population(1, 80), PipeDeskSettings(**{"contacts": 60, **settings}))
    vendor.listen("127.0.0.1", 0)
    return vendor


@pytest.fixture(scope="module")
def shared_pipedesk() -> Iterator[PipeDesk]:
    """For tests that change nothing."""
    vendor = opened()
    yield vendor
    vendor.close()


@pytest.fixture
def pipedesk() -> Iterator[PipeDesk]:
    vendor = opened()
    yield vendor
    vendor.close()


def client(vendor: PipeDesk, *, plain: bool = False) -> psycopg.Connection:
    url = vendor.plain_url if plain else vendor.environment()["PIPEDESK_DATABASE_URL"]
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def ask(vendor: PipeDesk, statement: str, *, plain: bool = False) -> list[Any]:
    with client(vendor, plain=plain) as connection:
        return connection.execute(statement).fetchall()


def refused(vendor: PipeDesk, statement: str, *, plain: bool = False) -> str | None:
    with pytest.raises(psycopg.Error) as error:
        ask(vendor, statement, plain=plain)
    return error.value.sqlstate or str(error.value)


def test_its_people_are_the_towns(shared_pipedesk: PipeDesk) -> None:
    population = Population(1, 80)
    told = [population.person(number).told("pipedesk") for number in range(1, 61)]
    found = ask(
        shared_pipedesk, "SELECT email, name, phone FROM contacts WHERE email IS NOT NULL AND phone IS NOT NULL"
    )
    assert len(found) > 30
    for email, name, phone in found:
        digits = "".join(filter(str.isdigit, phone))
        people = [one for one in told if one.email == email and one.phone[-10:] in digits]
        assert any(name.lower().endswith(one.last_name.lower()) for one in people)


def test_every_table_has_rows_and_the_habits_of_the_notes(shared_pipedesk: PipeDesk) -> None:
    for table in TABLES:
        assert ask(shared_pipedesk, f"SELECT count(*) FROM {table}") > [(1,)], table
    for condition in (
        "updated_at IS NULL",
        "qualified_at IS NOT NULL",
        "deleted_at IS NOT NULL AND qualified_at IS NULL",
    ):
        assert ask(shared_pipedesk, f"SELECT count(*) FROM leads WHERE {condition}") > [(0,)], condition
    (flags,) = ask(
        shared_pipedesk, "SELECT max(n) FROM (SELECT sum(is_primary::int) n FROM lead_contacts GROUP BY lead_id) f"
    )
    assert flags == (1,)
    assert ask(shared_pipedesk, "SELECT expected_volume::text FROM leads LIMIT 1")[0][0].endswith(
        ".1234567890123456789"
    )


def test_the_same_seed_gives_the_same_rows() -> None:
    one, other = opened(now=1_790_000_000.0), opened(now=1_790_000_000.0)
    try:
        for table in TABLES:
            order = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert ask(one, order) == ask(other, order)
    finally:
        one.close()
        other.close()


def test_row_level_security_filters_without_a_word(shared_pipedesk: PipeDesk) -> None:
    """What makes the source ask for row_security = off, which is then refused."""
    assert ask(shared_pipedesk, "SELECT count(*) FROM leads") == [(60,)]
    assert ask(shared_pipedesk, "SELECT count(*) FROM leads", plain=True) == [(0,)]
    assert ask(shared_pipedesk, "SELECT count(*) FROM users", plain=True) == [(12,)]
    with client(shared_pipedesk, plain=True) as connection:
        connection.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("SELECT count(*) FROM leads")


def test_the_role_reads_and_does_no_more(pipedesk: PipeDesk) -> None:
    assert refused(pipedesk, "UPDATE leads SET trade_name = 'x'") == "42501"
    pipedesk.revoke("leads")
    assert refused(pipedesk, "SELECT * FROM leads") == "42501"
    pipedesk.change_password("another")
    assert "password authentication failed" in str(refused(pipedesk, "SELECT 1"))


def test_qualifying_leaves_updated_at_as_it_is(pipedesk: PipeDesk) -> None:
    (lead, before), *_ = ask(
        pipedesk, "SELECT id::text, updated_at FROM leads WHERE qualified_at IS NULL AND deleted_at IS NULL"
    )
    pipedesk.qualify(lead, "Rivera Homes")
    said = (
        "SELECT l.updated_at, l.qualified_at IS NOT NULL, l.deleted_at IS NOT NULL, c.name, d.client_name FROM leads l"
    )
    joins = "JOIN companies c ON c.id = qualified_company_id JOIN master_deals d ON d.id = qualified_master_deal_id"
    assert ask(pipedesk, f"{said} {joins} WHERE l.id = '{lead}'") == [
        (before, True, True, "Rivera Homes", "Rivera Homes")
    ]
    pipedesk.configure(qualify_deletes=False)
    ((other,), *_) = ask(pipedesk, "SELECT id::text FROM leads WHERE qualified_at IS NULL AND deleted_at IS NULL")
    pipedesk.qualify(other)
    assert ask(pipedesk, f"SELECT deleted_at FROM leads WHERE id = '{other}'") == [(None,)]


def test_operations_change_what_is_read(pipedesk: PipeDesk) -> None:
    (key,) = pipedesk.create("leads", legal_name="Zoë & Co")
    same = f"SELECT legal_name FROM leads WHERE id = '{key}'"
    assert ask(pipedesk, same) == [("Zoë & Co",)]
    stamp = f"SELECT updated_at FROM leads WHERE id = '{key}'"
    before = ask(pipedesk, stamp)
    pipedesk.edit("leads", [key], touch=False, legal_name="Z")
    assert (ask(pipedesk, stamp), ask(pipedesk, same)) == (before, [("Z",)])
    pipedesk.edit("leads", [key], legal_name="Zo")
    assert ask(pipedesk, stamp) > before
    pipedesk.remove("leads", [key])
    assert [key] not in pipedesk.keys("leads")
    pipedesk.restore("leads", [key])
    assert ask(pipedesk, same) == [("Zo",)]
    linked, _ = pipedesk.keys("lead_contacts")[0]
    pipedesk.remove("leads", [linked], cascade=True)
    assert ask(pipedesk, f"SELECT count(*) FROM lead_contacts WHERE lead_id = '{linked}'") == [(0,)]
    pipedesk.many(500, at=1_750_000_000)
    assert ask(pipedesk, "SELECT count(*) FROM leads WHERE updated_at = to_timestamp(1750000000)") == [(500,)]
    pipedesk.add_column("leads", "mood", "text", "good")
    assert ask(pipedesk, "SELECT DISTINCT mood FROM leads") == [("good",)]


def test_a_late_commit_brings_an_older_time(pipedesk: PipeDesk) -> None:
    key = pipedesk.keys("leads")[0]
    transaction = pipedesk.begin("leads", key, trade_name="late", updated_at="2026-01-01T00:00:00Z")
    assert ask(pipedesk, "SELECT count(*) FROM leads WHERE trade_name = 'late'") == [(0,)]
    pipedesk.commit(transaction)
    assert ask(pipedesk, "SELECT updated_at < '2026-01-02' FROM leads WHERE trade_name = 'late'") == [(True,)]


def test_queries_are_counted_by_table_and_page(pipedesk: PipeDesk) -> None:
    with client(pipedesk) as connection, connection.transaction(), connection.cursor(name="some") as cursor:
        pipedesk.reset_counters()
        cursor.execute("SELECT id FROM public.leads")
        cursor.fetchmany(7)
        asked = pipedesk.requests()
    assert (asked["routes"]["QUERY /leads"], asked["page_sizes"]) == (2, {"7": 1})


@pytest.mark.parametrize(
    ("fault", "path", "said"),
    [
        ({"kind": "status"}, "/leads", "57014"),
        ({"kind": "status"}, "/connect", "starting up"),
        ({"kind": "rate_limit"}, "/connect", "too many clients"),
        ({"kind": "unauthorized"}, "/connect", "password authentication failed"),
        ({"kind": "reset"}, "/leads", ""),
        ({"kind": "truncated"}, "/leads", ""),
        ({"kind": "reset"}, "/connect", ""),
    ],
)
def test_faults_are_the_servers_errors(pipedesk: PipeDesk, fault: dict[str, Any], path: str, said: str) -> None:
    pipedesk.set_fault(path=path, times=1, **fault)
    assert said in str(refused(pipedesk, "SELECT * FROM leads"))
    assert len(ask(pipedesk, "SELECT * FROM leads")) == 60


def test_faults_without_a_counterpart_are_refused(shared_pipedesk: PipeDesk) -> None:
    for kind in ("html", "endless", "lying_total", "missing_list", "null_last_page"):
        with pytest.raises(ValueError, match="no counterpart"):
            shared_pipedesk.set_fault(kind)


def test_connections_end_when_they_are_killed(pipedesk: PipeDesk) -> None:
    with client(pipedesk) as connection:
        connection.execute("SELECT 1")
        assert pipedesk.kill_connections() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_ids_may_be_text_and_users_may_be_profiles() -> None:
    """Neither is known of the real database."""
    vendor = opened(text_ids=True, profiles=True)
    try:
        assert vendor.types("leads")["id"] == vendor.types("lead_tags")["tag_id"] == "text"
        assert (vendor.types("users"), list(vendor.types("profiles"))) == ({}, ["id", "name"])
        vendor.qualify(vendor.keys("leads")[0][0])
        assert len(vendor.create("lead_contacts")) == 2
    finally:
        vendor.close()


@pytest.mark.slow("a program of its own, which is killed")
def test_the_server_ends_with_its_process() -> None:
    for what in lacking(["pipedesk"]).values():
        missing(what)
    program = (
        "import time\n"
        "from warehouse_pipelines.local.postgres_data import DataFolder\n"
        "from warehouse_pipelines.simulators.pipedesk import postgresql\n"
        "it = postgresql.cluster().server\n"
        "print(DataFolder(it.home).pid(), it.home, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment())
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
