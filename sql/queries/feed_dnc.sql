-- The do-not-call list from crm.consent_fact: every number of the person for calls and texts, and the lead for e-mail and
-- post. Who shares a number has an entry of it each: an entry that somebody ends is ended for its person alone, and stays
-- so until a source says it anew. One that was entered for a number, and for no lead, is about whoever has it. Of a person
-- who has no number, or only one of our own, the lead is listed for calls and texts.
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
CREATE INDEX ON feed_number (person_id);
ANALYZE feed_number;
CREATE TEMP TABLE feed_wish ON COMMIT DROP AS
    WITH said AS (
        SELECT f.person_id, f.phone, l.lead_id, f.channels, f.says, f.until, f.given_at, f.seen_at, f.source_table,
            f.source_key, f.flag,
            l.phone IS NULL OR NOT EXISTS (SELECT FROM feed_number AS n WHERE n.person_id = f.person_id) AS has_no_number,
            concat_ws(' ', f.source_table, f.source_key) || ': ' || f.flag AS evidence
        FROM feed_fact AS f LEFT JOIN feed_live AS l ON l.person_id = f.person_id
        WHERE f.says = 'opt_out' OR f.says = 'not_before' AND f.until > now()
    )
    SELECT coalesce(n.phone, s.phone) AS phone, s.person_id, s.lead_id,
        ARRAY(SELECT c FROM unnest(s.channels) AS c WHERE c IN ('call', 'sms') ORDER BY c) AS channels,
        s.says, s.until, s.given_at, s.seen_at, s.source_table, s.source_key, s.flag, s.evidence
    FROM said AS s LEFT JOIN feed_number AS n ON n.person_id = s.person_id
    WHERE s.channels && '{call,sms}' AND coalesce(n.phone, s.phone) IS NOT NULL
        AND coalesce(n.phone, s.phone) NOT IN (SELECT o.phone FROM feed_own AS o)
    UNION ALL
    SELECT NULL, s.person_id, s.lead_id,
        ARRAY(SELECT c FROM unnest(s.channels) AS c
              WHERE c IN ('email', 'mail') OR c IN ('call', 'sms') AND s.has_no_number ORDER BY c),
        s.says, s.until, s.given_at, s.seen_at, s.source_table, s.source_key, s.flag, s.evidence
    FROM said AS s
    WHERE s.lead_id IS NOT NULL AND (s.channels && '{email,mail}' OR s.has_no_number);
CREATE INDEX ON feed_wish (phone);
CREATE INDEX ON feed_wish (person_id);
ANALYZE feed_wish;
-- All leads that a person has or had, and by what evidence its entries are known.
CREATE TEMP TABLE feed_whose ON COMMIT DROP AS
    WITH ids AS (
        SELECT w.person_id AS golden_id, w.person_id FROM feed_wish AS w WHERE w.person_id IS NOT NULL
        UNION SELECT a.alias_id, a.person_id FROM identity.alias AS a
        WHERE a.person_id IN (SELECT w.person_id FROM feed_wish AS w)
    )
    SELECT l.id AS lead_id, i.person_id
    FROM ids AS i JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.golden_id = i.golden_id;
CREATE INDEX ON feed_whose (lead_id);
ANALYZE feed_whose;
CREATE TEMP TABLE feed_evidence ON COMMIT DROP AS
    SELECT DISTINCT f.person_id, concat_ws(' ', f.source_table, f.source_key) || ': ' || f.flag AS evidence
    FROM feed_fact AS f WHERE f.person_id IN (SELECT w.person_id FROM feed_wish AS w);
CREATE INDEX ON feed_evidence (evidence);
ANALYZE feed_evidence;
-- The entries of these numbers and leads, each with the people that it is about.
CREATE TEMP TABLE feed_entry ON COMMIT DROP AS
    WITH entry AS (
        SELECT d.id, d.phone, d.lead_id, d.channels, d.evidence, d.detected_by, d.expires_at, d.ended_at
        FROM crm.dnc_list AS d
        WHERE d.organization_id = %(organization)s AND d.phone IN (SELECT w.phone FROM feed_wish AS w)
            AND d.ended_at IS NULL
        UNION
        SELECT d.id, d.phone, d.lead_id, d.channels, d.evidence, d.detected_by, d.expires_at, d.ended_at
        FROM crm.dnc_list AS d
        WHERE d.organization_id = %(organization)s AND d.phone IN (SELECT w.phone FROM feed_wish AS w)
            AND d.ended_at IS NOT NULL
        UNION
        SELECT d.id, d.phone, d.lead_id, d.channels, d.evidence, d.detected_by, d.expires_at, d.ended_at
        FROM feed_whose AS x JOIN crm.dnc_list AS d ON d.organization_id = %(organization)s AND d.lead_id = x.lead_id
    )
    SELECT e.phone, e.lead_id, e.channels, e.evidence, e.expires_at, e.ended_at, about.person_id,
        e.lead_id IS NULL AND e.detected_by <> 'import' AS is_anybodys
    FROM entry AS e
        LEFT JOIN LATERAL (
            SELECT x.person_id FROM feed_whose AS x WHERE x.lead_id = e.lead_id
            UNION SELECT v.person_id FROM feed_evidence AS v WHERE v.evidence = e.evidence) AS about ON true;
CREATE INDEX ON feed_entry (phone);
CREATE INDEX ON feed_entry (person_id);
ANALYZE feed_entry;
INSERT INTO crm.dnc_list (organization_id, phone, reason, channels, detected_by, evidence, lead_id, expires_at, since)
    SELECT DISTINCT ON (w.phone, w.person_id, w.channels, w.says)
        %(organization)s, w.phone, CASE w.says WHEN 'opt_out' THEN 'opt_out' ELSE 'temporary' END, w.channels,
        'import', w.evidence, w.lead_id, CASE WHEN w.says = 'not_before' THEN w.until END, w.given_at
    FROM feed_wish AS w
    -- Not what holds already, and not what a person ended after the source had said it.
    WHERE NOT EXISTS (
            SELECT FROM feed_entry AS e
            WHERE e.phone = w.phone AND e.channels @> w.channels
                AND (e.person_id = w.person_id OR e.evidence = w.evidence OR e.is_anybodys
                     OR w.person_id IS NULL AND e.person_id IS NULL AND e.lead_id IS NULL)
                AND (e.ended_at IS NULL AND (e.expires_at IS NULL OR e.expires_at >= w.until) OR e.ended_at >= w.seen_at))
        AND NOT EXISTS (
            SELECT FROM feed_entry AS e
            WHERE w.phone IS NULL AND e.person_id = w.person_id AND e.channels @> w.channels
                AND (e.lead_id = w.lead_id AND e.ended_at IS NULL AND (e.expires_at IS NULL OR e.expires_at >= w.until)
                     OR e.ended_at >= w.seen_at))
    ORDER BY w.phone, w.person_id, w.channels, w.says, w.until DESC NULLS FIRST, w.given_at, w.source_table,
        w.source_key, w.flag
