-- The feed of crm: what the people of identity and the records of the sources become there, and by which rows.
--
-- The mappings (feed_source, status_mapping, status_rank, fx_rate) are the same for all organizations but the first, and
-- administrators write them. What the feed keeps for itself (lead_feed, consent_fact, source_status, feed_position) says
-- of each value of a lead where it came from.

SET LOCAL ROLE crm_owner;

-- Which organization a credential feeds. A CRM without a row feeds that of CRM_ORGANIZATION_ID.
CREATE TABLE crm.feed_source (
    crm             text PRIMARY KEY CONSTRAINT feed_source_is_a_word CHECK (crm ~ '^[a-z][a-z0-9_]*$'),
    organization_id uuid NOT NULL
);

-- What a status of a source means. `opt_out` names the channels by which a person of that status must not be reached.
CREATE TABLE crm.status_mapping (
    source        text NOT NULL,
    source_status text NOT NULL CONSTRAINT status_mapping_is_folded CHECK (source_status = lower(btrim(source_status))
                                                                          AND source_status <> ''),
    status        text NOT NULL CONSTRAINT status_mapping_known CHECK (status IN (
        'new', 'contacted', 'qualified', 'appointment_set', 'proposal', 'nurturing', 'won', 'lost', 'disqualified')),
    opt_out       text[] CONSTRAINT status_mapping_channels CHECK (opt_out <@ '{call,sms,email,mail}'
                                                                   AND opt_out <> '{}'),
    PRIMARY KEY (source, source_status)
);

-- Of several statuses of one person, the one of the higher rank. Of an open and a closed one the later, unless one of the
-- two says otherwise: nothing supersedes `won`, and `new` supersedes nothing that was closed.
CREATE TABLE crm.status_rank (
    status     text    PRIMARY KEY CONSTRAINT status_rank_known CHECK (status IN (
        'new', 'contacted', 'qualified', 'appointment_set', 'proposal', 'nurturing', 'won', 'lost', 'disqualified')),
    rank       integer NOT NULL,
    is_closed  boolean NOT NULL DEFAULT false,
    reopens    boolean NOT NULL DEFAULT true
);
INSERT INTO crm.status_rank (status, rank, is_closed, reopens) VALUES
    ('new', 10, false, false), ('nurturing', 20, false, true), ('contacted', 30, false, true),
    ('qualified', 40, false, true), ('appointment_set', 50, false, true), ('proposal', 60, false, true),
    ('disqualified', 70, true, true), ('lost', 80, true, true), ('won', 100, false, true);

-- Each status word that the sources have, and what it was loaded as.
CREATE TABLE crm.source_status (
    source        text        NOT NULL,
    source_status text        NOT NULL,
    loaded_as     text        NOT NULL,
    records       bigint      NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, source_status)
);

-- How far each table has been read by the feed; the row `crm.status_mapping` holds the fingerprint of the mappings.
CREATE TABLE crm.feed_position (
    source_table text        PRIMARY KEY,
    read_until   timestamptz NOT NULL,
    fingerprint  text,
    read_at      timestamptz NOT NULL DEFAULT now()
);

-- What one unit of a currency was worth from a day on, as somebody entered it.
CREATE TABLE crm.fx_rate (
    currency    text           NOT NULL CONSTRAINT fx_rate_currency CHECK (currency ~ '^[A-Z]{3}$' AND currency <> 'USD'),
    since       date           NOT NULL,
    rate_to_usd numeric(18, 8) NOT NULL CONSTRAINT fx_rate_positive CHECK (rate_to_usd > 0),
    PRIMARY KEY (currency, since)
);

-- One row per lead that the feed made or took over: per field what the sources said last, what the feed wrote last, and
-- the record it came from. A value of the lead that is not what the feed wrote was entered in crm, and stays until the
-- source's own value changes later.
CREATE TABLE crm.lead_feed (
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    proposed        jsonb       NOT NULL DEFAULT '{}',
    written         jsonb       NOT NULL DEFAULT '{}',
    origins         jsonb       NOT NULL DEFAULT '{}',
    fed_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, lead_id),
    CONSTRAINT lead_feed_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE
);

