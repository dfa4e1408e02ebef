ALTER TABLE identity.read_position DROP COLUMN rules;
