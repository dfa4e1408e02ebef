"""The feed of ``crm``: one lead per person that any source calls a lead or customer, in each organization.

    with warehouse.session(url) as session:
        summary = feed.run(session)             # what changed since the last run
        feed.score(session)                     # each night: scores grow old by themselves

A run is one transaction below one advisory lock: ``signals`` reads, ``leads``, ``consent``, ``costs`` and ``scores``
write. It computes a lead from all that the sources say of its person now, so a run of everything and a run of what
changed end alike, and a run repeated changes nothing.

The session's user is the one that migrates, or another that was granted ``crm_owner`` and ``crm_definer``: the policies
of crm let such a user see every organization. ``app.organization_id`` is set meanwhile, for triggers and their logs.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.settings import settings
from warehouse_pipelines.unified.acting import act_for
from warehouse_pipelines.unified.feed import called_off, consent, costs, leads, signals
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('warehouse:feed', 0))"


@dataclass
class Summary:
    """What a run did: counts, and seconds by step. ``unmapped``: how many status words of a source have no row."""

    full: bool = False
    people: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    unmapped: dict[str, int] = field(default_factory=dict)

    def add(self, done: dict[str, int]) -> None:
        """Add counts of one organization."""
        for name, count in done.items():
            self.counts[name] = self.counts.get(name, 0) + count


def run(session: "Session", *, full: bool = False) -> Summary:
    """Bring ``crm`` up to date with identity and the sources; return what was done.

    ``full`` computes every lead; so does the first run, and the first after a change of a mapping. Raises
    ``NotConfigured`` when the warehouse has an account that is not declared, whose leads would be deleted;
    ``psycopg.Error`` when the session's user may not write crm, and leaves everything as it was.
    """
    require_declared(session)
    summary = Summary()
    organization = settings().crm_organization_id
    with session.transaction():
        session.execute(LOCK)
        session.execute("SET LOCAL jit = off")
        session.execute("SET LOCAL work_mem = '64MB'")
        act_for(session, organization, "import")
        read_until = warehouse.value(session, query("feed_until"))
        with _timed(summary, "read"):
            summary.full = signals.find_people(session, full=full)
            signals.read(session, organization)
        with _timed(summary, "decide"):
            called_off.read(session)
            run_script(session, query("feed_wanted"), {})
            session.execute(query("feed_statuses"), {"full": summary.full})
            consent.read(session, organization, full=summary.full)
        summary.people = warehouse.value(session, "SELECT count(*) FROM feed_person")
        for one in _organizations(session, organization):
            act_for(session, one, "import")
            with _timed(summary, "leads"):
                consent.compute(session, one)
                summary.add(leads.write(session, one, full=summary.full))
            with _timed(summary, "consent"):
                summary.add(consent.write(session, one, organization))
                summary.add({"conflicts": consent.find_conflicts(session, one, organization)})
            with _timed(summary, "scores"):
                # What the others said did not change; that scores grow old is the nightly run's.
                people = None if summary.full else _people(session)
                summary.add({"scored": _score(session, one, people)})
        with _timed(summary, "costs"):
            theirs = _fed_by(session, costs.CRM, organization)
            act_for(session, theirs, "import")
            summary.add(costs.write(session, theirs))
        _keep_positions(session, read_until)
        summary.unmapped = _unmapped(session)
    return summary


def score(session: "Session") -> int:
    """Score all leads of all organizations; return how many changed. For the nightly run. Raises as ``run`` does."""
    require_declared(session)
    with session.transaction():
        session.execute(LOCK)
        scored = 0
        for organization in _organizations(session, settings().crm_organization_id):
            act_for(session, organization, "import")
            scored += _score(session, organization)
        return scored


def _score(session: "Session", organization: UUID, people: list[UUID] | None = None) -> int:
    return session.execute(query("feed_scores"), {"organization": organization, "people": people}).rowcount


def _people(session: "Session") -> list[UUID]:
    return [row["person_id"] for row in session.execute("SELECT person_id FROM feed_person").fetchall()]


def _organizations(session: "Session", default: UUID) -> list[UUID]:
    rows = session.execute(
        "SELECT %s::uuid AS id UNION SELECT organization_id FROM crm.feed_source"
        " UNION SELECT organization_id FROM crm.lead_feed GROUP BY organization_id ORDER BY 1",
        [default],
    ).fetchall()
    return [row["id"] for row in rows]


def _fed_by(session: "Session", crm: str, default: UUID) -> UUID:
    return warehouse.value(session, "SELECT organization_id FROM crm.feed_source WHERE crm = %s", [crm]) or default


def _keep_positions(session: "Session", read_until: Any) -> None:
    [mappings] = session.execute(query("feed_mappings"), {"rules": signals.RULES})
    session.execute(
        query("feed_positions"),
        {
            "read_until": read_until,
            "fingerprint": mappings["fingerprint"],
            "tables": [*signals.tables(), "identity.person", "crm.status_mapping"],
        },
    )


def _unmapped(session: "Session") -> dict[str, int]:
    """Return how many status words of each source no row maps, and warn. Words may be free text: not logged."""
    rows = session.execute(query("feed_unmapped")).fetchall()
    for row in rows:
        log.warning(
            "crm.status_mapping does not know %d status words of %s, in %d records; marts.unmapped_status lists them "
            "with the status that they were loaded as.", row["words"], row["source"], row["records"],
        )  # fmt: skip
    return {row["source"]: row["words"] for row in rows}


@contextmanager
def _timed(summary: Summary, step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    summary.seconds[step] = round(summary.seconds.get(step, 0.0) + time.monotonic() - began, 3)
