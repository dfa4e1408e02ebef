"""Read an entity of HubSpot: lists for everything, search for what changed, batch reads for the records.

**Everything** comes from the list endpoint, live records first and archived ones after, so that records archived during
the read are found in the second list. Records restored during it are in neither, so the archived ids are listed before
as well, and those that are no longer listed at the end are asked for. A record archived and restored within one read is
missed until its next edit or full read. If the property list is too long for a URL, ids are listed and the records read
by POST, which costs twice the calls.

**A delta** asks the search for ids only (``search``) and reads the records by POST. The archived ids are listed once
the search is done, beside the last of its records, as one of the requests in flight; a record that is not there when it
is read, because it was archived in between, is asked for among the archived ones.

Records, pages of a long list and associations are asked for side by side, as many as the pace of the read allows
(``model.pace``). The parts of a read follow one another, because a record may move from one to the next: what is listed
live comes before what is archived, what is searched before both.

**Deletes.** The search never shows archived records: each delta lists the archived ids, reads those that the warehouse
does not hold as archived, and asks for those that it does and that are no longer listed. One that is neither restored
nor listed within the 90 days for which the vendor keeps deleted records was deleted for good: ``erased``. Merged and
GDPR-deleted records are in no list. Merges are in the survivor's ``hs_merged_object_ids``; the others are found by the
next full read, where a record in neither list is ``erased`` too.

**Full reads** come once a day for small objects and people, once a week for the rest. Ids alone would cost as many
calls, and would not show edits that move no date, such as those of calculated properties.

Not used: ``updatedAt`` (the last-modified property is the cursor), inline associations (paged apart, so possibly
incomplete), property history, pipelines of other objects than deals. No live portal has been read yet.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import AnswerChanged, RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources._json import key_of
from warehouse_pipelines.sources.hubspot.answers import Answer, Pipeline
from warehouse_pipelines.sources.hubspot.associations import pairs
from warehouse_pipelines.sources.hubspot.client import OWNERS, PIPELINES
from warehouse_pipelines.sources.hubspot.reader import LONGEST_LIST, HubSpotReader, batches
from warehouse_pipelines.sources.hubspot.search import HubSpotSearch

ARCHIVED_FOR = timedelta(days=91)  # the vendor lists an archived record for 90
CERTAINLY_ARCHIVED_FOR = timedelta(days=89)
FEW = 20
"""If nothing is archived any more, at most so many are erased; more look like a lost right to see the archive."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the pages of one entity."""
    reader, entity = HubSpotReader(request, context), request.entity
    if entity.path == "owners":
        return owners(reader)
    if entity.path.startswith("pipelines/"):
        return pipelines(reader)
    if entity.parent:
        return pairs(reader, entity.parent)
    return everything(reader) if request.full else changes(reader)


def everything(reader: HubSpotReader) -> Pages:
    """Yield all live records, all archived ones, and the restored. All are outside of the incremental query."""
    restored = set(reader.ids(archived=True))
    in_url = True
    for archived in (False, True):
        names = ",".join(reader.properties)
        in_url = in_url and len(quote(names)) <= LONGEST_LIST
        if in_url:
            try:
                for records in reader.list_pages(Answer[msgspec.Raw], names, reader.size, archived=archived):
                    if archived:
                        restored.difference_update(map(key_of, records))
                    yield Page([bytes(record) for record in records], in_window=False)
                continue
            except RequestRefused as error:
                if error.status not in (414, 431):
                    raise
                in_url = False
        for ids, found in reader.read_each(reader.ids(archived=archived), archived=archived):
            if archived:
                restored.difference_update(ids)
            yield Page(found, in_window=False)
    for _, found in reader.read_each(sorted(restored)):
        yield Page(found, in_window=False)
    return ReadReport(includes_deleted=True)


def changes(reader: HubSpotReader) -> Pages:
    """Yield the records that changed in the window; then, except in a backfill, those archived or restored."""
    request, context = reader.request, reader.context
    search = HubSpotSearch(reader)
    backfill = request.options.get("backfill")
    listed: set[str] = set()

    def read(ids: Sequence[str]) -> tuple[Sequence[str], list[bytes]]:
        return ids, reader.read(ids)

    def list_archived() -> tuple[Sequence[str], list[bytes]]:
        listed.update(reader.ids(archived=True))
        return [], []

    def requests() -> Iterator[Callable[[], tuple[Sequence[str], list[bytes]]]]:
        for batch in batches(search.changed(request.since, request.window.until), reader.size):
            _ = reader.properties  # known before the threads need it
            yield partial(read, batch)
        if not backfill:
            yield list_archived

    absent: set[str] = set()
    for _, (ids, records) in as_answered(context, lambda ask: ask(), requests(), reader.most):
        if len(records) < len(ids):
            absent.update(set(ids) - {str(key_of(msgspec.Raw(record))) for record in records})
        yield Page(records, reported=search.counted)
    if backfill:
        return ReadReport(reported=search.counted, unproven=search.unproven)
    now = datetime.now(UTC)
    known = context.known.archived(reader.entity.table, now - ARCHIVED_FOR)
    context.note(archived_listed=len(listed))
    if absent:
        context.count("not_found", -len(absent))  # they are asked for once more
    for _, records in reader.read_each(sorted((listed - known) | absent), archived=True):
        yield Page(records, in_window=False, reported=search.counted)
    erased = known - listed
    for _, records in reader.read_each(sorted(known - listed)):
        erased -= {str(key_of(msgspec.Raw(record))) for record in records}
        yield Page(records, in_window=False, reported=search.counted)
    if listed or len(erased) <= FEW:
        erased &= context.known.archived(reader.entity.table, now - CERTAINLY_ARCHIVED_FOR)
    else:
        erased = set()
    return ReadReport(reported=search.counted, erased_keys=sorted(erased), unproven=search.unproven)


def owners(reader: HubSpotReader) -> Pages:
    """Yield all owners, live and archived."""
    for archived in (False, True):
        for records in reader.pages(OWNERS, Answer[msgspec.Raw], {"limit": str(reader.size)}, archived=archived):
            yield Page([bytes(record) for record in records])
    return ReadReport()


def pipelines(reader: HubSpotReader) -> Pages:
    """Yield the pipelines of an object type, or their stages; one answer has both."""
    _, declared, *stages = reader.entity.path.split("/")
    path = f"{PIPELINES}/{reader.type_of(declared)}"
    found = reader.client.get(path, Answer[msgspec.Raw]).page(path)
    if stages:
        yield Page([stage for pipeline in found for stage in stages_of(pipeline, path)])
    else:
        yield Page([bytes(pipeline) for pipeline in found])
    return ReadReport()


def stages_of(pipeline: msgspec.Raw, path: str) -> list[bytes]:
    """Return the stages of a pipeline, each with the pipeline's id.

    Raises ``AnswerChanged`` for one without id or stages.
    """
    try:
        it = msgspec.json.decode(pipeline, type=Pipeline)
    except msgspec.MsgspecError as error:
        raise AnswerChanged(f"HubSpot: {path} answered a pipeline without its id or stages: {error}") from error
    return [msgspec.json.encode({"pipeline_id": it.id, **stage}) for stage in it.stages]
