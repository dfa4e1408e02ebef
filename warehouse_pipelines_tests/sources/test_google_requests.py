"""Requests that google-api-python-client builds go through the client of all vendors."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from warehouse_pipelines.errors import AnswerChanged, OutcomeUnknown, RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.sources._google_requests import ask, calls
from warehouse_pipelines.sources._http import Client


class Ids(msgspec.Struct):
    ids: list[str]


class Vendor:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Request] = []
        self.listener = Listener("127.0.0.1", 0, self._answer)

    def _answer(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.answers.pop(0)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0.001")
    one = Vendor()
    yield one
    one.listener.close()


def client(vendor: Vendor, context: ReadContext | None = None) -> Client:
    return Client(context or ReadContext(), title="Google", base_url=vendor.listener.url, headers={"X": "1"})


def test_path_parameters_and_body_are_those_of_the_description(vendor: Vendor) -> None:
    vendor.answers = [answer_json(200, {"ids": []})] * 2
    events = calls("calendar", "v3", "events")
    ask(
        client(vendor),
        events.list(calendarId="a/b@c", singleEvents=False, maxResults=5, eventTypes=["default", "birthday"]),
        Ids,
    )
    ask(client(vendor), events.patch(calendarId="a", eventId="e", body={"summary": "é"}), Ids, if_match='"7"')
    first, second = vendor.asked
    assert first.target.startswith("/calendar/v3/calendars/a%2Fb%40c/events?")
    assert first.query == {"singleEvents": ["false"], "maxResults": ["5"], "eventTypes": ["default", "birthday"]}
    assert (second.method, second.json(), second.headers["if-match"]) == ("PATCH", {"summary": "é"}, '"7"')
    assert second.headers["content-type"] == "application/json"
    assert second.headers["user-agent"] == "warehouse-pipelines"


def test_a_parameter_that_there_is_not_is_no_request(vendor: Vendor) -> None:
    with pytest.raises(TypeError, match="maxResult"):
        calls("calendar", "v3", "events").list(calendarId="a", maxResult=5)


def test_a_failed_request_is_asked_again_by_our_client_alone_and_counted(vendor: Vendor) -> None:
    context = ReadContext()
    vendor.answers = [Answer(503), answer_json(429, {}), answer_json(200, {"ids": ["1"]})]
    found = ask(client(vendor, context), calls("drive", "v3", "files").generateIds(count=1), Ids)
    assert (found.ids, context.calls) == (["1"], 3)


def test_a_write_whose_answer_is_lost_is_not_repeated(vendor: Vendor) -> None:
    vendor.answers = [Answer(502)]
    with pytest.raises(OutcomeUnknown):
        ask(client(vendor), calls("drive", "v3", "files").create(body={}), Ids, repeat=False)
    assert len(vendor.asked) == 1


def test_refusals_and_answers_of_another_form_are_errors_of_ours(vendor: Vendor) -> None:
    files = calls("drive", "v3", "files")
    vendor.answers = [answer_json(404, {}), answer_json(200, {"id": []}), Answer(204)]
    with pytest.raises(RequestRefused, match="404"):
        ask(client(vendor), files.get(fileId="x"), Ids)
    with pytest.raises(AnswerChanged):
        ask(client(vendor), files.generateIds(), Ids)
    assert ask(client(vendor), files.delete(fileId="x"), bytes) == b""


def test_an_api_is_kept_without_what_only_people_read() -> None:
    """With the members of all answers, the docstrings of Sheets alone take 86 MB."""
    assert len(calls("sheets", "v4", "spreadsheets").batchUpdate.__doc__) < 10_000


def test_the_library_is_imported_by_a_run_that_needs_it() -> None:
    program = (
        "import sys, warehouse_pipelines.sources, warehouse_pipelines.outbound.targets; "
        "sys.exit('googleapiclient' in sys.modules or 'httplib2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
