"""Rows of ``identity.record`` in tests, written without a source, with keys as ``records`` makes them."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from warehouse_pipelines.unified.erasing.identity import note_addresses
from warehouse_pipelines.unified.identity import resolve, weights
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.resolve import Summary

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def keys_of(record: Record) -> list[str]:
    """Return block keys: phones, e-mail addresses, ids, surname and place, house and surname."""
    found = [f"p:{phone}" for phone in record.phones] + [f"e:{email}" for email in record.emails]
    found += [f"i:{token}" for token in record.ids]
    name = record.last_name or record.business
    if name and record.street:
        found.append(f"s:{record.zip}|{record.street}|{name[:3]}")
    if record.last_name and record.first_name and record.zip:
        found.append(f"n:{record.last_name[:4]}|{record.first_name[0]}|{record.zip}")
    return sorted({f"staff:{key}" if record.kind == "staff" else key for key in found})


COLUMNS = (
    "source_table, source_key, kind, first_name, middle_name, last_name, suffix, business, emails, phones, street,"
    " unit, city, state, zip, ids, deleted"
)


def put(session: "Session", records: Iterable[Record]) -> tuple[set[int], set[str]]:
    """Write records; return the ids of those that are others than before, and their keys before and after."""
    ids, keys = set(), set()
    for record in records:
        old = session.execute(
            "SELECT record_id, block_keys, fingerprint FROM identity.record"
            " WHERE (source_table, source_key) = (%s, %s)",
            record.name,
        ).fetchone()
        now = keys_of(record)
        values = [
            list(value) if isinstance(value, tuple) else value
            for value in (getattr(record, name.strip()) for name in COLUMNS.split(","))
        ]
        places = ", ".join(["%s"] * len(values))
        fingerprint = repr(record).encode()
        if old and bytes(old["fingerprint"]) == fingerprint:
            continue
        row = session.execute(
            f"INSERT INTO identity.record ({COLUMNS}, block_keys, fingerprint) VALUES ({places}, %s, %s)"
            f" ON CONFLICT (source_table, source_key) DO UPDATE SET ({COLUMNS}, block_keys, fingerprint)"
            f" = ROW (excluded.{COLUMNS.replace(' ', '').replace(',', ', excluded.')}, excluded.block_keys,"
            " excluded.fingerprint) RETURNING record_id".encode(),
            [*values, now, fingerprint],
        ).fetchone()
        assert row is not None
        ids.add(row["record_id"])
        keys |= set(now) | set(old["block_keys"] if old else ())
    return ids, keys


def run(session: "Session", records: Iterable[Record] = (), *, full: bool = False) -> Summary:
    """Write records and resolve them: what changed, or everything."""
    summary = Summary()
    with session.transaction():
        resolve.lock(session)
        current = weights.current(session)
        ids, keys = put(session, records)
        if full or resolve.must_be_full(session, current):
            resolve.everything(session, current, summary)
        else:
            resolve.changes(session, ids, keys, current, summary)
    return summary


def remove(session: "Session", names: Collection[tuple[str, str]]) -> None:
    """Delete records as a full refresh does with those whose rows were deleted."""
    for name in names:
        row = session.execute(
            "SELECT record_id FROM identity.record WHERE (source_table, source_key) = (%s, %s)", name
        ).fetchone()
        if row:
            note_addresses(session, [row["record_id"]])
        session.execute("DELETE FROM identity.record WHERE (source_table, source_key) = (%s, %s)", name)


def people(session: "Session") -> set[frozenset[str]]:
    """Return the partition: the records of each person, by name."""
    rows = session.execute(
        "SELECT array_agg(source_table || ':' || source_key) AS names FROM identity.member GROUP BY person_id"
    ).fetchall()
    return {frozenset(row["names"]) for row in rows}


def person_of(session: "Session", record: Record) -> str:
    """Return the id of the person of a record."""
    row = session.execute(
        "SELECT person_id FROM identity.member WHERE (source_table, source_key) = (%s, %s)", record.name
    ).fetchone()
    assert row is not None
    return str(row["person_id"])
