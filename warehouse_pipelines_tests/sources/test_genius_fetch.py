"""What is odd about Genius: a database, its clock, its NULLs and zeros, and what must never be read from it."""

import itertools
import json
import logging
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    SuspiciousRead,
    VendorUnavailable,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.entity import DAY, Entity
from warehouse_pipelines.observability.redaction import is_personal
from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.genius import mariadb
from warehouse_pipelines.simulators.genius.simulator import Genius
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.sources._http import ATTEMPTS
from warehouse_pipelines.sources._sql import is_secret
from warehouse_pipelines.sources.genius import GENIUS
from warehouse_pipelines.sources.genius.catalogue import EXPRESSIONS
from warehouse_pipelines.sources.genius.client import GeniusClient
from warehouse_pipelines.sources.genius.fetch import OVERLAP
from warehouse_pipelines.sources.genius.reader import Offsets
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.fetching import SAMPLES, Held, Read
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in GENIUS.entities}
LEADS, PROSPECTS, ORDERS = ENTITIES["leads"], ENTITIES["prospects"], ENTITIES["job_change_orders"]
VISITS = ENTITIES["appointments"]
SOURCES, JOBS = ENTITIES["marketing_sources"], ENTITIES["jobs"]
PACIFIC = ZoneInfo("America/Los_Angeles")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Genius]:
    with serve_vendor("genius", monkeypatch, retry_seconds="0.001") as simulators:
        yield simulators.of(Genius)


