"""Pages that browse: the list of tables, rows of one, a row, the export; and whoever would get more out of them."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving.browsing import rows
from warehouse_pipelines.serving.browsing.display import harmless
from warehouse_pipelines.serving.browsing.table import Column
from warehouse_pipelines_tests.harness.crm_database import A, B, add, session
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import program

T = "/tables/hubspot_contact"
LARGE = 10_000_000


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with warehouse.session(shared_url) as found:
        found.execute('ALTER TABLE hubspot_contact ADD COLUMN "select" text, ADD COLUMN "Order by" text')
        found.execute("""
            INSERT INTO hubspot_contact (id, email, firstname, lastname, phone, phone_e164, lifecyclestage, createdate,
                lead_cost, raw_data, archived, sync_created_at, sync_updated_at, "select", "Order by")
            SELECT n::text, 'person' || n || '@example.test', 'Ada', 'Person' || n, '+1206555' || n, '+1206555' || n,
                CASE WHEN n % 2 = 0 THEN 'customer' ELSE 'lead' END, timestamptz '2026-01-01' + n * interval '1 day',
                n, '{"x": 0.1}', false, now(), now(), 'kept', 'kept too'
            FROM generate_series(1000, 1119) AS n
            """)
        found.execute("""
            INSERT INTO hubspot_contact
                (id, email, firstname, lifecyclestage, raw_data, sync_created_at, sync_updated_at)
            VALUES ('x1', '=1+1@example.test', '<script>alert(1)</script>', '@SUM(A1)', '{"x": "<b>"}', now(), now())
            """)
        found.execute(
            "INSERT INTO hubspot_contact (id, firstname, raw_data, sync_created_at, sync_updated_at)"
            " VALUES ('x2', repeat('large ', %s), jsonb_build_object('x', repeat('y', %s)), now(), now())",
            [LARGE // 6, LARGE],
        )
        found.execute("""
            INSERT INTO hubspot_deal (id, dealname, hubspot_owner_id, raw_data, sync_created_at, sync_updated_at)
            VALUES ('d1', 'Roof', 'o1', '{}', now(), now())
            """)
        found.execute("""
            INSERT INTO hubspot_owner (id, email, raw_data, sync_created_at, sync_updated_at)
            VALUES ('o1', 'owner@example.test', '{}', now(), now())
            """)
        found.execute("""
            INSERT INTO pipedesk.calendar_events
                (calendar_id, google_event_id, summary, raw_data, sync_created_at, sync_updated_at)
            VALUES ('crew@example.test', 'e1', 'At Ada''s', '{}', now(), now())
            """)
        found.execute("""
            INSERT INTO orchestration.change_log
                (table_name, record_key, column_name, old_value, new_value, sync_history_id)
            VALUES ('hubspot_contact', '1000', 'lastname', 'Before', 'Person1000', 1)
            """)
        found.execute("ANALYZE hubspot_contact")
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


def keys(page: str) -> list[str]:
    """Return the keys of the rows that a page shows."""
    return re.findall(r'<td class="\w+"><a href="/tables/hubspot_contact/row\?key=[^"]*">([^<]*)</a>', page)


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return T + found[1].replace("&amp;", "&") if found else None


def ask(client: httpx.Client, **given: Any) -> str:
    answer = client.get(T, params=given)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_table_is_listed_with_what_it_holds(viewer: httpx.Client, operator: httpx.Client) -> None:
    page = viewer.get("/tables").text
    for label in ("hubspot_contact", "pipedesk.leads", "marts.funnel_daily", "crm.leads", "identity.person"):
        assert f'<a href="/tables/{label}">{label}</a>' in page
    assert "People: leads and customers" in page
    for label in ("access.user_account", "identity.mask_key", "orchestration.change_log", "answers.follow_up"):
        assert label not in page
    assert "answers.follow_up" in operator.get("/tables").text, "in clear, for who may"
    found = viewer.get("/tables", params={"q": "CallRail"}).text
    assert "callrail_call" in found
    assert ">hubspot_contact<" not in found
    assert "Show all tables" in viewer.get("/tables", params={"q": "no such <b>"}).text


def test_pages_neither_repeat_nor_leave_out_a_row_forth_and_back(viewer: httpx.Client) -> None:
    first = viewer.get(T).text
    seen, page = [keys(first)], first
    while (following := link(page, "next")) is not None:
        page = viewer.get(following).text
        seen.append(keys(page))
    assert [len(one) for one in seen] == [50, 50, 22]
    assert [key for page in seen for key in page] == [str(number) for number in range(1000, 1120)] + ["x1", "x2"]
    back = []
    while (previous := link(page, "prev")) is not None:
        page = viewer.get(previous).text
        back.append(keys(page))
    assert back == [seen[1], seen[0]]
    assert link(first, "prev") is None


def test_rows_are_in_the_order_of_a_column_that_an_index_has(viewer: httpx.Client) -> None:
    page = ask(viewer, sort="-createdate")
    assert keys(page)[:2] == ["1119", "1118"]
    assert keys(viewer.get(link(page, "next") or "").text)[0] == "1069"
    assert 'aria-sort="descending"' in page
    assert "Rows without createdate are left out" in page
    for sort in ("lastname", "email", "no_such", "createdate; DROP TABLE hubspot_contact", '"', "raw_data"):
        assert viewer.get(T, params={"sort": sort}).status_code == 422, sort


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("id.is:1003", ["1003"]), ("id.starts:111", [str(n) for n in range(1110, 1120)]),
        ("lifecyclestage.is:@SUM(A1)", []), ("lead_cost.from:1118", ["1118", "1119"]),
        ("lead_cost.is:1,003", ["1003"]), ("createdate.from:2029-01-22", ["1118", "1119"]),
        ("createdate.is:2029-01-22", ["1118"]), ("createdate.empty", ["x1", "x2"]), ("archived.is:yes", []),
        ("lifecyclestage.has:CUSTOM", [str(n) for n in range(1000, 1100, 2)]),
        ("lastname.is:P.", [str(n) for n in range(1000, 1050)]),
    ],
)  # fmt: skip
def test_filters_find_what_is_seen(viewer: httpx.Client, where: str, found: list[str]) -> None:
    assert keys(ask(viewer, where=where)) == found


def test_filters_are_joined_and_can_be_removed(viewer: httpx.Client) -> None:
    page = ask(
        viewer, where=["lead_cost.from:1100", "lifecyclestage.is:lead"], column="lead_cost", operator="to", value="1104"
    )
    assert keys(page) == ["1101", "1103"]
    assert page.count('<span class="sr">Remove:</span>') == 3
    assert "lead_cost is at most 1104" in page


@pytest.mark.parametrize(
    "where",
    [
        "lead_cost.is:x", "createdate.from:yesterday", "id.from:1", "raw_data.has:x", "nothing.is:1", "id", "id.like:x",
        "lead_cost.is:1; DROP TABLE hubspot_contact", "archived.is:maybe", "id.is:", "id.is:\x00", "lead_cost.is:NaN",
        "lead_cost.is:1e999999", "createdate.to:9999-12-31", "id.is:" + "x" * 501, "select.is:kept", "1=1--.is:x",
    ],
)  # fmt: skip
@pytest.mark.every_case
def test_a_filter_that_cannot_be_is_refused_in_words_and_rows_are_shown(viewer: httpx.Client, where: str) -> None:
    answer = viewer.get(T, params={"where": where})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert len(keys(answer.text)) == 50


@pytest.mark.slow("the same in other circumstances")
def test_a_whole_value_is_found_by_the_indexes_and_a_part_in_the_texts(
    viewer: httpx.Client, operator: httpx.Client
) -> None:
    assert keys(ask(viewer, q="1007")) == ["1007"]
    assert "exactly" in ask(viewer, q="1007")
    assert keys(ask(viewer, q="x1")) == ["x1"]
    assert keys(ask(viewer, q="x1", anywhere=1)) == []  # no token of a mask, which is hexadecimal, has an x
    assert len(keys(ask(viewer, q="CUSTOMER"))) == 50
    assert "No row meets this" in ask(viewer, q="100% nothing_")
    clear = ask(operator, q="person1007@example.test", clear=1)
    assert len(re.findall("/row\\?key=1007", clear)) == 1
    assert "/row?key=1008" in ask(operator, q="+12065551008", clear=1)


def test_nobody_tests_a_guess_of_what_is_masked(viewer: httpx.Client, operator: httpx.Client) -> None:
    """Masked, filters and the search ask the masks: an address that is there finds as little as one that is not."""
    for client in (viewer, operator):
        for given in (
            {"where": "email.is:person1007@example.test"}, {"where": "email.has:person"},
            {"where": "lastname.is:Person1007"},
            {"where": "email.starts:person1007"}, {"q": "person1007@example.test"}, {"q": "Person1007"},
            {"where": "phone_e164.is:+12065551007"}, {"q": "+12065551007"}, {"where": "raw_data.empty"},
        ):  # fmt: skip
            assert keys(ask(client, **given)) == [], given
    assert "person1" not in ask(viewer)
    assert "Person1" not in ask(viewer, columns="all")


def test_clear_is_for_who_may_and_each_view_is_logged_before_it(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    before = logged(serve)
    for address in (T, f"{T}/row?key=1000", f"{T}/export.csv", "/tables/crm.leads"):
        more = "&" if "?" in address else "?"
        refused = viewer.get(f"{address}{more}clear=1")
        assert refused.status_code == 403
        assert "person1" not in refused.text
    assert logged(serve) == before
    assert "person1000@example.test" in ask(operator, clear=1)
    assert "{&#34;x&#34;: 0.1}" not in ask(operator, clear=1)
    assert "0.1" in operator.get(f"{T}/row", params={"key": "1000", "clear": 1}).text
    assert "person1000@example.test" in operator.get(f"{T}/export.csv", params={"clear": 1, "where": "id.is:1000"}).text
    operator.get("/tables/pipedesk.calendar_events/row", params={"key": ["crew@example.test", "e1"], "clear": 1})
    assert logged(serve)[len(before):] == [
        ("public.hubspot_contact", "list"), ("public.hubspot_contact", "list"), ("public.hubspot_contact", "1000"),
        ("public.hubspot_contact", "export"), ("pipedesk.calendar_events", "row"),
    ]  # fmt: skip


def test_a_row_has_its_meanings_its_changes_and_its_neighbours(viewer: httpx.Client, operator: httpx.Client) -> None:
    masked = viewer.get(f"{T}/row", params={"key": "1000"}).text
    assert "HubSpot&#39;s id of the contact" in masked
    assert "What changed" in masked
    assert "lastname" in masked
    assert "Before" not in masked
    assert "Person1000" not in masked
    clear = operator.get(f"{T}/row", params={"key": "1000", "clear": 1}).text
    assert "Before" in clear
    deal = viewer.get("/tables/hubspot_deal/row", params={"key": "d1"}).text
    assert '<a href="/tables/hubspot_owner/row?key=o1">o1</a>' in deal
    owner = viewer.get("/tables/hubspot_owner/row", params={"key": "o1"}).text
    assert '<a href="/tables/hubspot_deal/row?key=d1">d1</a>' in owner


@pytest.mark.parametrize("key", [["nobody"], [], ["1000", "1001"], ["1000\x00"], ["' OR true --"], ["x" * 501]])
def test_a_row_that_is_not_there_is_not_found(viewer: httpx.Client, key: list[str]) -> None:
    assert viewer.get(f"{T}/row", params={"key": key}).status_code in (404, 422)


def test_a_key_of_another_type_is_refused(viewer: httpx.Client) -> None:
    for key in ("not a number", "1; DROP TABLE genius_lead", "99999999999999999999"):
        assert viewer.get("/tables/genius_lead/row", params={"key": key}).status_code == 422
    assert viewer.get("/tables/genius_lead", params={"after": '["x"]'}).status_code == 422
    for cursor in ("[1]", "x", '["a", "b"]', "[]", '{"a": 1}', "[null]", "\ud800".encode("utf-8", "surrogatepass")):
        assert viewer.get("/tables/hubspot_contact", params={"after": cursor}).status_code == 422, cursor


def test_a_key_that_names_somebody_opens_in_clear_alone(viewer: httpx.Client, operator: httpx.Client) -> None:
    page = viewer.get("/tables/pipedesk.calendar_events").text
    assert "crew@" not in page
    assert "/row?" not in page
    assert (
        viewer.get("/tables/pipedesk.calendar_events/row", params={"key": ["crew@example.test", "e1"]}).status_code
        == 404
    )
    assert "crew@example.test" in operator.get("/tables/pipedesk.calendar_events?clear=1").text


def test_an_export_has_all_that_is_filtered_and_no_formula(viewer: httpx.Client, operator: httpx.Client) -> None:
    answer = viewer.get(f"{T}/export.csv", params={"where": "lifecyclestage.is:customer", "sort": "-createdate"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="hubspot_contact.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["id"] for row in rows] == [str(number) for number in range(1118, 998, -2)]
    clear = operator.get(f"{T}/export.csv", params={"where": "id.is:x1", "clear": 1})
    (row,) = csv.DictReader(io.StringIO(clear.text.removeprefix("\ufeff")))
    assert (row["email"], row["lifecyclestage"]) == ("'=1+1@example.test", "'@SUM(A1)")
    assert row["firstname"] == "<script>alert(1)</script>"
    phones = operator.get(f"{T}/export.csv", params={"where": "id.is:1000", "clear": 1}).text
    assert "'+12065551000" in phones


def test_documents_in_an_export_are_json_and_wide_signs_are_no_formula(operator: httpx.Client) -> None:
    answer = operator.get(f"{T}/export.csv", params={"where": "id.is:1000", "clear": 1})
    (row,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert json.loads(row["raw_data"]) == {"x": 0.1}
    text = Column("t", "text", None, None, None, False, True, False, False, False)
    for sign in "=+-@\uff1d\uff0b\uff0d\uff20":
        assert harmless(text, f" {sign}1+1") == f"' {sign}1+1"


def test_a_word_may_be_searched_for_in_a_table_without_texts() -> None:
    assert rows._affordable(()) == rows.WALKED


def test_an_export_says_where_it_ends(viewer: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_pipelines.serving.pages import tables

    monkeypatch.setattr(tables, "EXPORTED", 30)
    monkeypatch.setattr(tables, "EXPORT_PAGE", 7)
    lines = viewer.get(f"{T}/export.csv").text.splitlines()
    assert len(lines) == 32
    assert lines[-1] == "This is not all: the file ends after 30 rows. Filter it or use psql."


def test_values_are_shown_and_never_run(operator: httpx.Client) -> None:
    for address in (f"{T}?clear=1&where=id.is:x1", f"{T}/row?key=x1&clear=1", f"{T}?q=<script>alert(2)</script>"):
        page = operator.get(address).text
        assert "<script>alert" not in page
        assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in operator.get(f"{T}?clear=1&where=id.is:x1").text


def test_a_value_of_ten_megabytes_is_shown_by_its_beginning(operator: httpx.Client) -> None:
    for given in ({"clear": 1, "where": "id.is:x2", "columns": "all"}, {"where": "id.is:x2"}):
        assert len(ask(operator, **given)) < 500_000
    assert len(operator.get(f"{T}/row", params={"key": "x2", "clear": 1}).text) < 1_000_000


def test_columns_may_be_called_anything(operator: httpx.Client) -> None:
    assert len(keys(ask(operator, clear=1, where="select.is:kept"))) == 50
    assert len(keys(ask(operator, clear=1, where="Order by.has:TOO"))) == 50
    assert "kept too" in ask(operator, clear=1, columns="all")


def test_rows_of_crm_are_those_of_the_organization(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    with session(serve.url, role=None, keep=True) as connection:
        ours = add(connection, "leads", first_name="Ada")
        theirs = add(connection, "leads", organization_id=B, first_name="Secret")
    for client, given in ((viewer, {}), (operator, {"clear": "1"})):
        page = client.get("/tables/crm.leads", params=given).text
        assert str(ours) in page
        assert str(theirs) not in page
        assert "About" not in page, "how many rows others have is nobody's business"
        assert client.get("/tables/crm.leads/row", params={**given, "key": [A, str(ours)]}).status_code == 200
        for key in ([B, str(theirs)], [A, str(theirs)]):
            assert client.get("/tables/crm.leads/row", params={**given, "key": key}).status_code == 404
        for where in (f"id.is:{theirs}", f"organization_id.is:{B}"):
            assert str(theirs) not in client.get("/tables/crm.leads/export.csv", params={**given, "where": where}).text


def test_rows_of_marts_are_those_of_the_organization(
    serve: Serving, viewer: httpx.Client, operator: httpx.Client
) -> None:
    """Marts are of all organizations, and have no policy."""
    with warehouse.session(serve.url) as found:
        for organization, key in ((A, "ours"), (B, "theirs")):
            found.execute(
                "INSERT INTO marts.dnc_conflicts (organization_id, channel, source_table, source_key, contacted_at,"
                " phone, listed_at, reason)"
                " VALUES (%s, 'call', 'callrail_call', %s, now(), '+12065550100', now(), 'x')",
                [organization, key],
            )
    address = "/tables/marts.dnc_conflicts"
    ours: tuple[dict[str, str], ...] = ({}, {"q": "callrail", "anywhere": "1"})
    nothing = ({"q": "theirs"}, {"where": f"organization_id.is:{B}"}, {"where": "source_key.is:theirs"})
    for client, given in ((viewer, {}), (operator, {"clear": "1"})):
        for path in (address, f"{address}/export.csv"):
            for asked in (*ours, *nothing):
                answer = client.get(path, params={**given, **asked})
                assert answer.status_code == 200
                assert re.findall(r"[>,](ours|theirs)[<,]", answer.text) == ["ours"] * (asked in ours), asked
        assert "About" not in client.get(address, params=given).text
        page = client.get("/api/tables/marts.dnc_conflicts", params=given).json()
        assert [row["source_key"] for row in page["items"]] == ["ours"]
        assert page["total_estimate"] is None
    for organization, key, status in ((A, "ours", 200), (B, "theirs", 404)):
        parts = [organization, "callrail_call", key, "call"]
        assert operator.get(f"{address}/row", params={"clear": 1, "key": parts}).status_code == status


@pytest.mark.parametrize("table", [
    "access.user_account", "access.api_token", "orchestration.webhook_inbox", "orchestration.change_log",
    "identity.mask_key", "identity.erasure_key", "pg_catalog.pg_authid", "pg_authid", "information_schema.tables",
    "masked.hubspot_contact", "no_such_table", "hubspot_contact;drop", "hubspot_contact--", "public.hubspot_contact.x",
    "HUBSPOT_CONTACT", "..%2f..%2fetc%2fpasswd", "%2e%2e", "hubspot_contact%00", quote("hubspot_contact' OR '1"),
])  # fmt: skip
def test_no_other_table_is_read(operator: httpx.Client, table: str) -> None:
    for rest in ("", "/row?key=1", "/export.csv"):
        for clear in ("0", "1"):
            more = "&" if "?" in rest else "?"
            answer = operator.get(f"/tables/{table}{rest}{more}clear={clear}")
            assert answer.status_code in (404, 422), table
            assert "root:" not in answer.text


def test_whoever_is_nobody_is_asked_to_sign_in(serve: Serving) -> None:
    for path in ("/tables", T, f"{T}/row?key=1000", f"{T}/export.csv"):
        answer = serve.client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=")
    with program(serve.address, serve.url, "admin", scopes=["status.read"]) as client:
        for path in ("/tables", T, f"{T}/row?key=1000", f"{T}/export.csv", "/persons"):
            assert client.get(path).status_code == 403
