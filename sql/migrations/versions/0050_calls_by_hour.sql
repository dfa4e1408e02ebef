-- Which hours of which table changed, so that a mart need not count all calls of a month. The first run after this counts all.
DROP TABLE marts.touched_month;
CREATE TABLE marts.touched_hour (
    table_name text        NOT NULL,
    month      date        NOT NULL,
    hour       smallint    NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (table_name, month, hour)
);
COMMENT ON TABLE marts.touched_hour IS
    'Of which month and hour of the day a row was written or deleted: the marts that count by both compute it again.';
COMMENT ON COLUMN marts.touched_hour.table_name IS 'The table of a source that tells of the activity, or a mart with its schema.';
COMMENT ON COLUMN marts.touched_hour.month IS 'The first day of the month, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.touched_hour.hour IS 'The hour of the day, 0 to 23, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.touched_hour.touched_at IS 'When that was last.';
ALTER TABLE marts.call_conversion ADD COLUMN hour smallint;
COMMENT ON COLUMN marts.call_conversion.hour IS
    'The hour of the day in which the call began, 0 to 23, in WAREHOUSE_TIME_ZONE; null until the first run after an upgrade.';
DELETE FROM marts.position WHERE mart IN ('call_performance', 'call_conversion');
