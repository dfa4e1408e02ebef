"""Erasure: of whom nothing is left, what stays, and that a kill leaves nothing half done."""

import json
import re
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.erased import Erased
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.schema.personal import HARMLESS, PERSONAL
from warehouse_pipelines.unified import feed
from warehouse_pipelines.unified.erasing import erasure, export
from warehouse_pipelines.unified.erasing.holdings import entities, reachable, rows_of, tables
from warehouse_pipelines.unified.erasing.subject import By, persons, subject
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines.unified.lead_import import undo
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION as DEFAULT_ORGANIZATION
from warehouse_pipelines_tests.harness.import_database import ImportDatabase, import_leads
from warehouse_pipelines_tests.harness.source_harness import asking
from warehouse_pipelines_tests.harness.subprocesses import FORKS
from warehouse_pipelines_tests.unified.erasing import planted
from warehouse_pipelines_tests.unified.erasing.planted import ORGANIZATION, email, person_id, phone

Dump = dict[str, dict[str, str]]


@pytest.mark.parametrize(
    ("people", "erased", "at_once"), [(40, 4, 2), pytest.param(120, 12, 6, marks=pytest.mark.slow("many records"))]
)
def test_erasure_leaves_no_subject_tokens_and_dnc_still_blocks(
    database_url: str, people: int, erased: int, at_once: int
) -> None:
    """Of people with tokens in every column some are erased: of them nothing is left, of the others every row is as it
    was, byte for byte; the numbers of all stay blocked."""
    gone = range(1, people + 1, people // erased)
    before = _planted(database_url, people)
    there = planted.planted_in(before)
    assert set(there) == set(range(1, people + 1))
    assert all(len(tables) > 65 for tables in there.values()), "planted nearly nowhere"
    with warehouse.session(database_url) as session:
        for start in range(0, erased, at_once):
            some = gone[start : start + at_once]
            ids = [UUID(person_id(number)) for number in some]
            done = erasure.erase(session, "person", str(ids[0]), ids, erased_by="test")
            assert done.left == (), some
            assert done.rows > 50 * at_once
    after = _dump(database_url)
    left = planted.planted_in(after)
    assert {number: left[number] for number in gone if number in left} == {}
    _others_are_as_they_were(before, after, set(gone))
    with asking(database_url) as connection:
        for number in range(1, people + 1):
            row = connection.execute("SELECT crm.is_on_dnc_list(%s, %s)", [phone(number), ORGANIZATION]).fetchone()
            assert row == (True,), number
        row = connection.execute("SELECT count(*), sum(value_usd) FROM crm.leads").fetchone()
        assert row == (people, people * 100)
        row = connection.execute("SELECT count(*) FROM genius_job WHERE NOT archived").fetchone()
        assert row == (people,), "what was sold counts on"


def _plant(url: str, people: int) -> None:
    with asking(url) as connection:
        planted.plant(connection, people)


def _planted(url: str, people: int) -> Dump:
    _plant(url, people)
    return _dump(url)


def _dump(url: str) -> Dump:
    with asking(url) as connection:
        return planted.dump(connection)


def _erase(url: str, by: By, value: str, *numbers: int) -> erasure.Certificate:
    with warehouse.session(url) as session:
        return erasure.erase(session, by, value, [UUID(person_id(number)) for number in numbers], erased_by="test")


def _others_are_as_they_were(before: Dump, after: Dump, gone: set[int]) -> None:
    for table, rows in before.items():
        others = planted.planted_in
        kept = {place: text for place, text in rows.items() if others({table: {"": text}}).keys() - gone}
        assert {place: after[table].get(place) for place in kept} == kept, table


@pytest.mark.parametrize("by", ["email", "phone", "person"])
def test_a_second_erasure_finds_nothing(database_url: str, by: By) -> None:
    value = {"email": email(2), "phone": phone(2), "person": person_id(2)}[by]
    _plant(database_url, 3)
    assert not _erase(database_url, by, value, 2).nothing
    certificates = _rows(database_url, "SELECT count(*) FROM identity.erasure")
    again = _erase(database_url, by, value)
    assert again.nothing
    assert again.left == ()
    assert _rows(database_url, "SELECT count(*) FROM identity.erasure") == certificates


def test_a_plan_changes_nothing_and_says_what_is_done(database_url: str) -> None:
    before = _planted(database_url, 3)
    with warehouse.session(database_url) as session:
        plan = erasure.plan(session, "email", email(2), [UUID(person_id(2))])
    assert _dump(database_url) == before
    done = _erase(database_url, "email", email(2), 2)
    assert (done.parts, done.left) == (plan.parts, plan.left)
    empty = {part.table: part.columns for part in plan.parts if part.action == "empty"}
    assert {"firstname", "email", "phone_e164", "raw_data"} <= set(empty["hubspot_contact"])
    assert "amount" not in empty["hubspot_deal"]


def test_what_was_logged_of_changes_and_runs_goes_too(database_url: str) -> None:
    """Also a value that nobody could find by an address or a number, in each table that has a row of the person."""
    _plant(database_url, 3)
    with warehouse.session(database_url) as session:
        rows = rows_of(session, tables(session), subject(session, [UUID(person_id(2))], "person", person_id(2)))
        logged = [(label, key) for label, keys in rows.items() for key in keys]
        assert len({label for label, _ in logged}) > 20
        statement = (
            "INSERT INTO orchestration.change_log (table_name, record_key, column_name, old_value, sync_history_id)"
            " VALUES (%s, %s, 'note', %s, 1)"
        )
        for label, key in logged:
            session.execute(statement, [label, key, "was ill in June"])
        session.execute(statement, ["callrail_tag", "7", f"asked by {email(2)}"])
        session.execute(statement, ["callrail_tag", "8", "somebody else's"])
        session.execute(
            "WITH run AS (INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status,"
            " error_message) VALUES ('hubspot', 'contacts', now(), now(), 'failed', %s) RETURNING *)"
            " INSERT INTO orchestration.sync_history_archive SELECT run.*, now() FROM run",
            [f"a value of {email(2)} was refused"],
        )
    assert _erase(database_url, "email", email(2), 2).left == ()
    assert _rows(database_url, "SELECT record_key, old_value FROM orchestration.change_log") == [
        ("8", "somebody else's")
    ]
    assert _rows(database_url, "SELECT error_message FROM orchestration.sync_history_archive") == [
        ("a value of [erased] was refused",)
    ]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_an_export_has_each_table_that_an_erasure_searches(database_url: str) -> None:
    """So that a new table is forgotten by neither. What only a key says is theirs is there, too."""
    _plant(database_url, 3)
    with asking(database_url) as connection:
        planted.plant_logs(connection, 3)
        ((unlisted,),) = connection.execute(
            "SELECT coalesce(string_agg(c.relname, ' '), '')"
            " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND a.attname = 'lead_id' AND NOT a.attisdropped AND c.relname <> ALL (%s)",
            [[*export.HISTORY, "dnc_list"]],
        ).fetchall()
    assert unlisted == "", "say in export.HISTORY what the table has of a lead"
    with warehouse.session(database_url) as session:
        document = export.person(session, "person", person_id(2), [UUID(person_id(2))])
    ((person,), (lead,)) = document["persons"], document["leads"]
    there = {*document["records"], *document["elsewhere"], "identity.person", "crm.leads"}
    there |= {table for part, (table, _) in export.OF_PERSON.items() if person[part]}
    there |= {f"crm.{table}" for table in export.HISTORY if lead[table]}
    parts = {
        "do_not_call": "crm.dnc_list", "consent": "crm.consent_fact",
        "could_not_be_loaded": "orchestration.dead_letter", "changes": "orchestration.change_log",
    }  # fmt: skip
    there |= {table for part, table in parts.items() if document[part]}
    assert "was ill in June" in str(document["changes"])
    assert set(planted.planted_in({"": {"": str(document)}})) == {2}
    done = {part.table for part in _erase(database_url, "person", person_id(2), 2).parts if part.rows}
    assert len(done) > 70
    assert done - there == set()


def test_the_certificate_names_nobody(database_url: str) -> None:
    _plant(database_url, 2)
    done = _erase(database_url, "phone", phone(2), 2)
    ((certificate, counts),) = _rows(database_url, "SELECT erasure::text, counts FROM identity.erasure")
    assert planted.planted_in({"": {"": str(certificate)}}) == {}
    assert sum(one["rows"] for one in counts) == done.rows
    assert ["identity.person", "delete", 1] in [[one["table"], one["action"], one["rows"]] for one in counts]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_what_has_no_person_is_erased_by_its_address(database_url: str) -> None:
    """Identity has not seen the rows yet, as between a sync and the next resolution."""
    _plant(database_url, 3)
    with asking(database_url) as connection:
        connection.execute("TRUNCATE identity.record, identity.person CASCADE")
    done = _erase(database_url, "email", email(2))
    assert not done.nothing
    left = planted.planted_in(_dump(database_url))
    assert "public.hubspot_contact" not in left.get(2, set())
    assert "public.hubspot_contact" in left[3]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_couple_keeps_the_number_that_both_have(database_url: str) -> None:
    _plant(database_url, 3)
    with asking(database_url) as connection:
        connection.execute(
            "UPDATE identity.record SET phones = phones || %s::text WHERE source_key = '3' AND kind = 'customer'",
            [phone(2)],
        )
        connection.execute("UPDATE hubspot_contact SET mobilephone_e164 = %s WHERE id = '3'", [phone(2)])
    before = _dump(database_url)
    done = _erase(database_url, "email", email(2), 2)
    assert done.shared == 1
    after = _dump(database_url)
    assert planted.planted_in(after).get(2, set()) <= {
        "public.hubspot_contact", "identity.record", "crm.dnc_list"
    }  # fmt: skip
    kept = [text for text in before["public.hubspot_contact"].values() if planted.token(3) in text]
    assert [text for text in after["public.hubspot_contact"].values() if planted.token(3) in text] == kept
    kinds = _rows(database_url, "SELECT kind, count(*) FROM identity.tombstone WHERE kind <> 'record' GROUP BY 1")
    assert kinds == [("email", 1)], "the number is the other's too"


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_note_of_somebody_else_loses_the_address_alone(database_url: str) -> None:
    _plant(database_url, 3)
    note = f"referred by {email(2).upper()}, tel. (206) 200-0002, pays by card"
    with asking(database_url) as connection:
        connection.execute("UPDATE hubspot_contact SET comments = %s WHERE id = '3'", [note])
        connection.execute(
            "UPDATE hubspot_contact SET raw_data = jsonb_build_object('note', %s::text, 'tel', 2062000002)"
            " WHERE id = '3'",
            [note],
        )
    _erase(database_url, "email", email(2), 2)
    ((comments, raw, name),) = _rows(
        database_url, "SELECT comments, raw_data, firstname FROM hubspot_contact WHERE id = '3'"
    )
    assert comments == "referred by [erased], tel. [erased], pays by card"
    assert raw == {"note": comments, "tel": "[erased]"}
    assert planted.token(3) in name


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_value_that_others_have_stays(database_url: str) -> None:
    """A source, a status, a campaign count on; one that is this person's alone goes."""
    _plant(database_url, 3)
    with asking(database_url) as connection:
        connection.execute("UPDATE genius_lead SET status = 'Sold' WHERE lead_id IN (2, 3)")
        connection.execute("UPDATE genius_lead SET source = 'Aunt Zelda' WHERE lead_id = 2")
    _erase(database_url, "person", person_id(2), 2)
    assert _rows(database_url, "SELECT status, source, prospect_id FROM genius_lead WHERE lead_id = 2") == [
        ("Sold", None, 2)
    ]


def _erase_apart(url: str, value: str) -> None:
    session = warehouse.connect(url, application_name="an erasure")
    erasure.erase(session, "person", value, [UUID(value)], erased_by="test")


@pytest.mark.slow("a program of its own, which is killed")
def test_a_killed_erasure_has_done_nothing(database_url: str) -> None:
    before = _planted(database_url, 3)
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM crm.leads FOR UPDATE")  # it waits for this when most of it is done
        erasing: Any = FORKS.Process(target=_erase_apart, args=(database_url, person_id(2)), daemon=True)
        erasing.start()
        _until_it_waits(database_url)
        erasing.kill()
        erasing.join()
    assert _dump(database_url) == before
    assert not _erase(database_url, "person", person_id(2), 2).nothing
    assert 2 not in planted.planted_in(_dump(database_url))


def _until_it_waits(url: str) -> None:
    for _ in range(600):
        if _rows(
            url, "SELECT FROM pg_stat_activity WHERE application_name = 'an erasure' AND wait_event_type = 'Lock'"
        ):
            return
        time.sleep(0.1)
    pytest.fail("the erasure never waited")


def test_every_text_column_of_people_is_harmless_or_personal() -> None:
    unknown, twice = [], HARMLESS & PERSONAL
    for table in sorted(reachable()):
        entity = entities()[table]
        for name, column in entity.columns.items():
            named = name in entity.keys or name in entity.refs or column.kind in ("id", "email", "phone")
            if column.kind in ("text", "url", "jsonb") and not named and name not in HARMLESS | PERSONAL:
                unknown.append(f"{table}.{name}")
    assert unknown == [], "say in schema/personal.py whether they tell something of the person"
    assert twice == frozenset()


def _contact(connection: psycopg.Connection[Any], key: str, **values: str) -> None:
    """Store a contact that identity has not seen yet."""
    named = {"id": key, "raw_data": json.dumps({"id": key, "properties": values}), "firstname": "Pat", **values}
    connection.execute(
        sql.SQL("INSERT INTO hubspot_contact ({}, sync_hash) VALUES ({}, 1)").format(
            sql.SQL(", ").join(map(sql.Identifier, named)), sql.SQL(", ").join(map(sql.Literal, named.values()))
        )
    )


def _called(url: str) -> dict[str, str | None]:
    return dict(_rows(url, "SELECT id, firstname FROM hubspot_contact"))


def test_whose_address_only_ends_alike_keeps_everything(database_url: str) -> None:
    with asking(database_url) as connection:
        for key, address in {"1": "plain@oc.example", "2": "o'plain@oc.example", "3": "r&plain@oc.example"}.items():
            _contact(connection, key, email=address)
    assert _erase(database_url, "email", "plain@oc.example").left == ()
    assert _called(database_url) == {"1": None, "2": "Pat", "3": "Pat"}
    kept = _rows(
        database_url, "SELECT email, raw_data -> 'properties' ->> 'email' FROM hubspot_contact WHERE id <> '1'"
    )
    assert sorted(kept) == [("o'plain@oc.example",) * 2, ("r&plain@oc.example",) * 2]


def test_a_mailbox_at_gmail_is_erased_and_kept_out_in_every_spelling_unless_another_person_has_it(
    database_url: str,
) -> None:
    with asking(database_url) as connection:
        _contact(connection, "1", email="jo.ann@gmail.com")
        _contact(connection, "2", email="joann+roof@googlemail.com")
        _contact(connection, "3", email="mary.jo.ann@gmail.com")
        _contact(connection, "4", email="sam.doe@gmail.com")
        _contact(connection, "6", email="...@gmail.com")
    assert _erase(database_url, "email", "...@gmail.com").left == ()
    assert _erase(database_url, "email", "jo.ann@gmail.com").left == ()
    assert _called(database_url) == {"1": None, "2": None, "3": "Pat", "4": "Pat", "6": None}
    with warehouse.session(database_url) as session:
        resolve.run(session)
        assert [one["display_name"] for one in persons(session, "email", "SamDoe@googlemail.com")] == ["Pat"]
        _contact(session, "5", email="s.amdoe@gmail.com")  # somebody else, who gave it too
        erasure.erase(session, "email", "s.amdoe@gmail.com", [], erased_by="test")
        kept_out = Erased.read(session, entities()["hubspot_contact"])
    assert _called(database_url) == {"1": None, "2": None, "3": "Pat", "4": "Pat", "5": None, "6": None}
    spellings = ["j.oann@gmail.com", "Jo.Ann+x@googlemail.com", "s.amdoe@gmail.com", "sam.doe@gmail.com"]
    assert [kept_out.values.has("email", one) for one in spellings] == [True, True, True, False]


def test_numbers_are_erased_and_kept_out_however_they_are_written_and_wherever_they_are(database_url: str) -> None:
    abroad, dashed = "+55 11 91234-5678", "937\u2013555\u20130103"
    with asking(database_url) as connection:
        _contact(connection, "1", phone=abroad, phone_e164="+5511912345678")
        _contact(connection, "2", phone=dashed, phone_e164="+19375550103")
        _contact(connection, "4", phone="+49 937-555-0103", phone_e164="+499375550103")
        _contact(connection, "3", comments=f"call {dashed} or 937\u00a0555\u00a00104")
    assert _erase(database_url, "phone", abroad).left == ()
    assert _erase(database_url, "phone", "937-555-0103").left == ()
    assert _called(database_url) == {"1": None, "2": None, "3": "Pat", "4": "Pat"}
    assert _rows(database_url, "SELECT comments FROM hubspot_contact WHERE id = '3'") == [
        ("call [erased] or 937\u00a0555\u00a00104",)
    ]
    with warehouse.session(database_url) as session:
        kept_out = Erased.read(session, entities()["five9_contact"])
    assert kept_out.has([], ["+5511912345678"])
    assert kept_out.has([], ["+19375550103"])
    assert not kept_out.has([], ["+11912345678", "+491239375550103"])
    written = [f'{{"id": "n1", "number1": "{one}"}}'.encode() for one in (abroad, "5511912345678", dashed)]
    assert [*kept_out.without_values(written)] == [b'{"id": "n1", "number1": "[erased]"}'] * 3


def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with asking(url) as connection:
        return connection.execute(statement).fetchall()


def test_erasure_finds_a_lead_by_a_further_number_or_address(crm: ImportDatabase) -> None:
    """Also by one that it shares, if nobody who is there has it as his own."""
    head = "Name,Phone,Cell,Email,Email 2\n"
    crm.load(
        f"{head}Ann Poe,2065550101,2065550102,,\nBen Poe,,,ben@example.com,Ben@work.example\nCid Poe,2065550103,,,\n"
        "Dan Poe,2065550103,,dan@example.com,\nEve Poe,2065550104,,,\nFay Poe,2065550104,,fay@example.com,\n"
        "Guy Poe,2065550105,2065550106,,\n"
    )
    crm.query("UPDATE crm.leads SET deleted_at = now() WHERE first_name = 'Eve'")
    for by, value in (("phone", "2065550102"), ("email", "ben@WORK.example"), ("phone", "2065550103"),
                      ("phone", "2065550104")):  # fmt: skip
        crm.erase(by, value)
    assert [name for (name,) in crm.leads("first_name")] == ["Guy", "Dan"]
    assert crm.query("SELECT count(*) AS n FROM crm.leads WHERE erased_at IS NOT NULL") == [{"n": 5}]


def test_an_erased_lead_takes_its_further_numbers_along(crm: ImportDatabase) -> None:
    """From a deleted lead and from the do-not-call list, but not from who has the number now."""
    crm.load("Name,Phone,Cell,Home Phone\nAnn Poe,2065550101,2065550102,2065550103\n")
    for number, deleted in (("+12065550102", "now"), ("+12065550103", None)):
        crm.query(
            "INSERT INTO crm.leads (organization_id, first_name, phone, deleted_at)"
            " VALUES (%s, 'Other', %s, %s::timestamptz)", DEFAULT_ORGANIZATION, number, deleted,
        )  # fmt: skip
        crm.query(
            "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, %s, 'opt_out')",
            DEFAULT_ORGANIZATION, number,
        )  # fmt: skip
    with psycopg.connect(crm.url) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [str(DEFAULT_ORGANIZATION)])
        connection.execute("SELECT crm.erase_lead(id) FROM crm.leads WHERE first_name = 'Ann'")
    assert crm.query("SELECT phone FROM crm.leads WHERE phone IS NOT NULL") == [{"phone": "+12065550103"}]
    assert crm.query("SELECT phone FROM crm.dnc_list ORDER BY phone") == [{"phone": "+12065550103"}, {"phone": None}]
    assert crm.listed("0102", "0103") == [True, True]


