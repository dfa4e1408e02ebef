"""Which window a run asks for, whether it moves the watermark, and in which range an absent row counts as deleted."""

from dataclasses import dataclass
from datetime import UTC, datetime

from warehouse_pipelines.loading.options import SCHEDULED, Options, Purpose
from warehouse_pipelines.loading.sync_history import LastGood
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window

FULL_RETRY_RUNS = 4
"""After a read of everything that failed, one run in so many tries again. The deltas in between go on: without them,
what is new at a vendor would not arrive until somebody has looked at a suspicious read.
"""


@dataclass(frozen=True)
class Plan:
    """What a run asks for.

    ``previous``        the watermark of the last good run
    ``complete_range``  the range that is read completely; rows missing from it are tombstoned. None when there is none
    ``narrowed``        a vendor's flag leaves records out that are there
    """

    mode: str
    window: Window
    previous: datetime | None
    moves_watermark: bool
    complete_range: Window | None
    narrowed: bool = False


def plan(
    entity: Entity, options: Options, last: LastGood | None, now: datetime, purpose: Purpose = SCHEDULED,
    *, narrowed: bool = False,
) -> Plan:  # fmt: skip
    """Choose the window of a run: ``--full`` or ``--force``, then ``--start-date``, then the last good run, then all.

    A delta begins at the watermark of the last run that moved it, less the overlap, and not later than that run's
    start; with a ``lookback`` at least so far before now. It becomes a read of everything when one fell due since the
    last (``Entity.full_due``). Backfills, replays, reads of given keys, limited and dry runs never move the watermark,
    nor do runs that a vendor's flag ``narrowed``; one from a start date moves it when it reads all that a delta would.
    """
    cadence = entity.cadence
    until = now + cadence.lookahead
    previous = last.watermark if last else None
    start = None
    if options.start_date is not None:
        start = datetime.combine(options.start_date, datetime.min.time(), UTC)
    if purpose.kind in ("replay", "webhook"):
        return Plan(purpose.kind, Window(None, now), previous, False, None)
    if purpose.window is not None:
        mode, window = "backfill", purpose.window
    elif entity.cursor is None or options.full or (start is None and (options.force or last is None)):
        mode, window = "full", Window(None, until)
    elif start is not None:
        mode, window = "start_date", Window(start, until)
    elif _full_is_due(entity, last, now):
        mode, window = "full", Window(None, until)
    else:
        assert last is not None  # noqa: S101  (the second branch)
        mode, window = "delta", Window(_since(entity, last, now), until)
    oldest = now - cadence.retention if cadence.retention else None
    if oldest and window.since and window.since < oldest:
        window = Window(oldest, max(oldest, window.until))
    limited = narrowed or bool(options.max_records or options.dry_run)
    gapless = mode in ("full", "delta") or (
        last is not None and start is not None and start <= _since(entity, last, now)
    )
    moves = bool(entity.cursor) and mode != "backfill" and gapless and not limited
    complete_range = None
    if not options.max_records and not narrowed:
        if window.since is None:
            complete_range = Window(oldest, window.until)
        elif entity.deletes.by_window:
            complete_range = window
    return Plan(mode, window, previous, moves, complete_range, narrowed)


def _since(entity: Entity, last: LastGood, now: datetime) -> datetime:
    """Return from when a delta must read."""
    since = min(last.watermark, last.start_time) - entity.cadence.overlap
    lookback = entity.cadence.lookback
    return min(since, now - lookback) if lookback else since


def _full_is_due(entity: Entity, last: LastGood | None, now: datetime) -> bool:
    """Return whether to read everything. After one that failed the deltas go on, and it is tried again later."""
    every, full_every = entity.cadence.every, entity.cadence.full_every
    if full_every is None or last is None:
        return False
    if last.full_tried and (last.full_time is None or last.full_tried > last.full_time):
        return now - last.full_tried >= min(FULL_RETRY_RUNS * every, full_every / 2)
    return last.full_time is None or last.full_time < entity.full_due(now)
