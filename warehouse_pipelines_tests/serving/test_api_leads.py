"""The API for applications: leads, the do-not-call list, sequences, analytics, below row-level security."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving.api import kept_out, leads
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines_tests.harness import crm_database
from warehouse_pipelines_tests.harness.crm_database import CONSENT, A, B
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import program


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with serving(shared_url) as found:
        yield found


@pytest.fixture(scope="module")
def admin(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "admin") as client:
        yield client


@pytest.fixture(scope="module")
def viewer(serve: Serving) -> Iterator[httpx.Client]:
    with program(serve.address, serve.url, "viewer") as client:
        yield client


@pytest.fixture(scope="module")
def stranger(serve: Serving) -> Iterator[httpx.Client]:
    """An administrator of another organization."""
    with program(serve.address, serve.url, "admin", organization=B) as client:
        yield client


_numbers = iter(range(1000, 9999))


def phone() -> str:
    return f"+1206555{next(_numbers)}"


def made(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/leads", json={"first_name": "Ada", "phone": phone(), **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(serve: Serving, statement: str, *given: Any) -> list[dict[str, Any]]:
    with warehouse.session(serve.url) as session:
        return session.execute(statement, given or None).fetchall()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem details that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= found.keys()
    assert found["status"] == status
    return found


def test_story_3_1_a_lead_is_made_read_changed_deleted_and_logged(serve: Serving, admin: httpx.Client) -> None:
    sent = {
        "first_name": " Ada ", "last_name": "Lovelace", "email": "ada@example.test", "phone": "(206) 555-0188",
        "source": "Google", "tags": ["hot"], "timezone": "America/New_York", "value_usd": "1234.50",
        "source_metadata": {"campaign": "spring"}, "consent": json.loads(CONSENT),
    }  # fmt: skip
    answer = admin.post("/api/leads", json=sent)
    lead = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/leads/{lead['id']}"
    assert (lead["first_name"], lead["phone"], lead["status"]) == ("Ada", "+12065550188", "new")
    assert lead["value_usd"] == "1234.50", "money is a text, exact to the cent"
    assert lead["created_at"].endswith("Z")
    again = admin.get(f"/api/leads/{lead['id']}")
    assert again.json() == lead
    assert admin.get(f"/api/leads/{lead['id']}", headers={"If-None-Match": again.headers["etag"]}).status_code == 304
    changed = admin.patch(f"/api/leads/{lead['id']}", json={"status": "contacted", "last_name": None}).json()
    assert (changed["status"], changed["last_name"], changed["email"]) == ("contacted", None, "ada@example.test")
    assert changed["status_changed_at"] > lead["status_changed_at"]
    log = "SELECT DISTINCT changed_by, host(ip_address) AS ip FROM crm.lead_audit_log WHERE lead_id = %s"
    [user] = rows(serve, log, lead["id"])
    assert user["ip"] == "127.0.0.1"
    assert rows(serve, "SELECT FROM access.user_account WHERE id = %s", user["changed_by"]), "the token's user"
    history = rows(serve, "SELECT to_status, triggered_by FROM crm.lead_status_history WHERE lead_id = %s", lead["id"])
    assert history == [{"to_status": one, "triggered_by": "api"} for one in ("new", "contacted")]
    assert admin.delete(f"/api/leads/{lead['id']}").status_code == 204
    problem(admin.get(f"/api/leads/{lead['id']}"), 404)
    problem(admin.patch(f"/api/leads/{lead['id']}", json={"status": "qualified"}), 404)
    problem(admin.delete(f"/api/leads/{lead['id']}"), 404)
    [row] = rows(serve, "SELECT deleted_at IS NOT NULL AS deleted FROM crm.leads WHERE id = %s", lead["id"])
    assert row["deleted"], "it is deleted softly"


@pytest.mark.parametrize(("sent", "at"), [
    ({}, "body"),
    ({"first_name": "A", "organization_id": B}, "organization_id"),
    ({"first_name": "A", "id": str(uuid4())}, "/id"),
    ({"first_name": "A", "lead_score": 100}, "lead_score"),
    ({"first_name": "A", "created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ({"first_name": "A", "erased_at": None}, "erased_at"),
    ({"first_name": "A", "golden_id": str(uuid4())}, "golden_id"),
    ({"first_name": "A", "status": "sold"}, "status"),
    ({"first_name": "A", "value_usd": "12.345"}, "value_usd"),
    ({"first_name": "A", "value_usd": "NaN"}, "value_usd"),
    ({"first_name": "A", "value_usd": -1}, "value_usd"),
    ({"first_name": "A" * 501}, "first_name"),
    ({"first_name": "A", "tags": ["x"] * 101}, "tags"),
    ({"first_name": "A", "tags": [None]}, "tags"),
    ({"first_name": ["A"]}, "first_name"),
    ([1], "body"),
])  # fmt: skip
@pytest.mark.every_case
def test_what_is_not_a_lead_is_refused_and_told_where(admin: httpx.Client, sent: Any, at: str) -> None:
    """A field that is the database's is refused, and not left out: whoever sent it believes that it was set."""
    found = problem(admin.post("/api/leads", json=sent), 422)
    assert at in str(found["errors"])


