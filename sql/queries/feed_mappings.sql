-- The fingerprint of the rows that say what statuses mean, whom a CRM feeds and what foreign money is worth, and the one of
-- the last run. `rules`: a number that changes when the feed itself makes something else of what is there, so that it
-- computes all once more.
SELECT md5(concat(
           %(rules)s::text,
           (SELECT string_agg(m::text, ' ' ORDER BY m.source, m.source_status) FROM crm.status_mapping AS m),
           (SELECT string_agg(r::text, ' ' ORDER BY r.status) FROM crm.status_rank AS r),
           (SELECT string_agg(a::text, ' ' ORDER BY a.spelling) FROM crm.lead_source_alias AS a),
           (SELECT string_agg(f::text, ' ' ORDER BY f.crm) FROM crm.feed_source AS f),
           (SELECT string_agg(f::text, ' ' ORDER BY f.currency, f.since) FROM crm.fx_rate AS f))) AS fingerprint,
       (SELECT p.fingerprint FROM crm.feed_position AS p WHERE p.source_table = 'crm.status_mapping') AS known
