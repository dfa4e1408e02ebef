"""The simulated HubSpot answers as the vendor notes say. Each test names the behaviour it checks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import phonenumbers
import pytest

from warehouse_pipelines.simulators.core.population import EXCHANGES, Population, spell_phone
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.server import Simulators, child_environment, start, start_process
from warehouse_pipelines_tests.harness.http_client import HttpClient

CONTACTS = "/crm/v3/objects/contacts"
SEARCH = f"{CONTACTS}/search"


class Portal:
    """A started simulator and a client of it."""

    def __init__(self, simulators: Simulators) -> None:
        self.hubspot = simulators.of(HubSpot)
        settings = simulators.environment()
        key = {"Authorization": f"Bearer {settings['HUBSPOT_ACCESS_TOKEN']}"}
        self.http = HttpClient(base_url=settings["HUBSPOT_BASE_URL"], headers=key, timeout=60)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def walk(self, path: str = CONTACTS, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = self.get(path, limit=100, **query)
        while True:
            found += page["results"]
            if "paging" not in page:
                return found
            page = self.get(path, limit=100, after=page["paging"]["next"]["after"], **query)

    def search(self, *filters: tuple[Any, ...], status: int = 200, path: str = SEARCH, **body: Any) -> Any:
        conditions = [
            {"propertyName": name, "operator": operator, **_operand(operator, *values)}
            for name, operator, *values in filters
        ]
        return self.post(path, {"filterGroups": [{"filters": conditions}], **body}, status)

    def found(self, *filters: tuple[Any, ...], **body: Any) -> list[str]:
        return [record["id"] for record in self.search(*filters, limit=200, **body)["results"]]


def _operand(operator: str, *values: Any) -> dict[str, Any]:
    if operator in ("IN", "NOT_IN"):
        return {"values": list(values)}
    if operator == "BETWEEN":
        return {"value": values[0], "highValue": values[1]}
    return {"value": values[0]} if values else {}


@pytest.fixture(scope="module")
def shared_portal() -> Iterator[Portal]:
    """A portal that no test changes."""
    with start(["hubspot"], contacts=1000, hubspot={"extra_properties": 200, "appointment": "both"}) as simulators:
        yield Portal(simulators)


@pytest.fixture
def portal() -> Iterator[Portal]:
    with start(["hubspot"], contacts=250) as simulators:
        yield Portal(simulators)


def test_numbers_are_valid_and_couples_share_one_or_somebody_had_it_before() -> None:
    population = Population(3, 20_000)
    people = [population.person(number) for number in range(20_000)]
    phones = [person.phone for person in people]
    couples = [(one, other) for one, other in pairwise(people) if one.phone == other.phone]
    assert 0.02 < len(couples) / len(people) < 0.06
    assert all((one.last_name, one.street, one.place) == (other.last_name, other.street, other.place)
               for one, other in couples)  # fmt: skip
    again = len(phones) - len(set(phones)) - len(couples)
    assert 0.01 < again / len(people) < 0.02
    households: dict[str, set[str]] = {}
    for person in people:
        households.setdefault(person.phone, set()).add(person.street)
    assert sum(len(streets) > 1 for streets in households.values()) == pytest.approx(again, rel=0.05)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) for phone in phones[:1500])
    for exchange in EXCHANGES:
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+1937{exchange}1234"))


def test_people_are_told_apart_with_trouble() -> None:
    """Each habit that misleads a resolver occurs, and what a vendor was told it says again."""
    people = [Population(3, 20_000).person(number) for number in range(20_000)]
    told = [person.told("somebody") for person in people]
    assert told == [person.told("somebody") for person in people]
    shares = {
        "as they are": sum(one == person for one, person in zip(told, people, strict=True)),
        "nameless": sum(not one.first_name for one in told),
        "swapped": sum(one.first_name == person.last_name for one, person in zip(told, people, strict=True)),
        "initial": sum(len(one.first_name) == 2 and one.first_name.endswith(".") for one in told),
        "moved": sum(one.street != person.street for one, person in zip(told, people, strict=True)),
        "married": sum("-" in one.last_name and "-" not in person.last_name
                       for one, person in zip(told, people, strict=True)),
        "other address": sum(one.email != person.email for one, person in zip(told, people, strict=True)),
        "children": sum(person.suffix == "Jr" for person in people),
        "family address": sum(one.family_email and one.email == before.email for before, one in pairwise(people)),
    }  # fmt: skip
    expected = {
        "as they are": 0.6, "nameless": 0.015, "swapped": 0.015, "initial": 0.015, "moved": 0.033, "married": 0.003,
        "other address": 0.1, "children": 0.0067, "family address": 0.022,
    }  # fmt: skip
    assert {name: count / len(people) for name, count in shares.items()} == {
        name: pytest.approx(share, rel=0.35) for name, share in expected.items()
    }
    assert all((one.phone, one.number) == (person.phone, person.number)
               for one, person in zip(told, people, strict=True))  # fmt: skip


def test_every_spelling_of_a_number_is_the_same_number() -> None:
    phone = Population(1, 1).person(0).phone
    for kind in range(8):
        parsed = phonenumbers.parse(spell_phone(phone, kind), "US")
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == phone


def test_a_person_depends_on_nothing_but_the_seed_and_the_number() -> None:
    assert Population(5, 10).person(7) == Population(5, 99).person(7)
    assert Population(5, 10).person(7) != Population(6, 10).person(7)
    assert all(
        person.email.isascii() and person.email.endswith(("@example.test", "@example.com"))
        for person in map(Population(1, 999).person, range(999))
    )


def test_a_wrong_key_is_refused_with_the_vendors_category(shared_portal: Portal) -> None:
    answer = httpx.get(shared_portal.hubspot.url + CONTACTS, headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"


def test_a_missing_scope_is_a_403_of_one_object(portal: Portal) -> None:
    portal.hubspot.configure(missing_scopes=["deals"])
    body = portal.get("/crm/v3/objects/deals", status=403)
    assert body["category"] == "MISSING_SCOPES"
    assert body["errors"][0]["context"]["requiredGranularScopes"] == ["crm.objects.deals.read"]
    portal.get(CONTACTS)


def test_the_list_ends_where_paging_is_absent_and_comes_in_order_of_ids(shared_portal: Portal) -> None:
    records = shared_portal.walk()
    ids = [int(record["id"]) for record in records]
    assert len(ids) == 1000
    assert ids == sorted(set(ids))
    assert {len(record["id"]) for record in records} == {7, 8}
    assert len(shared_portal.get(CONTACTS)["results"]) == 10
    shared_portal.get(CONTACTS, status=400, limit=101)
    shared_portal.get(CONTACTS, status=400, limit=51, propertiesWithHistory="phone")


def test_all_values_are_text_or_null_and_unknown_properties_are_ignored(shared_portal: Portal) -> None:
    record = shared_portal.get(CONTACTS, limit=1, properties="email,gate_code,no_such_thing")["results"][0]
    assert set(record["properties"]) == {"email", "gate_code", "hs_object_id", "createdate", "lastmodifieddate"}
    assert record["properties"]["gate_code"] is None
    assert record["archived"] is False
    assert record["updatedAt"] == record["properties"]["lastmodifieddate"]
    every = shared_portal.walk(properties="lead_cost,phone,lead_sourced_on,comments,roof_features,hoa_approval")
    values = [value for record in every for value in record["properties"].values()]
    assert all(value is None or isinstance(value, str) for value in values)
    assert any(record["properties"]["lead_cost"] == "" for record in every)
    assert any("\n" in record["properties"]["comments"] for record in every)
    assert any("." not in record["updatedAt"] for record in every)
    assert any("." in record["updatedAt"] for record in every)


def test_a_full_contact_has_about_forty_filled_properties(shared_portal: Portal) -> None:
    names = [each["name"] for each in shared_portal.get("/crm/v3/properties/contacts")["results"]]
    body = {"inputs": [{"id": "9999501"}], "properties": names}
    properties = shared_portal.post(f"{CONTACTS}/batch/read", body)["results"][0]["properties"]
    assert set(properties) == set(names)
    assert 35 <= sum(value is not None for value in properties.values()) <= 60


def test_too_many_properties_make_the_url_too_long(shared_portal: Portal) -> None:
    names = [each["name"] for each in shared_portal.get("/crm/v3/properties/contacts")["results"]]
    assert len(names) > 350
    answer = shared_portal.http.get(CONTACTS, params={"properties": ",".join(names)})
    assert answer.status_code == 414
    assert "html" in answer.headers["content-type"]


def test_property_definitions_have_the_documented_types(shared_portal: Portal) -> None:
    definitions = {each["name"]: each for each in shared_portal.get("/crm/v3/properties/0-1")["results"]}
    assert definitions["hs_object_id"]["type"] == "number"
    assert definitions["lastmodifieddate"]["type"] == "datetime"
    assert definitions["lastmodifieddate"]["fieldType"] == "date"
    assert definitions["hubspot_owner_id"]["options"] == []
    assert definitions["pet_name"]["hubspotDefined"] is False
    assert shared_portal.get("/crm/v3/properties/contacts/pet_name")["name"] == "pet_name"


def test_custom_objects_are_found_by_name_and_refused_by_their_bare_name(shared_portal: Portal) -> None:
    for path in ("/crm-object-schemas/v3/schemas", "/crm/v3/schemas"):
        schemas = {each["name"]: each for each in shared_portal.get(path)["results"]}
        assert set(schemas) == {"geniususer", "division", "zipcode", "appointment"}
    division = schemas["division"]
    assert division["objectTypeId"].startswith("2-")
    by_id = shared_portal.get(f"/crm/v3/objects/{division['objectTypeId']}", properties="division_name")
    by_name = shared_portal.get(f"/crm/v3/objects/{division['fullyQualifiedName']}", properties="division_name")
    assert by_id["results"] == by_name["results"]
    refusal = shared_portal.get("/crm/v3/objects/division", status=400)
    assert refusal["message"].startswith("Unable to infer object type from")


def test_standard_objects_answer_to_their_numbers_and_to_both_path_families(shared_portal: Portal) -> None:
    for path in ("/crm/v3/objects/0-421", "/crm/objects/v3/0-421", "/crm/objects/2026-03/appointments"):
        assert len(shared_portal.walk(path)) == 500
    assert len(shared_portal.walk("/crm/v3/objects/0-3")) == 333
    assert len(shared_portal.walk("/crm/v3/objects/line_items")) == 666


@pytest.mark.parametrize(("kind", "status"), [("standard", 200), ("custom", 400)])
def test_appointments_are_a_library_object_or_a_custom_one(kind: str, status: int) -> None:
    with start(["hubspot"], contacts=20, hubspot={"appointment": kind}) as simulators:
        portal = Portal(simulators)
        portal.get("/crm/v3/objects/0-421", status=status)
        names = [each["name"] for each in portal.get("/crm/v3/schemas")["results"]]
        assert ("appointment" in names) == (kind == "custom")


def test_batch_read_answers_207_with_what_is_missing_and_in_no_order(shared_portal: Portal) -> None:
    ids = [str(9_999_501 + number) for number in range(99)]
    body = {"inputs": [{"id": each} for each in [*ids, "424242"]], "properties": ["email"]}
    answer = shared_portal.post(f"{CONTACTS}/batch/read", body, status=207)
    assert answer["numErrors"] == 1
    assert answer["errors"][0]["context"]["ids"] == ["424242"]
    got = [record["id"] for record in answer["results"]]
    assert sorted(got) == sorted(ids)
    assert got != ids
    assert shared_portal.post(f"{CONTACTS}/batch/read", body, status=207)["results"] == answer["results"]
    shared_portal.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": "1"}] * 101}, status=400)


def test_a_window_and_an_id_keyset_reach_every_contact(shared_portal: Portal) -> None:
    """The query of an incremental sync, against a plain filter over the list."""
    records = shared_portal.walk()
    times = sorted(_ms(record["updatedAt"]) for record in records)
    low, high = times[300], times[700]
    expected = [record["id"] for record in records if low <= _ms(record["updatedAt"]) < high]
    found: list[str] = []
    last = "0"
    while True:
        page = shared_portal.search(
            ("lastmodifieddate", "GTE", str(low)),
            ("lastmodifieddate", "LT", str(high)),
            ("hs_object_id", "GT", last),
            limit=100,
            sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        )
        found += [record["id"] for record in page["results"]]
        last = found[-1]
        if "paging" not in page:
            break
    assert found == expected
    between = shared_portal.search(("lastmodifieddate", "BETWEEN", str(low), str(high - 1)), limit=1)
    assert between["total"] == len(expected)


def _ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


@pytest.mark.slow("the same in other circumstances")
def test_search_operators_agree_with_a_plain_filter(shared_portal: Portal) -> None:
    records = {
        r["id"]: r["properties"] for r in shared_portal.walk(properties="city,lead_cost,lifecyclestage,email,price")
    }

    def plain(test: Any) -> set[str]:
        return {key for key, values in records.items() if test(values)}

    def searched(*conditions: tuple[Any, ...]) -> set[str]:
        found: set[str] = set()
        for after in itertools.count(0, 200):
            page = shared_portal.search(*conditions, limit=200, after=str(after))
            found |= {record["id"] for record in page["results"]}
            if "paging" not in page:
                return found
        return found

    assert searched(("city", "EQ", "dayton")) == plain(lambda v: v["city"] == "Dayton")
    assert searched(("city", "NEQ", "Dayton")) == plain(lambda v: v["city"] != "Dayton")
    assert searched(("city", "IN", "dayton", "mason")) == plain(lambda v: v["city"] in ("Dayton", "Mason"))
    assert searched(("city", "IN", "Dayton")) == set()
    assert searched(("city", "NOT_IN", "dayton")) == plain(lambda v: v["city"] != "Dayton")
    assert searched(("lifecyclestage", "EQ", "lead")) == plain(lambda v: v["lifecyclestage"] == "lead")
    assert searched(("lifecyclestage", "EQ", "Lead")) == set()
    assert searched(("price", "HAS_PROPERTY")) == plain(lambda v: v["price"])
    assert searched(("price", "NOT_HAS_PROPERTY")) == plain(lambda v: not v["price"])
    assert searched(("lead_cost", "GT", "99.5")) == plain(lambda v: v["lead_cost"] and float(v["lead_cost"]) > 99.5)
    assert searched(("lead_cost", "LTE", "9")) == plain(lambda v: v["lead_cost"] and float(v["lead_cost"]) <= 9)
    assert searched(("email", "CONTAINS_TOKEN", "*.com")) == plain(lambda v: v["email"] and v["email"].endswith(".com"))
    assert searched(("city", "EQ", "Dayton"), ("lifecyclestage", "EQ", "lead")) == plain(
        lambda v: v["city"] == "Dayton" and v["lifecyclestage"] == "lead"
    )


def test_filter_groups_are_or_ed(shared_portal: Portal) -> None:
    groups = [
        {"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": each}]}
        for each in ("9999501", "9999505")
    ]
    page = shared_portal.post(SEARCH, {"filterGroups": groups})
    assert [record["id"] for record in page["results"]] == ["9999501", "9999505"]
    flat = shared_portal.post(SEARCH, {"filters": groups[1]["filters"]})
    assert [record["id"] for record in flat["results"]] == ["9999505"]


def test_search_limits_are_400(shared_portal: Portal) -> None:
    one = ("hs_object_id", "GT", "1")
    shared_portal.search(one, limit=201, status=400)
    shared_portal.search(*[one] * 7, status=400)
    shared_portal.post(SEARCH, {"filterGroups": [{"filters": []}] * 6}, status=400)
    shared_portal.search(one, sorts=["hs_object_id", "email"], status=400)
    shared_portal.search(one, properties=["x" * 100] * 40, status=400)
    shared_portal.search(("no_such_property", "EQ", "1"), status=400)
    shared_portal.search(("lastmodifieddate", "GT", "1"), status=400, path="/crm/v3/objects/deals/search")
    assert shared_portal.search(one, status=200)["total"] == 1000


def test_search_has_a_wall_at_ten_thousand() -> None:
    with start(["hubspot"], contacts=10_500) as simulators:
        portal = Portal(simulators)
        every = ("hs_object_id", "GT", "0")
        page = portal.search(every, limit=200, after="9800")
        assert page["total"] == 10_500
        assert page["paging"]["next"]["after"] == "10000"
        portal.search(every, limit=200, after="10000", status=400)
        portal.search(every, limit=1, after="10000", status=400)


def test_search_answers_carry_no_rate_headers(shared_portal: Portal) -> None:
    searched = shared_portal.http.post(SEARCH, json={})
    listed = shared_portal.http.get(CONTACTS)
    assert "x-hubspot-ratelimit-max" not in searched.headers
    assert listed.headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"


def test_an_edit_moves_a_record_in_time_and_shows_everywhere(portal: Portal) -> None:
    before = portal.get(f"{CONTACTS}/9999600")["updatedAt"]
    portal.hubspot.edit("contacts", "9999600", {"city": "Xenia"})
    after = portal.get(f"{CONTACTS}/9999600", properties="city")
    assert after["properties"]["city"] == "Xenia"
    assert _ms(after["updatedAt"]) > _ms(before)
    assert portal.found(("lastmodifieddate", "GTE", str(_ms(after["updatedAt"])))) == ["9999600"]
    assert portal.found(("city", "EQ", "xenia")) == ["9999600"]
    assert "9999600" not in portal.found(("lastmodifieddate", "BETWEEN", str(_ms(before)), str(_ms(before))))


def test_a_silent_edit_does_not_move_the_modified_time(portal: Portal) -> None:
    before = portal.get(f"{CONTACTS}/9999600")["updatedAt"]
    portal.hubspot.edit("contacts", "9999600", {"city": "Xenia"}, bump=False)
    assert portal.get(f"{CONTACTS}/9999600")["updatedAt"] == before


def test_a_held_index_shows_older_values_and_misses_new_records(portal: Portal) -> None:
    portal.hubspot.hold_index()
    edited = portal.hubspot.edit("contacts", "9999600", {"city": "Xenia"})
    created = portal.hubspot.create("contacts", {"city": "Xenia"})
    portal.hubspot.archive("contacts", "9999601")
    assert portal.found(("city", "EQ", "xenia")) == []
    assert portal.found(("hs_object_id", "EQ", "9999601")) == ["9999601"]
    assert portal.get(f"{CONTACTS}/9999600", properties="city")["properties"]["city"] == "Xenia"
    portal.hubspot.release_index()
    assert portal.found(("city", "EQ", "xenia")) == ["9999600", created]
    assert portal.found(("hs_object_id", "EQ", "9999601")) == []
    assert portal.found(("lastmodifieddate", "GTE", str(_ms(edited["updatedAt"])))) == ["9999600", created]


def test_an_import_gives_many_records_one_millisecond(portal: Portal) -> None:
    at = portal.hubspot.bulk_touch("contacts", count=200)
    edge = str(at)
    page = portal.search(("lastmodifieddate", "EQ", edge), limit=150)
    assert page["total"] == 200
    rest = portal.search(("lastmodifieddate", "EQ", edge), ("hs_object_id", "GT", page["results"][-1]["id"]), limit=150)
    assert len(rest["results"]) == 50
    assert "paging" not in rest


def test_ids_compare_as_numbers_or_as_text() -> None:
    with start(["hubspot"], contacts=1000) as simulators:
        portal = Portal(simulators)
        assert len(portal.found(("hs_object_id", "GT", "9999990"))) == 200
        portal.hubspot.configure(id_order="text")
        assert portal.found(("hs_object_id", "GT", "9999990")) == [str(each) for each in range(9999991, 10_000_000)]
        assert portal.found(("hs_object_id", "GT", "0"))[0] == "10000000"


@pytest.mark.parametrize("pages", ["short", "empty"])
def test_a_short_or_an_empty_page_is_not_the_end(pages: str) -> None:
    with start(["hubspot"], contacts=95, hubspot={"search_pages": pages}) as simulators:
        portal = Portal(simulators)
        found: list[str] = []
        after, first = "0", None
        while True:
            page = portal.search(("hs_object_id", "GT", "0"), limit=20, after=after)
            first = len(page["results"]) if first is None else first
            found += [record["id"] for record in page["results"]]
            if "paging" not in page:
                break
            after = page["paging"]["next"]["after"]
        assert first == (10 if pages == "short" else 0)
        assert found == portal.hubspot.ids("contacts")


def test_archived_records_are_in_their_own_list_and_can_come_back(portal: Portal) -> None:
    modified = portal.get(f"{CONTACTS}/9999510")["updatedAt"]
    assert portal.http.delete(f"{CONTACTS}/9999510").status_code == 204
    portal.get(f"{CONTACTS}/9999510", status=404)
    assert portal.found(("hs_object_id", "EQ", "9999510")) == []
    (record,) = portal.walk(archived="true")
    assert (record["id"], record["archived"]) == ("9999510", True)
    assert record["archivedAt"]
    assert portal.hubspot.counts()["live"]["contacts"] == 249 == len(portal.walk())
    portal.hubspot.restore("contacts", "9999510")
    assert portal.get(f"{CONTACTS}/9999510")["updatedAt"] == modified
    assert portal.walk(archived="true") == []


def test_a_merge_leaves_one_record_that_knows_what_it_absorbed(portal: Portal) -> None:
    body = {"primaryObjectId": "9999501", "objectIdToMerge": "9999502"}
    portal.post(f"{CONTACTS}/merge", body)
    portal.hubspot.merge("contacts", "9999501", "9999503")
    survivor = portal.get(f"{CONTACTS}/9999503", properties="hs_merged_object_ids")
    assert survivor["id"] == "9999501"
    assert survivor["properties"]["hs_merged_object_ids"] == "9999502;9999503"
    ids = {record["id"] for record in portal.walk()}
    assert "9999501" in ids
    assert not {"9999502", "9999503"} & ids
    assert portal.walk(archived="true") == []
    portal.hubspot.configure(merged_read="missing")
    portal.get(f"{CONTACTS}/9999503", status=404)


def test_a_merge_may_make_a_third_record(portal: Portal) -> None:
    third = portal.hubspot.merge("contacts", "9999501", "9999502", new_id=True)
    record = portal.get(f"{CONTACTS}/{third}", properties="hs_merged_object_ids,email,hs_object_id")
    assert record["properties"]["hs_merged_object_ids"] == "9999502;9999501"
    assert record["properties"]["hs_object_id"] == third
    assert not {"9999501", "9999502"} & set(portal.hubspot.ids("contacts"))


def test_a_privacy_deletion_leaves_no_trace(portal: Portal) -> None:
    """Of a live contact by the vendor's call, of an archived one from behind the scenes."""
    portal.hubspot.archive("contacts", "9999521")
    portal.post(f"{CONTACTS}/gdpr-delete", {"objectId": "9999520"}, status=204)
    portal.hubspot.gdpr_delete("9999521")
    for removed in ("9999520", "9999521"):
        portal.get(f"{CONTACTS}/{removed}", status=404)
        portal.get(f"{CONTACTS}/{removed}", status=404, archived="true")
        for archived in ("false", "true"):
            body = {"inputs": [{"id": removed}]}
            path = f"{CONTACTS}/batch/read?archived={archived}"
            assert portal.post(path, body, status=207)["results"] == []
        assert portal.found(("hs_object_id", "EQ", removed)) == []
        assert _associations(portal, [removed], to="companies")["results"] == []
    assert len(portal.walk()) == 248
    assert portal.walk(archived="true") == []


