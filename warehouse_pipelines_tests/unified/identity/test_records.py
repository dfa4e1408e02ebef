"""Changed rows of the sources become records, once each, whatever the loaders do meanwhile."""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.model import column_config
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import DECLARED
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.identity import records, source_rows
from warehouse_pipelines.unified.identity.normalise import Raw, block_keys, normalise
from warehouse_pipelines.unified.identity.records import Changed, refresh
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ANA = {
    "id": "1", "firstname": "Ana", "lastname": "Rivera", "email": "Ana@Example.test", "phone": "(937) 555-0001",
    "phone_e164": "+19372230001", "address": "12 Maple Avenue", "city": "Dayton", "state": "Ohio", "zip": "45402",
    "createdate": "2025-01-01T00:00:00Z", "lastmodifieddate": "2025-01-02T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.connect(database_url) as session:
        yield session


def put(session: "Session", table: str, **row: Any) -> None:
    """Insert a row as a loader would, or update it."""
    values = {
        "raw_data": "{}",
        **{name: json.dumps(one) if isinstance(one, (list, dict)) else one for name, one in row.items()},
    }
    keys = {one.table: one.keys for source in DECLARED for one in source.entities}[table]
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    updates = ", ".join(f"{name} = excluded.{name}" for name in values)
    session.execute(
        f"INSERT INTO {table} ({names}) VALUES ({places})"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}, sync_updated_at = now()".encode(),
        values,
    )


def stored(session: "Session", table: str = "hubspot_contact", key: str = "1") -> dict[str, Any]:
    row = session.execute(
        "SELECT * FROM identity.record WHERE source_table = %s AND source_key = %s", [table, key]
    ).fetchone()
    assert row is not None
    return row


def count(session: "Session") -> int:
    row = session.execute("SELECT count(*) AS number FROM identity.record").fetchone()
    assert row is not None
    return int(row["number"])


def test_a_row_becomes_a_record(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA, marketsharp_id="AAAAAAAA-6D73-4000-8000-000000000000", lead_id="77")
    changed = refresh(session)
    found = stored(session)
    assert changed.ids == {found["record_id"]}
    assert changed.keys_before == {}
    assert changed.keys_after == {found["record_id"]: tuple(found["block_keys"])}
    assert (found["first_name"], found["last_name"], found["display_name"]) == ("ana", "rivera", "Ana Rivera")
    assert (found["emails"], found["phones"]) == (["ana@example.test"], ["+19372230001"])
    assert (found["street"], found["city"], found["state"], found["zip"]) == ("12 maple ave", "dayton", "oh", "45402")
    assert found["ids"] == [
        "hubspot_contact:1",
        "marketsharp_contact:aaaaaaaa-6d73-4000-8000-000000000000",
        "genius_lead:77",
    ]
    assert found["kind"] == "customer"
    assert found["created_at"] == datetime(2025, 1, 1, tzinfo=UTC)
    assert found["updated_at"] == datetime(2025, 1, 2, tzinfo=UTC)


