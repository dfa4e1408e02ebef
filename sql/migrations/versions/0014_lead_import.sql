-- Files of leads that were imported. The policies are given their text by sql/schemas/crm.sql, which runs next.

SET LOCAL ROLE crm_owner;

CREATE TABLE crm.lead_import (
    id              uuid        NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    file_name       text        NOT NULL,
    file_hash       bytea       NOT NULL,
    sheet           text        NOT NULL DEFAULT '',
    mapping         jsonb       NOT NULL DEFAULT '{}' CONSTRAINT lead_import_mapping_is_an_object
                                CHECK (jsonb_typeof(mapping) = 'object'),
    status          text        NOT NULL DEFAULT 'running' CONSTRAINT lead_import_status_known
                                CHECK (status IN ('running', 'complete', 'undone')),
    rows_read       integer     NOT NULL DEFAULT 0,
    created         integer     NOT NULL DEFAULT 0,
    updated         integer     NOT NULL DEFAULT 0,
    duplicates      integer     NOT NULL DEFAULT 0,
    refused         integer     NOT NULL DEFAULT 0,
    started_by      text        NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    undone_by       text,
    undone_at       timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT lead_import_undone_by_somebody CHECK (
        (status = 'undone') = (undone_at IS NOT NULL) AND (undone_at IS NULL) = (undone_by IS NULL))
);
COMMENT ON TABLE crm.lead_import IS
    'One row per file of leads that `warehouse import leads` read. The same command goes on with an unfinished one and repeats none of it.';
-- The same file is in progress once; it is found by its contents.
CREATE UNIQUE INDEX lead_import_in_progress ON crm.lead_import (organization_id, file_hash, sheet)
    WHERE status = 'running';
CREATE INDEX lead_import_file ON crm.lead_import (organization_id, file_hash);
CREATE INDEX lead_import_started ON crm.lead_import (organization_id, started_at DESC);

CREATE TABLE crm.lead_import_row (
    organization_id uuid        NOT NULL,
    import_id       uuid        NOT NULL,
    row_number      integer     NOT NULL,
    outcome         text        NOT NULL CONSTRAINT lead_import_row_outcome_known
                                CHECK (outcome IN ('created', 'updated', 'duplicate', 'refused')),
    lead_id         uuid,
    same_as_row     integer,
    remarks         text[]      NOT NULL DEFAULT '{}',
    changes         jsonb       NOT NULL DEFAULT '{}' CONSTRAINT lead_import_row_changes_are_an_object
                                CHECK (jsonb_typeof(changes) = 'object'),
    fingerprint     bytea,
    undone          text        CONSTRAINT lead_import_row_undone_known
                                CHECK (undone IN ('deleted', 'put_back', 'partly', 'left')),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (organization_id, import_id, row_number),
    CONSTRAINT lead_import_row_import FOREIGN KEY (organization_id, import_id)
        REFERENCES crm.lead_import (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT lead_import_row_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE SET NULL (lead_id)
);
COMMENT ON TABLE crm.lead_import_row IS
    'One row per row of a file of leads, blank ones aside: what became of it, and what undoing it would put back.';
CREATE INDEX lead_import_row_lead ON crm.lead_import_row (organization_id, lead_id);

-- A number belongs to one live lead; others of the household have it in source_metadata. fastupdate as of leads_tags.
CREATE INDEX leads_shared_phones ON crm.leads USING gin ((source_metadata -> 'shared_phones')) WITH (fastupdate = off)
    WHERE source_metadata ? 'shared_phones';

-- What people work on of a lead, as one value: scores and golden_id, which programs write, are not in it.
CREATE FUNCTION crm.lead_fingerprint(l crm.leads) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(jsonb_build_array(l.first_name, l.last_name, l.email, l.phone, l.status, l.source,
        l.source_metadata, l.tags, l.timezone, l.division, l.postal_code, l.owner_id, l.value_usd, l.consent)::text, 'UTF8'))
$$;

ALTER TABLE crm.lead_import ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_import_row ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON crm.lead_import
    USING (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid)
    WITH CHECK (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid);
CREATE POLICY organization ON crm.lead_import_row
    USING (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid)
    WITH CHECK (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid);
CREATE POLICY definer ON crm.lead_import_row TO crm_definer USING (true) WITH CHECK (true);
-- Erasure empties what was imported of a person.
GRANT SELECT, UPDATE (changes, fingerprint) ON crm.lead_import_row TO crm_definer;

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;
