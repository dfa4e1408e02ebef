"""``./run``: what is installed when, and what is not. Nothing is downloaded here; CI's fresh clone does that."""

import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from warehouse_pipelines.local import bootstrap
from warehouse_pipelines_tests.harness import examples

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a folder with spaces: ``./run``, and a ``warehouse`` that prints what it is given."""
    root = tmp_path / "a fresh clone"
    (root / "warehouse_pipelines" / "local").mkdir(parents=True)
    shutil.copy(ROOT / "run", root)
    shutil.copy(bootstrap.__file__, root / "warehouse_pipelines" / "local")
    (root / "warehouse_pipelines" / "commands").mkdir()
    (root / "warehouse_pipelines" / "commands" / "cli.py").write_text(
        "import os, sys\ndef main(): print(*sys.argv[1:], os.environ.get('PYTHONDONTWRITEBYTECODE'), sep='|')\n"
    )
    (root / "requirements.lock").touch()
    (root / "pyproject.toml").touch()
    venv.create(root / ".venv", symlinks=True)
    return root


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replaces the installation by a note of its folder."""
    installed: list[Path] = []
    monkeypatch.setattr(bootstrap, "_install", lambda root, *_: installed.append(root))
    return installed


def run(root: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [root / "run", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, **environment},
    )


def test_nothing_is_installed_twice(checkout: Path, without_network: list[Path]) -> None:
    python = bootstrap.set_up(checkout, {})
    assert python == checkout / ".venv" / "bin" / "python"
    assert bootstrap.set_up(checkout, {}) == python
    assert without_network == [checkout]


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_change_of_either_file_installs_again(checkout: Path, without_network: list[Path], name: str) -> None:
    bootstrap.set_up(checkout, {})
    (checkout / name).write_text("# other")
    bootstrap.set_up(checkout, {})
    assert without_network == [checkout, checkout]


def test_an_installation_that_failed_is_begun_again(
    checkout: Path, without_network: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.set_up(checkout, {})
    (checkout / "requirements.lock").write_text("# other")
    with monkeypatch.context() as failing:
        failing.setattr(bootstrap, "_install", lambda *_: sys.exit("no network"))
        with pytest.raises(SystemExit):
            bootstrap.set_up(checkout, {})
    (checkout / "requirements.lock").write_text("")
    bootstrap.set_up(checkout, {})
    assert len(without_network) == 2


def test_a_moved_environment_is_made_anew(checkout: Path, without_network: list[Path]) -> None:
    bootstrap.set_up(checkout, {})
    moved = checkout.with_name("elsewhere")
    checkout.rename(moved)
    (moved / ".venv" / "old").touch()
    bootstrap.set_up(moved, {})
    assert not (moved / ".venv" / "old").exists()
    assert run(moved, "status").stdout == "status|None\n"


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path, without_network: list[Path]) -> None:
    bootstrap.set_up(checkout, {})
    (checkout / ".venv" / "bin" / "python").unlink()
    bootstrap.set_up(checkout, {})
    assert run(checkout, "status").stdout == "status|None\n"
    assert len(without_network) == 2


