-- The end of a restore's transaction: sessions of browsers end, because one may have been signed out since the backup;
-- sequences are switched off, because who opted out since then is not known. The schema restore_unfinished stays until
-- the rows have been compared. A table that the backup is too old for is passed over.
DO $$
BEGIN
    IF to_regclass('access.session') IS NOT NULL THEN
        DELETE FROM access.session;
    END IF;
    IF to_regclass('crm.nurture_sequences') IS NOT NULL THEN
        UPDATE crm.nurture_sequences SET is_active = false WHERE is_active;
    END IF;
END
$$;
CREATE SCHEMA restore_unfinished;
COMMENT ON SCHEMA restore_unfinished IS 'The restore into this database has not ended. It drops this schema at its end.';
