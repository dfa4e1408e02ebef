"""Nothing secret and nothing personal leaves the tables: logs, errors, history, what Dagster is told."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.orchestration.asset_facts import metadata
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

TOKEN = "planted-token-4e1f9a77c0"
EMAIL = "planted.person@private.example"
PHONE = "937-555-0173"
PHONES = ("9375550173", "937-555-0173", "555-0173")
NAME = "Zebedee Plantedname"
PLANTED = (TOKEN, "planted.person", *PHONES, "Zebedee", "Plantedname")

OpenHarness = Callable[[str], SourceHarness]


@pytest.fixture
def open_harness(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenHarness]:
    with ExitStack() as stack:
        yield lambda table: stack.enter_context(source_harness(table, database_url, monkeypatch, token=TOKEN))


def plant(it: SourceHarness) -> None:
    """Put a person into the newest records, good values and such as draw a warning."""
    if it.source.name == "hubspot":
        person = {"firstname": "Zebedee", "lastname": "Plantedname", "email": EMAIL, "phone": PHONE, "city": NAME}
        it.simulator.control("create", object="contacts", properties=person)
        bad = {"email": f"{EMAIL} and more", "phone": f"{PHONE} call {NAME}", "lead_cost": EMAIL, "lead_id": PHONE}
        it.simulator.control("create", object="contacts", properties={**person, **bad})
        letter = {**person, "lead_dead_on": f"not a date {EMAIL}"}
        it.simulator.control("create", object="contacts", properties=letter)
    elif it.source.name == "five9":
        person = {"first_name": "Zebedee", "last_name": "Plantedname", "email": EMAIL, "number1": PHONE, "city": NAME}
        it.simulator.control("create", fields=person)
        it.simulator.control("create", fields={**person, "number1": f"{PHONE} call {NAME}", "attempts": PHONE})
        it.simulator.control("create", fields={**person, "contactID": None, "sys_created_date": f"not a date {EMAIL}"})
    else:
        person = {
            "customer_name": NAME,
            "customer_phone_number": PHONE,
            "note": f"{NAME} {EMAIL}",
            "agent_email": EMAIL,
        }
        it.simulator.control("add_call", **person)
        it.simulator.control("add_call", **{**person, "value": f"{EMAIL}", "duration": PHONE, "direction": NAME})
        it.simulator.control("add_call", **{**person, "answered": f"{NAME} {PHONE}"})


@pytest.mark.parametrize("table", ["hubspot_contact", "callrail_call", "five9_contact"])
def test_no_planted_pii_in_logs(
    open_harness: OpenHarness, table: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every stream at DEBUG, extras included; the dead letters and the table are the only places that know."""
    it = open_harness(table)
    plant(it)
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        it.driver.corrupt(it.entity, "missing_id")
        results = [it.sync(debug=True), it.sync(full=True, force=True, skip_validation=True)]
        for kind, more in (("unauthorized", {}), ("missing_list", {}), ("status", {"status": 400})):
            it.simulator.set_fault(kind, **more)
            with pytest.raises(WarehouseError) as caught:
                it.sync(full=True)
            said += [str(caught.value), repr(caught.value)]
            it.simulator.clear_faults()
    assert any(result.failed for result in results), "a dead letter was written and logged"
    assert any(result.metrics["values_lost"] for result in results), "a value was lost and logged"
    assert caplog.records
    said += [json.dumps(record.__dict__, default=str) + record.getMessage() for record in caplog.records]
    said += [*capfd.readouterr()]
    said += [json.dumps(row, default=str) for row in it.history()]
    for result in results:
        said += [str(metadata(result)), json.dumps(result.sample, default=str)]
    said += [str(letter["error_message"]) for letter in it.query("SELECT error_message FROM orchestration.dead_letter")]
    for text in said:
        found = [planted for planted in PLANTED if planted in text]
        assert not found, f"{found} in {text[:2000]}"
    assert any("Zebedee" in json.dumps(row, default=str) for row in it.rows().values()), "it was planted"


def test_what_postgresql_says_of_a_value_is_masked(open_harness: OpenHarness) -> None:
    """Its messages quote what it refuses."""
    it = open_harness("hubspot_contact")
    long = EMAIL + "".join(chr(33 + (n * n * 7919 + n // 13) % 90) for n in range(9000))
    it.simulator.control("create", object="contacts", properties={"division": long, "firstname": "Zebedee"})
    result = it.sync()
    for letter in it.dead_letters():
        assert EMAIL not in letter["error_message"]
    assert EMAIL not in json.dumps(it.history(), default=str)
    assert result.status in ("success", "partial")


def test_a_wrong_url_does_not_tell_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_pipelines.warehouse import connect

    with pytest.raises(WarehouseError) as caught:
        connect(f"postgresql://someone:{TOKEN}@127.0.0.1:1/warehouse")
    assert TOKEN not in f"{caught.value} {caught.value!r}"
