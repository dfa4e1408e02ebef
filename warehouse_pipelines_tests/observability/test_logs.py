"""The shapes of S2, the JSON form, and that nothing secret or personal gets through."""

import io
import json
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from warehouse_pipelines.observability import logs, redaction

EMAIL, PHONE, NAME = "wilhelmina.planted@example.org", "+1 (555) 010-7788", "Wilhelmina Planted"
TOKEN = "planted-token-5f1c2ab9"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    made = logs.configure("json", logging.DEBUG, stream)
    yield stream
    logging.getLogger().removeHandler(made)


def only(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    loaded = json.loads(line)
    assert isinstance(loaded, dict)
    return loaded


def test_log_shape_validation(lines: io.StringIO) -> None:
    logs.validation_warning("email", EMAIL, "17", f"not an e-mail address: {EMAIL}", personal=True)
    line = only(lines)
    assert re.fullmatch(
        r"Validation warning for field 'email' with value '\*\*\*' \(Record: id=17\): not an e-mail address: .+",
        str(line["message"]),
    )
    assert line["level"] == "WARNING"
    assert line["stream"] == "sync"
    assert line["record_id"] == "17"
    assert EMAIL not in lines.getvalue()


def test_log_shape_parse(lines: io.StringIO) -> None:
    logs.parse_failure("datetime", "2025-13-45T00:00", "closedate", "hubspot", "17", personal=False)
    assert only(lines)["message"] == (
        "Failed to parse datetime value: '2025-13-45T00:00' in field 'closedate' for hubspot 17"
    )


def test_log_shape_start(lines: io.StringIO) -> None:
    logs.started("hubspot", "contacts", 1200, {"full": True})
    line = only(lines)
    assert line["message"] == "Starting hubspot contacts sync with 1200 records"
    assert line["configuration"] == {"full": True}


def test_asking_comes_before_the_start(lines: io.StringIO) -> None:
    logs.asking("hubspot", "contacts", "HubSpot", {"full": True}, strategy="full", since="None")
    line = only(lines)
    assert (line["message"], line["strategy"]) == ("hubspot contacts: asking HubSpot", "full")


def test_log_shape_done(lines: io.StringIO) -> None:
    logs.completed("hubspot", "contacts", 3, 2, 1, status="partial")
    line = only(lines)
    assert line["message"] == "Completed hubspot contacts sync: 3 created, 2 updated, 1 failed"
    assert line["status"] == "partial"


def test_log_error_extras(lines: io.StringIO) -> None:
    record = {"id": "17", "email": EMAIL, "phone": PHONE, "firstname": NAME}
    logs.record_error(
        "hubspot",
        "contacts",
        "17",
        ValueError(f"bad {EMAIL}"),
        record=record,
        configuration={"full": True},
        context="page 3",
    )
    line = only(lines)
    assert (line["crm_source"], line["sync_type"], line["error_type"]) == ("hubspot", "contacts", "ValueError")
    assert line["configuration"] == {"full": True}
    assert line["record_id"] == "17"
    assert "email: ***" in str(line["message"])
    assert str(line["message"]).endswith("Context: page 3")


def test_a_failed_run_carries_the_same_extras(lines: io.StringIO) -> None:
    logs.sync_failed("hubspot", "contacts", RuntimeError("boom"), {"full": False})
    line = only(lines)
    assert line["message"] == "Sync failed for hubspot contacts: boom"
    assert line["error_type"] == "RuntimeError"


def test_no_planted_pii_in_logs(lines: io.StringIO) -> None:
    """Every shape keeps its form and loses the person."""
    record = json.dumps({"id": "1", "email": EMAIL, "phone": PHONE, "name": NAME}).encode()
    for field, kind, value in (
        ("email", "email", EMAIL),
        ("mobile", "phone", PHONE),
        ("first_name", "text", NAME),
    ):
        personal = redaction.is_personal(field, kind)
        logs.validation_warning(field, value, "1", f"{value!r} is not a {kind}", personal)
        logs.parse_failure(kind, value, field, "hubspot", "1", personal=personal)
    logs.parse_failure("integer", PHONE, "amount", "hubspot", "1", personal=False)
    logs.parse_failure("integer", f"ask {EMAIL}", "amount", "hubspot", "1", personal=False)
    logs.record_error("hubspot", "contacts", "1", f"bad value {EMAIL}, {PHONE}", record=record)
    logs.record_error("hubspot", "contacts", "1", "broken", record=b'{"email": "' + EMAIL.encode())
    text = lines.getvalue()
    assert len(text.splitlines()) == 10
    for planted in (EMAIL, PHONE, NAME):
        assert planted not in text


class Settings(BaseSettings, env_prefix="PLANTED_"):
    api_key: SecretStr = SecretStr(TOKEN)
    database_url: SecretStr = SecretStr("mysql+pymysql://root:planted-password@db/x")
    base_url: str = "https://example.org"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "leak",
    [
        TOKEN,
        f"Authorization: Bearer {TOKEN}",
        "the password is planted-password",
        "Bearer abcdefabcdef0123456789",
        'Token token="abcdefabcdef0123456789"',
        "pat-na1-abcdefabcdef0123456789",
        "postgresql://root:abcdefabcdef0123456789@db/x",
    ],
)
def test_a_secret_never_reaches_a_line(form: logs.Format, leak: str) -> None:
    """Through the message, an argument, an extra and an exception, from our loggers and from any other."""
    redaction.hide_settings(Settings())
    stream = io.StringIO()
    made = logs.configure(form, logging.DEBUG, stream)
    try:
        for logger in (logs.ingestion, logs.sync, logs.general, logging.getLogger("some.library")):
            logger.error("saw %s", leak, extra={"seen": {"deep": [leak]}})
            logger.error(f"saw {leak}")
            try:
                raise ValueError(leak)
            except ValueError:
                logger.exception("failed")
    finally:
        logging.getLogger().removeHandler(made)
    text = stream.getvalue()
    assert text.count("saw ") == 8
    for secret in (TOKEN, "planted-password", "abcdefabcdef0123456789"):
        assert secret not in text


