"""Where the warehouse and Dagster's own folder are. A vendor's settings stand in the vendor's file.

Read from the environment, then from ``.env`` at the top level, whatever folder the command is typed in; the path of a
setting that is relative is from the top level as well. Nothing is read at import, and nothing here needs a secret to be
imported.
"""

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, PositiveInt, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource

from warehouse_pipelines import running
from warehouse_pipelines.errors import NotConfigured

S = TypeVar("S", bound="FromEnvironment")
PACKAGE = Path(__file__).resolve().parent  # once: each reading of settings asks where .env is


def project_root() -> Path:
    """Return the top level of the checkout the package runs from; of an installed wheel, the current folder."""
    beside = PACKAGE.parent
    return beside if (beside / "pyproject.toml").is_file() else Path.cwd()


def sql_folder() -> Path:
    """Return the folder ``sql/``: within the package in an installed wheel, beside it in a checkout."""
    within = PACKAGE / "_sql"
    return within if within.is_dir() else PACKAGE.parent / "sql"


def shipped(file: Path | str) -> Path:
    """Return a file of Dagster's configuration: the one below ``project_root``, else the one that a wheel brings."""
    root = project_root()
    own = root / file  # a setting is absolute already
    if own.exists() or not own.is_relative_to(root):
        return own
    return PACKAGE / "_dagster" / own.relative_to(root)


def env_file() -> Path:
    """Return the ``.env`` that is read, whether or not it is there."""
    return project_root() / ".env"


