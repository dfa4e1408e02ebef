"""The names of people as they are compared: ``parse_name`` reads what sources write, ``same_given`` compares.

Folded: lower case, without accents, apostrophes and full stops; hyphens are blanks, so ``smith jones`` has two parts.

Decided:

- Plain names are read here in a few microseconds. ``nameparser`` (up to 1 ms) reads what has titles, nicknames in
  quotes or more than four words.
- Of a couple in one field (``John & Mary Smith``) it is the one who is named first; the other has no name here.
- A business is told by its words, not by the field. ``llc``, ``roofing`` say so anywhere; ``church``, ``law``,
  which are surnames too, only where the rest is no plain name; ``Rivera & Sons`` is one.
- What says that there is no name (``unknown``, ``homeowner``, ``wireless caller``, a number) is none.
- Names are nicknames of each other when the table of ``nicknames`` says that one is of the other, or when all long
  forms of the one are long forms of the other (Bob and Rob). Patrick and Patricia, who share Pat, are not.
- Alike by typo are names of at least four letters that differ by one letter or two swapped ones, unless both are known
  names: Mark and Mary are two people. Known ones are alike when only their spelling differs (John and Jon).
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Literal, NamedTuple

from warehouse_pipelines.unified.identity.name_words import (
    FIRMS,
    LETTERS_AFTER,
    MAYBE_FIRMS,
    MORE_GIVEN,
    NO_GIVEN,
    NO_NICKNAMES,
    NO_SURNAME,
    NOBODY,
    PARTICLES,
    STATES,
    SUFFIXES,
    TITLES,
)

Likeness = Literal["equal", "nickname", "initial", "alike", "missing", "different"]


class Name(NamedTuple):
    """A name, folded. ``suffix`` is jr, sr or a Roman numeral: what tells a father from a son."""

    first: str | None = None
    middle: str | None = None
    last: str | None = None
    suffix: str | None = None
    business: str | None = None


NO_NAME = Name()

_SPECIAL = {ord("ß"): "ss", ord("ø"): "o", ord("ł"): "l", ord("đ"): "d", ord("æ"): "ae", ord("œ"): "oe", ord("ı"): "i"}
_NOTHING = dict.fromkeys(map(ord, "'’‘`´.ʼ\"“”"), None)
_BLANKS = dict.fromkeys(map(ord, "-‐‑–—_/,;:()[]*+!?#~|<>{}=\\"), " ")
_PLAIN = str.maketrans({**{chr(k): None for k in _NOTHING}, **{chr(k): " " for k in _BLANKS}})

_DIGITS = re.compile(r"\d")
_EMAIL_OR_URL = re.compile(r"@|://|www\.")
_IN_BRACKETS = re.compile(r"\s*[(\[{].*?[)\]}]|\s*[\"“”].*?[\"“”]")


def fold(text: str) -> str:
    """Return ``text`` in lower case without accents and punctuation, its words apart by one blank."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_PLAIN).casefold().translate(_SPECIAL))
        # Hangul comes apart by NFKD, and is put together again.
        text = unicodedata.normalize("NFC", "".join(one for one in text if not unicodedata.combining(one)))
    return " ".join(text.translate(_PLAIN).lower().split())


def parse_name(
    first: str | None,
    last: str | None,
    full: str | None = None,
    *,
    middle: str | None = None,
    business: str | None = None,
    caller_id: bool = False,
) -> Name:
    """Return the name that stands in two fields, or else in the one field ``full``.

    ``business`` is what a field of its own says; ``caller_id``: ``full`` is what a telephone company shows.
    """
    firm = _business(business) if business else None
    if first or last:
        found = _of_fields((first or "").strip(), (last or "").strip())
        if found == NO_NAME and full:
            found = _of_full(full, caller_id)
    elif full:
        found = _of_full(full, caller_id)
    else:
        found = NO_NAME
    if middle and found.first and not found.middle:
        found = found._replace(middle=_given(middle).first)
    if firm and not found.business:
        found = found._replace(business=firm)
    return found