@pytest.mark.parametrize(("sent", "said"), [
    ({"phone": "555"}, "leads_phone_is_e164"),
    ({"timezone": "Mars/Olympus"}, "leads_timezone_is_iana"),
    ({"first_name": "nul\u0000l"}, "cannot be stored"),
    ({"source_metadata": {"a": "\u0000"}}, "cannot be stored"),
    ({"consent": [{"channel": "sms", "at": "soon", "source": "x", "text_version": "1"}]}, "consent"),
])  # fmt: skip
def test_what_the_tables_refuse_is_told_by_the_name_of_the_rule(
    admin: httpx.Client, sent: dict[str, Any], said: str
) -> None:
    found = problem(admin.post("/api/leads", json={"last_name": "Secretname", **sent}), 422)
    assert said in found["detail"]
    assert "Secretname" not in str(found), "an answer does not repeat what was sent"


def test_a_second_lead_with_a_number_is_refused(admin: httpx.Client) -> None:
    lead = made(admin)
    assert "leads_phone_unique" in problem(admin.post("/api/leads", json={"phone": lead["phone"]}), 409)["detail"]


def test_a_transition_that_is_not_allowed_is_refused(admin: httpx.Client) -> None:
    lead = made(admin)
    found = problem(admin.patch(f"/api/leads/{lead['id']}", json={"status": "won"}), 422)
    assert "from new to won is no allowed transition" in found["detail"]


def test_a_lost_update_is_refused(admin: httpx.Client) -> None:
    lead = made(admin)
    address = f"/api/leads/{lead['id']}"
    etag = admin.get(address).headers["etag"]
    first = admin.patch(address, json={"division": "North"}, headers={"If-Match": etag})
    assert first.status_code == 200
    assert first.headers["etag"] != etag
    problem(admin.patch(address, json={"division": "South"}, headers={"If-Match": etag}), 412)
    problem(admin.delete(address, headers={"If-Match": etag}), 412)
    problem(admin.patch(address, json={"division": "South"}, headers={"If-Match": '"a", "b"'}), 412)
    assert admin.get(address).json()["division"] == "North"
    assert admin.delete(address, headers={"If-Match": first.headers["etag"]}).status_code == 204


def test_of_changes_at_once_to_what_was_read_one_is_made(serve: Serving, admin: httpx.Client) -> None:
    lead = made(admin)
    address = f"/api/leads/{lead['id']}"
    etag = admin.get(address).headers["etag"]

    def change(number: int) -> int:
        return admin.patch(address, json={"division": f"D{number}"}, headers={"If-Match": etag}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(16)))
    assert statuses == [200] + [412] * 15


def test_a_write_under_a_key_is_made_once(serve: Serving, admin: httpx.Client, stranger: httpx.Client) -> None:
    sent = {"first_name": "Grace", "phone": phone()}
    key = {"Idempotency-Key": str(uuid4())}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: admin.post("/api/leads", json=sent, headers=key), range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 5
    problem(admin.post("/api/leads", json={**sent, "first_name": "Other"}, headers=key), 422)
    assert stranger.post("/api/leads", json=sent, headers=key).headers.get("idempotency-replayed") is None
    kept = rows(serve, "SELECT * FROM access.idempotency_key")
    assert key["Idempotency-Key"] not in str(kept)
    assert "Grace" not in str(kept)


