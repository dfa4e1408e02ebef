"""Whom a file of leads forbids to reach, which consents it gives and takes back, and that who was erased stays out."""

import datetime as dt
import json
import re
import uuid
from pathlib import Path

import openpyxl
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.unified.lead_import import columns, kept_out, merging, refusals, report, table_file, values
from warehouse_pipelines.unified.lead_import.opening import open_file
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION, ImportDatabase, counts, import_leads


def test_a_listed_number_is_imported_and_stays_listed(crm: ImportDatabase) -> None:
    crm.query(
        "INSERT INTO crm.dnc_list (organization_id, phone, reason) VALUES (%s, '+12065550101', 'opt_out')", ORGANIZATION
    )
    done = crm.load("Name,Phone,Do Not Call,SMS Consent,Consent Date,Consent Source\n"
                    "Ann Smith,2065550101,no,yes,2024-01-01,form\n")  # fmt: skip
    assert crm.rows(done) == [(2, "created", ["on the do-not-call list by its number; it stays listed"])]
    assert crm.query("SELECT crm.is_on_dnc_list('+12065550101', %s) AS listed", ORGANIZATION) == [{"listed": True}]
    crm.undo(done)
    assert crm.query("SELECT crm.is_on_dnc_list('+12065550101', %s) AS listed", ORGANIZATION) == [{"listed": True}]


def test_what_a_file_forbids_is_listed_once(crm: ImportDatabase) -> None:
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


def test_of_several_columns_that_forbid_each_counts(crm: ImportDatabase) -> None:
    crm.load(
        "Name,Phone,Do Not Call,DNC,Status,Email Status,Disposition\nAnn Poe,2065550101,,Yes,,,\n"
        "Ben Poe,2065550102,No,Y,,,\nCid Poe,2065550103,no,,new,opted out,\nDan Poe,2065550104,,,new,,Do Not Call\n"
        "Eve Poe,2065550105,,,new,open,\n"
    )
    assert crm.listed("0101", "0102", "0103", "0104", "0105") == [True, True, True, True, False]


def test_a_header_that_speaks_of_a_refusal_and_is_not_known_stops_the_import(crm: ImportDatabase) -> None:
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
    assert refusals.refusal(word) == channels


def test_who_is_marked_do_not_call_by_its_status_is_no_new_lead(crm: ImportDatabase) -> None:
    done = crm.load("Name,Phone,Status\nAnn Poe,2065550101,DNC\nBen Poe,2065550102,dream\n")
    assert crm.leads("first_name, status") == [("Ann", "disqualified"), ("Ben", "new")]
    assert crm.listed("0101", "0102", channel="sms") == [True, False]
    assert [row[2] for row in crm.rows(done)] == [[], ["status is not known, and is taken as new"]]


def test_a_cell_of_excel_without_a_value_forbids(crm: ImportDatabase, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Name", "Phone", "DNC"], ["Ann Poe", 2065550101, '=IF(1=1,"Yes","")'], ["Ben Poe", 2065550102, "#N/A"],
                ["Cid Poe", 2065550103, None]):  # fmt: skip
        book.active.append(row)
    book.active["C3"].data_type = "e"
    book.save(tmp_path / "leads.xlsx")
    done = crm.load(tmp_path / "leads.xlsx")
    assert crm.listed("0101", "0102", "0103") == [True, True, False]
    assert crm.rows(done)[1][2] == [
        "column 3 holds an error of Excel", "do_not_call is neither yes nor no; it is taken as yes",
    ]  # fmt: skip


def test_a_refused_row_forbids_what_it_says(crm: ImportDatabase) -> None:
    """Too long, too wide, refused by the database; of an erased person nothing is kept."""
    crm.load("Name,Phone\nFay Poe,2065550106\n")
    crm.erase("phone", "2065550106")
    crm.query("ALTER TABLE crm.leads ADD CONSTRAINT no_moe CHECK (last_name <> 'Moe')")
    done = crm.load(
        f"Name,Phone,Email,DNC,Unsubscribed,Company\nAnn Poe,2065550101,a@example.com,yes,yes,{'x' * 201}\n"
        "Ben Poe,2065550102,,yes,,a,b\nBen,Poe,2065550103,,no,,a\nCid Moe,2065550104,,yes,,\n"
        f"Dan Poe,2065550105,,no,,{'x' * 201}\nFay Poe,2065550106,,yes,,{'x' * 201}\n"
    )
    assert counts(done) == (0, 0, 0, 6)
    assert crm.listed("0101", "0102", "0103", "0104", "0105") == [True, True, False, True, False]
    said = [row[2][-1] == merging.ALL_THE_SAME for row in crm.rows(done)]
    assert said == [True, True, False, True, False, False]
    assert crm.query("SELECT crm.is_address_listed('a@example.com', %s, 'email') AS is_", ORGANIZATION)[0]["is_"]
    assert "5550106" not in str(crm.query("SELECT d::text FROM crm.dnc_list AS d"))
    entries = len(crm.query("SELECT FROM crm.dnc_list"))
    crm.load("Name,Phone,DNC\nAnn Poe,2065550101,yes,x\n")
    assert len(crm.query("SELECT FROM crm.dnc_list")) == entries


