"""The schema ``pipedesk``: what it promises, what it refuses of ours and not of a vendor's, up and down."""

import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines_tests.harness.crm_database import Connection, one, sqlstate
from warehouse_pipelines_tests.harness.pipedesk_rows import (
    ENTITIES,
    LEAST,
    MIRRORED,
    REFERENCES,
    add,
    mirror,
    tree,
    with_references,
)
from warehouse_pipelines_tests.harness.source_harness import source_harness

ACCEPTED = "accepted"

COLUMNS = {
    "calendar_sync_states": (
        "id resource_id channel_id calendar_id sync_token expiration active created_at updated_at token_sha256"
    ),
    "calendar_events": (
        "id google_event_id calendar_id summary description start_time end_time meet_link html_link status"
        " organizer_email attendees created_at updated_at"
    ),
    "drive_webhook_channels": (
        "id channel_id resource_id resource_type watched_resource_id expires_at active created_at updated_at"
        " token_sha256"
    ),
    "google_drive_folders": (
        "id entity_id entity_type folder_id folder_url created_at deleted_at deleted_by delete_reason"
    ),
    "drive_files": "id file_id parent_folder_id name mime_type size created_at deleted_at deleted_by delete_reason",
    "drive_change_logs": (
        "id channel_id resource_id resource_state changed_resource_id event_type received_at raw_headers"
    ),
    "drive_change_cursors": "drive_id page_token updated_at",
    "drive_structure_templates": "id name entity_type active",
    "drive_structure_nodes": "id template_id parent_id name order",
    "companies": "id name",
    "users": "id name email",
    "contacts": "id name email phone role",
    "lead_contacts": "is_primary added_at",
    "leads": (
        "id legal_name trade_name lead_status_id lead_origin_id owner_user_id qualified_company_id"
        " qualified_master_deal_id address_city address_state last_interaction_at priority_score disqualified_at"
        " disqualification_reason qualified_at deleted_at created_at updated_at"
    ),
    "leads_v": "title",
    "master_deals": "id client_name company_id",
    "tags": "id name color",
    "lead_statuses": "id code label description is_active sort_order created_at",
    "lead_origins": "id code label description is_active sort_order created_at",
    "lead_activity_stats": (
        "engagement_score last_interaction_at last_email_at last_event_at total_emails total_events"
        " total_interactions created_at updated_at"
    ),
}


def index(table: str, *columns: str) -> str:
    return " AND ".join(f"chk.idx('pipedesk.{table}','{column}')" for column in columns)


