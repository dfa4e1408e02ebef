"""Each rule that asks the warehouse: what it finds, and what it lets be. And the rows and files belong together."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability.alerts import program, rules
from warehouse_pipelines.observability.alerts.rules import Circumstances, Fault
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.alerting import DAY, HOUR, ZONE, Alerting, plant

NOW = datetime(2026, 11, 4, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Ask = Callable[[str], list[Fault]]


@pytest.fixture
def ask(database_url: str) -> Ask:
    """Return a function that asks a rule by its name."""

    def asked(name: str) -> list[Fault]:
        about = Circumstances(NOW, ["hubspot", "callrail", "gcalendar"], str(ZONE))
        with warehouse.session(database_url) as session, rules.asking(session):
            [rule] = rules.enabled(session, [name])
            return rules.ask(session, rule, about)

    return asked


def execute(url: str, statement: str, *parameters: object) -> None:
    with warehouse.session(url) as session:
        session.execute(statement, parameters)


def test_each_rule_has_its_facts(database_url: str) -> None:
    """A rule of the warehouse has a file of its name, and each file a rule."""
    with warehouse.session(database_url) as session:
        found = rules.enabled(session)
    files = {path.stem for path in (sql_folder() / "alerts").glob("*.sql")}
    assert {rule.name for rule in found if rule.reads == "warehouse"} == files
    assert {other for rule in found for other in rule.unless} <= {rule.name for rule in found}
    assert {rule.name for rule in found if rule.reads == "serve"} == {
        "alerts_silent",
        "daemon_silent",
        "webhook_refused",
    }


def test_nothing_is_wrong_with_an_empty_warehouse(database_url: str) -> None:
    about = Circumstances(NOW, ["hubspot", "callrail"], str(ZONE))
    with warehouse.session(database_url) as session:
        for rule in rules.enabled(session):
            if rule.reads == "warehouse":
                assert rules.ask(session, rule, about) == [], rule.name


def test_a_setting_that_cannot_be_used_opens_an_incident_and_closes_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "a token")
    hubspot = [source for source in SOURCES if source.name == "hubspot"]
    plant(database_url, NOW - 40 * MINUTE)
    plant(database_url, NOW - 10 * MINUTE, "failed", error="CredentialRefused: 401")
    Alerting(database_url).only("crm_settings", "credential_refused")

    def changes(minute: int) -> list[tuple[str, str]]:
        found, _, _ = program.run(database_url, hubspot, now=NOW + minute * MINUTE)
        assert found is not None
        return [(one.rule.name, one.kind) for one in found.changes]

    assert changes(0) == [("credential_refused", "opened")]
    with monkeypatch.context() as patch:
        patch.setenv("HUBSPOT_REQUESTS_PER_DAY", "65O,000")
        assert changes(1) == [("crm_settings", "opened")]
        assert program.build_report(database_url, hubspot, NOW + MINUTE).crms[0].settings_problem
    assert changes(2) == [("crm_settings", "resolved")]
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "")
    assert changes(3) == [("crm_settings", "opened")]
    execute(database_url, "UPDATE orchestration.sync_schedule SET enabled = false WHERE crm_source = 'hubspot'")
    assert changes(4) == [("credential_refused", "resolved"), ("crm_settings", "resolved")], "it is given up"


@pytest.mark.slow("the same in other circumstances")
def test_an_edited_rule_survives_a_migration_and_a_missing_one_comes_back(database_url: str) -> None:
    execute(database_url, "UPDATE orchestration.alert_rule SET threshold = 7, enabled = false WHERE name = 'failing'")
    execute(database_url, "DELETE FROM orchestration.alert_rule WHERE name = 'stale'")
    assert migrate(database_url) == ["default rows of orchestration: 1"]
    with warehouse.session(database_url) as session:
        row = session.execute(
            "SELECT threshold, enabled FROM orchestration.alert_rule WHERE name = 'failing'"
        ).fetchone()
    assert row == {"threshold": 7, "enabled": False}


def test_a_rule_of_your_own_is_a_row_and_cannot_write(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO orchestration.alert_rule (name, title, statement, threshold) VALUES (%s, %s, %s, %s)",
        "mine", "Mine", "SELECT 'deals' AS subject, 'hubspot' AS crm, format('%%s', %(threshold)s::int) AS text", 4,
    )  # fmt: skip
    about = Circumstances(NOW, [], str(ZONE))
    with warehouse.session(database_url) as session:
        [rule] = rules.enabled(session, ["mine"])
        assert rules.ask(session, rule, about) == [Fault("deals", "4", "hubspot")]
    execute(database_url, "UPDATE orchestration.alert_rule SET statement = 'DELETE FROM orchestration.heartbeat "
            "RETURNING name AS subject' WHERE name = 'mine'")  # fmt: skip
    with warehouse.session(database_url) as session:
        [rule] = rules.enabled(session, ["mine"])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), rules.asking(session):
            rules.ask(session, rule, about)


def test_failing(database_url: str, ask: Ask) -> None:
    plant(database_url, NOW - 5 * HOUR)
    plant(database_url, NOW - 4 * HOUR, "failed", run_id="a")
    plant(database_url, NOW - 4 * HOUR + MINUTE, "failed", run_id="a")  # another attempt of one run
    plant(database_url, NOW - 3 * HOUR, "failed", run_id="b")
    assert ask("failing") == []
    plant(database_url, NOW - 2 * HOUR, "failed", run_id="c")
    [fault] = ask("failing")
    assert fault.subject == "hubspot contacts"
    assert fault.cause == "hubspot: VendorUnavailable"
    assert fault.text == "3 runs in a row failed since 2026-11-04 11:00 UTC: VendorUnavailable: the vendor answered 503"
    plant(database_url, NOW - HOUR, "partial")
    assert ask("failing") == []


def test_failing_daily(database_url: str, ask: Ask) -> None:
    """Of what is read once a day, one failed run is a day without data."""
    execute(
        database_url, "UPDATE orchestration.sync_schedule SET every = 1, period = 'days' WHERE model_name = 'deals'"
    )
    plant(database_url, NOW - HOUR, "failed", entity="deals")
    assert [fault.subject for fault in ask("failing")] == ["hubspot deals"]


@pytest.mark.parametrize("options", [{"dry_run": True}, {"max_records": 10}, {"narrowed": True}], ids=str)
def test_a_trial_that_fails_is_no_run_that_failed(database_url: str, ask: Ask, options: dict[str, bool | int]) -> None:
    """It would not be a good run, so it can neither open what only a good run ends, nor be the first attempt."""
    execute(database_url, "UPDATE orchestration.sync_schedule SET every = 1, period = 'days'")
    plant(database_url, NOW - 90 * HOUR, "failed", options=options)
    assert ask("failing") == ask("stale") == []
    plant(database_url, NOW - 80 * HOUR, "failed")
    assert [fault.text.partition(" UTC")[0] for fault in (*ask("failing"), *ask("stale"))] == [
        "1 run failed since 2026-11-01 07:00", "no good run since 2026-11-01 07:00",
    ]  # fmt: skip


def test_failing_is_not_told_of_what_is_off_or_not_configured(database_url: str, ask: Ask) -> None:
    for n in range(4):
        plant(database_url, NOW - n * HOUR, "failed")
        plant(database_url, NOW - n * HOUR, "failed", crm="arrivy", entity="tasks")
    execute(database_url, "UPDATE orchestration.sync_schedule SET enabled = false WHERE model_name = 'contacts'")
    assert ask("failing") == []


def test_credential_refused(database_url: str, ask: Ask) -> None:
    for entity in ("contacts", "deals", "owners"):
        plant(database_url, NOW - HOUR, "failed", entity=entity, error="CredentialRefused: 401 of https://api.test")
    [fault] = ask("credential_refused")
    assert (fault.subject, fault.crm) == ("hubspot", "hubspot")
    assert "the last run of 3 of its entities" in fault.text
    assert ask("failing") == []
    for entity in ("contacts", "deals", "owners"):
        plant(database_url, NOW, entity=entity)
    assert ask("credential_refused") == []


def refuse(url: str, hours: float, entity: str) -> None:
    plant(url, NOW - hours * HOUR, "failed", entity=entity, error="CredentialRefused: 401 of https://api.test")


def test_a_refusal_of_what_is_switched_off_is_no_fault(database_url: str, ask: Ask) -> None:
    refuse(database_url, 60 * 24, "owners")
    execute(database_url, "UPDATE orchestration.sync_schedule SET enabled = false WHERE model_name = 'owners'")
    assert ask("credential_refused") == []


def test_a_refusal_is_of_its_entity_once_another_is_read_again(database_url: str, ask: Ask) -> None:
    """Then it explains nothing of the CRM's others; it stays a fault until the entity has its next run."""
    plant(database_url, NOW - 30 * HOUR)
    plant(database_url, NOW - 30 * HOUR, entity="owners")
    refuse(database_url, 20, "owners")
    refuse(database_url, 19, "contacts")
    assert [(fault.subject, fault.entity) for fault in ask("credential_refused")] == [("hubspot", None)]
    plant(database_url, NOW - HOUR / 4)
    assert [fault.subject for fault in ask("credential_refused")] == ["hubspot"], "what piled up is worked off"
    plant(database_url, NOW - 2 * HOUR, entity="deals")
    [fault] = ask("credential_refused")
    assert (fault.subject, fault.crm, fault.entity, fault.cause) == ("hubspot owners", "hubspot", "owners", "hubspot")
    assert "its last run, 2026-11-03 19:00 UTC" in fault.text
    refuse(database_url, 0.1, "owners")
    assert [fault.subject for fault in ask("credential_refused")] == ["hubspot owners"], "the others are read all along"
    refuse(database_url, 0.05, "deals")
    [fault] = ask("credential_refused")
    assert (fault.subject, fault.entity) == ("hubspot", None)
    assert "the last run of 2 of its entities" in fault.text
    plant(database_url, NOW, entity="owners")
    plant(database_url, NOW, entity="deals")
    assert ask("credential_refused") == []


