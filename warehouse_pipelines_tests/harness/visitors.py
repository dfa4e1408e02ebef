"""Users of a running ``warehouse serve`` in tests: programs with a token, and browsers that signed in."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving import accounts
from warehouse_pipelines_tests.harness.crm_database import A
from warehouse_pipelines_tests.harness.http_client import PLAIN

PASSWORD = "an invented password"


def add_user(
    url: str, role: str, *, organization: str = A, name: str | None = None, password: str | None = None
) -> str:
    """Add a user and return the name. Without a password nobody can sign in as it: hashing one takes long."""
    chosen = name or f"{role}-{uuid4().hex[:8]}"
    with warehouse.session(url) as session:
        accounts.add_user(session, chosen, role, UUID(organization), password)
    return chosen


def token_of(url: str, user: str, *, scopes: Sequence[str] = (), lasts: timedelta = timedelta(days=1)) -> str:
    with warehouse.session(url) as session:
        return accounts.add_token(session, user, "tests", scopes, lasts)[1]


def program(address: str, url: str, role: str, *, organization: str = A, scopes: Sequence[str] = ()) -> httpx.Client:
    """Return a client that acts as a new user of this role."""
    token = token_of(url, add_user(url, role, organization=organization), scopes=scopes)
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60, verify=PLAIN)


class Browser:
    """Keeps cookies as a browser does on a site that it trusts: `Secure` ones go to 127.0.0.1 too."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    def send(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        with httpx.Client(base_url=self.address, timeout=60, verify=PLAIN) as client:
            answer = client.request(method, path, **{**given, "headers": headers | given.get("headers", {})})
        self.set_cookies = answer.headers.get_list("set-cookie")
        for one in self.set_cookies:
            name, _, rest = one.partition("=")
            value = rest.partition(";")[0].strip('"')
            if "max-age=0" in one.lower() or not value:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.send("GET", path, **given)

    def post(self, path: str, data: dict[str, str], **given: Any) -> httpx.Response:
        return self.send("POST", path, data=data, **given)

    def csrf(self, path: str = "/login") -> str:
        """Return the token in the form of a page."""
        found = re.search(r'name="csrf_token" value="(\w+)"', self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def login(self, name: str, password: str = PASSWORD, to: str = "/") -> httpx.Response:
        return self.post("/login", {"csrf_token": self.csrf(), "name": name, "password": password, "next": to})
