"""One read of one entity, as a source sees it: ``ReadRequest`` and ``ReadContext`` in, pages and ``ReadReport`` out.

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        yield Page(...)
        return ReadReport(...)

The request is what is asked for, and does not change. The context is what may be done meanwhile: ask the warehouse,
acquire budget, wait, take notes. Clients need the context only. The report decides whether the read is complete, so it
exists only when the read came to its end. Notes and figures are in the context, because a read that fails has them too;
so are absent columns, which must be known before their records are loaded.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.model.account_settings import settings_of
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.pace import Pace
from warehouse_pipelines.settings import FromEnvironment

Json = bytes
"""One record as the vendor sent it, in JSON."""


class TooLarge(bytes):
    """What stands for a record that is too large to be read: the members of its key in JSON, as far as they are known.

    It becomes a dead letter of this payload, and the records beside it are loaded.
    """


class Page(NamedTuple):
    """Records of one answer.

    ``in_window``  False for records fetched outside the incremental query (an archived list, the restored), so that
                   the incremental filter keeps them
    ``reported``   how many records the vendor says the read has, for the progress; ``ReadReport`` has the last word
    """

    records: Sequence[Json]
    in_window: bool = True
    reported: int | None = None


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

    def keys_in(self, entity: Entity, window: Window) -> Iterator[tuple[str, ...]]:
        """Yield the keys of the living rows of ``entity`` whose cursor lies in ``window``; of all if it has no begin.

        A complete read of the window counts those of them as deleted that it does not return.
        """

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return the keys of the rows that became ``archived`` in the vendor's words at ``since`` or later."""

    def records(self, table: str, keys: Sequence[str], key: str = "id", *, living: bool = False) -> dict[str, Json]:
        """Return the stored records of these ``keys``, for a vendor that sends changes and not the whole.

        ``key`` names the column, or several with blanks between them, as then each of ``keys`` has. ``living`` leaves
        out those of archived rows.
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

    def keys_in(self, entity: Entity, window: Window) -> Iterator[tuple[str, ...]]:
        """Yield nothing."""
        return iter(())

    def archived(self, table: str, since: datetime) -> set[str]:
        """Return nothing."""
        return set()

    def records(self, table: str, keys: Sequence[str], key: str = "id", *, living: bool = False) -> dict[str, Json]:
        """Return nothing."""
        return {}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield nothing."""
        return iter(())

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        """Return nothing."""
        return set()


@dataclass(frozen=True, kw_only=True)
class ReadRequest:
    """What one read of one entity is asked for.

    ``limit``    stop after so many records, 0 for no limit; the loader enforces it, a ``fetch`` may use it
    ``options``  the vendor's own flags of this run
    ``state``    what the last good run of this entity left: page tokens, versions. Empty before there was one, and for
                 a run that must read everything (``--full``, ``--force``, ``--start-date``, backfills, replays)
    ``keys``     the records that ``Source.read_keys`` is asked for; a ``fetch`` has none
    """

    entity: Entity
    window: Window
    page_size: int = 100
    limit: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    keys: Sequence[str] = ()

    @property
    def full(self) -> bool:
        """Whether everything is read."""
        return self.window.since is None

    @property
    def since(self) -> datetime:
        """The window's begin, as a time that can be compared; the year 1 when all is read."""
        return self.window.since or datetime.min.replace(tzinfo=UTC)


S = TypeVar("S", bound=FromEnvironment)


