"""What the tests of people and of their leads share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse_pipelines_tests.harness.feed_database import FeedDatabase
from warehouse_pipelines_tests.harness.import_database import ImportDatabase


@pytest.fixture
def fed(database_url: str) -> Iterator[FeedDatabase]:
    """An empty warehouse, with what the tests of the feed write into it."""
    database = FeedDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def crm(database_url: str, tmp_path: Path) -> ImportDatabase:
    """An empty warehouse, into which files of leads are imported."""
    return ImportDatabase(database_url, tmp_path)
