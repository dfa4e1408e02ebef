"""The account of Arrivy, and its rate."""

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment


class Settings(FromEnvironment, env_prefix="ARRIVY_"):
    """The rate limit is unknown: clients say 30, 100 and 120 a minute. With 60, a delta of 20,000 tasks takes one."""

    auth_key: SecretStr
    auth_token: SecretStr
    base_url: str = "https://app.arrivy.com"
    requests_per_minute: int = 60
