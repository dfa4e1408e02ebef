"""The link in a message: what looks at it changes nothing, the button and mail programs end it, nobody else can."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from warehouse_pipelines.sequences.links import Link, token
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.mail_server import mail_server
from warehouse_pipelines_tests.harness.sequence_rows import CALL, EMAIL, KEY, SMS, SequenceRows, live
from warehouse_pipelines_tests.harness.serving import Serving, serving

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def rows(database_url: str) -> Iterator[SequenceRows]:
    made = SequenceRows(database_url)
    yield made
    made.connection.close()


@pytest.fixture
def serve(rows: SequenceRows, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setenv("WAREHOUSE_UNSUBSCRIBE_KEY", f"{KEY}, an-older-key-that-is-long-enough-too")
    with serving(rows.url) as found:
        yield found


def path(lead: UUID, channel: str = "email", key: str = KEY, organization: str = A) -> str:
    return f"/unsubscribe/{token(Link(UUID(organization), lead, channel), key)}"


def listed(rows: SequenceRows) -> list[tuple[UUID, list[str]]]:
    found = rows.rows("SELECT lead_id, channels, reason, created_by FROM crm.dnc_list ORDER BY created_at, lead_id")
    assert all((row["reason"], row["created_by"]) == ("opt_out", None) for row in found)
    return [(row["lead_id"], row["channels"]) for row in found]


def test_story_3_5_the_link_in_an_e_mail_ends_the_e_mails_of_the_person(rows: SequenceRows, serve: Serving) -> None:
    lead = rows.lead()
    mails, calls = rows.enrolled(EMAIL, EMAIL, lead=lead), rows.enrolled(CALL, lead=lead)
    with mail_server() as mail:
        rows.run(live(mail), limit=1)
        ((_, received),) = mail.received
        address = received["List-Unsubscribe"].strip("<>")
        assert received["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        where = address.removeprefix("https://hooks.example.test")
        # What checks mail, and the person who looks.
        for method in ("GET", "HEAD", "OPTIONS"):
            serve.client.request(method, where)
        page = serve.client.get(where)
        assert page.status_code == 200
        assert '<form class="login" method="post">' in page.text
        assert listed(rows) == []
        answer = serve.client.post(where, data=ONE_CLICK)
        assert answer.status_code == 200
        assert listed(rows) == [(lead, ["email"])]
        assert rows.enrollment(mails)["stop_reason"] == "dnc"
        assert rows.enrollment(calls)["status"] == "active", "the link named e-mails"
        rows.make_due()
        rows.run(live(mail))
        assert len(mail.received) == 1
    for said in (page.text, answer.text):
        assert not re.search(r"Ada|people\.example|212555", said)
        assert "Sign in" not in said


@pytest.mark.parametrize("what", ["this", "everything"])
def test_the_buttons_say_what_they_end(rows: SequenceRows, serve: Serving, what: str) -> None:
    lead = rows.lead()
    text = rows.enrolled(SMS, lead=lead)
    answer = serve.client.post(path(lead, "sms"), data={"what": what})
    assert "text messages" in answer.text
    assert ("calls" in answer.text) == (what == "everything")
    assert listed(rows) == [(lead, ["sms"] if what == "this" else ["email", "sms", "call"])]
    assert rows.enrollment(text)["status"] == "stopped"


@pytest.mark.parametrize("known", [{"phone": None}, {"email": None}, {"phone": "+12125550177", "status": "won"}])
@pytest.mark.slow("the same in other circumstances")
def test_whatever_is_known_of_a_lead_it_can_end_messages(
    rows: SequenceRows, serve: Serving, known: dict[str, str | None]
) -> None:
    lead = rows.lead(**known)
    assert serve.client.post(path(lead), data=ONE_CLICK).status_code == 200
    assert listed(rows) == [(lead, ["email"])]
    blocked = "SELECT crm.lead_block_reason(l, 'email') AS why FROM crm.leads AS l WHERE id = %s"
    assert rows.one(blocked, lead)["why"] == "dnc"


def test_a_call_that_waits_for_a_person_is_withheld_when_the_link_was_used(rows: SequenceRows, serve: Serving) -> None:
    lead = rows.lead()
    both = rows.enrolled(CALL, EMAIL, lead=lead)
    with mail_server() as mail:
        rows.run(live(mail))
        assert rows.message(both)["status"] == "waiting"
        serve.client.post(path(lead), data=ONE_CLICK)
        rows.run(live(mail))
    message = rows.message(both)
    assert (message["status"], message["problem"]) == ("withheld", "stopped: dnc")


def test_who_asks_again_changes_nothing_more(rows: SequenceRows, serve: Serving) -> None:
    lead = rows.lead()
    for _ in range(2):
        assert serve.client.post(path(lead), data=ONE_CLICK).status_code == 200
    assert serve.client.post(path(lead), files={"List-Unsubscribe": (None, "One-Click")}).status_code == 200
    assert len(listed(rows)) == 1


def test_all_leads_of_the_person_are_meant_and_nobody_else(rows: SequenceRows, serve: Serving) -> None:
    lead, other_lead, stranger = rows.lead(), rows.lead(), rows.lead()
    same_address = rows.lead(email=str(rows.one("SELECT upper(email) AS e FROM crm.leads WHERE id = %s", lead)["e"]))
    person = rows.person(lead)
    rows.rows("UPDATE crm.leads SET golden_id = %s WHERE id = %s", person, other_lead)
    enrolled = {one: rows.enrolled(EMAIL, lead=one) for one in (lead, other_lead, same_address, stranger)}
    serve.client.post(path(lead), data=ONE_CLICK)
    assert {one for one, _ in listed(rows)} == {lead, other_lead}
    stands = {one: rows.enrollment(key)["status"] for one, key in enrolled.items()}
    assert stands == {lead: "stopped", other_lead: "stopped", same_address: "stopped", stranger: "active"}
    for one in (lead, other_lead, same_address):
        assert rows.one("SELECT crm.lead_block_reason(l, 'email') AS why FROM crm.leads AS l WHERE id = %s", one)["why"]


def test_the_link_of_a_lead_that_became_part_of_another_ends_what_that_one_gets(
    rows: SequenceRows, serve: Serving
) -> None:
    gone, lead, stranger = rows.lead(), rows.lead(), rows.lead()
    rows.person(lead)
    rows.rows(
        "UPDATE crm.leads SET deleted_at = now(), source_metadata = jsonb_build_object('merged_into', %s::text,"
        " 'feed_deleted', 'merged') WHERE id = %s RETURNING id", lead, gone,
    )  # fmt: skip
    enrolled = {one: rows.enrolled(EMAIL, lead=one) for one in (lead, stranger)}
    assert serve.client.post(path(gone), data={"what": "everything"}).status_code == 200
    stands = {one: rows.enrollment(key)["status"] for one, key in enrolled.items()}
    assert stands == {lead: "stopped", stranger: "active"}
    for channel in ("email", "sms", "call"):
        blocked = "SELECT crm.lead_block_reason(l, %s) AS why FROM crm.leads AS l WHERE id = %s"
        assert [rows.one(blocked, channel, one)["why"] for one in (lead, stranger)] == ["dnc", None]


def test_a_link_that_we_did_not_sign_does_nothing(rows: SequenceRows, serve: Serving) -> None:
    lead = rows.lead()
    good = path(lead)
    bad = [path(lead, key="k" * 32), good[:-1], good + "A", "/unsubscribe/x", path(lead)[:45] + path(uuid4())[45:]]
    for address in bad:
        assert serve.client.get(address).status_code == 404
        assert serve.client.post(address, data=ONE_CLICK).status_code == 404
    assert listed(rows) == []
    assert serve.client.post(path(lead, key="an-older-key-that-is-long-enough-too"), data=ONE_CLICK).status_code == 200


def test_a_link_of_a_lead_that_is_there_no_more_is_answered_alike(rows: SequenceRows, serve: Serving) -> None:
    assert serve.client.post(path(uuid4()), data=ONE_CLICK).status_code == 200
    elsewhere = path(rows.lead(), organization=str(UUID(int=99)))
    assert serve.client.post(elsewhere, data=ONE_CLICK).status_code == 200
    assert listed(rows) == []


def test_another_site_cannot_press_the_button(rows: SequenceRows, serve: Serving) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert serve.client.post(path(rows.lead()), data=ONE_CLICK, headers=headers).status_code == 403
    assert listed(rows) == []


def test_without_a_key_no_link_is_good(rows: SequenceRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_UNSUBSCRIBE_KEY", raising=False)
    with serving(rows.url) as bare:
        assert bare.client.post(path(rows.lead(), key=""), data=ONE_CLICK).status_code == 404
    assert listed(rows) == []
