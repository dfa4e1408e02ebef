"""Folders that a template makes in Google Drive: each once, whatever happens; and what else is written there."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from warehouse_pipelines.errors import ActionNeeded, WrongUse
from warehouse_pipelines.outbound import applying, google_folders, ledger
from warehouse_pipelines.outbound.google_drive import FILES, SHARING, DrivePartner
from warehouse_pipelines.outbound.google_folders import (
    apply_template,
    change_files,
    plan_change,
    plan_shares,
    plan_template,
    shares,
)
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.outbound.run import connected
from warehouse_pipelines.simulators.google.drive import ROOT, SHARED_ROOT, folder_id
from warehouse_pipelines.sources import gdrive
from warehouse_pipelines.sources._http import ATTEMPTS, Client
from warehouse_pipelines_tests.harness.fault_points import Killed, dying
from warehouse_pipelines_tests.harness.google_target import BY, COMPANY, GoogleTarget, google_target

slow = pytest.mark.slow

NAME = "Acme {{year}} & Co"
TREE = [
    NAME,
    f"{NAME}/Contracts", f"{NAME}/Contracts/Drafts", f"{NAME}/Contracts/Signed",
    f"{NAME}/Correspondence",
    f"{NAME}/Finance",
]  # fmt: skip


@pytest.fixture
def works(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleTarget]:
    with google_target(database_url, monkeypatch) as one:
        yield one


def applied(works: GoogleTarget, **how: Any) -> Plan:
    (plan, *_) = apply_template(works.url, "company", str(COMPANY), by=BY, **how)
    return plan


def by_name(works: GoogleTarget) -> dict[str, str]:
    rows = works.query("SELECT name, folder_id FROM pipedesk.google_drive_folders WHERE entity_id = %s", [str(COMPANY)])
    return {row["name"]: row["folder_id"] for row in rows}


def test_apply_template_idempotent(works: GoogleTarget) -> None:
    """The tree is made in its order with its names filled in, each folder has its row, a second apply makes nothing."""
    plan = applied(works)
    assert (plan.status, plan.statuses) == ("applied", {"written": 7})
    tree = works.tree()
    assert tree[:6] == TREE
    assert tree[6].startswith(f"{NAME}/Finance/20")
    rows = works.query("SELECT * FROM pipedesk.google_drive_folders WHERE entity_id = %s", [str(COMPANY)])
    assert len(rows) == 7
    assert {(row["entity_type"], row["archived"]) for row in rows} == {("company", False)}
    works.google.reset_counters()
    again = applied(works)
    assert (again.statuses, again.unchanged) == ({}, 1)
    assert works.writes() == []
    assert works.tree() == tree
    works.sync_folders()
    assert {row["folder_id"] for row in rows} <= {
        row["folder_id"]
        for row in works.query("SELECT folder_id FROM pipedesk.google_drive_folders WHERE NOT archived")
    }


PLACES: dict[str, tuple[Any, str, bool]] = {
    "ids given": (DrivePartner, "generate_ids", False),
    "ids stored": (google_folders, "_reserve", False),
    "planned": (ledger, "write_plan", False),
    "begun": (ledger, "begin", False),
    "before a write": (DrivePartner, "_write", True),
    "after a write": (DrivePartner, "_write", False),
    "read back": (applying._Applying, "_keep", True),
    "kept": (ledger, "settle", True),
    "settled": (ledger, "settle", False),
}


@pytest.mark.parametrize("moment", PLACES)
@pytest.mark.parametrize("nth", [1, pytest.param(3, marks=slow("a kill at a later folder"))])
@pytest.mark.slow("a program of its own, which is killed")
def test_whoever_is_killed_makes_no_second_folder_and_none_is_missing(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch, moment: str, nth: int
) -> None:
    holder, name, first = PLACES[moment]
    call, calls = getattr(holder, name), 0

    def later(*args: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        return (call if calls < nth else dying(call, first=first))(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, later)
        try:
            applied(works)
        except Killed:
            pass
        else:
            assert calls < nth, "it was not killed"
    applied(works)
    tree = works.tree()
    assert (tree[:6], len(tree)) == (TREE, 7)
    assert len(by_name(works)) == 7
    assert len(works.query("SELECT folder_id FROM pipedesk.drive_applied_nodes")) == 7
    assert applied(works).statuses == {}


def test_lost_answers_make_no_second_folder(works: GoogleTarget) -> None:
    works.google.set_fault("lost_answer", path="/drive/v3/files", every=3)
    plan = applied(works)
    works.google.clear_faults()
    assert plan.status == "applied"
    assert (works.tree()[:6], len(works.tree())) == (TREE, 7)


def test_a_folder_keeps_its_place_when_people_rename_or_move_it(works: GoogleTarget) -> None:
    applied(works)
    folders = by_name(works)
    works.google.edit_file(folders["Contracts"], name="Old contracts")
    works.google.edit_file(folders["Signed"], parents=[folders["Finance"]])
    assert applied(works).statuses == {}


def test_what_people_trashed_or_deleted_is_not_made_again(works: GoogleTarget) -> None:
    applied(works)
    folders = by_name(works)
    works.google.trash_file(folders["Correspondence"])
    works.google.remove_file(folders["Finance"])
    with connected(works.url, FILES) as at_work:
        plan = plan_template(at_work, "company", str(COMPANY), by=BY)
    reasons = {item.object_id: item.reason or "" for item in works.items(plan)}
    assert plan.changes == 0
    assert "somebody trashed it" in reasons[folders["Correspondence"]]
    assert "no longer shows it" in reasons[folders["Finance"]]
    assert len(reasons) == 2
    anew = applied(works, anew=True)
    assert anew.statuses["written"] == 1
    assert sum(path == f"{NAME}/Finance" for path in works.tree()) == 1


@pytest.mark.slow("the same in other circumstances")
def test_a_folder_of_pipedesk_is_taken_and_not_made(works: GoogleTarget) -> None:
    theirs = folder_id(1)
    works.sync_folders()
    works.query(
        "INSERT INTO pipedesk.drive_folder_links (id, folder_id, entity_type, entity_id) VALUES (1, %s, 'company', %s)",
        [theirs, str(COMPANY)],
    )
    plan = applied(works)
    assert plan.statuses == {"written": 6}
    assert {child["name"] for child in works.google.children(theirs)} >= {"Contracts", "Correspondence", "Finance"}
    change_files(works.url, [theirs], {"trashed": "true"}, by=BY)
    works.sync_folders()
    assert "written" not in applied(works).statuses, "it stays theirs, and no other is made beside it"


def test_whose_a_folder_is_does_not_hang_on_its_properties(works: GoogleTarget) -> None:
    applied(works)
    folder = by_name(works)["Contracts"]
    works.sync_folders()
    works.google.forget_properties(folder)
    works.sync_folders()
    row = works.folder(folder)
    assert (row["entity_id"], row["of_type"], row["of_id"]) == (None, "company", str(COMPANY))
    assert applied(works).statuses == {}


@pytest.mark.slow("the same in other circumstances")
def test_a_tree_in_a_shared_drive_is_shared(works: GoogleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDRIVE_ROOT_FOLDER_ID", SHARED_ROOT)
    monkeypatch.setenv("GDRIVE_SHARE", "writer:group:sales@example.test, reader:anna@example.test")
    folders, sharing = apply_template(works.url, "company", str(COMPANY), by=BY)
    assert (folders.statuses, sharing.statuses) == ({"written": 7}, {"written": 2})
    (top,) = [one for one in works.google.children(SHARED_ROOT) if one["name"] == NAME]
    roles = {"sales@example.test": "writer", "anna@example.test": "reader"}
    assert works.google.shared_with(top["id"]) == roles
    again = apply_template(works.url, "company", str(COMPANY), by=BY)
    assert [plan.statuses for plan in again] == [{}, {}]
    with connected(works.url, SHARING) as at_work:
        plan = plan_shares(
            at_work, top["id"], shares(["none:anna@example.test", "reader:group:sales@example.test"]), by=BY
        )
        at_work.apply(plan, BY)
    assert works.google.shared_with(top["id"]) == {"sales@example.test": "reader"}
    apply_template(works.url, "company", str(COMPANY), by=BY)
    assert works.google.shared_with(top["id"]) == {"sales@example.test": "reader"}, "what somebody decided since stays"
    works.undo(plan)
    assert works.google.shared_with(top["id"]) == roles


def test_nothing_is_shared_with_an_erased_person_and_a_share_can_be_taken_away(works: GoogleTarget) -> None:
    applied(works)
    top = by_name(works)[NAME]
    with connected(works.url, SHARING) as at_work:
        at_work.apply(plan_shares(at_work, top, shares(["reader:bo@example.test"]), by=BY), BY)
    works.erase("bo@example.test")
    for role, status in (("writer", "withheld"), ("none", "written")):
        with connected(works.url, SHARING) as at_work:
            plan = plan_shares(at_work, top, shares([f"{role}:bo@example.test"]), by=BY)
            assert at_work.apply(plan, BY).statuses == {status: 1}


@pytest.mark.slow("the same in other circumstances")
def test_soft_delete_and_restore(works: GoogleTarget) -> None:
    """Who and why stay in the row when the vendor's record comes again, until it is restored."""
    applied(works)
    folder = by_name(works)["Correspondence"]
    change_files(works.url, [folder], {"trashed": "true"}, by=BY, why="made by mistake")
    assert works.google.described_file(folder)["trashed"]
    deleted = works.folder(folder)
    who_and_why = (True, BY, "made by mistake")
    assert (deleted["archived"], deleted["deleted_by"], deleted["delete_reason"]) == who_and_why
    works.google.edit_file(folder, name="Renamed in the trash")
    for how in ({}, {"full": True}):
        works.sync_folders(**how)
        row = works.folder(folder)
        assert (row["archived"], row["deleted_by"], row["delete_reason"]) == who_and_why
        assert (row["deleted_at"], row["name"]) == (deleted["deleted_at"], "Renamed in the trash")
    change_files(works.url, [folder], {"trashed": None}, by=BY, why="no mistake")
    row = works.folder(folder)
    assert (row["archived"], row["deleted_at"], row["deleted_by"], row["delete_reason"]) == (False, None, None, None)
    works.google.trash_file(folder)
    works.sync_folders()
    assert works.folder(folder)["delete_reason"] == "archived"


