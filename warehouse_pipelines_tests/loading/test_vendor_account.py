"""Whose account a credential answers for: what is refused, how another one is loaded, and what asking costs."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from psycopg import errors

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import accounts, cli
from warehouse_pipelines.errors import RequestRefused, WrongAccount, masked
from warehouse_pipelines.loading.vendor_account import Known, VendorAccount, require
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.outbound import run
from warehouse_pipelines.outbound.targets import DIVISIONS
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.hubspot.entities import OWNERS
from warehouse_pipelines.unified import feed
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.command_line import warehouse as command
from warehouse_pipelines_tests.harness.source_harness import source_harness


def source(ids: Sequence[str], *, expected: str = "", digest: str = "new") -> Source:
    """A vendor whose credential answers for these accounts."""
    made = Credential(digest, "CALLRAIL_API_KEY", "CALLRAIL_ACCOUNT_ID", expected, lambda: ids)
    return replace(CALLRAIL, credential=lambda context: made)


def before(**accounts: str) -> Known:
    return {name: VendorAccount(frozenset(ids.split()), "old") for name, ids in accounts.items()}


@pytest.mark.parametrize(("known", "ids", "expected", "why"), [
    ({}, "A", "", None),
    ({"callrail": "A"}, "A", "", None),
    ({"callrail": "A"}, "A B", "", None),  # the user of the key sees one more by now
    ({"callrail": "A"}, "B", "", "the tables of callrail are of A"),
    ({"callrail": "A", "callrail_north": "B"}, "B", "B", "the tables of callrail are of A"),  # the setting names, only
    ({"callrail_north": "B"}, "B", "", "the tables of callrail_north are of B"),
    ({"callrail": "A", "callrail_north": "B C"}, "A B", "A", "callrail_north are of B, whose records"),
    ({}, "A", "B", "CALLRAIL_ACCOUNT_ID says B"),
    ({"callrail": "A"}, "A", "B", "CALLRAIL_ACCOUNT_ID says B"),
])  # fmt: skip
def test_the_credential_of_another_account_is_refused(
    known: dict[str, str], ids: str, expected: str, why: str | None
) -> None:
    asked = source(ids.split(), expected=expected)
    if why is None:
        assert require(asked, before(**known), ReadContext()) == VendorAccount(frozenset(ids.split()), "new")
    else:
        with pytest.raises(WrongAccount, match=why):
            require(asked, before(**known), ReadContext())


def test_a_key_that_saw_the_account_of_another_source_is_asked_again() -> None:
    """Its user may have lost that account since, while the key stays."""
    known = before(callrail="A B", callrail_north="B")
    assert require(source(["A"], digest="old"), known, ReadContext()) == VendorAccount(frozenset("A"), "old")
    with pytest.raises(WrongAccount, match="callrail_north are of B"):
        require(source(["A", "B"], digest="old"), known, ReadContext())


def test_a_vendor_that_does_not_say_whose_it_is_stops_nothing() -> None:
    def refuse() -> Sequence[str]:
        raise RequestRefused("404")

    made = Credential("new", "A", "B", "", refuse)
    context = ReadContext()
    known = before(callrail="A")
    assert require(replace(CALLRAIL, credential=lambda context: made), known, context) == known["callrail"]
    assert context.noted == {"account_unknown": "404"}


def test_a_kept_message_names_the_accounts() -> None:
    with pytest.raises(WrongAccount) as raised:
        require(source(["hub-246351746"]), before(callrail="hub-44440001"), ReadContext())
    kept = masked(str(raised.value), 2000)
    assert "the account hub-246351746, and the tables of callrail are of hub-44440001." in kept
    assert "`warehouse accounts empty callrail`" in kept


def test_the_token_of_another_portal_changes_nothing_and_is_asked_about_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("hubspot_owner", database_url, monkeypatch) as it:

        def asked() -> int:
            log = it.simulator.requests()["log"]
            return sum(one["path"].startswith("/account-info") for one in log)

        def renew(token: str, **settings: int) -> None:
            it.simulator.configure(token=token, **settings)
            monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", token)

        for _ in range(3):
            it.sync()
        assert asked() == 1
        renew("of the same portal")
        assert (it.sync().status, asked()) == ("success", 2)
        rows = it.rows()
        renew("of another", portal_id=44_440_002)
        for full in (False, True):
            with pytest.raises(WrongAccount, match=r"hub-44440002, and the tables of hubspot are of hub-4440001\."):
                it.sync(full=full)
        assert it.rows() == rows
        with pytest.raises(WrongAccount), run.connected(database_url, DIVISIONS):
            pytest.fail("nothing is written there")
        told = CliRunner().invoke(cli.main, ["check", "hubspot"])
        assert (told.exit_code, "the tables of hubspot are of hub-4440001" in told.stdout) == (1, True)
        monkeypatch.setenv("HUBSPOT_ACCOUNT_ID", "44440002")
        with pytest.raises(WrongAccount, match="the tables of hubspot are of hub-4440001"):
            it.sync(full=True)
        monkeypatch.delenv("HUBSPOT_ACCOUNT_ID")
        assert it.rows() == rows
        renew("of the same portal", portal_id=4_440_001)
        assert (it.sync().status, asked()) == ("success", 7)


def test_an_emptied_account_is_loaded_from_another_portal_without_what_the_former_one_said(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consent, and a do-not-call, of contact 1 of one portal are not those of contact 1 of the other."""
    with source_harness("hubspot_contact", database_url, monkeypatch) as it:
        key, other = it.simulator.ids("contacts")[:2]
        old = {"lastname": "Oldportal", "lead_is_express_consent": "true", "lead_is_dnc": None,
               "lead_express_consent_set_on": "2026-01-01T00:00:00Z"}  # fmt: skip
        it.simulator.edit("contacts", key, old)
        it.simulator.edit("contacts", other, {"lastname": "Oldportal", "lead_is_dnc": "true"})
        it.sync()
        with warehouse.session(database_url) as session:
            resolve.run(session)
            feed.run(session)
        facts = "SELECT source_key, says FROM crm.consent_fact WHERE source_key = ANY (%s) ORDER BY 1"
        leads = "SELECT last_name, consent FROM crm.leads WHERE deleted_at IS NULL AND last_name LIKE '%%portal'"
        assert [row["says"] for row in it.query(facts, [key, other])] == ["consent", "opt_out"]
        assert [row["last_name"] for row in it.query(leads)] == ["Oldportal", "Oldportal"]
        it.simulator.configure(token="of another", portal_id=44_440_002)
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of another")
        with pytest.raises(WrongAccount):
            it.sync(full=True)
        it.execute(
            "INSERT INTO reverse_etl.receipt (operation_id, plan_id, target, action, source_key, object_id, fields)"
            " VALUES (gen_random_uuid(), 1, 'hubspot_do_not_call', 'update', %s, %s, '{}')", key, key,
        )  # fmt: skip
        it.execute(
            "INSERT INTO identity.decision (verdict, a_table, a_key, b_table, b_key, command, decided_by)"
            " VALUES ('same', 'genius_prospect', '1', 'hubspot_contact', %s, 'confirm', 'a clerk')", key,
        )  # fmt: skip
        emptied = command("accounts", "empty", "hubspot", "--yes")
        assert emptied.output.startswith("Emptied: hubspot."), emptied.output
        assert it.rows() == {}
        assert it.query(leads) == []
        kept = it.query("SELECT consent FROM crm.leads WHERE last_name = 'Oldportal'")
        assert [["revoked_at" in one for one in row["consent"]] for row in kept if row["consent"]] == [[True, True]]
        assert it.query("SELECT FROM reverse_etl.receipt UNION ALL SELECT FROM identity.decision") == []
        it.simulator.edit("contacts", key, {"lastname": "Newportal", "lead_is_express_consent": None})
        it.simulator.edit("contacts", other, {"lastname": "Newportal", "lead_is_dnc": None})
        loaded = it.sync()
        assert (loaded.mode, loaded.created) == ("full", len(it.simulator.ids("contacts")))
        assert it.sync().mode == "delta"
        with warehouse.session(database_url) as session:
            resolve.run(session)
            feed.run(session)
        assert it.query(facts, [key, other]) == []
        assert [(row["last_name"], row["consent"]) for row in it.query(leads)] == [("Newportal", []), ("Newportal", [])]
        it.simulator.configure(token="of the first", portal_id=44_440_001)
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of the first")
        with pytest.raises(WrongAccount, match="the tables of hubspot are of hub-44440002"):
            it.sync()


