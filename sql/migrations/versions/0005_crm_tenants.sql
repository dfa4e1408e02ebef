-- Tenants that cannot reach each other. The functions, policies and grants are in sql/schemas/crm.sql, which is run
-- next: after this file alone the schema is not complete.

-- A type is looked for in pg_temp first unless the path names it, so a domain pg_temp.text with a CHECK would run its
-- maker's code in a function of ours. Every function names it last.
DO $$
DECLARE
    unpinned regprocedure;
BEGIN
    FOR unpinned IN SELECT p.oid FROM pg_proc AS p
        WHERE p.pronamespace IN ('crm'::regnamespace, 'orchestration'::regnamespace, 'pipedesk'::regnamespace)
            AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', unpinned);
    END LOOP;
END
$$;

SET LOCAL ROLE crm_owner;

-- The organizations that a login may act for. It is asked by session_user, which no SQL of the login's can change.
CREATE TABLE crm.organization_member (
    login           name        NOT NULL,
    organization_id uuid        NOT NULL,
    user_id         uuid,
    is_pooler       boolean     NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (login, organization_id),
    CONSTRAINT organization_member_is_somebody CHECK (is_pooler = (user_id IS NULL))
);
COMMENT ON TABLE crm.organization_member IS
    'The organizations that a login may act for; app.organization_id chooses among them. Written by administrators.';
COMMENT ON COLUMN crm.organization_member.user_id IS
    'Who a login of one person or program is; the logs take it and the address of the connection, not a setting.';
COMMENT ON COLUMN crm.organization_member.is_pooler IS
    'The weaker mode: a login that serves several users. app.user_id and app.client_ip are taken as it says them.';
ALTER TABLE crm.organization_member ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON crm.organization_member USING (login = session_user) WITH CHECK (false);
CREATE POLICY administration ON crm.organization_member TO crm_owner USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.organization_member FOR SELECT TO crm_definer USING (true);

-- Why a number may be on the list, each with its rule. The same for every organization.
CREATE TABLE crm.dnc_reasons (
    reason     text    PRIMARY KEY CONSTRAINT dnc_reasons_is_a_word CHECK (reason ~ '^[a-z]+(_[a-z]+)*$'),
    may_expire boolean NOT NULL,
    about      text    NOT NULL
);
COMMENT ON TABLE crm.dnc_reasons IS
    'Why a number may be on a do-not-call list, and whether such an entry may expire by itself.';
ALTER TABLE crm.dnc_reasons ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON crm.dnc_reasons USING (true) WITH CHECK (current_user = 'crm_owner');
INSERT INTO crm.dnc_reasons (reason, may_expire, about) VALUES
    ('opt_out', false, 'The person asked not to be contacted.'),
    ('consent_revoked', false, 'The person took a consent back.'),
    ('national_list', false, 'On the national do-not-call registry.'),
    ('state_list', false, 'On the list of a state.'),
    ('litigator', false, 'Known to sue over calls.'),
    ('deceased', false, 'The person has died.'),
    ('complaint', true, 'The person complained.'),
    ('wrong_number', true, 'It is somebody else''s; numbers are given out again.'),
    ('temporary', true, 'For a time, such as a holiday or a dispute.'),
    ('other', true, 'Anything else; `evidence` says what.'),
    ('other_permanent', false, 'Anything else that does not end by itself; `evidence` says what.');

-- Entries end, with who and why; nobody deletes one.
ALTER TABLE crm.dnc_list
    ADD COLUMN channels text[] NOT NULL DEFAULT '{call,sms,email}'
        CONSTRAINT dnc_list_channels_known CHECK (channels <@ '{call,sms,email}' AND channels <> '{}'
                                                  AND array_position(channels, NULL) IS NULL),
    ADD COLUMN ended_at   timestamptz,
    ADD COLUMN ended_by   uuid,
    ADD COLUMN end_reason text,
    ADD CONSTRAINT dnc_list_ended_by_somebody CHECK (
        (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL)),
    DROP CONSTRAINT dnc_list_permanent_reasons,
    DROP CONSTRAINT dnc_list_phone_or_hash,
    -- One that has neither names a lead: see check_dnc_entry. It stays when the lead is gone.
    ADD CONSTRAINT dnc_list_phone_or_hash CHECK (phone IS NULL OR phone_hash IS NULL);
COMMENT ON TABLE crm.dnc_list IS
    'Whom nobody of the organization may contact, by number or as a lead. Ask is_on_dnc_list; end one by end_dnc_entry.';
