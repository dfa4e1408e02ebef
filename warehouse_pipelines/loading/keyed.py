"""Read given records of an entity again, because an event named them, or load what a vendor just answered.

An event only says which records to read: they are asked for at the vendor, and go through the same coercion and merge
as any other read, with a history row of mode ``webhook``. So the order of events, duplicates and ties do not matter.
The watermark stays where it is, and no row counts as deleted because it was not read: only a key that was asked for and
that the vendor no longer has does. Neither health nor the values that columns usually have are judged by such a run.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.options import Options, Purpose, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Json, Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source

LONGEST_WAIT = 60.0
"""Seconds that such a read waits for a request: what is delivered meanwhile waits behind it, and its keys may be asked
for when the budget is back. A budget of a minute or less comes back while it waits."""


def sync_keys(source: Source, entity: Entity, keys: Sequence[str], *, url: str, run_id: str | None = None) -> Result:
    """Read these keys of ``entity``, and return what was done.

    Raises ``WrongUse`` for an entity that cannot be read by key, for no key, and for more than one run may ask for;
    else as ``sync`` does, ``BudgetSpent`` after ``LONGEST_WAIT``.
    """
    most = source.by_key.get(entity.name, 0)
    asked = tuple(dict.fromkeys(keys))
    if source.read_keys is None or not most:
        raise WrongUse(f"{source.name} {entity.name} cannot be read by key")
    if not 0 < len(asked) <= most:
        raise WrongUse(f"{len(asked)} keys of {source.name} {entity.name} were given; one run reads 1 to {most}")
    reading = replace(source, fetch=source.read_keys)
    return sync(reading, entity, Options(), Purpose.by_key(asked), url=url, run_id=run_id, longest_wait=LONGEST_WAIT)


def load_answers(
    source: Source, entity: Entity, keys: Sequence[str], answers: Callable[[ReadContext], Sequence[Json]], *, url: str
) -> Result:
    """Load records as the vendor just answered them, which have these keys; the vendor is not asked again.

    Raises as ``sync`` does.
    """

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        yield Page(answers(context), in_window=False)
        return ReadReport()

    return sync(replace(source, fetch=fetch), entity, Options(), Purpose.by_key(keys), url=url)
