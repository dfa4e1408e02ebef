-- One kind of activity of one table: a row of warehouse_pipelines/unified/marts/activity_rows.py gives what is in braces.
-- All of them together are marts.activity_timeline.
SELECT a.source_table, a.source_key, a.kind, a.person_table, a.person_key,
    coalesce(m.person_id, u.person_id, p.person_id) AS person_id,
    coalesce(p.household_id, u.household_id) AS household_id,
    CASE WHEN m.person_id IS NOT NULL OR a.golden_id = p.person_id THEN 1 ELSE CASE u.certainty
        WHEN 'certain' THEN 1 WHEN 'likely' THEN 0.8 WHEN 'household' THEN 0.5 ELSE 0 END END::numeric(2, 1) AS certainty,
    a.crm_source, a.occurred_at, (a.occurred_at AT TIME ZONE {zone})::date AS occurred_day,
    CASE WHEN a.direction IN ('inbound', 'outbound') THEN a.direction END AS direction,
    CASE WHEN a.user_key IS NOT NULL THEN a.user_table END AS user_table, a.user_key,
    w.person_id AS our_user_id, coalesce(w.display_name, a.user_name) AS our_user,
    a.outcome,
    CASE WHEN a.may_be_held THEN a.outcome IS NOT NULL AND lower(a.outcome) !~ {not_held} END AS is_held,
    CASE WHEN abs(a.amount) < 1e9 THEN round(a.amount, 2) END::numeric(14, 2) AS amount,
    coalesce(n.source, a.lead_source) AS lead_source, a.title, a.division, nullif(a.links, '{{}}') AS links,
    CASE WHEN abs(a.amount) < 1e9 THEN NULL ELSE a.amount END AS refused_amount
FROM (
    SELECT {table_name} AS source_table, {key} AS source_key, {kind} AS kind, {person_table} AS person_table,
        {person_key} AS person_key, {crm} AS crm_source, {at} AS occurred_at, {direction} AS direction,
        {user_table} AS user_table, {user_key} AS user_key, {user_name} AS user_name, {outcome} AS outcome,
        {amount} AS amount, {source} AS lead_source, {title} AS title,
        {division} AS division, {links} AS links, {may_be_held} AS may_be_held, {golden} AS golden_id, {our_id} AS our_id
    FROM {tables}
    WHERE {there} {within}
) AS a
    LEFT JOIN identity.member AS m ON m.source_table = a.person_table AND m.source_key = a.person_key
    LEFT JOIN identity.touch AS u ON u.source_table = a.person_table AND u.source_key = a.person_key
    LEFT JOIN identity.person AS p ON p.person_id = coalesce(m.person_id, u.person_id, a.golden_id)
    LEFT JOIN identity.member AS s ON s.source_table = a.user_table AND s.source_key = a.user_key
    LEFT JOIN identity.person AS w ON w.person_id = coalesce(s.person_id, a.our_id)
    LEFT JOIN crm.lead_source_alias AS n ON n.spelling = btrim(regexp_replace(a.lead_source, '[\s_-]+', ' ', 'g'))
WHERE a.occurred_at IS NOT NULL
