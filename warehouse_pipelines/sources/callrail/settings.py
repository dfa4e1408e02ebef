"""The key of CallRail, and its rates."""

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment


class Settings(FromEnvironment, env_prefix="CALLRAIL_"):
    """``ACCOUNT_ID`` is an account that the key must see, such as ``ACC0123…``.

    The vendor allows an account 1,000 requests an hour and 10,000 a day; other programs need some of them."""

    api_key: SecretStr
    account_id: str = ""
    base_url: str = "https://api.callrail.com"
    requests_per_hour: int = 900
    requests_per_day: int = 9_000
