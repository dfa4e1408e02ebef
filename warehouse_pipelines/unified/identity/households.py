"""Households: who lives together. Persons, households and properties are three things.

A household is persons at one property (``identity.property``: an address as it is compared) with one surname, or a part
of one, or with a shared phone; and persons whom an edge ``household`` joins. A person with an address has a household
alone; a person without one has a household with others only. Businesses and staff have none.

Decided:

- A household is at one property. Persons who live at two are never joined, though they share a number: numbers pass
  on. Somebody without an address, who may belong to two households, joins the one with the stronger edge.
- Groups are found by union-find in Python over pairs of numbers, 400,000 persons in 2.6 s; the pairs, the ids
  and the rows are SQL.
- A household keeps its id where most of its persons are, then most of their records. Of two that become one, the one
  that brings more keeps its id, then the older.
- A run computes what the changed persons reach: by the household that they had, the property, the edges, until nobody
  is added. So it gives what a run over all gives. Whom a household lost with the person's
  row, the trigger of ``identity.left_household`` notes.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

TABLES = {
    "household_scope": "person_id uuid PRIMARY KEY, generation integer DEFAULT 0",
    "household_person": """
        no integer PRIMARY KEY, person_id uuid, household_id uuid, property_id uuid, property_no integer,
        last_name text, record_count integer, keys text[]
        """,
    "household_group": "no integer PRIMARY KEY, grp integer",
    "household_made": """
        grp integer PRIMARY KEY, household_id uuid, is_new boolean, property_id uuid, last_name text, phones text[],
        person_count integer
        """,
    "household_move": "person_id uuid PRIMARY KEY, household_id uuid, household_before uuid",
}
"""The temporary tables of a refresh, in the order in which they are filled."""

_EMPTY_HOUSEHOLDS = """
    INSERT INTO identity.left_household SELECT h.household_id FROM identity.household AS h
    WHERE NOT EXISTS (SELECT FROM identity.person AS p WHERE p.household_id = h.household_id) ON CONFLICT DO NOTHING
    """
_EMPTY_PROPERTIES = """
    INSERT INTO identity.left_property SELECT q.property_id FROM identity.property AS q
    WHERE NOT EXISTS (SELECT FROM identity.person AS p WHERE p.property_id = q.property_id) ON CONFLICT DO NOTHING
    """


def refresh(session: "Session", record_ids: Collection[int] | None = None) -> int:
    """Compute the households that these records' persons reach, or all; return how many persons have another one now.

    ``persons.refresh`` ran before, in the same transaction: who was written there counts as changed. Raises
    ``psycopg.Error``.
    """
    everybody = record_ids is None
    with bulk.step(session, memory="128MB" if everybody or len(record_ids or ()) >= bulk.MANY else None):
        for name, columns in TABLES.items():
            bulk.temporary(session, name, columns)
        if record_ids is not None:
            _find_scope(session, record_ids)
        else:
            _insert(session, "household_scope", "SELECT person_id FROM identity.person")
        _insert(session, "household_person", query("households_persons"))
        session.execute("CREATE INDEX ON household_person (person_id)")
        bulk.fill(session, "household_group", _groups(session))
        bulk.analyze(session, "household_group")
        made = _insert(session, "household_made", query("households_made"))
        with bulk.bare(session, "identity.household", rows=made):
            session.execute(query("households_insert"))
        session.execute(query("households_update"))
        moved = _insert(session, "household_move", query("households_moves"))
        session.execute(query("households_lost"))
        with bulk.bare(session, "identity.person", rows=moved):
            session.execute(query("households_move"))
        if everybody:
            session.execute("ANALYZE identity.person (household_id, property_id), identity.household (household_id)")
            session.execute(_EMPTY_HOUSEHOLDS)
        session.execute("ANALYZE identity.left_household, identity.left_property")
        session.execute(query("households_left"))
        if everybody:
            session.execute(_EMPTY_PROPERTIES)
        session.execute(query("properties_left"))
        session.execute("DELETE FROM identity.left_household")
        session.execute("DELETE FROM identity.left_property")
        for name in reversed(TABLES):
            session.execute(f"DROP TABLE pg_temp.{name}")
    return moved


def _find_scope(session: "Session", record_ids: Collection[int]) -> None:
    """Fill household_scope with the persons that may be in a household with a changed one, in whole households."""
    session.execute("ANALYZE identity.left_household")
    changed = query("households_changed_persons")
    session.execute(f"INSERT INTO household_scope {changed}", {"records": list(record_ids)})
    generation = 0
    while True:
        bulk.analyze(session, "household_scope")
        reached = session.execute(
            f"INSERT INTO household_scope {query('households_reached')}", {"generation": generation}
        ).rowcount
        if not reached:
            return
        generation += 1


def _groups(session: "Session") -> Iterable[tuple[int, int]]:
    """Return the number of each person who has a household, and the number of its group."""
    places = array("i", [0])
    places.extend(no for (no,) in _copied(session, "SELECT property_no FROM household_person ORDER BY no", 1))
    parents = join(places, _links(session))
    sizes = array("i", bytes(4 * len(places)))
    for no in range(1, len(places)):
        sizes[_root(parents, no)] += 1
    return ((no, root) for no, root in enumerate(parents) if no and (places[root] or sizes[root] > 1))


def _links(session: "Session") -> Iterable[tuple[int, ...]]:
    yield from _copied(session, query("households_links_property"), 2)
    yield from _copied(session, query("households_links_edges"), 2)


def _copied(session: "Session", select: str, columns: int) -> Iterable[tuple[int, ...]]:
    """Yield the rows of a query that returns integers; COPY keeps none of them in memory."""
    with session.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT".encode()) as copy:
        copy.set_types(["int4"] * columns)
        yield from copy.rows()


def join(places: "array[int]", links: Iterable[tuple[int, ...]]) -> "array[int]":
    """Return the parent of each number after its links were followed in their order, but none between two places.

    ``places`` has the property of each number, 0 for none, and afterwards at a root that of its group.
    """
    parents = array("i", range(len(places)))
    for a, b in links:
        one, other = _root(parents, a), _root(parents, b)
        if one == other:
            continue
        if places[one] and places[other] and places[one] != places[other]:
            continue
        if other < one:
            one, other = other, one
        parents[other] = one
        places[one] = places[one] or places[other]
    return parents


def _root(parents: "array[int]", no: int) -> int:
    root = no
    while parents[root] != root:
        root = parents[root]
    while parents[no] != root:
        parents[no], no = root, parents[no]
    return root


def _insert(session: "Session", table: str, select: str, parameters: Mapping[str, object] | None = None) -> int:
    written = session.execute(f"INSERT INTO {table} {select}", parameters).rowcount
    bulk.analyze(session, table)
    return written
