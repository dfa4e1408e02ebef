-- Leads that were entered in crm, by a file or by a user, are records of identity; leads that the feed made are none, or
-- identity would read back what it said itself. And the spellings of lead sources, so that costs and leads meet.

SET LOCAL ROLE crm_owner;

-- What stood in a lead before the feed wrote into it. Null: the feed made the lead.
ALTER TABLE crm.lead_feed ADD COLUMN entered jsonb CONSTRAINT lead_feed_entered_is_an_object
    CHECK (jsonb_typeof(entered) = 'object');

RESET ROLE;
-- Of leads that were taken over before this revision it is known that somebody entered them, and not what it was. As the
-- user that migrates, whom the policies of crm let see every organization.
UPDATE crm.lead_feed AS f SET entered = '{}'
    WHERE EXISTS (SELECT FROM crm.lead_import_row AS r
                  WHERE r.organization_id = f.organization_id AND r.lead_id = f.lead_id AND r.outcome = 'created'
                      AND r.undone IS DISTINCT FROM 'deleted')
        OR EXISTS (SELECT FROM crm.lead_status_history AS h
                   WHERE h.organization_id = f.organization_id AND h.lead_id = f.lead_id AND h.from_status IS NULL
                       AND h.triggered_by <> 'import');
SET LOCAL ROLE crm_owner;

-- One index finds who waits for a number, whether it is the first that a lead shares or a further one.
DROP INDEX crm.leads_shared_phone;

-- What was entered of a person, without what the feed wrote since. `gone`: no record of identity, or none any more, as a
-- lead that the feed made is. One that the feed deleted, because another of the same person stayed, still says who it is.
CREATE VIEW crm.entered_leads WITH (security_invoker = true) AS
    SELECT l.organization_id, l.id::text AS id, v.first_name, v.last_name,
        nullif(btrim(l.source_metadata ->> 'company'), '') AS company,
        concat_ws(' ', v.email, (
            SELECT string_agg(e, ' ') FROM jsonb_array_elements_text(
                CASE jsonb_typeof(l.source_metadata -> 'other_emails') WHEN 'array'
                     THEN l.source_metadata -> 'other_emails' ELSE '[]' END) AS e)) AS email,
        n.phones[1] AS phone_e164, n.phones[2] AS phone2_e164, n.phones[3] AS phone3_e164, n.phones[4] AS phone4_e164,
        n.phones[5] AS phone5_e164,
        l.source_metadata ->> 'street' AS street, l.source_metadata ->> 'unit' AS unit,
        l.source_metadata ->> 'city' AS city, l.source_metadata ->> 'state' AS state, v.postal_code,
        l.created_at,
        greatest(l.created_at, (
            SELECT max(a.created_at) FROM crm.lead_audit_log AS a
            WHERE a.organization_id = l.organization_id AND a.lead_id = l.id AND a.changed_by IS NOT NULL
                AND a.field_name = ANY ('{first_name,last_name,email,phone,postal_code}'))) AS updated_at,
        '{}'::jsonb AS raw_data, false AS archived, l.created_at AS sync_created_at, l.updated_at AS sync_updated_at,
        l.erased_at IS NOT NULL OR l.deleted_at IS NOT NULL AND NOT l.source_metadata ? 'feed_deleted'
            OR f.lead_id IS NOT NULL AND f.entered IS NULL AS gone
    FROM crm.leads AS l
        LEFT JOIN crm.lead_feed AS f ON f.organization_id = l.organization_id AND f.lead_id = l.id,
        LATERAL (SELECT
            CASE WHEN f.written ? 'first_name' AND f.written ->> 'first_name' IS NOT DISTINCT FROM l.first_name
                 THEN f.entered ->> 'first_name' ELSE l.first_name END AS first_name,
            CASE WHEN f.written ? 'last_name' AND f.written ->> 'last_name' IS NOT DISTINCT FROM l.last_name
                 THEN f.entered ->> 'last_name' ELSE l.last_name END AS last_name,
            CASE WHEN f.written ? 'email' AND f.written ->> 'email' IS NOT DISTINCT FROM l.email
                 THEN f.entered ->> 'email' ELSE l.email END AS email,
            CASE WHEN f.written ? 'phone' AND f.written ->> 'phone' IS NOT DISTINCT FROM l.phone
                 THEN f.entered ->> 'phone' ELSE l.phone END AS phone,
            CASE WHEN f.written ? 'postal_code' AND f.written ->> 'postal_code' IS NOT DISTINCT FROM l.postal_code
                 THEN f.entered ->> 'postal_code' ELSE l.postal_code END AS postal_code) AS v,
        LATERAL (
            SELECT array_agg(p.phone ORDER BY p.place) AS phones
            FROM (SELECT k.phone, min(k.place) AS place
                  FROM (SELECT v.phone, 0 AS place
                        UNION ALL
                        SELECT o.phone, o.place FROM jsonb_array_elements_text(
                            CASE jsonb_typeof(l.source_metadata -> 'other_phones') WHEN 'array'
                                 THEN l.source_metadata -> 'other_phones' ELSE '[]' END)
                            WITH ORDINALITY AS o (phone, place)
                        UNION ALL
                        SELECT s.phone, 100 + s.place FROM jsonb_array_elements_text(
                            CASE jsonb_typeof(l.source_metadata -> 'shared_phones') WHEN 'array'
                                 THEN l.source_metadata -> 'shared_phones' ELSE '[]' END)
                            WITH ORDINALITY AS s (phone, place)
                        WHERE NOT coalesce(f.written -> 'shared_phones' ? s.phone, false)) AS k
                  WHERE k.phone ~ '^\+[1-9][0-9]{6,14}$'
                  GROUP BY k.phone) AS p) AS n;

