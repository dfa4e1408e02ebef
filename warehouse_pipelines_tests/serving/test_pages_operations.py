"""The pages of operations: what they say, who may act, and what hostile addresses and forms come to."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.observability.health import STATUS, Health, judge
from warehouse_pipelines.serving.kept import Kept
from warehouse_pipelines.serving.pages import record_check, runs, schedules, status
from warehouse_pipelines.serving.pages.standing import CrmStanding, EntityStanding
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.invented_runs import invent
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program

ERROR = "RequestRefused: person@example.test asked with token=abcdefghijklmnop"
RUN_ID = "8f14e45f-ceea-467f-a0e6-0d5b1c6f8a11"
HOSTILE = ("'; DROP TABLE orchestration.sync_history; --", "<script>alert(1)</script>", "hubspot' OR '1'='1", "%00",
           "\x00", "9" * 400, "../../etc/passwd", "{{ 7*7 }}", "ünïcödé")  # fmt: skip


class AskedDagster:
    """Stands for Dagster's webserver, which has a test of its own; keeps what it was asked."""

    def __init__(self) -> None:
        self.launched: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[str] = []

    async def launch(self, job: str, config: dict[str, Any], tags: dict[str, str]) -> str:
        self.launched.append((job, config))
        return RUN_ID

    async def cancel(self, run_id: str) -> bool:
        self.cancelled.append(run_id)
        return True

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def configured() -> Iterator[None]:
    """The settings of two CRMs."""
    with pytest.MonkeyPatch.context() as patch:
        for source in SOURCES[:2]:
            for setting in source.missing_settings():
                patch.setenv(setting, "x")
        yield


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with warehouse.session(shared_url) as session:
        invent(session, datetime.now(UTC), days=4, sources=SOURCES[:2])
        session.execute(
            "INSERT INTO orchestration.sync_history"
            " (crm_source, sync_type, start_time, end_time, status, error_message, run_id)"
            " VALUES ('hubspot', 'deals', now(), now(), 'failed', %s, %s)",
            [ERROR, RUN_ID],
        )
    with serving(shared_url, warehouse_dagster_api_url="http://127.0.0.1:1") as made:
        yield made


@pytest.fixture
def asked(serve: Serving) -> Iterator[AskedDagster]:
    former, serve.app.state.dagster = serve.app.state.dagster, AskedDagster()
    yield serve.app.state.dagster
    serve.app.state.dagster = former


@pytest.fixture(scope="module")
def viewer(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "viewer") as client:
        yield client


@pytest.fixture(scope="module")
def operator(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "operator") as client:
        yield client