def test_a_portals_own_appointment_has_its_own_names() -> None:
    for kind, names in (("standard", "hs_appointment_name hs_appointment_start"), ("custom", "subject start_time")):
        with start(["hubspot"], contacts=20, hubspot={"appointment": kind}) as simulators:
            portal = Portal(simulators)
            path = f"/crm/v3/objects/{portal.hubspot.portal.stores['appointments'].kind.type_id}"
            wanted = "hs_appointment_name,subject,hs_appointment_start,start_time"
            for record in portal.walk(path, properties=wanted):
                shown = record["properties"].keys() - {"hs_object_id", "hs_createdate", "hs_lastmodifieddate"}
                assert shown == set(names.split())
                assert all(record["properties"][name] for name in shown)


def test_a_property_comes_and_goes(portal: Portal) -> None:
    portal.hubspot.define_property("contacts", "mobilephone", "phone_number")
    portal.hubspot.edit("contacts", "9999501", {"mobilephone": "0123"})
    path = "/crm/v3/properties/contacts"
    assert {each["name"]: each["type"] for each in portal.get(path)["results"]}["mobilephone"] == "phone_number"
    assert portal.get(f"{CONTACTS}/9999501", properties="mobilephone")["properties"]["mobilephone"] == "0123"
    assert portal.get(f"{CONTACTS}/9999502", properties="mobilephone")["properties"]["mobilephone"] is None
    portal.hubspot.archive_property("contacts", "mobilephone")
    portal.get(f"{path}/mobilephone", status=404)
    assert "mobilephone" not in portal.get(f"{CONTACTS}/9999501", properties="mobilephone")["properties"]


