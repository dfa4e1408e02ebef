"""The simulated CallRail answers as the vendor notes say. Each test names the behaviour it checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from warehouse_pipelines.simulators.callrail.simulator import CallRail
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines_tests.harness.http_client import HttpClient

# A fixed present, away from a change of clocks: noon in Dayton on the second of September 2026.
NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)
EVERYTHING: dict[str, Any] = {"start_date": "2024-08-15", "end_date": "2026-12-31"}
DAYTON, CHICAGO = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")


class Client:
    """A started simulator and a client of its one account."""

    def __init__(self, simulators: Simulators) -> None:
        self.callrail = simulators.of(CallRail)
        settings = simulators.environment()
        self.key = settings["CALLRAIL_API_KEY"]
        key = {"Authorization": f'Token token="{self.key}"'}
        self.http = HttpClient(base_url=settings["CALLRAIL_BASE_URL"], headers=key, timeout=60)
        self.account = self.http.get("/v3/a.json").json()["accounts"][0]["id"]

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = self.http.get(f"/v3/a/{self.account}/{path}.json", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def walk(self, path: str, key: str | None = None, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = 0
        while True:
            page += 1
            body = self.get(path, page=page, per_page=250, **{**EVERYTHING, **query})
            found += body[key or path]
            if page >= body["total_pages"]:
                assert len(found) == body["total_records"]
                return found


def begin(contacts: int = 1000, **settings: Any) -> Simulators:
    return start(["callrail"], contacts=contacts, now=NOW.timestamp(), callrail=settings)


@pytest.fixture(scope="module")
def shared_client() -> Iterator[Client]:
    """An account that no test changes."""
    with begin(2000) as simulators:
        yield Client(simulators)


@pytest.fixture
def client() -> Iterator[Client]:
    with begin(300) as simulators:
        yield Client(simulators)


def at(record: dict[str, Any], name: str = "start_time") -> datetime:
    return datetime.fromisoformat(record[name])


def test_the_key_is_accepted_with_and_without_quotation_marks(shared_client: Client) -> None:
    url = f"{shared_client.callrail.url}/v3/a.json"
    for value, status in [(f'"{shared_client.key}"', 200), (shared_client.key, 200), ('"wrong"', 401)]:
        assert httpx.get(url, headers={"Authorization": f"Token token={value}"}).status_code == status
    assert httpx.get(url).status_code == 401


def test_an_account_is_described_with_a_time_that_is_not_iso(shared_client: Client) -> None:
    account = shared_client.http.get(f"/v3/a/{shared_client.account}.json").json()
    assert account["created_at"] == "2024-02-10 03:43:50 -0500"
    assert "numeric_id" not in account
    assert "numeric_id" in shared_client.http.get("/v3/a.json", params={"fields": "numeric_id"}).json()["accounts"][0]


def test_ids_are_masked_and_those_of_tags_are_numbers(shared_client: Client) -> None:
    for path, prefix in [("companies", "COM"), ("calls", "CAL"), ("trackers", "TRK"), ("users", "USR")]:
        identity = shared_client.get(path)[path][0]["id"]
        assert identity.startswith(prefix)
        assert len(identity) == 35
    assert isinstance(shared_client.get("tags")["tags"][0]["id"], int)


def test_pages_have_totals_and_a_cap(shared_client: Client) -> None:
    body = shared_client.get("calls", per_page=1000, **EVERYTHING)
    assert (body["page"], body["per_page"], body["total_pages"], body["total_records"]) == (1, 250, 4, 1000)
    assert len(body["calls"]) == 250
    assert shared_client.get("calls", page="two", per_page="many", **EVERYTHING)["per_page"] == 100
    calls = shared_client.walk("calls")
    assert len({call["id"] for call in calls}) == 1000
    assert [at(call) for call in calls] == sorted((at(call) for call in calls), reverse=True)
    ascending = shared_client.walk("calls", sort="start_time", order="asc")
    assert ascending == calls[::-1]


def test_every_list_is_served_under_its_own_key(shared_client: Client) -> None:
    counts = shared_client.callrail.counts()
    for path, key in [("companies", "companies"), ("trackers", "trackers"), ("users", "users"), ("tags", "tags")]:
        assert len(shared_client.walk(path, key)) == counts[key] > 0
    for path, key, most in [("form_submissions", "form_submissions", 400), ("text-messages", "conversations", 200)]:
        assert len(shared_client.walk(path, key)) == counts[key] == most
    assert shared_client.http.get(f"/v3/a/{shared_client.account}/text_messages.json").status_code == 404
    assert shared_client.http.get(f"/v3/a/{shared_client.account}/calls").status_code == 406


def test_relative_paging_is_for_calls_and_has_no_totals(shared_client: Client) -> None:
    body = shared_client.get("calls", relative_pagination="true", per_page=250, offset=0, **EVERYTHING)
    found = body["calls"]
    pages = 1
    while body["has_next_page"]:
        assert set(body) == {"has_next_page", "next_page", "per_page", "calls"}
        assert body["next_page"].startswith(shared_client.callrail.url)
        body = shared_client.http.get(body["next_page"]).json()
        found += body["calls"]
        pages += 1
    assert (len(found), pages) == (1000, 4)
    assert body["next_page"] is None
    assert "total_pages" in shared_client.get("form_submissions", relative_pagination="true")


def test_without_dates_only_the_recent_window_is_shown(shared_client: Client) -> None:
    month_ago = NOW - timedelta(days=30)
    shown = shared_client.get("calls", per_page=250)["calls"]
    every = shared_client.walk("calls")
    assert [call["id"] for call in shown] == [call["id"] for call in every if at(call) >= month_ago]
    assert 0 < len(shown) < 100


def test_what_it_does_not_know_it_ignores_without_a_word(shared_client: Client) -> None:
    expected = shared_client.get("calls")["total_records"]
    for name, value in (
        ("created_at", "2026-01-01"),
        ("answered", "no"),
        ("start_date", "last week"),
        ("sorting", "x"),
    ):
        query: dict[str, Any] = {name: value}
        assert shared_client.get("calls", **query)["total_records"] == expected
    # An offset whose plus sign was not escaped is such a value.
    answer = shared_client.http.get(f"/v3/a/{shared_client.account}/calls.json?start_date=2026-01-01T00:00:00+00:00")
    assert answer.json()["total_records"] == expected


def test_both_ends_of_a_window_are_included(shared_client: Client) -> None:
    calls = shared_client.walk("calls", order="asc")
    first, last = calls[100], calls[110]
    window: dict[str, Any] = {"start_date": first["start_time"], "end_date": last["start_time"]}
    got = shared_client.get("calls", order="asc", **window)["calls"]
    assert [call["id"] for call in got] == [call["id"] for call in calls[100:111]]


def test_a_bare_date_is_a_day_in_the_zone_of_the_account_or_the_company(shared_client: Client) -> None:
    every = shared_client.walk("calls", fields="company_id")
    companies = shared_client.get("companies")["companies"]
    day = at(every[400]).astimezone(DAYTON).date()
    window: dict[str, Any] = {"start_date": str(day), "end_date": str(day)}
    got = {call["id"] for call in shared_client.get("calls", **window)["calls"]}
    assert got == {call["id"] for call in every if at(call).astimezone(DAYTON).date() == day}
    chicago = next(company["id"] for company in companies if company["time_zone"] == "America/Chicago")
    got = {call["id"] for call in shared_client.get("calls", company_id=chicago, **window)["calls"]}
    theirs = [call for call in every if call["company_id"] == chicago]
    assert got == {call["id"] for call in theirs if at(call).astimezone(CHICAGO).date() == day}
    local = f"{day}T00:00:00"
    utc = datetime.fromisoformat(local).replace(tzinfo=DAYTON).astimezone(UTC).isoformat()
    totals = {
        shared_client.get("calls", start_date=each, end_date="2026-12-31")["total_records"] for each in (local, utc)
    }
    assert len(totals) == 1


def test_times_are_written_in_the_zone_of_the_company(shared_client: Client) -> None:
    for call in shared_client.get("calls", per_page=20, fields="company_time_zone")["calls"]:
        zone = ZoneInfo(call["company_time_zone"])
        assert at(call).utcoffset() == at(call).astimezone(zone).utcoffset()
    zones = {each["company_time_zone"] for each in shared_client.get("calls", fields="company_time_zone")["calls"]}
    assert zones == {"America/New_York", "America/Chicago"}


@pytest.mark.parametrize("status", [400, 422])
def test_history_beyond_twenty_five_months_is_an_error(status: int) -> None:
    with begin(50, retention_status=status) as simulators:
        client = Client(simulators)
        assert "revise" in client.get("calls", status=status, start_date="2024-07-31")["error"]
        client.get("calls", status=status, date_range="all_time")
        assert client.get("calls", start_date="2024-08-03", end_date="2026-09-02")["total_records"] == 25


def test_fields_open_what_is_hidden(shared_client: Client) -> None:
    bare = shared_client.get("calls", per_page=1)["calls"][0]
    assert len(bare) == 16
    assert not {"company_id", "tracker_id", "source", "tags", "lead_status", "created_at"} & set(bare)
    more = shared_client.get("calls", per_page=1, fields="company_id,tags,nonsense,value")["calls"][0]
    assert set(more) == set(bare) | {"company_id", "tags", "value"}
    assert shared_client.get("form_submissions", per_page=1, fields="tags")["form_submissions"][0].keys() >= {
        "tags",
        "form_data",
    }
    assert "campaign_name" not in shared_client.get("trackers")["trackers"][0]
    assert "campaign_name" in shared_client.get("trackers", fields="campaign_name")["trackers"][0]


def test_unknown_fields_are_an_error_by_setting() -> None:
    with begin(50, unknown_fields="error") as simulators:
        Client(simulators).get("calls", status=400, fields="nonsense")


def test_types_are_mixed(shared_client: Client) -> None:
    fields = "value,tags,keywords_spotted,speaker_percent,keypad_entries,custom,detail_tags"
    calls = shared_client.walk("calls", fields=fields)

    def kinds(name: str) -> set[type]:
        return {type(call[name]) for call in calls}

    assert kinds("value") == {str, int, type(None)}
    assert kinds("recording_duration") == {str, int, type(None)}
    assert kinds("duration") == {int}
    assert kinds("keywords_spotted") == {str, list, dict}
    assert kinds("speaker_percent") == {str, list, dict}
    assert {type(tag) for call in calls for tag in call["tags"]} == {str, dict}
    assert {type(tag) for call in calls for tag in call["detail_tags"]} == {dict}


def test_filters_agree_with_the_records(shared_client: Client) -> None:
    every = shared_client.walk("calls", fields="lead_status,tracker_id,company_id,tags")

    def ids(**query: Any) -> set[str]:
        return {call["id"] for call in shared_client.walk("calls", **query)}

    assert ids(answered="true") == {call["id"] for call in every if call["answered"]}
    assert ids(direction="outbound") == {call["id"] for call in every if call["direction"] == "outbound"}
    assert ids(lead_status="good_lead") == {call["id"] for call in every if call["lead_status"] == "good_lead"}
    assert ids(min_duration=500) == {call["id"] for call in every if call["duration"] >= 500}
    tracker = every[0]["tracker_id"]
    assert ids(tracker_id=tracker) == {call["id"] for call in every if call["tracker_id"] == tracker}
    assert shared_client.get("companies", status=200, search="Lakeside")["total_records"] == 1


def test_the_people_who_call_are_those_of_the_population(shared_client: Client) -> None:
    population = Population(1, 2000)
    phones = {population.person(number).phone: population.person(number) for number in range(2000)}
    calls = shared_client.walk("calls")
    known = [call for call in calls if call["customer_phone_number"] in phones]
    assert 0.85 < len(known) / len(calls) < 0.95
    spelt = [call for call in known if call["customer_name"] is not None]
    same = [call for call in spelt if call["customer_name"] == phones[call["customer_phone_number"]].name]
    assert 0 < len(same) < len(spelt)


def test_a_late_call_appears_in_the_past(client: Client) -> None:
    late = client.callrail.add_call(start_time="2026-08-20T10:00:00-04:00", customer_name="LATE L", company=1)
    assert client.get("calls", start_date="2026-09-01")["total_records"] < 5
    window: dict[str, Any] = {"start_date": "2026-08-20T09:00:00", "end_date": "2026-08-20T11:00:00"}
    calls = client.get("calls", **window)["calls"]
    found = next(call for call in calls if call["id"] == late)
    assert found["customer_name"] == "LATE L"
    assert found["start_time"] == "2026-08-20T09:00:00.000-05:00"
    assert client.get(f"calls/{late}")["id"] == late


def test_a_call_changes_and_nothing_says_when(client: Client) -> None:
    key = client.callrail.ids("calls")[-1]
    before = client.get(f"calls/{key}", fields="value,lead_status,tags,start_time")
    client.callrail.edit_call(key, value="999.00", lead_status="good_lead")
    client.callrail.tag_late(key, "warranty")
    after = client.get(f"calls/{key}", fields="value,lead_status,tags,start_time")
    assert (after["value"], after["lead_status"]) == ("999.00", "good_lead")
    names = [tag if isinstance(tag, str) else tag["name"] for tag in after["tags"]]
    assert names[-1] == "warranty"
    assert {name for name in before if before[name] != after[name]} <= {"value", "lead_status", "tags"}
    assert "warranty" in {tag["name"] for tag in client.get("tags")["tags"]}


def test_a_call_marked_as_spam_vanishes(client: Client) -> None:
    total = len(client.walk("calls"))
    key = client.callrail.ids("calls")[10]
    client.callrail.spam_call(key)
    assert key not in {call["id"] for call in client.walk("calls")}
    assert len(client.walk("calls")) == total - 1 == client.callrail.counts()["calls"]
    client.get(f"calls/{key}", status=404)


def test_companies_are_disabled_and_users_removed(client: Client) -> None:
    company = client.get("companies", status=200)["companies"][0]["id"]
    client.callrail.disable_company(company)
    row = client.get(f"companies/{company}")
    assert (row["status"], row["disabled_at"] is not None) == ("disabled", True)
    assert client.get("companies")["total_records"] == 3
    active = client.http.get(f"/v3/a/{client.account}/companies.json", params={"status": "active"}).json()
    assert active["total_records"] == 1
    user = client.callrail.ids("users")[0]
    client.callrail.remove_user(user)
    client.get(f"users/{user}", status=404)
    assert client.get("users")["total_records"] == 7


def test_a_message_moves_its_conversation(client: Client) -> None:
    key = client.callrail.ids("conversations")[0]
    assert key not in {each["id"] for each in client.get("text-messages")["conversations"]}
    before = client.get(f"text-messages/{key}")
    client.callrail.message(key, "Still there?")
    after = client.get("text-messages", per_page=1)["conversations"][0]
    assert after["id"] == key
    assert after["recent_messages"][-1]["content"] == "Still there?"
    assert len(after["recent_messages"]) <= 3
    assert "messages" not in after
    single = client.get(f"text-messages/{key}")
    assert len(single["messages"]) == len(before["messages"]) + 1
    assert single["messages"][:-1] == before["messages"]


def test_forms_and_conversations_are_added_and_changed(client: Client) -> None:
    form = client.callrail.add_form(submitted_at="2026-09-01T12:00:00Z", customer_name="New Person")
    assert client.get(f"form_submissions/{form}")["submitted_at"] == "2026-09-01T08:00:00.000-04:00"
    client.callrail.edit_form(form, lead_status="good_lead")
    shown = client.get("form_submissions", fields="lead_status")["form_submissions"]
    assert next(each for each in shown if each["id"] == form)["lead_status"] == "good_lead"
    added = client.callrail.add_conversation(state="archived")
    assert client.get("text-messages")["conversations"][0]["id"] == added


def test_a_second_account_is_empty() -> None:
    with begin(50, accounts=2) as simulators:
        client = Client(simulators)
        accounts = client.http.get("/v3/a.json").json()["accounts"]
        assert len(accounts) == 2
        assert client.http.get(f"/v3/a/{accounts[1]['id']}/calls.json").json()["calls"] == []
        assert client.http.get("/v3/a/ACC123/calls.json").status_code == 404


def test_the_limits_answer_a_bare_429() -> None:
    with begin(50, hourly=3) as simulators:
        client = Client(simulators)
        client.get("users")
        client.get("users")
        answer = client.http.get(f"/v3/a/{client.account}/users.json")
        assert answer.status_code == 429
        assert not [name for name in answer.headers if "limit" in name or name == "retry-after"]


def test_pages_that_lie(client: Client) -> None:
    fault = client.callrail.set_fault
    fault("endless")
    assert client.get("calls", page=9, per_page=250, **EVERYTHING)["total_pages"] == 10
    relative = client.get("calls", relative_pagination="true", offset=7, **EVERYTHING)
    assert (relative["calls"], relative["has_next_page"]) == ([], True)
    client.callrail.clear_faults()
    first = client.get("calls", per_page=50, **EVERYTHING)["calls"]
    fault("repeat_page")
    assert client.get("calls", per_page=50, page=2, **EVERYTHING)["calls"] == first
    body = client.get("calls", relative_pagination="true", offset=2, per_page=10, **EVERYTHING)
    assert "offset=2&" in body["next_page"]
    client.callrail.clear_faults()
    fault("lying_total", add=5)
    assert client.get("users")["total_records"] == 13
    client.callrail.clear_faults()
    fault("missing_list", times=1)
    assert "calls" not in client.get("calls")
    fault("null_last_page")
    assert client.get("users")["total_pages"] == 2
    assert client.get("users", page=2)["users"] is None


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [
        ("bad_date", "start_time", "not a date"),
        ("out_of_range", "duration", str(10**30)),
        ("bad_number", "duration", "twelve"),
        ("nul", "customer_name", "before\0after"),
    ],
)
def test_a_malformed_record_takes_a_fault(client: Client, what: str, name: str, value: Any) -> None:
    client.callrail.set_fault("malformed", what=what, records=1, path="/calls")
    first, second = client.get("calls", per_page=2, **EVERYTHING)["calls"]
    assert first[name] == value
    assert second[name] != value


def test_a_revoked_key_and_a_plain_text_refusal(client: Client) -> None:
    client.callrail.set_fault("unauthorized", body="text", after=1)
    assert client.http.get("/v3/a.json").status_code == 200
    answer = client.http.get("/v3/a.json")
    assert (answer.status_code, answer.text) == (401, "HTTP Token: Access denied.\n")


def test_the_counters_hide_ids_in_routes(client: Client) -> None:
    client.callrail.reset_counters()
    client.get("calls", per_page=7)
    client.get(f"calls/{client.callrail.ids('calls')[0]}")
    client.get("tags/41")
    routes = client.callrail.requests()["routes"]
    assert routes == {
        "GET /v3/a/{acc}/calls.json": 1,
        "GET /v3/a/{acc}/calls/{id}.json": 1,
        "GET /v3/a/{acc}/tags/{id}.json": 1,
    }


def test_midnight_is_the_companys_own_when_a_company_is_named(client: Client) -> None:
    companies = client.get("companies")["companies"]
    chicago = next(company["id"] for company in companies if company["time_zone"] == "America/Chicago")
    late = client.callrail.add_call(start_time="2026-08-20T23:30:00-05:00", company=chicago)
    day: dict[str, Any] = {"start_date": "2026-08-20", "end_date": "2026-08-20"}
    assert late in {call["id"] for call in client.get("calls", company_id=chicago, **day)["calls"]}
    assert late not in {call["id"] for call in client.get("calls", **day)["calls"]}
