"""Several accounts of one CRM in one warehouse: what is kept apart, what is read together, and what is refused.

``harness.several_accounts`` runs once, in a process of its own, because accounts are read when a process starts.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import accounts as accounts_command
from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model import accounts
from warehouse_pipelines.model.entity import require_joinable
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.observability.alerts import program
from warehouse_pipelines.observability.health import STATUS, judge
from warehouse_pipelines.outbound.targets import TARGETS, of_account
from warehouse_pipelines.schema import account_views
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.sequences.replies import Replies
from warehouse_pipelines.settings import setting_name
from warehouse_pipelines.simulators.server import child_environment
from warehouse_pipelines.sources import DECLARED, SOURCES
from warehouse_pipelines.unified import feed, marts
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines.unified.marts.accounts import for_all
from warehouse_pipelines.unified.people_rows import (
    _PEOPLE,
)
from warehouse_pipelines_tests.harness.command_line import warehouse as command
from warehouse_pipelines_tests.harness.crm_database import A

ACCOUNTS = 'hubspot = ["west"]\ncallrail = ["north", "south"]\n'
pytestmark = [
    pytest.mark.timeout(900),  # the run takes 40 s, and many times that on a busy machine
    pytest.mark.on_oldest(
        "test_what_is_made_of_all_accounts_refuses_to_leave_one_out",
        "test_what_a_removed_account_permitted_is_permitted_no_more_and_what_it_took_back_stays",
        "test_the_name_of_a_removed_account_is_refused",
        "test_a_run_that_begins_while_a_removal_asks_keeps_its_tables",
        "test_a_removal_does_not_wait_for_long_for_who_uses_the_tables",
    ),
]

OF_HUBSPOT, OF_CALLRAIL = ("hubspot", "hubspot_west"), ("callrail", "callrail_north", "callrail_south")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accounts") / "accounts.toml"
    path.write_text(ACCOUNTS)
    return path


@pytest.fixture(scope="module")
def found(shared_url: str, file: Path) -> dict[str, Any]:
    """What the run printed."""
    given = {
        **child_environment(), **os.environ, "WAREHOUSE_DATABASE_URL": shared_url, "WAREHOUSE_ACCOUNTS_FILE": str(file),
    }  # fmt: skip
    command = [sys.executable, "-m", "warehouse_pipelines_tests.harness.several_accounts"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.mark.slow("a server of its own, migrated")
def test_accounts_come_into_a_warehouse_that_is_there_and_change_nothing_of_it(found: dict[str, Any]) -> None:
    lines = found["migrated"]
    assert {"account hubspot_west", "account callrail_north", "account callrail_south"} <= set(lines)
    own = ("table hubspot_west.", "table callrail_north.", "table callrail_south.")
    assert all(line.startswith(own) for line in lines if line.startswith("table "))
    assert found["verified"] == []


def test_each_account_has_its_own_rows_history_and_budget_though_ids_are_the_same(found: dict[str, Any]) -> None:
    assert found["created"]["hubspot contacts"] == 40
    assert found["created"]["hubspot_west contacts"] == found["same_ids"] == 25
    assert [row["crm_source"] for row in found["runs"]] == sorted([*OF_HUBSPOT, *OF_CALLRAIL])
    assert {row["runs"] for row in found["runs"]} == {2}
    assert [(row["crm_source"], row["credentials"]) for row in found["budgets"]] == [
        (name, 1) for name in sorted([*OF_HUBSPOT, *OF_CALLRAIL])
    ]


def test_a_view_has_the_rows_of_all_accounts_in_clear_and_masked(found: dict[str, Any]) -> None:
    assert [(row["account"], row["rows"]) for row in found["in_view"]] == [("hubspot", 40), ("hubspot_west", 25)]
    assert [(row["account"], row["rows"], row["ids"]) for row in found["masked"]] == [
        ("callrail", 20, 20), ("callrail_north", 15, 15), ("callrail_south", 10, 10),
    ]  # fmt: skip


def test_a_revoked_credential_stops_its_own_account_alone_and_is_named(found: dict[str, Any]) -> None:
    assert found["refused"].startswith("CredentialRefused: ")
    assert "HUBSPOT_WEST_ACCESS_TOKEN" in found["refused"]
    assert (found["other_is_read"], found["north_is_read"]) == ("success", "success")


def test_an_account_is_not_read_with_the_credential_of_another(found: dict[str, Any]) -> None:
    """Neither a delta nor everything; a credential for both is good for the account that it is of."""
    [first, *_, last] = found["swapped hubspot"]
    for said in (
        "HUBSPOT_ACCESS_TOKEN answers for the account hub-44440002, and the tables of hubspot are of hub-44440001.",
        "declare it in config/accounts.toml under another name",
    ):
        assert said in first
    assert "HUBSPOT_WEST_ACCESS_TOKEN answers for the account hub-44440001" in last
    for crm in ("hubspot", "callrail_north"):
        assert [word.partition(":")[0] for word in found[f"swapped {crm}"]] == ["WrongAccount"] * 4
        assert [word.partition(":")[0] for word in found[f"one for both {crm}"]] == [
            "WrongAccount", "WrongAccount", "success", "success",
        ]  # fmt: skip
    assert found["swapped left"]


def test_one_id_in_two_portals_is_two_records_and_who_is_in_both_is_one_person(found: dict[str, Any]) -> None:
    records = {row["source_table"]: row["records"] for row in found["records"]}
    assert records["hubspot_contact"] == 40
    assert records["hubspot_west.hubspot_contact"] == 25
    assert found["persons_of_one_id"] == 2
    assert found["person_of_both"] == 1


def test_marts_and_the_do_not_call_list_have_all_accounts(found: dict[str, Any]) -> None:
    assert found["calls_in_mart"] == found["calls"] == 45
    assert found["trackers_in_mart"] == 2, "one tracker id in two accounts is two trackers"
    assert {row["crm_source"]: row["n"] for row in found["timeline"]} == {
        "hubspot": 40, "hubspot_west": 25, "callrail": 20, "callrail_north": 15, "callrail_south": 10,
    }  # fmt: skip
    assert found["listed"] == 1, "who asked in one portal is not to be called in any"


def test_what_is_written_to_one_account_reaches_no_other_and_is_taken_back(found: dict[str, Any]) -> None:
    for name in ("hubspot_west_do_not_call", "callrail_north_do_not_call"):
        assert found[f"written {name}"] == [{"written": 1}, [True], {"written": 1}]
    wrote = {
        name: sum(number for route, number in routes.items() if route.startswith("PUT") or route.endswith("/update"))
        for name, routes in found["writes"].items()
    }
    assert wrote == {"hubspot": 0, "hubspot_west": 2, "callrail": 0, "callrail_north": 2, "callrail_south": 0}


def test_a_trial_is_compared_with_the_rows_of_its_account(found: dict[str, Any]) -> None:
    assert found["tried hubspot_west"] == [5, 0, 5]
    assert found["tried callrail_north"][:2] == [15, 0]


def test_a_backfill_deletes_in_its_account_alone(found: dict[str, Any]) -> None:
    assert found["backfilled"] == ["backfill", "success", 1]
    archived = {row["account"]: row["archived"] for row in found["archived"]}
    assert archived.pop("callrail_north")
    assert archived
    assert not any(archived.values())


def test_old_rows_of_an_account_are_removed_and_those_of_others_stay(found: dict[str, Any]) -> None:
    accounts = {row["account"]: row["rows"] for row in found["trackers"]}
    assert set(accounts) == {"callrail", "callrail_south"}


def test_deals_of_two_portals_are_one_sale_if_both_name_the_visit_and_the_lead_is_worth_the_sales(
    found: dict[str, Any],
) -> None:
    assert [(row["amount"], row["records"]) for row in found["sales"]] == [
        (5_000, ["hubspot_deal d1"]), (8_000, ["hubspot_west.hubspot_deal d1"]),
        (10_000, ["hubspot_deal d0", "hubspot_west.hubspot_deal d0"]),
    ]  # fmt: skip
    assert found["worth"] == 23_000


def test_an_alert_names_the_account(found: dict[str, Any]) -> None:
    assert ["credential_refused", "hubspot_west"] in found["alerts"]
    assert {crm for _, crm in found["alerts"]} == {"hubspot_west"}


def test_serve_shows_an_account_as_any_other_source(found: dict[str, Any]) -> None:
    assert set(found["pages"].values()) == {200}, found["pages"]
    assert "hubspot_west.hubspot_contact" in found["row"]
    assert "/tables/hubspot_west.hubspot_contact/row?key=" in found["person"]


def test_a_delivery_is_proved_by_the_secret_of_its_account(found: dict[str, Any]) -> None:
    assert found["delivered hubspot"][0] is False
    assert found["delivered hubspot_west"] == [True, ["hubspot_west", "contacts", "7", False]]


def test_an_erased_person_is_erased_in_all_accounts_and_does_not_come_back(found: dict[str, Any]) -> None:
    assert found["left"] == []
    assert (found["named after"], found["named again"]) == (0, 0)


@pytest.mark.slow("the same in other circumstances")
def test_a_program_that_does_not_know_an_account_refuses_what_needs_all(found: dict[str, Any], shared_url: str) -> None:
    """This process was started without the file."""
    with warehouse.session(shared_url) as session, pytest.raises(NotConfigured, match="callrail_north, callrail_south"):
        require_declared(session)
    with pytest.raises(NotConfigured, match="accounts remove callrail_north"):
        migrate(shared_url)


@pytest.fixture
def unknown(database_url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A warehouse with tables of two accounts that this process does not know."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for crm, name, table in (("hubspot", "west", "hubspot_contact"), ("callrail", "north", "callrail_call")):
            source = f"{crm}_{name}"
            connection.execute(f"CREATE SCHEMA {source}; CREATE TABLE {source}.{table} (id text)")
            connection.execute(
                "INSERT INTO orchestration.account (source, crm, name) VALUES (%s, %s, %s)", [source, crm, name]
            )
        yield connection


def schemas(connection: "psycopg.Connection[Any]") -> list[str]:
    found = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname IN ('hubspot_west', 'callrail_north') ORDER BY 1"
    )
    return [name for (name,) in found]


def test_what_is_made_of_all_accounts_refuses_to_leave_one_out(
    unknown: "psycopg.Connection[Any]", database_url: str
) -> None:
    """Else the leads of its people would be deleted, and who answered there would be written to again."""
    needs_all: list[Callable[[Any], object]] = [feed.run, feed.score, marts.run, resolve.run, Replies]
    with warehouse.session(database_url) as session:
        for call in needs_all:
            with pytest.raises(NotConfigured, match="callrail_north, hubspot_west"):
                call(session)


def test_an_account_that_is_not_declared_any_more_is_unhealthy_and_told_of(
    unknown: "psycopg.Connection[Any]", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a program that was started without the file says that all is well, and that its incidents are over."""
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", database_url)
    about = program.circumstances(database_url, SOURCES)
    assert list(about.settings_problems) == ["callrail_north", "hubspot_west"]
    assert set(about.settings_problems) <= set(about.crms)
    west = [one for one in judge(SOURCES, url=database_url, rules=STATUS) if one.crm == "hubspot_west"]
    assert west
    assert all("accounts.toml does not declare hubspot_west" in one.problems[0] for one in west)
    shown = CliRunner().invoke(cli.main, ["status"])
    assert shown.exit_code == 1
    assert "accounts.toml does not declare callrail_north, which this warehouse has" in shown.stdout
    unknown.execute("UPDATE orchestration.account SET removed_at = now()")
    assert program.circumstances(database_url, SOURCES).settings_problems == {}


