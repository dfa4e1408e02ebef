"""How the simulated SalesRabbit can be set: what the notes could not confirm is a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SalesRabbitSettings:
    token: str = "simulated-salesrabbit-token"  # noqa: S105  (nobody's token)
    contacts: int = 1000  # fixed at start: there are as many leads, and a tenth more who never became contacts
    now: float | None = None  # fixed at start: seconds since 1970
    shape: str = "mixed"  # of a lead: flat (as recorded) | nested (as a later client reads it) | mixed
    order: str = "modified"  # unless sorted: modified | newest | created | any
    sorts: bool = True  # whether sortBy and order are obeyed
    inclusive: bool = True  # whether what changed at the very second of the filter is shown
    nothing_new: int = 304  # or 200 with an empty list
    more_pages: str = "exact"  # exact | full (a full page promises another, even the last) | absent
    deleted: str = "hidden"  # hidden | shown, with deletedAt
    deleting_modifies: bool = True  # whether dateModified moves with it, so that the filter shows it
    history_items: str = "new"  # under a filter: new ones alone | all of the leads that have one
    per_minute: int | None = None
