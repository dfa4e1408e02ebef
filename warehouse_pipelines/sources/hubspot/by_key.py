"""Read objects of HubSpot by their ids: live ones, then archived ones, and what is neither is gone for good.

A merged id is answered with its survivor, or with nothing; the survivor lists it (``hs_merged_object_ids``), so the row
is tombstoned as merged before it could count as erased. A record that is restored between the two questions would be in
neither answer, so what is left is asked for among the live ones once more.
"""

from collections.abc import Iterable, Sequence

import msgspec

from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._json import key_of
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader, batches

MOST = 5_000
"""Keys of one run: fifty to a hundred and fifty requests."""


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request, archived ones included."""
    reader = HubSpotReader(request, context)
    gone: list[str] = []
    for ids in batches(request.keys, reader.size):
        left: Sequence[str] = ids
        for archived in (False, True, False):
            if left:
                records = reader.read(left, archived=archived)
                yield Page(records, in_window=False)
                left = _without(left, records)
        gone += left
    return ReadReport(includes_deleted=True, deleted_keys=gone, erased_keys=gone)


def _without(ids: Sequence[str], records: Iterable[bytes]) -> list[str]:
    found = {key_of(msgspec.Raw(record)) for record in records}
    return [one for one in ids if one not in found]