def _associations(portal: Portal, ids: list[str], to: str = "deals", version: str = "v4", status: int = 207) -> Any:
    path = f"/crm/{version}/associations/contacts/{to}/batch/read"
    return portal.post(path, {"inputs": [{"id": each} for each in ids]}, status=status)


def test_associations_have_typed_ids_and_none_is_a_207(shared_portal: Portal) -> None:
    answer = _associations(shared_portal, ["9999501", "9999502"])
    (entry,) = answer["results"]
    assert entry["from"] == {"id": "9999501"}
    assert entry["to"][0]["toObjectId"] == 99_999_801
    assert entry["to"][0]["associationTypes"] == [{"category": "HUBSPOT_DEFINED", "typeId": 4, "label": None}]
    assert answer["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert answer["errors"][0]["context"]["fromObjectId"] == ["9999502"]
    old = _associations(shared_portal, ["9999501"], version="v3", status=200)
    assert old["results"][0]["to"] == [{"id": "99999801", "type": "contact_to_deal"}]
    companies = _associations(shared_portal, ["9999504"], to="companies", status=200)["results"][0]["to"]
    assert [[kind["typeId"] for kind in each["associationTypes"]] for each in companies] == [[1, 279], [279]]
    assert companies[0]["associationTypes"][0]["label"] == "Primary"
    _associations(shared_portal, ["1"] * 1001, status=400)
    labels = shared_portal.get("/crm/v4/associations/contacts/companies/labels")["results"]
    assert {label["typeId"] for label in labels} == {1, 279}


def test_both_directions_of_an_association_agree(shared_portal: Portal) -> None:
    for one, other in [
        ("contacts", "deals"),
        ("contacts", "companies"),
        ("contacts", "appointments"),
        ("deals", "line_items"),
        ("deals", "companies"),
        ("appointments", "deals"),
        ("contacts", "divisions"),
    ]:
        forth = {tuple(pair) for pair in shared_portal.hubspot.pairs(one, other)}
        back = {(b, a) for a, b in shared_portal.hubspot.pairs(other, one)}
        assert forth == back
        assert forth


def test_associations_of_one_record_come_in_pages(portal: Portal) -> None:
    portal.hubspot.configure(association_page=1)
    entry = _associations(portal, ["9999504"], to="companies", status=200)["results"][0]
    after = entry["paging"]["next"]["after"]
    body = {"inputs": [{"id": "9999504", "after": after}]}
    rest = portal.post("/crm/v4/associations/contacts/companies/batch/read", body)["results"][0]
    assert "paging" not in rest
    assert rest["to"] != entry["to"]


def test_a_label_of_an_association_goes_alone_and_the_one_without_a_label_with_all(portal: Portal) -> None:
    """As HubSpot's reference of ``batch/labels/archive`` says; ``batch/archive`` takes all away."""
    found = portal.hubspot.portal
    [(_, label, _), _] = found.associations.make_type("contacts", "deals", "Backup")
    contact, deal = found.named("contacts").number_of("9999502"), found.named("deals").number_of("99999801")
    assert contact is not None
    assert deal is not None

    def write(end: str, *kinds: tuple[str, int]) -> tuple[set[str | None], ...]:
        """Write associations of these types; return the labels from both ends then."""
        types = [{"associationCategory": category, "associationTypeId": number} for category, number in kinds]
        body = {"inputs": [{"from": {"id": "9999502"}, "to": {"id": "99999801"}, "types": types}]}
        portal.post(f"/crm/v4/associations/contacts/deals/batch/{end}", body, 201 if end == "create" else 204)
        forth = dict(found.associations.edges("contacts", "deals", contact)).get(deal, ())
        back = dict(found.associations.edges("deals", "contacts", deal)).get(contact, ())
        return tuple({name for _, _, name in types} for types in (forth, back))

    plain, backup = ("HUBSPOT_DEFINED", 4), ("USER_DEFINED", label)
    assert write("create", plain) == ({None}, {None})
    assert write("create", backup) == ({None, "Backup"}, {None, "Backup"})
    assert write("labels/archive", backup) == ({None}, {None})
    write("create", backup)
    assert write("labels/archive", plain) == (set(), set())
    write("create", plain, backup)
    assert write("archive") == (set(), set())


def test_an_association_changes_without_moving_the_record(portal: Portal) -> None:
    before = portal.get(f"{CONTACTS}/9999502")["updatedAt"]
    portal.hubspot.associate("contacts", "9999502", "deals", "99999801")
    assert _associations(portal, ["9999502"], status=200)["results"][0]["to"][0]["toObjectId"] == 99_999_801
    portal.hubspot.dissociate("contacts", "9999501", "deals", "99999801")
    assert _associations(portal, ["9999501"])["results"] == []
    assert portal.get(f"{CONTACTS}/9999502")["updatedAt"] == before
    portal.hubspot.archive("deals", "99999801")
    assert _associations(portal, ["9999502"])["results"] == []


def test_a_list_can_carry_associations(shared_portal: Portal) -> None:
    record = shared_portal.get(CONTACTS, limit=1, associations="companies,deals")["results"][0]
    assert record["associations"]["deals"]["results"] == [{"id": "99999801", "type": "contact_to_deal"}]


def test_limits_answer_429_in_the_vendors_envelope() -> None:
    limits = {"burst": 3, "searches_per_second": 1}
    with start(["hubspot"], contacts=10, hubspot=limits) as simulators:
        portal = Portal(simulators)
        portal.search()
        assert portal.search(status=429)["policyName"] == "SECONDLY"
        portal.get(CONTACTS)
        portal.get(CONTACTS)
        answer = portal.http.get(CONTACTS)
        assert answer.status_code == 429
        assert answer.json()["errorType"] == "RATE_LIMIT"
        assert answer.json()["policyName"] == "TEN_SECONDLY_ROLLING"
        assert "retry-after" not in answer.headers
        portal.hubspot.configure(burst=None, daily=1)
        assert portal.get(CONTACTS, status=429)["policyName"] == "DAILY"


def test_a_429_storm_passes(portal: Portal) -> None:
    portal.hubspot.set_fault("rate_limit", times=2, retry_after=3, path="/contacts")
    statuses = [portal.http.get(CONTACTS) for _ in range(3)]
    assert [answer.status_code for answer in statuses] == [429, 429, 200]
    assert statuses[0].headers["retry-after"] == "3"
    portal.hubspot.set_fault("rate_limit", times=1, retry_after="date", seconds=5)
    assert portal.http.get(CONTACTS).headers["retry-after"].endswith("GMT")


def test_faults_fire_after_and_every(portal: Portal) -> None:
    portal.hubspot.set_fault("status", status=503, after=2, every=3, times=2)
    assert [portal.http.get(CONTACTS).status_code for _ in range(8)] == [200, 200, 503, 200, 200, 503, 200, 200]
    portal.hubspot.clear_faults()
    portal.hubspot.set_fault("unauthorized", after=1)
    assert [portal.http.get(CONTACTS).status_code for _ in range(3)] == [200, 401, 401]
    with pytest.raises(ValueError, match="no fault 'rate_limits'"):
        portal.hubspot.set_fault("rate_limits")
    with pytest.raises(ValueError, match="no parameter"):
        portal.hubspot.set_fault("slow", second=1)


def test_broken_bodies(portal: Portal) -> None:
    for fault, error in [({"kind": "reset"}, httpx.TransportError), ({"kind": "truncated"}, httpx.RemoteProtocolError)]:
        portal.hubspot.set_fault(**fault, times=1)
        with pytest.raises(error):
            portal.http.get(CONTACTS)
    for mode in ("chunked", "cut"):
        portal.hubspot.set_fault("truncated", mode=mode, times=1)
        answer = portal.http.get(CONTACTS)
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"JSON|Expecting|delimiter|Unterminated"):
            answer.json()
    portal.hubspot.set_fault("html", status=200, times=1)
    assert portal.http.get(CONTACTS).text.startswith("<html>")
    portal.get(CONTACTS)


