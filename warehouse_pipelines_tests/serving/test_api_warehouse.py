"""The API on what is synced: CRMs, entities, history, schedules, tables, syncs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.serving import dagster
from warehouse_pipelines.serving.api import crms, writes
from warehouse_pipelines.serving.database import SESSIONS, Pool
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.crm_database import A, B, add, session
from warehouse_pipelines_tests.harness.http_client import PLAIN
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import program


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with warehouse.session(shared_url) as found:
        found.execute("""
            INSERT INTO hubspot_contact
                (id, email, firstname, phone, raw_data, archived, sync_created_at, sync_updated_at)
            SELECT n, 'person' || n || '@example.test', 'Ada', '+1206555' || n, '{"x": 0.1}', false, now(), now()
            FROM generate_series(1000, 1024) AS n
            """)
        found.execute("ANALYZE hubspot_contact")
        found.execute("""
            INSERT INTO hubspot_deal (id, raw_data, archived, sync_created_at, sync_updated_at)
            SELECT n, '{}', false, now(), now() FROM generate_series(1, 3) AS n
            """)
        found.execute("""
            INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status, run_id)
            SELECT 'hubspot', 'contacts', now() - n * interval '1 minute', now(), 'success', 'run-' || n
            FROM generate_series(1, 5) AS n
            """)
    with serving(shared_url, warehouse_dagster_api_url="http://127.0.0.1:1") as made:
        yield made


@pytest.fixture(scope="module")
def operator(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "operator") as client:
        yield client


@pytest.fixture(scope="module")
def viewer(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "viewer") as client:
        yield client


def test_all_crms_and_their_entities_are_listed(viewer: httpx.Client) -> None:
    found = viewer.get("/api/crms").json()["items"]
    assert [one["name"] for one in found] == [source.name for source in SOURCES]
    assert {one["configured"] for one in found} <= {True, False}
    entities = {one["name"]: one for one in viewer.get("/api/crms/hubspot/entities").json()["items"]}
    hubspot = next(source for source in SOURCES if source.name == "hubspot")
    assert [*entities] == [entity.name for entity in hubspot.entities]
    contacts = entities["contacts"]
    assert (contacts["row_count"], contacts["last_status"], contacts["table"]) == (25, "success", "hubspot_contact")
    assert viewer.get("/api/crms/salesforce/entities").status_code == 404


def test_a_small_table_is_counted_and_a_large_one_estimated(
    viewer: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autovacuum never analyses a table of fewer than 50 rows, so it has no estimate."""

    def rows() -> list[int | None]:
        found = {one["name"]: one["row_count"] for one in viewer.get("/api/crms/hubspot/models").json()["items"]}
        return [found[name] for name in ("contacts", "deals", "owners")]

    assert rows() == [25, 3, 0]
    monkeypatch.setattr(crms, "COUNTED_BYTES", -1)
    assert rows() == [25, None, None]


