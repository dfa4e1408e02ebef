-- Leads of many organizations and what is done with them: statuses, consent, do-not-call list, sequences, ledger.
--
-- What the schema crm does and who may do it: its functions, triggers, policies and privileges, as they are today.
--
-- Run after an upgrade in which this file has changed; safe to repeat. The tables are in sql/migrations, and so are the
-- functions that never changed since (0003_crm_*.sql); one that is defined here and there is valid as it is here.
--
-- Who acts is told by the login and by settings of the session, each a text; empty or absent means nobody:
--
--   app.organization_id  the tenant, one of those that crm.organization_member lists for the login
--   app.user_id          uuid of the user          } not for a login that the table binds to a user: its user is the
--   app.client_ip        address of the user       } table's, and its address that of the connection
--   app.triggered_by     what caused a change of status, such as import or sequence; else `user`, or `system`
--                        when there is no user
--
-- Behind a pooler that gives a connection to another client after each transaction, they must end with the
-- transaction: set_config(name, value, true) after BEGIN, never SET, which the next client would inherit.

-- Whether there are opt-outs of a time in which they held for one lead and one number; the end of this file sees to them.
SELECT set_config('crm.list_persons_anew', (to_regprocedure(
    'crm.add_person_to_dnc_list(uuid, text[], text, text, timestamptz, timestamptz)') IS NULL)::text, true);

GRANT CREATE ON SCHEMA crm TO crm_definer;

SET LOCAL ROLE crm_definer;

-- Who this session acts for. Every policy and every log asks it.
--
-- session_user is the login, whatever SET ROLE or a SECURITY DEFINER function made of current_user. A member of
-- crm_owner, such as the user that migrates, could lift the policies anyway, so its settings are believed.
--
-- It raises nothing, whatever the settings say: a policy is asked only when a row is looked at, so an error would tell
-- that there was one. What is no uuid means nobody, and client_ip is a text until it is written.
CREATE OR REPLACE FUNCTION crm.session_context(OUT organization_id uuid, OUT user_id uuid, OUT client_ip text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_uuid CONSTANT text := '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$';
    written CONSTANT text := current_setting('app.organization_id', true);
    chosen  CONSTANT uuid := CASE WHEN written ~ is_uuid THEN written::uuid END;
    member  crm.organization_member;
BEGIN
    IF NOT pg_has_role(session_user, 'crm_owner', 'MEMBER') THEN
        SELECT * INTO member FROM crm.organization_member AS m
            WHERE m.login = session_user AND m.organization_id = chosen;
        IF NOT FOUND THEN
            RETURN;
        ELSIF NOT member.is_pooler THEN
            organization_id := chosen;
            user_id := member.user_id;
            client_ip := host(inet_client_addr());
            RETURN;
        END IF;
    END IF;
    organization_id := chosen;
    user_id := CASE WHEN current_setting('app.user_id', true) ~ is_uuid
                    THEN current_setting('app.user_id', true)::uuid END;
    client_ip := nullif(current_setting('app.client_ip', true), '');
END
$$;

-- Whether a number is listed, and erasure, which must not weaken that.

-- Whether nobody of the organization may contact this number. Never a wrong no: an input that cannot be read blocks;
-- so does one that could be another spelling of a listed number, as +2065550010 of +12065550010, or ten digits of a
-- foreign number without its country code. So a number may be blocked because a longer one ends with it.
--
-- `channel` is call, sms or email; without it an entry of any channel blocks.
--
-- It runs as crm_definer, which sees every organization's list, so that no policy on users can hide an entry; in
-- return the organization must be the session's. Without one there is no answer but for an administrator's own session.
CREATE OR REPLACE FUNCTION crm.is_on_dnc_list(phone text, organization_id uuid, channel text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Planned once a session: a plan for each number takes longer than all the look-ups.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    org     CONSTANT uuid := organization_id;
    asking  CONSTANT uuid := (crm.session_context()).organization_id;
    contact CONSTANT text := channel;
    number  CONSTANT text := crm.normalize_phone(phone);
    numbers text[] := ARRAY[number];
    given   text[];
    tails   text[] := '{}';
    tail    text;
    listed  boolean;
    hashed  boolean;
    hashkey bytea;
BEGIN
    IF asking IS NULL AND (current_setting('role') <> 'none' OR NOT pg_has_role(session_user, 'crm_owner', 'MEMBER'))
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'Checking the do-not-call list: this session acts for no organization.',
            HINT = 'Set app.organization_id, within the transaction, to an organization that crm.organization_member '
                'lists for this login.';
    ELSIF asking IS NOT NULL AND org IS DISTINCT FROM asking THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'Checking the do-not-call list of another organization than app.organization_id says.',
            HINT = 'Set app.organization_id to the organization that is asked about, within the transaction.';
    ELSIF contact NOT IN ('call', 'sms', 'email') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'Checking the do-not-call list: the channel is call, sms or email.';
    END IF;
    IF number IS NULL OR org IS NULL THEN
        RETURN true;
    END IF;
    -- A zero in brackets is left out by who reads it as a trunk prefix, and may yet be a digit.
    IF strpos(phone, '(0)') > 0 THEN
        numbers := array_remove(numbers || crm.normalize_phone(replace(phone, '(0)', '0')), NULL);
    END IF;
    given := numbers;

    -- Listed with a zero where a trunk prefix would stand, as +44 020 ..., or without its 1, as +206 555 0100.
    IF number ~ '^\+1' THEN
        numbers := numbers || ('+' || substr(number, 3));
    ELSE
        numbers := numbers || ARRAY(
            SELECT overlay(n PLACING '0' FROM i FOR 0) FROM unnest(given) AS n, generate_series(3, 5) AS i);
    END IF;

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
                   AND d.ended_at IS NULL
                   AND (d.expires_at IS NULL OR d.expires_at > now())
                   AND (contact IS NULL OR contact = ANY (d.channels))),
           EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org AND d.phone_hash IS NOT NULL
                   AND d.ended_at IS NULL)
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
                       AND d.ended_at IS NULL
                       AND (d.expires_at IS NULL OR d.expires_at > now())
                       AND (contact IS NULL OR contact = ANY (d.channels))) THEN
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
                AND d.ended_at IS NULL
                AND (d.expires_at IS NULL OR d.expires_at > now())
                AND (contact IS NULL OR contact = ANY (d.channels)));
    END IF;
    RETURN false;
END
$$;

-- Whether an e-mail address is on the do-not-call list of the organization: an entry keeps the hash of the one that its
-- lead had, in whatever spelling and whosever it is now, and a lead with this address, in any case, may be listed as a
-- lead. It runs as crm_definer, for which lower() is found by leads_address.
CREATE OR REPLACE FUNCTION crm.is_address_listed(email text, organization_id uuid, channel text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    address CONSTANT text := lower(email);
    org     CONSTANT uuid := organization_id;
    asking  CONSTANT uuid := (crm.session_context()).organization_id;
    contact CONSTANT text := channel;
    hashkey bytea;
BEGIN
    IF org IS DISTINCT FROM asking AND (asking IS NOT NULL OR current_setting('role') <> 'none'
                                        OR NOT pg_has_role(session_user, 'crm_owner', 'MEMBER'))
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'Checking the do-not-call list of another organization than app.organization_id says.',
            HINT = 'Set app.organization_id to the organization that is asked about, within the transaction.';
    END IF;
    IF address IS NULL OR address = '' THEN
        RETURN false;
    ELSIF EXISTS (
        SELECT FROM crm.leads AS l JOIN crm.dnc_list AS d ON d.organization_id = org AND d.lead_id = l.id
        WHERE l.organization_id = org AND lower(l.email) = address AND d.ended_at IS NULL
            AND (d.expires_at IS NULL OR d.expires_at > now())
            AND (contact IS NULL OR contact = ANY (d.channels)))
    THEN
        RETURN true;
    ELSIF EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org AND d.email_hash IS NOT NULL
                  AND d.ended_at IS NULL)
    THEN
        hashkey := (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
                    WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
        RETURN hashkey IS NULL OR EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE d.organization_id = org AND d.email_hash = crm.email_hash(address, hashkey) AND d.ended_at IS NULL
                AND (d.expires_at IS NULL OR d.expires_at > now())
                AND (contact IS NULL OR contact = ANY (d.channels)));
    END IF;
    RETURN false;
END
$$;

