-- Scores of leads of an organization, all or those of `people`, in one statement, by the formula of crm.calculate_lead_score. The history gets a
-- row where the score or its factors changed, and where there was none.
WITH config AS MATERIALIZED (
    SELECT coalesce((SELECT c.value FROM crm.system_config AS c
                     WHERE c.organization_id = %(organization)s AND c.key = 'scoring.weights'),
                    '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}') AS weights,
           coalesce((SELECT c.value FROM crm.system_config AS c
                     WHERE c.organization_id = %(organization)s AND c.key = 'scoring.sources'), '{}') AS sources
), counted AS (
    SELECT l.id, l.erased_at, l.lead_score, l.lead_score_factors,
        crm.score_factors(l, config.weights, config.sources) AS factors
    FROM crm.leads AS l, config
    WHERE l.organization_id = %(organization)s AND (%(people)s::uuid[] IS NULL OR l.golden_id = ANY (%(people)s::uuid[]))
), scored AS (
    SELECT c.*, coalesce((SELECT sum(f.value::integer) FROM jsonb_each_text(c.factors) AS f), 0)::integer AS score
    FROM counted AS c
), changed AS (
    SELECT s.* FROM scored AS s
        LEFT JOIN LATERAL (SELECT true AS is_there FROM crm.lead_score_history AS h
                           WHERE h.organization_id = %(organization)s AND h.lead_id = s.id LIMIT 1) AS known ON true
    WHERE known.is_there IS NULL
        OR s.erased_at IS NULL AND (s.lead_score, s.lead_score_factors) IS DISTINCT FROM (s.score, s.factors)
), kept AS (
    INSERT INTO crm.lead_score_history (organization_id, lead_id, score, factors, model_version)
        SELECT %(organization)s, c.id, c.score, CASE WHEN c.erased_at IS NULL THEN c.factors ELSE '{}' END, 'weights-1'
        FROM changed AS c
)
UPDATE crm.leads AS l SET lead_score = c.score, lead_score_factors = c.factors
    FROM changed AS c
    WHERE l.organization_id = %(organization)s AND l.id = c.id AND l.erased_at IS NULL
        AND (l.lead_score, l.lead_score_factors) IS DISTINCT FROM (c.score, c.factors)
