"""What is odd about Google Sheets, and the login that the three Google sources share."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    WrongUse,
)
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.simulators.google.marketing import LEAD_HEADER, LEADS, SPENDS
from warehouse_pipelines.simulators.google.sheet import CellError
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.sources import _google
from warehouse_pipelines.sources.gsheet import GSHEET, client
from warehouse_pipelines.sources.gsheet.entities import MARKETING_LEADS, MARKETING_SPENDS
from warehouse_pipelines.sources.gsheet.rows import GSheetReader, column_name
from warehouse_pipelines.sources.gsheet.source import check
from warehouse_pipelines_tests.harness.fetching import Read, sample
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, serve_vendor, source_harness


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Google]:
    with serve_vendor("gsheet", monkeypatch, getattr(request, "param", {}), contacts=120) as simulators:
        yield simulators.of(Google)


@pytest.fixture
def leads(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("gsheet_marketing_lead", database_url, monkeypatch, contacts=120) as it:
        yield it


def read(entity: Any = MARKETING_LEADS, **how: Any) -> Read:
    return Read(GSHEET, entity, **how)


def paths(google: Google) -> list[str]:
    return [entry["path"] for entry in google.requests()["log"]]


class TestLogin:
    def test_one_token_serves_many_requests(self, google: Google) -> None:
        read().finished()
        read(MARKETING_SPENDS).finished()
        assert paths(google).count("/token") == 1

    def test_a_token_that_was_refused_in_mid_run_is_renewed_once(self, google: Google) -> None:
        google.set_fault("unauthorized", path="/values/", times=1, after=1)
        assert len(read().records) == len(google.table(LEADS))
        assert paths(google).count("/token") == 2

    def test_a_refused_service_account_is_for_a_person(self, google: Google) -> None:
        google.configure(revoked=True)
        with pytest.raises(CredentialRefused, match="invalid_grant"):
            read().finished()
        assert paths(google) == ["/token"]

    def test_a_file_that_is_no_key_is_named(self, google: Google, tmp_path: Path, monkeypatch: Any) -> None:
        (tmp_path / "key.json").write_text('{"type": "authorized_user"}')
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        with pytest.raises(NotConfigured, match="GOOGLE_APPLICATION_CREDENTIALS"):
            read().finished()
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
        with pytest.raises(NotConfigured, match="GOOGLE_APPLICATION_CREDENTIALS"):
            read().finished()

    def test_a_token_without_the_scope_lacks_a_permission(self, google: Google, monkeypatch: Any) -> None:
        monkeypatch.setattr(client, "SCOPES", ("drive.metadata.readonly",))
        with pytest.raises(PermissionMissing):
            read().finished()

    def test_a_stranger_s_signature_is_refused(self, google: Google, tmp_path: Path, monkeypatch: Any) -> None:
        """The simulator checks RS256, so the assertion that is sent is a real one."""
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import rsa

        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        described = json.loads(google.key_file().read_text()) | {"private_key": pem.decode()}
        (tmp_path / "key.json").write_text(json.dumps(described))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        with pytest.raises(CredentialRefused):
            read().finished()

    @pytest.mark.parametrize("policy", ["429", "403"])
    def test_too_fast_is_asked_again(self, google: Google, policy: str) -> None:
        google.set_fault("rate_limit", path="/drive/", times=2, policy=policy)
        assert read().records

    def test_check_says_it_in_one_line(self, google: Google) -> None:
        assert "\n" not in check()

    def test_nothing_of_google_is_imported_before_it_is_needed(self) -> None:
        assert not any(name.startswith("google") for name in vars(_google))


class TestReading:
    def test_blank_and_ragged_rows_do_not_end_it(self, google: Google) -> None:
        rows = read().records
        assert len(rows) == len(google.table(LEADS)) < len(google.sheets[LEADS][0].order)
        assert [row["_row_number"] for row in rows] == [row["row"] for row in google.table(LEADS)]
        assert rows[-1]["weather"] is None

    def test_sheet_empty_first_cell_keeps_column(self, leads: SourceHarness) -> None:
        """The first data row has no source, which says nothing about the column."""
        assert read().records[0]["source"] is None
        leads.sync()
        row = leads.query("SELECT * FROM gsheet_marketing_lead ORDER BY row_number")
        assert row[0]["source"] is None
        assert row[1]["source"]
        assert isinstance(row[1]["date"], date)
        assert {type(one["form_submit_zipcode"]) for one in row} == {str}

    def test_serial_dates_are_in_the_time_zone_of_the_sheet(self, google: Google) -> None:
        google.insert_row(
            LEADS, None, **{"Date": "2002-12-31", "Created At": "2022-12-31T23:59:59", "Email": "a@example.test"}
        )
        row = read().records[-1]
        assert (row["date"], row["created_at"]) == ("2002-12-31", "2022-12-31T23:59:59-05:00")
        google.insert_row(LEADS, None, **{"Created At": 44926.99998842592, "Date": 37621, "Email": "b@example.test"})
        row = read().records[-1]
        assert (row["date"], row["created_at"]) == ("2002-12-31", "2022-12-31T23:59:59-05:00")

    def test_stretches_are_as_long_as_asked(self, google: Google) -> None:
        whole = read().records
        google.reset_counters()
        assert read(page_size=7).records == whole
        assert google.requests()["page_sizes"]["7"] >= len(whole) // 7

    def test_an_answer_for_other_rows_is_refused(self, google: Google) -> None:
        google.set_fault("repeat_page", path="/values/", after=2, times=1)
        with pytest.raises(CursorStuck):
            read(page_size=10).finished()

    def test_an_edit_during_the_read_begins_it_anew(self, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
        google.set_fault("slow", path="/values/", seconds=0)
        before = google.table(LEADS)
        original, edits = google.values, iter([True, False, False])

        def values(*args: Any) -> Answer:
            answer = original(*args)
            if next(edits, False):
                google.insert_row(LEADS, 2, **{"Email": "new@example.test"})
            return answer

        monkeypatch.setattr(google, "values", values)
        rows = read(page_size=10).records
        assert len(rows) == len(before) + 1
        assert rows[0]["email"] == "new@example.test"

    @pytest.mark.parametrize("spare", [20, 0])
    def test_a_sheet_that_never_rests_is_read_in_one_answer(
        self, google: Google, monkeypatch: pytest.MonkeyPatch, spare: int
    ) -> None:
        """Somebody inserts a row on top before each answer, so only rows of one answer fit together.

        Without spare rows the grid grows, and the last row is not where it was.
        """
        google.sheet_of(LEADS).spare_rows = spare
        original = google.values

        def values(*args: Any) -> Answer:
            google.insert_row(LEADS, 2, **{"Email": f"new{len(google.sheets[LEADS][0].order)}@example.test"})
            return original(*args)

        monkeypatch.setattr(google, "values", values)
        reading = read(page_size=20)
        rows = reading.records
        assert len(rows) == len(google.table(LEADS))
        assert [row["_row_number"] for row in rows] == [row["row"] for row in google.table(LEADS)]
        assert len({row["_id"] for row in rows}) == len(rows)
        assert reading.context.noted["edited_during_reads"] == 2
        assert reading.report.next_state
        version = google.described(LEADS)["version"]
        assert reading.report.next_state["version"] != version  # so the next run reads what was edited since

    def test_rows_that_are_deleted_during_the_read_begin_it_anew(
        self, google: Google, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Google refuses rows that the grid does not have any more."""
        original, shrinks = google.values, iter([False, False, True])
        google.sheet_of(LEADS).spare_rows = 0

        def values(*args: Any) -> Answer:
            if next(shrinks, False):
                google.keep_rows(LEADS, 3)
                google.touch(LEADS)
            return original(*args)

        monkeypatch.setattr(google, "values", values)
        reading = read(page_size=20)
        assert [row["_row_number"] for row in reading.records] == [2, 3, 4]
        assert reading.context.noted["edited_during_reads"] == 1

    def test_rows_that_are_deleted_before_their_cells_are_asked_about_end_no_run(
        self, google: Google, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = google.insert_row(LEADS, Notes={"text": "#1"})
        google.insert_row(LEADS, **{"Lead Set": False, "Call Attempts": 2})
        google.sheet_of(LEADS).spare_rows = 0
        original, asked = google.values, iter([False, True])

        def values(*args: Any) -> Answer:
            answer = original(*args)
            if next(asked, False):
                google.keep_rows(LEADS, 3)
            return answer

        monkeypatch.setattr(google, "values", values)
        reading = read()
        assert [row["_row_number"] for row in reading.records][-2:] == [last - 1, last + 1]
        assert f"H{last} (LOADING)" in str(reading.report.unproven)

    def test_edits_elsewhere_in_the_file_cost_a_second_read(
        self, google: Google, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = google.values

        def values(*args: Any) -> Answer:
            google.touch(LEADS)
            return original(*args)

        monkeypatch.setattr(google, "values", values)
        whole = read(page_size=20)
        assert len(whole.records) == len(google.table(LEADS))
        assert whole.context.noted["edited_during_reads"] == 1

    def test_a_million_empty_rows_cost_few_requests(self, google: Google) -> None:
        google.add_empty_rows(LEADS, 1_000_000)
        google.insert_row(LEADS, None, **{"Email": "last@example.test"})
        rows = read().records
        assert [row["_row_number"] for row in rows] == [row["row"] for row in google.table(LEADS)]
        assert google.requests()["routes"]["GET /v4/spreadsheets/{id}/values/{range}"] <= 12

    def test_rows_below_a_gap_are_found(self, google: Google) -> None:
        for _ in range(40):
            google.insert_row(LEADS)
        google.insert_row(LEADS, None, **{"Email": "below@example.test"})
        rows = read(page_size=5).records
        assert rows[-1]["email"] == "below@example.test"
        assert [row["_row_number"] for row in rows] == [row["row"] for row in google.table(LEADS)]

    def test_a_row_in_which_nobody_entered_anything_is_no_record(self, google: Google) -> None:
        """Boxes over a whole column, and formulas that were dragged down; who enters anything is there."""
        made = {"formula": "=YEAR(A2)", "value": 1899}
        unfilled: list[dict[str, Any]] = [
            {"Lead Set": False},
            {"Lead Set": False, "Phone": {"formula": "=Form!G9*1", "value": 0}, "Date": 0, "Email": " "},
            {"Lead Set": False, "Call Attempts": made},
            {"Call Attempts": made, "Total Job Value": {"formula": "=P2*1", "value": 2.5}},
            {"Lead Set": False, "Call Attempts": made, "Notes": {"error": "N_A"}},
        ]
        kept: list[dict[str, Any]] = [
            {"Lead Set": True},
            {"Call Attempts": 3},
            {"Source": "Radio", "Lead Set": False},
            {"Date": "2026-05-01"},
            {"Email": "a@example.test", "Call Attempts": made},
        ]
        for cells in (*unfilled, *kept):
            google.insert_row(LEADS, None, **cells)
        people = len(google.table(LEADS)) - 5
        reading = read()
        assert len(reading.records) == people
        assert reading.context.noted["unfilled_rows"] == 5
        assert [row["source"] for row in reading.records[-5:]] == [None, None, "Radio", None, None]

    def test_a_postcode_that_was_typed_as_a_number_gets_back_its_zeros(self, google: Google) -> None:
        codes = [1970, 501, 45402, {"text": "1970"}, 12]
        for code in codes:
            cells = {"Email": "a@example.test", "Form Submit Zipcode": code, "Call Attempts": 1970}
            google.insert_row(LEADS, None, **cells)
        rows = read().records[-len(codes) :]
        assert [row["form_submit_zipcode"] for row in rows] == ["01970", "00501", 45402, "1970", 12]
        assert {row["call_attempts"] for row in rows} == {1970}
        google.set_properties(LEADS, locale="de_DE")
        assert read().records[-len(codes)]["form_submit_zipcode"] == 1970

    def test_an_uploaded_workbook_ends_the_run(self, google: Google) -> None:
        google.become_xlsx(LEADS)
        with pytest.raises(RequestRefused, match="not supported"):
            read().finished()

    def test_the_documented_answer_is_read_as_the_notes_say(self, google: Google, monkeypatch: Any) -> None:
        values = sample("google_values")

        def answer(request: Request) -> Answer:
            if request.path == "/drive/v3/files/1AbC":
                return answer_json(200, {"version": "88", "modifiedTime": "2026-05-02T13:00:00.000Z"})
            if request.path == "/v4/spreadsheets/1AbC":
                return answer_json(200, sample("google_spreadsheet"))
            rows = [values["values"][:1], values["values"][1:]]["A2" in request.path]
            return answer_json(200, {**values, "range": request.path.rpartition("/")[2], "values": rows})

        loose = replace(MARKETING_LEADS, expected="email")
        listener = Listener("127.0.0.1", 0, answer)
        try:
            monkeypatch.setattr(_google, "client", _to(listener.url))
            monkeypatch.setenv("GSHEET_MARKETING_LEAD_SPREADSHEET_ID", "1AbC")
            rows = read(loose).records
        finally:
            listener.close()
        assert [(row["_row_number"], row["email"], row["zip"]) for row in rows] == [
            (2, "a@example.test", "01970"),
            (4, "b@example.test", None),
        ]


def _to(url: str) -> Any:
    from warehouse_pipelines.sources._http import Client

    return lambda context, title, scopes, host="www": Client(context, title=title, base_url=url, headers={})


class TestHeader:
    def test_moved_columns_are_found(self, google: Google) -> None:
        before = read().records
        google.set_header(LEADS, list(reversed(LEAD_HEADER)))
        after = read().records
        mine = MARKETING_LEADS.columns.keys() - {"content_hash"}
        for name in mine:
            paths = MARKETING_LEADS.columns[name].paths
            assert [[row.get(path) for path in paths] for row in after] == [
                [row.get(path) for path in paths] for row in before
            ]

    @pytest.mark.parametrize("title", ["email", " EMAIL ", "E Mail"])
    def test_names_are_compared_trimmed_and_without_case(self, google: Google, title: str) -> None:
        google.rename_header(LEADS, "Email", title)
        if column_name(title) == "email":
            assert read().records[1]["email"]
        else:
            with pytest.raises(AnswerChanged, match="email"):
                read().finished()

    def test_an_expected_header_that_is_missing_keeps_the_old_rows(self, leads: SourceHarness) -> None:
        leads.sync()
        before = leads.rows()
        leads.simulator.rename_header(LEADS, "Phone", "Telefon")
        with pytest.raises(AnswerChanged, match=r"lacks phone.*telefon"):
            leads.sync()
        assert leads.rows() == before
        leads.simulator.rename_header(LEADS, "Telefon", "Phone Number")
        assert leads.sync().status == "success"
        assert leads.living() == set(before)

    def test_a_sheet_without_a_header_tells_nobody_s_name(self, google: Google) -> None:
        google.set_header(LEADS, ["Ana", "Rivera", "ana@example.test"])
        reading = read()
        with pytest.raises(AnswerChanged) as refused:
            reading.finished()
        assert "rivera" not in str(refused.value).lower()
        assert "header" not in reading.context.noted

    def test_unknown_duplicate_and_blank_headers_are_reported_and_kept(self, google: Google) -> None:
        google.set_header(LEADS, [*LEAD_HEADER, "Notes", 2026])
        google.insert_row(LEADS, None, **{"Email": "a@example.test", "Weather": "rain", "2026": "x", "": "stray"})
        reading = read()
        row = reading.records[-1]
        assert (row["weather"], row["2026"], row["column_o"]) == ("rain", "x", "stray")
        noticed = reading.context.noted
        assert noticed["unknown_headers"] == ["weather", "notes_2", "2026"]
        assert (noticed["duplicate_headers"], noticed["blank_headers"]) == (["notes"], ["column_o"])
        assert "page_url" in noticed["absent_columns"]

    def test_no_two_columns_have_one_name(self, google: Google) -> None:
        """``notes_2`` is what the third is called; the second must not take its place in ``raw_data``."""
        google.set_header(LEADS, [*LEAD_HEADER, "Notes", "Notes 2", "Column O", "Column V"])
        cells = {"Notes": "a", "Notes 2": "b", "Column O": "c", "": "d", "Column V": "e"}
        google.insert_row(LEADS, None, **{"Email": "a@example.test", **cells})
        google.edit_row(LEADS, google.table(LEADS)[-1]["row"], beyond=["f"])
        record = read().records[-1]
        assert (record["notes"], record["notes_3"], record["notes_2"]) == ("a", "a", "b")
        assert (record["column_o"], record["column_o_2"]) == ("c", "d")
        assert (record["column_v"], record["column_v_2"]) == ("e", "f")

    def test_cells_beyond_the_header_are_kept(self, google: Google) -> None:
        google.edit_row(LEADS, 2, beyond=["far out"])
        google.edit_row(LEADS, 2, Weather="rain")
        assert read().records[0]["column_r"] == "far out"

    def test_a_renamed_tab_names_those_that_are_there(self, google: Google) -> None:
        google.rename_tab(LEADS, "Leads 2026")
        with pytest.raises(WrongUse, match="Leads 2026"):
            read().finished()

    def test_a_tab_with_a_quote_is_asked_for(self, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
        google.rename_tab(SPENDS, "Ana's spend")
        monkeypatch.setenv("GSHEET_MARKETING_SPEND_RANGE", "'Ana''s spend'!A:H")
        assert len(read(MARKETING_SPENDS).records) == len(google.table(SPENDS))


class TestSnapshot:
    def test_nothing_is_read_when_drive_says_that_the_version_is_the_same(self, leads: SourceHarness) -> None:
        leads.sync()
        leads.simulator.reset_counters()
        result = leads.sync()
        assert (result.status, result.mode, result.processed, result.deleted) == ("success", "delta", 0, 0)
        assert [path for path in paths(leads.simulator) if path != "/token"] == [f"/drive/v3/files/{LEADS}"]
        assert leads.sync(full=True).processed == len(leads.rows())

    def test_row_insert_does_not_duplicate_leads(self, leads: SourceHarness) -> None:
        """The rows below move and stay the rows they were."""
        leads.sync()
        before = leads.rows()
        leads.simulator.insert_row(LEADS, 2, **{"Date": "2026-05-01", "Email": "new@example.test"})
        result = leads.sync()
        after = leads.rows()
        assert (result.created, result.deleted) == (1, 0)
        assert len(after) == len(before) + 1
        assert all(after[key]["row_number"] == row["row_number"] + 1 for key, row in before.items())
        assert all(after[key]["content_hash"] == row["content_hash"] for key, row in before.items())

    def test_rows_that_nobody_filled_in_stop_no_sheet_when_they_are_left_out(
        self, leads: SourceHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Earlier versions loaded them; their number is no sign of another sheet, nor of a formula that failed."""
        with monkeypatch.context() as before:
            before.setattr(GSheetReader, "empty_unfilled", lambda *given: None)
            for _ in range(120):
                leads.simulator.insert_row(LEADS, **{"Lead Set": False, "Call Attempts": {"formula": "=1", "value": 1}})
            leads.simulator.insert_row(LEADS, Source="Radio")
            assert leads.sync().status == "success"
        people = leads.living()
        leads.simulator.insert_row(LEADS, Email="new@example.test")
        result = leads.sync()
        assert (result.status, result.created, result.deleted) == ("success", 1, 120)
        assert len(leads.living()) == len(people) - 119
        assert leads.query("SELECT 1 FROM gsheet_marketing_lead WHERE source = 'Radio' AND NOT archived")

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_equal_rows_are_counted_and_a_sorted_sheet_is_the_same(self, leads: SourceHarness) -> None:
        for _ in range(3):
            leads.simulator.insert_row(LEADS, **{"Date": "2026-05-01", "Email": "twin@example.test"})
        leads.sync()
        count = leads.query("SELECT count(*) FROM gsheet_marketing_lead WHERE email = 'twin@example.test'")
        assert count == [{"count": 3}]
        keys = leads.living()
        leads.simulator.sort_rows(LEADS, "Email")
        result = leads.sync()
        assert (result.created, result.deleted) == (0, 0)
        assert leads.living() == keys

    def test_what_people_type_into_other_columns_costs_no_row(self, leads: SourceHarness) -> None:
        leads.simulator.insert_row(LEADS, **{"Email": "a@example.test", "Call Attempts": "two", "Created At": "soon"})
        assert leads.sync().status == "success"
        (row,) = leads.query("SELECT * FROM gsheet_marketing_lead WHERE email = 'a@example.test'")
        assert (row["call_attempts"], row["created_at"], row["raw_data"]["call_attempts"]) == (None, None, "two")

    @pytest.mark.parametrize(("hours", "mode"), [(22, "delta"), (24, "full")])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_values_that_formulas_bring_are_read_once_a_day(self, leads: SourceHarness, hours: int, mode: str) -> None:
        """IMPORTRANGE and the like change what a sheet shows and not the version of its file."""
        leads.sync()
        version = leads.simulator.described(LEADS)["version"]
        leads.simulator.recalculate(LEADS, 3, Notes="imported")
        assert leads.simulator.described(LEADS)["version"] == version
        leads.execute(
            "UPDATE orchestration.sync_history SET configuration = jsonb_set(configuration, '{state,read_at}',"
            f" to_jsonb(now() - interval '{hours} hours'))"
        )
        result = leads.sync()
        assert (result.status, result.mode, result.updated) == ("success", mode, int(mode == "full"))
        count = leads.query("SELECT count(*) FROM gsheet_marketing_lead WHERE notes = 'imported'")
        assert count == [{"count": int(mode == "full")}]
        assert leads.sync().mode == "delta"


class TestErrorCells:
    """What a formula shows while it has no value is no data, and says nothing of what is there."""

    @pytest.mark.parametrize("error", ["REF", "N_A", "LOADING", "ERROR"])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_sheet_that_shows_one_error_keeps_its_rows(self, leads: SourceHarness, error: str) -> None:
        """60 rows of a formula, then for a moment one cell that shows an error and nothing else."""
        leads.sync()
        before = leads.rows()
        hidden = leads.simulator.keep_rows(LEADS, 1)
        columns = dict.fromkeys(LEAD_HEADER, "")
        leads.simulator.edit_row(LEADS, 2, **{**columns, "Date": {"error": error}})
        result = leads.sync()
        assert (result.status, result.processed, result.deleted) == ("partial", 0, 0)
        assert f"'Leads'!A2 ({error})" in str(result.reason)
        assert leads.rows() == before
        assert len(before) > 30

        leads.simulator.show_rows(LEADS, hidden)
        leads.simulator.sheets[LEADS][0].changes.clear()
        result = leads.sync()  # the version is that of the read with the error, which therefore left no state
        assert (result.status, result.mode, result.created, result.deleted) == ("success", "full", 0, 0)
        assert leads.living() == set(before)

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_an_error_keeps_what_its_cell_said_before(self, leads: SourceHarness) -> None:
        leads.simulator.edit_row(LEADS, 2, Notes="call after five", Division="Dayton")
        leads.sync()
        before = leads.rows()
        leads.simulator.edit_row(LEADS, 2, Notes={"error": "LOADING"}, Division="Toledo")
        leads.simulator.delete_row(LEADS, leads.simulator.table(LEADS)[-1]["row"])
        result = leads.sync()
        assert (result.status, result.updated, result.deleted) == ("partial", 1, 0)
        assert "'Leads'!H2 (LOADING)" in str(result.reason)
        (row,) = leads.query("SELECT * FROM gsheet_marketing_lead WHERE row_number = 2")
        assert (row["notes"], row["raw_data"]["notes"], row["division"]) == (
            "call after five",
            "call after five",
            "Toledo",
        )
        assert leads.living() == set(before)

        leads.simulator.edit_row(LEADS, 2, Notes="call at noon")
        result = leads.sync()
        assert (result.status, result.deleted) == ("success", 1)

    def test_a_new_row_with_an_error_is_loaded_without_it(self, leads: SourceHarness) -> None:
        """A lookup that finds nothing may show #N/A for good; the lead is there all the same."""
        leads.simulator.insert_row(LEADS, **{"Email": "new@example.test", "Division": {"error": "N_A"}})
        assert leads.sync().status == "partial"
        (row,) = leads.query("SELECT * FROM gsheet_marketing_lead WHERE email = 'new@example.test'")
        assert (row["division"], row["raw_data"]["division"]) == (None, None)

    def test_a_row_of_which_an_error_hides_who_it_is_about_is_left_out(self, leads: SourceHarness) -> None:
        """With another e-mail it would be another row; that of before stays."""
        leads.sync()
        before = leads.rows()
        leads.simulator.edit_row(LEADS, 2, Email={"error": "REF"})
        leads.simulator.edit_row(LEADS, 3, Email={"error": "REF"})
        result = leads.sync()
        assert (result.status, result.processed, result.created, result.deleted) == ("partial", len(before) - 2, 0, 0)
        assert "'Leads'!F2 (REF) shows an error and 1 more cells do. 2 rows were not loaded" in str(result.reason)
        assert leads.living() == set(before)

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_an_error_that_stays_is_told_once_and_stops_no_deletion_after_a_day(self, leads: SourceHarness) -> None:
        """A lookup that finds nothing shows #N/A for good."""
        leads.sync()
        count = len(leads.living())
        leads.simulator.edit_row(LEADS, 2, Division={"error": "N_A"})
        leads.simulator.delete_row(LEADS, leads.simulator.table(LEADS)[-1]["row"])
        result = leads.sync()
        assert (result.status, result.processed, result.deleted) == ("partial", count - 1, 0)
        assert "(N_A)" in str(result.reason)

        self.age(leads, "division", hours=22)
        result = leads.sync()
        assert (result.status, result.reason, result.processed, result.deleted) == ("success", None, count - 1, 0)
        assert result.metrics["noticed"]["error_cells"] == 1

        self.age(leads, "division", hours=3)
        result = leads.sync()
        assert (result.status, result.mode, result.deleted) == ("success", "full", 1)
        assert len(leads.living()) == count - 1

        result = leads.sync()
        assert (result.status, result.mode, result.processed) == ("success", "delta", 0)

        leads.simulator.insert_row(LEADS, **{"Email": "new@example.test", "Division": {"error": "N_A"}})
        result = leads.sync()
        assert (result.status, result.mode, result.created) == ("success", "full", 1)

        leads.simulator.edit_row(LEADS, 3, Notes={"error": "REF"})
        leads.simulator.delete_row(LEADS, leads.simulator.table(LEADS)[-1]["row"])
        result = leads.sync()
        assert (result.status, result.deleted) == ("partial", 0)
        assert "'Leads'!H3 (REF) shows an error and 1 more cells do" in str(result.reason)

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_an_error_that_came_back_is_a_new_one(self, leads: SourceHarness) -> None:
        leads.simulator.edit_row(LEADS, 2, Division={"error": "N_A"})
        assert leads.sync().status == "partial"
        self.age(leads, "division", hours=25)
        assert leads.sync().status == "success"
        leads.simulator.edit_row(LEADS, 2, Division="Dayton")
        assert leads.sync().status == "success"
        leads.simulator.edit_row(LEADS, 2, Division={"error": "N_A"})
        assert leads.sync().status == "partial"

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_rows_that_an_error_hides_are_tombstoned_never_and_read_once_a_day(self, leads: SourceHarness) -> None:
        leads.sync()
        before = leads.living()
        leads.simulator.edit_row(LEADS, 2, Email={"error": "REF"})
        assert leads.sync().status == "partial"
        self.age(leads, "email", hours=25)
        result = leads.sync()
        assert (result.status, result.deleted, leads.living()) == ("partial", 0, before)
        result = leads.sync()
        assert (result.mode, result.processed) == ("delta", 0)

    @staticmethod
    def age(leads: SourceHarness, column: str, hours: int) -> None:
        """Let the errors of a column have begun so many hours earlier."""
        path = f"{{state,errors_in_{column}}}"
        leads.execute(
            f"UPDATE orchestration.sync_history SET configuration = jsonb_set(configuration, '{path}', to_jsonb("
            f"(configuration #>> '{path}')::timestamptz - interval '{hours} hours'), false)"
            f" WHERE configuration #> '{path}' IS NOT NULL"
        )

    def test_an_error_in_the_header_loads_nothing(self, leads: SourceHarness) -> None:
        """An IMPORTRANGE in the first cell brings header and rows, or an error and nothing."""
        leads.sync()
        before = leads.rows()
        header = leads.simulator.sheets[LEADS][0].header
        leads.simulator.sheets[LEADS][0].header = [CellError("REF")]
        leads.simulator.touch(LEADS)
        result = leads.sync()
        assert (result.status, result.processed, result.deleted) == ("partial", 0, 0)
        assert "'Leads'!A1 (REF)" in str(result.reason)
        assert leads.rows() == before
        leads.simulator.sheets[LEADS][0].header = header
        assert leads.sync().status == "success"

    @pytest.mark.parametrize("text", ["#REF!", "#1 choice", "to be continued...", "Loading…"])
    def test_a_text_that_looks_like_an_error_is_a_text(self, leads: SourceHarness, text: str) -> None:
        leads.simulator.edit_row(LEADS, 2, Notes={"text": text})
        assert leads.sync().status == "success"
        (row,) = leads.query("SELECT * FROM gsheet_marketing_lead WHERE row_number = 2")
        assert row["notes"] == text

    def test_a_cell_that_was_still_loading_is_an_error(self, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
        """When it is asked about it has its value, and the read has not."""
        google.edit_row(LEADS, 2, Notes={"error": "LOADING"})
        original = google.values

        def values(*args: Any) -> Answer:
            answer = original(*args)
            if "A2" in args[2]:
                google.recalculate(LEADS, 2, Notes="loaded")
            return answer

        monkeypatch.setattr(google, "values", values)
        reading = read()
        assert reading.records[0]["notes"] is None
        assert "H2" in str(reading.report.unproven)

    def test_only_what_looks_like_an_error_is_asked_about(self, google: Google) -> None:
        read().finished()
        route = "GET /v4/spreadsheets/{id}"
        assert google.requests()["routes"][route] == 1
        google.edit_row(LEADS, 5, Notes={"text": "#1"}, Weather={"text": "#2"})
        google.edit_row(LEADS, 9, Notes={"text": "#1"})
        google.reset_counters()
        read().finished()
        assert google.requests()["routes"][route] == 2


class TestLocale:
    def test_a_text_and_a_date_of_the_same_time_are_the_same(self, leads: SourceHarness) -> None:
        leads.simulator.insert_row(LEADS, **{"Email": "a@example.test", "Created At": {"text": "2025-01-02 12:00:00"}})
        leads.simulator.insert_row(LEADS, **{"Email": "b@example.test", "Created At": "2025-01-02T12:00:00"})
        leads.simulator.insert_row(LEADS, **{"Email": "c@example.test", "Created At": {"text": "2025-01-02T12:00:00Z"}})
        leads.sync()
        rows = leads.query(
            "SELECT created_at FROM gsheet_marketing_lead WHERE email ~ '^[abc]@example.test$' ORDER BY email"
        )
        assert [row["created_at"].hour for row in rows] == [17, 17, 12]

    def test_an_offset_instead_of_a_zone_is_read(self, leads: SourceHarness) -> None:
        leads.simulator.set_properties(LEADS, time_zone="GMT-07:00")
        leads.simulator.insert_row(LEADS, **{"Email": "a@example.test", "Created At": "2025-07-02T12:00:00"})
        assert leads.sync().status == "success"
        (row,) = leads.query("SELECT created_at FROM gsheet_marketing_lead WHERE email = 'a@example.test'")
        assert row["created_at"] == datetime(2025, 7, 2, 19, tzinfo=UTC)

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_zone_that_nobody_knows_is_named(self, leads: SourceHarness) -> None:
        """UTC in its place would shift every time of the sheet, and nobody would see it."""
        leads.sync()
        before = leads.rows()
        leads.simulator.set_properties(LEADS, time_zone="Mars/Olympus")
        with pytest.raises(WrongUse, match=r"'Marketing' \(GSHEET_MARKETING_LEAD_SPREADSHEET_ID\).*'Mars/Olympus'"):
            leads.sync()
        assert leads.rows() == before

    @pytest.mark.parametrize(
        ("locale", "day", "time", "amount", "at", "number"),
        [
            ("en_US", "05/06/2026", "12/31/2025 14:05", "$1,250.00", (2026, 5, 6), "1250.00"),
            ("en_GB", "05/06/2026", "31/12/2025 14:05", "£1,250.00", (2026, 6, 5), "1250.00"),
            ("de_DE", "05.06.2026", "31.12.2025 14:05", "1.250,00 €", (2026, 6, 5), "1250.00"),
        ],
    )
    def test_texts_are_read_as_their_sheet_would(
        self, leads: SourceHarness, locale: str, day: str, time: str, amount: str, at: tuple[int, int, int], number: str
    ) -> None:
        leads.simulator.set_properties(LEADS, locale=locale)
        texts = {"Date": day, "Created At": time, "Total Job Value": amount}
        cells = {name: {"text": text} for name, text in texts.items()}
        for person in range(40):
            leads.simulator.insert_row(LEADS, **{"Email": f"typed{person}@example.test", **cells})
        assert leads.sync().status == "success"
        rows = leads.query("SELECT * FROM gsheet_marketing_lead WHERE email LIKE 'typed%%'")
        assert len(rows) == 40
        assert {(row["date"], row["created_at"], str(row["total_job_value"])) for row in rows} == {
            (date(*at), datetime(2025, 12, 31, 19, 5, tzinfo=UTC), number)
        }

    @pytest.mark.parametrize("locale", ["es_PR", "en_CA"])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_date_that_nobody_can_tell_is_counted_as_lost(self, leads: SourceHarness, locale: str) -> None:
        leads.simulator.set_properties(LEADS, locale=locale)
        texts = {"Date": {"text": "05/06/2026"}, "Created At": {"text": "05/06/2026 12:00"}}
        for person in range(40):
            leads.simulator.insert_row(LEADS, **{"Email": f"typed{person}@example.test", **texts})
        result = leads.sync()
        assert (result.status, result.metrics["warnings"]) == ("partial", {"warn:date": 40, "warn:created_at": 40})
        rows = leads.query("SELECT * FROM gsheet_marketing_lead WHERE email LIKE 'typed%%'")
        assert {(row["date"], row["created_at"]) for row in rows} == {(None, None)}
        assert {row["raw_data"]["date"][:10] for row in rows} == {"05/06/2026"}


class TestMergedCells:
    def test_the_rows_of_a_merged_cell_have_its_value(self, google: Google) -> None:
        for _ in range(2):
            google.insert_row(SPENDS, 2, Channel="Radio", Campaign="Storm", Amount=5)
        google.insert_row(SPENDS, 2, Date="2026-05-01", Channel="Mailer", Campaign="Storm", Amount=9)
        google.merge_cells(SPENDS, "Date", 2, 4)
        google.merge_cells(SPENDS, "Amount", 2, 3)
        reading = read(MARKETING_SPENDS, page_size=2)
        rows = reading.records[:4]
        assert [row["date"] for row in rows[:3]] == ["2026-05-01"] * 3
        assert rows[3]["date"] != "2026-05-01"
        assert [row["amount"] for row in rows[:3]] == [9, None, 5]
        assert reading.context.noted["merged_numbers"] == ["amount"]

    def test_a_merged_cell_makes_no_row_of_a_blank_one(self, google: Google) -> None:
        count = len(read(MARKETING_SPENDS).records)
        google.insert_row(SPENDS, 2)
        google.insert_row(SPENDS, 2, Date="2026-05-01", Channel="Mailer", Campaign="Storm", Amount=9)
        google.merge_cells(SPENDS, "Date", 2, 3)
        assert len(read(MARKETING_SPENDS).records) == count + 1
