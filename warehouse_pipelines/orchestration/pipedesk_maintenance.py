"""The upkeep of the schema ``pipedesk``: push channels are renewed, and what was deleted long ago is archived.

Each move is one statement, so a row is in one of the two tables and never in neither. An archive has the columns of the
schema's document and the whole record in ``raw_data``. What comes again, because Google still lists it, is archived
again: the newer row wins, but for what it does not say. A sync may run at the same time.
"""

from typing import TYPE_CHECKING

from warehouse_pipelines.orchestration.maintenance import Report, Task

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

EVENTS_KEPT = "6 months"
FILES_KEPT = "6 months"


def archive_events(connection: "Session") -> Report:
    """Move cancelled events that ended over six months ago into calendar_events_archive."""
    # A cancelled occurrence of a series may have no end, and a cancelled event that nobody knew before no times at all.
    return _moved(
        connection,
        "calendar_events",
        "calendar_id google_event_id",
        """
        id summary description start_time end_time meet_link html_link status organizer_email attendees created_at
        updated_at deleted_at
        """,
        "status = 'cancelled' AND coalesce(end_time, start_time, deleted_at) < now() - %s::interval",
        EVENTS_KEPT,
    )


def archive_files(connection: "Session") -> Report:
    """Move files that were deleted over six months ago into drive_files_archive."""
    return _moved(
        connection,
        "drive_files",
        "file_id",
        "id parent_folder_id name mime_type size created_at deleted_at deleted_by delete_reason",
        "deleted_at < now() - %s::interval",
        FILES_KEPT,
    )


def _moved(connection: "Session", table: str, key: str, others: str, old: str, kept: str) -> Report:
    from psycopg import sql

    def listed(form: str, names: list[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(form).format(sql.Identifier(name)) for name in names)

    keys, rest = key.split(), others.split()
    statement = sql.SQL("""
        WITH moved AS (DELETE FROM {table} WHERE {old} RETURNING *)
        INSERT INTO {archive} AS a ({columns}, raw_data) SELECT {columns}, raw_data FROM moved
        ON CONFLICT ({keys}) DO UPDATE SET {newer}, raw_data = a.raw_data || excluded.raw_data, archived_at = now()
    """).format(
        table=sql.Identifier("pipedesk", table),
        archive=sql.Identifier("pipedesk", f"{table}_archive"),
        old=sql.SQL(old),
        columns=listed("{}", [*keys, *rest]),
        keys=listed("{}", keys),
        newer=listed("{0} = coalesce(excluded.{0}, a.{0})", rest),
    )
    return Report({"rows_archived": connection.execute(statement, [kept]).rowcount})


def renew_channels(connection: "Session") -> Report:
    """Replace push channels of Google that end within a day, and mark those that have ended.

    What cannot be replaced stays, and fails the run: there is a day left until it ends.
    """
    from warehouse_pipelines.serving import push_channels

    made, failed, marked = push_channels.renew(connection)
    return Report(
        {"channels_made": len(made), "rows_marked_ended": marked, "failed": len(failed)},
        broken="; ".join(failed),
    )


TASKS = [
    Task("hourly_renew_push_channels", "40 * * * *", renew_channels),
    Task("weekly_archive_calendar_events", "0 5 * * 0", archive_events),
    Task("weekly_archive_drive_files", "15 5 * * 0", archive_files),
]
