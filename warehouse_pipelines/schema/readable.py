"""What the role ``warehouse_read`` may read: which relations, and of which of them only some columns.

    sources   the tables of the entities and the views of ``sql/views``; nothing else that stands in ``public``
    ours      every relation of ``answers``, ``identity``, ``marts`` and ``pipedesk`` but those of ``WITHHELD``
    crm       what ``crm_read`` may, whose member the role is: column by column, below row-level security
    runs      of ``orchestration`` what ``RUNS`` names, and no more: the payloads of records that could not be loaded
              are there too, and whatever comes next

A new table of the first two groups is readable after the next migration. One that must not be is named here; a test
asks for an answer where its name or a column's sounds like a secret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from warehouse_pipelines.model.accounts import declared_table
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.queries import query

READ = "warehouse_read"

SCHEMAS = ("accounts", "answers", "crm", "identity", "marts", "orchestration", "pipedesk", "public")

WITHHELD: Mapping[str, str] = {
    "identity.erasure_key": "whoever has it can test whether somebody was erased",
    "identity.mask_key": "whoever has it can test a guess of what was masked",
    "identity.tombstone": "hashes of erased people",
    "identity.crowded_key": "workings of the comparison, made of personal values",
    "identity.pending": "workings of the comparison",
    "identity.pending_key": "workings of the comparison, made of personal values",
    "pipedesk.calendar_sync_states": "push channels, and the hashes of their tokens",
    "pipedesk.drive_webhook_channels": "push channels, and the hashes of their tokens",
    "pipedesk.drive_change_logs": "what Google sent, with all headers",
}
"""Tables of our own that the roles may not read, and why."""

RUNS: Mapping[str, tuple[str, ...]] = {
    "account": (),
    "alembic_version": (),
    "source_table": (),
    "sync_history": (),
    "loaded_run": (),
    "good_run": (),
    "sync_schedule": (),
    "sync_metrics_daily": (),
    "alert_rule": (),
    "alert_event": (),
    "dead_letter": (
        "id", "sync_history_id", "crm_source", "sync_type", "record_key", "stage", "error_category", "rule",
        "error_message", "attempts", "status", "created_at", "resolved_at", "last_sync_history_id", "last_seen_at",
        "waived_at",
    ),
}  # fmt: skip
"""Of ``orchestration``: the tables, and the columns where not all are meant. No payload, no hash of one."""


@dataclass(frozen=True)
class Relation:
    """A relation that may be read, as the database has it.

    ``columns`` has those that may be read, with their types; ``lacking`` those of them that the role cannot read yet.
    """

    schema: str
    name: str
    kind: str
    comment: str
    columns: Mapping[str, str]
    keys: tuple[str, ...]
    lacking: tuple[str, ...]
    whole: bool
    entity: Entity | None

    @property
    def label(self) -> str:
        """What it is called in the docs: with its schema, but for ``public``; of all accounts of a CRM alike."""
        if self.entity:
            return declared_table(self.entity)
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


def of_accounts(entities: Sequence[Entity]) -> list[str]:
    """Return the schemas of the accounts that have a name."""
    return sorted({entity.schema for entity in entities} - set(SCHEMAS))


def is_there(connection: sa.Connection) -> bool:
    """Whether this database was migrated, and the role made."""
    made = sa.text("SELECT to_regrole(:name) IS NOT NULL AND to_regnamespace('masked') IS NOT NULL")
    return bool(connection.scalar(made, {"name": READ}))


def relations(connection: sa.Connection, entities: Sequence[Entity], views: Path) -> list[Relation]:
    """Return what the role may read, in order. The role must be there."""
    by_table = {("accounts", declared_table(entity).rpartition(".")[2]): entity for entity in entities}
    by_table |= {(entity.schema, entity.table_name): entity for entity in entities}
    files = {path.stem for path in views.glob("*.sql")}
    rows = connection.execute(
        sa.text(query("reading_relations")), {"schemas": [*SCHEMAS, *of_accounts(entities)], "reader": READ}
    )
    found = []
    for row in rows:
        label = row.name if row.schema == "public" else f"{row.schema}.{row.name}"
        entity = by_table.get((row.schema, row.name))
        only = RUNS.get(row.name) if row.schema == "orchestration" else ()
        if only is None or label in WITHHELD or (row.schema == "public" and not entity and label not in files):
            continue
        columns = {name: type_ for name, type_ in zip(row.columns, row.types, strict=True) if not only or name in only}
        found.append(
            Relation(
                row.schema,
                row.name,
                row.kind,
                row.comment or "",
                columns,
                ("account", *entity.keys) if entity and row.schema == "accounts" else tuple(row.keys),
                tuple(name for name in row.unreadable if name in columns),
                not only,
                entity,
            )
        )
    return found
