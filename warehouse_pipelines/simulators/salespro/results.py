"""The result of a query as the CSV file that Athena writes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """A result as Athena writes it: every field in quotation marks, doubled within; NULL is nothing at all."""
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in header)]
    for row in rows:
        lines.append(",".join(["" if v is None else '"' + str(v).replace('"', '""') + '"' for v in row]))
    lines.append("")
    return "\n".join(lines).encode()


def parsed(body: bytes) -> list[list[str | None]]:
    """The header and the rows of a result."""
    rows: list[list[str | None]] = [[]]
    for match in re.finditer(r'(?:"((?:[^"]|"")*)")?([,\n])', body.decode()):
        value = match[1]
        rows[-1].append(None if value is None else value.replace('""', '"'))
        if match[2] == "\n":
            rows.append([])
    return rows[:-1]
