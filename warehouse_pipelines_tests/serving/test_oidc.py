"""Sign in by a real OIDC provider over HTTP, which also lies."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving import accounts, limits, oidc
from warehouse_pipelines.serving.limits import Rate
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines_tests.harness.oidc_provider import CLIENT, SECRET, Provider, provider
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.visitors import Browser, add_user

SESSION, COOKIE = "__Host-warehouse_session", "__Host-warehouse_oidc"


@pytest.fixture(scope="module")
def idp() -> Iterator[Provider]:
    with provider() as found:
        yield found


@pytest.fixture
def serve(database_url: str, idp: Provider) -> Iterator[Serving]:
    idp.lies, idp.signs_with, idp.person = (
        {},
        "RS256",
        {"sub": "s-1", "email": "Ada@example.test", "email_verified": True},
    )
    settings = {
        "warehouse_oidc_issuer": idp.issuer, "warehouse_oidc_client_id": CLIENT, "warehouse_oidc_client_secret": SECRET,
        "warehouse_oidc_name": "Example", "warehouse_public_url": "https://warehouse.example.test",
    }  # fmt: skip
    with serving(database_url, **settings) as found:
        yield found


def at_the_provider(browser: Browser, to: str = "/") -> str:
    """Begin to sign in; return the path of the callback, with what the provider sends."""
    sent = browser.get("/login/oidc", params={"next": to})
    assert sent.status_code == 303, sent.text
    with httpx.Client() as client:
        back = client.get(sent.headers["location"]).headers["location"]
    assert back.startswith("https://warehouse.example.test/login/oidc/callback?")
    parts = urlsplit(back)
    return f"{parts.path}?{parts.query}"


def sign_in(browser: Browser, to: str = "/") -> httpx.Response:
    return browser.get(at_the_provider(browser, to))


def test_who_was_added_signs_in_and_goes_on(serve: Serving) -> None:
    add_user(serve.url, "operator", name="ada@example.test")
    browser = Browser(serve.address)
    assert "Sign in with Example" in browser.get("/login").text
    answer = sign_in(browser, "/leads?page=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/leads?page=2")
    assert 'title="operator">ada@example.test<' in browser.get("/").text
    assert "warehouse_oidc" not in browser.cookies


def test_a_stranger_and_a_disabled_user_are_refused(serve: Serving) -> None:
    browser = Browser(serve.address)
    assert sign_in(browser).status_code == 403
    add_user(serve.url, "viewer", name="ada@example.test")
    with warehouse.session(serve.url) as session:
        accounts.disable(session, "ada@example.test")
    assert sign_in(browser).status_code == 403
    assert SESSION not in browser.cookies


@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_an_address_that_somebody_else_was_given_is_another_person(serve: Serving, idp: Provider) -> None:
    """The user is the provider's subject from the first sign-in on."""
    add_user(serve.url, "admin", name="ada@example.test")
    assert sign_in(Browser(serve.address)).status_code == 303
    idp.person = {"sub": "s-2", "email": "ada@example.test", "email_verified": True}
    assert sign_in(Browser(serve.address)).status_code == 403
    idp.person = {"sub": "s-1", "email": "ada.new@example.test", "email_verified": True}
    assert sign_in(Browser(serve.address)).status_code == 303


@pytest.mark.parametrize("verified", [False, "true", None])
@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_an_address_that_nobody_verified_means_nothing(serve: Serving, idp: Provider, verified: Any) -> None:
    add_user(serve.url, "admin", name="ada@example.test")
    idp.person = {"sub": "s-1", "email": "ada@example.test", "email_verified": verified}
    assert sign_in(Browser(serve.address)).status_code == 403


@pytest.mark.parametrize("lies", [
    {"nonce": "of another sign-in"}, {"aud": "another program"}, {"iss": "https://evil.test"},
    {"exp": int(time.time()) - 3600}, {"aud": [CLIENT, "another program"]}, {"sub": None},
])  # fmt: skip
@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    serve: Serving, idp: Provider, lies: dict[str, Any]
) -> None:
    add_user(serve.url, "admin", name="ada@example.test")
    idp.lies = lies
    browser = Browser(serve.address)
    assert sign_in(browser).status_code == 403
    assert SESSION not in browser.cookies


@pytest.mark.parametrize("how", ["another key", "none", "HS256"])
def test_an_id_token_that_the_provider_did_not_sign_is_refused(serve: Serving, idp: Provider, how: str) -> None:
    add_user(serve.url, "admin", name="ada@example.test")
    idp.signs_with = how
    assert sign_in(Browser(serve.address)).status_code == 403


