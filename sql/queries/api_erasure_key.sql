-- The key of the list of erased people, and a number as the list has it before it is cut to ten digits.
SELECT key, coalesce(crm.normalize_phone(%(phone)s), %(phone)s::text) AS phone FROM identity.erasure_key
