"""The demo's people are the same in all CRMs, known to each other by their ids, and they do things in a sensible order.

One population is loaded once. What is counted here is what a join by ``=`` finds, as an analyst writes it.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import target
from warehouse_pipelines.simulators.core import population
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import PAID_SOURCES, SOURCES, Population
from warehouse_pipelines.simulators.core.truth import owners
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES as CRMS
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE

Warehouse = psycopg.Connection[dict[str, object]]

ENTITIES = {table: entity for table, (_, entity) in BY_TABLE.items()}

EXPECTED = {
    "hubspot_contact.lead_salesrabbit_lead_id": 0.3,
    "hubspot_contact.lead_salesrabbit_lead_id_new": 0.1,
    "hubspot_contact.sales_rabbit_lead_id": 0.1,
    "hubspot_contact.marketsharp_id": 0.3,
    "hubspot_contact.prospect_marketsharp_id": 0.15,
    "hubspot_contact.prospect_id": 0.5,
    "hubspot_appointment.genius_appointment_id": 0.9,
    "hubspot_appointment.prospect_id": 0.9,
    "hubspot_appointment.user_id": 0.9,
    "hubspot_appointment.division_id": 0.9,
    "hubspot_appointment.hscontact_id": 0.9,
    "hubspot_appointment.salespro_customer_id": 0.7,
    "hubspot_appointment.salespro_estimate_id": 0.9,
    "hubspot_geniususer.user_id": 0.9,
    "hubspot_geniususer.division_id": 0.9,
    "hubspot_geniususer.title_id": 0.9,
    "hubspot_division.name": 0.9,
    "genius_lead.salesrabbit_lead_id": 0.05,
    "genius_prospect.hubspot_contact_id": 0.8,
    "genius_prospect.marketsharp_id": 0.25,
    "genius_appointment.hubspot_appointment_id": 0.9,
    "genius_appointment.marketsharp_id": 0.25,
    "leadconduit_lead.salesrabbit_lead_id_hge": 0.4,
    "marketsharp_job.appointment_id": 0.9,
    "marketsharp_activity.inquiry_id": 0.9,
}
"""The references that lead from one CRM into another, and which share of a table's rows at least has one that joins."""

CODES = {
    "hubspot_contact.hubspot_owner_id", "hubspot_company.hubspot_owner_id", "hubspot_deal.hubspot_owner_id",
    "hubspot_appointment.hubspot_owner_id", "hubspot_deal.pipeline", "hubspot_deal.dealstage",
    "hubspot_pipeline_stage.pipeline_id", "genius_lead.marketing_source", "genius_lead.agent_id",
    "genius_appointment.complete_outcome_id", "genius_appointment.user_id", "genius_appointment.prospect_source_id",
    "genius_job.status", "genius_job.service_id", "genius_job.user_id", "genius_job.sold_user_id",
    "genius_user.title_id", "marketsharp_inquiry.inquiry_source_primary_id",
}  # fmt: skip
"""Codes and ids within a CRM, which the table that they lead to makes readable."""

CHAIN = {
    "gsheet_marketing_spend", "gsheet_marketing_lead", "callrail_call", "callrail_form_submission", "hubspot_deal",
    "hubspot_contact_to_deal_association", "hubspot_appointment_to_contact_association", "genius_job",
    "genius_job_status", "genius_job_change_order", "genius_quote", "genius_marketing_source", "five9_contact",
    "marketsharp_inquiry", "marketsharp_inquiry_source_primary", "arrivy_task", "pipedesk.calendar_events",
}  # fmt: skip


def tables() -> set[str]:
    """The tables at both ends of a reference, and those of the chain."""
    names = EXPECTED.keys() | CODES
    named = {name.rpartition(".")[0] for name in names}
    ends = {
        target(ENTITIES[table].refs[column], ENTITIES)[0].table
        for table, _, column in (name.rpartition(".") for name in names)
    }
    return named | ends | CHAIN