def test_an_account_that_is_loaded_while_it_is_emptied_does_not_count_as_empty(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("hubspot_owner", database_url, monkeypatch) as it:
        it.sync()

        def load(*_: object, **__: object) -> None:
            it.sync()

        monkeypatch.setattr(resolve, "run", load)
        refused = command("accounts", "empty", "hubspot", "--yes")
        assert (refused.exit_code, "A run loaded hubspot_owner meanwhile." in refused.output) == (1, True)
        assert it.query("SELECT account_since FROM orchestration.account") == [{"account_since": None}]
        it.execute("UPDATE orchestration.sync_history SET status = 'running', end_time = NULL")
        rows = it.rows()
        refused = command("accounts", "empty", "hubspot", "--yes")
        assert (refused.exit_code, "2 of hubspot; stop them first" in refused.output) == (1, True)
        assert it.rows() == rows
    assert "There are: " in command("accounts", "empty", "pipedesk", "--yes").output


def test_an_account_that_cannot_be_emptied_keeps_its_rows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "PATIENCE", 0.1)
    revision = "UPDATE orchestration.alembic_version SET version_num = %s"
    with source_harness("hubspot_owner", database_url, monkeypatch) as it:
        it.sync()
        rows = it.rows()

        def refused() -> str:
            told = command("accounts", "empty", "hubspot", "--yes")
            assert (told.exit_code, "Nothing was removed." in told.output, it.rows()) == (1, True, rows), told.output
            return told.output

        migrated = it.query("SELECT version_num FROM orchestration.alembic_version")[0]["version_num"]
        it.execute(revision, "0048_touches_of_several_phones")
        assert "run `warehouse migrate`" in refused()
        it.execute(revision, migrated)
        for run_of in ("marts", "identity", "feed"):
            with warehouse.session(database_url) as other, warehouse.try_lock(other, f"warehouse:{run_of}"):
                assert "The tables are in use" in refused()
        with warehouse.session(database_url) as other, warehouse.try_lock(other, "hubspot:companies"):
            assert "Runs are not ended: 1 of hubspot" in refused()
        with warehouse.connect(database_url) as other, other.transaction():
            other.execute("LOCK TABLE orchestration.account IN SHARE MODE")
            assert "The tables are in use" in refused()


