-- The temporary tables of a run of the feed.
CREATE TEMP TABLE feed_person (person_id uuid PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE feed_changed (source_table text, source_key text) ON COMMIT DROP;
CREATE TEMP TABLE feed_followed (record text) ON COMMIT DROP;
CREATE TEMP TABLE feed_member (
    source_table text NOT NULL, source_key text NOT NULL, person_id uuid NOT NULL, deleted boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE feed_signal (
    person_id uuid NOT NULL, organization_id uuid NOT NULL, crm text NOT NULL, source_table text NOT NULL,
    source_key text NOT NULL, makes_lead boolean NOT NULL, word_source text, word text, fallback text,
    said_at timestamptz NOT NULL, source text, owner_table text, owner_key text, tags text[], value_usd numeric,
    value_rank integer NOT NULL, division text, created_at timestamptz, edited_at timestamptz, dated_at timestamptz,
    calls_off boolean NOT NULL, record text
) ON COMMIT DROP
