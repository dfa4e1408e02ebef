"""What of ours goes on running on this machine: the simulators and the UI, in the background or in another terminal.

``running.json`` in the state folder has them by name. A process counts as ours while one of its number runs that
started when ours did; numbers are given out again.

``simulated_settings`` are those of the demo's simulators, and count as long as these run.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

SIMULATED = "simulators.env"


def note(folder: Path, name: str, pid: int) -> None:
    """Remember a process, for ``stop``."""
    noted = {**_noted(folder), name: {"pid": pid, "started": _started(pid)}}
    (folder / "running.json").write_text(json.dumps(noted))


def alive(folder: Path, name: str) -> bool:
    """Return whether a process that was noted still runs."""
    noted = _noted(folder).get(name)
    return noted is not None and bool(noted["started"]) and _started(int(noted["pid"])) == noted["started"]


def stop(folder: Path, names: Collection[str] | None = None) -> list[str]:
    """End what was noted, or what of it is among ``names``; return the names of what was ended."""
    noted = _noted(folder)
    chosen = [name for name in noted if names is None or name in names]
    ended = [name for name in chosen if alive(folder, name)]
    for name in ended:
        pid = int(noted[name]["pid"])
        # The group, where it leads one: `dagster dev` has four children. An interrupt is what it listens to.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == pid:
                    os.killpg(pid, number)
                else:
                    os.kill(pid, number)
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and alive(folder, name):
                time.sleep(0.1)
    for name in chosen:
        del noted[name]
    if noted:
        (folder / "running.json").write_text(json.dumps(noted))
    else:
        (folder / "running.json").unlink(missing_ok=True)
    return ended


def keep_simulated_settings(folder: Path, environment: Mapping[str, str]) -> None:
    """Write down the settings of the simulators, for ``simulated_settings``."""
    (folder / SIMULATED).write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items()))


def simulated_settings(folder: Path) -> dict[str, str]:
    """Return the settings of the demo's simulators; none when these do not run."""
    if not alive(folder, "simulators"):
        return {}
    try:
        words = shlex.split((folder / SIMULATED).read_text())
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words)


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted = json.loads((folder / "running.json").read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _started(pid: int) -> str:
    """Return when a living process started; empty for a dead one, a zombie included."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            state, *_, started = stat.read_text().rpartition(")")[2].split()[:20]
        except OSError:
            return ""
        return "" if state == "Z" else started
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()
