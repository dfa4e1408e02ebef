"""How alike two texts are: given names, surnames, e-mail addresses, streets, names of businesses.

Texts are folded as ``record`` says. All answers are symmetric and depend on the two texts alone.

Decided:

- A typo is one edit (insert, delete, replace, swap two neighbours), two in long words, or a Jaro-Winkler likeness of
  0.93. rapidfuzz and DuckDB count alike; the likeness is rounded to six digits before it is compared.
- ``given`` is ``names.same_given``; it also says nickname of a double name and its first part (Mary Ann, Mary), and
  alike of a misspelt name and the short form of the right one (Edawrd, Ed).
"""

import functools
from typing import Literal

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from warehouse_pipelines.unified.identity import names

Surname = Literal["equal", "part", "alike", "missing", "different"]

LIKE = 0.93
"""Jaro-Winkler likeness from which two words are alike."""

_LONG = 7
"""Letters from which a word may have two typos."""

_WORD = 3
"""Letters that a part of a surname has at least: "de", "la" and "o" join nobody."""


@functools.lru_cache(maxsize=1 << 18)
def given(a: str | None, b: str | None) -> names.Likeness:
    """Say how alike two given names are."""
    found = names.same_given(a, b)
    if found != "different" or not a or not b or len(a) == 1 or len(b) == 1:
        return found
    if " " in a or " " in b:
        a_first, b_first = a.split(maxsplit=1)[0], b.split(maxsplit=1)[0]
        return "nickname" if a_first == b_first and len(a_first) > 1 else found
    return "alike" if _misspelt(a, b) or _misspelt(b, a) else found


def _misspelt(a: str, b: str) -> bool:
    """Return whether ``a``, which is no known name, is one edit away from ``b`` or from what ``b`` is short for."""
    return a not in names.known_given() and any(
        min(len(a), len(name)) >= _WORD and DamerauLevenshtein.distance(a, name, score_cutoff=1) <= 1
        for name in names.canonical_givens(b)
    )


@functools.lru_cache(maxsize=1 << 18)
def fit(a: str | None, b: str | None) -> bool:
    """Return whether one person can be called by both given names; wider than ``given``.

    Each stands for itself and for what it is short for: Jon fits Jack, because both are short for John.
    """
    if given(a, b) != "different":
        return True
    if not a or not b or len(a) == 1 or len(b) == 1:
        return False
    return not set(names.canonical_givens(a)).isdisjoint(names.canonical_givens(b))


@functools.lru_cache(maxsize=1 << 18)
def surname(a: str | None, b: str | None) -> Surname:
    """Say how alike two surnames are; ``part`` where one is a part of the other's double name."""
    if not a or not b:
        return "missing"
    if a == b:
        return "equal"
    a_close, b_close = a.replace(" ", ""), b.replace(" ", "")
    if a_close == b_close:
        return "equal"
    if typo(a_close, b_close):
        return "alike"
    a_parts = {word for word in a.replace("-", " ").split() if len(word) >= _WORD}
    b_parts = {word for word in b.replace("-", " ").split() if len(word) >= _WORD}
    if a_parts and b_parts and (a_parts <= b_parts or b_parts <= a_parts):
        return "part"
    return "different"


def typo(a: str, b: str) -> bool:
    """Return whether one word may be the other with a typo."""
    shorter = min(len(a), len(b))
    if shorter < _WORD:
        return False
    allowed = 2 if shorter >= _LONG else 1
    return (
        DamerauLevenshtein.distance(a, b, score_cutoff=allowed) <= allowed
        or round(JaroWinkler.similarity(a, b), 6) >= LIKE
    )


@functools.lru_cache(maxsize=1 << 16)
def business(a: str, b: str) -> bool:
    """Return whether two names of businesses are alike."""
    a_close, b_close = a.replace(" ", ""), b.replace(" ", "")
    return a_close == b_close or typo(a_close, b_close)


def email(a: str, b: str) -> bool:
    """Return whether two different addresses are alike: one mailbox at two providers, or one typo."""
    a_box, _, a_host = a.partition("@")
    b_box, _, b_host = b.partition("@")
    if a_box == b_box:
        return len(a_box) > _WORD
    if a_host != b_host or a_box[-1:].isdigit() != b_box[-1:].isdigit():
        return False
    return _one_edit(a_box, b_box)


def phone(a: str, b: str) -> bool:
    """Return whether two different numbers are one typo apart."""
    return len(a) == len(b) and DamerauLevenshtein.distance(a, b, score_cutoff=1) <= 1


def street(a: str, b: str) -> bool:
    """Return whether two streets have one house number and names that are alike."""
    a_number, _, a_name = a.partition(" ")
    b_number, _, b_name = b.partition(" ")
    return a_number == b_number and bool(a_name) and bool(b_name) and typo(a_name, b_name)


def _one_edit(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    return min(len(a), len(b)) > _WORD and DamerauLevenshtein.distance(a, b, score_cutoff=1) <= 1
