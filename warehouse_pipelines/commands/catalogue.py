"""``warehouse entities`` and ``warehouse config``: what is declared, and what is set."""

import json
from typing import TYPE_CHECKING

import click

from warehouse_pipelines.commands.arguments import sources
from warehouse_pipelines.commands.console import out
from warehouse_pipelines.observability import redaction

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings


@click.command()
@click.argument("action", type=click.Choice(["list"]), default="list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def entities(action: str, form: str) -> None:
    """List every entity: its table, how it is read and its cadence; with `--format json` how deletions are noticed."""
    from warehouse_pipelines.model import describe

    declared = [(source, entity) for source in sources().values() for entity in source.entities]
    if form == "json":
        listed = [
            {
                "crm": source.name,
                "sync_type": entity.name,
                "table": entity.table,
                "transport": source.transport,
                "cursor": entity.cursor,
                "every_minutes": int(entity.cadence.every.total_seconds() // 60),
                "configured": not source.missing_settings(),
                "reads": describe.reading(entity),
                "deletes": describe.deletes(entity),
            }
            for source, entity in declared
        ]
        click.echo(json.dumps(listed, indent=1))
        return
    from rich.table import Table

    table = Table("crm", "sync_type", "table", "transport", "read by", "every", "configured")
    for source, entity in declared:
        table.add_row(
            source.name,
            entity.name,
            entity.table,
            source.transport,
            describe.read_by(entity).strip("`"),
            describe.duration(entity.cadence.every),
            "no" if source.missing_settings() else "yes",
        )
    out().print(table, markup=False)


@click.command()
@click.argument("action", type=click.Choice(["show"]), default="show")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def config(action: str, form: str) -> None:
    """Show every setting with its value and where it comes from, secrets masked, and the sizes records travel in."""
    from warehouse_pipelines import settings
    from warehouse_pipelines.loading.resource import CHUNK
    from warehouse_pipelines.model.account_settings import WebhookSecrets, settings_of
    from warehouse_pipelines.observability.alerts.settings import AlertSettings
    from warehouse_pipelines.sequences.settings import SequenceSettings

    found = sources()
    of_sources = (source.settings for source in found.values())
    of_webhooks = (settings_of(WebhookSecrets, name) for name, one in found.items() if one.account)
    ours = (settings.Settings, settings.ServeSettings, AlertSettings, SequenceSettings)
    forms: list[type[BaseSettings]] = [*ours, *of_sources, *of_webhooks]
    rows = dict.fromkeys(settings.shown(forms))
    wrong = {name: problem for form in forms for name, problem in settings.wrong(form).items() if problem}
    listed = [
        {
            "setting": name,
            "value": redaction.redacted(value),
            "from": origin,
            "problem": f"cannot be used ({redaction.redacted(wrong[name])})" if name in wrong else "",
        }
        for name, value, origin in rows
    ]
    pages = {name: source.page_size for name, source in found.items()}
    pages |= {
        f"{source.name} {entity.name}": entity.page_size
        for source in found.values()
        for entity in source.entities
        if entity.page_size
    }
    # A chunk is merged by one statement; only what PostgreSQL refuses is tried in parts.
    sizes = {"api_page_size": pages, "stream_chunk": CHUNK, "load_sub_batch": CHUNK}
    if form == "json":
        click.echo(json.dumps({"sizes": sizes, "settings": listed}, indent=1))
        return
    click.echo(f"API page size   {', '.join(f'{name} {size:,}' for name, size in pages.items())}; or --batch-size")
    click.echo(f"stream chunk    {CHUNK:,} records, of as many pages as that takes")
    click.echo(f"load sub-batch  {CHUNK:,}: a chunk is merged at once, in halves down to one record if it is refused")
    from rich.table import Table

    table = Table(*listed[0])
    for one in listed:
        table.add_row(*one.values())
    out().print(table, markup=False)