@pytest.fixture
def orders(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    """The change orders, and a warehouse for them."""
    with source_harness("genius_job_change_order", database_url, monkeypatch) as it:
        yield it


def now() -> datetime:
    return datetime.now(UTC)


def wall(moment: datetime, zone: str = "America/Los_Angeles") -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def delta(entity: Entity, since: timedelta = timedelta(hours=1), **more: Any) -> Read:
    return Read(GENIUS, entity, now() - since, **more)


def typed(entity: Entity, read: Read) -> tuple[dict[Any, dict[str, Any]], Coercer]:
    """Return the rows as the loader would have them, by key."""
    coercer = Coercer("genius", entity)
    records = [record for page in read.finished()._seen for record in page.records]
    rows = coercer.table(records).to_pylist()
    return {row[entity.keys[0]]: row for row in rows}, coercer


def test_genius_database_source(vendor: Genius) -> None:
    """Every table comes whole, in pages, each row once."""
    vendor.add_contact_table()
    for entity in GENIUS.entities:
        read = Read(GENIUS, entity, page_size=7)
        rows, coercer = typed(entity, read)
        assert len(read.records) == vendor.count(entity.path)
        if len(entity.keys) == 1:
            assert {str(key) for key in rows} == {key for (key,) in vendor.keys(entity.path)}
        assert coercer.rejects == []
    assert len(GENIUS.entities) >= 32


def test_the_documented_rows_are_read_as_the_notes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is made of the columns and joins of queries that run against the real database."""
    for what in lacking(["genius"]).values():
        missing(what)
    server = mariadb.server("UTC")
    name = f"sample_{uuid.uuid4().hex[:8]}"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        connection.select_db(name)
        for statement in re.sub(r"(?m)^--.*$", "", (SAMPLES / "genius.sql").read_text()).split(";"):
            if statement.strip():
                cursor.execute(statement)
        monkeypatch.setenv("GENIUS_DATABASE_URL", f"mysql+pymysql://root@localhost/{name}?unix_socket={server.socket}")
        monkeypatch.setenv("GENIUS_TIME_ZONE", "America/Los_Angeles")
        rows, _ = typed(PROSPECTS, Read(GENIUS, PROSPECTS))
        cursor.execute(f"DROP DATABASE {name}")
    ana, bob = rows[71], rows[72]
    assert (ana["firstname"], ana["lastname"], ana["address"], ana["zip"]) == ("Ana", "Rivera", "12 Maple Ave", "45402")
    assert (ana["phone"], ana["phone_e164"], ana["email"]) == (
        "(937) 234-5678",
        "+19372345678",
        "ana.rivera@example.test",
    )
    assert ana["hubspot_contact_id"] == "151"
    assert bob["hubspot_contact_id"] is None  # its third party is another, whatever the number
    assert ana["add_date"] == datetime(2026, 1, 15, 17, 30, tzinfo=UTC)  # winter
    assert ana["modified"] == ana["updated_at"] == datetime(2026, 7, 15, 16, 30, tzinfo=UTC)  # summer
    assert (bob["updated_at"], bob["modified"]) == (None, bob["add_date"])


def test_same_timestamp_page_boundary(vendor: Genius) -> None:
    """More rows of one second than a page holds are read once each, and the walk ends."""
    at = wall(now() - timedelta(minutes=5))
    vendor.many("job_change_order", 35, at=at)
    vendor.create("job_change_order")
    for size in (1, 10, 35, 36, 100):
        read = delta(ORDERS, page_size=size)
        found = [record["id"] for record in read.records]
        assert len(found) == len(set(found)) == 36
        assert read.calls == 1 + 36 // size + 1 + 1  # columns, pages, and the rows without a time
        whole = Read(GENIUS, ORDERS, page_size=size)
        assert len({record["id"] for record in whole.records}) == len(whole.records) == vendor.count("job_change_order")


def test_rows_without_updated_at_are_found(vendor: Genius) -> None:
    (fresh,) = vendor.create("lead", touched=False)
    (timeless,) = vendor.create("lead", touched=False, added_on=None)
    vendor.create("lead", touched=False, added_on=wall(now() - timedelta(days=3)))
    rows, _ = typed(LEADS, delta(LEADS))
    assert rows.keys() == {int(fresh), int(timeless)}
    assert rows[int(fresh)]["modified"] == rows[int(fresh)]["created"]
    assert rows[int(fresh)]["updated_at"] is None
    assert rows[int(timeless)]["modified"] is None


def test_a_backfill_reads_its_days_only(vendor: Genius) -> None:
    for day in (1, 2, 3):
        vendor.create("quote", updated_at=f"2025-03-0{day} 12:00:00")
    since = datetime(2025, 3, 2, tzinfo=UTC)
    read = Read(GENIUS, ENTITIES["quotes"], since, since + DAY, backfill=True)
    assert [record["updated_at"] for record in read.records] == ["2025-03-02 12:00:00-08:00"]


def test_a_zero_date_is_empty_and_half_a_date_is_a_lost_value(vendor: Genius) -> None:
    vendor.edit("marketing_source", ["1"], touch=False, add_date="0000-00-00 00:00:00", start_date="2026-00-00")
    read = Read(GENIUS, SOURCES)
    rows, coercer = typed(SOURCES, read)
    assert coercer.rejects == []
    assert (rows[1]["add_date"], rows[1]["start_date"], rows[3]["end_date"]) == (None, None, None)
    assert coercer.warnings == {"warn:start_date": 1}
    (raw,) = [record for record in read.records if record["id"] == 1]
    assert (raw["add_date"], raw["start_date"]) == ("0000-00-00 00:00:00", "2026-00-00")


def test_text_of_another_character_set_than_its_column_says_costs_its_characters_only(
    vendor: Genius, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of other rows went with it for good; the server is told to answer in Latin-1, which is no UTF-8."""
    original = GeniusClient._connected

    def connected(client: GeniusClient) -> Any:
        connection = original(client)
        with connection.cursor() as cursor:
            cursor.execute("SET character_set_results = latin1")
        return connection

    vendor.sql("UPDATE prospect SET city = 'São Paulo' WHERE id = (SELECT m FROM (SELECT max(id) m FROM prospect) q)")
    monkeypatch.setattr(GeniusClient, "_connected", connected)
    rows, coercer = typed(PROSPECTS, Read(GENIUS, PROSPECTS))
    assert rows[max(rows)]["city"] == "S\ufffdo Paulo"
    assert (len(rows), coercer.rejects) == (vendor.count("prospect"), [])
    assert coercer.warnings["warn:raw_data"] >= 1


def test_the_zeros_that_fill_up_a_number_are_left_out(vendor: Genius) -> None:
    vendor.sql("ALTER TABLE job_change_order MODIFY total_amount DECIMAL(10,2) ZEROFILL")
    amounts = ["0.00", "0.50", "12.30", "10000000.00"]
    keys = sorted(int(key) for (key,) in vendor.keys("job_change_order"))[: len(amounts)]
    for key, amount in zip(keys, amounts, strict=True):
        vendor.sql(f"UPDATE job_change_order SET total_amount = {amount} WHERE id = {key}")
    rows, coercer = typed(ORDERS, Read(GENIUS, ORDERS))
    assert [rows[key]["total_amount"] for key in keys] == amounts
    assert coercer.rejects == []


def test_values_are_what_the_database_says(vendor: Genius) -> None:
    """Decimals digit by digit, booleans of tinyint, a TIME beyond a day, latin1 and emoji, a bit of everything."""
    vendor.edit("job", ["1"], contract_amount="12345678.90", sales_tax_rate="0.0725")
    vendor.edit(
        "lead", ["10"], carpentry_followup_notes="Fenêtre façade, 25 £", notes="\\' 😀 \x00 \n end", lead_cost=0.1
    )
    vendor.sql("ALTER TABLE job ADD COLUMN flags bit(4), ADD COLUMN photo blob, ADD COLUMN doc json")
    vendor.edit("job", ["1"], flags=5, photo=b"\xff\x00", doc='{"a": 1}')
    jobs, _ = typed(JOBS, Read(GENIUS, JOBS))
    assert (Decimal(jobs[1]["contract_amount"]), jobs[1]["sales_tax_rate"]) == (Decimal("12345678.90"), "0.0725")
    record = next(one for one in Read(GENIUS, JOBS).records if one["id"] == 1)
    assert (record["flags"], record["photo"], record["doc"]) == (5, "/wA=", '{"a": 1}')
    raw = next(bytes(one) for page in Read(GENIUS, JOBS).finished()._seen for one in page.records)
    assert b'"contract_amount":12345678.90,' in raw
    leads, _ = typed(LEADS, Read(GENIUS, LEADS))
    assert leads[10]["carpentry_followup_notes"] == "Fenêtre façade, 25 £"
    assert leads[10]["notes"] == "\\' 😀  \n end"  # PostgreSQL holds no NUL
    assert leads[10]["lead_cost"] == "0.1"
    visits, _ = typed(ENTITIES["appointments"], Read(GENIUS, ENTITIES["appointments"]))
    assert visits[11]["duration"] == "26:00:00"
    users, _ = typed(ENTITIES["users"], Read(GENIUS, ENTITIES["users"]))
    assert [(users[n]["is_active"], users[n]["is_inactive"]) for n in (5, 6)] == [(True, False), (False, True)]
    assert users[5]["primary_user_id"] == 5
    assert users[5]["role"] == str(users[5]["title_id"])


def test_the_columns_of_s1(vendor: Genius) -> None:
    vendor.create("lead", contact=77, division=2, first_name="Ana", zip="45402", phone1="937-234-5678", agent_id="7")
    rows, _ = typed(LEADS, Read(GENIUS, LEADS))
    lead = rows[max(rows)]
    assert (lead["contact_id"], lead["division_id"], lead["firstname"], lead["zipcode"]) == (77, 2, "Ana", "45402")
    assert (lead["phone_e164"], lead["agent_id"], lead["source"]) == ("+19372345678", 7, lead["source"])
    visits = Read(GENIUS, ENTITIES["appointments"])
    rows, _ = typed(ENTITIES["appointments"], visits)
    assert (rows[1]["appointment_time"], rows[1]["lead_id"], rows[1]["status"]) == ("10:30:00", 2, "Follow up")
    assert (rows[5]["complete_outcome_id"], rows[5]["status"]) == (None, None)
    assert visits.context.noted == {}
    rows, _ = typed(PROSPECTS, prospects := Read(GENIUS, PROSPECTS))
    assert (rows[1]["source"], rows[1]["status"]) == (vendor.population.person(1).source, None)
    assert prospects.context.noted == {"absent_columns": ["status"]}


def test_the_lead_of_an_appointment_is_the_newest_that_its_prospect_had(vendor: Genius) -> None:
    """What the vendor has is the prospect. A lead of two years later is not that of an old visit, but of a new one."""
    vendor.edit("appointment", ["1"], add_date="2023-05-01 10:00:00")
    vendor.edit("appointment", ["4"], add_date=None)
    first, fourth = (journey.genius_prospect(2 * number) for number in (1, 4))  # of the lead of this number
    for lead in (2, 8):
        vendor.edit("lead", [str(lead)], added_on="2023-04-01 10:00:00")
    (same,) = vendor.create("lead", prospect_id=first, added_on="2023-05-01 10:00:00")
    (later,) = vendor.create("lead", prospect_id=first, added_on="2025-05-01 10:00:00")
    (other,) = vendor.create("lead", prospect_id=fourth, added_on="2025-05-01 10:00:00")
    (again,) = vendor.create("appointment", prospect_id=first, add_date="2025-06-01 10:00:00")
    rows, _ = typed(VISITS, Read(GENIUS, VISITS))
    assert (rows[1]["lead_id"], rows[int(again)]["lead_id"], rows[2]["lead_id"]) == (int(same), int(later), 4)
    assert rows[4]["lead_id"] == int(other), "when it was made is not known"
    vendor.edit("appointment", ["4"], add_date="0000-00-00 00:00:00")
    rows, _ = typed(VISITS, Read(GENIUS, VISITS))
    assert rows[4]["lead_id"] == int(other)
    guessed = {entity.table: entity.about for entity in GENIUS.entities if "unconfirmed" in entity.about}
    assert guessed.keys() == {"genius_appointment", "genius_prospect"}


def test_every_table_is_quoted(vendor: Genius) -> None:
    """`lead` is a reserved word of MySQL 8, which answers 1064; the simulator does, though MariaDB would not."""
    vendor.reset_counters()
    for entity in GENIUS.entities:
        if entity.path != "contact":
            assert "hubspot_appointment_id" not in Read(GENIUS, entity).context.noted.get("absent_columns", ())
    GENIUS.check()
    said = [entry["body"] for entry in vendor.requests()["log"]] + [
        one for each in EXPRESSIONS.values() for one in each.values()
    ]
    tables = {name for one in said for name in re.findall(r"\b(?:FROM|JOIN)\s+(?!information_schema\.)(\S+)", one)}
    assert "`lead`" in tables
    assert [name for name in tables if not re.fullmatch(r"`\w+`", name)] == []


def test_no_secret_is_read(vendor: Genius) -> None:
    """Neither into columns nor into raw_data, and no statement even names them."""
    vendor.reset_counters()
    for entity in GENIUS.entities:
        if entity.path != "contact":
            assert "planted" not in json.dumps(Read(GENIUS, entity).records)
    said = " ".join(entry["body"] for entry in vendor.requests()["log"])
    for name in ("paysimple_secret", "mes_profile_key", "cc_profile_id", "password_hash"):
        assert name not in said
    assert "paysimple_username" in said
    assert not [name for entity in GENIUS.entities for name in entity.columns if is_secret(name)]
    assert all(
        map(is_personal, ("signer_name", "applicant", "co_applicant", "legal_app_name"), itertools.repeat("text"))
    )
    fields = {one["id"]: one["field_value"] for one in Read(GENIUS, ENTITIES["integration_fields"]).records}
    assert fields == {1: "dialer-1", 2: None, 3: "dialer-3", 4: "dialer-4", 5: None, 6: "dialer-6"}


SECRET = """
    password passwd user_password dbPassword passw pwd userpwd dbpwd smtppwd oldpwd pwd1 pwdhash user_pwd2 pass passcode
    passphrase passport_no paysimple_secret clientSecret credentials api_key apikey key mes_profile_key private_key
    access_token token refresh_tokens salt password_hash hashed pin pin_code otp jwt auth_code session_id reset_code
    cc_profile_id cc card_number credit_card card_exp cvv iban routing routing_no routing_number routing_number2
    routing_numbers routing_code account_number account_number2 x_account_numbers accountNumberOld account_no acct_num2
    account_nos bank_account ssn ssn_last4 tax_id
"""
HARMLESS = """
    passenger_count compass passed pass_through secretary sort_key primary_key foreign_key keyboard turkey token_count
    tokenized tokens_used pinned opinion hashtag author authority cookies_accepted_at account account_id account_name
    account_notes account_notified acct_novelty routing_rule call_routing_id routing_notes service_area card_sent
    accent account_code
"""


def test_names_of_secrets_are_known(vendor: Genius) -> None:
    """And no more than they: a column that is left out is lost."""
    assert [name for name in SECRET.split() if not is_secret(name)] == []
    assert [name for name in HARMLESS.split() if is_secret(name)] == []
    for name in ("userpwd", "dbpwd", "pwd1", "account_number2", "routing_number2"):
        vendor.sql(f"ALTER TABLE quote ADD COLUMN {name} varchar(40) DEFAULT 'planted'")
    assert "planted" not in json.dumps(Read(GENIUS, QUOTES).records)


@pytest.mark.parametrize("whole", [False, True])
def test_an_idle_delta_does_not_look_for_values_that_were_never_there(vendor: Genius, whole: bool) -> None:
    """To find no value costs a walk through the warehouse's table; a column that had values is asked for each time."""
    vendor.sql("ALTER TABLE prospect DROP COLUMN notes")
    held = Held(values={"status", "notes"})
    read = (Read(GENIUS, PROSPECTS, known=held) if whole else delta(PROSPECTS, known=held)).finished()
    assert read.context.noted["absent_columns"] == ["notes", "status"]
    assert held.asked == read.context.absent == ({"notes", "status"} if whole else {"notes"})


def test_the_session_can_only_read(vendor: Genius, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor.sql(f"GRANT ALL ON `{vendor.name}`.* TO `{vendor.name}`@localhost")
    database = GeniusClient(delta(ORDERS).context)
    with pytest.raises(RequestRefused, match="1792"):
        database.all("DELETE FROM job")
    assert vendor.count("job") == 15


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-01-31 10:00:00", "2026-01-31 18:00:00"),
        ("2026-07-31 10:00:00", "2026-07-31 17:00:00"),
        ("2026-11-01 01:30:00", "2026-11-01 08:30:00"),  # lived twice; the first is taken
        ("2026-03-08 02:30:00", "2026-03-08 10:30:00"),  # never lived
    ],
)
def test_times_are_in_the_zone_of_the_setting(vendor: Genius, local: str, utc: str) -> None:
    vendor.edit("quote", ["1"], updated_at=local)
    rows, _ = typed(ENTITIES["quotes"], Read(GENIUS, ENTITIES["quotes"]))
    assert rows[1]["updated_at"] == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_a_timestamp_column_is_in_utc_whatever_the_setting(vendor: Genius) -> None:
    vendor.sql("ALTER TABLE quote MODIFY updated_at timestamp NULL")
    vendor.sql("UPDATE quote SET updated_at = NOW() WHERE id = 1")
    read = delta(ENTITIES["quotes"])
    (record,) = [one for one in read.records if one["id"] == 1]
    assert abs(datetime.fromisoformat(record["updated_at"]) - now()) < timedelta(minutes=1)


