"""The client of CallRail, and the form of its lists."""

import functools
from typing import TYPE_CHECKING, cast

import msgspec

from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.callrail.settings import Settings

if TYPE_CHECKING:
    import httpx

VERSION = "v3"
PER_PAGE = 250


class Answer(msgspec.Struct):
    """The answer of any list; ``answers`` gives the list its name."""

    records: list[msgspec.Raw] | None
    total_pages: int | None = None
    total_records: int | None = None
    has_next_page: bool = False
    next_page: str | None = None


@functools.cache
def answers(name: str) -> type[Answer]:
    """Return the form of an answer whose list is called ``name``. Without that list the answer is an error."""
    form = msgspec.defstruct(
        "Answer",
        [("records", list[msgspec.Raw] | None, msgspec.field(name=name))],
        bases=(Answer,),
        kw_only=True,
    )
    return cast(type[Answer], form)


def client(context: ReadContext) -> Client:
    """Return the client of the key in the settings."""
    settings = context.settings(Settings)
    return Client(
        context,
        title="CallRail",
        base_url=settings.base_url,
        renew=context.setting("CALLRAIL_API_KEY"),
        headers={"Authorization": f'Token token="{settings.api_key.get_secret_value()}"'},
        budgets=(Budget("hour", settings.requests_per_hour, 3_600), Budget("day", settings.requests_per_day, 86_400)),
        wait_for=wait_for,
    )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return 10, 20, ... 320 seconds after a 429, which does not say how long its hour still lasts."""
    return 10 * 2 ** (attempt - 1) * first_backoff() if answer.status_code == 429 else None
