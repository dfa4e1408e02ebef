-- Whether somebody may try to sign in now: no row when too many tries failed lately under this name from this address,
-- under this name, or from this address. The try counts as failed until it is known better.
--
-- name (its hash), address, and how many: of_both, of_name, of_address
INSERT INTO access.sign_in_failure (name_hash, address)
SELECT %(name)s, %(address)s
WHERE (
        SELECT count(*) FILTER (WHERE f.address = %(address)s) < %(of_both)s AND count(*) < %(of_name)s
        FROM access.sign_in_failure AS f
        WHERE f.name_hash = %(name)s AND f.failed_at > now() - interval '15 minutes'
    ) AND (
        SELECT count(*) < %(of_address)s
        FROM access.sign_in_failure AS f
        WHERE f.address = %(address)s AND f.failed_at > now() - interval '15 minutes'
    )
RETURNING id
