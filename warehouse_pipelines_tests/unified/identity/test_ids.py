"""Ids that survive: which group keeps which."""

import uuid
from datetime import UTC, datetime, timedelta

from warehouse_pipelines.unified.identity.ids import Id, assign

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def known(number: int, had: set[int], alias_of: int | None = None) -> Id:
    return Id(
        uuid.UUID(int=number),
        EPOCH + timedelta(days=number),
        frozenset(had),
        None if alias_of is None else uuid.UUID(int=alias_of),
    )


def test_a_new_group_gets_a_new_id_and_an_unchanged_one_keeps_its_own() -> None:
    found = assign([[1, 2], [3]], [known(7, {1, 2})], [])
    assert found.ids[0] == uuid.UUID(int=7)
    assert found.new == {found.ids[1]}


def test_a_merge_keeps_the_older_id() -> None:
    found = assign([[1, 2, 3]], [known(8, {1, 2}), known(7, {3})], [])
    assert found.ids == [uuid.UUID(int=7)]
    assert found.merged == {uuid.UUID(int=8): uuid.UUID(int=7)}


def test_a_split_leaves_the_id_with_the_heavier_evidence() -> None:
    found = assign([[1, 2, 3], [4, 5]], [known(7, {1, 2, 3, 4, 5})], [(10.0, 1, 2), (30.0, 4, 5), (10.0, 2, 3)])
    assert found.ids[1] == uuid.UUID(int=7)
    assert found.new == {found.ids[0]}
    assert assign([[1, 2, 3], [4, 5]], [known(7, {1, 2, 3, 4, 5})], []).ids[0] == uuid.UUID(int=7)


def test_a_merge_undone_is_exact() -> None:
    """The younger one's records are the heavier ones, and yet the older one does not take them with its id."""
    older, younger = known(7, {1}), known(8, {2, 3})
    edges = [(40.0, 2, 3)]
    merged = assign([[1, 2, 3]], [older, younger], edges)
    assert merged.ids == [older.id]
    after = assign([[1], [2, 3]], [known(7, {1, 2, 3}), known(8, {2, 3}, alias_of=7)], edges)
    assert after.ids == [older.id, younger.id]
    assert after.revived == {younger.id}
    assert not after.new
    assert not after.merged


def test_an_alias_stays_with_the_heavier_part_of_what_it_had() -> None:
    found = assign([[1, 2, 3], [4]], [known(7, {1, 2, 3, 4}), known(8, {2, 3, 4}, alias_of=7)], [])
    assert found.ids[0] == uuid.UUID(int=7)
    assert found.new == {found.ids[1]}
    assert not found.merged


def test_an_alias_follows_its_records_to_another_person() -> None:
    found = assign([[1], [2, 3, 4]], [known(7, {1, 2, 3}), known(8, {2, 3}, alias_of=7), known(9, {4})], [])
    assert found.ids == [uuid.UUID(int=7), uuid.UUID(int=9)]
    assert found.merged == {uuid.UUID(int=8): uuid.UUID(int=9)}
