"""Later syncs do not bring an erased person back."""

import json
import re
import uuid

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, TryAgain
from warehouse_pipelines.loading import erased
from warehouse_pipelines.loading.erased import ERASED_RECORD, Erased, own_columns
from warehouse_pipelines.loading.erased_values import MARK, digest
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines.unified.erasing.holdings import entities
from warehouse_pipelines_tests.harness.fake_source import PEOPLE, FakeSource, person
from warehouse_pipelines_tests.harness.source_harness import source_harness

pytestmark = pytest.mark.on_oldest(
    "test_an_erased_record_is_left_out_and_counted",
    "test_a_bad_record_of_an_erased_person_is_no_dead_letter",
    "test_a_loader_with_the_rights_that_the_page_names_loads_and_one_without_does_not",
)

PHONE, EMAIL = "+12065550101", "jo@example.com"


@pytest.fixture
def fake(bare_url: str) -> FakeSource:
    from warehouse_pipelines.schema import tables
    from warehouse_pipelines.schema.migrate import engine

    source = FakeSource(bare_url, PEOPLE)
    with engine(bare_url).begin() as connection:
        tables.metadata([PEOPLE]).create_all(connection, checkfirst=False)
    original = source.source
    source.source = lambda *given: original(*(given or (PEOPLE,)))  # type: ignore[method-assign]
    return source


def erase(url: str, key: str | None = None, *, email: str | None = None, phone: str | None = None) -> None:
    """List somebody as erased."""
    with psycopg.connect(url, autocommit=True) as connection:
        secret = connection.execute("SELECT key FROM identity.erasure_key").fetchone()[0]  # type: ignore[index]
        (number,) = connection.execute(
            "INSERT INTO identity.erasure (asked_by, erased_by, persons, rows, counts, residual, files)"
            " VALUES ('person', 'test', 1, 1, '[]', '[]', '[]') RETURNING erasure_id"
        ).fetchone() or (0,)
        listed: list[tuple[str, bytes, str | None]] = []
        if key:
            listed.append(("record", erased.record_digest(secret, PEOPLE.table, key), PEOPLE.table))
            connection.execute(
                f"UPDATE {PEOPLE.table} SET name = NULL, phone = NULL, raw_data = %s WHERE id = %s",
                [ERASED_RECORD, key],
            )
        if email:
            listed.append(("email", digest(secret, "email", email), None))
        if phone:
            listed.append(("phone", digest(secret, "phone", phone[-10:]), None))
        for one in listed:
            connection.execute(
                "INSERT INTO identity.tombstone (kind, digest, source_table, erasure_id) VALUES (%s, %s, %s, %s)",
                [*one, number],
            )


def test_an_erased_record_is_left_out_and_counted(fake: FakeSource) -> None:
    fake.sync([person(1), person(2)])
    erase(fake.url, "1")
    result = fake.sync([person(1, note="back"), person(2), person(3)], full=True)
    assert (result.created, result.unchanged, result.filtered, result.failed) == (1, 1, 1, 0)
    assert result.processed == 3
    assert result.metrics["erased"] == 1
    assert result.status == "success"
    row = fake.row("1")
    assert (row["name"], row["note"], row["raw_data"]) == (None, None, json.loads(ERASED_RECORD))
    assert not row["archived"], "the vendor shows it, and what is left of it counts on"


def test_an_erased_row_is_a_tombstone_once_the_vendor_has_it_no_more(fake: FakeSource) -> None:
    fake.sync([person(1), person(2)])
    erase(fake.url, "1")
    fake.sync([person(2)], full=True)
    assert fake.row("1")["archived"]


@pytest.mark.parametrize(
    "own",
    [
        {"email": "JO@Example.com"},
        {"phone": "206-555-0101"},
        {"phone": "+1 (206) 555-0101"},
        {"phone": 2065550101},
    ],
)
def test_an_erased_address_or_number_under_another_key_is_left_out(fake: FakeSource, own: dict[str, object]) -> None:
    erase(fake.url, email=EMAIL, phone=PHONE)
    result = fake.sync([person(7, **own), person(8)])
    assert set(fake.rows()) == {("8",)}
    assert (result.filtered, result.metrics["erased"], result.status) == (1, 1, "success")


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("ask jo@example.com first", f"ask {MARK} first"),
        ("ask mary.jo@example.com", "ask mary.jo@example.com"),
        ("call 206.555.0101, or 206-555-0102", f"call {MARK}, or 206-555-0102"),
        ("order 92065550101", "order 92065550101"),
    ],
)
@pytest.mark.slow("the same in other circumstances")
def test_somebody_elses_note_loses_the_address_alone(fake: FakeSource, note: str, kept: str) -> None:
    erase(fake.url, email=EMAIL, phone=PHONE)
    fake.sync([person(7, note=note)])
    row = fake.row("7")
    assert (row["note"], row["raw_data"]["note"]) == (kept, kept)


