-- Who may load an entity. Half of a page is left free, so that renewing a row touches no index.
CREATE TABLE orchestration.entity_lease (
    crm_source text        NOT NULL,
    sync_type  text        NOT NULL,
    token      bigint      NOT NULL,
    holder     text        NOT NULL,
    run_id     text,
    taken_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (crm_source, sync_type)
) WITH (fillfactor = 50);
REVOKE ALL ON orchestration.entity_lease FROM PUBLIC;
COMMENT ON TABLE orchestration.entity_lease IS
    'Which run may load an entity: the last one that took its lock. A row stays when the run has ended.';
COMMENT ON COLUMN orchestration.entity_lease.crm_source IS 'The CRM.';
COMMENT ON COLUMN orchestration.entity_lease.sync_type IS 'The entity.';
COMMENT ON COLUMN orchestration.entity_lease.token IS
    'Grows with every holder; a transaction that loads commits only while the lease still has its token.';
COMMENT ON COLUMN orchestration.entity_lease.holder IS 'The machine and the process of the holder.';
COMMENT ON COLUMN orchestration.entity_lease.run_id IS 'Its run in Dagster.';
COMMENT ON COLUMN orchestration.entity_lease.taken_at IS 'When it took the lease.';
COMMENT ON COLUMN orchestration.entity_lease.renewed_at IS
    'When it last renewed it; a holder that is silent for 20 s may be replaced.';
