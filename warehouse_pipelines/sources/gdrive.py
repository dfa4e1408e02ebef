"""Google Drive: the files and folders that are shared with the service account.

The first run gets the page token of this moment and then lists everything, so changes during the list are in the
changes that the second run asks for. The token is the entity's ``state`` and is saved with the data. A refused token,
or another root folder than the last time, makes the run list everything; once a day (``RELIST``) and with ``--full``
it does so too. What is no longer listed counts as deleted then. Files and folders have a token each, of the same log of
changes.

**Which files**: without ``GDRIVE_ROOT_FOLDER_ID`` all that the account sees outside of shared drives. With it, all
below that folder; if it is in a shared drive, that drive's own list and log are read, because the tokens of a drive
and of a user are different series. A file that moves out counts as deleted. Each run asks for the root first: the log
need not tell of what lies below one that is no longer shared.

**Folders** take all below them along when they move, are shared, trashed or removed, and the log need not report that
(unconfirmed). So a folder that was trashed or removed, one that is new or came back, and with a root any change of a
folder, makes a run list everything. A folder is not new if its stored row is of an earlier version: one of the same
version may have been stored since the last run for files.

**Deleted**: ``trashed`` is the vendor's flag. A file that was removed, or is no longer shared (the log reports both
alike), comes without a record, so ``removed`` is merged into the stored one. Both are undone when the file comes back.

Fields are asked for by name, since only four come unasked. ``version`` grows with every change, so an older answer
never wins. **The owner of a folder** (``entity_id``, ``entity_type``) is in ``appProperties``, which only the program
that wrote them sees, so both are null unless this service account made the folder; PipeDesk's table of folders has the
owner. **A shortcut** is a file with the id of its target (``shortcut_target_id``) and is not followed.

Left out: contents, permissions, revisions, second parents. ``incompleteSearch`` makes a run partial.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    WrongUse,
)
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Json, Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.rules import one_of
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources._google import WritingSettings, client, writer
from warehouse_pipelines.sources._google_requests import ask, calls
from warehouse_pipelines.sources._http import Client

API = ("drive", "v3")
SCOPES = ("drive.metadata.readonly",)
WRITE_SCOPES = ("drive",)
MOST = 1_000
RELIST = timedelta(hours=23)
"""List everything after this time; an hour less than a day, for a daily schedule."""

FOLDER = "application/vnd.google-apps.folder"
FIELDS = (
    "id,name,mimeType,size,parents,driveId,createdTime,modifiedTime,version,trashed,trashedTime,"
    "trashingUser(emailAddress),md5Checksum,headRevisionId,webViewLink,appProperties,"
    "shortcutDetails(targetId,targetMimeType)"
)


class Settings(WritingSettings):
    """``GDRIVE_ROOT_FOLDER_ID``: only what lies below this folder, which may be in a shared drive.

    ``GDRIVE_SHARE``: with whom a tree of folders that a template makes is shared, such as
    ``writer:group:sales@example.com,reader:anna@example.com``.
    """

    gdrive_root_folder_id: str = ""
    gdrive_share: str = ""


class Glance(msgspec.Struct):
    """What decides where a file belongs."""

    id: str | None = None
    mime_type: str = msgspec.field(name="mimeType", default="")
    parents: list[str] = []
    drive_id: str = msgspec.field(name="driveId", default="")
    trashed: bool = False
    version: str | int = ""


class _Access(msgspec.Struct):
    capabilities: dict[str, bool] = {}


class Files(msgspec.Struct):
    files: list[msgspec.Raw]
    following: str | None = msgspec.field(name="nextPageToken", default=None)
    incomplete: bool = msgspec.field(name="incompleteSearch", default=False)


class Change(msgspec.Struct):
    """A ``file`` is there unless it was removed; a change of a drive itself has no ``file_id``."""

    file_id: str | None = msgspec.field(name="fileId", default=None)
    removed: bool | None = None
    time: str | None = None
    file: msgspec.Raw = msgspec.Raw(b"null")


class Changes(msgspec.Struct):
    changes: list[msgspec.Raw]
    following: str | None = msgspec.field(name="nextPageToken", default=None)
    start: str | None = msgspec.field(name="newStartPageToken", default=None)


class Start(msgspec.Struct):
    token: str = msgspec.field(name="startPageToken")


class FolderMoved(Exception):
    """What lies below the root is not what it was."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield what changed since the last good run, or everything."""
    root = Settings().gdrive_root_folder_id.strip()
    reader = GDriveReader(request, context, root)
    state = request.state
    changes_only = state.get("root") == root and "page_token" in state and _is_fresh(state, request.window.until)
    if changes_only:
        reader.drive_id = state.get("drive_id", "")
        try:
            if root and reader.ask_root().drive_id != reader.drive_id:
                raise FolderMoved
            yield from reader.changes(state["page_token"])
        except FolderMoved:
            changes_only = False
        except RequestRefused as error:
            if error.status not in (400, 404, 410):
                raise
            changes_only = False
            context.note(page_token_refused=True)
    if not changes_only:
        yield from reader.everything()
    listed_at = state["listed_at"] if changes_only else request.window.until.isoformat()
    next_state = {"root": root, "drive_id": reader.drive_id, "page_token": reader.token, "listed_at": listed_at}
    return ReadReport(
        changes_only=changes_only, unproven=reader.unproven, next_state=None if reader.unproven else next_state
    )