@pytest.fixture(scope="module")
def loaded(shared_url: str) -> Iterator[Warehouse]:
    """A warehouse with those tables, of one population of 600."""
    wanted = tables()
    crms = tuple(source.name for source in CRMS if wanted & {entity.table for entity in source.entities})
    for what in lacking(crms).values():
        missing(what)
    with start(crms, contacts=600) as simulators, pytest.MonkeyPatch.context() as patch:
        for name, value in simulators.environment().items():
            patch.setenv(name, value)
        # A parent of associations comes before them.
        for table in sorted(wanted, key=lambda table: (bool(ENTITIES[table].parent), table)):
            source, entity = BY_TABLE[table]
            assert sync(source, entity, Options(), url=shared_url).status == "success", table
    with psycopg.connect(shared_url, row_factory=dict_row, autocommit=True) as connection:
        yield connection


def one(warehouse: Warehouse, statement: str) -> dict[str, object]:
    row = warehouse.execute(statement).fetchone()
    assert row is not None
    return row


def test_every_reference_into_another_crm_is_expected_to_join() -> None:
    """A new one comes with data that join, or it is one of those that no simulator can fill."""
    across = {
        f"{entity.table}.{column}"
        for entity in ENTITIES.values()
        for column, ref in entity.refs.items()
        if BY_TABLE[target(ref, ENTITIES)[0].table][0].name != BY_TABLE[entity.table][0].name
    }
    folders = {"pipedesk.drive_folder_links.folder_id"}
    assert across <= EXPECTED.keys() | folders


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.every_case
def test_ids_of_another_crm_join(loaded: Warehouse, name: str) -> None:
    table, _, column = name.rpartition(".")
    other, key = target(ENTITIES[table].refs[column], ENTITIES)
    row = one(
        loaded,
        f"SELECT count(*) AS rows, count(t.{column}) AS filled, count(o.{key}) AS joined"
        f" FROM {table} t LEFT JOIN {other.table} o ON o.{key} = t.{column}",
    )
    rows, filled, joined = (int(str(row[what])) for what in ("rows", "filled", "joined"))
    assert joined >= EXPECTED[name] * rows, row
    assert joined >= 0.8 * filled, row


@pytest.mark.parametrize("name", sorted(CODES))
@pytest.mark.every_case
def test_every_code_is_found_in_the_table_that_explains_it(loaded: Warehouse, name: str) -> None:
    table, _, column = name.rpartition(".")
    other, key = target(ENTITIES[table].refs[column], ENTITIES)
    row = one(
        loaded,
        f"SELECT count(t.{column}) AS filled, count(o.{key}) AS joined"
        f" FROM {table} t LEFT JOIN {other.table} o ON o.{key} = t.{column}",
    )
    assert int(str(row["filled"])) > 1
    assert row["joined"] == row["filled"]


def test_a_stage_says_what_it_means(loaded: Warehouse) -> None:
    rows = loaded.execute(
        "SELECT s.label, s.is_closed, p.label AS pipeline, count(*) AS deals FROM hubspot_deal d"
        " JOIN hubspot_pipeline_stage s ON s.id = d.dealstage JOIN hubspot_pipeline p ON p.id = s.pipeline_id"
        " WHERE s.probability = 1 GROUP BY 1, 2, 3"
    ).fetchall()
    assert [(row["label"], row["is_closed"], row["pipeline"]) for row in rows] == [
        ("Closed won", True, "Sales pipeline")
    ]


STEPS = """
    WITH chain AS (
        SELECT c.id,
               (SELECT max(date) FROM gsheet_marketing_spend s
                WHERE s.channel = c.original_lead_source AND s.date <= l.created::date) AS spent_on,
               (SELECT min(k.start_time) FROM callrail_call k
                WHERE k.customer_phone_number_e164 = p.phone_e164) AS called_at,
               c.source_created_at AS contact_at, l.source_created_at AS lead_at, a.source_created_at AS set_at,
               e.source_created_at AS estimated_at, j.source_created_at AS sold_at,
               j.finish_date, j.payment_amount, j.contract_amount
        FROM hubspot_contact c
        JOIN genius_prospect p ON p.hubspot_contact_id = c.id
        JOIN genius_lead l ON l.prospect_id = p.prospect_id
        JOIN genius_appointment a ON a.prospect_id = p.prospect_id
        JOIN hubspot_appointment h ON h.id = a.hubspot_appointment_id AND h.hscontact_id = c.id
        JOIN salespro_estimate e ON e.estimate_id = h.salespro_estimate_id
        JOIN genius_job j ON j.prospect_id = p.prospect_id
        WHERE e.is_sale
    )
"""


