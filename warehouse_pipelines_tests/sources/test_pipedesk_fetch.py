"""What is odd about PipeDesk: no time can be trusted, so hashes are compared; and rows that a policy would hide."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    PermissionMissing,
    SuspiciousRead,
    VendorUnavailable,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.pipedesk import postgresql
from warehouse_pipelines.simulators.pipedesk.simulator import PipeDesk
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.sources._http import ATTEMPTS
from warehouse_pipelines.sources.pipedesk import PIPEDESK, hash_diff
from warehouse_pipelines.sources.pipedesk.client import parameters
from warehouse_pipelines.sources.pipedesk.settings import Settings
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.fetching import SAMPLES, Held, Read
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, looking, serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in PIPEDESK.entities}
LEADS, TAGS, USERS = ENTITIES["leads"], ENTITIES["tags"], ENTITIES["users"]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeDesk]:
    with serve_vendor("pipedesk", monkeypatch, retry_seconds="0.001") as simulators:
        yield simulators.of(PipeDesk)


@pytest.fixture
def leads(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    """The leads, and a warehouse that has them."""
    with source_harness("pipedesk.leads", database_url, monkeypatch) as it:
        it.sync()
        yield it


@contextmanager
def of(table: str, url: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[SourceHarness]:
    with source_harness(table, url, monkeypatch, **settings) as it:
        it.sync()
        yield it


def counts(it: SourceHarness, **flags: Any) -> tuple[str, str, int, int, int]:
    """Sync, and return how, what came of it, and how many rows were read, written and buried."""
    result = it.sync(**flags)
    return result.mode, result.status, result.processed, result.created + result.updated, result.deleted


def lead_where(it: SourceHarness | PipeDesk, condition: str) -> list[str]:
    simulator = it.simulator if isinstance(it, SourceHarness) else it
    return [row["id"] for row in simulator.run(f"SELECT id::text FROM leads WHERE {condition} ORDER BY id")]


def test_every_table_comes_whole_each_row_once(vendor: PipeDesk) -> None:
    for entity in PIPEDESK.entities:
        read = Read(PIPEDESK, entity, page_size=7)
        coercer = Coercer("pipedesk", entity)
        records = [record for page in read.finished()._seen for record in page.records]
        rows = coercer.table(records).to_pylist()
        assert sorted([str(row[key]) for key in entity.keys] for row in rows) == sorted(
            vendor.keys(entity.path.split("|")[0])
        )
        assert (coercer.rejects, dict(coercer.warnings)) == ([], {}) or entity.name == "contacts"
    assert len(PIPEDESK.entities) == 13


def test_the_documented_rows_are_read_as_the_notes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for what in lacking(["pipedesk"]).values():
        missing(what)
    server = postgresql.cluster().server
    name = f"sample_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", server.create_database(name))
    with server.connect(name) as connection:
        connection.execute((SAMPLES / "pipedesk.sql").read_bytes())
    read = Read(PIPEDESK, LEADS)
    coercer = Coercer("pipedesk", LEADS)
    alfa, beta = coercer.table([record for page in read.finished()._seen for record in page.records]).to_pylist()
    (role,) = Read(PIPEDESK, ENTITIES["user_roles"]).records
    with pytest.raises(AnswerChanged, match="companies, contacts, google_drive_folders, lead_activity_stats"):
        PIPEDESK.check()
    server.drop_database(name)
    assert (alfa["id"], alfa["legal_name"], alfa["priority_score"]) == (
        "7b0c9f34-51d2-4f0a-9a67-3f2e7d1c0a01", "Alfa Ltda", 40,
    )  # fmt: skip
    assert alfa["created_at"] == datetime(2025, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert alfa["updated_at"] == datetime(2025, 11, 2, 8, 15, 0, 1, tzinfo=UTC)
    assert (alfa["archived"], alfa["deleted_at"], alfa["qualified_at"]) == (False, None, None)
    assert (beta["archived"], beta["deleted_at"]) == (True, datetime(2025, 11, 5, 12, 30, tzinfo=UTC))
    assert (beta["qualified_at"], beta["legal_name"]) == (beta["deleted_at"], 'Beta "& Filhos"')
    assert role == {"id": 1, "user_id": "00000000-0000-0000-0000-000000000001", "role": "admin"}
    assert read.context.noted == {"undeclared_columns": ["segment"]}


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_qualified_lead_arrives_though_its_updated_at_stands_still(leads: SourceHarness) -> None:
    """The product's own qualify_lead sets no updated_at; whether it sets deleted_at is unconfirmed."""
    first, second, *_ = lead_where(leads, "qualified_at IS NULL AND deleted_at IS NULL")
    before = leads.rows()
    leads.simulator.qualify(first)
    leads.simulator.configure(qualify_deletes=False)
    leads.simulator.qualify(second)
    assert counts(leads) == ("delta", "success", 2, 2, 1)
    rows = leads.rows()
    for key in (first, second):
        assert rows[(key,)]["qualified_at"] is not None
        assert rows[(key,)]["updated_at"] == before[(key,)]["updated_at"]
    assert (rows[(first,)]["archived"], rows[(first,)]["delete_reason"]) == (True, "archived")
    assert (rows[(second,)]["archived"], rows[(second,)]["deleted_at"]) == (False, None)


