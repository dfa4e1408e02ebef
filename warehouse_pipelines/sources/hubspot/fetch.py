"""How HubSpot is read: lists for everything, search for what changed, one batch read for the records of both.

**Everything** comes from the list endpoint, live records first and archived ones after, so that what is archived
meanwhile is found in the second list. What is restored meanwhile is in neither: so the archived ids are listed before
as well (a call for each hundred, one when there are none), and those that are gone from it at the end are asked for.
Only a record that is archived and restored within one read escapes until its next edit or the next read of everything.
The list endpoint knows no wall and comes in id order. All properties of the portal are
asked for in the URL, by the names that the portal itself gives, so one that it lacks is never asked for; a list too
long for one is read as ids, and the records by POST, which costs twice the calls.

**A delta** asks the search for ids only and reads the records by POST. Of the two safe ways to pass the search's
wall of 10,000, the walk by id comes first: ``hs_object_id`` above the last one, the window frozen, no offset. It
has no wall, ten thousand records in one millisecond do not stop it, and an edit during the walk moves no other
record over a page's edge: the edited one leaves the window and belongs to the next. It rests on the vendor sorting
and comparing ids as numbers, which is unconfirmed. So every id must be larger than the one before, and when fewer
came than the search first counted, it is asked once more how many there are. If either check fails, the window is
read again the other way: halved until the search counts less than 10,000, each part by offset, down to one
millisecond; inside a millisecond that still has more, by id in whatever order the vendor keeps.
The search's ``total`` may start that second reading and is never taken as a proof that all was read.

**Deletions.** The search never shows archived records: each delta walks the archived list (ids only), reads those
that the warehouse does not hold as archived, and asks for those that it does and that are no longer listed, which
are restored or gone. One that is neither, though the vendor keeps deleted records for 90 days and these are not over,
was deleted for good: ``erased``. Merged and GDPR-deleted records are in no list; merges are told by the survivor's
``hs_merged_object_ids``, the rest is found by the next read of everything, which sees the live and the archived, so
that what is in neither list is ``erased`` as well.

**Everything again**, once a day what is about people and what is small, once a week the rest. Ids alone would cost
as many calls, a call for each hundred, and it is calls that are rationed: a million contacts are 10,000 of a day's
650,000. They would save bytes, but not show edits that move no date, such as those of calculated properties, nor
refresh rows that were loaded under another declaration.

**Associations** have neither a cursor nor tombstones: each run asks for all pairs of all records of one side, 1,000
records a call or as many as ``--batch-size`` says. Of line items and appointments that side is the smaller one: a deal
has several line items, so deals are asked; an appointment is of one contact or few, and most contacts have none.

**Owners, pipelines and stages** are a call or two and are read in full each time. Archived owners are listed apart.

**Custom objects** have another type id in each portal and are found by name among the schemas, once a run.

Not used: ``updatedAt`` (the last-modified property is the cursor), inline associations (paged apart, so possibly
incomplete), property history, and the pipelines of other objects than deals.

Settings: ``Settings``. Verified against: the simulator only; no live portal has been read yet.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import (
    ActionNeeded,
    AnswerChanged,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    SuspiciousRead,
)
from warehouse_pipelines.model.reading import Budget, Extraction, Page
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, first_backoff, key_of
from warehouse_pipelines.sources.hubspot.answers import (
    Answer,
    Batch,
    Forbidden,
    Found,
    Id,
    PairsBatch,
    Pipeline,
    Problem,
    Property,
    Refused,
    Schema,
)

if TYPE_CHECKING:
    import httpx

VERSION = "v3"
OBJECTS = f"/crm/{VERSION}/objects"
PROPERTIES = f"/crm/{VERSION}/properties"
SCHEMAS = f"/crm-object-schemas/{VERSION}/schemas"
OWNERS = f"/crm/{VERSION}/owners"
PIPELINES = f"/crm/{VERSION}/pipelines"
ASSOCIATIONS = "/crm/v4/associations"  # v3 has neither labels nor type ids

PAGE = 100  # most records of a list or a batch read
FOUND = 200  # most hits of one search page
WALL = 10_000  # a search never reaches beyond it
PAIRS = 1_000  # most records of one association read
EMPTY_PAGES = 20  # consecutive pages without a record that are followed before giving up
LONGEST_LIST = 15_000
"""Characters of the property list in a URL. Airbyte runs with this figure and measured the refusal at about 16,300;
a portal's edge that refuses less costs one lost call."""
ARCHIVED_FOR = timedelta(days=91)  # the vendor lists an archived record for 90
CERTAINLY_ARCHIVED_FOR = timedelta(days=89)
FEW = 20
"""So many may have been erased although nothing else is archived; more look like a right to see the archive, lost."""
STANDARD_APPOINTMENT = "0-421"


