"""What refers to another table can be joined: by one type, by an index on both sides, and to rows that are there."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity, columns, require_joinable, target
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE

ENTITIES = {table: entity for table, (_, entity) in BY_TABLE.items()}

SPECIFIED = """
    hubspot_contact.marketsharp_id                  marketsharp_contact.id
    hubspot_contact.lead_salesrabbit_lead_id        salesrabbit_lead.id
    hubspot_geniususer.user_id                      genius_user.user_id
    hubspot_division.name                           genius_division.label
    hubspot_contact_to_deal_association.contact_id  hubspot_contact.id
    hubspot_contact_to_deal_association.deal_id     hubspot_deal.id
    hubspot_contact_to_company_association.contact_id  hubspot_contact.id
    hubspot_contact_to_company_association.company_id  hubspot_company.id
    genius_lead.contact_id                          genius_contact.id
    genius_lead.division_id                         genius_division.id
    genius_lead.agent_id                            genius_user.user_id
    genius_appointment.lead_id                      genius_lead.lead_id
    genius_appointment.user_id                      genius_user.user_id
    genius_user.division_id                         genius_division.id
    callrail_call.company_id                        callrail_company.id
    callrail_tracker.company_id                     callrail_company.id
    arrivy_task.booking_id                          arrivy_booking.id
    arrivy_booking.group_id                         arrivy_group.id
    arrivy_task.template_id                         arrivy_template.id
    salespro_credit_application.customer_id         salespro_customer.customer_id
    salespro_credit_application.estimate_id         salespro_estimate.estimate_id
    salespro_customer.estimate_id                   salespro_estimate.estimate_id
    salespro_estimate.customer_id                   salespro_customer.customer_id
    pipedesk.lead_contacts.lead_id                  pipedesk.leads.id
    pipedesk.lead_contacts.contact_id               pipedesk.contacts.id
    pipedesk.leads.lead_status_id                   pipedesk.lead_statuses.id
    pipedesk.leads.lead_origin_id                   pipedesk.lead_origins.id
    pipedesk.leads.owner_user_id                    pipedesk.users.id
    pipedesk.leads.qualified_company_id             pipedesk.companies.id
    pipedesk.leads.qualified_master_deal_id         pipedesk.master_deals.id
    pipedesk.lead_tags.lead_id                      pipedesk.leads.id
    pipedesk.lead_tags.tag_id                       pipedesk.tags.id
    pipedesk.lead_activity_stats.lead_id            pipedesk.leads.id
    pipedesk.user_roles.user_id                     pipedesk.users.id
    pipedesk.drive_files.parent_folder_id           pipedesk.google_drive_folders.folder_id
