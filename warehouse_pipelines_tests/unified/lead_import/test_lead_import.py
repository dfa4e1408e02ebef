"""Importing files of leads: what becomes of each row, what a kill leaves, and what undoing puts back."""

import csv
import datetime as dt
import itertools
import json
import os
import re
import signal
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import NotConfigured, SyncRunning, WrongUse
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines.unified.lead_import import columns, kept_out, merging, report, run, table_file, undo, values
from warehouse_pipelines.unified.lead_import.opening import open_file
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually

ORGANIZATION = uuid.UUID("00000000-0000-0000-0000-000000000001")
OTHER = uuid.UUID("00000000-0000-0000-0000-00000000000b")
OPTIONS = run.Options(ORGANIZATION, "tester")


class Crm:
    """A warehouse into which files of leads are imported."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.files = 0

    def file(self, content: str) -> Path:
        self.files += 1
        path = self.folder / f"leads{self.files}.csv"
        path.write_text(content)
        return path

    def load(self, content: str | Path, options: run.Options = OPTIONS, **more: Any) -> run.Summary:
        path = content if isinstance(content, Path) else self.file(content)
        file = open_file(path)
        with warehouse.session(self.url) as session:
            return run.import_file(session, file, columns.mapped(file), options, **more)

    def undo(self, summary: run.Summary) -> undo.Undone:
        with warehouse.session(self.url) as session:
            return undo.undo(session, ORGANIZATION, summary.id, by="tester")

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        found = looking(self.url).execute(statement.encode(), parameters or None)
        return found.fetchall() if found.description else []

    def leads(self, columns_: str = "first_name, last_name, phone, email") -> list[tuple[Any, ...]]:
        found = self.query(
            f"SELECT {columns_} FROM crm.leads WHERE deleted_at IS NULL ORDER BY created_at, phone, email, 1"
        )
        return [tuple(row.values()) for row in found]

    def rows(self, summary: run.Summary) -> list[tuple[Any, ...]]:
        found = self.query(
            "SELECT row_number, outcome, remarks FROM crm.lead_import_row WHERE import_id = %s ORDER BY 1", summary.id
        )
        return [tuple(row.values()) for row in found]

    def everything(self) -> list[Any]:
        """Leads and their logs, lists and history: what a second import must leave as it is."""
        tables = ("leads", "lead_audit_log", "lead_status_history", "dnc_list", "lead_assignments")
        return [self.query(f"SELECT t::text FROM crm.{table} AS t ORDER BY 1") for table in tables]


@pytest.fixture
def crm(database_url: str, tmp_path: Path) -> Crm:
    return Crm(database_url, tmp_path)


def counts(summary: run.Summary) -> tuple[int, int, int, int]:
    return summary.created, summary.updated, summary.duplicates, summary.refused


HEAD = "First,Last,Phone,Email,Zip,Status,Tags\n"


def test_leads_are_made_as_the_file_says(crm: Crm) -> None:
    done = crm.load(
        "Name,Phone,Email,Address,City,State,Zip,Status,Source,Tags,Value,Created,Division,Time Zone,Notes,Cell\n"
        '"SMITH, ANN",(206) 555-0101,Ann@Example.com,1 Main St,Seattle,WA,2134,Appointment Set,Google,"Hot; roof",'
        '"$12,500.00",3/1/2024,north,Pacific,"likes ""red""",2065550109\n'
    )
    assert counts(done) == (1, 0, 0, 0)
    [lead] = crm.query("SELECT * FROM crm.leads")
    assert {name: lead[name] for name in ("first_name", "last_name", "phone", "email", "status", "source", "tags")} == {
        "first_name": "Ann", "last_name": "Smith", "phone": "+12065550101", "email": "ann@example.com",
        "status": "appointment_set", "source": "google", "tags": ["hot", "roof"],
    }  # fmt: skip
    assert (lead["postal_code"], lead["division"], lead["timezone"]) == ("02134", "north", "America/Los_Angeles")
    assert str(lead["value_usd"]) == "12500.00"
    assert f"{lead['created_at']:%Y-%m-%d}" == "2024-03-01"
    assert lead["organization_id"] == ORGANIZATION
    assert lead["source_metadata"] == {
        "crm_source": "import", "import_id": str(done.id), "import_row": 2, "street": "1 Main St", "city": "Seattle",
        "state": "WA", "notes": 'likes "red"', "other_phones": ["+12065550109"],
    }  # fmt: skip
    [history] = crm.query("SELECT to_status, triggered_by FROM crm.lead_status_history")
    assert history == {"to_status": "appointment_set", "triggered_by": "import"}


def test_a_second_import_of_the_file_changes_nothing(crm: Crm) -> None:
    path = crm.file(
        f"{HEAD}Ann,Smith,2065550101,ann@example.com,98101,new,hot\nBen,Smith,2065550101,,98101,won,\n"
        "Cid,Jones,,cid@example.com,,,\nDan,Jones,,cid@example.com,,,\n,,2065550104,,,,\nbad,row,12,,,,\n"
    )
    first = crm.load(path)
    assert counts(first) == (5, 0, 0, 1)
    before = crm.everything()
    again = crm.load(path)
    assert again.already_at is not None
    assert again.id == first.id
    assert crm.everything() == before
    saved_anew = crm.file(path.read_text() + "\n")
    third = crm.load(saved_anew)
    assert counts(third) == (0, 0, 5, 1)
    assert third.id != first.id
    assert crm.everything() == before
    fourth = crm.load(crm.file(path.read_text().replace(",", ";")), run.Options(ORGANIZATION, "x", overwrite=True))
    assert counts(fourth) == (0, 0, 5, 1)
    assert crm.everything() == before


