"""Take a person out of files: logs of this project and of Dagster's runs, and Dagster's own storage.

A line of a log is masked in place and stays as long as it was, so that a program which is writing the file goes on.
Dagster's storage is a database in PostgreSQL, or SQLite's files in its folder. The data of a PostgreSQL server or of
MariaDB is left alone, and so is what is packed: a packed file that may be a log is named, for somebody to look at it.

Not reached at all: backups, logs that were sent elsewhere, copies of the warehouse. ``docs/erasure.md`` says so.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from psycopg import sql

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.unified.erasing.holdings import tables_of_database
from warehouse_pipelines.unified.erasing.subject import Subject
from warehouse_pipelines.unified.erasing.token_scan import Tokens

TEXTS = (".log", ".jsonl", ".json", ".txt", ".err", ".out", ".csv", ".yaml", ".html", "")
SQLITE = (".db", ".sqlite")
PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip")

LONGEST = 64 * 2**20
"""Bytes of a line: what is longer is no log."""


@dataclass(frozen=True)
class Places:
    """Where files are: folders, and the URL of Dagster's storage if it is in PostgreSQL."""

    folders: Sequence[Path] = ()
    storage_url: str | None = None


def places() -> Places:
    """Return the places that this installation has: its folders on this machine, and Dagster's storage."""
    folders = [folder for folder in (settings.state_folder(), settings.dagster_home()) if folder.is_dir()]
    url = dagster_home.storage_url()
    return Places(folders, url if url and _there(url) else None)


def _there(url: str) -> bool:
    """Return whether the database of Dagster's storage was made yet."""
    try:
        warehouse.connect(url).close()
    except DatabaseUnavailable:
        return False
    return True


@dataclass(frozen=True)
class FoundFile:
    """A file, or a table of Dagster's storage, in which something was found: how many lines or rows."""

    path: str
    found: int
    done: Literal["masked", "to be masked", "look at it by hand"]


def search(subject: Subject, places: Places | None, *, change: bool) -> list[FoundFile]:
    """Look through these places, and mask what is found if ``change``."""
    tokens = Tokens(subject)
    if places is None or not tokens.first:
        return []
    found = []
    for path in sorted({path for folder in places.folders for path in _files(folder)}):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            found += _look(path, tokens, change=change)
    if places.storage_url:
        found += _storage(places.storage_url, tokens, change=change)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, but for the data of a database server."""
    for root, folders, names in os.walk(folder):
        if {"PG_VERSION", "ibdata1"} & set(names):
            folders.clear()
            continue
        yield from (Path(root) / name for name in names if not (Path(root) / name).is_symlink())


def _look(path: Path, tokens: Tokens, *, change: bool) -> list[FoundFile]:
    done: Literal["masked", "to be masked"] = "masked" if change else "to be masked"
    suffix = path.suffix.lower()
    if suffix in SQLITE:
        count = _sqlite(path, tokens, change=change)
    elif suffix in PACKED:
        return [FoundFile(str(path), 0, "look at it by hand")] if ".log" in path.name else []
    elif suffix in TEXTS or suffix[1:].isdigit():
        count = _text(path, tokens, change=change)
    else:
        return []
    return [FoundFile(str(path), count, done)] if count else []


def _text(path: Path, tokens: Tokens, *, change: bool) -> int:
    count, place = 0, 0
    with path.open("r+b" if change else "rb") as file:
        while line := file.readline(LONGEST):
            if b"\0" in line[:1000]:
                return count
            masked = tokens.without(line.decode(errors="surrogateescape"))
            if masked is not None:
                count += 1
                if change:
                    after = file.tell()
                    file.seek(place)
                    file.write(masked.encode(errors="surrogateescape"))
                    file.seek(after)
            place += len(line)
    return count


def _sqlite(path: Path, tokens: Tokens, *, change: bool) -> int:
    """Mask the texts of SQLite's file; 0 if it is none."""
    count = 0

    def masked(value: Any) -> Any:
        return tokens.without(value) or value if isinstance(value, str) else value

    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.create_function("masked", 1, masked)
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            for (table,) in names.fetchall():
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")]
                for column in map(_quoted, columns):
                    differs = f"FROM {_quoted(table)} WHERE masked({column}) IS NOT {column}"
                    (rows,) = connection.execute(f"SELECT count(*) {differs}").fetchone()
                    if rows and change:
                        connection.execute(
                            f"UPDATE {_quoted(table)} SET {column} = masked({column})"  # noqa: S608
                            f" WHERE masked({column}) IS NOT {column}"
                        )
                    count += rows
    except sqlite3.DatabaseError:
        return 0
    return count


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _storage(url: str, tokens: Tokens, *, change: bool) -> list[FoundFile]:
    """Replace what is found in the tables of Dagster's storage."""
    found = []
    with warehouse.session(url) as session:
        for label, table in tables_of_database(session).items():
            if table.schema != "public" or table.entity:
                continue
            places = [hit.place for hit in tokens.rows(session, table)]
            if places and change:
                tokens.scrub(session, table, places, strong_only=False)
                session.execute(sql.SQL("VACUUM {}").format(table.identifier))
            if places:
                found.append(FoundFile(f"Dagster's {label}", len(places), "masked" if change else "to be masked"))
    return found