CHECKS = {
    "the channel of a calendar is unique": "chk.idx('pipedesk.calendar_sync_states','channel_id',true)"
    f" AND {index('calendar_sync_states', 'expiration', 'active')}",
    "a calendar has defaults": "NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema='pipedesk' AND"
    " table_name='calendar_sync_states' AND column_name IN ('calendar_id','active','created_at')"
    " AND column_default IS NULL)",
    "an event has Google's id": (
        "chk.state($q$INSERT INTO pipedesk.calendar_events(google_event_id) VALUES (NULL)$q$) = '23502'"
    ),
    "events are indexed by status and time": index("calendar_events", "status", "start_time", "end_time"),
    "an unknown status of an event is refused": (
        "chk.state($q$INSERT INTO pipedesk.calendar_events(google_event_id,status) VALUES ('e1','done')$q$) = '23514'"
    ),
    "no event is left that was cancelled long ago": (
        "NOT EXISTS (SELECT FROM pipedesk.calendar_events WHERE status='cancelled'"
        " AND end_time < now() - interval '6 months')"
    ),
    "series have a table": "to_regclass('pipedesk.calendar_recurrences') IS NOT NULL",
    "the channel of a webhook is unique": "chk.idx('pipedesk.drive_webhook_channels','channel_id',true) AND"
    f" {index('drive_webhook_channels', 'resource_id', 'watched_resource_id', 'active')}",
    "a folder is unique": "chk.idx('pipedesk.google_drive_folders','folder_id',true) AND"
    f" {index('google_drive_folders', 'entity_id', 'entity_type', 'deleted_at')}",
    "a file is unique, and its size may exceed two gigabytes": (
        "chk.idx('pipedesk.drive_files','file_id',true) AND chk.typ('pipedesk.drive_files','size')='bigint' AND"
        f" {index('drive_files', 'parent_folder_id', 'deleted_at')}"
    ),
    "the log of changes is indexed by what changed": index(
        "drive_change_logs", "channel_id", "resource_id", "changed_resource_id"
    ),
    "deleted files have an archive": "to_regclass('pipedesk.drive_files_archive') IS NOT NULL",
    "the name of a template is unique": "chk.idx('pipedesk.drive_structure_templates','name',true)"
    f" AND {index('drive_structure_templates', 'entity_type')}",
    "a node refers to its template and its parent": (
        "(SELECT count(*) = 2 FROM pg_constraint WHERE conrelid=to_regclass('pipedesk.drive_structure_nodes')"
        " AND contype='f')"
    ),
    "a name is filled in": "pipedesk.render_node_name('{{year}} - {{entity_name}}',"
    """ '{"year":"2025","entity_name":"Acme"}'::jsonb) = '2025 - Acme'""",
    "there are templates, each once": (
        "(SELECT count(*) = count(DISTINCT name) AND count(*) > 3 FROM pipedesk.drive_structure_templates)"
    ),
    "a contact is once in a lead": "chk.pk('pipedesk.lead_contacts') = 'lead_id contact_id'",
    "a lead has one primary contact": "chk.idx('pipedesk.lead_contacts','lead_id',true,true)",
    "leads are indexed by their dates and their priority": (
        "(SELECT bool_and(chk.idx('pipedesk.leads',c)) FROM unnest(ARRAY['last_interaction_at','priority_score',"
        "'disqualified_at','qualified_at','deleted_at','updated_at']) c)"
    ),
    "a lead has five references": (
        "(SELECT count(*) = 5 FROM pg_constraint WHERE conrelid=to_regclass('pipedesk.leads') AND contype='f')"
    ),
    "the priority of a lead begins at 0": (
        "(SELECT column_default LIKE '0%' FROM information_schema.columns WHERE table_schema='pipedesk'"
        " AND table_name='leads' AND column_name='priority_score')"
    ),
    "the name of a tag is unique": "chk.idx('pipedesk.tags','name',true)",
    "a tag is once on a lead": "chk.pk('pipedesk.lead_tags') = 'lead_id tag_id'",
    "the code of a status is unique": "chk.idx('pipedesk.lead_statuses','code',true)",
    "the code of an origin is unique": "chk.idx('pipedesk.lead_origins','code',true)",
    "a lead has one row of statistics": "chk.pk('pipedesk.lead_activity_stats') = 'lead_id'",
    "an unknown role is refused": "chk.state($q$INSERT INTO pipedesk.user_roles(user_id,role)"
    " VALUES ('00000000-0000-0000-0000-000000000001','owner')$q$) = '23514'",
    "indexes have names of one form": (
        "NOT EXISTS (SELECT FROM pg_indexes WHERE schemaname='pipedesk' AND indexname !~ '^(idx_)'"
        " AND indexname !~ '(_pkey|_key)$')"
    ),
    "every foreign key is indexed": (
        "NOT EXISTS (SELECT FROM pg_constraint c WHERE c.contype='f' AND c.connamespace='pipedesk'::regnamespace"
        " AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid=c.conrelid AND i.indkey[0]=c.conkey[1]))"
    ),
    "no column holds a credential": (
        "NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema IN ('pipedesk','public','crm')"
        " AND column_name ~ '(access_token|refresh_token|api_key|password|client_secret)')"
    ),
    "an event is unique in its calendar": "chk.idx('pipedesk.calendar_events','calendar_id google_event_id', true)",
    "attendees and headers are jsonb": "chk.typ('pipedesk.calendar_events','attendees') = 'jsonb'"
    " AND chk.typ('pipedesk.drive_change_logs','raw_headers') = 'jsonb'",
    "the id of a lead is a uuid": "chk.typ('pipedesk.leads','id') = 'uuid'",
}
"""What is promised of the seeded schema, and the condition that shows it."""


@pytest.fixture(scope="module")
def seeded_url(test_server: Server, template: str) -> Iterator[str]:
    name = f"seeded_{uuid.uuid4().hex[:12]}"
    url = test_server.create_database(name, template=template)
    with psycopg.connect(url) as connection:
        connection.execute(Path(__file__).with_name("crm_checks.sql").read_bytes())
    yield url
    test_server.drop_database(name)


