"""What was entered in the schema ``crm``, and done there, as activities: ``activity_rows`` for its tables.

Decided:

- A lead that a file or a user entered is a ``lead``, as it was entered. Leads of the feed are told by their sources,
  and so are the statuses and owners that it writes: nothing is counted twice.
- Only leads that identity knows are here. Those of an organization that no source feeds are nobody's business there.
- Tags are told as long as crm keeps its audit log. There are no notes in crm.
"""

from collections.abc import Mapping

from warehouse_pipelines.unified.marts.declared import CRM_USERS, Activity

CRM_ACTIVITIES: tuple[Activity, ...] = (
    Activity(
        kind="lead", crm="crm", table="crm.lead_entry", of="crm.entered_leads", key="id", at="created_at",
        when="person_id", outcome="status", user="user_id", user_table=CRM_USERS, source="source", division="division",
    ),
    Activity(
        kind="status_change", crm="crm", table="crm.lead_status_change", of="crm.leads", key="lead_id",
        person="person_id", when="person_id", at="changed_at", outcome="status", user="user_id", user_table=CRM_USERS,
        title="triggered_by",
    ),
    Activity(
        kind="assignment", crm="crm", table="crm.lead_assignment", of="crm.leads", key="lead_id", person="person_id",
        when="person_id user_id", at="assigned_at", outcome="strategy", user="user_id", user_table=CRM_USERS,
    ),
    Activity(
        kind="tags", crm="crm", table="crm.lead_tag_change", of="crm.leads", key="lead_id", person="person_id",
        when="person_id tags", at="changed_at", user="user_id", user_table=CRM_USERS, title="tags",
    ),
    *(
        Activity(
            kind=kind, crm="crm", table="crm.sequence_step", of="crm.leads", key="lead_id", person="person_id",
            when=f"person_id kind={kind}", at="done_at", outcome="outcome", title="sequence",
            direction="" if kind == "task" else "outbound",
        )
        for kind in ("call", "text", "email", "letter", "task")
    ),
)  # fmt: skip

CRM_LOGS: Mapping[str, tuple[str, ...]] = {
    "crm.leads": ("crm.lead_entry",),
    "crm.lead_status_history": ("crm.lead_status_change",),
    "crm.lead_import_row": ("crm.lead_status_change",),
    "crm.lead_assignments": ("crm.lead_assignment",),
    "crm.lead_audit_log": ("crm.lead_tag_change",),
    "crm.lead_sequence_enrollments": ("crm.sequence_step",),
}
"""The tables of crm that are read by views, and those views."""

CRM_NO_ACTIVITIES: Mapping[str, str] = {
    "crm.lead_score_history": "what a rule thinks of a lead, not what happened",
    "crm.dnc_list": "who must not be reached, not what happened; marts.dnc_conflicts has the contacts in spite of it",
    "crm.lead_source_costs": "what was spent, on nobody in particular",
    "crm.budget_transactions": "money of the business itself",
    "crm.segments": "which leads are looked at together",
    "crm.nurture_sequences": "what is to be done, not what was done",
    "crm.message_template": "what is to be said, not what was said",
    "crm.sequence_message": "what was sent is a step that was done, in the log of the enrollment",
    **dict.fromkeys(
        ("crm.lead_import", "crm.lead_feed", "crm.feed_position", "crm.consent_fact"), "how what crm holds came there",
    ),
    **dict.fromkeys(
        ("crm.status_mapping", "crm.status_rank", "crm.source_status", "crm.dnc_reasons", "crm.lead_source_alias",
         "crm.feed_source", "crm.fx_rate", "crm.system_config"), "what words, codes or kinds there are",
    ),
    "crm.organization_member": "who works there",
}  # fmt: skip
