"""Open a file of leads: ``open_file`` looks at its contents, and not at its name."""

import hashlib
import stat
from pathlib import Path

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.unified.lead_import import csv_file, excel_file, table_file
from warehouse_pipelines.unified.lead_import.table_file import LeadFile, Rows


def open_file(path: Path, *, sheet: str | None = None, encoding: str | None = None) -> LeadFile:
    """Return the file, ready to be read. Raises ``WrongUse`` for one that is none of ours, or too large."""
    try:
        seen = path.stat()
    except OSError as error:
        raise WrongUse(f"The file {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(seen.st_mode):
        raise WrongUse(f"{path} is no file.")
    if seen.st_size > table_file.MAX_BYTES:
        raise WrongUse(
            f"The file has {seen.st_size >> 20:,} MB, and at most {table_file.MAX_BYTES >> 20:,} are read; split it."
        )
    try:
        with path.open("rb") as opened:
            head = opened.read(8192)
            opened.seek(0)
            digest = hashlib.file_digest(opened, "sha256").digest()
    except OSError as error:
        raise WrongUse(f"The file {path} cannot be read: {error.strerror}.") from error
    if not head.strip(b"\0 \t\r\n"):
        raise WrongUse(f"The file {path.name} is empty.")
    if kind := _of_another_kind(head):
        raise WrongUse(f"{path.name} is {kind}. Save it as .xlsx or .csv, and import that.")
    reader: Rows
    if head.startswith(b"PK\x03\x04"):
        if encoding:
            raise WrongUse("--encoding is for CSV files; a workbook says itself how it is encoded.")
        reader = excel_file.Workbook(path, sheet)
    else:
        if sheet:
            raise WrongUse(f"--sheet is for workbooks, and {path.name} is a text.")
        reader = csv_file.Text(path, encoding)
    return LeadFile(path, digest, reader, seen)


def _of_another_kind(head: bytes) -> str | None:
    """Return what a file is that is none of ours, in words."""
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "an old .xls, or a workbook with a password"
    for magic, kind in (
        (b"%PDF", "a PDF"), (b"\x1f\x8b", "compressed by gzip"), (b"7z\xbc\xaf", "a 7z archive"),
        (b"Rar!", "a RAR archive"), (b"PAR1", "a Parquet file"), (b"SQLite format 3", "a SQLite database"),
        (b"{\\rtf", "a text document"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"),
        (b"BZh", "compressed by bzip2"), (b"\xfd7zXZ", "compressed by xz"), (b"PK\x05\x06", "an empty archive"),
    ):  # fmt: skip
        if head.startswith(magic):
            return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<?xml", b"<meta")):
        return "a web page or XML, whatever its name says"
    if start.startswith((b"{", b"[{")):
        return "JSON"
    return None
