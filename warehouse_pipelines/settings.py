"""Where the warehouse and Dagster's own folder are. A vendor's settings stand in the vendor's file.

Read from the environment, then from ``.env`` at the top level, whatever folder the command is typed in. Nothing is
read at import, and nothing here needs a secret to be imported.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import AfterValidator, PositiveInt, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from warehouse_pipelines.errors import NotConfigured


def project_root() -> Path:
    """Return the top level of the checkout the package runs from; of an installed wheel, the current folder."""
    beside = Path(__file__).resolve().parents[1]
    return beside if (beside / "pyproject.toml").is_file() else Path.cwd()


def env_file() -> Path:
    """Return the ``.env`` that is read, whether or not it is there."""
    return project_root() / ".env"


class FromEnvironment(BaseSettings, extra="ignore", env_ignore_empty=True):
    """Settings of the project or of a vendor, read when they are made.

    An empty value counts as none, because that is what compose files make of an unset one. What a copy from a web page
    or a file leaves at either end of a value is dropped: blanks, ends of lines, characters without width. Within a
    secret such a character makes it unusable, and the error tells its position but nothing of the value.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(_env_file=env_file(), **given)

    @field_validator("*", mode="before")
    @classmethod
    def _stripped(cls, value: Any, about: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        visible = [place for place, character in enumerate(value) if _is_visible(character)]
        if value and not visible:
            raise ValueError("it holds nothing that can be seen")
        value = value[visible[0] : visible[-1] + 1] if visible else ""
        kind = cls.model_fields[about.field_name or ""].annotation
        if SecretStr not in (kind, *get_args(kind)):
            return value
        for place, character in enumerate(value, 1):
            if character != " " and not _is_visible(character):
                raise ValueError(f"character {place} is U+{ord(character):04X}, which cannot be seen; copy it again")
        return value


def _is_visible(character: str) -> bool:
    """Whether a character is none of the separators, control and format characters."""
    return unicodedata.category(character)[0] not in "ZC"


def forget_copies(forms: Sequence[type[BaseSettings]]) -> None:
    """Take out of the environment what these forms find in ``.env`` with the same value, so that the file counts.

    Dagster's programs copy the file into their environment when they start, where a token of that time would hide a
    newer one in the file until the next start.
    """
    names = {f"{form.model_config.get('env_prefix', '')}{name}".upper() for form in forms for name in form.model_fields}
    for name, value in dotenv_values(env_file()).items():
        if name.upper() in names and os.environ.get(name) == value:
            del os.environ[name]


class Settings(FromEnvironment):
    """Of the project itself."""

    warehouse_database_url: SecretStr | None = None
    warehouse_home: Path | None = None
    dagster_home: Path | None = None
    dagster_storage_url: SecretStr | None = None
    warehouse_safety_limit: PositiveInt = 10_000_000
    """Records after which a read that does not end is given up, and its run is partial.

    A list that repeats is an error at once; this is for one that always has something new. Ten million is ten times
    the largest table that this project is measured with, and cheap enough to be read in vain: an hour and a half and a
    sixth of the day's requests at HubSpot's rate, four minutes of a database, while CallRail's day ends long before.
    """
    warehouse_pool_wait_seconds: PositiveInt = 600
    """Seconds that a command waits for a slot of the vendor's pool, which other runs hold, before it gives up."""
    warehouse_run_days: PositiveInt = 7
    warehouse_failed_run_days: PositiveInt = 30
    """Days that Dagster's runs are kept with their logs, those that failed longer; see ``dagster_maintenance``."""


def settings() -> Settings:
    """Read the settings now. Raises ``NotConfigured`` for one that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
        raise NotConfigured(f"A setting cannot be used, in the environment or in .env: {wrong}") from None


def state_folder() -> Path:
    """Return the folder of everything that this project keeps on this machine, made if need be: ``.warehouse/``.

    ``WAREHOUSE_HOME`` puts it elsewhere.
    """
    folder = settings().warehouse_home or project_root() / ".warehouse"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute()


def dagster_home() -> Path:
    """Return ``DAGSTER_HOME``, or the folder that stands in for it. ``local.dagster_home.prepare`` makes it usable."""
    return (settings().dagster_home or state_folder() / "dagster").absolute()


def database_url() -> str:
    """Return the URL of the warehouse: ``WAREHOUSE_DATABASE_URL``, else the embedded server, started if need be.

    Raises ``NotConfigured`` when the setting is no PostgreSQL URL or no server can be started here.
    """
    given = settings().warehouse_database_url
    if given is not None:
        return postgresql_url("WAREHOUSE_DATABASE_URL", given)
    from warehouse_pipelines.local import postgres

    return postgres.up(state_folder())


POSTGRESQL = r"postgres(ql)?(\+\w+)?"

_CODE = "%[0-9A-Fa-f]{2}"
_HOST = rf"(?:\[[\w.:%]*\]|(?:[\w.-]|{_CODE})*)(?::\d*)?"
_WORD = rf"(?:[^\s@/?#%]|{_CODE})*"
_BEHIND_SCHEME = re.compile(rf"(?:{_WORD}@)?{_HOST}(?:,{_HOST})*(?:/{_WORD})?(?:\?(?:\w+=[^\s@?#&]*(?:&|$))*)?")


def database_url_problem(url: str, scheme: str, example: str) -> str | None:
    """Return what is wrong with the URL of a database, without any part of it; None when a driver may have it.

    Of an unencoded ``@ # / ? %`` in a password drivers make a host, a port or an option, and their errors quote it.
    So a URL that is not written as the standard demands is refused before any driver sees it.
    """
    given, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(scheme, given):
        return f"is no URL of this kind of database; write {example}"
    if not _BEHIND_SCHEME.fullmatch(rest):
        return (
            f"cannot be read; write {example} and percent-encode the password in it: @ is %40, # is %23, / is %2F, "
            "? is %3F, % is %25, a blank is %20"
        )
    return None


def url_of(scheme: str, example: str) -> AfterValidator:
    """Return what refuses a setting that is not the URL of one database of this kind."""

    def checked(value: SecretStr) -> SecretStr:
        url = value.get_secret_value().strip()
        if problem := database_url_problem(url, scheme, example):
            raise ValueError(problem)
        if not re.match(r"[^/]+//[^/]+/\w", url):
            raise ValueError(f"names no database; write {example}")
        return SecretStr(url)

    return AfterValidator(checked)


def postgresql_url(name: str, value: SecretStr) -> str:
    """Return the value as ``postgresql://…``, which libpq, ADBC and SQLAlchemy all read; a driver in it is dropped."""
    url = value.get_secret_value().strip()
    if problem := database_url_problem(url, POSTGRESQL, "postgresql://user:password@host:port/database"):
        raise NotConfigured(f"{name} {problem}.")
    return f"postgresql://{url.partition('://')[2]}"


def shown(forms: Sequence[type[BaseSettings]]) -> list[tuple[str, str, str]]:
    """Return name, value and origin of every setting of these forms as it is given, usable or not.

    Of a secret only a well-formed URL is shown, and of that neither user nor password nor options.
    """
    rows = []
    for form in forms:
        environment = EnvSettingsSource(form).env_vars
        written = DotEnvSettingsSource(form, env_file=env_file()).env_vars
        for name, field in form.model_fields.items():
            spelt = f"{form.model_config.get('env_prefix', '')}{name}".lower()
            value, origin = "" if field.default is None else str(field.default), "default"
            if given := environment.get(spelt) or written.get(spelt):
                secret = SecretStr in (field.annotation, *get_args(field.annotation))
                value = _harmless(given) if secret or "://" in given else given
                origin = "environment" if spelt in environment else ".env"
            elif field.is_required():
                value, origin = "", "missing"
            rows.append((spelt.upper(), value, origin))
    return rows


def _harmless(value: str) -> str:
    found = re.fullmatch(r"([\w+.-]+://)(?:[^\s/?#@]*@)?([\w.:\[\]-]*(?:/[\w.%-]*)*)([?#][^@]*)?", value)
    return f"{found[1]}{found[2]}" if found else "***"


def masked_url(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(?<=://)([^/@:\s]*):[^@\s]*(?=@)", r"\1:***", url)
