"""Read tasks and bookings of Arrivy by their ids, a request each; what was deleted is answered with 404 or 410."""

from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.arrivy.client import client

MOST = 50
"""Keys of one run: a minute of the rate that is assumed."""


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request."""
    http = client(context)
    gone: list[str] = []
    for key in request.keys:
        try:
            record = http.get(f"/api/{request.entity.path}/{quote(key, safe='')}", msgspec.Raw)
        except RequestRefused as refused:
            if refused.status not in (404, 410):
                raise
            gone.append(key)
        else:
            yield Page([bytes(record)], in_window=False)
    return ReadReport(deleted_keys=gone)
