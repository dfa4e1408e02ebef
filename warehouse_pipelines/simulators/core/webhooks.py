"""What a vendor delivers by webhook, and how badly: signed, many times, in any order, late, lost, replayed, forged.

A vendor notes an event whenever something changes (``Outbox.note``). A test sends what was noted (the operation
``deliver``); with the operation ``subscribe`` a thread sends each event as it is noted, and tries again, as vendors do.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]

RETRY_SECONDS = 0.5
TRIES = 10


@dataclass
class Message:
    """One delivery, ready to be sent."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Sign = Callable[[Sequence[Event], str], Message]
"""Makes a delivery of events to an address, signed at this moment."""


def post(url: str, message: Message) -> int:
    """Send a delivery and return the status; 0 when nobody answers."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        target = where.path + (f"?{where.query}" if where.query else "")
        connection.request("POST", target, message.body, message.headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


class Outbox:
    """The events that were noted and not sent yet."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def note(self, event: Event) -> None:
        """Note an event."""
        with self._some:
            self._events.append(event)
            self._some.notify_all()

    def take(self) -> list[Event]:
        """Return what was noted so far and forget it."""
        with self._some:
            taken, self._events = self._events, []
            return taken

    def follow(self, url: str, sign: Sign, together: int) -> None:
        """Send each event as it is noted, from a thread."""

        def run() -> None:
            while True:
                with self._some:
                    self._some.wait_for(lambda: self._events or self._closed)
                    if self._closed:
                        return
                events = self.take()
                for start in range(0, len(events), together):
                    for _ in range(TRIES):
                        if 200 <= post(url, sign(events[start : start + together], url)) < 300 or self._closed:
                            break
                        time.sleep(RETRY_SECONDS)

        self._thread = threading.Thread(target=run, name="webhooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._some:
            self._closed = True
            self._some.notify_all()


def send(
    events: Sequence[Event],
    url: str,
    sign: Sign,
    *,
    copies: int,
    lost: float,
    shuffle: bool,
    together: int,
    forged: int,
    seed: int,
) -> dict[str, int]:
    """Send events and return how often each status was answered.

    ``lost`` of them are never sent, the others ``copies`` times; ``together`` are one delivery at most; ``forged`` ones
    more are signed by somebody who has no key.
    """  # fmt: skip
    order = random.Random(seed)
    kept = [event for event in events if order.random() >= lost]
    groups = [kept[start : start + together] for start in range(0, len(kept), together)]
    sent = [group for group in groups for _ in range(copies)]
    if shuffle:
        order.shuffle(sent)
    answered: Counter[str] = Counter()
    for group in sent:
        answered[str(post(url, sign(group, url)))] += 1
    for _ in range(forged):
        message = sign(kept[:1], url)
        wrong = {name: value[::-1] if name.lower() in FORGED else value for name, value in message.headers.items()}
        answered[str(post(url, Message(message.body, wrong)))] += 1
    return {"events": len(kept), "lost": len(events) - len(kept), **answered}


FORGED = frozenset({"x-hubspot-signature-v3", "signature", "x-webhook-secret", "x-goog-channel-token"})
