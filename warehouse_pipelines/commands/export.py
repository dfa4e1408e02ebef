"""``warehouse export dbt``: what other tools need to know of the tables."""

from pathlib import Path

import click

from warehouse_pipelines.commands.arguments import sources
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.local.database import database_url

HEAD = """\
# Written by `warehouse export dbt` for dbt 1.10.8 and newer; written again, it is replaced.
# dbt reads as a member of warehouse_read. Rows of crm are those of app.organization_id, which the profile may set.
"""


@click.group("export")
def export_group() -> None:
    """Write what other tools need to know of the tables."""


@export_group.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write FOLDER/sources.yml, such as models/ of a dbt project; else print it.",
)
def dbt(folder: Path | None) -> None:
    """Write a sources.yml for dbt: tables and columns with their descriptions, tests and freshness."""
    import yaml

    from warehouse_pipelines.schema import dbt_sources, readable
    from warehouse_pipelines.schema.migrate import engine
    from warehouse_pipelines.settings import sql_folder

    declared = list(sources().values())
    entities = [entity for source in declared for entity in source.entities]
    with engine(database_url()).connect() as connection:
        if not readable.is_there(connection):
            raise WrongUse("The warehouse has no readers yet: run `warehouse migrate`, and heed its warnings.")
        relations = readable.relations(connection, entities, sql_folder() / "views")
        document = dbt_sources.of_warehouse(connection, relations, declared)
    text = HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    if folder is None:
        click.echo(text, nl=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sources.yml"
    path.write_text(text, encoding="utf-8")
    tables = sum(len(source["tables"]) for source in document["sources"])
    click.echo(f"{path}: {tables} tables of {len(document['sources'])} sources")
