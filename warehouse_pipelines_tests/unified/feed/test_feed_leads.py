"""``feed.leads``: one lead per person, what becomes of its fields, merges and their undoing, who may write what."""

import uuid

import pytest
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.feed import consent, signals
from warehouse_pipelines.unified.lead_rows import MORE_CONSENT, SIGNALS
from warehouse_pipelines.unified.people_rows import (
    PEOPLE,
)
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

PHONE, OTHER_PHONE = "+12165550101", "+12165550102"


def test_a_person_of_several_crms_is_one_lead(fed: FeedDatabase) -> None:
    """With the most advanced status, the first source, the branch, the owner, the value, and where each came from."""
    owner = fed.person(fed.source("hubspot_owner", id="77", email="rep@example.com"), kind="staff")
    contact = fed.contact(lifecyclestage="lead", hge_primary_source=" Google Ads ", division="Dayton",
                          hubspot_owner_id="77")  # fmt: skip
    rabbit = fed.source("salesrabbit_lead", id=5, status="Appointment Set", created_at="2025-12-24T08:00:00Z",
                        status_modified="2026-01-03T08:00:00Z")  # fmt: skip
    fed.source("hubspot_deal", id="d1", dealstage="contractsent", amount=12000, hs_lastmodifieddate="2026-02-03")
    fed.source("hubspot_contact_to_deal_association", contact_id="1", deal_id="d1", association_type_id=3)
    person = fed.person(contact, rabbit, phones=(PHONE,), first_name="Ada", last_name="Example", zip="44101",
                        email="ada@example.com",
                        origins={"email": {"source_table": "hubspot_contact", "source_key": "1",
                                           "at": "2026-02-01T10:00:00Z"}})  # fmt: skip
    summary = fed.feed()
    assert (summary.counts["created"], summary.people) == (1, 1)
    lead = fed.lead(person)
    assert {name: lead[name] for name in ("first_name", "last_name", "email", "phone", "status", "source", "division",
                                          "postal_code", "owner_id", "value_usd")} == {
        "first_name": "Ada", "last_name": "Example", "email": "ada@example.com", "phone": PHONE, "status": "proposal",
        "source": "google ads", "division": "Dayton", "postal_code": "44101", "owner_id": owner, "value_usd": 12000,
    }  # fmt: skip
    assert lead["created_at"].isoformat() == "2025-12-24T08:00:00+00:00"
    assert lead["source_metadata"]["crm_source"] == "hubspot"
    assert lead["source_metadata"]["crm_sources"] == ["hubspot", "salesrabbit"]
    origins = {
        row["field"]: (row["entered_in"], row["source_table"], row["source_key"])
        for row in fed.all("SELECT * FROM crm.lead_field_origin WHERE lead_id = %s", lead["id"])
    }
    assert origins["email"] == ("source", "hubspot_contact", "1")
    assert origins["status"] == ("source", "hubspot_deal", "d1")
    assert [row["triggered_by"] for row in fed.all("SELECT * FROM crm.lead_status_history")] == ["import"]


def test_a_second_run_changes_nothing(fed: FeedDatabase) -> None:
    fed.person(fed.contact(lifecyclestage="customer"), phones=(PHONE,), first_name="Ada")
    fed.feed()
    log = fed.all("SELECT count(*) FROM crm.lead_audit_log")
    for full in (False, True):
        counts = fed.feed(full=full).counts
        assert {
            counts[name] for name in ("created", "updated", "deleted", "merged", "listed", "consent", "scored")
        } == {0}
    assert fed.all("SELECT count(*) FROM crm.lead_audit_log") == log


def test_who_is_only_called_is_no_lead(fed: FeedDatabase) -> None:
    """A call makes a lead when CallRail marks it as one; a form always."""
    call = fed.source("callrail_call", id="c1", customer_phone_number_e164=PHONE)
    form = fed.source("callrail_form_submission", id="f1", customer_phone_number_e164=OTHER_PHONE)
    caller, writer = fed.person(call, phones=(PHONE,)), fed.person(form, phones=(OTHER_PHONE,))
    fed.feed()
    assert [lead["golden_id"] for lead in fed.leads()] == [writer]
    fed.source("callrail_call", id="c1", lead_status="good_lead")
    fed.feed()
    assert fed.lead(caller)["status"] == "contacted"


