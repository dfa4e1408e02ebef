"""``GET /metrics``: how the warehouse does, for Prometheus. ``config/grafana.json`` is a dashboard of it.

Everything is asked of the warehouse in four queries over a session of the pool, so that deliveries of webhooks never
wait for them, and at most once in ``KEPT_SECONDS``, however often it is scraped. Runs and records are those of the last
day: the history tells these by an index, while sums since the beginning would read all of it each time.

Labels are CRMs, entities, statuses and budgets, which are declared; nothing says anything of a person. It tells much of
the business all the same, so it is answered to this machine alone unless ``WAREHOUSE_METRICS_TOKEN`` is set; then to
whoever sends that as a bearer token. While the database is away, ``warehouse_up`` is 0.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from psycopg.rows import tuple_row
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving.database import Pool
from warehouse_pipelines.settings import ServeSettings

log = logging.getLogger("warehouse.serve")

KEPT_SECONDS, LONGEST_SECONDS = 15.0, 8.0

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers by which a proxy says that it asks for somebody else."""

ENTITY = ("crm", "entity")


class Metrics:
    """Answers scrapes; ``by_source`` returns the counts of deliveries since the program began."""

    def __init__(
        self, settings: ServeSettings, pool: Pool, by_source: Callable[[], Mapping[str, Mapping[str, int]]]
    ) -> None:
        self._token = settings.warehouse_metrics_token
        self._pool = pool
        self._by_source = by_source
        self._lock = asyncio.Lock()
        self._kept: tuple[float, list[Metric]] = (float("-inf"), [])

    async def __call__(self, request: Request) -> Response:
        """Answer a scrape in the format that is asked for."""
        if not self._may_ask(request):
            return PlainTextResponse("metrics need WAREHOUSE_METRICS_TOKEN as a bearer token\n", status_code=401)
        registry = CollectorRegistry()
        registry.register(_Collected([*await self._families(), _deliveries(self._by_source())]))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    def _may_ask(self, request: Request) -> bool:
        if self._token is not None:
            given = request.headers.get("authorization", "")
            return hmac.compare_digest(given.encode(), f"Bearer {self._token.get_secret_value()}".encode())
        here = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        return here and not any(name in request.headers for name in FORWARDED)

    async def _families(self) -> list[Metric]:
        """Return what the warehouse says, not older than ``KEPT_SECONDS``."""
        async with self._lock:
            at, families = self._kept
            if time.monotonic() - at >= KEPT_SECONDS:
                families = await self._ask()
                self._kept = (time.monotonic(), families)
            return families

    async def _ask(self) -> list[Metric]:
        began = time.monotonic()
        statements = (
            query("metrics_entities"), query("metrics_runs"), query("metrics_webhooks"), query("metrics_state"),
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS), self._pool.session() as session:
                cursor = session.cursor(row_factory=tuple_row)
                entities, runs, webhooks, [state] = [
                    await (await cursor.execute(statement)).fetchall() for statement in statements
                ]
        except (DatabaseUnavailable, psycopg.Error, TimeoutError) as error:
            log.warning("the warehouse could not be asked for metrics: %s", type(error).__name__)
            return [_one("warehouse_up", "Whether the database answers.", 0)]
        seconds = time.monotonic() - began
        return [
            _one("warehouse_up", "Whether the database answers.", 1),
            _one("warehouse_metrics_seconds", "How long the database took for these metrics.", seconds),
            *_of_entities(entities),
            *_of_runs(runs),
            _of_webhooks(webhooks),
            *_of_state(*state),
        ]


