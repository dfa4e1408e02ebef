"""Ids of another system become numbers where that system has numbers, so that the two can be joined.

What can be read as a whole number is kept, the rest becomes null, as the loader makes it; the text remains in
``raw_data``. Each table is rewritten once. The rows are read anew all the same, since their declaration has changed:
the recent ones by the next run, the others by the next full read, which comes within a day or a week
(``docs/entities.md``). A UUID in a column of ids is put into lower case, as it is read from now on, in keys and in
those of the dead letters too, or each such row would be read as another one. Of rows whose keys differ in nothing but
case the one that was written last stays; undoing the revision brings neither the capitals nor the others back. No view
of ``sql/views`` shows the columns that change their type; PostgreSQL names a view of your own that does.

On an empty database there is nothing to change: the tables are made as they are declared, after the migrations.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_join_keys"
down_revision = "0006_dead_letters"

UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

NUMBERS = {
    "genius_lead": "agent_id",
    "hubspot_appointment": "genius_appointment_id prospect_id user_id division_id",
    "hubspot_contact": "lead_salesrabbit_lead_id sales_rabbit_lead_id",
    "hubspot_geniususer": "user_id division_id title_id",
    "leadconduit_lead": "salesrabbit_lead_id_hge",
}


IDS = {
    "hubspot contacts hubspot_contact": "id hs_object_id marketsharp_id prospect_marketsharp_id",
    "hubspot deals hubspot_deal": "id hs_object_id",
    "hubspot companies hubspot_company": "id hs_object_id",
    "hubspot line_items hubspot_line_item": "id hs_object_id",
    "hubspot appointments hubspot_appointment": "id hs_object_id",
    "hubspot geniususers hubspot_geniususer": "id hs_object_id",
    "hubspot divisions hubspot_division": "id hs_object_id",
    "hubspot zipcodes hubspot_zipcode": "id hs_object_id",
    "hubspot contact_to_deal_associations hubspot_contact_to_deal_association": "contact_id deal_id",
    "hubspot contact_to_company_associations hubspot_contact_to_company_association": "contact_id company_id",
    "hubspot contact_to_division_associations hubspot_contact_to_division_association": "contact_id division_id",
    "hubspot deal_to_line_item_associations hubspot_deal_to_line_item_association": "deal_id line_item_id",
    "hubspot deal_to_company_associations hubspot_deal_to_company_association": "deal_id company_id",
    "hubspot appointment_to_contact_associations hubspot_appointment_to_contact_association": (
        "appointment_id contact_id"
    ),
    "hubspot appointment_to_deal_associations hubspot_appointment_to_deal_association": "appointment_id deal_id",
    "callrail accounts callrail_account": "id numeric_id",
    "callrail companies callrail_company": "id",
    "callrail users callrail_user": "id",
    "callrail trackers callrail_tracker": "id company_id",
    "callrail tags callrail_tag": "id company_id",
    "callrail calls callrail_call": "id company_id tracker_id person_id session_uuid",
    "callrail text_messages callrail_text_message": "id company_id initial_tracker_id current_tracker_id",
    "callrail form_submissions callrail_form_submission": "id company_id person_id",
    "salesrabbit lead_status_histories salesrabbit_lead_status_history": "id",
    "arrivy groups arrivy_group": "id owner image_id created_by",
    "arrivy entities arrivy_entity": (
        "id owner group_id template_id image_id external_id created_by updated_by okta_user_id"
    ),
    "arrivy statuses arrivy_status": "id type_id",
    "arrivy bookings arrivy_booking": (
        "id owner group_id customer_id template_id external_id created_by updated_by route_id "
        "internal_route_id status_id"
    ),
    "arrivy tasks arrivy_task": (
        "id owner group_id customer_id template_id external_id created_by updated_by route_id "
        "internal_route_id booking_id series_id"
    ),
    "arrivy templates arrivy_template": "id",
    "five9 contacts five9_contact": "id",
    "marketsharp data marketsharp_data": "id lead_id",
    "marketsharp contact marketsharp_contact": "id contact_phone_id primary_address_id",
    "marketsharp lead marketsharp_lead": "id contact_phone_id primary_address_id",
    "marketsharp prospect marketsharp_prospect": "id contact_phone_id primary_address_id",
    "marketsharp customer marketsharp_customer": "id contact_phone_id primary_address_id",
    "marketsharp contact_phone marketsharp_contact_phone": "contact_id",
    "marketsharp contact_type marketsharp_contact_type": "id contact_id",
    "marketsharp custom_field marketsharp_custom_field": "id contact_id",
    "marketsharp address marketsharp_address": "id contact_id",
    "marketsharp inquiry marketsharp_inquiry": (
        "id contact_id inquiry_source_primary_id inquiry_source_secondary_id promoter_id canvasser_id "
        "telemarketer_id set_by_id"
    ),
    "marketsharp inquiry_source_primary marketsharp_inquiry_source_primary": "id",
    "marketsharp inquiry_source_secondary marketsharp_inquiry_source_secondary": "id inquiry_source_primary_id",
    "marketsharp appointment marketsharp_appointment": (
        "id inquiry_id salesperson1_id salesperson2_id set_by_id result_id"
    ),
    "marketsharp appointment_result marketsharp_appointment_result": "id",
    "marketsharp activity marketsharp_activity": (
        "id contact_id appointment_id inquiry_id assign_to_employee_id scheduled_by_employee_id"
    ),
    "marketsharp job marketsharp_job": "id contact_id inquiry_id appointment_id",
    "marketsharp product_interest marketsharp_product_interest": "id inquiry_id product_type_id product_detail_id",
    "marketsharp product_type marketsharp_product_type": "id",
    "marketsharp product_detail marketsharp_product_detail": "id product_type_id",
    "marketsharp employee marketsharp_employee": "id",
    "leadconduit leads leadconduit_lead": "lead_id id",
    "leadconduit events leadconduit_event": "id lead_id account_id flow_id source_id",
    "genius prospects genius_prospect": "hubspot_contact_id marketsharp_id",
    "genius appointments genius_appointment": "hubspot_appointment_id marketsharp_id",
    "salespro credit_applications salespro_credit_application": (
        "id leap_credit_app_id customer_id estimate_id company_id sales_rep_id credit_app_vendor_id"
    ),
    "salespro customers salespro_customer": "customer_id estimate_id company_id crm_source_id",
    "salespro estimates salespro_estimate": "estimate_id company_id office_id sales_rep_id customer_id",
    "salespro lead_results salespro_lead_result": "id estimate_id lead_id company_id",
    "salespro lead_result_line_items salespro_lead_result_line_item": "estimate_id company_id",
    "salespro offices salespro_office": "office_id company_id last_edit_user",
    "salespro users salespro_user": "user_object_id company_id selected_office identifier",
    "gcalendar events pipedesk.calendar_events": "calendar_id google_event_id recurring_event_id ical_uid",
    "gdrive files pipedesk.drive_files": "file_id parent_folder_id drive_id shortcut_target_id",
    "gdrive folders pipedesk.google_drive_folders": "folder_id parent_folder_id drive_id",
}
"""The columns of ids by CRM, entity and table, as they were declared when this was written."""


def upgrade() -> None:
    """Make numbers of texts."""
    _alter("text", "bigint", r"CASE WHEN {0} ~ '^\s*[+-]?\d{{1,18}}(\.0*)?\s*$' THEN trim({0})::numeric::bigint END")
    _lower_uuids()


def downgrade() -> None:
    """Make texts of numbers; what was null because it could not be read comes back when it is read anew."""
    _alter("bigint", "text", "{0}::text")


def _lower_uuids() -> None:
    run = op.get_bind().exec_driver_sql
    there = sa.inspect(op.get_bind())
    for row, names in IDS.items():
        name = row.split()[2]
        schema, table = name.split(".") if "." in name else ("public", name)
        if not there.has_table(table, schema):
            continue
        texts = {one["name"] for one in there.get_columns(table, schema) if str(one["type"]) == "TEXT"}
        ids = [name for name in names.split() if name in texts]
        keys = there.get_pk_constraint(table, schema)["constrained_columns"]
        upper = {name: f"(octet_length({name}) = 36 AND {name} ~ '[A-F]' AND {name} ~* '{UUID}')" for name in ids}
        lower = {name: f"CASE WHEN {name} ~* '{UUID}' THEN lower({name}) ELSE {name} END" for name in ids}
        if some := " OR ".join(upper[name] for name in keys if name in upper):
            same = ", ".join(lower.get(name, name) for name in keys)
            run(f"""
                DELETE FROM {schema}.{table} WHERE EXISTS (SELECT FROM {schema}.{table} WHERE {some}) AND ctid IN (
                    SELECT ctid FROM (
                        SELECT ctid, row_number() OVER (PARTITION BY {same} ORDER BY sync_updated_at DESC, ctid DESC)
                        FROM {schema}.{table}) AS numbered
                    WHERE row_number > 1)
            """)  # noqa: S608
        if ids:
            run(
                f"UPDATE {schema}.{table} SET {', '.join(f'{name} = {lower[name]}' for name in ids)}"  # noqa: S608
                f" WHERE {' OR '.join(upper.values())}"
            )
    entities = ", ".join(f"('{crm}', '{entity}')" for crm, entity, _ in map(str.split, IDS))
    run(f"""
        UPDATE orchestration.dead_letter SET record_key = (
            SELECT string_agg(CASE WHEN part ~* '{UUID}' THEN lower(part) ELSE part END, ' ' ORDER BY place)
            FROM unnest(string_to_array(record_key, ' ')) WITH ORDINALITY AS parts (part, place))
        WHERE (crm_source, sync_type) IN ({entities}) AND record_key ~ '[A-F]' AND record_key ~* '[0-9a-f]{{4}}-'
    """)  # noqa: S608


def _alter(before: str, after: str, using: str) -> None:
    there = sa.inspect(op.get_bind())
    for table, names in NUMBERS.items():
        if not there.has_table(table):
            continue
        types = {column["name"]: str(column["type"]).lower() for column in there.get_columns(table)}
        changes = [
            f"ALTER COLUMN {name} TYPE {after} USING {using.format(name)}"
            for name in names.split()
            if types.get(name) == before
        ]
        if changes:
            op.get_bind().exec_driver_sql(f"ALTER TABLE {table} {', '.join(changes)}".replace("%", "%%"))
