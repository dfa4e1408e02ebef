"""Why a read cannot be called complete. Only a complete read moves the watermark and tombstones what it did not return.

A pure function of the report that a source returned and of what was counted: ``incomplete_reason``.

A read that went over the safety limit proves nothing. (``--max-records`` is no such limit: whoever gave it wanted no
more, so the run is a success; it moves no watermark and tombstones nothing either.)

A window without records where rows are known to be is the mark of a lost permission as well, but a small customer's
month may truly be empty once its only call turned out to be spam. So that run is ``partial``: no row is tombstoned, and
the watermark stays, so that the window of the next run still holds those rows. The first run that finds anything in it
tombstones the missing rows, ``--force`` does so at once, and until then each run reports that it is incomplete. A false
alarm costs a look; rows that are tombstoned without a word cost the trust in all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from warehouse_pipelines.errors import SuspiciousRead
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.plan import Plan
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadReport, Window
from warehouse_pipelines.model.source import Source


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one run counted, before anything is tombstoned.

    ``read``           the records that were read
    ``superseded``     those of them that were older versions of another one
    ``outside``        those whose cursor lies outside of the window that was asked for, which are not loaded
    ``found``          those that were created, updated, unchanged or refused
    ``had_rows``       whether the table had living rows before
    ``endless``        whether the read was given up at the safety limit
    ``living``         returns the living rows of the table
    ``living_within``  returns those of them whose cursor lies in a window
    """

    read: int
    superseded: int = 0
    outside: int = 0
    found: int
    had_rows: bool = False
    endless: bool = False
    living: Callable[[], int] = lambda: 0
    living_within: Callable[[Window], int] = lambda window: 0


def incomplete_reason(
    source: Source, entity: Entity, options: Options, plan: Plan, report: ReadReport | None, counts: Counts
) -> str | None:
    """Return why this read cannot be called complete, None when it can, or when no more was wanted.

    ``report`` is None for a read that was stopped by a limit. Raises ``SuspiciousRead`` for a full read of nothing
    where there were rows.
    """
    read = counts.read
    if counts.endless:
        return (
            f"safety_limit: {source.title} still had more {entity.name} after {read:,}. "
            "What was read is loaded, no row is counted as deleted, the watermark stays. If there are so many, raise "
            "WAREHOUSE_SAFETY_LIMIT and run again; else the list has no end: tell the vendor."
        )
    full = plan.window.since is None and plan.mode == "full"
    left_out = read - counts.found - counts.superseded
    if full and left_out:
        return f"{left_out} of {read} records were read and not loaded, though everything was asked for"
    if not full and left_out != counts.outside:
        return (
            f"{left_out} of {read} records were read and not loaded, and {counts.outside} are outside of the window "
            "that was asked for; the watermark stays. This is a fault of the warehouse, not of the vendor: report it"
        )
    limited = plan.narrowed or bool(options.max_records) or report is None
    report = report or ReadReport()
    if report.changes_only:
        return report.unproven
    if full and not limited and not read and counts.had_rows and not options.force:
        raise SuspiciousRead(
            f"{source.title} answered with no {entity.name} at all, and {entity.table} has "
            f"{counts.living()} living rows; nothing was changed. If that is right, run again with --force."
        )
    window = plan.complete_range if not full and not options.force else None
    if window is not None and not counts.found and (living := counts.living_within(window)):
        return (
            f"{source.title} shows no {entity.name} from {window.since} to {window.until}, where "
            f"{entity.table} has {living} living rows; they were left as they are. Has the credential lost a "
            "permission? If there are none any more, run again with --force."
        )
    if report.unproven and not limited:
        return report.unproven
    if report.reported is not None and report.reported_trusted and not limited and report.reported != read:
        return (
            f"{source.title} says, asked twice, that it has {report.reported} {entity.name} in the window, "
            f"and {read} were read"
        )
    return None
