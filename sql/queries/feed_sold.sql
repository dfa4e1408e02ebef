-- feed_sold: the rows of feed_said of those in feed_home, and of who lives with them. feed_sale_row: their
-- names. feed_activity: for their activities.
CREATE INDEX ON feed_said (organization_id, person_id);
CREATE TEMP TABLE feed_sold ON COMMIT DROP AS
    SELECT f.organization_id, f.home, o.person_id, s.crm, s.source_table, s.source_key, s.status, s.calls_off, s.value_usd,
        s.dated_at, s.said_at
    FROM feed_home AS f
        JOIN (SELECT p.person_id, p.household_id AS home FROM identity.person AS p WHERE p.household_id IS NOT NULL
              UNION ALL
              SELECT p.person_id, p.person_id FROM identity.person AS p WHERE p.household_id IS NULL) AS o USING (home)
        JOIN feed_said AS s ON s.organization_id = f.organization_id AND s.person_id = o.person_id;
ANALYZE feed_sold;
CREATE TEMP TABLE feed_sale_row ON COMMIT DROP AS SELECT DISTINCT source_table, source_key FROM feed_sold;
ANALYZE feed_sale_row;
CREATE TEMP TABLE feed_activity ON COMMIT DROP AS SELECT * FROM marts.activity_timeline LIMIT 0
