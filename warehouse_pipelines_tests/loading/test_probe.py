"""Probes: a sync that finds nothing new is a whole one; one that finds anything leaves no trace."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.loading import entity_lock, sync_history
from warehouse_pipelines.loading import probe as probing
from warehouse_pipelines.loading import sync as syncing
from warehouse_pipelines.loading.options import Result
from warehouse_pipelines.model.reading import ReadReport
from warehouse_pipelines_tests.harness.fake_source import LOG, PAIR, THING, FakeSource, Shown, thing
from warehouse_pipelines_tests.harness.subprocesses import eventually


@pytest.fixture
def fake(bare_url: str) -> FakeSource:
    return FakeSource(bare_url)


def probe(fake: FakeSource, *pages: Shown) -> Result | None:
    fake.pages = pages
    return probing.probe(fake.source(), fake.entity, url=fake.url)


def candidates(fake: FakeSource) -> bool:
    with warehouse.session(fake.url) as session:
        return bool(probing.candidates(session, fake.source(), [fake.entity]))


def open_rows(fake: FakeSource) -> list[Any]:
    with psycopg.connect(fake.url) as connection:
        return connection.execute("SELECT * FROM orchestration.dead_letter WHERE crm_source = 'fake'").fetchall()


def test_a_probe_that_finds_nothing_is_a_sync_of_which_the_history_tells(fake: FakeSource) -> None:
    fake.sync([thing(1, day=3), thing(2, day=4)])
    rows = fake.rows()
    found = probe(fake, [thing(2, day=4)])
    assert found is not None
    assert (found.status, found.mode, found.processed, found.unchanged) == ("success", "delta", 1, 1)
    assert fake.rows() == rows, "sync_updated_at included"
    first, last = fake.history()
    assert (last["status"], last["id"], last["configuration"]["probe"]) == ("success", found.history_id, True)
    assert last["configuration"]["cursor"] == first["configuration"]["cursor"]
    fake.sync([thing(3, day=5)])
    assert fake.asked[-1].window.since == fake.asked[-2].window.since, "a delta goes on where the probe ended"


CHANGES: dict[str, Callable[[FakeSource], list[dict[str, Any]]]] = {
    "a new record": lambda _: [thing(3, day=5)],
    "an edit": lambda _: [thing(2, day=5, name="edited")],
    "a deletion": lambda _: [thing(2, day=5, removed=True)],
    "a record that cannot be loaded": lambda _: [thing(2, day=4), thing(4, day=5, size="not a number")],
    "a record among many": lambda _: [*(thing(2, day=4) for _ in range(3)), thing(3, day=5)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_probe_that_finds_anything_leaves_no_trace(fake: FakeSource, change: str) -> None:
    fake.sync([thing(1, day=3), thing(2, day=4)])
    rows, history = fake.rows(), fake.history()
    found = CHANGES[change](fake)
    assert probe(fake, found) is None
    assert (fake.rows(), fake.history(), open_rows(fake)) == (rows, history, [])
    result = fake.sync(found)
    assert result.created + result.updated + result.deleted + result.failed, "the run after it finds it"


def test_what_a_full_read_lacks_is_left_to_a_run(fake: FakeSource) -> None:
    fake.entity = PAIR
    pair = [{"one": "a", "two": n, "label": "x"} for n in (1, 2, 3)]
    fake.sync(pair)
    assert probe(fake, pair) is not None
    assert probe(fake, pair[:2]) is None
    assert not any(row["archived"] for row in fake.rows().values())
    assert fake.sync(pair[:2]).deleted == 1
    assert probe(fake, pair) is None, "one came back"


def test_a_read_that_cannot_be_called_complete_is_left_to_a_run(fake: FakeSource) -> None:
    fake.sync([thing(1, day=3)])
    history = fake.history()
    fake.report = ReadReport(unproven="the last page was cut off")
    assert probe(fake, [thing(1, day=3)]) is None
    assert fake.history() == history


def test_a_vendor_that_fails_is_left_to_a_run(fake: FakeSource) -> None:
    fake.sync([thing(1, day=3)])
    history = fake.history()

    def fail() -> None:
        raise VendorUnavailable("503")

    assert probe(fake, fail) is None
    assert fake.history() == history


def test_a_probe_reads_no_more_than_it_may(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "PROBE_RECORDS", 3)
    monkeypatch.setattr(probing, "PROBE_RECORDS", 3)
    known = [thing(n, day=3) for n in range(4)]
    fake.sync(known)
    history = fake.history()
    assert probe(fake, known[:3]) is not None
    assert probe(fake, known) is None
    assert len(fake.history()) == len(history) + 1
    fake.sync(known[:3])
    assert candidates(fake)
    fake.sync(known)
    assert not candidates(fake), "it would read too much"


def test_a_vendor_that_takes_long_is_left_to_a_run(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the probe would commit late, it cannot."""
    monkeypatch.setattr(syncing, "PROBE_SECONDS", 0.3)
    fake.sync([thing(1, day=3)])
    history, answer = fake.history(), threading.Event()

    def hang() -> None:
        answer.wait(60)

    began = time.monotonic()
    try:
        assert probe(fake, hang, [thing(1, day=3)]) is None
        assert time.monotonic() - began < 30
        assert fake.history() == history
    finally:
        answer.set()
    eventually(lambda: not any(one.name == "sync" for one in threading.enumerate()), "what was left behind has ended")
    assert fake.history() == history
    assert fake.sync([thing(1, day=3)]).status == "success"
    assert len(fake.history()) == len(history) + 1


