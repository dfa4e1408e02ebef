"""``warehouse backup`` and ``warehouse restore``; what they do is in ``schema.backup``."""

from pathlib import Path

import click

from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.observability import logs


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Write a backup of the warehouse into FOLDER, which must not exist.

    It is one snapshot: syncs may run meanwhile. The folder holds personal data in clear.
    """
    from warehouse_pipelines.schema import backup as program

    logs.configure()
    made = program.backup(database_url(), folder)
    click.echo(f"{folder}: {sum(made.rows.values()):,} rows of {len(made.rows):,} tables, revision {made.revision}")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(folder: Path) -> None:
    """Fill the warehouse, an empty database, from the backup in FOLDER, and compare every table with it."""
    from warehouse_pipelines.schema import backup as program

    logs.configure()
    held = program.restore(folder, database_url())
    click.echo(f"restored: {sum(held.rows.values()):,} rows of {len(held.rows):,} tables, each compared")
    click.echo(f"The backup is of {held.taken_at:%Y-%m-%d %H:%M} UTC; later changes are not in it. Next:")
    click.echo("  - repeat erasures made since then with `warehouse erase`; their certificates have the dates")
    click.echo("  - disable users and revoke tokens again that were since then: `warehouse users`, `warehouse tokens`")
    click.echo(
        "  - list again who opted out since then (`POST /api/dnc`), settle what sequences sent since then, then switch"
    )
    click.echo("    sequences on (crm.nurture_sequences.is_active): a restore switches them off")
    click.echo("  - run `warehouse sync all`: it continues from the backup's cursors")
