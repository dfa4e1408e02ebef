"""A trial reads as a sync does, says what would become of the records, and writes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.loading import trial as trials
from warehouse_pipelines.loading.trial import Level, Trial, trial
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines_tests.harness.fake_source import PAIR, THING, FakeSource, thing
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

AWAY = "postgresql://a:b@127.0.0.1:1/none"
NAME = "Wilhelmina Planted"

WRITTEN = """
    SELECT (SELECT count(*) FROM orchestration.sync_history), (SELECT count(*) FROM orchestration.dead_letter),
        (SELECT count(*) FROM orchestration.request_budget), (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
        FROM pg_stat_user_tables)
    """


@pytest.fixture
def fake(bare_url: str) -> FakeSource:
    return FakeSource(bare_url)


def tried(fake: FakeSource, *pages: Any, level: Level = Level.SAMPLE, url: str | None = None) -> Trial:
    fake.pages = pages
    return trial(fake.source(), fake.entity, level, url)


def written(url: str) -> Any:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        return connection.execute(WRITTEN).fetchone()


def counts(found: Trial) -> tuple[int | None, ...]:
    return found.read, found.new, found.changed, found.unchanged


def test_what_is_new_and_what_changed_is_told_and_nothing_is_written(fake: FakeSource) -> None:
    fake.sync([thing(n) for n in range(5)])
    before = written(fake.url)
    found = tried(fake, [thing(0), thing(1), thing(2, 2, name="another"), thing(8), thing(9)], url=fake.url)
    assert counts(found) == (5, 2, 1, 2)
    assert written(fake.url) == before
    assert len(fake.history()) == 1
    result = fake.sync([thing(0), thing(1), thing(2, 2, name="another"), thing(8), thing(9)])
    assert (result.created, result.updated, result.unchanged) == (2, 1, 2), "a sync does what was said"


def test_a_key_of_several_columns_is_found(fake: FakeSource) -> None:
    fake.entity = PAIR
    fake.sync([{"one": "a", "two": 1, "label": "x"}])
    found = tried(fake, [{"one": "a", "two": 1, "label": "x"}, {"one": "a", "two": 2, "label": "x"}], url=fake.url)
    assert counts(found) == (2, 1, 0, 1)


def test_its_session_cannot_write(fake: FakeSource) -> None:
    with trials._looking(fake.url, THING, Trial(entity=THING)) as stored:
        assert stored is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            stored._session.execute("DELETE FROM orchestration.sync_history")


def test_what_would_be_bad_and_what_would_be_lost_is_told(fake: FakeSource) -> None:
    bad = [thing(1, size="many"), thing(2, amount=-3), thing(3, phone="no number"), thing(4), {"name": NAME}]
    found = tried(fake, bad)
    assert (found.read, found.good + found.rejects.total(), found.new) == (5, 5, None)
    assert "coerce key_missing" in found.rejects
    result = fake.sync(bad)
    assert result.failed == found.rejects.total()


def test_the_level_says_how_much_is_read(fake: FakeSource) -> None:
    many = [[thing(n) for n in range(start, start + 60)] for start in range(0, 240, 60)]
    read = {level: tried(fake, *many, level=level).read for level in Level}
    assert read == {Level.MOCKED: 240, Level.MINIMAL: 10, Level.SAMPLE: 100, Level.RECENT: 240, Level.FULL: 240}
    assert [request.limit for request in fake.asked] == [0, 10, 100, 1_000, 0]
    assert fake.asked[1].page_size <= 10


def test_recent_is_what_changed_in_seven_days(fake: FakeSource) -> None:
    now = datetime.now(UTC)
    recent = {"id": "1", "at": (now - timedelta(days=2)).isoformat()}
    old = {"id": "2", "at": (now - timedelta(days=20)).isoformat()}
    found = tried(fake, [recent, old], level=Level.RECENT)
    assert (found.read, found.good, found.filtered) == (2, 1, 1)
    since = fake.asked[-1].window.since
    assert since is not None
    assert now - since == pytest.approx(timedelta(days=7), abs=timedelta(minutes=5))
    fake.entity = PAIR
    [remark] = tried(fake, [{"one": "a", "two": 1}], level=Level.RECENT).remarks
    assert "no cursor" in remark


def test_the_warehouse_need_not_be_there(fake: FakeSource) -> None:
    found = tried(fake, [thing(1)], url=AWAY)
    assert (found.read, found.good, found.new) == (1, 1, None)
    assert "does not answer" in found.remarks[0]
    fake.entity = replace(THING, table="fake_nowhere")
    assert "warehouse migrate" in tried(fake, [thing(1)], url=fake.url).remarks[0]


def test_what_the_vendor_raises_is_raised(fake: FakeSource) -> None:
    def away(context: ReadContext) -> None:
        raise VendorUnavailable("planted")

    fake.before = away
    with pytest.raises(VendorUnavailable, match="planted"):
        tried(fake, [thing(1)])


@pytest.fixture
def calls(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("callrail_call", database_url, monkeypatch) as harness:
        yield harness


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["try", *words])


def test_the_command_tells_of_a_vendor_what_a_sync_would_do(calls: SourceHarness) -> None:
    first = run("callrail", "calls", "--level", "FULL")
    assert first.exit_code == 0, first.output
    assert " new, 0 changed, 0 unchanged" in first.stdout
    calls.sync()
    before = written(calls.url)
    again = run("callrail", "calls", "--level", "MINIMAL")
    assert "calls: 10 read, 0 new, 0 changed, 10 unchanged" in again.stdout
    assert written(calls.url) == before
    assert "***" in again.stdout
    assert "Nothing was written." in again.stderr


def test_an_entity_that_cannot_be_read_is_told_and_the_others_go_on(calls: SourceHarness) -> None:
    calls.simulator.set_fault("missing_list", path="/tags.json")
    result = run("callrail", "--level", "MINIMAL")
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert any(line.startswith("tags: failed: ") for line in lines)
    assert any(line.startswith("calls: 10 read") for line in lines)


@pytest.mark.parametrize("crm", ["callrail", "hubspot"])
def test_a_simulated_vendor_needs_no_warehouse_and_no_setting(crm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of HubSpot's associations, which are read key by key, too."""
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", AWAY)
    result = run(crm, "--level", "mocked")
    assert result.exit_code == 0, result.output
    assert "failed" not in result.stdout
    read = [
        int(line.split(": ")[1].split()[0].replace(",", "")) for line in result.stdout.splitlines() if " read, " in line
    ]
    assert len(read) > 5
    assert sum(read) > 100
    assert min(read[:5]) > 0


def test_a_word_that_there_is_not_is_wrong_use() -> None:
    assert run("callrail", "--level", "HUGE").exit_code == 2
    assert "Did you mean 'calls'?" in run("callrail", "call").output
