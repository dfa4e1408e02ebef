"""Caddy before ``serve`` and Dagster's UI, with the file that is delivered: one login for both, on loopback."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.serving import serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user, token_of

CADDYFILE = Path(__file__).parents[2] / "config" / "Caddyfile"
PAGE = {"Accept": "text/html"}


@dataclass
class Behind:
    """What is behind the proxy, and what of Dagster's was reached, with its headers."""

    serve: str
    dagster: str
    url: str
    reached: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def behind(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    caddy = shutil.which("caddy") or missing("Caddy (apt-get install caddy)")
    found = Behind(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}", shared_url)

    class Dagster(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.reached.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"Dagster's own page")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None: ...

    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Dagster)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with serving(shared_url, warehouse_public_url=found.serve.replace("http:", "https:")) as serve:
        home = tmp_path_factory.mktemp("caddy")
        environment = {
            **os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home),
            "WAREHOUSE_SITE": found.serve, "DAGSTER_SITE": found.dagster,
            "HEALTH_SITE": f"http://127.0.0.1:{free_port()}", "SERVE_UPSTREAM": serve.address.removeprefix("http://"),
            "DAGSTER_UPSTREAM": f"127.0.0.1:{upstream.server_port}",
        }  # fmt: skip
        command = [caddy, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
        with (home / "log").open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as child:
            try:
                deadline = time.monotonic() + 60
                while True:
                    try:
                        httpx.get(environment["HEALTH_SITE"], timeout=5)
                        break
                    except httpx.TransportError:
                        assert child.poll() is None, (home / "log").read_text()
                        assert time.monotonic() < deadline, (home / "log").read_text()
                        time.sleep(0.1)
                yield found
            finally:
                child.terminate()
                upstream.shutdown()
                upstream.server_close()


@pytest.fixture
def operator(behind: Behind) -> Browser:
    """Somebody who signed in through the proxy, and goes to Dagster's port with the same cookie."""
    browser = Browser(behind.serve)
    assert browser.login(add_user(behind.url, "operator", password=PASSWORD)).status_code == 303
    there = Browser(behind.dagster)
    there.cookies = browser.cookies
    return there


def test_who_is_not_signed_in_sees_nothing_of_dagster(behind: Behind) -> None:
    behind.reached.clear()
    stranger = Browser(behind.dagster)
    sent = stranger.get("/runs", headers=PAGE)
    assert (sent.status_code, sent.headers["location"]) == (303, f"{behind.serve.replace('http:', 'https:')}/login")
    assert stranger.post("/graphql", {}).status_code == 401
    assert stranger.get("/graphql?query={version}").status_code == 401
    for path in ("/../runs", "//runs", "/%2e%2e/graphql", "/auth/check", "/login", "/static/warehouse.css"):
        assert "Dagster's own" not in stranger.get(path).text, path
    assert behind.reached == []


def test_one_login_serves_both(behind: Behind, operator: Browser) -> None:
    behind.reached.clear()
    assert operator.get("/runs", headers=PAGE).text == "Dagster's own page"
    answer = operator.post("/graphql", {}, headers={"Origin": behind.dagster, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    [(page, headers), (asked, _)] = behind.reached
    assert (page, asked) == ("GET /runs", "POST /graphql")
    assert headers["x-warehouse-role"] == "operator"
    assert not {"cookie", "authorization"} & headers.keys(), "Dagster gets no credential"


@pytest.mark.slow("the same in other circumstances")
def test_nobody_says_of_himself_who_he_is(behind: Behind, operator: Browser) -> None:
    behind.reached.clear()
    operator.get("/runs", headers={"X-Warehouse-User": "root", "X-Warehouse-Role": "admin"})
    [(_, headers)] = behind.reached
    assert headers["x-warehouse-role"] == "operator"
    assert "root" not in headers["x-warehouse-user"]
    stranger = Browser(behind.dagster)
    assert stranger.get("/runs", headers={"X-Warehouse-User": "root"}).status_code == 401


def test_a_viewer_may_not(behind: Behind) -> None:
    behind.reached.clear()
    browser = Browser(behind.serve)
    browser.login(add_user(behind.url, "viewer", password=PASSWORD))
    there = Browser(behind.dagster)
    there.cookies = browser.cookies
    assert there.get("/runs", headers=PAGE).status_code == 403
    assert behind.reached == []


@pytest.mark.slow("the same in other circumstances")
def test_another_site_makes_nobody_run_anything(behind: Behind, operator: Browser) -> None:
    """Dagster takes a command by GET, too, and cookies go along with a link."""
    behind.reached.clear()
    for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": behind.serve}):
        assert operator.post("/graphql", {}, headers=headers).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", **PAGE}
    assert operator.get("/graphql?query=mutation", headers=link).status_code == 403
    for spelled in ("/GraphQL", "/%67raphql", "/graphq%6C"):
        assert operator.get(f"{spelled}?query=mutation", headers=link).status_code == 403, spelled
    assert behind.reached == []
    assert operator.get("/runs?q=1", headers=link).status_code == 200, "a link to a page is followed"


def test_a_program_goes_by_its_token(behind: Behind) -> None:
    name = add_user(behind.url, "operator")
    good, without = (
        token_of(behind.url, name, scopes=["dagster.use"]),
        token_of(behind.url, name, scopes=["leads.read"]),
    )
    with httpx.Client(base_url=behind.dagster) as client:
        assert client.post("/graphql", headers={"Authorization": f"Bearer {good}"}).status_code == 200
        assert client.post("/graphql", headers={"Authorization": f"Bearer {without}"}).status_code == 403
        assert client.post("/graphql", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_what_is_for_this_machine_is_not_shown_outside(behind: Behind) -> None:
    with httpx.Client(base_url=behind.serve) as client:
        assert client.get("/health").status_code == 404
        assert client.get("/metrics").status_code == 404
        assert client.get("/login").status_code == 200
