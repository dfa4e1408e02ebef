"""Arrivy as a source: its entities, its flags, and how its credential is checked."""

from typing import Any

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Flag, Source
from warehouse_pipelines.sources.arrivy import by_key
from warehouse_pipelines.sources.arrivy.client import client
from warehouse_pipelines.sources.arrivy.entities import BOOKINGS, ENTITIES, GROUPS, STATUSES, TASKS, TEMPLATES
from warehouse_pipelines.sources.arrivy.fetch import fetch
from warehouse_pipelines.sources.arrivy.reader import AT_ONCE
from warehouse_pipelines.sources.arrivy.settings import Settings

MOST_AT_ONCE = 16
"""Requests in flight; the shared client has 20 connections."""


def check(context: ReadContext | None = None) -> str:
    """Ask for the profile of the company, as the vendor's own Zapier app does."""
    client(context or ReadContext()).get("/api/users/profile", dict[str, Any])
    return "Arrivy answers: it knows the key and the token"


ARRIVY = Source(
    name="arrivy",
    title="Arrivy",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    read_keys=by_key.read_keys,
    by_key={entity.name: by_key.MOST for entity in (TASKS, BOOKINGS)},
    entities=(GROUPS, ENTITIES, STATUSES, BOOKINGS, TASKS, TEMPLATES),
    flags=(
        Flag(name="booking_status", help="Only bookings of this status.", entities=("bookings",), narrows=True),
        Flag(name="task_status", help="Only tasks of this status.", entities=("tasks",), narrows=True),
        Flag(
            name="concurrent_pages",
            type="number",
            most=MOST_AT_ONCE,
            help="Requests in flight, and no more; default 1.",
        ),
        Flag(
            name="high_performance",
            type="switch",
            help=f"The same rows sooner: {AT_ONCE} requests in flight where --concurrent-pages says nothing.",
        ),
    ),
)
