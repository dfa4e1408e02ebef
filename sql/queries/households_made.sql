-- The households that the groups of household_group make. A household keeps its id in the group that has the most of its
-- persons (then of their records), if it is the one that brings the most to that group (then the older one).
WITH part AS (
    SELECT g.grp, p.household_id, count(*) AS persons, sum(p.record_count) AS records, min(p.no) AS first
    FROM household_group AS g JOIN household_person AS p ON p.no = g.no
    WHERE p.household_id IS NOT NULL
    GROUP BY g.grp, p.household_id
), kept AS (
    SELECT ranked.grp, ranked.household_id
    FROM (
        SELECT part.*,
            row_number() OVER (PARTITION BY part.household_id ORDER BY persons DESC, records DESC, first) AS of_household,
            row_number() OVER (PARTITION BY part.grp
                ORDER BY persons DESC, records DESC, h.created_at, part.household_id) AS of_group
        FROM part JOIN identity.household AS h ON h.household_id = part.household_id
    ) AS ranked
    WHERE of_household = 1 AND of_group = 1
), phone AS (
    SELECT g.grp, array_agg(DISTINCT substr(key, 3) ORDER BY substr(key, 3)) AS phones
    FROM household_group AS g JOIN household_person AS p ON p.no = g.no, unnest(p.keys) AS key
    WHERE left(key, 2) = 'p:'
    GROUP BY g.grp
), made AS (
    SELECT g.grp, (array_agg(p.property_id) FILTER (WHERE p.property_id IS NOT NULL))[1] AS property_id,
        mode() WITHIN GROUP (ORDER BY p.last_name) AS last_name, count(*) AS person_count
    FROM household_group AS g JOIN household_person AS p ON p.no = g.no
    GROUP BY g.grp
)
SELECT m.grp, coalesce(k.household_id, gen_random_uuid()), k.household_id IS NULL, m.property_id, m.last_name,
    coalesce(f.phones, '{}'), m.person_count
FROM made AS m
    LEFT JOIN kept AS k ON k.grp = m.grp
    LEFT JOIN phone AS f ON f.grp = m.grp
