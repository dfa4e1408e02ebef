"""One vendor's ``fetch`` run without a warehouse: what it is told, and what came of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Budget, Page, Pages, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json

SAMPLES = Path(__file__).parents[1] / "samples"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


@dataclass
class Held:
    """What the warehouse is said to hold already."""

    living: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    stored: dict[str, bytes] = field(default_factory=dict)
    hashed: dict[tuple[str, ...], int] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    """The columns of which it was asked whether there are values."""

    def keys(self, table: str) -> Iterator[str]:
        return iter(self.living)

    def keys_in(self, entity: Entity, window: Window) -> Iterator[tuple[str, ...]]:
        return iter([(key,) for key in self.living])

    def archived(self, table: str, since: datetime) -> set[str]:
        return self.deleted

    def records(self, table: str, keys: Sequence[str], key: str = "id", *, living: bool = False) -> dict[str, bytes]:
        return {one: self.stored[one] for one in keys if one in self.stored}

    def hashes(self, entity: Entity) -> Iterator[tuple[tuple[str, ...], int]]:
        return iter(sorted(self.hashed.items()))

    def filled(self, entity: Entity, columns: Sequence[str]) -> set[str]:
        self.asked |= set(columns)
        return self.values & set(columns)


class Read:
    """One reading; ``pages`` may be walked step by step, everything else walks to the end first."""

    def __init__(
        self,
        source: Source,
        entity: Entity,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        known: Held | None = None,
        page_size: int | None = None,
        limit: int = 0,
        state: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        self.taken: list[Budget] = []
        self.context = ReadContext(
            known=known or Held(), acquire=lambda credential, budget, longest_wait: self.taken.append(budget)
        )
        self.request = ReadRequest(
            entity=entity,
            window=Window(since, until or datetime.now(UTC)),
            page_size=page_size or entity.page_size or source.page_size,
            limit=limit,
            state=state,
            options=options,
        )
        self.pages = self._kept(source.fetch(self.request, self.context))
        self._seen: list[Page] = []
        self._report: ReadReport | None = None

    def _kept(self, pages: Pages) -> Iterator[Page]:
        self._report = yield from pages

    def step(self) -> Page:
        self._seen.append(next(self.pages))
        return self._seen[-1]

    def finished(self) -> "Read":
        self._seen += self.pages
        return self

    @property
    def report(self) -> ReadReport:
        report = self.finished()._report
        assert report is not None
        return report

    @property
    def raw(self) -> list[bytes]:
        """The records as they came, also those that are none."""
        return [bytes(record) for page in self.finished()._seen for record in page.records]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(record) for record in self.raw]

    @property
    def beside_the_window(self) -> list[dict[str, Any]]:
        return [json.loads(record) for page in self.finished()._seen if not page.in_window for record in page.records]

    @property
    def ids(self) -> list[str]:
        return sorted(str(record["id"]) for record in self.records)

    @property
    def calls(self) -> int:
        return self.finished().context.calls


@contextmanager
def served(answers: Mapping[str, Any]) -> Iterator[str]:
    """Serve documented answers under their paths and yield the address; any other path is 404.

    An answer may be a function of the request.
    """

    def answer(request: Request) -> Answer:
        found = answers.get(request.path)
        if callable(found):
            found = found(request)
        return answer_json(404, {"error": "not found"}) if found is None else answer_json(200, found)

    listener = Listener("127.0.0.1", 0, answer)
    try:
        yield listener.url
    finally:
        listener.close()