def test_handlers_of_others_get_the_redacted_record() -> None:
    """Dagster's handler prints our records with its own formatter."""
    redaction.hide([TOKEN])
    seen: list[str] = []

    class Foreign(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    foreign = Foreign()
    logs.sync.addHandler(foreign)
    try:
        logs.sync.error("saw %s", TOKEN)
    finally:
        logs.sync.removeHandler(foreign)
    assert seen == ["saw ***"]


def test_a_handler_that_rewrites_the_message_does_not_change_our_line(lines: io.StringIO) -> None:
    """Dagster's writes the names of its run and step into it, and they come before ours."""

    class Rewriting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            record.msg, record.__dict__["dagster_meta"] = f"run - step - {record.msg}", object()

    rewriting = Rewriting()
    logs.sync.addHandler(rewriting)
    try:
        logs.sync.info("as said", extra={"sync_type": "contacts"})
    finally:
        logs.sync.removeHandler(rewriting)
    line = only(lines)
    assert line["message"] == "as said"
    assert line["sync_type"] == "contacts"
    assert "dagster_meta" not in line


def test_the_bar_is_told_of_every_step() -> None:
    told: list[object] = []
    logs.progress_listeners.append(lambda *step: told.append(step))
    try:
        logs.started("hubspot", "contacts", None)
        logs.progress("hubspot", "contacts", 100, 500)
    finally:
        logs.progress_listeners.clear()
    assert told == [("hubspot", "contacts", 0, None), ("hubspot", "contacts", 100, 500)]


def test_httpx_does_not_log_addresses() -> None:
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.DEBUG)


def test_progress_is_told_at_least_every_thirty_seconds(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is that of ``logs`` alone, and so is the CRM: what other threads do or say meanwhile is not counted."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    logs.started("clockwork", "contacts", None)
    told = []
    for _ in range(7):
        clock.now += 10
        told.append(logs.progress("clockwork", "contacts", int(clock.now), 5000))
    assert told == [False, False, True, False, False, True, False]
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    steps = [line for line in written if line.get("crm_source") == "clockwork" and "processed" in line]
    assert [line["level"] for line in steps] == ["INFO" if due else "DEBUG" for due in told]
    assert (steps[-1]["processed"], steps[-1]["estimated"]) == (1070, 5000)


def test_a_run_that_does_not_get_on_is_told_every_thirty_seconds_as_well(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    logs.started("clockwork", "leads", None)
    for _ in range(700):
        clock.now += 0.1
        logs.reading("clockwork", "leads", 0, None, 12)
    told = [line for line in map(json.loads, lines.getvalue().splitlines()) if "requests" in line]
    assert [line["message"] for line in told] == [
        "clockwork leads: still reading, 12 requests; 0 of an unknown number of records so far"
    ] * 2


def test_a_flood_of_bad_records_does_not_flood_the_log(lines: io.StringIO) -> None:
    logs.started("hubspot", "contacts", None)
    for n in range(1000):
        logs.parse_failure("number", "x", "amount", "hubspot", n, personal=False, sync_type="contacts")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert sum(line["level"] == "WARNING" for line in told) == logs.LINES_PER_RUN + 1
    assert sum("more records have problems" in line["message"] for line in told) == 1


def test_the_plan_of_a_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    made = logs.configure("text")
    try:
        logs.started("hubspot", "contacts", 5, strategy="full", since=None)
    finally:
        logging.getLogger().removeHandler(made)
    assert capsys.readouterr().err.endswith("contacts sync with 5 records strategy=full since=None\n")


def test_the_text_form_names_level_and_stream() -> None:
    stream = io.StringIO()
    made = logs.configure("text", logging.INFO, stream)
    try:
        logs.ingestion.warning("slow")
        logs.general.debug("not shown")
    finally:
        logging.getLogger().removeHandler(made)
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING ingestion: slow\n", stream.getvalue())


@pytest.mark.parametrize(
    ("field", "kind", "personal"),
    [
        ("customer_name", "text", True),
        ("anything", "phone", True),
        ("address_1", "text", True),
        ("amount", "numeric", False),
        ("closedate", "timestamptz", False),
        ("lead_status", "text", False),
        ("pipeline_name", "text", False),
    ],
)
def test_personal_columns_are_known(field: str, kind: str, personal: bool) -> None:
    assert redaction.is_personal(field, kind) is personal
