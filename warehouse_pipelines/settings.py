"""Where the warehouse and Dagster's own folder are. A vendor's settings stand in the vendor's file.

Read from the environment, then from ``.env`` at the top level, whatever folder the command is typed in. Nothing is
read at import, and nothing here needs a secret to be imported.
"""

import difflib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import AfterValidator, PositiveInt, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from warehouse_pipelines import running
from warehouse_pipelines.errors import NotConfigured


def project_root() -> Path:
    """Return the top level of the checkout the package runs from; of an installed wheel, the current folder."""
    beside = Path(__file__).resolve().parents[1]
    return beside if (beside / "pyproject.toml").is_file() else Path.cwd()


def sql_folder() -> Path:
    """Return the folder ``sql/``: beside the package in a checkout, within it in an installed wheel."""
    package = Path(__file__).resolve().parent
    beside = package.parent / "sql"
    return beside if beside.is_dir() else package / "_sql"


def env_file() -> Path:
    """Return the ``.env`` that is read, whether or not it is there."""
    return project_root() / ".env"


class FromEnvironment(BaseSettings, extra="ignore", env_ignore_empty=True):
    """Settings of the project or of a vendor, read when they are made.

    An empty value counts as none, because that is what compose files make of an unset one. What a copy from a web page
    or a file leaves at either end of a value is dropped: blanks, ends of lines, characters without width. Within a
    secret such a character makes it unusable, and the error tells its position but nothing of the value.

    ``<NAME>_FILE`` in the environment names a file that holds the value, as secrets of containers are given. While the
    demo's simulators run, their settings stand in for those of vendors; see ``_simulated``.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(_env_file=env_file(), **{**_simulated(type(self)), **_in_files(type(self)), **given})

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
        if SecretStr not in (kind, *get_args(kind)):
            return value
        for place, character in enumerate(value, 1):
            if character != " " and not _is_visible(character):
                raise ValueError(f"character {place} is U+{ord(character):04X}, which cannot be seen; copy it again")
        return value


class _InFile:
    """The value of a setting that stands in a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def read(self) -> str:
        try:
            return self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {self.path} cannot be read: {type(error).__name__}") from None


def _spelt(form: type[BaseSettings], name: str) -> str:
    """Return the name of a field as it stands in the environment."""
    return f"{form.model_config.get('env_prefix', '')}{name}".upper()


def _in_files(form: type[BaseSettings]) -> dict[str, Any]:
    """Return the fields that the environment gives by ``<NAME>_FILE`` and not by ``<NAME>``."""
    spelt = {name: _spelt(form, name) for name in form.model_fields}
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
    spelt = {_spelt(form, name): name for name in form.model_fields}
    if form is Settings or any(os.environ.get(name) or os.environ.get(f"{name}_FILE") for name in spelt):
        return {}
    if env_file().exists() or Settings().warehouse_database_url is not None:
        return {}
    found = running.simulated_settings(_state_path())
    return {name: found[setting] for setting, name in spelt.items() if setting in found}


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
    warehouse_columns_file: Path | None = None
    """The columns of this installation; unset: ``config/columns.toml``, see ``column_config``."""
    warehouse_hash_key: SecretStr | None = None
    """What hashed columns are hashed with, see ``loading.hash_and_drop``. Whoever has it can test a guess; another key
    makes another hash of every value."""


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
    folder = _state_path()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _state_path() -> Path:
    """Return where the state folder is, or would be. Whoever has a database and Dagster elsewhere needs none."""
    return (settings().warehouse_home or project_root() / ".warehouse").absolute()


def dagster_home() -> Path:
    """Return ``DAGSTER_HOME``, or the folder that stands in for it. ``local.dagster_home.prepare`` makes it usable."""
    return (settings().dagster_home or state_folder() / "dagster").absolute()


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
        simulated, files = _simulated(form), _in_files(form)
        for name, field in form.model_fields.items():
            spelt = _spelt(form, name).lower()
            value, origin = "" if field.default is None else str(field.default), "default"
            if name in files:
                value, origin = "***", str(files[name].path)
            elif given := environment.get(spelt) or written.get(spelt) or simulated.get(name):
                secret = SecretStr in (field.annotation, *get_args(field.annotation))
                value = _harmless(given) if secret or "://" in given else given
                origin = "environment" if environment.get(spelt) else ".env" if written.get(spelt) else "the demo"
            elif field.is_required():
                value, origin = "", "missing"
            rows.append((spelt.upper(), value, origin))
    return rows


ELSEWHERE = frozenset({
    "WAREHOUSE_RETRY_SECONDS", "WAREHOUSE_DATABASE_PASSWORD", "WAREHOUSE_DATABASE_PORT", "DAGSTER_PORT", "DAGSTER_HOME",
    "DAGSTER_STORAGE_URL", "PG_BIN",
})  # fmt: skip
"""Settings that no form has: of the HTTP client, of Docker compose, of Dagster and of the embedded server."""

SHARED = ("AWS_", "GOOGLE_", "DAGSTER_", "PG_", "GCALENDAR_", "GDRIVE_", "GSHEET_")
"""Beginnings of names under which others have settings too, so that an unknown one is none of ours unless it is close
to one; the last three are forms' own, whose names have no prefix declared."""


def misspelt(forms: Sequence[type[BaseSettings]]) -> list[str]:
    """Return a sentence for each name in the environment or in ``.env`` that looks like a setting and is none.

    Such is a name that is close to one of these forms', and any that begins as the names of one form alone do. The
    names in ``.env.example`` count as known. No value is shown.
    """
    known = set(ELSEWHERE)
    prefixes = {"WAREHOUSE_"}
    every: list[type[BaseSettings]] = [Settings, *forms]
    for form in every:
        prefix = str(form.model_config.get("env_prefix", "")).upper()
        prefixes |= {prefix} - {""}
        known |= {f"{prefix}{name}".upper() for name in form.model_fields}
    if (example := project_root() / ".env.example").is_file():
        known |= set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example.read_text(encoding="utf-8"), re.MULTILINE))
    written = DotEnvSettingsSource(Settings, env_file=env_file()).env_vars
    given = {name.upper(): f"in {env_file().name}" for name in written}
    given |= {name.upper(): "in the environment" for name in os.environ}
    said = []
    for name in sorted(given.keys() - known):
        close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.85)
        if close:
            said.append(f"{name} {given[name]} is no setting and is ignored; did you mean {close[0]}?")
        elif name.startswith(tuple(prefixes)) and not name.startswith((*SHARED, "WAREHOUSE_TEST_")):
            said.append(
                f"{name} {given[name]} is no setting and is ignored; `warehouse config show` lists all there are"
            )
    return said


def _harmless(value: str) -> str:
    found = re.fullmatch(r"([\w+.-]+://)(?:[^\s/?#@]*@)?([\w.:\[\]-]*(?:/[\w.%-]*)*)([?#][^@]*)?", value)
    return f"{found[1]}{found[2]}" if found else "***"


def masked_url(url: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(?<=://)([^/@:\s]*):[^@\s]*(?=@)", r"\1:***", url)
