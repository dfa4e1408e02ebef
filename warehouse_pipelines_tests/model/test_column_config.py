"""``config/columns.toml``: what it may say, what it makes of an entity, and of a table that is there."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import NotConfigured, WrongUse
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model import column_config
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema import local_columns, migrate, tables
from warehouse_pipelines.sources import DECLARED, SOURCES
from warehouse_pipelines_tests.harness.fake_source import THING, FakeSource, thing
from warehouse_pipelines_tests.harness.source_harness import replayed, rows, source_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

Configure = Callable[..., dict[str, Entity]]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write the file and return the entities of these sources, all by default, by their table."""

    def written(text: str, *sources: Source) -> dict[str, Entity]:
        file = tmp_path / "columns.toml"
        file.write_text(text)
        monkeypatch.setenv("WAREHOUSE_COLUMNS_FILE", str(file))
        monkeypatch.setenv("WAREHOUSE_HASH_KEY", "a key of some length")
        found = column_config.configured(sources or DECLARED)
        return {entity.table: entity for source in found for entity in source.entities}

    return written


def test_without_the_file_the_sources_are_as_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_config, "project_root", lambda: tmp_path)
    monkeypatch.delenv("WAREHOUSE_COLUMNS_FILE")
    assert column_config.configured(DECLARED) == DECLARED
    assert [source.entities for source in SOURCES] == [source.entities for source in DECLARED]


def test_a_file_that_is_named_and_absent_stops_everything_that_would_load_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_COLUMNS_FILE", str(tmp_path / "mien.toml"))
    with pytest.raises(NotConfigured, match=r"WAREHOUSE_COLUMNS_FILE names .*mien.toml, which cannot be read"):
        column_config.configured(DECLARED)
    monkeypatch.delenv("WAREHOUSE_COLUMNS_FILE")
    monkeypatch.setattr(column_config, "project_root", lambda: tmp_path)
    (tmp_path / "config" / "columns.toml").mkdir(parents=True)  # what Docker makes of a file that it does not find
    with pytest.raises(NotConfigured, match="IsADirectoryError"):
        column_config.configured(DECLARED)


def test_each_word_changes_its_column_and_nothing_else(configure: Configure) -> None:
    found = configure("""
        [hubspot.contacts.add]
        favourite_colour = "text"
        visits = { kind = "integer", from = "num_visits|number_of_visits" }
        [hubspot.contacts.map]
        city = "town"
        [hubspot.contacts.rename]
        lifecyclestage = "stage"
        phone = "telephone"
        [hubspot.contacts]
        hash = ["email", "phone"]
        drop = ["zip"]
        """)
    declared = {entity.table: entity for source in DECLARED for entity in source.entities}
    assert {table for table in found if found[table] is not declared[table] and found[table] != declared[table]} == {
        "hubspot_contact"
    }
    before, after = declared["hubspot_contact"], found["hubspot_contact"]
    assert after.columns["favourite_colour"] == ("text", "properties.favourite_colour")
    assert after.columns["visits"] == ("integer", "properties.num_visits|properties.number_of_visits")
    assert after.columns["city"] == ("text", "properties.town")
    assert after.columns["stage"] == before.columns["lifecyclestage"]
    assert after.local.hashed == {"email", "telephone"}
    assert "telephone_e164" in after.pg_types
    removed = before.pg_types.keys() - after.pg_types.keys()
    assert removed == {"lifecyclestage", "phone", "phone_e164", "zip"}
    assert after.pg_types.keys() - before.pg_types.keys() == {
        "favourite_colour", "visits", "stage", "telephone", "telephone_e164",
    }  # fmt: skip
    assert after.hash_seed != before.hash_seed


def test_what_is_not_changed_keeps_its_hash(configure: Configure) -> None:
    """Else every row of the warehouse would be written anew for a file that concerns none of them."""
    found = configure('[hubspot.contacts]\nhash = ["email"]\n')
    for source in DECLARED:
        for entity in source.entities:
            assert (found[entity.table].hash_seed == entity.hash_seed) is (entity.table != "hubspot_contact")


