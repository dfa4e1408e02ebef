"""Requests to Google's APIs: google-api-python-client builds them, and the client of all vendors sends them.

    files = calls("drive", "v3", "files")
    answer = ask(client, files.list(q="trashed = false", pageSize=1000), Files)

The library has path, parameters and bodies from Google's own descriptions of its APIs, which ship with it: a parameter
that there is not is a ``TypeError`` here and no 400 there. It opens no connection of its own and tries nothing again:
``_Transport`` is what it calls to send. So retries, ``Retry-After``, budgets, counts, masking and cancelling stay where
they are for all vendors, and an answer is decoded from the record's own bytes.

It is imported when a run asks Google for something: 0.16 s of the processor and 11 MB for all three APIs.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources._json import decoded

T = TypeVar("T")

SENT = frozenset({"content-type", "if-match", "x-http-method-override"})
"""Headers of the library's that are sent; the others describe its own transport."""


@functools.cache
def calls(name: str, version: str, resource: str) -> Any:
    """Return the methods of a resource of an API, such as ``files`` or ``spreadsheets.values``.

    The library makes a resource's methods from the description whenever it is named, which takes 5 ms; a request of
    them takes 0.1 ms. So a resource is kept.
    """
    found = _api(name, version)
    for part in resource.split("."):
        found = getattr(found, part)()
    return found


@functools.cache
def _api(name: str, version: str) -> Any:
    """Return an API by its description, without that of the answers' members.

    Of these the library makes nothing but docstrings: those of Sheets took 86 MB and 0.3 s.
    """
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc
    from googleapiclient.model import JsonModel

    described = json.loads(get_static_doc(name, version))
    for schema in described["schemas"].values():
        schema["properties"] = {}
    model = JsonModel()
    model.response = lambda response, content: content  # which our client has decoded
    nothing = SimpleNamespace()  # in place of the library's own transport
    return build_from_document(described, http=nothing, model=model)


class _Transport:
    """What the library calls to send a request: hands it to our client, which raises for whatever is no good answer."""

    def __init__(self, client: Client, read: Callable[[bytes], Any], repeat: bool) -> None:
        self._client, self._read, self._repeat = client, read, repeat

    def request(
        self, uri: str, method: str = "GET", body: str | bytes | None = None, headers: Any = None, **how: Any
    ) -> tuple[SimpleNamespace, Any]:
        parts = urlsplit(uri)
        params = tuple(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "alt")
        answer = self._client.send(
            method, parts.path, self._read, params=params, repeat=self._repeat,
            content=body.encode() if isinstance(body, str) else body,
            headers={name: value for name, value in (headers or {}).items() if name.lower() in SENT},
        )  # fmt: skip
        return SimpleNamespace(status=200), answer


def ask(client: Client, request: Any, into: type[T], *, if_match: str = "", repeat: bool = True) -> T:
    """Send a request of ``calls`` and return the answer as an ``into``; an empty answer for ``bytes``.

    ``if_match`` is the ETag without which the vendor shall refuse (412). ``repeat`` and what is raised are those of
    ``Client.request``.
    """
    if if_match:
        request.headers["if-match"] = if_match
    read: Callable[[bytes], Any] = bytes if into is bytes else lambda answer: decoded(answer, into)
    found: T = request.execute(http=_Transport(client, read, repeat))
    return found


@contextlib.contextmanager
def ignored(status: int) -> Iterator[None]:
    """Take a refusal with this status for an answer."""
    try:
        yield
    except RequestRefused as refused:
        if refused.status != status:
            raise
