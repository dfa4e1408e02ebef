"""The simulated Google, held against what the vendor notes say."""

import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.google.answers import masked
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.simulators.google.drive import FOLDER, ROOT, SHARED_DRIVE, folder_id
from warehouse_pipelines.simulators.google.marketing import LEADS
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.simulators.server import start

SCOPES = ("spreadsheets.readonly", "calendar.readonly", "drive.metadata.readonly")


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    with start(("gsheet", "gcalendar", "gdrive"), contacts=60) as simulators:
        assert len(set(simulators.urls().values())) == 1
        yield simulators.of(Google)


@pytest.fixture
def token(google: Google) -> str:
    from google.auth import crypt, jwt

    key = json.loads(google.key_file().read_text())
    claims = {
        "iss": key["client_email"],
        "aud": key["token_uri"],
        "iat": int(time.time()),
        "exp": int(time.time()) + 3600,
        "scope": " ".join(f"https://www.googleapis.com/auth/{scope}" for scope in SCOPES),
    }
    assertion = jwt.encode(crypt.RSASigner.from_service_account_info(key), claims)
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    body = httpx.post(key["token_uri"], data={"grant_type": grant, "assertion": assertion.decode()}).json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    return str(body["access_token"])


def ask(google: Google, token: str, path: str, **params: str) -> tuple[int, Any]:
    answer = httpx.get(f"{google.url}{path}", params=params or None, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("error", answer.json())


def test_a_stranger_is_refused(google: Google) -> None:
    status, error = ask(google, "stranger", f"/drive/v3/files/{ROOT}")
    assert (status, error["errors"][0]["reason"]) == (401, "authError")


class TestSheets:
    def values(self, google: Google, token: str, asked: str, **params: str) -> tuple[int, Any]:
        return ask(google, token, f"/v4/spreadsheets/{LEADS}/values/{urllib.parse.quote(asked, safe='')}", **params)

    def test_rows_are_ragged_and_an_empty_one_is_a_list(self, google: Google, token: str) -> None:
        _, body = self.values(google, token, "Leads", valueRenderOption="UNFORMATTED_VALUE")
        lengths = {len(row) for row in body["values"]}
        assert 0 in lengths
        assert len(lengths) > 2
        assert body["range"] == "Leads!A1:Z41"

    def test_without_cells_there_is_no_list(self, google: Google, token: str) -> None:
        _, body = self.values(google, token, "Leads!A30:B35")
        assert body.keys() == {"range", "majorDimension"}

    def test_a_date_is_a_serial_number_or_a_text(self, google: Google, token: str) -> None:
        plain = self.values(google, token, "Leads!A2:A2", valueRenderOption="UNFORMATTED_VALUE")[1]["values"]
        text = self.values(google, token, "Leads!A2:A2")[1]["values"]
        assert isinstance(plain[0][0], int)
        assert text[0][0].count("/") == 2

    @pytest.mark.parametrize("asked", ["Nowhere!A:B", "Leads!A99999:B99999"])
    def test_a_range_that_is_not_there_is_an_error(self, google: Google, token: str, asked: str) -> None:
        status, error = self.values(google, token, asked)
        assert (status, error["status"]) == (400, "INVALID_ARGUMENT")

    def test_an_error_is_a_text_among_the_values_and_an_error_in_the_grid(self, google: Google, token: str) -> None:
        google.edit_row(LEADS, 3, Notes={"error": "REF"}, Weather={"text": "#REF!"})
        for option in ("FORMATTED_VALUE", "UNFORMATTED_VALUE"):
            _, body = self.values(google, token, "Leads!H3:Q3", valueRenderOption=option)
            assert (body["values"][0][0], body["values"][0][-1]) == ("#REF!", "#REF!")
        fields = "sheets(data(rowData(values(effectiveValue(errorValue(type),stringValue)))))"
        query = urllib.parse.urlencode([("ranges", "Leads!H3:H4"), ("ranges", "Leads!Q3:Q3"), ("fields", fields)])
        _, body = ask(google, token, f"/v4/spreadsheets/{LEADS}?{query}")
        ((first, second),) = [sheet["data"] for sheet in body["sheets"]]
        assert first["rowData"][0] == {"values": [{"effectiveValue": {"errorValue": {"type": "REF"}}}]}
        assert second["rowData"] == [{"values": [{"effectiveValue": {"stringValue": "#REF!"}}]}]

    def test_merges_and_settings_of_the_file_are_told(self, google: Google, token: str) -> None:
        google.merge_cells(LEADS, "Notes", 5, 7)
        google.set_properties(LEADS, locale="en_GB")
        _, body = ask(google, token, f"/v4/spreadsheets/{LEADS}")
        assert (body["properties"]["locale"], body["properties"]["timeZone"]) == ("en_GB", "America/New_York")
        (merge,) = body["sheets"][0]["merges"]
        assert merge == {
            "sheetId": 0, "startRowIndex": 4, "endRowIndex": 7, "startColumnIndex": 7, "endColumnIndex": 8,
        }  # fmt: skip
        _, values = self.values(google, token, "Leads!H5:H7")
        assert not any(values.get("values", [])[1:])

    def test_a_formula_s_new_value_is_no_new_version(self, google: Google, token: str) -> None:
        _, before = ask(google, token, f"/drive/v3/files/{LEADS}", fields="version")
        google.recalculate(LEADS, 4, Notes="imported")
        assert ask(google, token, f"/drive/v3/files/{LEADS}", fields="version")[1] == before
        assert self.values(google, token, "Leads!H4")[1]["values"] == [["imported"]]

    def test_many_ranges_are_answered_in_order(self, google: Google, token: str) -> None:
        _, body = ask(google, token, f"/v4/spreadsheets/{LEADS}/values:batchGet", ranges="Leads!A1:B1")
        assert body["valueRanges"][0]["range"] == "Leads!A1:B1"


class TestCalendar:
    path = f"/calendar/v3/calendars/{CREWS[0]}/events"

    def test_a_sync_token_stands_only_on_the_last_page(self, google: Google, token: str) -> None:
        _, first = ask(google, token, self.path, maxResults="15")
        _, last = ask(google, token, self.path, maxResults="15", pageToken=first["nextPageToken"])
        assert "nextSyncToken" not in first
        assert "nextPageToken" not in last
        google.delete_event(CREWS[0], "ev0000001")
        _, changed = ask(google, token, self.path, syncToken=last["nextSyncToken"])
        (stub,) = changed["items"]
        assert stub == {"kind": "calendar#event", "etag": stub["etag"], "id": "ev0000001", "status": "cancelled"}
        assert ask(google, token, f"{self.path}/ev0000001")[1]["status"] == "cancelled"

    @pytest.mark.parametrize(
        ("params", "status", "reason"),
        [
            ({"syncToken": "0:0", "timeMin": "2026-01-01T00:00:00Z"}, 400, "syncTokenWithRequestRestrictions"),
            ({"syncToken": "9:0"}, 410, "fullSyncRequired"),
            ({"updatedMin": "2020-01-01T00:00:00+00:00"}, 410, "updatedMinTooLongAgo"),
        ],
    )
    def test_what_is_refused(self, google: Google, token: str, params: Any, status: int, reason: str) -> None:
        found, error = ask(google, token, self.path, **params)
        assert (found, error["errors"][0]["reason"]) == (status, reason)

    @pytest.mark.parametrize(("status", "reason"), [(404, "notFound"), (403, "forbidden")])
    def test_a_calendar_that_is_not_shared_is_refused(
        self, google: Google, token: str, status: int, reason: str
    ) -> None:
        google.unshare_calendar(CREWS[1], status=status)
        found, error = ask(google, token, f"/calendar/v3/calendars/{CREWS[1]}/events")
        google.share_calendar(CREWS[1])
        assert (found, error["errors"][0]["reason"]) == (status, reason)

    def test_time_bounds_bring_no_sync_token(self, google: Google, token: str) -> None:
        _, body = ask(google, token, self.path, timeMin="2026-01-01T00:00:00Z", maxResults="2500")
        assert "nextSyncToken" not in body


class TestDrive:
    def test_four_fields_are_given_unasked(self, google: Google, token: str) -> None:
        _, body = ask(google, token, "/drive/v3/files", pageSize="5")
        assert body["files"][0].keys() == {"kind", "id", "name", "mimeType"}
        assert len(body["files"]) == 5

    def test_what_another_program_wrote_into_a_folder_is_not_shown(self, google: Google, token: str) -> None:
        _, body = ask(google, token, f"/drive/v3/files/{folder_id(1)}", fields="*")
        assert body["mimeType"] == FOLDER
        assert "appProperties" not in body

    def test_a_change_list_ends_with_a_token_for_the_next_time(self, google: Google, token: str) -> None:
        _, start = ask(google, token, "/drive/v3/changes/startPageToken")
        for name in ("a", "b", "a"):
            google.edit_file("file-0000000" if name == "a" else "file-0000001", name=name)
        _, first = ask(google, token, "/drive/v3/changes", pageToken=start["startPageToken"], pageSize="1")
        _, last = ask(google, token, "/drive/v3/changes", pageToken=first["nextPageToken"])
        assert "newStartPageToken" not in first
        assert "nextPageToken" not in last
        assert [change["fileId"] for change in (*first["changes"], *last["changes"])] == [
            "file-0000001",
            "file-0000000",
        ]
        assert ask(google, token, "/drive/v3/changes", pageToken="x")[0] == 400

    def test_removed_has_no_file_and_trashed_has(self, google: Google, token: str) -> None:
        _, start = ask(google, token, "/drive/v3/changes/startPageToken")
        google.trash_file("file-0000002")
        google.remove_file("file-0000003")
        _, body = ask(google, token, "/drive/v3/changes", pageToken=start["startPageToken"], fields="*")
        trashed, removed = body["changes"]
        assert (trashed["removed"], trashed["file"]["trashed"]) == (False, True)
        assert removed["removed"] is True
        assert "file" not in removed

    def test_shared_drives_are_shown_to_who_asks_for_them(self, google: Google, token: str) -> None:
        how = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true", "driveId": SHARED_DRIVE}
        _, all_of_it = ask(google, token, "/drive/v3/files", corpora="drive", fields="*", **how)
        _, mine = ask(google, token, "/drive/v3/files", fields="*")
        assert {one.get("driveId") for one in all_of_it["files"]} == {SHARED_DRIVE}
        assert {one.get("driveId") for one in mine["files"]} == {None}


def test_too_fast_is_429_or_403(google: Google, token: str) -> None:
    for limit_as, status in (("429", 429), ("403", 403)):
        google.configure(per_minute=0, limit_as=limit_as)
        assert ask(google, token, f"/drive/v3/files/{ROOT}")[0] == status
    google.configure(per_minute=None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", {"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}]}),
        ("a", {"a": 1}),
        ("b/c,e(f)", {"b": {"c": 2}, "e": [{"f": 4}]}),
        ("b.d,e(f,g)", {"b": {"d": 3}, "e": [{"f": 4, "g": 5}]}),
        ("e(*),nothing", {"e": [{"f": 4, "g": 5}]}),
    ],
)
def test_a_mask_leaves_what_it_names(fields: str, expected: Any) -> None:
    assert masked({"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}]}, fields) == expected
