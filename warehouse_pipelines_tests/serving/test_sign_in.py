"""Who signs in, with what, for how long; and how ``serve`` is kept from listening where it should not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.serving import accounts, server
from warehouse_pipelines.serving.sign_in import LIMITS, local_path
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines_tests.harness.serving import PUBLIC, Serving, serving
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, program, token_of

EVERYWHERE = "0.0.0.0"  # noqa: S104  (refused)
COOKIE = "__Host-warehouse_session"
pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture
def serve(database_url: str) -> Iterator[Serving]:
    with serving(database_url) as found:
        yield found


@pytest.fixture
def browser(serve: Serving) -> Browser:
    return Browser(serve.address)


def test_a_session_begins_with_all_flags_and_ends(serve: Serving, browser: Browser) -> None:
    name = add_user(serve.url, "viewer", password=PASSWORD)
    assert browser.get("/").headers["location"] == "/login?next=/"
    answer = browser.login(name, to="/dagster/runs?page=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dagster/runs?page=2")
    [cookie] = [one for one in browser.set_cookies if one.startswith(COOKIE)]
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)
    assert name in browser.get("/").text
    rows = looking(serve.url).execute("SELECT token_hash FROM access.session").fetchall()
    assert browser.cookies[COOKIE].encode() not in bytes(rows[0]["token_hash"])
    kept = dict(browser.cookies)
    assert browser.post("/logout", {"csrf_token": browser.csrf("/")}).headers["location"] == "/login"
    assert looking(serve.url).execute("SELECT FROM access.session").fetchall() == []
    browser.cookies = kept
    assert browser.get("/").status_code == 303, "the cookie means nothing any more"


def test_a_cookie_of_before_means_nothing_after_signing_in(serve: Serving, browser: Browser) -> None:
    """Session fixation: what somebody planted in the browser is not the session that begins."""
    name = add_user(serve.url, "viewer", password=PASSWORD)
    browser.cookies[COOKIE] = "planted-by-somebody-else-00000000000000000000"
    browser.login(name)
    first = browser.cookies[COOKIE]
    assert first != "planted-by-somebody-else-00000000000000000000"
    browser.login(name)
    second = browser.cookies[COOKIE]
    assert second != first
    browser.cookies[COOKIE] = first
    assert browser.get("/").status_code == 303, "signing in again ended the session before"


def test_wrong_names_and_passwords_are_told_alike(serve: Serving, browser: Browser) -> None:
    name = add_user(serve.url, "viewer", password=PASSWORD)
    without = add_user(serve.url, "viewer")
    disabled = add_user(serve.url, "viewer", password=PASSWORD)
    with warehouse.session(serve.url) as session:
        accounts.disable(session, disabled)
    said = set()
    for one, password in ((name, "a wrong password"), ("nobody", PASSWORD), (without, ""), (disabled, PASSWORD)):
        answer = browser.login(one, password)
        assert answer.status_code == 401
        assert COOKIE not in browser.cookies
        said.add(answer.text.partition('role="alert"')[2].partition("<")[0])
    assert len(said) == 1


def test_tries_are_limited_though_they_come_at_once(serve: Serving) -> None:
    name = add_user(serve.url, "viewer", password=PASSWORD)
    browsers = [Browser(serve.address) for _ in range(12)]
    tokens = [one.csrf() for one in browsers]

    def guess(number: int) -> None:
        browsers[number].post(
            "/login", {"csrf_token": tokens[number], "name": name, "password": f"guess {number} ......"}
        )

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(guess, range(12)))
    [row] = looking(serve.url).execute("SELECT count(*) AS n FROM access.sign_in_failure").fetchall()
    assert row["n"] == LIMITS["of_both"], "more were not even looked at"
    assert Browser(serve.address).login(name).status_code == 401, "the right one is refused now, too"
    other = add_user(serve.url, "viewer", password=PASSWORD)
    assert Browser(serve.address).login(other).status_code == 303, "nobody else is locked out"
    looking(serve.url).execute("UPDATE access.sign_in_failure SET failed_at = failed_at - interval '16 minutes'")
    assert Browser(serve.address).login(name).status_code == 303


def test_the_form_must_be_of_this_browser(serve: Serving, browser: Browser) -> None:
    """Nobody is signed in as somebody else by a form on another site."""
    name = add_user(serve.url, "viewer", password=PASSWORD)
    token = Browser(serve.address).csrf()
    sent = {"name": name, "password": PASSWORD, "csrf_token": token}
    assert browser.post("/login", sent).status_code == 403
    browser.csrf()
    assert browser.post("/login", sent).status_code == 403
    sent["csrf_token"] = browser.csrf()
    assert browser.post("/login", sent, headers={"Origin": "https://evil.test"}).status_code == 403
    assert browser.post("/login", sent, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.post("/login", sent, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_new_password_and_a_disabled_user_end_what_was_given(serve: Serving, browser: Browser) -> None:
    name = add_user(serve.url, "operator", password=PASSWORD)
    token = {"Authorization": f"Bearer {token_of(serve.url, name)}"}
    browser.login(name)
    assert browser.get("/").status_code == 200
    assert serve.client.get("/api/crms", headers=token).status_code == 200
    with warehouse.session(serve.url) as session:
        accounts.set_password(session, name, "another invented password")
    assert browser.get("/").status_code == 303
    with warehouse.session(serve.url) as session:
        accounts.disable(session, name)
    assert serve.client.get("/api/crms", headers=token).status_code == 401


def test_sessions_end_unused_and_at_their_end(serve: Serving, browser: Browser) -> None:
    name = add_user(serve.url, "viewer", password=PASSWORD)
    for change in ("last_seen_at = now() - interval '9 hours'", "expires_at = now() - interval '1 second'"):
        browser.login(name)
        assert browser.get("/").status_code == 200
        looking(serve.url).execute(f"UPDATE access.session SET {change}")
        assert browser.get("/").status_code == 303


def test_tokens_hold_as_long_and_for_as_much_as_they_say(serve: Serving) -> None:
    """Without a token nobody reads; with one what its scopes and the role have."""
    assert serve.client.get("/api/crms").status_code == 401
    assert serve.client.get("/api/crms").headers["www-authenticate"].startswith("Bearer")
    with program(serve.address, serve.url, "operator", scopes=["status.read"]) as client:
        assert client.get("/api/crms").status_code == 200
        assert client.get("/api/leads").status_code == 403
    name = add_user(serve.url, "viewer")
    token = token_of(serve.url, name)
    kept = looking(serve.url).execute("SELECT * FROM access.api_token").fetchall()
    assert token not in str(kept)
    for change in ("expires_at = now()", "expires_at = now() + interval '1 day', revoked_at = now()"):
        looking(serve.url).execute(f"UPDATE access.api_token SET {change}")
        assert serve.client.get("/api/crms", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    with warehouse.session(serve.url) as session, pytest.raises(WrongUse, match=r"does not have: leads\.write"):
        accounts.add_token(session, name, "too much", ["leads.write"], accounts.LONGEST)


@pytest.mark.parametrize("given", [
    "https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "evil.test", "", "/\nSet-Cookie: a=b",
    "http:evil", "/%0d%0a\r\n",
])  # fmt: skip
def test_nobody_is_sent_elsewhere(given: str) -> None:
    assert local_path(given) == "/"


def test_a_path_of_ours_is_gone_to() -> None:
    assert local_path("/leads?status=new") == "/leads?status=new"


@pytest.mark.parametrize(("given", "said"), [
    ({"warehouse_serve_host": EVERYWHERE}, "WAREHOUSE_TLS_CERTIFICATE"),
    ({"warehouse_serve_host": "192.0.2.1"}, "WAREHOUSE_TRUSTED_PROXY"),
    ({"warehouse_serve_host": "example.test"}, "WAREHOUSE_TRUSTED_PROXY"),
    ({"warehouse_serve_host": EVERYWHERE, "warehouse_trusted_proxy": "*"}, "everybody"),
    ({"warehouse_public_url": "http://hooks.example.test"}, "begins with http://"),
    ({"warehouse_tls_certificate": "cert.pem"}, "belong together"),
    ({"warehouse_oidc_issuer": "https://id.example.test"}, "WAREHOUSE_OIDC_CLIENT_ID"),
])  # fmt: skip
def test_it_does_not_listen_where_others_could_listen_in(given: dict[str, Any], said: str) -> None:
    with pytest.raises(NotConfigured, match=said):
        server.configuration(ServeSettings(**given), "postgresql://nobody@127.0.0.1:1/none")


def test_it_listens_wider_behind_a_proxy_and_believes_it_alone() -> None:
    given = ServeSettings(warehouse_serve_host=EVERYWHERE, warehouse_trusted_proxy="10.0.0.0/8")
    assert server.configuration(given, "postgresql://nobody@127.0.0.1:1/none").forwarded_allow_ips == "10.0.0.0/8"


def test_every_answer_says_what_a_browser_may_do_with_it(serve: Serving, browser: Browser) -> None:
    for path in ("/login", "/api/crms", "/static/warehouse.css", "/nowhere", "/health"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"], f"{PUBLIC} is HTTPS"
        assert ("no-store" in headers["cache-control"]) == (not path.startswith("/static/")), path


def test_pages_of_ours_have_no_script_or_style_within(serve: Serving, browser: Browser) -> None:
    name = add_user(serve.url, "viewer", password=PASSWORD)
    pages = [browser.get("/login").text, browser.get("/nowhere").text]
    browser.login(name)
    for text in (*pages, browser.get("/").text):
        assert "<script>" not in text
        assert " style=" not in text
        assert " onclick=" not in text
