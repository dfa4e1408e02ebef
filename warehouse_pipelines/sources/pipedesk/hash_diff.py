"""Find what changed in a table by comparing key and hash of each row with the warehouse's.

PipeDesk's server computes ``sync_hash`` of each row as the warehouse did when it loaded it: both are PostgreSQL, and
the server is given ``Entity.hash_seed``. The two lists of key and hash are compared in order of the key. No change is
missed, whoever made it. The cost is in the metrics of each run: ``hash_diff_rows``, ``_bytes``, ``_ms``. For 100,000
leads it is half the time and a thirteenth of the bytes of reading them, 5.5 MB (``benchmarks/hash_diff.py``).

Unconfirmed: that the hashes of the two servers agree, which they do for PostgreSQL 11 to 18. Otherwise every run would
read all rows and update none (``total_records`` near ``hash_diff_rows``).
"""

import contextlib
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources.pipedesk.reader import PipeDeskReader, Place

COMPARED_AT_ONCE = 10_000

MOST_CHANGED = 50_000
"""If more rows differ, reading all costs no more than asking for them by key."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotComparable(Exception):
    """Raised where a diff would cost more than reading all, or prove nothing."""


class Difference(NamedTuple):
    """The keys of the rows that are new or differ, and of those that are deleted."""

    changed: list[Place]
    deleted: list[Place]


def hash_diff(reader: PipeDeskReader, context: ReadContext) -> Difference:
    """Compare the table with the warehouse's. Raises ``NotComparable``."""
    began = time.monotonic()
    entity = reader.entity
    kinds = [entity.columns[key].kind for key in entity.keys]
    stored = ((reader.place(key), digest) for key, digest in context.known.hashes(entity))
    held = next(stored, None)
    changed: list[Place] = []
    deleted: list[Place] = []
    compared = 0
    with contextlib.closing(reader.walk(reader.digest, COMPARED_AT_ONCE)) as walk:
        for rows in walk:
            compared += len(rows)
            context.measure("hash_diff_bytes", len(rows) * len("".join(map(str, (*rows[0][0], rows[0][1])))))
            for place, digest in rows:
                while held is not None and held[0] < place:
                    deleted.append(held[0])
                    held = next(stored, None)
                if held is not None and held[0] == place:
                    if held[1] != digest:
                        changed.append(place)
                    held = next(stored, None)
                else:
                    changed.append(place)
                    if not _is_written_as_stored(kinds, place):
                        raise NotComparable
            if len(changed) > MOST_CHANGED:
                raise NotComparable
    while held is not None:
        deleted.append(held[0])
        held = next(stored, None)
    if not compared:
        raise NotComparable
    context.measure("hash_diff_rows", compared)
    context.measure("hash_diff_ms", round(1000 * (time.monotonic() - began)))
    return Difference(changed, deleted)


def _is_written_as_stored(kinds: Sequence[str], place: Place) -> bool:
    """Return whether the warehouse writes this key in the same way, so that both lists have it at the same place."""
    return all(kind != "uuid" or UUID.fullmatch(str(part)) for kind, part in zip(kinds, place, strict=True))
