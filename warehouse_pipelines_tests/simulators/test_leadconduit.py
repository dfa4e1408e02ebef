"""The simulated LeadConduit answers as the vendor notes say. Each test names the behaviour it checks."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.leadconduit.simulator import LeadConduit
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines_tests.harness.http_client import HttpClient

NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)


class Client:
    """A started simulator and a client of it."""

    def __init__(self, conduit: LeadConduit) -> None:
        self.conduit = conduit
        self.http = HttpClient(base_url=conduit.url, auth=("API", conduit.settings.token), timeout=60)

    def get(self, path: str = "/events", status: int = 200, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def ids(self, **query: Any) -> list[str]:
        return [event["id"] for event in self.get(**query)]


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    settings = getattr(request, "param", {})
    with start(["leadconduit"], contacts=200, now=NOW.timestamp(), leadconduit=settings) as simulators:
        yield Client(simulators.of(LeadConduit))


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", [settings], indirect=True, ids=str)


def test_the_key_is_the_password_of_any_user(client: Client) -> None:
    token = client.conduit.settings.token
    for auth, status in [(("API", token), 200), (("X", token), 200), (("API", "wrong"), 401), (None, 401)]:
        assert httpx.get(f"{client.conduit.url}/events", auth=auth).status_code == status
    assert httpx.get(f"{client.conduit.url}/events", headers={"Authorization": "Basic ?"}).status_code == 401


@of(plan=False)
def test_a_plan_without_events_is_401(client: Client) -> None:
    assert client.http.get("/events").status_code == 401


def test_the_feed_is_a_bare_array_newest_first(client: Client) -> None:
    events = client.get()
    assert len(events) == 100
    assert [event["id"] for event in events] == client.conduit.ids("events")[:-101:-1]
    assert len(client.get(limit=1000)) == 400
    for query in ({"limit": 1001}, {"limit": 0}, {"sort": "up"}, {"start": "yesterday"}):
        client.get(status=400, **query)


def test_ids_begin_with_the_second_of_their_creation(client: Client) -> None:
    for event in client.get(limit=1000):
        assert int(event["id"][:8], 16) == event["end_timestamp"] // 1000
    ids = client.ids(limit=1000, sort="asc")
    assert ids == sorted(ids)


def test_ends_are_inclusive_and_ids_exclusive(client: Client) -> None:
    ids = client.ids(limit=1000, sort="asc")
    ends = [datetime.fromtimestamp(client.conduit.record(ids[n])["end_timestamp"] / 1000, UTC) for n in (100, 110)]
    start, end = (at.isoformat(timespec="milliseconds").replace("+00:00", "Z") for at in ends)
    assert client.ids(start=start, end=end, sort="asc") == ids[100:111]
    assert client.ids(after_id=ids[100], before_id=ids[110], sort="asc") == ids[101:110]
    assert client.ids(after_id=ids[100], limit=5, sort="asc") == ids[101:106]
    assert client.ids(before_id=ids[100], limit=5) == ids[95:100][::-1]
    # Whoever forgets to sort gets the newest page for ever.
    assert client.ids(after_id=ids[100], limit=5) == ids[-5:][::-1]


def test_rules_choose_a_type(client: Client) -> None:
    rules = json.dumps([{"lhv": "type", "op": "is equal to", "rhv": "source"}])
    events = client.get(rules=rules, limit=1000)
    assert {event["type"] for event in events} == {"source"}
    assert len(events) == 100


def test_a_lead_has_an_event_for_each_step_and_a_result(client: Client) -> None:
    events = client.get(limit=4, sort="asc")
    assert [event["type"] for event in events] == ["filter", "recipient", "recipient", "source"]
    assert len({event["vars"]["lead"]["id"] for event in events}) == 1
    assert len({event["vars"]["submission"]["timestamp"] for event in events}) == 1
    assert events[-1]["vars"]["lead"]["id"] not in {event["id"] for event in events}
    assert client.get(f"/events/{events[0]['id']}") == events[0]


def test_values_are_plain_or_have_parts(client: Client) -> None:
    emails = [event["vars"]["lead"]["email"] for event in client.get(limit=1000)]
    assert any(isinstance(email, str) for email in emails)
    assert any(isinstance(email, dict) and "normal" in email for email in emails)
    assert any(isinstance(email, dict) and "normal" not in email for email in emails)


@of(wrapped=True)
def test_the_array_may_be_a_member(client: Client) -> None:
    assert len(client.get()["data"]) == 100


def test_what_happens_later_is_another_event(client: Client) -> None:
    before = client.get(limit=1000, sort="asc")
    lead = client.conduit.ids("leads")[0]
    client.conduit.resubmit(lead, city="Mason")
    client.conduit.add_event(lead, "feedback", started=1)
    after = client.get(limit=1000, sort="asc")
    assert after[: len(before)] == before
    resubmitted, feedback = after[len(before) :]
    assert resubmitted["vars"]["lead"]["city"] == "Mason"
    assert (feedback["type"], feedback["start_timestamp"], feedback["vars"]["lead"]["id"]) == ("feedback", 1, lead)


def test_a_lead_may_be_purged(client: Client) -> None:
    lead = client.conduit.ids("leads")[5]
    events = client.conduit.ids("events")
    client.conduit.purge(lead)
    assert client.conduit.counts() == {"events": 396, "leads": 99}
    assert client.http.get(f"/events/{events[20]}").status_code == 404
    client.conduit.unpurge(lead)
    assert client.conduit.ids("events") == events


def test_people_are_those_of_the_population(client: Client) -> None:
    for number, lead in enumerate(client.conduit.ids("leads")):
        person = client.conduit.population.person(2 * number).told("leadconduit")
        fields = client.conduit.record(client.conduit.ids("events")[4 * number])["vars"]["lead"]
        assert (fields["id"], fields["last_name"], fields["city"]) == (lead, person.last_name, person.place.city)


def test_a_million_events_are_not_held() -> None:
    with start(["leadconduit"], contacts=500_000) as simulators:
        client = Client(simulators.of(LeadConduit))
        assert client.conduit.counts() == {"events": 1_000_000, "leads": 250_000}
        first = client.ids(limit=1000, sort="asc")
        assert len(client.ids(limit=1000, sort="asc", after_id=first[-1])) == 1000


@of(per_minute=2)
def test_a_limit_is_429(client: Client) -> None:
    assert [client.http.get("/events").status_code for _ in range(3)] == [200, 200, 429]


def test_faults_fire(client: Client) -> None:
    conduit = client.conduit
    conduit.set_fault("rate_limit", retry_after=7, times=1)
    assert client.http.get("/events").headers["Retry-After"] == "7"
    conduit.set_fault("unauthorized", times=1)
    assert client.http.get("/events").status_code == 401
    conduit.set_fault("malformed", what="missing_id", times=1)
    assert sum("id" not in event for event in client.get()) == 1
    conduit.set_fault("missing_list", times=1)
    assert isinstance(client.get(), dict)
    conduit.set_fault("endless", times=1)
    assert client.get(after_id=conduit.ids("events")[-1], sort="asc")
    conduit.set_fault("truncated", times=1)
    with pytest.raises(httpx.TransportError):
        client.http.get("/events")
