-- Part 5 of 9: the do-not-call list, and erasure, which must not weaken it.

-- Whether nobody of the organization may contact this number. Never a wrong no: an input that cannot be read blocks;
-- so does one that could be another spelling of a listed number, as +2065550010 of +12065550010, or ten digits of a
-- foreign number without its country code. So a number may be blocked because a longer one ends with it.
--
-- It runs as crm_definer, which sees every organization's list, so that no policy on users can hide an entry; in
-- return the organization must be the session's, where one is set.
CREATE FUNCTION crm.is_on_dnc_list(phone text, organization_id uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Planned once a session: a plan for each number takes longer than all the look-ups.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    org     CONSTANT uuid := organization_id;
    asking  CONSTANT text := nullif(current_setting('app.organization_id', true), '');
    number  CONSTANT text := crm.normalize_phone(phone);
    numbers text[] := ARRAY[number];
    given   text[];
    tails   text[] := '{}';
    tail    text;
    listed  boolean;
    hashed  boolean;
    hashkey bytea;
BEGIN
    IF asking IS NOT NULL AND org IS DISTINCT FROM asking::uuid THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'Checking the do-not-call list of another organization than app.organization_id says.',
            HINT = 'Set app.organization_id to the organization that is asked about, within the transaction.';
    END IF;
    IF number IS NULL OR org IS NULL THEN
        RETURN true;
    END IF;
    -- A zero in brackets is left out by who reads it as a trunk prefix, and may yet be a digit.
    IF strpos(phone, '(0)') > 0 THEN
        numbers := array_remove(numbers || crm.normalize_phone(replace(phone, '(0)', '0')), NULL);
    END IF;
    given := numbers;

    -- An explicit +1 and ten good digits is one number only. Everything else is compared by its tail: with and without
    -- a zero that stands where a trunk prefix would, as in +44 020 ..., and as the end of a listed number.
    IF number !~ '^\+1' OR phone !~ '^[+ ]*1' THEN
        SELECT coalesce(array_agg(DISTINCT t), '{}') INTO tails
            FROM unnest(given) AS n,
                LATERAL (SELECT CASE WHEN n ~ '^\+1' THEN substr(n, 3) ELSE substr(n, 2) END AS digits) AS d,
                LATERAL (SELECT digits
                         UNION ALL SELECT overlay(digits PLACING '' FROM i FOR 1) FROM generate_series(2, 4) AS i
                         WHERE substr(digits, i, 1) = '0') AS spelling (t)
            WHERE length(t) >= 7;
        numbers := numbers || ARRAY(
            SELECT '+' || right(t, n) FROM unnest(tails) AS t, generate_series(7, length(t)) AS n);
    END IF;
    SELECT EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org AND d.phone = ANY (numbers)
                   AND (d.expires_at IS NULL OR d.expires_at > now())),
           EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org AND d.phone_hash IS NOT NULL)
        INTO listed, hashed;
    IF listed THEN
        RETURN true;
    END IF;
    -- One at a time: joined with all of them, the whole list would be read.
    FOREACH tail IN ARRAY tails LOOP
        IF EXISTS (SELECT FROM crm.dnc_list AS d
                   WHERE d.organization_id = org
                       AND reverse(d.phone) COLLATE "C" >= reverse(tail) COLLATE "C"
                       AND reverse(d.phone) COLLATE "C" < reverse(tail) || ':' COLLATE "C"
                       AND (d.expires_at IS NULL OR d.expires_at > now())) THEN
            RETURN true;
        END IF;
    END LOOP;

    IF hashed THEN
        hashkey := (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
                    WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
        RETURN hashkey IS NULL OR EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE d.organization_id = org
                AND d.phone_hash = ANY (ARRAY(SELECT crm.phone_tail_hash(n, hashkey) FROM unnest(given) AS n))
                AND (d.expires_at IS NULL OR d.expires_at > now()));
    END IF;
    RETURN false;
END
$$;

