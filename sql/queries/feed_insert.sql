-- The new leads, with their consent and their score, so that nothing is written twice.
CREATE TEMP TABLE feed_new (LIKE crm.leads INCLUDING DEFAULTS) ON COMMIT DROP;
INSERT INTO feed_new (id, organization_id, first_name, last_name, email, phone, status, source, source_metadata, tags,
                      division, postal_code, owner_id, value_usd, consent, status_changed_at, created_at, golden_id)
    SELECT f.lead_id, %(organization)s, w.first_name, w.last_name, w.email, p.phone, w.status, w.source,
        w.metadata || CASE WHEN w.phone IS NOT NULL AND p.phone IS NULL
                           THEN jsonb_build_object('shared_phones', ARRAY[w.phone]) ELSE '{}' END,
        w.tags, w.division, w.postal_code, w.owner_id, w.value_usd, coalesce(c.elements, '[]'),
        greatest(w.status_at, w.created_at), w.created_at, w.person_id
    FROM feed_lead AS f
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = f.person_id
        LEFT JOIN feed_phone AS p ON p.person_id = f.person_id
        LEFT JOIN feed_computed AS c ON c.person_id = f.person_id
    WHERE f.state = 'new';
UPDATE feed_new AS n SET lead_score_factors = crm.score_factors(
    ROW(n.*)::crm.leads,
    coalesce((SELECT c.value FROM crm.system_config AS c
              WHERE c.organization_id = %(organization)s AND c.key = 'scoring.weights'),
             '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}'),
    coalesce((SELECT c.value FROM crm.system_config AS c
              WHERE c.organization_id = %(organization)s AND c.key = 'scoring.sources'), '{}'));
UPDATE feed_new AS n SET lead_score = coalesce(
    (SELECT sum(f.value::integer) FROM jsonb_each_text(n.lead_score_factors) AS f), 0);
INSERT INTO crm.leads SELECT n.* FROM feed_new AS n
