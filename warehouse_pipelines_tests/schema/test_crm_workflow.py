"""Statuses, scores, sequences, assignments, funnel and return: what a lead goes through."""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from warehouse_pipelines_tests.harness.crm_database import (
    CONSENT,
    OTHER_USER,
    THIRD_USER,
    USER,
    A,
    B,
    Connection,
    add,
    one,
    session,
    sqlstate,
)

TRANSITIONS = {
    "new": "contacted qualified appointment_set nurturing lost disqualified",
    "contacted": "qualified appointment_set nurturing lost disqualified",
    "qualified": "appointment_set proposal nurturing lost disqualified",
    "appointment_set": "qualified proposal nurturing won lost disqualified",
    "proposal": "appointment_set nurturing won lost disqualified",
    "nurturing": "contacted qualified appointment_set proposal lost disqualified",
    "won": "lost",
    "lost": "contacted nurturing",
    "disqualified": "contacted",
}
"""The allowed transitions, written a second time: a change of the rules is a decision."""


@pytest.fixture
def app(shared_url: str) -> Iterator[Connection]:
    with session(shared_url) as connection:
        yield connection


@pytest.mark.parametrize("before", TRANSITIONS)
def test_invalid_transition_rejected(app: Connection, before: str) -> None:
    """All 81 pairs: what is not listed is refused."""
    for after in TRANSITIONS:
        lead = add(app, "leads", status=before)
        state = sqlstate(app, "UPDATE crm.leads SET status = %s WHERE id = %s", after, lead)
        assert (state == "accepted") == (after == before or after in TRANSITIONS[before].split()), after
        assert state in {"accepted", "23514"}


def test_a_wrong_transition_says_what_may_come(app: Connection) -> None:
    lead = add(app, "leads", status="won")
    with pytest.raises(psycopg.errors.CheckViolation) as raised:
        app.execute("UPDATE crm.leads SET status = 'new' WHERE id = %s", [lead])
    assert str(lead) in str(raised.value)
    assert "from won to new" in str(raised.value)
    assert raised.value.diag.message_hint == "After won may come: lost."


def history(connection: Connection, lead: Any) -> list[Any]:
    return connection.execute(
        "SELECT from_status, to_status, triggered_by, changed_by::text, time_in_previous FROM crm.lead_status_history"
        " WHERE lead_id = %s ORDER BY created_at",
        [lead],
    ).fetchall()


def test_status_change_writes_history(app: Connection) -> None:
    """Exactly one row, right from and to, the time in the stage; nothing when the status stays."""
    lead = add(app, "leads", status_changed_at="2025-01-01T00:00:00Z")
    assert history(app, lead) == [(None, "new", "user", USER, None)]
    app.execute("UPDATE crm.leads SET status = 'contacted' WHERE id = %s", [lead])
    app.execute("RESET ROLE")  # the application may not even try
    app.execute("UPDATE crm.leads SET status = 'contacted', status_changed_at = '1999-01-01' WHERE id = %s", [lead])
    app.execute("SELECT set_config('app.triggered_by', 'import', true), set_config('app.user_id', '', true)")
    app.execute("UPDATE crm.leads SET status = 'qualified', status_changed_at = '1999-01-01' WHERE id = %s", [lead])
    _, first, second = history(app, lead)
    assert first[:4] == ("new", "contacted", "user", USER)
    expected = one(app, "SELECT clock_timestamp() - timestamptz '2025-01-01T00:00:00Z'")
    assert abs(first[4] - expected) < timedelta(minutes=1)
    assert second[:4] == ("contacted", "qualified", "import", None)
    assert timedelta(0) < second[4] < timedelta(minutes=1)


def test_many_leads_in_one_statement(app: Connection) -> None:
    leads = [add(app, "leads") for _ in range(3)]
    app.execute("UPDATE crm.leads SET status = 'contacted' WHERE id = ANY (%s)", [leads])
    assert [len(history(app, lead)) for lead in leads] == [2, 2, 2]


def audit(connection: Connection, lead: Any) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    rows = connection.execute(
        "SELECT action, field_name, old_value, new_value FROM crm.lead_audit_log WHERE lead_id = %s", [lead]
    ).fetchall()
    assert len(rows) == len({row[:2] for row in rows})
    return {(action, field): (old, new) for action, field, old, new in rows}


