"""The simulated Arrivy answers as the vendor notes say. Each test names the behaviour it checks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.arrivy.simulator import Arrivy
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines_tests.harness.http_client import HttpClient

NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)


class Client:
    """A started simulator and a client of it."""

    def __init__(self, simulators: Simulators) -> None:
        self.arrivy = simulators.of(Arrivy)
        settings = simulators.environment()
        keys = {"X-Auth-Key": settings["ARRIVY_AUTH_KEY"], "X-Auth-Token": settings["ARRIVY_AUTH_TOKEN"]}
        self.http = HttpClient(base_url=f"{settings['ARRIVY_BASE_URL']}/api", headers=keys, timeout=60)

    def get(self, path: str, answered: int = 200, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == answered, answer.text[:200]
        return answer.json()

    def walk(self, path: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = 1
        while records := self.get(path, page=page, order_by="CREATED", **query):
            found += records
            page += 1
        return found


def begin(contacts: int = 1000, **settings: Any) -> Simulators:
    return start(["arrivy"], contacts=contacts, now=NOW.timestamp(), arrivy=settings)


@pytest.fixture(scope="module")
def shared_client() -> Iterator[Client]:
    """A company that no test changes."""
    with begin(1500) as simulators:
        yield Client(simulators)


@pytest.fixture
def client() -> Iterator[Client]:
    with begin(100) as simulators:
        yield Client(simulators)


def at(record: dict[str, Any], name: str = "start_datetime") -> datetime:
    return datetime.fromisoformat(record[name]).replace(tzinfo=UTC)


def test_both_headers_are_needed(shared_client: Client) -> None:
    assert shared_client.get("/users/profile")["company_name"]
    for headers in ({"X-Auth-Key": "wrong"}, {"X-Auth-Token": "wrong"}):
        assert shared_client.http.get("/tasks", headers=headers).status_code == 401
    bearer = {"Authorization": f"Bearer {shared_client.arrivy.settings.token}"}
    assert httpx.get(f"{shared_client.arrivy.url}/api/tasks", headers=bearer).status_code == 401


def test_a_list_is_a_bare_array_and_ends_with_an_empty_page(shared_client: Client) -> None:
    pages = [shared_client.get("/tasks", page=page, order_by="CREATED") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [500, 407, 0]
    assert len({task["id"] for page in pages for task in page}) == 907


def test_page_size_is_ignored_and_items_per_page_is_not(shared_client: Client) -> None:
    assert len(shared_client.get("/tasks", page_size=10)) == 500
    assert len(shared_client.get("/tasks", items_per_page=10)) == 10
    assert len(shared_client.get("/groups", items_per_page=2, page=2)) == 2
    assert len(shared_client.get("/entities", items_per_page=2, page=2)) == 14


def test_ids_are_above_what_a_float_holds(shared_client: Client) -> None:
    ids = [task["id"] for task in shared_client.walk("/tasks")]
    assert all(5_000_000_000_000_000 <= id < 10_000_000_000_000_000 for id in ids)
    assert any(id != int(float(id)) for id in ids)
    assert shared_client.get(f"/tasks/{ids[17]}")["id"] == ids[17]


def test_times_are_utc_without_saying_so(shared_client: Client) -> None:
    for task in shared_client.get("/tasks", items_per_page=20):
        assert len(task["start_datetime"]) == 19
        assert datetime.fromisoformat(task["start_datetime_original_iso_str"]) == at(task)


def test_the_window_is_on_the_schedule_and_includes_both_ends(shared_client: Client) -> None:
    tasks = sorted(shared_client.walk("/tasks"), key=at)
    one, other = at(tasks[300]), at(tasks[340])
    found = shared_client.walk("/tasks", **{"from": one.isoformat(), "to": other.isoformat()})
    assert {task["id"] for task in found} == {task["id"] for task in tasks if one <= at(task) <= other}
    assert shared_client.get(
        "/tasks", updated_after="2026-09-01", items_per_page=3, order_by="CREATED"
    ) == shared_client.get("/tasks", items_per_page=3, order_by="CREATED")


def test_a_plus_that_is_not_escaped_is_refused(shared_client: Client) -> None:
    assert shared_client.http.get("/tasks?from=2026-01-01T00:00:00+00:00").status_code == 400


def test_the_unscheduled_are_shown_only_when_asked_for(shared_client: Client) -> None:
    plain, loose, undated = (
        shared_client.walk("/tasks", **query)
        for query in ({}, {"unscheduled": "true"}, {"tasks_with_no_datetime": "true"})
    )
    assert (len(loose), len(undated)) == (46, 23)
    assert all(task["start_datetime"] is None for task in (*loose, *undated))
    assert {task["unscheduled"] for task in loose} == {True}
    ids = [task["id"] for task in (*plain, *loose, *undated)]
    assert len(ids) == len(set(ids)) == shared_client.arrivy.counts()["tasks"]


def test_without_an_order_pages_overlap(shared_client: Client) -> None:
    pages = [task["id"] for page in (1, 2) for task in shared_client.get("/tasks", page=page)]
    assert len(set(pages)) < len(pages)
    created = [task["created"] for task in shared_client.walk("/tasks")]
    assert created == sorted(created)


def test_each_task_has_a_booking_and_a_template_that_exist(shared_client: Client) -> None:
    tasks = shared_client.walk("/tasks")
    bookings = {booking["id"] for booking in shared_client.walk("/bookings")}
    assert {task["booking_id"] for task in tasks if task["booking_id"]} <= bookings
    assert {task["template_id"] for task in tasks} <= {one["id"] for one in shared_client.get("/templates")}
    groups = {group["id"] for group in shared_client.walk("/groups")}
    assert {booking["group_id"] for booking in shared_client.walk("/bookings")} <= groups


def test_the_status_can_be_asked_for(shared_client: Client) -> None:
    assert {task["status"] for task in shared_client.walk("/tasks", status="cancelled")} == {"CANCELLED"}
    with begin(100, status_filter=False) as simulators:
        assert len({task["status"] for task in Client(simulators).walk("/tasks", status="cancelled")}) > 1


@pytest.mark.parametrize("name", ["tasks", "bookings", "entities", "groups", "statuses", "templates"])
def test_records_come_change_go_and_return(client: Client, name: str) -> None:
    vendor = client.arrivy
    before = vendor.counts()[name]
    key = vendor.create(name, fields={"title": "new", "name": "new"})
    assert key in vendor.ids(name)
    vendor.edit(name, key, {"title": "changed"})
    assert vendor.record(name, key)["title"] == "changed"
    assert client.get(f"/{name}/{key}")["title"] == "changed"
    vendor.delete(name, key)
    assert vendor.counts()[name] == before
    client.get(f"/{name}/{key}", answered=404)
    vendor.restore(name, key)
    assert vendor.record(name, key)["title"] == "changed"
    assert key in {str(one["id"]) for one in client.get(f"/{name}", items_per_page=500)}


def test_a_task_moves_between_the_lists(client: Client) -> None:
    key = client.arrivy.ids("tasks")[0]
    client.arrivy.reschedule("tasks", key)
    assert key in {str(task["id"]) for task in client.walk("/tasks", unscheduled="true")}
    assert key not in {str(task["id"]) for task in client.walk("/tasks")}
    client.arrivy.reschedule("tasks", key, at="2026-10-01T12:00:00+00:00")
    (task,) = [task for task in client.walk("/tasks") if str(task["id"]) == key]
    assert (at(task), at(task, "updated")) == (datetime(2026, 10, 1, 12, tzinfo=UTC), NOW)


@pytest.mark.parametrize(
    ("settings", "path", "query", "status"),
    [
        ({"bookings": False}, "/bookings", {}, 404),
        ({"templates": False}, "/templates", {}, 404),
        ({"most_per_query": 50}, "/tasks", {"page": 2, "items_per_page": 50, "order_by": "CREATED"}, 200),
        ({"pages_of_small_lists": True}, "/entities", {"page": 2}, 200),
    ],
)
def test_what_is_unconfirmed_is_a_setting(
    settings: dict[str, Any], path: str, query: dict[str, Any], status: int
) -> None:
    with begin(300, **settings) as simulators:
        answer = Client(simulators).http.get(path, params=query)
        assert answer.status_code == status
        if status == 200:
            assert answer.json() == []


def test_a_large_page_may_be_cut() -> None:
    with begin(300, most_per_page=40) as simulators:
        assert len(Client(simulators).get("/tasks", items_per_page=500)) == 40


def test_a_limit_says_nothing_of_when_to_come_back() -> None:
    with begin(100, per_minute=2) as simulators:
        client = Client(simulators)
        answers = [client.http.get("/groups") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert not any("retry" in name or "rate" in name for name in answers[2].headers)


@pytest.mark.parametrize(
    ("fault", "page", "expected"),
    [("missing_list", 1, {}), ("null_last_page", 3, None), ("repeat_page", 2, "first"), ("endless", 3, "some")],
)
def test_a_bare_list_can_be_spoilt(fault: str, page: int, expected: Any) -> None:
    with begin(100) as simulators:
        client = Client(simulators)
        how: dict[str, Any] = {"items_per_page": 50, "order_by": "CREATED"}
        first = client.get("/tasks", page=1, **how)
        client.arrivy.set_fault(fault)
        found = client.get("/tasks", page=page, **how)
        assert found == (first if expected == "first" else found if expected == "some" else expected)
        assert found or expected != "some"


def test_people_are_those_of_the_other_systems(shared_client: Client) -> None:
    with start(["hubspot"], contacts=1500) as simulators:
        hubspot: Any = simulators.named("hubspot")
        emails = {str(hubspot.record("contacts", key)["properties"]["email"]).lower()
                  for key in hubspot.ids("contacts")[:200]}  # fmt: skip
    ours = {task["customer_email"].lower() for task in shared_client.walk("/tasks")}
    assert len(emails & ours) > 40, "one in three has a crew come"


def test_a_million_tasks_cost_nothing_to_begin_with() -> None:
    with begin(1_700_000) as simulators:
        client = Client(simulators)
        assert len(client.get("/tasks", page=1500, order_by="CREATED")) == 500
        window: dict[str, Any] = {"from": "2026-09-01T00:00:00Z", "to": "2026-09-01T06:00:00Z"}
        assert client.get("/tasks", order_by="CREATED", **window)
