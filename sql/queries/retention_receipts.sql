-- Whether a receipt `t` tells nothing any more that a plan, an undo or an archiving goes by: its plan is deleted, and it was
-- refused, or its record was archived from here, or each field that it wrote was written again since; that of a link only
-- where what it sent was not left there. The receipt of an archiving goes last, or its record would count as living.
SELECT WHERE t.status <> 'sending'
    AND NOT EXISTS (SELECT FROM reverse_etl.plan AS p WHERE p.plan_id = t.plan_id)
    AND CASE
        WHEN t.status = 'refused' THEN true
        WHEN t.action = 'archive' THEN NOT EXISTS (
            SELECT FROM reverse_etl.receipt AS o
            WHERE o.target = t.target AND o.object_id = t.object_id AND o.operation_id <> t.operation_id)
        ELSE EXISTS (
                SELECT FROM reverse_etl.receipt AS a
                WHERE a.target = t.target AND a.object_id = t.object_id AND a.action = 'archive' AND a.status = 'written'
                    AND a.sent_at > t.sent_at)
            OR t.action = 'update' AND NOT EXISTS (
                SELECT FROM jsonb_each(t.fields) AS f
                WHERE f.value ?| ARRAY['stored', 'half'] AND NOT EXISTS (
                    SELECT FROM reverse_etl.receipt AS n
                    WHERE n.target = t.target AND n.object_id = t.object_id AND n.action <> 'archive'
                        AND n.sent_at > t.sent_at AND n.fields -> f.key ? 'stored'
                        AND NOT coalesce(
                            string_to_array(f.value ->> 'sent', ';')
                                && string_to_array(n.fields -> f.key ->> 'before', ';')
                            AND string_to_array(f.value ->> 'sent', ';')
                                && string_to_array(n.fields -> f.key ->> 'stored', ';'), false)))
    END