def test_audit_field_level(app: Connection) -> None:
    """A row per field, with who and from where, for creation, change and deletion."""
    lead = add(app, "leads", first_name="Ada", tags=["hot"])
    created = audit(app, lead)
    assert created["create", "first_name"] == (None, "Ada")
    assert created["create", "tags"] == (None, '["hot"]')
    assert ("create", "last_name") not in created
    app.execute("UPDATE crm.leads SET first_name = NULL, email = 'a@example.com', lead_score = 0 WHERE id = %s", [lead])
    changed = {key: value for key, value in audit(app, lead).items() if key[0] == "update"}
    assert changed == {("update", "first_name"): ("Ada", None), ("update", "email"): (None, "a@example.com")}
    app.execute("RESET ROLE")
    app.execute("DELETE FROM crm.leads WHERE id = %s", [lead])
    assert audit(app, lead)["delete", "email"] == ("a@example.com", None)
    who = app.execute(
        "SELECT DISTINCT changed_by::text, host(ip_address) FROM crm.lead_audit_log WHERE lead_id = %s", [lead]
    )
    assert who.fetchall() == [(USER, "192.0.2.7")]


def test_an_upsert_is_audited_as_what_it_does(app: Connection) -> None:
    for name in ("Ada", "Eve"):
        app.execute(
            "INSERT INTO crm.leads (organization_id, phone, first_name) VALUES (%s, '+12065550142', %s)"
            " ON CONFLICT (organization_id, phone) WHERE deleted_at IS NULL"
            " DO UPDATE SET first_name = excluded.first_name",
            [A, name],
        )
    lead = one(app, "SELECT id FROM crm.leads WHERE phone = '+12065550142'")
    assert audit(app, lead)["update", "first_name"] == ("Ada", "Eve")
    assert audit(app, lead)["create", "first_name"] == (None, "Ada")


def test_the_application_does_not_write_the_logs(app: Connection) -> None:
    for table in ("lead_audit_log", "lead_status_history", "lead_assignments"):
        for statement in ("INSERT INTO crm.{} DEFAULT VALUES", "UPDATE crm.{} SET id = id", "DELETE FROM crm.{}"):
            assert sqlstate(app, statement.format(table)) == "42501"


def test_score_factors_sum(app: Connection) -> None:
    """Of leads of every kind, with the default weights and with others."""
    leads = [
        add(app, "leads", status=status, source=source, phone=phone, email=email, status_changed_at=when,
            consent='[{"channel": "sms", "at": "2025-01-01", "source": "x", "text_version": "x"}]' if email else "[]")
        for number, status in enumerate(TRANSITIONS)
        for source, phone, email, when in (
            (None, None, None, "2020-01-01"), ("referral", f"+120655502{number:02}", "a@example.com", "now"),
        )
    ]  # fmt: skip
    for weights in (None, '{"reachable": 33.3, "stage": 66.7}', '{"source": 100}', "{}"):
        if weights:
            app.execute(
                "INSERT INTO crm.system_config AS c (organization_id, key, value) VALUES (%s, 'scoring.weights', %s)"
                " ON CONFLICT (organization_id, key) DO UPDATE SET value = excluded.value", [A, weights]
            )  # fmt: skip
        for lead in leads:
            score = one(app, "SELECT crm.calculate_lead_score(%s)", lead)
            assert 0 <= score <= 100
            query = "SELECT lead_score, lead_score_factors FROM crm.leads WHERE id = %s"
            ((stored, factors),) = app.execute(query, [lead]).fetchall()
            assert stored == score == sum(factors.values())
    assert one(app, "SELECT count(*) FROM crm.lead_score_history WHERE lead_id = ANY (%s)", leads) == 4 * len(leads)
    assert one(app, "SELECT count(*) FROM crm.lead_score_history WHERE score <>"
               " (SELECT coalesce(sum(v::int), 0) FROM jsonb_each_text(factors) AS f (k, v))") == 0  # fmt: skip


@pytest.mark.parametrize("weights", ['{"source": 101}', '{"source": -1}', '{"luck": 5}', "[]", '{"source": "5"}'])
def test_wrong_weights_are_refused(app: Connection, weights: str) -> None:
    lead = add(app, "leads")
    add(app, "system_config", key="scoring.weights", value=weights)
    assert sqlstate(app, "SELECT crm.calculate_lead_score(%s)", lead) == "23514"