def test_what_a_removed_account_permitted_is_permitted_no_more_and_what_it_took_back_stays(
    unknown: "psycopg.Connection[Any]",
) -> None:
    """Of each lead, also of what one that was merged would get back."""

    def said(table: str, channel: str, **more: str) -> dict[str, str]:
        given = {
            "channel": channel,
            "at": "2026-01-01T00:00:00Z",
            "source": table.partition(".")[0],
            "text_version": "1",
        }
        return {**given, "record": f"{table} 1", **more}

    others = said("hubspot_contact", "email")
    west = said("hubspot_west.hubspot_contact", "sms")
    revoked = said("hubspot_west.hubspot_contact", "call", revoked_at="2026-02-01T00:00:00Z")
    entered = {name: value for name, value in others.items() if name != "record"}
    ids = {}
    for name, consent in (("all", [others, west, revoked, entered]), ("others", [others, entered])):
        row = unknown.execute(
            "INSERT INTO crm.leads (organization_id, last_name, consent) VALUES (%s, %s, %s) RETURNING id",
            [A, name, json.dumps(consent)],
        ).fetchone()
        assert row
        ids[name] = row[0]
    unknown.execute(
        "INSERT INTO crm.lead_feed (organization_id, lead_id, written) VALUES (%s, %s, %s)",
        [A, ids["others"], json.dumps({"lent": {"consent": [west, others]}})],
    )
    done = command("accounts", "remove", "hubspot_west", "callrail_north", "--yes")
    assert done.exit_code == 0, done.output
    assert "keeps name, number and log until `warehouse erase`" in done.output
    left = dict(unknown.execute("SELECT last_name, consent FROM crm.leads").fetchall())
    assert left == {"all": [others, revoked, entered], "others": [others, entered]}
    assert unknown.execute("SELECT written #> '{lent,consent}' FROM crm.lead_feed").fetchall() == [([others],)]


