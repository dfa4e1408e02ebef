"""The simulated MarketSharp answers as the vendor notes say. Each test names the behaviour it checks."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import httpx
import pytest

from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.marketsharp.sets import SETS
from warehouse_pipelines.simulators.marketsharp.simulator import MarketSharp
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines_tests.harness.http_client import HttpClient

ATOM = "{http://www.w3.org/2005/Atom}"
M = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
Record = dict[str, str | None]


class Client:
    """A started simulator and a client of its service."""

    def __init__(self, simulators: Simulators) -> None:
        self.vendor = simulators.of(MarketSharp)
        self.http = HttpClient(base_url=f"{self.vendor.url}/WcfDataService.svc", timeout=60)

    def header(self, *, age: int = 0, company: str = "4711", key: str = "simulated-marketsharp-key") -> str:
        stamp = str(int(time.time()) - age)
        secret = base64.b64decode(self.vendor.secret)
        digest = hmac.digest(secret, f"{company}{key}{stamp}".encode(), hashlib.sha256)
        return f"{company}:{key}:{stamp}:{base64.b64encode(digest).decode()}"

    def get(self, path: str, **options: str) -> httpx.Response:
        params = {f"${name}": value for name, value in options.items()}
        return self.http.get(path, params=params, headers={"Authorization": self.header()})

    def feed(self, path: str, **options: str) -> ElementTree.Element:
        answer = self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return ElementTree.fromstring(answer.text)  # noqa: S314  (our own simulator's)

    def records(self, path: str, **options: str) -> list[Record]:
        return list(map(properties, self.feed(path, **options).findall(f"{ATOM}entry")))


def properties(entry: ElementTree.Element) -> Record:
    found = entry.find(f"{ATOM}content/{M}properties")
    assert found is not None
    return {one.tag.rpartition("}")[2]: None if one.get(f"{M}null") == "true" else one.text or "" for one in found}


def begin(contacts: int = 300, **settings: object) -> Simulators:
    return start(["marketsharp"], contacts=contacts, marketsharp=settings)


@pytest.fixture(scope="module")
def shared_client() -> Iterator[Client]:
    """A company that no test changes."""
    with begin() as simulators:
        yield Client(simulators)


@pytest.fixture
def client() -> Iterator[Client]:
    with begin(60) as simulators:
        yield Client(simulators)


class TestSignature:
    def test_a_fresh_one_is_accepted(self, shared_client: Client) -> None:
        assert shared_client.get("/Companies").status_code == 200

    @pytest.mark.parametrize("wrong", [{"company": "1"}, {"key": "other"}, {"age": 1000}, {"age": -1000}])
    def test_any_other_is_refused(self, shared_client: Client, wrong: dict[str, object]) -> None:
        header = shared_client.header(**wrong)  # type: ignore[arg-type]
        assert shared_client.http.get("/Companies", headers={"Authorization": header}).status_code == 401

    def test_none_is_refused(self, shared_client: Client) -> None:
        assert shared_client.http.get("/Companies").status_code == 401


class TestQueries:
    def test_only_reading_is_offered(self, shared_client: Client) -> None:
        assert (
            shared_client.http.post("/Companies", headers={"Authorization": shared_client.header()}).status_code == 405
        )

    @pytest.mark.parametrize(
        ("path", "options", "status"),
        [
            ("/Nothing", {}, 404),
            ("/Contacts('nobody')", {}, 404),
            ("/Contacts", {"page": "2"}, 400),
            ("/Contacts", {"filter": "nothing eq 1"}, 400),
            ("/Contacts", {"filter": "lastUpdate gt '2025-01-01'"}, 400),
            ("/Contacts", {"filter": "lastUpdate gt datetime'2025-01-01T00:00:00-05:00'"}, 400),
            ("/Contacts", {"filter": "(id eq 'x'"}, 400),
            ("/InquiryStatuses", {"filter": "id gt '1'"}, 400),
            ("/Addresses", {"orderby": "lastUpdate,id"}, 400),
            ("/Inquiries", {"expand": "Customer"}, 400),
        ],
    )
    def test_what_it_does_not_know_it_refuses(
        self, shared_client: Client, path: str, options: dict[str, str], status: int
    ) -> None:
        answer = shared_client.get(path, **options)
        assert answer.status_code == status
        assert ElementTree.fromstring(answer.text).tag == f"{M}error"  # noqa: S314

    def test_every_set_can_be_read(self, shared_client: Client) -> None:
        for name, count in shared_client.vendor.counts().items():
            records = shared_client.records(f"/{name}")
            assert len(records) == count, name
            assert set(records[0]) == set(SETS[name].properties)

    def test_a_walk_by_key_sees_everything_once(self, shared_client: Client) -> None:
        seen: list[str | None] = []
        while page := shared_client.records(
            "/Contacts", top="70", filter=f"id gt '{seen[-1] if seen else ''}'", orderby="id"
        ):
            seen += [record["id"] for record in page]
        assert seen == sorted(shared_client.vendor.ids("Contacts"))

    def test_a_walk_by_time_and_key_sees_everything_once(self, client: Client) -> None:
        same = client.vendor.ids("Inquiries")[10:30]
        client.vendor.touch("Inquiries", same)
        seen: list[tuple[str, str | None]] = []
        place = "lastUpdate ge datetime'2000-01-01T00:00:00'"
        while page := client.records("/Inquiries", top="7", filter=place, orderby="lastUpdate,id"):
            seen += [((record["lastUpdate"] or "")[:23], record["id"]) for record in page]
            at, key = page[-1]["lastUpdate"] or "", page[-1]["id"]
            wall = f"datetime'{at[:-6]}'"
            place = f"(lastUpdate gt {wall}) or (lastUpdate eq {wall} and id gt '{key}')"
        assert sorted(key for _, key in seen if key) == client.vendor.ids("Inquiries")
        assert [key for _, key in seen[-20:]] == sorted(same)

    def test_a_property_of_what_it_belongs_to_can_be_asked_for(self, client: Client) -> None:
        inquiry = client.vendor.ids("Inquiries")[5]
        contact = client.vendor.record("Inquiries", inquiry)["contactId"]
        client.vendor.edit("Contacts", contact, {"title": "Dr"})
        asked = "Contact/isActive and Contact/lastUpdate ge datetime'2099-01-01T00:00:00'"
        assert client.records("/Inquiries", filter=asked) == []
        now = (datetime.now(ZoneInfo("America/New_York")) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S")
        found = client.records("/Inquiries", filter=asked.replace("2099-01-01T00:00:00", now))
        assert inquiry in [one["id"] for one in found]
        assert {one["contactId"] for one in found} == {contact}

    def test_skip_top_and_count(self, shared_client: Client) -> None:
        everything = shared_client.records("/Contacts")
        assert shared_client.records("/Contacts", skip="3", top="2") == everything[3:5]
        counted = shared_client.feed("/Contacts", top="1", inlinecount="allpages").find(f"{M}count")
        assert counted is not None
        assert counted.text == "300"
        assert shared_client.get("/Contacts/$count").text == "300"

    def test_a_page_that_was_cut_says_where_the_rest_is(self) -> None:
        with begin(50, most_per_page=20) as simulators:
            client = Client(simulators)
            links, seen = [], 0
            feed = client.feed("/Contacts", top="45")
            while True:
                seen += len(feed.findall(f"{ATOM}entry"))
                link = next((one for one in feed.findall(f"{ATOM}link") if one.get("rel") == "next"), None)
                if link is None:
                    break
                links.append(link.attrib["href"])
                answer = client.http.get(links[-1], headers={"Authorization": client.header()})
                feed = ElementTree.fromstring(answer.text)  # noqa: S314
            assert (seen, len(links)) == (45, 2)
            client.vendor.configure(links=False)
            assert len(client.records("/Contacts", top="45")) == 20
            assert client.feed("/Contacts", top="45").findall(f"{ATOM}link") == []

    def test_what_is_expanded_lies_in_its_link(self, shared_client: Client) -> None:
        (entry,) = shared_client.feed(
            "/Inquiries", top="1", expand="Contact/Address,Contact/ContactPhone,InquiryStatus"
        ).findall(f"{ATOM}entry")
        inside = {link.get("title"): link.find(f"{M}inline") for link in entry.findall(f"{ATOM}link")}
        contact = inside["Contact"]
        assert contact is not None
        person = contact.find(f"{ATOM}entry")
        assert person is not None
        assert properties(person)["id"] == properties(entry)["contactId"]
        address = person.find(f"{ATOM}link[@title='Address']/{M}inline/{ATOM}feed/{ATOM}entry")
        phone = person.find(f"{ATOM}link[@title='ContactPhone']/{M}inline/{ATOM}entry")
        assert address is not None
        assert phone is not None
        assert properties(address)["contactId"] == properties(phone)["contactId"] == properties(entry)["contactId"]
        plain = shared_client.feed("/Inquiries", top="1")
        assert plain.find(f".//{M}inline") is None


class TestForm:
    def test_a_contact_reads_as_recorded(self, shared_client: Client) -> None:
        feed = shared_client.feed("/Customers", top="1")
        assert feed.findtext(f"{ATOM}title") == "Contacts"
        (entry,) = feed.findall(f"{ATOM}entry")
        record = properties(entry)
        assert {"hasDNCPhone", "hasDNEEmail", "lastUpdate"} <= set(record)
        assert (record["email2"], record["middleInitial"], record["qbSyncDate"]) == (None, "", None)
        assert record["lastUpdate"]
        assert record["lastUpdate"][-6:] in ("-04:00", "-05:00")
        assert record["createdDate"]
        assert record["creationDate"]
        assert "coounty" in shared_client.records("/Addresses", top="1")[0]

    def test_offsets_are_a_setting(self, client: Client) -> None:
        client.vendor.configure(offsets=False)
        (record,) = client.records("/Contacts", top="1")
        assert record["lastUpdate"]
        assert record["lastUpdate"][19:20] in ("", ".")

    def test_characters_that_xml_has_not_are_written(self, client: Client) -> None:
        key = client.vendor.ids("Contacts")[0]
        client.vendor.edit("Contacts", key, {"lastName": "a\x1fb\x00"})
        assert "a&#x1F;b&#x0;" in client.get(f"/Contacts('{key}')").text

    def test_the_subsets_are_all_contacts(self, shared_client: Client) -> None:
        parts = [shared_client.vendor.ids(name) for name in ("Leads", "Prospects", "Customers")]
        assert sorted(key for part in parts for key in part) == shared_client.vendor.ids("Contacts")
        assert all(parts)


class TestOperations:
    def test_a_record_comes_changes_and_goes(self, client: Client) -> None:
        vendor = client.vendor
        key = vendor.create("Appointments", {"subject": "Measure"})
        assert vendor.recent("Appointments") == key
        (record,) = client.records("/Appointments", filter=f"id eq '{key}'")
        vendor.edit("Appointments", key, {"subject": "Sell"}, quietly=True)
        (after,) = client.records("/Appointments", filter=f"id eq '{key}'")
        assert (record["subject"], after["subject"]) == ("Measure", "Sell")
        assert after["lastUpdate"] == record["lastUpdate"]
        vendor.edit("Appointments", key, {"isActive": False})
        assert client.records("/Appointments", filter=f"id eq '{key}'")[0]["isActive"] == "false"
        vendor.delete("Appointments", key)
        assert client.records("/Appointments", filter=f"id eq '{key}'") == []
        vendor.restore("Appointments", key)
        assert key in vendor.ids("Appointments")
        with pytest.raises(ValueError, match="no nothing"):
            vendor.edit("Appointments", key, {"nothing": 1})

    def test_a_lead_becomes_a_prospect(self, client: Client) -> None:
        key = client.vendor.ids("Leads")[0]
        client.vendor.become(key, "Prospect")
        assert key not in client.vendor.ids("Leads")
        assert key in client.vendor.ids("Prospects")

    def test_over_http(self, client: Client) -> None:
        control = f"{client.vendor.url}/__control__"
        made = httpx.post(f"{control}/create", json={"path": "Leads", "fields": {"firstName": "Ann"}}).json()
        assert client.vendor.record("Contacts", made)["firstName"] == "Ann"

    def test_two_companies_of_one_seed_are_alike(self) -> None:
        now = 1_790_000_000.0
        texts = []
        for _ in range(2):
            with start(["marketsharp"], contacts=30, now=now) as simulators:
                vendor = simulators.of(MarketSharp)
                texts.append([vendor.record("Contacts", key) for key in vendor.ids("Contacts")])
        assert texts[0] == texts[1]


def test_its_contacts_are_those_of_hubspot() -> None:
    with start(["marketsharp", "hubspot"], contacts=40) as simulators:
        theirs, ours = simulators.of(HubSpot), simulators.of(MarketSharp)
        found = [theirs.record("contacts", key)["properties"] for key in theirs.ids("contacts")]
        linked = {one["marketsharp_id"].lower(): one for one in found if one.get("marketsharp_id")}
        assert linked
        for key, contact in linked.items():
            phone = ours.record("ContactPhones", key)
            digits = re.sub(r"\D", "", phone.get("homePhone") or phone.get("cellPhone") or phone["workPhone"])[-10:]
            assert digits == contact["lead_phone1"]
        alike = [contact["lastname"].lower() == ours.record("Contacts", key)["lastName"].lower()
                 for key, contact in linked.items()]  # fmt: skip
        assert sum(alike) > 0.7 * len(alike), "but for misspelt ones"


def test_a_million_contacts_cost_what_a_page_costs() -> None:
    with begin(1_000_000) as simulators:
        client = Client(simulators)
        assert len(client.records("/Contacts", top="100", orderby="lastUpdate,id",
                                  filter="lastUpdate ge datetime'2026-01-01T00:00:00'")) == 100  # fmt: skip
        began = time.process_time()
        client.records("/Inquiries", top="100", orderby="lastUpdate,id", filter="lastUpdate ge datetime'2026-01-01'")
        assert time.process_time() - began < 2
