"""PipeDesk: leads, their contacts, tags and statuses, out of the CRM's own PostgreSQL at Supabase."""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import SecretStr

from warehouse_pipelines.entity import DAY, Entity, Extraction, Page, Source, columns
from warehouse_pipelines.rules import one_of
from warehouse_pipelines.settings import FromEnvironment

PAGE = 5_000
QUARTER = timedelta(minutes=15)


class Settings(FromEnvironment, env_prefix="PIPEDESK_"):
    """A SQLAlchemy URL."""

    database_url: SecretStr


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the rows of one table."""
    raise NotImplementedError


COMPANIES = Entity(
    name="companies",
    table="pipedesk.companies",
    about="Companies, which leads become when they qualify.",
    path="companies",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="deleted_at",
    columns=columns(uuid="id", text="name cnpj", timestamptz="updated_at"),
)

USERS = Entity(
    name="users",
    table="pipedesk.users",
    about="Who uses PipeDesk.",
    path="users|profiles",
    key="id",
    by_state=True,
    columns=columns(uuid="id", text="name", email="email"),
)

CONTACTS = Entity(
    name="contacts",
    table="pipedesk.contacts",
    about="People at leads and companies.",
    path="contacts",
    key="id",
    by_state=True,
    index="company_id email phone_e164",
    refs={"company_id": "pipedesk.companies"},
    columns=columns(uuid="id company_id", text="name role", email="email", phone="phone", timestamptz="updated_at"),
)

LEAD_CONTACTS = Entity(
    name="lead_contacts",
    table="pipedesk.lead_contacts",
    about="Which contacts a lead has, and which of them is the primary one.",
    path="lead_contacts",
    key="lead_id contact_id",
    by_state=True,
    index="contact_id",
    refs={"lead_id": "pipedesk.leads", "contact_id": "pipedesk.contacts"},
    every=QUARTER,
    columns=columns(uuid="lead_id contact_id", boolean="is_primary", timestamptz="added_at"),
)

LEADS = Entity(
    name="leads",
    table="pipedesk.leads",
    about="Sales leads. One with a deleted_at was deleted, or qualified if qualified_at says so.",
    path="leads",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="""
        lead_status_id lead_origin_id owner_user_id qualified_company_id qualified_master_deal_id last_interaction_at
        priority_score disqualified_at qualified_at deleted_at updated_at
    """,
    refs={
        "lead_status_id": "pipedesk.lead_statuses",
        "lead_origin_id": "pipedesk.lead_origins",
        "owner_user_id": "pipedesk.users",
        "qualified_company_id": "pipedesk.companies",
        "qualified_master_deal_id": "pipedesk.master_deals",
    },
    every=QUARTER,
    columns=columns(
        uuid="id lead_status_id lead_origin_id owner_user_id qualified_company_id qualified_master_deal_id",
        text="legal_name trade_name address_city address_state disqualification_reason",
        integer="priority_score",
        timestamptz="last_interaction_at disqualified_at qualified_at created_at updated_at",
    ),
)

MASTER_DEALS = Entity(
    name="master_deals",
    table="pipedesk.master_deals",
    about="Opportunities.",
    path="master_deals",
    key="id",
    by_state=True,
    archived_at="deleted_at",
    index="company_id deleted_at",
    refs={"company_id": "pipedesk.companies"},
    columns=columns(uuid="id company_id", text="client_name", timestamptz="updated_at"),
)

TAGS = Entity(
    name="tags",
    table="pipedesk.tags",
    about="Tags that a lead may have.",
    path="tags",
    key="id",
    by_state=True,
    columns=columns(uuid="id", text="name color"),
)

LEAD_TAGS = Entity(
    name="lead_tags",
    table="pipedesk.lead_tags",
    about="Which tags a lead has.",
    path="lead_tags",
    key="lead_id tag_id",
    by_state=True,
    index="tag_id",
    refs={"lead_id": "pipedesk.leads", "tag_id": "pipedesk.tags"},
    every=QUARTER,
    columns=columns(uuid="lead_id tag_id"),
)

LEAD_STATUSES = Entity(
    name="lead_statuses",
    table="pipedesk.lead_statuses",
    about="What a lead's status may be.",
    path="lead_statuses",
    key="id",
    by_state=True,
    every=DAY,
    columns=columns(
        uuid="id", text="code label description", boolean="is_active", integer="sort_order", timestamptz="created_at"
    ),
)

LEAD_ORIGINS = Entity(
    name="lead_origins",
    table="pipedesk.lead_origins",
    about="Where a lead may have come from.",
    path="lead_origins",
    key="id",
    by_state=True,
    every=DAY,
    columns=columns(
        uuid="id", text="code label description", boolean="is_active", integer="sort_order", timestamptz="created_at"
    ),
)

LEAD_ACTIVITY_STATS = Entity(
    name="lead_activity_stats",
    table="pipedesk.lead_activity_stats",
    about="How much was said and written with a lead, one row for each.",
    path="lead_activity_stats",
    key="lead_id",
    by_state=True,
    index="last_interaction_at updated_at",
    refs={"lead_id": "pipedesk.leads"},
    columns=columns(
        uuid="lead_id",
        integer="engagement_score total_emails total_events total_interactions",
        timestamptz="last_interaction_at last_email_at last_event_at created_at updated_at",
    ),
)

USER_ROLES = Entity(
    name="user_roles",
    table="pipedesk.user_roles",
    about="What a user may do.",
    path="user_roles",
    key="id",
    by_state=True,
    index="user_id",
    refs={"user_id": "pipedesk.users"},
    rules=(one_of("role", "admin", "manager", "sales"),),
    every=DAY,
    columns=columns(integer="id", uuid="user_id", text="role"),
)


def check() -> str:
    """Ask for nothing yet."""
    raise NotImplementedError


PIPEDESK = Source(
    name="pipedesk",
    title="PipeDesk",
    transport="database",
    settings=Settings,
    fetch=fetch,
    check=check,
    page_size=PAGE,
    mirrored=True,
    entities=(
        COMPANIES,
        USERS,
        CONTACTS,
        LEAD_STATUSES,
        LEAD_ORIGINS,
        MASTER_DEALS,
        TAGS,
        LEADS,
        LEAD_CONTACTS,
        LEAD_TAGS,
        LEAD_ACTIVITY_STATS,
        USER_ROLES,
    ),
)
