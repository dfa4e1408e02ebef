"""Addresses as they are compared: folded, with the abbreviations of USPS. ``parse`` reads what sources write.

    123 North Maple Avenue, Apt. #4   ->  street "123 n maple ave", unit "4"

Decided:

- A number, a name and a kind of street are read here in a few microseconds, with the table of abbreviations of
  ``usaddress-scourgify``. It reads the rest itself, at 0.3 to 1 ms: addresses in one line without commas, units in odd
  places, rural routes. What it cannot read stays as it was folded: two equal texts are still equal.
- A unit is what tells one flat from another, without the word before it: ``apt 4`` and ``# 4`` are the same.
- A ZIP code is its first five digits. One of four lost a zero in a spreadsheet where the state's codes begin with one.
- What stands for no address (``n/a``, ``unknown``, ``00000``) is none.
"""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from warehouse_pipelines.unified.identity.name_words import NOBODY, STATES
from warehouse_pipelines.unified.identity.names import fold


class Address(NamedTuple):
    """An address, folded; ``state`` has two letters where it could be read, ``zip`` five digits."""

    street: str | None = None
    unit: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None


_DIRECTIONS: Mapping[str, str] = {
    "north": "n", "south": "s", "east": "e", "west": "w", "northeast": "ne", "northwest": "nw", "southeast": "se",
    "southwest": "sw", "n": "n", "s": "s", "e": "e", "w": "w", "ne": "ne", "nw": "nw", "se": "se", "sw": "sw",
}  # fmt: skip
_ORDINALS: Mapping[str, str] = {
    "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th", "sixth": "6th",
    "seventh": "7th", "eighth": "8th", "ninth": "9th", "tenth": "10th", "saint": "st", "mount": "mt", "fort": "ft",
}  # fmt: skip
_UNIT_WORDS = frozenset(
    ["apt", "apartment", "unit", "ste", "suite", "lot", "rm", "room", "trlr", "trailer", "spc", "space", "fl", "floor",
     "no", "number", "bldg", "building"]
)  # fmt: skip
_FLATS = frozenset(["upper", "lower", "rear", "front", "basement", "bsmt", "penthouse", "upstairs", "downstairs"])
_OF_UNITS = _UNIT_WORDS | _FLATS | {"#"}
_HIGHWAYS = frozenset(["hwy", "highway", "route", "rt", "rte", "road", "rd", "sr", "us", "state", "county", "co", "cr"])
_NUMBER = re.compile(r"\d+[a-z]?(?: 1/2| \d/\d)?|[nsew]\d+[nsew]\d+")
_UNIT = re.compile(r"[a-z]?\d{1,5}[a-z]?|[a-z]")
_SIMPLE = re.compile(r"\d+(?: [a-z\d]+)+ ?[a-z]{2,4}$")
"""Words and a kind of street, or what may be one: most addresses."""
_BOX = re.compile(r"\b(?:p ?o ?b(?:ox)?|post office box|box) (\w+)\b")
_ZIP = re.compile(r"(?<!\d)(\d{5})(?:[- ]?\d{4})?$")
_NO_ZIPS = frozenset(["00000", "99999", "12345", "11111"])
_ZERO_STATES = frozenset(["ct", "ma", "me", "nh", "nj", "ri", "vt", "pr", "vi"])
_KEPT = str.maketrans({",": " , ", "\n": " , ", "\r": " ", "#": " # ", ";": " , ", ".": None, "'": None, "’": None})


@functools.cache
def _kinds() -> Mapping[str, str]:
    """Return the abbreviation of each kind of street, by what is written; the import takes 0.25 s."""
    from scourgify.address_constants import STREET_TYPE_ABBREVIATIONS

    kinds = {word.lower(): short.lower() for word, short in STREET_TYPE_ABBREVIATIONS.items()}
    return {**kinds, **{short: short for short in kinds.values()}}


@functools.cache
def _states() -> Mapping[str, str]:
    """Return the two letters of each state, by its name and by themselves."""
    from scourgify.address_constants import STATE_ABBREVIATIONS

    names = {fold(name): short.lower() for name, short in STATE_ABBREVIATIONS.items()}
    return {**names, **{short: short for short in (*STATES, "pr", "vi", "gu", "as", "mp")}}