def test_a_write_that_failed_leaves_its_key_free(admin: httpx.Client) -> None:
    lead, key = made(admin), {"Idempotency-Key": str(uuid4())}
    problem(admin.post("/api/leads", json={"phone": lead["phone"]}, headers=key), 409)
    admin.delete(f"/api/leads/{lead['id']}")
    assert admin.post("/api/leads", json={"phone": lead["phone"]}, headers=key).status_code == 201


def test_pages_neither_repeat_nor_leave_out(serve: Serving) -> None:
    with program(serve.address, serve.url, "operator", organization=str(uuid4())) as client:
        ids = [made(client, status="new", source="paging")["id"] for _ in range(7)]
        seen: list[str] = []
        cursor = None
        while True:
            given: dict[str, Any] = {"limit": 3, "source": "paging"} | ({"cursor": cursor} if cursor else {})
            page = client.get("/api/leads", params=given).json()
            seen += [lead["id"] for lead in page["items"]]
            if len(seen) == 3:
                made(client, source="paging")  # newer, so on none of the following pages
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == ids[::-1]
        problem(client.get("/api/leads", params={"cursor": "bm9uc2Vuc2U"}), 422)
        problem(client.get("/api/leads", params={"cursor": "%%%"}), 422)
        problem(client.get("/api/leads", params={"limit": 501}), 422)


def test_a_list_is_filtered_as_segments_are(serve: Serving) -> None:
    organization = str(uuid4())
    with program(serve.address, serve.url, "operator", organization=organization) as client:
        hot = made(client, tags=["hot"], last_name="Quagmire")["id"]
        cold = made(client, status="contacted", owner_id=str(uuid4()))
        with crm_database.session(serve.url, role=None, organization=organization, keep=True) as connection:
            segment = crm_database.add(
                connection, "segments", organization_id=organization,
                filter_criteria=json.dumps({"field": "tags", "op": "has", "value": "hot"}),
            )  # fmt: skip

        def found(**given: Any) -> list[str]:
            return [lead["id"] for lead in client.get("/api/leads", params=given).json()["items"]]

        assert found() == [cold["id"], hot]
        assert found(tag="hot") == found(segment_id=segment) == [hot]
        assert found(status="contacted") == found(owner_id=cold["owner_id"]) == [cold["id"]]
        assert found(filter='{"field": "last_name", "op": "contains", "value": "AGMI"}', status="new") == [hot]
        assert found(filter='{"field": "last_name", "op": "eq", "value": "x\'; DROP TABLE crm.leads; --"}') == []
        wrong = problem(client.get("/api/leads", params={"filter": '{"field": "secret", "op": "eq", "value": 1}'}), 422)
        assert "there is no such field" in wrong["detail"]
        problem(client.get("/api/leads", params={"filter": "{"}), 422)
        problem(client.get("/api/leads", params={"filter": "[" * 10_000}), 422)
        problem(client.get("/api/leads", params={"filter": '{"not":' * 50 + "{}" + "}" * 50}), 422)
        problem(client.get("/api/leads", params={"segment_id": str(uuid4())}), 404)


