"""XML as vendors send it, read element by element: no tree is built, so an answer costs what its records cost.

A document type declaration is refused. It is the one place where entities are declared, so none can be expanded and
nothing outside is fetched, whatever the version of expat; SOAP 1.1 forbids it anyhow. What XML cannot hold and some
servers write all the same (a control character, half a surrogate) becomes U+FFFD, so that one record does not cost its
page.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.parsers import expat

import msgspec

NIL = "http://www.w3.org/2001/XMLSchema-instance}nil"
PIECE = 64 * 1024
CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))

_ILLEGAL = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"
    rb"|&#0*(?:[0-8]|1[124-9]|2\d|3[01]);"
    rb"|&#[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]|[dD][89a-fA-F][0-9a-fA-F]{2}|[fF]{3}[eEfF]);"
)


class Ended(NamedTuple):
    """An element at its end, names without their namespace; ``text`` is None where ``xsi:nil`` says so."""

    name: str
    parent: str
    text: str | None


def ended(content: bytes) -> Iterator[Ended]:
    """Yield each element as it ends; the text of one that has children is not kept. Raises as ``parsed`` does."""
    found: list[Ended] = []
    names = [""]
    pieces: list[str] = []
    nil = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal nil
        names.append(name.rpartition("}")[2])
        pieces.clear()
        nil = bool(attributes) and attributes.get(NIL) in ("true", "1")

    def end(name: str) -> None:
        nonlocal nil
        found.append(Ended(names.pop(), names[-1], None if nil else "".join(pieces)))
        pieces.clear()
        nil = False

    for _ in parsed(content, start=start, end=end, text=pieces.append):
        yield from found
        found.clear()


def parsed(
    content: bytes,
    *,
    start: Callable[[str, dict[str, str]], object],
    end: Callable[[str], object],
    text: Callable[[str], object],
) -> Iterator[None]:
    """Call ``start``, ``end`` and ``text`` as elements begin and end and text comes; yield after each piece.

    Names of elements and attributes are ``namespace}name``. Raises ``msgspec.DecodeError`` for what is no XML,
    ``msgspec.ValidationError`` for a document type declaration.
    """
    if b"&#" in content or any(piece.translate(None, CONTROL) != piece for piece in _cut(content)):
        content = _ILLEGAL.sub("\ufffd".encode(), content)

    def refuse(*declared: object) -> None:
        raise msgspec.ValidationError("a document type declaration, which is never read")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        for piece in _cut(content):
            parser.Parse(piece, False)
            yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise msgspec.DecodeError(f"not XML: {error}") from error


def _cut(content: bytes) -> Iterator[bytes]:
    return (content[begin : begin + PIECE] for begin in range(0, len(content), PIECE))
