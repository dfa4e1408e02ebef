-- A view of every table for those who must not see personal data in clear: who may read what is in docs/reading.md.
--
-- Run after an upgrade in which this file has changed; safe to repeat. The views are made of the tables
-- (warehouse_pipelines/schema/masked_views.py); here is what they call.
--
-- A mask is stable: the same address or number has the same mask in every table, so that masked tables can be joined
-- and counted. It is made with a key that no reader has, because there are few phone numbers: without a key all could be
-- tried. The key is an argument, which the views give: called by somebody who has none, these functions tell nothing.
-- A name has no such token: names are few and of unequal frequency, so the commonest would be known by their counts.
--
-- The bodies are parsed when they are made, so no search_path of a caller's counts, and the planner can inline them.

-- Forty-eight bits of a keyed hash; of a million values two are alike once in five hundred warehouses.
CREATE OR REPLACE FUNCTION masked.token(value text, key bytea) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN left(encode(sha256(key || convert_to(value, 'UTF8')), 'hex'), 12);

-- The domain stays, which tells a private address from a company's. What does not end in a domain has none.
CREATE OR REPLACE FUNCTION masked.email(value text, key bytea) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN btrim(value) = '' THEN value
            ELSE masked.token(lower(btrim(value)), key)
                || coalesce('@' || substring(lower(btrim(value)) FROM '@([a-z0-9-]+(?:\.[a-z0-9-]+)+)$'), '') END;

-- By the last ten digits, so that the vendor's spelling and E.164 are alike. The last two stay.
CREATE OR REPLACE FUNCTION masked.phone(value text, key bytea) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN btrim(value) = '' THEN value
            WHEN length(regexp_replace(value, '\D', '', 'g')) < 7 THEN '[masked]'
            ELSE masked.token(right(regexp_replace(value, '\D', '', 'g'), 10), key)
                || '..' || right(regexp_replace(value, '\D', '', 'g'), 2) END;

CREATE OR REPLACE FUNCTION masked.initial(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '^\s*[[:alpha:]]' THEN upper(left(btrim(value), 1)) || '.'
            WHEN btrim(value) = '' THEN value
            WHEN value IS NOT NULL THEN '[masked]' END;

-- The first three digits of a postal code: an area of many thousands, as large as a delivery centre's.
CREATE OR REPLACE FUNCTION masked.zip(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN btrim(value) = '' THEN value
            WHEN value ~ '^\s*\d{5}(-?\d{4})?\s*$' THEN left(btrim(value), 3) || '**'
            WHEN value IS NOT NULL THEN '[masked]' END;

-- That something is written, and not what.
CREATE OR REPLACE FUNCTION masked.text(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN btrim(value) = '' THEN value WHEN value IS NOT NULL THEN '[masked]' END;

CREATE OR REPLACE FUNCTION masked.document(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value IS NOT NULL THEN '{"masked": true}'::jsonb END;

-- What a run was asked and counted stays. Its state does not: sync tokens stand there by the address of a calendar's
-- owner, and a token opens what it is of. Nor does an address elsewhere, such as of an option.
CREATE OR REPLACE FUNCTION masked.run(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    (CASE WHEN jsonb_exists(value, 'state') THEN value || '{"state": {"masked": true}}' ELSE value END)::text,
    '(?:\\\S|[^\s"@\\])+@(?:\\\S|[^\s"@\\])+', '[masked]', 'g')::jsonb;

-- A word of a short list, such as a status; an e-mail address among them is masked all the same.
CREATE OR REPLACE FUNCTION masked.word(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN strpos(value, '@') > 0 THEN '[masked]' ELSE value END;

-- The same where it may be one of us, who is told from another one by the token.
CREATE OR REPLACE FUNCTION masked.colleague(value text, key bytea) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN strpos(value, '@') > 0 THEN masked.email(value, key) ELSE value END;

CREATE OR REPLACE FUNCTION masked.emails(list text[], key bytea) RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN list IS NOT NULL THEN ARRAY(SELECT masked.email(one, key) FROM unnest(list) AS one) END;

CREATE OR REPLACE FUNCTION masked.phones(list text[], key bytea) RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN list IS NOT NULL THEN ARRAY(SELECT masked.phone(one, key) FROM unnest(list) AS one) END;

CREATE OR REPLACE FUNCTION masked.texts(list text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN list IS NOT NULL THEN ARRAY(SELECT masked.text(one) FROM unnest(list) AS one) END;

-- A tenth of a degree: some ten kilometres.
CREATE OR REPLACE FUNCTION masked.place(value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(value, 1);

-- The words of a sync and of a qualified lead stay; a sentence of somebody's does not.
CREATE OR REPLACE FUNCTION masked.reason(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value IN ('archived', 'missing', 'erased', 'qualified') OR value LIKE 'merged into %' THEN value
            ELSE masked.text(value) END;