def test_pages_that_lie(portal: Portal) -> None:
    portal.hubspot.set_fault("endless")
    after = "0"
    for _ in range(5):
        after = portal.get(CONTACTS, limit=100, after=after)["paging"]["next"]["after"]
    portal.hubspot.clear_faults()
    portal.hubspot.set_fault("repeat_page", times=2)
    assert portal.get(CONTACTS, after="9999550")["paging"]["next"]["after"] == "9999550"
    portal.hubspot.clear_faults()
    portal.hubspot.set_fault("missing_list", times=1)
    assert "results" not in portal.get(CONTACTS)
    portal.hubspot.set_fault("lying_total", add=7, path="/search")
    assert portal.search()["total"] == 257
    portal.hubspot.clear_faults()
    portal.hubspot.set_fault("null_last_page")
    page = portal.get(CONTACTS, after="9999740")
    assert len(page["results"]) == 10
    last = portal.get(CONTACTS, after=page["paging"]["next"]["after"])
    assert last["results"] is None
    assert "paging" not in last
    page = portal.search(limit=200, after="200")
    assert len(page["results"]) == 50
    assert portal.search(limit=200, after=page["paging"]["next"]["after"])["results"] is None


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [("bad_date", "createdate", "not a date"), ("out_of_range", "price", "9" * 400), ("nul", "email", "before\0after")],
)
def test_a_malformed_record_takes_a_fault(portal: Portal, what: str, name: str, value: str) -> None:
    portal.hubspot.set_fault("malformed", what=what, property=name, records=1)
    first, second = portal.get(CONTACTS, limit=2, properties=name)["results"]
    assert first["properties"][name] == value
    assert second["properties"][name] != value


