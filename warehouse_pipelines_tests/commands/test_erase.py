"""``warehouse erase`` and ``export-person``, and the proposals of vendors."""

import json
import re
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.orchestration import identity_maintenance
from warehouse_pipelines.outbound.withheld import Withheld
from warehouse_pipelines.unified.erasing import proposals
from warehouse_pipelines_tests.harness.source_harness import asking
from warehouse_pipelines_tests.unified.erasing import planted
from warehouse_pipelines_tests.unified.erasing.planted import email, person_id, phone


@pytest.fixture
def url(database_url: str) -> str:
    with asking(database_url) as connection:
        planted.plant(connection, 3)
    return database_url


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def found(url: str, number: int) -> set[str]:
    with asking(url) as connection:
        return planted.planted_in(planted.dump(connection)).get(number, set())


def test_a_plan_then_the_erasure_then_nothing(url: str) -> None:
    before = found(url, 2)
    plan = run("erase", "--email", email(2).upper())
    assert plan.exit_code == 0, plan.output
    assert "hubspot_contact" in plan.stdout
    assert "Nothing was changed" in plan.stdout
    assert planted.token(2) not in plan.output
    assert found(url, 2) == before
    done = run("erase", "--phone", phone(2), "--yes", "--by", "a clerk")
    assert done.exit_code == 0, done.output
    assert "Searched again: nothing." in done.stdout
    assert planted.token(2) not in done.output
    assert found(url, 2) == set()
    again = run("erase", "--email", email(2), "--yes")
    assert (again.exit_code, again.stdout) == (0, "There is nothing of this person.\n")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT erased_by, asked_by FROM identity.erasure").fetchall() == [
            ("a clerk", "phone")
        ]