class Settings(FromEnvironment, env_prefix="HUBSPOT_"):
    """``ACCESS_TOKEN`` is of a private app, an OAuth application or a service key.

    The rates are those of a private app on Professional: Enterprise has 1,000,000 a day, Free and Starter have
    100 in ten seconds. ``*_OBJECT`` names a custom object where the portal calls it otherwise, or is its type id
    (``2-123``); ``auto`` looks for the name, and for an appointment takes the standard object if there is none.
    ``PROPERTY_MAP`` names the properties of columns that this portal has elsewhere, see ``properties``.
    """

    access_token: SecretStr
    base_url: str = "https://api.hubapi.com"
    requests_per_10_seconds: int = 190
    searches_per_second: int = 5
    requests_per_day: int = 650_000
    appointment_object: str = "auto"
    division_object: str = "auto"
    geniususer_object: str = "auto"
    zipcode_object: str = "auto"
    property_map: str = ""


T = TypeVar("T")


class OutOfOrder(Exception):
    """The walk by id cannot be trusted in this window."""


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the pages of one entity."""
    reader = Reader(extraction)
    if extraction.entity.path == "owners":
        return reader.owners()
    if extraction.entity.path.startswith("pipelines/"):
        return reader.pipelines()
    if extraction.entity.parent:
        return reader.pairs(extraction.entity.parent)
    return reader.everything() if extraction.whole else reader.changes()


def client(extraction: Extraction, settings: Settings) -> Client:
    """Return the client of the portal that the settings name."""
    return Client(
        extraction,
        title="HubSpot",
        base_url=settings.base_url,
        renew="HUBSPOT_ACCESS_TOKEN",
        headers={"Authorization": f"Bearer {settings.access_token.get_secret_value()}"},
        budgets=(
            Budget("requests", settings.requests_per_10_seconds, 10),
            Budget("day", settings.requests_per_day, 86_400),
        ),
        wait_for=wait_for,
        explain=explain,
    )


def explain(answer: "httpx.Response") -> None:
    """Raise for a missing scope with its name, which stands at the end of a long answer."""
    if answer.status_code != 403:
        return
    try:
        scopes = msgspec.json.decode(answer.content, type=Forbidden).scopes
    except msgspec.MsgspecError:
        return
    if scopes:
        raise PermissionMissing(
            f"HubSpot answered 403 to {answer.request.method} {answer.request.url.path}: the token lacks "
            f"{', '.join(scopes)}. Grant it to the private app, then run again; other entities are not concerned."
        )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return the seconds to wait after a refusal that names its policy; a spent day ends the run."""
    if answer.status_code == 423:
        return 2.0
    if answer.status_code != 429:
        return None
    try:
        policy = msgspec.json.decode(answer.content, type=Refused).policy
    except msgspec.MsgspecError:
        return None
    if policy == "DAILY":
        return 86_400.0
    unit = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0}.get(policy)
    return unit * attempt * first_backoff() if unit else None


