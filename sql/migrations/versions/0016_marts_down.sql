-- Undo 0016: drop every table of marts but the two that the feed writes. Whatever stands in them, the next run computes.
DO $$
DECLARE
    of_ text;
BEGIN
    FOR of_ IN
        SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'marts'::regnamespace AND c.relkind = 'r'
            AND c.relname NOT IN ('dnc_conflicts', 'refused_costs')
    LOOP
        EXECUTE format('DROP TABLE marts.%I CASCADE', of_);
    END LOOP;
END
$$;