@pytest.fixture
def connection(shared_url: str) -> Iterator[Connection]:
    """A transaction that is undone."""
    with psycopg.connect(shared_url) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize("promise", CHECKS)
def test_the_schema_keeps_its_promises(seeded_url: str, promise: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        assert one(connection, f"SELECT {CHECKS[promise]}") is True


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_has_the_columns_that_its_users_rely_on(seeded_url: str, table: str) -> None:
    with psycopg.connect(seeded_url) as connection:
        assert (
            connection.execute("SELECT * FROM chk.cols(%s, %s)", [f"pipedesk.{table}", COLUMNS[table]]).fetchall() == []
        )


OURS = (
    "audit_logs", "calendar_events_archive", "calendar_sync_states", "drive_change_logs", "drive_files_archive",
    "drive_structure_nodes", "drive_structure_templates", "drive_webhook_channels",
    "drive_applied_nodes",
)  # fmt: skip


def test_the_tables_are_those_of_the_document_two_archives_the_links_of_folders_and_the_log(
    connection: Connection,
) -> None:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'pipedesk'").fetchall()
    assert {row[0] for row in found} == {*OURS, *MIRRORED}
    assert len(found) == 25


A, B, C = (f"00000000-0000-0000-0000-00000000000{letter}" for letter in "abc")


def state(connection: Connection, table: str, **values: Any) -> str:
    """Insert a row and undo it; return ``accepted``, or the state of the error."""
    try:
        with connection.transaction(force_rollback=True):
            add(connection, table, **values)
    except psycopg.Error as error:
        return error.sqlstate or ""
    return ACCEPTED


@pytest.mark.parametrize(
    "table",
    ["calendar_sync_states", "drive_change_logs", "drive_structure_templates", "drive_webhook_channels", *MIRRORED],
)
def test_a_row_of_ours_needs_no_bookkeeping(connection: Connection, table: str) -> None:
    with_references(connection)
    row = add(connection, table)
    for name in ("created_at", "added_at", "received_at"):
        assert row.get(name, "") is not None
    if "raw_data" in row:
        assert (row["raw_data"], row["sync_hash"], row["archived"]) == ({}, None, False)


DEFAULTS: dict[str, dict[str, Any]] = {
    "calendar_sync_states": {"calendar_id": "primary", "active": True},
    "calendar_events": {"calendar_id": "primary", "updated_at": None},
    "drive_webhook_channels": {"resource_type": "folder", "active": True},
    "drive_structure_templates": {"active": True},
    "lead_contacts": {"is_primary": False},
    "leads": {"priority_score": 0},
    "lead_statuses": {"is_active": True, "sort_order": 0},
    "lead_origins": {"is_active": True, "sort_order": 0},
    "lead_activity_stats": dict.fromkeys(("engagement_score", "total_emails", "total_events", "total_interactions"), 0),
}


@pytest.mark.parametrize("table", DEFAULTS)
def test_defaults(connection: Connection, table: str) -> None:
    """Only Google says when an event was updated, or its own news would count as old."""
    with_references(connection)
    assert add(connection, table).items() >= DEFAULTS[table].items()


def test_ids_are_counted_and_not_chosen(connection: Connection) -> None:
    for table in ("calendar_events", "drive_files", "google_drive_folders"):
        key = next(iter(LEAST[table]))
        first, second = (add(connection, table, **{key: value})["id"] for value in "ab")
        assert second == first + 1
        assert state(connection, table, **{key: "c", "id": 7}) == "428C9"


REFUSED: list[tuple[str, str, list[Any], list[Any]]] = [
    ("calendar_events", "status", ["done", "", "Confirmed"], ["confirmed", "tentative", "cancelled", None]),
    ("google_drive_folders", "entity_type", ["project", ""], ["company", "lead", "deal", "contact", None]),
    ("user_roles", "role", ["owner", "Admin", ""], ["admin", "manager", "sales"]),
    ("lead_statuses", "code", [None], ["NEW"]),
    ("lead_statuses", "label", [None], ["New"]),
    ("lead_origins", "code", [None], ["WEB"]),
    ("lead_origins", "label", [None], ["Website"]),
    ("calendar_sync_states", "token_sha256", [b"the token itself", b""], [bytes(32), None]),
    ("drive_webhook_channels", "token_sha256", [b"the token itself", b""], [bytes(32), None]),
    ("drive_webhook_channels", "resource_type", ["drive", ""], ["folder", "file", "changes"]),
    ("drive_structure_templates", "name", [""], ["x"]),
    ("drive_structure_templates", "entity_type", ["project", ""], ["company", "lead", "deal", "contact"]),
    ("drive_change_logs", "raw_headers",
     ['{"X-Goog-Channel-Token": "secret"}', '[["x-goog-channel-token", "secret"]]', '{"h": {"X-GOOG-CHANNEL-TOKEN": 1}}'
      ],
     ['{"X-Goog-Channel-Id": "x"}', None]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "wrong", "right"), REFUSED, ids=lambda value: str(value)[:30])
def test_each_check_refuses_and_accepts(
    connection: Connection, table: str, column: str, wrong: list[Any], right: list[Any]
) -> None:
    """A row of ours is judged here; a mirrored one by the rules of its entity."""
    with_references(connection)
    for value in wrong:
        assert state(connection, table, **{column: value}) == "23514", value
        if table in MIRRORED:
            assert state(connection, table, **{column: value}, sync_hash=1) == ACCEPTED, value
    for value in right:
        assert state(connection, table, **{column: value}) == ACCEPTED, value


NEEDED = {
    "calendar_events": "calendar_id google_event_id",
    "drive_files": "file_id",
    "google_drive_folders": "folder_id",
    "calendar_sync_states": "calendar_id active created_at",
    "drive_webhook_channels": "channel_id resource_type active",
    "drive_change_logs": "received_at",
    "drive_structure_templates": "name entity_type active",
    "drive_structure_nodes": "template_id name order",
    "users": "id",
    "lead_contacts": "lead_id contact_id",
}


@pytest.mark.parametrize("table", NEEDED)
def test_what_a_row_cannot_be_without(connection: Connection, table: str) -> None:
    for column in NEEDED[table].split():
        assert state(connection, table, **{column: None}) == "23502", column


def test_unknown_drive_state_is_logged_not_rejected(connection: Connection) -> None:
    """A state that Google adds later must not cost a notification."""
    for said in ("sync", "add", "remove", "update", "trash", "untrash", "change", "something new", None):
        assert state(connection, "drive_change_logs", resource_state=said) == ACCEPTED


@pytest.mark.parametrize("statement", ["UPDATE %s SET event_type = 'x'", "DELETE FROM %s", "TRUNCATE %s"])
def test_the_log_of_changes_is_only_added_to(connection: Connection, statement: str) -> None:
    """Nobody updates, deletes or truncates it, nor does a session that mirrors."""
    add(connection, "drive_change_logs")
    for role in ("origin", "replica"):
        connection.execute(f"SET LOCAL session_replication_role = {role}")
        assert sqlstate(connection, statement % "pipedesk.drive_change_logs") == "42501"


UNIQUE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("calendar_events", {"google_event_id": "e"}, {"calendar_id": "another"}),
    ("drive_files", {"file_id": "f"}, {"file_id": "g"}),
    ("google_drive_folders", {"folder_id": "f"}, {"folder_id": "g"}),
    ("calendar_sync_states", {"channel_id": "c"}, {"channel_id": "d"}),
    ("calendar_sync_states", {"calendar_id": "a"}, {"channel_id": "c"}),
    ("drive_webhook_channels", {"channel_id": "c"}, {"channel_id": "d"}),
    ("drive_structure_templates", {"name": "t"}, {"name": "u"}),
    ("tags", {"name": "hot"}, {"name": "cold"}),
    ("lead_statuses", {"code": "NEW"}, {"code": "OLD"}),
    ("lead_origins", {"code": "WEB"}, {"code": "REF"}),
    ("lead_activity_stats", {"lead_id": A}, {"lead_id": B}),
    ("lead_tags", {"lead_id": A, "tag_id": A}, {"lead_id": B}),
    ("lead_contacts", {"lead_id": A, "contact_id": A}, {"contact_id": B}),
    ("lead_contacts", {"is_primary": True, "contact_id": A}, {"is_primary": False, "contact_id": B}),
]


