-- How many deliveries of webhooks ended how, those too that are refused and not kept.
CREATE TABLE orchestration.webhook_outcome (
    source     text        NOT NULL CHECK (source ~ '^[a-z0-9]{1,50}$'),
    hour       timestamptz NOT NULL,
    outcome    text        NOT NULL CHECK (outcome ~ '^[a-z ]{1,50}$'),
    deliveries bigint      NOT NULL CHECK (deliveries > 0),
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (source, hour, outcome)
);
COMMENT ON TABLE orchestration.webhook_outcome IS
    'How many deliveries to `warehouse serve` ended how, by the hour. Of one that is refused nothing else is kept.';
COMMENT ON COLUMN orchestration.webhook_outcome.source IS
    'Who delivers, as in the address /webhooks/<source>; unknown for an address of no vendor.';
COMMENT ON COLUMN orchestration.webhook_outcome.hour IS 'The hour in UTC at which they were counted.';
COMMENT ON COLUMN orchestration.webhook_outcome.outcome IS
    'accepted, duplicate, ignored (of a channel that was stopped) and failed (signed and unreadable) were answered 200; refused 401; not found 404; too slow 408; too large 413; too many 429; away and no room 503; broken off and unstorable 400.';
COMMENT ON COLUMN orchestration.webhook_outcome.deliveries IS 'How many.';
COMMENT ON COLUMN orchestration.webhook_outcome.last_at IS 'When the last ones were counted.';
