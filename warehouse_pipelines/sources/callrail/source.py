"""CallRail as a source: its entities, and how its credential is checked."""

import msgspec

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.sources.callrail import by_key
from warehouse_pipelines.sources.callrail.client import PER_PAGE, VERSION, answers, client
from warehouse_pipelines.sources.callrail.entities import (
    ACCOUNTS,
    CALLS,
    COMPANIES,
    FORM_SUBMISSIONS,
    TAGS,
    TEXT_MESSAGES,
    TRACKERS,
    USERS,
)
from warehouse_pipelines.sources.callrail.fetch import fetch
from warehouse_pipelines.sources.callrail.settings import Settings


def check(context: ReadContext | None = None) -> str:
    """Ask for one account."""
    answer = client(context or ReadContext()).get(f"/{VERSION}/a.json", answers("accounts"), params={"per_page": "1"})
    return f"CallRail answers: the key sees {answer.total_records or len(answer.records or [])} account(s)"


class _Account(msgspec.Struct):
    id: str | None = None


def credential(context: ReadContext) -> Credential:
    """Tell which accounts the key sees."""
    settings = context.settings(Settings)
    asking = client(context)

    def ask() -> list[str]:
        answer = asking.get(f"/{VERSION}/a.json", answers("accounts"), params={"per_page": str(PER_PAGE)})
        ids = (msgspec.json.decode(one, type=_Account).id for one in answer.records or [])
        return [one for one in ids if one]

    return Credential(
        asking.credential,
        context.setting("CALLRAIL_API_KEY"),
        context.setting("CALLRAIL_ACCOUNT_ID"),
        settings.account_id.strip(),
        ask,
    )


CALLRAIL = Source(
    name="callrail",
    title="CallRail",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    credential=credential,
    page_size=PER_PAGE,
    read_keys=by_key.read_keys,
    by_key={entity.name: by_key.MOST for entity in (CALLS, FORM_SUBMISSIONS)},
    entities=(ACCOUNTS, COMPANIES, USERS, TRACKERS, TAGS, CALLS, TEXT_MESSAGES, FORM_SUBMISSIONS),
)
