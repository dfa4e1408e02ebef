"""Make people of pairs: which records are one person, from the edges between them and what was decided.

    clusters(who, edges, same, apart) -> Clusters(groups, torn, kept_apart)

A pure function: it depends on the set of edges and decisions alone, never on the order in which they came, nor on ids
of rows. ``who`` says what each record is called; keys are the records' names, or numbers in the order of their names.

Decided:

- Edges join in the order of their scores, the best first; equal ones in the order of their records' names.
- Two groups are joined only if no record of one contradicts a record of the other: a given name, a surname or a
  generation that cannot be one person's, or a decision that they are apart. So a chain of pairs that are each alike
  never joins what is not (Jon, John, Joan).
- What people confirmed comes first, the latest before the earlier ones, and may join names that contradict; whoever
  fits one of two names so confirmed fits the group.
- A record without a given name, with an initial for one, or without a generation between a senior and a junior, joins
  no two others: it goes last, to the group of its best edge. If two groups are equally good it goes to none.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from warehouse_pipelines.unified.identity import likeness
from warehouse_pipelines.unified.identity.record import Record

Key = TypeVar("Key", int, tuple[str, str], str)
"""What names a record: its number in the order of names, or the name."""


class Called(NamedTuple):
    """What a record is called, as far as names can contradict each other."""

    first: str | None = None
    last: str | None = None
    suffix: str | None = None
    business: str | None = None

    @property
    def weak(self) -> bool:
        """Whether it says too little to join others."""
        return len(self.first) == 1 if self.first else not self.business

    @classmethod
    def of(cls, record: Record) -> "Called":
        """Return what ``record`` is called. A business counts only where there is no person's name."""
        named = bool(record.first_name or record.last_name)
        return cls(record.first_name, record.last_name, record.suffix, None if named else record.business)


@dataclass(frozen=True)
class Clusters(Generic[Key]):
    """The groups in the order of their first records, and what was not joined although there is an edge.

    ``torn``       records without enough of a name, and the records that each might as well belong to
    ``kept_apart`` pairs with an edge whose groups contradict each other
    """

    groups: list[list[Key]]
    torn: list[tuple[Key, Key]]
    kept_apart: list[tuple[Key, Key]]


@lru_cache(maxsize=1 << 18)
def contradict(a: Called, b: Called) -> bool:
    """Return whether the two names cannot be one person's."""
    if a.business or b.business:
        return not (a.business and b.business and likeness.business(a.business, b.business)) and not (
            _nameless(a) or _nameless(b)
        )
    if a.suffix and b.suffix and a.suffix != b.suffix:
        return True
    fits = likeness.fit(a.first, b.first) and likeness.surname(a.last, b.last) != "different"
    return not fits and not (
        bool(a.first and a.last and b.first and b.last) and _swapped(a.first, b.last) and _swapped(b.first, a.last)
    )


def clusters(
    who: Mapping[Key, Called],
    edges: Iterable[tuple[float, Key, Key]],
    same: Iterable[tuple[Key, Key]] = (),
    apart: Iterable[tuple[Key, Key]] = (),
) -> Clusters[Key]:
    """Return who is one person. ``same`` stands in the order of the decisions, the earliest first."""
    ordered: list[tuple[float, Key, Key]] = sorted((-score, a, b) if a < b else (-score, b, a) for score, a, b in edges)
    building = _Groups(who)
    for one, other in apart:
        building.keep_apart(one, other)
    confirmed = list(same)
    for one, other in reversed(confirmed):
        building.confirm(one, other)
    weak = _weak(who, ordered)
    kept_apart = []
    for _, a, b in ordered:
        if a not in weak and b not in weak and not building.join(a, b):
            kept_apart.append((a, b))
    strong = {key for _, a, b in ordered for key in (a, b) if key not in weak}
    strong |= {key for pair in confirmed for key in pair if key not in weak and not who[key].weak}
    torn = _attach(building, ordered, weak, {building.find(key) for key in strong})
    return Clusters(building.groups(), torn, kept_apart)


def _weak(who: Mapping[Key, Called], ordered: Collection[tuple[float, Key, Key]]) -> set[Key]:
    """Return the records with edges that may not join others."""
    found = set()
    generations: dict[Key, set[str]] = {}
    for _, a, b in ordered:
        for one, other in ((a, b), (b, a)):
            called, neighbour = who[one], who[other]
            if called.weak:
                found.add(one)
            elif neighbour.suffix and not called.suffix:
                generations.setdefault(one, set()).add(neighbour.suffix)
    return found | {one for one, suffixes in generations.items() if len(suffixes) > 1}


