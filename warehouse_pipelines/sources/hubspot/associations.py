"""Read the associations between two object types.

Associations have neither a cursor nor tombstones: each run asks for all pairs of all records of one side, 1,000 records
a call or as many as ``--batch-size`` says, several calls side by side. Of line items and appointments that side is the
smaller one: a deal has several line items, so deals are asked; an appointment is of one contact or few, and most
contacts have none.

A kind of association is known by its category and its number: a portal's own labels are numbered from 1, and HubSpot's
own kinds of the same two objects have some of these numbers, as 1 is the primary company of a contact. The key has one
number, so a label with a number of HubSpot's own has it negative (``OWN``). All others have the vendor's number.
"""

from collections.abc import Set
from functools import partial
from itertools import chain, islice

import msgspec

from warehouse_pipelines.errors import CursorStuck
from warehouse_pipelines.model.reading import Page, Pages, ReadReport
from warehouse_pipelines.sources._in_flight import InFlight
from warehouse_pipelines.sources.hubspot.answers import AssociationType, Pairs, PairsBatch
from warehouse_pipelines.sources.hubspot.client import ASSOCIATIONS
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

PAIRS = 1_000  # most records of one association read

OWN = {
    "contacts/deals": {4},
    "contacts/companies": {1, 279},
    "deals/companies": {5, 341},
    "deals/line_items": {19},
    "0-421/contacts": {906},
    "0-421/deals": {944},
}
"""Numbers of HubSpot's own kinds, by the two object types, as its page "Associate records" lists them. Between custom
objects it has none."""


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
    ends = f"{reader.object_type}/{reader.type_of(entity.path.partition('/')[2])}"
    own, path = OWN.get(ends, set()), f"{ASSOCIATIONS}/{ends}/batch/read"
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
            records += _records(pair, asked_key, found_key, own)
            if pair.paging and pair.paging.next:
                follow = (pair.from_.id, str(pair.paging.next.after))
                if follow in followed:
                    raise CursorStuck(f"HubSpot: {path} names the same next page of one record twice")
                followed.add(follow)
                more.append({"id": follow[0], "after": follow[1]})
        yield Page(records)


def _records(pair: Pairs, asked_key: str, found_key: str, own: Set[int]) -> list[bytes]:
    """Return a record for each association type of each target; ``own`` are HubSpot's own numbers of these two."""
    return [
        msgspec.json.encode(
            {
                asked_key: pair.from_.id,
                found_key: str(target.to_object_id),
                "association_type_id": _number(kind, own),
                "category": kind.category,
                "label": kind.label,
            }
        )
        for target in pair.to
        for kind in target.association_types
    ]


def _number(kind: AssociationType, own: Set[int]) -> int:
    """Return the number by which a kind is told apart from the others of its two objects."""
    return -kind.type_id if kind.type_id in own and kind.category not in (None, "HUBSPOT_DEFINED") else kind.type_id