@pytest.mark.parametrize(("table", "row", "other"), UNIQUE, ids=lambda value: str(value)[:40])
def test_what_there_is_once(connection: Connection, table: str, row: dict[str, Any], other: dict[str, Any]) -> None:
    """A second row with the same natural key is refused."""
    with_references(connection)
    add(connection, "leads", id=B)
    add(connection, "contacts", id=B)
    add(connection, table, **row)
    again = {**row, "contact_id": B} if row.get("is_primary") else row
    assert state(connection, table, **again) == "23505"
    assert state(connection, table, **{**row, **other}) == ACCEPTED


@pytest.mark.parametrize(("table", "column", "target"), REFERENCES)
def test_a_row_of_ours_refers_to_what_is_there(connection: Connection, table: str, column: str, target: str) -> None:
    """A reference to nothing is refused; the mirror is free to bring what it refers to later, or never."""
    with_references(connection)
    assert state(connection, table, **{column: C}) == "23503"
    add(connection, target, id=C)
    add(connection, table, **{column: C})
    assert sqlstate(connection, f"DELETE FROM pipedesk.{target} WHERE id = '{C}'") == "23503"
    connection.execute("SET LOCAL session_replication_role = replica")
    assert state(connection, table, **{column: B}) == ACCEPTED


@pytest.mark.parametrize(("table", "column"), [("tags", "name"), ("lead_statuses", "code"), ("lead_origins", "code")])
@pytest.mark.slow("a schema that is migrated again")
def test_the_mirror_may_swap_and_repeat_names(database_url: str, table: str, column: str) -> None:
    """Unique names bind what is ours; a swap in one batch, and a name that a deleted row had, are the truth."""
    assert mirror(database_url, table, {"id": A, column: "one"}, {"id": B, column: "two"}).status == "success"
    assert mirror(database_url, table, {"id": A, column: "two"}, {"id": B, column: "one"}).updated == 2
    assert mirror(database_url, table, {"id": A, column: "two"}, {"id": C, column: "one"}).deleted == 1
    with psycopg.connect(database_url) as connection:
        assert one(connection, f"SELECT count(*) FROM pipedesk.{table} WHERE {column} = 'one'") == 2
        with_name = {column: "one", "label": "x"} if column == "code" else {column: "one"}
        assert state(connection, table, **with_name) == ACCEPTED