def test_people_come_from_the_first_touch_to_the_paid_job_in_order_of_time(loaded: Warehouse) -> None:
    """Over five CRMs, by ids alone, and the calls by their number."""
    row = one(
        loaded,
        STEPS
        + """
        SELECT count(*) AS sold, count(*) FILTER (WHERE payment_amount = contract_amount) AS paid,
               count(called_at) AS called, count(spent_on) AS spent,
               count(*) FILTER (WHERE NOT (contact_at < lead_at AND lead_at < set_at AND set_at < estimated_at
                                           AND estimated_at < sold_at)) AS disordered,
               count(*) FILTER (WHERE called_at >= set_at) AS called_late,
               count(*) FILTER (WHERE finish_date <= sold_at::date OR sold_at > now()) AS impossible
        FROM chain
        """,
    )
    counts = {name: int(str(value)) for name, value in row.items()}
    assert counts["sold"] > 100
    assert counts["paid"] > 0.8 * counts["sold"]
    assert counts["called"] > 0.6 * counts["sold"]
    assert counts["spent"] > 0.4 * counts["sold"]
    assert (counts["disordered"], counts["called_late"], counts["impossible"]) == (0, 0, 0)


def test_the_name_of_a_source_is_the_same_in_all_crms(loaded: Warehouse) -> None:
    named = {
        "genius_marketing_source": "label",
        "marketsharp_inquiry_source_primary": "name",
        "hubspot_contact": "original_lead_source",
        "gsheet_marketing_lead": "source",
        "gsheet_marketing_spend": "channel",
    }
    for table, column in named.items():
        found = {row[column] for row in loaded.execute(f"SELECT DISTINCT {column} FROM {table}")}
        found -= {None}
        assert found == set(PAID_SOURCES if table == "gsheet_marketing_spend" else SOURCES), table


def test_a_lead_that_was_passed_on_is_a_contact(loaded: Warehouse) -> None:
    row = one(
        loaded,
        """
        SELECT count(*) AS leads, count(c.id) AS joined, count(*) FILTER (WHERE c.phone_e164 = l.phone_e164) AS alike,
               count(*) FILTER (WHERE l.created_at < c.createdate) AS before
        FROM leadconduit_lead l LEFT JOIN hubspot_contact c ON c.reference_code = l.reference
        """,
    )
    assert row["leads"] == row["joined"] == row["alike"] == row["before"]


def test_who_is_expected_in_the_calendar_is_known(loaded: Warehouse) -> None:
    """By e-mail, at the time of the visit."""
    row = one(
        loaded,
        """
        SELECT count(*) AS events, count(p.prospect_id) AS known,
               count(*) FILTER (WHERE abs(a.appointment_date - e.start_time::date) <= 1) AS on_time
        FROM pipedesk.calendar_events e
        LEFT JOIN genius_prospect p ON p.email = e.attendees -> 0 ->> 'email'
        LEFT JOIN genius_appointment a ON a.prospect_id = p.prospect_id
        WHERE e.start_time IS NOT NULL
        """,
    )
    events, known, on_time = (int(str(row[name])) for name in ("events", "known", "on_time"))
    assert known > 0.9 * events > 100
    assert on_time > 0.9 * known


def test_spend_reaches_the_present(loaded: Warehouse) -> None:
    row = one(
        loaded,
        "SELECT current_date - max(date) AS days, max(date) - min(date) AS span, count(DISTINCT channel) AS channels"
        " FROM gsheet_marketing_spend",
    )
    assert int(str(row["days"])) <= 1
    assert int(str(row["span"])) > 600
    assert row["channels"] == len(PAID_SOURCES)


