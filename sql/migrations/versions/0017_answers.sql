-- The marts that answer questions about calls, reps, jobs, places and people; who has to do with whom, and by which way;
-- and two views for the operator: how the syncs went, and what the tables lack.

CREATE TABLE marts.call_performance (
    month        date           NOT NULL,
    tracker_id   text           NOT NULL,
    hour         smallint       NOT NULL CONSTRAINT call_performance_hour CHECK (hour BETWEEN 0 AND 23),
    tracker      text,
    calls        integer        NOT NULL,
    answered     integer        NOT NULL,
    voicemails   integer        NOT NULL,
    missed       integer        NOT NULL,
    answer_rate  numeric(5, 4),
    first_calls  integer        NOT NULL,
    outbound     integer        NOT NULL,
    appointments integer        NOT NULL,
    jobs         integer        NOT NULL,
    revenue      numeric(14, 2) NOT NULL,
    PRIMARY KEY (month, tracker_id, hour),
    CONSTRAINT call_performance_adds_up CHECK (calls = answered + missed AND voicemails <= missed)
);
COMMENT ON TABLE marts.call_performance IS
    'Calls by month, tracker and hour of the day: how many were answered, and how many became appointments and jobs.';
COMMENT ON COLUMN marts.call_performance.month IS 'The first day of the month, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.call_performance.tracker_id IS 'callrail_tracker.id; empty for calls without one.';
COMMENT ON COLUMN marts.call_performance.hour IS 'Hour of the day from 0, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.call_performance.tracker IS 'The name of the tracker, or of the source of the calls.';
COMMENT ON COLUMN marts.call_performance.calls IS 'Calls that came in.';
COMMENT ON COLUMN marts.call_performance.answered IS 'Of those, how many were answered.';
COMMENT ON COLUMN marts.call_performance.voicemails IS 'Of those that were not answered, how many left a message.';
COMMENT ON COLUMN marts.call_performance.missed IS 'Calls that were not answered, with or without a message.';
COMMENT ON COLUMN marts.call_performance.answer_rate IS 'Answered by calls, from 0 to 1; null without calls.';
COMMENT ON COLUMN marts.call_performance.first_calls IS 'Calls of those who had not called before.';
COMMENT ON COLUMN marts.call_performance.outbound IS 'Calls that we made; in no other column.';
COMMENT ON COLUMN marts.call_performance.appointments IS
    'Appointments of the callers: each counts for the last call of its person in the 90 days before it was made.';
COMMENT ON COLUMN marts.call_performance.jobs IS
    'Sales of the callers: each counts for the last call before the appointment, or before the sale without one.';
COMMENT ON COLUMN marts.call_performance.revenue IS 'What these sales are worth.';

CREATE TABLE marts.rep_performance (
    rep_id              text           PRIMARY KEY,
    person_id           uuid,
    rep                 text,
    email               text,
    crms                text[]         NOT NULL,
    leads               integer        NOT NULL,
    appointments_set    integer        NOT NULL,
    appointments_held   integer        NOT NULL,
    estimates           integer        NOT NULL,
    sold                integer        NOT NULL,
    revenue             numeric(14, 2) NOT NULL,
    cancelled           integer        NOT NULL,
    cancelled_amount    numeric(14, 2) NOT NULL,
    change_orders       integer        NOT NULL,
    change_order_amount numeric(14, 2) NOT NULL,
    close_rate          numeric(6, 4)
);
CREATE INDEX rep_performance_person ON marts.rep_performance (person_id);
COMMENT ON TABLE marts.rep_performance IS
    'What each of us has done, over all CRMs: one row per user to whom anything is, or was, assigned.';
COMMENT ON COLUMN marts.rep_performance.rep_id IS
    'The id in identity.person; of a user who is not there, the id in crm, or table and key of the CRM.';
COMMENT ON COLUMN marts.rep_performance.person_id IS 'The user in identity.person.';
COMMENT ON COLUMN marts.rep_performance.rep IS 'The name.';
COMMENT ON COLUMN marts.rep_performance.email IS 'The best e-mail address.';
COMMENT ON COLUMN marts.rep_performance.crms IS 'The tables of users that know the user.';
COMMENT ON COLUMN marts.rep_performance.leads IS 'Leads that are the user''s now.';
COMMENT ON COLUMN marts.rep_performance.appointments_set IS
    'Appointments that the user made. One that several CRMs know counts once, for whom Genius names, else MarketSharp.';
