"""A simulated Google and a warehouse, for what is written to Calendar and Drive: ``GoogleTarget``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.erased_values import digest
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.outbound.run import connected
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.outbound.targets import BY_NAME
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.simulators.google.drive import ROOT
from warehouse_pipelines.simulators.google.simulator import Google
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import gcalendar, gdrive

BY = "a test"
CREW = CREWS[0]
COMPANY = UUID("10000000-0000-4000-8000-000000000001")


class GoogleTarget:
    """What a test does at Google as a person, and what it finds in the warehouse."""

    def __init__(self, url: str, google: Google) -> None:
        self.url, self.google = url, google

    def query(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        with warehouse.session(self.url) as session:
            done = session.execute(statement, values)
            return [dict(row) for row in done.fetchall()] if done.description else []

    def sync(self, source: Source = gcalendar.GCALENDAR, entity: Entity = gcalendar.EVENTS, **how: Any) -> Result:
        return sync(source, entity, Options(**how), url=self.url)

    def sync_folders(self, **how: Any) -> Result:
        return self.sync(gdrive.GDRIVE, gdrive.FOLDERS, **how)

    def event(self, object_id: str) -> dict[str, Any]:
        """The one row of an event."""
        (row,) = self.query(
            "SELECT * FROM pipedesk.calendar_events WHERE calendar_id = %s AND google_event_id = %s",
            object_id.split(" "),
        )
        return row

    def folder(self, folder_id: str) -> dict[str, Any]:
        """The one row of a folder, with whose it is."""
        (row,) = self.query(
            "SELECT f.*, v.entity_type AS of_type, v.entity_id AS of_id FROM pipedesk.google_drive_folders AS f"
            " JOIN pipedesk.google_drive_folders_v AS v USING (folder_id) WHERE f.folder_id = %s",
            [folder_id],
        )
        return row

    def items(self, plan: Plan) -> list[ledger.Item]:
        with warehouse.session(self.url) as session:
            return ledger.items(session, plan.plan_id)

    def apply(self, plan: Plan) -> Plan:
        """Apply a plan, or go on with it."""
        with connected(self.url, self._target(plan)) as at_work:
            return at_work.apply(plan, BY, force=True)

    def undo(self, plan: Plan) -> Plan:
        with connected(self.url, self._target(plan)) as at_work:
            return at_work.apply(at_work.plan_undo(plan, BY), BY)

    def holds(self, plan: Plan) -> list[bool]:
        with connected(self.url, self._target(plan)) as at_work:
            return [verdict.holds for verdict in at_work.verify(plan)]

    def _target(self, plan: Plan) -> Target:
        return BY_NAME[plan.target]

    def tree(self, folder: str = ROOT, of: str = "") -> list[str]:
        """The paths of the folders that were made below a folder, each level in the order in which it was made."""
        found = []
        for child in self.google.children(folder):
            if "appProperties" in child or of:
                path = f"{of}/{child['name']}".lstrip("/")
                found += [path, *self.tree(child["id"], path)]
        return found

    def erase(self, address: str) -> None:
        """Keep an address out, as that of an erased person."""
        ((key,),) = [tuple(row.values()) for row in self.query("SELECT key FROM identity.erasure_key")]
        self.query(
            "WITH e AS (INSERT INTO identity.erasure (asked_by, erased_by, persons, rows, counts, residual, files)"
            " VALUES ('email', 'x', 1, 1, '[]', '[]', '[]') RETURNING erasure_id)"
            " INSERT INTO identity.tombstone (kind, digest, erasure_id) SELECT 'email', %s, erasure_id FROM e",
            [digest(bytes(key), "email", address)],
        )

    def writes(self) -> list[tuple[str, str]]:
        """The requests that wrote, as method and path."""
        log = self.google.requests()["log"]
        return [(one["method"], one["path"]) for one in log if one["method"] != "GET" and one["path"] != "/token"]


@contextmanager
def google_target(url: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[GoogleTarget]:
    """Start Google, with a root folder and a company of PipeDesk's in the warehouse."""
    with start(["gcalendar", "gdrive"], contacts=30, gcalendar=settings) as simulators:
        environment = {**simulators.environment(), "WAREHOUSE_RETRY_SECONDS": "0.001", "GDRIVE_ROOT_FOLDER_ID": ROOT}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        made = GoogleTarget(url, simulators.of(Google))
        made.query("INSERT INTO pipedesk.companies (id, name) VALUES (%s, 'Acme {{year}} & Co')", [COMPANY])
        yield made
