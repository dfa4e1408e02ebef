"""Importing files of leads in tests: ``ImportDatabase``."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines.unified.lead_import import columns, run, undo
from warehouse_pipelines.unified.lead_import.opening import open_file
from warehouse_pipelines_tests.harness.source_harness import looking

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ORGANIZATION = uuid.UUID("00000000-0000-0000-0000-000000000001")
OTHER = uuid.UUID("00000000-0000-0000-0000-00000000000b")
OPTIONS = run.Options(ORGANIZATION, "tester")


def import_leads(session: "Session", path: Path, options: run.Options = OPTIONS, **more: Any) -> run.Summary:
    """Import a file whose headers say which columns they are."""
    file = open_file(path)
    return run.import_file(session, file, columns.mapped(file), options, **more)


def counts(summary: run.Summary) -> tuple[int, int, int, int]:
    return summary.created, summary.updated, summary.duplicates, summary.refused


class ImportDatabase:
    """A warehouse into which files of leads are imported."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.files = 0

    def file(self, content: str) -> Path:
        self.files += 1
        path = self.folder / f"leads{self.files}.csv"
        path.write_text(content)
        return path

    def load(self, content: str | Path, options: run.Options = OPTIONS, **more: Any) -> run.Summary:
        path = content if isinstance(content, Path) else self.file(content)
        with warehouse.session(self.url) as session:
            return import_leads(session, path, options, **more)

    def undo(self, summary: run.Summary) -> undo.Undone:
        with warehouse.session(self.url) as session:
            return undo.undo(session, ORGANIZATION, summary.id, by="tester")

    def erase(self, by: Any, value: str) -> None:
        with warehouse.session(self.url) as session:
            erasure.erase(session, by, value, [], erased_by="test")

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        found = looking(self.url).execute(statement, parameters or None)
        return found.fetchall() if found.description else []

    def leads(self, columns_: str = "first_name, last_name, phone, email") -> list[tuple[Any, ...]]:
        found = self.query(
            f"SELECT {columns_} FROM crm.leads WHERE deleted_at IS NULL ORDER BY created_at, phone, email, 1"
        )
        return [tuple(row.values()) for row in found]

    def rows(self, summary: run.Summary) -> list[tuple[Any, ...]]:
        found = self.query(
            "SELECT row_number, outcome, remarks FROM crm.lead_import_row WHERE import_id = %s ORDER BY 1", summary.id
        )
        return [tuple(row.values()) for row in found]

    def listed(self, *phones: str, channel: str = "call") -> list[bool]:
        """Whether numbers, of which these are the last digits, are on the do-not-call list."""
        found = self.query(
            "SELECT crm.is_on_dnc_list(p, %s, %s) AS listed FROM unnest(%s::text[]) WITH ORDINALITY AS n (p, place)"
            " ORDER BY place", ORGANIZATION, channel, [f"+1206555{phone}" for phone in phones],
        )  # fmt: skip
        return [row["listed"] for row in found]

    def everything(self) -> list[Any]:
        """Leads and their logs, lists and history: what a second import must leave as it is."""
        tables = ("leads", "lead_audit_log", "lead_status_history", "dnc_list", "lead_assignments")
        return [self.query(f"SELECT t::text FROM crm.{table} AS t ORDER BY 1") for table in tables]
