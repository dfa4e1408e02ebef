"""How a deleted record of an entity is known: the ``deletes`` of its row.

    deletes=Deletes(flag="archived", time="archivedAt")

A row needs none of these words: what a full read does not return is tombstoned in any case. They tell what more the
vendor says of a deletion.

``merged_keys`` (HubSpot) and ``deleted_values`` (Google Calendar) have a single user each. They are words of the row
because the loader acts on them, in the transaction of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Deletes:
    """How a deleted record is known, beside being absent from a full read.

    ``flag``            path of the vendor's deleted flag; ``path=word`` where a text has this word for deleted
    ``time``            path of the time of the deletion; without a ``flag``, a record that has one is deleted
    ``by_window``       a row is deleted, too, when a delta or a backfill does not return it though its cursor lies in
                        the window: for vendors that return every record of a window
    ``merged_keys``     column that lists the keys of the records that this one absorbed, with ``;`` between them
    ``deleted_values``  values to set, by column, in a row that is tombstoned because it is missing

    Raises ``ValueError`` for a path that cannot be one.
    """

    flag: str | None = None
    time: str | None = None
    by_window: bool = False
    merged_keys: str | None = None
    deleted_values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.flag is not None and not all(self.flag.split("=", 1)):
            raise ValueError(f"a deleted flag {self.flag!r}, which is neither a path nor path=word")
        if self.time is not None and (not self.time or "=" in self.time):
            raise ValueError(f"a time of deletion {self.time!r}, which is no path")

    @property
    def column(self) -> str | None:
        """The column that the vendor's flag fills, or its time where that is the flag; None where it has neither."""
        return "archived" if self.flag else "deleted_at" if self.time else None

    @property
    def paths(self) -> tuple[str, ...]:
        """The places in the record of the flag and of the time."""
        both = (self.flag or "").partition("=")[0], self.time or ""
        return tuple(path for paths in both if paths for path in paths.split("|"))
