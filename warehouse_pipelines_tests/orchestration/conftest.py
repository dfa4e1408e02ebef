"""One Dagster UI for all tests that only need one that runs: starting it takes half a minute of processor time."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.browser import start_ui
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness


@dataclass(frozen=True)
class UI:
    """``dagster dev`` on a harness, and its address."""

    harness: DagsterHarness
    address: str


@pytest.fixture(scope="session")
def running_ui(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """On Dagster's storage as it is by default, in PostgreSQL. The tests that share it stay on one worker."""
    name = f"ui_{uuid.uuid4().hex[:8]}"
    with dagster_harness(test_server, template, tmp_path_factory.mktemp(name), name, contacts=20) as made:
        yield UI(made, start_ui(made))


@pytest.fixture
def ui(running_ui: UI) -> Iterator[UI]:
    """Nothing was ever read from CallRail, which has no faults; what runs Dagster has seen is the test's affair."""
    clean(running_ui.harness)
    yield running_ui
    clean(running_ui.harness)


def clean(harness: DagsterHarness) -> None:
    """Forget what was read, and let CallRail answer again."""
    harness.simulators.control("callrail", "clear_faults")
    with psycopg.connect(harness.url, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE orchestration.sync_history, callrail_call, callrail_tag, callrail_text_message, callrail_company"
            " CASCADE"
        )
