"""Read a table of Genius page by page, in an order in which each row has a place of its own.

A page is the statement ``key > :last ORDER BY key LIMIT :page``, without an offset and without a limit of pages, so
nothing is cut off at any size. Pages of ordinary rows are read to their end before they are handed on, so no result
stays open while PostgreSQL is busy; of rows that are megabytes long, 8 MB at a time. A statement that fails or breaks
off is asked again from the last row that was handed on.

A record is the row as JSON: every column that the account may read except secrets, and ``EXPRESSIONS``. Numbers keep
their digits; a TIME is text, since it may exceed a day; binary is base64. A DATETIME has no zone: the offset of
``GENIUS_TIME_ZONE`` at that time is appended, to a TIMESTAMP that of UTC. A zero date stays in ``raw_data``, and its
column becomes null with a warning. Text that is no UTF-8 is handed on as it is, and the loader mends it. Of the hour
that occurs twice in autumn the first one is taken.

dlt's ``sql_database`` is not used: it decodes every value (a zero date becomes an error or None, a decimal an object),
knows one cursor column and no second one, keeps its own state, and yields dictionaries or frames where this project
stores the record beside its columns. It would save the statement only.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.model.reading import Page
from warehouse_pipelines.sources.genius.catalogue import GeniusTable
from warehouse_pipelines.sources.genius.client import GeniusClient

HANDED_ON_BYTES = 8 * 2**20


class Offsets(dict[str, str]):
    """The offset of a zone by hour, ``2024-01-31 10``, since offsets change on the hour. Empty for an invalid time."""

    def __init__(self, zone: tzinfo) -> None:
        super().__init__()
        self.zone = zone

    def __missing__(self, hour: str) -> str:
        try:
            offset = datetime.fromisoformat(hour).replace(tzinfo=self.zone).strftime("%z")
        except ValueError:
            offset = ""
        if len(self) >= 5_000:
            self.clear()
        self[hour] = found = f"{offset[:3]}:{offset[3:5]}" if offset else ""
        return found


def after(order: Sequence[str], values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return the condition for the rows after ``values`` in this order.

    It nests ORs, because older servers do not answer ``(a, b) > (…)`` from an index.
    """
    first, *rest = order
    if not rest:
        return f"t.`{first}` > %s", [values[0]]
    condition, more = after(rest, values[1:])
    nested = f"t.`{first}` >= %s AND (t.`{first}` > %s OR (t.`{first}` = %s AND {condition}))"
    return nested, [values[0]] * 3 + more


def _with_its_bytes(value: Any) -> Any:
    """Return a text in JSON with its bytes, valid UTF-8 or not; what is no text as it is."""
    if not isinstance(value, str):
        return value
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape"))


class GeniusReader:
    """Read the rows of one table in one order; keep the place of the last row between pages."""

    def __init__(self, client: GeniusClient, table: GeniusTable, order: Sequence[str], page_size: int) -> None:
        self.client, self.table, self.order, self.page_size = client, table, list(order), page_size
        self.last: tuple[Any, ...] | None = None
        self._encode = msgspec.json.Encoder().encode
        names = table.names
        self._places = [names.index(name) for name in order]
        zone = Offsets(client.settings.time_zone)
        utc = Offsets(UTC)
        kinds = {"datetime": zone, "timestamp": utc}
        self._times = [(n, kinds[type_]) for n, type_ in enumerate(table.types.values()) if type_ in kinds]
        texts = {"char", "varchar", "text", "binary", "varbinary", "enum"}
        # The order of text is the database's collation, so all places are kept. Few rows have such a key.
        self._met: set[Any] | None = set() if any(table.types[name] in texts for name in order) else None

    def pages(self, condition: str, values: Sequence[Any]) -> Iterator[Page]:
        """Yield the rows that satisfy ``condition``, each once."""
        size = self.page_size
        met, attempt = size, 1
        while met >= size:
            where, bound = condition, list(values)
            if self.last is not None:
                follows, more = after(self.order, self.last)
                where, bound = f"{where} AND {follows}", [*bound, *more]
            statement, met = self.table.statement(where, self.order), 0
            try:
                for records in self._handed(statement, [*bound, size]):
                    met += len(records)
                    attempt = 1
                    yield Page(records)
            except VendorUnavailable as error:
                self.client.wait(attempt, error)
                met, attempt = size, attempt + 1

    def _handed(self, statement: str, values: Sequence[Any]) -> Iterator[list[bytes]]:
        """Yield the records of one statement in parts of ``HANDED_ON_BYTES``, and move the place behind each part."""
        names = self.table.names
        records: list[bytes] = []
        places: list[tuple[Any, ...]] = []
        length = 0
        last = self.last
        for row in self.client.rows(statement, values):
            place = tuple(row[n] for n in self._places)
            if place in self._met if self._met is not None else last is not None and place <= last:
                raise self.client.rows_again(self.table.name)
            last = place
            places.append(place)
            members = dict(zip(names, row, strict=True))
            for n, offsets in self._times:
                if (text := row[n]) is not None:
                    members[names[n]] = text + offsets[text[:13]]
            try:
                record = self._encode(members)
            except UnicodeEncodeError:
                record = self._encode({name: _with_its_bytes(value) for name, value in members.items()})
            records.append(record)
            length += len(record)
            if length >= HANDED_ON_BYTES:
                self._move_on(places)
                yield records
                records, places, length = [], [], 0
        if records:
            self._move_on(places)
            yield records

    def _move_on(self, places: list[Any]) -> None:
        self.last = places[-1]
        if self._met is not None:
            self._met.update(places)
