"""What ``./run`` does: set up ``.venv``, then become the command. Runs as a plain file, with the standard library only.

``.venv`` holds exactly what ``requirements.lock`` names, every file checked against its hash. uv installs it when it
can be had (on the PATH, else from the lock itself), pip otherwise, four to six times slower. A stamp in ``.venv`` holds
the digest of what was installed, so that a start with nothing new installs nothing and costs a tenth of a second.

The project itself is put there by a ``.pth`` file and a script, not by ``pip install -e .``: that would download its
build tool anew, without a hash.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]

USAGE = """Usage: ./run demo [--ui]        everything on this machine, with simulated vendors
       ./run stop               end what runs on this machine
       ./run test               format, lint, types, and all but the slow tests
       ./run test --all         the same with all tests, on each PostgreSQL of this machine
       ./run test <arguments>   pytest with these arguments, nothing else
       ./run lint               format, lint, types
       ./run <command>          a command of warehouse; ./run --help lists them"""

SCRIPT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
sys.dont_write_bytecode = False
from warehouse_pipelines.commands.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""The first lines are sh and Python at once, because a ``#!`` takes no path with a space and none of over 127 bytes.

``PYTHONDONTWRITEBYTECODE`` does not count, as in ``main``: without bytecode a start takes more than a second longer."""

CHECKS = (("ruff", "format", "--check", "."), ("ruff", "check", "."))
TYPES = ("mypy",)
PYTEST = ("pytest", "-rs", "-n", "auto", "--maxprocesses", "8", "--dist", "loadfile", "--no-loadscope-reorder")
"""A file stays on one worker, because its tests share what is costly. Files come in the order of conftest.py, those
that take longest first. There is one worker more than cores, because tests wait for servers and for processes that they
start; ``PYTEST_XDIST_AUTO_NUM_WORKERS`` says otherwise."""

QUICK = ("-m", "not slow")
_TESTS = "warehouse_pipelines_tests"
_SAME_ON_EACH = (
    "battery", "commands", "loading/test_crash.py", "loading/test_dlt_source.py", "loading/test_keyed.py",
    "loading/test_request_budget.py", "local/test_dagster_home.py", "local/test_lent_databases.py",
    "observability/test_alert_year.py", "observability/test_anomalies.py", "orchestration/test_alerts.py",
    "orchestration/test_checks.py", "orchestration/test_dagster_maintenance.py", "orchestration/test_definitions.py",
    "orchestration/test_maintenance_reports.py", "orchestration/test_marts.py", "orchestration/test_run_lock.py",
    "orchestration/test_schedules.py", "orchestration/test_sensors.py", "orchestration/test_unified.py",
    "orchestration/test_webhooks.py", "outbound/test_google_events.py", "outbound/test_google_folders.py",
    "outbound/test_kill.py", "outbound/test_undo.py", "schema/test_join_keys.py", "sequences/test_kill.py",
    "serving/test_convergence.py", "serving/test_forward_auth.py", "serving/test_hostile.py",
    "serving/test_hubspot_app.py", "serving/test_kill.py", "serving/test_kill_anywhere.py", "serving/test_oidc.py",
    "serving/test_outcomes.py", "serving/test_pages.py", "serving/test_rights.py", "serving/test_strangers.py",
    "simulators", "test_settings.py", "unified/marts/test_answers_truth.py", "unified/marts/test_sales.py",
    "unified/marts/test_truth.py", "unified/identity/test_derived.py",
    "unified/identity/test_hostile_people.py", "unified/identity/test_rebuild.py",
    "unified/lead_import/test_lead_fuzz.py",
)  # fmt: skip
ON_DEBIAN = (
    "-m", "database and (not slow or revisions)", "--ignore-glob", "*/sources/test_[!p]*.py",
    *(word for name in _SAME_ON_EACH for word in ("--ignore", f"{_TESTS}/{name}")),
)  # fmt: skip
"""What is asked of the oldest PostgreSQL beside the embedded one: migrations, roles and grants, plans, merges, locks,
maintenance, and each of our statements once, hence one case of most tests, and of some files the tests alone that
their mark ``on_oldest`` names. What is left out sends a server nothing that these do not, which
pg_stat_statements told: hostile input to the same statements, kills between them, vendors that are read by HTTP, and
Dagster's calls of functions that are tested by themselves. The tests of PipeDesk stay, because it is read from a
PostgreSQL."""


