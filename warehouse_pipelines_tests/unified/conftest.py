"""What the tests of people and of their leads share."""

from collections.abc import Iterator

import pytest

from warehouse_pipelines_tests.harness.feed_database import FeedDatabase


@pytest.fixture
def fed(database_url: str) -> Iterator[FeedDatabase]:
    """An empty warehouse, with what the tests of the feed write into it."""
    database = FeedDatabase(database_url)
    yield database
    database.close()
