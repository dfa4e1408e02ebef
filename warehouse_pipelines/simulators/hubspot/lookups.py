"""What makes codes of the simulated portal readable: owners, and the pipelines of deals with their stages.

Owners that are archived stand in a list of their own; a pipeline or stage that is deleted leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.population import Population

OWNERS = 5
FIRST_OWNER = 77
STAGES = (
    ("appointmentscheduled", "Appointment scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified to buy", "0.4"),
    ("contractsent", "Contract sent", "0.9"),
    ("closedwon", "Closed won", "1.0"),
    ("closedlost", "Closed lost", "0.0"),
)
SERVICE_STAGES = (("1300001", "Reported", "0.5"), ("1300002", "Repaired", "1.0"))

Record = dict[str, Any]


def owner_of(person: int) -> str:
    """The id of the owner who looks after a person: one of the first users of Genius."""
    return str(FIRST_OWNER + person // 2 % OWNERS)


class Lookups:
    """`owners` with `archived`, and `pipelines` with their `stages`, as they are served."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self.owners = [self._owner(number) for number in range(OWNERS)]
        self.pipelines = [
            self._pipeline("default", "Sales pipeline", 0, STAGES),
            self._pipeline("1300000", "Service", 1, SERVICE_STAGES),
        ]
        self._gone: dict[str, tuple[list[Record], Record]] = {}

    def _owner(self, number: int) -> Record:
        person = self._population.employee(1 + number)
        return {
            "id": str(FIRST_OWNER + number),
            "email": journey.work_email(person, 1 + number),
            "type": "PERSON",
            "firstName": person.first_name,
            "lastName": person.last_name,
            "userId": 12 + number,
            "userIdIncludingInactive": 12 + number,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "archived": False,
            "teams": [{"id": "5", "name": "East", "primary": True}],
        }

    def _pipeline(self, key: str, label: str, place: int, stages: tuple[tuple[str, str, str], ...]) -> Record:
        return {
            "id": key,
            "label": label,
            "displayOrder": place,
            "stages": [
                self._stage(stage, name, number, probability)
                for number, (stage, name, probability) in enumerate(stages)
            ],
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "archived": False,
        }

    def _stage(self, key: str, label: str, place: int, probability: str) -> Record:
        return {
            "id": key,
            "label": label,
            "displayOrder": place,
            "metadata": {"probability": probability, "isClosed": str(probability in ("0.0", "1.0")).lower()},
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "archived": False,
        }

    def _lists(self, kind: str) -> Iterator[list[Record]]:
        if kind == "stages":
            yield from (pipeline["stages"] for pipeline in self.pipelines)
        elif kind in ("owners", "pipelines"):
            yield self.owners if kind == "owners" else self.pipelines
        else:
            raise ValueError(f"owners, pipelines or stages, not {kind!r}")

    def all(self, kind: str) -> list[Record]:
        """What is not archived, in the order in which it is served."""
        return [record for records in self._lists(kind) for record in records if not record["archived"]]

    def find(self, kind: str, key: str) -> tuple[list[Record], Record]:
        """A record, and the list that it stands in. Raises ``ValueError``."""
        for records in self._lists(kind):
            for record in records:
                if record["id"] == key:
                    return records, record
        raise ValueError(f"no {kind} {key}")

    def create(self, kind: str) -> str:
        key = str(1_400_000 + sum(len(records) for records in self._lists(kind)))
        *_, last = self._lists(kind)
        if kind == "owners":
            last.append({**self._owner(len(last)), "id": key})
        elif kind == "pipelines":
            last.append(self._pipeline(key, f"Pipeline {key}", len(last), ((f"{key}1", "Begun", "0.1"),)))
        else:
            last.append(self._stage(key, f"Stage {key}", len(last), "0.5"))
        return key

    def remove(self, kind: str, key: str) -> None:
        records, record = self.find(kind, key)
        if kind == "owners":
            record["archived"] = True
        else:
            self._gone[key] = records, record
            records.remove(record)

    def clear(self, kind: str) -> None:
        for records in self._lists(kind):
            records.clear()

    def restore(self, kind: str, key: str) -> None:
        if kind == "owners":
            self.find(kind, key)[1]["archived"] = False
        else:
            records, record = self._gone.pop(key)
            records.append(record)
