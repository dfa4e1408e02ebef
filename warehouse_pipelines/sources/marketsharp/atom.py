"""Atom as WCF Data Services writes it: a feed of entries, each with properties and perhaps with entries inside.

Values are the texts that the service wrote; which of them are numbers or times is said by the rows, not by ``m:type``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from warehouse_pipelines.sources._xml import parsed

Properties = dict[str, str | None]

NULL = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}null"


@dataclass(slots=True)
class Entry:
    """One record; ``linked`` are those that were expanded in it, by the name of the navigation."""

    id: str = ""
    properties: Properties | None = None
    linked: dict[str, list["Entry"]] = field(default_factory=dict)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give properties, also of what was expanded, the spelling that ``names`` has for their lower case."""
        self.properties = {names.get(name.lower(), name): value for name, value in (self.properties or {}).items()}
        for linked in self.linked.values():
            for entry in linked:
                entry.rename(names)

    @property
    def key(self) -> str | None:
        """The key as a filter has it, ``'0f9c…'`` or ``3``, out of the entry's address."""
        found = re.search(r"\(([^()]+)\)$", unquote(self.id))
        return found[1] if found else None


class Feed(NamedTuple):
    """A page; ``following`` is the address of the next one where the service tells it."""

    entries: list[Entry]
    following: str | None


def feed(content: bytes) -> Feed:
    """Read a page.

    Raises ``msgspec.ValidationError`` for what is no feed, for an entry without properties and for an expanded list
    that is not all there, ``msgspec.DecodeError`` for what is no XML or breaks off with an error.
    """
    reader = _FeedReader()
    for _ in parsed(content, start=reader.start, end=reader.end, text=reader.pieces.append):
        pass
    (entries,) = reader.lists
    return Feed(entries, reader.following)


class _FeedReader:
    """What a page has so far: ``lists`` are the feed and the expanded lists that are open, ``pieces`` of a text."""

    def __init__(self) -> None:
        self.lists: list[list[Entry]] = []
        self.pieces: list[str] = []
        self.following: str | None = None
        self._opened: list[Entry] = []
        self._links: list[str] = []
        self._values: Properties | None = None
        self._depth, self._null = 0, False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        if self._values is not None:
            self._depth += 1
            self.pieces.clear()
            self._null = attributes.get(NULL) == "true"
            return
        match name.rpartition("}")[2]:
            case "feed":
                if not self.lists:
                    self.lists.append([])
            case other if not self.lists:
                raise msgspec.ValidationError(f"<{other}> instead of a feed")
            case "entry":
                self._opened.append(Entry())
            case "properties":
                self._values = {}
            case "link":
                self._links.append(attributes.get("rel", "").rpartition("/")[2])
                if self._links[-1] == "next":
                    if self._opened:
                        raise msgspec.ValidationError("an expanded list that is not all there")
                    self.following = attributes.get("href", "")
            case "inline":
                self.lists.append([])
            case "id":
                self.pieces.clear()
            case "error":
                raise msgspec.DecodeError("it breaks off with an error")

    def end(self, name: str) -> None:
        """End an element."""
        if self._values is not None and self._depth:
            self._depth -= 1
            if not self._depth:
                self._values[name.rpartition("}")[2]] = None if self._null else "".join(self.pieces)
            self.pieces.clear()
            return
        match name.rpartition("}")[2]:
            case "properties":
                self._opened[-1].properties, self._values = self._values, None
            case "entry":
                entry = self._opened.pop()
                if entry.properties is None:
                    raise msgspec.ValidationError("an entry without properties")
                self.lists[-1].append(entry)
            case "inline":
                self._opened[-1].linked[self._links[-1]] = self.lists.pop()
            case "link":
                self._links.pop()
            case "id" if self._opened and not self._opened[-1].id:
                self._opened[-1].id = "".join(self.pieces)


def metadata(content: bytes) -> dict[str, dict[str, str]]:
    """Return the type of each property of each set, as ``$metadata`` (EDMX) describes them.

    Raises ``msgspec.ValidationError`` for what describes no set, ``msgspec.DecodeError`` for what is no XML.
    """
    types: dict[str, dict[str, str]] = {}
    sets: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        match name.rpartition("}")[2]:
            case "EntityType":
                types[attributes.get("Name", "")] = {}
            case "Property" if types:
                types[next(reversed(types))][attributes.get("Name", "")] = attributes.get("Type", "")
            case "EntitySet":
                sets[attributes.get("Name", "")] = attributes.get("EntityType", "").rpartition(".")[2]

    for _ in parsed(content, start=start, end=lambda name: None, text=lambda text: None):
        pass
    found = {name: types[type_] for name, type_ in sets.items() if type_ in types}
    if not found:
        raise msgspec.ValidationError("no description of any set")
    return found
