"""The embedded server: found, started once by many, stopped, killed, of the wrong version, as root."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from warehouse_pipelines import settings
from warehouse_pipelines.errors import DatabaseUnavailable, NotConfigured
from warehouse_pipelines.local import postgres, postgres_programs
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_data import DataFolder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about root, and these tests run as another account")


def rows(server: Server) -> list[int]:
    with server.connect() as connection:
        return [i for (i,) in connection.execute("SELECT i FROM t ORDER BY i").fetchall()]


def fill(server: Server) -> None:
    with server.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")


@pytest.mark.slow("programs of their own")
def test_a_server_starts_stops_and_starts_again_at_the_same_address(server: Server) -> None:
    url = server.start()
    assert url == server.start()
    fill(server)
    assert postgres.running(server.home)
    assert postgres.down(server.home)
    assert not postgres.running(server.home)
    assert not postgres.down(server.home)
    assert postgres.up(server.home) == url
    assert rows(server) == [*range(1, 1001)]


@pytest.mark.parametrize(
    "how", ["kill", pytest.param("immediate", marks=pytest.mark.slow("a server of its own, which is stopped"))]
)
def test_rows_survive_a_crash(server: Server, how: str) -> None:
    url = server.start()
    fill(server)
    assert server.kill() if how == "kill" else server.stop("immediate")
    assert not server.running()
    assert server.start() == url
    assert rows(server) == [*range(1, 1001)]


@pytest.mark.slow("programs of their own")
def test_three_at_once_give_one_server(new_server: Server) -> None:
    program = "import sys; from pathlib import Path; from warehouse_pipelines.local import postgres; "
    program += "print(postgres.up(Path(sys.argv[1])))"

    def up(_: int) -> str:
        command = [sys.executable, "-c", program, str(new_server.home)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(3) as pool:
        assert len({*pool.map(up, range(3))}) == 1
    # Each of the three has ended, and the server is still there.
    assert new_server.running()
    assert new_server.log.read_text().count("starting PostgreSQL") == 1


def test_a_pid_file_with_the_number_of_another_program_is_no_server(server: Server) -> None:
    """In a container that is started again, the old number soon belongs to something else."""
    server.start()
    fill(server)
    pid_file = server.data / "postmaster.pid"
    left = pid_file.read_text().split("\n", 1)[1]
    server.kill()
    pid_file.write_text(f"{os.getpid()}\n{left}")
    assert not server.running()
    assert not server.stop()
    server.start()
    assert len(rows(server)) == 1000


def test_another_server_at_the_port_is_not_taken_for_ours(server: Server, test_server: Server) -> None:
    server.start()
    server.stop()
    (server.home / "postgres.port").write_text(re.findall(r":(\d+)/", test_server.url())[0])
    assert not server.running()
    assert server.start() != test_server.url()


def test_data_of_another_major_version_are_left_alone(server: Server) -> None:
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(NotConfigured, match=r"are of PostgreSQL 12, and .* is PostgreSQL \d\d.*PG_BIN.*mv '") as caught:
        server.start()
    assert "Nothing was changed" in str(caught.value)
    assert (server.data / "base").is_dir()


@pytest.mark.slow("the same in other circumstances")
def test_an_interrupted_initdb_is_begun_again(new_server: Server) -> None:
    new_server.home.mkdir()
    (new_server.home / "postgres.unfinished").mkdir()
    (new_server.home / "postgres.unfinished" / "PG_VERSION").touch()
    new_server.start()
    assert not (new_server.home / "postgres.unfinished").exists()


def test_what_the_server_said_is_in_the_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres.CONFIGURATION, "shared_buffers", "a lot")
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(DatabaseUnavailable, match='invalid value for parameter "shared_buffers"'):
        server.start()


@pytest.mark.parametrize(("memory", "buffers"), [(2**29, 256), (3 * 2**30, 768), (2**40, 8192)])
def test_a_quarter_of_the_memory_is_for_pages(memory: int, buffers: int) -> None:
    assert postgres._buffers(memory) == buffers


def test_a_container_has_the_memory_that_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(postgres_programs, "LIMITS", (tmp_path / "none", limit))
    limit.write_text("max\n")
    everything = postgres_programs.memory()
    assert everything > 2**28
    limit.write_text(f"{2**28}\n")
    assert postgres_programs.memory() == 2**28


@pytest.mark.slow("a server of its own")
def test_a_machine_that_refuses_the_memory_gives_less(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first start is answered as PostgreSQL answers where Linux grants no more than there is."""
    monkeypatch.setattr(postgres, "memory", lambda: 2**31)
    begun = []

    def refusing(command: list[str], account: postgres_programs.Account) -> subprocess.CompletedProcess[str]:
        begun.append((server.data / "warehouse.conf").read_text())
        if len(begun) > 1:
            return postgres_programs.run(command, account)
        server.log.write_text("FATAL:  could not map anonymous shared memory: Cannot allocate memory\n")
        return subprocess.CompletedProcess(command, 1, "", "could not start server")

    monkeypatch.setattr(postgres, "run", refusing)
    durable = Server(server.home)
    durable.start()
    with durable.connect() as connection:
        assert connection.execute("SHOW shared_buffers").fetchone() == ("256MB",)
    assert ["shared_buffers = '512MB'" in one for one in begun] == [True, False]
    assert "refuses 512MB of shared memory" in caplog.text


