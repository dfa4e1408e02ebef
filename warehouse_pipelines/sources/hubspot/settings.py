"""Which HubSpot portal to read, at which rates, and where it has custom objects."""

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment


class PropertyMap(FromEnvironment, env_prefix="HUBSPOT_"):
    """The setting of ``Settings`` that says which columns a portal has under other names."""

    property_map: str = ""


class Settings(FromEnvironment, env_prefix="HUBSPOT_"):
    """``ACCESS_TOKEN`` is of a private app, an OAuth application or a service key.

    The rates are those of a private app on Professional. Enterprise has 1,000,000 a day; Free and Starter have 100 in
    ten seconds. ``*_OBJECT`` is the portal's name of a custom object, or its type id (``2-123``); ``auto`` looks for
    our name, and for an appointment falls back on the standard object. ``ACCOUNT_ID`` says whose the token must be: the
    number of the portal, with or without ``hub-`` before it. For ``PROPERTY_MAP`` see ``properties``.
    """

    access_token: SecretStr
    account_id: str = ""
    base_url: str = "https://api.hubapi.com"
    requests_per_10_seconds: int = 190
    searches_per_second: int = 5
    requests_per_day: int = 650_000
    appointment_object: str = "auto"
    division_object: str = "auto"
    geniususer_object: str = "auto"
    zipcode_object: str = "auto"
    property_map: str = ""
