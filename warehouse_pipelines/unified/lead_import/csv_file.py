"""A CSV file of any sane dialect and encoding, as numbered rows.

Decided:

- The encoding is that of the byte order mark; without one, UTF-16 when every second byte is zero, UTF-8 when the file
  is valid as such, or nearly so, and else Windows' 1252, which is what spreadsheets of this country write.
- The separator is that by which most headers are known, or else by which most rows are equally wide; ``sep=;`` in the
  first line is believed.
- A quotation mark that is never closed would swallow the rest of the file. So the reader is strict, and a record that
  it refuses is read line by line again: the first line by itself, the others as if nothing had been.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import.columns import field_of
from warehouse_pipelines.unified.lead_import.table_file import MAX_CELL, MAX_COLUMNS, About, Row

CHUNK = 1 << 20
SAMPLE = 1 << 16
MAX_LINE = 1 << 20
MAX_LINES_OF_RECORD = 1000
SEPARATORS = ",;\t|"
UNREADABLE = "�"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of source code and of names of hosts: no spreadsheet writes them, and some warn of what they do not know.
_NOT_OF_FILES = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined"})
_CONTROLS = re.compile(r"[\x01-\x08\x0e-\x1f]")
_SINGLE_QUOTED = re.compile(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|]|$)", re.MULTILINE)


class Text:
    """A text with one record in a line, or in several where a cell is quoted."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        """Look at the whole file for its encoding, and at its beginning for its dialect. Raises ``WrongUse``."""
        self._path = path
        self._encoding, remarks = (_named(encoding, path), ()) if encoding else _encoding(path)
        try:
            with self._open() as text:
                sample = text.read(SAMPLE)
        except UnicodeError:
            raise self._undecodable() from None
        if len(_CONTROLS.findall(sample)) > len(sample) // 100 or sample.count("\0") > len(sample) // 100:
            raise WrongUse(f"{path.name} is no text; save it as .csv or .xlsx, or give its --encoding.")
        sample = sample.replace("\0", "")
        self._sep_line = bool(re.match(r"sep=[^\w\s\"'\\]\r?(\n|$)|sep=\t\r?\n", sample, re.IGNORECASE))
        if self._sep_line:
            separator = sample[4]
            sample = sample.partition("\n")[2]
        else:
            separator = _separator(sample)
        single = '"' not in sample and len(_SINGLE_QUOTED.findall(sample)) > sample.count("\n")
        # A quote after a backslash that ends a cell may be the end of a text that ends with a backslash.
        escaped = '""' not in sample and bool(re.search(rf'\\"(?![\r\n{re.escape(separator)}]|\Z)', sample))
        self._dialect: dict[str, Any] = {
            "delimiter": separator,
            "quotechar": "'" if single else '"',
            "escapechar": "\\" if escaped else None,
            "doublequote": not escaped,
        }
        named = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.get(separator, f"{separator!r}")
        encoded = {"utf-8-sig": "UTF-8", "cp1252": "Windows-1252"}.get(self._encoding, self._encoding.upper())
        self.about = About(f"text, {encoded}, cells apart by {named}", remarks=remarks)

    def _undecodable(self) -> WrongUse:
        return WrongUse(f"{self._path.name} cannot be read as {self._encoding}; give another --encoding, or none.")

    def _open(self) -> IO[str]:
        return self._path.open(encoding=self._encoding, errors="replace", newline="")

    def rows(self) -> Iterator[Row]:
        """Yield all rows. Raises ``WrongUse`` for a line or a row that is longer than any of a table."""
        csv.field_size_limit(1 << 17)
        with self._open() as text:
            lines = _Lines(text)
            number = width = 0
            if self._sep_line:
                next(lines)
                number += 1
            while True:
                lines.begin()
                # A reader is left at its first error: what it holds of a broken record cannot be had back.
                reader = csv.reader(lines, strict=True, **self._dialect)
                try:
                    for cells in reader:
                        number += 1
                        width = len(cells) or width
                        yield self._row(number, cells)
                        lines.begin()
                    return
                except csv.Error:
                    number += 1
                    yield self._broken(number, lines.first_alone(), width)
                except UnicodeError:
                    raise self._undecodable() from None

    def _row(self, number: int, cells: list[str]) -> Row:
        if len(cells) > MAX_COLUMNS:
            raise WrongUse(f"Row {number} has {len(cells):,} cells, and at most {MAX_COLUMNS} are read.")
        remarks: tuple[str, ...] = ()
        text = "".join(cells)
        if UNREADABLE in text:
            remarks = ("a character cannot be read",)
        if len(text) > MAX_CELL and max(map(len, cells)) > MAX_CELL:
            return Row(number, (), problem=f"a cell has more than {MAX_CELL:,} characters")
        return Row(number, tuple(cells), remarks)

    def _broken(self, number: int, line: str, width: int) -> Row:
        """Return the row of one line whose quotation marks do not fit, as wide as the row before it if that can be."""
        line = line.rstrip("\r\n")
        try:
            cells = next(csv.reader([line], **self._dialect), [])
        except csv.Error:
            return Row(number, (), problem="its quotation marks do not fit, or a cell is too long")
        bare = line.split(str(self._dialect["delimiter"]))
        if len(cells) != width and len(bare) == width:
            cells = [cell.strip(str(self._dialect["quotechar"])) for cell in bare]
        row = self._row(number, cells)
        return Row(number, row.cells, (*row.remarks, "its quotation marks do not fit"), row.problem)


class _Lines:
    """The lines of a text; those of the record that is being read can be had again."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._again: list[str] = []
        self._record: list[str] = []

    def begin(self) -> None:
        """The next line begins a record."""
        self._record = []

    def first_alone(self) -> str:
        """Return the first line of the record, and give the others again."""
        first, *rest = self._record
        self._again += rest[::-1]
        self._record = []
        return first

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._text.readline(MAX_LINE)
        if not line:
            raise StopIteration
        if len(line) >= MAX_LINE and not line.endswith(("\n", "\r")):
            raise WrongUse(f"A line has more than {MAX_LINE:,} characters: this is no table, or not in this encoding.")
        line = line.replace("\0", "")
        self._record.append(line)
        if len(self._record) > MAX_LINES_OF_RECORD:
            raise csv.Error("a record of too many lines")
        return line


