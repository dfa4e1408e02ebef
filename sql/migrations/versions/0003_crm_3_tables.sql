-- Part 3 of 9: the twelve tables and their indexes.
--
-- Every table has organization_id, the tenant. A foreign key carries it, so that a row cannot point at another
-- organization's lead, and its index begins with it. Users live elsewhere: owner_id, created_by and the like are
-- their ids, without a foreign key.

CREATE TABLE crm.leads (
    id                 uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id    uuid        NOT NULL,
    first_name         text,
    last_name          text,
    email              text,
    phone              text        CONSTRAINT leads_phone_is_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    status             text        NOT NULL DEFAULT 'new',
    lead_score         integer     NOT NULL DEFAULT 0
                                   CONSTRAINT leads_score_in_range CHECK (lead_score BETWEEN 0 AND 100),
    lead_score_factors jsonb       NOT NULL DEFAULT '{}'
                                   CONSTRAINT leads_factors_are_an_object
                                   CHECK (jsonb_typeof(lead_score_factors) = 'object'),
    source             text,
    source_metadata    jsonb       NOT NULL DEFAULT '{}'
                                   CONSTRAINT leads_source_metadata_is_an_object
                                   CHECK (jsonb_typeof(source_metadata) = 'object'),
    tags               text[]      NOT NULL DEFAULT '{}'
                                   CONSTRAINT leads_tags_have_no_null CHECK (array_position(tags, NULL) IS NULL),
    timezone           text        CONSTRAINT leads_timezone_is_iana CHECK (crm.is_iana_timezone(timezone)),
    division           text,
    postal_code        text,
    owner_id           uuid,
    value_usd          numeric(12, 2) CONSTRAINT leads_value_not_negative CHECK (value_usd >= 0),
    consent            jsonb       NOT NULL DEFAULT '[]',
    status_changed_at  timestamptz NOT NULL DEFAULT now(),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    erased_at          timestamptz,
    golden_id          uuid,
    CONSTRAINT leads_status_known CHECK (status IN (
        'new', 'contacted', 'qualified', 'appointment_set', 'proposal', 'nurturing', 'won', 'lost', 'disqualified')),
    CONSTRAINT leads_consent_is_complete CHECK (consent = '[]' OR crm.is_consent(consent)),
    CONSTRAINT leads_erased_is_deleted CHECK (erased_at IS NULL OR deleted_at IS NOT NULL),
    -- What foreign keys refer to; the primary key alone would let a row point into another organization.
    CONSTRAINT leads_of_organization UNIQUE (organization_id, id)
);
COMMENT ON TABLE crm.leads IS 'People who may buy. Rows are deleted softly, by deleted_at.';
COMMENT ON COLUMN crm.leads.consent IS 'An array; each element has channel, at, source and text_version.';
COMMENT ON COLUMN crm.leads.status_changed_at IS
    'Since when the status holds. An import may give it with a new row; afterwards the database keeps it.';
COMMENT ON COLUMN crm.leads.value_usd IS 'What the job is worth; source_roi counts it when the lead is won.';
COMMENT ON COLUMN crm.leads.golden_id IS 'The person over all sources, in the schema identity.';
COMMENT ON COLUMN crm.leads.erased_at IS 'Set by erase_lead alone.';

