"""Names that look like a setting and are none: a misspelt one would be ignored without a word."""

import difflib
import functools
import os
import re
from collections.abc import Sequence

from pydantic_settings import BaseSettings, DotEnvSettingsSource

from warehouse_pipelines import settings

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
    every: list[type[BaseSettings]] = [settings.Settings, settings.ServeSettings, *forms]
    for form in every:
        prefix = str(form.model_config.get("env_prefix", "")).upper()
        prefixes |= {prefix} - {""}
        known |= {settings.setting_name(form, field) for field in form.model_fields}
    if (example := settings.project_root() / ".env.example").is_file():
        known |= set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example.read_text(encoding="utf-8"), re.MULTILINE))
    written = DotEnvSettingsSource(settings.Settings, env_file=settings.env_file()).env_vars
    given = {name.upper(): f"in {settings.env_file().name}" for name in written}
    given |= {name.upper(): "in the environment" for name in os.environ}
    sentences = []
    for name in sorted(given.keys() - known):
        if close := _closest(name, tuple(sorted(known))):
            sentences.append(f"{name} {given[name]} is no setting and is ignored; did you mean {close}?")
        elif name.startswith(tuple(prefixes)) and not name.startswith((*SHARED, "WAREHOUSE_TEST_")):
            sentences.append(
                f"{name} {given[name]} is no setting and is ignored; `warehouse config show` lists all there are"
            )
    return sentences


@functools.lru_cache(maxsize=1024)
def _closest(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that is close to this one; kept, because it takes 1 ms."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.85)), None)
