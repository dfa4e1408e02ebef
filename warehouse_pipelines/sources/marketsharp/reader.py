"""Read one set of MarketSharp, each page from where the last one ended.

**In full** the walk is by key, which nothing changes: ``id ge 'Y'`` in order of id. **A delta** walks (lastUpdate, id)
from the window's begin, inclusive: ``(lastUpdate gt X) or (lastUpdate eq X and id ge 'Y')``. ``$skip`` is never used:
it loses records in a set that changes.

``ge`` instead of ``gt`` shows the last record of a page again as the first of the next. That proves that the service
reads our literals, and orders keys, as we mean it; a service that does neither, which is unconfirmed, is an error and
no gap. A record that is not shown again was edited or deleted meanwhile, or the proof has failed: it is asked for by
its key to know which.

A short page proves nothing, because a server may cut pages to a size of its own; the end is a page with nothing new. A
link to the next page (``$skiptoken``) is followed, on the service's own host only.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest
from warehouse_pipelines.sources.marketsharp.atom import Entry, Feed
from warehouse_pipelines.sources.marketsharp.client import ROOT, MarketSharpClient

log = logging.getLogger("warehouse.ingestion")

PAGE = 1_000
"""Clients ask for up to 5,000. A thousand contacts are 4 MB, and a page is held in memory."""

WALL_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?")


class Place(NamedTuple):
    """The end of a page: the key as a literal of a filter, and lastUpdate's wall clock in a walk by time."""

    key: str
    at: str | None


