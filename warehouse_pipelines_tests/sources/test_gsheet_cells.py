"""What a cell means by the locale and the zone of its sheet: one form at a time."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from warehouse_pipelines.model import validate
from warehouse_pipelines.sources.gsheet.cells import DOUBTFUL, Cells, zone_of

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("name", "hours"),
    [("GMT-07:00", -7), ("GMT+05:30", 5.5), ("GMT-7", -7), ("UTC+0100", 1), ("Etc/GMT", 0), ("America/Phoenix", -7)],
)
def test_a_zone_is_a_name_or_an_offset(name: str, hours: float) -> None:
    from datetime import datetime

    assert datetime(2026, 7, 1, tzinfo=zone_of(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["", "GMT-99:00", "Mars/Olympus", "../../etc/passwd", "EST5EDT4"])
def test_a_zone_that_is_neither_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        zone_of(name)


@pytest.mark.parametrize(
    ("locale", "cell", "expected"),
    [
        ("en_US", "05/19/2026", "2026-05-19"),
        ("en_US", "5/6/2026", "2026-05-06"),
        ("en_US", "5/6/26", "2026-05-06"),
        ("en_US", "5/6/31", "1931-05-06"),
        ("en_US", "5-6-2026", "2026-05-06"),
        ("en-US", "5/6/2026", "2026-05-06"),
        ("en_GB", "5/6/2026", "2026-06-05"),
        ("en_GB", "19/05/2026", "2026-05-19"),
        ("de_DE", "5.6.2026", "2026-06-05"),
        ("fr_FR", "05/06/2026", "2026-06-05"),
        ("ja_JP", "2026/05/19", "2026-05-19"),
        ("en_US", "2026-05-19", "2026-05-19"),
        ("en_US", "2026-05-19 23:30", "2026-05-19"),
        ("en_US", "May 19, 2026", "2026-05-19"),
        ("en_GB", "19th May 2026", "2026-05-19"),
        ("en_US", "19-May-2026", "2026-05-19"),
        ("en_US", "\u00a005/19/2026 ", "2026-05-19"),
        ("en_US", 37621, "2002-12-31"),
        ("en_US", 18264, "1950-01-01"),
        ("en_US", 20250131, "2025-01-31"),
        ("en_US", "20250131", "2025-01-31"),
    ],
)
def test_a_date_is_read_by_the_locale(locale: str, cell: Any, expected: str) -> None:
    assert Cells(locale, NEW_YORK).read("date", cell) == expected


@pytest.mark.parametrize(
    ("locale", "cell"),
    [
        ("en_US", "19/05/2026"),  # the sheet's locale has no 19th month
        ("en_US", "02/30/2026"),
        ("en_US", "05/19-2026"),
        ("en_US", "next Tuesday"),
        ("en_US", "2026-05-19T12:00:00Z"),  # has a zone of its own
        ("en_US", "2026-05-19 12:00 +02:00"),
        ("en_US", "99999999"),
        ("en_US", 1738341000),  # seconds since 1970, which the shared reader knows
        ("en_US", True),
        ("en_US", None),
    ],
)
def test_what_has_no_one_reading_stays_as_it_is(locale: str, cell: Any) -> None:
    assert Cells(locale, NEW_YORK).read("date", cell) == cell


@pytest.mark.parametrize(("cell", "expected"), [("19/05/2026", "2026-05-19"), ("2026/5/19", "2026-05-19")])
def test_without_a_known_order_a_date_that_has_one_reading_is_read(cell: str, expected: str) -> None:
    assert Cells("en_CA", NEW_YORK).read("date", cell) == expected


@pytest.mark.parametrize("kind", ["date", "timestamptz"])
@pytest.mark.parametrize(
    ("locale", "cell"),
    [
        ("en_CA", "05/06/2026"),  # both orders are in use there
        ("", "05/06/2026"),
        ("", "05/06/2026 12:00"),
        ("en_CA", "5/6/26 12 PM"),
        ("en_CA", "05/06/2026 12:00 +02:00"),
        ("es_PR", "05/06/2026"),
        ("es_PA", "05/06/2026"),
        ("en_PR", "05/06/2026"),
        ("en_GB", "05/19/2026"),  # the sheet's locale has no 19th month, the shared reader has the 19th of May
        ("de_DE", "05/19/2026 12:00"),
        ("en_CA", "02/30/2026"),
        ("en_CA", "31/31/2026"),
    ],
)
def test_a_date_of_doubtful_order_is_lost(kind: str, locale: str, cell: str) -> None:
    """The shared reader, which takes the month first, must not read what comes out, and people must."""
    found = Cells(locale, NEW_YORK).read(kind, cell)
    assert found.removesuffix(DOUBTFUL) == cell
    with pytest.raises(validate.Unreadable):
        validate.READERS[kind](found)


@pytest.mark.parametrize(
    ("locale", "cell", "expected"),
    [
        ("en_US", "1/2/2025 12 PM", "2025-01-02T17:00:00Z"),
        ("en_US", "1/2/2025\u202f12 PM", "2025-01-02T17:00:00Z"),
        ("en_US", "Thursday, January 2, 2025 12:00", "2025-01-02T17:00:00Z"),
        ("en_US", "20250102T120000", "2025-01-02T17:00:00Z"),
        ("en_US", "20250102120000", "2025-01-02T17:00:00Z"),
        ("en_US", 20250702120000, "2025-07-02T16:00:00Z"),
        ("en_US", "2025-01-02 12:00:00,123", "2025-01-02T17:00:00.123Z"),
        ("en_GB", "1/2/2025 12 PM", "2025-02-01T17:00:00Z"),
        ("en_GB", "05/06/2026 12:00 +02:00", "2026-06-05T10:00:00Z"),
        ("en_CA", "05/19/2026 12 PM", "2026-05-19T16:00:00Z"),
        ("en_US", "20250102T120000Z", "2025-01-02T12:00:00Z"),
        ("en_US", "Thursday, January 2, 2025 12:00 GMT", "2025-01-02T12:00:00Z"),
        ("en_US", 1738341000, "2025-01-31T16:30:00Z"),
    ],
)
def test_what_the_shared_reader_knows_is_read_by_it_in_the_sheet_s_zone(locale: str, cell: Any, expected: str) -> None:
    found = Cells(locale, NEW_YORK).read("timestamptz", cell)
    assert validate.read_datetime(found) == validate.read_datetime(expected)


@pytest.mark.parametrize(
    ("locale", "cell", "expected"),
    [
        ("en_US", "1/2/2025 11 PM", "2025-01-02"),
        ("en_GB", "1/2/2025 11 PM", "2025-02-01"),
        ("en_US", "Thursday, January 2, 2025 23:30", "2025-01-02"),
        ("en_US", "20250102T233000", "2025-01-02"),
    ],
)
def test_the_day_is_the_written_one(locale: str, cell: str, expected: str) -> None:
    assert str(validate.read_date(Cells(locale, NEW_YORK).read("date", cell))) == expected


@pytest.mark.parametrize("kind", ["date", "timestamptz"])
@pytest.mark.parametrize("cell", [2025, 1, 14, 0.604166, 2025.5, -5, 18_263])
def test_a_year_or_a_time_alone_is_no_day_of_1899_and_after(kind: str, cell: float) -> None:
    assert Cells("en_US", NEW_YORK).read(kind, cell) == cell
    with pytest.raises(validate.Unreadable):
        validate.READERS[kind](cell)


@pytest.mark.parametrize("kind", ["date", "timestamptz"])
def test_a_zero_is_no_date_and_nothing_is_lost(kind: str) -> None:
    """As a lookup makes it of an empty cell."""
    assert [Cells("en_US", NEW_YORK).read(kind, cell) for cell in (0, 0.0, False)] == [None, None, False]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2025-01-02 12:00:00", "2025-01-02T12:00:00-05:00"),
        (45659.5, "2025-01-02T12:00:00-05:00"),
        ("2025-07-02", "2025-07-02T00:00:00-04:00"),
        ("12/31/2025 14:05", "2025-12-31T14:05:00-05:00"),
        ("12/31/2025, 2:05 PM", "2025-12-31T14:05:00-05:00"),
        ("12/31/2025 12:05 a.m.", "2025-12-31T00:05:00-05:00"),
        ("2025-01-02T12:00:00.25", "2025-01-02T12:00:00.250000-05:00"),
        (44926.99998842592, "2022-12-31T23:59:59-05:00"),
        ("2025-01-02 12:00:00Z", "2025-01-02 12:00:00Z"),
        ("12/31/2025 14:05 PM", "12/31/2025 14:05 PM"),
    ],
)
def test_a_time_without_a_zone_is_of_the_sheet_s(cell: Any, expected: str) -> None:
    assert Cells("en_US", NEW_YORK).read("timestamptz", cell) == expected


@pytest.mark.parametrize(
    ("locale", "cell", "expected"),
    [
        ("en_US", "$1,250.00", "1250.00"),
        ("en_US", "($1,250.00)", "-1250.00"),
        ("en_US", "-$5", "-5"),
        ("en_US", "$-5", "-5"),
        ("en_US", "USD 1,250", "1250"),
        ("en_US", " 1,250,000 ", "1250000"),
        ("en_GB", "£1,250.00", "1250.00"),
        ("de_DE", "1.250,00 €", "1250.00"),
        ("de_DE", "1.250", "1250"),
        ("de_DE", "12,5", "12.5"),
        ("fr_FR", "1\u202f250,5 €", "1250.5"),
        ("de_CH", "CHF 1\u2019250.50", "1250.50"),
        ("es_MX", "$1,250.00", "1250.00"),
        ("en", "$5", "5"),
        ("de", "5 €", "5"),
        ("en_US", "1.250,00", "1.250,00"),
        ("en_US", "€1,250.00", "€1,250.00"),  # no dollars, and nobody would know afterwards
        ("en_GB", "$1,250.00", "$1,250.00"),
        ("en_US", "1,2", "1,2"),
        ("en_US", "(5", "(5"),
        ("en_US", "12%", "12%"),
        ("en_US", "LOT 12", "LOT 12"),
        ("en_US", "two", "two"),
        ("en_US", 12.5, 12.5),
    ],
)
def test_an_amount_is_read_by_the_locale(locale: str, cell: Any, expected: Any) -> None:
    assert Cells(locale, NEW_YORK).read("numeric", cell) == expected


def test_other_columns_are_left_alone() -> None:
    assert Cells("en_US", NEW_YORK).read("text", "$1,250.00") == "$1,250.00"
    assert Cells("en_US", NEW_YORK).read("phone", "937-555-1234") == "937-555-1234"
