-- Who is who: what the resolver reads, compares and decides, and the people that come of it.
--
-- A source record is named by source_table and source_key everywhere: the table as its asset is named
-- (hubspot_contact, pipedesk.contacts), and the key's columns as text, apart by blanks, as in dead letters.

CREATE SCHEMA identity;
REVOKE ALL ON SCHEMA identity FROM PUBLIC;

-- One row per record of a source that is, or names, a person: its values as they are compared.
CREATE TABLE identity.record (
    record_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_table  text        NOT NULL,
    source_key    text        NOT NULL,
    kind          text        NOT NULL CONSTRAINT record_kind_known CHECK (kind IN ('customer', 'staff', 'touch')),
    display_name  text,
    first_name    text,
    middle_name   text,
    last_name     text,
    suffix        text,
    business      text,
    emails        text[]      NOT NULL DEFAULT '{}',
    phones        text[]      NOT NULL DEFAULT '{}',
    street        text,
    unit          text,
    city          text,
    state         text,
    zip           text,
    ids           text[]      NOT NULL DEFAULT '{}',
    block_keys    text[]      NOT NULL DEFAULT '{}',
    created_at    timestamptz,
    updated_at    timestamptz,
    deleted       boolean     NOT NULL DEFAULT false,
    fingerprint   bytea       NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT record_of_source UNIQUE (source_table, source_key)
);
-- Candidates: records that share a key. Without fastupdate, whose pending list every search would read.
CREATE INDEX record_block_keys ON identity.record USING gin (block_keys) WITH (fastupdate = off);
CREATE INDEX record_phones ON identity.record USING gin (phones) WITH (fastupdate = off);

-- Keys that so many records share that they say nothing of two of them.
CREATE TABLE identity.crowded_key (
    key text PRIMARY KEY
);
-- Records that the next run compares again, although their values did not change: those that somebody decided of, and
-- those that had to do with a record that was deleted.
CREATE TABLE identity.pending (
    record_id bigint PRIMARY KEY
);
-- Crowded keys of records that were deleted: they may be crowded no longer.
CREATE TABLE identity.pending_key (
    key text PRIMARY KEY
);

-- How far each source table has been read.
CREATE TABLE identity.read_position (
    source_table text        PRIMARY KEY,
    read_until   timestamptz NOT NULL,
    read_at      timestamptz NOT NULL DEFAULT now()
);

-- The weights of one version: bits that a level of a comparison adds to the score.
CREATE TABLE identity.weight (
    version    integer          NOT NULL,
    comparison text             NOT NULL,
    level      text             NOT NULL,
    bits       double precision NOT NULL,
    PRIMARY KEY (version, comparison, level)
);
CREATE TABLE identity.weight_version (
    version      integer     PRIMARY KEY,
    origin       text        NOT NULL,
    same_bits    double precision NOT NULL,
    review_bits  double precision NOT NULL,
    is_current   boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT weight_version_thresholds CHECK (review_bits <= same_bits)
);
CREATE UNIQUE INDEX weight_version_one_current ON identity.weight_version (is_current) WHERE is_current;
ALTER TABLE identity.weight ADD CONSTRAINT weight_of_version
    FOREIGN KEY (version) REFERENCES identity.weight_version (version) ON DELETE CASCADE;

-- Two records that have to do with each other. Pairs that are apart have no row. No foreign keys, here and in review: the
-- resolver writes these tables alone, and the checks would be a third of a rebuild's time.
CREATE TABLE identity.edge (
    a_id        bigint   NOT NULL,
    b_id        bigint   NOT NULL,
    relation    text     NOT NULL CONSTRAINT edge_relation_known CHECK (relation IN ('person', 'review', 'household')),
    score       real     NOT NULL,
    rules       text[]   NOT NULL,
    evidence    jsonb    NOT NULL DEFAULT '{}',
    version     integer  NOT NULL,
    PRIMARY KEY (a_id, b_id),
    CONSTRAINT edge_once CHECK (a_id < b_id)
);
CREATE INDEX edge_b ON identity.edge (b_id);

CREATE TABLE identity.property (
    property_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    street      text NOT NULL,
    unit        text NOT NULL DEFAULT '',
    city        text,
    state       text,
    zip         text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT property_once UNIQUE (zip, street, unit)
);