def test_the_mirror_may_move_the_primary_contact_and_refer_to_what_is_missing(database_url: str) -> None:
    """One primary contact a lead binds what is ours; a mirrored flag moves in either order of the rows."""
    for flagged in (A, B, A):
        links = [{"lead_id": C, "contact_id": who, "is_primary": who == flagged} for who in (A, B)]
        result = mirror(database_url, "lead_contacts", *links)
        assert (result.status, result.failed) == ("success", 0)
        with psycopg.connect(database_url) as connection:
            found = connection.execute("SELECT contact_id::text FROM pipedesk.lead_contacts WHERE is_primary")
            assert found.fetchall() == [(flagged,)]


def test_the_mirror_takes_over_a_row_of_ours(database_url: str) -> None:
    """An event that was written here right after Google was asked to make it is Google's from the next sync on."""
    with psycopg.connect(database_url) as connection:
        ours = add(connection, "calendar_events", summary="ours", status="confirmed")
    told = {"calendarId": "primary", "id": "e", "summary": "Google's", "updated": "2020-01-01T00:00:00Z"}
    assert mirror(database_url, "calendar_events", {**told, "status": "confirmed"}).updated == 1
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT id, summary FROM pipedesk.calendar_events").fetchall()
    assert found == [(ours["id"], "Google's")]


@pytest.mark.slow("a dump that is restored")
def test_a_dump_of_a_mirror_with_orphans_is_restored(database_url: str, test_server: Server, tmp_path: Path) -> None:
    mirror(database_url, "lead_tags", {"lead_id": A, "tag_id": B})
    mirror(database_url, "google_drive_folders", {"id": "f", "appProperties": {"entity_type": "project"}})
    name, archive = f"restored_{uuid.uuid4().hex[:12]}", tmp_path / "pipedesk.dump"
    url = test_server.create_database(name)
    try:
        binaries = find_binaries()
        subprocess.run([binaries / "pg_dump", "-Fc", "-n", "pipedesk", "-n", "orchestration", "-f", archive,
                        database_url], check=True)  # fmt: skip
        subprocess.run([binaries / "pg_restore", "--exit-on-error", "-d", url, archive], check=True)
        with psycopg.connect(url) as connection:
            assert one(connection, "SELECT tag_id::text FROM pipedesk.lead_tags") == B
            assert one(connection, "SELECT entity_type FROM pipedesk.google_drive_folders") == "project"
            assert state(connection, "lead_tags") == "23503"
    finally:
        test_server.drop_database(name)