-- What stays of an erased number: a keyed hash of its last eight digits, which every spelling shares. One number in a
-- hundred million collides and is blocked as well. Nested, as HMAC is; hmac() itself is in pgcrypto, which some builds
-- lack. The key is in the database, so this is pseudonymous and not anonymous: who has a whole dump can try them all.
-- With RETURN its names are bound when it is made, so that it needs no search_path and can be inlined.
CREATE FUNCTION crm.phone_tail_hash(phone text, hashkey bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(hashkey || sha256(hashkey || convert_to(right(ltrim(phone, '+'), 8), 'UTF8')));

-- Takes the person out of a lead (X-49), and out of deleted leads of the organization with the same phone: what
-- names or describes the person goes from the lead, the audit log and its archive, the do-not-call list, logs and
-- filters. Amounts, statuses, scores, owners and all times stay, and the number stays blocked if it was.
-- Safe to repeat. Returns how many rows were changed, by table.
CREATE FUNCTION crm.erase_lead(lead_id uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted  CONSTANT uuid := lead_id;
    org     CONSTANT uuid := nullif(current_setting('app.organization_id', true), '')::uuid;
    private CONSTANT text[] := '{first_name,last_name,email,phone,source_metadata,tags,timezone,postal_code,consent,
                                 golden_id}';
    subject crm.leads;
    ids     uuid[];
    tokens  text[];
    hashkey bytea;
    archive regclass;
    changed bigint;
    done    jsonb := '{}';
BEGIN
    SELECT * INTO subject FROM crm.leads AS l WHERE l.id = wanted AND l.organization_id = org FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Erasing lead %s: the organization of this session has no such lead.', wanted),
            HINT = 'Set app.organization_id within the transaction.';
    END IF;
    ids := ARRAY(SELECT l.id FROM crm.leads AS l
                 WHERE l.organization_id = org
                     AND (l.id = wanted OR (l.phone = subject.phone AND l.deleted_at IS NOT NULL)));
    -- Also the numbers and addresses that the leads had before.
    tokens := ARRAY(SELECT t FROM crm.leads AS l, unnest(ARRAY[l.phone, l.email]) AS t
                    WHERE l.organization_id = org AND l.id = ANY (ids) AND t <> ''
                    UNION
                    SELECT t FROM crm.lead_audit_log AS a, unnest(ARRAY[a.old_value, a.new_value]) AS t
                    WHERE a.organization_id = org AND a.lead_id = ANY (ids) AND a.field_name IN ('phone', 'email')
                        AND t NOT IN ('', '[erased]'));

    IF EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org
               AND (d.phone = ANY (tokens) OR d.lead_id = ANY (ids))) THEN
        INSERT INTO crm.system_config (organization_id, key, value)
            VALUES (org, 'dnc.hash_key', to_jsonb(
                encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex')))
            ON CONFLICT DO NOTHING;
        hashkey := (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
                    WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
        UPDATE crm.dnc_list AS d
            SET phone = NULL, evidence = NULL,
                phone_hash = coalesce(crm.phone_tail_hash(d.phone, hashkey), d.phone_hash)
            WHERE d.organization_id = org AND (d.phone = ANY (tokens) OR d.lead_id = ANY (ids));
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done || jsonb_build_object('dnc_list', changed);
    END IF;

    UPDATE crm.leads AS l
        SET first_name = NULL, last_name = NULL, email = NULL, phone = NULL, source_metadata = '{}', tags = '{}',
            timezone = NULL, postal_code = NULL, consent = '[]', golden_id = NULL,
            deleted_at = coalesce(l.deleted_at, now()), erased_at = now()
        WHERE l.id = ANY (ids) AND l.erased_at IS NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('leads', changed);

    FOR archive IN
        SELECT 'crm.lead_audit_log'::regclass
        UNION ALL SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('crm_archive') AND c.relkind = 'r'
            AND c.relname LIKE 'lead\_audit\_log\_%'
    LOOP
        EXECUTE format('UPDATE %s SET old_value = CASE WHEN old_value IS NOT NULL THEN ''[erased]'' END,
                            new_value = CASE WHEN new_value IS NOT NULL THEN ''[erased]'' END
                        WHERE organization_id = $1 AND lead_id = ANY ($2) AND field_name = ANY ($3)
                            AND (old_value <> ''[erased]'' OR new_value <> ''[erased]'')', archive)
            USING org, ids, private;
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done || jsonb_build_object(
            'lead_audit_log', coalesce((done ->> 'lead_audit_log')::bigint, 0) + changed);
    END LOOP;

    -- Of a log entry what the database wrote stays; what the sender added may name the person.
    UPDATE crm.lead_sequence_enrollments AS e
        SET execution_log = (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'step', x -> 'step', 'event', x -> 'event', 'at', x -> 'at') ORDER BY n), '[]')
                FROM jsonb_array_elements(e.execution_log) WITH ORDINALITY AS entry (x, n)),
            status = CASE WHEN e.status IN ('active', 'paused') THEN 'stopped' ELSE e.status END,
            stop_reason = CASE WHEN e.status IN ('active', 'paused') THEN 'erased' ELSE e.stop_reason END,
            completed_at = coalesce(e.completed_at, now()), next_run_at = NULL
        WHERE e.organization_id = org AND e.lead_id = ANY (ids);
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_sequence_enrollments', changed);
    UPDATE crm.lead_assignments AS a SET context = '{}'
        WHERE a.organization_id = org AND a.lead_id = ANY (ids) AND a.context <> '{}';
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_assignments', changed);
    -- A filter on this very person finds nobody any more.
    UPDATE crm.segments AS s SET filter_criteria = '{"or": []}'
        WHERE s.organization_id = org AND EXISTS (
            SELECT FROM jsonb_path_query(s.filter_criteria, 'strict $.** ? (@.type() == "string")') AS v,
                unnest(tokens) AS t
            WHERE strpos(lower(v #>> '{}'), lower(t)) > 0);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN done || jsonb_build_object('segments', changed);
END
$$;