class MarketSharpReader:
    """Read the set of one entity from its begin to its end.

    ``base`` is the filter of the whole read; ``unproven`` says why the end may not be the end.
    """

    def __init__(
        self, client: MarketSharpClient, request: ReadRequest, *, base: str = "", by_time: bool = False
    ) -> None:
        self.client, self.entity = client, request.entity
        self.unproven: str | None = None
        entity = request.entity
        self.set, _, self._expand = entity.path.partition("?$expand=")
        (key,) = entity.keys
        self._key, self._numbered = entity.columns[key].path, entity.columns[key].kind == "integer"
        self._base, self._by_time = base, by_time
        paths = [path for column in entity.columns.values() for path in column.members]
        self._names = {name.lower(): name for name in (path.rpartition(".")[2] for path in paths)}
        # The first record of a page is the last one of the page before.
        self._top = str(max(2, request.page_size))
        self._given: set[int] = set()
        self._followed: set[str] = set()

    def pages(self) -> Iterator[list[Entry]]:
        """Yield the new entries of each page."""
        place: Place | None = None
        more = True
        while more:
            more = False
            answer = self._ask(self._filter(place))
            fresh = self._beyond(place, answer.entries)
            before = place
            while True:
                if fresh:
                    more = True
                    yield fresh
                    place = self._place(fresh) or place
                if answer.following is None:
                    break
                answer = self._follow(answer.following)
                fresh = self._new(answer.entries)
            if more and place == before:
                self.unproven = f"MarketSharp: {self.set} ends with records from which nothing can go on"
                return

    def _ask(self, filter: str, top: str | None = None) -> Feed:
        order = f"lastUpdate,{self._key}" if self._by_time else self._key
        try:
            answer = self.client.ask(
                self.set, filter=filter or None, orderby=order, top=top or self._top, expand=self._expand or None
            )
        except RequestRefused as refused:
            if refused.status != 400 or not self._expand or self._given:
                raise
            kept = ",".join(path for path in self._expand.split(",") if self._expands(path))
            if kept == self._expand:
                raise
            self._expand = kept
            return self._ask(filter, top)
        return self._named(answer)

    def _expands(self, path: str) -> bool:
        """Return whether the service expands this navigation; note a refusal."""
        try:
            self.client.ask(self.set, orderby=self._key, top="1", expand=path)
        except RequestRefused as refused:
            if refused.status != 400:
                raise
            note_absent(self.client.context, self.entity, f"{self.set}?$expand={path}")
            return False
        return True

    def _named(self, answer: Feed) -> Feed:
        """Return the answer with properties spelt as the entity declares them."""
        for entry in answer.entries:
            entry.rename(self._names)
        return answer

    def _filter(self, place: Place | None) -> str:
        """Return the filter for the rest of the set; the time of a place replaces the lower bound of the base."""
        if place is None:
            return self._base
        if place.at is None:
            return " and ".join(filter(None, (self._base, f"{self._key} ge {place.key}")))
        here = self.client.settings.literal_of(place.at)
        walk = f"((lastUpdate gt {here}) or (lastUpdate eq {here} and {self._key} ge {place.key}))"
        _, _, upper = self._base.partition(" and ")
        return " and ".join(filter(None, (walk, upper)))

    def _beyond(self, place: Place | None, entries: list[Entry]) -> list[Entry]:
        """Return the entries after the place; check that the page begins with it."""
        if place is not None and entries and self._place(entries[:1]) == place:
            return self._new(entries[1:])
        fresh = self._new(entries)
        if place is not None:
            self._look_for(place)
        return fresh

    def _new(self, entries: list[Entry]) -> list[Entry]:
        if entries:
            page = hash(tuple((self._literal(entry), self._at(entry)) for entry in entries))
            if page in self._given:
                raise CursorStuck(f"MarketSharp: {self.set} answered the same page twice; reading on would never end.")
            self._given.add(page)
        return entries

    def _look_for(self, place: Place) -> None:
        """Raise ``AnswerChanged`` if the record of a place is unchanged and yet was not shown again."""
        found = self._ask(f"{self._key} eq {place.key}", top="1").entries
        if found and self._place(found) == place:
            zone = self.client.context.setting("MARKETSHARP_FILTER_TIME_ZONE")
            raise AnswerChanged(
                f"MarketSharp: {self.set} was asked for what follows a record, and did not show that record, which is "
                f"there. If it reads the times of a filter in a zone of its own, set {zone}; if it does not compare "
                "keys as it orders them, tell the developers. Nothing was loaded."
            )

    def _follow(self, address: str) -> Feed:
        """Return the page of a link; raise if it leads to another host: the header sent there is a credential."""
        there, here = urlsplit(urljoin(f"{self.client.base_url}{ROOT}/", address)), urlsplit(self.client.base_url)
        if (there.netloc, there.path) != (here.netloc, f"{here.path}{ROOT}/{self.set}"):
            raise AnswerChanged(f"MarketSharp: the next page of {self.set} is elsewhere; the key is not sent there.")
        if there.query in self._followed:
            raise CursorStuck(f"MarketSharp: {self.set} names the same next page twice; reading on would never end.")
        self._followed.add(there.query)
        return self._named(self.client.follow(self.set, dict(parse_qsl(there.query, keep_blank_values=True))))

    def _literal(self, entry: Entry) -> str | None:
        """Return the key as a literal of a filter; the entry's address has it even if the property is missing."""
        key = (entry.properties or {}).get(self._key)
        if entry.key or not key:
            return entry.key
        return key if self._numbered else "'{}'".format(key.replace("'", "''"))

    def _at(self, entry: Entry) -> str | None:
        found = WALL_CLOCK.match((entry.properties or {}).get("lastUpdate") or "")
        return found[0] if found and self._by_time else None

    def _place(self, entries: Sequence[Entry]) -> Place | None:
        """Return the place of the last entry that tells one."""
        for entry in reversed(entries):
            key, at = self._literal(entry), self._at(entry)
            if key and (at or not self._by_time):
                return Place(key, at)
        return None


def note_absent(context: ReadContext, entity: Entity, what: str, *members: str) -> None:
    """Report once, in the log and in the history row, what the service lacks.

    The columns that only these ``members`` of the record could fill keep the values that the warehouse has.
    """
    absent = context.noted.get("absent", [])
    if what in absent:
        return
    context.note(absent=[*absent, what])
    log.warning("MarketSharp has no %s; %s is loaded without it", what, entity.table)
    below = [
        name
        for name, column in entity.columns.items()
        if all(path.partition(".")[0] in members for path in column.members)
    ]
    if below:
        context.mark_absent(context.known.filled(entity, below))
