"""The tables of the simulated Genius, in its own words: `CREATE TABLE` in a shorter hand, and the rows.

Columns are words; a type stands once, after the last of the words it is for (`id job_id:int number:varchar(20)`). Names
and types are those of the vendor notes and of the queries that are known to run against the real database; where those
name a column without its type, the type is a guess. Nothing is `NOT NULL` but the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import (
    DIVISIONS,
    SOURCES,
    Person,
    Town,
    marketsharp_id,
    misspell,
    spell_phone,
    words,
)

TYPES = {"dt": "datetime", "bool": "tinyint(1)", "latin1": "text CHARACTER SET latin1"}
KEYS = {
    "lead": ("lead_id",),
    "user_data": ("user_id",),
    "job_financing": ("job_id",),
    "marketsharp_marketing_source_map": ("marketsharp_id",),
    "appointment_to_service": ("appointment_id", "service_id"),
}

# What the notes do not tell. A column that points at another table usually has an index: a foreign key demands one.
INDEXED = {"lead": ("prospect_id",), "prospect_source": ("prospect_id",)}

TABLES: Mapping[str, str] = {
    "division_group": """
        id region:smallint group_label default_time_zone_name:varchar(64) intern_payroll_start painter_payroll_start:int
        is_active:bool cc_profile_id mes_profile_id mes_profile_key docusign_acct_id paysimple_username
        paysimple_secret:varchar(128) hub_account_id:int created_at updated_at:dt
    """,
    "division_region": "id:smallint name:varchar(64) is_active:bool",
    "division": """
        id:int group_id region_id:smallint label abbreviation:varchar(64) is_utility is_corp is_omniscient:bool
        is_inactive:tinyint account_scheduler_id:int created_at updated_at:dt
    """,
    "user_data": """
        user_id division_id:int title_id:smallint manager_user_id:int first_name first_name_alt last_name
        email personal_email:varchar(128) birth_date:date gender_id marital_status_id:int time_zone_name:varchar(64)
        hired_on start_date:dt add_user_id:int add_datetime:dt is_inactive:bool inactive_on:dt
        inactive_reason_id:smallint inactive_reason_other password_hash:varchar(128) user_associations_id
        inactive_transfer_division_id:int updated_at:dt
    """,
    "user_title": """
        id:smallint title abbreviation roles:varchar(128) type_id section_id sort pay_component_group_id:smallint
        is_active is_unique_per_division:bool created_at updated_at:dt
    """,
    "users_userassociations": "id primary_user_id:int created_at updated_at:dt",
    "third_party_source_type": "id:int label:varchar(64)",
    "third_party_source": "id third_party_source_type_id:int third_party_id:varchar(64)",
    "prospect": """
        id division_id user_id:int first_name last_name alt_first_name alt_last_name:varchar(64)
        address1 address2 city county:varchar(128) state:char(2) zip:varchar(10) is_address_valid year_built:smallint
        phone1 phone2:varchar(32) email:varchar(128) notes:text add_user_id:int add_date:dt
        marketsharp_id leap_customer_id:varchar(64) third_party_source_id:int updated_at:dt
    """,
    "prospect_source": """
        id prospect_id marketing_source_id:int source_date:dt notes:text add_user_id source_user_id:int
        add_date updated_at:dt
    """,
    "appointment_type": "id:int label:varchar(64) is_active:bool",
    "appointment_outcome_type": """
        id:int label:varchar(64) sort_idx:smallint is_active:bool created_at updated_at:dt
    """,
    "appointment_outcome": "id:int type_id:smallint label:varchar(64) is_active:bool created_at updated_at:dt",
    "appointment": """
        id prospect_id prospect_source_id user_id type_id:int date:date time duration:time
        address1 address2 city:varchar(128) state:char(2) zip:varchar(10) email:varchar(128) notes:text
        add_user_id:int add_date assign_date:dt confirm_user_id:int confirm_date:dt confirm_with:varchar(64)
        spouses_present is_complete:tinyint(1) complete_outcome_id complete_user_id:int complete_date:dt
        marketsharp_id marketsharp_appt_type leap_estimate_id:varchar(64) third_party_source_id marketing_task_id:int
        updated_at:dt
    """,
    "appointment_to_service": "appointment_id:int service_id:smallint created_at updated_at:dt",
    "service": """
        id:smallint label:varchar(64) is_active is_lead_required:bool order_number:smallint created_at updated_at:dt
    """,
    "quote": """
        id prospect_id appointment_id job_id client_cid:int service_id:smallint label:varchar(128) description:text
        amount:decimal(10,2) expire_date:date status_id contract_file_id estimate_file_id add_user_id:int
        add_date updated_at:dt
    """,
    "marketing_source_type": """
        id:int label:varchar(64) description:text is_active:bool list_order:int created_at updated_at:dt
    """,
    "marketing_source": """
        id type_id:int label:varchar(64) description:text start_date end_date:date add_user_id:int add_date:dt
        is_active is_allow_lead_modification:bool updated_at:dt
    """,
    "lead": """
        lead_id contact division:int first_name last_name:varchar(64) address1 address2 city:varchar(128) state:char(2)
        zip:varchar(10) cdyne_county:varchar(64) is_valid_address:smallint email:varchar(128)
        phone1:varchar(32) type1:smallint phone2:varchar(32) type2:smallint phone3:varchar(32) type3:smallint
        phone4:varchar(32) type4:smallint source:smallint source_notes:varchar(255) sourced_on:dt job_type
        rating:smallint year_built:varchar(8) is_year_built_verified is_zillow is_express_consent:smallint
        express_consent_set_by:int express_consent_set_on:dt express_consent_source:smallint
        express_consent_upload_file_id:int is_express_consent_being_reviewed:smallint
        express_consent_being_reviewed_by:int notes:text status substatus:smallint substatus_reason alternate_id
        added_by:int added_on viewed_on:dt
        is_estimate_set:smallint estimate_set_by:int estimate_set_on dead_on:dt dead_by:int dead_note:varchar(255)
        is_credit_request:smallint credit_request_by:int credit_request_on:dt credit_request_reason:text
        credit_request_status:smallint credit_request_update_on:dt credit_request_update_by:int credit_request_note:text
        lead_cost:float import_source:varchar(64) call_screen_viewed_on:dt call_screen_viewed_by copied_to_id:int
        copied_to_on:dt copied_from_id:int copied_from_on:dt cwp_client cwp_referral rc_paid_to:int rc_paid_on:dt
        with_dm:smallint voicemail_file agent_id agent_name:varchar(64) invalid_address is_valid_email
        is_high_potential is_mobile_lead is_dnc is_dummy:smallint lead_central_estimate_date do_not_call_before:dt
        is_estimate_confirmed:smallint estimate_confirmed_by:int estimate_confirmed_on:dt
        added_by_latitude added_by_longitude:decimal(10,7) is_carpentry_followup:smallint
        carpentry_followup_notes:latin1 marketing_source prospect_id added_by_supervisor salesrabbit_lead_id
        third_party_source_id:int updated_at:dt
    """,
    "marketsharp_source": """
        id:int marketsharp_id:varchar(64) source_name:varchar(128) inactive:smallint created_at updated_at:dt
    """,
    "marketsharp_marketing_source_map": "marketsharp_id:varchar(64) marketing_source_id:int created_at updated_at:dt",
    "marketsharp_contacts": """
        id:int external_id first_name last_name email phone address_1 address_2 city:varchar(128) state:char(2)
        zip:varchar(10) marketing_source_id prospect_source_id:int lead_status:varchar(64) appointment_date:date
        appointment_time:time notes:text active:bool created_at updated_at:dt
    """,
    "marketsharp_appointments": """
        id:int external_id contact_id:varchar(64) appointment_date:date appointment_time:time
        appointment_type_id salesperson_id:int lead_source:varchar(64) marketing_source_id:int
        appointment_status:varchar(64) outcome_id:int notes:text follow_up_date:date active:bool
        created_at updated_at:dt
    """,
    "job": """
        id client_cid prospect_id division_id user_id production_user_id project_coordinator_user_id production_month
        subcontractor_id:int subcontractor_status_id subcontractor_confirmed:smallint status:int is_in_progress
        ready_status prep_status_id:smallint prep_status_set_date:dt prep_status_is_reset:smallint
        prep_status_notes:text prep_issue_id:varchar(64) service_id is_lead_pb:smallint contract_number:varchar(64)
        contract_date:date
        contract_amount:decimal(10,2) contract_amount_difference:text contract_hours contract_file_id:int
        job_value deposit_amount:decimal(10,2) deposit_type_id is_financing:smallint sales_tax_rate:decimal(6,4)
        is_sales_tax_exempt:smallint commission_payout accrued_commission_payout:decimal(10,2) sold_user_id:int
        sold_date start_request_date deadline_date ready_date:date jsa_sent:smallint start_date end_date:date
        add_user_id:int add_date:dt cancel_date:date cancel_user_id:int cancel_reason_id is_refund:smallint
        refund_date:date refund_user_id:int finish_date:date is_earned_not_paid:smallint
        materials_arrival_date measure_date:date measure_time:time measure_user_id:int time_format:smallint
        materials_estimated_arrival_date:date materials_ordered:dt price_level:varchar(32) price_level_goal:smallint
        price_level_commission:decimal(8,2) price_level_commission_reduction is_reviewed:smallint reviewed_by:int
        pp_id_updated hoa hoa_approved:smallint install_date:date install_time:time install_time_format
        materials_ordered_old start_month_old:smallint cogs_report_month:varchar(16)
        is_cogs_report_month_updated:smallint forecast_month:varchar(16) coc_sent_on:dt coc_sent_by:int
        company_cam_link:varchar(255) pm_finished_on:date
        estimate_job_duration:smallint payment_not_finalized_reason:int reasons_other:varchar(255) payment_type:int
        payment_amount:decimal(10,2) is_payment_finalized is_company_cam is_five_star_review:smallint
        projected_end_date:date is_company_cam_images_correct:smallint post_pm_closeout_date pre_pm_closeout_date:date
        actual_install_date:dt in_progress_substatus_id:int is_loan_document_uptodate is_labor_adjustment_correct
        is_change_order_correct is_coc_pdf_attached:smallint updated_at:dt
    """,
    "job_status": "id:int label:varchar(64) is_system:smallint",
    "job_financing": """
        job_id term_id:int financed_amount max_financed_amount:decimal(10,2) bid_rate commission_reduction:decimal(6,4)
        signed_on cancellation_period_expires_on app_submission_date:dt is_joint_application:smallint
        applicant co_applicant:varchar(128) status:smallint approved_on loan_expiration_date denied_on:dt denied_by:int
        why_book:text would_book is_financing_factor:smallint satisfied:text docs_completed:dt
        active_stipulation_notes:text is_active_stipulations_cleared:smallint legal_app_name:varchar(128)
    """,
    "job_change_order": """
        id job_id:int number:varchar(20) status_id type_id:smallint adjustment_change_order_id:int effective_date:date
        total_amount:decimal(9,2) add_user_id:int add_date:dt sold_user_id:int sold_date:dt cancel_user_id:int
        cancel_date:dt reason_id:smallint envelope_id:varchar(64) total_contract_amount
        total_pre_change_orders_amount:decimal(9,2) signer_name signer_email financing_note:varchar(255) updated_at:dt
    """,
    "job_change_order_item": """
        id change_order_id:int description:varchar(256) amount:decimal(8,2) created_at updated_at:dt
    """,
    "job_change_order_reason": "id:int label description:varchar(255)",
    "job_change_order_status": "id:int label:varchar(64) is_selectable:smallint",
    "job_change_order_type": "id:int label:varchar(64)",
    "integration_field": "id definition_id user_id division_id:int field_value:varchar(255) created_at updated_at:dt",
    "integration_field_definition": """
        id integration_id:int label key_name:varchar(64) is_user is_division:bool hint:varchar(255)
        input_type:varchar(32)
    """,
}

# No such table was found at the vendor; what it would look like is a guess.
CONTACT = "id:int first_name last_name email phone:varchar(128) created_at updated_at:dt"


def columns(declared: str) -> dict[str, str]:
    """The SQL type of each column."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for word in declared.split():
        name, _, type_ = word.partition(":")
        waiting.append(name)
        if type_:
            found |= dict.fromkeys(waiting, TYPES.get(type_, type_))
            waiting = []
    if waiting:
        raise ValueError(f"no type: {', '.join(waiting)}")
    return found


