"""How CallRail reads the parameters of a list: windows of time, filters, and how many a page shows.

A parameter that it does not know, or a value that it cannot read, is ignored without a word.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.callrail.account import Account
from warehouse_pipelines.simulators.callrail.settings import CallRailSettings
from warehouse_pipelines.simulators.core.journey import DAY_MS
from warehouse_pipelines.simulators.core.wire import Request

MAX_PER_PAGE, DEFAULT_PER_PAGE = 250, 100
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")


def whole_number(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def page_size(request: Request) -> int:
    return min(MAX_PER_PAGE, max(1, whole_number(request.first("per_page"), DEFAULT_PER_PAGE)))


def moment(text: str, zone: ZoneInfo, *, end: bool) -> int | None:
    """A date, a local time or a time with an offset, in milliseconds; None for what cannot be read."""
    if not MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if len(text) == 10 and end:
        moment += timedelta(days=1, milliseconds=-1)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return round(moment.timestamp() * 1000)


def window_of(request: Request, account: Account, settings: CallRailSettings, now: int) -> tuple[int, int] | None:
    """The bounds in milliseconds, both included; None when they reach back too far."""
    company = request.first("company_id")
    zones = {str(row["id"]): zone for row, zone in zip(account.companies, account.zones, strict=True)}
    zone = zones.get(company, account.zone)
    start = moment(request.first("start_date"), zone, end=False)
    end = moment(request.first("end_date"), zone, end=True)
    if start is None and end is None:
        start, end = _date_range(request.first("date_range"), zone, now)
    low = now - settings.recent_days * DAY_MS if start is None else start
    high = now if end is None else end
    return None if low < oldest(now, account, settings) else (low, high)


def oldest(now: int, account: Account, settings: CallRailSettings) -> int:
    today = datetime.fromtimestamp(now / 1000, account.zone)
    months = today.year * 12 + today.month - 1 - settings.retention_months
    year, month = divmod(months, 12)
    last_day = monthrange(year, month + 1)[1]
    oldest = today.replace(year=year, month=month + 1, day=min(today.day, last_day), hour=0, minute=0, second=0)
    return int(oldest.timestamp() * 1000)


def _date_range(word: str, zone: ZoneInfo, now: int) -> tuple[int | None, int | None]:
    today = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    month = today.replace(day=1)
    year = today.replace(month=1, day=1)
    ranges = {
        "today": (today, tomorrow),
        "yesterday": (today - timedelta(days=1), today),
        "last_7_days": (today - timedelta(days=7), tomorrow),
        "last_30_days": (today - timedelta(days=30), tomorrow),
        "this_month": (month, tomorrow),
        "last_month": ((month - timedelta(days=1)).replace(day=1), month),
        "this_year": (year, tomorrow),
        "last_year": (year.replace(year=year.year - 1), year),
        "all_time": (year.replace(year=2011), tomorrow),
    }
    if word not in ranges:
        return None, None
    start, end = ranges[word]
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000) - 1


def filter_of(request: Request, name: str) -> Callable[[dict[str, Any]], bool] | None:
    """The filters that can be read; what cannot is ignored without a word."""
    tests: list[Callable[[dict[str, Any]], bool]] = []

    def equal(parameter: str, field: str, allowed: tuple[Any, ...] | None = None) -> None:
        value = request.first(parameter)
        if value and (allowed is None or value in allowed):
            tests.append(lambda record: str(record.get(field)) == value)

    equal("company_id", "company_id")
    statuses = ("good_lead", "not_a_lead", "previously_marked_good_lead")
    if name in ("calls", "form_submissions"):
        equal("lead_status", "lead_status", statuses)
        if request.first("lead_status") == "not_scored":
            tests.append(lambda record: record["lead_status"] is None)
        wanted = set(request.query.get("tags", []) + request.query.get("tags[]", []))
        if wanted:
            tests.append(lambda record: bool(wanted & tag_names(record)))
    if name == "calls":
        equal("tracker_id", "tracker_id")
        equal("direction", "direction", ("inbound", "outbound"))
        equal("device", "device_type")
        equal("agent", "agent_email")
        answered = {"true": True, "false": False}.get(request.first("answered"))
        answered = {"answered": True, "missed": False}.get(request.first("answer_status"), answered)
        if answered is not None:
            tests.append(lambda record: record["answered"] is answered)
        if request.first("answer_status") == "voicemail":
            tests.append(lambda record: bool(record["voicemail"]))
        least, most = whole_number(request.first("min_duration"), -1), whole_number(request.first("max_duration"), -1)
        if least >= 0:
            tests.append(lambda record: record["duration"] >= least)
        if most >= 0:
            tests.append(lambda record: record["duration"] <= most)
        if request.first("first_time_callers") == "true":
            tests.append(lambda record: bool(record["first_call"]))
        search = request.first("search").lower()
        if search:
            tests.append(lambda r: search in f"{r['customer_name']} {r['customer_phone_number']} {r['note']}".lower())
    return (lambda record: all(test(record) for test in tests)) if tests else None


def fixed_matches(name: str, row: dict[str, Any], request: Request) -> bool:
    company = request.first("company_id")
    if company and name == "trackers" and row["company"]["id"] != company:
        return False
    if company and name == "tags" and row["company_id"] not in (None, company):
        return False
    if company and name == "users" and all(each["id"] != company for each in row["companies"]):
        return False
    for parameter, known in (("status", ("active", "disabled", "enabled")), ("type", ("source", "session"))):
        value = request.first(parameter)
        if value in known and parameter in row and row[parameter] != value:
            return False
    level = request.first("tag_level")
    if level in ("account", "company") and name == "tags" and row["tag_level"] != level:
        return False
    return request.first("search").lower() in str(row.get("name", "")).lower()


def tag_names(record: dict[str, Any]) -> set[str]:
    return {tag["name"] if isinstance(tag, dict) else tag for tag in record.get("tags") or []}
