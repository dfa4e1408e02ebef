"""How an entity is read, in words: one wording for Dagster's UI, ``docs/entities.md`` and ``warehouse entities``.

Each function returns a phrase without a capital or a full stop, in Markdown: a column or a table stands in backticks.
The caller makes the sentence.
"""

from datetime import timedelta

from warehouse_pipelines.model.entity import Entity


def duration(span: timedelta) -> str:
    """Return a time span in words, days first.

    >>> duration(timedelta(minutes=15)), duration(timedelta(days=7, hours=1))
    ('15 minutes', '7 days and 1 hour')
    """
    days = timedelta(days=span.days)
    return " and ".join(_units(part) for part in (days, span - days) if part) or _units(span)


def every(span: timedelta) -> str:
    """Return a cadence in words.

    >>> every(timedelta(minutes=15)), every(timedelta(hours=1))
    ('every 15 minutes', 'every hour')
    """
    return f"every {duration(span).removeprefix('1 ')}"


def cadence(entity: Entity) -> str:
    """Return how often an entity is read."""
    longer = entity.cadence.with_webhooks
    told = f", or {every(longer)} while its webhooks deliver" if longer else ""
    return f"{every(entity.cadence.every)}{told}"


def _units(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def read_by(entity: Entity) -> str:
    """Return in a word or two how an entity is read."""
    if entity.state_based:
        return "the vendor's state"
    return f"`{entity.cursor}`" if entity.cursor else "everything"


def reading(entity: Entity) -> str:
    """Return what a run without flags reads."""
    if entity.state_based:
        return "what changed since the last good run, as the vendor tells by the token or version that run kept"
    if not entity.cursor:
        return "everything, each time"
    cadence = entity.cadence
    parts = [f"what `{entity.cursor}` says is new"]
    if cadence.overlap:
        parts.append(f"beginning {duration(cadence.overlap)} before the last watermark")
    if cadence.lookback > cadence.overlap:
        parts.append(f"and the last {duration(cadence.lookback)} again, because edits do not move it")
    if cadence.lookahead:
        parts.append(f"up to {duration(cadence.lookahead)} ahead")
    if cadence.full_every:
        parts.append(f"and everything {every(cadence.full_every)}")
    if cadence.lookback and cadence.lookback <= cadence.overlap:
        parts.append("and the last read of a record wins, whatever its time")
    return ", ".join(parts)


def deletes(entity: Entity) -> str:
    """Return how a deleted record is noticed."""
    ways = []
    words = entity.deletes
    if words.flag:
        ways.append(f"the vendor's flag `{words.flag}`")
    elif words.time:
        ways.append(f"the vendor's time `{words.time}`")
    if words.merged_keys:
        ways.append(f"`{words.merged_keys}` lists the keys a record absorbed")
    if entity.state_based:
        ways.append("what the vendor reports, or shows, as deleted since the last good run")
    if entity.deletes.by_window:
        ways.append(f"absent from a read of the window that its `{entity.cursor}` lies in")
    if entity.cadence.full_every or not entity.cursor:
        ways.append("absent from a read of everything")
    return "; ".join(ways)


def seen_within(entity: Entity) -> str:
    """Return how late a deletion that leaves no trace is noticed, where runs succeed."""
    if entity.unseen_for is None:
        return f"never: {entity.cadence.never_full}"
    span = duration(entity.unseen_for)
    if entity.deletes.by_window:
        cadence = entity.cadence
        return f"{duration(cadence.every)}; {span} if older than {duration(cadence.lookback or cadence.overlap)}"
    return span


def retention(entity: Entity) -> str:
    """Return how far back the vendor can be asked; empty where it keeps everything."""
    kept = entity.cadence.retention
    if not kept:
        return ""
    return f"the vendor keeps {duration(kept)}; older rows stay and are never counted as deleted"


def parent(entity: Entity) -> str:
    """Return which rows an entity is asked for; empty where it stands on its own."""
    return f"asked for each living row of `{entity.parent}`" if entity.parent else ""


def sentence(phrase: str) -> str:
    """Return a phrase as a sentence.

    >>> sentence("read by `id`")
    'Read by `id`.'
    """
    return f"{phrase[:1].upper()}{phrase[1:]}."
