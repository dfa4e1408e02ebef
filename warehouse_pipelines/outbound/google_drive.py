"""Google Drive as a partner: files and folders by id, and with whom one is shared.

- **A folder's id is ours**: Drive gives ids away beforehand (``generate_ids``), and answers a second folder of the same
  id with 409. Names say nothing, as two folders may have the same.
- **Trash is the way to delete**: a file in it can be restored by us too, for 30 days.
- Drive has no ETags. A file is read right before it is written, and one that is not as planned is left alone; who
  changes it in between is overwritten, in the field that is written and in no other.
- **Nothing is made in or moved into** what is in the trash, deleted or no folder. That is asked right before the
  write; a file that is in the trash afterwards all the same is ``partial``.
- **A folder that we made is trashed by an undo** only if nothing of somebody else lies in it, however deep.
- ``google_files`` has the rows of ``pipedesk.google_drive_folders`` and ``drive_files`` written from what is read back,
  with who trashed it and why.

Sharing is a target of its own (``google_sharing``): its records are pairs of a file and an address, whose ``role`` is
null where the file is not shared with it. Nobody is mailed.

Unconfirmed: what Drive answers when the id of a permanently deleted folder is used again (we never do); that a new
permission is listed right after it was given.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import PermissionMissing, RequestRefused, WarehouseError
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound.partner import Action, ById, Partner, Record, Reply, Write
from warehouse_pipelines.outbound.target import BOOKKEEPING, Field, Target, Written
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import gdrive
from warehouse_pipelines.sources._google import writer
from warehouse_pipelines.sources._google_requests import ask, calls, ignored

if TYPE_CHECKING:
    from warehouse_pipelines.outbound.ledger import Item

FOLDER = gdrive.FOLDER
MOST = 20


class _File(msgspec.Struct, rename="camel"):
    id: str
    name: str | None = None
    mime_type: str = ""
    parents: list[str] = []
    trashed: bool = False
    version: str | None = None
    app_properties: dict[str, str] = {}


class _Listed(msgspec.Struct, rename="camel"):
    files: list[_File] = []
    next_page_token: str | None = None


class _Ids(msgspec.Struct):
    ids: list[str]


class _Permission(msgspec.Struct, rename="camel"):
    id: str
    type: str = ""
    role: str | None = None
    email_address: str = ""

    @property
    def address(self) -> str:
        return f"{self.type}:{self.email_address.lower()}"


class _Permissions(msgspec.Struct, rename="camel"):
    permissions: list[_Permission] = []
    next_page_token: str | None = None


class _Partner(ById):
    """What both partners share: the client, and that each record is written by itself."""

    most = MOST

    def __init__(self, target: Target, context: ReadContext) -> None:
        self.client = writer(context, "Google Drive", gdrive.WRITE_SCOPES)

    def _each(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Write one after another, since Drive has no batches; what is refused costs no other."""
        refused = {}
        for write in writes:
            try:
                self._write(action, write)
            except (RequestRefused, PermissionMissing) as error:
                refused[write.operation] = str(error)
        return Reply(refused)

    def _write(self, action: Action, write: Write) -> None:
        raise NotImplementedError


