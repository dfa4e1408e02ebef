"""Hash and drop values of records, as ``config/columns.toml`` says, before anything is made of a record.

A record passes here as the loader gets it, so its columns, ``raw_data``, the dead letters, the log and the rows that
Dagster shows have the hash and never the value. A value that is hashed is replaced wherever else the record has it:

- at the places that its column reads;
- as a text of its own anywhere that no other plain column reads, and, if it looks like an e-mail address or a phone
  number, within such a text as well: ``raw_data`` repeats them. What a plain column reads stays, since ``Paris`` may be
  a name and a city; whoever wants that hashed too names the column.

A value that is dropped goes the same way if its column is personal (``redaction.is_personal``), else from its places
only, and from none that another column reads.

**The hash** is HMAC-SHA256 with ``WAREHOUSE_HASH_KEY``, cut to 128 bits, written ``hmac:`` and 32 hexadecimal digits.
E-mail addresses are hashed in lower case and phone numbers in E.164 where they can be read so, other texts without
blanks at their ends: equal values have equal hashes in all CRMs, so tables are still joined by them. A hash is left as
it is, so a record that was stored may pass again. A text that is joined of parts is joined of their hashes.

A record that is no JSON cannot be searched, and is not kept: its dead letter says so.
"""

import functools
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from warehouse_pipelines.errors import MASK
from warehouse_pipelines.model import phones, validate
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.reading import Json
from warehouse_pipelines.model.rules import Kind
from warehouse_pipelines.observability import redaction
from warehouse_pipelines.settings import hash_key

HASH = re.compile(r"hmac:[0-9a-f]{32}")
UNREADABLE = b'{"unreadable":"not kept, because columns of this entity are hashed or dropped"}'

_LEAF = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![\w.+-])\d{7,15}(?![\w.])', re.DOTALL)
"""A text of JSON, or a whole number as long as a phone's."""
_WITHIN = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\+?\d[\d ().\-/]{5,}\d")
_NUMBER = re.compile(r"\+?[\d ().\-/]{7,}")


class _Place:
    """A member of the record on the way to the columns: what is done there."""

    def __init__(self) -> None:
        self.below: dict[str, _Place] = {}
        self.kept = False
        self.kind: Kind | None = None
        self.drop = False
        self.personal = False


