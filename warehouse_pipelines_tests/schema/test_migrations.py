"""The schema: from nothing to head and back, and what it promises to whoever reads or writes it."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.model import column_texts
from warehouse_pipelines.schema import migration_plan, online, tables
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.schema.verify import verify
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.crm_database import undone_by

ENTITIES = [entity for source in SOURCES for entity in source.entities]


def contents(url: str) -> list[Any]:
    """Everything that is not PostgreSQL's own nor an extension's: relations, functions, types and schemas."""
    with psycopg.connect(url) as connection:
        return connection.execute("""
            SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
            UNION SELECT n.nspname, p.proname, 'f' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
                    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
            UNION SELECT nspname, '', 'n' FROM pg_namespace
                WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public')
            ORDER BY 1, 2, 3
        """).fetchall()


def test_head_is_what_the_entities_declare(database_url: str) -> None:
    with engine(database_url).connect() as connection:
        assert tables.differences(connection, ENTITIES) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_in_utf8_is_refused(test_server: Server, encoding: str) -> None:
    name = f"test_{encoding.lower()}_{uuid.uuid4().hex[:12]}"
    with test_server.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    for refused in (migrate, lambda url: migration_plan.plan_on(url, url)):
        with pytest.raises(WrongUse, match=rf"^The database {name} is in {encoding}, .* ENCODING 'UTF8' "):
            refused(test_server.url(name))


def test_an_older_program_says_that_the_database_is_newer(database_url: str) -> None:
    with engine(database_url).begin() as connection:
        connection.execute(sa.text("UPDATE orchestration.alembic_version SET version_num = '9999_newer'"))
    words = "This database was migrated by a newer version (9999_newer): start that, or undo with it what it added, by"
    for asked in ({}, {"dry_run": True}, {"down": 1}):
        with pytest.raises(WrongUse, match=re.escape(words)):
            migrate(database_url, **asked)
    assert [line.startswith(words) for line in verify(database_url)] == [True]


def test_up_again_down_and_up(empty_url: str) -> None:
    """A repetition does nothing, down to base leaves nothing, and up after that is the same as at first."""
    done = migrate(empty_url)
    assert [line for line in done if line.startswith("revision")] == [
        "revision 0001_orchestration",
        "revision 0002_source_tables",
        "revision 0003_crm",
        "revision 0004_pipedesk",
        "revision 0005_crm_tenants",
        "revision 0006_dead_letters",
        "revision 0008_join_keys",
        "revision 0009_sync_schedule",
        "revision 0010_cancelled_runs",
        "revision 0011_flags",
        "revision 0012_identity",
        "revision 0013_crm_feed",
        "revision 0014_lead_import",
        "revision 0015_erasure",
        "revision 0016_marts",
        "revision 0017_answers",
        "revision 0018_identity_lookups",
        "revision 0019_entered_leads",
        "revision 0020_webhooks",
        "revision 0021_reading",
        "revision 0022_alerts",
        "revision 0023_operations",
        "revision 0024_webhook_outcomes",
        "revision 0025_crm_activities",
        "revision 0026_access",
        "revision 0027_good_runs",
        "revision 0028_unread_rows",
        "revision 0030_outbound",
        "revision 0031_google_writes",
        "revision 0032_pipedesk_owned",
        "revision 0033_sequences",
        "revision 0034_many_workers",
        "revision 0035_accounts",
        "revision 0038_kept_promises",
        "revision 0039_large_tables",
        "revision 0041_calls_by_month",
        "revision 0042_changed_rows",
        "revision 0043_consent_dates",
        "revision 0044_followed_records",
        "revision 0045_refused_amounts",
        "revision 0046_identity_rules",
        "revision 0047_explained_alerts",
        "revision 0048_touches_of_several_phones",
        "revision 0049_emptied_accounts",
        "revision 0050_calls_by_hour",
        "revision 0051_one_index_of_addresses",
    ]
    assert sum(line.startswith("table ") for line in done) == len(ENTITIES)
    first = contents(empty_url)
    assert migrate(empty_url) == []
    assert contents(empty_url) == first
    assert len(migrate(empty_url, down=99)) == 46
    assert contents(empty_url) == []
    assert migrate(empty_url, down=1) == []
    migrate(empty_url)
    assert contents(empty_url) == first


@pytest.mark.slow("revisions down and up")
def test_revisions_down_and_up(database_url: str) -> None:
    first = contents(database_url)
    for line in undone_by("0003_crm"):
        assert migrate(database_url, down=1) == [line]
    assert not {"crm", "crm_archive"} & {schema for schema, _, _ in contents(database_url)}
    assert migrate(database_url, down=1) == ["revision 0002_source_tables undone"]
    assert {name for schema, name, _ in contents(database_url) if schema == "public"} == set()
    migrate(database_url)
    assert contents(database_url) == first


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_ids_become_numbers_and_texts_again(database_url: str) -> None:
    """What can be read stays; the row, its other columns and the index of the column stay as they are."""
    since = undone_by("0008_join_keys")
    assert migrate(database_url, down=len(since)) == since
    texts = {"1": "7", "2": " 42 ", "3": "not assigned", "4": "A12", "5": "", "6": "12.0", "7": "9" * 25, "8": None}
    with psycopg.connect(database_url) as connection:
        for key, text in texts.items():
            connection.execute(
                "INSERT INTO genius_lead (lead_id, agent_id, agent_name, raw_data) VALUES (%s, %s, 'Ann', '{}')",
                [key, text],
            )
            connection.execute(
                "INSERT INTO hubspot_contact (id, lead_salesrabbit_lead_id, raw_data) VALUES (%s, %s, '{}')",
                [key, text],
            )
        connection.execute(
            "INSERT INTO marketsharp_job (id, contact_id, number, raw_data)"
            " VALUES ('0B5E93C1-6D73-4A0F-8001-00000000ABCD', 'C-NO-UUID', 'ABC', '{}')"
        )
    wanted = {"1": 7, "2": 42, "3": None, "4": None, "5": None, "6": 12, "7": None, "8": None}
    assert migrate(database_url)[0] == "revision 0008_join_keys"
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT lead_id::text, agent_id, agent_name FROM genius_lead").fetchall()
        assert {key: number for key, number, _ in found} == wanted
        assert {name for *_, name in found} == {"Ann"}
        assert dict(connection.execute("SELECT id, lead_salesrabbit_lead_id FROM hubspot_contact").fetchall()) == wanted
        job = connection.execute("SELECT id, contact_id, number FROM marketsharp_job").fetchone()
        assert job == ("0b5e93c1-6d73-4a0f-8001-00000000abcd", "C-NO-UUID", "ABC")
        assert connection.execute("SELECT to_regclass('idx_genius_lead_agent_id') IS NOT NULL").fetchone() == (True,)
    migrate(database_url, down=len(since))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT agent_id FROM genius_lead WHERE lead_id = 2").fetchone() == ("42",)
    migrate(database_url)
    with engine(database_url).connect() as connection:
        assert tables.differences(connection, ENTITIES) == []


def test_first_statuses_of_before_get_the_time_at_which_they_began(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of leads; of one that changed since, its change says it, and what a user entered stays."""
    began = "SELECT to_status, created_at::date::text AS day FROM crm.lead_status_history WHERE from_status IS NULL"
    with psycopg.connect(database_url, autocommit=True) as connection:
        for who, status in (("import", "won"), ("import", "new"), ("import", "lost"), ("user", "qualified")):
            connection.execute("SELECT set_config('app.triggered_by', %s, false)", [who])
            connection.execute(
                "INSERT INTO crm.leads (organization_id, status, created_at, status_changed_at)"
                " VALUES (gen_random_uuid(), %s, '2020-03-04', '2020-03-04')",
                [status],
            )
        connection.execute("UPDATE crm.leads SET status = 'contacted' WHERE status = 'new'")
        connection.execute("UPDATE crm.lead_status_history SET created_at = '2026-11-30' WHERE from_status IS NULL")
        connection.execute("DELETE FROM orchestration.migration_step WHERE revision = '0045_refused_amounts'")
        monkeypatch.setattr(online, "BATCH", 2)
        assert "times of first statuses" in migrate(database_url)
        assert dict(connection.execute(began.encode()).fetchall()) == {
            "won": "2020-03-04", "new": "2020-03-04", "lost": "2020-03-04", "qualified": "2026-11-30",
        }  # fmt: skip


