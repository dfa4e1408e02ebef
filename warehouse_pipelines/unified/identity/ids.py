"""Which id each group of records keeps. A pure function of what the groups are and what the ids had before.

An id never changes its meaning. Every id, those that were merged into others too, claims the records that were its own,
and goes to the group where its evidence is heaviest: the sum of the scores of the edges between its records there, then
their number, then the record that is first by name. Where several ids go to one group, the oldest is kept and the
others become its aliases; an id in use comes before an alias. A group that no id goes to gets a new one.

So a merge that is undone is undone exactly: the alias claims what it had when it was merged, and is a person again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4


@dataclass(frozen=True)
class Id:
    """An id of before. ``alias_of`` is the person whose alias it is; ``had`` the records that it claims."""

    id: UUID
    born_at: datetime
    had: frozenset[int]
    alias_of: UUID | None = None


@dataclass
class Assigned:
    """What comes of it.

    ``ids``      the id of each group
    ``new``      those that were just made
    ``revived``  those that were aliases and are people again
    ``merged``   ids that became aliases, with their person: people of before, and aliases that moved
    """

    ids: list[UUID] = field(default_factory=list)
    new: set[UUID] = field(default_factory=set)
    revived: set[UUID] = field(default_factory=set)
    merged: dict[UUID, UUID] = field(default_factory=dict)


def assign(groups: Sequence[Collection[int]], known: Iterable[Id], edges: Iterable[tuple[float, int, int]]) -> Assigned:
    """Return the id of each group. ``edges`` weigh; those between records of two claims do not count."""
    group_of = {record: number for number, group in enumerate(groups) for record in group}
    ids = sorted(known, key=lambda one: (one.alias_of is not None, one.born_at, one.id))
    claimed = _claims(ids)
    scores: dict[UUID, dict[int, float]] = {}
    for score, a, b in edges:
        one = claimed.get(a)
        if one is not None and one == claimed.get(b) and group_of.get(a) == group_of.get(b):
            of_group = scores.setdefault(one, {})
            of_group[group_of[a]] = of_group.get(group_of[a], 0.0) + score
    counts: dict[UUID, dict[int, list[int]]] = {}
    for record, one in claimed.items():
        if record in group_of:
            counts.setdefault(one, {}).setdefault(group_of[record], []).append(record)
    wanted: dict[int, list[Id]] = {}
    for one_id in ids:
        parts = counts.get(one_id.id, {})
        if parts:
            weights = scores.get(one_id.id, {})
            heaviest = min(parts, key=lambda at: (-round(weights.get(at, 0.0), 3), -len(parts[at]), min(parts[at])))
            wanted.setdefault(heaviest, []).append(one_id)
    found = Assigned()
    for number in range(len(groups)):
        takers = wanted.get(number, [])
        kept = takers[0] if takers else None
        found.ids.append(kept.id if kept else uuid4())
        if kept is None:
            found.new.add(found.ids[-1])
        elif kept.alias_of is not None:
            found.revived.add(kept.id)
        for other in takers[1:]:
            if other.alias_of != found.ids[-1]:
                found.merged[other.id] = found.ids[-1]
    return found


def _claims(ids: Sequence[Id]) -> Mapping[int, UUID]:
    """Return whose each record is: an alias's, if it had it when it was merged; else that of the id in use.

    An id that would be left with nothing by its aliases claims what it has.
    """
    claimed: dict[int, UUID] = {}
    aliases = [one for one in ids if one.alias_of is not None]
    in_use = [one for one in ids if one.alias_of is None]
    for one in aliases:
        for record in one.had:
            claimed.setdefault(record, one.id)
    for one in in_use:
        own = [record for record in one.had if record not in claimed]
        claimed.update(dict.fromkeys(own or one.had, one.id))
    return claimed