class FromEnvironment(BaseSettings, extra="ignore", env_ignore_empty=True):
    """Settings of the project or of a vendor, read when they are made.

    An empty value counts as none, because that is what compose files make of an unset one. What a copy from a web page
    or a file leaves at either end of a value is dropped: blanks, ends of lines, characters without width. Within a
    secret such a character makes it unusable, and the error tells its position but nothing of the value.

    ``<NAME>_FILE`` in the environment names a file that holds the value, as secrets of containers are given. An empty
    one is an error: whoever names it means to set the value. While the demo's simulators run, their settings stand in
    for those of vendors; see ``_simulated``.
    """

    def __init__(self, **given: Any) -> None:
        with _telling_where_env_file_is_wrong():
            super().__init__(_env_file=env_file(), **{**_simulated(type(self)), **_in_files(type(self)), **given})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read each field as the text that it is given, without the sources that look for JSON in it."""
        given: dict[str, str | None] = {}
        for source in (dotenv_settings, env_settings):
            given |= cast("EnvSettingsSource", source).env_vars
        return init_settings, _Texts(settings_cls, given)

    @field_validator("*", mode="before")
    @classmethod
    def _stripped(cls, value: Any, about: ValidationInfo) -> Any:
        if isinstance(value, _InFile):
            value = value.read()
        if not isinstance(value, str):
            return value
        visible = [place for place, character in enumerate(value) if _is_visible(character)]
        if value and not visible:
            raise ValueError("it holds nothing that can be seen")
        value = value[visible[0] : visible[-1] + 1] if visible else ""
        kind = cls.model_fields[about.field_name or ""].annotation
        if Path in (kind, *get_args(kind)):
            return project_root() / value
        if SecretStr not in (kind, *get_args(kind)):
            return value
        for place, character in enumerate(value, 1):
            if character != " " and not _is_visible(character):
                raise ValueError(f"character {place} is U+{ord(character):04X}, which cannot be seen; copy it again")
        return value


class _Texts(PydanticBaseSettingsSource):
    """The values of the environment and of ``.env``, by their names in small letters.

    Pydantic's own sources ask of each field at each reading whether it may hold JSON, which none does here. That took
    3 ms instead of 0.3, and a sync reads settings five times, a run of the marts a hundred times.
    """

    def __init__(self, form: type[BaseSettings], given: Mapping[str, str | None]) -> None:
        super().__init__(form)
        self._given = given

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = setting_name(self.settings_cls, field_name).lower()
        return self._given.get(name), name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class _InFile:
    """The value of a setting that stands in a file."""

    def __init__(self, path: str) -> None:
        self.path = project_root() / path

    def read(self) -> str:
        try:
            text = self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {self.path} cannot be read: {type(error).__name__}") from None
        if not any(map(_is_visible, text)):
            raise ValueError(f"the file {self.path} is empty")
        return text


def setting_name(form: type[BaseSettings], field: str) -> str:
    """Return the name of a field as it stands in the environment."""
    return f"{form.model_config.get('env_prefix', '')}{field}".upper()


def _in_files(form: type[BaseSettings]) -> dict[str, Any]:
    """Return the fields that the environment gives by ``<NAME>_FILE`` and not by ``<NAME>``."""
    spelt = {name: setting_name(form, name) for name in form.model_fields}
    return {
        name: _InFile(path)
        for name, setting in spelt.items()
        if not os.environ.get(setting) and (path := os.environ.get(f"{setting}_FILE"))
    }


def _simulated(form: type[BaseSettings]) -> dict[str, str]:
    """Return the fields that the simulators of a demo have, while they run and nothing else is set up.

    Real credentials never meet a simulator, and invented people no other warehouse than the demo's: with a ``.env``, a
    ``WAREHOUSE_DATABASE_URL``, or any setting of the vendor in the environment there are none.
    """
    spelt = {setting_name(form, name): name for name in form.model_fields}
    if form is Settings or any(os.environ.get(name) or os.environ.get(f"{name}_FILE") for name in spelt):
        return {}
    if env_file().exists() or Settings().warehouse_database_url is not None:
        return {}
    found = running.simulated_settings(_state_path())
    return {name: found[setting] for setting, name in spelt.items() if setting in found}


def _is_visible(character: str) -> bool:
    """Whether a character is none of the separators, control and format characters."""
    return unicodedata.category(character)[0] not in "ZC"


@contextlib.contextmanager
def _telling_where_env_file_is_wrong() -> Iterator[None]:
    """Raise ``NotConfigured`` with the file and the line where ``.env`` is not UTF-8."""
    try:
        yield
    except UnicodeDecodeError as error:
        file = env_file()
        line = error.object[: error.start].count(b"\n") + 1
        raise NotConfigured(f"{file}, line {line}, is not UTF-8. Save the file in that encoding.") from None


def forget_copies(forms: Sequence[type[BaseSettings]]) -> None:
    """Take out of the environment what these forms find in ``.env`` with the same value, so that the file counts.

    Dagster's programs copy the file into their environment when they start, where a token of that time would hide a
    newer one in the file until the next start.
    """
    names = {setting_name(form, field) for form in forms for field in form.model_fields}
    with _telling_where_env_file_is_wrong():
        written = dotenv_values(env_file())
    for name, value in written.items():
        if name.upper() in names and os.environ.get(name) == value:
            del os.environ[name]


class Settings(FromEnvironment):
    """Of the project itself."""

    warehouse_database_url: SecretStr | None = None
    warehouse_home: Path | None = None
    dagster_home: Path | None = None
    dagster_storage_url: SecretStr | None = None
    warehouse_dagster_config: Path = Path("dagster.yaml")
    """The file that Dagster's instance is configured by, from the top level of the project: ``docs/scale.md``."""
    warehouse_celery_broker_url: SecretStr | None = None
    """The Redis that hands runs to workers, see ``orchestration.celery_launcher``."""
    warehouse_safety_limit: PositiveInt = 10_000_000
    """Records after which a read that does not end is given up, and its run is partial.

    A list that repeats is an error at once; this is for one that always has something new. Ten million is ten times
    the largest table that this project is measured with, and cheap enough to be read in vain: an hour and a half and a
    sixth of the day's requests at HubSpot's rate, four minutes of a database, while CallRail's day ends long before.
    """
    warehouse_pool_wait_seconds: PositiveInt = 600
    """Seconds that a command waits for a slot of the vendor's pool, which other runs hold, before it gives up."""
    warehouse_parts_at_a_time: PositiveInt = 4
    """Parts that a command, or a run of a whole CRM, reads side by side, each in a process with sessions of its own."""
    warehouse_run_days: PositiveInt | None = None
    warehouse_failed_run_days: PositiveInt | None = None
    """Days that Dagster's runs are kept with their logs, and those that failed; unset, as
    ``orchestration.retention_policy`` says. See ``dagster_maintenance``."""
    warehouse_log_format: Literal["text", "json"] = "text"
    """What programs print without ``--log-format``: lines for people, or JSON on standard output."""
    warehouse_log_folder: Path | None = None
    warehouse_log_file_mb: PositiveInt = 50
    warehouse_log_files: PositiveInt = 10
    """Where JSON lines are written besides, if anywhere; how large a file may be, and how many full ones are kept of
    each. See ``observability.log_files``."""
    warehouse_columns_file: Path | None = None
    """The columns of this installation; unset: ``config/columns.toml``, see ``column_config``."""
    warehouse_accounts_file: Path | None = None
    """The further accounts of CRMs; unset: ``config/accounts.toml``, see ``model.accounts``."""
    warehouse_time_zone: ZoneInfo = ZoneInfo("America/New_York")
    """Where the business has its days: an activity at midnight UTC is one of the day before there."""
    crm_organization_id: UUID = UUID("00000000-0000-0000-0000-000000000001")
    """The organization that sources and files of leads feed, unless ``crm.feed_source`` says otherwise."""
    warehouse_hash_key: SecretStr | None = None
    """What hashed columns are hashed with, see ``loading.hash_and_drop``. Whoever has it can test a guess; another key
    makes another hash of every value."""
    warehouse_erase_at_once: bool = False
    """Whether a person whose record a vendor deleted for good is erased without being asked about first."""


