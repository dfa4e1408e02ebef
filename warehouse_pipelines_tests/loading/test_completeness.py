"""Whether a read is complete, as a table: the report of the source, the counts of the run, and the reason.

A row changes one thing of a read that is complete. Nothing is asked for here, and there is no database.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from warehouse_pipelines.errors import SuspiciousRead
from warehouse_pipelines.loading.completeness import Counts, incomplete_reason
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.plan import Plan
from warehouse_pipelines.model.reading import Pages, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines_tests.harness.fake_source import THING, Settings

NOW = datetime(2024, 2, 1, tzinfo=UTC)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
FULL = Plan("full", Window(None, NOW), None, moves_watermark=True, complete_range=Window(None, NOW))
DELTA = Plan("delta", Window(SINCE, NOW), SINCE, moves_watermark=True, complete_range=None)
RANGE = replace(DELTA, complete_range=DELTA.window)
"""A delta whose window is read completely."""

TEN = Counts(read=10, found=10, had_rows=True)
NONE = Counts(read=0, found=0, had_rows=True, living=lambda: 7, living_within=lambda window: 3)
NO_FLAGS = Options()
LIMIT = Options(max_records=10)
FORCE = Options(force=True)
PROVEN = ReadReport()
CHANGES = ReadReport(changes_only=True)
UNPROVEN = ReadReport(unproven="the list is short")


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    yield from ()
    return ReadReport()


SOURCE = Source(
    name="fake", title="Fake", transport="file", settings=Settings, fetch=fetch, check=lambda: "", entities=(THING,)
)


def reason(
    plan: Plan, report: ReadReport | None = PROVEN, counts: Counts = TEN, options: Options = NO_FLAGS
) -> str | None:
    return incomplete_reason(SOURCE, THING, options, plan, report, counts)


@pytest.mark.parametrize(
    ("plan", "changed"),
    [
        pytest.param(FULL, {}, id="a full read of what is there"),
        pytest.param(DELTA, {}, id="a delta"),
        pytest.param(DELTA, {"counts": NONE}, id="a delta of nothing, whose window proves no delete"),
        pytest.param(RANGE, {"counts": replace(NONE, living_within=lambda window: 0)}, id="an empty range, as before"),
        pytest.param(FULL, {"counts": replace(NONE, had_rows=False)}, id="a full read of a table that was empty"),
        pytest.param(FULL, {"report": CHANGES, "counts": NONE}, id="nothing changed since the state"),
        pytest.param(RANGE, {"report": CHANGES, "counts": NONE}, id="nothing changed in a range"),
        pytest.param(FULL, {"counts": replace(TEN, read=12, superseded=2)}, id="older versions among the records"),
        pytest.param(
            DELTA, {"counts": replace(TEN, read=12, outside=2)}, id="a delta that was shown more than its window"
        ),
        pytest.param(FULL, {"report": ReadReport(reported=10, reported_trusted=True)}, id="the vendor's figure"),
        pytest.param(FULL, {"report": ReadReport(reported=99)}, id="another figure, which is not trusted"),
        # Whoever set a limit wanted no more.
        pytest.param(FULL, {"report": None, "options": LIMIT}, id="stopped by a limit, without a report"),
        pytest.param(FULL, {"report": None, "counts": NONE}, id="stopped before the first record"),
        pytest.param(FULL, {"report": UNPROVEN, "options": LIMIT}, id="unproven, within a limit"),
        pytest.param(replace(FULL, narrowed=True), {"report": UNPROVEN, "counts": NONE}, id="narrowed by a flag"),
        pytest.param(
            FULL,
            {"report": ReadReport(reported=99, reported_trusted=True), "options": LIMIT},
            id="the vendor's figure, within a limit",
        ),
        pytest.param(FULL, {"counts": NONE, "options": FORCE}, id="a full read of nothing, by --force"),
        pytest.param(RANGE, {"counts": NONE, "options": FORCE}, id="an empty range, by --force"),
    ],
)
def test_a_read_is_complete(plan: Plan, changed: dict[str, Any]) -> None:
    assert reason(plan, **changed) is None


@pytest.mark.parametrize(
    ("plan", "changed", "said"),
    [
        pytest.param(FULL, {"counts": replace(TEN, endless=True)}, "safety_limit: ", id="given up"),
        pytest.param(DELTA, {"counts": replace(TEN, endless=True), "report": None}, "safety_limit: ", id="by a delta"),
        pytest.param(FULL, {"report": UNPROVEN}, "the list is short", id="unproven"),
        pytest.param(DELTA, {"report": UNPROVEN}, "the list is short", id="a delta that is unproven"),
        pytest.param(FULL, {"report": UNPROVEN, "options": FORCE}, "the list is short", id="unproven, by --force"),
        pytest.param(
            FULL,
            {"report": ReadReport(changes_only=True, unproven="a calendar is not shared"), "options": LIMIT},
            "a calendar is not shared",
            id="changes that are unproven, within a limit",
        ),
        pytest.param(RANGE, {"counts": NONE}, "3 living rows", id="an empty range where rows are known"),
        pytest.param(
            RANGE, {"counts": replace(NONE, read=5, outside=5)}, "3 living rows", id="records of other ranges only"
        ),
        pytest.param(FULL, {"counts": replace(TEN, read=12)}, "2 of 12 records", id="records that were not loaded"),
        pytest.param(
            DELTA, {"counts": replace(TEN, read=13, outside=2)}, "3 of 13 records", id="one was lost by a delta"
        ),
        pytest.param(DELTA, {"counts": replace(TEN, outside=1)}, "0 of 10 records", id="one was counted twice"),
        pytest.param(
            FULL, {"report": ReadReport(reported=11, reported_trusted=True)}, "it has 11 things", id="one is missing"
        ),
        pytest.param(
            DELTA, {"report": ReadReport(reported=9, reported_trusted=True)}, "it has 9 things", id="one too many"
        ),
    ],
)
def test_a_read_is_incomplete(plan: Plan, changed: dict[str, Any], said: str) -> None:
    assert said in str(reason(plan, **changed))


def test_the_safety_limit_goes_before_the_sources_own_reason() -> None:
    assert str(reason(FULL, UNPROVEN, replace(TEN, endless=True))).startswith("safety_limit: ")


@pytest.mark.parametrize("report", [PROVEN, UNPROVEN], ids=["proven", "unproven"])
def test_a_full_read_of_nothing_where_rows_are_known_is_an_error(report: ReadReport) -> None:
    with pytest.raises(SuspiciousRead, match=r"no things at all, and fake_thing has 7 living rows.*--force"):
        reason(FULL, report, NONE)


def test_rows_are_counted_only_where_the_answer_depends_on_them() -> None:
    """A count is a scan of the table."""

    def refuse(*_: Any) -> int:
        raise AssertionError("counted")

    counts = replace(TEN, living=refuse, living_within=refuse)
    for plan in (FULL, DELTA, RANGE):
        assert reason(plan, counts=counts) is None
    assert reason(FULL, CHANGES, replace(counts, read=0, found=0)) is None
