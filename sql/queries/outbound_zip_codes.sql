-- Zip codes, each with the division that serves most of its people in Genius; of two as many, the one of the newest.
WITH served AS (
    SELECT substring(zip from '^\s*(\d{5})(?:\D|$)') AS zip, division_id, sync_created_at AS seen
    FROM genius_prospect WHERE NOT archived
    UNION ALL
    SELECT substring(zipcode from '^\s*(\d{5})(?:\D|$)'), division_id, sync_created_at
    FROM genius_lead WHERE NOT archived
), counted AS (
    SELECT zip, division_id, count(*) AS people, max(seen) AS seen
    FROM served WHERE zip IS NOT NULL AND division_id IS NOT NULL GROUP BY zip, division_id
)
SELECT DISTINCT ON (c.zip) c.zip AS key, c.zip AS genius_zip, c.zip AS zipcode, d.label AS division,
    c.division_id AS division_key
FROM counted AS c JOIN genius_division AS d ON d.id = c.division_id
WHERE NOT d.archived AND NOT coalesce(d.is_inactive, false)
ORDER BY c.zip, c.people DESC, c.seen DESC, c.division_id
