-- What those may read who must not see personal data in clear.

CREATE SCHEMA masked;

-- The key of the masks, made once. It is not the key of erasures: another one here changes what masks look like, and
-- forgets nobody.
CREATE TABLE identity.mask_key (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key      bytea   NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO identity.mask_key (key)
    SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
COMMENT ON TABLE identity.mask_key IS 'The key of the masks in the schema masked.';
COMMENT ON COLUMN identity.mask_key.only_one IS 'True: there is one row.';
COMMENT ON COLUMN identity.mask_key.key IS
    'A secret: whoever has it can test a guess. A new one gives every masked value another look.';
