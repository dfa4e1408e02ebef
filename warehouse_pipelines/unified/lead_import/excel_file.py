"""A sheet of an Excel workbook as numbered rows, by openpyxl's read-only parts.

Decided:

- Before openpyxl sees it, the archive is looked at: its entries' sizes (Python's zipfile gives out no more than an
  entry declares), their number, and a DOCTYPE, which no spreadsheet writes and entity bombs need.
- openpyxl reads the workbook's parts, and rows are parsed here. Its worksheet fills gaps: a cell in row 1,048,576
  alone would make a million rows, and one in row 10^9 never end. It keeps an empty element of each row and text, and
  all texts of the workbook; here they lie in a temporary file, so a million rows take the memory of a thousand, and an
  eighth of the time.
- A formula is never worked out: its cell has the value that was saved with it. Where none was (programs save formulas
  so), the cell is blank, and the row says so.
- Of merged cells only the first has a value; the preview says that there are some.
"""

import contextlib
import datetime as dt
import re
import tempfile
import warnings
import weakref
import zipfile
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, iterparse

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils.datetime import from_excel
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import.table_file import MAX_CELL, MAX_COLUMNS, About, Row

MAX_UNPACKED = 4 << 30
MAX_PART = 64 << 20
"""Of a part that openpyxl reads at once: styles, the list of sheets, themes."""
MAX_ENTRIES = 10_000
MAX_RATIO = 400
"""Unpacked to packed, of a part above 10 MB: sheets of contacts have 10, of one repeated row 150; zeros have 1,000."""

RECENT = 5_000

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)

_DATA, _ROW, _VALUE, _FORMULA, _INLINE, _STRING, _RUN, _T = (
    f"{{{SHEET_MAIN_NS}}}{tag}" for tag in ("sheetData", "row", "v", "f", "is", "si", "r", "t")
)
_A_ROW = re.compile(rb"<(\w+:)?row[ />]")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class Workbook:
    """A chosen sheet of a workbook: the named one, or the only one that can be seen and has cells."""

    def __init__(self, path: Path, sheet: str | None) -> None:
        """Check the archive and read all but the sheet. Raises ``WrongUse``."""
        self._path = path
        with _readable(path), zipfile.ZipFile(path) as archive:
            _check(archive)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader = _Reader(path, self)
                reader.read()
        self._archive = reader.archive
        self._strings = reader.shared_strings
        self._book = reader.wb
        self._dates = self._book._date_formats | self._book._timedelta_formats
        with _readable(path):
            name = _chosen(reader.sheets, sheet, path, self._has_rows)
            self._part = next(part for title, _, part in reader.sheets if title == name)
            about = self._look()
        self.about = About(f"workbook, sheet {name!r}", name, about)

    def _source(self) -> Any:
        return self._archive.open(self._part)

    def _has_rows(self, part: str) -> bool:
        try:
            with self._archive.open(part) as source:
                return _A_ROW.search(source.read(1 << 18)) is not None
        except DAMAGED:
            return True

    def _look(self) -> tuple[str, ...]:
        """Return what is odd about the sheet, from its unread text."""
        tail, merged = b"", 0
        # What is damaged there is met again when the rows are read.
        with contextlib.suppress(*DAMAGED), self._source() as source:
            while chunk := source.read(1 << 16):
                merged += (tail + chunk).count(b"<mergeCell ")
                tail = chunk[-10:]
        return (f"{merged:,} ranges of cells are merged; only the first cell of each has a value",) if merged else ()

    def rows(self) -> Iterator[Row]:
        """Yield the rows that the sheet has. Raises ``WrongUse`` when it cannot be parsed, or is wider than a table."""
        with _readable(self._path), self._source() as source:
            data: Element | None = None
            number = 0
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314
                if event == "start":
                    if element.tag == _DATA:
                        data = element
                elif element.tag == _ROW and data is not None:
                    number = int(element.get("r", number + 1))
                    try:
                        row = self._row(number, element)
                    except (ValueError, OverflowError, IndexError) as error:
                        row = Row(number, (), problem=f"a cell is damaged ({type(error).__name__})")
                    data.clear()
                    yield row
                elif element.tag == _DATA:
                    return

    def _row(self, number: int, row: Element) -> Row:
        found: dict[int, str] = {}
        remarks: list[str] = []
        unread: list[int] = []
        column = 0
        for cell in row:
            at = cell.get("r")
            column = _column(at) if at else column + 1
            value = self._value(cell)
            if value is None and cell.get("t") != "e":
                if cell.find(_FORMULA) is not None and cell.get("t") != "str":
                    remarks.append(f"column {column} is a formula whose value was not saved")
                    unread.append(column)
                continue
            if column > MAX_COLUMNS:
                raise WrongUse(f"Row {number} has a cell in column {column:,}, and at most {MAX_COLUMNS} are read.")
            if cell.get("t") == "e":
                remarks.append(f"column {column} holds an error of Excel")
                unread.append(column)
                continue
            found[column] = written(value)
            if len(found[column]) > MAX_CELL:
                return Row(number, (), problem=f"a cell has more than {MAX_CELL:,} characters")
        width = max(found, default=0)
        cells = tuple(found.get(place, "") for place in range(1, width + 1))
        return Row(number, cells, tuple(remarks), unread=tuple(unread))

    def _value(self, cell: Element) -> object:
        """Return what a cell shows; None of one that is blank."""
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = cell.find(_INLINE)
            return None if inline is None else _text(inline)
        text = cell.findtext(_VALUE)
        if not text:
            return None
        if kind == "s":
            return self._strings[int(text)]
        if kind == "b":
            return text.strip() != "0"
        if kind != "n":
            return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
        if (style := int(cell.get("s", 0))) in self._dates:
            with contextlib.suppress(ValueError, OverflowError):
                return from_excel(float(text), self._book.epoch, timedelta=style in self._book._timedelta_formats)
        try:
            return int(text)
        except ValueError:
            return float(text)


