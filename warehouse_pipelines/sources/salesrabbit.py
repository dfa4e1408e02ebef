"""SalesRabbit: the leads of people who knock at doors, those people, and what became of each lead.

A REST API. **Leads** and **users** are asked for by ``dateModified``, the **status history** by the time of each
change. The lower bound is a request header (``If-Modified-Since``, ``If-Status-Modified-Since``), sent with every
page, and there is no upper one; 304 means that nothing is newer.

Pages are numbered, without a total and without a reliable order: an edit or a delete during a walk may move an unread
record to a page that was read. So a list of more than one page is walked again, until a walk shows no record that is
older than the run and was hidden from the walks before. ``meta.morePages`` marks the end of the list.

Deletes are not reported, so once a day everything is read, and an absent row counts as deleted. A lead with
``deletedAt`` counts as deleted at once.

A lead is flat or has its address and coordinates nested; both are read. ``prospect_name``, ``prospect_phone``,
``prospect_email`` and ``prospect_address`` are what the API calls first and last name (or business), ``phonePrimary``,
``email`` and the parts of the address. A change of status has no id: ``id`` is made of lead, status and time, and
``raw_data`` is the item as received with these three (``eventId``, ``leadId``) before it.

Left out: the catalogue of statuses (each change carries the name of its own), knocks (``/leadStatusActivities``, whose
largest page is unknown), and second names for the same value (``phone_primary``, ``date_created`` of a lead). Verified
against the simulator, and the shapes that public clients recorded; no live account has been read yet.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, VendorUnavailable
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Budget, Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.rules import between
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client, NotModified

PER_PAGE = 2_000
WALKS = 5

FILTERS = {
    "leads": "If-Modified-Since",
    "users": "If-Modified-Since",
    "leadStatusHistories": "If-Status-Modified-Since",
}
"""The header that carries the lower bound of each list."""


class Settings(FromEnvironment, env_prefix="SALESRABBIT_"):
    """No limit is published; clients keep to about one request a second."""

    api_token: SecretStr
    base_url: str = "https://api.salesrabbit.com"
    requests_per_minute: int = 50


class Meta(msgspec.Struct, rename="camel"):
    """What is said of a list; ``more_pages`` may be missing."""

    more_pages: bool | None = None


class Answer(msgspec.Struct):
    """What every list answers; that of the status history is an object, by the id of the lead."""

    data: list[msgspec.Raw] | dict[str, list[msgspec.Raw]] | None
    meta: Meta = msgspec.field(default_factory=Meta)


class Mark(msgspec.Struct, rename="camel"):
    """What a record is known by, and when it changed."""

    id: int | str | None = None
    event_id: str | None = None
    date_modified: str | None = None
    status_updated: str | None = None


_mark = msgspec.json.Decoder(Mark).decode


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the records of one entity, each once.

    Raises ``VendorUnavailable`` for a list that changes faster than it can be read.
    """
    reader = SalesRabbitReader(request, context)
    for _ in range(WALKS):
        yield from reader.walk()
        if not reader.hidden:
            return ReadReport(changes_only=reader.unchanged)
    raise VendorUnavailable(
        f"SalesRabbit: /{request.entity.path} changed faster than {WALKS} walks could read it; nothing was loaded."
    )


def client(context: ReadContext) -> Client:
    """Return the client of the token in the settings."""
    settings = context.settings(Settings)
    return Client(
        context,
        title="SalesRabbit",
        base_url=settings.base_url,
        renew=context.setting("SALESRABBIT_API_TOKEN"),
        headers={"Authorization": f"Bearer {settings.api_token.get_secret_value()}"},
        budgets=(Budget("minute", settings.requests_per_minute, 60),),
    )


