"""How the simulated MarketSharp can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class MarketSharpSettings:
    company: str = "4711"
    api_key: str = "simulated-marketsharp-key"
    token: str = "simulated-marketsharp-secret"  # noqa: S105  (nobody's; the secret is its Base64)
    contacts: int = 1000  # fixed at start
    now: float | None = None  # fixed at start: seconds since 1970
    time_zone: str = "America/New_York"  # of the wall clock that the database holds
    offsets: bool = True  # whether times are written with the offset of that zone, or without any
    literal_zone: str | None = None  # in which a literal of a filter is read; None: compared as it is
    skew_seconds: int = 300  # how old or early a stamp may be
    most_per_page: int = 5000
    links: bool = True  # whether a page that was cut to it says where the rest is
    link_base: str | None = None  # what such a link begins with; None: as the client came
    inlinecount: bool = True
    expands: str = "served"  # served | ignored | refused
    absent: str = ""  # sets and navigations that there are not, with blanks between; `Contact/`: in a filter alone
    expanded_lists: bool = True  # whether a contact's address comes as a list, or as one
    ordered_by: str = "text"  # text | guid: how $orderby sorts keys; comparisons are of texts