def post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Send a form as a program, which needs no token of a session."""
    return client.post(path, content=urlencode(fields),
                       headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip


def newest(url: str, where: str = "true") -> int:
    rows = looking(url).execute(f"SELECT max(id) AS id FROM orchestration.sync_history WHERE {where}").fetchall()
    return int(rows[0]["id"])


def test_the_overview_lists_every_entity_that_is_configured_and_judges_as_status_does(
    serve: Serving, viewer: httpx.Client
) -> None:
    page = viewer.get("/").text
    for source in SOURCES[:2]:
        for entity in source.entities:
            assert f'href="/runs?crm={source.name}&amp;entity={entity.name}&amp;days=30">{entity.name}</a>' in page
    ill = [one for one in judge(SOURCES, url=serve.url, rules=STATUS) if one.judged and one.problems]
    said = f"<strong>{len(ill)} of " if ill else "1 incident is open."
    assert said in page
    assert all(one.problems[0] in page for one in ill)
    assert "Not configured, not judged: SalesRabbit" in page
    assert "person@example.test" not in page


def test_status_page_lists_all_crms(serve: Serving) -> None:
    """Nobody is signed in, and nothing of people or errors is said."""
    page = serve.client.get("/status")
    assert page.status_code == 200
    for source in SOURCES:
        assert source.title in page.text
    assert page.text.count('<svg class="strip"') == 2
    assert page.text.count('<rect class="') >= 2 * 90
    assert 'href="/runs"' not in page.text, "the navigation names what the visitor may open"
    told = serve.client.get("/status.json").json()
    assert [crm["name"] for crm in told["crms"]] == ["hubspot", "callrail"]
    assert [len(crm["days"]) for crm in told["crms"]] == [90, 90]
    assert sum(day["runs"] for day in told["crms"][0]["days"]) > 100
    assert told["alerts"][0].keys() == {"severity", "title", "since", "crms", "acknowledged"}
    for text in (page.text, serve.client.get("/status.json").text):
        for secret in ("person@", "RequestRefused", "answered", "3 dead letters", "avery"):
            assert secret not in text


def test_a_crm_that_nothing_syncs_is_not_up_to_date(serve: Serving) -> None:
    """An entity that is switched off says nothing of a CRM whose others are on."""
    now = datetime.now(UTC)

    def crm(
        place: int, *, days: float, enabled: bool = True, dagster: str = "running", problem: str | None = None
    ) -> Any:
        source = SOURCES[place]
        entities = [
            EntityStanding(
                source=source, entity=entity, target=timedelta(hours=2), rows=1, statuses=(), seconds=(), next_at=None,
                health=Health(crm=source.name, sync_type=entity.name, judged=True, settings_problem=problem),
                good_at=now - timedelta(days=3 if nobody else days), enabled=enabled and not nobody,
                dagster_status=dagster,
            )
            for entity, nobody in zip(source.entities[:1] * 2, (False, enabled), strict=True)
        ]  # fmt: skip
        return status._crm(CrmStanding(source, entities), {}, now.date(), now, [])

    shown = [
        crm(0, days=3, enabled=False), crm(1, days=3, dagster="stopped"), crm(2, days=0, enabled=False),
        crm(3, days=3), crm(4, days=0), crm(5, days=0, problem="Marketsharp is not configured: its key"),
    ]  # fmt: skip
    assert [one.status for one in shown] == ["off", "stopped", "ok", "late", "ok", "unset"]

    async def house() -> status.Status:
        return status.Status(now, shown, [], [])

    former, serve.app.state.status = serve.app.state.status, Kept(house, 60)
    try:
        page, told = serve.client.get("/status").text, serve.client.get("/status.json").json()
    finally:
        serve.app.state.status = former
    assert "<strong>2 of 6 CRMs are up to date.</strong>" in page
    assert "Arrivy is late. HubSpot is switched off. CallRail is stopped in Dagster." in page
    assert "its key" not in page
    assert told["status"] == "late"
    assert [one["status"] for one in told["crms"]] == ["off", "stopped", "ok", "late", "ok", "unset"]


def test_the_overview_says_once_which_settings_of_a_crm_cannot_be_used(serve: Serving, viewer: httpx.Client) -> None:
    source, problem = SOURCES[0], "HubSpot is not configured: set HUBSPOT_ACCESS_TOKEN"
    entities = [
        EntityStanding(
            source=source, entity=entity, target=timedelta(hours=2), rows=1, statuses=(), seconds=(), next_at=None,
            health=Health(
                crm=source.name, sync_type=entity.name, judged=True, settings_problem=problem, problems=(problem,)
            ),
            good_at=None, enabled=True, dagster_status="running",
        )
        for entity in source.entities[:2]
    ]  # fmt: skip

    async def standings() -> list[CrmStanding]:
        return [CrmStanding(source, entities)]

    async def healths() -> dict[tuple[str, str], Health]:
        lost = replace(entities[0].health, crm="hubspot_west", settings_problem="hubspot_west is not declared")
        return {(one.crm, one.sync_type): one for one in (lost, replace(lost, sync_type="companies"))}

    former = serve.app.state.standings, serve.app.state.health
    serve.app.state.standings, serve.app.state.health = Kept(standings, 60), Kept(healths, 60)
    try:
        page = viewer.get("/").text
    finally:
        serve.app.state.standings, serve.app.state.health = former
    needs = page[page.index('id="needs"') : page.index('class="crms"')]
    assert needs.count(problem) == needs.count("hubspot_west is not declared") == 1


def test_a_stranger_who_asks_for_the_status_often_is_told_what_is_kept(serve: Serving) -> None:
    times = {serve.client.get("/status.json").json()["at"] for _ in range(20)}
    assert len(times) <= 2


def test_what_is_kept_is_asked_for_once_by_all_who_wait() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(1)
        await asyncio.sleep(0.01)
        return len(asked)

    async def many(seconds: float) -> set[int]:
        kept = Kept(ask, seconds)
        return {*await asyncio.gather(*(kept.now() for _ in range(10)))}

    assert asyncio.run(many(60)) == {1}
    asked.clear()
    assert asyncio.run(many(0)) == {1}, "those who waited are answered, however long it took"

    async def twice() -> list[int]:
        kept = Kept(ask, 0)
        return [await kept.now(), await kept.now()]

    asked.clear()
    assert asyncio.run(twice()) == [1, 2]


def test_what_fails_fails_once_for_all_who_wait() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(1)
        await asyncio.sleep(0.01)
        if len(asked) == 1:
            raise DatabaseUnavailable("away")
        return len(asked)

    async def many() -> tuple[list[int | BaseException], int]:
        kept = Kept(ask, 60)
        return await asyncio.gather(*(kept.now() for _ in range(10)), return_exceptions=True), await kept.now()

    answers, later = asyncio.run(many())
    assert {type(one) for one in answers} == {DatabaseUnavailable}
    assert later == 2


def test_runs_are_paged_by_key_and_filtered(serve: Serving, viewer: httpx.Client) -> None:
    seen: list[str] = []
    addresses = ["/runs?crm=hubspot&entity=contacts&days=7"]
    for address in addresses:
        page = viewer.get(address).text
        seen += re.findall(r'scope="row"><a href="/runs/(\d+)"', page)
        addresses += [unescape(found) for found in re.findall(r'href="([^"]+before=\d+)"', page)]
    there = (
        looking(serve.url)
        .execute(
            "SELECT id FROM orchestration.sync_history WHERE crm_source = 'hubspot' AND sync_type = 'contacts'"
            " ORDER BY id DESC"
        )
        .fetchall()
    )
    assert seen == [str(row["id"]) for row in there]
    assert len(seen) > runs.PAGE
    failed = viewer.get("/runs?status=failed&days=1").text
    assert failed.count('<span class="state bad">failed</span>') >= 1
    assert '<span class="state good">' not in failed
    for title in ("Records read", "Seconds a run took", "Requests to vendors", "Not a success"):
        assert f'data-label="{title}"' in failed


def test_a_run_adds_up_and_hides_personal_data(serve: Serving, viewer: httpx.Client) -> None:
    run = (
        looking(serve.url)
        .execute(
            "SELECT * FROM orchestration.sync_history WHERE status = 'success' AND records_processed > 1000"
            " ORDER BY id DESC LIMIT 1"
        )
        .fetchall()[0]
    )
    page = viewer.get(f"/runs/{run['id']}").text
    assert f"= {run['records_processed']:,}." in page
    assert f"{run['records_processed']:,} records read" in page
    assert (
        sum(count for _, count, _ in runs.counts({**run, "metrics": run["performance_metrics"]}))
        == (run["records_processed"])
    )
    failed = viewer.get(f"/runs/{newest(serve.url)}").text
    assert "RequestRefused" in failed
    assert "***" in failed
    assert "person@" not in failed
    assert "abcdefghijklmnop" not in failed
    assert "/runs/8f14e45f" not in failed, "a viewer may not use Dagster"


def test_a_run_that_goes_on_is_shown_with_what_was_read_so_far(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    """On its page, in the list, and by the API, which answers from the history while Dagster is away."""
    run_id = "8f14e45f-0000-4000-8000-000000000002"
    looking(serve.url).execute(
        "INSERT INTO orchestration.sync_history (crm_source, sync_type, start_time, run_id, performance_metrics)"
        " VALUES ('hubspot', 'deals', now(), %s,"
        """ '{"total_records": 1234, "total_api_calls": 13, "vendor_reported": 5678}')""",
        [run_id],
    )
    try:
        page = viewer.get(f"/runs/{newest(serve.url)}").text
        assert "1,234 of about 5,678 records read so far" in page
        assert "nothing is loaded before" in page
        assert '<td class="count" data-label="Read">1,234</td>' in viewer.get("/runs?status=running").text
        [entity] = viewer.get(f"/api/syncs/{run_id}").json()["entities"]
        assert [entity[name] for name in ("status", "records_processed", "records_created", "api_calls")] == [
            "running", 1234, 0, 13,
        ]  # fmt: skip
        [first] = viewer.get("/api/sync-history?status=running").json()["items"]
        assert first["records_processed"] == 1234
    finally:
        looking(serve.url).execute("DELETE FROM orchestration.sync_history WHERE run_id = %s", [run_id])


def test_an_operator_reaches_the_run_in_dagster(serve: Serving, operator: httpx.Client) -> None:
    page = operator.get(f"/runs/{newest(serve.url)}").text
    assert f'href="http://127.0.0.1:3000/runs/{RUN_ID}"' in page


def test_a_sync_is_run_and_cancelled_through_dagster(
    serve: Serving, asked: AskedDagster, operator: httpx.Client, viewer: httpx.Client
) -> None:
    answer = post(operator, "/runs", what="hubspot contacts", full="on")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/runs?crm=hubspot&entity=contacts&asked={RUN_ID}"
    assert post(operator, "/runs", what="callrail all").headers["location"] == f"/runs?crm=callrail&asked={RUN_ID}"
    assert asked.launched == [
        ("sync_hubspot_contacts", {"resources": {"sync": {"config": {"full": True}}}}), ("sync_callrail_all", {}),
    ]  # fmt: skip
    assert "Dagster was asked for a sync." in operator.get(answer.headers["location"]).text
    run = newest(serve.url)
    assert post(operator, f"/runs/{run}/cancel").headers["location"] == f"/runs/{run}"
    assert asked.cancelled == [RUN_ID]
    for path, fields in (("/runs", {"what": "hubspot contacts"}), (f"/runs/{run}/cancel", {})):
        assert post(viewer, path, **fields).status_code == 403
    assert "Run a sync" not in viewer.get("/runs").text
    assert (len(asked.launched), len(asked.cancelled)) == (2, 1)


def test_dagster_that_is_away_is_said(operator: httpx.Client) -> None:
    assert post(operator, "/runs", what="hubspot contacts").status_code == 503


@pytest.mark.parametrize("what", ["", "hubspot", "nobody all", "hubspot nothing", "hubspot contacts; drop", *HOSTILE])
def test_what_cannot_be_synced_is_refused(asked: AskedDagster, operator: httpx.Client, what: str) -> None:
    assert post(operator, "/runs", what=what).status_code in (404, 422)
    assert asked.launched == []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_filters_and_ids_are_refused_and_not_repeated(operator: httpx.Client, hostile: str) -> None:
    for path in ("/runs", "/dead-letters"):
        for name in ("crm", "entity", "status", "mode", "days", "before"):
            answer = operator.get(path, params={name: hostile})
            if path == "/runs" or name in ("crm", "entity", "status", "before"):
                assert answer.status_code in (404, 422), (path, name)
            assert answer.status_code < 500
            assert "<script>alert" not in answer.text
    for name in ("asked", "rule", "replayed", "waived"):
        for path in ("/runs", "/dead-letters"):
            answer = operator.get(path, params={name: hostile, "crm": "hubspot", "entity": "contacts"})
            assert answer.status_code in (200, 422)
            assert "<script>alert" not in answer.text
    for path in ("/runs/", "/dead-letters/"):
        assert operator.get(path + hostile.replace("/", "%2F").replace("\x00", "%00")).status_code in (404, 422)


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e3", "9223372036854775808", "0x10", "١", "99999999999999"])
def test_ids_that_are_none_are_not_found(operator: httpx.Client, number: str) -> None:
    for path in (f"/runs/{number}", f"/dead-letters/{number}"):
        assert operator.get(path).status_code == 404
    assert post(operator, f"/runs/{number}/cancel").status_code == 404
    assert operator.get("/runs", params={"before": number}).status_code in (200, 404)


def test_dead_letters_are_for_who_may_handle_them(operator: httpx.Client, viewer: httpx.Client) -> None:
    for path in ("/dead-letters", "/dead-letters/1"):
        assert viewer.get(path).status_code == 403
    assert "/dead-letters" not in viewer.get("/").text
    page = operator.get("/dead-letters").text
    assert 'href="/dead-letters?crm=hubspot&amp;entity=contacts&amp;rule=key_missing&amp;status=pending"' in page
    listed = operator.get("/dead-letters?crm=hubspot&entity=contacts&rule=key_missing").text
    assert listed.count('scope="row"><a href="/dead-letters/') == 7
    assert "example.test" not in page + listed, "lists show no payload"
    assert operator.get("/dead-letters?status=waived").text.count("No dead letter is waived") == 1


def test_a_record_stands_beside_its_columns_and_the_view_is_logged(serve: Serving, operator: httpx.Client) -> None:
    number = looking(serve.url).execute("SELECT min(id) AS id FROM orchestration.dead_letter").fetchall()[0]["id"]
    page = operator.get(f"/dead-letters/{number}").text
    refused = page.partition('<tr class="refused">')[2].partition("</tr>")[0]
    assert "id is missing" in refused
    assert "avery.1@example.test" in page
    assert "not a date" in page, "what else cannot be read is said too"
    logged = (
        looking(serve.url)
        .execute(
            "SELECT u.role, v.what FROM access.clear_view AS v JOIN access.user_account AS u ON u.id = v.user_id"
            " WHERE v.relation = 'orchestration.dead_letter' ORDER BY v.id DESC LIMIT 1"
        )
        .fetchall()
    )
    assert logged == [{"role": "operator", "what": str(number)}]


def test_a_program_without_the_right_to_personal_data_sees_the_values_masked(serve: Serving) -> None:
    with program(serve.address, serve.url, "operator", scopes=("dead_letters.handle",)) as client:
        page = client.get("/dead-letters/1").text
    assert "***" in page
    assert "avery" not in page
    assert "The record as it was received" not in page


def test_dead_letters_are_waived_with_a_reason(serve: Serving, operator: httpx.Client, viewer: httpx.Client) -> None:
    assert post(operator, "/dead-letters/2/waive", reason=" ").status_code == 422
    assert post(viewer, "/dead-letters/2/waive", reason="a test row").status_code == 403
    assert post(operator, "/dead-letters/2/waive", reason="a <b>test</b> row").status_code == 303
    assert post(operator, "/dead-letters/2/waive", reason="again").status_code == 409
    assert "a &lt;b&gt;test&lt;/b&gt; row" in operator.get("/dead-letters/2").text
    given = {"crm": "hubspot", "entity": "contacts"}
    assert post(operator, "/dead-letters/waive", **given, reason="all of them").status_code == 422, "no rule"
    assert post(operator, "/dead-letters/waive", crm="hubspot", entity="x", rule="y", reason="z").status_code == 404
    answer = post(operator, "/dead-letters/waive", **given, rule="key_missing", reason="invented people")
    assert answer.headers["location"] == "/dead-letters?crm=hubspot&waived=6"
    rows = (
        looking(serve.url)
        .execute(
            "SELECT waived_by, waive_reason, count(*) AS n FROM orchestration.dead_letter GROUP BY 1, 2 ORDER BY 3"
        )
        .fetchall()
    )
    assert [(row["waive_reason"], row["n"]) for row in rows] == [("a <b>test</b> row", 1), ("invented people", 6)]
    assert all(row["waived_by"].startswith("operator-") for row in rows)


@pytest.mark.slow("programs of their own")
def test_dead_letters_are_loaded_again_by_a_process_of_its_own(database_url: str) -> None:
    given = {"crm": "hubspot", "entity": "companies"}
    with warehouse.session(database_url) as session:
        for key in ("", '"id": "17", '):
            session.execute(
                """
                INSERT INTO orchestration.dead_letter (sync_history_id, crm_source, sync_type, stage, rule,
                    error_message, payload, payload_hash, record_key)
                SELECT 1, 'hubspot', 'companies', 'coerce', 'key_missing', 'id is missing', found,
                    hashtextextended(found::text, hashtextextended('hubspot companies', 0)), found ->> 'id'
                FROM (SELECT %s::jsonb AS found) AS record
                """,
                ["{" + key + '"properties": {"name": "Example"}}'],
            )
    with serving(database_url) as served, program(served.address, served.url, "operator") as client:
        assert post(client, "/dead-letters/replay", **given).status_code == 303
        assert post(client, "/dead-letters/replay", **given).status_code == 409, "one at a time"
        assert post(client, "/dead-letters/replay", crm="hubspot", entity="none").status_code == 404
        served.app.state.replays.wait()
        page = client.get("/dead-letters", params={**given, "replayed": "yes"}).text
        assert "The replay has begun." in page
    look = looking(database_url).execute
    assert look("SELECT id, status, attempts FROM orchestration.dead_letter ORDER BY id").fetchall() == [
        {"id": 1, "status": "pending", "attempts": 2}, {"id": 2, "status": "resolved", "attempts": 1},
    ]  # fmt: skip
    assert look("SELECT name FROM hubspot_company").fetchall() == [{"name": "Example"}]
    run = look("SELECT status, configuration ->> 'mode' AS mode FROM orchestration.sync_history").fetchall()
    assert run == [{"status": "partial", "mode": "replay"}]


def test_a_browser_replays_nothing_without_the_token_of_its_session(serve: Serving) -> None:
    browser = Browser(serve.address)
    browser.login(add_user(serve.url, "operator", password=PASSWORD))
    token = browser.csrf("/schedules")
    for path in ("/runs", "/dead-letters/replay", "/dead-letters/waive", "/schedules", "/dead-letters/1/waive"):
        assert browser.post(path, {"crm": "hubspot"}).status_code == 403
        assert browser.post(path, {"crm": "hubspot", "csrf_token": token}).status_code in (404, 422)


def test_schedules_are_switched(serve: Serving, operator: httpx.Client, viewer: httpx.Client) -> None:
    page = viewer.get("/schedules").text
    assert "The next 24 hours" in page
    assert "<button name=" not in page
    assert post(viewer, "/schedules", crm="hubspot", switch="contacts delta off").status_code == 403
    assert "Switch off" in operator.get("/schedules").text

    def switched_off() -> list[str]:
        rows = (
            looking(serve.url)
            .execute("SELECT name FROM orchestration.sync_schedule WHERE NOT enabled AND mode = 'delta' ORDER BY 1")
            .fetchall()
        )
        return [row["name"] for row in rows]

    answer = post(operator, "/schedules", crm="hubspot", switch="contacts delta off")
    assert answer.headers["location"] == "/schedules?crm=hubspot#hubspot"
    assert switched_off() == ["hubspot contacts"]
    post(operator, "/schedules", crm="callrail", switch="all delta off")
    assert len(switched_off()) == 9
    for crm in ("hubspot", "callrail"):
        post(operator, "/schedules", crm=crm, switch="all delta on")
    assert switched_off() == []
    for crm, switch in (("x", "all delta on"), ("hubspot", ""), ("hubspot", "x delta on"), ("hubspot", "all x on"),
                        ("hubspot", "all delta x"), *(("hubspot", one) for one in HOSTILE)):  # fmt: skip
        assert post(operator, "/schedules", crm=crm, switch=switch).status_code in (404, 422)


NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("next_at", "span", "times"),
    [
        (NOW + HOUR, HOUR, 3), (NOW - 90 * HOUR, HOUR, 4), (NOW + 5 * HOUR, HOUR, 0), (NOW + HOUR, None, 1),
        (NOW - HOUR, None, 0),
    ],
)  # fmt: skip
def test_a_schedule_is_counted_on_from_its_next_time(next_at: datetime, span: timedelta | None, times: int) -> None:
    found = schedules.occurrences(next_at, span, NOW, NOW + 4 * HOUR)
    assert len(found) == times
    assert all(at >= NOW for at in found)


def test_the_spans_of_the_charts_begin_at_midnight_where_the_business_is() -> None:
    zone = ZoneInfo("America/New_York")
    week = runs.Filters(None, None, None, None, 7).values(zone, NOW)
    assert week["since"].isoformat() == "2026-02-23T00:00:00-05:00"
    day = runs.Filters(None, None, None, None, 1).values(zone, NOW)
    assert NOW - day["since"] < 25 * HOUR


def test_the_column_that_refused_a_record_comes_first() -> None:
    contacts = SOURCES[0].entities[0]
    found = record_check.check(contacts, '{"id": "7", "properties": {"email": "a@example.test"}}', "load", "23502",
                               'null value in column "firstname" of relation')  # fmt: skip
    assert (found[0].name, found[0].refused) == ("firstname", True)
    assert {one.name: one.value for one in found}["email"] == "a@example.test"
    assert record_check.check(contacts, "[1]", "coerce", "x", "y") == []
    assert record_check.check(contacts, "no JSON", "coerce", "x", "y") == []
    nested = "[" * 100_000
    assert record_check.check(contacts, nested, "coerce", "x", "y") == []
