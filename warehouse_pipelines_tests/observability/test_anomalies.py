"""Unusual numbers: a planted outage is found within two runs, and neither a weekend nor a month's end is one.

``benchmarks/anomalies.py`` measures the same over a quarter, with more entities.
"""

import pytest

from warehouse_pipelines_tests.harness.alerting import HOUR
from warehouse_pipelines_tests.harness.operation import Workload, operate, summary


@pytest.mark.slow("the same in other circumstances")
def test_an_outage_is_found_within_two_runs_and_a_sunday_is_none(database_url: str) -> None:
    found = operate(database_url, 3, [Workload("hubspot", "contacts", 4 * HOUR, 30)])
    figures = summary(found, 3)
    assert (figures["outages"], figures["found"], figures["most_runs"]) == (2, 2, 2), [one.outages for one in found]
    assert figures["little_found"] == 1, "a tenth of the usual is unusual too"
    assert figures["false_alarms"] == 0, [entity.false_alarms for entity in found]
