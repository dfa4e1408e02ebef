"""What is logged, and in which shape: one function per shape, so that a search for a shape finds one place.

Three streams are three loggers: ``warehouse.ingestion`` (reading vendors), ``warehouse.sync`` (runs and records) and
``warehouse`` (the rest). Each line carries its parts as extras, which the JSON form prints as members.

A line never holds a personal value: the caller says which values are, and they are written ``***``; the record itself
is found in ``orchestration.dead_letter``. Whatever passes one of the three loggers, or a handler made here, is
redacted besides (``redaction``). httpx is silent below WARNING, because its INFO lines quote URLs.

``WAREHOUSE_LOG_FORMAT`` says which form programs print, and ``WAREHOUSE_LOG_FOLDER`` where JSON lines go besides
(``log_files``); ``dagster_logs`` does the same for the runs of Dagster.

Importing this module costs nothing but ``logging``; ``configure`` is for programs, never for libraries.
"""

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Literal, cast

from warehouse_pipelines.errors import MASK, masked
from warehouse_pipelines.observability.redaction import (
    ENDED,
    REDACTED,
    Redaction,
    redacted,
    redacted_members,
    shown,
    without,
)

Format = Literal["json", "text"]

ingestion = logging.getLogger("warehouse.ingestion")
sync = logging.getLogger("warehouse.sync")
general = logging.getLogger("warehouse")

_DAGSTER = {"run_id": "run_id", "job": "job_name", "step": "step_key"}

PROGRESS_SECONDS = 30.0
"""At least this often a long run says at INFO how far it is; every other progress line is DEBUG."""

LINES_PER_RUN = 50
"""So many lines about single records per run; further ones are DEBUG, the dead letters have them all anyway."""

_PLAN = ("strategy", "since", "until", "dry_run", "status")

progress_listeners: list[Callable[[str, str, int, int | None], None]] = []
"""Called at every step of every run: CRM, sync_type, records so far, and about how many there are. A bar is one."""

end_listeners: list[Callable[[str, str, str, str], None]] = []
"""Called when a sync ends: CRM, sync_type, status, and its counts and seconds in words. While there is a listener,
the text form leaves out the line of ``completed``, because the listener prints one."""

_last_progress: dict[tuple[str, str], float] = {}
_lines: Counter[tuple[str, str]] = Counter()


for _logger in (ingestion, sync, general):
    _logger.addFilter(Redaction())
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def stream_of(logger: str) -> str:
    """Return the stream of a logger."""
    return {ingestion.name: "ingestion", sync.name: "sync"}.get(logger, "general")


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, stream, logger, message, the extras, and an exception.

    Within a run of Dagster's its id, its job and the step besides, which Dagster's handler has written into the record.
    """

    def format(self, record: logging.LogRecord) -> str:
        members = dict(record.__dict__[REDACTED])
        told = record.__dict__.get("dagster_meta")
        if isinstance(told, Mapping):
            members = {name: told[given] for name, given in _DAGSTER.items() if told.get(given)} | members
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "stream": stream_of(record.name),
            "logger": record.name,  # not redacted: a password may well be "warehouse"
            **redacted_members(members),
        }
        return json.dumps(line, ensure_ascii=False)


class Text(logging.Formatter):
    """``12:00:00 INFO sync: message``, then the plan of a run (``strategy=full since=None``), then an exception."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        members = record.__dict__[REDACTED]
        plan = "".join(f" {name}={members[name]}" for name in _PLAN if name in members)
        text = f"{at} {record.levelname} {stream_of(record.name)}: {members['message']}{plan}"
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return redacted(text)