@pytest.mark.parametrize("said", ["UTC", "America/New_York", "America/Los_Angeles"])
def test_a_wrong_zone_loses_no_row(vendor: Genius, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """The window and the rows are both read in the zone of the setting, and the end is the latest of the clocks."""
    monkeypatch.setenv("GENIUS_TIME_ZONE", said)
    (key,) = vendor.create("quote")
    newest = max(datetime.fromisoformat(one["updated_at"] or one["add_date"]) for one in Read(GENIUS, QUOTES).records)
    assert int(key) in {one["id"] for one in Read(GENIUS, QUOTES, min(newest, now()) - OVERLAP).records}


QUOTES = ENTITIES["quotes"]


def test_a_row_that_is_edited_during_the_read_is_not_lost(
    orders: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor: Genius = orders.simulator
    for number in range(4):
        vendor.create("job_change_order", updated_at=wall(now() - timedelta(minutes=50 - number)))
    orders.sync()
    keys = [int(key) for (key,) in vendor.keys("job_change_order")][-4:]
    read = delta(ORDERS, page_size=2)
    read.step()
    vendor.edit("job_change_order", [str(keys[0])], number="again")
    vendor.edit("job_change_order", [str(keys[3])], number="once")
    found = [(record["id"], record["number"]) for record in read.records]
    assert [key for key, _ in found if key in keys] == [*keys[:3], keys[0], keys[3]]
    assert (keys[0], "again") in found
    assert (keys[3], "once") in found


def test_a_late_commit_is_found_by_the_next_run(orders: SourceHarness) -> None:
    vendor: Genius = orders.simulator
    transaction = vendor.begin("job_change_order", ["1"], number="late", updated_at=wall(now() - timedelta(minutes=3)))
    vendor.create("job_change_order")
    orders.sync()
    assert orders.rows()[("1",)]["number"] == "CO-1"
    vendor.commit(transaction)
    result = orders.sync()
    assert (result.mode, result.updated) == ("delta", 1)
    assert orders.rows()[("1",)]["number"] == "late"


def test_what_updated_at_does_not_tell_is_found_by_the_daily_read(orders: SourceHarness) -> None:
    vendor: Genius = orders.simulator
    vendor.create("job_change_order")
    orders.sync()
    vendor.edit("job_change_order", ["1"], touch=False, number="scripted")
    vendor.edit("job_change_order", ["2"], number="restored", updated_at="2020-01-01 00:00:00")
    vendor.remove("job_change_order", ["3"])
    result = orders.sync()
    assert (result.mode, result.updated, result.deleted) == ("delta", 0, 0)
    orders.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '1 day'")
    result = orders.sync()
    assert (result.mode, result.updated, result.deleted) == ("full", 2, 1)
    rows = orders.rows()
    assert (rows[("1",)]["number"], rows[("2",)]["number"], rows[("3",)]["archived"]) == ("scripted", "restored", True)


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "truncated"}, {"kind": "status"}, {"kind": "rate_limit"},
                                   {"kind": "status", "status": 1213}, {"kind": "status", "status": 3024}])  # fmt: skip