def test_a_start_with_nothing_new_is_quick_and_passes_everything_on(
    checkout: Path, without_network: list[Path]
) -> None:
    """``./run`` adds less than 0.1 s of the processor's time; the limit is for machines that are slower."""
    bootstrap.set_up(checkout, {})
    before = os.times()
    ended = run(
        checkout, "sync", "two words", "--full", PYTHONDONTWRITEBYTECODE="1", PIP_INDEX_URL="http://127.0.0.1:1"
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("sync|two words|--full|None\n", "", 0)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2


def test_the_console_script_works_where_the_path_has_spaces(checkout: Path, without_network: list[Path]) -> None:
    bootstrap.set_up(checkout, {})
    script = checkout / ".venv" / "bin" / "warehouse"
    assert subprocess.run([script, "x"], capture_output=True, text=True, check=True, cwd="/").stdout.startswith("x|")


def test_a_shim_without_a_python_behind_it_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("python3", "python3.14", "python3.13", "python3.12"):
        (shims / name).write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
        (shims / name).chmod(0o755)
    (shims / "python3.11").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (shims / "python3.11").chmod(0o755)
    found = run(checkout, PATH=f"{shims}:/bin")
    assert found.stderr.startswith("Usage: ./run demo")
    (shims / "python3.11").unlink()
    nothing = run(checkout, PATH=str(shims) + ":" + str(only(tmp_path / "bin", "dirname", "sh")))
    assert "needs Python 3.11 or newer" in nothing.stderr
    assert nothing.returncode == 1


def only(folder: Path, *names: str) -> Path:
    """Return a folder with links to these programs and no others."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def test_a_python_without_ensurepip_is_explained(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Debian, which keeps it in a package of its own."""
    shutil.rmtree(checkout / ".venv")
    python = checkout / "python"
    python.write_text("""#!/bin/sh
case "$2" in
venv) mkdir -p "$4/bin" && ln -s "$0" "$4/bin/python" ;;
*) echo "No module named $2" >&2 && exit 1 ;;
esac
""")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(python))
    monkeypatch.setattr(bootstrap, "_uv", lambda _: None)
    with pytest.raises(SystemExit, match=r"No module named ensurepip\n.*apt-get install python3\.\d+-venv"):
        bootstrap.set_up(checkout, {})


def test_a_python_that_makes_no_environment_is_explained(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(checkout / ".venv")
    python = checkout / "python"
    python.write_text("#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(python))
    monkeypatch.setattr(bootstrap, "_uv", lambda _: None)
    with pytest.raises(SystemExit, match=r"cannot make a virtual environment: No module named venv"):
        bootstrap.set_up(checkout, {})


def test_the_lock_names_no_host_and_holds_the_uv_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = ROOT / "requirements.lock"
    assert not re.findall(r"^.*://.*$|^--.*$", lock.read_text(), re.MULTILINE)
    given: list[str] = []

    def note(command: list[str], _: object) -> bool:
        given.append(Path(command[-1]).read_text())
        return True

    monkeypatch.setattr(bootstrap, "_succeeds", note)
    assert bootstrap._uv_from_lock(lock, Path("bin/python"), {}) == Path("bin/uv")
    assert re.fullmatch(r"uv==\d[\d.]+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n){5,}", given[0])


def test_lint_that_fails_stops_before_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def call(command: list[object], **_: object) -> int:
        calls.append(command[2:])
        return 3

    monkeypatch.setattr(subprocess, "call", call)
    with pytest.raises(SystemExit) as caught:
        bootstrap.check(tmp_path / "python", {})
    assert caught.value.code == 3
    assert calls == [["ruff", "format", "--check", "."]]


def test_all_tests_run_on_the_oldest_postgresql_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: map(Path, ["/pg/15/bin/initdb", "/pg/17/bin/initdb"]))
    assert bootstrap._runs({}, everything=False) == [({}, (*bootstrap.PYTEST, "-m", "not slow"))]
    oldest, embedded = bootstrap._runs({}, everything=True)
    assert oldest == ({"PG_BIN": "/pg/15/bin", examples.ONCE: "1"}, (*bootstrap.PYTEST, *bootstrap.ON_DEBIAN))
    assert embedded == ({examples.ALL: "1"}, bootstrap.PYTEST)
    assert bootstrap._runs({"PG_BIN": "/mine"}, everything=True) == [embedded]


def test_what_is_left_out_on_the_oldest_is_there() -> None:
    for word in bootstrap.ON_DEBIAN:
        assert not word.startswith(bootstrap._TESTS) or (ROOT / word).exists(), word


@pytest.mark.parametrize(("types", "tests", "code"), [(0, 0, 0), (1, 0, 1), (0, 2, 2), (1, 2, 2)])
def test_types_are_checked_beside_the_tests_and_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], types: int, tests: int, code: int
) -> None:
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh
case "$2" in mypy) echo "types were checked"; exit {types};; pytest) exit {tests};; esac
""")
    python.chmod(0o755)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert bootstrap.test(python, {"PATH": os.defpath}, everything=False) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().out.endswith("$ mypy\ntypes were checked\n")
