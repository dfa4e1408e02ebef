"""Tables that differ from what the entities declare: what is added, what is refused, what is nobody's business."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness.fake_source import ENTITIES, THING


@pytest.fixture
def warehouse(bare_url: str) -> Iterator[sa.Connection]:
    """A session on a warehouse with the tables of ``FakeSource``, whose changes are taken back at the end."""
    with engine(bare_url).connect() as connection:
        yield connection
        connection.rollback()


def test_what_is_right_is_left_alone(warehouse: sa.Connection) -> None:
    assert tables.differences(warehouse, ENTITIES) == []
    assert tables.align(warehouse, ENTITIES) == []


@pytest.mark.parametrize(
    ("lost", "lines"),
    [
        ("ALTER TABLE fake_thing DROP COLUMN shade", ["column fake_thing.shade", "comments of 1 column"]),
        (
            "ALTER TABLE fake_thing DROP COLUMN phone_e164",
            ["column fake_thing.phone_e164", "index idx_fake_thing_phone_e164", "comments of 1 column"],
        ),
        ("DROP INDEX idx_fake_thing_sync_updated_at", ["index idx_fake_thing_sync_updated_at"]),
        ("COMMENT ON COLUMN fake_thing.name IS 'another'", ["comments of 1 column"]),
        ("COMMENT ON COLUMN fake_thing.name IS NULL", ["comments of 1 column"]),
        ("COMMENT ON TABLE fake_thing IS 'another'", []),
        ("ALTER TABLE fake_thing RESET (toast_tuple_target)", ["storage of 1 table"]),
    ],
)
def test_what_is_missing_is_added(warehouse: sa.Connection, lost: str, lines: list[str]) -> None:
    warehouse.exec_driver_sql(lost)
    assert tables.differences(warehouse, ENTITIES) != []
    assert tables.align(warehouse, ENTITIES) == lines
    assert tables.differences(warehouse, ENTITIES) == []


def test_how_long_a_row_may_be_is_left_to_an_administrator(warehouse: sa.Connection) -> None:
    warehouse.exec_driver_sql("ALTER TABLE fake_thing SET (toast_tuple_target = 2048)")
    assert tables.differences(warehouse, ENTITIES) == []


def test_a_missing_table_is_made_as_it_was(warehouse: sa.Connection) -> None:
    def definition() -> list[tuple[object, ...]]:
        found = warehouse.exec_driver_sql("""
            SELECT attname, format_type(atttypid, atttypmod), attnotnull, attgenerated::text,
                pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
            FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
            WHERE attrelid = 'fake_thing'::regclass AND attnum > 0
            UNION ALL SELECT indexdef, NULL, NULL, NULL, NULL, NULL FROM pg_indexes WHERE tablename = 'fake_thing'
            UNION ALL SELECT conname, pg_get_constraintdef(oid), NULL, NULL, NULL, NULL
            FROM pg_constraint WHERE conrelid = 'fake_thing'::regclass
            UNION ALL SELECT obj_description('fake_thing'::regclass), NULL, NULL, NULL, NULL, NULL
            UNION ALL SELECT reloptions::text, NULL, NULL, NULL, NULL, NULL FROM pg_class WHERE relname = 'fake_thing'
            ORDER BY 1
            """)
        return [tuple(row) for row in found]

    before = definition()
    warehouse.exec_driver_sql("DROP TABLE fake_thing")
    done = tables.align(warehouse, ENTITIES)
    assert done[0] == "table fake_thing"
    assert done[-1] == f"comments of {len(THING.pg_types)} columns"
    assert definition() == before


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("ALTER TABLE fake_thing ALTER name TYPE varchar(50)", "type fake_thing.name"),
        ("ALTER TABLE fake_thing ALTER raw_data TYPE json", "type fake_thing.raw_data"),
        ("ALTER TABLE fake_thing ALTER raw_data DROP NOT NULL", "nullability fake_thing.raw_data"),
        ("ALTER TABLE fake_thing ALTER name SET NOT NULL", "nullability fake_thing.name"),
        (
            "DROP INDEX idx_fake_thing_phone_e164; CREATE INDEX idx_fake_thing_phone_e164 ON fake_thing (name)",
            "columns of index fake_thing.idx_fake_thing_phone_e164",
        ),
        (
            "DROP INDEX idx_fake_thing_phone_e164;"
            "CREATE INDEX idx_fake_thing_phone_e164 ON fake_thing (lower(phone_e164))",
            "columns of index fake_thing.idx_fake_thing_phone_e164",
        ),
        (
            "DROP INDEX idx_fake_thing_phone_e164;"
            "CREATE UNIQUE INDEX idx_fake_thing_phone_e164 ON fake_thing (phone_e164)",
            "columns of index fake_thing.idx_fake_thing_phone_e164",
        ),
    ],
)
def test_what_only_a_written_migration_may_change_is_refused(
    warehouse: sa.Connection, change: str, refused: str
) -> None:
    """It is named, and nothing else is done either: a column that is missing as well is not added."""
    for statement in (*change.split(";"), "ALTER TABLE fake_thing DROP COLUMN custom_properties"):
        warehouse.exec_driver_sql(statement)
    before = tables.differences(warehouse, ENTITIES)
    with pytest.raises(RuntimeError, match=f"only a written migration may change it: {refused}$"):
        tables.align(warehouse, ENTITIES)
    assert tables.differences(warehouse, ENTITIES) == before


def test_what_no_entity_speaks_of_is_left_alone(warehouse: sa.Connection) -> None:
    for statement in (
        "CREATE TABLE somebody_s (id int)",
        "ALTER TABLE fake_thing ADD COLUMN own text NOT NULL DEFAULT ''",
        "CREATE INDEX own_index ON fake_thing (own)",
        "CREATE SCHEMA another",
        "CREATE TABLE another.fake_thing (id int)",
    ):
        warehouse.exec_driver_sql(statement)
    assert tables.align(warehouse, ENTITIES) == []