-- How sources of leads are spelt, and the one name under which they count. A spelling is in lower case, and has one
-- blank where it is written with blanks, `_` or `-`.
CREATE TABLE crm.lead_source_alias (
    spelling text PRIMARY KEY CONSTRAINT lead_source_alias_is_folded
             CHECK (spelling <> '' AND spelling = btrim(regexp_replace(lower(spelling), '[\s_-]+', ' ', 'g'))),
    source   text NOT NULL CONSTRAINT lead_source_alias_is_a_name CHECK (source <> '' AND source = lower(btrim(source)))
);
ALTER TABLE crm.lead_source_alias ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON crm.lead_source_alias USING (true) WITH CHECK (current_user = 'crm_owner');
CREATE POLICY administration ON crm.lead_source_alias TO crm_owner USING (true) WITH CHECK (true);

CREATE FUNCTION crm.lead_source(written text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT a.source FROM crm.lead_source_alias AS a
         WHERE a.spelling = btrim(regexp_replace(lower(written), '[\s_-]+', ' ', 'g'))),
        nullif(lower(btrim(written)), ''))
$$;
COMMENT ON FUNCTION crm.lead_source(text) IS
    'Returns the name under which a source of leads counts: that of crm.lead_source_alias, else its own in lower case.';

INSERT INTO crm.lead_source_alias (spelling, source)
SELECT s, a.source
FROM (VALUES
    ('google ads', 'google ads|google ad|google adwords|adwords|google paid|google ppc|google cpc|google search ads|'
        'google paid search|paid google|google sem|gads|google ads search|google ads ppc|google ad extension'),
    ('google local services', 'google local services|google local service ads|google local services ads|google lsa|lsa|'
        'google guaranteed|local services ads|local service ads|google local ads'),
    ('google organic', 'google organic|organic google|google seo|seo google|google organic search'),
    ('google my business', 'google my business|google business profile|gmb|gbp|google business|google maps'),
    ('bing ads', 'bing ads|bing ad|bing paid|bing ppc|bing cpc|microsoft ads|microsoft advertising|bing paid search'),
    -- Who spends on Facebook writes "Facebook", and so do those who count the leads.
    ('facebook', 'facebook|fb|facebook.com|facebook all|facebook ads|facebook ad|facebook paid|fb ads|fb ad|fb paid|'
        'fb lead ads|fb lead ad|facebook lead ads|facebook lead ad|facebook lead form|facebook ppc|meta|meta ads|meta paid'),
    ('instagram', 'instagram|ig|instagram.com|instagram ads|instagram ad|instagram paid|ig ads'),
    ('youtube', 'youtube|you tube|youtube.com|youtube ads'),
    ('nextdoor', 'nextdoor|next door|nextdoor ads|nextdoor.com'),
    ('yelp', 'yelp|yelp.com|yelp ads'),
    ('angi', 'angi|angi leads|angies list|angie''s list|angies|angi ads|angi.com'),
    ('homeadvisor', 'homeadvisor|home advisor|homeadvisor.com'),
    ('thumbtack', 'thumbtack|thumb tack|thumbtack.com'),
    ('houzz', 'houzz|houzz.com'),
    ('modernize', 'modernize|modernize.com'),
    ('web form', 'web form|webform|website|web site|website form|company website|our website|web lead|online form|'
        'contact form|contact us form'),
    ('organic search', 'organic search|organic|seo'),
    ('paid search', 'paid search|ppc|cpc|sem'),
    ('direct traffic', 'direct traffic|direct'),
    -- Not "referrals": HubSpot means links of other websites by it.
    ('referral', 'referral|customer referral|referred|referred by customer|client referral|word of mouth|'
        'friend referral|friend or family|friends and family'),
    ('employee referral', 'employee referral|staff referral'),
    ('previous customer', 'previous customer|past customer|repeat customer|existing customer|repeat business|'
        'previous client'),
    ('canvassing', 'canvassing|canvass|canvasser|door to door|door knocking|door knock|d2d|salesrabbit|sales rabbit'),
    ('direct mail', 'direct mail|directmail|mailer|mailers|postcard|postcards'),
    ('email', 'email|e mail|email marketing|e mail marketing|newsletter|email campaign'),
    ('television', 'television|tv|tv ad|tv ads|tv commercial'),
    ('radio', 'radio|radio ad|radio ads|radio spot'),
    ('billboard', 'billboard|billboards'),
    ('home show', 'home show|home shows|homeshow'),
    ('event', 'event|events|trade show|tradeshow|show and event|shows and events'),
    ('yard sign', 'yard sign|yard signs|job sign|job site sign|lawn sign')
) AS a (source, spellings), unnest(string_to_array(a.spellings, '|')) AS s;

RESET ROLE;

-- Sources of leads and of costs that no row of crm.lead_source_alias knows: as they are written, in lower case.
CREATE VIEW marts.unmapped_lead_source AS
    SELECT s.source, sum(s.leads)::bigint AS leads, sum(s.costs)::bigint AS costs
    FROM (SELECT lower(btrim(l.source)) AS source, count(*) AS leads, 0 AS costs FROM crm.leads AS l
          WHERE l.deleted_at IS NULL AND btrim(l.source) <> '' GROUP BY 1
          UNION ALL
          SELECT lower(btrim(c.source)), 0, count(*) FROM crm.lead_source_costs AS c GROUP BY 1) AS s
    WHERE NOT EXISTS (SELECT FROM crm.lead_source_alias AS a WHERE a.source = s.source)
        AND NOT EXISTS (SELECT FROM crm.lead_source_alias AS a
                        WHERE a.spelling = btrim(regexp_replace(s.source, '[\s_-]+', ' ', 'g')))
    GROUP BY s.source;
COMMENT ON VIEW marts.unmapped_lead_source IS
    'Sources of leads and of costs that no row of crm.lead_source_alias knows, with how many leads and months of costs.';

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;
