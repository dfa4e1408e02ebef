"""What the simulated Drive lets a program write: folders with ids that were generated before, names, places, trash,
permissions.

Nothing tells two folders of one name apart but their ids. What lies in a folder that is trashed is trashed with it, and
the log says nothing of it. ``trashedTime`` and ``trashingUser`` are told in shared drives alone.
"""

from __future__ import annotations

import secrets
import zlib
from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v3, masked, moment
from warehouse_pipelines.simulators.google.drive import DEFAULT_FIELDS, DriveApi

ROLES = ("owner", "organizer", "fileOrganizer", "writer", "commenter", "reader")
PERMISSION_FIELDS = "kind,id,type,role"


class DriveWriteApi(DriveApi):
    def __init__(self, population: Population, settings: Any) -> None:
        super().__init__(population, settings)
        self._generated: set[str] = set()
        self.read_only: set[str] = set()
        self._permissions: dict[str, dict[str, dict[str, Any]]] = {}  # by file, by id

    def acts_for(self, request: Request) -> str:
        """Whom the service account acts for; nobody is an empty text."""
        raise NotImplementedError

    def described(self, file_id: str) -> dict[str, Any]:
        """A file with every field; trashed when a folder above it is."""
        it = {**super().described(file_id), "capabilities": {"canAddChildren": file_id not in self.read_only}}
        if not it["trashed"] and any(one.get("trashed") for one in self.files.values()):
            it["trashed"] = any(self.described(parent)["trashed"] for parent in it["parents"] if parent != "root")
        return it

    def generate_ids(self, request: Request) -> Answer:
        count = int(request.first("count") or 10)
        if not 1 <= count <= 1000:
            return error_v3(400, "invalid", "Invalid Value", location="count")
        ids = [f"1{secrets.token_urlsafe(24)}" for _ in range(count)]
        self._generated.update(ids)
        return answer_json(200, {"kind": "drive#generatedIds", "space": "drive", "ids": ids})

    def insert_file(self, request: Request) -> Answer:
        body = request.json()
        file_id = body.get("id")
        if file_id is not None and file_id in {*self.added, *self._file_ids()}:
            return error_v3(409, "fileIdInUse", "A file already exists with the provided ID.")
        if file_id is not None and file_id not in self._generated:
            return error_v3(400, "invalid", "The provided file ID is not usable.", location="id")
        parents = body.get("parents") or ["root"]
        if len(parents) > 1:
            return error_v3(403, "teamDrivesParentLimit", "A shared drive item must have exactly one parent.")
        drive_id = None
        if parents != ["root"]:
            if refused := self._refused_file(request, parents[0]):
                return refused
            drive_id = self.described(parents[0]).get("driveId")
        file_id = file_id or f"1{secrets.token_urlsafe(24)}"
        self.added.append(file_id)
        fields = {name: body[name] for name in ("name", "mimeType", "appProperties", "description") if name in body}
        self.files[file_id] = {"name": "Untitled", "createdTime": moment(self.now())}
        if drive_id:
            self.files[file_id]["driveId"] = drive_id
        self.touch(file_id, parents=parents, **fields)
        return self._shown_file(request, file_id)

    def patch_file(self, request: Request, file_id: str) -> Answer:
        if refused := self._refused_file(request, file_id):
            return refused
        body, it = request.json(), self.described(file_id)
        fields = {name: body[name] for name in ("name", "description") if name in body}
        if "appProperties" in body:
            merged = {**it.get("appProperties", {}), **body["appProperties"]}
            fields["appProperties"] = {name: value for name, value in merged.items() if value is not None}
        added, removed = request.first("addParents"), request.first("removeParents")
        if added:
            if refused := self._refused_file(request, added):
                return refused
            if removed not in it["parents"]:
                return error_v3(403, "cannotAddParent", "Increasing the number of parents is not allowed")
            fields["parents"] = [added]
            if (drive_id := self.described(added).get("driveId")) != it.get("driveId"):
                self.touch(file_id)
                self.files[file_id]["driveId"] = drive_id
        if "trashed" in body:
            fields["trashed"] = body["trashed"]
            self.files.setdefault(file_id, {}).pop("trashedTime", None)
            self.files[file_id].pop("trashingUser", None)
            if body["trashed"] and it.get("driveId"):
                user = self.acts_for(request) or "warehouse@simulated.iam.gserviceaccount.com"
                fields |= {"trashedTime": moment(self.now()), "trashingUser": {"emailAddress": user}}
        self.touch(file_id, **fields)
        return self._shown_file(request, file_id)

    def _refused_file(self, request: Request, file_id: str) -> Answer | None:
        """Why a file may not be written; one in a shared drive is not there for who knows of none."""
        answer = self.file(request, file_id)
        if answer.status == 200 and file_id in self.read_only:
            message = "The user does not have sufficient permissions for this file."
            return error_v3(403, "insufficientFilePermissions", message)
        return answer if answer.status != 200 else None

    def _shown_file(self, request: Request, file_id: str) -> Answer:
        return answer_json(200, masked(self.described(file_id), request.first("fields") or DEFAULT_FIELDS))

    def permissions(self, request: Request, file_id: str) -> Answer:
        if refused := self._refused_file(request, file_id):
            return refused
        body = {"kind": "drive#permissionList", "permissions": list(self._permissions_of(file_id).values())}
        return answer_json(200, masked(body, request.first("fields") or f"kind,permissions({PERMISSION_FIELDS})"))

    def _permissions_of(self, file_id: str) -> dict[str, dict[str, Any]]:
        """Those of the file and of the folders above it."""
        above = [parent for parent in self.described(file_id).get("parents", ()) if parent != "root"]
        inherited = {one: value for parent in above for one, value in self._permissions_of(parent).items()}
        return {**inherited, **self._permissions.get(file_id, {})}

    def insert_permission(self, request: Request, file_id: str) -> Answer:
        if refused := self._refused_file(request, file_id):
            return refused
        body = request.json()
        if body.get("role") not in ROLES or body.get("type") not in ("user", "group", "domain", "anyone"):
            return error_v3(400, "invalid", "The specified role or type is invalid.", location="permission.role")
        address = body.get("emailAddress", "")
        if body["type"] in ("user", "group") and "@" not in address:
            return error_v3(400, "invalid", "The specified emailAddress is invalid or not applicable.")
        permission_id = f"{zlib.crc32(address.lower().encode()):020d}" if address else "anyoneWithLink"
        permission = {"kind": "drive#permission", "id": permission_id, **body}
        self._permissions.setdefault(file_id, {})[permission_id] = permission
        self.touch(file_id)
        return answer_json(200, masked(permission, request.first("fields") or PERMISSION_FIELDS))

    def patch_permission(self, request: Request, file_id: str, permission_id: str) -> Answer:
        known = self._permissions.get(file_id, {}).get(permission_id)
        if known is None:
            return error_v3(404, "notFound", f"Permission not found: {permission_id}.", location="permissionId")
        known["role"] = request.json()["role"]
        self.touch(file_id)
        return answer_json(200, masked(known, request.first("fields") or PERMISSION_FIELDS))

    def remove_permission(self, request: Request, file_id: str, permission_id: str) -> Answer:
        if self._permissions.get(file_id, {}).pop(permission_id, None) is None:
            return error_v3(404, "notFound", f"Permission not found: {permission_id}.", location="permissionId")
        self.touch(file_id)
        return Answer(204)

    @operation
    def set_read_only(self, id: str) -> None:
        """The file is shared for reading alone."""
        self.read_only.add(id)

    @operation
    def children(self, id: str) -> list[dict[str, Any]]:
        """What lies in a folder and is not trashed, in the order in which it was made."""
        found = [self.described(one) for one in self._file_ids()]
        return [it for it in found if id in it.get("parents", ()) and not it["trashed"]]

    @operation
    def shared_with(self, id: str) -> dict[str, str]:
        """The roles of a file's own permissions, by address."""
        return {one["emailAddress"]: one["role"] for one in self._permissions.get(id, {}).values()}

    @operation
    def described_file(self, id: str) -> dict[str, Any]:
        """A file with all of its fields."""
        return self.described(id)

    @operation
    def forget_properties(self, id: str) -> None:
        """The properties of the program that made it are lost, as after a change of the project."""
        self.files[id].pop("appProperties", None)
        self.touch(id)
