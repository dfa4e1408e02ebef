"""Erasures that vendors start: a record that its vendor deleted for good is proposed for erasure here.

HubSpot deletes a contact for good when somebody asks it to for the sake of privacy, and the sync learns that the
vendor does not even list it as deleted (``delete_reason = 'erased'``). The same is true of a contact that somebody
deleted by hand long ago and HubSpot has forgotten since. So it is a proposal, which a person decides on;
``WAREHOUSE_ERASE_AT_ONCE`` decides on all.

A contact that was merged into another looks the same until the merge is told of, which may be after its deletion:
HubSpot tries a delivery for a day. So a record is up for a decision ``SURE_AFTER`` it was deleted, and only if its row
still says that it is; it is proposed at once, because nothing is sent to who is proposed (``outbound.withheld``).
"""

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.erased import ERASED_RECORD
from warehouse_pipelines.unified.erasing import erasure, subject
from warehouse_pipelines.unified.erasing.files import Places
from warehouse_pipelines.unified.erasing.holdings import tables
from warehouse_pipelines.unified.people_rows import (
    PEOPLE,
)

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

REASON = "the vendor has it no more, not even among what it lists as deleted"

SURE_AFTER = timedelta(hours=26)
"""HubSpot tries a delivery for a day, and here it is tried for 40 minutes, or waits an hour for a budget."""


def find(session: "Session") -> int:
    """Propose the records that their vendor deleted for good since this was last asked; return how many."""
    there = tables(session)
    found = 0
    for row in PEOPLE:
        table = there.get(row.table)
        if table is None or row.kind != "customer":
            continue
        statement = sql.SQL("""
            INSERT INTO identity.erasure_proposal (source_table, source_key, reason)
            SELECT {label}, {key}, {reason} FROM {table} AS t
            WHERE t.archived AND t.delete_reason = 'erased' AND t.raw_data <> {erased}::jsonb
            ON CONFLICT DO NOTHING
        """).format(label=row.table, key=table.key(), reason=REASON, table=table.identifier, erased=ERASED_RECORD)
        found += session.execute(statement).rowcount
    return found


def waiting(session: "Session") -> list[dict[str, Any]]:
    """Return the proposals that nobody decided on, with the person that each record is of; oldest first.

    Those whose record is not deleted for good after all are withdrawn, and those that are not sure yet left out.
    """
    proposed = session.execute(
        """
        SELECT p.source_table, p.source_key, p.reason, p.found_at, m.person_id, i.record_count
        FROM identity.erasure_proposal AS p
            LEFT JOIN identity.member AS m USING (source_table, source_key)
            LEFT JOIN identity.person AS i ON i.person_id = m.person_id
        WHERE p.dismissed_at IS NULL ORDER BY p.found_at, p.source_table, p.source_key
        """
    ).fetchall()
    sure = _sure(session, proposed)
    return [row for row in proposed if (row["source_table"], row["source_key"]) in sure]


def _sure(session: "Session", proposed: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return which of these records have been deleted for good for long enough; withdraw what is not at all."""
    keys: dict[str, list[str]] = defaultdict(list)
    for row in proposed:
        keys[row["source_table"]].append(row["source_key"])
    there = tables(session) if keys else {}
    found: dict[tuple[str, str], bool] = {}
    for name, some in keys.items():
        if table := there.get(name):
            statement = sql.SQL("""
                SELECT {key} AS key, coalesce(t.deleted_at < now() - {sure_after}, true) AS sure FROM {table} AS t
                WHERE {among} AND t.archived AND t.delete_reason = 'erased'
            """).format(key=table.key(), sure_after=SURE_AFTER, table=table.identifier, among=table.having(some))
            found |= {(name, row["key"]): row["sure"] for row in session.execute(statement).fetchall()}
    gone = [(name, key) for name, some in keys.items() for key in some if (name, key) not in found]
    if gone:
        names, keys_of = zip(*gone, strict=True)
        session.execute(
            "DELETE FROM identity.erasure_proposal AS p USING unnest(%s::text[], %s::text[]) AS g (label, key)"
            " WHERE (p.source_table, p.source_key) = (g.label, g.key) AND p.dismissed_at IS NULL",
            [list(names), list(keys_of)],
        )
    return {record for record, sure in found.items() if sure}


def dismiss(session: "Session", record: str, by: str) -> None:
    """Decide against a proposal, of the record ``table:key``. Raises ``WrongUse`` when there is none."""
    table, _, key = record.partition(":")
    done = session.execute(
        "UPDATE identity.erasure_proposal SET dismissed_at = now(), dismissed_by = %s"
        " WHERE source_table = %s AND source_key = %s AND dismissed_at IS NULL",
        [by, table, key],
    ).rowcount
    if not done:
        raise WrongUse(f"There is no proposal of {record}; `warehouse erase --proposals` has those there are.")


def erase_all(session: "Session", *, by: str, places: Places | None = None) -> list[erasure.Certificate]:
    """Erase the persons of all proposals, each in a transaction of its own; return the certificates."""
    done = []
    while proposals := waiting(session):
        first = proposals[0]
        record = f"{first['source_table']}:{first['source_key']}"
        ids = [row["person_id"] for row in subject.persons(session, "record", record)]
        done.append(erasure.erase(session, "record", record, ids, erased_by=by, asked_by="proposal", places=places))
        if any(one["source_table"] == first["source_table"] and one["source_key"] == first["source_key"]
               for one in waiting(session)):  # fmt: skip
            break  # it would be asked for again and again
    return done
