"""The range of cells to read: from the setting (``'My tab'!A:ZZ``) and the grid of the spreadsheet."""

import re
from dataclasses import dataclass

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.sources.gsheet.answers import Merge, Spreadsheet

RANGE = re.compile(r"(?:'((?:[^']|'')+)'|([^'!]+?))(?:!([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?)?")


@dataclass(frozen=True)
class Area:
    """The cells to read; ``top`` is the row of the header. ``open`` if the setting names no last row."""

    title: str
    left: str
    right: str
    top: int
    bottom: int
    sheet_id: int
    merges: tuple[Merge, ...] = ()
    open: bool = True

    def name(self, row: int, place: int) -> str:
        """Return the name of a cell in A1 notation."""
        return f"{self._tab}!{self.letters(place)}{row}"

    def letters(self, place: int) -> str:
        """Return the letters of a column; ``place`` counts from the first column of the area."""
        return column_letters(column_number(self.left) + place)

    def column(self, place: int, first: int, last: int) -> str:
        """Return the range of some cells of one column in A1 notation."""
        letters = self.letters(place)
        return f"{self._tab}!{letters}{first}:{letters}{last}"

    @property
    def _tab(self) -> str:
        return f"'{self.title.replace(chr(39), chr(39) * 2)}'"

    def rows(self, first: int, last: int | None) -> str:
        """Return the range of some rows in A1 notation; without ``last`` that of all below the first."""
        return f"{self._tab}!{self.left}{first}:{self.right}{last or ''}"


def area_of(document: Spreadsheet, asked: str) -> Area:
    """Return the cells that the range of the setting names; raise ``WrongUse`` for one that does not exist."""
    grids = [sheet.properties for sheet in document.sheets if sheet.properties.grid]
    merges = {sheet.properties.sheet_id: sheet.merges for sheet in document.sheets}
    found = RANGE.fullmatch(asked.strip())
    if asked.strip() and found is None:
        raise WrongUse(f"Google Sheets: {asked!r} is no range; write a tab, or 'My tab'!A:ZZ.")
    title = (found[1] or found[2]).replace("''", "'") if found else None
    tab = next((one for one in grids if title in (None, one.title)), None)
    if tab is None or tab.grid is None:
        raise WrongUse(
            f"Google Sheets: there is no tab {title!r}; there are {', '.join(repr(one.title) for one in grids)}. "
            "Was it renamed? Set its range anew; the rows that are there stay as they are."
        )
    left, top, right, bottom = (found[3], found[4], found[5], found[6]) if found else (None,) * 4
    last = min(column_number(right) or tab.grid.columns, tab.grid.columns)
    return Area(
        title=tab.title,
        left=left or "A",
        right=column_letters(last),
        top=int(top or 1),
        bottom=min(int(bottom or tab.grid.rows), tab.grid.rows),
        sheet_id=tab.sheet_id,
        merges=tuple(merges[tab.sheet_id]),
        open=not bottom,
    )


def column_number(letters: str | None) -> int:
    """Return 1 for A, 27 for AA, 0 for nothing."""
    number = 0
    for letter in letters or "":
        number = number * 26 + ord(letter) - 64
    return number


def column_letters(column: int) -> str:
    """Return A for 1, AA for 27."""
    found = ""
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found
