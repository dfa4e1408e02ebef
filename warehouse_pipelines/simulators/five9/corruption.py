"""Malformed records, as they look in an answer of Five9."""

from __future__ import annotations

import re

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.five9.soap import NIL, escaped

IDENTITY = ("contactID", "number1", "first_name", "last_name")


def corrupt_records(fault: Fault, body: bytes) -> bytes:
    """Corrupt the values of some records."""
    text = body.decode()
    names = re.findall(r"<fields>(.*?)</fields>", text)
    left = fault["records"]

    def corrupt(found: re.Match[str]) -> str:
        nonlocal left
        if not left:
            return found[0]
        left -= 1
        if fault["what"] == "non_object":
            return "<records>not a record</records>"
        values = re.findall(r"<data[^>]*?(?:/>|>.*?</data>)", found[0], re.DOTALL)
        values += [NIL] * (len(names) - len(values))
        if fault["what"] == "missing_id":
            corrupted = dict.fromkeys(IDENTITY, NIL)
        else:
            usual = {"bad_date": "sys_created_date", "nul": "first_name"}.get(fault["what"], "attempts")
            corrupted = {fault["property"] or usual: f"<data>{escaped(BAD_VALUES[fault['what']])}</data>"}
        data = "".join(corrupted.get(name, value) for name, value in zip(names, values, strict=True))
        return f"<records><values>{data}</values></records>"

    return re.sub(r"<records>.*?</records>", corrupt, text, flags=re.DOTALL).encode()
