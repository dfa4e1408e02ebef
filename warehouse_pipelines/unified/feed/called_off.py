"""Which of what the sources say is of a sale that was called off: the rule of ``marts.sale``, before there are marts.

Asked are the people of whom a job was called off, or whom two accounts of one CRM sold something, and who lives with
them. Their jobs, won deals and visits are read as the timeline reads them, and are grouped by the SQL of the mart. So a
lead is not won of a sale that is none there, and what two accounts tell of counts once, as there.
"""

from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.marts.activity_rows import ACTIVITIES
from warehouse_pipelines.unified.marts.mart import select_of
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

KINDS = frozenset({"job", "sale", "appointment", "cancellation"})
"""Of the activities: those of which ``sale_records.sql`` makes sales."""


def read(session: "Session") -> None:
    """Make ``feed_said`` of ``feed_signal``, with what is called off. Raises ``psycopg.Error``."""
    from warehouse_pipelines.unified.marts import activity

    run_script(session, query("feed_said"), {})
    if not session.execute("SELECT home FROM feed_home LIMIT 1").fetchone():
        return
    run_script(session, query("feed_sold"), {})
    there = {
        row["source_table"] for row in session.execute("SELECT DISTINCT source_table FROM feed_sale_row").fetchall()
    }
    names = sql.SQL(", ").join(map(sql.Identifier, activity.COLUMNS))
    for one in ACTIVITIES:
        if one.kind in KINDS and one.table in there:
            session.execute(
                sql.SQL("INSERT INTO feed_activity ({}) {}").format(names, activity.select(one, "feed_sale_row"))
            )
    script = query("feed_called_off").replace("{sale_records}", select_of("sale_records").strip())
    sales = sorted({one.table for one in ACTIVITIES if one.kind in ("job", "sale")})
    run_script(session, script, {"sales": sales})
