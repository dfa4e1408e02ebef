"""Two HubSpot portals and three CallRail accounts in one warehouse, as a program: accounts are read when it starts.

    python -m warehouse_pipelines_tests.harness.several_accounts     # prints what it found, in JSON

The environment has ``WAREHOUSE_DATABASE_URL`` and ``WAREHOUSE_ACCOUNTS_FILE``. ``test_accounts`` runs it once and looks
at what it prints. Simulators of one vendor give out the same ids, so ids of two accounts are the same.
"""

import json
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.loading import retention
from warehouse_pipelines.loading.options import Options, Purpose
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.loading.trial import Level, trial
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.model.webhook import Delivery
from warehouse_pipelines.observability.alerts.program import run as evaluate_alerts
from warehouse_pipelines.outbound.run import connected
from warehouse_pipelines.outbound.targets import BY_NAME as TARGETS
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.schema.verify import verify
from warehouse_pipelines.serving import vendors
from warehouse_pipelines.settings import serve_settings
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import feed, marts
from warehouse_pipelines.unified.erasing import erasure
from warehouse_pipelines.unified.erasing.subject import persons
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.feed_database import FeedDatabase
from warehouse_pipelines_tests.harness.serving import serving
from warehouse_pipelines_tests.harness.visitors import program

BY_NAME = {source.name: source for source in SOURCES}
PEOPLE = {"hubspot": (1, 40), "hubspot_west": (2, 25), "callrail": (1, 40), "callrail_north": (2, 30),
          "callrail_south": (3, 20)}  # fmt: skip
"""The seed of the simulated people of each account, and their number."""
HUBSPOT = ("contacts", "owners")
CALLRAIL = ("trackers", "calls")
BOTH = {"firstname": "Wilhelmina", "lastname": "Twoportals", "email": "wilhelmina@two.example", "phone": "9375550142"}
LISTED = "+19375550199"


def entities(name: str) -> tuple[str, ...]:
    return HUBSPOT if name.startswith("hubspot") else CALLRAIL


