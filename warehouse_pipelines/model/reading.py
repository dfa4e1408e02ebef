"""What a source is asked for and what it answers: a window, pages of records, and what it noticed on the way."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from warehouse_pipelines.model.entity import Entity

Json = bytes
"""One record as the vendor sent it, in JSON."""


class TooLarge(bytes):
    """What stands for a record that is too large to be read: the members of its key in JSON, as far as they are known.

    It becomes a dead letter of this payload, and the records beside it are loaded.
    """


class Page(NamedTuple):
    """Records of one answer.

    ``in_window`` is False for records that were not asked for by the cursor's window (an archived list, the
    restored), which the window's filter must therefore let pass.
    """

    records: Sequence[Json]
    in_window: bool = True


class Window(NamedTuple):
    """What one run asks for: ``since`` <= cursor < ``until``, in UTC; ``since`` is None when all is read."""

    since: datetime | None
    until: datetime


class Budget(NamedTuple):
    """At most ``requests`` in any ``seconds`` for one credential, over all runs; ``name`` tells budgets apart."""

    name: str
    requests: int
    seconds: float


class NotStored(Exception):
    """A stored record is asked for and there is no warehouse; unless the ``fetch`` catches it, everything is read."""


class Known(Protocol):
    """What the warehouse already holds, for a ``fetch`` whose vendor cannot be asked.

    Where there is none (``loading.dlt_known``), ``records`` and ``hashes`` raise ``NotStored``.
    """

    def keys(self, table: str) -> Iterator[str]:
        """Yield the keys of the living rows of ``table``, in order."""

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return the keys of the rows that became ``archived`` in the vendor's words at ``since`` or later."""

    def records(self, table: str, keys: Sequence[str], key: str = "id") -> dict[str, Json]:
        """Return the stored records of these ``keys``, for a vendor that sends changes and not the whole.

        ``key`` names the column, or several with blanks between them, as then each of ``keys`` has.
        """

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield key and ``sync_hash`` of the rows that the vendor had when they were last read, in order of the key."""

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return those of these columns that have a value in any living row."""


class NothingKnown:
    """What an empty warehouse holds: for ``Source.check``, and for a first read."""

    def keys(self, table: str) -> Iterator[str]:
        """Yield nothing."""
        return iter(())

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return nothing."""
        return set()

    def records(self, table: str, keys: Sequence[str], key: str = "id") -> dict[str, Json]:
        """Return nothing."""
        return {}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield nothing."""
        return iter(())

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return nothing."""
        return set()


@dataclass(kw_only=True)
class Extraction:
    """One reading of one entity: what is asked, what is known, and what was noticed on the way.

    ``limit``     stop after so many records, 0 for no limit; the loader enforces it, a ``fetch`` may use it
    ``safety_limit`` give a read up that still goes on after so many records, 0 for never; ``endless`` then says so
    ``options``   the vendor's own flags of this run
    ``take``      waits for the shared budget of a credential; raises ``BudgetSpent``
    ``cancelled`` set when the run is stopped; a wait must end with it
    ``state``     what the last good run of this entity left: page tokens, versions. Empty before there was one, and for
                  a run that must read everything (``--full``, ``--force``, ``--start-date``, backfills, replays)
    ``next_state`` what this run leaves, kept with its data when the run is good, complete and not a dry one; a
                  ``fetch`` that is in ``doubt`` leaves it only if the next run may go on from it
    ``calls`` and ``waited_seconds`` count requests and the time spent on them, waits included
    ``reported``  how many records the vendor says the asked window has; ``trusted`` when its notes say that the
                  figure can be believed, so that a difference makes the run partial
    ``answered``  called once, when the first page is there or there is none: what is ``reported`` then can be said
    ``unchanged`` set by a ``fetch`` that proved that nothing changed and therefore read nothing: nothing is missing
    ``changes_only`` set by a ``fetch`` that reads what changed since its ``state`` and nothing else: nothing is missing
    ``gone``      keys, with blanks between the parts, of rows that a ``fetch`` of ``changes_only`` proved to be gone;
                  they are tombstoned like what a read of everything did not find, in ``doubt`` too
    ``reads_deleted`` set by a ``fetch`` whose read of everything includes what the vendor lists as deleted: a row that
                  it did not find is ``erased`` then, not only ``missing``
    ``erased``    keys of rows that the vendor listed as deleted, and does not list any more though it should
    ``doubt``     set by a ``fetch`` that cannot prove that it read all it was asked for: the run is partial for this
                  reason, and buries nothing but ``gone``
    ``absent``    columns that the warehouse has values of and the source has no place for any more, as its own
                  catalogue says; their values are kept, and the run in which that begins is partial
    ``measured``  figures of the vendor's own for the metrics, by name; ``Source.measures`` are there from the start
    ``noticed``   anything else that belongs into the history row
    """

    entity: Entity
    window: Window
    known: Known = field(default_factory=NothingKnown)
    page_size: int = 100
    limit: int = 0
    safety_limit: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    take: Callable[[str, Budget], None] = lambda credential, budget: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    state: Mapping[str, str] = field(default_factory=dict)
    next_state: Mapping[str, str] | None = None
    calls: int = 0
    waited_seconds: float = 0.0
    reported: int | None = None
    trusted: bool = False
    answered: Callable[[], None] = lambda: None
    unchanged: bool = False
    changes_only: bool = False
    gone: list[str] = field(default_factory=list)
    reads_deleted: bool = False
    erased: list[str] = field(default_factory=list)
    endless: bool = False
    doubt: str | None = None
    absent: set[str] = field(default_factory=set)
    measured: Counter[str] = field(default_factory=Counter)
    noticed: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything is read."""
        return self.window.since is None

    @property
    def since(self) -> datetime:
        """The window's begin, as a time that can be compared; the year 1 when all is read."""
        return self.window.since or datetime.min.replace(tzinfo=UTC)


Fetch = Callable[[Extraction], Iterable[Page]]


class Portal(NamedTuple):
    """What a vendor has of one entity (``Source.inspect``).

    ``has`` is the vendor's own list of what a record may have, types by path; None where only ``records`` tell.
    ``remarks`` are what else is to know, and ``reasons`` why a column has no place, where more is known than that.
    ``told`` says that ``Source.check`` has named the declared columns without a place already.
    """

    has: Mapping[str, str] | None = None
    records: Sequence[Json] = ()
    remarks: Sequence[str] = ()
    reasons: Mapping[str, str] = {}
    told: bool = False


Inspect = Callable[[Extraction], Portal | None]
