"""A run of the resolver: what changed at the sources becomes people, households and what waits for a decision.

    resolve.run(session, full=False) -> Summary

Decided:

- One transaction, under one advisory lock: readers see the people of before or of after, and a run that fails leaves
  nothing behind.
- Compared again are records that changed, those that share a key which became crowded or is so no longer, and those of
  ``identity.pending``. Clustered again are the components of these, before and after: all records that edges, decisions
  or a common person join to them. So the result is that of a run from nothing; a property test holds it.
- A run compares everything when it is asked to, when there are no people yet, when the edges are of other weights, and
  when records were read by other rules (``records.RULES``), as before an upgrade.
"""

import gc
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING
from uuid import UUID

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.identity import (
    candidates,
    edges,
    households,
    partition,
    persons,
    records,
    reviews,
    touches,
    weights,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


@dataclass
class Summary:
    """What a run did: counts, and the seconds of each step.

    ``full``     everything was compared
    ``changed``  records that changed at their source, or were compared again for another reason
    ``records``  records that were clustered, and the ``persons`` that they are
    ``new``      people of records that were nobody's
    ``merged``   ids that became aliases; ``split``: people whose records were somebody else's
    ``reviews``  pairs of these records that wait for a decision
    ``written``  people of whom a value changed; ``touches`` that found, or lost, whose they are
    """

    full: bool = False
    changed: int = 0
    pairs: int = 0
    edges: int = 0
    records: int = 0
    persons: int = 0
    new: int = 0
    merged: int = 0
    split: int = 0
    reviews: int = 0
    written: int = 0
    touches: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the block."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)


@dataclass(frozen=True)
class Resolved:
    """Whose values are to be collected again: these people, and what belongs to these records; None for all.

    ``edited`` are those of the records of which only the times or the shown name differ.
    """

    persons: frozenset[UUID] | None
    records: frozenset[int] | None
    edited: frozenset[int] = frozenset()


def lock(session: "Session") -> None:
    """Wait until no other run, and nobody who decides, writes people; for the rest of the transaction."""
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended('warehouse:identity', 0))")


def run(session: "Session", *, full: bool = False) -> Summary:
    """Read what changed at the sources and make people of it; ``full`` reads and compares everything again.

    Raises ``psycopg.Error``; then nothing has changed.
    """
    summary = Summary()
    with session.transaction():
        lock(session)
        full = full or records.are_of_other_rules(session)
        with summary.step("read"):
            changed = records.refresh(session, full=full)
        current = weights.current(session)
        before = frozenset(chain.from_iterable(changed.keys_before.values()))
        if full or changed.everything or must_be_full(session, current):
            rebuild(session, current, summary)
        else:
            after = frozenset(chain.from_iterable(changed.keys_after.values()))
            update(session, changed.ids, before, after, current, summary, edited=changed.edited)
        if full:
            records.note_rules(session)
        summary.changed = changed.changed
    return summary


def rebuild(session: "Session", current: weights.Weights, summary: Summary) -> None:
    """Make all people, with all that is derived of them. In a transaction, under ``lock``.

    The first time nothing keeps up the indexes and foreign keys of identity.person while its rows are written thrice.
    """
    counting = "SELECT count(*) FROM identity.record WHERE NOT EXISTS (SELECT FROM identity.member)"
    with bulk.bare(session, "identity.person", rows=warehouse.value(session, counting)):
        _derive(session, everything(session, current, summary), frozenset(), summary)
    with summary.step("touches"):
        summary.touches = touches.refresh(session)


def update(
    session: "Session",
    ids: Collection[int],
    before: frozenset[str],
    after: frozenset[str],
    current: weights.Weights,
    summary: Summary,
    edited: Collection[int] = (),
) -> None:
    """Bring people, and all that is derived of them, up to date with records that changed; as ``changes``.

    ``before`` and ``after`` are the block keys that the records had and have.
    """
    resolved = changes(session, ids, before | after, current, summary, edited)
    with summary.step("touches"):
        held = touches.held(session, resolved.edited, (resolved.records or frozenset()) - resolved.edited)
    _derive(session, resolved, before, summary)
    with summary.step("touches"):
        summary.touches = touches.refresh(session, resolved.records, keys_before=before, held_before=held)


def _derive(session: "Session", resolved: Resolved, before: frozenset[str], summary: Summary) -> None:
    with summary.step("persons"):
        summary.written = persons.refresh(session, resolved.persons, keys_before=before)
    with summary.step("households"):
        households.refresh(session, resolved.records)


