"""The keys of MarketSharp, the signature that they make, and the zones of its times."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.settings import FromEnvironment, setting_name


class Settings(FromEnvironment, env_prefix="MARKETSHARP_"):
    """The first three are under Admin, Apps & Add-ons Setup, API Maintenance.

    ``time_zone`` is the zone of times without an offset. ``filter_time_zone`` is the zone in which the service reads
    the times of a filter; without it they are compared with the wall clock that the service writes.
    """

    company_id: str
    api_key: SecretStr
    secret_key: SecretStr
    base_url: str = "https://api4.marketsharpm.com"
    time_zone: ZoneInfo = ZoneInfo("America/New_York")
    filter_time_zone: ZoneInfo | None = None

    def literal(self, at: datetime) -> str:
        """Return a time as a literal of a filter."""
        wall = at.astimezone(self.filter_time_zone or self.time_zone).replace(tzinfo=None)
        return f"datetime'{wall.isoformat()}'"

    def literal_of(self, wall: str) -> str:
        """Return a time that the service wrote, without its offset, as a literal of a filter."""
        if self.filter_time_zone is None:
            return f"datetime'{wall}'"
        return self.literal(datetime.fromisoformat(wall).replace(tzinfo=self.time_zone))

    def signature(self) -> Mapping[str, str]:
        """Return the auth header of a request that is sent now: the signature includes the time.

        Raises ``NotConfigured`` for a secret key that is not Base64.
        """
        key, stamp = self.api_key.get_secret_value(), str(int(time.time()))
        try:
            secret = base64.b64decode(self.secret_key.get_secret_value(), validate=True)
        except binascii.Error as error:
            raise NotConfigured(
                f"{setting_name(type(self), 'secret_key')} is not Base64, as the page of the keys shows it; "
                "set it as it stands there."
            ) from error
        digest = hmac.digest(secret, f"{self.company_id}{key}{stamp}".encode(), hashlib.sha256)
        return {"Authorization": f"{self.company_id}:{key}:{stamp}:{base64.b64encode(digest).decode()}"}