def _attach(
    building: "_Groups[Key]", ordered: Collection[tuple[float, Key, Key]], weak: set[Key], named: set[Key]
) -> list[tuple[Key, Key]]:
    """Join the weak records to the groups of their best edges, then among themselves; return those that are torn.

    ``named`` are the roots of groups that have a record which is not weak.
    """
    best: dict[Key, dict[Key, tuple[float, Key, Key]]] = {}
    among = []
    for edge in ordered:
        _, a, b = edge
        a_root, b_root = building.find(a), building.find(b)
        if a_root == b_root or not (a in weak or b in weak):
            continue
        if (a_root in named) == (b_root in named):
            among.append(edge)
        elif not building.contradictory(a_root, b_root):
            lonely, group = (b_root, a_root) if a_root in named else (a_root, b_root)
            best.setdefault(lonely, {}).setdefault(group, edge)
    torn, torn_roots = [], set()
    for lonely, groups in sorted(best.items(), key=lambda item: min(item[1].values())):
        choices = sorted(groups.values())
        tied = [edge for edge in choices if edge[0] == choices[0][0]]
        if len(tied) > 1 or not building.join(*choices[0][1:]):
            torn += [edge[1:] for edge in tied]
            torn_roots.add(lonely)
        else:
            named.add(building.find(lonely))
    for _, a, b in among:
        a_root, b_root = building.find(a), building.find(b)
        if a_root in torn_roots or b_root in torn_roots or (a_root in named and b_root in named):
            continue
        is_named = a_root in named or b_root in named
        if building.join(a, b) and is_named:
            named.add(building.find(a))
    return torn


@dataclass
class _Groups(Generic[Key]):
    """Groups as they grow: union-find, with what each group is called."""

    who: Mapping[Key, Called]
    parents: dict[Key, Key] = field(default_factory=dict)
    sizes: dict[Key, int] = field(default_factory=dict)
    called: dict[Key, set[Called]] = field(default_factory=dict)
    forbidden: dict[Key, set[Key]] = field(default_factory=dict)
    excused: dict[Key, list[tuple[Called, Called]]] = field(default_factory=dict)

    def find(self, key: Key) -> Key:
        """Return the record that stands for the group of ``key``."""
        parents = self.parents
        root = parents.get(key)
        if root is None:
            return key
        while (parent := parents[root]) != root:
            root = parent
        while key != root:
            parents[key], key = root, parents[key]
        return root

    def join(self, a: Key, b: Key) -> bool:
        """Make one group of two unless they contradict; return whether the two records are in one group now."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if self.contradictory(a, b):
            return False
        self._unite(a, b)
        return True

    def confirm(self, a: Key, b: Key) -> None:
        """Make one group of two, whatever they are called, unless it was decided that some of them are apart."""
        a, b = self.find(a), self.find(b)
        if a != b and not self._decided_apart(a, b):
            names = [(one, other) for one in self._names(a) for other in self._names(b) if contradict(one, other)]
            root = self._unite(a, b)
            if names:
                self.excused[root] = self.excused.get(root, []) + names

    def keep_apart(self, a: Key, b: Key) -> None:
        """Note that two records were decided to be two people."""
        self.forbidden.setdefault(a, set()).add(b)
        self.forbidden.setdefault(b, set()).add(a)

    def contradictory(self, a: Key, b: Key) -> bool:
        """Return whether the groups of two roots cannot be one person."""
        ones, others = self._names(a), self._names(b)
        if ones == others and len(ones) == 1:
            clash = False
        else:
            excused = self.excused.get(a, []) + self.excused.get(b, []) if self.excused else []
            clash = any(
                contradict(one, other) and not (excused and _excused(one, other, excused))
                for one in ones
                for other in others
            )
        return clash or self._decided_apart(a, b)

    def _decided_apart(self, a: Key, b: Key) -> bool:
        if not self.forbidden or a not in self.forbidden or b not in self.forbidden:
            return False
        return any(self.find(one) == b for one in self.forbidden[a])

    def _names(self, root: Key) -> set[Called]:
        return self.called.get(root) or {self.who[root]}

    def _unite(self, a: Key, b: Key) -> Key:
        if self.sizes.get(a, 1) < self.sizes.get(b, 1):
            a, b = b, a
        self.parents[b] = a
        self.parents.setdefault(a, a)
        self.sizes[a] = self.sizes.get(a, 1) + self.sizes.pop(b, 1)
        names = self.called.setdefault(a, {self.who[a]})
        names |= self.called.pop(b, set()) or {self.who[b]}
        if b in self.forbidden:
            self.forbidden.setdefault(a, set()).update(self.forbidden[b])
        if b in self.excused:
            self.excused[a] = self.excused.get(a, []) + self.excused.pop(b)
        return a

    def groups(self) -> list[list[Key]]:
        """Return all groups, their records in order."""
        found: dict[Key, list[Key]] = {}
        for key in sorted(self.who):
            found.setdefault(self.find(key) if key in self.parents else key, []).append(key)
        return list(found.values())


def _swapped(given: str | None, surname: str | None) -> bool:
    """Return whether what is a given name in one record can be a surname in the other."""
    return likeness.fit(given, surname) or likeness.surname(given, surname) in ("equal", "alike")


def _nameless(called: Called) -> bool:
    return not called.first and not called.last and not called.business


def _excused(a: Called, b: Called, confirmed: list[tuple[Called, Called]]) -> bool:
    """Return whether two names that contradict are those, or like those, that somebody confirmed to be one person's."""
    return any(
        (not contradict(a, one) and not contradict(b, other)) or (not contradict(a, other) and not contradict(b, one))
        for one, other in confirmed
    )
