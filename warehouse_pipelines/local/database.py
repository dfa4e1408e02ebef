"""Where the warehouse is: the database of the settings, else the embedded server, which is started if need be."""

from warehouse_pipelines import settings


def database_url() -> str:
    """Return the URL of the warehouse. Its server may be started for it.

    Raises ``NotConfigured`` when ``WAREHOUSE_DATABASE_URL`` is no PostgreSQL URL or no server can be started here.
    """
    given = settings.settings().warehouse_database_url
    if given is not None:
        return settings.postgresql_url("WAREHOUSE_DATABASE_URL", given)
    from warehouse_pipelines.local import postgres  # with its driver, which definitions do not need

    return postgres.up(settings.state_folder())
