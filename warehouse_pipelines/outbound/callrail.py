"""CallRail as a partner: a tag on calls, the one thing of a caller that its documented API lets us mark.

The API has no list of blocked numbers, and ``spam`` hides a call from every list, so it is never set. A field is a tag
of its own name: ``true`` where the call has it. ``PUT`` takes one call and replaces all its tags, so they are read at
once before, and people's tags stay. A tag of a new name is made by the vendor.

An account of the key that refuses with 403 is asked once; the calls of the others are written all the same.

Unconfirmed: whether ``PUT`` takes names alone, as the vendor's help says, where a list shows tags as objects.
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec

from warehouse_pipelines.errors import AnswerChanged, OutcomeUnknown, PermissionMissing, RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound.partner import Action, ById, Record, Reply, Write
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.sources.callrail.client import VERSION, answers, client

log = logging.getLogger("warehouse.callrail")


class _Tag(msgspec.Struct):
    name: str


class _Call(msgspec.Struct):
    id: str
    tags: list[str | _Tag] | None = None

    @property
    def names(self) -> list[str]:
        return [tag if isinstance(tag, str) else tag.name for tag in self.tags or []]


class _Account(msgspec.Struct):
    id: str


class CallRailPartner(ById):
    """The calls of the accounts that the key sees."""

    most = 1

    def __init__(self, target: Target, context: ReadContext) -> None:
        self._target = target
        self.client = client(context)
        self._account_of: dict[str, str] = {}
        self._refusing: dict[str, PermissionMissing] = {}

    @cached_property
    def _accounts(self) -> list[str]:
        answer = self.client.get(f"/{VERSION}/a.json", answers("accounts"), params={"per_page": "250"})
        return [msgspec.json.decode(one, type=_Account).id for one in answer.records or []]

    def _path(self, account: str, call: str) -> str:
        return f"/{VERSION}/a/{account}/calls/{quote(call, safe='')}.json"

    def _call(self, key: str) -> _Call | None:
        """Return a call; None for one that no account has, such as spam, or only one that refuses.

        Raises ``PermissionMissing`` when all accounts refuse.
        """
        known = self._account_of.get(key)
        for account in [known] if known else self._accounts:
            if account in self._refusing:
                continue
            try:
                found = self.client.get(self._path(account, key), _Call, params={"fields": "tags"})
            except PermissionMissing as refused:
                self._refuse(account, refused)
                continue
            except RequestRefused as refused:
                if refused.status != 404:
                    raise
                continue
            self._account_of[key] = account
            return found
        return None

    def _refuse(self, account: str, refused: PermissionMissing) -> None:
        """Ask an account no more that refuses with 403. Raises what the last one refused with."""
        log.warning("callrail: the key has no right to the calls of %s (403), and they are left as they are", account)
        self._refusing[account] = refused
        if all(one in self._refusing for one in self._accounts):
            raise refused

    def unreadable(self, id_: str) -> str | None:
        """Return which accounts refuse to tell whether they have a call."""
        known = self._account_of.get(id_)
        refusing = [one for one in self._refusing if known in (None, one)]
        if not refusing:
            return None
        return f"CallRail: the key has no right to the calls of {', '.join(refusing)} (403). Give its user the right."

    def read(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return which of the target's tags these calls have."""
        found = {}
        for one in ids:
            call = self._call(one)
            if call is not None:
                tags = set(call.names)
                values = {field.name: "true" if field.name in tags else None for field in self._target.fields}
                found[one] = Record(one, values)
        return found

    def write(self, action: Action, writes: Sequence[Write]) -> Reply:
        """Give each call its tags, one after the other; what is refused is told by call."""
        if action != "update":
            raise ValueError("calls are neither made nor deleted from here")
        refused: dict[str, str] = {}
        for one in writes:
            try:
                self._write(one)
            except RequestRefused as error:
                refused[one.operation] = str(error)
            except PermissionMissing as error:
                refused[one.operation] = str(error)
                self._refuse(self._account_of[one.object_id or ""], error)
        return Reply(refused)

    def _write(self, write: Write) -> None:
        key = write.object_id or ""
        call = self._call(key)
        if call is None:
            return
        tags = [name for name in call.names if name not in write.values]
        tags += [name for name, value in write.values.items() if value == "true"]
        if tags == call.names:
            return
        path = self._path(self._account_of[key], key)
        try:
            self.client.request("PUT", path, dict[str, Any], body={"tags": tags}, repeat=False)
        except AnswerChanged as changed:
            raise OutcomeUnknown(str(changed)) from changed

    def read_by_key(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return nothing: calls are never made."""
        return {}

    def filled_by_others(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return nothing: calls are never made."""
        return {}

    def lacking(self) -> list[str]:
        """Return nothing; a tag is made by using it. Raises ``PermissionMissing`` when the key sees no account."""
        if not self._accounts:
            raise PermissionMissing("CallRail: the key sees no account. Check the rights of its user.")
        return []
