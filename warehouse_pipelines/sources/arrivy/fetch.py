"""Read an entity of Arrivy: schedules, records without a schedule, and once a day everything.

No list can be asked for *edited* records, and none reports deletes: ``from`` and ``to`` bound the time for which a task
is scheduled. Three reads together find everything:

- Every delta reads the schedule from 60 days ago to 365 days ahead. ``updated`` decides which of two records is newer.
- Every delta also reads what has no schedule (``unscheduled=true``, ``tasks_with_no_datetime=true``), which no window
  shows.
- Once a day everything is read, which finds edits outside of that window, and deletes. A task may leave a window by
  being rescheduled, so only a full read proves a delete.

``/bookings`` and ``/templates`` are unconfirmed: an account without bookings has an empty table; templates are then
those that the stored tasks name (id, name, type), and one that no task names any more counts as deleted.

Left out: the journal and the rating of each task (a request each), GPS reports but the last, ``/customers`` (each task
carries its customer), and fields that are known from exports only (``assignees``, ``demo_sold``, ...).

Verified against the simulator only; no live account has been read yet.
"""

import itertools
from collections.abc import Iterator

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.arrivy.entities import BOOKINGS, TASKS, TEMPLATES
from warehouse_pipelines.sources.arrivy.reader import ArrivyReader


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the pages of one entity."""
    entity = request.entity
    reader = ArrivyReader(request, context)
    try:
        yield from reader.pages()
    except RequestRefused as refused:
        absent = refused.status == 404 and request.full and not reader.seen
        if not absent or entity.path not in (BOOKINGS.path, TEMPLATES.path):
            raise
        context.note(absent=f"this account has no /{entity.path}")
        if entity.path == TEMPLATES.path:
            yield from templates_of_tasks(context, entity)
    return ReadReport(unproven=reader.unproven())


class OfTask(msgspec.Struct):
    """The members of a task that name its template."""

    template_id: int | str | None = None
    template: str | None = None
    template_type: str | None = None
    updated: str | None = None


def templates_of_tasks(context: ReadContext, templates: Entity) -> Iterator[Page]:
    """Yield the templates that the stored tasks of the account name, each as the task edited last names it."""
    found: dict[str, OfTask] = {}
    tasks = f"{templates.schema}.{TASKS.table}" if context.account else TASKS.table
    keys = context.known.keys(tasks)
    while some := list(itertools.islice(keys, 1_000)):
        for record in context.known.records(tasks, some).values():
            task = msgspec.json.decode(record, type=OfTask)
            former = found.get(str(task.template_id))
            if task.template_id and (former is None or (task.updated or "") >= (former.updated or "")):
                found[str(task.template_id)] = task
    yield Page(
        [
            msgspec.json.encode({"id": one.template_id, "name": one.template, "type": one.template_type})
            for _, one in sorted(found.items())
        ]
    )