class ServeSettings(FromEnvironment):
    """Of ``warehouse serve``: where it listens, who may sign in, and how deliveries are verified.

    ``WAREHOUSE_PUBLIC_URL`` is how vendors and browsers reach it: HubSpot signs it, and behind a proxy nobody else
    knows it. A vendor without a secret cannot deliver. ``CALLRAIL_SIGNING_KEYS`` has one of each company, with commas.
    """

    warehouse_serve_host: str = "127.0.0.1"
    warehouse_serve_port: int = Field(default=8080, ge=0, le=65535)
    warehouse_public_url: str = ""
    warehouse_webhook_rate: PositiveInt = 1_000
    """Deliveries a second that one sender may make to one source, with twice as many at once; more is answered 429."""
    warehouse_metrics_token: SecretStr | None = None
    """What Prometheus sends to read ``/metrics``; without it, this machine alone may."""
    warehouse_tls_certificate: Path | None = None
    warehouse_tls_key: Path | None = None
    """Files in PEM, with which it speaks HTTPS itself."""
    warehouse_trusted_proxy: str = ""
    """Addresses or networks of the proxies in front, with commas: what they say of who calls is believed. Unset: a
    proxy on this machine, while it listens on this machine alone."""
    warehouse_allowed_hosts: str = ""
    """Names under which it is asked, with commas, beside ``localhost`` and that of ``WAREHOUSE_PUBLIC_URL``."""
    warehouse_dagster_api_url: str = "http://127.0.0.1:3000"
    """Dagster's webserver, which is asked to run syncs."""
    warehouse_oidc_issuer: str = ""
    warehouse_oidc_client_id: str = ""
    warehouse_oidc_client_secret: SecretStr | None = None
    warehouse_oidc_name: str = "single sign-on"
    warehouse_unsubscribe_key: SecretStr | None = None
    """What links are signed with by which people end messages; see ``sequences.links``."""
    hubspot_client_secret: SecretStr | None = None
    callrail_signing_keys: SecretStr | None = None
    arrivy_webhook_secret: SecretStr | None = None
    leadconduit_webhook_secret: SecretStr | None = None

    @property
    def can_verify(self) -> bool:
        """Whether any vendor has a secret, so that deliveries are to be expected."""
        return any(isinstance(value, SecretStr) and not name.startswith("warehouse_") for name, value in self)


def settings() -> Settings:
    """Read the settings now. Raises ``NotConfigured`` for one that cannot be used."""
    return read(Settings)


def serve_settings() -> ServeSettings:
    """Read those of ``serve`` now. Raises ``NotConfigured`` for one that cannot be used."""
    return read(ServeSettings)


def read(form: type[S]) -> S:
    """Read the settings of a form now. Raises ``NotConfigured`` for one that cannot be used."""
    try:
        return form()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
        raise NotConfigured(f"A setting cannot be used, in the environment or in .env: {wrong}") from None