class ReadContext:
    """What a ``fetch`` and its clients may do during one read. Threads may share it, except to ask the warehouse.

    ``account``    which account of the vendor is read; empty for the one without a name (``model.accounts``)
    ``known``      asks the warehouse
    ``acquire``    waits for the shared budget of a credential; raises ``BudgetSpent``, and waits not at all, for a wait
                   that is longer than its third argument
    ``cancelled``  set when the run is stopped; a wait must end with it
    ``see_accounts``  is told the vendor's ids of the accounts that are about to be read, by a source that lists them in
                   each read; raises ``WrongAccount``
    ``pace``       how many requests of this read may be in flight
    ``calls`` and ``waited_seconds`` count requests and the time spent on them, waits included
    ``noted``, ``measured`` and ``absent`` are what ``note``, ``measure`` and ``mark_absent`` were given. They are kept
    in the history row when the read fails, too
    """

    def __init__(
        self,
        *,
        known: Known | None = None,
        acquire: Callable[[str, Budget, float | None], None] = lambda credential, budget, longest_wait: None,
        cancelled: threading.Event | None = None,
        account: str = "",
    ) -> None:
        self.account = account
        self.known: Known = known or NothingKnown()
        self.acquire = acquire
        self.cancelled = cancelled or threading.Event()
        self.see_accounts: Callable[[Sequence[str]], None] = lambda ids: None
        self.pace = Pace()
        self.calls = 0
        self.waited_seconds = 0.0
        self.noted: dict[str, Any] = {}
        self.measured: Counter[str] = Counter()
        self.absent: set[str] = set()
        self._lock = threading.Lock()
        self._waiters, self._since = 0, 0.0

    def settings(self, form: type[S]) -> S:
        """Read the settings of the account now."""
        found: type[S] = settings_of(form, self.account)
        return found()

    def setting(self, name: str) -> str:
        """Return what a setting of the vendor is called for the account, such as ``HUBSPOT_WEST_ACCESS_TOKEN``."""
        vendor, _, rest = name.partition("_")
        return f"{vendor}_{self.account.upper()}_{rest}" if self.account else name

    def note(self, **facts: Any) -> None:
        """Set facts for the history row, by name."""
        self.noted |= facts

    def count(self, fact: str, number: int = 1) -> None:
        """Add to a fact that is a number."""
        with self._lock:
            self.noted[fact] = self.noted.get(fact, 0) + number

    def measure(self, figure: str, number: int) -> None:
        """Add to a figure of ``performance_metrics``; ``Source.measures`` are there from the start."""
        with self._lock:
            self.measured[figure] += number

    def mark_absent(self, columns: Iterable[str]) -> None:
        """Keep the stored values of columns that the source lacks by its own catalogue; call it before their records.

        The run in which that begins is partial. Only columns of which the warehouse holds values belong here.
        """
        self.absent |= set(columns)

    @contextlib.contextmanager
    def waiting(self, calls: int = 0) -> Iterator[None]:
        """Count requests and the time of waiting for them; while several threads wait, time counts once."""
        with self._lock:
            self.calls += calls
            if not self._waiters:
                self._since = time.monotonic()
            self._waiters += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiters -= 1
                if not self._waiters:
                    self.waited_seconds += time.monotonic() - self._since

    def pause(self, title: str, seconds: float) -> None:
        """Wait, unless the run is cancelled meanwhile; then raise ``VendorUnavailable``."""
        with self.waiting():
            cancelled = self.cancelled.wait(seconds)
        if cancelled:
            raise VendorUnavailable(f"{title}: the run was stopped while waiting for the vendor")


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """What a ``fetch`` returns at its end: what decides whether the read is complete, and which rows are deleted.

    A read that is stopped by a limit has no report, and tombstones nothing.

    ``reported``          how many records the vendor says the window has
    ``reported_trusted``  True if that figure can be believed, so that a difference makes the run partial
    ``changes_only``      True if only changes were returned, or none because nothing changed: absence does not mean
                          deletion
    ``complete_since``    from when on a read of everything is complete, for a vendor that forgets what is old: rows
                          whose cursor lies before it stay as they are. None if the vendor forgets nothing
    ``deleted_keys``      keys, with blanks between the parts, of rows that a read of ``changes_only`` or by key proved
                          to be deleted; they are tombstoned in an ``unproven`` read too
    ``withdrawn_keys``    keys of rows that an earlier read made of what is no record: a complete read tombstones them,
                          however many they are
    ``unread_keys``       those of the keys of a read by key that the vendor refused to answer, or for which the budget
                          was spent, with ``unproven``
    ``unread_seconds``    in how many seconds the spent budget has a request again; 0 for keys that were refused
    ``includes_deleted``  True if a full read, or one by key, includes what the vendor lists as deleted: an absent row
                          is ``erased`` then, and not only ``missing``
    ``erased_keys``       keys of rows that the vendor listed as deleted, and does not list any more though it should
    ``unproven``          why the source cannot prove that it read all it was asked for: the run is partial for this
                          reason, and tombstones only ``deleted_keys``
    ``remark``            what a person must look at though all that could be read was read: the run is partial for it,
                          and otherwise like one that is a success
    ``next_state``        the ``state`` for the next run, kept with the data if the run is good, complete and not a dry
                          one; an ``unproven`` read leaves it only if the next run may go on from it
    """

    reported: int | None = None
    reported_trusted: bool = False
    changes_only: bool = False
    complete_since: datetime | None = None
    deleted_keys: Sequence[str] = ()
    withdrawn_keys: Sequence[str] = ()
    unread_keys: Sequence[str] = ()
    unread_seconds: float = 0.0
    includes_deleted: bool = False
    erased_keys: Sequence[str] = ()
    unproven: str | None = None
    remark: str | None = None
    next_state: Mapping[str, str] | None = None

    @property
    def delete_reason(self) -> str:
        """Why a row that was not found is deleted."""
        return "erased" if self.includes_deleted else "missing"


Pages = Generator[Page, None, ReadReport]
"""Pages one after another, and the report as the generator's value."""

Fetch = Callable[[ReadRequest, ReadContext], Pages]


class Portal(NamedTuple):
    """What a vendor has of one entity (``Source.inspect``).

    ``has`` is the vendor's own list of what a record may have, types by path; None where only ``records`` tell.
    ``remarks`` are what else is to know, and ``reasons`` why a column has no place, where more is known than that.
    ``already_named`` says that ``Source.check`` names the declared columns without a place itself.
    """

    has: Mapping[str, str] | None = None
    records: Sequence[Json] = ()
    remarks: Sequence[str] = ()
    reasons: Mapping[str, str] = {}
    already_named: bool = False


Inspect = Callable[[ReadRequest, ReadContext], Portal | None]