def test_staff_are_no_leads(fed: FeedDatabase) -> None:
    fed.person(fed.source("hubspot_owner", id="1"), kind="staff")
    fed.feed(full=True)
    assert fed.leads() == []


def test_a_value_that_a_user_entered_stays_until_the_source_changes_later(fed: FeedDatabase) -> None:
    contact = fed.contact(division="Dayton")
    person = fed.person(contact, phones=(PHONE,), last_name="Example")
    fed.feed()
    fed.edit(fed.lead(person)["id"], division="Toledo")
    fed.touch(person)
    fed.feed(full=True)
    assert fed.lead(person)["division"] == "Toledo"
    origin = fed.one("SELECT * FROM crm.lead_field_origin WHERE field = 'division'")
    assert (origin["entered_in"], origin["source_table"], origin["since"] is None) == ("crm", None, False)
    # The vendor's change was made before the user's, and is loaded after it.
    fed.contact(division="Columbus")
    fed.feed()
    assert fed.lead(person)["division"] == "Toledo"
    fed.contact(division="Cleveland", lastmodifieddate="2999-01-01T00:00:00Z")
    fed.feed()
    assert fed.lead(person)["division"] == "Cleveland"
    assert fed.one("SELECT * FROM crm.lead_field_origin WHERE field = 'division'")["entered_in"] == "source"


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_value_that_a_user_took_out_stays_out(fed: FeedDatabase) -> None:
    person = fed.person(fed.contact(division="Dayton"))
    fed.feed()
    fed.edit(fed.lead(person)["id"], division=None)
    fed.feed(full=True)
    assert fed.lead(person)["division"] is None


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_value_that_the_source_takes_out_goes(fed: FeedDatabase) -> None:
    person = fed.person(fed.contact(division="Dayton"), email="ada@example.com")
    fed.feed()
    fed.touch(person, email=None)
    fed.feed()
    assert fed.lead(person)["email"] is None


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_tags_of_the_sources_and_of_users_live_side_by_side(fed: FeedDatabase) -> None:
    lead = "00000000-0000-0000-0000-00000000001d"
    tags = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
    row = fed.source("pipedesk.leads", id=lead, legal_name="Ada Ltd")
    for tag, name in zip(tags, (" VIP", "Solar"), strict=True):
        fed.source("pipedesk.tags", id=tag, name=name)
        fed.source("pipedesk.lead_tags", lead_id=lead, tag_id=tag)
    form = fed.source("callrail_form_submission", id="f", tags=["vip", {"name": "Quote"}])
    person = fed.person(row, form)
    fed.feed()
    assert fed.lead(person)["tags"] == ["quote", "solar", "vip"]
    fed.edit(fed.lead(person)["id"], tags=["hot", "quote", "vip"])
    fed.source("pipedesk.lead_tags", lead_id=lead, tag_id=tags[0], archived=True)
    fed.source("callrail_form_submission", id="f", tags=["Quote", "Metal"])
    fed.feed()
    assert fed.lead(person)["tags"] == ["hot", "metal", "quote"]
    fed.source("pipedesk.lead_tags", lead_id=lead, tag_id=tags[0])
    fed.feed()
    fed.source("pipedesk.tags", id=tags[0], name="Gold")
    fed.feed()
    assert fed.lead(person)["tags"] == ["gold", "hot", "metal", "quote"], "a tag that was renamed"
    fed.source("pipedesk.lead_tags", lead_id=lead, tag_id=tags[0], archived=True)
    fed.feed()
    fed.feed(full=True)
    assert fed.lead(person)["tags"] == ["hot", "metal", "quote"]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_couple_on_one_phone_are_two_leads(fed: FeedDatabase) -> None:
    """The number is one's; do-not-call of the other one holds for it all the same."""
    first = fed.person(fed.contact(), phones=(PHONE,), first_name="Ada", last_name="Example")
    second = fed.person(fed.contact(2, createdate="2026-03-01T00:00:00Z", lead_is_dnc=True), phones=(PHONE,),
                        first_name="Ben", last_name="Example")  # fmt: skip
    fed.feed()
    assert (fed.lead(first)["phone"], fed.lead(second)["phone"]) == (PHONE, None)
    assert fed.lead(second)["source_metadata"]["shared_phones"] == [PHONE]
    assert fed.listed(PHONE, "call")
    reasons = fed.one("SELECT crm.lead_block_reason(l, 'call') AS a FROM crm.leads AS l WHERE id = %s",
                      [fed.lead(second)["id"]])  # fmt: skip
    assert reasons["a"] == "dnc"
    assert fed.feed(full=True).counts["updated"] == 0


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_number_that_is_free_again_is_given(fed: FeedDatabase) -> None:
    first = fed.person(fed.contact(), phones=(PHONE,), first_name="Ada")
    second = fed.person(fed.contact(2, createdate="2026-03-01"), phones=(PHONE,), first_name="Ben")
    fed.feed()
    fed.touch(first, phone=OTHER_PHONE)
    fed.touch(second)
    fed.feed()
    assert (fed.lead(first)["phone"], fed.lead(second)["phone"]) == (OTHER_PHONE, PHONE)
    assert "shared_phones" not in fed.lead(second)["source_metadata"]


