"""What a pipeline of dlt's own remembers of an entity between its runs: dlt's resource state.

dlt keeps the state with the load package that holds the rows, so it advances when they do; a read that raises leaves it
as it was. It stands in the place of ``orchestration.sync_history`` for reads without a warehouse.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from warehouse_pipelines.loading.kept_redactions import Kept
from warehouse_pipelines.loading.sync_history import LastGood

KEPT_FOR = timedelta(days=100)
MOST_KEPT = 50_000
"""Keys of archived records that are kept, about 1 MB of state; without them all that a vendor lists are read again."""


class DltState:
    """The state of one entity, over the dictionary that dlt keeps. Times are texts in it.

    cursor, start_time   the watermark of the last complete read that moved it, and when that read began
    full_time            when the last complete read of everything began, if deltas are read in between
    complete_since       from when on the first of these reads was complete, where the vendor forgets what is old
    living               how many records that read found, archived ones aside
    vendor               what the source left for its next read (``next_state``)
    redacted             columns that were hashed or dropped, by declared name, with which of both
    archived             keys of records that the vendor calls deleted, with the time: who lists them need not be
                         asked for them again, and one that is no longer listed may have been restored
    """

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept

    @property
    def last_good(self) -> LastGood | None:
        """The last complete read that moved the watermark, None when there was none."""
        if "cursor" not in self._kept:
            return None
        full = self._time("full_time")
        return LastGood(self._time("cursor"), self._time("start_time"), full, full)  # type: ignore[arg-type]

    @property
    def vendor(self) -> Mapping[str, str]:
        """What the source left for its next read."""
        return dict(self._kept.get("vendor", {}))

    @property
    def complete_since(self) -> datetime | None:
        """From when on the first complete read of everything found all there is; None where nothing is forgotten."""
        return self._time("complete_since")

    @property
    def living(self) -> int:
        """How many living records the last complete read of everything found."""
        return int(self._kept.get("living", 0))

    @property
    def redacted(self) -> list[Kept]:
        """The columns that were hashed or dropped so far."""
        return list(self._kept.get("redacted", {}).items())

    def archived(self, since: datetime) -> set[str]:
        """Return the keys that the vendor archived at ``since`` or later."""
        return {key for key, at in self._kept.get("archived", {}).items() if datetime.fromisoformat(at) >= since}

    def move_watermark(self, watermark: datetime, began: datetime) -> None:
        """Note a complete read up to ``watermark``."""
        self._kept |= {"cursor": watermark.isoformat(), "start_time": began.isoformat()}

    def note_full(self, began: datetime | None, living: int, complete_since: datetime | None = None) -> None:
        """Note a complete read of everything, and when it ``began`` if that decides about the next one."""
        self._kept["living"] = living
        if complete_since is not None and (self.complete_since is None or complete_since < self.complete_since):
            self._kept["complete_since"] = complete_since.isoformat()
        if began:
            self._kept["full_time"] = began.isoformat()

    def note_redacted(self, columns: Mapping[str, str]) -> None:
        """Keep what is hashed or dropped now."""
        if columns or "redacted" in self._kept:
            self._kept["redacted"] = dict(columns)

    def note_vendor(self, state: Mapping[str, str]) -> None:
        """Keep what the source left."""
        self._kept["vendor"] = dict(state)

    def note_archived(
        self, archived: Mapping[str, datetime], living: Iterable[str], *, began: datetime, full: bool
    ) -> None:
        """Note which keys are archived and which are not. After a read of everything no others are.

        A key that was read both ways is left out, so that the next read asks for it again: dlt may have kept either.
        """
        kept = {} if full else dict(self._kept.get("archived", {}))
        kept |= {key: at.isoformat() for key, at in archived.items()}
        for key in living:
            kept.pop(key, None)
        kept = {key: at for key, at in kept.items() if datetime.fromisoformat(at) >= began - KEPT_FOR}
        self._kept["archived"] = kept if len(kept) <= MOST_KEPT else {}

    def _time(self, name: str) -> datetime | None:
        return datetime.fromisoformat(self._kept[name]) if name in self._kept else None