COMMENT ON COLUMN marts.rep_performance.appointments_held IS 'Appointments of the user that took place.';
COMMENT ON COLUMN marts.rep_performance.estimates IS 'Estimates and quotes that the user wrote.';
COMMENT ON COLUMN marts.rep_performance.sold IS 'Sales of the user that were not cancelled.';
COMMENT ON COLUMN marts.rep_performance.revenue IS 'What these are worth.';
COMMENT ON COLUMN marts.rep_performance.cancelled IS 'Sales of the user that were cancelled.';
COMMENT ON COLUMN marts.rep_performance.cancelled_amount IS 'What those were worth.';
COMMENT ON COLUMN marts.rep_performance.change_orders IS 'Change orders of the user''s jobs, as in job_change_orders.';
COMMENT ON COLUMN marts.rep_performance.change_order_amount IS 'By how much these changed the contracts.';
COMMENT ON COLUMN marts.rep_performance.close_rate IS 'Sold by held; null where none was held.';

CREATE TABLE marts.job_change_orders (
    job_id          bigint         PRIMARY KEY,
    person_id       uuid,
    contract_number text,
    division        text,
    rep_id          text,
    rep             text,
    sold_on         date,
    contract_amount numeric(14, 2),
    change_orders   integer        NOT NULL,
    changed_amount  numeric(14, 2) NOT NULL,
    added_amount    numeric(14, 2) NOT NULL,
    deducted_amount numeric(14, 2) NOT NULL,
    changed_share   numeric(12, 4),
    passes_limit    boolean        NOT NULL,
    first_on        date,
    last_on         date,
    reasons         text[]         NOT NULL,
    CONSTRAINT job_change_orders_adds_up CHECK (changed_amount = added_amount + deducted_amount)
);
CREATE INDEX job_change_orders_rep ON marts.job_change_orders (rep_id);
CREATE INDEX job_change_orders_person ON marts.job_change_orders (person_id);
COMMENT ON TABLE marts.job_change_orders IS
    'Jobs with change orders, by how much these change the contract, and whose jobs they are.';
COMMENT ON COLUMN marts.job_change_orders.job_id IS 'genius_job.id.';
COMMENT ON COLUMN marts.job_change_orders.person_id IS 'The customer.';
COMMENT ON COLUMN marts.job_change_orders.contract_number IS 'The number of the contract.';
COMMENT ON COLUMN marts.job_change_orders.division IS 'The branch.';
COMMENT ON COLUMN marts.job_change_orders.rep_id IS 'Who sold the job, as in rep_performance.';
COMMENT ON COLUMN marts.job_change_orders.rep IS 'The name of who sold it.';
COMMENT ON COLUMN marts.job_change_orders.sold_on IS 'The day of the contract.';
COMMENT ON COLUMN marts.job_change_orders.contract_amount IS 'The amount of the contract.';
COMMENT ON COLUMN marts.job_change_orders.change_orders IS
    'How many change orders; those that are void, cancelled or a draft do not count.';
COMMENT ON COLUMN marts.job_change_orders.changed_amount IS 'By how much they change the contract, all together.';
COMMENT ON COLUMN marts.job_change_orders.added_amount IS 'What those that add to it come to.';
COMMENT ON COLUMN marts.job_change_orders.deducted_amount IS 'What those that take from it come to: zero or less.';
COMMENT ON COLUMN marts.job_change_orders.changed_share IS 'Changed by contract amount; null without a contract amount.';
COMMENT ON COLUMN marts.job_change_orders.passes_limit IS
    'Whether they change the contract by more than 10 %, up or down. Any change of a contract without amount does.';
COMMENT ON COLUMN marts.job_change_orders.first_on IS 'The day of the first.';
COMMENT ON COLUMN marts.job_change_orders.last_on IS 'The day of the last.';
COMMENT ON COLUMN marts.job_change_orders.reasons IS 'Why, in Genius'' words.';

