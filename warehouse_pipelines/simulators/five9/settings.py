"""How the simulated Five9 can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Five9Settings:
    username: str = "warehouse@example.test"
    token: str = "simulated-five9-password"  # noqa: S105  (nobody's password)
    contacts: int = 1000  # fixed at start
    now: float | None = None  # fixed at start: seconds since 1970
    crowd: int = 0  # fixed at start: so many of the contacts share one number, 0000000000
    unnumbered: int = 50  # fixed at start: one contact in so many has no number
    time_zone: str = "America/Los_Angeles"
    limit: int = 1000  # records of an answer
    over_limit: str = "truncate"  # truncate | fault: what a lookup that matches more answers
    empty_value: str = "matches"  # matches | nothing | ignored | dropped | fault: a criterion with an empty value
    bare_wildcard: str = "filled"  # filled | nothing | everything: what `%` alone matches
    leading_wildcard: bool = True  # False: only a `%` at the end is one
    no_match: str = "fields"  # fields | bare: whether an answer without records names its fields
    contact_id: str = "unique"  # unique | absent | gaps | repeated
    sessions: bool = False  # a cookie per session, which `close_sessions` ends
    per_minute: int = 100_000
    per_hour: int = 1_000_000
    per_day: int = 10_000_000
