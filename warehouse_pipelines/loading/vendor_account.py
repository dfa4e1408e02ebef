"""Whose account a credential answers for: a sync with the credential of another one is refused before it reads.

Two portals whose tokens are swapped, or one token set for both, would else be mixed with success, since their ids are
the same; and a read of everything would mark the rows of the right portal as deleted.

Decided:

- The vendor's own ids of the accounts are remembered in the history, by the last good run of each entity
  (``configuration``), with a hash of the credential. So the vendor is asked when the credential changes, in one
  request, and not by each run.
- A setting (``Credential.setting``) accepts an account on purpose, whatever was remembered.
- A vendor that does not say which account it is stops nothing: a note is left in the history.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines.errors import AnswerChanged, PermissionMissing, RequestRefused, WrongAccount, masked
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sync")


class VendorAccount(NamedTuple):
    """The vendor's ids of the accounts that a source was loaded from, and the hash of the credential that saw them."""

    ids: frozenset[str]
    credential: str

    @classmethod
    def read(cls, kept: Mapping[str, object]) -> "VendorAccount":
        """Return what a history row has."""
        ids = kept["ids"]
        return cls(frozenset(map(str, ids if isinstance(ids, list) else ())), str(kept["credential"]))

    @property
    def kept(self) -> dict[str, object]:
        """What a history row has."""
        return {"ids": sorted(self.ids), "credential": self.credential}


Known = Mapping[str, VendorAccount]
"""What is remembered of the sources of one vendor, by their names."""


def known(session: "Session", source: Source) -> Known:
    """Return what is remembered of the accounts of this source's vendor."""
    if source.credential is None:
        return {}
    asked = {"crm": source.declared_name, "entities": [entity.name for entity in source.entities]}
    found = session.execute(query("vendor_accounts"), asked)
    return {row["source"]: VendorAccount.read(row["account"]) for row in found}


def require(source: Source, before: Known, context: ReadContext) -> VendorAccount | None:
    """Return whose account the credential of a source answers for, None where the vendor does not say.

    Raises ``WrongAccount`` for another one than before, or one that another source has; and as the vendor's client
    does.
    """
    own = before.get(source.name)
    if source.credential is None:
        return own
    credential = source.credential(context)
    if own is None or own.credential != credential.digest or credential.expected not in {"", *own.ids}:
        try:
            now = VendorAccount(frozenset(credential.ask()), credential.digest)
        except (AnswerChanged, PermissionMissing, RequestRefused) as error:
            log.info("%s does not say whose account it is: %s", source.title, masked(str(error)))
            context.note(account_unknown=masked(str(error)))
            return own
        if not now.ids:  # which the read refuses
            return own
    else:
        now = own
    _require_expected(source, credential, now, before)
    return now


def _require_expected(source: Source, credential: Credential, now: VendorAccount, before: Known) -> None:
    said = f"{source.title}: {credential.named} answers for the account {', '.join(sorted(now.ids))}"
    if credential.expected:
        if credential.expected not in now.ids:
            raise WrongAccount(
                f"{said}, and {credential.setting} says {credential.expected}. Nothing was read. Set the one that is "
                "wrong."
            )
        return
    accept = f"set {credential.setting}={min(now.ids)}"
    own = before.get(source.name)
    if own and not own.ids & now.ids:
        raise WrongAccount(
            f"{said}, and the tables of {source.name} are of {', '.join(sorted(own.ids))}. Nothing was read. Set the "
            f"credential of that account. If the tables are to be of the other one from now on, {accept}, and sync "
            "with --full, which marks as deleted what it does not have."
        )
    if others := sorted(name for name, one in before.items() if name != source.name and one.ids & now.ids):
        raise WrongAccount(
            f"{said}, which the tables of {', '.join(others)} are of. Nothing was read. Give each its own credential, "
            f"or {accept} where this one is right."
        )
