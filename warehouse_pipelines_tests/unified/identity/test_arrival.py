"""The order of arrival changes nothing: batches with changes, deletions and decisions end where one run ends."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import candidates
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.unified.identity.identity_records import people, put, remove, run

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

FIRST = ["john", "jon", "jack", "mary", "j", None]
LAST = ["smith", "smyth", "novak", None]
SUFFIX = [None, None, None, "jr", "sr"]
PHONES = ["+19372010001", "+19372010002", "+19372010003"]
EMAILS = ["a@example.com", "b@example.com", "c@example.com"]
STREETS = [None, "12 maple ave", "9 elm st"]
TABLES = ["hubspot_contact", "marketsharp_contact", "genius_lead"]
CLEAR = (
    "TRUNCATE identity.record, identity.member, identity.person, identity.edge, identity.review, identity.alias,"
    " identity.former_member, identity.crowded_key, identity.pending, identity.pending_key,"
    " identity.decision RESTART IDENTITY CASCADE"
)


@pytest.fixture(scope="module")
def session(shared_url: str) -> "Iterator[Session]":
    with warehouse.session(shared_url) as lent:
        yield lent


def invented(chance: random.Random, key: int) -> Record:
    """Return a record of a small town, where nearly everybody has something in common."""
    table = chance.choice(TABLES)
    ids = [f"{table}:{key}"]
    if chance.random() < 0.15:
        ids.append(f"{chance.choice(TABLES)}:{chance.randrange(20)}")
    street = chance.choice(STREETS)
    return Record(
        table, str(key), "staff" if chance.random() < 0.05 else "touch" if chance.random() < 0.05 else "customer",
        first_name=chance.choice(FIRST), last_name=chance.choice(LAST), suffix=chance.choice(SUFFIX),
        business="smith roofing" if chance.random() < 0.1 else None,
        emails=tuple(chance.sample(EMAILS, chance.choice([0, 1, 1, 2]))),
        phones=tuple(chance.sample(PHONES, chance.choice([0, 1, 1, 2]))),
        street=street, city=street and "dayton", zip=street and "45402", ids=tuple(ids),
    )  # fmt: skip


def decide(session: "Session", chance: random.Random, names: list[tuple[str, str]]) -> None:
    """Write a decision as ``decisions`` does, of records that may not be there."""
    a, b = sorted(chance.sample(names, 2))
    verdict = chance.choice(["same", "apart"])
    session.execute(
        "UPDATE identity.decision SET withdrawn_at = now() WHERE (a_table, a_key, b_table, b_key) = (%s, %s, %s, %s)"
        " AND withdrawn_at IS NULL",
        [*a, *b],
    )
    if chance.random() < 0.8:
        session.execute(
            "INSERT INTO identity.decision (verdict, command, a_table, a_key, b_table, b_key, decided_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, 'ann')",
            [verdict, "confirm" if verdict == "same" else "reject", *a, *b],
        )
    for name in (a, b):
        session.execute(
            "INSERT INTO identity.pending SELECT record_id FROM identity.record"
            " WHERE (source_table, source_key) = (%s, %s) ON CONFLICT DO NOTHING",
            name,
        )


def outcome(session: "Session") -> dict[str, object]:
    """Return everything that a run makes, without what depends on when it ran."""
    found: dict[str, object] = {"people": people(session)}
    for table, columns in {
        "edge": "relation, score, rules, evidence::text", "review": "score, reason, evidence",
    }.items():  # fmt: skip
        rows = session.execute(
            f"SELECT least(a.source_table || a.source_key, b.source_table || b.source_key),"
            f" greatest(a.source_table || a.source_key, b.source_table || b.source_key) AS other, {columns}"
            f" FROM identity.{table} AS e JOIN identity.record AS a ON a.record_id = e.a_id"
            " JOIN identity.record AS b ON b.record_id = e.b_id".encode()
        ).fetchall()
        found[table] = sorted(str(tuple(row.values())) for row in rows)
    rows = session.execute("SELECT source_table, source_key, evidence::text FROM identity.member").fetchall()
    found["members"] = sorted(str(tuple(row.values())) for row in rows)
    found["crowded"] = session.execute("SELECT key FROM identity.crowded_key ORDER BY 1").fetchall()
    return found


@settings(max_examples=examples(6, of=15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), cap=st.sampled_from([3, 100]))
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_batches_end_where_one_run_ends(
    session: "Session", monkeypatch: pytest.MonkeyPatch, seed: int, cap: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(candidates, "CAP", cap)
    session.execute(CLEAR)
    now: dict[tuple[str, str], Record] = {}
    for _ in range(chance.randint(2, 6)):
        batch = []
        for _ in range(chance.randint(1, 7)):
            record = invented(chance, chance.randrange(20))
            now[record.name] = record
            batch.append(record)
        if now and chance.random() < 0.3:
            removed = chance.sample(sorted(now), min(len(now), chance.randint(1, 3)))
            remove(session, removed)
            for name in removed:
                del now[name]
            batch = [record for record in batch if now.get(record.name) is record]
        for _ in range(chance.randint(0, 2) if len(now) > 1 else 0):
            decide(session, chance, sorted(now))
        run(session, [record for record in batch if now.get(record.name) is record])
    in_batches = outcome(session)
    with session.transaction(force_rollback=True):
        run(session, full=True)
        assert outcome(session) == in_batches, "a full run on top"

    order = list(now.values())
    chance.shuffle(order)
    kept = session.execute("SELECT * FROM identity.decision ORDER BY decision_id").fetchall()
    session.execute(CLEAR)
    for row in kept:
        columns = ", ".join(name for name in row if name != "decision_id")
        places = ", ".join(["%s"] * (len(row) - 1))
        session.execute(
            f"INSERT INTO identity.decision ({columns}) VALUES ({places})",
            [value for name, value in row.items() if name != "decision_id"],
        )
    put(session, order)
    run(session, full=True)
    assert outcome(session) == in_batches, "from nothing"
    orphans = session.execute(
        "SELECT FROM identity.person AS p"
        " WHERE NOT EXISTS (SELECT FROM identity.member AS m WHERE m.person_id = p.person_id)"
    ).fetchall()
    assert not orphans
