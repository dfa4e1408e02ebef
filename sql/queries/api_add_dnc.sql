-- Adds an entry to the do-not-call list. A number that cannot be read is left as it is, and the table refuses it.
--
-- organization, phone, lead_id, reason, channels (null: the table's default), evidence, expires_at
INSERT INTO crm.dnc_list (organization_id, phone, lead_id, reason, channels, evidence, expires_at)
VALUES (%(organization)s, coalesce(crm.normalize_phone(%(phone)s), %(phone)s), %(lead_id)s, %(reason)s,
        coalesce(%(channels)s::text[], '{call,sms,email}'), %(evidence)s, %(expires_at)s)
RETURNING id
