"""The form of a visit to a customer: a text in which SalesPro keeps questions and answers, and what becomes of it."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.sources.salespro.entities import LEAD_RESULT_LINE_ITEMS, LEAD_RESULTS
from warehouse_pipelines.sources.salespro.fetch import encoder
from warehouse_pipelines.sources.salespro.forms import QUESTIONS, answered, in_columns, lines
from warehouse_pipelines_tests.harness.source_harness import source_harness


class TestForms:
    def test_titles_are_compared_up_to_their_first_parenthesis(self) -> None:
        form = [
            {"title": "Appointment Result ", "value": "[HRE] Demo Sold"},
            {"title": "Result Reason - Demo Not Sold (objection)", "value": "-Undecided"},
            {"title": "Both Homeowners Present?", "value": "Yes"},
            {"title": "Last PAYMENT offered", "value": "$1,234.50"},
            {"title": "Deposit Type-", "value": "Check"},
            {"title": "Measurement Tool(s) Used", "value": "Tape"},
            {"title": "Describe Rapport \\u0026 Hot Button", "value": "Dogs"},
            {"title": "Notes", "value": ""},
            {"title": "What nobody knows", "value": "kept in the form alone"},
        ]
        text = json.dumps(form).replace("\\\\u0026", "\\u0026")
        assert in_columns(answered(text) or {}) == {
            "appointment_result": "[HRE] Demo Sold",
            "status_bucket": "[HRE]",
            "result_reason_demo_not_sold": "-Undecided",
            "both_homeowners_present": "Yes",
            "last_payment_offered": "1234.50",
            "deposit_type": "Check",
            "measurement_tool": "Tape",
            "describe_rapport_hot_button": "Dogs",
        }
        assert {"notes", "st8_completed", "balance_type"} <= set(QUESTIONS.values())

    @pytest.mark.parametrize("text", [None, "", "null", "[]", '{"Notes": null}'])
    def test_an_empty_form_has_no_answers(self, text: str | None) -> None:
        assert answered(text) == {}

    @pytest.mark.parametrize(
        "text",
        [
            "no json", "[1]", '[{"value": 1}]', "3", "[{]", '[{"title": "Notes", "value": "cut o',
            "[{'title': 'Notes', 'val", '[{"q": "Notes", "a": "yes"}]', "__import__('os').getcwd()",
            "[open('/etc/passwd')]", "('x' * 9999999)", "[" * 5000,
            "[{'title': 'Notes', 'value': '" + "x" * 2**18 + "'}]",
        ],
        ids=lambda text: text[:20],
    )  # fmt: skip
    def test_what_is_no_form_is_counted_as_lost(self, text: str) -> None:
        """The visit is loaded with its text, and nobody is told that there were no answers."""
        names = ["estimate_id", "created_at", "lead_results"]
        (record,) = encoder(LEAD_RESULTS, names, ZoneInfo("UTC"))([["E1"], ["2024-01-01 00:00:00"], [text]])
        coercer = Coercer("salespro", LEAD_RESULTS)
        (row,) = coercer.table([record]).to_pylist()
        assert (row["id"], row["notes"], coercer.rejects) == ("E1", None, [])
        assert coercer.lost["notes"] == coercer.lost["result_type"] == 1
        assert text in json.loads(row["lead_results_raw"]) or json.loads(row["lead_results_raw"]) == json.loads(text)

    def test_the_lines_of_what_is_no_form_are_a_dead_letter(self) -> None:
        """As if there were none, the lines that are stored would be tombstoned."""
        names = ["estimate_id", "created_at", "lead_results"]
        (record,) = encoder(LEAD_RESULT_LINE_ITEMS, names, ZoneInfo("UTC"))(
            [["E1"], ["2024-01-01 00:00:00"], ["free text"]]
        )
        coercer = Coercer("salespro", LEAD_RESULT_LINE_ITEMS)
        assert coercer.table([record]).num_rows == 0
        assert [reject.rule for reject in coercer.rejects] == ["key_missing"]

    @pytest.mark.parametrize(
        "text",
        [
            '{"Notes": "it\'s so", "Job Size": "$5"}',
            '[{"title": "Notes", "value": "it\'s so"}, {"title": "Job Size", "value": "$5"}]',
            """[{'title': 'Notes', 'value': "it's so"}, {'title': 'Job Size', 'value': '$5', 'seen': True}]""",
            "{'Notes': \"it's so\", 'Job Size': '$5', 'Deadline': None}",
            '[{"Question": "Notes", "Answer": "it\'s so"}, {"Question": "Job Size", "Answer": "$5"}]',
            '[{"name": "Notes", "text": "it\'s so"}, {"name": "Job Size", "text": "$5"}]',
            '[["Notes", "it\'s so"], ["Job Size", "$5"]]',
            '{"by": 1, "all": [{"label": "Notes", "value": "it\'s so"}, {"label": "Job Size", "value": "$5"}]}',
            json.dumps('[{"title": "Notes", "value": "it\'s so"}, {"title": "Job Size", "value": "$5"}]'),
        ],
    )
    def test_a_form_is_read_in_any_of_the_ways_in_which_it_is_written(self, text: str) -> None:
        assert in_columns(answered(text)) == {"notes": "it's so", "job_size": "5"}

    @pytest.mark.parametrize(
        "text",
        [
            '[{"title": "Result", "val": "Sold"}]',
            '[{"title": "Result"}, {"title": "Notes", "val": "so"}]',
            "[{'Question': 'Result', 'Reply': 'Sold', 'seen': True}]",
            '{"by": 1, "all": [{"title": "Result", "val": "Sold"}]}',
        ],
    )
    def test_answers_whose_value_has_an_unknown_name_are_counted_as_lost(self, text: str) -> None:
        assert answered(text) == text
        names = ["estimate_id", "created_at", "lead_results"]
        (record,) = encoder(LEAD_RESULTS, names, ZoneInfo("UTC"))([["E1"], ["2024-01-01 00:00:00"], [text]])
        coercer = Coercer("salespro", LEAD_RESULTS)
        (row,) = coercer.table([record]).to_pylist()
        assert (row["id"], row["result_type"], coercer.rejects) == ("E1", None, [])
        assert coercer.lost["result_type"] == coercer.lost["notes"] == 1

    @pytest.mark.parametrize("text", ['[{"title": "Result"}]', '[{"title": "Result", "value": null, "seen": true}]'])
    def test_a_question_without_an_answer_is_not_lost(self, text: str) -> None:
        assert answered(text) == {}

    @pytest.mark.parametrize(
        "photos",
        [[{"name": "a.jpg"}], [{"name": "a.jpg", "size": 5}], [{"name": "a.jpg", "text": "front"}], [{"url": "a"}]],
    )
    def test_an_answer_that_is_a_list_does_not_hide_the_others(self, photos: Any) -> None:
        form = {"Result": "Sold", "Photos": photos, "Price Quoted": "100"}
        found = answered(json.dumps(form))
        assert isinstance(found, dict)
        assert (found["result"], found["price quoted"]) == ("Sold", "100")
        assert in_columns(found) == {"appointment_result": "Sold"}
        jobs = answered(json.dumps({"Job Type 1": "-Roofing", "Photos": photos}))
        assert [line["job_type"] for line in lines(jobs) if isinstance(line, dict)] == ["-Roofing"]

    def test_a_wrapping_is_known_by_any_of_its_answers(self) -> None:
        form = {"by": 1, "all": [{"title": "Greeting"}, {"title": "Result", "value": "Sold"}]}
        assert in_columns(answered(json.dumps(form))) == {"appointment_result": "Sold"}
        own = {"Favourite Colour": "blue", "Photos": [{"name": "a.jpg", "size": 5}]}
        assert answered(json.dumps(own)) == {"favourite colour": "blue", "photos": str(own["Photos"])}

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_forms_that_cannot_be_read_make_the_run_partial(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Counted and warned of at once; one of many is no alarm, a fifth of them is."""
        with source_harness("salespro_lead_result", database_url, monkeypatch, contacts=300) as it:
            ids = it.simulator.ids("lead_results")
            it.simulator.edit_silently("lead_results", ids[0], lead_results="free text, of Zebedee")
            first = it.sync()
            assert first.status == "success"
            assert first.metrics["values_lost"]["notes"]["lost"] == 1
            assert first.metrics["warnings"]["warn:notes"] == 1
            assert "Zebedee" not in caplog.text
            for number, key in enumerate(ids[:40]):
                cut = ("[{'title': 'Notes', 'val", "it went well", '[{"q": "Notes", "a": "so"}]')[number % 3]
                it.simulator.edit_silently("lead_results", key, lead_results=cut)
            it.simulator.edit_silently("lead_results", ids[50], lead_results="[{'title': 'Notes', 'value': 'python'}]")
            result = it.sync(full=True)
            assert (result.status, result.failed) == ("partial", 0)
            assert "values_lost" in it.history()[-1]["error_message"]
            rows = it.rows()
            assert rows[ids[50],]["notes"] == "python"
            assert rows[ids[1],]["raw_data"]["lead_results"] == "it went well"

    def test_lines_are_the_numbered_job_types_or_the_one(self) -> None:
        numbered = {
            "job type 2": "-Siding",
            "job type 2 amount": "$2,000.00",
            "job type 1": "-Roofing",
            "job type": "x",
        }
        assert list(lines(numbered)) == [
            {"number": "1", "job_type": "-Roofing", "amount": None},
            {"number": "2", "job_type": "-Siding", "amount": "2000.00"},
        ]
        assert list(lines({"job type": "-Solar", "customer's final price commitment": "$9"})) == [
            {"number": "1", "job_type": "-Solar", "amount": "9"}
        ]
        assert list(lines({"job size": "$9"})) == []


