"""Where the warehouse is: the database of the settings, else the embedded server, which is started if need be."""

from warehouse_pipelines.observability import redaction


def database_url() -> str:
    """Return the URL of the warehouse, and keep its password out of the logs. Its server may be started for it.

    Raises ``NotConfigured`` when ``WAREHOUSE_DATABASE_URL`` is no PostgreSQL URL or no server can be started here.
    """
    from warehouse_pipelines import settings  # with pydantic, which `warehouse --help` does not need

    given = settings.settings().warehouse_database_url
    if given is not None:
        url = settings.postgresql_url("WAREHOUSE_DATABASE_URL", given)
    else:
        from warehouse_pipelines.local import postgres  # with its driver, which definitions do not need

        url = postgres.up(settings.state_folder())
    redaction.hide_password(url)
    return url
