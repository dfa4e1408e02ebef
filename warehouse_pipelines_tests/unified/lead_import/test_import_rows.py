"""What becomes of the rows of a file of leads: who is the same, what is filled and kept, what a report says."""

import csv
import datetime as dt
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.lead_import import cells, report, run, values
from warehouse_pipelines.unified.lead_import.columns import Column, ColumnMap
from warehouse_pipelines.unified.lead_import.table_file import Row
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION, OTHER, ImportDatabase, counts

HEAD = "First,Last,Phone,Email,Zip,Status,Tags\n"


def test_leads_are_made_as_the_file_says(crm: ImportDatabase) -> None:
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


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ("(206) 555-0101", "+12065550101"), ("Ada Example 206.555.0101", "+12065550101"),
        ("2.065550101E9", "+12065550101"), ("Ada <ADA@Example.com>", "ada@example.com"),
        ("9F8B6C1E-0000-4000-8000-00000000000A", "9f8b6c1e-0000-4000-8000-00000000000a"), ("n/a", None), ("", None),
        ("Ada  Example", "Ada Example"), ("12", "12"), ("2.06E9", "2.06E9"),
    ],
)  # fmt: skip
def test_who_sent_somebody_is_read_as_the_marts_join_it(cell: str, kept: str | None) -> None:
    mapping = ColumnMap(1, (Column(1, "Phone", "phone"), Column(2, "Referrer", "referred_by")))
    lead = values.read(Row(2, ("2065550102", cell)), mapping, dt.datetime.now(dt.UTC))
    assert lead.metadata.get("referred_by") == kept
    joins = kept is None or kept[0] == "+" or "@" in kept or len(kept) == 36
    assert any("referred_by" in remark for remark in lead.remarks) is not joins


def test_a_second_import_of_the_file_changes_nothing(crm: ImportDatabase) -> None:
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


def test_each_row_is_reported(crm: ImportDatabase, tmp_path: Path) -> None:
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
def test_who_is_the_same(crm: ImportDatabase, first: str, second: str, outcome: str) -> None:
    """In one file, and in two: a shared number or address makes a household, and no person."""
    together = crm.load(f"First,Last,Phone,Email\n{first}\n{second}\n")
    assert [row[1] for row in crm.rows(together)] == ["created", outcome]
    crm.undo(together)
    crm.load(f"First,Last,Phone,Email\n{first}\n")
    assert [row[1] for row in crm.rows(crm.load(f"First,Last,Phone,Email\n{second}\n\n"))] == [outcome]


def test_a_number_of_two_people_is_ones_own_and_the_others_shared(crm: ImportDatabase) -> None:
    crm.load("Name,Phone,Email\nAnn Smith,2065550101,\nBen Smith,2065550101,b@example.com\nAnn Smith,2065550102,\n")
    assert crm.leads("first_name, phone, source_metadata -> 'shared_phones'") == [
        ("Ann", "+12065550101", None), ("Ann", "+12065550102", None), ("Ben", None, ["+12065550101"]),
    ]  # fmt: skip
    again = crm.load("Name,Phone\nBen Smith,2065550101\n\n")
    assert counts(again) == (0, 0, 1, 0)


def test_what_a_lead_has_is_kept_and_what_it_lacks_is_filled(crm: ImportDatabase) -> None:
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


def test_the_case_of_a_stored_address_does_not_matter(crm: ImportDatabase) -> None:
    crm.query(
        "INSERT INTO crm.leads (organization_id, first_name, email) VALUES (%s, 'Ann', 'Ann@Example.COM')", ORGANIZATION
    )
    assert counts(crm.load("Name,Email\nAnn,ann@example.com\n")) == (0, 0, 1, 0)


