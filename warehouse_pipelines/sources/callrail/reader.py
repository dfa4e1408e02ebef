"""Read the pages of one list of CallRail, each record once.

The first page of calls is asked for by number, since only that answer counts the records; if there are more pages, the
read starts again with relative pagination, which the vendor offers for depth.

``total_records`` is trusted: a difference is asked for once more, as soon as the list is read. A deletion during paging
shifts records and can hide one, and the smaller count then equals what was read. If the total drops during a walk, walk
once more: that finds the hidden record in the same run. A late arrival evens the total out; ``fetch`` then misses what
the warehouse has, and walks again.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, PermissionMissing
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest
from warehouse_pipelines.sources._json import key_of, listed
from warehouse_pipelines.sources.callrail.client import PER_PAGE, VERSION, Answer, answers, client
from warehouse_pipelines.sources.callrail.entities import ACCOUNTS, CALLS, TEXT_MESSAGES
from warehouse_pipelines.sources.callrail.settings import Settings

Keyed = tuple[str | None, bytes]
"""A record and its id, None for one without."""

LIST_NAMES = {TEXT_MESSAGES.path: "conversations"}
"""What the list in the answer is called, by the path of the entity, where it is not called as the entity."""


class CallRailReader:
    """Read one list of one account, and report how many records it has by its own count.

    ``seen`` are their ids, ``without_id`` says whether one has none, and ``walked`` is how many pages a walk had.
    """

    def __init__(
        self,
        request: ReadRequest,
        context: ReadContext,
        entity: Entity,
        path: str,
        params: Mapping[str, str],
    ) -> None:
        self.entity = entity
        self.path = path
        self.params = {**params, "per_page": str(min(request.page_size, PER_PAGE))}
        self.seen: set[str] = set()
        self.without_id = False
        self.walked = 0
        self._http = client(context)
        self._host = urlsplit(context.settings(Settings).base_url).netloc
        self._form = answers(LIST_NAMES.get(entity.path, entity.name))
        self._pages_seen: set[tuple[str | None, ...]] = set()
        self._read = 0
        self._deleted = 0
        self._met: set[str | None] | None = None
        self._counted: int | None = None

    def pages(self) -> Iterator[list[Keyed]]:
        """Yield the records with their ids, each once."""
        first = self._ask(page="1")
        self._counted = first.total_records
        yield from self._walk(first)
        if self._counted is not None and self._counted > self._here:
            again = self._ask(page="1")
            if again.total_records is not None and again.total_records < self._counted:
                yield from self._walk_again(again)
        self._count_again()

    def pages_again(self) -> Iterator[list[Keyed]]:
        """Yield the records that the pages did not show before."""
        yield from self._walk_again(self._ask(page="1"))
        self._count_again()

    def _walk_again(self, first: Answer) -> Iterator[list[Keyed]]:
        given = set(self.seen)
        self._counted, self._met = first.total_records, set()
        yield from self._walk(first)
        self._deleted = len(given - self._met)

    def _count_again(self) -> None:
        if self._counted is not None and self._counted < self._here:
            self._counted = self._ask(page="1", per_page="1").total_records  # now, before the list grows on
        self._pages_seen.clear()

    def _walk(self, first: Answer) -> Iterator[list[Keyed]]:
        self._pages_seen.clear()
        self.walked = 0
        if self.entity.path == CALLS.path and (first.total_pages is None or first.total_pages > 1):
            yield from self._relative()
        else:
            yield from self._numbered(first)

    @property
    def counted(self) -> int | None:
        """How many records the list has, by its own count."""
        return self._counted

    @property
    def total(self) -> int | None:
        """How many records should have come by the list's own count, those included that were deleted meanwhile."""
        return None if self._counted is None else self._counted + self._deleted

    @property
    def _here(self) -> int:
        """How many records the list should have, by its pages."""
        return self._read - self._deleted

    def _ask(self, **params: str) -> Answer:
        return self._http.get(self.path, self._form, params={**self.params, **params})

    def _numbered(self, answer: Answer) -> Iterator[list[Keyed]]:
        number = 1
        while True:
            last = answer.total_pages is not None and number >= answer.total_pages
            records = listed(answer.records, f"CallRail: {self.path}", first=number == 1, last=True)
            if records:
                yield self._new(records)
            if last or not records:
                break
            number += 1
            answer = self._ask(page=str(number))
        if number > 1 and self.entity.path == TEXT_MESSAGES.path:
            self._pages_seen.clear()
            yield self._new(self._ask(page="1").records or [])

    def _relative(self) -> Iterator[list[Keyed]]:
        params = {"relative_pagination": "true", "offset": "0"}
        while True:
            answer = self._ask(**params)
            more = answer.has_next_page
            yield self._new(listed(answer.records, f"CallRail: {self.path}", first=not self._pages_seen, last=not more))
            if not more:
                return
            following = urlsplit(answer.next_page or "")
            if following.netloc != self._host or following.path != self.path:
                raise AnswerChanged(f"CallRail: the next page of {self.path} is elsewhere; the key is not sent there.")
            params = dict(parse_qsl(following.query)) | {"relative_pagination": "true"}

    def _new(self, records: list[msgspec.Raw]) -> list[Keyed]:
        """Return the new records of a page: a late arrival moves the last record to the next page."""
        keys = tuple(map(key_of, records))
        if keys in self._pages_seen:
            raise CursorStuck(f"CallRail: {self.path} answered the same page twice; reading on would never end.")
        self._pages_seen.add(keys)
        self.walked += 1
        self.without_id |= None in keys
        again = self._met is not None
        if self._met is not None:
            self._met.update(keys)
        fresh = [
            (key, bytes(record))
            for key, record in zip(keys, records, strict=True)
            if key not in self.seen and not (again and key is None)
        ]
        self.seen.update(key for key in keys if key)
        self._read += len(fresh)
        return fresh


def visible_accounts(request: ReadRequest, context: ReadContext) -> list[str]:
    """Return the ids of the accounts that the key sees.

    Raises ``PermissionMissing`` when it sees none, and ``WrongAccount`` as ``ReadContext.see_accounts`` does.
    """
    visible = CallRailReader(request, context, ACCOUNTS, f"/{VERSION}/a.json", {})
    for _ in visible.pages():
        pass
    if not visible.seen:
        raise PermissionMissing("CallRail: the key sees no account. Check the rights of its user, then run again.")
    accounts = sorted(visible.seen)
    context.see_accounts(accounts)
    return accounts