def test_the_sweep_finds_whatever_changed_and_reads_nothing_else(leads: SourceHarness) -> None:
    """Raw SQL, a row without a time, a late commit with an old one, an undeclared column, a restored backup."""
    raw, late, old, undeclared, *_ = lead_where(leads, "updated_at IS NOT NULL AND deleted_at IS NULL")
    (timeless, *_) = lead_where(leads, "updated_at IS NULL AND deleted_at IS NULL")
    transaction = leads.simulator.begin("leads", [late], trade_name="late", updated_at="2020-01-01T00:00:00Z")
    assert counts(leads) == ("delta", "success", 0, 0, 0)
    leads.simulator.commit(transaction)
    leads.simulator.edit("leads", [raw], touch=False, trade_name="raw")
    leads.simulator.edit("leads", [timeless], touch=False, priority_score=7)
    leads.simulator.edit("leads", [old], legal_name="restored", updated_at="2020-01-01T00:00:00Z")
    leads.simulator.edit("leads", [undeclared], touch=False, expected_volume="0.30000000000000000001")
    assert counts(leads) == ("delta", "success", 5, 5, 0)
    rows = leads.rows()
    assert [rows[(key,)]["trade_name"] for key in (raw, late)] == ["raw", "late"]
    assert (rows[(timeless,)]["priority_score"], rows[(old,)]["legal_name"]) == (7, "restored")
    with psycopg.connect(leads.url) as connection:
        said = connection.execute(
            "SELECT raw_data->>'expected_volume' FROM pipedesk.leads WHERE id = %s", [undeclared]
        ).fetchone()
    assert said == ("0.30000000000000000001",), "no digit is lost"
    assert counts(leads) == ("delta", "success", 0, 0, 0)


@pytest.mark.slow("rarer behaviour of a vendor")
def test_what_a_sweep_costs_is_reported(leads: SourceHarness) -> None:
    leads.simulator.many(500)
    assert leads.sync().created == 500
    result = leads.sync()
    metrics = result.metrics
    assert (metrics["total_records"], metrics["hash_diff_rows"]) == (0, 560)
    assert 560 * 40 < metrics["hash_diff_bytes"] < 560 * 60
    assert metrics["hash_diff_ms"] > 0
    assert result.calls == 4, "the columns, and a cursor: declared, and read to its end"
    assert metrics["noticed"]["undeclared_columns"] == ["expected_volume"]
    assert leads.sync(full=True).metrics["hash_diff_rows"] == 0


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_link_that_is_gone_is_buried_and_comes_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with of("pipedesk.lead_tags", database_url, monkeypatch) as it:
        link = it.simulator.keys("lead_tags")[3]
        it.simulator.remove("lead_tags", link)
        assert counts(it) == ("delta", "success", 0, 0, 1)
        row = it.rows()[tuple(link)]
        assert (row["archived"], row["delete_reason"]) == (True, "missing")
        assert counts(it) == ("delta", "success", 0, 0, 0)
        it.simulator.restore("lead_tags", link)
        assert counts(it) == ("delta", "success", 1, 1, 0)
        assert not it.rows()[tuple(link)]["archived"]