-- The key of the hashes in the do-not-call list of an organization, made when it is asked for first.
CREATE OR REPLACE FUNCTION crm.dnc_hash_key(organization_id uuid) RETURNS bytea
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    org   CONSTANT uuid := organization_id;
    found jsonb := (SELECT c.value FROM crm.system_config AS c WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
BEGIN
    IF found IS NULL THEN
        INSERT INTO crm.system_config (organization_id, key, value)
            VALUES (org, 'dnc.hash_key', to_jsonb(
                encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex')))
            ON CONFLICT DO NOTHING;
        found := (SELECT c.value FROM crm.system_config AS c WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
    END IF;
    RETURN decode(found #>> '{}', 'hex');
END
$$;

-- An entry about e-mails belongs to the mailbox, as one about calls to the number: it keeps the hash of the address that
-- its lead has then. As crm_definer, because the key is nobody's to read.
CREATE OR REPLACE FUNCTION crm.keep_dnc_address() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    address text;
BEGIN
    IF NEW.email_hash IS NULL AND NEW.lead_id IS NOT NULL AND 'email' = ANY (NEW.channels) THEN
        address := (SELECT l.email FROM crm.leads AS l
                    WHERE l.organization_id = NEW.organization_id AND l.id = NEW.lead_id);
        IF address <> '' THEN
            NEW.email_hash := crm.email_hash(address, crm.dnc_hash_key(NEW.organization_id));
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- The lead that a lead became part of, by its source_metadata; null for one that is part of no other. It is a user's to
-- write, so what is no uuid counts as none. With RETURN it needs no search_path and is inlined.
CREATE OR REPLACE FUNCTION crm.merged_into(source_metadata jsonb) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN source_metadata ->> 'merged_into' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN (source_metadata ->> 'merged_into')::uuid END;

-- The ids that the person of a lead has in identity, or had: of the lead, and of the one that it became part of. One that
-- identity has as a person of its own again is part of no other.
CREATE OR REPLACE FUNCTION crm.lead_person_ids(lead_id uuid, organization_id uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT uuid := lead_id;
    org    CONSTANT uuid := organization_id;
BEGIN
    RETURN QUERY
    WITH RECURSIVE part AS (
        SELECT l.golden_id, l.deleted_at, crm.merged_into(l.source_metadata) AS other_id
        FROM crm.leads AS l WHERE l.organization_id = org AND l.id = wanted
        UNION
        SELECT l.golden_id, l.deleted_at, crm.merged_into(l.source_metadata)
        FROM part AS p JOIN crm.leads AS l ON l.organization_id = org AND l.id = p.other_id
        WHERE p.deleted_at IS NOT NULL
            AND NOT EXISTS (SELECT FROM identity.person AS o WHERE o.person_id = p.golden_id)
    ), ids AS (
        SELECT p.golden_id AS id FROM part AS p WHERE p.golden_id IS NOT NULL
        UNION
        SELECT a.id FROM ids AS i, LATERAL (
            SELECT x.person_id AS id FROM identity.alias AS x WHERE x.alias_id = i.id
            UNION ALL SELECT x.alias_id FROM identity.alias AS x WHERE x.person_id = i.id) AS a
    )
    SELECT i.id FROM ids AS i;
END
$$;

-- The leads of the person of a lead, that one first of all, also those that were deleted; and, if asked for, all with an
-- e-mail address of one of them. Of the session's organization. It runs as crm_definer, which reads the aliases of
-- identity, and for which lower() is found by leads_address.
CREATE OR REPLACE FUNCTION crm.leads_of_person(lead_id uuid, with_address boolean DEFAULT false) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT uuid := lead_id;
    org    CONSTANT uuid := (crm.session_context()).organization_id;
    found_ CONSTANT uuid[] := ARRAY(
        SELECT l.id FROM crm.leads AS l WHERE l.organization_id = org AND l.id = wanted
        UNION SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = org AND l.golden_id = ANY (ARRAY(SELECT crm.lead_person_ids(wanted, org))));
BEGIN
    RETURN QUERY SELECT unnest(found_);
    IF with_address THEN
        RETURN QUERY SELECT DISTINCT o.id
            FROM crm.leads AS l JOIN crm.leads AS o ON o.organization_id = org AND lower(o.email) = lower(l.email)
            WHERE l.organization_id = org AND l.id = ANY (found_) AND l.email <> '' AND o.id <> ALL (found_);
    END IF;
END
$$;

-- Puts the person of a lead on the do-not-call list, for what is not listed for these channels yet, and returns how many
-- entries that took: each lead of the person; for calls and texts each number that is known of the person, and each that
-- a message of the lead went to; for e-mails each such address. Numbers of people of the business are left out. What
-- somebody ended after `since` stays ended. Where the reason is one number's, nothing is added. What a file of leads
-- brought, by its evidence, is `import`.
CREATE OR REPLACE FUNCTION crm.add_person_to_dnc_list(
    lead_id uuid, channels text[], reason text DEFAULT 'opt_out', evidence text DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL, since timestamptz DEFAULT now()
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted  CONSTANT uuid := lead_id;
    why     CONSTANT text := reason;
    over    CONSTANT text[] := channels;
    proof   CONSTANT text := evidence;
    ends    CONSTANT timestamptz := expires_at;
    said    CONSTANT timestamptz := since;
    org     CONSTANT uuid := (crm.session_context()).organization_id;
    leads   CONSTANT uuid[] := ARRAY(SELECT crm.leads_of_person(wanted));
    by_call CONSTANT text[] := ARRAY(SELECT c FROM unnest(over) AS c WHERE c IN ('call', 'sms'));
    found_by CONSTANT text := CASE WHEN proof ~ '^row [0-9]+ of the file of import ' THEN 'import' ELSE 'user' END;
    hashkey bytea;
    changed bigint;
    done    bigint := 0;
BEGIN
    IF leads = '{}' THEN
        RAISE no_data_found USING
            MESSAGE = format('Listing the person of lead %s: the organization of this session has no such lead.', wanted),
            HINT = 'Set app.organization_id within the transaction.';
    ELSIF why IN ('national_list', 'state_list', 'wrong_number') THEN
        RETURN 0;
    END IF;
    INSERT INTO crm.dnc_list (organization_id, lead_id, reason, channels, detected_by, evidence, expires_at)
        SELECT org, l, why, over, found_by, proof, ends FROM unnest(leads) AS l
        WHERE NOT EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE d.organization_id = org AND d.lead_id = l AND d.channels @> over
                AND (d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at >= ends) OR d.ended_at > said));
    GET DIAGNOSTICS done = ROW_COUNT;

    IF by_call <> '{}' THEN
        INSERT INTO crm.dnc_list (organization_id, phone, lead_id, reason, channels, detected_by, evidence, expires_at)
            SELECT DISTINCT org, n.phone, wanted, why, by_call, found_by, proof, ends
            FROM (SELECT l.phone FROM crm.leads AS l WHERE l.organization_id = org AND l.id = ANY (leads)
                  UNION ALL
                  SELECT jsonb_array_elements_text(CASE jsonb_typeof(more.phones) WHEN 'array' THEN more.phones ELSE '[]' END)
                  FROM crm.leads AS l, LATERAL (VALUES (l.source_metadata -> 'shared_phones'),
                                                       (l.source_metadata -> 'other_phones')) AS more (phones)
                  WHERE l.organization_id = org AND l.id = ANY (leads)
                  UNION ALL
                  SELECT unnest(p.phones) FROM identity.person AS p
                  WHERE p.person_id = ANY (ARRAY(SELECT crm.lead_person_ids(wanted, org)))
                  UNION ALL
                  SELECT m.recipient FROM crm.sequence_message AS m
                  WHERE m.organization_id = org AND m.lead_id = wanted AND m.channel IN ('sms', 'call', 'voicemail')
                 ) AS n (phone)
            WHERE n.phone ~ '^\+[1-9][0-9]{6,14}$'
                AND NOT EXISTS (SELECT FROM identity.record AS r
                                WHERE r.phones @> ARRAY[n.phone] AND r.kind = 'staff' AND NOT r.deleted)
                AND NOT EXISTS (
                    SELECT FROM crm.dnc_list AS d
                    WHERE d.organization_id = org AND d.phone = n.phone AND d.channels @> by_call AND d.ended_at IS NULL
                        AND (d.expires_at IS NULL OR d.expires_at >= ends))
                AND NOT EXISTS (
                    SELECT FROM crm.dnc_list AS d
                    WHERE d.organization_id = org AND d.lead_id = ANY (leads) AND d.phone = n.phone
                        AND d.channels @> by_call AND d.ended_at > said);
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done + changed;
    END IF;

    IF 'email' = ANY (over) THEN
        hashkey := crm.dnc_hash_key(org);
        INSERT INTO crm.dnc_list (organization_id, email_hash, lead_id, reason, channels, detected_by, evidence, expires_at)
            SELECT DISTINCT org, a.hash, wanted, why, '{email}'::text[], found_by, proof, ends
            FROM (SELECT crm.email_hash(l.email, hashkey) FROM crm.leads AS l
                  WHERE l.organization_id = org AND l.id = ANY (leads)
                  UNION ALL
                  SELECT crm.email_hash(m.recipient, hashkey) FROM crm.sequence_message AS m
                  WHERE m.organization_id = org AND m.lead_id = wanted AND m.channel = 'email') AS a (hash)
            WHERE a.hash IS NOT NULL
                AND NOT EXISTS (
                    SELECT FROM crm.dnc_list AS d
                    WHERE d.organization_id = org AND d.email_hash = a.hash AND 'email' = ANY (d.channels)
                        AND d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at >= ends))
                AND NOT EXISTS (
                    SELECT FROM crm.dnc_list AS d
                    WHERE d.organization_id = org AND d.lead_id = ANY (leads) AND d.email_hash = a.hash
                        AND 'email' = ANY (d.channels) AND d.ended_at > said);
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done + changed;
    END IF;
    RETURN done;
END
$$;

-- Takes a person out: out of the lead, out of deleted leads of the organization that had a phone or an e-mail address of
-- it, now or before, and out of what is left of a lead that is not there any more. Further numbers and addresses of a lead
-- (other_phones, other_emails) count as its own, where no other live lead has them. What names or describes the person goes
-- from the lead, the audit log and its archive, the do-not-call list, logs and filters. Amounts, statuses, scores, owners
-- and all times stay, and the number stays blocked if it was. Safe to repeat. Returns how many rows were changed, by table.
CREATE OR REPLACE FUNCTION crm.erase_lead(lead_id uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted  CONSTANT uuid := lead_id;
    context CONSTANT record := crm.session_context();
    org     CONSTANT uuid := context.organization_id;
    at_once CONSTANT timestamptz := clock_timestamp();
    private CONSTANT text[] := '{first_name,last_name,email,phone,source_metadata,tags,timezone,postal_code,consent,
                                 golden_id,lead_score_factors}';
    logs    CONSTANT regclass[] := ARRAY(
        SELECT 'crm.lead_audit_log'::regclass
        UNION ALL SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('crm_archive') AND c.relkind = 'r'
            AND c.relname LIKE 'lead\_audit\_log\_%');
    log_    regclass;
    subject crm.leads;
    ids     uuid[] := ARRAY[wanted];
    found_  uuid[];
    others  uuid[];
    left_   boolean := false;
    found_here boolean;
    tokens  text[];
    tails   text[];
    more    text[];
    hashkey bytea;
    changed bigint;
    done    jsonb := '{}';
BEGIN
    SELECT * INTO subject FROM crm.leads AS l WHERE l.id = wanted AND l.organization_id = org FOR UPDATE;
    -- What the person is known by: phones and addresses of the lead, those it had before, and, of a lead that was
    -- deleted by hand, those in the log of that.
    tokens := ARRAY[subject.phone, lower(subject.email)] || ARRAY(
        SELECT lower(n.token)
        FROM (VALUES (subject.source_metadata -> 'other_phones'), (subject.source_metadata -> 'other_emails')) AS more (tokens),
            jsonb_array_elements_text(CASE jsonb_typeof(more.tokens) WHEN 'array' THEN more.tokens ELSE '[]' END) AS n (token)
        WHERE NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.organization_id = org AND l.phone = n.token
                          AND l.deleted_at IS NULL AND l.id <> wanted)
            AND NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.organization_id = org AND lower(l.email) = lower(n.token)
                            AND l.deleted_at IS NULL AND l.id <> wanted));
    FOREACH log_ IN ARRAY logs LOOP
        EXECUTE format('SELECT array_agg(DISTINCT lower(t)) FILTER (WHERE a.field_name IN (''phone'', ''email'')),
                            count(*) FILTER (WHERE a.action = ''delete'') > 0
                        FROM %s AS a, unnest(ARRAY[a.old_value, a.new_value]) AS t
                        WHERE a.organization_id = $1 AND a.lead_id = $2', log_)
            INTO more, found_here USING org, wanted;
        tokens := tokens || more;
        left_ := left_ OR found_here;
    END LOOP;
    tokens := ARRAY(SELECT DISTINCT t FROM unnest(tokens) AS t WHERE t NOT IN ('', '[erased]'));
    IF subject.id IS NULL AND NOT left_ THEN
        RAISE no_data_found USING
            MESSAGE = format('Erasing lead %s: the organization of this session has no such lead.', wanted),
            HINT = 'Set app.organization_id within the transaction.';
    END IF;
    -- Who shared a number or an address with the person, and is somebody else: a lead that became part of another's.
    others := ARRAY(SELECT l.id FROM crm.leads AS l
                    WHERE l.organization_id = org AND l.deleted_at IS NOT NULL AND l.id <> wanted
                        AND l.golden_id IS DISTINCT FROM subject.golden_id
                        AND EXISTS (SELECT FROM crm.leads AS o
                                    WHERE o.organization_id = org AND o.golden_id = l.golden_id AND o.id <> wanted
                                        AND o.deleted_at IS NULL));
    ids := ids || ARRAY(SELECT l.id FROM crm.leads AS l
                        WHERE l.organization_id = org AND l.deleted_at IS NOT NULL AND l.id <> wanted
                            AND l.id <> ALL (others)
                            AND (l.phone = ANY (tokens) OR lower(l.email) = ANY (tokens)
                                 OR l.source_metadata -> 'other_phones' ?| tokens
                                 OR lower((l.source_metadata -> 'other_emails')::text)::jsonb ?| tokens));
    FOREACH log_ IN ARRAY logs LOOP
        EXECUTE format('SELECT array_agg(DISTINCT a.lead_id) FROM %s AS a WHERE a.organization_id = $1
                        AND a.field_name IN (''phone'', ''email'')
                        AND (lower(a.old_value) = ANY ($2) OR lower(a.new_value) = ANY ($2)) AND a.lead_id <> ALL ($3)
                        AND NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.organization_id = $1 AND l.id = a.lead_id
                                        AND l.deleted_at IS NULL)', log_)
            INTO found_ USING org, tokens, ids || others;
        ids := ids || found_;
    END LOOP;
    -- Also the numbers and addresses that the leads had before.
    tokens := tokens || ARRAY(SELECT lower(t) FROM crm.leads AS l, unnest(ARRAY[l.phone, l.email]) AS t
                    WHERE l.organization_id = org AND l.id = ANY (ids) AND t <> '');
    FOREACH log_ IN ARRAY logs LOOP
        EXECUTE format('SELECT array_agg(DISTINCT lower(t)) FROM %s AS a, unnest(ARRAY[a.old_value, a.new_value]) AS t
                        WHERE a.organization_id = $1 AND a.lead_id = ANY ($2)
                            AND a.field_name IN (''phone'', ''email'') AND t NOT IN ('''', ''[erased]'')', log_)
            INTO more USING org, ids;
        tokens := tokens || more;
    END LOOP;

    -- An entry may hold the number in another spelling: nine digits at its end are compared.
    tails := ARRAY(SELECT right(ltrim(t, '+'), 9) FROM unnest(tokens) AS t WHERE t ~ '^\+[0-9]{7,}$');
    IF EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org
               AND (right(ltrim(d.phone, '+'), 9) = ANY (tails) OR d.lead_id = ANY (ids))) THEN
        hashkey := crm.dnc_hash_key(org);
        -- An entry that keeps another address than its lead has now goes on keeping that one.
        INSERT INTO crm.dnc_list (organization_id, email_hash, lead_id, reason, channels, detected_by, expires_at, since)
            SELECT DISTINCT org, n.hash, d.lead_id, d.reason, d.channels, d.detected_by, d.expires_at,
                coalesce(d.since, d.created_at)
            FROM crm.leads AS l JOIN crm.dnc_list AS d ON d.organization_id = org AND d.lead_id = l.id,
                LATERAL (SELECT crm.email_hash(l.email, hashkey) AS hash) AS n
            WHERE l.organization_id = org AND l.id = ANY (ids) AND d.ended_at IS NULL AND d.email_hash <> n.hash
                AND NOT EXISTS (SELECT FROM crm.dnc_list AS o
                                WHERE o.organization_id = org AND o.email_hash = n.hash AND o.channels @> d.channels
                                    AND o.ended_at IS NULL AND (o.expires_at IS NULL OR o.expires_at >= d.expires_at));
        UPDATE crm.dnc_list AS d
            SET phone = NULL, evidence = NULL,
                end_reason = CASE WHEN d.end_reason IS NOT NULL THEN '[erased]' END,
                phone_hash = coalesce(crm.phone_tail_hash(d.phone, hashkey), d.phone_hash,
                    (SELECT crm.phone_tail_hash(l.phone, hashkey) FROM crm.leads AS l
                     WHERE l.organization_id = org AND l.id = d.lead_id)),
                email_hash = coalesce(d.email_hash,
                    (SELECT crm.email_hash(l.email, hashkey) FROM crm.leads AS l
                     WHERE l.organization_id = org AND l.id = d.lead_id AND l.id = ANY (ids)))
            WHERE d.organization_id = org AND (right(ltrim(d.phone, '+'), 9) = ANY (tails) OR d.lead_id = ANY (ids));
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done || jsonb_build_object('dnc_list', changed);
    END IF;

    -- Both times alike say that it was live until now: source_roi counts it on.
    UPDATE crm.leads AS l
        SET first_name = NULL, last_name = NULL, email = NULL, phone = NULL, source_metadata = '{}', tags = '{}',
            timezone = NULL, postal_code = NULL, consent = '[]', golden_id = NULL,
            lead_score_factors = '{}',
            deleted_at = coalesce(l.deleted_at, at_once), erased_at = at_once
        WHERE l.organization_id = org AND l.id = ANY (ids) AND l.erased_at IS NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('leads', changed);

    FOREACH log_ IN ARRAY logs LOOP
        EXECUTE format('UPDATE %s SET old_value = CASE WHEN old_value IS NOT NULL THEN ''[erased]'' END,
                            new_value = CASE WHEN new_value IS NOT NULL THEN ''[erased]'' END
                        WHERE organization_id = $1 AND lead_id = ANY ($2) AND field_name = ANY ($3)
                            AND (old_value <> ''[erased]'' OR new_value <> ''[erased]'')', log_)
            USING org, ids, private;
        GET DIAGNOSTICS changed = ROW_COUNT;
        done := done || jsonb_build_object(
            'lead_audit_log', coalesce((done ->> 'lead_audit_log')::bigint, 0) + changed);
    END LOOP;
    -- The trigger of leads says it of a lead that is there.
    INSERT INTO crm.lead_audit_log (organization_id, lead_id, action, changed_by, ip_address, created_at)
        SELECT org, i, 'erase', context.user_id, context.client_ip::inet, at_once FROM unnest(ids) AS i
        WHERE NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.organization_id = org AND l.id = i)
            AND NOT EXISTS (SELECT FROM crm.lead_audit_log AS a
                            WHERE a.organization_id = org AND a.lead_id = i AND a.action = 'erase');

    -- Of a log entry what the database wrote stays; what the sender added may name the person.
    UPDATE crm.lead_sequence_enrollments AS e
        SET execution_log = (
                SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                    'step', CASE WHEN jsonb_typeof(x -> 'step') = 'number' THEN x -> 'step' END,
                    'event', CASE WHEN x ->> 'event' IN ('done', 'handed_out', 'stopped', 'paused', 'resumed', 'skipped')
                             THEN x -> 'event' END,
                    'at', CASE WHEN crm.is_utc_time(x ->> 'at') THEN x -> 'at' END)) ORDER BY n), '[]')
                FROM jsonb_array_elements(e.execution_log) WITH ORDINALITY AS entry (x, n)),
            status = CASE WHEN e.status IN ('active', 'paused') THEN 'stopped' ELSE e.status END,
            stop_reason = CASE WHEN e.status IN ('active', 'paused') THEN 'erased'
                WHEN e.stop_reason IN ('dnc', 'consent', 'deleted', 'won', 'lost', 'disqualified', 'erased')
                THEN e.stop_reason
                WHEN e.stop_reason IS NOT NULL THEN '[erased]' END,
            completed_at = coalesce(e.completed_at, now()), next_run_at = NULL
        WHERE e.organization_id = org AND e.lead_id = ANY (ids);
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_sequence_enrollments', changed);
    -- One that is handed over just now keeps its status, which its worker settles.
    UPDATE crm.sequence_message AS m
        SET recipient = NULL, subject = NULL, body = NULL, reference = NULL, problem = NULL,
            status = CASE WHEN m.settled_at IS NULL AND m.status <> 'sending' THEN 'withheld' ELSE m.status END,
            settled_at = CASE WHEN m.status <> 'sending' THEN coalesce(m.settled_at, at_once) END
        WHERE m.organization_id = org AND m.lead_id = ANY (ids)
            AND (num_nonnulls(m.recipient, m.subject, m.body, m.reference, m.problem) > 0
                 OR m.settled_at IS NULL AND m.status <> 'sending');
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('sequence_message', changed);
    UPDATE crm.lead_assignments AS a SET context = '{}'
        WHERE a.organization_id = org AND a.lead_id = ANY (ids) AND a.context <> '{}';
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_assignments', changed);
    UPDATE crm.lead_score_history AS h
        SET factors = '{}', model_version = CASE h.model_version WHEN 'weights-1' THEN 'weights-1' ELSE '[erased]' END
        WHERE h.organization_id = org AND h.lead_id = ANY (ids) AND h.factors <> '{}';
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_score_history', changed);
    UPDATE crm.lead_import_row AS r SET changes = '{}', fingerprint = NULL
        WHERE r.organization_id = org AND r.lead_id = ANY (ids)
            AND (r.changes <> '{}' OR r.fingerprint IS NOT NULL);
    GET DIAGNOSTICS changed = ROW_COUNT;
    done := done || jsonb_build_object('lead_import_row', changed);
    UPDATE crm.segments AS s SET name = '[erased]'
        WHERE s.organization_id = org AND EXISTS (
            SELECT FROM unnest(tokens) AS t WHERE strpos(lower(s.name), t) > 0);
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

-- The condition with the expressions that leads_names holds in place of the names. It holds expressions, because an
-- index on the bare columns would answer = too, which is leakproof, before the policy and for all organizations.
CREATE OR REPLACE FUNCTION crm.with_names_index(condition text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(condition, 'l\.(first_name|last_name) ILIKE', '(l.\1 || '''') ILIKE', 'g')
$$;

-- The leads that a filter finds. It runs as crm_definer, for which leads has no row-level security: the operators of
-- tags and names are not leakproof, so below a policy no index serves them, and a rare tag would read every lead.
-- That is safe here and only here, because the condition is made of the operators of crm.segment_condition,
-- and the organization stands in the query.
CREATE OR REPLACE FUNCTION crm.evaluate_filter(filter jsonb) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    org CONSTANT uuid := (crm.session_context()).organization_id;
BEGIN
    -- ILIKE, @> and && are found by their path; pg_trgm only adds an operator class to the first.
    RETURN QUERY EXECUTE 'SELECT l.id FROM crm.leads AS l WHERE l.organization_id = $1 AND l.deleted_at IS NULL AND '
        || crm.with_names_index(crm.segment_condition(filter)) USING org, filter;
END
$$;

-- The same as a page of full leads, the newest first. `before` and `before_id` are created_at and id of the last one of
-- the page before; the leads of one import share their created_at.
CREATE OR REPLACE FUNCTION crm.list_leads(
    filter jsonb DEFAULT '{}', page_size integer DEFAULT 100, before timestamptz DEFAULT 'infinity',
    before_id uuid DEFAULT '00000000-0000-0000-0000-000000000000'
) RETURNS SETOF crm.leads
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT l.* FROM crm.leads AS l WHERE l.organization_id = $1 AND l.deleted_at IS NULL AND '
        || crm.with_names_index(crm.segment_condition(filter)) || ' AND (l.created_at, l.id) < ($3, $5)
           ORDER BY l.created_at DESC, l.id DESC LIMIT $4'
        USING (crm.session_context()).organization_id, filter, before, page_size, before_id;
END
$$;

-- The points of each factor of a lead's score, by weights and shares of sources as system_config has them: whole numbers,
-- rounded down, so that no sum passes that of the weights. The one formula, for one lead and for all.
CREATE OR REPLACE FUNCTION crm.score_factors(lead crm.leads, weights jsonb, sources jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    factors jsonb := '{}';
    factor  text;
    points  numeric;
BEGIN
    FOR factor, points IN SELECT w.key, w.value::numeric FROM jsonb_each_text(weights) AS w LOOP
        -- Each share is between 0 and 1.
        factors := factors || jsonb_build_object(factor, floor(points * CASE factor
            WHEN 'reachable' THEN (CASE WHEN lead.phone IS NOT NULL THEN 0.6 ELSE 0 END)
                + (CASE WHEN lead.email IS NOT NULL THEN 0.3 ELSE 0 END)
                + (CASE WHEN lead.last_name IS NOT NULL THEN 0.1 ELSE 0 END)
            WHEN 'source' THEN CASE WHEN lead.source IS NULL THEN 0
                WHEN jsonb_typeof(sources -> lead.source) = 'number'
                    THEN greatest(0, least(1, (sources ->> lead.source)::numeric))
                ELSE 0.5 END
            WHEN 'stage' THEN CASE lead.status WHEN 'new' THEN 0.2 WHEN 'contacted' THEN 0.4 WHEN 'nurturing' THEN 0.4
                WHEN 'qualified' THEN 0.6 WHEN 'appointment_set' THEN 0.8 WHEN 'proposal' THEN 0.9 WHEN 'won' THEN 1
                ELSE 0 END
            WHEN 'recency' THEN CASE WHEN now() - lead.status_changed_at < interval '7 days' THEN 1
                WHEN now() - lead.status_changed_at < interval '30 days' THEN 0.6
                WHEN now() - lead.status_changed_at < interval '90 days' THEN 0.3 ELSE 0 END
            -- One that was taken back is none.
            WHEN 'consent' THEN CASE WHEN lead.consent = '[]' THEN 0
                WHEN crm.has_consent(lead.consent, 'call') OR crm.has_consent(lead.consent, 'sms')
                    OR crm.has_consent(lead.consent, 'email') THEN 1 ELSE 0 END
            END)::integer);
    END LOOP;
    RETURN factors;
END
$$;

-- Scores a lead, writes the score with its factors to the lead (when it changed) and to the history (always). Each
-- factor is a whole number of points, and they add up to the score. The weights and the shares of sources come from
-- system_config. It runs as crm_definer, because the application may not write the history of scores.
CREATE OR REPLACE FUNCTION crm.calculate_lead_score(lead_id uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted  CONSTANT uuid := lead_id;
    org     uuid := (crm.session_context()).organization_id;
    lead    crm.leads;
    weights jsonb := '{"reachable": 25, "source": 20, "stage": 30, "recency": 15, "consent": 10}';
    sources jsonb;
    factors jsonb;
    score   integer;
BEGIN
    IF org IS NULL AND current_setting('role') = 'none' AND pg_has_role(session_user, 'crm_owner', 'MEMBER') THEN
        -- An administrator need not choose one, as long as one alone has the id.
        SELECT l.organization_id INTO STRICT org FROM crm.leads AS l WHERE l.id = wanted;
    END IF;
    SELECT * INTO lead FROM crm.leads AS l WHERE l.organization_id = org AND l.id = wanted FOR NO KEY UPDATE;
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
    factors := crm.score_factors(lead, weights, sources);
    score := coalesce((SELECT sum(f.value::integer) FROM jsonb_each_text(factors) AS f), 0);
    INSERT INTO crm.lead_score_history (organization_id, lead_id, score, factors, model_version)
        VALUES (lead.organization_id, lead.id, score, factors, 'weights-1');
    IF lead.erased_at IS NULL THEN
        UPDATE crm.leads AS l SET lead_score = score, lead_score_factors = factors
            WHERE l.organization_id = org AND l.id = lead.id
                AND (l.lead_score, l.lead_score_factors) IS DISTINCT FROM (score, factors);
    END IF;
    RETURN score;
END
$$;

-- The next three write the audit log, the history of statuses and the assignments: once per statement and not per
-- row, as crm_definer, because the application may not write these tables.
CREATE OR REPLACE FUNCTION crm.record_new_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    context CONSTANT record := crm.session_context();
    by_user CONSTANT uuid := context.user_id;
    from_ip CONSTANT inet := context.client_ip::inet;
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, new_value, changed_by, ip_address, created_at)
        SELECT n.organization_id, n.id, 'create', f.key, f.value, by_user, from_ip, clock_timestamp()
        FROM new_rows AS n, jsonb_each_text(crm.audited(to_jsonb(n))) AS f
        WHERE f.value IS NOT NULL AND f.value NOT IN ('{}', '[]');
    -- A lead that comes from a source or a file has had its status since the time that is told of it: the funnel of the last
    -- days must not count all leads of a first load. That of the future would come after its own changes.
    INSERT INTO crm.lead_status_history (organization_id, lead_id, to_status, triggered_by, changed_by, created_at)
        SELECT n.organization_id, n.id, n.status, coalesce(nullif(current_setting('app.triggered_by', true), ''),
            CASE WHEN by_user IS NULL THEN 'system' ELSE 'user' END), by_user,
            least(n.status_changed_at, clock_timestamp())
        FROM new_rows AS n;
    INSERT INTO crm.lead_assignments (organization_id, lead_id, to_user_id, strategy)
        SELECT n.organization_id, n.id, n.owner_id,
            CASE WHEN current_setting('app.triggered_by', true) = 'import' THEN 'import' ELSE 'manual' END
        FROM new_rows AS n WHERE n.owner_id IS NOT NULL;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION crm.record_changed_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    context CONSTANT record := crm.session_context();
    by_user CONSTANT uuid := context.user_id;
    from_ip CONSTANT inet := context.client_ip::inet;
    -- crm.assign_lead says here how it chose; see crm.assign_lead.
    chosen  CONSTANT jsonb := coalesce(nullif(current_setting('crm.assignment', true), ''), '{}')::jsonb;
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, old_value, new_value, changed_by, ip_address, created_at)
        SELECT n.organization_id, n.id, 'update', f.key, o.fields ->> f.key, f.value, by_user, from_ip,
               clock_timestamp()
        FROM new_rows AS n
            JOIN (SELECT organization_id, id, erased_at, crm.audited(to_jsonb(old_rows)) AS fields
                  FROM old_rows) AS o USING (organization_id, id),
            jsonb_each_text(crm.audited(to_jsonb(n))) AS f
        WHERE f.value IS DISTINCT FROM o.fields ->> f.key
            AND (n.erased_at IS NULL OR o.erased_at IS NOT NULL)
        UNION ALL
        -- Of an erasure the log says that it happened, and not what was there before.
        SELECT n.organization_id, n.id, 'erase', NULL, NULL, NULL, by_user, from_ip, clock_timestamp()
        FROM new_rows AS n JOIN old_rows AS o USING (organization_id, id)
        WHERE n.erased_at IS NOT NULL AND o.erased_at IS NULL;
    INSERT INTO crm.lead_status_history
            (organization_id, lead_id, from_status, to_status, triggered_by, changed_by, time_in_previous, created_at)
        SELECT n.organization_id, n.id, o.status, n.status, coalesce(nullif(current_setting('app.triggered_by', true),
            ''), CASE WHEN by_user IS NULL THEN 'system' ELSE 'user' END), by_user,
            n.status_changed_at - o.status_changed_at, n.status_changed_at
        FROM new_rows AS n JOIN old_rows AS o USING (organization_id, id)
        WHERE n.status <> o.status;
    INSERT INTO crm.lead_assignments (organization_id, lead_id, from_user_id, to_user_id, strategy, context)
        SELECT n.organization_id, n.id, o.owner_id, n.owner_id, coalesce(chosen ->> 'strategy',
                   CASE WHEN current_setting('app.triggered_by', true) = 'import' THEN 'import' ELSE 'manual' END),
               coalesce(chosen -> 'context', '{}')
        FROM new_rows AS n JOIN old_rows AS o USING (organization_id, id)
        WHERE n.owner_id IS DISTINCT FROM o.owner_id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION crm.record_deleted_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    context CONSTANT record := crm.session_context();
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, old_value, changed_by, ip_address, created_at)
        SELECT o.organization_id, o.id, 'delete', f.key, f.value,
               context.user_id, context.client_ip::inet, clock_timestamp()
        FROM old_rows AS o, jsonb_each_text(crm.audited(to_jsonb(o))) AS f
        WHERE f.value IS NOT NULL AND f.value NOT IN ('{}', '[]');
    RETURN NULL;
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA crm FROM crm_definer;
GRANT EXECUTE ON FUNCTION crm.session_context(), crm.keep_dnc_address() TO crm_owner;
SET LOCAL ROLE crm_owner;

-- What of a lead may change. Its feed says what a vendor says: an administrator's session with app.triggered_by = import
-- may go from any status to any, and set created_at: to that of a record that turned up later, and back when the two are
-- no longer one person. The login decides that, not the setting alone.
CREATE OR REPLACE FUNCTION crm.check_lead_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_feed CONSTANT boolean := current_setting('app.triggered_by', true) = 'import'
        AND pg_has_role(session_user, 'crm_owner', 'MEMBER');
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.erased_at IS NOT NULL THEN
            RAISE check_violation USING MESSAGE = 'Adding a lead with erased_at: only crm.erase_lead sets it.';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.organization_id) IS DISTINCT FROM (OLD.id, OLD.organization_id)
        OR NEW.created_at IS DISTINCT FROM OLD.created_at AND is_feed IS NOT TRUE
    THEN
        RAISE check_violation USING
            MESSAGE = format('Changing lead %s: id, organization_id and created_at never change.', OLD.id),
            HINT = 'Add a new lead instead.';
    END IF;
    IF NEW.erased_at IS DISTINCT FROM OLD.erased_at AND current_user <> 'crm_definer' THEN
        RAISE check_violation USING MESSAGE = format('Changing lead %s: only crm.erase_lead sets erased_at.', OLD.id);
    END IF;
    IF OLD.erased_at IS NOT NULL AND current_user <> 'crm_definer' THEN
        RAISE check_violation USING
            MESSAGE = format('Changing lead %s: it was erased, and stays as it is.', OLD.id),
            HINT = 'Add a new lead if the person has come back.';
    END IF;
    NEW.status_changed_at := OLD.status_changed_at;
    IF NEW.status <> OLD.status THEN
        IF NOT coalesce(is_feed, false) AND NEW.status <> ALL (crm.next_statuses(OLD.status))
            AND crm.next_statuses(NEW.status) IS NOT NULL
        THEN
            RAISE check_violation USING
                MESSAGE = format('Changing the status of lead %s: from %s to %s is no allowed transition.',
                                 OLD.id, OLD.status, NEW.status),
                HINT = format('After %s may come: %s.', OLD.status,
                              array_to_string(crm.next_statuses(OLD.status), ', ')),
                CONSTRAINT = 'leads_status_transition';
        END IF;
        -- Not now(): two changes in one transaction take time too.
        NEW.status_changed_at := clock_timestamp();
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION crm.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.updated_at := now();
    IF TG_TABLE_NAME = 'system_config' THEN
        NEW.updated_by := (crm.session_context()).user_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER touch BEFORE INSERT OR UPDATE ON crm.system_config
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();
CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON crm.message_template
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();

-- The ledger. One account, one writer at a time, until that writer's transaction has ended.
CREATE OR REPLACE FUNCTION crm.chain_budget_transaction() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before crm.budget_transactions;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(
        'crm.budget_transactions:' || NEW.organization_id || ':' || NEW.account_id, 0));
    SELECT * INTO before FROM crm.budget_transactions AS b
        WHERE b.organization_id = NEW.organization_id AND b.account_id = NEW.account_id
        ORDER BY b.entry_no DESC LIMIT 1;
    NEW.entry_no := coalesce(before.entry_no, 0) + 1;
    NEW.balance_before_usd := coalesce(before.balance_after_usd, 0);
    NEW.balance_after_usd := NEW.balance_before_usd + NEW.amount_usd;
    NEW.created_by := (crm.session_context()).user_id;
    -- Strictly later than the entry before, even when the clock was set back: the chain is sorted by it.
    NEW.created_at := greatest(clock_timestamp(), before.created_at + interval '1 microsecond');
    RETURN NEW;
END
$$;

-- Ends an entry of the do-not-call list, with who and why; the entry stays. Returns false when it had ended before. It
-- runs as the owner, below the policies, because the application may change nothing of an entry itself.
CREATE OR REPLACE FUNCTION crm.end_dnc_entry(entry_id uuid, why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    context CONSTANT record := crm.session_context();
BEGIN
    IF context.user_id IS NULL OR coalesce(why, '') !~ '[^[:space:]]' THEN
        RAISE check_violation USING
            MESSAGE = format('Ending do-not-call entry %s: it takes a user and a reason.', entry_id),
            HINT = 'The user is that of crm.organization_member, or app.user_id for a pooler.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.dnc_list AS d
                   WHERE d.organization_id = context.organization_id AND d.id = entry_id) THEN
        RAISE no_data_found USING
            MESSAGE = format('Ending do-not-call entry %s: the organization of this session has none such.', entry_id),
            HINT = 'Set app.organization_id within the transaction.';
    END IF;
    UPDATE crm.dnc_list AS d SET ended_at = clock_timestamp(), ended_by = context.user_id, end_reason = why
        WHERE d.organization_id = context.organization_id AND d.id = entry_id AND d.ended_at IS NULL;
    RETURN FOUND;
END
$$;

-- An entry is added with what its reason allows, by the user of the session, and is never deleted.
CREATE OR REPLACE FUNCTION crm.check_dnc_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    context CONSTANT record := crm.session_context();
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Only who migrates may say that it was somebody else.
        NEW.created_by := CASE WHEN pg_has_role(session_user, 'crm_owner', 'MEMBER')
                               THEN coalesce(context.user_id, NEW.created_by) ELSE context.user_id END;
        -- The number stays listed when the lead is deleted, erased or gets another one.
        IF NEW.phone IS NULL AND NEW.phone_hash IS NULL AND NEW.email_hash IS NULL THEN
            NEW.phone := (SELECT l.phone FROM crm.leads AS l
                          WHERE l.organization_id = NEW.organization_id AND l.id = NEW.lead_id);
        END IF;
        IF num_nonnulls(NEW.phone, NEW.phone_hash, NEW.email_hash, NEW.lead_id) = 0 THEN
            RAISE check_violation USING MESSAGE = 'Adding a do-not-call entry: it names neither a phone nor a lead.',
                CONSTRAINT = 'dnc_list_names_somebody';
        END IF;
    END IF;
    -- An unknown reason is left to the foreign key.
    IF NEW.expires_at IS NOT NULL
        AND NOT (SELECT r.may_expire FROM crm.dnc_reasons AS r WHERE r.reason = NEW.reason)
    THEN
        RAISE check_violation USING
            MESSAGE = format('A do-not-call entry for the reason %s takes no expires_at.', NEW.reason),
            HINT = 'crm.dnc_reasons says which reasons do.', CONSTRAINT = 'dnc_list_permanent_reasons';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER check_entry BEFORE INSERT OR UPDATE OF reason, expires_at ON crm.dnc_list
    FOR EACH ROW EXECUTE FUNCTION crm.check_dnc_entry();

CREATE OR REPLACE TRIGGER keep_address BEFORE INSERT ON crm.dnc_list
    FOR EACH ROW EXECUTE FUNCTION crm.keep_dnc_address();

-- Per statement, so that it holds for an empty table too, and for the owner, who has every privilege.
CREATE OR REPLACE FUNCTION crm.refuse_dnc_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on crm.dnc_list: entries are ended, and never deleted.', TG_OP),
        HINT = 'crm.end_dnc_entry ends one.';
END
$$;
CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON crm.dnc_list
    FOR EACH STATEMENT EXECUTE FUNCTION crm.refuse_dnc_delete();
ALTER TABLE crm.dnc_list ENABLE ALWAYS TRIGGER refuse_delete;

-- Deletes a row of the organization; returns false when there is none. `kind` is segment, sequence, source_cost (by id)
-- or setting (by key); a sequence only while no lead was enrolled in it. A function, because the privilege DELETE would also allow LOCK TABLE, which stops every tenant.
-- It runs as the owner, below the policies.
CREATE OR REPLACE FUNCTION crm.delete_row(kind text, key text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    org CONSTANT uuid := (crm.session_context()).organization_id;
BEGIN
    CASE kind
        WHEN 'segment' THEN DELETE FROM crm.segments AS s WHERE s.organization_id = org AND s.id = key::uuid;
        WHEN 'sequence' THEN
            -- Locked, so that nobody is enrolled meanwhile.
            PERFORM FROM crm.nurture_sequences AS s WHERE s.organization_id = org AND s.id = key::uuid FOR UPDATE;
            IF EXISTS (SELECT FROM crm.lead_sequence_enrollments AS e
                       WHERE e.organization_id = org AND e.sequence_id = key::uuid) THEN
                RAISE foreign_key_violation USING
                    MESSAGE = format('Deleting sequence %s: leads were enrolled in it, and their logs would go with it.',
                                     key),
                    HINT = 'Set is_active to false instead.';
            END IF;
            DELETE FROM crm.nurture_sequences AS s WHERE s.organization_id = org AND s.id = key::uuid;
        WHEN 'source_cost' THEN
            DELETE FROM crm.lead_source_costs AS c WHERE c.organization_id = org AND c.id = key::uuid;
        WHEN 'setting' THEN DELETE FROM crm.system_config AS c WHERE c.organization_id = org AND c.key = key;
        ELSE RAISE invalid_parameter_value USING
            MESSAGE = 'Deleting a row: the kind is segment, sequence, source_cost or setting.';
    END CASE;
    RETURN FOUND;
END
$$;

-- What stays of an erased number; 0003_crm_5_dnc.sql says why so. In plpgsql, because a function with a path of its own
-- is not inlined, and starting one in SQL takes ten times as long.
CREATE OR REPLACE FUNCTION crm.phone_tail_hash(phone text, hashkey bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN sha256(hashkey || sha256(hashkey || convert_to(right(ltrim(phone, '+'), 8), 'UTF8')));
END
$$;

-- What an entry keeps of an e-mail address: the same hash of what all its spellings share. identity compares addresses so,
-- too: in lower case, without mailto: and what a sentence puts behind one; of a mailbox at Gmail without its dots and
-- what follows a +.
CREATE OR REPLACE FUNCTION crm.email_hash(email text, hashkey bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    address text := rtrim(regexp_replace(lower(btrim(email, E' \t\n\r\f\v')), '^mailto:', ''), '.,;');
BEGIN
    IF address ~ '@(gmail|googlemail)\.com$' THEN
        address := replace(split_part(split_part(address, '@', 1), '+', 1), '.', '') || '@gmail.com';
    END IF;
    RETURN CASE WHEN address <> '' THEN sha256(hashkey || sha256(hashkey || convert_to(address, 'UTF8'))) END;
END
$$;

-- Sequences, scores, assignments. These run with the rights of whoever calls them, below row-level security, and find
-- nothing of another organization.

-- Whether there is a consent to this channel that was not taken back. Post and tasks need none; one for calls is one
-- for voicemail.
--
-- One that was taken back ends those that were given before it was, whichever element says so.
CREATE OR REPLACE FUNCTION crm.has_consent(consent jsonb, channel text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH given AS MATERIALIZED (
        SELECT g AS this FROM jsonb_array_elements(consent) AS g
        WHERE g ->> 'channel' IN (channel, CASE channel WHEN 'voicemail' THEN 'call' END))
    SELECT channel IN ('mail', 'task') OR EXISTS (
        SELECT FROM given AS g WHERE NOT g.this ? 'revoked_at' AND NOT EXISTS (
            SELECT FROM given AS r WHERE r.this ? 'revoked_at' AND NOT CASE
                -- What cannot be compared counts as taken back later.
                WHEN crm.is_utc_time(g.this ->> 'at') AND crm.is_utc_time(r.this ->> 'revoked_at')
                THEN crm.utc_time(g.this ->> 'at') > crm.utc_time(r.this ->> 'revoked_at') ELSE false END))
$$;

-- A consent that is written says by what, and when, and not that it will be given. Those that were there before this
-- was asked stay.
CREATE OR REPLACE FUNCTION crm.check_consent() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The constraint on the table sees to the rest. A day, because a date is read as UTC and clocks differ.
    IF jsonb_typeof(NEW.consent) = 'array' AND EXISTS (
        SELECT FROM jsonb_array_elements(NEW.consent) AS g
        WHERE (g ->> 'source') !~ '[^[:space:]]' OR (g ->> 'text_version') !~ '[^[:space:]]'
            OR CASE WHEN crm.is_utc_time(g ->> 'at') THEN crm.utc_time(g ->> 'at') > now() + interval '1 day'
                    ELSE g ? 'at' END)
    THEN
        RAISE check_violation USING
            MESSAGE = format('The consent of lead %s lacks a source or a text_version, or its time is none or to come.',
                             NEW.id),
            HINT = 'at is such as 2025-01-31 or 2025-01-31T08:00:00Z.', CONSTRAINT = 'leads_consent_is_complete';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER check_consent BEFORE INSERT OR UPDATE OF consent ON crm.leads
    FOR EACH ROW WHEN (NEW.consent <> '[]') EXECUTE FUNCTION crm.check_consent();

-- What was taken back stays so: who writes the consent anew, as an application that read it before, can neither leave an
-- element with revoked_at out nor have it without. A consent that is given later is another element. Who speaks for a
-- source or a file, and erasure, are left alone.
CREATE OR REPLACE FUNCTION crm.keep_revocations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.erased_at IS NOT NULL OR jsonb_typeof(NEW.consent) <> 'array'
        OR current_setting('app.triggered_by', true) = 'import' AND pg_has_role(session_user, 'crm_owner', 'MEMBER')
    THEN
        RETURN NEW;
    END IF;
    NEW.consent := (
        WITH revoked AS (
            SELECT o.this, o.place FROM jsonb_array_elements(OLD.consent) WITH ORDINALITY AS o (this, place)
            WHERE o.this ? 'revoked_at'
        ), written AS (
            SELECT n.this, n.place, (
                SELECT min(r.place) FROM revoked AS r
                WHERE r.this @> CASE WHEN crm.is_consent(jsonb_build_array(n.this)) THEN n.this - 'revoked_at' END
                    AND coalesce(n.this -> 'revoked_at' = r.this -> 'revoked_at', true)) AS same_as
            FROM jsonb_array_elements(NEW.consent) WITH ORDINALITY AS n (this, place)
        )
        SELECT coalesce(jsonb_agg(e.this ORDER BY e.place, e.of_old), '[]')
        FROM (SELECT w.this, w.place, 0 AS of_old FROM written AS w WHERE w.same_as IS NULL
              UNION ALL
              SELECT r.this, coalesce((SELECT min(w.place) FROM written AS w WHERE w.same_as = r.place), 0), r.place
              FROM revoked AS r) AS e);
    RETURN NEW;
END
$$;
-- After check_consent, which asks what is written.
CREATE OR REPLACE TRIGGER keep_revocations BEFORE UPDATE OF consent ON crm.leads
    FOR EACH ROW WHEN (OLD.consent <> '[]' AND OLD.consent <> NEW.consent) EXECUTE FUNCTION crm.keep_revocations();

-- Why a step over this channel must not reach the lead: dnc, consent, or null. dnc: its number, the lead itself, or a
-- lead with the same e-mail address is listed for the channel, or the channel needs a phone and there is none. Any
-- entry blocks post and tasks.
CREATE OR REPLACE FUNCTION crm.lead_block_reason(lead crm.leads, channel text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    listed_for CONSTANT text := CASE channel WHEN 'voicemail' THEN 'call' WHEN 'mail' THEN NULL WHEN 'task' THEN NULL
                                ELSE channel END;
BEGIN
    IF (lead.phone IS NOT NULL OR channel IN ('sms', 'call', 'voicemail'))
        AND crm.is_on_dnc_list(lead.phone, lead.organization_id, listed_for)
        OR EXISTS (SELECT FROM crm.dnc_list AS d
                   WHERE d.organization_id = lead.organization_id AND d.lead_id = lead.id AND d.ended_at IS NULL
                       AND (d.expires_at IS NULL OR d.expires_at > now())
                       AND (listed_for IS NULL OR listed_for = ANY (d.channels)))
        OR crm.is_address_listed(lead.email, lead.organization_id, listed_for)
    THEN
        RETURN 'dnc';
    ELSIF channel IS NOT NULL AND NOT crm.has_consent(lead.consent, channel) THEN
        RETURN 'consent';
    END IF;
    RETURN NULL;
END
$$;

-- Enrolls a lead and returns the enrollment; that which is there already when the lead is in the sequence.
CREATE OR REPLACE FUNCTION crm.enroll_lead(lead_id uuid, sequence_id uuid) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted_lead     CONSTANT uuid := lead_id;
    wanted_sequence CONSTANT uuid := sequence_id;
    -- Null only for who is past the policies; an id alone is not unique.
    org      CONSTANT uuid := (crm.session_context()).organization_id;
    lead     crm.leads;
    sequence crm.nurture_sequences;
    blocked  text;
    made     uuid;
BEGIN
    SELECT * INTO lead FROM crm.leads AS l
        WHERE l.id = wanted_lead AND (org IS NULL OR l.organization_id = org) FOR NO KEY UPDATE;
    SELECT * INTO sequence FROM crm.nurture_sequences AS s
        WHERE s.id = wanted_sequence AND s.organization_id = lead.organization_id;
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
    END IF;
    blocked := (SELECT crm.lead_block_reason(lead, step ->> 'channel') AS why
                FROM jsonb_array_elements(sequence.steps) AS step ORDER BY why DESC NULLS LAST LIMIT 1);
    IF blocked = 'dnc' THEN
        RAISE check_violation USING
            MESSAGE = format('Enrolling lead %s: it is on the do-not-call list, or a step needs a phone it lacks.',
                             lead.id),
            CONSTRAINT = 'enrollments_not_on_dnc_list';
    ELSIF blocked = 'consent' THEN
        RAISE check_violation USING
            MESSAGE = format('Enrolling lead %s: it has not consented to the channel of every step.', lead.id),
            CONSTRAINT = 'enrollments_with_consent';
    END IF;
    INSERT INTO crm.lead_sequence_enrollments (organization_id, lead_id, sequence_id, next_run_at)
        VALUES (lead.organization_id, lead.id, sequence.id,
                now() + coalesce((sequence.steps #>> '{0,delay_minutes}')::float8, 0) * interval '1 minute')
        ON CONFLICT (lead_id, sequence_id, organization_id) WHERE status IN ('active', 'paused') DO NOTHING
        RETURNING id INTO made;
    IF made IS NULL THEN
        SELECT e.id INTO made FROM crm.lead_sequence_enrollments AS e
            WHERE e.organization_id = lead.organization_id AND e.lead_id = lead.id AND e.sequence_id = sequence.id
                AND e.status IN ('active', 'paused');
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
-- The do-not-call list and the consent are asked first, each time. state: run, wait (not due, or handed out), paused,
-- completed, stopped.
CREATE OR REPLACE FUNCTION crm.advance_enrollment(
    enrollment_id uuid, done_step integer DEFAULT NULL, outcome jsonb DEFAULT NULL,
    lease interval DEFAULT interval '15 minutes'
) RETURNS TABLE (state text, step integer, action jsonb, idempotency_key text, stop_reason text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    org      CONSTANT uuid := (crm.session_context()).organization_id;
    this     crm.lead_sequence_enrollments;
    lead     crm.leads;
    sequence crm.nurture_sequences;
    blocked  text;
    reason   text;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE invalid_transaction_state USING
            MESSAGE = format('Advancing enrollment %s: the transaction is %s, and would not see who was put on the '
                             'do-not-call list since it began.', enrollment_id, current_setting('transaction_isolation')),
            HINT = 'Ask in a transaction that is READ COMMITTED.';
    END IF;
    SELECT * INTO this FROM crm.lead_sequence_enrollments AS e
        WHERE e.id = enrollment_id AND (org IS NULL OR e.organization_id = org) FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Advancing enrollment %s: the organization of this session has none such.', enrollment_id),
            HINT = 'Set app.organization_id within the transaction.';
    ELSIF done_step > this.current_step THEN
        RAISE check_violation USING
            MESSAGE = format('Advancing enrollment %s: step %s is reported, and step %s was not yet.',
                             this.id, done_step, this.current_step);
    END IF;
    SELECT * INTO lead FROM crm.leads AS l WHERE l.organization_id = this.organization_id AND l.id = this.lead_id;
    SELECT * INTO sequence FROM crm.nurture_sequences AS s
        WHERE s.organization_id = this.organization_id AND s.id = this.sequence_id;

    -- What was done is recorded even when the lead must not be contacted any more.
    IF done_step = this.current_step AND this.status IN ('active', 'paused') THEN
        this.execution_log := this.execution_log || jsonb_strip_nulls(jsonb_build_object(
            'step', done_step, 'event', 'done', 'at', clock_timestamp(), 'outcome', outcome));
        this.current_step := this.current_step + 1;
        this.next_run_at := now() + interval '1 minute' * coalesce(
            (sequence.steps #>> ARRAY[this.current_step::text, 'delay_minutes'])::float8, 0);
    END IF;

    IF this.status IN ('active', 'paused') THEN
        blocked := crm.lead_block_reason(lead, sequence.steps #>> ARRAY[this.current_step::text, 'channel']);
        reason := CASE
            WHEN blocked = 'dnc' THEN 'dnc'
            WHEN lead.deleted_at IS NOT NULL THEN 'deleted'
            WHEN lead.status IN ('won', 'lost', 'disqualified') THEN lead.status
            ELSE blocked END;
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
        WHERE e.organization_id = this.organization_id AND e.id = this.id
            AND (e.current_step, e.status, e.execution_log)
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

-- Gives a lead to a user and returns the user. Candidates come from system_config (the keys stand above that table).
--   round_robin  the next of the candidates
--   territory    the one with the fewest open leads among those of the lead's territory
--   load         the one with the fewest open leads
-- Assignments of an organization wait for each other, so that none is made on counts that are about to change.
CREATE OR REPLACE FUNCTION crm.assign_lead(lead_id uuid, strategy text DEFAULT 'round_robin') RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted     CONSTANT uuid := lead_id;
    how        CONSTANT text := strategy;
    org        CONSTANT uuid := (crm.session_context()).organization_id;
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
    SELECT * INTO lead FROM crm.leads AS l WHERE l.id = wanted AND (org IS NULL OR l.organization_id = org);
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
    SELECT * INTO lead FROM crm.leads AS l
        WHERE l.organization_id = lead.organization_id AND l.id = wanted FOR UPDATE;

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
    UPDATE crm.leads AS l SET owner_id = chosen
        WHERE l.organization_id = lead.organization_id AND l.id = lead.id AND l.owner_id IS DISTINCT FROM chosen;
    PERFORM set_config('crm.assignment', '', true);
    RETURN chosen;
END
$$;

CREATE OR REPLACE FUNCTION crm.evaluate_segment(segment_id uuid) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    org    CONSTANT uuid := (crm.session_context()).organization_id;
    filter jsonb;
BEGIN
    SELECT s.filter_criteria INTO filter FROM crm.segments AS s
        WHERE s.id = segment_id AND (org IS NULL OR s.organization_id = org);
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('Evaluating segment %s: the user of this session sees no such segment.', segment_id),
            HINT = 'Set app.organization_id and app.user_id within the transaction.';
    END IF;
    RETURN QUERY SELECT crm.evaluate_filter(filter);
END
$$;

-- What each source cost and brought, over the leads created in these months and the costs of these months (each given
-- by its first day, both included). A lead that was erased while it was live still counts. roi is
-- (revenue - spend) / spend, and null where nothing was spent. A month begins at its first midnight where the business is:
-- the feed keeps WAREHOUSE_TIME_ZONE in system_config (business.time_zone), and without it the zone is UTC.
CREATE OR REPLACE FUNCTION crm.source_roi(first_month date DEFAULT '-infinity', last_month date DEFAULT 'infinity')
RETURNS TABLE (source text, spend_usd numeric, leads bigint, won bigint, revenue_usd numeric,
               cost_per_lead_usd numeric, cost_per_won_usd numeric, roi numeric)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH told AS (
        SELECT coalesce(min(c.value #>> '{}'), 'UTC') AS zone
        FROM crm.system_config AS c WHERE c.key = 'business.time_zone'
    ), span AS MATERIALIZED (
        SELECT first_month::timestamp AT TIME ZONE t.zone AS begins_at, CASE WHEN isfinite(last_month)
            THEN (last_month + interval '1 month') AT TIME ZONE t.zone ELSE 'infinity' END AS ends_at
        FROM told AS t
    ), spend AS (
        SELECT c.source, sum(c.amount_usd) AS usd FROM crm.lead_source_costs AS c
        WHERE c.month BETWEEN first_month AND last_month
        GROUP BY c.source
    ), counted AS (
        SELECT l.source, l.status, l.value_usd FROM crm.leads AS l
        WHERE l.deleted_at IS NULL AND l.created_at >= (SELECT s.begins_at FROM span AS s)
            AND l.created_at < (SELECT s.ends_at FROM span AS s)
        UNION ALL
        -- erase_lead gives a live lead both times alike, and keeps the time of one that was deleted before.
        SELECT l.source, l.status, l.value_usd FROM crm.leads AS l
        WHERE l.erased_at IS NOT NULL AND l.deleted_at = l.erased_at
            AND l.created_at >= (SELECT s.begins_at FROM span AS s)
            AND l.created_at < (SELECT s.ends_at FROM span AS s)
    ), brought AS (
        SELECT c.source, count(*) AS leads, count(*) FILTER (WHERE c.status = 'won') AS won,
               coalesce(sum(c.value_usd) FILTER (WHERE c.status = 'won'), 0) AS revenue
        FROM counted AS c
        GROUP BY c.source
    )
    SELECT source, coalesce(s.usd, 0), coalesce(b.leads, 0), coalesce(b.won, 0), coalesce(b.revenue, 0),
           round(s.usd / nullif(b.leads, 0), 2), round(s.usd / nullif(b.won, 0), 2),
           round((coalesce(b.revenue, 0) - s.usd) / nullif(s.usd, 0), 4)
    FROM spend AS s FULL JOIN brought AS b USING (source)
    ORDER BY 2 DESC, source
$$;

-- Takes the months of the audit log that ended longer ago than `keep` into the schema crm_archive, as they are, and
-- returns each with its rows. With twelve months nothing younger goes, and nothing that is older than thirteen
-- months stays. An application does not see the archive. The history of statuses stays: the funnel reads all of it.
CREATE OR REPLACE FUNCTION crm.archive_partitions(keep interval DEFAULT interval '12 months')
RETURNS TABLE (partition text, archived_rows bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent CONSTANT text := 'lead_audit_log';
    month  date;
    late   date[];
    cutoff CONSTANT date := date_trunc('month', now()) - keep;
BEGIN
    IF keep < interval '1 month' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'Archiving partitions: at least one month must be kept.';
    END IF;
    EXECUTE format('LOCK TABLE crm.%I IN ACCESS EXCLUSIVE MODE', parent);
    -- Old rows in the default partition get their month first.
    EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', parent || '_default');
    EXECUTE format('SELECT coalesce(array_agg(DISTINCT date_trunc(''month'', created_at)::date), ''{}'')
                    FROM crm.%I WHERE created_at < %L', parent || '_default', cutoff) INTO late;
    EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', parent || '_default');
    FOREACH month IN ARRAY late LOOP
        PERFORM crm.ensure_partitions(month, month);
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = ('crm.' || parent)::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= cutoff
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE crm.%I DETACH PARTITION crm.%I', parent, partition);
        EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format('SELECT count(*) FROM crm.%I', partition) INTO archived_rows;
        IF to_regclass('crm_archive.' || partition) IS NULL THEN
            EXECUTE format('ALTER TABLE crm.%I SET SCHEMA crm_archive', partition);
            EXECUTE format('GRANT SELECT, UPDATE ON crm_archive.%I TO crm_definer', partition);
            EXECUTE format('CREATE POLICY definer ON crm_archive.%I TO crm_definer USING (true)', partition);
            EXECUTE format('CREATE POLICY organization ON crm_archive.%I
                USING (organization_id = ANY (ARRAY[(SELECT c.organization_id FROM crm.session_context() AS c)])
                    AND organization_id = (SELECT c.organization_id FROM crm.session_context() AS c))', partition);
        ELSE
            -- Rows of a month that was archived before: they came late.
            EXECUTE format('ALTER TABLE crm_archive.%I NO FORCE ROW LEVEL SECURITY', partition);
            EXECUTE format('INSERT INTO crm_archive.%1$I SELECT * FROM crm.%1$I', partition);
            EXECUTE format('DROP TABLE crm.%I', partition);
        END IF;
        EXECUTE format('ALTER TABLE crm_archive.%I FORCE ROW LEVEL SECURITY', partition);
        RETURN NEXT;
    END LOOP;
END
$$;

RESET ROLE;

-- Who may do what.

-- The organization is asked within a SELECT, so once per statement. Without one no row is visible.
--
-- A leakproof condition of the caller's goes before a policy that costs more, and what it lets through can be felt for.
-- `= ANY (ARRAY[...])` is the cheapest comparison there is, and of two that cost the same a policy goes first. The
-- second is for the planner, which then knows that an index on the organization and a time is in the order of the time.
DO $$
DECLARE
    own CONSTANT text := 'organization_id = ANY (ARRAY[(SELECT c.organization_id FROM crm.session_context() AS c)])
        AND organization_id = (SELECT c.organization_id FROM crm.session_context() AS c)';
    new_ CONSTANT text := 'organization_id = (SELECT c.organization_id FROM crm.session_context() AS c)';
    of_ text;
    and_ text;
BEGIN
    FOREACH of_ IN ARRAY ARRAY['leads', 'lead_audit_log', 'lead_status_history', 'dnc_list', 'lead_source_costs',
        'nurture_sequences', 'lead_sequence_enrollments', 'segments', 'budget_transactions', 'lead_assignments',
        'lead_score_history', 'system_config', 'feed_source', 'lead_feed', 'consent_fact', 'lead_import',
        'lead_import_row', 'message_template', 'sequence_message']
    LOOP
        and_ := CASE of_
            -- A private segment is its creator's.
            WHEN 'segments' THEN ' AND (is_public OR created_by = (SELECT c.user_id FROM crm.session_context() AS c))'
            -- The key of the hashes of erased numbers is nobody's to read or replace.
            WHEN 'system_config' THEN ' AND key <> ''dnc.hash_key'''
            ELSE '' END;
        EXECUTE format('ALTER POLICY organization ON crm.%1$I USING (%2$s) WITH CHECK (%3$s)', of_, own || and_,
                       new_ || and_);
    END LOOP;
    FOR of_ IN SELECT c.relname FROM pg_class AS c JOIN pg_policy AS p ON p.polrelid = c.oid
        WHERE c.relnamespace = 'crm_archive'::regnamespace AND p.polname = 'organization'
    LOOP
        EXECUTE format('ALTER POLICY organization ON crm_archive.%I USING (%s) WITH CHECK (%s)', of_, own, new_);
    END LOOP;
END
$$;

-- The application writes the logs by what it does, and never directly. The ledger and the do-not-call list it only adds
-- to. It changes columns and deletes nothing: UPDATE or DELETE of a table would also allow LOCK TABLE.
REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA crm FROM crm_app, crm_read;
-- Column by column: a privilege on the table would also be one on ctid, by which single rows of others are asked, and
-- one to LOCK TABLE in a weak mode, which still holds up the work on partitions.
DO $$
DECLARE
    of_     regclass;
    columns text;
BEGIN
    FOR of_, columns IN
        SELECT c.oid, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.oid
    LOOP
        EXECUTE format('REVOKE SELECT ON %s FROM crm_app, crm_read', of_);
        EXECUTE format('GRANT SELECT (%s) ON %s TO crm_app, crm_read', columns, of_);
        IF of_ = ANY ('{crm.leads,crm.lead_source_costs,crm.nurture_sequences,crm.lead_sequence_enrollments,
                        crm.segments,crm.system_config,crm.budget_transactions,crm.message_template}'::regclass[]) THEN
            EXECUTE format('GRANT INSERT (%s) ON %s TO crm_app', columns, of_);
        END IF;
    END LOOP;
END
$$;
GRANT INSERT (id, organization_id, phone, reason, channels, detected_by, detection_confidence, evidence, lead_id,
    expires_at, created_by) ON crm.dnc_list TO crm_app;
GRANT UPDATE (first_name, last_name, email, phone, status, lead_score, lead_score_factors, source, source_metadata,
    tags, timezone, division, postal_code, owner_id, value_usd, consent, deleted_at, golden_id) ON crm.leads TO crm_app;
GRANT UPDATE (source, month, amount, currency, fx_rate_to_usd) ON crm.lead_source_costs TO crm_app;
GRANT UPDATE (name, steps, trigger_conditions, segment_id, is_active) ON crm.nurture_sequences TO crm_app;
GRANT UPDATE (current_step, status, stop_reason, execution_log, next_run_at, completed_at)
    ON crm.lead_sequence_enrollments TO crm_app;
-- What is sent is written by the worker alone.
GRANT UPDATE (subject, body) ON crm.message_template TO crm_app;
GRANT UPDATE (name, filter_criteria, is_public) ON crm.segments TO crm_app;
GRANT UPDATE (value) ON crm.system_config TO crm_app;
GRANT SELECT ON crm.organization_member TO crm_definer;
REVOKE UPDATE ON crm.leads, crm.dnc_list, crm.lead_sequence_enrollments, crm.segments FROM crm_definer;
GRANT UPDATE (first_name, last_name, email, phone, source_metadata, tags, timezone, postal_code, consent, golden_id,
    lead_score, lead_score_factors, deleted_at, erased_at) ON crm.leads TO crm_definer;
GRANT SELECT, INSERT ON crm.lead_score_history TO crm_definer;
GRANT UPDATE (factors, model_version) ON crm.lead_score_history TO crm_definer;
GRANT UPDATE (phone, phone_hash, email_hash, evidence, end_reason) ON crm.dnc_list TO crm_definer;
GRANT INSERT (organization_id, phone, email_hash, lead_id, reason, channels, detected_by, evidence, expires_at, since)
    ON crm.dnc_list TO crm_definer;
GRANT SELECT ON crm.dnc_reasons TO crm_definer;
-- Whose each lead is, by what ids and numbers: an opt-out is the person's.
GRANT USAGE ON SCHEMA identity TO crm_definer;
GRANT SELECT (alias_id, person_id) ON identity.alias TO crm_definer;
GRANT SELECT (person_id, phones, emails) ON identity.person TO crm_definer;
GRANT SELECT (kind, phones, deleted) ON identity.record TO crm_definer;
GRANT UPDATE (execution_log, status, stop_reason, completed_at, next_run_at) ON crm.lead_sequence_enrollments
    TO crm_definer;
GRANT UPDATE (name, filter_criteria) ON crm.segments TO crm_definer;

GRANT SELECT ON crm.lead_field_origin TO crm_app, crm_read;

-- Function by function. A trigger function is nobody's: attached to a table of somebody's own it would write what that
-- table says. What a constraint or a trigger of ours calls is called as whoever writes.
DO $$
DECLARE
    of_ regprocedure;
BEGIN
    FOR of_ IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = 'crm'::regnamespace LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, crm_app, crm_read', of_);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION crm.session_context() TO crm_owner, crm_app, crm_read;
GRANT EXECUTE ON FUNCTION crm.normalize_phone(text), crm.segment_condition(jsonb, text[]), crm.utc_time(text),
    crm.is_utc_time(text), crm.is_on_dnc_list(text, uuid, text), crm.evaluate_filter(jsonb),
    crm.list_leads(jsonb, integer, timestamptz, uuid), crm.evaluate_segment(uuid),
    crm.funnel(timestamptz, timestamptz), crm.source_roi(date, date), crm.lead_source(text) TO crm_app, crm_read;
GRANT EXECUTE ON FUNCTION crm.is_iana_timezone(text), crm.is_consent(jsonb), crm.are_steps(jsonb),
    crm.next_statuses(text), crm.has_consent(jsonb, text), crm.lead_block_reason(crm.leads, text),
    crm.is_address_listed(text, uuid, text), crm.leads_of_person(uuid, boolean),
    crm.add_person_to_dnc_list(uuid, text[], text, text, timestamptz, timestamptz),
    crm.enroll_lead(uuid, uuid), crm.advance_enrollment(uuid, integer, jsonb, interval),
    crm.calculate_lead_score(uuid), crm.assign_lead(uuid, text), crm.erase_lead(uuid),
    crm.end_dnc_entry(uuid, text), crm.delete_row(text, text), crm.merged_into(jsonb) TO crm_app;
-- What crm_definer calls of the owner's.
GRANT EXECUTE ON FUNCTION crm.is_utc_time(text), crm.utc_time(text), crm.has_consent(jsonb, text),
    crm.email_hash(text, bytea) TO crm_definer;
-- The owner runs these below the policies: in maintenance, in imports, and in functions that are its own.
GRANT EXECUTE ON FUNCTION crm.is_on_dnc_list(text, uuid, text), crm.evaluate_filter(jsonb), crm.erase_lead(uuid),
    crm.list_leads(jsonb, integer, timestamptz, uuid), crm.is_address_listed(text, uuid, text), crm.merged_into(jsonb)
    TO crm_owner;

-- Entries of before keep the address of their lead too, and opt-outs that named one lead or one number hold for the
-- person: where there is another lead or number, and once.
SET LOCAL ROLE crm_definer;
UPDATE crm.dnc_list AS d SET email_hash = crm.email_hash(l.email, crm.dnc_hash_key(d.organization_id))
    FROM crm.leads AS l
    WHERE l.organization_id = d.organization_id AND l.id = d.lead_id AND l.email <> '' AND d.email_hash IS NULL
        AND d.ended_at IS NULL AND 'email' = ANY (d.channels);
DO $$
DECLARE
    acting CONSTANT text := current_setting('app.organization_id', true);
    entry  record;
BEGIN
    IF current_setting('crm.list_persons_anew', true) IS DISTINCT FROM 'true' THEN
        RETURN;
    END IF;
    FOR entry IN
        SELECT d.* FROM crm.dnc_list AS d JOIN crm.leads AS l ON l.organization_id = d.organization_id AND l.id = d.lead_id
        WHERE d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > now()) AND d.detected_by = 'user'
            AND (l.deleted_at IS NOT NULL AND l.erased_at IS NULL OR l.phone IS NULL
                 OR l.source_metadata ? 'shared_phones'
                 OR EXISTS (SELECT FROM identity.person AS p
                            WHERE p.person_id = l.golden_id AND p.phones <> ARRAY[l.phone])
                 OR EXISTS (SELECT FROM identity.alias AS a WHERE a.alias_id = l.golden_id)
                 OR EXISTS (SELECT FROM crm.leads AS o
                            WHERE o.organization_id = l.organization_id AND o.golden_id = l.golden_id AND o.id <> l.id))
    LOOP
        PERFORM set_config('app.organization_id', entry.organization_id::text, true);
        PERFORM crm.add_person_to_dnc_list(entry.lead_id, entry.channels, entry.reason, entry.evidence,
                                           entry.expires_at, entry.created_at);
    END LOOP;
    PERFORM set_config('app.organization_id', coalesce(acting, ''), true);
END
$$;
RESET ROLE;

-- What the columns mean, where the migrations do not say it.
COMMENT ON COLUMN crm.budget_transactions.id IS 'Key.';
COMMENT ON COLUMN crm.budget_transactions.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.budget_transactions.account_id IS 'The account; each has a ledger of its own.';
COMMENT ON COLUMN crm.budget_transactions.entry_no IS 'Number of the entry.';
COMMENT ON COLUMN crm.budget_transactions.amount_usd IS 'Amount of the entry, in US dollars.';
COMMENT ON COLUMN crm.budget_transactions.balance_before_usd IS 'Balance before the entry, in US dollars.';
COMMENT ON COLUMN crm.budget_transactions.balance_after_usd IS 'Balance after the entry, in US dollars.';
COMMENT ON COLUMN crm.budget_transactions.reference_id IS 'What the entry is for, by an id of another system.';
COMMENT ON COLUMN crm.budget_transactions.created_by IS 'User who made the entry.';
COMMENT ON COLUMN crm.budget_transactions.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.dnc_list.id IS 'Key.';
COMMENT ON COLUMN crm.dnc_list.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.dnc_list.phone IS 'The number, in E.164.';
COMMENT ON COLUMN crm.dnc_list.detection_confidence IS 'How sure the detection is, from 0 to 1.';
COMMENT ON COLUMN crm.dnc_list.evidence IS 'What the entry rests on.';
COMMENT ON COLUMN crm.dnc_list.email_hash IS
    'The e-mail address that it is about, such as that of the lead when the entry was made, hashed: see email_hash.';
COMMENT ON COLUMN crm.dnc_list.lead_id IS 'The lead by whom it came about.';
COMMENT ON COLUMN crm.dnc_list.expires_at IS 'When it ends by itself; null is never.';
COMMENT ON COLUMN crm.dnc_list.channels IS 'What it forbids: call, sms, email, mail.';
COMMENT ON COLUMN crm.dnc_list.since IS 'Since when the person wished it, where a source tells; else created_at says it.';
COMMENT ON COLUMN crm.lead_source_costs.fed_amount IS
    'What the feed wrote last; null in a row that was entered by hand.';
COMMENT ON TABLE crm.feed_source IS 'Which organization the credential of a CRM feeds, where it is not CRM_ORGANIZATION_ID.';
COMMENT ON COLUMN crm.feed_source.crm IS 'Key: the CRM, as in sync_history.';
COMMENT ON COLUMN crm.feed_source.organization_id IS 'The organization that its people are leads of.';
COMMENT ON TABLE crm.status_mapping IS
    'What a status of a source means here. May be edited: the next feed computes all leads anew.';
COMMENT ON COLUMN crm.status_mapping.source IS 'The CRM and the field that the word stands in; import for files of leads.';
COMMENT ON COLUMN crm.status_mapping.source_status IS 'The word of the source, in lower case.';
COMMENT ON COLUMN crm.status_mapping.status IS 'What it means: a status of crm.leads.';
COMMENT ON COLUMN crm.status_mapping.opt_out IS 'Channels by which such a person must not be reached; null is none.';
COMMENT ON TABLE crm.status_rank IS 'Which of several statuses of one person stands. May be edited.';
COMMENT ON COLUMN crm.status_rank.status IS 'Key: a status of crm.leads.';
COMMENT ON COLUMN crm.status_rank.rank IS 'The higher one stands.';
COMMENT ON COLUMN crm.status_rank.is_closed IS 'Whether it ends a lead: an open one stands only when it is later.';
COMMENT ON COLUMN crm.status_rank.reopens IS 'Whether it reopens a closed lead when it is later.';
COMMENT ON TABLE crm.source_status IS 'The status words that the sources have; marts.unmapped_status lists the unknown ones.';
COMMENT ON COLUMN crm.source_status.source IS 'As in status_mapping.';
COMMENT ON COLUMN crm.source_status.source_status IS 'The word, in lower case.';
COMMENT ON COLUMN crm.source_status.loaded_as IS 'The status it was loaded as.';
COMMENT ON COLUMN crm.source_status.records IS 'How many records had it, in the last run of everything at least.';
COMMENT ON COLUMN crm.source_status.first_seen_at IS 'When it was seen first.';
COMMENT ON COLUMN crm.source_status.last_seen_at IS 'When it was seen last.';
COMMENT ON TABLE crm.feed_position IS 'How far the feed has read each table.';
COMMENT ON COLUMN crm.feed_position.source_table IS 'Key: the table.';
COMMENT ON COLUMN crm.feed_position.read_until IS 'What was committed until then has been read.';
COMMENT ON COLUMN crm.feed_position.fingerprint IS 'Of the mappings, in the row crm.status_mapping.';
COMMENT ON COLUMN crm.feed_position.read_at IS 'When it was read.';
COMMENT ON TABLE crm.fx_rate IS
    'What foreign money was worth, as somebody entered it. Without a row its costs are refused, and a deal that HubSpot does not convert has no value.';
COMMENT ON COLUMN crm.fx_rate.currency IS 'The currency, by its ISO 4217 code.';
COMMENT ON COLUMN crm.fx_rate.since IS 'The day from which the rate holds, until the next.';
COMMENT ON COLUMN crm.fx_rate.rate_to_usd IS 'US dollars for one unit.';
COMMENT ON TABLE crm.lead_feed IS
    'What the sources said of a lead last, and what the feed wrote of it. lead_field_origin shows it by field.';
COMMENT ON COLUMN crm.lead_feed.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_feed.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_feed.proposed IS 'Field to value: what the sources said last.';
COMMENT ON COLUMN crm.lead_feed.written IS
    'Field to value: what the feed wrote last. Where the lead has another value, somebody entered it. lent: what a lead that became part of another lent it.';
COMMENT ON COLUMN crm.lead_feed.origins IS 'Field to table, key and time of the record that said it.';
COMMENT ON COLUMN crm.lead_feed.fed_at IS 'When this row last changed.';
COMMENT ON TABLE crm.consent_fact IS
    'What records of the sources say, or said, of how their person may be reached. Rows stay when a flag is withdrawn.';
COMMENT ON COLUMN crm.consent_fact.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.consent_fact.source_table IS 'The table of the record.';
COMMENT ON COLUMN crm.consent_fact.source_key IS 'Its key.';
COMMENT ON COLUMN crm.consent_fact.flag IS 'The column that says it, or the word list of the status that does, or message, with its time where it is a later one.';
COMMENT ON COLUMN crm.consent_fact.crm IS 'The CRM.';
COMMENT ON COLUMN crm.consent_fact.says IS 'opt_out, consent, or not_before: an opt-out until a time.';
COMMENT ON COLUMN crm.consent_fact.channels IS 'What it is about: call, sms, email, mail.';
COMMENT ON COLUMN crm.consent_fact.phone IS 'The number that a message came from.';
COMMENT ON COLUMN crm.consent_fact.proof IS 'What the source keeps as a proof, such as the id of a certificate.';
COMMENT ON COLUMN crm.consent_fact.given_at IS 'Since when, by the source; where it does not tell, when it was last edited, or of a consent when the record was made.';
COMMENT ON COLUMN crm.consent_fact.until IS 'Until when, of not_before.';
COMMENT ON COLUMN crm.consent_fact.seen_at IS 'When the feed saw it first, or again after it was withdrawn.';
COMMENT ON COLUMN crm.consent_fact.withdrawn_at IS 'When the flag said the contrary; null while it stands.';
COMMENT ON COLUMN crm.lead_feed.entered IS 'What stood in the lead before the feed wrote into it; null where the feed made it.';
COMMENT ON TABLE crm.lead_source_alias IS
    'How sources of leads are spelt, and the one name under which leads and costs count. Administrators write it.';
COMMENT ON COLUMN crm.lead_source_alias.spelling IS 'Key: in lower case, with one blank for blanks, `_` and `-`.';
COMMENT ON COLUMN crm.lead_source_alias.source IS 'The name of the source.';
COMMENT ON VIEW crm.entered_leads IS
    'Leads as a file or a user entered them, without what the feed wrote since: what identity reads of crm.';
COMMENT ON COLUMN crm.entered_leads.is_excluded IS 'Whether it is no record of identity: deleted, erased, or made by the feed.';
COMMENT ON VIEW crm.lead_person IS 'Whose each lead is: what the views of activities have in common.';
COMMENT ON COLUMN crm.lead_person.id IS 'The lead.';
COMMENT ON COLUMN crm.lead_person.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_person.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.lead_person.archived IS 'Whether a user deleted it, or it was erased.';
COMMENT ON COLUMN crm.lead_person.sync_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.lead_entry IS
    'That a file or a user entered a lead, as it was entered: an activity of marts.activity_timeline.';
COMMENT ON COLUMN crm.lead_entry.id IS 'The lead.';
COMMENT ON COLUMN crm.lead_entry.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_entry.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.lead_entry.created_at IS 'When it was made.';
COMMENT ON COLUMN crm.lead_entry.source IS 'Where it came from, as it was entered.';
COMMENT ON COLUMN crm.lead_entry.division IS 'The branch, as it was entered.';
COMMENT ON COLUMN crm.lead_entry.status IS 'The status with which it was entered.';
COMMENT ON COLUMN crm.lead_entry.user_id IS 'The owner, as it was entered.';
COMMENT ON COLUMN crm.lead_entry.archived IS 'Whether it is no activity: deleted, erased, or made by the feed.';
COMMENT ON COLUMN crm.lead_entry.sync_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.lead_status_change IS
    'Changes of status by users, sequences, programs and files; those of the feed are told by its sources.';
COMMENT ON COLUMN crm.lead_status_change.id IS 'The row of lead_status_history; of a file, its import and row.';
COMMENT ON COLUMN crm.lead_status_change.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_status_change.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_status_change.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.lead_status_change.changed_at IS 'When.';
COMMENT ON COLUMN crm.lead_status_change.status IS 'The status after it.';
COMMENT ON COLUMN crm.lead_status_change.triggered_by IS 'What caused it; file of a file.';
COMMENT ON COLUMN crm.lead_status_change.user_id IS 'Who did it.';
COMMENT ON COLUMN crm.lead_status_change.archived IS
    'Whether it is no activity: the lead was deleted or erased, or the import undone.';
COMMENT ON COLUMN crm.lead_status_change.sync_updated_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_status_change.lead_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.lead_assignment IS
    'Whom a lead was given to by a user or a rule; those of the feed are told by its sources.';
COMMENT ON COLUMN crm.lead_assignment.id IS 'The row of lead_assignments.';
COMMENT ON COLUMN crm.lead_assignment.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_assignment.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_assignment.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.lead_assignment.assigned_at IS 'When.';
COMMENT ON COLUMN crm.lead_assignment.user_id IS 'The owner after it; null is nobody.';
COMMENT ON COLUMN crm.lead_assignment.strategy IS 'How the owner was chosen.';
COMMENT ON COLUMN crm.lead_assignment.archived IS 'Whether the lead was deleted by a user, or erased.';
COMMENT ON COLUMN crm.lead_assignment.sync_updated_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_assignment.lead_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.lead_tag_change IS 'Tags that users added or took away, as long as the audit log is kept.';
COMMENT ON COLUMN crm.lead_tag_change.id IS 'The row of lead_audit_log.';
COMMENT ON COLUMN crm.lead_tag_change.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_tag_change.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_tag_change.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.lead_tag_change.changed_at IS 'When.';
COMMENT ON COLUMN crm.lead_tag_change.user_id IS 'Who did it.';
COMMENT ON COLUMN crm.lead_tag_change.tags IS 'Each with + if it came, and - if it went.';
COMMENT ON COLUMN crm.lead_tag_change.archived IS 'Whether the lead was deleted by a user, or erased.';
COMMENT ON COLUMN crm.lead_tag_change.sync_updated_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_tag_change.lead_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.sequence_step IS 'Steps of sequences that were done, such as a text that was sent.';
COMMENT ON COLUMN crm.sequence_step.id IS 'The enrollment, and the place in its log.';
COMMENT ON COLUMN crm.sequence_step.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.sequence_step.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.sequence_step.person_id IS 'The person in identity.';
COMMENT ON COLUMN crm.sequence_step.done_at IS 'When it was done.';
COMMENT ON COLUMN crm.sequence_step.kind IS 'call, text, email, letter or task.';
COMMENT ON COLUMN crm.sequence_step.outcome IS 'What came of it.';
COMMENT ON COLUMN crm.sequence_step.sequence IS 'The name of the sequence.';
COMMENT ON COLUMN crm.sequence_step.archived IS 'Whether the lead was deleted by a user, or erased.';
COMMENT ON COLUMN crm.sequence_step.sync_updated_at IS 'When the enrollment was last changed.';
COMMENT ON COLUMN crm.sequence_step.lead_updated_at IS 'When the lead was last changed.';
COMMENT ON VIEW crm.lead_field_origin IS
    'Per field of a lead: its value, since when, and the record of a source that says it, or crm where it was entered.';
COMMENT ON COLUMN crm.lead_field_origin.field IS 'A column of leads.';
COMMENT ON COLUMN crm.lead_field_origin.value IS 'What it holds now.';
COMMENT ON COLUMN crm.lead_field_origin.source_table IS 'The table of the source that it came from; null where entered.';
COMMENT ON COLUMN crm.lead_field_origin.source_key IS 'The key of the row there.';
COMMENT ON COLUMN crm.lead_field_origin.since IS
    'When the source says that it was so; where it was entered, when that was.';
COMMENT ON COLUMN crm.entered_leads.company IS 'The company, as it was entered.';
COMMENT ON COLUMN crm.entered_leads.phone_e164 IS 'The first phone number, in E.164.';
COMMENT ON COLUMN crm.entered_leads.phone2_e164 IS 'The second phone number, in E.164.';
COMMENT ON COLUMN crm.entered_leads.phone3_e164 IS 'The third phone number, in E.164.';
COMMENT ON COLUMN crm.entered_leads.phone4_e164 IS 'The fourth phone number, in E.164.';
COMMENT ON COLUMN crm.entered_leads.phone5_e164 IS 'The fifth phone number, in E.164.';
COMMENT ON COLUMN crm.entered_leads.street IS 'Street and number.';
COMMENT ON COLUMN crm.entered_leads.unit IS 'Apartment, suite or unit.';
COMMENT ON COLUMN crm.entered_leads.city IS 'City.';
COMMENT ON COLUMN crm.entered_leads.state IS 'State.';
COMMENT ON COLUMN crm.entered_leads.raw_data IS 'Empty, in the place where a source''s table has the record.';
COMMENT ON COLUMN crm.entered_leads.archived IS 'False, in the place where a source''s table has its tombstones.';
COMMENT ON COLUMN crm.entered_leads.sync_created_at IS 'When the lead was made.';
COMMENT ON COLUMN crm.entered_leads.sync_updated_at IS 'When the lead was last changed.';
COMMENT ON COLUMN crm.account_balances.balance_usd IS 'Balance after the last entry, in US dollars.';
COMMENT ON COLUMN crm.account_balances.entries IS 'How many entries the account has.';
COMMENT ON COLUMN crm.account_balances.last_entry_at IS 'When the last entry was made.';
COMMENT ON COLUMN crm.lead_field_origin.entered_in IS 'source, or crm: somebody entered it there.';
COMMENT ON COLUMN crm.dnc_list.created_by IS 'User who made the entry.';
COMMENT ON COLUMN crm.dnc_list.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.dnc_list.ended_at IS 'When it was ended; null while it holds.';
COMMENT ON COLUMN crm.dnc_list.end_reason IS 'Why it was ended.';
COMMENT ON COLUMN crm.dnc_reasons.reason IS 'Key: the reason.';
COMMENT ON COLUMN crm.dnc_reasons.may_expire IS 'Whether an entry of this reason may end by itself.';
COMMENT ON COLUMN crm.dnc_reasons.about IS 'What the reason means.';
COMMENT ON COLUMN crm.lead_assignments.id IS 'Key.';
COMMENT ON COLUMN crm.lead_assignments.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_assignments.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_assignments.from_user_id IS 'Owner before; null is nobody.';
COMMENT ON COLUMN crm.lead_assignments.to_user_id IS 'Owner after; null is nobody.';
COMMENT ON COLUMN crm.lead_assignments.strategy IS
    'How the owner was chosen: by a user (manual), by a rule, or by a source or a file that says so (import).';
COMMENT ON COLUMN crm.lead_assignments.context IS 'What the choice went by.';
COMMENT ON COLUMN crm.lead_assignments.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_audit_log.id IS 'Key.';
COMMENT ON COLUMN crm.lead_audit_log.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_audit_log.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_audit_log.action IS 'What was done.';
COMMENT ON COLUMN crm.lead_audit_log.field_name IS 'The field that it was done to.';
COMMENT ON COLUMN crm.lead_audit_log.old_value IS 'Its value before.';
COMMENT ON COLUMN crm.lead_audit_log.new_value IS 'Its value after.';
COMMENT ON COLUMN crm.lead_audit_log.changed_by IS 'User who did it; null is nobody.';
COMMENT ON COLUMN crm.lead_audit_log.ip_address IS 'Address that it was done from.';
COMMENT ON COLUMN crm.lead_audit_log.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_import.id IS 'Key: the id that `warehouse import undo` takes.';
COMMENT ON COLUMN crm.lead_import.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_import.file_name IS 'Name of the file, without its folder.';
COMMENT ON COLUMN crm.lead_import.file_hash IS 'SHA-256 of the file, by which it is known again.';
COMMENT ON COLUMN crm.lead_import.sheet IS 'The sheet of a workbook; empty for a CSV file.';
COMMENT ON COLUMN crm.lead_import.mapping IS 'Which column fills which field, and the options of the import.';
COMMENT ON COLUMN crm.lead_import.status IS 'running (or broken off: the same command goes on), complete, undone.';
COMMENT ON COLUMN crm.lead_import.rows_read IS 'Number of the last row that was read and committed.';
COMMENT ON COLUMN crm.lead_import.created IS 'Rows that made a lead.';
COMMENT ON COLUMN crm.lead_import.updated IS 'Rows that changed a lead which was there.';
COMMENT ON COLUMN crm.lead_import.duplicates IS 'Rows whose lead was there and has all that they say.';
COMMENT ON COLUMN crm.lead_import.refused IS 'Rows that could not be used.';
COMMENT ON COLUMN crm.lead_import.started_by IS 'User of the machine who began it.';
COMMENT ON COLUMN crm.lead_import.started_at IS 'When it began.';
COMMENT ON COLUMN crm.lead_import.finished_at IS 'When its last row was committed.';
COMMENT ON COLUMN crm.lead_import.undone_by IS 'User of the machine who undid it.';
COMMENT ON COLUMN crm.lead_import.undone_at IS 'When it was undone.';
COMMENT ON COLUMN crm.lead_import_row.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_import_row.import_id IS 'The import.';
COMMENT ON COLUMN crm.lead_import_row.row_number IS 'Number of the row in the file, as a spreadsheet counts.';
COMMENT ON COLUMN crm.lead_import_row.outcome IS 'What became of it: created, updated, duplicate, refused; unread, of the first row that could not be read.';
COMMENT ON COLUMN crm.lead_import_row.lead_id IS 'The lead; null when the row was refused or the lead was deleted.';
COMMENT ON COLUMN crm.lead_import_row.same_as_row IS 'An earlier row of the file that has the same lead.';
COMMENT ON COLUMN crm.lead_import_row.remarks IS 'Why it was refused, or what of it was not taken; no personal data.';
COMMENT ON COLUMN crm.lead_import_row.changes IS
    'Of an update, by field, what was there and what came; erasure empties it.';
COMMENT ON COLUMN crm.lead_import_row.fingerprint IS
    'Hash of the lead as this row left it, which tells whether somebody worked on it since.';
COMMENT ON COLUMN crm.lead_import_row.undone IS 'What undoing did: deleted, put_back, partly, left.';
COMMENT ON COLUMN crm.lead_import_row.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_score_history.id IS 'Key.';
COMMENT ON COLUMN crm.lead_score_history.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_score_history.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_score_history.score IS 'The score.';
COMMENT ON COLUMN crm.lead_score_history.factors IS 'Points of each factor.';
COMMENT ON COLUMN crm.lead_score_history.model_version IS 'Version of the rules by which it was scored.';
COMMENT ON COLUMN crm.lead_score_history.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.id IS 'Key.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.sequence_id IS 'The sequence.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.status IS 'Where the enrollment stands.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.stop_reason IS 'Why it was stopped.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.execution_log IS 'What was done, step by step.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.next_run_at IS 'When its next step is due.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.enrolled_at IS 'When the lead was enrolled.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.completed_at IS 'When the last step was done.';
COMMENT ON COLUMN crm.lead_sequence_enrollments.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.lead_source_costs.id IS 'Key.';
COMMENT ON COLUMN crm.lead_source_costs.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_source_costs.source IS 'The source of leads.';
COMMENT ON COLUMN crm.lead_source_costs.amount IS 'What it cost, in the currency of the row.';
COMMENT ON COLUMN crm.lead_source_costs.currency IS 'Currency of the amount, by its ISO 4217 code.';
COMMENT ON COLUMN crm.lead_source_costs.amount_usd IS 'What it cost, in US dollars.';
COMMENT ON COLUMN crm.lead_source_costs.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.lead_source_costs.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.lead_status_history.id IS 'Key.';
COMMENT ON COLUMN crm.lead_status_history.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.lead_status_history.lead_id IS 'The lead.';
COMMENT ON COLUMN crm.lead_status_history.from_status IS 'Status before; null at its creation.';
COMMENT ON COLUMN crm.lead_status_history.to_status IS 'Status after.';
COMMENT ON COLUMN crm.lead_status_history.triggered_by IS 'What caused the change, such as user, import or sequence.';
COMMENT ON COLUMN crm.lead_status_history.changed_by IS 'User who changed it; null is nobody.';
COMMENT ON COLUMN crm.lead_status_history.time_in_previous IS 'How long the lead had the status before.';
COMMENT ON COLUMN crm.lead_status_history.created_at IS
    'When the status began: that of a lead that comes from a source or a file may be long ago.';
COMMENT ON COLUMN crm.leads.id IS 'Key.';
COMMENT ON COLUMN crm.leads.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.leads.first_name IS 'First name.';
COMMENT ON COLUMN crm.leads.last_name IS 'Last name.';
COMMENT ON COLUMN crm.leads.email IS 'E-mail address.';
COMMENT ON COLUMN crm.leads.phone IS 'Phone number.';
COMMENT ON COLUMN crm.leads.status IS 'Where the lead stands.';
COMMENT ON COLUMN crm.leads.lead_score IS 'Score of the last scoring.';
COMMENT ON COLUMN crm.leads.lead_score_factors IS 'Points of each factor of the score.';
COMMENT ON COLUMN crm.leads.source IS 'Where the lead came from.';
COMMENT ON COLUMN crm.leads.source_metadata IS
    'What the source told beside it. referred_by: who sent the person, by a phone number, an e-mail address, or the id of a lead or person; marts.relationships joins them.';
COMMENT ON COLUMN crm.leads.value_usd IS
    'What the job is worth; source_roi counts it when the lead is won. Two people of whom each is said to have bought the same thing, such as a couple, have all of it each: marts.sale has each sale once.';
COMMENT ON COLUMN crm.leads.tags IS 'Words that users gave the lead.';
COMMENT ON COLUMN crm.leads.timezone IS 'Time zone of the lead, by its IANA name.';
COMMENT ON COLUMN crm.leads.division IS 'Branch of the business that the lead belongs to.';
COMMENT ON COLUMN crm.leads.postal_code IS 'ZIP or postal code.';
COMMENT ON COLUMN crm.leads.owner_id IS 'User who looks after the lead; null is nobody.';
COMMENT ON COLUMN crm.leads.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.leads.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.leads.deleted_at IS 'When the lead was deleted; null while it is not.';
COMMENT ON COLUMN crm.nurture_sequences.id IS 'Key.';
COMMENT ON COLUMN crm.nurture_sequences.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.nurture_sequences.name IS 'Name of the sequence.';
COMMENT ON COLUMN crm.nurture_sequences.trigger_conditions IS 'Which leads it is for.';
COMMENT ON COLUMN crm.nurture_sequences.is_active IS 'Whether leads may be enrolled.';
COMMENT ON COLUMN crm.nurture_sequences.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.nurture_sequences.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.message_template.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.message_template.name IS 'What a step calls it by `template`.';
COMMENT ON COLUMN crm.message_template.channel IS 'sms, email, call, voicemail, mail, task: one name may have a text for each.';
COMMENT ON COLUMN crm.message_template.subject IS 'Subject of an e-mail, or title of a task. A template of Jinja, as the body.';
COMMENT ON COLUMN crm.message_template.body IS 'The text, or what the caller should say. docs/sequences.md has the values.';
COMMENT ON COLUMN crm.message_template.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.message_template.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.sequence_message.id IS 'Id, which `warehouse sequences settle` takes.';
COMMENT ON COLUMN crm.sequence_message.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.sequence_message.enrollment_id IS 'The enrollment.';
COMMENT ON COLUMN crm.sequence_message.step IS 'The step of the sequence, from 0.';
COMMENT ON COLUMN crm.sequence_message.lead_id IS 'The lead that it is for.';
COMMENT ON COLUMN crm.sequence_message.channel IS 'sms and email are sent; call, voicemail, mail and task are left to a person.';
COMMENT ON COLUMN crm.sequence_message.status IS
    'sending: handed over just now. waiting: a person is to do it. retry: not taken, tried again. parked: a person must '
    'mend it. uncertain: handed over, and nothing tells whether it left. sent, done. recorded: the outbox keeps it, and '
    'nothing was sent. withheld: the lead must not be reached, or a person left it out.';
COMMENT ON COLUMN crm.sequence_message.recipient IS 'Number or e-mail address; erasure empties it.';
COMMENT ON COLUMN crm.sequence_message.subject IS 'Subject as it was sent; erasure empties it.';
COMMENT ON COLUMN crm.sequence_message.body IS 'Text as it was sent, but for the link that ends messages; erasure empties it.';
COMMENT ON COLUMN crm.sequence_message.sender IS 'What it was handed to: smtp, sms, outbox (which sends nothing: status is recorded), person.';
COMMENT ON COLUMN crm.sequence_message.reference IS 'What the sender calls it.';
COMMENT ON COLUMN crm.sequence_message.problem IS 'Why it was not sent; no personal data.';
COMMENT ON COLUMN crm.sequence_message.attempts IS 'How often it was handed over.';
COMMENT ON COLUMN crm.sequence_message.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.sequence_message.handed_over_at IS 'When it was last handed over.';
COMMENT ON COLUMN crm.sequence_message.settled_at IS 'When it was sent, done or withheld.';
COMMENT ON COLUMN crm.organization_member.login IS 'The login in PostgreSQL.';
COMMENT ON COLUMN crm.organization_member.organization_id IS 'An organization that the login may act for.';
COMMENT ON COLUMN crm.organization_member.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.segments.id IS 'Key.';
COMMENT ON COLUMN crm.segments.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.segments.name IS 'Name of the segment.';
COMMENT ON COLUMN crm.segments.created_by IS 'User who saved it.';
COMMENT ON COLUMN crm.segments.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.segments.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN crm.system_config.organization_id IS 'The organization that the row belongs to.';
COMMENT ON COLUMN crm.system_config.key IS 'Name of the setting.';
COMMENT ON COLUMN crm.system_config.value IS 'Value of the setting.';
COMMENT ON COLUMN crm.system_config.updated_by IS 'User who last changed it.';
COMMENT ON COLUMN crm.system_config.created_at IS 'When the row was written.';
COMMENT ON COLUMN crm.system_config.updated_at IS 'When the row was last changed.';
