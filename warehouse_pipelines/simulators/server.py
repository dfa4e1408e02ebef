"""Starting the simulated vendors: in this process, in a child process, or in the foreground.

    with start(contacts=1000) as simulators:
        os.environ.update(simulators.environment())
        simulators.of(HubSpot).edit("contacts", "9999501", {"city": "Dayton"})

A child process (`start_process`) is for benchmarks and demos, where the vendor must not share an interpreter with its
client.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator
from warehouse_pipelines.simulators.registry import available, lacking, simulated, simulator_of

READY = "# ready"
CONTROL = "# control "
LEFT_OUT = "# left out: "

V = TypeVar("V", bound=Simulator)


class Simulators:
    """The running vendors; each has the operations of its control endpoint as methods."""

    def __init__(self, vendors: Mapping[str, Simulator]) -> None:
        self._vendors = dict(vendors)

    def named(self, name: str) -> Simulator:
        return self._vendors[name]

    def of(self, kind: type[V]) -> V:
        """The vendor of this class."""
        return next(vendor for vendor in self._vendors.values() if isinstance(vendor, kind))

    def environment(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        for vendor in self._vendors.values():
            settings |= vendor.environment()
        return settings

    def urls(self) -> dict[str, str]:
        """Where each vendor, and its control endpoint, listens."""
        return {name: vendor.url for name, vendor in self._vendors.items()}

    def control(self, vendor: str, op: str, **arguments: Any) -> Any:
        return self._vendors[vendor].control(op, **arguments)

    def close(self) -> None:
        for vendor in set(self._vendors.values()):
            vendor.close()

    def __enter__(self) -> Simulators:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(
    vendors: Iterable[str] | None = None,
    *,
    contacts: int = 1000,
    seed: int = 1,
    port: int = 0,
    host: str = "127.0.0.1",
    now: float | None = None,
    faults: Iterable[Mapping[str, Any]] = (),
    **settings: Mapping[str, Any],
) -> Simulators:
    """Serve from background threads of this process.

    `vendors` are all that this machine can simulate, or the named ones. `port` is the first vendor's, the others
    follow; 0 takes free ones. `settings` are those of a vendor, by its name.
    Names that have one class are one vendor: Google's APIs share a login and an address.
    Each of `faults` is the arguments of `set_fault` and perhaps a `vendor`.
    """
    chosen = available() if vendors is None else list(vendors)
    found: dict[str, type[Simulator]] = {}
    for name in dict.fromkeys((*chosen, *settings)):
        try:
            found[name] = simulator_of(name)
        except LookupError as error:
            raise ValueError(f"{error}; there are {', '.join(simulated())}") from error
    # Some callers never became contacts, so the population is a little larger than the CRM.
    population = Population(seed, contacts + contacts // 10 + 10)
    running: dict[str, Simulator] = {}
    for place, kind in enumerate(dict.fromkeys(found[name] for name in chosen)):
        names = [name for name in chosen if found[name] is kind]
        its = {"contacts": contacts, "now": now}
        for name in names:
            its |= settings.get(name, {})
        vendor = kind(population, kind.settings_type(**its))
        vendor.listen(host, port + place if port else 0)
        running |= dict.fromkeys(names, vendor)
    for fault in faults:
        arguments = dict(fault)
        meant = arguments.pop("vendor", None)
        for vendor in {one for name, one in running.items() if meant in (None, name)}:
            vendor.set_fault(**arguments)
    return Simulators(running)


def serve_forever(vendors: Iterable[str] | None = None, **options: Any) -> None:
    """Serve in the foreground: print the settings as KEY=value lines and wait for SIGINT or SIGTERM."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with start(vendors, **options) as simulators:
            for name, value in simulators.environment().items():
                print(f"{name}={value}")
            for name, url in simulators.urls().items():
                print(f"{CONTROL}{name} {url}")
            for name, what in lacking().items():
                print(f"{LEFT_OUT}{name}, because this machine lacks {what}")
            print(READY, flush=True)
            # A wait without a limit cannot be interrupted by a signal everywhere.
            while not stop.wait(1.0):
                pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class SimulatorsProcess:
    """The vendors in a child process. It ends with `close()`, or when this process does."""

    def __init__(self, child: subprocess.Popen[str], environment: dict[str, str], urls: dict[str, str]) -> None:
        self._child = child
        self._environment = environment
        self._urls = urls

    @property
    def pid(self) -> int:
        return self._child.pid

    def environment(self) -> dict[str, str]:
        return dict(self._environment)

    def control(self, vendor: str, op: str, **arguments: Any) -> Any:
        where = urlsplit(self._urls[vendor])
        connection = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port, timeout=120)
        try:
            connection.request("POST", f"/__control__/{op}", json.dumps(arguments))
            response = connection.getresponse()
            body = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(body["error"])
        return body

    def close(self) -> None:
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        self._child.terminate()
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> SimulatorsProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def child_environment() -> dict[str, str]:
    """The environment of a child that can import this package from wherever it is started."""
    here = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def start_process(
    vendors: Iterable[str] | None = None, *, wait_seconds: float = 60, **options: Any
) -> SimulatorsProcess:
    """The same as `start`, in a child process; options are those of `start`."""
    command = [sys.executable, "-m", "warehouse_pipelines.simulators", "--with-parent"]
    command += ["--options", json.dumps(options)]
    if vendors is not None:
        command += ["--vendors", ",".join(vendors)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment())
    settings: dict[str, str] = {}
    urls: dict[str, str] = {}
    deadline = time.monotonic() + wait_seconds
    if child.stdout is None:
        raise RuntimeError("the simulators have no standard output")
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        ready = bool(selector.select(timeout=deadline - time.monotonic()))
    # The lines are printed together, so once the first is there the rest does not keep us waiting.
    for line in child.stdout if ready else ():
        if line.strip() == READY:
            return SimulatorsProcess(child, settings, urls)
        if line.startswith(CONTROL):
            vendor, url = line.removeprefix(CONTROL).split()
            urls[vendor] = url
        elif not line.startswith("#"):
            name, _, value = line.strip().partition("=")
            settings[name] = value
    SimulatorsProcess(child, settings, urls).close()
    raise RuntimeError(f"the simulators did not start; exit code {child.returncode}")
