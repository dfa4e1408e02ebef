"""Files of leads as they come: dialects, encodings, workbooks, and what must not harm who reads them."""

import datetime as dt
import itertools
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import import columns, csv_file, excel_file, preview, table_file
from warehouse_pipelines.unified.lead_import.opening import open_file
from warehouse_pipelines.unified.lead_import.table_file import Row

HEADERS = ["First Name", "Last Name", "Phone", "E-Mail", "Zip"]
PEOPLE = [["José", "Núñez", "206-555-0101", "jose@example.com", "02134"], ["Ada", "O'Neil", "", "ada@example.com", ""]]


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(path: Path, **options: str) -> list[list[str]]:
    """The rows of a file without the blank cells at their ends."""

    def stripped(row: Row) -> list[str]:
        found = list(row.cells)
        while found and not found[-1]:
            found.pop()
        return found

    return [stripped(row) for row in open_file(path, **options).rows()]


def text(separator: str = ",", end: str = "\n", quoted: bool = False) -> str:
    mark = '"' if quoted else ""
    return "".join(separator.join(f"{mark}{cell}{mark}" for cell in row) + end for row in [HEADERS, *PEOPLE])


EXPECTED = [HEADERS, PEOPLE[0], PEOPLE[1][:4]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_dialect_is_seen(tmp_path: Path, separator: str, end: str, quoted: bool) -> None:
    assert cells(written(tmp_path / "x.csv", text(separator, end, quoted))) == EXPECTED


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_an_encoding_is_seen(tmp_path: Path, encoding: str) -> None:
    assert cells(written(tmp_path / "x.csv", text().encode(encoding))) == EXPECTED


def test_an_encoding_that_cannot_be_seen_is_given(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "Name;Phone\nŁukasz;2065550101\n".encode("cp1250"))
    assert cells(path, encoding="cp1250")[1] == ["Łukasz", "2065550101"]
    with pytest.raises(WrongUse, match="no encoding 'nonsense'"):
        open_file(path, encoding="nonsense")


def test_one_bad_byte_does_not_make_another_encoding_of_a_file(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.csv", "Name,Phone\nJosé Núñez,1\nAnd\xe9,2\n".encode().replace(b"And\xc3\xa9", b"And\xe9")
    )
    rows = list(open_file(path).rows())
    assert rows[1].cells[0] == "José Núñez"
    assert rows[2].remarks == ("a character cannot be read",)


def test_the_separator_that_the_first_line_names_is_believed(tmp_path: Path) -> None:
    rows = list(open_file(written(tmp_path / "x.csv", "sep=;\nName;Phone\nA, B;2065550101\n")).rows())
    assert [(row.number, row.cells) for row in rows] == [(2, ("Name", "Phone")), (3, ("A, B", "2065550101"))]


def test_commas_in_values_do_not_hide_semicolons(tmp_path: Path) -> None:
    content = "Name;Address;Phone\n" + "Smith, Ann;1 Main St, Apt 2, Seattle, WA;2065550101\n" * 20
    assert cells(written(tmp_path / "x.csv", content))[1] == [
        "Smith, Ann",
        "1 Main St, Apt 2, Seattle, WA",
        "2065550101",
    ]


def test_cells_may_have_several_lines(tmp_path: Path) -> None:
    rows = list(open_file(written(tmp_path / "x.csv", 'Name,Notes\nAnn,"one\ntwo ""three"""\nBen,x\n')).rows())
    assert [row.cells for row in rows[1:]] == [("Ann", 'one\ntwo "three"'), ("Ben", "x")]
    assert [row.number for row in rows] == [1, 2, 3]


def test_a_quotation_mark_that_is_not_closed_costs_one_row(tmp_path: Path) -> None:
    content = 'Name,Phone,Notes\nAnn,1,"5\'6" tall"\nBen,2,"open\nCid,3,x\n"Dan,4,y\nEve,5,z\n' + "Fay,6,w\n" * 5000
    rows = list(open_file(written(tmp_path / "x.csv", content)).rows())
    assert [row.cells[:2] for row in rows[1:7]] == [
        ("Ann", "1"), ("Ben", "2"), ("Cid", "3"), ("Dan", "4"), ("Eve", "5"), ("Fay", "6"),
    ]  # fmt: skip
    assert len(rows) == 5006
    assert rows[2].remarks == ("its quotation marks do not fit",)


def test_many_marks_that_are_not_closed_take_no_longer_than_the_file(tmp_path: Path) -> None:
    content = "Name,Phone,Notes\n" + 'A,1,"x\n' * 3000
    rows = list(open_file(written(tmp_path / "x.csv", content)).rows())
    assert len(rows) == 3001


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old .xls, or a workbook with a password"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"<html><table><tr><td>Name</td></tr></table></html>", "a web page"),
        (b'<?xml version="1.0"?><Workbook/>', "a web page or XML"),
        (b'{"leads": []}', "JSON"),
        (b"\x1f\x8b\x08\x00" + b"x" * 50, "gzip"),
        (bytes(range(256)) * 100, "no text"),
        (b"PK\x03\x04" + b"nonsense" * 100, "cannot be read as a workbook"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        list(open_file(written(tmp_path / "x.csv", content)).rows())


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read: No such file"):
        open_file(tmp_path / "missing.csv")
    with pytest.raises(WrongUse, match="is no file"):
        open_file(tmp_path)


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", b"Name,Phone\n" + b"x" * (csv_file.MAX_LINE * 3))
    tracemalloc.start()
    with pytest.raises(WrongUse, match="A line has more than"):
        list(open_file(path).rows())
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()


def test_limits_are_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = written(tmp_path / "wide.csv", ",".join(map(str, range(600))) + "\n")
    with pytest.raises(WrongUse, match="at most 500"):
        list(open_file(wide).rows())
    long = written(tmp_path / "long.csv", f"Name,Phone\n{'x' * 40_000},1\ny,2\n")
    rows = list(open_file(long).rows())
    assert rows[1].problem == "a cell has more than 32,767 characters"
    assert rows[2].cells == ("y", "2")
    monkeypatch.setattr(table_file, "MAX_ROWS", 2)
    with pytest.raises(WrongUse, match="more than 2 rows"):
        list(open_file(long).rows())
    monkeypatch.setattr(table_file, "MAX_BYTES", 1 << 14)
    with pytest.raises(WrongUse, match="MB"):
        open_file(long)


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "Name,Phone\n" + "Ann,2065550101\n" * 10)
    rows = open_file(path).rows()
    next(rows)
    written(path, "Name,Phone\nBen,2065550102\n")
    with pytest.raises(WrongUse, match="changed while it was read"):
        list(rows)


@pytest.mark.slow("many records")
def test_a_large_text_is_read_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with path.open("w") as file:
        file.write("Name,Phone,Notes\n")
        file.writelines(f"Ann {number},{number},{'x' * 100}\n" for number in range(40_000))
    tracemalloc.start()
    assert sum(1 for _ in open_file(path).rows()) == 40_001
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()


def workbook(path: Path, rows: Sequence[Sequence[Any]], sheet: str = "Leads", **more: Sequence[Sequence[Any]]) -> Path:
    book = openpyxl.Workbook()
    for name, content in {sheet: rows, **more}.items():
        page = book.create_sheet(name)
        for row in content:
            page.append(list(row))
    del book["Sheet"]
    book.save(path)
    return path


def test_a_workbook_is_read_as_it_shows(tmp_path: Path) -> None:
    day, minute = dt.datetime.fromisoformat("2024-03-01"), dt.datetime.fromisoformat("2024-03-01 14:30")
    path = workbook(
        tmp_path / "leads.csv",  # whatever it is called
        [["Name", "Phone", "Zip", "Created", "At", "DNC", "Value"], ["Ann", 2065550101, 2134, day, minute, True, 12.5],
         [], ["Ben", 2.065550102e9, None, None, None, False, 1e3]],
    )  # fmt: skip
    rows = list(open_file(path).rows())
    assert rows[1].cells == ("Ann", "2065550101", "2134", "2024-03-01", "2024-03-01 14:30:00", "yes", "12.5")
    assert [row.number for row in rows] in ([1, 2, 4], [1, 2, 3, 4])
    assert rows[-1].cells == ("Ben", "2065550102", "", "", "", "no", "1000")


def test_a_formula_has_its_saved_value_or_none(tmp_path: Path) -> None:
    """openpyxl writes formulas without a value, as other programs do; Excel writes both."""
    path = workbook(tmp_path / "x.xlsx", [["Name", "Phone"], ["=A1", "2065550101"], ["'=plain", "2065550102"]])
    rows = list(open_file(path).rows())
    assert rows[1].cells == ("", "2065550101")
    assert rows[1].remarks == ("column 1 is a formula whose value was not saved",)
    rewritten(path, "xl/worksheets/sheet1.xml", b"<f>A1</f><v />", b"<f>A1</f><v>77</v>")
    assert next(itertools.islice(open_file(path).rows(), 1, None)).cells == ("77", "2065550101")


def rewritten(path: Path, part: str, old: bytes, new: bytes) -> None:
    """Change a part of an archive."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[part], parts[part][:2000]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_merged_cells_are_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Leads of March", None])
    page.append(["Name", "Phone"])
    page.append(["Ann", "2065550101"])
    page.merge_cells("A1:B1")
    book.save(tmp_path / "x.xlsx")
    file = open_file(tmp_path / "x.xlsx")
    assert file.about.remarks == ("1 ranges of cells are merged; only the first cell of each has a value",)
    assert columns.mapped(file).header_row == 2


def test_a_sheet_is_chosen(tmp_path: Path) -> None:
    path = workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE], Others=[["Name", "Phone"], ["Ben", "1"]], Empty=[])
    with pytest.raises(WrongUse, match="'Leads', 'Others', 'Empty'"):
        open_file(path)
    with pytest.raises(WrongUse, match="no sheet 'Wrong'"):
        open_file(path, sheet="Wrong")
    assert cells(path, sheet="others") == [["Name", "Phone"], ["Ben", "1"]]
    assert cells(workbook(tmp_path / "y.xlsx", [HEADERS, *PEOPLE], Empty=[])) == EXPECTED


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE])
    rewritten(path, "xl/worksheets/sheet1.xml", b"</sheetData>", b"</sheetData>" + b" " * (60 << 20))
    with pytest.raises(WrongUse, match="hundreds of times its size"):
        open_file(path)


def test_a_part_that_is_read_at_once_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_file, "MAX_PART", 500)
    with pytest.raises(WrongUse, match="A part of the workbook unpacks"):
        open_file(workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE]))
    monkeypatch.setattr(excel_file, "MAX_ENTRIES", 3)
    with pytest.raises(WrongUse, match="too many parts"):
        open_file(tmp_path / "x.xlsx")


def test_entities_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE])
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet '
    rewritten(path, "xl/worksheets/sheet1.xml", b"<worksheet ", bomb)
    with pytest.raises(WrongUse, match="DOCTYPE"):
        open_file(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'<row r="3"', b'<row r="999999999999"', "more than 2,000,000 rows"),
        (b'<row r="3"', b'<row r="2"', "not in order"),
        (b'<row r="3"', b'<row r="nonsense"', "cannot be read as a workbook"),
        (b'r="A3"', b'r="ZZZZ3"', "cell in column"),
        (b"</sheetData>", b"</sheetDat>", "cannot be read as a workbook"),
    ],
)
def test_a_sheet_with_impossible_places_ends_at_once(tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    path = workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE])
    rewritten(path, "xl/worksheets/sheet1.xml", old, new)
    with pytest.raises(WrongUse, match=said):
        list(open_file(path).rows())


@pytest.mark.parametrize("value", [b'<c r="A3" t="s"><v>9999</v></c>', b'<c r="A3"><v>1,5</v></c>'])
def test_a_damaged_cell_costs_one_row(tmp_path: Path, value: bytes) -> None:
    path = workbook(tmp_path / "x.xlsx", [HEADERS, *PEOPLE, *PEOPLE])
    rewritten(path, "xl/worksheets/sheet1.xml", b'<c r="A3"', value + b'<c r="B3"')
    rows = list(open_file(path).rows())
    assert [row.number for row in rows if row.problem] == [3]
    assert rows[2].problem is not None
    assert "a cell is damaged" in rows[2].problem
    assert rows[3].cells == rows[1].cells


def test_a_damaged_archive_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = rows_of_a_workbook(tmp_path / "x.xlsx", 2_000)
    with zipfile.ZipFile(path) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    content = bytearray(path.read_bytes())
    content[sheet.header_offset + sheet.compress_size * 2 // 3] ^= 0xFF
    path.write_bytes(content)
    file = open_file(path)
    found = preview.preview(file, columns.mapped(file))
    assert found.rows_looked_at > 500
    assert "cannot be read as a workbook" in found.unread or found.more
    with pytest.raises(table_file.Unreadable):
        list(file.rows())


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("leads.csv", text())
    with pytest.raises(WrongUse, match="unpack it"):
        open_file(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.xlsb", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.bin", "x")
    with pytest.raises(WrongUse, match="of another kind"):
        open_file(tmp_path / "x.xlsb")


def rows_of_a_workbook(path: Path, count: int) -> Path:
    def rows() -> Iterator[list[Any]]:
        yield HEADERS
        for number in range(count):
            yield [f"Ann {number}", f"Smith {number}", 2065550000 + number, f"a{number}@example.com", 2134]

    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet("Leads")
    for row in rows():
        page.append(row)
    book.save(path)
    return path


@pytest.mark.slow("many records")
def test_a_large_workbook_is_read_in_constant_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_file, "RECENT", 500)
    peaks = []
    for count in (500, 3_000):
        path = rows_of_a_workbook(tmp_path / f"{count}.xlsx", count)
        tracemalloc.start()
        assert sum(1 for _ in open_file(path).rows()) == count + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 300 << 10, "2,500 rows more have 7,500 texts, of 600 kB"


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        (["first_name", "last_name", "phone_number", "zip_code"], ["first_name", "last_name", "phone", "postal_code"]),
        (["FirstName", "LastName", "MobilePhone", "EmailAddress"], ["first_name", "last_name", "phone", "email"]),
        (["Customer Name", "Cell", "E-mail Address", "Spouse email"], ["full_name", "phone", "email", None]),
        (["Teléfono", "Correo electrónico", "Nombre", ""], ["phone", "email", "first_name", None]),
        (["Email", "Email", "Zip", "Postcode"], ["email", "email", "postal_code", None]),
        (["Phone", "DNC", "SMS Opt-In", "Opt-in Date"], ["phone", "do_not_call", "sms_consent", "consent_at"]),
    ],
)
def test_headers_are_known(tmp_path: Path, headers: list[str], fields: list[str | None]) -> None:
    file = open_file(written(tmp_path / "x.csv", ",".join(headers) + "\n1,2,3,4\n"))
    found = [column.field for column in columns.mapped(file).columns]
    assert found == fields[: len(found)]
    assert len(found) == len([header for header in headers if header])


def test_no_header_has_two_meanings() -> None:
    known = [header for field in columns.FIELDS.values() for header in field.known]
    assert len(known) == len(set(known))
    assert [header for header in known if columns.folded(header) != header] == []


def test_the_header_may_stand_below_a_title(tmp_path: Path) -> None:
    content = "Our leads,,\nexported 2024-01-01,,\n\nName,Phone,Notes\nAnn,2065550101,Phone her\n"
    assert columns.mapped(open_file(written(tmp_path / "x.csv", content))).header_row == 4


def test_a_file_without_headers_is_not_guessed(tmp_path: Path) -> None:
    file = open_file(written(tmp_path / "x.csv", "Ann Smith,2065550101\nBen Jones,2065550102\n"))
    with pytest.raises(WrongUse, match="--no-header"):
        columns.mapped(file)
    with pytest.raises(WrongUse, match='"Column 1=full_name"'):
        columns.mapped(file, no_header=True)
    mapping = columns.mapped(file, ["Column 1=name", "column 2=phone"], no_header=True)
    assert mapping.stored() == {"1": "full_name", "2": "phone"}
    assert mapping.header_row == 0


def test_columns_are_mapped_by_hand(tmp_path: Path) -> None:
    file = open_file(written(tmp_path / "x.csv", "Kunde,Ruf=Nr,Email,Email,Phone\na,b,c,d,e\n"))
    mapping = columns.mapped(file, ["Kunde=full_name", "Ruf=Nr=phone", "Email (2)=ignore", "Phone=notes"])
    assert [column.field for column in mapping.columns] == ["full_name", "phone", "email", None, "notes"]
    with pytest.raises(WrongUse, match="has not: 'Tel'"):
        columns.mapped(file, ["Tel=phone"])
    with pytest.raises(WrongUse, match="no field 'fone'"):
        columns.mapped(file, ["Kunde=fone"])
    with pytest.raises(WrongUse, match="Header=field"):
        columns.mapped(file, ["Kunde"])


def test_a_file_without_phone_and_address_is_refused(tmp_path: Path) -> None:
    file = open_file(written(tmp_path / "x.csv", "Name,City\nAnn,Seattle\n"))
    with pytest.raises(WrongUse, match="No column is a phone number"):
        columns.mapped(file)
