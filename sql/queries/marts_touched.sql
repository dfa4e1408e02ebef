-- The people that identity, a mart that is read, or a lead if leads are read, changed since a time; and those of a visit
-- that was to come then, and is told as held.
INSERT INTO mart_person
    SELECT p.person_id FROM identity.person AS p WHERE p.updated_at > %(since)s
    UNION SELECT m.person_id FROM identity.member AS m WHERE m.since > %(since)s
    UNION SELECT p.person_id FROM marts.touched_person AS t JOIN identity.person AS p USING (person_id)
        WHERE t.mart = ANY (%(marts)s) AND t.touched_at > %(since)s
    UNION SELECT p.person_id FROM crm.leads AS l JOIN identity.person AS p ON p.person_id = l.golden_id
        WHERE %(by_leads)s AND l.updated_at > %(since)s
    UNION SELECT t.person_id FROM marts.activity_timeline AS t
        WHERE t.person_id IS NOT NULL AND t.is_held AND t.occurred_at > %(since)s AND t.occurred_at <= now()
            AND t.occurred_day BETWEEN (%(since)s::timestamptz)::date - 1 AND current_date + 1
