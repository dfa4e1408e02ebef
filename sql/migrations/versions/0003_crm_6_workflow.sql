-- Part 6 of 9: sequences, scores, assignments. These run with the rights of whoever calls them, below row-level
-- security, and find nothing of another organization.

-- Whether a step over this channel would reach someone who must not be reached. A lead without a phone can still be
-- written to, and what needs a phone is blocked.
CREATE FUNCTION crm.lead_is_blocked(lead crm.leads, channel text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN lead.phone IS NOT NULL OR channel IN ('sms', 'call', 'voicemail')
        THEN crm.is_on_dnc_list(lead.phone, lead.organization_id) ELSE false END
$$;

-- Enrolls a lead and returns the enrollment; that which is there already when the lead is in the sequence.
CREATE FUNCTION crm.enroll_lead(lead_id uuid, sequence_id uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    wanted_lead     CONSTANT uuid := lead_id;
    wanted_sequence CONSTANT uuid := sequence_id;
    lead     crm.leads;
    sequence crm.nurture_sequences;
    made     uuid;
BEGIN
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = wanted_lead FOR NO KEY UPDATE;
    SELECT * INTO sequence FROM crm.nurture_sequences AS s WHERE s.id = wanted_sequence;
    IF lead.id IS NULL OR sequence.id IS NULL OR lead.organization_id <> sequence.organization_id THEN
        RAISE no_data_found USING
            MESSAGE = format('Enrolling lead %s in sequence %s: the organization of this session lacks one of them.',
                             wanted_lead, wanted_sequence),
            HINT = 'Set app.organization_id within the transaction.';
    ELSIF lead.deleted_at IS NOT NULL OR lead.status IN ('won', 'lost', 'disqualified') THEN
        RAISE check_violation USING
            MESSAGE = format('Enrolling lead %s: it is %s.', lead.id,
                             CASE WHEN lead.deleted_at IS NOT NULL THEN 'deleted' ELSE lead.status END);
    ELSIF NOT sequence.is_active OR sequence.steps = '[]' THEN
        RAISE check_violation USING
            MESSAGE = format('Enrolling lead %s: sequence %s is not active, or has no steps.', lead.id, sequence.id);
    ELSIF (SELECT bool_or(crm.lead_is_blocked(lead, step ->> 'channel'))
           FROM jsonb_array_elements(sequence.steps) AS step)
    THEN
        RAISE check_violation USING
            MESSAGE = format('Enrolling lead %s: its phone is on the do-not-call list, or a step needs one and it has none.',
                             lead.id),
            CONSTRAINT = 'enrollments_not_on_dnc_list';
    END IF;
    INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id, sequence_id, next_run_at)
        VALUES (lead.organization_id, lead.id, sequence.id,
                now() + coalesce((sequence.steps #>> '{0,delay_minutes}')::float8, 0) * interval '1 minute')
        ON CONFLICT (lead_id, sequence_id) WHERE status IN ('active', 'paused') DO NOTHING
        RETURNING id INTO made;
    IF made IS NULL THEN
        SELECT e.id INTO made FROM crm.lead_sequence_enrollments AS e
            WHERE e.lead_id = lead.id AND e.sequence_id = sequence.id AND e.status IN ('active', 'paused');
    END IF;
    RETURN made;
END
$$;

-- Moves an enrollment on. A worker asks for the step, commits, carries it out, and reports it:
--
--   SELECT * FROM crm.advance_enrollment(id);                   state run: carry out `action` of `step`
--   SELECT * FROM crm.advance_enrollment(id, done_step => n);   step n is done; the answer is what comes next
--
-- Each step is recorded once, whatever crashes when. The enrollment moves on only when a step is reported, and a step
-- that was reported before changes nothing. A worker that asked and died leaves the step with the same
-- idempotency_key, handed out again after `lease`; give the key to the vendor, or look for it in what was sent,
-- because no database can know whether a message left before the crash. Workers find what is due by status and
-- next_run_at, with FOR UPDATE SKIP LOCKED.
--
-- The do-not-call list is asked first, each time. state: run, wait (not due, or handed out), paused, completed,
-- stopped.
CREATE FUNCTION crm.advance_enrollment(
    enrollment_id uuid, done_step integer DEFAULT NULL, outcome jsonb DEFAULT NULL,
    lease interval DEFAULT interval '15 minutes'
) RETURNS TABLE (state text, step integer, action jsonb, idempotency_key text, stop_reason text)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    this     crm.lead_sequence_enrollments;
    lead     crm.leads;
    sequence crm.nurture_sequences;
    reason   text;
BEGIN
    SELECT * INTO this FROM crm.lead_sequence_enrollments AS e WHERE e.id = enrollment_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Advancing enrollment %s: the organization of this session has none such.', enrollment_id),
            HINT = 'Set app.organization_id within the transaction.';
    ELSIF done_step > this.current_step THEN
        RAISE check_violation USING
            MESSAGE = format('Advancing enrollment %s: step %s is reported, and step %s was not yet.',
                             this.id, done_step, this.current_step);
    END IF;
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = this.lead_id;
    SELECT * INTO sequence FROM crm.nurture_sequences AS s WHERE s.id = this.sequence_id;

    -- What was done is recorded even when the lead must not be contacted any more.
    IF done_step = this.current_step AND this.status IN ('active', 'paused') THEN
        this.execution_log := this.execution_log || jsonb_strip_nulls(jsonb_build_object(
            'step', done_step, 'event', 'done', 'at', clock_timestamp(), 'outcome', outcome));
        this.current_step := this.current_step + 1;
        this.next_run_at := now() + interval '1 minute' * coalesce(
            (sequence.steps #>> ARRAY[this.current_step::text, 'delay_minutes'])::float8, 0);
    END IF;

    IF this.status IN ('active', 'paused') THEN
        reason := CASE
            WHEN crm.lead_is_blocked(lead, sequence.steps #>> ARRAY[this.current_step::text, 'channel']) THEN 'dnc'
            WHEN lead.deleted_at IS NOT NULL THEN 'deleted'
            WHEN lead.status IN ('won', 'lost', 'disqualified') THEN lead.status END;
        IF this.current_step >= jsonb_array_length(sequence.steps) THEN
            this.status := 'completed';
            this.completed_at := clock_timestamp();
        ELSIF reason IS NOT NULL THEN
            this.status := 'stopped';
            this.stop_reason := reason;
            this.completed_at := clock_timestamp();
            this.execution_log := this.execution_log || jsonb_build_object(
                'step', this.current_step, 'event', 'stopped', 'at', clock_timestamp(), 'reason', reason);
        END IF;
    END IF;

    state := CASE
        WHEN this.status <> 'active' THEN this.status
        WHEN sequence.is_active AND this.next_run_at <= now() THEN 'run'
        ELSE 'wait' END;
    IF state = 'run' THEN
        -- After the lease it is due again, unless it was reported.
        this.next_run_at := now() + lease;
        this.execution_log := this.execution_log || jsonb_build_object(
            'step', this.current_step, 'event', 'handed_out', 'at', clock_timestamp());
    END IF;
    IF this.status IN ('completed', 'stopped') THEN
        this.next_run_at := NULL;
    END IF;
    UPDATE crm.lead_sequence_enrollments AS e
        SET current_step = this.current_step, status = this.status, stop_reason = this.stop_reason,
            execution_log = this.execution_log, next_run_at = this.next_run_at, completed_at = this.completed_at
        WHERE e.id = this.id AND (e.current_step, e.status, e.execution_log)
            IS DISTINCT FROM (this.current_step, this.status, this.execution_log);
    step := this.current_step;
    stop_reason := this.stop_reason;
    IF state = 'run' THEN
        action := sequence.steps -> this.current_step;
        idempotency_key := this.id || ':' || this.current_step;
    END IF;
    RETURN NEXT;
END
$$;

-- Scores a lead, writes the score with its factors to the lead (when it changed) and to the history (always).
-- Each factor is a whole number of points, and they add up to the score. The weights and the shares of sources come
-- from system_config; the list of keys stands above that table.
CREATE FUNCTION crm.calculate_lead_score(lead_id uuid) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    wanted  CONSTANT uuid := lead_id;
    lead    crm.leads;
    weights jsonb := '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}';
    sources jsonb;
    shares  jsonb;
    factors jsonb;
    score   integer;
BEGIN
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = wanted FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Scoring lead %s: the organization of this session has no such lead.', wanted),
            HINT = 'Set app.organization_id within the transaction.';
    END IF;
    weights := coalesce((SELECT c.value FROM crm.system_config AS c
                         WHERE c.organization_id = lead.organization_id AND c.key = 'scoring.weights'), weights);
    sources := coalesce((SELECT c.value FROM crm.system_config AS c
                         WHERE c.organization_id = lead.organization_id AND c.key = 'scoring.sources'), '{}');
    IF jsonb_typeof(weights) <> 'object'
        OR weights - '{reachable,source,stage,recency,consent}'::text[] <> '{}'
        OR jsonb_path_exists(weights, 'strict $.* ? (@.type() != "number" || @ < 0)', '{}', true)
        OR (SELECT sum((v #>> '{}')::numeric) FROM jsonb_path_query(weights, 'strict $.*') AS v) > 100
    THEN
        RAISE check_violation USING
            MESSAGE = 'Scoring leads: scoring.weights of system_config are not numbers of at most 100 together.',
            HINT = 'The factors are reachable, source, stage, recency and consent.';
    END IF;
    -- Each share is between 0 and 1.
    shares := jsonb_build_object(
        'reachable', (CASE WHEN lead.phone IS NOT NULL THEN 0.6 ELSE 0 END)
            + (CASE WHEN lead.email IS NOT NULL THEN 0.3 ELSE 0 END)
            + (CASE WHEN lead.last_name IS NOT NULL THEN 0.1 ELSE 0 END),
        'source', CASE WHEN lead.source IS NULL THEN 0
            WHEN jsonb_typeof(sources -> lead.source) = 'number'
                THEN greatest(0, least(1, (sources ->> lead.source)::numeric))
            ELSE 0.5 END,
        'stage', CASE lead.status WHEN 'new' THEN 0.2 WHEN 'contacted' THEN 0.4 WHEN 'nurturing' THEN 0.4
            WHEN 'qualified' THEN 0.6 WHEN 'appointment_set' THEN 0.8 WHEN 'proposal' THEN 0.9 WHEN 'won' THEN 1
            ELSE 0 END,
        'recency', CASE WHEN now() - lead.status_changed_at < interval '7 days' THEN 1
            WHEN now() - lead.status_changed_at < interval '30 days' THEN 0.6
            WHEN now() - lead.status_changed_at < interval '90 days' THEN 0.3 ELSE 0 END,
        'consent', CASE WHEN lead.consent <> '[]' THEN 1 ELSE 0 END);
    -- Rounded down, so that no sum passes that of the weights.
    SELECT jsonb_object_agg(w.key, floor(w.value::numeric * (shares ->> w.key)::numeric)::integer),
           sum(floor(w.value::numeric * (shares ->> w.key)::numeric))
        INTO factors, score FROM jsonb_each_text(weights) AS w;
    factors := coalesce(factors, '{}');
    score := coalesce(score, 0);
    INSERT INTO crm.lead_score_history (organization_id, lead_id, score, factors, model_version)
        VALUES (lead.organization_id, lead.id, score, factors, 'weights-1');
    IF lead.erased_at IS NULL THEN
        UPDATE crm.leads AS l SET lead_score = score, lead_score_factors = factors
            WHERE l.id = lead.id AND (l.lead_score, l.lead_score_factors) IS DISTINCT FROM (score, factors);
    END IF;
    RETURN score;
END
$$;

-- Gives a lead to a user and returns the user. Candidates come from system_config (the keys stand above that table).
--   round_robin  the next of the candidates
--   territory    the one with the fewest open leads among those of the lead's territory
--   load         the one with the fewest open leads
-- Assignments of an organization wait for each other, so that none is made on counts that are about to change.
CREATE FUNCTION crm.assign_lead(lead_id uuid, strategy text DEFAULT 'round_robin') RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    wanted     CONSTANT uuid := lead_id;
    how        CONSTANT text := strategy;
    lead       crm.leads;
    territory  jsonb;
    candidates uuid[];
    most       bigint;
    position   bigint;
    chosen     uuid;
    open_leads bigint;
BEGIN
    IF how IS NULL OR how NOT IN ('round_robin', 'territory', 'load') THEN
        RAISE check_violation USING
            MESSAGE = format('Assigning lead %s: the strategy is round_robin, territory or load.', wanted);
    END IF;
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = wanted;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Assigning lead %s: the organization of this session has no such lead.', wanted),
            HINT = 'Set app.organization_id within the transaction.';
    ELSIF lead.deleted_at IS NOT NULL THEN
        RAISE check_violation USING MESSAGE = format('Assigning lead %s: it is deleted.', wanted);
    END IF;
    -- This row is the lock: the next assignment waits here, and in a REPEATABLE READ transaction fails with 40001.
    INSERT INTO crm.system_config AS c (organization_id, key, value)
        VALUES (lead.organization_id, 'assignment.position', '1')
        ON CONFLICT (organization_id, key) DO UPDATE SET value = to_jsonb((c.value #>> '{}')::bigint + 1)
        RETURNING (c.value #>> '{}')::bigint INTO position;
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = wanted FOR UPDATE;

    IF how = 'territory' THEN
        SELECT t INTO territory
            FROM crm.system_config AS c, jsonb_array_elements(c.value) WITH ORDINALITY AS listed (t, n)
            WHERE c.organization_id = lead.organization_id AND c.key = 'assignment.territories'
                AND (t -> 'divisions' ? lead.division
                     OR EXISTS (SELECT FROM jsonb_array_elements_text(t -> 'postal_prefixes') AS prefix
                                WHERE starts_with(lead.postal_code, prefix) AND prefix <> ''))
            ORDER BY n LIMIT 1;
        candidates := ARRAY(SELECT u::uuid FROM jsonb_array_elements_text(territory -> 'users') AS u);
    ELSE
        candidates := ARRAY(SELECT u::uuid FROM crm.system_config AS c, jsonb_array_elements_text(c.value) AS u
                            WHERE c.organization_id = lead.organization_id AND c.key = 'assignment.users');
    END IF;
    most := (SELECT (c.value #>> '{}')::bigint FROM crm.system_config AS c
             WHERE c.organization_id = lead.organization_id AND c.key = 'assignment.max_open_leads');

    SELECT u, n INTO chosen, open_leads
        FROM unnest(candidates) WITH ORDINALITY AS c (u, place), LATERAL (
            SELECT count(*) FROM crm.leads AS l
            WHERE l.organization_id = lead.organization_id AND l.owner_id = u AND l.deleted_at IS NULL
                AND l.status NOT IN ('won', 'lost', 'disqualified') AND l.id <> lead.id) AS load (n)
        WHERE most IS NULL OR n < most
        ORDER BY CASE WHEN how = 'round_robin'
                 THEN mod(place - 1 - (position - 1) % cardinality(candidates) + cardinality(candidates),
                          cardinality(candidates)) ELSE n END, place
        LIMIT 1;
    IF chosen IS NULL THEN
        RAISE no_data_found USING
            MESSAGE = format('Assigning lead %s by %s: there is no candidate.', wanted, how),
            HINT = 'Set assignment.users or assignment.territories in crm.system_config; everyone may also be at '
                'assignment.max_open_leads.';
    END IF;
    -- Read by crm.record_changed_leads, and taken back, because the transaction may go on.
    PERFORM set_config('crm.assignment', jsonb_build_object('strategy', how, 'context', jsonb_strip_nulls(
        jsonb_build_object('candidates', cardinality(candidates), 'open_leads', open_leads, 'position', position,
                           'division', CASE WHEN how = 'territory' THEN lead.division END)))::text, true);
    UPDATE crm.leads AS l SET owner_id = chosen WHERE l.id = lead.id AND l.owner_id IS DISTINCT FROM chosen;
    PERFORM set_config('crm.assignment', '', true);
    RETURN chosen;
END
$$;