def test_each_row_is_reported(crm: Crm, tmp_path: Path) -> None:
    done = crm.load(
        f"{HEAD}Ann,Smith,2065550101,,98101,new,\nAnn,Smith,206.555.0101,ann@example.com,98101,new,\n"
        "Annie,Smith,+1 206 555 0101,ann@example.com,,new,\nBen,Smith,2065550101,,,new,\nx,y,,,,,\n\n"
        "Cid,Jones,1.93755e9,,,,\nDan,Poe,2065550105,not an address,1,odd,\nEve,Poe,2065550106,,,,,,shifted\n"
    )
    assert crm.rows(done) == [
        (2, "created", []),
        (3, "updated", []),
        (4, "duplicate", ["first_name differs and was kept"]),
        (5, "created", ["its number is that of another lead, of the same household perhaps"]),
        (6, "refused", ["neither a phone number nor an e-mail address"]),
        (8, "refused", ["neither a phone number nor an e-mail address: phone has lost digits in a spreadsheet"]),
        (9, "created", ["email cannot be read as an address", "postal_code cannot be read",
                        "status is not known, and is taken as new"]),
        (10, "refused", ["it has 9 cells, and the header 7: is a separator in a value?"]),
    ]  # fmt: skip
    assert counts(done) == (3, 1, 1, 3)
    with warehouse.session(crm.url) as session:
        report.write(session, ORGANIZATION, done.id, tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["row"] for row in written] == ["2", "3", "4", "5", "6", "8", "9", "10"]
    assert written[1]["lead"] == written[0]["lead"]
    assert (written[1]["same as row"], written[2]["same as row"]) == ("2", "2")
    assert (tmp_path / "report.csv").stat().st_mode & 0o077 == 0
    text = (tmp_path / "report.csv").read_text().lower()
    assert not re.search(r"\bann|smith|206555|@", text), "no personal data"


HOUSEHOLDS = [
    ("Ann,Smith,2065550101,", "Ann,Smith,2065550101,", "duplicate"),
    ("Ann,Smith,2065550101,", "ANN,SMITH,12065550101,", "duplicate"),
    ("Robert,Smith,2065550101,", "Bob,Smith,2065550101,", "duplicate"),
    ("Ann,Smith,2065550101,", "Ben,Smith,2065550101,", "created"),
    ("Ann,Smith,,s@example.com", "Ben,Smith,,s@example.com", "created"),
    ("John,Smith Jr,2065550101,", "John,Smith Sr,2065550101,", "created"),
    ("Ann,Smith,2065550101,", "Ann,Jones,2065550101,", "created"),
    ("Ann,Smith,2065550101,a@example.com", "Ann,Jones,2065550101,a@example.com", "duplicate"),
    ("Ann,Smith,2065550101,", ",,2065550101,", "duplicate"),
    (",,2065550101,", "Ann,Smith,2065550101,", "updated"),
    ("Ann,Smith,2065550101,", ",Smith,2065550101,", "created"),
    ("Ann,Smith,2065550101,s@example.com", ",Smith,,s@example.com", "duplicate"),
    ("Ann,Smith,2065550101,", "Ann,Smith,2065550102,", "created"),
    ("Ann,Smith-Jones,2065550101,", "Ann,Jones,2065550101,", "duplicate"),
    ("Acme Roofing LLC,,2065550101,", "Ann,Smith,2065550101,", "created"),
    ("Acme Roofing LLC,,2065550101,", "Acme Roofing LLC,,2065550101,", "duplicate"),
]


@pytest.mark.parametrize(("first", "second", "outcome"), HOUSEHOLDS)
@pytest.mark.every_case
def test_who_is_the_same(crm: Crm, first: str, second: str, outcome: str) -> None:
    """In one file, and in two: a shared number or address makes a household, and no person."""
    together = crm.load(f"First,Last,Phone,Email\n{first}\n{second}\n")
    assert [row[1] for row in crm.rows(together)] == ["created", outcome]
    crm.undo(together)
    crm.load(f"First,Last,Phone,Email\n{first}\n")
    assert [row[1] for row in crm.rows(crm.load(f"First,Last,Phone,Email\n{second}\n\n"))] == [outcome]


def test_a_number_of_two_people_is_ones_own_and_the_others_shared(crm: Crm) -> None:
    crm.load("Name,Phone,Email\nAnn Smith,2065550101,\nBen Smith,2065550101,b@example.com\nAnn Smith,2065550102,\n")
    assert crm.leads("first_name, phone, source_metadata -> 'shared_phones'") == [
        ("Ann", "+12065550101", None), ("Ann", "+12065550102", None), ("Ben", None, ["+12065550101"]),
    ]  # fmt: skip
    again = crm.load("Name,Phone\nBen Smith,2065550101\n\n")
    assert counts(again) == (0, 0, 1, 0)


def test_what_a_lead_has_is_kept_and_what_it_lacks_is_filled(crm: Crm) -> None:
    crm.load("Name,Phone,Zip,Status,Tags,Source,City\nAnn Smith,2065550101,98101,contacted,hot,google,\n")
    update = (
        "Name,Phone,Email,Zip,Status,Tags,Source,City\nAnn Smith,2065550101,a@example.com,98102,new,roof,bing,Kent\n"
    )
    done = crm.load(update)
    assert crm.rows(done) == [
        (2, "updated", ["postal_code differs and was kept", "status differs and was kept: contacted"])
    ]
    told = "email, postal_code, status, tags, source, source_metadata ->> 'city'"
    assert crm.leads(told) == [("a@example.com", "98101", "contacted", ["hot", "roof"], "google", "Kent")]
    done = crm.load(update.replace(",new,", ",won,") + "\n", run.Options(ORGANIZATION, "x", overwrite=True))
    assert crm.rows(done) == [(2, "updated", ["status differs and was kept: contacted"])]
    assert crm.leads(told) == [("a@example.com", "98102", "contacted", ["hot", "roof"], "google", "Kent")]
    crm.load(update.replace(",new,", ",qualified,"), run.Options(ORGANIZATION, "x", overwrite=True))
    assert crm.leads("status") == [("qualified",)]