def test_stale(database_url: str, ask: Ask) -> None:
    plant(database_url, NOW - 4 * HOUR)
    plant(database_url, NOW - 9 * HOUR, entity="deals")
    plant(database_url, NOW - 9 * HOUR, "failed", entity="owners")  # never a good one
    execute(database_url, "UPDATE orchestration.sync_schedule SET every = 1, period = 'hours'")
    found = ask("stale")
    assert {fault.subject: fault.cause for fault in found} == {"hubspot deals": "hubspot", "hubspot owners": "hubspot"}
    assert "2026-11-04 06:00 UTC, where one is due every 01:00:00" in found[0].text
    plant(database_url, NOW - 5 * HOUR, "running", entity="deals")
    assert [fault.subject for fault in ask("stale")] == ["hubspot owners"]


def test_stuck(database_url: str, ask: Ask) -> None:
    plant(database_url, NOW - 11 * HOUR, "running")
    assert ask("stuck") == []
    plant(database_url, NOW - 13 * HOUR, "running", entity="deals")
    assert [fault.subject for fault in ask("stuck")] == ["hubspot deals"]


def test_partial(database_url: str, ask: Ask) -> None:
    plant(database_url, NOW - 30 * HOUR)
    for hours in (20, 10, 1):
        plant(database_url, NOW - hours * HOUR, "partial")
        plant(database_url, NOW - (hours + 10) * HOUR, "partial", entity="deals")
    [fault] = ask("partial")
    assert fault.subject == "hubspot deals"
    assert "3 runs in a row were partial since 2026-11-03 09:00 UTC: values_lost: amount" in fault.text