CREATE TABLE marts.zip_performance (
    zip       text           PRIMARY KEY,
    leads     integer        NOT NULL,
    visits    integer        NOT NULL,
    sold      integer        NOT NULL,
    revenue   numeric(14, 2) NOT NULL,
    paid      numeric(14, 2) NOT NULL,
    win_rate  numeric(6, 4)
);
COMMENT ON TABLE marts.zip_performance IS 'Leads, visits, sales and revenue by zip code.';
COMMENT ON COLUMN marts.zip_performance.zip IS 'Five digits; empty for people without one.';
COMMENT ON COLUMN marts.zip_performance.leads IS 'People who are leads or customers.';
COMMENT ON COLUMN marts.zip_performance.visits IS 'Of those, how many were visited.';
COMMENT ON COLUMN marts.zip_performance.sold IS 'Of those, how many bought.';
COMMENT ON COLUMN marts.zip_performance.revenue IS 'What their jobs are worth.';
COMMENT ON COLUMN marts.zip_performance.paid IS 'What of it is paid.';
COMMENT ON COLUMN marts.zip_performance.win_rate IS 'Sold by visits; null without visits.';

CREATE TABLE marts.duplicates (
    person_id    uuid           NOT NULL,
    source_table text           NOT NULL,
    records      integer        NOT NULL CONSTRAINT duplicates_of_several CHECK (records > 1),
    surplus      integer        NOT NULL,
    source_keys  text[]         NOT NULL,
    first_at     timestamptz,
    last_at      timestamptz,
    surplus_cost numeric(14, 2) NOT NULL,
    PRIMARY KEY (person_id, source_table)
);
COMMENT ON TABLE marts.duplicates IS 'Who stands in one table of one CRM more than once, and what the further records cost.';
COMMENT ON COLUMN marts.duplicates.person_id IS 'The person.';
COMMENT ON COLUMN marts.duplicates.source_table IS 'The table.';
COMMENT ON COLUMN marts.duplicates.records IS 'How many of its records are this person.';
COMMENT ON COLUMN marts.duplicates.surplus IS 'How many of those are too many.';
COMMENT ON COLUMN marts.duplicates.source_keys IS 'Their keys, the oldest first.';
COMMENT ON COLUMN marts.duplicates.first_at IS 'When the first was made.';
COMMENT ON COLUMN marts.duplicates.last_at IS 'When the last was made.';
COMMENT ON COLUMN marts.duplicates.surplus_cost IS
    'What the records after the first cost, as HubSpot, Genius and LeadConduit say what a lead cost.';

CREATE TABLE marts.follow_up_recommendations (
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    person_id       uuid,
    priority        smallint    NOT NULL,
    codes           text[]      NOT NULL,
    reasons         text[]      NOT NULL,
    channel         text        NOT NULL CONSTRAINT follow_up_channel_known
                                CHECK (channel IN ('call', 'sms', 'email', 'mail')),
    channels        text[]      NOT NULL,
    status          text        NOT NULL,
    owner_id        uuid,
    owner           text,
    last_reached_at timestamptz,
    due_on          date        NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, lead_id)
);
CREATE INDEX follow_up_of_owner ON marts.follow_up_recommendations (owner_id, priority DESC);
COMMENT ON TABLE marts.follow_up_recommendations IS
    'Whom to contact today, why, and by which channel. Nobody with a do-not-call entry in force is here.';
COMMENT ON COLUMN marts.follow_up_recommendations.organization_id IS 'The organization of the lead.';
COMMENT ON COLUMN marts.follow_up_recommendations.lead_id IS 'crm.leads.id.';
COMMENT ON COLUMN marts.follow_up_recommendations.person_id IS 'The person in identity.';
COMMENT ON COLUMN marts.follow_up_recommendations.priority IS 'The higher, the sooner: the strongest reason and a tenth of the score.';
COMMENT ON COLUMN marts.follow_up_recommendations.codes IS
    'The reasons by name: missed_call, unanswered_request, appointment_soon, appointment_missed, new, open_estimate, quiet.';
COMMENT ON COLUMN marts.follow_up_recommendations.reasons IS 'The same in words, the strongest first.';
COMMENT ON COLUMN marts.follow_up_recommendations.channel IS 'The first of channels.';
COMMENT ON COLUMN marts.follow_up_recommendations.channels IS
    'What the person agreed to, of call, sms, email and mail; post needs no consent.';