def test_a_better_lead_scores_higher(app: Connection) -> None:
    add(app, "system_config", key="scoring.sources", value='{"referral": 1, "spam": 0}')
    poor = add(app, "leads", source="spam", status="lost", status_changed_at="2020-01-01")
    good = add(
        app, "leads", source="referral", status="won", phone="+12065550143", email="a@example.com", last_name="x"
    )
    assert one(app, "SELECT crm.calculate_lead_score(%s)", poor) == 0
    assert one(app, "SELECT crm.calculate_lead_score(%s)", good) == 90


@pytest.fixture
def sequence(app: Connection) -> Any:
    steps = [{"channel": "sms"}, {"channel": "email", "delay_minutes": 60}, {"channel": "call"}]
    return add(app, "nurture_sequences", steps=json.dumps(steps))


def advance(connection: Connection, enrollment: Any, done: int | None = None) -> Any:
    row = connection.execute("SELECT * FROM crm.advance_enrollment(%s, %s)", [enrollment, done]).fetchone()
    assert row is not None
    return row


def enroll(connection: Connection, lead: Any, sequence: Any) -> Any:
    return one(connection, "SELECT crm.enroll_lead(%s, %s)", lead, sequence)


def due(connection: Connection, enrollment: Any) -> None:
    connection.execute("UPDATE crm.lead_sequence_enrollments SET next_run_at = now() WHERE id = %s", [enrollment])


def test_a_sequence_from_its_first_step_to_its_last(app: Connection, sequence: Any) -> None:
    enrollment = enroll(app, add(app, "leads", phone="+12065550144", consent=CONSENT), sequence)
    state, step, action, key, _ = advance(app, enrollment)
    assert (state, step, action, key) == ("run", 0, {"channel": "sms"}, f"{enrollment}:0")
    assert advance(app, enrollment, 0)[:2] == ("wait", 1)
    wait = one(app, "SELECT next_run_at - now() FROM crm.lead_sequence_enrollments WHERE id = %s", enrollment)
    assert wait == timedelta(hours=1)
    due(app, enrollment)
    assert advance(app, enrollment)[:2] == ("run", 1)
    assert advance(app, enrollment, 1)[:2] == ("run", 2)
    assert advance(app, enrollment, 2)[:2] == ("completed", 3)
    assert advance(app, enrollment)[:2] == ("completed", 3)
    log = one(app, "SELECT execution_log FROM crm.lead_sequence_enrollments WHERE id = %s", enrollment)
    assert [(entry["step"], entry["event"]) for entry in log] == [
        (0, "handed_out"), (0, "done"), (1, "handed_out"), (1, "done"), (2, "handed_out"), (2, "done"),
    ]  # fmt: skip


def test_a_step_is_recorded_once_after_a_crash(app: Connection, sequence: Any) -> None:
    """A worker dies before it acted, after it acted, and after it reported."""
    enrollment = enroll(app, add(app, "leads", phone="+12065550145", consent=CONSENT), sequence)
    first = advance(app, enrollment)
    assert advance(app, enrollment)[0] == "wait", "another worker does not get it meanwhile"
    due(app, enrollment)  # the lease ends
    again = advance(app, enrollment)
    assert again == first, "the same step, with the same key"
    advance(app, enrollment, 0)
    reported_twice = advance(app, enrollment, 0)
    assert reported_twice[:2] == ("wait", 1)
    assert sqlstate(app, "SELECT crm.advance_enrollment(%s, 2)", enrollment) == "23514"
    log = one(app, "SELECT execution_log FROM crm.lead_sequence_enrollments WHERE id = %s", enrollment)
    assert [entry["step"] for entry in log if entry["event"] == "done"] == [0]