-- What a record of a source says, or said, of how its person may be reached. Never deleted: a flag that is withdrawn
-- lifts no opt-out by itself.
CREATE TABLE crm.consent_fact (
    organization_id uuid        NOT NULL,
    source_table    text        NOT NULL,
    source_key      text        NOT NULL,
    flag            text        NOT NULL,
    crm             text        NOT NULL,
    says            text        NOT NULL CONSTRAINT consent_fact_says CHECK (says IN ('opt_out', 'consent', 'not_before')),
    channels        text[]      NOT NULL CONSTRAINT consent_fact_channels
                                CHECK (channels <@ '{call,sms,email,mail}' AND channels <> '{}'),
    phone           text,
    proof           text,
    given_at        timestamptz NOT NULL,
    until           timestamptz,
    seen_at         timestamptz NOT NULL DEFAULT now(),
    withdrawn_at    timestamptz,
    PRIMARY KEY (organization_id, source_table, source_key, flag)
);

-- Post can be forbidden too. Since when the person wished it, where a source tells.
ALTER TABLE crm.dnc_list
    DROP CONSTRAINT dnc_list_channels_known,
    ADD CONSTRAINT dnc_list_channels_known CHECK (channels <@ '{call,sms,email,mail}' AND channels <> '{}'
                                                  AND array_position(channels, NULL) IS NULL),
    ADD COLUMN since timestamptz;
