-- What a run of identity needs to look at nothing but what its changes reach.

-- Households and properties that somebody left: the next run counts who is there, and deletes those where nobody is.
CREATE TABLE identity.left_household (
    household_id uuid PRIMARY KEY
);
CREATE TABLE identity.left_property (
    property_id uuid PRIMARY KEY
);

CREATE FUNCTION identity.leave_home() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO identity.left_household (household_id)
        SELECT DISTINCT g.household_id FROM gone AS g WHERE g.household_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    INSERT INTO identity.left_property (property_id)
        SELECT DISTINCT g.property_id FROM gone AS g WHERE g.property_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER person_left AFTER DELETE ON identity.person
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION identity.leave_home();

-- Touches by their e-mail addresses: few have one.
CREATE INDEX record_touch_emails ON identity.record USING gin (emails) WITH (fastupdate = off)
    WHERE kind = 'touch' AND emails <> '{}';
-- Touches whose owner was deleted.
CREATE INDEX touch_orphaned ON identity.touch (record_id)
    WHERE person_id IS NULL
        AND (certainty IN ('certain', 'likely') OR (certainty = 'household' AND household_id IS NULL));
