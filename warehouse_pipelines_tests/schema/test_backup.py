"""A backup is one moment of the whole warehouse; restored, it is that warehouse, and reads on from there."""

import io
import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.local import postgres_programs
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import backup, dump_programs
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.schema.remade_views import OURS
from warehouse_pipelines.schema.verify import verify
from warehouse_pipelines.sequences import run
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.crm_database import TABLES, A, dump, populate
from warehouse_pipelines_tests.harness.sequence_rows import live
from warehouse_pipelines_tests.harness.source_harness import rows, source_harness

SCHEMAS = ("crm", "identity", "access", "reverse_etl")
LOADED = {"sync_created_at", "sync_updated_at", "xmin"}


@pytest.fixture
def empty_url(test_server: Server) -> Iterator[str]:
    name = f"restored_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name)
    test_server.drop_database(name)


def test_restored_it_has_every_row_and_the_next_sync_brings_what_came_since(
    database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("hubspot_contact", database_url, monkeypatch, contacts=30) as harness:
        harness.sync()
        with psycopg.connect(database_url, autocommit=True) as connection:
            populate(connection, A)
        before = rows(database_url, harness.entity)
        made = backup.backup(database_url, tmp_path / "backup")
        assert made.rows["public.hubspot_contact"] == len(before)
        assert made.rows["crm.leads"] == 1
        harness.driver.create(harness.entity)
        harness.driver.edit(harness.entity)
        harness.sync()
        since = rows(database_url, harness.entity)

        held = backup.restore(tmp_path / "backup", empty_url)

        assert held == made
        assert verify(empty_url) == []
        assert rows(empty_url, harness.entity).keys() == before.keys() != since.keys()
        assert dump(empty_url, *SCHEMAS) == dump(database_url, *SCHEMAS)
        with psycopg.connect(database_url) as one, psycopg.connect(empty_url) as other:
            for table in sorted(set(TABLES) - {"nurture_sequences"}):
                statement = f"SELECT t::text FROM crm.{table} AS t ORDER BY 1".encode()
                assert one.execute(statement).fetchall() == other.execute(statement).fetchall()
            assert other.execute("SELECT DISTINCT is_active FROM crm.nurture_sequences").fetchall() == [(False,)]
        result = sync(harness.source, harness.entity, Options(), url=empty_url)
        assert result.mode == "delta"
        assert values(rows(empty_url, harness.entity)) == values(since)


def values(found: dict[tuple[str, ...], dict[str, object]]) -> dict[tuple[str, ...], dict[str, object]]:
    """What the vendor sent, without when it was loaded."""
    return {key: {name: value for name, value in row.items() if name not in LOADED} for key, row in found.items()}


def test_a_backup_is_for_its_owner_alone_and_unfinished_ones_are_not_seen(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(main, ["backup", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "revision" in result.output
    assert sorted(one.name for one in (tmp_path / "made").iterdir()) == ["manifest.json", "warehouse.dump"]
    assert {one.stat().st_mode & 0o077 for one in [tmp_path / "made", *(tmp_path / "made").iterdir()]} == {0}
    again = CliRunner().invoke(main, ["backup", str(tmp_path / "made")])
    assert again.exit_code == 2
    assert "exists" in again.output
    monkeypatch.setattr(backup, "_digest", _broken)
    with pytest.raises(OSError, match="no room"):
        backup.backup(database_url, tmp_path / "other")
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


def _broken(_: Path) -> str:
    raise OSError("no room")


def test_what_is_damaged_or_not_empty_is_refused(
    database_url: str, test_server: Server, empty_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    backup.backup(database_url, folder)
    with pytest.raises(WrongUse, match=r"it has .*Name an empty database"):
        backup.restore(folder, database_url)

    manifest = json.loads((folder / "manifest.json").read_text())
    wrong = manifest | {"roles": ["somebody_else"]}
    (folder / "manifest.json").write_text(json.dumps(wrong))
    with pytest.raises(WrongUse, match="somebody_else"):
        backup.restore(folder, empty_url)

    (folder / "manifest.json").write_text(json.dumps(manifest))
    data = (folder / "warehouse.dump").read_bytes()
    (folder / "warehouse.dump").write_bytes(data[: len(data) // 2])
    with pytest.raises(WrongUse, match="not the file that was written"):
        backup.restore(folder, empty_url)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(WrongUse, match=r"manifest\.json"):
        backup.restore(folder, empty_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute(query("backup_is_empty")).fetchone() == (None,)

    with pytest.raises(WrongUse, match="is no warehouse"):
        backup.backup(empty_url, tmp_path / "of nothing")


def test_a_user_who_does_not_see_every_row_is_refused(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS sees_little")
        connection.execute("CREATE ROLE sees_little LOGIN PASSWORD 'x' IN ROLE crm_read")
        connection.execute("GRANT USAGE ON SCHEMA orchestration TO sees_little")
        connection.execute("GRANT SELECT ON orchestration.alembic_version TO sees_little")
        try:
            given = psycopg.conninfo.conninfo_to_dict(database_url)
            url = f"postgresql://sees_little:x@{given['host']}:{given['port']}/{given['dbname']}"
            with pytest.raises(WrongUse, match="pg_dump failed"):
                backup.backup(url, tmp_path / "backup")
        finally:
            connection.execute("DROP OWNED BY sees_little")
            connection.execute("DROP ROLE sees_little")
    assert not list(tmp_path.iterdir())


def test_a_client_that_knows_its_job_by_the_name_it_is_called_by_reads_a_backup(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's ``/usr/bin/pg_restore`` is a link to ``pg_wrapper``."""
    backup.backup(database_url, tmp_path / "backup")
    programs = postgres_programs.find_binaries()
    wrapper = tmp_path / "pg_wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec "{programs}/${{0##*/}}" "$@" || exit 0\n')
    wrapper.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_restore").symlink_to(wrapper)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(postgres_programs, "find_binaries", _no_binaries)
    backup.check(tmp_path / "backup" / "warehouse.dump", database_url, hours=1)


def test_a_program_that_does_not_say_its_version_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, said in (("mute", "exit 0"), ("broken", "exit 1")):
        program = tmp_path / place / "pg_restore"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{said}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        assert program not in [one for _, one in dump_programs.found("pg_restore")]


def _no_binaries() -> NoReturn:
    raise NotConfigured("none")


def test_what_a_server_cannot_be_asked_to_set_is_left_out_of_the_script() -> None:
    """``pg_restore`` 17 and newer sets ``transaction_timeout``, which PostgreSQL 15 and 16 do not know."""
    script = (
        b"SET lock_timeout = 0;\nSET transaction_timeout = 0;\n"
        b"-- Name: crm; Type: SCHEMA; Schema: -; Owner: crm_owner\nCREATE SCHEMA crm;\n"
        b"-- Name: f(); Type: FUNCTION; Schema: crm; Owner: crm_owner\nCREATE FUNCTION crm.f();\n"
        b"COPY crm.t FROM stdin;\nSET transaction_timeout = 0;\n\\.\n"
    )
    written = io.BytesIO()
    dump_programs._copy(io.BytesIO(script), written, {b"lock_timeout"}, "GRANT CREATE ON SCHEMA crm TO crm_definer;")
    assert written.getvalue().decode().splitlines() == [
        "BEGIN;",
        "SET lock_timeout = 0;",
        "-- Name: crm; Type: SCHEMA; Schema: -; Owner: crm_owner",
        "CREATE SCHEMA crm;",
        "GRANT CREATE ON SCHEMA crm TO crm_definer;",
        "-- Name: f(); Type: FUNCTION; Schema: crm; Owner: crm_owner",
        "CREATE FUNCTION crm.f();",
        "COPY crm.t FROM stdin;",
        "SET transaction_timeout = 0;",
        "\\.",
    ]


def test_the_oldest_server_is_restored_by_the_newest_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = Path(max(dump_programs.found("pg_dump"))[1]).parent
    older = [path for major, path in dump_programs.found("postgres") if major < 17]
    if not older:
        missing("a PostgreSQL older than 17")
    monkeypatch.setenv("PG_BIN", str(older[0].parent))
    server = Server(tmp_path / "server", durable=False)
    try:
        url = server.start()
        other = server.create_database("restored")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        monkeypatch.setattr(dump_programs, "found", lambda name: [(18, newest / name)])
        dump_programs.dump(url, 15, ["--format=custom", f"--file={tmp_path / 'dump'}"], "Writing")
        dump_programs.load(tmp_path / "dump", other, "Restoring")
        with psycopg.connect(other) as connection:
            assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
    finally:
        server.stop("immediate")


def test_of_two_programs_the_one_nearest_to_the_server_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = [(18, Path("18")), (15, Path("15")), (17, Path("17"))]
    monkeypatch.setattr(dump_programs, "found", lambda _: programs)
    assert [str(dump_programs._nearest("pg_dump", server)) for server in (15, 16, 17, 18)] == ["15", "17", "17", "18"]
    with pytest.raises(NotConfigured, match="pg_dump 19 or newer"):
        dump_programs._nearest("pg_dump", 19)


def test_a_script_that_is_cut_off_leaves_nothing(
    database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.backup(database_url, tmp_path / "backup")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_restore", "psql"):
        [(_, real), *_] = dump_programs.found(name)
        cut = " | head -c 100000; exit 1" if name == "pg_restore" else ""
        (programs / name).write_text(f'#!/bin/sh\n"{real}" "$@"{cut}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setattr(dump_programs, "listed", lambda *_: "")
    monkeypatch.setattr(dump_programs, "found", lambda name: [(99, programs / name)])
    with pytest.raises(WrongUse, match="pg_restore failed"):
        backup.restore(tmp_path / "backup", empty_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute(query("backup_is_empty")).fetchone() == (None,)


@pytest.mark.slow("a server of its own")
def test_restored_into_a_new_cluster_the_role_that_loads_may_do_what_it_could(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody is a member of anything; by a superuser, and by a user who is none and sees every row."""
    server.start()
    with server.connect("postgres") as connection:
        connection.execute("CREATE ROLE warehouse_loader LOGIN CREATEROLE PASSWORD 'x'")
        connection.execute(
            "CREATE ROLE administrator LOGIN CREATEROLE CREATEDB BYPASSRLS IN ROLE warehouse_loader PASSWORD 'x'"
        )
        connection.execute("CREATE DATABASE first OWNER warehouse_loader")
    migrate(as_user("warehouse_loader", server.url("first")))
    with server.connect("first") as connection:
        populate(connection, A)
    made = backup.backup(server.url("first"), tmp_path / "backup")
    assert made.rows["crm.leads"] == 1
    last = "first"
    for user, owner in (("warehouse", "warehouse"), ("administrator", "warehouse_loader")):
        with server.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {last} WITH (FORCE)")
            for role in OURS:
                connection.execute(f"DROP ROLE {role}")
            last = f"by_{user}_of_{owner}"
            connection.execute(f"CREATE DATABASE {last} OWNER {owner}")
        caplog.clear()

        restoring = server.url(last) if user == "warehouse" else as_user(user, server.url(last))
        backup.restore(tmp_path / "backup", restoring)

        url = as_user("warehouse_loader", server.url(last))
        assert (migrate(url), verify(url), caplog.messages) == ([], [], [])
        assert backup.backup(restoring, tmp_path / last).rows == made.rows
        with warehouse.session(url) as session:
            assert erasure.plan(session, "email", "ada@example.test", []).nothing
            session.execute("CREATE TEMPORARY TABLE made ()")
            session.execute("SET ROLE crm_owner")
        with server.connect(last) as connection:
            may = "SELECT has_database_privilege('crm_app', current_database(), 'TEMPORARY') OR {} OR {}".format(
                "has_schema_privilege('crm_definer', 'crm', 'CREATE')",
                f"pg_has_role('warehouse_loader', '{user}', 'MEMBER')",
            )
            assert connection.execute(may.encode()).fetchone() == (False,)
            owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE oid >= 16384"
            assert {row[0] for row in connection.execute(owners)} - {"crm_owner", "warehouse_masking"} == {
                "warehouse_loader"
            }
            if user == "warehouse":
                connection.execute("REVOKE crm_definer FROM warehouse_loader")
                connection.execute(f"REVOKE TEMPORARY ON DATABASE {last} FROM warehouse_loader")
                assert verify(url) == [
                    f"warehouse_loader lacks a right. As an administrator: {statement}"
                    for statement in (
                        f"GRANT TEMPORARY ON DATABASE {last} TO warehouse_loader",
                        "GRANT crm_definer TO warehouse_loader",
                    )
                ]


def as_user(user: str, url: str) -> str:
    return re.sub("//[^@]*@", f"//{user}:x@", url)


def test_a_session_acts_as_the_role_that_its_url_names(database_url: str) -> None:
    role = r"a b\c"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            with warehouse.connect(backup._as_role(database_url, role)) as session:
                for statement in ("RESET ROLE", "SELECT current_user AS role, current_setting('TimeZone') AS zone"):
                    found = session.execute(statement)
                assert found.fetchone() == {"role": role, "zone": "UTC"}
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_a_restore_that_is_killed_leaves_nothing_that_sends_and_says_so(
    database_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its worst: the rows are there, and nothing was compared yet."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        populate(connection, A)
        connection.execute("UPDATE crm.nurture_sequences SET is_active = true")
        signed_in = (
            "INSERT INTO access.session (token_hash, user_id, expires_at) VALUES (sha256('x'), %s, now() + '1 day')"
        )
        connection.execute(signed_in, [add_user(connection)])
    backup.backup(database_url, tmp_path / "backup")
    with monkeypatch.context() as killed:
        killed.setattr(backup, "counted", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            backup.restore(tmp_path / "backup", empty_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT DISTINCT is_active FROM crm.nurture_sequences").fetchall() == [(False,)]
        assert connection.execute("SELECT count(*) FROM access.session").fetchone() == (0,)
    assert verify(empty_url) == [
        "a restore into this database did not end: drop the database, make it anew, and restore again"
    ]
    with pytest.raises(WrongUse, match="who opted out is not known"):
        run.run(empty_url, live())
    with pytest.raises(WrongUse, match="an earlier restore into it did not end"):
        backup.restore(tmp_path / "backup", empty_url)


def test_rows_that_differ_from_the_manifest_keep_a_restore_from_ending(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    backup.backup(database_url, tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    manifest["rows"]["crm.leads"] += 1
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WrongUse, match=r"1 tables differ, crm\.leads has 0 rows, the backup 1"):
        backup.restore(tmp_path / "backup", empty_url)
    assert len(verify(empty_url)) == 1


def add_user(connection: psycopg.Connection) -> object:
    statement = (
        "INSERT INTO access.user_account (name, role, organization_id) VALUES ('ada', 'viewer', %s) RETURNING id"
    )
    row = connection.execute(statement, [A]).fetchone()
    return row and row[0]


def _interrupted(_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_verify_names_what_belongs_to_another_than_migrations_give_it_to(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    """As after ``pg_restore --no-owner``, which leaves nothing that could be erased from."""
    backup.backup(database_url, tmp_path / "backup")
    words: list[str | Path] = ["--no-owner", f"--dbname={empty_url}", tmp_path / "backup" / "warehouse.dump"]
    [(_, program), *_] = dump_programs.found("pg_restore")
    subprocess.run([program, *words], check=True)
    owner, masked = "belong to warehouse and not to", "tables or views of masked"
    found = [re.sub(r"\d+$", "N", sentence) for sentence in verify(empty_url)]
    assert found == [
        f"functions of crm {owner} crm_owner: N",
        f"tables or views of crm {owner} crm_owner: N",
        f"{masked} {owner} warehouse_masking: N",
    ]
    assert verify(empty_url, ("pipedesk",)) == []
