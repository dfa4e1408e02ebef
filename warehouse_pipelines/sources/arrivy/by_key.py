"""Read tasks and bookings of Arrivy by their ids, a request each, several side by side.

What was deleted is answered with 404 or 410, or with 400 and a code word that says so (unconfirmed). A key that is
refused otherwise costs no other key: those that were answered are loaded, and it is asked for again later.
"""

import re
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources.arrivy.client import client

MOST = 50
"""Keys of one run: a minute of the rate that is assumed."""

_NOT_FOUND = re.compile(r"(?<![A-Z_])(?:(?:OBJECT|TASK|BOOKING)_)?NOT_FOUND(?![A-Z_])")


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request. Raises ``RequestRefused`` when every key is refused."""
    http = client(context)
    absent: list[str] = []
    refusals: dict[str, RequestRefused] = {}

    def ask(key: str) -> bytes | RequestRefused | None:
        try:
            return bytes(http.get(f"/api/{request.entity.path}/{quote(key, safe='')}", msgspec.Raw))
        except RequestRefused as refused:
            return None if _says_deleted(refused) else refused

    for key, answer in as_answered(context, ask, request.keys):
        if isinstance(answer, RequestRefused):
            refusals[key] = answer
        elif answer is None:
            absent.append(key)
        else:
            yield Page([answer], in_window=False)
    if len(refusals) == len(request.keys):
        raise next(iter(refusals.values()))
    if not refusals:
        return ReadReport(deleted_keys=absent)
    unproven = f"{len(refusals)} of {len(request.keys)} keys were refused: {next(iter(refusals.values()))}"
    return ReadReport(deleted_keys=absent, unread_keys=list(refusals), unproven=unproven)


def _says_deleted(refused: RequestRefused) -> bool:
    return refused.status in (404, 410) or (refused.status == 400 and _NOT_FOUND.search(str(refused)) is not None)
