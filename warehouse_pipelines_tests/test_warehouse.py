"""Sessions of the warehouse: kept between callers, clean, alive, and of this process only."""

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.loading.transaction import Transaction
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness.subprocesses import eventually

AWAY = "postgresql://somebody:s3cret@127.0.0.1:1/none"


@pytest.fixture
def url(bare_url: str) -> Iterator[str]:
    warehouse.close_kept()
    yield bare_url
    warehouse.close_kept()


def lent(url: str) -> int:
    """Return the process id of the server's side of the next session that is lent."""
    with warehouse.session(url) as session:
        return session.info.backend_pid


def test_a_session_is_lent_again(url: str) -> None:
    assert lent(url) == lent(url)
    with warehouse.session(url) as one, warehouse.session(url) as other:
        assert one is not other
        assert lent(url) not in (one.info.backend_pid, other.info.backend_pid)


def test_no_more_are_kept_than_a_run_needs(url: str) -> None:
    with contextlib.ExitStack() as borrowed:
        for _ in range(warehouse.KEPT + 2):
            borrowed.enter_context(warehouse.session(url))
    assert len(warehouse._kept[url]) == warehouse.KEPT


def test_a_session_comes_back_clean(url: str) -> None:
    """Nothing that one borrower did to it reaches the next: locks, settings, roles, temporary tables."""
    with warehouse.session(url) as session:
        pid = session.info.backend_pid
        session.execute("SELECT pg_advisory_lock(42)")
        session.execute("SET lock_timeout = '5s'")
        session.execute("SET ROLE pg_monitor")
        session.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
        session.execute("RESET ROLE")
    with psycopg.connect(url) as other:
        assert other.execute("SELECT pg_try_advisory_lock(42)").fetchone() == (True,)
    with warehouse.session(url) as session:
        row = session.execute(
            "SELECT pg_backend_pid() AS pid, current_setting('lock_timeout') AS timeout, "
            "current_setting('TimeZone') AS zone, to_regclass('mine') AS mine, current_user = session_user AS own"
        ).fetchone()
    assert row == {"pid": pid, "timeout": "0", "zone": "UTC", "mine": None, "own": True}


def test_a_session_that_failed_or_is_in_a_transaction_is_not_kept(url: str) -> None:
    with pytest.raises(KeyboardInterrupt), warehouse.session(url) as failed:
        raise KeyboardInterrupt
    assert failed.closed
    with warehouse.session(url) as open_:
        open_.execute("BEGIN")
    assert open_.closed
    assert url not in warehouse._kept


