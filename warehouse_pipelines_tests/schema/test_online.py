"""Migrations of tables that are used meanwhile: who waits for whom, and what comes of a migration that was killed."""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema import migrate as migrations
from warehouse_pipelines.schema import migration_plan, online, remade_views
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.schema.verify import verify
from warehouse_pipelines_tests.harness.revision_rules import locked_seconds, long_locks
from warehouse_pipelines_tests.harness.subprocesses import eventually

FIRST = "0039"
"""The first revision that must not lock a large table for long; the ones before have been applied."""


class Doing(threading.Thread):
    """Work that goes on beside the test, which fails with it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work, self.result = work, None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._work()
        except Exception as error:
            self.error = error

    def end(self) -> Any:
        """Wait for its end, and return the result."""
        self.join(30)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.result


@contextlib.contextmanager
def load_going_on(url: str, table: str = "callrail_tag") -> Iterator[psycopg.Connection]:
    """A transaction that has written a row, as a load of minutes has."""
    with psycopg.connect(url) as connection:
        connection.execute(f"INSERT INTO {table} (id, raw_data) VALUES ('load', '{{}}')")
        yield connection


def use(url: str) -> None:
    """Read and write as others do, and fail after two seconds of waiting."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '2s'")
        connection.execute("SELECT count(*) FROM callrail_tag")
        connection.execute("INSERT INTO callrail_tag (id, raw_data) VALUES (gen_random_uuid()::text, '{}')")


def step(url: str, one: online.Step) -> Any:
    with warehouse.connect(url, application_name="a step") as session:
        return online.run(session, [("0000_test", one)])


def waits(url: str, statement: str) -> Callable[[], bool]:
    """Return what says whether a session waits with such a statement."""

    def asked() -> bool:
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
                " AND datname = current_database()",
                [statement],
            ).fetchone()
            return bool(row and row[0])

    return asked


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


INDEX = online.Index("idx_test", "public.callrail_tag", "(tag_level)")
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_test'::regclass"


def test_others_read_and_write_while_an_index_waits_for_a_load(database_url: str) -> None:
    with load_going_on(database_url) as load:
        building = Doing(lambda: step(database_url, INDEX))
        eventually(waits(database_url, "%CREATE INDEX CONCURRENTLY%idx_test%"), "the build waits")
        use(database_url)
        assert building.is_alive()
        load.commit()
    assert building.end() == ["index idx_test"]
    assert rows(database_url, VALID) == [(True,)]


