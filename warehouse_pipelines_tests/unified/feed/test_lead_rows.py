"""The rows of ``lead_rows``: their columns exist, their words are mapped, every table of customers has one."""

import pytest

from warehouse_pipelines.outbound import targets
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.feed import consent, signals
from warehouse_pipelines.unified.lead_rows import CONTACTED, MARKS, MORE_CONSENT, SIGNALS, Signal
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase

WITHOUT = {
    "genius_contact": "has a name and how to reach it, and nothing of a sale",
    "pipedesk.calendar_events": "the attendees of a meeting",
}
"""Tables of customers or touches that say nothing of a sale, with the reason."""


def test_the_sql_of_every_row_is_accepted(fed: FeedDatabase) -> None:
    """On tables without a row: a column that is not there, or types that do not meet, would fail."""
    assert fed.feed(full=True).counts["created"] == 0


def test_every_table_of_customers_is_read() -> None:
    read = {signal.of or signal.table for signal in SIGNALS}
    assert {row.table for row in PEOPLE if row.kind != "staff"} - read == WITHOUT.keys()


def test_rows_name_people_and_staff_that_there_are() -> None:
    for signal in SIGNALS:
        assert (signal.of or signal.table) in BY_TABLE
        if signal.owner_table:
            assert BY_TABLE[signal.owner_table].kind == "staff"
    assert set(MORE_CONSENT) <= set(BY_TABLE)
    assert set(consent.people_with_flags()) <= set(consent.CRM_OF)
    assert {row.table for row in CONTACTED} <= set(columns.entities())
    for mark in MARKS:
        target = targets.BY_NAME[f"{mark.crm}_do_not_call"]
        assert (target.crm, target.subject, list(target.by_name)) == (mark.crm, mark.table, [mark.name])


def test_words_have_mappings(fed: FeedDatabase) -> None:
    """hs_lead_status and dispositions included; a source without a row would list everything as unmapped."""
    known = {row["source"] for row in fed.all("SELECT DISTINCT source FROM crm.status_mapping")}
    assert {signal.word for signal in SIGNALS if signal.word} | {"import"} == known
    flags = {(signal.word, word) for signal in SIGNALS for word in (*signal.flags.values(), signal.otherwise) if word}
    mapped = {(row["source"], row["source_status"]) for row in fed.all("SELECT * FROM crm.status_mapping")}
    assert flags <= mapped


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"of": "hubspot_contact"}, "of and key come together"),
        ({"status": "status"}, "a status has a word"),
        ({"owner": "user_id"}, "owner and owner_table"),
    ],
)
def test_a_wrong_row_fails_at_import(row: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Signal(crm="x", table="hubspot_contact", **row)  # type: ignore[arg-type]


def test_the_feed_reads_by_the_index_of_a_key(fed: FeedDatabase) -> None:
    """A delta must not read whole tables: the record's key is compared in the type of the column."""
    signal = next(one for one in SIGNALS if one.table == "genius_lead")
    assert '"t"."lead_id" = m.source_key::bigint' in signals.insert(signal).as_string(fed.session)
