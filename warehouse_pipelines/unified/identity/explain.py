"""Say in words why two records, or people, are or are not one person.

    explain(session, "hubspot_contact:1", "callrail_call:c1") -> str

Of one person: the path of edges and decisions from one record to the other, the fewest steps, the best edges first. Of
two: the decision, the gate or the score that keeps them apart, by the edge of the two or by comparing them now. In SQL
``identity.explain(a_table, a_key, b_table, b_key)`` says it in one sentence.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import candidates, decisions, edges, weights
from warehouse_pipelines.unified.identity.cluster import Called, contradict
from warehouse_pipelines.unified.identity.compare import Comparison, compare, words
from warehouse_pipelines.unified.identity.decisions import Meant, Name
from warehouse_pipelines.unified.identity.record import Record

if TYPE_CHECKING:
    from uuid import UUID

    from warehouse_pipelines.warehouse import Session


@dataclass(frozen=True)
class _Side:
    """One of the two that were asked for: a record, and whose it is."""

    record_id: int
    name: Name
    person_id: "UUID | None"

    @property
    def text(self) -> str:
        return ":".join(self.name)


def explain(session: "Session", a: str, b: str) -> str:
    """Return why ``a`` and ``b`` are, or are not, one person. Raises ``WrongUse`` when one of them cannot be found."""
    with session.transaction():
        return _explain(session, a, b)


def _explain(session: "Session", a: str, b: str) -> str:
    one, other = decisions.find(session, a), decisions.find(session, b)
    if one.kind != other.kind or "touch" in (one.kind, other.kind):
        return _of_kinds(session, (a, one), (b, other))
    if one.person_id is not None and one.person_id == other.person_id and None in (one.record, other.record):
        return _of_itself(session, one, other)
    a_side, b_side = _sides(session, one, other)
    if a_side.person_id is not None and a_side.person_id == b_side.person_id:
        return "\n".join(_together(session, a_side, b_side))
    return "\n".join(_apart(session, a_side, b_side))


def _of_kinds(session: "Session", one: tuple[str, Meant], other: tuple[str, Meant]) -> str:
    """Say what can be said of a touch, or of staff and a customer."""
    lines = []
    for text, meant in (one, other):
        if meant.kind == "touch" and meant.record is not None:
            row = session.execute(
                "SELECT person_id, household_id, certainty, reason FROM identity.touch"
                " WHERE (source_table, source_key) = (%s, %s)",
                meant.record,
            ).fetchone()
            whose = f"; {row['certainty']}: {row['reason']}" if row else ""
            lines.append(f"{text} has no name of its own, so it is nobody's record{whose}.")
        else:
            lines.append(f"{text} is {'staff' if meant.kind == 'staff' else 'a customer'}: person {meant.person_id}.")
    if "touch" not in (one[1].kind, other[1].kind):
        lines.append("Staff are never joined with customers.")
    return "\n".join(lines)


def _of_itself(session: "Session", one: Meant, other: Meant) -> str:
    named = one.record or other.record
    if named is None:
        return f"Both are person {one.person_id}."
    asked = "SELECT evidence FROM identity.member WHERE (source_table, source_key) = (%s, %s)"
    held = warehouse.value(session, asked, named)
    by = f"It is held there by {held['with']}: {', '.join(held['rules'])}." if held else "It is the only record."
    return f"{':'.join(named)} is a record of person {one.person_id}. {by}"


def _sides(session: "Session", one: Meant, other: Meant) -> tuple[_Side, _Side]:
    """Return the two records: those that were named, or that stand for two people."""
    sides = []
    for name in decisions.standing_for(session, one, other):
        [row] = session.execute(
            "SELECT r.record_id, m.person_id FROM identity.record AS r LEFT JOIN identity.member AS m USING (record_id)"
            " WHERE (r.source_table, r.source_key) = (%s, %s)",
            name,
        )
        sides.append(_Side(row["record_id"], name, row["person_id"]))
    return sides[0], sides[1]


def _together(session: "Session", a: _Side, b: _Side) -> list[str]:
    """Say by which edges and decisions one record leads to the other."""
    steps = session.execute(
        """
        SELECT e.a_id, e.b_id, e.score, e.rules, e.evidence, NULL AS decided_by, NULL AS decision_id
        FROM identity.member AS m
            JOIN identity.edge AS e ON e.a_id = m.record_id AND e.relation = 'person'
            JOIN identity.member AS o ON o.record_id = e.b_id AND o.person_id = m.person_id
        WHERE m.person_id = %(person)s
        UNION ALL
        SELECT m.record_id, o.record_id, NULL, NULL, NULL, d.decided_by, d.decision_id
        FROM identity.decision AS d
            JOIN identity.member AS m ON m.source_table = d.a_table AND m.source_key = d.a_key
            JOIN identity.member AS o ON o.source_table = d.b_table AND o.source_key = d.b_key
                AND o.person_id = m.person_id
        WHERE d.verdict = 'same' AND d.withdrawn_at IS NULL AND m.person_id = %(person)s
        """,
        {"person": a.person_id},
    ).fetchall()
    path = _path(steps, a.record_id, b.record_id)
    names = {
        row["record_id"]: f"{row['source_table']}:{row['source_key']}"
        for row in session.execute(
            "SELECT record_id, source_table, source_key FROM identity.member WHERE person_id = %s", [a.person_id]
        )
    }
    needed = weights.current(session).same_bits
    lines = [f"{a.text} and {b.text} are one person: {a.person_id}."]
    for step in path:
        pair = f"{names[step['a_id']]} and {names[step['b_id']]}"
        if step["decision_id"] is not None:
            lines.append(f"- {pair}: {step['decided_by']} decided that they are (decision {step['decision_id']}).")
        else:
            said = words(edges.levels_of(step["evidence"]))
            lines.append(
                f"- {pair}: {said}; {step['score']:g} bits, {needed:g} are enough ({', '.join(step['rules'])})."
            )
    return lines


def _path(steps: list[dict[str, Any]], start: int, end: int) -> list[dict[str, Any]]:
    """Return the steps from one record to the other: the fewest, and of as many the best."""
    beside: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for step in sorted(steps, key=lambda one: -(one["score"] or 0.0)):
        beside.setdefault(step["a_id"], []).append((step["b_id"], step))
        beside.setdefault(step["b_id"], []).append((step["a_id"], step))
    came: dict[int, tuple[int, dict[str, Any]] | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for there, step in beside.get(here, ()):
            if there not in came:
                came[there] = (here, step)
                waiting.append(there)
    path = []
    at = came.get(end)
    while at is not None:
        path.append(at[1])
        at = came[at[0]]
    return path[::-1]


def _apart(session: "Session", a: _Side, b: _Side) -> list[str]:
    """Say what keeps two records from being one person."""
    current = weights.current(session)
    population = candidates.read(session, [a.record_id, b.record_id])
    one = population.records[population.numbers[a.record_id]]
    other = population.records[population.numbers[b.record_id]]
    found = compare(one, other, current, edges.id_rules())
    lines = [f"{a.text} and {b.text} are not one person: {a.person_id or 'nobody'} and {b.person_id or 'nobody'}."]
    for decision in decisions.between(session, (a.person_id, b.person_id)):
        lines.append(
            f"- {decision.decided_by} decided that {':'.join(decision.a)} and {':'.join(decision.b)} are two people"
            f" (decision {decision.decision_id})."
        )
    lines.append(f"- Compared: {words(found.levels) or 'nothing that both have'}; {found.score:g} bits.")
    lines.append(f"- {_verdict(found, current, (one, other))}")
    lines += _keys(session, a, b)
    waiting = session.execute(
        """
        SELECT r.reason FROM identity.review AS r
            JOIN identity.member AS a ON a.record_id = r.a_id
            JOIN identity.member AS b ON b.record_id = r.b_id
        WHERE a.person_id = ANY (%(persons)s) AND b.person_id = ANY (%(persons)s)
        """,
        {"persons": [a.person_id, b.person_id]},
    ).fetchone()
    if waiting:
        lines.append(f"- A review of the two waits for a decision: {waiting['reason']}.")
    return lines


def _verdict(found: Comparison, current: weights.Weights, records: tuple[Record, Record]) -> str:
    if found.gate:
        also = {"household": "; they share a household", "review": "; somebody should look"}.get(found.relation, "")
        return f"The gate keeps them apart: {found.gate}{also}."
    if found.relation == "person":
        if contradict(Called.of(records[0]), Called.of(records[1])):
            return "They would be one person, but their names contradict."
        return (
            f"By themselves they would be one person ({current.same_bits:g} bits are enough), but one of them fits"
            " others better, whose names contradict the other, or fits two people equally well."
        )
    asked = "somebody should look" if found.relation == "review" else "too little"
    return f"{found.score:g} bits are {asked}: {current.same_bits:g} make one person, {current.review_bits:g} a review."


def _keys(session: "Session", a: _Side, b: _Side) -> list[str]:
    """Say so when the two were never compared."""
    row = session.execute(
        """
        SELECT count(*) AS shared, count(*) FILTER (WHERE c.key IS NULL) AS telling
        FROM identity.record AS a
            CROSS JOIN identity.record AS b
            CROSS JOIN LATERAL (SELECT unnest(a.block_keys) INTERSECT SELECT unnest(b.block_keys)) AS k (key)
            LEFT JOIN identity.crowded_key AS c USING (key)
        WHERE a.record_id = %s AND b.record_id = %s
        """,
        [a.record_id, b.record_id],
    ).fetchone()
    if row is None or row["telling"]:
        return []
    if row["shared"]:
        return [f"- What they share is shared by more than {candidates.CAP} records, so they were not compared."]
    return ["- They have no key in common (phone, e-mail address, id, name and place), so they were not compared."]