class DrivePartner(_Partner):
    """Files and folders."""

    def __init__(self, target: Target, context: ReadContext) -> None:
        super().__init__(target, context)
        self.answers: dict[str, msgspec.Raw] = {}  # as they were last read
        self._destinations: dict[str, str | None] = {}
        """Why nothing can be moved into a folder, as this batch has found it."""

    @property
    def _files(self) -> Any:
        return calls(*gdrive.API, "files")

    def generate_ids(self, count: int) -> list[str]:
        """Return ids for new folders."""
        ids: list[str] = []
        while len(ids) < count:
            wanted = min(count - len(ids), gdrive.MOST)
            ids += ask(self.client, self._files.generateIds(count=wanted, space="drive", type="files"), _Ids).ids
        return ids

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the files of these ids, those in the trash too."""
        found = {}
        for one in ids:
            wanted = self._files.get(fileId=one, fields=gdrive.FIELDS, supportsAllDrives=True)
            with ignored(404):
                answer = self.answers[one] = ask(self.client, wanted, msgspec.Raw)
                file = msgspec.json.decode(answer, type=_File)
                found[one] = Record(one, _values(file), file.version, file.app_properties.get(BOOKKEEPING))
        return found

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the files of these ids; the key is the id."""
        return self.read(keys)

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of what lies in folders and is not ours, however deep."""
        return {one: names for one in ids if (names := list(self._foreign(one)))}

    def _foreign(self, folder: str) -> Iterator[str]:
        for file in self._children(folder):
            if BOOKKEEPING in file.app_properties:
                yield from self._foreign(file.id)
            else:
                yield file.name or file.id

    def _children(self, folder: str) -> Iterator[_File]:
        token = None
        while True:
            page = self._files.list(
                q=f"'{folder}' in parents and trashed = false", fields="nextPageToken,files(id,name,appProperties)",
                pageSize=gdrive.MOST, pageToken=token, supportsAllDrives=True, includeItemsFromAllDrives=True,
            )  # fmt: skip
            answer = ask(self.client, page, _Listed)
            yield from answer.files
            token = answer.next_page_token
            if token is None:
                return

    def no_destination(self, folder: str) -> str | None:
        """Return why nothing can be moved into a folder; None where it can."""
        wanted = self._files.get(fileId=folder, fields="id,mimeType,trashed", supportsAllDrives=True)
        file = None
        with ignored(404):
            file = ask(self.client, wanted, _File)
        if file is None:
            return f"Google Drive shows no folder {folder} to the service account"
        if file.mime_type != FOLDER:
            return f"{folder} is no folder"
        return f"the folder {folder} is in the trash; restore it, or take another" if file.trashed else None

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Make folders, or change files."""
        self._destinations.clear()
        return self._each(action, writes)

    def _write(self, action: Action, write: Write) -> None:
        new = write.values
        if parent := new.get("parent"):
            if parent not in self._destinations:
                self._destinations[parent] = self.no_destination(parent)
            if problem := self._destinations[parent]:
                raise RequestRefused(f"{problem}; nothing was written.")
        if action == "create":
            properties = {name: new.get(name) for name in ("entity_type", "entity_id")} | {BOOKKEEPING: write.operation}
            body = {
                "id": new["id"], "name": new["name"], "mimeType": FOLDER, "parents": [new["parent"]],
                "appProperties": {name: value for name, value in properties.items() if value},
            }  # fmt: skip
            create = self._files.create(body=body, supportsAllDrives=True, fields="id")
            with ignored(409):  # what is read back says whose it is
                ask(self.client, create, _File, repeat=False)
                self._destinations[new["id"] or ""] = None
            return
        changed: dict[str, Any] = {}
        if "name" in new:
            changed["name"] = new["name"]
        if "trashed" in new:
            changed["trashed"] = new["trashed"] == "true"
        move = {}
        if "parent" in new:
            move = {"addParents": new["parent"], "removeParents": write.before["parent"]}
        update = self._files.update(fileId=write.object_id, body=changed, supportsAllDrives=True, fields="id", **move)
        ask(self.client, update, _File, repeat=False)


def _values(file: _File) -> dict[str, str | None]:
    return {
        "id": file.id,
        "name": file.name,
        "parent": next(iter(file.parents), None),
        "trashed": "true" if file.trashed else None,
        "entity_type": file.app_properties.get("entity_type"),
        "entity_id": file.app_properties.get("entity_id"),
    }