COMMENT ON COLUMN marts.follow_up_recommendations.status IS 'The status of the lead.';
COMMENT ON COLUMN marts.follow_up_recommendations.owner_id IS 'Whose lead it is.';
COMMENT ON COLUMN marts.follow_up_recommendations.owner IS 'The name of the owner.';
COMMENT ON COLUMN marts.follow_up_recommendations.last_reached_at IS 'When we last spoke to the person, or were there.';
COMMENT ON COLUMN marts.follow_up_recommendations.due_on IS 'The day, in WAREHOUSE_TIME_ZONE.';
COMMENT ON COLUMN marts.follow_up_recommendations.expires_at IS 'The end of that day: afterwards it is to be computed again.';

CREATE TABLE marts.relationships (
    a_id      uuid          NOT NULL,
    b_id      uuid          NOT NULL,
    relation  text          NOT NULL CONSTRAINT relationships_known
                            CHECK (relation IN ('spouse', 'household', 'referral', 'company', 'property')),
    via       text,
    from_id   uuid,
    certainty numeric(3, 2) NOT NULL,
    reason    text          NOT NULL,
    PRIMARY KEY (a_id, b_id, relation),
    CONSTRAINT relationships_once CHECK (a_id < b_id)
);
CREATE INDEX relationships_other ON marts.relationships (b_id);
COMMENT ON TABLE marts.relationships IS 'Who has to do with whom: a row per pair of people and relation.';
COMMENT ON COLUMN marts.relationships.a_id IS 'The person with the smaller id.';
COMMENT ON COLUMN marts.relationships.b_id IS 'The other.';
COMMENT ON COLUMN marts.relationships.relation IS
    'spouse; household: under one roof or on one family''s phone; referral; company: of one company or employer; '
    'property: one address, and not one household.';
COMMENT ON COLUMN marts.relationships.via IS 'By what: a household, a property, or table and key of a company.';
COMMENT ON COLUMN marts.relationships.from_id IS 'Of a referral, who sent the other.';
COMMENT ON COLUMN marts.relationships.certainty IS 'From 0 to 1: 1 is declared, less is concluded.';
COMMENT ON COLUMN marts.relationships.reason IS 'Why, in words.';