def test_records_without_an_id_or_without_being_one(portal: Portal) -> None:
    portal.hubspot.set_fault("malformed", what="missing_id", times=1)
    assert "id" not in portal.get(CONTACTS)["results"][0]
    portal.hubspot.set_fault("malformed", what="non_object", times=1)
    assert isinstance(portal.get(CONTACTS)["results"][0], str)


def test_the_counters_tell_what_was_asked(portal: Portal) -> None:
    portal.get(CONTACTS, limit=50)
    portal.search(limit=7)
    portal.get(f"{CONTACTS}/9999501")
    _associations(portal, ["9999501"], status=200)
    url = portal.hubspot.url + "/__control__/"
    report = httpx.get(url + "requests").json()
    assert report["total"] == 4
    assert report["routes"]["GET /crm/v3/objects/contacts"] == 1
    assert report["routes"]["GET /crm/v3/objects/contacts/{id}"] == 1
    assert report["routes"]["POST /crm/v4/associations/contacts/deals/batch/read"] == 1
    assert report["page_sizes"] == {"50": 1, "7": 1, "1": 1}
    assert report["peak_concurrency"] == 1
    assert report["log"][1]["body"]["limit"] == 7
    assert httpx.post(url + "reset_counters").status_code == 200
    assert httpx.get(url + "requests").json()["total"] == 0


