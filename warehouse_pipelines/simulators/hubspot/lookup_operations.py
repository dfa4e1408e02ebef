"""What a test does to the owners, pipelines and stages of the simulated portal."""

from __future__ import annotations

from typing import Any

from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.hubspot.portal import Portal


class LookupOperations(Simulator):
    portal: Portal

    @operation
    def lookup_ids(self, kind: str) -> list[str]:
        """The ids of the `owners`, `pipelines` or `stages` that are not archived."""
        return [record["id"] for record in self.portal.lookups.all(kind)]

    @operation
    def create_lookup(self, kind: str) -> str:
        return self.portal.lookups.create(kind)

    @operation
    def edit_lookup(self, kind: str, id: str, **fields: Any) -> None:
        self.portal.lookups.find(kind, id)[1].update(fields)

    @operation
    def remove_lookup(self, kind: str, id: str) -> None:
        """An owner is archived, a pipeline or a stage deleted."""
        self.portal.lookups.remove(kind, id)

    @operation
    def clear_lookup(self, kind: str) -> None:
        """Delete all, of owners those that were archived, too."""
        self.portal.lookups.clear(kind)

    @operation
    def restore_lookup(self, kind: str, id: str) -> None:
        self.portal.lookups.restore(kind, id)