@pytest.mark.slow("a server of its own")
def test_the_owner_of_the_database_alone_resolves_imports_and_erases(server: Server, tmp_path: Path) -> None:
    """As docs/deploy.md makes the user: it owns the database, may make roles, and is no superuser."""
    server.start()
    with server.connect("postgres") as connection:
        connection.execute("CREATE ROLE warehouse_loader LOGIN CREATEROLE PASSWORD 'x'")
        connection.execute("CREATE DATABASE warehouse_of OWNER warehouse_loader")
        connection.execute("REVOKE ALL ON DATABASE warehouse_of FROM PUBLIC")
    superuser = server.url("warehouse_of")
    url = re.sub("//[^@]*@", "//warehouse_loader:x@", superuser)
    migrate(url)
    before = _planted(superuser, 4)
    there = planted.planted_in(before)
    certificate = _erase(url, "person", person_id(2), 2)
    assert certificate.left == ()
    after = planted.planted_in(_dump(superuser))
    assert 2 not in after
    assert after[3] >= there[3]
    with asking(superuser) as connection:
        row = connection.execute("SELECT crm.is_on_dnc_list(%s, %s)", [phone(2), ORGANIZATION]).fetchone()
        assert row == (True,)
    with warehouse.session(url) as session:
        assert erasure.plan(session, "email", email(2), []).nothing
        assert export.person(session, "person", person_id(3), [UUID(person_id(3))])["leads"]
    with warehouse.session(url) as session:
        path = tmp_path / "leads.csv"
        path.write_text("name,phone,email\nAda Example,2162230101,ada@example.test\n")
        done = import_leads(session, path)
        assert done.created == 1
        resolve.run(session)
        feed.run(session)
        assert undo.undo(session, DEFAULT_ORGANIZATION, done.id, by="loader").deleted == 1
