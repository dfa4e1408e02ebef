"""What is odd about Google Sheets, and the login that the three Google sources share."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
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
    VendorUnavailable,
    WrongUse,
)
from warehouse_pipelines.simulators.google import Google
from warehouse_pipelines.simulators.google_sheets import LEAD_HEADER, LEADS, SPENDS
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.simulators.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.sources import _google, gsheet
from warehouse_pipelines.sources.gsheet import GSHEET, MARKETING_LEADS, MARKETING_SPENDS, check, column_name
from warehouse_pipelines_tests.fetching import Read, sample
from warehouse_pipelines_tests.vendors import World, world


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Google]:
    with start(("gsheet",), contacts=120, gsheet=getattr(request, "param", {})) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0")
        yield simulators.of(Google)


@pytest.fixture
def leads(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world("gsheet_marketing_lead", database_url, monkeypatch, contacts=120) as it:
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
        monkeypatch.setattr(gsheet, "SCOPES", ("drive.metadata.readonly",))
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

    def test_sheet_empty_first_cell_keeps_column(self, leads: World) -> None:
        """A-073: the first data row has no source, which says nothing about the column."""
        assert read().records[0]["source"] is None
        leads.sync()
        row = leads.query("SELECT * FROM gsheet_marketing_lead ORDER BY row_number")
        assert row[0]["source"] is None
        assert row[1]["source"]
        assert isinstance(row[1]["date"], date)
        assert {type(one["form_submit_zipcode"]) for one in row} == {str}

    def test_serial_dates_are_in_the_time_zone_of_the_sheet(self, google: Google) -> None:
        google.insert_row(
            LEADS, **{"Date": "2002-12-31", "Created At": "2022-12-31T23:59:59", "Email": "a@example.test"}
        )
        row = read().records[-1]
        assert (row["date"], row["created_at"]) == ("2002-12-31", "2022-12-31T23:59:59-05:00")
        google.insert_row(LEADS, **{"Created At": 44926.99998842592, "Date": 37621, "Email": "b@example.test"})
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

    def test_an_edit_during_the_read_begins_it_anew(self, google: Google) -> None:
        google.set_fault("slow", path="/values/", seconds=0)
        before = google.table(LEADS)
        original, edits = google.values, iter([True, False, False])

        def values(*args: Any) -> Answer:
            answer = original(*args)
            if next(edits, False):
                google.insert_row(LEADS, 2, **{"Email": "new@example.test"})
            return answer

        google.values = values  # type: ignore[method-assign]
        rows = read(page_size=10).records
        assert len(rows) == len(before) + 1
        assert rows[0]["email"] == "new@example.test"

    def test_a_sheet_that_never_rests_is_left_alone(self, google: Google) -> None:
        original = google.values

        def values(*args: Any) -> Answer:
            google.touch(LEADS)
            return original(*args)

        google.values = values  # type: ignore[method-assign]
        with pytest.raises(VendorUnavailable, match="edited"):
            read().finished()

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
            monkeypatch.setattr(gsheet, "client", _to(listener.url))
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

    return lambda extraction, title, scopes, host="www": Client(extraction, title=title, base_url=url, headers={})


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

    def test_an_expected_header_that_is_missing_keeps_the_old_rows(self, leads: World) -> None:
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
        assert "header" not in reading.extraction.noticed

    def test_unknown_duplicate_and_blank_headers_are_reported_and_kept(self, google: Google) -> None:
        google.set_header(LEADS, [*LEAD_HEADER, "Notes", 2026])
        google.insert_row(LEADS, **{"Email": "a@example.test", "Weather": "rain", "2026": "x", "": "stray"})
        reading = read()
        row = reading.records[-1]
        assert (row["weather"], row["2026"], row["column_o"]) == ("rain", "x", "stray")
        noticed = reading.extraction.noticed
        assert noticed["unknown_headers"] == ["weather", "notes_2", "2026"]
        assert (noticed["duplicate_headers"], noticed["blank_headers"]) == (["notes"], ["column_o"])
        assert "page_url" in noticed["absent_columns"]

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
    def test_nothing_is_read_when_drive_says_that_the_version_is_the_same(self, leads: World) -> None:
        leads.sync()
        leads.simulator.reset_counters()
        result = leads.sync()
        assert (result.status, result.mode, result.processed, result.deleted) == ("success", "delta", 0, 0)
        assert [path for path in paths(leads.simulator) if path != "/token"] == [f"/drive/v3/files/{LEADS}"]
        assert leads.sync(full=True).processed == len(leads.rows())

    def test_row_insert_does_not_duplicate_leads(self, leads: World) -> None:
        """X-34: the rows below move and stay the rows they were."""
        leads.sync()
        before = leads.rows()
        leads.simulator.insert_row(LEADS, 2, **{"Date": "2026-05-01", "Email": "new@example.test"})
        result = leads.sync()
        after = leads.rows()
        assert (result.created, result.deleted) == (1, 0)
        assert len(after) == len(before) + 1
        assert all(after[key]["row_number"] == row["row_number"] + 1 for key, row in before.items())
        assert all(after[key]["content_hash"] == row["content_hash"] for key, row in before.items())

    def test_equal_rows_are_counted_and_a_sorted_sheet_is_the_same(self, leads: World) -> None:
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

    def test_what_people_type_into_other_columns_costs_no_row(self, leads: World) -> None:
        leads.simulator.insert_row(LEADS, **{"Email": "a@example.test", "Call Attempts": "two", "Created At": "soon"})
        assert leads.sync().status == "success"
        (row,) = leads.query("SELECT * FROM gsheet_marketing_lead WHERE email = 'a@example.test'")
        assert (row["call_attempts"], row["created_at"], row["raw_data"]["call_attempts"]) == (None, None, "two")
