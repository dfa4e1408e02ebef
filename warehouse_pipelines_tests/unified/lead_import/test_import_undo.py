"""Undoing an import: what is deleted, put back and left."""

import json
import uuid

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import import run, undo
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION, ImportDatabase, counts


def test_undoing_takes_away_what_was_made_and_puts_back_what_was_changed(crm: ImportDatabase) -> None:
    crm.load("Name,Phone,Zip,Tags\nAnn Smith,2065550101,,hot\nBen Poe,2065550102,98101,\n")
    told = "first_name, last_name, phone, email, postal_code, tags, consent, source_metadata, status, value_usd"
    before = crm.leads(told)
    done = crm.load(
        "Name,Phone,Email,Zip,Tags,Value,City,SMS Consent,Consent Date,Consent Source\n"
        "Ann Smith,2065550101,a@example.com,98109,roof,100,Kent,yes,2024-01-01,form\n"
        "Ann Smith,2065550101,a@example.com,98109,siding,100,Kent,,,\n"
        "Ben Poe,2065550102,,98199,,,,,,\nCid Poe,2065550103,,,,,,,,\nCid Poe,2065550103,c@example.com,,,,,,,\n",
        run.Options(ORGANIZATION, "x", overwrite=True),
    )
    assert counts(done) == (1, 4, 0, 0)
    undone = crm.undo(done)
    assert (undone.deleted, undone.put_back, undone.partly, undone.left) == (1, 2, 0, {})
    assert crm.leads(told) == before
    with pytest.raises(WrongUse, match="undone already"):
        crm.undo(done)
    outcomes = crm.query("SELECT undone FROM crm.lead_import_row WHERE import_id = %s ORDER BY row_number", done.id)
    assert [row["undone"] for row in outcomes] == ["put_back", "put_back", "put_back", "deleted", "deleted"]


def test_undoing_leaves_what_somebody_worked_on(crm: ImportDatabase) -> None:
    crm.load("Name,Phone\nOld One,2065550100\n")
    path = crm.file("Name,Phone,Zip,Email\n" + "".join(
        f"{name} Poe,206555010{number},98101,{name.lower()}@example.com\n"
        for number, name in enumerate(("Ann", "Ben", "Cid", "Dan", "Eve", "Fay"), 1)
    ) + "Old One,2065550100,98101,o@example.com\n")  # fmt: skip
    done = crm.load(path)
    other = crm.load("Name,Phone\nEve Poe,2065550105\n")
    crm.query("UPDATE crm.leads SET status = 'contacted' WHERE first_name = 'Ann'")
    crm.query("UPDATE crm.leads SET lead_score = 50, golden_id = gen_random_uuid() WHERE first_name = 'Ben'")
    crm.query("INSERT INTO crm.nurture_sequences (organization_id, name, steps) VALUES (%s, 'x', '[]')", ORGANIZATION)
    crm.query(
        "INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id, sequence_id)"
        " SELECT l.organization_id, l.id, s.id FROM crm.leads AS l, crm.nurture_sequences AS s WHERE first_name = 'Cid'"
    )
    crm.query("UPDATE crm.leads SET deleted_at = now() WHERE first_name = 'Dan'")
    crm.query("UPDATE crm.leads SET email = 'mine@example.com' WHERE first_name = 'Old'")
    undone = crm.undo(done)
    assert (undone.deleted, undone.put_back, undone.partly) == (2, 0, 1)
    assert undone.left == {
        "somebody changed it since": 1, "it was enrolled in a sequence": 1, "it was deleted before": 1,
        "another import has it too": 1, "email was changed since, or must stay": 1,
    }  # fmt: skip
    assert {row[0] for row in crm.leads("first_name")} == {"Ann", "Cid", "Eve", "Old"}
    assert crm.query("SELECT email, postal_code FROM crm.leads WHERE first_name = 'Old'") == [
        {"email": "mine@example.com", "postal_code": None}
    ]
    crm.undo(other)
    assert counts(crm.load(path)) == (3, 1, 3, 0)


def test_undoing_says_that_what_was_taken_back_goes_with_a_deleted_lead(crm: ImportDatabase) -> None:
    done = crm.load("Name,Phone,SMS Consent\nAnn Smith,2065550101,opted out\nBen Poe,2065550102,\n")
    undone = crm.undo(done)
    assert (undone.deleted, undone.left) == (2, {undo.REFUSAL: 1})


def test_a_broken_off_import_is_undone(crm: ImportDatabase) -> None:
    path = crm.file("Name,Phone\n" + "".join(f"Ann A{row},206555{row:04}\n" for row in range(100, 160)))

    def stop(row: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crm.load(path, batch=10, progress=stop)
    with warehouse.session(crm.url) as session:
        [found] = undo.imports(session, ORGANIZATION)
        undone = undo.undo(session, ORGANIZATION, uuid.UUID(found["id"]), by="x")
    assert undone.deleted == 10
    assert crm.leads() == []
    assert counts(crm.load(path)) == (60, 0, 0, 0)


def test_erasing_a_lead_empties_what_an_import_kept_of_it(crm: ImportDatabase) -> None:
    crm.load("Name,Phone\nAnn Smith,2065550101\n")
    done = crm.load("Name,Phone,Email\nAnn Smith,2065550101,secret@example.com\n")
    assert "secret" in json.dumps(crm.query("SELECT changes FROM crm.lead_import_row WHERE import_id = %s", done.id))
    with psycopg.connect(crm.url) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [str(ORGANIZATION)])
        connection.execute("SELECT crm.erase_lead(id) FROM crm.leads")
    kept = crm.query("SELECT r::text AS r FROM crm.lead_import_row AS r")
    assert "secret" not in str(kept)
    assert crm.undo(done).left == {"it was deleted since": 1}