@pytest.mark.slow("the same in other circumstances")
def test_accounts_are_removed_together_and_only_who_opted_out_is_remembered(
    unknown: "psycopg.Connection[Any]",
) -> None:
    for table in ("hubspot_contact", "hubspot_west.hubspot_contact"):
        unknown.execute(
            "INSERT INTO crm.consent_fact (organization_id, source_table, source_key, flag, crm, says, channels,"
            " given_at) VALUES (%s, %s, '1', 'lead_is_dnc', 'hubspot', 'opt_out', '{call}', now())", [A, table],
        )  # fmt: skip
    unknown.execute(
        "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, signature_valid)"
        " VALUES ('hubspot_west', 'a', true)"
    )
    unknown.execute("INSERT INTO orchestration.webhook_outcome VALUES ('hubspot_west', now(), 'accepted', 1, now())")
    alone = command("accounts", "remove", "hubspot_west", "--yes")
    assert alone.exit_code == 2
    assert "accounts remove callrail_north hubspot_west" in alone.output
    assert schemas(unknown) == ["callrail_north", "hubspot_west"]
    both = command("accounts", "remove", "hubspot_west", "callrail_north", "--yes")
    assert both.exit_code == 0, both.output
    assert both.output.startswith("Removed: callrail_north, hubspot_west. Now run `warehouse identity run --full`")
    assert schemas(unknown) == []
    assert unknown.execute("SELECT source_table FROM crm.consent_fact").fetchall() == [("hubspot_contact",)]
    assert unknown.execute("SELECT FROM orchestration.webhook_inbox").fetchall() == []
    assert unknown.execute("SELECT FROM orchestration.account WHERE removed_at IS NULL").fetchall() == []
    assert "No such account of this warehouse" in command("accounts", "remove", "hubspot_west", "--yes").output


