-- An amount that nobody can mean counts nowhere, because it would be more than all others together; here it is named.

ALTER TABLE marts.activity_timeline ADD COLUMN refused_amount numeric;
