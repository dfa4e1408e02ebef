-- The fingerprint of the rows that say what statuses mean and whom a CRM feeds, and the one of the last run. `rules`: a
-- number that changes when the feed itself makes something else of what is there, so that it computes all once more.
SELECT md5(concat(
           %(rules)s::text,
           (SELECT string_agg(m::text, ' ' ORDER BY m.source, m.source_status) FROM crm.status_mapping AS m),
           (SELECT string_agg(r::text, ' ' ORDER BY r.status) FROM crm.status_rank AS r),
           (SELECT string_agg(a::text, ' ' ORDER BY a.spelling) FROM crm.lead_source_alias AS a),
           (SELECT string_agg(f::text, ' ' ORDER BY f.crm) FROM crm.feed_source AS f))) AS fingerprint,
       (SELECT p.fingerprint FROM crm.feed_position AS p WHERE p.source_table = 'crm.status_mapping') AS known
