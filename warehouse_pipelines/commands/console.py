"""What is printed of runs: progress while they run, a table when they ended, and JSON lines instead of both.

Results go to standard output (``out``), progress to standard error (``err``). ``rich`` is imported by the first use,
because ``warehouse --help`` needs none of it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.commands.outcome import COUNTS, Outcome
from warehouse_pipelines.observability import logs, redaction

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def out() -> "Console":
    """Return the console of standard output; where it is no terminal, lines are as wide as they need to be."""
    from rich.console import Console

    return Console(emoji=False) if sys.stdout.isatty() else Console(width=200, emoji=False)


def err() -> "Console":
    """Return the console of standard error."""
    from rich.console import Console

    return Console(stderr=True, emoji=False)


def table(outcomes: Sequence[Outcome], left_out: Sequence[str] = ()) -> "Table":
    """Return the outcomes as a table for a terminal, without the columns of ``left_out``."""
    from rich import box
    from rich.table import Table

    dry = any(outcome.dry_run for outcome in outcomes)
    shown = Table(title="dry run: nothing was written" if dry else None, title_justify="left", box=box.SIMPLE_HEAD)
    several = len({outcome.crm for outcome in outcomes}) > 1
    colours = {"success": "green", "partial": "yellow", "cancelled": "yellow", "failed": "red"}
    columns: dict[str, Callable[[Outcome], str]] = {
        "entity": lambda o: f"{o.crm} {o.sync_type}" if several else o.sync_type,
        "status": lambda o: f"[{colours.get(o.status, 'red')}]{o.status}[/]",
        "created": lambda o: f"{o.created:,}",
        "updated": lambda o: f"{o.updated:,}",
        "unchanged": lambda o: f"{o.unchanged:,}",
        "failed": lambda o: f"{o.failed:,}",
        "filtered": lambda o: f"{o.filtered:,}",
        "deleted": lambda o: f"{o.deleted:,}",
        "seconds": lambda o: f"{o.seconds:.1f}",
        "records/s": lambda o: f"{o.records_per_second:,.0f}",
        "API calls": lambda o: f"{o.calls:,}",
    }
    wanted = {name: cell for name, cell in columns.items() if name not in left_out}
    for name in wanted:
        shown.add_column(name, justify="left" if name in {"entity", "status"} else "right", no_wrap=True)
    for outcome in outcomes:
        shown.add_row(*(cell(outcome) for cell in wanted.values()))
    return shown


def _fitting(outcomes: Sequence[Outcome], console: "Console") -> "Table":
    """Return the table; where the terminal is too narrow, without columns that hold nothing but zeros."""
    left_out: list[str] = []
    for name in ("filtered", "deleted", "failed", "unchanged", "updated", "created"):
        if _width(table(outcomes, left_out), console) <= console.width:
            break
        if not any(getattr(outcome, name) for outcome in outcomes):
            left_out.append(name)
    return table(outcomes, left_out)


def _width(shown: "Table", console: "Console") -> int:
    """Return how wide the table wants to be, whatever the terminal has."""
    return console.measure(shown, options=console.options.update(width=1000)).maximum


def report(outcomes: Sequence[Outcome], console: "Console") -> None:
    """Print the table, and below it a line for each entity that is not a success."""
    from rich.markup import escape

    shown = _fitting(outcomes, console)
    terminal = console.width
    console.width = max(terminal, _width(shown, console))  # a line that wraps can be read, a figure cut off cannot
    console.print(shown)
    console.width = terminal
    if line := cancelled(outcomes):
        console.print(line, soft_wrap=True)
    for outcome in outcomes:
        if outcome.status not in ("success", "cancelled") and outcome.reason:
            where = f" (sync_history {outcome.history_id})" if outcome.history_id else ""
            reason = escape(redaction.redacted(outcome.reason))
            console.print(f"{outcome.crm} {outcome.sync_type} {outcome.status}: {reason}{where}", soft_wrap=True)


def cancelled(outcomes: Sequence[Outcome]) -> str | None:
    """Return the one line that says what a cancel left, or None without one."""
    stopped = [outcome for outcome in outcomes if outcome.status == "cancelled"]
    if not stopped:
        return None
    begun = [f"{outcome.crm} {outcome.sync_type}" for outcome in stopped if outcome.history_id]
    inside = f" It was in the middle of {', '.join(begun)}, of which nothing was loaded." if begun else ""
    others = len(stopped) - len(begun)
    left = f" {others} {'was' if others == 1 else 'were'} not begun." if others else ""
    return f"Cancelled. {len(outcomes) - len(stopped)} of {len(outcomes)} were done before.{inside}{left}"


def log(outcomes: Sequence[Outcome]) -> None:
    """Say the same in the log, for ``--log-format json``."""
    for outcome in outcomes:
        counts = {f"records_{name}": getattr(outcome, name) for name in COUNTS}
        members = {
            "crm_source": outcome.crm,
            "sync_type": outcome.sync_type,
            "status": outcome.status,
            "history_id": outcome.history_id,
            **counts,
            "seconds": round(outcome.seconds, 3),
            "records_per_second": round(outcome.records_per_second, 1),
            "api_calls": outcome.calls,
            "dry_run": outcome.dry_run,
            "reason": outcome.reason,
        }
        logs.general.info("%s %s: %s", outcome.crm, outcome.sync_type, outcome.status, extra=members)


class Progress:
    """Shows how far the runs are on standard error: a line for each entity that ended, "37 of 111" before it.

    On a terminal a bar for all of them stands below, and one for each entity that is being read. Of a single entity
    there is no line: the table that follows says it.
    """

    def __init__(self, console: "Console", total: int) -> None:
        self.total = total
        self._console = console
        self._ended: set[tuple[str, str]] = set()
        self._tasks: dict[tuple[str, str], Any] = {}
        self._bars = self._make_bars() if console.is_terminal else None
        self._all = None
        if self._bars is not None and total > 1:
            self._all = self._bars.add_task("all", total=total, count=f"0 of {total}")

    def _make_bars(self) -> Any:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        return Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Show what is said inside the block."""
        if self._bars is not None:
            logs.progress_listeners.append(self.moved)
        if self.total > 1:
            logs.end_listeners.append(self.ended)
        try:
            with self._bars or contextlib.nullcontext():
                yield
        finally:
            if self._bars is not None:
                logs.progress_listeners.remove(self.moved)
            if self.total > 1:
                logs.end_listeners.remove(self.ended)

    def moved(self, crm: str, sync_type: str, processed: int, estimated: int | None) -> None:
        """Take a line of progress."""
        if self._bars is None:
            return
        task = self._tasks.get((crm, sync_type))
        if task is None:
            task = self._tasks[crm, sync_type] = self._bars.add_task(f"{crm} {sync_type}", total=None, count="")
        of = "" if estimated is None else f" of about {estimated:,}"
        self._bars.update(task, completed=processed, total=estimated, count=f"{processed:,}{of} records")

    def ended(self, crm: str, sync_type: str, status: str, counts: str) -> None:
        """Take the end of an entity. One that is tried again ends twice and is counted once."""
        self._ended.add((crm, sync_type))
        count = f"{len(self._ended)} of {self.total}"
        if self._bars is not None:
            task = self._tasks.pop((crm, sync_type), None)
            if task is not None:
                self._bars.remove_task(task)
            if self._all is not None:
                self._bars.update(self._all, completed=len(self._ended), count=count)
        colour = {"partial": "yellow", "failed": "red"}.get(status, "")
        words = f"{count}  {crm} {sync_type}  {status}{f', {counts}' if counts else ''}"
        self._console.print(words, style=colour, markup=False, highlight=False, soft_wrap=True)

    def rest(self, outcomes: Iterable[Outcome]) -> None:
        """Count those that ended before they began, such as what is read from an entity that failed."""
        for outcome in outcomes:
            if self.total > 1 and (outcome.crm, outcome.sync_type) not in self._ended:
                self.ended(outcome.crm, outcome.sync_type, outcome.status, "")


def short(seconds: float) -> str:
    """Return a span for a cell of a table: ``3 d``, ``5 h``, ``40 min``, ``12 s``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
