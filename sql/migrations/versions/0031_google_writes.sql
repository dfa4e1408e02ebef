-- What is written to Google: why, and which folder a template has for whom.

ALTER TABLE reverse_etl.plan ADD COLUMN why text;

-- An id is written here before its folder is made, so that a second attempt makes no second folder. No foreign keys: a
-- folder and whose it is outlive the template.
CREATE TABLE pipedesk.drive_applied_nodes (
    folder_id   text        PRIMARY KEY,
    entity_type text        NOT NULL CHECK (entity_type IN ('company', 'lead', 'deal', 'contact')),
    entity_id   text        NOT NULL,
    node_id     bigint,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (entity_type, entity_id, node_id)
);
