"""Rows of the schema identity, written directly: as ``records.refresh`` and the resolver write them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

Session = psycopg.Connection[dict[str, Any]]

ANNA = {"first_name": "anna", "last_name": "lopez", "display_name": "Anna Lopez"}
OAK = {"street": "12 oak st", "city": "seattle", "state": "wa", "zip": "98101"}
ELM = {"street": "9 elm ave", "city": "tacoma", "state": "wa", "zip": "98402"}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def record(session: "Session", table: str, key: str, **values: Any) -> int:
    """Write a record, or other values of it; return its id. What has a ``0000`` in it is a placeholder."""
    row: dict[str, Any] = {"kind": "customer", "fingerprint": b"", "phones": [], "emails": []} | values
    row["block_keys"] = [f"p:{one}" for one in row["phones"] if "0000" not in one] + [
        f"e:{one}" for one in row["emails"] if "0000" not in one
    ]
    names = ["source_table", "source_key", *row]
    found = session.execute(
        f"INSERT INTO identity.record ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
        f" ON CONFLICT (source_table, source_key) DO UPDATE SET"
        f" {', '.join(f'{name} = excluded.{name}' for name in names)} RETURNING record_id".encode(),
        [table, key, *row.values()],
    ).fetchone()
    assert found
    return int(found["record_id"])


def person(session: "Session", *record_ids: int, kind: str = "customer", person_id: UUID | None = None) -> UUID:
    """Make records one person, a new one unless ``person_id`` is given."""
    if person_id is None:
        made = session.execute(
            "INSERT INTO identity.person (kind, record_count, source_tables) VALUES (%s, 0, '{}') RETURNING person_id",
            [kind],
        ).fetchone()
        assert made
        person_id = made["person_id"]
    session.execute(
        "INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
        " SELECT record_id, %s, source_table, source_key FROM identity.record WHERE record_id = ANY (%s)"
        " ON CONFLICT (record_id) DO UPDATE SET person_id = excluded.person_id",
        [person_id, list(record_ids)],
    )
    return person_id


def edge(session: "Session", a: int, b: int, *, score: float = 1, relation: str = "household") -> None:
    session.execute(
        "INSERT INTO identity.edge (a_id, b_id, relation, score, rules, version)"
        " VALUES (%s, %s, %s, %s, '{phone_e164}', 1)"
        " ON CONFLICT (a_id, b_id) DO UPDATE SET score = excluded.score",
        [min(a, b), max(a, b), relation, score],
    )


def row_of(session: "Session", table: str, key: str, value: object) -> Mapping[str, Any]:
    """Return the row of ``identity.<table>`` whose column ``key`` is ``value``."""
    found = session.execute(f"SELECT * FROM identity.{table} WHERE {key} = %s", [value]).fetchone()
    assert found, f"identity.{table} has no row with {key} = {value}"
    return found
