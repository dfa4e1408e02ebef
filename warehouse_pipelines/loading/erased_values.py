"""The addresses and numbers of erased people, as keyed hashes: whether one is listed, and where it stands in a text.

``listed`` is what an erasure puts on the list, ``asked`` the hashes by which a spelling of the same is found there:

    email   the address in lower case; beside it the mailbox at Gmail, which has one hash however it is spelled
    phone   the number in E.164. Formerly its last ten digits stood there, and these are found as well

A value by itself is read as identity reads it (``has``): ``o'plain@x.com`` is another address than ``plain@x.com``. In
a text (``places``) what stands around an address is left out, so that ``'plain@x.com'`` and ``?to=plain@x.com`` are
found.
"""

import bisect
import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

import msgspec

from warehouse_pipelines.model import emails, phones
from warehouse_pipelines.model.reading import Json
from warehouse_pipelines.model.rules import Kind

MARK = "[erased]"
"""What stands where something of an erased person stood within a text; the functions of ``crm`` write it too."""

AT_ONCE = 200
"""Records that are searched as one text, which takes two thirds of the time; more would only take memory."""

_LONGEST = 254
"""Letters of an e-mail address."""
_LOCAL_PART_BACKWARDS = re.compile(r"[^@\s,;:<>()\"\\{}]*")
_DOMAIN = re.compile(r"(?:[\w-]+\.)+(?:[^\W\d_]{2,24}|xn--[A-Za-z0-9-]{2,59})(?!\w)")
_BEGINNING = re.compile(
    r"(?:^|(?<=^[^\w.+%-])|(?<=[^\w.+%-]{2})|(?<=[=/|])|(?<=[^\w\x00-\x7f])|(?<=%[23][02acdfACDF])|(?<=^\\[nrt]))"
    r"[.-]*(?=\w)"
)
"""Where an address may begin within what could be one: behind a quote that opens, a ``=``, a path."""

_SPACES = (
    "\u00a0\u00ad\u2000-\u2015\u202f\u2053\u205f\u2060\u2212\u223c\u3000\u30fc\uff0d-\uff0f\uff3b\uff3d\uff5e\ufeff"
)
_PLAIN = {"\uff08": "(", "\uff09": ")", "\uff0b": "+"} | {
    chr(code): str(unicodedata.decimal(chr(code))) for code in range(0x80, 0x10000) if chr(code).isdecimal()
}
_UNUSUAL = re.compile(f"[{_SPACES}{''.join(_PLAIN)}]")
"""What typesetting and other scripts put into a number."""
_FIRST_BYTES = sorted({bytes([one.encode()[0]]) for one in (*_PLAIN, *_SPACES.replace("-", ""))})

_BETWEEN = r" ().+/~\[\]-"
_RUN = re.compile(rf"[0-9][0-9{_BETWEEN}]{{8,}}[0-9]")
"""What may be a number, or several; the pattern of a number itself would take seven times as long."""
_ABROAD = re.compile(rf"\+[{_BETWEEN}]{{0,2}}[02-9][0-9{_BETWEEN}]{{5,38}}[0-9]")
_ONE_OF_SEVERAL = re.compile(
    rf"(?<![0-9])(?:1[{_BETWEEN}]{{0,3}})?[0-9]{{3}}[{_BETWEEN}]{{0,3}}[0-9]{{3}}[{_BETWEEN}]{{0,3}}[0-9]{{4}}(?![0-9])"
)
_DIGITS = {ord(one): None for one in " ().+/~[]-"}
_GROUP_END = re.compile(r"[0-9](?![0-9])")
_SIGN = re.compile(r"[+(]*\Z")
_DECIMAL = re.compile(r"\d+\.\d+")

_PARTS = re.compile(f"({emails.BETWEEN.pattern})")

_SEPARATOR = "\x1e"
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[/nrt])")
_LEAF = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![\w.+-])\d{7,15}(?![\w.])', re.DOTALL)
"""A text of JSON, or a whole number as long as a phone's."""

Place = tuple[int, int]


def digest(key: bytes, kind: str, value: str) -> bytes:
    """Return what stands in the list for a value: 128 bits of its HMAC-SHA256, of its kind."""
    begun, around = _begun(key)
    within, outside = begun.copy(), around.copy()
    within.update(f"{kind}\0{value}".encode(errors="surrogatepass"))
    outside.update(within.digest())
    return outside.digest()[:16]


