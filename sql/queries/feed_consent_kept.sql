-- What flags say now goes into crm.consent_fact. A flag that is set again counts from then, as does a status that says it
-- by another word; one that is withdrawn is marked, and only what says so expressly withdraws: silence does not. A consent
-- without a time of its own is not dated, and gets the time when the source tells it.
WITH fresh AS (
    SELECT DISTINCT ON (organization_id, source_table, source_key, flag) * FROM feed_consent
    ORDER BY organization_id, source_table, source_key, flag, value DESC, given_at
), withdrawn AS (
    UPDATE crm.consent_fact AS f SET withdrawn_at = least(greatest(n.edited_at, f.given_at), now())
    FROM fresh AS n
    WHERE (f.organization_id, f.source_table, f.source_key, f.flag)
            = (n.organization_id, n.source_table, n.source_key, n.flag)
        AND NOT n.value AND f.withdrawn_at IS NULL AND f.says <> 'not_before'
)
INSERT INTO crm.consent_fact AS f (organization_id, source_table, source_key, flag, crm, says, channels, phone, proof,
                                   given_at, until, seen_at, is_dated)
    SELECT organization_id, source_table, source_key, flag, crm, says, channels, phone, proof,
        least(given_at, now()), until, seen_at, is_dated
    FROM fresh WHERE value
    ON CONFLICT (organization_id, source_table, source_key, flag) DO UPDATE
        SET channels = excluded.channels, phone = coalesce(excluded.phone, f.phone), proof = excluded.proof,
            until = excluded.until,
            given_at = CASE WHEN f.withdrawn_at IS NOT NULL THEN greatest(excluded.given_at, f.withdrawn_at)
                            WHEN f.says = 'opt_out' AND f.proof <> excluded.proof
                            THEN greatest(excluded.given_at, f.given_at)
                            WHEN f.says = 'consent' AND f.is_dated IS NOT TRUE THEN excluded.given_at
                            ELSE f.given_at END,
            is_dated = f.withdrawn_at IS NOT NULL OR f.is_dated IS TRUE OR excluded.is_dated,
            seen_at = CASE WHEN f.withdrawn_at IS NOT NULL OR f.says = 'opt_out' AND f.proof <> excluded.proof THEN now()
                           ELSE f.seen_at END,
            withdrawn_at = NULL
        WHERE f.withdrawn_at IS NOT NULL OR (f.channels, f.proof, f.until)
                IS DISTINCT FROM (excluded.channels, excluded.proof, excluded.until)
            OR f.says = 'consent' AND f.is_dated IS NOT TRUE
                AND (f.is_dated, f.given_at) IS DISTINCT FROM (excluded.is_dated, excluded.given_at)
