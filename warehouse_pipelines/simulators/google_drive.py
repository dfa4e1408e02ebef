"""The simulated Drive: the files that the other two have as well, and their versions."""

from __future__ import annotations

from typing import Any

from warehouse_pipelines.simulators.google_answers import error_v3, masked, moment
from warehouse_pipelines.simulators.town import Town
from warehouse_pipelines.simulators.vendor import Vendor
from warehouse_pipelines.simulators.wire import Answer, Request, answer_json

SPREADSHEET = "application/vnd.google-apps.spreadsheet"
DEFAULT_FIELDS = "kind,id,name,mimeType"


class DriveApi(Vendor):
    def __init__(self, town: Town, settings: Any) -> None:
        super().__init__(town, settings)
        self.files: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}

    def now(self) -> float:
        raise NotImplementedError

    def touch(self, file_id: str) -> None:
        """The file was changed, whatever it was."""
        self.versions[file_id] = self.versions.get(file_id, 1) + 1
        self.files.setdefault(file_id, {})["modifiedTime"] = moment(self.now())

    def file(self, request: Request, file_id: str) -> Answer:
        known: set[str] = set(getattr(self, "sheets", ()))
        if file_id not in known and file_id not in self.files:
            return error_v3(404, "notFound", f"File not found: {file_id}.", location="fileId")
        described = {
            "kind": "drive#file",
            "id": file_id,
            "name": "Marketing",
            "mimeType": SPREADSHEET,
            "modifiedTime": moment(self.now() - 86_400),
            **self.files.get(file_id, {}),
            "version": str(self.versions.get(file_id, 1)),
        }
        return answer_json(200, masked(described, request.first("fields") or DEFAULT_FIELDS))