def test_a_page_that_broke_off_is_read_on(vendor: Genius, fault: dict[str, Any]) -> None:
    vendor.many("job_change_order", 40)
    vendor.set_fault(path="/job_change_order", every=2, **fault)
    read = Read(GENIUS, ORDERS, page_size=10)
    found = [record["id"] for record in read.records]
    assert len(found) == len(set(found)) == vendor.count("job_change_order")
    assert vendor.list_faults()[0]["fired"] >= 5


def test_a_connection_killed_between_pages_is_opened_again(vendor: Genius) -> None:
    vendor.many("job_change_order", 40)
    read = Read(GENIUS, ORDERS, page_size=10)
    for _ in range(3):
        read.step()
        assert vendor.kill_connections() == 1
    assert len({record["id"] for record in read.records}) == len(read.records) == vendor.count("job_change_order")


def long_table(vendor: Genius) -> int:
    """Make the change orders a long table of pages of three; return how many they are."""
    vendor.many("job_change_order", 460)
    return vendor.count("job_change_order") // 3 + 1


def test_a_long_table_is_read_in_ranges_side_by_side_on_two_sessions(vendor: Genius) -> None:
    pages = long_table(vendor)
    vendor.sql(f"ALTER USER `{vendor.name}`@localhost WITH MAX_USER_CONNECTIONS 2")
    vendor.set_fault("slow", path="/job_change_order", seconds=0.01)
    read = Read(GENIUS, ORDERS, page_size=3)
    found = [record["id"] for record in read.records]
    assert len(found) == len(set(found)) == vendor.count("job_change_order")
    assert vendor.requests()["peak_concurrency"] > 1
    assert read.calls <= 1.02 * pages + 2  # columns, and pages that are not full
    assert not read.context.noted