@functools.lru_cache(maxsize=8)
def _begun(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Return the two hashes of an HMAC (RFC 2104) after the key, which takes half of the time of one."""
    padded = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    return hashlib.sha256(bytes(one ^ 0x36 for one in padded)), hashlib.sha256(bytes(one ^ 0x5C for one in padded))


def listed(key: bytes, addresses: Iterable[str], mailboxes: Iterable[str], numbers: Iterable[str]) -> Iterator[
    tuple[str, bytes]
]:  # fmt: skip
    """Yield the kind and the hash of what an erasure lists: addresses, mailboxes at Gmail, numbers in E.164."""
    for one in addresses:
        yield "email", digest(key, "email", one)
    for one in mailboxes:
        yield "email", digest(key, "mailbox", one)
    for one in numbers:
        yield "phone", digest(key, "phone", one)


def asked(key: bytes, kind: Kind, value: str) -> Iterator[bytes]:
    """Yield the hashes by which an address in lower case, or a number in E.164, may be listed."""
    if kind == "email":
        yield digest(key, "email", value)
        if box := emails.gmail_box(value):
            yield digest(key, "mailbox", box)
    else:
        yield digest(key, "phone", value)
        yield digest(key, "phone", value[-10:].removeprefix("+"))


class ErasedValues:
    """The list of addresses and numbers."""

    def __init__(self, key: bytes, digests: frozenset[bytes]) -> None:
        self._key, self._digests = key, digests
        self._known: dict[str, bool] = {}
        self._places_at: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def is_listed(self, kind: Kind, value: str) -> bool:
        """Return whether an address in lower case, or a number in E.164, is an erased person's."""
        try:
            return self._known[value]
        except KeyError:
            pass
        if len(self._known) > 200_000:
            self._known.clear()
        found = self._known[value] = not self._digests.isdisjoint(asked(self._key, kind, value))
        return found

    def has(self, kind: Kind, text: str) -> bool:
        """Return whether the value of a column is an erased person's, as identity reads such a column."""
        if self._known.get(text) is False and "|" not in text:
            return False
        if kind == "email":
            return any(self.is_listed("email", one) for one in emails.addresses(text) or [text.strip().lower()])
        number = phones.e164(text)
        return number is not None and self.is_listed("phone", number)

    def marked(self, text: str) -> str:
        """Return a text with ``MARK`` in place of erased addresses and numbers."""
        parts = _PARTS.split(text)
        if "%40" not in text and all(not part or emails.address(part) for part in parts[::2]):
            return "".join(MARK if part and self.has("email", part) else part for part in parts)  # each as it is
        for start, end in sorted(self.places(text), reverse=True):
            text = f"{text[:start]}{MARK}{text[end:]}"
        return text

    def places(self, text: str) -> list[Place]:
        """Return where erased addresses and numbers stand in a text; of places that overlap the first."""
        found = [*self._addresses(text, "@")]
        if "%" in text:
            found += self._addresses(text, "%40")
        found += self._numbers(text)
        kept: list[Place] = []
        for start, end in sorted(found):
            if not kept or start >= kept[-1][1]:
                kept.append((start, end))
        return kept

    def _addresses(self, text: str, sign: str) -> Iterator[Place]:
        at = text.find(sign)
        while at >= 0:
            behind = at + len(sign)
            domain = _DOMAIN.match(text, behind)
            before = text[max(0, at - _LONGEST) : at][::-1]
            length = _LOCAL_PART_BACKWARDS.match(before).end() if domain else 0  # type: ignore[union-attr]
            if domain and length:
                length += before[length : length + 1] == "\\"
                written = f"{text[at - length : at]}{sign}{domain[0]}"
                try:
                    start = self._places_at[written]
                except KeyError:
                    if len(self._places_at) > 200_000:
                        self._places_at.clear()
                    start = self._places_at[written] = self._beginning(written, sign)
                if start >= 0:
                    yield at - length + start, domain.end()
            at = text.find(sign, behind)

    def _beginning(self, written: str, sign: str) -> int:
        """Return where a listed address begins in what could be one; -1 where none does."""
        local, _, domain = written.rpartition(sign)
        for start in dict.fromkeys((0, *(found.end() for found in _BEGINNING.finditer(local)))):
            plain = local[start:]
            spellings = {plain, unquote(plain)} if "%" in plain else {plain}
            if any(self.is_listed("email", f"{one}@{domain}".lower()) for one in spellings):
                return start
        return -1

    def _numbers(self, text: str) -> Iterator[Place]:
        if _has_unusual(text):
            text = _UNUSUAL.sub(lambda one: _PLAIN.get(one[0], "-"), text)
        found = {run: places for run in set(_RUN.findall(text)) if (places := self._in_run(run))}
        for run in _RUN.finditer(text) if found else ():
            for start, end in found.get(run[0], ()):
                place = _with_sign(text, run.start() + start, run.start() + end)
                before = text[run.start() - 1 : run.start()]
                whole = phones.e164(f"+{run[0]}") if before == "+" else None
                if whole is None or self.is_listed("phone", whole):  # +49 512 345 6789 is not 512 345 6789
                    yield place
        for run in _ABROAD.finditer(text):
            yield from self._abroad(run[0], run.start())

    def _in_run(self, run: str) -> list[Place]:
        """Return where listed numbers stand in a run of digits: North America's, or another country's as a whole."""
        if len(run) == 10 and not run.isdecimal():  # a date
            return []
        digits = run.translate(_DIGITS)
        if len(digits) < 10:
            return []
        if len(digits) == 10 or (len(digits) == 11 and digits[0] == "1"):
            return [(0, len(run))] if self.is_listed("phone", f"+1{digits[-10:]}") else []
        if _DECIMAL.fullmatch(run):
            return []
        if self._is_abroad(digits):
            return [(0, len(run))]
        return [
            one.span()
            for one in (_ONE_OF_SEVERAL.finditer(run) if len(digits) < len(run) else ())
            if self.is_listed("phone", f"+1{one[0].translate(_DIGITS)[-10:]}")
        ]

    def _abroad(self, run: str, start: int) -> Iterator[Place]:
        """Yield where a listed number stands in a run that begins with a plus; groups of digits are what ends one."""
        whole = phones.e164(run)
        for end in [len(run)] if whole else [found.end() for found in _GROUP_END.finditer(run)][::-1]:
            number = whole or f"+{run[:end].translate(_DIGITS)}"
            if 7 < len(number) < 17 and self.is_listed("phone", number):
                yield start, start + end
                return

    def _is_abroad(self, digits: str) -> bool:
        """Return whether the digits are a listed number of another country, with or without what is dialled before."""
        number = digits.removeprefix("011") if digits.startswith("011") else digits.removeprefix("00")
        if not 10 < len(number) < 16:
            return False
        try:
            return self._known[f"abroad {number}"]
        except KeyError:
            found = self._known[f"abroad {number}"] = digest(self._key, "phone", f"+{number}") in self._digests
            return found

    def rows(self, records: Sequence[Json]) -> list[int]:
        """Return which records may have an erased address or number in them."""
        starts = range(0, len(records), AT_ONCE)
        return [start + row for start in starts for row in self._rows(records[start : start + AT_ONCE])]

    def _rows(self, records: Sequence[Json]) -> list[int]:
        text = _SEPARATOR.encode().join(records).decode(errors="replace")
        text = _ESCAPED.sub(_unescaped, text)
        places = self.places(text)
        if not places:
            return []
        ends = [found.start() for found in re.finditer(_SEPARATOR, text)]
        if len(ends) != len(records) - 1:
            return [*range(len(records))]
        return sorted({bisect.bisect(ends, start) for start, _ in places})

    def without(self, raw: bytes, keys: frozenset[str] = frozenset()) -> bytes:
        """Return a record with ``MARK`` in place of erased addresses and numbers; values of its key stay."""
        return _LEAF.sub(lambda leaf: self._leaf(leaf[0], keys), raw)

    def _leaf(self, leaf: bytes, keys: frozenset[str]) -> bytes:
        try:
            text = str(msgspec.json.decode(leaf)) if leaf[:1] == b'"' else leaf.decode()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            text = leaf[1:-1].decode(errors="replace")
            return msgspec.json.encode(MARK) if self.places(text) else leaf
        if text in keys:
            return leaf
        marked = self.marked(text)
        return leaf if marked == text else msgspec.json.encode(marked)


def _unescaped(found: re.Match[str]) -> str:
    """Return what an escape of JSON stands for; a blank for the end of a line."""
    return chr(int(found[1], 16)) if found[1] else "/" if found[0][1] == "/" else " "


def _has_unusual(text: str) -> bool:
    """Whether a text may have such letters; it is told by the first byte of each, which takes a tenth of the time."""
    if text.isascii():
        return False
    raw = text.encode(errors="replace")
    return any(byte in raw for byte in _FIRST_BYTES)


def _with_sign(text: str, start: int, end: int) -> Place:
    """Return the place of a number with the plus and the bracket before it."""
    sign = _SIGN.search(text, max(0, start - 2), start)
    return start - (len(sign[0]) if sign else 0), end
