"""Which vendors can be simulated: each is found by the name of its source, and imported when it is asked for.

A vendor is a module `<name>.py` or a folder `<name>/` with a `simulator.py`; there, `SIMULATOR` is its class. Nothing
else names it. Sources that share a class share a simulator: Google's APIs have one login and one address.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from warehouse_pipelines import simulators
from warehouse_pipelines.simulators.core.simulator import Simulator


@cache
def simulator_of(name: str) -> type[Simulator]:
    """The simulator of a source. Raises ``LookupError``."""
    modules = {module.name: module for module in pkgutil.iter_modules(simulators.__path__)}
    if name in modules and not name.startswith("_"):
        folder = ".simulator" if modules[name].ispkg else ""
        module = import_module(f"{simulators.__name__}.{name}{folder}")
        if hasattr(module, "SIMULATOR"):
            found: type[Simulator] = module.SIMULATOR
            return found
    raise LookupError(f"no simulator of {name}")


@cache
def simulated() -> tuple[str, ...]:
    """The names of all vendors that are simulated, which imports them all."""

    def is_simulated(name: str) -> bool:
        try:
            return simulator_of(name) is not None
        except LookupError:
            return False

    return tuple(module.name for module in pkgutil.iter_modules(simulators.__path__) if is_simulated(module.name))


def lacking(names: Iterable[str] | None = None) -> dict[str, str]:
    """The vendors that cannot be simulated on this machine, and what it lacks for each."""
    missing = {name: simulator_of(name).lacking() for name in (simulated() if names is None else names)}
    return {name: what for name, what in missing.items() if what}


def available() -> list[str]:
    """All vendors but those that are `lacking`; under CI nothing may be."""
    without = lacking()
    if without and os.environ.get("CI"):
        raise RuntimeError(f"CI must have {', '.join(without.values())}")
    return [name for name in simulated() if name not in without]
