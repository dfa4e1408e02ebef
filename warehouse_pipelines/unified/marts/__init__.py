"""The marts: what the business asks, as tables of the schema ``marts``, kept up to date from identity, crm and sources.

    with warehouse.session(url) as session:
        marts.run(session)                       # what changed since the last run
        marts.run(session, ["lead_journey"], full=True)

``rows`` lists them in the order in which they build on each other; ``refresh`` does the work. Each mart is one
transaction, with its position in ``marts.position``: a run that fails half way leaves each mart as it was, or done.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from warehouse_pipelines.unified.marts.mart import Summary
from warehouse_pipelines.unified.marts.rows import BY_NAME, MARTS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

__all__ = ["Summary", "run", "run_one"]


def run(session: "Session", names: Iterable[str] = (), *, full: bool = False) -> list[Summary]:
    """Bring the marts, or those of ``names``, up to date, in the order in which they build on each other.

    ``full`` computes everything; so does the first run of a mart, and the first after a change of its SQL. Raises
    ``KeyError`` for a name that no mart has.
    """
    wanted = {BY_NAME[name].name for name in names} or set(BY_NAME)
    return [run_one(session, mart.name, full=full) for mart in MARTS if mart.name in wanted]


def run_one(session: "Session", name: str, *, full: bool = False) -> Summary:
    """Bring one mart up to date. Raises ``psycopg.Error``, and leaves it as it was."""
    from warehouse_pipelines.unified.marts import refresh

    began = time.monotonic()
    summary = Summary(name)
    refresh.refresh(session, BY_NAME[name], summary, full=full)
    summary.seconds = round(time.monotonic() - began, 3)
    return summary