COMMENT ON COLUMN crm.dnc_list.reason IS 'One of dnc_reasons, which says whether it takes expires_at.';
COMMENT ON COLUMN crm.dnc_list.channels IS 'What it forbids: call, sms, email.';
COMMENT ON COLUMN crm.dnc_list.ended_by IS 'The user who ended it, and end_reason why.';
-- What was written freely goes to `evidence`, which erasure empties; an unknown word keeps the rule that it had. As the
-- owner, from whom the policies are lifted meanwhile: the table is locked, so nobody else sees it so.
ALTER TABLE crm.dnc_list NO FORCE ROW LEVEL SECURITY;
UPDATE crm.dnc_list AS d
    SET reason = m.reason, evidence = CASE WHEN d.reason <> m.reason THEN concat_ws('; ', d.evidence, d.reason)
                                           ELSE d.evidence END
    FROM (SELECT w.written, coalesce(
              (SELECT r.reason FROM crm.dnc_reasons AS r
               WHERE r.reason = regexp_replace(lower(w.written), '[^a-z]+', '_', 'g')
                   AND (r.may_expire OR NOT w.expires)),
              CASE WHEN w.written ~* '(national|federal|registry)' THEN 'national_list'
                   WHEN w.written ~* 'state' THEN 'state_list'
                   WHEN w.written ~* '(opt.?out|unsubscri|^stop$)' THEN 'opt_out'
                   WHEN w.written ~* 'revok' THEN 'consent_revoked'
                   WHEN w.written ~* 'litigat' THEN 'litigator'
                   ELSE 'other' END) AS reason, w.expires
          FROM (SELECT DISTINCT reason AS written, expires_at IS NOT NULL AS expires FROM crm.dnc_list) AS w) AS m
    WHERE d.reason = m.written AND (d.expires_at IS NOT NULL) = m.expires AND d.reason <> m.reason;
ALTER TABLE crm.dnc_list
    ADD CONSTRAINT dnc_list_reason FOREIGN KEY (reason) REFERENCES crm.dnc_reasons;
ALTER TABLE crm.dnc_list FORCE ROW LEVEL SECURITY;
DROP INDEX crm.dnc_list_phone, crm.dnc_list_phone_reversed, crm.dnc_list_phone_hash, crm.dnc_list_lead;
-- No more columns than these: an index that alone could answer is taken for the tails too, and walked in full.
CREATE INDEX dnc_list_phone ON crm.dnc_list (organization_id, phone) WHERE ended_at IS NULL;
-- For a number that is given without its country code: listed numbers that end with these digits.
CREATE INDEX dnc_list_phone_reversed ON crm.dnc_list (organization_id, reverse(phone) COLLATE "C")
    WHERE ended_at IS NULL;
CREATE INDEX dnc_list_phone_hash ON crm.dnc_list (organization_id, phone_hash)
    WHERE phone_hash IS NOT NULL AND ended_at IS NULL;
CREATE INDEX dnc_list_lead ON crm.dnc_list (organization_id, lead_id);
-- With the organization, so that a policy is a condition of the index too, and not asked of the rows that it finds.
CREATE INDEX dnc_list_reason ON crm.dnc_list (reason, organization_id);

-- The history of statuses holds nobody's name, and the funnel reads all of it: only the audit log is archived. What
-- was archived before comes back, with the foreign key that it kept.
DO $$
DECLARE
    partition text;
    month     date;
