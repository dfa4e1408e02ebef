"""Files of leads that nobody would write, and some that somebody did: each row is reported, and nothing crashes."""

import contextlib
import csv
import datetime as dt
import io
import re
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import WarehouseError, WrongUse
from warehouse_pipelines.unified.lead_import import columns, preview, report, run, values
from warehouse_pipelines.unified.lead_import.opening import open_file
from warehouse_pipelines_tests.harness.examples import examples

ORGANIZATION = uuid.UUID("00000000-0000-0000-0000-000000000001")

HEADERS = (
    "First Name", "LAST NAME", "phone", "Phone", "E-Mail", "Email", "email", "Zip", "Status", "Source", "Tags", "Notes",
    "Value", "Created", "DNC", "Do Not Contact", "Consent", "Consent Date", "Consent Source", "SMS Opt In", "Time Zone",
    "Owner", "Id", "Company", "Address", "", "=1+1", "\x1b]0;owned\x07", "Ünïcode", "a" * 300,
)  # fmt: skip

CELLS = (
    "", " ", "Ann", "O'Neil", "Ann & Bob Smith", "206-555-0101", "+44 20 7946 0018", "2.065550101E+09", "1e400",
    "٢٠٦٥٥٥٠١٠١", "ann@example.com", "ann@example.com; bob@example.com", "=cmd|' /C calc'!A0", "+1+1", "@SUM(A1)",
    "-1", "\t=1", "1899-12-31", "0001-01-01", "9999-12-31 23:59 -99:99", "1/1/1900", "60", "25569", "1700000000",
    "yes", "no", "opted out", "all", "\x00", "a\x00b", "\ufeff", "\u202egnp.exe", "\ud83d", "😀", "x" * 40_000,
    'a"b', '"', "a,b", "a;b", "a\nb", "a\r\nb", "\\", "NULL", "#REF!", "12345-6789", "K1A 0B1", "$1,234.50", "1" * 5000,
    "0.1" + "0" * 400, "-0", "America/New_York", "won", "{}", "00000000-0000-0000-0000-000000000001", "%s %(a)s {0}",
    "'; DROP TABLE crm.leads; --", "[red]x[/red]", "\x1b[31m", "\u2028", "\x85", "\x0b", "ß" * 300, "İ@EXAMPLE.com",
)  # fmt: skip

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "shift_jis")

CODECS = (
    None, "utf-7", "utf-16", "utf-32", "unicode_escape", "punycode", "idna", "hz", "iso2022_jp", "cp037",
    "raw_unicode_escape", "undefined", "rot13", "base64", "big5", "mbcs", "../x", "",
)  # fmt: skip