def test_what_did_not_change_is_not_written_again(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    before = stored(session)
    put(session, "hubspot_contact", **ANA, lead_notes="Has a dog")
    again = refresh(session)
    assert again.read == 1
    assert (again.ids, again.edited, again.changed) == (frozenset(), frozenset(), 0)
    assert stored(session) == before


def test_an_edit_that_is_not_compared_is_told_apart(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    before = stored(session)
    put(session, "hubspot_contact", **ANA | {"lastmodifieddate": "2025-06-01T00:00:00Z", "firstname": "ANA"})
    changed = refresh(session)
    after = stored(session)
    assert (set(changed.ids), set(changed.edited)) == (set(), {before["record_id"]})
    assert after["display_name"] == "ANA Rivera"
    assert after["updated_at"] == datetime(2025, 6, 1, tzinfo=UTC)
    assert after["changed_at"] == before["changed_at"]


def test_a_change_has_the_keys_before_and_after(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    put(session, "hubspot_contact", **ANA | {"phone_e164": "+19372230002"})
    changed = refresh(session)
    (record,) = changed.ids
    assert "p:+19372230001" in changed.keys_before[record]
    assert "p:+19372230001" not in changed.keys_after[record]
    assert "p:+19372230002" in changed.keys_after[record]
    assert record == stored(session)["record_id"], "the record keeps its number"


def test_a_deleted_row_stays_a_record(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    session.execute("UPDATE hubspot_contact SET archived = true, deleted_at = now(), sync_updated_at = now()")
    assert len(refresh(session).ids) == 1
    assert stored(session)["deleted"]


def test_a_made_up_lead_counts_as_deleted(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA, lead_is_dummy=True)
    refresh(session)
    assert stored(session)["deleted"]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_row_that_is_gone_is_removed_by_a_full_refresh(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    put(session, "hubspot_contact", **ANA | {"id": "2"})
    refresh(session)
    absent = stored(session, key="2")
    person = session.execute(
        "INSERT INTO identity.person (kind, record_count, source_tables) VALUES ('customer', 1, '{}')"
        " RETURNING person_id"
    ).fetchone()
    assert person is not None
    session.execute(
        "INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
        " VALUES (%s, %s, 'hubspot_contact', '2')",
        [absent["record_id"], person["person_id"]],
    )
    session.execute("DELETE FROM hubspot_contact WHERE id = '2'")
    assert refresh(session).removed == {}
    changed = refresh(session, full=True)
    assert changed.removed == {absent["record_id"]: person["person_id"]}
    assert changed.keys_before == {absent["record_id"]: tuple(absent["block_keys"])}
    assert changed.ids == frozenset()
    assert count(session) == 1


def test_a_table_that_holds_no_people_any_more_is_removed_by_a_full_refresh(session: "Session") -> None:
    session.execute(
        "INSERT INTO identity.record (source_table, source_key, kind, fingerprint) VALUES ('none', '1', 'customer', '')"
    )
    refresh(session, full=True, tables=["hubspot_contact"])
    assert count(session) == 1
    refresh(session, full=True)
    assert count(session) == 0


def test_only_the_tables_asked_for_are_read(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    put(session, "genius_contact", id=1, first_name="Ana", last_name="Rivera", email="ana@example.test")
    assert refresh(session, tables=["genius_contact"]).changed == 1
    assert refresh(session).changed == 1
    with pytest.raises(ValueError, match="no people are known in hubspot_deal"):
        refresh(session, tables=["hubspot_deal"])


def marketsharp(session: "Session", number: int = 1) -> str:
    guid = f"aaaaaaaa-6d73-4000-8000-{number:012}"
    put(session, "marketsharp_contact", id=guid, contact_phone_id=guid, first_name="Ana", last_name="Rivera")
    return guid


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_change_of_a_joined_table_is_one_of_the_record(session: "Session") -> None:
    guid = marketsharp(session)
    refresh(session)
    assert stored(session, "marketsharp_contact", guid)["phones"] == []
    put(session, "marketsharp_contact_phone", contact_id=guid, home_phone="x", home_phone_e164="+19372230001")
    changed = refresh(session)
    assert changed.ids == {stored(session, "marketsharp_contact", guid)["record_id"]}
    assert stored(session, "marketsharp_contact", guid)["phones"] == ["+19372230001"]
    put(session, "marketsharp_address", id="b", contact_id=guid, line1="12 Maple Ave", city="Dayton", is_active=False)
    put(session, "marketsharp_address", id="c", contact_id=guid, line1="14 Maple Ave", city="Dayton", is_active=True)
    assert len(refresh(session).ids) == 1
    assert stored(session, "marketsharp_contact", guid)["street"] == "14 maple ave"
    put(session, "marketsharp_contact", id=guid, primary_address_id="b")
    refresh(session)
    assert stored(session, "marketsharp_contact", guid)["street"] == "12 maple ave"


def test_the_four_tables_of_marketsharp_point_at_the_contact(session: "Session") -> None:
    guid = marketsharp(session)
    for table in ("marketsharp_lead", "marketsharp_prospect", "marketsharp_customer"):
        put(session, table, id=guid, first_name="Ana", last_name="Rivera")
    refresh(session)
    key = f"i:marketsharp_contact:{guid}"
    rows = session.execute("SELECT source_table FROM identity.record WHERE block_keys && %s", [[key]]).fetchall()
    assert len(rows) == 4


def test_an_appointment_borrows_from_its_contact_what_it_lacks(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    put(session, "hubspot_appointment", id="7", hscontact_id="1", phone1_e164="+19372230009")
    put(session, "hubspot_appointment", id="8")
    put(
        session,
        "hubspot_appointment_to_contact_association",
        appointment_id="8", contact_id="1", association_type_id=1,
    )  # fmt: skip
    refresh(session)
    for key, phone in (("7", "+19372230009"), ("8", "+19372230001")):
        found = stored(session, "hubspot_appointment", key)
        assert (found["first_name"], found["phones"][0]) == ("ana", phone)
        assert "hubspot_contact:1" in found["ids"]
    put(session, "hubspot_contact", **ANA | {"lastname": "Hollis"})
    assert len(refresh(session).ids) == 3
    assert stored(session, "hubspot_appointment", "8")["last_name"] == "hollis"


def test_a_lead_of_pipedesk_has_the_name_of_its_contact(session: "Session") -> None:
    lead, contact, company = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
    put(session, "pipedesk.companies", id=company, name="Rivera Homes")
    put(session, "pipedesk.contacts", id=contact, company_id=company, name="Ana Rivera", email="ana@example.test")
    put(session, "pipedesk.leads", id=lead, legal_name="Rivera Homes Ltda", address_city="Dayton")
    refresh(session)
    assert stored(session, "pipedesk.leads", lead)["first_name"] is None
    put(session, "pipedesk.lead_contacts", lead_id=lead, contact_id=contact, is_primary=True)
    assert len(refresh(session).ids) == 1
    assert stored(session, "pipedesk.leads", lead)["first_name"] == "ana"
    put(session, "pipedesk.contacts", id=contact, name="Ana Hollis")
    assert len(refresh(session).ids) == 2
    assert stored(session, "pipedesk.leads", lead)["last_name"] == "hollis"
    assert stored(session, "pipedesk.contacts", contact)["business"] == "rivera homes"


def test_an_id_of_another_crm_by_the_word_that_names_it(session: "Session") -> None:
    put(
        session,
        "salespro_customer",
        customer_id="c1",
        customer_first_name="Ana",
        crm_source="HubSpot",
        crm_source_id="1",
    )
    put(
        session, "salespro_customer", customer_id="c2", customer_first_name="Ana", crm_source="other", crm_source_id="1"
    )
    put(session, "arrivy_task", id="5", customer_first_name="Ana", external_id="HG-12", customer_id="9")
    put(session, "arrivy_task", id="6", customer_first_name="Ana", external_id="X-12")
    put(session, "salesrabbit_user", id=3, first_name="Rep", external_ids=[{"name": "Genius", "value": "300"}])
    put(session, "hubspot_contact", id="1", firstname="Ana", hs_merged_object_ids="4;5", prospect_id=0)
    refresh(session)
    ids = {
        (row["source_table"], row["source_key"]): row["ids"] for row in session.execute("SELECT * FROM identity.record")
    }
    assert ids["salespro_customer", "c1"] == ["salespro_customer:c1", "hubspot_contact:1"]
    assert ids["salespro_customer", "c2"] == ["salespro_customer:c2"]
    assert ids["arrivy_task", "5"] == ["arrivy_task:5", "arrivy_customer:9", "genius_appointment:12"]
    assert ids["arrivy_task", "6"] == ["arrivy_task:6"]
    assert ids["salesrabbit_user", "3"] == ["salesrabbit_user:3", "genius_user:300"]
    assert ids["hubspot_contact", "1"] == ["hubspot_contact:1", "hubspot_contact:4", "hubspot_contact:5"]


def test_calls_and_events_without_a_name_are_touches(session: "Session") -> None:
    put(session, "callrail_call", id="a", customer_phone_number_e164="+19372230001", customer_name="WIRELESS CALLER")
    put(session, "callrail_call", id="b", customer_phone_number_e164="+19372230001", customer_name="RIVERA A")
    put(
        session, "pipedesk.calendar_events", calendar_id="c", google_event_id="e",
        attendees=[{"email": "Ana@example.test"}, {"email": "rep@example.test"}],
    )  # fmt: skip
    refresh(session)
    assert stored(session, "callrail_call", "a")["kind"] == "touch"
    assert stored(session, "callrail_call", "b")["kind"] == "customer"
    assert (
        stored(session, "callrail_call", "b")["first_name"],
        stored(session, "callrail_call", "b")["last_name"],
    ) == ("a", "rivera")
    event = stored(session, "pipedesk.calendar_events", "c e")
    assert (event["kind"], event["emails"]) == ("touch", ["ana@example.test", "rep@example.test"])


def test_a_call_says_what_it_says_when_it_was_and_not_when_it_was_tagged(session: "Session") -> None:
    put(session, "callrail_call", id="C1", customer_phone_number_e164="+19372230001", start_time="2025-03-01T10:00:00Z")
    refresh(session)
    before = stored(session, "callrail_call", "C1")["updated_at"]
    put(session, "callrail_call", id="C1", tags=["do_not_call"])
    assert refresh(session).changed == 0
    assert before == datetime(2025, 3, 1, 10, tzinfo=UTC) == stored(session, "callrail_call", "C1")["updated_at"]


def test_a_record_is_as_old_as_the_last_edit_that_is_not_ours(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    put(session, "hubspot_contact", **ANA | {"lastmodifieddate": "2025-06-01T00:00:00Z"},
        source_edited_at=ANA["lastmodifieddate"])  # fmt: skip
    assert refresh(session).changed == 0
    assert stored(session)["updated_at"] == datetime(2025, 1, 2, tzinfo=UTC)


def test_numbers_of_the_business_are_nobodys(session: "Session") -> None:
    put(session, "hubspot_contact", **ANA)
    refresh(session)
    assert stored(session)["phones"] == ["+19372230001"]
    put(session, "callrail_tracker", id="t", tracking_number_e164="+19372230001")
    changed = refresh(session)
    assert changed.ids == {stored(session)["record_id"]}
    assert stored(session)["phones"] == []
    assert refresh(session).read == 0 or refresh(session).changed == 0


def test_what_a_running_transaction_commits_later_is_not_lost(session: "Session", database_url: str) -> None:
    refresh(session)
    with warehouse.connect(database_url) as loader:
        loader.execute("BEGIN")
        loader.execute("SELECT now()")
        loader.execute("SELECT pg_sleep(0.01)")
        put(session, "hubspot_contact", **ANA | {"id": "2"})
        session.execute("UPDATE identity.read_position SET read_until = now() - interval '1 hour'")
        refresh(session)  # while the loader has written nothing yet
        put(loader, "hubspot_contact", **ANA)
        # As a refresh long after: only the position counts, and not the overlap.
        began = loader.execute("SELECT now() AS began").fetchone()
        loader.execute("COMMIT")
    position = session.execute(
        "SELECT read_until FROM identity.read_position WHERE source_table = 'hubspot_contact'"
    ).fetchone()
    assert began is not None
    assert position is not None
    assert position["read_until"] <= began["began"] - records.OVERLAP
    assert len(refresh(session).ids) == 1
    assert stored(session)["first_name"] == "ana"


def test_the_position_moves_when_nothing_runs(session: "Session") -> None:
    refresh(session)
    before = session.execute("SELECT now() AS time").fetchone()
    assert before is not None
    put(session, "hubspot_contact", **ANA)
    session.execute("UPDATE hubspot_contact SET sync_updated_at = now() - interval '1 minute'")
    refresh(session)
    assert count(session) == 0, "a row older than the position is known"
    row = session.execute("SELECT min(read_until) AS reached FROM identity.read_position").fetchone()
    assert row is not None
    assert row["reached"] > before["time"] - timedelta(minutes=1)


def test_a_transaction_whose_beginning_is_hidden_holds_the_position(
    session: "Session", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without pg_read_all_stats does not see since when others' transactions run, but sees that they do."""
    role = f"plain_{uuid.uuid4().hex[:12]}"
    session.execute(f"CREATE ROLE {role}")
    with warehouse.connect(database_url) as loader:
        loader.execute("BEGIN; SELECT pg_current_xact_id()")
        session.execute(f"SET ROLE {role}")
        seen = session.execute(query("identity_read_until")).fetchone()
        session.execute("RESET ROLE")
        session.execute(f"DROP ROLE {role}")
        loader.execute("ROLLBACK")
    assert seen is not None
    assert seen["hidden"] >= 1
    hidden = "SELECT now() AS until, 1 AS hidden"
    monkeypatch.setattr(records, "query", lambda name: hidden if name == "identity_read_until" else query(name))
    put(session, "hubspot_contact", **ANA)
    assert refresh(session).changed == 1
    put(session, "hubspot_contact", **ANA | {"id": "2"})
    again = refresh(session)
    assert (again.read, again.changed) == (2, 1), "what was read before is read again"


def test_one_snapshot_for_all_statements_is_refused(session: "Session") -> None:
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(ValueError, match="READ COMMITTED"):
        refresh(session)


def test_twice_in_one_transaction(session: "Session") -> None:
    with session.transaction():
        put(session, "hubspot_contact", **ANA)
        assert len(refresh(session).ids) == 1
        put(session, "hubspot_contact", **ANA | {"id": "2"})
        assert len(refresh(session).ids) == 1
    assert count(session) == 2


def test_many_changes_are_not_listed_and_leave_the_indexes(session: "Session", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LISTED", 3)
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'identity' ORDER BY 1, 2"
    before = session.execute(indexes).fetchall()
    for number in range(5):
        put(session, "hubspot_contact", **ANA | {"id": str(number)})
    assert refresh(session) == Changed(everything=True, read=5, changed=5)
    assert session.execute(indexes).fetchall() == before
    assert count(session) == 5


def test_awkward_texts_pass_the_copy(session: "Session") -> None:
    name = 'Ana\t"Nana" \\N\n{x},\r'
    put(session, "hubspot_contact", **ANA | {"firstname": name, "lead_id": 5, "marketsharp_id": 'a"b\\c,{d}'})
    refresh(session)
    found = stored(session)
    assert found["ids"][1] == 'marketsharp_contact:a"b\\c,{d}'
    assert found["display_name"] == " ".join(f"{name} Rivera".split())


def test_columns_of_the_installation_are_respected(
    session: "Session", database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A renamed column is read under its new name; a dropped one, and one that has a hash, says nothing."""
    file = tmp_path / "columns.toml"
    text = """
        [hubspot.contacts]
        drop = ["city"]
        hash = ["email"]
        rename = { lastname = "surname", phone = "telephone" }
        """
    file.write_text(text)
    for source in column_config.read(file, text, DECLARED):
        for entity in source.entities:
            monkeypatch.setitem(columns.entities(), entity.table, entity)
    for statement in (
        "ALTER TABLE hubspot_contact RENAME lastname TO surname",
        "ALTER TABLE hubspot_contact RENAME phone TO telephone",
        "ALTER TABLE hubspot_contact RENAME phone_e164 TO telephone_e164",
    ):
        session.execute(statement)
    put(
        session, "hubspot_contact", id="1", firstname="Ana", surname="Rivera", telephone_e164="+19372230001",
        email="hmac:00112233445566778899aabbccddeeff", city="Dayton",
    )  # fmt: skip
    refresh(session)
    found = stored(session)
    assert (found["last_name"], found["phones"]) == ("rivera", ["+19372230001"])
    assert (found["emails"], found["city"]) == ([], None)


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_every_table_of_people_can_be_read(session: "Session") -> None:
    """Each statement is run, with a row: a column of the wrong type or a join that cannot be made would show."""
    entities = {one.table: one for source in DECLARED for one in source.entities}
    guid = "00000000-0000-4000-8000-000000000001"
    samples = {"text": "1", "uuid": guid, "bigint": 1, "numeric": 1, "boolean": False, "date": "2025-01-01",
               "timestamptz": "2025-01-01T00:00:00Z", "jsonb": []}  # fmt: skip
    session.execute("SET session_replication_role = replica")  # PipeDesk's foreign keys are not the matter here
    for row in PEOPLE:
        for table in (row.table, *(join.table for join in row.joins)):
            types = {name: entities[table].pg_types[name].split()[0] for name in entities[table].columns}
            known = {"status": "confirmed"} if table == "pipedesk.calendar_events" else {}
            put(session, table, **{name: samples[type_] for name, type_ in types.items()} | known)
    changed = refresh(session)
    assert changed.changed == len(PEOPLE)
    assert refresh(session, full=True).changed == 0
    session.execute("UPDATE identity.read_position SET read_until = '1970-01-01'")
    again = refresh(session)
    assert (again.read, again.changed) == (len(PEOPLE), 0), "a delta reads the same as a full refresh"


def test_a_delta_ends_as_a_full_refresh_does(session: "Session", database_url: str) -> None:
    """Random edits of several tables, read by deltas after each, or all at once."""
    chance = random.Random(11)  # noqa: S311
    guids = [f"aaaaaaaa-6d73-4000-8000-{number:012}" for number in range(6)]
    for _ in range(12):
        for _ in range(5):
            guid = chance.choice(guids)
            match chance.randrange(5):
                case 0:
                    put(
                        session,
                        "marketsharp_contact",
                        id=guid,
                        first_name=chance.choice(["Ana", "Bob"]),
                        last_name="Rivera",
                    )
                case 1:
                    put(
                        session,
                        "marketsharp_contact_phone",
                        contact_id=guid,
                        cell_phone_e164=f"+1937223000{chance.randrange(9)}",
                    )
                case 2:
                    put(
                        session,
                        "marketsharp_address",
                        id=guid,
                        contact_id=guid,
                        line1=f"{chance.randrange(1, 9)} Maple Ave",
                    )
                case 3:
                    put(
                        session,
                        "hubspot_contact",
                        **ANA | {"id": guid, "lastname": chance.choice(["Rivera", "Hollis"])},
                    )
                case _:
                    put(session, "hubspot_appointment", id=guid, hscontact_id=chance.choice(guids))
        refresh(session)
    everything = "SELECT * FROM identity.record ORDER BY source_table, source_key"

    def without_numbers() -> list[dict[str, Any]]:
        return [
            {k: v for k, v in row.items() if k not in ("record_id", "changed_at")}
            for row in session.execute(everything)
        ]

    by_deltas = without_numbers()
    assert len(by_deltas) > 10
    session.execute("TRUNCATE identity.record, identity.read_position CASCADE")
    refresh(session)
    assert without_numbers() == by_deltas


def test_hashed_numbers_of_a_column_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    row = BY_TABLE["genius_contact"]
    assert "phone_e164" in source_rows.reading(row).select.as_string()
    entity = columns.entities()[row.table]
    hashed = replace(entity, local=replace(entity.local, hashed=frozenset({"phone"})))
    monkeypatch.setitem(columns.entities(), row.table, hashed)
    assert "phone_e164" not in source_rows.reading(row).select.as_string()


def test_the_session_is_left_as_it_was(session: "Session") -> None:
    before = session.execute("SELECT current_setting('jit') AS jit, current_setting('work_mem') AS memory").fetchone()
    refresh(session)
    assert (
        session.execute("SELECT current_setting('jit') AS jit, current_setting('work_mem') AS memory").fetchone()
        == before
    )
    with pytest.raises(psycopg.errors.UndefinedTable):
        session.execute("SELECT FROM incoming_record")


def test_keys_of_block() -> None:
    raw = Raw(
        "hubspot_contact", "1", "customer", "Bob", None, "Rivera", emails=("Ana.Ri+x@Gmail.com", "info@rivera.test"),
        phones=("+19372230001", "+19375555555", None), street="12 Maple Avenue", city="Dayton", state="OH", zip="45402",
        ids=("salesrabbit_lead:9",),
    )  # fmt: skip
    record = normalise(raw)
    assert record.emails == ("ana.ri+x@gmail.com", "info@rivera.test")
    assert record.phones == ("+19372230001",)
    keys = set(block_keys(record))
    assert {"p:+19372230001", "e:anari@gmail.com", "i:hubspot_contact:1", "i:salesrabbit_lead:9"} <= keys
    assert not any("info@" in key for key in keys)
    robert = set(block_keys(replace(record, first_name="robert", ids=("x:2",), phones=(), emails=())))
    assert {key[0] for key in keys & robert} == {"n", "a", "s"}
    misspelt = set(block_keys(replace(record, street="12 mapel ave", ids=("x:2",), phones=(), emails=())))
    assert {key[0] for key in keys & misspelt} == {"n"}
    nowhere = replace(record, street=None, ids=("x:2",), phones=(), emails=())
    assert block_keys(nowhere) == ("i:x:2",), "a name and a town are no key"


def test_staff_share_no_key_with_customers() -> None:
    raw = Raw(
        "hubspot_owner", "1", "staff", "Ana", None, "Rivera", emails=("ana@example.test",), ids=("genius_user:9",)
    )
    customer = normalise(raw._replace(kind="customer", source_table="hubspot_contact"))
    assert not set(block_keys(normalise(raw))) & set(block_keys(customer))


@pytest.mark.parametrize(
    "address", ["noreply@example.test", "none@none.com", "not an address", "", None, "a@b", "test@test.com", "@x.test"]
)
def test_an_address_that_stands_for_none(address: str | None) -> None:
    assert normalise(Raw("t", "1", "customer", "Ana", emails=(address,))).emails == ()


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("customer", {"first": "Ana"}, "customer"),
        ("customer", {"emails": ("ana@example.test",)}, "customer"),
        ("customer", {"phones": ("+19372230001",)}, "touch"),
        ("customer", {"full": "unknown", "phones": ("+19372230001",)}, "touch"),
        ("touch", {"full": "Ana Rivera", "phones": ("+19372230001",)}, "customer"),
        ("touch", {"full": "Ana Rivera"}, "touch"),
        ("touch", {"emails": ("ana@example.test",)}, "touch"),
        ("staff", {}, "staff"),
    ],
)
def test_the_kind_of_a_record(kind: Any, raw: dict[str, Any], expected: str) -> None:
    assert normalise(Raw("t", "1", kind, **raw)).kind == expected


def test_what_was_loaded_lately_is_found_by_an_index(session: "Session") -> None:
    """A refresh looks into all tables of people; without the index it would read them."""
    session.execute("SET enable_seqscan = off")
    tables = {table for row in PEOPLE for table in (row.table, *(join.table for join in row.joins))}
    for table in sorted(tables):
        plan = session.execute(f"EXPLAIN SELECT FROM {table} WHERE sync_updated_at >= now()").fetchall()
        assert any("Bitmap Index Scan on idx_" in line["QUERY PLAN"] for line in plan), table
