"""Do-not-call that a person set at a vendor, where the warehouse writes it too, is an opt-out of that person.

What the warehouse wrote is not: it says of the list what stands there, and would keep an entry alive that has ended.
A mark is ours if our last receipt of the record stored it, or is not settled; and if the record was last edited, or
without such a time loaded, before that receipt was settled: then what is read is of before. Records that the vendor
made part of this one count as this one.
"""

import json
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg import sql

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import RAW
from warehouse_pipelines.unified.feed.signals import read_until
from warehouse_pipelines.unified.lead_rows import MARKS, Mark
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def read(session: "Session", organization: UUID, *, full: bool) -> None:
    """Add to ``feed_consent`` what marks say: all, or those of records that changed since the feed's position."""
    for row in MARKS:
        since = "-infinity" if full else read_until(session, row.table)
        given = {"organization": organization, "since": since}
        run_script(session, query("feed_consent_marks"), given, _names(row))


def _names(row: Mark) -> dict[str, sql.Composable]:
    value = columns.one("t", row.table, row.value)
    if row.value.startswith(RAW):
        is_set = sql.SQL("(lower({}) = 'true')").format(value)
    else:
        tags = [sql.Literal(json.dumps([one])) for one in (row.name, {"name": row.name})]
        is_set = sql.SQL("({0} @> {1}::jsonb OR {0} @> {2}::jsonb)").format(value, *tags)
    key = columns.key("t", row.table)
    merged = columns.one("t", row.table, row.merged) if row.merged else sql.SQL("NULL::text")
    edited = "source_updated_at" in columns.entities()[row.table].source_times
    return {
        "table": columns.table(row.table),
        "table_name": sql.Literal(row.table),
        "key": key,
        "keys": sql.SQL("array_append(string_to_array({}, ';'), {})").format(merged, key),
        "name": sql.Literal(row.name),
        "crm": sql.Literal(row.crm),
        "target": sql.Literal(f"{row.crm}_do_not_call"),
        "phone": columns.e164("t", row.table, row.phone) if row.phone else sql.SQL("NULL::text"),
        "said": sql.Identifier("t", "source_updated_at" if edited else "sync_updated_at"),
        "is_set": is_set,
    }
