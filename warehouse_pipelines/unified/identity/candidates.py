"""Read the records that are compared, and the pairs of them that share a key.

Decided:

- Records and pairs come as a text each, in blocks: half the time that rows through the driver's types took.
- A key that more than ``CAP`` records share makes no pairs, except an id: each of its records makes one with the record
  that the id is of. ``identity.crowded_key`` lists such keys, so a run sees which ones its changes made crowded, or
  freed, and compares all their records again. The result does not depend on who came first.
- An address that is such a key, or that staff have or had, is no evidence either where two records are found by another
  key: the records are read without it. Whose address a rep's is that 90 contacts have, no count would tell.
- Customers make pairs with customers, staff with staff, touches with nobody.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from sys import intern
from typing import TYPE_CHECKING, Any

from psycopg.rows import tuple_row

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.identity.normalise import email_key
from warehouse_pipelines.unified.identity.record import Record

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

CAP = 100
"""Records that may share a key: 4,950 pairs."""

_FIELD, _LIST = "\x1f", "\x1e"
"""Between the fields of a record, and the values of a list: separators that no text has."""

_BLOCK = 20_000
"""Rows of one answer of the server. With COPY, whose rows come one by one, the driver took four times as long."""


@dataclass(frozen=True)
class Population:
    """Records in the order of their names. A record's place in it is its number; ``numbers`` has them by row's id."""

    ids: list[int]
    records: list[Record]
    numbers: dict[int, int]


def read(session: "Session", ids: Collection[int] | None = None) -> Population:
    """Return the records of these ids, or all; touches are left out."""
    found = _population(texts(session, query("identity_records"), {"ids": None if ids is None else list(ids)}))
    _leave_out_crowded(session, found.records)
    return found


def read_all(session: "Session") -> Population:
    """Return all records, and let the server find meanwhile which of them share a key, for ``all_pairs``."""
    found = list(texts(session, query("identity_records"), {"ids": None}))
    with bulk.meanwhile(lambda: _share_keys(session)):
        population = _population(found)
    _leave_out_crowded(session, population.records)
    return population


def _population(some: Iterable[str]) -> Population:
    found = []
    for text in some:
        fields = text.split(_FIELD)
        found.append((fields[1], fields[2], int(fields[0]), _record(fields)))
    found.sort()
    return Population(
        [one[2] for one in found],
        [one[3] for one in found],
        {one[2]: number for number, one in enumerate(found)},
    )


def _leave_out_crowded(session: "Session", records: list[Record]) -> None:
    """Take the addresses out of customers' records that are crowded keys."""
    rows = session.execute("SELECT substr(key, 3) AS key FROM identity.crowded_key WHERE left(key, 2) = 'e:'")
    crowded = {row["key"] for row in rows}
    if not crowded:
        return
    for number, record in enumerate(records):
        if record.emails and record.kind == "customer":
            kept = tuple([one for one in record.emails if email_key(one) not in crowded])
            if len(kept) < len(record.emails):
                records[number] = replace(record, emails=kept)


def _share_keys(session: "Session") -> None:
    """List the records of each key, and note which keys are crowded."""
    session.execute("SET LOCAL work_mem = '256MB'")
    # By the hash of a key, customers and staff apart: a list of all records that have it costs less than a join of all.
    session.execute("CREATE TEMP TABLE shared_key ON COMMIT DROP AS " + query("identity_shared_keys"))
    session.execute("ANALYZE pg_temp.shared_key")
    session.execute("DELETE FROM identity.crowded_key WHERE left(key, 2) <> 'o:'")
    session.execute(query("identity_crowded_keys"), {"cap": CAP})
    session.execute(
        "DELETE FROM pg_temp.shared_key WHERE key IN (SELECT hashtextextended(c.key, kind)"
        " FROM identity.crowded_key AS c, unnest('{0,1}'::bigint[]) AS kind)"
    )


def all_pairs(session: "Session") -> Iterator[tuple[int, int]]:
    """Yield the ids of all pairs; in the transaction of ``read_all``."""
    for text in texts(session, query("identity_all_pairs")):
        a, _, b = text.partition(" ")
        yield int(a), int(b)


def pairs_of(session: "Session", ids: Collection[int]) -> list[tuple[int, int]]:
    """Return the ids of all pairs in which one of these records is."""
    rows = session.execute(query("identity_pairs_of"), {"ids": list(ids)}).fetchall()
    return [(row["a_id"], row["b_id"]) for row in rows]


def crossed(session: "Session", keys: Collection[str]) -> set[int]:
    """Note which of the keys became crowded or are so no longer; return the ids of their records."""
    asked = {key.removeprefix("staff:") if key.startswith("staff:e:") else key for key in keys}.union(keys)
    given = {"keys": [key for key in asked if not key.startswith("o:")], "cap": CAP}
    rows = session.execute(query("identity_crossed_keys"), given).fetchall()
    if not rows:
        return set()
    session.execute(
        "INSERT INTO identity.crowded_key (key) SELECT unnest(%s::text[])", [[r["key"] for r in rows if r["crowded"]]]
    )
    session.execute(
        "DELETE FROM identity.crowded_key WHERE key = ANY (%s)", [[r["key"] for r in rows if not r["crowded"]]]
    )
    found = session.execute(
        "SELECT record_id FROM identity.record WHERE block_keys && %s::text[] AND kind <> 'touch'",
        [[row["key"] for row in rows]],
    ).fetchall()
    return {row["record_id"] for row in found}


def _record(fields: list[str]) -> Record:
    _, table, key, kind, first, middle, last, suffix, business, emails, phones, street, unit, city, zip_code, ids = (
        fields
    )
    return Record(
        intern(table),
        key,
        "staff" if kind == "staff" else "customer",
        None,
        intern(first) or None,
        intern(middle) or None,
        intern(last) or None,
        intern(suffix) or None,
        business or None,
        tuple(emails.split(_LIST)) if emails else (),
        tuple(phones.split(_LIST)) if phones else (),
        street or None,
        unit or None,
        intern(city) or None,
        None,
        intern(zip_code) or None,
        tuple(ids.split(_LIST)) if ids else (),
    )


def texts(session: "Session", statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield the texts that a statement returns, a block of them in memory at a time."""
    session.execute("SET LOCAL cursor_tuple_fraction = 1")
    with session.cursor(name="identity_texts", row_factory=tuple_row) as cursor:
        cursor.execute(statement, parameters)
        while block := cursor.fetchmany(_BLOCK):
            for (text,) in block:
                yield text
