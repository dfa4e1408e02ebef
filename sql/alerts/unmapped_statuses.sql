-- Sources with at least `threshold` records whose status no row of crm.status_mapping translates.
SELECT u.source AS subject, u.source AS crm, NULL AS entity,
    format('%%s status words are not mapped, in %%s records', count(*), sum(u.records)) AS text, NULL AS cause
FROM marts.unmapped_status AS u GROUP BY u.source HAVING sum(u.records) >= %(threshold)s