def _named(encoding: str, path: Path) -> str:
    try:
        found = codecs.lookup(encoding)
        if found.name in _NOT_OF_FILES:
            raise LookupError(encoding)
        "a".encode(found.name).decode(found.name)
        if found.name in ("utf-16", "utf-32"):  # Python asks for a mark, which not every file has
            with path.open("rb") as file:
                head = file.read(4)
            marked = any(head.startswith(mark) for mark, name in _MARKS if name == found.name)
            return found.name if marked else f"{found.name}-le"
    except (LookupError, UnicodeError, TypeError):
        raise WrongUse(f"There is no encoding {encoding!r}; such are utf-8, utf-16, cp1252, latin-1.") from None
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _encoding(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the encoding of a file, and what is odd about it."""
    with path.open("rb") as file:
        head = file.read(4096)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding, ()
        half = len(head) // 2
        if half and head[1::2].count(0) > 0.6 * half and head[::2].count(0) < 0.1 * half:
            return "utf-16-le", ()
        if half and head[::2].count(0) > 0.6 * half and head[1::2].count(0) < 0.1 * half:
            return "utf-16-be", ()
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        good = bad = 0
        while chunk := file.read(CHUNK):
            text = decoder.decode(chunk, final=len(chunk) < CHUNK)
            if not text.isascii():
                wrong = text.count(UNREADABLE)
                bad += wrong
                good += len(text) - len(text.encode("ascii", "ignore")) - wrong
    if bad == 0:
        return "utf-8", ()
    if good > bad:
        return "utf-8", (f"{bad:,} characters cannot be read as UTF-8",)
    return "cp1252", ("it does not say how it is encoded; Windows-1252 is assumed, --encoding says otherwise",)


def _separator(sample: str) -> str:
    """Return what separates the cells: by which most headers are known, or else most rows equally wide."""
    lines = sample.splitlines(keepends=True)
    whole = lines[:-1] if len(lines) > 1 and len(sample) >= SAMPLE else lines
    best, best_score = ",", (0, 0.0, 0)
    for separator in SEPARATORS:
        widths: Counter[int] = Counter()
        headers = 0
        try:
            for cells in csv.reader(io.StringIO("".join(whole), newline=""), delimiter=separator):
                if any(cells):
                    widths[len(cells)] += 1
                    headers = max(headers, len({field for cell in cells if (field := field_of(cell))}))
        except csv.Error:
            pass
        wide = {width: count for width, count in widths.items() if width > 1}
        if not wide:
            continue
        width, count = max(wide.items(), key=lambda item: (item[1], item[0]))
        score = (headers, round(count / widths.total(), 1), width)
        if score > best_score:
            best, best_score = separator, score
    return best
