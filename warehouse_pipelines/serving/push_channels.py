"""Register, renew, stop and list Google's push channels; a row of ``pipedesk`` for each.

The row, with the hash of the token, is written before Google is asked, because the first message may come before the
answer. A channel that ends within a day is replaced: the new one is there before the old one is stopped, so there is no
gap. A row whose channel has ended is not ``active`` any more. The token itself is in memory only.
"""

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql
from pydantic import ValidationError

from warehouse_pipelines.errors import WarehouseError, WrongUse
from warehouse_pipelines.serving.public_address import public_address
from warehouse_pipelines.serving.signatures import token_digest
from warehouse_pipelines.sources import _google_push as google

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

RENEWED_BEFORE = timedelta(hours=25)
"""A channel that ends sooner is replaced; an hourly renewal leaves none with less than a day."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One of Google's services: its table, and how a channel of it is made.

    ``watched`` returns what is to be watched, each by a channel of its own.
    """

    crm: str
    name: str
    table: str
    ends: str
    what: str
    watched: Callable[[], list[str]]
    watch: Callable[..., google.Channel]


SERVICES = {
    one.crm: one
    for one in (
        Service(
            crm="gcalendar", name="calendar", table="calendar_sync_states", ends="expiration", what="calendar_id",
            watched=google.calendars, watch=google.watch_calendar,
        ),
        Service(
            crm="gdrive", name="drive", table="drive_webhook_channels", ends="expires_at", what="watched_resource_id",
            watched=google.drives, watch=google.watch_drive,
        ),
    )
}  # fmt: skip


class Row(NamedTuple):
    """A channel as its table has it; ``kept`` unless somebody stopped it before its end."""

    channel_id: str
    what: str
    resource_id: str | None
    ends_at: datetime | None
    active: bool
    lasts: bool
    kept: bool


def service_of(crm: str) -> Service:
    """Return the service of a CRM. Raises ``WrongUse`` for one whose subscriptions are made at the vendor."""
    if crm not in SERVICES:
        raise WrongUse(
            f"{crm} has no subscriptions that can be made from here (hubspot, {', '.join(SERVICES)} have); "
            "docs/webhooks.md says what to set up at the vendor"
        )
    return SERVICES[crm]


def rows(session: "Session", service: Service) -> list[Row]:
    """Return all channels of a service, the newest first."""
    found = session.execute(
        sql.SQL("""
            SELECT channel_id, coalesce({what}, '') AS what, resource_id, {ends} AS ends_at,
                active AND ({ends} IS NULL OR {ends} > now()) AS active,
                coalesce({ends} > now() + %s, true) AS lasts, active OR coalesce(updated_at >= {ends}, false) AS kept
            FROM pipedesk.{table} WHERE channel_id IS NOT NULL ORDER BY id DESC
        """).format(**_names(service)),
        [RENEWED_BEFORE],
    ).fetchall()
    return [Row(**row) for row in found]


def register(session: "Session", crm: str) -> tuple[list[str], list[str]]:
    """Make a channel for whatever has none that lasts, and stop what it replaces.

    Returns a line for each that was made, and one for each that Google refused or that could not be asked for.

    Raises ``NotConfigured`` without an address that Google may call, and as the client of Google does where it cannot
    say what is watched.
    """
    service, address = service_of(crm), public_address("google")
    made: list[str] = []
    failed: list[str] = []
    for what in service.watched():
        former = [row for row in rows(session, service) if row.what == what and row.active]
        if any(row.lasts and row.resource_id for row in former):
            continue
        try:
            channel = _make(session, service, what, address)
            _stop(session, service, former)
        except WarehouseError as error:
            failed.append(f"{crm} {what or 'changes'}: {type(error).__name__}: {error}")
        else:
            made.append(f"{crm} {what or 'changes'}: a channel until {channel.expires_at:%Y-%m-%d %H:%M} UTC")
    return made, failed


def renew(session: "Session") -> tuple[list[str], list[str], int]:
    """Replace what ends soon of the services that have channels, or whose last ones ended by themselves, and mark what
    has ended.

    Returns what was made, what failed, and how many rows were marked.
    """
    made: list[str] = []
    failed: list[str] = []
    marked = 0
    for service in SERVICES.values():
        if any(row.kept for row in _newest(rows(session, service))):
            try:
                lines, refused = register(session, service.crm)
                made += lines
                failed += refused
            except WarehouseError as error:
                failed.append(f"{service.crm}: {type(error).__name__}: {error}")
            except ValidationError:
                failed.append(f"{service.crm}: its settings are missing; `warehouse check {service.crm}` names them")
        marked += session.execute(
            sql.SQL(
                "UPDATE pipedesk.{table} SET active = false, updated_at = now()"
                " WHERE active AND channel_id IS NOT NULL AND {ends} <= now()"
            ).format(**_names(service))
        ).rowcount
    return made, failed, marked


def _newest(found: Sequence[Row]) -> list[Row]:
    """Return the newest channel that Google made of each thing that is watched."""
    made = [row for row in reversed(found) if row.resource_id]
    return [*{row.what: row for row in made}.values()]


def remove(session: "Session", crm: str) -> int:
    """Stop every channel of a CRM; returns how many there were. Those that ended by themselves are forgotten, or they
    would be replaced.
    """
    service = service_of(crm)
    active = [row for row in rows(session, service) if row.active]
    _stop(session, service, active)
    session.execute(
        sql.SQL("DELETE FROM pipedesk.{table} WHERE channel_id IS NOT NULL AND updated_at >= {ends}").format(
            **_names(service)
        )
    )
    return len(active)


def _make(session: "Session", service: Service, what: str, address: str) -> google.Channel:
    channel_id, token = str(uuid.uuid4()), secrets.token_urlsafe(32)
    values: dict[str, Any] = {"channel_id": channel_id, service.what: what or None, "token_sha256": token_digest(token)}
    if service.name == "drive":
        values["resource_type"] = "changes"
    session.execute(
        sql.SQL("INSERT INTO pipedesk.{table} ({columns}) VALUES ({values})").format(
            table=sql.Identifier(service.table),
            columns=sql.SQL(", ").join(map(sql.Identifier, values)),
            values=sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        ),
        list(values.values()),
    )
    try:
        made = service.watch(what, channel_id=channel_id, token=token, address=address)
    except BaseException:
        session.execute(
            sql.SQL("DELETE FROM pipedesk.{table} WHERE channel_id = %s").format(**_names(service)), [channel_id]
        )
        raise
    session.execute(
        sql.SQL(
            "UPDATE pipedesk.{table} SET resource_id = %s, {ends} = %s, updated_at = now() WHERE channel_id = %s"
        ).format(**_names(service)),
        [made.resource_id, made.expires_at, channel_id],
    )
    return made


def _stop(session: "Session", service: Service, channels: Sequence[Row]) -> None:
    for row in channels:
        if row.resource_id:
            google.stop(service.name, row.channel_id, row.resource_id)
        _mark(session, service, [row.channel_id])


def _mark(session: "Session", service: Service, channel_ids: Sequence[str]) -> None:
    session.execute(
        sql.SQL("UPDATE pipedesk.{} SET active = false, updated_at = now() WHERE channel_id = ANY(%s)").format(
            sql.Identifier(service.table)
        ),
        [list(channel_ids)],
    )


def _names(service: Service) -> dict[str, sql.Identifier]:
    return {name: sql.Identifier(getattr(service, name)) for name in ("table", "ends", "what")}
