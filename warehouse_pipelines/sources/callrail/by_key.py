"""Read calls and forms of CallRail by their ids, a request each, several side by side.

Spam is answered with 404 and counts as deleted. When the budget is spent, what was answered by then is loaded, and the
other keys are asked for later.

A conversation is not read so: its single answer has all messages under another name, and the row holds the recent ones.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import BudgetSpent, PermissionMissing, RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources._in_flight import as_answered
from warehouse_pipelines.sources.callrail.client import VERSION, asked_fields, client
from warehouse_pipelines.sources.callrail.reader import visible_accounts

MOST = 100
"""Keys of one run: a tenth of what the vendor allows in an hour."""


Found = bytes | PermissionMissing | None


def read_keys(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of the keys of the request, whichever account has them.

    Raises ``BudgetSpent`` when no key could be asked for.
    """
    ask = asking(request.entity, context, visible_accounts(request, context))
    absent: list[str] = []
    unread: list[str] = []
    spent: list[BudgetSpent] = []

    def ask_unless_spent(key: str) -> Found | BudgetSpent:
        try:
            return spent[0] if spent else ask(key)
        except BudgetSpent as error:
            spent.append(error)
            return error

    for key, record in as_answered(context, ask_unless_spent, request.keys):
        if isinstance(record, BudgetSpent):
            unread.append(key)
        elif isinstance(record, PermissionMissing):
            context.count("refused_keys")
        elif record is None:
            absent.append(key)
        else:
            yield Page([record], in_window=False)
    if len(unread) == len(request.keys):
        raise spent[0]
    if not unread:
        return ReadReport(deleted_keys=absent)
    unproven = f"the budget of requests was spent before {len(unread)} of {len(request.keys)} keys were asked for"
    return ReadReport(deleted_keys=absent, unread_keys=unread, unread_seconds=spent[0].seconds, unproven=unproven)


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