def test_dead_letters(database_url: str, ask: Ask) -> None:
    execute(
        database_url,
        """
        INSERT INTO orchestration.dead_letter (sync_history_id, last_sync_history_id, crm_source, sync_type, stage,
            rule, error_message, payload, payload_hash, created_at)
        SELECT 1, 1, 'hubspot', e.name, 'coerce', 'number', 'no number', to_jsonb(n), hashtextextended(e.name || n, 0),
            %s::timestamptz - e.age
        FROM (VALUES ('contacts', interval '1 hour'), ('deals', interval '2 days')) AS e (name, age),
            generate_series(1, 30) AS n
        """,
        NOW,
    )
    [fault] = ask("dead_letters")
    assert fault.subject == "hubspot contacts"
    assert fault.text == "30 records could not be loaded within a day, mostly by the rule number; 30 wait"


def test_values_lost(database_url: str, ask: Ask) -> None:
    losses = {"amount": {"lost": 40, "of": 200}, "phone": {"lost": 2, "of": 200}}
    plant(database_url, NOW - HOUR, columns_filled={"a": 1}, losses=losses, columns_absent=["city"])
    plant(database_url, NOW - HOUR, entity="deals", columns_filled={"a": 1}, losses={"phone": {"lost": 2, "of": 200}})
    [fault] = ask("values_lost")
    assert fault.subject == "hubspot contacts"
    assert fault.text == "values lost: amount 40 of 200; no longer sent, values kept: city"


