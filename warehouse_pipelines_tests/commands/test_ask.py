"""``warehouse ask`` and docs/answers.md: the questions, their views, and what is the same in every demo."""

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import answers_page
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.simulators.core.population import DIVISIONS, Population
from warehouse_pipelines.simulators.genius.business import price_of
from warehouse_pipelines.simulators.genius.job_rows import REASONS
from warehouse_pipelines.unified import answers, marts
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase


@pytest.fixture(scope="module")
def written() -> str:
    return answers_page.ANSWERS_PAGE.read_text(encoding="utf-8")


def test_a_question_is_a_view_of_at_most_five_lines() -> None:
    files = {path.stem.removeprefix("answers.") for path in (sql_folder() / "views").glob("answers.*.sql")}
    assert files == set(answers.NAMES)
    for answer in answers.answers().values():
        assert answer.question.endswith("?")
        assert 1 <= len(answer.select.splitlines()) <= 5, answer.name
        assert max(map(len, answer.select.splitlines())) <= 120


def test_ask_lists_the_questions_and_knows_no_others() -> None:
    listed = CliRunner().invoke(main, ["ask"])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*answers.NAMES]
    wrong = CliRunner().invoke(main, ["ask", "rep"])
    assert wrong.exit_code == 2
    assert "Did you mean 'reps'?" in wrong.output


def test_every_question_is_answered_of_an_empty_warehouse(database_url: str) -> None:
    with warehouse.session(database_url) as session:
        marts.run(session)
    for name in answers.NAMES:
        done = CliRunner().invoke(main, ["ask", name])
        assert done.exit_code == 0, done.output
        assert answers.answers()[name].question in done.stdout


def test_ask_prints_the_question_its_sql_and_the_answer(database_url: str) -> None:
    fed = FeedDatabase(database_url)
    fed.source("genius_job", id=1, contract_number="C-1", contract_amount="1000.10", contract_date="2026-03-01")
    fed.source("genius_job_change_order", id=1, job_id=1, total_amount="-500.05")
    marts.run(fed.session, ["job_change_orders"])
    fed.close()
    done = CliRunner().invoke(main, ["ask", "change_orders"])
    assert "FROM marts.job_change_orders AS o WHERE o.passes_limit" in done.stdout
    assert all(word in done.stdout for word in ("C-1", "1,000.10", "-500.05", "-50.0"))
    (row,) = json.loads(CliRunner().invoke(main, ["ask", "change_orders", "--format", "json"]).stdout)
    assert (row["contract_number"], row["changed_amount"]) == ("C-1", "-500.05")


def test_the_page_has_these_questions_and_this_sql(written: str) -> None:
    assert answers_page.page(answers_page.written(written)) == written, (
        "run `./run demo` and `python -m warehouse_pipelines.commands.docs --answers`, and commit docs/answers.md"
    )


def test_the_page_has_the_columns_of_the_views(database_url: str, written: str) -> None:
    shown = answers_page.written(written)
    with warehouse.session(database_url) as session:
        for name in answers.NAMES:
            assert answers.ask(session, name).columns == shown[name].columns


def test_the_page_has_the_change_orders_that_the_simulators_compute(written: str) -> None:
    """A thousand people of seed 1 have 250 jobs and 200 change orders; those that are signed count."""
    jobs, orders, population = 250, 200, Population(1, 1110)
    wanted: dict[str, tuple[str, str, str, str]] = {}
    for number in range(1, orders + 1):
        job = 1 + number * jobs // (orders + 1)
        amount, price = Decimal(f"{number * 17 % 9_000 - 500}.{number % 100:02}"), Decimal(price_of(job))
        if number % 3 == 1 and abs(amount) > price / 10:  # no job has two
            wanted[f"C-{job:06}"] = (
                DIVISIONS[population.person(4 * job).place.division], f"{price:,}", f"{amount:,}",
                REASONS[number % len(REASONS)],
            )  # fmt: skip
    table = answers_page.written(written)["change_orders"]
    at = {name: place for place, name in enumerate(table.columns)}
    names = "division", "contract_amount", "changed_amount", "reasons"
    assert {row[0]: tuple(row[at[name]] for name in names) for row in table.rows} == wanted
    assert len(wanted) > 3
