"""What a stretch of work cost: wall time, processor time here and in PostgreSQL, memory. Linux only.

PostgreSQL's processor time is that of the whole server, backends that have ended and background workers included; the
server of a benchmark has nothing else to do. ``other_cores`` is how much of the machine other programs used meanwhile:
a figure that was taken while it was high is to be compared with those of its own round only.
"""

import contextlib
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from warehouse_pipelines.local.postgres import Server

TICK = os.sysconf("SC_CLK_TCK")
PREPARED = "WAREHOUSE_BENCHMARK_SERVER"
"""Names the folder of a server that was stopped. A copy of it is started, so that tests of benchmarks migrate once."""


@dataclass
class Cost:
    """Of one stretch; ``memory_mb`` is by how much the resident memory grew at its peak."""

    seconds: float = 0.0
    client_seconds: float = 0.0
    postgres_seconds: float = 0.0
    other_cores: float = 0.0
    memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@contextlib.contextmanager
def measured(server: Server) -> Iterator[Cost]:
    """Measure the block. A checkpoint comes first, so that no path pays for the dirty pages of the one before."""
    with server.connect("postgres") as connection:
        connection.execute("CHECKPOINT")
    cost = Cost()
    _forget_peak()
    memory, client, postgres, machine = _memory("VmRSS"), _client(), postgres_seconds(server), machine_seconds()
    began = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - began
    cost.client_seconds = _client() - client
    cost.postgres_seconds = postgres_seconds(server) - postgres
    cost.other_cores = max(
        0.0, (machine_seconds() - machine - cost.client_seconds - cost.postgres_seconds) / cost.seconds
    )
    cost.memory_mb = _memory("VmHWM") - memory


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process."""
    return _memory("VmHWM")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str, pid: int | str = "self") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def _client() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def postgres_seconds(server: Server) -> float:
    """Return the processor time of the postmaster, of its ended children and of its living ones."""
    postmaster = int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])
    while True:  # a child that ends in between would be counted in neither
        ended = _stat(postmaster)[13:15]
        total = sum(map(int, _stat(postmaster)[11:15]))
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:13])) if int(fields[1]) == postmaster else 0
        if _stat(postmaster)[13:15] == ended:
            return total / TICK


def _stat(process: int) -> list[str]:
    """Return what ``/proc`` says of a process, from its state on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def machine_seconds() -> float:
    """Return the processor time that the whole machine was not idle."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICK


@dataclass
class Program:
    """What a process and those that it has started used."""

    pid: int

    def seconds(self) -> dict[str, float]:
        """Return the processor seconds of the process itself, and of all below it, ended or not."""
        processes = _processes()
        own, below = processes[self.pid][1:]
        below += sum(sum(processes[pid][1:]) for pid in self._below(processes))
        return {"own": own / TICK, "below": below / TICK}

    def peak_memory_mb(self) -> float:
        """Return the sum of the peaks of resident memory of the process and of those below it that still run."""
        peak = _memory("VmHWM", self.pid)
        for pid in self._below(_processes()):
            with contextlib.suppress(OSError, RuntimeError):  # one that ended has no memory
                peak += _memory("VmHWM", pid)
        return peak

    def _below(self, processes: Mapping[int, tuple[int, int, int]]) -> Iterator[int]:
        children: dict[int, list[int]] = defaultdict(list)
        for pid, (parent, _, _) in processes.items():
            children[parent].append(pid)
        todo = children[self.pid]
        while todo:
            pid = todo.pop()
            yield pid
            todo += children[pid]


def _processes() -> dict[int, tuple[int, int, int]]:
    """Return of each process its parent, its ticks and those of its children that have ended."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            user, system, ended_user, ended_system = map(int, fields[11:15])
            found[int(stat.parent.name)] = (int(fields[1]), user + system, ended_user + ended_system)
    return found


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Run an embedded PostgreSQL of its own, durable and configured as delivered, in the temp folder."""
    with tempfile.TemporaryDirectory(prefix="warehouse-benchmark-") as folder:
        made = Server(Path(folder) / "server")
        if prepared := os.environ.get(PREPARED):
            shutil.copytree(prepared, made.home)
        try:
            made.start()
            yield made
        finally:
            if made.home.exists():
                made.stop("immediate")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, for the terminal and for the README."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median, and the range where there is one."""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({format(min(values), form)} to {format(max(values), form)})"
