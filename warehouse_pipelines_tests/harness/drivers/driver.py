"""What the battery needs to know of a vendor: what is true there, and how to change it, for every entity alike.

The driver of a source is `DRIVER` in the module of the source's name. What a simulator has no operation for (a tag
that is no longer listed) a driver does to the simulator's lists.
"""

from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from warehouse_pipelines.model.entity import Entity

Key = tuple[str, ...]


class VendorDriver(Protocol):
    """What is true at a vendor, and how it changes. A method that returns None: the vendor offers no such thing."""

    def __init__(self, simulator: Any) -> None: ...

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

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        """The column that ``corrupt`` makes bad. None: it cannot, since records are not the vendor's own."""

    def corrupt(self, entity: Entity, what: str) -> None:
        """Make one record of the next answer bad."""

    def bounds(self, entity: Entity) -> list[datetime]:
        """The lower bounds that were asked for."""

    def fixed_size(self, entity: Entity) -> bool:
        """Whether requests ask by something else than records (pairs: by contacts), so that pages do not tell."""


@cache
def driver_of(name: str) -> type[VendorDriver]:
    """The driver of a source. Raises ``ModuleNotFoundError``."""
    found: type[VendorDriver] = import_module(f"{__package__}.{name}").DRIVER
    return found
