"""Read an entity though some of the key's accounts refuse its list with 403, as one without text messages does.

What the other accounts have is loaded, and absence proves a deletion only for rows of their companies. An account that
was never read is a note in the run (``refused_accounts``): nothing of it is missing. Where rows of before are of no
company of the others, somebody took a permission away: the run is partial, and the rows stay. With ``--force`` they
count as deleted.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from warehouse_pipelines.errors import PermissionMissing
from warehouse_pipelines.model.reading import ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.callrail.client import VERSION
from warehouse_pipelines.sources.callrail.entities import COMPANIES
from warehouse_pipelines.sources.callrail.reader import CallRailReader, Keyed

STORED = 1_000
"""Records that the warehouse is asked for at once."""

log = logging.getLogger("warehouse.callrail")


class Refusals:
    """The accounts that refused a list of this read, with what each refused with."""

    def __init__(self, request: ReadRequest, context: ReadContext) -> None:
        self.request, self.context = request, context
        self.errors: dict[str, PermissionMissing] = {}

    def pages(self, account: str, reader: CallRailReader) -> Iterator[list[Keyed]]:
        """Yield the pages of an account's list, none if it is refused."""
        try:
            yield from reader.pages()
        except PermissionMissing as error:
            self.errors[account] = error

    def report(self, accounts: Sequence[str], missed: Sequence[str], *, read: int, reported: int | None) -> ReadReport:
        """Return what a read of these ``accounts`` proves, that showed none of the known keys ``missed``.

        ``reported`` is how many records the accounts say they have, and ``read`` how many came.
        """
        entity = self.request.entity
        names = ", ".join(sorted(self.errors))
        self.context.note(refused_accounts=sorted(self.errors))
        log.warning("callrail %s: %s may not be read with this key (403)", entity.name, names)
        if self.request.options.get("force"):
            return ReadReport(reported=reported, reported_trusted=True)
        wrong = None
        if reported not in (None, read):
            wrong = f"says, asked twice, that it has {reported} {entity.name} in the window, and {read} were read"
        elif missed and not read:
            wrong = f"shows no {entity.name} in the window, where {entity.table} has {len(missed)} living rows"
        if wrong:
            unproven = f"CallRail {wrong}. {names} may not be read with this key (403). No row was counted as deleted."
            return ReadReport(changes_only=True, reported=reported, unproven=unproven)
        deleted, theirs = self._told_apart(accounts, missed)
        remark = (
            f"CallRail: {names} may not be read with this key any more (403): {theirs} {entity.name} of before stay as "
            "they are. Give its user the right again; if they are not to count any more, run with --force."
        )
        return ReadReport(changes_only=True, reported=reported, deleted_keys=deleted, remark=remark if theirs else None)

    def _told_apart(self, accounts: Sequence[str], missed: Sequence[str]) -> tuple[list[str], int]:
        """Return which of the missed rows are of a company of these accounts, and how many are of another one.

        A row without a company, such as a user or a tag of an account, is neither.
        """
        if not missed:
            return [], 0
        ours: set[str] = set()
        for account in accounts:
            path = f"/{VERSION}/a/{account}/companies.json"
            companies = CallRailReader(self.request, self.context, COMPANIES, path, {})
            for _ in companies.pages():
                pass
            ours |= companies.seen
        deleted: list[str] = []
        theirs = 0
        for first in range(0, len(missed), STORED):
            stored = self.context.known.records(self.request.entity.table, missed[first : first + STORED])
            for key, record in stored.items():
                company = _company(msgspec.json.decode(record))
                if company in ours:
                    deleted.append(key)
                elif company is not None:
                    theirs += 1
        return deleted, theirs


def _company(record: dict[str, Any]) -> str | None:
    """Return the id of the company that a record is of."""
    company = record.get("company_id") or (record.get("company") or {}).get("id")
    return None if company is None else str(company)