def _is_fresh(state: Mapping[str, str], now: datetime) -> bool:
    """Return whether everything was listed recently enough to ask for changes alone."""
    listed_at = state.get("listed_at")
    return listed_at is not None and timedelta(0) <= now - datetime.fromisoformat(listed_at) < RELIST


class GDriveReader:
    """One read of one entity.

    ``token`` is what the next read begins with, ``unproven`` why a list may lack files.
    """

    def __init__(self, request: ReadRequest, context: ReadContext, root: str) -> None:
        self.request, self.context, self.root = request, context, root
        self.api = client(context, "Google Drive", SCOPES)
        self.unproven: str | None = None
        self.folders = request.entity.path == FOLDERS.path
        self.drive_id = ""
        self.token = ""
        self._tree: set[str] | None = None

    def everything(self) -> Iterator[Page]:
        """Yield every file, or folder, below the root.

        Raises ``WrongUse`` for a root that is no folder or is not shared.
        """
        if self.root:
            there = self.ask_root()
            if there.mime_type != FOLDER:
                raise WrongUse("Google Drive: GDRIVE_ROOT_FOLDER_ID is the id of something that is no folder.")
            self.drive_id = there.drive_id
        drive_id = {"driveId": self.drive_id} if self.drive_id else {}
        start = calls(*API, "changes").getStartPageToken(supportsAllDrives=True, **drive_id)
        self.token = ask(self.api, start, Start).token
        self._tree = None
        for files in self._listed(f"mimeType {'=' if self.folders else '!='} '{FOLDER}'", FIELDS):
            yield Page([bytes(file) for file in files if self._is_below(_seen(file))])

    def ask_root(self) -> Glance:
        """Return the root. Raises ``WrongUse`` for one that is not shared."""
        return _root(self.api, self.root)

    def changes(self, since: str) -> Iterator[Page]:
        """Yield what the log tells since a page token. Raises ``FolderMoved`` when that may not be all."""
        asked: set[str] = set()
        token = since
        while True:
            fields = f"nextPageToken,newStartPageToken,changes(fileId,removed,time,file({FIELDS}))"
            log = calls(*API, "changes").list(
                **self._where(), pageToken=token, pageSize=self._size, includeRemoved=True, fields=fields
            )  # fmt: skip
            answer = ask(self.api, log, Changes)
            yield Page(self._records(answer.changes))
            if answer.following is None:
                break
            if answer.following in asked or answer.following == since:
                raise CursorStuck("Google Drive: the log of changes repeats a page token; it would never end.")
            if len(asked) >= MOST and not answer.changes:
                raise CursorStuck("Google Drive: the log of changes goes on and on without a change.")
            asked.add(answer.following)
            token = answer.following
        if not answer.start:
            raise AnswerChanged(
                "Google Drive: the log of changes ends without a token for the next time; nothing was loaded."
            )
        self.token = answer.start

    def _records(self, changes: Sequence[msgspec.Raw]) -> list[Json]:
        """Return the changed files, the stored records of removed ones, and what the loader must set aside."""
        records: list[Json] = []
        removed: dict[str, str | None] = {}
        folders: dict[str, str | int] = {}
        for received in changes:
            change = _change(received)
            if change is None:
                records.append(bytes(received))
                continue
            if change.file_id == self.root:
                raise FolderMoved
            if change.removed or bytes(change.file) == b"null":
                if change.file_id is not None:
                    removed[change.file_id] = change.time
                continue
            file = _seen(change.file)
            if file.id is None:
                records.append(bytes(change.file))
                continue
            if file.mime_type == FOLDER and (self.root or file.trashed):
                raise FolderMoved
            if file.mime_type == FOLDER:
                folders[file.id] = file.version
            if (file.mime_type == FOLDER) is not self.folders:
                continue
            if self._is_below(file):
                records.append(bytes(change.file))
            else:
                removed[file.id] = change.time
        self._require_known(folders)
        entity = self.request.entity
        stored = self.context.known.records(entity.table, list(removed), entity.keys[0]) if removed else {}
        if removed and self.context.known.records(FOLDERS.table, list(removed), FOLDERS.keys[0]):
            raise FolderMoved
        for file_id, record in stored.items():
            overlaid = {**msgspec.json.decode(record, type=dict), "removed": True, "removedTime": removed[file_id]}
            records.append(msgspec.json.encode(overlaid))
        return records

    def _require_known(self, folders: Mapping[str, str | int]) -> None:
        """Raise ``FolderMoved`` for a folder that may be new or have come back; ``folders`` has their versions."""
        if not folders:
            return
        stored = self.context.known.records(FOLDERS.table, list(folders), FOLDERS.keys[0], living=True)
        if any(key not in stored or _seen(stored[key]).version == version for key, version in folders.items()):
            raise FolderMoved

    def _is_below(self, file: Glance) -> bool:
        """Whether a file is to be read; one that cannot be made out is the loader's to set aside."""
        if not self.root or file.id is None:
            return True
        if self._tree is None:
            self._tree = self._below_root()
        return file.id != self.root and any(parent in self._tree for parent in file.parents)

    def _below_root(self) -> set[str]:
        """Return the root and all folders below it."""
        children: dict[str, list[str]] = {}
        for files in self._listed(f"mimeType = '{FOLDER}'", "id,mimeType,parents"):
            for file in map(_seen, files):
                for parent in file.parents if file.id else ():
                    children.setdefault(parent, []).append(str(file.id))
        tree, waiting = {self.root}, [self.root]
        while waiting:
            for child in children.get(waiting.pop(), ()):
                if child not in tree:
                    tree.add(child)
                    waiting.append(child)
        return tree

    def _listed(self, query: str, fields: str) -> Iterator[list[msgspec.Raw]]:
        params = {
            **self._where(),
            "q": query,
            "pageSize": self._size,
            "fields": f"nextPageToken,incompleteSearch,files({fields})",
            "corpora": "drive" if self.drive_id else "user",
        }
        turned: set[tuple[str | None, ...]] = set()
        while True:
            answer = ask(self.api, calls(*API, "files").list(**params), Files)
            if answer.incomplete:
                self.unproven = "Google Drive says that it did not search everywhere (incompleteSearch)"
            keys = tuple(_seen(file).id for file in answer.files)
            if (keys and keys in turned) or (answer.following and answer.following == params.get("pageToken")):
                raise CursorStuck("Google Drive: the list of files answered the same page twice; it would never end.")
            turned.add(keys)
            yield answer.files
            if answer.following is None:
                return
            params["pageToken"] = answer.following

    @property
    def _size(self) -> int:
        return min(self.request.page_size, MOST)

    def _where(self) -> dict[str, Any]:
        known = {"supportsAllDrives": True, "includeItemsFromAllDrives": bool(self.drive_id)}
        return {**known, "driveId": self.drive_id} if self.drive_id else known


