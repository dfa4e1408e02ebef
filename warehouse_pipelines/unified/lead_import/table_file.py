"""A file of leads as numbered rows of texts, whatever it is. ``opening.open_file`` makes a ``LeadFile``.

Decided:

- A file is read several times (preview, import, and again after a kill), always in a stream; nothing of it is kept. It
  is known by the SHA-256 of its bytes. If it changes while it is read, the import stops.
- Row numbers are those that a spreadsheet shows: the header counts, and so do blank rows.
- What a reader does not know for certain it says in a remark, of the file or of the row; a remark never quotes a cell.
- A file may end in the middle: a sheet that is damaged, a row that passes a limit. What stands above is a file as any
  other; below, ``Unreadable`` is raised.
- Limits are refused in a sentence that names them. They are far above what people have and below what hurts: a
  million rows of contacts are 150 MB as CSV and 60 MB as a workbook, which unpacks to ten times of that.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from warehouse_pipelines.errors import WrongUse

MAX_BYTES = 1 << 30
MAX_ROWS = 2_000_000
MAX_COLUMNS = 500
MAX_CELL = 32_767
"""Excel's own limit of characters in a cell."""


class Unreadable(WrongUse):
    """The row after the last one that was yielded, and all below it, cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its number in the file. ``problem`` says why it cannot be used at all.

    ``unread`` are the columns whose cell is not blank and has no value that can be read.
    """

    number: int
    cells: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    problem: str | None = None
    unread: tuple[int, ...] = ()

    @property
    def blank(self) -> bool:
        return self.problem is None and not any(self.cells)


@dataclass(frozen=True)
class About:
    """What a file is, for the preview: ``form`` in words, and what is odd about it."""

    form: str
    sheet: str = ""
    remarks: tuple[str, ...] = ()


class Rows(Protocol):
    """What reads one kind of file."""

    about: About

    def rows(self) -> Iterator[Row]:
        """Yield all rows from the first, blank ones too."""


@dataclass(frozen=True)
class LeadFile:
    """An opened file: its name, hash and reader."""

    path: Path
    hash: bytes
    reader: Rows
    _seen: os.stat_result = field(repr=False)

    @property
    def about(self) -> About:
        return self.reader.about

    def rows(self) -> Iterator[Row]:
        """Yield all rows. Raises ``Unreadable`` where it passes a limit or is damaged, ``WrongUse`` if it changed."""
        number = 0
        try:
            for row in self.reader.rows():
                if row.number > MAX_ROWS:
                    raise Unreadable(f"The file has more than {MAX_ROWS:,} rows; split it.")
                if row.number <= number:
                    raise Unreadable(f"The rows of the file are not in order after row {number}; save it anew.")
                number = row.number
                yield row
        except WrongUse as error:
            self.check_unchanged()
            raise Unreadable(str(error)) from None
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise ``WrongUse`` when somebody wrote to the file since it was opened."""
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (
            self._seen.st_size,
            self._seen.st_mtime_ns,
            self._seen.st_ino,
        ):
            raise WrongUse("The file was changed while it was read. Undo what was imported of it, or import it again.")