def test_operations_can_be_asked_for_over_http(portal: Portal) -> None:
    url = portal.hubspot.url + "/__control__/"
    created = httpx.post(url + "create", json={"object": "contacts", "properties": {"city": "Xenia"}}).json()
    assert portal.get(f"{CONTACTS}/{created}", properties="city")["properties"]["city"] == "Xenia"
    assert httpx.post(url + "edit", json={"object": "contacts", "id": "1", "properties": {}}).status_code == 400
    assert "operations" in httpx.post(url + "no_such_thing", json={}).json()


def test_the_foreground_server_ends_on_a_signal() -> None:
    import signal
    import subprocess
    import sys

    command = [sys.executable, "-m", "warehouse_pipelines.simulators", "--contacts", "20", "--vendors", "hubspot"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment()) as child:
        assert child.stdout is not None
        lines = list(iter(child.stdout.readline, "# ready\n"))
        settings = dict(line.strip().split("=", 1) for line in lines if not line.startswith("#"))
        url = f"{settings['HUBSPOT_BASE_URL']}/__control__/counts"
        assert httpx.get(url).json()["live"]["contacts"] == 20
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0


def test_a_child_process_serves_the_same() -> None:
    with start_process(["hubspot", "callrail"], contacts=30, seed=4, hubspot={"extra_properties": 1}) as simulators:
        settings = simulators.environment()
        assert {"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL", "CALLRAIL_API_KEY", "CALLRAIL_BASE_URL"} <= set(settings)
        assert settings["HUBSPOT_SEARCHES_PER_SECOND"] == "100000"
        assert simulators.control("hubspot", "counts")["live"]["contacts"] == 30
        simulators.control("hubspot", "archive", object="contacts", id="9999501")
        assert simulators.control("hubspot", "counts")["live"]["contacts"] == 29
        with pytest.raises(ValueError, match="no object"):
            simulators.control("hubspot", "ids", object="nonsense")


