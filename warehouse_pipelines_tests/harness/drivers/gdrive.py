"""Google Drive, as the battery sees it."""

from datetime import datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines_tests.harness.drivers.driver import Key


class DriveDriver:
    """The files and the folders of a service account."""

    def __init__(self, simulator: Google) -> None:
        self.simulator = simulator

    def _folders(self, entity: Entity) -> bool:
        return entity.name == "folders"

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(file_id,) for file_id in self.simulator.file_ids(folders=self._folders(entity))}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        key = self.simulator.file_ids(folders=self._folders(entity))[1]
        self.simulator.edit_file(key, name="edited over there")
        return (key,), "name", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        return (self.simulator.create_file(folder=self._folders(entity), name="New"),)

    def delete(self, entity: Entity) -> Key:
        key = self.simulator.file_ids(folders=self._folders(entity))[-1]
        self.simulator.trash_file(key)
        return (key,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.untrash_file(key[0])

    def empty(self, entity: Entity) -> None:
        for key in self.keys(entity):
            self.simulator.forget_file(key[0])

    def path(self, entity: Entity) -> str:
        return "/drive/v3/files"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        return "created_at"

    def corrupt(self, entity: Entity, what: str) -> None:
        self.simulator.set_fault("malformed", path=self.path(entity), times=1, what=what, property="createdTime")

    def bounds(self, entity: Entity) -> list[datetime]:
        return []

    def fixed_size(self, entity: Entity) -> bool:
        return False


DRIVER = DriveDriver
