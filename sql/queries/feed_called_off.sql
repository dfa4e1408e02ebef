-- Set is_off in feed_said, by the rule of marts.sale: a sale is called off when any of its records says so, whichever was
-- told later. Of whom no sale stands, a word that means won is of the last one that was called off, unless it is from more
-- than 45 days after that was sold and from after it was called off. Set sale to the name of the sale by the same rule, so
-- that what two accounts of one CRM tell of is worth what it is once. {sale_records} is sale_records.sql of the marts.
--
-- feed_activity: the activities of feed_sale_row, without those that the marts do not have: a job without a day, or a deal
-- that crm.status_mapping calls won and its stage does not. Of two of one household who have a deal it is the first one's.
CREATE TEMP TABLE feed_told ON COMMIT DROP AS
    SELECT DISTINCT ON (s.organization_id, s.home, a.source_table, a.source_key, a.kind)
        s.organization_id, s.home, s.person_id, a.source_table, a.source_key, a.kind, a.crm_source, a.occurred_at,
        a.amount, a.links
    FROM feed_sold AS s JOIN feed_activity AS a USING (source_table, source_key)
    ORDER BY s.organization_id, s.home, a.source_table, a.source_key, a.kind, s.person_id <> a.person_id IS TRUE, s.person_id;
INSERT INTO feed_told
    SELECT DISTINCT ON (s.organization_id, s.home, s.source_table, s.source_key, k.kind)
        s.organization_id, s.home, s.person_id, s.source_table, s.source_key, k.kind, s.crm,
        coalesce(s.dated_at, s.said_at), s.value_usd, NULL
    FROM feed_sold AS s, (VALUES ('sale', 'job'), ('cancellation', 'cancellation')) AS k (kind, same)
    WHERE CASE k.kind WHEN 'sale' THEN s.calls_off OR s.status = 'won' AND s.source_table = ANY (%(sales)s::text[])
                      ELSE s.calls_off AND s.status = 'lost' END
        AND NOT EXISTS (SELECT FROM feed_told AS t WHERE t.organization_id = s.organization_id AND t.home = s.home
                        AND t.source_table = s.source_table AND t.source_key = s.source_key AND t.kind IN (k.kind, k.same))
    ORDER BY s.organization_id, s.home, s.source_table, s.source_key, k.kind, s.person_id;
ANALYZE feed_told;
CREATE TEMP TABLE feed_sale ON COMMIT DROP AS
    WITH RECURSIVE told AS (
        SELECT f.source_table, f.source_key, f.kind, f.person_id, concat_ws(' ', f.organization_id, f.home) AS household_id,
            f.crm_source, f.occurred_at, f.occurred_at::date AS occurred_day, f.amount, NULL::uuid AS our_user_id,
            NULL::text AS our_user, NULL::text AS division, f.links, f.source_table || ' ' || f.source_key AS record,
            concat_ws(' ', f.organization_id, f.person_id) AS whose
        FROM feed_told AS f
    ), {sale_records}
    SELECT split_part(u.household_id, ' ', 1)::uuid AS organization_id, split_part(u.household_id, ' ', 2)::uuid AS home,
        u.source_table, u.source_key, concat_ws(' ', u.whose, u.sale) AS sale, bool_or(u.is_off) OVER one AS is_off,
        max(u.occurred_at) OVER one AS sold_at
    FROM united AS u
    WINDOW one AS (PARTITION BY u.whose, u.sale);
ANALYZE feed_sale;
CREATE TEMP TABLE feed_off ON COMMIT DROP AS
    SELECT s.organization_id, s.person_id,
        greatest(max(f.sold_at) + interval '45 days', (
            SELECT max(c.occurred_at) FROM feed_told AS c
            WHERE c.organization_id = s.organization_id AND c.person_id = s.person_id AND c.kind = 'cancellation')) AS until
    FROM feed_sold AS s JOIN feed_sale AS f USING (organization_id, home, source_table, source_key)
    GROUP BY s.organization_id, s.person_id
    HAVING bool_and(f.is_off);
UPDATE feed_said AS s SET is_off = true
    FROM feed_off AS f
    WHERE s.organization_id = f.organization_id AND s.person_id = f.person_id AND s.status = 'won'
        AND (s.dated_at > f.until) IS NOT TRUE;
UPDATE feed_said AS s SET sale = f.sale
    FROM (SELECT DISTINCT o.organization_id, o.person_id, f.source_table, f.source_key, f.sale
          FROM feed_sale AS f JOIN feed_sold AS o USING (organization_id, home, source_table, source_key)) AS f
    WHERE s.organization_id = f.organization_id AND s.person_id = f.person_id AND s.source_table = f.source_table
        AND s.source_key = f.source_key;
UPDATE feed_said AS s SET is_off = true
    FROM (SELECT DISTINCT o.organization_id, o.person_id, f.source_table, f.source_key
          FROM feed_sale AS f JOIN feed_sold AS o USING (organization_id, home, source_table, source_key)
          WHERE f.is_off) AS f
    WHERE s.organization_id = f.organization_id AND s.person_id = f.person_id AND s.source_table = f.source_table
        AND s.source_key = f.source_key;
ANALYZE feed_said
