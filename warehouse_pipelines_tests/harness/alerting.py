"""A receiver for messages of alerts, runs to be planted in the history, and an evaluation at any time."""

import functools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines import warehouse
from warehouse_pipelines.observability.alerts import deliveries
from warehouse_pipelines.observability.alerts.channels import Channel, channels
from warehouse_pipelines.observability.alerts.evaluate import Collector, Evaluated, MessageOptions, evaluate
from warehouse_pipelines.observability.alerts.rules import Circumstances

ZONE = ZoneInfo("America/New_York")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Receiver:
    """What the URL of a channel was given, newest last; ``status`` is what it answers."""

    port: int
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of apprise."""
        return f"json://127.0.0.1:{self.port}/alerts"

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status == 200:
                receiver.got.append(json.loads(body))
            self.send_response(receiver.status)
            self.end_headers()

        def do_GET(self) -> None:
            receiver.got.append({"title": f"GET {self.path}"})
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@functools.cache
def _channels(urls: Sequence[str]) -> Sequence[Channel]:
    """Return the channels of these URLs, which apprise takes 15 ms each to make."""
    usable, wrong = channels(urls)
    assert not wrong
    return usable


@dataclass
class Alerting:
    """Alerts of a warehouse at any time: evaluates, and sends to ``urls``."""

    url: str
    urls: Sequence[str] = ()
    crms: Sequence[str] = ("hubspot", "callrail")
    quiet_hours: str = ""
    collectors: dict[str, Collector] = field(default_factory=dict)

    def at(self, now: datetime, *, send: bool = True, warehouse_rules: bool = True) -> Evaluated:
        """Evaluate at a time, and send what is due then."""
        usable = _channels(tuple(self.urls))
        options = MessageOptions([one.name for one in usable], ZONE, self.quiet_hours, "http://dagster.test")
        about = Circumstances(now, self.crms, str(ZONE))
        found = evaluate(self.url, about, options, collectors=self.collectors, warehouse_rules=warehouse_rules)
        assert found is not None
        if send:
            deliveries.send(self.url, usable, now)
        return found

    def only(self, *rules: str, **columns: Any) -> "Alerting":
        """Switch all rules off but these, and change columns of them."""
        with warehouse.session(self.url) as session:
            session.execute("UPDATE orchestration.alert_rule SET enabled = name = ANY(%s), every = '0'", [list(rules)])
            for column, value in columns.items():
                session.execute(f"UPDATE orchestration.alert_rule SET {column} = %s WHERE enabled", [value])
        return self


def plant(
    url: str,
    at: datetime,
    status: str = "success",
    *,
    crm: str = "hubspot",
    entity: str = "contacts",
    records: int = 10,
    error: str | None = None,
    mode: str = "delta",
    seconds: float = 30,
    run_id: str | None = None,
    options: Mapping[str, Any] | None = None,
    **metrics: Any,
) -> None:
    """Write the row of a run that began at a time; ``options`` are what was asked for beside all that is new."""
    if status == "partial" and "partial_reason" not in metrics:
        metrics["partial_reason"] = "values_lost: amount 5 of 9"
    if status == "failed" and error is None:
        error = "VendorUnavailable: the vendor answered 503"
    count = records if status in ("success", "partial") else 0
    with warehouse.session(url) as session:
        session.execute(
            """
            INSERT INTO orchestration.sync_history
                (crm_source, sync_type, start_time, end_time, status, records_processed, records_created, error_message,
                 configuration, performance_metrics, run_id)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                crm,
                entity,
                at,
                None if status == "running" else at + timedelta(seconds=seconds),
                status,
                count,
                count,
                error,
                json.dumps({"mode": mode, "dry_run": False, "max_records": 0, **(options or {})}),
                json.dumps(metrics),
                run_id,
            ],
        )
