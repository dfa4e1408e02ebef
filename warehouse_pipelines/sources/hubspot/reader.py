"""Read the records of one object type: the list endpoint, batch reads by id, and the properties of the portal.

Records are asked for with all properties of the portal, by the names that the portal itself gives, so one that it
lacks is never asked for. The list endpoint has no limit and comes in id order; its cursor is an id, so a long list is
read in ranges of its ids side by side (``_key_ranges``). **Custom objects** have another type id in each portal and are
found by name among the schemas, once a run.

A read with a limit has one request in flight: it is to stop early, and at the first records.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TypeVar, cast
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import (
    ActionNeeded,
    AnswerChanged,
    CursorStuck,
    PermissionMissing,
    WarehouseError,
)
from warehouse_pipelines.model.reading import Budget, ReadContext, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources._json import key_of
from warehouse_pipelines.sources._key_ranges import KeyPage, KeyRanges
from warehouse_pipelines.sources.hubspot.answers import (
    Answer,
    Batch,
    Id,
    Problem,
    Property,
    Schema,
)
from warehouse_pipelines.sources.hubspot.client import OBJECTS, PROPERTIES, SCHEMAS, client
from warehouse_pipelines.sources.hubspot.settings import Settings

PAGE = 100  # most records of a list or a batch read
EMPTY_PAGES = 20  # consecutive pages without a record that are followed before giving up
LONGEST_LIST = 15_000
"""Most characters of the property list in a URL. Airbyte uses this figure and measured refusals from about 16,300; a
portal that refuses a shorter one costs one lost call."""
SECOND = 1.05
"""Seconds of the search's budget: a second, and by how much the vendor may meet one search sooner than another."""
STANDARD_APPOINTMENT = "0-421"

T = TypeVar("T")


