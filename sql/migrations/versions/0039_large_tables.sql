-- Steps of migrations that run after the transaction of their revision, while others read and write.

CREATE TABLE orchestration.migration_step (
    revision text NOT NULL,
    step text NOT NULL,
    position text,
    begun_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (revision, step)
);
COMMENT ON TABLE orchestration.migration_step IS
    'What a migration does to large tables while others use them: indexes, constraints, values for rows that are there.';
COMMENT ON COLUMN orchestration.migration_step.revision IS 'The revision that the step belongs to.';
COMMENT ON COLUMN orchestration.migration_step.step IS 'What is done.';
COMMENT ON COLUMN orchestration.migration_step.position IS
    'The key up to which the rows of the table have their values; null where the step has none.';
COMMENT ON COLUMN orchestration.migration_step.begun_at IS 'When it was first begun.';
COMMENT ON COLUMN orchestration.migration_step.finished_at IS 'When it was done; null while it is not.';
