"""Pages with the answers: each question, as each role sees it, in a range of days."""

from collections.abc import Iterator

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving.pages.answers import CHARTS, DATED
from warehouse_pipelines.unified.answers import NAMES, answers
from warehouse_pipelines_tests.harness.crm_database import A, B, add, session
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import program


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with warehouse.session(shared_url) as found:
        found.execute("""
            INSERT INTO marts.funnel_daily (day, source, division, rep, zip, leads, appointments, visits, sold,
                installed, paid, lost, sold_amount, paid_amount, cohort_appointments, cohort_visits, cohort_sold,
                cohort_sold_amount)
            SELECT date '2026-03-01' + n, '<b>radio</b>', '', '', '', 10, 0, 0, 0, 0, 0, 0, 0, 0, 5, 4, 2, 1000
            FROM generate_series(0, 9) AS n
            """)
    with session(shared_url, role=None, keep=True) as connection:
        leads = [
            (
                organization,
                add(connection, "leads", organization_id=organization, first_name=name, last_name="Lovelace"),
            )
            for organization, name in ((A, "Ada"), (B, "Secret"))
        ]
    with warehouse.session(shared_url) as found:
        for organization, lead in leads:
            found.execute(
                "INSERT INTO marts.follow_up_recommendations (organization_id, lead_id, priority, codes, reasons,"
                " channel, channels, status, due_on, expires_at, bases) VALUES"
                " (%s, %s, 90, '{}', '{Asked.}', 'call', '{call}', 'new', current_date, now() + interval '1 day',"
                " '{consent}')",
                [organization, lead],
            )
    with serving(shared_url) as made:
        yield made


@pytest.fixture(scope="module")
def viewer(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "viewer") as client:
        yield client


@pytest.fixture(scope="module")
def operator(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "operator") as client:
        yield client


def test_every_question_is_answered_for_every_role(viewer: httpx.Client, operator: httpx.Client) -> None:
    listed = viewer.get("/answers").text
    for name in NAMES:
        assert f'href="/answers/{name}"' in listed
        for client, given in ((viewer, {}), (operator, {}), (operator, {"clear": "1"})):
            answer = client.get(f"/answers/{name}", params=given)
            assert answer.status_code == 200, (name, answer.text)
            assert "The SQL that answers it" in answer.text


def test_charts_and_ranges_are_of_columns_that_there_are(serve: Serving) -> None:
    with warehouse.session(serve.url) as found:
        for name, chart in CHARTS.items():
            cursor = found.execute(f"SELECT * FROM answers.{name} LIMIT 0")
            columns = {column.name for column in cursor.description or ()}
            assert {chart.across, *sum(chart.measured, ())} <= columns, name
    for name, (mart, _, _) in DATED.items():
        assert f"FROM {mart} AS" in answers()[name].select


def test_a_range_of_days_is_that_of_the_mart(viewer: httpx.Client) -> None:
    assert '<td class="count">100</td>' in viewer.get("/answers/funnel").text
    page = viewer.get("/answers/funnel", params={"from": "2026-03-02", "to": "2026-03-04"}).text
    assert '<td class="count">30</td>' in page
    assert "day &gt;= &#39;2026-03-02&#39;" in page, "the SQL that is shown has it"
    assert "&lt;b&gt;radio" in page
    assert "<b>" not in page
    assert "Nothing is found in these days" in viewer.get("/answers/funnel?from=2030-01-01").text
    for name in DATED:
        assert viewer.get(f"/answers/{name}?from=2026-03-02&to=9999-12-31").status_code == 200, name
    for day in ("yesterday", "2026-13-01", "'; DROP", "2026-3-1"):
        assert viewer.get("/answers/funnel", params={"from": day}).status_code == 422, day


def test_people_are_masked_and_those_of_others_are_not_shown(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    masked = viewer.get("/answers/follow_up").text
    assert "A. L." in masked
    assert "S. L." not in masked
    assert viewer.get("/answers/follow_up?clear=1").status_code == 403
    clear = operator.get("/answers/follow_up?clear=1").text
    assert "Ada Lovelace" in clear
    assert "Secret" not in clear
    with warehouse.session(serve.url) as found:
        rows = found.execute("SELECT what FROM access.clear_view WHERE relation = 'answers.follow_up'").fetchall()
    assert {row["what"] for row in rows} == {"list"}
    view = operator.get("/tables/answers.follow_up?clear=1").text
    assert "Ada Lovelace" in view
    assert "Secret" not in view, "the view reads as whoever asks"


@pytest.mark.parametrize("name", ["nothing", "funnel;drop", "..%2fetc", "FUNNEL", "answers.funnel", "%00"])
def test_there_is_no_other_question(viewer: httpx.Client, name: str) -> None:
    assert viewer.get(f"/answers/{name}").status_code == 404


def test_answers_take_their_right(serve: Serving) -> None:
    with program(serve.address, serve.url, "admin", scopes=["data.read"]) as client:
        for path in ("/answers", "/answers/funnel"):
            assert client.get(path).status_code == 403