class Redactor:
    """Hashes and drops the values of one entity.

    Its first hash raises ``NotConfigured`` when there is no key, which ``Source.require_settings`` does before.
    """

    def __init__(self, entity: Entity) -> None:
        self._root = _Place()
        for name, column in entity.columns.items():
            for place in self._places(column):
                if name in entity.local.hashed:
                    place.kind = column.kind
                elif column.kind != "jsonb":
                    place.kept = True
        for path in entity.deletes.paths:
            self._at(path).kept = True
        for name, column in entity.local.dropped.items():
            for place in self._places(column):
                place.drop = place.kind is None and not place.kept
                place.personal = redaction.is_personal(name, column.kind)

    def records(self, records: Iterable[Json]) -> list[Json]:
        """Return the records without what is hashed or dropped."""
        return [self.record(bytes(record)) for record in records]

    def record(self, raw: bytes) -> Json:
        """Return one record; one that is no object is replaced by what says so."""
        return self.redacted(raw)[0]

    def redacted(self, raw: bytes) -> tuple[Json, Mapping[str, str]]:
        """Return one record as ``record`` does, and what was taken out of it, for ``scrubbed``."""
        try:
            record = _members(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            try:
                record = _members(validate.mended(raw))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
                return UNREADABLE, {}
        found: dict[str, str] = {}
        if not self._take(record, self._root, found):
            return raw, found
        if found:
            self._scrub(record, self._root, found)
        return msgspec.json.encode(record), found

    def hashed(self, text: str, kind: Kind) -> str:
        """Return the hash of a value of this kind."""
        if HASH.fullmatch(text):
            return text
        return f"hmac:{hmac.new(self._key, _normal(text, kind).encode(), hashlib.sha256).hexdigest()[:32]}"

    @functools.cached_property
    def _key(self) -> bytes:
        key = hash_key()
        redaction.hide([key.decode()])
        return key

    def _places(self, column: Column) -> list[_Place]:
        return list(map(self._at, column.members))

    def _at(self, path: str) -> _Place:
        place = self._root
        for part in path.split("."):
            place = place.below.setdefault(part, _Place())
        return place

    def _take(self, owner: Any, place: _Place, found: dict[str, str]) -> bool:
        """Hash and drop below ``owner``, an object or a list of raw members, and note by what texts are replaced.

        Return whether there was anything to hash or to drop.
        """
        taken = False
        for part, child in place.below.items():
            key: Any = int(part) if isinstance(owner, list) and part.isdigit() else part
            if (isinstance(owner, list) and not (isinstance(key, int) and key < len(owner))) or (
                isinstance(owner, dict) and key not in owner
            ):
                continue
            member = owner[key]
            if child.kind is not None or child.drop:
                text = _text(member)
                if text in ("", "null") or HASH.fullmatch(text):
                    continue
                taken = True
                if child.drop:
                    owner[key] = msgspec.Raw(b"null")
                    if child.personal:
                        _note(found, text, MASK)
                    continue
                token = self.hashed(text, child.kind or "text")
                owner[key] = msgspec.Raw(msgspec.json.encode(token))
                _note(found, text, token)
            elif child.below and bytes(member)[:1] in (b"{", b"["):
                opened = _members(bytes(member))
                taken |= self._take(opened, child, found)
                owner[key] = msgspec.Raw(msgspec.json.encode(opened))
        return taken

    def _scrub(self, owner: Any, place: _Place, found: Mapping[str, str]) -> None:
        """Replace the texts that were found where no plain column reads."""
        for key, member in list(owner.items() if isinstance(owner, dict) else enumerate(owner)):
            child = place.below.get(str(key))
            if child is not None and (child.kept or child.kind is not None or child.drop) and not child.below:
                continue
            if child is not None and child.below and bytes(member)[:1] in (b"{", b"["):
                opened = _members(bytes(member))
                self._scrub(opened, child, found)
                owner[key] = msgspec.Raw(msgspec.json.encode(opened))
            elif (without := scrubbed(bytes(member), found)) != bytes(member):
                owner[key] = msgspec.Raw(without)


def scrubbed(document: bytes, found: Mapping[str, str]) -> bytes:
    """Return JSON without the texts that were taken out of its record."""
    return _LEAF.sub(lambda leaf: _leaf(leaf[0], found), document)


def redactor(entity: Entity) -> Redactor | None:
    """Return what redacts the records of an entity; None where the file hashes and drops nothing of it."""
    return Redactor(entity) if entity.local.hashed or entity.local.dropped else None


def _members(raw: bytes) -> Any:
    return msgspec.json.decode(raw, type=list[msgspec.Raw] if raw.lstrip()[:1] == b"[" else dict[str, msgspec.Raw])


def _text(member: msgspec.Raw) -> str:
    raw = bytes(member)
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else raw.decode()


def _normal(text: str, kind: Kind) -> str:
    text = text.strip()
    if kind == "email":
        return text.lower()
    if kind == "phone":
        return phones.e164(text) or _digits(text) or text
    return text


def _digits(text: str) -> str:
    """Return the digits of a number without its country, as far as a number of North America has one."""
    return re.sub(r"\D", "", text)[-10:]


def _note(found: dict[str, str], text: str, instead: str) -> None:
    """Note a text in each form in which it is looked for."""
    text = text.strip()
    if HASH.fullmatch(text) or len(text) < 2:
        return
    found[text.casefold()] = instead
    if "@" not in text and len(digits := _digits(text)) >= 7:
        found[digits] = instead


def _leaf(leaf: bytes, found: Mapping[str, str]) -> bytes:
    """Return a text or a number of JSON as it may stay."""
    text = _text(msgspec.Raw(leaf))
    if instead := _found(text, found):
        return msgspec.json.encode(instead)
    if leaf[:1] != b'"':
        return leaf
    scrubbed = _WITHIN.sub(lambda part: _found(part[0], found) or part[0], text)
    return leaf if scrubbed == text else msgspec.json.encode(scrubbed)


def _found(text: str, found: Mapping[str, str]) -> str | None:
    text = text.strip()
    if instead := found.get(text.casefold()):
        return instead
    return found.get(_digits(text)) if _NUMBER.fullmatch(text) else None