def key_of(table: str) -> tuple[str, ...]:
    return KEYS.get(table, ("id",))


def create_table(table: str, declared: str) -> str:
    types = columns(declared)
    key = key_of(table)
    lines = [f"`{name}` {type_} {'NOT NULL' if name in key else 'NULL'}" for name, type_ in types.items()]
    lines.append(f"PRIMARY KEY ({', '.join(f'`{name}`' for name in key)})")
    if "updated_at" in types:
        lines.append(f"KEY `changed` (`updated_at`, {', '.join(f'`{name}`' for name in key)})")
    lines += [f"KEY `{name}` (`{name}`)" for name in INDEXED.get(table, ())]
    return f"CREATE TABLE `{table}` ({', '.join(lines)}) DEFAULT CHARACTER SET utf8mb4"


Row = dict[str, Any]

SERVICES = words("Roofing|Siding|Windows|Gutters|Painting|Insulation", "|")
TITLES = words("Estimator|Production manager|Canvasser|Office|Call center", "|")
OUTCOMES = words("Sold|Follow up|No sale|Not home|Cancelled", "|")
STATUSES = words("New|Sold|In progress|Finished|Cancelled", "|")
REASONS = words("Customer request|Hidden damage|Measured wrong|Price correction", "|")
USERS = journey.GENIUS_USERS
HISTORY = timedelta(days=730)
CHANGED = journey.SALE + 5 * journey.DAY_MS
"""How long after the first touch a job's contract is changed."""


