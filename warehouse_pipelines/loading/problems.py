"""What is wrong with the values of a batch of records: warnings, lost values, and records that cannot be loaded.

``ColumnReader`` and ``Coercer`` report by row of the batch; ``begin`` tells which records these rows are.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from warehouse_pipelines.loading.record_paths import key_parts
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.model import validate
from warehouse_pipelines.model.entity import Column, Entity
from warehouse_pipelines.model.reading import Json
from warehouse_pipelines.model.rules import Severity
from warehouse_pipelines.observability import logs, redaction

LOGGED = 100
"""Warnings of one column that a run writes into the log; the others are counted."""


class Problems:
    """Counts over the run, and the bad rows of one batch.

    ``rejects``  records that cannot be loaded, until somebody takes them
    ``lost``     values that were there and are null in their column, by column
    ``raws``     the records of the batch by row; what PostgreSQL could not hold is mended here
    ``bad``      by row of the batch, why its record cannot be loaded: stage, rule, message
    ``unreadable_deletions``  rows that have a time of deletion which cannot be read
    """

    def __init__(self, crm: str, entity: Entity, columns: Mapping[str, Column]) -> None:
        self.crm, self.entity, self.columns = crm, entity, columns
        self.rejects: list[Reject] = []
        self.warnings: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.begin([])

    def begin(self, raws: list[bytes]) -> None:
        """Begin a batch of these records."""
        self.raws = raws
        self.bad: dict[int, tuple[str, str, str]] = {}
        self.unreadable_deletions: set[int] = set()

    def key(self, row: int) -> str | None:
        """Return the key of the record in a row, if it can be made out."""
        parts = key_parts(self.entity, self.raws[row])
        return None if parts is None else " ".join(parts)

    def fail_row(self, row: int, stage: str, rule: str, message: str) -> None:
        """Note that the record in a row cannot be loaded; its first reason counts."""
        self.bad.setdefault(row, (stage, rule, message))

    def reject(self, raw: Json, key: tuple[str, ...] | None, stage: str, rule: str, message: str) -> None:
        """Add a record that cannot be loaded."""
        self.rejects.append(Reject(raw, None if key is None else " ".join(key), stage, rule, message, key))

    def lose(
        self,
        severity: Severity,
        name: str,
        row: int,
        value: Any,
        message: str,
        *,
        personal: bool = False,
        silent: bool = False,
        out_of_range: bool = False,
        data_type: str = "",
    ) -> None:
        """Count a value that is there and cannot be in its column. ``out_of_range`` may be true of its record too.

        ``data_type`` is what it could not be read as, if that is why.
        """
        self.lost[name] += name != "raw_data"
        if name == "deleted_at":
            self.unreadable_deletions.add(row)
        if out_of_range:  # of PostgreSQL's numbers too, perhaps
            self.raws[row] = validate.mended(self.raws[row])
        self.warn(severity, name, row, value, message, personal=personal, silent=silent, data_type=data_type)

    def warn(
        self,
        severity: Severity,
        name: str,
        row: int,
        value: Any,
        message: str,
        *,
        personal: bool = False,
        silent: bool = False,
        data_type: str = "",
    ) -> None:
        """Count a value that is kept, or null, though something is wrong with it; log the first few."""
        counted = f"{severity}:{name}"
        self.warnings[counted] += 1
        if severity == "warn" and not silent and self.warnings[counted] <= LOGGED:
            column = self.columns.get(name)
            personal = personal or column is None or redaction.is_personal(name, column.kind)
            if data_type:
                logs.parse_failure(
                    data_type, value, name, self.crm, self.key(row), personal=personal, sync_type=self.entity.name
                )
                return
            logs.validation_warning(
                name, value, self.key(row), message,
                personal=personal, crm_source=self.crm, sync_type=self.entity.name,
            )  # fmt: skip