def test_workers_at_a_time_get_a_step_once(shared_url: str) -> None:
    """Eight connections enroll the same lead, ask for its step and report it."""
    with session(shared_url, keep=True) as connection:
        lead = add(connection, "leads", consent=CONSENT)
        sequence = add(connection, "nurture_sequences", name="for eight", steps='[{"channel": "email"}]')
    start = threading.Barrier(8)
    enrolled: list[Any] = []
    states: list[Any] = []
    reports: list[Any] = []

    def work() -> None:
        start.wait(30)
        with session(shared_url, keep=True) as connection:
            enrolled.append(enroll(connection, lead, sequence))
        start.wait(30)
        with session(shared_url, keep=True) as connection:
            states.append(advance(connection, enrolled[0])[0])
        start.wait(30)
        with session(shared_url, keep=True) as connection:
            reports.append(advance(connection, enrolled[0], 0)[0])

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(set(enrolled)) == 1
    assert len(enrolled) == 8
    assert Counter(states) == {"run": 1, "wait": 7}
    assert reports == ["completed"] * 8
    with session(shared_url) as connection:
        log = one(connection, "SELECT execution_log FROM crm.lead_sequence_enrollments WHERE id = %s", enrolled[0])
        assert [entry["event"] for entry in log] == ["handed_out", "done"]


def test_sequence_skips_dnc(app: Connection, sequence: Any) -> None:
    """It is neither enrolled nor contacted, whenever the number was listed; what was done before stays recorded."""
    phone = "+12065550146"
    lead = add(app, "leads", phone=phone, consent=CONSENT)
    enrollment = enroll(app, lead, sequence)
    assert advance(app, enrollment)[0] == "run"
    add(app, "dnc_list", phone=phone)
    state, step, action, key, reason = advance(app, enrollment, 0)
    assert (state, step, action, key, reason) == ("stopped", 1, None, None, "dnc")
    log = one(app, "SELECT execution_log FROM crm.lead_sequence_enrollments WHERE id = %s", enrollment)
    assert [entry["event"] for entry in log] == ["handed_out", "done", "stopped"]
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", lead, sequence) == "23514"
    mail = add(app, "nurture_sequences", name="mail", steps='[{"channel": "email"}]')
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", lead, mail) == "23514"


def test_a_lead_without_a_phone_is_written_to_and_not_called(app: Connection, sequence: Any) -> None:
    lead = add(app, "leads", email="a@example.com", consent=CONSENT)
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", lead, sequence) == "23514"
    mail = add(app, "nurture_sequences", name="mail", steps='[{"channel": "email"}]')
    assert advance(app, enroll(app, lead, mail))[0] == "run"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'lost'", "lost"),
        ("deleted_at = now()", "deleted"),
        ("phone = NULL", "dnc"),
        ("consent = '[]'", "consent"),
        ("consent = consent - 1", "consent"),
        ("consent = jsonb_set(consent, '{1,revoked_at}', '\"2025-02-01\"')", "consent"),
    ],
)
def test_a_sequence_stops_when_the_lead_is_out(app: Connection, sequence: Any, change: str, reason: str) -> None:
    lead = add(app, "leads", phone="+12065550147", consent=CONSENT)
    enrollment = enroll(app, lead, sequence)
    app.execute(f"UPDATE crm.leads SET {change} WHERE id = %s", [lead])
    assert (advance(app, enrollment)[0], advance(app, enrollment)[4]) == ("stopped", reason)


@pytest.mark.parametrize("channel", ["sms", "call", "voicemail", "email"])
def test_a_step_without_consent_for_its_channel_is_not_handed_out(app: Connection, channel: str) -> None:
    def consent(*channels: str) -> str:
        return json.dumps(
            [{"channel": one_, "at": "2025-01-01", "source": "x", "text_version": "1"} for one_ in channels]
        )

    sequence = add(app, "nurture_sequences", name="one step", steps=json.dumps([{"channel": channel}]))
    wrong = consent(*{"sms", "call", "email"} - {channel, "call" if channel == "voicemail" else ""})
    lead = add(app, "leads", phone="+12065550160", consent=wrong)
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", lead, sequence) == "23514"
    # Put there by hand, which a function cannot stop: the step is not handed out all the same.
    enrollment = add(app, "lead_sequence_enrollments", lead_id=lead, sequence_id=sequence, next_run_at="2025-01-01")
    assert (advance(app, enrollment)[::2][:2], advance(app, enrollment)[4]) == (("stopped", None), "consent")
    app.execute("UPDATE crm.leads SET consent = %s WHERE id = %s", [consent(channel), lead])
    assert advance(app, enroll(app, lead, sequence))[0] == "run"