def test_a_file_is_trashed_renamed_and_moved_as_a_folder_is(works: GoogleTarget) -> None:
    applied(works)
    file, to = works.google.file_ids()[0], by_name(works)["Finance"]
    before = works.google.described_file(file)
    plan = change_files(works.url, [file], {"name": "Bill.pdf", "parent": to}, by=BY)
    (row,) = works.query("SELECT * FROM pipedesk.drive_files WHERE file_id = %s", [file])
    assert (row["name"], row["parent_folder_id"]) == ("Bill.pdf", to)
    works.undo(plan)
    after = works.google.described_file(file)
    assert (after["name"], after["parents"]) == (before["name"], before["parents"])
    change_files(works.url, [file], {"trashed": "true"}, by=BY, why="twice there")
    (row,) = works.query("SELECT * FROM pipedesk.drive_files WHERE file_id = %s", [file])
    assert (row["deleted_by"], row["delete_reason"]) == (BY, "twice there")


def test_what_somebody_renamed_since_it_was_planned_is_left(works: GoogleTarget) -> None:
    applied(works)
    folder = by_name(works)["Finance"]
    with connected(works.url, FILES) as at_work:
        plan = plan_change(at_work, [folder], {"name": "Money"}, by=BY)
    works.google.edit_file(folder, name="Accounts")
    assert works.apply(plan).statuses == {"moved": 1}
    assert works.google.described_file(folder)["name"] == "Accounts"


