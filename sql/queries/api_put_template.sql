-- Makes a template of a message, or replaces the one of this name and channel.
--
-- organization, name, channel, subject, body
INSERT INTO crm.message_template AS t (organization_id, name, channel, subject, body)
VALUES (%(organization)s, %(name)s, %(channel)s, %(subject)s, %(body)s)
ON CONFLICT (organization_id, name, channel) DO UPDATE SET subject = excluded.subject, body = excluded.body
RETURNING t.name, t.channel, t.subject, t.body, t.created_at, t.updated_at
