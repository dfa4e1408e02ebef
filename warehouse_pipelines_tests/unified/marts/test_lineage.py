"""Column lineage: what is written down is what the SQL says, of every column of every mart."""

import psycopg

from warehouse_pipelines.commands import docs
from warehouse_pipelines.unified.marts import lineage
from warehouse_pipelines.unified.marts.rows import MARTS


def test_the_page_is_that_of_the_file() -> None:
    assert docs.LINEAGE_PAGE.read_text(encoding="utf-8") == docs.lineage_page(lineage.known())


def test_every_column_of_every_mart_is_told(shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        for mart in MARTS:
            rows = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [mart.table],
            ).fetchall()
            assert set(lineage.known()[mart.table]) == {row[0] for row in rows}, mart.name


def test_a_columns_origins_are_columns(shared_url: str) -> None:
    """That are in the database, under their tables."""
    with psycopg.connect(shared_url) as connection:
        there = {
            f"{row[0]}.{row[1]}"
            for row in connection.execute(
                "SELECT CASE table_schema WHEN 'public' THEN table_name ELSE table_schema || '.' || table_name END,"
                " column_name FROM information_schema.columns"
            ).fetchall()
        }
    told = {origin for of in lineage.known().values() for origins in of.values() for origin in origins}
    assert not told - there


def test_the_way_of_money_from_a_job_to_a_source() -> None:
    known = lineage.known()
    assert {"genius_job.contract_amount", "hubspot_deal.amount"} <= set(known["marts.activity_timeline"]["amount"])
    assert "marts.activity_timeline.amount" in known["marts.sale"]["amount"]
    assert "marts.sale.amount" in known["marts.attribution_credit"]["linear_amount"]
    assert known["marts.source_roi"]["revenue_linear"] == ("marts.attribution_credit.linear_amount",)
    steps = docs.way(known, "hubspot_", "marts.source_roi")
    assert ("marts.attribution_credit", "marts.source_roi") in steps
    assert ("hubspot_deal", "marts.activity_timeline") in steps
    assert not [start for start, _ in steps if start.startswith("genius_")]


def test_the_file_is_what_the_sql_says() -> None:
    assert lineage.file().read_text(encoding="utf-8") == lineage.written(), (
        "run python -m warehouse_pipelines.commands.docs"
    )
