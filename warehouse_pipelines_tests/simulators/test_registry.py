"""A simulator and a driver are found by the name of the source."""

import subprocess
import sys

import pytest

from warehouse_pipelines.simulators.registry import simulated, simulator_of
from warehouse_pipelines.simulators.server import child_environment, start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.drivers.driver import driver_of


@pytest.mark.parametrize("name", [source.name for source in SOURCES])
def test_every_source_has_a_simulator_and_a_driver(name: str) -> None:
    assert isinstance(simulator_of(name).settings_type, type)
    assert isinstance(driver_of(name), type)


def test_nothing_else_is_simulated() -> None:
    assert sorted(simulated()) == sorted(source.name for source in SOURCES)


@pytest.mark.parametrize("name", ["google", "core", "server", "registry", "__main__", "nobody"])
def test_what_is_no_vendor_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"no simulator of {name}; there are arrivy, callrail,"):
        start([name])


def test_a_vendor_is_imported_when_it_is_asked_for() -> None:
    program = (
        "import sys\n"
        "from warehouse_pipelines.simulators.server import start\n"
        "start(['five9'], contacts=5).close()\n"
        "assert 'warehouse_pipelines.simulators.five9.simulator' in sys.modules\n"
        "assert 'warehouse_pipelines.simulators.hubspot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=child_environment())
