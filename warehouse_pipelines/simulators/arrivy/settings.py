"""How the simulated Arrivy can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ArrivySettings:
    auth_key: str = "simulated-arrivy-key"
    token: str = "simulated-arrivy-token"  # noqa: S105  (nobody's token)
    webhook_secret: str = "simulated-arrivy-word"  # noqa: S105  (nobody's: a header of each delivery)
    contacts: int = 1000  # fixed at start: tasks are three fifths of them, bookings a third
    now: float | None = None  # fixed at start: seconds since 1970
    per_minute: int | None = None
    most_per_page: int | None = None  # items_per_page above it are cut to it
    most_per_query: int | None = None  # of all pages together; one client suspects a thousand
    descending: bool = False  # how order_by=CREATED orders
    undated_lists: str = "only"  # only | also: whether unscheduled=true and its like show the scheduled as well
    status_filter: bool = True
    bookings: bool = True  # whether there is such a list at all
    booking_dates: str = "start_date"  # start_date | from | ignored
    templates: bool = True
    pages_of_small_lists: bool = False  # whether entities, statuses and templates are paged
    refusal: str = "json"  # or text
    absent_status: int = 404  # or 400: what a single record that was deleted is answered with
