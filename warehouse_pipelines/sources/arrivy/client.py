"""The client of Arrivy."""

from typing import TYPE_CHECKING

from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.arrivy.settings import Settings

if TYPE_CHECKING:
    import httpx


def client(context: ReadContext) -> Client:
    """Return the client of the company in the settings."""
    settings = context.settings(Settings)
    return Client(
        context,
        title="Arrivy",
        base_url=settings.base_url,
        renew=f"{context.setting('ARRIVY_AUTH_KEY')} and {context.setting('ARRIVY_AUTH_TOKEN')}",
        headers={
            "X-Auth-Key": settings.auth_key.get_secret_value(),
            "X-Auth-Token": settings.auth_token.get_secret_value(),
        },
        budgets=(Budget("minute", settings.requests_per_minute, 60),),
        wait_for=wait_for,
    )


def wait_for(answer: "httpx.Response", attempt: int) -> float | None:
    """Return a minute after a 429, which has no ``Retry-After`` here."""
    return 60 * first_backoff() if answer.status_code == 429 else None