def test_an_interrupt_within_a_statement_is_raised_and_the_lock_is_free(url: str) -> None:
    """The signal comes between the statement and its answer, and the session takes no other one then."""

    def is_interrupted() -> None:
        with warehouse.session(url) as session, warehouse.try_lock(session, "one"):
            session.pgconn.send_query(b"SELECT 1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        is_interrupted()

    def is_free() -> bool:
        with warehouse.session(url) as other, warehouse.try_lock(other, "one") as free:
            return free

    eventually(is_free, "the server ends the session")


def test_a_session_is_not_closed_while_another_thread_is_in_a_statement_of_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread went on with the memory of the next session, which then waited in vain until it gave up."""
    states: list[TransactionStatus] = []
    close, raised = psycopg.Connection.close, queue.SimpleQueue[Exception]()

    def noted(session: psycopg.Connection) -> None:
        states.append(session.info.transaction_status)
        close(session)

    def wait(session: psycopg.Connection[Any]) -> None:
        try:
            session.execute("SELECT pg_sleep(30)")
        except psycopg.Error as error:
            raised.put(error)

    monkeypatch.setattr(psycopg.Connection, "close", noted)

    def interrupted() -> None:
        with warehouse.session(url) as session:
            threading.Thread(target=wait, args=[session], daemon=True).start()
            eventually(lambda: session.info.transaction_status == TransactionStatus.ACTIVE, "the thread waits")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert isinstance(raised.get(timeout=10), psycopg.OperationalError)
    assert states == [TransactionStatus.UNKNOWN], "the thread has left it"
    assert lent(url)


def test_a_dead_session_is_not_lent(url: str) -> None:
    """As after a restart of the server: what was kept is closed, and a new one is opened without a word."""
    pid = lent(url)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert lent(url) != pid


def test_a_session_that_nobody_borrowed_for_long_is_closed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = lent(url)
    monkeypatch.setattr(warehouse, "IDLE_SECONDS", 0.0)
    assert lent(url) != pid


def test_the_sessions_of_one_warehouse_are_kept(url: str, database_url: str) -> None:
    lent(url)
    lent(database_url)
    assert [*warehouse._kept] == [database_url]


def test_threads_never_share_a_session(url: str) -> None:
    held: set[int] = set()
    shared: list[int] = []

    def borrow() -> None:
        for _ in range(20):
            with warehouse.session(url) as session:
                pid = session.info.backend_pid
                if pid in held:
                    shared.append(pid)
                held.add(pid)
                session.execute("SELECT")
                held.discard(pid)

    threads = [threading.Thread(target=borrow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not shared


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside threads, which is what is tried here
def test_a_forked_child_opens_its_own(url: str) -> None:
    pid = lent(url)
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(write, str(lent(url)).encode())
        finally:
            warehouse.close_kept()
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(read, 100)) != pid
    assert lent(url) == pid, "the child has not ended the parent's session"


def connect(url: str, way: str) -> None:
    if way == "engine":
        engine(url).connect()
    elif way == "session":
        lent(url)
    else:
        warehouse.connect(url)


@pytest.mark.parametrize("way", ["connect", "session", "engine"])
def test_a_warehouse_that_is_away_is_said_once_and_alike(way: str) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        connect(AWAY, way)
    said = str(raised.value)
    assert said.startswith("cannot connect to the warehouse: ")
    assert said.endswith("Is PostgreSQL up, is WAREHOUSE_DATABASE_URL right?")
    assert "s3cret" not in said


@pytest.mark.parametrize("way", ["connect", "load"])
def test_who_gets_no_more_sessions_is_told_what_to_do(bare_url: str, way: str) -> None:
    with psycopg.connect(bare_url, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE has_one LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
        url = re.sub(r"//[^@]*@", "//has_one:x@", bare_url)
        try:
            with warehouse.connect(url), pytest.raises(DatabaseUnavailable) as raised:
                warehouse.connect(url) if way == "connect" else Transaction(url, "store_thing")
        finally:
            administrator.execute("DROP ROLE has_one")
    said = str(raised.value)
    assert said.startswith("cannot connect to the warehouse: ")
    assert 'too many connections for role "has_one". PostgreSQL allows no more sessions: set WAREHOUSE_PARTS_' in said


@pytest.mark.parametrize("said", ["sorry, too many clients already", "remaining connection slots are reserved for x"])
def test_a_full_server_is_recognized_by_its_sentence(said: str) -> None:
    """libpq tells no SQLSTATE of a connection that was refused."""
    assert "PostgreSQL allows no more sessions" in str(warehouse.unavailable(psycopg.OperationalError(said)))
    assert "Is PostgreSQL up" in str(warehouse.unavailable(psycopg.OperationalError("timeout expired")))


def test_the_parameters_of_a_session_go_into_a_url(url: str) -> None:
    for given in (url, f"{url}?sslmode=prefer"):
        with psycopg.connect(warehouse.with_parameters(given, "a-name")) as connection:
            row = connection.execute(
                "SELECT current_setting('application_name'), current_setting('TimeZone'), "
                "current_setting('tcp_keepalives_idle')"
            ).fetchone()
        assert row == ("a-name", "UTC", "60")


def test_a_value_is_the_one_column_of_the_first_row(url: str) -> None:
    with warehouse.session(url) as session:
        assert warehouse.value(session, "SELECT %s + 1", [1]) == 2
        assert warehouse.value(session, "SELECT NULL") is None
        assert warehouse.value(session, "SELECT 1 WHERE false") is None
        with pytest.raises(ValueError, match="too many values"):
            warehouse.value(session, "SELECT 1 AS one, 2 AS two")


def test_a_table_is_found_by_its_name(url: str) -> None:
    with warehouse.session(url) as session:
        assert warehouse.has_table(session, "pg_catalog.pg_class")
        assert warehouse.has_table(session, '"pg_catalog"."pg_class"')
        assert not warehouse.has_table(session, "pg_catalog.nothing")
        assert not warehouse.has_table(session, "nowhere.pg_class")


@pytest.mark.slow("a program of its own, which is killed")
def test_a_statement_ends_soon_after_its_client_was_killed(url: str) -> None:
    """Its locks with it: a killed run must not keep the next one waiting until the statement is done."""
    program = (
        "import sys; from warehouse_pipelines import warehouse\n"
        "warehouse.connect(sys.argv[1]).execute('SELECT pg_advisory_lock(77), pg_sleep(600)')"
    )
    client = subprocess.Popen([sys.executable, "-c", program, url])
    with warehouse.session(url) as session:

        def is_held() -> bool:
            row = session.execute("SELECT pg_try_advisory_lock(77) AS free, pg_advisory_unlock_all()").fetchone()
            return row is not None and not row["free"]

        try:
            eventually(is_held, "the client holds its lock")
        finally:
            client.kill()
            client.wait()
        eventually(lambda: not is_held(), "the killed client's statement has ended", seconds=60)
