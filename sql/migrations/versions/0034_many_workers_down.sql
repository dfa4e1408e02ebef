-- A lease says nothing while nothing loads: the lock of its entity is free.
DROP TABLE orchestration.entity_lease;

DROP FUNCTION orchestration.take_requests(text, text, integer, double precision, integer, text, double precision);
CREATE FUNCTION orchestration.take_requests(
    of_credential text, of_budget text, of_maximum integer, of_window_seconds double precision, wanted integer,
    of_crm text DEFAULT NULL
) RETURNS double precision
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    width  double precision := of_window_seconds / 20;
    now_at double precision;
    this   bigint;
    taken  bigint;
    oldest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_credential || ':' || of_budget, 1));
    now_at := extract(epoch FROM clock_timestamp());
    this := floor(now_at / width);
    DELETE FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget AND slot < this - 20;
    SELECT coalesce(sum(used), 0), min(slot) INTO taken, oldest FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget;
    IF taken + wanted > of_maximum AND taken > 0 THEN
        RETURN greatest((oldest + 21) * width - now_at, 0.001);
    END IF;
    INSERT INTO orchestration.request_budget (credential, budget, slot, used, crm_source, maximum, window_seconds)
        VALUES (of_credential, of_budget, this, wanted, of_crm, of_maximum, of_window_seconds)
        ON CONFLICT (credential, budget, slot) DO UPDATE SET used = request_budget.used + excluded.used,
            crm_source = excluded.crm_source, maximum = excluded.maximum, window_seconds = excluded.window_seconds;
    RETURN 0;
END
$$;
