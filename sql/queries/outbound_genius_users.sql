-- The users of Genius with their division, as they are written to HubSpot. One who is deleted in Genius is not active.
SELECT u.user_id::text AS key, u.user_id AS genius_user_id, u.user_id, u.firstname, u.lastname,
    nullif(concat_ws(' ', u.firstname, u.lastname), '') AS name, nullif(lower(u.email), '') AS email,
    t.title AS job_title, u.division_id, d.label AS division_name, u.division_id AS division_key,
    NOT (u.archived OR coalesce(u.is_inactive, NOT u.is_active, false)) AS is_active
FROM genius_user AS u
    LEFT JOIN genius_division AS d ON d.id = u.division_id
    LEFT JOIN genius_user_title AS t ON t.id = u.title_id
WHERE u.raw_data <> '{"erased": true}'
ORDER BY u.user_id
