"""What was entered and done in crm, in ``marts.activity_timeline``: once, and not what a source tells already."""

import json
from typing import Any
from uuid import UUID

import pytest

from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES, NO_ACTIVITIES
from warehouse_pipelines.unified.marts.crm_activity_rows import CRM_LOGS
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase, Row
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows, settle

USER = "00000000-0000-0000-0000-0000000000a1"
PHONE, OTHER_PHONE = "+12162230101", "+12162230102"
CONSENT = '[{"channel": "sms", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3"}]'


TIMELINE = ("activity_timeline",)


def told(fed: FeedDatabase, *names: str) -> list[tuple[Any, ...]]:
    """Run the timeline, and return these columns of the activities of crm in the order of time."""
    settle(fed.session)
    marts.run(fed.session, TIMELINE)
    found = [row for row in rows(fed.session, "activity_timeline") if row["crm_source"] == "crm"]
    assert_as_from_nothing(fed.session, TIMELINE)
    return [tuple(row[name] for name in names) for row in sorted(found, key=lambda row: row["occurred_at"])]


def contact(fed: FeedDatabase, number: int = 1, **values: Any) -> Row:
    """Write a contact of HubSpot's with its person, feed it, and return the lead."""
    name = fed.source(
        "hubspot_contact", id=str(number), firstname="Ada", createdate="2026-01-01",
        lastmodifieddate="2026-01-02", **{"lifecyclestage": "lead", **values},
    )  # fmt: skip
    person = fed.person(name, first_name="Ada", last_name=f"Example{number}")
    fed.feed()
    return fed.lead(person)


def entered(fed: FeedDatabase, **values: Any) -> UUID:
    """Enter a lead as a user of the application does."""
    given = {"organization_id": ORGANIZATION, "first_name": "Bo", "last_name": "Sample", "phone": PHONE, **values}
    with fed.session.transaction():
        fed.session.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [ORGANIZATION, USER],
        )
        row = fed.one(
            f"INSERT INTO crm.leads ({', '.join(given)}) VALUES ({', '.join(f'%({name})s' for name in given)})"
            " RETURNING id".encode(),
            given,
        )
    made: UUID = row["id"]
    return made


def unify(fed: FeedDatabase) -> None:
    resolve.run(fed.session)
    fed.feed()


