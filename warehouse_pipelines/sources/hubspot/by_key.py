"""Read objects of HubSpot by their ids: live ones, then archived ones, and what is neither was deleted for good.

A merged id is answered with its survivor, or with nothing; the survivor lists it (``hs_merged_object_ids``), so the row
is tombstoned as merged before it could count as erased. A record that is restored between the two questions would be in
neither answer, so what is left is asked for among the live ones once more.

Only events of HubSpot's own appointments name an appointment by its id while the setting is ``auto``. In a portal that
has a custom object for appointments such an id is none of its records, and would be taken for one that is deleted.
"""

from collections.abc import Iterable, Sequence

import msgspec

from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources._json import key_of
from warehouse_pipelines.sources.hubspot.reader import STANDARD_APPOINTMENT, HubSpotReader, batches

MOST = 5_000
"""Keys of one run: fifty to a hundred and fifty requests."""


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request, archived ones included."""
    reader = HubSpotReader(request, context)
    if (
        request.entity.path == "custom:appointment"
        and reader.settings.appointment_object == "auto"
        and reader.object_type != STANDARD_APPOINTMENT
    ):
        return ReadReport()
    _ = reader.properties  # known before the threads need it
    absent: list[str] = []

    def ask(ids: list[str]) -> tuple[list[list[bytes]], list[str]]:
        left, pages = ids, []
        for archived in (False, True, False):
            if left:
                pages.append(reader.read(left, archived=archived))
                left = _without(left, pages[-1])
        return pages, left

    for _, (pages, left) in as_answered(context, ask, batches(request.keys, reader.size)):
        for records in pages:
            yield Page(records, in_window=False)
        absent += left
    return ReadReport(includes_deleted=True, deleted_keys=absent, erased_keys=absent)


def _without(ids: Sequence[str], records: Iterable[bytes]) -> list[str]:
    found = {key_of(msgspec.Raw(record)) for record in records}
    return [one for one in ids if one not in found]
