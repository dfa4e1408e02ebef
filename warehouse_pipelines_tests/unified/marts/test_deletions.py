"""What is deleted of identity is noted, so that a delta of the marts need not look at what is left."""

from typing import TYPE_CHECKING

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.marts.timeline import is_much_deleted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_pipelines.warehouse import Session

PERSON, OTHER = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
FILL = """
    INSERT INTO callrail_call (id, start_time, direction, raw_data)
        SELECT n::text, now() - n * interval '1 hour', 'inbound', '{}' FROM generate_series(1, 300) AS n;
    INSERT INTO identity.person (person_id, kind, record_count, source_tables, updated_at)
        SELECT person_id::uuid, 'customer', 1, '{}', now() FROM unnest(ARRAY['{PERSON}', '{OTHER}']) AS person_id;
    INSERT INTO identity.record (source_table, source_key, kind, fingerprint)
        SELECT 'callrail_call', n::text, 'touch', '' FROM generate_series(1, 300) AS n;
    INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)
        SELECT record_id, source_table, source_key,
            CASE WHEN source_key = '7' THEN '{PERSON}'::uuid ELSE '{OTHER}' END, 'certain', 'phone_e164', ''
        FROM identity.record;
"""
OF = "SELECT count(*) AS n FROM marts.activity_timeline WHERE person_id = %s"


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with psycopg.connect(database_url) as connection:
        connection.execute(FILL.replace("{PERSON}", PERSON).replace("{OTHER}", OTHER).encode())
    with warehouse.session(database_url) as found:
        marts.run(found)
        found.execute("SELECT pg_sleep(0.01)")
        yield found


def count(session: "Session", person: str) -> int:
    row = session.execute(OF, [person]).fetchone()
    return int(row["n"]) if row else -1


@pytest.mark.slow("other causes of a change in a mart")
def test_a_person_who_is_deleted_has_no_activities(session: "Session") -> None:
    assert (count(session, PERSON), count(session, OTHER)) == (1, 299)
    session.execute("DELETE FROM identity.touch WHERE person_id = %s", [PERSON])
    session.execute("DELETE FROM identity.person WHERE person_id = %s", [PERSON])
    marts.run(session)
    assert (count(session, PERSON), count(session, OTHER)) == (0, 299)


@pytest.mark.slow("other causes of a change in a mart")
def test_so_much_that_is_deleted_that_it_is_not_noted_is_found_too(session: "Session") -> None:
    session.execute("TRUNCATE identity.touch")
    assert is_much_deleted(session, "-infinity")
    marts.run(session)
    assert (count(session, PERSON), count(session, OTHER)) == (0, 0)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_mart_that_is_older_than_what_is_kept_is_computed_anew(session: "Session") -> None:
    session.execute("UPDATE marts.position SET read_until = now() - interval '31 days'")
    assert all(one.full for one in marts.run(session))


def test_an_erasure_leaves_nothing_of_who_was_which_record(session: "Session") -> None:
    with session.transaction():
        session.execute("SET LOCAL warehouse.erasing = on")
        session.execute("DELETE FROM identity.touch WHERE person_id = %s", [PERSON])
    noted = session.execute("SELECT person_id, source_table, source_key FROM identity.deletion").fetchall()
    assert [[*row.values()] for row in noted] == [[None, None, None]]
    marts.run(session)
    assert (count(session, PERSON), count(session, OTHER)) == (0, 299)
