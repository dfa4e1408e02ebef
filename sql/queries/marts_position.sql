-- Keep how far a mart has read, the fingerprint of its SQL, how many rows there were, and when it was computed and changed.
-- Without until it will read from where it did.
INSERT INTO marts.position AS p (mart, read_until, fingerprint, changed_at, computed_at, counts)
VALUES (%(mart)s, coalesce(%(until)s::timestamptz, '-infinity'), %(fingerprint)s, now(), now(), %(counts)s)
ON CONFLICT (mart) DO UPDATE SET read_until = coalesce(%(until)s::timestamptz, p.read_until), fingerprint = excluded.fingerprint,
    refreshed_at = now(), counts = excluded.counts,
    computed_at = CASE WHEN %(made)s THEN now() ELSE p.computed_at END,
    changed_at = CASE WHEN %(changed)s THEN now() ELSE p.changed_at END
