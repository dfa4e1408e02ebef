"""What became of each row, as a CSV file beside the input: ``write``; and what a terminal shows of it.

The report has numbers of rows, ids of leads and sentences of ours, and no cell of the file: it may be sent around, and
erasure need not find it. It is written whole or not at all, and only its owner may read it.
"""

import contextlib
import csv
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.acting import acting

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

COLUMNS = ("row", "outcome", "lead", "same as row", "remarks", "undone")

ROWS = """SELECT row_number, outcome, lead_id::text, same_as_row, remarks, undone FROM crm.lead_import_row
    WHERE organization_id = %s AND import_id = %s ORDER BY row_number"""


def default_path(file: Path, import_id: UUID) -> Path:
    """Return where the report lies, when nothing else is said: beside the file."""
    return file.with_name(f"{file.stem}.import-{str(import_id)[:8]}.csv")


def write(session: "Session", organization_id: UUID, import_id: UUID, path: Path) -> None:
    """Write the report of an import. Raises ``WrongUse`` where the folder cannot be written to."""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=".import-", suffix=".csv")
    except OSError as error:
        raise WrongUse(
            f"The report {path} cannot be written: {error.strerror}. Give another place by --report."
        ) from None
    try:
        with open(number, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - it is open already
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            with acting(session, organization_id, "import"), session.cursor(name="lead_import_report") as found:
                found.itersize = 5000
                for row in found.execute(ROWS, [organization_id, import_id]):
                    rows.writerow(_cells(row))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _cells(row: dict[str, Any]) -> list[object]:
    said = "; ".join(row["remarks"])
    return [
        row["row_number"],
        row["outcome"],
        row["lead_id"] or "",
        row["same_as_row"] or "",
        said,
        row["undone"] or "",
    ]


def telling(session: "Session", organization_id: UUID, import_id: UUID, limit: int = 30) -> list[dict[str, Any]]:
    """Return what was refused, not read or has a remark: how many rows alike, and the first of them; remarks last."""
    with acting(session, organization_id, "import"):
        return session.execute(
            "SELECT outcome, remarks, count(*) AS rows, min(row_number) AS first_row,"
            " (array_agg(lead_id ORDER BY row_number))[1]::text AS lead_id,"
            " (array_agg(same_as_row ORDER BY row_number))[1] AS same_as_row FROM crm.lead_import_row"
            " WHERE organization_id = %s AND import_id = %s"
            " AND (outcome IN ('refused', 'unread') OR remarks <> '{}' OR same_as_row IS NOT NULL)"
            " GROUP BY outcome, remarks ORDER BY outcome NOT IN ('refused', 'unread'), rows DESC, first_row LIMIT %s",
            [organization_id, import_id, limit],
        ).fetchall()