def test_the_case_of_a_stored_address_does_not_matter(crm: Crm) -> None:
    crm.query(
        "INSERT INTO crm.leads (organization_id, first_name, email) VALUES (%s, 'Ann', 'Ann@Example.COM')", ORGANIZATION
    )
    assert counts(crm.load("Name,Email\nAnn,ann@example.com\n")) == (0, 0, 1, 0)


def test_leads_of_another_organization_and_deleted_ones_are_not_seen(crm: Crm) -> None:
    for organization, deleted in ((OTHER, None), (ORGANIZATION, "now")):
        crm.query(
            "INSERT INTO crm.leads (organization_id, first_name, phone, email, deleted_at)"
            " VALUES (%s, 'Ann', '+12065550101', 'a@example.com', %s::timestamptz)", organization, deleted,
        )  # fmt: skip
    assert counts(crm.load("Name,Phone,Email\nAnn,2065550101,a@example.com\n")) == (1, 0, 0, 0)
    assert crm.query("SELECT count(*) AS n FROM crm.leads WHERE organization_id = %s", OTHER) == [{"n": 1}]


def test_a_listed_number_is_imported_and_stays_listed(crm: Crm) -> None:
    crm.query(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, '+12065550101', 'opt_out')", ORGANIZATION
    )
    done = crm.load("Name,Phone,Do Not Call,SMS Consent,Consent Date,Consent Source\n"
                    "Ann Smith,2065550101,no,yes,2024-01-01,form\n")  # fmt: skip
    assert crm.rows(done) == [(2, "created", ["on the do-not-call list by its number; it stays listed"])]
    assert crm.query("SELECT crm.is_on_dnc_list('+12065550101', %s) AS listed", ORGANIZATION) == [{"listed": True}]
    crm.undo(done)
    assert crm.query("SELECT crm.is_on_dnc_list('+12065550101', %s) AS listed", ORGANIZATION) == [{"listed": True}]


def test_what_a_file_forbids_is_listed_once(crm: Crm) -> None:
    content = (
        "Name,Phone,Email,DNC,Unsubscribed,Opted Out\nAnn Smith,2065550101,,x,,\nBen Poe,,b@example.com,,yes,\n"
        "Cid Poe,2065550103,c@example.com,,,maybe\nDan Poe,2065550104,,no,0,false\n"
    )
    done = crm.load(content)
    assert crm.rows(done)[2] == (4, "created", ["do_not_contact is neither yes nor no; it is taken as yes"])
    listed = "SELECT phone, channels, reason, detected_by FROM crm.dnc_list ORDER BY phone NULLS FIRST"
    expected = [
        {"phone": None, "channels": ["email"], "reason": "opt_out", "detected_by": "import"},
        {"phone": "+12065550101", "channels": ["call"], "reason": "opt_out", "detected_by": "import"},
        {"phone": "+12065550103", "channels": ["call", "sms", "email"], "reason": "opt_out", "detected_by": "import"},
    ]
    assert crm.query(listed) == expected
    crm.load(content + "\n")
    assert crm.query(listed) == expected
    for address, blocked in (("b@example.com", True), ("d@example.com", False)):
        found = crm.query("SELECT crm.is_address_listed(%s, %s, 'email') AS listed", address, ORGANIZATION)
        assert found == [{"listed": blocked}]
    crm.undo(done)
    assert crm.query(listed) == expected


def listed(crm: Crm, *phones: str, channel: str = "call") -> list[bool]:
    found = crm.query(
        "SELECT crm.is_on_dnc_list(p, %s, %s) AS listed FROM unnest(%s::text[]) WITH ORDINALITY AS n (p, place)"
        " ORDER BY place", ORGANIZATION, channel, [f"+1206555{phone}" for phone in phones],
    )  # fmt: skip
    return [row["listed"] for row in found]


def test_of_several_columns_that_forbid_each_counts(crm: Crm) -> None:
    crm.load(
        "Name,Phone,Do Not Call,DNC,Status,Email Status,Disposition\nAnn Poe,2065550101,,Yes,,,\n"
        "Ben Poe,2065550102,No,Y,,,\nCid Poe,2065550103,no,,new,opted out,\nDan Poe,2065550104,,,new,,Do Not Call\n"
        "Eve Poe,2065550105,,,new,open,\n"
    )
    assert listed(crm, "0101", "0102", "0103", "0104", "0105") == [True, True, True, True, False]


def test_a_header_that_speaks_of_a_refusal_and_is_not_known_stops_the_import(crm: Crm) -> None:
    path = crm.file("Name,Phone 1,Phone 1 DNC,Do Not Email/Call\nAnn Poe,2065550101,TRUE,\n")
    with pytest.raises(WrongUse, match="'Phone 1 DNC', 'Do Not Email/Call'"):
        columns.mapped(open_file(path))
    said = ["Phone 1 DNC=do_not_call", "Do Not Email/Call=ignore"]
    assert columns.mapped(open_file(path), said).of("do_not_call")
    for header in (
        "Don't Call",
        "DNC2",
        "Opted Out Of",
        "HasOptedOutOfFax",
        "Unsubscribed?!x",
        "No Calls",
        "Litigator",
    ):
        assert columns.refuses(header), header
    for header in ("Window Type", "Attendance", "Options", "Phone Number", "Round Date", "Notes", "Opt In", "Number"):
        assert not columns.refuses(header), header
    known = (
        "DNC (Y/N)",
        "DND",
        "Do Not Call Flag",
        "Email Opted Out",
        "Phone Opt Out",
        "Text Opt-Out Date",
        "DNC Date",
    )
    assert [columns.field_of(header) for header in known] == [
        "do_not_call", "do_not_contact", "do_not_call", "do_not_email", "do_not_call", "do_not_text", "do_not_call",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "channels"),
    [
        ("Do Not Call", ["call", "sms"]), ("DNC", ["call", "sms"]), ("do-not-call", ["call", "sms"]),
        ("Do Not Contact", ["call", "sms", "email"]), ("Opted Out", ["call", "sms", "email"]), ("Don’t text", ["sms"]),
        ("Opted out of E-Mail", ["email"]), ("STOP", ["call", "sms", "email"]), ("no calls", ["call", "sms"]),
        ("No Answer", []), ("Not Interested", []), ("No Contact Made", []), ("Never Home", []), ("Stopped by", []),
    ],
)  # fmt: skip
def test_a_word_of_status_may_forbid(word: str, channels: list[str]) -> None:
    assert values.refusal(word) == channels


