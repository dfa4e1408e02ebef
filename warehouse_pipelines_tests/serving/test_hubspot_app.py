"""The subscriptions of HubSpot's app: made, listed, ended; what others have stays."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import CredentialRefused, NotConfigured, WrongUse
from warehouse_pipelines.serving import hubspot_app
from warehouse_pipelines.sources.hubspot.entities import OBJECT_ENTITIES
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

ADDRESS = "https://hooks.example.test/webhooks/hubspot"


@pytest.fixture
def portal(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("WAREHOUSE_PUBLIC_URL", "https://hooks.example.test/")
    with source_harness("hubspot_contact", shared_url, monkeypatch) as harness:
        found: SourceHarness = harness
        yield found.simulator


def kinds(portal: Any) -> Counter[str]:
    return Counter(one["eventType"].partition(".")[0] for one in portal.list_subscriptions()["subscriptions"])


@pytest.mark.slow("the same in other circumstances")
def test_every_object_that_is_kept_is_subscribed(portal: Any) -> None:
    lines = hubspot_app.register()
    assert lines[0] == f"hubspot: deliveries go to {ADDRESS}"
    assert len(lines) == 1 + len(OBJECT_ENTITIES)
    app = portal.list_subscriptions()
    assert app["target"]["targetUrl"] == ADDRESS
    made = app["subscriptions"]
    assert all(one["active"] for one in made)
    assert len(made) < 1_000, "an app has no more"
    events = {one["eventType"] for one in made}
    assert {"contact.creation", "contact.privacyDeletion", "deal.merge", "object.restore"} <= events
    assert {"contact.associationChange", "object.deletion", "line_item.propertyChange"} <= events
    changed = {one["propertyName"] for one in made if one["eventType"] == "contact.propertyChange"}
    assert {"email", "phone", "lead_status", "city"} <= changed
    assert not {"lastmodifieddate", "hs_object_id"} & changed
    types = {one.get("objectTypeId") for one in made if one["eventType"].startswith("object.")}
    assert len(types) == 4, "appointments, geniususers, divisions, zipcodes"
    assert None not in types
    assert hubspot_app.register() == [], "all of it is there"


@pytest.mark.slow("the same in other circumstances")
def test_what_is_paused_is_resumed_and_what_is_there_stays(portal: Any) -> None:
    hubspot_app.register()
    before = portal.list_subscriptions()["subscriptions"]
    key = int(before[0]["id"])
    portal.app.subscriptions[key]["active"] = False
    del portal.app.subscriptions[int(before[1]["id"])]
    assert hubspot_app.register() == ["hubspot contacts: 1 events subscribed, 1 resumed"]
    after = portal.list_subscriptions()["subscriptions"]
    assert len(after) == len(before)
    assert all(one["active"] for one in after)


def test_a_property_that_hubspot_does_not_tell_of_is_named(portal: Any) -> None:
    portal.configure(untold_properties=["city", "hs_analytics_source"])
    said = " ".join(hubspot_app.register())
    assert "hubspot contacts: HubSpot refused city, hs_analytics_source; polls find these changes" in said
    assert kinds(portal)["deal"] > 0


@pytest.mark.slow("the same in other circumstances")
def test_a_custom_object_that_the_portal_lacks_is_named(portal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_DIVISION_OBJECT", "no_such_object")
    lines = hubspot_app.register()
    assert any(line.startswith("hubspot divisions: not subscribed: ") for line in lines)
    assert any(line.startswith("hubspot zipcodes: ") and "subscribed," in line for line in lines)


def test_an_app_that_delivers_elsewhere_is_left_alone(portal: Any) -> None:
    portal.app.target = {"targetUrl": "https://other.example.test/hook", "throttling": {}, "createdAt": ""}
    for act in (hubspot_app.register, hubspot_app.remove):
        with pytest.raises(WrongUse, match=r"https://other\.example\.test/hook"):
            act()
    assert portal.list_subscriptions()["subscriptions"] == []


@pytest.mark.slow("the same in other circumstances")
def test_removing_ends_ours_and_leaves_what_is_of_other_objects(portal: Any) -> None:
    hubspot_app.register()
    count = len(portal.list_subscriptions()["subscriptions"])
    portal.app.subscriptions[9_999] = {"id": "9999", "eventType": "ticket.creation", "active": True, "createdAt": ""}
    assert hubspot_app.remove() == count
    left = portal.list_subscriptions()
    assert [one["id"] for one in left["subscriptions"]] == ["9999"]
    assert left["target"] is not None, "or the other one would pause"
    del portal.app.subscriptions[9_999]
    assert hubspot_app.remove() == 0
    assert portal.list_subscriptions()["target"] is None


def test_settings_that_are_missing_or_refused_are_named(portal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_DEVELOPER_KEY", "a-wrong-key")
    with pytest.raises(CredentialRefused, match="HUBSPOT_DEVELOPER_KEY") as refused:
        hubspot_app.register()
    assert "a-wrong-key" not in str(refused.value)
    monkeypatch.delenv("HUBSPOT_DEVELOPER_KEY")
    with pytest.raises(NotConfigured, match="HUBSPOT_APP_ID and HUBSPOT_DEVELOPER_KEY"):
        hubspot_app.register()
    monkeypatch.setenv("WAREHOUSE_PUBLIC_URL", "http://hooks.example.test")
    monkeypatch.setenv("HUBSPOT_DEVELOPER_KEY", "a-key")
    with pytest.raises(NotConfigured, match="HTTPS only"):
        hubspot_app.register()


def test_the_commands(portal: Any, database_url: str) -> None:
    def run(*words: str) -> str:
        answer = CliRunner().invoke(cli.main, ["webhooks", *words, "hubspot"])
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert "hubspot contacts: " in run("register")
    assert "Nothing to do" in run("register")
    listed = run("list")
    assert "contact.creation" in listed
    assert f"Deliveries go to {ADDRESS}." in listed
    assert "subscription(s) of hubspot's app." in run("remove")
    assert "Deliveries go nowhere" in run("list")