CREATE UNIQUE INDEX leads_phone_unique ON crm.leads (organization_id, phone) WHERE deleted_at IS NULL;
CREATE INDEX leads_status ON crm.leads (organization_id, status, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX leads_owner ON crm.leads (organization_id, owner_id, status) WHERE deleted_at IS NULL;
-- With what source_roi adds up, so that it need not read the table.
CREATE INDEX leads_created ON crm.leads (organization_id, created_at DESC) INCLUDE (source, status, value_usd)
    WHERE deleted_at IS NULL;
-- A hash: half the size, and equality is all that is asked of an address (E-167 limits the indexes to 25 MB).
CREATE INDEX leads_email ON crm.leads USING hash (email) WHERE deleted_at IS NULL;
-- Below row-level security neither of the next two is used as an index condition, because their operators are not
-- leakproof: search through list_leads, evaluate_filter or evaluate_segment.
-- Without fastupdate: its pending list is read by every search, and left three times the index behind an import.
CREATE INDEX leads_tags ON crm.leads USING gin (tags) WITH (fastupdate = off);
DO $$
DECLARE
    operators CONSTANT text := (SELECT format('%I.gin_trgm_ops', n.nspname) FROM pg_extension AS e
                                JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
    -- Without pg_trgm a search for a part of a name reads the leads of the organization.
    IF operators IS NOT NULL THEN
        EXECUTE format(
            'CREATE INDEX leads_names ON crm.leads USING gin (first_name %1$s, last_name %1$s) WITH (fastupdate = off)
             WHERE deleted_at IS NULL', operators);
    END IF;
END
$$;

-- Partitioned by month, in UTC. A row that no month is made for goes into the default partition: a scheduler that
-- slept must not cost a write. ensure_partitions moves such rows to their month, archive_partitions archives them.
-- No foreign key: the log outlives the lead.
CREATE TABLE crm.lead_audit_log (
    id              uuid        NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    action          text        NOT NULL CHECK (action IN ('create', 'update', 'delete', 'erase')),
    field_name      text,
    old_value       text,
    new_value       text,
    changed_by      uuid,
    ip_address      inet,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE crm.lead_audit_log IS
    'One row per field that was set, changed or deleted. Written by the triggers of crm.leads alone.';
CREATE INDEX lead_audit_log_lead ON crm.lead_audit_log (organization_id, lead_id, created_at);

CREATE TABLE crm.lead_status_history (
    id               uuid        NOT NULL DEFAULT gen_random_uuid(),
    organization_id  uuid        NOT NULL,
    lead_id          uuid        NOT NULL,
    from_status      text,
    to_status        text        NOT NULL,
    triggered_by     text        NOT NULL DEFAULT 'system',
    changed_by       uuid,
    time_in_previous interval,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, created_at),
    CONSTRAINT lead_status_history_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE crm.lead_status_history IS
    'One row when a lead is created (from_status is null) and one per change of status. Written by triggers alone.';
CREATE INDEX lead_status_history_lead ON crm.lead_status_history (organization_id, lead_id, created_at);
CREATE INDEX lead_status_history_created ON crm.lead_status_history (organization_id, created_at)
    INCLUDE (to_status, lead_id, time_in_previous);

-- Who must not be called or written to, for the whole organization.
CREATE TABLE crm.dnc_list (
    id                   uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id      uuid        NOT NULL,
    phone                text        CONSTRAINT dnc_list_phone_is_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    phone_hash           bytea,
    reason               text        NOT NULL CONSTRAINT dnc_list_reason_given CHECK (reason <> ''),
    detected_by          text        NOT NULL DEFAULT 'user',
    detection_confidence numeric(4, 3) CONSTRAINT dnc_list_confidence_in_range
                                     CHECK (detection_confidence BETWEEN 0 AND 1),
    evidence             text,
    lead_id              uuid,
    expires_at           timestamptz,
    created_by           uuid,
    created_at           timestamptz NOT NULL DEFAULT now(),
    -- A row without both would block nobody, and a hash is all that erasure leaves.
    CONSTRAINT dnc_list_phone_or_hash CHECK ((phone IS NULL) <> (phone_hash IS NULL)),
    -- What the law or the person asked for does not end by itself (E-051).
    CONSTRAINT dnc_list_permanent_reasons CHECK (
        expires_at IS NULL
        OR reason !~* '(national|federal|state|registry|opt.?out|unsubscri|revok|litigat|^stop$)'),
    CONSTRAINT dnc_list_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE SET NULL (lead_id)
);
COMMENT ON TABLE crm.dnc_list IS
    'Numbers that must not be called or written to, for the whole organization. Ask is_on_dnc_list.';
COMMENT ON COLUMN crm.dnc_list.reason IS
    'Such as opt_out, national_list, complaint, temporary. One that names a national or state list, a registry, an '
    'opt-out, a revocation or a litigator takes no expires_at.';
COMMENT ON COLUMN crm.dnc_list.detected_by IS 'user, import, national_list, or ai: a person reviews those daily.';
COMMENT ON COLUMN crm.dnc_list.phone_hash IS 'In place of the phone after erasure: see phone_tail_hash.';
CREATE INDEX dnc_list_phone ON crm.dnc_list (organization_id, phone) INCLUDE (expires_at);
-- For a number that is given without its country code: listed numbers that end with these digits.
CREATE INDEX dnc_list_phone_reversed ON crm.dnc_list (organization_id, reverse(phone) COLLATE "C");
CREATE INDEX dnc_list_phone_hash ON crm.dnc_list (organization_id, phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX dnc_list_lead ON crm.dnc_list (organization_id, lead_id);

CREATE TABLE crm.lead_source_costs (
    id              uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid           NOT NULL,
    source          text           NOT NULL,
    month           date           NOT NULL
                                   CONSTRAINT lead_source_costs_first_of_month CHECK (extract(day FROM month) = 1),
    amount          numeric(12, 2) NOT NULL CONSTRAINT lead_source_costs_not_negative CHECK (amount >= 0),
    currency        text           NOT NULL DEFAULT 'USD'
                                   CONSTRAINT lead_source_costs_currency CHECK (currency ~ '^[A-Z]{3}$'),
    fx_rate_to_usd  numeric(18, 8),
    amount_usd      numeric(14, 2) GENERATED ALWAYS AS (round(amount * coalesce(fx_rate_to_usd, 1), 2)) STORED,
    created_at      timestamptz    NOT NULL DEFAULT now(),
    updated_at      timestamptz    NOT NULL DEFAULT now(),
    CONSTRAINT lead_source_costs_rate CHECK (
        CASE WHEN currency = 'USD' THEN coalesce(fx_rate_to_usd, 1) = 1
             ELSE fx_rate_to_usd IS NOT NULL AND fx_rate_to_usd > 0 END),
    CONSTRAINT lead_source_costs_once UNIQUE (organization_id, source, month, currency)
);
COMMENT ON TABLE crm.lead_source_costs IS
    'What a source cost in a month, in the currency in which it was paid.';
COMMENT ON COLUMN crm.lead_source_costs.month IS 'Its first day.';
COMMENT ON COLUMN crm.lead_source_costs.fx_rate_to_usd IS 'USD for one unit of the currency, of the day it was paid.';

CREATE TABLE crm.segments (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    name            text        NOT NULL CONSTRAINT segments_name_given CHECK (name <> ''),
    filter_criteria jsonb       NOT NULL CONSTRAINT segments_filter_is_valid
                                CHECK (crm.segment_condition(filter_criteria) IS NOT NULL),
    is_public       boolean     NOT NULL DEFAULT true,
    created_by      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT segments_private_has_a_creator CHECK (is_public OR created_by IS NOT NULL),
    CONSTRAINT segments_of_organization UNIQUE (organization_id, id)
);
COMMENT ON TABLE crm.segments IS
    'Saved filters over leads. Evaluated each time by evaluate_segment.';
COMMENT ON COLUMN crm.segments.filter_criteria IS 'The grammar stands at the head of crm.segment_condition.';
COMMENT ON COLUMN crm.segments.is_public IS 'Otherwise only its creator sees it.';

CREATE TABLE crm.nurture_sequences (
    id                 uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id    uuid        NOT NULL,
    name               text        NOT NULL CONSTRAINT nurture_sequences_name_given CHECK (name <> ''),
    steps              jsonb       NOT NULL DEFAULT '[]'
                                   CONSTRAINT nurture_sequences_steps_are_steps CHECK (crm.are_steps(steps)),
    trigger_conditions jsonb       NOT NULL DEFAULT '{}'
                                   CONSTRAINT nurture_sequences_conditions_are_an_object
                                   CHECK (jsonb_typeof(trigger_conditions) = 'object'),
    segment_id         uuid,
    is_active          boolean     NOT NULL DEFAULT true,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT nurture_sequences_of_organization UNIQUE (organization_id, id),
    CONSTRAINT nurture_sequences_segment FOREIGN KEY (organization_id, segment_id)
        REFERENCES crm.segments (organization_id, id) ON DELETE SET NULL (segment_id)
);
COMMENT ON TABLE crm.nurture_sequences IS
    'Series of steps, such as messages and calls, that leads are enrolled in.';
COMMENT ON COLUMN crm.nurture_sequences.steps IS
    'An array; each step has a channel (sms, email, call, voicemail, mail, task) and may have delay_minutes, counted '
    'from the step before. The rest of it is for whoever carries it out.';
COMMENT ON COLUMN crm.nurture_sequences.segment_id IS 'Whom to enroll, for a sequence that is filled from a segment.';
CREATE INDEX nurture_sequences_segment ON crm.nurture_sequences (organization_id, segment_id);

CREATE TABLE crm.lead_sequence_enrollments (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    sequence_id     uuid        NOT NULL,
    current_step    integer     NOT NULL DEFAULT 0
                                CONSTRAINT enrollments_step_not_negative CHECK (current_step >= 0),
    status          text        NOT NULL DEFAULT 'active' CONSTRAINT enrollments_status_known
                                CHECK (status IN ('active', 'paused', 'completed', 'stopped')),
    stop_reason     text,
    execution_log   jsonb       NOT NULL DEFAULT '[]' CONSTRAINT enrollments_log_is_an_array
                                CHECK (jsonb_typeof(execution_log) = 'array'),
    next_run_at     timestamptz,
    enrolled_at     timestamptz NOT NULL DEFAULT now(),
    completed_at    timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT enrollments_end_when_closed
        CHECK ((status IN ('completed', 'stopped')) = (completed_at IS NOT NULL)),
    CONSTRAINT enrollments_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT enrollments_sequence FOREIGN KEY (organization_id, sequence_id)
        REFERENCES crm.nurture_sequences (organization_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE crm.lead_sequence_enrollments IS
    'A lead on its way through a sequence. Made by enroll_lead, moved on by advance_enrollment.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.current_step IS 'The step to be done next, from 0.';
-- A paused one counts: it will be resumed.
CREATE UNIQUE INDEX enrollments_one_active ON crm.lead_sequence_enrollments (lead_id, sequence_id)
    WHERE status IN ('active', 'paused');
CREATE INDEX enrollments_lead ON crm.lead_sequence_enrollments (organization_id, lead_id);
CREATE INDEX enrollments_sequence ON crm.lead_sequence_enrollments (organization_id, sequence_id);
CREATE INDEX enrollments_due ON crm.lead_sequence_enrollments (organization_id, next_run_at) WHERE status = 'active';

-- The ledger. Entries are added and never changed; a mistake is corrected by another entry. Balances, number and
-- time are the database's: what a client gives for them is overwritten.
CREATE TABLE crm.budget_transactions (
    id                 uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id    uuid           NOT NULL,
    account_id         uuid           NOT NULL,
    entry_no           bigint         NOT NULL CONSTRAINT budget_transactions_numbered CHECK (entry_no >= 1),
    amount_usd         numeric(10, 2) NOT NULL CONSTRAINT budget_transactions_moves_money CHECK (amount_usd <> 0),
    balance_before_usd numeric(10, 2) NOT NULL,
    balance_after_usd  numeric(10, 2) NOT NULL,
    kind               text           NOT NULL CONSTRAINT budget_transactions_kind_given CHECK (kind <> ''),
    description        text,
    reference_id       text,
    paired_entry_id    uuid,
    created_by         uuid           DEFAULT nullif(current_setting('app.user_id', true), '')::uuid,
    created_at         timestamptz    NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT budget_transactions_adds_up CHECK (balance_after_usd = balance_before_usd + amount_usd),
    CONSTRAINT budget_transactions_begins_at_zero CHECK (entry_no > 1 OR balance_before_usd = 0),
    -- The last guard of the chain: in a REPEATABLE READ transaction the trigger may not see the predecessor, and
    -- the second of two entries fails here. It also keeps an account within one organization.
    CONSTRAINT budget_transactions_no_gap UNIQUE (account_id, entry_no),
    -- The ledger cannot be changed, so it must not hold what erasure would have to remove.
    CONSTRAINT budget_transactions_no_contact_data CHECK (
        concat(description, ' ', reference_id) !~ '([^[:space:]]@[^[:space:]]|\+[1-9][0-9]{6,14})'),
    CONSTRAINT budget_transactions_of_organization UNIQUE (organization_id, id),
    CONSTRAINT budget_transactions_pair FOREIGN KEY (organization_id, paired_entry_id)
        REFERENCES crm.budget_transactions (organization_id, id)
);
COMMENT ON TABLE crm.budget_transactions IS
    'The ledger: entries are added and never changed, and each carries the balance before and after it.';
COMMENT ON COLUMN crm.budget_transactions.kind IS 'Such as deposit, lead_purchase, refund, correction.';
COMMENT ON COLUMN crm.budget_transactions.paired_entry_id IS
    'The entry that this one corrects or balances. It may be of another account.';
COMMENT ON COLUMN crm.budget_transactions.description IS
    'No personal data: it could not be erased. E-mail addresses and phone numbers are refused.';
CREATE INDEX budget_transactions_pair ON crm.budget_transactions (organization_id, paired_entry_id);
CREATE INDEX budget_transactions_account ON crm.budget_transactions (organization_id, account_id, created_at);

CREATE TABLE crm.lead_assignments (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    from_user_id    uuid,
    to_user_id      uuid,
    strategy        text        NOT NULL DEFAULT 'manual' CONSTRAINT lead_assignments_strategy_known
                                CHECK (strategy IN ('manual', 'round_robin', 'territory', 'load')),
    context         jsonb       NOT NULL DEFAULT '{}'
                                CONSTRAINT lead_assignments_context_is_an_object
                                CHECK (jsonb_typeof(context) = 'object'),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT lead_assignments_changes CHECK (from_user_id IS DISTINCT FROM to_user_id),
    CONSTRAINT lead_assignments_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE crm.lead_assignments IS 'One row per change of leads.owner_id, written by its trigger.';
CREATE INDEX lead_assignments_lead ON crm.lead_assignments (organization_id, lead_id, created_at);

CREATE TABLE crm.lead_score_history (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    lead_id         uuid        NOT NULL,
    score           integer     NOT NULL CONSTRAINT lead_score_history_in_range CHECK (score BETWEEN 0 AND 100),
    factors         jsonb       NOT NULL CONSTRAINT lead_score_history_factors_are_an_object
                                CHECK (jsonb_typeof(factors) = 'object'),
    model_version   text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lead_score_history_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE crm.lead_score_history IS
    'One row per scoring of a lead, with the points of each factor. Written by calculate_lead_score.';
CREATE INDEX lead_score_history_lead ON crm.lead_score_history (organization_id, lead_id, created_at);

-- Settings of an organization. The keys that the functions read:
--
--   assignment.users           ["<user>", ...]: candidates of assign_lead, in the order of round robin
--   assignment.territories     [{"divisions": ["north"], "postal_prefixes": ["981"], "users": ["<user>", ...]}, ...]:
--                              the first that names the lead's division or a beginning of its postal code
--   assignment.max_open_leads  a number; who has as many open leads gets no more from assign_lead
--   assignment.position        kept by assign_lead: how many leads it has assigned
--   scoring.weights            {"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}: the most
--                              points of each factor of calculate_lead_score; together at most 100
--   scoring.sources            {"referral": 1, "google": 0.6}: the share of the points of `source`; 0.5 when unnamed
--   dnc.hash_key               made by erase_lead; only the functions of crm_definer can read it
CREATE TABLE crm.system_config (
    organization_id uuid        NOT NULL,
    key             text        NOT NULL CONSTRAINT system_config_key_given CHECK (key <> ''),
    value           jsonb       NOT NULL,
    updated_by      uuid        DEFAULT nullif(current_setting('app.user_id', true), '')::uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, key)
);
COMMENT ON TABLE crm.system_config IS
    'Settings of an organization, by key.';
