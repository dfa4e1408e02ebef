"""How the simulated MarketSharp writes what it answers: feeds and entries of Atom, times as .NET does, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from warehouse_pipelines.simulators.core.wire import Answer
from warehouse_pipelines.simulators.marketsharp.formulas import record_of
from warehouse_pipelines.simulators.marketsharp.queries import Queries
from warehouse_pipelines.simulators.marketsharp.record_store import Record
from warehouse_pipelines.simulators.marketsharp.sets import DATETIME, NAVIGATION, SETS, STRING

ROOT = "/WcfDataService.svc"
ATOM = "application/atom+xml;type=feed;charset=utf-8"
RELATED = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
FEED = (
    '<?xml version="1.0" encoding="utf-8" standalone="yes"?><feed xml:base={base} xmlns="http://www.w3.org/2005/Atom" '
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
)


class Atom:
    """Documents of the service that listens at ``url``."""

    def __init__(self, queries: Queries, url: Callable[[], str]) -> None:
        self.queries, self.office, self.settings, self.zone = queries, queries.office, queries.settings, queries.zone
        self._url = url
        self._offsets: dict[int, tuple[str, int]] = {}

    def document(self, name: str, entries: Sequence[str], link: str | None = None, count: int | None = None) -> Answer:
        counted = "" if count is None else f"<m:count>{count}</m:count>"
        # Only the entries of the list itself begin a line.
        body = "".join(f"\n{entry}" for entry in entries)
        rest = "" if link is None else f'\n<link rel="next" href={quoteattr(link)} />'
        head = FEED.format(base=quoteattr(f"{self._url()}{ROOT}/"))
        title = "Contacts" if name == "Customers" else name  # recorded
        text = (
            f'{head}<title type="text">{title}</title><id>{self._url()}{ROOT}/{name}</id>{counted}{body}{rest}\n</feed>'
        )
        return Answer(200, text.encode(), content_type=ATOM, list_key="feed")

    def single(self, entry: str) -> Answer:
        head = FEED.format(base=quoteattr(f"{self._url()}{ROOT}/")).replace("<feed ", "<entry ")
        return Answer(200, entry.replace("<entry>", head, 1).encode(), content_type=ATOM.replace("feed", "entry"))

    def entry(self, name: str, number: int, tree: dict[str, Any]) -> str:
        store = self.office.store(name)
        record = record_of(self.office, store, number)
        key = record[store.shape.key]
        place = f"{name}({key})" if store.numbered else f"{name}('{key}')"
        links = "".join(
            f'<link rel="{RELATED}{step}" type="application/atom+xml;type={"feed" if to.many else "entry"}" '
            f'title="{step}" href="{place}/{step}"'
            + (f">{self._inline(store.name, number, step, tree[step])}</link>" if step in tree else " />")
            for step, to in NAVIGATION.get(store.name, {}).items()
        )
        properties = "".join(self._property(one, type_, record) for one, type_ in SETS[name].properties.items())
        return (
            f'<entry><id>{self._url()}{ROOT}/{place}</id><title type="text" /><author><name /></author>'
            f'<link rel="edit" title="{SETS[name].title}" href="{place}" />{links}'
            f'<content type="application/xml"><m:properties>{properties}</m:properties></content></entry>'
        )

    def _inline(self, name: str, number: int, step: str, tree: dict[str, Any]) -> str:
        there, numbers, many = self.queries.linked(name, number, step)
        entries = "".join(self.entry(there, one, tree) for one in numbers)
        address = f"{self._url()}{ROOT}/{name}('{self.office.store(name).id_of(number)}')/{step}"
        head = f'<title type="text">{step}</title><id>{address}</id>'
        inside = f"<feed>{head}{entries}</feed>" if many else entries
        return f"<m:inline>{inside}</m:inline>" if inside else "<m:inline />"

    def _property(self, name: str, type_: str, record: Record) -> str:
        value = record.get(name, "" if type_ == STRING else None)
        told = "" if type_ == STRING else f' m:type="{type_}"'
        if value is None:
            return f'<d:{name}{told} m:null="true" />'
        if value == "":
            return f"<d:{name}{told} />"
        if type_ == DATETIME and isinstance(value, int):
            value = self.text_of(value, utc=name.endswith("Utc"))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f"<d:{name}{told}>{escaped(text)}</d:{name}>"

    def text_of(self, wall: int, *, utc: bool = False) -> str:
        """A time as .NET writes it: the fraction without its last zeros, and perhaps the offset."""
        hour = wall // 3_600_000
        if hour not in self._offsets:
            at = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=self.zone)
            self._offsets[hour] = at.isoformat()[-6:], int(at.utcoffset().total_seconds() * 1000)  # type: ignore[union-attr]
        offset, ahead = self._offsets[hour]
        if utc:
            offset, wall = "Z", wall - ahead
        text = datetime.fromtimestamp(wall / 1000, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return text.rstrip("0").rstrip(".") + (offset if self.settings.offsets else "")


def escaped(text: str) -> str:
    """The text in XML; characters that XML has not are written all the same, as references."""
    text = escape(text, {"\r": "&#xD;"})
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", lambda found: f"&#x{ord(found[0]):X};", text)


def error_answer(status: int, message: str) -> Answer:
    text = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>'
        '<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><m:code></m:code>'
        f'<m:message xml:lang="en-US">{escape(message)}</m:message></m:error>'
    )
    return Answer(status, text.encode(), content_type="application/xml;charset=utf-8")
