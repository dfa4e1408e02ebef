"""What the simulated Google lets a program write, held against Google's descriptions of its APIs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.simulators.google.drive import FOLDER, ROOT, SHARED_ROOT
from warehouse_pipelines.simulators.google.simulator import OFFICE, Google
from warehouse_pipelines.simulators.server import start

EVENTS = f"/calendar/v3/calendars/{CREWS[0]}/events"
DRAFT = {
    "summary": "Inspection",
    "start": {"dateTime": "2026-12-01T09:00:00Z"},
    "end": {"dateTime": "2026-12-01T10:00:00Z"},
}
MEET = {"conferenceData": {"createRequest": {"requestId": "1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}}}
ALL = {"supportsAllDrives": "true"}


class Caller:
    """A program with a token."""

    def __init__(self, google: Google, scopes: str = "calendar.events drive", act_for: str = OFFICE) -> None:
        self.url = google.url
        from google.auth import crypt, jwt

        key = json.loads(google.key_file().read_text())
        now = int(time.time())
        claims = {
            "iss": key["client_email"], "aud": key["token_uri"], "iat": now, "exp": now + 3600,
            "scope": " ".join(f"https://www.googleapis.com/auth/{scope}" for scope in scopes.split()),
            **({"sub": act_for} if act_for else {}),
        }  # fmt: skip
        assertion = jwt.encode(crypt.RSASigner.from_service_account_info(key), claims).decode()
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        self.granted = httpx.post(key["token_uri"], data=form)
        self._token = self.granted.json().get("access_token", "")

    def __call__(self, method: str, path: str, body: Any = None, etag: str = "", **params: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._token}", **({"If-Match": etag} if etag else {})}
        answer = httpx.request(method, f"{self.url}{path}", json=body, params=params, headers=headers)
        found: Any = answer.json() if answer.content else None
        return answer.status_code, found["error"]["errors"][0]["reason"] if answer.is_error else found


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    with start(("gcalendar", "gdrive"), contacts=30) as simulators:
        yield simulators.of(Google)


@pytest.fixture
def call(google: Google) -> Caller:
    return Caller(google)


class TestCalendar:
    def test_an_id_is_used_once_for_ever(self, call: Caller) -> None:
        status, event = call("POST", EVENTS, {**DRAFT, "id": "abcde1"})
        assert (status, event["id"], event["status"], event["sequence"]) == (200, "abcde1", "confirmed", 0)
        assert call("POST", EVENTS, {**DRAFT, "id": "abcde1"}) == (409, "duplicate")
        assert call("DELETE", f"{EVENTS}/abcde1") == (204, None)
        assert call("DELETE", f"{EVENTS}/abcde1") == (410, "deleted")
        assert call("POST", EVENTS, {**DRAFT, "id": "abcde1"}) == (409, "duplicate")

    @pytest.mark.parametrize("wrong", ["abcd", "abcdX", "abcdw", "ab-cde"])
    def test_an_id_is_base32hex(self, call: Caller, wrong: str) -> None:
        assert call("POST", EVENTS, {**DRAFT, "id": wrong}) == (400, "invalid")

    def test_another_etag_is_refused(self, call: Caller) -> None:
        _, event = call("POST", EVENTS, {**DRAFT, "id": "abcde2"})
        _, changed = call("PATCH", f"{EVENTS}/abcde2", {"summary": "x"}, etag=event["etag"])
        assert (changed["summary"], changed["start"], changed["sequence"]) == ("x", DRAFT["start"], 0)
        assert call("PATCH", f"{EVENTS}/abcde2", {"summary": "y"}, etag=event["etag"]) == (412, "conditionNotMet")
        assert call("DELETE", f"{EVENTS}/abcde2", etag=event["etag"]) == (412, "conditionNotMet")

    def test_a_cancelled_event_can_be_confirmed_again(self, call: Caller) -> None:
        call("POST", EVENTS, {**DRAFT, "id": "abcde3"})
        _, cancelled = call("PATCH", f"{EVENTS}/abcde3", {"status": "cancelled"})
        assert (cancelled["status"], cancelled["summary"]) == ("cancelled", "Inspection")
        assert call("PATCH", f"{EVENTS}/abcde3", {"status": "confirmed"})[1]["status"] == "confirmed"

    def test_a_conference_is_made_once_for_a_request_and_with_the_version_alone(self, call: Caller) -> None:
        assert "hangoutLink" not in call("POST", EVENTS, {**DRAFT, **MEET, "id": "abcde4"})[1]
        _, first = call("PATCH", f"{EVENTS}/abcde4", MEET, conferenceDataVersion=1)
        _, again = call("PATCH", f"{EVENTS}/abcde4", MEET, conferenceDataVersion=1)
        assert first["hangoutLink"] == again["hangoutLink"]
        _, without = call("PATCH", f"{EVENTS}/abcde4", {"conferenceData": None}, conferenceDataVersion=1)
        assert "hangoutLink" not in without

    def test_a_service_account_of_its_own_invites_nobody(self, google: Google) -> None:
        alone = Caller(google, act_for="")
        invited = {**DRAFT, "attendees": [{"email": "a@example.test"}]}
        assert alone("POST", EVENTS, invited) == (403, "forbiddenForServiceAccounts")
        assert alone("POST", EVENTS, {**DRAFT, **MEET}, conferenceDataVersion=1) == (400, "invalid")
        assert alone("POST", EVENTS, DRAFT)[0] == 200

    def test_a_scope_for_reading_does_not_write(self, google: Google) -> None:
        reader = Caller(google, "calendar.readonly drive.metadata.readonly", act_for="")
        assert reader("POST", EVENTS, DRAFT) == (403, "insufficientPermissions")
        assert reader("POST", "/drive/v3/files", {"name": "x"}) == (403, "insufficientPermissions")

    def test_a_user_may_be_acted_for_with_the_scopes_that_were_delegated(self, google: Google) -> None:
        for wrong in (Caller(google, act_for="boss@example.test"), Caller(google, "spreadsheets")):
            assert (wrong.granted.status_code, wrong.granted.json()["error"]) == (401, "unauthorized_client")

    def test_a_reader_may_not_write(self, google: Google, call: Caller) -> None:
        google.set_role(CREWS[1], "reader")
        path = f"/calendar/v3/calendars/{CREWS[1]}/events"
        assert call("POST", path, DRAFT) == (403, "requiredAccessLevel")
        assert call("GET", path)[1]["accessRole"] == "reader"


class TestDrive:
    def folder(self, call: Caller, parent: str = ROOT, **more: Any) -> Any:
        _, ids = call("GET", "/drive/v3/files/generateIds", count=1)
        body = {"id": ids["ids"][0], "name": "Contracts", "mimeType": FOLDER, "parents": [parent], **more}
        status, made = call("POST", "/drive/v3/files", body, fields="*", **ALL)
        assert status == 200
        return made

    def test_an_id_is_generated_before_and_used_once(self, call: Caller) -> None:
        made = self.folder(call)
        again = {"id": made["id"], "name": "Contracts", "mimeType": FOLDER}
        assert call("POST", "/drive/v3/files", again) == (409, "fileIdInUse")
        assert call("POST", "/drive/v3/files", {**again, "id": "made-up"}) == (400, "invalid")
        assert call("GET", "/drive/v3/files/generateIds", count=1001) == (400, "invalid")

    def test_two_folders_of_one_name_are_two(self, call: Caller) -> None:
        assert self.folder(call)["id"] != self.folder(call)["id"]

    def test_a_parent_that_is_not_there_is_refused(self, call: Caller) -> None:
        assert call("POST", "/drive/v3/files", {"name": "x", "parents": ["nowhere"]}) == (404, "notFound")

    def test_what_lies_in_a_trashed_folder_is_trashed(self, call: Caller) -> None:
        above = self.folder(call)
        below = self.folder(call, above["id"])
        call("PATCH", f"/drive/v3/files/{above['id']}", {"trashed": True})
        assert call("GET", f"/drive/v3/files/{below['id']}", fields="trashed")[1] == {"trashed": True}
        call("PATCH", f"/drive/v3/files/{above['id']}", {"trashed": False})
        assert call("GET", f"/drive/v3/files/{below['id']}", fields="trashed")[1] == {"trashed": False}

    def test_a_file_has_one_parent(self, call: Caller) -> None:
        one, other = self.folder(call), self.folder(call)
        moved = self.folder(call, one["id"])["id"]
        path = f"/drive/v3/files/{moved}"
        assert call("PATCH", path, {}, addParents=other["id"]) == (403, "cannotAddParent")
        _, after = call("PATCH", path, {}, addParents=other["id"], removeParents=one["id"], fields="parents")
        assert after == {"parents": [other["id"]]}

    def test_properties_are_merged_and_null_clears_one(self, call: Caller) -> None:
        made = self.folder(call, appProperties={"a": "1", "b": "2"})
        _, after = call("PATCH", f"/drive/v3/files/{made['id']}", {"appProperties": {"a": None, "c": "3"}}, fields="*")
        assert after["appProperties"] == {"b": "2", "c": "3"}

    def test_who_trashed_it_is_told_in_shared_drives_alone(self, call: Caller) -> None:
        for parent, told in ((ROOT, False), (SHARED_ROOT, True)):
            made = self.folder(call, parent)
            _, after = call("PATCH", f"/drive/v3/files/{made['id']}", {"trashed": True}, fields="*", **ALL)
            assert ("trashingUser" in after, "trashedTime" in after) == (told, told)

    def test_permissions_are_inherited_and_taken_back(self, call: Caller) -> None:
        above = self.folder(call)
        below = self.folder(call, above["id"])
        path = f"/drive/v3/files/{above['id']}/permissions"
        anna = {"type": "user", "role": "reader", "emailAddress": "anna@example.test"}
        _, given = call("POST", path, anna, sendNotificationEmail=False)
        _, listed = call("GET", f"/drive/v3/files/{below['id']}/permissions", fields="permissions(emailAddress,role)")
        assert listed == {"permissions": [{"emailAddress": "anna@example.test", "role": "reader"}]}
        assert call("POST", path, {**anna, "role": "owner of all"}) == (400, "invalid")
        assert call("PATCH", f"{path}/{given['id']}", {"role": "writer"})[1]["role"] == "writer"
        assert call("DELETE", f"{path}/{given['id']}") == (204, None)
        assert call("DELETE", f"{path}/{given['id']}") == (404, "notFound")

    def test_a_folder_that_is_shared_for_reading_takes_nothing(self, google: Google, call: Caller) -> None:
        made = self.folder(call)
        google.set_read_only(made["id"])
        refused = (403, "insufficientFilePermissions")
        assert call("POST", "/drive/v3/files", {"name": "x", "parents": [made["id"]]}) == refused
        assert call("PATCH", f"/drive/v3/files/{made['id']}", {"name": "x"}) == refused