def parse(street: str | None, unit: str | None, city: str | None, state: str | None, zip: str | None) -> Address:
    """Return the address that stands in the columns of a record; each may be empty, and ``street`` may have it all."""
    state_ = _state(state) if state else None
    zip_ = _zip(zip, state_) if zip else None
    city_ = _city(city) if city else None
    if not street:
        return Address(None, _unit(unit) if unit else None, city_, state_, zip_)
    number, _, rest = street.strip().partition(" ")
    found = _after_number(rest, unit or "") if rest and number.isdigit() else None
    if found is None:
        found = _street(street, unit or "")
        named = found.street
    else:
        named = f"{number} {found.street}"
    if found.city is None and found.zip is None:
        return Address(named, found.unit, city_, state_, zip_)
    return Address(named, found.unit, city_ or found.city, state_ or found.state, zip_ or found.zip)


@functools.lru_cache(maxsize=65_536)
def _after_number(rest: str, unit: str) -> Address | None:
    """Return what stands behind the number of a house; None where the number matters. The names of streets repeat."""
    found = _street(f"1 {rest}", unit)
    if not found.street or not found.street.startswith("1 "):
        return None
    return found._replace(street=found.street[2:])


@functools.lru_cache(maxsize=16_384)
def _city(text: str) -> str | None:
    folded = fold(text)
    if folded in NOBODY or not folded:
        return None
    words = folded.split(" ")
    return " ".join(_ORDINALS.get(word, word) if word in {"saint", "mount", "fort"} else word for word in words)


@functools.lru_cache(maxsize=4_096)
def _state(text: str) -> str | None:
    folded = fold(text)
    if not folded or folded in NOBODY:
        return None
    return _states().get(folded.removeprefix("us ") if len(folded) == 5 else folded, folded)


@functools.lru_cache(maxsize=65_536)
def _zip(text: str, state: str | None = None) -> str | None:
    text = text.strip()
    if text.endswith(".0"):
        text = text[:-2]
    if len(text) == 4 and text.isdigit() and state in _ZERO_STATES:
        text = f"0{text}"
    found = _ZIP.match(text)
    return None if found is None or found[1] in _NO_ZIPS else found[1]


@functools.lru_cache(maxsize=65_536)
def _street(street: str, unit: str) -> Address:
    """Return what the two lines of a street say; the second may be a unit, or empty."""
    text = street.lower() if street.isascii() else fold_kept(street)
    if _SIMPLE.match(text):
        plain, flat = _without_unit(text.split())
        if plain is not None:
            return Address(plain, _unit(unit) if unit and flat is None else flat)
    words = text.translate(_KEPT).replace("-", " ").split()
    while words and words[-1] == ",":
        words.pop()
    if not words or " ".join(words) in NOBODY or not any(map(str.isalnum, words)):
        return Address(unit=_unit(unit) if unit else None)
    rest = Address()
    if "," in words:
        words, rest = _of_one_line(words)
    elif len(words) > 4 and len(words[-1]) == 5 and words[-1].isdigit() and words[-2] in _states():
        return _by_scourgify(street, unit) or Address(" ".join(words), _unit(unit) if unit else None)
    plain, flat = _without_unit(words)
    own = _unit(unit) if unit else None
    if flat is None and own is not None:
        flat = own
    if plain is not None:
        return Address(plain, flat, rest.city, rest.state, rest.zip)
    folded = " ".join(word for word in words if word not in {",", "#"})
    if box := _BOX.search(folded):
        return Address(f"po box {box[1]}", None, rest.city, rest.state, rest.zip)
    return _by_scourgify(street, unit) or Address(folded, flat, rest.city, rest.state, rest.zip)


def fold_kept(text: str) -> str:
    """Return ``text`` in lower case without accents, with its commas and number signs."""
    return ",".join("#".join(fold(part) for part in piece.split("#")) for piece in text.replace("\n", ",").split(","))