def test_never_any_row(database_url: str, ask: Ask) -> None:
    for days in (3, 1, 0):
        plant(database_url, NOW - days * DAY, records=0)
        plant(database_url, NOW - days * DAY, entity="deals", records=days // 3)
    assert [fault.subject for fault in ask("never_any_row")] == ["hubspot contacts"]


def deliver(url: str, at: datetime, source: str = "hubspot", status: str = "done", error: str | None = None) -> None:
    execute(
        url,
        """
        INSERT INTO orchestration.webhook_inbox
            (source, dedupe_key, received_at, signature_valid, status, processed_at, error_message)
        VALUES (%s, gen_random_uuid()::text, %s, true, %s, CASE WHEN %s <> 'pending' THEN %s::timestamptz END, %s)
        """,
        source, at, status, status, at, error,
    )  # fmt: skip
    count_delivery(url, at, source)


def count_delivery(url: str, at: datetime, source: str = "hubspot", outcome: str = "accepted") -> None:
    execute(
        url,
        """
        INSERT INTO orchestration.webhook_outcome AS o (source, outcome, hour, deliveries, last_at)
        VALUES (%s, %s, date_trunc('hour', %s::timestamptz, 'UTC'), 1, %s)
        ON CONFLICT (source, hour, outcome) DO UPDATE
            SET deliveries = o.deliveries + 1, last_at = greatest(o.last_at, excluded.last_at)
        """,
        source, outcome, at, at,
    )  # fmt: skip


def test_webhook_gap(database_url: str, ask: Ask) -> None:
    for days in range(2, 7):
        for source in ("hubspot", "callrail"):
            deliver(database_url, NOW - days * DAY, source)
    deliver(database_url, NOW - HOUR, "callrail")
    assert ask("webhook_gap") == []
    for crm, entity in (("hubspot", "contacts"), ("callrail", "calls")):
        plant(database_url, NOW - 2 * HOUR, crm=crm, entity=entity, records=12)
    [fault] = ask("webhook_gap")
    assert fault.subject == "hubspot"
    assert "5 came in the week before; polls found 12 changes since" in fault.text


def test_a_webhook_gap_lasts_until_webhooks_come_again(database_url: str) -> None:
    """For 20 days, with a week without a change among them, and with deliveries that are refused."""
    alerting, told = Alerting(database_url).only("webhook_gap", remind_after="3 days"), []
    begin = NOW - 30 * DAY
    for days in range(7):
        count_delivery(database_url, begin - days * DAY)
    for days in range(1, 20):
        at = begin + days * DAY
        if not 5 <= days < 12:
            plant(database_url, at - HOUR, records=12)
        count_delivery(database_url, at, outcome="refused")
        told += alerting.at(at + HOUR).changes
    assert [one.kind for one in told] == ["opened", *["reminded"] * 6]
    assert "7 came in the week before" in told[-1].incident.members["hubspot"]["text"]
    count_delivery(database_url, begin + 20 * DAY)
    assert [one.kind for one in alerting.at(begin + 20 * DAY + HOUR).changes] == ["resolved"]


def test_few_webhooks_before_they_ceased_are_no_gap(database_url: str, ask: Ask) -> None:
    for days in (5, 6, 20, 21, 22, 23):
        count_delivery(database_url, NOW - days * DAY)
    plant(database_url, NOW - HOUR, records=12)
    assert ask("webhook_gap") == []


def test_webhooks_lost(database_url: str) -> None:
    """A fifth is what two polls at a bad moment may find first; of few changes no share says anything."""
    now = datetime.now(UTC)
    day = datetime(now.year, now.month, now.day, tzinfo=UTC) - DAY
    for entity, told, polled in (("contacts", 15, 5), ("deals", 17, 3), ("owners", 5, 5)):
        for mode, records in (("webhook", told), ("delta", polled)):
            plant(database_url, day + HOUR, entity=entity, records=records, mode=mode)
    with warehouse.session(database_url) as session:
        [rule] = rules.enabled(session, ["webhooks_lost"])
        [fault] = rules.ask(session, rule, Circumstances(now, ["hubspot"], str(ZONE)))
    assert (fault.subject, fault.text) == (
        "hubspot contacts", f"5 of the 20 changes of {day:%Y-%m-%d} were found by polls alone",
    )  # fmt: skip


def test_inbox(database_url: str, ask: Ask) -> None:
    deliver(database_url, NOW - 20 * MINUTE, "hubspot", "pending")
    deliver(database_url, NOW - 40 * MINUTE, "callrail", "pending")
    for _ in range(11):
        deliver(database_url, NOW - HOUR, "callrail", "failed", "the vendor answered 503")
    assert [fault.subject for fault in ask("inbox_waiting")] == ["callrail"]
    [fault] = ask("inbox_failed")
    assert fault.text == "11 deliveries were given up within a day: the vendor answered 503"


def test_channel_expires(database_url: str, ask: Ask) -> None:
    rows = [
        ("renewed", "one", 6, True, -24), ("successor", "one", 150, True, -1),
        ("stopped", "two", 2, False, -1),
        ("lapsed", "three", -20, False, -19),
        ("ending", "four", 6, True, -24),
    ]  # fmt: skip
    for channel, calendar, ends, active, updated in rows:
        execute(
            database_url,
            "INSERT INTO pipedesk.calendar_sync_states (channel_id, calendar_id, expiration, active, updated_at) "
            "VALUES (%s, %s, %s, %s, %s)",
            channel, calendar, NOW + ends * HOUR, active, NOW + updated * HOUR,
        )  # fmt: skip
    [fault] = ask("channel_expires")
    assert fault.subject == "gcalendar"
    assert fault.text.startswith("2 push channels end without a successor, the first at 2026-11-03 19:00 UTC")
    execute(
        database_url,
        "UPDATE pipedesk.calendar_sync_states SET expiration = %s WHERE channel_id = 'lapsed'",
        NOW - 20 * DAY,
    )
    assert "2 push channels end without a successor, the first at 2026-10-15" in ask("channel_expires")[0].text


def test_a_channel_that_could_not_be_made_is_no_successor(database_url: str, ask: Ask) -> None:
    for channel, ends, active in (("ending", NOW + HOUR, True), ("refused by Google", None, False)):
        execute(
            database_url,
            "INSERT INTO pipedesk.calendar_sync_states (channel_id, calendar_id, expiration, active, updated_at) "
            "VALUES (%s, 'one', %s, %s, %s)",
            channel, ends, active, NOW - HOUR,
        )  # fmt: skip
    assert [fault.subject for fault in ask("channel_expires")] == ["gcalendar"]


def test_budget(database_url: str, ask: Ask) -> None:
    """Of the window of a day, as the loader counts it; a spent budget of ten seconds is daily business."""

    def take(hours: float, used: int, budget: str = "day", seconds: float = 86_400) -> None:
        slot = int((NOW - hours * HOUR).timestamp() // (seconds / 20))
        statement = "INSERT INTO orchestration.request_budget VALUES ('hash', %s, %s, %s, 'hubspot', 1000, %s)"
        execute(database_url, statement, budget, slot, used, seconds)

    take(20, 500)
    take(30, 900)
    take(0, 990, "requests", 10)
    assert ask("budget") == []
    take(2, 400)
    [fault] = ask("budget")
    assert fault.text == "900 of 1000 requests of the last 24 hours are used"


def test_unmapped_statuses(database_url: str, ask: Ask) -> None:
    execute(
        database_url,
        "INSERT INTO crm.source_status (source, source_status, loaded_as, records) "
        "VALUES ('genius.lead', 'ODD', 'new', 9), ('arrivy.status', 'RARE', 'new', 1)",
    )
    [fault] = ask("unmapped_statuses")
    assert (fault.subject, fault.text) == ("genius.lead", "1 status words are not mapped, in 9 records")


def call_though_listed(url: str, found: datetime) -> None:
    execute(
        url,
        """
        INSERT INTO marts.dnc_conflicts (organization_id, channel, source_table, source_key, contacted_at, phone,
            listed_at, reason, found_at)
        VALUES (gen_random_uuid(), 'call', 'callrail_call', '1', %s, '+15550109999', %s, 'requested', %s)
        """,
        found, found - DAY, found,
    )  # fmt: skip


def test_called_though_listed(database_url: str, ask: Ask) -> None:
    for found in (NOW - HOUR, NOW - 3 * DAY):
        call_though_listed(database_url, found)
    [fault] = ask("called_though_listed")
    assert fault.text.startswith("1 calls and 0 messages went to people")
    assert "5550109999" not in str(fault)


def test_calls_though_listed_are_told_once_for_each_day_of_the_business(database_url: str) -> None:
    """For ten days one is found every twelve hours, at five in the morning and in the afternoon in New York."""
    alerting, told = Alerting(database_url).only("called_though_listed"), []
    begin = datetime(2026, 11, 4, 10, tzinfo=UTC)
    for half_day in range(26):
        at = begin + half_day * 12 * HOUR
        if half_day < 20:
            call_though_listed(database_url, at)
        told += alerting.at(at + MINUTE).changes
    opened = [one.incident.cause for one in told if one.kind == "opened"]
    assert opened == [f"do-not-call 2026-11-{day:02d}" for day in range(4, 14)]
    resolved = [one.incident for one in told if one.kind == "resolved"]
    assert [one.cause for one in resolved] == opened
    assert all("2 calls and 0 messages" in one.members[one.cause]["text"] for one in resolved), "all of the day"


def test_database_large(database_url: str, ask: Ask) -> None:
    assert ask("database_large") == []
    execute(database_url, "UPDATE orchestration.alert_rule SET threshold = 0.001 WHERE name = 'database_large'")
    assert [fault.subject for fault in ask("database_large")] == ["warehouse"]


def test_serve_silent(database_url: str, ask: Ask) -> None:
    execute(database_url, "INSERT INTO orchestration.heartbeat VALUES ('serve', %s)", NOW - 2 * MINUTE)
    assert ask("serve_silent") == []
    execute(database_url, "UPDATE orchestration.heartbeat SET last_alive_at = %s", NOW - 10 * MINUTE)
    assert [fault.text for fault in ask("serve_silent")] == ["it was last alive at 2026-11-04 14:50 UTC"]


def test_volume_of_a_full_read(database_url: str, ask: Ask) -> None:
    for days in range(12, 1, -1):
        plant(database_url, NOW - days * DAY, mode="full", records=1000)
    plant(database_url, NOW - DAY, mode="full", records=400)
    assert ask("volume") == []
    plant(database_url, NOW - HOUR, mode="full", records=410)
    [fault] = ask("volume")
    assert (
        fault.text == "the last two reads of everything found 400 and 410 records, where 1000 are usual at such a time"
    )
    assert fault.cause == "hubspot: less"
    plant(database_url, NOW - MINUTE, mode="full", records=1010)
    assert ask("volume") == []


def test_duration(database_url: str, ask: Ask) -> None:
    for days in range(12, 1, -1):
        plant(database_url, NOW - days * DAY, mode="full", seconds=60)
        plant(database_url, NOW - days * DAY, mode="full", seconds=2, entity="deals")
    for hours in (20, 1):
        plant(database_url, NOW - hours * HOUR, mode="full", seconds=900)
        plant(database_url, NOW - hours * HOUR, mode="full", seconds=30, entity="deals")
    [fault] = ask("duration")
    assert fault.text == "the last two reads of everything took 900 s and 900 s, where 60 s are usual at such a time"
