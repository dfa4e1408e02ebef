"""Whose account a credential answers for: a sync with the credential of another one is refused before it reads.

Two portals whose tokens are swapped, or one token set for both, would else be mixed with success, since their ids are
the same; and a read of everything would mark the rows of the right portal as deleted.

Decided:

- The vendor's own ids of the accounts are remembered in the history, by the last good run of each entity
  (``configuration``), with a hash of the credential. So the vendor is asked when the credential changes, in one
  request, and not by each run.
- Which accounts one credential sees may change while it stays. A source that lists them in each read says what it saw
  (``ReadContext.see_accounts``), and is refused there as before a read.
- Nothing makes a source take over another account. What its records said of consent, what was written back and what
  was decided about them is kept by table and key, and would be taken for what strangers of the same keys said. Another
  account has a name of its own, or ``warehouse accounts empty`` deletes all that was loaded of the former one.
- A setting (``Credential.setting``) names whose the credential must be, and accepts nothing that is refused without.
- A vendor that does not say which account it is stops nothing: a note is left in the history.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines.errors import AnswerChanged, PermissionMissing, RequestRefused, WrongAccount, masked
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sync")


class VendorAccount(NamedTuple):
    """The vendor's ids of the accounts that a source was loaded from, and the hash of the credential that saw them.

    ``entities`` are those whose last good run knew whose account it read.
    """

    ids: frozenset[str]
    credential: str
    entities: frozenset[str] = frozenset()

    @classmethod
    def read(cls, kept: Mapping[str, object], entities: frozenset[str]) -> "VendorAccount":
        """Return what a history row has."""
        ids = kept["ids"]
        return cls(frozenset(map(str, ids if isinstance(ids, list) else ())), str(kept["credential"]), entities)

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
    known: dict[str, VendorAccount] = {}
    for row in session.execute(query("vendor_accounts"), asked):
        before = known[row["source"]].entities if row["source"] in known else frozenset()
        known[row["source"]] = VendorAccount.read(row["account"], before | {row["entity"]})
    return known


def require(source: Source, before: Known, context: ReadContext) -> VendorAccount | None:
    """Return whose account the credential of a source answers for, None where the vendor does not say.

    Raises ``WrongAccount`` for another one than before, or one that another source has; and as the vendor's client
    does.
    """
    own = before.get(source.name)
    if source.credential is None:
        return own
    credential = source.credential(context)
    if (
        own is None
        or own.credential != credential.digest
        or credential.expected not in {"", *own.ids}
        or _others(source, before, own)  # which the credential may see no more
    ):
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


def seen(source: Source, before: Known, ids: Sequence[str], context: ReadContext) -> VendorAccount | None:
    """Return what to remember where a read saw the accounts of these ids.

    Raises ``WrongAccount`` as ``require`` does.
    """
    if source.credential is None:
        return None
    credential = source.credential(context)
    now = VendorAccount(frozenset(ids), credential.digest)
    _require_expected(source, credential, now, before)
    return now


def _require_expected(source: Source, credential: Credential, now: VendorAccount, before: Known) -> None:
    said = f"{source.title}: {credential.named} answers for the account {', '.join(sorted(now.ids))}"
    if credential.expected and credential.expected not in now.ids:
        raise WrongAccount(
            f"{said}, and {credential.setting} says {credential.expected}. Nothing was read. Set the one that is wrong."
        )
    own = before.get(source.name)
    if own and not own.ids & now.ids:
        raise WrongAccount(
            f"{said}, and the tables of {source.name} are of {', '.join(sorted(own.ids))}. Nothing was read. Set the "
            "credential of that account. The other one has tables of its own: declare it in config/accounts.toml under "
            "another name (docs/accounts.md). If the tables were loaded with a wrong credential, `warehouse accounts "
            f"empty {source.name}` deletes what they have."
        )
    if others := _others(source, before, now):
        twice = sorted({id_ for name in others for id_ in before[name].ids & now.ids})
        raise WrongAccount(
            f"{said}, and the tables of {', '.join(others)} are of {', '.join(twice)}, whose records would be here "
            "twice. Nothing was read. Give each its own credential, which sees no account of the other."
        )


def _others(source: Source, before: Known, now: VendorAccount) -> list[str]:
    """Return the other sources that were loaded from one of these accounts."""
    return sorted(name for name, one in before.items() if name != source.name and one.ids & now.ids)