def test_names_sort_and_fold_the_same_everywhere_and_the_clock_is_utc(test_server: Server) -> None:
    with test_server.connect() as connection:
        found = connection.execute("SELECT lower('ÀÉ'), 'É' ILIKE 'é', 'Z' < 'a', current_setting('TimeZone')")
        assert found.fetchone() == ("àé", True, True, "UTC")
        assert connection.info.parameter_status("server_encoding") == "UTF8"


def test_nobody_comes_in_without_the_password(test_server: Server) -> None:
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(r":[^:@]+@", ":wrong@", test_server.url()))
    assert (test_server.home / "postgres.password").stat().st_mode & 0o777 == 0o600


def test_a_name_with_a_quote_is_a_name(test_server: Server) -> None:
    import psycopg

    name = 'odd "name" / é'
    with psycopg.connect(test_server.create_database(name)) as connection:
        assert connection.info.dbname == name
    test_server.drop_database(name)


@as_root
def test_root_needs_no_other_account(new_server: Server) -> None:
    """In the private namespace the files stay ours; nothing on the machine is changed."""
    if postgres_programs.account_for(postgres_programs.find_binaries(), new_server.home) != "namespace":
        pytest.skip("this machine refuses user namespaces")
    new_server.start()
    assert (new_server.data / "PG_VERSION").stat().st_uid == 0


@pytest.mark.slow("a server of its own, as nobody")
@as_root
def test_where_namespaces_are_refused_the_server_runs_as_nobody(
    new_server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    refuse_namespaces(monkeypatch)
    url = new_server.start()
    assert "runs as nobody, with its data in" in capfd.readouterr().err
    assert new_server.data.stat().st_uid not in (0, os.geteuid())
    fill(new_server)
    new_server.kill()
    assert new_server.start() == url
    assert len(rows(new_server)) == 1000


@pytest.mark.slow("a server of its own, as nobody")
@as_root
def test_binaries_that_nobody_may_read_are_copied(
    new_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A checkout in root's own home is such a place. What a wheel keeps beside its programs goes with them."""
    refuse_namespaces(monkeypatch)
    binaries = postgres_programs.find_binaries()
    if binaries.is_relative_to("/usr"):
        pytest.skip("everyone can read the binaries of the machine")
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for folder in binaries.parents[1], binaries.parents[1].with_suffix(".libs"):
        (hidden / folder.name).symlink_to(folder)
    monkeypatch.setenv("PG_BIN", str(hidden / binaries.relative_to(binaries.parents[2])))
    new_server.start()
    assert str(new_server.data.parent) in Path(f"/proc/{DataFolder(new_server.home).pid()}/exe").readlink().as_posix()


def refuse_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_NAMESPACE", "import sys; sys.exit('unshare: Operation not permitted')")


def test_a_folder_that_holds_no_binaries_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(NotConfigured, match="no initdb is in it"):
        postgres_programs.find_binaries()


def test_without_any_binaries_the_cures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(postgres_programs, "OLDEST", 1000)
    with pytest.raises(NotConfigured, match=r"WAREHOUSE_DATABASE_URL.*PG_BIN.*extra `embedded`"):
        postgres_programs.find_binaries()


def test_a_setting_leads_to_the_warehouse_and_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "up", lambda _: pytest.fail("started"))
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "postgresql+psycopg://me:secret@db.example:5432/w")
    assert database_url() == "postgresql://me:secret@db.example:5432/w"


def test_without_the_setting_the_embedded_server_is_the_warehouse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "up", str)
    monkeypatch.setattr(settings, "project_root", lambda: tmp_path)
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "")
    monkeypatch.delenv("WAREHOUSE_HOME")
    monkeypatch.delenv("DAGSTER_HOME")
    assert database_url() == str(tmp_path / ".warehouse")
    assert settings.dagster_home() == tmp_path / ".warehouse" / "dagster"
    (tmp_path / ".env").write_text("WAREHOUSE_DATABASE_URL=postgres://from:env@file/db\nHUBSPOT_ACCESS_TOKEN=x\n")
    monkeypatch.delenv("WAREHOUSE_DATABASE_URL")
    assert database_url() == "postgresql://from:env@file/db"


def test_a_url_of_another_database_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "mysql://me:secret@host/db")
    with pytest.raises(
        NotConfigured, match="WAREHOUSE_DATABASE_URL is no URL of this kind of database; write postgresql:"
    ) as caught:
        database_url()
    assert "secret" not in str(caught.value)


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "postgresql://me:secret@host/db")
    monkeypatch.setenv("DAGSTER_STORAGE_URL", "postgresql://me:secret@host/db")
    assert "secret" not in f"{settings.settings()!r} {settings.settings()}"
    assert settings.masked_url("postgresql://me:sec:r/et@host:1/db?x=1") == "postgresql://me:***@host:1/db?x=1"
    assert settings.masked_url("postgresql://host:1/db") == "postgresql://host:1/db"