def test_references_follow_a_renamed_column_and_leave_a_dropped_one(configure: Configure) -> None:
    refs = {
        (entity.table, column): ref
        for source in DECLARED for entity in source.entities for column, ref in entity.refs.items() if "(" in ref
    }  # fmt: skip
    (table, column), ref = next(iter(refs.items()))
    other, _, named = ref.removesuffix(")").partition("(")
    source, meant = next((s, e) for s in DECLARED for e in s.entities if e.table == other)
    written = f"[{source.name}.{meant.name}.rename]\n{named} = 'called_anew'\n"
    assert configure(written)[table].refs[column] == f"{other}(called_anew)"
    assert column not in configure(f"[{source.name}.{meant.name}]\ndrop = ['{named}']\n")[table].refs


def test_the_vendors_times_follow_a_renamed_column_and_ignore_an_added_one(configure: Configure) -> None:
    written = "[hubspot.contacts]\nadd = { created_at = 'timestamptz' }\nrename = { createdate = 'made' }\n"
    times = configure(written)["hubspot_contact"].source_times
    assert times == {"source_created_at": "made", "source_updated_at": "lastmodifieddate"}


def test_what_the_warehouse_writes_is_no_edit_whatever_its_column_is_called(configure: Configure) -> None:
    found = configure("""
        [hubspot.contacts]
        add = { genius_lead_score = "integer", score = { kind = "integer", from = "genius_lead_score|other_score" } }
        rename = { hs_updated_by_user_id = "writer", city = "town" }
    """)["hubspot_contact"]
    assert found.columns.keys() - found.edits == {
        "genius_lead_score",
        "writer",
        "lastmodifieddate",
        "currentlyinworkflow",
    }
    assert found.edit_times == ("source_edited_at", "source_updated_at")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("[hubspott.contacts]\nhash = []\n", "line 1, [hubspott]: 'hubspott' names no CRM; did you mean hubspot?"),
        (
            "\n[hubspot.contact]\nhash = []\n",
            "line 2, [hubspot.contact]: 'contact' names no entity of hubspot; did you mean contacts?",
        ),
        (
            "[hubspot.contacts]\nhash = [\n  'emial',\n]\n",
            "line 3, [hubspot.contacts]: 'emial' names no column of hubspot_contact; did you mean email?",
        ),
        (
            "[hubspot.contacts]\nhsah = ['email']\n",
            "line 2, [hubspot.contacts]: 'hsah' is none of map, add, hash, drop, rename",
        ),
        ("[hubspot.contacts]\nhash = 'email'\n", "line 2, [hubspot.contacts]: 'hash' is no list of columns"),
        (
            "[hubspot.contacts.add]\na = 'text'\ncolour = 'txt'\n",
            "line 3, [hubspot.contacts.add]: 'colour' is of the kind 'txt'; there are text, id, uuid, email,",
        ),
        (
            "[hubspot.contacts.add]\ncolour = { from = 'x' }\n",
            'line 2, [hubspot.contacts.add]: \'colour\' is written "kind", or {',
        ),
        (
            "[hubspot.contacts.add]\nemail = 'text'\n",
            "adds a column that hubspot_contact has; [hubspot.contacts.map] says where it is read",
        ),
        ("[hubspot.contacts.add]\nraw_data = 'text'\n", "adds a column that hubspot_contact has (every table has it)"),
        ("[hubspot.contacts.add]\nColour = 'text'\n", "cannot be used: not snake_case, or too long: Colour"),
        (
            "[hubspot.contacts.add]\nvisits = { kind = 'integer', from = 'a+b' }\n",
            "joins parts, and only texts can be joined",
        ),
        (
            "[hubspot.contacts]\ndrop = ['id']\n",
            "drops id, by which hubspot_contact is read; without it nothing can be read",
        ),
        (
            "[hubspot.contacts]\ndrop = ['lastmodifieddate']\n",
            "drops lastmodifieddate, by which hubspot_contact is read",
        ),
        (
            "[hubspot.contacts]\ndrop = ['createdate']\n",
            "drops createdate, of which hubspot_contact has its source_created_at",
        ),
        ("[hubspot.contacts]\nhash = ['id']\n", "hashes id, by which hubspot_contact is read"),
        ("[hubspot.contacts.map]\nid = 'email'\n", "maps id, by which hubspot_contact is read"),
        ("[hubspot.contacts.rename]\nid = 'key'\n", "renames id, by which hubspot_contact is read"),
        ("[hubspot.contacts.rename]\nemail = 'phone'\n", "renames email to phone, which hubspot_contact has already"),
        (
            "[gsheet.marketing_leads]\ndrop = ['first_name']\n",
            "drops first_name, by which gsheet_marketing_lead is read",
        ),
        (
            "[hubspot.deals]\nhash = ['amount']\n",
            "hashes amount, which is numeric; a hash is a text, so only text, id, email, phone, url can be hashed",
        ),
        (
            "[salesrabbit.leads]\nhash = ['prospect_name']\n",
            "hashes prospect_name, and first_name reads the same place (firstName) in clear",
        ),
        (
            "[salesrabbit.leads]\ndrop = ['prospect_phone']\n",
            "drops prospect_phone, which sql/views/salesrabbit_lead_v1.sql reads",
        ),
        ("[pipedesk.leads.rename]\nlegal_name = 'name'\n", "renames legal_name, which sql/"),
        ("[hubspot.contacts]\nhash = ['email', 'email']\n", "'email' stands there a second time"),
        ("[hubspot.contacts]\nhash = ['email']\ndrop = ['email']\n", "is dropped, and something else is done to it"),
        ("[gcalendar.events]\nhash = ['status']\n", "hashes status, by which pipedesk.calendar_events tells that a"),
        ("[hubspot.contacts\n", "is no TOML"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_used_is_named_with_its_line_and_what_is_allowed(
    configure: Configure, tmp_path: Path, written: str, says: str
) -> None:
    with pytest.raises(NotConfigured) as refused:
        configure(written)
    assert says in str(refused.value)
    assert str(tmp_path / "columns.toml") in str(refused.value)


KEY = "a key of some length"


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    monkeypatch.setenv("WAREHOUSE_HASH_KEY", KEY)
    return FakeSource(bare_url)


def changed(fake: FakeSource, configure: Configure, written: str) -> Entity:
    """Apply the file to the fake's things and to their table, as a migration does; return the entity."""
    entity = configure(written, fake.source())[THING.table]
    with migrate.engine(fake.url).begin() as connection:
        local_columns.rename(connection, [entity])
        tables.align(connection, [entity])
    return entity


PEOPLE: Mapping[str, Any] = {
    "name": "Ann Ford", "phone": "(310) 867-5309", "doc": {"mail": "ann@example.com", "note": "call 310.867.5309"},
    "other": "Ann Ford", "more": {"shade": "red", "contact": "Ann Ford", "town": "Paris"},
}  # fmt: skip


def stored(fake: FakeSource, entity: Entity) -> str:
    """Return all that the warehouse has: the table and the dead letters."""
    with psycopg.connect(fake.url) as connection:
        found = [
            connection.execute(f"SELECT t::text FROM {table} t").fetchall()
            for table in (entity.table, "orchestration.dead_letter", "orchestration.sync_history")
        ]
    return str(found)


def test_a_hashed_value_stands_nowhere_in_clear(fake: FakeSource, configure: Configure) -> None:
    entity = changed(fake, configure, "[fake.things]\nhash = ['name', 'phone']\n")
    fake.entity = entity
    result = fake.sync([thing(1, **PEOPLE), thing(2, size="no number", **PEOPLE)])
    assert (result.created, result.failed) == (1, 1)
    row = fake.row("1")
    everything = stored(fake, entity) + str(result.sample)
    for clear in ("Ann", "867", "5309"):
        assert clear not in everything
    assert row["name"].startswith("hmac:")
    assert row["phone"].startswith("hmac:")
    assert row["phone_e164"] == row["phone"] != row["name"]
    assert row["raw_data"]["other"] == row["raw_data"]["more"]["contact"] == row["name"]
    assert row["raw_data"]["doc"]["note"] == f"call {row['phone']}"
    assert row["custom_properties"] == {"contact": row["name"], "town": "Paris"}
    assert row["raw_data"]["doc"]["mail"] == "ann@example.com"
    assert result.metrics["warnings"] == {}


def test_equal_values_have_equal_hashes_however_they_are_written_and_another_key_has_others(
    fake: FakeSource, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['phone']\n")
    fake.sync([thing(1, phone="(310) 867-5309"), thing(2, phone="+1 310.867.5309"), thing(3, phone="310 867 5308")])
    one, two, three = (fake.row(key)["phone"] for key in "123")
    assert one == two != three
    monkeypatch.setenv("WAREHOUSE_HASH_KEY", "another key of some length")
    fake.sync([thing(1, day=2, phone="3108675309")])
    assert fake.row("1")["phone"] not in (one, three)


@pytest.mark.slow("the same in other circumstances")
def test_a_dead_letter_that_is_replayed_keeps_its_hash(fake: FakeSource, configure: Configure) -> None:
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\n")
    fake.sync([thing(1, name="Ann Ford"), thing(2, name="Ann Ford", size="no number")])
    source = replace(fake.source(), entities=(replace(fake.entity, severity={}),))
    (again,) = replayed([source], fake.url, crm="fake", entity="things")
    assert again.created == 1
    assert fake.row("2")["name"] == fake.row("1")["name"]


def test_a_record_that_cannot_be_searched_is_not_kept(fake: FakeSource, configure: Configure) -> None:
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\n")
    assert fake.sync([b'{"id": "1", "name": "Ann', b'"Ann"', thing(2)]).failed == 2
    assert "Ann" not in stored(fake, fake.entity)


def test_no_key_to_hash_with_fails_the_run_before_anything_is_read(
    fake: FakeSource, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\n")
    for key in (None, "short"):
        monkeypatch.delenv("WAREHOUSE_HASH_KEY") if key is None else monkeypatch.setenv("WAREHOUSE_HASH_KEY", key)
        source = replace(fake.source(), entities=(fake.entity,))
        with pytest.raises(NotConfigured, match="WAREHOUSE_HASH_KEY"):
            sync(source, fake.entity, Options(), url=fake.url)
    assert fake.rows() == {}
    assert fake.asked == []
    assert ["WAREHOUSE_HASH_KEY" in row["error_message"] for row in fake.history()] == [True, True]


def test_a_dropped_column_is_written_no_more_and_keeps_what_it_has(fake: FakeSource, configure: Configure) -> None:
    fake.sync([thing(1, **PEOPLE), thing(2, **PEOPLE)])
    fake.entity = changed(fake, configure, "[fake.things]\ndrop = ['phone', 'amount']\n")
    fake.sync([thing(1, day=2, **PEOPLE, amount="7")])
    row = fake.row("1")
    assert row["phone"] == PEOPLE["phone"], "what was stored stays"
    assert row["amount"] is None
    assert (row["raw_data"]["phone"], row["raw_data"]["amount"]) == (None, None)
    assert row["raw_data"]["doc"]["note"] == "call ***"
    assert fake.row("2")["raw_data"]["phone"] == PEOPLE["phone"]


def test_a_renamed_column_keeps_its_data_and_its_index(fake: FakeSource, configure: Configure) -> None:
    fake.sync([thing(1, **PEOPLE)])
    entity = changed(fake, configure, "[fake.things.rename]\nphone = 'telephone'\nname = 'title'\n")
    row = rows(fake.url, entity)["1",]
    assert (row["telephone"], row["telephone_e164"], row["title"]) == (PEOPLE["phone"], "+13108675309", "Ann Ford")
    assert not {"phone", "phone_e164", "name"} & row.keys()
    with migrate.engine(fake.url).begin() as connection:
        assert tables.differences(connection, [entity]) == []
        assert local_columns.rename(connection, [entity]) == []
    fake.entity = entity
    assert fake.sync([thing(1, day=2, **{**PEOPLE, "name": "Bo"})]).updated == 1
    assert fake.row("1")["title"] == "Bo"


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("[fake.things.rename]\nphone = 'telephone'\nname = 'label'\n", ("telephone", "label")),
        ("[fake.things.rename]\nphone = 'title'\nname = 'mobile'\n", ("title", "mobile")),
        ("", ("phone", "name")),
    ],
    ids=["another-name", "crossed", "taken-back"],
)
def test_a_rename_that_is_changed_keeps_the_data(
    fake: FakeSource, configure: Configure, written: str, called: tuple[str, str]
) -> None:
    fake.sync([thing(1, **PEOPLE)])
    changed(fake, configure, "[fake.things.rename]\nphone = 'mobile'\nname = 'title'\n")
    entity = changed(fake, configure, written)
    row = rows(fake.url, entity)["1",]
    phone, name = called
    assert (row[phone], row[f"{phone}_e164"], row[name]) == (PEOPLE["phone"], "+13108675309", "Ann Ford")
    with migrate.engine(fake.url).begin() as connection:
        assert tables.differences(connection, [entity]) == []
        assert local_columns.rename(connection, [entity]) == []


def test_a_name_that_holds_other_values_is_refused(fake: FakeSource, configure: Configure) -> None:
    """They would stand under it, as if the vendor had said so."""
    fake.sync([thing(1, **PEOPLE)])
    with migrate.engine(fake.url).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE fake_thing ADD title text DEFAULT 'Ann Ford'")
    with pytest.raises(WrongUse, match=r"renames fake_thing\.shade to title, and the table has"):
        changed(fake, configure, "[fake.things.rename]\nshade = 'title'\n")
    assert fake.row("1")["title"] == "Ann Ford"


@pytest.mark.parametrize(
    ("was", "kind", "sent", "kept"),
    [
        ("integer", "numeric", 3, "3"),
        ("numeric", "integer", 4, "4"),
        ("integer", "text", 7, "7"),
        ("text", "integer", "12", "12"),
        ("text", "date", None, None),
    ],
)
def test_the_kind_of_an_added_column_is_corrected_with_its_values(
    fake: FakeSource, configure: Configure, was: str, kind: str, sent: Any, kept: str | None
) -> None:
    fake.entity = changed(fake, configure, f"[fake.things.add]\nvisits = '{was}'\n")
    fake.sync([thing(1, visits=sent)])
    fake.entity = configure(f"[fake.things.add]\nvisits = '{kind}'\n", fake.source())[THING.table]
    with migrate.engine(fake.url).begin() as connection:
        connection.exec_driver_sql("ANALYZE fake_thing")
        with pytest.raises(WrongUse, match=r"^Changing the type of the column fake_thing\.visits rewrites"):
            tables.align(connection, [fake.entity], largest=0)
        assert tables.align(connection, [fake.entity], largest=1)[0].startswith("type of fake_thing.visits: ")
    with migrate.engine(fake.url).begin() as connection:
        assert tables.differences(connection, [fake.entity]) == []
        assert connection.exec_driver_sql("SELECT visits::text FROM fake_thing").scalar() == kept
    assert fake.sync([thing(1, day=2, visits=sent)]).updated == 1


@pytest.mark.parametrize(
    ("was", "kind", "sent"),
    [("numeric", "integer", 3.5), ("text", "numeric", "NaN"), ("timestamptz", "date", "2024-01-01T00:00:00Z")],
)
def test_a_kind_that_would_lose_a_value_is_refused_with_the_statement_that_keeps_it(
    fake: FakeSource, configure: Configure, was: str, kind: str, sent: Any
) -> None:
    before = changed(fake, configure, f"[fake.things.add]\nvisits = '{was}'\n")
    fake.entity = before
    fake.sync([thing(1, visits=sent)])
    with pytest.raises(WrongUse, match=rf"says {kind} of fake_thing\.visits, which is .* no \w+\.") as refused:
        changed(fake, configure, f"[fake.things.add]\nvisits = '{kind}'\n")
    assert fake.row("1")["visits"] is not None
    statement = str(refused.value).partition("by ")[2].partition(";")[0]
    with psycopg.connect(fake.url) as connection:
        connection.execute(statement)
    changed(fake, configure, f"[fake.things.add]\nvisits = '{kind}'\n")
    assert fake.row("1")["visits_before"] is not None
    assert fake.row("1")["visits"] is None


def test_a_program_whose_file_hashes_less_than_the_warehouse_neither_loads_nor_migrates(
    fake: FakeSource, configure: Configure
) -> None:
    plain = fake.entity
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\n")
    fake.sync([thing(1, **PEOPLE)])
    fake.entity = plain
    words = r"fake_thing keeps name as a hash, and .*columns\.toml does not say so"
    with pytest.raises(NotConfigured, match=words) as refused:
        fake.sync([thing(1, day=2, **PEOPLE)])
    assert fake.row("1")["name"].startswith("hmac:")
    with migrate.engine(fake.url).begin() as connection:
        with pytest.raises(NotConfigured, match=words):
            local_columns.require_redacted(connection, [plain])
        connection.exec_driver_sql(str(refused.value).partition("now on, ")[2].partition(", and")[0])
        local_columns.require_redacted(connection, [plain])
    assert fake.sync([thing(1, day=2, **PEOPLE)]).updated == 1


def test_a_program_whose_file_drops_less_than_the_warehouse_neither_loads_nor_migrates(
    fake: FakeSource, configure: Configure
) -> None:
    plain = fake.entity
    fake.entity = changed(fake, configure, "[fake.things]\ndrop = ['name', 'phone']\n")
    fake.sync([thing(1, **PEOPLE)])
    local_columns.redact(fake.url, [replace(fake.source(), entities=(fake.entity,))])
    fake.sync([thing(1, day=2, **PEOPLE)])
    less = (
        ("", plain, "name, phone"),
        ("drop = ['phone']", None, "name"),
        ("drop = ['phone']\nhash = ['name']", None, "name"),
        ("drop = ['phone']\nrename = { name = 'title' }", None, "name"),
    )
    for written, entity, lost in less:
        fake.entity = entity or configure(f"[fake.things]\n{written}\n", fake.source())[THING.table]
        words = rf"fake_thing keeps {lost} not at all, and .*columns\.toml does not say so"
        with pytest.raises(NotConfigured, match=words) as refused:
            fake.sync([thing(1, day=3, **PEOPLE)])
        with migrate.engine(fake.url).begin() as connection, pytest.raises(NotConfigured, match=words):
            local_columns.require_redacted(connection, [fake.entity])
        fake.entity = plain
    assert "name" not in fake.row("1")
    with migrate.engine(fake.url).begin() as connection:
        connection.exec_driver_sql(str(refused.value).partition("now on, ")[2].partition(", and")[0])
        local_columns.require_redacted(connection, [plain])
        tables.align(connection, [plain])
    assert fake.sync([thing(1, day=4, **PEOPLE)]).updated == 1
    assert fake.row("1")["name"] == "Ann Ford"


def test_redact_takes_out_what_was_stored_before_and_can_be_repeated(fake: FakeSource, configure: Configure) -> None:
    fake.sync([thing(1, **PEOPLE), thing(2, size="no number", **PEOPLE), thing(3, name=None)])
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\ndrop = ['phone']\n")
    with migrate.engine(fake.url).begin() as connection:
        (said,) = local_columns.stored_in_clear(connection, [fake.entity])
    assert "still holds name in clear, to be hashed and phone, phone_e164, dropped and no longer written" in said
    source = replace(fake.source(), entities=(fake.entity,))
    assert local_columns.redact(fake.url, [source]) == [
        "fake_thing: 1 rows and 1 dead letters redacted, without phone, phone_e164"
    ]
    everything = stored(fake, fake.entity)
    for clear in ("Ann", "867", "5309"):
        assert clear not in everything
    assert "phone" not in fake.row("1")
    with migrate.engine(fake.url).begin() as connection:
        assert local_columns.stored_in_clear(connection, [fake.entity]) == []
    assert local_columns.redact(fake.url, [source]) == []
    again = fake.sync([thing(1, **PEOPLE), thing(2, size="no number", **PEOPLE), thing(3, name=None)])
    assert (again.created, again.updated, again.failed, again.status) == (0, 0, 1, "success")


def test_redact_keeps_nobody_from_a_table_that_somebody_reads(fake: FakeSource, configure: Configure) -> None:
    fake.sync([thing(1, **PEOPLE)])
    fake.entity = changed(fake, configure, "[fake.things]\ndrop = ['phone']\n")
    source = replace(fake.source(), entities=(fake.entity,))
    with ThreadPoolExecutor(1) as beside, psycopg.connect(fake.url) as reading:
        reading.execute("SELECT FROM fake_thing")
        redacting = beside.submit(local_columns.redact, fake.url, [source])
        with psycopg.connect(fake.url, autocommit=True) as other:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'fake_thing'::regclass)"
            eventually(lambda: bool(fetched(other, waiting)), "the removal waits")
            other.execute("SET statement_timeout = '2s'")
            other.execute("SELECT FROM fake_thing")
        assert not redacting.done()
        reading.commit()
        assert redacting.result(30) == ["fake_thing: 1 rows and 0 dead letters redacted, without phone, phone_e164"]