def _column(at: str) -> int:
    """Return the number of a column by its letters, of ``AB12``."""
    number = 0
    for letter in at:
        if not letter.isalpha():
            break
        number = number * 26 + ord(letter.upper()) - 64
        if number > 1 << 20:
            break
    return number


def _text(node: Element) -> str:
    """Return a text that may be in pieces of different fonts, without the readings printed above characters."""
    pieces = [piece.findtext(_T) or "" for piece in node if piece.tag == _RUN] or [node.findtext(_T) or ""]
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(pieces))


def written(value: object) -> str:
    """Return a cell's value as a text: a whole number without a point, a day without a time."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    return str(value)


class _Reader(ExcelReader):  # type: ignore[misc]
    """openpyxl's reader of a workbook, with its texts in a file."""

    def __init__(self, path: Path, owner: object) -> None:
        # Opened by us: openpyxl goes by the name of a path. It is closed when nobody reads the workbook any more.
        file = path.open("rb")
        self._owner = weakref.finalize(owner, file.close)
        super().__init__(file, read_only=True, data_only=True, keep_links=False)

    def read(self) -> None:
        """Read the parts that are needed. openpyxl would also walk through every sheet that does not say its size."""
        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)
        self.sheets = [
            (sheet.name, sheet.state, relation.target)
            for sheet, relation in self.parser.find_sheets()
            if relation.target in self.valid_files and "chartsheet" not in relation.Type
        ]

    def read_strings(self) -> None:
        self.shared_strings = _Strings()
        part = self.package.find(SHARED_STRINGS)
        if part is None:
            return
        with self.archive.open(part.PartName.removeprefix("/")) as source:
            root: Element | None = None
            for event, node in iterparse(source, ("start", "end")):  # noqa: S314
                if event == "start":
                    root = node if root is None else root
                elif node.tag == _STRING and root is not None:
                    self.shared_strings.add(_text(node))
                    root.clear()


class _Strings:
    """The texts of a workbook, by number: on disk, but for those that were asked last."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it ends with this object
        weakref.finalize(self, self._file.close)
        self._starts = array("Q", [0])
        self._recent: OrderedDict[int, str] = OrderedDict()

    def add(self, text: str) -> None:
        self._starts.append(self._starts[-1] + self._file.write(text.encode("utf-8", "replace")))

    def __getitem__(self, number: int) -> str:
        if (known := self._recent.get(number)) is not None:
            return known
        if not 0 <= number < len(self._starts) - 1:
            raise IndexError(number)
        start, end = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        text = self._file.read(end - start).decode("utf-8")
        self._recent[number] = text
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return text


def _check(archive: zipfile.ZipFile) -> None:
    """Raise ``WrongUse`` for an archive that would unpack to more than a workbook does."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise WrongUse(f"The workbook unpacks to more than {MAX_UNPACKED >> 30} GB, or has too many parts; split it.")
    names = {entry.filename for entry in entries}
    if "[Content_Types].xml" not in names:
        raise WrongUse("This archive is no workbook; unpack it, and import the .csv or .xlsx that is in it.")
    if any(name.endswith(("workbook.bin", "content.xml")) for name in names):
        raise WrongUse("This is a workbook of another kind (.xlsb or .ods); save it as .xlsx.")
    for entry in entries:
        if entry.flag_bits & 1:
            raise WrongUse("The workbook has a password; save it without.")
        large = entry.filename.startswith("xl/worksheets/") or "sharedstrings" in entry.filename.lower()
        read = entry.filename.endswith((".xml", ".rels"))
        if read and not large and entry.file_size > MAX_PART:
            raise WrongUse(f"A part of the workbook unpacks to more than {MAX_PART >> 20} MB, which is no sheet.")
        if entry.file_size > 10 << 20 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise WrongUse(
                "A part of the workbook unpacks to hundreds of times its size; save it anew as .xlsx or .csv."
            )
        if read:
            with archive.open(entry) as part:
                head = part.read(4096)
            if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                raise WrongUse("A part of the workbook has a DOCTYPE, which no spreadsheet writes.")


def _chosen(
    sheets: Sequence[tuple[str, str, str]], wanted: str | None, path: Path, has_rows: Callable[[str], bool]
) -> str:
    """Return the name of the sheet to read. Raises ``WrongUse`` when there are several, or none of this name."""
    there = ", ".join(repr(name) for name, *_ in sheets) or "none"
    if wanted is not None:
        for name, *_ in sheets:
            if name.casefold().strip() == wanted.casefold().strip():
                return name
        raise WrongUse(f"{path.name} has no sheet {wanted!r}. There are: {there}.")
    filled = [name for name, state, part in sheets if state == "visible" and has_rows(part)]
    if len(filled) != 1:
        raise WrongUse(f"Choose one of the sheets of {path.name} with --sheet. There are: {there}.")
    return filled[0]


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a broken workbook makes of a parser into one sentence."""
    try:
        yield
    except WrongUse:
        raise
    except Exception as error:
        # Parsers raise what they like on hostile input; its text may quote the file.
        raise WrongUse(
            f"{path.name} cannot be read as a workbook ({type(error).__name__}). Open it, and save it anew."
        ) from None
