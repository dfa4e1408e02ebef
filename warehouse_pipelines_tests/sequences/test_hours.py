"""The hours of 47 CFR 64.1200(c)(1), where the lead is, through changes of the clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse_pipelines.sequences.hours import LAST_MINUTES, LEGAL, Hours, next_allowed, zones_of

NEW_YORK, CHICAGO, LOS_ANGELES = map(ZoneInfo, ("America/New_York", "America/Chicago", "America/Los_Angeles"))
BUSINESS = ZoneInfo("America/Denver")


def local(written: str, zone: ZoneInfo = NEW_YORK) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        ("2026-06-15 07:59:59", "2026-06-15 08:00"),
        ("2026-06-15 08:00", "2026-06-15 08:00"),
        ("2026-06-15 20:54", "2026-06-15 20:54"),
        ("2026-06-15 20:55", "2026-06-16 08:00"),
        ("2026-06-15 23:30", "2026-06-16 08:00"),
        ("2026-12-31 21:00", "2027-01-01 08:00"),
        # The clock goes forward at two, and back at two: eight is eight.
        ("2026-03-08 01:59", "2026-03-08 08:00"),
        ("2026-03-07 21:30", "2026-03-08 08:00"),
        ("2026-11-01 01:30", "2026-11-01 08:00"),
        ("2026-10-31 22:00", "2026-11-01 08:00"),
    ],
)
def test_story_3_5_nobody_is_called_before_eight_or_after_nine(now: str, allowed: str) -> None:
    assert next_allowed(local(now), [NEW_YORK], Hours()) == local(allowed)


def test_the_night_is_an_hour_shorter_or_longer_when_clocks_change() -> None:
    for evening, hours in (("2026-03-07 21:00", 10), ("2026-10-31 21:00", 12), ("2026-06-15 21:00", 11)):
        began = local(evening)
        allowed = next_allowed(began, [NEW_YORK], Hours())
        assert allowed is not None
        assert allowed - began.astimezone(UTC) == timedelta(hours=hours)


def test_in_two_zones_the_hours_of_both_hold() -> None:
    zones = [NEW_YORK, LOS_ANGELES]
    assert next_allowed(local("2026-06-15 08:00"), zones, Hours()) == local("2026-06-15 08:00", LOS_ANGELES)
    assert next_allowed(local("2026-06-15 20:59"), zones, Hours()) == local("2026-06-16 08:00", LOS_ANGELES)


def test_where_no_hour_suits_all_zones_there_is_none() -> None:
    far = [ZoneInfo("Pacific/Guam"), NEW_YORK]
    assert next_allowed(local("2026-06-15 12:00"), far, Hours(time(9), time(12))) is None


@given(
    st.integers(0, 2 * 365 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    st.lists(st.sampled_from([NEW_YORK, CHICAGO, LOS_ANGELES, ZoneInfo("Pacific/Honolulu")]), min_size=1, max_size=3),
)
def test_what_is_allowed_is_allowed_everywhere_and_there_is_nothing_sooner(
    now: datetime, zones: list[ZoneInfo]
) -> None:
    found = next_allowed(now, zones, Hours())
    assert found is not None
    assert found >= now

    def good(at: datetime) -> bool:
        return all(
            LEGAL[0] <= (there := at.astimezone(zone)).time() and there.hour * 60 + there.minute < 21 * 60 - 5
            for zone in zones
        )

    assert good(found)
    if found > now:
        assert not good(now)
        assert not good(found - timedelta(seconds=1))
    assert timedelta(minutes=5) == LAST_MINUTES


@pytest.mark.parametrize(
    ("own", "postal_code", "phone", "zones"),
    [
        (None, None, "+12065550101", ["America/Los_Angeles"]),
        (None, None, "+12085550101", ["America/Boise", "America/Los_Angeles"]),
        (None, "10001", None, ["America/New_York"]),
        (None, "10001-1234", "+12065550101", ["America/New_York", "America/Los_Angeles"]),
        ("America/Chicago", "10001", None, ["America/Chicago", "America/New_York"]),
        (None, "37402", None, ["America/New_York", "America/Chicago"]),
        (None, "86001", None, ["America/Phoenix", "America/Denver"]),
        (None, "96813", None, ["Pacific/Honolulu"]),
        # Of two zones, of which the places lie a county apart: Alpine, Knox, Port St. Joe, Hardinsburg, Pago Pago.
        (None, "79830", None, ["America/Chicago", "America/Denver"]),
        (None, "46534", None, ["America/New_York", "America/Chicago"]),
        (None, "32456", None, ["America/New_York", "America/Chicago"]),
        (None, "40143", None, ["America/New_York", "America/Chicago"]),
        (None, "96799", None, ["Pacific/Honolulu", "Pacific/Pago_Pago"]),
        # What tells nothing: a number without a place, one that is none, a code of the forces, letters.
        (None, None, "+18005550101", ["America/Denver"]),
        (None, "09012", "+1", ["America/Denver"]),
        (None, "K1A 0B1", None, ["America/Denver"]),
        (None, "١٠٠٠١", None, ["America/Denver"]),
        (None, None, None, ["America/Denver"]),
        ("America/Nowhere", None, None, ["America/Denver"]),
        ("../../etc/passwd", "10001", None, ["America/New_York"]),
    ],
)
def test_where_a_lead_is_all_that_is_known_tells(
    own: str | None, postal_code: str | None, phone: str | None, zones: list[str]
) -> None:
    assert [str(zone) for zone in zones_of(own, postal_code, phone, BUSINESS)] == zones


@pytest.mark.parametrize(
    "written", ["07:00-20:00", "09:00-21:30", "20:00-09:00", "9-20", "", "09:00", "08:00+02:00-20:00"]
)
def test_hours_that_the_law_does_not_allow_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="write two times"):
        Hours.read(written)
    assert Hours.read("09:00 - 20:00") == Hours(time(9), time(20))