def must_be_full(session: "Session", current: weights.Weights) -> bool:
    """Return whether there are no people yet, or the edges are of other weights than the current ones."""
    [found] = session.execute(
        "SELECT EXISTS (SELECT FROM identity.member) AS people, (SELECT version FROM identity.edge LIMIT 1) AS version"
    )
    return not found["people"] or found["version"] not in (None, current.version)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: looking through millions of records and edges took it a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_uncollected()
def everything(session: "Session", current: weights.Weights, summary: Summary) -> Resolved:
    """Compare all records and make people of them. In a transaction, under ``lock``."""
    with summary.step("compare"):
        population = candidates.read_all(session)
        summary.full, summary.changed = True, len(population.ids)
        judged, joined = edges.replace_all(session, population, current)
        _note(summary, judged)
    with summary.step("cluster"):
        _release_touches(session)
        settled = partition.settle_all(session, population, joined)
        _count(summary, settled)
        # What follows in this transaction would be planned as if the two were empty: autovacuum comes too late.
        session.execute("ANALYZE identity.member (record_id, person_id, source_table, source_key)")
        session.execute("ANALYZE identity.person (person_id, kind)")
    with summary.step("review"):
        summary.reviews = reviews.settle(session, settled.torn)
        session.execute("DELETE FROM identity.pending")
        session.execute("DELETE FROM identity.pending_key")
    return Resolved(None, None)


def changes(
    session: "Session",
    ids: Collection[int],
    keys: Collection[str],
    current: weights.Weights,
    summary: Summary,
    edited: Collection[int] = (),
) -> Resolved:
    """Compare the records that changed, and make people of the components they are in.

    ``ids`` are theirs, ``keys`` their block keys before and after; ``edited`` are records with another time, or shown
    otherwise. In a transaction, under ``lock``.
    """
    with summary.step("compare"):
        deleted = {row["key"] for row in session.execute("DELETE FROM identity.pending_key RETURNING key")}
        again = set(ids) | candidates.crossed(session, deleted.union(keys))
        again |= {row["record_id"] for row in session.execute("DELETE FROM identity.pending RETURNING record_id")}
        summary.changed = len(again)
        judged, before = edges.replace_of(session, again, current)
        _note(summary, judged)
    with summary.step("cluster"):
        near = again | before | _release_touches(session, again)
        rows = session.execute(query("identity_component"), {"ids": list(near)}).fetchall()
        component = {row["record_id"] for row in rows}
        settled = partition.settle(session, component)
        _count(summary, settled)
    with summary.step("review"):
        summary.reviews = reviews.settle(session, settled.torn, component)
    valued = again.union(edited)
    found = {
        row["person_id"]
        for row in session.execute(
            "SELECT DISTINCT person_id FROM identity.member WHERE record_id = ANY (%s::bigint[])", [list(valued)]
        )
    }
    return Resolved(
        frozenset(settled.changed | found),
        frozenset(component | valued),
        frozenset(valued.difference(component, again)),
    )


def _release_touches(session: "Session", ids: Collection[int] | None = None) -> set[int]:
    """End the membership of records that have lost their names; return the ids of those who were with them."""
    rows = session.execute(
        """
        DELETE FROM identity.member AS m USING identity.record AS r
        WHERE r.record_id = m.record_id AND r.kind = 'touch'
            AND (%(ids)s::bigint[] IS NULL OR m.record_id = ANY (%(ids)s::bigint[]))
        RETURNING m.person_id
        """,
        {"ids": None if ids is None else list(ids)},
    ).fetchall()
    if not rows:
        return set()
    persons = [row["person_id"] for row in rows]
    session.execute(
        "DELETE FROM identity.person AS p WHERE p.person_id = ANY (%s)"
        " AND NOT EXISTS (SELECT FROM identity.member AS m WHERE m.person_id = p.person_id)",
        [persons],
    )
    left = session.execute("SELECT record_id FROM identity.member WHERE person_id = ANY (%s)", [persons]).fetchall()
    return {row["record_id"] for row in left}


def _note(summary: Summary, judged: edges.Judged) -> None:
    summary.pairs = judged.pairs
    summary.edges = judged.person + judged.review + judged.household


def _count(summary: Summary, settled: partition.Settled) -> None:
    summary.records, summary.persons = settled.records, settled.persons
    summary.new, summary.merged, summary.split = settled.new, settled.merged, settled.split