def wrong(form: type[BaseSettings]) -> dict[str, str]:
    """Return what is wrong with a setting of a form, by its name, without its value; nothing where it is missing."""
    try:
        form()
    except ValidationError as error:
        return {
            setting_name(form, "_".join(map(str, one["loc"]))): ""
            if one["type"] == "missing"
            else one["msg"].removeprefix("Value error, ")
            for one in error.errors(include_input=False)
        }
    return {}


def optional_text(file: Path, setting: str) -> str | None:
    """Return what a file of this installation says; None where it is absent and no setting names it.

    Raises ``NotConfigured`` for one that cannot be read, or that ``setting`` names and that is absent: a mistaken path
    must not mean that nothing is configured.
    """
    named = getattr(settings(), setting.lower()) is not None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not named:
            return None
        which = f"{setting} names {file}, which" if named else str(file)
        raise NotConfigured(f"{which} cannot be read: {type(error).__name__}.") from error


def state_folder() -> Path:
    """Return the folder of what is kept here, made if need be: ``.warehouse/``, or what ``WAREHOUSE_HOME`` names."""
    folder = _state_path()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _state_path() -> Path:
    """Return where the state folder is, or would be. Whoever has a database and Dagster elsewhere needs none."""
    return settings().warehouse_home or project_root() / ".warehouse"


def dagster_home() -> Path:
    """Return ``DAGSTER_HOME``, or the folder that stands in for it. ``local.dagster_home.prepare`` makes it usable."""
    return settings().dagster_home or state_folder() / "dagster"


SHORTEST_HASH_KEY = 16


def hash_key() -> bytes:
    """Return what columns are hashed with. Raises ``NotConfigured`` when it is missing, or too short for a key."""
    key = settings().warehouse_hash_key
    if key is None or len(key.get_secret_value()) < SHORTEST_HASH_KEY:
        raise NotConfigured(
            f"config/columns.toml hashes columns, and WAREHOUSE_HASH_KEY {'is too short' if key else 'is not set'}. "
            f"Set {SHORTEST_HASH_KEY} characters or more, for example what `openssl rand -hex 32` prints, and keep "
            "them: another key makes other hashes of all values."
        )
    return key.get_secret_value().encode()


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
    """Return what raises ``ValueError`` for a setting that is not the URL of one database of this kind."""

    def checked(value: SecretStr) -> SecretStr:
        url = value.get_secret_value().strip()
        if problem := database_url_problem(url, scheme, example):
            raise ValueError(problem)
        if not re.match(r"[^/]+//[^/]+/\w", url):
            raise ValueError(f"names no database; write {example}")
        return SecretStr(url)

    return AfterValidator(checked)


def postgresql_url(name: str, value: SecretStr) -> str:
    """Return the value as ``postgresql://…``, which libpq, ADBC and SQLAlchemy all read; a driver in it is dropped.

    Raises ``NotConfigured`` for another kind of URL.
    """
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
        with _telling_where_env_file_is_wrong():
            written = DotEnvSettingsSource(form, env_file=env_file()).env_vars
        simulated, files = _simulated(form), _in_files(form)
        for name, field in form.model_fields.items():
            spelt = setting_name(form, name).lower()
            value, origin = "" if field.default is None else str(field.default), "default"
            if name in files:
                value, origin = "***", str(files[name].path)
            elif given := environment.get(spelt) or written.get(spelt) or simulated.get(name):
                secret = SecretStr in (field.annotation, *get_args(field.annotation))
                value = _harmless(given) if secret or "://" in given else given
                value = "***" if _hidden(field) else value
                origin = "environment" if environment.get(spelt) else ".env" if written.get(spelt) else "the demo"
            elif field.is_required():
                value, origin = "", "missing"
            rows.append((spelt.upper(), value, origin))
    return rows


def _hidden(field: FieldInfo) -> bool:
    """Whether not even a part of a URL may be shown: its path may be a token."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("hidden"))


def _harmless(value: str) -> str:
    found = re.fullmatch(r"([\w+.-]+://)(?:[^\s/?#@]*@)?([\w.:\[\]-]*(?:/[\w.%-]*)*)([?#][^@]*)?", value)
    return f"{found[1]}{found[2]}" if found else "***"


def masked_url(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(?<=://)([^/@:\s]*):[^@\s]*(?=@)", r"\1:***", url)