def test_some_people_stand_twice_in_one_crm(loaded: Warehouse) -> None:
    row = one(
        loaded,
        "SELECT count(*) AS rows, count(*) - count(DISTINCT (address, phone_e164)) AS doubles FROM hubspot_contact",
    )
    assert 0.03 * int(str(row["rows"])) < int(str(row["doubles"])) < 0.12 * int(str(row["rows"]))


def test_who_is_not_to_be_called_is_so_in_several_crms(loaded: Warehouse) -> None:
    row = one(
        loaded,
        """
        SELECT (SELECT count(*) FROM hubspot_contact WHERE lead_is_dnc) AS hubspot,
               (SELECT count(*) FROM genius_lead WHERE is_dnc) AS genius,
               (SELECT count(*) FROM marketsharp_contact WHERE has_dnc_phone) AS marketsharp,
               (SELECT count(*) FROM hubspot_contact c JOIN marketsharp_contact m ON m.id = c.marketsharp_id
                WHERE c.lead_is_dnc AND m.has_dnc_phone) AS both
        """,
    )
    assert all(5 < int(str(row[crm])) < 40 for crm in ("hubspot", "genius", "marketsharp"))
    assert int(str(row["both"])) > 2


def test_visits_lie_ahead_and_sales_do_not(loaded: Warehouse) -> None:
    row = one(
        loaded,
        """
        SELECT (SELECT count(*) FROM genius_appointment WHERE appointment_date > current_date) AS visits,
               (SELECT count(*) FROM hubspot_appointment WHERE start_time > now()
                AND meeting_outcome = 'COMPLETED') AS done,
               (SELECT count(*) FROM genius_job WHERE add_date > now()) AS jobs,
               (SELECT count(*) FROM arrivy_task WHERE start_datetime > now()) AS tasks
        """,
    )
    assert int(str(row["visits"])) > 0
    assert int(str(row["tasks"])) > 0
    assert (row["done"], row["jobs"]) == (0, 0)


def test_ids_of_another_crm_are_those_of_the_same_person(loaded: Warehouse) -> None:
    """As far as both are people: what joins here is one human in the truth, but for HubSpot's doubles."""
    owner = owners(Population(1, 670), 600)
    known = {table for table, _ in owner}
    checked = 0
    for name in (*EXPECTED, "hubspot_contact.lead_id"):
        table, _, column = name.rpartition(".")
        other, key = ("genius_lead", "lead_id")
        if name in EXPECTED:
            entity, key = target(ENTITIES[table].refs[column], ENTITIES)
            other = entity.table
        mine = ENTITIES[table].keys[0]
        if not {table, other} <= known or key != ENTITIES[other].keys[0]:
            continue
        rows = loaded.execute(
            f"SELECT t.{mine} AS one, o.{key} AS other FROM {table} t JOIN {other} o ON o.{key} = t.{column}"
        ).fetchall()
        assert len(rows) > 20, name
        pairs = [(owner[table, str(row["one"])], owner[other, str(row["other"])]) for row in rows]
        assert [pair for pair in pairs if pair[0] != pair[1]] == [], name
        checked += 1
    assert checked >= 8


def test_the_truth_is_out_of_reach() -> None:
    """Nothing but tests and benchmarks imports it."""
    package = Path(population.__file__).parents[2]
    importing = [str(path) for path in package.rglob("*.py") if "core.truth" in path.read_text()]
    assert importing == []


def test_a_person_turns_up_at_the_same_time_in_every_process() -> None:
    one, other = (Journeys(Population(1, 1_100), 1_000, 1_790_000_000_000) for _ in range(2))
    times = [one.first(number) for number in range(1_200)]
    assert times == sorted(times)
    assert times == [other.first(number) for number in range(1_200)]
    assert len(set(times[:1_000])) == 1_000
    for number in (0, 500, 990, 999):
        stages = [one.after(number, hours * 3_600_000) for hours in (0, 1, 24, 144, 192)]
        assert stages == sorted(set(stages))
        assert stages[-1] < one.now