class TestInTheWarehouse:
    def test_an_old_result_that_is_edited_is_found_within_a_day(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("salespro_lead_result", database_url, monkeypatch) as it:
            it.driver.prepare(it.entity)
            it.sync()
            oldest, newest = it.simulator.ids("lead_results")[0], it.simulator.ids("lead_results")[-1]
            for key in (oldest, newest):
                it.simulator.answers(key, Notes="edited")
            it.sync()
            assert it.rows()[newest,]["notes"] == "edited"
            assert it.rows()[oldest,]["notes"] != "edited"
            it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '25 hours'")
            it.sync()
            assert it.rows()[oldest,]["notes"] == "edited"

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_line_item_that_is_edited_away_is_tombstoned(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("salespro_lead_result_line_item", database_url, monkeypatch) as it:
            it.driver.prepare(it.entity)
            key = it.simulator.ids("lead_results")[-1]
            it.simulator.answers(key, **{"Job Type 1": "a", "Job Type 2": "b", "Job Type 2 Amount": "$5.00"})
            it.sync()
            assert (it.rows()[key, "2"]["job_type"], it.rows()[key, "2"]["job_type_amount"]) == ("b", 5)
            it.simulator.answers(key, **{"Job Type 1": "a"})
            assert it.sync().deleted == 1
            assert it.rows()[key, "2"]["archived"]

    def test_a_form_fills_its_columns(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with source_harness("salespro_lead_result", database_url, monkeypatch) as it:
            key = it.driver.create(it.entity)
            assert key is not None
            it.simulator.answers(
                key[0], **{"Result": "[CC] Rescheduled", "One Year Price": "$12,000.50", "Job Size": "about $9"}
            )
            it.sync()
            row = it.rows()[key]
            assert (row["result_type"], row["status_bucket"]) == ("[CC] Rescheduled", "[CC]")
            assert (str(row["one_year_price"]), row["job_size"]) == ("12000.50", None)
            assert row["lead_results_raw"][0] == {"title": "Result", "value": "[CC] Rescheduled"}
            assert row["raw_data"]["lead_results"].startswith('[{"title"')
            assert (row["lead_id"], row["updated_at"]) == (None, None)