def test_who_may_not_see_personal_data_sees_leads_masked(
    serve: Serving, admin: httpx.Client, viewer: httpx.Client
) -> None:
    lead = made(admin, last_name="Lovelace", email="ada.l@example.test", postal_code="98101", value_usd=5)
    shown = viewer.get(f"/api/leads/{lead['id']}")
    assert "etag" not in shown.headers, "a hash of what is masked could be tried"
    masked = shown.json()
    assert (masked["first_name"], masked["last_name"], masked["postal_code"]) == ("A.", "L.", "981**")
    assert re.fullmatch(r"[0-9a-f]{12}@example\.test", masked["email"])
    assert re.fullmatch(rf"[0-9a-f]{{12}}\.\.{lead['phone'][-2:]}", masked["phone"])
    assert (masked["value_usd"], masked.keys()) == ("5.00", lead.keys())
    listed = viewer.get("/api/leads", params={"limit": 500})
    assert masked in listed.json()["items"]
    for text in (shown.text, listed.text):
        assert "Lovelace" not in text
        assert lead["phone"] not in text
        assert "ada.l@" not in text
    for given in (
        {"filter": json.dumps({"field": "phone", "op": "eq", "value": lead["phone"]})},
        {"filter": json.dumps({"and": [{"or": [{"not": {"field": "email", "op": "is_null", "value": True}}]}]})},
        {"tag": "hot"},
    ):
        problem(viewer.get("/api/leads", params=given), 403)
    with crm_database.session(serve.url, role=None, keep=True) as connection:
        hidden = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'masked.crm_leads'::regclass"
            " AND col_description(attrelid, attnum) LIKE '%Masked%'"
        ).fetchall()
        assert {one[0] for one in hidden} & lead.keys() == leads.PERSONAL
        segment = crm_database.add(
            connection, "segments",
            filter_criteria=json.dumps({"field": "last_name", "op": "eq", "value": "Lovelace"}),
        )  # fmt: skip
    problem(viewer.get("/api/leads", params={"segment_id": segment}), 403)


def test_another_organization_is_not_there(serve: Serving, admin: httpx.Client, stranger: httpx.Client) -> None:
    lead = made(admin)
    sequence = admin.post("/api/nurture_sequences", json={"name": "one", "steps": [{"channel": "task"}]}).json()
    address = f"/api/leads/{lead['id']}"
    problem(stranger.get(address), 404)
    problem(stranger.patch(address, json={"first_name": "Mallory"}), 404)
    problem(stranger.delete(address), 404)
    problem(stranger.post(f"{address}/enroll", json={"sequence_id": sequence["id"]}), 404)
    assert lead["id"] not in stranger.get("/api/leads", params={"limit": 500}).text
    theirs = made(stranger, phone=lead["phone"])
    assert theirs["id"] != lead["id"], "the same number may be a lead of both"
    problem(admin.post(f"/api/leads/{lead['id']}/enroll", json={"sequence_id": str(uuid4())}), 404)
    problem(stranger.post("/api/dnc", json={"lead_id": lead["id"], "reason": "opt_out"}), 422)
    admin.post("/api/dnc", json={"phone": lead["phone"], "reason": "opt_out"})
    assert stranger.get("/api/dnc/check", params={"phone": lead["phone"]}).json()["listed"] is False
    assert admin.get(address).json()["first_name"] == "Ada"


def test_numbers_are_put_on_the_list_and_asked_for(admin: httpx.Client) -> None:
    number = phone()
    spelled = f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    assert admin.get("/api/dnc/check", params={"phone": number}).json() == {"listed": False, "channel": None}
    entry = admin.post("/api/dnc", json={"phone": spelled, "reason": "opt_out", "channels": ["sms"]})
    assert entry.status_code == 201
    assert (entry.json()["phone"], entry.json()["channels"]) == (number, ["sms"])
    assert admin.get("/api/dnc/check", params={"phone": spelled}).json()["listed"] is True
    for channel, listed in (("sms", True), ("call", False)):
        assert admin.get("/api/dnc/check", params={"phone": number, "channel": channel}).json()["listed"] is listed
    assert admin.get("/api/dnc/check", params={"phone": "no number"}).json()["listed"] is True, "never a wrong no"
    problem(admin.get("/api/dnc/check", params={"phone": number, "channel": "fax"}), 422)
    problem(admin.post("/api/dnc", json={"phone": number, "reason": "because"}), 422)
    problem(admin.post("/api/dnc", json={"phone": "123", "reason": "opt_out"}), 422)
    problem(admin.post("/api/dnc", json={"reason": "opt_out"}), 422)
    problem(
        admin.post("/api/dnc", json={"phone": number, "reason": "opt_out", "expires_at": "2999-01-01T00:00:00Z"}), 422
    )
    problem(admin.post("/api/dnc", json={"phone": number, "reason": "opt_out", "created_by": str(uuid4())}), 422)