class _Here(logging.StreamHandler[IO[str]]):
    """Writes to what ``sys.stdout`` or ``sys.stderr`` is at the time, so that a progress bar stays below the lines."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._which = name
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:  # type: ignore[override]
        return cast(IO[str], getattr(sys, self._which))


def handler(form: Format, level: int = logging.INFO, stream: IO[str] | None = None) -> logging.Handler:
    """Return a handler that prints lines of this form; JSON goes to standard output, text to standard error."""
    made = logging.StreamHandler(stream) if stream else _Here("stdout" if form == "json" else "stderr")
    made.setFormatter(JsonLines() if form == "json" else Text())
    made.addFilter(Redaction())
    if form == "text":
        made.addFilter(lambda record: not (end_listeners and ENDED in record.__dict__))
    made.setLevel(level)
    return made


def configure(form: Format | None = None, level: int = logging.INFO, stream: IO[str] | None = None) -> logging.Handler:
    """Print the three streams, and the warnings of everyone else, in this form; replaces what was configured.

    Without a ``form`` that of the settings is taken. Files are written where the settings ask for them.
    """
    from warehouse_pipelines.observability import log_files
    from warehouse_pipelines.settings import settings

    found = settings()
    made = handler(form or found.warehouse_log_format, level, stream)
    replace_handlers([made, *log_files.handlers(found, level, stream_of, JsonLines())])
    general.setLevel(level)
    for stream_logger in (ingestion, sync):
        stream_logger.setLevel(logging.NOTSET)  # a Dagster run leaves its own level on them
    return made


def replace_handlers(handlers: Sequence[logging.Handler]) -> None:
    """Let the root logger write by these, and no more by those that were made here before."""
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, JsonLines | Text):
            root.removeHandler(old)
            old.close()
    for made in handlers:
        root.addHandler(made)


def _level(crm_source: str, sync_type: str, level: int) -> int:
    """Return ``level`` for the first lines about single records of a run, DEBUG after them."""
    _lines[crm_source, sync_type] += 1
    if _lines[crm_source, sync_type] == LINES_PER_RUN + 1:
        sync.log(level, "%s %s: more records have problems; see the dead letters", crm_source, sync_type)
    return level if _lines[crm_source, sync_type] <= LINES_PER_RUN else logging.DEBUG


def validation_warning(
    field: str,
    value: object,
    record_id: object,
    message: str,
    personal: bool = True,
    *,
    crm_source: str = "",
    sync_type: str = "",
) -> None:
    """Log a value that breaks a rule; ``personal`` hides it, also where ``message`` repeats it."""
    level = _level(crm_source, sync_type, logging.WARNING)
    if not sync.isEnabledFor(level):
        return
    sync.log(
        level,
        "Validation warning for field '%s' with value '%s' (Record: id=%s): %s",
        field,
        shown(value, personal=personal),
        record_id,
        without(message, value, personal=personal),
        extra={"crm_source": crm_source, "sync_type": sync_type, "record_id": str(record_id), "field": field},
    )


def parse_failure(
    data_type: str,
    value: object,
    field: str,
    crm_source: str,
    record_id: object,
    *,
    personal: bool = True,
    sync_type: str = "",
) -> None:
    """Log a value that cannot be read as what its column holds."""
    level = _level(crm_source, sync_type, logging.WARNING)
    if not sync.isEnabledFor(level):
        return
    sync.log(
        level,
        "Failed to parse %s value: '%s' in field '%s' for %s %s",
        data_type,
        shown(value, personal=personal),
        field,
        crm_source,
        record_id,
        extra={"crm_source": crm_source, "sync_type": sync_type, "record_id": str(record_id), "field": field},
    )


def asking(
    crm_source: str,
    sync_type: str,
    title: str,
    configuration: Mapping[str, Any] | None = None,
    **extra: Any,
) -> None:
    """Log that the vendor is asked for the first time; ``started`` follows with its answer."""
    _last_progress[crm_source, sync_type] = time.monotonic()
    for listener in progress_listeners:
        listener(crm_source, sync_type, 0, None)
    sync.info(
        "%s %s: asking %s",
        crm_source,
        sync_type,
        title,
        extra={
            "crm_source": crm_source,
            "sync_type": sync_type,
            "configuration": dict(configuration or {}),
            **extra,
        },
    )


def started(
    crm_source: str,
    sync_type: str,
    record_count: int | None,
    configuration: Mapping[str, Any] | None = None,
    **extra: Any,
) -> None:
    """Log that the vendor has answered for the first time; ``extra`` says how it is read (``strategy="full"``).

    A vendor whose first answer does not say how many records there are gives None.
    """
    _lines.pop((crm_source, sync_type), None)
    _last_progress[crm_source, sync_type] = time.monotonic()
    for listener in progress_listeners:
        listener(crm_source, sync_type, 0, record_count)
    sync.info(
        "Starting %s %s sync with %s records",
        crm_source,
        sync_type,
        "an unknown number of" if record_count is None else record_count,
        extra={
            "crm_source": crm_source,
            "sync_type": sync_type,
            "record_count": record_count,
            "configuration": dict(configuration or {}),
            **extra,
        },
    )


def progress(crm_source: str, sync_type: str, processed: int, estimated: int | None = None) -> bool:
    """Log how far a run is. May be called for every batch: INFO every 30 seconds, DEBUG in between.

    Returns whether it was INFO, for a caller that tells others at the same pace.
    """
    for listener in progress_listeners:
        listener(crm_source, sync_type, processed, estimated)
    now = time.monotonic()
    due = now - _last_progress.setdefault((crm_source, sync_type), now) >= PROGRESS_SECONDS
    if due:
        _last_progress[crm_source, sync_type] = now
    sync.log(
        logging.INFO if due else logging.DEBUG,
        "%s %s: %d of %s records",
        crm_source,
        sync_type,
        processed,
        "an unknown number of" if estimated is None else f"about {estimated}",
        extra={"crm_source": crm_source, "sync_type": sync_type, "processed": processed, "estimated": estimated},
    )
    return due


def reading(crm_source: str, sync_type: str, processed: int, estimated: int | None, requests: int) -> None:
    """Log every 30 seconds that a run still reads, though it has not got on. May be called often."""
    now = time.monotonic()
    if now - _last_progress.setdefault((crm_source, sync_type), now) < PROGRESS_SECONDS:
        return
    _last_progress[crm_source, sync_type] = now
    sync.info(
        "%s %s: still reading, %s; %d of %s records so far",
        crm_source,
        sync_type,
        f"{requests:,} request{'' if requests == 1 else 's'}",
        processed,
        "an unknown number of" if estimated is None else f"about {estimated}",
        extra={
            "crm_source": crm_source,
            "sync_type": sync_type,
            "processed": processed,
            "estimated": estimated,
            "requests": requests,
        },
    )


def completed(crm_source: str, sync_type: str, created: int, updated: int, failed: int, **extra: Any) -> None:
    """Log the end of a run; ``extra`` becomes members of the JSON line (status, seconds, history id)."""
    _last_progress.pop((crm_source, sync_type), None)
    seconds = f", {extra['seconds']:.1f} s" if "seconds" in extra else ""
    for listener in end_listeners:
        counts = f"{created:,} created, {updated:,} updated, {failed:,} failed{seconds}"
        listener(crm_source, sync_type, str(extra.get("status", "success")), counts)
    sync.info(
        "Completed %s %s sync: %d created, %d updated, %d failed",
        crm_source,
        sync_type,
        created,
        updated,
        failed,
        extra={"crm_source": crm_source, "sync_type": sync_type, ENDED: True, **extra},
    )


def record_error(
    crm_source: str,
    sync_type: str,
    record_id: object,
    error: BaseException | str,
    *,
    record: bytes | Mapping[str, Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
    context: str = "",
) -> None:
    """Log a record that was not loaded. Of the record only the names of its members are shown."""
    level = _level(crm_source, sync_type, logging.ERROR)
    if not sync.isEnabledFor(level):
        return
    sync.log(
        level,
        "Error processing %s %s: %s - Record data: %s - Context: %s",
        sync_type,
        record_id,
        masked(str(error)),
        _form(record),
        context or "none",
        extra=_error_extra(crm_source, sync_type, error, configuration) | {"record_id": str(record_id)},
    )


def sync_failed(
    crm_source: str, sync_type: str, error: BaseException, configuration: Mapping[str, Any] | None = None
) -> None:
    """Log a run that failed as a whole."""
    _last_progress.pop((crm_source, sync_type), None)
    for listener in end_listeners:
        listener(crm_source, sync_type, "failed", "")
    sync.error(
        "Sync failed for %s %s: %s",
        crm_source,
        sync_type,
        redacted(str(error)) or type(error).__name__,
        extra=_error_extra(crm_source, sync_type, error, configuration),
    )


def _error_extra(
    crm_source: str, sync_type: str, error: BaseException | str, configuration: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "crm_source": crm_source,
        "sync_type": sync_type,
        "error_type": type(error).__name__ if isinstance(error, BaseException) else "BadRecord",
        "configuration": dict(configuration or {}),
    }


def _form(record: bytes | Mapping[str, Any] | None, members: int = 40) -> str:
    if record is None:
        return "none"
    if isinstance(record, bytes):
        try:
            decoded = json.loads(record)
        except ValueError:
            return f"{len(record)} bytes that are not JSON"
        if not isinstance(decoded, dict):
            return f"a JSON {type(decoded).__name__}"
        record = decoded
    return "{" + ", ".join(f"{name}: {MASK}" for name in list(record)[:members]) + "}"
