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

-- As before, and whoever has to wait is given its turn at once, behind all that wait already: it need not ask again, and
-- no process is starved by another that asks faster. A longer wait than of_longest_wait reserves nothing.
DROP FUNCTION orchestration.take_requests(text, text, integer, double precision, integer, text);
CREATE FUNCTION orchestration.take_requests(
    of_credential text, of_budget text, of_maximum integer, of_window_seconds double precision, wanted integer,
    of_crm text DEFAULT NULL, of_longest_wait double precision DEFAULT 0
) RETURNS double precision
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    width  double precision := of_window_seconds / 20;
    now_at double precision;
    this   bigint;
    turn   bigint;
    taken  bigint;
    oldest bigint;
    wait   double precision := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_credential || ':' || of_budget, 1));
    now_at := extract(epoch FROM clock_timestamp());
    this := floor(now_at / width);
    DELETE FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget AND slot < this - 20;
    SELECT greatest(this, max(slot)) INTO turn FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget;
    LOOP
        SELECT coalesce(sum(used), 0), min(slot) INTO taken, oldest FROM orchestration.request_budget
            WHERE credential = of_credential AND budget = of_budget AND slot >= turn - 20;
        EXIT WHEN taken + wanted <= of_maximum OR taken = 0;
        turn := oldest + 21;
    END LOOP;
    IF turn > this THEN
        wait := greatest(turn * width - now_at, 0.001);
        IF wait > of_longest_wait THEN
            RETURN wait;
        END IF;
    END IF;
    INSERT INTO orchestration.request_budget (credential, budget, slot, used, crm_source, maximum, window_seconds)
        VALUES (of_credential, of_budget, turn, wanted, of_crm, of_maximum, of_window_seconds)
        ON CONFLICT (credential, budget, slot) DO UPDATE SET used = request_budget.used + excluded.used,
            crm_source = excluded.crm_source, maximum = excluded.maximum, window_seconds = excluded.window_seconds;
    RETURN wait;
END
$$;
