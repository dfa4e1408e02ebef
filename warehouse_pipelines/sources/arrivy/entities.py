"""The lists of Arrivy, a row each. ``fetch`` says how they are read.

Unconfirmed: ``customer_name`` and ``customer_address`` of a booking may stay null; ``customer_first_name`` and its like
are there.
"""

from datetime import date, timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import Entity, columns

BOTH_ID = "id owner group_id customer_id template_id external_id created_by updated_by route_id internal_route_id"

BOTH_TEXT = """
    url_safe_id title details status template template_type created_by_user updated_by_user
    start_datetime_original_iso_str start_datetime_timezone end_datetime_original_iso_str end_datetime_timezone
    customer_first_name customer_last_name customer_company_name customer_notes customer_timezone
    customer_address_line_1 customer_address_line_2 customer_city customer_state customer_zipcode customer_country
    external_type linked_internal_ref linked_external_ref travel_time wait_time task_time total_time rating_text
"""

BOTH_INTEGER = """
    duration number_of_workers_required outbound_sms_count inbound_sms_count outbound_email_count inbound_email_count
"""

BOTH_JSONB = """
    entity_ids crew_ids worker_ids resource_ids extra_fields template_extra_fields customer_exact_location
    additional_addresses routes entity_routes current_destination document_ids file_ids files forms items
    entity_confirmation_statuses
"""

TASKS = Entity(
    name="tasks",
    table="arrivy_task",
    about="Appointments and jobs: for whom, where, when, and how far the crew is.",
    path="tasks",
    key="id",
    cursor="start_datetime",
    edited="updated",
    cadence=Cadence(
        with_webhooks=timedelta(hours=3),
        lookback=timedelta(days=60),
        lookahead=timedelta(days=365),
        full_every=timedelta(days=1),
        backfill_since=date(2024, 1, 1),
    ),
    page_size=500,
    index="booking_id customer_id customer_email",
    refs={"booking_id": "arrivy_booking", "template_id": "arrivy_template", "group_id": "arrivy_group"},
    columns=columns(
        id=f"{BOTH_ID} booking_id series_id",
        text=f"{BOTH_TEXT} status_title due_datetime_original_iso_str",
        email="customer_email",
        phone="customer_phone customer_mobile_number",
        boolean="unscheduled self_scheduling is_linked",
        integer=BOTH_INTEGER,
        numeric="rating mileage",
        timestamptz="start_datetime end_datetime due_datetime created updated",
        jsonb=f"{BOTH_JSONB} skill_details",
    ),
)

BOOKINGS = Entity(
    name="bookings",
    table="arrivy_booking",
    about="What a customer booked; it may need several tasks. Not every account has them.",
    path="bookings",
    key="id",
    cursor="start_datetime",
    edited="updated",
    cadence=Cadence(
        with_webhooks=timedelta(hours=3),
        lookback=timedelta(days=60),
        lookahead=timedelta(days=365),
        full_every=timedelta(days=1),
        backfill_since=date(2024, 1, 1),
    ),
    page_size=500,
    index="customer_id customer_email",
    refs={"group_id": "arrivy_group"},
    columns=columns(
        id=f"{BOTH_ID} status_id",
        text=f"""
            {BOTH_TEXT} description task_type customer_name
            customer_address=customer_address|customer_address_line_1
        """,
        email="customer_email",
        phone="customer_phone customer_mobile_number",
        boolean="unscheduled is_recurring is_all_day is_linked",
        integer=f"{BOTH_INTEGER} duration_estimate",
        numeric="rating mileage",
        timestamptz="start_datetime end_datetime actual_start_datetime actual_end_datetime created updated",
        jsonb=f"{BOTH_JSONB} custom_fields",
    ),
)

ENTITIES = Entity(
    name="entities",
    table="arrivy_entity",
    about="Who and what can be sent: crew members, schedulers, vehicles. A disabled one stays listed.",
    path="entities",
    key="id",
    refs={"group_id": "arrivy_group"},
    columns=columns(
        id="id owner group_id template_id image_id external_id created_by updated_by okta_user_id",
        text="""
            name username type user_type permission invite_status url_safe_id details color external_type
            created_by_user updated_by_user address_line_1 address_line_2 complete_address city state zipcode country
        """,
        email="email",
        phone="phone",
        url="image_path",
        boolean="""
            is_active is_disabled is_default can_turnoff_location can_view_customers_of_all_groups
            allow_login_in_kiosk_mode_only is_status_priority_notifications_disabled is_included_in_billing
            force_stop_billing is_address_geo_coded use_lat_lng_address
        """,
        timestamptz="created updated joined_datetime",
        jsonb="""
            additional_group_ids skill_ids skill_details extra_fields template_extra_fields exact_location
            last_reading=lastreading|last_reading notifications permission_groups can_manage_resources can_manage_crews
            can_manage_entities visible_bookings visible_routing_forms allow_status_notifications
        """,
    ),
)

GROUPS = Entity(
    name="groups",
    table="arrivy_group",
    about="The branches of the company, each with its territory.",
    path="groups",
    key="id",
    columns=columns(
        id="id owner image_id created_by",
        text="""
            name description url_safe_id emergency address_line_1 address_line_2 complete_address city state zipcode
            country timezone
        """,
        email="email",
        phone="phone mobile_number",
        url="website image_path",
        boolean="is_default is_disabled is_implicit is_address_geo_coded use_lat_lng_address",
        timestamptz="created updated",
        jsonb="territory_ids social_links exact_location additional_addresses extra_fields",
    ),
)

STATUSES = Entity(
    name="statuses",
    table="arrivy_status",
    about="The statuses that a crew may report, the company's own among them.",
    path="statuses",
    key="id",
    cadence=Cadence(every=timedelta(days=1)),
    columns=columns(
        id="id type_id",
        text="title name type description color",
        boolean="is_active visible_to_customer require_signature require_rating",
        integer="order",
        timestamptz="created updated",
    ),
)

TEMPLATES = Entity(
    name="templates",
    table="arrivy_template",
    about="The kinds of tasks; of the stored tasks where the account lists none.",
    path="templates",
    key="id",
    cadence=Cadence(every=timedelta(days=1)),
    columns=columns(
        id="id",
        text="name=name|title type=type|template_type description",
        boolean="is_default",
        timestamptz="created updated",
        jsonb="extra_fields",
    ),
)

PAGED = frozenset(entity.path for entity in (TASKS, BOOKINGS, GROUPS))
"""Lists in which a repeated page is an error; the others are said to answer the same single page to any question."""
