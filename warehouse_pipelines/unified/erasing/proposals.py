"""Erasures that vendors start: a record that its vendor deleted for good is proposed for erasure here.

HubSpot deletes a contact for good when somebody asks it to for the sake of privacy, and the sync learns that the
vendor does not even list it as deleted (``delete_reason = 'erased'``). The same is true of a contact that somebody
deleted by hand long ago and HubSpot has forgotten since. So it is a proposal, which a person decides on;
``WAREHOUSE_ERASE_AT_ONCE`` decides on all.

An erasure takes the whole person, in all CRMs. So nobody is proposed of whom the vendor still has a living record of
the same kind, in this account or in another: one of two records of a customer was deleted, or the company moved to
another portal. Many proposals at once look like a read of another account, or like a bin that was emptied: they are
erased together only if forced.

A contact that was merged into another looks the same until the merge is told of, which may be after its deletion:
HubSpot tries a delivery for a day. So a record is up for a decision ``SURE_AFTER`` it was deleted, and only if its row
still says that it is; it is proposed at once, because nothing is sent to who is proposed (``outbound.withheld``).
"""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import TooManyErasures, WrongUse
from warehouse_pipelines.loading.erased import ERASED_RECORD
from warehouse_pipelines.model.accounts import declared_table, tables_of
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified.erasing import erasure, subject
from warehouse_pipelines.unified.erasing.files import Places
from warehouse_pipelines.unified.erasing.holdings import entities, tables
from warehouse_pipelines.unified.people_rows import PEOPLE

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

REASON = "the vendor has it no more, not even among what it lists as deleted"

SURE_AFTER = timedelta(hours=26)
"""HubSpot tries a delivery for a day, and here it is tried for 40 minutes, or waits an hour for a budget."""

FEW, LARGEST_SHARE = 10, 0.05
"""More proposals of a table at once, and more than this share of its rows, are erased only if forced."""

_LIVES_ELSEWHERE = """
    EXISTS (
        SELECT FROM identity.member AS m JOIN identity.member AS o USING (person_id)
            JOIN identity.record AS r ON r.record_id = o.record_id
        WHERE (m.source_table, m.source_key) = ({label}, {key}) AND r.record_id <> m.record_id
            AND r.source_table = ANY ({tables}) AND r.kind = 'customer' AND NOT r.deleted)
"""
"""Whether the person of a record has a living one in any of these tables."""


def find(session: "Session") -> int:
    """Propose the records that their vendor deleted for good since this was last asked; return how many.

    What was proposed of a person of whom the vendor has a living record by now is proposed no more.
    """
    there = tables(session)
    found = 0
    for row in PEOPLE:
        table = there.get(row.table)
        if table is None or row.kind != "customer":
            continue
        lives = sql.SQL(_LIVES_ELSEWHERE)
        of = {"label": row.table, "tables": [*tables_of(declared_table(entities()[row.table]), SOURCES)]}
        withdraw = sql.SQL("""
            DELETE FROM identity.erasure_proposal AS p
            WHERE p.source_table = {label} AND p.dismissed_at IS NULL AND {lives}
        """).format(label=row.table, lives=lives.format(key=sql.SQL("p.source_key"), **of))
        session.execute(withdraw)
        statement = sql.SQL("""
            INSERT INTO identity.erasure_proposal (source_table, source_key, reason)
            SELECT {label}, {key}, {reason} FROM {table} AS t
            WHERE t.archived AND t.delete_reason = 'erased' AND t.raw_data <> {erased}::jsonb AND NOT {lives}
            ON CONFLICT DO NOTHING
        """).format(
            label=row.table, key=table.key(), reason=REASON, table=table.identifier, erased=ERASED_RECORD,
            lives=lives.format(key=table.key(), **of),
        )  # fmt: skip
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
    refuted = [(name, key) for name, some in keys.items() for key in some if (name, key) not in found]
    if refuted:
        names, keys_of = zip(*refuted, strict=True)
        session.execute(
            "DELETE FROM identity.erasure_proposal AS p USING unnest(%s::text[], %s::text[]) AS r (label, key)"
            " WHERE (p.source_table, p.source_key) = (r.label, r.key) AND p.dismissed_at IS NULL",
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


def _require_few(session: "Session") -> None:
    there = tables(session)
    counts = Counter(row["source_table"] for row in waiting(session))
    for label, count in counts.items():
        if count <= FEW or label not in there:
            continue
        rows = warehouse.value(session, sql.SQL("SELECT count(*) FROM {}").format(there[label].identifier))
        if count > LARGEST_SHARE * rows:
            raise TooManyErasures(
                f"{count} of the {rows} records of {label} would be erased, each with its person in all CRMs; "
                "nobody was. Look at them, `warehouse erase --proposals`: if that is right, run it with --yes --force."
            )


def erase_all(
    session: "Session", *, by: str, places: Places | None = None, force: bool = False
) -> list[erasure.Certificate]:
    """Erase the persons of all proposals, each in a transaction of its own; return the certificates.

    Raises ``TooManyErasures`` for many at once, unless forced.
    """
    if not force:
        _require_few(session)
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
