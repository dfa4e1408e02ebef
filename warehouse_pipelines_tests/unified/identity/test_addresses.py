"""What addresses mean, as the sources write them."""

import pytest

from warehouse_pipelines.unified.identity.addresses import Address, parse


@pytest.mark.parametrize(
    ("street", "unit", "expected", "flat"),
    [
        ("123 North Maple Avenue Apt #4", None, "123 n maple ave", "4"),
        ("123 N. Maple Ave., Apt. 4", None, "123 n maple ave", "4"),
        ("123 N MAPLE AVE # 4", "", "123 n maple ave", "4"),
        ("123 n maple ave", "Unit 4", "123 n maple ave", "4"),
        ("123 N Maple Ave 4", None, "123 n maple ave", "4"),
        ("123 N Maple Ave 4B", None, "123 n maple ave", "4b"),
        ("123 Maple Ave NW", None, "123 maple ave nw", None),
        ("123 Maple Ave Northwest", None, "123 maple ave nw", None),
        ("12 Old Mill Road", None, "12 old mill rd", None),
        ("12 Stone Bridge Rd", "", "12 stone bridge rd", None),
        ("12 Stone Bridge Road.", None, "12 stone bridge rd", None),
        ("12 St. Clair Street", None, "12 st clair st", None),
        ("12 Saint Clair St", None, "12 st clair st", None),
        ("12 First Street", None, "12 1st st", None),
        ("12 Broadway", None, "12 broadway", None),
        ("12 1/2 Elm Street", None, "12 1/2 elm st", None),
        ("12B Elm St", None, "12b elm st", None),
        ("12 Elm St Upper", None, "12 elm st", "upper"),
        ("12 Elm St", "Upper", "12 elm st", "upper"),
        ("12 State Route 48", None, "12 state route 48", None),
        ("P.O. Box 123", None, "po box 123", None),
        ("PO BOX 123", None, "po box 123", None),
        ("12 North Street", None, "12 north st", None),
        ("12 Avenue Rd", None, "12 avenue rd", None),
        ("Müller Straße 12", None, "muller strasse 12", None),
    ],
)
def test_streets(street: str, unit: str | None, expected: str, flat: str | None) -> None:
    found = parse(street, unit, "Dayton", "OH", "45402")
    assert found == Address(expected, flat, "dayton", "oh", "45402")


@pytest.mark.parametrize(
    "line",
    [
        "123 Maple Ave, Dayton, OH 45402",
        "123 Maple Avenue, Dayton, Ohio, 45402",
        "123 Maple Ave, Dayton OH 45402-1234",
        "123 Maple Ave\nDayton, OH 45402",
        "123 Maple Ave, Dayton, OH 45402, USA",
        "123 Maple Ave Dayton OH 45402",
    ],
)
def test_an_address_in_one_line(line: str) -> None:
    assert parse(line, None, None, None, None) == Address("123 maple ave", None, "dayton", "oh", "45402")


def test_what_stands_in_columns_counts_more_than_the_line() -> None:
    found = parse("123 Maple Ave, Dayton, OH 45402", None, "Kettering", "OH", "45429")
    assert found == Address("123 maple ave", None, "kettering", "oh", "45429")


@pytest.mark.parametrize("text", ["n/a", "Unknown", "-", "", None, "  "])
def test_no_street(text: str | None) -> None:
    assert parse(text, None, "Dayton", "Ohio", "45402") == Address(None, None, "dayton", "oh", "45402")


@pytest.mark.parametrize(
    ("zip_", "state", "expected"),
    [
        ("45402-1234", "OH", "45402"),
        ("454021234", "OH", "45402"),
        (" 45402 ", "OH", "45402"),
        ("45402.0", "OH", "45402"),
        ("2134", "MA", "02134"),
        ("2134", "OH", None),
        ("00000", "OH", None),
        ("K1A 0B1", "ON", None),
        ("n/a", "OH", None),
    ],
)
def test_zip_codes(zip_: str, state: str, expected: str | None) -> None:
    assert parse("12 Elm St", None, "X", state, zip_).zip == expected


@pytest.mark.parametrize(("state", "expected"), [("Ohio", "oh"), ("OH", "oh"), ("US-OH", "oh"), ("New York", "ny")])
def test_states(state: str, expected: str) -> None:
    assert parse(None, None, None, state, None).state == expected


def test_what_cannot_be_read_stays_folded_text() -> None:
    found = parse("Behind the Old Barn", None, "Dayton", "OH", "45402")
    assert found.street is not None
    assert "old barn" in found.street