def test_the_counters_see_requests_that_overlap(portal: Portal) -> None:
    from concurrent.futures import ThreadPoolExecutor

    portal.hubspot.set_fault("slow", seconds=0.3)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: portal.http.get(CONTACTS).status_code, range(5)))
    assert answers == [200] * 5
    assert portal.hubspot.requests()["peak_concurrency"] == 5


def test_search_agrees_with_the_list_after_many_changes(portal: Portal) -> None:
    """Windows, order and offsets are arithmetic over a base and two sorted lists; here against plain sorting."""
    import random

    chance = random.Random(7)  # noqa: S311  (a seed is the point)
    ids = portal.hubspot.ids("contacts")
    for each in chance.sample(ids, 60):
        portal.hubspot.edit("contacts", each, {"tier": "D"})
    portal.hubspot.bulk_touch("contacts", chance.sample(ids, 30), at=_ms(portal.walk()[100]["updatedAt"]))
    for each in chance.sample(ids, 20):
        portal.hubspot.archive("contacts", each)
    for _ in range(10):
        portal.hubspot.create("contacts")
    rows = sorted((_ms(record["updatedAt"]), int(record["id"])) for record in portal.walk())
    for direction in ("ASCENDING", "DESCENDING"):
        for name in ("lastmodifieddate", "hs_object_id"):
            low, high = rows[20][0], rows[-15][0]
            inside = [row for row in rows if low <= row[0] <= high]
            inside.sort(key=lambda row: row if name == "lastmodifieddate" else row[1], reverse=direction[0] == "D")
            sort = [{"propertyName": name, "direction": direction}]
            window = ("lastmodifieddate", "BETWEEN", str(low), str(high))
            page = portal.search(window, limit=90, after="37", sorts=sort)
            assert page["total"] == len(inside)
            assert [int(record["id"]) for record in page["results"]] == [row[1] for row in inside[37:127]]
