-- Whom do we contact today, why, by which channel, and on what basis?
SELECT f.priority, concat_ws(' ', l.first_name, l.last_name) AS who, array_to_string(f.reasons, ' ') AS why,
    f.channel AS by, f.bases[1] AS basis, f.owner
FROM marts.follow_up_recommendations AS f JOIN crm.leads AS l ON l.id = f.lead_id
WHERE f.expires_at > now() ORDER BY f.priority DESC, f.lead_id LIMIT 10
