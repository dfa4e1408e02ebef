"""Where the Genius database is, and the zone of its times."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment, url_of


class Settings(FromEnvironment, env_prefix="GENIUS_"):
    """A SQLAlchemy URL, and the zone of DATETIMEs, which is unconfirmed (``entities``)."""

    database_url: Annotated[
        SecretStr, url_of(r"(mysql|mariadb)\+pymysql", "mysql+pymysql://user:password@host:3306/database")
    ]
    time_zone: ZoneInfo = ZoneInfo("America/Los_Angeles")
