"""The commands of imports, and imports that are broken off, killed, or begun twice."""

import os
import re
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import SyncRunning, WrongUse
from warehouse_pipelines.unified.lead_import import run, table_file
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION, OTHER, ImportDatabase, counts
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually


@pytest.fixture
def warehouse_command(crm: ImportDatabase) -> Iterator[Callable[..., Result]]:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["import", *words])

    yield invoke
    warehouse.close_kept()


def test_the_preview_shows_where_columns_go_and_no_person(
    crm: ImportDatabase, warehouse_command: Callable[..., Result]
) -> None:
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


def test_the_command_imports_lists_and_undoes(crm: ImportDatabase, warehouse_command: Callable[..., Result]) -> None:
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


def test_wrong_use_is_one_sentence(crm: ImportDatabase, warehouse_command: Callable[..., Result]) -> None:
    for words in (["leads", "missing.csv"], ["leads", str(crm.file("a,b\n1,2\n"))], ["leads", str(crm.folder)]):
        done = warehouse_command(*words)
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output


def test_nothing_of_a_row_is_in_an_error_of_the_database(
    crm: ImportDatabase, warehouse_command: Callable[..., Result]
) -> None:
    crm.query(
        "CREATE FUNCTION crm.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % %', NEW.phone,"
        " NEW.email; END $$"
    )
    crm.query("CREATE TRIGGER fail BEFORE INSERT ON crm.leads FOR EACH ROW EXECUTE FUNCTION crm.fail()")
    done = warehouse_command("leads", str(crm.file("Name,Phone,Email\nAnn,2065550101,a@example.com\n")))
    assert done.exit_code == 1, done.output
    assert "The database refused what the import wrote: no *** ***" in done.output


def test_an_import_that_is_broken_off_goes_on(crm: ImportDatabase) -> None:
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
    crm: ImportDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warehouse_command: Callable[..., Result],
    how: str,
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


@pytest.mark.slow("a program of its own, which is killed")
def test_a_killed_import_goes_on_and_makes_nothing_twice(crm: ImportDatabase, tmp_path: Path) -> None:
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
def test_ctrl_c_says_that_the_same_command_goes_on(crm: ImportDatabase, tmp_path: Path) -> None:
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


def test_two_imports_do_not_run_side_by_side(crm: ImportDatabase) -> None:
    path = crm.file("Name,Phone\nAnn Smith,2065550101\n")
    with warehouse.session(crm.url) as session, run.alone(session, ORGANIZATION):
        with pytest.raises(SyncRunning, match="Another import"):
            crm.load(path)
        assert counts(crm.load(path, run.Options(OTHER, "x"))) == (1, 0, 0, 0)
    assert counts(crm.load(path)) == (1, 0, 0, 0)