"""
"""The relationships that users join by, and what each means."""


@pytest.mark.parametrize(
    "line", [line.split() for line in SPECIFIED.strip().splitlines()], ids=lambda line: str(line[0])
)
def test_a_relationship_that_users_join_by_is_declared_and_indexed(line: list[str]) -> None:
    (table, _, column), (other, _, key) = (name.rpartition(".") for name in line)
    entity = ENTITIES[table]
    found, column_of = target(entity.refs[column], ENTITIES)
    assert (found.table, column_of) == (other, key)
    assert column in (*entity.indexes, entity.keys[0])


def test_every_number_in_e164_is_indexed() -> None:
    wanted = {f"{entity.table}.{name}" for entity in ENTITIES.values() for name in entity.e164}
    assert wanted == {f"{one.table}.{name}" for one in ENTITIES.values() for name in one.indexes if name in one.e164}
    assert len(wanted) > 40


OTHER = Entity(
    name="others",
    table="shop.other",
    about="Others.",
    path="others",
    key="id",
    index="email",
    columns=columns(integer="id", text="email name", uuid="guid"),
)
PAIR = replace(OTHER, name="pairs", table="shop.pair", key="id name")
ONE = replace(
    OTHER,
    name="ones",
    table="one",
    columns=columns(text="id other_email", integer="other_id", uuid="other_guid"),
    index="",
)


@pytest.mark.parametrize(
    "refs", [{"other_id": "shop.other"}, {"other_email": "shop.other(email)"}, {"other_id": "shop.pair(id)"}], ids=str
)
def test_what_can_be_joined_is_taken(refs: dict[str, str]) -> None:
    require_joinable((replace(ONE, refs=refs), OTHER, PAIR))


@pytest.mark.parametrize(
    ("refs", "says"),
    [
        ({"id": "shop.other"}, r"one\.id is text and shop\.other\.id is bigint"),
        ({"other_guid": "shop.other"}, r"one\.other_guid is uuid and shop\.other\.id is bigint"),
        ({"other_id": "shop.pair"}, r"one\.other_id refers to shop\.pair, whose key are id and name"),
        ({"other_email": "shop.other(name)"}, r"one\.other_email refers to shop\.other\.name, which has no index"),
        ({"other_email": "shop.other(nick)"}, r"refers to shop\.other\(nick\), which has no such column"),
        ({"other_id": "shop.nobody"}, r"one\.other_id refers to shop\.nobody, a table of no entity"),
    ],
)
def test_what_cannot_be_joined_fails_at_import(refs: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        require_joinable((replace(ONE, refs=refs), OTHER, PAIR))


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"one\.id is text .*; one\.other_email refers"):
        require_joinable([replace(ONE, refs={"id": "shop.other", "other_email": "shop.other(name)"}), OTHER])


ACROSS = {
    "hubspot_contact.lead_salesrabbit_lead_id", "hubspot_contact.marketsharp_id", "hubspot_geniususer.user_id",
    "hubspot_geniususer.division_id", "hubspot_division.name", "hubspot_appointment.genius_appointment_id",
    "hubspot_appointment.division_id", "hubspot_appointment.hscontact_id", "genius_prospect.hubspot_contact_id",
    "genius_prospect.marketsharp_id", "genius_lead.agent_id", "leadconduit_lead.salesrabbit_lead_id_hge",
}  # fmt: skip
"""References that cross from one system into another, or that the vendor writes in another form than the key."""


@pytest.fixture
def warehouse(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A warehouse with the tables at both ends of ``ACROSS``, of one population."""
    tables = {name.rpartition(".")[0] for name in ACROSS}
    tables |= {
        target(ENTITIES[table].refs[column], ENTITIES)[0].table
        for table, _, column in (name.rpartition(".") for name in ACROSS)
    }
    crms = tuple(source.name for source in SOURCES if tables & {entity.table for entity in source.entities})
    for what in lacking(crms).values():
        missing(what)
    with start(crms, contacts=120) as simulators:
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        simulators.control("genius", "edit", table="lead", key=["7"], agent_id="not assigned")
        for table in sorted(tables):
            source, entity = BY_TABLE[table]
            assert sync(source, entity, Options(), url=database_url).status == "success", table
    with psycopg.connect(database_url) as connection:
        yield connection


def test_ids_of_another_system_find_their_row(warehouse: psycopg.Connection) -> None:
    """Written as text or number, in capitals or not: joined by ``=``, most of them are found."""
    shares = {}
    for name in sorted(ACROSS):
        table, _, column = name.rpartition(".")
        other, key = target(ENTITIES[table].refs[column], ENTITIES)
        counted = warehouse.execute(
            f"SELECT count(*), count(o.{key}) FROM {table} t LEFT JOIN {other.table} o ON o.{key} = t.{column}"
            f" WHERE t.{column} IS NOT NULL"
        ).fetchone()
        assert counted is not None
        shares[name] = counted[1] / counted[0] if counted[0] else None
    assert {name: share for name, share in shares.items() if not share or share < 0.3} == {}
    unread = warehouse.execute(
        "SELECT count(*) FILTER (WHERE agent_id IS NULL), count(*) FROM genius_lead"
        " WHERE raw_data ->> 'agent_id' = 'not assigned'"
    ).fetchone()
    assert unread is not None
    assert 0 < unread[0] == unread[1], "what names no user is null, and the lead is loaded"