@pytest.mark.parametrize(
    ("entered", "full"),
    [
        (OTHER_PHONE, False),
        pytest.param(
            OTHER_PHONE, True, marks=pytest.mark.slow("people in other orders of edits, decisions and erasures")
        ),
        pytest.param(None, False, marks=pytest.mark.slow("people in other orders of edits, decisions and erasures")),
        (None, True),
    ],
)
def test_a_number_that_a_user_takes_from_a_lead_is_given_to_who_shares_it_by_the_next_feed(
    fed: FeedDatabase, entered: str | None, full: bool
) -> None:
    first = fed.person(fed.contact(), phones=(PHONE,), first_name="Ada")
    second = fed.person(fed.contact(2, createdate="2026-03-01T00:00:00Z", lead_is_dnc=True), phones=(PHONE,),
                        first_name="Ben")  # fmt: skip
    fed.feed()
    fed.settle()
    fed.session.execute("UPDATE crm.leads SET phone = %s WHERE golden_id = %s", [entered, first])
    fed.feed(full=full)
    assert (fed.lead(first)["phone"], fed.lead(second)["phone"]) == (entered, PHONE)
    assert "shared_phones" not in fed.lead(second)["source_metadata"]
    reason = "SELECT crm.lead_block_reason(l, 'call') AS it FROM crm.leads AS l WHERE golden_id = %s"
    assert fed.one(reason, [second])["it"] == "dnc"
    for again in (False, True):
        counts = fed.feed(full=again).counts
        assert (counts["updated"], fed.lead(first)["phone"], fed.lead(second)["phone"]) == (0, entered, PHONE)


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_two_numbers_that_change_places(fed: FeedDatabase) -> None:
    first = fed.person(fed.contact(), phones=(PHONE,), first_name="Ada")
    second = fed.person(fed.contact(2), phones=(OTHER_PHONE,), first_name="Ben")
    fed.feed()
    fed.touch(first, phone=OTHER_PHONE)
    fed.touch(second, phone=PHONE)
    for _ in range(3):
        fed.feed(full=True)
    assert {fed.lead(first)["phone"], fed.lead(second)["phone"]} <= {PHONE, OTHER_PHONE, None}
    assert fed.feed(full=True).counts["updated"] == 0


