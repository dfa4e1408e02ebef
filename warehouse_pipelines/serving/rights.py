"""Who may do what: rights, the roles that have them, and how a route says which one it takes.

    @router.get("/leads")
    @needs(Right.LEADS_READ)          # or @signed_in, or @everyone
    async def list_leads(...)

A route that says nothing cannot be made: ``guard.GuardedRoute`` refuses it when the program starts. So nothing is open
because somebody forgot it. What is of all organizations at once, such as the marts, says so too
(``of_all_organizations``): it is for users of the organization that the sources feed. The roles are those of the sales
force's own table ``pipedesk.user_roles``: a viewer is a salesperson there, an operator a manager, an admin an admin.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=Callable[..., Any])


class Right(StrEnum):
    """What somebody may do. The value is what stands in the scopes of a token."""

    STATUS_READ = "status.read"
    DATA_READ = "data.read"
    PERSONAL_READ = "personal.read"
    ANALYTICS_READ = "analytics.read"
    LEADS_READ = "leads.read"
    LEADS_WRITE = "leads.write"
    LEADS_DELETE = "leads.delete"
    DNC_WRITE = "dnc.write"
    SEQUENCES_WRITE = "sequences.write"
    SYNCS_RUN = "syncs.run"
    SCHEDULES_WRITE = "schedules.write"
    DEAD_LETTERS = "dead_letters.handle"
    IDENTITY_DECIDE = "identity.decide"
    DAGSTER_USE = "dagster.use"
    ACCESS_READ = "access.read"


MEANINGS: Mapping[Right, str] = {
    Right.STATUS_READ: "see CRMs, entities, runs, schedules",
    Right.DATA_READ: "see tables, with personal columns masked",
    Right.PERSONAL_READ: "see personal data in clear, in tables and leads; each view of a table is logged",
    Right.ANALYTICS_READ: "see funnel, return on sources and the marts",
    Right.LEADS_READ: "see leads, masked without `personal.read`; ask the do-not-call list",
    Right.LEADS_WRITE: "add and change leads",
    Right.LEADS_DELETE: "delete leads, softly",
    Right.DNC_WRITE: "add to the do-not-call list",
    Right.SEQUENCES_WRITE: "make sequences, enroll leads",
    Right.SYNCS_RUN: "run and cancel syncs",
    Right.SCHEDULES_WRITE: "switch schedules on and off",
    Right.DEAD_LETTERS: "see, waive and replay dead letters, which hold personal data",
    Right.IDENTITY_DECIDE: "confirm and split persons",
    Right.DAGSTER_USE: "use Dagster's UI behind the proxy",
    Right.ACCESS_READ: "see users, their tokens, and who saw what in clear",
}

_VIEWER = frozenset({Right.STATUS_READ, Right.DATA_READ, Right.ANALYTICS_READ, Right.LEADS_READ})
_OPERATOR = _VIEWER | {
    Right.PERSONAL_READ, Right.LEADS_WRITE, Right.DNC_WRITE, Right.SEQUENCES_WRITE, Right.SYNCS_RUN,
    Right.SCHEDULES_WRITE, Right.DEAD_LETTERS, Right.IDENTITY_DECIDE, Right.DAGSTER_USE,
}  # fmt: skip
ROLES: Mapping[str, frozenset[Right]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "admin": _OPERATOR | {Right.LEADS_DELETE, Right.ACCESS_READ},
}

OVER_ALL = frozenset({
    Right.SYNCS_RUN, Right.SCHEDULES_WRITE, Right.DEAD_LETTERS, Right.IDENTITY_DECIDE, Right.DAGSTER_USE,
    Right.ACCESS_READ,
})  # fmt: skip
"""Rights over what is of all organizations at once. Who is of another one than the sources feed has none of them."""

EVERYONE, SIGNED_IN = "everyone", "signed in"


def needs(right: Right) -> Callable[[E], E]:
    """Say that a route takes a right."""

    def mark(endpoint: E) -> E:
        endpoint.right = right  # type: ignore[attr-defined]
        return endpoint

    return mark


def of_all_organizations(endpoint: E) -> E:
    """Say that a route shows what is of all organizations at once, beside the right that it takes."""
    endpoint.of_all_organizations = True  # type: ignore[attr-defined]
    return endpoint


def signed_in(endpoint: E) -> E:
    """Say that whoever is signed in may use a route, such as the one that signs out."""
    endpoint.right = SIGNED_IN  # type: ignore[attr-defined]
    return endpoint


def everyone(endpoint: E) -> E:
    """Say that a route is open: it shows nothing of people, or is what one signs in by."""
    endpoint.right = EVERYONE  # type: ignore[attr-defined]
    return endpoint


def declared(endpoint: Callable[..., Any]) -> Right | str:
    """Return what a route takes. Raises ``TypeError`` for one that does not say."""
    found: Right | str | None = getattr(endpoint, "right", None)
    if found is None:
        raise TypeError(f"{endpoint.__module__}.{endpoint.__qualname__} does not say who may use it; see rights.needs")
    return found
