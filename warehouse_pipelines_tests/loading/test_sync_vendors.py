"""Syncs of simulated vendors where something changes while they read, and what a vendor does not say."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warehouse_pipelines.loading import lease, resource
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

OpenHarness = Callable[..., SourceHarness]


@pytest.fixture
def open_harness(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenHarness]:
    """Open the harness of a table."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda table, **more: stack.enter_context(source_harness(table, database_url, monkeypatch, **more))


def test_history_row_exists_before_first_http_call(open_harness: OpenHarness) -> None:
    """While the vendor has not answered anything yet, the row stands there as running."""
    it = open_harness("callrail_tag")
    it.simulator.set_fault("slow", seconds=200, times=1)
    running = threading.Thread(target=it.sync)
    running.start()
    eventually(it.history, "a row in the history")
    assert it.simulator.requests()["total"] == 0
    assert [(row["status"], row["end_time"]) for row in it.history()] == [("running", None)]
    it.simulator.clear_faults()
    running.join()
    assert [row["status"] for row in it.history()] == ["success"]


def test_edit_during_run_is_not_lost(open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is edited after its page was read, and the newest record of the run is younger still."""
    monkeypatch.setattr(resource, "CHUNK", 2)
    it = open_harness("hubspot_contact")
    keys = it.simulator.control("ids", object="contacts")
    edited = False

    def edit_once(records: int) -> None:
        nonlocal edited
        if not edited:
            it.simulator.control("edit", object="contacts", id=keys[0], properties={"city": "Elsewhere"})
            it.simulator.control("edit", object="contacts", id=keys[-1], properties={"city": "Elsewhere"})
            edited = True

    it.sync(batch_size=2, progress=edit_once)
    assert it.rows()[keys[0],]["city"] != "Elsewhere"
    it.sync()
    assert it.rows()[keys[0],]["city"] == it.rows()[keys[-1],]["city"] == "Elsewhere"


def test_same_timestamp_page_boundary(open_harness: OpenHarness) -> None:
    """An import gives more records than a page holds one and the same millisecond."""
    it = open_harness("hubspot_contact", contacts=320)
    it.sync()
    it.simulator.control("bulk_touch", object="contacts", properties={"city": "Elsewhere"})
    result = it.sync()
    assert (result.mode, result.updated) == ("delta", 320)
    assert {row["city"] for row in it.rows().values()} == {"Elsewhere"}


def test_callrail_late_tag_is_captured(open_harness: OpenHarness) -> None:
    """Nothing tells of the edit, so the last thirty days are read again."""
    it = open_harness("callrail_call")
    at = (datetime.now(UTC) - timedelta(days=20)).isoformat(timespec="seconds")
    key = it.simulator.control("add_call", start_time=at)
    it.sync()
    it.simulator.control("tag_late", id=key, tag="Hot lead")
    result = it.sync()
    assert result.updated == 1
    assert "Hot lead" in str(it.rows()[key,]["tags"])


def test_a_total_that_is_not_what_came_makes_the_run_partial(open_harness: OpenHarness) -> None:
    """The rows are kept, the cursor does not move, nothing is buried, and the reason says which figures differ."""
    it = open_harness("callrail_call")
    it.driver.prepare(it.entity)
    first = it.sync()
    deleted = it.driver.delete(it.entity)
    created = it.driver.create(it.entity)
    it.simulator.set_fault("lying_total", path="calls.json", add=7)
    result = it.sync()
    assert (result.status, result.failed, result.watermark) == ("partial", 0, None)
    assert result.reason is not None
    assert str(result.processed + 7) in result.reason
    row = it.history()[-1]
    assert row["performance_metrics"]["partial_reason"] == result.reason
    assert created in it.rows()
    assert not it.rows()[deleted]["archived"]
    it.simulator.clear_faults()
    after = it.sync()
    assert after.status == "success"
    lookback = it.entity.cadence.lookback
    assert first.watermark is not None
    assert after.window.since == min(first.window.until, first.watermark, after.window.until - lookback)
    assert it.rows()[deleted]["archived"]


@pytest.mark.slow("the same in other circumstances")
def test_a_call_that_vanishes_during_the_read_hides_no_other(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one moves over the edge of a page; counted as missing, it would be buried by a successful run."""
    monkeypatch.setattr(resource, "CHUNK", 2)
    it = open_harness("callrail_call")
    it.sync()
    keys = sorted(key for (key,) in it.driver.keys(it.entity))
    keys.sort(key=lambda key: it.rows()[key,]["start_time"])
    spam: list[str] = []

    def mark_once(records: int) -> None:
        if not spam:
            spam.append(keys[0])
            it.simulator.control("spam_call", id=keys[0])

    result = it.sync(full=True, batch_size=2, progress=mark_once)
    assert (result.status, result.deleted) == ("success", 0)
    assert it.sync(full=True).deleted == 1
    assert it.living() == it.driver.keys(it.entity)


def test_removed_association_is_tombstoned(open_harness: OpenHarness) -> None:
    """An association has no date, and its removal does not move its parent's."""
    it = open_harness("hubspot_contact_to_deal_association")
    it.sync()
    key = it.driver.delete(it.entity)
    assert it.sync().deleted == 1
    assert it.rows()[key]["archived"]


@pytest.mark.slow("the same in other circumstances")
def test_a_person_who_is_erased_at_the_vendor_goes_when_everything_is_read_again(open_harness: OpenHarness) -> None:
    """No delta shows it. Of the vendor's answer it can be told from a record that is only archived, or merged."""
    it = open_harness("hubspot_contact")
    assert it.sync().mode == "full"
    erased, archived, winner, loser = (key for (key,) in sorted(it.rows())[:4])
    it.simulator.gdpr_delete(erased)
    it.simulator.archive("contacts", archived)
    it.simulator.merge("contacts", winner, loser)
    assert (it.sync().mode, it.rows()[erased,]["archived"]) == ("delta", False)
    it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '1 day 1 second'")
    result = it.sync()
    assert (result.mode, result.status) == ("full", "success")
    reasons = {key: row["delete_reason"] for (key,), row in it.rows().items() if row["archived"]}
    assert reasons == {erased: "erased", archived: "archived", loser: f"merged into {winner}"}
    assert (it.sync().mode, it.sync(full=True).deleted) == ("delta", 0)


@pytest.mark.slow("the same in other circumstances")
def test_an_archived_contact_that_is_erased_too_is_told_by_the_next_delta(open_harness: OpenHarness) -> None:
    """What left the vendor's list because its 90 days are over stays as it is; so does what is listed."""
    it = open_harness("hubspot_contact")
    it.sync()
    erased, expired, kept, restored = (key for (key,) in sorted(it.rows())[:4])
    for key in (erased, expired, kept, restored):
        it.simulator.archive("contacts", key)
    it.sync()
    it.execute("UPDATE hubspot_contact SET deleted_at = now() - interval '89 days 1 hour' WHERE id = %s", expired)
    it.simulator.expire("contacts", erased)
    it.simulator.expire("contacts", expired)
    it.simulator.restore("contacts", restored)
    assert it.sync().restored == 1
    reasons = {key: row["delete_reason"] for (key,), row in it.rows().items() if row["archived"]}
    assert reasons == {erased: "erased", expired: "archived", kept: "archived"}


@pytest.mark.slow("the same in other circumstances")
def test_an_archive_that_is_empty_all_at_once_proves_nobody_erased(open_harness: OpenHarness) -> None:
    """A right to see it that was lost looks the same."""
    it = open_harness("hubspot_contact")
    it.sync()
    for (key,) in sorted(it.rows())[:25]:
        it.simulator.archive("contacts", key)
    it.sync()
    for (key,) in sorted(it.rows())[:25]:
        it.simulator.expire("contacts", key)
    it.sync()
    assert {row["delete_reason"] for row in it.rows().values() if row["archived"]} == {"archived"}


def test_a_call_that_vanished_long_after_it_was_made_is_found_by_the_weekly_read(open_harness: OpenHarness) -> None:
    it = open_harness("callrail_call")
    it.sync()
    (old, *_), day = min(it.rows().items(), key=lambda one: one[1]["start_time"])
    assert day["start_time"] < datetime.now(UTC) - timedelta(days=31)
    it.simulator.spam_call(old)
    assert (it.sync().deleted, it.sync().mode) == (0, "delta")
    it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '7 days 1 second'")
    result = it.sync()
    assert (result.mode, result.deleted) == ("full", 1)
    assert it.rows()[old,]["delete_reason"] == "missing"


def test_one_name_of_an_entity_is_one_lock(database_url: str) -> None:
    """Two entities never share a lock; the lock says whose it is."""
    source: Source = SOURCES[0]
    one: Entity = source.entities[0]
    with lease.hold(database_url, source, one), lease.hold(database_url, source, source.entities[1]):
        pass
