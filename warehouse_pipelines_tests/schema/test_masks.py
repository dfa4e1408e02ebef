"""What a masked reader sees, and an erasure takes out, of the columns of an installation."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model import column_config
from warehouse_pipelines.schema.masks import NOTHING, PLACE, TEXT, ZIP, Mask, mask_of
from warehouse_pipelines.schema.personal import treatment
from warehouse_pipelines.schema.readable import Relation
from warehouse_pipelines.sources import DECLARED
from warehouse_pipelines_tests.harness.crm_database import login

FILE = """
[hubspot.contacts.add]
birthdate = "date"
dob = { kind = "date", from = "date_of_birth" }
credit_score = "integer"
cell = { kind = "integer", from = "mobile_as_number" }
income_estimate = "numeric"
last_seen = "timestamptz"
device = "uuid"
drivers_license = "id"
opted_in = "boolean"
visits = { kind = "integer", personal = false }
branch = { kind = "id", personal = false }
tier_word = { kind = "text", personal = false }
second_phone = "phone"
[salesrabbit.leads.rename]
date_of_birth = "geburtstag"
zip = "plz"
[marketsharp.address.rename]
latitude = "breite"
"""


def relation(table: str, text: str = FILE, others: Mapping[str, str] | None = None) -> Relation:
    configured = column_config.read(Path("columns.toml"), text, DECLARED)
    entity = next(one for source in configured for one in source.entities if one.table == table)
    types = {name: pg_type.partition(" ")[0] for name, pg_type in entity.pg_types.items()} | dict(others or {})
    return Relation("public", table, "r", "", types, entity.keys, (), True, entity)


def both(of: Relation, column: str) -> tuple[Mask | None, str]:
    assert of.entity
    return mask_of(of, column), treatment(of.entity, column, of.columns[column])


@pytest.mark.parametrize(
    "column", ["birthdate", "dob", "credit_score", "cell", "income_estimate", "last_seen", "device"]
)
def test_a_column_that_the_installation_added_is_masked_and_cleared_whatever_its_kind(column: str) -> None:
    assert both(relation("hubspot_contact"), column) == (NOTHING, "clear")


def test_an_added_id_and_an_added_number_are_masked_and_cleared_and_a_flag_stays() -> None:
    contact = relation("hubspot_contact")
    assert both(contact, "drivers_license") == (TEXT, "clear")
    assert both(contact, "opted_in") == (None, "keep")
    mask, how = both(contact, "second_phone_e164")
    assert mask
    assert (mask.function, how) == ("phone", "clear")


def test_an_added_column_that_the_file_calls_impersonal_stays() -> None:
    contact = relation("hubspot_contact")
    assert both(contact, "visits") == (None, "keep")
    for column in ("branch", "tier_word"):
        mask, how = both(contact, column)
        assert mask
        assert (mask.function, how) == ("word", "shared")


def test_a_renamed_column_is_masked_and_cleared_as_it_is_declared() -> None:
    lead = relation("salesrabbit_lead")
    assert both(lead, "geburtstag") == (NOTHING, "clear")
    assert both(lead, "plz") == (ZIP, "clear")
    assert both(relation("marketsharp_address"), "breite") == (PLACE, "clear")


def test_a_column_that_is_declared_no_longer_is_masked_and_cleared() -> None:
    """It keeps its data until it is removed."""
    others = {"latitude": "numeric", "former_number": "bigint", "former_flag": "boolean", "former_text": "text"}
    address = relation("marketsharp_address", others=others)
    assert both(address, "former_number") == (NOTHING, "clear")
    assert both(address, "latitude") == (PLACE, "clear")
    assert both(address, "former_flag") == (None, "keep")


def test_what_is_declared_is_masked_as_before() -> None:
    contact = relation("hubspot_contact", "")
    times = [name for name, pg_type in contact.columns.items() if pg_type in ("timestamptz", "boolean")]
    assert times
    assert {mask_of(contact, name) for name in times} == {None}


@pytest.mark.parametrize("kind", ["email", "phone", "jsonb"])
def test_what_names_a_person_by_its_kind_cannot_be_called_impersonal(kind: str) -> None:
    with pytest.raises(NotConfigured, match="always personal"):
        relation("hubspot_contact", f'[hubspot.contacts.add]\nx = {{ kind = "{kind}", personal = false }}')


@pytest.mark.slow("programs of their own")
def test_what_a_masked_login_reads_and_an_erasure_leaves_of_columns_of_our_own(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "columns.toml"
    file.write_text(FILE)

    def warehouse(*words: str) -> None:
        environment = {"WAREHOUSE_DATABASE_URL": database_url, "WAREHOUSE_COLUMNS_FILE": str(file)}
        command = [sys.executable, "-m", "warehouse_pipelines.commands.cli", *words]
        subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)

    warehouse("migrate")
    own = "birthdate, credit_score, cell, drivers_license, visits"
    clear = "SELECT birthdate::text, credit_score, cell, drivers_license, visits FROM {}hubspot_contact WHERE id = '1'"
    other = "SELECT note, cell FROM hubspot_contact WHERE id = '2'".replace("note", "comments")
    with psycopg.connect(database_url, autocommit=True) as connection:
        insert = f"INSERT INTO hubspot_contact (id, email, phone, phone_e164, comments, raw_data, {own})"
        for key, address, number in (("1", "jo@x.example", "+19375550199"), ("2", "al@x.example", None)):
            connection.execute(
                f"{insert} VALUES (%s, %s, %s, %s, 'called', '{{}}', '1961-02-03', 700, 9375550199, 'D1', 3)",
                [key, address, number, number],
            )
        connection.execute("INSERT INTO salesrabbit_lead (id, geburtstag, raw_data) VALUES ('1', '1961-02-03', '{}')")
        with (
            login(database_url, role="warehouse_read_masked") as url,
            psycopg.connect(url, autocommit=True) as masked,
        ):
            row = masked.execute(clear.format("masked.").encode()).fetchone()
            assert row == (None, None, None, "[masked]", 3)
            assert masked.execute("SELECT geburtstag FROM masked.salesrabbit_lead").fetchone() == (None,)
        warehouse("erase", "--email", "jo@x.example", "--yes")
        warehouse("erase", "--phone", "937-555-0199", "--yes")
        assert connection.execute(clear.format("").encode()).fetchone() == (None, None, None, None, 3)
        assert connection.execute(other.encode()).fetchone() == ("called", None)
