"""A malformed record, as it looks in an answer of CallRail."""

from __future__ import annotations

from typing import Any

from warehouse_pipelines.simulators.core.faults import Fault

DATES = ("start_time", "submitted_at", "last_message_at", "created_at")
NAMES = ("customer_name", "name", "customer_city")


def corrupt_record(fault: Fault, records: list[Any], place: int) -> None:
    what, record = fault["what"], records[place]
    if what == "non_object":
        records[place] = "not a record"
        return
    if what == "missing_id":
        record.pop("id", None)
        return
    choices, value = {
        "bad_date": (DATES, "not a date"),
        "out_of_range": (("duration", "value", "swap_cookie_duration"), 10**30),
        "bad_number": (("value", "duration", "swap_cookie_duration"), "twelve"),
        "nul": (NAMES, "before\x00after"),
    }[what]
    name = fault["property"] or next((each for each in choices if each in record), choices[0])
    # No JSON number is too long for text, but an encoder has limits of its own.
    record[name] = str(value) if isinstance(value, int) else value