def _of_fields(first: str, last: str) -> Name:
    if not last:
        return _of_full(first, False)
    surname = _surname(last)
    if surname.business:
        # "Rivera", "Roofing LLC": the two fields are one name.
        return _of_full(f"{first} {last}", False) if first else surname
    if not first:
        return _of_full(last, False) if " " in last and fold(last).split(" ")[0] not in PARTICLES else surname
    given = _given(first)
    if given.business:
        return Name(business=_business(f"{first} {last}"))
    if given.first and given.last:  # both names in the first field
        if first == last or not surname.last:
            return given
        if given.last == surname.last:
            return Name(given.first, given.middle, surname.last, given.suffix or surname.suffix)
        return Name(given.first, given.last, surname.last, given.suffix or surname.suffix)
    if given is NO_NAME and surname is NO_NAME:
        return NO_NAME
    return Name(given.first, given.middle, surname.last, surname.suffix or given.suffix)


@functools.lru_cache(maxsize=65_536)
def _given(text: str) -> Name:
    """Return the given name, the middle one and a suffix that a field of given names has; rarely a surname too."""
    text = _IN_BRACKETS.sub(" ", text)
    folded = fold(text)
    if not folded or folded in NO_GIVEN or _is_no_name(text):
        return NO_NAME
    words, suffix = _without_suffix(_without_couple(folded.replace("&", " & ").split()))
    while len(words) > 1 and words[0] in TITLES:
        words = words[1:]
    if not words or words[0] in TITLES:
        return NO_NAME
    if any(word in FIRMS for word in words):
        return Name(business=folded)
    if len(words) == 1:
        return Name(first=words[0], suffix=suffix)
    if len(words) == 2:
        # "Mary Ann" or "John Smith": the caller knows whether a surname stands elsewhere.
        return Name(first=words[0], middle=words[1] if len(words[1]) == 1 else None, suffix=suffix,
                    last=None if len(words[1]) == 1 else words[1])  # fmt: skip
    return Name(first=words[0], middle=words[1], suffix=suffix)


@functools.lru_cache(maxsize=65_536)
def _surname(text: str) -> Name:
    """Return the surname and the suffix that a field of surnames has."""
    text = _IN_BRACKETS.sub(" ", text)
    folded = fold(text)
    if not folded or folded in NO_SURNAME or folded in NOBODY or _is_no_name(text):
        return NO_NAME
    words, suffix = _without_suffix(folded.split())
    if any(word in FIRMS for word in words):
        return Name(business=folded)
    words = [word for word in words if word != "&"]
    return Name(last=" ".join(words), suffix=suffix) if words else NO_NAME


@functools.lru_cache(maxsize=65_536)
def _of_full(text: str, caller_id: bool) -> Name:
    """Return the name in one field: ``Given Surname``, ``Surname, Given``, and what people make of it."""
    bare = _IN_BRACKETS.sub(" ", text).strip()
    folded = fold(bare)
    if not folded or folded in NOBODY or _is_no_name(bare):
        return NO_NAME
    words = folded.replace("&", " & ").split()
    if caller_id and (words[0] in {"wireless", "cell", "toll", "unknown", "spam"} or _is_place(words)):
        return NO_NAME
    if _is_business(words):
        return Name(business=" ".join(words))
    if "," in bare:
        parts = [part for part in bare.split(",") if part.strip()]
        after = [part for part in parts[1:] if fold(part) in SUFFIXES]
        if len(parts) - len(after) == 2 and len(parts[0].split()) <= 3:
            surname = _surname(" ".join([parts[0], *after]))
            given = _given(next(part for part in parts[1:] if part not in after))
            if surname.last and given.first:
                suffix = surname.suffix or given.suffix
                return Name(given.first, given.middle or given.last, surname.last, suffix)
    words, suffix = _without_suffix(_without_couple(words))
    if words[-1] == "family" and len(words) > 1:
        return Name(last=" ".join(words[1:-1] if words[0] == "the" and len(words) > 2 else words[:-1]))
    while len(words) > 1 and words[0] in TITLES:
        words = words[1:]
        if len(words) == 1:
            return Name(last=words[0], suffix=suffix)  # "Mrs. Smith"
    if len(words) > 1 and len(words[0]) > 1 and words[0] in PARTICLES and words[0] not in known_given():
        return Name(last=" ".join(words), suffix=suffix)
    if len(words) == 1:
        return NO_NAME if words[0] in NO_GIVEN or words[0] in TITLES else Name(first=words[0], suffix=suffix)
    if caller_id and _shown_surname_first(words, bare.upper() == bare):
        return Name(words[1], words[2] if len(words) == 3 else None, words[0], suffix)
    if len(words) == 2:
        return _checked(words[0], None, words[1], suffix)
    if len(words) <= 4:
        for at in range(1, len(words) - 1):
            if words[at] in PARTICLES:
                return _checked(words[0], words[1] if at == 2 else None, " ".join(words[at:]), suffix)
        if len(words) == 3:
            return _checked(words[0], words[1], words[2], suffix)
    return _by_nameparser(bare)


