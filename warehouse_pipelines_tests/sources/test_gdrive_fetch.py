"""What is odd about Google Drive: a log of changes, two ways of being deleted, and a root below which one looks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, WrongUse
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.simulators.google.drive import (
    FOLDER,
    LARGE,
    ROOT,
    SHARED_DRIVE,
    SHARED_ROOT,
    SHORTCUT,
    folder_id,
)
from warehouse_pipelines.sources import gdrive
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources.gdrive import FILES, FOLDERS, GDRIVE, check
from warehouse_pipelines_tests.harness.fetching import Read, sample
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness


@pytest.fixture
def harness(
    database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SourceHarness]:
    settings = getattr(request, "param", {})
    with source_harness("pipedesk.drive_files", database_url, monkeypatch, contacts=90, **settings) as one:
        yield one


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("harness", [settings], indirect=True, ids=str)


def asked(harness: SourceHarness) -> list[str]:
    paths = [entry["path"] for entry in harness.simulator.requests()["log"]]
    return [path.removeprefix("/drive/v3/") for path in paths if path != "/token"]


def test_the_first_run_lists_and_the_next_asks_what_changed(harness: SourceHarness) -> None:
    harness.sync()
    assert asked(harness) == ["changes/startPageToken", "files"]
    harness.simulator.reset_counters()
    key = harness.simulator.create_file(name="New.pdf")
    result = harness.sync()
    assert (result.mode, result.created, result.processed) == ("delta", 1, 1)
    assert asked(harness) == ["changes"]
    assert (key,) in harness.living()


def test_what_changes_during_the_first_listing_is_in_the_second_run(harness: SourceHarness) -> None:
    original, first = harness.simulator.file_list, harness.simulator.file_ids()[0]

    def file_list(request: Request) -> Answer:
        answer: Answer = original(request)
        harness.simulator.edit_file(first, name="Edited meanwhile")
        harness.simulator.file_list = original
        return answer

    harness.simulator.file_list = file_list
    harness.sync()
    assert harness.rows()[first,]["name"] != "Edited meanwhile"
    assert harness.sync().updated == 1
    assert harness.rows()[first,]["name"] == "Edited meanwhile"


def test_trashed_and_removed_are_kept_and_come_back(harness: SourceHarness) -> None:
    harness.sync()
    trashed, removed = harness.simulator.file_ids()[:2]
    before = harness.rows()[removed,]
    harness.simulator.trash_file(trashed)
    harness.simulator.remove_file(removed)
    result = harness.sync()
    assert (result.mode, result.deleted, result.processed) == ("delta", 2, 2)
    rows = harness.rows()
    for key in (trashed, removed):
        assert (rows[key,]["archived"], rows[key,]["delete_reason"]) == (True, "archived")
        assert rows[key,]["deleted_at"] is not None
    assert (rows[removed,]["name"], rows[removed,]["size"]) == (before["name"], before["size"])
    harness.simulator.untrash_file(trashed)
    harness.simulator.share_file(removed)
    assert harness.sync().restored == 2
    assert harness.living() == harness.driver.keys(harness.entity)


def test_a_file_that_nobody_knew_is_not_missed_when_it_goes(harness: SourceHarness) -> None:
    harness.sync()
    key = harness.simulator.create_file(name="Short-lived")
    harness.simulator.remove_file(key)
    assert (harness.sync().processed, (key,) in harness.rows()) == (0, False)


def test_sizes_above_two_gigabytes_are_kept(harness: SourceHarness) -> None:
    harness.sync()
    assert max(row["size"] for row in harness.rows().values() if row["size"]) == LARGE > 2**31


def test_a_page_token_is_saved_only_after_the_last_page(harness: SourceHarness) -> None:
    harness.sync()
    for _ in range(5):
        harness.simulator.create_file(name="New")
    harness.simulator.set_fault("status", path="/changes", after=1, status=403)
    with pytest.raises(Exception, match="403"):
        harness.sync(batch_size=2)
    harness.simulator.clear_faults()
    assert harness.sync(batch_size=2).created == 5
    assert harness.sync().processed == 0


def test_a_token_that_is_refused_lists_everything_anew(harness: SourceHarness) -> None:
    harness.sync()
    absent = harness.simulator.file_ids()[0]
    harness.simulator.forget_file(absent)
    harness.execute(
        "UPDATE orchestration.sync_history SET configuration = jsonb_set(configuration, '{state,page_token}', '\"x\"')"
    )
    result = harness.sync()
    assert (result.mode, result.deleted) == ("full", 1)
    assert harness.sync().mode == "delta"


def test_only_what_lies_below_the_root_is_read(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = harness.simulator.file_ids(folders=True)[1]
    below = harness.simulator.create_file(parent=folder, folder=True, name="Below")
    inside = harness.simulator.create_file(parent=below, name="Inside.pdf")
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", folder)
    harness.sync()
    assert (inside,) in harness.living()
    assert all(row["parent_folder_id"] in (folder, below) for row in harness.rows().values())
    count = len(harness.living())

    harness.simulator.edit_file(inside, parents=[ROOT])
    result = harness.sync()
    assert (result.mode, result.deleted) == ("delta", 1)
    harness.simulator.edit_file(inside, parents=[below])
    assert harness.sync().restored == 1

    harness.simulator.edit_file(below, parents=[ROOT])
    result = harness.sync()
    assert (result.mode, result.deleted) == ("full", 1)
    assert len(harness.living()) == count - 1


def test_another_root_is_another_reading(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.sync()
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", ROOT)
    result = harness.sync()
    assert result.mode == "full"
    assert harness.living() == harness.driver.keys(harness.entity)


def test_a_shared_drive_has_a_log_of_its_own(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", SHARED_ROOT)
    harness.sync()
    assert {key for (key,) in harness.living()} == set(harness.simulator.file_ids(drive_id=SHARED_DRIVE))
    assert harness.living()
    one = harness.simulator.file_ids(drive_id=SHARED_DRIVE)[0]
    harness.simulator.edit_file(one, name="Edited in the shared drive")
    harness.simulator.edit_file(harness.simulator.file_ids()[0], name="Edited elsewhere")
    result = harness.sync()
    assert (result.mode, result.processed, result.updated) == ("delta", 1, 1)


@of(incomplete_search=True)
def test_a_search_that_was_not_complete_is_partial_and_buries_nothing(harness: SourceHarness) -> None:
    result = harness.sync()
    assert result.status == "partial"
    assert "incompleteSearch" in str(result.reason)
    assert harness.sync().mode == "full"


@pytest.mark.parametrize("fault", ["repeat_page", "endless"])
def test_a_list_without_an_end_is_stopped(harness: SourceHarness, fault: str) -> None:
    harness.simulator.set_fault(fault, path="/files")
    with pytest.raises(CursorStuck):
        Read(GDRIVE, FILES, page_size=10).finished()


def test_a_log_that_repeats_is_stopped(harness: SourceHarness) -> None:
    harness.sync()
    harness.simulator.set_fault("repeat_page", path="/changes")
    with pytest.raises(CursorStuck):
        harness.sync()


@pytest.mark.parametrize("path", ["/files", "/changes"])
def test_an_answer_without_its_list_is_no_empty_drive(harness: SourceHarness, path: str) -> None:
    harness.sync()
    harness.simulator.set_fault("missing_list", path=path)
    with pytest.raises(AnswerChanged):
        harness.sync(full=path == "/files")


def test_a_root_that_is_not_shared_ends_the_run(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\n" not in check()
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", "nowhere")
    with pytest.raises(WrongUse, match="404 for GDRIVE_ROOT_FOLDER_ID"):
        harness.sync()


def test_a_root_that_is_no_longer_shared_ends_the_run(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells nothing of what lies below it, and every run would be a success."""
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", ROOT)
    assert "\n" not in check()
    harness.sync()
    before = harness.living()
    harness.simulator.reset_counters()
    harness.sync()
    assert asked(harness) == [f"files/{ROOT}", "changes"]
    harness.simulator.forget_file(ROOT)
    with pytest.raises(WrongUse, match="not shared with the service account any more"):
        harness.sync()
    assert harness.living() == before
    with pytest.raises(WrongUse, match="GDRIVE_ROOT_FOLDER_ID"):
        check()


