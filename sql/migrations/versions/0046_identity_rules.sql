-- By which rules the records of a table were read and compared: those of before are 0, so that the next run does it again.
ALTER TABLE identity.read_position ADD COLUMN rules integer NOT NULL DEFAULT 0;
