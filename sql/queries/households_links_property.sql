-- Pairs of household_person who live at one property and have a surname or a phone in common.
SELECT no, first FROM (
    SELECT p.no, min(p.no) OVER (PARTITION BY p.property_no, key) AS first
    FROM (SELECT *, count(*) OVER (PARTITION BY property_no) AS persons FROM household_person WHERE property_no > 0) AS p,
        unnest(p.keys) AS key
    WHERE p.persons > 1
) AS of_key
WHERE no <> first