def test_a_lead_on_the_list_is_there_with_all_numbers_and_leads_of_its_person(
    serve: Serving, admin: httpx.Client
) -> None:
    """One that was merged too. A reason that is one number's stays with the number."""
    person, numbers = str(uuid4()), [phone() for _ in range(4)]
    merged, lead = (made(admin, phone=number, email=f"{number[2:]}@example.test") for number in numbers[:2])
    with warehouse.session(serve.url) as session:
        session.execute(
            "INSERT INTO identity.person (person_id, kind, phones, record_count, source_tables)"
            " VALUES (%s, 'customer', %s, 1, '{}')", [person, numbers[1:3]],
        )  # fmt: skip
        session.execute("UPDATE crm.leads SET golden_id = %s WHERE id = %s", [person, lead["id"]])
        session.execute(
            "UPDATE crm.leads SET deleted_at = now(), source_metadata = jsonb_build_object('merged_into', %s::text)"
            " WHERE id = %s", [lead["id"], merged["id"]],
        )  # fmt: skip

    def listed() -> list[bool]:
        found = (admin.get("/api/dnc/check", params={"phone": number, "channel": "call"}) for number in numbers)
        return [answer.json()["listed"] for answer in found]

    admin.post("/api/dnc", json={"lead_id": merged["id"], "reason": "wrong_number"})
    assert listed() == [True, False, False, False]
    answer = admin.post("/api/dnc", json={"lead_id": merged["id"], "phone": numbers[3], "reason": "complaint",
                                          "expires_at": "2999-01-01T00:00:00Z", "evidence": "by letter"})  # fmt: skip
    assert answer.status_code == 201
    assert (answer.json()["lead_id"], answer.json()["phone"]) == (merged["id"], numbers[3])
    assert listed() == [True, True, True, True]
    with warehouse.session(serve.url) as session:
        row = session.execute(
            "SELECT count(*) AS n, count(*) FILTER (WHERE expires_at IS NULL) AS permanent,"
            " count(*) FILTER (WHERE evidence = 'by letter') AS by_letter"
            " FROM crm.dnc_list WHERE lead_id = ANY(%s) AND reason = 'complaint'", [[merged["id"], lead["id"]]],
        ).fetchone()  # fmt: skip
    assert row is not None
    assert (row["permanent"], row["n"]) == (0, row["by_letter"])


def test_a_lead_that_became_part_of_another_answers_as_that_one(serve: Serving, admin: httpx.Client) -> None:
    """To reads, changes, enrollments and a repeated POST. By its old id it is not deleted."""
    key = {"Idempotency-Key": str(uuid4())}
    body = {"first_name": "Ada", "phone": phone(), "consent": json.loads(CONSENT)}
    merged, between, lead = (
        admin.post("/api/leads", json=body, headers=key).json(), made(admin), made(admin, consent=json.loads(CONSENT)),
    )  # fmt: skip
    address, now = f"/api/leads/{merged['id']}", f"/api/leads/{lead['id']}"
    before = admin.get(address).headers["etag"]
    with warehouse.session(serve.url) as session:
        for one, other in ((merged, between), (between, lead)):
            session.execute(
                "UPDATE crm.leads SET deleted_at = now(), source_metadata = jsonb_build_object("
                "'feed_deleted', 'merged', 'merged_into', %s::text) WHERE id = %s", [other["id"], one["id"]],
            )  # fmt: skip
    read = admin.get(address)
    assert (read.json()["id"], read.headers["content-location"]) == (lead["id"], now)
    assert "content-location" not in admin.get(now).headers
    again = admin.post("/api/leads", json=body, headers=key)
    assert (again.status_code, again.json()["id"], again.headers["location"]) == (201, lead["id"], now)
    problem(admin.patch(address, json={"division": "north"}, headers={"If-Match": before}), 412)
    changed = admin.patch(address, json={"division": "north"}, headers={"If-Match": read.headers["etag"]})
    assert (changed.json()["id"], changed.json()["division"]) == (lead["id"], "north")
    assert changed.headers["content-location"] == now
    sequence = admin.post("/api/nurture_sequences", json={"name": "W", "steps": [{"channel": "sms", "body": "a"}]})
    enrolled = admin.post(f"{address}/enroll", json={"sequence_id": sequence.json()["id"]})
    assert (enrolled.status_code, enrolled.json()["lead_id"], enrolled.headers["location"]) == (201, lead["id"], now)
    problem(admin.delete(address), 404)
    assert admin.delete(now).status_code == 204
    for request in (admin.get(address), admin.patch(address, json={"division": "south"})):
        problem(request, 404)


