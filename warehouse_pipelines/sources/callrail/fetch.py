"""Read an entity of CallRail (API v3): the accounts first, everything else account by account, side by side.

**Calls** are read by ``start_time``, oldest first, in a window with a frozen end; **forms** by ``submitted_at``,
**text conversations** by their last message. **The rest** is small, cannot be asked for by date, and is read in full.

No list can be asked for *edited* records, and none reports deletes: tags, value, lead status, notes and transcriptions
come days after the call. So every delta reads the last 30 days again (``lookback``), and a call or a form of that
window that is no longer listed (spam vanishes) counts as deleted. Older records are read again once a week, deletes
included.

A call that is deleted while the pages are read moves another one to a page that was read before, and one that arrives
late evens the count out. So what the warehouse has and no page showed is asked for by its key; if any of it answers,
or if it is more than the pages, the lists are read once more. Two reads that do not show a record prove it deleted.

A conversation's cursor moves with each message, so one that is absent from its former window may have moved out of it:
only a full read proves its delete. Conversations are therefore read to the end and not to the window's end, and their
first page, newest first, is read once more at the end.

Records that the key may no longer see look deleted. Two things protect against that: a window that comes back empty
where rows were known makes the run partial and tombstones nothing, and one read may tombstone no more than the
loader's limit. Times are sent with an offset, because a bare date means the time zone of the account.

Verified against the simulator only; no live account has been read yet.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, timedelta

from warehouse_pipelines.errors import PermissionMissing, RequestRefused
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.sources._in_flight import as_answered, side_by_side
from warehouse_pipelines.sources.callrail.by_key import asking
from warehouse_pipelines.sources.callrail.client import VERSION, asked_fields
from warehouse_pipelines.sources.callrail.entities import (
    ACCOUNTS,
    CALLS,
    FORM_SUBMISSIONS,
    RETENTION,
    TEXT_MESSAGES,
    USERS,
)
from warehouse_pipelines.sources.callrail.reader import CallRailReader, Keyed, visible_accounts
from warehouse_pipelines.sources.callrail.refusals import Refusals


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the pages of one entity, for every account that the key can see.

    Raises ``PermissionMissing`` when it sees none, or when all of them refuse the list (``refusals``).
    """
    entity = request.entity
    params = question(request)
    if params is None:
        return ReadReport()
    accounts = visible_accounts(request, context) if entity.path != ACCOUNTS.path else []
    paths = [f"/{VERSION}/a/{account}/{entity.path}" for account in accounts] or [f"/{VERSION}/{entity.path}"]
    readers = [CallRailReader(request, context, entity, path, params) for path in paths]
    refusals = Refusals(request, context)
    # In their order where a record may be in two accounts: then the first one's is loaded, each time.
    most = 1 if request.limit or entity.path == USERS.path else None
    seen: set[str] = set()
    again = read = 0

    def pages(walks: Iterable[Iterator[list[Keyed]]]) -> Iterator[Page]:
        nonlocal again, read
        for records in side_by_side(context, walks, most):
            fresh = [record for key, record in records if key is None or key not in seen]
            if len(readers) > 1:
                again += len(records) - len(fresh)
                seen.update(key for key, _ in records if key is not None)
            read += len(fresh)
            reported = readers[0].counted if len(readers) == 1 else None
            yield Page(fresh, in_window=entity.path != TEXT_MESSAGES.path, reported=reported)

    yield from pages([refusals.pages(path, reader) for path, reader in zip(accounts or paths, readers, strict=True)])
    if refused := refusals.errors:
        if len(refused) == len(readers):
            raise next(iter(refused.values()))
        readers = [reader for account, reader in zip(accounts, readers, strict=True) if account not in refused]
        accounts = [account for account in accounts if account not in refused]
    if may_have_hidden(request, context, readers, accounts):
        yield from pages([reader.pages_again() for reader in readers if reader.walked > 1])
    known = [reader.total for reader in readers if reader.total is not None]
    reported = sum(known) - again if len(known) == len(readers) else None
    if refused:
        missed = known_and_missed(request, context, readers)
        return refusals.report(accounts, missed, read=read, reported=reported)
    return ReadReport(reported=reported, reported_trusted=True)


def may_have_hidden(
    request: ReadRequest, context: ReadContext, readers: Sequence[CallRailReader], accounts: Sequence[str]
) -> bool:
    """Return whether the pages may have hidden a record that would count as deleted.

    No page showed it, and it answers by its key; where that is not to be had, or costs more than a walk, it may.
    """
    entity = request.entity
    # One page is of one moment.
    if all(one.walked < 2 for one in readers):
        return False
    missed = known_and_missed(request, context, readers)
    by_key = entity.path in (CALLS.path, FORM_SUBMISSIONS.path)
    cheaper = len(missed) * len(accounts) <= sum(reader.walked for reader in readers)
    if not missed or (by_key and cheaper and _are_deleted(request, context, accounts, missed)):
        return False
    context.note(walked_again=f"{len(missed)} known {entity.name} were not met at first")
    return True


def known_and_missed(request: ReadRequest, context: ReadContext, readers: Sequence[CallRailReader]) -> list[str]:
    """Return the known keys of the window that no page showed; none where no row of this read counts as deleted."""
    entity, window = request.entity, request.window
    counts_as_deleted = (request.full or entity.deletes.by_window) and not request.limit
    # Where a record without an id is, any row may be its.
    if not counts_as_deleted or any(one.without_id for one in readers):
        return []
    if entity.cursor:
        window = Window(max(request.since, window.until - RETENTION), window.until)
    return [
        key for (key,) in context.known.keys_in(entity, window) if not any(key in reader.seen for reader in readers)
    ]


def _are_deleted(request: ReadRequest, context: ReadContext, accounts: Sequence[str], keys: Sequence[str]) -> bool:
    """Return whether no account has a record of any of these keys; a refusal proves nothing."""
    ask = asking(request.entity, context, accounts)

    def is_deleted(key: str) -> bool:
        try:
            return ask(key) is None
        except (RequestRefused, PermissionMissing):
            return False

    answered = list(as_answered(context, is_deleted, keys))
    return all(deleted for _, deleted in answered)


def question(request: ReadRequest) -> dict[str, str] | None:
    """Return the parameters of every list of the entity; None if the window lies before the vendor's retention."""
    entity = request.entity
    params = asked_fields(entity)
    if not entity.cursor:
        return params
    until = request.window.until
    since = max(request.since, until - RETENTION)
    if entity.path != TEXT_MESSAGES.path:
        params |= {"sort": entity.cursor, "order": "asc"}
    elif not request.options.get("backfill"):
        until += timedelta(days=1)
    if since >= until:
        return None
    # Both ends are inclusive: whole seconds outside of the window; the loader cuts at the exact ends.
    until += timedelta(seconds=1)
    ends = {"start_date": since, "end_date": until}
    return params | {name: at.astimezone(UTC).isoformat(timespec="seconds") for name, at in ends.items()}
