"""What the battery needs to know of a vendor: what is true there, and how to change it, for every entity alike.

What a simulator has no operation for (a tag that is no longer listed) is done to its lists.
"""

from datetime import datetime
from typing import Protocol

from warehouse_pipelines.model.entity import Entity

Key = tuple[str, ...]


class Vendor(Protocol):
    """What is true at a vendor, and how it changes. A method that returns None: the vendor offers no such thing."""

    def prepare(self, entity: Entity) -> None:
        """Have at least two records that changed of late, so that a delta finds them."""

    def keys(self, entity: Entity) -> set[Key]:
        """The keys of all living records."""

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        """Change a recent record; returns its key, the column and the new text."""

    def create(self, entity: Entity) -> Key | None:
        """Add a record."""

    def delete(self, entity: Entity) -> Key:
        """Take a recent record away in the way this vendor does."""

    def bring_back(self, entity: Entity, key: Key) -> None:
        """Undo ``delete``."""

    def empty(self, entity: Entity) -> None:
        """Have no record any more, and say so without an error."""

    def path(self, entity: Entity) -> str:
        """Part of the path of those requests, and of no other, that are answered with records."""

    def poison(self, entity: Entity, what: str) -> str | None:
        """Spoil one record of the next answer; returns the spoilt column. None: records are not the vendor's own."""

    def bounds(self, entity: Entity) -> list[datetime]:
        """The lower bounds that were asked for."""

    def fixed_size(self, entity: Entity) -> bool:
        """Whether requests ask by something else than records (pairs: by contacts), so that pages do not tell."""
