"""Answers in JSON: decoded into a declared form, and mended where one record would cost its whole page."""

import re
from typing import TypeVar

import msgspec

from warehouse_pipelines.errors import AnswerChanged

T = TypeVar("T")


def listed(records: list[T] | None, what: str, *, first: bool, last: bool) -> list[T]:
    """Return the records of a page. Some vendors end with null; raises ``AnswerChanged`` for null anywhere else."""
    if records is None and (first or not last):
        raise AnswerChanged(f"{what} answered null instead of its list; nothing was loaded.")
    return records or []


class _Key(msgspec.Struct):
    id: str | int


_key = msgspec.json.Decoder(_Key).decode


def key_of(record: msgspec.Raw) -> str | None:
    """Return the ``id`` of a record; None for one without, which the loader makes a dead letter."""
    try:
        return str(_key(record).id)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_BOM = b"\xef\xbb\xbf"

_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b', re.DOTALL)
"""A string of JSON, or what Python and others write for a float that is no number."""

_MENDED = re.compile(
    rb"\\\\"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(?P<control>[\x00-\x1f])"
    rb'|\\(?P<escape>[^"\\/bfnrtu])'
)
"""Within a string: an escaped backslash or a pair of surrogates, which are right; half a pair, a bare control
character or an escape that there is not, which are no valid JSON."""


def decoded(content: bytes, into: type[T]) -> T:
    """Return an answer as an ``into``, mended where one record would otherwise cost its whole page.

    Half a character becomes U+FFFD, a bare control character is escaped, the backslash of an escape that does not exist
    stands for itself, and ``NaN`` and ``Infinity`` become texts, which no column of numbers takes: its value is null
    and counted, and ``raw_data`` says what the vendor sent. A byte order mark is dropped.

    Raises ``msgspec.ValidationError`` for another form, ``msgspec.DecodeError`` for what is no JSON even so.
    """
    content = content.removeprefix(_BOM)
    try:
        return msgspec.json.decode(content, type=into)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(_STRING_OR_NUMBER.sub(_mend, content), type=into)


def _mend(found: re.Match[bytes]) -> bytes:
    token = found[0]
    return _MENDED.sub(_mend_character, token) if token[:1] == b'"' else b'"%s"' % token


def _mend_character(found: re.Match[bytes]) -> bytes:
    if found["half"]:
        return rb"\ufffd"
    if found["control"]:
        return b"\\u%04x" % ord(found["control"])
    return rb"\\" + found["escape"] if found["escape"] else found[0]
