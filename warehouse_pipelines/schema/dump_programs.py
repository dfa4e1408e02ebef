"""PostgreSQL's ``pg_dump``, ``pg_restore`` and ``psql``: which of those on this machine fits, and how they are run.

Of several that are new enough the one that is nearest to the server's version is taken: a dump by it is read by the
server's own programs. ``pg_restore`` makes a script of a dump, and ``psql`` runs it in one transaction, because:

- From PostgreSQL 17 on the script sets parameters that an older server does not know. These are left out.
- What must hold from the first moment in which others see the data belongs into the same transaction.
- COMMIT comes from here, and last: when a program is killed, this one too, nothing of it stays.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, WrongUse, masked

BLOCK = 2**20

_SET = re.compile(rb"SET (\w+) = ")
_AFTER_SCHEMAS = re.compile(rb"-- (Data for )?Name: .*; Type: (?!SCHEMA;|EXTENSION;|COMMENT;|ACL;)")


def dump(url: str, server: int, words: list[str], doing: str) -> None:
    """Run ``pg_dump`` against a server of that major version.

    Raises ``NotConfigured`` without one that is as new, and ``WrongUse`` when it fails.
    """
    program = _nearest("pg_dump", server)
    done = subprocess.run([program, *words], capture_output=True, check=False, env=_environment(url))
    if done.returncode:
        raise WrongUse(f"{doing}: pg_dump failed: {_reason(done.stderr)}")


def load(archive: Path, url: str, doing: str, *, after_schemas: str = "", last: str = "") -> None:
    """Restore a dump into the database at ``url``, all or nothing.

    In the same transaction the statements ``after_schemas`` are run when the dump's schemas are there and nothing is in
    them, and ``last`` at its end, with an empty search path. Raises ``NotConfigured`` without programs that are as new
    as the server and as the dump, and ``WrongUse`` when one fails.
    """
    said = re.search(r"Dumped by pg_dump version: (\d+)", listed(archive, doing))
    with warehouse.connect(url) as session:
        server = session.info.server_version // 10_000
        name = session.info.dbname
        known = {str(row["name"]).encode() for row in session.execute("SELECT name FROM pg_settings")}
    restoring = _nearest("pg_restore", max(server, int(said[1]) if said else 0))
    running = restoring.with_name("psql")
    if not running.exists():
        raise NotConfigured(f"{doing}: PostgreSQL's psql is needed beside {restoring}. Install its client package.")
    script: list[str | Path] = [restoring, "--file=-", archive]
    run: list[str | Path] = [running, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={name}"]
    with (
        tempfile.TemporaryFile() as said_of_script,
        tempfile.TemporaryFile() as said_of_run,
        subprocess.Popen(script, stdout=subprocess.PIPE, stderr=said_of_script) as source,
        subprocess.Popen(
            run, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said_of_run, env=_environment(url)
        ) as target,
    ):
        assert source.stdout is not None and target.stdin is not None  # noqa: S101, PT018  (both are pipes)
        try:
            with contextlib.suppress(BrokenPipeError):
                _copy(source.stdout, target.stdin, known, after_schemas)
                if source.wait() == 0:
                    target.stdin.write(f"{last}\nCOMMIT;\n".encode())
            with contextlib.suppress(BrokenPipeError):
                target.stdin.close()
            target.wait()
        finally:
            source.kill()
            target.kill()
        source.wait()
        if source.returncode > 0 or (source.returncode and not target.returncode):
            raise WrongUse(f"{doing}: pg_restore failed: {_reason(_read(said_of_script))}")
        if target.returncode:
            raise WrongUse(f"{doing}: psql failed: {_reason(_read(said_of_run))}")


def listed(archive: Path, doing: str) -> str:
    """Return the table of contents of a dump, by the newest program there is, which knows what older ones wrote.

    Its times are in UTC. Raises ``NotConfigured`` without any ``pg_restore``, and ``WrongUse`` for what it cannot read.
    """
    programs = found("pg_restore")
    if not programs:
        raise NotConfigured(f"{doing}: PostgreSQL's pg_restore is needed. Install its client package.")
    _, newest = max(programs, key=lambda one: one[0])
    environment = os.environ | {"TZ": "UTC"}
    done = subprocess.run([newest, "--list", archive], capture_output=True, check=False, env=environment)
    if done.returncode:
        raise WrongUse(f"{doing} failed: {_reason(done.stderr)}")
    return done.stdout.decode(errors="replace")


def _copy(script: IO[bytes], target: IO[bytes], known: set[bytes], after_schemas: str) -> None:
    """Copy the script but for what sets other parameters than those that are ``known``."""
    target.write(b"BEGIN;\n")
    for line in script:
        if (parameter := _SET.match(line)) and parameter[1] not in known:
            continue
        if _AFTER_SCHEMAS.match(line):
            target.write(after_schemas.encode() + b"\n" + line)
            break
        target.write(line)
    shutil.copyfileobj(script, target, BLOCK)


def _environment(url: str) -> Mapping[str, str]:
    """Return the environment of a program; the password goes by it, which other users cannot read."""
    names = {one.keyword.decode(): one.envvar for one in psycopg.pq.Conninfo.get_defaults()}
    given = {names[key]: str(value) for key, value in conninfo_to_dict(url).items() if names.get(key)}
    return os.environ | {key.decode(): value for key, value in given.items() if key}


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _reason(said: bytes) -> str:
    """Return the first line that says what is wrong; the lines after it may have what stands in rows."""
    lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return masked(next((line for line in lines if re.search("error|fatal", line, re.IGNORECASE)), lines[0]))


def _nearest(name: str, oldest: int) -> Path:
    """Return the oldest program of that name that is as new as ``oldest``."""
    fitting = [one for one in found(name) if one[0] >= oldest]
    if not fitting:
        raise NotConfigured(
            f"PostgreSQL's {name} {oldest} or newer is needed, and none was found. Install its client package."
        )
    return min(fitting, key=lambda one: one[0])[1]


def found(name: str) -> list[tuple[int, Path]]:
    """Return the programs of that name with their major versions: of our PostgreSQL, of this machine, of the PATH.

    Debian's on the PATH is a link to a program that knows what to do by the name it is called by, so no link is
    followed; and a program that does not say its version is none.
    """
    from warehouse_pipelines.local.postgres_programs import find_binaries

    programs: list[Path] = []
    with contextlib.suppress(NotConfigured):
        programs.append(find_binaries() / name)
    programs += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    programs += [Path(one) for one in (shutil.which(name),) if one]
    return [(major, program) for program in programs if (major := _major(program))]


def _major(program: Path) -> int:
    """Return the major version that a program says it has; 0 where it says none, or is not there."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0
