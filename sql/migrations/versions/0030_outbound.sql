-- What is written back to vendors: what a plan would write, and what was written. Old values make an undo possible; they
-- may be personal, and an erasure deletes the rows that have something of the person.

CREATE SCHEMA reverse_etl;
REVOKE ALL ON SCHEMA reverse_etl FROM PUBLIC;

CREATE TABLE reverse_etl.plan (
    plan_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target       text        NOT NULL,
    undoes       bigint      REFERENCES reverse_etl.plan,
    status       text        NOT NULL DEFAULT 'planned' CONSTRAINT plan_status_known
                             CHECK (status IN ('planned', 'applying', 'applied', 'partial', 'undone', 'superseded')),
    rows         integer     NOT NULL DEFAULT 0,
    unchanged    integer     NOT NULL DEFAULT 0,
    kept         integer     NOT NULL DEFAULT 0,
    last_erasure bigint      NOT NULL DEFAULT 0,
    problem      text,
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    applied_by   text,
    applied_at   timestamptz,
    finished_at  timestamptz
);
CREATE INDEX plan_target ON reverse_etl.plan (target, plan_id);

CREATE TABLE reverse_etl.plan_item (
    plan_id      bigint  NOT NULL REFERENCES reverse_etl.plan ON DELETE CASCADE,
    item_no      integer NOT NULL,
    action       text    NOT NULL CONSTRAINT plan_item_action_known CHECK (action IN ('create', 'update', 'archive')),
    source_key   text    NOT NULL,
    subject      text,
    object_id    text,
    operation_id uuid    NOT NULL DEFAULT gen_random_uuid() CONSTRAINT plan_item_operation_once UNIQUE,
    fields       jsonb   NOT NULL DEFAULT '{}',
    status       text    NOT NULL DEFAULT 'planned' CONSTRAINT plan_item_status_known
                         CHECK (status IN ('planned', 'sending', 'written', 'partial', 'refused', 'moved', 'withheld')),
    reason       text,
    PRIMARY KEY (plan_id, item_no)
);
CREATE INDEX plan_item_open ON reverse_etl.plan_item (plan_id, action, item_no) WHERE status IN ('planned', 'sending');

CREATE INDEX plan_item_subject ON reverse_etl.plan_item (subject) WHERE subject IS NOT NULL;

-- No foreign keys: a receipt outlives its plan.
CREATE TABLE reverse_etl.receipt (
    operation_id uuid        PRIMARY KEY,
    plan_id      bigint      NOT NULL,
    target       text        NOT NULL,
    action       text        NOT NULL,
    source_key   text        NOT NULL,
    subject      text,
    object_id    text,
    fields       jsonb       NOT NULL,
    status       text        NOT NULL DEFAULT 'sending' CONSTRAINT receipt_status_known
                             CHECK (status IN ('sending', 'written', 'partial', 'refused')),
    message      text,
    attempts     integer     NOT NULL DEFAULT 1,
    sent_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at   timestamptz
);
CREATE INDEX receipt_plan ON reverse_etl.receipt (plan_id);
CREATE INDEX receipt_object ON reverse_etl.receipt (target, object_id, sent_at);
CREATE INDEX receipt_subject ON reverse_etl.receipt (subject) WHERE subject IS NOT NULL;