def test_a_root_that_is_unshared_during_the_run_ends_it(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", ROOT)
    harness.sync()
    original = harness.simulator.changes

    def changes(request: Request) -> Answer:
        harness.simulator.remove_file(ROOT)
        answer: Answer = original(request)
        return answer

    monkeypatch.setattr(harness.simulator, "changes", changes)
    with pytest.raises(WrongUse, match="not shared with the service account any more"):
        harness.sync()


@pytest.mark.parametrize("folders_first", [True, False])
def test_a_folder_that_is_shared_brings_what_lies_in_it(harness: SourceHarness, folders_first: bool) -> None:
    """The log tells of the folder alone, whose row may be stored by then; and so again when it is shared again."""

    def sync() -> tuple[str, str]:
        order = (FOLDERS, FILES) if folders_first else (FILES, FOLDERS)
        modes = {entity.name: harness.sync(entity=entity).mode for entity in order}
        return modes["files"], modes["folders"]

    sync()
    simulator = harness.simulator
    folder = simulator.create_file(folder=True, name="Anna's jobs", mimeType=FOLDER)
    inside = [simulator.create_file(parent=folder, name=f"Contract {number}.pdf") for number in range(2)]
    for key in inside:
        del simulator.logs[""].touched[key]
    assert sync() == ("full", "full")
    assert {(key,) for key in inside} <= harness.living()

    for key in inside:
        simulator.forget_file(key)
    simulator.remove_file(folder)
    sync()
    assert not {(key,) for key in inside} & harness.living()
    simulator.removed -= set(inside)
    simulator.share_file(folder)
    assert sync() == ("full", "full")
    assert {(key,) for key in inside} <= harness.living()

    assert sync() == ("delta", "delta")
    simulator.edit_file(folder, name="Ann's jobs")
    assert sync()[1] == "delta"  # it was known before


def test_everything_is_listed_once_a_day(harness: SourceHarness) -> None:
    """It finds what the log did not tell."""
    harness.sync()
    removed = harness.simulator.file_ids()[0]
    harness.simulator.forget_file(removed)
    assert harness.sync().mode == "delta"
    harness.execute(
        "UPDATE orchestration.sync_history SET configuration = jsonb_set(configuration, '{state,listed_at}',"
        " to_jsonb((configuration #>> '{state,listed_at}')::timestamptz - interval '24 hours'))"
    )
    result = harness.sync()
    assert (result.mode, result.deleted) == ("full", 1)


def test_a_folder_that_goes_takes_along_what_lies_in_it(harness: SourceHarness) -> None:
    """Whether the log tells of each file is unconfirmed; here it tells of the folder alone."""
    harness.sync(entity=FOLDERS)
    harness.sync()
    folder = harness.simulator.file_ids(folders=True)[2]
    inside = {key for (key,), row in harness.rows().items() if row["parent_folder_id"] == folder}
    for key in (folder, *inside):
        harness.simulator.forget_file(key)
    harness.simulator.touch(folder)
    result = harness.sync()
    assert inside
    assert (result.mode, result.deleted) == ("full", len(inside))


def test_an_unreadable_record_below_a_root_is_set_aside(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", ROOT)
    harness.simulator.set_fault("malformed", path="/files", times=1, after=1, what="non_object")
    result = harness.sync()
    assert (result.status, result.failed) == ("partial", 1)


def test_whose_a_folder_is_drive_tells_only_the_program_that_wrote_it(harness: SourceHarness) -> None:
    """appProperties are private: those that PipeDesk wrote are not shown, those of our own program are."""
    ours = harness.simulator.create_file(
        folder=True,
        mimeType=FOLDER,
        name="Of the warehouse",
        appProperties={"entity_id": "4711", "entity_type": "lead"},
    )
    harness.sync(entity=FOLDERS)
    rows = harness.query("SELECT * FROM pipedesk.google_drive_folders")
    assert [(row["folder_id"], row["entity_type"]) for row in rows if row["entity_id"]] == [(ours, "lead")]
    assert {folder_id(0), folder_id(1), folder_id(2)} <= {row["folder_id"] for row in rows}
    assert all(row["folder_url"].endswith(row["folder_id"]) for row in rows)
    names = [row["name"] for row in rows]
    assert len(set(names)) < len(names)


def test_a_shortcut_is_a_file_that_names_its_target(harness: SourceHarness) -> None:
    harness.sync()
    rows = harness.query("SELECT * FROM pipedesk.drive_files WHERE shortcut_target_id IS NOT NULL")
    assert rows
    for row in rows:
        target = harness.rows()[row["shortcut_target_id"],]
        assert (row["shortcut_target_mime_type"], target["mime_type"]) == ("application/pdf", "application/pdf")
        assert (row["mime_type"], row["size"]) == (SHORTCUT, None)


def test_a_shortcut_to_elsewhere_is_not_followed(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the root promises is what lies below it; the target is named, and is no row."""
    folder, outside = harness.simulator.file_ids(folders=True)[1], harness.simulator.create_file(name="Outside.pdf")
    details = {"targetId": outside, "targetMimeType": "application/pdf"}
    shortcut = harness.simulator.create_file(parent=folder, name="To it", mimeType=SHORTCUT, shortcutDetails=details)
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", folder)
    harness.sync()
    assert harness.rows()[shortcut,]["shortcut_target_id"] == outside
    assert (outside,) not in harness.rows()


def test_an_unreadable_entry_of_the_log_costs_only_itself(harness: SourceHarness) -> None:
    harness.sync()
    keys = harness.simulator.file_ids()[:3]
    for key in keys:
        harness.simulator.edit_file(key, name="Edited")
    before = harness.living()
    harness.simulator.set_fault("malformed", path="/changes", what="non_object", times=1)
    result = harness.sync()
    assert [harness.rows()[key,]["name"] == "Edited" for key in keys] == [False, True, True]
    assert (result.status, result.updated, result.failed, result.deleted) == ("partial", 2, 1, 0)
    assert harness.living() == before


def test_the_documented_answer_is_read_as_the_notes_say(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request) -> Answer:
        return answer_json(200, sample("google_changes"))

    def client(context: ReadContext, title: str, scopes: Any) -> Client:
        return Client(context, title=title, base_url=listener.url, headers={})

    listener = Listener("127.0.0.1", 0, answer)
    monkeypatch.setattr(gdrive, "client", client)
    listed = {"listed_at": datetime.now(UTC).isoformat()}
    reading = Read(GDRIVE, FILES, state={"root": "", "page_token": "8123", **listed})
    try:
        reading.finished()
    finally:
        listener.close()
    coercer = Coercer("gdrive", FILES)
    (row,) = coercer.table([record for page in reading._seen for record in page.records]).to_pylist()
    assert (row["file_id"], row["name"], row["version"], row["archived"]) == ("1AbC", "Zip map", 88, False)
    assert reading.report.next_state == {"root": "", "drive_id": "", "page_token": "8130", **listed}
