"""Who may read what: ``warehouse_read``, and ``warehouse_read_masked``, who must not see personal data in clear."""

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema import masks, readable
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.schema.personal import HARMLESS
from warehouse_pipelines.unified.erasing.holdings import entities, reachable
from warehouse_pipelines_tests.harness.crm_database import A, B, Connection, login, one, populate, sqlstate, undone_by
from warehouse_pipelines_tests.unified.erasing import planted

DENIED = "42501"
NO_XML = "0A000"
"""Said where the server was built without XML."""

WRITES = (
    "INSERT INTO {} DEFAULT VALUES", "UPDATE {} SET sync_hash = 1", "DELETE FROM {}", "TRUNCATE {}",
    "SELECT 1 FROM {} FOR UPDATE", "LOCK TABLE {} IN SHARE MODE", "CREATE INDEX ON {} (id)",
    "ALTER TABLE {} ADD COLUMN x int", "COMMENT ON COLUMN {}.id IS 'x'",
)  # fmt: skip

ESCAPES = (
    "SET ROLE warehouse_masking", "SET ROLE crm_owner", "SET ROLE crm_app",
    "SET SESSION AUTHORIZATION warehouse_masking",
    "CREATE TABLE public.mine (id int)", "CREATE TEMP TABLE mine (id int)", "CREATE SCHEMA mine",
    "CREATE FUNCTION masked.mine(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    "CREATE FUNCTION public.mine(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    "CREATE VIEW masked.mine AS SELECT 1", "SELECT pg_read_file('postgresql.conf')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT lo_import('/etc/hostname')", "SELECT * FROM pg_statistic", "SELECT * FROM pg_authid",
    "ALTER DATABASE {database} SET search_path = x", "SET session_replication_role = replica",
    "CREATE EXTENSION dblink SCHEMA masked", "ALTER ROLE warehouse_read SUPERUSER",
    "GRANT warehouse_read TO CURRENT_USER",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    """Two people whose every column holds a token of their own, and rows of two organizations."""
    with psycopg.connect(shared_url) as connection:
        planted.plant(connection, 2)
        populate(connection, A)
        populate(connection, B)
        connection.execute(
            "INSERT INTO crm.system_config (organization_id, key, value) VALUES (%s, 'dnc.hash_key', '\"ab\"')", [A]
        )
        connection.commit()
        connection.autocommit = True
        # A copy of a database does not have it; every migration sees to it.
        connection.execute(
            sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(connection.info.dbname))
        )
        connection.execute("ANALYZE hubspot_contact, identity.person, orchestration.dead_letter, identity.mask_key")
    return shared_url


@pytest.fixture(scope="module")
def reader(url: str) -> Iterator[Connection]:
    with login(url, role="warehouse_read") as own, psycopg.connect(own, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, false)", [A])
        yield connection


@pytest.fixture(scope="module")
def masked(url: str) -> Iterator[Connection]:
    with login(url, role="warehouse_read_masked") as own, psycopg.connect(own, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.organization_id', %s, false)", [A])
        yield connection


def relations(connection: Connection, *schemas: str) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY 1, 2",
        [list(schemas)],
    ).fetchall()


def state(connection: Connection, schema: str, name: str) -> str:
    """Return the state of reading every column, ``accepted`` if that may be done."""
    return sqlstate(connection, sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, name)).as_string())


def test_the_reader_reads_every_source_identity_marts_and_pipedesk_and_no_secret(reader: Connection) -> None:
    found = relations(reader, "public", "identity", "marts", "pipedesk", "orchestration")
    states = {f"{schema}.{name}": state(reader, schema, name) for schema, name in found}
    refused = {name for name, said in states.items() if said != "accepted"}
    machinery = {
        f"{schema}.{name}" for schema, name in found if schema == "orchestration" and name not in readable.RUNS
    }
    assert machinery >= {"orchestration.request_budget", "orchestration.webhook_inbox"}
    assert refused == {*readable.WITHHELD, "orchestration.dead_letter", *machinery}
    assert {states[name] for name in refused} == {DENIED}
    assert len(states) > 150