class SharingPartner(_Partner):
    """With whom files are shared. A record's id is ``FILE user:ADDRESS`` or ``FILE group:ADDRESS``."""

    def __init__(self, target: Target, context: ReadContext) -> None:
        super().__init__(target, context)
        self._seen: dict[str, _Permission] = {}

    @property
    def _permissions(self) -> Any:
        return calls(*gdrive.API, "permissions")

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the roles of these pairs; null where the file is there and not shared so."""
        found = {}
        for file in dict.fromkeys(one.split(" ")[0] for one in ids):
            with ignored(404):
                there = {one.address: one for one in self._of(file)}
                for one in ids:
                    if one.split(" ")[0] == file:
                        permission = there.get(one.split(" ")[1])
                        self._seen.pop(one, None)
                        if permission:
                            self._seen[one] = permission
                        found[one] = Record(one, {"role": permission.role if permission else None})
        return found

    def _of(self, file: str) -> list[_Permission]:
        found: list[_Permission] = []
        token = None
        while True:
            page = self._permissions.list(
                fileId=file, fields="nextPageToken,permissions(id,type,role,emailAddress)", pageSize=100,
                pageToken=token, supportsAllDrives=True,
            )  # fmt: skip
            answer = ask(self.client, page, _Permissions)
            found += answer.permissions
            token = answer.next_page_token
            if token is None:
                return found

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the roles of these pairs."""
        return self.read(keys)

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return nothing: a permission holds nothing."""
        return {}

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Give, change and take roles."""
        return self._each(action, writes)

    def _write(self, action: Action, write: Write) -> None:
        file, address = (write.object_id or "").split(" ")
        type_, _, email = address.partition(":")
        role, seen = write.values["role"], self._seen.get(write.object_id or "")
        how: dict[str, Any] = {"fileId": file, "supportsAllDrives": True}
        if seen is None:
            body = {"type": type_, "role": role, "emailAddress": email}
            create = self._permissions.create(body=body, sendNotificationEmail=False, **how)
            ask(self.client, create, _Permission, repeat=False)
        elif role is None:
            with ignored(404):
                ask(self.client, self._permissions.delete(permissionId=seen.id, **how), bytes, repeat=False)
        else:
            update = self._permissions.update(permissionId=seen.id, body={"role": role}, **how)
            ask(self.client, update, _Permission, repeat=False)


def keep(written: Written, partner: Partner) -> str | None:
    """Load files and folders as they were read back, and write who trashed one and why."""
    from warehouse_pipelines.loading.keyed import load_answers  # with dlt, which a list of targets needs not

    assert isinstance(partner, DrivePartner)  # noqa: S101  (the partner of this target)
    problems = []
    for entity in (gdrive.FOLDERS, gdrive.FILES):
        of_entity = [item for item in written.items if _is_of(entity is gdrive.FOLDERS, item, partner)]
        ids = [item.object_id for item in of_entity if item.object_id]
        if not ids:
            continue
        answers = functools.partial(_answers, partner, ids)
        try:
            result = load_answers(gdrive.GDRIVE, entity, ids, answers, url=written.url)
            problems += ["it is in the dead letters"] if result.failed else []
            _note_trash(written, of_entity, entity.table)
        except WarehouseError as error:
            problems.append(str(error))
    return "; ".join(dict.fromkeys(problems)) or None


def _is_of(folders: bool, item: "Item", partner: DrivePartner) -> bool:
    answer = partner.answers.get(item.object_id or "")
    return answer is not None and (msgspec.json.decode(answer, type=_File).mime_type == FOLDER) is folders


def _answers(partner: DrivePartner, ids: Sequence[str], context: ReadContext) -> list[bytes]:
    return [bytes(partner.answers[one]) for one in ids]


def _note_trash(written: Written, items: "Sequence[Item]", table: str) -> None:
    """Write who trashed what and why; ``pipedesk.keep_who_deleted`` keeps it when the vendor's record comes again."""
    trashed = [item.object_id for item in items if "trashed" in item.fields and item.fields["trashed"].new == "true"]
    if not trashed:
        return
    plan = written.plan
    why = plan.why or (f"undo of plan {plan.undoes}" if plan.undoes else f"plan {plan.plan_id}")
    statement = query("note_trashed_folders") if table == gdrive.FOLDERS.table else query("note_trashed_files")
    with warehouse.session(written.url) as session:
        session.execute(statement, {"ids": trashed, "by": written.by, "why": why})


FILES = Target(
    name="google_files",
    about="Folders and files in Google Drive, as somebody asks for them: `warehouse google folder`.",
    crm="gdrive",
    object="files",
    source="",
    reads=(),
    partner=DrivePartner,
    key="id",
    lists_all=True,
    retired=("trashed", "true"),
    keep=keep,
    fields=(
        Field(name="id"),
        Field(name="name"),
        Field(name="parent"),
        Field(name="trashed", kind="bool"),
        Field(name="entity_type"),
        Field(name="entity_id"),
    ),
)  # fmt: skip

SHARING = Target(
    name="google_sharing",
    about="With whom folders in Google Drive are shared: `warehouse google folder share`.",
    crm="gdrive",
    object="permissions",
    source="",
    reads=(),
    partner=SharingPartner,
    fields=(Field(name="role", clears=True),),
)