def test_a_lead_without_a_source_is_deleted_softly_and_comes_back(fed: FeedDatabase) -> None:
    contact = fed.contact()
    person = fed.person(contact, first_name="Ada")
    fed.feed()
    lead = fed.lead(person)["id"]
    fed.contact(archived=True)
    fed.record(contact, person, deleted=True)
    fed.feed()
    assert fed.leads("id = %s", lead)[0]["deleted_at"] is not None
    fed.contact(archived=False)
    fed.record(contact, person, deleted=False)
    fed.feed()
    assert fed.lead(person)["id"] == lead


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_that_somebody_worked_on_stays_without_a_source(fed: FeedDatabase) -> None:
    contact = fed.contact()
    person = fed.person(contact, first_name="Ada")
    fed.feed()
    fed.edit(fed.lead(person)["id"], division="Toledo")
    fed.record(contact, person, deleted=True)
    fed.feed()
    assert fed.lead(person)["division"] == "Toledo"


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_that_a_user_deleted_stays_deleted(fed: FeedDatabase) -> None:
    person = fed.person(fed.contact(), first_name="Ada")
    fed.feed()
    fed.edit(fed.lead(person)["id"], deleted_at="2026-05-01")
    fed.feed(full=True)
    assert len(fed.leads()) == 1
    assert fed.leads("deleted_at IS NULL") == []


def test_a_qualified_lead_of_pipedesk_is_not_deleted(fed: FeedDatabase) -> None:
    """PipeDesk sets deleted_at on a lead that it made a company of."""
    lead = "00000000-0000-0000-0000-00000000001d"
    status = "00000000-0000-0000-0000-00000000005a"
    fed.source("pipedesk.lead_statuses", id=status, code="QUALIFIED", label="Qualified")
    row = fed.source(
        "pipedesk.leads", id=lead, legal_name="Ada Ltd", lead_status_id=status, qualified_at="2026-01-01", archived=True
    )
    person = fed.person(row, first_name="Ada")
    fed.record(row, person, deleted=True)
    fed.feed()
    assert fed.lead(person)["status"] == "qualified"


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_that_was_added_by_hand_is_taken_over(fed: FeedDatabase) -> None:
    """By its number and name; what stands in it stays, what is empty is filled, the further status counts."""
    fed.session.execute(
        "INSERT INTO crm.leads (organization_id, first_name, last_name, phone, division) VALUES (%s, 'Ada', 'Example',"
        " %s, 'Toledo')", [ORGANIZATION, PHONE],
    )  # fmt: skip
    person = fed.person(fed.contact(division="Dayton", lifecyclestage="customer"), phones=(PHONE,), first_name="Ada",
                        last_name="Example", email="ada@example.com")  # fmt: skip
    other = fed.person(fed.contact(2), phones=(PHONE,), first_name="Ben", last_name="Example")
    fed.feed()
    lead = fed.lead(person)
    assert (lead["division"], lead["email"], lead["status"]) == ("Toledo", "ada@example.com", "won")
    assert len(fed.leads()) == 2
    assert fed.lead(other)["phone"] is None
    assert fed.feed(full=True).counts["updated"] == 0


def test_an_erased_lead_is_left_alone(fed: FeedDatabase) -> None:
    person = fed.person(fed.contact(), phones=(PHONE,), first_name="Ada")
    fed.feed()
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        fed.session.execute("SELECT crm.erase_lead(%s)", [fed.lead(person)["id"]])
    fed.session.execute("DELETE FROM identity.person")
    fed.feed(full=True)
    assert [lead["first_name"] for lead in fed.leads()] == [None]


def test_a_crm_of_another_organization_feeds_that(fed: FeedDatabase) -> None:
    other = "00000000-0000-0000-0000-0000000000bb"
    fed.session.execute("INSERT INTO crm.feed_source VALUES ('salesrabbit', %s)", [other])
    rabbit = fed.source("salesrabbit_lead", id=5, status="Sold")
    person = fed.person(fed.contact(lifecyclestage="lead"), rabbit, phones=(PHONE,), first_name="Ada")
    fed.feed()
    found = {str(lead["organization_id"]): lead for lead in fed.leads("golden_id = %s", person)}
    assert {name: lead["status"] for name, lead in found.items()} == {ORGANIZATION: "new", other: "won"}
    assert {lead["phone"] for lead in found.values()} == {PHONE}


def test_each_signal_and_consent_can_be_planned_although_nobody_has_its_records(fed: FeedDatabase) -> None:
    """A run leaves out the tables whose records none of its people have."""
    given = {"organization": ORGANIZATION}
    with fed.session.transaction():
        for name in ("feed_temp", "feed_member", "feed_consent_temp"):
            fed.session.execute(query(name))
        for signal in SIGNALS:
            fed.session.execute(sql.SQL("EXPLAIN {}").format(signals.insert(signal)), given)
        for row in PEOPLE:
            if consents := (*row.consent, *MORE_CONSENT.get(row.table, ())):
                fed.session.execute(sql.SQL("EXPLAIN {}").format(consent._stage(row.table, consents)), given)