def main(arguments: Sequence[str], root: Path = ROOT) -> NoReturn:
    """Set up and become the command; a failure to set up ends with exit code 1 and one message."""
    if not arguments and "_WAREHOUSE_COMPLETE" not in os.environ:  # a shell asks how the line goes on
        sys.exit(USAGE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    python = set_up(root, environment)
    environment |= {
        "VIRTUAL_ENV": str(root / ".venv"),
        "PATH": f"{python.parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }
    if [*arguments] == ["lint"]:
        check(python, environment)
        sys.exit(subprocess.call(_shown([python, "-m", *TYPES]), env=environment))
    command: Sequence[str] = (str(python.with_name("warehouse")), *arguments)
    if [*arguments[:1]] == ["test"]:
        environment.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", str((os.cpu_count() or 1) + 1))
        if [*arguments[1:]] in ([], ["--all"]):
            sys.exit(test(python, environment, everything=bool(arguments[1:])))
        # A shell lets what it runs behind it ignore an interrupt; tests that send one must not inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = ("-m", *PYTEST[:2], *arguments[1:])
        print("$", *command, flush=True)
    sys.stdout.flush()
    os.execve(python, [str(python), *command], environment)  # noqa: S606  # no shell is wanted


def test(python: Path, environment: dict[str, str], *, everything: bool) -> int:
    """Check and test, and return the exit code of the first that found something.

    Types are checked beside the tests, which leave time to it, and told of at the end.
    """
    check(python, environment)
    # An interrupt is for pytest, which stops its servers; this waits for that, and none of its children ignores it.
    signal.signal(signal.SIGINT, lambda *_: None)
    with tempfile.TemporaryFile("w+") as report:
        types = subprocess.Popen([python, "-m", *TYPES], env=environment, stdout=report, stderr=subprocess.STDOUT)
        code = 0
        for extra, command in _runs(environment, everything=everything):
            print("$", *(f"{name}={value}" for name, value in extra.items()), *command, flush=True)
            code = subprocess.call([python, "-m", *command], env={**environment, **extra})
            if code:
                break
        _shown([python, "-m", *TYPES])
        wrong = types.wait()
        report.seek(0)
        print(report.read(), end="", flush=True)
    return code or wrong


def _runs(environment: dict[str, str], *, everything: bool) -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """Return the runs of pytest: what is set for each, and its words."""
    if not everything:
        return [({}, (*PYTEST, *QUICK))]
    oldest = next((str(found.parent) for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    once = {"WAREHOUSE_TESTS_ONCE": "1"}
    on_oldest = [({"PG_BIN": oldest, **once}, (*PYTEST, *ON_DEBIAN))] if oldest and "PG_BIN" not in environment else []
    return [*on_oldest, ({"WAREHOUSE_TESTS_ALL": "1"}, PYTEST)]


def check(python: Path, environment: dict[str, str]) -> None:
    """Check form and rules; end with the exit code of the first that finds something."""
    for command in CHECKS:
        if code := subprocess.call(_shown([python, "-m", *command]), env=environment):
            sys.exit(code)


def _shown(command: list[str | Path]) -> list[str | Path]:
    """Print a command of Python's, and return it."""
    print("$", *command[2:], flush=True)
    return command


def set_up(root: Path, environment: dict[str, str]) -> Path:
    """Bring ``.venv`` up to date and return its Python. Two at a time: the second waits, and finds nothing to do."""
    folder = root / ".venv"
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = f"{digest(root)} {root}"

    def installed() -> bool:
        return _read(stamp) == wanted and os.access(python, os.X_OK)

    if installed():
        return python
    with (root / "requirements.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed():
            return python
        # Scripts hold the path of the folder they were made in.
        if (before := _read(stamp)) and before.partition(" ")[2] != str(root):
            _remove(folder)
        stamp.unlink(missing_ok=True)
        uv = _uv(environment)
        _make_venv(folder, uv, environment)
        _say("Installing what requirements.lock names")
        _install(root, python, uv, environment)
        put_project(root, python)
        stamp.write_text(wanted)
    return python


def digest(root: Path) -> str:
    """Return the SHA-256 of what the environment depends on."""
    known = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        known.update((root / name).read_bytes())
    known.update(SCRIPT.encode())
    return known.hexdigest()


def _read(stamp: Path) -> str:
    try:
        return stamp.read_text()
    except OSError:
        return ""


def _uv(environment: dict[str, str]) -> Path | None:
    """Return the uv of the PATH, if it is one that runs."""
    found = shutil.which("uv", path=environment.get("PATH"))
    return Path(found) if found is not None and _succeeds([found, "--version"], environment) else None


def _make_venv(folder: Path, uv: Path | None, environment: dict[str, str]) -> None:
    """Make the virtual environment, unless a good one is there."""
    python = folder / "bin" / "python"
    good = f"import sys; sys.exit(sys.prefix != {str(folder)!r} or sys.version_info < (3, 11))"
    if _succeeds([python, "-c", good], environment):
        return
    if folder.exists():
        _remove(folder)
    base = _base()
    if uv is not None and _succeeds([uv, "venv", "--quiet", "--python", base, folder], environment):
        return
    # Without pip, which takes five seconds to put there and is asked for once at most (_uv_from_lock).
    command: list[str | Path] = [base, "-m", "venv", "--without-pip", folder]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(f"./run: {base} cannot make a virtual environment: {(made.stderr or made.stdout).strip()}")


def _base() -> Path:
    """Return the Python that this one is of, if it is that of a virtual environment, ours or another."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _install(root: Path, python: Path, uv: Path | None, environment: dict[str, str]) -> None:
    lock = root / "requirements.lock"
    if uv is None:
        uv = _uv_from_lock(lock, python, environment)
    if uv is not None:
        environment = {**environment, "VIRTUAL_ENV": str(root / ".venv")}
        if "PIP_INDEX_URL" in environment:  # uv reads no setting of pip
            environment.setdefault("UV_DEFAULT_INDEX", environment["PIP_INDEX_URL"])
        command: list[str | Path] = [uv, "pip", "sync", "--python", python, "--require-hashes", "--quiet", lock]
        if subprocess.call(command, env=environment, cwd=root) == 0:
            return
        _say("uv did not succeed; trying with pip")
    _require_pip(python, environment)
    # --no-deps: the lock is complete, and pip need not work out again what was worked out once.
    command = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", lock]
    if subprocess.call(command, env=environment, cwd=root):
        sys.exit("./run: what requirements.lock names could not be installed; the message is above.")


def _require_pip(python: Path, environment: dict[str, str]) -> None:
    """Put pip into the virtual environment, unless it has one."""
    if _succeeds([python, "-m", "pip", "--version"], environment):
        return
    command: list[str | Path] = [python, "-m", "ensurepip"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"./run: {_base()} has no pip to install with: {(made.stderr or made.stdout).strip()}\n"
            f"On Debian and Ubuntu: apt-get install python{version}-venv. Or install uv, which needs no such package."
        )


def _uv_from_lock(lock: Path, python: Path, environment: dict[str, str]) -> Path | None:
    """Install the uv that the lock names, by its hash, and return it; None where there is none for this machine.

    The pip of the Python that the environment was made of does it, where it has one that can.
    """
    entry = re.search(r"^uv==.*(?:\n +--hash=.*)+", lock.read_text(), re.MULTILINE)
    if entry is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as alone:
        alone.write(entry[0] + "\n")
        alone.flush()
        install = ("install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", alone.name)
        if _succeeds([_base(), "-m", "pip", "--python", python, *install], environment):
            return python.with_name("uv")
        _require_pip(python, environment)
        if _succeeds([python, "-m", "pip", *install], environment):
            return python.with_name("uv")
    return None


def put_project(root: Path, python: Path) -> None:
    """Make the package importable from everywhere, and ``warehouse`` a command."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    (Path(packages) / "warehouse_pipelines.pth").write_text(f"{root}\n", encoding="utf-8")
    script = python.with_name("warehouse")
    script.write_text(SCRIPT.format(python=python))
    script.chmod(0o755)


def _succeeds(command: Sequence[str | Path], environment: dict[str, str]) -> bool:
    try:
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _remove(folder: Path) -> None:
    _say(f"Replacing {folder}, which was made elsewhere or has lost its Python")
    shutil.rmtree(folder)


def _say(what: str) -> None:
    print(f"./run: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
