"""Compare two records: a level for each comparison, their bits, and what follows by the gate.

    compare(a, b, weights) -> Comparison(score, levels, gate, relation, rules)

``levels`` looks at the two records; ``judge`` sees nothing but the levels, so it answers once for each combination of
them. Both lanes, the incremental one and the rebuild, judge by this function.

Decided:

- The gate stands above the score. Couples, fathers and sons share a phone, a roof and often an e-mail address, so no
  sum of bits makes one person of two given names. On a million invented contacts a score alone had a precision of 0.38.
- A name alone makes nobody one person: something that few people share has to be equal too.
- Who has no given name is somebody's only by an equal e-mail address or id. An equal phone makes a household.
- An id that one CRM holds of the other joins, unless the names contradict: then somebody is asked.
- A father and his son have one name and one roof, and the son is not always called junior. So a generation on one side
  only needs an equal e-mail address or id, and a name and a roof are not enough while the phone numbers differ.
- Spellings of one mailbox of Gmail (dots, ``+tag``, googlemail.com) are one address by Gmail's own rule. They count as
  equal where the names are, and neither numbers nor generations differ. Else they open no gate: a family with one
  mailbox tells its members apart by the tag.
- The address of an office (``info@``) is no evidence, equal or not: whoever is in the office has it.
- A business is another one than the person who has its number, and has no household.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

from warehouse_pipelines.unified.identity import likeness
from warehouse_pipelines.unified.identity.normalise import gmail_box, telling
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.weights import Weights

Relation = Literal["person", "review", "household", "apart"]


class Gate(StrEnum):
    """What keeps two records from being one person: the sentence that reviews and explanations have."""

    BUSINESS = "one is a business, the other a person"
    GENERATIONS = "generations differ"
    GIVEN_NAMES = "given names differ"
    SURNAMES = "surnames differ"
    NAME_ALONE = "nothing but the name is equal"
    GIVEN_NAME_MISSING = "a given name is missing, and no e-mail address is equal"
    SURNAME_MISSING = "a surname is missing, and too little else is equal"
    GIVEN_NAME_MISSING_PHONES_DIFFER = "a given name is missing, and the phone numbers differ"
    INITIAL = "an initial is all of a given name, and only the address is equal"
    ONE_GENERATION = "one has a generation, the other none"
    PHONES = "name and address are equal, and the phone numbers differ"


DOUBTFUL = frozenset({Gate.ONE_GENERATION, Gate.INITIAL, Gate.PHONES})
"""What somebody should look at where the score says that the two are one."""


class Levels(NamedTuple):
    """How alike two records are, by comparison: the levels that ``weights`` has bits for."""

    first: str
    last: str
    middle: str
    suffix: str
    email: str
    phone: str
    address: str
    ids: str
    business: str


class Verdict(NamedTuple):
    """What follows from the levels."""

    score: float
    gate: Gate | None
    relation: Relation
    rules: tuple[str, ...]


class Comparison(NamedTuple):
    """Two records compared. ``gate`` is the sentence of what keeps them from being one person, or empty."""

    score: float
    levels: Levels
    gate: str
    relation: Relation
    rules: tuple[str, ...]


WORDS: Mapping[str, str] = {
    "first": "given name",
    "last": "surname",
    "middle": "middle name",
    "suffix": "generation",
    "email": "e-mail address",
    "phone": "phone number",
    "address": "address",
    "ids": "id",
    "business": "business",
}
"""What the comparisons are called in sentences."""

STRONG_ADDRESS = frozenset({"equal", "house", "alike"})


def compare(
    a: Record, b: Record, weights: Weights, id_rules: Mapping[tuple[str, str], str] | None = None
) -> Comparison:
    """Compare two records. ``id_rules`` names the rule of an id: by the table that holds it and the table it names."""
    if not comparable(a, b):
        kinds = " and ".join(sorted((a.kind, b.kind)))
        return Comparison(0.0, levels(a, b), f"kinds: {kinds}", "apart", ())
    found = levels(a, b)
    verdict = judge(found, weights)
    rules = verdict.rules
    if found.ids == "equal":
        rules += shared_ids(a, b, id_rules or {})
    return Comparison(verdict.score, found, verdict.gate or "", verdict.relation, rules)


def comparable(a: Record, b: Record) -> bool:
    """Return whether the two can be one person at all: staff and customers never, and a touch is nobody."""
    return a.kind == b.kind and a.kind != "touch"


def levels(a: Record, b: Record) -> Levels:
    """Return the level of each comparison. The order of the two does not matter."""
    first: str = likeness.given(a.first_name, b.first_name)
    last: str = likeness.surname(a.last_name, b.last_name)
    if first == last == "different" and _swapped(a, b):
        first = last = "swapped"
    emails, other_emails = telling(a.emails), telling(b.emails)
    email: str = _any(emails, other_emails, likeness.email)
    phone: str = _any(a.phones, b.phones, likeness.phone)
    suffix = _suffix(a.suffix, b.suffix) if a.suffix or b.suffix else "missing"
    if (
        email in ("alike", "different")
        and first in ("equal", "nickname")
        and last == "equal"
        and phone != "different"
        and suffix in ("missing", "equal")
        and _one_mailbox(emails, other_emails)
    ):
        email = "equal"
    ids = "equal" if a.ids and b.ids and not set(a.ids).isdisjoint(b.ids) else "missing"
    return Levels(
        first,
        last,
        _middle(a.middle_name, b.middle_name) if a.middle_name and b.middle_name else "missing",
        suffix,
        email,
        phone,
        _address(a, b),
        ids,
        _business(a, b) if a.business or b.business else "missing",
    )


def _any(ones: tuple[str, ...], others: tuple[str, ...], alike: Callable[[str, str], bool]) -> str:
    """Return the level of two lists: whether they have a value in common, or two that are alike."""
    if not ones or not others:
        return "missing"
    if len(ones) == len(others) == 1:
        one, other = ones[0], others[0]
        return "equal" if one == other else "alike" if alike(one, other) else "different"
    if not set(ones).isdisjoint(others):
        return "equal"
    return "alike" if any(alike(one, other) for one in ones for other in others) else "different"


def _one_mailbox(ones: tuple[str, ...], others: tuple[str, ...]) -> bool:
    boxes = {box for one in ones if (box := gmail_box(one))}
    return bool(boxes) and any(gmail_box(one) in boxes for one in others)


def judge(found: Levels, weights: Weights) -> Verdict:
    """Return what follows from the levels; the same levels are judged once."""
    verdict: Verdict | None = weights.verdicts.get(found)
    if verdict is None:
        verdict = weights.verdicts[found] = _judge(found, weights)
    return verdict


def gate(found: Levels) -> Gate | None:
    """Return what keeps two records from being one person, whatever their score; None where nothing does."""
    if found.business == "apart":
        return Gate.BUSINESS
    if found.suffix == "different":
        return Gate.GENERATIONS
    if found.first == "different":
        return Gate.GIVEN_NAMES
    if found.last == "different":
        return Gate.SURNAMES
    sure = "equal" in (found.email, found.ids)
    near = found.phone == "equal" or found.address in STRONG_ADDRESS
    businesses = found.first == found.last == "missing" and found.business in ("equal", "alike")
    if not sure and not near:
        return Gate.NAME_ALONE
    if found.first == "missing" and not sure and not businesses:
        return Gate.GIVEN_NAME_MISSING
    if found.last == "missing" and not sure and not businesses:  # noqa: SIM102 -- one reason, one line
        if found.phone != "equal" or found.address not in STRONG_ADDRESS:
            return Gate.SURNAME_MISSING
    if found.first == "missing" and found.phone == "different" and found.ids != "equal":
        return Gate.GIVEN_NAME_MISSING_PHONES_DIFFER
    if found.first == "initial" and not sure and found.phone != "equal":
        return Gate.INITIAL
    if found.suffix == "one" and not sure:
        return Gate.ONE_GENERATION
    if found.phone == "different" and not sure:
        return Gate.PHONES
    return None


def _judge(found: Levels, weights: Weights) -> Verdict:
    # Three digits: what the column edge.score, a real, returns as it was written.
    score = round(sum(weights.bits[name].get(level, 0.0) for name, level in zip(Levels._fields, found, strict=True)), 3)
    closed = gate(found)
    relation: Relation = "apart"
    if closed is None:
        relation = "person" if score >= weights.same_bits else "review" if score >= weights.review_bits else "apart"
    elif _worth_asking(found, closed, score, weights):
        relation = "review"
    if relation == "apart" and found.business in ("missing", "different") and _shared(found):
        relation = "household"
    rules = []
    if found.email == "equal":
        rules.append("email")
    if found.phone == "equal":
        rules.append("phone_e164")
    if found.address in STRONG_ADDRESS and found.first not in ("missing", "different") and found.last != "different":
        rules.append("name_address")
    elif found.address in STRONG_ADDRESS:
        rules.append("address")
    if found.business in ("equal", "alike"):
        rules.append("business")
    return Verdict(score, closed, relation, tuple(rules))


def _worth_asking(found: Levels, closed: Gate, score: float, weights: Weights) -> bool:
    """Return whether somebody should look at a pair that the gate keeps apart."""
    if found.ids == "equal":
        return True
    if closed is Gate.SURNAMES:
        return found.email == found.phone == "equal" and found.first in ("equal", "nickname")
    return closed in DOUBTFUL and score >= weights.review_bits


def _shared(found: Levels) -> bool:
    return found.phone == "equal" or found.email == "equal" or found.address in ("equal", "house")


def shared_ids(a: Record, b: Record, id_rules: Mapping[tuple[str, str], str]) -> tuple[str, ...]:
    """Return the rules by which the two have an id in common, in order of their names."""
    rules = set()
    for token in set(a.ids) & set(b.ids):
        target = token.partition(":")[0]
        for holder in (a.source_table, b.source_table):
            if rule := id_rules.get((holder, target)):
                rules.add(rule)
    return tuple(sorted(rules)) or ("id",)


def words(found: Levels) -> str:
    """Return the levels as a sentence: ``given name nickname, surname equal, phone number equal``."""
    return ", ".join(
        f"{WORDS[name]} {level}" for name, level in zip(Levels._fields, found, strict=True) if level != "missing"
    )


def _swapped(a: Record, b: Record) -> bool:
    """Return whether given name and surname of one are surname and given name of the other; one may be misspelt."""
    return any(
        pair in (("equal", "equal"), ("nickname", "equal"), ("alike", "equal"), ("equal", "alike"))
        for pair in (
            (likeness.given(a.first_name, b.last_name), likeness.surname(a.last_name, b.first_name)),
            (likeness.given(b.first_name, a.last_name), likeness.surname(b.last_name, a.first_name)),
        )
    )


def _middle(a: str, b: str) -> str:
    if len(a) == 1 or len(b) == 1:
        return "equal" if a[0] == b[0] else "different"
    return "equal" if a == b or likeness.typo(a, b) else "different"


def _suffix(a: str | None, b: str | None) -> str:
    return "equal" if a == b else "different" if a and b else "one"


def _address(a: Record, b: Record) -> str:
    if not a.street or not b.street:
        return "missing" if not a.zip or not b.zip else "zip" if a.zip == b.zip else "different"
    # Without a zip code on one side the town must be the same.
    same_place = a.zip == b.zip if a.zip and b.zip else bool(a.city) and a.city == b.city
    if not same_place:
        return "different"
    if a.street != b.street:
        if likeness.street(a.street, b.street):
            return "alike" if not a.unit or not b.unit or a.unit == b.unit else "unit"
        return "zip"
    if a.unit == b.unit:
        return "equal"
    return "unit" if a.unit and b.unit else "house"


def _business(a: Record, b: Record) -> str:
    a_person, b_person = bool(a.first_name or a.last_name), bool(b.first_name or b.last_name)
    if (a.business and not a_person and b_person) or (b.business and not b_person and a_person):
        return "apart"
    if not a.business or not b.business:
        return "missing"
    if a.business == b.business:
        return "equal"
    return "alike" if likeness.business(a.business, b.business) else "different"
