"""``warehouse google``: events in Calendar and folders in Drive, written as plans of ``warehouse outbound``."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.arguments import Misused, options
from warehouse_pipelines.commands.outbound import SHOWN, me, show_plan, tell_outcome
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.outbound.ledger import Plan
    from warehouse_pipelines.outbound.run import Outbound

SERIES = click.option("--series", is_flag=True, help="Of a series: all of its events.")
YES = click.option("--yes", is_flag=True, help="Do it. Without it the plan is shown.")
WHY = click.option("--why", metavar="TEXT", help="Why; kept with the plan.")


@click.group()
def google() -> None:
    """Write to Google Calendar and Google Drive. Nothing is written without --yes.

    What was written is verified and taken back by `warehouse outbound verify` and `undo`, with the number of the plan.
    """
    logs.configure()


@google.group()
def event() -> None:
    """Make, change, cancel and restore events."""


@google.group()
def folder() -> None:
    """Make the folders of a template; rename, move, share, trash and restore folders and files."""


def _write(ctx: click.Context, name: str, plan: "Callable[[Outbound], Plan]", *, yes: bool) -> None:
    """Make a plan of a target and show it; with ``yes`` apply it."""
    from warehouse_pipelines.commands.arguments import source_named
    from warehouse_pipelines.outbound import ledger
    from warehouse_pipelines.outbound.run import connected
    from warehouse_pipelines.outbound.targets import BY_NAME

    target = BY_NAME[name]
    source_named(target.crm).require_settings()
    with connected(database_url(), target) as at_work:
        made = plan(at_work)
        show_plan(made, ledger.items(at_work.session, made.plan_id, limit=SHOWN))
        if not made.changes:
            click.echo("\nThere is nothing to write.")
            if made.statuses:
                ctx.exit(3)
            return
        if not yes:
            click.echo(f"\nNothing was written. `warehouse outbound apply {made.plan_id} --yes` does it.")
            return
        done = at_work.apply(made, me(), force=True)
        for item in ledger.items(at_work.session, made.plan_id):
            if item.reason:
                click.echo(f"{item.object_id}: {item.reason}")
    tell_outcome(ctx, done)


_FIELDS = options(
    click.option(
        "--start", metavar="TIME", help="2026-01-31T09:30, in WAREHOUSE_TIME_ZONE; 2026-01-31 is a whole day."
    ),
    click.option("--end", metavar="TIME", help="An hour later unless given; of whole days the day after the last."),
    click.option("--description", metavar="TEXT"),
    click.option("--location", metavar="TEXT"),
    click.option("--guest", "guests", multiple=True, metavar="ADDRESS", help="Once for each guest."),
)


@event.command()
@click.argument("calendar")
@click.argument("summary")
@_FIELDS
@click.option("--meet", is_flag=True, help="With a video conference.")
@click.option(
    "--key", default="", metavar="TEXT", help="A name of your own: with the same one no second event is made."
)
@WHY
@YES
@click.pass_context
def create(
    ctx: click.Context, calendar: str, summary: str, start: str | None, end: str | None, key: str, meet: bool,
    description: str | None, location: str | None, guests: tuple[str, ...], why: str | None, yes: bool,
) -> None:  # fmt: skip
    """Make an event called SUMMARY in CALENDAR, one of GCALENDAR_IDS."""
    from warehouse_pipelines.outbound import google_events

    if not start:
        raise click.UsageError("--start is missing: when does the event begin?", ctx)
    draft = google_events.Draft(
        summary=summary, start=start, end=end or "", description=description or "", location=location or "",
        guests=guests, meet=meet,
    )  # fmt: skip
    _write(
        ctx, "google_events",
        lambda at_work: google_events.plan_event(at_work, calendar, draft, by=me(), why=why, key=key), yes=yes,
    )  # fmt: skip


@event.command()
@click.argument("calendar")
@click.argument("event")
@click.option("--summary", metavar="TEXT")
@_FIELDS
@click.option("--no-guests", is_flag=True, help="Take all guests out.")
@click.option("--meet/--no-meet", default=None, help="With or without a video conference.")
@SERIES
@WHY
@YES
@click.pass_context
def update(
    ctx: click.Context, calendar: str, event: str, summary: str | None, start: str | None, end: str | None,
    description: str | None, location: str | None, guests: tuple[str, ...], no_guests: bool, meet: bool | None,
    series: bool, why: str | None, yes: bool,
) -> None:  # fmt: skip
    """Change what is given of EVENT in CALENDAR. The guests given are all that it has then."""
    from warehouse_pipelines.outbound import google_events

    changes: dict[str, str | None] = {
        name: value.strip() or None
        for name, value in (("summary", summary), ("description", description), ("location", location))
        if value is not None
    }
    changes |= {name: google_events.moment(value) for name, value in (("start", start), ("end", end)) if value}
    if guests or no_guests:
        changes["guests"] = None if no_guests else google_events.guests(guests)
    if meet is not None:
        changes["meet"] = "true" if meet else None
    if not changes:
        raise click.UsageError("Nothing is to be changed: give one of the options.", ctx)
    _change_event(ctx, calendar, event, changes, why, series=series, yes=yes)


@event.command()
@click.argument("calendar")
@click.argument("event")
@SERIES
@WHY
@YES
@click.pass_context
def cancel(ctx: click.Context, calendar: str, event: str, series: bool, why: str | None, yes: bool) -> None:
    """Cancel EVENT in CALENDAR."""
    _change_event(ctx, calendar, event, {"status": "cancelled"}, why, series=series, yes=yes)


@event.command("restore")
@click.argument("calendar")
@click.argument("event")
@SERIES
@WHY
@YES
@click.pass_context
def restore_event(ctx: click.Context, calendar: str, event: str, series: bool, why: str | None, yes: bool) -> None:
    """Restore a cancelled EVENT in CALENDAR."""
    _change_event(ctx, calendar, event, {"status": "confirmed"}, why, series=series, yes=yes)


def _change_event(
    ctx: click.Context, calendar: str, event: str, changes: Mapping[str, str | None], why: str | None, *, series: bool,
    yes: bool,
) -> None:  # fmt: skip
    from warehouse_pipelines.outbound import google_events

    def plan(at_work: "Outbound") -> "Plan":
        return google_events.plan_change(at_work, calendar, event, changes, by=me(), why=why, series=series)

    _write(ctx, "google_events", plan, yes=yes)


@folder.command()
@click.argument("kind", metavar="company|lead|deal|contact")
@click.argument("id_", metavar="ID")
@click.option("--template", metavar="NAME", help="Where there are several for this kind.")
@click.option("--share", "share", multiple=True, metavar="ROLE:ADDRESS", help="In place of GDRIVE_SHARE.")
@click.option("--anew", is_flag=True, help="Make folders again that Drive no longer shows.")
@WHY
@YES
@click.pass_context
def template(
    ctx: click.Context, kind: str, id_: str, template: str | None, share: tuple[str, ...], anew: bool,
    why: str | None, yes: bool,
) -> None:  # fmt: skip
    """Make what is missing of the folders of a template, and share the topmost.

    A second time makes nothing. What a command that was ended left half made is completed by the same command.
    """
    from warehouse_pipelines.outbound import google_folders

    if anew and not yes:
        raise Misused("--anew forgets the folders that Drive no longer shows, so it goes with --yes.")
    wanted = google_folders.shares(share) if share else google_folders.default_shares()

    def plan(at_work: "Outbound") -> "Plan":
        return google_folders.plan_template(at_work, kind, id_, by=me(), why=why, template=template, anew=anew)

    _write(ctx, "google_files", plan, yes=yes)
    if not yes or not wanted:
        return
    with warehouse.session(database_url()) as session:
        of = google_folders.folder_owner(session, kind, id_)
        top = google_folders.folder_of(session, kind, id_)
    _share(ctx, top, wanted, why, yes=True, subject=of.subject, once=not share)


def _share(
    ctx: click.Context, file: str, wanted: Mapping[str, str | None], why: str | None, *, yes: bool, subject: str = "",
    once: bool = False,
) -> None:  # fmt: skip
    from warehouse_pipelines.outbound import google_folders

    def plan(at_work: "Outbound") -> "Plan":
        return google_folders.plan_shares(at_work, file, wanted, by=me(), why=why, subject=subject, once=once)

    _write(ctx, "google_sharing", plan, yes=yes)


@folder.command()
@click.argument("file")
@click.argument("with_", metavar="ROLE:ADDRESS", nargs=-1, required=True)
@WHY
@YES
@click.pass_context
def share(ctx: click.Context, file: str, with_: tuple[str, ...], why: str | None, yes: bool) -> None:
    """Share FILE, a file or folder by its id. The role none takes an address out; group:ADDRESS is a group."""
    from warehouse_pipelines.outbound import google_folders

    _share(ctx, file, google_folders.shares(with_), why, yes=yes)


def _change_file(
    ctx: click.Context, files: tuple[str, ...], changes: Mapping[str, str | None], why: str | None, *, yes: bool
) -> None:
    from warehouse_pipelines.outbound import google_folders

    _write(
        ctx, "google_files",
        lambda at_work: google_folders.plan_change(at_work, files, changes, by=me(), why=why), yes=yes,
    )  # fmt: skip


@folder.command()
@click.argument("file")
@click.argument("name")
@WHY
@YES
@click.pass_context
def rename(ctx: click.Context, file: str, name: str, why: str | None, yes: bool) -> None:
    """Call FILE, a file or folder by its id, NAME."""
    if not name.strip():
        raise click.UsageError("The new name is empty.", ctx)
    _change_file(ctx, (file,), {"name": name.strip()}, why, yes=yes)


@folder.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--to", "parent", required=True, metavar="FOLDER", help="The folder's id.")
@WHY
@YES
@click.pass_context
def move(ctx: click.Context, files: tuple[str, ...], parent: str, why: str | None, yes: bool) -> None:
    """Move files and folders, by their ids."""
    _change_file(ctx, files, {"parent": parent}, why, yes=yes)


@folder.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--why", required=True, metavar="TEXT", help="Why; kept with the plan and in the warehouse's row.")
@YES
@click.pass_context
def trash(ctx: click.Context, files: tuple[str, ...], why: str, yes: bool) -> None:
    """Put files and folders into the trash, from which Google deletes them after 30 days."""
    _change_file(ctx, files, {"trashed": "true"}, why, yes=yes)


@folder.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@WHY
@YES
@click.pass_context
def restore(ctx: click.Context, files: tuple[str, ...], why: str | None, yes: bool) -> None:
    """Take files and folders out of the trash."""
    _change_file(ctx, files, {"trashed": None}, why, yes=yes)
