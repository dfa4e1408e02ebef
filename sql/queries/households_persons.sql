-- The persons of household_scope who can have a household: customers who are no business. By number, with the
-- number of their property (0: none), and the keys of which housemates have one in common: surnames, and phones.
SELECT row_number() OVER (ORDER BY p.person_id), p.person_id, p.household_id, p.property_id,
    CASE WHEN p.property_id IS NULL THEN 0 ELSE dense_rank() OVER (ORDER BY p.property_id) END,
    p.last_name, p.record_count,
    ARRAY(SELECT 'p:' || phone FROM unnest(p.phones) AS phone) || CASE WHEN p.last_name IS NULL THEN '{}' ELSE ARRAY(
        SELECT 's:' || identity.letters(part)
        FROM unnest(p.last_name || regexp_split_to_array(p.last_name, '[- ]')) AS part
        WHERE part = p.last_name OR length(part) > 3
    ) END
FROM household_scope AS s JOIN identity.person AS p ON p.person_id = s.person_id
WHERE p.kind = 'customer' AND (p.business IS NULL OR coalesce(p.first_name, p.last_name) IS NOT NULL)
