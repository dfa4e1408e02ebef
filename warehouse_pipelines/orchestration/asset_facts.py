"""What Dagster shows of an asset: its key, and the metadata of a materialization."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.row_counts import COUNTED_BYTES, counting

if TYPE_CHECKING:
    from warehouse_pipelines.loading.options import Result
    from warehouse_pipelines.warehouse import Session


def key_of(table: str) -> dg.AssetKey:
    """Return the key of the asset that is a table or view: two parts when it lies outside ``public``."""
    return dg.AssetKey(table.split("."))


def vendor_key(source: Source) -> dg.AssetKey:
    """Return the key of the external asset that stands for a vendor's system."""
    return dg.AssetKey(["vendor", source.name])


def metadata(result: "Result") -> dict[str, Any]:
    """Return what the materialization of a vendor's table shows of the run that loaded it."""
    since = result.window.since
    facts: dict[str, Any] = {
        "dagster/row_count": result.total_rows,
        "status": result.status,
        "mode": result.mode,
        "processed": result.processed,
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "failed": result.failed,
        "filtered": result.filtered,
        "deleted": result.deleted,
        "restored": result.restored,
        "window": f"{since.isoformat() if since else 'the beginning'} to {result.window.until.isoformat()}",
        "seconds": round(result.seconds, 3),
        "records_per_second": round(result.processed / result.seconds, 1) if result.seconds else 0.0,
        "api_calls": result.calls,
        "sync_history_id": result.history_id,
    }
    if result.watermark is not None:
        facts["cursor"] = dg.TimestampMetadataValue(result.watermark.timestamp())
    if result.reason:
        facts["reason"] = result.reason
    if result.sample:
        facts["preview"] = dg.MarkdownMetadataValue(preview(result.sample))
    return facts


def preview(rows: list[dict[str, Any]], columns: int = 12) -> str:
    """Return rows as a markdown table of their first columns."""
    names = list(rows[0])[:columns]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 40 else f"{text[:39]}…"


def table_metadata(session: "Session", table: str) -> dict[str, Any]:
    """Return what the materialization of a table or view of ours shows of it."""
    from warehouse_pipelines.unified.marts import lineage

    facts = {**rows_of(session, table), "dagster/column_schema": _columns(session, table)}
    origins = lineage.known().get(table)
    return facts if origins is None else {**facts, "dagster/column_lineage": column_lineage(origins)}


def rows_of(session: "Session", table: str) -> dict[str, int]:
    """Return how many rows a table or view has: counted where that is cheap, else as PostgreSQL estimates it.

    To count a million records took longer than a run in which nothing has changed.
    """
    known: Any = session.execute(query("table_rows"), [table]).fetchone()
    if known["is_table"] and known["bytes"] > COUNTED_BYTES and known["estimate"] >= 0:
        return {"estimated_rows": known["estimate"]}
    [counted] = session.execute(counting([table]))
    return {"dagster/row_count": counted["rows"]}


def column_lineage(origins: Mapping[str, Iterable[str]]) -> dg.TableColumnLineage:
    """Return from which columns each column comes; ``origins`` names them with their table."""
    deps = {
        name: [dg.TableColumnDep(key_of(table), column) for table, _, column in (one.rpartition(".") for one in of)]
        for name, of in origins.items()
    }
    return dg.TableColumnLineage(deps)


def _columns(session: "Session", table: str) -> dg.TableSchema:
    """Return the table's columns as the database has them, with their comments."""
    rows = session.execute(
        """
        SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
               coalesce(col_description(a.attrelid, a.attnum), '') AS about
        FROM pg_attribute AS a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        [table],
    ).fetchall()
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                row["name"],
                type=row["type"],
                description=row["about"],
                constraints=dg.TableColumnConstraints(nullable=row["nullable"]),
            )
            for row in rows
        ]
    )