def test_an_employee_who_was_a_customer_does_not_cost_the_record(fake: FakeSource) -> None:
    erase(fake.url, email=EMAIL)
    fake.sync([person(7, agent_email=EMAIL)])
    assert fake.row("7")["agent_email"] == MARK


def test_a_key_with_the_digits_of_an_erased_number_is_a_key(fake: FakeSource) -> None:
    erase(fake.url, phone=PHONE)
    fake.sync([person(2065550101)])
    assert set(fake.rows()) == {("2065550101",)}


def test_a_bad_record_of_an_erased_person_is_no_dead_letter(fake: FakeSource) -> None:
    fake.sync([person(1)])
    erase(fake.url, "1", email=EMAIL)
    result = fake.sync([person(1, size="huge"), person(2, size="huge", email=EMAIL), person(3, size="huge")])
    assert (result.failed, result.filtered, result.metrics["erased"]) == (1, 2, 2)
    with psycopg.connect(fake.url) as connection:
        assert connection.execute("SELECT record_key FROM orchestration.dead_letter").fetchall() == [("3",)]


def test_a_run_that_read_before_the_erasure_loads_nothing(fake: FakeSource) -> None:
    fake.sync([person(1)])
    with pytest.raises(TryAgain, match="a person was erased"):
        fake.sync([person(1, note="read before")], lambda: erase(fake.url, "1"), [person(2)])
    assert set(fake.rows()) == {("1",)}
    assert fake.row("1")["note"] is None
    assert fake.history()[-1]["status"] == "failed"
    fake.sync([person(1, note="read after"), person(2)])
    assert fake.row("1")["note"] is None
    assert set(fake.rows()) == {("1",), ("2",)}


def test_a_later_event_of_an_erased_lead_stops_no_other(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeadConduit's leads are folded over the stored record, of which an erasure leaves nothing."""
    with source_harness("leadconduit_lead", database_url, monkeypatch) as harness:
        harness.sync()
        key, row = next((key, row) for (key,), row in harness.rows().items() if row["email"])
        with warehouse.session(database_url) as session:
            erasure.erase(session, "email", row["email"], [], erased_by="test")
        other = harness.simulator.create_lead()
        harness.simulator.resubmit(key, city="later")
        assert harness.sync().status == "success"
        assert (other,) in harness.rows()
        assert harness.rows()[key,]["raw_data"] == json.loads(ERASED_RECORD)


def test_without_erasures_nothing_is_searched(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Erased, "without_values", None)
    monkeypatch.setattr(Erased, "without_people", None)
    result = fake.sync([person(1, email=EMAIL)])
    assert (result.created, result.metrics["erased"]) == (1, 0)


def test_own_columns_are_those_of_the_person() -> None:
    assert own_columns(PEOPLE) == ("phone", "email") or own_columns(PEOPLE) == ("email", "phone")
    assert own_columns(entities()["callrail_call"]) == ("customer_phone_number",)
    assert "canvasser_email" not in own_columns(entities()["hubspot_contact"])
    assert set(own_columns(entities()["genius_lead"])) == {"email", "phone", "phone2", "phone3", "phone4"}


def test_a_loader_with_the_rights_that_the_page_names_loads_and_one_without_does_not(fake: FakeSource) -> None:
    """docs/deploy.md: a role that owns nothing. Without the list of erased people it loads nothing, and says why."""
    erase(fake.url, email=EMAIL)
    name, owner = f"loader_{uuid.uuid4().hex[:8]}", fake.url
    with psycopg.connect(owner, autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {name} LOGIN PASSWORD 'x'",
            f"GRANT USAGE ON SCHEMA public, orchestration TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, orchestration TO {name}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, orchestration TO {name}",
        ):
            connection.execute(statement)
    try:
        fake.url = re.sub("//[^@]*@", f"//{name}:x@", owner)
        with pytest.raises(NotConfigured, match=r"SELECT ON identity\.tombstone"):
            fake.sync([person(1), person(2, email=EMAIL)])
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(f"GRANT USAGE ON SCHEMA identity TO {name}")
            connection.execute(f"GRANT SELECT ON identity.tombstone, identity.erasure_key TO {name}")
        assert fake.sync([person(1), person(2, email=EMAIL)]).metrics["erased"] == 1
        fake.url = owner
        assert [key for (key,) in fake.rows()] == ["1"]
    finally:
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")
