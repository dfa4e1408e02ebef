-- Erasure of a person. Nothing here names one: what must be recognised later is a keyed hash.

-- The key of the hashes, made once. Another key would forget who was erased.
CREATE TABLE identity.erasure_key (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key      bytea   NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO identity.erasure_key (key)
    SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- The certificate of each erasure: how many rows, never whose.
CREATE TABLE identity.erasure (
    erasure_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_by    text        NOT NULL CONSTRAINT erasure_asked_by_known
                            CHECK (asked_by IN ('email', 'phone', 'person', 'record', 'proposal')),
    erased_by   text        NOT NULL,
    erased_at   timestamptz NOT NULL DEFAULT now(),
    persons     integer     NOT NULL CHECK (persons >= 0),
    rows        bigint      NOT NULL CHECK (rows >= 0),
    counts      jsonb       NOT NULL,
    residual    jsonb       NOT NULL,
    files       jsonb       NOT NULL
);

-- What must not come back: the records, e-mail addresses and phone numbers of erased people.
CREATE TABLE identity.tombstone (
    kind         text        NOT NULL CONSTRAINT tombstone_kind_known CHECK (kind IN ('record', 'email', 'phone')),
    digest       bytea       NOT NULL CHECK (octet_length(digest) = 16),
    source_table text,
    erasure_id   bigint      NOT NULL REFERENCES identity.erasure (erasure_id),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, digest),
    CONSTRAINT tombstone_table_of_record CHECK ((kind = 'record') = (source_table IS NOT NULL))
);
CREATE INDEX tombstone_table ON identity.tombstone (source_table) WHERE source_table IS NOT NULL;
CREATE INDEX tombstone_erasure ON identity.tombstone (erasure_id);

-- Records that their vendor deleted for good: their people may have to be erased here too.
CREATE TABLE identity.erasure_proposal (
    source_table text        NOT NULL,
    source_key   text        NOT NULL,
    reason       text        NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    dismissed_at timestamptz,
    dismissed_by text,
    PRIMARY KEY (source_table, source_key),
    CONSTRAINT erasure_proposal_dismissed_by_whom CHECK ((dismissed_at IS NULL) = (dismissed_by IS NULL))
);

-- Of these numbers' entries in the do-not-call list of this session's organization keep the keyed hash alone, which
-- blocks as the number did. crm.erase_lead does so for a lead; an entry of a national list has none.
CREATE FUNCTION crm.erase_dnc_numbers(numbers text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    org     CONSTANT uuid := (crm.session_context()).organization_id;
    hashkey bytea;
    changed bigint := 0;
BEGIN
    IF EXISTS (SELECT FROM crm.dnc_list AS d WHERE d.organization_id = org AND d.phone = ANY (numbers)) THEN
        INSERT INTO crm.system_config (organization_id, key, value)
            VALUES (org, 'dnc.hash_key', to_jsonb(
                encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex')))
            ON CONFLICT DO NOTHING;
        hashkey := (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
                    WHERE c.organization_id = org AND c.key = 'dnc.hash_key');
        UPDATE crm.dnc_list AS d
            SET phone = NULL, evidence = NULL,
                end_reason = CASE WHEN d.end_reason IS NOT NULL THEN '[erased]' END,
                phone_hash = crm.phone_tail_hash(d.phone, hashkey)
            WHERE d.organization_id = org AND d.phone = ANY (numbers);
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION crm.erase_dnc_numbers(text[]) FROM PUBLIC;
DO $$
BEGIN
    GRANT CREATE ON SCHEMA crm TO crm_definer;
    ALTER FUNCTION crm.erase_dnc_numbers(text[]) OWNER TO crm_definer;
    REVOKE CREATE ON SCHEMA crm FROM crm_definer;
    GRANT EXECUTE ON FUNCTION crm.erase_dnc_numbers(text[]) TO crm_owner;
END
$$;
COMMENT ON FUNCTION crm.erase_dnc_numbers(text[]) IS
    'Replaces these numbers in the do-not-call list by the keyed hash that blocks them; returns how many entries.';