def test_what_sounds_like_a_secret_is_readable_only_where_somebody_said_so(url: str) -> None:
    """A new column of this kind has to be looked at, and then it is added here or withheld."""
    with psycopg.connect(url) as connection:
        found = connection.execute("""
            SELECT table_schema || '.' || table_name || '.' || column_name FROM information_schema.columns
            WHERE table_schema IN ('crm', 'identity', 'marts', 'orchestration', 'pipedesk')
                AND column_name ~ '(^|_)(keys?|token|secret|password|credential|headers|payload|digest|body|nonce|salt)'
                AND has_column_privilege('warehouse_read', format('%I.%I', table_schema, table_name), column_name,
                                         'SELECT')
            ORDER BY 1
            """).fetchall()
    of_rows = re.compile(r"(source|record|person|user|conversion|[ab])_keys?$|key_nulls")
    assert [name for name, in found if not of_rows.search(name)] == [
        "crm.message_template.body", "crm.sequence_message.body", "crm.system_config.key",
        "identity.record.block_keys", "orchestration.source_table.key_columns",
        "pipedesk.drive_change_cursors.page_token",
    ]  # fmt: skip


def test_the_reader_sees_of_dead_letters_everything_but_the_record(reader: Connection) -> None:
    assert one(reader, "SELECT count(*) FROM (SELECT rule, stage, record_key FROM orchestration.dead_letter) AS d") == 2
    for query in (
        "SELECT payload FROM orchestration.dead_letter", "SELECT d FROM orchestration.dead_letter AS d",
        "SELECT to_jsonb(d) FROM orchestration.dead_letter AS d", "SELECT count(*) FROM orchestration.dead_letter"
        " WHERE payload::text LIKE '%zq%'", "TABLE orchestration.dead_letter",
        "COPY orchestration.dead_letter TO STDOUT",
        "SELECT table_to_xml('orchestration.dead_letter', true, false, '')",
        "SELECT 1 FROM orchestration.dead_letter ORDER BY open_payload",
    ):  # fmt: skip
        assert sqlstate(reader, query) in (DENIED, NO_XML), query
    seen = "SELECT array_agg(attname::text) FROM pg_stats WHERE tablename = 'dead_letter'"
    assert "rule" in one(reader, seen)
    assert not {"payload", "payload_hash", "open_payload"} & set(one(reader, seen))


def test_row_level_security_binds_the_reader(url: str, reader: Connection) -> None:
    count = "SELECT count(*) FROM crm.leads WHERE organization_id = %s"
    assert one(reader, count, A) > 0
    assert one(reader, count, B) == 0
    assert one(reader, "SELECT count(*) FROM crm.system_config WHERE key = 'dnc.hash_key'") == 0
    assert sqlstate(reader, "SELECT ctid FROM crm.leads") == DENIED
    with login(url, role="warehouse_read", organizations=()) as own, psycopg.connect(own) as stranger:
        stranger.execute("SELECT set_config('app.organization_id', %s, false)", [A])
        assert one(stranger, "SELECT count(*) FROM crm.leads") == 0


@pytest.mark.parametrize("statement", WRITES)
def test_the_reader_writes_nothing(reader: Connection, statement: str) -> None:
    for table in ("hubspot_contact", "pipedesk.leads", "crm.leads"):
        assert sqlstate(reader, statement.format(table)) in (DENIED, "42703"), table
    assert sqlstate(reader, "DELETE FROM marts.refused_costs") == DENIED


@pytest.mark.parametrize("call", [
    "identity.forget_record(1)", "crm.erase_lead(gen_random_uuid())", "crm.erase_dnc_numbers('{}')",
    "crm.assign_lead(gen_random_uuid(), 'x')", "crm.ensure_partitions('2020-01-01', '2020-01-01')",
    "orchestration.take_requests('a', 'b', 1, 1, 1)", "crm.session_context()::text",
])  # fmt: skip
def test_no_reader_writes_through_a_function(reader: Connection, masked: Connection, call: str) -> None:
    if "session_context" not in call:
        assert sqlstate(reader, f"SELECT {call}") in (DENIED, "42883"), call
    assert sqlstate(masked, f"SELECT {call}") == DENIED, call