class Rows:
    """What the tables hold at the start. Lead `n` is person `n`; who became a prospect, was visited and bought says
    ``journey``: appointment `n` is person `2 n`, job `n` person `4 n`.

    Times are the wall clock of the application, in whole seconds. The newest row of a table is a few hours old.
    """

    def __init__(self, town: Town, leads: int, now: datetime) -> None:
        self.town, self.leads, self.now = town, leads, now.replace(microsecond=0)
        self.prospects = sum(journey.genius_prospect(number) is not None for number in range(1, leads + 1))
        self.appointments = leads // 2
        self.jobs = max(2, leads // 4)
        self.change_orders = max(2, leads // 5)
        self._epoch = datetime(1970, 1, 1)  # noqa: DTZ001  (as if the wall clock were UTC)
        self._journeys = Journeys(town, leads, self._ms(self.now))

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Every table with its rows, computed as they are asked for."""
        for table in TABLES:
            count, row = self._of(table)
            yield table, (row(number) for number in range(1, count + 1))

    def _of(self, table: str) -> tuple[int, Callable[[int], Row]]:
        few = {
            "division_group": 2, "division_region": 2, "division": len(DIVISIONS), "user_data": USERS,
            "user_title": len(TITLES), "users_userassociations": USERS, "third_party_source_type": 2,
            "appointment_type": 3, "appointment_outcome_type": 3, "appointment_outcome": len(OUTCOMES),
            "service": len(SERVICES), "marketing_source_type": 3, "marketing_source": len(SOURCES),
            "marketsharp_source": 4, "marketsharp_marketing_source_map": 4, "job_status": len(STATUSES),
            "job_change_order_reason": len(REASONS), "job_change_order_status": 3, "job_change_order_type": 2,
            "integration_field": 6, "integration_field_definition": 3,
        }  # fmt: skip
        many = {
            "lead": self.leads, "prospect": self.prospects, "prospect_source": self.prospects,
            "third_party_source": self.prospects + self.appointments, "appointment": self.appointments,
            "appointment_to_service": self.appointments, "quote": max(2, self.leads // 3), "job": self.jobs,
            "job_financing": max(2, self.jobs // 3), "job_change_order": self.change_orders,
            "job_change_order_item": self.change_orders * 2, "marketsharp_contacts": max(2, self.leads // 10),
            "marketsharp_appointments": max(2, self.leads // 20),
        }  # fmt: skip
        return {**few, **many}[table], getattr(self, f"_{table}")

    def at(self, number: int, count: int, dice: bytes) -> datetime:
        """A time that grows with the number; the last is three hours ago."""
        seconds = int(HISTORY.total_seconds()) * (count - number) // max(1, count)
        return self.now - timedelta(hours=3, seconds=seconds + dice[9] * 3)

    def times(self, number: int, count: int, added: str = "created_at") -> Row:
        """When a row was added, and when it was last changed: in one of seven cases never, and then that is NULL."""
        dice = self.town.dice("genius", number * 31 + count)
        at = self.at(number, count, dice)
        changed = None if dice[0] % 7 == 0 else at + timedelta(minutes=dice[1] % 90)
        return {added: at, "updated_at": changed}

    def person(self, number: int) -> Person:
        return self.town.person(number)

    def user(self, number: int) -> int:
        return 1 + number % USERS

    def _ms(self, moment: datetime) -> int:
        return (moment - self._epoch) // timedelta(milliseconds=1)

    def _moment(self, ms: int) -> datetime:
        return (self._epoch + timedelta(milliseconds=ms)).replace(microsecond=0)

    def stage(self, person: int, lag: int, added: str = "created_at") -> Row:
        """The same as ``times``, of what a person came to after ``lag`` ms."""
        dice = self.town.dice("genius", person * 31 + lag % 1009)
        at = self._moment(self._journeys.after(person, lag))
        changed = None if dice[0] % 7 == 0 else min(self.now, at + timedelta(minutes=dice[1] % 90))
        return {added: at, "updated_at": changed}

    def visit(self, person: int) -> datetime:
        return self._moment(self._journeys.visit(person) + journey.OHIO)

    def _division_group(self, number: int) -> Row:
        return {
            "id": number, "region": 1, "group_label": f"Ohio {number}", "default_time_zone_name": "US/Pacific",
            "is_active": 1, "cc_profile_id": f"planted-cc-{number}", "mes_profile_id": f"mes-{number}",
            "mes_profile_key": f"planted-mes-{number}", "paysimple_username": f"office{number}",
            "paysimple_secret": f"planted-paysimple-{number}", **self.times(number, 2),
        }  # fmt: skip

    def _division_region(self, number: int) -> Row:
        return {"id": number, "name": ("Ohio", "Elsewhere")[number - 1], "is_active": int(number == 1)}

    def _division(self, number: int) -> Row:
        label = DIVISIONS[number - 1]
        return {
            "id": number, "group_id": 1, "region_id": 1, "label": label, "abbreviation": label[:3].upper(),
            "is_utility": 0, "is_corp": int(number == 1), "is_omniscient": 0, "is_inactive": 0,
            **self.times(number, 5),
        }  # fmt: skip

    def _user_data(self, number: int) -> Row:
        person = self.town.employee(number)
        hired = self.at(number, USERS, person.dice)
        return {
            "user_id": number, "division_id": 1 + number % len(DIVISIONS), "title_id": 1 + number % len(TITLES),
            "manager_user_id": 1 if number > 1 else None, "first_name": person.first_name,
            "first_name_alt": person.nickname, "last_name": person.last_name,
            "email": journey.work_email(person, number),
            "personal_email": person.email, "birth_date": f"{1950 + person.dice[10] % 50}-06-15",
            "time_zone_name": "US/Pacific", "hired_on": hired, "start_date": hired, "add_user_id": 1,
            "is_inactive": int(number % 6 == 0), "password_hash": f"planted-hash-{number}",
            "user_associations_id": number, **self.times(number, USERS, "add_datetime"),
        }  # fmt: skip

    def _user_title(self, number: int) -> Row:
        title = TITLES[number - 1]
        return {
            "id": number, "title": title, "abbreviation": title[:3], "roles": title.lower(), "type_id": 1,
            "section_id": 1, "sort": number, "is_active": 1, "is_unique_per_division": 0, **self.times(number, 5),
        }  # fmt: skip

    def _users_userassociations(self, number: int) -> Row:
        return {"id": number, "primary_user_id": number, **self.times(number, USERS)}

    def _third_party_source_type(self, number: int) -> Row:
        return {"id": number, "label": ("hubspot", "leap")[number - 1]}

    def _third_party_source(self, number: int) -> Row:
        if number > self.prospects:
            theirs = journey.hubspot_appointment(2 * (number - self.prospects))
        else:
            theirs = journey.hubspot_contact(journey.of_genius_prospect(number))
        return {
            "id": number,
            "third_party_source_type_id": 2 if theirs is None else 1,
            "third_party_id": theirs or f"LEAP-{number}",
        }

    def _address(self, person: Person) -> Row:
        return {"address1": person.street, "city": person.place.city, "state": "OH", "zip": person.place.zip}

    def _lead(self, number: int) -> Row:
        person = self.person(number)
        source, surname = 1 + SOURCES.index(person.source), misspell(person.last_name, person.dice[21])
        return {
            "lead_id": number, "contact": None if number % 4 else number, "division": 1 + person.place.division,
            "first_name": person.nickname,
            "last_name": person.last_name.upper() if person.dice[11] < 60 else surname,
            **self._address(person), "cdyne_county": person.place.county,
            "email": person.email if person.dice[12] > 40 else None,
            "phone1": spell_phone(person.phone, person.dice[13]), "type1": 1, "source": source,
            "source_notes": "met at the door" if number % 5 == 0 else None, "year_built": str(person.year_built),
            "notes": "Wants “new” windows — José called 😀" if number % 9 == 0 else None,
            "status": number % 4, "substatus": number % 3, "added_by": journey.genius_user(number + 1),
            "agent_id": str(journey.genius_user(number)) if number % 200 else "not assigned",
            "lead_cost": 12.5 if number % 2 else None,
            "added_by_latitude": f"{person.place.latitude:.7f}", "added_by_longitude": f"{person.place.longitude:.7f}",
            "carpentry_followup_notes": "Fenêtre façade, 25 £" if number % 10 == 0 else None,
            "is_dnc": int(person.do_not_call and person.dice[14] < 200), "marketing_source": source,
            "prospect_id": journey.genius_prospect(number),
            "salesrabbit_lead_id": journey.salesrabbit_lead(number) if person.source == "Canvassing" else None,
            **self.stage(number, journey.LEAD, "added_on"),
        }  # fmt: skip

    def _prospect(self, number: int) -> Row:
        person = self.person(journey.of_genius_prospect(number))
        return {
            "id": number, "division_id": 1 + person.place.division, "user_id": journey.genius_user(person.number),
            "first_name": person.first_name, "last_name": person.last_name, **self._address(person),
            "county": person.place.county, "year_built": person.year_built,
            "phone1": spell_phone(person.phone, person.dice[15]), "email": person.email, "is_address_valid": 1,
            "add_user_id": self.user(number), "third_party_source_id": number,
            "marketsharp_id": marketsharp_id(person.number).upper() if number % 3 == 0 else None,
            **self.stage(person.number, journey.LEAD + journey.HOUR_MS, "add_date"),
        }  # fmt: skip

    def _prospect_source(self, number: int) -> Row:
        person = self.person(journey.of_genius_prospect(number))
        times = self.stage(person.number, journey.LEAD + journey.HOUR_MS, "add_date")
        return {
            "id": number, "prospect_id": number, "marketing_source_id": 1 + SOURCES.index(person.source),
            "source_date": times["add_date"], "add_user_id": self.user(number), "source_user_id": self.user(number + 1),
            **times,
        }  # fmt: skip

    def _appointment_type(self, number: int) -> Row:
        return {"id": number, "label": ("Estimate", "Follow up", "Service")[number - 1], "is_active": 1}

    def _appointment_outcome_type(self, number: int) -> Row:
        label = ("Good", "Open", "Bad")[number - 1]
        return {"id": number, "label": label, "sort_idx": number, "is_active": 1, **self.times(number, 3)}

    def _appointment_outcome(self, number: int) -> Row:
        label = OUTCOMES[number - 1]
        kind = (1, 2, 3, 2, 3)[number - 1]
        return {"id": number, "type_id": kind, "label": label, "is_active": 1, **self.times(number, 5)}

    def _appointment(self, number: int) -> Row:
        person = self.person(2 * number)
        prospect = journey.genius_prospect(person.number)
        times = self.stage(person.number, journey.APPOINTMENT, "add_date")
        visit = self.visit(person.number)
        sold = journey.sold(person.number)
        done = sold or (visit < self.now and number % 5 != 0)
        return {
            "id": number, "prospect_id": prospect, "prospect_source_id": prospect,
            "user_id": journey.genius_user(person.number), "type_id": 1 + number % 3,
            "date": visit.date(), "time": f"{visit:%H:%M:00}",
            "duration": "26:00:00" if number % 11 == 0 else "01:30:00", **self._address(person),
            "email": person.email, "notes": "ring twice" if number % 7 == 0 else None, "add_user_id": self.user(number),
            "assign_date": times["add_date"], "spouses_present": number % 3, "is_complete": int(done),
            "complete_outcome_id": (1 if sold else 2 + number // 2 % (len(OUTCOMES) - 1)) if done else None,
            "complete_date": visit + timedelta(hours=2) if done and not sold else visit if done else None,
            "complete_user_id": journey.genius_user(person.number) if done else None,
            "marketsharp_id": marketsharp_id(number, "Appointments").upper() if number % 3 == 0 else None,
            "third_party_source_id": self.prospects + number, **times,
        }  # fmt: skip

    def _appointment_to_service(self, number: int) -> Row:
        times = self.stage(2 * number, journey.APPOINTMENT)
        return {"appointment_id": number, "service_id": 1 + number % len(SERVICES), **times}

    def _service(self, number: int) -> Row:
        return {
            "id": number, "label": SERVICES[number - 1], "is_active": 1, "is_lead_required": number % 2,
            "order_number": number, **self.times(number, len(SERVICES)),
        }  # fmt: skip

    def _quote(self, number: int) -> Row:
        # Every job has one, and one in six visits without a sale.
        job = number - number // 4
        appointment = 6 * (number // 4) - 1 if number % 4 == 0 else 2 * job
        times = self.stage(2 * appointment, journey.VISIT + journey.HOUR_MS, "add_date")
        return {
            "id": number, "prospect_id": journey.genius_prospect(2 * appointment), "appointment_id": appointment,
            "job_id": job if number % 4 else None, "service_id": 1 + number % len(SERVICES),
            "label": SERVICES[number % len(SERVICES)], "description": "as measured",
            "amount": self._price(job) if number % 4 else f"{4_000 + number * 37 % 40_000}.{number % 100:02}",
            "expire_date": (times["add_date"] + timedelta(days=30)).date(), "status_id": number % 4,
            "add_user_id": self.user(number), **times,
        }  # fmt: skip

    def _marketing_source_type(self, number: int) -> Row:
        label = ("Field", "Online", "Print")[number - 1]
        return {"id": number, "label": label, "is_active": 1, "list_order": number, **self.times(number, 3)}

    def _marketing_source(self, number: int) -> Row:
        kind = 2 if SOURCES[number - 1] in ("Google Ads", "Facebook", "Web form") else 1 + number % 2 * 2
        return {
            "id": number, "type_id": kind, "label": SOURCES[number - 1], "start_date": "2020-01-01",
            "end_date": "0000-00-00" if number % 3 == 0 else None, "is_active": 1, "is_allow_lead_modification": 0,
            "add_user_id": 1, **self.times(number, len(SOURCES), "add_date"),
        }  # fmt: skip

    def _marketsharp_source(self, number: int) -> Row:
        name = SOURCES[number - 1]
        return {
            "id": number,
            "marketsharp_id": f"ms-{number}",
            "source_name": name,
            "inactive": 0,
            **self.times(number, 4),
        }

    def _marketsharp_marketing_source_map(self, number: int) -> Row:
        return {"marketsharp_id": f"ms-{number}", "marketing_source_id": number, **self.times(number, 4)}

    def _marketsharp_contacts(self, number: int) -> Row:
        person = self.person(number)
        return {
            "id": number, "external_id": f"c-{number}", "first_name": person.first_name, "last_name": person.last_name,
            "email": person.email, "phone": spell_phone(person.phone, person.dice[16]), "address_1": person.street,
            "city": person.place.city, "state": "OH", "zip": person.place.zip, "lead_status": "New", "active": 1,
            **self.times(number, self.leads // 10),
        }  # fmt: skip

    def _marketsharp_appointments(self, number: int) -> Row:
        times = self.times(number, self.leads // 20)
        return {
            "id": number, "external_id": f"a-{number}", "contact_id": f"c-{number}",
            "appointment_date": times["created_at"].date(), "appointment_time": "10:00:00", "salesperson_id": 1,
            "appointment_status": "Set", "active": 1, **times,
        }  # fmt: skip

    def _price(self, job: int) -> str:
        return f"{5_000 + job * 91 % 60_000}.10"

    def _job(self, number: int) -> Row:
        person = self.person(4 * number)
        times = self.stage(person.number, journey.SALE, "add_date")
        finished, paid = (self._journeys.first(person.number) + lag for lag in (journey.INSTALLED, journey.PAID))
        now = self._ms(self.now)
        cancelled = number % 12 == 5
        status = 5 if cancelled else 4 if finished < now else 3 if number % 2 else 2
        done = status == 4
        return {
            "id": number, "client_cid": number, "prospect_id": journey.genius_prospect(person.number),
            "division_id": 1 + person.place.division, "user_id": journey.genius_user(person.number), "status": status,
            "is_in_progress": int(status == 3), "service_id": 1 + number % len(SERVICES),
            "contract_number": f"C-{number:06}",
            "contract_date": times["add_date"].date(), "contract_amount": self._price(number),
            "job_value": self._price(number), "sales_tax_rate": "0.0725",
            "is_financing": number % 3 == 0, "sold_user_id": journey.genius_user(person.number),
            "cancel_date": (times["add_date"] + timedelta(days=1)).date() if cancelled else None,
            "finish_date": self._moment(finished).date() if done else None,
            "payment_amount": self._price(number) if done and paid < now else None,
            "is_payment_finalized": int(done and paid < now), "is_earned_not_paid": int(done and paid >= now),
            "sold_date": "0000-00-00" if number % 13 == 0 else times["add_date"].date(), "measure_time": "08:15:00",
            "add_user_id": self.user(number), "price_level": "B", "cogs_report_month": "2026-01", **times,
        }  # fmt: skip

    def _job_status(self, number: int) -> Row:
        return {"id": number, "label": STATUSES[number - 1], "is_system": int(number < 3)}

    def _job_financing(self, number: int) -> Row:
        return {
            "job_id": number, "term_id": 1 + number % 4, "financed_amount": f"{4_000 + number * 53 % 30_000}.00",
            "bid_rate": "0.0599", "signed_on": self._moment(self._journeys.after(4 * number, journey.SALE)),
            "is_joint_application": number % 2,
            "applicant": self.person(4 * number).name, "status": number % 3,
        }  # fmt: skip

    def _job_of(self, change_order: int) -> int:
        return 1 + change_order * self.jobs // (self.change_orders + 1)

    def _job_change_order(self, number: int) -> Row:
        job = self._job_of(number)
        person = self.person(4 * job)
        times = self.stage(person.number, CHANGED, "add_date")
        return {
            "id": number, "job_id": job, "number": f"CO-{number}", "status_id": 1 + number % 3,
            "type_id": 1 + number % 2, "effective_date": times["add_date"].date(),
            "total_amount": f"{number * 17 % 9_000 - 500}.{number % 100:02}", "add_user_id": self.user(number),
            "sold_user_id": self.user(number + 3), "sold_date": times["add_date"],
            "reason_id": 1 + number % len(REASONS), "envelope_id": f"{number:08x}-envelope",
            "total_contract_amount": f"{20_000 + number % 5_000}.00", "signer_name": person.name,
            "signer_email": person.email, **times,
        }  # fmt: skip

    def _job_change_order_item(self, number: int) -> Row:
        order = (number + 1) // 2
        return {
            "id": number, "change_order_id": order, "description": SERVICES[number % len(SERVICES)],
            "amount": f"{number * 13 % 3_000}.25", **self.stage(4 * self._job_of(order), CHANGED),
        }  # fmt: skip

    def _job_change_order_reason(self, number: int) -> Row:
        return {"id": number, "label": REASONS[number - 1], "description": f"{REASONS[number - 1]}, in so many words"}

    def _job_change_order_status(self, number: int) -> Row:
        return {"id": number, "label": ("Draft", "Signed", "Void")[number - 1], "is_selectable": int(number < 3)}

    def _job_change_order_type(self, number: int) -> Row:
        return {"id": number, "label": ("Addition", "Deduction")[number - 1]}

    def _integration_field(self, number: int) -> Row:
        definition = 1 + number % 3
        value = f"planted-token-{number}" if definition == 3 else f"dialer-{number}"
        return {
            "id": number,
            "definition_id": definition,
            "user_id": number,
            "field_value": value,
            **self.times(number, 6),
        }

    def _integration_field_definition(self, number: int) -> Row:
        key = ("dialer_id", "calendar_id", "api_token")[number - 1]
        return {
            "id": number, "integration_id": 1, "label": key.replace("_", " "), "key_name": key, "is_user": 1,
            "is_division": 0, "input_type": "password" if number == 3 else "text",
        }  # fmt: skip
