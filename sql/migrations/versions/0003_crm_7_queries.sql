-- Part 7 of 9: segments, funnel, return on sources, views.

-- The leads that a filter finds. It runs as crm_definer, for which leads has no row-level security: the operators of
-- tags and names are not leakproof, so below a policy no index serves them, and a rare tag would read every lead.
-- That is safe here and only here, because the condition is made of the operators of crm.segment_condition,
-- and the organization stands in the query.
CREATE FUNCTION crm.evaluate_filter(filter jsonb) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    org CONSTANT uuid := nullif(current_setting('app.organization_id', true), '')::uuid;
BEGIN
    -- ILIKE, @> and && are found by their path; pg_trgm only adds an operator class to the first.
    RETURN QUERY EXECUTE 'SELECT l.id FROM crm.leads AS l WHERE l.organization_id = $1 AND l.deleted_at IS NULL AND '
        || crm.segment_condition(filter) USING org, filter;
END
$$;

-- The same as a page of whole leads, the newest first; `before` is the created_at of the last one of the page before.
CREATE FUNCTION crm.list_leads(
    filter jsonb DEFAULT '{}', page_size integer DEFAULT 100, before timestamptz DEFAULT 'infinity'
) RETURNS SETOF crm.leads
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT l.* FROM crm.leads AS l WHERE l.organization_id = $1 AND l.deleted_at IS NULL AND '
        || crm.segment_condition(filter) || ' AND l.created_at < $3 ORDER BY l.created_at DESC LIMIT $4'
        USING nullif(current_setting('app.organization_id', true), '')::uuid, filter, before, page_size;
END
$$;

CREATE FUNCTION crm.evaluate_segment(segment_id uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    filter jsonb;
BEGIN
    SELECT s.filter_criteria INTO filter FROM crm.segments AS s WHERE s.id = segment_id;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Evaluating segment %s: the user of this session sees no such segment.', segment_id),
            HINT = 'Set app.organization_id and app.user_id within the transaction.';
    END IF;
    RETURN QUERY SELECT crm.evaluate_filter(filter);
END
$$;

-- How often each status was entered in a time, by how many leads, and how long these were in the status before.
-- `entries` add up to the rows of lead_status_history.
CREATE FUNCTION crm.funnel(
    since timestamptz DEFAULT now() - interval '30 days', until timestamptz DEFAULT 'infinity'
) RETURNS TABLE (status text, entries bigint, leads bigint, average_time_before interval)
LANGUAGE sql STABLE AS $$
    SELECT h.to_status, count(*), count(DISTINCT h.lead_id), avg(h.time_in_previous)
    FROM crm.lead_status_history AS h
    WHERE h.created_at >= since AND h.created_at < until
    GROUP BY h.to_status
    ORDER BY array_position(ARRAY['new', 'contacted', 'qualified', 'appointment_set', 'proposal', 'nurturing', 'won',
                                  'lost', 'disqualified'], h.to_status)
$$;

-- What each source cost and brought, over the leads created in these months and the costs of these months (each given
-- by its first day, both included). roi is (revenue - spend) / spend, and null where nothing was spent.
CREATE FUNCTION crm.source_roi(first_month date DEFAULT '-infinity', last_month date DEFAULT 'infinity')
RETURNS TABLE (source text, spend_usd numeric, leads bigint, won bigint, revenue_usd numeric,
               cost_per_lead_usd numeric, cost_per_won_usd numeric, roi numeric)
LANGUAGE sql STABLE AS $$
    WITH spend AS (
        SELECT c.source, sum(c.amount_usd) AS usd FROM crm.lead_source_costs AS c
        WHERE c.month BETWEEN first_month AND last_month
        GROUP BY c.source
    ), brought AS (
        SELECT l.source, count(*) AS leads, count(*) FILTER (WHERE l.status = 'won') AS won,
               coalesce(sum(l.value_usd) FILTER (WHERE l.status = 'won'), 0) AS revenue
        FROM crm.leads AS l
        WHERE l.deleted_at IS NULL AND l.created_at >= first_month::timestamp AT TIME ZONE 'UTC'
            AND l.created_at < CASE WHEN isfinite(last_month)
                THEN (last_month + interval '1 month') AT TIME ZONE 'UTC' ELSE 'infinity' END
        GROUP BY l.source
    )
    SELECT source, coalesce(s.usd, 0), coalesce(b.leads, 0), coalesce(b.won, 0), coalesce(b.revenue, 0),
           round(s.usd / nullif(b.leads, 0), 2), round(s.usd / nullif(b.won, 0), 2),
           round((coalesce(b.revenue, 0) - s.usd) / nullif(s.usd, 0), 4)
    FROM spend AS s FULL JOIN brought AS b USING (source)
    ORDER BY 2 DESC, source
$$;

-- security_invoker: below the policies of whoever reads, and not of the owner.
CREATE VIEW crm.active_leads WITH (security_invoker) AS
    SELECT * FROM crm.leads WHERE deleted_at IS NULL;

CREATE VIEW crm.account_balances WITH (security_invoker) AS
    SELECT DISTINCT ON (organization_id, account_id)
        organization_id, account_id, balance_after_usd AS balance_usd, entry_no AS entries, created_at AS last_entry_at
    FROM crm.budget_transactions
    ORDER BY organization_id, account_id, created_at DESC;