def test_a_build_that_was_killed_is_begun_again(database_url: str) -> None:
    with load_going_on(database_url) as load:
        building = Doing(lambda: step(database_url, INDEX))
        eventually(waits(database_url, "%CREATE INDEX CONCURRENTLY%idx_test%"), "the build waits")
        rows(database_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a step'")
        load.commit()
    with pytest.raises(psycopg.OperationalError):
        building.end()
    assert rows(database_url, VALID) == [(False,)]
    assert step(database_url, INDEX) == ["index idx_test"]
    assert rows(database_url, VALID) == [(True,)]


@pytest.mark.slow("a schema that is migrated again")
def test_an_index_of_an_entity_that_is_missing_or_invalid_is_built(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP INDEX idx_callrail_call_company_id")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'idx_callrail_call_customer_phone_number'::regclass"
        )
    lines = ["index idx_callrail_call_company_id", "index idx_callrail_call_customer_phone_number"]
    assert [line.split(" is ")[0] for line in verify(database_url)] == [
        f"index callrail_call.{line.removeprefix('index ')}" for line in lines
    ]
    assert migrate(database_url, dry_run=True) == lines
    assert migrate(database_url) == lines
    assert migrate(database_url) == []
    assert verify(database_url) == []


def test_a_constraint_is_validated_while_others_read_and_write(database_url: str) -> None:
    with warehouse.connect(database_url) as session:
        session.execute("ALTER TABLE callrail_tag ADD CONSTRAINT short CHECK (length(name) < 9) NOT VALID")
        with session.transaction():
            online.Validate("public.callrail_tag", "short").run(session, online.Progress(session, "", ""))
            use(database_url)
    assert rows(database_url, "SELECT convalidated FROM pg_constraint WHERE conname = 'short'") == [(True,)]


def test_a_column_becomes_not_null_once_every_row_has_a_value(database_url: str) -> None:
    one = online.NotNull("public.callrail_tag", "name")
    found = """
        SELECT attnotnull, (SELECT count(*) FROM pg_constraint WHERE conname = 'callrail_tag_name_proof')
        FROM pg_attribute WHERE attrelid = 'callrail_tag'::regclass AND attname = 'name'
    """
    use(database_url)
    with pytest.raises(errors.CheckViolation):
        step(database_url, one)
    assert rows(database_url, found) == [(False, 1)]
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE callrail_tag SET name = 'known'")
    step(database_url, one)
    assert rows(database_url, found) == [(True, 0)]


def test_a_backfill_that_was_killed_goes_on_where_it_was(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO callrail_tag (id, name, raw_data) SELECT lpad(n::text, 3, '0'), '', '{}'"
            " FROM generate_series(1, 25) AS n"
        )
    one = online.Backfill("fill names", "public.callrail_tag", "name = t.name || '100%'", "t.id <> '003'", batch=10)
    with psycopg.connect(database_url) as holding:
        holding.execute("UPDATE callrail_tag SET color = 'red' WHERE id = '015'")
        filling = Doing(lambda: step(database_url, one))
        eventually(
            lambda: rows(database_url, "SELECT FROM orchestration.migration_step WHERE position = '010'") != [],
            "a batch is done",
        )
        eventually(waits(database_url, "%WITH batch AS%"), "the next batch waits")
        use(database_url)
        rows(database_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a step'")
        with pytest.raises(psycopg.OperationalError):
            filling.end()
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM callrail_tag WHERE length(id) > 3")
    step(database_url, one)
    assert rows(database_url, "SELECT name, count(*) FROM callrail_tag GROUP BY 1 ORDER BY 1") == [
        ("", 1),
        ("100%", 24),
    ]


@pytest.mark.slow("sessions that wait for each other")
def test_a_migration_that_waits_for_a_load_keeps_nobody_out(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits for a table's strongest lock keeps out all that come later, so a migration gives way."""
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE callrail_tag DROP COLUMN color CASCADE")
    with load_going_on(database_url) as load:
        migrating = Doing(lambda: migrate(database_url))
        eventually(lambda: "tries again" in caplog.text, "the migration gives way")
        for _ in range(3):
            use(database_url)
        assert migrating.is_alive()
        load.commit()
    assert "column callrail_tag.color" in migrating.end()
    assert rows(database_url, "SELECT count(*) > 3 FROM callrail_tag") == [(True,)]


REVISION = """
from pathlib import Path
from alembic import op
from warehouse_pipelines.schema import online, scripts

revision, down_revision = "9999_test", "{head}"
steps = (
    online.Backfill("fill weights", "public.callrail_tag", "weight = length(t.id)", "t.weight IS NULL"),
    online.NotNull("public.callrail_tag", "weight"),
    online.Index("idx_weight", "public.callrail_tag", "(weight)"),
)


def upgrade() -> None:
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    op.execute("ALTER TABLE callrail_tag DROP COLUMN weight")
"""


@pytest.fixture
def with_revision(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A warehouse that lacks a revision with steps."""
    with engine(database_url).connect() as connection:
        head = connection.scalar(sa.text("SELECT version_num FROM orchestration.alembic_version"))
    shutil.copytree(settings.sql_folder(), tmp_path / "sql")
    (tmp_path / "sql/migrations/versions/9999_test.py").write_text(REVISION.format(head=head))
    (tmp_path / "sql/migrations/versions/9999_test.sql").write_text(
        "ALTER TABLE callrail_tag ADD COLUMN weight integer"
    )
    monkeypatch.setattr(migrations, "sql_folder", lambda: tmp_path / "sql")
    return database_url


def written(lines: list[str]) -> list[str]:
    """Leave out what follows from any revision."""
    return [line for line in lines if "masked" not in line and line != "schema orchestration"]


@pytest.mark.slow("a schema that is migrated again")
def test_the_steps_of_a_revision_follow_it_and_are_done_once(with_revision: str) -> None:
    use(with_revision)
    lines = ["revision 9999_test", "fill weights", "NOT NULL public.callrail_tag.weight", "index idx_weight"]
    assert written(migrate(with_revision, dry_run=True)) == lines
    assert written(migrate(with_revision)) == lines
    assert rows(with_revision, "SELECT weight FROM callrail_tag") == [(36,)]
    assert migrate(with_revision) == []
    assert migrate(with_revision, down=1) == ["revision 9999_test undone"]
    assert written(migrate(with_revision)) == lines


def test_an_upgrade_leaves_what_others_built_upon_views_and_granted_on_them(with_revision: str) -> None:
    """Also where the view is otherwise now: ours are replaced in place, or made anew with the grants that they had."""
    with psycopg.connect(with_revision) as connection:
        connection.execute("CREATE SCHEMA bi")
        connection.execute("CREATE VIEW bi.tags AS SELECT id, name FROM masked.callrail_tag")
        connection.execute("CREATE VIEW bi.orders AS SELECT * FROM answers.change_orders")
        connection.execute("COMMENT ON VIEW answers.change_orders IS 'of another version'")
        connection.execute("GRANT SELECT ON masked.hubspot_deal TO PUBLIC")
        connection.execute("GRANT SELECT (id) ON masked.hubspot_contact TO PUBLIC")
    done = migrate(with_revision)
    assert "view answers.change_orders" in done
    assert "revision 9999_test" in done
    assert rows(with_revision, "SELECT weight FROM masked.callrail_tag, bi.orders, bi.tags") == []
    granted = "SELECT relname, relacl::text ~ '[{,]=r/', attacl::text ~ '[{,]=r/' FROM pg_class LEFT JOIN pg_attribute"
    granted += " ON attrelid = pg_class.oid AND attname = 'id' WHERE relnamespace = 'masked'::regnamespace"
    granted += " AND (relacl::text ~ '[{,]=r/' OR attacl::text ~ '[{,]=r/') ORDER BY 1"
    assert rows(with_revision, granted) == [("hubspot_contact", False, True), ("hubspot_deal", True, None)]
    assert migrate(with_revision) == []


@pytest.mark.parametrize("change", ["ALTER name TYPE varchar(9)", "DROP name"])
def test_an_upgrade_that_a_view_of_somebody_s_forbids_names_it(with_revision: str, tmp_path: Path, change: str) -> None:
    with psycopg.connect(with_revision) as connection:
        connection.execute("CREATE SCHEMA bi")
        connection.execute("CREATE VIEW bi.tags AS SELECT id, name FROM masked.callrail_tag")
        connection.execute('CREATE MATERIALIZED VIEW bi."Names" AS SELECT name FROM bi.tags')
    (tmp_path / "sql/migrations/versions/9999_test.sql").write_text(f"ALTER TABLE callrail_tag {change}")
    words = r"^bi\.tags, bi\.\"Names\" are built upon what has to change: .*masked\."
    with pytest.raises(WrongUse, match=words) as refused:
        migrations.upgrade(with_revision)
    assert 'DROP MATERIALIZED VIEW bi."Names"; DROP VIEW bi.tags, do this again' in str(refused.value)


def test_a_step_that_failed_is_named_and_done_the_next_time(with_revision: str) -> None:
    use(with_revision)
    with psycopg.connect(with_revision) as connection:
        connection.execute("ALTER TABLE callrail_tag ADD CONSTRAINT no CHECK (length(id) < 9) NOT VALID")
    with pytest.raises(errors.CheckViolation):
        migrate(with_revision)
    assert verify(with_revision)[0] == "fill weights of revision 9999_test is not done"
    with psycopg.connect(with_revision) as connection:
        connection.execute("ALTER TABLE callrail_tag DROP CONSTRAINT no")
    assert migrate(with_revision) == ["fill weights", "NOT NULL public.callrail_tag.weight", "index idx_weight"]
    assert verify(with_revision) == []


def test_no_revision_locks_a_large_table_for_long(empty_url: str) -> None:
    """PostgreSQL says what each does to tables that were there: nothing is guessed from its text.

    None leaves the connection so that a later statement reaches PostgreSQL otherwise than it is written.
    """
    recorder = migration_plan.EffectRecorder()

    def stage_done(connection: sa.Connection, lines: Sequence[str]) -> None:
        recorder(connection, lines)
        assert connection.scalar(sa.text("SELECT '%'")) == "%", lines

    migrations.upgrade(empty_url, stage_done)
    done = {stage.lines[0].removeprefix("revision "): stage for stage in recorder.stages if stage.lines}
    recorded = [stage for name, stage in done.items() if name[:4].isdigit() and name[:4] >= FIRST]
    assert recorded
    assert long_locks(recorded) == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE INDEX i ON callrail_call (note)", "builds an index of"),
        ("ALTER TABLE callrail_call ADD UNIQUE (note)", "builds an index of"),
        ("ALTER TABLE callrail_call ADD CHECK (note <> '')", "reads all of"),
        ("ALTER TABLE callrail_call ALTER note SET NOT NULL", "reads all of"),
        ("ALTER TABLE callrail_call ADD FOREIGN KEY (company_id) REFERENCES callrail_company", "reads all of"),
        ("ALTER TABLE callrail_call ADD COLUMN o bigserial", "rewrites"),
        ("ALTER TABLE callrail_call ADD COLUMN o uuid DEFAULT gen_random_uuid()", "rewrites"),
        ("UPDATE callrail_call SET note = ''", "reads all of"),
        ("DELETE FROM callrail_call WHERE note = ''", "reads all of"),
    ],
)
def test_what_locks_long_is_refused(database_url: str, statement: str, what: str) -> None:
    with engine(database_url).connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA masked CASCADE")
        recorder = migration_plan.EffectRecorder()
        recorder(connection, [])
        connection.exec_driver_sql(statement)
        recorder(connection, ["it"])
    found = [line for line in long_locks(recorder.stages) if "public.callrail_call," in line]
    assert found == [f"it {what} public.callrail_call, which may be large: see CONTRIBUTING.md"]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE callrail_call ADD COLUMN o text NOT NULL DEFAULT 'x'",
        "ALTER TABLE callrail_call ADD CHECK (note <> '') NOT VALID",
        "ALTER TABLE callrail_call ADD FOREIGN KEY (company_id) REFERENCES callrail_company NOT VALID",
        "CREATE TABLE another (id bigint PRIMARY KEY, call_id text REFERENCES callrail_call)",
        "UPDATE orchestration.alert_rule SET enabled = enabled",
    ],
)
def test_what_takes_a_moment_is_allowed(database_url: str, statement: str) -> None:
    with engine(database_url).connect() as connection:
        recorder = migration_plan.EffectRecorder()
        recorder(connection, [])
        connection.exec_driver_sql(statement)
        recorder(connection, ["it"])
    assert long_locks(recorder.stages) == []


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow("a server of its own"))])
@pytest.mark.slow("a schema that is migrated again")
def test_a_plan_says_what_would_be_done_and_changes_nothing(database_url: str, empty_url: str, own: bool) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP INDEX idx_callrail_call_company_id")
        connection.execute("ALTER TABLE callrail_call DROP COLUMN sentiment CASCADE")
        connection.execute(
            "INSERT INTO callrail_call (id, raw_data) SELECT n::text, '{}' FROM generate_series(1, 12000) AS n"
        )
        connection.execute("ANALYZE callrail_call")
    found = migration_plan.plan(database_url) if own else migration_plan.plan_on(database_url, empty_url)
    lines = "\n".join(found.lines())
    assert (
        "  column callrail_call.sentiment; comments of 1 column\n    public.callrail_call (12,000 rows, 1 MB): "
        in lines
    )
    assert "ACCESS EXCLUSIVE, readers and writers wait about" in lines
    assert "  index idx_callrail_call_company_id: public.callrail_call (12,000 rows, 1 MB), about 0.1 s" in lines
    assert 0 < locked_seconds(found, "public.callrail_call") < 60
    assert locked_seconds(found, "public.callrail_tag") == 0
    assert migrate(database_url, dry_run=True)[0] == "column callrail_call.sentiment"


@pytest.mark.slow("a server of its own")
def test_the_plan_of_a_migrated_warehouse_is_empty(database_url: str) -> None:
    """Roles and their memberships are no part of a dump: without the latter the copy lacks what the warehouse has."""
    assert list(migration_plan.plan(database_url).lines()) == ["Nothing to do."]


def test_a_plan_copies_what_our_roles_are_members_of(database_url: str) -> None:
    with warehouse.session(database_url) as session:
        found = session.execute(query("role_memberships"), {"roles": [*remade_views.OURS]}).fetchall()
    assert {("crm_read", "warehouse_read"), ("warehouse_read", "warehouse_masking")} == {
        (row["role"], row["member"]) for row in found
    }


def test_a_plan_names_the_large_table_that_a_revision_changes(with_revision: str) -> None:
    with warehouse.connect(with_revision) as session:
        session.execute(
            "INSERT INTO callrail_tag (id, raw_data) SELECT n::text, '{}' FROM generate_series(1, 10001) AS n"
        )
        session.execute("ANALYZE callrail_tag")
        sizes = migration_plan.sizes_of(session)
    recorder = migration_plan.EffectRecorder()
    migrations.upgrade(with_revision, recorder, dry_run=True)
    lines = list(migration_plan.Plan(tuple(recorder.stages), (), sizes).lines())
    named = lines[lines.index("  revision 9999_test") + 1]
    assert named.startswith("    public.callrail_tag (10,001 rows, 1 MB): ACCESS EXCLUSIVE, readers and writers wait")


def test_a_large_table_is_rewritten_only_when_that_is_asked_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE attgenerated = 's' AND relnamespace = 'public'::regnamespace ORDER BY 1 LIMIT 1"
        ).fetchone()
        assert row is not None
        table, column = row
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE")
        connection.execute(f"UPDATE pg_class SET reltuples = 2000000 WHERE oid = '{table}'::regclass")
    with pytest.raises(WrongUse, match=f"Adding the column {table}.{column} rewrites a table of about 2,000,000 rows"):
        migrate(database_url)
    assert f"column {table}.{column}" in migrate(database_url, rewrite=True)
