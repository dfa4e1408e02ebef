"""The properties of a HubSpot portal and our columns: which is read for which, the map, what ``check`` says of them."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.commands import portal as portal_of
from warehouse_pipelines.errors import CredentialRefused, NotConfigured
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in HUBSPOT.entities}
CONTACTS = ENTITIES["contacts"]


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[HubSpot]:
    """``@of(...)`` gives settings."""
    with serve_vendor("hubspot", monkeypatch, getattr(request, "param", {})) as simulators:
        yield simulators.of(HubSpot)


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("portal", [settings], indirect=True, ids=str)


TWO_PROPERTIES = {
    f"{entity.name}.{name}": column.path.replace("properties.", "")
    for entity in OBJECT_ENTITIES
    for name, column in entity.columns.items()
    if len(column.paths) > 1
}
"""The columns whose names differ from the property in HubSpot or in the portals that were seen."""


def test_a_column_is_looked_for_under_its_own_name_first() -> None:
    assert TWO_PROPERTIES == {
        "deals.priority": "priority|hs_priority",
        "appointments.createdate": "createdate|hs_createdate",
        "appointments.start_time": "start_time|hs_appointment_start",
        "appointments.end_time": "end_time|hs_appointment_end",
        "appointments.subject": "subject|hs_appointment_name",
        "appointments.meeting_outcome": "meeting_outcome|hs_appointment_status",
        "divisions.name": "name|division_name",
        "divisions.code": "code|division_code",
    }
    for entity in OBJECT_ENTITIES:
        for name, column in entity.columns.items():
            assert column.paths[0] == ("id" if name == "id" else f"properties.{name}")


class TestPropertyMap:
    def mapped(self, monkeypatch: pytest.MonkeyPatch, name: str, written: str) -> Entity:
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "any")
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", written)
        HUBSPOT.require_settings()
        return HUBSPOT.configured(ENTITIES[name])

    def test_an_entry_replaces_what_the_row_declares_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        written = " appointments.subject=visit_title,\nappointments.duration=minutes|duration  deals.priority=rank, "
        declared, found = ENTITIES["appointments"], self.mapped(monkeypatch, "appointments", written)
        assert found.columns["subject"] == ("text", "properties.visit_title")
        assert found.columns["duration"] == ("integer", "properties.minutes|properties.duration")
        assert list(found.columns) == list(declared.columns)
        changed = {name for name in declared.columns if declared.columns[name] != found.columns[name]}
        assert changed == {"subject", "duration"}
        assert found.hash_seed != declared.hash_seed
        assert found.pg_types == declared.pg_types
        assert self.mapped(monkeypatch, "deals", written).columns["priority"].path == "properties.rank"
        assert self.mapped(monkeypatch, "contacts", written) is CONTACTS
        assert self.mapped(monkeypatch, "appointments", "") is declared

    @pytest.mark.parametrize(
        ("entry", "why"),
        [
            ("subject=title", "is not written entity.column=property"),
            ("appointments.subject", "is not written entity.column=property"),
            ("appointments.subject=", "is not written entity.column=property"),
            ("appointments.subject=a|", "is not written entity.column=property"),
            ("appointments.subject=properties.title", "is not written entity.column=property"),
            ("appointment.subject=title", "names no entity that has properties; did you mean appointments?"),
            ("quotes.subject=title", "names no entity that has properties; there are contacts, deals"),
            ("contact_to_deal_associations.label=title", "names no entity that has properties"),
            ("appointments.subjct=title", "names no column of hubspot_appointment; did you mean subject?"),
            ("contacts.id=email", "maps id, by which hubspot_contact is read"),
            ("contacts.lastmodifieddate=touched", "maps lastmodifieddate, by which hubspot_contact is read"),
            ("deals.hs_merged_object_ids=merged", "maps hs_merged_object_ids, by which hubspot_deal is read"),
        ],
    )
    def test_an_entry_that_cannot_be_used_is_named_before_anything_is_asked(
        self, monkeypatch: pytest.MonkeyPatch, entry: str, why: str
    ) -> None:
        with pytest.raises(NotConfigured) as refused:
            self.mapped(monkeypatch, "contacts", f"deals.priority=rank,{entry}")
        assert f"HUBSPOT_PROPERTY_MAP cannot be used: {entry!r} {why}" in str(refused.value)

    def test_a_column_is_mapped_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(NotConfigured, match=r"'deals.priority=b' maps priority of deals a second time"):
            self.mapped(monkeypatch, "deals", "deals.priority=a,deals.priority=b")


def said_by_check() -> str:
    """Return what `warehouse check hubspot` prints below the name."""
    return "\n".join(portal_of.check(HUBSPOT).lines)


class TestCheck:
    def test_a_right_token_is_reported(self, portal: HubSpot) -> None:
        """A record and the properties of each of eight types, the schemas for custom ones, and two for each pair."""
        assert HUBSPOT.check() == "HubSpot answers: it knows the token"
        portal.reset_counters()
        assert said_by_check().startswith("18 of 18 entities can be read")
        assert portal.requests()["total"] <= 8 + 8 + 4 + 4 * 7

    def test_a_wrong_token_is_reported_at_once(self, portal: HubSpot, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "wrong")
        for ask in (HUBSPOT.check, said_by_check):
            before = portal.requests()["total"]
            with pytest.raises(CredentialRefused, match="HUBSPOT_ACCESS_TOKEN"):
                ask()
            assert portal.requests()["total"] == before + 1

    def test_a_column_without_its_property_is_named_and_nothing_fails(self, portal: HubSpot) -> None:
        portal.archive_property("contacts", "tier")
        portal.archive_property("deals", "priority")
        said = said_by_check().splitlines()
        assert said[0] == "18 of 18 entities can be read"
        null = {
            line.partition(" ")[0]: line for line in said if "would be null, the portal has no place for it" in line
        }
        assert "tier" in null["contacts"]
        assert null["deals"].endswith(": priority")

    @pytest.mark.parametrize(
        ("column", "type", "told"),
        [
            ("amount", "string", "amount is string, the column numeric"),
            ("closedate", "string", "closedate is string, the column timestamptz"),
            ("closedate", "date", None),
            ("dealname", "enumeration", None),
        ],
    )
    def test_a_property_of_another_type_is_named(
        self, portal: HubSpot, column: str, type: str, told: str | None
    ) -> None:
        portal.define_property("deals", column, type)
        said = [line for line in said_by_check().splitlines() if line.startswith("deals")]
        assert said == ([f"deals: of another type, values that do not fit are null: {told}"] if told else [])

    def test_two_properties_of_one_column_are_named_until_one_is_chosen(
        self, portal: HubSpot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        portal.define_property("appointments", "subject")
        wanted = "appointments: the portal has two properties for subject (subject before hs_appointment_name); "
        assert wanted in said_by_check()
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", "appointments.subject=subject")
        assert "two properties" not in said_by_check()
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", "appointments.subject=sbject")
        assert "appointments would be null, the portal has no place for it: subject" in said_by_check()

    def test_a_cursor_that_the_portal_lacks_or_has_as_text_fails_its_entity(self, portal: HubSpot) -> None:
        portal.archive_property("deals", "hs_lastmodifieddate")
        portal.define_property("companies", "hs_lastmodifieddate", "string")
        found = portal_of.check(HUBSPOT)
        said = "\n".join(found.lines)
        assert (found.failing, found.lines[0]) == (2, "16 of 18 entities can be read")
        assert "deals would fail: HubSpot: the portal has no property hs_lastmodifieddate" in said
        assert "companies would fail: HubSpot: the property hs_lastmodifieddate" in said

    @of(missing_scopes=["deals"])
    def test_a_missing_scope_is_named_for_each_entity_that_needs_it(self, portal: HubSpot) -> None:
        """What `sync` then fails for: the deals, their pipelines, and every pair that has a deal on one side."""
        found = portal_of.check(HUBSPOT)
        failing = {line.partition(" ")[0] for line in found.lines if "would fail" in line}
        assert failing == {name for name in ENTITIES if "deal" in name or "pipeline" in name}
        assert found.failing == len(failing)
        assert all(re.search(r"crm\.objects\.deals\.read\. Grant it", line) for line in found.lines if "fail" in line)

    def test_an_object_that_the_portal_has_not_fails_its_entity(
        self, portal: HubSpot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUBSPOT_ZIPCODE_OBJECT", "postcode")
        portal.set_fault("status", path="/crm/v3/objects/line_items", status=404)
        found = portal_of.check(HUBSPOT)
        assert [line.partition(" ")[0] for line in found.lines if "would fail" in line] == ["line_items", "zipcodes"]
        assert "no custom object 'postcode' for hubspot_zipcode; it has" in "".join(found.lines)

    @pytest.mark.parametrize(("written", "code"), [("", 0), ("deals.nonsense=x", 2)])
    def test_the_command_says_it_with_its_exit_code(
        self, portal: HubSpot, database_url: str, monkeypatch: pytest.MonkeyPatch, written: str, code: int
    ) -> None:
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", written)
        result = CliRunner().invoke(cli.main, ["check", "hubspot"])
        assert result.exit_code == code, result.output
        assert ("is_active is string, the column boolean" if not code else "names no column") in result.stdout
        portal.configure(missing_scopes=["contacts"])
        assert CliRunner().invoke(cli.main, ["check", "hubspot"]).exit_code == (code or 1)
        if code:
            done = CliRunner().invoke(cli.main, ["sync", "hubspot", "contacts"])
            assert (done.exit_code, "'deals.nonsense=x' names no column" in done.stderr) == (2, True)


class TestIntoTheWarehouse:
    @pytest.fixture
    def open_harness(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[..., SourceHarness]]:
        with ExitStack() as stack:
            yield lambda table, **more: stack.enter_context(source_harness(table, database_url, monkeypatch, **more))

    @pytest.mark.parametrize("which", TWO_PROPERTIES)
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_the_property_of_the_columns_own_name_is_read_and_the_other_stands_in(
        self, open_harness: Callable[..., SourceHarness], which: str
    ) -> None:
        name, _, column = which.partition(".")
        own, other = TWO_PROPERTIES[which].split("|")
        it = open_harness(ENTITIES[name].table)
        timed = it.entity.columns[column].kind == "timestamptz"
        first, second, third = ("2025-01-02", "2025-01-03", "2025-01-04") if timed else ("north", "south", "east")

        def edited(**properties: str) -> Any:
            it.simulator.edit(name, key, properties)
            assert it.sync().status == "success"
            value = it.rows()[key,][column]
            return value.date().isoformat() if timed else value

        key = it.simulator.ids(name)[-1]
        it.simulator.define_property(name, other, "datetime" if timed else "string")
        it.simulator.archive_property(name, own)
        assert edited(**{other: first}) == first
        it.simulator.define_property(name, own, "datetime" if timed else "string")
        assert edited(**{own: second}) == second
        assert edited(**{other: third}) == second
        assert edited(**{own: ""}) == third

    def test_a_mapped_column_is_read_anew_by_a_full_read(
        self, open_harness: Callable[..., SourceHarness], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it = open_harness("hubspot_deal", contacts=30)
        it.simulator.define_property("deals", "rank")
        key, other = it.simulator.ids("deals")[:2]
        it.simulator.edit("deals", key, {"rank": "1", "priority": "low"})
        it.sync()
        assert it.rows()[key,]["priority"] == "low"
        assert it.rows()[key,]["custom_properties"]["rank"] == "1"
        assert it.sync(full=True).updated == 0
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", "deals.priority=rank")
        assert it.sync(full=True).status == "success"
        row = it.rows()[key,]
        assert (row["priority"], row["custom_properties"]["priority"]) == ("1", "low")
        assert "rank" not in row["custom_properties"]
        assert it.rows()[other,]["priority"] is None
        it.simulator.edit("deals", key, {"rank": ""})
        it.sync()
        assert not it.rows()[key,]["priority"]

    def test_a_map_that_cannot_be_used_fails_the_run_in_the_history(
        self, open_harness: Callable[..., SourceHarness], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it = open_harness("hubspot_deal")
        monkeypatch.setenv("HUBSPOT_PROPERTY_MAP", "deals.amonut=value")
        with pytest.raises(NotConfigured, match="did you mean amount"):
            it.sync()
        (row,) = it.history()
        assert row["status"] == "failed"
        assert "deals.amonut=value" in row["error_message"]
        assert it.simulator.requests()["total"] == 0

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_attendees_are_a_list_where_the_portal_has_them(self, open_harness: Callable[..., SourceHarness]) -> None:
        it = open_harness("hubspot_appointment")
        it.sync()
        told = [row["attendees"] for row in it.rows().values() if row["attendees"]]
        assert len(told) > 5
        assert all(people[0].keys() == {"name", "email"} for people in told)
        it.simulator.archive_property("appointments", "attendees")
        assert it.sync(full=True).status == "partial"
        assert [row["attendees"] for row in it.rows().values() if row["attendees"]] == told
        it.sync(full=True, force=True)
        assert {row["attendees"] for row in it.rows().values()} == {None}
