"""How a value is found in a table of a source, as SQL: by the names that columns are declared by."""

from pathlib import Path

import pytest

from warehouse_pipelines.model import column_config
from warehouse_pipelines.sources import DECLARED
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.columns import Joined
from warehouse_pipelines.unified.people import Join

HERE = """
    [hubspot.contacts]
    hash = ["division", "mobilephone", "lastname"]
    drop = ["zip", "lead_phone1"]
    rename = { lifecyclestage = "stage", phone = "telephone", lastname = "surname", address = "zip" }

    [genius.quotes]
    rename = { appointment_id = "order" }
    """


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that changed columns."""
    for source in column_config.read(Path("columns.toml"), HERE, DECLARED):
        for entity in source.entities:
            monkeypatch.setitem(columns.entities(), entity.table, entity)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(KeyError, match="hubspot_contact has no column shoe_size"):
        Joined("hubspot_contact").column("shoe_size")
    with pytest.raises(KeyError, match="hubspot_contact has no phone column city"):
        Joined("hubspot_contact").number("city")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("city", '"t"."city"'),
        ("lifecyclestage", '"t"."stage"'),
        ("division", "NULL::text"),
        ("lastname", "NULL::text"),
        ("zip", "NULL::text"),
        ("address", '"t"."zip"'),
    ],
)
def test_a_column_is_found_by_its_declared_name(column: str, found: str) -> None:
    """What an installation does not keep is no value, and no reason to fail; a hash is none, whatever its name."""
    assert Joined("hubspot_contact").column(column).as_string() == found


@pytest.mark.usefixtures("here")
def test_numbers_are_those_beside_the_phone_columns() -> None:
    joined = Joined("hubspot_contact")
    numbers = {name: joined.number(name).as_string() for name in ("phone", "mobilephone", "lead_phone1", "lead_phone2")}
    assert numbers == {
        "phone": '"t"."telephone_e164"',
        "mobilephone": "NULL::text",
        "lead_phone1": "NULL::text",
        "lead_phone2": '"t"."lead_phone2_e164"',
    }


@pytest.mark.usefixtures("here")
def test_the_first_of_several_rows_is_by_columns_that_were_renamed() -> None:
    quote = Join(name="quote", table="genius_quote", column="job_id", equals="id", first="appointment_id DESC, id")
    joined = Joined("genius_job", [quote])
    assert 'ORDER BY "order" DESC, id LIMIT 1' in joined.from_clause().as_string()
    assert "LIMIT" not in joined.from_clause(every=True).as_string()


def test_times_and_days() -> None:
    job = Joined("genius_job")
    assert job.moment("finish_date&modified|add_date", "UTC").as_string() == (
        """coalesce(greatest(("t"."finish_date"::timestamp AT TIME ZONE 'UTC'), "t"."modified"), "t"."add_date")"""
    )
    visit = Joined("genius_appointment").moment("appointment_date+appointment_time", "UTC").as_string()
    assert visit.startswith('(("t"."appointment_date" + CASE WHEN "t"."appointment_time" ~')