def test_the_history_is_paged_newest_first(viewer: httpx.Client) -> None:
    seen: list[int] = []
    given: dict[str, Any] = {"crm": "hubspot", "limit": 2}
    while True:
        page = viewer.get("/api/sync-history", params=given).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        given["before"] = page["next"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    assert viewer.get("/api/sync-history", params={"crm": "callrail"}).json()["items"] == []
    assert viewer.get("/api/sync-history", params={"before": 2**63}).status_code == 422


def test_every_schedule_is_listed(serve: Serving, viewer: httpx.Client) -> None:
    with warehouse.session(serve.url) as found:
        [row] = found.execute("SELECT count(*) AS n FROM orchestration.sync_schedule").fetchall()
    assert len(viewer.get("/api/schedules").json()["items"]) == row["n"] > 0


def test_the_schedules_of_an_entity_can_be_told_apart(serve: Serving, viewer: httpx.Client) -> None:
    callrail = next(source for source in SOURCES if source.name == "callrail")
    tags = next(entity for entity in callrail.entities if entity.name == "tags")
    with warehouse.session(serve.url) as session:
        sync_schedule.add(session, callrail, tags, name="weekly", mode="full", crontab=["0", "2", "1", "12", "0"])
        sync_schedule.add(session, callrail, tags, name="daily", mode="force7", every=timedelta(days=1))
        session.execute("""
            UPDATE orchestration.sync_schedule SET dagster_status = 'stopped', problem = 'no token'
            WHERE name = 'weekly'
            """)
    shown = ("mode", "recurrence", "every", "period", "crontab", "dagster_status", "problem")
    assert {
        one["name"]: tuple(one[name] for name in shown)
        for one in viewer.get("/api/schedules").json()["items"]
        if (one["crm"], one["entity"]) == ("callrail", "tags")
    } == {
        "callrail tags": ("delta", "interval", 1, "hours", None, None, None),
        "weekly": ("full", "crontab", None, None, "0 2 1 12 0", "stopped", "no token"),
        "daily": ("force7", "interval", 1, "days", None, None, None),
    }


def test_a_table_is_read_by_its_key_and_masked(serve: Serving, viewer: httpx.Client) -> None:
    seen: list[dict[str, Any]] = []
    given: dict[str, Any] = {"limit": 10}
    while True:
        page = viewer.get("/api/tables/hubspot_contact", params=given).json()
        seen += page["items"]
        if page["next"] is None:
            break
        given["cursor"] = page["next"]
    assert [row["id"] for row in seen] == [str(number) for number in range(1000, 1025)]
    assert page["total_estimate"] == 25
    assert page["fields"][0].keys() == {"name", "type", "meaning"}
    assert "person1000" not in str(seen)
    assert seen[0]["email"].endswith("@example.test")
    assert seen[0]["raw_data"] == {"masked": True}
    assert viewer.get("/api/tables/hubspot_contact", params={"cursor": "[1]"}).status_code == 422
    assert viewer.get("/api/tables/callrail_call", params={"cursor": '["x", "y"]'}).status_code == 422


def test_how_many_rows_all_organizations_have_is_not_told(viewer: httpx.Client) -> None:
    assert viewer.get("/api/tables/crm.leads").json()["total_estimate"] is None


def test_data_in_clear_are_for_who_may_and_each_view_is_logged(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    clear: dict[str, str | int] = {"clear": "true", "limit": 1}
    assert viewer.get("/api/tables/hubspot_contact", params=clear).status_code == 403
    row = operator.get("/api/tables/hubspot_contact", params=clear).json()["items"][0]
    assert (row["email"], row["raw_data"]) == ("person1000@example.test", {"x": 0.1})
    with warehouse.session(serve.url) as found:
        logged = found.execute("""
            SELECT u.role, v.relation, v.what
            FROM access.clear_view AS v JOIN access.user_account AS u ON u.id = v.user_id
            """).fetchall()
    assert logged == [{"role": "operator", "relation": "public.hubspot_contact", "what": "list"}]
    assert "person" not in str(operator.get("/api/tables/hubspot_contact").json()["items"]), "masked unless asked for"


def pages(client: httpx.Client, table: str, **given: Any) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.get(f"/api/tables/{table}", params=given).json()
        assert page["truncated"] is False
        found += page["items"]
        if page["next"] is None:
            return found
        given["cursor"] = page["next"]


def test_a_view_on_one_table_is_read_by_the_key_of_that_table(serve: Serving, operator: httpx.Client) -> None:
    with warehouse.session(serve.url) as found:
        found.execute("""
            INSERT INTO salesrabbit_lead (id, raw_data, archived, created_at)
            SELECT n, '{}', n % 2 = 0, timestamptz '2026-01-01' FROM generate_series(1, 50) AS n
            """)
    rows = pages(operator, "salesrabbit_lead_v1", clear="true", limit=10)
    assert sorted(int(row["id"]) for row in rows) == [*range(1, 51, 2)]
    sorted_so = operator.get("/tables/salesrabbit_lead_v1", params={"clear": 1, "sort": "created_at"})
    assert sorted_so.status_code == 422, "that is sync_created_at, and not the column that the index has"


def test_what_has_no_key_says_that_it_is_cut_off(serve: Serving, operator: httpx.Client) -> None:
    with warehouse.session(serve.url) as found:
        found.execute("""
            INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, end_time, status)
            VALUES ('hubspot', 'deals', now(), now(), 'success')
            """)
    for limit, truncated in ((1, True), (100, False)):
        given: dict[str, str | int] = {"clear": "true", "limit": limit}
        page = operator.get("/api/tables/orchestration.sync_metrics_daily", params=given).json()
        assert (page["truncated"], page["next"]) == (truncated, None)


def test_pages_of_rows_whose_keys_have_one_mask_leave_out_none(serve: Serving, viewer: httpx.Client) -> None:
    """Two postal codes with the same three digits, on one day."""
    columns = "appointments, visits, sold, installed, paid, lost, sold_amount, paid_amount"
    columns += ", cohort_appointments, cohort_visits, cohort_sold, cohort_sold_amount"
    insert = f"""
        INSERT INTO marts.funnel_daily (day, source, division, rep, zip, leads, {columns})
        SELECT date '2026-01-01' + d, 'google', 'Ohio', 'unknown', (44100 + z)::text, 1{", 0" * 12}
        FROM generate_series(0, 2) AS d, generate_series(1, 11) AS z
        """
    with warehouse.session(serve.url) as found:
        found.execute(insert.encode())
        found.execute("ANALYZE marts.funnel_daily")
    rows = pages(viewer, "marts.funnel_daily", limit=4)
    assert sum(row["leads"] for row in rows) == len(rows) == 33
    assert {row["zip"] for row in rows} == {"441**"}
    assert "row_token" not in rows[0]
    page = viewer.get("/tables/marts.funnel_daily?where=leads.from:1").text
    assert page.count("<tr><td") == 33
    assert "row_token" not in page
    lines = viewer.get("/tables/marts.funnel_daily/export.csv").text.splitlines()
    assert len(lines) == 34


def test_rows_of_crm_are_those_of_the_organization(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    with session(serve.url, role=None, keep=True) as connection:
        ours = add(connection, "leads", value_usd="12.50", first_name="Ada")
        theirs = add(connection, "leads", organization_id=B, first_name="Secret")
    for client, given in ((viewer, {}), (operator, {"clear": "true"})):
        found = client.get("/api/tables/crm.leads", params=given).json()["items"]
        assert str(ours) in str(found)
        assert str(theirs) not in str(found)
        assert {row["organization_id"] for row in found} == {A}
        assert "12.50" in [row["value_usd"] for row in found]


@pytest.mark.parametrize("table", [
    "access.user_account", "access.api_token", "orchestration.webhook_inbox", "identity.mask_key",
    "identity.erasure_key", "pg_catalog.pg_authid", "pg_authid", "information_schema.tables", "masked.hubspot_contact",
    "no_such_table", "hubspot_contact;drop", "hubspot_contact--", "public.hubspot_contact.x", "HUBSPOT_CONTACT",
])  # fmt: skip
def test_no_other_table_is_read(operator: httpx.Client, table: str) -> None:
    for clear in ("false", "true"):
        assert operator.get(f"/api/tables/{table}", params={"clear": clear}).status_code == 404, table


def test_what_is_not_there_is_not_synced(operator: httpx.Client) -> None:
    assert operator.post("/api/syncs", json={"crm": "salesforce", "entity": "x"}).status_code == 404
    assert "contacts" in operator.post("/api/syncs", json={"crm": "hubspot", "entity": "x"}).json()["detail"]
    refused = operator.post("/api/syncs", json={"crm": "hubspot", "entity": "contacts", "skip_validation": True})
    assert refused.status_code == 422
    assert operator.get("/api/syncs/not-a-run").status_code == 422


def test_without_dagster_nothing_is_claimed(serve: Serving, operator: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    answer = operator.post("/api/syncs", json={"crm": "hubspot", "entity": "contacts"}, headers=key)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Dagster" in answer.json()["detail"]
    with warehouse.session(serve.url) as found:
        assert found.execute("SELECT FROM access.idempotency_key").fetchall() == []


class LateDagster:
    """Answers like Dagster's webserver; a launch it answers too late, after it made the run or ``before``.

    It ``takes`` so long to make one, of which ``parent`` is the run that it tries again.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool, self.late, self.before = pool, True, False
        self.launched: list[dict[str, str]] = []
        self.takes = timedelta(0)
        self.parent: str | None = None
        self.lent: set[int] = set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        self.lent.add(SESSIONS - self.pool._free._value)
        if asked["query"] == dagster.JOBS:
            jobs = [{"name": "sync_hubspot_contacts"}]
            node = {"name": "r", "location": {"name": "l"}, "jobs": jobs}
            return self.say("repositoriesOrError", "RepositoryConnection", nodes=[node])
        if asked["query"] == dagster.LAUNCH:
            if not self.before:
                tags = asked["variables"]["params"]["executionMetadata"]["tags"]
                self.launched.append({tag["key"]: tag["value"] for tag in tags})
            if self.late:
                raise httpx.ReadTimeout("too late")
            return self.say("launchRun", "LaunchRunSuccess", run={"runId": run_of(len(self.launched))})
        wanted = {tag["key"]: tag["value"] for tag in asked["variables"]["tags"]}
        created = (datetime.now(UTC) + self.takes).timestamp()
        found = [
            {"runId": run_of(n), "parentRunId": self.parent, "creationTime": created, "tags": dagster._pairs(tags)}
            for n, tags in enumerate(self.launched, 1)
            if wanted.items() <= tags.items()
        ]
        return self.say("runsOrError", "Runs", results=found)

    @staticmethod
    def say(field: str, typename: str, **more: Any) -> httpx.Response:
        return httpx.Response(200, json={"data": {field: {"__typename": typename, **more}}})


def run_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


@pytest.fixture
def late(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> LateDagster:
    found = LateDagster(serve.app.state.pool)
    client = httpx.AsyncClient(transport=httpx.MockTransport(found), verify=PLAIN)
    monkeypatch.setattr(serve.app.state.dagster, "_client", client)
    return found


CONTACTS = {"crm": "hubspot", "entity": "contacts"}


def test_a_repetition_finds_the_run_that_dagster_told_of_too_late(operator: httpx.Client, late: LateDagster) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 503
    for _ in range(2):
        again = operator.post("/api/syncs", json=CONTACTS, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, run_of(1))
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == f"/api/syncs/{run_of(1)}"
    assert operator.post("/api/syncs", json={**CONTACTS, "full": True}, headers=key).status_code == 422
    assert len(late.launched) == 1
    late.late = False
    assert operator.post("/api/syncs", json=CONTACTS, headers={"Idempotency-Key": str(uuid4())}).status_code == 202
    assert operator.post("/api/syncs", json=CONTACTS).status_code == 202
    assert len(late.launched) == 3
    assert late.lent == {0}, "who waits for Dagster holds no session"


def test_a_repetition_is_not_answered_with_a_run_that_dagster_made_too_late_to_do_anything(
    operator: httpx.Client, late: LateDagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, late.takes = {"Idempotency-Key": str(uuid4())}, timedelta(minutes=6)
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 503
    late.late = False
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 503
    monkeypatch.setattr(writes, "UNDECIDED", "0 seconds")
    for replayed in (None, "true"):
        again = operator.post("/api/syncs", json=CONTACTS, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, run_of(2))
        assert again.headers.get("idempotency-replayed") == replayed
    assert len(late.launched) == 2


def test_a_late_run_that_was_started_again_is_an_answer(operator: httpx.Client, late: LateDagster) -> None:
    key, late.takes, late.parent = {"Idempotency-Key": str(uuid4())}, timedelta(minutes=6), run_of(9)
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 503
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).json()["id"] == run_of(1)


def test_what_dagster_may_still_make_is_not_asked_for_anew(
    serve: Serving, operator: httpx.Client, late: LateDagster
) -> None:
    key, late.before = {"Idempotency-Key": str(uuid4())}, True
    for _ in range(2):
        answer = operator.post("/api/syncs", json=CONTACTS, headers=key)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        late.before = late.late = False
    assert late.launched == []
    with warehouse.session(serve.url) as found:
        found.execute("UPDATE access.idempotency_key SET created_at = created_at - interval '11 minutes'")
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 202
    assert len(late.launched) == 1


def test_a_run_of_a_request_that_may_be_repeated_is_to_be_made_before_it_is_asked_for_anew(
    serve: Serving, operator: httpx.Client, late: LateDagster
) -> None:
    late.late = False
    key = {"Idempotency-Key": str(uuid4())}
    assert operator.post("/api/syncs", json=CONTACTS, headers=key).status_code == 202
    with warehouse.session(serve.url) as found:
        [row] = found.execute(
            "SELECT max(created_at) + %s::interval AS anew FROM access.idempotency_key", [writes.UNDECIDED]
        ).fetchall()
    assert datetime.now(UTC) < datetime.fromisoformat(late.launched[0][dagster.LAUNCH_BY]) < row["anew"]
    assert operator.post("/api/syncs", json=CONTACTS).status_code == 202
    assert dagster.LAUNCH_BY not in late.launched[1]


DOCUMENTS = [dagster.JOBS, dagster.LAUNCH, dagster.RUN, dagster.TAGGED, dagster.TERMINATE]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_dagster_is_asked_is_in_its_schema(document: str) -> None:
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    assert validate(create_schema().graphql_schema, parse(document)) == []