def test_what_another_run_syncs_is_not_probed(fake: FakeSource) -> None:
    fake.sync([thing(1, day=3)])
    with warehouse.connect(fake.url) as session:
        assert entity_lock.take(session, "fake", THING.name)
        began = time.monotonic()
        assert probe(fake, [thing(1, day=3)]) is None
        assert time.monotonic() - began < 10, "it does not wait for the other one"
    assert (len(fake.asked), len(fake.history())) == (1, 1)


def test_only_what_found_nothing_the_last_time_is_likely_to_find_nothing(fake: FakeSource) -> None:
    assert not candidates(fake), "it was never synced"
    fake.sync([thing(1, day=3)])
    assert not candidates(fake), "the last run created a row"
    fake.sync([thing(1, day=3)])
    assert candidates(fake)
    assert probe(fake, [thing(1, day=3)])
    assert candidates(fake), "a probe found nothing"
    fake.sync([thing(1, day=6, name="edited")])
    assert not candidates(fake)
    fake.sync([thing(1, day=6, name="edited")], dry_run=True)
    assert not candidates(fake), "a dry run says nothing"
    fake.sync([thing(1, day=6, name="edited")])
    assert candidates(fake)

    def fail() -> None:
        raise VendorUnavailable("503")

    with pytest.raises(VendorUnavailable):
        fake.sync(fail)
    assert not candidates(fake), "the last one failed"


@pytest.mark.parametrize(
    "change",
    [
        "end_time = start_time + interval '6 seconds'",
        "performance_metrics = performance_metrics || '{\"restored\": 1}'",
    ],
    ids=["took long", "restored a row"],
)
def test_what_took_long_or_restored_a_row_is_not(fake: FakeSource, change: str) -> None:
    fake.sync([thing(1, day=3)])
    fake.sync([thing(1, day=3)])
    assert candidates(fake)
    with psycopg.connect(fake.url, autocommit=True) as connection:
        connection.execute(f"UPDATE orchestration.sync_history SET {change} WHERE crm_source = 'fake'")
    assert not candidates(fake)


def test_a_read_of_everything_that_is_due_is_left_to_a_run(fake: FakeSource) -> None:
    fake.entity = replace(THING, cadence=replace(THING.cadence, full_every=timedelta(days=7), never_full=""))
    fake.sync([thing(1, day=3)])
    assert probe(fake, [thing(1, day=3)])
    with psycopg.connect(fake.url, autocommit=True) as connection:
        connection.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '15 days'")
    asked = len(fake.asked)
    assert probe(fake, [thing(1, day=3)]) is None
    assert len(fake.asked) == asked, "the vendor is not asked for everything twice"


def test_a_probe_whose_process_died_is_no_failed_run(fake: FakeSource) -> None:
    fake.sync([thing(1, day=3)])
    with warehouse.connect(fake.url) as session:
        for configuration in ({"probe": True}, {}):
            sync_history.begin(
                session, fake.source(), THING, start_time=datetime.now(UTC), configuration=configuration,
                run_id=None,
            )  # fmt: skip
    sync_history.close_stale_runs(fake.url)
    assert [row["status"] for row in fake.history()] == ["success", "failed"]


def test_a_window_that_lost_a_row_is_left_to_a_run(fake: FakeSource) -> None:
    fake.entity = LOG
    today = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    known = [thing(n) | {"at": today} for n in (1, 2)]
    fake.sync(known)
    assert probe(fake, known) is not None
    assert probe(fake, known[:1]) is None
    assert not any(row["archived"] for row in fake.rows().values())
