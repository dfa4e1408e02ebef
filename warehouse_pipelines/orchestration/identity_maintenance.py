"""The jobs of the schema ``identity``: erasures that vendors start (``unified.erasing.proposals``), all leads again.

With ``WAREHOUSE_ERASE_AT_ONCE`` Dagster's storage and the folders of the job's machine are looked through.
"""

from typing import TYPE_CHECKING

from warehouse_pipelines import settings
from warehouse_pipelines.errors import TooManyErasures
from warehouse_pipelines.orchestration.maintenance import Report, Task

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def propose_erasures(connection: "Session") -> Report:
    """List the records that their vendor deleted for good, for erasure; erase them at once if the settings say so."""
    from warehouse_pipelines.unified.erasing import proposals
    from warehouse_pipelines.unified.erasing.files import places

    found = proposals.find(connection)
    erased, refused = 0, ""
    if settings.settings().warehouse_erase_at_once:
        try:
            erased = len(proposals.erase_all(connection, by="WAREHOUSE_ERASE_AT_ONCE", places=places()))
        except TooManyErasures as error:
            refused = str(error)
    left = len(proposals.waiting(connection))
    listed = f"{left} records may have to be erased: `warehouse erase --proposals`" if left else ""
    return Report({"new_proposals": found, "erased": erased, "waiting": left}, attention=refused or listed)


def feed_everything(connection: "Session") -> Report:
    """Compute all leads, consent and do-not-call again: runs in between compute what they know to have changed."""
    from warehouse_pipelines.unified import feed

    summary = feed.run(connection, full=True)
    return Report({"people": summary.people, **summary.counts})


TASKS = [
    Task("daily_feed_everything", "40 2 * * *", feed_everything),
    Task("daily_propose_erasures", "20 4 * * *", propose_erasures),
]
