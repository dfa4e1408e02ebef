"""``orchestration.alert_delivery``: messages are written with what they tell of, sent afterwards, at least once.

A message is written in the transaction that changes its incident, a row for each channel. Sending takes a row, sends
it and closes it. Whoever is killed in between leaves the row pending, and the message is sent again; its first line
and the number of its incident are the same, so a reader knows it again. Told twice is a nuisance; told never is an
outage that nobody hears of.

Each channel is sent to by a thread of its own, with a session of its own: one that hangs or refuses keeps no other
waiting. A refused message waits, for longer each time, and nothing is given up while its incident is open. When the
incident is over before a channel could be told of it, that channel is told nothing. What has piled up for a channel,
after quiet hours or an outage of the channel, comes as one message.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.observability.alerts.channels import Channel, ChannelRefused
from warehouse_pipelines.observability.alerts.messages import Message
from warehouse_pipelines.observability.redaction import redacted

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.alerts")

FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)

SEPARATELY = 5
"""More pending messages than these come as one."""

TOGETHER = 50
SECONDS = 20.0
"""How long a channel is sent to in one go."""

ORDER = ("info", "warning", "critical")

UNKNOWN_KEPT = timedelta(days=1)
"""How long a message waits for a channel that this program does not have."""


def write(session: "Session", message: Message, channels: Iterable[str], now: datetime, not_before: datetime) -> None:
    """Write a message for each channel that does not have it yet; a reminder not while an earlier one waits."""
    session.execute(
        """
        INSERT INTO orchestration.alert_delivery
            (message, channel, event_id, kind, severity, title, body, created_at, not_before)
        SELECT %(key)s, c.name, %(event)s, %(kind)s, %(severity)s, %(title)s, %(body)s, %(now)s, %(not_before)s
        FROM unnest(%(channels)s::text[]) AS c (name)
        WHERE %(kind)s <> 'reminded' OR NOT EXISTS (
            SELECT FROM orchestration.alert_delivery AS d
            WHERE d.event_id = %(event)s AND d.channel = c.name AND d.status = 'pending')
        ON CONFLICT (message, channel) DO NOTHING
        """,
        {
            "key": message.key,
            "event": message.event_id,
            "kind": message.kind,
            "severity": message.severity,
            "title": message.title,
            "body": message.body,
            "channels": list(channels),
            "now": now,
            "not_before": not_before,
        },
    )


def drop_untold(session: "Session", event_id: int, now: datetime) -> set[str]:
    """Drop what waits of an incident that is over; return the channels that were never told of it."""
    rows = session.execute(
        """
        UPDATE orchestration.alert_delivery SET status = 'dropped', ended_at = %s
        WHERE event_id = %s AND status = 'pending' RETURNING channel, kind
        """,
        [now, event_id],
    ).fetchall()
    return {row["channel"] for row in rows if row["kind"] == "opened"}


def send(url: str, channels: Sequence[Channel], now: datetime) -> dict[str, int]:
    """Send what is due to each channel; return how many messages each was given.

    A message for a channel that is not one of these is another program's, or its channel was taken out of the settings;
    after ``UNKNOWN_KEPT`` it is dropped. Raises ``DatabaseUnavailable``.
    """
    names = [channel.name for channel in channels]
    with warehouse.session(url) as session:
        session.execute(
            "UPDATE orchestration.alert_delivery SET status = 'dropped', ended_at = %s "
            "WHERE status = 'pending' AND channel <> ALL(%s) AND created_at < %s",
            [now, names, now - UNKNOWN_KEPT],
        )
        due = session.execute(
            "SELECT DISTINCT channel FROM orchestration.alert_delivery WHERE status = 'pending' AND not_before <= %s",
            [now],
        ).fetchall()
    wanted = {row["channel"] for row in due}
    busy = [channel for channel in channels if channel.name in wanted]
    if not busy:
        return {}
    with ThreadPoolExecutor(max_workers=len(busy), thread_name_prefix="alerts") as pool:
        counts = pool.map(lambda channel: _send_to(url, channel, now), busy)
        return dict(zip([channel.name for channel in busy], counts, strict=True))


def _send_to(url: str, channel: Channel, now: datetime) -> int:
    """Send what is due to one channel, until it refuses."""
    sent, began = 0, time.monotonic()
    try:
        with warehouse.session(url) as session:
            while time.monotonic() - began < SECONDS:
                with session.transaction():
                    rows = _due(session, channel.name, now)
                    if not rows:
                        break
                    group = rows if len(rows) > SEPARATELY else rows[:1]
                    if not _try(session, channel, group, now):
                        break
                    sent += len(group)
    except Exception as error:
        log.warning("the channel %s could not be sent to: %s", channel.name, type(error).__name__)
    return sent


def _due(session: "Session", channel: str, now: datetime) -> list[dict[str, Any]]:
    """Take what is due for a channel, unless another process has taken it."""
    return session.execute(
        """
        SELECT id, severity, title, body, attempts FROM orchestration.alert_delivery
        WHERE channel = %s AND status = 'pending' AND not_before <= %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        [channel, now, TOGETHER],
    ).fetchall()


def _try(session: "Session", channel: Channel, rows: Sequence[dict[str, Any]], now: datetime) -> bool:
    ids = [row["id"] for row in rows]
    severity = max((row["severity"] for row in rows), key=ORDER.index)
    title, body = rows[0]["title"], rows[0]["body"]
    if len(rows) > 1:
        title = f"[{severity}] {len(rows)} messages"
        body = "\n\n".join(f"{row['title']}\n{row['body']}" for row in rows)
    try:
        channel.send(title, body, severity)
    except ChannelRefused as error:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(10, rows[0]["attempts"]))
        session.execute(
            "UPDATE orchestration.alert_delivery SET attempts = attempts + 1, error = %s, not_before = %s "
            "WHERE id = ANY(%s)",
            [redacted(masked(str(error), 300)) or "it was refused", now + wait, ids],
        )
        log.warning("the channel %s refused a message: %s", channel.name, redacted(masked(str(error), 200)))
        return False
    session.execute(
        "UPDATE orchestration.alert_delivery SET status = 'sent', ended_at = %s, error = NULL WHERE id = ANY(%s)",
        [now, ids],
    )
    return True