def test_the_name_of_a_removed_account_is_refused(unknown: "psycopg.Connection[Any]", database_url: str) -> None:
    """Decisions, receipts and the marks of erased people are kept by table and key, which would be the same."""
    unknown.execute("UPDATE orchestration.account SET removed_at = now()")
    again = all_sources(("hubspot", "west"))
    with (
        engine(database_url).connect() as connection,
        pytest.raises(NotConfigured, match=r"hubspot_west, and the account of this name was removed.* than west"),
    ):
        account_views.align(connection, again)


def test_a_run_that_begins_while_a_removal_asks_keeps_its_tables(
    unknown: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: Any, **__: Any) -> None:
        unknown.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, endpoint, start_time)"
            " VALUES ('hubspot_west', 'contacts', 'contacts', now())"
        )

    monkeypatch.setattr("click.confirm", begin)
    refused = command("accounts", "remove", "hubspot_west", "callrail_north")
    assert refused.exit_code == 1
    assert "1 of hubspot_west" in refused.output
    assert schemas(unknown) == ["callrail_north", "hubspot_west"]


def test_a_removal_does_not_wait_for_long_for_who_uses_the_tables(
    unknown: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_command, "PATIENCE", 0.05)
    with unknown.transaction():
        unknown.execute("SELECT FROM hubspot_west.hubspot_contact")
        refused = command("accounts", "remove", "hubspot_west", "callrail_north", "--yes")
    assert refused.exit_code == 1
    assert "in use" in refused.output
    assert schemas(unknown) == ["callrail_north", "hubspot_west"]


