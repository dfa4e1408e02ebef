"""Where alerts go, when they may, and where their links lead. Read when they are used; all of it may be unset."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator

from warehouse_pipelines import settings
from warehouse_pipelines.settings import FromEnvironment

MINUTE, MINUTES_OF_LONGEST_DAY = timedelta(minutes=1), 25 * 60


class AlertSettings(FromEnvironment):
    """``WAREHOUSE_ALERT_URLS`` has a URL of apprise for each channel, with blanks between them.

    The URLs hold tokens, so nothing of them is ever shown. ``WAREHOUSE_HEARTBEAT_URL`` is asked for after each
    evaluation, so that a service outside can tell when evaluations end.
    """

    warehouse_alert_urls: SecretStr | None = Field(default=None, json_schema_extra={"hidden": True})
    warehouse_alert_quiet_hours: str = ""
    """Such as 22:00-07:00, where the business has its days."""
    warehouse_heartbeat_url: SecretStr | None = Field(default=None, json_schema_extra={"hidden": True})
    warehouse_dagster_public_url: str = "http://127.0.0.1:3000"
    """Where people open Dagster's UI."""

    @field_validator("warehouse_alert_quiet_hours")
    @classmethod
    def _two_times(cls, value: str) -> str:
        if value:
            _times(value)
        return value

    @property
    def urls(self) -> list[str]:
        """The URLs of the channels, each once."""
        given = self.warehouse_alert_urls.get_secret_value() if self.warehouse_alert_urls else ""
        return list(dict.fromkeys(given.split()))


def read() -> AlertSettings:
    """Read the settings now. One that cannot be used counts as unset, or a typo in the quiet hours would silence all
    alerts; ``problems`` names it.
    """
    try:
        return AlertSettings()
    except ValidationError as error:
        names = {str(wrong["loc"][0]) for wrong in error.errors() if wrong["loc"]}
        fields = AlertSettings.model_fields
        return AlertSettings(**{name: field.default for name, field in fields.items() if name in names})


def problems() -> dict[str, str]:
    """Return of each setting that cannot be used a sentence that says so, without its value."""
    return {
        name: f"{name} cannot be used and counts as unset: {wrong}"
        for name, wrong in settings.wrong(AlertSettings).items()
    }


def _times(value: str) -> tuple[time, time]:
    try:
        begin, end = (time.fromisoformat(part.strip()) for part in value.split("-"))
    except ValueError:
        raise ValueError("write two times, such as 22:00-07:00") from None
    if begin.tzinfo or end.tzinfo or begin == end:
        raise ValueError("write two different times of the business's zone, such as 22:00-07:00")
    return begin, end


def quiet_until(hours: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the quiet hours end that ``now`` is in; None outside of them."""
    if not hours:
        return None
    begin, end = _times(hours)

    def is_quiet(at: datetime) -> bool:
        local = at.astimezone(zone).time()
        return begin <= local < end if begin < end else local >= begin or local < end

    if not is_quiet(now):
        return None
    at = now.replace(second=0, microsecond=0)
    for _ in range(MINUTES_OF_LONGEST_DAY):  # and not by adding hours: clocks are changed in some nights
        at += MINUTE
        if not is_quiet(at):
            break
    return at