def test_a_transaction_whose_beginning_is_hidden_holds_the_positions(
    fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without pg_read_all_stats does not see since when others' transactions run, but sees that they do."""
    role = f"plain_{uuid.uuid4().hex[:12]}"
    fed.session.execute(f"CREATE ROLE {role}")
    with warehouse.connect(fed.url) as application:
        application.execute("BEGIN; SELECT pg_current_xact_id()")
        fed.session.execute(f"SET ROLE {role}")
        seen = fed.one(query("feed_until"))
        fed.session.execute("RESET ROLE")
        fed.session.execute(f"DROP ROLE {role}")
        application.execute("ROLLBACK")
    assert seen == {"read_until": None}
    hidden = "SELECT NULL::timestamptz AS read_until"
    for module in ("feed", "marts.refresh"):
        monkeypatch.setattr(
            f"warehouse_pipelines.unified.{module}.query", lambda name: hidden if name == "feed_until" else query(name)
        )
    fed.person(fed.contact(division="Dayton"))
    fed.feed()
    marts.run(fed.session, ["activity_timeline"])
    for table in ("crm.feed_position", "marts.position"):
        rows = fed.all(f"SELECT DISTINCT read_until = '-infinity' AS held FROM {table}")
        assert rows == [{"held": True}], table


def test_a_job_that_goes_to_another_customer_leaves_the_lead_that_had_it(fed: FeedDatabase) -> None:
    """Of two that count together, the one that no field of the lead names too."""
    fed.source("genius_job_status", id=4, label="Finished")
    people = [fed.person(fed.source("genius_prospect", prospect_id=n)) for n in (1, 2, 3)]
    for n in (1, 2):
        fed.source("genius_job", id=n, prospect_id=1, status=4, contract_amount=n * 1000, modified="2026-02-01")
    fed.feed()
    assert [fed.lead(person)["value_usd"] for person in people] == [3000, None, None]
    fed.settle()
    fed.source("genius_job", id=2, prospect_id=2, status=4, contract_amount=2000, modified="2026-02-02")
    assert fed.feed().people == 2
    assert [fed.lead(person)["value_usd"] for person in people] == [1000, 2000, None]


def test_a_rep_who_is_entered_after_his_leads_gets_them(fed: FeedDatabase) -> None:
    leads = [fed.person(fed.contact(n, hubspot_owner_id=owner)) for n, owner in ((1, "77"), (2, "78"))]
    fed.feed()
    fed.settle()
    rep = fed.person(fed.source("hubspot_owner", id="77", email="rep@example.com"), kind="staff")
    assert fed.feed().people == 1
    assert [fed.lead(person)["owner_id"] for person in leads] == [rep, None]


def test_a_shared_number_goes_to_the_other_lead_when_the_one_that_has_it_is_deleted(fed: FeedDatabase) -> None:
    one, other = (
        fed.person(fed.contact(n, createdate=f"2026-01-0{n}T10:00:00Z"), phones=(PHONE,), first_name=name)
        for n, name in ((1, "Ada"), (2, "Ben"))
    )
    fed.feed()
    assert [fed.lead(person)["phone"] for person in (one, other)] == [PHONE, None]
    fed.settle()
    fed.session.execute("UPDATE crm.leads SET deleted_at = now() WHERE golden_id = %s", [one])
    fed.feed()
    lead = fed.lead(other)
    assert (lead["phone"], lead["source_metadata"].get("shared_phones")) == (PHONE, None)


def test_a_change_of_the_feed_s_rules_computes_all_once(fed: FeedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    fed.person(fed.contact(), phones=(PHONE,))
    assert [fed.feed().full, fed.feed().full] == [True, False]
    monkeypatch.setattr(signals, "RULES", signals.RULES + 1)
    assert [fed.feed().full, fed.feed().full] == [True, False]
