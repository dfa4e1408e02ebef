"""Make people of edges and decisions, keep their ids, and write who is whose member.

``settle`` does it for whole components, ``settle_all`` for everything: both have the same edges and cluster by the same
function, so an incremental run ends where a full one does.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.identity import candidates, edges
from warehouse_pipelines.unified.identity.candidates import Population
from warehouse_pipelines.unified.identity.cluster import Called, clusters
from warehouse_pipelines.unified.identity.edges import Edge
from warehouse_pipelines.unified.identity.ids import Assigned, Id, assign

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


@dataclass
class Settled:
    """What came of it.

    ``new``      people of records that were nobody's before
    ``merged``   ids that became aliases
    ``split``    people whose records were somebody else's before
    ``changed``  people whose members are others than before
    ``torn``     pairs of ids of records, as ``cluster`` returns them
    """

    records: int = 0
    persons: int = 0
    new: int = 0
    merged: int = 0
    split: int = 0
    changed: set[UUID] = field(default_factory=set)
    torn: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class _Decisions:
    """Pairs of numbers; ``same`` the earliest first."""

    same: list[tuple[int, int]]
    apart: list[tuple[int, int]]


def settle(session: "Session", ids: Collection[int]) -> Settled:
    """Make people of these records, which must be whole components."""
    population = candidates.read(session, ids)
    return _settle(session, population, edges.read(session, population, ids), ids)


def settle_all(session: "Session", population: Population, joined: list[Edge]) -> Settled:
    """Make people of all records, with the edges that join people, which get their indexes meanwhile."""
    return _settle(session, population, joined, None)


def _settle(session: "Session", population: Population, joined: list[Edge], ids: Collection[int] | None) -> Settled:
    decided, before = decisions_of(session, population), _members(session, population, ids)
    with bulk.meanwhile(lambda: None if ids is not None else edges.index(session)):
        who = {number: Called.of(record) for number, record in enumerate(population.records)}
        made = clusters(who, ((edge[0], edge[1], edge[2]) for edge in joined), decided.same, decided.apart)
    assigned = _assign(session, population, made.groups, before, joined)
    person_of = {number: person for person, group in zip(assigned.ids, made.groups, strict=True) for number in group}
    found = Settled(len(population.ids), len(made.groups))
    for person, group in zip(assigned.ids, made.groups, strict=True):
        if person in assigned.revived or (person in assigned.new and any(number in before for number in group)):
            found.split += 1
        elif person in assigned.new:
            found.new += 1
    for number, person in person_of.items():
        if (old := before.get(number)) != person:
            found.changed |= {person} if old is None else {person, old}
    _write_people(session, population, made.groups, assigned)
    _write_members(session, population, person_of, _evidence(population, person_of, joined, decided), not before)
    found.merged = _write_merged(session, population, assigned, before)
    found.changed -= set(assigned.merged)
    found.torn = {_ids(population, pair) for pair in made.torn}
    return found


def _ids(population: Population, pair: tuple[int, int]) -> tuple[int, int]:
    a, b = population.ids[pair[0]], population.ids[pair[1]]
    return (a, b) if a < b else (b, a)


def decisions_of(session: "Session", population: Population) -> _Decisions:
    found = _Decisions([], [])
    for row in session.execute(
        """
        SELECT d.verdict, a.record_id AS a_id, b.record_id AS b_id
        FROM identity.decision AS d
            JOIN identity.record AS a ON a.source_table = d.a_table AND a.source_key = d.a_key
            JOIN identity.record AS b ON b.source_table = d.b_table AND b.source_key = d.b_key
        WHERE d.withdrawn_at IS NULL
        ORDER BY d.decision_id
        """
    ):
        a, b = population.numbers.get(row["a_id"]), population.numbers.get(row["b_id"])
        if a is not None and b is not None and population.records[a].kind == population.records[b].kind:
            (found.same if row["verdict"] == "same" else found.apart).append((a, b))
    return found


def _members(session: "Session", population: Population, ids: Collection[int] | None) -> dict[int, UUID]:
    """Return whose each record was before."""
    rows = session.execute(
        "SELECT record_id, person_id FROM identity.member"
        " WHERE %(ids)s::bigint[] IS NULL OR record_id = ANY (%(ids)s::bigint[])",
        {"ids": None if ids is None else list(ids)},
    )
    numbers = population.numbers
    return {numbers[row["record_id"]]: row["person_id"] for row in rows if row["record_id"] in numbers}


def _assign(
    session: "Session",
    population: Population,
    groups: list[list[int]],
    before: Mapping[int, UUID],
    joined: list[Edge],
) -> Assigned:
    """Return the id of each group. Groups that are as they were keep theirs without a question."""
    sizes: dict[UUID, int] = {}
    for person in before.values():
        sizes[person] = sizes.get(person, 0) + 1
    kept: dict[int, UUID] = {}
    for at, group in enumerate(groups):
        old = before.get(group[0])
        if old is not None and sizes[old] == len(group) and all(before.get(number) == old for number in group):
            kept[at] = old
    open_groups = [group for at, group in enumerate(groups) if at not in kept]
    persons = {before[number] for group in open_groups for number in group if number in before}
    had: dict[UUID, set[int]] = {}
    for number, person in before.items():
        if person in persons:
            had.setdefault(person, set()).add(number)
    inside = {number for group in open_groups for number in group} if kept else None
    found = assign(
        open_groups,
        _known(session, population, had),
        (edge[:3] for edge in joined if inside is None or (edge[1] in inside and edge[2] in inside)),
    )
    made = iter(found.ids)
    found.ids = [kept[at] if at in kept else next(made) for at in range(len(groups))]
    return found


def _known(session: "Session", population: Population, had: Mapping[UUID, set[int]]) -> list[Id]:
    """Return the ids of some people and of their aliases, with what they claim."""
    if not had:
        return []
    persons = list(had)
    found = [
        Id(row["person_id"], row["created_at"], frozenset(had[row["person_id"]]))
        for row in session.execute(
            "SELECT person_id, created_at FROM identity.person WHERE person_id = ANY (%s)", [persons]
        )
    ]
    for row in session.execute(
        """
        SELECT a.alias_id, a.person_id, a.born_at, array_agg(r.record_id) AS had
        FROM identity.alias AS a
            JOIN identity.former_member AS f USING (alias_id)
            JOIN identity.record AS r USING (source_table, source_key)
        WHERE a.person_id = ANY (%s)
        GROUP BY a.alias_id
        """,
        [persons],
    ):
        numbers = frozenset(population.numbers[one] for one in row["had"] if one in population.numbers)
        found.append(Id(row["alias_id"], row["born_at"], numbers, row["person_id"]))
    return found


def _evidence(
    population: Population, person_of: Mapping[int, UUID], joined: Iterable[Edge], decided: _Decisions
) -> dict[int, str]:
    """Return the best edge of each record that holds it to its person, as JSON; a decision where there is no edge."""
    best: dict[int, tuple[float, int, str]] = {}
    confirmed = ((-1000.0, a, b, "confirmed") for a, b in decided.same)
    for score, a, b, rules in chain(joined, confirmed):
        if person_of[a] == person_of[b]:
            for one, other in ((a, b), (b, a)):
                if one not in best or (-score, other) < best[one][:2]:
                    best[one] = (-score, other, rules)
    found = {}
    rules_shown: dict[str, str] = {}
    encoded = json.JSONEncoder().encode
    for number, (score, other, rules) in best.items():
        by = f', "score": {-score}' if rules != "confirmed" else ""
        shown = rules_shown.get(rules)
        if shown is None:
            shown = rules_shown[rules] = json.dumps(rules.split(","))
        found[number] = f'{{"with": {encoded(" ".join(population.records[other].name))}, "rules": {shown}{by}}}'
    return found


def _write_people(session: "Session", population: Population, groups: list[list[int]], assigned: Assigned) -> None:
    """Write a row for each new id; what is known of the person comes later."""
    missing = assigned.new | assigned.revived
    if not missing:
        return
    born = {
        row["alias_id"]: row["born_at"]
        for row in session.execute(
            "DELETE FROM identity.alias WHERE alias_id = ANY (%s) RETURNING alias_id, born_at", [list(assigned.revived)]
        )
    }
    lines = []
    for person, group in zip(assigned.ids, groups, strict=True):
        if person in missing:
            tables = ",".join(sorted({population.records[number].source_table for number in group}))
            lines.append(f"{person}\t{population.records[group[0]].kind}\t{len(group)}\t{{{tables}}}\n")
    _copy(session, "COPY identity.person (person_id, kind, record_count, source_tables) FROM STDIN", lines)
    for person, born_at in born.items():
        session.execute("UPDATE identity.person SET created_at = %s WHERE person_id = %s", [born_at, person])


def _write_members(
    session: "Session", population: Population, person_of: Mapping[int, UUID], evidence: Mapping[int, str], first: bool
) -> None:
    """Write whose each record is, where it is not so yet. ``first``: there are no rows of these records."""
    lines = (
        f"{population.ids[number]}\t{population.records[number].source_table}"
        f"\t{_escaped(population.records[number].source_key)}\t{person}\t{_escaped(evidence.get(number, '{}'))}\n"
        for number, person in person_of.items()
    )
    columns = "(record_id, source_table, source_key, person_id, evidence)"
    if first:
        with bulk.bare(session, "identity.member", rows=len(person_of)):
            _copy(session, f"COPY identity.member {columns} FROM STDIN", lines)
        return
    session.execute(
        "CREATE TEMP TABLE IF NOT EXISTS settled (record_id bigint, source_table text, source_key text,"
        " person_id uuid, evidence jsonb) ON COMMIT DROP"
    )
    session.execute("TRUNCATE pg_temp.settled")
    _copy(session, f"COPY pg_temp.settled {columns} FROM STDIN", lines)
    session.execute("ANALYZE pg_temp.settled")
    session.execute(
        """
        UPDATE identity.member AS m SET person_id = s.person_id, evidence = s.evidence,
            since = CASE WHEN m.person_id = s.person_id THEN m.since ELSE now() END
        FROM pg_temp.settled AS s
        WHERE s.record_id = m.record_id AND (s.person_id, s.evidence) IS DISTINCT FROM (m.person_id, m.evidence)
        """
    )
    session.execute(
        """
        INSERT INTO identity.member (record_id, source_table, source_key, person_id, evidence)
            SELECT record_id, source_table, source_key, person_id, evidence FROM pg_temp.settled AS s
            WHERE NOT EXISTS (SELECT FROM identity.member AS m WHERE m.record_id = s.record_id)
        """
    )


def _write_merged(session: "Session", population: Population, assigned: Assigned, before: Mapping[int, UUID]) -> int:
    """Make aliases of the ids that were merged, and forget their people; return how many there were."""
    if not assigned.merged:
        return 0
    into = [{"alias": str(alias), "person": str(person)} for alias, person in assigned.merged.items()]
    session.execute(
        """
        INSERT INTO identity.alias (alias_id, person_id, reason, born_at)
            SELECT m.alias, m.person, 'merged', coalesce(p.created_at, now())
            FROM jsonb_to_recordset(%s::jsonb) AS m (alias uuid, person uuid)
                LEFT JOIN identity.person AS p ON p.person_id = m.alias
            ON CONFLICT (alias_id) DO UPDATE SET person_id = excluded.person_id
        """,
        [json.dumps(into)],
    )
    had = [
        {"alias": str(person), "person": str(assigned.merged[person]), "table": population.records[number].source_table,
         "key": population.records[number].source_key}
        for number, person in before.items() if person in assigned.merged
    ]  # fmt: skip
    # What one of its own aliases had, which moved with it above, stays that alias's.
    session.execute(
        """
        INSERT INTO identity.former_member (alias_id, source_table, source_key)
            SELECT h.alias, h.table, h.key
            FROM jsonb_to_recordset(%s::jsonb) AS h (alias uuid, person uuid, "table" text, key text)
            WHERE NOT EXISTS (
                SELECT FROM identity.alias AS a JOIN identity.former_member AS f USING (alias_id)
                WHERE a.person_id IN (h.alias, h.person) AND f.source_table = h.table AND f.source_key = h.key
            )
            ON CONFLICT DO NOTHING
        """,
        [json.dumps(had)],
    )
    session.execute(
        "UPDATE identity.alias AS a SET person_id = m.person_id FROM identity.alias AS m WHERE m.alias_id = a.person_id"
    )
    deleted = session.execute(
        "DELETE FROM identity.person AS p WHERE p.person_id = ANY (%s)"
        " AND NOT EXISTS (SELECT FROM identity.member AS m WHERE m.person_id = p.person_id)",
        [list(assigned.merged)],
    )
    return deleted.rowcount


def _copy(session: "Session", statement: str, lines: Iterable[str]) -> None:
    """Write lines by COPY, many at a time."""
    left = iter(lines)
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        while block := "".join(islice(left, 4096)):
            copy.write(block)


def _escaped(text: str) -> str:
    """Return a text as COPY reads it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
