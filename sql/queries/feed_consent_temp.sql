-- The temporary tables of what flags say, and of the numbers that are the business's or its people's.
CREATE TEMP TABLE feed_consent (
    organization_id uuid NOT NULL, source_table text NOT NULL, source_key text NOT NULL, flag text NOT NULL,
    crm text NOT NULL, says text NOT NULL, channels text[] NOT NULL, phone text, proof text,
    given_at timestamptz NOT NULL, until timestamptz, value boolean NOT NULL, edited_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(), is_dated boolean
) ON COMMIT DROP;
CREATE TEMP TABLE feed_own (phone text NOT NULL) ON COMMIT DROP