@pytest.mark.parametrize("kind", ["rate_limit", "status", "reset", "truncated"])
def test_ranges_that_broke_off_are_read_on_while_rows_are_edited(vendor: Genius, kind: str) -> None:
    long_table(vendor)
    vendor.set_fault(kind, path="/job_change_order", every=3)
    read = Read(GENIUS, ORDERS, page_size=3)
    removed, *_, edited = vendor.keys("job_change_order")
    for _ in range(5):
        read.step()
    vendor.remove("job_change_order", removed)
    vendor.edit("job_change_order", edited, number="edited")
    vendor.kill_connections()
    (made,) = vendor.create("job_change_order")
    found = [record["id"] for record in read.records]
    assert len(found) == len(set(found))
    assert {int(key) for (key,) in vendor.keys("job_change_order")} - {int(made)} <= set(found)
    assert int(made) in found
    assert vendor.list_faults()[0]["fired"] > 40


def test_an_account_with_one_connection_reads_a_long_table(vendor: Genius) -> None:
    """Nothing waits for a connection that the account does not have."""
    long_table(vendor)
    vendor.sql(f"ALTER USER `{vendor.name}`@localhost WITH MAX_USER_CONNECTIONS 1")
    read = Read(GENIUS, ORDERS, page_size=3)
    found = [record["id"] for record in read.records]
    assert len(found) == len(set(found)) == vendor.count("job_change_order")
    assert not read.context.noted


def test_a_range_that_is_answered_with_other_rows_is_not_believed(vendor: Genius) -> None:
    long_table(vendor)
    vendor.set_fault("repeat_page", path="/job_change_order", after=4, times=1)
    read = Read(GENIUS, ORDERS, page_size=3)
    assert {record["id"] for record in read.records} == {int(key) for (key,) in vendor.keys("job_change_order")}
    assert read.context.noted == {"key_ranges_given_up": True}


def test_a_limited_read_of_a_long_table_begins_at_its_begin(vendor: Genius) -> None:
    long_table(vendor)
    read = Read(GENIUS, ORDERS, page_size=3, limit=6)
    assert [json.loads(record)["id"] for _ in range(2) for record in read.step().records] == [1, 2, 3, 4, 5, 6]


