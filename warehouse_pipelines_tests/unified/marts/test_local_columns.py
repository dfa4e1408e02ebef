"""Marts in an installation whose ``config/columns.toml`` renamed, dropped or hashed columns of the sources."""

from dataclasses import replace

import pytest
from psycopg import sql

from warehouse_pipelines.model.entity import Entity, Local
from warehouse_pipelines.unified import columns, marts
from warehouse_pipelines.unified.marts.refresh import as_declared
from warehouse_pipelines.unified.marts.rows import MARTS
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows


def read_plainly() -> list[str]:
    """The tables whose columns stand in a SELECT of a mart, or in a check, as they are declared."""
    return sorted(
        {
            table
            for mart in MARTS
            for table in mart.reads
            if table in columns.entities() and table in (mart.select if mart.scope != "activities" else "") + str(
                [check.faults for check in mart.checks])
        }
    )  # fmt: skip


def fill(fed: FeedDatabase) -> None:
    fed.source("genius_user", user_id=1)
    fed.source("genius_job_change_order_status", id=1, label="Signed")
    fed.source("genius_job_change_order_reason", id=1, label="Damage")
    prospects = [fed.source("genius_prospect", prospect_id=number, add_date="2026-01-01") for number in (1, 2)]
    contacts = [fed.source("hubspot_contact", id=str(n), lead_cost="20.50", createdate="2026-01-01") for n in (1, 2, 3)]
    fed.source("hubspot_company", id="c")
    for number in "13":
        fed.source("hubspot_contact_to_company_association", contact_id=number, company_id="c", association_type_id=1)
    ann = fed.person(prospects[0], contacts[0], contacts[1], first_name="Ann", last_name="Example", zip="45402")
    fed.person(prospects[1], contacts[2], first_name="Bob", last_name="Sample")
    visit = fed.source("genius_appointment", appointment_id=1, prospect_id=1, add_date="2026-01-21", user_id=1,
                       add_user_id=1)  # fmt: skip
    fed.record(visit, ann)
    fed.source("genius_job", id=1, prospect_id=1, contract_date="2026-02-01", contract_amount="1000.10",
               contract_number="C-1", sold_user_id=1)  # fmt: skip
    fed.source("genius_job_change_order", id=1, job_id=1, total_amount="200.25", status_id=1, reason_id=1,
               effective_date="2026-02-03", sold_date="2026-02-03")  # fmt: skip
    fed.source("callrail_tracker", id="t", name="Website")
    call = fed.source("callrail_call", id="1", start_time="2026-01-20T15:00:00Z", tracker_id="t", direction="inbound",
                      answered=True)  # fmt: skip
    fed.record(call, ann)


def everything(fed: FeedDatabase) -> dict[str, list[Row]]:
    marts.run(fed.session)
    return {mart.name: rows(fed.session, mart.name) for mart in MARTS}


def changed(fed: FeedDatabase, patch: pytest.MonkeyPatch, entity: Entity, local: Local) -> None:
    """Change the table as a migration does, and what the installation knows of it."""
    here = sql.Identifier(entity.schema, entity.table_name)
    new = {old: name for name, old in local.renamed.items()}
    kept = {new.get(name, name): column for name, column in entity.columns.items() if name not in local.dropped}
    patch.setitem(columns.entities(), entity.table, replace(
        entity, columns=kept, local=local, index="", refs={}, rules=(), severity={}, expected="",
        cursor=new.get(entity.cursor or "", entity.cursor), edited=new.get(entity.edited or "", entity.edited),
        deletes=type(entity.deletes)(),
    ))  # fmt: skip
    for name, old in local.renamed.items():
        names = [(old, name), *([(f"{old}_e164", f"{name}_e164")] if f"{old}_e164" in entity.e164 else [])]
        for was, becomes in names:
            fed.session.execute(
                sql.SQL("ALTER TABLE {} RENAME {} TO {}").format(here, sql.Identifier(was), sql.Identifier(becomes))
            )
    for name in local.dropped:
        fed.session.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE").format(here, sql.Identifier(name)))


@pytest.mark.slow("a schema that is migrated again")
def test_renamed_columns_change_no_mart(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """All columns of all tables that a SELECT or a check names, the keys aside."""
    fill(fed)
    before = everything(fed)
    for name in ("job_change_orders", "duplicates", "relationships", "call_performance", "rep_performance"):
        assert before[name], name
    for table in read_plainly():
        entity = columns.entities()[table]
        renamed = {f"{name}_here": name for name in entity.columns if name not in entity.keys}
        changed(fed, monkeypatch, entity, Local(renamed=renamed))
    assert everything(fed) == before
    assert_as_from_nothing(fed.session)
    for mart in MARTS:
        for check in mart.checks:
            fed.session.execute(as_declared(check.faults, mart.reads).encode())


def test_a_column_that_is_dropped_or_hashed_is_empty(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(fed)
    before = everything(fed)["job_change_orders"][0]
    entity = columns.entities()["genius_job"]
    changed(fed, monkeypatch, entity, Local(dropped={"contract_number": entity.columns["contract_number"]}))
    entity = columns.entities()["genius_job_change_order_reason"]
    changed(fed, monkeypatch, entity, Local(hashed=frozenset({"label"})))
    (after,) = everything(fed)["job_change_orders"]
    assert after == {**before, "contract_number": None, "reasons": []}
