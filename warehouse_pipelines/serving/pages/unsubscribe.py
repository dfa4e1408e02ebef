"""The page behind the link in a message, by which a person ends what is sent: for everybody who has the link.

    GET  /unsubscribe/<link>   a page with a button; it changes nothing, since programs that check mail follow links
    POST /unsubscribe/<link>   ends it: the button, or a mail program's own one (``List-Unsubscribe-Post``, RFC 8058)

The link says which lead and which channel, and its signature that we wrote it (``sequences.links``). An opt-out is
entries of ``crm.dnc_list``, made by the role that the API writes by, for all leads, numbers and addresses of whoever's
the lead is now (``crm.add_person_to_dnc_list``); the sequences that would reach the person over these channels are
stopped at once. Whoever asks again changes nothing more.

The page tells nothing of the person, and is the same for a lead that is there no more.
"""

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.sequences import links
from warehouse_pipelines.sequences.links import Link
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.database import ACT, CRM_APP
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import everyone

routes = guard.router()

NAMES = {"email": "e-mails", "sms": "text messages", "call": "calls"}


@routes.get("/unsubscribe/{link_id}")
@everyone
async def ask(request: Request, link_id: str) -> Response:
    """Show what the button would do."""
    return _page(request, _link(request, link_id), stopped=())


@routes.post("/unsubscribe/{link_id}")
@everyone
async def unsubscribe(request: Request, link_id: str) -> Response:
    """Put the person on the do-not-call list, and stop its sequences."""
    link = _link(request, link_id)
    everything = guard.form(request).get("what") == "everything"
    channels = [*links.CHANNELS] if everything else [link.channel]
    given = {"organization": link.organization_id, "lead": link.lead_id, "channels": channels}
    async with request.app.state.pool.session() as session, session.transaction():
        await session.execute(ACT, {
            "role": CRM_APP, "organization": str(link.organization_id), "user": "", "address": guard.address(request),
        })  # fmt: skip
        found = await session.execute("SELECT FROM crm.leads WHERE id = %s", [link.lead_id])
        if found.rowcount:
            await session.execute(query("sequence_opt_out"), given)
            await session.execute(query("sequence_stop"), given)
    return _page(request, link, stopped=channels)


def _link(request: Request, given: str) -> Link:
    """Return what a link names. Raises ``Refusal``."""
    found = links.read(given, request.app.state.unsubscribe_keys)
    if found is None:
        raise Refusal(404, "This link is none of ours, or a part of it is missing.")
    return found


def _page(request: Request, link: Link, *, stopped: Sequence[str]) -> Response:
    return render(
        request, "unsubscribe.html", this=NAMES[link.channel], stopped=[NAMES[channel] for channel in stopped],
        business=request.app.state.business,
    )  # fmt: skip