GUID, OTHER_GUID = "0B5E93C1-6D73-4A0F-8001-00000000ABCD", "0B5E93C1-6D73-4A0F-8001-00000000BEEF"


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_uuids_in_capitals_are_put_into_lower_case(database_url: str) -> None:
    """In keys of every source, in what refers to them, and in the dead letters, which are found by their key."""
    migrate(database_url, down=len(undone_by("0008_join_keys")))
    low = GUID.lower()
    with psycopg.connect(database_url) as connection:
        for key, first_name, day in (
            (GUID, "newer", 2),
            (low, "older", 1),
            (OTHER_GUID, "alone", 1),
            ("OBJECT-ID", "no UUID", 1),
        ):
            connection.execute(
                "INSERT INTO salespro_customer (customer_id, estimate_id, customer_first_name, raw_data,"
                " sync_updated_at) VALUES (%s, %s, %s, '{}', make_date(2024, 1, %s))",
                [key, GUID, first_name, day],
            )
        for estimate, number, name in ((GUID, 1, "old"), (low, 1, "new"), (GUID, 2, "another")):
            connection.execute(
                "INSERT INTO salespro_lead_result_line_item (estimate_id, job_type_number, job_type, raw_data,"
                " sync_updated_at) VALUES (%s, %s, %s, '{}', make_date(2024, 1, %s))",
                [estimate, number, name, 1 if name == "old" else 2],
            )
        connection.execute(
            "INSERT INTO pipedesk.drive_files (file_id, parent_folder_id, raw_data) VALUES (%s, %s, '{}')", [GUID, GUID]
        )
        connection.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time) VALUES ('x', 'y', now())"
        )
        for crm, entity, key in (
            ("salespro", "customers", GUID),
            ("salespro", "lead_result_line_items", f"{GUID} 2"),
            ("salespro", "customers", "OBJECT-ID"),
            ("gsheet", "rows", GUID),
        ):
            connection.execute(
                "INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, record_key, stage,"
                " rule, error_message, payload) SELECT id, %s, %s, %s, 'load', 'x', 'x', to_jsonb(%s || %s)"
                " FROM orchestration.sync_history",
                [crm, entity, key, entity, key],
            )
    assert migrate(database_url)[0] == "revision 0008_join_keys"
    with psycopg.connect(database_url) as connection:
        assert connection.execute(
            "SELECT customer_id, estimate_id, customer_first_name FROM salespro_customer ORDER BY 3"
        ).fetchall() == [
            (OTHER_GUID.lower(), low, "alone"),
            (low, low, "newer"),
            ("OBJECT-ID", low, "no UUID"),
        ]
        assert connection.execute(
            "SELECT estimate_id, job_type_number, job_type FROM salespro_lead_result_line_item ORDER BY 2"
        ).fetchall() == [(low, 1, "new"), (low, 2, "another")]
        found = connection.execute("SELECT file_id, parent_folder_id FROM pipedesk.drive_files").fetchall()
        assert found == [(low, low)]
        letters = connection.execute(
            "SELECT record_key, open_key = hashtextextended(record_key, hashtextextended("
            "crm_source || ' ' || sync_type, 0)) FROM orchestration.dead_letter ORDER BY id"
        ).fetchall()
        assert letters == [(low, True), (f"{low} 2", True), ("OBJECT-ID", True), (GUID, True)]


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_a_cancelled_run_is_a_failed_one_to_the_version_before(database_url: str) -> None:
    cancelled = (
        "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, error_message)"
        " VALUES ('x', 'y', now(), now(), 'cancelled', %s)"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(cancelled, [""])
        connection.execute(cancelled, ["by hand"])
        undone = undone_by("0010_cancelled_runs")
        assert migrate(database_url, down=len(undone)) == undone
        found = connection.execute("SELECT status, error_message FROM orchestration.sync_history").fetchall()
        assert found == [("failed", "by hand")]
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(cancelled, ["by hand"])


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_flags_kept_as_numbers_become_booleans_and_numbers_again(database_url: str) -> None:
    """What is neither 0 nor 1 is null, as the loader reads it."""
    undone = undone_by("0011_flags")
    assert migrate(database_url, down=len(undone)) == undone
    flags = "SELECT lead_id, is_dnc FROM genius_lead ORDER BY lead_id"
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = [(1, 1), (2, 0), (3, None), (4, 7)]
        for row in rows:
            connection.execute("INSERT INTO genius_lead (lead_id, is_dnc, raw_data) VALUES (%s, %s, '{}')", row)
        assert connection.execute(flags).fetchall() == rows
        migrate(database_url)
        assert connection.execute(flags).fetchall() == [(1, True), (2, False), (3, None), (4, None)]
        migrate(database_url, down=len(undone))
        assert connection.execute(flags).fetchall() == [(1, 1), (2, 0), (3, None), (4, None)]


def test_a_missing_column_and_a_missing_index_are_added(database_url: str) -> None:
    """With the rows that are there; what nobody declares is left alone."""
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE callrail_tag DROP COLUMN color CASCADE, ADD COLUMN remembered text")
        connection.execute("DROP INDEX idx_callrail_call_company_id")
        connection.execute("INSERT INTO callrail_tag (id, raw_data, remembered) VALUES ('1', '{}', 'yes')")
        connection.execute("CREATE TABLE somebody_else (x int)")
    assert sorted(migrate(database_url)) == [
        "column callrail_tag.color",
        "comments of 1 column",
        "comments of masked views",
        "index idx_callrail_call_company_id",
        "masked views: 1 made",
    ]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT color, remembered FROM callrail_tag").fetchone() == (None, "yes")
        assert connection.execute("SELECT to_regclass('somebody_else') IS NOT NULL").fetchone() == (True,)


@pytest.mark.slow("a schema that is migrated again")
def test_a_view_follows_its_file(database_url: str) -> None:
    """It is replaced in place, so that a view somebody built upon it stays, or made anew where its columns differ."""
    with psycopg.connect(database_url) as connection:
        connection.execute('CREATE VIEW upon_it AS SELECT "leadHash" FROM salesrabbit_lead_v1')
        connection.execute("COMMENT ON VIEW salesrabbit_lead_v1 IS 'of another file'")
    assert migrate(database_url) == ["view salesrabbit_lead_v1"]
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP VIEW salesrabbit_lead_v1 CASCADE")
        connection.execute("CREATE VIEW salesrabbit_lead_v1 AS SELECT 1 AS one")
    assert migrate(database_url) == [
        "view salesrabbit_lead_v1", "warehouse_read may read 1 more relation", "comments of 18 columns",
    ]  # fmt: skip
    assert migrate(database_url) == []


def test_a_column_of_another_type_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP VIEW masked.callrail_tag")
        connection.execute("ALTER TABLE callrail_tag ALTER COLUMN color TYPE integer USING NULL")
    with pytest.raises(RuntimeError, match=r"callrail_tag\.color"):
        migrate(database_url)


@pytest.mark.parametrize("comment", ["'something else'", "NULL"])
@pytest.mark.slow("a schema that is migrated again")
def test_a_table_s_comment_follows_its_row(database_url: str, comment: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(f"COMMENT ON TABLE callrail_tag IS {comment}")
        connection.execute(f"COMMENT ON COLUMN callrail_tag.color IS {comment}")
    assert migrate(database_url) == ["comments of 1 column"]
    tag = next(entity for entity in ENTITIES if entity.table == "callrail_tag")
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT obj_description(a.attrelid), col_description(a.attrelid, a.attnum) FROM pg_attribute AS a "
            "WHERE a.attrelid = 'callrail_tag'::regclass AND a.attname = 'color'"
        ).fetchone()
    assert found == (tag.about, column_texts.text(tag, "color"))


@pytest.mark.slow("a schema that is migrated again")
def test_two_migrations_at_a_time(empty_url: str) -> None:
    import threading

    done: list[Any] = []
    both = [threading.Thread(target=lambda: done.append(migrate(empty_url))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert sorted(map(bool, done)) == [False, True]
    with engine(empty_url).connect() as connection:
        assert tables.differences(connection, ENTITIES) == []


def test_nothing_is_written_when_a_migration_fails(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute("CREATE TABLE callrail_tag (id integer PRIMARY KEY)")
    before = contents(empty_url)
    with pytest.raises((RuntimeError, sa.exc.SQLAlchemyError)):
        migrate(empty_url)
    assert contents(empty_url) == before


HELPERS = r"""
CREATE SCHEMA chk;
CREATE FUNCTION chk.cols(tbl text, want text) RETURNS TABLE(missing text) LANGUAGE sql STABLE AS $f$
  SELECT w FROM unnest(string_to_array(want,' ')) AS w
  WHERE w <> '' AND NOT EXISTS (
    SELECT 1 FROM pg_attribute a
    WHERE a.attrelid = to_regclass(tbl) AND a.attname = w AND a.attnum > 0 AND NOT a.attisdropped)
$f$;
CREATE FUNCTION chk.idx(tbl text, want text) RETURNS boolean LANGUAGE sql STABLE AS $f$
  SELECT EXISTS (
    SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass(tbl) AND i.indisvalid
      AND concat((SELECT string_agg(a.attname::text, ' ' ORDER BY k.ord)
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum), ' ') LIKE concat(want, ' %'))
$f$;
CREATE FUNCTION chk.pk(tbl text) RETURNS text LANGUAGE sql STABLE AS $f$
  SELECT string_agg(a.attname::text, ' ' ORDER BY k.ord)
  FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = to_regclass(tbl) AND i.indisprimary
$f$;
CREATE FUNCTION chk.typ(tbl text, col text) RETURNS text LANGUAGE sql STABLE AS $f$
  SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
  WHERE a.attrelid = to_regclass(tbl) AND a.attname = col AND NOT a.attisdropped
$f$;
"""
"""What the conditions below call."""

HISTORY = "orchestration.sync_history"
LETTER = "orchestration.dead_letter"
SCHEDULE = "orchestration.sync_schedule"
OURS = """pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    AND n.nspname IN ('public', 'pipedesk', 'crm', 'orchestration', 'identity') AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')"""
COLUMNS = {
    SCHEDULE: (
        "id name crm_source model_name mode recurrence_type every period crontab_minute crontab_hour"
        " crontab_day_of_week crontab_day_of_month crontab_month_of_year enabled last_run next_run periodic_task_id"
        " created_at updated_at dagster_schedule_name"
    ),
    "hubspot_contact": (
        "archived deleted_at delete_reason id email firstname lastname phone address city state zip division"
        " createdate lastmodifieddate lead_id lead_agent_id lead_status lead_salesrabbit_lead_id campaign_name"
        " adgroupid search_terms marketsharp_id raw_data sync_created_at sync_updated_at"
    ),
    HISTORY: (
        "id crm_source sync_type endpoint start_time end_time status records_processed records_created"
        " records_updated records_failed error_message configuration performance_metrics created_at"
    ),
    "hubspot_deal": "id dealname amount dealstage closedate pipeline createdate hs_lastmodifieddate archived raw_data",
    "hubspot_geniususer": "id email division_name firstname lastname is_active hs_object_id",
    "hubspot_division": "id name code manager_email hs_object_id",
    "hubspot_zipcode": "id zipcode city state division hs_object_id",
    "hubspot_appointment": "id subject start_time end_time attendees meeting_outcome createdate",
    "hubspot_company": "id name archived raw_data",
    "hubspot_line_item": "id raw_data",
    "genius_lead": (
        "lead_id contact_id division_id agent_id status address1 city state zipcode firstname lastname email phone"
        " source created modified"
    ),
    "genius_prospect": "prospect_id division_id address city state zip firstname lastname email phone status source",
    "genius_appointment": "appointment_id lead_id user_id appointment_date appointment_time status notes",
    "genius_user": "user_id email firstname lastname division_id is_active role",
    "callrail_call": (
        "id customer_phone_number tracking_phone_number duration start_time answered company_id direction"
        " recording_url transcription tags custom_fields value lead_status raw_data"
    ),
    "callrail_company": "id name status created_at time_zone",
    "callrail_tracker": "id name company_id tracking_number destination_number status source",
    "salesrabbit_lead": (
        "id lead_hash disposition_id prospect_name prospect_phone prospect_email prospect_address latitude"
        " longitude created_by created_at last_modified appointment_type appointment custom_fields files"
        " sync_created_at sync_updated_at"
    ),
    "salesrabbit_user": "id email first_name last_name phone active team_id sync_created_at sync_updated_at",
    "five9_contact": "id first_name last_name email phone division status created_date sync_created_at sync_updated_at",
    "marketsharp_data": (
        "id lead_id customer_name address city state zip phone email status created_date sync_created_at"
        " sync_updated_at"
    ),
    "leadconduit_lead": (
        "id lead_id email phone first_name last_name address city state zip source campaign created_at accepted"
        " sync_created_at sync_updated_at"
    ),
    "salesrabbit_lead_v1": "leadHash dispositionId prospectName createdAt lastModified",
    "salespro_credit_application": (
        "id customer_id estimate_id credit_app_vendor credit_app_status credit_limit created_at updated_at"
    ),
    "salespro_customer": (
        "customer_id estimate_id company_id customer_first_name customer_last_name crm_source crm_source_id"
        " created_at updated_at"
    ),
    "salespro_estimate": "estimate_id customer_id total_amount status created_at updated_at",
    "salespro_lead_result": "id lead_id result_type result_date notes created_at updated_at",
    LETTER: (
        "id sync_history_id crm_source sync_type record_key stage error_category rule error_message payload"
        " attempts status created_at resolved_at"
    ),
}
TRUE = {
    "the server is PostgreSQL 13 or newer": "current_setting('server_version_num')::int >= 130000",
    "both schemas are there": "(SELECT count(*) = 2 FROM pg_namespace WHERE nspname IN ('public','orchestration'))",
    "a table begins with the name of its vendor": """
        NOT EXISTS (SELECT FROM pg_tables WHERE schemaname='public' AND tablename !~
        '^(hubspot|genius|callrail|salesrabbit|arrivy|five9|marketsharp|leadconduit|salespro|gsheet|pipedesk|gcal|gdrive)_')""",
    "columns are spelt in snake case": """NOT EXISTS (SELECT FROM information_schema.columns c
        WHERE table_schema IN ('public','orchestration') AND column_name !~ '^_?[a-z][a-z0-9_]*$'
        AND NOT EXISTS (SELECT FROM information_schema.views v
            WHERE v.table_schema=c.table_schema AND v.table_name=c.table_name))""",
    "records are kept as jsonb": "chk.typ('callrail_call','raw_data') = 'jsonb'",
    "the times of the sync are never null": """
        NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema='public'
        AND column_name IN ('sync_created_at','sync_updated_at') AND is_nullable='YES')""",
    "the id of a contact is a text": "chk.typ('hubspot_contact','id') IN ('text','character varying')",
    "the history is indexed": f"""chk.idx('{HISTORY}','crm_source sync_type') AND chk.idx('{HISTORY}','start_time')
        AND chk.idx('{HISTORY}','status')""",
    "the history has defaults": """NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema='orchestration'
        AND table_name='sync_history' AND column_name IN ('status','records_processed','records_created',
        'records_updated','records_failed','configuration','performance_metrics','created_at')
        AND column_default IS NULL)""",
    "the history refers to no other table": (
        f"NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid=to_regclass('{HISTORY}') AND contype='f')"
    ),
    "configuration and metrics are jsonb": (
        f"chk.typ('{HISTORY}','configuration')='jsonb' AND chk.typ('{HISTORY}','performance_metrics')='jsonb'"
    ),
    "leads of Genius are indexed": """chk.idx('genius_lead','division_id') AND chk.idx('genius_lead','agent_id')
        AND chk.idx('genius_lead','created') AND chk.idx('genius_lead','status')""",
    "tables of Genius have a key": """chk.pk('genius_division') IS NOT NULL AND chk.pk('genius_contact') IS NOT NULL
        AND chk.pk('genius_division_group') IS NOT NULL""",
    "change orders and their items have a key": (
        "chk.pk('genius_job_change_order') IS NOT NULL AND chk.pk('genius_job_change_order_item') IS NOT NULL"
    ),
    "every appointment has its lead": """
        NOT EXISTS (SELECT FROM genius_appointment a LEFT JOIN genius_lead l USING (lead_id)
        WHERE a.lead_id IS NOT NULL AND l.lead_id IS NULL)""",
    "a contact of HubSpot has sixty columns of its lead": """(SELECT count(*) >= 60 FROM information_schema.columns
        WHERE table_schema='public' AND table_name='hubspot_contact' AND column_name LIKE 'lead\\_%')""",
    "other properties are jsonb": "chk.typ('hubspot_contact','custom_properties') = 'jsonb'",
    "contacts of HubSpot are indexed": """(SELECT bool_and(chk.idx('hubspot_contact', c))
        FROM unnest('{email,phone,lead_id,division,createdate}'::text[]) c)""",
    "attendees are jsonb": "chk.typ('hubspot_appointment','attendees') = 'jsonb'",
    "an association with a deal has a key of three parts": (
        "chk.pk('hubspot_contact_to_deal_association') = 'contact_id deal_id association_type_id'"
    ),
    "an association with a company has a key of three parts": (
        "chk.pk('hubspot_contact_to_company_association') = 'contact_id company_id association_type_id'"
    ),
    "an estimate and a customer are unique": (
        "chk.pk('salespro_estimate') = 'estimate_id' AND chk.pk('salespro_customer') = 'customer_id'"
    ),
    "calls are indexed": """(SELECT bool_and(chk.idx('callrail_call', c))
        FROM unnest('{start_time,company_id,customer_phone_number}'::text[]) c)""",
    "CallRail has its small tables": """
        NOT EXISTS (SELECT FROM unnest(ARRAY['account','form_submission','text_message','user','tag']) t
        WHERE to_regclass(concat('public.callrail_',t)) IS NULL)""",
    "nested values of SalesRabbit are jsonb": """(SELECT bool_and(chk.typ('salesrabbit_lead', c) = 'jsonb')
        FROM unnest('{appointment,custom_fields,files}'::text[]) c)""",
    "the history has one name for CRM and entity": """NOT EXISTS (SELECT FROM information_schema.columns
        WHERE table_schema='orchestration' AND column_name IN ('crm_type','entity_name'))""",
    "the name of an entity may have a hundred characters": (
        f"chk.typ('{HISTORY}','sync_type') = 'character varying(100)'"
    ),
    "the name of a CRM may have fifty characters, in a schedule sixty-four": f"""
        chk.typ('{HISTORY}','crm_source') = 'character varying(50)'
        AND chk.typ('{SCHEDULE}','crm_source') = 'character varying(64)'""",
    "a schedule refers to no other table": (
        f"NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid=to_regclass('{SCHEDULE}') AND contype='f')"
    ),
    "schedules are indexed": f"chk.idx('{SCHEDULE}','crm_source') AND chk.idx('{SCHEDULE}','enabled')",
    "a schedule per entity": f"(SELECT count(*) FROM {SCHEDULE} WHERE enabled) = {len(ENTITIES)}",
    "the times of the sync have one name": """NOT EXISTS (SELECT FROM information_schema.columns
        WHERE column_name IN ('synced_at','last_synced','last_sync_at') AND table_schema = 'public')""",
    "every time has a zone": """NOT EXISTS (SELECT FROM information_schema.columns
        WHERE table_schema IN ('public','orchestration') AND data_type = 'timestamp without time zone')""",
    "mirrored tables have no foreign keys": (
        "NOT EXISTS (SELECT FROM pg_constraint WHERE contype='f' AND connamespace = 'public'::regnamespace)"
    ),
}
TRUE |= {
    f"{entity.table} has the columns of the sync": f"NOT EXISTS (SELECT FROM chk.cols('{entity.table}',"
    " 'raw_data archived deleted_at sync_created_at sync_updated_at'))"
    for entity in ENTITIES
}


@pytest.fixture(scope="module")
def checked(test_server: Server, template: str) -> Iterator[psycopg.Connection[Any]]:
    """One migrated database with the functions that the conditions call; nothing is left in it."""
    name = f"checked_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(test_server.create_database(name, template=template), autocommit=True) as connection:
        connection.execute(HELPERS.encode())
        yield connection
    test_server.drop_database(name)


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_has_the_columns_that_its_users_rely_on(checked: psycopg.Connection[Any], table: str) -> None:
    assert checked.execute("SELECT * FROM chk.cols(%s, %s)", [table, COLUMNS[table]]).fetchall() == []


@pytest.mark.parametrize("promise", TRUE)
def test_the_schema_keeps_its_promises(checked: psycopg.Connection[Any], promise: str) -> None:
    assert checked.execute(f"SELECT {TRUE[promise]}").fetchone() == (True,)


HISTORY_ROW = {"crm_source": "hubspot", "sync_type": "contacts", "start_time": "now", "end_time": "now"}
LETTER_ROW = {
    "sync_history_id": 1, "crm_source": "hubspot", "sync_type": "contacts", "stage": "load", "rule": "x",
    "error_message": "x", "payload": "{}",
}  # fmt: skip
SCHEDULE_ROW = {
    "name": "x", "crm_source": "x", "model_name": "x", "mode": "delta", "recurrence_type": "interval", "every": 1,
    "period": "hours",
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {HISTORY: HISTORY_ROW, LETTER: LETTER_ROW, SCHEDULE: SCHEDULE_ROW}
ONE_BAD = {"records_processed": 1, "records_failed": 1}
REASON = '{"partial_reason": "x"}'
METRICS = {"performance_metrics": '{"unchanged": 2, "filtered": 1}'}
STATES: dict[str, tuple[str, dict[str, Any], str]] = {
    "completed": (HISTORY, {"status": "completed"}, "23514"),
    "error": (HISTORY, {"status": "error", "error_message": "x"}, "23514"),
    "running": (HISTORY, {"end_time": None}, "accepted"),
    "closed without an end": (HISTORY, {"status": "success", "end_time": None}, "23514"),
    "success": (HISTORY, {"status": "success"}, "accepted"),
    "success with failures": (HISTORY, {"status": "success", **ONE_BAD}, "23514"),
    "success with a message": (HISTORY, {"status": "success", "error_message": "x"}, "23514"),
    "partial without a reason": (HISTORY, {"status": "partial"}, "23514"),
    "partial with failures": (HISTORY, {"status": "partial", **ONE_BAD}, "accepted"),
    "partial with a reason": (HISTORY, {"status": "partial", "performance_metrics": REASON}, "accepted"),
    "failed without a message": (HISTORY, {"status": "failed"}, "23514"),
    "failed with an empty message": (HISTORY, {"status": "failed", "error_message": ""}, "23514"),
    "failed": (HISTORY, {"status": "failed", "error_message": "x"}, "accepted"),
    "counts add up": (
        HISTORY, {"status": "success", "records_processed": 4, "records_created": 1, **METRICS}, "accepted",
    ),
    "counts do not add up": (
        HISTORY, {"status": "success", "records_processed": 5, "records_created": 1, **METRICS}, "23514",
    ),
    "counts of a partial run do not add up": (
        HISTORY, {"status": "partial", "records_processed": 5, "records_failed": 1, **METRICS}, "23514",
    ),
    "negative": (HISTORY, {"records_created": -1}, "23514"),
    "no CRM": (HISTORY, {"crm_source": None}, "23502"),
    "schedule": (SCHEDULE, {}, "accepted"),
    "schedule of no mode": (SCHEDULE, {"mode": "weekly"}, "23514"),
    "schedule of no period": (SCHEDULE, {"period": "fortnights"}, "23514"),
    "interval without a period": (SCHEDULE, {"period": None}, "23514"),
    "interval of nothing": (SCHEDULE, {"every": 0}, "23514"),
    "crontab": (SCHEDULE, {"recurrence_type": "crontab", "every": None, "period": None}, "accepted"),
    "letter": (LETTER, {}, "accepted"),
    "letter of no stage": (LETTER, {"stage": "fetch"}, "23514"),
    "letter of no category": (LETTER, {"error_category": "odd"}, "23514"),
    "letter without payload": (LETTER, {"payload": None}, "23502"),
    "letter without attempts": (LETTER, {"attempts": 0}, "23514"),
    "letter of no status": (LETTER, {"status": "done", "resolved_at": "now"}, "23514"),
    "letter resolved when": (LETTER, {"status": "resolved"}, "23514"),
    "letter pending and resolved": (LETTER, {"resolved_at": "now"}, "23514"),
    "letter superseded": (LETTER, {"status": "superseded", "resolved_at": "now"}, "accepted"),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_impossible_rows_are_refused(checked: psycopg.Connection[Any], case: str) -> None:
    """What the loader must never write, PostgreSQL does not take."""
    table, changes, expected = STATES[case]
    row = ROWS[table] | changes
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('%s' for _ in row)})"
    state = "accepted"
    with checked.transaction(force_rollback=True):
        try:
            with checked.transaction():
                checked.execute(statement, list(row.values()))
        except psycopg.Error as error:
            state = error.sqlstate or "?"
    assert state == expected


def test_the_dead_letters_are_the_owner_s_alone(checked: psycopg.Connection[Any]) -> None:
    """They hold whole records."""
    granted = checked.execute("SELECT relacl::text FROM pg_class WHERE oid = %s::regclass", [LETTER]).fetchone()
    assert granted is None or not re.search(r"[{,]=", granted[0] or "")


def test_names_of_indexes_fit_and_differ() -> None:
    names = [tables.index_name(entity.table_name, column) for entity in ENTITIES for column in entity.indexes]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 63
