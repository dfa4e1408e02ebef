"""Read calls and forms of CallRail by their ids, a request each, several side by side.

Spam is answered with 404 and counts as deleted.

A conversation is not read so: its single answer has all messages under another name, and the row holds the recent ones.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import PermissionMissing, RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources.callrail.client import VERSION, asked_fields, client
from warehouse_pipelines.sources.callrail.reader import visible_accounts

MOST = 100
"""Keys of one run: a tenth of what the vendor allows in an hour."""


Found = bytes | PermissionMissing | None


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request, whichever account has them."""
    ask = asking(request.entity, context, visible_accounts(request, context))
    absent: list[str] = []
    for key, record in as_answered(context, ask, request.keys):
        if isinstance(record, PermissionMissing):
            context.count("refused_keys")
        elif record is None:
            absent.append(key)
        else:
            yield Page([record], in_window=False)
    return ReadReport(deleted_keys=absent)


def asking(entity: Entity, context: ReadContext, accounts: Sequence[str]) -> Callable[[str], Found]:
    """Return what asks for the record of a key, whichever of the accounts has it; None stands for a deleted one.

    Of a key that some accounts refuse and no other has, it returns what one refused with: that one may have it. It
    raises ``PermissionMissing`` if all of them refuse.
    """
    http, fields = client(context), asked_fields(entity)
    collection = entity.path.removesuffix(".json")

    def ask(key: str) -> Found:
        refusals: list[PermissionMissing] = []
        for account in accounts:
            path = f"/{VERSION}/a/{account}/{collection}/{quote(key, safe='')}.json"
            try:
                return bytes(http.get(path, msgspec.Raw, params=fields))
            except RequestRefused as refused:
                if refused.status != 404:
                    raise
            except PermissionMissing as refused:
                refusals.append(refused)
        if refusals and len(refusals) == len(accounts):
            raise refusals[0]
        return refusals[0] if refusals else None

    return ask