cell = st.one_of(st.sampled_from(CELLS), st.text(max_size=12))
row = st.lists(cell, min_size=0, max_size=12)
header = st.lists(st.one_of(st.sampled_from(HEADERS), st.text(max_size=6)), min_size=1, max_size=12)
QUICK = settings(
    max_examples=examples(40, of=75),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A CSV file: of any dialect, or of several at once, cut anywhere, with bytes of no meaning."""
    separator = draw(st.sampled_from(",;\t|:~"))
    end = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\x0b", ""])
    quote = draw(st.sampled_from(['"{}"', "'{}'", "{}", '"{}', '{}"', '""{}""']))
    first = draw(
        st.sampled_from(["", "sep=;\r\n", "sep=\r\n", 'sep="\n', "sep=\\\n", "sep=a\n", "sep= \n", "sep=\x00\n"])
    )
    lines = [first, separator.join(draw(header)), draw(end)]
    for cells in draw(st.lists(row, max_size=8)):
        lines += [separator.join(quote.format(one) if draw(st.booleans()) else one for one in cells), draw(end)]
    content = "".join(lines).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    if draw(st.booleans()):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        content = content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.integers(0, 3)) :]
    return content


def book(rows: Sequence[Sequence[Any]]) -> bytes:
    """A workbook. What no cell can hold is left out, as Excel does."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    for number, cells in enumerate(rows, 1):
        for place, value in enumerate(cells, 1):
            with contextlib.suppress(openpyxl.utils.exceptions.IllegalCharacterError, ValueError):
                sheet.cell(number, place).value = value[:32_767] if isinstance(value, str) else value
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


EXCEL_CELLS = st.one_of(
    cell, st.integers(), st.floats(), st.booleans(), st.none(), st.dates(), st.times(),
    st.datetimes(), st.timedeltas(),
)  # fmt: skip

CHANGES = (
    (rb'r="(\d+)"', b'r="-1"'), (rb'r="(\d+)"', b'r="99999999999999999999"'), (rb'r="([A-Z]+)(\d+)"', b'r="ZZZZZZZ1"'),
    (rb't="s"', b't="d"'), (rb"<v>[^<]*</v>", b"<v>9999999999</v>"), (rb"<v>[^<]*</v>", b"<v>NaN</v>"),
    (rb"<v>[^<]*</v>", b"<v></v>"), (rb"<v>[^<]*</v>", b"<v>-700000</v>"), (rb's="(\d+)"', b's="77"'),
    (rb"</row>", b""), (rb"sheetData", b"sheetdata"), (rb"<\?xml[^>]*\?>", b'<!DOCTYPE x [<!ENTITY a "b">]>'),
    (rb"UTF-8", b"UTF-16"), (rb"sheet1\.xml", b"../../../etc/passwd"), (rb"rId1", b"rId9"),
    (rb"xmlns=", b"xmlns:x="), (rb"<si>", b"<si><si>"), (rb"dxfs", b"dxf"), (rb"date1904", b"date1905"),
)  # fmt: skip


@st.composite
def workbooks(draw: st.DrawFn) -> bytes:
    """A workbook of any cells; its parts changed here and there, or the archive cut."""
    content = book([draw(header), *draw(st.lists(st.lists(EXCEL_CELLS, max_size=8), max_size=6))])
    chance = draw(st.integers(0, 3))
    if chance == 1:
        return content[: draw(st.integers(4, len(content)))]
    if chance == 0:
        return content
    stream = io.BytesIO()
    pattern, instead = draw(st.sampled_from(CHANGES))
    only = draw(st.sampled_from(["xl/worksheets", "xl/", "[Content", "_rels", ""]))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            part = old.read(entry)
            new.writestr(entry.filename, re.sub(pattern, instead, part) if entry.filename.startswith(only) else part)
    return stream.getvalue()


def read(path: Path, **options: Any) -> list[values.LeadRow] | str:
    """Read a file as the command does; the sentence, where it is refused in one."""
    found = _read(path, **options)
    if isinstance(found, str):
        assert re.fullmatch(r"[^\x00-\x1f\x7f]+", found), "one line, on which no terminal acts"
    return found


def _read(path: Path, **options: Any) -> list[values.LeadRow] | str:
    try:
        file = open_file(path, **options)
        try:
            mapping = columns.mapped(file)
        except WrongUse:
            mapping = columns.mapped(file, ["Column 1=full_name", "Column 2=phone"], no_header=True)
        shown = preview.preview(file, mapping)
        for _, cells, said in shown.rows:
            assert not re.search(r"[\x00-\x1f\x7f]", "".join(cells) + said), "a terminal would act on it"
        assert not re.search(r"[\x00-\x1f\x7f]", "".join(column.header for column in mapping.columns))
        now = dt.datetime.now(dt.UTC)
        found = [values.read(row, mapping, now) for row in file.rows() if row.number > mapping.header_row]
    except WarehouseError as error:
        return str(error)
    numbers = [row.number for row in found]
    assert numbers == sorted(set(numbers))
    return found


@QUICK
@given(content=texts())
def test_any_text_is_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(content)
    read(path)


@QUICK
@given(content=st.binary(max_size=400), encoding=st.sampled_from(CODECS))
def test_any_bytes_in_any_encoding_are_read_or_refused(tmp_path: Path, content: bytes, encoding: str | None) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(b"name,phone\n" + content)
    read(path, encoding=encoding)


@settings(QUICK, max_examples=examples(20, of=30))
@given(content=workbooks())
def test_any_workbook_is_read_or_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "leads.xlsx"
    path.write_bytes(content)
    read(path)


plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd"), max_size=9)


@QUICK
@example(rows=[["0", "\\"], ["0", "0"]], end="\n")
@given(rows=st.lists(st.lists(plain, min_size=2, max_size=2), max_size=9), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_of_a_well_formed_file_each_row_is_there_once(tmp_path: Path, rows: list[list[str]], end: str) -> None:
    path = tmp_path / "leads.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["name", "phone"], *rows])
    found = read(path)
    assert isinstance(found, list), found
    assert [row.number for row in found] == list(range(2, len(rows) + 2))


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    return shared_url


@settings(QUICK, max_examples=examples(8, of=15))
@given(content=st.one_of(texts(), workbooks()))
def test_every_row_is_reported_and_no_formula_is_in_the_report(url: str, tmp_path: Path, content: bytes) -> None:
    """Into a real warehouse: each row of the file that is not blank has its outcome, and its line in the report."""
    path = tmp_path / f"{uuid.uuid4()}"
    path.write_bytes(content)
    try:
        file = open_file(path)
        mapping = columns.mapped(file)
        rows = [row.number for row in file.rows() if row.number > mapping.header_row and not row.blank]
        with warehouse.session(url) as session:
            done = run.import_file(session, file, mapping, run.Options(ORGANIZATION, "tester"), batch=3)
            report.write(session, ORGANIZATION, done.id, tmp_path / "report.csv")
    except WrongUse:
        return
    with (tmp_path / "report.csv").open(newline="") as opened:
        lines = list(csv.reader(opened))
    assert [int(line[0]) for line in lines[1:]] == rows
    assert done.created + done.updated + done.duplicates + done.refused == len(rows)
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,phone" + b",x" * 10_000 + b"\nann,1\n", "at most 500"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "password"),
        (b"PK\x03\x04" + b"\0" * 50, "cannot be read as a workbook"),
        (b"name,phone\nann," + b"x" * 3_000_000, "characters"),
    ],
)
def test_the_command_says_what_is_wrong(url: str, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "leads.xlsx"
    path.write_bytes(content)
    done = CliRunner().invoke(main, ["import", "leads", str(path)], env={"WAREHOUSE_DATABASE_URL": url})
    assert done.exit_code in (1, 2, 3)  # 3: rows before it were read
    assert said in done.output
    assert isinstance(done.exception, SystemExit)


def test_a_header_does_not_act_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("name,phone,\x1b]0;owned\x07\n" + "Ann,2062230101,x\n" * 200)
    file = open_file(path)
    assert [column.header for column in columns.mapped(file).columns] == ["name", "phone", "]0;owned"]
    assert isinstance(read(path), list)


@pytest.mark.parametrize("separator", ["\r", '"', "'", "\\", " ", "a"])
def test_a_separator_that_can_be_none_is_not_believed(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "leads.csv"
    path.write_text(f"sep={separator}\nname,phone\nAnn,2062230101\n", newline="")
    assert isinstance(read(path), list)


def test_utf_16_without_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes("name,phone\nJosé,2062230101\n".encode("utf-16-le"))
    found = read(path, encoding="utf-16")
    assert isinstance(found, list)
    assert [row.first_name for row in found] == ["José"]