MOVE = "UPDATE pipedesk.drive_structure_nodes SET parent_id = %s WHERE id = %s"


def test_template_cycle_rejected(connection: Connection) -> None:
    """A node that would lie below itself, at any depth, is refused."""
    template = add(connection, "drive_structure_templates")["id"]
    top, middle, low, other = tree(connection, None, 0, 1, None, template=template)
    for below in (top, middle, low):
        assert sqlstate(connection, MOVE, below, top) == "23514"
    assert sqlstate(connection, MOVE, other, top) == ACCEPTED
    assert sqlstate(connection, MOVE, other, low) == ACCEPTED
    both = f"({low + 10}, {template}, {low + 11}, 'a'), ({low + 11}, {template}, {low + 10}, 'b')"
    insert = "INSERT INTO pipedesk.drive_structure_nodes (id, template_id, parent_id, name) VALUES"
    assert sqlstate(connection, f"{insert} {both}") == "23514"
    assert sqlstate(connection, f"{insert} ({low + 10}, {template}, {low + 10}, 'a')") == "23514"


def test_a_branch_may_be_turned_around_in_one_statement(connection: Connection) -> None:
    template = add(connection, "drive_structure_templates")["id"]
    top, low = tree(connection, None, 0, template=template)
    turned = f"CASE id WHEN {top} THEN {low}::bigint END"
    assert sqlstate(connection, f"UPDATE pipedesk.drive_structure_nodes SET parent_id = {turned}") == ACCEPTED


def test_a_parent_of_another_template_is_refused(connection: Connection) -> None:
    """Parent and child belong to one template."""
    here, there = (add(connection, "drive_structure_templates", name=name)["id"] for name in "ab")
    (top,) = tree(connection, None, template=here)
    assert state(connection, "drive_structure_nodes", template_id=there, parent_id=top) == "23503"
    (low,) = tree(connection, None, template=there)
    assert sqlstate(connection, MOVE, top, low) == "23503"
    tree(connection, None, 0, template=here)
    moved = f"UPDATE pipedesk.drive_structure_nodes SET template_id = {there} WHERE parent_id IS NOT NULL"
    assert sqlstate(connection, moved) == "23503"


def test_two_sessions_cannot_make_a_cycle_together(database_url: str) -> None:
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        template = add(first, "drive_structure_templates")["id"]
        one_, two = tree(first, None, None, template=template)
        first.commit()
        first.execute(MOVE, [two, one_])
        raised: list[BaseException] = []

        def other() -> None:
            try:
                second.execute(MOVE, [one_, two])
            except psycopg.Error as error:
                raised.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        first.commit()
        thread.join(30)
        assert [type(error) for error in raised] == [psycopg.errors.CheckViolation]


def test_a_template_goes_with_its_nodes_and_a_folder_not_without_what_is_in_it(connection: Connection) -> None:
    template = add(connection, "drive_structure_templates")["id"]
    top, _ = tree(connection, None, 0, template=template)
    assert sqlstate(connection, "DELETE FROM pipedesk.drive_structure_nodes WHERE id = %s", top) == "23503"
    assert sqlstate(connection, "DELETE FROM pipedesk.drive_structure_templates WHERE id = %s", template) == ACCEPTED


@pytest.mark.parametrize(
    ("name", "values", "rendered"),
    [
        ("{{year}} - {{entity_name}}", '{"year": "2025", "entity_name": "Acme"}', "2025 - Acme"),
        ("{{ year }}", '{"year": 2025}', "2025"),
        ("{{year}}{{year}}", '{"year": "1"}', "11"),
        ("Contracts", "{}", "Contracts"),
        ("", "{}", ""),
        ("{{unknown}} {{none}}", '{"none": null}', "{{unknown}} {{none}}"),
        ("{{entity_name}}", '{"entity_name": "{{year}}", "year": "2025"}', "{{year}}"),
        (r"{{entity_name}} \1 {x} {{{{", '{"entity_name": "\\\\0 & Söhne"}', r"\0 & Söhne \1 {x} {{{{"),
        ("{{a b}} {{}} {year}", '{"a b": "x", "": "y", "year": "z"}', "{{a b}} {{}} {year}"),
    ],
)
def test_names_of_folders_are_filled_in(connection: Connection, name: str, values: str, rendered: str) -> None:
    """Placeholders become values; what has no value stays as it is written."""
    assert one(connection, "SELECT pipedesk.render_node_name(%s, %s::jsonb)", name, values) == rendered