@pytest.mark.parametrize(
    "words",
    [
        ["erase"],
        ["erase", "--email", "nobody"],
        ["erase", "--phone", "12"],
        ["erase", "--person", "x"],
        ["erase", "--email", "a@b.example", "--phone", "+12065550101"],
        ["erase", "--proposals", "--email", "a@b.example"],
        ["export-person"],
        ["export-person", "--email", "nobody@b.example"],
        ["erase", "--dismiss", "hubspot_contact:9"],
    ],
)
def test_wrong_use(database_url: str, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output


def test_several_persons_are_listed(url: str) -> None:
    with asking(url) as connection:
        connection.execute("UPDATE identity.person SET emails = emails || %s::text", [email(2)])
    result = run("erase", "--email", email(2), "--yes")
    assert result.exit_code == 2
    assert all(person_id(number) in result.output for number in (1, 2, 3))
    assert "--person" in result.output
    assert found(url, 2)


def test_an_export_has_all_that_is_known_and_nothing_of_others(url: str, tmp_path: Path) -> None:
    target = tmp_path / "person.json"
    assert run("export-person", "--person", person_id(2), "--output", str(target)).exit_code == 0
    text = target.read_text()
    assert target.stat().st_mode & 0o077 == 0
    assert set(planted.planted_in({"": {"": text}})) == {2}
    document = json.loads(text)
    assert set(document["records"]) >= {entity.table for entity in planted.tables() if entity.table != "hubspot_owner"}
    (contact,) = document["records"]["hubspot_contact"]
    assert contact["firstname"].startswith(planted.token(2))
    assert contact["raw_data"]["said"].startswith(planted.token(2))
    (person,) = document["persons"]
    assert len(person["members"]) > 15
    assert person["touches"]
    assert person["household"]
    (lead,) = document["leads"]
    assert lead["lead_audit_log"]
    assert lead["lead_status_history"]
    assert document["do_not_call"][0]["phone"] == phone(2)
    assert "hash" not in {name for contact in document["records"]["hubspot_contact"] for name in contact}
    assert "sync_hash" not in text
    assert run("export-person", "--person", person_id(2), "--output", str(target)).exit_code == 2
    assert run("export-person", "--person", person_id(2)).stdout.startswith("{")


def _privacy_deletion(url: str, key: str, *, hours: int = 27, reason: str = "erased") -> None:
    with asking(url) as connection:
        connection.execute(
            "UPDATE hubspot_contact SET archived = true, deleted_at = now() - make_interval(hours => %s),"
            " delete_reason = %s WHERE id = %s",
            [hours, reason, key],
        )


def test_a_vendors_deletion_is_a_proposal(url: str) -> None:
    assert run("erase", "--proposals").stdout == "There are no proposals.\n"
    _privacy_deletion(url, "2")
    _privacy_deletion(url, "3")
    listed = run("erase", "--proposals").stdout
    assert "hubspot_contact:2" in listed
    assert person_id(2) in listed
    assert found(url, 2)
    assert run("erase", "--dismiss", "hubspot_contact:3", "--by", "a clerk").exit_code == 0
    result = run("erase", "--proposals", "--yes")
    assert result.exit_code == 0, result.output
    assert found(url, 2) == set()
    assert found(url, 3)
    assert run("erase", "--proposals").stdout == "There are no proposals.\n"


def test_who_was_merged_is_not_erased_when_the_deletion_is_told_before_the_merge(url: str) -> None:
    """Nothing is sent meanwhile, and the proposal is withdrawn once the row says that the record was merged."""
    _privacy_deletion(url, "2", hours=25)
    none = "There are no proposals.\n"
    assert run("erase", "--proposals", "--yes").stdout == none, "it may be the first half of a merge"
    with warehouse.session(url) as session:
        assert "hubspot_contact:2" in Withheld.read(session).proposed
    _privacy_deletion(url, "2")
    assert "hubspot_contact:2" in run("erase", "--proposals").stdout
    _privacy_deletion(url, "2", reason="merged into 3")
    assert run("erase", "--proposals", "--yes").stdout == none
    assert found(url, 2)
    with warehouse.session(url) as session:
        assert Withheld.read(session).proposed == frozenset()


def test_nobody_is_proposed_of_whom_the_vendor_has_a_living_record(url: str) -> None:
    """Else a customer who is in the new portal, or of whom one of two records was deleted, would be erased for good."""
    _privacy_deletion(url, "2")
    assert "hubspot_contact:2" in run("erase", "--proposals").stdout
    with asking(url) as connection:
        connection.execute(
            "WITH r AS (INSERT INTO identity.record (source_table, source_key, kind, fingerprint)"
            " VALUES ('hubspot_contact', '20', 'customer', '') RETURNING record_id)"
            " INSERT INTO identity.member (record_id, person_id, source_table, source_key)"
            " SELECT r.record_id, %s, 'hubspot_contact', '20' FROM r",
            [person_id(2)],
        )
    for _ in range(2):
        assert run("erase", "--proposals", "--yes").stdout == "There are no proposals.\n"
    assert found(url, 2)
    with asking(url) as connection:
        connection.execute("UPDATE identity.record SET deleted = true WHERE source_key = '20'")
    assert "hubspot_contact:2" in run("erase", "--proposals").stdout


def test_many_people_are_erased_at_once_only_by_force(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "FEW", 1)
    _privacy_deletion(url, "2")
    _privacy_deletion(url, "3")
    refused = run("erase", "--proposals", "--yes")
    assert refused.exit_code == 1
    assert "records of hubspot_contact would be erased" in refused.output
    monkeypatch.setenv("WAREHOUSE_ERASE_AT_ONCE", "true")
    with warehouse.session(url) as session:
        report = identity_maintenance.propose_erasures(session)
    assert (report.facts["erased"], "--yes --force" in report.attention) == (0, True)
    assert found(url, 2)
    assert run("erase", "--proposals", "--yes", "--force").exit_code == 0
    assert (found(url, 2), found(url, 3)) == (set(), set())


@pytest.mark.slow("the same in other circumstances")
def test_the_job_proposes_and_by_a_setting_erases(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is in Dagster's storage, where errors of runs are kept."""
    _privacy_deletion(url, "2")
    with asking(url) as connection:
        connection.execute(f"CREATE DATABASE {connection.info.dbname}_dagster")
    storage = re.sub(r"/([^/?]+)(\?|$)", r"/\1_dagster\2", url)
    with asking(storage) as connection:
        connection.execute("CREATE TABLE event_logs (id integer PRIMARY KEY, event text)")
        connection.execute("INSERT INTO event_logs VALUES (1, %s), (2, %s)", [f"mail {email(2)}", f"mail {email(3)}"])
    monkeypatch.setenv("DAGSTER_STORAGE_URL", storage)
    with warehouse.session(url) as session:
        report = identity_maintenance.propose_erasures(session)
        assert report.facts == {"new_proposals": 1, "erased": 0, "waiting": 1}
        assert "erase --proposals" in report.attention
        monkeypatch.setenv("WAREHOUSE_ERASE_AT_ONCE", "true")
        assert identity_maintenance.propose_erasures(session).facts["erased"] == 1
        assert proposals.waiting(session) == []
        files = session.execute("SELECT files FROM identity.erasure").fetchall()
    assert [one["path"] for one in files[0]["files"]] == ["Dagster's public.event_logs"]
    with asking(storage) as connection:
        events = [row[0] for row in connection.execute("SELECT event FROM event_logs ORDER BY id")]
    assert events[0] == "mail [erased]" or email(2) not in events[0]
    assert events[1] == f"mail {email(3)}"
    with asking(url) as connection:
        connection.execute(f"DROP DATABASE {connection.info.dbname}_dagster")
    assert found(url, 2) == set()