class Run:
    """What happens, in order; ``found`` is what is printed."""

    def __init__(self, url: str, simulators: dict[str, Simulators]) -> None:
        self.url, self.simulators = url, simulators
        self.found: dict[str, Any] = {}

    def vendor(self, name: str) -> Any:
        return self.simulators[name].named(BY_NAME[name].declared_name)

    def read(self, name: str, entity: str, **flags: Any) -> Any:
        source = BY_NAME[name]
        chosen = next(one for one in source.entities if one.name == entity)
        return sync(source, chosen, Options(**flags), url=self.url)

    def ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with warehouse.session(self.url) as session:
            return session.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        return next(iter(self.ask(statement, *values)[0].values()))

    def load(self) -> None:
        """Read all accounts; one person is in both portals, and one of the second asks not to be called."""
        keys = {name: self.vendor(name).ids("contacts")[:2] for name in ("hubspot", "hubspot_west")}
        self.vendor("hubspot").edit("contacts", keys["hubspot"][0], BOTH)
        self.vendor("hubspot_west").edit("contacts", keys["hubspot_west"][1], BOTH)
        listed = {**BOTH, "lastname": "Other", "email": "o@two.example", "phone": LISTED, "lead_is_dnc": "true"}
        self.vendor("hubspot_west").edit("contacts", keys["hubspot_west"][0], listed)
        self.found["created"] = {
            f"{name} {entity}": self.read(name, entity).created for name in PEOPLE for entity in entities(name)
        }
        self.found["both"] = [keys["hubspot"][0], keys["hubspot_west"][1]]
        self.found["runs"] = self.ask(
            "SELECT crm_source, count(*) AS runs, sum(records_created)::int AS created FROM orchestration.sync_history"
            " GROUP BY 1 ORDER BY 1"
        )
        self.found["same_ids"] = self.one(
            "SELECT count(*) FROM hubspot_contact AS a JOIN hubspot_west.hubspot_contact AS b USING (id)"
        )
        self.found["in_view"] = self.ask(
            "SELECT account, count(*) AS rows FROM accounts.hubspot_contact GROUP BY 1 ORDER BY 1"
        )
        self.found["masked"] = self.ask(
            "SELECT account, count(*) AS rows, count(DISTINCT id) AS ids FROM masked.accounts_callrail_call"
            " GROUP BY 1 ORDER BY 1"
        )
        self.found["budgets"] = self.ask(
            "SELECT crm_source, count(DISTINCT credential) AS credentials FROM orchestration.request_budget"
            " GROUP BY 1 ORDER BY 1"
        )

    def refuse(self) -> None:
        """Revoke the token of one portal: the other one is read as before."""
        self.vendor("hubspot_west").set_fault("unauthorized")
        try:
            self.read("hubspot_west", "contacts", full=True)
        except WarehouseError as error:
            self.found["refused"] = f"{type(error).__name__}: {error}"
        self.found["other_is_read"] = self.read("hubspot", "contacts", full=True).status
        self.found["north_is_read"] = self.read("callrail_north", "calls").status
        self.vendor("hubspot_west").clear_faults()

    def swap(self) -> None:
        """Give two accounts each other's credential, and then one to both."""
        tables = "hubspot_contact", "callrail_north.callrail_tracker"
        before = [self.ask(f"SELECT * FROM {table} ORDER BY id") for table in tables]
        for one, other, entity, secret in (
            ("hubspot", "hubspot_west", "contacts", "ACCESS_TOKEN"),
            ("callrail_north", "callrail_south", "trackers", "API_KEY"),
        ):
            given = {
                name: {word: os.environ[f"{name.upper()}_{word}"] for word in ("BASE_URL", secret)}
                for name in (one, other)
            }
            for told, of in (("swapped", (other, one)), ("one for both", (other, other)), ("right", (one, other))):
                for name, whose in zip((one, other), of, strict=True):
                    os.environ |= {f"{name.upper()}_{word}": value for word, value in given[whose].items()}
                if told != "right":
                    self.found[f"{told} {one}"] = [
                        self._outcome(name, entity, full=full) for name in (one, other) for full in (False, True)
                    ]
        self.found["swapped left"] = before == [self.ask(f"SELECT * FROM {table} ORDER BY id") for table in tables]

    def _outcome(self, name: str, entity: str, **flags: Any) -> str:
        try:
            return str(self.read(name, entity, **flags).status)
        except WarehouseError as error:
            return f"{type(error).__name__}: {error}"

    def sell(self) -> None:
        """Sell to who is in both portals: what both tell of one visit, and something else in each."""
        fed = FeedDatabase(self.url)
        visit = {"genius_appointment_id": 9, "start_time": "2026-09-28T10:00:00Z"}
        for schema, contact, amounts in zip(
            ("", "hubspot_west."), self.found["both"], ((10_000, 5_000), (9_000, 8_000)), strict=True
        ):
            fed.source(f"{schema}hubspot_pipeline_stage", id="won", is_closed=True, probability="1.0")
            fed.source(f"{schema}hubspot_appointment", id="h9", hscontact_id=contact, **visit)
            link = {"appointment_id": "h9", "deal_id": "d0", "association_type_id": 1}
            fed.source(f"{schema}hubspot_appointment_to_deal_association", **link)
            for number, amount in enumerate(amounts):
                given = {"dealstage": "won", "closedate": f"2026-10-0{1 + number}T15:00:00Z", "amount": amount}
                fed.source(f"{schema}hubspot_deal", id=f"d{number}", **given)
                link = {"contact_id": contact, "deal_id": f"d{number}", "association_type_id": 3}
                fed.source(f"{schema}hubspot_contact_to_deal_association", **link)
        fed.close()

    def unify(self) -> None:
        """Resolve, feed and compute the marts."""
        with warehouse.session(self.url) as session:
            resolve.run(session)
            feed.run(session)
            for one in marts.run(session):
                self.found.setdefault("marts", {})[one.name] = one.inserted
        self.found["records"] = self.ask(
            "SELECT source_table, count(*) AS records FROM identity.record GROUP BY 1 ORDER BY 1"
        )
        self.found["person_of_both"] = self.one(
            "SELECT count(DISTINCT person_id) FROM identity.member WHERE (source_table, source_key) IN"
            " (('hubspot_contact', %s), ('hubspot_west.hubspot_contact', %s))", *self.found["both"],
        )  # fmt: skip
        self.found["persons_of_one_id"] = self.one(
            "SELECT count(DISTINCT person_id) FROM identity.member WHERE source_key = %s AND source_table IN"
            " ('hubspot_contact', 'hubspot_west.hubspot_contact')", self.found["both"][0],
        )  # fmt: skip
        self.found["sales"] = self.ask("SELECT amount::int, records FROM marts.sale ORDER BY amount")
        self.found["worth"] = self.one("SELECT value_usd::int FROM crm.leads WHERE email = %s", BOTH["email"])
        self.found["listed"] = self.one("SELECT count(*) FROM crm.dnc_list WHERE phone = %s", LISTED)
        self.found["calls"] = self.one("SELECT count(*) FROM accounts.callrail_call WHERE NOT archived")
        self.found["calls_in_mart"] = self.one("SELECT sum(calls + outbound)::int FROM marts.call_performance")
        self.found["trackers_in_mart"] = self.one(
            "SELECT count(DISTINCT split_part(tracker_id, ' ', 1)) FROM marts.call_performance"
            " WHERE tracker_id LIKE 'callrail%%'"
        )
        self.found["timeline"] = self.ask(
            "SELECT crm_source, count(*) AS n FROM marts.activity_timeline WHERE kind IN ('lead', 'call')"
            " GROUP BY 1 ORDER BY 1"
        )

    def write_back(self) -> None:
        """Write to one account of each CRM, verify, and take it back."""
        for name in ("hubspot_west_do_not_call", "callrail_north_do_not_call"):
            with connected(self.url, TARGETS[name]) as outbound:
                outbound.prepare()
                applied = outbound.apply(outbound.plan("test"), "test")
                held = [verdict.holds for verdict in outbound.verify(applied)]
                undone = outbound.apply(outbound.plan_undo(applied, "test"), "test")
            self.found[f"written {name}"] = [applied.statuses, held, undone.statuses]
        self.found["writes"] = {name: self.vendor(name).requests()["routes"] for name in PEOPLE}

    def try_out(self) -> None:
        """Read a few records of an account, and compare them with its own rows."""
        for name, entity in (("hubspot_west", "owners"), ("callrail_north", "calls")):
            declared = next(one for one in BY_NAME[name].entities if one.name == entity)
            tried = trial(BY_NAME[name], declared, Level.SAMPLE, self.url)
            self.found[f"tried {name}"] = [tried.read, tried.new, tried.unchanged]

    def backfill(self) -> None:
        """Read all days of one account again, in which a call was deleted whose id another account has, too."""
        call = self.vendor("callrail_north").ids("calls")[0]
        with warehouse.session(self.url) as session:
            names = "id, start_time, raw_data, sync_created_at, sync_updated_at"
            copied = (
                f"INSERT INTO callrail_call ({names}) SELECT {names} FROM callrail_north.callrail_call WHERE id = %s"
            )
            session.execute(copied.encode(), [call])
        self.vendor("callrail_north").spam_call(call)
        day = datetime(2024, 1, 1, tzinfo=UTC)
        calls = next(one for one in BY_NAME["callrail_north"].entities if one.name == "calls")
        purpose = Purpose.backfill(Window(day, datetime.now(UTC)))
        done = sync(BY_NAME["callrail_north"], calls, Options(), purpose, url=self.url)
        self.found["backfilled"] = [done.mode, done.status, done.deleted]
        self.found["archived"] = self.ask(
            "SELECT account, archived FROM accounts.callrail_call WHERE id = %s ORDER BY 1", call
        )

    def age(self) -> None:
        """Let rows of an account get older than they are kept."""
        old = "UPDATE {} SET archived = true, deleted_at = now() - interval '9 years'"
        with warehouse.session(self.url) as session:
            session.execute(old.format("callrail_north.callrail_tracker").encode())
            retention.run(session, SOURCES, only=["tombstones"])
        self.found["trackers"] = self.ask(
            "SELECT account, count(*) AS rows FROM accounts.callrail_tracker GROUP BY 1 ORDER BY 1"
        )

    def alert(self) -> None:
        """Evaluate the alert rules after the token of one portal was revoked, and let its run be late."""
        evaluate_alerts(self.url, SOURCES)
        found = self.ask("SELECT rule, members FROM orchestration.alert_event")
        self.found["alerts"] = sorted(
            {(row["rule"], one["crm"]) for row in found for one in row["members"].values() if one["crm"]}
        )

    def browse(self) -> None:
        """Open what ``warehouse serve`` shows of an account."""
        key = self.vendor("hubspot_west").ids("contacts")[2]
        of = "/tables/hubspot_west.hubspot_contact"
        record = f"hubspot_west.hubspot_contact:{key}"
        pages = [
            "/", "/tables", of, f"{of}/row?key={key}", f"{of}/export.csv", "/tables/accounts.hubspot_contact",
            "/runs?crm=hubspot_west", "/schedules", "/dead-letters?crm=hubspot_west", "/status", "/metrics",
            "/api/crms/hubspot_west/entities", "/api/tables/hubspot_west.hubspot_contact?limit=2",
            "/api/sync-history?crm=hubspot_west",
        ]  # fmt: skip
        with serving(self.url) as serve, program(serve.address, self.url, "operator") as client:
            self.found["pages"] = {page: client.get(page).status_code for page in pages}
            self.found["row"] = client.get(f"{of}/row?key={key}").text
            self.found["person"] = client.get("/persons", params={"q": record}, follow_redirects=True).text

    def deliver(self) -> None:
        """A delivery counts for the account whose secret proves it."""
        body = b'[{"eventId": 1, "subscriptionType": "contact.propertyChange", "objectId": 7}]'
        for address in ("hubspot", "hubspot_west"):
            vendor = vendors.VENDORS[address]
            headers = {"authorization": "", "x-hubspot-signature": _signature("west-secret", body)}
            delivery = Delivery(headers, body, f"https://here.example/webhooks/{address}")
            self.found[f"delivered {address}"] = [
                vendor.is_verified(delivery, serve_settings()), *map(list, vendor.read(delivery).changes)
            ]  # fmt: skip

    def erase(self) -> None:
        """Erase who is in both portals, and read everything again."""
        with warehouse.session(self.url) as session:
            ids = [row["person_id"] for row in persons(session, "email", BOTH["email"])]
            done = erasure.erase(session, "email", BOTH["email"], ids, erased_by="test")
            self.found["left"] = list(done.left)
        for again in (False, True):
            if again:
                for name in ("hubspot", "hubspot_west"):
                    self.read(name, "contacts", full=True)
            self.found[f"named {'again' if again else 'after'}"] = self.one(
                "SELECT count(*) FROM accounts.hubspot_contact WHERE lastname = %s OR raw_data::text LIKE %s",
                BOTH["lastname"], f"%{BOTH['email']}%",
            )  # fmt: skip


