-- The households that the groups of household_group make. A household keeps its id in the group that has the most of its
-- persons (then of their records), if it is the one that brings the most to that group (then the older one).
--
-- `kept` is grouped and not joined: of a join of two rankings the planner expects one row, and it would compare each
-- household with each.
WITH part AS (
    SELECT g.grp, p.household_id, count(*) AS persons, sum(p.record_count) AS records, min(p.no) AS first
    FROM household_group AS g JOIN household_person AS p ON p.no = g.no
    WHERE p.household_id IS NOT NULL
    GROUP BY g.grp, p.household_id
), ranked AS (
    SELECT p.grp, h.household_id,
        row_number() OVER (PARTITION BY p.household_id ORDER BY p.persons DESC, p.records DESC, p.first) AS of_household,
        row_number() OVER (PARTITION BY p.grp
            ORDER BY h.household_id IS NULL, p.persons DESC, p.records DESC, h.created_at, p.household_id) AS of_group
    FROM part AS p LEFT JOIN identity.household AS h ON h.household_id = p.household_id
), kept AS (
    SELECT r.grp, (array_agg(r.household_id) FILTER (WHERE r.of_household = 1 AND r.of_group = 1))[1] AS household_id
    FROM ranked AS r
    GROUP BY r.grp
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
