"""The simulated Drive: folders of customers, their files, a shared drive, and the log of what changed.

A file is computed from its number and what was changed in it. Two logs are kept, the user's and the shared drive's,
because their page tokens are different series. A file that is edited twice is one entry of the log.

`appProperties` are private to the program that set them. The folders were made by PipeDesk, whose program is another
than the reader's, so no answer here shows theirs. Whose folder it is stands in PipeDesk's own table: `folder_id`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v3, masked, moment

SPREADSHEET = "application/vnd.google-apps.spreadsheet"
FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DEFAULT_FIELDS = "kind,id,name,mimeType"
ROOT, SHARED_ROOT, SHARED_DRIVE = "root-of-the-warehouse", "root-of-the-shared", "0SharedDrive"
MOST, USUAL = 1000, 100
READABLE = re.compile(r"mimeType\s*!?=\s*'[^']+'|trashed\s*=\s*(true|false)|'[^']+' in parents")
LARGE = 5 * 2**30  # bytes; more than 32 bits hold


@dataclass
class Log:
    sequence: int = 100
    touched: dict[str, int] = field(default_factory=dict)


class DriveApi(Simulator):
    def __init__(self, population: Population, settings: Any) -> None:
        super().__init__(population, settings)
        self._installed = self.now()
        self._made = 0
        self.folder_count = folder_count(settings.contacts)
        self.file_count = max(3, settings.contacts // 2)
        self.files: dict[str, dict[str, Any]] = {}  # what was changed, by id
        self.versions: dict[str, int] = {}
        self.added: list[str] = []
        self.removed: set[str] = set()
        self.logs = {"": Log(), SHARED_DRIVE: Log()}

    def now(self) -> float:
        raise NotImplementedError

    def drive_environment(self) -> dict[str, str]:
        return {}

    def _file_ids(self) -> list[str]:
        sheets = list(getattr(self, "sheets", ()))
        base = [ROOT, SHARED_ROOT, *(folder_id(number) for number in range(self.folder_count))]
        base += [_file(number) for number in range(self.file_count)]
        return [one for one in (*base, *sheets, *self.added) if one not in self.removed]

    def described(self, file_id: str) -> dict[str, Any]:
        """A file with every field."""
        kind, _, tail = file_id.partition("-")
        created = moment(self._installed - 86_400 * 40)
        it: dict[str, Any] = {
            "kind": "drive#file",
            "id": file_id,
            "name": "Marketing",
            "mimeType": SPREADSHEET,
            "parents": [ROOT],
            "trashed": False,
            "createdTime": created,
            "modifiedTime": created,
            "webViewLink": f"https://drive.google.com/open?id={file_id}",
        }
        if file_id in (ROOT, SHARED_ROOT):
            it |= {"name": "Customers", "mimeType": FOLDER, "parents": []}
        elif kind == "folder" and tail.isdigit():
            person = self.population.person(int(tail))
            it |= {"name": person.name if int(tail) % 7 else "Customer", "mimeType": FOLDER}  # names are not unique
            if int(tail) % 5 == 4:
                it["parents"] = [folder_id(int(tail) - 1)]
            if int(tail) % 9 == 8:
                it |= {"parents": [SHARED_ROOT], "driveId": SHARED_DRIVE}
        elif kind == "file" and tail.isdigit():
            number = int(tail)
            it |= {"name": f"Estimate {number}.pdf", "mimeType": "application/pdf", "md5Checksum": f"{number:032x}"}
            it |= {"headRevisionId": f"r{number}", "size": str(LARGE if number == 1 else 1000 + number)}
            it["parents"] = [folder_id(number % self.folder_count)]
            if number % self.folder_count % 9 == 8:
                it["driveId"] = SHARED_DRIVE
            if number % 40 == 39:
                it = {name: it[name] for name in it if name not in ("md5Checksum", "headRevisionId", "size")}
                it |= {"name": f"Estimate {number - 1}", "mimeType": SHORTCUT}
                it["shortcutDetails"] = {"targetId": _file(number - 1), "targetMimeType": "application/pdf"}
        if file_id == SHARED_ROOT:
            it["driveId"] = SHARED_DRIVE
        return {**it, **self.files.get(file_id, {}), "version": str(self.versions.get(file_id, 1))}

    def touch(self, file_id: str, **fields: Any) -> None:
        """The file was changed, whatever it was."""
        self.versions[file_id] = self.versions.get(file_id, 1) + 1
        self.files.setdefault(file_id, {}).update({"modifiedTime": moment(self.now()), **fields})
        log = self.logs[str(self.described(file_id).get("driveId", ""))]
        log.sequence += 1
        log.touched.pop(file_id, None)
        log.touched[file_id] = log.sequence
        self.file_touched(str(self.described(file_id).get("driveId", "")))

    def file_touched(self, drive_id: str) -> None:
        """Called after each change of a file, with its drive."""

    def file(self, request: Request, file_id: str) -> Answer:
        if file_id not in self._file_ids() or not _visible(self.described(file_id), request):
            return error_v3(404, "notFound", f"File not found: {file_id}.", location="fileId")
        return answer_json(200, masked(self.described(file_id), request.first("fields") or DEFAULT_FIELDS))

    def file_list(self, request: Request) -> Answer:
        tests = [part.strip() for part in request.first("q").split(" and ") if part.strip()]
        if not all(map(READABLE.fullmatch, tests)):
            return error_v3(400, "invalid", "Invalid Value", location="q")
        drive_id = request.first("driveId")
        if drive_id and (request.first("corpora") != "drive" or drive_id not in self.logs):
            return error_v3(404, "notFound", f"Shared drive not found: {drive_id}", location="driveId")
        found = []
        for file_id in self._file_ids():
            it = self.described(file_id)
            seen = _visible(it, request, listed=True) and drive_id in ("", it.get("driveId"))
            if seen and all(_fits(it, test) for test in tests):
                found.append(it)
        token = request.first("pageToken").partition("~")[0]
        offset, size = int(token or 0), min(MOST, int(request.first("pageSize") or USUAL))
        body: dict[str, Any] = {"kind": "drive#fileList", "incompleteSearch": self.settings.incomplete_search}
        if offset + size < len(found):
            body["nextPageToken"] = str(offset + size)
        body["files"] = found[offset : offset + size]
        fields = request.first("fields") or f"kind,incompleteSearch,nextPageToken,files({DEFAULT_FIELDS})"
        return answer_json(200, masked(body, fields), list_key="files", page_size=size)

    def start_page_token(self, request: Request) -> Answer:
        log = self.logs[request.first("driveId")]
        return answer_json(200, {"kind": "drive#startPageToken", "startPageToken": str(log.sequence + 1)})

    def changes(self, request: Request) -> Answer:
        token = request.first("pageToken").partition("~")[0]
        log = self.logs.get(request.first("driveId"))
        if log is None or not token.isdigit() or int(token) > log.sequence + 1:
            return error_v3(400, "invalid", "Invalid Value", location="pageToken")
        size = min(MOST, int(request.first("pageSize") or USUAL))
        waiting = [(at, file_id) for file_id, at in log.touched.items() if at >= int(token)]
        body: dict[str, Any] = {"kind": "drive#changeList"}
        if len(waiting) > size:
            body["nextPageToken"] = str(waiting[size][0])
        else:
            body["newStartPageToken"] = str(log.sequence + 1)
        body["changes"] = [self._change(file_id) for _, file_id in waiting[:size]]
        fields = request.first("fields") or f"kind,nextPageToken,newStartPageToken,changes(*,file({DEFAULT_FIELDS}))"
        return answer_json(200, masked(body, fields), list_key="changes", page_size=size)

    def _change(self, file_id: str) -> dict[str, Any]:
        removed = file_id in self.removed
        at = self.files.get(file_id, {}).get("modifiedTime", moment(self.now()))
        change = {"kind": "drive#change", "changeType": "file", "time": at, "removed": removed, "fileId": file_id}
        return change if removed else {**change, "file": self.described(file_id)}

    @operation
    def create_file(self, parent: str = ROOT, folder: bool = False, **fields: Any) -> str:
        self._made += 1
        number = (self.folder_count if folder else self.file_count) + self._made
        file_id = folder_id(number) if folder else _file(number)
        self.added.append(file_id)
        self.touch(file_id, parents=[parent], createdTime=moment(self.now()), **fields)
        return file_id

    @operation
    def edit_file(self, id: str, **fields: Any) -> None:
        self.touch(id, **fields)

    @operation
    def trash_file(self, id: str) -> None:
        self.touch(id, trashed=True, trashedTime=moment(self.now()))

    @operation
    def untrash_file(self, id: str) -> None:
        self.files[id].pop("trashedTime", None)
        self.touch(id, trashed=False)

    @operation
    def remove_file(self, id: str) -> None:
        """Deleted for good, or no longer shared: the log tells of both alike."""
        self.touch(id)
        self.removed.add(id)

    @operation
    def share_file(self, id: str) -> None:
        """What was no longer shared is again."""
        self.removed.discard(id)
        self.touch(id)

    @operation
    def forget_file(self, id: str) -> None:
        """Remove it without an entry in the log."""
        self.removed.add(id)

    @operation
    def file_ids(self, folders: bool = False, drive_id: str | None = None) -> list[str]:
        """The ids of all files or all folders of a drive that are not trashed."""
        found = []
        for file_id in self._file_ids():
            it = self.described(file_id)
            if not it["trashed"] and (it["mimeType"] == FOLDER) is folders and it.get("driveId") == drive_id:
                found.append(file_id)
        return found


def _visible(it: dict[str, Any], request: Request, *, listed: bool = False) -> bool:
    """What lies in a shared drive is shown to those who say that they know of such, and listed to those who ask."""
    asked = ["supportsAllDrives", *(["includeItemsFromAllDrives"] if listed else [])]
    return "driveId" not in it or all(request.first(name) == "true" for name in asked)


def _fits(it: dict[str, Any], test: str) -> bool:
    if test.endswith(" in parents"):
        return test.removesuffix(" in parents").strip("'") in it.get("parents", [])
    name, _, value = (part.strip(" '") for part in test.replace("!=", "=").partition("="))
    shown = {True: "true", False: "false"}.get(it.get(name, ""), it.get(name))
    return (shown != value) if "!=" in test else (shown == value)


def folder_count(people: int) -> int:
    """How many people have a folder: the first ones of the population, whose leads are numbered as they are."""
    return max(3, people // 10)


def folder_id(lead: int) -> str:
    """The id of the folder that PipeDesk made for the lead of this number; there is one for `folder_count` leads."""
    return f"folder-{lead:07d}"


def _file(number: int) -> str:
    return f"file-{number:07d}"
