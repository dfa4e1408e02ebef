"""LeadConduit, as the battery sees it."""

from datetime import datetime

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.leadconduit.simulator import LeadConduit
from warehouse_pipelines_tests.harness.drivers.driver import Key


class LeadConduitDriver:
    """A feed of events, and the leads that they are of."""

    def __init__(self, simulator: LeadConduit) -> None:
        self.simulator = simulator

    def prepare(self, entity: Entity) -> None:
        for _ in range(2):
            self.create(entity)

    def keys(self, entity: Entity) -> set[Key]:
        return {(key,) for key in self.simulator.ids(entity.name)}

    def edit(self, entity: Entity) -> tuple[Key, str, str] | None:
        if entity.name == "events":
            return None
        lead = self.simulator.ids("leads")[-1]
        self.simulator.resubmit(lead, city="edited over there")
        return (lead,), "city", "edited over there"

    def create(self, entity: Entity) -> Key | None:
        before = set(self.simulator.ids("events"))
        lead = self.simulator.create_lead()
        (event,) = set(self.simulator.ids("events")) - before
        return (lead if entity.name == "leads" else event,)

    def delete(self, entity: Entity) -> Key:
        before = set(self.simulator.ids("events"))
        self._removed = self.simulator.ids("leads")[-1]
        self.simulator.purge(self._removed)
        (event, *_) = before - set(self.simulator.ids("events"))
        return (self._removed if entity.name == "leads" else event,)

    def bring_back(self, entity: Entity, key: Key) -> None:
        self.simulator.unpurge(self._removed)

    def empty(self, entity: Entity) -> None:
        for lead in self.simulator.ids("leads"):
            self.simulator.purge(lead)

    def path(self, entity: Entity) -> str:
        return "/events"

    @classmethod
    def bad_column(cls, entity: Entity, what: str) -> str | None:
        if entity.name == "leads" and what == "missing_id":
            return None  # a lead is known by its events, and they by the lead's id
        return "created_at" if entity.name == "leads" else "submitted_at"

    def corrupt(self, entity: Entity, what: str) -> None:
        self.simulator.set_fault("malformed", path="/events", times=1, what=what, property="vars.submission.timestamp")

    def bounds(self, entity: Entity) -> list[datetime]:
        log = self.simulator.requests()["log"]
        return [datetime.fromisoformat(entry["query"]["start"][0]) for entry in log if "start" in entry["query"]]

    def fixed_size(self, entity: Entity) -> bool:
        return entity.name == "leads"


DRIVER = LeadConduitDriver
