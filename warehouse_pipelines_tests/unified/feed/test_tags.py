"""Tags and segments at the size of a business: found by the index, and by the language of segments."""

import json

from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase

HOT = {"field": "tags", "op": "has", "value": "hot"}


def test_story_3_11_a_tag_is_found_by_its_index_and_by_a_segment(fed: FeedDatabase) -> None:
    """Of twenty thousand leads one in a hundred is hot, and one in three hundred is hot and a referral."""
    with fed.session.transaction():
        fed.session.execute("SET LOCAL session_replication_role = replica")  # no log of what is not tested here
        fed.session.execute(
            "INSERT INTO crm.leads (organization_id, first_name, tags) SELECT %s, 'n' || n, CASE WHEN n %% 300 = 0 THEN"
            " '{hot,referral}'::text[] WHEN n %% 100 = 0 THEN '{hot}' WHEN n %% 3 = 0 THEN '{cold}' ELSE '{}' END"
            " FROM generate_series(1, 20000) AS n",
            [ORGANIZATION],
        )
    fed.session.execute("ANALYZE crm.leads")
    plan = "\n".join(
        row["QUERY PLAN"] for row in fed.all("EXPLAIN SELECT id FROM crm.leads WHERE tags @> ARRAY['hot']")
    )
    assert "Bitmap Index Scan on leads_tags" in plan
    assert fed.one("SELECT count(*) AS n FROM crm.leads WHERE tags @> ARRAY['hot']")["n"] == 200
    segment = fed.one(
        "INSERT INTO crm.segments (organization_id, name, filter_criteria) VALUES (%s, 'Hot', %s) RETURNING id",
        [ORGANIZATION, json.dumps({"and": [HOT, {"field": "tags", "op": "has", "value": "referral"}]})],
    )["id"]
    with fed.session.transaction():
        fed.session.execute("SELECT set_config('app.organization_id', %s, true)", [ORGANIZATION])
        assert fed.one("SELECT count(*) AS n FROM crm.evaluate_filter(%s)", [json.dumps(HOT)])["n"] == 200
        assert fed.one("SELECT count(*) AS n FROM crm.evaluate_segment(%s)", [segment])["n"] == 66