-- What the feed wrote last; another amount was entered by hand.
ALTER TABLE crm.lead_source_costs ADD COLUMN fed_amount numeric(12, 2);
-- Whose lead a person is. Deleted ones too: a lead that was merged comes back when the merge is undone.
CREATE INDEX leads_golden ON crm.leads (organization_id, golden_id) WHERE golden_id IS NOT NULL;
-- Who waits for a number that another lead has.
CREATE INDEX leads_shared_phone ON crm.leads (organization_id, (source_metadata #>> '{shared_phones,0}'))
    WHERE source_metadata ? 'shared_phones';

DO $$
DECLARE
    of_ text;
    -- sql/schemas/crm.sql, which is run next, gives them the form that all policies have.
    own CONSTANT text := 'organization_id = nullif(current_setting(''app.organization_id'', true), '''')::uuid';
BEGIN
    FOREACH of_ IN ARRAY ARRAY['feed_source', 'status_mapping', 'status_rank', 'source_status', 'feed_position', 'fx_rate',
                               'lead_feed', 'consent_fact'] LOOP
        EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_);
    END LOOP;
    FOREACH of_ IN ARRAY ARRAY['feed_source', 'lead_feed', 'consent_fact'] LOOP
        EXECUTE format('CREATE POLICY organization ON crm.%I USING (%s) WITH CHECK (%s)', of_, own, own);
    END LOOP;
    FOREACH of_ IN ARRAY ARRAY['status_mapping', 'status_rank', 'fx_rate'] LOOP
        EXECUTE format('CREATE POLICY everyone ON crm.%I USING (true) WITH CHECK (current_user = ''crm_owner'')', of_);
    END LOOP;
    FOREACH of_ IN ARRAY ARRAY['source_status', 'feed_position'] LOOP
        EXECUTE format('CREATE POLICY nobody ON crm.%I USING (false) WITH CHECK (false)', of_);
    END LOOP;
    -- Administrators, and the feed, which is one.
    FOREACH of_ IN ARRAY ARRAY['feed_source', 'status_mapping', 'status_rank', 'source_status', 'feed_position',
                               'fx_rate'] LOOP
        EXECUTE format('CREATE POLICY administration ON crm.%I TO crm_owner USING (true) WITH CHECK (true)', of_);
    END LOOP;
    -- Erasure takes the person out of both.
    FOREACH of_ IN ARRAY ARRAY['lead_feed', 'consent_fact'] LOOP
        EXECUTE format('CREATE POLICY definer ON crm.%I TO crm_definer USING (true) WITH CHECK (true)', of_);
        EXECUTE format('GRANT SELECT, UPDATE, DELETE ON crm.%I TO crm_definer', of_);
    END LOOP;
END
$$;

-- `source` is the CRM and the field that the word stands in. Words are compared in lower case, without blanks around.
INSERT INTO crm.status_mapping (source, source_status, status, opt_out)
SELECT m.source, w, m.status, m.opt_out
FROM (VALUES
    ('hubspot.lifecyclestage', 'subscriber|lead|other', 'new', NULL::text[]),
    ('hubspot.lifecyclestage', 'marketingqualifiedlead', 'nurturing', NULL),
    ('hubspot.lifecyclestage', 'salesqualifiedlead|opportunity', 'qualified', NULL),
    ('hubspot.lifecyclestage', 'customer|evangelist', 'won', NULL),
    ('hubspot.hs_lead_status', 'new|open', 'new', NULL),
    ('hubspot.hs_lead_status', 'in_progress|attempted_to_contact|connected', 'contacted', NULL),
    ('hubspot.hs_lead_status', 'open_deal', 'qualified', NULL),
    ('hubspot.hs_lead_status', 'bad_timing', 'nurturing', NULL),
    ('hubspot.hs_lead_status', 'unqualified', 'disqualified', NULL),
    ('hubspot.dealstage', 'appointmentscheduled', 'appointment_set', NULL),
    ('hubspot.dealstage', 'qualifiedtobuy', 'qualified', NULL),
    ('hubspot.dealstage', 'presentationscheduled|decisionmakerboughtin', 'appointment_set', NULL),
    ('hubspot.dealstage', 'contractsent', 'proposal', NULL),
    ('hubspot.dealstage', 'closedwon', 'won', NULL),
    ('hubspot.dealstage', 'closedlost', 'lost', NULL),
    ('hubspot.appointment', 'set|scheduled|confirmed|rescheduled', 'appointment_set', NULL),
    ('hubspot.appointment', 'complete|completed|demo|no sale|demo - not sold', 'proposal', NULL),
    ('hubspot.appointment', 'sale|sold|demo sold', 'won', NULL),
    ('hubspot.appointment', 'canceled|cancelled|no show|no_show|no demo', 'contacted', NULL),
    ('callrail.lead_status', 'good_lead|previously_marked_good_lead', 'contacted', NULL),
    ('callrail.lead_status', 'not_a_lead', 'disqualified', NULL),
    ('salesrabbit.status', 'not home|go back|callback|call back', 'contacted', NULL),
    ('salesrabbit.status', 'objection - follow up|follow up', 'nurturing', NULL),
    ('salesrabbit.status', 'interested|qualified', 'qualified', NULL),
    ('salesrabbit.status', 'appointment set|appointment|demo set', 'appointment_set', NULL),
    ('salesrabbit.status', 'sold|sale|customer', 'won', NULL),
    ('salesrabbit.status', 'not interested|no', 'lost', NULL),
    ('salesrabbit.status', 'renter|not qualified|moved|vacant', 'disqualified', NULL),
    ('salesrabbit.status', 'do not call|dnc', 'disqualified', '{call,sms}'),
    ('salesrabbit.status', 'do not contact', 'disqualified', '{call,sms,email,mail}'),
    ('salesrabbit.status', 'do not knock|no soliciting', 'disqualified', NULL),
    ('arrivy.status', 'notstarted|confirmed|enroute|started|rescheduled|unscheduled|complete|exception|custom',
        'appointment_set', NULL),
    ('arrivy.status', 'cancelled|canceled|noshow|no show', 'contacted', NULL),
    ('five9.status', 'new', 'new', NULL),
    ('five9.status', 'working', 'contacted', NULL),
    ('five9.status', 'sold', 'won', NULL),
    ('five9.status', 'dead', 'lost', NULL),
    ('five9.disposition', 'no answer|busy|answering machine|callback|voicemail|call disconnected', 'contacted', NULL),
    ('five9.disposition', 'appointment set', 'appointment_set', NULL),
    ('five9.disposition', 'not interested', 'lost', NULL),
    ('five9.disposition', 'wrong number|fax|operator intercept|bad number', 'disqualified', NULL),
    ('five9.disposition', 'do not call|dnc|add to dnc', 'disqualified', '{call,sms}'),
    ('marketsharp.inquiry', 'new|open|not set', 'new', NULL),
    ('marketsharp.inquiry', 'contacted|attempted', 'contacted', NULL),
    ('marketsharp.inquiry', 'set|issued|confirmed|reset', 'appointment_set', NULL),
    ('marketsharp.inquiry', 'demo no sale|demo', 'proposal', NULL),
    ('marketsharp.inquiry', 'sold', 'won', NULL),
    ('marketsharp.inquiry', 'dead & gone|dead|lost|cancelled', 'lost', NULL),
    ('marketsharp.inquiry', 'do not call|dnc', 'disqualified', '{call,sms}'),
    ('marketsharp.appointment', 'sold', 'won', NULL),
    ('marketsharp.appointment', 'demo no sale', 'proposal', NULL),
    ('marketsharp.appointment', 'set|no demo|reset|cancelled', 'appointment_set', NULL),
    ('marketsharp.job', 'sold|started|completed|in progress|scheduled', 'won', NULL),
    ('marketsharp.job', 'cancelled|canceled', 'lost', NULL),
    ('leadconduit.outcome', 'success', 'new', NULL),
    ('leadconduit.outcome', 'skip', 'new', NULL),
    ('leadconduit.outcome', 'failure|error', 'new', NULL),
    ('genius.lead', 'open', 'new', NULL),
    ('genius.lead', 'viewed', 'contacted', NULL),
    ('genius.lead', 'estimate set', 'appointment_set', NULL),
    ('genius.lead', 'dead', 'lost', NULL),
    ('genius.appointment', 'set', 'appointment_set', NULL),
    ('genius.appointment', 'sold|sale', 'won', NULL),
    ('genius.appointment', 'no sale|follow up|demo no sale', 'proposal', NULL),
    ('genius.appointment', 'not home|cancelled|canceled|no demo|rescheduled', 'contacted', NULL),
    ('genius.job', 'new|sold|in progress|finished', 'won', NULL),
    ('genius.job', 'cancelled|canceled', 'lost', NULL),
    ('genius.marketsharp_contact', 'new', 'new', NULL),
    ('genius.marketsharp_contact', 'set', 'appointment_set', NULL),
    ('genius.marketsharp_contact', 'sold', 'won', NULL),
    ('genius.marketsharp_contact', 'dead', 'lost', NULL),
    ('salespro.estimate', 'sale', 'won', NULL),
    ('salespro.estimate', 'no sale', 'proposal', NULL),
    ('salespro.result', 'demo sold|sold|sale', 'won', NULL),
    ('salespro.result', 'demo - not sold|not sold|demo not sold', 'proposal', NULL),
    ('salespro.result', 'rescheduled|no demo|not home|cancelled', 'appointment_set', NULL),
    ('gsheet.appointment', 'sold|sale', 'won', NULL),
    ('gsheet.appointment', 'no sale|demo no sale|demo', 'proposal', NULL),
    ('gsheet.appointment', 'set|yes', 'appointment_set', NULL),
    ('gsheet.appointment', 'not set|no', 'new', NULL),
    ('gsheet.disposition', 'do not call|dnc', 'disqualified', '{call,sms}'),
    ('pipedesk.status', 'new', 'new', NULL),
    ('pipedesk.status', 'contacted', 'contacted', NULL),
    ('pipedesk.status', 'proposal', 'proposal', NULL),
    ('pipedesk.status', 'qualified', 'qualified', NULL),
    ('pipedesk.status', 'lost', 'lost', NULL),
    ('pipedesk.status', 'disqualified', 'disqualified', NULL),
    ('import', 'new|open|lead', 'new', NULL),
    ('import', 'contacted|attempted|working|called', 'contacted', NULL),
    ('import', 'qualified|interested', 'qualified', NULL),
    ('import', 'appointment set|appointment|set|scheduled', 'appointment_set', NULL),
    ('import', 'proposal|quoted|estimate|demo', 'proposal', NULL),
    ('import', 'nurturing|nurture|follow up', 'nurturing', NULL),
    ('import', 'won|sold|sale|customer|closed won', 'won', NULL),
    ('import', 'lost|dead|not interested|closed lost', 'lost', NULL),
    ('import', 'disqualified|unqualified|junk', 'disqualified', NULL)
) AS m (source, words, status, opt_out), unnest(string_to_array(m.words, '|')) AS w;

-- Per field of a lead: its value, since when, and who says so: the record of a source, or crm, where it was entered.
CREATE VIEW crm.lead_field_origin WITH (security_invoker = true) AS
    SELECT l.organization_id, l.id AS lead_id, f.field,
           to_jsonb(l) -> f.field AS value,
           CASE WHEN (to_jsonb(l) -> f.field) IS NOT DISTINCT FROM coalesce(s.written -> f.field, 'null')
                THEN 'source' ELSE 'crm' END AS entered_in,
           CASE WHEN (to_jsonb(l) -> f.field) IS NOT DISTINCT FROM coalesce(s.written -> f.field, 'null')
                THEN s.origins -> f.field ->> 'table' END AS source_table,
           CASE WHEN (to_jsonb(l) -> f.field) IS NOT DISTINCT FROM coalesce(s.written -> f.field, 'null')
                THEN s.origins -> f.field ->> 'key' END AS source_key,
           CASE WHEN (to_jsonb(l) -> f.field) IS NOT DISTINCT FROM coalesce(s.written -> f.field, 'null')
                THEN (s.origins -> f.field ->> 'at')::timestamptz
                ELSE (SELECT max(a.created_at) FROM crm.lead_audit_log AS a
                      WHERE a.organization_id = l.organization_id AND a.lead_id = l.id AND a.field_name = f.field)
                END AS since
    FROM crm.leads AS l
        LEFT JOIN crm.lead_feed AS s ON s.organization_id = l.organization_id AND s.lead_id = l.id,
        unnest('{first_name,last_name,email,phone,status,source,tags,division,postal_code,owner_id,value_usd}'::text[])
            AS f (field)
    WHERE l.erased_at IS NULL;

RESET ROLE;

-- What is for people to look at, over all organizations: for administrators.
CREATE SCHEMA IF NOT EXISTS marts;
REVOKE ALL ON SCHEMA marts FROM PUBLIC;

CREATE VIEW marts.unmapped_status AS
    SELECT s.source, s.source_status, s.loaded_as, s.records, s.first_seen_at, s.last_seen_at
    FROM crm.source_status AS s
    WHERE NOT EXISTS (SELECT FROM crm.status_mapping AS m
                      WHERE m.source = s.source AND m.source_status = s.source_status);

-- Who was called or written to by us after the number was listed for that channel.
CREATE TABLE marts.dnc_conflicts (
    organization_id uuid        NOT NULL,
    channel         text        NOT NULL,
    source_table    text        NOT NULL,
    source_key      text        NOT NULL,
    contacted_at    timestamptz NOT NULL,
    phone           text        NOT NULL,
    lead_id         uuid,
    listed_at       timestamptz NOT NULL,
    reason          text        NOT NULL,
    evidence        text,
    found_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, source_table, source_key, channel)
);
CREATE INDEX dnc_conflicts_lead ON marts.dnc_conflicts (organization_id, lead_id);

-- Costs that were not loaded, and why.
CREATE TABLE marts.refused_costs (
    organization_id uuid        NOT NULL,
    source_table    text        NOT NULL,
    source_key      text        NOT NULL,
    source          text,
    spent_on        date,
    amount          text,
    currency        text,
    reason          text        NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, source_table, source_key)
);