def test_an_answer_belongs_to_the_browser_that_asked_and_is_used_once(serve: Serving) -> None:
    """Nobody is signed in as somebody else by a link."""
    add_user(serve.url, "admin", name="ada@example.test")
    attacker, victim = Browser(serve.address), Browser(serve.address)
    link = at_the_provider(attacker)
    assert victim.get(link).status_code == 403
    cookie = dict(attacker.cookies)
    assert attacker.get(link).status_code == 303
    attacker.cookies = cookie
    assert attacker.get(link).status_code == 403
    assert victim.get("/login/oidc/callback?state=&code=x").status_code == 403


@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_a_sign_in_that_took_too_long_or_whose_cookie_was_changed_is_refused(
    serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve.app.state.oidc.rate = Rate(1_000)  # more tries than an address has
    add_user(serve.url, "admin", name="ada@example.test")
    browser = Browser(serve.address)
    link = at_the_provider(browser, "/leads")
    secret, at, path = browser.cookies[COOKIE].split(".")
    for changed in (
        f"{secret}.{int(at) + 5}.{path}", f"{secret}.{at}./people", f"{secret}.{at}.//evil.test", f".{at}.{path}",
        secret, f"{secret}.x.{path}", f"{secret}.{'9' * 4000}.{path}", f"{secret}.{at.zfill(12)}{'9' * 5000}.{path}",
    ):  # fmt: skip
        browser.cookies[COOKIE] = changed
        assert browser.get(link).status_code == 403, changed
    browser.cookies[COOKIE] = f"{secret}.{at}.{path}"
    with monkeypatch.context() as later:
        later.setattr(oidc, "SECONDS", -1)
        assert browser.get(link).status_code == 403
    answer = browser.get(link)
    assert answer.headers.get("location") == "/leads", answer.text


@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_a_stranger_who_begins_again_and_again_leaves_nothing_and_is_refused(
    serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 0.0))
    rows = "SELECT relname, n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'access' ORDER BY 1"
    before = looking(serve.url).execute(rows).fetchall()
    with httpx.Client(base_url=serve.address) as client:
        statuses = [client.get("/login/oidc").status_code for _ in range(2 * oidc.PER_SECOND + 2)]
        assert statuses == [303] * 2 * oidc.PER_SECOND + [429, 429]
        assert client.get("/login/oidc/callback?state=x&code=x").status_code == 429
    assert looking(serve.url).execute(rows).fetchall() == before


def test_the_provider_is_asked_by_few_at_a_time_and_left_alone_while_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask() -> None:
        settings = ServeSettings(warehouse_oidc_issuer="http://127.0.0.1:1", warehouse_oidc_client_id=CLIENT)
        found = oidc.Provider(settings)
        asked = 0

        async def refused(address: str) -> Any:
            nonlocal asked
            asked += 1
            raise Refusal(502, "It does not answer.")

        monkeypatch.setattr(found, "_get", refused)
        results = await asyncio.gather(*(found.endpoint("x") for _ in range(50)), return_exceptions=True)
        assert {type(one) for one in results} == {Refusal}
        assert asked == 1
        with contextlib.ExitStack() as turns:
            for _ in range(oidc.AT_A_TIME):
                turns.enter_context(found.turn())
            with pytest.raises(Refusal, match="Too many"), found.turn():
                pass
        with found.turn():
            pass

    asyncio.run(ask())


@pytest.mark.slow("sign-ins that are refused for a rarer reason")
def test_a_path_that_no_cookie_holds_is_left_out(serve: Serving) -> None:
    add_user(serve.url, "admin", name="ada@example.test")
    assert sign_in(Browser(serve.address), "/leads?q=" + "ü" * 600).headers["location"] == "/"
    assert sign_in(Browser(serve.address), "/leads?q=a;b,%20ü").status_code == 303


def test_nobody_is_sent_elsewhere_afterwards(serve: Serving) -> None:
    add_user(serve.url, "admin", name="ada@example.test")
    assert sign_in(Browser(serve.address), "https://evil.test/").headers["location"] == "/"


def test_a_provider_that_does_not_answer_is_told(database_url: str) -> None:
    settings = {
        "warehouse_oidc_issuer": "http://127.0.0.1:1", "warehouse_oidc_client_id": CLIENT,
        "warehouse_oidc_client_secret": SECRET,
    }  # fmt: skip
    with serving(database_url, **settings) as serve:
        assert Browser(serve.address).get("/login/oidc").status_code == 502


def test_without_a_provider_there_is_no_such_page(database_url: str) -> None:
    with serving(database_url) as serve:
        browser = Browser(serve.address)
        assert browser.get("/login/oidc").status_code == 404
        assert "Sign in with" not in browser.get("/login").text