-- The shortest way from one person to another over marts.relationships, in at most four steps; nothing where there is
-- none. Ids that were merged are followed. Between two people the closest relation is named.
--
-- It looks from both ends, two steps each, so that it need not walk through everybody who is four steps away; and by the
-- indexes alone, because a plan for a list whose length is not known may read the table.
CREATE FUNCTION identity.path(a uuid, b uuid)
RETURNS TABLE (step integer, from_id uuid, to_id uuid, relation text, reason text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    start CONSTANT uuid := identity.current_person(a);
    goal  CONSTANT uuid := identity.current_person(b);
    near  uuid[];
    far   uuid[];
    -- Who is two steps from the start, and by whom.
    met    uuid[];
    met_by uuid[];
    way   uuid[];
BEGIN
    IF start IS NULL OR goal IS NULL OR start = goal THEN
        RETURN;
    END IF;
    near := identity.related(start);
    IF goal = ANY (near) THEN
        way := ARRAY[start, goal];
    ELSE
        far := identity.related(goal);
        way := (SELECT ARRAY[start, n, goal] FROM (SELECT unnest(near) INTERSECT SELECT unnest(far)) AS m (n)
                ORDER BY n LIMIT 1);
    END IF;
    IF way IS NULL THEN
        SELECT array_agg(s.there), array_agg(s.way_by) INTO met, met_by FROM (
            SELECT DISTINCT ON (r.there) r.there, r.way_by
            FROM (SELECT r.b_id AS there, n AS way_by FROM unnest(near) AS n JOIN marts.relationships AS r ON r.a_id = n
                  UNION ALL
                  SELECT r.a_id, n FROM unnest(near) AS n JOIN marts.relationships AS r ON r.b_id = n) AS r
            ORDER BY r.there, r.way_by) AS s;
        way := (SELECT ARRAY[start, met_by[array_position(met, f)], f, goal]
                FROM (SELECT unnest(met) INTERSECT SELECT unnest(far)) AS m (f) ORDER BY f LIMIT 1);
    END IF;
    IF way IS NULL THEN
        way := (SELECT ARRAY[start, met_by[array_position(met, m.there)], m.there, (
                           SELECT f FROM unnest(far) AS f WHERE f = ANY (identity.related(m.there)) ORDER BY f LIMIT 1),
                       goal]
                FROM (SELECT unnest(met) INTERSECT
                      (SELECT r.b_id FROM unnest(far) AS f JOIN marts.relationships AS r ON r.a_id = f
                       UNION ALL
                       SELECT r.a_id FROM unnest(far) AS f JOIN marts.relationships AS r ON r.b_id = f)) AS m (there)
                ORDER BY m.there LIMIT 1);
    END IF;
    RETURN QUERY
        SELECT n::integer, way[n], way[n + 1], r.relation, r.reason
        FROM generate_series(1, cardinality(way) - 1) AS n
            CROSS JOIN LATERAL (
                SELECT x.relation, x.reason FROM marts.relationships AS x
                WHERE x.a_id = least(way[n], way[n + 1]) AND x.b_id = greatest(way[n], way[n + 1])
                ORDER BY array_position('{spouse,household,referral,property,company}'::text[], x.relation)
                LIMIT 1) AS r
        ORDER BY n;
END
$$;
COMMENT ON FUNCTION identity.path(uuid, uuid) IS
    'The shortest way from one person to another over marts.relationships, in at most four steps.';

-- Who has to do with somebody directly.
CREATE FUNCTION identity.related(id uuid) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN ARRAY(SELECT r.b_id FROM marts.relationships AS r WHERE r.a_id = id
                 UNION SELECT r.a_id FROM marts.relationships AS r WHERE r.b_id = id);
END
$$;
COMMENT ON FUNCTION identity.related(uuid) IS 'Who has to do with a person directly, over marts.relationships.';

-- The person that an id stands for now; null when it was never a person's.
CREATE FUNCTION identity.current_person(id uuid) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE followed (id, steps) AS (
        SELECT id, 0
        UNION ALL
        SELECT a.person_id, f.steps + 1 FROM followed AS f JOIN identity.alias AS a ON a.alias_id = f.id
        WHERE f.steps < 100
    )
    SELECT p.person_id FROM followed AS f JOIN identity.person AS p ON p.person_id = f.id ORDER BY f.steps LIMIT 1
$$;
COMMENT ON FUNCTION identity.current_person(uuid) IS 'The person that an id stands for now, through every merge.';
REVOKE ALL ON FUNCTION identity.path(uuid, uuid), identity.related(uuid), identity.current_person(uuid) FROM PUBLIC;

-- What table each entity fills, so that SQL can tell; a migration keeps it in step with the rows of the sources.
CREATE TABLE orchestration.source_table (
    table_name  text     PRIMARY KEY,
    crm_source  text     NOT NULL,
    sync_type   text     NOT NULL,
    key_columns text[]   NOT NULL,
    stale_after interval NOT NULL,
    CONSTRAINT source_table_of_entity UNIQUE (crm_source, sync_type)
);
COMMENT ON TABLE orchestration.source_table IS 'Which table each entity fills. Written by warehouse migrate.';
COMMENT ON COLUMN orchestration.source_table.table_name IS 'The table, as its asset is named.';
COMMENT ON COLUMN orchestration.source_table.crm_source IS 'The CRM, as in sync_history.';
COMMENT ON COLUMN orchestration.source_table.sync_type IS 'The entity, as in sync_history.';
COMMENT ON COLUMN orchestration.source_table.key_columns IS
    'Columns by which rows are found and joined: those that have an index, the key apart.';
COMMENT ON COLUMN orchestration.source_table.stale_after IS
    'How old its last good run may be: two hours, or twice its cadence.';

-- The runs that loaded, or tried to: no dry runs, and none that was refused before it began.
CREATE VIEW orchestration.sync_metrics_daily AS
    SELECT (h.start_time AT TIME ZONE 'UTC')::date AS day, h.crm_source, h.sync_type,
        count(*) AS runs,
        count(*) FILTER (WHERE h.status = 'success') AS succeeded,
        count(*) FILTER (WHERE h.status = 'partial') AS partial,
        count(*) FILTER (WHERE h.status = 'failed') AS failed,
        count(*) FILTER (WHERE h.status = 'cancelled') AS cancelled,
        round(avg(extract(epoch FROM h.end_time - h.start_time)), 3) AS average_seconds,
        round(max(extract(epoch FROM h.end_time - h.start_time)), 3) AS longest_seconds,
        sum(h.records_processed) AS records_processed,
        sum(h.records_created) AS records_created,
        sum(h.records_updated) AS records_updated,
        sum(h.records_failed) AS records_failed,
        round(sum(h.records_failed)::numeric / nullif(sum(h.records_processed), 0), 6) AS error_rate,
        coalesce(sum((h.performance_metrics ->> 'total_api_calls')::bigint), 0)::bigint AS api_calls,
        round(60 * sum((h.performance_metrics ->> 'total_api_calls')::numeric)
              / nullif(sum(extract(epoch FROM h.end_time - h.start_time)), 0), 1) AS api_calls_per_minute
    FROM orchestration.sync_history AS h
    WHERE NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
        AND coalesce(h.configuration ->> 'mode', '') <> 'refused'
    GROUP BY 1, 2, 3;
COMMENT ON VIEW orchestration.sync_metrics_daily IS 'How the syncs of each entity went, by day in UTC.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.day IS 'The day on which the runs began, in UTC.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.crm_source IS 'The CRM.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.sync_type IS 'The entity.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.runs IS 'How many, those that still run included.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.succeeded IS 'How many were a success.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.partial IS 'How many left something out.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.failed IS 'How many failed.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.cancelled IS 'How many were stopped.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.average_seconds IS 'How long they took, on average.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.longest_seconds IS 'How long the longest took.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.records_processed IS 'Records that were read.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.records_created IS 'Rows that were new.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.records_updated IS 'Rows that changed.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.records_failed IS 'Records that went into the dead letters.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.error_rate IS 'Failed by processed; null where nothing was read.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.api_calls IS 'Requests to the vendor.';
COMMENT ON COLUMN orchestration.sync_metrics_daily.api_calls_per_minute IS 'The same by the minutes of the runs.';

CREATE VIEW marts.sync_metrics_daily AS SELECT * FROM orchestration.sync_metrics_daily;
COMMENT ON VIEW marts.sync_metrics_daily IS 'The same as orchestration.sync_metrics_daily.';

-- What each table lacks. Rows are those after the last good run, nulls those of the last complete read of the vendor: both
-- stand in the history, so that nobody need read the tables for it.
CREATE VIEW marts.data_quality AS
    -- Whose statuses stand under which source of crm.status_mapping; a test compares it with unified.lead_rows.
    WITH word (source, table_name) AS (VALUES
        ('arrivy.status', 'arrivy_booking'),
        ('arrivy.status', 'arrivy_task'),
        ('callrail.lead_status', 'callrail_call'),
        ('callrail.lead_status', 'callrail_form_submission'),
        ('callrail.lead_status', 'callrail_text_message'),
        ('five9.disposition', 'five9_contact'),
        ('five9.status', 'five9_contact'),
        ('genius.appointment', 'genius_appointment'),
        ('genius.job', 'genius_job'),
        ('genius.lead', 'genius_lead'),
        ('genius.marketsharp_contact', 'genius_marketsharp_contact'),
        ('gsheet.appointment', 'gsheet_marketing_lead'),
        ('gsheet.disposition', 'gsheet_marketing_lead'),
        ('hubspot.appointment', 'hubspot_appointment'),
        ('hubspot.dealstage', 'hubspot_deal'),
        ('hubspot.hs_lead_status', 'hubspot_contact'),
        ('hubspot.lifecyclestage', 'hubspot_contact'),
        ('leadconduit.outcome', 'leadconduit_lead'),
        ('marketsharp.appointment', 'marketsharp_appointment'),
        ('marketsharp.inquiry', 'marketsharp_data'),
        ('marketsharp.inquiry', 'marketsharp_inquiry'),
        ('marketsharp.job', 'marketsharp_job'),
        ('pipedesk.status', 'pipedesk.leads'),
        ('salespro.estimate', 'salespro_estimate'),
        ('salespro.result', 'salespro_lead_result'),
        ('salesrabbit.status', 'salesrabbit_lead')
    )
    SELECT t.table_name, t.crm_source, t.sync_type, good.total_rows, good.total_rows - good.living_rows AS archived_rows,
        coalesce(whole.nulls, '{}') AS key_nulls, whole.read_at AS key_nulls_at,
        letters.pending AS dead_letters, letters.waived AS dead_letters_waived, coalesce(words.unmapped, 0) AS unmapped,
        good.ended_at AS last_good_run_at,
        coalesce(good.ended_at < now() - t.stale_after, true) AS stale
    FROM orchestration.source_table AS t
        LEFT JOIN LATERAL (
            SELECT (h.performance_metrics ->> 'total_rows')::bigint AS total_rows,
                (h.performance_metrics ->> 'living_rows')::bigint AS living_rows, h.end_time AS ended_at
            FROM orchestration.sync_history AS h
            WHERE h.crm_source = t.crm_source AND h.sync_type = t.sync_type AND h.status IN ('success', 'partial')
                AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
                AND coalesce(h.configuration ->> 'mode', '') NOT IN ('refused', 'replay', 'webhook')
                AND h.performance_metrics ? 'total_rows'
            ORDER BY h.id DESC LIMIT 1) AS good ON true
        LEFT JOIN LATERAL (
            SELECT h.end_time AS read_at, (
                SELECT jsonb_object_agg(k, (h.performance_metrics ->> 'total_records')::bigint
                                           - coalesce((h.performance_metrics -> 'columns_filled' ->> k)::bigint, 0))
                FROM unnest(t.key_columns) AS k) AS nulls
            FROM orchestration.sync_history AS h
            WHERE h.crm_source = t.crm_source AND h.sync_type = t.sync_type AND h.status IN ('success', 'partial')
                AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
                AND h.configuration ->> 'mode' = 'full' AND h.performance_metrics ? 'columns_filled'
            ORDER BY h.id DESC LIMIT 1) AS whole ON true
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE d.status = 'pending') AS pending,
                count(*) FILTER (WHERE d.status = 'waived') AS waived
            FROM orchestration.dead_letter AS d
            WHERE d.crm_source = t.crm_source AND d.sync_type = t.sync_type AND d.status IN ('pending', 'waived')
        ) AS letters
        CROSS JOIN LATERAL (
            SELECT sum(u.records)::bigint AS unmapped
            FROM marts.unmapped_status AS u JOIN word AS w ON w.source = u.source
            WHERE w.table_name = t.table_name) AS words;
