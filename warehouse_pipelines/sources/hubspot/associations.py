"""Read the associations between two object types.

Associations have neither a cursor nor tombstones: each run asks for all pairs of all records of one side, 1,000 records
a call or as many as ``--batch-size`` says, several calls side by side. Of line items and appointments that side is the
smaller one: a deal has several line items, so deals are asked; an appointment is of one contact or few, and most
contacts have none.
"""

from functools import partial
from itertools import chain, islice

import msgspec

from warehouse_pipelines.errors import CursorStuck
from warehouse_pipelines.model.reading import Page, Pages, ReadReport
from warehouse_pipelines.sources._in_flight import InFlight
from warehouse_pipelines.sources.hubspot.answers import Pairs, PairsBatch
from warehouse_pipelines.sources.hubspot.client import ASSOCIATIONS
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

PAIRS = 1_000  # most records of one association read


def pairs(reader: HubSpotReader, parent: str) -> Pages:
    """Yield one record for each association type of each pair, for all living records of the first side.

    Raises ``CursorStuck`` when the pairs of one record repeat a page.
    """
    request, context, entity = reader.request, reader.context, reader.entity
    asked_key, found_key, _ = entity.keys
    known = iter(()) if request.options.get("full") else context.known.keys(parent)
    first = next(known, None)
    ids = reader.ids(archived=False) if first is None else chain([first], known)
    size = min(request.page_size, PAIRS)
    more: list[dict[str, str]] = []
    followed: set[tuple[str, str]] = set()
    path = f"{ASSOCIATIONS}/{reader.object_type}/{reader.type_of(entity.path.partition('/')[2])}/batch/read"
    flight = InFlight[None, PairsBatch](context, reader.most)
    while True:
        while flight.free() and (
            inputs := [*more[:size], *({"id": key} for key in islice(ids, size - len(more[:size])))]
        ):
            del more[:size]
            flight.ask(None, partial(reader.client.post, path, PairsBatch, body={"inputs": inputs}))
        if not flight:
            return ReadReport()
        _, answer = flight.answer()
        reader.check(path, answer.errors)
        if absent := sum(not (one.sub_category or "").endswith("NO_ASSOCIATIONS_FOUND") for one in answer.errors):
            context.count("not_found", absent)
        records = []
        for pair in answer.results:
            records += _records(pair, asked_key, found_key)
            if pair.paging and pair.paging.next:
                follow = (pair.from_.id, str(pair.paging.next.after))
                if follow in followed:
                    raise CursorStuck(f"HubSpot: {path} names the same next page of one record twice")
                followed.add(follow)
                more.append({"id": follow[0], "after": follow[1]})
        yield Page(records)


def _records(pair: Pairs, asked_key: str, found_key: str) -> list[bytes]:
    """Return a record for each association type of each target."""
    return [
        msgspec.json.encode(
            {
                asked_key: pair.from_.id,
                found_key: str(target.to_object_id),
                "association_type_id": kind.type_id,
                "category": kind.category,
                "label": kind.label,
            }
        )
        for target in pair.to
        for kind in target.association_types
    ]
