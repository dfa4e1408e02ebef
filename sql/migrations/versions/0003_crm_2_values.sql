-- Part 2 of 9: what a value must be. The constraints of part 3 call these functions.

CREATE FUNCTION crm.is_iana_timezone(name text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog SET timezone = 'UTC' AS $$
BEGIN
    -- The server also takes POSIX rules (Foo/Bar5) and any case (europe/paris). Names with a digit are therefore
    -- listed, and the rest must come back as it was given. pg_timezone_names reads 600 files at each look.
    IF name !~ '^[A-Z]' OR name = 'Factory' OR (name ~ '[0-9]' AND name !~
        '^(Etc/GMT(\+(1[0-2]|[0-9])|-(1[0-4]|[0-9])|0)|GMT([+-])?0|EST5EDT|CST6CDT|MST7MDT|PST8PDT)$')
    THEN
        RETURN false;
    END IF;
    PERFORM set_config('timezone', name, true);
    RETURN current_setting('timezone') = name;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END
$$;

-- What was consented to: an array of objects, each with the texts channel, at, source and text_version.
CREATE FUNCTION crm.is_consent(consent jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_typeof(consent) = 'array' AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(CASE jsonb_typeof(consent) WHEN 'array' THEN consent ELSE '[]' END) AS given,
            unnest('{channel,at,source,text_version}'::text[]) AS word
        WHERE jsonb_typeof(given -> word) IS DISTINCT FROM 'string')
$$;

-- The steps of a sequence: an array of objects, each with a known channel; delay_minutes, where given, is at most
-- ten years.
CREATE FUNCTION crm.are_steps(steps jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_typeof(steps) = 'array' AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(CASE jsonb_typeof(steps) WHEN 'array' THEN steps ELSE '[]' END) AS step
        WHERE jsonb_typeof(step) <> 'object'
            OR coalesce(step ->> 'channel', '') NOT IN ('sms', 'email', 'call', 'voicemail', 'mail', 'task')
            OR (step ? 'delay_minutes' AND NOT coalesce(
                CASE jsonb_typeof(step -> 'delay_minutes') WHEN 'number'
                    THEN (step ->> 'delay_minutes')::numeric BETWEEN 0 AND 5256000 END, false)))
$$;

-- A phone number as E.164, or null when it cannot be read beyond doubt. What has no country code is read as North
-- American when it can be: ten digits, or eleven with the 1. `00` and `011` mean +. An extension, a letter or a digit
-- of another script makes it unreadable: who checks a list must block then, who imports must ask.
CREATE FUNCTION crm.normalize_phone(phone text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    rest text;
BEGIN
    IF phone ~ '^\+1[2-9][0-9]{2}[2-9][0-9]{6}$' THEN
        RETURN phone;
    END IF;
    rest := regexp_replace(replace(phone, '(0)', ''), '^tel:|[ \t\u00a0().\-/]', '', 'g');
    rest := regexp_replace(rest, '^(00|011)(?=[1-9])', '+');
    RETURN CASE
        WHEN rest ~ '^\+1' THEN CASE WHEN rest ~ '^\+1[2-9][0-9]{2}[2-9][0-9]{6}$' THEN rest END
        WHEN rest ~ '^\+[2-9][0-9]{6,14}$' THEN rest
        WHEN rest ~ '^[2-9][0-9]{2}[2-9][0-9]{6}$' THEN '+1' || rest
        WHEN rest ~ '^1[2-9][0-9]{2}[2-9][0-9]{6}$' THEN '+' || rest
    END;
END
$$;

-- A day is its midnight in UTC, whatever the session's time zone.
CREATE FUNCTION crm.utc_time(written text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog SET datestyle = 'ISO' AS $$
    SELECT (written || CASE WHEN length(written) = 10 THEN 'T00:00:00Z' ELSE '' END)::timestamptz
$$;

CREATE FUNCTION crm.is_utc_time(written text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    RETURN written ~ '^[0-9]{4}-[0-9][0-9]-[0-9][0-9](T[0-9][0-9]:[0-9][0-9]:[0-9][0-9](\.[0-9]{1,6})?(Z|[+-][0-9][0-9]:[0-9][0-9]))?$'
        AND crm.utc_time(written) IS NOT NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
    RETURN false;
END
$$;

-- Text as a pattern of LIKE that means itself.
CREATE FUNCTION crm.like_literal(plain text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.regexp_replace(plain, '([\\%_])', '\\\1', 'g')
$$;

-- The filter language of segments, and its translation into a condition over crm.leads AS l.
--
--   filter := {}                                              every lead; stands only for a whole filter
--           | {"and": [filter, ...]}                          all of them; true when there are none
--           | {"or": [filter, ...]}                           one of them; false when there are none
--           | {"not": filter}
--           | {"field": name, "op": operator, "value": value}
--           | {"field": "source_metadata", "key": text, "op": operator of text, "value": value}
--
--   fields                                          operators and their values
--   first_name last_name email phone status source  eq ne: text    in: [text, ...]    is_null: true or false
--     timezone division postal_code                 contains starts_with: text, in any case; % and _ mean themselves
--     source_metadata
--   lead_score value_usd                            eq ne lt lte gt gte: number       between: [from, to]   is_null
--   created_at updated_at status_changed_at         lt lte gt gte: time               between: [from, to]
--                                                   within_days older_than_days: a number of days before now
--   owner_id golden_id                              eq ne: uuid    in: [uuid, ...]    is_null
--   tags                                            has: text      has_any has_all: [text, ...]
--                                                   is_empty: true or false
--
-- A time is 2025-01-31 (midnight UTC) or 2025-01-31T08:00:00Z, with any offset. between includes both ends.
-- A comparison with a field that is null is false, and ne is the opposite of eq: there are two truth values, not three.
-- At most 10 levels, 100 elements in a list. Deleted leads are in no segment.
--
-- The answer contains nothing that the filter says: fields and operators come from the lists below, and a value is
-- a path into the parameter $2, which is the whole filter. $1 is the organization.
CREATE FUNCTION crm.segment_condition(filter jsonb, path text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
    here      CONSTANT jsonb := filter #> path;
    wrong     CONSTANT text := format('Reading a segment filter, at %s: ',
                                      coalesce(nullif(array_to_string(path, '.'), ''), 'its top'));
    field     CONSTANT text := here ->> 'field';
    op        CONSTANT text := here ->> 'op';
    given     CONSTANT jsonb := here -> 'value';
    is_list   CONSTANT boolean := coalesce(op IN ('in', 'between', 'has_any', 'has_all'), false);
    kind      text;
    kind_here text;
    operand   text;
    values_   text[];
    parts     text[];
    word      text;
BEGIN
    IF here IS NULL OR jsonb_typeof(here) <> 'object' THEN
        RAISE check_violation USING MESSAGE = wrong || 'an object is needed.';
    ELSIF cardinality(path) > 20 THEN
        RAISE check_violation USING MESSAGE = wrong || 'it is nested more than 10 deep.';
    ELSIF here = '{}' AND path = '{}' THEN
        RETURN 'true';
    END IF;

    FOREACH word IN ARRAY ARRAY['and', 'or'] LOOP
        CONTINUE WHEN NOT here ? word;
        IF here - word <> '{}' OR jsonb_typeof(here -> word) <> 'array' THEN
            RAISE check_violation USING
                MESSAGE = wrong || format('"%s" takes an array of filters, and nothing stands beside it.', word);
        ELSIF jsonb_array_length(here -> word) > 100 THEN
            RAISE check_violation USING MESSAGE = wrong || format('"%s" takes at most 100 filters.', word);
        END IF;
        SELECT array_agg(crm.segment_condition(filter, path || ARRAY[word, i::text]) ORDER BY i) INTO parts
            FROM generate_series(0, jsonb_array_length(here -> word) - 1) AS i;
        RETURN coalesce('(' || array_to_string(parts, ' ' || word || ' ') || ')', (word = 'and')::text);
    END LOOP;
    IF here ? 'not' THEN
        IF here - 'not' <> '{}' THEN
            RAISE check_violation USING MESSAGE = wrong || 'nothing stands beside "not".';
        END IF;
        RETURN '(' || crm.segment_condition(filter, path || ARRAY['not']) || ' IS NOT TRUE)';
    END IF;

    kind := CASE
        WHEN field IN ('first_name', 'last_name', 'email', 'phone', 'status', 'source', 'timezone', 'division',
                       'postal_code', 'source_metadata') THEN 'text'
        WHEN field IN ('lead_score', 'value_usd') THEN 'number'
        WHEN field IN ('created_at', 'updated_at', 'status_changed_at') THEN 'time'
        WHEN field IN ('owner_id', 'golden_id') THEN 'uuid'
        WHEN field = 'tags' THEN 'tags'
    END;
    IF kind IS NULL THEN
        RAISE check_violation USING MESSAGE = wrong || 'there is no such field.',
            HINT = 'The fields stand at the head of crm.segment_condition.';
    ELSIF here - ARRAY['field', 'op', 'value', 'key'] <> '{}' OR (here ? 'key') <> (field = 'source_metadata')
        OR (here ? 'key' AND jsonb_typeof(here -> 'key') <> 'string')
    THEN
        RAISE check_violation USING
            MESSAGE = wrong || 'beside field, op and value stands nothing but the key of source_metadata, a text.';
    END IF;
    operand := CASE field
        WHEN 'source_metadata' THEN format('(l.source_metadata ->> ($2 #>> %L))', path || ARRAY['key'])
        ELSE format('l.%I', field) END;

    -- %1$s is the field, %2$s and %3$s are the values, %4$s all of them with commas.
    word := CASE
        WHEN op = 'is_empty' AND kind = 'tags' THEN '(%1$s = ''{}'') = %2$s'
        WHEN op = 'is_null' AND kind IN ('text', 'number', 'uuid') THEN '(%1$s IS NULL) = %2$s'
        WHEN op = 'eq' AND kind IN ('text', 'number', 'uuid') THEN '%1$s = %2$s'
        WHEN op = 'ne' AND kind IN ('text', 'number', 'uuid') THEN '%1$s IS DISTINCT FROM %2$s'
        WHEN op = 'in' AND kind = 'text' THEN '%1$s = ANY (ARRAY[%4$s]::text[])'
        WHEN op = 'in' AND kind = 'uuid' THEN '%1$s = ANY (ARRAY[%4$s]::uuid[])'
        WHEN op = 'contains' AND kind = 'text' THEN '%1$s ILIKE (''%%'' || crm.like_literal(%2$s) || ''%%'')'
        WHEN op = 'starts_with' AND kind = 'text' THEN '%1$s ILIKE (crm.like_literal(%2$s) || ''%%'')'
        WHEN op = 'lt' AND kind IN ('number', 'time') THEN '%1$s < %2$s'
        WHEN op = 'lte' AND kind IN ('number', 'time') THEN '%1$s <= %2$s'
        WHEN op = 'gt' AND kind IN ('number', 'time') THEN '%1$s > %2$s'
        WHEN op = 'gte' AND kind IN ('number', 'time') THEN '%1$s >= %2$s'
        WHEN op = 'between' AND kind IN ('number', 'time') THEN '%1$s >= %2$s AND %1$s <= %3$s'
        WHEN op = 'within_days' AND kind = 'time' THEN '%1$s >= now() - %2$s * interval ''1 day'''
        WHEN op = 'older_than_days' AND kind = 'time' THEN '%1$s < now() - %2$s * interval ''1 day'''
        WHEN op = 'has' AND kind = 'tags' THEN '%1$s @> ARRAY[%2$s]'
        WHEN op = 'has_any' AND kind = 'tags' THEN '%1$s && ARRAY[%4$s]::text[]'
        WHEN op = 'has_all' AND kind = 'tags' THEN '%1$s @> ARRAY[%4$s]::text[]'
    END;
    IF word IS NULL THEN
        RAISE check_violation USING MESSAGE = wrong || 'this field does not know the operator.',
            HINT = 'The operators of each field stand at the head of crm.segment_condition.';
    END IF;
    kind := CASE WHEN op IN ('is_null', 'is_empty') THEN 'boolean'
                 WHEN op IN ('within_days', 'older_than_days') THEN 'days'
                 ELSE kind END;

    IF is_list AND (coalesce(jsonb_typeof(given), '') <> 'array'
        OR jsonb_array_length(given) > CASE op WHEN 'between' THEN 2 ELSE 100 END
        OR (op = 'between' AND jsonb_array_length(given) < 2))
    THEN
        RAISE check_violation USING MESSAGE = wrong || format('"%s" takes an array of %s.', op,
            CASE op WHEN 'between' THEN 'two values' ELSE 'at most 100 values' END);
    END IF;
    FOR i IN 0 .. CASE WHEN is_list THEN jsonb_array_length(given) - 1 ELSE 0 END LOOP
        kind_here := jsonb_typeof(CASE WHEN is_list THEN given -> i ELSE given END);
        parts := path || CASE WHEN is_list THEN ARRAY['value', i::text] ELSE ARRAY['value'] END;
        IF NOT coalesce(CASE kind
            WHEN 'boolean' THEN kind_here = 'boolean'
            WHEN 'number' THEN kind_here = 'number'
            WHEN 'days' THEN kind_here = 'number' AND (filter #>> parts)::numeric BETWEEN 0 AND 36500
            WHEN 'uuid' THEN kind_here = 'string'
                AND filter #>> parts ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
            WHEN 'time' THEN kind_here = 'string' AND crm.is_utc_time(filter #>> parts)
            ELSE kind_here = 'string' END, false)
        THEN
            RAISE check_violation USING MESSAGE = wrong || format('a value is not what "%s" takes for this field.', op);
        END IF;
        values_ := values_ || format(CASE kind
            WHEN 'time' THEN 'crm.utc_time($2 #>> %L)'
            WHEN 'number' THEN '($2 #>> %L)::numeric'
            WHEN 'days' THEN '($2 #>> %L)::float8'
            WHEN 'uuid' THEN '($2 #>> %L)::uuid'
            WHEN 'boolean' THEN '($2 #>> %L)::boolean'
            ELSE '($2 #>> %L)' END, parts);
    END LOOP;
    RETURN '(' || format(word, operand, values_[1], values_[2], array_to_string(values_, ', ')) || ')';
END
$$;