def test_a_database_that_stays_away_is_tried_again_later(vendor: Genius) -> None:
    vendor.set_fault("status", path="/quote")
    with pytest.raises(VendorUnavailable, match="1205"):
        Read(GENIUS, QUOTES).finished()
    assert vendor.list_faults()[0]["fired"] == ATTEMPTS
    vendor.close()
    with pytest.raises(VendorUnavailable, match="2003"):
        Read(GENIUS, QUOTES).finished()


def test_what_a_person_must_mend_is_said_at_once(vendor: Genius, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vendor.revoke("quote")
    with pytest.raises(PermissionMissing, match="1142") as refusal:
        Read(GENIUS, QUOTES).finished()
    vendor.grant("quote")
    vendor.rename_column("quote", "id", "quote_id")
    with pytest.raises(AnswerChanged, match=r"no column id .* it has quote_id, .* and genius_quote.id is the key"):
        Read(GENIUS, QUOTES).finished()
    vendor.drop_table("quote")
    with pytest.raises((AnswerChanged, PermissionMissing), match=r"quote|114"):
        Read(GENIUS, QUOTES).finished()
    password = vendor.settings.token
    vendor.change_password("another")
    with pytest.raises(CredentialRefused, match="1045") as denied:
        Read(GENIUS, ORDERS).finished()
    for said in (str(refusal.value), str(denied.value), caplog.text):
        assert password not in said


def test_a_page_that_comes_again_is_an_error(vendor: Genius) -> None:
    vendor.set_fault("repeat_page", path="/job_change_order", after=1)
    with pytest.raises(CursorStuck, match="job_change_order"):
        Read(GENIUS, ORDERS, page_size=2).finished()
    vendor.set_fault("repeat_page", path="/marketsharp_marketing_source_map", after=1)
    with pytest.raises(CursorStuck):
        Read(GENIUS, ENTITIES["marketsharp_marketing_source_maps"], page_size=2).finished()


@pytest.mark.slow("rarer behaviour of a vendor")
def test_an_absent_contact_table_is_said_and_is_no_failure(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with source_harness("genius_contact", database_url, monkeypatch) as it:
        result = it.sync()
        assert (result.status, result.processed) == ("success", 0)
        assert result.metrics["noticed"] == {"absent_table": "contact"}
        it.simulator.add_contact_table()
        assert it.sync().created == 4
        it.simulator.drop_table("contact")
        with pytest.raises(SuspiciousRead):
            it.sync()
        assert len(it.living()) == 4


def test_a_column_that_is_gone_is_null_and_named(vendor: Genius) -> None:
    vendor.sql("ALTER TABLE job_change_order DROP COLUMN signer_name")
    read = Read(GENIUS, ORDERS)
    rows, _ = typed(ORDERS, read)
    assert {row["signer_name"] for row in rows.values()} == {None}
    assert read.context.noted == {"absent_columns": ["signer_name"]}


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_lookup_costs_its_own_column_only(vendor: Genius, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with what was guessed of another table, prospects and appointments are loaded."""
    total = vendor.count("prospect")
    vendor.rename_column("third_party_source", "third_party_source_type_id", "type_id")
    rows, _ = typed(PROSPECTS, Read(GENIUS, PROSPECTS))  # the other name that is told of it
    assert rows[1]["hubspot_contact_id"] == "9999502"
    vendor.rename_column("third_party_source", "type_id", "third_party_source_type")
    for statement, reason in (
        ("SELECT 1", "third_party_source has no column third_party_source_type_id or type_id .* it has third_party_s"),
        ("DROP TABLE third_party_source", "there is no table third_party_source that the account may see"),
    ):
        vendor.sql(statement)
        caplog.clear()
        read = Read(GENIUS, PROSPECTS)
        rows, coercer = typed(PROSPECTS, read)
        assert (len(rows), coercer.rejects) == (total, [])
        assert read.context.noted == {"absent_columns": ["hubspot_contact_id", "status"]}
        assert "hubspot_contact_id" not in read.records[0]
        assert re.search(rf"genius_prospect is read without hubspot_contact_id \({reason}", caplog.text)
        assert "status" not in caplog.text  # no installation is known to have that
        assert len(Read(GENIUS, VISITS).records) == vendor.count("appointment")
    said = GENIUS.check()
    assert "prospects without hubspot_contact_id (there is no table third_party_source" in said
    vendor.revoke("lead")
    vendor.sql("ALTER TABLE prospect_source DROP KEY prospect_id")
    read = Read(GENIUS, VISITS)
    assert len(read.records) == vendor.count("appointment")
    assert read.context.noted["absent_columns"] == ["hubspot_appointment_id", "lead_id"]
    Read(GENIUS, PROSPECTS).finished()
    assert "source (prospect_source has no index on prospect_id" in caplog.text


def test_a_lookup_that_the_database_refuses_costs_its_own_column_only(
    vendor: Genius, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expressions = EXPRESSIONS["prospect"] | {"hubspot_contact_id": "no_such_function(t.{prospect.id})"}
    monkeypatch.setitem(EXPRESSIONS, "prospect", expressions)
    read = Read(GENIUS, PROSPECTS)
    assert len(read.records) == vendor.count("prospect")
    assert read.context.noted == {"absent_columns": ["hubspot_contact_id", "status"]}
    assert {record["source"] for record in read.records} >= {"Google Ads"}
    said = r"hubspot_contact_id \(the database does not accept how it is looked up: error 1\d+: .*no_such_function"
    assert re.search(said, caplog.text)
    assert re.search(said, GENIUS.check())


def test_check_names_every_table_that_lost_its_key(vendor: Genius) -> None:
    vendor.rename_column("quote", "id", "quote_id")
    vendor.rename_column("job", "id", "job_id")
    with pytest.raises(AnswerChanged, match=r"(?s)genius_quote\.\w+ is the key.*genius_job\.\w+ is the key"):
        GENIUS.check()


def test_values_of_fields_are_not_read_unless_it_is_known_which_are_passwords(vendor: Genius) -> None:
    fields = ENTITIES["integration_fields"]
    vendor.sql("UPDATE integration_field_definition SET key_name = 'pin code', label = 'Remember token' WHERE id = 1")
    found = {one["id"]: one["field_value"] for one in Read(GENIUS, fields).records}
    assert found == {1: "dialer-1", 2: None, 3: None, 4: "dialer-4", 5: None, 6: None}
    vendor.sql("INSERT INTO integration_field (id, definition_id, field_value) VALUES (7, 99, 'planted')")
    assert [one["field_value"] for one in Read(GENIUS, fields).records if one["id"] == 7] == [None]
    for statement in ("RENAME COLUMN input_type TO kind", "RENAME TO renamed"):
        vendor.sql(f"ALTER TABLE integration_field_definition {statement}")
        read = Read(GENIUS, fields)
        assert len(read.records) == 7
        assert not any("field_value" in one for one in read.records)
        assert read.context.noted == {"absent_columns": ["field_value"]}


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_table_that_lost_its_cursor_is_read_in_full(orders: SourceHarness) -> None:
    vendor: Genius = orders.simulator
    orders.sync()
    vendor.rename_column("job_change_order", "updated_at", "changed_at")
    (key,) = vendor.create("job_change_order", changed_at=None)
    result = orders.sync()
    assert (result.mode, result.created, result.processed) == ("delta", 1, vendor.count("job_change_order"))
    assert result.status == "partial"
    assert "columns_absent: updated_at had values" in (result.reason or "")
    assert (key,) in orders.living()


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_column_that_was_filled_and_is_gone_is_an_alarm(
    orders: SourceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """A renamed column is not nothing: partial, with its name and those that may be meant, until somebody decides."""
    vendor: Genius = orders.simulator
    orders.sync()
    vendor.rename_column("job_change_order", "signer_name", "signed_name")
    vendor.sql("ALTER TABLE job_change_order DROP COLUMN cancel_date")  # it never had a value
    vendor.remove("job_change_order", ["1"])
    vendor.create("job_change_order", number="one")
    result = orders.sync()  # too few records to tell by: the catalogue does
    assert (result.mode, result.status, result.created) == ("delta", "partial", 1)
    reason = orders.history()[-1]["error_message"]
    assert "columns_absent: signer_name had values" in reason
    assert "cancel_date" not in reason
    said = "signer_name (job_change_order has no column signer_name that the account may see; it has signed_name"
    assert said in caplog.text
    metrics = orders.history()[-1]["performance_metrics"]
    assert metrics["noticed"]["absent_columns"] == ["cancel_date", "signer_name"]
    assert metrics["columns_absent"] == ["signer_name"]
    result = orders.sync(full=True)
    assert (result.status, result.deleted) == ("success", 1)
    assert orders.history()[-1]["performance_metrics"]["columns_absent"] == ["signer_name"]
    assert orders.rows()[("2",)]["signer_name"]
    assert orders.sync(full=True, force=True).status == "success"
    assert orders.rows()[("2",)]["signer_name"] is None
    assert orders.sync().metrics["columns_absent"] == []


@pytest.mark.parametrize("future", ["9999-12-31 23:59:59", "9999-01-01 00:00:00", "2150-06-01 00:00:00"])
def test_a_row_changed_in_the_far_future_is_read_by_every_delta(vendor: Genius, future: str) -> None:
    vendor.edit("prospect", ["1"], updated_at=future)
    for _ in range(2):
        assert [record["id"] for record in delta(PROSPECTS).records] == [1]
    (fresh,) = vendor.create("prospect")
    assert {record["id"] for record in delta(PROSPECTS, page_size=1).records} == {1, int(fresh)}
    assert len(Read(GENIUS, PROSPECTS).records) == vendor.count("prospect")


def test_a_column_of_another_type_costs_its_values_only(vendor: Genius) -> None:
    """`type1` is text in one installation: every lead is loaded, the text is in `raw_data`, and counted."""
    vendor.sql("ALTER TABLE lead MODIFY type1 varchar(20), MODIFY status varchar(20), MODIFY is_dnc varchar(20)")
    vendor.sql("UPDATE lead SET type1 = 'mobile', is_dnc = 'maybe', status = 'new'")
    total = vendor.count("lead")
    read = Read(GENIUS, LEADS)
    rows, coercer = typed(LEADS, read)
    assert (len(rows), coercer.rejects) == (total, [])
    assert {row["type1"] for row in rows.values()} == {None}
    assert {row["status"] for row in rows.values()} == {"new"}
    assert {record["type1"] for record in read.records} == {"mobile"}
    assert coercer.warnings["warn:type1"] == coercer.warnings["warn:is_dnc"] == total


def test_a_sentinel_neither_hides_its_row_nor_poisons_the_cursor(orders: SourceHarness) -> None:
    vendor: Genius = orders.simulator
    vendor.edit("job_change_order", ["1"], updated_at="9999-12-31 23:59:59", number="forever")
    first = orders.sync()
    assert orders.rows()[("1",)]["number"] == "forever"
    assert first.watermark is not None
    assert first.watermark <= now()
    vendor.edit("job_change_order", ["1"], updated_at="9999-12-31 23:59:59", number="edited")
    (late,) = vendor.create("job_change_order", number="late")
    result = orders.sync()
    assert (result.mode, result.status) == ("delta", "success")
    assert (orders.rows()[("1",)]["number"], orders.rows()[(late,)]["number"]) == ("edited", "late")
    assert result.metrics["filtered"] == 0


def test_a_zero_date_as_cursor_counts_as_none(vendor: Genius) -> None:
    (fresh,) = vendor.create("lead", updated_at="0000-00-00 00:00:00")
    vendor.create("lead", updated_at="0000-00-00 00:00:00", added_on=wall(now() - timedelta(days=3)))
    (timeless,) = vendor.create("lead", updated_at="0000-00-00 00:00:00", added_on="0000-00-00 00:00:00")
    rows, coercer = typed(LEADS, delta(LEADS))
    assert rows.keys() == {int(fresh), int(timeless)}
    assert coercer.rejects == []


@pytest.mark.slow("rarer behaviour of a vendor")
def test_long_rows_are_handed_on_in_parts(vendor: Genius) -> None:
    """Megabytes in a row are neither cut nor gathered by the page."""
    vendor.sql("ALTER TABLE quote MODIFY description longtext")
    for key in ("1", "2", "3", "4", "5"):
        vendor.edit("quote", [key], description="x" * 3_000_000)
    read = Read(GENIUS, QUOTES).finished()
    assert [len(page.records) for page in read._seen] == [3, vendor.count("quote") - 3]
    assert {len(record["description"]) for record in read.records[:5]} == {3_000_000}


def test_pages_are_answered_from_an_index(vendor: Genius) -> None:
    """Where the vendor has one on (updated_at, key): no page sorts, and none begins at the beginning."""
    vendor.many("job_change_order", 3000)
    vendor.spread("job_change_order", 700 * 86_400)
    vendor.sql("ANALYZE TABLE job_change_order")
    vendor.reset_counters()
    delta(ORDERS, timedelta(days=30), page_size=20).finished()
    Read(GENIUS, ORDERS, page_size=1000).finished()
    asked = [entry["body"] for entry in vendor.requests()["log"] if entry["path"] == "/job_change_order"]
    for statement in asked[1:3] + asked[-2:]:
        (plan, *_) = vendor.sql(f"EXPLAIN {statement}".replace("%", "%%"))
        assert (plan["type"], plan["key"] in ("changed", "PRIMARY")) == ("range", True), statement
        assert "filesort" not in plan["Extra"]


def test_missing_and_unusable_settings_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENIUS_DATABASE_URL", raising=False)
    monkeypatch.setenv("GENIUS_TIME_ZONE", "Pacific")
    assert GENIUS.missing_settings() == ["GENIUS_DATABASE_URL", "GENIUS_TIME_ZONE"]
    monkeypatch.setenv("GENIUS_TIME_ZONE", "UTC")
    for url in ("postgresql://a:b@host/db", "mysql://a:b@host/db", "mysql+pymysql://a:b@host"):
        monkeypatch.setenv("GENIUS_DATABASE_URL", url)
        assert GENIUS.missing_settings() == ["GENIUS_DATABASE_URL"]
    monkeypatch.setenv("GENIUS_DATABASE_URL", "mysql+pymysql://a:b@host:3307/db?ssl_ca=/etc/ca.pem")
    assert GENIUS.missing_settings() == []
    assert "b@" not in repr(GENIUS.settings())


def test_check_says_in_one_line_what_can_be_read(vendor: Genius) -> None:
    said = GENIUS.check()
    assert re.fullmatch(
        r"Genius answers \(\S*10\.\S+MariaDB\S*\): all of 33 tables but contact; its clock is UTC-[78] h, "
        r"times are read as America/Los_Angeles",
        said,
    )
    vendor.change_password("another")
    with pytest.raises(CredentialRefused):
        GENIUS.check()


@pytest.mark.slow("many records")
def test_change_orders_100k_under_60s(orders: SourceHarness) -> None:
    """Seconds, not hours; and nothing is cut off at 100,000."""
    orders.simulator.many("job_change_order", 100_000)
    total = orders.simulator.count("job_change_order")
    result = orders.sync()
    assert (result.created, result.status) == (total, "success")
    assert result.seconds < 60
    again = orders.sync()
    assert (again.mode, again.created, again.deleted) == ("delta", 0, 0)
    assert again.unchanged == 100_000  # they are of one second, which is within the overlap
    assert again.seconds < 60


def test_offsets_stay_few() -> None:
    offsets = Offsets(PACIFIC)
    for hour in itertools.islice((datetime(2000, 1, 1) + timedelta(hours=n) for n in itertools.count()), 12_000):  # noqa: DTZ001
        assert offsets[f"{hour:%Y-%m-%d %H}"] in ("-08:00", "-07:00")
    assert len(offsets) <= 5_000
    assert (offsets["0000-00-00 00"], Offsets(UTC)["2026-01-01 10"]) == ("", "+00:00")