@pytest.mark.parametrize("channel", ["mail", "task"])
def test_post_and_tasks_need_no_consent(app: Connection, channel: str) -> None:
    sequence = add(app, "nurture_sequences", name="one step", steps=json.dumps([{"channel": channel}]))
    assert advance(app, enroll(app, add(app, "leads"), sequence))[0] == "run"


def test_dnc_prevents_call_initiation_of_a_lead_that_is_listed_by_its_id(app: Connection) -> None:
    """Whatever its phone is now; and only for the channels of the entry."""
    lead = add(app, "leads", phone="+12065550161", email="a@example.com", consent=CONSENT)
    add(app, "dnc_list", phone="+12065550161", lead_id=lead)
    only_calls = add(app, "leads", phone="+12065550162", email="b@example.com", consent=CONSENT)
    add(app, "dnc_list", phone=None, lead_id=only_calls, channels=["call"])
    app.execute("UPDATE crm.leads SET phone = NULL WHERE id = %s", [lead])
    mail = add(app, "nurture_sequences", name="mail", steps='[{"channel": "email"}]')
    call = add(app, "nurture_sequences", name="call", steps='[{"channel": "call"}]')
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", lead, mail) == "23514"
    enrollment = add(app, "lead_sequence_enrollments", lead_id=lead, sequence_id=mail, next_run_at="2025-01-01")
    assert (advance(app, enrollment)[0], advance(app, enrollment)[4]) == ("stopped", "dnc")
    assert advance(app, enroll(app, only_calls, mail))[0] == "run"
    assert sqlstate(app, "SELECT crm.enroll_lead(%s, %s)", only_calls, call) == "23514"


def test_a_paused_enrollment_waits_and_counts_as_the_active_one(app: Connection, sequence: Any) -> None:
    lead = add(app, "leads", phone="+12065550148", consent=CONSENT)
    enrollment = enroll(app, lead, sequence)
    app.execute("UPDATE crm.lead_sequence_enrollments SET status = 'paused' WHERE id = %s", [enrollment])
    assert advance(app, enrollment)[0] == "paused"
    assert enroll(app, lead, sequence) == enrollment
    app.execute("UPDATE crm.lead_sequence_enrollments SET status = 'active' WHERE id = %s", [enrollment])
    assert advance(app, enrollment)[0] == "run"


def test_an_inactive_sequence_waits(app: Connection, sequence: Any) -> None:
    enrollment = enroll(app, add(app, "leads", phone="+12065550149", consent=CONSENT), sequence)
    app.execute("UPDATE crm.nurture_sequences SET is_active = false")
    assert advance(app, enrollment)[0] == "wait"
    assert (
        sqlstate(
            app, "SELECT crm.enroll_lead(%s, %s)", add(app, "leads", phone="+12065550150", consent=CONSENT), sequence
        )
        == "23514"
    )


def configure(connection: Connection, **values: Any) -> None:
    for key, value in values.items():
        add(connection, "system_config", key=f"assignment.{key}", value=json.dumps(value))


def assign(connection: Connection, lead: Any, strategy: str) -> str:
    return str(one(connection, "SELECT crm.assign_lead(%s, %s)", lead, strategy))


def test_story_3_3_round_robin_goes_round(app: Connection) -> None:
    users = [USER, OTHER_USER, THIRD_USER]
    configure(app, users=users)
    leads = [add(app, "leads") for _ in range(7)]
    assert [assign(app, lead, "round_robin") for lead in leads] == [*users, *users, USER]
    rows = app.execute("SELECT lead_id, from_user_id, to_user_id::text, strategy, context FROM crm.lead_assignments"
                       " ORDER BY created_at").fetchall()  # fmt: skip
    assert [(row[0], row[1], row[2], row[3]) for row in rows[:2]] == [
        (leads[0], None, USER, "round_robin"), (leads[1], None, OTHER_USER, "round_robin"),
    ]  # fmt: skip
    assert rows[0][4] == {"candidates": 3, "open_leads": 0, "position": 1}