def _root(api: Client, root: str) -> Glance:
    """Return the root. Raises ``WrongUse`` for one that is not shared."""
    wanted = calls(*API, "files").get(fileId=root, fields="id,mimeType,driveId", supportsAllDrives=True)
    try:
        return ask(api, wanted, Glance)
    except RequestRefused as error:
        if error.status != 404:
            raise
        raise WrongUse(
            "Google Drive answers 404 for GDRIVE_ROOT_FOLDER_ID: the folder, or the shared drive that it is in, is "
            "not shared with the service account any more, or was deleted. Share it or name another; nothing was "
            "loaded, and the rows that are there stay."
        ) from error


def _seen(file: msgspec.Raw | bytes) -> Glance:
    try:
        return msgspec.json.decode(file, type=Glance)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Glance()


def _change(received: msgspec.Raw) -> Change | None:
    """Return an entry of the log; None for one of another form."""
    try:
        return msgspec.json.decode(received, type=Change)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


FILES = Entity(
    name="files",
    table="pipedesk.drive_files",
    about="Files of the service account, or below its root folder; no contents.",
    path="files",
    key="file_id",
    state_based=True,
    edited="version",
    deletes=Deletes(flag="removed|trashed", time="removedTime|trashedTime"),
    index="parent_folder_id deleted_at",
    refs={"parent_folder_id": "pipedesk.google_drive_folders"},
    columns=columns(
        id="file_id=id parent_folder_id=parents.0 drive_id=driveId shortcut_target_id=shortcutDetails.targetId",
        text="""
            name mime_type=mimeType md5=md5Checksum head_revision_id=headRevisionId
            shortcut_target_mime_type=shortcutDetails.targetMimeType
        """,
        email="deleted_by=trashingUser.emailAddress",
        url="file_url=webViewLink",
        integer="size version",
        timestamptz="created_at=createdTime modified_at=modifiedTime",
        jsonb="app_properties=appProperties",
    ),
)