def test_a_patch_with_consents_as_they_were_read_before_one_was_taken_back_leaves_it_so(
    serve: Serving, admin: httpx.Client
) -> None:
    lead = made(admin, consent=json.loads(CONSENT))
    address = f"/api/leads/{lead['id']}"
    read = admin.get(address).json()["consent"]
    with warehouse.session(serve.url) as session:
        session.execute(
            "UPDATE crm.leads SET consent = (SELECT jsonb_agg(e || CASE e ->> 'channel' WHEN 'sms'"
            " THEN jsonb_build_object('revoked_at', '2026-06-01T00:00:00Z', 'record', 'x 1') ELSE '{}' END)"
            " FROM jsonb_array_elements(consent) AS e) WHERE id = %s", [lead["id"]],
        )  # fmt: skip
    more = {"channel": "mail", "at": "2026-06-02T00:00:00Z", "source": "phone", "text_version": "1"}
    answer = admin.patch(address, json={"consent": [*read, more]})
    assert answer.status_code == 200
    found = answer.json()["consent"]
    assert [(one["channel"], one.get("revoked_at")) for one in found] == [
        *((one["channel"], "2026-06-01T00:00:00Z" if one["channel"] == "sms" else None) for one in read), ("mail", None)
    ]  # fmt: skip
    anew = {"channel": "sms", "at": "2026-06-03T00:00:00Z", "source": "form", "text_version": "2"}
    answer = admin.patch(address, json={"consent": [anew]})
    assert [(one["at"], "revoked_at" in one) for one in answer.json()["consent"] if one["channel"] == "sms"][-1] == (
        "2026-06-03T00:00:00Z", False,
    )  # fmt: skip
    assert sum("revoked_at" in one for one in answer.json()["consent"]) == 1


def test_story_3_5_a_lead_is_enrolled_once_and_not_when_it_is_listed(admin: httpx.Client) -> None:
    steps = [{"channel": "sms", "text": "Hello"}, {"channel": "email", "delay_minutes": 60}]
    sequence = admin.post("/api/nurture_sequences", json={"name": "Welcome", "steps": steps})
    assert sequence.status_code == 201
    assert sequence.json()["steps"] == steps
    wanted = {"sequence_id": sequence.json()["id"]}
    lead = made(admin, consent=json.loads(CONSENT), email="x@example.test")
    first = admin.post(f"/api/leads/{lead['id']}/enroll", json=wanted)
    assert (first.status_code, first.json()["status"], first.json()["current_step"]) == (201, "active", 0)
    assert admin.post(f"/api/leads/{lead['id']}/enroll", json=wanted).json()["id"] == first.json()["id"]
    without = made(admin)
    assert "has not consented" in problem(admin.post(f"/api/leads/{without['id']}/enroll", json=wanted), 422)["detail"]
    listed = made(admin, consent=json.loads(CONSENT))
    admin.post("/api/dnc", json={"lead_id": listed["id"], "reason": "opt_out"})
    found = problem(admin.post(f"/api/leads/{listed['id']}/enroll", json=wanted), 422)
    assert "do-not-call list" in found["detail"]
    assert listed["phone"] not in str(found)
    problem(admin.post("/api/nurture_sequences", json={"name": "x", "steps": [{"channel": "pigeon"}]}), 422)


def test_story_3_5_a_text_that_no_lead_could_get_is_refused(admin: httpx.Client, viewer: httpx.Client) -> None:
    for text in ("{{ lead.__class__ }}", "{% for i in range(9) %}x{% endfor %}", "{{ lead.ssn }}", "{{", 7):
        step = {"channel": "sms", "body": text}
        assert "step 0" in str(problem(admin.post("/api/nurture_sequences", json={"name": "x", "steps": [step]}), 422))
        template = {"name": "welcome", "channel": "sms", "body": text}
        problem(admin.put("/api/message_templates", json=template), 422)
    template = {"name": "welcome", "channel": "sms", "body": "Hello {{ lead.first_name }}"}
    made = admin.put("/api/message_templates", json=template)
    assert made.status_code == 200, made.text
    changed = admin.put("/api/message_templates", json={**template, "body": "Hi"}).json()
    assert (changed["body"], changed["created_at"]) == ("Hi", made.json()["created_at"])
    problem(viewer.put("/api/message_templates", json=template), 403)


