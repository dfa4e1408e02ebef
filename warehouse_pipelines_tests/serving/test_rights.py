"""Every route and every role: who has the right may, nobody else does, and a route that says nothing cannot be made."""

import re
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from starlette.routing import Mount, Route

from warehouse_pipelines.serving import app as application
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.guard import GuardedRoute
from warehouse_pipelines.serving.pages import OF_ALL, PAGES
from warehouse_pipelines.serving.rights import EVERYONE, MEANINGS, OVER_ALL, ROLES, SIGNED_IN, Right
from warehouse_pipelines_tests.harness.crm_database import B, add, session
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program

ROUTES = [(method, route) for route in application.guarded_routes() for method in sorted(route.methods or ())]


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    with serving(shared_url) as found:
        yield found


@pytest.fixture(scope="module")
def programs(serve: Serving) -> Iterator[dict[str, httpx.Client]]:
    found = {role: program(serve.address, serve.url, role) for role in ROLES}
    yield found
    for client in found.values():
        client.close()


def ask(client: httpx.Client, method: str, route: GuardedRoute) -> httpx.Response:
    path = re.sub(r"\{([^}]*id|person)\}", str(UUID(int=7)), route.path)
    path = re.sub(r"\{(table|label)\}", "hubspot_contact", path).replace("{crm}", "hubspot").replace("{name}", "funnel")
    assert "{" not in path, f"the test does not know what to put into {route.path}"
    body: dict[str, str] | None = {} if method in ("POST", "PATCH", "PUT") else None
    return client.request(method, path, json=body)


def test_every_right_means_something_and_admins_have_all() -> None:
    assert {*MEANINGS} == {*Right} == ROLES["admin"]
    assert ROLES["viewer"] < ROLES["operator"] < ROLES["admin"]
    declared = {route.right for _, route in ROUTES}
    assert declared <= {*Right, EVERYONE, SIGNED_IN}


def test_nothing_is_served_that_does_not_say_who_may(serve: Serving) -> None:
    """What the application answers is guarded, or on the short list of what is open."""

    def paths(routes: list[object]) -> Iterator[str]:
        for route in routes:
            if isinstance(route, GuardedRoute):
                continue
            if isinstance(route, Route | Mount):
                yield route.path
            else:  # FastAPI keeps an included router as one
                assert {*map(type, route.original_router.routes)} == {GuardedRoute}  # type: ignore[attr-defined]

    from warehouse_pipelines.settings import ServeSettings

    made = application.build_app(ServeSettings(), "postgresql://nobody@127.0.0.1:1/none")
    assert {*paths([*made.routes])} == {*application.OPEN}


def test_a_route_without_a_right_cannot_be_made() -> None:
    router = guard.router()

    async def open_by_mistake() -> None: ...

    with pytest.raises(TypeError, match="does not say who may use it"):
        router.get("/mistake")(open_by_mistake)


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=[f"{method} {route.path}" for method, route in ROUTES])
@pytest.mark.every_case
def test_rbac_matrix(serve: Serving, programs: dict[str, httpx.Client], method: str, route: GuardedRoute) -> None:
    """Three roles against every route, and nobody at all."""
    status = ask(serve.client, method, route).status_code
    if route.right == EVERYONE:
        assert status not in (500, 401) or route.path == "/auth/check"
    elif method == "GET" and not route.path.startswith("/api"):
        assert status == 303
    else:
        assert status == 401
    for role, rights in ROLES.items():
        answer = ask(programs[role], method, route)
        assert answer.status_code != 500, answer.text
        if route.right in (EVERYONE, SIGNED_IN):
            continue
        assert (answer.status_code == 403) == (route.right not in rights), (role, answer.text)
        assert answer.status_code != 401