def test_what_a_row_forbids_holds_for_its_addresses_and_for_all_of_its_lead(crm: ImportDatabase) -> None:
    crm.load("Name,Phone,Cell,Email\nAnn Poe,2065550101,2065550102,ann@old.example\n")
    crm.load("Name,Phone,Email,Email 2,Opted Out\nAnn Poe,2065550101,ann@new.example,ann@third.example,yes\n")
    assert crm.listed("0101", "0102") == [True, True]
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


def test_a_consent_of_one_channel_is_taken_back_by_any_refusal_in_its_column(crm: ImportDatabase) -> None:
    done = crm.load(
        "Name,Phone,SMS Consent,Text Opt In,Consent Date,Consent Source\nAnn Poe,2065550101,yes,no,2025-01-01,form\n"
        "Ben Poe,2065550102,yes,declined,2025-01-01,form\nCid Poe,2065550103,DNC,,2025-01-01,form\n"
        "Dan Poe,2065550104,yes,,2025-01-01,form\n"
    )
    told = "first_name, jsonb_array_length(consent), crm.has_consent(consent, 'sms')"
    assert crm.leads(told) == [("Ann", 0, False), ("Ben", 1, False), ("Cid", 1, False), ("Dan", 1, True)]
    assert crm.listed("0102", "0103", channel="sms") == [False, True]
    assert crm.rows(done)[0][2] == ["consent is yes in one column and no in another; it is not taken"]


def test_a_consent_needs_a_channel_a_source_and_a_time(crm: ImportDatabase) -> None:
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


def test_a_consent_that_was_taken_back_stays_so(crm: ImportDatabase) -> None:
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


def test_a_consent_is_taken_back_from_the_day_of_the_import_on(crm: ImportDatabase) -> None:
    """The date beside it is when it was given, perhaps before the consent that is there."""
    head = "Name,Phone,SMS Consent,Consent Date,Consent Source\n"
    crm.load(f"{head}Ann Smith,2065550101,yes,2025-01-01 15:00,form\n")
    crm.load(f"{head}Ann Smith,2065550101,Opted Out,1/1/2025,form\n")
    assert crm.leads("crm.has_consent(consent, 'sms')") == [(False,)]
    told = "consent #>> '{1,at}' AS at, (consent #>> '{1,revoked_at}')::timestamptz > now() - interval '1 hour'"
    assert crm.leads(told) == [("2025-01-01T00:00:00Z", True)]


def test_an_erased_person_is_not_brought_back_by_a_file(crm: ImportDatabase) -> None:
    """Neither by the address nor by the number, whatever else the row says; the report says nothing of them."""
    first = crm.load("Name,Phone,Email\nAnn Poe,2062230101,ann@example.com\nBen Poe,2062230102,ben@example.com\n")
    crm.erase("email", "ann@example.com")
    crm.erase("phone", "2062230102")
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
    crm.erase("email", "cid@example.com")
    again = crm.load(content + "\n")
    assert counts(again) == (0, 0, 1, 3)


def test_an_import_waits_for_an_erasure_and_sees_it(crm: ImportDatabase) -> None:
    """Somebody is erased between two batches."""
    content = "Name,Phone,Email\n" + "".join(
        f"Ann Poe{number},20622301{number:02},ann{number}@example.com\n" for number in range(4)
    )

    def progress(rows: int) -> None:
        if rows == 3:
            crm.erase("email", "ann3@example.com")

    crm.load("Name,Phone,Email\nAnn Poe3,2062230103,ann3@example.com\n")
    done = crm.load(content, batch=2, progress=progress)
    assert counts(done) == (3, 0, 0, 1)


def test_who_may_not_read_the_list_of_erased_people_imports_nobody(crm: ImportDatabase) -> None:
    login = f"importer_{uuid.uuid4().hex[:8]}"
    crm.query(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    crm.query(f"GRANT crm_owner, crm_definer TO {login}")
    try:
        url = re.sub(r"//[^@]*@", f"//{login}:x@", crm.url)
        path = crm.file("Name,Phone\nAnn Poe,2062230101\n")
        with warehouse.session(url) as session, pytest.raises(NotConfigured, match=r"identity\.tombstone"):
            import_leads(session, path)
        assert crm.leads() == []
        crm.query(f"GRANT USAGE ON SCHEMA identity TO {login}")
        crm.query(f"GRANT SELECT ON identity.tombstone, identity.erasure_key TO {login}")
        with warehouse.session(url) as session:
            assert counts(import_leads(session, path)) == (1, 0, 0, 0)
    finally:
        crm.query(f"DROP OWNED BY {login}")
        crm.query(f"DROP ROLE {login}")
