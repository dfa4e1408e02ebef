"""A run of few changes reads no large table whole: counted by PostgreSQL, with the statistics that a table has."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from warehouse_pipelines import queries, warehouse
from warehouse_pipelines.unified.identity import resolve, weights
from warehouse_pipelines.unified.identity.normalise import block_keys
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.record_lines import COLUMNS, copy_line

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

PEOPLE = 6_000
LARGE = ("record", "member", "person", "household", "property", "edge", "touch")
"""What grows with the records."""


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.session(database_url) as lent:
        yield lent


def town() -> Iterator[Record]:
    """Couples, a house each, with two records and a call each; every tenth writes a form without a name, too."""
    for number in range(PEOPLE):
        surname = f"{'abcdefghij'[number // 2 % 10]}{'klmnopqrst'[number // 20 % 10]}son"
        first = ("ann", "ben")[number % 2]
        phone, email = f"+1937{2_000_000 + number}", f"{first}{number}@example.com"
        street, zip_code = f"{number // 2} elm st", f"{45_000 + number // 200}"
        for table in ("hubspot_contact", "genius_lead"):
            yield Record(
                table, str(number), "customer", f"{first.title()} {surname.title()}", first, None, surname,
                emails=(email,), phones=(phone,), street=street, city="dayton", state="oh", zip=zip_code,
                ids=(f"{table}:{number}",),
            )  # fmt: skip
        written = (email,) if number % 10 == 0 else ()
        yield Record(
            "callrail_call", str(number), "touch", emails=written, phones=(phone,), ids=(f"callrail_call:{number}",)
        )


def rows_read(session: "Session") -> tuple[dict[str, int], int]:
    """Return the rows of large tables that this transaction has read: of whole tables, and all by index."""
    rows = session.execute(
        "SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0) AS found FROM pg_stat_xact_user_tables"
        " WHERE schemaname = 'identity' AND relname = ANY (%s)",
        [list(LARGE)],
    ).fetchall()
    return {row["relname"]: row["seq_tup_read"] for row in rows}, sum(row["found"] for row in rows)


@pytest.mark.slow("many records")
def test_few_changes_read_no_large_table_whole(session: "Session") -> None:
    with session.cursor() as cursor, cursor.copy(f"COPY identity.record ({', '.join(COLUMNS)}) FROM STDIN") as copy:
        copy.write("".join(copy_line(record, block_keys(record)) for record in town()))
    session.execute("ANALYZE identity.record")
    with session.transaction():
        resolve.lock(session)
        current = weights.current(session)
        made = resolve.Summary()
        resolve.rebuild(session, current, made)
    assert (made.persons, made.touches) == (PEOPLE, PEOPLE)
    session.execute("ANALYZE")

    changed = session.execute(
        "SELECT record_id, source_key, block_keys FROM identity.record"
        " WHERE source_table = 'genius_lead' AND source_key = ANY ('{100,1200,2300,3400}')"
    ).fetchall()
    ids = [row["record_id"] for row in changed]
    before = frozenset(key for row in changed for key in row["block_keys"])
    after = frozenset(f"p:+1937{2_000_007 + int(row['source_key'])}" for row in changed)
    with session.transaction():
        resolve.lock(session)
        # One moves, others get the number of a stranger; and a whole couple goes.
        session.execute(
            "UPDATE identity.record SET phones = ARRAY[n.phone], updated_at = now(),"
            " street = CASE source_key WHEN '100' THEN '9 oak st' ELSE street END,"
            " block_keys = array_replace(block_keys, 'p:' || phones[1], 'p:' || n.phone)"
            " FROM (SELECT record_id AS id, '+1937' || 2000007 + source_key::integer AS phone FROM identity.record"
            " WHERE record_id = ANY (%s)) AS n WHERE n.id = record_id",
            [ids],
        )
        session.execute("DELETE FROM identity.record WHERE source_key IN ('4400', '4401') AND kind = 'customer'")
        whole_before, found_before = rows_read(session)
        summary = resolve.Summary()
        resolve.update(session, ids, before, before | after, current, summary)
        whole, found = rows_read(session)
    assert (summary.changed, summary.merged) == (4, 0)
    assert summary.written >= 4
    assert summary.touches >= 2, "the couple's calls are nobody's now"
    assert whole == whole_before
    assert 0 < found - found_before < 5_000
    left = session.execute(
        "SELECT (SELECT count(*) FROM identity.household) AS households,"
        " (SELECT count(*) FROM identity.property) AS properties,"
        " (SELECT count(*) FROM identity.property WHERE street = '2200 elm st') AS empty,"
        " (SELECT count(*) FROM identity.left_household) + (SELECT count(*) FROM identity.left_property) AS noted"
    ).fetchone()
    assert left is not None
    assert (left["empty"], left["noted"]) == (0, 0)
    assert left["households"] <= PEOPLE // 2 + 1


def test_records_that_are_missing_are_found_in_one_pass(session: "Session") -> None:
    """What PostgreSQL asks of each record in turn it asks of millions, where it may not keep the answers in memory."""
    session.execute("CREATE TEMP TABLE incoming_record AS SELECT source_table, source_key FROM identity.record")
    explained = session.execute(
        "EXPLAIN " + queries.query("identity_remove_records"), {"tables": ["hubspot_contact"], "known": None}
    ).fetchall()
    lines = [line for row in explained for line in row.values()]
    assert [line for line in lines if "Anti Join" in line]
    assert not [line for line in lines if "SubPlan" in line]