@pytest.mark.usefixtures("quick_passwords")
def test_a_browser_may_change_nothing_without_the_token_of_its_session(serve: Serving) -> None:
    name = add_user(serve.url, "admin", password=PASSWORD)
    browser = Browser(serve.address)
    browser.login(name)
    other = Browser(serve.address)
    other.login(add_user(serve.url, "admin", password=PASSWORD))
    token, strange = browser.csrf("/"), other.csrf("/")
    for method, route in ROUTES:
        if method in guard.SAFE or route.right == EVERYONE or route.path == "/logout":
            continue
        path = re.sub(r"\{[^}]*id\}", str(UUID(int=7)), route.path)
        for headers in ({}, {"X-CSRF-Token": strange}, {"X-CSRF-Token": token, "Origin": "https://evil.test"}):
            assert browser.send(method, path, json={}, headers=headers).status_code == 403, (path, headers)
        answer = browser.send(method, path, json={}, headers={"X-CSRF-Token": token})
        assert answer.status_code not in (401, 403, 500), (path, answer.text)


@pytest.fixture(scope="module")
def elsewhere(serve: Serving) -> Iterator[httpx.Client]:
    """An admin of an organization that no source feeds."""
    with program(serve.address, serve.url, "admin", organization=B) as client:
        yield client


def test_a_user_of_another_organization_is_shown_nothing_of_all(serve: Serving, elsewhere: httpx.Client) -> None:
    """Every route: what takes a right over all, or says that it shows what is of all, is refused, and says why."""
    refused, shown = set(), set()
    for method, route in ROUTES:
        answer = ask(elsewhere, method, route)
        of_all = route.of_all_organizations or route.right in OVER_ALL
        if of_all or "{table}" in route.path or "{label}" in route.path:
            assert answer.status_code == 403, (route.path, answer.text)
            assert "CRM_ORGANIZATION_ID" in answer.text
            refused.add(route.path)
        elif route.right != EVERYONE:
            assert answer.status_code != 403, (route.path, answer.text)
            shown.add(route.path)
    read = {route.path for _, route in ROUTES if route.right in (Right.DATA_READ, Right.ANALYTICS_READ)}
    assert read - refused == {"/tables", "/api/analytics/funnel", "/api/analytics/roi"}, "does it say whose it shows?"
    assert elsewhere.get("/auth/check").status_code == 403
    assert {"/answers", "/answers/{name}", "/persons", "/persons/{person}/explain", "/dead-letters"} <= refused
    assert {"/", "/tables", "/runs", "/api/leads", "/api/analytics/roi", "/api/sync-history", "/api/dnc"} <= shown
    offered = {address for address, _, _ in PAGES if f'href="{address}"' in elsewhere.get("/").text}
    assert offered == {address for address, _, right in PAGES if right not in OVER_ALL} - OF_ALL


def test_a_user_of_another_organization_reads_the_tables_that_are_listed_and_its_own_rows(
    serve: Serving, elsewhere: httpx.Client
) -> None:
    with session(serve.url, role=None, keep=True) as connection:
        add(connection, "leads", first_name="Theirs")
        ours = add(connection, "leads", organization_id=B, first_name="Ours", golden_id=UUID(int=5))
    listed = set(re.findall(r'<a href="/tables/([\w.]+)[?"]', elsewhere.get("/tables").text))
    assert {"crm.leads", "crm.dnc_list"} <= listed
    assert listed.isdisjoint({"marts.source_roi", "marts.activity_timeline", "identity.person", "pipedesk.leads"})
    for table in listed:
        for clear in ("false", "true"):
            answer = elsewhere.get(f"/api/tables/{table}", params={"clear": clear})
            assert answer.status_code in (200, 404), (table, answer.text)
            assert "Theirs" not in answer.text
    assert "Ours" in elsewhere.get("/api/tables/crm.leads", params={"clear": "true"}).text
    for table in ("identity.person", "marts.activity_timeline", "pipedesk.leads", "crm.status_mapping"):
        for path in (f"/api/tables/{table}", f"/tables/{table}", f"/tables/{table}/export.csv"):
            assert elsewhere.get(path).status_code == 403, path
    row = elsewhere.get("/tables/crm.leads/row", params={"key": [B, str(ours)], "clear": "1"})
    assert "Ours" in row.text
    assert str(UUID(int=5)) in row.text
    assert "/persons/" not in row.text
