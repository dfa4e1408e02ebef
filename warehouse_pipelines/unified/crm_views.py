"""Views of the schema ``crm`` that are read like tables of a source: what people and sequences did with leads there.

The migrations make them (``0025_crm_activities.sql``). What the feed wrote into crm is left out of them, because the
source that it comes from tells of it. ``archived`` and ``sync_updated_at`` are in the places that a source's table has
them; a row changes with its lead too, which ``lead_updated_at`` says.
"""

from warehouse_pipelines.model.entity import Entity, columns

LEADS = "crm.lead_person"
"""The view of whose each lead is; it changed when any lead did."""

CRM_VIEWS = (
    Entity(
        name="lead_person",
        table=LEADS,
        about="Whose each lead is.",
        path="",
        key="id",
        columns=columns(uuid="id organization_id person_id"),
    ),
    Entity(
        name="lead_entry",
        table="crm.lead_entry",
        about="That a file or a user entered a lead, as it was entered.",
        path="",
        key="id",
        columns=columns(
            uuid="id organization_id person_id user_id", text="source division status", timestamptz="created_at"
        ),
    ),
    Entity(
        name="lead_status_change",
        table="crm.lead_status_change",
        about="Changes of status by users, sequences, programs and files.",
        path="",
        key="id",
        columns=columns(
            uuid="organization_id lead_id person_id user_id",
            text="id status triggered_by",
            timestamptz="changed_at lead_updated_at",
        ),
    ),
    Entity(
        name="lead_assignment",
        table="crm.lead_assignment",
        about="Whom a lead was given to by a user or a rule.",
        path="",
        key="id",
        columns=columns(
            uuid="id organization_id lead_id person_id user_id",
            text="strategy",
            timestamptz="assigned_at lead_updated_at",
        ),
    ),
    Entity(
        name="lead_tag_change",
        table="crm.lead_tag_change",
        about="Tags that users added or took away.",
        path="",
        key="id",
        columns=columns(
            uuid="id organization_id lead_id person_id user_id",
            text="tags",
            timestamptz="changed_at lead_updated_at",
        ),
    ),
    Entity(
        name="sequence_step",
        table="crm.sequence_step",
        about="Steps of sequences that were done.",
        path="",
        key="id",
        columns=columns(
            uuid="organization_id lead_id person_id",
            text="id kind outcome sequence",
            timestamptz="done_at lead_updated_at",
        ),
    ),
)
