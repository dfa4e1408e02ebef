"""Read tasks and bookings of Arrivy by their ids, a request each, several side by side.

What was deleted is answered with 404 or 410.
"""

from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources.arrivy.client import client

MOST = 50
"""Keys of one run: a minute of the rate that is assumed."""


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request."""
    http = client(context)
    absent: list[str] = []

    def ask(key: str) -> bytes | None:
        try:
            return bytes(http.get(f"/api/{request.entity.path}/{quote(key, safe='')}", msgspec.Raw))
        except RequestRefused as refused:
            if refused.status not in (404, 410):
                raise
            return None

    for key, record in as_answered(context, ask, request.keys):
        if record is None:
            absent.append(key)
        else:
            yield Page([record], in_window=False)
    return ReadReport(deleted_keys=absent)
