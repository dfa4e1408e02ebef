"""A malformed entry, as it looks in a feed of MarketSharp."""

from __future__ import annotations

import re

from warehouse_pipelines.simulators.core.faults import BAD_VALUES, Fault
from warehouse_pipelines.simulators.marketsharp.sets import SETS


def corrupt_entry(fault: Fault, entry: str, name: str) -> str:
    what = fault["what"]
    before, own = entry[: entry.rindex("<m:properties>")], entry[entry.rindex("<m:properties>") :]
    if what == "non_object":
        return before + re.sub(r"<m:properties>.*</m:properties>", "", own, flags=re.DOTALL)
    shape = SETS[name]
    usual = {"missing_id": shape.key, "nul": "name" if "name" in shape.properties else "lastName"}
    corrupted = fault["property"] or usual.get(what, "lastUpdate")
    value = "" if what == "missing_id" else BAD_VALUES[what].replace("\x00", "&#x0;")
    new = f"<d:{corrupted}>{value}</d:{corrupted}>" if value else ""
    return before + re.sub(rf"<d:{corrupted}\b[^>]*(/>|>.*?</d:{corrupted}>)", new, own, flags=re.DOTALL)
