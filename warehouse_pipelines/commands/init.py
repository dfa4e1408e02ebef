"""``warehouse init``: from an empty clone to the first records, by questions.

Asks which CRMs, for their settings (a secret without showing it), and for the database; writes them to ``.env``; then
does what a person would type next: ``check``, ``migrate``, and a first small sync of one entity of each CRM, which is
real (its rows are loaded) and says how to go on. Every answer can be given as an option or a setting, and then nothing
is asked; without a terminal nothing can be asked, and what is missing is named.

``.env`` is written for the user alone (0600). Lines that are there stay where they are, comments included; a setting
that is there is asked for again only if it cannot be used.
"""

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from pydantic import SecretStr

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import POSTGRESQL, database_url_problem, setting_name

FIRST_RECORDS = 100
DATABASE = "WAREHOUSE_DATABASE_URL"

Ask = Callable[[str, str, bool], str]
"""Asks for a setting: its name, what to know of it, and whether it is secret; an empty answer stands for none."""


def required(source: Source) -> dict[str, bool]:
    """Return the settings that a CRM cannot do without, and whether each is a secret."""
    return {
        setting_name(source.settings, name): SecretStr in (field.annotation, *get_args(field.annotation))
        for name, field in source.settings.model_fields.items()
        if field.is_required()
    }


def chosen(names: Sequence[str], sources: Mapping[str, Source]) -> list[Source]:
    """Return the CRMs of these names. Raises ``WrongUse`` for one that there is not."""
    if unknown := [name for name in names if name not in sources]:
        raise WrongUse(f"There is no CRM {', '.join(unknown)}; there are {', '.join(sources)}")
    return [sources[name] for name in dict.fromkeys(names)]


def settings_to_write(sources: Sequence[Source], given: Mapping[str, str], ask: Ask | None) -> dict[str, str]:
    """Return the settings to write: those of ``given``, and of what these CRMs lack those that ``ask`` brings.

    Raises ``WrongUse``, naming all of them, when some are missing and nobody can be asked.
    """
    found = dict(given)
    missing: list[str] = []
    for source in sources:
        secret = required(source)
        for name, problem in source.wrong_settings().items():
            if name in found:
                continue
            if ask is None:
                missing.append(f"{name} ({problem})" if problem else name)
                continue
            while not (
                answer := ask(name, f"{source.title}{f': {problem}' if problem else ''}", secret.get(name, True))
            ):
                pass
            found[name] = answer
    if missing:
        raise WrongUse(
            f"There is no terminal to ask at. Set in the environment or in .env, or give as --set NAME=value: "
            f"{', '.join(missing)}"
        )
    return found


def database_problem(url: str) -> str | None:
    """Return what is wrong with the URL of a warehouse."""
    return database_url_problem(url, POSTGRESQL, "postgresql://user:password@host:5432/database")


def written(text: str, values: Mapping[str, str]) -> str:
    """Return the ``text`` of a ``.env`` with these settings.

    One that is there gets its new value in its place, the first of a commented-out one is replaced, the rest is added.
    """
    lines = text.splitlines()
    for name, value in values.items():
        line = f"{name}={_quoted(value)}"
        for pattern in (rf"\s*(?:export\s+)?{name}\s*=", rf"#\s*{name}\s*="):
            places = [place for place, one in enumerate(lines) if re.match(pattern, one, re.IGNORECASE)]
            if places:
                lines[places[-1]] = line  # the last one counts
                break
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def write(file: Path, values: Mapping[str, str]) -> None:
    """Add the settings to the file, which nobody else may read, at once or not at all."""
    if not values:
        return
    text = written(file.read_text(encoding="utf-8") if file.is_file() else "", values)
    descriptor, beside = tempfile.mkstemp(dir=file.parent, prefix=".env-")  # made with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as new:
            new.write(text)
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def first_entity(source: Source) -> Entity:
    """Return the entity of the first sync: the first one that stands on its own and is read by what changed."""
    alone = [entity for entity in source.entities if entity.parent is None]
    return next((entity for entity in alone if entity.cursor), alone[0])


def _quoted(value: str) -> str:
    """Return a value as ``.env`` has it: in quotes if it would be read otherwise without."""
    if re.fullmatch(r"[\w@%+=:,./?&\[\]~!*-]*", value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
