"""How pages become batches: full ones from a quick vendor, those of a second from a slow one."""

import time
from datetime import UTC, datetime

import pytest

from warehouse_pipelines.loading import resource
from warehouse_pipelines.loading.resource import EntityRead
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.sources.hubspot import HUBSPOT


@pytest.mark.parametrize(("seconds", "batches"), [(60.0, [3, 1]), (0.01, [1, 1, 1, 1])])
def test_what_a_slow_vendor_gave_so_far_is_a_batch_after_a_while(
    monkeypatch: pytest.MonkeyPatch, seconds: float, batches: list[int]
) -> None:
    """So that it loads while more is read, and little is left to load at the end."""
    monkeypatch.setattr(resource, "CHUNK", 3)
    monkeypatch.setattr(resource, "CHUNK_SECONDS", seconds)

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        for _ in range(4):
            yield Page([b"{}"])
            time.sleep(0.02)
        return ReadReport()

    request = ReadRequest(entity=HUBSPOT.entities[0], window=Window(None, datetime.now(UTC)))
    reading = EntityRead(request, ReadContext())
    assert [len(records) for records, _ in reading.batches(fetch)] == batches