def test_story_3_9_the_funnel_adds_up(serve: Serving, admin: httpx.Client, viewer: httpx.Client) -> None:
    lead = made(admin)
    admin.patch(f"/api/leads/{lead['id']}", json={"status": "contacted"})
    counted = rows(
        serve, "SELECT to_status, count(*) AS n FROM crm.lead_status_history WHERE organization_id = %s GROUP BY 1", A
    )
    found = viewer.get("/api/analytics/funnel").json()["items"]
    assert {one["status"]: one["entries"] for one in found} == {row["to_status"]: row["n"] for row in counted}
    none = viewer.get("/api/analytics/funnel", params={"until": "2000-01-01T00:00:00Z"})
    assert none.json() == {"items": []}
    problem(viewer.get("/api/analytics/funnel", params={"since": "yesterday"}), 422)


def test_story_3_14_what_sources_cost_is_exact(serve: Serving, viewer: httpx.Client, stranger: httpx.Client) -> None:
    with crm_database.session(serve.url, role=None, keep=True) as connection:
        crm_database.add(connection, "lead_source_costs", source="roi test", month="2025-01-01", amount="0.10")
        crm_database.add(connection, "lead_source_costs", source="roi test", month="2025-02-01", amount="0.20")
    [found] = [one for one in viewer.get("/api/analytics/roi").json()["items"] if one["source"] == "roi test"]
    assert (found["spend_usd"], found["leads"], found["roi"]) == ("0.30", 0, "-1.0000")
    january = viewer.get("/api/analytics/roi", params={"last_month": "2025-01-01"}).json()["items"]
    assert [one["spend_usd"] for one in january if one["source"] == "roi test"] == ["0.10"]
    assert "roi test" not in stranger.get("/api/analytics/roi").text
    problem(viewer.get("/api/analytics/roi", params={"first_month": "2025-01-02"}), 422)


def test_the_documentation_names_every_endpoint(serve: Serving) -> None:
    described = serve.client.get("/api/openapi.json").json()["paths"]
    named = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert {
        ("POST", "/api/leads"), ("GET", "/api/leads"), ("GET", "/api/leads/{lead_id}"),
        ("PATCH", "/api/leads/{lead_id}"), ("DELETE", "/api/leads/{lead_id}"), ("POST", "/api/dnc"),
        ("GET", "/api/dnc/check"), ("POST", "/api/nurture_sequences"), ("POST", "/api/leads/{lead_id}/enroll"),
        ("GET", "/api/analytics/funnel"), ("GET", "/api/analytics/roi"), ("GET", "/api/crms"),
        ("GET", "/api/crms/{crm}/entities"), ("POST", "/api/syncs"), ("GET", "/api/syncs/{run_id}"),
        ("GET", "/api/tables/{table}"),
    } <= named  # fmt: skip
    assert not any(path.startswith(("/login", "/health")) for _, path in named)


def test_an_erased_person_is_not_brought_back(serve: Serving, admin: httpx.Client) -> None:
    number = phone()
    known = made(admin, email="Erased@example.com")
    made(admin, phone=number)
    with warehouse.session(serve.url) as session:
        erasure.erase(session, "email", "erased@example.com", [], erased_by="test")
        erasure.erase(session, "phone", number, [], erased_by="test")
    assert admin.get(f"/api/leads/{known['id']}").json().get("email") is None
    other = made(admin)
    national = f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    for headers in ({}, {"Idempotency-Key": "erased"}):
        for given in ({"email": "ERASED@example.com"}, {"phone": number}, {"phone": national}):
            for answer in (
                admin.post("/api/leads", json={"first_name": "Ada", **given}, headers=headers),
                admin.patch(f"/api/leads/{other['id']}", json=given, headers=headers),
            ):
                assert answer.status_code == 409, (given, answer.request.method, answer.text)
                assert answer.json()["detail"] == kept_out.REFUSED
