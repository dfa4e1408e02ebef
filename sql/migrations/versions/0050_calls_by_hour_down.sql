DELETE FROM marts.position WHERE mart IN ('call_performance', 'call_conversion');
ALTER TABLE marts.call_conversion DROP COLUMN hour;
DROP TABLE marts.touched_hour;
CREATE TABLE marts.touched_month (
    table_name text        NOT NULL,
    month      date        NOT NULL,
    touched_at timestamptz NOT NULL,
    PRIMARY KEY (table_name, month)
);
COMMENT ON TABLE marts.touched_month IS 'Of which month a row was written or deleted: the marts that count by month compute it again.';
COMMENT ON COLUMN marts.touched_month.table_name IS 'The table of a source that tells of the activity, or a mart with its schema.';
COMMENT ON COLUMN marts.touched_month.month IS 'The first day of the month, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.touched_month.touched_at IS 'When that was last.';