def test_a_removal_ends_an_autovacuum_that_works_on_the_tables(
    unknown: "psycopg.Connection[Any]", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends it for who waits longer than ``deadlock_timeout``, as the thread does with a lock like it."""
    monkeypatch.setattr(accounts_command, "PATIENCE", 2.0)
    monkeypatch.setattr(accounts_command, "LOCKED_WITHIN", "50ms")
    unknown.execute("BEGIN; LOCK TABLE hubspot_west.hubspot_contact IN SHARE UPDATE EXCLUSIVE MODE")
    waited = (
        "SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass('hubspot_west.hubspot_contact')"
        " AND clock_timestamp() - waitstart > interval '150 ms'"
    )

    def end() -> None:
        until = time.monotonic() + 4
        with warehouse.session(database_url) as looking:
            while looking.execute(waited).fetchone() is None and time.monotonic() < until:
                time.sleep(0.01)
        if time.monotonic() < until:
            unknown.execute("ROLLBACK")

    ending = threading.Thread(target=end)
    ending.start()
    removed = command("accounts", "remove", "hubspot_west", "callrail_north", "--yes")
    ending.join()
    unknown.execute("ROLLBACK")
    assert (removed.exit_code, schemas(unknown)) == (0, []), removed.output


@pytest.mark.parametrize(("written", "problem"), [
    ("hubspot = ", "is no TOML"),
    ('zoho = ["west"]', "'zoho' is no CRM"),
    ('genius = ["west"]', "Genius can have one account only"),
    ('hubspot = "west"', "is no list of names"),
    ('hubspot = ["West"]', "cannot be the name of an account"),
    ('hubspot = ["a_b"]', "cannot be the name of an account"),
    ('hubspot = ["west", "west"]', "has the account 'west' twice"),
    ('hubspot = ["contacts"]', "has the name of its entity contacts"),
    ('hubspot = ["contact"]', "has the name of its entity contact_to_deal_associations"),
])  # fmt: skip
def test_a_word_that_cannot_be_used_is_refused_with_the_reason(
    written: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(written)
    monkeypatch.setenv("WAREHOUSE_ACCOUNTS_FILE", str(path))
    with pytest.raises(NotConfigured, match=problem):
        accounts.with_accounts(DECLARED)


def test_without_the_file_nothing_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "project_root", lambda: tmp_path)
    assert accounts.with_accounts(DECLARED) == DECLARED
    assert all(not source.account for source in SOURCES)
    select = (
        "SELECT 1\n    -- each account\n    FROM callrail_call AS c WHERE m IN ('callrail_call')\n    -- all accounts\n"
    )
    assert for_all(select) == "SELECT 1\n    FROM callrail_call AS c WHERE m IN ('callrail_call')\n"


def test_a_file_that_is_named_and_absent_does_not_count_as_no_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_ACCOUNTS_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(NotConfigured, match=r"WAREHOUSE_ACCOUNTS_FILE names .*none.toml, which cannot be read"):
        accounts.with_accounts(DECLARED)


def all_sources(*names: tuple[str, str]) -> tuple[Any, ...]:
    return accounts.expanded(DECLARED, [accounts.Account(*name) for name in names])


def test_every_crm_that_can_have_accounts_has_its_own_settings_tables_and_reads() -> None:
    able = [source for source in DECLARED if source.check_in]
    assert len(able) >= 7
    sources = all_sources(*((source.name, "west") for source in able))
    require_joinable(entity for source in sources for entity in source.entities)
    assert len({entity.table for source in sources for entity in source.entities}) == sum(
        len(source.entities) for source in sources
    )
    declared = {source.name: source for source in DECLARED}
    for source in sources[len(DECLARED) :]:
        before = declared[source.vendor]
        names = {setting_name(source.settings, name) for name in source.settings.model_fields}
        assert all(name.startswith(f"{source.name}_".upper()) for name in names)
        assert not names & {setting_name(before.settings, name) for name in before.settings.model_fields}
        assert [entity.schema for entity in source.entities] == [source.name] * len(before.entities)
        assert [
            replace(entity, table="t", declared_table="", parent=None, refs={}, index="") for entity in source.entities
        ] == [replace(entity, table="t", parent=None, refs={}, index="") for entity in before.entities]


def test_a_read_of_an_account_takes_its_settings_whoever_made_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of-the-first")
    monkeypatch.delenv("HUBSPOT_WEST_ACCESS_TOKEN", raising=False)
    west = all_sources(("hubspot", "west"))[-1]
    context = ReadContext()
    with pytest.raises(ValueError, match="access_token"):
        next(west.fetch(_request(west), context))
    assert context.account == "west"
    assert west.missing_settings() == ["HUBSPOT_WEST_ACCESS_TOKEN"]


def _request(source: Any) -> Any:
    from datetime import UTC, datetime

    from warehouse_pipelines.model.reading import ReadRequest, Window

    return ReadRequest(entity=source.entities[0], window=Window(None, datetime.now(UTC)))


def pointers(table: str, sources: Any) -> dict[str, str]:
    row = next(one for one in accounts.per_account(_PEOPLE, sources) if one.table == table)
    return {one.column: one.table for one in row.ids if one.table}


def test_an_id_of_another_crm_means_its_account_of_the_same_name_or_its_only_one() -> None:
    alone = pointers("hubspot_west.hubspot_contact", all_sources(("hubspot", "west")))
    assert alone["hs_merged_object_ids"] == "hubspot_west.hubspot_contact"
    assert alone["marketsharp_id"] == "marketsharp_contact"
    alike = pointers(
        "hubspot_west.hubspot_contact",
        all_sources(("hubspot", "west"), ("marketsharp", "west"), ("marketsharp", "east")),
    )
    assert alike["marketsharp_id"] == "marketsharp_west.marketsharp_contact"
    unclear = pointers("hubspot_west.hubspot_contact", all_sources(("hubspot", "west"), ("marketsharp", "east")))
    assert "marketsharp_id" not in unclear
    assert unclear["prospect_id"] == "genius_prospect"
    first = pointers("hubspot_contact", all_sources(("hubspot", "west"), ("marketsharp", "east")))
    assert first["marketsharp_id"] == "marketsharp_contact"


def test_ids_that_several_tables_share_are_an_accounts_own() -> None:
    sources = all_sources(("arrivy", "west"), ("callrail", "north"))
    assert pointers("arrivy_west.arrivy_task", sources)["customer_id"] == "arrivy_west.arrivy_customer"
    assert pointers("callrail_north.callrail_call", sources)["person_id"] == "callrail_north.callrail_person"
    assert pointers("arrivy_task", sources)["customer_id"] == "arrivy_customer"


def test_a_target_names_the_account_that_it_writes_to_and_reads_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUBSPOT_WEST_ACCESS_TOKEN", "CALLRAIL_NORTH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    west, north = all_sources(("hubspot", "west"), ("callrail", "north"))[-2:]
    for source in (west, north):
        for declared in (one for one in TARGETS if one.crm == source.vendor):
            target = of_account(declared, source)
            assert (target.name, target.crm) == (declared.name.replace(source.vendor, source.name), source.name)
            assert not re.search(rf"(?<!\.)\b{source.vendor}_(?!{source.account})", target.source), target.source
            assert f"'{source.vendor}'" not in target.source
            context = ReadContext()
            with pytest.raises(ValueError, match="validation error"):
                target.partner(target, context)
            assert context.account == source.account
