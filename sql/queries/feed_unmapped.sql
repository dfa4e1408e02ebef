-- Status words without a row in crm.status_mapping, by source.
SELECT u.source, count(*) AS words, sum(u.records)::bigint AS records
FROM marts.unmapped_status AS u GROUP BY u.source ORDER BY u.source
