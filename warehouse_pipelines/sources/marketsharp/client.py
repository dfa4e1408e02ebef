"""Requests to MarketSharp's OData service (WCF Data Services), which is read-only, in Atom.

Each request is signed with the time of its sending, so each attempt is signed anew. JSON would be shorter, but its form
is known from one client only and its dates lose the offset; Atom was recorded.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from warehouse_pipelines.errors import CredentialRefused, RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._http import Client, first_backoff
from warehouse_pipelines.sources.marketsharp.atom import Feed, feed, metadata
from warehouse_pipelines.sources.marketsharp.settings import Settings

if TYPE_CHECKING:
    import httpx

ROOT = "/WcfDataService.svc"

SPURIOUS = 2
"""Repetitions of a request after a 400 or a 404: one client met some that the next attempt did not get."""


class MarketSharpClient:
    """The service, one request at a time. Its limits are unknown."""

    def __init__(self, context: ReadContext) -> None:
        self.context = context
        self.settings = context.settings(Settings)
        self.base_url = self.settings.base_url.rstrip("/")
        self._spurious = 0
        self._http = Client(
            context,
            title="MarketSharp",
            base_url=self.base_url,
            headers={"Accept": "application/atom+xml"},
            login=lambda renew: self.settings.signature(),
            credential=self.settings.company_id,
            wait_for=lambda answer, attempt: 10 * first_backoff() if answer.status_code == 503 else None,
            explain=self._explain,
            again=self._again,
        )

    def ask(self, name: str, **options: str | None) -> Feed:
        """Return a page of a set. Options that are None are left out."""
        return self.follow(name, {f"${option}": value for option, value in options.items() if value is not None})

    def follow(self, name: str, params: Mapping[str, str]) -> Feed:
        """Return a page by the parameters of a link of the service."""
        self._spurious = 0
        return self._http.send("GET", f"{ROOT}/{name}", feed, params=params)

    def described(self, name: str) -> Mapping[str, str] | None:
        """Return the type of each property of a set, by ``$metadata``; None if the service has none."""
        self._spurious = SPURIOUS  # a 404 is final here
        try:
            return self._http.send("GET", f"{ROOT}/$metadata", metadata).get(name)
        except RequestRefused:
            return None

    def _again(self, answer: "httpx.Response") -> bool:
        if answer.status_code not in (400, 404) or self._spurious == SPURIOUS:
            return False
        self._spurious += 1
        return True

    def _explain(self, answer: "httpx.Response") -> None:
        if answer.status_code == 401:
            raise CredentialRefused(
                "MarketSharp refuses the signature, and a fresh one as well. Is this machine's clock right? If so make "
                "new keys (Admin, Apps & Add-ons Setup, API Maintenance) and set "
                f"{self.context.setting('MARKETSHARP_API_KEY')} and {self.context.setting('MARKETSHARP_SECRET_KEY')}; "
                "nothing was loaded."
            )
