-- The fingerprint of the names of lead sources, and of what foreign money is worth.
SELECT md5(concat(
    (SELECT string_agg(a::text, ' ' ORDER BY a.spelling) FROM crm.lead_source_alias AS a),
    (SELECT string_agg(r::text, ' ' ORDER BY r.currency, r.since) FROM crm.fx_rate AS r))) AS fingerprint
