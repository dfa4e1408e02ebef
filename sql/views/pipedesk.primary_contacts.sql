-- The contact of each lead that is not deleted: the one flagged, the first of several, and without a flag the first added.
SELECT DISTINCT ON (l.lead_id)
    l.lead_id,
    l.contact_id,
    l.is_primary IS TRUE AS is_flagged,
    c.name,
    c.email,
    c.phone,
    c.role
FROM pipedesk.lead_contacts AS l
    LEFT JOIN pipedesk.contacts AS c ON c.id = l.contact_id
WHERE NOT l.archived AND c.archived IS NOT TRUE
ORDER BY l.lead_id, l.is_primary IS TRUE DESC, l.added_at, l.contact_id
