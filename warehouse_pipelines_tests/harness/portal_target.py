"""A simulated portal and a target whose rows a test gives: ``PortalTarget``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.outbound import ledger, run
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.outbound.run import Outbound
from warehouse_pipelines.outbound.target import Field, Target
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.hubspot.store import Store
from warehouse_pipelines.simulators.server import Simulators, start

Row = Mapping[str, Any]

ZIPS = Target(
    name="zips",
    about="Zip codes of a test.",
    crm="hubspot",
    object="custom:zipcode",
    labels=("Zipcode", "Zipcodes"),
    source="",
    reads=(),
    partner=HubSpotPartner,
    lists_all=True,
    key="genius_zip",
    match="zipcode",
    subject="genius_lead",
    most=100_000,
    fields=(
        Field(name="genius_zip"),
        Field(name="zipcode"),
        Field(name="city"),
        Field(name="county", owner="newest"),
        Field(name="state", owner="theirs"),
        Field(name="genius_phone", kind="phone"),
        Field(name="genius_score", kind="number", clears=True),
        Field(name="genius_served", kind="bool"),
        Field(name="division_link", column="branch", link="custom:division", link_key="division_name"),
    ),
)
BY = "a test"


class PortalTarget:
    """A portal with the properties of ``ZIPS``, and what a test does there as a person."""

    def __init__(self, url: str, simulators: Simulators, target: Target = ZIPS) -> None:
        self.url, self.target = url, target
        self.hubspot = simulators.of(HubSpot)
        self.rows: list[dict[str, Any]] = []

    @property
    def store(self) -> Store:
        return self.hubspot.portal.named("zipcodes")

    def give(self, *rows: Row) -> None:
        """Let the target's query find these rows."""
        self.rows = [dict(row) for row in rows]

    @contextmanager
    def outbound(self) -> Iterator[Outbound]:
        columns = ", ".join(f"{field.source} text" for field in self.target.fields)
        text = json.dumps([{**row, self.target.key: row["key"]} for row in self.rows]).replace("'", "''")
        source = f"SELECT * FROM jsonb_to_recordset('{text}') AS x (key text, {columns})".replace("%", "%%")
        with run.connected(self.url, replace(self.target, source=source)) as outbound:
            yield outbound

    def prepare(self) -> list[str]:
        with self.outbound() as outbound:
            return outbound.partner.prepare()

    def plan(self) -> Plan:
        with self.outbound() as outbound:
            return outbound.plan(BY)

    def apply(self, plan: Plan | None = None, **how: Any) -> Plan:
        """Apply a plan, or make one and apply it."""
        with self.outbound() as outbound:
            return outbound.apply(plan or outbound.plan(BY), BY, **{"force": True, **how})

    def finish(self, plan: Plan) -> Plan:
        """Apply a plan again, unless it was applied to its end."""
        return self.now(plan) if self.status(plan) == "applied" else self.apply(plan)

    def now(self, plan: Plan) -> Plan:
        """A plan as it stands now."""
        with warehouse.session(self.url) as session:
            return ledger.plan(session, str(plan.plan_id))

    def status(self, plan: Plan) -> str:
        return self.now(plan).status

    def wait_until_free(self) -> None:
        """Wait until PostgreSQL has noticed that a process was killed, which holds the target until then."""
        lock = [f"warehouse:outbound:{self.target.name}"]
        with warehouse.session(self.url) as session:
            session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", lock)
            session.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", lock)

    def undo(self, plan: Plan) -> Plan:
        with self.outbound() as outbound:
            return outbound.apply(outbound.plan_undo(plan, BY), BY, force=True)

    def state(self) -> dict[str, dict[str, Any]]:
        """All living records with their values, but for when they were changed."""
        found = {}
        for number in self.store.live_after(-1):
            values = dict(self.store.properties(number, self.store.row(number)))
            values.pop("hs_lastmodifieddate")
            values["divisions"] = ";".join(self.divisions(number))
            found[self.store.id_of(number)] = {name: value for name, value in values.items() if value}
        return found

    def divisions(self, number: int) -> list[str]:
        """The divisions that a record is associated with."""
        there = self.hubspot.portal.named("divisions")
        edges = self.hubspot.portal.associations.edges("zipcodes", "divisions", number)
        return sorted(there.id_of(neighbour) for neighbour, _ in edges)

    def having(self, key: str) -> dict[str, Any]:
        """The one living record of a key."""
        found = [values for values in self.state().values() if values.get("genius_zip") == key]
        assert len(found) == 1, found
        return found[0]

    def writes(self) -> list[dict[str, Any]]:
        """The requests that wrote, since the counters were reset."""
        log: list[dict[str, Any]] = self.hubspot.requests()["log"]
        return [
            one for one in log if one["path"].endswith(("/create", "/update", "/archive")) or one["method"] == "PUT"
        ]

    def items(self, plan: Plan) -> Sequence[dict[str, Any]]:
        with warehouse.session(self.url) as session:
            return session.execute(
                "SELECT * FROM reverse_etl.plan_item WHERE plan_id = %s ORDER BY item_no", [plan.plan_id]
            ).fetchall()


@contextmanager
def portal_target(
    url: str, monkeypatch: pytest.MonkeyPatch, target: Target = ZIPS, **settings: Any
) -> Iterator[PortalTarget]:
    """Start a portal that is prepared for the target, without a record of it."""
    with start(["hubspot"], contacts=20, hubspot=settings) as simulators:
        for name, value in {**simulators.environment(), "WAREHOUSE_RETRY_SECONDS": "0.001"}.items():
            monkeypatch.setenv(name, value)
        made = PortalTarget(url, simulators, target)
        made.hubspot.forget_object("zipcodes")
        made.prepare()
        made.hubspot.reset_counters()
        yield made


def rows(count: int, first: int = 90_001, **values: Any) -> list[dict[str, Any]]:
    """Rows of zip codes that the portal does not have."""
    return [
        {"key": str(first + n), "zipcode": str(first + n), "city": f"City {n}", "genius_score": str(n), **values}
        for n in range(count)
    ]
