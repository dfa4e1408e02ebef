"""One pass of alerting, as its programs make it: evaluate with this installation's settings, then send what is due."""

import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import redaction
from warehouse_pipelines.observability.alerts import deliveries
from warehouse_pipelines.observability.alerts import settings as alert_settings
from warehouse_pipelines.observability.alerts.channels import channels
from warehouse_pipelines.observability.alerts.evaluate import Collector, Evaluated, MessageOptions, evaluate
from warehouse_pipelines.observability.alerts.messages import Message
from warehouse_pipelines.observability.alerts.report import Report, build
from warehouse_pipelines.observability.alerts.rules import Circumstances
from warehouse_pipelines.observability.judged import judged

HEARTBEAT_SECONDS = 10


def circumstances(url: str, sources: Sequence[Source], now: datetime | None = None) -> Circumstances:
    """Return what rules are asked with at a time, by default now: the CRMs that are judged (``judged``), the zone,
    and which settings cannot be used. Raises ``NotConfigured`` and ``DatabaseUnavailable``.
    """
    with warehouse.session(url) as session:
        crms = judged(session, sources)
    return Circumstances(
        now=now or clock(url),
        crms=list(crms),
        zone=str(settings.settings().warehouse_time_zone),
        settings_problems={crm: problem for crm, problem in crms.items() if problem},
        alert_problems=alert_settings.problems(),
    )


def clock(url: str) -> datetime:
    """Return the time of the warehouse, by which everything here goes: several machines write and judge, and theirs may
    differ. Raises ``DatabaseUnavailable``.
    """
    with warehouse.session(url) as session:
        now: datetime = warehouse.value(session, "SELECT clock_timestamp()")
    return now


def run(
    url: str,
    sources: Sequence[Source],
    *,
    collectors: Mapping[str, Collector] | None = None,
    warehouse_rules: bool = True,
    now: datetime | None = None,
) -> tuple[Evaluated | None, dict[str, int], list[str]]:
    """Evaluate and send; return what was found, how many messages each channel was given, and wrong URLs.

    Raises ``NotConfigured`` and ``DatabaseUnavailable``.
    """
    found = alert_settings.read()
    usable, wrong = channels(found.urls)
    at = circumstances(url, sources, now)
    if wrong:
        at = replace(at, alert_problems={**at.alert_problems, "WAREHOUSE_ALERT_URLS": " ".join(wrong)})
    options = MessageOptions(
        channels=[channel.name for channel in usable],
        zone=settings.settings().warehouse_time_zone,
        quiet_hours=found.warehouse_alert_quiet_hours,
        dagster_url=found.warehouse_dagster_public_url,
    )
    evaluated = evaluate(url, at, options, collectors=collectors, warehouse_rules=warehouse_rules)
    return evaluated, deliveries.send(url, usable, at.now), wrong


def build_report(url: str, sources: Sequence[Source], now: datetime | None = None) -> Report:
    """Return the report of the last day. Raises ``NotConfigured`` and ``DatabaseUnavailable``."""
    at = circumstances(url, sources, now)
    with warehouse.session(url) as session:
        return build(session, at, alert_settings.read().warehouse_dagster_public_url)


def send_report(url: str, sources: Sequence[Source], now: datetime | None = None) -> tuple[Report, int]:
    """Send the report of the last day to every channel that has not had it today; return it, and to how many it went.

    Raises ``NotConfigured`` and ``DatabaseUnavailable``.
    """
    report = build_report(url, sources, now)
    usable, _ = channels(alert_settings.read().urls)
    day = f"{report.at.astimezone(report.zone):%Y-%m-%d}"
    severity = "info" if report.right else "warning"
    message = Message(f"report {day}", "report", severity, report.title, report.text())
    with warehouse.session(url) as session:
        deliveries.write(session, message, [channel.name for channel in usable], report.at, report.at)
    sent = deliveries.send(url, usable, report.at)
    return report, sum(count > 0 for count in sent.values())


def send_text(url: str, key: str, title: str, body: str, *, severity: str = "info", now: datetime | None = None) -> int:
    """Send a text to every channel that has not had one with this key; return to how many it went.

    During quiet hours it waits for their end. Raises ``NotConfigured`` and ``DatabaseUnavailable``.
    """
    at, found = now or clock(url), alert_settings.read()
    usable, _ = channels(found.urls)
    quiet = alert_settings.quiet_until(found.warehouse_alert_quiet_hours, at, settings.settings().warehouse_time_zone)
    message = Message(key, "report", severity, redaction.redacted(title), redaction.redacted(body))
    with warehouse.session(url) as session:
        deliveries.write(session, message, [channel.name for channel in usable], at, quiet or at)
    return sum(count > 0 for count in deliveries.send(url, usable, at).values())


def write_heartbeat(url: str, name: str, now: datetime | None = None) -> None:
    """Write that a program runs. Raises ``DatabaseUnavailable``."""
    with warehouse.session(url) as session:
        session.execute(
            "INSERT INTO orchestration.heartbeat (name, last_alive_at)"
            " VALUES (%s, coalesce(%s::timestamptz, clock_timestamp()))"
            " ON CONFLICT (name) DO UPDATE SET last_alive_at = excluded.last_alive_at",
            [name, now],
        )


def delete_heartbeat(url: str, name: str) -> None:
    """Delete the heartbeat of a program that ends as it should. Raises ``DatabaseUnavailable``."""
    with warehouse.session(url) as session:
        session.execute("DELETE FROM orchestration.heartbeat WHERE name = %s", [name])


def ask_for_heartbeat_url() -> str:
    """Ask for ``WAREHOUSE_HEARTBEAT_URL``, so that a service outside knows; return what went wrong, without the URL."""
    url = alert_settings.read().warehouse_heartbeat_url
    if url is None:
        return ""
    address = url.get_secret_value()
    redaction.hide([address])
    if not address.startswith(("https://", "http://")):
        return "WAREHOUSE_HEARTBEAT_URL is no https:// address"
    try:
        with urllib.request.urlopen(address, timeout=HEARTBEAT_SECONDS):  # noqa: S310  (its scheme was looked at)
            return ""
    except OSError as error:
        return f"WAREHOUSE_HEARTBEAT_URL does not answer: {type(error).__name__}"