def test_every_table_of_crm_is_an_activity_or_says_why_not(fed: FeedDatabase) -> None:
    there = {
        f"crm.{row['name']}"
        for row in fed.all(
            "SELECT c.relname AS name FROM pg_class AS c WHERE c.relnamespace = 'crm'::regnamespace"
            " AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
    }
    said = {table for table in NO_ACTIVITIES if table.startswith("crm.")}
    assert said | CRM_LOGS.keys() == there
    assert not said & CRM_LOGS.keys()
    views = {view for found in CRM_LOGS.values() for view in found}
    assert views == {row.table for row in ACTIVITIES if row.crm == "crm"}


def test_story_3_13_all_kinds_are_told() -> None:
    """By tables that are loaded, or by crm."""
    assert {
        "call", "text", "form", "appointment", "booking", "task", "estimate", "status_change", "assignment", "note",
    } <= {row.kind for row in ACTIVITIES}  # fmt: skip


@pytest.mark.slow("other causes of a change in a mart")
def test_what_the_feed_writes_is_told_by_its_source_alone(fed: FeedDatabase) -> None:
    contact(fed, hs_lead_status="OPEN", hubspot_owner_id="7")
    fed.source("hubspot_contact", id="1", createdate="2026-01-01", lastmodifieddate="2026-02-02",
               lifecyclestage="customer")  # fmt: skip
    fed.feed()
    assert fed.one("SELECT count(*) AS n FROM crm.lead_status_history")["n"] == 2
    assert told(fed, "kind") == []
    marts.run(fed.session)
    # Nor does a score, which changes each night, compute anybody again.
    fed.session.execute("UPDATE marts.position SET read_until = now()")
    fed.session.execute("UPDATE crm.leads SET lead_score = 99")
    assert [one.persons for one in marts.run(fed.session, ["sale", "lead_journey", "attribution_credit"])] == [0, 0, 0]


def test_what_a_user_does_is_told_once(fed: FeedDatabase) -> None:
    ann = fed.person(fed.source("genius_user", user_id=1), kind="staff", display_name="Ann")
    lead = contact(fed)
    fed.edit(lead["id"], status="contacted")
    fed.edit(lead["id"], owner_id=ann)
    fed.edit(lead["id"], tags=["hot", "roof"])
    fed.edit(lead["id"], tags=["roof", "solar"])
    person = lead["golden_id"]
    assert told(fed, "kind", "person_id", "outcome", "our_user", "title") == [
        ("status_change", person, "contacted", None, "user"),
        ("assignment", person, "manual", "Ann", None),
        ("tags", person, None, None, "+hot +roof"),
        ("tags", person, None, None, "+solar -hot"),
    ]
    # Another word of the source is the source's.
    fed.source("hubspot_contact", id="1", createdate="2026-01-01", lastmodifieddate="2126-02-02",
               lifecyclestage="customer")  # fmt: skip
    fed.feed()
    assert fed.lead(person)["status"] == "won"
    assert [kind for kind, _ in told(fed, "kind", "outcome")] == ["status_change", "assignment", "tags", "tags"]


def test_a_rule_says_how_it_chose_and_a_feed_that_it_did_not(fed: FeedDatabase) -> None:
    ann = fed.person(fed.source("hubspot_owner", id="7"), kind="staff", display_name="Ann")
    lead = contact(fed, hubspot_owner_id="7")
    assert lead["owner_id"] == ann
    fed.session.execute(
        "INSERT INTO crm.system_config (organization_id, key, value) VALUES (%s, 'assignment.users', %s)",
        [ORGANIZATION, json.dumps([USER])],
    )
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute("SELECT crm.assign_lead(%s, 'round_robin')", [lead["id"]])
    strategies = fed.all("SELECT strategy FROM crm.lead_assignments ORDER BY created_at")
    assert [row["strategy"] for row in strategies] == ["import", "round_robin"]
    assert told(fed, "kind", "outcome", "user_key", "our_user_id") == [("assignment", "round_robin", USER, None)]


@pytest.mark.slow("other causes of a change in a mart")
def test_an_entered_lead_is_told_as_it_was_entered(fed: FeedDatabase) -> None:
    """Also when the feed has taken it over since, and it has HubSpot's status, source and owner."""
    entered(fed, email="bo@example.com", source="Radio", status="contacted", division="North", owner_id=USER)
    unify(fed)
    wanted = [("lead", "radio", "contacted", "North", None), ("assignment", None, "manual", None, None)]
    names = "kind", "lead_source", "outcome", "division", "direction"
    assert told(fed, *names) == wanted
    fed.source(
        "hubspot_contact", id="1", firstname="Bo", lastname="Sample", phone_e164=PHONE, email="bo@example.com",
        createdate="2026-01-01", lastmodifieddate="2126-01-01", lifecyclestage="customer",
        hge_primary_source="Facebook",
    )  # fmt: skip
    unify(fed)
    (row,) = fed.leads("deleted_at IS NULL")
    assert row["status"] == "won"
    assert told(fed, *names) == wanted
    (person,) = {row["person_id"] for row in rows(fed.session, "activity_timeline")}
    assert person == row["golden_id"]


@pytest.mark.slow("other causes of a change in a mart")
def test_a_lead_that_is_deleted_is_no_activity(fed: FeedDatabase) -> None:
    """By a user, and for good; without a trace but that there are fewer."""
    lead = contact(fed)
    fed.edit(lead["id"], status="contacted")
    assert told(fed, "kind") == [("status_change",)]
    fed.session.execute("UPDATE crm.leads SET deleted_at = now() WHERE id = %s", [lead["id"]])
    assert told(fed, "kind") == []
    fed.session.execute("UPDATE crm.leads SET deleted_at = NULL WHERE id = %s", [lead["id"]])
    assert told(fed, "kind") == [("status_change",)]
    fed.session.execute("DELETE FROM crm.leads WHERE id = %s", [lead["id"]])
    assert told(fed, "kind") == []


@pytest.mark.slow("other causes of a change in a mart")
def test_people_who_are_merged_and_an_owner_who_is(fed: FeedDatabase) -> None:
    ann, other = (fed.person(fed.source("genius_user", user_id=n), kind="staff", display_name=f"n{n}") for n in (1, 2))
    lead, second = contact(fed), contact(fed, 2)
    fed.edit(lead["id"], owner_id=other)
    fed.edit(second["id"], status="contacted")
    assert {row[0] for row in told(fed, "person_id")} == {lead["golden_id"], second["golden_id"]}
    fed.join(lead["golden_id"], second["golden_id"])
    fed.join(ann, other)
    fed.feed()
    assert told(fed, "kind", "person_id", "our_user") == [
        ("assignment", lead["golden_id"], "n1"), ("status_change", lead["golden_id"], None),
    ]  # fmt: skip
    fed.part(other, ("genius_user", "2"))
    fed.session.execute("UPDATE identity.person SET kind = 'staff', display_name = 'n2' WHERE person_id = %s", [other])
    assert [row for row in told(fed, "kind", "our_user") if row[0] == "assignment"] == [("assignment", "n2")]
    marts.run(fed.session)
    assert_as_from_nothing(fed.session)


@pytest.mark.slow("other causes of a change in a mart")
def test_a_step_of_a_sequence_is_a_text_of_ours(fed: FeedDatabase) -> None:
    lead = contact(fed)
    fed.session.execute("UPDATE crm.leads SET phone = %s, consent = %s WHERE id = %s", [PHONE, CONSENT, lead["id"]])
    sequence = fed.one(
        "INSERT INTO crm.nurture_sequences (organization_id, name, steps, is_active) VALUES (%s, 'Spring', %s, true)"
        " RETURNING id",
        [ORGANIZATION, json.dumps([{"channel": "sms", "template": "t"}, {"channel": "task"}])],
    )["id"]
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        enrolled = fed.one("SELECT crm.enroll_lead(%s, %s) AS id", [lead["id"], sequence])["id"]
    assert told(fed, "kind") == []
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute("SELECT crm.advance_enrollment(%s, 0, '\"delivered\"')", [enrolled])
    names = "kind", "direction", "outcome", "title", "person_id"
    assert told(fed, *names) == [("text", "outbound", "delivered", "Spring", lead["golden_id"])]
    marts.run(fed.session)
    (journey,) = rows(fed.session, "lead_journey")
    assert journey["first_touch_at"].isoformat() == "2026-01-01T00:00:00+00:00", "what we send is no first touch"


@pytest.mark.slow("other causes of a change in a mart")
def test_leads_of_an_organization_that_no_source_feeds_are_not_here(fed: FeedDatabase) -> None:
    lead = entered(fed, organization_id="00000000-0000-0000-0000-000000000009")
    fed.session.execute("UPDATE crm.leads SET status = 'contacted' WHERE id = %s", [lead])
    unify(fed)
    assert told(fed, "kind") == []


@pytest.mark.slow("other causes of a change in a mart")
def test_what_an_erasure_left_of_tags_is_no_tag(fed: FeedDatabase) -> None:
    lead = contact(fed)
    fed.edit(lead["id"], tags=["hot"])
    assert told(fed, "title") == [("+hot",)]
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute("SELECT crm.erase_lead(%s)", [lead["id"]])
    assert told(fed, "title") == []


def test_who_migrates_without_being_a_superuser_reads_all_organizations(fed: FeedDatabase) -> None:
    """As such a user is granted crm_owner and crm_definer; the marts act for no organization."""
    lead = contact(fed)
    fed.edit(lead["id"], status="contacted")
    fed.edit(lead["id"], owner_id=USER)
    fed.edit(lead["id"], tags=["hot"])
    sequence = fed.one(
        "INSERT INTO crm.nurture_sequences (organization_id, name, steps) VALUES (%s, 'Spring',"
        ' \'[{"channel": "mail"}]\') RETURNING id',
        [ORGANIZATION],
    )["id"]
    fed.session.execute(
        "INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id, sequence_id, execution_log)"
        ' VALUES (%s, %s, %s, \'[{"step": 0, "event": "done", "at": "2026-01-02T03:04:05Z"}]\')',
        [ORGANIZATION, lead["id"], sequence],
    )
    fed.session.execute(
        "INSERT INTO crm.lead_source_costs (organization_id, source, month, amount)"
        " VALUES (%s, 'radio', '2026-01-01', 1)",
        [ORGANIZATION],
    )
    with fed.session.transaction(force_rollback=True):
        fed.session.execute("CREATE ROLE marts_tester IN ROLE crm_owner, crm_definer")
        fed.session.execute("GRANT USAGE ON SCHEMA crm TO marts_tester")
        fed.session.execute("SET LOCAL ROLE marts_tester")
        for view in ("lead_status_change", "lead_assignment", "lead_tag_change", "sequence_step", "lead_source_costs"):
            assert fed.one(f"SELECT count(*) AS n FROM crm.{view}".encode())["n"] == 1, view