def test_who_reads_several_tables_is_not_the_victim_of_emptying_them(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader waits for a table that is locked already, and has one that is waited for."""
    monkeypatch.setattr(resolve, "run", lambda *_, **__: None)
    monkeypatch.setattr(feed, "run", lambda *_, **__: None)
    with source_harness("hubspot_owner", database_url, monkeypatch) as it, warehouse.connect(database_url) as reader:
        it.sync()
        first, *_, last = [entity.table for entity in it.source.entities]
        reader.execute(f"BEGIN; SELECT FROM {last}")
        failed: list[Exception] = []

        def read() -> None:
            locked = "SELECT FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND relation = %s::regclass"
            try:
                while not it.query(locked, first):
                    time.sleep(0.01)
                reader.execute(f"SELECT FROM {first}")
                reader.execute("COMMIT")
            except Exception as error:
                failed.append(error)

        reading = threading.Thread(target=read)
        reading.start()
        told = command("accounts", "empty", "hubspot", "--yes").output
        reading.join()
        assert (told[:17], failed, it.rows()) == ("Emptied: hubspot.", [], {}), told


def test_an_account_that_is_emptied_by_half_is_read_anew_and_not_of_another_portal(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "PATIENCE", 0.1)
    with source_harness("hubspot_company", database_url, monkeypatch) as it, warehouse.connect(database_url) as other:
        it.sync()
        rows = it.rows()

        def lock(*_: object, **__: object) -> None:
            other.execute("BEGIN; LOCK TABLE hubspot_contact IN ROW EXCLUSIVE MODE")

        for problem, said in (
            (errors.DeadlockDetected("deadlock detected"), "in use by who waits"),
            (errors.InsufficientPrivilege("permission denied"), "permission denied; this needs the user who migrates"),
            (errors.UndefinedColumn("no such column"), "no such column; run `warehouse migrate`"),
            (lock, "in use, for longer than 0.1 s"),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(resolve, "run", Mock(side_effect=problem))
                told = command("accounts", "empty", "hubspot", "--yes").output
            assert said in told, told
            assert "The rows of hubspot are removed" in told, told
            assert "Nothing was removed" not in told
            assert it.rows() == {}
        other.execute("ROLLBACK")
        it.simulator.configure(token="of another", portal_id=44_440_002)
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of another")
        with pytest.raises(WrongAccount, match="the tables of hubspot are of hub-4440001"):
            it.sync()
        it.simulator.configure(token="of the first", portal_id=4_440_001)
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of the first")
        assert (it.sync().mode, it.rows().keys()) == ("full", rows.keys())


def test_a_run_that_ends_while_the_last_locks_are_waited_for_is_of_the_former_account(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("hubspot_company", database_url, monkeypatch) as it, warehouse.connect(database_url) as other:
        it.sync()

        def load() -> None:
            while not it.query("SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareLock'"):
                time.sleep(0.02)
            it.execute(
                "INSERT INTO orchestration.sync_history (crm_source, sync_type, endpoint, start_time, end_time, status,"
                " configuration) SELECT crm_source, sync_type, endpoint, clock_timestamp(), clock_timestamp(), status,"
                " configuration FROM orchestration.sync_history"
            )
            other.execute("ROLLBACK")

        loading = threading.Thread(target=load)

        def lock(*_: object, **__: object) -> None:
            other.execute("BEGIN; LOCK TABLE hubspot_contact IN ROW EXCLUSIVE MODE")
            loading.start()

        monkeypatch.setattr(feed, "run", lock)
        told = command("accounts", "empty", "hubspot", "--yes").output
        loading.join()
        assert told.startswith("Emptied: hubspot."), told
        it.simulator.configure(token="of another", portal_id=44_440_002)
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "of another")
        assert it.sync().mode == "full"


def test_a_row_that_is_absent_where_its_account_is_first_known_is_not_taken_for_erased(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that did not ask may have loaded the rows from another portal."""
    with source_harness("hubspot_company", database_url, monkeypatch) as it:
        it.sync()
        it.sync(entity=OWNERS)
        it.execute(
            "UPDATE orchestration.sync_history SET configuration = configuration - 'vendor_account'"
            " WHERE sync_type = 'companies'"
        )
        first, second = it.simulator.ids("companies")[:2]
        reason = "SELECT delete_reason FROM hubspot_company WHERE id = %s"
        it.simulator.gdpr_delete(first, "companies")
        it.sync(full=True)
        it.simulator.gdpr_delete(second, "companies")
        it.sync(full=True)
        assert [it.query(reason, key)[0]["delete_reason"] for key in (first, second)] == ["missing", "erased"]


def test_a_key_of_callrail_that_comes_to_see_the_account_of_another_source_loads_nothing_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key stays the same, so it is not asked about before the read; the read lists the accounts."""
    with source_harness("callrail_tag", database_url, monkeypatch, accounts=2) as it:
        own, norths = it.simulator.ids("accounts")
        it.sync()
        it.execute(
            "UPDATE orchestration.sync_history"
            " SET configuration = jsonb_set(configuration, '{vendor_account,ids}', to_jsonb(ARRAY[%s::text]))", own,
        )  # fmt: skip
        it.execute(
            "INSERT INTO orchestration.account (source, crm, name) VALUES ('callrail_north', 'callrail', 'north')"
        )
        it.execute(
            "INSERT INTO orchestration.sync_history (crm_source, sync_type, endpoint, start_time, end_time, status,"
            " configuration) VALUES ('callrail_north', 'tags', 't', now(), now(), 'success', jsonb_build_object("
            "'dry_run', false, 'vendor_account', jsonb_build_object('ids', ARRAY[%s::text], 'credential', '')))",
            norths,
        )  # fmt: skip
        before = it.rows()
        for expected in ("", own):
            monkeypatch.setenv("CALLRAIL_ACCOUNT_ID", expected)
            with pytest.raises(WrongAccount, match=f"and the tables of callrail_north are of {norths}, whose"):
                it.sync()
        assert it.rows() == before
