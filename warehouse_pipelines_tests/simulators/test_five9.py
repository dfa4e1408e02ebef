"""The simulated Five9 answers as the vendor notes say. Each test names the behaviour it checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.five9.simulator import Five9
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines_tests.harness.http_client import HttpClient

# A fixed present: nine in the morning in California.
NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class Client:
    """A started simulator and a client of its one domain."""

    def __init__(self, simulators: Simulators) -> None:
        self.five9 = simulators.of(Five9)
        self.auth = (self.five9.settings.username, self.five9.settings.token)
        self.http = HttpClient(base_url=self.five9.url, timeout=60)

    def post(self, operation: str, arguments: str = "", path: str = "v13", **how: Any) -> httpx.Response:
        body = (
            '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<ns:{operation} xmlns:ns="http://service.admin.ws.five9.com/">{arguments}</ns:{operation}>'
            "</soap:Body></soap:Envelope>"
        )
        how.setdefault("auth", self.auth)
        return self.http.post(f"/wsadmin/{path}/AdminWebService", params={"user": "x"}, content=body, **how)

    def ask(self, operation: str, arguments: str = "") -> ElementTree.Element:
        answer = self.post(operation, arguments)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        envelope = ElementTree.fromstring(answer.text)  # noqa: S314  (our own simulator's)
        (body,) = envelope.findall("{http://schemas.xmlsoap.org/soap/envelope/}Body")
        assert body[0].tag == f"{{http://service.admin.ws.five9.com/}}{operation}Response"
        return body[0]

    def look(self, **criteria: str) -> list[dict[str, str | None]]:
        return self.shown(*criteria.items())

    def shown(self, *criteria: tuple[str, str]) -> list[dict[str, str | None]]:
        asked = "".join(f"<criteria><field>{n}</field><value>{v}</value></criteria>" for n, v in criteria)
        answer = self.ask("getContactRecords", f"<lookupCriteria>{asked}</lookupCriteria>")
        names = [one.text or "" for one in answer.findall("return/fields")]
        found = []
        for record in answer.findall("return/records"):
            data = [None if one.get(NIL) == "true" else one.text for one in record.findall("values/data")]
            assert len(data) <= len(names)
            found.append(dict(zip(names, data + [None] * (len(names) - len(data)), strict=True)))
        return found

    def fault(self, operation: str, arguments: str = "") -> tuple[str, dict[str, str | None]]:
        answer = self.post(operation, arguments)
        assert answer.status_code == 500
        (detail,) = ElementTree.fromstring(answer.text).iter("detail")  # noqa: S314
        return detail[0].tag.partition("}")[2], {child.tag: child.text for child in detail[0]}


def begin(contacts: int, **settings: Any) -> Simulators:
    return start(["five9"], contacts=contacts, now=NOW.timestamp(), five9=settings)


@pytest.fixture(scope="module")
def shared_client() -> Iterator[Client]:
    """A domain that no test changes."""
    with begin(4000) as simulators:
        yield Client(simulators)


@pytest.fixture
def client() -> Iterator[Client]:
    with begin(300) as simulators:
        yield Client(simulators)


def test_every_request_needs_basic_credentials(shared_client: Client) -> None:
    for auth in (None, ("warehouse@example.test", "wrong"), ("someone", shared_client.auth[1])):
        answer = shared_client.post("getContactFields", auth=auth)
        assert answer.status_code == 401
        assert "Fault" not in answer.text
    assert shared_client.post("getContactFields", path="v1").status_code == 404
    assert shared_client.post("getContactFields", path="v9_5").status_code == 200


def test_fields_say_their_type_their_meaning_and_their_format(shared_client: Client) -> None:
    fields = {one.findtext("name"): one for one in shared_client.ask("getContactFields").findall("return")}
    assert fields.keys() >= {"number1", "first_name", "email", "contactID", "Lead Status", "Market"}
    created = fields["sys_created_date"]
    assert [child.tag for child in created] == [
        "displayAs",
        "mapTo",
        "name",
        "restrictions",
        "restrictions",
        "system",
        "type",
    ]
    assert (created.findtext("mapTo"), created.findtext("type")) == ("CreatedDateTime", "DATE_TIME")
    formats = {one.findtext("type"): one.findtext("value") for one in created.findall("restrictions")}
    assert formats == {"DateFormat": "yyyy-MM-dd", "TimeFormat": "HH:mm:ss.SSS"}
    some = shared_client.ask("getContactFields", "<namePattern>number.*</namePattern>").findall("return")
    assert [one.findtext("name") for one in some] == ["number1", "number2", "number3"]


def test_a_lookup_shows_a_thousand_and_says_nothing_of_more(shared_client: Client) -> None:
    assert len(shared_client.look(number1="%")) == 1000
    assert len(shared_client.look(number1="9%")) == 1000
    few = shared_client.look(number1="93720%")
    assert 0 < len(few) < 1000
    assert all(str(one["number1"]).startswith("93720") for one in few)
    assert shared_client.look(number1="00%") == []


def test_criteria_are_anded_and_ignore_case(shared_client: Client) -> None:
    one = next(c for c in shared_client.look(number1="513%") if c["first_name"] and c["contactID"])
    same = shared_client.look(number1=str(one["number1"]), first_name=str(one["first_name"]).swapcase())
    assert one in same
    assert shared_client.look(number1=str(one["number1"]), first_name="Nobody") == []
    assert one in shared_client.look(number1=f"%{str(one['number1'])[3:]}", state="oh")


def test_contacts_without_a_number_are_found_by_an_empty_value_or_not(client: Client) -> None:
    assert len(client.look(number1="")) == 6
    assert all(not one["number1"] for one in client.look(number1=""))
    client.five9.configure(empty_value="nothing")
    assert client.look(number1="") == []
    client.five9.configure(empty_value="ignored")
    assert len(client.look(number1="", state="OH")) == 300
    client.five9.configure(empty_value="fault")
    assert client.fault("getContactRecords", _criterion("number1", ""))[0] == "IncorrectArgumentFault"


def _criterion(name: str, value: str) -> str:
    return f"<lookupCriteria><criteria><field>{name}</field><value>{value}</value></criteria></lookupCriteria>"


def test_numbers_are_not_unique_and_not_all_of_digits(shared_client: Client) -> None:
    everyone = [shared_client.five9.record(each) for each in shared_client.five9.ids()]
    numbers = [one["number1"] for one in everyone if one["number1"]]
    assert len(set(numbers)) < len(numbers) < len(everyone)
    assert any(number.startswith("+1") for number in numbers)


def test_people_are_those_of_the_population(shared_client: Client) -> None:
    population = Population(1, 5000)
    alike = 0
    for number, one in enumerate(shared_client.five9.record(each) for each in shared_client.five9.ids()[:300]):
        person = population.person(number).told("five9")
        alike += one["number1"] == person.phone[2:]
        assert str(one["last_name"]).casefold() == person.last_name.casefold()
        assert one["city"] == person.place.city
    assert alike > 250


def test_times_are_local_and_without_a_zone(shared_client: Client) -> None:
    newest = max(str(shared_client.five9.record(each)["sys_created_date"]) for each in shared_client.five9.ids())
    assert re.fullmatch(r"2026-09-02 0\d:\d\d:\d\d\.\d{3}", newest)


def test_more_than_a_thousand_may_be_a_fault() -> None:
    with begin(1500, over_limit="fault") as simulators:
        client = Client(simulators)
        assert client.fault("getContactRecords", _criterion("number1", "%"))[0] == "ServerFault"
        assert client.look(number1="2167%")


def test_an_unknown_field_is_a_fault_that_names_it(shared_client: Client) -> None:
    name, said = shared_client.fault("getContactRecords", _criterion("no such", "1"))
    assert (name, said["fieldName"]) == ("CrmFieldNotFoundFault", "no such")


def test_a_crowd_shares_one_number() -> None:
    with begin(1500, crowd=1200) as simulators:
        client = Client(simulators)
        assert len(client.look(number1="0000000000")) == 1000
        assert 0 < len(client.shown(("number1", "0000000000"), ("contactID", "1000001%"))) <= 100


def test_limits_are_told_counted_and_kept(client: Client) -> None:
    client.five9.configure(per_minute=3)
    for _ in range(2):
        client.look(number1="9%")
    states = client.ask("getCallCountersState").findall("return")
    minute = next(one for one in states if one.findtext("timeout") == "60")
    query = next(one for one in minute.findall("callCounterStates") if one.findtext("operationType") == "Query")
    assert (query.findtext("limit"), query.findtext("value")) == ("3", "2")
    client.look(number1="9%")
    name, said = client.fault("getContactRecords", _criterion("number1", "9%"))
    assert name == "OperationsLimitExceededFault"
    assert (said["limit"], said["operationType"]) == ("3", "Query")


def test_lists_have_sizes(client: Client) -> None:
    sizes = {
        one.findtext("name"): int(one.findtext("size") or 0) for one in client.ask("getListsInfo").findall("return")
    }
    assert sizes["Everybody"] == 300
    assert sum(sizes.values()) == 600
    client.five9.delete(client.five9.ids()[0])
    assert client.five9.list_sizes()["Everybody"] == 299


def test_contacts_are_made_changed_deleted_and_restored(client: Client) -> None:
    made = client.five9.create({"number1": "6145550100", "Lead Status": "Made"})
    (one,) = client.look(number1="6145550100")
    assert (one["contactID"], one["Lead Status"]) == (made, "Made")
    client.five9.edit(made, {"number1": "6145550199"})
    assert client.look(number1="6145550100") == []
    assert len(client.look(number1="6145550199")) == 1
    client.five9.delete(made)
    assert client.look(number1="6145550199") == []
    client.five9.restore(made)
    assert len(client.look(number1="6145550199")) == 1
    client.five9.add_field("Shoe size", "NUMBER")
    client.five9.edit(made, {"Shoe size": "44"})
    assert client.look(number1="6145550199")[0]["Shoe size"] == "44"


def test_a_closed_session_is_a_fault_until_its_cookie_is_gone() -> None:
    with begin(30, sessions=True) as simulators:
        client = Client(simulators)
        client.look(number1="9%")
        client.five9.close_sessions()
        assert client.fault("getContactRecords", _criterion("number1", "9%"))[0] == "AdminSessionClosedFault"
        client.http.cookies.clear()
        client.look(number1="9%")


def test_faults_are_worded_as_told(client: Client) -> None:
    client.five9.set_soap_fault("ServiceUnavailable", operation="getListsInfo")
    client.look(number1="9%")
    assert client.fault("getListsInfo") == ("ServiceUnavailableFault", {"message": "told to"})
    client.ask("getListsInfo")


@pytest.mark.parametrize("what", ["bad_date", "bad_number", "nul", "missing_id", "non_object", "out_of_range"])
def test_a_malformed_record_is_one_of_its_answer(client: Client, what: str) -> None:
    client.five9.set_fault("malformed", path="/getContactRecords", times=1, what=what)
    corrupted = client.post("getContactRecords", _criterion("number1", "%")).text
    good = client.post("getContactRecords", _criterion("number1", "%")).text
    assert corrupted != good
    assert corrupted.count("<records>") == good.count("<records>") == 294


def test_requests_are_counted_by_operation(client: Client) -> None:
    client.look(number1="9%")
    client.ask("getListsInfo")
    routes = client.five9.requests()["routes"]
    assert routes == {
        "POST /wsadmin/v13/AdminWebService/getContactRecords": 1,
        "POST /wsadmin/v13/AdminWebService/getListsInfo": 1,
    }
