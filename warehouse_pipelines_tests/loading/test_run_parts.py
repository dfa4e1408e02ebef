"""How the entities of a CRM are divided among runs."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.run_parts import run_parts
from warehouse_pipelines_tests.harness import record_store

NAMES = ("contacts", "deals", "owners", "companies")
ENTITIES = [replace(record_store.GADGETS, name=name, table=f"store_{name}") for name in NAMES]
SOURCE = replace(record_store.RecordStore().source(), entities=tuple(ENTITIES))


def parts(url: str, seconds: Mapping[str, list[tuple[str, float]]], worth_seconds: float = 60.0) -> list[list[str]]:
    """Return the names in each part, after runs of these modes and seconds, the oldest first."""
    with warehouse.connect(url) as session, session.transaction(force_rollback=True):
        for name, runs in seconds.items():
            for mode, took in runs:
                session.execute(
                    "INSERT INTO orchestration.sync_history"
                    " (crm_source, sync_type, start_time, end_time, status, configuration)"
                    " VALUES ('store', %s, now() - make_interval(secs => %s), now(), 'success', %s)",
                    [name, took, json.dumps({"mode": mode, "dry_run": False, "max_records": 0})],
                )
        return [[one.name for one in part] for part in run_parts(session, SOURCE, ENTITIES, 3, worth_seconds)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((66, 1, 1, 0.5), [set(NAMES)]),
        ((119, 0, 0, 0), [set(NAMES)]),
        ((200, 58, 1, 0), [set(NAMES)]),
        ((90, 70, 10, 5), [{"contacts"}, {"deals", "owners", "companies"}]),
        ((70, 50, 50, 50), [{"contacts", "owners"}, {"deals", "companies"}]),
        ((200, 100, 40, 30), [{"contacts"}, {"deals"}, {"owners", "companies"}]),
    ],
)
def test_each_of_several_parts_is_worth_a_run(
    shared_url: str, seconds: tuple[float, ...], expected: list[set[str]]
) -> None:
    deltas = {name: [("delta", took)] for name, took in zip(NAMES, seconds, strict=True)}
    assert sorted(map(sorted, parts(shared_url, deltas))) == sorted(map(sorted, expected))


def test_without_a_worth_there_are_as_many_parts_as_may_be(shared_url: str) -> None:
    assert parts(shared_url, {"contacts": [("delta", 66)]}, worth_seconds=0.0)[0] == ["contacts"]
    assert len(parts(shared_url, {}, worth_seconds=0.0)) == 3


def test_only_the_last_poll_says_how_long_an_entity_takes(shared_url: str) -> None:
    """A read by key for webhooks or of one month says nothing of it."""
    runs = [("full", 900.0), ("delta", 2.0), ("webhook", 900.0), ("backfill", 900.0)]
    assert len(parts(shared_url, {"contacts": runs, "deals": runs})) == 1
    runs = [("delta", 900.0), ("webhook", 1.0)]
    assert len(parts(shared_url, {"contacts": runs, "deals": runs})) == 2
