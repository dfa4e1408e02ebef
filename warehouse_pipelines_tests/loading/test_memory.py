"""The memory of a run does not grow with what it reads."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

PROGRAM = """
import resource, sys
from warehouse_pipelines_tests.harness.fake_source import FakeSource, page, thing

def pages(count):
    for start in range(0, count, 1000):
        yield page(*(thing(n, 1, size=n, doc={"text": "x" * 500, "n": n}) for n in range(start, start + 1000)))

fake = FakeSource(sys.argv[1])
fake.pages = pages(int(sys.argv[2]))
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
result = sync(fake.source(), fake.entity, Options(), url=fake.url)
assert result.created == int(sys.argv[2]), result
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, result.metrics["records_per_second"])
"""


FEW, MANY = 10_000, 60_000


@pytest.mark.slow("many records")
def test_peak_memory_flat(database_url: str) -> None:
    """Six times the records, at most a fifth more memory; and more than 67 records a second."""
    import psycopg

    peaks = {}
    for count in (FEW, MANY):
        with psycopg.connect(database_url) as connection:
            connection.execute("DROP TABLE IF EXISTS fake_thing, fake_entry, fake.pair")
            connection.execute("DROP SCHEMA IF EXISTS fake CASCADE")
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, database_url, str(count)],
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        peak, speed = map(float, ended.stdout.split())
        peaks[count] = peak
        assert speed > 67, datetime.now(UTC)
    assert peaks[MANY] <= 1.2 * peaks[FEW], peaks