def _of_one_line(words: list[str]) -> tuple[list[str], Address]:
    """Return the words of the street, and what follows it behind commas: a city, a state, a ZIP code."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == ",":
            parts.append([])
        else:
            parts[-1].append(word)
    parts = [part for part in parts if part]
    zip_ = state = city = None
    if len(parts) > 1 and parts[-1] in (["usa"], ["us"], ["united", "states"]):
        parts.pop()
    if len(parts) > 1 and (last := parts[-1]):
        if (last[-1].isdigit() and len(last[-1]) == 4 and len(last) > 1 and len(last[-2]) == 5) and last[-2].isdigit():
            last = last[:-1]  # ZIP+4, without its hyphen
        zip_ = _zip(last[-1]) if last[-1].isdigit() else None
        last = last[:-1] if zip_ else last
        if zip_ and not last and len(parts) > 2:
            parts.pop()
            last = parts[-1]
        for count in (2, 1):
            if last and (state := _states().get(" ".join(last[-count:]))):
                last = last[:-count]
                break
        if zip_ or state:
            parts[-1:] = [last] if last else []
            if len(parts) > 1:
                city = _city(" ".join(parts.pop()))
    flat = [word for part in parts for word in part]
    return flat, Address(city=city, state=state, zip=zip_)


def _without_unit(words: list[str]) -> tuple[str | None, str | None]:
    """Return the street of plain words and the unit behind it; None for a street that is not plain."""
    number = words[0]
    if not number[0].isdigit() or len(words) < 2:
        return None, None
    at = 1
    if "/" in words[1]:
        number, at = f"{number} {words[1]}", 2
    elif words[1].isdigit() and len(words) > 3:
        return None, None
    if not (number.isdigit() or _NUMBER.fullmatch(number)):
        return None, None
    rest = words[at:]
    unit = None
    for place, word in enumerate(rest) if not _OF_UNITS.isdisjoint(rest) else ():
        if (word == "#" or word in _UNIT_WORDS) and place and (word not in {"fl", "no", "number"} or place > 1):
            after = [one for one in rest[place + 1 :] if one != "#" and one not in _UNIT_WORDS]
            if not after and word == "#":
                return None, None
            unit = " ".join(after) if after else word
            rest = rest[:place]
            break
        if word in _FLATS and place > 1 and place == len(rest) - 1:
            unit, rest = word, rest[:place]
    if not rest or len(rest) > 6 or (unit and len(unit) > 12):
        return None, None
    kinds = _kinds()
    if (
        unit is None and len(rest) > 2 and _UNIT.fullmatch(rest[-1]) and rest[-1] not in _DIRECTIONS
        and rest[-2] in kinds and rest[-2] not in _HIGHWAYS
    ):  # fmt: skip
        unit, rest = rest[-1], rest[:-1]  # "12 maple ave 4"
    return _spelled(number, rest, kinds), unit


def _spelled(number: str, words: list[str], kinds: Mapping[str, str]) -> str:
    """Return a street as USPS abbreviates it: the direction before and behind, the kind, which comes last."""
    last = len(words) - 1
    spelled = [_ORDINALS.get(word, word) for word in words]
    if last > 1 and words[last] in _DIRECTIONS and words[last - 1] in kinds:
        spelled[last] = _DIRECTIONS[words[last]]
        last -= 1
    if last > 0 and words[last] in kinds:
        spelled[last] = kinds[words[last]]
        last -= 1
    if last > 0 and words[0] in _DIRECTIONS:
        spelled[0] = _DIRECTIONS[words[0]]
    return f"{number} {' '.join(spelled)}"


@functools.lru_cache(maxsize=8_192)
def _unit(text: str) -> str | None:
    """Return the unit that a second line says; one that says something else, such as a building's name, is folded."""
    folded = fold(text)
    if folded in NOBODY:
        return None
    words = folded.split()
    kept = [word for word in words if word not in _UNIT_WORDS]
    return " ".join(kept or words) or None


@functools.lru_cache(maxsize=65_536)
def _by_scourgify(street: str, unit: str) -> Address | None:
    """Return the address as ``usaddress-scourgify`` reads it, None when it cannot."""
    from scourgify import normalize_address_record
    from scourgify.exceptions import AddressNormalizationError

    line = f"{street} {unit}".strip()
    try:
        found = normalize_address_record(line)
    except (AddressNormalizationError, ValueError, KeyError, TypeError):
        return None
    if not found or not found.get("address_line_1"):
        return None
    flat = _unit(found["address_line_2"]) if found.get("address_line_2") else None
    state = _state(found["state"]) if found.get("state") else None
    return Address(
        " ".join(found["address_line_1"].lower().replace(".", "").split()),
        flat,
        _city(found["city"]) if found.get("city") else None,
        state,
        _zip(found["postal_code"], state) if found.get("postal_code") else None,
    )
