"""Why a read cannot be called complete. Only a complete read moves the cursor and tombstones what it did not return.

A read that went over the safety limit proves nothing. (``--max-records`` is no such limit: whoever gave it wanted no
more, so the run is a success; it moves no cursor and tombstones nothing either.)

A window without records where rows are known to be is the mark of a lost permission as well, but a small customer's
month may truly be empty once its only call turned out to be spam. So that run is ``partial``: no row is tombstoned, and
the cursor stays, so that the window of the next run still holds those rows. The first run that finds anything in it
tombstones the missing rows, ``--force`` does so at once, and until then each run reports that it is incomplete. A false
alarm costs a look; rows that are tombstoned without a word cost the trust in all of them.
"""

from warehouse_pipelines.errors import SuspiciousRead
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.plan import Plan
from warehouse_pipelines.model.reading import Extraction
from warehouse_pipelines.model.source import Source


def only_changes(extraction: Extraction) -> bool:
    """Return True if the source returned only changes, so absence does not mean deletion."""
    return extraction.unchanged or extraction.changes_only


def incomplete_reason(
    source: Source, options: Options, plan: Plan, extraction: Extraction, loader: Loader, *, read: int, superseded: int
) -> str | None:
    """Return why this read cannot be called complete, None when it can.

    ``read`` records were read, of which ``superseded`` were older versions of another one. Raises ``SuspiciousRead``
    for a full read of nothing where there were rows.
    """
    entity = extraction.entity
    if extraction.endless:
        return (
            f"safety_limit: {source.title} still had more {entity.name} after {read:,}. "
            "What was read is loaded, no row is counted as deleted, the cursor stays. If there are so many, raise "
            "WAREHOUSE_SAFETY_LIMIT and run again; else the list has no end: tell the vendor."
        )
    if only_changes(extraction):
        return extraction.doubt
    limited = plan.narrowed or bool(options.max_records)
    full = plan.window.since is None and plan.mode == "full"
    if full and not limited and not read and loader.had_rows and not options.force:
        raise SuspiciousRead(
            f"{source.title} answered with no {entity.name} at all, and {entity.table} has "
            f"{loader.count_rows()[1]} living rows; nothing was changed. If that is right, run again with --force."
        )
    window = plan.complete_range if not full and not options.force else None
    found = loader.created + loader.updated + loader.unchanged + loader.failed
    if window is not None and not found and (living := loader.tombstones.count_living(window)):
        return (
            f"{source.title} shows no {entity.name} from {window.since} to {window.until}, where "
            f"{entity.table} has {living} living rows; they were left as they are. Has the credential lost a "
            "permission? If there are none any more, run again with --force."
        )
    if extraction.doubt and not limited:
        return extraction.doubt
    outside = read - found - superseded
    if full and outside:
        return f"{outside} of {read} records were read and not loaded, though everything was asked for"
    reported = extraction.reported
    if reported is not None and extraction.trusted and not limited and reported != read:
        return (
            f"{source.title} says, asked twice, that it has {reported} {entity.name} in the window, "
            f"and {read} were read"
        )
    return None
