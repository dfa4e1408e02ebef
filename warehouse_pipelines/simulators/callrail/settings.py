"""How the simulated CallRail can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CallRailSettings:
    token: str = "simulated-callrail-key"  # noqa: S105  (nobody's key)
    signing_key: str = "simulated-callrail-signing-key"  # of the company; what deliveries are signed with
    contacts: int = 1000  # fixed at start: calls are half of them, forms a fifth, conversations a tenth
    now: float | None = None  # fixed at start: seconds since 1970
    accounts: int = 1  # the second and later ones are empty
    recent_days: int = 30  # what is shown when no dates are given
    retention_months: int = 25
    retention_status: int = 400  # or 422
    hourly: int | None = None
    daily: int | None = None
    tags_as: str = "mixed"  # objects | strings | mixed
    unknown_fields: str = "ignored"  # ignored | error
    refused_tags: list[str] = field(default_factory=list)  # names that a call may not have
    next_page_host: str | None = None  # a relative page that leads to another host