CREATE TABLE identity.household (
    household_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    property_id  uuid REFERENCES identity.property (property_id),
    last_name    text,
    phones       text[]      NOT NULL DEFAULT '{}',
    person_count integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX household_property ON identity.household (property_id);

CREATE TABLE identity.person (
    person_id     uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    household_id  uuid        REFERENCES identity.household (household_id) ON DELETE SET NULL,
    property_id   uuid        REFERENCES identity.property (property_id) ON DELETE SET NULL,
    kind          text        NOT NULL CONSTRAINT person_kind_known CHECK (kind IN ('customer', 'staff')),
    display_name  text,
    first_name    text,
    last_name     text,
    business      text,
    email         text,
    phone         text,
    emails        text[]      NOT NULL DEFAULT '{}',
    phones        text[]      NOT NULL DEFAULT '{}',
    street        text,
    unit          text,
    city          text,
    state         text,
    zip           text,
    origins       jsonb       NOT NULL DEFAULT '{}',
    record_count  integer     NOT NULL,
    source_tables text[]      NOT NULL,
    first_seen_at timestamptz,
    last_seen_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX person_household ON identity.person (household_id);
CREATE INDEX person_property ON identity.person (property_id);
CREATE INDEX person_emails ON identity.person USING gin (emails) WITH (fastupdate = off);
CREATE INDEX person_phones ON identity.person USING gin (phones) WITH (fastupdate = off);
CREATE INDEX person_updated ON identity.person (updated_at);

CREATE TABLE identity.member (
    record_id    bigint      PRIMARY KEY REFERENCES identity.record (record_id) ON DELETE CASCADE,
    person_id    uuid        NOT NULL REFERENCES identity.person (person_id) ON DELETE CASCADE,
    source_table text        NOT NULL,
    source_key   text        NOT NULL,
    evidence     jsonb       NOT NULL DEFAULT '{}',
    since        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT member_of_source UNIQUE (source_table, source_key)
);
CREATE INDEX member_person ON identity.member (person_id);

-- Contact without a person of its own: a call, a text message, a form without a name.
CREATE TABLE identity.touch (
    record_id    bigint      PRIMARY KEY REFERENCES identity.record (record_id) ON DELETE CASCADE,
    source_table text        NOT NULL,
    source_key   text        NOT NULL,
    person_id    uuid        REFERENCES identity.person (person_id) ON DELETE SET NULL,
    household_id uuid        REFERENCES identity.household (household_id) ON DELETE SET NULL,
    certainty    text        NOT NULL CONSTRAINT touch_certainty_known
                             CHECK (certainty IN ('certain', 'likely', 'household', 'unknown')),
    rule         text        NOT NULL,
    reason       text        NOT NULL,
    touched_at   timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT touch_of_source UNIQUE (source_table, source_key)
);
CREATE INDEX touch_person ON identity.touch (person_id);
CREATE INDEX touch_household ON identity.touch (household_id);

-- An id that is no person's any more, and the person that has its records now. Never empty: ids do not end.
CREATE TABLE identity.alias (
    alias_id   uuid        PRIMARY KEY,
    person_id  uuid        NOT NULL,
    reason     text        NOT NULL,
    born_at    timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alias_person ON identity.alias (person_id);

-- The records that a merged id had when it became an alias: a merge that is undone gives them their id back.
CREATE TABLE identity.former_member (
    alias_id     uuid NOT NULL REFERENCES identity.alias (alias_id) ON DELETE CASCADE,
    source_table text NOT NULL,
    source_key   text NOT NULL,
    PRIMARY KEY (alias_id, source_table, source_key)
);

-- What people decided of two records; it holds in every run, a full one too.
CREATE TABLE identity.decision (
    decision_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verdict     text        NOT NULL CONSTRAINT decision_verdict_known CHECK (verdict IN ('same', 'apart')),
    a_table     text        NOT NULL,
    a_key       text        NOT NULL,
    b_table     text        NOT NULL,
    b_key       text        NOT NULL,
    command     text        NOT NULL CONSTRAINT decision_command_known CHECK (command IN ('confirm', 'reject', 'split')),
    reason      text,
    decided_by  text        NOT NULL,
    decided_at  timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    CONSTRAINT decision_of_two CHECK ((a_table, a_key) < (b_table, b_key))
);
CREATE UNIQUE INDEX decision_once ON identity.decision (a_table, a_key, b_table, b_key) WHERE withdrawn_at IS NULL;

-- Pairs for a person to decide.
CREATE TABLE identity.review (
    a_id       bigint      NOT NULL,
    b_id       bigint      NOT NULL,
    score      real        NOT NULL,
    reason     text        NOT NULL,
    evidence   text        NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (a_id, b_id),
    CONSTRAINT review_once CHECK (a_id < b_id)
);
CREATE INDEX review_b ON identity.review (b_id);

-- Which value of a field stands in identity.person: rules in their order, the first that decides.
CREATE TABLE identity.survivorship (
    field    text    NOT NULL,
    position integer NOT NULL,
    rule     text    NOT NULL CONSTRAINT survivorship_rule_known
                     CHECK (rule IN ('trusted', 'frequent', 'newest', 'longest')),
    PRIMARY KEY (field, position)
);
-- The smaller the rank, the more its values are trusted.
CREATE TABLE identity.source_trust (
    source_table text    NOT NULL,
    field        text    NOT NULL DEFAULT '*',
    rank         integer NOT NULL,
    PRIMARY KEY (source_table, field)
);

-- Each piece of evidence by itself, with the two records that it joins.
CREATE VIEW identity.match_evidence AS
    SELECT rule, a.source_table AS a_table, a.source_key AS a_key, b.source_table AS b_table, b.source_key AS b_key,
           e.relation, e.score
    FROM identity.edge AS e
        JOIN identity.record AS a ON a.record_id = e.a_id
        JOIN identity.record AS b ON b.record_id = e.b_id,
        unnest(e.rules) AS rule
    UNION ALL
    SELECT t.rule, t.source_table, t.source_key, m.source_table, m.source_key, 'touch', NULL
    FROM identity.touch AS t
        JOIN identity.member AS m ON m.person_id = t.person_id
    WHERE t.rule <> 'none';

-- A record that goes, whoever deletes it, leaves no edge, and nobody's person by it.
CREATE FUNCTION identity.forget_record() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whose CONSTANT uuid := (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = OLD.record_id);
BEGIN
    INSERT INTO identity.pending (record_id)
        SELECT e.b_id FROM identity.edge AS e WHERE e.a_id = OLD.record_id
        UNION
        SELECT e.a_id FROM identity.edge AS e WHERE e.b_id = OLD.record_id
        UNION
        SELECT m.record_id FROM identity.member AS m WHERE m.person_id = whose AND m.record_id <> OLD.record_id
        ON CONFLICT DO NOTHING;
    INSERT INTO identity.pending_key (key)
        SELECT c.key FROM identity.crowded_key AS c WHERE c.key = ANY (OLD.block_keys)
        ON CONFLICT DO NOTHING;
    DELETE FROM identity.edge WHERE a_id = OLD.record_id OR b_id = OLD.record_id;
    DELETE FROM identity.review WHERE a_id = OLD.record_id OR b_id = OLD.record_id;
    DELETE FROM identity.pending WHERE record_id = OLD.record_id;
    DELETE FROM identity.member WHERE record_id = OLD.record_id;
    DELETE FROM identity.person AS p
        WHERE p.person_id = whose AND NOT EXISTS (SELECT FROM identity.member AS m WHERE m.person_id = whose);
    RETURN OLD;
END
$$;
CREATE TRIGGER record_forgotten BEFORE DELETE ON identity.record
    FOR EACH ROW EXECUTE FUNCTION identity.forget_record();

-- Why two records are, or are not, one person: for who asks in SQL. `warehouse identity explain` says more.
CREATE FUNCTION identity.explain(a_table text, a_key text, b_table text, b_key text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    called  CONSTANT text := format('%s:%s and %s:%s', a_table, a_key, b_table, b_key);
    a       identity.record;
    b       identity.record;
    a_whose uuid;
    b_whose uuid;
    e       identity.edge;
    d       identity.decision;
    seen    text;
BEGIN
    SELECT * INTO a FROM identity.record AS r WHERE r.source_table = a_table AND r.source_key = a_key;
    SELECT * INTO b FROM identity.record AS r WHERE r.source_table = b_table AND r.source_key = b_key;
    IF a.record_id IS NULL OR b.record_id IS NULL THEN
        RETURN format('%s: at least one of the two is no record of a person.', called);
    END IF;
    a_whose := (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = a.record_id);
    b_whose := (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = b.record_id);
    SELECT * INTO e FROM identity.edge AS x
        WHERE x.a_id = least(a.record_id, b.record_id) AND x.b_id = greatest(a.record_id, b.record_id);
    SELECT * INTO d FROM identity.decision AS x
        WHERE x.withdrawn_at IS NULL
            AND ((x.a_table, x.a_key, x.b_table, x.b_key) = (a.source_table, a.source_key, b.source_table, b.source_key)
              OR (x.a_table, x.a_key, x.b_table, x.b_key) = (b.source_table, b.source_key, a.source_table, a.source_key));
    seen := CASE
        WHEN d.decision_id IS NOT NULL THEN
            format('%s decided that they are %s (decision %s)', d.decided_by,
                CASE d.verdict WHEN 'same' THEN 'one person' ELSE 'two people' END, d.decision_id)
        WHEN e.a_id IS NOT NULL THEN
            format('compared by themselves: %s, %s bits; %s; rules %s', e.relation, e.score,
                (SELECT string_agg(format('%s %s', l.key, l.value), ', ' ORDER BY l.key)
                 FROM jsonb_each_text(e.evidence) AS l),
                coalesce(nullif(array_to_string(e.rules, ', '), ''), 'none'))
        WHEN a.kind <> b.kind THEN format('one is %s, the other %s', a.kind, b.kind)
        WHEN NOT a.block_keys && b.block_keys THEN 'they have no key in common, so they were not compared'
        ELSE 'compared by themselves they have too little in common, or names that contradict'
    END;
    IF a_whose = b_whose THEN
        RETURN format('%s are one person, %s: %s%s.', called, a_whose, seen,
            CASE WHEN e.relation = 'person' OR d.verdict = 'same' THEN '' ELSE '; other records join them' END);
    END IF;
    RETURN format('%s are not one person: %s%s.', called, seen,
        coalesce('; a review waits: ' || (
            SELECT r.reason FROM identity.review AS r
            WHERE r.a_id = least(a.record_id, b.record_id) AND r.b_id = greatest(a.record_id, b.record_id)), ''));
END
$$;
