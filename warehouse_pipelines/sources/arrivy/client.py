"""The client of Arrivy, and pages asked for by several threads."""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from warehouse_pipelines.model.reading import Budget, ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.arrivy.settings import Settings

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


def client(context: ReadContext) -> Client:
    """Return the client of the company in the settings."""
    settings = Settings()
    return Client(
        context,
        title="Arrivy",
        base_url=settings.base_url,
        renew="ARRIVY_AUTH_KEY and ARRIVY_AUTH_TOKEN",
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


def in_order(ask: Callable[[int], T], at_once: int) -> Generator[T]:
    """Yield ``ask(1)``, ``ask(2)`` and so on, with ``at_once`` requests in flight.

    Closing it waits for the requests in flight, so that none runs beside the next list. A failure is raised at once:
    the read is over, and its end stops the other threads where they wait.
    """
    if at_once == 1:
        yield from map(ask, itertools.count(1))
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="arrivy-page")
    failed = False
    try:
        asked = deque(pool.submit(ask, number) for number in range(1, at_once + 1))
        for number in itertools.count(at_once + 1):
            answer = asked.popleft().result()
            asked.append(pool.submit(ask, number))
            yield answer
    except Exception:
        failed = True
        raise
    finally:
        pool.shutdown(wait=not failed, cancel_futures=True)
