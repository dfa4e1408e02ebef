"""Who may deliver: a row for each ``/webhooks/<name>``.

Headers that are kept say something of the event or of its signature. What proves who sent it, a channel's token or a
secret, is never among them.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from warehouse_pipelines.model.account_settings import WebhookSecrets, settings_of
from warehouse_pipelines.model.webhook import Delivery, Events
from warehouse_pipelines.serving import signatures
from warehouse_pipelines.settings import ServeSettings
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.sources.webhooks import READERS

_ATTEMPT = re.compile(rb'"attemptNumber"\s*:\s*\d+')

EVERYWHERE = ("content-type", "user-agent")


def by_body(delivery: Delivery) -> str:
    """Tell deliveries apart by their bytes, without the count of tries that HubSpot writes into them."""
    return hashlib.sha256(_ATTEMPT.sub(b"", delivery.body)).hexdigest()


def by_message(delivery: Delivery) -> str:
    """Tell Google's notifications apart by channel and number; they have no body."""
    named = (delivery.headers.get(name, "") for name in ("x-goog-channel-id", "x-goog-message-number"))
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


@functools.cache
def _secrets(source: str) -> WebhookSecrets:
    """Return the secrets of an account as they are when ``serve`` starts, as those of ``ServeSettings``."""
    form: type[WebhookSecrets] = settings_of(WebhookSecrets, source)
    return form()


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """How deliveries of one name are verified, known again, kept and read.

    ``verify``  returns whether a delivery is the vendor's; None where only the table of channels can tell
    ``needs``   the setting that ``verify`` needs
    ``vendor``, ``account``  of an account with a name, whose deliveries come to an address of its own
    """

    name: str
    vendor: str = ""
    account: str = ""
    verify: Callable[[Delivery, ServeSettings], bool] | None
    needs: str = ""
    headers: tuple[str, ...] = ()
    digest: Callable[[Delivery], str] = by_body

    def read(self, delivery: Delivery) -> Events:
        """Return what a delivery says. Raises ``UnreadableDelivery``."""
        events = READERS[self.vendor or self.name](delivery, self.account)
        if not self.account:
            return events
        return Events(events.ids, (change._replace(crm=self.name) for change in events.changes))

    def is_verified(self, delivery: Delivery, settings: ServeSettings) -> bool:
        """Return whether a delivery is the vendor's, and to this account."""
        return self.verify is not None and self.verify(delivery, self._own(settings))

    def is_set_up(self, settings: ServeSettings) -> bool:
        """Return whether the setting is there that verifies its deliveries."""
        if not self.needs:
            return True
        return getattr(self._own(settings), self._as_declared().lower()) is not None

    def _own(self, settings: ServeSettings) -> ServeSettings:
        """Return the settings with the secret of this account in place of the other's, which proves nothing here."""
        if not self.account:
            return settings
        name = self._as_declared().lower()
        secret = getattr(_secrets(self.name), name.removeprefix(f"{self.vendor}_"))
        return settings.model_copy(update={name: secret})

    def _as_declared(self) -> str:
        return self.needs.replace(f"{self.name}_".upper(), f"{self.vendor}_".upper()) if self.account else self.needs

    def key(self, delivery: Delivery) -> str:
        """Return the key of a delivery, by which a second one of the same is known."""
        return f"{self.name}:{self.digest(delivery)}"

    def kept_headers(self, delivery: Delivery) -> dict[str, str]:
        """Return the headers that are kept."""
        return {
            name: delivery.headers[name].replace("\0", "")
            for name in (*EVERYWHERE, *self.headers)
            if name in delivery.headers
        }


_DECLARED: Mapping[str, Vendor] = {
    one.name: one
    for one in (
        Vendor(
            name="hubspot",
            verify=signatures.hubspot, needs="HUBSPOT_CLIENT_SECRET",
            headers=("x-hubspot-signature-version", "x-hubspot-request-timestamp"),
        ),
        Vendor(name="callrail", verify=signatures.callrail, needs="CALLRAIL_SIGNING_KEYS"),
        Vendor(name="arrivy", verify=signatures.arrivy, needs="ARRIVY_WEBHOOK_SECRET"),
        Vendor(name="leadconduit", verify=signatures.leadconduit, needs="LEADCONDUIT_WEBHOOK_SECRET"),
        Vendor(
            name="google",
            verify=None,
            headers=(
                "x-goog-channel-id", "x-goog-message-number", "x-goog-resource-id", "x-goog-resource-state",
                "x-goog-resource-uri", "x-goog-changed", "x-goog-channel-expiration",
            ),
            digest=by_message,
        ),
    )
}  # fmt: skip

VENDORS: Mapping[str, Vendor] = {
    **_DECLARED,
    **{
        source.name: replace(
            vendor,
            name=source.name,
            vendor=source.vendor,
            account=source.account,
            needs=vendor.needs.replace(f"{source.vendor}_".upper(), f"{source.name}_".upper()),
        )
        for source in SOURCES
        if source.account and (vendor := _DECLARED.get(source.vendor))
    },
}
"""An account with a name has an address and a secret of its own."""

BY_CRM: Mapping[str, Vendor] = {
    **{name: vendor for name, vendor in VENDORS.items() if name != "google"},
    **dict.fromkeys(("gcalendar", "gdrive"), VENDORS["google"]),
}
"""Whose deliveries tell of each CRM."""