FOLDERS = Entity(
    name="folders",
    table="pipedesk.google_drive_folders",
    about="Folders; whose each is stands in PipeDesk's own table of folders, not in Drive.",
    path="folders",
    key="folder_id",
    state_based=True,
    edited="version",
    deletes=Deletes(flag="removed|trashed", time="removedTime|trashedTime"),
    index="entity_id entity_type parent_folder_id deleted_at",
    rules=(one_of("entity_type", "company", "lead", "deal", "contact"),),
    columns=columns(
        id="folder_id=id parent_folder_id=parents.0 drive_id=driveId",
        text="name entity_id=appProperties.entity_id entity_type=appProperties.entity_type",
        email="deleted_by=trashingUser.emailAddress",
        url="folder_url=webViewLink",
        integer="version",
        timestamptz="created_at=createdTime modified_at=modifiedTime",
    ),
)


def check() -> str:
    """Ask for the root folder, where the log of changes stands, and what may be written.

    Not being allowed to write is no error. Raises ``WrongUse`` for a root that is not shared.
    """
    api = client(ReadContext(), "Google Drive", SCOPES)
    if root := Settings().gdrive_root_folder_id.strip():
        _root(api, root)
    ask(api, calls(*API, "changes").getStartPageToken(supportsAllDrives=True), Start)
    return (
        f"Google Drive answers: the service account can read the log of changes; granted: {', '.join(SCOPES)}; "
        f"{_writable()}"
    )


def _writable() -> str:
    """Return what may be written with the scope for writing."""
    settings, scope = Settings(), ", ".join(WRITE_SCOPES)
    api = writer(ReadContext(), "Google Drive", WRITE_SCOPES)
    acting = " for the user of GOOGLE_WRITE_AS" if settings.google_write_as else ""
    try:
        if not settings.gdrive_root_folder_id:
            ask(api, calls(*API, "changes").getStartPageToken(supportsAllDrives=True), Start)
            return f"for writing: {scope}{acting}"
        wanted = calls(*API, "files").get(
            fileId=settings.gdrive_root_folder_id, fields="capabilities(canAddChildren)", supportsAllDrives=True
        )  # fmt: skip
        may = ask(api, wanted, _Access).capabilities.get("canAddChildren", False)
        return f"for writing: {scope}{acting}, which may {'' if may else 'not '}make folders in the root folder"
    except (CredentialRefused, PermissionMissing, RequestRefused) as error:
        return f"not granted, for writing: {scope} ({error})"


GDRIVE = Source(
    name="gdrive",
    title="Google Drive",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    page_size=MOST,
    entities=(FILES, FOLDERS),
)