def test_story_3_3_by_load_the_least_busy_gets_it(app: Connection) -> None:
    configure(app, users=[USER, OTHER_USER], max_open_leads=3)
    for owner, status in (
        (USER, "new"),
        (USER, "contacted"),
        (OTHER_USER, "new"),
        (OTHER_USER, "won"),
        (OTHER_USER, "lost"),
    ):
        add(app, "leads", owner_id=owner, status=status)
    assert [assign(app, add(app, "leads"), "load") for _ in range(3)] == [OTHER_USER, USER, OTHER_USER]
    with pytest.raises(psycopg.errors.NoDataFound, match="there is no candidate"):
        assign(app, add(app, "leads"), "load")


def test_story_3_3_by_territory_division_or_postal_code_decides(app: Connection) -> None:
    configure(app, territories=[
        {"divisions": ["north"], "users": [USER]},
        {"postal_prefixes": ["984", "985"], "users": [OTHER_USER, THIRD_USER]},
    ])  # fmt: skip
    assert assign(app, add(app, "leads", division="north", postal_code="98401"), "territory") == USER
    chosen = [assign(app, add(app, "leads", postal_code="98501"), "territory") for _ in range(2)]
    assert chosen == [OTHER_USER, THIRD_USER]
    for place in ({}, {"division": "east"}, {"postal_code": "10001"}):
        with pytest.raises(psycopg.errors.NoDataFound), app.transaction():
            assign(app, add(app, "leads", **place), "territory")


def test_story_3_3_a_change_of_owner_by_hand_is_an_assignment_too(app: Connection) -> None:
    configure(app, users=[USER])
    lead = add(app, "leads", owner_id=OTHER_USER)
    assign(app, lead, "round_robin")
    app.execute("UPDATE crm.leads SET owner_id = %s WHERE id = %s", [THIRD_USER, lead])
    rows = app.execute("SELECT from_user_id::text, to_user_id::text, strategy FROM crm.lead_assignments"
                       " WHERE lead_id = %s ORDER BY created_at", [lead]).fetchall()  # fmt: skip
    assert rows == [(None, OTHER_USER, "manual"), (OTHER_USER, USER, "round_robin"), (USER, THIRD_USER, "manual")]


@pytest.mark.parametrize("strategy", ["round_robin", "load"])
def test_assignments_at_a_time_are_fair(database_url: str, strategy: str) -> None:
    """Twelve connections with five leads each; every user gets the same number, and no lead goes twice."""
    users = [USER, OTHER_USER, THIRD_USER]
    with session(database_url, keep=True) as connection:
        configure(connection, users=users)
        leads = [add(connection, "leads") for _ in range(60)]
    start = threading.Barrier(12)
    failed: list[BaseException] = []

    def work(own: list[Any]) -> None:
        try:
            start.wait(30)
            for lead in own:
                with session(database_url, keep=True) as connection:
                    assign(connection, lead, strategy)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=[leads[number::12]]) for number in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failed == []
    with session(database_url) as connection:
        rows = connection.execute("SELECT owner_id::text, count(*) FROM crm.leads GROUP BY 1").fetchall()
        assert dict(rows) == dict.fromkeys(users, 20)
        assert one(connection, "SELECT count(*) FROM crm.lead_assignments") == 60


@pytest.mark.parametrize("call", ["assign_lead({})", "calculate_lead_score({})", "enroll_lead({}, {})",
                                  "advance_enrollment({})", "assign_lead({}, 'whim')"])  # fmt: skip
def test_what_is_not_there_is_named(app: Connection, call: str) -> None:
    missing = f"'{uuid.uuid4()}'"
    state = sqlstate(app, f"SELECT crm.{call.format(missing, missing)}")
    assert state == ("23514" if "whim" in call else "P0002")


def test_the_funnel_adds_up_to_the_history(app: Connection) -> None:
    """Entries and leads of each status are those of the history, and a span without changes has none."""
    for status in ("contacted", "qualified", "lost"):
        lead = add(app, "leads")
        app.execute("UPDATE crm.leads SET status = %s WHERE id = %s", [status, lead])
    app.execute("UPDATE crm.leads SET status = 'contacted' WHERE status = 'lost'")
    rows = app.execute("SELECT status, entries, leads FROM crm.funnel(now() - interval '1 day', 'infinity')").fetchall()
    grouped = app.execute("SELECT to_status, count(*), count(DISTINCT lead_id) FROM crm.lead_status_history GROUP BY 1")
    assert sorted(rows) == sorted(grouped.fetchall())
    assert [row[0] for row in rows] == ["new", "contacted", "qualified", "lost"]
    assert app.execute("SELECT * FROM crm.funnel('2020-01-01', '2020-02-01')").fetchall() == []


