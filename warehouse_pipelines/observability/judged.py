"""Which CRMs are judged by health, alerts, the report and the pages: those that somebody means to have synced.

These are the CRMs whose settings can be used, and of the others those that have been synced before, or have some of
their own settings. So a typo, or a file of a secret that is missing, is a fault and not the end of a CRM. One that is
given up has no settings and all its schedules off: `warehouse schedule off <crm>`.

An account that this warehouse has and no source is belongs to them too: a program that was started without
``config/accounts.toml`` would call all well, and incidents of that account resolved.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from warehouse_pipelines.model.accounts import accounts_file
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def undeclared(session: "Session", sources: Iterable[Source]) -> dict[str, str]:
    """Return the accounts of this warehouse that none of all ``sources`` is, each with its CRM."""
    known = [source.name for source in sources]
    return {row["source"]: row["crm"] for row in session.execute(query("accounts_undeclared"), {"declared": known})}


def judged(session: "Session", sources: Iterable[Source]) -> dict[str, str | None]:
    """Return the CRMs that are judged, in their order, each with what is wrong with its settings, or None.

    ``sources`` are all that this program has.
    """
    sources = tuple(sources)
    problems = {source.name: source.settings_problem() for source in sources}
    wrong = [source for source in sources if problems[source.name]]
    meant = set()
    if wrong:
        asked = {"crms": [one.name for one in wrong], "given": [one.name for one in wrong if one.has_own_settings()]}
        meant = {row["crm"] for row in session.execute(query("crms_in_use"), asked)}
    found = {name: problem for name, problem in problems.items() if not problem or name in meant}
    return found | {
        name: f"{accounts_file()} does not declare {name}, which this warehouse has, so it is not read. Declare it "
        "again, or delete its tables for good: `warehouse accounts remove`"
        for name in undeclared(session, sources)
    }