@pytest.mark.parametrize("statement", ESCAPES)
def test_nobody_who_reads_gets_out_of_the_role(reader: Connection, masked: Connection, statement: str) -> None:
    database = one(masked, "SELECT current_database()")
    for connection in (reader, masked):
        assert sqlstate(connection, statement.format(database=database)) == DENIED


def test_the_masked_reader_has_a_view_of_every_table_and_reads_nothing_else(
    reader: Connection, masked: Connection
) -> None:
    views = {name for _, name in relations(masked, "masked")}
    assert all(state(masked, "masked", name) == "accepted" for name in views)
    for schema, name in relations(
        masked, "public", "identity", "marts", "pipedesk", "orchestration", "crm", "crm_archive"
    ):
        assert state(masked, schema, name) == DENIED, f"{schema}.{name}"
        kind = one(
            masked,
            "SELECT relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = %s",
            schema,
            name,
        )
        label = name if schema == "public" else f"{schema}_{name}"
        ours = schema != "public" or name in entities()
        withheld = f"{schema}.{name}" in readable.WITHHELD or name == "organization_member"
        withheld |= schema == "orchestration" and name not in readable.RUNS
        assert (label in views) == (kind != "v" and ours and not withheld) or schema in ("marts", "crm_archive"), label


def test_no_token_of_a_person_is_in_a_masked_view(masked: Connection) -> None:
    """Every text, document and list of two people was filled with it. What stays is in short lists, named as such."""
    leaks = set()
    for _, name in relations(masked, "masked"):
        statement = sql.SQL("SELECT to_jsonb(v) FROM masked.{} AS v").format(sql.Identifier(name))
        for (row,) in masked.execute(statement).fetchall():
            leaks |= {
                (name, column)
                for column, value in row.items()
                if isinstance(value, (str, list, dict)) and planted.planted_in({"": {"": json.dumps(value)}})
            }
    people = {table.replace(".", "_"): entities()[table] for table in reachable()}
    unexpected = {
        (view, column)
        for view, column in leaks
        if view not in people
        or not (column in HARMLESS or (column in people[view].columns and people[view].columns[column].kind == "id"))
    }
    assert not unexpected
    assert one(masked, "SELECT count(*) FROM masked.hubspot_contact") == 2


def test_masks_stay_useful(url: str, masked: Connection) -> None:
    """One number has one mask, however it is spelled and wherever it stands; so has an address."""
    row = masked.execute(
        "SELECT c.firstname, c.email, c.phone, c.phone_e164, c.zip, c.raw_data, c.lead_added_by_latitude, c.id"
        " FROM masked.hubspot_contact AS c ORDER BY c.id LIMIT 1"
    ).fetchone()
    assert row is not None
    assert (row[0], row[5], row[7]) == ("Z.", {"masked": True}, "1")
    assert re.fullmatch(r"[0-9a-f]{12}@planted\.example", row[1])
    assert re.fullmatch(r"[0-9a-f]{12}\.\.01", row[2])
    assert row[2] == row[3]
    assert one(masked, "SELECT email FROM masked.identity_person WHERE phone = %s", row[2]) == row[1]
    assert one(masked, "SELECT emails[1] FROM masked.identity_record WHERE source_table = 'hubspot_contact'"
               " AND source_key = '1'") == row[1]  # fmt: skip
    assert one(masked, "SELECT count(DISTINCT email) FROM masked.hubspot_contact") == 2
    with psycopg.connect(url) as connection:
        plain = connection.execute("SELECT email, phone FROM identity.person ORDER BY 1 LIMIT 1").fetchone()
        assert plain is not None
        forged = [one(connection, "SELECT masked.email(%s, sha256(%s))", plain[0], word) for word in (b"a", b"b")]
    assert len({*forged, row[1]}) == 3, "the look depends on the key"


