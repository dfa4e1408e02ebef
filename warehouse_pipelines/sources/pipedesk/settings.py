"""Where PipeDesk's database is."""

from typing import Annotated

from pydantic import SecretStr

from warehouse_pipelines.settings import POSTGRESQL, FromEnvironment, url_of


class Settings(FromEnvironment, env_prefix="PIPEDESK_"):
    """A SQLAlchemy URL of PostgreSQL, of the server itself or of a pooler, and the schema of the tables.

    TLS is required unless the host is this machine; ``sslmode=verify-full`` asks for more.
    """

    database_url: Annotated[SecretStr, url_of(POSTGRESQL, "postgresql://user:password@host:5432/database")]
    schema_name: str = "public"