class SalesRabbitReader:
    """One list, walked as often as it takes.

    ``hidden`` says whether the last walk may have missed something, ``unchanged`` that nothing is newer.
    """

    def __init__(self, request: ReadRequest, context: ReadContext) -> None:
        self.request = request
        self.path = request.entity.path
        self.hidden = self.unchanged = False
        self._by_lead = self.path == LEAD_STATUS_HISTORIES.path
        self._http = client(context)
        self._per_page = min(request.page_size, PER_PAGE)
        since = request.window.since
        self._condition = (
            {FILTERS[self.path]: since.astimezone(UTC).isoformat(timespec="seconds")} if since is not None else {}
        )
        self._seen: set[str] = set()
        self._walks = 0

    def walk(self) -> Iterator[Page]:
        """Yield page by page what no earlier walk has shown.

        Raises ``CursorStuck`` for a page that comes twice, ``AnswerChanged`` for one of another form.
        """
        turned: set[tuple[str | None, ...]] = set()
        self._walks += 1
        number, found = 0, 0
        more = True
        while more:
            number += 1
            records, more = self._page(number)
            marks = [self._marked(record) for record in records]
            keys = tuple(key for key, _ in marks)
            if keys and keys in turned:
                raise CursorStuck(f"SalesRabbit: /{self.path} answered the same page twice; it would never end.")
            turned.add(keys)
            fresh = []
            for record, (key, changed) in zip(records, marks, strict=True):
                # A record without a key is the loader's to set aside, once.
                if key not in self._seen and (key or self._walks == 1):
                    fresh.append(record)
                    found += changed is not None and changed < self.request.window.until
            self._seen.update(key for key in keys if key)
            yield Page(fresh)
        self.hidden = bool(found) if self._walks > 1 else number > 1

    def _page(self, number: int) -> tuple[list[bytes], bool]:
        """Return the records of a page, and whether another follows."""
        params = {"page": str(number), "perPage": str(self._per_page)}
        if self.path == LEADS.path:
            params |= {"sortBy": "dateCreated", "order": "asc"}
        try:
            answer = self._http.get(f"/{self.path}", Answer, params=params, headers=self._condition)
        except NotModified:
            if not self._condition:
                raise
            self.unchanged = not self._seen
            return [], False
        data, more = answer.data, answer.meta.more_pages
        if data is None and (number == 1 or more):
            raise AnswerChanged(f"SalesRabbit: /{self.path} answered null instead of its list; nothing was loaded.")
        if more is None:
            if len(data or ()) >= self._per_page:
                raise AnswerChanged(f"SalesRabbit: /{self.path} does not say whether more follows; nothing was loaded.")
            more = False
        if more and not data:
            raise CursorStuck(f"SalesRabbit: /{self.path} shows nothing and promises more; it would never end.")
        if data and isinstance(data, dict) != self._by_lead:
            raise AnswerChanged(f"SalesRabbit: /{self.path} answered a {type(data).__name__}; nothing was loaded.")
        if isinstance(data, dict):
            return [_event(lead, item) for lead, items in data.items() for item in items], more
        return [bytes(record) for record in data or ()], more

    def _marked(self, record: bytes) -> tuple[str | None, datetime | None]:
        """Return the key of a record and when it changed; None for what cannot be read."""
        try:
            mark = _mark(record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, None
        key = mark.event_id if self._by_lead else mark.id
        return None if key is None else str(key), _moment(mark.status_updated if self._by_lead else mark.date_modified)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _event(lead: str, item: msgspec.Raw) -> bytes:
    """Return a change of status with the lead it belongs to and the id that it lacks."""
    try:
        mark = _mark(item)
        members = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return bytes(item)
    own = {"leadId": lead}
    if mark.id is not None and mark.status_updated:
        own["eventId"] = f"{lead}/{mark.id}/{mark.status_updated}"
    return msgspec.json.encode({**own, **members})


_PARTS = ("street1", "street2", "city", "state", "zip")
ADDRESS = "|".join("+".join(f"{where}{part}" for part in _PARTS) for where in ("", "address."))

LEADS = Entity(
    name="leads",
    table="salesrabbit_lead",
    about="Doors that were knocked at: who lives there, where, and how it stands.",
    path="leads",
    key="id",
    cursor="last_modified",
    cadence=Cadence(
        every=timedelta(minutes=15),
        overlap=timedelta(minutes=5),
        full_every=timedelta(days=1),
        backfill_since=date(2024, 1, 1),
    ),
    deletes=Deletes(time="deletedAt"),
    index="prospect_phone_e164 prospect_email user_id",
    refs={"user_id": "salesrabbit_user"},
    rules=(between("latitude", -90, 90), between("longitude", -180, 180)),
    columns=columns(
        integer="id user_id=userId campaign_id=campaignId",
        text=f"""
            lead_hash=leadHash disposition_id=dispositionId|status status
            prospect_name=firstName+lastName|businessName
            first_name=firstName last_name=lastName business_name=businessName
            prospect_address={ADDRESS}
            street1=street1|address.street1 street2=street2|address.street2 city=city|address.city
            state=state|address.state zip=zip|address.zip country=country|address.country
            created_by=createdBy|userName user_name=userName appointment_type=appointmentType notes
        """,
        email="prospect_email=email",
        phone="prospect_phone=phonePrimary phone_alternate=phoneAlternate",
        numeric="latitude=latitude|coordinates.latitude longitude=longitude|coordinates.longitude",
        date="date_of_birth=dateOfBirth",
        timestamptz="""
            created_at=dateCreated last_modified=dateModified status_modified=statusModified
            owner_modified=ownerModified
        """,
        jsonb="appointment custom_fields=customFields integration_data=integrationData files",
    ),
)

USERS = Entity(
    name="users",
    table="salesrabbit_user",
    about="The crew: who knocks, in which team and office.",
    path="users",
    key="id",
    cursor="date_modified",
    cadence=Cadence(overlap=timedelta(minutes=5), full_every=timedelta(days=1), backfill_since=date(2024, 1, 1)),
    index="email",
    columns=columns(
        integer="""
            id org_id=orgId supervisor_id=supervisorId recruiter_id=recruiterId cms_id=cmsId
            lead_rep_cms_id=leadRepCmsId
        """,
        text="""
            first_name=firstName last_name=lastName team_id=teamId|team team role office region department
            business_unit=businessUnit
        """,
        email="email",
        phone="phone",
        url="photo_url=photo_url|photoUrl",
        boolean="active",
        date="hire_date=hireDate",
        timestamptz="date_created=dateCreated date_modified=dateModified",
        jsonb="external_ids=externalIds",
    ),
)

LEAD_STATUS_HISTORIES = Entity(
    name="lead_status_histories",
    table="salesrabbit_lead_status_history",
    about="Each change of a lead's status, and who made it.",
    path="leadStatusHistories",
    key="id",
    cursor="status_updated",
    cadence=Cadence(overlap=timedelta(minutes=5), full_every=timedelta(days=1), backfill_since=date(2024, 1, 1)),
    index="lead_id",
    refs={"lead_id": "salesrabbit_lead", "changed_by_user_id": "salesrabbit_user"},
    columns=columns(
        id="id=eventId",
        integer="lead_id=leadId status_id=id changed_by_user_id=changedByUserId",
        text="status=name abbreviation",
        boolean="active",
        timestamptz="status_updated=statusUpdated lead_created=leadCreated lead_modified=leadModified",
    ),
)


def check(context: ReadContext | None = None) -> str:
    """Ask for one lead."""
    client(context or ReadContext()).get(f"/{LEADS.path}", Answer, params={"page": "1", "perPage": "1"})
    return "SalesRabbit answers: the token can read leads"


SALESRABBIT = Source(
    name="salesrabbit",
    title="SalesRabbit",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    page_size=PER_PAGE,
    entities=(LEADS, USERS, LEAD_STATUS_HISTORIES),
)
