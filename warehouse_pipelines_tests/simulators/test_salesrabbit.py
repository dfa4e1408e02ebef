"""The simulated SalesRabbit answers as the vendor notes say. Each test names the behaviour it checks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.salesrabbit.simulator import SalesRabbit
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines_tests.harness.http_client import HttpClient

NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)


class Client:
    """A started simulator and a client of it."""

    def __init__(self, rabbit: SalesRabbit) -> None:
        self.rabbit = rabbit
        self.http = HttpClient(
            base_url=rabbit.url, headers={"Authorization": f"Bearer {rabbit.settings.token}"}, timeout=60
        )

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Any:
        answer = self.http.get(path, params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, path: str = "/leads", **how: Any) -> list[int]:
        return [record["id"] for record in self.get(path, **how)["data"]]


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    settings = getattr(request, "param", {})
    contacts = settings.get("contacts", 200)
    with start(["salesrabbit"], contacts=contacts, now=NOW.timestamp(), salesrabbit=settings) as simulators:
        yield Client(simulators.of(SalesRabbit))


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", [settings], indirect=True, ids=str)


def test_the_token_is_a_bearer(client: Client) -> None:
    for value in ("Bearer wrong", "simulated-salesrabbit-token", ""):
        answer = httpx.get(f"{client.rabbit.url}/leads", headers={"Authorization": value})
        assert answer.status_code == 401
    assert client.http.get("/leads").status_code == 200


@of(contacts=5000)
def test_pages_are_numbered_from_one_and_capped(client: Client) -> None:
    first = client.get("/leads", perPage=5000)
    assert (len(first["data"]), first["meta"]) == (2000, {"status": 200, "morePages": True})
    assert len(client.get("/leads")["data"]) == 2000
    third = client.get("/leads", page=3)
    assert (len(third["data"]), third["meta"]["morePages"]) == (1500, False)
    assert client.get("/leads", page=4)["data"] == []
    assert client.ids(page=0, perPage=3) == client.ids(page=1, perPage=3)


def test_an_unknown_parameter_is_ignored(client: Client) -> None:
    """Whoever says limit gets the whole set."""
    assert len(client.ids("/users", limit=2)) == client.rabbit.counts()["users"] > 2
    assert len(client.ids(modifiedAfter="2026-08-01T00:00:00Z", pageSize=1)) == 220


def test_a_lead_is_flat_or_nested(client: Client) -> None:
    flat = client.get("/leads")["data"][0]
    assert {"street1", "latitude", "customFields", "dateModified"} <= flat.keys()
    client.rabbit.configure(shape="nested")
    nested = client.get("/leads")["data"][0]
    assert {"address", "coordinates", "campaignId", "deletedAt", "files"} <= nested.keys()
    assert "street1" not in nested
    assert nested["address"]["street1"] == flat["street1"]


def test_times_are_in_order_and_have_an_offset(client: Client) -> None:
    for lead in client.get("/leads")["data"]:
        assert lead["dateModified"].endswith("+00:00")
        assert lead["dateModified"] >= lead["statusModified"] >= lead["dateCreated"]


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.000Z", "%a, %d %b %Y %H:%M:%S GMT"])
def test_the_filter_is_a_header_in_three_forms_and_inclusive(client: Client, form: str) -> None:
    leads = client.get("/leads", sortBy="dateCreated", order="asc")["data"]
    bound = datetime.fromisoformat(leads[-5]["dateModified"])
    headers = {"If-Modified-Since": bound.strftime(form)}
    assert client.ids(headers=headers, sortBy="dateCreated", order="asc") == [lead["id"] for lead in leads[-5:]]
    client.rabbit.configure(inclusive=False)
    assert len(client.ids(headers=headers)) == 4


def test_statuses_have_a_filter_of_their_own(client: Client) -> None:
    lead = client.rabbit.ids("leads")[0]
    since = {"If-Status-Modified-Since": NOW.isoformat()}
    client.rabbit.edit_lead(client.rabbit.ids("leads")[1], notes="not its status")
    client.rabbit.set_status(lead, "Sold")
    assert client.ids(headers=since) == [lead]
    (events,) = client.get("/leadStatusHistories", headers=since)["data"].values()
    assert [event["name"] for event in events] == ["Sold"]
    client.rabbit.configure(history_items="all")
    (events,) = client.get("/leadStatusHistories", headers=since)["data"].values()
    assert events[-1]["name"] == "Sold"
    assert len(events) > 1


def test_nothing_new_is_304_without_a_body(client: Client) -> None:
    for path, header in [
        ("/leads", "If-Modified-Since"),
        ("/users", "If-Modified-Since"),
        ("/leadStatusHistories", "If-Status-Modified-Since"),
    ]:
        answer = client.http.get(path, headers={header: NOW.isoformat()})
        assert (answer.status_code, answer.content) == (304, b"")
        client.rabbit.configure(nothing_new=200)
        assert not client.get(path, headers={header: NOW.isoformat()})["data"]
        client.rabbit.configure(nothing_new=304)


def test_the_history_is_an_object_by_lead(client: Client) -> None:
    body = client.get("/leadStatusHistories", perPage=10)
    assert len(body["data"]) == 10
    for lead, events in body["data"].items():
        shown = client.get(f"/leads/{lead}")["data"]
        assert events[-1]["name"] == shown["status"]
        assert events[-1]["statusUpdated"] == shown["statusModified"]
        assert isinstance(events[0]["changedByUserId"], str)
        assert isinstance(events[0]["id"], int)


def test_only_leads_can_be_sorted_and_the_order_is_a_setting(client: Client) -> None:
    created = client.ids(sortBy="dateCreated", order="asc", perPage=300)
    assert created == client.ids(sortBy="dateCreated", order="desc", perPage=300)[::-1] == sorted(created)
    orders = []
    for order in ("modified", "newest", "created", "any"):
        client.rabbit.configure(order=order)
        orders.append(client.ids(perPage=300))
        assert sorted(orders[-1]) == created
    client.rabbit.edit_lead(created[0])
    client.rabbit.configure(order="modified")
    assert client.ids(perPage=300)[-1] == created[0]
    assert orders[0] == orders[1][::-1]
    assert orders[3] not in orders[:3]


def test_a_deleted_lead_is_hidden_or_shown_as_such(client: Client) -> None:
    first, second, *_ = client.rabbit.ids("leads")
    client.rabbit.delete_lead(first)
    assert first not in client.ids()
    assert client.http.get(f"/leads/{first}").status_code == 404
    assert str(first) not in client.get("/leadStatusHistories")["data"]
    client.rabbit.restore_lead(first)
    assert first in client.ids()
    client.rabbit.configure(deleted="shown")
    client.rabbit.delete_lead(second)
    (lead,) = client.get("/leads", headers={"If-Modified-Since": NOW.isoformat()})["data"]
    assert (lead["id"], bool(lead["deletedAt"])) == (second, True)


def test_a_million_leads_are_not_held() -> None:
    with start(["salesrabbit"], contacts=1_000_000) as simulators:
        client = Client(simulators.of(SalesRabbit))
        assert client.get("/leads", page=550, sortBy="dateCreated", order="asc")["meta"]["morePages"] is False
        assert len(client.ids(page=300)) == 2000


def test_the_same_seed_is_the_same_account() -> None:
    shown = []
    for _ in range(2):
        with start(["salesrabbit"], contacts=50, now=NOW.timestamp()) as simulators:
            client = Client(simulators.of(SalesRabbit))
            shown.append([client.get(path) for path in ("/leads", "/users", "/leadStatusHistories")])
    assert shown[0] == shown[1]


def test_people_are_those_of_the_population(client: Client) -> None:
    """But for one in eleven, whom nobody knows, they are HubSpot's contacts, at the same address."""
    client.rabbit.configure(shape="flat")
    known = client.rabbit.population
    people = {journey.salesrabbit_lead(n): known.person(n).told("salesrabbit") for n in range(50)}
    leads = {lead["id"]: lead for lead in client.get("/leads", perPage=50)["data"]}
    assert len(leads.keys() & people.keys()) == 46
    for key in leads.keys() & people.keys():
        lead, person = leads[key], people[key]
        assert lead["lastName"] == person.last_name
        assert lead["zip"] == person.place.zip
        digits = "".join(filter(str.isdigit, lead["phonePrimary"]))
        assert not digits or person.phone.endswith(digits[-10:])


def test_what_the_vendor_does_not_have_is_404(client: Client) -> None:
    for path in ("/leads/search", "/leads/count", "/users/search", "/graphql", "/leads/1"):
        assert client.http.get(path).status_code == 404


@of(per_minute=2)
def test_a_limit_is_429(client: Client) -> None:
    assert [client.http.get("/users").status_code for _ in range(3)] == [200, 200, 429]


def test_faults_fire(client: Client) -> None:
    rabbit = client.rabbit
    rabbit.set_fault("rate_limit", retry_after=7, times=1)
    assert client.http.get("/leads").headers["Retry-After"] == "7"
    rabbit.set_fault("unauthorized", times=1)
    assert client.http.get("/leads").json() == {"meta": {"status": 401}, "error": "Unauthorized"}
    rabbit.set_fault("malformed", what="bad_date", path="/leadStatusHistories", property="statusUpdated", times=1)
    histories = client.get("/leadStatusHistories")["data"].values()
    assert sum(event["statusUpdated"] == "not a date" for events in histories for event in events) == 1
    rabbit.set_fault("missing_list", times=1)
    assert "data" not in client.get("/users")
    rabbit.set_fault("reset", times=1)
    with pytest.raises(httpx.TransportError):
        client.http.get("/leads")