COMMENT ON VIEW marts.data_quality IS
    'What each table lacks: rows, empty key columns, dead letters, words that nobody translated, and age.';
COMMENT ON COLUMN marts.data_quality.table_name IS 'The table.';
COMMENT ON COLUMN marts.data_quality.crm_source IS 'The CRM.';
COMMENT ON COLUMN marts.data_quality.sync_type IS 'The entity.';
COMMENT ON COLUMN marts.data_quality.total_rows IS 'Rows after the last good run; null before the first.';
COMMENT ON COLUMN marts.data_quality.archived_rows IS 'Of those, how many are deleted at the vendor.';
COMMENT ON COLUMN marts.data_quality.key_nulls IS
    'For each column of orchestration.source_table.key_columns how many records of the last complete read had nothing there.';
COMMENT ON COLUMN marts.data_quality.key_nulls_at IS 'When that read ended.';
COMMENT ON COLUMN marts.data_quality.dead_letters IS 'Records that could not be loaded and wait.';
COMMENT ON COLUMN marts.data_quality.dead_letters_waived IS 'Records that somebody gave up.';
COMMENT ON COLUMN marts.data_quality.unmapped IS 'Records with a status that crm.status_mapping does not know.';
COMMENT ON COLUMN marts.data_quality.last_good_run_at IS 'When the last run ended that was a success or partial.';
COMMENT ON COLUMN marts.data_quality.stale IS 'Whether that is longer ago than stale_after, or never was.';

-- The questions of sql/views/answers.*.sql, a view each; whoever may use the schema may ask.
CREATE SCHEMA answers;
REVOKE ALL ON SCHEMA answers FROM PUBLIC;
COMMENT ON SCHEMA answers IS 'Questions of the business, a view each: warehouse ask.';