@pytest.mark.parametrize(("call", "expected"), [
    ("email('Ada <ada@x.example>', 'k')", r"[0-9a-f]{12}"), ("email('a@x.example, John Doe', 'k')", r"[0-9a-f]{12}"),
    ("email('  ADA@X.example ', 'k')", r"[0-9a-f]{12}@x\.example"), ("email('John Doe', 'k')", r"[0-9a-f]{12}"),
    ("email('', 'k')", ""), ("phone('555', 'k')", r"\[masked\]"), ("phone('ask Ada', 'k')", r"\[masked\]"),
    ("phone('(206) 555-0142', 'k')", r"[0-9a-f]{12}\.\.42"), ("initial('  ada')", r"A\."), ("initial('Élan')", r"É\."),
    ("initial('42 Elm St')", r"\[masked\]"), ("initial('')", ""), ("zip('98101-1234')", r"981\*\*"),
    ("zip('K1A 0B1')", r"\[masked\]"), ("zip('98101 Ada')", r"\[masked\]"), ("text('x')", r"\[masked\]"),
    ("word('sold')", "sold"), ("word('ada@x.example')", r"\[masked\]"),
    ("colleague('ada@x.example', 'k')", r"[0-9a-f]{12}@x\.example"), ("place(47.6097)::text", r"47\.6"),
])  # fmt: skip
def test_a_mask_tells_no_more_than_it_should(masked: Connection, call: str, expected: str) -> None:
    found = one(masked, f"SELECT masked.{call}")
    assert re.fullmatch(expected, found), found