class _Collected:
    """What a registry asks for metrics."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _one(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _of_entities(rows: list[tuple[Any, ...]]) -> list[Metric]:
    """Return a gauge for each column of the query ``metrics_entities`` that follows the two of the entity."""
    names: list[tuple[str, str, dict[str, str]]] = [
        ("warehouse_sync_last_start_timestamp_seconds", "When the last run began.", {}),
        ("warehouse_sync_last_duration_seconds", "How long the last run took; none while it is running.", {}),
        ("warehouse_sync_last_failed", "Whether the last run failed.", {}),
        (
            "warehouse_sync_last_good_timestamp_seconds",
            "When the last good run began: the rows are as the vendor had them then.",
            {},
        ),
        ("warehouse_rows", "Rows of the table after that.", {"state": "living"}),
        ("warehouse_rows", "Rows of the table after that.", {"state": "deleted"}),
        ("warehouse_sync_stale_after_seconds", "From which age on an entity counts as stale.", {}),
        ("warehouse_sync_scheduled", "Whether schedules ask for it: configured, switched on, and on in Dagster.", {}),
        ("warehouse_dead_letters", "Records that could not be loaded.", {"status": "pending"}),
        ("warehouse_dead_letters", "Records that could not be loaded.", {"status": "waived"}),
    ]
    families: dict[str, GaugeMetricFamily] = {}
    for name, about, more in names:
        families.setdefault(name, GaugeMetricFamily(name, about, labels=[*ENTITY, *more]))
    for crm, entity, *values in rows:
        for (name, _, more), value in zip(names, values, strict=True):
            if value is not None:
                families[name].add_metric([crm, entity, *more.values()], float(value))
    return [*families.values()]


def _of_runs(rows: list[tuple[Any, ...]]) -> list[Metric]:
    runs = GaugeMetricFamily("warehouse_sync_runs", "Runs that began within a day.", labels=[*ENTITY, "status"])
    records = GaugeMetricFamily(
        "warehouse_sync_records", "Records of these runs, by what became of them.", labels=[*ENTITY, "outcome"]
    )
    calls = GaugeMetricFamily("warehouse_sync_api_calls", "Requests of these runs to the vendor.", labels=ENTITY)
    sums: dict[tuple[str, str], list[int]] = {}
    for crm, entity, status, count, *numbers in rows:
        runs.add_metric([crm, entity, status], count)
        before = sums.get((crm, entity), [0] * len(numbers))
        sums[crm, entity] = [one + int(more) for one, more in zip(before, numbers, strict=True)]
    for (crm, entity), (created, updated, failed, requests) in sums.items():
        for outcome, number in (("created", created), ("updated", updated), ("failed", failed)):
            records.add_metric([crm, entity, outcome], number)
        calls.add_metric([crm, entity], requests)
    return [runs, records, calls]


def _of_webhooks(rows: list[tuple[Any, ...]]) -> Metric:
    lost = GaugeMetricFamily(
        "warehouse_webhook_only_polled_ratio",
        "Which share of the changes since yesterday only polls have found, of what webhooks tell of.",
        labels=ENTITY,
    )
    for crm, entity, share in rows:
        lost.add_metric([crm, entity], share)
    return lost


def _of_state(pending: int, oldest: float, size: int, budgets: list[tuple[str, str, float]]) -> list[Metric]:
    used = GaugeMetricFamily(
        "warehouse_request_budget_used_ratio", "What share of a budget of requests is used.", labels=["crm", "budget"]
    )
    for crm, budget, share in budgets:
        used.add_metric([crm, budget], share)
    return [
        _one("warehouse_webhook_inbox_pending", "Deliveries that wait to be worked off.", pending),
        _one("warehouse_webhook_inbox_oldest_seconds", "For how long the oldest of them has waited.", oldest),
        _one("warehouse_database_bytes", "The size of the database.", size),
        used,
    ]


def _deliveries(by_source: Mapping[str, Mapping[str, int]]) -> Metric:
    counted = CounterMetricFamily(
        "warehouse_webhook_deliveries",
        "Deliveries of webhooks since serve began, by what came of them.",
        labels=["source", "outcome"],
    )
    for source, outcomes in by_source.items():
        for outcome, count in outcomes.items():
            counted.add_metric([source, outcome], count)
    return counted
