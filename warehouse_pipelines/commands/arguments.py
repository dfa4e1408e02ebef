"""What commands share on their line: CRMs and entities by name, their completion, dates, and what a wrong word is told.

A command takes a CRM by ``source_named`` and its entity by ``entity_named``. Raise ``Misused`` for a line that cannot
be meant, ``Stop`` for any other end with one message.
"""

import contextlib
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import click

from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    from warehouse_pipelines.model.entity import Entity
    from warehouse_pipelines.model.source import Source


F = TypeVar("F", bound=Callable[..., Any])

WRONG_USE = 2


class Stop(click.ClickException):
    """End the program with one message and exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(redaction.redacted(message))


class Misused(Stop):
    """Wrong use, or a setting that is missing: exit code 2."""

    exit_code = WRONG_USE


def day(value: str) -> date:
    """Read a date in the one format that cannot be misread. Raises ``click.BadParameter``."""
    wrong = f"{value!r} is not a date; write it as YYYY-MM-DD, for example 2025-01-31"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):  # fromisoformat also takes 20250101 and 2025-W01-1
        raise click.BadParameter(wrong)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(wrong) from error


def unknown(what: str, name: str, there_are: Sequence[str]) -> str:
    """Return the message for a name that does not exist: what was probably meant, and what there is."""
    close = difflib.get_close_matches(name, there_are, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"No such {what}: {name!r}.{meant} There are: {', '.join(there_are)}."


def sources() -> Mapping[str, "Source"]:
    """Return all sources by name, and keep their secrets out of what is printed."""
    from pydantic import ValidationError

    from warehouse_pipelines.sources import SOURCES

    for source in SOURCES:
        with contextlib.suppress(ValidationError):
            redaction.hide_settings(source.settings())
    return {source.name: source for source in SOURCES}


def warn_of_misspelt_settings() -> None:
    """Name on standard error what looks like a setting and is none."""
    from warehouse_pipelines.commands import misspelt_settings
    from warehouse_pipelines.model.account_settings import WebhookSecrets, settings_of
    from warehouse_pipelines.sources import SOURCES

    of_webhooks = [settings_of(WebhookSecrets, source.name) for source in SOURCES if source.account]
    for sentence in misspelt_settings.misspelt([*(source.settings for source in SOURCES), *of_webhooks]):
        click.echo(f"Warning: {sentence}", err=True)


def source_named(crm: str) -> "Source":
    """Return a source. Raises ``Misused`` with the list of those there are."""
    found = sources()
    if crm not in found:
        raise Misused(unknown("CRM", crm, [*found]))
    return found[crm]


def entity_named(source: "Source", name: str) -> "Entity":
    """Return an entity of a source. Raises ``Misused`` with the list of those it has."""
    for entity in source.entities:
        if entity.name == name:
            return entity
    names = [entity.name for entity in source.entities]
    raise Misused(unknown(f"entity of {source.name}", name, [*names, "all"]))


def complete_crms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a CRM. No setting is read."""
    from warehouse_pipelines.sources import SOURCES

    return [source.name for source in SOURCES if source.name.startswith(incomplete)]


def complete_entities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an entity of the CRM that the line names."""
    from warehouse_pipelines.sources import SOURCES

    found = [entity.name for source in SOURCES if source.name == ctx.params.get("crm") for entity in source.entities]
    return [name for name in found if name.startswith(incomplete)]


def complete_crms_or_all(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*complete_crms(ctx, param, incomplete), *(["all"] if "all".startswith(incomplete) else [])]


def complete_entities_or_all(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*complete_entities(ctx, param, incomplete), *(["all"] if "all".startswith(incomplete) else [])]


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator for several options, which the help lists in this order."""

    def decorate(function: F) -> F:
        for option in reversed(decorators):
            function = option(function)
        return function

    return decorate
