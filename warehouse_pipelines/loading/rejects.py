"""A record that cannot be loaded, on its way to the dead letters."""

from dataclasses import dataclass

from warehouse_pipelines.model.reading import Json

TOO_LARGE = "size"
"""The rule of a dead letter whose payload is not the record: that has more bytes than can be loaded."""


@dataclass(frozen=True)
class Reject:
    """A record as it was read, and why it cannot be loaded. ``key`` is None when not even that could be read.

    ``parts`` are those of the key, one for each of its columns.
    """

    raw: Json
    key: str | None
    stage: str
    rule: str
    message: str
    parts: tuple[str, ...] | None = None
