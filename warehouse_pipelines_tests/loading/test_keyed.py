"""Reads of given keys: what an event names is read, and nothing else is judged by it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.keyed import sync_keys
from warehouse_pipelines.loading.options import Result
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source
from warehouse_pipelines_tests.harness.fake_source import ENTITIES, FakeSource, thing
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness


class Vendor(FakeSource):
    """A fake vendor that can be asked for single records."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.has: dict[str, dict[str, Any]] = {}
        self.asked_for: list[tuple[str, ...]] = []

    def keyed(self) -> Source:
        return replace(self.source(*ENTITIES), read_keys=self.read_keys, by_key={self.entity.name: 3})

    def read_keys(self, request: ReadRequest, context: ReadContext) -> Pages:
        self.asked_for.append(tuple(request.keys))
        found = [json.dumps(self.has[key]).encode() for key in request.keys if key in self.has]
        yield Page(found, in_window=False)
        return ReadReport(deleted_keys=[key for key in request.keys if key not in self.has])

    def read(self, *keys: str) -> Result:
        return sync_keys(self.keyed(), self.entity, keys, url=self.url)


@pytest.fixture
def vendor(bare_url: str) -> Vendor:
    vendor = Vendor(bare_url)
    vendor.sync([thing(1, day=3), thing(2, day=4), thing(3, day=5)])
    vendor.has = {str(n): thing(n, day=2 + n) for n in (1, 2, 3)}
    return vendor


def test_the_named_records_are_read_once_and_no_other_row_is_deleted(vendor: Vendor) -> None:
    vendor.has["2"] = thing(2, day=9, name="edited")
    vendor.has["4"] = thing(4, day=9)
    result = vendor.read("2", "4", "2")
    assert vendor.asked_for == [("2", "4")]
    assert (result.mode, result.status, result.created, result.updated, result.deleted) == (
        "webhook",
        "success",
        1,
        1,
        0,
    )
    assert vendor.row("2")["name"] == "edited"
    assert not any(row["archived"] for row in vendor.rows().values())


def test_the_watermark_stays(vendor: Vendor) -> None:
    """A later delta begins where the last poll ended, however new what an event named is."""
    before = vendor.history()[-1]["configuration"]["cursor"]
    vendor.has["2"] = thing(2, day=28)
    assert vendor.read("2").watermark is None
    vendor.sync()
    assert vendor.history()[-1]["configuration"]["previous_cursor"] == before


def test_a_key_that_the_vendor_no_longer_has_is_tombstoned_and_comes_back(vendor: Vendor) -> None:
    removed = vendor.has.pop("3")
    assert vendor.read("3", "1").deleted == 1
    assert (vendor.row("3")["archived"], vendor.row("3")["delete_reason"]) == (True, "missing")
    assert not vendor.row("1")["archived"]
    vendor.has["3"] = removed
    assert vendor.read("3").restored == 1
    assert not vendor.row("3")["archived"]


def test_an_older_record_does_not_replace_a_newer_row(vendor: Vendor) -> None:
    vendor.sync([thing(1, day=20, name="newer")])
    vendor.has["1"] = thing(1, day=10, name="older")
    assert vendor.read("1").updated == 0
    assert vendor.row("1")["name"] == "newer"


def test_a_bad_record_is_a_dead_letter_and_the_others_are_loaded(vendor: Vendor) -> None:
    vendor.has["1"] = {**thing(1, day=9, name="good")}
    vendor.has["2"] = {**thing(2, day=9), "size": "not a number"}
    result = vendor.read("1", "2")
    assert (result.status, result.updated, result.failed) == ("partial", 1, 1)


def test_more_keys_than_a_run_may_read_and_entities_without_are_refused(vendor: Vendor) -> None:
    with pytest.raises(WrongUse, match="one run reads 1 to 3"):
        vendor.read("1", "2", "3", "4")
    with pytest.raises(WrongUse, match="1 to 3"):
        vendor.read()
    with pytest.raises(WrongUse, match="cannot be read by key"):
        sync_keys(vendor.keyed(), ENTITIES[1], ["1"], url=vendor.url)


