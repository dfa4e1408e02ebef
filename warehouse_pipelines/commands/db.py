"""``warehouse db``: whether the warehouse's schema is right, and what grows too large for it."""

import sys

import click

from warehouse_pipelines import warehouse
from warehouse_pipelines.local.database import database_url

LARGE = 5_000_000
"""Rows from which PostgreSQL spends more on deleting old rows than on a partition that is dropped."""

BUFFERED, ENOUGH = 8, 8 * 2**30
"""``shared_buffers`` should hold one part in so many of the warehouse; so many bytes are enough for any."""

PARTITIONED_BY = {
    "drive_change_logs": "by the month of received_at",
    "audit_logs": "by the month of created_at",
    "calendar_events": "by a hash of calendar_id: its key has no time",
    "calendar_events_archive": "by a hash of calendar_id: its key has no time",
    "drive_files": "by a hash of file_id: its key has no time",
    "drive_files_archive": "by a hash of file_id: its key has no time",
}
"""How a table of ``pipedesk`` would be partitioned; no other of them grows with time."""


@click.group()
def db() -> None:
    """Look at the warehouse's schema; nothing is changed."""


@db.command()
@click.option("--schema", type=click.Choice(["public", "pipedesk"]), help="This schema alone.")
def verify(schema: str | None) -> None:
    """Say what differs from what migrations make; exit code 1 when something does."""
    from warehouse_pipelines.schema import verify as program

    found = program.verify(database_url(), (schema,) if schema else program.SCHEMAS)
    for sentence in found:
        click.echo(sentence)
    if not found:
        click.echo(f"{schema or 'the schema'} is as migrations make it")
    sys.exit(1 if found else 0)


@db.command()
def advise() -> None:
    """Say which tables of pipedesk are large enough for partitions, and whether PostgreSQL has the memory it needs."""
    from warehouse_pipelines.queries import query

    with warehouse.session(database_url()) as session:
        tables = session.execute(query("pipedesk_large")).fetchall()
        [found] = session.execute(query("buffers")).fetchall()
    large = [row for row in tables if row["rows"] > LARGE and row["name"] in PARTITIONED_BY]
    for row in tables[:5]:
        click.echo(f"pipedesk.{row['name']}: {row['rows']:,} rows, {row['bytes'] / 2**20:,.0f} MiB")
    for row in large:
        click.echo(f"pipedesk.{row['name']}: partition it {PARTITIONED_BY[row['name']]} (docs/pipedesk-schema.md)")
    if not large:
        click.echo(f"None has more than {LARGE:,} rows: no partitions are needed.")
    if found["buffers"] < min(found["size"] / BUFFERED, ENOUGH):
        click.echo(
            f"shared_buffers is {found['buffers'] / 2**20:,.0f} MiB, the warehouse {found['size'] / 2**20:,.0f} MiB:"
            " let it be a quarter of the memory that PostgreSQL may use, up to 8 GiB (docs/deploy.md)"
        )