def _without_suffix(words: list[str]) -> tuple[list[str], str | None]:
    """Return the words without what stands behind a name, and the suffix that was among it."""
    suffix = None
    while len(words) > 1 and (words[-1] in SUFFIXES or words[-1] in LETTERS_AFTER):
        suffix = SUFFIXES.get(words[-1], suffix)
        words = words[:-1]
    return words, suffix


def _checked(first: str, middle: str | None, last: str, suffix: str | None) -> Name:
    """Return the name without those of its parts that say that there is none."""
    return Name(first if first not in NO_GIVEN else None, middle, last if last not in NO_SURNAME else None, suffix)


def _by_nameparser(text: str) -> Name:
    from nameparser import HumanName

    found = HumanName(text)
    first, middle, last = fold(found.first), fold(found.middle), fold(found.last)
    suffix = next((SUFFIXES[word] for word in fold(found.suffix).split() if word in SUFFIXES), None)
    return _checked(first, middle or None, last, suffix) if first or last else NO_NAME


def _shown_surname_first(words: list[str], capitals: bool) -> bool:
    """Whether a caller id shows a name as ``SMITH J`` or, in capitals, ``SMITH JOHN D``."""
    if len(words) == 2 and len(words[1]) == 1:
        return True
    if not capitals or len(words) > 3 or len(words[1]) == 1 or (len(words) == 3 and len(words[2]) > 1):
        return False
    return words[0] not in known_given() or words[1] in known_given()


def _without_couple(words: list[str]) -> list[str]:
    """Return the words of the first of two people: ``john & mary smith`` is ``john smith``."""
    for at, word in enumerate(words):
        if (at and word in {"&", "and", "or"}) or (word == "y" and at and len(words) - at > 2):
            mine, theirs = words[:at], words[at + 1 :]
            alone = at == 1 or (at == 2 and len(mine[1]) == 1)
            return [*mine, *theirs[1:]] if alone else mine
    return words


def _is_business(words: list[str]) -> bool:
    if any(word in FIRMS for word in words):
        return True
    if words[-2:] in (["&", "sons"], ["and", "sons"], ["&", "daughters"], ["and", "daughters"], ["&", "co"]):
        return True
    if "&" in words and len(words) == 3 and not {words[0], words[2]} & known_given():
        return True
    if words[0] == "the" and len(words) > 2 and words[-1] != "family":
        return True
    if any(word in MAYBE_FIRMS for word in words):
        plain = len(words) == 2 or (len(words) == 3 and len(words[1]) == 1)
        return not (plain and words[0] in known_given()) if len(words) > 1 else False
    return False


def _business(text: str) -> str | None:
    """Return what a field for a business says, folded."""
    folded = fold(text)
    return None if not folded or folded in NOBODY or folded in {"self", "self employed", "retired"} else folded


def _is_no_name(text: str) -> bool:
    return (text.isascii() and not any(map(str.isalpha, text))) or (
        _DIGITS.search(text) is not None and sum(map(str.isdigit, text)) > 2
    ) or _EMAIL_OR_URL.search(text) is not None  # fmt: skip


def _is_place(words: list[str]) -> bool:
    """Whether a caller id shows where the call is from: ``DAYTON OH``."""
    return len(words) > 1 and words[-1] in STATES and words[0] not in known_given()


class _Nicknames(NamedTuple):
    long_forms: Mapping[str, frozenset[str]]
    short_forms: Mapping[str, frozenset[str]]


@functools.cache
def _nicknames() -> _Nicknames:
    """Return the table of the package ``nicknames``; reading it takes 20 ms."""
    from nicknames import name_triplets

    long_forms: dict[str, set[str]] = {}
    short_forms: dict[str, set[str]] = {}
    for one in name_triplets():
        if frozenset((one.name1, one.name2)) in NO_NICKNAMES:
            continue
        long_forms.setdefault(fold(one.name2), set()).add(fold(one.name1))
        short_forms.setdefault(fold(one.name1), set()).add(fold(one.name2))
    return _Nicknames(
        {name: frozenset(forms) for name, forms in long_forms.items()},
        {name: frozenset(forms) for name, forms in short_forms.items()},
    )


