-- Opt-outs by a do-not-call that people set at the vendor, where the warehouse writes it too: marks of records that
-- changed since `since`, except for those that we wrote. {table}, its columns, its CRM and the target are composed;
-- {keys} are those of the record and of the ones that the vendor made part of it.
INSERT INTO feed_consent
    SELECT coalesce(f.organization_id, %(organization)s), {table_name}, {key}, {name}, {crm}, 'opt_out',
        ARRAY['call', 'sms'], {phone}, NULL, said.at, NULL, true, said.at
    FROM {table} AS t
        LEFT JOIN crm.feed_source AS f ON f.crm = {crm},
        LATERAL (SELECT coalesce({said}, t.sync_updated_at) AS at) AS said
    WHERE t.sync_updated_at > %(since)s AND {is_set} AND NOT coalesce(
        (SELECT r.status = 'sending' OR r.settled_at >= said.at
             OR coalesce(r.fields #>> ARRAY[{name}, 'stored'] = 'true', false)
         FROM reverse_etl.receipt AS r
         WHERE r.target = {target} AND r.object_id = ANY ({keys}) AND r.fields ? {name}
             AND (r.status = 'sending' OR r.fields -> {name} ? 'stored')
         ORDER BY r.sent_at DESC LIMIT 1), false);
-- Those that were taken off. That lifts nothing, and one that is set again is told anew.
INSERT INTO feed_consent
    SELECT k.organization_id, k.source_table, k.source_key, k.flag, k.crm, k.says, k.channels, k.phone, NULL, said.at,
        NULL, false, said.at
    FROM crm.consent_fact AS k JOIN {table} AS t ON {key} = k.source_key,
        LATERAL (SELECT coalesce({said}, t.sync_updated_at) AS at) AS said
    WHERE k.source_table = {table_name} AND k.flag = {name} AND k.withdrawn_at IS NULL
        AND t.sync_updated_at > %(since)s AND {is_set} IS NOT TRUE
