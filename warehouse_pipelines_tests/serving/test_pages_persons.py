"""Pages on people: who finds whom, what is shown of them, and who decides."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving.pages import persons
from warehouse_pipelines.unified.identity import explain
from warehouse_pipelines_tests.harness.crm_database import B, add, session
from warehouse_pipelines_tests.harness.identity_rows import record
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program

ADA, BOB, NOBODY = UUID(int=1), UUID(int=2), UUID(int=3)
EMAIL, PHONE = "ada.lovelace@example.test", "+12062345678"


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with warehouse.session(shared_url) as found:
        for person, name in ((ADA, "Ada Lovelace"), (BOB, "Bob <b>Bold</b>")):
            found.execute(
                "INSERT INTO identity.person (person_id, kind, display_name, email, phone, emails, phones,"
                " record_count, source_tables) VALUES (%s, 'customer', %s, %s, %s, %s, %s, 1, '{}')",
                [person, name, EMAIL if person == ADA else None, PHONE if person == ADA else None,
                 [EMAIL] if person == ADA else [], [PHONE] if person == ADA else []],
            )  # fmt: skip
        ids = {}
        for table, key, whose in (
            ("hubspot_contact", "1", ADA), ("five9_contact", "7", ADA), ("salesrabbit_lead", "9", BOB),
            ("gcalendar", "crew@example.test e1", ADA),
        ):  # fmt: skip
            ids[table] = record(found, table, key)
            found.execute(
                "INSERT INTO identity.member (record_id, person_id, source_table, source_key) VALUES (%s, %s, %s, %s)",
                [ids[table], whose, table, key],
            )
        edge = (
            "INSERT INTO identity.edge (a_id, b_id, relation, score, rules, evidence, version)"
            " VALUES (%s, %s, %s, %s, %s, %s, 1)"
        )
        found.execute(edge, [ids["hubspot_contact"], ids["five9_contact"], "person", 30.5, ["email"],
                             '{"first_name": "equal", "email": "equal"}'])  # fmt: skip
        found.execute(edge, [ids["five9_contact"], ids["salesrabbit_lead"], "review", 12.0, ["phone_e164"], "{}"])
        found.execute(
            "INSERT INTO identity.review (a_id, b_id, score, reason, evidence)"
            " VALUES (%s, %s, 12, 'too little', 'phone equal')",
            [ids["five9_contact"], ids["salesrabbit_lead"]],
        )
        found.execute(
            "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'merged')", [UUID(int=9), ADA]
        )
        found.execute(
            "INSERT INTO marts.activity_timeline (source_table, source_key, kind, person_id, certainty, crm_source,"
            " occurred_at, occurred_day, title) VALUES ('callrail_call', 'c1', 'call', %s, 1, 'callrail',"
            " '2026-03-01 12:00Z', '2026-03-01', 'Ada asked about <i>roofs</i>')",
            [ADA],
        )
    with session(shared_url, role=None, keep=True) as connection:
        add(connection, "leads", first_name="Ada", last_name="Lovelace", golden_id=ADA, phone=PHONE, source="ours")
        add(
            connection, "leads", organization_id=B, first_name="Ada", last_name="Secret", golden_id=ADA, source="theirs"
        )
        add(connection, "dnc_list", phone=PHONE, reason="complaint")
        add(connection, "dnc_list", organization_id=B, phone=PHONE, reason="litigator")
    with serving(shared_url) as made:
        yield made


@pytest.fixture(scope="module")
def operator(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "operator") as client:
        yield client


@pytest.fixture(scope="module")
def viewer(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "viewer") as client:
        yield client


def logged(serve: Serving) -> list[tuple[str, str]]:
    with warehouse.session(serve.url) as found:
        rows = found.execute("SELECT relation, what FROM access.clear_view ORDER BY id").fetchall()
    return [(row["relation"], row["what"]) for row in rows]


def decisions(serve: Serving) -> list[dict[str, Any]]:
    with warehouse.session(serve.url) as found:
        return found.execute("SELECT * FROM identity.decision ORDER BY decision_id").fetchall()


def test_a_person_is_shown_masked_with_what_happened_and_why_the_records_are_one(viewer: httpx.Client) -> None:
    page = viewer.get(f"/persons/{ADA}").text
    for word in ("Why these records are one person", "five9_contact:7", "30.5 bits", "2026", "call",
                 "May be the same person",
                 "from ours", "do not call", "complaint"):  # fmt: skip
        assert word in page, word
    for word in ("Lovelace", EMAIL, PHONE, "roofs", "crew@", "theirs", "litigator", "One person</button>", "<i>"):
        assert word not in page, word


def test_a_form_has_no_address_that_the_page_masks(operator: httpx.Client) -> None:
    """Else who may see it would, and nobody would know."""
    assert "crew@" not in operator.get(f"/persons/{ADA}").text
    clear = operator.get(f"/persons/{ADA}?clear=1").text
    assert 'name="record" value="gcalendar:crew@example.test e1"' in clear


def test_a_person_in_clear_is_for_who_may_and_is_logged(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    before = logged(serve)
    assert viewer.get(f"/persons/{ADA}?clear=1").status_code == 403
    assert viewer.get(f"/persons/{ADA}/explain?clear=1&other={BOB}").status_code == 403
    assert logged(serve) == before
    page = operator.get(f"/persons/{ADA}?clear=1").text
    for word in ("Ada Lovelace", EMAIL, PHONE, "Ada asked about &lt;i&gt;roofs&lt;/i&gt;", "Bob &lt;b&gt;Bold"):
        assert word in page, word
    assert "theirs" not in page
    assert logged(serve)[len(before) :] == [("identity.person", str(ADA))]


def test_somebody_is_found_by_a_value_by_who_may_see_it_and_by_an_id_by_all(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    before = logged(serve)
    for word in (EMAIL, PHONE, "206-234-5678", "Lovelace", "nobody@example.test", "Nobody"):
        answer = viewer.get("/persons", params={"q": word})
        assert answer.status_code == 200
        assert str(ADA) not in answer.text
        assert "found by those who may see personal data" in answer.text
    assert logged(serve) == before
    for word in (EMAIL, EMAIL.upper(), PHONE, "206-234-5678", "Ada Lovelace", "lovelace, ada", "Lovelace"):
        assert f'<a href="/persons/{ADA}?clear=1">Ada Lovelace</a>' in operator.get("/persons", params={"q": word}).text
    assert logged(serve)[len(before) :] == [("identity.person", "search")] * 7
    assert "Nobody is found" in operator.get("/persons", params={"q": "Secret"}).text, "a lead of others"
    for word in (str(ADA), "hubspot_contact:1", str(UUID(int=9))):
        assert viewer.get("/persons", params={"q": word}).headers["location"] == f"/persons/{ADA}"
    for word in ("hubspot_contact:2", str(uuid4())):
        assert "No person has this record" in viewer.get("/persons", params={"q": word}).text


def test_pairs_that_wait_are_listed_masked(viewer: httpx.Client) -> None:
    page = viewer.get("/persons").text
    assert "five9_contact:7" in page
    assert "Lovelace" not in page


def test_an_id_that_was_merged_leads_to_the_person_and_who_is_no_person_is_not_found(viewer: httpx.Client) -> None:
    assert viewer.get(f"/persons/{UUID(int=9)}").headers["location"] == f"/persons/{ADA}"
    assert viewer.get(f"/persons/{NOBODY}").status_code == 404
    for person in ("x", "1 OR true", "..%2f..", f"{ADA}'--", "%00"):
        assert viewer.get(f"/persons/{person}").status_code in (404, 422), person


@pytest.mark.parametrize("word", ["'; DROP TABLE identity.person --", "%", "_", "<script>alert(1)</script>", "x" * 200,
                                  "\\",
                                  "a:b:c", '{"and": []}', "(", "😀"])  # fmt: skip
def test_whatever_is_searched_for_is_a_value(operator: httpx.Client, viewer: httpx.Client, word: str) -> None:
    for client in (operator, viewer):
        answer = client.get("/persons", params={"q": word})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


def test_why_two_are_not_one_is_explained_without_addresses(viewer: httpx.Client, operator: httpx.Client) -> None:
    page = viewer.get(f"/persons/{ADA}/explain", params={"other": "five9_contact:7"}).text
    assert "five9_contact:7" in page
    masked = viewer.get(f"/persons/{BOB}/explain", params={"other": "gcalendar:crew@example.test e1"}).text
    assert "crew@" not in masked
    assert viewer.get(f"/persons/{ADA}/explain", params={"other": "nothing"}).status_code == 404


def test_an_explanation_that_takes_too_long_ends(viewer: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(session: Any, a: str, b: str) -> str:
        session.execute("SELECT pg_sleep(20)")
        return ""

    monkeypatch.setattr(explain, "explain", slow)
    monkeypatch.setattr(persons, "EXPLAIN_MILLISECONDS", 20)
    assert viewer.get(f"/persons/{ADA}/explain", params={"other": "five9_contact:7"}).status_code == 503


def test_who_may_decides_as_the_commands_do(serve: Serving, viewer: httpx.Client, operator: httpx.Client) -> None:
    for action, given in (("confirm", {"other": str(BOB)}), ("reject", {"other": str(BOB)}),
                          ("split", {"record": "hubspot_contact:1"}), ("withdraw", {"decision": "1"})):  # fmt: skip
        assert viewer.post(f"/persons/{ADA}/{action}", data=given).status_code == 403
        assert serve.client.post(f"/persons/{ADA}/{action}", data=given).status_code == 401
    assert decisions(serve) == []
    answer = operator.post(f"/persons/{ADA}/reject", data={"other": str(BOB), "reason": "asked <b>her</b>"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/persons/{ADA}?decided=1")
    [made] = decisions(serve)
    assert (made["verdict"], made["command"], made["reason"]) == ("apart", "reject", "asked <b>her</b>")
    page = operator.get(f"/persons/{ADA}?clear=1").text
    assert "are two people: asked &lt;b&gt;her" in page
    assert "&lt;b&gt;her" not in viewer.get(f"/persons/{ADA}").text
    refused = operator.post(f"/persons/{ADA}/split", data={"record": "salesrabbit_lead:9"})
    assert refused.status_code == 422, "a record of somebody else"
    other = operator.post(f"/persons/{UUID(int=5)}/withdraw", data={"decision": str(made["decision_id"])})
    assert other.status_code == 422, "a decision of somebody else"
    assert operator.post(f"/persons/{ADA}/withdraw", data={"decision": str(made["decision_id"])}).status_code == 303
    assert decisions(serve)[0]["withdrawn_at"] is not None
    assert operator.post(f"/persons/{ADA}/split", data={"record": "hubspot_contact:1"}).status_code == 303
    assert {one["command"] for one in decisions(serve)[1:]} == {"split"}
    assert operator.post(f"/persons/{BOB}/confirm", data={"other": "five9_contact:7"}).status_code == 303
    for action, given in (("confirm", {"other": "x'; --"}), ("confirm", {}), ("split", {"record": "a:b"}),
                          ("withdraw", {"decision": "1 OR 1"}), ("confirm", {"other": "x" * 501})):  # fmt: skip
        assert operator.post(f"/persons/{ADA}/{action}", data=given).status_code == 422, given


def test_a_decision_takes_the_token_of_the_session(serve: Serving) -> None:
    browser = Browser(serve.address)
    browser.login(add_user(serve.url, "operator", password=PASSWORD))
    count = len(decisions(serve))
    given = {"record": "five9_contact:7"}
    assert browser.post(f"/persons/{ADA}/split", given).status_code == 403
    assert browser.post(f"/persons/{ADA}/split", given, headers={"Origin": "https://evil.test"}).status_code == 403
    assert len(decisions(serve)) == count


@pytest.mark.slow("the same in other circumstances")
def test_while_identity_runs_nobody_waits_for_long(
    serve: Serving, operator: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_pipelines.serving.pages import decide
    from warehouse_pipelines.unified.identity.resolve import lock

    monkeypatch.setattr(decide, "LOCK_SECONDS", 1)
    with warehouse.session(serve.url) as running, running.transaction():
        lock(running)
        answer = operator.post(f"/persons/{ADA}/split", data={"record": "five9_contact:7"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
