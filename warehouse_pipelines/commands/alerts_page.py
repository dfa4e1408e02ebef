"""What is generated of ``docs/alerts.md``: the rules, from their rows in a migrated warehouse."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_pipelines.observability.alerts.messages import lasted

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ALERTS_PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"

BEGIN, END = "<!-- rules: written by warehouse_pipelines.commands.docs -->\n", "<!-- end of rules -->"


def page(text: str, session: "Session") -> str:
    """Return the page with its table as the rows are."""
    before, _, rest = text.partition(BEGIN)
    return "".join([before, BEGIN, "\n", "\n".join(table(session)), "\n\n", END, rest.partition(END)[2]])


def table(session: "Session") -> list[str]:
    """Return the lines of the table of rules."""
    rows = session.execute(
        "SELECT name, title, severity, reads, threshold, counts, hold, remind_after, unless "
        "FROM orchestration.alert_rule ORDER BY array_position(ARRAY['critical', 'warning', 'info'], severity), name"
    ).fetchall()
    lines = [
        "| rule | what is wrong | severity | threshold | told after | again after | not when |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        number = "" if row["threshold"] is None else f"{row['threshold']:g}"
        cells = (
            f"`{row['name']}`",
            f"{row['title']}{PLACES[row['reads']]}",
            row["severity"],
            f"{number} {row['counts']}".strip(),
            "" if row["hold"] == timedelta(0) else lasted(row["hold"]),
            "" if row["remind_after"] is None else lasted(row["remind_after"]),
            ", ".join(f"`{name}`" for name in row["unless"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


PLACES = {"warehouse": "", "dagster": " (asked of Dagster)", "serve": " (asked by `warehouse serve`)"}