def test_an_undo_trashes_the_tree_unless_something_of_others_lies_in_it(works: GoogleTarget) -> None:
    plan = applied(works)
    folders = by_name(works)
    file = works.google.create_file(parent=folders["Signed"], name="Contract.pdf", mimeType="application/pdf")
    undone = works.undo(plan)
    kept = {item.object_id for item in works.items(undone) if item.status == "refused"}
    assert kept == {folders[NAME], folders["Contracts"], folders["Signed"]}
    assert works.tree() == [
        NAME,
        f"{NAME}/Contracts",
        f"{NAME}/Contracts/Signed",
        f"{NAME}/Contracts/Signed/Contract.pdf",
    ]
    assert not works.google.described_file(file)["trashed"]


@pytest.mark.slow("the same in other circumstances")
def test_an_undo_trashes_a_tree_that_nobody_used(works: GoogleTarget) -> None:
    plan = applied(works)
    folders = by_name(works)
    assert works.undo(plan).statuses == {"written": 7}
    assert works.tree() == []
    rows = [works.folder(one) for one in folders.values()]
    assert {(row["archived"], row["deleted_by"], row["delete_reason"]) for row in rows} == {
        (True, BY, f"undo of plan {plan.plan_id}")
    }


def test_writes_that_google_puts_off_once_each_are_all_made(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [works.google.create_file(folder=True, name=f"n{number}") for number in range(ATTEMPTS + 2)]
    attempt, seen = Client._attempt, set()

    def busy(self: Client, method: str, path: str, **how: Any) -> httpx.Response:
        if method == "PATCH" and path not in seen:
            seen.add(path)
            return httpx.Response(429, headers={"Retry-After": "0"}, request=httpx.Request(method, "http://it/"))
        return attempt(self, method, path, **how)

    monkeypatch.setattr(Client, "_attempt", busy)
    assert change_files(works.url, ids, {"name": "renamed"}, by=BY).statuses == {"written": len(ids)}
    assert len(seen) == len(ids)


def test_one_file_that_may_not_be_written_costs_no_other(works: GoogleTarget) -> None:
    files = works.google.file_ids()[:3]
    works.google.set_read_only(files[1])
    plan = change_files(works.url, files, {"trashed": "true"}, by=BY, why="old")
    assert plan.statuses == {"written": 2, "refused": 1}
    assert [works.google.described_file(one)["trashed"] for one in files] == [True, False, True]


def test_nothing_is_moved_into_what_is_in_the_trash_gone_or_no_folder(works: GoogleTarget) -> None:
    applied(works)
    folders = by_name(works)
    file = works.google.create_file(parent=folders["Contracts"], name="Signed.pdf", mimeType="application/pdf")
    other = works.google.create_file(parent=folders["Contracts"], name="Other.pdf", mimeType="application/pdf")
    with connected(works.url, FILES) as at_work:
        plans = [plan_change(at_work, [file], {"parent": folders[to]}, by=BY) for to in ("Finance", "Signed")]
    moved = change_files(works.url, [other], {"parent": folders["Correspondence"]}, by=BY)
    works.google.trash_file(folders["Finance"])
    works.google.remove_file(folders["Signed"])
    for to, problem in ((folders["Finance"], "in the trash"), (folders["Signed"], "shows no"), (other, "no folder")):
        with connected(works.url, FILES) as at_work, pytest.raises(WrongUse, match=problem):
            plan_change(at_work, [file], {"parent": to}, by=BY)
    assert [works.apply(plan).statuses for plan in plans] == [{"refused": 1}, {"refused": 1}]
    assert works.google.described_file(file)["parents"] == [folders["Contracts"]]
    works.google.trash_file(folders["Contracts"])
    assert works.undo(moved).statuses == {"refused": 1}
    assert not works.google.described_file(other)["trashed"]


def test_a_file_that_is_in_the_trash_after_a_move_is_told(works: GoogleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(works)
    folders = by_name(works)
    file = works.google.create_file(parent=folders["Contracts"], name="Signed.pdf", mimeType="application/pdf")
    monkeypatch.setattr(DrivePartner, "no_destination", lambda *_: None)  # who trashes it right after we asked
    works.google.trash_file(folders["Finance"])
    plan = change_files(works.url, [file], {"parent": folders["Finance"]}, by=BY)
    (item,) = works.items(plan)
    assert (plan.status, item.status, item.reason) == ("partial", "partial", "written, and trashed at the vendor")
    assert works.holds(plan) == [False]


def test_a_file_in_the_trash_is_restored_before_it_is_changed(works: GoogleTarget) -> None:
    file = works.google.file_ids()[0]
    with connected(works.url, FILES) as at_work:
        plan = plan_change(at_work, [file], {"name": "Bill.pdf"}, by=BY)
    works.google.trash_file(file)
    assert works.apply(plan).statuses == {"moved": 1}
    with pytest.raises(WrongUse, match="is in the trash"):
        change_files(works.url, [file], {"name": "Bill.pdf"}, by=BY)


def test_a_folder_may_not_be_moved_into_itself(works: GoogleTarget) -> None:
    applied(works)
    folders = by_name(works)
    with connected(works.url, FILES) as at_work, pytest.raises(WrongUse, match="lies in it"):
        plan_change(at_work, [folders["Contracts"]], {"parent": folders["Signed"]}, by=BY)


def test_a_root_that_may_not_be_written_is_told_and_makes_nothing(works: GoogleTarget) -> None:
    assert "for writing: drive for the user of GOOGLE_WRITE_AS, which may make folders" in gdrive.check()
    works.google.set_read_only(ROOT)
    assert "which may not make folders" in gdrive.check()
    with pytest.raises(ActionNeeded):
        applied(works)
    assert works.tree() == []


def test_templates_of_all_kinds(works: GoogleTarget) -> None:
    lead, deal, contact = uuid4(), uuid4(), uuid4()
    works.query("INSERT INTO pipedesk.leads (id, legal_name) VALUES (%s, 'Lea')", [lead])
    works.query("INSERT INTO pipedesk.master_deals (id, client_name) VALUES (%s, 'Roof')", [deal])
    works.query("INSERT INTO pipedesk.contacts (id, name) VALUES (%s, 'Cy')", [contact])
    for kind, id_ in (("lead", lead), ("deal", deal), ("contact", contact)):
        (plan,) = apply_template(works.url, kind, str(id_), by=BY)
        assert plan.status == "applied"
    tree = works.tree()
    assert {"Lea/Qualification", "Lea/Proposals", "Cy/Documents"} <= set(tree)
    assert any(path.startswith("Roof/20") and path.endswith(" - Roof/Contract") for path in tree)


@pytest.mark.parametrize(
    ("kind", "id_", "message"),
    [
        ("person", str(COMPANY), "has no folders"),
        ("company", "12", "no id"),
        ("company", str(UUID(int=7)), "There is no company"),
        ("company", "deleted", "was deleted"),
        ("company", "nameless", "has no name"),
        ("company", "inactive", "no active template"),
        ("company", "placeholder", "placeholder without a value"),
        ("company", "two", "several templates"),
    ],
)
def test_what_cannot_have_folders_is_refused_and_makes_none(
    works: GoogleTarget, kind: str, id_: str, message: str
) -> None:
    match id_:
        case "deleted":
            works.query("UPDATE pipedesk.companies SET archived = true, deleted_at = now()")
        case "nameless":
            works.query("UPDATE pipedesk.companies SET name = ' '")
        case "inactive":
            works.query("UPDATE pipedesk.drive_structure_templates SET active = false")
        case "placeholder":
            works.query("UPDATE pipedesk.drive_structure_nodes SET name = '{{owner}}' WHERE name = 'Finance'")
        case "two":
            works.query("UPDATE pipedesk.drive_structure_templates SET entity_type = 'company'")
    with pytest.raises(WrongUse, match=message):
        apply_template(works.url, kind, id_ if id_[0].isdigit() else str(COMPANY), by=BY)
    assert works.writes() == []
