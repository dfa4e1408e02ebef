"""Records that could not be loaded: counted by reason, one beside its schema, given up, or loaded again.

A waiver is the one of `warehouse dead-letters waive`. A replay is `warehouse replay`, in a process of its own that goes
on whatever becomes of this one: it loads rows, which ``serve`` does not, and may take long. One runs at a time.

A list shows neither keys nor payloads. Who opens a record sees personal data, which is logged before it is sent; who
may not see them sees the values masked.
"""

import asyncio
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines.errors import MASK, WrongUse, masked
from warehouse_pipelines.loading import dead_letters
from warehouse_pipelines.loading.rejects import TOO_LARGE
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.crms import LARGEST_ID
from warehouse_pipelines.serving.guard import form, visitor
from warehouse_pipelines.serving.pages import record_check
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.runs import chosen, entities_of, number_of, source_of, source_title
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

routes = guard.router()

PAGE = 50
STATUSES = ("pending", "waived", "resolved", "superseded")
LONGEST_REASON = 1_000
LONGEST_RULE = 200


class Replays:
    """Runs `warehouse replay`, one at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, crm: str, entity: str, *, waived: bool) -> None:
        """Begin to load the dead letters of an entity again. Raises ``Refusal`` while another replay runs."""
        if self._running is not None and self._running.poll() is None:
            raise Refusal(409, "Another replay is running. Try again when it has ended; the runs show it.")
        words = [sys.executable, "-m", "warehouse_pipelines.commands.cli", "replay", crm, entity]
        self._running = subprocess.Popen(
            [*words, *(["--waived"] if waived else [])], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "WAREHOUSE_DATABASE_URL": self._url},
        )  # fmt: skip

    def wait(self) -> None:
        """Wait for the end of the one that runs."""
        if self._running is not None:
            self._running.wait()


def _entity(crm: str, entity: str) -> tuple[str, str]:
    """Return a CRM and an entity that are declared. Raises ``Refusal``."""
    source = source_of(crm)
    if source is None or entity not in [one.name for one in source.entities]:
        raise Refusal(404, "There is no such entity.")
    return crm, entity


@routes.get("/dead-letters")
@needs(Right.DEAD_LETTERS)
async def list_dead_letters(request: Request) -> Response:
    """Count dead letters by entity and reason; of one entity, list them too."""
    given = request.query_params
    crm = chosen(given.get("crm"), (source.name for source in SOURCES))
    entity = chosen(given.get("entity"), entities_of(crm))
    status = chosen(given.get("status", "pending"), (*STATUSES, "all"))
    rule = given.get("rule", "")[:LONGEST_RULE] or None
    wanted = None if status in (None, "all") else status
    before = number_of(given.get("before", str(LARGEST_ID)), "page")
    groups = await asyncio.to_thread(dead_letters.summary, request.app.state.url, crm=crm, entity=entity, status=wanted)
    found: list[dict[str, Any]] = []
    if crm and entity:
        values = {"crm": crm, "entity": entity, "rule": rule, "status": wanted, "before": before, "size": PAGE + 1}
        async with request.app.state.pool.session(visitor(request), reads=True) as session:
            found = await (await session.execute(query("pages_dead_letters"), values)).fetchall()
    given_words = {"crm": crm, "entity": entity, "rule": rule, "status": status}
    words = {name: value for name, value in given_words.items() if value}
    following = urlencode({**words, "before": found[PAGE - 1]["id"]}) if len(found) > PAGE else None
    return render(
        request, "dead_letters.html", groups=groups, found=found[:PAGE], crm=crm, entity=entity, rule=rule,
        wanted=status or "all", statuses=STATUSES, sources=SOURCES, title=source_title(crm) if crm else None,
        following=following and f"/dead-letters?{following}",
        replayed=given.get("replayed") == "yes", waived=given.get("waived", "")[:9],
        shown=lambda text: redacted(masked(text)),
    )  # fmt: skip


@routes.get("/dead-letters/{dead_letter_id}")
@needs(Right.DEAD_LETTERS)
async def show_dead_letter(request: Request, dead_letter_id: str) -> Response:
    """Show a record beside the columns of its table. It is personal, so the view is logged."""
    number, who = number_of(dead_letter_id, "dead letter"), visitor(request)
    found = await asyncio.to_thread(dead_letters.find, request.app.state.url, number)
    if found is None:
        raise Refusal(404, "There is no such dead letter.")
    if who.sees_personal_data:
        await request.app.state.pool.note_clear_view(who, "orchestration.dead_letter", str(number))
    source = source_of(found["crm_source"])
    row = next((one for one in source.entities if one.name == found["sync_type"]), None) if source else None
    whole = found["rule"] != TOO_LARGE
    reason = found["stage"], found["rule"], found["error_message"]
    checks = record_check.check(row, found["payload"], *reason) if row and whole else []
    return render(
        request, "dead_letter.html", found=found, title=source_title(found["crm_source"]), entity=row, whole=whole,
        checks=checks, clear=who.sees_personal_data, mask=MASK, shown=lambda text: redacted(masked(text)),
    )  # fmt: skip


def _reason(request: Request) -> str:
    """Return why dead letters are given up. Raises ``Refusal`` where nobody says."""
    reason = str(form(request).get("reason", "")).strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise Refusal(422, f"Say why, in at most {LONGEST_REASON:,} characters; it is kept with the record.")
    return reason


@routes.post("/dead-letters/{dead_letter_id}/waive")
@needs(Right.DEAD_LETTERS)
async def waive_one(request: Request, dead_letter_id: str) -> Response:
    """Give up one."""
    number = number_of(dead_letter_id, "dead letter")
    if not await _waive(request, ids=[number]):
        raise Refusal(409, "It is not pending any more, or not there.")
    return RedirectResponse(f"/dead-letters/{number}", status_code=303)


@routes.post("/dead-letters/waive")
@needs(Right.DEAD_LETTERS)
async def waive_all(request: Request) -> Response:
    """Give up all pending ones of an entity that have one reason."""
    sent = form(request)
    crm, entity = _entity(str(sent.get("crm", "")), str(sent.get("entity", "")))
    rule = str(sent.get("rule", ""))
    if not rule or len(rule) > LONGEST_RULE:
        raise Refusal(422, "Say of which rule.")
    count = await _waive(request, crm=crm, entity=entity, rule=rule)
    return RedirectResponse(f"/dead-letters?{urlencode({'crm': crm, 'waived': count})}", status_code=303)


async def _waive(request: Request, **chosen: Any) -> int:
    reason, by = _reason(request), visitor(request).name
    try:
        ids = await asyncio.to_thread(dead_letters.waive, request.app.state.url, by=by, reason=reason, **chosen)
    except WrongUse as error:
        raise Refusal(409, str(error)) from error
    return len(ids)


@routes.post("/dead-letters/replay")
@needs(Right.DEAD_LETTERS)
async def replay(request: Request) -> Response:
    """Load the dead letters of an entity again."""
    sent = form(request)
    crm, entity = _entity(str(sent.get("crm", "")), str(sent.get("entity", "")))
    request.app.state.replays.start(crm, entity, waived=sent.get("waived") == "on")
    words = urlencode({"crm": crm, "entity": entity, "replayed": "yes"})
    return RedirectResponse(f"/dead-letters?{words}", status_code=303)