@functools.cache
def known_given() -> frozenset[str]:
    """Return the given names that are known: those with a nickname and the nicknames, about 1,700."""
    table = _nicknames()
    return frozenset(table.long_forms) | frozenset(table.short_forms) | MORE_GIVEN


@functools.lru_cache(maxsize=65_536)
def canonical_givens(first: str) -> tuple[str, ...]:
    """Return the names that a given name may stand for, itself among them: ``bob`` is bob and robert."""
    return (first, *sorted(_nicknames().long_forms.get(first, frozenset()) - {first}))


def long_forms(first: str) -> frozenset[str]:
    """Return the names that a given name is short for."""
    return _nicknames().long_forms.get(first, frozenset())


def same_given(a: str | None, b: str | None) -> Likeness:
    """Return how alike two folded given names are."""
    if not a or not b:
        return "missing"
    if a == b:
        return "equal"
    return _likeness(a, b) if a < b else _likeness(b, a)


@functools.lru_cache(maxsize=65_536)
def _likeness(a: str, b: str) -> Likeness:
    if a.replace(" ", "") == b.replace(" ", ""):
        return "equal"
    if len(a) == 1 or len(b) == 1:
        return "initial" if a[0] == b[0] else "different"
    table = _nicknames()
    nothing: frozenset[str] = frozenset()
    of_a, of_b = table.long_forms.get(a, nothing), table.long_forms.get(b, nothing)
    if a in of_b or b in of_a:
        return "nickname"
    if of_a and of_b and (of_a <= of_b or of_b <= of_a):
        return "nickname"
    if min(len(a), len(b)) >= 3 and spelling(a) == spelling(b):
        return "alike"
    known = known_given()
    if a in known and b in known:
        return "different"
    return "alike" if is_typo(a, b) else "different"


def is_typo(a: str, b: str) -> bool:
    """Whether two texts of at least four letters differ by one letter, or two neighbours swapped; long ones by two."""
    if min(len(a), len(b)) < 4:
        return False
    from rapidfuzz.distance import DamerauLevenshtein

    allowed = 2 if min(len(a), len(b)) >= 8 else 1
    return DamerauLevenshtein.distance(a, b, score_cutoff=allowed) <= allowed


_SPELLINGS = (("ph", "f"), ("v", "f"), ("ck", "k"), ("c", "k"), ("y", "i"), ("ee", "i"), ("ie", "i"), ("z", "s"))


@functools.lru_cache(maxsize=65_536)
def spelling(name: str) -> str:
    """Return a name without what is spelt one way or the other: double letters, a mute h."""
    for one, other in _SPELLINGS:
        name = name.replace(one, other)
    name = name[0] + name[1:].replace("h", "")
    return re.sub(r"(.)\1+", r"\1", name)


_SOUNDS = {
    **dict.fromkeys("bpfv", "1"), **dict.fromkeys("cgjkqsxz", "2"), **dict.fromkeys("dt", "3"), "l": "4",
    **dict.fromkeys("mn", "5"), "r": "6",
}  # fmt: skip
_BEGINNINGS = (("kn", "n"), ("wr", "r"), ("ph", "f"), ("gn", "n"), ("ps", "s"), ("sch", "s"), ("c", "k"), ("q", "k"),
               ("z", "s"), ("j", "g"), ("w", "v"))  # fmt: skip


@functools.lru_cache(maxsize=65_536)
def sound(surname: str) -> str:
    """Return how a folded surname sounds: Soundex with a few beginnings made equal, of the name in one word."""
    name = surname.replace(" ", "")
    for written, spoken in _BEGINNINGS:
        if name.startswith(written):
            name = spoken + name[len(written) :]
            break
    code, before = name[:1], _SOUNDS.get(name[:1], "")
    for letter in name[1:]:
        digit = _SOUNDS.get(letter, "")
        if digit and digit != before:
            code += digit
            if len(code) == 5:
                break
        if letter not in "hw":
            before = digit
    return code
