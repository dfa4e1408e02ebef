"""The tables of PipeDesk, a row each. ``fetch`` says how they are read.

``deleted_at`` is the vendor's: a company or a deal was deleted, a lead was deleted **or qualified**. Links, tags and
the rest vanish without a trace (``delete_reason`` is then ``missing``).

**Folders of Google Drive** carry their owner in properties that only PipeDesk's own program can see. Its table of them
is mirrored as ``drive_folder_links``, beside ``pipedesk.google_drive_folders``, which Drive itself fills; the view
``pipedesk.google_drive_folders_v`` joins the two.

Left out: ``entity_tags``, ``lead_members`` and other tables that nobody asked for.

Unconfirmed, and how a wrong guess would show:

- That the tables are in ``public`` and named as here, except ``users``, which may be ``profiles``: ``check`` and the
  run name a table that is not there.
- That ids are UUIDs, native or as text: any other is a dead letter.
- ``cnpj``, ``company_id`` of a contact, ``deleted_at`` of companies and deals, and ``updated_at`` of companies,
  contacts and deals, which only the product's migrations have: an absent column is null, and in ``absent_columns``.
"""

from datetime import timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import DAY, Entity, columns
from warehouse_pipelines.model.rules import one_of

QUARTER = timedelta(minutes=15)

COMPANIES = Entity(
    name="companies",
    table="pipedesk.companies",
    about="Companies, which leads become when they qualify.",
    path="companies",
    key="id",
    state_based=True,
    deletes=Deletes(time="deleted_at"),
    index="deleted_at",
    columns=columns(uuid="id", text="name cnpj", timestamptz="updated_at"),
)

USERS = Entity(
    name="users",
    table="pipedesk.users",
    about="Who uses PipeDesk.",
    path="users|profiles",
    key="id",
    state_based=True,
    columns=columns(uuid="id", text="name", email="email"),
)

CONTACTS = Entity(
    name="contacts",
    table="pipedesk.contacts",
    about="People at leads and companies.",
    path="contacts",
    key="id",
    state_based=True,
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
    state_based=True,
    cadence=Cadence(every=QUARTER),
    index="contact_id",
    refs={"lead_id": "pipedesk.leads", "contact_id": "pipedesk.contacts"},
    columns=columns(uuid="lead_id contact_id", boolean="is_primary", timestamptz="added_at"),
)

LEADS = Entity(
    name="leads",
    table="pipedesk.leads",
    about="Sales leads. One with a deleted_at was deleted, or qualified if qualified_at says so.",
    path="leads",
    key="id",
    state_based=True,
    cadence=Cadence(every=QUARTER),
    deletes=Deletes(time="deleted_at"),
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
    state_based=True,
    deletes=Deletes(time="deleted_at"),
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
    state_based=True,
    columns=columns(uuid="id", text="name color"),
)

LEAD_TAGS = Entity(
    name="lead_tags",
    table="pipedesk.lead_tags",
    about="Which tags a lead has.",
    path="lead_tags",
    key="lead_id tag_id",
    state_based=True,
    cadence=Cadence(every=QUARTER),
    index="tag_id",
    refs={"lead_id": "pipedesk.leads", "tag_id": "pipedesk.tags"},
    columns=columns(uuid="lead_id tag_id"),
)

LEAD_STATUSES = Entity(
    name="lead_statuses",
    table="pipedesk.lead_statuses",
    about="What a lead's status may be.",
    path="lead_statuses",
    key="id",
    state_based=True,
    cadence=Cadence(every=DAY),
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
    state_based=True,
    cadence=Cadence(every=DAY),
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
    state_based=True,
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
    state_based=True,
    cadence=Cadence(every=DAY),
    index="user_id",
    refs={"user_id": "pipedesk.users"},
    rules=(one_of("role", "admin", "manager", "sales"),),
    columns=columns(integer="id", uuid="user_id", text="role"),
)

DRIVE_FOLDER_LINKS = Entity(
    name="drive_folder_links",
    table="pipedesk.drive_folder_links",
    about="Whose each folder of Google Drive is: a lead's, a company's, a deal's or a contact's.",
    path="google_drive_folders",
    key="id",
    state_based=True,
    deletes=Deletes(time="deleted_at"),
    index="folder_id entity_id",
    refs={"folder_id": "pipedesk.google_drive_folders"},
    columns=columns(
        integer="id", text="entity_id entity_type folder_id deleted_by", url="folder_url", timestamptz="created_at"
    ),
)
