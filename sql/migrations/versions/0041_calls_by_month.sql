-- Which months of which table changed, so that a mart need not count all calls; and which call led to what.

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

CREATE TABLE marts.call_conversion (
    person_id    uuid           NOT NULL,
    call_id      text           NOT NULL,
    called_at    timestamptz    NOT NULL,
    month        date           NOT NULL,
    tracker_id   text           NOT NULL,
    appointments integer        NOT NULL,
    jobs         integer        NOT NULL,
    revenue      numeric(14, 2) NOT NULL,
    PRIMARY KEY (person_id, call_id)
);
CREATE INDEX call_conversion_called ON marts.call_conversion (called_at);
COMMENT ON TABLE marts.call_conversion IS
    'The call that led to a person''s appointment, or to the sale without one, and what came of it.';
COMMENT ON COLUMN marts.call_conversion.person_id IS 'The caller: identity.person.';
COMMENT ON COLUMN marts.call_conversion.call_id IS 'callrail_call.id, after the name of the account where it has one.';
COMMENT ON COLUMN marts.call_conversion.called_at IS 'When the call began.';
COMMENT ON COLUMN marts.call_conversion.month IS 'The first day of its month, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.call_conversion.tracker_id IS 'callrail_tracker.id; empty for a call without one.';
COMMENT ON COLUMN marts.call_conversion.appointments IS 'One if the person has an appointment, else none.';
COMMENT ON COLUMN marts.call_conversion.jobs IS 'Sales of the person that stand.';
COMMENT ON COLUMN marts.call_conversion.revenue IS 'What these sales are worth.';
