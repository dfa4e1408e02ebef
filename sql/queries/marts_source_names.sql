-- The fingerprint of the names of lead sources, of what foreign money is worth, and of the statuses by which jobs are called
-- off. `jobs`: the sources of these in crm.status_mapping.
SELECT md5(concat(
    (SELECT string_agg(a::text, ' ' ORDER BY a.spelling) FROM crm.lead_source_alias AS a),
    (SELECT string_agg(r::text, ' ' ORDER BY r.currency, r.since) FROM crm.fx_rate AS r),
    (SELECT string_agg(concat_ws(' ', m.source, m.source_status), ' ' ORDER BY m.source, m.source_status)
     FROM crm.status_mapping AS m WHERE m.source = ANY (%(jobs)s::text[]) AND m.status = 'lost'))) AS fingerprint