def _signature(secret: str, body: bytes) -> str:
    import hashlib

    return hashlib.sha256(secret.encode() + body).hexdigest()


def main() -> None:
    url = os.environ["WAREHOUSE_DATABASE_URL"]
    with ExitStack() as stack:
        simulators = {}
        for name, (seed, people) in PEOPLE.items():
            crm = BY_NAME[name].declared_name
            own: dict[str, Any] = {"token": f"token-of-{name}"}
            given: dict[str, Any] = {crm: own | ({"portal_id": 44_440_000 + seed} if crm == "hubspot" else {})}
            simulators[name] = stack.enter_context(start((crm,), contacts=people, seed=seed, **given))
            for setting, value in simulators[name].environment().items():
                os.environ[setting.replace(crm.upper(), name.upper(), 1)] = value
        os.environ["HUBSPOT_WEST_CLIENT_SECRET"] = "west-secret"
        run = Run(url, simulators)
        run.found["migrated"] = migrate(url)
        run.found["verified"] = verify(url)
        run.load()
        run.refuse()
        run.sell()
        run.unify()
        run.write_back()
        run.try_out()
        run.backfill()
        run.age()
        run.alert()
        run.browse()
        run.deliver()
        run.swap()
        run.erase()
        print(json.dumps(run.found, default=str))


if __name__ == "__main__":
    main()
