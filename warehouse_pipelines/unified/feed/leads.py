"""Leads from people: ``crm.leads`` of one organization, with where each value came from in ``crm.lead_feed``.

Decided:

- A value that is not what the feed wrote last was entered in crm, by whomever. It stays until the source's own value
  changes, and that later than it was entered. So no log is read but for such fields, and an archived log loses nothing.
- A status is what the vendor says: the trigger lets the feed, which an administrator runs with
  ``app.triggered_by = 'import'``, make a change that the state machine refuses to a user.
- Of two leads of one person one stays; the other one is deleted softly, with ``merged_into`` in ``source_metadata``,
  and comes back when the merge of the people is undone, with what it lent: fields, tags, consent. What somebody changed
  since stays where it was changed, and so do entries of the do-not-call list. What was sent, the logs and scores never
  moved. A lead of a sequence goes on in the lead that stays, and after that in its own again.
- One number is one live lead's. Who shares it has it in ``source_metadata -> 'shared_phones'``, and no ``phone``.
- A lead that was entered in crm, by a file or a user, is a record of identity, which says whose it is. Before the feed
  writes into it, ``lead_feed.entered`` keeps what stands there, so that identity never reads what came of itself, and
  the lead is again what it was when no source calls its person a lead any more.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

MANY = 1000
"""Leads."""


def write(session: "Session", organization: UUID, *, full: bool = False) -> dict[str, int]:
    """Write the leads of the people in ``feed_wanted``, of all if ``full``; return the counts by what was done."""
    session.execute(
        "DROP TABLE IF EXISTS feed_match, feed_merge, feed_merged, feed_lead, feed_phone, feed_field, feed_change,"
        " feed_new, feed_entered, feed_release, feed_shared, feed_lent, feed_noted, feed_enrolled, feed_returned,"
        " feed_unlent"
    )

    def run(script: str, **names: sql.Composable) -> int:
        return run_script(session, script, {"organization": organization}, names)

    done: dict[str, int] = {}
    if full:
        run(query("feed_healed"))
    run(query("feed_entered"))
    run(query("feed_parted"))
    run(query("feed_matched"))
    run(query("feed_merge"))
    run(query("feed_snapshot"), leads=sql.Identifier("feed_merge"))
    run(query("feed_merged"))
    done["merged"] = warehouse.value(session, "SELECT count(*) FROM feed_merge WHERE place > 1")
    run(query("feed_returned"))
    run(query("feed_assigned"))
    run(query("feed_snapshot"), leads=sql.Identifier("feed_lead"))
    done["deleted"] = run(query("feed_deleted"))
    done["released"] = run(query("feed_released"))
    run(query("feed_phones"))
    done["updated"] = run(query("feed_update"))
    run(query("feed_freed"))
    done["created"] = run(query("feed_insert"))
    run(query("feed_origins"))
    if done["created"] > MANY:
        # Or what follows is planned for the table as it was.
        session.execute("ANALYZE crm.leads")
    return done