def test_who_is_marked_do_not_call_by_its_status_is_no_new_lead(crm: Crm) -> None:
    done = crm.load("Name,Phone,Status\nAnn Poe,2065550101,DNC\nBen Poe,2065550102,dream\n")
    assert crm.leads("first_name, status") == [("Ann", "disqualified"), ("Ben", "new")]
    assert listed(crm, "0101", "0102", channel="sms") == [True, False]
    assert [row[2] for row in crm.rows(done)] == [[], ["status is not known, and is taken as new"]]


def test_all_numbers_of_a_cell_are_read(crm: Crm) -> None:
    done = crm.load(
        "Name,Phone,DNC\nAnn Poe,206-555-0101 / 206-555-0102,yes\nBen Poe,2065550103 2065550104,yes\n"
        "Cid Poe,(206) 555-0105 ext 1234,no\nDan Poe,206-555-0106/0107,no\n"
    )
    assert listed(crm, "0101", "0102", "0103", "0104", "0105") == [True, True, True, True, False]
    assert [row[2] for row in crm.rows(done)][2:] == [
        [],
        ["phone holds digits beside the number that are read as none"],
    ]
    assert values.numbers("206/555-0101") == (["+12065550101"], True)
    assert values.numbers("206-555-0101 206-555-0101") == (["+12065550101"], True)


def test_a_cell_of_excel_without_a_value_forbids(crm: Crm, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Name", "Phone", "DNC"], ["Ann Poe", 2065550101, '=IF(1=1,"Yes","")'], ["Ben Poe", 2065550102, "#N/A"],
                ["Cid Poe", 2065550103, None]):  # fmt: skip
        book.active.append(row)
    book.active["C3"].data_type = "e"
    book.save(tmp_path / "leads.xlsx")
    done = crm.load(tmp_path / "leads.xlsx")
    assert listed(crm, "0101", "0102", "0103") == [True, True, False]
    assert crm.rows(done)[1][2] == [
        "column 3 holds an error of Excel", "do_not_call is neither yes nor no; it is taken as yes",
    ]  # fmt: skip


def test_a_refused_row_forbids_what_it_says(crm: Crm) -> None:
    """Too long, too wide, refused by the database; of an erased person nothing is kept."""
    crm.load("Name,Phone\nFay Poe,2065550106\n")
    erase(crm, "phone", "2065550106")
    crm.query("ALTER TABLE crm.leads ADD CONSTRAINT no_moe CHECK (last_name <> 'Moe')")
    done = crm.load(
        f"Name,Phone,Email,DNC,Unsubscribed,Company\nAnn Poe,2065550101,a@example.com,yes,yes,{'x' * 201}\n"
        "Ben Poe,2065550102,,yes,,a,b\nBen,Poe,2065550103,,no,,a\nCid Moe,2065550104,,yes,,\n"
        f"Dan Poe,2065550105,,no,,{'x' * 201}\nFay Poe,2065550106,,yes,,{'x' * 201}\n"
    )
    assert counts(done) == (0, 0, 0, 6)
    assert listed(crm, "0101", "0102", "0103", "0104", "0105") == [True, True, False, True, False]
    said = [row[2][-1] == merging.ALL_THE_SAME for row in crm.rows(done)]
    assert said == [True, True, False, True, False, False]
    assert crm.query("SELECT crm.is_address_listed('a@example.com', %s, 'email') AS is_", ORGANIZATION)[0]["is_"]
    assert "5550106" not in str(crm.query("SELECT d::text FROM crm.dnc_list AS d"))
    entries = len(crm.query("SELECT FROM crm.dnc_list"))
    crm.load("Name,Phone,DNC\nAnn Poe,2065550101,yes,x\n")
    assert len(crm.query("SELECT FROM crm.dnc_list")) == entries


def test_what_a_row_forbids_holds_for_its_addresses_and_for_all_of_its_lead(crm: Crm) -> None:
    crm.load("Name,Phone,Cell,Email\nAnn Poe,2065550101,2065550102,ann@old.example\n")
    crm.load("Name,Phone,Email,Email 2,Opted Out\nAnn Poe,2065550101,ann@new.example,ann@third.example,yes\n")
    assert listed(crm, "0101", "0102") == [True, True]
    found = crm.query(
        "SELECT crm.is_address_listed('ann@' || a, %s, 'email') AS is_"
        " FROM unnest('{old.example,new.example,third.example,other.example}'::text[]) AS a", ORGANIZATION,
    )  # fmt: skip
    assert [row["is_"] for row in found] == [True, True, True, False]
    assert {row["detected_by"] for row in crm.query("SELECT detected_by FROM crm.dnc_list")} == {"import"}