class Reader:
    """One reading of one object type."""

    def __init__(self, extraction: Extraction) -> None:
        self.extraction = extraction
        self.entity = extraction.entity
        self.settings = Settings()
        self.client = client(extraction, self.settings)
        self.size = min(extraction.page_size, PAGE)
        self.modified = self.entity.columns[self.entity.cursor].path.rpartition(".")[2] if self.entity.cursor else ""
        self.searches = Budget("search", self.settings.searches_per_second, 1)

    @cached_property
    def object_type(self) -> str:
        """The object type that records or, of pairs, their first side have, as a path names it."""
        return self._type_of(self.entity.path.partition("/")[0])

    def _type_of(self, declared: str) -> str:
        """Return the object type as a path names it; see ``Settings`` for custom ones."""
        custom, _, name = declared.rpartition(":")
        if not custom:
            return name
        setting = f"{name}_object"
        configured: str = getattr(self.settings, setting)
        if re.fullmatch(r"\d+-\d+|p\d*_\w+", configured):
            return configured
        wanted = name if configured == "auto" else configured
        standard = STANDARD_APPOINTMENT if name == "appointment" and configured == "auto" else None
        less = ("PropertyDefinitions", "AssociationDefinitions", "AuditMetadata")
        try:
            schemas = self.client.get(SCHEMAS, Answer[Schema], params={f"include{what}": "false" for what in less})
        except PermissionMissing as error:
            if standard:
                return standard
            raise PermissionMissing(
                f"{error} The custom object {wanted!r} is found by its schema, which needs an Enterprise account "
                f"and the scope crm.schemas.custom.read; or set HUBSPOT_{setting.upper()} to its type id (2-...)."
            ) from error
        found = schemas.page(SCHEMAS)
        for schema in found:
            if _plain(wanted) in {_plain(text) for text in (schema.name, *schema.labels.values()) if text}:
                return schema.object_type_id
        if standard:
            return standard
        raise ActionNeeded(
            f"HubSpot: this portal has no custom object {wanted!r} for {self.entity.table}; it has "
            f"{', '.join(sorted(schema.name for schema in found)) or 'none'}. Set "
            f"HUBSPOT_{setting.upper()} to the object's name, or leave this entity's schedule off."
        )

    @cached_property
    def properties(self) -> dict[str, str]:
        """All properties that the portal has for this type, with their types; asked for when a record is to be read."""
        path = f"{PROPERTIES}/{self.object_type}"
        found = self.client.get(path, Answer[Property], params={"archived": "false"}).page(path)
        return {one.name: one.type for one in found}

    def first(self, number: int) -> list[bytes]:
        """Return so many live records with all properties."""
        found: list[bytes] = []
        names = ",".join(self.properties)
        if len(quote(names)) > LONGEST_LIST:
            for ids in batches(islice(self._ids(archived=False), number), self.size):
                found += self._read(ids)
            return found
        for page in self._list(Answer[msgspec.Raw], names, min(number, self.size), archived=False):
            found += map(bytes, page)
            if len(found) >= number:
                break
        return found[:number]

    def everything(self) -> Iterator[Page]:
        """Yield all live records, all archived ones, and the restored; none was asked for by the window."""
        self.extraction.reads_deleted = True
        restored = set(self._ids(archived=True))
        in_url = True
        for archived in (False, True):
            names = ",".join(self.properties)
            in_url = in_url and len(quote(names)) <= LONGEST_LIST
            if in_url:
                try:
                    for records in self._list(Answer[msgspec.Raw], names, self.size, archived=archived):
                        if archived:
                            restored.difference_update(map(key_of, records))
                        yield Page([bytes(record) for record in records], in_window=False)
                    continue
                except RequestRefused as error:
                    if error.status not in (414, 431):
                        raise
                    in_url = False
            for ids in batches(self._ids(archived=archived), self.size):
                if archived:
                    restored.difference_update(ids)
                yield Page(self._read(ids, archived=archived), in_window=False)
        for ids in batches(sorted(restored), self.size):
            yield Page(self._read(ids), in_window=False)

    def changes(self) -> Iterator[Page]:
        """Yield what changed inside the window; then, unless this is a backfill, what was archived or restored."""
        since, until = milliseconds(self.extraction.since), milliseconds(self.extraction.window.until)
        for ids in batches(self._changed(since, until), self.size):
            yield Page(self._read(ids))
        if self.extraction.options.get("backfill"):
            return
        now = datetime.now(UTC)
        known = self.extraction.known.archived(self.entity.table, now - ARCHIVED_FOR)
        listed = set(self._ids(archived=True))
        self.extraction.noticed["archived_listed"] = len(listed)
        for ids in batches(sorted(listed - known), self.size):
            yield Page(self._read(ids, archived=True), in_window=False)
        erased = known - listed
        for ids in batches(sorted(known - listed), self.size):
            records = self._read(ids)
            erased -= {str(key_of(msgspec.Raw(record))) for record in records}
            yield Page(records, in_window=False)
        if listed or len(erased) <= FEW:
            erased &= self.extraction.known.archived(self.entity.table, now - CERTAINLY_ARCHIVED_FOR)
            self.extraction.erased = sorted(erased)

    def owners(self) -> Iterator[Page]:
        """Yield all owners, and those who are archived."""
        for archived in (False, True):
            for records in self._pages(OWNERS, Answer[msgspec.Raw], {"limit": str(self.size)}, archived=archived):
                yield Page([bytes(record) for record in records])

    def pipelines(self) -> Iterator[Page]:
        """Yield the pipelines of an object type, or their stages, which one answer has."""
        _, declared, *stages = self.entity.path.split("/")
        path = f"{PIPELINES}/{self._type_of(declared)}"
        found = self.client.get(path, Answer[msgspec.Raw]).page(path)
        if stages:
            yield Page([stage for pipeline in found for stage in stages_of(pipeline, path)])
        else:
            yield Page([bytes(pipeline) for pipeline in found])

    def pairs(self, parent: str) -> Iterator[Page]:
        """Yield one record for each association type of each pair, for all living records of the first side."""
        asked_key, found_key, _ = self.entity.keys
        known = iter(()) if self.extraction.options.get("full") else self.extraction.known.keys(parent)
        first = next(known, None)
        ids = self._ids(archived=False) if first is None else chain([first], known)
        size = min(self.extraction.page_size, PAIRS)
        more: list[dict[str, str]] = []
        followed: set[tuple[str, str]] = set()
        path = f"{ASSOCIATIONS}/{self.object_type}/{self._type_of(self.entity.path.partition('/')[2])}/batch/read"
        while inputs := [*more, *({"id": key} for key in islice(ids, size - len(more)))]:
            answer = self.client.post(path, PairsBatch, body={"inputs": inputs})
            self._check(path, answer.errors)
            if gone := sum(not (one.sub_category or "").endswith("NO_ASSOCIATIONS_FOUND") for one in answer.errors):
                self._count("not_found", gone)
            records, more = [], []
            for pair in answer.results:
                records += [
                    msgspec.json.encode(
                        {
                            asked_key: pair.from_.id,
                            found_key: str(target.to_object_id),
                            "association_type_id": kind.type_id,
                            "category": kind.category,
                            "label": kind.label,
                        }
                    )
                    for target in pair.to
                    for kind in target.association_types
                ]
                if pair.paging and pair.paging.next:
                    follow = (pair.from_.id, str(pair.paging.next.after))
                    if follow in followed:
                        raise CursorStuck(f"HubSpot: {path} names the same next page of one record twice")
                    followed.add(follow)
                    more.append({"id": follow[0], "after": follow[1]})
            yield Page(records)

    def _list(self, form: type[Answer[T]], properties: str, limit: int, *, archived: bool) -> Iterator[list[T]]:
        """Yield the pages of the list endpoint."""
        params = {"limit": str(limit), "properties": properties}
        return self._pages(f"{OBJECTS}/{self.object_type}", form, params, archived=archived)

    def _pages(self, path: str, form: type[Answer[T]], params: dict[str, str], *, archived: bool) -> Iterator[list[T]]:
        params = params | {"archived": str(archived).lower()}
        begun: set[str | None] = set()
        after: str | None = None
        empty = 0
        while True:
            answer = self.client.get(path, form, params=params | ({"after": after} if after else {}))
            # An archived list is empty more often than not; read as empty, its records are asked for one by one.
            records = answer.page(path, first=after is None and not archived)
            if records:
                begin = records[0].id if isinstance(records[0], Id) else key_of(cast(msgspec.Raw, records[0]))
                if begin and begin in begun:
                    raise CursorStuck(f"HubSpot: {path} listed the page that begins with {begin} twice")
                begun.add(begin)
                yield records
            if answer.after is None:
                return
            empty = 0 if records else empty + 1
            if answer.after == after or empty > EMPTY_PAGES:
                raise CursorStuck(f"HubSpot: the cursor of {path} does not advance")
            after = answer.after

    def _ids(self, *, archived: bool) -> Iterator[str]:
        for page in self._list(Answer[Id], "hs_object_id", PAGE, archived=archived):
            for record in page:
                yield record.id

    def _read(self, ids: Sequence[str], *, archived: bool = False) -> list[bytes]:
        """Return the records of these ids that exist. An absorbed id may be answered with its survivor."""
        path = f"{OBJECTS}/{self.object_type}/batch/read"
        body = {"inputs": [{"id": key} for key in ids], "properties": list(self.properties)}
        answer = self.client.post(path, Batch, params={"archived": str(archived).lower()}, body=body)
        self._check(path, answer.errors)
        if absent := len(ids) - len(answer.results):
            self._count("not_found", absent)
        once = {key_of(record) or place: bytes(record) for place, record in enumerate(answer.results)}
        return list(once.values())

    def _check(self, path: str, errors: Iterable[Problem]) -> None:
        """Raise for an error inside a 207, unless an id is not there or has no associations, which is an answer."""
        for error in errors:
            if error.category != "OBJECT_NOT_FOUND":
                raise AnswerChanged(
                    f"HubSpot answered {path} in part: {error.category} {error.sub_category or ''}. "
                    "What is missing is unknown, so nothing was loaded."
                )

    def _count(self, what: str, number: int) -> None:
        self.extraction.noticed[what] = self.extraction.noticed.get(what, 0) + number

    def _search(
        self, since: int, until: int, *, above: str | None = None, after: str | None = None, limit: int = FOUND
    ) -> Found:
        """Ask for ids whose modified time, in milliseconds, lies in the window, both ends included."""
        filters = [
            {"propertyName": self.modified, "operator": "GTE", "value": str(since)},
            {"propertyName": self.modified, "operator": "LTE", "value": str(until)},
        ]
        if above is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": above})
        body: dict[str, Any] = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"],
            "limit": limit,
        }
        if after is not None:
            body["after"] = after
        return self.client.post(f"{OBJECTS}/{self.object_type}/search", Found, body=body, budgets=(self.searches,))

    def _changed(self, since: int, until: int) -> Iterator[str]:
        """Yield the ids that changed, each once, by the walk that the module's docstring prefers, or by the other."""
        given: set[int] = set()
        try:
            for key in self._walk(since, until, numeric=True):
                given.add(int(key))
                yield key
        except OutOfOrder:
            self.extraction.noticed["search_read_again_by_windows"] = True
            for key in self._windows(since, until):
                if int(key) not in given:
                    given.add(int(key))
                    yield key

    def _walk(self, since: int, until: int, *, numeric: bool) -> Iterator[str]:
        """Yield the window's ids, each request asking for those above the last; see ``OutOfOrder``.

        Without ``numeric`` the order is the vendor's own, and only a repeated id is an error.
        """
        last: str | None = None
        after: str | None = None
        counted: int | None = None
        given, empty = 0, 0
        seen: set[str] = set()
        path = f"{OBJECTS}/{self.object_type}/search"
        while True:
            page = self._search(since, until, above=last, after=after)
            hits = page.page(path, first=counted is None)
            if counted is None:
                counted = page.total
                if numeric and counted < WALL:
                    self.extraction.reported = counted
            for hit in hits:
                if numeric and last is not None and int(hit.id) <= int(last):
                    raise OutOfOrder
                if not numeric:
                    if hit.id in seen:
                        raise CursorStuck(
                            f"HubSpot: the search of {self.object_type} found one record twice in one walk"
                        )
                    seen.add(hit.id)
                last = hit.id
                given += 1
                yield hit.id
            if page.after is None:
                break
            if hits:
                after, empty = None, 0
                continue
            # An empty page with a next one is no end; asking above the same id again would not advance.
            empty += 1
            if empty > EMPTY_PAGES or page.after == after:
                raise CursorStuck(f"HubSpot: the search of {self.object_type} answers empty pages without an end")
            after = page.after
        if given < counted and self._search(since, until, limit=1).total > given:
            if numeric:
                raise OutOfOrder
            raise SuspiciousRead(
                f"HubSpot: the search of {self.object_type} counts more records in one millisecond than can be walked; "
                "read everything once (--full)."
            )

    def _windows(self, since: int, until: int) -> Iterator[str]:
        """Yield the window's ids by offset, in parts that each lie below the search's wall."""
        page = self._search(since, until)
        if page.total >= WALL:
            if since == until:
                yield from self._walk(since, until, numeric=False)
                return
            middle = (since + until) // 2
            yield from self._windows(since, middle)
            yield from self._windows(middle + 1, until)
            return
        offset = 0
        while True:
            yield from (hit.id for hit in page.page("search", first=not offset))
            if page.after is None:
                return
            if not offset < int(page.after) <= WALL - FOUND:
                raise CursorStuck(
                    f"HubSpot: the search of {self.object_type} goes from offset {offset} to {page.after}"
                )
            offset = int(page.after)
            page = self._search(since, until, after=page.after)


def stages_of(pipeline: msgspec.Raw, path: str) -> list[bytes]:
    """Return the stages of a pipeline, each with the pipeline's id."""
    try:
        it = msgspec.json.decode(pipeline, type=Pipeline)
    except msgspec.MsgspecError as error:
        raise AnswerChanged(f"HubSpot: {path} answered a pipeline without its id or stages: {error}") from error
    return [msgspec.json.encode({"pipeline_id": it.id, **stage}) for stage in it.stages]


def milliseconds(at: datetime) -> int:
    """Return the whole milliseconds since 1970, as the search compares; the loader cuts at the window's own ends."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield ``items`` in lists of ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _plain(name: str) -> str:
    """Return a name without case, spaces and plural: ``Genius Users`` is ``geniususer``."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")