def test_the_templates_come_with_the_migration_and_stay_as_somebody_left_them(database_url: str) -> None:
    """A second migration neither repeats nor resets a template that somebody changed."""

    def nodes() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute("""
                SELECT t.name, p.name, n.name FROM pipedesk.drive_structure_nodes AS n
                    JOIN pipedesk.drive_structure_templates AS t ON t.id = n.template_id
                    LEFT JOIN pipedesk.drive_structure_nodes AS p ON p.id = n.parent_id
                ORDER BY t.name, n."order", n.id
            """).fetchall()

    def run_again() -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute((sql_folder() / "schemas" / "pipedesk.sql").read_bytes())

    first = nodes()
    assert ("Deal Standard", None, "{{year}} - {{entity_name}}") in first
    assert ("Company Standard", "Contracts", "Signed") in first
    run_again()
    assert nodes() == first
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM pipedesk.drive_structure_nodes WHERE name = 'Signed'")
    run_again()
    assert nodes() == [row for row in first if row[2] != "Signed"]


def test_primary_contact_fallback(connection: Connection) -> None:
    """It is the one that is flagged, else the one added first; of several flags, as a mirror may have, the first.

    One that was deleted is none, as in the view of sales.
    """
    connection.execute("SET LOCAL session_replication_role = replica")
    add(connection, "leads", id=A)
    for contact, day in ((A, 3), (B, 1), (C, 2)):
        add(connection, "contacts", id=contact, name=contact[-1])
        add(connection, "lead_contacts", contact_id=contact, added_at=f"2025-01-0{day}", sync_hash=1)

    def primary() -> Any:
        found = one(connection, "SELECT name || ' ' || is_flagged FROM pipedesk.primary_contacts WHERE lead_id = %s", A)
        of_sales = one(connection, "SELECT primary_contact ->> 'name' FROM pipedesk.sales_view WHERE id = %s", A)
        assert (found or "").partition(" ")[0] == (of_sales or "")
        return found

    def change(contact: str, what: str) -> None:
        connection.execute(f"UPDATE pipedesk.lead_contacts SET {what} WHERE contact_id = %s", [contact])

    assert primary() == "b false"
    change(A, "is_primary = true")
    assert primary() == "a true"
    change(C, "is_primary = true")
    assert primary() == "c true"
    change(C, "archived = true")
    assert primary() == "a true"
    connection.execute("UPDATE pipedesk.contacts SET archived = true, deleted_at = now() WHERE id = %s", [A])
    assert primary() == "b false"
    connection.execute("UPDATE pipedesk.contacts SET archived = false, deleted_at = NULL WHERE id = %s", [A])
    change(A, "is_primary = NULL")
    assert primary() == "b false"
    connection.execute("DELETE FROM pipedesk.lead_contacts")
    assert primary() is None


def test_title_reads_as_legal_name(connection: Connection) -> None:
    """The product calls the legal name of a lead its title."""
    add(connection, "leads", id=A, legal_name="Alfa Ltda")
    assert one(connection, "SELECT title FROM pipedesk.leads_v WHERE id = %s", A) == "Alfa Ltda"


def test_the_rules_of_a_series_are_rows(connection: Connection) -> None:
    """Each rule is a row, whatever else a vendor puts there."""
    add(
        connection,
        "calendar_events",
        recurrence='["RRULE:FREQ=WEEKLY", "exdate;TZID=UTC:20250101T090000"]',
        status="confirmed",
    )
    for number, strange in enumerate(("{}", '"RRULE:FREQ=DAILY"', "[[1], null]", None)):
        add(connection, "calendar_events", google_event_id=f"e{number}", recurrence=strange)
    found = connection.execute("SELECT google_event_id, number, kind, line FROM pipedesk.calendar_recurrences"
                       " WHERE kind IS NOT NULL ORDER BY 1, 2").fetchall()  # fmt: skip
    assert found == [
        ("e", 1, "RRULE", "RRULE:FREQ=WEEKLY"),
        ("e", 2, "EXDATE", "exdate;TZID=UTC:20250101T090000"),
        ("e1", 1, "RRULE", "RRULE:FREQ=DAILY"),
    ]