def test_the_funnel_of_the_last_days_has_no_lead_of_long_ago(app: Connection) -> None:
    """However late it was loaded; and a status that began tomorrow has begun, or its changes would come before it."""
    asked = "SELECT coalesce(sum(entries) FILTER (WHERE status = 'won'), 0) FROM crm.funnel({})"
    before = one(app, asked.format(""))
    old = add(app, "leads", status="won", status_changed_at="2020-01-05", created_at="2020-01-01")
    assert one(app, asked.format("")) == before
    assert one(app, asked.format("'2020-01-05', '2020-01-06'")) == 1
    tomorrow = add(app, "leads", status_changed_at=one(app, "SELECT now() + interval '1 day'"))
    app.execute("UPDATE crm.leads SET status = 'contacted' WHERE id = %s", [tomorrow])
    assert [row[1] for row in history(app, tomorrow)] == ["new", "contacted"]
    app.execute("UPDATE crm.leads SET status = 'lost' WHERE id = %s", [old])
    assert [row[1] for row in history(app, old)] == ["won", "lost"]


def test_the_return_of_each_source(app: Connection) -> None:
    """Spend equals the costs; a source without costs has no return, one without leads has its costs."""
    for source, status, value, month in (
        ("google", "won", 500, "2025-01-31T23:59:59Z"), ("google", "new", 900, "2025-02-28T23:59:59Z"),
        ("google", "won", 900, "2025-03-01T00:00:00Z"), (None, "won", 7, "2025-01-05T00:00:00Z"),
    ):  # fmt: skip
        add(app, "leads", source=source, status=status, value_usd=value, created_at=month)
    add(app, "leads", source="google", status="won", value_usd=1, created_at="2025-01-05", deleted_at="2025-01-06")
    add(app, "lead_source_costs", month="2025-01-01", amount=100)
    add(app, "lead_source_costs", month="2025-02-01", amount=100, currency="EUR", fx_rate_to_usd=1.5)
    add(app, "lead_source_costs", month="2025-03-01", amount=1000)
    add(app, "lead_source_costs", source="radio", month="2025-02-01", amount=40)
    rows = app.execute("SELECT * FROM crm.source_roi('2025-01-01', '2025-02-01')").fetchall()
    assert [[None if value is None else str(value) for value in row] for row in rows] == [
        ["google", "250.00", "2", "1", "500.00", "125.00", "250.00", "1.0000"],
        ["radio", "40.00", "0", "0", "0", None, None, "-1.0000"],
        [None, "0", "1", "1", "7.00", None, None, None],
    ]
    # Erased, a won lead brings what it brought; one that was deleted before stays out.
    for lead in app.execute("SELECT id FROM crm.leads WHERE source = 'google'").fetchall():
        app.execute("SELECT crm.erase_lead(%s)", lead)
    assert app.execute("SELECT * FROM crm.source_roi('2025-01-01', '2025-02-01')").fetchall() == rows
    spent = one(app, "SELECT sum(amount_usd) FROM crm.lead_source_costs")
    assert one(app, "SELECT sum(spend_usd) FROM crm.source_roi()") == spent
    app.execute("SELECT set_config('app.organization_id', %s, true)", [B])
    assert app.execute("SELECT * FROM crm.source_roi()").fetchall() == []


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_no_step_is_handed_out_on_an_older_view_of_the_list(shared_url: str, isolation: str) -> None:
    """Such a transaction would not see who was put on the do-not-call list since it began."""
    with session(shared_url) as connection:
        lead = add(connection, "leads", phone="+12065550199", consent=CONSENT)
        sequence = add(connection, "nurture_sequences", steps='[{"channel": "sms"}]')
        enrollment = one(connection, "SELECT crm.enroll_lead(%s, %s)", lead, sequence)
        assert one(connection, "SELECT state FROM crm.advance_enrollment(%s)", enrollment) == "run"
    with psycopg.connect(shared_url) as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        assert sqlstate(connection, "SELECT * FROM crm.advance_enrollment(%s)", enrollment) == "25000"
