-- Whose each touch of touch_asked is, by the persons of touch_holder. An e-mail address tells before a phone.
--
-- A household has had a number since `lead` before its first record with it, because people call before somebody writes
-- them down, and until its last. Of several households it is the one that had the number at the time; where none did, the
-- last one before; where none had yet, the first one later.
WITH touch AS (
    SELECT r.record_id, r.source_table, r.source_key, r.first_name, r.last_name, r.phones, r.emails,
        coalesce(r.created_at, r.updated_at) AS at
    FROM touch_asked AS a JOIN identity.record AS r ON r.record_id = a.record_id
), pair AS (
    SELECT t.record_id, h.rule, h.person_id, h.household_id, h.unit, h.since, h.until, h.is_mass
    FROM (
        SELECT record_id, 'phone_e164' AS rule, unnest(phones) AS value FROM touch
        UNION ALL
        SELECT record_id, 'email', unnest(emails) FROM touch
    ) AS t
        JOIN touch_holder AS h ON h.rule = t.rule AND h.value = t.value
), by_rule AS (
    SELECT DISTINCT ON (record_id) record_id, rule
    FROM pair WHERE NOT is_mass ORDER BY record_id, rule
), candidate AS (
    SELECT p.record_id, p.rule, p.person_id, p.household_id, p.unit, min(p.since) AS since, max(p.until) AS until
    FROM pair AS p JOIN by_rule AS b ON b.record_id = p.record_id AND b.rule = p.rule
    WHERE NOT p.is_mass
    GROUP BY p.record_id, p.rule, p.person_id, p.household_id, p.unit
), named AS (
    SELECT c.*, count(*) OVER (PARTITION BY c.record_id) AS persons, coalesce(fit.it, false) AS fits,
        count(*) FILTER (WHERE fit.it) OVER (PARTITION BY c.record_id) AS fitting
    FROM candidate AS c
        JOIN touch AS t ON t.record_id = c.record_id
        LEFT JOIN LATERAL (
            SELECT bool_or(coalesce(r.first_name = t.first_name OR r.first_name = left(t.first_name, 1)
                    OR t.first_name = left(r.first_name, 1), t.first_name IS NULL)
                AND coalesce(r.last_name = t.last_name, t.last_name IS NULL)) AS it
            FROM identity.member AS m JOIN identity.record AS r ON r.record_id = m.record_id
            WHERE m.person_id = c.person_id
        ) AS fit ON coalesce(t.first_name, t.last_name) IS NOT NULL
), unit AS (
    SELECT n.record_id, n.unit, count(*) AS persons, min(n.since) AS since, max(n.until) AS until,
        min(n.since) - %(lead)s::interval <= t.at AS started,
        min(n.since) - %(lead)s::interval <= t.at AND max(n.until) >= t.at AS in_use
    FROM named AS n JOIN touch AS t ON t.record_id = n.record_id
    GROUP BY n.record_id, n.unit, t.at
), weighed AS (
    SELECT u.*, count(*) OVER touch AS units, count(*) FILTER (WHERE u.in_use) OVER touch AS using,
        count(*) FILTER (WHERE u.started) OVER touch AS starting,
        rank() OVER (PARTITION BY u.record_id ORDER BY u.in_use DESC NULLS LAST, u.started DESC NULLS LAST,
            CASE WHEN u.started THEN extract(epoch FROM u.until) ELSE -extract(epoch FROM u.since) END DESC NULLS LAST)
            AS place
    FROM unit AS u
    WINDOW touch AS (PARTITION BY u.record_id)
), chosen AS (
    SELECT w.record_id, w.units, max(w.using) AS using, max(w.starting) AS starting,
        bool_or(w.started IS NULL) AS is_timeless, count(*) FILTER (WHERE w.place = 1) AS firsts,
        (array_agg(w.unit) FILTER (WHERE w.place = 1))[1] AS unit
    FROM weighed AS w
    GROUP BY w.record_id, w.units
), decided AS (
    SELECT c.*, CASE WHEN c.units = 1 THEN 'only' WHEN c.is_timeless THEN 'timeless' WHEN c.using > 1 THEN 'overlap'
            WHEN c.using = 1 THEN 'then' WHEN c.firsts > 1 THEN 'overlap' WHEN c.starting > 0 THEN 'last'
            ELSE 'first' END AS how
    FROM chosen AS c
), owner AS (
    SELECT d.record_id, d.how, d.units, min(n.rule) AS rule, max(n.persons) AS all_persons, max(n.fitting) AS fitting,
        count(*) FILTER (WHERE n.unit = d.unit) AS persons,
        (array_agg(n.person_id) FILTER (WHERE n.unit = d.unit))[1] AS person_id,
        (array_agg(n.household_id) FILTER (WHERE n.unit = d.unit))[1] AS household_id,
        (array_agg(n.person_id) FILTER (WHERE n.fits))[1] AS fitting_person_id,
        (array_agg(n.household_id) FILTER (WHERE n.fits))[1] AS fitting_household_id
    FROM decided AS d JOIN named AS n ON n.record_id = d.record_id
    GROUP BY d.record_id, d.how, d.units
), verdict AS (
    SELECT o.*, CASE WHEN o.fitting = 1 AND o.all_persons > 1 THEN 'named' WHEN o.how IN ('timeless', 'overlap') THEN o.how
            WHEN o.persons > 1 THEN 'household' ELSE o.how END AS verdict,
        CASE o.rule WHEN 'email' THEN 'this e-mail address' ELSE 'this number' END AS thing
    FROM owner AS o
)
SELECT t.record_id, t.source_table, t.source_key,
    CASE v.verdict WHEN 'named' THEN v.fitting_person_id
        WHEN 'only' THEN v.person_id WHEN 'then' THEN v.person_id WHEN 'last' THEN v.person_id
        WHEN 'first' THEN v.person_id END,
    CASE WHEN v.verdict = 'named' THEN v.fitting_household_id WHEN v.verdict NOT IN ('timeless', 'overlap')
        THEN v.household_id END,
    CASE v.verdict WHEN 'only' THEN 'certain' WHEN 'then' THEN 'certain' WHEN 'named' THEN 'likely'
        WHEN 'last' THEN 'likely' WHEN 'first' THEN 'likely' WHEN 'household' THEN 'household' ELSE 'unknown' END,
    coalesce(v.rule, 'none'),
    CASE v.verdict
        WHEN 'only' THEN format('One person has %%s.', v.thing)
        WHEN 'then' THEN format('Of %%s households that have had %%s, one had it at that time, and one person there.',
            v.units, v.thing)
        WHEN 'last' THEN format('Of %%s households that have had %%s, one had it last before that time.', v.units, v.thing)
        WHEN 'first' THEN format('Of %%s households that have had %%s, none had it yet; one was the first.', v.units,
            v.thing)
        WHEN 'named' THEN format('%%s people have had %%s, and the caller''s name is that of one.', v.all_persons, v.thing)
        WHEN 'household' THEN format('%%s people of one household have %%s.', v.persons, v.thing)
        WHEN 'overlap' THEN format('%%s households have had %%s, and not one of them alone at that time.', v.units, v.thing)
        WHEN 'timeless' THEN format('%%s households have had %%s, and the time of the contact is not known.', v.units,
            v.thing)
        ELSE CASE WHEN mass.record_id IS NOT NULL THEN format('More than %%s people have this number.', %(most)s::integer)
            WHEN t.phones = '{}' AND t.emails = '{}' THEN 'It has no number and no e-mail address.'
            ELSE 'Nobody is known with this number or e-mail address.' END
    END,
    t.at
FROM touch AS t
    LEFT JOIN verdict AS v ON v.record_id = t.record_id
    LEFT JOIN (SELECT DISTINCT record_id FROM pair WHERE is_mass) AS mass ON mass.record_id = t.record_id
