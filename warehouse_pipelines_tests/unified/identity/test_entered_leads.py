"""Leads that a file or a user brought into crm: records of identity, the feed's, and what undoing an import leaves."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.identity import entered as entered_leads
from warehouse_pipelines.unified.identity import records, resolve, source_rows
from warehouse_pipelines.unified.lead_import import run, undo
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase
from warehouse_pipelines_tests.harness.import_database import OPTIONS, import_leads

PHONE, OTHER_PHONE, THIRD_PHONE = "+12162230101", "+12162230102", "+12162230103"
HEAD = "First,Last,Phone,Cell,Email,Zip,Status\n"


class Entered:
    """A warehouse in which identity is resolved and fed as the job ``unify`` does it."""

    def __init__(self, fed: FeedDatabase, folder: Path) -> None:
        self.fed, self.folder, self.files = fed, folder, 0

    def load(self, rows: str, options: run.Options = OPTIONS, head: str = HEAD) -> run.Summary:
        self.files += 1
        path = self.folder / f"leads{self.files}.csv"
        path.write_text(head + rows)
        return import_leads(self.fed.session, path, options)

    def undo(self, summary: run.Summary) -> undo.Undone:
        return undo.undo(self.fed.session, uuid.UUID(ORGANIZATION), summary.id, by="tester")

    def unify(self, *, full: bool = False) -> None:
        resolve.run(self.fed.session, full=full)
        self.fed.feed(full=full)

    def contact(self, **values: Any) -> None:
        given = {"id": "1", "firstname": "Ada", "lastname": "Example", "email": "ada@example.com", **values}
        self.fed.source("hubspot_contact", **given)

    def members(self) -> list[tuple[str, ...]]:
        """The records of each person, by their tables."""
        found = self.fed.all(
            "SELECT array_agg(source_table ORDER BY source_table) AS tables FROM identity.member"
            " GROUP BY person_id ORDER BY 1"
        )
        return [tuple(row["tables"]) for row in found]

    def live(self) -> list[dict[str, Any]]:
        return self.fed.leads("deleted_at IS NULL")


@pytest.fixture
def entered(fed: FeedDatabase, tmp_path: Path) -> Entered:
    return Entered(fed, tmp_path)


IMPORTED, CONTACT = "crm.entered_leads", "hubspot_contact"


def test_an_imported_lead_and_a_contact_become_one_person_and_one_lead(entered: Entered) -> None:
    """Although no rule of the feed alone would see it: they share nothing but the number that the file has second."""
    entered.load("Adah,Example,2162230101,2162230102,other@example.com,44101,\n")
    entered.contact(phone_e164=OTHER_PHONE, lifecyclestage="customer")
    entered.unify()
    assert entered.members() == [(IMPORTED, CONTACT)]
    [lead] = entered.live()
    person = entered.fed.one("SELECT * FROM identity.person")
    assert lead["golden_id"] == person["person_id"]
    assert (lead["status"], lead["phone"], lead["source_metadata"]["crm_source"]) == ("won", PHONE, "hubspot")
    assert set(person["phones"]) == {PHONE, OTHER_PHONE}
    before = [entered.fed.leads(), entered.fed.all("SELECT * FROM identity.person")]
    entered.unify(full=True)
    assert [entered.fed.leads(), entered.fed.all("SELECT * FROM identity.person")] == before


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_an_imported_lead_of_whom_no_source_knows_is_a_person(entered: Entered) -> None:
    entered.load("Ada,Example,2162230101,,ada@example.com,44101,qualified\n")
    entered.unify()
    assert entered.members() == [(IMPORTED,)]
    [lead] = entered.live()
    assert lead["golden_id"] == entered.fed.one("SELECT person_id FROM identity.person")["person_id"]
    assert (lead["status"], lead["first_name"]) == ("qualified", "Ada")
    assert entered.fed.all("SELECT * FROM crm.lead_feed") == []


def test_a_lead_that_a_user_made_is_a_record(entered: Entered) -> None:
    entered.fed.session.execute(
        "INSERT INTO crm.leads (organization_id, first_name, last_name, email, phone) VALUES (%s, 'Ada', 'Example',"
        " 'ada@example.com', %s)", [ORGANIZATION, PHONE],
    )  # fmt: skip
    entered.contact(phone_e164=OTHER_PHONE)
    entered.unify()
    assert entered.members() == [(IMPORTED, CONTACT)]
    assert len(entered.live()) == 1


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_when_most_records_are_new_all_are_resolved_at_once(entered: Entered) -> None:
    """One by one they would take ten times as long."""
    entered.contact(phone_e164=PHONE)
    entered.unify()
    made = records.FEW + 1
    entered.fed.session.execute(
        "INSERT INTO crm.leads (organization_id, first_name, last_name, email)"
        " SELECT %s, 'Ada', 'Example', n || '@example.com' FROM generate_series(1, %s) AS n", [ORGANIZATION, made],
    )  # fmt: skip
    summary = resolve.run(entered.fed.session)
    assert (summary.full, summary.changed, summary.persons) == (True, made, made + 1)


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_session_that_has_had_temporary_tables_resolves_too(entered: Entered) -> None:
    """Such as one that a feed or an import was lent before: PostgreSQL refuses to give it other buffers."""
    entered.contact(phone_e164=PHONE)
    with warehouse.connect(entered.fed.url) as session:
        session.execute("CREATE TEMP TABLE before (id integer)")
        session.execute("INSERT INTO before VALUES (1)")
        session.execute("DISCARD ALL")
        assert resolve.run(session).persons == 1


def test_the_changed_leads_are_found_by_reading_the_view_once() -> None:
    """Of a view the planner knows no numbers: joined to itself by key, it was read again for each of its rows."""
    reading = source_rows.reading(entered_leads.ENTERED)
    for strays in ((), ("7",)):
        condition = records._changed_rows(reading, {IMPORTED}, strays)
        assert condition is not None
        assert "entered_leads" not in condition.as_string()


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_that_the_feed_made_is_no_record(entered: Entered) -> None:
    entered.contact(phone_e164=PHONE)
    for full in (False, False, True):
        entered.unify(full=full)
    assert entered.members() == [(CONTACT,)]
    assert len(entered.live()) == 1


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_what_the_feed_wrote_is_not_read_back(entered: Entered) -> None:
    """The lead takes a number from HubSpot. When HubSpot corrects it, nobody still says the wrong one."""
    entered.load(",Example,,,ada@example.com,,\n")
    entered.contact(phone_e164=PHONE, lastmodifieddate="2026-02-01")
    for full in (False, True):
        entered.unify(full=full)
    [lead] = entered.live()
    assert (lead["first_name"], lead["phone"]) == ("Ada", PHONE)
    record = entered.fed.one("SELECT * FROM identity.record WHERE source_table = %s", [IMPORTED])
    assert (record["first_name"], record["phones"]) == (None, [])
    entered.contact(phone_e164=OTHER_PHONE, firstname="Adele", lastmodifieddate="2026-03-01")
    entered.unify()
    [lead] = entered.live()
    assert (lead["first_name"], lead["phone"]) == ("Adele", OTHER_PHONE)
    assert entered.fed.one("SELECT phones FROM identity.person")["phones"] == [OTHER_PHONE]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_of_an_organization_that_no_source_feeds_is_not_read(entered: Entered) -> None:
    entered.load("Ada,Example,2162230101,,ada@example.com,,\n", run.Options(uuid.uuid4(), "tester"))
    entered.contact(phone_e164=PHONE)
    entered.unify(full=True)
    assert entered.members() == [(CONTACT,)]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_undoing_an_import_takes_the_record_away(entered: Entered) -> None:
    done = entered.load("Ada,Example,2162230101,,ada@example.com,44101,\n")
    entered.unify()
    assert entered.undo(done).deleted == 1
    entered.unify()
    assert entered.members() == []
    assert entered.live() == []


@pytest.mark.parametrize("contact_first", [False, True])
@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_undoing_an_import_leaves_the_lead_of_the_source(entered: Entered, contact_first: bool) -> None:
    """Whichever of the two leads was there first: what only the file said is dropped, what the source says is kept."""
    if contact_first:
        entered.contact(phone_e164=OTHER_PHONE, lifecyclestage="lead")
        entered.unify()
    done = entered.load("Adah,Example,2162230101,2162230102,x@example.com,44101,qualified\n")
    if contact_first:  # as another program would have entered it, and not as an addition to the lead that is there
        assert done.updated == 1
        entered.undo(done)
        entered.fed.session.execute(
            "INSERT INTO crm.leads (organization_id, first_name, last_name, email, phone) VALUES (%s, 'Ada', 'Example',"
            " 'ada@example.com', %s)", [ORGANIZATION, PHONE],
        )  # fmt: skip
        entered.unify()
        assert entered.members() == [(IMPORTED, CONTACT)]
        assert len(entered.live()) == 1
        return
    entered.contact(phone_e164=OTHER_PHONE, lifecyclestage="lead")
    entered.unify()
    assert entered.members() == [(IMPORTED, CONTACT)]
    undone = entered.undo(done)
    assert (undone.deleted, list(undone.left)) == (0, [undo.HANDED_OVER])
    entered.unify()
    assert entered.members() == [(CONTACT,)]
    [lead] = entered.live()
    assert (lead["first_name"], lead["phone"], lead["email"], lead["postal_code"], lead["status"]) == (
        "Ada", OTHER_PHONE, "ada@example.com", None, "new",
    )  # fmt: skip
    assert "import_id" not in lead["source_metadata"]


MORE = (
    "First,Last,Phone,Email,Zip,Division,Value,Tags,SMS Consent,Email Consent,Consent Date,Consent Source,"
    "Created,Notes\n"
)
WITH_MORE = (
    "Adah,Example,2162230102,x@example.com,44101,north,5000,bought list,yes,revoked,2025-01-01,bought list,"
    "2024-01-01,gate 4711\n"
)


def what_the_file_gave(lead: dict[str, Any]) -> tuple[Any, ...]:
    given = [one["channel"] for one in lead["consent"] if "revoked_at" not in one]
    return lead["division"], lead["value_usd"], lead["tags"], given, lead["source_metadata"].get("notes")


@pytest.mark.parametrize("contact_first", [False, True])
def test_undoing_an_import_leaves_no_consent_tag_or_value_on_the_lead_of_the_source(
    entered: Entered, contact_first: bool
) -> None:
    """Whether that took over the imported one, or the imported one became part of it. What was refused stays."""
    since = []
    stage = {"lifecyclestage": "customer"} if contact_first else {}  # the most advanced of two leads stays
    if contact_first:
        entered.contact(phone_e164=PHONE, **stage)
        entered.unify()
        since = [lead["created_at"] for lead in entered.live()]
    done = entered.load(WITH_MORE, head=MORE)
    assert done.created == 1
    entered.contact(phone_e164=PHONE, mobilephone="(216) 223-0102", mobilephone_e164=OTHER_PHONE, **stage)
    entered.unify()
    [lead] = entered.live()
    assert what_the_file_gave(lead) == ("north", 5000, ["bought list"], ["sms"], "gate 4711")
    assert lead["created_at"].year == 2024
    undone = entered.undo(done)
    expected = "consent was changed since, or must stay" if contact_first else undo.HANDED_OVER
    assert (undone.deleted, list(undone.left)) == (int(contact_first), [expected])
    for full in (False, True):
        entered.unify(full=full)
        [lead] = entered.live()
        assert what_the_file_gave(lead) == (None, None, [], [], None)
        assert [one["channel"] for one in lead["consent"]] == ["email"]
        assert (lead["first_name"], lead["phone"], lead["email"]) == ("Ada", PHONE, "ada@example.com")
        assert not since or since == [lead["created_at"]]


def test_undoing_an_import_follows_a_lead_that_it_changed_into_the_one_it_became_part_of(entered: Entered) -> None:
    """What the other lead had itself stays, and it is said of what both have."""
    entered.contact(phone_e164=PHONE)
    entered.unify()
    entered.load("Adah,Example,2162230102,x@example.com,,,,own,,,,,,\n", head=MORE)
    entered.unify()
    [part] = [lead for lead in entered.live() if lead["first_name"] == "Adah"]
    [other] = [lead for lead in entered.live() if lead["first_name"] == "Ada"]
    entered.fed.edit(other["id"], division="north")
    done = entered.load(WITH_MORE, head=MORE)
    assert done.updated == 1
    entered.contact(phone_e164=PHONE, mobilephone="(216) 223-0102", mobilephone_e164=OTHER_PHONE)
    entered.unify()
    [lead] = entered.live()
    assert lead["id"] == other["id"]
    assert what_the_file_gave(lead) == ("north", 5000, ["bought list", "own"], ["sms"], "gate 4711")
    undone = entered.undo(done)
    assert (undone.partly, undone.left) == (1, {
        "consent was changed since, or must stay": 2, undo.ALIKE.format("division"): 1,
    })  # fmt: skip
    for lead in entered.fed.leads("id = ANY(%s)", [part["id"], other["id"]]):
        kept = "north" if lead["id"] == other["id"] else None
        assert what_the_file_gave(lead) == (kept, None, ["own"], [], None)


def test_an_opt_out_of_a_file_holds_for_the_numbers_that_the_person_gets_later(entered: Entered) -> None:
    done = entered.load("Ada,Example,2162230101,ada@example.com,yes\n", head="First,Last,Phone,Email,Do Not Call\n")
    entered.contact(phone_e164=PHONE, mobilephone="(216) 223-0102", mobilephone_e164=OTHER_PHONE)
    entered.unify()
    assert [entered.fed.listed(phone, "call") for phone in (PHONE, OTHER_PHONE)] == [True, True]
    assert {row["detected_by"] for row in entered.fed.all("SELECT detected_by FROM crm.dnc_list")} == {"import"}
    assert list(entered.undo(done).left) == [undo.HANDED_OVER], "nobody put it on the list but the file"
    assert [entered.fed.listed(phone, "call") for phone in (PHONE, OTHER_PHONE)] == [True, True]


def test_a_row_finds_the_lead_of_a_person_by_any_of_its_numbers_and_addresses(entered: Entered) -> None:
    """By those of a source, and by the further ones of a file; the lead is another's where the name is."""
    entered.contact(phone_e164=PHONE, mobilephone="(216) 223-0102", mobilephone_e164=OTHER_PHONE)
    entered.load("Ben,Other,2162230103,2162230104,ben@example.com,,\n")
    entered.unify()
    [ada] = [lead["id"] for lead in entered.live() if lead["first_name"] == "Ada"]
    head = "First,Last,Phone,Email,Do Not Call\n"
    again = entered.load("Ada,Example,2162230102,,yes\nBen,Other,2162230104,,\nCid,Poe,2162230102,,\n", head=head)
    assert (again.created, again.updated, again.duplicates) == (1, 0, 2)
    assert [entered.fed.listed(phone, "call") for phone in (PHONE, OTHER_PHONE)] == [True, True]
    rows = entered.fed.all("SELECT lead_id FROM crm.lead_import_row WHERE outcome = 'duplicate' ORDER BY row_number")
    assert rows[0]["lead_id"] == ada


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_lead_is_what_was_entered_when_its_source_is_gone(entered: Entered) -> None:
    entered.load("Ada,Example,2162230101,,ada@example.com,,qualified\n")
    before = entered.live()
    entered.contact(phone_e164=PHONE, lifecyclestage="customer", zip="44101")
    entered.unify()
    assert (entered.live()[0]["status"], entered.live()[0]["postal_code"]) == ("won", "44101")
    entered.contact(phone_e164=PHONE, archived=True)
    entered.unify()
    [lead] = entered.live()
    assert (lead["status"], lead["postal_code"], lead["source_metadata"]) == (
        "qualified", None, before[0]["source_metadata"],
    )  # fmt: skip


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_decision_that_they_are_two_gives_each_its_lead(entered: Entered) -> None:
    """Also when the imported lead had become part of the one that was there."""
    from warehouse_pipelines.unified.identity import decisions

    entered.contact(phone_e164=PHONE, lifecyclestage="customer")
    entered.unify()
    user = entered.fed.one(
        "INSERT INTO crm.leads (organization_id, first_name, last_name, email, postal_code) VALUES (%s, 'Ada',"
        " 'Example', 'ada@example.com', '44102') RETURNING id", [ORGANIZATION],
    )["id"]  # fmt: skip
    entered.unify()
    assert len(entered.live()) == 1
    decisions.reject(entered.fed.session, f"{IMPORTED}:{user}", f"{CONTACT}:1", by="tester")
    entered.unify()
    assert sorted(entered.members()) == [(IMPORTED,), (CONTACT,)]
    assert {lead["id"] == user: lead["postal_code"] for lead in entered.live()} == {True: "44102", False: None}


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_a_number_that_only_the_file_brought_stays(entered: Entered) -> None:
    """Shared with another lead, then taken over by the feed, which has a shared number of its own."""
    entered.contact(id="9", firstname="Ben", email="ben@example.com", phone_e164=PHONE)
    entered.contact(id="8", firstname="Cid", lastname="Other", email="cid@example.com", phone_e164=THIRD_PHONE)
    entered.unify()
    entered.load("Ada,Example,2162230101,,ada@example.com,,\n")
    entered.contact(phone_e164=THIRD_PHONE, createdate="2026-03-01")
    for full in (False, True):
        entered.unify(full=full)
    [lead] = [lead for lead in entered.live() if lead["first_name"] == "Ada"]
    assert lead["phone"] is None
    assert lead["source_metadata"]["shared_phones"] == [PHONE, THIRD_PHONE]
    # What the source takes back goes, what the file brought stays.
    entered.contact(phone_e164=OTHER_PHONE, createdate="2026-03-01")
    entered.unify()
    [lead] = [lead for lead in entered.live() if lead["first_name"] == "Ada"]
    assert OTHER_PHONE in (lead["phone"], *lead["source_metadata"]["shared_phones"])
    assert lead["source_metadata"]["shared_phones"][0] == PHONE
    assert THIRD_PHONE not in lead["source_metadata"]["shared_phones"]


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_one_index_finds_who_waits_for_a_number(entered: Entered) -> None:
    found = entered.fed.all(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'leads' AND indexdef LIKE '%%shared_phones%%'"
    )
    assert len(found) == 1
    entered.fed.session.execute("SET enable_seqscan = off")
    plan = entered.fed.all(
        "EXPLAIN SELECT FROM crm.leads WHERE source_metadata ? 'shared_phones'"
        " AND source_metadata -> 'shared_phones' ? '+12165550101'"
    )
    assert any("leads_shared_phones" in row["QUERY PLAN"] for row in plan)
