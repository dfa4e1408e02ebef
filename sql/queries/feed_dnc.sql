-- The do-not-call list from crm.consent_fact: every number of the person for calls and texts, and the lead for e-mail and
-- post. An entry that somebody ended stays ended until a source says it anew; nobody's own number is listed.
CREATE TEMP TABLE feed_live ON COMMIT DROP AS
    SELECT l.id AS lead_id, l.golden_id AS person_id, l.phone FROM crm.leads AS l JOIN feed_person AS p
        ON p.person_id = l.golden_id
    WHERE l.organization_id = %(organization)s AND l.deleted_at IS NULL;
ANALYZE feed_live;
CREATE TEMP TABLE feed_number ON COMMIT DROP AS
    SELECT DISTINCT n.person_id, n.phone
    FROM (SELECT m.person_id, unnest(r.phones) AS phone
          FROM feed_member AS m
              JOIN identity.record AS r ON r.source_table = m.source_table AND r.source_key = m.source_key
          WHERE m.person_id IN (SELECT f.person_id FROM feed_fact AS f WHERE f.says <> 'consent')
          UNION ALL
          SELECT f.person_id, f.phone FROM feed_fact AS f WHERE f.person_id IS NOT NULL AND f.phone IS NOT NULL) AS n
    WHERE n.phone NOT IN (SELECT o.phone FROM feed_own AS o);
ANALYZE feed_number;
INSERT INTO crm.dnc_list (organization_id, phone, reason, channels, detected_by, evidence, lead_id, expires_at, since)
    WITH wanted AS (
        SELECT coalesce(n.phone, f.phone) AS phone, l.lead_id,
            ARRAY(SELECT c FROM unnest(f.channels) AS c WHERE c IN ('call', 'sms') ORDER BY c) AS channels,
            f.says, f.until, f.given_at, f.seen_at, f.source_table, f.source_key, f.flag
        FROM feed_fact AS f
            LEFT JOIN feed_number AS n ON n.person_id = f.person_id
            LEFT JOIN feed_live AS l ON l.person_id = f.person_id
        WHERE f.says <> 'consent' AND f.channels && '{call,sms}'
            AND coalesce(n.phone, f.phone) IS NOT NULL
            AND coalesce(n.phone, f.phone) NOT IN (SELECT o.phone FROM feed_own AS o)
        UNION ALL
        SELECT NULL, l.lead_id,
            ARRAY(SELECT c FROM unnest(f.channels) AS c WHERE c IN ('email', 'mail')
                  OR (c IN ('call', 'sms') AND l.phone IS NULL) ORDER BY c),
            f.says, f.until, f.given_at, f.seen_at, f.source_table, f.source_key, f.flag
        FROM feed_fact AS f JOIN feed_live AS l ON l.person_id = f.person_id
        WHERE f.says <> 'consent' AND (f.channels && '{email,mail}' OR l.phone IS NULL)
    ), one_each AS (
        SELECT DISTINCT ON (w.phone, CASE WHEN w.phone IS NULL THEN w.lead_id END, w.channels, w.says) w.*
        FROM wanted AS w
        WHERE w.says = 'opt_out' OR w.until > now()
        ORDER BY w.phone, CASE WHEN w.phone IS NULL THEN w.lead_id END, w.channels, w.says, w.until DESC NULLS FIRST,
            w.given_at, w.source_table, w.source_key, w.flag
    )
    SELECT %(organization)s, w.phone, CASE w.says WHEN 'opt_out' THEN 'opt_out' ELSE 'temporary' END, w.channels,
        'import', concat_ws(' ', w.source_table, w.source_key) || ': ' || w.flag, w.lead_id,
        CASE WHEN w.says = 'not_before' THEN w.until END, w.given_at
    FROM one_each AS w
    -- Not what holds already, and not what a person ended after the source had said it.
    WHERE NOT EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE d.organization_id = %(organization)s AND d.phone = w.phone AND d.channels @> w.channels
                AND (d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at >= w.until) OR d.ended_at >= w.seen_at))
        AND NOT EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE w.phone IS NULL AND d.organization_id = %(organization)s AND d.lead_id = w.lead_id
                AND d.channels @> w.channels
                AND (d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at >= w.until) OR d.ended_at >= w.seen_at))
