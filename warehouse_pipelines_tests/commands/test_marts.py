"""``warehouse marts``: what it shows of each."""

import pytest
from click.testing import CliRunner

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.orchestration import asset_facts


@pytest.mark.slow("the same in other circumstances")
def test_of_a_large_mart_the_rows_are_told_as_estimated(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with warehouse.session(database_url) as session:
        session.execute(
            "INSERT INTO marts.sale (source_table, source_key, sold_at, sold_day, matched_by, records, is_standing)"
            " SELECT 'genius_job', n, now(), current_date, 'alone', '{}', true FROM generate_series(1, 3) AS n"
        )
        session.execute("ANALYZE marts.sale")
    monkeypatch.setattr(asset_facts, "COUNTED_BYTES", 0)
    done = CliRunner().invoke(main, ["marts", "sale"])
    assert done.exit_code == 0, done.output
    assert "about 3" in " ".join(done.output.split())
