"""Logs in files, where a setting asks for them: ``ingestion.log``, ``sync.log`` and ``general.log``, as JSON lines.

Many processes write them at a time: each run of Dagster's is one. A line is appended in one write, which the system
keeps whole. The process that finds a file full renames it under a lock (``sync.log.1``, ``.2``, and so on; the oldest
goes); the others notice that theirs has another name now and open the new one. A line that one of them wrote meanwhile
stands in the renamed file. Python's own ``RotatingFileHandler`` would rename once for each process, and lose lines.

A disk that is full, or a folder that cannot be written, stops no run: the line is dropped.

Commands get them by ``logs.configure``, processes of Dagster by ``dagster_logs``.
"""

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

from warehouse_pipelines.observability.redaction import Redaction
from warehouse_pipelines.settings import Settings


def handlers(
    found: Settings, level: int, stream_of: Callable[[str], str], formatter: logging.Formatter
) -> list[logging.Handler]:
    """Return what writes the files, if the settings ask for them."""
    if found.warehouse_log_folder is None:
        return []
    most_bytes, files = found.warehouse_log_file_mb * 2**20, found.warehouse_log_files
    made = LogFiles(found.warehouse_log_folder, stream_of, most_bytes=most_bytes, files=files)
    made.setFormatter(formatter)
    made.addFilter(Redaction())
    made.setLevel(level)
    return [made]


class LogFiles(logging.Handler):
    """Appends each record to the file of its stream, which ``stream_of`` tells."""

    def __init__(self, folder: Path, stream_of: Callable[[str], str], *, most_bytes: int, files: int) -> None:
        """Keep ``files`` full files of ``most_bytes`` beside each that is written."""
        super().__init__()
        self._folder, self._stream_of = folder, stream_of
        self._most_bytes, self._files = most_bytes, files
        self._open: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; one that cannot be written is dropped, as logging does by itself."""
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
            self._write(self._stream_of(record.name), line)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """Say nothing: a traceback for each line of a full disk helps nobody."""

    def close(self) -> None:
        """Close the files."""
        for number in self._open.values():
            os.close(number)
        self._open.clear()
        super().close()

    def _write(self, stream: str, line: bytes) -> None:
        path = self._folder / f"{stream}.log"
        number = self._current(path)
        if os.fstat(number).st_size + len(line) > self._most_bytes:
            self._rotate(path, len(line))
            number = self._current(path)
        os.write(number, line)

    def _current(self, path: Path) -> int:
        """Return the open file that has this name now."""
        number = self._open.get(path.name)
        if number is not None:
            try:
                there, ours = path.stat(), os.fstat(number)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return number
            except FileNotFoundError:
                pass
            os.close(self._open.pop(path.name))
        self._folder.mkdir(parents=True, exist_ok=True)
        # What a log holds is nobody's business but the operator's.
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._open[path.name] = number
        return number

    def _rotate(self, path: Path, coming: int) -> None:
        """Rename the file, unless another process has done so."""
        lock = os.open(self._folder / ".rotate.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            size = path.stat().st_size if path.exists() else 0
            if not size or size + coming <= self._most_bytes:
                return
            path.with_name(f"{path.name}.{self._files}").unlink(missing_ok=True)
            for number in range(self._files - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.rename(path.with_name(f"{path.name}.{number + 1}"))
            path.rename(path.with_name(f"{path.name}.1"))
        finally:
            os.close(lock)