def test_a_key_that_is_an_address_is_masked_and_any_other_stays(url: str, masked: Connection) -> None:
    """A calendar is called by its owner's e-mail address, which is in the key of its events."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE identity.touch SET source_key = 'ada@x.example 7' WHERE record_id ="
            " (SELECT min(record_id) FROM identity.touch WHERE source_table = 'pipedesk.calendar_events')"
        )
    keys = masked.execute("SELECT source_table, source_key FROM masked.identity_touch").fetchall()
    (address,) = [key for table, key in keys if table == "pipedesk.calendar_events" and len(key) > 5]
    assert re.fullmatch(r"[0-9a-f]{12}", address)
    assert {key for table, key in keys if table == "callrail_call"} == {"1", "2"}


def test_of_a_run_neither_its_state_nor_an_address_is_seen(url: str, masked: Connection) -> None:
    """Google's sync tokens stand there by the calendar, which is called by its owner's e-mail address."""
    configuration = {
        "mode": "full", "cursor": None, "state": {"crew-a@x.example": "0:0"},
        "vendor": {"calendar": "\\\nada@x.example", "account_unknown": "C:\\ ada@x.example"},
    }  # fmt: skip
    with psycopg.connect(url) as connection:
        [(run,)] = connection.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, configuration,"
            " performance_metrics) VALUES ('pipedesk', 'calendar_events', now(), %s, %s) RETURNING id",
            [json.dumps(configuration), json.dumps({"total_records": 2, "noticed": {"refused": ["crew-b@x.example"]}})],
        ).fetchall()
    statement = "SELECT configuration, performance_metrics FROM masked.orchestration_sync_history WHERE id = %s"
    row = masked.execute(statement, [run]).fetchone()
    assert row is not None
    assert row[0]["state"] == {"masked": True}
    assert (row[0]["mode"], row[0]["cursor"]) == ("full", None)
    assert row[1] == {"total_records": 2, "noticed": {"refused": ["[masked]"]}}
    assert "@" not in json.dumps(row)


def test_nothing_stays_nothing(masked: Connection) -> None:
    keyed = ["email", "phone", "emails", "phones", "colleague"]
    calls = [f"{name}(NULL, 'k')" for name in keyed]
    calls += [f"{name}(NULL)" for name in ("initial", "zip", "text", "texts", "document", "word", "place", "run")]
    for call in calls:
        assert one(masked, f"SELECT masked.{call} IS NULL") is True, call


@pytest.mark.parametrize("query", [
    "SELECT query_to_xml('SELECT email FROM public.hubspot_contact', true, false, '')",
    "SELECT database_to_xml(true, false, '')::text LIKE '%zq0%'",
    "SELECT schema_to_xml('identity', true, false, '')",
    "SELECT identity.explain('x')", "SELECT crm.list_leads(NULL, 1, NULL, NULL)", "SELECT public.similarity('a', 'b')",
    "COPY public.hubspot_contact (email) TO STDOUT", "SELECT key FROM identity.mask_key",
    "SELECT key FROM identity.erasure_key", "SELECT set_limit(0)", "TABLE pipedesk.contacts",
    "PREPARE p AS SELECT email FROM public.hubspot_contact", "DECLARE c CURSOR FOR TABLE identity.person",
    "CREATE RULE r AS ON SELECT TO masked.hubspot_contact DO INSTEAD SELECT 1",
    "UPDATE masked.hubspot_contact SET id = 'x'", "DELETE FROM masked.identity_person",
    "SELECT 1 FROM masked.hubspot_contact FOR SHARE", "ALTER VIEW masked.hubspot_contact OWNER TO CURRENT_USER",
    "DROP VIEW masked.hubspot_contact", "DO $$ BEGIN PERFORM email FROM public.hubspot_contact; END $$",
    "SELECT currval('orchestration.dead_letter_id_seq')", "SELECT pg_get_viewdef('public.salesrabbit_lead_v1')",
])  # fmt: skip
def test_a_hostile_masked_reader_is_refused(masked: Connection, query: str) -> None:
    found, refused = None, DENIED
    try:
        with masked.transaction(force_rollback=True):
            cursor = masked.execute(query.encode())
            found = cursor.fetchone() if cursor.description else None
            refused = ""
    except psycopg.Error as error:
        refused = error.sqlstate or "?"
    assert refused in ("", DENIED, "42883", "42704", NO_XML), query
    assert "zq0" not in str(found), query
    assert refused or query.startswith("SELECT database_to_xml"), query


def test_what_the_planner_and_errors_know_is_masked_too(masked: Connection, reader: Connection) -> None:
    """Statistics hold the commonest values of a column in clear; the reader of the table sees them, and nobody else."""
    seen = "SELECT count(*) FROM pg_stats WHERE schemaname IN ('public', 'identity', 'orchestration')"
    assert one(masked, seen) == 0
    assert one(reader, seen) > 50
    assert one(masked, "SELECT count(*) FROM pg_stats_ext") == 0
    for query in (
        "SELECT email::integer FROM masked.hubspot_contact",
        "SELECT (raw_data ->> 'masked')::date FROM masked.hubspot_contact",
        "SELECT lo_get(phone::oid) FROM masked.hubspot_contact",
    ):  # fmt: skip
        with pytest.raises(psycopg.Error) as caught, masked.transaction():
            masked.execute(query.encode())
        assert "zq0" not in str(caught.value)
        assert "206" not in str(caught.value)
    plan = str(masked.execute(
        "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM masked.identity_person WHERE email LIKE 'zq%' OR phone > '+1'"
    ).fetchall())  # fmt: skip
    assert "zq0" not in plan
    definition = one(masked, "SELECT pg_get_viewdef('masked.hubspot_contact'::regclass)")
    assert "mask_key" in definition
    assert one(masked, "SELECT bool_or(pg_get_viewdef(c.oid) ~ '\\\\x[0-9a-f]{16}') FROM pg_class AS c"
               " WHERE relnamespace = 'masked'::regnamespace AND relkind = 'v'") is False  # fmt: skip


def test_row_level_security_binds_the_masked_reader(url: str, masked: Connection) -> None:
    count = "SELECT count(*) FROM masked.crm_leads WHERE organization_id = %s"
    assert one(masked, count, A) > 0
    assert one(masked, count, B) == 0
    assert one(masked, "SELECT count(*) FROM masked.crm_system_config WHERE key = 'dnc.hash_key'") == 0
    masked.execute("SELECT set_config('app.organization_id', %s, false)", [B])
    assert one(masked, "SELECT count(*) FROM masked.crm_leads") == 0
    masked.execute("SELECT set_config('app.organization_id', %s, false)", [A])
    with login(url, role="warehouse_read_masked", organizations=(B,)) as own, psycopg.connect(own) as other:
        other.execute("SELECT set_config('app.organization_id', %s, false)", [B])
        assert one(other, "SELECT array_agg(DISTINCT organization_id::text) FROM masked.crm_leads") == [B]


def test_every_personal_column_of_our_own_tables_is_masked(url: str, masked: Connection) -> None:
    """Of tables that no entity declares the texts that stay are named, so that somebody has looked at each."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("""
            SELECT n.nspname || '.' || c.relname, a.attname, col_description(m.attrelid, m.attnum)
            FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
                JOIN pg_attribute AS m ON m.attname = a.attname
                    AND m.attrelid = to_regclass(format('masked.%I', n.nspname || '_' || c.relname))
            WHERE n.nspname IN ('crm', 'identity') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
                AND format_type(a.atttypid, a.atttypmod) IN ('text', 'text[]', 'jsonb')
            """).fetchall()
    personal = re.compile(r"name|email|phone|street|unit|city|zip|postal|business|value|evidence|notes?$|block|origins")
    shown = {
        (table, column)
        for table, column, said in rows
        if personal.search(column) and "Masked:" not in said and table not in masks.LISTS
    }
    assert shown == {("crm.lead_audit_log", "field_name")}


def test_lists_hold_no_table_of_people() -> None:
    """What ``erase`` would look through for a person is none."""
    staff = {table for table in reachable() if table in masks.LISTS}
    assert staff == set()
    ours = {name for name in masks.LISTS if name.partition(".")[0] in ("crm", "identity", "marts", "orchestration")}
    assert {name for name in masks.LISTS - ours if name not in entities()} == {
        "pipedesk.drive_structure_nodes", "pipedesk.drive_structure_templates",
    }  # fmt: skip


@pytest.mark.slow("a schema that is migrated again")
def test_a_new_table_and_a_new_column_can_be_read_after_the_next_migration(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE pipedesk.tags CASCADE")
        connection.execute("CREATE TABLE marts.sales (person_id uuid PRIMARY KEY, first_name text)")
        connection.execute("ALTER TABLE identity.person ADD COLUMN nickname text")
        connection.execute("CREATE VIEW public.upon_it AS SELECT display_name FROM masked.identity_person")
        connection.execute("CREATE TABLE public.payroll (id int)")
        connection.execute("CREATE VIEW masked.of_mine AS SELECT 1 AS one")
        connection.execute("ALTER VIEW masked.pipedesk_users OWNER TO CURRENT_USER")  # as a dump without owners has it
        connection.execute("CREATE TABLE orchestration.webhook (body jsonb)")
    assert [line for line in migrate(database_url) if line.startswith(("masked", "warehouse_read"))] == [
        "warehouse_read may read 2 more relations", "masked views: 3 made",
    ]  # fmt: skip
    with (
        login(database_url, role="warehouse_read") as read, psycopg.connect(read, autocommit=True) as reader,
        login(database_url, role="warehouse_read_masked") as blind, psycopg.connect(blind, autocommit=True) as masked,
    ):  # fmt: skip
        for query in (
            "SELECT FROM pipedesk.tags",
            "SELECT first_name FROM marts.sales",
            "SELECT nickname FROM identity.person",
        ):
            assert sqlstate(reader, query) == "accepted"
        for query in ("SELECT FROM masked.pipedesk_tags", "SELECT first_name FROM masked.marts_sales",
                      "SELECT nickname FROM masked.identity_person"):  # fmt: skip
            assert sqlstate(masked, query) == "accepted"
        for query in ("SELECT FROM public.payroll", "SELECT FROM orchestration.webhook"):
            assert (sqlstate(reader, query), sqlstate(masked, query)) == (DENIED, DENIED)
        assert one(
            masked,
            "SELECT array_agg(relname::text) FROM pg_class WHERE relkind = 'v' AND"
            " relnamespace = 'masked'::regnamespace AND relowner <> 'warehouse_masking'::regrole",
        ) == ["of_mine"]
        assert one(masked, "SELECT count(*) FROM pg_class WHERE relnamespace = 'masked'::regnamespace"
                   " AND relname IN ('payroll', 'orchestration_webhook')") == 0  # fmt: skip
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE identity.person DROP COLUMN nickname CASCADE")
        connection.execute("DROP VIEW IF EXISTS public.upon_it")
    migrate(database_url)
    assert migrate(database_url) == []


@pytest.mark.slow("a server of its own, migrated five times")
def test_who_may_not_make_roles_is_told_what_an_administrator_does(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The warehouse is migrated all the same; afterwards the next migration lets readers in."""
    server.start()
    with server.connect("postgres") as connection:
        for role in ("crm_owner", "crm_definer", "crm_app", "crm_read"):
            connection.execute(f"CREATE ROLE {role}")
        connection.execute("ALTER ROLE crm_app SET search_path = crm, public")
        connection.execute("ALTER ROLE crm_read SET search_path = crm, public")
        connection.execute("CREATE ROLE migrator LOGIN PASSWORD 'm' IN ROLE crm_owner, crm_definer")
        connection.execute("CREATE DATABASE d OWNER migrator")
    url = re.sub("//[^@]*@", "//migrator:m@", server.url("d"))
    assert "schema masked" in migrate(url)
    assert "CREATEROLE" in caplog.text
    assert migrate(url) == []
    with server.connect("postgres") as connection:
        for role in ("warehouse_masking", "warehouse_read", "warehouse_read_masked"):
            connection.execute(f"CREATE ROLE {role}")
        connection.execute("GRANT warehouse_read TO warehouse_masking")
        connection.execute("GRANT warehouse_masking, warehouse_read_masked TO migrator")
    caplog.clear()
    assert any(line.startswith("masked views: ") for line in migrate(url))
    assert "GRANT crm_read TO warehouse_read" in caplog.text
    with server.connect("postgres") as connection:
        connection.execute("GRANT crm_read TO warehouse_read")
        connection.execute("CREATE ROLE ada LOGIN PASSWORD 'a' IN ROLE warehouse_read_masked")
    assert any(line.startswith("masked views: ") for line in migrate(url))
    assert migrate(url) == []
    with psycopg.connect(re.sub("//[^@]*@", "//ada:a@", server.url("d"))) as connection:
        assert one(connection, "SELECT count(*) FROM masked.crm_leads") == 0
        assert one(connection, "SELECT count(*) FROM masked.hubspot_contact") == 0
    with server.connect("postgres") as connection:
        connection.execute("ALTER ROLE warehouse_read_masked BYPASSRLS")
    caplog.clear()
    migrate(url)
    assert "NOSUPERUSER NOBYPASSRLS" in caplog.text


@pytest.mark.revisions
@pytest.mark.slow("revisions down and up")
def test_going_down_takes_the_readers_with_it(database_url: str, test_server: Server) -> None:
    """But the roles stay while another database of the cluster needs them."""
    migrate(database_url, down=len(undone_by("0021_reading")))
    with psycopg.connect(database_url) as connection:
        assert one(connection, "SELECT to_regnamespace('masked')") is None
        grants = """
            SELECT count(*) FROM pg_class AS c, aclexplode(c.relacl) AS a
            WHERE a.grantee::regrole::text IN ('warehouse_read', 'warehouse_masking', 'warehouse_read_masked')
            """
        assert one(connection, grants) == 0
        assert one(connection, "SELECT to_regrole('warehouse_read') IS NOT NULL") is True
    migrate(database_url)
    assert migrate(database_url) == []
