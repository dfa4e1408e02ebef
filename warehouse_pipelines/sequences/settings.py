"""Settings of sequences: what sends, from whom, when. Read when they are used; without any nothing leaves the house."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.sequences.hours import Hours
from warehouse_pipelines.sequences.links import SHORTEST_KEY
from warehouse_pipelines.settings import FromEnvironment


class SequenceSettings(FromEnvironment):
    """Of the worker. ``WAREHOUSE_SEQUENCES_SENDER`` is ``live`` only where messages are to be sent for good."""

    warehouse_sequences_sender: Literal["outbox", "live"] = "outbox"
    """``outbox`` keeps messages in ``crm.sequence_message`` and sends none; ``live`` sends by SMTP and SMS."""
    warehouse_sequences_at_least_once: bool = False
    """Whether a message of which nobody knows whether it left is sent again, instead of waiting for a person."""
    warehouse_contact_hours: str = "08:00-21:00"
    warehouse_business_name: str = ""
    warehouse_business_phone: str = ""
    warehouse_business_address: str = ""
    """The postal address that stands below each e-mail, as 15 U.S.C. 7704(a)(5) demands."""
    warehouse_unsubscribe_key: SecretStr | None = None
    warehouse_public_url: str = ""
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` is for this machine alone."""
    smtp_username: str = ""
    smtp_password: SecretStr | None = None
    smtp_from: str = ""
    """The address that e-mails are from, which may have a name: ``Acme Roofs <hello@example.com>``."""
    sms_url: str = ""
    sms_token: SecretStr | None = None
    sms_signing_key: SecretStr | None = None

    @field_validator("warehouse_contact_hours")
    @classmethod
    def _within_the_law(cls, value: str) -> str:
        Hours.read(value)
        return value

    @property
    def hours(self) -> Hours:
        """When a lead may be called or texted."""
        return Hours.read(self.warehouse_contact_hours)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of links, of which the first signs."""
        given = self.warehouse_unsubscribe_key.get_secret_value() if self.warehouse_unsubscribe_key else ""
        return tuple(key for one in given.split(",") if (key := one.strip()))

    def require_links(self) -> None:
        """Raise ``NotConfigured`` where no link could be signed, or nobody could follow it."""
        if not self.keys or any(len(key) < SHORTEST_KEY for key in self.keys):
            raise NotConfigured(
                "Messages carry a link that ends them, which is signed. Set WAREHOUSE_UNSUBSCRIBE_KEY to "
                f"{SHORTEST_KEY} characters or more, such as `openssl rand -hex 32` prints, and keep them: links in "
                "messages that were sent are good for as long as their key is."
            )
        if self.warehouse_sequences_sender == "live" and not self.warehouse_public_url:
            raise NotConfigured("WAREHOUSE_PUBLIC_URL is not set, so a link in a message would lead nowhere.")

    @property
    def public_url(self) -> str:
        """Where links lead."""
        return (self.warehouse_public_url or "http://127.0.0.1:8080").rstrip("/")


def read() -> SequenceSettings:
    """Read the settings now. Raises ``NotConfigured`` for one that cannot be used."""
    return settings.read(SequenceSettings)