BEGIN
    FOR partition IN SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'crm_archive'::regnamespace AND c.relkind = 'r'
            AND c.relname LIKE 'lead\_status\_history\_%'
        ORDER BY c.relname
    LOOP
        month := to_date(right(partition, 7), 'YYYY_MM');
        EXECUTE format('DROP POLICY organization ON crm_archive.%I', partition);
        EXECUTE format('DROP POLICY definer ON crm_archive.%I', partition);
        EXECUTE format('REVOKE ALL ON crm_archive.%I FROM crm_definer', partition);
        EXECUTE format('ALTER TABLE crm_archive.%I SET SCHEMA crm', partition);
        EXECUTE format('ALTER TABLE crm.lead_status_history ATTACH PARTITION crm.%I FOR VALUES FROM (%L) TO (%L)',
                       partition, month::timestamp AT TIME ZONE 'UTC',
                       (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END
$$;

-- Keys begin with the organization: an id of another organization is as free as any, so none can be felt for or taken.
ALTER TABLE crm.lead_status_history DROP CONSTRAINT lead_status_history_lead;
ALTER TABLE crm.dnc_list DROP CONSTRAINT dnc_list_lead, DROP CONSTRAINT dnc_list_pkey,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.lead_assignments DROP CONSTRAINT lead_assignments_lead, DROP CONSTRAINT lead_assignments_pkey,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.lead_score_history DROP CONSTRAINT lead_score_history_lead, DROP CONSTRAINT lead_score_history_pkey,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.lead_source_costs DROP CONSTRAINT lead_source_costs_pkey, ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.lead_sequence_enrollments DROP CONSTRAINT enrollments_lead, DROP CONSTRAINT enrollments_sequence,
    DROP CONSTRAINT lead_sequence_enrollments_pkey, ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.nurture_sequences DROP CONSTRAINT nurture_sequences_segment,
    DROP CONSTRAINT nurture_sequences_pkey, DROP CONSTRAINT nurture_sequences_of_organization,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.segments DROP CONSTRAINT segments_pkey, DROP CONSTRAINT segments_of_organization,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.budget_transactions DROP CONSTRAINT budget_transactions_pair,
    DROP CONSTRAINT budget_transactions_pkey, DROP CONSTRAINT budget_transactions_of_organization,
    ADD PRIMARY KEY (organization_id, id),
    DROP CONSTRAINT budget_transactions_no_gap,
    ADD CONSTRAINT budget_transactions_no_gap UNIQUE (organization_id, account_id, entry_no),
    ADD CONSTRAINT budget_transactions_pair FOREIGN KEY (organization_id, paired_entry_id)
        REFERENCES crm.budget_transactions (organization_id, id);
ALTER TABLE crm.leads DROP CONSTRAINT leads_pkey, DROP CONSTRAINT leads_of_organization,
    ADD PRIMARY KEY (organization_id, id);
ALTER TABLE crm.nurture_sequences
    ADD CONSTRAINT nurture_sequences_segment FOREIGN KEY (organization_id, segment_id)
        REFERENCES crm.segments (organization_id, id) ON DELETE SET NULL (segment_id);
ALTER TABLE crm.lead_sequence_enrollments
    ADD CONSTRAINT enrollments_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT enrollments_sequence FOREIGN KEY (organization_id, sequence_id)
        REFERENCES crm.nurture_sequences (organization_id, id) ON DELETE CASCADE;
ALTER TABLE crm.dnc_list
    ADD CONSTRAINT dnc_list_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE SET NULL (lead_id);
ALTER TABLE crm.lead_assignments
    ADD CONSTRAINT lead_assignments_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE;
ALTER TABLE crm.lead_score_history
    ADD CONSTRAINT lead_score_history_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE;
ALTER TABLE crm.lead_status_history
    ADD CONSTRAINT lead_status_history_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE;
-- Whoever looks for the lead and the sequence alone is served too. The organization is in it, so that a policy is a
-- condition of the index.
DROP INDEX crm.enrollments_one_active;
CREATE UNIQUE INDEX enrollments_one_active ON crm.lead_sequence_enrollments (lead_id, sequence_id, organization_id)
    WHERE status IN ('active', 'paused');

-- A page of a list begins after (created_at, id): the leads of one import have one created_at.
DROP INDEX crm.leads_created;
CREATE INDEX leads_created ON crm.leads (organization_id, created_at DESC, id DESC) INCLUDE (source, status, value_usd)
    WHERE deleted_at IS NULL;
-- What erased leads brought still counts.
CREATE INDEX leads_erased ON crm.leads (organization_id, created_at) WHERE erased_at IS NOT NULL;

-- An index that does not begin with the organization finds rows of all before a policy is asked. leads_address is for
-- comparing without regard to case; leads_names holds expressions, because gin_trgm_ops answers = too, and = is
-- leakproof. leads_tags stays: no operator of it is.
DROP INDEX crm.leads_email;
CREATE INDEX leads_email ON crm.leads (organization_id, email) WHERE deleted_at IS NULL;
CREATE INDEX leads_address ON crm.leads (organization_id, lower(email)) WHERE email IS NOT NULL;
DO $$
DECLARE
    operators CONSTANT text := (SELECT format('%I.gin_trgm_ops', n.nspname) FROM pg_extension AS e
                                JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
    IF operators IS NOT NULL THEN
        DROP INDEX IF EXISTS crm.leads_names;
        EXECUTE format(
            'CREATE INDEX leads_names ON crm.leads USING gin ((first_name || '''') %1$s, (last_name || '''') %1$s)
             WITH (fastupdate = off) WHERE deleted_at IS NULL', operators);
    END IF;
END
$$;
CREATE POLICY definer ON crm.lead_score_history TO crm_definer USING (true) WITH CHECK (true);

-- Told by the database, and not by whoever writes: see crm.session_context.
ALTER TABLE crm.budget_transactions ALTER COLUMN created_by DROP DEFAULT;
ALTER TABLE crm.system_config ALTER COLUMN updated_by DROP DEFAULT;

-- list_leads has a parameter more, is_on_dnc_list one more, and what was lead_is_blocked says why.
RESET ROLE;
DROP FUNCTION crm.list_leads(jsonb, integer, timestamptz);
DROP FUNCTION crm.is_on_dnc_list(text, uuid);
DROP FUNCTION crm.lead_is_blocked(crm.leads, text);
-- It writes the history of scores, which the application may not, so it is given to crm_definer in sql/schemas/crm.sql.
DROP FUNCTION crm.calculate_lead_score(uuid);