SAID = [
    ("call, sms", "call sms", "", ""), ("E-Mail", "email", "", ""), ("email only", "email", "call sms", ""),
    ("phone: yes, text: ok", "call sms", "", ""), ("all", "call sms email", "", ""), ("no texts", "", "sms", "sms"),
    ("call only, no texts", "call", "sms", "sms"), ("do not text", "", "sms", "sms"),
    ("never call", "", "call", "call"), ("NEVER_SUBSCRIBED email", "", "email", ""),
    ("DNC - phone", "", "call", "call"), ("call: no, sms: no", "", "call sms", ""), ("declined sms", "", "sms", ""),
    ("email\nopted out of email", "", "email", ""), ("refused: text, email", "", "sms email", ""),
    ("don’t call or text", "", "call sms", "call sms"), ("none - no SMS", "", "sms", "sms"),
    ("text, email: no", "", "sms email", ""), ("revoked", "", "call sms email", ""), ("no", "", "", ""),
    ("ok to text, not ok to call", "sms", "call", ""), ("unsubscribed", "", "call sms email", ""),
    ("we spoke by phone", "", "", ""), ("mobile", "", "", ""), ("maybe", "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "back", "forbidden"), SAID)
def test_a_consent_is_a_list_of_channels_and_any_refusal_is_one(
    text: str, given: str, back: str, forbidden: str
) -> None:
    fields = ("phone", "consent", "consent_at", "consent_source")
    mapping = columns.ColumnMap(1, tuple(columns.Column(place, "", field) for place, field in enumerate(fields, 1)))
    row = table_file.Row(2, ("2065550101", text, "2025-01-01", "form"))
    lead = values.read(row, mapping, dt.datetime.now(dt.UTC))
    assert [one["channel"] for one in lead.consent] == given.split()
    assert [one["channel"] for one in lead.withdrawn] == back.split()
    assert lead.forbidden == forbidden.split()
    assert bool(lead.remarks) == (text in {"we spoke by phone", "mobile", "maybe"}), lead.remarks


def test_a_consent_of_one_channel_is_taken_back_by_any_refusal_in_its_column(crm: Crm) -> None:
    done = crm.load(
        "Name,Phone,SMS Consent,Text Opt In,Consent Date,Consent Source\nAnn Poe,2065550101,yes,no,2025-01-01,form\n"
        "Ben Poe,2065550102,yes,declined,2025-01-01,form\nCid Poe,2065550103,DNC,,2025-01-01,form\n"
        "Dan Poe,2065550104,yes,,2025-01-01,form\n"
    )
    told = "first_name, jsonb_array_length(consent), crm.has_consent(consent, 'sms')"
    assert crm.leads(told) == [("Ann", 0, False), ("Ben", 1, False), ("Cid", 1, False), ("Dan", 1, True)]
    assert listed(crm, "0102", "0103", channel="sms") == [False, True]
    assert crm.rows(done)[0][2] == ["consent is yes in one column and no in another; it is not taken"]


def test_a_consent_needs_a_channel_a_source_and_a_time(crm: Crm) -> None:
    head = "Name,Phone,Consent,SMS Consent,Consent Date,Consent Source,Consent Text Version\n"
    done = crm.load(
        f'{head}A A,2065550101,"call, email",,2024-01-02,web form,v3\nB B,2065550102,,yes,,web form,\n'
        "C C,2065550103,,yes,2024-01-02,,\nD D,2065550104,yes,,2024-01-02,web form,\n"
        "E E,2065550105,,yes,2999-01-02,web form,\nF F,2065550106,no,no,2024-01-02,web form,\n"
    )
    needs = "consent has no time or no source (consent_at, consent_source); it is not taken"
    assert [row[2] for row in crm.rows(done)] == [
        [], [needs], [needs], ["consent names no channel (call, sms, email); it is not taken"],
        ["consent_at is a time to come", needs], [],
    ]  # fmt: skip
    consents = dict(crm.leads("first_name, consent"))
    assert consents.pop("A") == [
        {"channel": channel, "at": "2024-01-02T00:00:00Z", "source": "web form", "text_version": "v3"}
        for channel in ("call", "email")
    ]
    assert set(map(str, consents.values())) == {"[]"}


def test_a_consent_that_was_taken_back_stays_so(crm: Crm) -> None:
    head = "Name,Phone,SMS Consent,Consent Date,Consent Source\n"
    may = "SELECT crm.has_consent(consent, 'sms') AS may FROM crm.leads"
    crm.load(f"{head}Ann Smith,2065550101,yes,2024-01-02,form\n")
    assert crm.query(may) == [{"may": True}]
    back = crm.load(f"{head}Ann Smith,2065550101,opted out,,\n")
    assert counts(back) == (0, 1, 0, 0)
    assert crm.query(may) == [{"may": False}]
    assert counts(crm.load(f"{head}Ann Smith,2065550101,revoked,,\n\n")) == (0, 0, 1, 0)
    assert counts(crm.load(f"{head}Ann Smith,2065550101,yes,2024-01-02,form\n\n")) == (0, 0, 1, 0)
    assert crm.query(may) == [{"may": False}]
    assert crm.undo(back).left == {"consent was changed since, or must stay": 1}
    assert crm.query(may) == [{"may": False}]


def test_undoing_says_that_what_was_taken_back_goes_with_a_deleted_lead(crm: Crm) -> None:
    done = crm.load("Name,Phone,SMS Consent\nAnn Smith,2065550101,opted out\nBen Poe,2065550102,\n")
    undone = crm.undo(done)
    assert (undone.deleted, undone.left) == (2, {undo.REFUSAL: 1})


def test_a_consent_is_taken_back_from_the_day_of_the_import_on(crm: Crm) -> None:
    """The date beside it is when it was given, perhaps before the consent that is there."""
    head = "Name,Phone,SMS Consent,Consent Date,Consent Source\n"
    crm.load(f"{head}Ann Smith,2065550101,yes,2025-01-01 15:00,form\n")
    crm.load(f"{head}Ann Smith,2065550101,Opted Out,1/1/2025,form\n")
    assert crm.leads("crm.has_consent(consent, 'sms')") == [(False,)]
    told = "consent #>> '{1,at}' AS at, (consent #>> '{1,revoked_at}')::timestamptz > now() - interval '1 hour'"
    assert crm.leads(told) == [("2025-01-01T00:00:00Z", True)]


def test_undoing_takes_away_what_was_made_and_puts_back_what_was_changed(crm: Crm) -> None:
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


def test_undoing_leaves_what_somebody_worked_on(crm: Crm) -> None:
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


def test_an_import_that_is_broken_off_goes_on(crm: Crm) -> None:
    path = crm.file("Name,Phone\n" + "".join(f"Ann A{row},206555{row:04}\n" for row in range(100, 160)))

    def stop(row: int) -> None:
        if row > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crm.load(path, batch=10, progress=stop)
    assert len(crm.leads()) == 30
    [unfinished] = crm.query("SELECT id, status, rows_read, created FROM crm.lead_import")
    assert (unfinished["status"], unfinished["rows_read"], unfinished["created"]) == ("running", 31, 30)
    with pytest.raises(WrongUse, match="begun with other columns or options"):
        crm.load(path, run.Options(ORGANIZATION, "x", overwrite=True))
    done = crm.load(path, batch=7)
    assert done.id == unfinished["id"]
    assert (counts(done), done.resumed_after) == ((60, 0, 0, 0), 31)
    assert len(crm.leads()) == 60
    assert [row[0] for row in crm.rows(done)] == list(range(2, 62))


def damaged(path: Path, how: str) -> Path:
    """A workbook of a hundred rows whose sheet cannot be read to its end."""
    book = openpyxl.Workbook()
    book.active.title = path.stem
    book.active.append(["Name", "Phone"])
    for row in range(2, 102):
        book.active.append([f"Ann A{row}", f"206555{row:04}"])
    book.save(path)
    with zipfile.ZipFile(path) as old:
        parts = {entry.filename: old.read(entry) for entry in old.infolist()}
    sheet = "xl/worksheets/sheet1.xml"
    if how == "xml":
        parts[sheet] = parts[sheet].replace(b'<row r="42"', b'<row r="42" <', 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, part in parts.items():
            new.writestr(name, part)
    return path


@pytest.mark.parametrize("how", ["xml", "rows"])
def test_rows_below_a_damaged_place_are_said_to_be_unread(
    crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse_command: Callable[..., Result], how: str
) -> None:
    """What stands above is imported, a part of a batch too; the same file is tried again from there."""
    path = damaged(tmp_path / "leads.xlsx", how)
    if how == "rows":
        monkeypatch.setattr(table_file, "MAX_ROWS", 41)
    for _ in range(2):
        done = crm.load(path, batch=30)
        assert (counts(done), done.unread and done.unread[0]) == ((40, 0, 0, 0), 42)
        rows = crm.rows(done)
        assert [row[:2] for row in rows] == [*((row, "created") for row in range(2, 42)), (42, "unread")]
        assert rows[-1][2][0].startswith("neither this row nor any below it was read: ")
    said = warehouse_command("leads", str(path))
    assert said.exit_code == 3, said.output
    assert "Row 42 and all below it were not read" in said.output
    [written] = tmp_path.glob("leads.import-*.csv")
    assert written.read_text().splitlines()[-1].startswith("42,unread,")
    assert "unfinished" in warehouse_command("list").output
    monkeypatch.setattr(table_file, "MAX_ROWS", 1000)
    whole = crm.load(damaged(tmp_path / "whole.xlsx", "not"))
    assert counts(whole) == (60, 0, 40, 0)
    if how == "rows":
        again = crm.load(path)
        assert (again.id, again.resumed_after, again.unread) == (done.id, 41, None)
        assert [row[:2] for row in crm.rows(again)] == [
            *((row, "created") for row in range(2, 42)), *((row, "duplicate") for row in range(42, 102)),
        ]  # fmt: skip


def test_a_broken_off_import_is_undone(crm: Crm) -> None:
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


@pytest.mark.slow("a program of its own, which is killed")
def test_a_killed_import_goes_on_and_makes_nothing_twice(crm: Crm, tmp_path: Path) -> None:
    path = crm.file(
        "Name,Phone\n" + "".join(f"Ann A{row},206{200 + row // 10_000}{row % 10_000:04}\n" for row in range(4_000))
    )
    environment = dict(os.environ)
    first = Command(["import", "leads", str(path)], environment, tmp_path / "said")
    read = "SELECT coalesce(max(rows_read), 0) AS n FROM crm.lead_import"
    eventually(lambda: crm.query(read)[0]["n"] > 1000, "it imports", 200)
    first.kill()
    reached = crm.query(read)[0]["n"]
    assert reached < 4_001, "it was killed in the middle"
    assert len(crm.leads("id")) == reached - 1
    second = Command(["import", "leads", str(path)], environment, tmp_path / "said again")
    code, said = second.ended()
    assert code == 0, said
    assert f"Continued after row {reached:,}" in said
    assert crm.query("SELECT count(*) AS leads, count(DISTINCT phone) AS phones FROM crm.leads") == [
        {"leads": 4_000, "phones": 4_000}
    ]
    assert crm.query("SELECT count(*) AS n FROM crm.lead_import_row WHERE outcome = 'created'") == [{"n": 4_000}]
    assert crm.query("SELECT count(*) AS n FROM crm.lead_status_history") == [{"n": 4_000}]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_ctrl_c_says_that_the_same_command_goes_on(crm: Crm, tmp_path: Path) -> None:
    path = crm.file(
        "Name,Phone\n" + "".join(f"Ann A{row},206{200 + row // 10_000}{row % 10_000:04}\n" for row in range(6_000))
    )
    command = Command(["import", "leads", str(path)], dict(os.environ), tmp_path / "said")
    eventually(lambda: crm.query("SELECT id FROM crm.lead_import WHERE rows_read > 0"), "it imports", 200)
    command.send(signal.SIGTERM)
    code, said = command.ended()
    assert code == 130, said
    assert "The same command goes on from there." in said
    assert "Traceback" not in said


def test_two_imports_do_not_run_side_by_side(crm: Crm) -> None:
    path = crm.file("Name,Phone\nAnn Smith,2065550101\n")
    with warehouse.session(crm.url) as session, run.alone(session, ORGANIZATION):
        with pytest.raises(SyncRunning, match="Another import"):
            crm.load(path)
        assert counts(crm.load(path, run.Options(OTHER, "x"))) == (1, 0, 0, 0)
    assert counts(crm.load(path)) == (1, 0, 0, 0)


def test_somebody_else_may_write_meanwhile(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead with the number of a row appears between the look-up and the insert: the batch is made again."""
    looked = run._known
    inserted: list[Any] = []

    def known(*given: Any) -> Any:
        found = looked(*given)
        if not inserted:
            inserted.append(crm.query(
                "INSERT INTO crm.leads (organization_id, first_name, last_name, phone)"
                " VALUES (%s, 'Ann', 'Smith', '+12065550101') RETURNING id", ORGANIZATION,
            ))  # fmt: skip
        return found

    monkeypatch.setattr(run, "_known", known)
    done = crm.load("Name,Phone,Zip\nAnn Smith,2065550101,98101\nBen Smith,2065550102,98101\n")
    assert counts(done) == (1, 1, 0, 0)


def test_a_row_that_the_database_refuses_costs_no_other(crm: Crm) -> None:
    crm.query("ALTER TABLE crm.leads ADD CONSTRAINT no_poe CHECK (last_name <> 'Poe')")
    people = "".join(f"Ann {'Poe' if row in (103, 117) else f'A{row}'},2065550{row}\n" for row in range(100, 130))
    done = crm.load(f"Name,Phone\n{people}")
    assert counts(done) == (28, 0, 0, 2)
    assert [row for row in crm.rows(done) if row[1] == "refused"] == [
        (5, "refused", ["the database refuses it: no_poe"]), (19, "refused", ["the database refuses it: no_poe"]),
    ]  # fmt: skip


def test_an_address_that_a_crowd_shares_tells_nobody_apart_and_costs_no_time(crm: Crm) -> None:
    surnames = ["".join(letter * 3 for letter in three) for three in itertools.product("abcdefghijkl", repeat=3)][:600]
    content = "First,Last,Email\n" + "".join(f"Ann,{surname},sales@example.com\n" for surname in surnames)
    assert counts(crm.load(content, batch=160)) == (600, 0, 0, 0)
    assert counts(crm.load(content + "\n", batch=160)) == (0, 0, 600, 0)


def test_erasing_a_lead_empties_what_an_import_kept_of_it(crm: Crm) -> None:
    crm.load("Name,Phone\nAnn Smith,2065550101\n")
    done = crm.load("Name,Phone,Email\nAnn Smith,2065550101,secret@example.com\n")
    assert "secret" in json.dumps(crm.query("SELECT changes FROM crm.lead_import_row WHERE import_id = %s", done.id))
    with psycopg.connect(crm.url) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [str(ORGANIZATION)])
        connection.execute("SELECT crm.erase_lead(id) FROM crm.leads")
    kept = crm.query("SELECT r::text AS r FROM crm.lead_import_row AS r")
    assert "secret" not in str(kept)
    assert crm.undo(done).left == {"it was deleted since": 1}


@pytest.fixture
def warehouse_command(crm: Crm) -> Iterator[Callable[..., Result]]:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["import", *words])

    yield invoke
    warehouse.close_kept()


def test_the_preview_shows_where_columns_go_and_no_person(crm: Crm, warehouse_command: Callable[..., Result]) -> None:
    path = crm.file(
        "Customer Name,Cell Phone,E-mail,Zip,Spouse\nAnn Smith,206-555-0101,ann@example.com,98101,Ben\nx,,,,\n"
    )
    done = warehouse_command("leads", str(path), "--preview")
    assert done.exit_code == 0, done.output
    for said in ("Customer Name", "full_name", "left out: not known", "981**", "refused: neither a phone"):
        assert said in done.output
    for person in ("Ann", "Smith", "555-01", "ann@", "example", "Ben"):
        assert person not in done.output.replace("for example", "")
    assert crm.leads() == []
    assert crm.query("SELECT FROM crm.lead_import") == []


def test_the_command_imports_lists_and_undoes(crm: Crm, warehouse_command: Callable[..., Result]) -> None:
    path = crm.file("Kunde,Cell\nAnn Smith,206-555-0101\nBen,1\n")
    done = warehouse_command("leads", str(path), "--map", "Kunde=full_name", "--source", "fair")
    assert done.exit_code == 3, done.output
    assert crm.leads("first_name, source") == [("Ann", "fair")]
    [id_] = re.findall(r"warehouse import undo (\w{8})", done.output)
    written = path.with_name(f"{path.stem}.import-{id_}.csv").read_text()
    assert written.startswith("row,outcome,lead,same as row,remarks,undone\n2,created,")
    assert "3,refused,,,neither a phone number nor an e-mail address: phone cannot be read as a number," in written
    assert not re.search(r"555\W?0101", done.output)
    again = warehouse_command("leads", str(path), "--map", "Kunde=full_name", "--source", "fair")
    assert again.exit_code == 0
    assert "nothing was changed" in again.output
    listed = warehouse_command("list")
    assert id_ in listed.output
    assert "complete" in listed.output
    undone = warehouse_command("undo", id_, "--report", str(path.with_name("undone.csv")))
    assert undone.exit_code == 0, undone.output
    assert "Undone: 1 leads deleted" in undone.output
    assert path.with_name("undone.csv").read_text().splitlines()[1].endswith(",deleted")
    assert crm.leads() == []
    for wrong in ("zz", "ffffffff"):
        assert warehouse_command("undo", wrong).exit_code == 2


def test_wrong_use_is_one_sentence(crm: Crm, warehouse_command: Callable[..., Result]) -> None:
    for words in (["leads", "missing.csv"], ["leads", str(crm.file("a,b\n1,2\n"))], ["leads", str(crm.folder)]):
        done = warehouse_command(*words)
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output


def test_nothing_of_a_row_is_in_an_error_of_the_database(crm: Crm, warehouse_command: Callable[..., Result]) -> None:
    crm.query(
        "CREATE FUNCTION crm.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % %', NEW.phone,"
        " NEW.email; END $$"
    )
    crm.query("CREATE TRIGGER fail BEFORE INSERT ON crm.leads FOR EACH ROW EXECUTE FUNCTION crm.fail()")
    done = warehouse_command("leads", str(crm.file("Name,Phone,Email\nAnn,2065550101,a@example.com\n")))
    assert done.exit_code == 1, done.output
    assert "The database refused what the import wrote: no *** ***" in done.output


def test_the_source_of_a_lead_has_one_name(crm: Crm) -> None:
    crm.load(
        "Name,Phone,Source\nAnn Poe,2062230101,google_paid\nBen Poe,2062230102,Google Ads\n"
        "Cid Poe,2062230103, Skywriting \nDan Poe,2062230104,\n",
        run.Options(ORGANIZATION, "tester", source="FB Ads"),
    )
    assert sorted(crm.leads("first_name, source")) == [
        ("Ann", "google ads"), ("Ben", "google ads"), ("Cid", "skywriting"), ("Dan", "facebook"),
    ]  # fmt: skip


def erase(crm: Crm, by: Any, value: str) -> None:
    with warehouse.session(crm.url) as session:
        erasure.erase(session, by, value, [], erased_by="test")


def test_an_erased_person_is_not_brought_back_by_a_file(crm: Crm) -> None:
    """Neither by the address nor by the number, whatever else the row says; the report says nothing of them."""
    first = crm.load("Name,Phone,Email\nAnn Poe,2062230101,ann@example.com\nBen Poe,2062230102,ben@example.com\n")
    erase(crm, "email", "ann@example.com")
    erase(crm, "phone", "2062230102")
    content = (
        "Name,Phone,Email,Notes\nAnn Poe,2062230109,ANN@example.com,hello\nX,(206) 223-0102,,\n"
        "Cid Poe,2062230103,cid@example.com,sister of ann@example.com\nBen Poe,2062230105,ben2@example.com,\n"
    )
    done = crm.load(content)
    assert counts(done) == (2, 0, 0, 2)
    assert [row[:2] for row in crm.rows(done)] == [(2, "refused"), (3, "refused"), (4, "created"), (5, "created")]
    assert crm.rows(done)[0][2] == crm.rows(done)[1][2] == [kept_out.REFUSED]
    notes = crm.query("SELECT source_metadata ->> 'notes' AS notes FROM crm.leads WHERE first_name = 'Cid'")
    assert notes == [{"notes": "sister of [erased]"}]
    with warehouse.session(crm.url) as session:
        path = crm.folder / "report.csv"
        report.write(session, ORGANIZATION, done.id, path)
    everything = path.read_text() + json.dumps(crm.everything()) + str(crm.rows(done)) + str(crm.rows(first))
    assert "ann@example" not in everything.lower()
    assert "2230102" not in everything
    # An import that was begun before the erasure, and goes on after it.
    erase(crm, "email", "cid@example.com")
    again = crm.load(content + "\n")
    assert counts(again) == (0, 0, 1, 3)


def test_erasure_finds_a_lead_by_a_further_number_or_address(crm: Crm) -> None:
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
        erase(crm, by, value)
    assert [name for (name,) in crm.leads("first_name")] == ["Guy", "Dan"]
    assert crm.query("SELECT count(*) AS n FROM crm.leads WHERE erased_at IS NOT NULL") == [{"n": 5}]


def test_an_erased_lead_takes_its_further_numbers_along(crm: Crm) -> None:
    """From a deleted lead and from the do-not-call list, but not from who has the number now."""
    crm.load("Name,Phone,Cell,Home Phone\nAnn Poe,2065550101,2065550102,2065550103\n")
    for phone, deleted in (("+12065550102", "now"), ("+12065550103", None)):
        crm.query(
            "INSERT INTO crm.leads (organization_id, first_name, phone, deleted_at)"
            " VALUES (%s, 'Other', %s, %s::timestamptz)", ORGANIZATION, phone, deleted,
        )  # fmt: skip
        crm.query(
            "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, %s, 'opt_out')", ORGANIZATION, phone
        )
    with psycopg.connect(crm.url) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, true)", [str(ORGANIZATION)])
        connection.execute("SELECT crm.erase_lead(id) FROM crm.leads WHERE first_name = 'Ann'")
    assert crm.query("SELECT phone FROM crm.leads WHERE phone IS NOT NULL") == [{"phone": "+12065550103"}]
    assert crm.query("SELECT phone FROM crm.dnc_list ORDER BY phone") == [{"phone": "+12065550103"}, {"phone": None}]
    assert listed(crm, "0102", "0103") == [True, True]


def test_an_import_waits_for_an_erasure_and_sees_it(crm: Crm) -> None:
    """Somebody is erased between two batches."""
    content = "Name,Phone,Email\n" + "".join(
        f"Ann Poe{number},20622301{number:02},ann{number}@example.com\n" for number in range(4)
    )

    def progress(rows: int) -> None:
        if rows == 3:
            erase(crm, "email", "ann3@example.com")

    crm.load("Name,Phone,Email\nAnn Poe3,2062230103,ann3@example.com\n")
    done = crm.load(content, batch=2, progress=progress)
    assert counts(done) == (3, 0, 0, 1)


def test_who_may_not_read_the_list_of_erased_people_imports_nobody(crm: Crm) -> None:
    login = f"importer_{uuid.uuid4().hex[:8]}"
    crm.query(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    crm.query(f"GRANT crm_owner, crm_definer TO {login}")
    try:
        url = re.sub(r"//[^@]*@", f"//{login}:x@", crm.url)
        path = crm.file("Name,Phone\nAnn Poe,2062230101\n")
        file = open_file(path)
        with (
            warehouse.session(url) as session,
            pytest.raises(NotConfigured, match=r"identity\.tombstone"),
        ):
            run.import_file(session, file, columns.mapped(file), OPTIONS)
        assert crm.leads() == []
        crm.query(f"GRANT USAGE ON SCHEMA identity TO {login}")
        crm.query(f"GRANT SELECT ON identity.tombstone, identity.erasure_key TO {login}")
        with warehouse.session(url) as session:
            assert counts(run.import_file(session, file, columns.mapped(file), OPTIONS)) == (1, 0, 0, 0)
    finally:
        crm.query(f"DROP OWNED BY {login}")
        crm.query(f"DROP ROLE {login}")
