-- Who has to do with whom, a row per pair and relation. Groups of more than fifty people make no pairs. {grouped} is
-- relationships_grouped.sql, or what it found; a run of what changed has {applicant} and {among} for its people.
WITH people AS NOT MATERIALIZED (
    SELECT p.person_id, p.household_id, p.property_id, lower(p.first_name) AS first_name, lower(p.last_name) AS last_name
    FROM identity.person AS p
    WHERE p.kind = 'customer'
), couples AS (
    -- The second applicant of a loan, by the name that one of the applicant's household bears.
    SELECT DISTINCT a.person_id AS one, b.person_id AS other
    FROM genius_job_financing AS f
        JOIN genius_job AS j ON j.id = f.job_id
        JOIN identity.member AS m ON m.source_table = 'genius_prospect'
            AND CASE WHEN m.source_table = 'genius_prospect' THEN m.source_key::bigint END = j.prospect_id {applicant}
        JOIN people AS a ON a.person_id = m.person_id
        JOIN people AS b ON b.household_id = a.household_id AND b.person_id <> a.person_id
    WHERE NOT f.archived AND lower(btrim(f.co_applicant)) = concat_ws(' ', b.first_name, b.last_name)
), grouped AS (
    {grouped}
), sized AS (
    SELECT g.*, count(*) OVER (PARTITION BY g.relation, g.via) AS size FROM grouped AS g
), pairs AS (
    SELECT a.relation, a.person_id AS a_id, b.person_id AS b_id, a.via, a.size
    FROM sized AS a JOIN sized AS b ON b.relation = a.relation AND b.via = a.via AND b.person_id > a.person_id
    WHERE a.size BETWEEN 2 AND 50 {among}
), referrals AS (
    -- Who sent somebody stands in the lead, as an id of a lead or person, that was merged perhaps, a number or an address.
    SELECT r.person_id AS from_id, l.golden_id AS to_id
    FROM crm.leads AS l
        CROSS JOIN LATERAL (SELECT btrim(l.source_metadata ->> 'referred_by') AS by) AS said
        CROSS JOIN LATERAL (
            SELECT said.by, CASE WHEN said.by ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN said.by::uuid END AS id
        ) AS given
        CROSS JOIN LATERAL (
            SELECT p.person_id
            FROM (SELECT q.person_id, q.kind, q.record_count FROM identity.person AS q WHERE q.person_id = given.id
                  UNION ALL
                  SELECT q.person_id, q.kind, q.record_count
                  FROM identity.alias AS i JOIN identity.person AS q ON q.person_id = i.person_id
                  WHERE i.alias_id = given.id
                  UNION ALL
                  SELECT q.person_id, q.kind, q.record_count FROM identity.person AS q
                  WHERE q.phones @> ARRAY[crm.normalize_phone(given.by)]
                  UNION ALL
                  SELECT q.person_id, q.kind, q.record_count FROM identity.person AS q
                  WHERE q.emails @> ARRAY[lower(given.by)]
                  UNION ALL
                  SELECT q.person_id, q.kind, q.record_count
                  FROM crm.leads AS o JOIN identity.person AS q ON q.person_id = o.golden_id
                  WHERE o.organization_id = l.organization_id AND o.id = given.id) AS p
            WHERE p.kind = 'customer' AND p.person_id <> l.golden_id
            ORDER BY p.record_count DESC, p.person_id LIMIT 1) AS r
    WHERE l.source_metadata ? 'referred_by' AND l.golden_id IS NOT NULL AND l.deleted_at IS NULL
), related AS (
    SELECT r.relation, r.a_id, r.b_id, r.via, NULL::uuid AS from_id, 0.9 AS certainty,
        'They live together.' AS reason
    FROM pairs AS r WHERE r.relation = 'household'
    UNION ALL
    SELECT 'spouse', h.a_id, h.b_id, h.via, NULL, CASE WHEN c.one IS NULL THEN 0.7 ELSE 0.95 END,
        CASE WHEN c.one IS NULL THEN 'Two people of one household with one surname, and nobody else there.'
             ELSE 'One signed the loan of the other as the second applicant.' END
    FROM pairs AS h
        JOIN people AS a ON a.person_id = h.a_id
        JOIN people AS b ON b.person_id = h.b_id
        LEFT JOIN (SELECT least(one, other) AS one, greatest(one, other) AS other FROM couples GROUP BY 1, 2) AS c
            ON c.one = h.a_id AND c.other = h.b_id
    WHERE h.relation = 'household'
        AND (c.one IS NOT NULL OR h.size = 2 AND a.last_name = b.last_name AND a.first_name <> b.first_name)
    UNION ALL
    SELECT 'property', r.a_id, r.b_id, r.via, NULL, 0.9, 'They have one address, and are not one household.'
    FROM pairs AS r
        JOIN people AS a ON a.person_id = r.a_id
        JOIN people AS b ON b.person_id = r.b_id
    WHERE r.relation = 'property' AND a.household_id IS DISTINCT FROM b.household_id
    UNION ALL
    -- Of two companies that both belong to, one row.
    SELECT 'company', r.a_id, r.b_id, min(r.via), NULL::uuid, 0.8, 'They belong to one company.'
    FROM pairs AS r WHERE r.relation = 'company'
    GROUP BY r.a_id, r.b_id
)
SELECT r.a_id, r.b_id, r.relation, r.via, r.from_id, r.certainty::numeric(3, 2) AS certainty, r.reason
FROM related AS r
UNION ALL
SELECT least(f.from_id, f.to_id), greatest(f.from_id, f.to_id), 'referral', NULL, min(f.from_id::text)::uuid, 1.0,
    'One sent the other, as the lead of the one who was sent says.'
FROM referrals AS f
GROUP BY 1, 2