def fetched(connection: "psycopg.Connection[Any]", statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    return row and row[0]


@pytest.mark.slow("the same in other circumstances")
def test_numbers_beside_a_hashed_value_stay_digit_by_digit(fake: FakeSource, configure: Configure) -> None:
    fake.entity = changed(fake, configure, "[fake.things]\nhash = ['name']\n")
    record = json.dumps(thing(1, amount="X", big=[1.10, {"n": "Y"}])).replace('"X"', "12345678901234567890.10")
    fake.sync([record.replace('"Y"', "1e2").encode()])
    with psycopg.connect(fake.url) as connection:
        ((amount, raw),) = connection.execute("SELECT amount::text, raw_data::text FROM fake_thing").fetchall()
    assert amount == "12345678901234567890.10"
    assert '"amount": 12345678901234567890.10' in raw
    assert "1.1," in raw


def test_the_migration_says_what_it_would_do_and_does_it(
    configure: Configure, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("[hubspot.deals.add]\nrank = 'text'\n[hubspot.deals.rename]\ndealname = 'title'\n")
    monkeypatch.setattr("warehouse_pipelines.schema.migrate.SOURCES", column_config.configured(DECLARED))
    lines = [
        "column hubspot_deal.dealname renamed to title (config/columns.toml)",
        "column hubspot_deal.rank (config/columns.toml)",
        "comments of 2 columns",
        "masked views: 1 made",
        "comments of masked views",
    ]
    planned = CliRunner().invoke(cli.main, ["migrate", "--dry-run"])
    assert planned.stdout.splitlines() == [f"would be done: {line}" for line in lines]
    assert CliRunner().invoke(cli.main, ["migrate"]).stdout.splitlines() == lines
    assert CliRunner().invoke(cli.main, ["migrate"]).stdout == "Nothing to do.\n"
    configure("[hubspot.deals.add]\nrank = 'text'\n")
    monkeypatch.setattr("warehouse_pipelines.schema.migrate.SOURCES", column_config.configured(DECLARED))
    back = CliRunner().invoke(cli.main, ["migrate"]).stdout.splitlines()
    assert back[0] == "column hubspot_deal.title renamed to dealname (config/columns.toml)"
    assert CliRunner().invoke(cli.main, ["migrate"]).stdout == "Nothing to do.\n"


def test_an_added_column_of_a_portal_is_filled_and_a_hashed_one_is_nowhere_in_clear(
    configure: Configure, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = configure("""
        [hubspot.contacts.add]
        colour = { kind = "text", from = "favourite" }
        [hubspot.contacts]
        hash = ["email"]
        """)
    entity = found["hubspot_contact"]
    with migrate.engine(database_url).begin() as connection:
        tables.align(connection, [entity])
    with source_harness("hubspot_contact", database_url, monkeypatch, contacts=20) as it:
        it.simulator.define_property("contacts", "favourite")
        key = it.simulator.ids("contacts")[0]
        it.simulator.edit("contacts", key, {"favourite": "teal", "email": "Ann.Ford@example.com"})
        source = replace(it.source, entities=(entity,), by_key={}, read_keys=None)
        sync(source, entity, Options(), url=database_url)
        row = rows(database_url, entity)[key,]
        assert row["colour"] == "teal"
        assert "favourite" not in row["custom_properties"]
        assert row["email"].startswith("hmac:")
        assert "ann.ford" not in str(row).lower()
        emails = {one["email"] for one in rows(database_url, entity).values()}
        assert all(email is None or email.startswith("hmac:") for email in emails)


@pytest.mark.slow("the same in other circumstances")
def test_of_a_mirrored_table_a_dropped_column_is_not_even_asked_for(
    configure: Configure, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entity = configure("[pipedesk.lead_statuses]\ndrop = ['description']\n")["pipedesk.lead_statuses"]
    with source_harness("pipedesk.lead_statuses", database_url, monkeypatch, contacts=20) as it:
        source = replace(it.source, entities=(entity,), by_key={}, read_keys=None)
        sync(source, entity, Options(), url=database_url)
        assert all("description" not in row["raw_data"] for row in rows(database_url, entity).values())
        again = sync(source, entity, Options(), url=database_url)
        assert (again.mode, again.processed) == ("delta", 0), "its server hashes what we store"