@pytest.mark.slow("a schema that is migrated again")
def test_the_sync_token_of_each_calendar_is_shown(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the transaction that holds the events, from a good run only, and for each channel."""
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch, contacts=30) as it:

        def shown() -> dict[str, Any]:
            return {row["calendar_id"]: row["sync_token"] for row in
                    it.query("SELECT calendar_id, sync_token FROM pipedesk.calendar_sync_states")}  # fmt: skip

        it.sync(dry_run=True)
        it.sync(max_records=1)
        assert shown() == {}
        it.sync()
        first = it.history()[-1]["configuration"]["state"]
        assert shown() == first
        assert it.query("SELECT DISTINCT active FROM pipedesk.calendar_sync_states") == [{"active": False}]
        calendar = next(iter(first))
        with psycopg.connect(database_url) as connection:
            add(connection, "calendar_sync_states", channel_id="c", calendar_id=calendar)
            add(connection, "calendar_sync_states", channel_id="d", calendar_id="left@example.test", sync_token="old")
        it.simulator.create_event(calendar, summary="New")
        it.simulator.set_fault("status", path="/events", after=1, status=400)
        with pytest.raises(Exception, match="400"):
            it.sync()
        it.simulator.clear_faults()
        kept = "SELECT calendar_id, sync_token FROM pipedesk.calendar_sync_states WHERE channel_id IS NULL"
        assert {row["calendar_id"]: row["sync_token"] for row in it.query(kept)} == first
        it.sync()
        second = it.history()[-1]["configuration"]["state"]
        assert second != first
        assert shown() == {**second, "left@example.test": None}
        tokens = it.query("SELECT sync_token FROM pipedesk.calendar_sync_states WHERE calendar_id = %s", calendar)
        assert tokens == [{"sync_token": second[calendar]}] * 2


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_token_that_is_the_same_touches_no_row(connection: Connection, role: str) -> None:
    """Whether the session mirrors or not."""
    connection.execute(f"SET LOCAL session_replication_role = {role}")
    for token, touched in (("t", True), ("t", False), ("u", True)):
        connection.execute("UPDATE pipedesk.calendar_sync_states SET updated_at = '2020-01-01'")
        connection.execute("INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time)"
                   " VALUES ('gcalendar', 'events', now())")  # fmt: skip
        connection.execute(
            "UPDATE orchestration.sync_history SET status = 'success', end_time = now(),"
            " configuration = jsonb_build_object('state', jsonb_build_object('a', %s::text))",
            [token],
        )
        (row,) = connection.execute(
            "SELECT sync_token, updated_at = now() FROM pipedesk.calendar_sync_states"
        ).fetchall()
        assert row == (token, touched)


def test_list_events_makes_no_http_call(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was synced is read from the table, while Google does not answer."""
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch, contacts=30) as it:
        it.sync()
    with psycopg.connect(database_url) as connection:
        assert one(connection, "SELECT count(*) FROM pipedesk.calendar_events"
                   " WHERE start_time < 'infinity' AND status <> 'cancelled'") > 3  # fmt: skip


@pytest.mark.slow("a schema that is migrated again")
def test_the_page_token_of_drive_is_shown(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the files and one for the folders, of the last run that left one."""
    with source_harness("pipedesk.drive_files", database_url, monkeypatch, contacts=30) as it:
        cursors = "SELECT sync_type, drive_id, page_token, updated_at FROM pipedesk.drive_change_cursors"
        assert it.query(cursors) == []
        it.sync()
        it.simulator.create_file(name="New.pdf")
        it.sync()
        it.sync(max_records=1)
        last = it.history()[1]
        (found,) = it.query(cursors)
    assert found.pop("updated_at") == last["end_time"]
    assert found == {"sync_type": "files", "drive_id": None, "page_token": last["configuration"]["state"]["page_token"]}


def test_the_tables_are_still_what_the_entities_declare(database_url: str) -> None:
    entities: list[Entity] = [entity for _, entity in ENTITIES.values()]
    with engine(database_url).connect() as connection:
        assert tables.differences(connection, entities) == []
        assert {key["name"] for key in sa.inspect(connection).get_foreign_keys("leads", "pipedesk")} == {
            f"leads_{column}_fkey" for table, column, _ in REFERENCES if table == "leads"
        }
