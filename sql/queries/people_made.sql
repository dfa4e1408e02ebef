-- How many records, persons, households and leads there are, and pairs that wait for a decision. No parameters.
SELECT (SELECT count(*) FROM identity.member) AS records,
       (SELECT count(DISTINCT source_table) FROM identity.member) AS tables,
       (SELECT count(*) FROM identity.person WHERE kind = 'customer') AS persons,
       (SELECT count(*) FROM identity.household WHERE person_count > 1) AS households,
       (SELECT count(*) FROM crm.leads WHERE golden_id IS NOT NULL AND deleted_at IS NULL) AS leads,
       (SELECT count(*) FROM identity.review) AS reviews
