"""How the simulated LeadConduit can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 1000
"""Events of a page, at most."""


@dataclass
class LeadConduitSettings:
    token: str = "simulated-leadconduit-key"  # noqa: S105  (nobody's key)
    webhook_secret: str = "simulated-leadconduit-word"  # noqa: S105  (nobody's: a header of the recipient)
    contacts: int = 1000  # fixed at start: there are half as many leads
    now: float | None = None  # fixed at start: seconds since 1970
    typed: str = "mixed"  # how a lead's values are written: plain | objects | mixed
    wrapped: bool = False  # whether the array is the member `data` of an object
    most: int = MOST  # a smaller one: pages are shorter than what was asked for
    user: str | None = None  # the name that goes with the key; any if None
    retention_days: float | None = None  # events that are older are deleted; none if None
    plan: bool = True  # whether the account may read its events
    per_minute: int | None = None