def test_leads_of_another_organization_and_deleted_ones_are_not_seen(crm: ImportDatabase) -> None:
    for organization, deleted in ((OTHER, None), (ORGANIZATION, "now")):
        crm.query(
            "INSERT INTO crm.leads (organization_id, first_name, phone, email, deleted_at)"
            " VALUES (%s, 'Ann', '+12065550101', 'a@example.com', %s::timestamptz)", organization, deleted,
        )  # fmt: skip
    assert counts(crm.load("Name,Phone,Email\nAnn,2065550101,a@example.com\n")) == (1, 0, 0, 0)
    assert crm.query("SELECT count(*) AS n FROM crm.leads WHERE organization_id = %s", OTHER) == [{"n": 1}]


def test_all_numbers_of_a_cell_are_read(crm: ImportDatabase) -> None:
    done = crm.load(
        "Name,Phone,DNC\nAnn Poe,206-555-0101 / 206-555-0102,yes\nBen Poe,2065550103 2065550104,yes\n"
        "Cid Poe,(206) 555-0105 ext 1234,no\nDan Poe,206-555-0106/0107,no\n"
    )
    assert crm.listed("0101", "0102", "0103", "0104", "0105") == [True, True, True, True, False]
    assert [row[2] for row in crm.rows(done)][2:] == [
        [],
        ["phone holds digits beside the number that are read as none"],
    ]
    assert cells.numbers("206/555-0101") == (["+12065550101"], True)
    assert cells.numbers("206-555-0101 206-555-0101") == (["+12065550101"], True)


def test_the_source_of_a_lead_has_one_name(crm: ImportDatabase) -> None:
    crm.load(
        "Name,Phone,Source\nAnn Poe,2062230101,google_paid\nBen Poe,2062230102,Google Ads\n"
        "Cid Poe,2062230103, Skywriting \nDan Poe,2062230104,\n",
        run.Options(ORGANIZATION, "tester", source="FB Ads"),
    )
    assert sorted(crm.leads("first_name, source")) == [
        ("Ann", "google ads"), ("Ben", "google ads"), ("Cid", "skywriting"), ("Dan", "facebook"),
    ]  # fmt: skip


def test_somebody_else_may_write_meanwhile(crm: ImportDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead with the number of a row appears between the look-up and the insert: the batch is made again."""
    looked = run._Import._known
    inserted: list[Any] = []

    def known(*given: Any) -> Any:
        found = looked(*given)
        if not inserted:
            inserted.append(crm.query(
                "INSERT INTO crm.leads (organization_id, first_name, last_name, phone)"
                " VALUES (%s, 'Ann', 'Smith', '+12065550101') RETURNING id", ORGANIZATION,
            ))  # fmt: skip
        return found

    monkeypatch.setattr(run._Import, "_known", known)
    done = crm.load("Name,Phone,Zip\nAnn Smith,2065550101,98101\nBen Smith,2065550102,98101\n")
    assert counts(done) == (1, 1, 0, 0)


def test_a_row_that_the_database_refuses_costs_no_other(crm: ImportDatabase) -> None:
    crm.query("ALTER TABLE crm.leads ADD CONSTRAINT no_poe CHECK (last_name <> 'Poe')")
    people = "".join(f"Ann {'Poe' if row in (103, 117) else f'A{row}'},2065550{row}\n" for row in range(100, 130))
    done = crm.load(f"Name,Phone\n{people}")
    assert counts(done) == (28, 0, 0, 2)
    assert [row for row in crm.rows(done) if row[1] == "refused"] == [
        (5, "refused", ["the database refuses it: no_poe"]), (19, "refused", ["the database refuses it: no_poe"]),
    ]  # fmt: skip


def test_an_address_that_a_crowd_shares_tells_nobody_apart_and_costs_no_time(crm: ImportDatabase) -> None:
    surnames = ["".join(letter * 3 for letter in three) for three in itertools.product("abcdefghijkl", repeat=3)][:600]
    content = "First,Last,Email\n" + "".join(f"Ann,{surname},sales@example.com\n" for surname in surnames)
    assert counts(crm.load(content, batch=160)) == (600, 0, 0, 0)
    assert counts(crm.load(content + "\n", batch=160)) == (0, 0, 600, 0)