def test_read_keys_and_by_key_belong_together(vendor: Vendor) -> None:
    with pytest.raises(ValueError, match="belong together"):
        replace(vendor.source(), by_key={"things": 1})
    with pytest.raises(ValueError, match="has not: strangers"):
        replace(vendor.keyed(), by_key={"strangers": 1})


def same_as_a_full_read(harness: SourceHarness) -> None:
    """A read of everything finds nothing to change: the keyed reads left what polls alone would have."""
    result = harness.sync(full=True)
    assert (result.created, result.updated, result.deleted, result.restored) == (0, 0, 0, 0)


def read(harness: SourceHarness, *keys: str) -> Result:
    return sync_keys(harness.source, harness.entity, keys, url=harness.url)


@pytest.fixture(params=["survivor", "missing"])
def contacts(
    database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SourceHarness]:
    with source_harness("hubspot_contact", database_url, monkeypatch, merged_read=request.param) as harness:
        harness.sync()
        yield harness


def test_hubspot_contacts_edited_archived_merged_restored_and_erased(contacts: SourceHarness) -> None:
    portal = contacts.simulator
    edited, archived, primary, absorbed, restored, erased, both = portal.ids("contacts")[:7]
    portal.archive("contacts", restored)
    portal.archive("contacts", both)
    assert read(contacts, restored, both).deleted == 2
    portal.edit("contacts", edited, {"city": "Elyria"})
    portal.archive("contacts", archived)
    portal.merge("contacts", primary, absorbed)
    portal.restore("contacts", restored)
    portal.gdpr_delete(erased)
    portal.gdpr_delete(both)
    made = portal.create("contacts", {"email": "made@example.test"})
    result = read(contacts, edited, archived, primary, absorbed, restored, erased, both, made)
    assert result.status == "success"
    reasons = {key[0]: row["delete_reason"] for key, row in contacts.rows().items() if row["archived"]}
    expected = {archived: "archived", absorbed: f"merged into {primary}", erased: "erased", both: "erased"}
    assert {key: reasons[key] for key in expected} == expected
    assert not contacts.rows()[restored,]["archived"]
    assert contacts.rows()[made,]["email"] == "made@example.test"
    same_as_a_full_read(contacts)


@pytest.mark.parametrize("table", ["callrail_call", "callrail_form_submission"])
def test_callrail_records_edited_and_removed(database_url: str, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    with source_harness(table, database_url, monkeypatch) as harness:
        harness.sync()
        account = harness.simulator
        first, second, *_ = account.ids(harness.entity.name)
        if table == "callrail_call":
            account.edit_call(first, note="late note")
            account.spam_call(second)
            made = account.add_call()
        else:
            account.edit_form(first, note="late note")
            made = account.add_form()
        result = read(harness, first, second, made)
        assert (result.created, result.updated, result.deleted) == (1, 1, int(table == "callrail_call"))
        assert harness.rows()[first,]["note"] == "late note"
        same_as_a_full_read(harness)


@pytest.mark.parametrize("table", ["arrivy_task", "arrivy_booking"])
def test_arrivy_records_edited_deleted_and_moved(
    database_url: str, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    with source_harness(table, database_url, monkeypatch) as harness:
        harness.sync()
        path = harness.entity.path
        edited, deleted, moved, *_ = harness.simulator.ids(path)
        harness.simulator.edit(path, edited, {"title": "edited"})
        harness.simulator.delete(path, deleted)
        harness.simulator.reschedule(path, moved)
        made = harness.simulator.create(path)
        result = read(harness, edited, deleted, moved, made)
        assert (result.created, result.updated, result.deleted) == (1, 2, 1)
        same_as_a_full_read(harness)


def test_every_declared_entity_has_a_key_of_one_column() -> None:
    """An event names one id, so that is what a key must be."""
    from warehouse_pipelines.sources import SOURCES

    declared: list[Entity] = [one for source in SOURCES for one in source.entities if one.name in source.by_key]
    assert declared
    assert [one.table for one in declared if len(one.keys) > 1] == []
