"""Where SalesPro shares its database, and the account of AWS that reads it."""

from zoneinfo import ZoneInfo

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment


class Settings(FromEnvironment):
    """The vendor's database, and the standard settings of AWS, which may stand in ``.env`` as well.

    ``salespro_athena_output`` is the place for results, ``s3://bucket/folder/``. A workgroup that enforces a place of
    its own ignores it; with managed query results it must be empty.
    """

    salespro_athena_database: str
    salespro_athena_output: str = ""
    salespro_athena_workgroup: str = "primary"
    salespro_athena_catalog: str = "AwsDataCatalog"
    salespro_athena_time_zone: ZoneInfo = ZoneInfo("UTC")
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_profile: str | None = None
    aws_region: str | None = None
    aws_default_region: str | None = None
    aws_endpoint_url: str | None = None

    @property
    def base_url(self) -> str:
        """The address of Athena."""
        return self.aws_endpoint_url or "https://athena.amazonaws.com"