@pytest.mark.slow("rarer behaviour of a vendor")
def test_the_primary_flag_moves_within_one_batch(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one contact of a lead is flagged; the truth of the vendor is loaded in any order."""
    with of("pipedesk.lead_contacts", database_url, monkeypatch) as it:
        it.simulator.run(
            "UPDATE lead_contacts c SET is_primary = NOT is_primary WHERE EXISTS ("
            " SELECT FROM lead_contacts o WHERE o.lead_id = c.lead_id AND o.is_primary HAVING count(*) = 1)"
        )
        result = it.sync()
        assert (result.status, result.updated) == ("success", result.processed)
        assert result.updated > 50
        flags = "SELECT lead_id::text, contact_id::text, is_primary FROM {} ORDER BY 1, 2"
        assert it.query(flags.format("pipedesk.lead_contacts")) == it.simulator.run(flags.format("lead_contacts"))


@pytest.mark.slow("rarer behaviour of a vendor")
def test_two_tags_swap_their_names(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is unique at the vendor at any moment, and here at none is a row refused for it."""
    with of("pipedesk.tags", database_url, monkeypatch) as it:
        (one, first), (other, second), *_ = [
            (row["id"], row["name"]) for row in it.simulator.run("SELECT id::text, name FROM tags ORDER BY name")
        ]
        for key, name in ((one, "between"), (other, first), (one, second)):
            it.simulator.edit("tags", [key], name=name)
        assert counts(it) == ("delta", "success", 2, 2, 0)
        it.simulator.remove("tags", [one])
        assert counts(it)[-1] == 1
        it.simulator.create("tags", name=second)
        assert counts(it)[:4] == ("delta", "success", 1, 1)


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_role_that_we_do_not_have_is_loaded_and_not_read_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with of("pipedesk.user_roles", database_url, monkeypatch) as it:
        (row,) = it.simulator.run("SELECT min(id) AS id FROM user_roles")
        it.simulator.run(f"UPDATE user_roles SET role = 'owner' WHERE id = {row['id']}")
        assert counts(it) == ("delta", "success", 1, 1, 0)
        assert it.rows()[str(row["id"]),]["role"] == "owner"
        assert it.dead_letters() == []
        assert counts(it) == ("delta", "success", 0, 0, 0)


def test_rows_made_here_are_left_alone(leads: SourceHarness) -> None:
    """Owned and mirrored rows stay apart: what has no sync_hash was never PipeDesk's."""
    own = str(uuid.UUID(int=4711))
    with psycopg.connect(leads.url) as connection:
        connection.execute("INSERT INTO pipedesk.leads (id, legal_name, raw_data) VALUES (%s, 'ours', '{}')", [own])
    assert counts(leads) == ("delta", "success", 0, 0, 0)
    assert counts(leads, full=True) == ("full", "success", 60, 0, 0)
    assert not leads.rows()[(own,)]["archived"]


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_table_that_vanishes_is_not_believed(leads: SourceHarness) -> None:
    before = leads.rows()
    leads.simulator.empty("leads")
    with pytest.raises(SuspiciousRead, match="--force"):
        leads.sync()
    assert leads.rows() == before
    assert counts(leads, force=True)[0::4] == (
        "full",
        len(leads.rows()) - sum(row["archived"] for row in before.values()),
    )


@pytest.mark.slow("rarer behaviour of a vendor")
def test_too_many_that_are_gone_are_not_believed(leads: SourceHarness) -> None:
    leads.simulator.run("UPDATE leads SET deleted_at = NULL")
    leads.simulator.many(200)
    leads.sync()
    leads.simulator.run("DELETE FROM lead_contacts; DELETE FROM lead_tags; DELETE FROM lead_activity_stats")
    leads.simulator.run("DELETE FROM leads WHERE id IN (SELECT id FROM leads ORDER BY id LIMIT 100)")
    with pytest.raises(SuspiciousRead, match="no longer shows 100 of the 260"):
        leads.sync()
    assert counts(leads, force=True)[0] == "full"


@pytest.mark.parametrize("why", ["many differ", "a column more", "declared otherwise"])
@pytest.mark.slow("rarer behaviour of a vendor")
def test_everything_is_read_where_a_sweep_would_not_be_cheaper(
    leads: SourceHarness, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "many differ":
        monkeypatch.setattr(hash_diff, "MOST_CHANGED", 10)
        leads.simulator.run("UPDATE leads SET priority_score = priority_score + 1")
    elif why == "a column more":
        leads.simulator.add_column("leads", "mood", "text", "good")
    changed: dict[str, Any] = {}
    if why == "declared otherwise":
        source, entity = leads.with_entity(columns={**LEADS.columns, "trade_name": LEADS.columns["legal_name"]})
        changed = {"source": source, "entity": entity}
    result = leads.sync(**changed)
    assert (result.mode, result.processed, result.updated, result.metrics["hash_diff_rows"]) == ("full", 60, 60, 0)
    again = leads.sync(**changed)
    assert (again.mode, again.processed, again.metrics["hash_diff_rows"]) == ("delta", 0, 60)
    if why == "a column more":
        assert result.metrics["noticed"]["undeclared_columns"] == ["expected_volume", "mood"]


def test_rows_hidden_by_a_policy_are_an_error_and_not_absent(
    leads: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would show a role without BYPASSRLS no lead, and say nothing."""
    before = leads.rows()
    leads.simulator.bypass(False)
    runs: tuple[dict[str, Any], ...] = ({}, {"full": True, "force": True})
    for flags in runs:
        with pytest.raises(PermissionMissing, match=rf"ALTER ROLE {leads.simulator.name} BYPASSRLS"):
            leads.sync(**flags)
    with pytest.raises(
        PermissionMissing,
        match=r"companies, contacts, google_drive_folders, lead_contacts, leads, master_deals, tags\. .*BYPASSRLS",
    ):
        PIPEDESK.check()
    assert leads.rows() == before
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", leads.simulator.plain_url)
    with pytest.raises(PermissionMissing, match="_plain BYPASSRLS"):
        leads.sync()
    assert len(Read(PIPEDESK, USERS).records) == 12, "where no policy is, none is in the way"


@pytest.mark.slow("rarer behaviour of a vendor")
def test_ids_that_are_text_are_read_and_compared(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with of("pipedesk.leads", database_url, monkeypatch, text_ids=True) as it:
        assert it.rows().keys() == it.driver.keys(LEADS)
        first, second, *_ = lead_where(it, "deleted_at IS NULL")
        it.simulator.edit("leads", [first], touch=False, trade_name="edited")
        it.simulator.remove("leads", [second])
        assert counts(it) == ("delta", "success", 1, 1, 1)
        it.simulator.create("leads", id=str(uuid.uuid4()).upper(), deleted_at=None)
        result = it.sync()
        assert (result.mode, result.created, result.deleted) == ("full", 1, 0), "written otherwise than here"
        result = it.sync()
        assert (result.mode, result.updated + result.created, result.deleted) == ("full", 0, 0)
        it.simulator.create("leads", id="lead-17", deleted_at=None)
        result = it.sync()
        assert (result.status, result.failed, result.deleted) == ("partial", 1, 0)


@pytest.mark.slow("rarer behaviour of a vendor")
def test_profiles_are_the_users_where_there_is_no_other_table(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with of("pipedesk.users", database_url, monkeypatch, profiles=True) as it:
        assert len(it.rows()) == 12
        assert it.sync().metrics["noticed"] == {"absent_columns": ["email"]}
        assert "all of 13 tables" in PIPEDESK.check()


@pytest.mark.slow("rarer behaviour of a vendor")
def test_an_id_that_is_no_uuid_costs_its_value_only(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key apart: a lead whose status is written otherwise is loaded, the text stays in `raw_data`."""
    with of("pipedesk.leads", database_url, monkeypatch, text_ids=True) as it:
        key = it.simulator.keys("leads")[0]
        it.simulator.run("ALTER TABLE leads DROP CONSTRAINT leads_lead_status_id_fkey")
        it.simulator.edit("leads", key, touch=False, lead_status_id="status-17", deleted_at=None)
        result = it.sync()
        assert (result.status, result.failed, result.updated) == ("success", 0, 1)
        row = it.rows()[tuple(key)]
        assert (row["lead_status_id"], row["raw_data"]["lead_status_id"]) == (None, "status-17")
        assert result.metrics["warnings"] == {"warn:lead_status_id": 1}


def test_a_column_that_only_some_versions_have_is_looked_for_when_everything_is_read(vendor: PipeDesk) -> None:
    """To find no value of it costs a walk through the warehouse's table, in each run. `check` does not warn of it."""
    companies = ENTITIES["companies"]
    vendor.run("ALTER TABLE companies DROP cnpj")
    first = Read(PIPEDESK, companies, known=(held := Held(values={"cnpj"}))).finished()
    assert first.context.absent == held.asked == {"cnpj"}
    state = first.report.next_state
    assert state is not None
    swept = Read(PIPEDESK, companies, known=(held := Held(values={"cnpj"})), state=state).finished()
    assert swept.context.noted["absent_columns"] == ["cnpj"]
    assert held.asked == set()
    assert "cnpj" not in PIPEDESK.check()
    vendor.run("ALTER TABLE companies DROP name")
    assert "companies without name (" in PIPEDESK.check()


def test_check_names_every_table_that_is_missing_or_changed(vendor: PipeDesk) -> None:
    vendor.rename_column("lead_origins", "id", "key")
    vendor.rename_column("lead_statuses", "id", "number")
    vendor.drop_table("user_roles")
    with pytest.raises(AnswerChanged) as error:
        PIPEDESK.check()
    said = str(error.value)
    assert said.index("no table user_roles") < said.index("lead_statuses has no column id") < said.index("lead_origins")


def test_a_column_that_was_filled_and_is_gone_is_an_alarm(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with of("pipedesk.contacts", database_url, monkeypatch) as it:
        it.simulator.run("ALTER TABLE contacts RENAME phone TO phone_number")
        result = it.sync()
        assert (result.status, result.mode, result.deleted) == ("partial", "full", 0)
        said = "phone (contacts has no column phone that the account may see; it has phone_number"
        assert "columns_absent: phone had values" in (result.reason or "")
        assert said in caplog.text
        assert any(row["phone"] for row in it.rows().values())
        again = it.sync()
        assert (again.status, again.mode, again.processed) == ("success", "delta", 0)
        assert f"contacts without {said}" in PIPEDESK.check()
        assert not any("phone" in row["raw_data"] for row in it.rows().values())
        it.simulator.run("ALTER TABLE contacts RENAME phone_number TO phone")
        assert it.sync().status == "success"
        assert any(row["phone"] for row in it.rows().values())


@pytest.mark.slow("rarer behaviour of a vendor")
def test_leads_stay_deleted_while_the_table_has_no_time_of_deletion(leads: SourceHarness) -> None:
    def deleted() -> set[Any]:
        return {key for key, row in leads.rows().items() if row["delete_reason"] == "archived"}

    before = deleted()
    assert before
    leads.simulator.run("ALTER TABLE leads RENAME deleted_at TO removed_at")
    result = leads.sync()
    assert (result.status, result.restored, deleted()) == ("partial", 0, before)
    assert (result.reason or "").startswith("columns_absent: deleted_at ")
    # The hashes agree with PipeDesk's, although a column is kept: nothing is read again.
    again = leads.sync()
    assert (again.status, again.mode, again.processed, deleted()) == ("success", "delta", 0, before)
    leads.simulator.run("ALTER TABLE leads RENAME removed_at TO deleted_at")
    leads.simulator.edit("leads", [sorted(before)[0][0]], deleted_at=None)
    back = leads.sync()
    assert (back.status, back.restored, len(deleted())) == ("success", 1, len(before) - 1)


@pytest.mark.slow("rarer behaviour of a vendor")
def test_folders_of_drive_have_the_lead_that_pipedesk_says(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drive shows the properties of a folder to nobody but the program that set them; PipeDesk's table has the link."""
    with start(("pipedesk", "gdrive"), contacts=60) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        by_table = {entity.table: (source, entity) for source in SOURCES for entity in source.entities}
        for table in ("leads", "companies", "drive_folder_links", "google_drive_folders"):
            sync(*by_table[f"pipedesk.{table}"], Options(), url=database_url)
        pipedesk = simulators.of(PipeDesk)
        linked = {row["folder_id"]: row["entity_id"] for row in pipedesk.run("SELECT * FROM google_drive_folders")}
        view = "SELECT folder_id, entity_id, entity_type, lead_id, company_id FROM pipedesk.google_drive_folders_v"

        def found() -> dict[str, dict[str, Any]]:
            return {row["folder_id"]: row for row in looking(database_url).execute(view).fetchall()}

        owned = {folder: row for folder, row in found().items() if row["entity_id"]}
        assert {folder: row["entity_id"] for folder, row in owned.items()} == linked
        assert {str(row["lead_id"] or row["company_id"]) for row in owned.values()} == set(linked.values())
        assert sum(row["lead_id"] is not None for row in found().values()) == len(linked) - 1 == 5
        pipedesk.edit("google_drive_folders", ["2"], entity_id="lead-17")
        pipedesk.edit("google_drive_folders", ["3"], deleted_at=datetime.now(UTC))
        sync(*by_table["pipedesk.drive_folder_links"], Options(), url=database_url)
        assert [found()[folder]["lead_id"] for folder in ("folder-0000001", "folder-0000002")] == [None, None]


def test_a_secret_is_never_read(vendor: PipeDesk) -> None:
    for name in ("encrypted_password", "recovery_token", "api_key"):
        vendor.add_column("users", name, "text", "hidden treasure")
    read = Read(PIPEDESK, USERS)
    assert {frozenset(record) for record in read.records} == {frozenset({"id", "name", "email"})}
    assert "treasure" not in json.dumps(vendor.requests()["log"])


@pytest.mark.parametrize(
    ("fault", "path"),
    [({"kind": kind}, path) for path in ("/leads", "/connect") for kind in ("reset", "truncated", "status")]
    + [({"kind": "rate_limit"}, "/connect")],
)
def test_a_read_that_broke_off_goes_on(vendor: PipeDesk, fault: dict[str, Any], path: str) -> None:
    vendor.many(40)
    if path == "/connect":
        vendor.set_fault("reset", path="/leads", every=3, after=1)
    vendor.set_fault(path=path, every=3 if path == "/leads" else 2, after=1, **fault)
    read = Read(PIPEDESK, LEADS, page_size=10)
    assert len(set(read.ids)) == len(read.ids) == vendor.count("leads")
    assert vendor.list_faults()[-1]["fired"] >= 3


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_hash_diff_that_broke_off_goes_on(leads: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_diff, "COMPARED_AT_ONCE", 9)
    first, second, *_ = lead_where(leads, "deleted_at IS NULL")
    leads.simulator.edit("leads", [first], touch=False, trade_name="edited")
    leads.simulator.remove("leads", [second])
    leads.simulator.set_fault("reset", path="/leads", every=3, after=1)
    assert counts(leads) == ("delta", "success", 1, 1, 1)
    assert leads.simulator.list_faults()[0]["fired"] >= 3


def test_a_connection_killed_between_pages_is_opened_again(vendor: PipeDesk) -> None:
    vendor.many(40)
    read = Read(PIPEDESK, LEADS, page_size=10)
    for _ in range(3):
        read.step()
        assert vendor.kill_connections() == 1
    assert len(set(read.ids)) == len(read.ids) == vendor.count("leads")


def long_table(vendor: PipeDesk) -> int:
    """Make the leads a long table of pages of three; return how many they are."""
    vendor.many(460)
    return vendor.count("leads") // 3 + 1


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_long_table_is_read_in_ranges_side_by_side_on_two_sessions(vendor: PipeDesk) -> None:
    pages = long_table(vendor)
    vendor.run(f'ALTER ROLE "{vendor.name}" CONNECTION LIMIT 2')
    vendor.set_fault("slow", path="/", seconds=0.005)
    read = Read(PIPEDESK, LEADS, page_size=3)
    assert len(set(read.ids)) == len(read.ids) == vendor.count("leads")
    assert vendor.requests()["peak_concurrency"] > 1
    assert read.calls <= 1.02 * pages + 9  # columns, ends, and of each range a cursor, a page that is not full, the end
    assert "key_ranges_given_up" not in read.context.noted


@pytest.mark.parametrize("kind", ["status", "reset", "truncated"])
def test_ranges_that_broke_off_are_read_on_while_rows_are_edited(vendor: PipeDesk, kind: str) -> None:
    long_table(vendor)
    vendor.set_fault(kind, path="/leads", every=5, after=2)
    read = Read(PIPEDESK, LEADS, page_size=3)
    removed, *_, edited = (key for (key,) in vendor.keys("leads"))
    for _ in range(5):
        read.step()
    vendor.remove("leads", [removed], cascade=True)
    vendor.edit("leads", [edited], trade_name="edited")
    vendor.kill_connections()
    assert {key for (key,) in vendor.keys("leads")} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)
    assert vendor.list_faults()[0]["fired"] > 20


def test_a_role_with_one_connection_reads_a_long_table(vendor: PipeDesk) -> None:
    """Nothing waits for a connection that the role does not have."""
    long_table(vendor)
    vendor.run(f'ALTER ROLE "{vendor.name}" CONNECTION LIMIT 1')
    read = Read(PIPEDESK, LEADS, page_size=3)
    assert len(set(read.ids)) == len(read.ids) == vendor.count("leads")
    assert "key_ranges_given_up" not in read.context.noted


def test_a_long_table_whose_ids_are_text_is_read_in_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of text would be sorted by the server, as its index has another order."""
    with serve_vendor("pipedesk", monkeypatch, {"text_ids": True}) as simulators:
        vendor = simulators.of(PipeDesk)
        long_table(vendor)
        assert len(set(Read(PIPEDESK, LEADS, page_size=3).ids)) == vendor.count("leads")
        assert vendor.requests()["peak_concurrency"] == 1


def test_a_database_that_stays_away_is_tried_again_later(vendor: PipeDesk) -> None:
    vendor.set_fault("status", path="/tags")
    with pytest.raises(VendorUnavailable, match="57014"):
        Read(PIPEDESK, TAGS).finished()
    assert vendor.list_faults()[0]["fired"] == ATTEMPTS
    vendor.close()
    with pytest.raises(VendorUnavailable, match="does not answer"):
        Read(PIPEDESK, TAGS).finished()


def test_what_a_person_must_mend_is_said_at_once(
    vendor: PipeDesk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = vendor.settings.token
    said = []

    def refused(kind: type[Exception], match: str, entity: Entity = TAGS) -> None:
        vendor.reset_counters()
        with pytest.raises(kind, match=match) as error:
            Read(PIPEDESK, entity).finished()
        said.append(str(error.value))
        assert vendor.requests()["routes"].get("QUERY /connect", 0) == 1, "there is no second attempt"

    vendor.revoke("tags")
    refused(PermissionMissing, "SELECT on the tables")
    with pytest.raises(PermissionMissing, match="needs SELECT on tags"):
        PIPEDESK.check()
    vendor.rename_column("lead_origins", "id", "key")
    refused(AnswerChanged, "no column id", ENTITIES["lead_origins"])
    vendor.run("ALTER TABLE user_roles ALTER id DROP DEFAULT, ALTER id TYPE text")
    refused(AnswerChanged, "user_roles.id is text", ENTITIES["user_roles"])
    vendor.drop_table("tags")
    refused(AnswerChanged, "no table tags.*PIPEDESK_SCHEMA_NAME")
    with pytest.raises(AnswerChanged, match="no table tags"):
        PIPEDESK.check()
    vendor.change_password("another")
    refused(CredentialRefused, "password authentication failed")
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", vendor.environment()["PIPEDESK_DATABASE_URL"] + "_nowhere")
    vendor.change_password(password)
    refused(AnswerChanged, "does not exist")
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", vendor.environment()["PIPEDESK_DATABASE_URL"] + "?pgbouncer=true")
    with pytest.raises(NotConfigured, match="libpq does not know") as error:
        Read(PIPEDESK, TAGS).finished()
    assert password not in f"{said}{error.value}{caplog.text}"


def test_a_page_that_comes_again_is_an_error(vendor: PipeDesk) -> None:
    vendor.set_fault("repeat_page", path="/leads", after=2)
    with pytest.raises(CursorStuck, match="leads"):
        Read(PIPEDESK, LEADS, page_size=10).finished()


def test_nothing_outlives_the_transaction(vendor: PipeDesk) -> None:
    """What a pooler in transaction mode needs: no SET, nothing prepared; and nothing that could write or lock."""
    whole = Read(PIPEDESK, LEADS).finished()
    held = Held(hashed={tuple(key): 0 for key in vendor.keys("leads")})
    swept = Read(PIPEDESK, LEADS, known=held, state=whole.report.next_state or {})
    assert len(swept.records) == 60
    asked = [str(entry["body"]) for entry in vendor.requests()["log"] if entry["path"] != "/connect"]
    begun = [statement for statement in asked if statement.startswith("BEGIN")]
    assert begun == ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"] * 2
    assert not [one for one in asked if re.match(r"\s*(SET|PREPARE|LISTEN|LOCK|CREATE)\b|.*pg_advisory", one)]
    assert {"BEGIN", "SELECT", "DECLARE", "FETCH", "CLOSE"} >= {re.match(r"\s*(\w*)", one)[1] for one in asked}  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql+psycopg://u:p@db.abc.supabase.co:5432/postgres", "require"),
        ("postgresql://u.abc:p@aws-0-eu.pooler.supabase.com:6543/postgres?sslmode=disable", "require"),
        ("postgres://u:p@db.abc.supabase.co/postgres?sslmode=verify-full&sslrootcert=/ca.crt", "verify-full"),
        ("postgresql://u:p@127.0.0.1:5432/postgres", None),
        ("postgresql://u:p@localhost/postgres?sslmode=disable", "disable"),
    ],
)
def test_tls_is_required_unless_the_server_is_this_machine(
    url: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", url)
    assert PIPEDESK.missing_settings() == []
    assert parameters(Settings()).get("sslmode") == mode
    assert "p@" not in repr(Settings())


def test_a_server_without_tls_elsewhere_is_refused(vendor: PipeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", vendor.environment()["PIPEDESK_DATABASE_URL"] + "?sslmode=require")
    with pytest.raises(NotConfigured, match="SSL"):
        Read(PIPEDESK, TAGS).finished()


def test_missing_and_unusable_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPEDESK_DATABASE_URL", raising=False)
    assert PIPEDESK.missing_settings() == ["PIPEDESK_DATABASE_URL"]
    for url in ("mysql://a:b@host/db", "host=somewhere", "postgresql://a:b@host"):
        monkeypatch.setenv("PIPEDESK_DATABASE_URL", url)
        assert PIPEDESK.missing_settings() == ["PIPEDESK_DATABASE_URL"]


def test_check_says_in_one_line_what_can_be_read(vendor: PipeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    said = PIPEDESK.check()
    assert re.fullmatch(rf"PipeDesk answers \(PostgreSQL \d+\.\S+\): all of 13 tables, and {vendor.name} sees .*", said)
    url = vendor.environment()["PIPEDESK_DATABASE_URL"]
    monkeypatch.setenv("PIPEDESK_DATABASE_URL", f"{url}?connect_timeout=5&application_name=ours&client_encoding=latin1")
    assert PIPEDESK.check() == said
    assert len(Read(PIPEDESK, LEADS).records) == 60
    vendor.set_fault("unauthorized", path="/connect")
    with pytest.raises(CredentialRefused):
        PIPEDESK.check()


def test_a_lead_of_the_notes_is_in_every_column(vendor: PipeDesk) -> None:
    """What nobody declared stays in the record; what is declared is there."""
    (record, *_) = Read(PIPEDESK, LEADS).records
    assert record.keys() - {"expected_volume", "deleted_at"} == LEADS.columns.keys()
    assert replace(LEADS, deletes=Deletes()).columns == LEADS.columns
