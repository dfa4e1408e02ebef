-- The divisions of Genius, as they are written to HubSpot.
SELECT d.id::text AS key, d.id AS genius_division_id, d.label AS division_name, d.abbreviation AS division_code,
    r.name AS region, CASE WHEN d.is_inactive THEN 'inactive' ELSE 'active' END AS status
FROM genius_division AS d LEFT JOIN genius_division_region AS r ON r.id = d.region_id
WHERE NOT d.archived AND NOT coalesce(d.is_utility, false)
ORDER BY d.id