class HubSpotReader:
    """Read one object type, for one request."""

    def __init__(self, request: ReadRequest, context: ReadContext) -> None:
        self.request, self.context = request, context
        self.entity = request.entity
        self.settings = context.settings(Settings)
        self.client = client(context, self.settings)
        self.size = min(request.page_size, PAGE)
        self.most = 1 if request.limit else None
        self.searches = Budget("searches", self.settings.searches_per_second, SECOND)

    @cached_property
    def object_type(self) -> str:
        """The object type of the records, or of the first side of pairs, for a path."""
        return self.type_of(self.entity.path.partition("/")[0])

    def type_of(self, declared: str) -> str:
        """Return the object type for a path; custom ones are found by name among the schemas (``Settings``).

        Raises ``ActionNeeded`` for a custom object that the portal has not, and ``PermissionMissing`` when the schemas
        may not be read.
        """
        custom, _, name = declared.rpartition(":")
        if not custom:
            return name
        configured: str = getattr(self.settings, f"{name}_object")
        setting = self.context.setting(f"HUBSPOT_{name.upper()}_OBJECT")
        if re.fullmatch(r"\d+-\d+|p\d*_\w+", configured):
            return configured
        wanted = name if configured == "auto" else configured
        standard = STANDARD_APPOINTMENT if name == "appointment" and configured == "auto" else None
        try:
            found = self.schemas
        except PermissionMissing as error:
            if standard:
                return standard
            raise PermissionMissing(
                f"{error} The custom object {wanted!r} is found by its schema, which needs an Enterprise account "
                f"and the scope crm.schemas.custom.read; or set {setting} to its type id (2-...)."
            ) from error
        for schema in found:
            if _plain(wanted) in {_plain(text) for text in (schema.name, *schema.labels.values()) if text}:
                return schema.object_type_id
        if standard:
            return standard
        raise ActionNeeded(
            f"HubSpot: this portal has no custom object {wanted!r} for {self.entity.table}; it has "
            f"{', '.join(sorted(schema.name for schema in found)) or 'none'}. Set "
            f"{setting} to the object's name, or leave this entity's schedule off."
        )

    @cached_property
    def schemas(self) -> Sequence[Schema]:
        """The portal's custom objects without deleted ones. Whoever makes one deletes this attribute."""
        less = ("PropertyDefinitions", "AssociationDefinitions", "AuditMetadata")
        params = {"archived": "false", **{f"include{what}": "false" for what in less}}
        found = self.client.get(SCHEMAS, Answer[Schema], params=params).page(SCHEMAS)
        return [schema for schema in found if not schema.archived]

    @cached_property
    def properties(self) -> dict[str, str]:
        """All properties that the portal has for this object type, with their types."""
        path = f"{PROPERTIES}/{self.object_type}"
        found = self.client.get(path, Answer[Property], params={"archived": "false"}).page(path)
        return {one.name: one.type for one in found}

    def first(self, number: int) -> list[bytes]:
        """Return the first ``number`` live records with all properties."""
        found: list[bytes] = []
        names = ",".join(self.properties)
        if len(quote(names)) > LONGEST_LIST:
            for ids in batches(islice(self.ids(archived=False), number), self.size):
                found += self.read(ids)
            return found
        params = {"limit": str(min(number, self.size)), "properties": names}
        for page in self.pages(f"{OBJECTS}/{self.object_type}", Answer[msgspec.Raw], params, archived=False):
            found += map(bytes, page)
            if len(found) >= number:
                break
        return found[:number]

    def list_pages(
        self, form: type[Answer[T]], properties: str, limit: int, *, archived: bool
    ) -> Iterator[Sequence[T]]:
        """Yield the pages of the list endpoint, live or archived; those of a long list in no order."""
        path = f"{OBJECTS}/{self.object_type}"
        params = {"limit": str(limit), "properties": properties}
        if self.most == 1:
            yield from self.pages(path, form, params, archived=archived)
            return

        def ask(after: str) -> KeyPage[T]:
            asked = {**params, "archived": str(archived).lower(), "after": after}
            return _key_page(self.client.get(path, form, params=asked))

        alone = partial(self._one_by_one, path, form, params, archived)
        yield from KeyRanges(self.context, ask, alone, lambda: self._highest_id).pages()

    @cached_property
    def _highest_id(self) -> int | None:
        """The greatest id that the search knows, about where a list ends; None if it does not tell."""
        body = {
            "sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}],
            "properties": ["hs_object_id"],
            "limit": 1,
        }
        path = f"{OBJECTS}/{self.object_type}/search"
        with contextlib.suppress(WarehouseError):  # the list can be read without it
            found = self.client.post(path, Answer[Id], body=body, budgets=(self.searches,)).results
            return int(found[0].id) if found and found[0].id.isdecimal() else None
        return None

    def pages(self, path: str, form: type[Answer[T]], params: dict[str, str], *, archived: bool) -> Iterator[list[T]]:
        """Yield the pages of a path, one after another; raise ``CursorStuck`` if they do not advance."""
        for page in self._one_by_one(path, form, params, archived, None):
            yield list(page.records)

    def _one_by_one(
        self, path: str, form: type[Answer[T]], params: dict[str, str], archived: bool, after: str | None
    ) -> Iterator[KeyPage[T]]:
        params = params | {"archived": str(archived).lower()}
        begun: set[str | None] = set()
        empty = 0
        while True:
            answer = self.client.get(path, form, params=params | ({"after": after} if after else {}))
            # An archived list is empty more often than not; read as empty, its records are asked for one by one.
            records = answer.page(path, first=after is None and not archived)
            if records:
                page = _key_page(answer)
                if page.keys[0] and page.keys[0] in begun:
                    raise CursorStuck(f"HubSpot: {path} listed the page that begins with {page.keys[0]} twice")
                begun.add(page.keys[0])
                yield page
            if answer.after is None:
                return
            empty = 0 if records else empty + 1
            if answer.after == after or empty > EMPTY_PAGES:
                raise CursorStuck(f"HubSpot: the cursor of {path} does not advance")
            after = answer.after

    def ids(self, *, archived: bool) -> Iterator[str]:
        """Yield the ids of all records, live or archived."""
        for page in self.list_pages(Answer[Id], "hs_object_id", PAGE, archived=archived):
            for record in page:
                yield record.id

    def read(self, ids: Sequence[str], *, archived: bool = False) -> list[bytes]:
        """Return the existing records of these ids. For a merged id, the vendor may answer with the survivor."""
        path = f"{OBJECTS}/{self.object_type}/batch/read"
        body = {"inputs": [{"id": key} for key in ids], "properties": list(self.properties)}
        answer = self.client.post(path, Batch, params={"archived": str(archived).lower()}, body=body)
        self.check(path, answer.errors)
        if absent := len(ids) - len(answer.results):
            self.context.count("not_found", absent)
        once = {key_of(record) or place: bytes(record) for place, record in enumerate(answer.results)}
        return list(once.values())

    def read_each(self, ids: Iterable[str], *, archived: bool = False) -> Iterator[tuple[list[str], list[bytes]]]:
        """Yield batches of these ids with their records, in the order of the answers."""

        def asked() -> Iterator[list[str]]:
            for batch in batches(ids, self.size):
                _ = self.properties  # known before the threads need it
                yield batch

        return as_answered(self.context, partial(self.read, archived=archived), asked(), self.most)

    def check(self, path: str, errors: Iterable[Problem]) -> None:
        """Raise for an error inside a 207, except for an id that is not there or has no associations."""
        for error in errors:
            if error.category != "OBJECT_NOT_FOUND":
                raise AnswerChanged(
                    f"HubSpot answered {path} in part: {error.category} {error.sub_category or ''}. "
                    "What is missing is unknown, so nothing was loaded."
                )


def _key_page(answer: Answer[T]) -> KeyPage[T]:
    records = answer.results or []
    keys = [one.id if isinstance(one, Id) else key_of(cast(msgspec.Raw, one)) for one in records]
    return KeyPage(records, keys, answer.after)


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield ``items`` in lists of ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _plain(name: str) -> str:
    """Return a name without case, spaces and plural: ``Genius Users`` is ``geniususer``."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")
