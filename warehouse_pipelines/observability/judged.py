"""Which CRMs are judged by health, alerts, the report and the pages: those that somebody means to have synced.

These are the CRMs whose settings can be used, and of the others those that have been synced before, or have some of
their own settings. So a typo, or a file of a secret that is missing, is a fault and not the end of a CRM. One that is
given up has no settings and all its schedules off: `warehouse schedule off <crm>`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def judged(session: "Session", sources: Iterable[Source]) -> dict[str, str | None]:
    """Return the CRMs that are judged, in their order, each with what is wrong with its settings, or None."""
    sources = tuple(sources)
    problems = {source.name: source.settings_problem() for source in sources}
    wrong = [source for source in sources if problems[source.name]]
    meant = set()
    if wrong:
        asked = {"crms": [one.name for one in wrong], "given": [one.name for one in wrong if one.has_own_settings()]}
        meant = {row["crm"] for row in session.execute(query("crms_in_use"), asked)}
    return {name: problem for name, problem in problems.items() if not problem or name in meant}
